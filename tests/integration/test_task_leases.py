"""What a worker of the task queue holds for a time: the claim to a mail, and a place among the connections."""

import asyncio
import importlib
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mailwire import RetrievalReport
from mailwire.testing import EXTENSIONS, MailServer, Policy, server_context
from tests.integration.redis_server import RedisServer
from tests.integration.task_queue import ACCOUNTS, GUARD, Gate, Queue, Sluice, copies, mail, until

by_data = pytest.mark.parametrize("server", ["DATA"], indirect=True)


@pytest.fixture
async def job() -> Any:
    return await importlib.import_module("taskiq_mail.job").Job.of(mail(), "smtps://a@localhost")


async def test_a_claim_that_is_kept_holds_for_its_time_again(queue: Queue, job: Any) -> None:
    ledger = importlib.import_module("taskiq_mail.ledger")
    claim, other = (ledger.Claim(queue.redis, job, token, 60) for token in ("one", "two"))
    assert await claim.make() == "ours"
    assert await other.make() == "busy"
    await queue.redis.pexpire(f"mail:claim:{job.id}", 30_000)
    before = claim.since
    assert await claim.keep()
    assert claim.since > before
    assert await queue.redis.pttl(f"mail:claim:{job.id}") > 30_000
    assert not await other.keep()


async def test_a_claim_that_has_lapsed_is_taken_over_and_its_first_holder_ends_no_message(
    queue: Queue, job: Any
) -> None:
    ledger, verdict = (importlib.import_module(f"taskiq_mail.{name}") for name in ("ledger", "verdict"))
    first, second = (ledger.Claim(queue.redis, job, token, 60) for token in ("one", "two"))
    assert await first.make() == "ours"
    await queue.redis.delete(f"mail:claim:{job.id}")  # as it is behind its time
    assert not await first.keep()
    assert await second.make() == "ours"
    assert not await first.keep()
    with pytest.raises(RuntimeError, match="claimed by another"):
        await first.begin_doubt(job.recipients)
    with pytest.raises(RuntimeError, match="claimed by another"):
        await first.settle(verdict.Step("done"))
    await first.let_go()
    assert await second.keep()
    await second.begin_doubt(job.recipients)
    # Who comes behind a worker that was lost in doubt, is told for whom.
    await queue.redis.delete(f"mail:claim:{job.id}")
    assert await first.make() == "ours"
    assert first.tried_in_doubt == job.recipients


async def test_a_place_is_kept_given_back_and_taken_over(queue: Queue) -> None:
    slots = importlib.import_module("taskiq_mail.slots")
    first, second, third = (slots.slot_of(queue.redis, "localhost", 2, 60) for _ in range(3))
    assert not await first.keep()  # it was not taken
    assert await first.take()
    key = "mail:slots:localhost"
    ((holder, end),) = await queue.redis.zrange(key, 0, -1, withscores=True)
    assert await second.take()
    assert not await third.take(patience=0)
    # Just before the first is over, it is kept.
    await queue.redis.zadd(key, {holder: end - 30_000})
    assert await first.keep()
    assert await queue.redis.zscore(key, holder) >= end
    # The second was not, and a third takes its place.
    for name, _ in await queue.redis.zrange(key, 0, -1, withscores=True):
        if name != holder:
            await queue.redis.zadd(key, {name: 0})
    assert await third.take(patience=0)
    assert not await second.keep()
    await second.give_back()  # what is another's stays another's
    assert await third.keep()
    await third.give_back()
    assert await second.take(patience=0)


async def test_a_lease_outlives_a_redis_that_is_away_for_a_moment(
    queue: Queue, job: Any, redis_server: RedisServer
) -> None:
    ledger = importlib.import_module("taskiq_mail.ledger")
    claim = ledger.Claim(queue.redis, job, "one", 60)
    assert await claim.make() == "ours"
    redis_server.kill()
    redis_server.start()
    await queue.forget_connections()
    assert await claim.keep()


# In a worker that is at work


def upgrading(settings: Policy) -> MailServer:
    """A server that greets in the clear, so that a client waits for its greeting before anything else."""
    return MailServer(ACCOUNTS, policy=settings, tls_context=server_context())


async def test_a_worker_whose_claim_went_to_another_ends_no_message(queue: Queue) -> None:
    message = mail()
    policy = Policy(require_auth=True, extensions=[name for name in EXTENSIONS if name != "CHUNKING"])
    async with asyncio.timeout(GUARD), upgrading(policy) as server, Sluice(server.smtp_port) as sluice:
        await queue.sending.submit(message, f"smtp+starttls://a@localhost:{sluice.port}")
        first = queue.start()
        await sluice.is_held.wait()
        # Nobody has heard of the worker for long enough, and another has claimed the mail; but it was not lost.
        await queue.redis.set(f"mail:claim:{message['Message-ID']}", "another worker's")
        sluice.open()
        assert await queue.end_of(first) == 0
        await server.wait_idle()
        # It has come as far as the message, and cut the connection before its end.
        assert server.smtp_sessions[0].commands[-1] == b"DATA"
        assert copies(server, "b", message["Message-ID"]) == 0
        assert (await queue.look_up(message["Message-ID"])).attempts == []
        # The claim of the other one is as it was, and so is the task.
        assert await queue.redis.get(f"mail:claim:{message['Message-ID']}") == b"another worker's"
        assert (await queue.redis.xpending("mail", "mail"))["pending"] == 1
        known = await queue.finish(message["Message-ID"])
        await server.wait_idle()
    assert (known.over, known.attempts) == ("done", ["accepted"])
    assert copies(server, "b", message["Message-ID"]) == 1


async def test_a_worker_whose_place_went_to_another_leaves_the_server_at_once(queue: Queue, tmp_path: Path) -> None:
    async with asyncio.timeout(GUARD), upgrading(Policy()) as server, Sluice(server.pop3_port) as sluice:
        server.maildrop.put("a", b"Subject: x\r\n\r\nhello\r\n")
        task = await queue.collecting.collect_mailbox.kiq(f"pop3+starttls://a@localhost:{sluice.port}", 14)
        first = queue.start(name="collect_mailbox", lease=6)
        await sluice.is_held.wait()
        await queue.redis.delete("mail:slots:localhost")  # as it is behind its time
        # It asks for its place three times in the six seconds. The greeting it would wait for for minutes.
        await sluice.is_left.wait()
        assert await queue.end_of(first) == 0
        assert not await task.is_ready()
        assert (await queue.redis.xpending("mail", "mail"))["pending"] == 1
        await queue.let_time_pass()
        await queue.sending.hand_out_due.kiq()  # behind which the broker looks for what was left
        assert await queue.work(name="collect_mailbox") == 0
        report = RetrievalReport.from_dict((await task.get_result()).return_value)
    assert len(report.stored) == 1
    assert len(list((tmp_path / "mail").rglob("new/*"))) == 1
    assert (await queue.redis.xpending("mail", "mail"))["pending"] == 0


# How many at once


@by_data
async def test_who_collects_waits_for_a_place_as_who_sends_does(queue: Queue, server: MailServer) -> None:
    slots = importlib.import_module("taskiq_mail.slots")
    held = [slots.slot_of(queue.redis, "localhost", 2, 600) for _ in range(2)]
    for slot in held:
        assert await slot.take()

    async def scripts() -> int:
        return int((await queue.redis.info("commandstats"))["cmdstat_eval"]["calls"])

    async def has_asked() -> bool:
        return await scripts() > before + 2

    before = await scripts()
    task = await queue.collecting.collect_mailbox.kiq(f"pop3s://a@localhost:{server.pop3_port}", 14)
    worker = queue.start(name="collect_mailbox")
    await until(has_asked)
    assert server.pop3_sessions == []
    await held[0].give_back()
    await asyncio.to_thread(worker.join, GUARD)
    assert RetrievalReport.from_dict((await task.get_result()).return_value).is_complete
    assert await queue.redis.zcard("mail:slots:localhost") == 1


@by_data
async def test_the_limit_for_a_host_holds_over_all_workers(queue: Queue, server: MailServer) -> None:
    mails = [mail() for _ in range(8)]
    async with Gate(server, full=2) as gate:
        for _ in range(3):
            queue.start(tasks=len(mails) + 1)
        # Who waits for a task gets one in turn: each of the workers has some.
        await until(lambda: queue.are_waiting(3))
        for message in mails:
            await queue.sending.submit(message, f"smtps://a@localhost:{gate.port}")
        for message in mails:
            await until(partial(queue.is_over, message["Message-ID"]))
        queue.stop()
    assert gate.most == 2
    consumers = await queue.redis.xinfo_consumers("mail", "mail")
    assert len(consumers) == 3
    assert all(copies(server, "b", message["Message-ID"]) == 1 for message in mails)
