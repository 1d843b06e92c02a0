"""Reading: the blocks of a message on their way out, read where the server can be heard meanwhile.

A source that keeps us waiting, an asynchronous iterable or a file, is read by one task of its own, from its beginning
to its end: so a refusal that comes in the meantime is the outcome at once, and what the source has begun in its own
task (a timeout, a cancel scope) ends there as well. It is asked for a block only when there is room for it.

Where that task ends as cancelled, and it was not we who did that, what the source waits for was cancelled by somebody
else: that is a failure of the source. Whoever sends was not cancelled, and must not seem to be.
"""

import asyncio
from contextlib import aclosing

from ..errors import SourceFailed
from ..message import Outgoing
from ..smtp import Event
from .session import Session

__all__ = ["Reading"]


class Reading:
    """The blocks of `outgoing`, while the peer of `session` may say something. Close it, whatever happens."""

    def __init__(self, outgoing: Outgoing, session: Session[Event]) -> None:
        self.block = outgoing.content
        """The block to leave next; None where it is yet to be fetched, or there is none."""
        self._is_over = self.block is not None  # nothing is to be fetched any more
        self._session = session
        self._blocks = outgoing.blocks()
        self._is_at_hand = outgoing.is_at_hand
        self._reader: asyncio.Task[None] | None = None
        self._asked = asyncio.Event()
        self._answer: asyncio.Future[bytes | None] | None = None  # the block that was asked for
        self._is_closed = False

    async def fetch(self) -> bool:
        """Make the next block `block`, unless there is one; True as well where there is none any more.

        False if the peer has said something, or gone, before the source had a block. Ask again then, if it matters.
        Raises what `Outgoing.blocks` raises; SourceFailed as well where the source raised CancelledError by itself.
        """
        if self.block is not None or self._is_over:
            return True
        if self._is_at_hand:
            self.block = await anext(self._blocks, None)
        else:
            answer = self._ask()
            self._session.flush()  # what is there already need not wait for what is to come
            if not await self._session.stream.wait_beside(answer):
                return False
            self._answer = None
            self.block = answer.result()
        self._is_over = self.block is None
        return True

    def take(self) -> bytes:
        """Return the `block`: it leaves."""
        block, self.block = self.block, None
        if block is None:
            raise AssertionError("a block is fetched before it is taken")
        return block

    async def close(self) -> None:
        """Read no more, and wait until the source has been closed."""
        if self._reader is None:
            await self._blocks.aclose()
        else:
            self._is_closed = True
            self._reader.cancel()
            await asyncio.wait([self._reader])
            self._session.reader = None

    # Private

    def _ask(self) -> asyncio.Future[bytes | None]:
        if self._answer is None:
            self._answer = asyncio.get_running_loop().create_future()
            self._asked.set()
        if self._reader is None:
            self._reader = self._session.reader = asyncio.create_task(self._read())
            self._reader.add_done_callback(self._read_to_an_end)
        return self._answer

    async def _read(self) -> None:
        async with aclosing(self._blocks) as blocks:
            while True:
                await self._asked.wait()
                self._asked.clear()
                block = await anext(blocks, None)
                if self._answer is None:
                    raise AssertionError("a block is read because it was asked for")
                self._answer.set_result(block)

    def _read_to_an_end(self, reader: asyncio.Task[None]) -> None:
        error: BaseException | None
        try:
            error = reader.exception()
        except asyncio.CancelledError as cancelled:
            error = SourceFailed("the message cannot be read: what its source waited for was cancelled")
            error.__cause__ = cancelled
        if self._answer is None or self._answer.done():
            return
        if error is None or self._is_closed:
            self._answer.cancel()
        else:
            self._answer.set_exception(error)
            self._answer.exception()  # whoever asked may be gone, and that is no reason to complain
