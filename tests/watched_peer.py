"""WatchedPeer: a scripted peer whose dialogue is watched."""

import socket
from typing import Any

from mailwire.testing import Beneath, ScriptedPeer, Step
from mailwire.testing.hearing import Hearing
from mailwire.testing.link import Link
from mailwire.testing.saying import Saying
from tests.window import WatchedDialogue

__all__ = ["WatchedPeer"]


class WatchedPeer(ScriptedPeer):
    """The same, where `dialogue` is told of all that passes, deciphered, and judges it."""

    def __init__(self, dialogue: WatchedDialogue, *script: Step, **settings: Any) -> None:
        super().__init__(*script, **settings)
        self._dialogue = dialogue

    def _begin(self, end: socket.socket) -> None:
        super()._begin(end)
        link = _WatchedLink(end, self.wire, self._dialogue)
        self._client, self._saying = Hearing(link, self.heard), Saying(link, self._packet_size)

    async def _take(self, step: Step) -> None:
        if isinstance(step, Beneath) and not self._link.is_encrypted:
            await self._say_now()
            self._dialogue.say(step.octets)
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
