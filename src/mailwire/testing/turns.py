"""Turns of the event loop: how a test lets happen what is bound to happen, without waiting for a time to pass."""

import asyncio
from typing import Final

__all__ = ["drain_events", "turns"]

# Nothing that one impulse sets off, over sockets of this machine, takes half as many turns.
_MANY: Final = 50


async def turns(count: int = 2) -> None:
    """Let the event loop go round `count` times.

    After two turns, what was written to a socket of this machine has arrived at the other end, if a protocol of the
    same loop is there.
    """
    for _ in range(count):
        await asyncio.sleep(0)


async def drain_events() -> None:
    """Let the event loop go round until all has happened that can happen without a new impulse."""
    await turns(_MANY)
