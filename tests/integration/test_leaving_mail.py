"""Mail that is left on Dovecot: retrieved once, kept for its time, whoever is killed meanwhile.

The samples are small; `-m exhaustive` does the same with thousands.
"""

import asyncio
import multiprocessing
import random
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mailwire import Endpoint, Password
from mailwire.errors import AuthenticationFailed, ConnectionFailed
from mailwire.maildrop import Account, Maildir, Outcome, Policy, RetrievalReport, Run, SQLiteLedger, retrieve_all
from tests.integration import leaving_run
from tests.integration.leaving_run import endpoint_of
from tests.integration.mail_host import MailHost
from tests.integration.mailbox import Mailbox
from tests.maildrop.runs import Time

SIZES = pytest.mark.parametrize("count", [200, pytest.param(5000, marks=pytest.mark.exhaustive)])


def fill(mailbox: Mailbox, numbers: range) -> None:
    """Put messages with these numbers into the account, as if they had been delivered in that order."""
    mailbox.put((number, b"Subject: %d\nFrom: a@example.org\n\nHello %d\n" % (number, number)) for number in numbers)


def stored(folder: Path) -> Counter[int]:
    """How often the Maildir has each message, by its number."""
    files = [file for name in ("new", "cur") for file in (folder / name).glob("*")]
    texts = [file.read_bytes() for file in files]
    assert all(text.count(b"\r\n") == 4 and text.endswith(b"\r\n") for text in texts)
    return Counter(int(text.split(b"\r\n")[0].removeprefix(b"Subject: ")) for text in texts)


async def run(
    host: MailHost, mailbox: Mailbox, folder: Path, time: Time | None = None, **policy: Any
) -> RetrievalReport:
    endpoint = endpoint_of(host.dovecot.port, mailbox.user, mailbox.password)
    async with SQLiteLedger(folder / "state.db") as ledger:
        account = Account(endpoint, Maildir(folder / "Mail"), policy=Policy(**policy))
        return await Run(account, ledger=ledger, wait=60, now=time or Time()).perform()


@SIZES
async def test_mail_is_retrieved_once_and_kept_for_its_time(
    mail_host: MailHost, mailbox: Mailbox, tmp_path: Path, count: int
) -> None:
    time, keep = Time(), timedelta(days=14)
    fill(mailbox, range(count))
    first = await run(mail_host, mailbox, tmp_path, time, keep=keep)
    time.pass_by(days=7)
    fill(mailbox, range(count, count + 50))
    second = await run(mail_host, mailbox, tmp_path, time, keep=keep)
    time.pass_by(days=7)
    third = await run(mail_host, mailbox, tmp_path, time, keep=keep)
    time.pass_by(days=7)
    fourth = await run(mail_host, mailbox, tmp_path, time, keep=keep)

    assert [len(report.stored) for report in (first, second, third, fourth)] == [count, 50, 0, 0]
    assert [report.known for report in (first, second)] == [0, count]
    assert [len(report.deleted) for report in (first, second, third, fourth)] == [0, 0, count, 50]
    assert all(report.is_complete for report in (first, second, third, fourth))
    assert mailbox.messages() == []
    assert stored(tmp_path / "Mail") == Counter(range(count + 50))


async def test_two_processes_at_once_do_each_their_part(mail_host: MailHost, mailbox: Mailbox, tmp_path: Path) -> None:
    fill(mailbox, range(100))
    processes = [start(mail_host, mailbox, tmp_path) for _ in range(2)]
    for process in processes:
        await asyncio.to_thread(process.join, 120)

    assert [process.exitcode for process in processes] == [0, 0]
    assert stored(tmp_path / "Mail") == Counter(range(100))
    assert mailbox.messages() == []


@pytest.mark.parametrize("kills", [12, pytest.param(200, marks=pytest.mark.exhaustive)])
async def test_runs_killed_at_random_store_each_mail_once(
    mail_host: MailHost, mailbox: Mailbox, tmp_path: Path, kills: int
) -> None:
    moments, next_number, killed = random.Random(kills), 0, 0
    while killed < kills:
        fill(mailbox, range(next_number, next_number + 20))
        next_number += 20
        process = start(mail_host, mailbox, tmp_path)
        await asyncio.to_thread(process.join, moments.uniform(0, 0.3))
        process.kill()
        await asyncio.to_thread(process.join, 120)
        killed += process.exitcode == -9
    report = await run(mail_host, mailbox, tmp_path, keep="until stored")

    assert report.is_complete
    assert stored(tmp_path / "Mail") == Counter(range(next_number))
    assert mailbox.messages() == []


@pytest.mark.parametrize("count", [30, pytest.param(200, marks=pytest.mark.exhaustive)])
async def test_of_many_mailboxes_three_are_broken_and_the_others_complete(
    mail_host: MailHost, tmp_path: Path, count: int
) -> None:
    mailboxes = [mail_host.new_mailbox() for _ in range(count)]
    accounts: list[Account] = []
    sink = Maildir(tmp_path / "Mail")
    for number, mailbox in enumerate(mailboxes):
        fill(mailbox, range(number * 5, number * 5 + 5))
        endpoint: Endpoint = endpoint_of(mail_host.dovecot.port, mailbox.user, mailbox.password)
        into: Any = sink
        if number == 3:
            endpoint = endpoint.replace(auth=Password(mailbox.user, "wrong"))
        elif number == 7:
            endpoint = endpoint.replace(port=1)
        elif number == 11:
            into = {}.__getitem__  # which fails for every message
        accounts.append(Account(endpoint, into, policy=Policy(keep="until stored"), name=mailbox.user))

    async with SQLiteLedger(tmp_path / "state.db") as ledger:
        rounds = retrieve_all(accounts, ledger=ledger, concurrency=20, per_host=20)
        reports = {report.account: report async for report in rounds}

    broken = {number: reports[mailboxes[number].user] for number in (3, 7, 11)}
    assert sum(report.is_complete and len(report.deleted) == 5 for report in reports.values()) == count - 3
    assert isinstance(broken[3].error, AuthenticationFailed)
    assert isinstance(broken[7].error, ConnectionFailed)
    assert [message.outcome for message in broken[11].messages] == [Outcome.FAILED] * 5
    assert all(len(mailboxes[number].messages()) == 5 for number in broken)
    others = set(range(count * 5)) - {number * 5 + place for number in broken for place in range(5)}
    assert stored(tmp_path / "Mail") == Counter(others)


_CONTEXT = multiprocessing.get_context("forkserver")


def start(host: MailHost, mailbox: Mailbox, folder: Path) -> Any:
    """Start a run in a process of its own."""
    _CONTEXT.set_forkserver_preload([leaving_run.__name__])
    arguments = (host.dovecot.port, mailbox.user, mailbox.password, str(folder))
    process = _CONTEXT.Process(target=leaving_run.collect, args=arguments)
    process.start()
    return process
