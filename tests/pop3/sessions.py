"""What the tests of the POP3 machine share: a program, a server in front of it, a machine in every state."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field

from mailwire._wire.trace import Trace
from mailwire.errors import LocalProtocolError, MailwireError
from mailwire.pop3 import (
    PIPELINING_WINDOW,
    Apop,
    Auth,
    Capa,
    Command,
    Connection,
    Dele,
    Event,
    Greeting,
    Lang,
    Last,
    List,
    MessageData,
    MessageEnd,
    Noop,
    Pass,
    Quit,
    Response,
    ResponseReceived,
    Retr,
    Rset,
    Stat,
    State,
    Stls,
    Top,
    Uidl,
    User,
    Utf8,
    Window,
)
from mailwire.sasl import Password, Plain

CANARY = "tanstaaftanstaaf"
CREDENTIALS = Password("tim", CANARY)
TIMESTAMP = b"<1896.697170952@dbc.mtview.ca.us>"
CONTROLS = [chr(code) for code in (*range(0x20), 0x7F)]

Account = list[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Language(Command[Response]):
    """A command of the caller's own (RFC 6856 3.1): its answer is a short listing."""

    body_limit = 100

    @property
    def multiline(self) -> bool:
        return True

    def encode(self) -> bytes:
        return b"LANG\r\n"

    def parse(self, response: Response) -> Response:
        return response


# One of each kind.
EVERY_COMMAND: dict[str, Callable[[], Command[object]]] = {
    "CAPA": Capa,
    "STLS": Stls,
    "USER": lambda: User("tim"),
    "PASS": lambda: Pass(CANARY),
    "APOP": lambda: Apop("tim", CANARY, TIMESTAMP),
    "AUTH": lambda: Auth(Plain(CREDENTIALS)),
    "STAT": Stat,
    "LIST": List,
    "LIST 1": lambda: List(1),
    "UIDL": Uidl,
    "UIDL 1": lambda: Uidl(1),
    "RETR": lambda: Retr(1),
    "TOP": lambda: Top(1, 0),
    "DELE": lambda: Dele(1),
    "RSET": Rset,
    "NOOP": Noop,
    "QUIT": Quit,
    "LANG": Language,
    "LANG en": lambda: Lang("en"),
    "UTF8": Utf8,
    "LAST": Last,
    "(the connection)": Greeting,
}


def with_control(control: str) -> list[str]:
    """Texts that hold `control`, at every place that differs."""
    return [control + "secret", "sec" + control + "ret", "secret" + control, control]


# The machine by hand


def ignore(_direction: str, _what: object) -> None:
    """Trace nothing."""


def ask(connection: Connection, *commands: Command[object]) -> bytes:
    """Send `commands`; return what leaves."""
    for command in commands:
        connection.send(command)
    return b"".join(connection.data_to_send())


def take(connection: Connection) -> list[Event]:
    """Take every event there is."""
    events = []
    while (event := connection.next_event()) is not None:
        events.append(event)
    return events


def tell(connection: Connection, *pieces: bytes) -> list[Event]:
    """Let the server say `pieces`, one by one; return the events."""
    events = []
    for piece in pieces:
        connection.receive_data(piece)
        events += take(connection)
    return events


def octets(data: bytes) -> list[bytes]:
    """Cut `data` into its octets."""
    return [data[place : place + 1] for place in range(len(data))]


def state_of(connection: Connection) -> State:
    """The state now: a call, so that no type checker believes that it stays."""
    return connection.state


def unanswered(connection: Connection) -> tuple[Command[object], ...]:
    """What is in flight now."""
    return connection.in_flight


def greeted(*, window: Window = PIPELINING_WINDOW, trace: Trace = ignore) -> Connection:
    """A machine in AUTHORIZATION that has learnt nothing yet."""
    connection = Connection(window=window, trace=trace)
    tell(connection, b"+OK ready\r\n")
    return connection


def logged_in(*, window: Window = PIPELINING_WINDOW, trace: Trace = ignore) -> Connection:
    """A machine in TRANSACTION whose server announced PIPELINING."""
    connection = greeted(window=window, trace=trace)
    ask(connection, Capa())
    tell(connection, b"+OK\r\nPIPELINING\r\n.\r\n")
    ask(connection, Pass(CANARY))
    tell(connection, b"+OK\r\n")
    return connection


def connection_in(state: State) -> Connection:
    """A machine in `state`, with nothing unanswered."""
    connection = Connection()
    if state is State.GREETING:
        tell(connection, b"-ERR too many connections\r\n")
    elif state is State.TRANSACTION:
        connection = logged_in()
    else:
        connection = greeted()
        if state is State.TLS:
            ask(connection, Stls())
            tell(connection, b"+OK go\r\n")
        elif state is State.CLOSED:
            connection.receive_eof()
            take(connection)
    assert connection.state is state
    return connection


def legal(connection: Connection) -> set[str]:
    """The names of the commands that `connection` would take now. It is not touched."""
    names = set()
    for name, make in EVERY_COMMAND.items():
        try:
            deepcopy(connection).send(make())
        except LocalProtocolError:
            continue
        names.add(name)
    return names


def snapshot(connection: Connection) -> tuple[object, ...]:
    """All that can be seen of a machine, without touching it."""
    capabilities = None if connection.capabilities is None else dict(connection.capabilities)
    return (
        connection.state,
        connection.greeting,
        capabilities,
        connection.in_flight,
        connection.queued,
        legal(connection),
        deepcopy(connection).data_to_send(),
    )


# What came of it


def account(events: Iterable[Event]) -> Account:
    """Say what `events` told, in a form that does not depend on how the octets were cut."""
    told: Account = []
    for event in events:
        match event:
            case MessageData(command, data):
                assert data, "a block of no octets was handed out"
                if told and told[-1][:2] == ("data", str(command)):
                    _, _, earlier = told.pop()
                    assert isinstance(earlier, bytes)
                    data = earlier + data
                told.append(("data", str(command), data))
            case MessageEnd(command, count):
                told.append(("end", str(command), count))
            case ResponseReceived(command, response, discarded):
                told.append(("said", str(command), response, *map(str, discarded)))
            case _:
                told.append((event,))
    return told


def messages(events: Iterable[Event]) -> dict[str, bytes]:
    """The messages that came whole, each by the command that asked for it."""
    whole: dict[str, bytes] = {}
    blocks: list[bytes] = []
    for event in events:
        if isinstance(event, MessageData):
            blocks.append(event.data)
        elif isinstance(event, MessageEnd):
            whole[str(event.command)] = b"".join(blocks)
            assert len(whole[str(event.command)]) == event.octets
            blocks.clear()
    return whole


# A program and a server


class Program:
    """A client program: it says its commands in their order, each as early as the machine takes it, and starts TLS."""

    def __init__(self, connection: Connection, commands: Iterable[Command[object]]) -> None:
        self.connection = connection
        self._commands = list(commands)

    def begin(self) -> None:
        """Say everything up to STLS, before the server has spoken."""
        while self._commands:
            command = self._commands.pop(0)
            self.connection.send(command)
            if isinstance(command, Stls):
                return

    def take(self, event: Event) -> None:
        """Go on when STLS was answered."""
        if isinstance(event, ResponseReceived) and isinstance(event.command, Stls):
            if event.response.ok:
                self.connection.tls_established()
            self.begin()


def stuffed(message: bytes, line_end: bytes = b"\r\n") -> bytes:
    """`message` as a server sends it, with what ends it. A last line without its end is given one."""
    lines = message.split(line_end)
    if lines[-1] == b"":
        lines.pop()
    return b"".join(b"." * line.startswith(b".") + line + line_end for line in lines) + b"." + line_end


@dataclass
class Server:
    """A server, octets in and octets out: the other side of a test, and no part of mailwire.

    It answers one command after the other, so pipelining makes no difference to it.

    refuses: the verbs, or whole lines, that it answers with -ERR; `greeting` is among them.
    line_end: what all its lines end in.
    """

    messages: Mapping[int, bytes] = field(default_factory=dict)
    refuses: frozenset[str] = frozenset()
    line_end: bytes = b"\r\n"
    pipelining: bool = True
    heard: list[str] = field(default_factory=list)
    closed: bool = False
    most_at_once: int = 0  # commands in one packet of the client
    _input: bytes = b""
    _is_open: bool = False  # the maildrop

    def greet(self) -> bytes:
        """The greeting."""
        return self._line("-ERR no" if "greeting" in self.refuses else "+OK ready")

    def receive(self, data: bytes) -> bytes:
        """Take octets, return the answers."""
        *lines, self._input = (self._input + data).split(b"\r\n")
        self.most_at_once = max(self.most_at_once, len(lines))
        return b"".join(self._answer(line.decode()) for line in lines if not self.closed)

    def _answer(self, line: str) -> bytes:
        self.heard.append(line)
        verb, _, argument = line.partition(" ")
        if verb == "QUIT":
            self.closed = True
        if verb in self.refuses or line in self.refuses:
            return self._line(f"-ERR [SYS/PERM] no {verb}")
        if verb == "CAPA":
            return self._lines("+OK", "USER", *(["PIPELINING"] if self.pipelining else []))
        if verb in ("USER", "QUIT"):
            return self._line(f"+OK {verb}")
        if verb == "LANG":
            return self._lines("+OK", "en English")
        if verb == "PASS":
            self._is_open = True
        elif not self._is_open:
            return self._line("-ERR log in first")
        if verb == "LIST":
            return self._lines("+OK", *(f"{number} {len(message)}" for number, message in self.messages.items()))
        if verb == "UIDL":
            return self._lines("+OK", *(f"{number} uid-{number}" for number in self.messages))
        if verb in ("RETR", "TOP"):
            number = int(argument.split()[0])
            if number not in self.messages:
                return self._line(f"-ERR no message {number}")
            return self._line("+OK") + stuffed(self.messages[number], self.line_end)
        return self._line(f"+OK {line}")

    def _line(self, text: str) -> bytes:
        return text.encode() + self.line_end

    def _lines(self, *lines: str) -> bytes:
        return b"".join(map(self._line, (*lines, ".")))


@dataclass
class Outcome:
    """What came of a session, seen from both sides."""

    events: list[Event]
    server: Server
    error: MailwireError | None = None


def run(
    server: Server, commands: Iterable[Command[object]], connection: Connection, *, chunk: int = 1_000_000
) -> Outcome:
    """Let a program say `commands` to `server`, whose octets arrive `chunk` at a time, until both have finished."""
    program, outcome = Program(connection, commands), Outcome([], server)
    answers = server.greet()
    try:
        program.begin()
        while answers:
            connection.receive_data(answers[:chunk])
            answers = answers[chunk:]
            while (event := connection.next_event()) is not None:
                outcome.events.append(event)
                program.take(event)
            answers += server.receive(b"".join(connection.data_to_send()))
        connection.receive_eof()
        outcome.events += take(connection)
    except MailwireError as error:
        outcome.error = error
    return outcome
