"""Script: what a `ScriptedPeer` does, as data. A script is a sequence of steps, taken in order.

What the peer says:

    "S: 250 ok"         this line, with CRLF behind it; lines that follow each other leave in one packet
    b"25"               these octets, as they are
    Slow(..., 1)        a line or octets, so many octets a second
    Endless(b"a")       these octets again and again, until the client goes
    PACKET              what follows leaves in a packet of its own: the client has read what came before

What it expects of the client:

    "C: QUIT"           exactly this line, and with "C: MAIL ..." a line that begins so
    Hear(65536)         so many octets, whatever they are, or exactly these
    MAIL_DATA           a message, with the dot that ends it
    Answers({...})      whatever commands come: they are answered from a table, until the client closes or says QUIT
    LISTEN              anything, until the client closes

What it does to the connection; behind the last four nothing can be said:

    Tls("localhost")    make a TLS handshake, with the certificate of that name (`server_context`)
    Beneath(b"...")     put these octets on the wire as they are, also where TLS is in force
    CLIENT_HELLO        hear the first record of a TLS handshake, and make none
    ALERT               break TLS by a fatal alert
    CLOSE               close its half in good order, under TLS with a close_notify
    FIN                 close its half, without a close_notify
    RST                 reset the connection

What it fails to do:

    STALL               nothing: it marks the place where the client waits in vain
    NO_READING          from here on it hears nothing; saying goes on
    WITHHOLD            from here on it answers no close_notify, and stays until the test is over
    WAIT                nothing, until the test says `peer.go_on()`

A script that ends goes on listening: what the client says then, though no step foresees it, fails the test. `LISTEN`
allows it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from itertools import cycle, repeat
from typing import Final, TypeAlias

from .checks import describe
from .tls import SERVER_NAMES

__all__ = [
    "ALERT",
    "CLIENT_HELLO",
    "CLOSE",
    "FIN",
    "LISTEN",
    "MAIL_DATA",
    "NO_READING",
    "PACKET",
    "RST",
    "STALL",
    "WAIT",
    "WITHHOLD",
    "Answers",
    "Beneath",
    "Endless",
    "Hear",
    "Mark",
    "Slow",
    "Step",
    "Tls",
    "check_hello",
    "check_line",
    "check_script",
    "chunk_size",
    "decode_line",
    "encode_line",
    "find_mail_end",
    "hello_size",
    "place_in",
    "shorten",
    "spoken",
]


class Mark(Enum):
    """The steps that are no more than a word. Each is a constant of this module."""

    PACKET = auto()
    MAIL_DATA = auto()
    LISTEN = auto()
    CLIENT_HELLO = auto()
    ALERT = auto()
    CLOSE = auto()
    FIN = auto()
    RST = auto()
    STALL = auto()
    NO_READING = auto()
    WITHHOLD = auto()
    WAIT = auto()

    def __repr__(self) -> str:
        return self.name


PACKET: Final = Mark.PACKET
"""What follows leaves in a packet of its own; what came before has been read by a client that was waiting for it."""
MAIL_DATA: Final = Mark.MAIL_DATA
"""Hear a message, up to and with the dot that ends it."""
LISTEN: Final = Mark.LISTEN
"""Hear whatever is said until the client closes."""
CLIENT_HELLO: Final = Mark.CLIENT_HELLO
"""Hear the first record of a TLS handshake (RFC 8446 5.1), and leave it unanswered."""
ALERT: Final = Mark.ALERT
"""Break TLS by a fatal alert (RFC 8446 6.2), that of a record which cannot be deciphered. What the client says then is
lost. Right behind the handshake it is heard as that of a server which refuses the client's certificate by TLS 1.3: the
client's own end of the handshake is made by then."""
CLOSE: Final = Mark.CLOSE
"""Close our half in good order: under TLS with a close_notify (RFC 8446 6.1)."""
FIN: Final = Mark.FIN
"""Close our half as TCP does, without a close_notify."""
RST: Final = Mark.RST
"""Reset the connection. What the client says then is lost. The connection is made by TCP where a script has this."""
STALL: Final = Mark.STALL
"""Do nothing; at the end of a script it shows that the client waits in vain."""
NO_READING: Final = Mark.NO_READING
"""From here on hear nothing, so that the client cannot get rid of what it says. Saying goes on."""
WITHHOLD: Final = Mark.WITHHOLD
"""From here on answer no close_notify, nor close the connection, until the test is over."""
WAIT: Final = Mark.WAIT
"""Do nothing until the test says `peer.go_on()`, before or after we are here. It is good for one time."""


@dataclass(frozen=True)
class Hear:
    """Hear so many `octets`, whatever they are; or exactly these, if they are octets themselves.

    Raises ValueError for what is neither.
    """

    octets: int | bytes

    def __post_init__(self) -> None:
        if not isinstance(self.octets, int):
            _check_octets(self.octets)
        elif self.octets < 0:
            raise ValueError(f"expected octets, or a number of them, got {self.octets}")

    @property
    def size(self) -> int:
        """How many they are."""
        return self.octets if isinstance(self.octets, int) else len(self.octets)

    def check(self, heard: bytes) -> None:
        """Raise AssertionError if other octets than those that are expected were heard."""
        if isinstance(self.octets, bytes) and heard != self.octets:
            raise AssertionError(f"expected the client to say {shorten(self.octets)}, it said {shorten(heard)}")


@dataclass(frozen=True)
class Beneath:
    """Put these `octets` on the wire as they are, beneath TLS where that is in force. Raises ValueError for others."""

    octets: bytes

    def __post_init__(self) -> None:
        _check_octets(self.octets)


@dataclass(frozen=True)
class Tls:
    """Make a TLS handshake with the test certificate called `name`, one of those that `server_context` has.

    What follows is said and heard under TLS. A client that gives the handshake up has played its part: the rest of the
    script says nothing to anybody, and the peer's `handshake_error` holds the reason. One that goes on in the clear,
    in place of the handshake or behind it, fails the test. TLS begins once. Raises ValueError for another name.
    """

    name: str = "localhost"

    def __post_init__(self) -> None:
        if self.name not in SERVER_NAMES:
            raise ValueError(f"no test certificate is called {self.name!r}; expected one of {', '.join(SERVER_NAMES)}")


@dataclass(frozen=True)
class Answers:
    """Answer each command with what the `table` has for the whole line, or else for its first word in capitals.

    An answer is the lines of one text, parted by line feeds, each sent with CRLF. Behind a 3yz to DATA a message is
    heard, and answered with what the table has for ".". So is the last chunk of a message; each chunk is heard before
    BDAT is answered. The step ends when the client closes, and behind the answer to QUIT. A command that the table does
    not have fails the test. Raises ValueError for a table of anything but text.
    """

    table: Mapping[str, str]

    def __post_init__(self) -> None:
        _check_table(self.table)

    def find(self, line: str) -> str:
        """Return the answer to the client's `line`. Raises AssertionError if the table has none."""
        verb, _, argument = line.partition(" ")
        verb = verb.upper()
        is_last = verb == "BDAT" and argument.upper().endswith(" LAST")
        answer = self.table.get(line, self.table.get("." if is_last else verb))
        if answer is None:
            raise AssertionError(f"the table has no answer to {shorten(line)}")
        return answer

    def steps(self, line: str) -> "Iterator[bytes | Hear | Mark]":
        """Return the steps by which the client's `line` is answered. Raises AssertionError as `find` does."""
        verb, _, argument = line.partition(" ")
        if verb.upper() == "BDAT":
            yield Hear(chunk_size(argument))
        answer = self.find(line)
        yield _encode_lines(answer)
        if verb.upper() == "DATA" and answer.startswith("3"):
            yield Mark.MAIL_DATA
            yield _encode_lines(self.find("."))

    def ends_with(self, line: str) -> bool:
        """Whether the step ends behind the answer to the client's `line`."""
        return line.partition(" ")[0].upper() == "QUIT"


@dataclass(frozen=True)
class Endless:
    """Say these `octets` again and again until the client goes; that it does so fails no test.

    They are said as fast as the client takes them in. Raises ValueError if there are none.
    """

    octets: bytes

    def __post_init__(self) -> None:
        _check_octets(self.octets)
        if not self.octets:
            raise ValueError("expected at least one octet to say without end")


@dataclass(frozen=True)
class Slow:
    """Say something, one octet at a time, so many in a second by the event loop's clock.

    said: what else would be a step: a line ("S: 250 ok"), octets, or `Endless` ones. The first octet leaves at once.
    octets_per_second: greater than 0, and less than 1 for a pause of several seconds.

    A client that goes in the middle of it ends the step and fails no test: the slowness is there to be given up. Raises
    ValueError for what cannot be said, or not at that rate.
    """

    said: str | bytes | Endless
    octets_per_second: float

    def __post_init__(self) -> None:
        said: object = self.said
        if not isinstance(said, str | bytes | Endless) or not said or (isinstance(said, str) and said[:3] != "S: "):
            raise ValueError(f"{said!r} is nothing that a peer says")
        if isinstance(said, str):
            _check_line(said)
        rate: object = self.octets_per_second
        if not isinstance(rate, int | float) or not rate > 0:
            raise ValueError(f"expected a number of octets greater than 0, got {rate!r}")


def _check_table(table: object) -> None:
    if not isinstance(table, Mapping):
        raise ValueError(f"expected a table of commands and answers, got {table!r}")
    for command, answer in table.items():
        if not isinstance(command, str) or not isinstance(answer, str):
            raise ValueError(f"expected a command and its answer as text, got {command!r} and {answer!r}")
        if "\r\n" in answer or not _is_encodable(answer):
            raise ValueError(f"expected lines in UTF-8 that are parted by line feeds alone, got {answer!r}")


def _check_octets(octets: object) -> None:
    if not isinstance(octets, bytes):
        raise ValueError(f"expected octets, got {octets!r}")


Step: TypeAlias = str | bytes | Mark | Hear | Beneath | Tls | Answers | Endless | Slow
"""One step of a script."""


def check_script(script: tuple[Step, ...]) -> None:
    """Raise ValueError if something in `script` is no step, is to be said behind CLOSE, FIN, RST or ALERT, is one of
    these behind RST, ALERT without TLS before it, or Tls where TLS is in force."""
    end: Mark | None = None
    is_encrypted = False
    for step in script:
        if isinstance(step, str) and not step.startswith(("S: ", "C: ")):
            raise ValueError(f'{step!r} is no step of a script: a line begins with "S: " or "C: "')
        if isinstance(step, str):
            _check_line(step)
        if not isinstance(step, Step):
            raise ValueError(f"{step!r} is no step of a script")
        if end is not None and _says_something(step):
            raise ValueError(f"{step!r} is no step behind {end!r}: nothing can be said any more")
        if end is Mark.RST and step in _ENDS:
            raise ValueError(f"{step!r} is no step behind RST: the connection is gone")
        if isinstance(step, Tls) and is_encrypted:
            raise ValueError(f"{step!r} is no step of a script behind another one: TLS is in force")
        if step is Mark.ALERT and not is_encrypted:
            raise ValueError("ALERT is no step of a script before Tls: there is no TLS to break")
        is_encrypted = is_encrypted or isinstance(step, Tls)
        end = step if step in _ENDS else end


# Behind these the peer's half is closed.
_ENDS: Final = (Mark.CLOSE, Mark.FIN, Mark.RST, Mark.ALERT)


def _says_something(step: Step) -> bool:
    if isinstance(step, str):
        return step.startswith("S: ")
    return isinstance(step, bytes | Beneath | Tls | Answers | Endless | Slow)


def _check_line(step: str) -> None:
    if "\n" in step:
        raise ValueError(f"{step!r} is no step of a script: a line has no line end in it, for CRLF comes behind it")
    if not _is_encodable(step):
        raise ValueError(f"{step!r} is no step of a script: it cannot be written in UTF-8")


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def chunk_size(argument: str) -> int:
    """Return how many octets come behind a BDAT with this `argument` (RFC 3030 2). Raises AssertionError."""
    size = argument.split(" ")[0]
    if not (size.isascii() and size.isdigit()):
        raise AssertionError(f"expected the client to say the size of a chunk, it said {shorten(f'BDAT {argument}')}")
    return int(size)


def encode_line(step: str) -> bytes:
    """Return the octets of a step that says a line."""
    return step.removeprefix("S: ").encode() + b"\r\n"


def _encode_lines(text: str) -> bytes:
    return b"".join(line.encode() + b"\r\n" for line in text.split("\n"))


def check_line(line: str, expected: str) -> None:
    """Raise AssertionError if the client's `line` is not the one that is expected, or does not begin as it does."""
    if not (line.startswith(expected.removesuffix("...")) if expected.endswith("...") else line == expected):
        raise AssertionError(f"expected the client to say {shorten(expected)}, it said {shorten(line)}")


# Of a TLS record (RFC 8446 5.1): the type of one that belongs to a handshake, and the octets before what it holds.
_HANDSHAKE: Final = 22
_HEADER: Final = 5


def check_hello(said: bytes | bytearray) -> None:
    """Raise AssertionError if what the client said begins no TLS handshake."""
    if said and said[0] != _HANDSHAKE:
        raise AssertionError(f"expected a handshake, the client said {shorten(said)}")


def hello_size(said: bytes | bytearray) -> int:
    """Return how many octets the first record of a handshake has, or at least has, as far as `said` tells.

    Raises AssertionError as `check_hello` does.
    """
    check_hello(said)
    return _HEADER if len(said) < _HEADER else _HEADER + int.from_bytes(said[3:_HEADER])


def decode_line(line: bytes) -> str:
    """Return a line of the client's without its CRLF. Raises AssertionError if it has none."""
    if not line.endswith(b"\r\n"):
        raise AssertionError(f"expected a line that ends in CRLF, the client said {shorten(line)}")
    return line[:-2].decode("utf-8", "backslashreplace")


def find_mail_end(data: bytes | bytearray, known: int = 0) -> int | None:
    """Return where a message ends in `data`, behind its dot (RFC 5321 4.1.1.4); None if it does not.

    known: how many octets of it were looked at before, and had no end.
    """
    if data.startswith(b".\r\n"):
        return 3
    dot = data.find(b"\r\n.\r\n", max(0, known - 4))
    return None if dot < 0 else dot + 5


def shorten(data: bytes | bytearray | str) -> str:
    """Return `data` as a failure quotes it: of much, the beginning and the end."""
    said = data if isinstance(data, str) else bytes(data)
    return repr(said) if len(said) < 300 else f"{said[:100]!r} ... {said[-100:]!r}"


def place_in(script: tuple[Step, ...], number: int | None) -> str:
    """Return where a failure has happened: at the step of that number, from 1; None: behind the last."""
    if number is None:
        return "behind the last step"
    return f"at step {number} of {len(script)}, {describe(script[number - 1])}"


def spoken(step: Endless | Slow, size: int) -> Iterator[bytes]:
    """Return what such a step says, piece by piece: single octets of a Slow one, otherwise at least `size` octets."""
    if isinstance(step, Endless):
        return repeat(step.octets * (size // len(step.octets) + 1))
    if isinstance(step.said, Endless):
        return cycle(_single(step.said.octets))
    return _single(step.said if isinstance(step.said, bytes) else encode_line(step.said))


def _single(octets: bytes) -> Iterator[bytes]:
    return (octets[place : place + 1] for place in range(len(octets)))
