"""What a POP3 transcript says: the commands of the client, and the responses and messages that it gets."""

from base64 import b64decode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from mailwire.pop3 import (
    Auth,
    Capa,
    Command,
    Connection,
    Dele,
    Event,
    Lang,
    Last,
    List,
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
)
from mailwire.sasl import Login, Password, Plain
from tests.pop3.sessions import Account, Program
from tests.replay import Replay, Transcript, replay
from tests.transcripts.story import Story

__all__ = ["Answer", "POP3Story", "play", "short"]

_COMMANDS: Final[dict[str, Callable[..., Command[object]]]] = {
    "CAPA": Capa,
    "DELE": lambda number: Dele(int(number)),
    "LANG": Lang,
    "LAST": Last,
    "LIST": lambda *number: List(*map(int, number)),
    "NOOP": Noop,
    "PASS": Pass,
    "QUIT": Quit,
    "RETR": lambda number: Retr(int(number)),
    "RSET": Rset,
    "STAT": Stat,
    "STLS": Stls,
    "TOP": lambda number, lines: Top(int(number), int(lines)),
    "UIDL": lambda *number: Uidl(*map(int, number)),
    "USER": User,
    "UTF8": Utf8,
}


@dataclass(frozen=True)
class Answer:
    """A response, and the lines of what follows it, None if nothing does; is_whole: they came to their end."""

    status: bytes
    body: list[bytes] | None = None
    is_whole: bool = True

    @property
    def is_ok(self) -> bool:
        return self.status.startswith(b"+OK")


class POP3Story:
    """What the client says, and what it gets in answer: `account` is that of the events (`tests.pop3.sessions`).

    Both are read from the octets of both sides: each response belongs to the command that it answers.

    answers: to the connection, and to the lines in their order, as far as they came.
    is_nonsense: something came that is no answer.
    """

    def __init__(self, story: Story, transcript: Transcript | None = None) -> None:
        self.story = story
        self.transcript = transcript or story.transcript
        self.lines: list[str] = []  # the commands, with their challenges answered
        self.account: list[tuple[object, ...]] = []
        self.answers: list[Answer] = []
        self.is_nonsense = False
        self._responses: list[bytes] = []  # of AUTH, decoded
        self._server = self.transcript.server.split(b"\n")[:-1]
        client = self.transcript.client.decode().split("\r\n")[:-1]
        self._answer("(the connection)")
        while client:
            line = client.pop(0)
            self.lines.append(line)
            self._answer(line, client)

    def commands(self) -> list[Command[object]]:
        """The commands, with those that the client wants to say and does not come to; QUIT is the last."""
        lines = [line for line in self.lines if line != "QUIT"] + self.story.wants
        return [self.command(line) for line in (*lines, *(line for line in self.lines if line == "QUIT"))]

    def flights(self) -> list[list[Command[object]]]:
        """The commands, by the turns in which they are said."""
        lines = list(self.lines)
        turns = [turn.client.decode().split("\r\n")[:-1] for turn in self.story.transcript.turns]
        # What answers a challenge is no command.
        said = [[line for line in turn if lines[:1] == [line] and lines.pop(0)] for turn in turns]
        return [list(map(self.command, turn)) for turn in said if turn]

    def make_program(self, connection: Connection) -> Program:
        """What says the commands over `connection`."""
        if "in flights" in self.story.options:
            return _InFlights(connection, self.flights())
        return Program(connection, self.commands())

    @property
    def credentials(self) -> Password:
        """Those of the transcript; any, where it says none."""
        said = dict(line.split(" ", 1) for line in self.lines if " " in line)
        mechanism, *initial = said.get("AUTH", "").split(" ")
        if mechanism == "PLAIN":
            _, user, password = b64decode(initial[0]).decode().split("\0")
        elif mechanism:
            user, password = map(bytes.decode, self._responses[:2] or (b"tim", b"x"))
        else:
            user, password = said.get("USER", "tim"), said.get("PASS", "x")
        return Password(user, password)

    def command(self, line: str) -> Command[object]:
        verb, *arguments = line.split(" ")
        if verb != "AUTH":
            return _COMMANDS[verb](*arguments)
        return Auth({"PLAIN": Plain, "LOGIN": Login}[arguments[0]](self.credentials))

    # Reading

    def _next(self) -> bytes | None:
        return self._server.pop(0).removesuffix(b"\r") if self._server else None

    def _answer(self, line: str, client: list[str] | None = None) -> None:
        status = self._next()
        while client and status is not None and status.split(b" ")[0] == b"+":
            response = client.pop(0)
            if response != "*":
                self._responses.append(b64decode(response))
            status = self._next()
        if status is None or not status.startswith((b"+OK", b"-ERR")):
            self.is_nonsense = self.is_nonsense or status is not None
            self._server.clear()
            return
        is_ok = status.startswith(b"+OK")
        body: list[bytes] | None = None
        verb = line.split(" ")[0]
        if is_ok and (verb in ("CAPA", "RETR", "TOP") or line in ("LIST", "UIDL", "LANG")):
            body = []
            while (text := self._next()) != b".":
                if text is None:
                    if verb in ("RETR", "TOP"):
                        self.account.append(("said", verb, is_ok, None))
                    self.answers.append(Answer(status, body, is_whole=False))
                    return
                body.append(text.removeprefix(b".") if text.startswith(b".") else text)
        self.answers.append(Answer(status, body))
        self.account.append(("said", verb, is_ok, None if verb in ("RETR", "TOP") else body))
        if verb in ("RETR", "TOP") and body is not None:
            self.account.append(("message", verb, body))


def short(account: Account) -> list[tuple[object, ...]]:
    """Return the account of events in the form of a story: verbs in place of commands, lines in place of octets."""
    told: list[tuple[object, ...]] = []
    lines: list[bytes] = []
    for kind, *what in account:
        if kind == "said":
            command, response, *_ = what
            verb = str(command).split(" ")[0]
            assert isinstance(response, Response)
            told.append(("said", verb, response.ok, _listing(str(command), response)))
        elif kind == "data":
            data = what[1]
            assert isinstance(data, bytes)
            lines = data.split(b"\n")[:-1]
        elif kind == "end":
            told.append(("message", str(what[0]).split(" ")[0], [line.removesuffix(b"\r") for line in lines]))
            lines = []
    return told


def _listing(command: str, response: Response) -> list[bytes] | None:
    if not response.ok or command not in ("CAPA", "LIST", "UIDL", "LANG"):
        return None
    if isinstance(response.reading, Mapping):
        return [f"{number} {what}".encode() for number, what in response.reading.items()]
    return [line.removesuffix(b"\r") for line in response.body.split(b"\n")[:-1]]


class _InFlights(Program):
    # Says what is said in a turn when all before it is answered.

    def __init__(self, connection: Connection, flights: list[list[Command[object]]]) -> None:
        super().__init__(connection, ())
        self._flights = flights

    def begin(self) -> None:
        for command in self._flights.pop(0) if self._flights else ():
            self.connection.send(command)

    def take(self, event: Event) -> None:
        if isinstance(event, ResponseReceived) and isinstance(event.command, Stls) and event.response.ok:
            self.connection.tls_established()
        if not self.connection.unanswered and self.connection.state is not State.CLOSED:
            self.begin()


def play(
    story: POP3Story, transcript: Transcript | None = None, cuts: Collection[int] = ()
) -> tuple[Replay[Event], Connection]:
    """Drive a client that says what the story says through its transcript, or through another one."""
    connection = Connection()
    program = story.make_program(connection)
    return replay(transcript or story.story.transcript, connection, program, cuts), connection
