"""Mail data: what comes between 354 and the dot (RFC 5321 4.1.1.4), judged when it is complete."""

from .._wire.dots import DotUnstuffer, LineEnds
from .maildrop import Envelope

__all__ = ["MailData"]


class MailData:
    """One message on its way in, with its `envelope`; it may have `size_limit` octets.

    Stricter than most servers: a message with a bare CR, a bare LF or a NUL is refused, so that no client that sends
    one passes its tests here (RFC 5321 2.3.8, VU#302671).
    """

    def __init__(self, envelope: Envelope, size_limit: int) -> None:
        self.envelope = envelope
        self.has_begun = False
        self.refusal: str | None = None  # the situation, in the words of `smtp_replies.REPLIES`
        self._size_limit = size_limit
        self._size = 0
        self._blocks: list[bytes] = []
        self._unstuffer = DotUnstuffer()
        self._line_ends = LineEnds("reject")

    @property
    def finished(self) -> bool:
        """Whether the dot was seen."""
        return self._unstuffer.finished

    def feed(self, data: bytes, start: int) -> int:
        """Take `data` from `start` on; return where in it the message ends or the block does."""
        self.has_begun = True
        block, stop = self._unstuffer.feed(data, start)
        self._size += len(block)
        if self._size > self._size_limit:
            # What is refused is read on and not kept: the client hears of it behind the dot.
            self.refusal = "message too big"
            self._blocks.clear()
        elif self.refusal is None:
            try:
                self._blocks.append(self._line_ends.feed(block))
            except ValueError:
                self.refusal = "line ends"
        return stop

    def content(self) -> bytes:
        """Return the message, which was not refused and is complete."""
        return b"".join(self._blocks)
