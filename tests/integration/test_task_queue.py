"""Mail through a queue of tasks, whose workers are killed at every point of their work.

The example package is docs/examples/taskiq_mail; its workers are processes of their own.
"""

import asyncio
import importlib
import multiprocessing
import os
import signal
import sys
import sysconfig
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import mailwire
from mailwire import Delivery, Receipt, RetrievalReport
from mailwire.testing import EXTENSIONS, Account, MailServer, Policy, authority_file, server_context
from tests.docs.blocks import BLOCKS
from tests.integration import task_worker
from tests.integration.conftest import demand_libraries
from tests.integration.redis_server import RedisServer

PASSWORD = "canary-5ecret"
ACCOUNTS = [
    Account("a", PASSWORD, ("a@example.org",)),
    Account("b", "secret", ("b@example.org",)),
    Account("c", "secret", ("c@example.org",)),
]

_CONTEXT = multiprocessing.get_context("forkserver")
# Seconds. A worker that takes longer hangs.
_GUARD = 300.0
# Milliseconds that are said to have gone by.
_DAY = 24 * 3600 * 1000


@pytest.fixture
def environment(redis_server: RedisServer, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "a@localhost").write_text(f"{PASSWORD}\n")
    return {
        "TASKIQ_MAIL_REDIS": redis_server.url,
        "TASKIQ_MAIL_SECRETS": str(tmp_path / "secrets"),
        "TASKIQ_MAIL_FOLDER": str(tmp_path / "mail"),
        "TASKIQ_MAIL_CONNECTIONS": "2",
        "TASKIQ_MAIL_LEASE": "60",
        # What trusts the system's authorities trusts the test authority here.
        "SSL_CERT_FILE": str(authority_file()),
    }


@dataclass
class Known:
    """What the queue knows of a mail: whether it is over, and how each attempt ended."""

    over: str
    receipt: Receipt | None = None
    attempts: list[str] = field(default_factory=list)


class Queue:
    """The queue as who puts mail into it sees it, and the workers that the tests start."""

    def __init__(self, environment: dict[str, str], redis: Any) -> None:
        self.environment = environment
        self.redis = redis
        self.sending = importlib.import_module("taskiq_mail.sending")
        self.collecting = importlib.import_module("taskiq_mail.collecting")
        self.broker = importlib.import_module("taskiq_mail.broker").broker
        self._workers: list[Any] = []
        self._ledger = importlib.import_module("taskiq_mail.ledger")

    async def submit(self, message: EmailMessage, server: MailServer) -> Any:
        return await self.sending.submit(message, f"smtps://a@localhost:{server.smtp_port}")

    def start(self, *, fatal: str | None = None, record: Path | None = None, tasks: int = 1, name: str = "") -> Any:
        process = _CONTEXT.Process(
            target=task_worker.work, args=(self.environment, fatal, record, tasks, name or "send_mail")
        )
        process.start()
        self._workers.append(process)
        return process

    def stop(self) -> None:
        """Stop the workers that are left."""
        for worker in self._workers:
            worker.kill()
            worker.join()

    async def work(self, **settings: Any) -> int:
        """Have a worker do its work, and return how it ended."""
        process = self.start(**settings)
        await asyncio.to_thread(process.join, _GUARD)
        assert process.exitcode is not None, "the worker hangs"
        return int(process.exitcode)

    async def let_time_pass(self) -> None:
        """Have everything that Redis waits for be a day ago: claims, tasks that were given out, and times to come."""
        await self.redis.ping()
        await self.redis.ping()  # by now it has read what a worker has said before it was killed
        for pattern in ("mail:claim:*", "mail:slots:*"):
            async for key in self.redis.scan_iter(pattern):
                await self.redis.delete(key)
        pending = await self.redis.xpending_range("mail", "mail", "-", "+", 100)
        for entry in pending:
            await self.redis.xclaim("mail", "mail", entry["consumer"], 0, [entry["message_id"]], idle=_DAY)
        for message_id in await self.redis.zrange("mail:due", 0, -1):
            await self.redis.zadd("mail:due", {message_id: 0})
            await self.redis.hset(b"mail:" + message_id, "not_before", 0)

    async def finish(self, message_id: str) -> Known:
        """Let time pass and workers work until the mail is over."""
        for _ in range(5):
            known = await self.look_up(message_id)
            if known.over and not (await self.redis.xpending("mail", "mail"))["pending"]:
                return known
            await self.let_time_pass()
            await self.sending.hand_out_due.kiq()  # as the scheduler does
            assert await self.work() == 0
        raise AssertionError("the mail is never over")

    async def look_up(self, message_id: str) -> Known:
        over, progress = await self._ledger.look_up(self.redis, message_id)
        if progress is None:
            return Known(over)
        return Known(over, progress.receipt, [attempt["delivery"] for attempt in progress.attempts])

    async def is_over(self, message_id: str) -> bool:
        return (await self.look_up(message_id)).over != ""

    async def are_waiting(self, workers: int) -> bool:
        return bool((await self.redis.info("clients"))["blocked_clients"] >= workers)

    async def forget_connections(self) -> None:
        """Have none of the connections to a server that is gone."""
        for pool in (self.redis.connection_pool, self.broker.connection_pool, self.broker.result_backend.redis_pool):
            await pool.disconnect()

    async def dead(self) -> list[dict[bytes, bytes]]:
        return [fields for _, fields in await self.redis.xrange("mail:dead")]


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    while True:
        if await is_so():
            return
        await asyncio.sleep(0.01)


@pytest.fixture
async def queue(
    environment: dict[str, str], redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Queue]:
    demand_libraries("redis", "taskiq", "taskiq_redis")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    # Its settings are read when it is imported, and its connections are those of one event loop.
    for name in [name for name in sys.modules if name.startswith("taskiq_mail")]:
        monkeypatch.delitem(sys.modules, name)
    _CONTEXT.set_forkserver_preload(["taskiq.api", "taskiq_redis", "mailwire", task_worker.__name__])
    redis = importlib.import_module("redis.asyncio").Redis.from_url(redis_server.url)
    await redis.flushall()
    queue = Queue(environment, redis)
    await queue.broker.startup()
    yield queue
    queue.stop()
    await queue.broker.shutdown()
    await redis.aclose()
    for name in [name for name in sys.modules if name.startswith("taskiq_mail")]:
        del sys.modules[name]


@pytest.fixture
def replies() -> dict[str, str]:
    """What the mail server answers RCPT; may be changed while it runs."""
    return {}


@pytest.fixture(params=["DATA", "BDAT"])
async def server(request: pytest.FixtureRequest, replies: dict[str, str]) -> AsyncIterator[MailServer]:
    extensions = [name for name in EXTENSIONS if name != "CHUNKING" or request.param == "BDAT"]
    policy = Policy(require_auth=True, recipient_replies=replies, extensions=extensions)
    async with MailServer(ACCOUNTS, policy=policy, tls_context=server_context(), implicit_tls=True) as server:
        yield server


by_data = pytest.mark.parametrize("server", ["DATA"], indirect=True)


def mail(*recipients: str) -> EmailMessage:
    return mailwire.compose(
        sender="a@example.org", to=recipients or ("b@example.org",), subject="Hello", text=".Hello\n" * 100
    )


def copies(server: MailServer, user: str, message_id: str) -> int:
    line = f"Message-ID: {message_id}\r\n".encode()
    return sum(line in stored.content for stored in server.messages(user))


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
    seconds, _ = await queue.redis.time()
    assert 20 < due / 1000 - seconds <= 60

    # Before its time it is not sent, whoever asks for it.
    await queue.sending.send_mail.kiq((await queue.sending.Job.of(message, job_server(server))).to_dict())
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


def job_server(server: MailServer) -> str:
    return f"smtps://a@localhost:{server.smtp_port}"


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


# Leases


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
    assert await second.take()
    assert not await third.take(patience=0)
    # Just before the first is over, it is kept.
    key = "mail:slots:localhost"
    ((holder, end), _) = await queue.redis.zrange(key, 0, -1, withscores=True)
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
    await asyncio.to_thread(worker.join, _GUARD)
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


class Gate:
    """Stands before a server, lets nobody in before the house is full for the first time, and counts who is there."""

    def __init__(self, server: MailServer, full: int) -> None:
        self._server = server
        self._full = full
        self._is_full = asyncio.Event()
        self._inside = 0
        self.most = 0

    async def __aenter__(self) -> "Gate":
        self._listening = await asyncio.start_server(self._let_in, "127.0.0.1", 0)
        self.port = int(self._listening.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        await self._listening.wait_closed()

    async def _let_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._inside += 1
        self.most = max(self.most, self._inside)
        if self._inside == self._full:
            self._is_full.set()
        try:
            await self._is_full.wait()
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server.smtp_port)
            await asyncio.gather(self._carry(reader, server_writer), self._carry(server_reader, writer))
        finally:
            self._inside -= 1
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


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
    async with asyncio.timeout(_GUARD), started(environment, tmp_path):
        message = mail()
        task = await queue.submit(message, server)
        collecting = await queue.collecting.collect_mailbox.kiq(f"pop3s://a@localhost:{server.pop3_port}", 14)
        await until(lambda: queue.redis.zcard("mail:due"))
        replies.clear()
        (due,) = await queue.redis.zrange("mail:due", 0, -1)
        await queue.redis.hset(b"mail:" + due, "not_before", 0)
        await queue.redis.zadd("mail:due", {due: 0})
        # From here on the scheduler alone can bring it back.
        result = await task.wait_result(timeout=_GUARD)
        report = await collecting.wait_result(timeout=_GUARD)
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
    assert await queue.work(name="collect_mailbox") == 0
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
