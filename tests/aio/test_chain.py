"""Mails in a row over one dialogue: when each begins, and what is known of it where the connection ends."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from mailwire import ConnectionLost, Delivery, Endpoint, ServiceNotAvailable, SMTPClient, SMTPPool
from mailwire.testing import FIN, LISTEN, WAIT, Hear, MailServer, ScriptedPeer, Step
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import MESSAGE, QUIT, extensions
from tests.aio.pools import ACCOUNTS, ENVELOPE, endpoint_of, in_turn
from tests.aio.runs import BEGUN, LOCKSTEP, NAMED, TAKES, collect

COMMANDS = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"


async def test_the_next_mail_leaves_behind_the_end_of_one_as_soon_as_a_result_has_made_room_for_it() -> None:
    script: tuple[Step, ...] = (
        *(*extensions("PIPELINING"), *BEGUN, *TAKES, *BEGUN, "S: 250 taken", *TAKES),
        *(*BEGUN, WAIT, "S: 250 taken", *TAKES, "S: 250 taken", *QUIT),
    )
    async with ScriptedPeer(*script) as peer, SMTPClient(peer.endpoint()) as client:
        run = client.send_all([MESSAGE] * 3, **LOCKSTEP, look_ahead=2)
        assert (await anext(run)).delivery is Delivery.ACCEPTED
        waiting = asyncio.ensure_future(collect(run))
        await drain_events()
        assert peer.heard.endswith(b"\r\n.\r\n" + COMMANDS)
        peer.go_on()
        assert [result.delivery for result in await waiting] == [Delivery.ACCEPTED] * 2


class Servers:
    """Servers of which the test says each word, and when it has come; the event loop is at work only where it waits."""

    def __init__(self, count: int) -> None:
        pairs = [socket.socketpair() for _ in range(count)]
        self._servers = [server for server, _ in pairs]
        self._clients = [client for _, client in pairs]
        for server in self._servers:
            server.setblocking(False)

    async def connect(self) -> socket.socket:
        if not self._clients:
            raise ConnectionRefusedError
        return self._clients.pop(0)

    async def heard(self) -> bytes:
        await drain_events()
        return self._servers[0].recv(64 * 1024)

    def say(self, octets: bytes) -> None:
        self._servers[0].sendall(octets)

    async def greet(self) -> None:
        self.say(b"220 mx\r\n")
        assert (await self.heard()).startswith(b"EHLO ")
        self.say(b"250-mx\r\n250 PIPELINING\r\n")

    def close(self) -> None:
        self._servers.pop(0).close()


GO: bytes = b"250 a\r\n250 b\r\n354 go\r\n"


@pytest.mark.parametrize("is_single", [False, True], ids=["in a row", "one by one"])
async def test_what_has_come_while_a_run_was_left_alone_is_heard_before_the_next_message_leaves(
    *, is_single: bool
) -> None:
    servers = Servers(1 + is_single)
    client = SMTPClient(Endpoint("mx.example", tls="none", connect=servers.connect))
    connecting = asyncio.create_task(client.connect())
    await servers.greet()
    await connecting
    run = client.send_all([MESSAGE] * 6, **LOCKSTEP)
    first = asyncio.create_task(run.__anext__())
    if is_single:  # behind a connection that broke under two, of which one goes again
        assert await servers.heard() == COMMANDS
        servers.say(GO)
        assert (await servers.heard()).endswith(COMMANDS)
        servers.close()
        assert (await first).delivery is Delivery.UNKNOWN
        first = asyncio.create_task(run.__anext__())
        await servers.greet()
        for _ in range(2):
            assert await servers.heard() == COMMANDS
            servers.say(GO)
            assert await servers.heard() == MESSAGE + b".\r\n"
            servers.say(b"250 taken\r\n")
            assert (await first).delivery is Delivery.ACCEPTED
            first = asyncio.create_task(run.__anext__())
    assert await servers.heard() == COMMANDS
    servers.say(GO)
    assert (await servers.heard()).endswith(b"\r\n.\r\n" + (b"" if is_single else COMMANDS))
    servers.say(b"250 taken\r\n")
    assert (await first).delivery is Delivery.ACCEPTED
    if is_single:
        assert await servers.heard() == COMMANDS
    servers.say(GO)
    await drain_events()  # it is read now, and nobody waits for it
    servers.say(b"421 4.3.2 down\r\n")
    second = asyncio.create_task(run.__anext__())
    assert await servers.heard() == b""  # nothing has left, and the connection is cut
    servers.close()
    assert (await second).delivery is Delivery.NOT_SENT
    await run.aclose()
    client.abort()
    await drain_events()


async def test_a_call_waits_for_what_a_run_has_left_unanswered() -> None:
    async def take_one() -> Delivery:
        return (await anext(client.send_all([MESSAGE] * 2, **LOCKSTEP))).delivery

    servers = Servers(1)
    client = SMTPClient(Endpoint("mx.example", tls="none", connect=servers.connect))
    connecting = asyncio.create_task(client.connect())
    await servers.greet()
    await connecting
    taking = asyncio.create_task(take_one())
    assert await servers.heard() == COMMANDS
    servers.say(GO)
    assert (await servers.heard()).endswith(COMMANDS)
    servers.say(b"250 taken\r\n" + GO)
    assert await taking is Delivery.ACCEPTED
    assert await servers.heard() == MESSAGE + b".\r\n"
    sending = asyncio.create_task(client.send(MESSAGE, **LOCKSTEP))
    with pytest.raises(BlockingIOError):
        await servers.heard()
    servers.say(b"250 taken\r\n")
    assert await servers.heard() == COMMANDS
    servers.say(GO)
    assert await servers.heard() == MESSAGE + b".\r\n"
    servers.say(b"250 taken\r\n")
    assert (await sending).delivery is Delivery.ACCEPTED
    client.abort()
    servers.close()
    await drain_events()


# Behind half a line that was not asked for, neither the message leaves nor another mail begins.
HALF_A_LINE: tuple[Step, ...] = ("S: 250 a", "S: 250 b", b"354 go\r\n250 mo")


@pytest.mark.parametrize("says", [(), HALF_A_LINE], ids=["nothing", "half a line"])
async def test_a_connection_that_breaks_under_one_mail_says_nothing_against_mails_in_a_row(
    says: tuple[Step, ...],
) -> None:
    breaks: tuple[Step, ...] = (*extensions("PIPELINING"), *BEGUN, *says, FIN, LISTEN)
    takes: tuple[Step, ...] = (
        *(*extensions("PIPELINING"), *BEGUN, *TAKES, WAIT),
        *(*BEGUN, "S: 250 taken", *TAKES, "S: 250 taken", *QUIT),
    )
    async with ScriptedPeer(*breaks) as first, ScriptedPeer(*takes) as second:
        client = SMTPClient(first.endpoint(connect=in_turn(first, second)))
        async with client:
            waiting = asyncio.ensure_future(collect(client.send_all([MESSAGE] * 2, **LOCKSTEP)))
            await drain_events()
            assert second.heard.endswith(b"\r\n.\r\n" + COMMANDS)
            assert first.heard.endswith(COMMANDS)
            second.go_on()
            assert [result.delivery for result in await waiting] == [Delivery.ACCEPTED] * 2


async def test_a_mail_behind_one_by_which_the_server_takes_its_leave_is_told_so() -> None:
    chunk: tuple[Step, ...] = (f"C: BDAT {len(MESSAGE)} LAST", Hear(len(MESSAGE)))
    script = (*extensions("PIPELINING", "CHUNKING"), *NAMED, *chunk, "C: RSET", *NAMED, *chunk)
    takes: tuple[Step, ...] = ("S: 250 a", "S: 250 b", "S: 250 taken")
    async with (
        ScriptedPeer(*script, "S: 250 a", "S: 250 b", "S: 421 bye", FIN, LISTEN) as first,
        # That is no reason to send one mail after the other.
        ScriptedPeer(*script, *takes, "S: 250 reset", *takes, *QUIT) as second,
    ):
        client = SMTPClient(first.endpoint(connect=in_turn(first, second)))
        async with client:
            results = await collect(client.send_all([MESSAGE] * 4, **ENVELOPE, use_chunking="eager", look_ahead=2))
    assert [result.delivery for result in results] == [Delivery.UNKNOWN] * 2 + [Delivery.ACCEPTED] * 2
    error = results[1].error
    assert isinstance(error, ServiceNotAvailable)
    assert str(error) == f"the connection is over: BDAT {len(MESSAGE)} LAST was answered 421 bye"
    assert (error.command, error.reply.code, error.is_transient) == (f"BDAT {len(MESSAGE)} LAST", 421, False)


async def test_a_mail_behind_one_by_which_the_connection_cannot_go_on_is_told_so() -> None:
    # A server that does not know BDAT has taken the chunk for commands.
    chunk: tuple[Step, ...] = (f"C: BDAT {len(MESSAGE)} LAST", Hear(len(MESSAGE)))
    script = (*extensions("PIPELINING", "CHUNKING"), *NAMED, *chunk, "C: RSET", *NAMED, *chunk)
    async with (
        ScriptedPeer(*script, "S: 250 a", "S: 250 b", "S: 500 what", LISTEN) as first,
        ScriptedPeer(*extensions("HELP"), *QUIT) as second,
    ):
        client = SMTPClient(first.endpoint(connect=in_turn(first, second)))
        async with client:
            results = await collect(client.send_all([MESSAGE] * 2, **ENVELOPE, use_chunking="eager", look_ahead=2))
    assert [result.delivery for result in results] == [Delivery.REFUSED, Delivery.UNKNOWN]
    error = results[1].error
    assert type(error) is ConnectionLost
    assert str(error) == f"the connection is over: BDAT {len(MESSAGE)} LAST was answered 500 what"


async def test_the_next_message_goes_over_whatever_connection_has_room_for_it() -> None:
    gates = [asyncio.Event() for _ in range(5)]

    async def messages() -> AsyncIterator[bytes]:
        for gate in gates:
            await gate.wait()
            yield MESSAGE

    begun: tuple[Step, ...] = (*extensions("PIPELINING"), *BEGUN, *TAKES, *BEGUN, WAIT, "S: 250 taken", *TAKES)
    last: tuple[Step, ...] = ("S: 250 taken", *QUIT)
    async with (
        ScriptedPeer(*begun, *BEGUN, "S: 250 taken", *TAKES, *last) as first,
        ScriptedPeer(*begun, *last) as second,
        SMTPPool(first.endpoint(connect=in_turn(first, second)), max_connections=2) as pool,
    ):
        waiting = asyncio.ensure_future(collect(pool.send_all(messages(), **LOCKSTEP)))
        for gate in gates:  # the first one has one mail ready then, and the last goes over the second
            gate.set()
            await drain_events()
        for peer in (first, second):
            assert peer.heard.endswith(b"\r\n.\r\n" + COMMANDS)
            peer.go_on()
        assert [result.delivery for result in await waiting] == [Delivery.ACCEPTED] * 5


async def test_the_source_of_a_message_is_closed_while_the_run_goes_on() -> None:
    async def source() -> AsyncIterator[bytes]:
        yield MESSAGE
        for _ in range(20):
            yield b"a line\r\n" * 10_000

    async with MailServer(ACCOUNTS) as server, SMTPClient(endpoint_of(server)) as client:
        await client.send(MESSAGE, **ENVELOPE)
        before = asyncio.all_tasks()
        async with client.send_all([source(), *[MESSAGE] * 6], **LOCKSTEP) as run:
            delivered = [(await anext(run)).delivery for _ in range(2)]
            assert asyncio.all_tasks() == before
            assert delivered == [Delivery.ACCEPTED] * 2


async def test_what_must_be_looked_at_closely_goes_between_plain_mails_in_its_turn() -> None:
    # It is taken where the one before it has begun.
    text = "Subject: x\r\n\r\nä\r\n".encode()
    script: tuple[Step, ...] = (
        *(*extensions("PIPELINING", "8BITMIME"), *BEGUN, *TAKES, *BEGUN, "S: 250 taken", *TAKES),
        *("C: MAIL FROM:<a@example.org> BODY=8BITMIME", *BEGUN[1:], "S: 250 taken", *TAKES),
        *(*BEGUN, "S: 250 taken", *TAKES, "S: 250 taken", *QUIT),
    )
    async with ScriptedPeer(*script) as peer, SMTPClient(peer.endpoint()) as client:
        results = await collect(client.send_all([MESSAGE, MESSAGE, text, MESSAGE], **LOCKSTEP, order="input"))
    assert [result.delivery for result in results] == [Delivery.ACCEPTED] * 4
