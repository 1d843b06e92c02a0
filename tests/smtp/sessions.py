"""What the tests of the SMTP machine share: a program that sends mail, and a server that it can be put in front of."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mailwire import smtp
from mailwire.errors import MailwireError
from mailwire.sasl import Mechanism
from mailwire.smtp import (
    Auth,
    Command,
    Connection,
    Ehlo,
    Event,
    Greeting,
    Helo,
    Mailbox,
    Quit,
    Receipt,
    Reply,
    ReplyReceived,
    StartTls,
    State,
    Transaction,
)

A, B, C, D, E = (Mailbox(name, "example.org") for name in "abcde")


@dataclass
class Mail:
    """A mail to be sent."""

    body: Sequence[bytes] = (b"hello\r\n",)
    recipients: Sequence[Mailbox] = (B,)
    sender: Mailbox | None = A
    parameters: Mapping[str, str | None] = field(default_factory=dict)


class Sender:
    """A client program: says hello, starts TLS, authenticates, sends mails one after the other, quits."""

    def __init__(
        self,
        connection: Connection,
        mails: Iterable[Mail] = (),
        *,
        hello: Callable[[str], Command[object]] = Ehlo,
        name: str = "client.example.org",
        starttls: bool = False,
        mechanism: Mechanism | None = None,
    ) -> None:
        self.connection = connection
        self.transactions: list[Transaction] = []
        self._mails = list(mails)
        self._hello = hello
        self._name = name
        self._starttls = starttls
        self._mechanism = mechanism

    @property
    def transaction(self) -> Transaction:
        """The last one."""
        return self.transactions[-1]

    @property
    def receipt(self) -> Receipt:
        """Of the last mail."""
        return self.transaction.receipt()

    def begin(self) -> None:
        """Nothing is asked for before the greeting."""

    def take(self, event: Event) -> None:
        """Go on."""
        if not isinstance(event, ReplyReceived) or self.connection.state is State.CLOSED:
            if isinstance(event, ReplyReceived) and self.transactions:
                self.transaction.receive(event)
            return
        command, reply = event.command, event.reply
        if isinstance(command, Greeting):
            self.connection.send(self._hello(self._name) if reply.is_completion else Quit())
        elif isinstance(command, Ehlo) and reply.is_permanent:
            self.connection.send(Helo(self._name))
        elif isinstance(command, StartTls):
            self._starttls = False
            if reply.is_completion:
                self.connection.tls_established()
                self.connection.send(self._hello(self._name))
        elif isinstance(command, (Ehlo, Helo, Auth)):
            self._go_on()
        else:
            self._sending(event)

    def _go_on(self) -> None:
        if self._starttls:
            self.connection.send(StartTls())
        elif self._mechanism is not None:
            self.connection.send(Auth(self._mechanism))
            self._mechanism = None
        elif self._mails:
            mail = self._mails[0]
            self.transactions.append(
                Transaction(self.connection, mail.sender, mail.recipients, parameters=mail.parameters)
            )
        else:
            self.connection.send(Quit())

    def _sending(self, event: ReplyReceived) -> None:
        transaction = self.transaction
        transaction.receive(event)
        if transaction.wants_data:
            for block in self._mails[0].body:
                self.connection.send_data(block)
            self.connection.end_data()
        elif transaction.finished and not transaction.must_close:
            del self._mails[0]
            self._go_on()


@dataclass(frozen=True)
class Script:
    """How a server answers. `recipients` are the answers to the RCPT commands, in their order.

    accepts_empty: DATA is answered 354 although no recipient stands, as RFC 2920 3.1 allows.
    """

    mail: int = 250
    recipients: tuple[int, ...] = (250,)
    data: int = 354
    end: int = 250
    rset: int = 250
    pipelining: bool = True
    accepts_empty: bool = False


class Server:
    """A server, octets in and octets out, that keeps what it accepted. It is the other side, and no part of mailwire.

    It answers in order, and reads on only when it has answered, so pipelining makes no difference to it.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.accepted: list[tuple[list[bytes], bytes]] = []  # recipients and message
        self.commands: list[bytes] = []
        self.closed = False
        self._input = b""
        self._reading_mail = False
        self._sender = False
        self._standing: list[bytes] = []
        self._recipients = 0

    def greet(self) -> bytes:
        """The greeting."""
        return b"220 server ready\r\n"

    def receive(self, data: bytes) -> bytes:
        """Take octets, return the answers."""
        self._input += data
        answers = b""
        while not self.closed:
            if self._reading_mail:
                mail, dot, rest = (b"\r\n" + self._input).partition(b"\r\n.\r\n")
                if not dot:
                    break
                self._input = rest
                answers += self._end_of_mail((mail + b"\r\n")[2:])
            else:
                line, end, rest = self._input.partition(b"\r\n")
                if not end:
                    break
                self._input = rest
                self.commands.append(line)
                answers += self._answer(line)
        return answers

    def _say(self, code: int) -> bytes:
        if code == 421:
            self.closed = True
        return b"%d said the server\r\n" % code

    def _answer(self, line: bytes) -> bytes:
        script = self.script
        verb = line[:4]
        if verb == b"EHLO":
            return b"250-server\r\n250-PIPELINING\r\n250 8BITMIME\r\n" if script.pipelining else b"250 server\r\n"
        if verb == b"MAIL":
            self._sender = script.mail < 300
            self._standing, self._recipients = [], 0
            return self._say(script.mail)
        if verb == b"RCPT":
            if not self._sender:
                return self._say(503)
            code = script.recipients[self._recipients]
            self._recipients += 1
            if code < 300:
                self._standing.append(line)
            return self._say(code)
        if verb == b"DATA":
            if not self._sender or not (self._standing or script.accepts_empty):
                return self._say(503)
            self._reading_mail = script.data == 354
            return self._say(script.data)
        if verb == b"RSET":
            self._sender, self._standing = False, []
            return self._say(script.rset)
        self.closed = True
        return b"221 bye\r\n"

    def _end_of_mail(self, message: bytes) -> bytes:
        self._reading_mail = False
        standing, self._standing, self._sender = self._standing, [], False
        if not standing:
            return self._say(554)
        if self.script.end < 300:
            self.accepted.append((standing, message))
        return self._say(self.script.end)


@dataclass
class Outcome:
    """What came of a session, seen from the client."""

    events: list[Event]
    sent: bytes  # handed out to be written
    heard: bytes  # fed to the machine
    error: MailwireError | None
    sender: Sender
    server: Server


def run(
    script: Script,
    mails: Sequence[Mail],
    connection: Connection,
    *,
    chunk: int = 1_000_000,
    server_cut: int | None = None,
    client_cut: int | None = None,
) -> Outcome:
    """Let a `Sender` and a `Server` talk until neither has anything left to say.

    chunk: at most so many of the server's octets are fed at a time, events are taken behind each.
    server_cut: the connection is cut behind so many octets of the server.
    client_cut: no more than so many octets of the client reach the server, then the connection is cut.
    """
    server, sender = Server(script), Sender(connection, mails)
    outcome = Outcome([], b"", b"", None, sender, server)
    sender.begin()
    answers = server.greet()
    try:
        while True:
            wire = b"".join(connection.data_to_send())
            reaches = wire
            if client_cut is not None:
                reaches = wire[: max(0, client_cut - len(outcome.sent))]
            outcome.sent += wire
            answers += server.receive(reaches)
            if server_cut is not None:
                answers = answers[: server_cut - len(outcome.heard)]
            piece, answers = answers[:chunk], answers[chunk:]
            outcome.heard += piece
            if piece:
                connection.receive_data(piece)
            else:
                is_cut = server_cut is not None or client_cut is not None
                if not wire and (is_cut or server.closed):
                    connection.receive_eof()
            progress = bool(piece or wire)
            while (event := connection.next_event()) is not None:
                progress = True
                outcome.events.append(event)
                sender.take(event)
            if not progress:
                return outcome
    except MailwireError as error:
        outcome.error = error
        return outcome


class Talkative(Mechanism):
    """A mechanism that always has an answer, and is complete at any time."""

    name = "X-TALKATIVE"

    def initial_response(self) -> None:
        """The server speaks first."""

    def respond(self, challenge: bytes) -> bytes:
        """Say something."""
        return b"answer to " + challenge


def events_of(connection: Connection) -> list[Event]:
    """All events there are."""
    events = []
    while (event := connection.next_event()) is not None:
        events.append(event)
    return events


def hear(connection: Connection, *lines: str) -> list[Event]:
    """Let the server say `lines`; return what comes of it."""
    connection.receive_data("".join(f"{line}\r\n" for line in lines).encode("latin-1"))
    return events_of(connection)


def ask(connection: Connection, command: Command[object], *lines: str) -> list[Event]:
    """Send `command`, let the server answer with `lines`; return what comes of it."""
    connection.send(command)
    connection.data_to_send()
    return hear(connection, *lines)


STEPS: Mapping[State, tuple[State | None, Callable[[Connection], object]]] = {
    State.GREETING: (None, lambda connection: hear(connection, "554 no service")),
    State.INITIATION: (None, lambda connection: hear(connection, "220 hello")),
    State.READY: (State.INITIATION, lambda connection: ask(connection, Ehlo("c"), "250-hello", "250 PIPELINING")),
    State.TRANSACTION: (State.READY, lambda connection: ask(connection, smtp.Mail(A), "250 ok")),
    State.MAIL_DATA: (
        State.TRANSACTION,
        lambda connection: [ask(connection, smtp.Rcpt(B), "250 ok"), ask(connection, smtp.Data(), "354 go")],
    ),
    State.AUTHENTICATION: (State.READY, lambda connection: ask(connection, Auth(Talkative()), "334 aGVsbG8=")),
    State.TLS: (State.READY, lambda connection: ask(connection, StartTls(), "220 go")),
    State.CLOSED: (State.READY, lambda connection: ask(connection, Quit(), "221 bye")),
}


def at(state: State, connection: Connection | None = None) -> Connection:
    """A connection that stands in `state`, with nothing unanswered but what that state means."""
    connection = connection or Connection()
    before, step = STEPS[state]
    if before is not None:
        at(before, connection)
    step(connection)
    connection.data_to_send()
    assert connection.state is state
    return connection


def reply(code: int, text: bytes = b"") -> Reply:
    """A reply in one line."""
    return Reply(code, (text,))


def told(events: Iterable[Event]) -> list[tuple[str, ...]]:
    """The events in a form that can be compared between sessions: every EndOfData is one of its own."""
    return [
        (repr(event),)
        if not isinstance(event, ReplyReceived)
        else (str(event.command), str(event.reply), str(event.is_early), *map(str, event.discarded))
        for event in events
    ]
