"""Challenges: the server's side of an exchange of AUTH, answered until its final word (RFC 4954 4, RFC 5034 4)."""

from collections.abc import Callable

from .._wire.trace import Masked, Spoken, Trace
from ..errors import AuthenticationFailed
from .exchange import CANCEL, Exchange
from .work import ComputationDue

__all__ = ["Challenges"]


class Challenges:
    """Answers challenges, one after the other. `write` takes the lines that answer them, `trace` is told of them."""

    def __init__(self, write: Callable[[bytes], None], trace: Trace) -> None:
        self._write = write
        self._trace = trace
        self.computing: Exchange | None = None
        """The exchange whose response is to be computed."""

    def answer(self, exchange: Exchange, challenge: bytes, sign: str) -> ComputationDue | AuthenticationFailed | None:
        """Answer `challenge`, in base64. `sign`: how the protocol marks a challenge, which a transcript shows of it.

        Returns the event to be told if that takes long to compute, and the error if the server goes on though it was
        told that the exchange is cancelled.
        """
        self._trace("S", Masked(sign))
        if exchange.failure is not None:
            return exchange.error("; and the server goes on after the cancel")
        response = exchange.respond(challenge)
        if isinstance(response, ComputationDue):
            self.computing = exchange
            return response
        self._respond(response)
        return None

    def go_on(self) -> None:
        """Give the answer that was to be computed, if there is one; it is computed here if nobody did."""
        if self.computing is not None:
            computed, self.computing = self.computing.take_computed(), None
            self._respond(computed)

    def _respond(self, response: bytes) -> None:
        self._trace("C", Spoken("*") if response == CANCEL else Masked())
        self._write(response)
