"""Sessions with a server are recorded, and played once more to the same client."""

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

import mailwire
from mailwire import Endpoint, Password
from mailwire.testing import (
    FIN,
    LISTEN,
    MAIL_DATA,
    PACKET,
    RST,
    Account,
    MailServer,
    Policy,
    RecordingProxy,
    ScriptedPeer,
    Tls,
    client_context,
    server_context,
)
from mailwire.testing.turns import drain_events, turns
from tests.loops import LikeProactor
from tests.sasl.secrecy import CANARY, assert_hidden

BOB = Account("bob", CANARY, ("bob@example.org",))
MESSAGE = b"Subject: x\r\n\r\nhello\r\n.\r\n"
AUTH = Password("bob", CANARY)


async def send(endpoint: Endpoint) -> None:
    receipt = await mailwire.send(MESSAGE, endpoint, sender="a@example.org", recipients=["bob@example.org"])
    assert receipt.accepted == ("bob@example.org",)


async def collect(endpoint: Endpoint) -> None:
    [message] = await mailwire.retrieve(endpoint)
    assert message.raw == MESSAGE


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
async def test_a_session_is_recorded_and_played_once_more(protocol: Any, tls: Any, mechanism: str) -> None:
    context = server_context() if tls != "none" else None
    settings: dict[str, Any] = {
        "protocol": protocol,
        "tls": tls,
        "tls_context": client_context() if tls != "none" else None,
        "auth": AUTH,
        "allow_cleartext_auth": True,
        "auth_preferences": mailwire.Preferences(mechanisms=[mechanism]),
    }
    do = send if protocol == "smtp" else collect
    async with MailServer(
        [BOB], policy=Policy(mechanisms=(mechanism,)), tls_context=context, implicit_tls=tls == "implicit"
    ) as server:
        server.maildrop.put("bob", MESSAGE)
        port = server.smtp_port if protocol == "smtp" else server.pop3_port
        async with RecordingProxy(
            "localhost", port, implicit_tls=tls == "implicit", tls_context=client_context()
        ) as proxy:
            await do(Endpoint(proxy.host, proxy.port, **settings))
            await proxy.wait_idle()
    [recording] = proxy.recordings
    assert_hidden(CANARY, recording.text)
    assert (Tls() in recording.script()) is (tls != "none")
    async with ScriptedPeer(*recording.script()) as peer:
        await do(peer.endpoint(**settings))
    assert peer.handshake_error is None


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
def test_no_event_loop_has_to_watch_sockets_or_to_tell_at_once_of_what_was_sent(protocol: str, tls: str) -> None:
    with asyncio.Runner(loop_factory=LikeProactor) as runner:
        runner.run(test_a_session_is_recorded_and_played_once_more(protocol, tls, "PLAIN"))


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
@pytest.mark.parametrize("listens_at_a_path", [False, True])
async def test_a_session_at_a_unix_socket_is_recorded(tls: Any, listens_at_a_path: bool, tmp_path: Path) -> None:
    path, listen_path = tmp_path / "lmtp", tmp_path / "proxy"
    context = server_context() if tls != "none" else None
    settings: dict[str, Any] = {
        "protocol": "lmtp",
        "tls": tls,
        "tls_context": client_context() if tls != "none" else None,
    }
    async with MailServer([BOB], tls_context=context, implicit_tls=tls == "implicit", lmtp_path=path) as server:
        async with RecordingProxy(
            "localhost",
            unix_path=path,
            listen_path=listen_path if listens_at_a_path else None,
            implicit_tls=tls == "implicit",
            tls_context=client_context(),
        ) as proxy:
            where: dict[str, Any] = {"unix_path": str(listen_path)} if listens_at_a_path else {"port": proxy.port}
            await send(Endpoint("localhost", **where, **settings))
            await proxy.wait_idle()
        assert len(server.messages("bob")) == 1
    assert not listen_path.exists()
    async with ScriptedPeer(*proxy.recordings[0].script()) as peer:
        await send(peer.endpoint(**settings))


async def test_every_connection_has_a_recording_of_its_own() -> None:
    async with MailServer([BOB]) as server, RecordingProxy("127.0.0.1", server.smtp_port) as proxy:
        for _ in range(2):
            await send(Endpoint("127.0.0.1", proxy.port, tls="none", use_chunking=False))
        await proxy.wait_idle()
    first, second = proxy.recordings
    assert first.text.replace("00000001", "00000002") == second.text
    assert MAIL_DATA in first.script()


async def test_a_refused_handshake_of_either_side_ends_it() -> None:
    async with MailServer([BOB], tls_context=server_context("expired")) as server:
        async with RecordingProxy("localhost", server.smtp_port, tls_context=client_context()) as proxy:
            with pytest.raises(mailwire.MailwireError):
                await send(Endpoint("localhost", proxy.port, tls="starttls", tls_context=client_context()))
        async with RecordingProxy("localhost", server.smtp_port) as proxy:
            with pytest.raises(mailwire.MailwireError):
                await send(Endpoint("localhost", proxy.port, tls="starttls"))
    assert Tls() not in proxy.recordings[0].script()


async def test_a_server_that_refuses_tls_is_recorded_without_it() -> None:
    script = ("S: 220 hi", "C: EHLO ...", "S: 250-hi", "S: 250 STARTTLS", "C: STARTTLS", "S: 454 no", LISTEN)
    async with (
        ScriptedPeer(*script, listen=True) as peer,
        RecordingProxy("127.0.0.1", peer.port) as proxy,
    ):
        with pytest.raises(mailwire.SecurityError):
            await send(Endpoint("127.0.0.1", proxy.port, tls="starttls", tls_context=client_context()))
        await proxy.wait_idle()
    assert "S: 454 no" in proxy.recordings[0].script()


async def test_a_server_that_is_not_there_is_a_connection_that_is_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    async with RecordingProxy("127.0.0.1", port) as proxy:
        with pytest.raises(mailwire.MailwireError):
            await send(Endpoint("127.0.0.1", proxy.port, tls="none"))
        await proxy.wait_idle()
    assert proxy.recordings[0].text == ""


@pytest.mark.parametrize("end", [FIN, RST])
async def test_a_server_that_goes_takes_the_client_with_it(end: Any) -> None:
    async with (
        ScriptedPeer("S: 220 hi", "C: EHLO ...", end, LISTEN, listen=True, lenient=True) as peer,
        RecordingProxy("127.0.0.1", peer.port) as proxy,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"EHLO c\r\n")
        assert await reader.readline() == b"220 hi\r\n"
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        if not writer.is_closing():  # who writes then, gets an error from uvloop
            writer.write(b"NOOP\r\n")
        writer.close()
        await proxy.wait_idle()
    closes = end is FIN
    assert proxy.recordings[0].text.startswith("S: 220 hi\nC: EHLO c\n")
    assert ("S closes" in proxy.recordings[0].text) is closes


@pytest.mark.parametrize("goes", [False, True])
async def test_a_client_is_held_back_where_the_server_takes_nothing(goes: bool) -> None:
    loop = asyncio.get_running_loop()
    block, limit = b"x" * 2**20, 24 * 2**20
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        async with RecordingProxy("127.0.0.1", listener.getsockname()[1]) as proxy:
            await loop.sock_connect(client, (proxy.host, proxy.port))
            server, _ = await loop.sock_accept(listener)
            with server:
                said, waits = client.send(f"BDAT {10**9}\r\n".encode()), 0
                while said < limit and waits < 10:
                    await drain_events()
                    try:
                        said += client.send(block)
                        waits = 0
                    except BlockingIOError:
                        waits += 1
                assert waits
                if goes:
                    server.shutdown(socket.SHUT_WR)
                    assert await loop.sock_recv(client, 100) == b""
                else:
                    heard = 0
                    while heard < said:
                        heard += len(await loop.sock_recv(server, 2**20))
                client.close()
                await proxy.wait_idle()


async def test_who_is_still_there_when_it_closes_is_cut() -> None:
    async with MailServer([BOB]) as server, RecordingProxy("127.0.0.1", server.smtp_port) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        await reader.readline()
        await proxy.close()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()


def test_by_default_the_authorities_of_the_system_are_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ssl.SSLContext] = []
    make = ssl.create_default_context

    def remember(*arguments: Any, **settings: Any) -> ssl.SSLContext:
        made.append(make(*arguments, **settings))
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", remember)
    RecordingProxy("127.0.0.1", 1)._receive("")
    assert [context.verify_mode for context in made] == [ssl.CERT_REQUIRED]


async def test_a_go_ahead_and_a_question_for_tls_may_come_in_pieces() -> None:
    script = (
        *("S: 220 hi", "C: EHLO ...", "S: 250-hi", "S: 250 STARTTLS", "C: STARTTLS"),
        *(b"220-go ", PACKET, b"ahead\r\n22", PACKET, b"0 now\r\n", Tls(), "C: NOOP", "S: 250 ok", LISTEN),
    )
    async with (
        ScriptedPeer(*script, listen=True) as peer,
        RecordingProxy("localhost", peer.port, tls_context=client_context()) as proxy,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"EHLO c\r\n")
        await reader.readuntil(b"250 STARTTLS\r\n")
        writer.write(b"START")
        await turns(20)
        writer.write(b"TLS\r\n")
        await reader.readuntil(b"220 now\r\n")
        await writer.start_tls(client_context(), server_hostname="localhost")
        writer.write(b"NOOP\r\n")
        assert await reader.readline() == b"250 ok\r\n"
        writer.close()
        await proxy.wait_idle()
    assert "TLS\nC: NOOP\nS: 250 ok\n" in proxy.recordings[0].text


@pytest.mark.parametrize("port", [0, "25", 70_000])
def test_what_is_no_port_is_refused_at_once(port: Any) -> None:
    with pytest.raises(ValueError, match="expected the port of a server"):
        RecordingProxy("127.0.0.1", port)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"implicit_tls": "no"}, "expected implicit_tls to be True or False, got 'no'"),
        ({"tls_context": True}, "expected a TLS context of clients, got True"),
        ({"tls_context": server_context()}, "expected a TLS context of clients"),
    ],
)
def test_a_proxy_of_what_is_none_is_refused_at_once(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RecordingProxy("127.0.0.1", 25, **settings)
