"""Event loops that leave it to a test how they wait, and what time it is: asyncio's own, and uvloop's.

A loop asks its `Waiter` once in every turn. asyncio's does that of itself, as it waits by a selector. uvloop waits
where nobody sees it, within libuv. So a call goes first in each of its turns, and waits in its stead, on the descriptor
that libuv would wait on: libuv then finds what has come, and has nothing left to wait for. The timers, of which libuv
alone would know, are kept here. All else is uvloop's own: connections, TLS, tasks and the order of calls.
"""

import asyncio
import heapq
import importlib
import os
import select
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Final, Self, TypeAlias, TypeVar, TypeVarTuple

import pytest

__all__ = ["Hang", "Hope", "Loop", "Waiter", "loop_class"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Poll: TypeAlias = Callable[[float | None], list[T]]

# After so many turns in which nobody called, uvloop has nothing more to do: what it calls without telling, such as the
# end of a connection, comes a turn behind what led to it. The last of them is as long as this, in seconds: what comes
# between this loop's look and that of libuv, is not seen.
_QUIET_TURNS: Final = 5
_QUIET_TIME: Final = 0.0005
# So many timers that were cancelled are left where they are, until their time comes.
_MANY_TIMERS: Final = 100
_DESCRIPTORS: Final = Path("/proc/self/fd")
# Seconds of a wait behind which the loop looks after what it may have overlooked.
_SHORT: Final = 0.1


class Waiter:
    """Says how a loop waits. This one waits as any loop does."""

    def time(self) -> float:
        """Return the time, in seconds, by which the loop's timers go."""
        return time.monotonic()

    def wait(self, poll: Poll[T], timeout: float | None) -> list[T]:
        """Return what `poll` returns: what has come, at the latest after `timeout` seconds (None: any time)."""
        return poll(timeout)

    def begin_work(self) -> None:
        """Take note that a thread has got something to do."""

    def end_work(self) -> None:
        """Take note that it is done, or that nobody waits for it any more."""


class Hang(Exception):
    """All wait for each other, or for a time to come."""


class Hope:
    """Waits for what may come where no time does, in short waits, and for no more than so many `seconds` in a row."""

    def __init__(self, seconds: float) -> None:
        self._waits = round(seconds / _SHORT)
        self._in_vain = 0  # in a row

    def begin(self) -> None:
        """Begin anew: something has come, or will."""
        self._in_vain = 0

    def wait(self, poll: Poll[T]) -> list[T]:
        """Wait once. Raises Hang when that was so often in vain."""
        if ready := poll(_SHORT):
            self.begin()
            return ready
        self._in_vain += 1
        if self._in_vain == self._waits:
            raise Hang("nothing is left that could happen")
        return ready


class Loop(asyncio.AbstractEventLoop):
    """What both have in common; `waiter`: whom it asks."""

    def __init__(self, waiter: Waiter) -> None:
        super().__init__()
        self.waiter = waiter


class _Threads(Loop):
    # Tells of the threads that are at work: it is not for want of anything to do that nothing happens meanwhile.

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        self.waiter.begin_work()
        work = super().run_in_executor(executor, func, *args)
        work.add_done_callback(lambda _: self.waiter.end_work())
        return work


class _Selector(selectors.DefaultSelector):
    def __init__(self, waiter: Waiter) -> None:
        super().__init__()
        self._waiter = waiter

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return self._waiter.wait(super().select, timeout)


class _AsyncioLoop(_Threads, asyncio.SelectorEventLoop):
    def __init__(self, waiter: Waiter) -> None:
        asyncio.SelectorEventLoop.__init__(self, _Selector(waiter))
        self.waiter = waiter

    def time(self) -> float:
        return self.waiter.time()


class _OverUvloop(_Threads):
    # What lies over uvloop.Loop.

    _descriptor: int

    def __new__(cls, waiter: Waiter) -> Self:
        before = _epoll_descriptors()
        loop = super().__new__(cls)
        (loop._descriptor,) = _epoll_descriptors() - before
        return loop

    def __init__(self, waiter: Waiter) -> None:
        super().__init__(waiter)
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._number = count()
        self._cancelled = 0  # of the timers, at the most
        self._quiet = 0
        self._is_called = False  # by a thread
        self._failure: Exception | None = None
        # It is the first of all calls, and calls itself again before any other can: so it is the first in every turn.
        super().call_soon(self._turn)

    def time(self) -> float:
        return self.waiter.time()

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        self._quiet = 0
        return super().call_soon(callback, *args, context=context)

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        self._is_called = True  # before it is so: what is called then, is called within the turns that count
        return super().call_soon_threadsafe(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._number), timer))
        return timer

    def _timer_handle_cancelled(self, timer: asyncio.TimerHandle) -> None:
        self._cancelled += 1
        if self._cancelled > _MANY_TIMERS and self._cancelled > len(self._timers) / 2:
            self._cancelled = 0
            self._timers = [entry for entry in self._timers if not (entry[2] is timer or entry[2].cancelled())]
            heapq.heapify(self._timers)

    async def getaddrinfo(self, host: Any, port: Any, **settings: Any) -> Any:
        # An address goes through a thread of libuv's where uvloop connects a socket to it, and threads take their time.
        with suppress(socket.gaierror):
            return socket.getaddrinfo(host, port, **{**settings, "flags": socket.AI_NUMERICHOST})
        return await super().getaddrinfo(host, port, **settings)

    def run_forever(self) -> None:
        super().run_forever()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _turn(self) -> None:
        super().call_soon(self._turn)
        self._quiet = 0 if self._is_called else self._quiet + 1
        self._is_called = False
        try:
            if self._failure is None and self._wait():
                self._quiet = 0
        except Exception as failure:
            self._failure = failure
            self.stop()
            return
        now = self.time()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if not timer.cancelled():
                self._quiet = 0
                timer._run()

    def _wait(self) -> list[int]:
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        if self._quiet < _QUIET_TURNS:
            return self.waiter.wait(self._select, 0)
        if self._quiet == _QUIET_TURNS:
            return self.waiter.wait(lambda _: self._select(_QUIET_TIME), 0)
        return self.waiter.wait(self._select, max(0.0, self._timers[0][0] - self.time()) if self._timers else None)

    def _select(self, timeout: float | None) -> list[int]:
        return select.select([self._descriptor], (), (), timeout)[0]


def _epoll_descriptors() -> set[int]:
    found = set()
    for entry in os.listdir(_DESCRIPTORS):
        try:
            if "eventpoll" in os.readlink(_DESCRIPTORS / entry):
                found.add(int(entry))
        except FileNotFoundError:
            pass  # it was that of the list itself
    return found


@cache
def loop_class(name: str) -> type[Loop]:
    """Return the class of such loops: of asyncio's if `name` is that, of uvloop's if that, where it is installed."""
    if name == "asyncio":
        return _AsyncioLoop
    if not _DESCRIPTORS.exists():
        pytest.skip("what libuv waits on can be seen on Linux alone")
    kind: type[Loop] = type("UvloopLoop", (_OverUvloop, importlib.import_module("uvloop").Loop), {})
    kind(Waiter()).close()  # what libuv opens once in a process, is open now
    return kind
