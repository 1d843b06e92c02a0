"""Previews: what is read of messages without retrieving them, their beginnings and what their headers are known by."""

from contextlib import aclosing
from typing import Final

from ..errors import ResponseError
from ..pop3 import Entry, Fingerprint
from .retrieval import Retrieval

__all__ = ["Beginning", "read_beginning", "read_fingerprints"]

# The ends of a header, where lines end in CRLF, in LF, or in either.
_HEADER_ENDS: Final = (b"\n\r\n", b"\n\n")


async def read_beginning(run: Retrieval, lines: int, limit: int) -> bytes | ResponseError:
    """Return the header of the one message of `run` and `lines` lines of its body, at most `limit` octets; what the
    server says instead, if it refuses. Raises UnknownMessage, and what `POP3Client.retrieve` raises.

    The run goes on behind it: to the end of the message, or on another connection without that. Where it can do no more
    than end, the next call meets what is left of the message.
    """
    beginning = Beginning(lines, limit)
    async with aclosing(run):
        item = await anext(run)
        if isinstance(item.error, ResponseError):
            return item.error
        async for block in item:
            if beginning.add(block):
                break
        if run.can_spare_connection:
            await run._finish()
    return beginning.octets


async def read_fingerprints(run: Retrieval) -> dict[Entry, str]:
    """Return the fingerprint of each message of `run`, but for those that have none."""
    fingerprints: dict[Entry, str] = {}
    async with aclosing(run) as items:
        async for item in items:
            if item.error is not None:
                continue
            fingerprint = Fingerprint()
            async for block in item:
                fingerprint.feed(block)
                if fingerprint.is_over:
                    break  # there are servers that give the whole message
            if digest := fingerprint.digest():
                fingerprints[item.entry] = digest
    return fingerprints


class Beginning:
    """A header and so many `lines` behind it, gathered from a message's blocks, at most `limit` octets. However small
    the blocks are, no octet is searched twice."""

    def __init__(self, lines: int, limit: int) -> None:
        self._blocks: list[bytes] = []
        self._octets = 0
        self._end = limit  # no more than this is wanted
        self._tail = b"\n"  # of the header, as far as it came: a blank line may come first
        self._is_in_header = True
        self._left = lines  # that are not ended yet

    def add(self, block: bytes) -> bool:
        """Add the next block; return whether nothing more is needed."""
        start = self._behind_header(block) if self._is_in_header else 0
        if not self._is_in_header:
            while self._left and (end := block.find(b"\n", start) + 1):
                self._left -= 1
                start = end
            if not self._left:
                self._end = min(self._end, self._octets + start)
        self._blocks.append(block)
        self._octets += len(block)
        return self._octets >= self._end

    @property
    def octets(self) -> bytes:
        """What there is of it."""
        return b"".join(self._blocks)[: self._end]

    def _behind_header(self, block: bytes) -> int:
        # Where in the block the body begins, if it does.
        seam = self._tail + block
        ends = [place + len(end) for end in _HEADER_ENDS if (place := seam.find(end)) >= 0]
        before = len(self._tail)
        self._is_in_header = not ends
        self._tail = seam[-2:]
        return min(ends, default=0) - before
