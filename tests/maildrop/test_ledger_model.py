"""The ledger in a file against a dictionary: whatever is written, forgotten, and opened again, it has that."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mailwire import LedgerBusy, LedgerError
from mailwire.maildrop import MemoryLedger, Page, Record, SQLiteLedger
from tests.maildrop.records import RECORDS
from tests.model_settings import model_settings

T = TypeVar("T")
ACCOUNTS = st.sampled_from(["a", "b@example.org"])
UIDS = st.sampled_from(["u1", "u2", "u\u00fc", "1"])
PAGES = st.lists(st.tuples(UIDS, RECORDS), max_size=4)


class Ledgers(RuleBasedStateMachine):
    """One ledger in a file, one in memory, and what both ought to have."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "state.db"
        self.file, self.memory = SQLiteLedger(self.path), MemoryLedger()
        self.model: dict[str, dict[str, Record]] = {}

    def on_both(self, account: str, work: Callable[[Page], Awaitable[T]]) -> list[T]:
        async def do() -> list[T]:
            results = []
            for ledger in (self.file, self.memory):
                async with ledger.claim(account) as page:
                    results.append(await work(page))
            return results

        return self.runner.run(do())

    @rule(account=ACCOUNTS, page=PAGES)
    def write(self, account: str, page: list[tuple[str, Record]]) -> None:
        records = [Record(uid, *[getattr(record, name) for name in _FIELDS]) for uid, record in page]
        self.on_both(account, lambda page: page.write(records))
        self.model.setdefault(account, {}).update({record.uid: record for record in records})

    @rule(account=ACCOUNTS, page=PAGES)
    def a_write_that_fails_changes_nothing(self, account: str, page: list[tuple[str, Record]]) -> None:
        async def write(page_of: Page) -> None:
            def records() -> list[Record]:
                raise LedgerError("no more")

            await page_of.write(records())

        with suppress(LedgerError):
            self.on_both(account, write)

    @rule(account=ACCOUNTS, uids=st.lists(UIDS, max_size=3))
    def forget(self, account: str, uids: list[str]) -> None:
        self.on_both(account, lambda page: page.forget(uids))
        for uid in uids:
            self.model.get(account, {}).pop(uid, None)

    @rule()
    def open_again(self) -> None:
        async def close() -> None:
            await self.file.aclose()

        self.runner.run(close())
        self.file = SQLiteLedger(self.path)

    @rule(account=ACCOUNTS)
    def claim_twice(self, account: str) -> None:
        async def claim() -> None:
            for ledger in (self.file, self.memory):
                async with ledger.claim(account):
                    try:
                        async with ledger.claim(account):
                            raise AssertionError("two have it")
                    except LedgerBusy:
                        pass

        self.runner.run(claim())

    @invariant()
    def both_have_what_they_were_told(self) -> None:
        for account in ("a", "b@example.org"):
            for records in self.on_both(account, lambda page: page.records()):
                assert dict(records) == self.model.get(account, {})

    def teardown(self) -> None:
        self.runner.run(self.file.aclose())
        self.runner.close()
        self.folder.cleanup()


_FIELDS = ("state", "first_seen", "since", "size", "failures", "reason", "fingerprint")

Ledgers.TestCase.settings = model_settings(examples=15, steps=15)
TestLedgersAgainstTheirModel = Ledgers.TestCase
