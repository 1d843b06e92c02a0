"""Listener: a port on the loopback interface at which every client has a session of a server."""

import ssl
from collections.abc import Callable

from .acceptor import Acceptor
from .connection import Connection
from .session import Session

__all__ = ["Listener"]


class Listener(Acceptor):
    """Accepts clients at a free port and serves each with a session that `open_session` makes for its address.

    tls_context, certificate, patient: as a Connection has them.
    path: where to make a Unix socket instead, which is removed again in the end.
    """

    def __init__(
        self,
        open_session: Callable[[str], Session],
        tls_context: ssl.SSLContext | None = None,
        certificate: bytes | None = None,
        *,
        patient: bool = False,
        path: str | None = None,
    ) -> None:
        def receive(peer: str) -> Connection:
            return Connection(open_session(peer), tls_context, certificate, patient=patient)

        super().__init__(receive, path=path)
