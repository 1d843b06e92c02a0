"""A token introspection endpoint (RFC 7662) on the loopback interface, for Dovecot to ask about the tests' tokens."""

import json
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs

from tests.integration.daemon import HOST, free_ports

__all__ = ["Introspection", "Token"]

_READ_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Token:
    """What the endpoint knows about a token: whose it is, for what, and whether it is still good."""

    username: str
    scope: str
    active: bool = True


class Introspection:
    """An HTTP server that is asked about a token by POST to `url`.

    `tokens` are those that it knows, `asked` those that it was asked about, in that order.
    """

    def __init__(self) -> None:
        (self._port,) = free_ports(1)
        self.url = f"http://{HOST}:{self._port}/"
        self.tokens: dict[str, Token] = {}
        self.asked: list[str] = []
        self._server: _Server | None = None
        self._thread: Thread | None = None

    def start(self) -> None:
        """Start to listen, and to answer in a thread. Raises `OSError` if the port was taken in the meantime."""
        self._server = _Server(self, self._port)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="introspection")
        self._thread.start()

    def stop(self) -> None:
        """Stop answering, and wait until the port is closed and every thread is gone."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = self._thread = None

    def answer(self, token: str) -> dict[str, object]:
        """Return what is said about `token`."""
        self.asked.append(token)
        known = self.tokens.get(token)
        # RFC 7662 2.2: about a token that is unknown or no longer good nothing else is told.
        if known is None or not known.active:
            return {"active": False}
        return {"active": True, "username": known.username, "scope": known.scope, "token_type": "Bearer"}


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close waits for them

    def __init__(self, introspection: Introspection, port: int) -> None:
        self.introspection = introspection
        super().__init__((HOST, port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _READ_SECONDS

    def do_POST(self) -> None:
        fields = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode("ascii"), strict_parsing=True)
        (token,) = fields["token"]
        content = json.dumps(self.server.introspection.answer(token)).encode("ascii")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log no request on the standard error output: what was asked can be read in `asked`."""
