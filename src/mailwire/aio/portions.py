"""Portions: of what there may be a million, as many as a turn of the event loop has time for."""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

__all__ = ["PORTION", "finish", "finish_in_turns", "portions"]

T = TypeVar("T")

PORTION: Final = 1_000
"""How many at a time."""


def portions(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield the items in portions, in their order; of none, none."""
    there = iter(items)
    while portion := list(islice(there, PORTION)):
        yield portion


def finish(steps: Iterable[None]) -> None:
    """Go through all `steps` of a work, one for each portion, in one turn."""
    for _ in steps:
        pass


async def finish_in_turns(steps: Iterable[None]) -> None:
    """Go through all `steps` of a work, one for each portion; the event loop has a turn behind each."""
    for _ in steps:
        await asyncio.sleep(0)
