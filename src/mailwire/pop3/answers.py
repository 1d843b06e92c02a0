"""Answers: what the answers of a server do to a session: which command each is to, where it leads, what is learnt of
it, and what ends it.

A `Connection` has them of this; it is no class by itself.
"""

from dataclasses import replace
from typing import Final

from .._wire.lines import LineBuffer
from .._wire.pipeline import LOCKSTEP, Pipeline, Window
from .._wire.trace import Elided, Spoken, Trace
from ..errors import LimitExceeded, MailwireError
from ..sasl.challenges import Challenges
from ..sasl.work import ComputationDue
from .authorization import Auth
from .body import Body
from .capabilities import Capabilities
from .challenges import find_challenge
from .commands import Capa, Command, Greeting, Quit
from .events import ConnectionClosed, Event, MessageData, MessageEnd, ResponseReceived, ServerClosing
from .faults import injected, lost, out_of_step
from .gathering import Gathering
from .limits import Limits
from .quirks import Quirks
from .refusals import RefusalCause
from .response import Response, parse_status
from .states import CLOSED, TLS, TRANSACTION, State, transition
from .transaction import Retr

__all__ = ["Answers"]

# Many a server says the same to every RETR, or the size, and sizes repeat: such a line need not be parsed again. What
# it says besides soon fills the few places that there are, and is parsed.
_GIVEN_LIMIT: Final = 8


def _follow(state: State, command: Command[object]) -> State | None:
    row = transition(state, type(command))
    return row.ahead if row else None


class Answers:
    """The part of a connection that answers come to."""

    state: State
    greeting: Response | None
    capabilities: Capabilities | None
    trace: Trace

    _ahead: State
    _answered_last: Command[object] | None
    _body: Body
    _buffer: LineBuffer
    _challenges: Challenges
    _gathering: Gathering | None
    _is_cut: bool
    _given: dict[bytes, Response]
    _limits: Limits
    _pipeline: Pipeline[Command[object]]
    _quirks: Quirks
    _status: Response | None
    _window: Window

    def mask_as(self, earlier: "Answers") -> None:
        """Mask also what was told on `earlier`, a connection to the same server before this one: it may remember that,
        and say it back before it is told anything."""
        self._buffer.mask_as(earlier._buffer)

    # Private: the first line of an answer

    def _next_answer(self) -> Event | None:
        while (line := self._next_line()) is not None:
            command = self._pipeline.oldest
            # Most answers are messages: this is the short way to them.
            if type(command) is Retr and (response := self._given.get(line) or self._read_given(line)) is not None:
                return self._begin_body(command, response)
            outcome = self._judge(command, line)
            del line  # what the server said as it said it is shown to nobody, nor is a frame that holds it
            if isinstance(outcome, MailwireError):
                raise self._fail(outcome)
            if isinstance(outcome, Response):
                return self._take(command, outcome)
            if outcome is not None:
                return outcome
        return None

    def _read_given(self, line: bytes) -> Response | None:
        # The response by which a message is given; None if it is another, or none.
        response = parse_status(line)
        if response is None or not response.ok:
            return None
        if len(self._given) < _GIVEN_LIMIT:
            self._given[line] = response
        return response

    def _next_line(self) -> bytes | None:
        try:
            return self._buffer.next_line()
        except LimitExceeded as error:
            problem = str(error)
        # Raised out here, for the frames of the first error hold what the server said.
        raise self._fail(LimitExceeded(f"{problem} ({self._asked()})"))

    def _judge(self, command: Command[object] | None, line: bytes) -> Response | ComputationDue | MailwireError | None:
        if isinstance(command, Auth) and (challenge := find_challenge(command, line, self._quirks)) is not None:
            return self._challenges.answer(command.exchange, challenge, "+")
        if not line and self._quirks.blank_lines and len(self._pipeline.in_flight) <= 1:
            self.trace("S", Spoken(""))
            return None
        response = parse_status(line, plus_err=self._quirks.plus_err)
        if response is None:
            return self._out_of_step(
                f"expected +OK or -ERR and a text, got {self._buffer.quote(line)} ({self._asked()})", line
            )
        # A success is handed out as it came, or a password that is a word would change what is said of the maildrop.
        is_as_it_came = response.ok and command is not None and not command.is_secret
        return response if is_as_it_came else response.masked(self._buffer.masked)

    def _take(self, command: Command[object] | None, response: Response) -> Event | None:
        if command is not None and command.multiline and response.ok:
            return self._begin_body(command, response)
        self.trace("S", response)
        return self._unasked(response) if command is None else self._answered(command, response)

    def _unasked(self, response: Response) -> Event:
        if not response.ok:
            self._close()
            return ServerClosing(response)
        raise self._fail(
            self._out_of_step(f"expected nothing from the server, got {str(response)!r}", b"+OK " + response.line)
        )

    def _answered(self, command: Command[object], response: Response) -> ResponseReceived:
        if isinstance(command, Auth) and response.ok and not command.exchange.is_complete:
            raise self._fail(command.exchange.error())
        if isinstance(command, Quit) and self._buffer:
            # One of the answers before was none: this may be that to DELE.
            unread = self._buffer.quote_rest()
            raise self._fail(self._out_of_step(f"expected nothing behind the answer to QUIT, got {unread}", b"?"))
        row = transition(self.state, type(command))
        expected = row.ahead if row else self.state
        self._answered_last = self._pipeline.settle()
        if row is not None:
            self.state = row.done if response.ok else row.refused
        if isinstance(command, Greeting) and response.ok:
            self.greeting = response
        if isinstance(command, Capa):
            self._learn_capabilities(command, response)
        if not response.ok:
            response = self._with_delay(response)
        if self.state is TLS:
            self._refuse_injected()
        discarded: tuple[Command[object], ...] = ()
        if self.state is CLOSED:
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
        self._body.begin(bare_lf=self._buffer.bare_lf, is_message=command.streamed)
        if command.streamed:
            self.trace("S", response)
            return ResponseReceived(command, response)
        self._gathering = Gathering(command, self._limits, self._buffer)
        return self._next_of_body()

    def _next_of_body(self) -> Event | None:
        command, status = self._pipeline.oldest, self._status
        if command is None or status is None:
            raise AssertionError("a body belongs to a command")
        while block := self._body.take(self._buffer):
            if self._gathering is None:
                return MessageData(command, block)
            if problem := self._gathering.feed(block):
                raise self._fail(LimitExceeded(problem))
        if (line := self._body.stray) is not None:
            problem = f"expected {command} to be answered by a message, got a second answer, {self._buffer.quote(line)}"
            raise self._fail(self._out_of_step(problem, line))
        if not self._body.finished:
            return None
        self._status = None
        if self._gathering is not None:
            response, shown = self._gathering.finish(status)
            self._gathering = None
            self.trace("S", shown)
            return self._answered(command, response)
        self.trace("S", Elided(self._body.octets))
        self._answered_last = self._pipeline.settle()
        return MessageEnd(command, self._body.octets)

    # Private: the end

    def _asked(self) -> str:
        waiting = self._pipeline.oldest
        return f"in answer to {waiting}" if waiting else "though nothing was asked"

    def _look_ahead(self) -> tuple[Command[object], ...]:
        self._ahead, discarded = self._pipeline.foresee(self.state, _follow)
        return discarded

    def _refuse_unasked(self) -> None:
        if self._buffer and self._pipeline.oldest is None:
            unread = self._buffer.quote_rest()
            raise self._fail(self._out_of_step(f"expected nothing from the server, got {unread}", b"?"))

    def _refuse_injected(self) -> None:
        if self._buffer:
            raise self._fail(injected(self._buffer.quote_rest()))

    def _ended(self) -> Event:
        command = self._pipeline.oldest
        if command is None and not (self._is_cut or self._buffer):
            self._close()
            return ConnectionClosed()
        body = self._body if command is not None and command.streamed and self._status is not None else None
        raise self._fail(lost(self._pipeline.in_flight, body, self._buffer.quote_rest(), is_ours=self._is_cut))

    def _out_of_step(self, problem: str, line: bytes) -> MailwireError:
        asked, is_open = self._pipeline.oldest, self.state is TRANSACTION
        return out_of_step(problem, line, asked, self._answered_last, is_open=is_open)

    def _fail(self, error: MailwireError) -> MailwireError:
        self._close()
        return error

    def _close(self) -> tuple[Command[object], ...]:
        self.state = self._ahead = CLOSED
        return self._pipeline.close()
