"""ListingReader: reads a listing as it comes, block by block.

A listing of a million lines is neither held as a whole nor taken apart line by line: a block of lines that are all as
they should be is read at one go, by few calls that each go over the whole block. Any other block is read line by line,
so that a line that makes no sense spoils what it is about and nothing else. What comes out is the same either way, and
however the octets are cut.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import ClassVar, Final, NoReturn, Protocol, TypeVar

from .._wire.text import quote
from ..errors import LimitExceeded, RemoteProtocolError
from .columns import NumberColumn
from .findings import FindingKind, Findings
from .limits import DEFAULT_LIMITS, Limits

__all__ = ["GREATEST_NUMBER", "BodyReader", "ListingReader", "read_number", "read_octets"]

T_co = TypeVar("T_co", covariant=True)

GREATEST_NUMBER: Final = 2**31 - 1
"""The greatest number of a message: no maildrop has two thousand million."""

# What is greater is a negative number that somebody printed without its sign.
_GREATEST_SIZE: Final = 2**63 - 1

# Octets that are taken apart at a time: their words stay in the processor's cache.
_PIECE: Final = 16 * 1024

# ASCII digits only, and few enough that int() neither refuses nor takes long.
_DIGITS: Final = re.compile(rb"[0-9]{1,20}\Z")


class BodyReader(Protocol[T_co]):
    """Reads the body of an answer as it comes."""

    def feed(self, block: bytes) -> None:
        """Take the next octets of the body. Raises LimitExceeded."""

    def finish(self) -> T_co:
        """Return what the body, now whole, means."""


def read_number(word: bytes) -> int | None:
    """Return the message number that `word` is; None if it is none."""
    number = int(word) if _DIGITS.match(word) else 0
    return number if 1 <= number <= GREATEST_NUMBER else None


def read_octets(word: bytes) -> int | None:
    """Return the number of octets that `word` is; None if it is none."""
    octets = int(word) if _DIGITS.match(word) else None
    return octets if octets is not None and octets <= _GREATEST_SIZE else None


class ListingReader(ABC):
    """Reads lines of a message number and something about the message. What that is, is for those that derive from it.

    limits: how long a line and the listing may be.
    masked: takes out of the server's words what must not be shown.
    """

    octets_of_words: ClassVar[bytes]  # that may stand in the words of a regular line
    irregular: ClassVar[bytes] = b"\0"  # what does not stand in it, though the octets might

    def __init__(self, limits: Limits = DEFAULT_LIMITS, masked: Callable[[bytes], bytes] = bytes) -> None:
        self.numbers: NumberColumn = NumberColumn()
        self.findings: Findings = Findings(masked)
        self._limits = limits
        self._begun: list[bytes] = []  # a line of which the end has not come yet
        self._begun_octets = 0
        self._lines = 0

    def feed(self, block: bytes) -> None:
        """Take the next octets of the listing. Raises LimitExceeded."""
        end = block.rfind(b"\n") + 1
        if end:
            lines = block[:end]
            if self._begun:
                lines = b"".join((*self._begun, lines))
                self._begun.clear()
                self._begun_octets = 0
            start = 0
            while start < len(lines):
                stop = lines.rfind(b"\n", start, start + _PIECE) + 1 or lines.find(b"\n", start) + 1
                self._read(lines[start:stop])
                start = stop
        if end < len(block):
            self._begun.append(block[end:])
            self._begun_octets += len(block) - end
            if self._begun_octets > self._limits.line + 1:  # a CR may be part of the line's end
                self._refuse_line()

    def read_answer(self, number: int, line: bytes) -> None:
        """Take the text of the answer about one message `number`, whatever is in it.

        Raises RemoteProtocolError if it is about another message: it may be the answer to another question.
        """
        self._read_answer(number, line.split(), line)

    # For those that derive from it

    def _read_answer(self, number: int, words: list[bytes], line: bytes) -> None:
        told = read_number(words[0]) if words else None
        if len(words) > 1 and told not in (None, number):
            raise RemoteProtocolError(f"expected the message number {number}, got {quote(words[0])} in {quote(line)}")
        if words and told is None:
            self.findings.add(FindingKind.BAD_NUMBER, number, line)
        self.numbers.extend(number)
        self._take(number, words[1:], line)

    @abstractmethod
    def _take(self, number: int, words: list[bytes], line: bytes) -> None:
        """Take what `line` tells about the message `number`, in `words`."""

    @abstractmethod
    def _take_all(self, words: list[bytes]) -> bool:
        """Take the words of regular lines, one for each, or leave them all: then return False."""

    def _by_number(self) -> Iterator[tuple[int, list[int]]]:
        # The numbers in ascending order, each with the places where it stands in the listing.
        greatest = 0
        for run in self.numbers.runs:
            if run.start < greatest:
                self.findings.add(FindingKind.OUT_OF_ORDER, run.start)
            greatest = max(greatest, run[-1])
        # One int for each line, and not a tuple: there may be a million.
        total = len(self.numbers)
        in_order = sorted(number * total + place for place, number in enumerate(self.numbers))
        for number, group in groupby(in_order, key=lambda key: key // total):
            yield number, [key % total for key in group]

    # Private

    def _read_line(self, line: bytes) -> None:
        words = line.split()
        number = read_number(words[0]) if words else None
        if not words:
            self.findings.add(FindingKind.BLANK_LINE)
        elif number is None:
            self.findings.add(FindingKind.BAD_NUMBER, said=line)
        else:
            if len(words) > 1 and (line != line.strip() or not line.startswith(b" ".join(words[:2]))):
                self.findings.add(FindingKind.SPACING, number, line)
            self.numbers.extend(number)
            self._take(number, words[1:], line)

    def _read(self, lines: bytes) -> None:
        count = lines.count(b"\n")
        self._lines += count
        if self._lines > self._limits.listing_lines:
            raise LimitExceeded(f"a listing has more than {self._limits.listing_lines} lines")
        if self._read_regular(lines, count):
            return
        for line in lines.split(b"\n")[:-1]:
            line = line.removesuffix(b"\r")
            if len(line) > self._limits.line:
                self._refuse_line()
            self._read_line(line)

    def _read_regular(self, lines: bytes, count: int) -> bool:
        # With the octets of words taken out, what is left shows that each line has one blank, and nothing else that
        # separates words.
        spaces = lines.translate(None, self.octets_of_words)
        if spaces not in (b" \r\n" * count, b" \n" * count) or self.irregular in lines:
            return False
        words = lines.split()
        first = read_number(words[0]) if len(words) == 2 * count else None
        if first is None or first + count - 1 > GREATEST_NUMBER:
            return False
        # Numbers that follow each other are compared with how they are written, for that takes less than to read them.
        if b" ".join(words[::2]) != b" ".join([b"%d"] * count) % (*range(first, first + count),):
            return False
        if not self._take_all(words[1::2]):
            return False
        self.numbers.extend(first, count)
        return True

    def _refuse_line(self) -> NoReturn:
        # Not quoted: what is cut off may begin something that must not be shown.
        raise LimitExceeded(f"a line of a listing is longer than {self._limits.line} octets")
