import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mailwire.maildrop.threads import in_thread


async def test_what_a_call_returns_or_raises_comes_back() -> None:
    assert await in_thread(None, divmod, 7, 2) == (3, 1)
    assert await in_thread(None, int, "ff", base=16) == 255
    with pytest.raises(ZeroDivisionError):
        await in_thread(None, divmod, 7, 0)


async def test_an_iterator_that_has_no_more_keeps_nobody_waiting() -> None:
    async with asyncio.timeout(30):
        with pytest.raises(RuntimeError, match=r"StopIteration\(\) was raised, which no coroutine can raise") as caught:
            await in_thread(None, next, iter(()))
    assert isinstance(caught.value.__cause__, StopIteration)


async def test_the_event_loop_goes_on_meanwhile() -> None:
    go = threading.Event()
    work = asyncio.create_task(in_thread(None, go.wait, 30))
    await asyncio.sleep(0)
    assert not work.done()
    go.set()
    assert await work


async def test_the_thread_is_one_of_the_executors() -> None:
    with ThreadPoolExecutor(1, "mine") as executor:
        assert (await in_thread(executor, threading.current_thread)).name.startswith("mine")


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("cancellations", [1, 3])
async def test_a_cancellation_waits_for_the_end_of_the_work(cancellations: int, fails: bool) -> None:
    go, done = threading.Event(), threading.Event()

    def work() -> None:
        go.wait(30)
        done.set()
        if fails:
            raise OSError("nobody will hear of it")

    task = asyncio.create_task(in_thread(None, work))
    for _ in range(cancellations):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()
