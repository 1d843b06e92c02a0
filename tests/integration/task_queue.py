"""The queue of tasks as the tests see it: who puts mail into it, the workers, and what may stand before a server."""

import asyncio
import importlib
import multiprocessing
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final, Self

import mailwire
from mailwire import Receipt
from mailwire.testing import Account, MailServer
from tests.integration import task_worker

__all__ = ["ACCOUNTS", "CONTEXT", "GUARD", "PASSWORD", "Gate", "Known", "Queue", "Sluice", "copies", "mail", "until"]

PASSWORD: Final = "canary-5ecret"
ACCOUNTS: Final = [
    Account("a", PASSWORD, ("a@example.org",)),
    Account("b", "secret", ("b@example.org",)),
    Account("c", "secret", ("c@example.org",)),
]

CONTEXT: Final = multiprocessing.get_context("forkserver")
# Seconds. A worker that takes longer hangs.
GUARD: Final = 300.0
# Milliseconds that are said to have gone by.
_DAY: Final = 24 * 3600 * 1000


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

    def start(
        self,
        *,
        fatal: str | None = None,
        record: Path | None = None,
        tasks: int = 1,
        name: str = "send_mail",
        lease: float | None = None,
    ) -> Any:
        """Start a worker; `lease` is for how many seconds it holds what it says that it is at work on."""
        environment = {**self.environment, **({} if lease is None else {"TASKIQ_MAIL_LEASE": str(lease)})}
        process = CONTEXT.Process(target=task_worker.work, args=(environment, fatal, record, tasks, name))
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
        return await self.end_of(self.start(**settings))

    async def end_of(self, process: Any) -> int:
        """Wait until a worker has done its work, and return how it ended."""
        await asyncio.to_thread(process.join, GUARD)
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


def mail(*recipients: str) -> EmailMessage:
    return mailwire.compose(
        sender="a@example.org", to=recipients or ("b@example.org",), subject="Hello", text=".Hello\n" * 100
    )


def copies(server: MailServer, user: str, message_id: str) -> int:
    line = f"Message-ID: {message_id}\r\n".encode()
    return sum(line in stored.content for stored in server.messages(user))


class Doorway(ABC):
    """Stands before a server, at a port of its own."""

    async def __aenter__(self) -> Self:
        self._listening = await asyncio.start_server(self._let_in, "127.0.0.1", 0)
        self.port = int(self._listening.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        await self._listening.wait_closed()

    @abstractmethod
    async def _let_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""


class Gate(Doorway):
    """Lets nobody in before the house is full for the first time, and counts who is there."""

    def __init__(self, server: MailServer, full: int) -> None:
        self._server = server
        self._full = full
        self._is_full = asyncio.Event()
        self._inside = 0
        self.most = 0

    async def _let_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._inside += 1
        self.most = max(self.most, self._inside)
        if self._inside == self._full:
            self._is_full.set()
        try:
            await self._is_full.wait()
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server.smtp_port)
            await asyncio.gather(_carry(reader, server_writer), _carry(server_reader, writer))
        finally:
            self._inside -= 1
            writer.close()


class Sluice(Doorway):
    """Keeps what the server says to the first client back until the test says `open`."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._is_open = asyncio.Event()
        self.is_held = asyncio.Event()
        """Whether the first client has come."""
        self.is_left = asyncio.Event()
        """Whether it has gone."""

    def open(self) -> None:
        """Let through what was kept back."""
        self._is_open.set()

    async def _let_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_first = not self.is_held.is_set()
        self.is_held.set()
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        saying = asyncio.create_task(_carry(reader, server_writer))
        if is_first:
            opening = asyncio.create_task(self._is_open.wait())
            await asyncio.wait([saying, opening], return_when=asyncio.FIRST_COMPLETED)
            opening.cancel()
        await _carry(server_reader, writer)
        await saying
        if is_first:
            self.is_left.set()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
