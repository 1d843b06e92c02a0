"""The programs of docs/examples drive the machines over what their names say, each in fewer than 60 lines."""

import asyncio
import importlib
import runpy
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import mailwire
from mailwire import Password, smtp
from mailwire.testing import (
    Account,
    HungUp,
    MailServer,
    POP3Quirk,
    Quirk,
    client_context,
    server_context,
)
from tests.integration.conftest import demand_libraries

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
ACCOUNTS = [Account("a", "secret", ("a@example.org",)), Account("b", "secret", ("b@example.org",))]
MAIL = [b"Subject: Hello\r\n\r\n", b".Hello\r\n" * 30_000]


def function(name: str, of: str) -> Any:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))[of]


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with MailServer(ACCOUNTS, tls_context=server_context()) as server:
        yield server


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_has_fewer_than_sixty_lines(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) < 60


async def test_a_mail_goes_out_over_a_blocking_socket(server: MailServer) -> None:
    send = function("smtp_blocking", "send")
    where = ("localhost", server.smtp_port, Password("a", "secret"), MAIL)
    path = ("a@example.org", "b@example.org", "nobody@example.org")
    assert await asyncio.to_thread(partial(send, *where, *path, tls=client_context())) == "accepted"
    (stored,) = server.messages("b")
    assert stored.content == b"".join(MAIL)


async def test_mail_comes_in_over_a_blocking_socket(server: MailServer) -> None:
    messages = [b"Subject: %d\r\n\r\n.dot\r\n" % number for number in range(30)]
    for message in messages:
        server.maildrop.put("b", message)
    retrieve = function("pop3_blocking", "retrieve")

    def run() -> list[bytes]:
        found: Iterator[bytes] = retrieve("localhost", server.pop3_port, "b", "secret", tls=client_context())
        return list(found)

    assert await asyncio.to_thread(run) == messages


async def test_a_refusal_ends_a_blocking_session(server: MailServer) -> None:
    send = function("smtp_blocking", "send")
    where = ("localhost", server.smtp_port, Password("a", "wrong"), MAIL)
    with pytest.raises(ConnectionError, match="AUTH PLAIN"):
        await asyncio.to_thread(partial(send, *where, "a@example.org", "b@example.org", tls=client_context()))


async def test_a_mail_goes_out_with_trio(server: MailServer) -> None:
    demand_libraries("trio")
    trio = importlib.import_module("trio")

    send = function("smtp_trio", "send")

    async def blocks() -> AsyncIterator[bytes]:
        for block in MAIL:
            yield block

    async def main() -> str:
        where = ("localhost", server.smtp_port, Password("a", "secret"), blocks())
        delivery: str = await send(*where, "a@example.org", "b@example.org", tls=client_context())
        return delivery

    assert await asyncio.to_thread(trio.run, main) == "accepted"
    (stored,) = server.messages("b")
    assert stored.content == b"".join(MAIL)


@pytest.mark.parametrize("library", ["blocking", "trio"])
@pytest.mark.parametrize(
    ("mishap", "word"), [(HungUp("DATA"), "not sent"), (HungUp("."), "unknown"), (HungUp("QUIT"), "accepted")]
)
async def test_a_connection_that_is_lost_leaves_the_word(
    server: MailServer, library: str, mishap: HungUp, word: str
) -> None:
    if library == "trio":
        demand_libraries("trio")  # the example begins by importing it
    server.inject(mishap)
    where, path = ("localhost", server.smtp_port, Password("a", "secret")), ("a@example.org", "b@example.org")
    send = function(f"smtp_{library}", "send")
    if library == "trio":
        run = importlib.import_module("trio").run

        async def blocks() -> AsyncIterator[bytes]:
            for block in MAIL:
                yield block

        sending = partial(run, partial(send, *where, blocks(), *path, tls=client_context()))
    else:
        sending = partial(send, *where, MAIL, *path, tls=client_context())
    assert await asyncio.to_thread(sending) == word
    assert len(server.messages("b")) == (word != "not sent")


async def test_mail_comes_in_with_trio(server: MailServer) -> None:
    demand_libraries("trio")
    trio = importlib.import_module("trio")

    messages = [b"Subject: %d\r\n\r\n.dot\r\n" % number for number in range(30)]
    for message in messages:
        server.maildrop.put("b", message)
    retrieve = function("pop3_trio", "retrieve")

    async def main() -> list[bytes]:
        found: list[bytes] = await retrieve("localhost", server.pop3_port, "b", "secret", tls=client_context())
        return found

    assert await asyncio.to_thread(trio.run, main) == messages


# What a server says up to the message, behind STARTTLS: an answer to each command.
UP_TO_THE_MESSAGE = (b"250-hi\r\n250 AUTH PLAIN\r\n", b"235 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go on\r\n")


@pytest.mark.parametrize("reads_on", [False, True], ids=["no reading", "no answer"])
def test_a_mail_with_trio_is_not_held_up_for_ever_by_a_server_that_stands_still(
    monkeypatch: pytest.MonkeyPatch, reads_on: bool
) -> None:
    demand_libraries("trio")
    trio, testing = importlib.import_module("trio"), importlib.import_module("trio.testing")
    client, server = testing.memory_stream_pair()
    refusing = trio.Event()

    async def connected(*_: object) -> Any:
        return client

    async def buffers_are_full() -> None:
        refusing.set()
        await trio.sleep_forever()

    async def serve() -> None:
        await server.send_all(b"220 hi\r\n")
        for answer in (b"250-hi\r\n250 STARTTLS\r\n", b"220 go on\r\n"):
            await server.receive_some()
            await server.send_all(answer)
        stream = trio.SSLStream(server, server_context(), server_side=True, https_compatible=True)
        for answer in UP_TO_THE_MESSAGE:
            await stream.receive_some()
            if answer.startswith(b"354") and not reads_on:
                client.send_stream.send_all_hook = buffers_are_full
            await stream.send_all(answer)
        if reads_on:
            while await stream.receive_some():
                pass
        await refusing.wait()
        await stream.send_all(b"552 5.3.4 too big\r\n")

    async def blocks() -> AsyncIterator[bytes]:
        for block in MAIL:
            yield block

    async def main() -> str:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            where = ("localhost", 25, Password("a", "secret"), blocks())
            delivery: str = "held up"
            with trio.move_on_after(3600):
                delivery = await function("smtp_trio", "send")(
                    *where, "a@example.org", "b@example.org", tls=client_context()
                )
            nursery.cancel_scope.cancel()
        return delivery

    monkeypatch.setattr(trio, "open_tcp_stream", connected)
    # Where everybody waits, its time passes at once. The whole message was handed out to be written.
    assert trio.run(main, clock=testing.MockClock(autojump_threshold=0)) == "unknown"


@pytest.mark.parametrize("name", ["smtp_trio", "pop3_trio"])
@pytest.mark.parametrize("greets", [False, True], ids=["silence", "silence in the handshake"])
def test_a_program_with_trio_waits_a_minute_for_a_silent_server(
    monkeypatch: pytest.MonkeyPatch, name: str, greets: bool
) -> None:
    demand_libraries("trio")
    trio, testing = importlib.import_module("trio"), importlib.import_module("trio.testing")
    client, server = testing.memory_stream_pair()
    if name == "smtp_trio":
        run = partial(function(name, "send"), "localhost", 25, Password("a", "secret"), None, "a@example.org")
        answers = [b"220 hi\r\n", b"250-hi\r\n250 STARTTLS\r\n", b"220 go on\r\n"]
    else:
        run = partial(function(name, "retrieve"), "localhost", 110, "b", "secret")
        answers = [b"+OK hi\r\n", b"+OK go on\r\n"]

    async def connected(*_: object) -> Any:
        return client

    async def serve() -> None:
        for answer in answers if greets else ():
            await server.send_all(answer)
            await server.receive_some()

    async def main() -> float:
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            with trio.move_on_after(3600), pytest.raises(trio.TooSlowError):
                await run(tls=client_context())
        return float(trio.current_time() - began)

    monkeypatch.setattr(trio, "open_tcp_stream", connected)
    assert trio.run(main, clock=testing.MockClock(autojump_threshold=0)) == pytest.approx(60)


@pytest.mark.parametrize("library", ["blocking", "trio"])
async def test_mail_comes_in_from_a_server_without_capabilities(library: str) -> None:
    quirk = Quirk("without CAPA", pop3=POP3Quirk(unknown_commands=frozenset({"CAPA"})))
    async with MailServer(ACCOUNTS, tls_context=server_context(), quirk=quirk) as server:
        server.maildrop.put("b", b"Subject: 1\r\n\r\n")
        server.maildrop.put("b", b"Subject: 2\r\n\r\n")
        where = ("localhost", server.pop3_port, "b", "secret")
        if library == "trio":
            demand_libraries("trio")  # the example begins by importing it
            run = importlib.import_module("trio").run
            retrieving = partial(run, partial(function("pop3_trio", "retrieve"), *where, tls=client_context()))
        else:
            retrieving = partial(list, function("pop3_blocking", "retrieve")(*where, tls=client_context()))
        assert await asyncio.to_thread(retrieving) == [b"Subject: 1\r\n\r\n", b"Subject: 2\r\n\r\n"]
        (session,) = server.pop3_sessions
        assert b"CAPA" in session.commands


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
async def test_a_mail_goes_out_by_an_adapter_for_anyio(server: MailServer, backend: str) -> None:
    demand_libraries("anyio", "trio")
    anyio = importlib.import_module("anyio")
    example = runpy.run_path(str(EXAMPLES / "adapter_anyio.py"))

    async def main() -> str:
        async with await anyio.connect_tcp("localhost", server.smtp_port) as stream:
            link = example["AnyioLink"](stream, "localhost", client_context())
            session = example["Session"](smtp.Connection(), link)
            await session.next_event()
            for command in (smtp.Ehlo("client.example.org"), smtp.StartTls()):
                session.machine.send(command)
                await session.next_event()
            await link.start_tls()
            session.machine.tls_established(is_verified=True)
            session.machine.send(smtp.Ehlo("client.example.org"))
            await session.next_event()
            path = smtp.Mailbox.parse("a@example.org"), [smtp.Mailbox.parse("b@example.org")]
            transaction = smtp.Transaction(session.machine, *path)
            blocks = iter(MAIL)
            while not transaction.finished:
                while transaction.wants_data:
                    block = next(blocks, None)
                    transaction.end_data() if block is None else transaction.send_data(block)
                transaction.receive(await session.next_event())
            return transaction.receipt().delivery.value

    assert await asyncio.to_thread(partial(anyio.run, main, backend=backend)) == "accepted"
    (stored,) = server.messages("b")
    assert stored.content == b"".join(MAIL)


async def test_an_adapter_for_anyio_waits_no_longer_than_it_was_told(server: MailServer) -> None:
    demand_libraries("anyio")
    anyio = importlib.import_module("anyio")
    example = runpy.run_path(str(EXAMPLES / "adapter_anyio.py"))
    async with await anyio.connect_tcp("localhost", server.smtp_port) as stream:
        link = example["AnyioLink"](stream, "localhost", client_context(), 30)
        session = example["Session"](smtp.Connection(), link)
        assert (await session.next_event()).reply.code == 220
        link.patience = 0
        with pytest.raises(TimeoutError):  # nothing was asked, and nothing comes
            await session.next_event()
        link.patience = 30
        await server.close()
        session.machine.send(smtp.Ehlo("client.example.org"))
        with pytest.raises(mailwire.ConnectionLost):
            await session.next_event()


SMTP_SERVER = (
    b"220 mail.example.org\r\n",
    b"250-mail.example.org\r\n250 PIPELINING\r\n",
    b"250 ok\r\n250 ok\r\n550 no such user\r\n354 go ahead\r\n",
    b"250 2.0.0 queued\r\n",
)
SMTP_CLIENT = (
    b"EHLO client.example.org\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<c@example.org>\r\n"
    b"DATA\r\nSubject: Hello\r\n\r\n..\r\n.\r\n"
)
POP3_SERVER = (
    b"+OK\r\n",
    b"+OK\r\n",
    b"+OK\r\n",
    b"+OK\r\n1 20\r\n2 20\r\n.\r\n",
    b"+OK\r\nSubject: 1\r\n\r\n..\r\n.\r\n",
    b"+OK\r\nSubject: 2\r\n\r\ncut o",
)


def cut(pieces: tuple[bytes, ...], *, by_octet: bool) -> list[bytes]:
    return [piece[at : at + 1] for piece in pieces for at in range(len(piece))] if by_octet else list(pieces)


@pytest.mark.parametrize("by_octet", [False, True])
def test_a_mail_goes_out_to_a_list_of_bytes(by_octet: bool) -> None:
    send = function("smtp_bytes", "send")
    mail = [b"Subject: Hello\r\n\r\n", b".\r\n"]
    said, receipt = send(cut(SMTP_SERVER, by_octet=by_octet), mail, "a@example.org", "b@example.org", "c@example.org")
    assert said == SMTP_CLIENT
    assert receipt.delivery is mailwire.Delivery.ACCEPTED
    assert receipt.accepted == ("b@example.org",)


def test_a_list_of_bytes_that_ends_too_soon_leaves_doubt() -> None:
    send = function("smtp_bytes", "send")
    _, receipt = send(SMTP_SERVER[:3], [b"Subject: Hello\r\n\r\n"], "a@example.org", "b@example.org", "c@example.org")
    assert receipt.delivery is mailwire.Delivery.UNKNOWN
    with pytest.raises(EOFError):
        send(SMTP_SERVER[:1], [b"Subject: Hello\r\n\r\n"], "a@example.org", "b@example.org")


@pytest.mark.parametrize("by_octet", [False, True])
def test_mail_comes_in_from_a_list_of_bytes(by_octet: bool) -> None:
    said, messages = function("pop3_bytes", "retrieve")(cut(POP3_SERVER, by_octet=by_octet), "b", "secret")
    assert said == b"USER b\r\nPASS secret\r\nLIST\r\nRETR 1\r\nRETR 2\r\n"
    assert messages == [b"Subject: 1\r\n\r\n.\r\n"]
