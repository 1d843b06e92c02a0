"""Work in threads: what takes long, and would hold up the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from typing import TypeVar

__all__ = ["begin_in_thread"]

T = TypeVar("T")


def begin_in_thread(call: Callable[[], T], executor: Executor | None = None) -> "asyncio.Future[T]":
    """Let `call` be called in a thread of `executor` (None: one of the event loop's); return what is to be awaited.

    Raises OSError where there is no thread for it, as the system has none left, or the program comes to its end: `call`
    is not called then, nor later. Of that, an event loop raises a RuntimeError, and another thread may yet come by what
    was to be done.
    """
    context, begun = copy_context(), Future[T]()

    def work() -> T:
        if not begun.set_running_or_notify_cancel():
            raise OSError("it was given up")  # nobody hears that
        try:
            result = context.run(call)
        except BaseException as error:
            begun.set_exception(error)
            raise
        begun.set_result(result)
        return result

    def forget(_: object) -> None:
        # By its traceback an error keeps the frame of `work`; and that would keep the error.
        nonlocal begun
        begun = Future()

    try:
        working = asyncio.get_running_loop().run_in_executor(executor, work)
    except RuntimeError as error:
        if begun.cancel():
            raise OSError(f"there is no thread: {error}") from error
        working = asyncio.wrap_future(begun)  # another thread was free for it after all
    working.add_done_callback(forget)
    return working
