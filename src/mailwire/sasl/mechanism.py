"""Mechanism: one way to prove who we are (RFC 4422 3)."""

from collections.abc import Sequence
from typing import ClassVar, Protocol

from .work import Work

__all__ = ["Mechanism", "MechanismFailed", "mechanism_problem"]


class MechanismFailed(Exception):
    """The server's challenge is none that this mechanism can answer. The exchange is cancelled with `*`."""


class Mechanism(Protocol):
    """One use of a mechanism, for one exchange. To add one of your own, derive from this and write the two methods."""

    name: str  # as registered, in upper case
    exposes_password: ClassVar[bool] = True  # whether someone who listens learns what is needed to log in

    proves_server: ClassVar[bool] = False  # whether it is complete only once the server has shown that it knows us

    def initial_response(self) -> bytes | None:
        """Return what the client says first, None where the server speaks first."""

    def respond(self, challenge: bytes) -> bytes | Work:
        """Return the response to `challenge`, or Work that computes it. Raises MechanismFailed if there is none."""

    @property
    def is_complete(self) -> bool:
        """Whether the client has nothing more to say or to see: success before that is no success."""
        return True

    @property
    def secrets(self) -> Sequence[bytes]:
        """What must not be shown if the server says it: passwords and tokens, in octets."""
        return ()


def mechanism_problem(value: object) -> str | None:
    """Return what is wrong with `value` where a mechanism is to be given; None if nothing is. It is not quoted, for it
    may be a password.

    Whoever raises an error of that, first lets go of the value: a traceback may show locals.
    """
    if isinstance(value, type):
        got = f"the class {value.__name__}"
    elif isinstance(getattr(value, "name", None), str) and callable(getattr(value, "initial_response", None)):
        return None
    else:
        got = f"a value of the type {type(value).__name__}"
    return f"expected a mechanism such as sasl.Plain(sasl.Password(user, password)), got {got}"
