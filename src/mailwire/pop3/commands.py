"""Commands: what a client may say to a POP3 server, as values (RFC 1939, 2449, 6856).

A command is checked when it is made and knows what it looks like on the wire (`encode`), whether its answer goes on
after the first line (`multiline`), how it may be pipelined (`ends_group`, `octets`) and what the answer means
(`parse`). To add one, derive from `Command`.

Here are those of both states; `authorization` and `transaction` have the others.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Generic, TypeVar

from .._wire.text import LINE_END, check_kind, printable, quote
from .capabilities import Capabilities
from .limits import DEFAULT_LIMITS, Limits
from .listing_reader import BodyReader
from .response import Response

__all__ = ["Capa", "Command", "Greeting", "Lang", "PlainCommand", "Quit"]

T_co = TypeVar("T_co", covariant=True)

_CAPABILITIES_LIMIT: Final = 64 * 1024
_LANGUAGES_LIMIT: Final = 64 * 1024

# RFC 5646 2.1, the form of it: words of letters and digits. A lone asterisk asks for the server's own (RFC 6856 3.2).
_LANGUAGE: Final = re.compile(rb"(?:[A-Za-z0-9]{1,8}(?:-[A-Za-z0-9]{1,8}){0,15}|\*)\Z")


class Command(Generic[T_co]):
    """A command whose successful response means a `T_co`. A command of your own defines `encode` and `parse`."""

    __slots__ = ()

    capability: ClassVar[str | None] = None  # by which a server announces it (RFC 2449 6); None: every server has it
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


class PlainCommand(Command[Response]):
    """A command whose response means no more than it says."""

    __slots__ = ()

    def parse(self, response: Response) -> Response:
        return response


@dataclass(frozen=True, slots=True)
class Greeting(PlainCommand):
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
class Lang(Command[Mapping[str, str]]):
    """LANG (RFC 6856 3): ask which languages the server's texts may be in, or ask for the one with the tag `language`.

    The answer means a mapping of the tags, as they came, to what the server says with each. "*" is the server's own
    language.
    """

    capability: ClassVar[str] = "LANG"
    body_limit = _LANGUAGES_LIMIT

    language: str | None = None

    def __post_init__(self) -> None:
        if self.language is None:
            return
        check_kind("the language", self.language, str, "text or None")
        if not _LANGUAGE.match(self.language.encode()):
            raise ValueError(f"expected a language tag, such as en or pt-BR, or *, got {quote(self.language.encode())}")

    @property
    def multiline(self) -> bool:
        return self.language is None

    def encode(self) -> bytes:
        return b"LANG\r\n" if self.language is None else f"LANG {self.language}\r\n".encode()

    def parse(self, response: Response) -> Mapping[str, str]:
        languages: dict[str, str] = {}
        for line in response.lines if self.language is None else (response.line,):
            tag, *description = line.split(maxsplit=1) or [b""]
            if _LANGUAGE.match(tag):
                languages[tag.decode("ascii")] = printable(b"".join(description).rstrip())
        return languages


@dataclass(frozen=True, slots=True)
class Quit(PlainCommand):
    """QUIT (RFC 1939 5 and 6): delete the marked messages and end the session."""

    def encode(self) -> bytes:
        return b"QUIT\r\n"
