"""Run after run, by a clock that the test holds."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mailwire import Password
from mailwire.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    MaildropLocked,
    MaildropRenumbered,
    SinkFailed,
)
from mailwire.maildrop import Account, MemoryLedger, RetrievalReport, watch
from mailwire.maildrop.watch import next_pause
from mailwire.pop3 import Response
from mailwire.testing import Account as User
from mailwire.testing import MailServer, POP3Quirk, Quirk
from tests.maildrop.records import NOON
from tests.maildrop.runs import USER, MemorySink, endpoint_at, fill


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


async def test_nobody_to_watch_is_soon_watched() -> None:
    assert await reports_of(1, [], Pauses()) == []


@pytest.mark.parametrize("wrong", [{"interval": timedelta(0)}, {"jitter": -0.1}, {"jitter": 1.5}])
async def test_an_interval_is_one(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected an interval"):
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


@pytest.mark.parametrize(
    ("error", "failures", "expected"),
    [
        (None, 0, 100),
        (ConnectionFailed("x"), 1, 200),
        (SinkFailed("x"), 3, 800),
        (SinkFailed("x"), 6, 3600),
        (SinkFailed("x"), 5000, 3600),
        (LATER, 1, 200),
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
