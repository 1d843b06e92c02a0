"""Trace: how a machine tells what it says and hears, without a clock and without secrets.

The machine hands each thing to its trace as it happens; whoever listens adds the time and keeps or renders it. Nothing
is rendered before somebody looks: `shown()` is where bytes become text and secrets become a mask.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

__all__ = ["MASK", "Direction", "Elided", "Masked", "Several", "Spoken", "Trace", "Traceable"]

Direction = Literal["C", "S"]

MASK: Final = "****"


class Traceable(Protocol):
    """Something said by one side."""

    def shown(self) -> Sequence[str]:
        """Return it as lines of printable text, secrets masked."""


class Several:
    """What one side said at a time and is told at once, though it could be told one by one. A Traceable itself."""

    __slots__ = ()

    def parts(self) -> Sequence[Traceable]:
        """Return what was said, one by one."""
        raise AssertionError(f"{type(self).__name__} does not say what its parts are")

    def shown(self) -> Sequence[str]:
        """Return all of it, as lines of printable text, secrets masked."""
        return [line for part in self.parts() for line in part.shown()]


Trace = Callable[[Direction, Traceable], None]


@dataclass(frozen=True, slots=True)
class Elided:
    """A message, of which only the size in octets is told."""

    octets: int

    def shown(self) -> Sequence[str]:
        return (f"({self.octets} octets)",)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A line of which all may be shown."""

    line: str

    def shown(self) -> Sequence[str]:
        return (self.line,)


@dataclass(frozen=True, slots=True)
class Masked:
    """A line that is or may be secret but for its `beginning`."""

    beginning: str = ""

    def shown(self) -> Sequence[str]:
        return (f"{self.beginning} {MASK}".lstrip(),)
