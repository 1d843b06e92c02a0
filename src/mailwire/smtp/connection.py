"""Connection: an SMTP client as a machine, without I/O (RFC 5321).

Bytes in, events out; commands in, bytes out. The laws it keeps:

1. What may be sent is looked up in the table of `states`, in the state to which everything said so far will lead if
   all of it is accepted. A call that is refused changes nothing.
2. `state` moves when an event is handed out, never before. Events are taken one at a time.
3. A reply answers the oldest command in flight. A reply that answers nothing is a fault of the server, except 421.
4. A server's "no" is an event. A server's fault raises, once, and closes the machine for good: what is in flight then
   is unresolved for ever, and can be read.
5. Nothing that a reply has made illegal leaves afterwards: it is discarded, and the event says so.

How to drive it: write what `data_to_send()` returns; feed what is read to `receive_data`, the end of it to
`receive_eof`; after either, take events until `next_event()` returns None; write again.
"""

from .._wire.dots import DotStuffer
from .._wire.pipeline import LOCKSTEP, Pipeline, Window
from .._wire.text import check_line
from .._wire.trace import Elided, Masked, Spoken, Trace
from ..errors import (
    ConnectionLost,
    InjectedData,
    LocalProtocolError,
    MailwireError,
    RemoteProtocolError,
    TLSFailed,
)
from ..sasl.exchange import CANCEL
from ..sasl.work import ComputationDue
from .commands import Auth, Command, Data, Ehlo, EndOfData, Greeting, Helo, StartTls
from .events import ConnectionClosed, Event, ReplyReceived, ServerClosing
from .extensions import Extensions
from .reply import Reply, ReplyReader
from .states import State, Transition, transition

__all__ = ["PIPELINING_WINDOW", "Connection"]

# Postfix bounds what is unanswered to 4 KiB of commands, for a server with small buffers may stop reading until its
# replies are read (RFC 2920 3.1); MailKit met servers that choke on several hundred commands at once.
PIPELINING_WINDOW = Window(commands=100, octets=4096)


def _ignore(_direction: str, _what: object) -> None:
    pass


class Connection:
    """One SMTP connection, from its greeting to its end.

    window: how much may be unanswered where the server announces PIPELINING; `LOCKSTEP` switches pipelining off.
    trace: is told everything that is said, in order, with secrets masked.
    """

    def __init__(self, *, window: Window = PIPELINING_WINDOW, trace: Trace = _ignore) -> None:
        self.state = State.GREETING
        self.greeting: Reply | None = None  # None until it came, and again once TLS has made it worthless
        self.extensions: Extensions | None = None  # None until EHLO or HELO was accepted, and again after STARTTLS
        self.is_authenticated = False
        self._ahead = State.INITIATION  # where everything said so far leads if all of it is accepted
        self._window = window
        self._trace = trace
        self._pipeline: Pipeline[Command[object]] = Pipeline(self._released)
        self._pipeline.expect(Greeting())
        self._reader = ReplyReader()
        self._eof = False
        self._stuffer: DotStuffer | None = None  # while the message may go out
        self._end_of_data = EndOfData()  # of the message that goes out or went out last
        self._octets = 0  # of that message, as sent
        self._computing: Auth | None = None  # its response is being computed
        self._is_secured = False  # TLS was begun by STARTTLS

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
        return self._pipeline.oldest or self._pipeline.next or (self._end_of_data if self.accepts_data else None)

    @property
    def accepts_data(self) -> bool:
        """Whether the message may be written: DATA was answered 354, and the message is not ended."""
        return self._stuffer is not None

    @property
    def data_octets(self) -> int:
        """How many octets of the message that goes out, or went out last, were written, dots and line ends mended."""
        return self._octets

    # Sending

    def send(self, command: Command[object]) -> None:
        """Queue `command`; `data_to_send()` lets it leave when its turn has come.

        Raises LocalProtocolError if it is out of place behind what was said so far, ValueError if its line holds a
        control character; in either case nothing was changed.
        """
        row = transition(self._ahead, type(command))
        if row is None or isinstance(command, (Greeting, EndOfData)):
            raise LocalProtocolError(f"{command} cannot be sent now: {self._situation()}")
        if isinstance(command, Auth) and self.is_authenticated:
            raise LocalProtocolError(f"{command} cannot be sent: the session is authenticated already (RFC 4954 4)")
        if isinstance(command, StartTls) and self._is_secured:
            raise LocalProtocolError(f"{command} cannot be sent: TLS is in force already (RFC 3207 4.2)")
        if isinstance(command, Auth) and command.exchange.is_begun:
            raise LocalProtocolError(f"{command} was sent already: each exchange needs an Auth of its own")
        line = check_line(command.encode())
        if isinstance(command, Auth):
            command.exchange.is_begun = True
        self._pipeline.queue(command, line, len(line))
        self._ahead = row.ahead

    def send_data(self, block: bytes) -> None:
        """Write a block of the message: any line ends, dots as they are. Blocks of 64 to 256 KiB serve best.

        Raises LocalProtocolError unless DATA was answered 354 and the message is not ended yet; ValueError for a NUL.
        """
        wire = self._open_stuffer().feed(block)
        self._octets += len(wire)
        self._pipeline.write(wire)

    def end_data(self) -> None:
        """End the message. From the moment that `data_to_send()` returns its last dot, the server may have the mail.

        The message's reply comes as the answer to an `EndOfData`. The next message's commands may be sent behind it.
        """
        terminator = self._open_stuffer().finish()
        self._octets += len(terminator) - 3
        self._stuffer = None
        self._pipeline.queue(self._end_of_data, terminator, 0)
        self._ahead = State.READY

    def discard_queued(self) -> tuple[Command[object], ...]:
        """Drop every command that has not left yet; return them. An end of data is not dropped."""
        discarded = self._pipeline.discard_queued(lambda command: command is self._end_of_data)
        self._look_ahead()
        return discarded

    def tls_established(self) -> None:
        """Go on under TLS: the handshake after STARTTLS has succeeded.

        All that was learnt in the clear is forgotten (RFC 3207 4.2); EHLO is due. Raises LocalProtocolError unless the
        server agreed to STARTTLS, InjectedData if bytes had come before the handshake.
        """
        if self.state is not State.TLS:
            raise LocalProtocolError(f"no TLS session can begin now: {self._situation()}")
        self._refuse_injected()
        self.state = self._ahead = State.INITIATION
        self.greeting = self.extensions = None
        self.is_authenticated = False
        self._is_secured = True
        self._pipeline.window = LOCKSTEP

    # Receiving

    def receive_data(self, data: bytes) -> None:
        """Feed bytes that the server sent. What they mean, or what is wrong with them, `next_event` tells."""
        self._reader.feed(data)

    def receive_eof(self) -> None:
        """Say that the server will send nothing more."""
        self._eof = True

    # Taking events

    def next_event(self) -> Event | None:
        """Return the next event, None if more must be received first (or, in state CLOSED, for ever).

        Raises RemoteProtocolError when the server breaks the protocol, ConnectionLost when it has left a command
        without its reply, AuthenticationFailed or ServerUnproven when it claims a success that the mechanism cannot
        confirm, TLSFailed when it answers STARTTLS with neither 220 nor a refusal. The machine is closed then.
        """
        if self.state is State.CLOSED:
            return None
        self._go_on_from_computing()
        if self.state is State.TLS:
            self._refuse_injected()
        while (reply := self._next_reply()) is not None:
            command = self._pipeline.oldest
            if isinstance(command, Auth) and reply.is_intermediate:
                outcome = self._answer_challenge(command, reply)
                del reply  # a challenge is shown to nobody, nor is a frame that holds it
                if isinstance(outcome, MailwireError):
                    raise self._fail(outcome)
                if outcome is not None:
                    return outcome
                continue
            is_asked = command is not None or self.state is State.MAIL_DATA
            if isinstance(command, Auth) or not is_asked:
                reply = reply.masked(self._reader.masked)
            self._trace("S", reply)
            return self._answered(command, reply) if is_asked else self._unasked(reply)
        if self._eof:
            return self._ended()
        return None

    # Taking bytes

    def data_to_send(self) -> list[bytes]:
        """Return what may be written now, in order; the commands in it are in flight from here on.

        Raises RemoteProtocolError if the server has said something though nothing was asked: it would be taken for the
        answer to what is about to be asked.
        """
        self._go_on_from_computing()
        if self._reader:
            asked = self._pipeline.oldest is not None
            if self.state is State.MAIL_DATA and not asked:
                return []  # a verdict before the end of the message: next_event() has it
            if self._pipeline.next is not None:
                if not asked:
                    unread = self._reader.quote_rest()
                    raise self._fail(RemoteProtocolError(f"expected nothing from the server, got {unread}"))
                if self._reader.has_line:
                    return []  # events first: what was said already cannot answer what is about to be asked
        return self._pipeline.data_to_send()

    # Private

    def _open_stuffer(self) -> DotStuffer:
        if self._stuffer is None:
            raise LocalProtocolError(f"no message can be written now: {self._situation()}")
        return self._stuffer

    def _situation(self) -> str:
        text = f"the connection is in state {self.state.name} ({self.state.value})"
        waiting = [*self.in_flight, *self.queued]
        return f"{text}, with {waiting[-1]} not answered yet" if waiting else text

    def _released(self, command: Command[object]) -> None:
        if command is self._end_of_data:
            self._trace("C", Elided(self._octets))
        if isinstance(command, Auth):
            self._reader.mask_with(command.exchange.mask)  # for good: a server may remember it as long as we do
        self._trace("C", command)

    def _next_reply(self) -> Reply | None:
        try:
            return self._reader.next_reply()
        except RemoteProtocolError as error:
            kind, problem = type(error), str(error)
        # Raised out here, for the frames of the first error hold what the server said as it said it.
        waiting = self._pipeline.oldest
        where = f"in reply to {waiting}" if waiting else "though nothing was asked"
        raise self._fail(kind(f"{problem} ({where})"))

    def _unasked(self, reply: Reply) -> Event:
        if reply.code == 421:
            self._close()
            return ServerClosing(reply)
        raise self._fail(RemoteProtocolError(f"expected nothing from the server, got the reply {self._quote(reply)}"))

    def _answer_challenge(self, command: Auth, reply: Reply) -> ComputationDue | MailwireError | None:
        self._trace("S", Masked(str(reply.code)))
        if command.exchange.failure is not None:
            return command.exchange.error("; and the server goes on after the cancel")
        self.state = State.AUTHENTICATION
        response = command.exchange.respond(b"".join(reply.lines))
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

    def _answered(self, command: Command[object] | None, reply: Reply) -> ReplyReceived:
        early = command is None  # a verdict on the message before its end
        if command is None:
            command = self._end_of_data
        row = self._row(command)
        self._check(command, reply, row, early=early)
        expected = self._follow(self.state, command) or self.state
        if not early:
            self._pipeline.settle()
        if reply.is_completion or reply.is_intermediate:
            self.state = (row.done if reply.is_completion else row.more) or self.state
            self._learn(command, reply)
        else:
            self.state = row.refused
        # RFC 5321 3.8: 421 may answer anything, and the server closes. A verdict before the end of the message leaves
        # the two sides at odds about what comes next: the rest of the message would be read as commands.
        if reply.code == 421 or early:
            self.state = State.CLOSED
        discarded: tuple[Command[object], ...] = ()
        if self.state is State.CLOSED:
            discarded = self._close()
        elif self.state is not expected or isinstance(command, Auth):
            discarded = self._look_ahead()
        return ReplyReceived(command, reply, early, discarded)

    def _row(self, command: Command[object]) -> Transition:
        # A command that was legal when it left need not be so any more when its answer comes: RCPT behind a refused
        # MAIL. Then nothing moves, except that a server which says 354 reads what comes as mail data.
        row = transition(self.state, type(command))
        if row is not None:
            return row
        if isinstance(command, Data):
            return Transition(done=None, refused=self.state, more=State.MAIL_DATA)
        return Transition(done=self.state, refused=self.state)

    def _check(self, command: Command[object], reply: Reply, row: Transition, *, early: bool) -> None:
        if isinstance(command, StartTls) and reply.code < 400:
            # RFC 3207 4: only 220 is the go-ahead. Whoever says anything else is not to be reasoned with.
            if reply.code != 220:
                raise self._fail(TLSFailed(f"expected 220 in reply to STARTTLS, got {self._quote(reply)}"))
            self._refuse_injected()
        expected = "4yz or 5yz" if early else "a final reply" if row.more is None else "3yz or a refusal"
        # 220 and 221 greet and take leave. As the verdict on a message they are the answer to something else.
        stray = isinstance(command, EndOfData) and reply.code in (220, 221)
        if (
            (reply.is_intermediate and (row.more is None or early))
            or (reply.is_completion and (row.done is None or early))
            or stray
        ):
            raise self._fail(RemoteProtocolError(f"expected {expected} to {command}, got {self._quote(reply)}"))
        if isinstance(command, Auth) and reply.is_completion and not command.exchange.is_complete:
            raise self._fail(command.exchange.error())

    def _quote(self, reply: Reply) -> str:
        return repr(str(reply.masked(self._reader.masked)))

    def _learn(self, command: Command[object], reply: Reply) -> None:
        if isinstance(command, Greeting):
            self.greeting = reply
        elif isinstance(command, (Ehlo, Helo)):
            self.extensions = command.parse(reply) if isinstance(command, Ehlo) else Extensions()
            self._pipeline.window = self._window if "PIPELINING" in self.extensions else LOCKSTEP
        elif isinstance(command, Auth):
            self.is_authenticated = True
        elif self.state is State.MAIL_DATA:
            self._stuffer = DotStuffer()
            self._end_of_data = EndOfData()
            self._octets = 0

    def _look_ahead(self) -> tuple[Command[object], ...]:
        self._ahead, discarded = self._pipeline.foresee(self.state, self._follow)
        return discarded

    def _follow(self, state: State, command: Command[object]) -> State | None:
        row = transition(state, type(command))
        if row is None or (isinstance(command, Auth) and self.is_authenticated):
            return None
        return row.ahead

    def _refuse_injected(self) -> None:
        if self._reader:
            raise self._fail(
                InjectedData(
                    f"expected nothing between the go-ahead to STARTTLS and the handshake, got "
                    f"{self._reader.quote_rest()}: somebody may be answering in the server's place"
                )
            )

    def _ended(self) -> Event:
        if self._pipeline.oldest is None and self.state is not State.MAIL_DATA and not self._reader:
            self._close()
            return ConnectionClosed()
        waiting = [str(command) for command in self.in_flight]
        more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
        rest = self._reader.quote_rest()
        raise self._fail(
            ConnectionLost(
                "the server closed the connection"
                + (f" instead of replying to {self.awaited}{more}" if self.awaited else "")
                + (f", in the middle of a reply: {rest}" if rest else ""),
                in_flight=waiting,
            )
        )

    def _fail(self, error: MailwireError) -> MailwireError:
        self._close()
        return error

    def _close(self) -> tuple[Command[object], ...]:
        self.state = self._ahead = State.CLOSED
        self._stuffer = None
        return self._pipeline.close()
