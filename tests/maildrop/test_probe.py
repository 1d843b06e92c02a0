"""What is new, without retrieving it."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, cast

import pytest

from mailwire import POP3Settings, Transcript
from mailwire.errors import LedgerBusy
from mailwire.maildrop import Ledger, MemoryLedger, Page, Probe, Record, State, probe
from mailwire.testing import FIN, QUIRKS, Answers, MailServer, ScriptedPeer
from tests.aio.dialogues import POP3_ANSWERS
from tests.maildrop.records import record
from tests.maildrop.runs import USER, MemorySink, account_at, body, endpoint_at, fill, run


async def test_what_is_not_stored_is_new() -> None:
    ledger = MemoryLedger()
    async with MailServer([USER]) as server:
        assert await probe(endpoint_at(server), ledger=ledger) == Probe(0, 0, 0)
        fill(server, "one", "two")
        assert await probe(endpoint_at(server), ledger=ledger) == Probe(2, len(body("one") + body("two")), 2)
        await run(server, MemorySink(), ledger, limit=1)
        assert await probe(endpoint_at(server), ledger=ledger) == Probe(2, len(body("one") + body("two")), 1)
        assert await probe(endpoint_at(server)) == Probe(2, len(body("one") + body("two")), 2)
        assert len(server.messages("b")) == 2


async def test_without_unique_ids_nobody_knows() -> None:
    async with MailServer([USER], quirk=QUIRKS["no-uidl"]) as server:
        fill(server, "one")
        assert await probe(endpoint_at(server), ledger=MemoryLedger()) == Probe(1, len(body("one")), None)


async def test_messages_that_share_a_unique_id_are_known_each_once_they_are_stored() -> None:
    ledger = MemoryLedger()
    answers = Answers({**POP3_ANSWERS, "CAPA": "+OK\nUIDL\n.", "UIDL": "+OK\n1 u\n2 u\n."})
    for new, limit in ((2, 1), (1, 1), (0, 0)):
        async with ScriptedPeer("S: +OK pop", answers) as server:
            assert (await probe(endpoint_at(server), ledger=ledger, account="b")).new == new
        async with ScriptedPeer("S: +OK pop", answers) as server:
            await run(server, MemorySink(), ledger, limit=limit)


async def test_another_message_under_the_unique_id_of_a_stored_one_is_new() -> None:
    ledger = MemoryLedger()
    async with MailServer([USER]) as server:
        fill(server, "one")
        async with ledger.claim("b") as page:
            await page.write([record("one", size=len(body("one")) + 1)])
        assert (await probe(endpoint_at(server), ledger=ledger, account="b")).new == 1


async def test_a_listing_that_is_refused_leaves_new_untold() -> None:
    answers = Answers({**POP3_ANSWERS, "CAPA": "+OK\nUIDL\nRESP-CODES\n.", "UIDL": "-ERR [SYS/TEMP] later"})
    async with ScriptedPeer("S: +OK pop", answers) as server:
        assert await probe(endpoint_at(server), ledger=MemoryLedger()) == Probe(2, 14, None)


async def test_an_account_that_is_held_is_told() -> None:
    ledger = MemoryLedger()
    async with MailServer([USER]) as server, ledger.claim(account_at(server)):
        with pytest.raises(LedgerBusy):
            await probe(endpoint_at(server), ledger=ledger)


async def test_what_was_seen_and_not_stored_is_new() -> None:
    ledger = MemoryLedger()
    async with MailServer([USER]) as server:
        fill(server, "one", "two", "three", "four")
        async with ledger.claim("b") as page:
            sizes = {uid: len(body(uid)) for uid in ("one", "two", "three")}
            states = (State.STORED, State.SEEN, State.MARKED)
            await page.write(
                [record(uid, state, size=size) for (uid, size), state in zip(sizes.items(), states, strict=True)]
            )
        assert (await probe(endpoint_at(server), ledger=ledger, account="b")).new == 2
        assert (await probe(endpoint_at(server), ledger=ledger)).new == 4


async def test_what_is_stored_is_not_new_for_a_size_that_is_not_told() -> None:
    script = ("S: +OK pop", "C: USER b", "S: +OK", "C: PASS secret", "S: +OK", "C: STAT", "S: +OK 2 20")
    sizes = ("C: STAT", "S: +OK 2 20", "C: LIST", "S: +OK", "S: 1 -1", "S: 2 11", "S: .")
    ids = ("C: UIDL", "S: +OK", "S: 1 u1", "S: 2 u2", "S: .", "C: QUIT", FIN)
    ledger, settings = MemoryLedger(), POP3Settings(asks_capabilities=False)
    async with ledger.claim("b") as page:
        await page.write([record("u1", size=10), record("u2", size=10)])
    async with ScriptedPeer(*script, *sizes, *ids) as server:
        found = await probe(endpoint_at(server), ledger=ledger, account="b", settings=settings)
    assert found == Probe(2, 20, 1)


@pytest.mark.parametrize(("texts", "ledger"), [(["one"], None), ([], MemoryLedger())])
async def test_no_more_is_asked_than_has_to_be(texts: list[str], ledger: Ledger | None) -> None:
    transcript = Transcript()
    async with MailServer([USER]) as server:
        fill(server, *texts)
        settings = POP3Settings(asks_capabilities=False)
        await probe(endpoint_at(server), ledger=ledger, settings=settings, transcript=transcript)
    said = [line for entry in transcript for line in entry.lines() if line.startswith("C: ")]
    assert [line.split()[1] for line in said] == ["USER", "PASS", "STAT", "QUIT"]


class WatchedLedger(Mapping[str, Record]):
    """A ledger whose only page, itself, has no record; it notes how many turns others had had when it was looked at."""

    def __init__(self) -> None:
        self.turns = 0
        self.looks: list[int] = []
        self.waits: list[float | None] = []

    def claim(self, account: str, *, wait: float | None = 0) -> AbstractAsyncContextManager[Page]:
        self.waits.append(wait)
        return nullcontext(self)

    async def records(self) -> Mapping[str, Record]:
        return self

    async def write(self, records: Iterable[Record]) -> None:
        raise AssertionError("nothing is written down")

    async def forget(self, uids: Iterable[str]) -> None:
        raise AssertionError("nothing is forgotten")

    def __getitem__(self, uid: str) -> Record:
        assert isinstance(uid, str)
        self.looks.append(self.turns)
        raise KeyError(uid)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


async def test_others_have_a_turn_behind_a_thousand_messages() -> None:
    ledger = WatchedLedger()
    async with MailServer([USER]) as server:
        fill(server, *map(str, range(2_001)))
        work = asyncio.create_task(probe(endpoint_at(server), ledger=ledger))
        while not work.done():
            ledger.turns += 1
            await asyncio.sleep(0)
        assert (await work).new == 2_001
    first = ledger.looks[0]
    assert ledger.looks == [first] * 1_000 + [first + 1] * 1_000 + [first + 2]


async def test_a_ledger_is_waited_for_as_long_as_is_said() -> None:
    ledger = WatchedLedger()
    async with MailServer([USER]) as server:
        await probe(endpoint_at(server), ledger=ledger)
        await probe(endpoint_at(server), ledger=ledger, wait=3)
    assert ledger.waits == [0, 3]


async def test_a_path_is_no_ledger_and_nobody_is_asked() -> None:
    async with MailServer([USER]) as server:
        with pytest.raises(ValueError, match=r"expected ledger to be a Ledger or None, got 'state\.db'"):
            await probe(endpoint_at(server), ledger=cast(Any, "state.db"))
        with pytest.raises(ValueError, match="expected wait to be 0 at least, got -1"):
            await probe(endpoint_at(server), wait=-1)
        assert not server.pop3_sessions


async def test_a_message_of_which_nobody_knows_which_unique_id_it_has_is_new() -> None:
    script = ("S: +OK pop", "C: USER b", "S: +OK", "C: PASS secret", "S: +OK", "C: STAT", "S: +OK 2 20")
    sizes = ("C: STAT", "S: +OK 2 20", "C: LIST", "S: +OK", "S: 1 10", "S: 2 10", "S: .")
    ids = (
        "C: UIDL",
        "S: +OK",
        "S: 1 u1",
        "S: 1 v1",
        "S: 2 u2",
        "S: .",
        "C: UIDL 1",
        "S: -ERR no",
        "C: NOOP",
        "S: +OK",
        "C: QUIT",
        FIN,
    )
    ledger, settings = WatchedLedger(), POP3Settings(asks_capabilities=False)
    async with ScriptedPeer(*script, *sizes, *ids) as server:
        assert await probe(endpoint_at(server), ledger=ledger, settings=settings) == Probe(2, 20, 2)
    assert len(ledger.looks) == 1
