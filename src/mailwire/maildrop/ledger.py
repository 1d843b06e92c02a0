"""Ledger: what is known of the messages of an account, from one run to the next.

1. A record goes one way: SEEN, STORED, MARKED, GONE. What it says of the sink was true of the sink before.
2. One run at a time holds an account's page. Whoever comes second waits, or is told by LedgerBusy.
3. A ledger that cannot be read is left as it is: LedgerUnreadable. Nothing is deleted on its word.
4. It knows accounts, and not where their mail went: what was stored in one place is stored, for a run into another too.

A ledger of your own, in a database that all machines share, say, has the methods of `Ledger` and `Page`; the rest of
mailwire knows no more of one than these.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Protocol, Self, TypeVar

from ..errors import LedgerBusy

__all__ = ["Ledger", "MemoryLedger", "NoLedger", "Page", "Record", "State", "check_ledger", "wait_for_claim"]

C = TypeVar("C")

# Between two looks at whether another run has ended: short at first, for those that overlap by a little.
_FIRST_LOOK = 0.05  # seconds
_LONGEST_LOOK = 1.0


class State(Enum):
    """How far a message has come."""

    SEEN = "seen"
    """It was listed by the server. It may have failed to be retrieved, even several times."""
    STORED = "stored"
    """The sink has it for good."""
    MARKED = "marked"
    """The sink has it, and the server was asked to delete it. Whether it has, the next listing tells."""
    GONE = "gone"
    """It is no longer on the server: a later complete listing did not have it."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one message.

    uid: its unique id, or what stands for one; never a file name.
    first_seen: when it was first listed; since: when its state was reached. Both are aware of their time zone.
    size: the octets that the server announced for it.
    failures: how many times it failed to be retrieved or stored; once it is stored, how many times that did which has
        come to have its uid since. reason: why it did the last time, be it that this did not count.
    fingerprint: of its header, where that was retrieved; "" where it was not. It tells a message from another that has
        come to have its uid.

    Raises ValueError for an empty uid, one that UTF-8 cannot express, and times of no zone.
    """

    uid: str
    state: State
    first_seen: datetime
    since: datetime
    size: int = 0
    failures: int = 0
    reason: str = ""
    fingerprint: str = ""

    def __post_init__(self) -> None:
        # Most are ASCII, and there may be a million.
        if not self.uid or not (
            self.uid.isascii() or all(not "\ud800" <= character <= "\udfff" for character in self.uid)
        ):
            raise ValueError(f"expected a uid that UTF-8 can express, got {self.uid[:100]!r}")
        if self.first_seen.utcoffset() is None or self.since.utcoffset() is None:
            raise ValueError("expected times with a time zone")

    @property
    def is_previewed(self) -> bool:
        """Whether the sink has its header, and not the whole of it."""
        return self.state is State.SEEN and bool(self.fingerprint)

    @property
    def is_stored(self) -> bool:
        """Whether the sink has all of it, and the server may have it still."""
        return self.state in (State.STORED, State.MARKED)

    def reached(self, state: State, now: datetime) -> Self:
        """Return the record of the message as it comes to be in `state`; one that is in it already is as it was."""
        return self if self.state is state else replace(self, state=state, since=now)

    def stored(self, now: datetime, *, size: int, fingerprint: str) -> Self:
        """Return the record of the message as it comes to be stored, under the size that the server announces."""
        return replace(self, state=State.STORED, since=now, size=size, failures=0, reason="", fingerprint=fingerprint)

    def gone(self, now: datetime) -> Self:
        """Return the record of the message as it is no longer there, and nothing else that has its uid."""
        record = self.reached(State.GONE, now)
        return replace(record, failures=0, reason="") if record.failures or record.reason else record

    def failed(self, reason: str) -> Self:
        """Return the record of the message as it failed once more."""
        return replace(self, failures=self.failures + 1, reason=reason)


class Page(Protocol):
    """What a ledger has of one account, while one run holds it."""

    async def records(self) -> Mapping[str, Record]:
        """Return all records by uid. Raises LedgerUnreadable."""

    async def write(self, records: Iterable[Record]) -> None:
        """Write records, each in place of the one with its uid; all or none. What is written when this returns,
        survives a crash. Raises LedgerError."""

    async def forget(self, uids: Iterable[str]) -> None:
        """Remove the records with these uids, as `write` writes."""


class Ledger(Protocol):
    """What is known of the messages of any number of accounts."""

    def claim(self, account: str, *, wait: float | None = 0) -> AbstractAsyncContextManager[Page]:
        """Hold the page of `account`, as long as the context lasts; a crash lets go of it.

        wait: for how many seconds to wait for another run that holds it; None waits for ever.

        Raises LedgerBusy if it is still held then, LedgerUnreadable, LedgerError.
        """


def check_ledger(ledger: object, expected: str = "a Ledger or None", *, name: str = "ledger") -> None:
    """Raise ValueError unless `ledger`, given as `name`, is None or can be claimed; says what was `expected`."""
    if ledger is not None and (isinstance(ledger, type) or not callable(getattr(ledger, "claim", None))):
        raise ValueError(f"expected {name} to be {expected}, got {ledger!r}")


async def wait_for_claim(
    attempt: Callable[[], C | None],
    account: str,
    wait: float | None,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> C:
    """Return what `attempt` returns, tried again for `wait` seconds (None: for ever) while that is None.

    Raises LedgerBusy, naming `account`, when the time is over.
    """
    left = math.inf if wait is None else wait
    pause = _FIRST_LOOK
    while (claimed := attempt()) is None:
        if left <= 0:
            raise LedgerBusy(f"another run is at work on {account}: one at a time may", account=account)
        pause = min(pause, left)
        await sleep(pause)
        left -= pause
        pause = min(2 * pause, _LONGEST_LOOK)
    return claimed


class MemoryLedger:
    """A ledger that lasts as long as this object."""

    def __init__(self) -> None:
        self._pages: dict[str, _MemoryPage] = {}
        self._held: set[str] = set()

    @asynccontextmanager
    async def claim(self, account: str, *, wait: float | None = 0) -> AsyncGenerator[Page, None]:
        """Hold the page of `account`; see `Ledger.claim`. Raises LedgerBusy."""
        page = await wait_for_claim(lambda: self._attempt(account), account, wait)
        try:
            yield page
        finally:
            self._held.discard(account)

    def _attempt(self, account: str) -> "_MemoryPage | None":
        if account in self._held:
            return None
        self._held.add(account)
        return self._pages.setdefault(account, _MemoryPage())


class _MemoryPage:
    def __init__(self) -> None:
        self._records: dict[str, Record] = {}

    async def records(self) -> Mapping[str, Record]:
        return dict(self._records)

    async def write(self, records: Iterable[Record]) -> None:
        self._records.update({record.uid: record for record in records})

    async def forget(self, uids: Iterable[str]) -> None:
        for uid in uids:
            self._records.pop(uid, None)


class NoLedger:
    """A ledger that remembers nothing, for a run that is to remember nothing."""

    def claim(self, account: str, *, wait: float | None = 0) -> AbstractAsyncContextManager[Page]:
        """Give an empty page, to as many as want one."""
        return nullcontext(_NoPage())


class _NoPage:
    async def records(self) -> Mapping[str, Record]:
        return {}

    async def write(self, records: Iterable[Record]) -> None:
        pass

    async def forget(self, uids: Iterable[str]) -> None:
        pass
