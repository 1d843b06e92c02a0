"""Body: what follows the first line of an answer, unstuffed as it comes, up to its terminator (RFC 1939 3)."""

import re
from typing import Final

from .._wire.dots import DotUnstuffer, whole_message
from .._wire.lines import LineBuffer
from .quirks import Quirks

__all__ = ["Body", "body_at"]

# How many of the last octets tell where a body stands still.
_TAIL_OCTETS: Final = 8
# Of these, what a server's way to end lines consists of is shown, and nothing of the mail.
_SHAPE: Final = bytes(code if code in b".\r\n" else ord("x") for code in range(256))

# Exchange 2000 at times: it cannot be told from text.
_DOT_BEHIND_TEXT: Final = re.compile(rb"[^\n]\.\r\n\Z")

_STATUS: Final = re.compile(rb"(?:\+OK|-ERR)(?:[ \t\r]|\Z)")
_SIGNS: Final = (b"+OK", b"-ERR")
# A status line is no longer than this; what goes on longer is the message.
_STATUS_LIMIT: Final = 512


def body_at(data: bytes, start: int, limit: int) -> tuple[bytes, int] | None:
    """Return the body that begins at `start` and where in `data` it ends, if all of it is there, it is no longer than
    `limit` octets, and like most; None otherwise: a Body takes it then."""
    return None if data.startswith(_SIGNS, start) else whole_message(data, start, limit)


class Body:
    """The body of one answer after the other: `begin` begins the next."""

    def __init__(self, quirks: Quirks) -> None:
        self.octets: int = 0  # handed out so far
        self._quirks = quirks
        self._unstuffer = DotUnstuffer()
        self._opening: bytes | None = None  # what may be a second status line, while it is not whole
        self.stray: bytes | None = None
        """A status line that stands where a message is to begin, and is not forgiven: nothing more is taken then."""
        self._tail = b""

    @property
    def finished(self) -> bool:
        """Whether the terminator was seen."""
        return self._unstuffer.finished

    def begin(self, *, bare_lf: bool, is_message: bool) -> None:
        """Begin the body of an answer whose first line ended in a bare LF, or did not."""
        self.octets = 0
        self._tail = b""
        # A server that ends that line in a bare LF ends them all so.
        self._unstuffer.begin(bare_lf=bare_lf or self._quirks.bare_lf_bodies)
        self._opening = b"" if is_message else None

    def take(self, buffer: LineBuffer) -> bytes:
        """Return the next octets of the body; none if it is finished, or more must be received first."""
        unstuffer = self._unstuffer
        while not unstuffer.finished:
            data, start = buffer.peek_block()
            if start == len(data):
                if self._quirks.cut_terminator and unstuffer.held == b".\r":
                    unstuffer.finish()
                    buffer.drop_line_feed()
                break
            block, stop = unstuffer.feed(data, start)
            buffer.skip_to(stop)
            if self._opening is not None:
                block = self._without_status(block)
                if self.stray is not None:
                    break
            if block:
                self.octets += len(block)
                self._tail = (block if len(block) >= _TAIL_OCTETS else self._tail + block)[-_TAIL_OCTETS:]
                return block
        return b""

    def take_whole(self, buffer: LineBuffer, limit: int) -> bytes | None:
        """Take all of the body at once, if it lies whole in one block, nothing of it was taken, and it is no longer
        than `limit` octets; None otherwise: `take` takes it then."""
        data, start = buffer.peek_block()
        if self.octets or self._opening or data.startswith(_SIGNS, start):
            return None
        taken = self._unstuffer.take_whole(data, start, limit)
        if taken is None:
            return None
        message, stop = taken
        buffer.skip_to(stop)
        self.octets = len(message)
        return message

    def __str__(self) -> str:
        """How far it came, and what its last octets look like."""
        shape = (self._tail + self._unstuffer.held).translate(_SHAPE)[-_TAIL_OCTETS:]
        return f"{self.octets} octets" + (f", the last of them like {shape!r}" if shape else "")

    @property
    def hint(self) -> str:
        """What may be behind it if nothing more comes; "" if nobody knows."""
        if self._unstuffer.held == b".\r":
            return ": the end may lack its last octet (Quirks.cut_terminator)"
        if _DOT_BEHIND_TEXT.search(self._tail):
            return ": the dot may be the end, sent without the line end before it"
        return ""

    def _without_status(self, block: bytes) -> bytes:
        # A status line may come in any pieces, so hold back what may be the beginning of one.
        opening = self._opening + block if self._opening else block
        if not any(opening.startswith(sign) or sign.startswith(opening) for sign in _SIGNS):
            self._opening = None
            return opening
        line, line_end, rest = opening.partition(b"\n")
        is_status = len(line) <= _STATUS_LIMIT and _STATUS.match(line) is not None
        if not line_end and (is_status or len(line) < len(_SIGNS[1])):
            self._opening = opening
            return b""
        self._opening = None
        if not is_status:
            return opening
        if self._quirks.second_status and line.startswith(b"+"):
            return rest
        self.stray = line.removesuffix(b"\r")
        return b""
