"""Where the system has no thread left, what needs one fails by an error of ours, and nothing else does."""

import asyncio
import io
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from mailwire import ConnectionFailed, Delivery, Endpoint, Password, POP3Client, SMTPClient, SourceFailed
from mailwire.errors import LedgerError, SinkFailed
from mailwire.maildrop import Account as MaildropAccount
from mailwire.maildrop import Maildir, MemoryLedger, SQLiteLedger, retrieve_into
from mailwire.message.threads import begin_in_thread
from mailwire.sasl.scram import WORK_ITERATIONS
from mailwire.testing import Account, MailServer
from mailwire.testing.policy import DEFAULTS
from mailwire.testing.turns import drain_events
from tests.aio.pools import ACCOUNTS, ENVELOPE, endpoint_of, numbered
from tests.aio.runs import collect


class NoThreads(ThreadPoolExecutor):
    """One that the system gives no thread."""

    def submit(self, *_: Any, **__: Any) -> Any:
        """Raise what `threading` does then."""
        raise RuntimeError("can't start new thread")


def without_threads() -> None:
    """Let the event loop have none from here on."""
    asyncio.get_running_loop().set_default_executor(NoThreads(1))


def in_a_file(folder: Path) -> Path:
    """Return a message in a file of this `folder`."""
    path = folder / "message.eml"
    path.write_bytes(numbered(0))
    return path


def to_many(_: Path) -> EmailMessage:
    """Return a message with more recipients than are read at once."""
    message = EmailMessage()
    message["From"] = "a@example.org"
    message["To"] = ", ".join(f"b{number}@example.org" for number in range(5_000))
    return message


def large(_: Path) -> bytes:
    """Return a message that is looked at in a thread."""
    return numbered(0) + b"hello\r\n" * 1_500_000


class Unseekable(io.BytesIO):
    """A file that can be read but once, as a pipe can."""

    def seekable(self) -> bool:
        """Return that."""
        return False


SOURCES = pytest.mark.parametrize("source", [in_a_file, to_many, large])


@SOURCES
async def test_a_message_that_cannot_be_read_was_not_sent(source: Any, tmp_path: Path) -> None:
    message = source(tmp_path)
    to = {} if isinstance(message, EmailMessage) else ENVELOPE
    async with MailServer(ACCOUNTS) as server, SMTPClient(endpoint_of(server)) as client:
        without_threads()
        with pytest.raises(SourceFailed, match=r"there is no thread: can't start new thread$") as caught:
            await client.send(message, **to)
        assert caught.value.delivery is Delivery.NOT_SENT
        assert (await client.send(numbered(1), **ENVELOPE)).delivery is Delivery.ACCEPTED
        assert [sent.content for sent in server.messages("b")] == [numbered(1)]


@pytest.mark.parametrize("source", [in_a_file, large])
async def test_the_others_of_a_run_are_sent(source: Any, tmp_path: Path) -> None:
    messages = [numbered(1), source(tmp_path), numbered(2)]
    async with MailServer(ACCOUNTS) as server, SMTPClient(endpoint_of(server)) as client:
        without_threads()
        results = await collect(client.send_all(messages, **ENVELOPE, order="input"))
        assert [sent.content for sent in server.messages("b")] == [numbered(1), numbered(2)]
    accepted, not_sent = Delivery.ACCEPTED, Delivery.NOT_SENT
    assert [result.delivery for result in results] == [accepted, not_sent, accepted]
    assert isinstance(results[1].error, SourceFailed)


async def test_a_host_that_cannot_be_looked_up_is_not_connected_to() -> None:
    without_threads()
    with pytest.raises(ConnectionFailed, match=r"mx.example.org cannot be looked up: can't"):
        await SMTPClient("smtp://mx.example.org").connect()


async def test_what_there_was_no_thread_for_is_not_done_later() -> None:
    class Full(ThreadPoolExecutor):
        """One whose thread is at work, and that cannot have another: what it has refused, it has taken down before."""

        def submit(self, *call: Any, **named: Any) -> Any:
            super().submit(*call, **named)
            raise RuntimeError("can't start new thread")

    executor, done = Full(1), threading.Event()
    ThreadPoolExecutor.submit(executor, done.wait)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(executor)
    file = Unseekable(numbered(0))
    async with MailServer(ACCOUNTS) as server, SMTPClient(endpoint_of(server)) as client:
        with pytest.raises(SourceFailed, match="there is no thread"):
            await client.send(file, **ENVELOPE)
        done.set()
        executor.shutdown()  # behind all that it has taken down
        loop.set_default_executor(ThreadPoolExecutor(1))
        await client.connect()
        assert (await client.send(file, **ENVELOPE)).delivery is Delivery.ACCEPTED
        assert [sent.content for sent in server.messages("b")] == [numbered(0)]


@pytest.mark.parametrize("result", [5, OSError("no")])
async def test_what_a_thread_has_begun_all_the_same_is_waited_for(result: object) -> None:
    class Late(ThreadPoolExecutor):
        """One that says too late that it has no other thread."""

        def submit(self, *call: Any, **named: Any) -> Any:
            super().submit(*call, **named)
            assert begun.wait(30)
            raise RuntimeError("can't start new thread")

    def call() -> object:
        begun.set()
        if isinstance(result, OSError):
            raise result
        return result

    begun = threading.Event()
    with Late(1) as executor:
        working = begin_in_thread(call, executor)
        await asyncio.wait([working])
    assert working.exception() is result if isinstance(result, OSError) else working.result() == result


async def test_an_error_of_a_thread_does_not_keep_itself() -> None:
    def fail() -> None:
        error = SourceFailed("no")
        known.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    known: list[weakref.ref[SourceFailed]] = []
    with ThreadPoolExecutor(1) as executor:
        working = begin_in_thread(fail, executor)
        await asyncio.wait([working])
        assert isinstance(working.exception(), SourceFailed)
        del working
        await drain_events()
    assert known[0]() is None


@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
async def test_a_login_that_takes_long_is_made_without_a_thread(protocol: Any) -> None:
    policy = replace(DEFAULTS, mechanisms=("SCRAM-SHA-256",), scram_iterations=WORK_ITERATIONS + 1)
    accounts = [Account("b", "secret", ("b@example.org",))]
    async with MailServer(accounts, policy=policy) as server:
        port = server.smtp_port if protocol == "smtp" else server.pop3_port
        auth = Password("b", "secret")
        kind = SMTPClient if protocol == "smtp" else POP3Client
        client = kind(Endpoint("127.0.0.1", port, protocol=protocol, tls="none", auth=auth))
        without_threads()
        async with client:
            assert client.mechanism == "SCRAM-SHA-256"


async def test_a_run_over_a_maildrop_ends_by_an_error_of_ours(tmp_path: Path) -> None:
    async with MailServer([Account("b", "secret", ("b@example.org",))]) as server:
        async with SMTPClient(endpoint_of(server)) as client:
            for number in range(2):
                await client.send(numbered(number), **ENVELOPE)
        place = Endpoint("127.0.0.1", server.pop3_port, protocol="pop3", tls="none")
        endpoint = place.replace(auth=Password("b", "secret"), allow_cleartext_auth=True)
        without_threads()
        with pytest.raises(SinkFailed, match="message 1 could not be stored: OSError: there is no thread: can't start"):
            await retrieve_into(MaildropAccount(endpoint, Maildir(tmp_path / "Maildir")), MemoryLedger())


async def test_a_ledger_without_a_thread_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailwire.maildrop.sqlite_ledger.ThreadPoolExecutor", NoThreads)
    ledger = SQLiteLedger(tmp_path / "ledger")
    with pytest.raises(LedgerError, match=r"ledger cannot be used: there is no thread: can't start new thread$"):
        async with ledger, ledger.claim("b@pop.example.org"):
            raise AssertionError("it cannot be had")
