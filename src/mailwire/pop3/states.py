"""The states of a POP3 session and the transitions between them, as one table (RFC 1939 4 to 6, RFC 2595 4).

The machine looks up what is legal here and nowhere else; the diagram in the documentation is drawn from this table.

RFC 1939's UPDATE state is the server's: it lasts from QUIT to its response, and while it lasts `in_flight` shows it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Final

from .authorization import Apop, Auth, Pass, Stls, User, Utf8
from .commands import Capa, Command, Greeting, Lang, Quit
from .transaction import Dele, Last, List, Noop, Retr, Rset, Stat, Top, Uidl

__all__ = ["CLOSED", "TLS", "TRANSACTION", "TRANSITIONS", "State", "Transition", "transition"]


class State(Enum):
    """Where a session stands."""

    GREETING = "connected, the server has yet to speak"
    AUTHORIZATION = "the server wants to know who we are"
    TRANSACTION = "the maildrop is open"
    TLS = "the server agreed to STLS; the handshake is due"
    CLOSED = "nothing more is sent or received"

    __hash__: ClassVar[Callable[[object], int]] = (
        object.__hash__
    )  # as they are compared; an Enum's own is a function of Python

    def __repr__(self) -> str:
        return f"State.{self.name}"


# What every message asks for has a name of its own: an enum's member is looked up anew each time that it is named.
TRANSACTION: Final = State.TRANSACTION
"""`State.TRANSACTION`, found at once."""
TLS: Final = State.TLS
"""`State.TLS`, found at once."""
CLOSED: Final = State.CLOSED
"""`State.CLOSED`, found at once."""


@dataclass(frozen=True, slots=True)
class Transition:
    """Where a response leads: `done` on +OK, `refused` on -ERR."""

    done: State
    refused: State

    @property
    def ahead(self) -> State:
        """Where the command leads if all goes well."""
        return self.done


_G, _A, _T = State.GREETING, State.AUTHORIZATION, State.TRANSACTION

TRANSITIONS: Final[Mapping[tuple[State, type[Command[object]]], Transition]] = {
    # A greeting may be -ERR (locked, too many connections): then only QUIT may follow.
    (_G, Greeting): Transition(done=_A, refused=_G),
    **{(state, Quit): Transition(done=State.CLOSED, refused=State.CLOSED) for state in (_G, _A, _T)},
    (_A, Stls): Transition(done=State.TLS, refused=_A),
    (_A, User): Transition(done=_A, refused=_A),
    (_A, Pass): Transition(done=_T, refused=_A),
    (_A, Apop): Transition(done=_T, refused=_A),
    (_A, Auth): Transition(done=_T, refused=_A),
    # RFC 6856 2.1: UTF8 is for this state alone.
    (_A, Utf8): Transition(done=_A, refused=_A),
    # RFC 2449 5: CAPA is legal in both states, and may tell more in the second.
    # So is LANG (RFC 6856 3).
    **{(state, kind): Transition(done=state, refused=state) for state in (_A, _T) for kind in (Capa, Lang)},
    **{(_T, kind): Transition(done=_T, refused=_T) for kind in (Stat, List, Uidl, Retr, Top, Dele, Rset, Noop, Last)},
    # Commands of the caller's own change nothing.
    **{(state, Command): Transition(done=state, refused=state) for state in (_A, _T)},
}
"""What may be sent in a state, and where the answer leads (RFC 1939 3 to 6). What is not here is out of place."""
_KINDS: Final = frozenset(kind for _, kind in TRANSITIONS)


def transition(state: State, command: type[Command[object]]) -> Transition | None:
    """Return the row of the table for `command` in `state`; None where it is illegal."""
    if command not in _KINDS:
        command = next(kind for kind in command.__mro__ if kind in _KINDS)
    return TRANSITIONS.get((state, command))
