"""Line feeds: the line ends of the network made into those that files of mail have on Unix."""

from typing import Literal, TypeAlias

__all__ = ["LineEnds", "LineFeeds"]

LineEnds: TypeAlias = Literal["crlf", "lf"]
"""How lines end in a file: "crlf" leaves them as they were received, octet for octet."""


class LineFeeds:
    """CRLF made LF, block by block; a CR or an LF by itself stays as it is."""

    def __init__(self) -> None:
        self._holds_cr = False  # at the end of the last block, of what may be a CRLF

    def feed(self, block: bytes) -> bytes:
        """Return what follows from the next block."""
        if self._holds_cr:
            block = b"\r" + block
        self._holds_cr = block.endswith(b"\r")
        return (block[:-1] if self._holds_cr else block).replace(b"\r\n", b"\n")

    def finish(self) -> bytes:
        """Return what is left at the end."""
        return b"\r" if self._holds_cr else b""
