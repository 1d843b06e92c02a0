"""Portions: of what there may be a million, as many as a turn of the event loop has time for."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

__all__ = ["PORTION", "portions"]

T = TypeVar("T")

PORTION: Final = 1_000
"""How many at a time."""


def portions(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield the items in portions, in their order; of none, none."""
    for begin in range(0, len(items), PORTION):
        yield items[begin : begin + PORTION]
