"""What is new, without retrieving it."""

import pytest

from mailwire.errors import LedgerBusy
from mailwire.maildrop import MemoryLedger, Probe, probe
from mailwire.testing import QUIRKS, MailServer
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
        assert (await probe(endpoint_at(server), ledger=MemoryLedger())).new is None


async def test_an_account_that_is_held_is_told() -> None:
    ledger = MemoryLedger()
    async with MailServer([USER]) as server, ledger.claim(account_at(server)):
        with pytest.raises(LedgerBusy):
            await probe(endpoint_at(server), ledger=ledger)
