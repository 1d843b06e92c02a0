"""Commands of the TRANSACTION state: what is in the maildrop, and what becomes of it (RFC 1939 5 and 7)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final

from .commands import Command, PlainCommand
from .limits import DEFAULT_LIMITS, Limits
from .listing_reader import GREATEST_NUMBER, read_octets
from .listings import DropListing, ScanListing, ScanReader, UniqueIdListing, UniqueIdReader
from .response import Response

__all__ = ["Dele", "Last", "List", "Noop", "Retr", "Rset", "Stat", "Top", "Uidl"]


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

    capability: ClassVar[str] = "UIDL"
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
class _MessageCommand(PlainCommand):
    ends_group = False

    verb: ClassVar[bytes]

    number: int

    def __post_init__(self) -> None:
        _check_number(self.number)

    def encode(self) -> bytes:
        return b"%b %d\r\n" % (self.verb, self.number)


@dataclass(frozen=True, slots=True, init=False)
class Retr(_MessageCommand):
    """RETR (RFC 1939 5). `size`: the octets that LIST told, a hint for how much may be asked for at a time."""

    verb = b"RETR"
    streamed = True

    size: int = field(default=0, compare=False)

    # There is one for each message: what a dataclass would make of it costs twice as much.
    def __init__(self, number: int, size: int = 0) -> None:
        if not (type(number) is int and 1 <= number <= GREATEST_NUMBER and type(size) is int and size >= 0):
            _check_number(number)
            _check_count("the size", size)
        _set_number(self, number)
        _set_size(self, size)

    @property
    def multiline(self) -> bool:
        return True

    @property
    def octets(self) -> int:
        return self.size


_set_number: Final = vars(_MessageCommand)["number"].__set__
_set_size: Final = vars(Retr)["size"].__set__


@dataclass(frozen=True, slots=True)
class Top(_MessageCommand):
    """TOP (RFC 1939 7): the header and the first `lines` lines of the body. A preview, never the message."""

    capability: ClassVar[str] = "TOP"
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
class Rset(PlainCommand):
    """RSET (RFC 1939 5): no message is marked as deleted any more."""

    ends_group = False

    def encode(self) -> bytes:
        return b"RSET\r\n"


@dataclass(frozen=True, slots=True)
class Noop(PlainCommand):
    """NOOP (RFC 1939 5)."""

    ends_group = False

    def encode(self) -> bytes:
        return b"NOOP\r\n"


@dataclass(frozen=True, slots=True)
class Last(Command[int | None]):
    """LAST (RFC 1460 5): the greatest number of a message that was accessed, 0 if none was.

    RFC 1725 has taken it away; a server of that time that lacks UIDL may still have it. None where the answer tells no
    number.
    """

    ends_group = False

    def encode(self) -> bytes:
        return b"LAST\r\n"

    def parse(self, response: Response) -> int | None:
        first, *_ = *response.line.split(), b""
        number = read_octets(first)
        return number if number is not None and number <= GREATEST_NUMBER else None
