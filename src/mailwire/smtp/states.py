"""The states of an SMTP session and the transitions between them, as one table (RFC 5321 3.1 to 3.8, 4.1.4).

The machine looks up what is legal here and nowhere else; the diagram in the documentation is drawn from this table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, Final

from .commands import (
    Auth,
    Bdat,
    BdatLast,
    Command,
    Data,
    Ehlo,
    EndOfData,
    Expn,
    Greeting,
    Helo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
)

__all__ = [
    "CLOSED",
    "READY",
    "SPOILED",
    "TRANSACTION",
    "TRANSITIONS",
    "State",
    "Transition",
    "overtaken",
    "transition",
]


class State(Enum):
    """Where a session stands."""

    GREETING = "connected, the server has yet to speak"
    INITIATION = "EHLO or HELO is due"
    READY = "a mail transaction may begin"
    TRANSACTION = "MAIL was accepted; recipients, then DATA"
    MAIL_DATA = "354 was received; the message goes out"
    CHUNKS = "a chunk was accepted; the next one, or RSET"
    SPOILED = "a chunk was refused; RSET is due"
    AUTHENTICATION = "334 was received; an exchange of AUTH is under way"
    TLS = "the server agreed to STARTTLS; the handshake is due"
    CLOSED = "nothing more is sent or received"

    # Every state is one object, and looked up for every reply: by its identity, without a call of Python's own.
    __hash__: ClassVar[Callable[[object], int]] = object.__hash__

    def __repr__(self) -> str:
        return f"State.{self.name}"


# What every mail asks for has a name of its own: an enum's member is looked up anew each time that it is named.
READY: Final = State.READY
"""`State.READY`, found at once."""
TRANSACTION: Final = State.TRANSACTION
"""`State.TRANSACTION`, found at once."""
SPOILED: Final = State.SPOILED
"""`State.SPOILED`, found at once."""
CLOSED: Final = State.CLOSED
"""`State.CLOSED`, found at once."""


@dataclass(frozen=True, slots=True)
class Transition:
    """Where a reply leads: `done` on 2yz, `more` on 3yz, `refused` on 4yz and 5yz; None: no such reply."""

    done: State | None
    refused: State
    more: State | None = None
    ahead: State = field(init=False, repr=False)
    """Where the command leads if all goes well."""

    def __post_init__(self) -> None:
        if (state := self.done or self.more) is None:
            raise AssertionError("every command can be answered with a success")
        object.__setattr__(self, "ahead", state)


def _stay(state: State) -> Transition:
    return Transition(done=state, refused=state)


_G, _I, _R, _T, _M = State.GREETING, State.INITIATION, State.READY, State.TRANSACTION, State.MAIL_DATA
_C, _S = State.CHUNKS, State.SPOILED
_CLOSED: Final = Transition(done=State.CLOSED, refused=State.CLOSED)

TRANSITIONS: Final[Mapping[tuple[State, type[Command[object]]], Transition]] = {
    (_G, Greeting): Transition(done=_I, refused=_G),
    # RFC 5321 3.1: after a refused greeting only QUIT may follow.
    **{(state, Quit): _CLOSED for state in (_G, _I, _R, _T, _C, _S)},
    # RFC 5321 4.1.4: a later EHLO resets like RSET. One that is refused leaves all as it was.
    **{(state, hello): Transition(done=_R, refused=state) for state in (_I, _R, _T, _C, _S) for hello in (Ehlo, Helo)},
    (_R, StartTls): Transition(done=State.TLS, refused=_R),
    (_R, Auth): Transition(done=_R, refused=_R, more=State.AUTHENTICATION),
    (State.AUTHENTICATION, Auth): Transition(done=_R, refused=_R, more=State.AUTHENTICATION),
    (_R, Mail): Transition(done=_T, refused=_R),
    (_T, Rcpt): _stay(_T),
    # A refused DATA leaves the transaction open (RFC 5321 4.1.4): RSET ends it.
    (_T, Data): Transition(done=None, refused=_T, more=_M),
    # RFC 5321 4.1.1.4: the end of mail data ends the transaction, whatever the verdict.
    (_M, EndOfData): _stay(_R),
    # RFC 3030 2: behind a refused chunk, the last or not, the state is indeterminate and RSET "MUST be issued"; DATA
    # cannot follow chunks. A further chunk "MUST NOT" be sent: what was on its way is answered, and changes nothing.
    **{(state, Bdat): Transition(done=_C, refused=_S) for state in (_T, _C)},
    **{(state, BdatLast): Transition(done=_R, refused=_S) for state in (_T, _C)},
    (_I, Rset): _stay(_I),
    (_R, Rset): _stay(_R),
    **{(state, Rset): Transition(done=_R, refused=state) for state in (_T, _C, _S)},
    # The rest, and commands of the caller's own (`Command`), may come at any time and change nothing.
    **{(state, command): _stay(state) for state in (_I, _R, _T, _C, _S) for command in (Noop, Vrfy, Expn, Help)},
    **{(state, Command): _stay(state) for state in (_R, _T)},
}
"""What may be sent in a state, and where the reply leads (RFC 5321 4.1.4). What is not here is out of place."""

_KINDS: Final = frozenset(kind for _, kind in TRANSITIONS)


# What was found once, kinds of the caller's own among it.
_FOUND: Final[dict[tuple[State, type[Command[object]]], Transition | None]] = dict(TRANSITIONS)


def transition(state: State, command: type[Command[object]]) -> Transition | None:
    """Return the row of the table for `command` in `state`; None where it is illegal."""
    try:
        return _FOUND[state, command]
    except KeyError:
        kind = next(kind for kind in command.__mro__ if kind in _KINDS)
        return _FOUND.setdefault((state, command), TRANSITIONS.get((state, kind)))


def overtaken(state: State, command: type[Command[object]]) -> Transition:
    """Return where the reply to `command` leads if it has become illegal since it left, as RCPT behind a refused MAIL.

    Then nothing moves, except that a server which says 354 reads what comes as mail data.
    """
    return Transition(done=None, refused=state, more=_M) if issubclass(command, Data) else _stay(state)
