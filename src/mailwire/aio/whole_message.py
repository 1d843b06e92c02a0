"""WholeMessage: the blocks of a message put together, each copied once.

A list of blocks that is joined in the end holds a message twice, and what it held must be had from the system again for
the next one, page by page. Here there is room for the message before it comes, as much as the server has announced. But
that is no promise: room is made for twice as much as has come, at most, and for no more than may be read.
"""

from io import BytesIO
from typing import Final

__all__ = ["WholeMessage"]

_AHEAD: Final = 2


class WholeMessage:
    """A message of about as many octets as `announced`: `add` its blocks, then take its `octets`.

    limit: octets that it may have: no room is made beyond that.
    """

    def __init__(self, announced: int, limit: int) -> None:
        self._announced = min(announced, limit)
        self._buffer = BytesIO()
        self._size = 0
        self._room = 0

    def add(self, block: bytes) -> None:
        """Add the next block."""
        self._size += len(block)
        if self._size > self._room:
            self._make_room()
        self._buffer.write(block)

    def octets(self) -> bytes:
        """Return the message. Nothing can be added behind that."""
        self._buffer.truncate()
        return self._buffer.getvalue()  # what it is in, not a copy

    def _make_room(self) -> None:
        self._room = max(self._size, min(self._announced, self._size * _AHEAD))
        if self._room > self._size:
            place = self._buffer.tell()
            self._buffer.seek(self._room - 1)
            self._buffer.write(b"\0")
            self._buffer.seek(place)
