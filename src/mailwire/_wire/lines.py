"""LineBuffer: bytes arrive in pieces of any size, lines and blocks are taken out.

The work is linear in the octets received however they are cut: a piece is searched once, a line is joined once, and a
block of a body is handed on without a copy.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from ..errors import LimitExceeded
from .text import quote

__all__ = ["LineBuffer"]

_CR: Final = 0x0D


class LineBuffer:
    """Holds what was received and not yet taken.

    A line ends in LF, or in CRLF as the standards want it (RFC 5321 2.3.8, RFC 1939 3): some servers leave out the CR,
    and no harm comes from hearing them. A CR elsewhere is text.
    """

    def __init__(self, line_limit: int) -> None:
        self.line_limit = line_limit  # octets of a line, without its end
        self.bare_lf: bool = False  # whether the line last taken ended in LF alone
        self._drops_line_feed = False
        self._masks: list[Callable[[bytes], bytes]] = []
        self._earlier_masks: Sequence[Callable[[bytes], bytes]] = ()
        self._arrived: deque[bytes] = deque()  # not looked at yet
        self._beginning: list[bytes] = []  # of a line whose end has not come yet
        self._beginning_size = 0
        self._data = b""  # being taken apart...
        self._start = 0  # ...up to here

    def feed(self, data: bytes) -> None:
        """Add what was received."""
        if self._drops_line_feed and data:
            self._drops_line_feed = False
            data = data.removeprefix(b"\n")
        if data:
            self._arrived.append(data)

    def drop_line_feed(self) -> None:
        """Let an LF pass unheard if it is what is received next: nothing else may be waiting."""
        self._drops_line_feed = True

    def __bool__(self) -> bool:
        """Whether anything is left, be it a line, the beginning of one, or a block."""
        return bool(self._arrived or self._beginning or self._start < len(self._data))

    @property
    def size(self) -> int:
        """How many octets are left."""
        return self._beginning_size + len(self._data) - self._start + sum(map(len, self._arrived))

    @property
    def has_line(self) -> bool:
        """Whether a whole line is waiting to be taken."""
        return self._data.find(b"\n", self._start) >= 0 or any(b"\n" in piece for piece in self._arrived)

    def next_line(self) -> bytes | None:
        """Take the next line, without its end; None if it is not complete yet.

        Raises LimitExceeded when a line, complete or not, is longer than `line_limit`.
        """
        data, start = self._data, self._start
        if start == len(data):
            self._data = data = self._arrived.popleft() if self._arrived else b""
            self._start = start = 0
            if not data:
                return None
        # Nearly every line lies whole in one piece: it costs a search and a slice.
        end = data.find(b"\n", start)
        if start < end <= start + self.line_limit and not self._beginning:
            self._start = end + 1
            self.bare_lf = data[end - 1] != _CR
            return data[start : end if self.bare_lf else end - 1]
        return self._next_line_of_pieces()

    def peek_block(self) -> tuple[bytes, int]:
        """Return a block and where in it the part begins that was not taken yet; the part is empty if nothing is left.

        Together with `skip_to` this lets a body be read without copying it first. To be called behind a whole line.
        """
        if self._beginning:
            raise AssertionError("a block cannot begin inside a line")
        if self._start == len(self._data):
            self._data = self._arrived.popleft() if self._arrived else b""
            self._start = 0
        return self._data, self._start

    @property
    def is_inside_line(self) -> bool:
        """Whether the beginning of a line was taken from the blocks, and its end has not come yet."""
        return bool(self._beginning)

    def skip_to(self, position: int) -> None:
        """Take the block that `peek_block` showed up to `position`."""
        self._start = position

    # What was received may hold what must not be shown: a server says back to us what it was told.

    def mask_with(self, mask: Callable[[bytes], bytes]) -> None:
        """Let what is quoted pass through `mask`, and through those given before."""
        self._masks.append(mask)

    def mask_as(self, earlier: "LineBuffer") -> None:
        """Let what is quoted pass through the masks of `earlier`, too; or, where it was given none, through those that
        it had of one before it. So the masks do not pile up from one connection to the next."""
        self._earlier_masks = earlier._masks or earlier._earlier_masks

    def masked(self, data: bytes) -> bytes:
        """Return `data` without what must not be shown."""
        for mask in (*self._earlier_masks, *self._masks):
            data = mask(data)
        return data

    def quote(self, data: bytes) -> str:
        """Return `data`, which was received, as it may stand in an error."""
        return quote(self.masked(data))

    def quote_beginning(self, data: bytes) -> str:
        """Return `data`, of which more may come, as it may stand in an error."""
        if not (self._masks or self._earlier_masks):
            return quote(data)
        # A line that is cut off may end in the beginning of what must not be shown.
        lines, line_end, cut_off = data.rpartition(b"\n")
        quoted = self.quote(lines + line_end) if line_end else ""
        return f"{quoted} ({len(cut_off)} octets)".lstrip() if cut_off else quoted

    def quote_rest(self) -> str:
        """Return everything that is left, as it may stand in an error; "" if that is nothing."""
        rest = b"".join((*self._beginning, self._data[self._start :], *self._arrived))
        return self.quote_beginning(rest) if rest else ""

    # Private

    def _next_line_of_pieces(self) -> bytes | None:
        while True:
            end = self._data.find(b"\n", self._start)
            piece = self._data[self._start : end] if end >= 0 else self._data[self._start :]
            size = self._beginning_size + len(piece)
            # A CR at the end may belong to the line's end.
            last = piece or (self._beginning[-1] if self._beginning else b"")
            if size - last.endswith(b"\r") > self.line_limit:
                text = b"".join((*self._beginning, piece))
                quoted = self.quote(text) if end >= 0 else self.quote_beginning(text)
                raise LimitExceeded(f"a line is longer than {self.line_limit} octets, it begins with {quoted}")
            if end >= 0:
                self._start = end + 1
                line = b"".join((*self._beginning, piece)) if self._beginning else piece
                self._beginning.clear()
                self._beginning_size = 0
                self.bare_lf = not line.endswith(b"\r")
                return line if self.bare_lf else line[:-1]
            self._beginning.append(piece)
            self._beginning_size += len(piece)
            self._start = 0
            if not self._arrived:
                self._data = b""
                return None
            self._data = self._arrived.popleft()
