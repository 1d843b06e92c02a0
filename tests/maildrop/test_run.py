"""One run over a maildrop, in order and out of order."""

import asyncio
import errno
import json
import math
import sqlite3
import tracemalloc
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mailwire import RetrievalProgress, RetrievedMessage, Timeouts
from mailwire.aio.pop3 import POP3Client
from mailwire.aio.pop3_dialogue import Budget
from mailwire.aio.pop3_settings import POP3Settings
from mailwire.errors import (
    AmbiguousMessage,
    AuthenticationFailed,
    ConnectionFailed,
    ConnectionLost,
    DeadlineExceeded,
    Desynchronised,
    LedgerBusy,
    LedgerError,
    LocalProtocolError,
    MaildropRenumbered,
    MailwireError,
    MessageTruncated,
    NotSupported,
    ResponseError,
    SinkFailed,
)
from mailwire.maildrop import (
    Account,
    CallableSink,
    CautionKind,
    Deleted,
    Mail,
    Maildir,
    MemoryLedger,
    Outcome,
    Page,
    Policy,
    Record,
    RetrievalReport,
    Run,
    SQLiteLedger,
    State,
)
from mailwire.maildrop.delivery import as_reason
from mailwire.testing import (
    CLOSE,
    FIN,
    LISTEN,
    PACKET,
    QUIRKS,
    RST,
    STALL,
    WAIT,
    Answers,
    MailServer,
    POP3Quirk,
    Quirk,
    ScriptedPeer,
)
from mailwire.testing.turns import drain_events, turns
from tests.aio.dialogues import LISTED, OPENED, POP3_ANSWERS, once
from tests.aio.pop3_clients import client_for
from tests.clock import Clock
from tests.maildrop.deadly import DeadlyServer
from tests.maildrop.runs import (
    USER,
    LostLedger,
    MemorySink,
    Time,
    WaitingLedger,
    account_at,
    body,
    endpoint_at,
    fill,
    records_of,
    run,
)


@pytest.fixture
async def server() -> AsyncGenerator[MailServer, None]:
    async with MailServer([USER]) as server:
        yield server


@pytest.fixture
def sink() -> MemorySink:
    return MemorySink()


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


def uids(server: MailServer) -> list[str]:
    return [message.uid for message in server.messages("b")]


def outcomes(report: RetrievalReport) -> dict[str | None, Outcome]:
    return {message.uid: message.outcome for message in report.messages}


def deletions(report: RetrievalReport) -> dict[str | None, Deleted | None]:
    return {message.uid: message.deleted for message in report.messages if message.deleted}


async def states(ledger: MemoryLedger, server: MailServer | ScriptedPeer) -> dict[str, State]:
    return {uid: record.state for uid, record in (await records_of(ledger, server)).items()}


def take_away(server: MailServer) -> None:
    """Delete all that is there, as another client would."""
    maildrop = server.maildrop.open("b")
    assert maildrop is not None
    maildrop.remaining.clear()
    maildrop.commit()


# In order


async def test_a_run_stores_what_is_new_and_no_more(server: MailServer, sink: MemorySink, ledger: MemoryLedger) -> None:
    fill(server, "one", "two")
    first = await run(server, sink, ledger)
    fill(server, "three")
    second = await run(server, sink, ledger)

    assert sink.contents == [body("one"), body("two"), body("three")]
    assert outcomes(first) == {"one": Outcome.STORED, "two": Outcome.STORED}
    assert outcomes(second) == {"three": Outcome.STORED}
    assert (first.known, second.known, second.listed) == (0, 2, 3)
    assert first.is_complete
    assert first.octets == len(body("one") + body("two"))
    assert uids(server) == ["one", "two", "three"]
    assert (await records_of(ledger, server))["one"].fingerprint == sink.mails[0].fingerprint


async def test_an_empty_maildrop_is_soon_done(server: MailServer, sink: MemorySink, ledger: MemoryLedger) -> None:
    report = await run(server, sink, ledger, keep="until stored")

    assert (report.listed, report.messages, report.is_complete) == (0, (), True)
    assert ": no mail; 0 octets in" in report.summary


async def test_without_a_ledger_everything_comes_every_time(server: MailServer, sink: MemorySink) -> None:
    fill(server, "one")
    await run(server, sink)
    await run(server, sink, keep=timedelta(0))

    assert sink.subjects == ["one", "one"]
    assert uids(server) == []


async def test_to_keep_for_a_time_takes_a_ledger(server: MailServer, sink: MemorySink) -> None:
    told = "to keep messages for a time takes a ledger, which remembers when they were first seen"
    with pytest.raises(ValueError, match=f"^{told}$"):
        await run(server, sink, keep=timedelta(days=1))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"wait": "x"}, "expected wait to be a number of seconds or None, got 'x' (str)"),
        ({"wait": True}, "expected wait to be a number of seconds or None, got True (bool)"),
        ({"wait": -1}, "expected wait to be 0 at least, got -1"),
        ({"ledger": 5}, "expected ledger to be a Ledger or None, got 5"),
        ({"ledger": MemoryLedger}, f"expected ledger to be a Ledger or None, got {MemoryLedger!r}"),
        ({"fallback": 5}, "expected fallback to be a Ledger or None, got 5"),
        ({"progress": 5}, "expected progress to be a function or None, got 5"),
    ],
)
def test_what_a_run_is_given_is_looked_at(sink: MemorySink, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=r"^expected") as caught:
        Run(Account("pop3s://b:secret@pop.example.org", sink), **settings)
    assert str(caught.value) == told


async def test_a_run_waits_for_no_other_unless_it_is_said(server: MailServer, sink: MemorySink) -> None:
    ledger = WaitingLedger()
    await run(server, sink, ledger)
    await run(server, sink, ledger, wait=2.5)
    assert ledger.waits == [0, 2.5]


async def test_what_is_stored_can_be_deleted_at_once(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    fill(server, "one", "two")
    report = await run(server, sink, ledger, keep="until stored")

    assert uids(server) == []
    assert deletions(report) == {"one": Deleted.COMMITTED, "two": Deleted.COMMITTED}
    assert len(report.deleted) == 2
    assert await states(ledger, server) == {"one": State.GONE, "two": State.GONE}


async def test_mail_is_kept_for_its_time_from_when_it_was_first_seen(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    time = Time()
    fill(server, "one")
    await run(server, sink, ledger, time=time, keep=timedelta(days=14))
    time.pass_by(days=10)
    fill(server, "two")
    await run(server, sink, ledger, time=time, keep=timedelta(days=14))
    assert uids(server) == ["one", "two"]
    time.pass_by(days=4)
    report = await run(server, sink, ledger, time=time, keep=timedelta(days=14))

    assert uids(server) == ["two"]
    assert outcomes(report) == {"one": Outcome.KNOWN}
    assert report.known == 1
    assert report.counts == {Outcome.KNOWN: 2}
    (known,) = report.messages
    assert (known.number, known.size, known.deleted) == (1, len(body("one")), Deleted.COMMITTED)
    assert sink.subjects == ["one", "two"]
    time.pass_by(days=100)
    await run(server, sink, ledger, time=time)
    assert await states(ledger, server) == {"two": State.STORED}


async def test_of_too_much_mail_the_oldest_goes(server: MailServer, sink: MemorySink, ledger: MemoryLedger) -> None:
    fill(server, "one", "two", "three")
    await run(server, sink, ledger, keep_at_most=1)

    assert uids(server) == ["three"]
    assert sink.subjects == ["one", "two", "three"]


async def test_each_step_is_done_before_the_next(server: MailServer, tmp_path: Path) -> None:
    steps: list[str] = []

    class Sink(Maildir):
        async def settle(self, mails: Any) -> None:
            await super().settle(mails)
            steps.append(f"safe: {len(list((tmp_path / 'new').iterdir()))}, on the server: {len(uids(server))}")

    class Page:
        def __init__(self, page: Any) -> None:
            self.page = page
            self.records = page.records
            self.forget = page.forget

        async def write(self, records: list[Record]) -> None:
            await self.page.write(records)
            states = ", ".join(f"{record.uid} {record.state.value}" for record in records)
            steps.append(f"{states}; on the server: {len(uids(server))}")

    class Ledger(SQLiteLedger):
        def claim(self, account: str, *, wait: float | None = 0) -> Any:
            return Claim(super().claim(account, wait=wait))

    class Claim:
        def __init__(self, claim: Any) -> None:
            self.claim = claim

        async def __aenter__(self) -> Page:
            return Page(await self.claim.__aenter__())

        async def __aexit__(self, *details: Any) -> None:
            await self.claim.__aexit__(*details)

    fill(server, "one", "two")
    async with Ledger(tmp_path / "state.db") as ledger:
        await run(server, Sink(tmp_path), ledger, keep="until stored")

    assert steps == [
        "one seen, two seen; on the server: 2",
        "safe: 2, on the server: 2",
        "one stored, two stored; on the server: 2",
        "one marked, two marked; on the server: 2",
        "one gone, two gone; on the server: 0",
    ]


async def test_a_report_says_all_in_words_and_in_values(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    fill(server, "one", "two")
    sink.failing[b"two"] = KeyError("no such \x1b[31m")
    time = Time()
    report = await run(server, sink, ledger, time=time, keep="until stored")

    said = str(report).splitlines()
    assert said[0].startswith(f"{account_at(server)}: 1 stored, 1 failed, 1 deleted; 54 octets in 0.")
    assert said[1].startswith("      1  stored               27 octets  0.0 s  deleted  one")
    assert said[2].endswith("two  KeyError: 'no such \\x1b[31m'")
    assert len(said) == 3
    values = json.loads(json.dumps(report.to_dict()))
    assert (values["account"], values["began"], values["is_complete"]) == (
        account_at(server),
        time.time.isoformat(),
        False,
    )
    assert [message["deleted"] for message in values["messages"]] == ["deleted", None]
    assert values["server"] == f"pop3://127.0.0.1:{server.pop3_port}"
    assert "secret" not in str(report) + repr(report) + str(values)


async def test_what_is_larger_than_the_limit_is_left_or_previewed(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    fill(server, "one")
    server.maildrop.put("b", body("long") + b"line\r\n" * 100, uid="long")
    left = await run(server, sink, ledger, max_message_size=100, keep="until stored")
    assert outcomes(left) == {"one": Outcome.STORED, "long": Outcome.TOO_LARGE}

    options: Any = {"max_message_size": 100, "oversize": "preview", "preview_lines": 2, "keep": "until stored"}
    assert outcomes(await run(server, sink, ledger, **options)) == {"long": Outcome.PREVIEWED}
    assert outcomes(await run(server, sink, ledger, **options)) == {"long": Outcome.TOO_LARGE}
    assert sink.contents == [body("one"), body("long") + b"line\r\n"]
    assert sink.mails[1].is_preview
    assert uids(server) == ["long"]

    assert outcomes(await run(server, sink, ledger, keep="until stored")) == {"long": Outcome.STORED}
    assert uids(server) == []
    assert sink.mails[1].key != sink.mails[2].key


async def test_a_limit_leaves_the_rest_for_the_next_run(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    fill(server, "one", "two", "three")
    first = await run(server, sink, ledger, limit=2, order="newest first")

    assert outcomes(first) == {"three": Outcome.STORED, "two": Outcome.STORED, "one": Outcome.LEFT}
    assert first.is_complete
    await run(server, sink, ledger, limit=2)
    assert sink.subjects == ["three", "two", "one"]


async def test_progress_is_told(server: MailServer, sink: MemorySink) -> None:
    fill(server, "one", "two")
    told: list[tuple[int, int]] = []
    await run(server, sink, progress=lambda progress: told.append((progress.messages, progress.of_messages)))

    assert set(told) == {(1, 2), (2, 2)}


async def test_a_function_that_cannot_be_told_of_progress_is_no_messages_fault(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    fill(server, "one", "two")

    def tell(progress: RetrievalProgress) -> None:
        if progress.entry.uid == "two":
            raise BrokenPipeError("the terminal is gone")

    for _ in range(Policy().max_failures):
        with pytest.raises(BrokenPipeError) as caught:
            await run(server, sink, ledger, progress=tell)
        assert outcomes(vars(caught.value)["report"])["two"] is Outcome.FAILED
    record = (await records_of(ledger, server))["two"]
    assert (record.state, record.failures, record.reason) == (State.SEEN, 0, "")
    assert outcomes(await run(server, sink, ledger)) == {"two": Outcome.STORED}


def test_a_run_that_was_interrupted_tells_how_far_it_has_come(sink: MemorySink) -> None:
    runs: list[Run] = []

    class Interrupted(MemorySink):
        async def store(self, mail: Mail) -> None:
            raise KeyboardInterrupt

    async def interrupt() -> None:
        async with MailServer([USER]) as server:
            fill(server, "one")
            runs.append(Run(Account(endpoint_at(server), Interrupted())))
            await runs[0].perform()

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(interrupt())
    report = runs[0].report()
    assert (report.listed, report.seconds > 0) == (1, True)
    assert outcomes(report) == {"one": Outcome.LEFT}


# The account


async def test_an_account_can_have_another_name(server: MailServer, sink: MemorySink, ledger: MemoryLedger) -> None:
    fill(server, "one")
    report = await run(server, sink, ledger, account="work")

    assert report.account == "work"
    async with ledger.claim("work") as page:
        assert set(await page.records()) == {"one"}


async def test_a_sink_is_one(server: MailServer) -> None:
    with pytest.raises(ValueError, match="expected a sink"):
        Run(Account(endpoint_at(server), "Mail"))  # type: ignore[arg-type]


async def test_a_run_that_was_not_begun_has_done_nothing(server: MailServer, sink: MemorySink) -> None:
    report = Run(Account(endpoint_at(server), sink), now=Time()).report()

    assert (report.account, report.seconds, report.messages, report.error) == (account_at(server), 0, (), None)
    assert report.began == Time()()
    assert (report.listed, report.known, report.findings, report.login_delay) == (0, 0, (), 0)


# Messages that fail


async def test_a_message_that_the_sink_does_not_take_stays_and_the_run_goes_on(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    fill(server, "one", "two", "three")
    sink.failing[b"two"] = KeyError("x")
    report = await run(server, sink, ledger, keep="until stored")

    assert outcomes(report) == {"one": Outcome.STORED, "two": Outcome.FAILED, "three": Outcome.STORED}
    assert [message.reason for message in report.failed] == ["KeyError: 'x'"]
    assert report.error is None
    assert not report.is_complete
    assert uids(server) == ["two"]


async def test_a_message_that_failed_too_often_is_skipped_until_asked_for(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    fill(server, "one")
    sink.failing[b"one"] = KeyError("x")
    for number in (1, 2):
        assert outcomes(await run(server, sink, ledger, max_failures=2)) == {"one": Outcome.FAILED}
        assert (await records_of(ledger, server))["one"].failures == number
    skipped = await run(server, sink, ledger, max_failures=2, keep="until stored")
    assert outcomes(skipped) == {"one": Outcome.SKIPPED}
    assert [message.outcome for message in skipped.failed] == [Outcome.SKIPPED]
    assert uids(server) == ["one"]

    sink.failing.clear()
    assert outcomes(await run(server, sink, ledger, max_failures=3)) == {"one": Outcome.STORED}


async def test_a_sink_that_fails_for_everything_ends_the_run_and_blames_no_message(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    fill(server, *(f"m{number}" for number in range(8)))
    sink.failing[b"Hello"] = KeyError("x")
    report = await run(server, sink, ledger, keep="until stored")

    assert isinstance(report.error, SinkFailed)
    assert "5 messages on end" in str(report.error)
    assert isinstance(report.error.__cause__, KeyError)
    assert report.error.report == report
    assert list(outcomes(report).values()) == [Outcome.FAILED] * 5 + [Outcome.LEFT] * 3
    assert {record.failures for record in (await records_of(ledger, server)).values()} == {0}
    assert len(uids(server)) == 8


async def test_a_function_that_finds_no_next_fails_for_that_message_alone(server: MailServer) -> None:
    stored: list[str] = []

    def store(message: RetrievedMessage) -> None:
        stored.append(next(line for line in message.raw.decode().splitlines() if line.endswith("two")))

    fill(server, "one", "two")
    report = await run(server, CallableSink(store))
    assert outcomes(report) == {"one": Outcome.FAILED, "two": Outcome.STORED}
    assert "StopIteration" in report.messages[0].reason
    assert stored == ["Subject: two"]


async def test_what_fails_between_others_that_do_not_is_to_blame(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    fill(server, *"abc", *(f"X{number}" for number in range(3)), "z")
    sink.failing[b"X"] = KeyError("x")
    await run(server, sink, ledger)

    failures = {uid: record.failures for uid, record in (await records_of(ledger, server)).items()}
    assert failures == {"a": 0, "b": 0, "c": 0, "X0": 1, "X1": 1, "X2": 1, "z": 0}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
async def test_a_full_disk_ends_the_run_and_nothing_is_deleted(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger, number: int
) -> None:
    fill(server, "one", "two", "three")
    sink.failing[b"two"] = OSError(number, "no")
    report = await run(server, sink, ledger, keep="until stored")

    assert isinstance(report.error, SinkFailed)
    assert "message 2 could not be stored" in str(report.error)
    assert outcomes(report) == {"one": Outcome.STORED, "two": Outcome.FAILED, "three": Outcome.LEFT}
    assert uids(server) == ["one", "two", "three"]
    assert await states(ledger, server) == {"one": State.STORED, "two": State.SEEN, "three": State.SEEN}
    sink.failing.clear()
    assert (await run(server, sink, ledger, keep="until stored")).is_complete
    assert sink.subjects == ["one", "three", "two"]
    assert uids(server) == []


async def test_a_message_for_which_the_sink_is_at_fault_is_in_nobodys_way_and_has_not_failed(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    fill(server, "one", "two", "three")
    sink.failing[b"two"] = TimeoutError("no")
    for told in ({"one", "two", "three"}, {"two", "three"}, {"two", "four"}, {"two"}):
        report = await run(server, sink, ledger, max_failures=1)
        assert isinstance(report.error, SinkFailed)
        assert set(outcomes(report)) == told
        assert [message.uid for message in report.failed] == ["two"]
        if told == {"two", "three"}:
            fill(server, "four")

    assert sink.subjects == ["one", "three", "four"]
    assert (await records_of(ledger, server))["two"].failures == 0
    sink.failing.clear()
    assert (await run(server, sink, ledger, max_failures=1)).is_complete


async def test_a_group_that_cannot_be_settled_is_not_stored(
    server: MailServer, ledger: MemoryLedger, tmp_path: Path
) -> None:
    class Full(Maildir):
        async def settle(self, mails: Any) -> None:
            await super().discard(mails)
            raise OSError(errno.ENOSPC, "No space left on device")

    fill(server, "one", "two")
    report = await run(server, Full(tmp_path), ledger, keep="until stored")

    assert isinstance(report.error, SinkFailed)
    assert "2 messages could not be stored: OSError: [Errno 28]" in str(report.error)
    assert outcomes(report) == {"one": Outcome.LEFT, "two": Outcome.LEFT}
    assert await states(ledger, server) == {"one": State.SEEN, "two": State.SEEN}


async def test_a_sink_must_read_the_message_to_its_end(server: MailServer, ledger: MemoryLedger) -> None:
    class Lazy:
        async def store(self, mail: Mail) -> None:
            pass

    fill(server, "one")
    report = await run(server, Lazy(), ledger, keep="until stored")
    assert [message.reason for message in report.failed] == ["TypeError: the sink has not read the message to its end"]
    assert uids(server) == ["one"]


async def test_a_group_sink_that_has_not_read_to_the_end_is_told_to_drop_it(
    server: MailServer, ledger: MemoryLedger
) -> None:
    dropped: list[int] = []

    class Lazy:
        async def store(self, mail: Mail) -> None:
            if mail.number == 2:
                await mail.read()

        async def settle(self, mails: Any) -> None:
            assert [mail.number for mail in mails] == [2]

        async def discard(self, mails: Any) -> None:
            dropped.extend(mail.number for mail in mails)

    fill(server, "one", "two")
    report = await run(server, Lazy(), ledger)
    assert outcomes(report) == {"one": Outcome.FAILED, "two": Outcome.STORED}
    assert dropped == [1]


async def test_what_a_group_sink_has_of_a_message_that_was_cut_is_dropped_though_it_hides_the_error(
    ledger: MemoryLedger,
) -> None:
    kept: set[int] = set()

    class Hiding:
        async def store(self, mail: Mail) -> None:
            kept.add(mail.number)
            with suppress(MailwireError):
                await mail.read()

        async def settle(self, mails: Any) -> None:
            pass

        async def discard(self, mails: Any) -> None:
            kept.difference_update(mail.number for mail in mails)

    script = (*OPENED, *LISTED, "C: RETR 1", "S: +OK", "S: first", "S: .", "C: RETR 2", "S: +OK", "S: oth", FIN)
    async with ScriptedPeer(*script) as server:
        report = await run(server, Hiding(), ledger, endpoint=client_for(server).endpoint)
    assert isinstance(report.error, MessageTruncated)
    assert outcomes(report) == {"u1": Outcome.STORED, "u2": Outcome.FAILED}
    assert kept == {1}


# Servers that fail

ANSWERS = {**POP3_ANSWERS, "TOP": "-ERR no"}


def peer(*capabilities: str, **answers: str) -> ScriptedPeer:
    """A server with the two messages u1 and u2, that answers as these say: RETR_1 stands for RETR 1."""
    table = {**ANSWERS, "CAPA": "\n".join(["+OK", "UIDL", "USER", "TOP", *capabilities, "."])}
    table |= {name.replace("_", " "): answer for name, answer in answers.items()}
    return ScriptedPeer("S: +OK pop", Answers(table))


async def test_a_refused_message_is_told_and_counts_against_it(sink: MemorySink, ledger: MemoryLedger) -> None:
    async with peer(RETR_1="-ERR no such message") as server:
        report = await run(server, sink, ledger, keep="until stored")
        records = await records_of(ledger, server)

    assert outcomes(report) == {"u1": Outcome.FAILED, "u2": Outcome.STORED}
    assert "no such message" in report.messages[0].reason
    assert (records["u1"].failures, records["u1"].state) == (1, State.SEEN)
    assert deletions(report) == {"u2": Deleted.COMMITTED}


async def test_a_refusal_for_a_while_counts_against_nobody(sink: MemorySink, ledger: MemoryLedger) -> None:
    async with peer("RESP-CODES", RETR_1="-ERR [SYS/TEMP] later") as server:
        report = await run(server, sink, ledger)
        assert (await records_of(ledger, server))["u1"].failures == 0
    assert outcomes(report) == {"u1": Outcome.FAILED, "u2": Outcome.STORED}


async def test_what_fails_and_does_not_count_is_in_nobodys_way(sink: MemorySink, ledger: MemoryLedger) -> None:
    for expected in (
        {"u1": Outcome.FAILED, "u2": Outcome.LEFT},
        {"u1": Outcome.LEFT, "u2": Outcome.STORED},
        {"u1": Outcome.FAILED},
    ):
        async with peer("RESP-CODES", RETR_1="-ERR [SYS/TEMP] later") as server:
            assert outcomes(await run(server, sink, ledger, limit=1)) == expected
            first = (await records_of(ledger, server))["u1"]
            assert (first.state, first.failures) == (State.SEEN, 0)
            assert "[SYS/TEMP] later" in first.reason


async def test_a_refused_deletion_is_told_and_the_message_stays_stored(sink: MemorySink, ledger: MemoryLedger) -> None:
    async with peer(DELE_1="-ERR locked") as server:
        report = await run(server, sink, ledger, keep="until stored")
        assert await states(ledger, server) == {"u1": State.STORED, "u2": State.GONE}

    assert deletions(report) == {"u1": Deleted.REFUSED, "u2": Deleted.COMMITTED}
    assert report.error is None


LOGIN: tuple[Any, ...] = ("S: +OK pop", "C: CAPA", "S: +OK", "S: UIDL", "S: USER", "S: .", "C: USER b", "S: +OK")
LOGIN += ("C: PASS secret", "S: +OK", "C: CAPA", "S: +OK", "S: UIDL", "S: USER", "S: .")
TWO: tuple[Any, ...] = ("C: STAT", "S: +OK 2 14", "C: LIST", "S: +OK", "S: 1 7", "S: 2 7", "S: .")
TWO += ("C: UIDL", "S: +OK", "S: 1 u1", "S: 2 u2", "S: .")
RETRIEVED: tuple[Any, ...] = ("C: RETR 1", "S: +OK", "S: first", "S: .", "C: RETR 2", "S: +OK", "S: other", "S: .")
NAMELESS: tuple[Any, ...] = (*TWO[:7], "C: UIDL", "S: +OK", "S: 2 u2", "S: .", "C: UIDL 1", "S: -ERR no")
NAMELESS += ("C: NOOP", "S: +OK")
MARKED: tuple[Any, ...] = ("C: DELE 1", "S: +OK", "C: DELE 2", "S: +OK")


@pytest.mark.parametrize(
    ("farewell", "kind"),
    [
        (("C: QUIT", "S: -ERR some were not removed"), ResponseError),
        (("C: QUIT", FIN), ConnectionLost),
        (("C: QUIT", RST), ConnectionLost),
    ],
)
async def test_deletions_without_an_answer_are_unknown_and_nothing_comes_twice(
    sink: MemorySink, ledger: MemoryLedger, farewell: tuple[Any, ...], kind: type[Exception]
) -> None:
    async with ScriptedPeer(*LOGIN, *TWO, *RETRIEVED, *MARKED, *farewell) as server:
        report = await run(server, sink, ledger, keep="until stored")
    assert isinstance(report.error, kind)
    assert deletions(report) == {"u1": Deleted.UNKNOWN, "u2": Deleted.UNKNOWN}
    async with ledger.claim("b") as page:
        assert {record.state for record in (await page.records()).values()} == {State.MARKED}

    async with peer() as server:
        again = await run(server, sink, ledger, keep="until stored")
    assert outcomes(again) == {"u1": Outcome.KNOWN, "u2": Outcome.KNOWN}
    assert deletions(again) == {"u1": Deleted.COMMITTED, "u2": Deleted.COMMITTED}
    assert again.known == 0
    assert len(sink.contents) == 2


async def test_deletions_that_were_all_refused_are_known_whatever_becomes_of_the_farewell(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    refused: tuple[Any, ...] = ("C: DELE 1", "S: -ERR no", "C: DELE 2", "S: -ERR no")
    async with ScriptedPeer(*LOGIN, *TWO, *RETRIEVED, *refused, "C: QUIT", FIN) as server:
        report = await run(server, sink, ledger, keep="until stored")
    assert deletions(report) == {"u1": Deleted.REFUSED, "u2": Deleted.REFUSED}
    assert report.error is None


async def test_deletions_without_unique_ids_are_unknown_as_well(sink: MemorySink, ledger: MemoryLedger) -> None:
    listed: tuple[Any, ...] = (*TWO[:7], "C: UIDL", "S: -ERR no")
    async with ScriptedPeer(*LOGIN, *listed, *RETRIEVED, *MARKED, "C: QUIT", FIN) as server:
        report = await run(server, sink, ledger, keep="until stored", delete_without_uid=True)
    assert isinstance(report.error, ConnectionLost)
    assert [message.deleted for message in report.messages] == [Deleted.UNKNOWN] * 2


async def test_in_another_session_what_has_no_unique_id_stays_and_the_others_are_known_by_theirs(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    listed = {
        "STAT": "+OK 3 21",
        "LIST": "+OK\n1 7\n2 7\n3 7\n.",
        "UIDL": "+OK\n2 u1\n3 u2\n.",
        "UIDL 1": "-ERR no",
        "RETR 2": "+OK\n" + "line\n" * 1000 + ".",
    }
    other = {"UIDL": "+OK\n1 u2\n2 u1\n."}
    async with ScriptedPeer("S: +OK pop", Answers({**ANSWERS, **listed})) as first, peer(**other) as second:
        places = iter((first, second))
        endpoint = replace(endpoint_at(first), connect=lambda: next(places).connect())
        settings = POP3Settings(drain=Budget(octets=100, seconds=5))
        policy = Policy(keep="until stored", delete_without_uid=True, max_message_size=50)
        account = Account(endpoint, sink, policy=policy, settings=settings, name="b")
        report = await Run(account, ledger=ledger).perform()
        assert [command for command in second.commands if command.startswith("DELE")] == ["DELE 1"]
    assert report.error is None
    assert [(message.number, message.uid, message.outcome, message.deleted) for message in report.messages] == [
        (1, None, Outcome.STORED, None),
        (2, "u1", Outcome.TOO_LARGE, None),
        (3, "u2", Outcome.STORED, Deleted.COMMITTED),
    ]


async def test_in_another_session_a_message_of_another_size_is_another_and_stays(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    listed = {
        "STAT": "+OK 4 28",
        "LIST": "+OK\n1 7\n2 7\n3 7\n4 7\n.",
        "UIDL": "+OK\n1 u1\n2 u2\n3 u3\n4 u4\n.",
        "RETR 2": "+OK\n" + "line\n" * 1000 + ".",
    }
    # A server whose unique ids move on with the numbers.
    other = {"STAT": "+OK 4 32", "LIST": "+OK\n1 9\n2 7\n3 7\n4 9\n.", "RETR 3": "+OK\nthird\n."}
    second_table = {**ANSWERS, **listed, **other}
    async with (
        ScriptedPeer("S: +OK pop", Answers({**ANSWERS, **listed})) as first,
        ScriptedPeer("S: +OK pop", Answers(second_table)) as second,
    ):
        places = iter((first, second))
        endpoint = replace(endpoint_at(first), connect=lambda: next(places).connect())
        settings = POP3Settings(drain=Budget(octets=100, seconds=5))
        policy = Policy(keep="until stored", max_message_size=50)
        account = Account(endpoint, sink, policy=policy, settings=settings, name="b")
        report = await Run(account, ledger=ledger).perform()
        assert [command for command in second.commands if command[:4] in ("RETR", "DELE")] == ["RETR 3", "DELE 3"]
    assert report.error is None
    assert [(message.uid, message.outcome, message.deleted) for message in report.messages] == [
        ("u1", Outcome.STORED, None),
        ("u2", Outcome.TOO_LARGE, None),
        ("u3", Outcome.STORED, Deleted.COMMITTED),
        ("u4", Outcome.FAILED, None),
    ]
    assert sink.contents == [b"first\r\n", b"third\r\n"]
    async with ledger.claim("b") as page:
        known = {uid: record.state for uid, record in (await page.records()).items()}
    assert known == {"u1": State.STORED, "u2": State.SEEN, "u3": State.GONE, "u4": State.SEEN}


@pytest.mark.parametrize(
    ("listed", "marked", "told"),
    [
        (TWO, ("C: DELE 1", FIN), {"u1": Deleted.UNKNOWN, "u2": Deleted.KEPT}),
        (TWO, ("C: DELE 1", "S: -ERR no", "C: DELE 2", FIN), {"u1": Deleted.REFUSED, "u2": Deleted.UNKNOWN}),
        (NAMELESS, ("C: DELE 2", "S: +OK", "C: DELE 1", FIN), {"u2": Deleted.UNKNOWN, None: Deleted.UNKNOWN}),
        (NAMELESS, ("C: DELE 2", FIN), {"u2": Deleted.UNKNOWN, None: Deleted.KEPT}),
    ],
)
async def test_what_the_server_was_never_asked_to_delete_is_known_to_be_there(
    sink: MemorySink,
    ledger: MemoryLedger,
    listed: tuple[Any, ...],
    marked: tuple[Any, ...],
    told: dict[str | None, Deleted],
) -> None:
    async with ScriptedPeer(*LOGIN, *listed, *RETRIEVED, *marked) as server:
        report = await run(server, sink, ledger, keep="until stored", delete_without_uid=True)
    assert isinstance(report.error, ConnectionLost)
    assert deletions(report) == told


@pytest.mark.parametrize(
    ("marked", "told"),
    [
        (("C: DELE 1",), {"u1": Deleted.UNKNOWN, "u2": Deleted.KEPT}),
        ((*MARKED, "C: QUIT"), {"u1": Deleted.UNKNOWN, "u2": Deleted.UNKNOWN}),
    ],
)
async def test_of_a_run_that_is_cancelled_as_it_deletes_it_is_known_what_the_server_was_asked(
    sink: MemorySink, ledger: MemoryLedger, marked: tuple[Any, ...], told: dict[str | None, Deleted]
) -> None:
    async with ScriptedPeer(*LOGIN, *TWO, *RETRIEVED, *marked, STALL, guard=None) as server:
        account = Account(endpoint_at(server), sink, policy=Policy(keep="until stored"), name="b")
        deleting = Run(account, ledger=ledger)
        performing = asyncio.create_task(deleting.perform())
        await turns(200)  # a whole run takes more than what one impulse sets off
        assert deletions(deleting.report()) == {"u1": Deleted.UNKNOWN, "u2": Deleted.UNKNOWN}
        performing.cancel()
        await asyncio.wait([performing])
    assert deletions(deleting.report()) == told


async def test_a_connection_lost_in_the_middle_keeps_what_came_whole(sink: MemorySink, ledger: MemoryLedger) -> None:
    cut: tuple[Any, ...] = (*RETRIEVED[:4], "C: RETR 2", "S: +OK", "S: oth", FIN)
    async with ScriptedPeer(*LOGIN, *TWO, *cut) as server:
        report = await run(server, sink, ledger, keep="until stored")

    assert isinstance(report.error, MessageTruncated)
    assert outcomes(report) == {"u1": Outcome.STORED, "u2": Outcome.FAILED}
    assert sink.contents == [b"first\r\n"]
    assert report.messages[1].octets == 5
    async with ledger.claim("b") as page:
        records = await page.records()
    assert (records["u1"].state, records["u2"].failures) == (State.STORED, 1)


async def test_a_sink_that_swallows_the_loss_has_stored_nothing(ledger: MemoryLedger) -> None:
    class Careless(MemorySink):
        async def store(self, mail: Mail) -> None:
            with suppress(ConnectionLost):
                await super().store(mail)

    cut: tuple[Any, ...] = (*RETRIEVED[:4], "C: RETR 2", "S: +OK", "S: oth", FIN)
    async with ScriptedPeer(*LOGIN, *TWO, *cut) as server:
        report = await run(server, Careless(), ledger, keep="until stored")

    assert isinstance(report.error, MessageTruncated)
    assert outcomes(report) == {"u1": Outcome.STORED, "u2": Outcome.FAILED}


async def test_a_group_that_came_whole_is_settled_when_the_connection_is_lost(
    ledger: MemoryLedger, tmp_path: Path
) -> None:
    cut: tuple[Any, ...] = (*RETRIEVED[:4], "C: RETR 2", "S: +OK", "S: oth", FIN)
    async with ScriptedPeer(*LOGIN, *TWO, *cut) as server:
        report = await run(server, Maildir(tmp_path), ledger)

    assert outcomes(report) == {"u2": Outcome.FAILED, "u1": Outcome.STORED}
    assert [file.read_bytes() for file in (tmp_path / "new").iterdir()] == [b"first\r\n"]
    assert list((tmp_path / "tmp").iterdir()) == []


async def test_a_group_that_came_whole_is_settled_when_an_error_of_the_callers_ends_the_run(
    server: MailServer, ledger: MemoryLedger, tmp_path: Path
) -> None:
    fill(server, "one", "two", "three")

    def show(progress: RetrievalProgress) -> None:
        if progress.messages == 2:
            raise ZeroDivisionError("no bar is so short")

    with pytest.raises(ZeroDivisionError):
        await run(server, Maildir(tmp_path / "Mail"), ledger, progress=show)

    (file,) = (tmp_path / "Mail" / "new").iterdir()
    assert file.read_bytes() == body("one")
    assert list((tmp_path / "Mail" / "tmp").iterdir()) == []
    assert (await states(ledger, server))["one"] is State.STORED


async def test_what_has_ended_a_run_goes_before_a_sink_that_fails_behind_it(
    ledger: MemoryLedger, tmp_path: Path
) -> None:
    class Full(Maildir):
        async def settle(self, mails: Any) -> None:
            await super().discard(mails)
            raise OSError(errno.ENOSPC, "No space left on device")

    cut: tuple[Any, ...] = (*RETRIEVED[:4], "C: RETR 2", "S: +OK", "S: oth", FIN)
    async with ScriptedPeer(*LOGIN, *TWO, *cut) as server:
        report = await run(server, Full(tmp_path), ledger)

    assert isinstance(report.error, MessageTruncated)
    assert outcomes(report)["u1"] is Outcome.LEFT


U = [f"u{number}" for number in range(1, 7)]
DEADLY = [b"", None, b"garbage\r\n", b"+OK " + b"x" * 9000 + b"\r\n", b"+OK\r\n+OK 7 octets\r\n", b"+OK\r\nhalf"]


NOOP: tuple[Any, ...] = ("C: NOOP", "S: +OK")


async def test_a_message_at_which_the_server_hangs_up_is_asked_for_behind_the_others(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    async with ScriptedPeer(*LOGIN, *TWO, "C: RETR 1", FIN) as server:
        assert outcomes(await run(server, sink, ledger)) == {"u1": Outcome.FAILED, "u2": Outcome.LEFT}
    async with ScriptedPeer(*LOGIN, *TWO, *RETRIEVED[4:], *NOOP, "C: RETR 1", FIN) as server:
        report = await run(server, sink, ledger)
        known = await records_of(ledger, server)
    assert isinstance(report.error, ConnectionLost)
    assert outcomes(report) == {"u1": Outcome.FAILED, "u2": Outcome.STORED}
    assert report.failed[0].reason == f"ConnectionLost: {report.error}"
    assert (known["u1"].failures, known["u2"].state) == (2, State.STORED)


async def test_of_two_messages_under_suspicion_the_one_that_comes_between_two_noops_is_stored(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    async with ScriptedPeer(*LOGIN, *TWO, *RETRIEVED[:4], "C: RETR 2", "S: what", FIN) as server:
        report = await run(server, sink, ledger)
        known = await records_of(ledger, server)
    assert outcomes(report) == {"u1": Outcome.FAILED, "u2": Outcome.FAILED}
    assert [(record.state, record.failures) for record in known.values()] == [(State.SEEN, 0)] * 2
    alone: tuple[Any, ...] = (*NOOP, *RETRIEVED[:4], *NOOP, "C: RETR 2", "S: what", FIN)
    async with ScriptedPeer(*LOGIN, *TWO, *alone) as server:
        report = await run(server, sink, ledger)
        known = await records_of(ledger, server)
    assert outcomes(report) == {"u1": Outcome.STORED, "u2": Outcome.FAILED}
    assert (known["u1"].state, known["u2"].failures) == (State.STORED, 1)


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("last", DEADLY)
@pytest.mark.parametrize("place", [0, 2, 5])
async def test_a_message_that_no_session_survives_is_in_the_way_of_no_other(
    sink: MemorySink, ledger: MemoryLedger, place: int, last: bytes | None, pipelining: bool
) -> None:
    server = DeadlyServer(*U, deadly={f"RETR {U[place]}": last}, pipelining=pipelining)
    async with server.listening() as endpoint:
        policy = Policy(keep="until stored")
        runs = [await Run(Account(endpoint, sink, policy=policy), ledger=ledger).perform() for _ in range(6)]
    assert runs[0].error is not None
    assert outcomes(runs[0])[U[place]] is Outcome.FAILED
    assert {message.uid for message in runs[1].messages} >= {*U[place + 1 :]}
    assert {f"u{subject}" for subject in sink.subjects} == {*U} - {U[place]}
    # Where the message before it was under suspicion, it has come twice, and counts as one that did not fail.
    assert len(sink.subjects) - len(set(sink.subjects)) <= 1
    assert runs[-1].error is None
    assert outcomes(runs[-1]) == {U[place]: Outcome.SKIPPED}
    assert server.messages == [U[place]]


@pytest.mark.parametrize("again", [{"login_delay": 901}, {"resting": True}], ids=["LOGIN-DELAY", "refused"])
async def test_a_message_that_no_session_survives_is_in_the_way_of_no_other_though_there_is_no_second_login(
    sink: MemorySink, ledger: MemoryLedger, again: dict[str, Any]
) -> None:
    server = DeadlyServer(*U, deadly={"RETR u2": b""}, pipelining=True, **again)
    async with server.listening() as endpoint:
        account = Account(endpoint, sink, name="b")
        runs = [await Run(account, ledger=ledger).perform()]
        async with ledger.claim("b") as page:
            record = (await page.records())["u2"]
        for _ in range(4):
            server.wake()
            runs.append(await Run(account, ledger=ledger).perform())
    # It may have been pipelining.
    assert (outcomes(runs[0])["u2"], record.failures, bool(record.reason)) == (Outcome.FAILED, 0, True)
    assert runs[1].counts == {Outcome.STORED: 4, Outcome.FAILED: 1, Outcome.KNOWN: 1}
    assert [outcomes(report) for report in runs[2:]] == [
        *({"u2": Outcome.FAILED}, {"u2": Outcome.FAILED}, {"u2": Outcome.SKIPPED})
    ]
    assert runs[-1].error is None


async def test_what_failed_before_is_fetched_between_two_noops(sink: MemorySink, ledger: MemoryLedger) -> None:
    server = DeadlyServer(*U, deadly={"RETR u1": b"garbage\r\n", "RETR u3": b"garbage\r\n"})
    async with server.listening() as endpoint:
        for _ in range(2):
            await Run(Account(endpoint, sink), ledger=ledger).perform()
        assert server.commands[1] == ["RETR u2", "RETR u3"]
        server.deadly.clear()
        report = await Run(Account(endpoint, sink), ledger=ledger).perform()
    noop = "NOOP"
    assert server.commands[2] == [
        *("RETR u4", "RETR u5", "RETR u6"),
        *(noop, "RETR u2", noop, "RETR u3", noop, "RETR u1", noop, "QUIT"),
    ]
    assert outcomes(report) == dict.fromkeys(U, Outcome.STORED)


async def test_what_is_lost_with_a_message_that_is_too_long_is_no_others_failure(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    cut: tuple[Any, ...] = ("C: RETR 1", "S: +OK", *["S: line"] * 100, WAIT, FIN)
    async with ScriptedPeer(*LOGIN, *TWO, *cut) as server:
        performing = asyncio.create_task(run(server, sink, ledger, max_message_size=50))
        await drain_events()
        server.go_on()
        report = await performing
    assert isinstance(report.error, MessageTruncated)
    assert outcomes(report) == {"u1": Outcome.TOO_LARGE, "u2": Outcome.LEFT}
    async with ledger.claim("b") as page:
        other = (await page.records())["u2"]
    assert (other.failures, other.reason) == (0, "")


async def test_a_noop_that_is_refused_ends_nothing(sink: MemorySink, ledger: MemoryLedger) -> None:
    for noop in ("+OK", "-ERR never heard of it"):
        async with peer(NOOP=noop, RETR_1="-ERR no such message") as server:
            report = await run(server, sink, ledger)
            assert (await records_of(ledger, server))["u1"].failures == (1 if noop == "+OK" else 2)
        assert report.error is None


async def test_a_quota_that_is_used_up_ends_the_fetching_of_what_failed_before(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    async with peer(RETR_1="-ERR no such message", RETR_2="-ERR no such message") as server:
        await run(server, sink, ledger)
    async with peer("RESP-CODES", RETR_1="-ERR bandwidth limit exceeded") as server:
        report = await run(server, sink, ledger)
        assert [command for command in server.commands if command[:4] in ("RETR", "NOOP")] == ["NOOP", "RETR 1"]
    assert outcomes(report) == {"u1": Outcome.FAILED, "u2": Outcome.LEFT}


@pytest.mark.parametrize("last", DEADLY)
async def test_a_preview_that_no_session_survives_is_in_the_way_of_no_other(
    sink: MemorySink, ledger: MemoryLedger, last: bytes | None
) -> None:
    server = DeadlyServer(*U, deadly={"TOP u2": last})
    policy = Policy(max_message_size=5, oversize="preview")
    async with server.listening() as endpoint:
        runs = [await Run(Account(endpoint, sink, policy=policy), ledger=ledger).perform() for _ in range(5)]
    assert outcomes(runs[0])["u2"] is Outcome.FAILED
    assert {message.uid for message in runs[1].messages if message.outcome is Outcome.PREVIEWED} >= {*U[2:]}
    assert sorted(f"u{subject}" for subject in sink.subjects) == [*U[:1], *U[2:]]
    assert runs[-1].error is None
    assert outcomes(runs[-1])["u2"] is Outcome.SKIPPED


@pytest.mark.parametrize("settings", [{"pipelining": True}, {}, {"pipelining": True, "resting": True}])
@pytest.mark.parametrize("last", DEADLY)
async def test_a_comparison_that_no_session_survives_is_in_the_way_of_no_message(
    sink: MemorySink, ledger: MemoryLedger, last: bytes | None, settings: dict[str, Any]
) -> None:
    async with DeadlyServer(*U).listening() as endpoint:
        await Run(Account(endpoint, sink, name="b"), ledger=ledger).perform()
    moved = [f"v{number}" for number in range(1, 7)]
    server = DeadlyServer(*moved, "new9", deadly={"TOP v2": last}, **settings)
    async with server.listening() as endpoint:
        account = Account(endpoint, sink, policy=Policy(when_all_new="match"), name="b")
        runs, reasons = list[RetrievalReport](), list[set[str]]()
        for _ in range(4):
            runs.append(await Run(account, ledger=ledger).perform())
            server.wake()
            async with ledger.claim("b") as page:
                reasons.append({record.reason for uid, record in (await page.records()).items() if uid in moved})
    # All that were compared with it are under suspicion, and why is written down.
    assert runs[0].error is not None
    assert reasons[0] == {as_reason(runs[0].error)}
    # It is compared with the others, then by itself, and then no more: once more is fetched what may be stored.
    assert [report.error is None for report in runs] == [False] * 2 + [True] * 2
    assert [report.counts for report in runs[:2]] == [{Outcome.LEFT: 7}] * 2
    assert outcomes(runs[2]) == {"new9": Outcome.STORED, "v2": Outcome.STORED}
    assert [report.known for report in runs[2:]] == [5, 7]
    assert sink.subjects == [*"123456", "9", "2"]


async def test_what_ends_a_comparison_is_told_also_where_the_ledger_takes_no_note_of_it(sink: MemorySink) -> None:
    ledger = Failing(1_000)
    async with DeadlyServer(*U).listening() as endpoint:
        await Run(Account(endpoint, sink, name="b"), ledger=ledger).perform()
    ledger.left = 0
    async with DeadlyServer("v1", "v2", deadly={"TOP v2": b""}).listening() as endpoint:
        account = Account(endpoint, sink, policy=Policy(when_all_new="match"), name="b")
        report = await Run(account, ledger=ledger).perform()
    assert isinstance(report.error, ConnectionLost)


async def test_a_message_whose_header_and_whole_no_session_survives_is_skipped_in_the_end(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    async with DeadlyServer(*U).listening() as endpoint:
        await Run(Account(endpoint, sink, name="b"), ledger=ledger).perform()
    moved = [f"v{number}" for number in range(1, 7)]
    server = DeadlyServer(*moved, "new9", deadly={"TOP v2": b"", "RETR v2": b""})
    async with server.listening() as endpoint:
        account = Account(endpoint, sink, policy=Policy(when_all_new="match"), name="b")
        runs = [await Run(account, ledger=ledger).perform() for _ in range(5)]
    assert outcomes(runs[2]) == {"new9": Outcome.STORED, "v2": Outcome.FAILED}
    assert [outcomes(report) for report in runs[3:]] == [{"v2": Outcome.FAILED}, {"v2": Outcome.SKIPPED}]
    assert runs[-1].error is None
    assert sink.subjects == [*"123456", "9"]


DELETING = Policy(keep="until stored")


async def test_a_message_at_whose_deletion_the_server_hangs_up_is_left_out_of_account(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    async with ScriptedPeer(*LOGIN, *TWO, *RETRIEVED, "C: DELE 1", FIN) as server:
        assert deletions(await run(server, sink, ledger, keep="until stored"))["u1"] is Deleted.UNKNOWN
    async with ScriptedPeer(*LOGIN, *TWO, "C: DELE 1", FIN) as server:
        report = await run(server, sink, ledger, keep="until stored")
        known = await records_of(ledger, server)
    assert deletions(report) == {"u1": Deleted.UNKNOWN, "u2": Deleted.KEPT}
    assert [record.reason for record in known.values()] == [f"ConnectionLost: {report.error}", ""]
    async with ScriptedPeer(*LOGIN, *TWO, *MARKED[2:], "C: QUIT", "S: +OK", CLOSE) as server:
        report = await run(server, sink, ledger, keep="until stored")
    assert report.error is None
    assert deletions(report) == {"u1": Deleted.KEPT, "u2": Deleted.COMMITTED}


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("last", [b"", None, b"\r\n+OK\r\n", b"+OK " + b"x" * 9000 + b"\r\n"])
@pytest.mark.parametrize("place", [0, 2, 5])
async def test_a_deletion_that_no_session_survives_is_in_the_way_of_no_other(
    sink: MemorySink, ledger: MemoryLedger, place: int, last: bytes | None, pipelining: bool
) -> None:
    server, time = DeadlyServer(*U, deadly={f"DELE {U[place]}": last}, pipelining=pipelining), Time()
    async with server.listening() as endpoint:
        account = Account(endpoint, sink, policy=DELETING)
        runs = [await Run(account, ledger=ledger, now=time).perform() for _ in range(4)]
        assert [report.error is None for report in runs] == [False, False, True, True]
        deleted = deletions(runs[2])
        assert deleted.pop(U[place]) is Deleted.KEPT
        assert set(deleted.values()) == {Deleted.COMMITTED}
        assert (outcomes(runs[3]), deletions(runs[3])) == ({U[place]: Outcome.KNOWN}, {U[place]: Deleted.KEPT})
        assert server.messages == [U[place]]
        assert server.commands[-1] == ["QUIT"]


async def test_what_has_ended_a_session_when_it_was_deleted_is_tried_again_after_a_day(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    server, time = DeadlyServer("u1", "u2", "u3", deadly={"DELE u1": b"", "DELE u3": b""}), Time()
    async with server.listening() as endpoint:
        account = Account(endpoint, sink, policy=DELETING)

        async def delete() -> list[str]:
            known = deletions(await Run(account, ledger=ledger, now=time).perform())
            time.pass_by(minutes=1)
            return [f"{uid} {deleted.value}" for uid, deleted in known.items() if deleted is not None]

        assert await delete() == ["u1 deletion unknown", "u2 not deleted", "u3 not deleted"]
        assert await delete() == ["u1 deletion unknown", "u2 not deleted", "u3 not deleted"]
        assert await delete() == ["u1 not deleted", "u2 deletion unknown", "u3 deletion unknown"]
        assert await delete() == ["u1 not deleted", "u2 deleted", "u3 not deleted"]
        time.pass_by(days=1, minutes=-4)
        assert await delete() == ["u1 not deleted", "u3 not deleted"]
        assert await delete() == ["u1 deletion unknown", "u3 not deleted"]
        assert await delete() == ["u1 not deleted", "u3 deletion unknown"]
        server.deadly.clear()
        server.refused.add("DELE u3")
        time.pass_by(days=1)
        assert await delete() == ["u1 deleted", "u3 deletion refused"]
        async with ledger.claim(account.name) as page:
            known = {uid: (record.state, record.reason) for uid, record in (await page.records()).items()}
        assert known == {"u1": (State.GONE, ""), "u2": (State.GONE, ""), "u3": (State.STORED, "")}


async def test_what_was_to_be_deleted_in_vain_is_deleted_behind_what_was_not_and_in_a_session_of_its_own(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    server = DeadlyServer("u1", "u2", deadly={"QUIT": b""}, pipelining=True)
    async with server.listening() as endpoint:
        account = Account(endpoint, sink, policy=DELETING)
        first = await Run(account, ledger=ledger).perform()
        assert isinstance(first.error, ConnectionLost)
        server.deadly.clear()
        server.messages.append("u3")
        report = await Run(account, ledger=ledger).perform()
    assert report.error is None
    assert server.commands[1:] == [["RETR u3", "DELE u3", "QUIT"], ["DELE u1", "DELE u2", "QUIT"]]
    assert deletions(report) == dict.fromkeys(("u1", "u2", "u3"), Deleted.COMMITTED)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how long logins would have been waited for, rounded up; they are not."""
    waited: list[float] = []

    async def wait(_: POP3Client, seconds: float) -> None:
        waited.append(math.ceil(seconds))

    monkeypatch.setattr(POP3Client, "_wait", wait)
    return waited


async def delete_in_vain(server: DeadlyServer, account: Account, ledger: MemoryLedger) -> None:
    server.deadly["QUIT"] = b""
    assert isinstance((await Run(account, ledger=ledger).perform()).error, ConnectionLost)
    del server.deadly["QUIT"]
    server.commands.clear()


@pytest.mark.parametrize(
    ("count", "sizes"), [(200, [200]), (201, [200, 1]), (600, [200, 400]), (601, [200, 400, 1]), (900, [200, 400, 300])]
)
async def test_what_was_to_be_deleted_in_vain_is_deleted_in_sessions_each_of_which_may_have_twice_as_much(
    sink: MemorySink, ledger: MemoryLedger, count: int, sizes: list[int]
) -> None:
    server = DeadlyServer(*(f"u{number}" for number in range(count)), pipelining=True)
    async with server.listening() as endpoint:
        account = Account(endpoint, sink, policy=DELETING)
        await delete_in_vain(server, account, ledger)
        report = await Run(account, ledger=ledger).perform()
    assert (report.error, server.messages) == (None, [])
    assert [len(commands) - 1 for commands in server.commands] == sizes


@pytest.mark.parametrize(
    ("delay", "limit", "sizes"),
    [
        (450, 1350, [1, 2, 4, 1]),
        (450, 1349, [1, 2, 4]),
        (450, 900, [1, 2, 4]),
        (450, 450, [1, 2]),
        (450, 449, [3]),
        (0, 0, [1, 2, 4, 1]),
    ],
)
async def test_a_run_waits_for_all_logins_to_delete_no_longer_than_for_one(
    sink: MemorySink,
    ledger: MemoryLedger,
    monkeypatch: pytest.MonkeyPatch,
    pauses: list[float],
    delay: int,
    limit: float,
    sizes: list[int],
) -> None:
    monkeypatch.setattr("mailwire.maildrop.disposal._AT_FIRST", 2)
    server = DeadlyServer(*(f"u{number}" for number in range(7)), login_delay=delay)
    async with server.listening() as endpoint:
        account = Account(endpoint, sink, policy=DELETING, settings=POP3Settings(login_pause_limit=limit))
        await delete_in_vain(server, account, ledger)
        server.messages.append("new")
        report = await Run(account, ledger=ledger).perform()
        assert report.error is None
        gone = sum(sizes)
        assert [deleted for _, deleted in sorted(deletions(report).items(), key=str)] == [
            *[Deleted.COMMITTED] * 1,
            *[Deleted.COMMITTED] * (gone - 1),
            *[Deleted.KEPT] * (8 - gone),
        ]
        assert [sum(command.startswith("DELE") for command in commands) for commands in server.commands] == sizes
        assert [seconds for seconds in pauses if seconds > 0] == [delay] * (len(sizes) - 1) * (delay > 0)
        # The next run goes on with what is left.
        assert len((await Run(account, ledger=ledger).perform()).deleted) == min(8 - gone, 2 if limit < 450 else 8)


async def test_where_there_is_one_session_what_was_never_to_be_deleted_goes_first(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    server, time = DeadlyServer("u1", "u2", login_delay=1800), Time()
    async with server.listening() as endpoint:
        account = Account(endpoint, sink, policy=DELETING)
        await delete_in_vain(server, account, ledger)
        server.messages.append("u3")
        server.deadly["DELE u1"] = b""
        lost = await Run(account, ledger=ledger, now=time).perform()
        assert server.commands == [["RETR u3", "DELE u3", "DELE u1"]]
        assert deletions(lost) == {"u3": Deleted.UNKNOWN, "u1": Deleted.UNKNOWN, "u2": Deleted.KEPT}
        # What has ended that session is in no message's way, and is not asked for in one with others.
        time.pass_by(days=2)
        server.messages.append("u4")
        report = await Run(account, ledger=ledger, now=time).perform()
        assert (report.error, server.messages) == (None, ["u1"])
        assert deletions(report)["u1"] is Deleted.KEPT
        del server.deadly["DELE u1"]
        await Run(account, ledger=ledger, now=time).perform()
    assert server.messages == []


async def test_what_is_gone_in_a_session_that_is_lost_was_not_kept(sink: MemorySink, ledger: MemoryLedger) -> None:
    await store_two_and_delete_in_vain(sink, ledger)
    listed = ("C: STAT", "S: +OK 1 7", "C: LIST", "S: +OK", "S: 1 7", "S: .", "C: UIDL", "S: +OK", "S: 1 u2", "S: .")
    async with (
        ScriptedPeer(*LOGIN, *THREE, *THIRD, "C: QUIT", "S: +OK", CLOSE) as first,
        ScriptedPeer(*LOGIN, *listed, "C: DELE 1", FIN) as second,
    ):
        places = iter((first, second))
        endpoint = replace(endpoint_at(first), connect=lambda: next(places).connect())
        report = await run(first, sink, ledger, keep="until stored", endpoint=endpoint)
    assert isinstance(report.error, ConnectionLost)
    assert deletions(report) == {"u3": Deleted.COMMITTED, "u2": Deleted.UNKNOWN}


async def test_what_is_gone_before_it_was_to_be_deleted_again_is_not_marked_any_more(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    await store_two_and_delete_in_vain(sink, ledger)
    listed = ("C: STAT", "S: +OK 0 0", "C: LIST", "S: +OK", "S: .", "C: UIDL", "S: +OK", "S: .")
    async with (
        ScriptedPeer(*LOGIN, *THREE, *THIRD, "C: QUIT", "S: +OK", CLOSE) as first,
        ScriptedPeer(*LOGIN, *listed, "C: QUIT", "S: +OK", CLOSE) as second,
    ):
        places = iter((first, second))
        endpoint = replace(endpoint_at(first), connect=lambda: next(places).connect())
        report = await run(first, sink, ledger, keep="until stored", endpoint=endpoint)
        assert await states(ledger, first) == {"u1": State.STORED, "u2": State.STORED, "u3": State.GONE}
    assert (report.error, deletions(report)) == (None, {"u3": Deleted.COMMITTED})


async def test_of_a_message_behind_which_a_deletion_has_ended_a_session_it_is_not_known_which_it_was(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    server, time = DeadlyServer("u1", "u2", deadly={"DELE u1": b"\r\n"}), Time()
    async with server.listening() as endpoint:
        account = Account(endpoint, sink, policy=Policy(keep=timedelta(days=1)))

        async def perform() -> dict[str | None, Deleted | None]:
            return deletions(await Run(account, ledger=ledger, now=time).perform())

        assert await perform() == {}
        time.pass_by(days=1)
        assert await perform() == {"u1": Deleted.UNKNOWN, "u2": Deleted.KEPT}
        server.messages.append("u3")
        # It may be the rest of the message that came last.
        assert await perform() == {"u1": Deleted.UNKNOWN, "u2": Deleted.KEPT}
        assert await perform() == {"u1": Deleted.UNKNOWN, "u2": Deleted.KEPT}
        assert await perform() == {"u1": Deleted.KEPT, "u2": Deleted.COMMITTED}
    assert server.messages == ["u1", "u3"]
    assert [commands[-2:] for commands in server.commands[2:4]] == [["RETR u3", "DELE u1"], ["NOOP", "DELE u1"]]


async def test_a_session_that_ended_before_anything_was_deleted_in_it_is_no_deletions_doing(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    await store_two_and_delete_in_vain(sink, ledger)
    async with ScriptedPeer(*LOGIN, *TWO, FIN) as server:
        report = await run(server, sink, ledger, keep="until stored")
    assert isinstance(report.error, ConnectionLost)
    assert deletions(report) == {"u1": Deleted.KEPT, "u2": Deleted.KEPT}
    async with ledger.claim("b") as page:
        assert {record.reason for record in (await page.records()).values()} == {""}


THREE: tuple[Any, ...] = ("C: STAT", "S: +OK 3 21", "C: LIST", "S: +OK", "S: 1 7", "S: 2 7", "S: 3 7", "S: .")
THREE += ("C: UIDL", "S: +OK", "S: 1 u1", "S: 2 u2", "S: 3 u3", "S: .")
THIRD: tuple[Any, ...] = ("C: RETR 3", "S: +OK", "S: third", "S: .", "C: DELE 3", "S: +OK")


async def store_two_and_delete_in_vain(sink: MemorySink, ledger: MemoryLedger) -> None:
    async with ScriptedPeer(*LOGIN, *TWO, *RETRIEVED, *MARKED, "C: QUIT", FIN) as server:
        await run(server, sink, ledger, keep="until stored")


async def test_where_there_is_no_second_session_the_first_has_deleted_what_it_has(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    await store_two_and_delete_in_vain(sink, ledger)
    async with ScriptedPeer(*LOGIN, *THREE, *THIRD, "C: QUIT", "S: +OK", CLOSE) as server:
        endpoint = replace(endpoint_at(server), connect=once(server))
        report = await run(server, sink, ledger, keep="until stored", endpoint=endpoint)
    assert isinstance(report.error, ConnectionFailed)
    assert deletions(report) == {"u1": Deleted.KEPT, "u2": Deleted.KEPT, "u3": Deleted.COMMITTED}


@pytest.mark.parametrize(
    ("farewell", "uids", "end", "kind", "told"),
    [
        # Of what was asked for in the first, a second one that asked for nothing tells nothing.
        ("S: +OK", ("u1", "u1", "u2"), (LISTEN,), AmbiguousMessage, Deleted.COMMITTED),
        ("S: -ERR no", ("u1", "u2", "u3"), ("C: QUIT", "S: +OK", CLOSE), ResponseError, Deleted.KEPT),
    ],
)
async def test_where_a_second_session_deletes_nothing_the_first_has_deleted_what_it_has(
    sink: MemorySink,
    ledger: MemoryLedger,
    farewell: str,
    uids: tuple[str, ...],
    end: tuple[Any, ...],
    kind: type[Exception],
    told: Deleted,
) -> None:
    await store_two_and_delete_in_vain(sink, ledger)
    listed = (*THREE[:8], "C: UIDL", "S: +OK", *(f"S: {number} {uid}" for number, uid in enumerate(uids, 1)), "S: .")
    async with (
        ScriptedPeer(*LOGIN, *THREE, *THIRD, "C: QUIT", farewell, CLOSE) as first,
        ScriptedPeer(*LOGIN, *listed, *end) as second,
    ):
        places = iter((first, second))
        endpoint = replace(endpoint_at(first), connect=lambda: next(places).connect())
        report = await run(first, sink, ledger, keep="until stored", endpoint=endpoint)
    assert type(report.error) is kind
    assert deletions(report) == {"u1": Deleted.KEPT, "u2": Deleted.KEPT, "u3": told}


async def test_a_message_longer_than_announced_is_too_large_when_that_shows(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    long = "+OK\n" + "line\n" * 100 + "."
    async with peer(RETR_1=long) as server:
        report = await run(server, sink, ledger, max_message_size=100)
        assert (await records_of(ledger, server))["u1"].failures == 1

    assert outcomes(report) == {"u1": Outcome.TOO_LARGE, "u2": Outcome.STORED}
    assert "BudgetExceeded" in report.messages[0].reason


async def test_a_preview_that_is_not_to_be_had_leaves_the_message(sink: MemorySink, ledger: MemoryLedger) -> None:
    async with peer() as server:
        report = await run(server, sink, ledger, max_message_size=6, oversize="preview")
        assert (await records_of(ledger, server))["u1"].failures == 0

    assert outcomes(report) == {"u1": Outcome.FAILED, "u2": Outcome.FAILED}
    assert [message.reason for message in report.messages] == [
        f"TOP {number} 0 was refused: -ERR no" for number in (1, 2)
    ]
    assert sink.contents == []


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (("S: -ERR go away",), ResponseError),
        ((*LOGIN[:8], "C: PASS secret", "S: -ERR wrong"), AuthenticationFailed),
        ((*LOGIN, "C: STAT", FIN), ConnectionLost),
    ],
)
async def test_what_ends_a_run_is_in_its_report(
    sink: MemorySink, ledger: MemoryLedger, script: tuple[Any, ...], kind: type[Exception]
) -> None:
    async with ScriptedPeer(*script) as server:
        report = await run(server, sink, ledger)

    assert isinstance(report.error, MailwireError)
    assert type(report.error) is kind
    assert report.error.report == report
    assert (report.messages, report.listed) == ((), 0)
    assert f"error: {kind.__name__}: " in str(report)
    error = report.to_dict()["error"]
    assert isinstance(error, dict)
    assert error["kind"] == kind.__name__


async def test_an_error_that_is_none_of_ours_ends_a_run_with_its_report(server: MailServer, sink: MemorySink) -> None:
    fill(server, "one", "two", "three")
    account = Account(endpoint_at(server), sink)
    this = Run(account, ledger=LostLedger(State.STORED))
    with pytest.raises(RuntimeError, match="the database went away") as caught:
        await this.perform()

    report = vars(caught.value)["report"]
    assert report == this.report()
    assert report.is_finished
    assert report.error is caught.value
    assert report.counts == {Outcome.STORED: 1, Outcome.LEFT: 2}


async def test_nobody_listening_is_told(sink: MemorySink) -> None:
    async with MailServer([USER]) as server:
        endpoint = endpoint_at(server)
    report = await run(server, sink, endpoint=endpoint)
    assert isinstance(report.error, ConnectionFailed)


# Ledgers that fail


async def test_two_runs_on_an_account_do_not_meet(server: MailServer, sink: MemorySink, ledger: MemoryLedger) -> None:
    fill(server, "one")
    async with ledger.claim(account_at(server)):
        busy = await run(server, sink, ledger)
    assert isinstance(busy.error, LedgerBusy)
    assert server.pop3_sessions == []

    reports = await asyncio.gather(*(run(server, sink, ledger, wait=None) for _ in range(3)))
    assert all(report.is_complete for report in reports)
    assert sink.subjects == ["one"]


async def test_a_ledger_that_cannot_be_read_stops_deletion_and_not_retrieval(
    server: MailServer, sink: MemorySink, tmp_path: Path
) -> None:
    fill(server, "one")
    path = tmp_path / "state.db"
    path.write_bytes(b"noise" * 1000)
    async with SQLiteLedger(path) as ledger:
        report = await run(server, sink, ledger, keep="until stored")

    assert sink.subjects == ["one"]
    assert uids(server) == ["one"]
    assert [caution.kind for caution in report.cautions] == [CautionKind.LEDGER_UNREADABLE]
    assert str(report.cautions[0]).endswith(
        "; everything is retrieved, as if for the first time, and nothing is deleted"
    )


async def test_in_place_of_a_ledger_that_cannot_be_read_another_remembers_what_has_come(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger, tmp_path: Path
) -> None:
    fill(server, "one")
    path = tmp_path / "state.db"
    path.write_bytes(b"noise" * 1000)
    async with SQLiteLedger(path) as unreadable:
        first = await run(server, sink, unreadable, fallback=ledger, keep="until stored")
        fill(server, "two")
        second = await run(server, sink, unreadable, fallback=ledger, keep="until stored")
        async with ledger.claim(account_at(server)):
            busy = await run(server, sink, unreadable, fallback=ledger)

    assert sink.subjects == uids(server) == ["one", "two"]
    assert path.read_bytes() == b"noise" * 1000
    assert [str(report.cautions[0]).split("; ", 1)[1] for report in (first, second)] == [
        "everything is retrieved, as if for the first time, and nothing is deleted",
        "what has come since is remembered, and nothing is deleted",
    ]
    assert isinstance(busy.error, LedgerBusy)
    # One that can be read is asked alone.
    assert len((await run(server, sink, MemoryLedger(), fallback=ledger)).stored) == 2


async def test_without_a_ledger_another_can_remember_what_has_come(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    fill(server, "one")
    for _ in range(2):
        assert (await run(server, sink, fallback=ledger)).cautions == ()
    assert sink.subjects == ["one"]
    with pytest.raises(ValueError, match="takes a ledger"):
        await run(server, sink, fallback=ledger, keep=timedelta(days=1))
    await run(server, sink, fallback=ledger, keep="until stored")
    assert uids(server) == []


async def test_a_ledger_that_lacks_a_table_stops_deletion_and_not_retrieval(
    server: MailServer, sink: MemorySink, tmp_path: Path
) -> None:
    fill(server, "one")
    path = tmp_path / "state.db"
    async with SQLiteLedger(path) as ledger:
        await run(server, sink, ledger)
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE records")
    connection.close()
    async with SQLiteLedger(path) as ledger:
        report = await run(server, sink, ledger, keep="until stored")

    assert report.error is None
    assert sink.subjects == ["one", "one"]
    assert uids(server) == ["one"]
    assert [caution.kind for caution in report.cautions] == [CautionKind.LEDGER_UNREADABLE]


class Failing(MemoryLedger):
    """A ledger whose write fails from the one on that is said."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    @asynccontextmanager
    async def claim(self, account: str, *, wait: float | None = 0) -> AsyncGenerator[Page, None]:
        async with super().claim(account, wait=wait) as page:
            yield FailingPage(page, self)


class FailingPage:
    def __init__(self, page: Page, ledger: Failing) -> None:
        self.records = page.records
        self.forget = page.forget
        self._write = page.write
        self._ledger = ledger

    async def write(self, records: Iterable[Record]) -> None:
        if self._ledger.left == 0:
            raise LedgerError("the disk is full")
        self._ledger.left -= 1
        await self._write(records)


@pytest.mark.parametrize(("at", "stored", "left"), [(0, 0, 2), (1, 1, 2), (2, 2, 2), (3, 2, 2), (4, 2, 0)])
async def test_a_ledger_that_cannot_be_written_ends_the_run(
    server: MailServer, sink: MemorySink, at: int, stored: int, left: int
) -> None:
    fill(server, "one", "two")
    ledger = Failing(at)
    report = await run(server, sink, ledger, keep="until stored")

    assert isinstance(report.error, LedgerError)
    assert len(sink.contents) == len(report.stored) == stored
    assert len(uids(server)) == left


# Servers that are as they are


async def test_a_maildrop_where_all_is_new_raises_a_question(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    texts = [f"m{number}" for number in range(12)]
    fill(server, *texts)
    await run(server, sink, ledger, keep=timedelta(days=1))
    async with MailServer([USER]) as moved:
        for text in texts:
            moved.maildrop.put("b", body(text), uid=f"{text}-2")
        fill(moved, "fresh")
        rest: dict[str, Any] = {"account": account_at(server), "keep": timedelta(days=1)}
        report = await run(moved, sink, ledger, **rest)
        assert isinstance(report.error, MaildropRenumbered)
        assert (report.error.known, report.error.listed) == (12, 13)
        assert str(report.error).startswith("none of the 13 messages on the server is one of the 12 that were there")
        assert len(sink.contents) == 12
        assert set(await states(ledger, server)) == set(texts)

        time = Time()
        matched = await run(moved, sink, ledger, when_all_new="match", time=time, **rest)
        assert outcomes(matched) == {"fresh": Outcome.STORED}
        assert matched.known == 12
        assert sink.subjects == [*texts, "fresh"]
        # They are as old as they were.
        time.pass_by(days=1)
        await run(moved, sink, ledger, time=time, **rest)
        assert moved.messages("b") == ()


async def put_by_old_and_new_ids(server: MailServer, sink: MemorySink, ledger: MemoryLedger, *contents: bytes) -> None:
    """Have a run store m0 to m11, and then the server give them other unique ids, with messages of these contents."""
    texts = [f"m{number}" for number in range(12)]
    fill(server, *texts)
    await run(server, sink, ledger)
    take_away(server)
    for place, content in enumerate(contents):
        server.maildrop.put("b", content, uid=f"other{place}")
    for text in texts:
        server.maildrop.put("b", body(text), uid=f"{text}-2")


def counted(*contents: bytes) -> list[tuple[str, bytes]]:
    """Return what a server has that counts its unique ids up from the first."""
    return [(f"{number:08X}", content) for number, content in enumerate(contents, 1)]


def put(server: MailServer, *messages: tuple[str, bytes]) -> None:
    take_away(server)
    for uid, content in messages:
        server.maildrop.put("b", content, uid=uid)


# Of different sizes, but for the two in the middle.
GROWING = [body(f"m{number:02}" + "x" * min(number, 6 if number == 7 else 99)) for number in range(14)]


async def test_unique_ids_that_are_counted_anew_are_noticed_by_the_sizes(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    put(server, *counted(*GROWING))
    await run(server, sink, ledger, keep=timedelta(days=1))
    before = await records_of(ledger, server)
    put(server, *counted(*GROWING[::-1]))

    report = await run(server, sink, ledger, keep=timedelta(days=1))
    assert isinstance(report.error, MaildropRenumbered)
    assert (report.error.known, report.error.listed) == (14, 14)
    assert "12 of the 14 messages on the server have the unique ids of others" in str(report.error)
    assert (report.known, report.messages, report.cautions) == (0, (), ())
    assert await records_of(ledger, server) == before

    time = Time()
    time.pass_by(hours=1)
    matched = await run(server, sink, ledger, keep=timedelta(days=1), when_all_new="match", time=time)
    assert (matched.known, matched.messages) == (14, ())
    assert sink.contents == GROWING
    after = await records_of(ledger, server)
    assert list(after) == list(before)
    assert [each.fingerprint for each in after.values()] == [each.fingerprint for each in before.values()][::-1]
    # They are as old as they were.
    time.pass_by(hours=23)
    assert len((await run(server, sink, ledger, keep=timedelta(days=1), time=time)).deleted) == 14


@pytest.mark.parametrize("answer", ["ask", "match", "fetch"])
async def test_a_new_message_under_a_unique_id_that_is_counted_anew_is_not_deleted_for_another_of_its_size(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger, answer: str
) -> None:
    time = Time()
    rest: dict[str, Any] = {"time": time, "keep": timedelta(days=14)}
    put(server, *counted(*GROWING))
    await run(server, sink, ledger, **rest)
    time.pass_by(days=15)
    moved = GROWING[::-1]
    new = moved[6] = GROWING[6].replace(b"Subject: m", b"Subject: n")
    put(server, *counted(*moved))

    # What is left for a later run stays as well.
    for _ in range(4):
        await run(server, sink, ledger, **rest, when_all_new=answer, limit=5)
        there = [message.content for message in server.messages("b")]
        assert all(content in there or content in sink.contents for content in moved)
    assert (new in sink.contents) is (answer != "ask")
    assert len(sink.contents) == {"ask": 14, "match": 15, "fetch": 28}[answer]


async def test_what_fails_in_a_maildrop_of_other_unique_ids_is_not_deleted_for_what_had_its_unique_id(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    put(server, *counted(*GROWING))
    await run(server, sink, ledger)
    moved = [content.replace(b"Subject: m", b"Subject: n") for content in GROWING[::-1]]
    put(server, *counted(*moved))
    sink.failing = {b"Subject: n06": KeyError("no"), b"Subject: n07": KeyError("no")}
    report = await run(server, sink, ledger, when_all_new="match", keep="until stored")

    assert len(report.failed) == 2
    assert [message.content for message in server.messages("b")] == moved[6:8]
    assert uids(server) == ["00000007", "00000008"]


@pytest.mark.parametrize("changed", [5, 6])
async def test_messages_of_other_sizes_are_what_they_were_if_more_than_half_of_their_headers_are(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger, changed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailwire.aio.portions.PORTION", 5)
    put(server, *counted(*GROWING[:12]))
    await run(server, sink, ledger)
    put(
        server,
        *counted(
            *(
                content.replace(b"Subject: m", b"Subject: n" if place < changed else b"Subject: m") + b"more\r\n"
                for place, content in enumerate(GROWING[:12])
            )
        ),
    )
    report = await run(server, sink, ledger)
    if changed > 5:
        assert isinstance(report.error, MaildropRenumbered)
        assert len(sink.contents) == 12
    else:
        assert (report.error, report.known, len(report.stored)) == (None, 7, 5)
        assert [caution.kind for caution in report.cautions] == [CautionKind.RESIZED]


@pytest.mark.parametrize("changed", [6, 7])
@pytest.mark.parametrize(
    ("settings", "new"), [({"limit": 3, "order": "newest first"}, 3), ({"max_message_size": 25, "limit": 3}, 0)]
)
async def test_headers_of_what_is_not_fetched_answer_whether_unique_ids_are_those_of_others(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger, settings: dict[str, Any], new: int, changed: int
) -> None:
    put(server, *counted(*GROWING))
    await run(server, sink, ledger)
    before = await records_of(ledger, server)
    moved = [content.replace(b"Subject: m", b"Subject: n") for content in GROWING[:changed]] + GROWING[changed:]
    put(server, *counted(*(content + b"more\r\n" for content in moved)))
    fill(server, *[f"new{number}" for number in range(3)])
    report = await run(server, sink, ledger, **settings)
    if changed == 7:
        assert isinstance(report.error, MaildropRenumbered)
        assert await records_of(ledger, server) == before
    else:
        assert (report.error, len(report.stored)) == (None, new)
    assert len(sink.contents) == len(GROWING) + new * (changed == 6)


async def test_what_is_fetched_again_a_few_at_a_time_is_what_has_another_header_than_it_had(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    put(server, *counted(*GROWING))
    await run(server, sink, ledger)
    changed = [GROWING[0].replace(b"Subject: m", b"Subject: n"), *GROWING[1:]]
    put(server, *counted(*(content + b"more\r\n" for content in changed)))
    known = [(await run(server, sink, ledger, when_all_new="fetch", limit=5)).known for _ in range(3)]

    assert known == [4, 10, 14]
    assert sink.contents == [*GROWING, changed[0] + b"more\r\n"]
    assert set(await records_of(ledger, server)) == {*uids(server), f"00000001 {sink.mails[0].fingerprint} 0"}


TEN_RESIZED: tuple[Any, ...] = (
    *("C: STAT", "S: +OK 10 80", "C: LIST", "S: +OK", *(f"S: {number} 8" for number in range(1, 11)), "S: ."),
    *("C: UIDL", "S: +OK", *(f"S: {number} u{number}" for number in range(1, 11)), "S: ."),
)


async def keep_records_of_ten(ledger: MemoryLedger) -> Mapping[str, Record]:
    time = Time()
    records = {f"u{n}": Record(f"u{n}", State.STORED, time(), time(), 7, fingerprint="f") for n in range(1, 11)}
    async with ledger.claim("b") as page:
        await page.write([*records.values()])
    return records


async def test_where_no_header_is_to_be_had_other_sizes_raise_the_question(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    await keep_records_of_ten(ledger)
    async with ScriptedPeer(*LOGIN, *TEN_RESIZED) as server:
        report = await run(server, sink, ledger)
    assert isinstance(report.error, MaildropRenumbered)


async def test_nothing_is_written_down_of_unique_ids_in_doubt_where_their_headers_end_the_session(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    records = await keep_records_of_ten(ledger)
    with_top = [each for step in LOGIN for each in (("S: TOP", step) if step == "S: UIDL" else (step,))]
    async with ScriptedPeer(*with_top, *TEN_RESIZED, "C: TOP 1 0", FIN, LISTEN) as server:
        report = await run(server, sink, ledger)
    assert isinstance(report.error, ConnectionLost)
    async with ledger.claim("b") as page:
        assert await page.records() == records


@pytest.mark.parametrize("lost_at", [1, 2])
async def test_a_run_that_is_cut_counts_what_is_known_by_its_header_once(
    server: MailServer, ledger: MemoryLedger, lost_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailwire.aio.portions.PORTION", 4)
    sink = MemorySink()
    await put_by_old_and_new_ids(server, sink, ledger, b"Subject: first\r\n\r\n", b"Subject: second\r\n\r\n")
    server.maildrop.put("b", b"Subject: last\r\n\r\n", uid="last")
    sink.failing = {b"first" if lost_at == 1 else b"second": OSError(errno.ENOSPC, "full")}
    report = await run(server, sink, ledger, when_all_new="match")

    assert isinstance(report.error, SinkFailed)
    assert (report.listed, report.known) == (15, 12)
    assert sum(report.counts.values()) == 15
    first, second = (Outcome.FAILED, Outcome.LEFT) if lost_at == 1 else (Outcome.STORED, Outcome.FAILED)
    assert outcomes(report) == {"other0": first, "other1": second, "last": Outcome.LEFT}


ALIKE = b"Subject: m3\r\n\r\nAnother message\r\n"
AS_LONG = body("m3").replace(b"Hello", b"Howdy")


@pytest.mark.parametrize("comes_first", [True, False])
async def test_a_message_that_has_the_header_of_a_stored_one_is_not_deleted_in_its_place(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger, comes_first: bool
) -> None:
    await put_by_old_and_new_ids(server, sink, ledger, *[ALIKE] * comes_first)
    fill(server, *["another"] * (not comes_first))
    if not comes_first:
        server.maildrop.put("b", ALIKE, uid="other0")

    report = await run(server, sink, ledger, when_all_new="match", keep="until stored")

    assert sink.contents[12:].count(ALIKE) == 1
    assert body("m3") not in sink.contents[12:]
    assert outcomes(report)["other0"] is Outcome.STORED
    assert uids(server) == []


async def test_where_a_header_and_a_size_are_those_of_two_new_messages_both_are_fetched(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    await put_by_old_and_new_ids(server, sink, ledger, AS_LONG)
    report = await run(server, sink, ledger, when_all_new="match")

    assert sink.contents[12:] == [AS_LONG, body("m3")]
    assert report.known == 11


async def test_a_message_that_alone_has_a_header_is_known_by_that_whatever_its_size(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    # What a server announces as its size, is a hint.
    await put_by_old_and_new_ids(server, sink, ledger)
    before = await records_of(ledger, server)
    take_away(server)
    for number in range(12):
        server.maildrop.put("b", body(f"m{number}") + b"more\r\n", uid=f"m{number}-2")
    fill(server, "fresh")
    assert (await run(server, sink, ledger, when_all_new="match")).known == 12
    assert sink.contents[12:] == [body("fresh")]
    after = await records_of(ledger, server)
    assert after["m3-2"].fingerprint == before["m3"].fingerprint != ""
    assert after["m3-2"].size == len(body("m3")) + 6


async def test_what_was_matched_with_one_message_is_matched_with_no_other_later(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    await put_by_old_and_new_ids(server, sink, ledger)
    assert (await run(server, sink, ledger, when_all_new="match")).known == 12
    assert set(await states(ledger, server)) == {f"m{number}-2" for number in range(12)}

    server.maildrop.put("b", ALIKE, uid="other")
    await run(server, sink, ledger, when_all_new="match", keep="until stored")
    assert sink.contents[12:] == [ALIKE]


async def test_without_top_what_is_new_cannot_be_compared(sink: MemorySink, ledger: MemoryLedger) -> None:
    time = Time()
    async with ledger.claim("b") as page:
        await page.write([Record("u1", State.GONE, time(), time(), 7, fingerprint="f")])
        await page.write([Record("u2", State.GONE, time(), time(), 7, fingerprint="f")])
    script = [step for step in LOGIN if step != "S: TOP"]
    async with ScriptedPeer(*script, *TWO, *RETRIEVED, "C: QUIT", "S: +OK") as server:
        report = await run(server, sink, ledger)

    assert outcomes(report) == {"u1": Outcome.STORED, "u2": Outcome.STORED}
    assert [caution.kind for caution in report.cautions] == [CautionKind.RETURNED]


async def test_a_refused_comparison_fetches_the_message(sink: MemorySink, ledger: MemoryLedger) -> None:
    time = Time()
    async with peer() as server:
        async with ledger.claim(account_at(server)) as page:
            await page.write([Record("u1", State.GONE, time(), time(), 7, fingerprint="f")])
        report = await run(server, sink, ledger)
        assert [command for command in server.commands if command.startswith("TOP")] == ["TOP 1 0"]
    assert outcomes(report) == {"u1": Outcome.STORED, "u2": Outcome.STORED}


async def test_a_message_that_comes_back_is_known_by_its_header(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    fill(server, "one")
    await run(server, sink, ledger)
    record = (await records_of(ledger, server))["one"]
    async with ledger.claim(account_at(server)) as page:
        await page.write([replace(record, state=State.GONE)])
    report = await run(server, sink, ledger)

    assert (report.known, report.messages) == (1, ())
    assert (await records_of(ledger, server))["one"].state is State.STORED
    assert sink.subjects == ["one"]
    # Another message under that uid is not: it may even be of the same size.
    async with ledger.claim(account_at(server)) as page:
        await page.write([replace(record, state=State.GONE, fingerprint="0" * 32)])
    assert outcomes(await run(server, sink, ledger)) == {"one": Outcome.STORED}


@pytest.mark.parametrize("was_seen_gone", [False, True])
async def test_another_message_under_a_used_unique_id_is_not_deleted_for_its_preview(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger, was_seen_gone: bool
) -> None:
    fill(server, "one")
    await run(server, sink, ledger, keep="until stored")
    if was_seen_gone:
        await run(server, sink, ledger)
    long = body("long") + b"line\r\n" * 100
    server.maildrop.put("b", long, uid="one")
    options: Any = {"max_message_size": 100, "oversize": "preview", "keep": "until stored"}
    for outcome in (Outcome.PREVIEWED, Outcome.TOO_LARGE, Outcome.TOO_LARGE):
        assert outcomes(await run(server, sink, ledger, **options)) == {"one": outcome}
        assert uids(server) == ["one"]
    assert outcomes(await run(server, sink, ledger, keep="until stored")) == {"one": Outcome.STORED}
    assert sink.contents[-1] == long
    assert uids(server) == []


async def test_a_sink_that_is_cancelled_by_nobody_of_ours_has_failed(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    fill(server, "one", "two")
    sink.failing[b"one"] = asyncio.CancelledError()
    report = await run(server, sink, ledger)
    assert outcomes(report) == {"one": Outcome.FAILED, "two": Outcome.STORED}
    assert report.messages[0].reason == "RuntimeError: what the sink waited for was cancelled"


async def test_a_group_sink_that_is_cancelled_by_nobody_of_ours_ends_the_run_with_its_report(
    server: MailServer, ledger: MemoryLedger
) -> None:
    class Sink(MemorySink):
        async def settle(self, mails: Any) -> None:
            raise asyncio.CancelledError

        async def discard(self, mails: Any) -> None:
            pass

    fill(server, "one")
    report = await run(server, Sink(), ledger)
    assert isinstance(report.error, SinkFailed)
    assert str(report.error).endswith("could not be stored: RuntimeError: what the sink waited for was cancelled")


STALLED: tuple[Any, ...] = (*OPENED, *LISTED, "C: RETR 1", "S: +OK", STALL)


async def test_a_deadline_of_the_sinks_own_cancels_no_run(ledger: MemoryLedger) -> None:
    class Hasty:
        async def store(self, mail: Mail) -> None:
            async with asyncio.timeout(0.01):
                await mail.read()

    async with ScriptedPeer(*STALLED) as server:
        report = await run(server, Hasty(), ledger, endpoint=client_for(server).endpoint)

    assert isinstance(report.error, SinkFailed)
    assert "message 1 could not be stored: TimeoutError" in str(report.error)
    assert list(outcomes(report).values()) == [Outcome.FAILED, *[Outcome.LEFT] * (report.listed - 1)]


async def test_a_deadline_that_the_sink_hides_has_stored_nothing(ledger: MemoryLedger) -> None:
    class Hiding:
        async def store(self, mail: Mail) -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await mail.read()

    async with ScriptedPeer(*STALLED) as server:
        endpoint = replace(client_for(server).endpoint, timeouts=Timeouts(block=0.05))
        report = await run(server, Hiding(), ledger, endpoint=endpoint)

    assert report.messages[0].reason == "RuntimeError: what the sink waited for was cancelled"
    assert isinstance(report.error, DeadlineExceeded)


async def test_a_cancelled_run_is_cancelled_whatever_its_sink_makes_of_that(ledger: MemoryLedger) -> None:
    reading = asyncio.Event()

    class Translating:
        async def store(self, mail: Mail) -> None:
            reading.set()
            try:
                await mail.read()
            except BaseException as error:
                raise KeyError("mine") from error

    async with ScriptedPeer(*STALLED) as server:
        account = Account(client_for(server).endpoint, Translating(), name="b")
        task = asyncio.create_task(Run(account, ledger=ledger).perform())
        await reading.wait()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_what_is_too_long_for_a_function_is_skipped_in_the_end_however_much_there_is(
    server: MailServer, ledger: MemoryLedger
) -> None:
    seen: list[RetrievedMessage] = []
    long = [str(number) * 100 for number in range(6)]
    for number, text in enumerate(long):
        server.maildrop.put("b", body(text), uid=f"long{number}")
    fill(server, "short")
    for _ in range(3):
        report = await run(server, CallableSink(seen.append, max_octets=100), ledger)
        assert report.error is None
        assert [each.outcome for each in report.messages[:6]] == [Outcome.TOO_LARGE] * 6
        assert "BudgetExceeded" in report.messages[0].reason
    assert [message.uid for message in seen] == ["short"]

    last = await run(server, CallableSink(seen.append, max_octets=100), ledger)
    assert set(outcomes(last).values()) == {Outcome.SKIPPED}


async def test_a_maildir_behind_another_sink_has_what_is_deleted(
    server: MailServer, ledger: MemoryLedger, tmp_path: Path
) -> None:
    maildir = Maildir(tmp_path)

    class Noting:
        async def store(self, mail: Mail) -> None:
            assert not mail.will_be_settled
            await maildir.store(mail)

    fill(server, "one", "two")
    report = await run(server, Noting(), ledger, keep="until stored")

    assert set(deletions(report).values()) == {Deleted.COMMITTED}
    assert sorted(file.read_bytes() for file in (tmp_path / "new").iterdir()) == [body("one"), body("two")]
    assert list((tmp_path / "tmp").iterdir()) == []


async def test_a_maildir_that_is_given_some_of_the_mail_alone_has_that(
    server: MailServer, ledger: MemoryLedger, tmp_path: Path
) -> None:
    class Filtering(Maildir):
        async def store(self, mail: Mail) -> None:
            if mail.uid == "two":
                await mail.read()
            elif mail.uid != "three":
                await super().store(mail)

    fill(server, "one", "two", "three", "four")
    report = await run(server, Filtering(tmp_path / "Mail"), ledger)
    wanted = dict.fromkeys(("one", "two", "four"), Outcome.STORED)
    assert outcomes(report) == {**wanted, "three": Outcome.FAILED}
    files = (file.read_bytes() for file in (tmp_path / "Mail" / "new").iterdir())
    assert sorted(files) == sorted([body("one"), body("four")])
    assert list((tmp_path / "Mail" / "tmp").iterdir()) == []


async def test_a_group_sink_is_told_that_it_will_be_asked(server: MailServer, ledger: MemoryLedger) -> None:
    told: list[bool] = []

    class Asking:
        async def store(self, mail: Mail) -> None:
            await mail.read()

        async def settle(self, mails: Any) -> None:
            told.extend(mail.will_be_settled for mail in mails)

        async def discard(self, mails: Any) -> None:
            pass

    fill(server, "one")
    await run(server, Asking(), ledger)
    assert told == [True]


CUT_OFF = b"Subject: dot\r\n\r\nbefore\r\n.\r\nbehind\r\n"


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("is_group", [True, False])
@pytest.mark.parametrize("place", range(3))
async def test_a_message_that_is_cut_off_at_its_dot_is_not_deleted(
    ledger: MemoryLedger, tmp_path: Path, place: int, is_group: bool, pipelining: bool
) -> None:
    sink = Maildir(tmp_path) if is_group else MemorySink()
    contents = [body("one"), body("two")]
    contents.insert(place, CUT_OFF)
    async with MailServer([USER], quirk=QUIRKS["unstuffed"]) as server:
        for number, content in enumerate(contents):
            server.maildrop.put("b", content, uid=f"u{number}")
        endpoint = endpoint_at(server, pipelining=pipelining)
        # At first something else may be to blame. By itself, it fails three times.
        for _ in range(4):
            report = await run(server, sink, ledger, endpoint=endpoint, keep="until stored")
            assert isinstance(report.error, Desynchronised)
            assert outcomes(report)[f"u{place}"] is Outcome.FAILED
            (failed,) = [message for message in report.messages if message.uid == f"u{place}"]
            assert failed.reason == f"Desynchronised: {report.error}"
            if is_group and place < 2:  # that it was cut off showed before it was settled
                assert not [file for file in (tmp_path / "new").iterdir() if b"before" in file.read_bytes()]
            assert (await records_of(ledger, server))[f"u{place}"].state is State.SEEN
        last = await run(server, sink, ledger, endpoint=endpoint, keep="until stored")

        assert outcomes(last)[f"u{place}"] is Outcome.SKIPPED
        assert [message.content for message in server.messages("b")] == [CUT_OFF]


async def test_a_message_that_is_cut_off_shows_where_the_run_takes_its_leave(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    async with MailServer([USER], quirk=QUIRKS["unstuffed"]) as server:
        fill(server, "one")
        server.maildrop.put("b", CUT_OFF, uid="cut")
        report = await run(server, sink, ledger)
        assert outcomes(report) == {"one": Outcome.STORED, "cut": Outcome.FAILED}
        assert isinstance(report.error, Desynchronised)
        assert await states(ledger, server) == {"one": State.STORED, "cut": State.SEEN}


async def test_of_a_message_that_is_cut_off_at_its_dot_nothing_is_taken_for_stored(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    # The server does not double the dot, and what was behind it is there when the next command is to be said.
    cut: tuple[Any, ...] = ("C: RETR 1", "S: +OK", "S: first", "S: .", PACKET, "S: behind", "S: .", LISTEN)
    noop = ("C: NOOP", "S: +OK")
    for before in ((), noop, (*noop, *RETRIEVED[4:], *noop)):
        async with ScriptedPeer(*LOGIN, *TWO, *before, *cut) as server:
            report = await run(server, sink, ledger, keep="until stored")
            assert (await records_of(ledger, server))["u1"].state is State.SEEN
            assert not any(command.startswith("DELE") for command in server.commands)
        assert isinstance(report.error, Desynchronised)
        assert outcomes(report)["u1"] is Outcome.FAILED
        assert deletions(report) == {}


async def test_what_is_out_of_step_behind_no_message_takes_none_back(sink: MemorySink, ledger: MemoryLedger) -> None:
    script = (*LOGIN, *TWO, *RETRIEVED, "C: DELE 1", "S: +OK", "C: DELE 2", "S: what", FIN)
    async with ScriptedPeer(*script) as server:
        report = await run(server, sink, ledger, keep="until stored")
    assert isinstance(report.error, Desynchronised)
    assert outcomes(report) == {"u1": Outcome.STORED, "u2": Outcome.STORED}


async def test_what_is_out_of_step_before_any_message_has_come_takes_none_back(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    async with peer(RETR_1="-ERR no\n+OK and more") as server:
        report = await run(server, sink, ledger)
    assert isinstance(report.error, Desynchronised)
    assert sink.contents == []


@pytest.mark.parametrize("policy", [{}, {"max_message_size": 6, "oversize": "preview"}])
async def test_a_message_that_comes_empty_though_it_has_a_size_is_not_deleted(
    sink: MemorySink, ledger: MemoryLedger, policy: dict[str, Any]
) -> None:
    reports: list[RetrievalReport] = []
    for _ in range(4):
        async with peer(RETR_1="+OK\n.", TOP_1_0="+OK\n.") as server:
            reports.append(await run(server, sink, ledger, keep="until stored", **policy))
    *failed, last = reports
    for report in failed:
        assert report.error is None
        assert outcomes(report)["u1"] is Outcome.FAILED
        reason = next(message.reason for message in report.messages if message.uid == "u1")
        assert reason == "MessageEmpty: message 1 came empty, and the server lists 7 octets"
    assert outcomes(last)["u1"] is Outcome.SKIPPED
    assert "u1" not in deletions(last)
    assert b"" not in sink.contents


async def test_another_message_under_a_used_unique_id_stays_as_long_as_any(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    time = Time()
    options: Any = {"time": time, "keep": timedelta(days=14)}
    fill(server, "one")
    await run(server, sink, ledger, **options)
    time.pass_by(days=20)
    assert deletions(await run(server, sink, ledger, **options)) == {"one": Deleted.COMMITTED}
    time.pass_by(days=1)
    server.maildrop.put("b", body("another"), uid="one")
    for days, deleted in ((0, None), (13, None), (1, Deleted.COMMITTED)):
        time.pass_by(days=days)
        assert deletions(await run(server, sink, ledger, **options)).get("one") is deleted
    assert sink.subjects == ["one", "another"]
    assert uids(server) == []


@pytest.mark.parametrize("is_previewed", [False, True])
async def test_another_message_under_the_unique_id_of_one_that_was_never_stored_stays_as_long_as_any(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger, is_previewed: bool
) -> None:
    # No run has seen the first one gone. The second has another size, or the same and another header.
    time = Time()
    keep: Any = {"time": time, "keep": timedelta(days=14)}
    fill(server, "first")
    begin: dict[str, Any] = {"max_message_size": 9, "oversize": "preview"} if is_previewed else {"limit": 0}
    await run(server, sink, ledger, **keep, **begin)
    take_away(server)
    server.maildrop.put("b", body("other" if is_previewed else "another"), uid="first")
    time.pass_by(days=20)
    for days, deleted in ((0, None), (13, None), (1, Deleted.COMMITTED)):
        time.pass_by(days=days)
        assert deletions(await run(server, sink, ledger, **keep)).get("first") is deleted
    assert sink.subjects[-1] == ("other" if is_previewed else "another")


async def test_what_failed_before_counts_against_no_other_message_of_its_unique_id(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    sink.failing = {b"first": KeyError("no"), b"another": KeyError("no")}
    fill(server, "first", "two")
    for _ in range(3):
        await run(server, sink, ledger)
    assert outcomes(await run(server, sink, ledger)) == {"first": Outcome.SKIPPED}
    take_away(server)
    server.maildrop.put("b", body("another"), uid="first")
    fill(server, "three")
    assert outcomes(await run(server, sink, ledger)) == {"first": Outcome.FAILED, "three": Outcome.STORED}
    record = (await records_of(ledger, server))["first"]
    assert (record.failures, record.size) == (1, len(body("another")))


async def test_what_comes_to_have_the_unique_id_of_a_stored_message_and_fails_is_not_fetched_for_ever(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    fill(server, "one")
    await run(server, sink, ledger)
    take_away(server)
    server.maildrop.put("b", body("another"), uid="one")
    sink.failing[b"another"] = KeyError("no")
    for count in range(3):
        fill(server, f"m{count}")
        assert outcomes(await run(server, sink, ledger))["one"] is Outcome.FAILED
    assert outcomes(await run(server, sink, ledger, keep="until stored")) == {
        "one": Outcome.SKIPPED,
        **{f"m{count}": Outcome.KNOWN for count in range(3)},
    }
    assert uids(server) == ["one"]


async def test_a_run_is_performed_once(server: MailServer, sink: MemorySink, ledger: MemoryLedger) -> None:
    fill(server, "one", "two")
    once = Run(Account(endpoint_at(server), sink), ledger=ledger)
    await once.perform()
    with pytest.raises(LocalProtocolError, match=r"^a run is performed once: make another one$"):
        await once.perform()
    assert outcomes(once.report()) == {"one": Outcome.STORED, "two": Outcome.STORED}


async def test_a_message_that_does_not_come_leaves_the_record_of_what_had_its_unique_id(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    fill(server, "one")
    await run(server, sink, ledger, keep="until stored")
    before = (await records_of(ledger, server))["one"]
    server.maildrop.put("b", body("another"), uid="one")
    sink.failing[b"another"] = KeyError("no")
    fill(server, "two")  # by which it is the message that is at fault, and not the sink
    assert outcomes(await run(server, sink, ledger)) == {"one": Outcome.FAILED, "two": Outcome.STORED}
    record = (await records_of(ledger, server))["one"]
    assert (record.failures, record.fingerprint, record.first_seen) == (1, before.fingerprint, before.first_seen)


async def test_a_server_without_unique_ids_loses_nothing(sink: MemorySink, ledger: MemoryLedger) -> None:
    async with MailServer([USER], quirk=QUIRKS["no-uidl"]) as server:
        fill(server, "one", "two")
        for _ in range(2):
            report = await run(server, sink, ledger, keep="until stored")
            assert [caution.kind for caution in report.cautions] == [CautionKind.NO_UIDS]
        assert len(uids(server)) == 2
        assert sink.subjects == ["one", "two"] * 2
        assert len({mail.key for mail in sink.mails}) == 4
        forced = await run(server, sink, ledger, keep="until stored", delete_without_uid=True)
        assert uids(server) == []
        assert [message.deleted for message in forced.messages] == [Deleted.COMMITTED] * 2


async def test_a_server_that_does_not_tell_its_unique_ids_for_a_while_has_nothing_fetched_again(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    async with MailServer([USER]) as server, MailServer([USER], quirk=QUIRKS["no-uidl"]) as without:
        rest: dict[str, Any] = {"account": account_at(server), "keep": "until stored"}
        texts = [f"m{number}" for number in range(12)]
        fill(server, *texts)
        fill(without, *texts)
        await run(server, sink, ledger, account=rest["account"])
        report = await run(without, sink, ledger, delete_without_uid=True, **rest)
        assert isinstance(report.error, NotSupported)
        assert report.error.extension == "UIDL"
        assert "no unique id of 12 of its 12 messages, and 12 that are stored were known" in str(report.error)
        assert (report.messages, report.cautions) == ((), ())
        assert len(uids(without)) == len(sink.contents) == 12
        assert set((await states(ledger, server)).values()) == {State.STORED}
        assert (await run(server, sink, ledger, account=rest["account"])).is_complete
        assert len(sink.contents) == 12
        fetched = await run(without, sink, ledger, when_all_new="fetch", **rest)
        assert [caution.kind for caution in fetched.cautions] == [CautionKind.NO_UIDS]
        assert len(sink.contents) == 24


async def test_what_has_no_unique_id_is_not_deleted_for_its_preview(sink: MemorySink, ledger: MemoryLedger) -> None:
    async with MailServer([USER], quirk=QUIRKS["no-uidl"]) as server:
        fill(server, "one")
        server.maildrop.put("b", body("long") + b"line\r\n" * 100, uid="long")
        options: Any = {"max_message_size": 100, "oversize": "preview", "keep": "until stored"}
        report = await run(server, sink, ledger, delete_without_uid=True, **options)
        assert [message.outcome for message in report.messages] == [Outcome.STORED, Outcome.PREVIEWED]
        assert uids(server) == ["long"]


async def test_a_server_that_forgets_what_it_gave_gets_no_question_too_early(
    ledger: MemoryLedger, tmp_path: Path
) -> None:
    quirk = Quirk("forgetful", pop3=POP3Quirk(further_capabilities=("EXPIRE 0",)))
    async with MailServer([USER], quirk=quirk) as server:

        class Sink(Maildir):
            async def store(self, mail: Mail) -> None:
                await super().store(mail)
                asked.append(len(list((tmp_path / "new").iterdir())))

        asked: list[int] = []
        fill(server, "one", "two", "three")
        report = await run(server, Sink(tmp_path), ledger)

    # Each was safe before the next one came.
    assert asked == [0, 1, 2]
    assert [caution.kind for caution in report.cautions] == [CautionKind.EXPIRES_WHEN_RETRIEVED]


@pytest.mark.parametrize("capability", ["EXPIRE 0", "EXPIRE 30"])
async def test_what_is_much_longer_than_announced_is_not_in_the_way_of_what_comes_behind(
    monkeypatch: pytest.MonkeyPatch, sink: MemorySink, capability: str
) -> None:
    monkeypatch.setattr("mailwire.aio.portions.PORTION", 1)
    async with peer(capability, RETR_1="+OK\n" + "line\n" * 1000 + ".") as first, peer(capability) as second:
        places = iter((first, second))
        endpoint = replace(endpoint_at(first), connect=lambda: next(places).connect())
        settings = POP3Settings(drain=Budget(octets=100, seconds=5))
        account = Account(endpoint, sink, policy=Policy(max_message_size=50), settings=settings, name="b")
        report = await Run(account).perform()

    assert report.error is None
    assert outcomes(report) == {"u1": Outcome.TOO_LARGE, "u2": Outcome.STORED}


def generous(*uids: str | None, capabilities: Iterable[str] = (), **answers: str) -> ScriptedPeer:
    """A server whose TOP gives all of a message, which is more than is read for nothing of the first ones. The last two
    are small."""
    sizes = [600_000] * (len(uids) - 2) + [7, 7]
    scan = [f"{number} {size}" for number, size in enumerate(sizes, 1)]
    identities = [f"{number} {uid}" for number, uid in enumerate(uids, 1) if uid is not None]
    small = {f"RETR {number}": "+OK\nsmall\n." for number in (len(uids) - 1, len(uids))}
    table = {
        **ANSWERS,
        **small,
        "CAPA": "\n".join(["+OK", "UIDL", "USER", "TOP", *capabilities, "."]),
        "LIST": "\n".join(["+OK", *scan, "."]),
        "UIDL": "\n".join(["+OK", *identities, "."]),
        **{f"UIDL {number}": "-ERR no" for number, uid in enumerate(uids, 1) if uid is None},
        "TOP": "+OK\nSubject: x\n\n" + "line\n" * 100_000 + ".",
        **answers,
    }
    return ScriptedPeer("S: +OK pop", Answers(table), lenient=True)


async def run_in_turn(
    *servers: ScriptedPeer, into: MemorySink, ledger: MemoryLedger, drain: int = 1000
) -> RetrievalReport:
    """Do one run whose sessions are with these servers, one after the other."""
    places = iter(servers)
    endpoint = replace(endpoint_at(servers[0]), connect=lambda: next(places).connect())
    policy = Policy(max_message_size=50, oversize="preview")
    settings = POP3Settings(drain=Budget(octets=drain, seconds=5))
    return await Run(Account(endpoint, into, policy=policy, settings=settings, name="b"), ledger=ledger).perform()


@pytest.mark.parametrize(
    ("refusal", "error"), [("-ERR [SYS/TEMP] later", ResponseError), ("-ERR [AUTH] no", AuthenticationFailed)]
)
async def test_a_login_that_is_refused_behind_a_preview_is_what_ends_the_run(
    sink: MemorySink, ledger: MemoryLedger, refusal: str, error: type[MailwireError]
) -> None:
    codes = ("RESP-CODES", "AUTH-RESP-CODE")
    async with (
        generous("u1", "u2", "u3", "u4", capabilities=codes) as first,
        generous("u1", "u2", "u3", "u4", capabilities=codes, PASS=refusal) as second,
    ):
        report = await run_in_turn(first, second, into=sink, ledger=ledger)
        known = await records_of(ledger, first)
    assert isinstance(report.error, error)
    small = dict.fromkeys(("u3", "u4"), Outcome.STORED)
    assert outcomes(report) == {**small, "u1": Outcome.PREVIEWED, "u2": Outcome.LEFT}
    assert sink.contents == [b"small\r\n", b"small\r\n", b"Subject: x\r\n\r\n"]
    assert known["u1"].is_previewed
    assert (known["u2"].failures, known["u2"].reason) == (0, "")


@pytest.mark.parametrize(("portion", "small"), [(1, Outcome.LEFT), (1000, Outcome.STORED)])
async def test_what_is_left_of_a_preview_is_no_failure_of_the_next(
    monkeypatch: pytest.MonkeyPatch, sink: MemorySink, ledger: MemoryLedger, portion: int, small: Outcome
) -> None:
    monkeypatch.setattr("mailwire.aio.portions.PORTION", portion)
    reports: list[RetrievalReport] = []
    for _ in range(3):
        async with generous("u1", "u2", "u3", "u4", capabilities=["LOGIN-DELAY 1800"]) as server:
            reports.append(await run_in_turn(server, into=sink, ledger=ledger))
            known = await records_of(ledger, server)
        assert (known["u2"].failures, known["u2"].reason) == (0, "")
    assert isinstance(reports[0].error, ConnectionLost)
    assert outcomes(reports[0]) == {"u1": Outcome.PREVIEWED, "u2": Outcome.LEFT, "u3": small, "u4": small}
    assert outcomes(reports[1])["u2"] is Outcome.PREVIEWED
    assert reports[2].error is None
    assert len(sink.contents) == 4


NAMED = ("u1", "u2", "u3", "u4")


@pytest.mark.parametrize(
    ("uids", "later", "found"),
    [
        (("u1", "u2", None, "u4"), ("u1", "u2", None, "u4"), {None: Outcome.FAILED, "u4": Outcome.STORED}),
        (("u1", "u2", "u3", "u3"), ("u3", "u3"), {"u3": Outcome.FAILED}),
        (NAMED, ("u3", "u3", "u4"), {"u3": Outcome.FAILED, "u4": Outcome.STORED}),
        (NAMED, ("u0", "u1", "u2", "u4", "u3"), {"u3": Outcome.STORED, "u4": Outcome.STORED}),
    ],
    ids=["without a unique id", "sharing one", "sharing one by then", "all found again"],
)
async def test_what_cannot_be_named_in_another_session_is_in_the_way_of_no_other(
    monkeypatch: pytest.MonkeyPatch,
    sink: MemorySink,
    ledger: MemoryLedger,
    uids: tuple[str | None, ...],
    later: tuple[str | None, ...],
    found: dict[str | None, Outcome],
) -> None:
    monkeypatch.setattr("mailwire.aio.portions.PORTION", 2)
    async with generous(*uids) as first, generous(*uids) as second, generous(*later) as third:
        report = await run_in_turn(first, second, third, into=sink, ledger=ledger)
        known = await records_of(ledger, first)
    assert report.error is None
    assert outcomes(report) == {"u1": Outcome.PREVIEWED, "u2": Outcome.PREVIEWED, **found}
    assert {(record.failures, record.reason) for uid, record in known.items() if uid != "u4"} == {(0, "")}


async def test_a_message_that_cannot_be_named_in_another_session_is_not_previewed_there(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    uids = ("u1", None, "u3", "u4")
    async with generous(*uids) as first, generous(*uids) as second:
        report = await run_in_turn(first, second, into=sink, ledger=ledger)
    assert report.error is None
    found: dict[str | None, Outcome] = {"u1": Outcome.PREVIEWED, None: Outcome.FAILED}
    assert outcomes(report) == {**found, "u3": Outcome.STORED, "u4": Outcome.STORED}
    assert "without a unique id" in report.failed[0].reason


async def test_whole_messages_come_before_previews_which_may_end_their_session(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    async with generous("u1", None, None) as first, generous("u1", None, None) as second:
        report = await run_in_turn(first, second, into=sink, ledger=ledger)
    assert report.error is None
    assert [message.outcome for message in report.messages] == [*[Outcome.STORED] * 2, Outcome.PREVIEWED]


async def test_a_call_that_is_out_of_place_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, server: MailServer, sink: MemorySink
) -> None:
    fill(server, "one")
    error = LocalProtocolError("out of place")

    async def begin(*_: object) -> None:
        raise error

    monkeypatch.setattr("mailwire.aio.pop3_sessions.POP3Sessions._begin_retrieval", begin)
    report = await run(server, sink)
    assert report.error is error
    assert outcomes(report) == {"one": Outcome.LEFT}


async def test_behind_a_last_message_that_is_too_long_there_is_no_other_login(sink: MemorySink) -> None:
    async with peer(RETR_2="+OK\n" + "line\n" * 1000 + ".") as server:
        settings = POP3Settings(drain=Budget(octets=100, seconds=5))
        endpoint = replace(endpoint_at(server), connect=once(server))
        account = Account(endpoint, sink, policy=Policy(max_message_size=50), settings=settings, name="b")
        report = await Run(account).perform()
        assert server.commands.count("USER b") == 1
    assert report.error is None
    assert outcomes(report) == {"u1": Outcome.STORED, "u2": Outcome.TOO_LARGE}


async def test_many_messages_are_one_run_though_they_come_in_portions(
    monkeypatch: pytest.MonkeyPatch, server: MailServer, sink: MemorySink
) -> None:
    monkeypatch.setattr("mailwire.aio.portions.PORTION", 2)
    fill(server, "one", "two", "three", "four", "five")
    told: list[tuple[int, int]] = []
    sink.failing[b"four"] = OSError(errno.ENOSPC, "full")
    report = await run(server, sink, progress=lambda progress: told.append((progress.messages, progress.of_messages)))

    assert told == [(number, 5) for number in (1, 2, 3, 4)]
    assert [(message.uid, message.outcome) for message in report.messages] == [
        *((uid, Outcome.STORED) for uid in ("one", "two", "three")),
        ("four", Outcome.FAILED),
        ("five", Outcome.LEFT),
    ]
    assert isinstance(report.error, SinkFailed)


async def test_a_report_on_the_way_tells_how_long_it_has_taken(server: MailServer) -> None:
    class Slow(MemorySink):
        async def store(self, mail: Mail) -> None:
            await super().store(mail)
            is_later = asyncio.Event()
            asyncio.get_running_loop().call_later(0.002, is_later.set)
            await is_later.wait()
            told.append((performed.report().seconds, performed.report().is_finished))

    told: list[tuple[float, bool]] = []
    fill(server, "one")
    performed = Run(Account(endpoint_at(server), Slow()))
    clock = asyncio.get_running_loop().time
    began = clock()
    await performed.perform()
    ((seconds, is_finished),) = told
    assert 0 < seconds <= clock() - began
    assert not is_finished


async def test_the_pause_that_a_server_wants_is_told(sink: MemorySink) -> None:
    async with peer("LOGIN-DELAY 60") as server:
        assert (await run(server, sink)).login_delay == 60


async def test_the_pause_that_a_server_wants_is_told_though_another_login_was_refused(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    await store_two_and_delete_in_vain(sink, ledger)
    clock = Clock()
    delayed = (*LOGIN[:-1], "S: LOGIN-DELAY 60", "S: .")
    refused = (*LOGIN[: LOGIN.index("C: PASS secret") + 1], "S: -ERR [SYS/TEMP] not now")
    async with (
        ScriptedPeer(*delayed, *THREE, *THIRD, "C: QUIT", "S: +OK", CLOSE, guard=None) as first,
        ScriptedPeer(*refused, guard=None) as second,
    ):
        places = iter((first, second))
        endpoint = replace(endpoint_at(first), connect=lambda: next(places).connect())
        running = asyncio.create_task(run(first, sink, ledger, keep="until stored", endpoint=endpoint))
        await clock.advance(60)
        report = await running
    assert isinstance(report.error, ResponseError)
    assert report.login_delay == 60


async def test_a_preview_may_be_as_long_as_a_header(sink: MemorySink) -> None:
    header = "Subject: x\n" + "X-Long: " + ("word " * 20 + "\n ") * 2400 + "end\n\n"
    async with peer(TOP_1_0=f"+OK\n{header}.") as server:
        report = await run(server, sink, max_message_size=6, oversize="preview")
    assert outcomes(report) == {"u1": Outcome.PREVIEWED, "u2": Outcome.FAILED}
    assert len(sink.contents[0]) > 240_000


async def test_a_quota_that_is_used_up_is_so_whatever_is_refused_behind_it(
    monkeypatch: pytest.MonkeyPatch, sink: MemorySink
) -> None:
    monkeypatch.setattr("mailwire.aio.portions.PORTION", 2)
    listed = {
        "STAT": "+OK 3 21",
        "LIST": "+OK\n1 7\n2 7\n3 7\n.",
        "UIDL": "+OK\n1 u1\n2 u2\n3 u3\n.",
    }
    async with peer("PIPELINING", RETR_1="-ERR Download exceed", RETR_2="-ERR no", **listed) as server:
        report = await run(server, sink)
        assert "RETR 3" not in server.commands
    assert outcomes(report) == {"u1": Outcome.FAILED, "u2": Outcome.FAILED, "u3": Outcome.LEFT}


async def test_what_was_never_reached_is_left_in_its_order(
    monkeypatch: pytest.MonkeyPatch, server: MailServer, sink: MemorySink
) -> None:
    monkeypatch.setattr("mailwire.aio.portions.PORTION", 1)
    texts = ["one", "two", "three", "four"]
    fill(server, *texts)
    sink.failing[b"one"] = OSError(errno.ENOSPC, "full")
    report = await run(server, sink)
    became = [(message.uid, message.outcome) for message in report.messages]
    assert became == [("one", Outcome.FAILED), *((uid, Outcome.LEFT) for uid in texts[1:])]


async def test_behind_a_quota_what_failed_before_is_told_to_the_ledger(
    monkeypatch: pytest.MonkeyPatch, sink: MemorySink, ledger: MemoryLedger
) -> None:
    monkeypatch.setattr("mailwire.aio.portions.PORTION", 1)
    sink.failing[b"first"] = LookupError("no")
    listed = {
        "STAT": "+OK 3 21",
        "LIST": "+OK\n1 7\n2 7\n3 7\n.",
        "UIDL": "+OK\n1 u1\n2 u2\n3 u3\n.",
    }
    async with peer(RETR_2="-ERR Download exceed", **listed) as server:
        report = await run(server, sink, ledger)
        assert (await records_of(ledger, server))["u1"].failures == 1
        assert "RETR 3" not in server.commands
    assert outcomes(report) == {"u1": Outcome.FAILED, "u2": Outcome.FAILED, "u3": Outcome.LEFT}


@pytest.mark.parametrize("portion", [1, 2])
async def test_behind_a_quota_that_is_used_up_nothing_more_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, sink: MemorySink, ledger: MemoryLedger, portion: int
) -> None:
    monkeypatch.setattr("mailwire.aio.portions.PORTION", portion)
    async with peer(RETR_1="-ERR Download exceed") as server:
        report = await run(server, sink, ledger)
        assert {record.failures for record in (await records_of(ledger, server)).values()} == {0}
        assert "RETR 2" not in server.commands

    assert outcomes(report) == {"u1": Outcome.FAILED, "u2": Outcome.LEFT}
    assert not report.is_complete


async def test_times_beyond_all_measure_are_no_times(sink: MemorySink, ledger: MemoryLedger) -> None:
    beyond = "9" * 20
    async with peer(f"EXPIRE {beyond}", f"LOGIN-DELAY {beyond}") as server:
        report = await run(server, sink, ledger, keep=timedelta(days=14))
    assert report.is_complete
    assert (report.cautions, report.login_delay) == ((), 0)


async def test_what_is_wrong_with_a_listing_is_found_and_told(sink: MemorySink, ledger: MemoryLedger) -> None:
    async with peer(UIDL="+OK\n1 same\n2 same\n.") as server:
        report = await run(server, sink, ledger, keep="until stored")
    async with peer(UIDL="+OK\n1 same\n2 same\n.") as server:
        again = await run(server, sink, ledger, keep="until stored")

    assert len(report.findings) == 2
    assert "another message has the same unique id" in str(report)
    assert [caution.kind for caution in report.cautions] == [CautionKind.DUPLICATE_UIDS]
    assert len(sink.contents) == 2
    assert not report.deleted
    assert (again.known, again.messages) == (2, ())


async def test_nothing_is_gone_for_a_listing_that_is_not_complete(sink: MemorySink, ledger: MemoryLedger) -> None:
    async with peer() as server:
        await run(server, sink, ledger)
    async with peer(LIST="+OK\n1 7\n.", UIDL="+OK\n1 u1\n.", STAT="+OK 2 14") as server:
        await run(server, sink, ledger)
    async with ledger.claim("b") as page:
        assert (await page.records())["u2"].state is State.STORED
    async with peer(LIST="+OK\n1 7\n.", UIDL="+OK\n1 u1\n.", STAT="+OK 1 7") as server:
        await run(server, sink, ledger)
    async with ledger.claim("b") as page:
        assert (await page.records())["u2"].state is State.GONE


async def test_a_run_over_many_messages_holds_little_of_each(tmp_path: Path, sink: MemorySink) -> None:
    sink.failing = {b"other": OSError(errno.ENOSPC, "full")}

    async def held(count: int) -> int:
        sizes = "\n".join(f"{number} 7" for number in range(1, count + 1))
        uids = "\n".join(f"{number} {number:020}" for number in range(1, count + 1))
        answers = {"STAT": f"+OK {count} {7 * count}", "LIST": f"+OK\n{sizes}\n.", "UIDL": f"+OK\n{uids}\n."}
        async with SQLiteLedger(tmp_path / f"{count}.db") as ledger, peer(**answers) as server:
            tracemalloc.start()
            try:
                report = await run(server, sink, ledger, keep="until stored")
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert report.counts == {Outcome.STORED: 1, Outcome.FAILED: 1, Outcome.LEFT: count - 2}
            assert len(await records_of(ledger, server)) == count
        return peak

    few, many = 1_000, 2_000  # a portion of records, and two
    # Octets, the server's words among them.
    assert (await held(many) - await held(few)) / (many - few) < 450


# Cut off


@pytest.mark.parametrize("begin", range(3))
async def test_a_run_that_is_cancelled_anywhere_loses_nothing(server: MailServer, tmp_path: Path, begin: int) -> None:
    texts = [f"m{number}" for number in range(20)]
    fill(server, *texts)
    async with SQLiteLedger(tmp_path / "state.db") as ledger:
        for turns in range(begin * 67, 2000, 197):
            task = asyncio.create_task(run(server, Maildir(tmp_path / "Mail"), ledger, keep="until stored"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await server.wait_idle()
            there = {file.read_bytes() for file in (tmp_path / "Mail" / "new").glob("*")}
            assert {body(text) for text in texts} <= there | {message.content for message in server.messages("b")}
        assert (await run(server, Maildir(tmp_path / "Mail"), ledger, keep="until stored")).is_complete
    assert uids(server) == []
    stored = [file.read_bytes() for file in (tmp_path / "Mail" / "new").iterdir()]
    assert sorted(stored) == sorted(body(text) for text in texts)
    assert list((tmp_path / "Mail" / "tmp").iterdir()) == []


async def cancelled(server: MailServer, sink: Any, ledger: MemoryLedger, waiting: asyncio.Event) -> Run:
    """Return a run that was cancelled when its sink was `waiting`."""
    run = Run(Account(endpoint_at(server), sink, policy=Policy(keep="until stored")), ledger=ledger)
    task = asyncio.create_task(run.perform())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return run


async def test_a_cancelled_run_takes_down_what_it_has_begun(
    server: MailServer, sink: MemorySink, ledger: MemoryLedger
) -> None:
    fill(server, "one")
    waiting = asyncio.Event()

    class Slow:
        async def store(self, mail: Mail) -> None:
            waiting.set()
            await asyncio.Event().wait()

    slow = await cancelled(server, Slow(), ledger, waiting)
    assert outcomes(slow.report()) == {"one": Outcome.LEFT}
    assert slow.report().listed == 1
    assert not slow.report().is_finished
    await server.wait_idle()
    assert await states(ledger, server) == {"one": State.SEEN}
    assert uids(server) == ["one"]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancelled_run_has_a_group_sink_drop_what_was_not_settled(
    server: MailServer, ledger: MemoryLedger, fails: bool
) -> None:
    fill(server, "one", "two")
    waiting = asyncio.Event()
    dropped: list[int] = []

    class Slow:
        async def store(self, mail: Mail) -> None:
            await mail.read()
            if mail.number == 2:
                waiting.set()
                await asyncio.Event().wait()

        async def settle(self, mails: Any) -> None:
            raise AssertionError("nothing is settled behind a cancellation")

        async def discard(self, mails: Any) -> None:
            dropped.extend(mail.number for mail in mails)
            if fails:
                raise OSError(errno.EIO, "no")

    slow = await cancelled(server, Slow(), ledger, waiting)
    assert dropped == [1]
    assert outcomes(slow.report()) == {"one": Outcome.LEFT, "two": Outcome.LEFT}
    await server.wait_idle()
    assert uids(server) == ["one", "two"]


async def test_a_clock_that_tells_no_zone_is_refused_before_anything_is_done(
    sink: MemorySink, ledger: MemoryLedger
) -> None:
    account = Account("pop3s://bob:secret@localhost:1", sink, name="b")
    clock = Time()
    naive = Run(account, ledger=ledger, now=lambda: clock().replace(tzinfo=None))
    with pytest.raises(ValueError, match=r"^expected now to return times that tell their zone, got datetime\."):
        await naive.perform()
