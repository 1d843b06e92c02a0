"""Writing: the message of one transaction on its way out, as fast as the server takes it in.

1. What the server says meanwhile is heard: nothing more is written before somebody has listened to it.
2. A message that is in memory, and no more than one block, is written and ended in one step, without waiting.
3. A message that cannot be read to its end is not ended: the transaction can only be cut off then.
"""

from ..message import Outgoing
from ..smtp import Transaction
from .dialogue import Dialogue
from .mailing import Progress
from .reading import Reading

__all__ = ["Writing"]


class Writing:
    """The writing of `outgoing`, the message of `transaction`. To be closed with `close`, however it ended."""

    _reading: Reading | None = None
    _written = 0

    def __init__(
        self, dialogue: Dialogue, transaction: Transaction, outgoing: Outgoing, progress: Progress | None
    ) -> None:
        self._session = dialogue.session
        self._connection = dialogue.connection
        self._transaction = transaction
        self._outgoing = outgoing
        self._progress = progress

    @property
    def has_begun(self) -> bool:
        """Whether octets were asked of the message's source that may not be had again."""
        return self._reading is not None

    def write_whole(self) -> bool:
        """Write the message and end it, if it is wanted and all of it is at hand; return whether that was done."""
        content = self._outgoing.content
        if content is None or not self._transaction.wants_data:
            return False
        # Behind an eager envelope answers come at any time: there is nothing to be known from that.
        if self._transaction.chunking != "eager" and self._session.stream.is_readable:
            return False
        if self._progress is None:
            self._transaction.send_whole(content)
        else:
            self._write(content)
            self._transaction.end_data()
        return True

    async def write(self) -> None:
        """Write for as long as the message is wanted and the server has nothing to say, up to the end of it.

        Raises what the source of the message raises, what `progress` raises, and DeadlineExceeded.
        """
        session, transaction = self._session, self._transaction
        while True:
            if self._connection.queued_chunks:
                session.flush()  # if the window lets the chunk leave, the next one is wanted
            if not transaction.wants_data:
                return
            if self._reading is None:
                self._reading = Reading(self._outgoing, session)
            if not await self._reading.fetch():
                return
            if self._reading.block is None:
                if not await session.has_heard_more():
                    transaction.end_data()  # leaves in one write with the last block
                return
            if not await session.wait_writable():
                return
            self._write(self._reading.take())

    async def close(self) -> None:
        """Close the source of the message."""
        if self._reading is not None:
            await self._reading.close()

    def _write(self, block: bytes) -> None:
        self._transaction.send_data(block)
        self._written += len(block)
        if self._progress is not None:
            self._progress(self._written, self._outgoing.size)
