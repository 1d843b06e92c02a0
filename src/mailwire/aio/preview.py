"""Previews: what is read of messages without retrieving them, their beginnings and what their headers are known by."""

from contextlib import aclosing

from ..errors import ResponseError
from ..pop3 import Entry, Fingerprint
from .retrieval import Retrieval

__all__ = ["read_beginning", "read_fingerprints"]


async def read_beginning(run: Retrieval, lines: int, limit: int) -> bytes | ResponseError:
    """Return the header of the one message of `run` and `lines` lines of its body, at most `limit` octets; what the
    server says instead, if it refuses. Raises UnknownMessage, and what `POP3Client.retrieve` raises."""
    text = bytearray()
    async with aclosing(run) as items:
        async for item in items:
            if isinstance(item.error, ResponseError):
                return item.error
            async for block in item:
                text += block
                if (end := _end_of_preview(text, lines)) is not None or len(text) >= limit:
                    return bytes(text[: limit if end is None else min(end, limit)])
    return bytes(text)


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
            if digest := fingerprint.digest():
                fingerprints[item.entry] = digest
    return fingerprints


def _end_of_preview(text: bytearray, lines: int) -> int | None:
    # Where the preview ends, in a message that begins with `text`; None if more is needed to tell.
    blank = 0 if text.startswith(b"\r\n") else text.find(b"\n\r\n") + 1
    if blank == 0 and not text.startswith(b"\r\n"):
        return None
    end = blank + 2
    for _ in range(lines):
        end = text.find(b"\n", end) + 1
        if end == 0:
            return None
    return end
