"""Mishaps: what can go wrong with the answers of a `MailServer`, step by step, as values.

A `step` is what is answered: "greeting", a command by its verb ("EHLO", "RCPT", "RETR"), "." for the end of a message,
whether a dot is that or the last chunk. Where one thing is answered several times, each answer is a step of that name:
every challenge and the end of an exchange of AUTH is "AUTH", and every verdict of LMTP, one for each recipient, is ".".
`number` says which one of the session is meant, the first, the second and so on: behind a message for two, "." is 1 and
2. What the client asked for is done all the same: a message whose answer is lost has been taken. Several may happen to
one answer: it is replaced, then doubled, left out or the last of the connection, then split or held back, and it comes
later by all of its delays.

A value that is none raises ValueError; so does a step that the protocol of the session has not, where the mishap is
injected.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from .checks import check_flag, check_number, check_octets, check_text, check_whole

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


_STEP: Final = re.compile(r"greeting|\.|[A-Z][A-Z0-9-]*")


def _check(step: str, number: int) -> None:
    check_text("a step", step)
    if not _STEP.fullmatch(step):
        raise ValueError(f'expected "greeting", a verb in capitals or ".", got {step!r}')
    check_whole("number", number, 1)


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
        check_flag("behind", self.behind)


@dataclass(frozen=True, slots=True)
class Delayed:
    """The answer comes so many `seconds` later, by the event loop's clock, and all the others behind it."""

    step: str
    seconds: float
    number: int = 1

    def __post_init__(self) -> None:
        _check(self.step, self.number)
        check_number("seconds", self.seconds, 0)


@dataclass(frozen=True, slots=True)
class Replaced:
    """These `octets` come in place of the answer: another one, with its CRLF, or garbage."""

    step: str
    octets: bytes
    number: int = 1

    def __post_init__(self) -> None:
        _check(self.step, self.number)
        check_octets("octets", self.octets)


@dataclass(frozen=True, slots=True)
class Split:
    """The answer leaves in packets of so many octets, whatever their `size` is."""

    step: str
    size: int = 1
    number: int = 1

    def __post_init__(self) -> None:
        _check(self.step, self.number)
        check_whole("size", self.size, 1)


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
        check_octets("octets", self.octets)


Mishap: TypeAlias = Unanswered | HungUp | Delayed | Replaced | Split | HeldBack | Doubled | Early
"""What goes wrong at a step."""
