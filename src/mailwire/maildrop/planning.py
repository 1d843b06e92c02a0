"""Planning: what a run is to fetch, by what the server lists, what the ledger knows, the time and the policy.

Nothing here waits, reads a clock, or knows how a message is fetched: what goes in decides what comes out.

1. What the ledger has as stored is not fetched again, unless there is reason to think that it is another message.
2. A unique id that no message has cannot be in the ledger.
3. Where in doubt, a message is fetched once more and not once less.
4. What failed before comes last, and of that what failed least often first: else what ends a run, or fills it, could be
   in the way of all others.
5. A unique id says nothing in a listing where the sizes show that the server has given its ids anew.
6. A server that has told the unique ids of the mail that is stored, and does not tell them, has most likely that mail.

There may be a million messages, and little time in a turn of the event loop. So a plan is made in steps, each of which
looks at a thousand messages, and it keeps of them no more than which are fetched, in runs.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from ..aio.portions import finish, portions
from ..pop3.columns import NumberColumn
from .lazy_sequence import LazySequence
from .ledger import Record, State
from .naming import Listed, Named
from .plan import Caution, CautionKind, Fetch, Plan, Question, SkipReason
from .policy import Policy
from .recognition import (
    aside_by_uid,
    by_fingerprint,
    may_be_the_stored,
    may_have_size,
    put_aside,
    was_another,
)
from .uid_set import UidSet

__all__ = ["Planning", "plan_retrieval"]

# Below so many known messages, all others may well have come and gone between two runs, and so many may well have other
# sizes than they had. A server that has changed its unique ids has at least half of the mail it had.
_FEWEST_TO_ASK: Final = 10

# How many messages that are not fetched are compared to answer a doubt: enough to tell which way most of them go.
_SAMPLE: Final = 20


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

    entries: the server's listing, which must not change as long as the plan is used; records: the ledger's, by uid;
        now: the time, aware of its zone.
    expire: after how many days the server deletes by itself (EXPIRE, RFC 2449 6.7); None if it does not.
    is_complete: whether the listing has everything that is on the server. Otherwise nothing is taken to be gone.
    """
    planning = Planning(Named(entries), records, now, policy, expire=expire, is_complete=is_complete)
    finish(planning.steps())
    return planning.plan


class Planning:
    """The making of a plan, in `steps`. The arguments are those of `plan_retrieval`.

    plan: what came of it, when all steps are done.
    """

    def __init__(
        self,
        named: Named,
        records: Mapping[str, Record],
        now: datetime,
        policy: Policy,
        *,
        expire: int | None,
        is_complete: bool,
    ) -> None:
        self.plan: Plan = Plan()
        self._named = named
        self._records = records
        self._now = now
        self._policy = policy
        self._expire = expire
        self._is_complete = is_complete
        self._alikes: Mapping[str, Record] = {}
        self._aside: Mapping[str, Mapping[str, Record]] = {}  # by uid: what an earlier run has put aside of it
        self._is_distrusting = False  # the unique ids of stored messages
        self._begin()

    def _begin(self) -> None:
        # Positions: places in the order in which messages are fetched.
        self._fetched = NumberColumn()
        self._skipped = {reason: NumberColumn() for reason in SkipReason}
        self._failed: dict[int, NumberColumn] = {}  # before this, by how often; to be fetched behind the others
        self._sound = 0  # how many are fetched before these
        self._seen = NumberColumn()
        self._displaced: list[Record] = []  # of what had the uids that others have now, put aside
        self._other_alikes: dict[int, Mapping[str, Record]] = {}  # by position
        self._found = 0  # records
        self._is_any_known = False
        self._found_stored = 0
        self._same_sized = self._other_sized = 0  # of what has the uid of a stored message
        self._resized = 0
        self._returned = 0

    def steps(self) -> Iterator[None]:
        """Make the plan; between two steps there is time for others."""
        policy, now = self._policy, self._now
        yield from self._named.prepare()
        yield from self._decide_all()
        question = yield from self._miss_uids()
        if question is not None:
            self.plan = Plan(question=question)
            return
        if policy.when_all_new == "ask":
            question = yield from self._ask()
        elif self._is_reassigned:
            self._is_distrusting = True
            self._begin()
            yield from self._decide_all()
        if question is not None and not self._other_alikes:
            self.plan = Plan(question=question)
            return
        sample = () if question is None else (yield from self._draw_sample())
        missing: list[Record] = []
        yield from self._find_missing(missing)
        stored = [record for record in missing if record.state is not State.SEEN]
        gone = [record.gone(now) for record in stored]
        if policy.when_all_new == "match":
            self._alikes = by_fingerprint(*gone, *self._displaced)
        else:
            self._aside = aside_by_uid(gone)
        told = [record for before, record in zip(stored, gone, strict=True) if record is not before]
        forgotten = {record.uid for record in missing if record.state is State.SEEN}
        forgotten |= {record.uid for record in gone if now - record.since > policy.remember}
        self.plan = Plan(
            LazySequence(len(self._fetched), self._fetch),
            {
                reason: LazySequence(len(column), partial(self._skip, column))
                for reason, column in self._skipped.items()
            },
            LazySequence(len(self._displaced) + len(self._seen) + len(told), partial(self._record, told)),
            tuple(sorted(forgotten)),
            tuple(self._cautions()),
            one_at_a_time=self._expire == 0,
            has_alikes=bool(self._alikes or self._other_alikes or self._aside),
            doubt=question,
            sample=sample,
        )
        self._records = {}  # they are not held by the plan

    @property
    def _is_reassigned(self) -> bool:
        # Whether the sizes show that messages have unique ids that others had.
        return self._other_sized >= max(_FEWEST_TO_ASK, self._same_sized)

    def _miss_uids(self) -> Generator[None, None, Question | None]:
        # Ask where most messages have no unique id by which they could be known, though that of stored ones was told;
        # and where there are so many of them that they may be these.
        nameless, listed = self._named.nameless, len(self._named)
        if nameless < _FEWEST_TO_ASK or 2 * nameless < listed or self._policy.when_all_new == "fetch":
            return None
        missing = -self._found_stored
        for records in portions(self._records.values()):
            missing += sum(record.state is State.STORED for record in records)
            yield
        is_likely = _FEWEST_TO_ASK <= missing <= 2 * nameless
        return Question(missing, listed, nameless=nameless) if is_likely else None

    def _ask(self) -> Generator[None, None, Question | None]:
        # Ask whether all has other unique ids, where that is likely.
        if self._is_any_known and not self._is_reassigned:
            return None
        known, listed = 0, len(self._named) - self._named.nameless
        for records in portions(self._records.values()):
            known += sum(map(_is_known, records))
            yield
        if self._is_reassigned or (known >= _FEWEST_TO_ASK and 2 * listed >= known):
            return Question(known, listed, self._other_sized)
        return None

    def _draw_sample(self) -> Generator[None, None, tuple[Fetch, ...]]:
        # From all over the maildrop, but for what has failed before: it may end the session.
        places = NumberColumn()
        for reason in (SkipReason.TOO_LARGE, SkipReason.LEFT):
            for positions in portions(self._skipped[reason]):
                for position in positions:
                    alikes = self._other_alikes.get(position, {}).values()
                    if alikes and not any(record.reason for record in alikes):
                        places.extend(position)
                yield
        size = min(_SAMPLE, len(places))
        return tuple(self._make_fetch(places[index * len(places) // size], has_failed=False) for index in range(size))

    def _find_missing(self, missing: list[Record]) -> Iterator[None]:
        # Find the records of messages that are not there. As a rule there are few, and often none.
        if not self._is_complete or self._found == len(self._records):
            return
        present = UidSet(len(self._named))
        for portion in self._named.portions():
            for _, _, uid in portion:
                if uid is not None:
                    present.add(uid)
            yield
        yield from present.sort()
        for records in portions(self._records.values()):
            missing += [record for record in records if record.uid not in present]
            yield

    # Deciding

    def _decide_all(self) -> Iterator[None]:
        position = 0
        for portion in self._named.portions(backwards=self._policy.order == "newest first"):
            for _, entry, uid in portion:
                self._decide(position, entry, uid)
                position += 1
            yield
        self._sound = len(self._fetched)
        for _, column in sorted(self._failed.items()):
            for failed in portions(column):
                for position in failed:
                    self._admit(position)
                yield

    def _decide(self, position: int, entry: Listed, uid: str | None) -> None:
        record = None if uid is None else self._records.get(uid)
        if record is not None:
            self._found += 1
            self._weigh(record, entry)
            if record.state is not State.SEEN:
                if may_be_the_stored(record, entry) and not self._is_distrusting:
                    self._skipped[SkipReason.STORED].extend(position)
                    return
                self._suspect(position, record, entry)
            if self._is_another(record, entry):
                record = None
        if uid is not None and record is None:
            # In the ledger before it is fetched, in place of what had its uid: its age counts from here.
            self._seen.extend(position)
            if entry.uid is not None and uid != entry.uid and (single := self._records.get(entry.uid)) is not None:
                # That one had the uid for itself before there were two.
                self._compare(position, single)
        reason = self._reason_to_skip(entry, record)
        if reason is not None:
            self._skipped[reason].extend(position)
        elif record is not None and record.reason:
            self._failed.setdefault(record.failures, NumberColumn()).extend(position)
        else:
            self._admit(position)

    def _weigh(self, record: Record, entry: Listed) -> None:
        # Take note of what a record says of the unique ids of this listing.
        is_sized = may_have_size(record, entry)
        self._is_any_known = self._is_any_known or (is_sized and _is_known(record))
        self._found_stored += record.state is State.STORED
        if record.state is State.STORED and record.size and entry.size:
            self._same_sized += is_sized
            self._other_sized += not is_sized

    def _suspect(self, position: int, record: Record, entry: Listed) -> None:
        # It was gone, or has another size: it may be another message, to which the server has given the same id.
        if record.state is State.GONE:
            self._returned += 1
        elif not may_be_the_stored(record, entry):
            self._resized += 1
        is_matched = self._policy.when_all_new == "match"
        if (is_matched or self._is_distrusting) and record.fingerprint:
            # What is known of this one must not get lost as another comes to have its uid.
            record = put_aside(record, self._now)
            self._displaced.append(record)
        if not is_matched:  # else any may have become any
            self._compare(position, record)

    def _compare(self, position: int, record: Record) -> None:
        if alikes := by_fingerprint(record):
            self._other_alikes[position] = alikes

    def _is_another(self, record: Record, entry: Listed) -> bool:
        # Whether nothing holds for `entry` of what is known under its uid, as long as its header does not show it.
        is_matched = self._policy.when_all_new == "match" and record.state is not State.SEEN
        return self._is_distrusting or is_matched or was_another(record, entry)

    def _admit(self, position: int) -> None:
        # Whether it is fetched in this run or left for the next.
        limit = self._policy.limit
        is_room = limit is None or len(self._fetched) < limit
        (self._fetched if is_room else self._skipped[SkipReason.LEFT]).extend(position)

    def _reason_to_skip(self, entry: Listed, record: Record | None) -> SkipReason | None:
        policy = self._policy
        if self._is_too_large(entry) and (policy.oversize == "leave" or (record is not None and record.is_previewed)):
            return SkipReason.TOO_LARGE
        if record is not None and record.failures >= policy.max_failures:
            return SkipReason.FAILED
        return None

    def _is_too_large(self, entry: Listed) -> bool:
        limit = self._policy.max_message_size
        return limit is not None and entry.size > limit

    # Making what was decided

    def _place(self, position: int) -> int:
        return position if self._policy.order == "oldest first" else len(self._named) - 1 - position

    def _fetch(self, index: int) -> Fetch:
        return self._make_fetch(self._fetched[index], has_failed=index >= self._sound)

    def _make_fetch(self, position: int, *, has_failed: bool) -> Fetch:
        place = self._place(position)
        entry = self._named.entry(place)
        lines = self._policy.preview_lines if self._is_too_large(entry) else None
        uid = self._named.name(place, entry)
        alikes = self._other_alikes.get(position) or self._aside.get(uid or "", self._alikes)
        return Fetch(entry, uid, lines, alikes, has_failed=has_failed)

    def _skip(self, column: NumberColumn, index: int) -> Listed:
        return self._named.entry(self._place(column[index]))

    def _record(self, told: Sequence[Record], index: int) -> Record:
        if index < len(self._displaced):
            return self._displaced[index]  # before the others have their uids
        index -= len(self._displaced)
        if index >= len(self._seen):
            return told[index - len(self._seen)]
        place = self._place(self._seen[index])
        entry = self._named.entry(place)
        uid = self._named.name(place, entry)
        if uid is None:
            raise AssertionError("what has no name is not told to the ledger")
        return Record(uid, State.SEEN, self._now, self._now, entry.size)

    # Telling

    def _cautions(self) -> Iterable[Caution]:
        policy, expire, total = self._policy, self._expire, len(self._named)
        if without := self._named.nameless:
            fate = "deleted once it is stored" if policy.delete_without_uid else "never deleted"
            who = "no message has a" if without == total else f"{without} of {total} messages have no"
            yield Caution(
                CautionKind.NO_UIDS,
                f"{who} unique id: without one, it is fetched by every run that finds it, and {fate}",
            )
        if shared := self._named.shared:
            yield Caution(
                CautionKind.DUPLICATE_UIDS,
                f"{shared} of {total} messages share their unique id with another: they are never deleted",
            )
        if expire == 0:
            yield Caution(
                CautionKind.EXPIRES_WHEN_RETRIEVED,
                "the server may delete, or hide, what is retrieved (EXPIRE 0): one message is asked for at a time",
            )
        elif expire is not None and (
            policy.keep == "for ever"
            or (isinstance(policy.keep, timedelta) and policy.keep / timedelta(days=1) > expire)
        ):
            yield Caution(
                CautionKind.EXPIRES_SOONER,
                f"the server deletes messages by itself after {expire} days (EXPIRE), which is sooner than asked for",
            )
        for kind, count, what in (
            (CautionKind.RESIZED, self._resized, "have another size than they had"),
            (CautionKind.RETURNED, self._returned, "are back after they were gone"),
        ):
            if count:
                yield Caution(
                    kind,
                    f"{count} messages {what}: the server may have used their unique ids again, and what does not have "
                    "the same header is fetched again",
                )


def _is_known(record: Record) -> bool:
    # What was marked, the run that marked it may have deleted, and have been cut off before it could write so.
    return record.state in (State.SEEN, State.STORED)
