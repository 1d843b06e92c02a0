"""Many accounts side by side."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mailwire import Endpoint, OAuthToken, Password, RetrievalProgress, RetrievedMessage, Transcript
from mailwire.errors import AuthenticationFailed, LedgerBusy, MaildropLocked, TLSFailed
from mailwire.maildrop import (
    Account,
    Mail,
    MemoryLedger,
    Outcome,
    Policy,
    RetrievalReport,
    SQLiteLedger,
    State,
    retrieve_all,
    watch,
)
from mailwire.sasl.plain import Plain
from mailwire.testing import MECHANISMS, MailServer
from mailwire.testing import Account as User
from mailwire.testing import Policy as ServerPolicy
from tests.maildrop.records import NOON
from tests.maildrop.runs import USER, CountingSink, LostLedger, MemorySink, Time, WaitingLedger, endpoint_at, fill

USERS = [User(f"u{number}", "secret") for number in range(12)]


async def collected(accounts: list[Account], **rest: Any) -> dict[str, RetrievalReport]:
    return {report.account: report async for report in retrieve_all(accounts, **rest)}


def account(server: MailServer, user: User, sink: Any, **rest: Any) -> Account:
    return Account(endpoint_at(server, user), sink, name=user.user, **rest)


async def test_every_account_has_its_run() -> None:
    sink, ledger = MemorySink(), MemoryLedger()
    async with MailServer(USERS) as server:
        for user in USERS:
            fill(server, user.user, user=user)
        accounts = [account(server, user, sink, policy=Policy(keep="until stored")) for user in USERS]
        reports = await collected(accounts, ledger=ledger)
        again = await collected(accounts, ledger=ledger)

    assert set(reports) == {user.user for user in USERS}
    assert all(len(report.stored) == len(report.deleted) == 1 for report in reports.values())
    assert sorted(sink.subjects) == sorted(user.user for user in USERS)
    assert all(report.listed == 0 and report.is_complete for report in again.values())


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        *(({"concurrency": 3, "per_host": 9}, 3), ({"per_host": 2}, 2), ({}, 4), ({"per_host": 12}, 10)),
        *(({"concurrency": 1}, 1), ({"per_host": 1}, 1)),
    ],
)
async def test_no_more_run_at_once_than_may(limits: dict[str, int], most: int) -> None:
    sink = CountingSink()
    async with MailServer(USERS) as server:
        for user in USERS:
            fill(server, "a", "b", user=user)
        reports = await collected([account(server, user, sink) for user in USERS], **limits)

    assert sink.most == most
    assert all(report.is_complete for report in reports.values())


async def test_a_slow_host_holds_no_other_up() -> None:
    async with AsyncExitStack() as stack:
        slow, fast = [await stack.enter_async_context(MailServer(USERS)) for _ in range(2)]
        for user in USERS:
            fill(slow, "slow", user=user)
            fill(fast, "fast", user=user)
        go_on = asyncio.Event()

        class Waiting(MemorySink):
            async def store(self, mail: Mail) -> None:
                await super().store(mail)
                if self.subjects[-1] == "slow":
                    await go_on.wait()

        sink = Waiting()
        accounts = [Account(endpoint_at(slow, user), sink, name=f"slow {user.user}") for user in USERS]
        # The same address by another name is another host.
        here = [endpoint_at(fast, user).replace(host="localhost") for user in USERS]
        accounts += [
            Account(endpoint, sink, name=f"fast {endpoint.port} {number}") for number, endpoint in enumerate(here)
        ]
        order: list[str] = []
        async for report in retrieve_all(accounts, concurrency=5, per_host=4):
            order.append(report.account.split()[0])
            if len(order) == len(USERS):
                go_on.set()

    assert order == ["fast"] * len(USERS) + ["slow"] * len(USERS)


async def test_accounts_of_one_maildrop_have_their_runs_one_after_the_other() -> None:
    first, second = CountingSink(), CountingSink()
    async with MailServer(USERS) as server:
        fill(server, "a", "b", user=USERS[0])
        endpoint = endpoint_at(server, USERS[0])
        places = [Account(endpoint, first, name="first"), Account(endpoint.replace(), second, name="second")]
        reports = await collected(places, ledger=MemoryLedger())

    assert [report.error for report in reports.values()] == [None, None]
    assert sorted(first.subjects) == sorted(second.subjects) == ["a", "b"]


async def test_accounts_whose_credentials_tell_no_user_run_side_by_side() -> None:
    sink = CountingSink()
    async with MailServer(USERS, policy=ServerPolicy(mechanisms=MECHANISMS)) as server:
        for user in USERS[:2]:
            fill(server, "a", user=user)
        names = [user.user for user in USERS[:2]]
        ways = [partial(Plain, Password(name, "secret")) for name in names]
        accounts = [
            Account(endpoint_at(server).replace(auth=way), sink, name=name)
            for name, way in zip(names, ways, strict=True)
        ]
        reports = await collected(accounts)

    assert all(report.is_complete for report in reports.values())
    assert sink.most == 2


@pytest.mark.parametrize("name", ["", "mine"])
async def test_what_ends_a_run_before_it_is_begun_is_in_a_report_of_the_account(name: str) -> None:
    def refuse(account: Account) -> Transcript:
        raise KeyError(account.name)

    one = Account("pop3s://b:secret@pop.example.org", MemorySink(), name=name)
    report = (await collected([one], transcript=refuse, now=Time()))[one.name]

    assert isinstance(report.error, KeyError)
    assert replace(report, error=None) == RetrievalReport(
        name or "b@pop.example.org", "pop3s://pop.example.org:995", NOON
    )


async def test_a_bad_account_is_no_others_business(tmp_path: Path) -> None:
    sink = MemorySink()

    async def no_token(_: object) -> str:
        raise RuntimeError("the provider is down")

    def refuse(message: RetrievedMessage) -> None:
        raise KeyError(message.uid)

    async with MailServer(USERS, policy=ServerPolicy(mechanisms=MECHANISMS)) as server:
        for user in USERS:
            fill(server, user.user, user=user)
        accounts = [account(server, user, sink) for user in USERS]
        endpoint = endpoint_at(server, USERS[0])
        bad = {
            "password": endpoint.replace(auth=Password("u0", "wrong")),
            "token": endpoint.replace(auth=OAuthToken("u1", no_token)),
            "file": endpoint.replace(tls="implicit", tls_ca_file=tmp_path / "none.pem"),
            "closed": endpoint.replace(port=1),
        }
        accounts[3:3] = [Account(each, sink, name=name) for name, each in bad.items()]
        accounts.append(Account(endpoint_at(server, USERS[5]), refuse, name="function"))
        reports = await collected(accounts, now=Time())

    assert {name for name, report in reports.items() if report.is_complete} == {user.user for user in USERS}
    assert isinstance(reports["password"].error, AuthenticationFailed)
    assert isinstance(reports["token"].error, RuntimeError)
    assert "the provider is down" in str(reports["token"])
    assert isinstance(reports["file"].error, TLSFailed)
    assert isinstance(reports["closed"].error, OSError)
    assert {name: reports[name].server for name in bad} == {name: str(each) for name, each in bad.items()}
    assert {report.began for report in reports.values()} == {NOON}
    assert [message.outcome for message in reports["function"].messages] == [Outcome.FAILED]


@pytest.mark.parametrize("runs", [retrieve_all, watch])
async def test_an_error_among_the_accounts_leaves_no_run_behind(
    runs: Callable[..., AsyncGenerator[RetrievalReport, None]],
) -> None:
    def accounts() -> Iterator[Account]:
        yield account(server, USERS[0], MemorySink(), policy=Policy(keep="until stored"))
        raise LookupError("no such user")

    async with MailServer(USERS) as server:
        fill(server, "one", user=USERS[0])
        before = asyncio.all_tasks()
        with pytest.raises(LookupError):
            await anext(runs(accounts()))
        assert asyncio.all_tasks() == before


async def test_what_was_done_before_an_error_that_is_none_of_ours_is_told() -> None:
    async with MailServer(USERS) as server:
        fill(server, "one", "two", user=USERS[0])
        theirs = account(server, USERS[0], MemorySink(), policy=Policy(keep="until stored"))
        (report,) = (await collected([theirs], ledger=LostLedger(State.GONE))).values()
        assert not server.messages("u0")

    assert (report.listed, len(report.stored), len(report.deleted)) == (2, 2, 2)
    assert report.summary.endswith("; ended by RuntimeError")


async def test_one_account_has_one_session_at_a_time() -> None:
    sink, ledger = MemorySink(), MemoryLedger()
    async with MailServer([USER]) as server:
        fill(server, "one")
        accounts = [account(server, USER, sink)] * 3
        reports = [report async for report in retrieve_all(accounts, ledger=ledger)]

    assert all(report.is_complete for report in reports)
    assert sorted(len(report.stored) for report in reports) == [0, 0, 1]


@pytest.mark.parametrize(("is_there", "times"), [(True, 1), (False, 2)])
async def test_an_account_that_is_named_twice_gets_its_mail_once_where_there_is_a_ledger_that_cannot_be_read(
    tmp_path: Path, is_there: bool, times: int
) -> None:
    sink, path = MemorySink(), tmp_path / "state.db"
    path.write_bytes(b"noise" * 1000)
    async with MailServer(USERS) as server, SQLiteLedger(path) as ledger:
        fill(server, "one", user=USERS[0])
        await collected([account(server, USERS[0], sink)] * 2, ledger=ledger if is_there else None)
    assert sink.subjects == ["one"] * times


async def test_an_account_that_is_held_elsewhere_is_told() -> None:
    sink, ledger = MemorySink(), MemoryLedger()
    async with MailServer([USER]) as server:
        fill(server, "one")
        async with ledger.claim("b"):
            reports = await collected([account(server, USER, sink)], ledger=ledger)
        assert isinstance(reports["b"].error, LedgerBusy)
        maildrop = server.maildrop.open("b")
        assert maildrop is not None
        reports = await collected([account(server, USER, sink)], ledger=ledger)
    assert isinstance(reports["b"].error, MaildropLocked)


async def test_what_another_run_is_at_is_waited_for_no_longer_than_is_said() -> None:
    ledger = WaitingLedger()
    async with MailServer([USER]) as server:
        for rest in ({}, {"wait": 2.5}, {"wait": None}):
            await collected([account(server, USER, MemorySink())], ledger=ledger, **rest)
    assert ledger.waits == [0, 2.5, None]


async def test_each_account_has_its_own_transcript() -> None:
    transcripts: dict[str, Transcript] = {}

    def transcript_of(account: Account) -> Transcript:
        return transcripts.setdefault(account.name, Transcript(limit=None))

    async with MailServer(USERS[:2]) as server:
        for user in USERS[:2]:
            fill(server, f"mail-of-{user.user}", user=user)
        await collected([account(server, user, MemorySink()) for user in USERS[:2]], transcript=transcript_of)
    assert list(transcripts) == ["u0", "u1"]
    for name, transcript in transcripts.items():
        assert re.findall("S: 1 mail-of-(.*)", transcript.render()) == [name]


async def test_it_is_told_whose_mail_has_come() -> None:
    told: list[tuple[str, str, int, int]] = []

    def tell(account: Account, progress: RetrievalProgress) -> None:
        told.append((account.name, progress.entry.uid or "", progress.messages, progress.of_messages))

    async with MailServer(USERS[:2]) as server:
        for user in USERS[:2]:
            fill(server, f"{user.user}a", f"{user.user}b", user=user)
        await collected([account(server, user, MemorySink()) for user in USERS[:2]], progress=tell)
    assert sorted(set(told)) == [("u0", "u0a", 1, 2), ("u0", "u0b", 2, 2), ("u1", "u1a", 1, 2), ("u1", "u1b", 2, 2)]


async def test_who_breaks_off_goes_on_when_all_runs_have_come_to_their_ends() -> None:
    ended: list[str] = []
    waiting = asyncio.Event()

    class Waiting(MemorySink):
        async def store(self, mail: Mail) -> None:
            if mail.account == "u0":
                await waiting.wait()
                return
            try:
                waiting.set()
                await asyncio.Event().wait()
            finally:
                for _ in range(50):  # something is put right
                    await asyncio.sleep(0)
                ended.append(mail.account)

    async with MailServer(USERS[:2]) as server:
        for user in USERS[:2]:
            fill(server, "one", user=user)
        async with aclosing(retrieve_all([account(server, user, Waiting()) for user in USERS[:2]])) as reports:
            assert (await anext(reports)).account == "u0"
        assert ended == ["u1"]


@pytest.mark.parametrize("breaks", [True, False])
async def test_breaking_off_ends_all_runs(breaks: bool) -> None:
    waiting = asyncio.Event()

    class Waiting(MemorySink):
        async def store(self, mail: Mail) -> None:
            await super().store(mail)
            if mail.account != "u0":
                waiting.set()
                await asyncio.Event().wait()

    async with MailServer(USERS) as server:
        for user in USERS:
            fill(server, "one", user=user)
        accounts = [account(server, user, Waiting()) for user in USERS]

        async def first() -> None:
            async with aclosing(retrieve_all(accounts)) as reports:
                async for report in reports:
                    assert report.account == "u0"
                    if breaks:
                        break

        task = asyncio.create_task(first())
        await waiting.wait()
        if not breaks:
            task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() is not breaks
        await server.wait_idle()
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("limits", [{"concurrency": 0}, {"per_host": 0}])
async def test_nothing_runs_with_no_room_at_all(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"expected {next(iter(limits))} to be 1 at least, got 0"):
        await collected([], **limits)


@pytest.mark.parametrize("runs", [retrieve_all, watch])
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"ledger": "state.db"}, "expected ledger to be a Ledger or None, got 'state.db'"),
        ({"ledger": MemoryLedger}, "expected ledger to be a Ledger or None"),
        ({"concurrency": "10"}, "expected concurrency to be a whole number"),
        ({"per_host": None}, "expected per_host to be a whole number"),
        ({"transcript": 5}, "expected transcript to be a function or None, got 5"),
        ({"progress": 5}, "expected progress to be a function or None, got 5"),
    ],
)
async def test_what_is_wrong_for_all_is_told_before_any_run(
    wrong: dict[str, Any], told: str, runs: Callable[..., AsyncGenerator[RetrievalReport, None]]
) -> None:
    async with MailServer(USERS) as server:
        with pytest.raises(ValueError, match=re.escape(told)):
            await anext(runs([account(server, USERS[0], MemorySink())], **wrong))
        assert not server.pop3_sessions


async def test_a_wait_is_a_number_of_seconds() -> None:
    with pytest.raises(ValueError, match="expected wait to be 0 at least, got -1"):
        await collected([], wait=-1)


@pytest.mark.parametrize("runs", [retrieve_all, watch])
async def test_one_account_alone_is_no_iterable_of_them(
    runs: Callable[..., AsyncGenerator[RetrievalReport, None]],
) -> None:
    async with MailServer(USERS) as server:
        with pytest.raises(ValueError, match=r"^expected an iterable of Accounts, got a value of the type Account$"):
            await anext(runs(account(server, USERS[0], MemorySink())))


def test_an_account_has_a_name_and_shows_no_secret() -> None:
    named = Account("pop3s://b:secret@pop.example.org", print)

    assert (named.name, named.endpoint.host) == ("b@pop.example.org", "pop.example.org")
    assert repr(named) == "<Account 'b@pop.example.org' at pop3s://pop.example.org:995>"
    assert Account(Endpoint("x", protocol="pop3"), print, name="work").name == "work"
    with pytest.raises(ValueError, match="tell no user"):
        Account("pop3s://pop.example.org", print)
