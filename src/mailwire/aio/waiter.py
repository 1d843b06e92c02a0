"""Waiter: what one task waits for, again and again, and goes on from in the turn of the event loop that brought it.

A task that waits for an asyncio.Future goes on in the turn behind the one in which that was given its result. Between
two short replies, that turn of the event loop, and its question to the system, cost as much as the work on a reply. A
waiter is like a future to a task (it has the attribute that `asyncio.isfuture` asks for, and what a task calls), and
calls the task back by itself.
"""

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any, Final

__all__ = ["Waiter"]


class Waiter:
    """To be awaited by one task at a time. Returns None, or raises what it was woken with.

    What comes when nobody waits is not kept: who waits looks before whether there is anything to be waited for.
    """

    __slots__ = ("_asyncio_future_blocking", "_context", "_error", "_go_on", "_loop")

    def __init__(self) -> None:
        self._asyncio_future_blocking: bool = False
        self._loop: Final = asyncio.get_running_loop()
        self._error: BaseException | None = None
        self._go_on: Callable[[Waiter], object] | None = None  # of the task that waits
        self._context: Context | None = None  # of that task

    @property
    def is_awaited(self) -> bool:
        """Whether a task waits, and was not woken yet."""
        return self._go_on is not None

    def wake_at_once(self) -> None:
        """Let the task that waits, if there is one, go on now, before this call returns.

        For what the event loop calls itself: where a task is at work, the one that waits goes on behind it.
        """
        go_on = self._go_on
        if go_on is not None:
            if self._context is None or asyncio.current_task() is not None:
                self.wake()
            else:
                self._context.run(go_on, self)

    def wake(self, error: BaseException | None = None) -> None:
        """Let the task that waits, if there is one, go on in the event loop's next turn; `error` is raised in it."""
        if self._go_on is not None:
            self._error = error
            self._loop.call_soon(self._go_on, self, context=self._context)
            self._go_on = None

    # What a task asks of a future

    def __await__(self) -> Generator["Waiter", None, None]:
        self._asyncio_future_blocking = True
        try:
            yield self
        finally:
            self._go_on = None

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(self, go_on: Callable[["Waiter"], object], *, context: Context | None = None) -> None:
        self._go_on, self._context = go_on, context

    def result(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # this frame is in its traceback: each would keep the other, and all that it has passed

    def cancel(self, msg: Any | None = None) -> bool:
        if self._go_on is None:
            return False  # it goes on anyway; the task sees to it then
        self.wake(asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg))
        return True
