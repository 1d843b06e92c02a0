"""What every ledger does."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailwire.errors import LedgerBusy
from mailwire.maildrop import Ledger, MemoryLedger, Page, Record, SQLiteLedger, State
from mailwire.maildrop.ledger import NoLedger, wait_for_claim
from tests.clock import Clock
from tests.maildrop.records import NOON, RECORDS, record
from tests.model_settings import property_settings

A = "a@pop.example.org"
B = "b@pop.example.org"


@pytest.fixture(params=["memory", "sqlite"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Ledger, None]:
    if request.param == "memory":
        yield MemoryLedger()
    else:
        async with SQLiteLedger(tmp_path / "state.db") as ledger:
            yield ledger


async def records_of(ledger: Ledger, account: str) -> dict[str, Record]:
    async with ledger.claim(account) as page:
        return dict(await page.records())


def test_what_was_stored_is_so_until_it_is_gone() -> None:
    stored = [state for state in State if record("a", state=state).is_stored]
    assert stored == [State.STORED, State.MARKED]


@pytest.mark.parametrize("failures", [0, 2])
def test_what_is_gone_has_not_failed(failures: int) -> None:
    failed = record("a", failures=failures, reason="-ERR no")
    assert failed.gone(NOON) == record("a", State.GONE)
    assert record("a", failures=failures).gone(NOON).gone(NOON) == record("a", State.GONE)


async def test_the_page_of_an_unknown_account_is_empty(ledger: Ledger) -> None:
    assert await records_of(ledger, A) == {}


async def test_what_was_written_is_there_for_the_next_run_of_the_account_alone(ledger: Ledger) -> None:
    first = record("1", State.SEEN, timedelta(days=3), size=512, failures=2, reason="-ERR no", fingerprint="ab")
    async with ledger.claim(A) as page:
        await page.write([first, record("2")])
        assert await page.records() == {"1": first, "2": record("2")}

    assert await records_of(ledger, A) == {"1": first, "2": record("2")}
    assert await records_of(ledger, B) == {}


async def test_no_ledger_remembers_nothing_and_is_never_busy() -> None:
    ledger = NoLedger()
    async with ledger.claim(A) as page, ledger.claim(A):
        await page.write([record("1")])
        await page.forget(["1"])
        assert await page.records() == {}


async def test_a_record_takes_the_place_of_the_one_with_its_uid(ledger: Ledger) -> None:
    async with ledger.claim(A) as page:
        await page.write([record("1", State.SEEN), record("2", State.SEEN)])
        await page.write([record("1", State.STORED, size=7)])

    assert await records_of(ledger, A) == {"1": record("1", State.STORED, size=7), "2": record("2", State.SEEN)}


async def test_what_is_forgotten_is_gone_and_what_is_not_there_is_no_matter(ledger: Ledger) -> None:
    async with ledger.claim(A) as page:
        await page.write([record("1"), record("2"), record("3")])
        await page.forget(["1", "3", "4"])

    assert await records_of(ledger, A) == {"2": record("2")}


async def test_the_uids_of_one_account_are_not_those_of_another(ledger: Ledger) -> None:
    async with ledger.claim(A) as first, ledger.claim(B) as second:
        await first.write([record("1", size=1)])
        await second.write([record("1", size=2)])
        await first.forget(["1"])

    assert await records_of(ledger, A) == {}
    assert await records_of(ledger, B) == {"1": record("1", size=2)}


async def test_the_records_read_are_those_of_that_moment(ledger: Ledger) -> None:
    async with ledger.claim(A) as page:
        before = await page.records()
        await page.write([record("1")])
        assert before == {}


async def test_a_second_run_on_an_account_is_told(ledger: Ledger) -> None:
    async with ledger.claim(A):
        with pytest.raises(LedgerBusy, match="another run is at work on a@pop") as busy:
            async with ledger.claim(A):
                pytest.fail("it is held")
        assert busy.value.account == A
        async with ledger.claim(B):
            pass
    async with ledger.claim(A):
        pass


async def test_a_claim_is_let_go_whatever_ends_it(ledger: Ledger) -> None:
    with pytest.raises(KeyError):
        async with ledger.claim(A):
            raise KeyError
    task = asyncio.create_task(hold(ledger, A, asyncio.Event(), asyncio.Event()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await records_of(ledger, A) == {}


async def hold(ledger: Ledger, account: str, held: asyncio.Event, done: asyncio.Event) -> None:
    async with ledger.claim(account):
        held.set()
        await done.wait()


@pytest.mark.parametrize("wait", [None, 60])
async def test_a_second_run_can_wait_for_the_first(ledger: Ledger, wait: float | None) -> None:
    held, done = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(hold(ledger, A, held, done))
    await held.wait()

    async def second() -> dict[str, Record]:
        async with ledger.claim(A, wait=wait) as page:
            return dict(await page.records())

    waiting, clock = asyncio.create_task(second()), Clock()
    await clock.advance(20)
    assert not waiting.done()
    done.set()
    await first
    await clock.advance(20)

    assert await waiting == {}


async def test_the_wait_has_an_end() -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    with pytest.raises(LedgerBusy):
        await wait_for_claim(lambda: None, A, 10, sleep)

    assert sum(pauses) == pytest.approx(10)
    assert pauses[:3] == [0.05, 0.1, 0.2]
    assert max(pauses) <= 1


async def test_who_names_no_time_to_wait_is_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def sleep(_: float) -> None:
        pytest.fail("nobody waits")

    for module in ("ledger", "sqlite_ledger"):
        monkeypatch.setattr(f"mailwire.maildrop.{module}.wait_for_claim", partial(wait_for_claim, sleep=sleep))
    ledger: Ledger
    async with SQLiteLedger(tmp_path / "state.db") as sqlite:
        for ledger in (MemoryLedger(), sqlite):
            async with ledger.claim(A):
                with pytest.raises(LedgerBusy):
                    await ledger.claim(A).__aenter__()


@pytest.mark.parametrize("uid", ["", "a\ud800b", "\udfff", "\ud800" * 101])
def test_a_record_has_a_uid_that_can_be_written(uid: str) -> None:
    with pytest.raises(ValueError, match="UTF-8") as caught:
        record(uid)
    assert str(caught.value) == f"expected a uid that UTF-8 can express, got {uid[:100]!r}"


def test_a_uid_of_all_that_utf_8_expresses_is_one() -> None:
    assert record("\ud7ff\ue000").uid == "\ud7ff\ue000"


def test_what_was_previewed_has_a_header_and_is_not_stored() -> None:
    assert record("1", State.SEEN, fingerprint="f").is_previewed
    assert not record("1", State.SEEN).is_previewed
    assert not record("1", State.STORED, fingerprint="f").is_previewed


def test_a_record_says_why_it_failed_the_last_time() -> None:
    failed = record("1", State.SEEN).failed("-ERR no").failed("-ERR never")
    assert (failed.failures, failed.reason) == (2, "-ERR never")


def test_the_times_of_a_record_have_a_zone() -> None:
    naive = datetime(2026, 3, 1)
    for first_seen, since in ((naive, NOON), (NOON, naive)):
        with pytest.raises(ValueError, match=r"^expected times with a time zone$"):
            Record("1", State.SEEN, first_seen, since)


async def test_a_time_is_the_same_time_in_whatever_zone(ledger: Ledger) -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))
    async with ledger.claim(A) as page:
        await page.write([replace(record("1"), first_seen=elsewhere)])

    assert (await records_of(ledger, A))["1"].first_seen == NOON


@settings(property_settings(50), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.one_of(st.lists(RECORDS, max_size=5), st.sets(st.integers(0, 9), max_size=3)), max_size=6))
async def test_a_ledger_is_a_table_of_records(steps: list[list[Record] | set[int]], tmp_path: Path) -> None:
    model: dict[str, Record] = {}
    async with SQLiteLedger(tmp_path / "state.db") as sqlite:
        for ledger in (MemoryLedger(), sqlite):
            model.clear()
            async with ledger.claim(A) as page:
                await page.forget(await page.records())  # what the example before has left
                for step in steps:
                    await follow(page, step, model)
                    assert await page.records() == model


async def follow(page: Page, step: list[Record] | set[int], model: dict[str, Record]) -> None:
    if isinstance(step, set):
        uids = [uid for number, uid in enumerate(model) if number in step]
        await page.forget(uids)
        for uid in uids:
            del model[uid]
    else:
        await page.write(step)
        model.update({record.uid: record for record in step})
