"""Mechanism: one way to prove who we are (RFC 4422 3)."""

from collections.abc import Sequence
from typing import ClassVar, Final, Protocol

from .work import Work

__all__ = ["Mechanism", "MechanismFailed", "given_instead", "mechanism_problem"]

# Of a Mechanism. What is derived from that class has them all.
_ATTRIBUTES: Final = (
    "name",
    "exposes_password",
    "proves_server",
    "initial_response",
    "respond",
    "is_complete",
    "secrets",
)


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
    got = given_instead(value)
    return None if got is None else f"expected a mechanism such as sasl.Plain(sasl.Password(user, password)), got {got}"


def given_instead(value: object) -> str | None:
    """Return what kind of thing `value` is where it is no mechanism; None if it is one."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    is_named = isinstance(getattr(value, "name", None), str) and callable(getattr(value, "initial_response", None))
    # A property of its class is not asked yet: what it says may be there from the first response on.
    if is_named and all(hasattr(type(value), name) or hasattr(value, name) for name in _ATTRIBUTES):
        return None
    return f"a value of the type {type(value).__name__}"
