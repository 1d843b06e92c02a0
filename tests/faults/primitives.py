"""The primitives of input and output, as the client calls them; the call of a chosen number fails.

The server in the same loop has sockets of its own, which do not fail.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Final

from mailwire.aio import happy_eyeballs
from tests.waiting import Loop

__all__ = ["KINDS", "Primitives", "failing_context", "failing_loop", "failing_sockets"]

KINDS: Final[tuple[type[Exception], ...]] = (OSError, ConnectionResetError, MemoryError)

# Not setsockopt(): it is called by the constructor of asyncio's transport, which nobody can close then.
_SOCKET_CALLS: Final = (
    *("bind", "connect", "getsockopt", "setblocking", "send", "sendmsg", "recv", "recv_into"),
    *("shutdown", "getsockname", "getpeername"),
)
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
        """Take note of a call; raise if it is the one, `kind` if it can raise nothing else."""
        self.calls.append(name)
        if len(self.calls) == self.number:
            raise (kind or self.kind)(5, f"{name} fails")


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


def failing_loop(kind: type[Loop], primitives: Primitives) -> type[Loop]:
    """Return the class of loops of this `kind` whose own primitives fail, too."""
    failing: type[Loop] = type("FailingLoop", (_FailingLoop, kind), {"primitives": primitives})
    return failing


def _failing(kind: type, calls: tuple[str, ...], primitives: Primitives, how: type[Exception] | None = None) -> type:
    # A class whose methods of these names are primitives.
    def made(name: str) -> Any:
        def method(self: Any, *arguments: Any, **settings: Any) -> Any:
            primitives.call(name, how)
            return getattr(kind, name)(self, *arguments, **settings)

        return method

    return type(kind.__name__, (kind,), {name: made(name) for name in calls if hasattr(kind, name)})


@contextmanager
def failing_sockets(primitives: Primitives) -> Iterator[None]:
    """Let the sockets that the client makes be such."""
    module = SimpleNamespace(**{**vars(socket), "socket": _failing(socket.socket, _SOCKET_CALLS, primitives)})
    names = vars(happy_eyeballs)
    real, names["socket"] = names["socket"], module
    try:
        yield
    finally:
        names["socket"] = real


def failing_context(context: ssl.SSLContext, primitives: Primitives) -> ssl.SSLContext:
    """Let the TLS sessions of `context` be such."""
    context.sslobject_class = _failing(ssl.SSLObject, _TLS_CALLS, primitives, ssl.SSLError)
    return context
