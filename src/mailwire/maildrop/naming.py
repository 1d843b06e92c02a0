"""Naming: what the ledger knows each message of a listing by.

That is its unique id. Messages that share one are told apart by their sizes, and by their order where those are the
same; a blank, which no unique id has (RFC 1939 7), marks what is made up so.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from ..aio.portions import PORTION, finish, portions
from ..pop3 import Entry

__all__ = ["Listed", "Named", "as_entry", "identify"]


class Listed(Protocol):
    """A message on the server: its number in this session, its unique id (None if it has none), its size in octets.

    One that has `shares_uid` besides, as a `pop3.Entry` has, says by it whether another may have the same unique id.
    """

    @property
    def number(self) -> int: ...
    @property
    def uid(self) -> str | None: ...
    @property
    def size(self) -> int: ...


class Named:
    """The messages of a listing, by their places in the order of their numbers, each with its name.

    There may be a million, so nothing is kept of one but its entry, wherever that is kept already; and where names have
    to be made up, how many have the same unique id and size up to it. `prepare` is gone through first.

    nameless: how many have no unique id; shared: how many share theirs.
    """

    def __init__(self, entries: Iterable[Listed]) -> None:
        self.nameless: int = 0
        self.shared: int = 0
        self._entries: Sequence[Listed] = entries if isinstance(entries, Sequence) else list(entries)
        self._occurrences: array[int] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def prepare(self) -> Iterator[None]:
        """Look the entries through, a portion between two steps."""
        is_ascending, last = True, 0
        times = Counter[str]()
        for portion in portions(self._entries):
            for entry in portion:
                number, uid = entry.number, entry.uid
                is_ascending = is_ascending and number >= last
                last = number
                if uid is None:
                    self.nameless += 1
                elif getattr(entry, "shares_uid", True):
                    times[uid] += 1
            yield
        if not is_ascending:
            self._entries = sorted(self._entries, key=lambda entry: entry.number)
        shared = {uid for uid, count in times.items() if count > 1}
        if shared:
            yield from self._tell_apart(shared)

    def entry(self, place: int) -> Listed:
        """Return the message at `place`, counted from 0."""
        return self._entries[place]

    def name(self, place: int, entry: Listed) -> str | None:
        """Return what the ledger knows `entry` by, the message at `place`; None if that is nothing."""
        occurrence = 0 if self._occurrences is None else self._occurrences[place]
        return f"{entry.uid} {entry.size} {occurrence}" if occurrence else entry.uid

    def portions(self, *, backwards: bool = False) -> Iterator[list[tuple[int, Listed, str | None]]]:
        """Yield places, messages and names, a portion at a time; the greatest numbers first if `backwards`."""
        if backwards:
            for end in range(len(self), 0, -PORTION):
                begin = max(0, end - PORTION)
                yield list(self._named(begin, self._entries[begin:end]))[::-1]
            return
        begin = 0
        for portion in portions(self._entries):
            yield list(self._named(begin, portion))
            begin += len(portion)

    # Private

    def _named(self, begin: int, portion: Sequence[Listed]) -> Iterator[tuple[int, Listed, str | None]]:
        if self._occurrences is None:
            return ((place, entry, entry.uid) for place, entry in enumerate(portion, begin))
        return ((place, entry, self.name(place, entry)) for place, entry in enumerate(portion, begin))

    def _tell_apart(self, shared: set[str]) -> Iterator[None]:
        occurrences, so_far = array("I"), Counter[tuple[str, int]]()
        for portion in portions(self._entries):
            for entry in portion:
                occurrence = 0
                if entry.uid is not None and entry.uid in shared:
                    so_far[entry.uid, entry.size] += 1
                    occurrence = so_far[entry.uid, entry.size]
                    self.shared += 1
                occurrences.append(occurrence)
            yield
        self._occurrences = occurrences


def identify(entries: Iterable[Listed]) -> list[tuple[Listed, str | None]]:
    """Say of each message, in the order of the numbers, what the ledger knows it by."""
    named = Named(entries)
    finish(named.prepare())
    return [(entry, name) for portion in named.portions() for _, entry, name in portion]


def as_entry(listed: Listed) -> Entry:
    """Return the entry that `listed` is, of the listing that was planned for."""
    if not isinstance(listed, Entry):
        raise AssertionError("what was planned comes of the listing")
    return listed
