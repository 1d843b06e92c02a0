"""Findings: what is wrong with what a server said about its maildrop, without being the end of it.

A line of a listing that cannot be read spoils what it was about and nothing else. What was wrong is kept here, for
whoever wants to know why a message has no unique id, or which server to complain about.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from .._wire.text import quote

__all__ = ["Finding", "FindingKind", "Findings"]

# Of one kind, in one listing, with the server's words; the others are counted. A maildrop may hold a million messages,
# and its server may have one and the same thing wrong with each.
_KEPT_OF_A_KIND: Final = 100
# Octets of the server's words that a finding keeps.
_KEPT_OCTETS: Final = 120


class FindingKind(Enum):
    """What may be wrong. Those marked "harmless" spoil nothing: what was meant is beyond doubt."""

    # Of a line
    BLANK_LINE = "a line is blank (harmless)"
    BAD_NUMBER = "a line begins with no message number: what it tells cannot be told of any message"
    NO_SIZE = "no size is given"
    BAD_SIZE = "the size is not a number from 0 to 2**63 - 1 in at most 20 digits"
    NO_UID = "no unique id is given"
    LONG_UID = "the unique id is longer than the 70 characters of RFC 1939 7"
    BAD_UID = "the unique id holds octets outside of RFC 1939 7's 0x21 to 0x7E"
    GLUED = "two entries seem to be on one line: neither can be told from the other"
    EXTRA_TEXT = "text follows the unique id, or is part of it: where it ends cannot be told"
    SPACING = "words are separated by other than one blank, or have blanks around them (harmless)"
    UID_ALONE = "the unique id comes without the message number that it was asked for by (harmless)"
    # Of the order of lines
    REPEATED = "the number is listed more than once, always with the same (harmless), or with sizes that differ"
    CONTRADICTED = "the number is listed more than once, with unique ids that differ"
    OUT_OF_ORDER = "the number stands behind a greater one (harmless)"
    # Of the listings, compared
    GAP = "numbers before this one are not listed: messages deleted in this session, or lines lost"
    SHARED_UID = "another message has the same unique id: neither can be told by it"
    NOT_IN_LIST = "UIDL lists it, LIST does not"
    NOT_IN_UIDL = "LIST lists it, UIDL does not"
    NO_LIST = "there is no scan listing: no size is known"
    NO_UIDL = "there is no unique-id listing: no message can be told from another in a later session"
    UNLISTED = "STAT counts more messages than are listed"
    UNCOUNTED = "STAT counts fewer messages than are listed"
    # Of STAT
    BAD_COUNT = "STAT tells no number of messages"
    BAD_OCTETS = "STAT tells no number of octets from 0 to 2**63 - 1"

    def __repr__(self) -> str:
        return f"FindingKind.{self.name}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    number: the message that it is about; None where that cannot be told, or it is about all.
    said: the server's words, at most the first 120 octets of them; empty where it is silence that is wrong.
    """

    kind: FindingKind
    number: int | None = None
    said: bytes = b""

    def __str__(self) -> str:
        about = f"message {self.number}: " if self.number is not None else ""
        return f"{about}{self.kind.value}{f': {quote(self.said)}' if self.said else ''}"


class Findings:
    """Collects findings: at most 100 of a kind with the server's words, all of them in the count.

    masked: is asked to take out of the server's words what must not be shown.
    """

    def __init__(self, masked: Callable[[bytes], bytes] = bytes) -> None:
        self._masked = masked
        self._kept: list[Finding] = []
        self._counts: Counter[FindingKind] = Counter()

    @property
    def kept(self) -> tuple[Finding, ...]:
        """Those that were kept, in their order."""
        return tuple(self._kept)

    @property
    def counts(self) -> Mapping[FindingKind, int]:
        """How many there were of each kind; only kinds of which there were any."""
        return dict(self._counts)

    def add(self, kind: FindingKind, number: int | None = None, said: bytes = b"") -> None:
        """Take note of what is wrong."""
        self._counts[kind] += 1
        if self._counts[kind] <= _KEPT_OF_A_KIND:
            self._kept.append(Finding(kind, number, self._masked(said)[:_KEPT_OCTETS]))

    def take(self, kept: Iterable[Finding], counts: Mapping[FindingKind, int]) -> None:
        """Take over what another collector has kept and counted."""
        self._kept += kept
        self._counts.update(counts)
