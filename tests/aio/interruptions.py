"""How a call is interrupted: what is done to its task, in the middle of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from mailwire import DeadlineExceeded
from mailwire.testing.turns import turns
from tests.clock import Clock
from tests.loops import skip_unless_movable

__all__ = ["INTERRUPTIONS", "SERVING", "Interrupt", "end_interrupted", "skip_without_clock"]

SERVING = "serving"
"""The name of a task that is not the client's."""

Interrupt: TypeAlias = Callable[[asyncio.Task[object], Any], Awaitable[None]]


async def cancel(task: asyncio.Task[object], _: Any) -> None:
    task.cancel()


async def cancel_twice(task: asyncio.Task[object], _: Any) -> None:
    task.cancel()
    await turns(1)
    task.cancel()


async def cancel_and_close(task: asyncio.Task[object], client: Any) -> None:
    task.cancel()
    await client.quit()


async def run_out_of_time(_: asyncio.Task[object], __: Any) -> None:
    await Clock().advance(100_000)


def skip_without_clock(interrupt: Interrupt) -> None:
    """Skip the test before anything has begun, if it is to run out of time where the clock is not ours to move."""
    if interrupt is run_out_of_time:
        skip_unless_movable()


INTERRUPTIONS = pytest.mark.parametrize("interrupt", [cancel, cancel_twice, cancel_and_close, run_out_of_time])
"""For each of them a test of its own."""


async def end_interrupted(
    flow: Awaitable[object], client: Any, count: int, interrupt: Interrupt
) -> BaseException | None:
    """Interrupt `flow`, which uses `client`, after so many turns of the event loop.

    Returns what came out of it; None if it was faster.
    """
    others = asyncio.all_tasks()
    task = asyncio.ensure_future(flow)
    await turns(count)
    finished = task.done()
    if not finished:
        await interrupt(task, client)
    await asyncio.wait([task], timeout=20)
    assert task.done(), "it goes on for ever"
    outcome = asyncio.CancelledError() if task.cancelled() else task.exception()
    if finished:
        assert outcome is None
    elif interrupt is not run_out_of_time:
        assert isinstance(outcome, asyncio.CancelledError), f"the cancellation was swallowed: {outcome!r}"
    else:
        assert outcome is None or isinstance(outcome, DeadlineExceeded), repr(outcome)
    await turns(3)
    ours = {left for left in asyncio.all_tasks() if left.get_name() != SERVING}
    assert ours <= others, "a task was left behind"
    return None if finished else (outcome or asyncio.InvalidStateError("it was finished in time"))
