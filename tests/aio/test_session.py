import asyncio
import re
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from mailwire import (
    ConnectionFailed,
    ConnectionLost,
    DeadlineExceeded,
    Endpoint,
    InjectedData,
    LocalProtocolError,
    POP3Client,
    RemoteProtocolError,
    SMTPClient,
    Timeouts,
    TLSFailed,
)
from mailwire.aio.session import Session
from mailwire.endpoint import ClientCertificate
from mailwire.pop3 import Capa
from mailwire.smtp import (
    Auth,
    Connection,
    ConnectionClosed,
    Ehlo,
    Event,
    Noop,
    Quit,
    ReplyReceived,
    ServerClosing,
    StartTls,
    State,
)
from mailwire.testing import (
    ALERT,
    CLOSE,
    FIN,
    LISTEN,
    NO_READING,
    PACKET,
    RST,
    STALL,
    WITHHOLD,
    ScriptedPeer,
    Step,
    Tls,
    client_context,
    server_context,
)
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import CANARY, QUIT, READY, announced, capabilities, extensions
from tests.aio.pools import in_turn
from tests.sasl.laborious import Laborious
from tests.sasl.secrecy import assert_hidden


async def session_with(peer: ScriptedPeer, **settings: object) -> tuple[Session[Event], Connection]:
    machine = Connection()
    return await Session.open(peer.endpoint(**settings), machine), machine


async def hello(session: Session[Event], machine: Connection) -> None:
    await session.next_event("greeting", "the greeting")
    machine.send(Ehlo("[127.0.0.1]"))
    await session.next_event("command", "EHLO")


async def agreed_to_tls(session: Session[Event], machine: Connection) -> None:
    await hello(session, machine)
    machine.send(StartTls())
    await session.next_event("command", "STARTTLS")


def failing_to_load(_endpoint: Endpoint) -> ssl.SSLContext:
    raise RuntimeError("no thread for it")


async def test_tls_settings_that_cannot_be_used_are_told_before_anything_is_connected_to(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    told = f"the TLS settings for smtps://localhost:465 cannot be used (tls_ca_file {str(missing)!r}): "
    with pytest.raises(TLSFailed, match=rf"^{re.escape(told)}.*No such file") as caught:
        await Session.open(Endpoint("localhost", tls_ca_file=missing), Connection())
    assert isinstance(caught.value.__cause__, FileNotFoundError)


@pytest.mark.parametrize(
    ("certificate", "told"),
    [
        ("a.pem", "tls_client_certificate 'a.pem'"),
        (("a.pem", Path("b.pem")), "tls_client_certificate 'a.pem', tls_client_certificate 'b.pem'"),
        (("a.pem", "b.pem", CANARY), "tls_client_certificate 'a.pem', tls_client_certificate 'b.pem'"),
    ],
)
async def test_files_of_a_certificate_that_cannot_be_used_are_named_without_the_password(
    certificate: ClientCertificate, told: str
) -> None:
    with pytest.raises(TLSFailed, match=rf" cannot be used \({told}\): .*No such file") as caught:
        await Session.open(Endpoint("localhost", tls_client_certificate=certificate), Connection())
    assert_hidden(CANARY, caught.value)


async def test_where_no_file_is_set_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Endpoint, "make_tls_context", failing_to_load)
    told = r"^the TLS settings for smtps://localhost:465 cannot be used: no thread for it$"
    with pytest.raises(TLSFailed, match=told):
        await Session.open(Endpoint("localhost"), Connection())


async def test_a_value_that_cannot_be_used_for_tls_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Endpoint) -> None:
        f"{CANARY}\udcff".encode()

    monkeypatch.setattr(Endpoint, "make_tls_context", fail)
    told = r"^the TLS settings for smtps://localhost:465 cannot be used: UnicodeEncodeError$"
    with pytest.raises(TLSFailed, match=told) as caught:
        await Session.open(Endpoint("localhost"), Connection())
    assert caught.value.__context__ is None
    assert_hidden(CANARY, caught.value)


async def test_a_session_drives_its_machine() -> None:
    async with ScriptedPeer(*READY, *QUIT, CLOSE) as peer:
        session, machine = await session_with(peer)
        await hello(session, machine)
        machine.send(Quit())
        event = await session.next_event("command", "QUIT")
        assert isinstance(event, ReplyReceived)
        assert event.reply.code == 221
        assert machine.state is State.CLOSED
        await session.close()


async def test_events_that_came_together_are_taken_one_at_a_time() -> None:
    async with ScriptedPeer("S: 220 mx", "C: EHLO [127.0.0.1]", "S: 250 mx", "S: 421 bye", STALL) as peer:
        session, machine = await session_with(peer)
        await hello(session, machine)
        event = await session.next_event("command", "")
        assert isinstance(event, ServerClosing)
        session.abort()


async def test_nothing_to_take_is_none() -> None:
    async with ScriptedPeer(STALL) as peer:
        session, _ = await session_with(peer)
        assert session.poll() is None
        session.abort()


async def test_a_wait_ends_at_its_deadline() -> None:
    async with ScriptedPeer(b"220 m", STALL) as peer:
        session, _ = await session_with(peer, timeouts=Timeouts(greeting=0.01))
        with pytest.raises(DeadlineExceeded, match=r"within 0\.01 s: what is said first$") as caught:
            await session.next_event("greeting", "what is said first")
        assert caught.value.phase == "greeting"
        session.abort()


async def test_a_server_that_begins_with_tls_is_told_by_what_it_says() -> None:
    async with ScriptedPeer(b"\x15\x03\x01\x00\x02\x02\x28", LISTEN) as peer:
        session, _ = await session_with(peer)
        told = r"smtp://localhost:25 looks like a port that expects TLS .*: it began with .*\\x15\\x03\\x01"
        with pytest.raises(TLSFailed, match=told):
            await session.greeting()
        session.abort()


@pytest.mark.parametrize(("end", "error"), [(LISTEN, DeadlineExceeded), (FIN, ConnectionLost)])
@pytest.mark.parametrize("opening", [(), (Tls(),), (b"220 m",)], ids=["silent", "silent under TLS", "in the clear"])
async def test_a_server_may_wait_for_tls_if_it_has_said_nothing_and_has_none(
    opening: tuple[Step, ...], end: Step, error: type[Exception]
) -> None:
    hint = '; it may be a port that expects TLS from the first byte (tls="implicit")'
    tls = "implicit" if opening and isinstance(opening[0], Tls) else "none"
    async with ScriptedPeer(*opening, end) as peer:
        session, _ = await session_with(peer, tls=tls, timeouts=Timeouts(greeting=0.05 if end is LISTEN else 30))
        await peer.rest()  # what it says is there before the time begins
        with pytest.raises(error) as caught:
            await session.greeting()
        told = str(caught.value)
        assert told.endswith(hint) is (not opening)
        unaided = caught.value if opening else caught.value.__cause__
        assert told.removesuffix(hint) == str(unaided)
        for name in ("phase", "in_flight"):
            assert getattr(caught.value, name, None) == getattr(unaided, name, None)
        session.abort()


async def test_what_tls_would_take_is_not_made_where_there_is_none() -> None:
    # It is made in a thread, for it reads files.
    await asyncio.get_running_loop().shutdown_default_executor()
    async with ScriptedPeer(*READY) as peer:
        session, machine = await session_with(peer, tls="none", tls_context=None)
        await hello(session, machine)
        session.abort()
    with pytest.raises(TLSFailed, match=r"cannot be used: Executor shutdown has been called$"):
        await session_with(peer, tls="implicit", tls_context=None)


async def test_the_time_of_a_session_is_that_of_its_event_loop() -> None:
    loop = asyncio.get_running_loop()
    async with ScriptedPeer(STALL) as peer:
        session, _ = await session_with(peer)
        before = loop.time()
        assert before <= session.time() <= loop.time()
        session.abort()


async def test_a_fault_of_the_server_is_told_as_the_machine_tells_it() -> None:
    async with ScriptedPeer("S: hello?", STALL) as peer:
        session, machine = await session_with(peer)
        with pytest.raises(RemoteProtocolError, match=r"got b'hello\?'"):
            await session.next_event("command", "")
        assert machine.state is State.CLOSED
        session.abort()


async def test_the_end_instead_of_an_answer_is_a_connection_lost() -> None:
    async with ScriptedPeer(FIN) as peer:
        session, _ = await session_with(peer)
        with pytest.raises(ConnectionLost, match="instead of replying") as caught:
            await session.next_event("command", "")
        assert caught.value.__cause__ is None
        session.abort()


async def test_a_reset_is_the_cause_of_a_connection_lost() -> None:
    async with ScriptedPeer(RST) as peer:
        session, _ = await session_with(peer)
        with pytest.raises(ConnectionLost) as caught:
            await session.next_event("command", "")
        assert isinstance(caught.value.__cause__, ConnectionResetError)


async def test_the_end_while_nothing_is_awaited_is_an_event() -> None:
    async with ScriptedPeer(*READY, CLOSE) as peer:
        session, machine = await session_with(peer)
        await hello(session, machine)
        assert isinstance(await session.next_event("command", ""), ConnectionClosed)
        session.abort()


async def test_a_machine_that_is_closed_awaits_nothing_of_a_closed_connection() -> None:
    async with ScriptedPeer(*READY, CLOSE) as peer:
        session, machine = await session_with(peer)
        await hello(session, machine)
        await session.next_event("command", "")
        with pytest.raises(ConnectionLost, match=r"^the connection is closed$"):
            await session.next_event("command", "")
        session.abort()


async def test_a_session_that_was_cut_awaits_nothing() -> None:
    async with ScriptedPeer(*READY) as peer:
        session, machine = await session_with(peer)
        await hello(session, machine)
        session.abort()
        machine.send(Quit())
        with pytest.raises(ConnectionLost, match="the connection was cut on this side"):
            await session.next_event("command", "")
        await drain_events()


async def test_a_connection_that_cannot_be_made_is_told_as_that() -> None:
    async def connect() -> asyncio.StreamReader:
        raise ConnectionRefusedError(111, "Connection refused")

    with pytest.raises(ConnectionFailed):
        await Session.open(Endpoint("localhost", tls="none", connect=connect), Connection())  # type: ignore[arg-type]


# Long computations


class Slow(Laborious):
    """Has computed a response when it is `let_go`; knows the thread that has."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()
        self.thread = threading.current_thread()

    def _compute(self, challenge: bytes) -> bytes:
        self.thread = threading.current_thread()
        self.let_go.wait(2)
        return super()._compute(challenge)


CHALLENGED: tuple[Step, ...] = (*extensions("AUTH X-LABORIOUS"), "C: AUTH X-LABORIOUS", "S: 334 YWJj")


async def test_a_response_that_takes_long_to_compute_is_computed_in_another_thread() -> None:
    mechanism = Slow()
    mechanism.let_go.set()
    async with ScriptedPeer(*CHALLENGED, "C: Y2Jh", "S: 235 ok") as peer:
        session, machine = await session_with(peer)
        await hello(session, machine)
        machine.send(Auth(mechanism))
        event = await session.next_event("command", "the reply to", "AUTH")
        assert isinstance(event, ReplyReceived)
        assert event.reply.code == 235
        session.abort()
    assert mechanism.computed == [b"abc"]
    assert mechanism.thread is not threading.current_thread()


@pytest.mark.parametrize("subject", ["AUTH", ""])
async def test_a_response_may_take_as_long_to_compute_as_the_reply_may_take(subject: str) -> None:
    mechanism = Slow()
    async with ScriptedPeer(*CHALLENGED, LISTEN) as peer:
        session, machine = await session_with(peer, timeouts=Timeouts(data=0.05))
        await hello(session, machine)
        machine.send(Auth(mechanism))
        told = rf"within 0\.05 s: {f'the reply to {subject}'.strip()}$"
        with pytest.raises(DeadlineExceeded, match=told) as caught:
            await session.next_event("data", "the reply to", subject)
        assert not mechanism.computed
        assert caught.value.phase == "data"
        mechanism.let_go.set()
        session.abort()


# Writing


async def test_a_peer_that_keeps_up_may_be_written_to() -> None:
    async with ScriptedPeer(STALL) as peer:
        session, _ = await session_with(peer)
        assert await session.wait_writable()
        session.abort()


async def test_a_peer_that_takes_nothing_in_ends_at_the_deadline_for_a_block() -> None:
    async with ScriptedPeer(NO_READING) as peer:
        session, _ = await session_with(peer, timeouts=Timeouts(block=0.01))
        session.stream.write([b"x" * 4_000_000])
        with pytest.raises(DeadlineExceeded) as caught:
            await session.wait_writable()
        assert caught.value.phase == "block"
        session.abort()


async def test_a_peer_that_speaks_instead_of_taking_in_is_to_be_heard() -> None:
    async with ScriptedPeer(NO_READING, "S: 552 too much") as peer:
        session, _ = await session_with(peer)
        session.stream.write([b"x" * 4_000_000])
        assert not await session.wait_writable()
        session.abort()


async def test_what_has_arrived_before_anything_is_asked_is_no_answer() -> None:
    script = (*READY, "C: STARTTLS", "S: 220 go", Tls(), "S: 250 mx", STALL)
    async with ScriptedPeer(*script) as peer:
        session, machine = await session_with(peer, tls="starttls")
        await agreed_to_tls(session, machine)
        await session.start_tls()
        machine.tls_established()
        session.expect_silence()
        await drain_events()
        with pytest.raises(RemoteProtocolError, match="expected nothing from the server, got the reply '250 mx'"):
            session.expect_silence()
        session.abort()


async def test_a_leave_that_was_taken_before_anything_is_asked_is_told() -> None:
    async with ScriptedPeer(*READY, PACKET, "S: 421 bye", FIN) as peer:
        session, machine = await session_with(peer)
        await hello(session, machine)
        await drain_events()
        with pytest.raises(ConnectionLost, match="closed the idle connection: 421 bye"):
            session.expect_silence()
        session.abort()


async def test_a_leave_that_was_taken_before_a_question_has_left_is_told() -> None:
    async with ScriptedPeer(*READY, PACKET, "S: 421 bye", LISTEN) as peer:
        session, machine = await session_with(peer)
        await hello(session, machine)
        await drain_events()
        machine.send(Quit())
        session.flush()
        event = await session.next_event("command", "")
        assert isinstance(event, ServerClosing)
        assert event.reply.code == 421
        await peer.rest()
        assert peer.commands == ["EHLO [127.0.0.1]"]
        session.abort()


@pytest.mark.parametrize("said", ["S: 250 odd", b"25"])
async def test_what_has_arrived_before_a_question_has_left_does_not_answer_it(said: Step) -> None:
    async with ScriptedPeer(*READY, PACKET, said, LISTEN) as peer:
        session, machine = await session_with(peer)
        await hello(session, machine)
        await drain_events()
        machine.send(Quit())
        session.flush()
        with pytest.raises(RemoteProtocolError, match="expected nothing from the server"):
            await session.next_event("command", "")
        await peer.rest()
        assert peer.commands == ["EHLO [127.0.0.1]"]
        session.abort()


async def test_nothing_is_flushed_when_nothing_may_leave() -> None:
    async with ScriptedPeer(STALL) as peer:
        session, machine = await session_with(peer)
        machine.send(Quit())  # behind the greeting
        session.flush()
        session.abort()
    assert peer.wire == b""


# TLS


async def test_behind_the_handshake_the_machine_goes_on() -> None:
    async with ScriptedPeer(*READY, "C: STARTTLS", "S: 220 go", Tls(), "C: QUIT", "S: 221 bye", CLOSE) as peer:
        session, machine = await session_with(peer, tls="starttls")
        await agreed_to_tls(session, machine)
        await session.start_tls()
        assert session.stream.tls_session
        assert machine.state is State.TLS
        machine.tls_established()
        machine.send(Quit())
        await session.next_event("command", "")
        await session.close()


@pytest.mark.parametrize("packets", [(), (PACKET,)], ids=["same packet", "next packet"])
async def test_octets_behind_the_go_ahead_are_an_attack(packets: tuple[()]) -> None:
    async with ScriptedPeer(*READY, "C: STARTTLS", "S: 220 go", *packets, "S: 250 AUTH PLAIN", STALL) as peer:
        session, machine = await session_with(peer, tls="starttls")
        with pytest.raises(InjectedData):  # noqa: PT012
            await agreed_to_tls(session, machine)
            await drain_events()
            await session.start_tls()
        assert machine.state is State.CLOSED
        session.abort()
    assert b"\x16\x03" not in peer.wire  # no ClientHello


async def test_a_server_that_closes_behind_its_go_ahead_has_no_tls() -> None:
    async with ScriptedPeer(*READY, "C: STARTTLS", "S: 220 go", FIN, LISTEN) as peer:
        session, machine = await session_with(peer, tls="starttls")
        await agreed_to_tls(session, machine)
        await drain_events()
        with pytest.raises(ConnectionLost, match=r"^the server agreed to begin TLS and closed the connection$"):
            await session.start_tls()
        session.abort()


async def test_a_machine_whose_handshake_failed_does_not_go_on() -> None:
    async with ScriptedPeer(*READY, "C: STARTTLS", "S: 220 go", Tls("self-signed")) as peer:
        session, machine = await session_with(peer, tls="starttls")
        await agreed_to_tls(session, machine)
        with pytest.raises(TLSFailed):
            await session.start_tls()
        assert machine.state is State.TLS
        with pytest.raises(LocalProtocolError):
            machine.send(Quit())
        session.abort()


# Closing


@asynccontextmanager
async def secured(*in_the_clear: bytes, says: bytes) -> AsyncIterator[Endpoint]:
    """A server that says what it has to say `in_the_clear`, each time before a line of the client's, and then makes a
    handshake by TLS 1.3, as OpenSSL does. It demands a certificate, unless it has something to say; then it
    understands nothing of what it hears."""
    context = server_context(client_certificates=True)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_OPTIONAL if says else ssl.CERT_REQUIRED

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for lines in in_the_clear:
            writer.write(lines)
            await reader.readline()
        writer.write(b"220 go\r\n" if in_the_clear else b"")
        coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(coming, going, server_side=True)
        is_over = False
        while not is_over:
            try:
                tls.do_handshake()
                tls.write(says)
                is_over = True
            except ssl.SSLWantReadError:
                writer.write(going.read())
                coming.write(await reader.read(65536))
            except ssl.SSLError:
                is_over = True
        writer.write(going.read())
        if says:
            coming.write(await reader.read(1) + b"no record")
            with suppress(ssl.SSLError):
                tls.read()
            writer.write(going.read())
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        yield Endpoint(
            "localhost",
            server.sockets[0].getsockname()[1],
            tls="starttls" if in_the_clear else "implicit",
            tls_context=client_context(),
        )


@pytest.mark.parametrize("in_the_clear", [(), (b"220 hi\r\n", b"250-hi\r\n250 STARTTLS\r\n")])
@pytest.mark.parametrize("asks", [False, True])
async def test_a_certificate_that_is_missed_behind_our_handshake_is_told(
    in_the_clear: tuple[bytes, ...], asks: bool
) -> None:
    async with secured(*in_the_clear, says=b"") as endpoint:
        machine = Connection()
        session: Session[Event] = await Session.open(endpoint, machine)
        if in_the_clear:
            await agreed_to_tls(session, machine)
            await session.start_tls()
            machine.tls_established()
            if asks:
                machine.send(Ehlo("[127.0.0.1]"))
        with pytest.raises(TLSFailed, match=rf"^no TLS session with {re.escape(str(endpoint))}: .+_ALERT_") as caught:
            await session.next_event("command", "")
        assert isinstance(caught.value.__cause__, ssl.SSLError)
        assert caught.value.__cause__ is session.stream.error


async def test_a_server_that_breaks_tls_where_it_is_asked_for_more_has_made_a_session() -> None:
    async with secured(says=b"220 hi\r\n") as endpoint:
        client = SMTPClient(endpoint)
        with pytest.raises(ConnectionLost) as caught:
            await client.connect()
        assert isinstance(caught.value.__cause__, ssl.SSLError)


async def test_a_session_that_was_heard_of_is_lost_where_its_tls_breaks() -> None:
    async with secured(says=b"220 hi\r\n") as endpoint:
        machine = Connection()
        session: Session[Event] = await Session.open(endpoint, machine)
        machine.tls_established()
        await session.next_event("command", "")
        machine.send(Ehlo("[127.0.0.1]"))
        with pytest.raises(ConnectionLost) as caught:
            await session.next_event("command", "")
        assert "_ALERT_" in str(caught.value.__cause__)


# Up to the handshake, by the protocol and the kind of TLS.
UP_TO_TLS: dict[tuple[str, str], tuple[Step, ...]] = {
    ("smtp", "starttls"): (*extensions("STARTTLS"), "C: STARTTLS", "S: 220 go"),
    ("smtp", "implicit"): (),
    ("pop3", "starttls"): (*capabilities("STLS"), "C: STLS", "S: +OK go"),
    ("pop3", "implicit"): (),
}
# What is said under TLS until a client is connected.
CONNECTED: dict[tuple[str, str], tuple[Step, ...]] = {
    ("smtp", "starttls"): ("C: EHLO [127.0.0.1]", "S: 250 mx"),
    ("smtp", "implicit"): READY,
    ("pop3", "starttls"): announced("UIDL"),
    ("pop3", "implicit"): capabilities("UIDL"),
}
SECURED = pytest.mark.parametrize(("protocol", "tls"), UP_TO_TLS)


def client_of(peer: ScriptedPeer, protocol: str, **settings: Any) -> SMTPClient | POP3Client:
    endpoint = peer.endpoint(protocol=protocol, **settings)
    return POP3Client(endpoint) if protocol == "pop3" else SMTPClient(endpoint)


@SECURED
async def test_an_alert_behind_our_handshake_is_a_refusal_of_tls(protocol: str, tls: str) -> None:
    async with ScriptedPeer(*UP_TO_TLS[protocol, tls], Tls(), ALERT) as peer:
        with pytest.raises(TLSFailed, match=r"^no TLS session with .+_ALERT_"):
            await client_of(peer, protocol, tls=tls).connect()


@SECURED
async def test_an_alert_in_place_of_an_answer_is_a_loss(protocol: str, tls: str) -> None:
    last = "C: NOOP" if protocol == "smtp" else "C: CAPA"
    async with ScriptedPeer(*UP_TO_TLS[protocol, tls], Tls(), *CONNECTED[protocol, tls], last, ALERT) as peer:
        client = client_of(peer, protocol, tls=tls)
        await client.connect()
        with pytest.raises(ConnectionLost) as caught:
            await (client.execute(Noop()) if isinstance(client, SMTPClient) else client.execute(Capa()))
        assert "_ALERT_" in str(caught.value.__cause__)


async def test_an_alert_in_place_of_the_answer_to_ehlo_is_a_loss_of_the_session_that_greeted() -> None:
    # A server that is lost at EHLO is connected to once more, and asked with HELO.
    greeted: tuple[Step, ...] = (Tls(), "S: 220 mx")
    async with (
        ScriptedPeer(*greeted, "C: EHLO [127.0.0.1]", ALERT) as first,
        ScriptedPeer(*greeted, "C: HELO [127.0.0.1]", "S: 250 mx", *QUIT) as second,
        SMTPClient(first.endpoint(tls="implicit", connect=in_turn(first, second))) as client,
    ):
        assert client.is_connected


async def test_a_server_that_closes_behind_the_handshake_has_tls() -> None:
    async with ScriptedPeer(Tls(), CLOSE) as peer:
        session, machine = await session_with(peer, tls="implicit")
        machine.tls_established()
        with pytest.raises(ConnectionLost, match="instead of"):
            await session.next_event("command", "")


async def test_closing_lasts_no_longer_than_allowed() -> None:
    async with ScriptedPeer(Tls(), WITHHOLD) as peer:
        session, _ = await session_with(peer, tls="implicit", timeouts=Timeouts(close=0.01))
        await session.close()
        assert session.stream.is_at_end
