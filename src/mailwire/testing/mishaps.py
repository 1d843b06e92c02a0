"""Mishaps: what can go wrong with the answers of a `MailServer`, step by step, as values.

A `step` is what is answered: "greeting", a command by its verb ("EHLO", "RCPT", "RETR"), "." for the end of a message,
whether a dot is that or the last chunk; every challenge and the end of an exchange of AUTH is a step "AUTH". `number`
says which one of the session is meant, the first, the second and so on. What the client asked for is done all the same:
a message whose answer is lost has been taken.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = [
    "Delayed",
    "Doubled",
    "Early",
    "HeldBack",
    "HungUp",
    "Mishap",
    "Replaced",
    "Split",
    "Unanswered",
]


def _check(step: str, number: int) -> None:
    if step not in ("greeting", ".") and not step.isupper():
        raise ValueError(f'expected "greeting", a verb in capitals or ".", got {step!r}')
    if number < 1:
        raise ValueError(f"expected the number of a step, 1 at least, got {number}")


@dataclass(frozen=True, slots=True)
class Unanswered:
    """There is no answer."""

    step: str
    number: int = 1

    def __post_init__(self) -> None:
        _check(self.step, self.number)


@dataclass(frozen=True, slots=True)
class HungUp:
    """The connection ends in place of the answer, or `behind` it; with "FIN" or with "RST"."""

    step: str
    number: int = 1
    by: Literal["FIN", "RST"] = "FIN"
    behind: bool = False

    def __post_init__(self) -> None:
        _check(self.step, self.number)
        if self.by not in ("FIN", "RST"):
            raise ValueError(f'expected an end by "FIN" or "RST", got {self.by!r}')


@dataclass(frozen=True, slots=True)
class Delayed:
    """The answer comes so many `seconds` later, by the event loop's clock, and all the others behind it."""

    step: str
    seconds: float
    number: int = 1

    def __post_init__(self) -> None:
        _check(self.step, self.number)
        if not self.seconds >= 0:
            raise ValueError(f"expected a delay in seconds, got {self.seconds}")


@dataclass(frozen=True, slots=True)
class Replaced:
    """These `octets` come in place of the answer: another one, with its CRLF, or garbage."""

    step: str
    octets: bytes
    number: int = 1

    def __post_init__(self) -> None:
        _check(self.step, self.number)


@dataclass(frozen=True, slots=True)
class Split:
    """The answer leaves in packets of so many octets, whatever their `size` is."""

    step: str
    size: int = 1
    number: int = 1

    def __post_init__(self) -> None:
        _check(self.step, self.number)
        if self.size < 1:
            raise ValueError(f"expected packets of an octet at least, got {self.size}")


@dataclass(frozen=True, slots=True)
class HeldBack:
    """The answer is held back, and leaves in one packet with the next one. A client that waits for it waits in vain."""

    step: str
    number: int = 1

    def __post_init__(self) -> None:
        _check(self.step, self.number)


@dataclass(frozen=True, slots=True)
class Doubled:
    """The answer is said twice."""

    step: str
    number: int = 1

    def __post_init__(self) -> None:
        _check(self.step, self.number)


@dataclass(frozen=True, slots=True)
class Early:
    """The answer to the step is said `behind` the answer to another one, before it was asked for; and not when it is.

    octets: what is said; the server cannot know yet what its answer would be.
    number: of the step behind which it is said.
    """

    step: str
    octets: bytes
    behind: str
    number: int = 1

    def __post_init__(self) -> None:
        _check(self.step, self.number)
        _check(self.behind, self.number)


Mishap: TypeAlias = Unanswered | HungUp | Delayed | Replaced | Split | HeldBack | Doubled | Early
"""What goes wrong at a step."""
