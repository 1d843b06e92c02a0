"""RetrievedItem: one message of a run, as it comes."""

from asyncio import CancelledError
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from ..errors import LocalProtocolError, ResponseError, UnknownMessage
from ..pop3 import Entry, Response
from .pop3_dialogue import Dialogue
from .whole_message import WholeMessage

if TYPE_CHECKING:
    from .retrieval import Retrieval

__all__ = ["READ_LIMIT", "RetrievedItem"]

READ_LIMIT: Final = 64 * 1024 * 1024
"""Octets of a message that is read into memory, if nothing else is said."""


class RetrievedItem:
    """A message as it is retrieved: iterate over it for its blocks, or `read` it whole.

    entry: what was asked for, with its number in the session in which it was; number 0 if it was not.
    error: why there are no blocks: ResponseError with the server's refusal, or UnknownMessage if it is not there (any
        more).
    was_asked: False if it was never asked for: it is not there, or the server has said that it will give no more.
    octets: how much of it has come so far.
    is_complete: whether it was read to its end.
    """

    # What most items never tell of.
    _is_handed_out = False  # some of it
    _is_passed_over = False  # the run went on: what is left of it is nobody's
    _is_taken_back = False  # unread, to be asked for a second time
    _is_begun_again = False  # on another connection: what came before does not count
    _is_asked_again = False  # there, and the answer was not met yet
    _is_too_long = False
    _whole: WholeMessage | None = None  # what was read of it by whoever was cancelled

    def __init__(
        self,
        run: "Retrieval",
        entry: Entry,
        dialogue: Dialogue | None,
        error: ResponseError | UnknownMessage | None = None,
    ) -> None:
        self.entry = entry
        self.error = error
        self.was_asked: bool = dialogue is not None
        self.octets = 0
        self.is_complete = False
        self._is_here = False  # it came whole with others, before its turn: nothing of it is on its way
        self._held = b""  # that have come: till it is its turn, or till it is known whether they are the message
        self._is_taken = False  # somebody has begun to read it, or it was passed over
        self._has_ended = False  # also where nobody has read it
        self._run = run
        self._dialogue = dialogue

    @property
    def refusal(self) -> Response | None:
        """The server's -ERR, if it does not give this message."""
        return self.error.response if isinstance(self.error, ResponseError) else None

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the message in blocks as they arrive, octet for octet.

        Raises `error` if there is one; MessageTruncated if the connection is lost before the end, DeadlineExceeded if
        it stands still, BudgetExceeded if it is longer than the run allows; LocalProtocolError if it is read a second
        time, or was passed over: it comes once.
        """
        self._take()
        return _Blocks(self)

    async def read(self, limit: int | None = READ_LIMIT) -> bytes:
        """Return the whole message. Raises BudgetExceeded once it proves longer than `limit` octets, by default 64
        MiB, and as above.

        Whoever is cancelled in it may call it again before the run goes on, and gets the whole message then, too.
        """
        if (whole := self._whole) is None:
            self._take()
            if (message := self._run._poll_whole(self, limit)) is not None:
                return message
            whole = WholeMessage(self.entry.size, self._run._room(limit))
        self._whole = None
        try:
            while (block := await self._run._next_block(self)) is not None:
                if limit is not None and self.octets > limit:
                    raise self._run._too_long(self, limit)
                if self._is_begun_again:
                    self._is_begun_again = False
                    whole = WholeMessage(self.entry.size, self._run._room(limit))
                whole.add(block)
        except CancelledError:
            self._whole = whole
            raise
        return whole.octets()

    def delete(self, *, force: bool = False) -> None:
        """Have the message marked when the run goes on or ends, be it in the middle. Like all that is marked it is
        deleted by `POP3Client.commit`, whose report tells what became of it.

        force: also a message that shares its unique id with another.

        Raises AmbiguousMessage for such a one otherwise; LocalProtocolError when the session that it came from is over.
        """
        self._run._delete(self, force=force)

    def _take(self) -> None:
        self._run._check_unused()
        if self.error is not None:
            self._run._client._note(self.error)
            raise self.error
        if self._is_taken:
            raise LocalProtocolError(f"message {self.entry.number} was read already, or passed over: it comes once")
        self._is_taken = True


class _Blocks(AsyncIterator[bytes]):
    # The blocks of one item. It is no async generator: one that is left in the middle would be closed by the event
    # loop, whenever that finds the time.

    def __init__(self, item: RetrievedItem) -> None:
        self._item = item

    async def __anext__(self) -> bytes:
        block = await self._item._run._next_block(self._item)
        if block is None:
            raise StopAsyncIteration
        self._item._is_handed_out = True
        return block
