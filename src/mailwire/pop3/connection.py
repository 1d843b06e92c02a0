"""Connection: a POP3 client as a machine, without I/O (RFC 1939).

Bytes in, events out; commands in, bytes out. The laws it keeps:

1. What may be sent is looked up in the table of `states`, in the state to which everything said so far will lead if
   all of it is accepted. A call that is refused changes nothing.
2. `state` moves when an event is handed out, never before. Events are taken one at a time.
3. A response answers the oldest command in flight. One that answers nothing is a fault of the server, except -ERR, with
   which it ends an idle session.
4. A message is complete when its terminator was seen, and only then. Sizes that a server announces are hints.
5. A server's "no" is an event. A server's fault raises, once, and closes the machine for good: what is in flight then
   is unresolved for ever, and can be read.

How to drive it: write what `data_to_send()` returns; feed what is read to `receive_data`, the end of it to
`receive_eof`; after either, take events until `next_event()` returns None; write again. Taking no events is how to hold
back a server that sends faster than the messages can be used: then read no more, either.
"""

from dataclasses import replace

from .._wire.dots import DotUnstuffer
from .._wire.lines import LineBuffer
from .._wire.pipeline import LOCKSTEP, Pipeline, Window
from .._wire.text import check_line
from .._wire.trace import Elided, Masked, Spoken, Trace
from ..errors import (
    ConnectionLost,
    InjectedData,
    LimitExceeded,
    LocalProtocolError,
    MailwireError,
    MessageTruncated,
    RemoteProtocolError,
)
from ..sasl.exchange import CANCEL
from ..sasl.work import ComputationDue
from .capabilities import Capabilities
from .commands import Auth, Capa, Command, Greeting, Stls
from .events import ConnectionClosed, Event, MessageData, MessageEnd, ResponseReceived, ServerClosing
from .limits import DEFAULT_LIMITS, Limits
from .listing_reader import BodyReader
from .refusals import RefusalCause
from .response import SHOWN_LIMIT, LongResponse, Response, parse_status
from .states import State, transition

__all__ = ["PIPELINING_WINDOW", "Connection"]

# mpop, which has pipelined for years, keeps at most 100 commands in flight. The octets bound what a cancelled
# retrieval leaves on its way to us.
PIPELINING_WINDOW = Window(commands=100, octets=4 * 1024 * 1024)


def _ignore(_direction: str, _what: object) -> None:
    pass


def _follow(state: State, command: Command[object]) -> State | None:
    row = transition(state, type(command))
    return row.ahead if row else None


class Connection:
    """One POP3 connection, from its greeting to its end.

    window: how much may be unanswered where the server announces PIPELINING; `LOCKSTEP` switches pipelining off.
    limits: how much a server may say.
    trace: is told everything that is said, in order, with secrets masked.
    """

    def __init__(
        self, *, window: Window = PIPELINING_WINDOW, limits: Limits = DEFAULT_LIMITS, trace: Trace = _ignore
    ) -> None:
        self.state = State.GREETING
        self.greeting: Response | None = None  # None until it came, and again once TLS has made it worthless
        self.capabilities: Capabilities | None = None  # None until CAPA was answered, and again after STLS
        self._ahead = State.AUTHORIZATION  # where everything said so far leads if all of it is accepted
        self._window = window
        self._limits = limits
        self._trace = trace
        self._pipeline: Pipeline[Command[object]] = Pipeline(self._released)
        self._pipeline.expect(Greeting())
        self._buffer = LineBuffer(limits.line)
        self._eof = False
        self._status: Response | None = None  # the first line of an answer whose body is being read
        self._unstuffer = DotUnstuffer()  # of that body
        self._octets = 0  # of that body so far
        self._reader: BodyReader[object] | None = None  # of that body, if it is read as it comes
        self._collected: list[bytes] = []  # of that body, if it is not streamed: all that is read as a whole, or shown
        self._computing: Auth | None = None  # its response is being computed
        self._is_secured = False  # TLS was begun by STLS

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
    def awaited(self) -> Command[object] | None:
        """The command that the server's next words answer, or will answer once it has left; None if none is due."""
        return self._pipeline.oldest or self._pipeline.next

    # Sending

    def send(self, command: Command[object]) -> None:
        """Queue `command`; `data_to_send()` lets it leave when its turn has come.

        Raises LocalProtocolError if it is out of place behind what was said so far, ValueError if its line holds a
        control character; in either case nothing was changed.
        """
        row = transition(self._ahead, type(command))
        if row is None or isinstance(command, Greeting):
            raise LocalProtocolError(f"{command} cannot be sent now: {self._situation()}")
        if isinstance(command, Stls) and self._is_secured:
            raise LocalProtocolError(f"{command} cannot be sent: TLS is in force already (RFC 2595 4)")
        if isinstance(command, Auth) and command.exchange.is_begun:
            raise LocalProtocolError(f"{command} was sent already: each exchange needs an Auth of its own")
        line = check_line(command.encode())
        if isinstance(command, Auth):
            command.exchange.is_begun = True
        self._pipeline.queue(command, line, command.octets)
        self._ahead = row.ahead

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
        if self.state is not State.TLS:
            raise LocalProtocolError(f"no TLS session can begin now: {self._situation()}")
        self._refuse_injected()
        self.state = self._ahead = State.AUTHORIZATION
        self.greeting = self.capabilities = None
        self._is_secured = True
        self._pipeline.window = LOCKSTEP

    # Receiving

    def receive_data(self, data: bytes) -> None:
        """Feed bytes that the server sent. What they mean, or what is wrong with them, `next_event` tells."""
        self._buffer.feed(data)

    def receive_eof(self) -> None:
        """Say that the server will send nothing more."""
        self._eof = True

    # Taking events

    def next_event(self) -> Event | None:
        """Return the next event, None if more must be received first (or, in state CLOSED, for ever).

        Raises RemoteProtocolError when the server breaks the protocol, MessageTruncated when it stops in the middle of
        a message, ConnectionLost when it has left a command without its answer, AuthenticationFailed or ServerUnproven
        when it claims a success that the mechanism cannot confirm. The machine is closed then.
        """
        if self.state is State.CLOSED:
            return None
        self._go_on_from_computing()
        if self.state is State.TLS:
            self._refuse_injected()
        event = self._next_of_body() if self._status is not None else self._next_answer()
        if event is None and self._eof:
            return self._ended()
        return event

    # Taking bytes

    def data_to_send(self) -> list[bytes]:
        """Return what may be written now, in order; the commands in it are in flight from here on.

        Raises RemoteProtocolError if the server has said something though nothing was asked: it would be taken for the
        answer to what is about to be asked.
        """
        self._go_on_from_computing()
        if self._buffer and self._pipeline.next is not None:
            if self._pipeline.oldest is None:
                unread = self._buffer.quote_rest()
                raise self._fail(RemoteProtocolError(f"expected nothing from the server, got {unread}"))
            if self._status is None and self._buffer.has_line:
                return []  # events first: what was said already cannot answer what is about to be asked
        return self._pipeline.data_to_send()

    # Private: the first line of an answer

    def _next_answer(self) -> Event | None:
        while (line := self._next_line()) is not None:
            command = self._pipeline.oldest
            outcome: Response | ComputationDue | MailwireError | None
            if isinstance(command, Auth) and (line == b"+" or line.startswith(b"+ ")):
                outcome = self._answer_challenge(command, line[2:])
            else:
                outcome = self._read_status(command, line)
            del line  # what the server said as it said it is shown to nobody, nor is a frame that holds it
            if isinstance(outcome, MailwireError):
                raise self._fail(outcome)
            if isinstance(outcome, Response):
                return self._take(command, outcome)
            if outcome is not None:
                return outcome
        return None

    def _next_line(self) -> bytes | None:
        try:
            return self._buffer.next_line()
        except LimitExceeded as error:
            problem = str(error)
        # Raised out here, for the frames of the first error hold what the server said.
        raise self._fail(LimitExceeded(f"{problem} ({self._asked()})"))

    def _read_status(self, command: Command[object] | None, line: bytes) -> Response | MailwireError:
        try:
            response = parse_status(line, self._buffer.quote)
        except RemoteProtocolError as error:
            return RemoteProtocolError(f"{error} ({self._asked()})")
        return response.masked(self._buffer.masked) if command is None or command.is_secret else response

    def _take(self, command: Command[object] | None, response: Response) -> Event | None:
        if command is not None and command.multiline and response.ok:
            return self._begin_body(command, response)
        self._trace("S", response)
        return self._unasked(response) if command is None else self._answered(command, response)

    def _unasked(self, response: Response) -> Event:
        if not response.ok:
            self._close()
            return ServerClosing(response)
        raise self._fail(RemoteProtocolError(f"expected nothing from the server, got {str(response)!r}"))

    def _answer_challenge(self, command: Auth, challenge: bytes) -> ComputationDue | MailwireError | None:
        self._trace("S", Masked("+"))
        if command.exchange.failure is not None:
            return command.exchange.error("; and the server goes on after the cancel")
        response = command.exchange.respond(challenge)
        if isinstance(response, ComputationDue):
            self._computing = command
            return response
        self._respond(response)
        return None

    def _go_on_from_computing(self) -> None:
        if self._computing is not None:
            computed, self._computing = self._computing.exchange.take_computed(), None
            self._respond(computed)

    def _respond(self, response: bytes) -> None:
        self._trace("C", Spoken("*") if response == CANCEL else Masked())
        self._pipeline.write(response)

    def _answered(self, command: Command[object], response: Response) -> ResponseReceived:
        if isinstance(command, Auth) and response.ok and not command.exchange.is_complete:
            raise self._fail(command.exchange.error())
        row = transition(self.state, type(command))
        expected = row.ahead if row else self.state
        self._pipeline.settle()
        if row is not None:
            self.state = row.done if response.ok else row.refused
        if isinstance(command, Greeting) and response.ok:
            self.greeting = response
        if isinstance(command, Capa):
            self._learn_capabilities(command, response)
        if not response.ok:
            response = self._with_delay(response)
        if self.state is State.TLS:
            self._refuse_injected()
        discarded: tuple[Command[object], ...] = ()
        if self.state is State.CLOSED:
            discarded = self._close()
        elif self.state is not expected:
            discarded = self._look_ahead()
        return ResponseReceived(command, response, discarded)

    def _learn_capabilities(self, command: Capa, response: Response) -> None:
        # A server that refuses CAPA has announced that it can do nothing beyond RFC 1939.
        self.capabilities = command.parse(response) if response.ok else Capabilities()
        self._pipeline.window = self._window if "PIPELINING" in self.capabilities else LOCKSTEP

    def _with_delay(self, response: Response) -> Response:
        delay = self.capabilities.login_delay if self.capabilities else None
        if delay is None or response.cause is not RefusalCause.LOGIN_DELAY:
            return response
        return replace(response, login_delay=delay.seconds)

    # Private: the body of an answer

    def _begin_body(self, command: Command[object], response: Response) -> Event | None:
        self._status = response
        # A server that ends this line in a bare LF ends them all so.
        self._unstuffer = DotUnstuffer(bare_lf=self._buffer.bare_lf)
        self._octets = 0
        if command.streamed:
            self._trace("S", response)
            return ResponseReceived(command, response)
        self._reader = command.reader(self._limits, self._buffer.masked)
        return self._next_of_body()

    def _next_of_body(self) -> Event | None:
        command, status = self._pipeline.oldest, self._status
        if command is None or status is None:
            raise AssertionError("a body belongs to a command")
        while not self._unstuffer.finished:
            data, start = self._buffer.peek_block()
            if start == len(data):
                return None
            block, stop = self._unstuffer.feed(data, start)
            self._buffer.skip_to(stop)
            self._octets += len(block)
            if not command.streamed:
                self._collect(command, block)
            elif block:
                return MessageData(command, block)
        self._status = None
        if not command.streamed:
            return self._answered(command, self._whole(status))
        self._trace("S", Elided(self._octets))
        self._pipeline.settle()
        return MessageEnd(command, self._octets)

    def _collect(self, command: Command[object], block: bytes) -> None:
        if self._reader is not None:
            self._read(self._reader, block)
            return
        self._collected.append(block)
        if self._octets > command.body_limit:
            raise self._fail(
                LimitExceeded(
                    f"the answer to {command} is longer than {command.body_limit} octets, "
                    f"it begins with {self._buffer.quote_beginning(self._collected[0])}"
                )
            )

    def _read(self, reader: BodyReader[object], block: bytes) -> None:
        if self._octets <= SHOWN_LIMIT:
            self._collected.append(block)
        try:
            reader.feed(block)
        except LimitExceeded as error:
            problem = str(error)
        else:
            if self._octets <= self._limits.listing_octets:
                return
            problem = f"a listing is longer than {self._limits.listing_octets} octets"
        # Raised out here, for the frames of the first error hold what the server said.
        raise self._fail(LimitExceeded(f"{problem} ({self._asked()})"))

    def _whole(self, status: Response) -> Response:
        # The answer of which `status` is the first line, now that its body has come.
        reader, body = self._reader, b"".join(self._collected)
        self._reader = None
        self._collected.clear()
        if reader is None:
            response = replace(status, body=body)
            self._trace("S", response)
            return response
        shown = LongResponse(status, self._octets) if self._octets > SHOWN_LIMIT else replace(status, body=body)
        self._trace("S", shown)
        return replace(status, reading=reader.finish())

    # Private: the end

    def _asked(self) -> str:
        waiting = self._pipeline.oldest
        return f"in answer to {waiting}" if waiting else "though nothing was asked"

    def _situation(self) -> str:
        text = f"the connection is in state {self.state.name} ({self.state.value})"
        waiting = [*self.in_flight, *self.queued]
        return f"{text}, with {waiting[-1]} not answered yet" if waiting else text

    def _released(self, command: Command[object]) -> None:
        if command.is_secret:
            self._buffer.mask_with(command.mask)  # for good: a server may remember it as long as we do
        self._trace("C", command)

    def _look_ahead(self) -> tuple[Command[object], ...]:
        self._ahead, discarded = self._pipeline.foresee(self.state, _follow)
        return discarded

    def _refuse_injected(self) -> None:
        if self._buffer:
            raise self._fail(
                InjectedData(
                    f"expected nothing between the go-ahead to STLS and the handshake, got "
                    f"{self._buffer.quote_rest()}: somebody may be answering in the server's place"
                )
            )

    def _ended(self) -> Event:
        if self._pipeline.oldest is None and not self._buffer:
            self._close()
            return ConnectionClosed()
        waiting = [str(command) for command in self.in_flight]
        more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
        if self._status is not None and self._pipeline.oldest is not None and self._pipeline.oldest.streamed:
            raise self._fail(
                MessageTruncated(
                    f"the server closed the connection in the middle of its answer to {waiting[0]}{more}, "
                    f"after {self._octets} octets",
                    in_flight=waiting,
                    octets=self._octets,
                )
            )
        rest = self._buffer.quote_rest()
        raise self._fail(
            ConnectionLost(
                "the server closed the connection"
                + (f" instead of answering {waiting[0]}{more}" if waiting else "")
                + (f", in the middle of a line: {rest}" if rest else ""),
                in_flight=waiting,
            )
        )

    def _fail(self, error: MailwireError) -> MailwireError:
        self._close()
        return error

    def _close(self) -> tuple[Command[object], ...]:
        self.state = self._ahead = State.CLOSED
        return self._pipeline.close()
