"""The primitives of input and output, as the client calls them; the call of a chosen number fails.

The server in the same loop has sockets of its own, which do not fail.
"""

import asyncio
import io
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any, Final

from mailwire.aio import happy_eyeballs, unix_socket
from mailwire.message import file_source
from tests.waiting import Loop

__all__ = ["KINDS", "Primitives", "failing_context", "failing_files", "failing_loop", "failing_modules"]

KINDS: Final[tuple[type[Exception], ...]] = (OSError, ConnectionResetError, MemoryError)
"""How a call fails. One of TLS fails by SSLError in place of the first two: it raises no other OSError."""

# What its constructor is called: the call of the system that it makes.
_MAKING: Final = "__init__"
# Not setsockopt(): it is called by the constructor of asyncio's transport, which nobody can close then.
_SOCKET_CALLS: Final = (
    *(_MAKING, "bind", "connect", "getsockopt", "setblocking", "send", "sendmsg", "recv", "recv_into"),
    *("shutdown", "getsockname", "getpeername"),
)
_FILE_CALLS: Final = ("read", "seek", "tell", "seekable")
_TLS_CALLS: Final = ("do_handshake", "read", "write", "unwrap")


class Primitives:
    """Counts the calls and lets one fail.

    number: of the call that fails, from 1.
    kind: how it fails.
    calls: the names of those that were made.
    """

    def __init__(self, number: int, kind: type[Exception]) -> None:
        self.number = number
        self.kind = kind
        self.calls: list[str] = []

    @property
    def has_failed(self) -> bool:
        """Whether the call was made."""
        return len(self.calls) >= self.number

    def call(self, name: str, kind: type[Exception] | None = None) -> None:
        """Take note of a call; raise if it is the one, `kind` if it can raise no other OSError."""
        self.calls.append(name)
        if len(self.calls) == self.number:
            raise (kind if kind is not None and issubclass(self.kind, OSError) else self.kind)(5, f"{name} fails")


class _FailingLoop(Loop):
    # What lies over a loop, whose own primitives fail, too.

    primitives: Primitives

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


def failing_files(primitives: Primitives) -> type[io.FileIO]:
    """Return the class of files that are opened as ever, and fail when they are read."""
    return _failing(io.FileIO, _FILE_CALLS, primitives)


@contextmanager
def failing_modules(primitives: Primitives) -> Iterator[None]:
    """Let the sockets that the client makes be such, and the files that it opens."""

    def stat(path: Any) -> Any:
        primitives.call("stat")
        return os.stat(path)

    sockets = _failing(socket.socket, _SOCKET_CALLS, primitives)
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
