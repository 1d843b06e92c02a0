"""Commands: what a client may say to a POP3 server, as values (RFC 1939, 2449, 2595, 5034).

A command is checked when it is made and knows what it looks like on the wire (`encode`), whether its answer goes on
after the first line (`multiline`), how it may be pipelined (`ends_group`, `octets`) and what the answer means
(`parse`). To add one, derive from `Command`.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Generic, TypeVar

from .._wire.text import LINE_END, check_argument, check_secret, printable, quote
from .._wire.trace import MASK
from ..sasl.exchange import Exchange
from ..sasl.mechanism import Mechanism
from ..sasl.oauth import XOAuth2
from ..sasl.redaction import Redaction
from .capabilities import Capabilities
from .limits import DEFAULT_LIMITS, Limits
from .listing_reader import GREATEST_NUMBER, BodyReader
from .listings import DropListing, ScanListing, ScanReader, UniqueIdListing, UniqueIdReader
from .response import Response

__all__ = [
    "Apop",
    "Auth",
    "Capa",
    "Command",
    "Dele",
    "Greeting",
    "List",
    "Noop",
    "Pass",
    "Quit",
    "Retr",
    "Rset",
    "Stat",
    "Stls",
    "Top",
    "Uidl",
    "User",
]

T_co = TypeVar("T_co", covariant=True)

_CAPABILITIES_LIMIT: Final = 64 * 1024


class Command(Generic[T_co]):
    """A command whose successful response means a `T_co`. A command of your own defines `encode` and `parse`."""

    __slots__ = ()

    is_secret: ClassVar[bool] = False  # it tells the server something that must not be shown if the server says it, too
    ends_group: ClassVar[bool] = True  # what follows waits for the answer: the safe choice for an unknown command
    stands_alone: ClassVar[bool] = False  # it waits itself until everything before it is answered
    streamed: ClassVar[bool] = False  # the body is a message: it is handed out in blocks, whatever its size
    body_limit: ClassVar[int] = DEFAULT_LIMITS.listing_octets  # octets of a body that is read as a whole

    @property
    def multiline(self) -> bool:
        """Whether a +OK is followed by a body that ends in a dot on a line of its own."""
        return False

    @property
    def octets(self) -> int:
        """How many octets the answer is expected to have; a hint for the window of what is in flight."""
        return 0

    def encode(self) -> bytes:
        """Return the command line, with the CRLF that ends it."""
        raise AssertionError(f"{type(self).__name__} does not say what it looks like on the wire")

    def reader(
        self, limits: Limits = DEFAULT_LIMITS, masked: Callable[[bytes], bytes] = bytes
    ) -> BodyReader[T_co] | None:
        """Return what reads the body of the answer as it comes, for `parse` to find; None to have the body collected.

        masked: takes out of the server's words what must not be shown.
        """
        return None

    def parse(self, response: Response) -> T_co:
        """Return what the `response`, a +OK, means."""
        raise AssertionError(f"{type(self).__name__} does not say what its response means")

    def mask(self, text: bytes) -> bytes:
        """Return `text`, which the server said, without the secret that this command tells it."""
        return text

    def __str__(self) -> str:
        """The command as a transcript shows it: one printable line, with secrets masked."""
        return printable(self.encode().removesuffix(LINE_END))

    def shown(self) -> Sequence[str]:
        """Return the lines of a transcript."""
        return (str(self),)


class _PlainResponse(Command[Response]):
    # A command whose response means no more than it says.

    __slots__ = ()

    def parse(self, response: Response) -> Response:
        return response


def _check_number(number: int) -> None:
    if type(number) is not int or not 1 <= number <= GREATEST_NUMBER:
        raise ValueError(f"a message number is a positive int, got {_shown(number)}")


def _check_count(what: str, number: int, most: int | None = None) -> None:
    if type(number) is not int or number < 0 or (most is not None and number > most):
        raise ValueError(f"{what} is an int of at least 0, got {_shown(number)}")


def _shown(number: object) -> str:
    if isinstance(number, int) and number.bit_length() > 64:
        return f"one of {number.bit_length()} bits"  # beyond some thousand digits it has no repr
    return repr(number)


@dataclass(frozen=True, slots=True)
class Greeting(_PlainResponse):
    """No command, but what the server's greeting answers: that it was connected to (RFC 1939 4)."""

    def __str__(self) -> str:
        return "(the connection)"


@dataclass(frozen=True, slots=True)
class Capa(Command[Capabilities]):
    """CAPA (RFC 2449 5)."""

    body_limit = _CAPABILITIES_LIMIT

    @property
    def multiline(self) -> bool:
        return True

    def encode(self) -> bytes:
        return b"CAPA\r\n"

    def parse(self, response: Response) -> Capabilities:
        return Capabilities.parse(response)


@dataclass(frozen=True, slots=True)
class Stls(_PlainResponse):
    """STLS (RFC 2595 4)."""

    stands_alone = True  # nothing may be unanswered when the handshake begins

    def encode(self) -> bytes:
        return b"STLS\r\n"


@dataclass(frozen=True, slots=True)
class User(_PlainResponse):
    """USER (RFC 1939 7)."""

    ends_group = False

    name: str

    def __post_init__(self) -> None:
        if not check_argument("a user name", self.name.encode()):
            raise ValueError("a user name must not be empty")

    def encode(self) -> bytes:
        return f"USER {self.name}\r\n".encode()


@dataclass(frozen=True, slots=True)
class Pass(_PlainResponse):
    """PASS (RFC 1939 7). Blanks are part of the password, for PASS has a single argument."""

    is_secret = True

    password: str = field(repr=False)

    def __post_init__(self) -> None:
        check_secret("a password", self.password)

    def encode(self) -> bytes:
        return f"PASS {self.password}\r\n".encode()

    def mask(self, text: bytes) -> bytes:
        return Redaction([self.password.encode()]).mask(text)

    def __str__(self) -> str:
        return f"PASS {MASK}"


@dataclass(frozen=True, slots=True)
class Apop(_PlainResponse):
    """APOP (RFC 1939 7): a digest of the `timestamp` in the server's greeting and the password.

    It keeps the password from those who only listen, and from nobody else: MD5 is guessed at thousands of millions a
    second, and a server that is not the one it says learns the password from its choice of timestamps (CVE-2007-1558).

    Raises ValueError for a timestamp that is no message identifier, as `Response.timestamp` finds it.
    """

    is_secret = True

    name: str
    password: str = field(repr=False)
    timestamp: bytes

    def __post_init__(self) -> None:
        if not check_argument("a user name", self.name.encode()) or " " in self.name:
            raise ValueError("a user name for APOP must not be empty, nor hold a blank")
        check_secret("a password", self.password)
        if Response(True, self.timestamp).timestamp != self.timestamp:
            raise ValueError(f"expected a timestamp in the form of a message identifier, got {quote(self.timestamp)}")

    def encode(self) -> bytes:
        return f"APOP {self.name} {self._digest()}\r\n".encode()

    def mask(self, text: bytes) -> bytes:
        return Redaction([self.password.encode(), self._digest().encode("ascii")]).mask(text)

    def __str__(self) -> str:
        return f"APOP {printable(self.name.encode())} {MASK}"

    def _digest(self) -> str:
        return hashlib.md5(self.timestamp + self.password.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Auth(_PlainResponse):
    """AUTH (RFC 5034 4) with a mechanism, which answers the server's challenges until the final response.

    sends_initial_response: False lets the server ask for it first, as it does anyway where that would make the command
        too long. None: False for XOAUTH2, for Outlook hangs up on the whole of it in one line.
    """

    is_secret = True

    mechanism: Mechanism = field(repr=False)
    sends_initial_response: bool | None = field(default=None, repr=False)
    exchange: Exchange = field(init=False, repr=False)

    # RFC 5034 4: with its initial response the line must not exceed RFC 2449's 255 octets.
    line_limit: ClassVar[int] = 255

    def __post_init__(self) -> None:
        sends_initial_response = self.sends_initial_response
        if sends_initial_response is None:
            sends_initial_response = self.mechanism.name != XOAuth2.name
        exchange = Exchange(self.mechanism, b"AUTH", self.line_limit, sends_initial_response=sends_initial_response)
        object.__setattr__(self, "exchange", exchange)

    def mask(self, text: bytes) -> bytes:
        return self.exchange.mask(text)

    def encode(self) -> bytes:
        return self.exchange.command_line()

    def __str__(self) -> str:
        return self.exchange.shown_command()


@dataclass(frozen=True, slots=True)
class Stat(Command[DropListing]):
    """STAT (RFC 1939 5)."""

    ends_group = False

    def encode(self) -> bytes:
        return b"STAT\r\n"

    def parse(self, response: Response) -> DropListing:
        return DropListing.parse(response)


@dataclass(frozen=True, slots=True)
class List(Command[ScanListing]):
    """LIST (RFC 1939 5), of one message `number` or of all."""

    ends_group = False

    number: int | None = None

    def __post_init__(self) -> None:
        if self.number is not None:
            _check_number(self.number)

    @property
    def multiline(self) -> bool:
        return self.number is None

    def encode(self) -> bytes:
        return b"LIST\r\n" if self.number is None else b"LIST %d\r\n" % self.number

    def reader(self, limits: Limits = DEFAULT_LIMITS, masked: Callable[[bytes], bytes] = bytes) -> ScanReader:
        return ScanReader(limits, masked)

    def parse(self, response: Response) -> ScanListing:
        if isinstance(response.reading, ScanListing):
            return response.reading
        return ScanListing.parse(response, self.number)


@dataclass(frozen=True, slots=True)
class Uidl(Command[UniqueIdListing]):
    """UIDL (RFC 1939 7), of one message `number` or of all."""

    ends_group = False

    number: int | None = None

    def __post_init__(self) -> None:
        if self.number is not None:
            _check_number(self.number)

    @property
    def multiline(self) -> bool:
        return self.number is None

    def encode(self) -> bytes:
        return b"UIDL\r\n" if self.number is None else b"UIDL %d\r\n" % self.number

    def reader(self, limits: Limits = DEFAULT_LIMITS, masked: Callable[[bytes], bytes] = bytes) -> UniqueIdReader:
        return UniqueIdReader(limits, masked)

    def parse(self, response: Response) -> UniqueIdListing:
        if isinstance(response.reading, UniqueIdListing):
            return response.reading
        return UniqueIdListing.parse(response, self.number)


@dataclass(frozen=True, slots=True)
class _MessageCommand(_PlainResponse):
    ends_group = False

    verb: ClassVar[bytes]

    number: int

    def __post_init__(self) -> None:
        _check_number(self.number)

    def encode(self) -> bytes:
        return b"%b %d\r\n" % (self.verb, self.number)


@dataclass(frozen=True, slots=True)
class Retr(_MessageCommand):
    """RETR (RFC 1939 5). `size`: the octets that LIST told, a hint for how much may be asked for at a time."""

    verb = b"RETR"
    streamed = True

    size: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        _check_number(self.number)
        _check_count("the size", self.size)

    @property
    def multiline(self) -> bool:
        return True

    @property
    def octets(self) -> int:
        return self.size


@dataclass(frozen=True, slots=True)
class Top(_MessageCommand):
    """TOP (RFC 1939 7): the header and the first `lines` lines of the body. A preview, never the message."""

    verb = b"TOP"
    streamed = True

    lines: int

    def __post_init__(self) -> None:
        _check_number(self.number)
        _check_count("the number of lines", self.lines, GREATEST_NUMBER)

    @property
    def multiline(self) -> bool:
        return True

    def encode(self) -> bytes:
        return b"TOP %d %d\r\n" % (self.number, self.lines)


@dataclass(frozen=True, slots=True)
class Dele(_MessageCommand):
    """DELE (RFC 1939 5): mark a message; it is deleted when the server has answered QUIT with +OK."""

    verb = b"DELE"


@dataclass(frozen=True, slots=True)
class Rset(_PlainResponse):
    """RSET (RFC 1939 5): no message is marked as deleted any more."""

    ends_group = False

    def encode(self) -> bytes:
        return b"RSET\r\n"


@dataclass(frozen=True, slots=True)
class Noop(_PlainResponse):
    """NOOP (RFC 1939 5)."""

    ends_group = False

    def encode(self) -> bytes:
        return b"NOOP\r\n"


@dataclass(frozen=True, slots=True)
class Quit(_PlainResponse):
    """QUIT (RFC 1939 5 and 6): delete the marked messages and end the session."""

    def encode(self) -> bytes:
        return b"QUIT\r\n"
