"""What a POP3 transcript says: the commands of the client, and the responses and messages that it gets."""

from base64 import b64decode
from collections.abc import Callable, Collection, Mapping
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
    Retr,
    Rset,
    Stat,
    Stls,
    Top,
    Uidl,
    User,
    Utf8,
)
from mailwire.sasl import Login, Password, Plain
from tests.pop3.sessions import CREDENTIALS, Account, Program
from tests.replay import Replay, Transcript, replay
from tests.transcripts.story import Story

__all__ = ["POP3Story", "play", "short"]

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


class POP3Story:
    """What the client says, and what it gets in answer: `account` is that of the events (`tests.pop3.sessions`).

    Both are read from the octets of both sides: each response belongs to the command that it answers.
    """

    def __init__(self, story: Story, transcript: Transcript | None = None) -> None:
        self.story = story
        self.transcript = transcript or story.transcript
        self.lines: list[str] = []  # the commands, with their challenges answered
        self.account: list[tuple[object, ...]] = []
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
        return [self._command(line) for line in (*lines, *(line for line in self.lines if line == "QUIT"))]

    # Reading

    def _command(self, line: str) -> Command[object]:
        verb, *arguments = line.split(" ")
        if verb != "AUTH":
            return _COMMANDS[verb](*arguments)
        if arguments[0] == "PLAIN":
            _, user, password = b64decode(arguments[1]).decode().split("\0")
            return Auth(Plain(Password(user, password)))
        user, password = map(bytes.decode, self._responses[:2] or (b"tim", b"x"))
        return Auth(Login(Password(user, password) if self._responses else CREDENTIALS))

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
                    return
                body.append(text.removeprefix(b".") if text.startswith(b".") else text)
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


def play(
    story: POP3Story, transcript: Transcript | None = None, cuts: Collection[int] = ()
) -> tuple[Replay[Event], Connection]:
    """Drive a client that says what the story says through its transcript, or through another one."""
    connection = Connection()
    program = Program(connection, story.commands())
    return replay(transcript or story.story.transcript, connection, program, cuts), connection
