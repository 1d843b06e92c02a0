"""Run after run, by a clock that the test holds."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mailwire import Password, Transcript
from mailwire.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    LedgerBusy,
    MaildropLocked,
    MaildropRenumbered,
    ResponseError,
    SinkFailed,
)
from mailwire.maildrop import Account, Mail, MemoryLedger, RetrievalReport, SQLiteLedger, watch
from mailwire.maildrop.watch import next_pause
from mailwire.pop3 import Response
from mailwire.testing import Account as User
from mailwire.testing import MailServer, POP3Quirk, Quirk
from tests.maildrop.records import NOON
from tests.maildrop.runs import USER, CountingSink, MemorySink, WaitingLedger, endpoint_at, fill


class Pauses:
    """What waits: it writes down for how long, and lets the test do something meanwhile."""

    def __init__(self, *meanwhile: Any) -> None:
        self.seconds: list[float] = []
        self._meanwhile = list(meanwhile)

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if not self._meanwhile:
            await asyncio.Event().wait()
        self._meanwhile.pop(0)()


async def reports_of(count: int, accounts: list[Account], pauses: Pauses, **rest: Any) -> list[RetrievalReport]:
    """The first reports, so many, with a jitter of none unless one is said."""
    rest = {"ledger": MemoryLedger(), "sleep": pauses, "jitter": 0, **rest}
    reports: list[RetrievalReport] = []
    async with aclosing(watch(accounts, **rest)) as watched:
        async for report in watched:
            reports.append(report)
            if len(reports) == count:
                break
    return reports


async def test_new_mail_is_stored_by_the_run_that_finds_it() -> None:
    sink = MemorySink()
    async with MailServer([USER]) as server:
        pauses = Pauses(lambda: fill(server, "one"), lambda: None, lambda: fill(server, "two", "three"))
        reports = await reports_of(4, [Account(endpoint_at(server), sink)], pauses)

    assert [len(report.stored) for report in reports] == [0, 1, 0, 2]
    assert sink.subjects == ["one", "two", "three"]
    assert pauses.seconds[:3] == [300, 300, 300]


@pytest.mark.parametrize("is_there", [True, False])
async def test_what_has_come_is_remembered_without_a_ledger_that_can_be_read(tmp_path: Path, is_there: bool) -> None:
    sink, path = MemorySink(), tmp_path / "state.db"
    path.write_bytes(b"noise" * 1000)
    async with MailServer([USER]) as server, SQLiteLedger(path) as ledger:
        fill(server, "one", "two")
        pauses = Pauses(lambda: fill(server, "three"), lambda: None)
        rest: dict[str, Any] = {"ledger": ledger if is_there else None}
        reports = await reports_of(3, [Account(endpoint_at(server), sink)], pauses, **rest)

    assert [(len(report.stored), len(report.cautions)) for report in reports] == [
        (count, is_there) for count in (2, 1, 0)
    ]
    assert sink.subjects == ["one", "two", "three"]


async def test_pauses_are_drawn_apart() -> None:
    chances = iter([0.0, 1.0, 0.5, 0.25])
    async with MailServer([USER]) as server:
        pauses = Pauses(*[lambda: None] * 4)
        await reports_of(
            4,
            [Account(endpoint_at(server), MemorySink())],
            pauses,
            interval=timedelta(seconds=100),
            jitter=0.2,
            chance=lambda: next(chances),
        )

    assert pauses.seconds[:3] == [80, 120, 100]


async def test_a_server_that_wants_longer_pauses_gets_them() -> None:
    quirk = Quirk("slow", pop3=POP3Quirk(further_capabilities=("LOGIN-DELAY 900",)))
    async with MailServer([USER], quirk=quirk) as server:
        pauses = Pauses(lambda: None)
        reports = await reports_of(2, [Account(endpoint_at(server), MemorySink())], pauses)

    assert pauses.seconds[:1] == [900]
    assert reports[0].login_delay == 900


async def test_a_maildrop_in_use_is_asked_again_later() -> None:
    async with MailServer([USER]) as server:
        fill(server, "one")
        other = server.maildrop.open("b")
        assert other is not None
        pauses = Pauses(lambda: None, other.release, lambda: None)
        reports = await reports_of(4, [Account(endpoint_at(server), MemorySink())], pauses)

    assert [type(report.error) for report in reports[:2]] == [MaildropLocked, MaildropLocked]
    assert [len(report.stored) for report in reports] == [0, 0, 1, 0]
    assert pauses.seconds[:3] == [600, 1200, 300]


async def test_failures_are_counted_from_the_last_run_that_went_well() -> None:
    async with MailServer([USER]) as server:
        pauses = Pauses(lambda: None, lambda: server.maildrop.open("b"), lambda: None)
        reports = await reports_of(4, [Account(endpoint_at(server), MemorySink())], pauses)

    assert [report.error is None for report in reports] == [True, True, False, False]
    assert pauses.seconds[:3] == [300, 300, 600]


async def test_what_another_run_is_at_is_not_waited_for() -> None:
    ledger = WaitingLedger()
    async with MailServer([USER]) as server, ledger.claim("b", wait=0):
        (report,) = await reports_of(1, [Account(endpoint_at(server), MemorySink(), name="b")], Pauses(), ledger=ledger)
    assert isinstance(report.error, LedgerBusy)
    assert ledger.waits == [0, 0]


@pytest.mark.parametrize(("limits", "most"), [({}, 4), ({"per_host": 12}, 10), ({"per_host": 12, "concurrency": 3}, 3)])
async def test_no_more_run_at_once_than_may(limits: dict[str, int], most: int) -> None:
    sink, users = CountingSink(), [User(f"u{number}", "secret") for number in range(12)]
    async with MailServer(users) as server:
        for user in users:
            fill(server, "a", "b", user=user)
        accounts = [Account(endpoint_at(server, user), sink, name=user.user) for user in users]
        reports = await reports_of(12, accounts, Pauses(), **limits)

    assert sink.most == most
    assert all(report.is_complete for report in reports)


async def test_a_run_that_takes_long_keeps_no_other_from_being_told_of() -> None:
    class Slow(MemorySink):
        async def store(self, mail: Mail) -> None:
            await asyncio.Event().wait()

    users = [User("a", "secret"), User("b", "other")]
    async with MailServer(users) as server:
        fill(server, "one", user=users[0])
        accounts = [Account(endpoint_at(server, user), Slow(), name=user.user) for user in users]
        async with asyncio.timeout(30):
            reports = await reports_of(2, accounts, Pauses(lambda: None))
    assert [report.account for report in reports] == ["b", "b"]


async def test_each_run_is_recorded_and_followed_for_its_account() -> None:
    recorded: list[tuple[Account, Transcript]] = []
    followed: list[Account] = []

    def record(account: Account) -> Transcript:
        recorded.append((account, Transcript()))
        return recorded[-1][1]

    async with MailServer([USER]) as server:
        fill(server, "one")
        account = Account(endpoint_at(server), MemorySink())
        await reports_of(
            *(1, [account], Pauses()), transcript=record, progress=lambda account, _: followed.append(account)
        )
    ((of, transcript),) = recorded
    assert of is account
    assert "RETR 1" in transcript.render()
    assert set(followed) == {account}


async def test_refused_credentials_are_not_tried_again_and_the_others_go_on() -> None:
    users = [User("a", "secret"), User("b", "other")]
    async with MailServer(users) as server:
        wrong = endpoint_at(server, users[0]).replace(auth=Password("a", "wrong"))
        accounts = [
            Account(wrong, MemorySink(), name="a"),
            Account(endpoint_at(server, users[1]), MemorySink(), name="b"),
        ]
        pauses = Pauses(lambda: None, lambda: None)
        reports = await reports_of(4, accounts, pauses)
        alone = await reports_of(9, accounts[:1], Pauses())

    assert sorted(report.account for report in reports) == ["a", "b", "b", "b"]
    assert [isinstance(report.error, AuthenticationFailed) for report in alone] == [True]


async def test_breaking_off_leaves_nothing_behind() -> None:
    async with MailServer([USER]) as server:
        await reports_of(1, [Account(endpoint_at(server), MemorySink(), name=str(n)) for n in range(3)], Pauses())
        await server.wait_idle()
    assert len(asyncio.all_tasks()) == 1


async def test_breaking_off_waits_for_the_end_of_what_it_ends() -> None:
    ended: list[float] = []

    async def sleep(seconds: float) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(seconds)

    async with MailServer([USER]) as server:
        async with aclosing(watch([Account(endpoint_at(server), MemorySink())], jitter=0, sleep=sleep)) as watched:
            await anext(watched)
            await asyncio.sleep(0)  # the pause begins
        assert ended == [300]


async def test_nobody_to_watch_is_soon_watched() -> None:
    assert await reports_of(1, [], Pauses()) == []
    assert await reports_of(1, [], Pauses(), jitter=1) == []


@pytest.mark.parametrize("wrong", [{"interval": timedelta(0)}, {"jitter": -0.1}, {"jitter": 1.5}])
async def test_an_interval_is_one(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected an interval"):
        await reports_of(1, [], Pauses(), **wrong)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"interval": 300}, "expected interval to be a timedelta, got 300"),
        ({"jitter": "0.1"}, "expected jitter to be a number, got '0.1'"),
    ],
)
async def test_what_is_of_another_kind_is_quoted(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        await reports_of(1, [], Pauses(), **wrong)


async def test_what_fails_in_the_waiting_itself_is_told() -> None:
    async def sleep(_: float) -> None:
        raise KeyError("clock")

    async with MailServer([USER]) as server:
        with pytest.raises(KeyError):
            async for _ in watch([Account(endpoint_at(server), MemorySink())], sleep=sleep):
                pass


REPORT = RetrievalReport("b", "pop3s://x:995", NOON)
WRONG = AuthenticationFailed("no", command="PASS ****", answer=Response(ok=False, line=b"[AUTH] no"))
LATER = AuthenticationFailed("no", command="PASS ****", answer=Response(ok=False, line=b"[SYS/TEMP] later"))
TOO_MANY = ResponseError(
    "no",
    command="PASS ****",
    response=Response(ok=False, line=b"Exceeded the login limit for a 15 minute period."),
)


@pytest.mark.parametrize(
    ("error", "failures", "expected"),
    [
        (None, 0, 100),
        (ConnectionFailed("x"), 1, 200),
        (SinkFailed("x"), 3, 800),
        (SinkFailed("x"), 6, 3600),
        (SinkFailed("x"), 5000, 3600),
        (LATER, 1, 200),
        (TOO_MANY, 1, 900),
        (TOO_MANY, 6, 3600),
        (MaildropLocked("x", command="PASS", response=Response(False, b"[IN-USE] locked")), 1, 200),
        (WRONG, 1, None),
        (MaildropRenumbered("x", known=10, listed=10), 1, None),
        (KeyError("x"), 2, 400),
    ],
)
def test_the_more_runs_fail_the_longer_are_the_pauses(
    error: Exception | None, failures: int, expected: float | None
) -> None:
    assert next_pause(replace(REPORT, error=error), failures, 100.0, 0.1, 0.5) == expected


def test_an_interval_longer_than_an_hour_stays() -> None:
    assert next_pause(replace(REPORT, error=SinkFailed("x")), 3, 7200, 0, 0.5) == 7200
    assert next_pause(replace(REPORT, login_delay=300), 0, 100, 0.1, 0) == 300


def test_a_pause_is_doubled_twenty_times_at_most() -> None:
    failed = replace(REPORT, error=SinkFailed("x"))
    assert [next_pause(failed, failures, 0.001, 0, 0.5) for failures in (19, 20, 21)] == [524.288, 1048.576, 1048.576]
