"""Work in threads, which nothing can interrupt: who waits for it, waits to its end.

A task that was cancelled would otherwise go on to clean up after work that is still being done.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import ParamSpec, TypeVar

from ..message.threads import begin_in_thread

__all__ = ["in_thread"]

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(executor: Executor | None, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `function` returns, called in a thread of `executor` (None: one of the event loop's).

    A cancellation is raised once the call has ended, and what it returned or raised is then dropped. A StopIteration is
    raised as a RuntimeError, as out of a coroutine: whoever waits for a future that has one, would wait for ever.
    Raises OSError where there is no thread for it.
    """

    def call() -> T:
        try:
            return function(*args, **kwargs)
        except StopIteration as error:
            raise RuntimeError(f"{error!r} was raised, which no coroutine can raise") from error

    work = begin_in_thread(call, executor)
    cancellation: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        work.exception()  # looked at: an error that nobody can be told is no news at the end of the program either
        raise cancellation
    return work.result()
