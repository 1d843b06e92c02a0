"""FrozenMapping: a mapping that is a value, as the commands and receipts are that hold one."""

from collections.abc import ItemsView, Iterator, Mapping
from typing import TypeVar

__all__ = ["FrozenMapping"]

V = TypeVar("V")


class FrozenMapping(Mapping[str, V]):
    """A mapping that cannot be changed, and can be hashed, pickled and copied. It keeps the order it was given."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, V]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: str) -> V:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    # What Mapping makes of the three above is right, and takes ten times as long: each mail asks for it.

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def items(self) -> ItemsView[str, V]:
        return self._items.items()

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __reduce__(self) -> tuple[object, ...]:
        # By itself a class with slots cannot be pickled by the two oldest protocols.
        return type(self), (self._items,)

    def __repr__(self) -> str:
        return repr(self._items)
