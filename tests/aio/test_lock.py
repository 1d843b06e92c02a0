import asyncio

import pytest

from mailwire.aio.lock import Lock
from mailwire.testing.turns import drain_events


async def waiting(lock: Lock, had: list[str], *names: str) -> list[asyncio.Task[None]]:
    """Let a task for each of `names` wait for `lock`, and say that it has had it, and let go of it."""

    async def wait(name: str) -> None:
        await lock.take()
        had.append(name)
        await asyncio.sleep(0)
        lock.release()

    tasks = [asyncio.create_task(wait(name)) for name in names]
    await drain_events()
    return tasks


async def test_a_lock_that_is_free_is_had_at_once() -> None:
    lock = Lock()
    assert lock.take_at_once()
    assert not lock.take_at_once()
    lock.release()
    await lock.take()
    assert not lock.take_at_once()
    lock.release()
    assert lock.take_at_once()


async def test_who_comes_first_has_it_first_and_nobody_overtakes() -> None:
    lock, had = Lock(), list[str]()
    assert lock.take_at_once()
    tasks = await waiting(lock, had, "first", "second")
    lock.release()
    assert not lock.take_at_once()  # it is handed over, though the other task has not gone on yet
    assert had == []
    tasks += await waiting(lock, had, "third")
    await asyncio.gather(*tasks)
    assert had == ["first", "second", "third"]
    assert lock.take_at_once()


async def test_who_gives_up_waiting_leaves_no_hole() -> None:
    lock, had = Lock(), list[str]()
    assert lock.take_at_once()
    first, second, third = await waiting(lock, had, "first", "second", "third")
    second.cancel()
    first.cancel()
    lock.release()  # neither has noticed yet
    await asyncio.gather(first, second, third, return_exceptions=True)
    assert (first.cancelled(), second.cancelled(), had) == (True, True, ["third"])
    assert lock.take_at_once()


async def test_who_gives_up_when_it_is_handed_over_hands_it_on() -> None:
    lock, had = Lock(), list[str]()
    assert lock.take_at_once()
    first, second = await waiting(lock, had, "first", "second")
    lock.release()
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert (first.cancelled(), had) == (True, ["second"])
    assert lock.take_at_once()


async def test_it_is_free_where_all_who_waited_have_given_up() -> None:
    lock, had = Lock(), list[str]()
    assert lock.take_at_once()
    tasks = await waiting(lock, had, "first", "second")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    lock.release()
    assert had == []
    assert lock.take_at_once()


async def test_who_is_closed_while_he_waits_leaves_no_hole() -> None:
    lock, had = Lock(), list[str]()
    assert lock.take_at_once()
    closed = lock.take()
    closed.send(None)
    (task,) = await waiting(lock, had, "first")
    closed.close()
    lock.release()
    await task
    assert had == ["first"]
    assert lock.take_at_once()


async def test_a_lock_that_nobody_holds_cannot_be_let_go_of() -> None:
    lock = Lock()
    with pytest.raises(RuntimeError, match="that nobody holds"):
        lock.release()


def test_what_was_handed_over_in_an_event_loop_that_is_closed_is_handed_on_to_nobody() -> None:
    async def wait_and_let_go() -> None:
        assert lock.take_at_once()
        for each in waiting:
            each.send(None)
        lock.release()

    lock, loop = Lock(), asyncio.new_event_loop()
    waiting = [lock.take(), lock.take()]
    loop.run_until_complete(wait_and_let_go())
    loop.close()
    for each in waiting:
        each.close()
    assert not lock.take_at_once()
