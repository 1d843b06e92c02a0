"""Plan: what a run is to fetch of a maildrop, what it skips and why, and what there is to be told or asked of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from .ledger import Record
from .naming import Listed

__all__ = ["Caution", "CautionKind", "Fetch", "Plan", "Question", "SkipReason"]


class SkipReason(Enum):
    """Why a message is not fetched."""

    STORED = "stored already"
    TOO_LARGE = "larger than the limit"
    FAILED = "failed too often"
    LEFT = "left for the next run"


class CautionKind(Enum):
    """What there is to be told of a maildrop."""

    NO_UIDS = "no unique ids"
    DUPLICATE_UIDS = "duplicate unique ids"
    EXPIRES_WHEN_RETRIEVED = "expires when retrieved"
    EXPIRES_SOONER = "expires sooner"
    RESIZED = "other sizes"
    RETURNED = "back again"
    LEDGER_UNREADABLE = "ledger unreadable"


@dataclass(frozen=True, slots=True)
class Caution:
    """Something about a maildrop that keeps it from being handled as others are; `text` says what, and what of it."""

    kind: CautionKind
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Question:
    """The server has most likely given its messages other unique ids than they had; or does not tell them.

    known: how many the ledger knows; listed: how many there are.
    resized: how many of these have the unique id of one that is stored, and another size than that. The unique ids of
        the others are new; or, where they are counted up from the first, they may be those of stored messages as well.
    nameless: how many of these have no unique id, where that is the question; `known` are then those that are stored,
        and are not there by their unique ids.
    """

    known: int
    listed: int
    resized: int = 0
    nameless: int = 0

    def __str__(self) -> str:
        if self.nameless:
            return (
                f"the server tells no unique id of {self.nameless} of its {self.listed} messages, and {self.known} that"
                " are stored were known by theirs; if it has none any more, "
                'Policy(when_all_new="fetch") fetches what has none'
            )
        if self.resized:
            shown = (
                f"{self.resized} of the {self.listed} messages on the server have the unique ids of others, by their "
                f"sizes, of {self.known} that were there before"
            )
        else:
            shown = (
                f"none of the {self.listed} messages on the server is one of the {self.known} that were there before"
            )
        return f"{shown}: has it given them other unique ids, moving to another machine, say?"


@dataclass(frozen=True, slots=True)
class Fetch:
    """A message to fetch.

    uid: what the ledger knows it by; None if that is nothing.
    lines: of the body, where its header and these are enough; None for the whole message.
    alikes: records by fingerprint. If its header is that of one of them, it is that message, and stored already; but a
        record is of one message, and where several have its header, it is of the one that has its size.
    has_failed: whether it did before. These are the last ones.
    """

    entry: Listed
    uid: str | None
    lines: int | None = None
    alikes: Mapping[str, Record] = field(default_factory=dict, repr=False)
    has_failed: bool = False


def _nothing_skipped() -> Mapping[SkipReason, Sequence[Listed]]:
    return dict.fromkeys(SkipReason, ())


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does first.

    fetch, skip: each listed message, in one of the two; in the order in which they are fetched. What is skipped is
        parted by the reason.
    records: what the ledger is to be told of this listing; forget: the uids that it need no longer remember.
    cautions: what the caller is to be told.
    one_at_a_time: nothing may be asked for before what came last is stored; the server forgets it at once.
    has_alikes: whether any of `fetch` may have `alikes`.
    question: if there is one, nothing is to be done before it is answered, and nothing is to be written.
    doubt: a question that headers may answer. It stands, unless more than half of those of `fetch` and of `sample` that
        can be compared are what they have in their `alikes`; the rest of the plan is for that case.
    sample: some of what can be compared and is not fetched, if there is a doubt.

    `fetch`, `skip` and `records` make their items when they are asked for, and equal tuples of the same.
    """

    fetch: Sequence[Fetch] = ()
    skip: Mapping[SkipReason, Sequence[Listed]] = field(default_factory=_nothing_skipped)
    records: Sequence[Record] = ()
    forget: tuple[str, ...] = ()
    cautions: tuple[Caution, ...] = ()
    one_at_a_time: bool = False
    has_alikes: bool = False
    question: Question | None = None
    doubt: Question | None = None
    sample: tuple[Fetch, ...] = ()
