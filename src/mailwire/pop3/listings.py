"""Listings: what STAT, LIST and UIDL say about a maildrop (RFC 1939 5 and 7), and the reading of it.

Servers say strange things here. A line that cannot be read spoils what it is about and nothing else; what is wrong with
it stands among the findings. Nothing that a server lists is a ValueError, or the loss of a whole listing.
"""

import re
from abc import abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import merge
from typing import Final, Self, TypeVar

from .columns import NumberColumn, UniqueIdColumn
from .findings import Finding, FindingKind, Findings
from .limits import DEFAULT_LIMITS, Limits
from .listing_reader import GREATEST_NUMBER, ListingReader, read_octets
from .response import Response

__all__ = ["DropListing", "ScanListing", "ScanReader", "UniqueIdListing", "UniqueIdReader"]

V = TypeVar("V")

_UNIQUE_ID_LIMIT: Final = 70
# RFC 1939 7: the characters of a unique id.
_UNIQUE_ID_OCTETS: Final = bytes(range(0x21, 0x7F))
_UNIQUE_ID: Final = re.compile(rb"[!-~]+\Z")
_ALL_DIGITS: Final = re.compile(rb"[0-9]+\Z")

# How many entries a repr shows.
_SHOWN_ENTRIES: Final = 20


@dataclass(frozen=True, slots=True)
class DropListing:
    """The answer to STAT: how many messages, how many octets in all; None for what cannot be read.

    Each is read by itself: there are servers that count right and give a negative number of octets.
    """

    count: int | None
    octets: int | None
    findings: tuple[Finding, ...] = field(default=(), compare=False)

    @classmethod
    def parse(cls, response: Response) -> Self:
        """Read the response to STAT."""
        first, second, *_ = *response.line.split(), b"", b""
        count, octets, findings = read_octets(first), read_octets(second), Findings()
        if count is not None and count > GREATEST_NUMBER:
            count = None
        if count is None:
            findings.add(FindingKind.BAD_COUNT, said=response.line)
        if octets is None:
            findings.add(FindingKind.BAD_OCTETS, said=response.line)
        return cls(count, octets, findings.kept)


class _NumberedListing(Mapping[int, V]):
    # Message numbers, in ascending order, each with what is told about it.

    def __init__(self, numbers: NumberColumn, findings: Findings) -> None:
        self.numbers = numbers
        self._findings = findings

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with it: at most 100 findings of a kind."""
        return self._findings.kept

    @property
    def finding_counts(self) -> Mapping[FindingKind, int]:
        """How many things of each kind are wrong with it, all counted."""
        return self._findings.counts

    def __getitem__(self, number: int) -> V:
        place = self.numbers.find(number)
        if place is None:
            raise KeyError(number)
        return self._at(place)

    def __iter__(self) -> Iterator[int]:
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def __repr__(self) -> str:
        shown = dict(self.items()) if len(self) <= _SHOWN_ENTRIES else f"{len(self)} messages"
        return f"{type(self).__name__}({shown})"

    @abstractmethod
    def _at(self, place: int) -> V:
        """Return what is told about the message at `place`."""


class ScanListing(_NumberedListing[int]):
    """The answer to LIST: message number -> size in octets, 0 where it cannot be read.

    The sizes are hints: only a message's end ends it. What follows a size on its line is not for us (RFC 1939 5).

    numbers, sizes: the same as columns, in ascending order of the numbers.
    """

    def __init__(self, numbers: NumberColumn, sizes: "array[int]", findings: Findings) -> None:
        super().__init__(numbers, findings)
        self.sizes = sizes

    @classmethod
    def parse(cls, response: Response, number: int | None = None) -> "ScanListing":
        """Read the response to LIST, of one message `number` or of all.

        Raises RemoteProtocolError for an answer about another message; LimitExceeded for a listing beyond all measure.
        """
        reader = ScanReader()
        if number is None:
            reader.feed(response.body)
        else:
            reader.read_answer(number, response.line)
        return reader.finish()

    def _at(self, place: int) -> int:
        return self.sizes[place]


class UniqueIdListing(_NumberedListing[str | None]):
    """The answer to UIDL: message number -> unique id, None where there is none that can be relied on.

    An id is 1 to 70 of the characters 0x21 to 0x7E, kept as it came (RFC 1939 7). It is the server's text: never use it
    as a file name. What was said instead of an id stands among the findings.

    numbers, uids: the same as columns, in ascending order of the numbers.
    """

    def __init__(self, numbers: NumberColumn, uids: UniqueIdColumn, findings: Findings) -> None:
        super().__init__(numbers, findings)
        self.uids = uids

    @classmethod
    def parse(cls, response: Response, number: int | None = None) -> "UniqueIdListing":
        """Read the response to UIDL, of one message `number` or of all.

        Raises RemoteProtocolError for an answer about another message; LimitExceeded for a listing beyond all measure.
        """
        reader = UniqueIdReader()
        if number is None:
            reader.feed(response.body)
        else:
            reader.read_answer(number, response.line)
        return reader.finish()

    def amended(self, answers: Iterable["UniqueIdListing"]) -> "UniqueIdListing":
        """Return the listing with what was told since about single messages, each asked for by `Uidl(number)`.

        So a server is asked again about what it said badly. The findings are those of the listing and of the answers.
        """
        told: dict[int, str | None] = {}
        findings = Findings()
        findings.take(self.findings, self.finding_counts)
        for answer in answers:
            told.update(answer)
            findings.take(answer.findings, answer.finding_counts)
        numbers, uids = NumberColumn(), UniqueIdColumn()
        for number in merge(self, sorted(number for number in told if number not in self)):
            uid = told[number] if number in told else self[number]
            numbers.extend(number)
            uids.append(None if uid is None else uid.encode("ascii"))
        return UniqueIdListing(numbers, uids, findings)

    def _at(self, place: int) -> str | None:
        return self.uids[place]


class ScanReader(ListingReader):
    """Reads the body of the answer to LIST."""

    octets_of_words = b"0123456789"
    irregular = b" 0"  # a size may have more zeros than digits are read

    def __init__(self, limits: Limits = DEFAULT_LIMITS, masked: Callable[[bytes], bytes] = bytes) -> None:
        super().__init__(limits, masked)
        self._sizes = array("q")

    def finish(self) -> ScanListing:
        """Return the listing."""
        if not self.numbers.is_ascending:
            numbers, sizes = NumberColumn(), array("q")
            for number, places in self._by_number():
                # Sizes are hints: the first that is told is as good as any.
                sizes.append(self._sizes[places[0]])
                numbers.extend(number)
                if len(places) > 1:
                    self.findings.add(FindingKind.REPEATED, number)
            self.numbers: NumberColumn = numbers
            self._sizes = sizes
        return ScanListing(self.numbers, self._sizes, self.findings)

    def _take(self, number: int, words: list[bytes], line: bytes) -> None:
        size = read_octets(words[0]) if words else None
        if size is None:
            self.findings.add(FindingKind.BAD_SIZE if words else FindingKind.NO_SIZE, number, line)
        self._sizes.append(size or 0)

    def _take_all(self, words: list[bytes]) -> bool:
        try:
            self._sizes.extend(array("q", list(map(int, words))))
        except (OverflowError, ValueError):  # it has more digits than a size has, or than int() takes
            return False
        return True


class UniqueIdReader(ListingReader):
    """Reads the body of the answer to UIDL."""

    octets_of_words = _UNIQUE_ID_OCTETS

    def __init__(self, limits: Limits = DEFAULT_LIMITS, masked: Callable[[bytes], bytes] = bytes) -> None:
        super().__init__(limits, masked)
        self._uids = UniqueIdColumn()

    def read_answer(self, number: int, line: bytes) -> None:
        """Take the text of the answer to UIDL about one message. It may be the id alone, if it is not all digits."""
        words = line.split()
        if len(words) == 1 and not _ALL_DIGITS.match(words[0]):
            self.findings.add(FindingKind.UID_ALONE, number, line)
            words.insert(0, b"%d" % number)
        super()._read_answer(number, words, line)

    def finish(self) -> UniqueIdListing:
        """Return the listing."""
        if not self.numbers.is_ascending:
            numbers, uids = NumberColumn(), UniqueIdColumn()
            for number, places in self._by_number():
                told = {self._uids.octets(place) for place in places}
                uids.append(told.pop() if len(told) == 1 else None)
                numbers.extend(number)
                if len(places) > 1:
                    # Which of them is it? To delete the wrong one is to lose a mail.
                    self.findings.add(FindingKind.CONTRADICTED if told else FindingKind.REPEATED, number)
            self.numbers: NumberColumn = numbers
            self._uids = uids
        return UniqueIdListing(self.numbers, self._uids, self.findings)

    def _take(self, number: int, words: list[bytes], line: bytes) -> None:
        problem = _uid_problem(number, words)
        if problem is not None:
            self.findings.add(problem, number, line)
        self._uids.append(words[0] if problem is None else None)

    def _take_all(self, words: list[bytes]) -> bool:
        lengths = list(map(len, words))
        if max(lengths) > _UNIQUE_ID_LIMIT:
            return False
        self._uids.extend(words, lengths)
        return True


def _uid_problem(number: int, words: list[bytes]) -> FindingKind | None:
    if not words:
        return FindingKind.NO_UID
    if len(words) > 1:
        # Two entries on one line, with or without a blank between the id and the next message's number.
        following = b"%d" % (number + 1)
        is_glued = words[1:-1] == [following] or (len(words) == 2 and words[0].endswith(following))
        return FindingKind.GLUED if is_glued else FindingKind.EXTRA_TEXT
    if not _UNIQUE_ID.match(words[0]):
        return FindingKind.BAD_UID
    return FindingKind.LONG_UID if len(words[0]) > _UNIQUE_ID_LIMIT else None
