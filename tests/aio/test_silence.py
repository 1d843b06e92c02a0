"""What a server says though it was asked nothing: it answers nothing that is asked later, wherever it is found."""

import asyncio
from typing import Any

import pytest

from mailwire import Delivery, Endpoint, MailwireError, RemoteProtocolError, ServiceNotAvailable, SMTPClient
from mailwire.aio.consignment import Consignment
from mailwire.testing import LISTEN, WAIT, ScriptedPeer
from mailwire.testing.turns import drain_events, turns
from tests.aio.dialogues import MESSAGE, extensions

ENVELOPE: dict[str, Any] = {"sender": "a@example.org", "recipients": "b@example.org"}


class Chatterer:
    """A server that takes one mail, and refuses the message of every other; `say` sends something in between.

    behind_verdict: what leaves with the answer to the first message.
    keywords: what it offers.
    """

    def __init__(self, behind_verdict: bytes = b"", keywords: tuple[bytes, ...] = (b"PIPELINING", b"CHUNKING")) -> None:
        self._keywords = keywords
        self.commands: list[bytes] = []
        self._verdicts = [b"250 taken\r\n" + behind_verdict]
        self.writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Endpoint:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return Endpoint("127.0.0.1", port, tls="none", local_hostname="c.example.org")

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self.writers:
            writer.transport.abort()
        await drain_events()

    def say(self, words: bytes) -> None:
        """What leaves at once: it is there before the event loop turns again."""
        self.writers[0].write(words)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        writer.write(b"220 mx\r\n")
        while line := await reader.readline():
            self.commands.append(line)
            verb = line.split()[0]
            if verb == b"EHLO":
                lines = [b"250-%b\r\n" % keyword for keyword in (b"mx", *self._keywords)]
                writer.write(b"".join(lines) + b"250 HELP\r\n")
            elif verb == b"DATA":
                writer.write(b"354 go\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(self._verdict())
            elif verb == b"BDAT":
                await reader.readexactly(int(line.split()[1]))
                writer.write(self._verdict())
            else:
                writer.write(b"250 ok\r\n")

    def _verdict(self) -> bytes:
        return self._verdicts.pop() if self._verdicts else b"554 no\r\n"


WORDS = pytest.mark.parametrize(
    ("words", "error"),
    [(b"250 stray\r\n", RemoteProtocolError), (b"25", RemoteProtocolError), (b"421 enough\r\n", ServiceNotAvailable)],
)


@WORDS
@pytest.mark.parametrize("use_chunking", [False, True])
async def test_what_has_come_and_was_not_read_answers_nothing(words: bytes, error: Any, use_chunking: bool) -> None:
    server = Chatterer()
    async with server as endpoint:
        client = SMTPClient(endpoint)
        await client.connect()
        assert (await client.send(MESSAGE, **ENVELOPE, use_chunking=use_chunking)).delivery is Delivery.ACCEPTED
        server.say(words)
        with pytest.raises(MailwireError) as caught:
            await client.send(MESSAGE, **ENVELOPE, use_chunking=use_chunking)
        assert isinstance(caught.value, error)
        assert caught.value.delivery is Delivery.NOT_SENT
        assert not client.is_connected
        await drain_events()
        assert sum(command.startswith(b"MAIL") for command in server.commands) == 1


@WORDS
async def test_what_comes_behind_a_verdict_answers_nothing(words: bytes, error: Any) -> None:
    server = Chatterer(behind_verdict=words)
    async with server as endpoint:
        client = SMTPClient(endpoint)
        await client.connect()
        assert (await client.send(MESSAGE, **ENVELOPE)).delivery is Delivery.ACCEPTED
        with pytest.raises(MailwireError) as caught:
            await client.send(MESSAGE, **ENVELOPE)
        assert isinstance(caught.value, error)
        assert caught.value.delivery is Delivery.NOT_SENT
        assert not client.is_connected


@pytest.mark.parametrize("words", ["S: 250 stray", "S: 421 enough"])
@pytest.mark.parametrize("keywords", [("PIPELINING",), ("CHUNKING",), ("PIPELINING", "CHUNKING")])
async def test_what_the_loop_has_not_read_is_read_before_a_mail_begins(words: str, keywords: tuple[str, ...]) -> None:
    async with ScriptedPeer(*extensions(*keywords), WAIT, words, LISTEN) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        said = peer.sent
        peer.go_on()
        while peer.sent == said:
            await turns(1)
        # It is on the wire, and this task has its turn before the loop looks.
        with pytest.raises(MailwireError) as caught:
            await client.send(MESSAGE, **ENVELOPE)
        assert caught.value.delivery is Delivery.NOT_SENT
        assert not client.is_connected
        assert peer.commands == ["EHLO [127.0.0.1]"]


@pytest.mark.parametrize("use_chunking", [False, True, "eager"])
async def test_a_run_that_was_not_gone_on_with_hears_what_has_come_meanwhile(use_chunking: Any) -> None:
    server = Chatterer()
    async with server as endpoint:
        client = SMTPClient(endpoint)
        await client.connect()
        run = client.send_all([MESSAGE] * 2, **ENVELOPE, use_chunking=use_chunking, look_ahead=1)
        assert (await anext(run)).delivery is Delivery.ACCEPTED
        server.say(b"250 stray\r\n")
        # The second mail goes over another connection, and is refused there.
        assert (await anext(run)).delivery is Delivery.REFUSED
        assert len(server.writers) == 2
        client.abort()


async def test_what_comes_while_a_verdict_is_taken_down_is_heard_before_the_next_mail_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Chatterer(keywords=())
    finish = Consignment.finish

    def finish_and_hear(self: Consignment, *result: Any) -> None:
        if len(server.writers) == 1:
            server.say(b"250 stray\r\n")
        finish(self, *result)

    monkeypatch.setattr(Consignment, "finish", finish_and_hear)
    async with server as endpoint, SMTPClient(endpoint) as client:
        results = [result.delivery async for result in client.send_all([MESSAGE] * 3, **ENVELOPE)]
    # The others go over another connection, and are refused there.
    assert results == [Delivery.ACCEPTED, Delivery.REFUSED, Delivery.REFUSED]
    begun = [line[:4] for line in server.commands if line.startswith((b"MAIL", b"QUIT"))]
    assert begun == [b"MAIL", b"MAIL", b"MAIL", b"QUIT"]
    assert len(server.writers) == 2
