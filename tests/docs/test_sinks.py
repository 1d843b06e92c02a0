"""The sinks of the how-to about transactions, where a unique id is given twice, and where a message is dropped."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mailwire
from mailwire.maildrop import GroupSink, Sink
from mailwire.testing import Account, MailServer
from tests.docs.blocks import BLOCKS
from tests.maildrop.mails import mail

FIRST = b"From: a@example.org\r\nSubject: first\r\n\r\nhello\r\n"
SECOND = b"From: a@example.org\r\nSubject: second\r\n\r\nhello\r\n"


@pytest.fixture(params=["Tickets", "QuickTickets"])
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sink]:
    """A sink of the page, from its code without the run."""
    (block,) = (
        block
        for block in BLOCKS
        if block.place == "docs/howto/process-mail-in-a-transaction.md" and f"class {request.param}:" in block.text
    )
    made: dict[str, Any] = {}
    exec(block.text.partition("\n\n\ntickets = ")[0], made)
    sink = made[request.param](str(tmp_path / "tickets.db"))
    yield sink
    sink.database.close()


def tickets(path: Path) -> list[bytes]:
    database = sqlite3.connect(path / "tickets.db")
    raws = [raw for (raw,) in database.execute("SELECT raw FROM tickets ORDER BY raw")]
    database.close()
    return raws


async def test_what_gets_the_unique_id_of_what_is_gone_is_stored_before_it_is_deleted(
    sink: Sink, tmp_path: Path
) -> None:
    async with MailServer([Account("b", "secret")]) as server:
        url = f"pop3://b:secret@127.0.0.1:{server.pop3_port}"
        endpoint = mailwire.Endpoint.parse(url, allow_cleartext_auth=True)
        for content in (FIRST, SECOND):
            server.maildrop.put("b", content, uid="1")
            await mailwire.retrieve(endpoint, into=sink, ledger=tmp_path / "state.db", keep="until stored")
            assert server.messages("b") == ()

    assert tickets(tmp_path) == [FIRST, SECOND]


async def test_what_comes_again_is_there_once_and_stays_when_it_is_dropped(sink: Sink, tmp_path: Path) -> None:
    for _ in range(2):
        await sink.store(again := mail(FIRST))
        if isinstance(sink, GroupSink):
            await sink.settle([again])
    if isinstance(sink, GroupSink):
        await sink.store(dropped := mail(FIRST))
        await sink.discard([dropped])
        await sink.settle([])

    assert tickets(tmp_path) == [FIRST]
