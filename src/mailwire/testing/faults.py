"""Faults: what can go wrong between a client and a server, as values for a `FaultProxy`.

`of` says whose octets are meant, what the "client" has sent or what the "server" has. Octets and lines are counted from
the beginning of the connection, and as their sender sent them; a line ends with LF. Where several hold up the octets of
one side, these are first gathered (`Coalesced`), then late (`Latency`), and then slow and cut up (`Bandwidth`,
`Slices`). A value that is none raises ValueError.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .checks import check_number, check_octets, check_whole

__all__ = [
    "Alteration",
    "Bandwidth",
    "BitFlip",
    "Coalesced",
    "Cut",
    "DoubledLine",
    "DroppedLine",
    "Fault",
    "HalfClose",
    "Insertion",
    "LateEnd",
    "Latency",
    "Side",
    "Slices",
    "SwappedLines",
    "ZeroWindow",
]

Side = Literal["client", "server"]
"""Whose octets are meant."""


def _check_side(of: object) -> None:
    if of not in ("client", "server"):
        raise ValueError(f'expected the octets of the "client" or of the "server", got {of!r}')


def _check_time(fault: "Latency | Coalesced | LateEnd") -> None:
    _check_side(fault.of)
    check_number("seconds", fault.seconds, 0)


def _check_place(fault: "ZeroWindow | HalfClose | Cut | BitFlip | Insertion") -> None:
    _check_side(fault.of)
    check_whole("at", fault.at, 0)


def _check_line(fault: "DroppedLine | DoubledLine | SwappedLines") -> None:
    _check_side(fault.of)
    check_whole("number", fault.number, 1)


# When octets arrive


@dataclass(frozen=True, slots=True)
class Latency:
    """Every piece takes so many `seconds`, and up to `jitter` seconds more, by chance. The order stays."""

    seconds: float
    jitter: float = 0.0
    of: Side = "server"

    def __post_init__(self) -> None:
        _check_time(self)
        check_number("jitter", self.jitter, 0)


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """No more than so many octets pass in a second."""

    octets_per_second: float
    of: Side = "server"

    def __post_init__(self) -> None:
        _check_side(self.of)
        check_number("octets_per_second", self.octets_per_second, 1)


@dataclass(frozen=True, slots=True)
class Slices:
    """What is sent arrives in pieces of `size` octets, `pause` seconds apart."""

    size: int = 1
    pause: float = 0.0
    of: Side = "server"

    def __post_init__(self) -> None:
        _check_side(self.of)
        check_whole("size", self.size, 1)
        check_number("pause", self.pause, 0)


@dataclass(frozen=True, slots=True)
class Coalesced:
    """What is sent within so many `seconds`, counted from the first octet, arrives at once when they are over."""

    seconds: float
    of: Side = "server"

    def __post_init__(self) -> None:
        _check_time(self)


@dataclass(frozen=True, slots=True)
class LateEnd:
    """That there will be no more is told so many `seconds` after the last octet."""

    seconds: float
    of: Side = "server"

    def __post_init__(self) -> None:
        _check_time(self)


@dataclass(frozen=True, slots=True)
class ZeroWindow:
    """Behind so many octets nothing more is read: what is sent fills the system's buffers and stands still then."""

    at: int
    of: Side = "client"

    def __post_init__(self) -> None:
        _check_place(self)


# How it ends


@dataclass(frozen=True, slots=True)
class HalfClose:
    """Behind so many octets of one side the other one is told that there will be no more. The way back stays open."""

    at: int
    of: Side = "server"

    def __post_init__(self) -> None:
        _check_place(self)


@dataclass(frozen=True, slots=True)
class Cut:
    """Behind so many octets of one side the connection ends for both, with "FIN" or with "RST"."""

    at: int
    of: Side = "server"
    by: Literal["FIN", "RST"] = "RST"

    def __post_init__(self) -> None:
        _check_place(self)
        if self.by not in ("FIN", "RST"):
            raise ValueError(f'expected a cut by "FIN" or "RST", got {self.by!r}')


# What arrives


@dataclass(frozen=True, slots=True)
class BitFlip:
    """In the octet behind so many others one bit is turned over, the lowest being 0."""

    at: int
    bit: int = 0
    of: Side = "server"

    def __post_init__(self) -> None:
        _check_place(self)
        check_whole("bit", self.bit, 0, 7)


@dataclass(frozen=True, slots=True)
class Insertion:
    """Behind so many octets there are others that nobody has sent."""

    at: int
    octets: bytes
    of: Side = "server"

    def __post_init__(self) -> None:
        _check_place(self)
        check_octets("octets", self.octets)


@dataclass(frozen=True, slots=True)
class DroppedLine:
    """The line of this number, counted from 1, does not arrive."""

    number: int
    of: Side = "server"

    def __post_init__(self) -> None:
        _check_line(self)


@dataclass(frozen=True, slots=True)
class DoubledLine:
    """The line of this number, counted from 1, arrives twice."""

    number: int
    of: Side = "server"

    def __post_init__(self) -> None:
        _check_line(self)


@dataclass(frozen=True, slots=True)
class SwappedLines:
    """The line of this number, counted from 1, arrives behind the one that follows it. It is held back until then."""

    number: int
    of: Side = "server"

    def __post_init__(self) -> None:
        _check_line(self)


Alteration: TypeAlias = BitFlip | Insertion | DroppedLine | DoubledLine | SwappedLines
"""What changes octets."""
Fault: TypeAlias = Latency | Bandwidth | Slices | Coalesced | LateEnd | ZeroWindow | HalfClose | Cut | Alteration
"""What a FaultProxy does to one direction of a connection."""
