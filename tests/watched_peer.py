"""Servers whose dialogue is watched: a scripted peer, and one at the end of a pair of streams."""

import asyncio
import socket
from collections.abc import Iterable
from typing import Any, SupportsIndex

from mailwire.testing import Beneath, ScriptedPeer, Step
from mailwire.testing.hearing import Hearing
from mailwire.testing.link import Link
from mailwire.testing.play import Play
from mailwire.testing.saying import Saying
from tests.window import WatchedDialogue

__all__ = ["WatchedPeer", "open_watched"]


class WatchedPeer(ScriptedPeer):
    """The same, where `dialogue` is told of all that passes, deciphered, and judges it."""

    def __init__(self, dialogue: WatchedDialogue, *script: Step, **settings: Any) -> None:
        super().__init__(*script, **settings)
        self._dialogue = dialogue

    def _make_play(self, end: socket.socket) -> Play:
        link = _WatchedLink(end, self.wire, self._dialogue)
        hearing, saying = Hearing(link, self.heard), Saying(link, self._packet_size)
        over, going_on = self._over, self._going_on
        play = _WatchedPlay(self._script, hearing, saying, over=over, going_on=going_on, is_lenient=self._is_lenient)
        play.dialogue = self._dialogue
        return play


class _WatchedPlay(Play):
    dialogue: WatchedDialogue

    async def _take(self, step: Step) -> None:
        if isinstance(step, Beneath) and not self._link.is_encrypted:
            await self._say_now()
            self.dialogue.say(step.octets)
        await super()._take(step)


class _WatchedLink(Link):
    def __init__(self, end: socket.socket, wire: bytearray, dialogue: WatchedDialogue) -> None:
        super().__init__(end, wire)
        self._dialogue = dialogue

    async def receive(self) -> bytes:
        data = await super().receive()
        self._dialogue.hear(data)
        return data

    async def send(self, data: bytes) -> None:
        # The client may go on before this returns.
        self._dialogue.say(data)
        await super().send(data)


async def open_watched(
    end: socket.socket, dialogue: WatchedDialogue
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return streams over a server's `end` of a connection. What the `dialogue` finds is its `fault`."""
    loop = asyncio.get_running_loop()
    reader = _WatchedReader(dialogue)
    transport, protocol = await loop.create_connection(lambda: asyncio.StreamReaderProtocol(reader), sock=end)
    return reader, _WatchedWriter(transport, protocol, reader, dialogue)


class _WatchedReader(asyncio.StreamReader):
    def __init__(self, dialogue: WatchedDialogue) -> None:
        super().__init__()
        self._dialogue = dialogue

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        # When it comes, and not when it is read: the server may take its time.
        octets = bytes(data)
        self._dialogue.hear(octets)
        super().feed_data(octets)


class _WatchedWriter(asyncio.StreamWriter):
    def __init__(
        self,
        transport: asyncio.WriteTransport,
        protocol: asyncio.BaseProtocol,
        reader: asyncio.StreamReader,
        dialogue: WatchedDialogue,
    ) -> None:
        super().__init__(transport, protocol, reader, asyncio.get_running_loop())
        self._dialogue = dialogue

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._dialogue.say(bytes(data))
        super().write(data)
