"""LazySequence: a sequence whose items are made when they are asked for.

There may be a million of them, of which most are never looked at: what they are made of takes a few octets for each.
"""

from collections.abc import Callable, Iterator, Sequence
from operator import eq
from typing import Final, TypeVar, overload

__all__ = ["LazySequence"]

T = TypeVar("T")

# How many items a repr shows.
_SHOWN: Final = 20


class LazySequence(Sequence[T]):
    """So many items, each made anew whenever it is asked for; equal to a tuple of the same items.

    count: how many there are; make: makes the one at a place, counted from 0.
    """

    def __init__(self, count: int, make: Callable[[int], T]) -> None:
        self._count = count
        self._make = make

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[T, ...]: ...
    def __getitem__(self, place: int | slice) -> T | tuple[T, ...]:
        if isinstance(place, slice):
            return tuple(map(self._make, range(self._count)[place]))
        return self._make(range(self._count)[place])

    def __iter__(self) -> Iterator[T]:
        return map(self._make, range(self._count))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LazySequence | tuple):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __reduce__(self) -> tuple[object, ...]:
        # What it is made of, is nobody's business who gets a copy.
        return tuple, (tuple(self),)

    def __repr__(self) -> str:
        return repr(tuple(self)) if len(self) <= _SHOWN else f"<{len(self)} items>"
