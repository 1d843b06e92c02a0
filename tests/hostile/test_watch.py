"""What the garbage collector takes counts for nothing, in whatever thread it is at work."""

import gc
import threading
import time
from collections.abc import Callable

import pytest

from tests.hostile.watch import Stopwatch


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
