"""Mail data: the octets of a message on its way in, behind DATA (RFC 5321 4.1.1.4) or by BDAT (RFC 3030 2).

Stricter than most servers: a message with a bare CR, a bare LF or a NUL is refused, so that no client that sends one
passes its tests here (RFC 5321 2.3.8, VU#302671). Only BODY=BINARYMIME may hold anything.
"""

from .._wire.dots import DotUnstuffer, LineEnds
from .maildrop import Envelope

__all__ = ["Content", "MailData"]


class Content:
    """The octets of one message, of which there may be `size_limit`; of any kind if it `is_binary`.

    refusal: the situation for which it is refused, in the words of `smtp_replies.REPLIES`; None while it is not.
    """

    def __init__(self, size_limit: int, *, is_binary: bool = False) -> None:
        self.refusal: str | None = None
        self._size_limit = size_limit
        self._size = 0
        self._blocks: list[bytes] = []
        self._line_ends = None if is_binary else LineEnds("reject")

    def add(self, block: bytes) -> None:
        """Add octets. What is refused is not kept."""
        self._size += len(block)
        if self._size > self._size_limit:
            self.refusal = "message too big"
            self._blocks.clear()
        elif self.refusal is None:
            try:
                self._blocks.append(block if self._line_ends is None else self._line_ends.feed(block))
            except ValueError:
                self.refusal = "line ends"

    def finish(self) -> None:
        """Judge the end of it: there are no more octets."""
        if self._line_ends is not None and self.refusal is None:
            try:
                self._line_ends.finish()
            except ValueError:
                self.refusal = "line ends"

    def octets(self) -> bytes:
        """Return them all, of a message that is complete and was not refused."""
        return b"".join(self._blocks)


class MailData:
    """One message behind DATA, with its `envelope`; it may have `size_limit` octets. It is judged at its end."""

    def __init__(self, envelope: Envelope, size_limit: int) -> None:
        self.envelope = envelope
        self.has_begun: bool = False
        self._content = Content(size_limit)
        self._unstuffer = DotUnstuffer()

    @property
    def finished(self) -> bool:
        """Whether the dot was seen."""
        return self._unstuffer.finished

    @property
    def refusal(self) -> str | None:
        """The situation for which it is refused, in the words of `smtp_replies.REPLIES`."""
        return self._content.refusal

    def feed(self, data: bytes, start: int) -> int:
        """Take `data` from `start` on; return where in it the message ends or the block does."""
        self.has_begun = True
        block, stop = self._unstuffer.feed(data, start)
        # What is refused is read on and not kept: the client hears of it behind the dot.
        self._content.add(block)
        return stop

    def content(self) -> bytes:
        """Return the message, which was not refused and is complete."""
        return self._content.octets()
