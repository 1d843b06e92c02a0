"""RunOptions: what a run over messages was asked for besides its messages."""

from collections.abc import Callable
from dataclasses import dataclass

from .._wire.text import check_function, check_kind, check_whole_number
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
    is_preview: whether of its one message the beginning is all that is wanted.

    Raises ValueError for what is none of it.
    """

    command: Callable[[Entry], Retr | Top]
    message_limit: int | None = None
    total_limit: int | None = None
    batch: Batch | None = None
    progress: Callable[[RetrievalProgress], None] | None = None
    is_preview: bool = False

    def __post_init__(self) -> None:
        check_whole_number("message_limit", self.message_limit, 0, or_none=True)
        check_whole_number("total_limit", self.total_limit, 0, or_none=True)
        if self.batch is not None:
            check_kind("batch", self.batch, Batch, "a Batch or None")
        check_function("progress", self.progress)
