"""What the garbage collector takes counts for nothing, in whatever thread it is at work; a slow turn is found out."""

import asyncio
import gc
import logging
import socket
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from mailwire.testing.turns import drain_events, turns
from tests.hostile import pop3_retrieving
from tests.hostile.play import play
from tests.hostile.watch import Stopwatch, Watch, watched_loop
from tests.integration.conftest import demand_libraries


def collect_elsewhere() -> None:
    other = threading.Thread(target=gc.collect)
    other.start()
    other.join()


@pytest.mark.parametrize("collect", [gc.collect, collect_elsewhere])
@pytest.mark.parametrize("of_all_threads", [True, False])
def test_the_garbage_collector_is_left_out(collect: Callable[[], object], of_all_threads: bool) -> None:
    keep = [[number] for number in range(100_000)]  # to look through
    with Stopwatch(of_all_threads=of_all_threads) as watch:
        began = time.process_time()
        collect()
        assert 0 <= watch.seconds < (time.process_time() - began) / 2
    assert keep


@pytest.mark.parametrize("of_all_threads", [True, False])
def test_work_is_not_left_out(of_all_threads: bool) -> None:
    with Stopwatch(of_all_threads=of_all_threads) as watch:
        began = time.thread_time()
        sorted(range(100_000), key=str)
        passed = time.thread_time() - began
        assert watch.seconds > passed / 2
        watch.begin()
        assert watch.seconds < passed / 2


def test_the_work_of_another_thread_counts_where_all_do() -> None:
    other = threading.Thread(target=lambda: sorted(range(100_000), key=str))
    with Stopwatch(of_all_threads=True) as of_all, Stopwatch(of_all_threads=False) as of_one:
        other.start()
        other.join()
        assert of_all.seconds > of_one.seconds * 2


LOOPS = pytest.mark.parametrize("name", ["asyncio", "uvloop"])


def work(seconds: float) -> None:
    """Keep the processor for so many seconds of its time."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def longest_turn(name: str, do: Callable[[], Awaitable[object]]) -> float:
    demand_libraries(name)
    loop = watched_loop(name)
    assert isinstance(loop.waiter, Watch)
    watch = loop.waiter

    async def watched() -> None:
        with watch.watched():
            await do()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(watched())
    return watch.longest_turn


@LOOPS
def test_one_slow_call_is_a_slow_turn(name: str) -> None:
    async def do() -> None:
        await turns(10)
        work(0.03)
        await turns(10)

    assert 0.03 <= longest_turn(name, do) < 0.06


@LOOPS
@pytest.mark.parametrize("count", [1, 2, 5])
def test_what_is_done_in_a_turn_counts_together(name: str, count: int) -> None:
    async def do() -> None:
        await turns(10)
        await asyncio.gather(*(asyncio.to_thread(int), *(asyncio.ensure_future(part()) for _ in range(count))))

    async def part() -> None:
        work(0.04 / count)

    assert 0.04 <= longest_turn(name, do) < 0.08


def test_what_uvloop_reads_and_what_follows_from_it_are_one_turn() -> None:
    class Slow(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            work(0.02)
            asyncio.get_running_loop().call_soon(follow)

    async def do() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        transport, _ = await loop.create_connection(Slow, sock=ours)
        with theirs:
            await turns(10)
            theirs.send(b"x")
            await followed.wait()
        transport.abort()
        await drain_events()

    def follow() -> None:
        work(0.02)
        followed.set()

    followed = asyncio.Event()
    assert 0.04 <= longest_turn("uvloop", do) < 0.08


@LOOPS
def test_many_short_turns_are_no_long_one(name: str) -> None:
    async def do() -> None:
        for _ in range(30):
            work(0.004)
            await asyncio.sleep(0)

    assert 0.004 <= longest_turn(name, do) < 0.03


@LOOPS
def test_a_timer_and_a_thread_are_waited_for(name: str) -> None:
    async def do() -> None:
        await asyncio.sleep(0.02)
        await asyncio.to_thread(sum, range(100_000))

    assert longest_turn(name, do) < 0.03


@LOOPS
def test_a_slow_turn_is_found_in_a_play(name: str, caplog: pytest.LogCaptureFixture) -> None:
    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().endswith("C: QUIT"):
                work(case.outcome.turn + 0.001)

    demand_libraries(name)
    (case,) = [case for case in pop3_retrieving.CASES if case.name == "dots"]
    with asyncio.Runner() as runner:
        runner.run(play(case, "retrieve", "port", str))  # now all is imported
    with caplog.at_level(logging.DEBUG), asyncio.Runner(loop_factory=lambda: watched_loop(name)) as runner:
        logger, slow = logging.getLogger("mailwire.pop3"), Slow()
        logger.addHandler(slow)
        try:
            with pytest.raises(AssertionError, match=r"a turn took 0\.0[5-9]\d s"):
                runner.run(play(case, "retrieve", "port", str))
        finally:
            logger.removeHandler(slow)
