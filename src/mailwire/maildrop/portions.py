"""Portions: of what there may be a million, as many as a turn of the event loop has time for."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

__all__ = ["PORTION", "portions"]

T = TypeVar("T")

PORTION: Final = 1_000
"""How many at a time."""


def portions(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield the items in portions, in their order; of none, none."""
    there = iter(items)
    while portion := list(islice(there, PORTION)):
        yield portion
