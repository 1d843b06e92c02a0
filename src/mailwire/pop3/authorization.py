"""Commands of the AUTHORIZATION state: who we are, and TLS before it (RFC 1939 4 and 7, RFC 2595 4, 5034, 6856)."""

import hashlib
from dataclasses import dataclass, field
from typing import ClassVar

from .._wire.text import check_argument, printable, quote, secret_problem
from .._wire.trace import MASK
from ..sasl.exchange import Exchange
from ..sasl.fields import check_texts, text_problem
from ..sasl.mechanism import Mechanism, mechanism_problem
from ..sasl.oauth import XOAuth2
from ..sasl.redaction import Redaction
from .commands import PlainCommand
from .response import Response

__all__ = ["Apop", "Auth", "Pass", "Stls", "User", "Utf8"]


@dataclass(frozen=True, slots=True)
class Stls(PlainCommand):
    """STLS (RFC 2595 4)."""

    capability: ClassVar[str] = "STLS"
    stands_alone = True  # nothing may be unanswered when the handshake begins

    def encode(self) -> bytes:
        return b"STLS\r\n"


@dataclass(frozen=True, slots=True)
class Utf8(PlainCommand):
    """UTF8 (RFC 6856 2): let messages come in UTF-8, headers and all. STLS has no place behind it."""

    capability: ClassVar[str] = "UTF8"

    def encode(self) -> bytes:
        return b"UTF8\r\n"


@dataclass(frozen=True, slots=True)
class User(PlainCommand):
    """USER (RFC 1939 7)."""

    capability: ClassVar[str] = "USER"
    ends_group = False

    name: str

    def __post_init__(self) -> None:
        check_texts(self, "name")
        if not check_argument("a user name", self.name.encode()):
            raise ValueError("a user name must not be empty")

    def encode(self) -> bytes:
        return f"USER {self.name}\r\n".encode()


@dataclass(frozen=True, slots=True, init=False)
class Pass(PlainCommand):
    """PASS (RFC 1939 7). Blanks are part of the password, for PASS has a single argument."""

    capability: ClassVar[str] = "USER"
    is_secret = True

    password: str = field(repr=False)

    # The one that a dataclass makes would hold the password where a traceback with locals shows it.
    def __init__(self, password: str) -> None:
        problem = secret_problem("a password", password)
        if problem is not None:
            del self, password
            raise ValueError(problem)
        object.__setattr__(self, "password", password)

    def encode(self) -> bytes:
        return f"PASS {self.password}\r\n".encode()

    def mask(self, text: bytes) -> bytes:
        return Redaction([self.password.encode()]).mask(text)

    def __str__(self) -> str:
        return f"PASS {MASK}"


@dataclass(frozen=True, slots=True, init=False)
class Apop(PlainCommand):
    """APOP (RFC 1939 7): a digest of the `timestamp` in the server's greeting and the password.

    It keeps the password from those who only listen, and from nobody else: MD5 is guessed at thousands of millions a
    second, and a server that is not the one it says learns the password from its choice of timestamps (CVE-2007-1558).

    Raises ValueError for a timestamp that is no message identifier, as `Response.timestamp` finds it.
    """

    is_secret = True

    name: str
    password: str = field(repr=False)
    timestamp: bytes

    def __init__(self, name: str, password: str, timestamp: bytes) -> None:  # as for Pass
        problem = _problem_with(name, password, timestamp)
        if problem is not None:
            del self, name, password, timestamp
            raise ValueError(problem)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "password", password)
        object.__setattr__(self, "timestamp", timestamp)

    def encode(self) -> bytes:
        return f"APOP {self.name} {self._digest()}\r\n".encode()

    def mask(self, text: bytes) -> bytes:
        return Redaction([self.password.encode(), self._digest().encode("ascii")]).mask(text)

    def __str__(self) -> str:
        return f"APOP {printable(self.name.encode())} {MASK}"

    def _digest(self) -> str:
        return hashlib.md5(self.timestamp + self.password.encode(), usedforsecurity=False).hexdigest()


def _problem_with(name: str, password: str, timestamp: object) -> str | None:
    if (problem := text_problem(name=name) or secret_problem("a password", password)) is not None:
        return problem
    try:
        is_one_word = check_argument("a user name", name.encode()) != b"" and " " not in name
    except ValueError as error:
        return str(error)
    if not is_one_word:
        return "a user name for APOP must not be empty, nor hold a blank"
    if not isinstance(timestamp, bytes):
        return f"expected the timestamp to be octets, got {type(timestamp).__name__}"
    if Response(True, timestamp).timestamp != timestamp:
        return f"expected a timestamp in the form of a message identifier, got {quote(timestamp)}"
    return None


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Auth(PlainCommand):
    """AUTH (RFC 5034 4) with a mechanism, which answers the server's challenges until the final response.

    sends_initial_response: False lets the server ask for it first, as it does anyway where that would make the command
        too long. None: False for XOAUTH2, for Outlook hangs up on the whole of it in one line.

    Raises ValueError for what is no mechanism, as its name is none.
    """

    capability: ClassVar[str] = "SASL"
    is_secret = True

    mechanism: Mechanism = field(repr=False)
    sends_initial_response: bool | None = field(default=None, repr=False)
    exchange: Exchange = field(init=False, repr=False)

    # RFC 5034 4: with its initial response the line must not exceed RFC 2449's 255 octets.
    line_limit: ClassVar[int] = 255

    # As in SMTP: what may be a password is held by no frame where an error is raised.
    def __init__(self, mechanism: Mechanism, sends_initial_response: bool | None = None) -> None:
        problem = mechanism_problem(mechanism)
        if problem is not None:
            del self, mechanism
            raise ValueError(problem)
        object.__setattr__(self, "mechanism", mechanism)
        object.__setattr__(self, "sends_initial_response", sends_initial_response)
        self.__post_init__()

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
