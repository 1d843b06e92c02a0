"""Where the system has no thread left, what needs one fails by an error of ours, and nothing else does."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from mailwire import ConnectionFailed, Delivery, SMTPClient, SourceFailed
from mailwire.testing import MailServer
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


SOURCES = pytest.mark.parametrize("source", [in_a_file, to_many, large])


@SOURCES
async def test_a_message_that_cannot_be_read_was_not_sent(source: Any, tmp_path: Path) -> None:
    message = source(tmp_path)
    to = {} if isinstance(message, EmailMessage) else ENVELOPE
    async with MailServer(ACCOUNTS) as server, SMTPClient(endpoint_of(server)) as client:
        without_threads()
        with pytest.raises(SourceFailed, match=r"there is no thread to read it in: can't start new thread$") as caught:
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
    with pytest.raises(
        ConnectionFailed, match=r"mx.example.org cannot be looked up, for which a thread is needed: can't"
    ):
        await SMTPClient("smtp://mx.example.org").connect()
