"""What an SMTP or LMTP transcript says: the mails that the client wants to send, and the replies that it gets."""

import re
from base64 import b64decode
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from mailwire.sasl import Login, Mechanism, Password, Plain
from mailwire.smtp import Command, Connection, Ehlo, Event, Helo, Lhlo, Mailbox, ReplyReceived
from tests.replay import Replay, Transcript, replay
from tests.smtp.sessions import B, Mail, Sender
from tests.transcripts.story import Story

__all__ = ["Answer", "SMTPStory", "answers_in", "nonsense_in", "play", "told", "told_of"]

_LINE: Final = re.compile(rb"([2-5][0-9][0-9])(?:([ -])([^\0]*))?", re.DOTALL)
_PATH: Final = re.compile(rb"(?:MAIL FROM|RCPT TO):<([^>]*)>(.*)")

_HELLOS: Final[dict[bytes, Callable[[str], Command[object]]]] = {b"EHLO": Ehlo, b"HELO": Helo, b"LHLO": Lhlo}


@dataclass(frozen=True)
class Answer:
    """A reply, and where in what the server says it ends."""

    code: int
    lines: tuple[bytes, ...]
    end: int


def answers_in(heard: bytes) -> Iterator[Answer]:
    """Return the replies that are whole, up to one that is none."""
    return (answer for answer in _read(heard) if isinstance(answer, Answer))


def nonsense_in(heard: bytes) -> int | None:
    """Return the place behind the first line that is no part of a reply; None if there is no such line."""
    return next((end for end in _read(heard) if isinstance(end, int)), None)


def _read(heard: bytes) -> Iterator[Answer | int]:
    lines: list[bytes] = []
    code, end = b"", 0
    for line in heard.split(b"\n")[:-1]:
        end += len(line) + 1
        found = _LINE.fullmatch(line.removesuffix(b"\r"))
        if found is None or (lines and found[1] != code):
            yield end
            return
        code = found[1]
        lines.append(found[3] or b"")
        if found[2] != b"-":
            yield Answer(int(code), tuple(lines), end)
            lines = []


@dataclass
class SMTPStory:
    """What the client wants, and in `asked` what it gets an answer to, by its first word, in the order of the answers.

    Both are read from the octets of both sides. is_interrupted: the last message has no end.
    """

    story: Story
    hello: Callable[[str], Command[object]] = Ehlo
    name: str = ""
    starttls: bool = False
    mechanism: str = ""
    responses: list[bytes] = field(default_factory=list)  # of AUTH, decoded
    mails: list[Mail] = field(default_factory=list)
    is_interrupted: bool = False
    asked: list[str] = field(default_factory=lambda: ["(the"])
    answers: list[Answer] = field(default_factory=list)  # but for the challenges of AUTH

    def __post_init__(self) -> None:
        self._coming = answers_in(self.story.transcript.server)
        self._accepted = 0  # recipients of the present mail
        self._is_complete = True  # it, if it leaves in chunks
        self._answer_to()
        rest = self.story.transcript.client
        while rest:
            line, end, rest = rest.partition(b"\r\n")
            assert end, "a command has no end"
            rest = self._read(line, rest)
        for mail in self.mails:
            # What the client does not come to say.
            mail.recipients = mail.recipients or (B,)
            mail.body = mail.body or (b"hello\r\n",)
            if not self._is_complete:
                mail.body = (*mail.body, b"\r\n")

    @property
    def is_lmtp(self) -> bool:
        return self.hello is Lhlo

    @property
    def credentials(self) -> Password:
        """Those of the transcript; any, where it says none."""
        user, password, *_ = (*self.responses, b"x", b"x")
        if self.mechanism == "PLAIN":
            _, user, password = self.responses[0].split(b"\0")
        return Password(user.decode(), password.decode())

    def make_mechanism(self) -> Mechanism | None:
        """The mechanism with the credentials of the transcript."""
        make = {"PLAIN": Plain, "LOGIN": Login}.get(self.mechanism)
        return None if make is None else make(self.credentials)

    def make_sender(self, connection: Connection) -> Sender:
        mails = [Mail(**vars(mail)) for mail in self.mails]
        make = _Interrupted if self.is_interrupted else _Eager
        in_a_row = "in-a-row" in self.story.options
        return make(
            connection,
            mails,
            hello=self.hello,
            name=self.name,
            starttls=self.starttls,
            mechanism=self.make_mechanism(),
            in_a_row=in_a_row,
            chunk_size=1,  # every block is a chunk of its own
        )

    # Reading

    def _answer_to(self) -> int:
        answer = next(self._coming, None)
        if answer is None:
            return 0
        self.answers.append(answer)
        return answer.code

    def _ask(self, verb: str) -> int:
        self.asked.append(verb)
        return self._answer_to()

    def _read(self, line: bytes, rest: bytes) -> bytes:
        verb, _, argument = line.partition(b" ")
        if verb == b"AUTH":
            return self._read_auth(argument, rest)
        if verb == b"BDAT":
            size, *last = argument.split(b" ")
            self._is_complete = bool(last)
            self.mails[-1].body = (*self.mails[-1].body, rest[: int(size)])
            for _ in range(self._accepted if last and self.is_lmtp else 1):
                self._ask("BDAT")
            return rest[int(size) :]
        if verb in _HELLOS and not self.name:
            self.hello, self.name = _HELLOS[verb], argument.decode()
        elif verb == b"STARTTLS":
            self.starttls = True
        elif verb == b"MAIL":
            self._begin_mail(line)
        code = self._ask(verb.decode())
        if verb == b"RCPT":
            path, _ = _path(line)
            assert path is not None
            self.mails[-1].recipients = (*self.mails[-1].recipients, path)
            self._accepted += 200 <= code < 300
        return self._read_message(rest) if code == 354 and verb == b"DATA" else rest

    def _begin_mail(self, line: bytes) -> None:
        options = self.story.options
        path, parameters = _path(line)
        chunking: bool | Literal["eager"] = "eager" if "chunking=eager" in options else "chunking" in options
        on_refused: Literal["send", "abort"] = "abort" if "on_refused=abort" in options else "send"
        self.mails.append(Mail((), (), path, parameters, chunking, on_refused))
        self._accepted = 0

    def _read_auth(self, argument: bytes, rest: bytes) -> bytes:
        mechanism, *initial = argument.split(b" ")
        self.mechanism = mechanism.decode()
        self.responses += map(b64decode, initial)
        while self._ask("AUTH") == 334:
            self.asked.pop()
            self.answers.pop()
            line, _, rest = rest.partition(b"\r\n")
            if line != b"*":
                self.responses.append(b64decode(line))
        return rest

    def _read_message(self, rest: bytes) -> bytes:
        dot = (b"\r\n" + rest).find(b"\r\n.\r\n")
        self.is_interrupted = dot < 0
        if not dot and not self._accepted:
            # What the client does not come to say.
            self._ask(".")
            return rest[3:]
        # The transparency of RFC 5321 4.5.2, undone.
        self.mails[-1].body = ((b"\r\n" + rest[: max(dot, 0) or None]).replace(b"\r\n.", b"\r\n")[2:] if dot else b"",)
        for _ in range(max(1, self._accepted) if self.is_lmtp else 1):
            self._ask(".")
        return b"" if dot < 0 else rest[dot + 3 :]


class _Eager(Sender):
    # Writes whatever is wanted at once.

    def take(self, event: Event) -> None:
        super().take(event)
        self.write()


class _Interrupted(Sender):
    # Writes the beginning of its message, and never the end.

    def write(self) -> bool:
        wrote = False
        if self.transactions and self.transaction.wants_data:
            for block in self._bodies[-1]:
                self.transaction.send_data(block)
                wrote = True
        return wrote


def _path(line: bytes) -> tuple[Mailbox | None, dict[str, str | None]]:
    found = _PATH.fullmatch(line)
    assert found is not None, line
    words = [word.partition("=") for word in found[2].decode().split()]
    parameters = {name: value if equals else None for name, equals, value in words}
    return (Mailbox.parse(found[1].decode()) if found[1] else None), parameters


# Playing


def play(
    story: SMTPStory, transcript: Transcript | None = None, cuts: Collection[int] = ()
) -> tuple[Replay[Event], Sender]:
    """Drive a client that wants what the story says through its transcript, or through another one."""
    sender = story.make_sender(Connection(lmtp=story.is_lmtp))
    return replay(transcript or story.story.transcript, sender.connection, sender, cuts), sender


def told(result: Replay[Event]) -> list[tuple[str, int, tuple[bytes, ...]]]:
    """The replies that were told, each with the first word of what it answers."""
    return told_of(result.events)


def told_of(events: Iterable[Event]) -> list[tuple[str, int, tuple[bytes, ...]]]:
    """The same of the events themselves."""
    return [
        (str(event.command).split(" ")[0], event.reply.code, event.reply.lines)
        for event in events
        if isinstance(event, ReplyReceived)
    ]
