"""UidSet: which unique ids there were, in eight octets for each."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

__all__ = ["UidSet"]

# How many are sorted at a time.
_PART: Final = 2**14


class UidSet:
    """Unique ids, `count` of them or so: first all are added, then it is sorted, then it is asked.

    It has their hashes of 64 bits. Where two uids have the same, which of a million happens once in so many millions of
    times, one is taken for being there because the other is.
    """

    def __init__(self, count: int) -> None:
        self._parts = [array("q") for _ in range(1 + count // _PART)]

    def add(self, uid: str) -> None:
        """Add one."""
        value = hash(uid)
        self._parts[value % len(self._parts)].append(value)

    def sort(self) -> Iterator[None]:
        """Make it ready to be asked; between two steps there is time for others."""
        for place, part in enumerate(self._parts):
            self._parts[place] = array("q", sorted(part))
            yield

    def __contains__(self, uid: str) -> bool:
        value = hash(uid)
        part = self._parts[value % len(self._parts)]
        place = bisect_left(part, value)
        return place < len(part) and part[place] == value
