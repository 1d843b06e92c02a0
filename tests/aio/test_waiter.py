"""A waiter wakes its task in the turn that brings what the task waits for, and is a future to it in all else."""

import asyncio
import gc
import weakref
from contextvars import ContextVar

import pytest

from mailwire.aio.waiter import Waiter

pytestmark = pytest.mark.asyncio

who: ContextVar[str] = ContextVar("who", default="nobody")


async def waiting_for(waiter: Waiter, seen: list[object]) -> asyncio.Task[None]:
    """Return a task that waits for `waiter`, as "the one who waits", and notes what it sees behind that."""

    async def wait() -> None:
        who.set("the one who waits")
        seen.append("waits")
        try:
            await waiter
        except BaseException as error:
            seen.append(error)
            raise
        seen.append((who.get(), asyncio.current_task()))

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    assert waiter.is_awaited
    return task


def in_a_turn(waiter: Waiter, seen: list[object]) -> None:
    """Let the event loop wake who waits, and note when that is done."""

    def wake() -> None:
        waiter.wake_at_once()
        seen.append("woken")

    asyncio.get_running_loop().call_soon(wake)


async def test_the_task_goes_on_before_what_has_woken_it_does_and_as_itself() -> None:
    waiter, seen = Waiter(), list[object]()
    task = await waiting_for(waiter, seen)
    in_a_turn(waiter, seen)
    await task
    assert seen == ["waits", ("the one who waits", task), "woken"]
    assert asyncio.isfuture(waiter)
    assert waiter.get_loop() is asyncio.get_running_loop()
    assert not waiter.is_awaited


async def test_one_that_nobody_has_waited_for_is_a_future_all_the_same() -> None:
    waiter = Waiter()
    assert asyncio.isfuture(waiter)
    assert not waiter.is_awaited
    assert not waiter.cancel()


async def test_it_is_waited_for_again_and_again() -> None:
    waiter, rounds = Waiter(), 0

    async def wait() -> None:
        nonlocal rounds
        for _ in range(3):
            await waiter
            rounds += 1

    task = asyncio.create_task(wait())
    for past in range(3):
        await asyncio.sleep(0)
        assert rounds == past
        asyncio.get_running_loop().call_soon(waiter.wake_at_once)
        await asyncio.sleep(0)
    await task
    assert rounds == 3


async def test_while_another_task_is_at_work_who_waits_goes_on_behind_it() -> None:
    waiter, seen = Waiter(), list[object]()
    task = await waiting_for(waiter, seen)
    waiter.wake_at_once()
    waiter.wake_at_once()
    seen.append("the other one")
    await task
    assert seen == ["waits", "the other one", ("the one who waits", task)]


async def test_where_nobody_waits_nothing_is_woken_and_nothing_kept() -> None:
    waiter, seen = Waiter(), list[object]()
    waiter.wake(ValueError("too early"))
    waiter.wake_at_once()
    in_a_turn(waiter, seen)
    await asyncio.sleep(0)
    task = await waiting_for(waiter, seen)
    await asyncio.sleep(0)
    assert not task.done()
    waiter.wake()
    await task
    assert seen == ["woken", "waits", ("the one who waits", task)]


async def test_what_it_is_woken_with_is_raised_once() -> None:
    waiter, seen = Waiter(), list[object]()
    task = await waiting_for(waiter, seen)
    error = ValueError("no")
    waiter.wake(error)
    with pytest.raises(ValueError, match="no"):
        await task
    again = await waiting_for(waiter, seen)
    waiter.wake()
    await again
    assert seen == ["waits", error, "waits", ("the one who waits", again)]


@pytest.mark.parametrize("message", [None, "enough"])
async def test_who_is_cancelled_does_not_wait_any_more(message: str | None) -> None:
    waiter, seen = Waiter(), list[object]()
    task = await waiting_for(waiter, seen)
    task.cancel(message)
    in_a_turn(waiter, seen)
    with pytest.raises(asyncio.CancelledError):
        await task
    cancelled = seen[1]
    assert isinstance(cancelled, asyncio.CancelledError)
    assert cancelled.args == (() if message is None else (message,))
    assert not waiter.is_awaited


async def test_who_is_cancelled_when_it_is_woken_already_is_cancelled_all_the_same() -> None:
    waiter, seen = Waiter(), list[object]()
    task = await waiting_for(waiter, seen)
    waiter.wake()
    assert not waiter.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_who_has_waited_long_enough_is_told_by_asyncio() -> None:
    waiter = Waiter()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await waiter
    assert not waiter.is_awaited


async def test_who_is_thrown_away_waits_no_more() -> None:
    waiter = Waiter()

    async def wait() -> None:
        await waiter

    waiting = wait()
    assert waiting.send(None) is waiter
    waiter.add_done_callback(lambda _: None)  # by something that is no task of asyncio, and has no context
    assert waiter.is_awaited
    assert waiter.cancel()
    waiter.add_done_callback(lambda _: None)
    waiting.close()
    assert not waiter.is_awaited


async def test_who_has_no_context_is_called_in_the_next_turn() -> None:
    waiter, seen = Waiter(), list[object]()
    asyncio.get_running_loop().call_soon(lambda: (waiter.add_done_callback(seen.append), waiter.wake_at_once()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert seen == [waiter]


async def test_what_it_raises_holds_nothing_that_only_a_search_for_cycles_would_free() -> None:
    class Late(Exception):
        pass

    waiter, seen = Waiter(), list[object]()
    task = await waiting_for(waiter, seen)
    late = Late()
    freed = weakref.ref(late)
    gc.disable()
    try:
        waiter.wake(late)
        del late
        await asyncio.wait([task])
        assert isinstance(task.exception(), Late)
        del task
        seen.clear()
        await asyncio.sleep(0)
        assert freed() is None
    finally:
        gc.enable()
