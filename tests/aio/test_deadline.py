import asyncio
import contextlib
import errno
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mailwire import DeadlineExceeded, MailwireError
from mailwire.aio.deadline import Alarm, Deadline, told_if_cancelled
from mailwire.testing.turns import turns
from tests.clock import Clock, StandingClock


async def test_a_block_that_ends_in_time_is_left_alone() -> None:
    async with Deadline(30, "command", "doing it"):
        await turns()


async def test_a_block_that_takes_too_long_is_told_by_its_phase() -> None:
    with pytest.raises(DeadlineExceeded, match=r"within 0\.01 s: doing it") as caught:
        async with Deadline(0.01, "command", "doing it"):
            await asyncio.Event().wait()
    assert caught.value.phase == "command"
    assert isinstance(caught.value, (TimeoutError, MailwireError))
    passed = caught.value.__cause__
    assert type(passed) is TimeoutError
    assert isinstance(passed.__cause__, asyncio.CancelledError)  # with the place where it was waited


async def test_what_else_the_fault_is_is_told() -> None:
    with pytest.raises(DeadlineExceeded, match=r"^nobody came within 0\.01 s: doing it$"):
        async with Deadline(0.01, "command", "doing it", "nobody came"):
            await asyncio.Event().wait()


async def test_without_seconds_there_is_no_deadline() -> None:
    async with Deadline(None, "command", "doing it"):
        await turns()


async def test_a_timeout_of_the_operating_system_is_no_deadline() -> None:
    with pytest.raises(TimeoutError) as caught:
        async with Deadline(30, "command", "doing it"):
            raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")
    assert not isinstance(caught.value, MailwireError)
    assert caught.value.errno == errno.ETIMEDOUT


async def test_a_deadline_of_the_caller_stays_the_caller_s() -> None:
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.01), Deadline(30, "command", "doing it"):
            await asyncio.Event().wait()
    assert not isinstance(caught.value, MailwireError)


async def test_a_deadline_inside_another_is_told_by_its_own_phase() -> None:
    with pytest.raises(DeadlineExceeded) as caught:
        async with Deadline(30, "connect", "all of it"), Deadline(0.01, "greeting", "a part of it"):
            await asyncio.Event().wait()
    assert caught.value.phase == "greeting"


async def test_a_cancellation_is_no_deadline() -> None:
    async def wait() -> None:
        async with Deadline(30, "command", "doing it"):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Timers:
    """The timers that the running loop was asked for: their times, relative to the first look at its clock."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        self.times: list[int] = []
        self._call_at = loop.call_at
        vars(loop)["call_at"] = self._count

    def _count(self, when: float, *arguments: Any, **options: Any) -> asyncio.TimerHandle:
        self.times.append(round(when - self.now))
        return self._call_at(when, *arguments, **options)


@pytest.fixture
async def rung() -> list[str]:
    return []


@pytest.fixture
async def alarm(rung: list[str]) -> AsyncIterator[Alarm]:
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    yield Alarm(lambda: rung.append("rung"))
    assert failures == []


async def test_an_alarm_rings_at_its_time_to_the_tick(alarm: Alarm, rung: list[str]) -> None:
    clock = StandingClock()
    alarm.set(asyncio.get_running_loop().time() + 30)
    await clock.advance(30)
    assert rung == ["rung"]


async def test_an_alarm_rings_once_at_its_time(alarm: Alarm, rung: list[str]) -> None:
    clock = Clock()
    alarm.set(asyncio.get_running_loop().time() + 30)
    await clock.advance(29)
    assert rung == []
    await clock.advance(2)
    assert rung == ["rung"]
    await clock.advance(100)
    assert rung == ["rung"]


async def test_an_alarm_that_is_put_off_again_and_again_takes_one_timer(alarm: Alarm, rung: list[str]) -> None:
    timers, clock = Timers(), Clock()
    for later in range(5):
        for _ in range(2):
            alarm.set(timers.now + 30 + later)
    assert timers.times == [30]
    await clock.advance(31)
    assert (rung, timers.times) == ([], [30, 34])
    await clock.advance(4)
    assert rung == ["rung"]


async def test_an_alarm_can_be_brought_forward(alarm: Alarm, rung: list[str]) -> None:
    clock = Clock()
    now = asyncio.get_running_loop().time()
    alarm.set(now + 300)
    alarm.set(now + 30)
    await clock.advance(31)
    assert rung == ["rung"]
    await clock.advance(300)
    assert rung == ["rung"]


async def test_an_alarm_that_is_closed_does_not_ring_before_it_is_set_again(alarm: Alarm, rung: list[str]) -> None:
    clock = Clock()
    now = asyncio.get_running_loop().time()
    alarm.set(now + 30)
    alarm.close()
    await clock.advance(31)
    assert rung == []
    alarm.set(now + 60)
    await clock.advance(30)
    assert rung == ["rung"]


async def test_an_alarm_that_is_closed_leaves_nothing_behind(rung: list[str]) -> None:
    alarm = Alarm(lambda: rung.append("rung"))
    alarm.close()
    alarm.set(asyncio.get_running_loop().time() + 300)
    alarm.close()
    gone = weakref.ref(alarm)
    del alarm
    await turns()  # whatever the loop had for it
    assert gone() is None


# Whose cancellation it is


async def test_a_task_that_was_cancelled_is() -> None:
    async def wait() -> None:
        with told_if_cancelled(RuntimeError, "it"):
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await turns()
    waiting.cancel("enough")
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await waiting


@pytest.mark.parametrize("is_cancelled_before", [False, True])
async def test_what_a_task_waits_for_may_be_cancelled_though_it_is_not(is_cancelled_before: bool) -> None:
    async def wait() -> None:
        if is_cancelled_before:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        other = asyncio.get_running_loop().create_future()
        other.cancel()
        with told_if_cancelled(ConnectionError, "it"):
            await other

    waiting = asyncio.create_task(wait())
    await turns()
    if is_cancelled_before:
        waiting.cancel()
    with pytest.raises(ConnectionError, match="what it waited for was cancelled") as caught:
        await waiting
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
