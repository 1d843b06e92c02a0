"""Challenges: the server's side of an exchange of AUTH, answered until its final response (RFC 5034 4)."""

import re
from collections.abc import Callable
from typing import Final

from .._wire.trace import Masked, Spoken, Trace
from ..errors import AuthenticationFailed
from ..sasl.exchange import CANCEL
from ..sasl.work import ComputationDue
from .authorization import Auth
from .quirks import Quirks
from .response import parse_status

__all__ = ["Challenges"]

_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]+={0,2}\Z")


class Challenges:
    """Answers challenges, one after the other. `write` takes the lines that answer them, `trace` is told of them."""

    def __init__(self, write: Callable[[bytes], None], trace: Trace, quirks: Quirks) -> None:
        self._write = write
        self._trace = trace
        self._takes_ok = quirks.ok_as_challenge
        self.computing: Auth | None = None
        """The command whose response is to be computed."""

    def find(self, command: Auth, line: bytes) -> bytes | None:
        """Return the challenge that `line` is to `command`; None if it is the final response, or nonsense."""
        if line == b"+" or line.startswith(b"+ "):
            return line[2:]
        exchange = command.exchange
        if not self._takes_ok or exchange.is_complete or exchange.failure is not None:
            return None
        response = parse_status(line)
        if response is None or not response.ok:
            return None
        return response.line if _BASE64.match(response.line) else b""

    def answer(self, command: Auth, challenge: bytes) -> ComputationDue | AuthenticationFailed | None:
        """Answer `challenge`.

        Returns the event to be told if that takes long to compute, and the error if the server goes on though it was
        told that the exchange is cancelled.
        """
        self._trace("S", Masked("+"))
        if command.exchange.failure is not None:
            return command.exchange.error("; and the server goes on after the cancel")
        response = command.exchange.respond(challenge)
        if isinstance(response, ComputationDue):
            self.computing = command
            return response
        self._respond(response)
        return None

    def go_on(self) -> None:
        """Give the answer that was to be computed, if there is one; it is computed here if nobody did."""
        if self.computing is not None:
            computed, self.computing = self.computing.exchange.take_computed(), None
            self._respond(computed)

    def _respond(self, response: bytes) -> None:
        self._trace("C", Spoken("*") if response == CANCEL else Masked())
        self._write(response)
