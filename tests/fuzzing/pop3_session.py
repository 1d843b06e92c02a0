"""A target: a client program and the POP3 machine, before a server that says anything at any time."""

from collections.abc import Callable
from typing import Final

from mailwire import InjectedData, MailwireError, Password, RemoteProtocolError
from mailwire.pop3 import (
    LOCKSTEP,
    PIPELINING_WINDOW,
    Auth,
    Capa,
    Command,
    Connection,
    Dele,
    Event,
    Lang,
    Last,
    List,
    MessageData,
    MessageEnd,
    Noop,
    Pass,
    Quirks,
    Quit,
    ResponseReceived,
    Retr,
    Rset,
    Stat,
    Stls,
    Top,
    Uidl,
    User,
    Utf8,
)
from mailwire.sasl import Login, Plain
from tests.fuzzing.pieces import TURN, Cutter, kind_of, octets, whole

__all__ = ["run"]

_CREDENTIALS: Final = Password("tim", "kanarienvogel")

# What the client may say, in this order; each octet of the choice takes or leaves eight of them.
_PROGRAM: Final[tuple[Callable[[], Command[object]], ...]] = (
    *(Capa, Stls, Utf8, lambda: User("tim"), lambda: Pass("kanarienvogel")),
    *(lambda: Auth(Plain(_CREDENTIALS)), lambda: Auth(Login(_CREDENTIALS)), Capa),
    *(Stat, List, Uidl, lambda: Retr(1), lambda: Retr(2, size=30), lambda: Top(1, 0), lambda: List(1), lambda: Uidl(2)),
    *(lambda: Lang(), Last, lambda: Dele(1), Noop, Rset, lambda: Retr(1), lambda: Lang("en"), Quit),
)


def run(data: bytes, cut: Cutter = octets) -> None:
    """Play a session: an octet chooses the machine, three what the client says, the rest is the server's turns."""
    options, chosen = data[:1].ljust(1, b"\0")[0], int.from_bytes(data[1:4].ljust(3, b"\0"), "big")
    turns = data[4:].split(TURN)
    one, other = _Play(options, chosen), _Play(options, chosen)
    one.run(turns, whole)
    other.run(turns, cut)
    if options & 128:
        return  # what is forgiven then, is forgiven by what has arrived
    told, otherwise = _account(one.events), _account(other.events)
    if isinstance(one.error, RemoteProtocolError) and other.error is None:
        # What is behind the answer to QUIT is looked at where it comes with it: nobody waits for it.
        last = other.events[-1]
        assert isinstance(last, ResponseReceived)
        assert isinstance(last.command, Quit)
        assert _begins(otherwise, told)
        return
    assert kind_of(one.error) == kind_of(other.error)
    if isinstance(one.error, InjectedData):
        assert _begins(otherwise, told)
    else:
        assert len(told) == len(otherwise)
        assert _begins(otherwise, told)
        assert one.sent == other.sent


def _account(events: list[Event]) -> list[Event | bytes]:
    # What was told, whatever the blocks that a message came in.
    told, blocks = list[Event | bytes](), list[bytes]()
    for event in events:
        if isinstance(event, MessageData):
            assert event.data, "a block of no octets was handed out"
            blocks.append(event.data)
            continue
        message = b"".join(blocks)
        assert not isinstance(event, MessageEnd) or event.octets == len(message)
        told += (message, event)
        blocks.clear()
    return [*told, b"".join(blocks)]


def _begins(all_of_it: list[Event | bytes], beginning: list[Event | bytes]) -> bool:
    return len(all_of_it) >= len(beginning) and all(map(_alike, all_of_it, beginning))


def _alike(one: Event | bytes, other: Event | bytes) -> bool:
    if one == other:
        return True
    # An exchange is one of its own.
    return (
        isinstance(one, ResponseReceived)
        and isinstance(other, ResponseReceived)
        and one.response == other.response
        and [*map(str, (one.command, *one.discarded))] == [*map(str, (other.command, *other.discarded))]
    )


class _Play:
    def __init__(self, options: int, chosen: int) -> None:
        quirks = Quirks(
            second_status=bool(options & 2),
            blank_lines=bool(options & 4),
            plus_err=bool(options & 8),
            ok_as_challenge=bool(options & 16),
            bare_lf_bodies=bool(options & 32),
            cut_terminator=bool(options & 128),
        )
        is_patient = options & 1 or quirks.needs_lockstep
        self.connection = Connection(window=LOCKSTEP if is_patient else PIPELINING_WINDOW, quirks=quirks)
        self.events: list[Event] = []
        self.sent = b""
        self.error: MailwireError | None = None
        self._program = [make for place, make in enumerate(_PROGRAM) if chosen >> place & 1]
        self._waits = bool(options & 64)  # for one answer before the next command is said

    def run(self, turns: list[bytes], cut: Cutter) -> None:
        try:
            for turn in turns:
                self._say()
                self._hear(turn, cut)
                self.sent += b"".join(self.connection.data_to_send())
            self.connection.receive_eof()
            self._hear(b"", whole)
        except MailwireError as error:
            self.error = error

    def _say(self) -> None:
        while self._program and not (self._waits and self.connection.unanswered):
            command = self._program[0]()
            self.connection.send(command)
            del self._program[0]
            if isinstance(command, Stls):
                break
        self.sent += b"".join(self.connection.data_to_send())

    def _hear(self, turn: bytes, cut: Cutter) -> None:
        heard = list[Event]()
        try:
            for piece in cut(turn):
                self.connection.receive_data(piece)
                while (event := self.connection.next_event()) is not None:
                    heard.append(event)
        finally:
            self.events += heard
        for event in heard:
            if isinstance(event, ResponseReceived) and isinstance(event.command, Stls) and event.response.ok:
                self.connection.tls_established()
