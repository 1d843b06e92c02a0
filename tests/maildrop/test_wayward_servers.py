"""Runs over maildrops of servers by chance, with policies by chance: nothing is deleted that the sink has not."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mailwire import Endpoint, MailwireError, Password, POP3Settings
from mailwire.maildrop import (
    Account,
    Ledger,
    Mail,
    Maildir,
    MboxSink,
    MemoryLedger,
    Policy,
    RetrievalReport,
    Run,
    Sink,
    SQLiteLedger,
)
from tests.maildrop.records import NOON
from tests.maildrop.wayward import WaywardServer

RUNS = 8
SINKS = ["maildir", "mbox", "database", "group"]


class Database:
    """A sink that knows messages by their keys and digests, in memory."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, bytes], bytes] = {}

    async def store(self, mail: Mail) -> None:
        content = await mail.read()
        self._keep(mail, content)

    def _keep(self, mail: Mail, content: bytes) -> None:
        if not mail.is_preview:
            self.stored[mail.key, hashlib.sha256(content).digest()] = content


class GroupDatabase(Database):
    """Such a sink that stores several at once."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: dict[Mail, bytes] = {}

    async def store(self, mail: Mail) -> None:
        self._waiting[mail] = await mail.read()

    async def settle(self, mails: Sequence[Mail]) -> None:
        for mail in mails:
            self._keep(mail, self._waiting.pop(mail))

    async def discard(self, mails: Sequence[Mail]) -> None:
        for mail in mails:
            del self._waiting[mail]


class Store:
    """A sink, and what is in it."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._folder = folder
        self._database = GroupDatabase() if kind == "group" else Database()
        sinks: dict[str, Sink] = {"maildir": Maildir(folder / "Mail"), "mbox": MboxSink(folder / "mbox")}
        self.sink: Sink = sinks.get(kind, self._database)

    def contents(self) -> set[bytes]:
        """What is stored, of an mbox its lines ended as on the wire."""
        files = {file.read_bytes() for file in (self._folder / "Mail").glob("new/*")}
        mbox = self._folder / "mbox"
        mails = mbox.read_bytes().split(b"From MAILER-DAEMON ")[1:] if mbox.exists() else []
        lines = {mail.partition(b"\n")[2][:-1].replace(b"\n", b"\r\n") for mail in mails}
        return {*files, *lines, *self._database.stored.values()}


def policy_by(chance: Random) -> Policy:
    """Return a policy in which anything may be combined with anything."""
    keep: Any = chance.choice(["until stored", "until stored", timedelta(0), timedelta(days=2), "for ever"])
    chosen: dict[str, Any] = {
        "keep_at_most": chance.randint(0, 5),
        "keep_at_most_octets": chance.randint(0, 900),
        "max_message_size": chance.randint(50, 500),
        "limit": chance.randint(1, 6),
    }
    return Policy(
        keep=keep,
        oversize=chance.choice(["leave", "preview"]),
        preview_lines=chance.choice([0, 1, 1000]),
        order=chance.choice(["oldest first", "newest first"]),
        max_failures=chance.choice([1, 3]),
        when_all_new=chance.choice(["ask", "match", "fetch"]),
        delete_without_uid=chance.random() < 0.5,
        remember=timedelta(days=chance.choice([0, 1, 90])),
        **{name: value for name, value in chosen.items() if chance.random() < 0.3},
    )


async def lose_nothing(seed: int, folder: Path) -> None:
    """Let runs go over the maildrop that `seed` leads to, and see what they delete and say."""
    chance = Random(seed)
    store = Store(chance.choice(SINKS), folder)
    server, policy = WaywardServer(chance, store.contents), policy_by(chance)
    ledger: Ledger = SQLiteLedger(folder / "state.db") if chance.random() < 0.5 else MemoryLedger()
    settings = POP3Settings(probes=chance.choice([["UIDL"], ["UIDL", "TOP"]]))
    pipelining = chance.random() < 0.8
    now = NOON
    for _ in range(chance.randint(0, 12)):
        server.put()
    async with server.listening() as port:
        endpoint = Endpoint(
            "127.0.0.1",
            port,
            protocol="pop3",
            tls="none",
            auth=Password("b", "secret"),
            allow_cleartext_auth=True,
            pipelining=pipelining,
        )
        for _ in range(RUNS):
            account = Account(endpoint, store.sink, policy=policy, settings=settings)
            report = await Run(account, ledger=ledger, now=lambda: now).perform()  # noqa: B023
            assert server.lost == [], (seed, server, policy, report)
            check(report, store)
            now += timedelta(hours=chance.choice([1, 30, 80]))
            server.happen()
    if isinstance(ledger, SQLiteLedger):
        await ledger.aclose()


def check(report: RetrievalReport, store: Store) -> None:
    """See that a report tells of each message once, and of none as stored that is not."""
    assert report.error is None or isinstance(report.error, MailwireError)
    numbers = [message.number for message in report.messages]
    assert len(numbers) == len(set(numbers))
    if report.error is None:
        assert len(numbers) + report.known == report.listed
    assert len(report.stored) <= len(store.contents())
    told = report.to_dict()
    assert RetrievalReport.from_dict(told).to_dict() == told


@pytest.mark.parametrize("seed", range(40))
async def test_nothing_is_deleted_that_is_not_stored(seed: int, tmp_path: Path) -> None:
    await lose_nothing(seed, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(40, 2000))
async def test_nothing_is_deleted_that_is_not_stored_however_long(seed: int, tmp_path: Path) -> None:
    await lose_nothing(seed, tmp_path)
