"""RecordColumns: the records of an account, of which there may be a million, in some sixty octets for each.

As objects they would take some three hundred. So each is made when it is asked for; what few of them have, a failure
and a reason, is kept for these alone.
"""

import re
from array import array
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, TypeVar, overload

from .._wire.text import check_kind
from .ledger import Record, State

__all__ = ["RecordColumns", "from_microseconds", "to_microseconds"]

T = TypeVar("T")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_STATES: Final = tuple(State)
_PLACES: Final = {state.value: place for place, state in enumerate(_STATES)}
# Of the octet that says the state, the bits that say what else there is.
_STATE: Final = 0x0F
_HAS_DIGEST: Final = 0x10
_HAS_MORE: Final = 0x20

_DIGEST: Final = re.compile(r"[0-9a-f]{32}\Z")  # a `pop3.Fingerprint`
_DIGEST_OCTETS: Final = 16


def to_microseconds(time: datetime) -> int:
    """Return a time as microseconds since 1970, UTC."""
    return (time - _EPOCH) // _MICROSECOND


@lru_cache(256)
def from_microseconds(microseconds: int) -> datetime:
    """Return the time that is so many microseconds since 1970, UTC. Raises OverflowError."""
    return _EPOCH + microseconds * _MICROSECOND


_FIRST: Final = to_microseconds(datetime.min.replace(tzinfo=UTC))
_LAST: Final = to_microseconds(datetime.max.replace(tzinfo=UTC))


class RecordColumns(Mapping[str, Record]):
    """Records by uid, in the order in which they were added. First all are added, then it is `ready`."""

    def __init__(self) -> None:
        self._kinds = bytearray()
        self._first_seen = array("q")
        self._since = array("q")
        self._sizes = array("q")
        # Uids, each with the octets of its fingerprint behind it if it has one of ours; and where they end.
        self._block = bytearray()
        self._ends = array("I", [0])
        # What there is no column for: failures, reason, and a fingerprint that is none of ours, by place.
        self._more: dict[int, tuple[int, str, str]] = {}
        # By hashes: at the slot that a uid's leads to, or the next free one, its place and one.
        self._slots = array("I", [0])

    def add(
        self,
        uid: str,
        state: str,
        first_seen: int,
        since: int,
        size: int,
        failures: int = 0,
        reason: str = "",
        fingerprint: str = "",
    ) -> None:
        """Add a record, whose uid no other has, its state by its value and its times in microseconds since 1970.

        Raises ValueError, TypeError and OverflowError for what is none, and is of no use then.
        """
        if not uid or state not in _PLACES:
            raise ValueError(f"expected a uid and a state, got {uid!r} and {state!r}")
        if not (_FIRST <= first_seen <= _LAST and _FIRST <= since <= _LAST):
            raise OverflowError(f"expected times from the year 1 to 9999, got {first_seen} and {since}")
        kind = _PLACES[state]
        octets = uid.encode()
        if fingerprint and _DIGEST.match(fingerprint):
            kind |= _HAS_DIGEST
            octets += bytes.fromhex(fingerprint)
            fingerprint = ""
        if failures or reason or fingerprint:
            check_kind("failures", failures, int, "a number")
            check_kind("reason", reason, str, "a string")
            kind |= _HAS_MORE
            self._more[len(self)] = failures, reason, fingerprint
        self._kinds.append(kind)
        self._first_seen.append(first_seen)
        self._since.append(since)
        self._sizes.append(size)
        self._block += octets
        self._ends.append(len(self._block))

    def ready(self) -> None:
        """Make it so that records are found by their uids."""
        mask = (1 << (2 * len(self)).bit_length()) - 1
        self._slots = slots = array("I", bytes(4 * (mask + 1)))
        for place, uid in enumerate(self, 1):
            slot = hash(uid) & mask
            while slots[slot]:
                slot = (slot + 1) & mask
            slots[slot] = place

    def __len__(self) -> int:
        return len(self._kinds)

    def __iter__(self) -> Iterator[str]:
        return (self._octets(place).decode() for place in range(len(self)))

    def __contains__(self, uid: object) -> bool:
        return isinstance(uid, str) and self._find(uid) is not None

    def __getitem__(self, uid: str) -> Record:
        place = self._find(uid)
        if place is None:
            raise KeyError(uid)
        return self._record(uid, place)

    @overload
    def get(self, uid: str, /) -> Record | None: ...
    @overload
    def get(self, uid: str, /, default: Record | T) -> Record | T: ...
    def get(self, uid: str, /, default: Record | T | None = None) -> Record | T | None:
        """Return the record of `uid`; `default` if there is none."""
        place = self._find(uid)
        return default if place is None else self._record(uid, place)

    # Private

    def _find(self, uid: str) -> int | None:
        slots, octets = self._slots, uid.encode("utf-8", "surrogatepass")
        mask = len(slots) - 1
        slot = hash(uid) & mask
        while place := slots[slot]:
            if self._octets(place - 1) == octets:
                return place - 1
            slot = (slot + 1) & mask
        return None

    def _octets(self, place: int) -> bytearray:
        end = self._ends[place + 1]
        return self._block[self._ends[place] : end - _DIGEST_OCTETS if self._kinds[place] & _HAS_DIGEST else end]

    def _record(self, uid: str, place: int) -> Record:
        kind = self._kinds[place]
        failures, reason, fingerprint = self._more[place] if kind & _HAS_MORE else (0, "", "")
        if kind & _HAS_DIGEST:
            end = self._ends[place + 1]
            fingerprint = self._block[end - _DIGEST_OCTETS : end].hex()
        return Record(
            uid,
            _STATES[kind & _STATE],
            from_microseconds(self._first_seen[place]),
            from_microseconds(self._since[place]),
            self._sizes[place],
            failures,
            reason,
            fingerprint,
        )
