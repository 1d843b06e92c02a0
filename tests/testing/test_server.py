import asyncio
import gc
import poplib
import smtplib
import socket
import ssl
import threading
import warnings
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

import mailwire
from mailwire import Endpoint, Password, POP3Client, POP3Settings, RetrievalIncomplete
from mailwire.pop3 import RefusalCause
from mailwire.sasl import server_end_point
from mailwire.testing import (
    ARGOSOFT,
    Account,
    Maildrop,
    MailServer,
    Policy,
    SMTPServer,
    client_context,
    server_context,
)
from mailwire.testing.handshake import find_certificate
from mailwire.testing.listener import Listener
from mailwire.testing.turns import drain_events, turns

ALICE = Account("alice", "secret", ("alice@example.org",))
BOB = Account("bob", "hidden", ("bob@example.org",))
MESSAGE = b"Subject: hello\r\n\r\n.\r\n..world\r\n\xe9\r\n"


def new_server(*, implicit_tls: bool = False) -> MailServer:
    return MailServer([ALICE, BOB], tls_context=server_context(), implicit_tls=implicit_tls)


def plain_smtp(server: MailServer) -> smtplib.SMTP:
    return smtplib.SMTP(server.host, server.smtp_port, "client.example.org")


def starttls(server: MailServer) -> smtplib.SMTP:
    client = plain_smtp(server)
    client.starttls(context=client_context())
    return client


def smtps(server: MailServer) -> smtplib.SMTP:
    return smtplib.SMTP_SSL(server.host, server.smtp_port, "client.example.org", context=client_context())


def plain_pop3(server: MailServer) -> poplib.POP3:
    return poplib.POP3(server.host, server.pop3_port)


def stls(server: MailServer) -> poplib.POP3:
    client = plain_pop3(server)
    client.stls(client_context())
    return client


def pop3s(server: MailServer) -> poplib.POP3:
    return poplib.POP3_SSL(server.host, server.pop3_port, context=client_context())


def send(client: smtplib.SMTP) -> None:
    with client:
        client.login("alice", "secret")
        assert client.sendmail("alice@example.org", ["bob@example.org"], MESSAGE, ["BODY=8BITMIME"]) == {}


def retrieve(client: poplib.POP3) -> bytes:
    client.user("bob")
    client.pass_("hidden")
    _, lines, _ = client.retr(1)
    client.dele(1)
    client.quit()
    return b"".join(line + b"\r\n" for line in lines)


@pytest.mark.parametrize(
    ("open_smtp", "open_pop3", "implicit_tls"),
    [(plain_smtp, plain_pop3, False), (starttls, stls, False), (smtps, pop3s, True)],
)
async def test_what_smtplib_sends_poplib_retrieves(
    open_smtp: Callable[[MailServer], smtplib.SMTP],
    open_pop3: Callable[[MailServer], poplib.POP3],
    implicit_tls: bool,
) -> None:
    async with new_server(implicit_tls=implicit_tls) as server:
        await asyncio.to_thread(lambda: send(open_smtp(server)))
        assert [message.content for message in server.messages("bob")] == [MESSAGE]
        assert await asyncio.to_thread(lambda: retrieve(open_pop3(server))) == MESSAGE
        await server.wait_idle()

    assert server.messages("bob") == ()
    assert server.smtp_sessions[-1].user == "alice"
    assert server.pop3_sessions[-1].user == "bob"
    is_encrypted = open_smtp is not plain_smtp
    assert [session.is_encrypted for session in (*server.smtp_sessions, *server.pop3_sessions)] == [is_encrypted] * 2


@pytest.mark.parametrize("implicit_tls", [True, False])
async def test_a_client_with_which_no_handshake_succeeds_is_left(implicit_tls: bool) -> None:
    context = ssl.create_default_context() if implicit_tls else client_context()
    async with new_server(implicit_tls=implicit_tls) as server:
        for port in (server.smtp_port, server.pop3_port):
            with pytest.raises(ssl.SSLError):
                await asyncio.open_connection(server.host, port, ssl=context)
        await server.wait_idle()

    assert all(session.closing for session in (*server.smtp_sessions, *server.pop3_sessions))


async def test_a_client_that_leaves_the_handshake_undone_does_not_keep_the_server() -> None:
    async with asyncio.timeout(30), new_server(implicit_tls=True) as server:  # a handshake may take a minute
        client = socket.create_connection((server.host, server.smtp_port))
        while not server.smtp_sessions:
            await drain_events()
    with client:
        client.settimeout(30)
        assert client.recv(1) == b""
    assert server.smtp_sessions[0].closing


@pytest.mark.parametrize("implicit_tls", [True, False])
async def test_every_session_knows_what_tls_gives(implicit_tls: bool) -> None:
    async with new_server(implicit_tls=implicit_tls) as server:
        expected = find_certificate(server_context())
        assert expected is not None
        await asyncio.to_thread(lambda: (smtps if implicit_tls else starttls)(server).quit())
        await asyncio.to_thread(lambda: (pop3s if implicit_tls else stls)(server).quit())
        await server.wait_idle()

    for session in (*server.smtp_sessions, *server.pop3_sessions):
        assert session.channel.bindings["tls-server-end-point"] == server_end_point(expected)
        assert not session.channel.client_names


async def test_the_quirk_and_the_policy_are_those_of_every_session() -> None:
    def converse(server: MailServer) -> tuple[tuple[int, bytes], bytes]:
        with plain_smtp(server) as client:
            reply = client.helo()
        pop3 = plain_pop3(server)
        pop3.quit()
        return reply, pop3.getwelcome()

    async with MailServer(quirk=ARGOSOFT, policy=Policy(hostname="mail.example.org")) as server:
        reply, welcome = await asyncio.to_thread(lambda: converse(server))
        await server.wait_idle()

    assert reply == (250, b"Welcome [127.0.0.1], pleased to meet you")
    assert welcome == b"+OK ArGoSoft Mail Server Freeware, Version 1.8 (1.8.8.8)"
    assert server.smtp_sessions[-1].commands == [b"helo client.example.org", b"QUIT"]
    assert server.pop3_sessions[-1].flights == 1


async def test_without_a_context_there_is_no_tls() -> None:
    def refuse(server: MailServer) -> None:
        with plain_smtp(server) as smtp, pytest.raises(smtplib.SMTPNotSupportedError):
            smtp.starttls(context=client_context())
        pop3 = plain_pop3(server)
        with pytest.raises(poplib.error_proto):
            pop3.stls(client_context())
        pop3.quit()

    async with MailServer([ALICE]) as server:
        await asyncio.to_thread(lambda: refuse(server))


def test_implicit_tls_needs_a_context() -> None:
    with pytest.raises(ValueError, match="implicit TLS needs a tls_context"):
        MailServer(implicit_tls=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"accounts": "alice"}, "expected an Account, got a value of the type str"),
        ({"accounts": ALICE}, "expected accounts, such as"),
        ({"quirk": "gmail"}, r"expected a quirk, such as QUIRKS\[\"gmail\"\], got 'gmail'"),
        ({"policy": {}}, r"expected a policy, such as Policy\(require_auth=True\), got {}"),
        ({"tls_context": True}, r"expected a TLS context of servers, such as server_context\(\), got True"),
        ({"tls_context": client_context()}, "expected a TLS context of servers"),
        ({"lmtp_path": 7}, "expected lmtp_path to be a path, got 7"),
        ({"implicit_tls": "no"}, "expected implicit_tls to be True or False, got 'no'"),
        ({"patient": 1}, "expected patient to be True or False, got 1"),
    ],
)
def test_a_server_of_what_is_none_is_refused(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MailServer(**settings)


def test_the_addresses_of_an_added_account_are_not_one() -> None:
    with pytest.raises(ValueError, match=r"one alone is \[text\], got 'bob@example.org'"):
        MailServer().add_account("bob", "hidden", "bob@example.org")


def test_an_account_can_be_added() -> None:
    server = MailServer([ALICE])

    assert server.add_account("bob", "hidden", addresses=["bob@example.org"]) == BOB
    assert server.maildrop.accounts == (ALICE, BOB)
    assert server.messages("bob") == ()


async def test_it_can_be_left_while_clients_are_there() -> None:
    async with new_server() as server:
        clients = [await asyncio.open_connection(server.host, port) for port in (server.smtp_port, server.pop3_port)]
        for reader, _ in clients:
            assert await reader.read(1024)

    for reader, writer in clients:
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    assert [session.closing for session in (*server.smtp_sessions, *server.pop3_sessions)] == [True, True]


async def test_lmtp_has_a_port_and_a_path(tmp_path: Path) -> None:
    path = tmp_path / "lmtp"
    group = b"MAIL FROM:<>\r\nRCPT TO:<alice@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n"

    async def deliver(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"LHLO client\r\n" + group + b"hello\r\n.\r\nQUIT\r\n")
        replies = await reader.read()
        assert replies.count(b"has it as") == 2
        writer.close()
        await writer.wait_closed()

    async with MailServer([ALICE, BOB], lmtp_path=path) as server:
        await deliver(*await asyncio.open_connection(server.host, server.lmtp_port))
        await deliver(*await asyncio.open_unix_connection(path))
        await server.wait_idle()

    assert [message.content for message in server.messages("bob")] == [b"hello\r\n"] * 2
    assert [session.commands[-1] for session in server.lmtp_sessions] == [b"QUIT", b"QUIT"]


async def test_a_server_that_cannot_listen_everywhere_listens_nowhere(tmp_path: Path) -> None:
    server = MailServer(lmtp_path=str(tmp_path))

    with pytest.raises(OSError, match="in use"):
        await server.start()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.smtp_port))


@pytest.mark.parametrize("patient", [True, False])
async def test_a_patient_server_counts_what_the_client_waits_for(patient: bool) -> None:
    async with MailServer([ALICE, BOB], patient=patient) as server:
        with closing(socket.create_connection((server.host, server.smtp_port))) as client:
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_recv(client, 1000)
            # Not waited for, and not in one packet either.
            for line in (b"EHLO client\r\n", b"MAIL FROM:<>\r\n", b"RCPT TO:<bob@example.org>\r\n"):
                await loop.sock_sendall(client, line)
                await turns(3)
            answers = b""
            while b"Recipient" not in answers:
                answers += await loop.sock_recv(client, 10_000)
        await server.wait_idle()

    assert server.smtp_sessions[0].flights == (1 if patient else 3)


async def test_a_patient_server_is_over_when_its_client_is() -> None:
    others = asyncio.all_tasks()
    async with MailServer(patient=True) as server:
        with closing(socket.create_connection((server.host, server.smtp_port))) as client:
            client.send(b"NOOP\r\n")
        await server.wait_idle()
        assert len(asyncio.all_tasks() - others) == 3  # one for each of its ports


async def test_a_server_at_a_path_may_be_closed_twice_and_leaves_what_is_there_then(tmp_path: Path) -> None:
    path = tmp_path / "lmtp"
    server = MailServer(lmtp_path=str(path))
    await server.start()
    await asyncio.gather(server.close(), server.close())
    assert not path.exists()
    async with MailServer(lmtp_path=str(path)) as other:
        await server.close()
        assert path.exists()
        assert other.lmtp_sessions == []


async def test_a_server_whose_path_is_gone_at_once_leaves_no_socket(tmp_path: Path) -> None:
    # Its listener is closed before it has had a turn of the event loop.
    listener = Listener(lambda _: SMTPServer(Maildrop()), path=str(tmp_path / "lmtp"))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        listener.start()
        (tmp_path / "lmtp").unlink()
        await listener.close()
        del listener
        gc.collect()
    assert [str(each.message) for each in told] == []


@pytest.mark.parametrize("cancelled", ["waiting", "all"])
async def test_who_loses_patience_with_a_client_cuts_nobody(cancelled: str) -> None:
    async with MailServer([ALICE]) as server:
        reader, writer = await asyncio.open_connection(server.host, server.smtp_port)
        await reader.readline()
        waiting = asyncio.create_task(server.wait_idle())
        await drain_events()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        writer.write(b"NOOP\r\n")
        assert await reader.readline() == b"250 2.0.0 Still here\r\n"
        if cancelled == "all":
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await drain_events()
    writer.close()
    await writer.wait_closed()


async def test_where_closing_raises_all_is_closed(tmp_path: Path) -> None:
    def fail() -> str:
        raise KeyError("no nonce")

    path = tmp_path / "lmtp"
    server = MailServer(policy=Policy(apop=True, make_nonce=fail), lmtp_path=path)
    await server.start()
    reader, writer = await asyncio.open_connection(server.host, server.pop3_port)
    assert await reader.read() == b""
    with pytest.raises(KeyError, match="no nonce"):
        await server.close()
    assert not path.exists()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("port", ["smtp_port", "pop3_port"])
@pytest.mark.parametrize("where", ["clear", "patient", "tls"])
@pytest.mark.parametrize("who", ["wait_idle", "close"])
async def test_what_a_policy_raises_in_a_session_ends_that_and_comes_to_who_waits(
    port: str, where: str, who: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> str:
        raise KeyError("no nonce")

    settings: dict[str, Any] = {"tls_context": server_context(), "implicit_tls": True} if where == "tls" else {}
    policy = Policy(mechanisms=("SCRAM-SHA-256",), make_nonce=fail)
    server = MailServer([ALICE], policy=policy, patient=where == "patient", **settings)
    await server.start()
    context = client_context() if where == "tls" else None
    reader, writer = await asyncio.open_connection(server.host, getattr(server, port), ssl=context)
    await reader.readline()
    if port == "smtp_port":
        writer.write(b"EHLO client.example.org\r\n")
        while not (await reader.readline()).startswith(b"250 "):
            pass
    writer.write(b"AUTH SCRAM-SHA-256 biwsbj1hbGljZSxyPWFiYw==\r\n")  # n,,n=alice,r=abc
    with suppress(ConnectionError):
        assert await reader.read() == b""
    with pytest.raises(KeyError, match="no nonce"):
        await getattr(server, who)()
    await server.close()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    assert caplog.messages == []


async def test_a_server_may_be_closed_whose_path_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "lmtp"
    async with MailServer(lmtp_path=str(path)):
        path.unlink()


async def test_a_server_that_is_started_twice_goes_on() -> None:
    async with MailServer([ALICE]) as server:
        with pytest.raises(RuntimeError, match="can be started once"):
            await server.start()
        await asyncio.to_thread(lambda: plain_smtp(server).quit())


def test_a_server_may_be_closed_from_another_event_loop_while_its_own_runs() -> None:
    home = asyncio.new_event_loop()
    server = MailServer()
    home.run_until_complete(server.start())
    for call in (server.close, server.wait_idle):
        with pytest.raises(RuntimeError, match="the event loop in which the server was started does not run any more"):
            asyncio.run(call())
    runs = threading.Event()
    home.call_soon(runs.set)
    thread = threading.Thread(target=home.run_forever)
    thread.start()
    runs.wait()
    try:
        asyncio.run(server.close())
        with pytest.raises(ConnectionRefusedError):
            plain_smtp(server)
    finally:
        home.call_soon_threadsafe(home.stop)
        thread.join()
        home.close()


async def test_mail_in_utf8_is_retrieved_by_who_asks_for_it() -> None:
    message = "Subject: caf\u00e9\r\n\r\nx\r\n".encode()
    async with MailServer([Account("alice", "secret")]) as server:
        server.maildrop.put("alice", message)
        endpoint = Endpoint(
            server.host,
            server.pop3_port,
            "pop3",
            tls="none",
            auth=Password("alice", "secret"),
            allow_cleartext_auth=True,
        )
        with pytest.raises(RetrievalIncomplete) as refused:
            await mailwire.retrieve(endpoint)
        assert [answer.cause for answer in refused.value.refusals.values()] == [RefusalCause.UTF8]
        asking = POP3Settings(utf8=True, language="en")
        assert [item.raw for item in await mailwire.retrieve(endpoint, settings=asking)] == [message]
        async with POP3Client(endpoint) as client:
            assert await client.lang() == {"en": "English", "i-default": "Default Language"}
