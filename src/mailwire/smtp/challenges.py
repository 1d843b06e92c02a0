"""Challenges: the server's side of an exchange of AUTH, answered until its final reply (RFC 4954 4)."""

from collections.abc import Callable

from .._wire.trace import Masked, Spoken, Trace
from ..errors import AuthenticationFailed
from ..sasl.exchange import CANCEL
from ..sasl.work import ComputationDue
from .commands import Auth
from .reply import Reply

__all__ = ["Challenges"]


class Challenges:
    """Answers challenges, one after the other. `write` takes the lines that answer them, `trace` is told of them."""

    def __init__(self, write: Callable[[bytes], None], trace: Trace) -> None:
        self._write = write
        self._trace = trace
        self._computing: Auth | None = None  # its response is being computed
        self.is_computing: bool = False
        """Whether an answer is to be computed."""

    def answer(self, command: Auth, reply: Reply) -> ComputationDue | AuthenticationFailed | None:
        """Answer the challenge in `reply`.

        Returns the event to be told if that takes long to compute, and the error if the server goes on though it was
        told that the exchange is cancelled.
        """
        self._trace("S", Masked(str(reply.code)))
        if command.exchange.failure is not None:
            return command.exchange.error("; and the server goes on after the cancel")
        response = command.exchange.respond(b"".join(reply.lines))
        if isinstance(response, ComputationDue):
            self._computing, self.is_computing = command, True
            return response
        self._respond(response)
        return None

    def go_on(self) -> None:
        """Give the answer that was to be computed, if there is one; it is computed here if nobody did."""
        if self._computing is not None:
            computed, self._computing = self._computing.exchange.take_computed(), None
            self.is_computing = False
            self._respond(computed)

    def _respond(self, response: bytes) -> None:
        self._trace("C", Spoken("*") if response == CANCEL else Masked())
        self._write(response)
