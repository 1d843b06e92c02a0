"""Blame: to which message it is put down that something went wrong."""

from typing import Final

from ..aio.pop3 import POP3Client
from ..errors import (
    AmbiguousMessage,
    ConnectionLost,
    DeadlineExceeded,
    LocalProtocolError,
    RemoteProtocolError,
    ResponseError,
)
from ..pop3 import Entry, Noop

__all__ = ["SESSION_ENDED", "is_unnamed", "say_noop"]

SESSION_ENDED: Final = (ConnectionLost, DeadlineExceeded, RemoteProtocolError)
"""What may be a message's doing, where the answer to it was due."""


async def say_noop(client: POP3Client) -> None:
    """Say NOOP: whatever comes before its answer belongs to what was asked for before, be it the refusal of a login,
    and is not put down to what is asked for behind it.

    Raises what a command raises, but for the refusal of NOOP itself.
    """
    try:
        await client.noop()
    except ResponseError as error:
        if error.command != str(Noop()):
            raise


def is_unnamed(entry: Entry, error: LocalProtocolError) -> bool:
    """Return whether this `entry` may be what the `error` is about: that a message, in another session than that which
    has listed it, cannot be named."""
    if isinstance(error, AmbiguousMessage):
        return entry.shares_uid or entry.uid == error.uid
    return entry.uid is None
