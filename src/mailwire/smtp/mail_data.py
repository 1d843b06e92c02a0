"""Mail data: a message on its way out, as the text behind DATA (RFC 5321 4.5.2) or in chunks (RFC 3030).

Both take blocks of any size and end the same way: a message is the same on the other side whichever way it went.
"""

from .._wire.dots import TERMINATOR, DotStuffer, LineEnds, MailText
from .commands import Bdat, BdatLast, EndOfData

__all__ = ["Chunks", "Text", "Verdicts"]


class Text:
    """A message as text: CRLF line ends, dots stuffed, a dot on a line of its own at the end."""

    def __init__(self) -> None:
        self.end: EndOfData = EndOfData()
        self.octets: int = 0
        """As sent, without the last dot."""
        self.is_ended: bool = False
        self._stuffer: DotStuffer | None = None  # made for the first block, where it is not the last as well

    def feed(self, block: bytes) -> bytes:
        """Return what `block` is on the wire. Raises ValueError for a NUL."""
        stuffer = self._stuffer = self._stuffer or DotStuffer()
        wire = stuffer.feed(block)
        self.octets += len(wire)
        return wire

    def end_with(self, block: bytes) -> bytes:
        """Return the last `block` and the end, with the last dot. Raises ValueError for a NUL."""
        if self._stuffer is None and type(block) is MailText and block.endswith(b"\n"):
            return self.whole(block)
        stuffer = self._stuffer or DotStuffer()
        wire = stuffer.feed(block) + stuffer.finish()
        self.is_ended = True
        self.octets += len(wire) - len(TERMINATOR)
        return wire

    def whole(self, message: MailText) -> bytes:
        """Return what `end_with` does for a `message` that is all of the text, and ends a line."""
        wire = DotStuffer.whole(message)
        self.is_ended = True
        self.octets = len(wire) - len(TERMINATOR)
        return wire


class Chunks:
    """A message in chunks: CRLF line ends, or, if it is binary, octets as they are."""

    def __init__(self, *, is_binary: bool) -> None:
        self._line_ends = None if is_binary else LineEnds()
        self._at_line_start = True

    def cut(self, block: bytes, *, last: bool) -> tuple[Bdat | None, bytes]:
        """Return the next chunk and the command for it: None if `block` only begins a line end, and is kept.

        Raises ValueError for a NUL in text.
        """
        if self._line_ends is not None:
            block = self._line_ends.feed(block)
            if last and (rest := self._line_ends.finish()):
                block += rest
            if block:
                self._at_line_start = block.endswith(b"\n")
            # RFC 3030 2: text goes in lines that end in CRLF, and so does its last one.
            if last and not self._at_line_start:
                block += b"\r\n"
        if last:
            return BdatLast(len(block)), block
        return (Bdat(len(block)), block) if block else (None, block)


class Verdicts:
    """The replies to the end of a message in LMTP: one for each recipient accepted, in their order (RFC 2033 4.2)."""

    def __init__(self) -> None:
        self.standing = 0  # recipients accepted in the transaction whose replies come in
        self._due: int | None = None  # how many replies are yet to come; None before the first

    def is_last(self) -> bool:
        """Count a reply; return whether it is the last one. A message that is for nobody is answered once."""
        due = self.standing if self._due is None else self._due
        self._due = due - 1 if due > 1 else None
        return self._due is None
