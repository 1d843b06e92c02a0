"""Both loops ask how they are to wait, and go by no other time; the rest of each is its own."""

import asyncio
import importlib
import socket
import threading
import time
from itertools import count

import pytest

from tests.integration.conftest import demand_libraries
from tests.time_lapse import TimeLapse
from tests.waiting import Hang, Hope, Loop, Poll, T, Waiter, loop_class


@pytest.fixture(params=["asyncio", "uvloop"])
def kind(request: pytest.FixtureRequest) -> type[Loop]:
    demand_libraries(request.param)
    return loop_class(request.param)


class Witness(Waiter):
    """Notes what it is asked, and raises where nothing could ever happen."""

    def __init__(self) -> None:
        self.timeouts: list[float | None] = []

    def wait(self, poll: Poll[T], timeout: float | None) -> list[T]:
        self.timeouts.append(timeout)
        if timeout is None:
            raise LookupError("for ever")
        return poll(timeout)


def test_the_loop_is_that_of_its_name() -> None:
    demand_libraries("uvloop")
    assert issubclass(loop_class("uvloop"), importlib.import_module("uvloop").Loop)
    assert issubclass(loop_class("asyncio"), asyncio.SelectorEventLoop)


def test_an_hour_passes_in_a_moment(kind: type[Loop]) -> None:
    lapse = TimeLapse()

    async def wait() -> float:
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(1800)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1800):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time() - began

    began = time.monotonic()
    with asyncio.Runner(loop_factory=lambda: lapse.loop(kind)) as runner:
        assert 3600 <= runner.run(wait()) < 3602
    assert time.monotonic() - began < 60
    assert lapse.ahead >= 3599


def test_no_time_passes_while_there_is_something_to_do(kind: type[Loop]) -> None:
    lapse = TimeLapse()

    async def talk() -> int:
        asyncio.get_running_loop().call_later(3600, asyncio.Event().set)
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        far_reader, far_writer = await asyncio.open_connection(sock=theirs)
        for number in range(50):
            writer.write(b"%d\n" % number)
            far_writer.write(await far_reader.readline())
            assert await reader.readline() == b"%d\n" % number
            await asyncio.sleep(0)
        for end in (writer, far_writer):
            end.close()
            await end.wait_closed()
        return number

    with asyncio.Runner(loop_factory=lambda: lapse.loop(kind)) as runner:
        assert runner.run(talk()) == 49
    assert lapse.ahead == 0
    assert lapse.faults == []


def test_no_time_passes_while_a_thread_is_at_work(kind: type[Loop]) -> None:
    looks = count()
    release = threading.Event()

    class Slow(TimeLapse):
        def wait(self, poll: Poll[T], timeout: float | None) -> list[T]:
            # Behind a few looks at nothing but the deadline, the thread may go on.
            if timeout is not None and timeout > 1 and next(looks) == 3:
                release.set()
            return super().wait(poll, timeout)

    async def work() -> bool:
        try:
            return await asyncio.wait_for(asyncio.to_thread(release.wait), 3600)
        finally:
            release.set()

    lapse = Slow()
    with asyncio.Runner(loop_factory=lambda: lapse.loop(kind)) as runner:
        assert runner.run(work())
        assert lapse.ahead == 0
        with pytest.raises(TimeoutError):
            runner.run(asyncio.wait_for(asyncio.Event().wait(), 3600))
    assert lapse.ahead >= 3599


def test_what_the_waiter_raises_comes_out(kind: type[Loop]) -> None:
    loop = kind(Witness())
    waiting = loop.create_future()
    with pytest.raises(LookupError, match="for ever"):
        loop.run_until_complete(waiting)
    loop.call_soon(waiting.set_result, "done")
    assert loop.run_until_complete(waiting) == "done"
    loop.close()


def test_timers_go_off_in_their_order_unless_they_are_cancelled(kind: type[Loop]) -> None:
    lapse = TimeLapse()
    gone_off: list[float] = []

    async def wait() -> None:
        loop = asyncio.get_running_loop()
        timers = {when: loop.call_later(when, gone_off.append, when) for when in (3, 1, 2, *range(10, 400))}
        for when in (2, *range(11, 400)):
            timers[when].cancel()
        await asyncio.sleep(500)

    with asyncio.Runner(loop_factory=lambda: lapse.loop(kind)) as runner:
        runner.run(wait())
    assert gone_off == [1, 3, 10]


def test_a_wait_is_as_long_as_until_the_first_timer(kind: type[Loop]) -> None:
    witness = Witness()
    with asyncio.Runner(loop_factory=lambda: kind(witness)) as runner:
        runner.run(asyncio.sleep(0.05))
    assert 0.03 < max(timeout for timeout in witness.timeouts if timeout is not None) <= 0.05


def test_what_a_thread_calls_is_heard(kind: type[Loop]) -> None:
    class Patient(Waiter):
        def wait(self, poll: Poll[T], timeout: float | None) -> list[T]:
            return poll(60 if timeout is None else timeout)

    with asyncio.Runner(loop_factory=lambda: kind(Patient())) as runner:
        assert runner.run(asyncio.to_thread(sum, range(1_000_000))) == 499_999_500_000


def test_what_never_comes_is_not_hoped_for_for_ever() -> None:
    answers: list[list[str]] = [[], ["something"], [], [], ["something"], [], [], []]
    coming, hope = iter(answers), Hope(0.3)
    assert [hope.wait(lambda _: next(coming)) for _ in answers[:-1]] == answers[:-1]
    with pytest.raises(Hang):
        hope.wait(lambda _: next(coming))


def test_who_begins_anew_hopes_as_long_again() -> None:
    hope, nothing = Hope(0.2), list[str]()
    for _ in range(3):
        assert hope.wait(lambda _: nothing) == nothing
        hope.begin()
