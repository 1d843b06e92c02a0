"""Saying: what the client is told, in packets."""

import asyncio
from contextlib import suppress
from typing import Final

from .link import Link
from .script import Endless, Slow, spoken
from .turns import turns

__all__ = ["Saying"]

_PIECE: Final = 16 * 1024


class Saying:
    """All that is said over `link`.

    packet_size: it leaves in packets of so many octets, each read by the client before the next; None: as it comes.
    """

    def __init__(self, link: Link, packet_size: int | None) -> None:
        self.sent: int = 0
        """How many octets were said."""
        self._link = link
        self._packet_size = packet_size

    async def say(self, said: bytes) -> None:
        """Say it. Raises OSError where the client has gone."""
        size = self._packet_size or _PIECE
        for start in range(0, len(said), size):
            piece = said[start : start + size]
            await self._link.send(piece)
            self.sent += len(piece)
            if self._packet_size is not None:
                await turns()

    async def say_pieces(self, step: Endless | Slow) -> None:
        """Say what the step says, at its rate, until that is all or the client has gone."""
        pieces = spoken(step, _PIECE)
        with suppress(OSError):
            await self.say(next(pieces))
            for piece in pieces:
                if isinstance(step, Slow):
                    await asyncio.sleep(1 / step.octets_per_second)
                await self.say(piece)
