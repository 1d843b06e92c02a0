"""Signals: what ends a command before its time, and leaves it the time to tell what it has done."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

__all__ = ["run"]

_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")  # the last not on Windows


def run(command: Coroutine[Any, Any, int]) -> int:
    """Run `command` in an event loop and return its status, or the one that stands for the signal that has ended it.

    SIGINT, SIGTERM and SIGHUP cancel it, once; a second one is not asked for, since nothing waits long after a
    cancellation. One that is ignored stays ignored: nohup, or a shell that has started a job in the background, wants
    it so.
    """
    return asyncio.run(_until_signal(command))


async def _until_signal(command: Coroutine[Any, Any, int]) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(command)
    received: list[int] = []

    def receive(number: int) -> None:
        received.append(number)
        task.cancel()

    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    for number in heeded:
        with suppress(NotImplementedError):  # on Windows, where asyncio makes a cancellation of the first by itself
            loop.add_signal_handler(number, receive, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not received:
            raise
        return 128 + received[0]
    finally:
        for number in heeded:
            with suppress(NotImplementedError):
                loop.remove_signal_handler(number)
