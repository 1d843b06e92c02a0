"""RunOptions: what a run over messages was asked for besides its messages."""

from collections.abc import Callable
from dataclasses import dataclass

from ..pop3 import Entry, Retr, Top
from .batch import Batch
from .retrieval_progress import RetrievalProgress

__all__ = ["RunOptions"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run was asked for besides its messages.

    command: makes the command that asks for a message, RETR or TOP.
    message_limit, total_limit: octets of one message, and of all.
    batch: when to commit; None for never.
    progress: is told of every block.
    """

    command: Callable[[Entry], Retr | Top]
    message_limit: int | None = None
    total_limit: int | None = None
    batch: Batch | None = None
    progress: Callable[[RetrievalProgress], None] | None = None
