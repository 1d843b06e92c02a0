"""What is left of a flow: tasks, threads, files and warnings, by comparing what there is before it and behind it.

1. All tasks count, whatever they wait for. While the kit's servers and proxies are at work, theirs do not: a task is
   the kit's if its code is in `mailwire.testing`. Once these are closed, no task is excused.
2. All threads count. Those that the default executor of the loop keeps for itself are told by their name, which they
   have of an executor that is given to the loop here. It is shut down behind the flow, and then no thread is excused.
3. What is warned of counts, by a destructor as well, where a warning cannot be raised.
"""

import asyncio
import gc
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from mailwire import testing

__all__ = ["Remains", "leaving_nothing", "open_files"]

_KIT: Final = Path(testing.__file__).parent
_KEPT: Final = "kept by the default executor"


@contextmanager
def leaving_nothing(excused: Callable[[], str] = str) -> Iterator[None]:
    """Assert that an event loop, and all that is done in it, leaves no file, no socket, no thread and no warning.

    excused: returns how the one ResourceWarning begins that may come all the same; nothing, if none may.
    """
    files, threads = open_files(), {*threading.enumerate()}
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield
        gc.collect()
    told, start = [str(warning.message) for warning in warned], excused()
    is_excused = start and len(told) == 1 and told[0].startswith(start) and warned[0].category is ResourceWarning
    assert not told or is_excused, f"there was a warning: {told}"
    assert open_files() == files, "a file or socket was left open"
    left = {*threading.enumerate()} - threads
    assert not left, f"a thread was left behind: {left}"


def open_files() -> set[str]:
    """Return the descriptors that this process has."""
    return set(os.listdir("/proc/self/fd"))


class Remains:
    """An asynchronous context around a flow and the servers that it goes to; leaving it asserts that nothing is left.

    Not where an error leaves it: the error is told then.
    """

    async def __aenter__(self) -> Self:
        self._executor = ThreadPoolExecutor(thread_name_prefix=_KEPT)
        asyncio.get_running_loop().set_default_executor(self._executor)
        self._tasks = asyncio.all_tasks()
        self._threads = {*threading.enumerate()}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown()
        if error is None:
            self._assert_nothing_in(asyncio.all_tasks(), {*threading.enumerate()})

    def check(self, *ours: "asyncio.Task[Any]") -> None:
        """Assert that nothing is left but for what the kit does, and for these tasks of the test's own."""
        self._assert_nothing_in(
            {task for task in asyncio.all_tasks() if not _is_of_the_kit(task)} - {*ours},
            {thread for thread in threading.enumerate() if not thread.name.startswith(_KEPT)},
        )

    def _assert_nothing_in(self, tasks: "set[asyncio.Task[Any]]", threads: set[threading.Thread]) -> None:
        assert not (left := tasks - self._tasks), f"a task was left behind: {left}"
        assert not (others := threads - self._threads), f"a thread was left behind: {others}"


def _is_of_the_kit(task: "asyncio.Task[Any]") -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and _KIT in Path(code.co_filename).parents
