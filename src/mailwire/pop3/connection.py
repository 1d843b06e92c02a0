"""Connection: a POP3 client as a machine, without I/O (RFC 1939).

Bytes in, events out; commands in, bytes out. The laws it keeps:

1. What may be sent is looked up in the table of `states`, in the state to which everything said so far will lead if
   all of it is accepted. A call that is refused changes nothing.
2. `state` moves when an event is handed out, never before. Events are taken one at a time; but for messages that have
   come whole, which change no state (`take_message`, `take_messages`).
3. A response answers the oldest command in flight. One that answers nothing is a fault of the server, except -ERR, with
   which it ends an idle session.
4. A message is complete when its terminator was seen, and only then. Sizes that a server announces are hints.
5. A server's "no" is an event. A server's fault raises, once, and closes the machine for good: what is in flight then
   is unresolved for ever, and can be read.

How to drive it: write what `data_to_send()` returns; feed what is read to `receive_data`, the end of it to
`receive_eof`; after either, take events until `next_event()` returns None; write again. Taking no events is how to hold
back a server that sends faster than the messages can be used: then read no more, either.
"""

from collections.abc import Callable, Sequence
from typing import Final

from .._wire.lines import LineBuffer
from .._wire.pipeline import LOCKSTEP, Pipeline, Window
from .._wire.text import check_line, check_lines, command_expected, octets_of
from .._wire.trace import Elided, Several, Trace, Traceable
from ..errors import LocalProtocolError
from ..sasl.challenges import Challenges
from .answers import Answers
from .authorization import Auth, Stls, Utf8
from .body import Body, body_at
from .capabilities import Capabilities
from .commands import Command, Greeting
from .events import Event
from .faults import objection
from .gathering import Gathering
from .limits import DEFAULT_LIMITS, Limits
from .quirks import STANDARD, Quirks
from .response import Response
from .states import CLOSED, TLS, TRANSACTION, State, transition
from .transaction import Noop, Retr, Top

__all__ = ["PIPELINING_WINDOW", "Connection"]

# What is said at most once in a session, or at most once as the same object.
_CHECKED: Final = (Stls, Auth, Utf8)
# What asks for a message, and changes nothing else.
_GIVING: Final = frozenset({Retr, Top})

# mpop, which has pipelined for years, keeps at most 100 commands in flight. The octets bound what a cancelled
# retrieval leaves on its way to us.
PIPELINING_WINDOW = Window(commands=100, octets=4 * 1024 * 1024)
"""How much is unanswered at a time if nothing else is said: of the octets, those of the messages that were asked
for."""


def _ignore(_direction: str, _what: object) -> None:
    pass


class _Messages(tuple[Response | int, ...], Several):
    # Messages that came together: for each the response by which it was given, and how many octets it has.

    __slots__ = ()

    def parts(self) -> list[Traceable]:
        return [Elided(said) if isinstance(said, int) else said for said in self]


class Connection(Answers):
    """One POP3 connection, from its greeting to its end.

    window: how much may be unanswered where the server announces PIPELINING; `LOCKSTEP` switches pipelining off.
    limits: how much a server may say.
    quirks: what the server does against the standard and is forgiven.
    trace: is told everything that is said, in order, with secrets masked.
    """

    def __init__(
        self,
        *,
        window: Window = PIPELINING_WINDOW,
        limits: Limits = DEFAULT_LIMITS,
        quirks: Quirks = STANDARD,
        trace: Trace = _ignore,
    ) -> None:
        self.state: State = State.GREETING
        """Where the session stands."""
        self.greeting: Response | None = None
        """None until it came, and again once TLS has made it worthless."""
        self.capabilities: Capabilities | None = None
        """None until CAPA was answered, and again after STLS."""
        self.trace: Trace = trace
        """Is told everything that is said. It may be set at any time."""
        self._ahead = State.AUTHORIZATION  # where everything said so far leads if all of it is accepted
        self._window = window
        self._limits = limits
        self._quirks = quirks
        self._pipeline: Pipeline[Command[object]] = Pipeline(self._released)
        self._pipeline.expect(Greeting())
        self._buffer = LineBuffer(limits.line)
        self._eof = False
        self._is_cut = False  # on this side
        self._answered_last: Command[object] | None = None
        self._status: Response | None = None  # the first line of an answer whose body is being read
        self._body = Body(quirks)
        self._gathering: Gathering | None = None  # of that body, if it is no message
        self._given: dict[bytes, Response] = {}  # responses by which messages were given, by their lines
        self._challenges = Challenges(self._pipeline.write, lambda *said: self.trace(*said))
        self._is_secured = False  # TLS was begun by STLS
        self._is_utf8 = False  # UTF8 was said

    # What is unresolved

    @property
    def in_flight(self) -> tuple[Command[object], ...]:
        """The commands that have left and are not answered, the oldest first. They stay when the connection dies."""
        return self._pipeline.in_flight

    @property
    def queued(self) -> tuple[Command[object], ...]:
        """The commands that have not left yet."""
        return self._pipeline.queued

    @property
    def unanswered(self) -> int:
        """How many commands are not answered, `in_flight` and `queued` together."""
        return self._pipeline.unanswered

    @property
    def awaited(self) -> Command[object] | None:
        """The command that the server's next words answer, or will answer once it has left; None if none is due."""
        return self._pipeline.oldest or self._pipeline.next

    @property
    def window(self) -> Window:
        """How much may be unanswered where the server announces PIPELINING.

        It may be set at any time, to `LOCKSTEP` to stop pipelining. What has left already stays in flight.
        """
        return self._window

    @window.setter
    def window(self, window: Window) -> None:
        self._window = window
        self._pipeline.window = window if self.is_pipelining else LOCKSTEP

    @property
    def awaits_answer(self) -> bool:
        """Whether a command has left that is not answered yet: else the server has nothing to say."""
        return self._pipeline.awaits_answer

    @property
    def held(self) -> int:
        """How many octets were received that nothing was made of yet: no event, nor a line of an answer that has more.

        Whoever reads no more than there is room for beside them holds no more of a line that never ends.
        """
        return self._buffer.size

    @property
    def is_pipelining(self) -> bool:
        """Whether the server announced PIPELINING."""
        return self.capabilities is not None and self.capabilities.pipelining

    @property
    def progress(self) -> str:
        """How far the answer that is awaited came, as a clause for an error: "of the answer to STAT came nothing"."""
        command = self._pipeline.oldest
        if command is None:
            return f"{self.awaited} has not left yet" if self.awaited else "no answer is awaited"
        came = self._buffer.quote_rest() or "nothing" if self._status is None else f"{self._body}{self._body.hint}"
        return f"of the answer to {command} came {came}"

    @property
    def gathered(self) -> int:
        """How many octets have come of an answer of many lines that is no message, and not whole yet."""
        return 0 if self._gathering is None else self._body.octets

    @property
    def given(self) -> int:
        """How many octets have come of a message that is not whole yet."""
        return self._body.octets if self._status is not None and self._gathering is None else 0

    # Sending

    def send(self, command: Command[object]) -> None:
        """Queue `command`; `data_to_send()` lets it leave when its turn has come.

        Raises LocalProtocolError if it is out of place behind what was said so far; ValueError if its line holds a
        control character, and for what is no command, as a str is none, nor the class of one. In either case nothing
        was changed.
        """
        if not isinstance(command, Command):
            raise command_expected("pop3.Noop()", command)
        row = transition(self._ahead, type(command))
        if row is None or isinstance(command, Greeting):
            raise LocalProtocolError(f"{command} cannot be sent now: {self._situation()}")
        line = self._check(command) if isinstance(command, _CHECKED) else check_line(command.encode())
        self._pipeline.queue(command, line, command.octets)
        self._ahead = row.done

    def send_each(self, commands: Sequence[Retr | Top]) -> None:
        """Queue `commands`, each of which asks for a message, as `send` does one after the other, at less cost.

        Raises LocalProtocolError where they are out of place, and ValueError for what asks for no message: then none of
        them is queued.
        """
        if not _GIVING.issuperset(map(type, commands)):
            other = next(command for command in commands if type(command) not in _GIVING)
            raise command_expected("pop3.Retr(1)", other)
        if transition(self._ahead, Retr) is None:
            raise LocalProtocolError(f"no message can be asked for now: {self._situation()}")
        lines = [command.encode() for command in commands]
        if lines:
            check_lines(b"".join(lines), len(lines))
        self._pipeline.queue_each(commands, lines, [command.octets for command in commands])

    def send_ahead(self, command: Noop) -> bool:
        """Let `command` leave before all that is queued, so that a server hears of us whose answers nobody reads.

        It takes nothing of the window, which may be full. False if it has no place now: outside of TRANSACTION, behind
        a command that ends a group, and, where the server does not pipeline, behind any. Raises RemoteProtocolError if
        the server has said something though nothing was asked.
        """
        in_flight, pipelines = self._pipeline.in_flight, self._pipeline.window.commands > 1
        if self.state is not TRANSACTION or (in_flight and (in_flight[-1].ends_group or not pipelines)):
            return False
        self._refuse_unasked()
        self._pipeline.send_ahead(command, command.encode())
        return True

    def _check(self, command: Stls | Auth | Utf8) -> bytes:
        # Of what is said once in a session, return the line.
        if problem := objection(command, is_secured=self._is_secured, is_utf8=self._is_utf8):
            raise LocalProtocolError(problem)
        line = check_line(command.encode())
        if isinstance(command, Auth):
            command.exchange.is_begun = True
        elif isinstance(command, Utf8):
            self._is_utf8 = True
        return line

    def discard_queued(self) -> tuple[Command[object], ...]:
        """Drop every command that has not left yet; return them."""
        discarded = self._pipeline.discard_queued()
        self._look_ahead()
        return discarded

    def tls_established(self) -> None:
        """Go on under TLS: the handshake after STLS has succeeded.

        All that was learnt in the clear is forgotten (RFC 2595 4): capabilities, and the greeting with its timestamp.
        Raises LocalProtocolError unless the server agreed to STLS, InjectedData if bytes had come before the handshake.
        """
        if self.state is not TLS:
            raise LocalProtocolError(f"no TLS session can begin now: {self._situation()}")
        self._refuse_injected()
        self.state = self._ahead = State.AUTHORIZATION
        self.greeting = self.capabilities = None
        self._is_secured = True
        self._pipeline.window = LOCKSTEP

    # Receiving

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Feed bytes that the server sent. What they mean, or what is wrong with them, `next_event` tells. What can be
        changed is copied; for what is of no octets' kind ValueError is raised, and nothing was changed."""
        if type(data) is not bytes:
            data = octets_of("what is received", data)
        self._buffer.feed(data)

    def receive_eof(self, *, is_ours: bool = False) -> None:
        """Say that the server will send nothing more.

        is_ours: it was the connection that was cut, on this side, and the server has not left: errors say so.
        """
        self._eof, self._is_cut = True, is_ours

    # Taking events

    def next_event(self) -> Event | None:
        """Return the next event, None if more must be received first (or, in state CLOSED, for ever).

        Raises RemoteProtocolError when the server breaks the protocol, MessageTruncated when it stops in the middle of
        a message, ConnectionLost when it has left a command without its answer, AuthenticationFailed or ServerUnproven
        when it claims a success that the mechanism cannot confirm. The machine is closed then.
        """
        if self.state is CLOSED:
            return None
        if self._challenges.computing is not None:
            self._challenges.go_on()
        if self.state is TLS:
            self._refuse_injected()
        event = self._next_of_body() if self._status is not None else self._next_answer()
        if event is None and self._eof:
            return self._ended()
        return event

    def take_message(self, limit: int) -> bytes | None:
        """Return the message whose first line was handed out, in the place of its MessageData and MessageEnd.

        It is there to take small messages at less cost than by events. None, and nothing has changed, where the message
        has not arrived whole in one piece, is longer than `limit` octets on the wire, or was begun to be handed out:
        then take events.
        """
        if self._status is None or self._gathering is not None or self.state is not TRANSACTION:
            return None
        message = self._body.take_whole(self._buffer, limit)
        if message is not None:
            self._status = None
            self.trace("S", Elided(len(message)))
            self._answered_last = self._pipeline.settle()
        return message

    def take_messages(self, limit: int, is_wanted: Callable[[bytes], bool]) -> list[bytes]:
        """Return the messages that come next, as many as lie whole in one piece of what has arrived, each in the place
        of its ResponseReceived, MessageData and MessageEnd.

        It is there to take many small messages at less cost than one by one. They have no more than `limit` octets in
        all; one that is longer on the wire than what is left of that, and one of which `is_wanted` is not true, is not
        among them. What is behind the last of them, and what is no message, comes as events.
        """
        messages: list[bytes] = []
        buffer, given = self._buffer, self._given
        if (
            self._status is not None
            or self.state is not TRANSACTION
            or buffer.is_inside_line
            or self._quirks.bare_lf_bodies
        ):
            return messages
        data, start = buffer.peek_block()
        said: list[Response | int] = []
        for command in self._pipeline.each_due():
            begin = data.find(b"\n", start) + 1
            if (
                type(command) is not Retr
                or begin - start > buffer.line_limit
                or not data.startswith(b"\r", begin - 2, begin)
            ):
                break
            line = data[start : begin - 2]
            response = given.get(line) or self._read_given(line)
            found = None if response is None else body_at(data, begin, limit)
            if response is None or found is None or not is_wanted(found[0]):
                break
            message, start = found
            limit -= len(message)
            messages.append(message)
            said += (response, len(message))
        if messages:
            buffer.skip_to(start)
            self.trace("S", _Messages(said))
            self._answered_last = self._pipeline.settle(len(messages))
        return messages

    @property
    def is_all_sent(self) -> bool:
        """Whether nothing waits to leave; an answer to a challenge that is being computed aside."""
        return self._pipeline.is_idle

    # Taking bytes

    def data_to_send(self) -> list[bytes]:
        """Return what may be written now, in order; the commands in it are in flight from here on.

        Raises RemoteProtocolError if the server has said something though nothing was asked: it would be taken for the
        answer to what is about to be asked.
        """
        if self._challenges.computing is not None:
            self._challenges.go_on()
        if self._pipeline.is_idle:
            return []
        if self._pipeline.next is not None and self._buffer:
            self._refuse_unasked()
            if self._status is None and self._buffer.has_line:
                # Events first: what was said already cannot answer what is about to be asked.
                return self._pipeline.blocks_to_send()
        return self._pipeline.data_to_send()

    # Private

    def _situation(self) -> str:
        text = f"the connection is in state {self.state.name} ({self.state.value})"
        waiting = [*self.in_flight, *self.queued]
        return f"{text}, with {waiting[-1]} not answered yet" if waiting else text

    def _released(self, command: Command[object]) -> None:
        if command.is_secret:
            self._buffer.mask_with(command.mask)  # for good: a server may remember it as long as we do
        self.trace("C", command)
