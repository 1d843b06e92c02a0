"""Holding: a run keeps a client's connection from one result to the next, as long as somebody will go on with it.

One that nobody will go on with would keep it for ever from those who wait for it. That can only come about where a task
ends that has used the run, so each of these is watched.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from .client import Client, is_over

__all__ = ["Holding"]


class Holding:
    """The hold of a run, made by the current task, on the connection of `client`.

    break_off: is called where others wait for the connection and nobody is left who would end the run.
    """

    def __init__(self, client: Client[Any], break_off: Callable[[], None]) -> None:
        self._client = client
        self._break_off = break_off
        self._maker = _current_task()
        self._watched: set[asyncio.Task[object]] = set()

    @property
    def maker(self) -> "asyncio.Task[object] | None":
        """The task that has made the run; None if it is done, or there was none."""
        return None if self._maker is None or is_over(self._maker) else self._maker

    def begin(self) -> None:
        """Take note that the run holds the connection."""
        self._watch(self.maker)

    def use(self) -> "asyncio.Task[object] | None":
        """Take note that the current task uses the run; return it. Raises LocalProtocolError in another event loop."""
        task = asyncio.current_task()
        if task is not self._client._user or task not in self._watched:
            self._client._refuse_elsewhere()
            self._client._user = task
            self._watch(task)
        return task

    def end(self) -> None:
        """Watch nobody any more: the run has let go of the connection."""
        for task in self._watched:
            task.remove_done_callback(self._stop_watching)
        self._watched.clear()

    def _watch(self, task: "asyncio.Task[object] | None") -> None:
        if task is not None and task not in self._watched:
            self._watched.add(task)
            task.add_done_callback(self._stop_watching)

    def _stop_watching(self, task: "asyncio.Task[object]") -> None:
        if task not in self._watched:
            return  # the run has let go of the connection meanwhile, which may be another's by now
        self._watched.discard(task)
        if self._client._waiting and self._client._holder() is None:
            self._break_off()


def _current_task() -> "asyncio.Task[object] | None":
    """Return the running task; None outside of any event loop."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
