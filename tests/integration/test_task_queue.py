"""Mail through a queue of tasks, whose workers are killed at every point of their work.

The example package is docs/examples/taskiq_mail; its workers are processes of their own.
"""

import asyncio
import importlib
import json
import os
import signal
import sysconfig
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import mailwire
from mailwire import Delivery, Receipt, RetrievalReport
from mailwire.testing import MailServer
from tests.docs.blocks import BLOCKS
from tests.integration import task_worker
from tests.integration.redis_server import RedisServer
from tests.integration.task_queue import GUARD, PASSWORD, Queue, copies, mail, until

by_data = pytest.mark.parametrize("server", ["DATA"], indirect=True)


# A worker that is killed


def some(points: Sequence[str]) -> Iterator[str]:
    """Of all points those where a word changes, and a few of the others."""
    for place, point in enumerate(points):
        if place % 8 == 0 or any(word in point for word in ("doubt", "settle", "XACK", "after the dot", "after BDAT")):
            yield point


@pytest.mark.parametrize("choose", [some, pytest.param(iter, marks=pytest.mark.exhaustive)])
async def test_a_worker_that_is_killed_loses_no_mail_and_doubles_none_but_what_is_unknown(
    queue: Queue, server: MailServer, tmp_path: Path, choose: Any
) -> None:
    message = mail()
    await queue.submit(message, server)
    assert await queue.work(record=tmp_path / "points") == 0
    points = (tmp_path / "points").read_text().splitlines()
    end = "after BDAT" if "after BDAT" in points else "after the dot"
    begun, ended, settled = (points.index(name) for name in ("after EVAL doubt", end, "after EVAL settle"))
    assert 0 < begun < ended < settled < len(points) - 1

    seen = Counter[tuple[int, int]]()
    for point in choose(points):
        message = mail()
        task = await queue.submit(message, server)
        assert await queue.work(fatal=point) == -9, point
        known = await queue.finish(message["Message-ID"])
        await server.wait_idle()

        place = points.index(point)
        number, unknown = copies(server, "b", message["Message-ID"]), known.attempts.count("unknown")
        assert (known.over, known.attempts[-1]) == ("done", "accepted")
        assert unknown == (begun <= place < settled), point
        assert number == (2 if ended <= place < settled else 1), point
        # The result is the same for who waits for it, whichever worker it came from.
        result = (await task.get_result()).return_value
        assert Receipt.from_dict(result["receipt"]) == known.receipt
        assert [attempt["delivery"] for attempt in result["attempts"]] == known.attempts
        seen[number, unknown] += 1
    assert set(seen) == {(1, 0), (1, 1), (2, 1)}
    assert await queue.dead() == []


@by_data
async def test_a_mail_that_is_put_off_is_lost_by_no_worker_that_is_killed(
    queue: Queue, server: MailServer, replies: dict[str, str], tmp_path: Path
) -> None:
    replies["b@example.org"] = "451 4.7.1 Greylisted"
    first = mail()
    await queue.submit(first, server)
    assert await queue.work(record=tmp_path / "points") == 0
    replies.clear()
    await queue.finish(first["Message-ID"])
    points = (tmp_path / "points").read_text().splitlines()
    for point in ("before EVAL settle", "after EVAL settle", "before XACK", "after XACK"):
        assert point in points
        replies["b@example.org"] = "451 4.7.1 Greylisted"
        message = mail()
        await queue.submit(message, server)
        assert await queue.work(fatal=point) == -9, point
        assert not copies(server, "b", message["Message-ID"])
        replies.clear()
        known = await queue.finish(message["Message-ID"])
        await server.wait_idle()
        assert known.over == "done"
        assert known.attempts in (["refused", "accepted"], ["accepted"])
        assert copies(server, "b", message["Message-ID"]) == 1


@by_data
async def test_what_redis_was_told_outlives_it(queue: Queue, server: MailServer, redis_server: RedisServer) -> None:
    message = mail()
    await queue.submit(message, server)
    redis_server.kill()
    redis_server.start()
    await queue.forget_connections()
    assert (await queue.finish(message["Message-ID"])).over == "done"
    redis_server.kill()
    redis_server.start()
    await queue.forget_connections()
    assert (await queue.look_up(message["Message-ID"])).attempts == ["accepted"]


# What becomes of a mail


@by_data
async def test_a_mail_is_tried_again_for_whom_it_was_put_off_alone_and_under_one_message_id(
    queue: Queue, server: MailServer, replies: dict[str, str]
) -> None:
    replies["c@example.org"] = "451 4.7.1 Greylisted"
    message = mail("b@example.org", "c@example.org")
    task = await queue.submit(message, server)
    assert await queue.work() == 0
    known = await queue.look_up(message["Message-ID"])
    assert (known.over, known.attempts) == ("", ["accepted"])
    assert not await task.is_ready()
    ((_, due),) = await queue.redis.zrange("mail:due", 0, -1, withscores=True)
    seconds, microseconds = await queue.redis.time()
    assert 20 < due / 1000 - (seconds + microseconds / 1_000_000) <= 60

    # Before its time it is not sent, whoever asks for it.
    await queue.sending.send_mail.kiq(
        (await queue.sending.Job.of(message, f"smtps://a@localhost:{server.smtp_port}")).to_dict()
    )
    assert await queue.work() == 0
    assert (await queue.look_up(message["Message-ID"])).attempts == ["accepted"]

    replies.clear()
    known = await queue.finish(message["Message-ID"])
    await server.wait_idle()
    assert (known.over, known.attempts) == ("done", ["accepted", "accepted"])
    assert known.receipt is not None
    assert known.receipt.accepted == ("b@example.org", "c@example.org")
    assert [copies(server, user, message["Message-ID"]) for user in "bc"] == [1, 1]
    assert Receipt.from_dict((await task.get_result()).return_value["receipt"]) == known.receipt


@by_data
async def test_a_mail_that_is_refused_for_good_is_a_dead_letter(queue: Queue, server: MailServer) -> None:
    message = mail("b@example.org", "nobody@example.org")
    task = await queue.submit(message, server)
    assert await queue.work() == 0
    known = await queue.look_up(message["Message-ID"])
    assert known.over == "dead"
    assert known.receipt is not None
    assert known.receipt.accepted == ("b@example.org",)
    (letter,) = await queue.dead()
    assert message["Message-ID"].encode() in letter[b"job"]
    result = (await task.get_result()).return_value
    assert [entry["delivery"] for entry in result["receipt"]["recipients"]] == ["accepted", "refused"]


@by_data
async def test_a_password_that_is_wrong_is_tried_once(queue: Queue, server: MailServer, tmp_path: Path) -> None:
    (tmp_path / "secrets" / "a@localhost").write_text("wrong\n")
    message = mail()
    task = await queue.submit(message, server)
    assert await queue.work() == 0
    assert (await queue.look_up(message["Message-ID"])).over == "dead"
    (attempt,) = (await task.get_result()).return_value["attempts"]
    error = mailwire.error_from_dict(attempt["error"])
    assert isinstance(error, mailwire.AuthenticationFailed)
    assert error.delivery is Delivery.NOT_SENT


@by_data
async def test_a_mail_that_comes_twice_is_sent_once(queue: Queue, server: MailServer) -> None:
    message = mail()
    await queue.submit(message, server)
    task = await queue.submit(message, server)
    assert await queue.work(tasks=2) == 0
    known = await queue.finish(message["Message-ID"])
    await server.wait_idle()
    assert known.attempts == ["accepted"]
    assert copies(server, "b", message["Message-ID"]) == 1
    assert (await task.get_result()).return_value["receipt"]["delivery"] == "accepted"


@by_data
async def test_another_mail_with_the_same_message_id_is_not_taken_for_the_first(
    queue: Queue, server: MailServer
) -> None:
    message, other = mail(), mail("c@example.org")
    other.replace_header("Message-ID", message["Message-ID"])
    await queue.submit(message, server)
    with pytest.raises(ValueError, match="known as that of a mail with"):
        await queue.submit(other, server)
    assert (await queue.finish(message["Message-ID"])).over == "done"
    with pytest.raises(ValueError, match="known as that of a mail with"):
        await queue.submit(other, server)
    # Nor where it comes to a worker in another way.
    job = await queue.sending.Job.of(other, f"smtps://a@localhost:{server.smtp_port}")
    task = await queue.sending.send_mail.kiq(job.to_dict())
    assert await queue.work() == 0
    assert not await task.is_ready()
    (letter,) = await queue.dead()
    assert letter[b"reason"] == b"another mail has its Message-ID"
    assert queue.sending.Job.from_dict(json.loads(letter[b"job"])) == job
    assert (await queue.redis.xpending("mail", "mail"))["pending"] == 0
    assert [copies(server, user, message["Message-ID"]) for user in "bc"] == [1, 0]


@by_data
async def test_a_mail_whose_time_has_come_is_queued_once_however_long_it_waits_for_a_worker(
    queue: Queue, server: MailServer, replies: dict[str, str]
) -> None:
    ledger = importlib.import_module("taskiq_mail.ledger")
    handed_out = list[str]()

    async def hand_out() -> None:
        await ledger.hand_out(queue.redis, queue_mail, visibility=0)

    async def queue_mail(job: Any) -> None:
        handed_out.append(job.id)

    replies["b@example.org"] = "451 4.7.1 Greylisted"
    message = mail()
    await queue.submit(message, server)
    assert await queue.work() == 0
    await queue.let_time_pass()
    for _ in range(3):
        await hand_out()
    assert handed_out == [message["Message-ID"]]
    # One whose turn is not over when the mail is put off again, leaves it where it waits.
    await queue.sending.submit(message, f"smtps://a@localhost:{server.smtp_port}")

    async def put_off_again(job: Any) -> None:
        await queue_mail(job)
        assert await queue.work() == 0

    await queue.redis.zadd("mail:due", {message["Message-ID"]: 0})
    await ledger.hand_out(queue.redis, put_off_again, visibility=3600)
    assert (await queue.look_up(message["Message-ID"])).attempts == ["refused", "refused"]
    replies.clear()
    assert (await queue.finish(message["Message-ID"])).over == "done"


@by_data
async def test_a_mail_that_is_taken_and_not_queued_is_handed_out_again(
    queue: Queue, server: MailServer, replies: dict[str, str]
) -> None:
    ledger = importlib.import_module("taskiq_mail.ledger")

    async def fail(job: Any) -> None:
        raise ConnectionError("Redis is away")

    replies["b@example.org"] = "451 4.7.1 Greylisted"
    message = mail()
    await queue.submit(message, server)
    assert await queue.work() == 0
    await queue.let_time_pass()
    with pytest.raises(ConnectionError):
        await ledger.hand_out(queue.redis, fail, visibility=0)
    replies.clear()
    assert (await queue.finish(message["Message-ID"])).over == "done"


@by_data
async def test_a_task_that_comes_before_its_time_leaves_the_mail_among_those_that_wait(
    queue: Queue, server: MailServer, replies: dict[str, str]
) -> None:
    # As where the clock of Redis was put back behind its having been handed out.
    replies["b@example.org"] = "451 4.7.1 Greylisted"
    message = mail()
    await queue.submit(message, server)
    assert await queue.work() == 0
    await queue.redis.zrem("mail:due", message["Message-ID"])
    await queue.submit(message, server)
    assert await queue.work() == 0
    assert await queue.redis.zcard("mail:due") == 1
    replies.clear()
    assert (await queue.finish(message["Message-ID"])).over == "done"


@by_data
async def test_what_is_no_mail_is_a_dead_letter_and_stands_in_nobodys_way(queue: Queue, server: MailServer) -> None:
    await queue.sending.send_mail.kiq({"id": "x"})
    assert await queue.work() == 0
    assert len(await queue.dead()) == 1
    assert (await queue.redis.xpending("mail", "mail"))["pending"] == 0


@by_data
async def test_a_worker_without_the_password_leaves_the_mail_to_another(
    queue: Queue, server: MailServer, tmp_path: Path
) -> None:
    file = tmp_path / "secrets" / "a@localhost"
    file.rename(tmp_path / "elsewhere")
    message = mail()
    await queue.submit(message, server)
    assert await queue.work() == 0
    assert (await queue.redis.xpending("mail", "mail"))["pending"] == 1
    (tmp_path / "elsewhere").rename(file)
    assert (await queue.finish(message["Message-ID"])).attempts == ["accepted"]


@by_data
async def test_the_stream_forgets_what_was_acknowledged(queue: Queue, server: MailServer) -> None:
    forget = importlib.import_module("taskiq_mail.broker").forget_acknowledged
    for _ in range(3):
        await queue.submit(mail(), server)
    assert await queue.work(tasks=2) == 0  # perhaps the third, too
    await queue.submit(mail(), server)
    pending = (await queue.redis.xpending("mail", "mail"))["pending"]
    await forget(queue.redis)
    # The last that was given out stays, and what was not.
    assert await queue.redis.xlen("mail") == max(pending, 1) + 1


# What Redis never sees


@by_data
async def test_no_password_is_in_redis(queue: Queue, server: MailServer, redis_server: RedisServer) -> None:
    message = mail()
    with pytest.raises(ValueError, match="a password does not belong into a queue"):
        await queue.sending.submit(message, f"smtps://a:{PASSWORD}@localhost:{server.smtp_port}")
    await queue.submit(message, server)
    assert (await queue.finish(message["Message-ID"])).over == "done"
    logs = list(redis_server.folder.rglob("*.aof"))
    assert logs
    written = b"".join(log.read_bytes() for log in logs)
    assert message["Message-ID"].encode() in written
    assert PASSWORD.encode() not in written


# As the documentation has them started


@asynccontextmanager
async def started(environment: dict[str, str], folder: Path) -> AsyncIterator[None]:
    """Have the commands of the page run, each with all its processes, until they are not needed any more."""
    (commands,) = (block.text for block in BLOCKS if block.head.startswith("taskiq worker"))
    settings = {**os.environ, **environment, "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"}
    processes = []
    with (folder / "taskiq.log").open("wb") as log:
        for command in commands.splitlines():
            process = await asyncio.create_subprocess_exec(
                *command.split(), cwd=task_worker.EXAMPLES, env=settings, stdout=log, stderr=log, start_new_session=True
            )
            processes.append(process)
        try:
            yield
        finally:
            for process in processes:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


@by_data
async def test_the_commands_of_the_documentation_work(
    queue: Queue, server: MailServer, replies: dict[str, str], environment: dict[str, str], tmp_path: Path
) -> None:
    replies["b@example.org"] = "451 4.7.1 Greylisted"
    server.maildrop.put("a", b"Subject: x\r\n\r\nhello\r\n")
    async with asyncio.timeout(GUARD), started(environment, tmp_path):
        message = mail()
        task = await queue.submit(message, server)
        collecting = await queue.collecting.collect_mailbox.kiq(f"pop3s://a@localhost:{server.pop3_port}", 14)
        await until(lambda: queue.redis.zcard("mail:due"))
        replies.clear()
        (due,) = await queue.redis.zrange("mail:due", 0, -1)
        await queue.redis.hset(b"mail:" + due, "not_before", 0)
        await queue.redis.zadd("mail:due", {due: 0})
        # From here on the scheduler alone can bring it back.
        result = await task.wait_result(timeout=GUARD)
        report = await collecting.wait_result(timeout=GUARD)
    assert [attempt["delivery"] for attempt in result.return_value["attempts"]] == ["refused", "accepted"]
    assert copies(server, "b", message["Message-ID"]) == 1
    assert len(RetrievalReport.from_dict(report.return_value).stored) == 1


# A mailbox


@by_data
async def test_a_mailbox_is_collected_once_by_workers_that_are_killed(
    queue: Queue, server: MailServer, tmp_path: Path
) -> None:
    url, messages = f"pop3s://a@localhost:{server.pop3_port}", list[bytes]()
    for number, point in enumerate(("before RETR", "after RETR", "before a reply (6)", "after QUIT", "before XACK")):
        messages.append(b"Subject: %d\r\n\r\nhello\r\n" % number)
        server.maildrop.put("a", messages[-1])
        await queue.collecting.collect_mailbox.kiq(url, 14)
        assert await queue.work(fatal=point, name="collect_mailbox") == -9, point
        await server.wait_idle()
        await queue.let_time_pass()
    task = await queue.collecting.collect_mailbox.kiq(url, 14)
    for _ in range(len(messages) + 1):
        # Of the tasks whose workers were lost, one may be at work on the account before this one, and is done with.
        assert await queue.work(name="collect_mailbox") == 0
        if await task.is_ready():
            break
        await queue.let_time_pass()
        await queue.sending.hand_out_due.kiq()
    report = RetrievalReport.from_dict((await task.get_result()).return_value)
    assert report.is_complete
    folder = tmp_path / "mail" / "a@localhost"
    assert sorted(file.read_bytes() for file in folder.rglob("new/*")) == messages
    assert len(server.messages("a")) == len(messages)


@by_data
async def test_a_report_tells_what_has_ended_a_run(queue: Queue, server: MailServer, tmp_path: Path) -> None:
    (tmp_path / "secrets" / "a@localhost").write_text("wrong\n")
    task = await queue.collecting.collect_mailbox.kiq(f"pop3s://a@localhost:{server.pop3_port}")
    assert await queue.work(name="collect_mailbox") == 0
    report = RetrievalReport.from_dict((await task.get_result()).return_value)
    assert isinstance(report.error, mailwire.AuthenticationFailed)
