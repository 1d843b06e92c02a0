"""The primitives of input and output, as the client calls them; the call of a chosen number fails.

What asyncio's loop asks the system for on behalf of the client's sockets is among them. The server in the same loop
has sockets of its own, which do not fail.
"""

import asyncio
import io
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any, Final
from weakref import WeakSet

from mailwire.aio import happy_eyeballs, unix_socket
from mailwire.message import file_source
from tests.waiting import Loop, Waiter

__all__ = ["KINDS", "Primitives", "failing_context", "failing_files", "failing_loop", "failing_modules"]

KINDS: Final[tuple[type[Exception], ...]] = (OSError, ConnectionResetError, MemoryError)
"""How a call fails. One of TLS fails by SSLError in place of the first two: it raises no other OSError."""

# What its constructor is called: the call of the system that it makes.
_MAKING: Final = "__init__"
_SOCKET_CALLS: Final = (
    *(_MAKING, "bind", "connect", "getsockopt", "setsockopt", "setblocking", "send", "sendmsg", "recv", "recv_into"),
    *("shutdown", "getsockname", "getpeername"),
)
# What epoll is asked for; and behind both of these, the system has done it all the same.
_EPOLL_CALLS: Final = ("register", "modify", "unregister")
_DONE_ALL_THE_SAME: Final = ("close", "unregister")
_FILE_CALLS: Final = ("read", "seek", "tell", "seekable")
_TLS_CALLS: Final = ("do_handshake", "read", "write", "unwrap")


class Primitives:
    """Counts the calls and lets one fail.

    number: of the call that fails, from 1.
    kind: how it fails.
    calls: the names of those that were made.
    piece: how many octets the system takes at a time; None: as many as it gets.
    sockets: those of the client.
    outcome: the kind of the error that came out of it all, if one did; of the error itself, a transport would live on.
    """

    def __init__(self, number: int, kind: type[Exception], piece: int | None = None) -> None:
        self.number = number
        self.kind = kind
        self.piece = piece
        self.calls: list[str] = []
        self.sockets: WeakSet[socket.socket] = WeakSet()
        self.outcome: type[BaseException] | None = None

    @property
    def has_failed(self) -> bool:
        """Whether the call was made."""
        return len(self.calls) >= self.number

    @property
    def failed(self) -> str | None:
        """The name of the call that failed."""
        return self.calls[self.number - 1] if self.has_failed else None

    def excused(self) -> str:
        """How the one warning begins that asyncio gives behind the call that failed; empty if it has to give none.

        It is about a transport that it leaves half closed, or half made. The socket of it is closed.
        """
        if self.failed == "close":
            return "unclosed transport <_SelectorSocketTransport"
        if self.failed == "unregister" and self.kind is MemoryError and "start_tls" in self.calls:
            return "unclosed transport <asyncio._SSLProtocolTransport"
        return ""

    def may_be_told(self, fault: str) -> bool:
        """Whether asyncio tells the loop of such a `fault` behind the call that failed.

        It does of what is no OSError, besides telling us, and of an OSError where nobody but the loop made the call.
        """
        is_of_the_loop = self.failed in (*_EPOLL_CALLS, "close")
        return f"{self.failed} fails" in fault and (self.kind is not OSError or is_of_the_loop)

    def call(self, name: str, kind: type[Exception] | None = None) -> None:
        """Take note of a call; raise if it is the one, `kind` if it can raise no other OSError."""
        self.calls.append(name)
        if len(self.calls) == self.number:
            raise (kind if kind is not None and issubclass(self.kind, OSError) else self.kind)(5, f"{name} fails")


class _FailingEpoll:
    # The epoll of a selector of asyncio's; it fails where a socket of the client's is concerned.

    def __init__(self, epoll: Any, primitives: Primitives) -> None:
        self._epoll = epoll
        self._primitives = primitives

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._epoll, name)
        return partial(self._call, name, call) if name in _EPOLL_CALLS else call

    def _call(self, name: str, call: Callable[..., None], descriptor: int, *events: int) -> None:
        is_ours = any(end.fileno() == descriptor for end in self._primitives.sockets)
        if is_ours and name not in _DONE_ALL_THE_SAME:
            self._primitives.call(name)
        call(descriptor, *events)
        if is_ours and name in _DONE_ALL_THE_SAME:
            self._primitives.call(name)


class _FailingLoop(Loop):
    # What lies over a loop, whose own primitives fail, too.

    primitives: Primitives

    def __init__(self, waiter: Waiter) -> None:
        super().__init__(waiter)
        if isinstance(self, asyncio.SelectorEventLoop):
            names = vars(vars(self)["_selector"])
            names["_selector"] = _FailingEpoll(names["_selector"], self.primitives)

    async def getaddrinfo(self, host: Any, port: Any, **settings: Any) -> Any:
        self.primitives.call("getaddrinfo")
        return socket.getaddrinfo(host, port, **settings)  # without a thread, in which time would stand still

    async def create_connection(self, *arguments: Any, **settings: Any) -> Any:
        self.primitives.call("create_connection")
        return await super().create_connection(*arguments, **settings)

    async def start_tls(self, *arguments: Any, **settings: Any) -> Any:
        if not settings.get("server_side"):
            self.primitives.call("start_tls")
        return await super().start_tls(*arguments, **settings)


def _run_here(loop: Loop, _: object, work: Callable[..., Any], *arguments: Any) -> "asyncio.Future[Any]":
    # In the stead of run_in_executor(): without a thread, likewise.
    done: asyncio.Future[Any] = loop.create_future()
    try:
        done.set_result(work(*arguments))
    except Exception as error:
        done.set_exception(error)
    return done


def failing_loop(kind: type[Loop], primitives: Primitives) -> type[Loop]:
    """Return the class of loops of this `kind` whose own primitives fail, too."""
    own = {"primitives": primitives, "run_in_executor": _run_here}
    failing: type[Loop] = type("FailingLoop", (_FailingLoop, kind), own)
    return failing


def _failing(kind: type, calls: tuple[str, ...], primitives: Primitives, how: type[Exception] | None = None) -> type:
    # A class whose methods of these names are primitives.
    def made(name: str) -> Any:
        def method(self: Any, *arguments: Any, **settings: Any) -> Any:
            primitives.call(kind.__name__ if name == _MAKING else name, how)
            return getattr(kind, name)(self, *arguments, **settings)

        return method

    return type(kind.__name__, (kind,), {name: made(name) for name in calls if hasattr(kind, name)})


def _failing_sockets(primitives: Primitives) -> type:
    failing: Any = _failing(socket.socket, _SOCKET_CALLS, primitives)

    class Socket(failing):  # type: ignore[misc]
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            primitives.sockets.add(self)

        def send(self, data: Any) -> Any:
            return super().send(bytes(data)[: primitives.piece])

        def close(self) -> None:
            # Of a reset Python says nothing here, and it needs no memory.
            is_failing = self.fileno() >= 0 and primitives.kind is OSError
            super().close()
            if is_failing:
                primitives.call("close")

    return Socket


def failing_files(primitives: Primitives) -> type[io.FileIO]:
    """Return the class of files that are opened as ever, and fail when they are read."""
    return _failing(io.FileIO, _FILE_CALLS, primitives)


@contextmanager
def failing_modules(primitives: Primitives) -> Iterator[None]:
    """Let the sockets that the client makes be such, and the files that it opens."""

    def stat(path: Any) -> Any:
        primitives.call("stat")
        return os.stat(path)

    sockets = _failing_sockets(primitives)
    files = _failing(io.FileIO, (_MAKING, *_FILE_CALLS), primitives)
    with ExitStack() as stack:
        for module in (happy_eyeballs, unix_socket):
            stack.enter_context(_replaced(module, socket, socket=sockets))
        stack.enter_context(_replaced(file_source, io, FileIO=files))
        stack.enter_context(_replaced(file_source, os, stat=stat))
        yield


@contextmanager
def _replaced(module: ModuleType, used: ModuleType, **others: Any) -> Iterator[None]:
    # For `module`, `used` is another one, with these names in it.
    names, name = vars(module), used.__name__
    names[name] = SimpleNamespace(**{**vars(used), **others})
    try:
        yield
    finally:
        names[name] = used


def failing_context(context: ssl.SSLContext, primitives: Primitives) -> ssl.SSLContext:
    """Let the TLS sessions of `context` be such."""
    context.sslobject_class = _failing(ssl.SSLObject, _TLS_CALLS, primitives, ssl.SSLError)
    return context
