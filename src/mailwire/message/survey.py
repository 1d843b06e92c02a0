"""Survey: what must be known of a message's octets before, or while, a server is given them.

It works on blocks, with `find` and `isascii`. Lines are measured by leaps of a thousand octets, and many that have one
length, as those of base64 have, in one step.
"""

import codecs
import re
from typing import Final

from .._wire.dots import MANY_OCTETS, ends_in_a_row

__all__ = ["LINE_LIMIT", "Survey", "has_long_line"]

LINE_LIMIT: Final = 1000
"""The octets of a line of text, with its CRLF (RFC 5321 4.5.3.1.6)."""

_HEADER_END: Final = re.compile(rb"\n\r?\n")  # what is binary may have lines that end in LF
_UTF8: Final = codecs.getincrementaldecoder("utf-8")


class Survey:
    """The facts about the octets fed so far, which have gone through LineEnds, unless they are binary.

    octets: how many there are.
    is_ascii: whether none is beyond ASCII.
    header_is_ascii, header_is_utf8: the same of the header, and whether it is UTF-8.
    long_line: where the first line begins that is too long, None if there is none.
    ends_line: whether the last octet ends a line.
    """

    def __init__(self) -> None:
        self.octets: int = 0
        self.is_ascii: bool = True
        self.header_is_ascii: bool = True
        self.header_is_utf8: bool = True
        self.long_line: int | None = None
        self.ends_line: bool = True
        self._begun = 0  # octets of the line that is not ended yet
        self._tail: bytes | None = b"\n"  # the last octets of the header, None behind it; an empty line may begin it
        self._decoder: codecs.IncrementalDecoder | None = None

    @classmethod
    def whole(cls, text: bytes) -> "Survey":
        """Survey a text of which nothing follows."""
        survey = cls()
        survey.octets = len(text)
        survey.ends_line = text.endswith(b"\n") or not text
        if survey.octets > LINE_LIMIT:
            begin, is_long = _leap(text, 0)
            if is_long:
                survey.long_line = begin
        if not text.isascii():
            survey.is_ascii = False
            survey._read_header(text, is_last=True)
        return survey

    @property
    def needs_utf8(self) -> bool:
        """Whether the header is one of RFC 6532: UTF-8, and not ASCII alone."""
        return self.header_is_utf8 and not self.header_is_ascii

    def feed(self, text: bytes) -> None:
        """Survey the next block."""
        if text:
            self.ends_line = text.endswith(b"\n")
        if self.long_line is None:
            begin, is_long = _leap(text, -self._begun)
            if is_long:
                self.long_line = self.octets + begin
            else:
                found = text.rfind(b"\n", max(begin, 0))
                self._begun = len(text) - (found + 1 if found >= 0 else begin)
        self.octets += len(text)
        self.is_ascii = self.is_ascii and text.isascii()
        if self._tail is not None:
            self._read_header(text)

    def _read_header(self, text: bytes, *, is_last: bool = False) -> None:
        before = self._tail or b""
        joined = before + text
        end = _HEADER_END.search(joined)
        header = joined[len(before) : end.start() if end else None]
        self._tail = None if end else joined[-2:]
        if not header.isascii():
            self.header_is_ascii = False
        if self.header_is_utf8 and not self.header_is_ascii:
            self._decoder = self._decoder or _UTF8()
            try:
                self._decoder.decode(header, final=is_last or end is not None)
            except UnicodeDecodeError:
                self.header_is_utf8 = False


def has_long_line(text: bytes) -> bool:
    """Whether a line of `text`, of which nothing follows, is longer than that."""
    end = len(text)
    if end >= MANY_OCTETS:
        return _leap(text, 0)[1]
    begin = 0
    while end - begin > LINE_LIMIT:
        # As in `_leap`, which does more than is needed here.
        begin = text.rfind(b"\n", begin, begin + LINE_LIMIT) + 1
        if not begin:
            return True
    return False


def _leap(text: bytes, begin: int) -> tuple[int, bool]:
    # Leap over lines, from the one that begins at `begin`. Return where the first line begins that is too long, or one
    # of the last that no limit can be in; and whether it is too long.
    end = len(text)
    if end >= MANY_OCTETS:
        first, length, count = ends_in_a_row(text, begin + LINE_LIMIT)
        if count:  # lines that have the length of the second, and no line among them that is longer
            begin = first + 1 + (count - 1) * length
    start = max(0, begin)
    while end - begin > LINE_LIMIT:
        # Between here and the last LF within reach, every line is short enough.
        found = text.rfind(b"\n", start, begin + LINE_LIMIT)
        if found < 0:
            return begin, True
        start = begin = found + 1
    return begin, False
