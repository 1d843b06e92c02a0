"""Fingerprint: what a message is known by where its server gives no unique id."""

import hashlib
from typing import Final

__all__ = ["HEADER_LIMIT", "Fingerprint"]

HEADER_LIMIT: Final = 256 * 1024
"""How much of a header makes its fingerprint, in octets; no honest one is longer (Postfix keeps 100 KiB of one)."""

# The ends of a header, where lines end in CRLF, in LF, or in either.
_ENDS: Final = (b"\n\r\n", b"\n\n")


class Fingerprint:
    """What tells a header from any other, made of a message's blocks."""

    def __init__(self) -> None:
        self.is_over: bool = False
        """Whether the header is over, or longer than counts: no block that follows makes a difference."""
        self._header = bytearray()

    def feed(self, block: bytes) -> None:
        """Take the next block, whatever it holds of the header."""
        if self.is_over:
            return
        start = max(0, len(self._header) - 2)
        self._header += block[: HEADER_LIMIT - len(self._header)]
        # A message that begins with a blank line has no header.
        ends = [0] if self._header.startswith((b"\r\n", b"\n")) else []
        ends += [place for end in _ENDS if (place := self._header.find(end, start)) >= 0]
        if ends:
            del self._header[min(ends) :]
        self.is_over = bool(ends) or len(self._header) >= HEADER_LIMIT

    def digest(self) -> str:
        """Return 32 hexadecimal digits; "" if there is no header."""
        # The last line's end is no part of it: whether a blank line follows, is not the same for TOP as for RETR.
        header = self._header.rstrip(b"\r\n")
        return hashlib.sha256(header).hexdigest()[:32] if header else ""
