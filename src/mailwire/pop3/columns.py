"""Columns: what is known of a million messages, in a few octets for each.

A Python object for each number, size and unique id would take some hundred octets for each message. Here numbers are
runs (a whole maildrop is one run), sizes are machine words, and unique ids lie end to end in one block.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import lt
from typing import Final

__all__ = ["NumberColumn", "UniqueIdColumn"]

# How many hashes are compared at a time, so that they stay in the processor's cache.
_COMPARED: Final = 2**15


class NumberColumn:
    """Message numbers, in the order in which they were added, as runs of consecutive ones."""

    def __init__(self) -> None:
        self.is_ascending: bool = True  # each is greater than the one before
        self._firsts = array("I")  # the number that begins each run...
        self._places = array("I")  # ...and its place among all
        self._count = 0

    @property
    def runs(self) -> Iterator[range]:
        """The numbers, as ranges."""
        for run, first in enumerate(self._firsts):
            yield range(first, first + self._end_of(run) - self._places[run])

    @property
    def next(self) -> int:
        """One more than the number added last: the one that would go on with its run."""
        return self._firsts[-1] + self._count - self._places[-1] if self._firsts else 1

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NumberColumn):
            return NotImplemented
        return (self._firsts, self._places, self._count) == (other._firsts, other._places, other._count)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> int:
        run = bisect_right(self._places, place) - 1
        return self._firsts[run] + place - self._places[run]

    def __iter__(self) -> Iterator[int]:
        for run in self.runs:
            yield from run

    def find(self, number: int) -> int | None:
        """Return the place of `number` in a column that is ascending; None if it is not there."""
        run = bisect_right(self._firsts, number) - 1
        if run < 0:
            return None
        place = self._places[run] + number - self._firsts[run]
        return place if place < self._end_of(run) else None

    def extend(self, first: int, count: int = 1) -> None:
        """Add `first` and the numbers behind it, `count` in all."""
        expected = self.next
        if not self._firsts or first != expected:
            self.is_ascending = self.is_ascending and (not self._firsts or first > expected)
            self._firsts.append(first)
            self._places.append(self._count)
        self._count += count

    def _end_of(self, run: int) -> int:
        return self._places[run + 1] if run + 1 < len(self._places) else self._count


class UniqueIdColumn:
    """Unique ids, or None for those that are unknown. It begins with `unknown` of these.

    unknown: how many are unknown.
    """

    def __init__(self, unknown: int = 0) -> None:
        self.unknown: int = unknown
        self._block = bytearray()
        self._ends = array("I", bytes(4 * (unknown + 1)))
        # Most servers give ids that ascend with the numbers, and then none is there twice.
        self._is_ascending = True
        self._last = b""

    def __len__(self) -> int:
        return len(self._ends) - 1

    def octets(self, place: int) -> bytes:
        """Return the id at `place`, empty for None."""
        return bytes(self._block[self._ends[place] : self._ends[place + 1]])

    def __getitem__(self, place: int) -> str | None:
        return self.octets(place).decode("ascii") or None

    def __iter__(self) -> Iterator[str | None]:
        # Decoded in pieces, so that neither a call for each nor a copy of all is made.
        step = 4096
        for begin in range(0, len(self), step):
            ends = self._ends[begin : begin + step + 1]
            base = ends[0]
            text = self._block[base : ends[-1]].decode("ascii")
            start = 0
            for end in ends[1:]:
                end -= base
                yield text[start:end] or None
                start = end

    def places(self, uid: bytes) -> list[int]:
        """Return where `uid` stands, in ascending order."""
        if not uid:
            return []
        if self._is_ascending and not self.unknown:
            place = bisect_left(range(len(self)), uid, key=self.octets)
            return [place] if place < len(self) and self.octets(place) == uid else []
        # The block is searched in a fortieth of the time that it takes to look at each id, and no index is kept.
        found: list[int] = []
        at = self._block.find(uid)
        while at >= 0:
            place = bisect_right(self._ends, at) - 1
            end = self._ends[place + 1]
            if (self._ends[place], end) == (at, at + len(uid)):
                found.append(place)
            at = self._block.find(uid, end)
        return found

    def append(self, uid: bytes | None) -> None:
        """Add an id, or what stands for one that is unknown: None, or none of its octets."""
        if not uid:
            self.unknown += 1
            self._ends.append(len(self._block))
        else:
            self.extend([uid], [len(uid)])

    def extend(self, uids: Sequence[bytes], lengths: Sequence[int]) -> None:
        """Add ids, of which none is empty, and of which the lengths are known."""
        self._ends.extend(array("I", list(accumulate(lengths, initial=self._ends.pop()))))
        self._block += b"".join(uids)
        if self._is_ascending:
            self._is_ascending = self._last < uids[0] and all(map(lt, uids, uids[1:]))
            self._last = uids[-1]

    def shared(self) -> bytearray | None:
        """Return an octet for each place, 1 where the id is there more than once; None if no id is."""
        if self._is_ascending:
            return None
        # By hashes of 64 bits, part by part, for a set of a million ids would take more than all that is kept here. Two
        # ids of one hash would be marked, too, to the harm of nobody.
        parts = [array("q") for _ in range(1 + len(self) // _COMPARED)]
        for value in map(hash, filter(None, self)):
            parts[value % len(parts)].append(value)
        twice: set[int] = set()
        for part in parts:
            if len(set(part)) < len(part):
                once: set[int] = set()
                for value in part:
                    (twice if value in once else once).add(value)
        return bytearray(uid is not None and hash(uid) in twice for uid in self) if twice else None
