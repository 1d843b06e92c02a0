"""Writing: the message of one transaction on its way out, as fast as the server takes it in.

1. What the server says meanwhile is heard: nothing more is written before somebody has listened to it.
2. A message that cannot be read to its end is not ended: the transaction can only be cut off then.
"""

from ..message import Outgoing
from ..smtp import Transaction
from .dialogue import Dialogue
from .mailing import Progress
from .reading import Reading

__all__ = ["Writing"]


class Writing:
    """The writing of `outgoing`, the message of `transaction`. To be closed with `close`, however it ended."""

    _written = 0

    def __init__(
        self, dialogue: Dialogue, transaction: Transaction, outgoing: Outgoing, progress: Progress | None
    ) -> None:
        self._session = dialogue.session
        self._connection = dialogue.connection
        self._transaction = transaction
        self._size = outgoing.size
        self._reading = Reading(outgoing, dialogue.session)
        self._progress = progress

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
            if not await self._reading.fetch():
                return
            if self._reading.block is None:
                if not await session.has_heard_more():
                    transaction.end_data()  # leaves in one write with the last block
                return
            if not await session.wait_writable():
                return
            block = self._reading.take()
            transaction.send_data(block)
            self._written += len(block)
            if self._progress is not None:
                self._progress(self._written, self._size)

    async def close(self) -> None:
        """Close the source of the message."""
        await self._reading.close()
