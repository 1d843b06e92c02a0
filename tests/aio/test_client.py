import asyncio
import gc
import logging
import socket
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Literal

import pytest

import mailwire
from mailwire import (
    ConnectionFailed,
    ConnectionLost,
    DeadlineExceeded,
    Delivery,
    Endpoint,
    LocalProtocolError,
    MailwireError,
    NotSupported,
    Password,
    POP3Client,
    RemoteProtocolError,
    ReplyError,
    SecurityError,
    ServiceNotAvailable,
    SMTPClient,
    Timeouts,
    Transcript,
)
from mailwire.aio.retrieval import Retrieval
from mailwire.aio.stream import Stream
from mailwire.pop3 import Noop as Pop3Noop
from mailwire.sasl import Plain
from mailwire.smtp import Auth, Noop, Vrfy
from mailwire.testing import (
    CLIENT_HELLO,
    CLOSE,
    FIN,
    LISTEN,
    PACKET,
    RST,
    STALL,
    Account,
    Answers,
    InThread,
    MailServer,
    ScriptedPeer,
    Step,
    Tls,
)
from mailwire.testing.turns import drain_events, turns
from tests.aio.dialogues import (
    CANARY,
    CREDENTIALS,
    GREETED,
    LISTED,
    MAILED,
    MESSAGE,
    OPENED,
    POP3_ANSWERS,
    POP3_READY,
    QUIT,
    READY,
    SENT,
    SMTP_ANSWERS,
    extensions,
)
from tests.aio.pools import beside_event_loops
from tests.clock import StandingClock

NO_DEADLINES = Timeouts(connect=None, handshake=None)
ENVELOPE: dict[str, Any] = {"sender": "a@example.org", "recipients": "b@example.org"}


# Making one


def test_a_client_takes_an_endpoint_or_its_url() -> None:
    assert SMTPClient("smtp://example.org:2525").endpoint == Endpoint("example.org", 2525, tls="none")
    endpoint = Endpoint("example.org", protocol="pop3")
    assert POP3Client(endpoint).endpoint is endpoint


@pytest.mark.parametrize(
    ("client", "url", "protocol"), [(SMTPClient, "pop3s://example.org", "smtp"), (POP3Client, "smtps://b:c@d", "pop3")]
)
def test_an_endpoint_of_the_other_protocol_is_refused(
    client: type[SMTPClient | POP3Client], url: str, protocol: str
) -> None:
    with pytest.raises(ValueError, match=f"expected an endpoint for {protocol}, got"):
        client(url)


def test_a_client_has_a_transcript_of_its_own_or_the_one_it_is_given() -> None:
    given = Transcript()  # empty, which is no reason to take another
    assert SMTPClient("smtp://example.org", transcript=given).transcript is given
    assert SMTPClient("smtp://example.org").transcript is not SMTPClient("smtp://example.org").transcript


def test_a_client_can_be_made_where_no_loop_runs() -> None:
    assert not POP3Client("pop3://example.org").is_connected


# Being connected


async def test_a_client_is_connected_from_connect_to_quit() -> None:
    async with ScriptedPeer(*READY, *QUIT) as peer:
        client = SMTPClient(peer.endpoint())
        connected = [client.is_connected]
        assert client.mechanism is None
        await client.connect()
        assert client.mechanism is None
        connected.append(client.is_connected)
        await client.quit()
        connected.append(client.is_connected)
    assert connected == [False, True, False]


async def test_async_with_connects_and_quits() -> None:
    async with ScriptedPeer(*READY, *QUIT) as peer:
        async with SMTPClient(peer.endpoint()) as client:
            assert client.is_connected
        assert not client.is_connected


async def fail_inside(client: SMTPClient) -> None:
    async with client:
        raise LookupError


async def test_an_error_inside_async_with_cuts_the_connection_without_a_word() -> None:
    async with ScriptedPeer(*READY, STALL) as peer:
        client = SMTPClient(peer.endpoint())
        with pytest.raises(LookupError):
            await fail_inside(client)
        assert not client.is_connected


async def test_an_error_that_is_made_of_what_was_heard_shows_the_dialogue() -> None:
    async def judge(client: SMTPClient) -> None:
        async with client:
            raise NotSupported("it has no SIZE", extension="SIZE")

    async with ScriptedPeer(*READY, STALL) as peer:
        with pytest.raises(NotSupported) as caught:
            await judge(SMTPClient(peer.endpoint()))
    assert caught.value.transcript == ("S: 220 mx", "C: EHLO [127.0.0.1]", "S: 250 mx")


async def test_a_client_that_was_cut_inside_async_with_leaves_it_in_peace() -> None:
    async with ScriptedPeer(*READY, STALL) as peer, SMTPClient(peer.endpoint()) as client:
        client.abort()
        client.abort()


async def test_a_closed_client_can_be_connected_again() -> None:
    async with ScriptedPeer(*READY, *QUIT) as first, ScriptedPeer(*READY, "C: NOOP", "S: 250 ok", *QUIT) as second:
        ways = iter((first, second))

        async def connect() -> socket.socket:
            return await next(ways).connect()

        client = SMTPClient(first.endpoint().replace(connect=connect))
        async with client:
            pass
        async with client:
            await client.execute(Noop())


async def test_a_connected_client_is_not_connected_again() -> None:
    async with ScriptedPeer(*READY, "C: NOOP", "S: 250 ok", *QUIT) as peer, SMTPClient(peer.endpoint()) as client:
        with pytest.raises(LocalProtocolError, match=r"^the client is connected to smtp://localhost:25 already$"):
            await client.connect()
        await client.execute(Noop())


async def test_a_call_needs_a_connection() -> None:
    client = SMTPClient("smtp://example.org")
    with pytest.raises(LocalProtocolError, match=r"^the client is not connected: connect\(\) first$"):
        await client.execute(Noop())


async def test_a_failed_connect_leaves_nothing_connected() -> None:
    async with ScriptedPeer("S: 554 no", STALL) as peer:
        client = SMTPClient(peer.endpoint())
        with pytest.raises(ReplyError, match="554 no"):
            await client.connect()
        assert not client.is_connected
        assert client.mechanism is None


async def test_a_connection_that_cannot_be_made_leaves_nothing_connected() -> None:
    async def connect() -> socket.socket:
        raise ConnectionRefusedError(111, "Connection refused")

    client = SMTPClient(Endpoint("localhost", tls="none", connect=connect))
    with pytest.raises(ConnectionFailed):
        await client.connect()
    assert not client.is_connected


@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
async def test_a_password_does_not_cross_an_open_link_unasked_for(protocol: str) -> None:
    script = extensions("AUTH PLAIN LOGIN") if protocol == "smtp" else POP3_READY
    async with ScriptedPeer(*script) as peer:
        endpoint = peer.endpoint(auth=CREDENTIALS, protocol=protocol)
        client = SMTPClient(endpoint) if protocol == "smtp" else POP3Client(endpoint)
        with pytest.raises(SecurityError, match="allow_cleartext_auth=True") as caught:
            await client.connect()
        assert CANARY not in str(caught.value)
        assert not client.is_connected


async def test_a_client_cannot_be_used_by_the_hook_that_connects_it() -> None:
    async def connect() -> socket.socket:
        await client.execute(Noop())
        raise AssertionError("this is never reached")

    client = SMTPClient(Endpoint("localhost", tls="none", connect=connect))
    with pytest.raises(
        LocalProtocolError, match=r"^another call of this same task uses the connection: finish it first$"
    ):
        await client.connect()


async def test_the_source_of_a_message_cannot_wait_for_the_connection_that_it_goes_over() -> None:
    async def source() -> AsyncIterator[bytes]:
        yield b"Subject: x\r\n\r\n"
        with pytest.raises(
            LocalProtocolError,
            match=r"^the source of a message waits for the connection over which that is to be sent$",
        ):
            await client.send(MESSAGE, **ENVELOPE)
        yield b"hello\r\n"

    async with ScriptedPeer("S: 220 mx", Answers(SMTP_ANSWERS)) as peer, SMTPClient(peer.endpoint()) as client:
        receipt = await client.send(source(), **ENVELOPE)
        assert receipt.delivery is Delivery.ACCEPTED
        assert (await client.send(MESSAGE, **ENVELOPE)).delivery is Delivery.ACCEPTED


async def test_a_client_tells_which_task_reads_the_message_that_it_sends() -> None:
    async def source() -> AsyncIterator[bytes]:
        yield MESSAGE
        fed_by.append(client.is_fed_by(asyncio.current_task()))
        fed_by.append(client.is_fed_by(bystander))
        fed_by.append(client.is_fed_by(None))

    fed_by: list[bool] = []
    bystander = asyncio.create_task(asyncio.sleep(0))
    async with ScriptedPeer("S: 220 mx", Answers(SMTP_ANSWERS)) as peer, SMTPClient(peer.endpoint()) as client:
        assert not client.is_fed_by(None)
        await client.send(source(), **ENVELOPE)
        assert not client.is_fed_by(asyncio.current_task())
    assert fed_by == [True, False, False]
    await bystander


async def test_a_client_that_is_cut_while_it_connects_is_not_connected() -> None:
    async def connect() -> socket.socket:
        client.abort()
        return await peer.connect()

    async with ScriptedPeer("S: 220 mx", Answers(SMTP_ANSWERS), LISTEN) as peer:
        client = SMTPClient(peer.endpoint().replace(connect=connect))
        client.abort()  # what was cut before, is no reason
        with pytest.raises(ConnectionLost, match=r"^the connection was cut by abort\(\)$"):
            await client.connect()
        assert not client.is_connected
    assert peer.commands == []


async def never_connect() -> socket.socket:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


CLIENTS = {"smtp": SMTPClient, "pop3": POP3Client}


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("protocol", CLIENTS)
async def test_a_client_that_is_cut_before_there_is_a_connection_gives_it_up_at_once(
    protocol: Literal["smtp", "pop3"], times: int
) -> None:
    client = CLIENTS[protocol](
        Endpoint("127.0.0.1", protocol=protocol, tls="none", connect=never_connect, timeouts=NO_DEADLINES)
    )
    connecting = asyncio.create_task(client.connect())
    await drain_events()
    assert not connecting.done()
    for _ in range(times):
        client.abort()
        await asyncio.sleep(0)
    await drain_events()
    assert connecting.done()
    with pytest.raises(ConnectionLost, match=r"^the connection was cut by abort\(\)$"):
        await connecting
    assert not client.is_connected
    assert connecting.cancelling() == 0


@pytest.mark.parametrize("times", [1, 2])
async def test_a_client_that_is_cut_in_the_handshake_of_implicit_tls_gives_it_up_at_once(times: int) -> None:
    async with ScriptedPeer(CLIENT_HELLO, LISTEN, lenient=True) as peer:
        client = SMTPClient(peer.endpoint(tls="implicit").replace(timeouts=NO_DEADLINES))
        connecting = asyncio.create_task(client.connect())
        await drain_events()
        assert not connecting.done()
        for _ in range(times):
            client.abort()
        await drain_events()
        assert connecting.done()
        with pytest.raises(ConnectionLost, match=r"^the connection was cut by abort\(\)$"):
            await connecting


async def test_a_connection_that_is_not_made_in_time_is_told_as_such() -> None:
    clock = StandingClock()
    client = SMTPClient(Endpoint("127.0.0.1", tls="none", connect=never_connect, timeouts=Timeouts(connect=5)))
    connecting = asyncio.create_task(client.connect())
    await clock.advance(5)
    with pytest.raises(DeadlineExceeded, match="within 5 s: connecting to"):
        await connecting


async def test_who_is_cancelled_while_he_connects_is_cancelled_though_the_client_is_cut_as_well() -> None:
    client = SMTPClient(Endpoint("127.0.0.1", tls="none", connect=never_connect))
    connecting = asyncio.create_task(client.connect())
    await drain_events()
    client.abort()
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting


async def test_a_client_keeps_nothing_of_the_task_that_has_connected_it() -> None:
    async with ScriptedPeer(*READY, LISTEN) as peer:
        client = SMTPClient(peer.endpoint())
        connecting = asyncio.create_task(client.connect())
        await connecting
        kept = weakref.ref(connecting)
        del connecting
        await drain_events()
        assert kept() is None
        assert client.is_connected
        client.abort()


def test_a_client_that_is_cut_where_no_event_loop_runs_connects_for_nothing() -> None:
    with asyncio.Runner() as runner:

        async def connect() -> socket.socket:
            await gate.wait()
            return ends[0]

        async def begin() -> "asyncio.Task[None]":
            connecting = asyncio.create_task(client.connect())
            await drain_events()
            return connecting

        async def end(connecting: "asyncio.Task[None]") -> None:
            gate.set()
            with pytest.raises(ConnectionLost, match=r"^the connection was cut by abort\(\)$"):
                await connecting

        gate = asyncio.Event()
        ends = socket.socketpair()
        with ends[0], ends[1]:
            for each in ends:
                each.setblocking(False)
            client = SMTPClient(Endpoint("127.0.0.1", tls="none", connect=connect))
            connecting = runner.run(begin())
            client.abort()
            runner.run(end(connecting))
            assert not client.is_connected
            assert ends[1].recv(1) == b""


async def test_what_a_link_in_the_clear_would_give_away_is_told_with_what_to_do() -> None:
    async with ScriptedPeer(*extensions("AUTH PLAIN"), *QUIT) as peer, SMTPClient(peer.endpoint()) as client:
        with pytest.raises(SecurityError) as caught:
            await client.execute(Auth(Plain(CREDENTIALS)))
    assert str(caught.value) == (
        "AUTH PLAIN **** would give the credentials away in the clear: use implicit TLS or STARTTLS, or write "
        "allow_cleartext_auth=True if the link is safe all the same"
    )


async def test_under_tls_a_client_tells_what_was_negotiated_as_long_as_it_is_connected() -> None:
    async with ScriptedPeer(Tls(), *READY, *QUIT) as peer:
        client = SMTPClient(peer.endpoint(tls="implicit"))
        assert client.tls is None
        async with client:
            assert client.tls is not None
            assert client.tls.is_verified
        assert client.tls is None


# Being logged


async def test_what_is_said_and_heard_is_logged_from_the_call_on_that_finds_it_wanted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = ("C: NOOP", "S: 250 one", "C: NOOP", "S: 250-two", "S: 250 lines", "C: NOOP", "S: 250 three")
    async with ScriptedPeer(*READY, *script, LISTEN) as peer:
        client = SMTPClient(peer.endpoint())
        with caplog.at_level(logging.DEBUG, "mailwire.smtp"):
            await client.connect()
        with caplog.at_level(logging.INFO, "mailwire.smtp"):
            await client.execute(Noop())
        with caplog.at_level(logging.DEBUG, "mailwire.smtp"):
            await client.execute(Noop())
        await client.execute(Noop())
        client.abort()
    assert [(record.name, record.levelname, record.message) for record in caplog.records] == [
        ("mailwire.smtp", "DEBUG", f"smtp://localhost:25 {line}")
        for line in ("S: 220 mx", "C: EHLO [127.0.0.1]", "S: 250 mx", "C: NOOP", "S: 250-two", "S: 250 lines")
    ]
    assert client.transcript.tail(4) == ("C: NOOP", "S: 250-two", "S: 250 lines", "C: NOOP", "S: 250 three")


# Being shared


async def test_calls_of_many_tasks_queue_up() -> None:
    async with (
        ScriptedPeer("S: 220 mx", Answers({**SMTP_ANSWERS, "VRFY 1": "250 one", "VRFY 2": "550 two"})) as peer,
        SMTPClient(peer.endpoint()) as client,
    ):
        replies = await asyncio.gather(
            *(client.execute(Vrfy(str(number % 3))) if number % 3 else client.execute(Noop()) for number in range(9)),
            return_exceptions=True,
        )
    found = [str(reply) for reply in replies]
    assert found == ["250 noop", "250 one", "VRFY 2 was refused: 550 two"] * 3
    assert peer.commands.count("NOOP") == 3


async def test_a_call_that_is_cancelled_while_it_queues_changes_nothing() -> None:
    async with (
        ScriptedPeer(*READY, "C: VRFY 1", PACKET, "S: 250 one", *QUIT) as peer,
        SMTPClient(peer.endpoint()) as client,
    ):
        first = asyncio.create_task(client.execute(Vrfy("1")))
        second = asyncio.create_task(client.execute(Vrfy("2")))
        await turns(1)
        second.cancel()
        assert str(await first) == "250 one"
        with pytest.raises(asyncio.CancelledError):
            await second
        assert client.is_connected


async def test_quitting_waits_for_the_calls_before_it() -> None:
    async with ScriptedPeer(*READY, "C: VRFY 1", "S: 250 one", *QUIT) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        asking = asyncio.create_task(client.execute(Vrfy("1")))
        await turns(1)
        await client.quit()
        assert str(await asking) == "250 one"


async def test_a_client_that_is_cut_ends_the_call_that_uses_it_and_those_that_wait() -> None:
    async with ScriptedPeer(*READY, "C: VRFY 1", STALL) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        using = asyncio.create_task(client.execute(Vrfy("1")))
        waiting = asyncio.create_task(client.execute(Vrfy("2")))
        await drain_events()
        client.abort()
        with pytest.raises(ConnectionLost) as caught:
            await using
        assert caught.value.in_flight == ("VRFY 1",)
        with pytest.raises(LocalProtocolError, match="not connected"):
            await waiting


async def send_slowly(client: SMTPClient, go_on: asyncio.Event) -> object:
    async def message() -> AsyncIterator[bytes]:
        yield b"Subject: x\r\n\r\n"
        await go_on.wait()
        yield b"hello\r\n"

    return await client.send(message(), **ENVELOPE)


NAMED = (*MAILED[:-1], LISTEN)
NAMED_FOR_CHUNKS = (*extensions("CHUNKING"), *MAILED[:4], LISTEN)
# What the server says, over which TLS, what waits for it, and how the error goes on.
SMTP_CUTS: dict[str, tuple[tuple[Step, ...], str, Callable[[SMTPClient, asyncio.Event], Awaitable[object]], str]] = {
    "greeting": ((LISTEN,), "none", lambda client, _: client.connect(), " before the reply to (the connection)"),
    "hello": ((*GREETED, LISTEN), "none", lambda client, _: client.connect(), " before the reply to EHLO [127.0.0.1]"),
    "handshake": (
        (*extensions("STARTTLS"), "C: STARTTLS", "S: 220 go", LISTEN),
        "starttls",
        lambda client, _: client.connect(),
        " during the TLS handshake",
    ),
    "command": (
        (*READY, "C: NOOP", "S: 250-half", LISTEN),
        "none",
        lambda client, _: client.execute(Noop()),
        " before the reply to NOOP, in the middle of a reply: b'250-half\\r\\n'",
    ),
    "message": ((*READY, *NAMED), "none", send_slowly, " before the reply to ."),
    "chunks": (NAMED_FOR_CHUNKS, "none", send_slowly, ""),
    "verdict": (
        (*READY, *MAILED, LISTEN),
        "none",
        lambda client, _: client.send(MESSAGE, **ENVELOPE),
        " before the reply to .",
    ),
}


@pytest.mark.parametrize("cut", SMTP_CUTS)
async def test_who_waits_when_the_connection_is_cut_is_not_told_that_the_server_left(cut: str) -> None:
    steps, tls, call, rest = SMTP_CUTS[cut]
    async with ScriptedPeer(*steps, lenient=True, guard=None) as peer:
        client = SMTPClient(peer.endpoint(tls=tls))
        if cut not in ("greeting", "hello", "handshake"):
            await client.connect()
        go_on = asyncio.Event()
        waiting = asyncio.ensure_future(call(client, go_on))
        await drain_events()
        client.abort()
        go_on.set()
        with pytest.raises(ConnectionLost) as caught:
            await waiting
    assert str(caught.value) == f"the connection was cut on this side{rest}"
    in_doubt = {"verdict": Delivery.UNKNOWN, "message": Delivery.NOT_SENT, "chunks": Delivery.NOT_SENT}
    assert caught.value.delivery is in_doubt.get(cut)


async def take_all(client: POP3Client) -> None:
    async for item in client.retrieve(await client.listing()):
        await item.read()


POP3_CUTS: dict[str, tuple[tuple[Step, ...], str]] = {
    "listing": ((*OPENED, LISTEN), " before the answer to STAT"),
    "answer": ((*OPENED, *LISTED, "C: RETR 1", LISTEN), " before the answer to RETR 1"),
    "message": (
        (*OPENED, *LISTED, "C: RETR 1", "S: +OK", "S: half", LISTEN),
        " in the middle of the answer to RETR 1, after 6 octets, the last of them like b'xxxx\\r\\n'",
    ),
}


@pytest.mark.parametrize("cut", POP3_CUTS)
async def test_who_waits_for_a_message_is_not_told_that_the_server_left(cut: str) -> None:
    steps, rest = POP3_CUTS[cut]
    async with ScriptedPeer(*steps, lenient=True, guard=None) as peer:
        client = POP3Client(peer.endpoint(protocol="pop3", auth=CREDENTIALS, allow_cleartext_auth=True))
        await client.connect()
        waiting = asyncio.ensure_future(take_all(client))
        await drain_events()
        client.abort()
        with pytest.raises(ConnectionLost) as caught:
            await waiting
    assert str(caught.value) == f"the connection was cut on this side{rest}"


async def test_a_server_that_left_before_the_connection_was_cut_has_left() -> None:
    async with ScriptedPeer(*READY, "C: NOOP", LISTEN) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        session = client._session
        assert session is not None
        waiting = asyncio.ensure_future(client.execute(Noop()))
        await drain_events()
        session.stream.eof_received()
        client.abort()
        with pytest.raises(ConnectionLost, match="the server closed the connection instead of replying to NOOP"):
            await waiting


async def test_a_cancelled_call_cuts_the_connection() -> None:
    async with ScriptedPeer(*READY, "C: NOOP", STALL) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        asking = asyncio.create_task(client.execute(Noop()))
        await drain_events()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert not client.is_connected


async def test_a_deadline_cuts_the_connection() -> None:
    clock = StandingClock()
    async with ScriptedPeer(*READY, "C: NOOP", STALL, guard=None) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        asking = asyncio.create_task(client.execute(Noop()))
        await clock.advance(300)
        with pytest.raises(DeadlineExceeded, match="the reply to NOOP"):
            await asking
        assert not client.is_connected


async def test_a_refusal_leaves_the_connection_as_it_is() -> None:
    async with (
        ScriptedPeer(*READY, "C: VRFY x", "S: 550 no", "C: NOOP", "S: 250 ok", *QUIT) as peer,
        SMTPClient(peer.endpoint()) as client,
    ):
        with pytest.raises(ReplyError):
            await client.execute(Vrfy("x"))
        assert client.is_connected
        assert str(await client.execute(Noop())) == "250 ok"


async def test_a_caller_s_mistake_leaves_the_connection_as_it_is() -> None:
    async with ScriptedPeer(*READY, "C: NOOP", "S: 250 ok", *QUIT) as peer, SMTPClient(peer.endpoint()) as client:
        with pytest.raises(ValueError, match="control characters"):
            await client.execute(Vrfy("x\r\nRSET"))
        assert str(await client.execute(Noop())) == "250 ok"


async def test_no_reply_is_taken_for_that_to_another_command() -> None:
    async with ScriptedPeer(*READY, "C: NOOP", "S: 250 ok", LISTEN) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        client._talk.connection.send(Noop())
        with pytest.raises(AssertionError, match="VRFY x is not asked before NOOP is answered"):
            await client.execute(Vrfy("x"))
        assert not client.is_connected


# What the server says unasked


@pytest.mark.parametrize(
    ("script", "error", "text"),
    [
        (("S: 421 idle", CLOSE), ServiceNotAvailable, "the server closed the idle connection: 421 idle"),
        (("S: 421 idle", STALL), ServiceNotAvailable, "the server closed the idle connection: 421 idle"),
        ((FIN,), ConnectionLost, "the server closed the idle connection: without a word"),
        ((RST,), ConnectionLost, "the server closed the idle connection: without a word"),
        (("S: 250 odd",), RemoteProtocolError, "expected nothing from the server, got the reply '250 odd'"),
        (("S: odd",), RemoteProtocolError, r"got b'odd' \(though nothing was asked\)"),
        ((b"25",), RemoteProtocolError, "expected nothing from the server, got b'25'"),
    ],
    ids=["421", "421 and silence", "FIN", "RST", "reply", "garbage", "half a line"],
)
async def test_what_an_idle_server_said_is_looked_at_before_anything_is_asked(
    script: tuple[Step, ...], error: type[MailwireError], text: str
) -> None:
    async with ScriptedPeer(*READY, PACKET, *script) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        await drain_events()
        with pytest.raises(error, match=text) as caught:
            await client.execute(Noop())
        assert type(caught.value) is error
        assert caught.value.transcript[:3] == ("S: 220 mx", "C: EHLO [127.0.0.1]", "S: 250 mx")
        assert not client.is_connected
    assert b"NOOP" not in peer.wire


@pytest.mark.parametrize(
    ("script", "error"),
    [(("S: -ERR idle", CLOSE), ConnectionLost), ((FIN,), ConnectionLost), (("S: +OK",), RemoteProtocolError)],
    ids=["-ERR", "FIN", "+OK"],
)
async def test_an_idle_pop3_server_is_heard_too(script: tuple[Step, ...], error: type[MailwireError]) -> None:
    async with ScriptedPeer(*OPENED, PACKET, *script) as peer:
        client = POP3Client(peer.endpoint(protocol="pop3", auth=CREDENTIALS, allow_cleartext_auth=True))
        await client.connect()
        await drain_events()
        with pytest.raises(error):
            await client.listing()
        assert not client.is_connected


# Errors


async def test_an_error_shows_the_end_of_the_dialogue() -> None:
    async with ScriptedPeer(*READY, "C: VRFY x", "S: 550 no", *QUIT) as peer, SMTPClient(peer.endpoint()) as client:
        with pytest.raises(ReplyError) as caught:
            await client.execute(Vrfy("x"))
    assert caught.value.transcript == (
        "S: 220 mx",
        "C: EHLO [127.0.0.1]",
        "S: 250 mx",
        "C: VRFY x",
        "S: 550 no",
    )


async def test_an_error_of_connecting_shows_the_dialogue_too() -> None:
    async with ScriptedPeer("S: 554 no", STALL) as peer:
        with pytest.raises(ReplyError) as caught:
            await SMTPClient(peer.endpoint()).connect()
    assert caught.value.transcript == ("S: 554 no",)


async def test_the_transcript_goes_on_over_several_calls() -> None:
    transcript = Transcript()
    async with (
        ScriptedPeer(*READY, *SENT, "C: NOOP", "S: 250 ok", *QUIT) as peer,
        SMTPClient(peer.endpoint(), transcript=transcript) as client,
    ):
        await client.send(MESSAGE, **ENVELOPE)
        await client.execute(Noop())
    assert transcript.tail(9) == (
        "C: DATA",
        "S: 354 go",
        "C: (21 octets)",
        "C: .",
        "S: 250 taken",
        "C: NOOP",
        "S: 250 ok",
        "C: QUIT",
        "S: 221 bye",
    )


# What a task leaves behind


async def take_one(client: POP3Client) -> bytes:
    """Take the first message and leave the rest: a search that has found what it was after."""
    async for item in client.retrieve(await client.listing()):
        return await item.read()
    raise AssertionError("there is a message")


async def test_a_client_whose_retrieval_was_left_by_a_task_that_ended_can_be_used_by_others() -> None:
    # `asyncio.wait_for` is such a task on Python 3.11.
    async with ScriptedPeer("S: +OK pop", Answers(POP3_ANSWERS), LISTEN) as peer:
        client = POP3Client(peer.endpoint(protocol="pop3", auth=CREDENTIALS, allow_cleartext_auth=True))
        await client.connect()
        assert await asyncio.create_task(take_one(client)) == b"first\r\n"
        async with asyncio.timeout(1):
            assert (await client.execute(Pop3Noop())).text == "noop"
        client.abort()


async def test_tasks_that_each_leave_a_retrieval_do_not_wait_for_each_other() -> None:
    async with ScriptedPeer("S: +OK pop", Answers(POP3_ANSWERS), LISTEN) as peer:
        client = POP3Client(peer.endpoint(protocol="pop3", auth=CREDENTIALS, allow_cleartext_auth=True))
        await client.connect()
        async with asyncio.timeout(2):
            taking = [asyncio.create_task(take_one(client)) for _ in range(3)]
            assert await asyncio.gather(*taking) == [b"first\r\n"] * 3
        client.abort()


async def test_a_retrieval_that_nobody_waits_for_is_gone_on_with_by_another_task() -> None:
    async def begin() -> Retrieval:
        return client.retrieve(await client.listing())

    async def take() -> bytes:
        return await (await anext(retrieval)).read()

    async with ScriptedPeer("S: +OK pop", Answers(POP3_ANSWERS), LISTEN) as peer:
        client = POP3Client(peer.endpoint(protocol="pop3", auth=CREDENTIALS, allow_cleartext_auth=True))
        await client.connect()
        retrieval = await asyncio.create_task(begin())
        taken = [await asyncio.create_task(take()) for _ in range(2)]
        assert taken == [b"first\r\n", b"other\r\n"]
        client.abort()


async def test_a_client_whose_retrieval_was_cancelled_outside_of_it_can_be_connected_again() -> None:
    async def consume(client: POP3Client) -> None:
        async with client:
            async for _ in client.retrieve(await client.listing()):
                await asyncio.Event().wait()  # a store that takes its time

    async with (
        ScriptedPeer("S: +OK pop", Answers(POP3_ANSWERS), LISTEN) as first,
        ScriptedPeer("S: +OK", Answers(POP3_ANSWERS)) as second,
    ):
        ways = iter((first, second))

        async def connect() -> socket.socket:
            return await next(ways).connect()

        endpoint = first.endpoint(protocol="pop3", auth=CREDENTIALS, allow_cleartext_auth=True)
        client = POP3Client(endpoint.replace(connect=connect))
        consuming = asyncio.create_task(consume(client))
        await drain_events()
        consuming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consuming
        async with asyncio.timeout(1), client:
            assert len(await client.listing()) == 2


async def test_a_client_stands_until_the_server_goes_or_says_something() -> None:
    for end, stands in ((LISTEN, True), (FIN, False), ("S: 421 idle", False)):
        async with ScriptedPeer(*READY, PACKET, end) as peer:
            client = SMTPClient(peer.endpoint())
            await client.connect()
            await drain_events()
            assert client.stands() is stands
            assert client.is_connected is stands
            client.abort()
            assert not client.stands()


def test_a_client_that_was_never_connected_does_not_stand() -> None:
    assert not SMTPClient("smtps://smtp.example.org").stands()


# In one event loop after the other


def pop3_client_of(server: MailServer) -> POP3Client:
    port, auth = server.pop3_port, Password("b", "secret")
    return POP3Client(Endpoint("127.0.0.1", port, protocol="pop3", tls="none", auth=auth, allow_cleartext_auth=True))


def test_what_an_event_loop_has_left_is_over_in_the_next_one() -> None:
    with beside_event_loops() as server:
        client = SMTPClient(Endpoint("127.0.0.1", server.smtp_port, tls="none"))

        async def connect_and_send(*, quits: bool = False) -> None:
            await client.connect()
            assert (await client.send(MESSAGE, **ENVELOPE)).delivery is Delivery.ACCEPTED
            if quits:
                await client.quit()

        async def find_it_over() -> None:
            assert client.is_connected
            with pytest.raises(LocalProtocolError, match="is not connected") as caught:
                await client.send(MESSAGE, **ENVELOPE)
            assert caught.value.delivery is Delivery.NOT_SENT
            assert not client.is_connected

        asyncio.run(connect_and_send())
        asyncio.run(find_it_over())
        asyncio.run(connect_and_send())
        assert not client.stands()
        assert not client.is_connected
        asyncio.run(connect_and_send())
        client.abort()
        asyncio.run(connect_and_send())
        asyncio.run(connect_and_send(quits=True))
        gc.collect()
        assert len(server.messages("b")) == 5


def test_calls_queue_up_in_each_event_loop_that_a_client_is_connected_in() -> None:
    with InThread(MailServer([Account("b", "secret", ("b@example.org",))])) as server:
        to_send = Endpoint("127.0.0.1", server.smtp_port, tls="none")
        smtp_client, pop3_client = SMTPClient(to_send), pop3_client_of(server)

        async def send_three() -> None:
            async with smtp_client:
                await asyncio.gather(*(smtp_client.send(MESSAGE, **ENVELOPE) for _ in range(3)))

        async def ask_three_times() -> list[int]:
            async with pop3_client:
                return [len(each) for each in await asyncio.gather(*(pop3_client.listing() for _ in range(3)))]

        for number in range(1, 4):
            asyncio.run(send_three())
            assert asyncio.run(ask_three_times()) == [3 * number] * 3


def test_who_an_event_loop_was_closed_upon_while_he_queued_keeps_nobody_from_the_connection() -> None:
    with beside_event_loops() as server:
        client = SMTPClient(Endpoint("127.0.0.1", server.smtp_port, tls="none"))
        left: list[object] = []

        async def leave_a_run() -> None:
            await client.connect()
            left.append(results := client.send_all([MESSAGE, MESSAGE], **ENVELOPE))
            await anext(results)

        async def queue() -> None:
            run = asyncio.create_task(leave_a_run())
            await asyncio.sleep(0)
            left.extend(asyncio.ensure_future(client.execute(Noop())) for _ in range(2))
            await asyncio.wait([run])

        async def send() -> None:
            with pytest.raises(LocalProtocolError, match="is not connected"):
                await client.execute(Noop())
            async with client:
                await asyncio.gather(*(client.send(MESSAGE, **ENVELOPE) for _ in range(3)))

        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda *_: None)
        loop.run_until_complete(queue())
        loop.close()
        asyncio.run(send())
        assert len(server.messages("b")) == 5
        left.clear()
        gc.collect()


def test_a_call_that_an_event_loop_was_closed_upon_is_not_waited_for() -> None:
    with beside_event_loops() as server:
        client = SMTPClient(Endpoint("127.0.0.1", server.smtp_port, tls="none"))
        left: list[asyncio.Task[object]] = []

        async def begin() -> None:
            await client.connect()
            left.append(asyncio.ensure_future(client.send(MESSAGE, **ENVELOPE)))
            await asyncio.sleep(0)

        async def find_it_over() -> None:
            with pytest.raises(LocalProtocolError) as caught:
                await client.send(MESSAGE, **ENVELOPE)
            assert str(caught.value) == (
                "a call was left in its middle by a task of which nothing more comes: make another client"
            )

        async def send() -> None:
            async with client:
                await client.send(MESSAGE, **ENVELOPE)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(begin())
        loop.close()
        asyncio.run(find_it_over())
        coroutine = left[0].get_coro()
        assert coroutine is not None
        coroutine.close()  # as Python does with what nobody holds any more
        asyncio.run(send())
        loop.set_exception_handler(lambda *_: None)
        left.clear()
        del coroutine
        gc.collect()


def test_a_loop_that_is_closed_takes_no_connection_of_another_along() -> None:
    with InThread(MailServer([Account("b", "", ("b@example.org",))])) as server:
        client = SMTPClient(Endpoint("127.0.0.1", server.smtp_port, tls="none"))

        async def find_it_not_there() -> None:
            with pytest.raises(LocalProtocolError, match="is not connected"):
                await client.send(MESSAGE, **ENVELOPE)

        async def send() -> None:
            async with client:
                await asyncio.to_thread(asyncio.run, look())
                assert (await client.send(MESSAGE, **ENVELOPE)).delivery is Delivery.ACCEPTED

        async def look() -> None:
            assert client.stands()

        asyncio.run(find_it_not_there())
        asyncio.run(send())
        assert len(server.messages("b")) == 1


# In two event loops at once


async def go_on(results: AsyncIterator[object]) -> object:
    return await anext(results)


SMTP_CALLS: dict[str, Callable[[SMTPClient], Coroutine[Any, Any, object]]] = {
    "connect": lambda client: client.connect(),
    "async with": lambda client: client.__aenter__(),
    "send": lambda client: client.send(MESSAGE, **ENVELOPE),
    "send_all": lambda client: go_on(client.send_all([MESSAGE], **ENVELOPE)),
    "execute": lambda client: client.execute(Noop()),
    "quit": lambda client: client.quit(),
}
POP3_CALLS: dict[str, Callable[[POP3Client], Coroutine[Any, Any, object]]] = {
    "connect": lambda client: client.connect(),
    "listing": lambda client: client.listing(),
    "retrieve": lambda client: go_on(client.retrieve("u1")),
    "commit": lambda client: client.commit(),
    "quit": lambda client: client.quit(),
}
IN_USE = "the client is in use in another event loop: make another client for this one"


def refuse(runner: asyncio.Runner, call: Coroutine[Any, Any, object]) -> LocalProtocolError:
    with pytest.raises(LocalProtocolError) as caught:
        runner.run(call)
    assert str(caught.value) == IN_USE
    return caught.value


@pytest.mark.parametrize("call", SMTP_CALLS)
def test_a_call_in_another_event_loop_than_the_connection_is_in_changes_nothing(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with beside_event_loops() as server, asyncio.Runner() as home, asyncio.Runner() as elsewhere:
        client = SMTPClient(Endpoint("127.0.0.1", server.smtp_port, tls="none"))
        home.run(client.connect())
        home.run(client.send(MESSAGE, **ENVELOPE))
        said = client.transcript.tail()
        with monkeypatch.context() as patch:  # no two threads may ask the system about the same socket at a time
            patch.delattr(Stream, "is_readable")
            error = refuse(elsewhere, SMTP_CALLS[call](client))
        assert error.delivery is (Delivery.NOT_SENT if call == "send" else None)
        assert client.is_connected
        assert client.transcript.tail() == said
        assert home.run(client.send(MESSAGE, **ENVELOPE)).delivery is Delivery.ACCEPTED
        home.run(client.quit())
        elsewhere.run(client.connect())
        elsewhere.run(client.quit())


@pytest.mark.parametrize("call", POP3_CALLS)
def test_a_pop3_call_in_another_event_loop_than_the_connection_is_in_changes_nothing(call: str) -> None:
    with (
        InThread(MailServer([Account("b", "secret", ("b@example.org",))])) as server,
        asyncio.Runner() as home,
        asyncio.Runner() as elsewhere,
    ):
        client = pop3_client_of(server)
        home.run(client.connect())
        said = client.transcript.tail()
        refuse(elsewhere, POP3_CALLS[call](client))
        assert client.is_connected
        assert client.transcript.tail() == said
        assert len(home.run(client.listing())) == 0
        home.run(client.quit())


def test_a_run_is_not_gone_on_with_in_another_event_loop() -> None:
    with beside_event_loops() as server, asyncio.Runner() as home, asyncio.Runner() as elsewhere:
        client = SMTPClient(Endpoint("127.0.0.1", server.smtp_port, tls="none"))
        home.run(client.connect())
        results = client.send_all([MESSAGE] * 5, **ENVELOPE)
        taken = [home.run(go_on(results))]
        refuse(elsewhere, go_on(results))
        refuse(elsewhere, results.aclose())
        taken += [home.run(go_on(results)) for _ in range(4)]
        assert len(results.remaining) == 0
        home.run(results.aclose())
        elsewhere.run(results.aclose())
        home.run(client.quit())
        assert len(server.messages("b")) == 5


@pytest.mark.parametrize("has_result", [False, True])
def test_a_result_is_not_handed_out_in_another_event_loop_than_the_run_is_in(has_result: bool) -> None:
    with beside_event_loops() as server, asyncio.Runner() as home, asyncio.Runner() as elsewhere:
        client = SMTPClient(Endpoint("127.0.0.1", server.smtp_port, tls="none"))
        home.run(client.connect())
        # What is refused at once, has its result at once.
        messages = [MESSAGE, b"\0", b"\0"] if has_result else [MESSAGE] * 3
        results = client.send_all(messages, order="input", **ENVELOPE)
        first = home.run(anext(results))
        assert results._consignment.has_result is has_result
        refuse(elsewhere, go_on(results))
        assert [first.index, *(home.run(anext(results)).index for _ in range(2))] == [0, 1, 2]
        home.run(client.quit())


def test_a_retrieval_is_not_gone_on_with_in_another_event_loop() -> None:
    with (
        InThread(MailServer([Account("b", "secret", ("b@example.org",))])) as server,
        asyncio.Runner() as home,
        asyncio.Runner() as elsewhere,
    ):
        for _ in range(2):
            home.run(mailwire.send(MESSAGE, Endpoint("127.0.0.1", server.smtp_port, tls="none"), **ENVELOPE))
        client = pop3_client_of(server)
        home.run(client.connect())
        retrieval = client.retrieve(home.run(client.listing()))
        home.run(go_on(retrieval))
        refuse(elsewhere, go_on(retrieval))
        refuse(elsewhere, retrieval.aclose())
        assert home.run(anext(retrieval)).entry.number == 2
        home.run(client.quit())
        elsewhere.run(retrieval.aclose())


def test_who_connects_keeps_the_client_from_another_event_loop() -> None:
    with beside_event_loops() as server, asyncio.Runner() as home, asyncio.Runner() as elsewhere:

        async def connect() -> socket.socket:
            await gate.wait()
            return socket.create_connection(("127.0.0.1", server.smtp_port))

        async def begin() -> "asyncio.Task[None]":
            connecting = asyncio.create_task(client.connect())
            await asyncio.sleep(0)
            return connecting

        async def end(connecting: "asyncio.Task[None]") -> None:
            gate.set()
            await connecting

        gate = asyncio.Event()
        client = SMTPClient(Endpoint("127.0.0.1", 25, tls="none", connect=connect))
        connecting = home.run(begin())
        refuse(elsewhere, client.connect())
        home.run(end(connecting))
        home.run(client.quit())


def test_who_is_the_next_to_use_a_client_keeps_it_from_another_event_loop() -> None:
    with asyncio.Runner() as home, asyncio.Runner() as elsewhere:
        loop = home.get_loop()

        async def connect() -> socket.socket:
            await asyncio.sleep(0)
            loop.stop()  # at the end of this turn, in which the first call ends
            raise OSError("no way")

        client = SMTPClient(Endpoint("127.0.0.1", 25, tls="none", connect=connect))
        calls = [loop.create_task(client.connect()) for _ in range(2)]
        loop.run_forever()
        assert [call.done() for call in calls] == [True, False]
        refuse(elsewhere, client.connect())
        loop.run_forever()
        assert all(isinstance(call.exception(), ConnectionFailed) for call in calls)
        with pytest.raises(ConnectionFailed):
            elsewhere.run(client.connect())


def test_a_thread_with_an_event_loop_of_its_own_cannot_use_a_client_that_is_in_use() -> None:
    with beside_event_loops() as server:
        client = SMTPClient(Endpoint("127.0.0.1", server.smtp_port, tls="none"))

        async def send() -> None:
            gate = asyncio.Event()
            async with client:
                sending = asyncio.create_task(send_slowly(client, gate))
                await drain_events()
                with pytest.raises(LocalProtocolError, match=IN_USE):
                    await asyncio.to_thread(asyncio.run, client.send(MESSAGE, **ENVELOPE))
                gate.set()
                await sending

        asyncio.run(send())
        assert len(server.messages("b")) == 1
