"""A run over a pool whose connections go: what takes their place, and what does not have to make way for it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count
from types import TracebackType
from typing import Any, Final, Self

import pytest

from mailwire import ConnectionFailed, Delivery, Endpoint, SendResult, SMTPPool
from mailwire.aio.send_results import FUTILE
from mailwire.testing import FIN, MailServer, Policy, ScriptedPeer
from mailwire.testing.turns import drain_events
from tests.aio.pools import ACCOUNTS, ENVELOPE, Gate, connected, mails_of, numbered, subjects, until
from tests.aio.runs import collect


class Servers:
    """A server that ends its connections behind so many mails, and does not say so; and others, that take any number.

    way: where each connection leads: "few", "many", "busy": to 421 in place of a greeting, or "nowhere".
    count: how many there were; what is behind the end of `way` leads to the last of it.
    """

    def __init__(self, *way: str, most: int = 1, is_announced: bool = False) -> None:
        self.count = 0
        self.open_then: list[int] = []  # sockets, whenever another was asked for
        self._ends: list[socket.socket] = []
        self._way = way
        self.few = MailServer(ACCOUNTS, policy=Policy(message_limit=most))
        self.many = MailServer(ACCOUNTS)
        self._stack = AsyncExitStack()
        self._ignored = () if is_announced else ("LIMITS",)

    async def __aenter__(self) -> Self:
        for server in (self.few, self.many):
            await self._stack.enter_async_context(server)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("localhost", tls="none", connect=self._connect, ignored_extensions=self._ignored)

    @property
    def taken(self) -> int:
        """How many mails were taken."""
        return len(self.few.messages("b")) + len(self.many.messages("b"))

    @property
    def subjects(self) -> list[int]:
        return subjects(self.few) + subjects(self.many)

    async def _connect(self) -> socket.socket:
        way = self._way[min(self.count, len(self._way) - 1)]
        self.count += 1
        self.open_then.append(sum(end.fileno() != -1 for end in self._ends))
        if way == "nowhere":
            raise ConnectionRefusedError("not now")
        if way == "busy":
            peer = await self._stack.enter_async_context(ScriptedPeer("S: 421 too many", FIN, lenient=True))
            end = await peer.connect()
        else:
            end = await connected(self.few if way == "few" else self.many)
        self._ends.append(end)
        return end


REFUSALS: Final = pytest.mark.parametrize("refusal", ["busy", "nowhere"])


@REFUSALS
async def test_an_idle_connection_is_not_given_up_for_one_that_cannot_be_opened(refusal: str) -> None:
    async with (
        Servers("few", "many", "many", refusal) as servers,
        SMTPPool(servers.endpoint, max_connections=3) as pool,
    ):
        gate = Gate()
        first = gate.send(pool, 0)
        await until(lambda: gate.begun == 1)
        await asyncio.gather(*(pool.send(numbered(number), **ENVELOPE) for number in (1, 2)))
        gate.open()
        await first
        assert (servers.count, pool.statistics.idle) == (3, 3)
        # The one that was used last takes no other mail.
        results = [*await collect(pool.send_all([numbered(3)], **ENVELOPE))]
        assert (servers.count, pool.statistics.idle) == (4, 2)
        results += await collect(pool.send_all(map(numbered, range(4, 20)), **ENVELOPE))
        assert [result.delivery for result in results] == [Delivery.ACCEPTED] * 17
        assert servers.count == (4 if refusal == "busy" else 5)  # 421 holds for the pool
        assert not any(b"QUIT" in session.commands for session in servers.many.smtp_sessions)
    assert sorted(servers.subjects) == list(range(20))
    assert max(servers.open_then) <= 2


@REFUSALS
async def test_a_mail_for_which_no_connection_can_be_opened_goes_over_the_next_that_is_free(refusal: str) -> None:
    async with (
        Servers("few", "many", refusal) as servers,
        SMTPPool(servers.endpoint, max_connections=2) as pool,
    ):
        first, second = Gate(), Gate()
        mails: list[Any] = [first.message(0), second.message(1), *map(numbered, range(2, 30))]
        running = asyncio.ensure_future(collect(pool.send_all(mails, **ENVELOPE)))
        await until(lambda: first.begun + second.begun == 2)
        first.open()
        await until(lambda: servers.count == 3)
        await drain_events()
        second.open()
        results: list[SendResult] = await running
        assert [result.delivery for result in results] == [Delivery.ACCEPTED] * 30
        assert servers.count == 3
        # It does not wait until there is nothing else.
        late = next(
            result.index for result in results if result.index not in subjects(servers.few) and result.index > 1
        )
        assert subjects(servers.many).index(late) <= 2
    assert sorted(servers.subjects) == list(range(30))


def endless() -> Iterator[bytes]:
    return map(numbered, count())


async def test_a_mail_is_tried_again_soon_though_results_keep_coming() -> None:
    async with (
        Servers("few", "many", most=2) as servers,
        SMTPPool(servers.endpoint, max_connections=2, max_messages_per_connection=None) as pool,
        pool.send_all(endless(), look_ahead=50, **ENVELOPE) as results,
    ):
        seen = [(await anext(results)).index]
        while len(seen) < 60:
            # There are always results that nobody has asked for yet, and room for others.
            await until(lambda: servers.taken >= len(seen) + 8)
            seen.append((await anext(results)).index)
        assert all(place >= index - 12 for place, index in enumerate(seen))
        assert sorted(seen)[:40] == list(range(40))
        assert pool.statistics.retried == 1
        assert servers.count == 3
        assert max(servers.open_then) <= 1
        # The connection has one in its place, which does its part.
        await drain_events()
        assert min(mails_of(servers.many)) > 3


async def test_a_connection_that_has_had_enough_is_replaced_though_results_keep_coming() -> None:
    async with (
        Servers("few", "many", most=2, is_announced=True) as servers,
        SMTPPool(servers.endpoint, max_connections=2, max_messages_per_connection=None) as pool,
        pool.send_all(endless(), look_ahead=50, **ENVELOPE) as results,
    ):
        seen = [await anext(results)]
        while len(seen) < 40:
            await until(lambda: servers.taken >= len(seen) + 8)
            seen.append(await anext(results))
        await drain_events()
        assert len(servers.few.messages("b")) == 2
        assert servers.count == 3
        assert min(mails_of(servers.many)) > 3


async def test_a_server_that_cannot_be_reached_any_more_leaves_what_was_tried_unsent() -> None:
    async with (
        Servers("few", "nowhere") as servers,
        SMTPPool(servers.endpoint, max_connections=1) as pool,
    ):
        results = await collect(pool.send_all(map(numbered, range(5)), order="input", **ENVELOPE))
    assert [result.delivery for result in results] == [Delivery.ACCEPTED] + [Delivery.NOT_SENT] * 4
    assert {type(result.error) for result in results[1:]} == {ConnectionFailed}
    assert servers.count == 2


# Servers that break one connection after the other


class Breaking:
    """A server that says `word`, and hangs up, in place of the answer to the command `at`, or behind that to EHLO; of
    MAIL commands, counted over all connections, those that `breaks` says.

    count: how many connections there were; mails: when each MAIL came.
    open_then: how many others of ours were open, whenever another was asked for.
    """

    def __init__(self, at: bytes, word: bytes, breaks: Callable[[int], bool] = lambda _: True) -> None:
        self.count = 0
        self.mails: list[float] = []
        self.open_then: list[int] = []
        self._at = at
        self._word = word
        self._breaks = breaks
        self._ends: list[socket.socket] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Endpoint]:
        """Serve; the value is where."""
        async with await asyncio.start_server(self._greet, "127.0.0.1", 0) as listener:
            place = listener.sockets[0].getsockname()

            async def connect() -> socket.socket:
                self.open_then.append(sum(end.fileno() != -1 for end in self._ends))
                end = socket.socket()
                end.setblocking(False)
                self._ends.append(end)
                await asyncio.get_running_loop().sock_connect(end, place)
                return end

            yield Endpoint("localhost", tls="none", connect=connect)

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        writer.write(b"220 hello\r\n")
        with suppress(ConnectionError):
            while line := await reader.readline():
                verb = line[:4]
                if verb == b"EHLO":
                    writer.write(b"250-mx\r\n250 PIPELINING\r\n")
                elif verb == b"MAIL":
                    self.mails.append(asyncio.get_running_loop().time())
                if verb == self._at and self._breaks(len(self.mails)):
                    writer.write(self._word)
                    break
                if verb == b"DATA":
                    writer.write(b"354 go\r\n")
                    await reader.readuntil(b"\r\n.\r\n")
                if verb != b"EHLO":
                    writer.write(b"250 ok\r\n")
        writer.close()


@pytest.mark.parametrize("at", [b"EHLO", b"MAIL"])
@pytest.mark.parametrize("word", [b"", b"421 go away\r\n"])
@pytest.mark.parametrize("most", [1, 3, 10])
async def test_a_server_that_breaks_every_connection_is_left_alone(at: bytes, word: bytes, most: int) -> None:
    server = Breaking(at, word)
    async with server.listening() as endpoint, SMTPPool(endpoint, max_connections=most) as pool:
        results = await collect(pool.send_all(map(numbered, range(100)), **ENVELOPE))
    assert len(results) == 100
    assert not any(result.delivery is Delivery.ACCEPTED for result in results)
    assert server.count <= most + FUTILE


@pytest.mark.parametrize("most", [1, 2, 3])
async def test_a_connection_is_closed_before_another_is_opened_also_where_its_mail_is_given_up(most: int) -> None:
    server = Breaking(b"MAIL", b"", lambda number: number % 3 != 1)
    async with server.listening() as endpoint, SMTPPool(endpoint, max_connections=most) as pool:
        results = await collect(pool.send_all(map(numbered, range(12)), **ENVELOPE))
    assert {result.delivery for result in results} == {Delivery.ACCEPTED, Delivery.NOT_SENT}
    assert server.count > most
    assert max(server.open_then) == most - 1


@pytest.mark.parametrize("way", ["send", "send_all"])
async def test_a_mail_that_is_tried_again_counts_for_the_rate(way: str) -> None:
    server = Breaking(b"MAIL", b"421 no more of them\r\n", lambda number: number % 2 == 0)
    async with server.listening() as endpoint, SMTPPool(endpoint, max_connections=1, rate_limit=200) as pool:
        begun = asyncio.get_running_loop().time()
        if way == "send":
            for number in range(10):
                await pool.send(numbered(number), **ENVELOPE)
        else:
            results = await collect(pool.send_all(map(numbered, range(10)), **ENVELOPE))
            assert [result.delivery for result in results] == [Delivery.ACCEPTED] * 10
    assert len(server.mails) > 15
    assert all(time >= begun + number / 200 - 0.001 for number, time in enumerate(server.mails))
