"""Plan: what a run is to do, of what the server lists, what the ledger knows, the time and the policy.

Nothing here waits, reads a clock, or knows how a message is fetched: what goes in decides what comes out.

1. What is deleted is stored: the ledger says so, of that very message, as far as its unique id and its size can tell.
2. A unique id that two messages have, deletes neither. One that no message has cannot be in the ledger.
3. What the ledger has as stored is not fetched again, unless there is reason to think that it is another message.
4. Where in doubt, a message is fetched once more and not once less.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, Protocol

from .ledger import Record, State
from .policy import Policy

__all__ = [
    "Caution",
    "CautionKind",
    "Deletion",
    "Fetch",
    "Listed",
    "Plan",
    "Question",
    "Skip",
    "SkipReason",
    "identify",
    "plan_deletions",
    "plan_retrieval",
]

# Below so many known messages, all others may well have come and gone between two runs. A server that has changed its
# unique ids has at least half of the mail it had.
_FEWEST_TO_ASK: Final = 10


class Listed(Protocol):
    """A message on the server: its number in this session, its unique id (None if it has none), its size in octets."""

    @property
    def number(self) -> int: ...
    @property
    def uid(self) -> str | None: ...
    @property
    def size(self) -> int: ...


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
    """Every listed message is new, though the ledger knows of others: of `known`, none is among the `listed`."""

    known: int
    listed: int

    def __str__(self) -> str:
        return (
            f"none of the {self.listed} messages on the server is one of the {self.known} that were there before: has "
            "it given them other unique ids, moving to another machine, say?"
        )


@dataclass(frozen=True, slots=True)
class Fetch:
    """A message to fetch.

    uid: what the ledger knows it by; None if that is nothing.
    lines: of the body, where its header and these are enough; None for the whole message.
    alikes: records by fingerprint. If its header is that of one of them, it is that message, and stored already.
    """

    entry: Listed
    uid: str | None
    lines: int | None = None
    alikes: Mapping[str, Record] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Skip:
    """A message that is not fetched."""

    entry: Listed
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Deletion:
    """A message to delete; uid: what the ledger knows it by, None if that is nothing."""

    entry: Listed
    uid: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does first.

    fetch, skip: each listed message, in one of the two; in the order in which they are fetched.
    records: what the ledger is to be told of this listing; forget: the uids that it need no longer remember.
    cautions: what the caller is to be told.
    one_at_a_time: nothing may be asked for before what came last is stored; the server forgets it at once.
    question: if there is one, nothing is to be done before it is answered, and nothing is to be written.
    """

    fetch: tuple[Fetch, ...] = ()
    skip: tuple[Skip, ...] = ()
    records: tuple[Record, ...] = ()
    forget: tuple[str, ...] = ()
    cautions: tuple[Caution, ...] = ()
    one_at_a_time: bool = False
    question: Question | None = None


def plan_retrieval(
    entries: Sequence[Listed],
    records: Mapping[str, Record],
    now: datetime,
    policy: Policy,
    *,
    expire: int | None = None,
    is_complete: bool = True,
) -> Plan:
    """Decide what is fetched and what is skipped.

    entries: the server's listing; records: the ledger's, by uid; now: the time, aware of its zone.
    expire: after how many days the server deletes by itself (EXPIRE, RFC 2449 6.7); None if it does not.
    is_complete: whether the listing has everything that is on the server. Otherwise nothing is taken to be gone.
    """
    # There may be a million: what is known of all of them is kept no longer than it is needed.
    named = _Named(entries)
    present = {uid for _, uid in named if uid is not None}
    if policy.when_all_new == "ask" and (question := _all_new(present, records)) is not None:
        return Plan(question=question)
    absent = [record for uid, record in records.items() if uid not in present] if is_complete else []
    del present
    gone = [record.reached(State.GONE, now) for record in absent if record.state is not State.SEEN]
    alikes = _stored_by_fingerprint(*(gone if policy.when_all_new == "match" else ()))
    choice = _Choice(policy, now, records, alikes)
    for entry, uid in named if policy.order == "oldest first" else list(named)[::-1]:
        choice.decide(entry, uid)
    forgotten = {record.uid for record in absent if record.state is State.SEEN}
    forgotten |= {record.uid for record in gone if now - record.since > policy.remember}
    return Plan(
        tuple(choice.fetch),
        tuple(choice.skip),
        (*choice.seen, *(record for record in gone if record is not records[record.uid])),
        tuple(sorted(forgotten)),
        tuple(_cautions(named, choice, policy, expire)),
        one_at_a_time=expire == 0,
    )


def plan_deletions(
    entries: Sequence[Listed],
    records: Mapping[str, Record],
    now: datetime,
    policy: Policy,
    *,
    stored_numbers: Collection[int] = (),
) -> tuple[Deletion, ...]:
    """Decide what may be deleted, once what was fetched is durable in the sink and in the ledger.

    The arguments are those of `plan_retrieval`, with the ledger's records as they are by then.

    stored_numbers: the messages without a unique id that were stored in this same session, by their numbers.
    """
    named = identify(entries)
    deletions: dict[int, Deletion] = {}
    staying: list[tuple[datetime, int, Deletion]] = []  # what may be deleted, and is not yet
    for entry, uid in named:
        if uid is None:
            if policy.delete_without_uid and policy.keep == "until stored" and entry.number in stored_numbers:
                deletions[entry.number] = Deletion(entry, None)
            continue
        record = records.get(uid)
        # What stands for a duplicate is not the id on the server.
        if record is None or uid != entry.uid or not _is_the_stored(record, entry):
            continue
        if policy.keep == "until stored" or (
            isinstance(policy.keep, timedelta) and now - record.first_seen >= policy.keep
        ):
            deletions[entry.number] = Deletion(entry, uid)
        else:
            staying.append((record.first_seen, entry.number, Deletion(entry, uid)))
    for deletion in _surplus(entries, deletions, staying, policy):
        deletions[deletion.entry.number] = deletion
    return tuple(deletions[number] for number in sorted(deletions))


def identify(entries: Iterable[Listed]) -> list[tuple[Listed, str | None]]:
    """Say of each message, in the order of the numbers, what the ledger knows it by.

    That is its unique id. Messages that share one are told apart by their sizes, and by their order where those are the
    same; a blank, which no unique id has (RFC 1939 7), marks what is made up so.
    """
    return list(_Named(entries))


class _Named:
    # What `identify` says, made anew each time that it is gone through.

    def __init__(self, entries: Iterable[Listed]) -> None:
        self._entries = sorted(entries, key=lambda entry: entry.number)
        times = Counter(entry.uid for entry in self._entries)
        self._shared = {uid for uid, count in times.items() if count > 1}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[tuple[Listed, str | None]]:
        occurrences = Counter[tuple[str, int]]()
        for entry in self._entries:
            uid = entry.uid
            if uid is not None and uid in self._shared:
                occurrences[uid, entry.size] += 1
                uid = f"{uid} {entry.size} {occurrences[uid, entry.size]}"
            yield entry, uid


class _Choice:
    # Fetch or skip, message by message.

    def __init__(
        self, policy: Policy, now: datetime, records: Mapping[str, Record], alikes: Mapping[str, Record]
    ) -> None:
        self._policy = policy
        self._now = now
        self._records = records
        self._alikes = alikes
        self.fetch: list[Fetch] = []
        self.skip: list[Skip] = []
        self.seen: list[Record] = []
        self.resized = 0
        self.returned = 0

    def decide(self, entry: Listed, uid: str | None) -> None:
        record = None if uid is None else self._records.get(uid)
        alikes = self._alikes
        if uid is not None and record is None:
            # In the ledger before it is fetched: its age counts from here.
            record = Record(uid, State.SEEN, self._now, self._now, entry.size)
            self.seen.append(record)
            if entry.uid is not None and uid != entry.uid and (single := self._records.get(entry.uid)) is not None:
                alikes = _stored_by_fingerprint(single)  # which had that uid for itself before there were two
        elif record is not None and record.state is not State.SEEN:
            if _is_the_stored(record, entry):
                self.skip.append(Skip(entry, SkipReason.STORED))
                return
            # It was gone, or has another size: it may be another message, to which the server has given the same id.
            if record.state is State.GONE:
                self.returned += 1
            else:
                self.resized += 1
            alikes = _stored_by_fingerprint(record)
        self._fetch(entry, uid, record, alikes)

    def _fetch(self, entry: Listed, uid: str | None, record: Record | None, alikes: Mapping[str, Record]) -> None:
        policy, lines = self._policy, None
        if policy.max_message_size is not None and entry.size > policy.max_message_size:
            if policy.oversize == "leave" or (record is not None and record.is_previewed):
                self.skip.append(Skip(entry, SkipReason.TOO_LARGE))
                return
            lines = policy.preview_lines
        if record is not None and record.state is State.SEEN and record.failures >= policy.max_failures:
            self.skip.append(Skip(entry, SkipReason.FAILED))
        elif policy.limit is not None and len(self.fetch) >= policy.limit:
            self.skip.append(Skip(entry, SkipReason.LEFT))
        else:
            self.fetch.append(Fetch(entry, uid, lines, alikes))


def _is_the_stored(record: Record, entry: Listed) -> bool:
    # By the unique id it is; the size is what a second message with the same one would differ in.
    return record.state in (State.STORED, State.MARKED) and record.size == entry.size


def _stored_by_fingerprint(*records: Record) -> Mapping[str, Record]:
    return {record.fingerprint: record for record in records if record.fingerprint and record.state is not State.SEEN}


def _all_new(present: Collection[str], records: Mapping[str, Record]) -> Question | None:
    # What was marked, the run that marked it may have deleted, and have been cut off before it could write so.
    known = {uid for uid, record in records.items() if record.state in (State.SEEN, State.STORED)}
    if len(known) < _FEWEST_TO_ASK or 2 * len(present) < len(known) or not known.isdisjoint(present):
        return None
    return Question(len(known), len(present))


def _surplus(
    entries: Sequence[Listed],
    deletions: Mapping[int, Deletion],
    staying: list[tuple[datetime, int, Deletion]],
    policy: Policy,
) -> Iterable[Deletion]:
    # What goes before its time, because too much would stay.
    count = len(entries) - len(deletions)
    octets = sum(entry.size for entry in entries if entry.number not in deletions)
    for _, _, deletion in sorted(staying, key=lambda candidate: candidate[:2]):
        too_many = policy.keep_at_most is not None and count > policy.keep_at_most
        too_large = policy.keep_at_most_octets is not None and octets > policy.keep_at_most_octets
        if not (too_many or too_large):
            return
        yield deletion
        count -= 1
        octets -= deletion.entry.size


def _cautions(named: _Named, choice: _Choice, policy: Policy, expire: int | None) -> Iterable[Caution]:
    without = sum(uid is None for _, uid in named)
    shared = sum(uid is not None and uid != entry.uid for entry, uid in named)
    if without:
        fate = "deleted once it is stored" if policy.delete_without_uid else "never deleted"
        who = "no message has a" if without == len(named) else f"{without} of {len(named)} messages have no"
        yield Caution(
            CautionKind.NO_UIDS,
            f"{who} unique id: without one, it is fetched by every run that finds it, and {fate}",
        )
    if shared:
        yield Caution(
            CautionKind.DUPLICATE_UIDS,
            f"{shared} of {len(named)} messages share their unique id with another: they are never deleted",
        )
    if expire == 0:
        yield Caution(
            CautionKind.EXPIRES_WHEN_RETRIEVED,
            "the server may delete, or hide, what is retrieved (EXPIRE 0): one message is asked for at a time",
        )
    elif expire is not None and (
        policy.keep == "for ever" or (isinstance(policy.keep, timedelta) and policy.keep / timedelta(days=1) > expire)
    ):
        yield Caution(
            CautionKind.EXPIRES_SOONER,
            f"the server deletes messages by itself after {expire} days (EXPIRE), which is sooner than asked for",
        )
    for kind, count, what in (
        (CautionKind.RESIZED, choice.resized, "have another size than they had"),
        (CautionKind.RETURNED, choice.returned, "are back after they were gone"),
    ):
        if count:
            yield Caution(
                kind,
                f"{count} messages {what}: the server may have used their unique ids again, and what does not have the "
                "same header is fetched again",
            )
