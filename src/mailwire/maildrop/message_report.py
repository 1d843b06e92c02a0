"""MessageReport: what a run did with a message, and MessageReports: with each of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self

from .._wire.text import printable
from .lazy_sequence import LazySequence
from .naming import Listed

__all__ = ["Deleted", "MessageReport", "MessageReports", "Outcome"]


class Outcome(Enum):
    """What became of a message."""

    STORED = "stored"
    """It was retrieved, and the sink has it for good."""
    KNOWN = "known"
    """It was stored by an earlier run."""
    PREVIEWED = "previewed"
    """It is too large, and the sink has the beginning of it."""
    TOO_LARGE = "too large"
    """It is too large, and was left alone."""
    FAILED = "failed"
    """It could not be retrieved or stored this time."""
    SKIPPED = "skipped"
    """It has failed too often, and was not asked for."""
    LEFT = "left"
    """The run came to its end before it: by its limit, by a quota of the server's, or by an error."""


class Deleted(Enum):
    """What is known of the deletion of a message."""

    COMMITTED = "deleted"
    """The server says that it is gone."""
    REFUSED = "deletion refused"
    """The server does not want to delete it."""
    KEPT = "not deleted"
    """It was to be deleted, and was not marked: the server has it still. The run has ended before that; or its DELE has
    ended an earlier one, and it is not time yet to try again."""
    UNKNOWN = "deletion unknown"
    """It was marked, and the server has not said that it is gone. The next run finds out."""


@dataclass(frozen=True, slots=True)
class MessageReport:
    """What became of one message.

    number: the server's, in that session; uid: its unique id, None if it has none; size: its octets by the server's
        word.
    octets: how much of it came; seconds: how long that took, until the sink had it.
    reason: why it was not stored, in words.
    deleted: what is known of its deletion; None if it was not to be deleted, or was not there any more when it was, by
        its unique id and its size.
    """

    number: int
    uid: str | None
    size: int
    outcome: Outcome
    octets: int = 0
    seconds: float = 0
    reason: str = ""
    deleted: Deleted | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as values that JSON has."""
        return {
            "number": self.number,
            "uid": self.uid,
            "size": self.size,
            "outcome": self.outcome.value,
            "octets": self.octets,
            "seconds": round(self.seconds, 3),
            "reason": self.reason,
            "deleted": self.deleted.value if self.deleted else None,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_dict` was called on. Raises KeyError, TypeError or ValueError for what it did not return."""
        return cls(
            number=int(data["number"]),
            uid=None if data["uid"] is None else str(data["uid"]),
            size=int(data["size"]),
            outcome=Outcome(data["outcome"]),
            octets=int(data["octets"]),
            seconds=float(data["seconds"]),
            reason=str(data["reason"]),
            deleted=None if data["deleted"] is None else Deleted(data["deleted"]),
        )

    def __str__(self) -> str:
        words = [f"{self.number:>7}  {self.outcome.value:<9}  {self.octets or self.size:>12,} octets"]
        words += [f"{self.seconds:.1f} s"] if self.octets else []
        words += [self.deleted.value] if self.deleted else []
        words += [printable(self.uid.encode())] if self.uid else []
        words += [self.reason] if self.reason else []
        return "  ".join(words)


class MessageReports(LazySequence[MessageReport]):
    """What became of each message.

    told: the reports of those of which there is more to be told than the outcome.
    untouched: outcomes, each with messages that had it and of which there is no more to be told. There may be a
        million, so that their reports are made when they are asked for.
    """

    def __init__(
        self,
        told: Sequence[MessageReport],
        untouched: Sequence[tuple[Outcome, Sequence[Listed]]] = (),
    ) -> None:
        self.told = told
        self._untouched = untouched
        super().__init__(len(told) + sum(len(entries) for _, entries in untouched), self._at)

    @property
    def counts(self) -> Mapping[Outcome, int]:
        """How many messages had each outcome."""
        counts = Counter(message.outcome for message in self.told)
        for outcome, entries in self._untouched:
            counts[outcome] += len(entries)
        return counts

    def having(self, *outcomes: Outcome) -> tuple[MessageReport, ...]:
        """Return the reports with one of these outcomes."""
        told = (message for message in self.told if message.outcome in outcomes)
        untouched = (
            _untouched(entry, outcome)
            for outcome, entries in self._untouched
            if outcome in outcomes
            for entry in entries
        )
        return (*told, *untouched)

    def _at(self, place: int) -> MessageReport:
        if place < len(self.told):
            return self.told[place]
        place -= len(self.told)
        for outcome, entries in self._untouched:
            if place < len(entries):
                return _untouched(entries[place], outcome)
            place -= len(entries)
        raise AssertionError("there are no more than were counted")


def _untouched(entry: Listed, outcome: Outcome) -> MessageReport:
    return MessageReport(entry.number, entry.uid, entry.size, outcome)
