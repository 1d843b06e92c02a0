"""What is fetched and what is deleted, case by case and against a model."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mailwire.maildrop import CautionKind, Plan, Policy, Record, SkipReason, State, plan_deletions, plan_retrieval
from mailwire.maildrop.naming import identify
from mailwire.maildrop.plan import Question
from mailwire.maildrop.recognition import put_aside
from tests.maildrop.plans import DAY, KNOWN, THREE, Entry, deleted, fetched, ledger, plan, skipped
from tests.maildrop.records import NOON, record
from tests.model_settings import model_settings, property_settings

# Fetching


def test_what_is_new_is_fetched_and_written_down_as_seen() -> None:
    planned = plan(THREE, ledger(record("b", **KNOWN)))

    assert fetched(planned) == [1, 3]
    assert skipped(planned) == {2: SkipReason.STORED}
    assert planned.records == (record("a", State.SEEN, size=100), record("c", State.SEEN, size=100))
    assert [fetch.uid for fetch in planned.fetch] == ["a", "c"]
    assert not planned.cautions


@pytest.mark.parametrize("state", [State.STORED, State.MARKED])
def test_what_is_stored_is_not_fetched_again(state: State) -> None:
    assert skipped(plan(THREE[:1], ledger(record("a", state, **KNOWN)))) == {1: SkipReason.STORED}


def test_what_was_seen_and_not_stored_is_fetched_and_keeps_its_age() -> None:
    planned = plan(THREE[:1], ledger(record("a", State.SEEN, 3 * DAY, **KNOWN)))

    assert fetched(planned) == [1]
    assert planned.records == ()


def test_newest_first_is_by_the_numbers_of_the_server() -> None:
    assert fetched(plan(THREE, policy=Policy(order="newest first"))) == [3, 2, 1]
    assert fetched(plan(THREE[::-1])) == [1, 2, 3]


@pytest.mark.parametrize(("order", "first"), [("oldest first", [1, 2]), ("newest first", [3, 2])])
def test_what_is_beyond_the_limit_is_left_for_the_next_run(order: Any, first: list[int]) -> None:
    planned = plan(THREE, policy=Policy(limit=2, order=order))

    assert fetched(planned) == first
    assert list(skipped(planned).values()) == [SkipReason.LEFT]
    assert len(planned.records) == 3


@pytest.mark.parametrize("order", ["oldest first", "newest first"])
@pytest.mark.parametrize("counts", [True, False])
def test_what_failed_before_is_fetched_last(order: Any, counts: bool) -> None:
    records = [record(uid, State.SEEN, **KNOWN) for uid in "abc"]
    failed = [each.failed("-ERR") if counts else replace(each, reason="-ERR") for each in (records[0], records[2])]
    ledgers = ledger(*failed, records[1])
    last = [1, 3] if order == "oldest first" else [3, 1]

    two = plan(THREE, ledgers, Policy(limit=2, order=order))
    assert fetched(two) == [2, last[0]]
    assert skipped(two) == {last[1]: SkipReason.LEFT}
    assert fetched(plan(THREE, ledgers, Policy(limit=3, order=order))) == [2, *last]
    every = plan(THREE, ledgers, Policy(order=order))
    assert fetched(every) == [2, *last]
    assert [fetch.has_failed for fetch in every.fetch] == [False, True, True]


def test_of_what_failed_before_that_is_fetched_first_which_failed_least_often() -> None:
    a, b, c = (record(uid, State.SEEN, **KNOWN) for uid in "abc")
    ledgers = ledger(a.failed("no").failed("no"), replace(b, reason="a doubt"), c.failed("no"))
    assert fetched(plan(THREE, ledgers)) == [2, 3, 1]


def test_what_failed_too_often_is_skipped_and_counts_for_no_limit() -> None:
    failed = record("a", State.SEEN, **KNOWN).failed("-ERR no").failed("-ERR no")

    assert fetched(plan(THREE, ledger(failed), Policy(max_failures=3, limit=3))) == [2, 3, 1]
    planned = plan(THREE, ledger(failed.failed("-ERR never")), Policy(max_failures=3, limit=1))
    assert fetched(planned) == [2]
    assert skipped(planned) == {1: SkipReason.FAILED, 3: SkipReason.LEFT}


def test_what_is_stored_has_not_failed() -> None:
    stored = (
        record("a", State.SEEN, **KNOWN).failed("x").failed("x").failed("x").stored(NOON, size=100, fingerprint="f")
    )
    resized = [Entry(1, "a", 7)]

    assert fetched(plan(resized, ledger(stored), Policy(max_failures=1))) == [1]


@pytest.mark.parametrize("state", State)
def test_what_fails_under_the_uid_of_a_stored_message_is_skipped_as_any_other(state: State) -> None:
    known = record("a", state, size=7 if state is not State.SEEN else 100).failed("no")

    assert fetched(plan(THREE[:1], ledger(known), Policy(max_failures=2))) == [1]
    planned = plan(THREE[:1], ledger(known.failed("no")), Policy(max_failures=2))
    assert skipped(planned) == {1: SkipReason.FAILED}
    assert planned.records == ()


@pytest.mark.parametrize("state", [State.STORED, State.GONE])
def test_what_failed_under_the_uid_of_a_message_is_gone_with_it(state: State) -> None:
    planned = plan([], ledger(record("a", state, DAY, size=7).failed("no")))

    assert planned.records == (replace(record("a", State.GONE, DAY, size=7), since=planned.records[0].since),)
    assert planned.records[0].since == (NOON - DAY if state is State.GONE else NOON)


def test_another_size_than_that_of_what_was_only_seen_is_another_message() -> None:
    seen = replace(record("a", State.SEEN, 20 * DAY, size=7, fingerprint="f"), failures=9, reason="no")
    policy = Policy(max_message_size=99, oversize="preview", preview_lines=5)
    planned = plan(THREE[:1], ledger(seen), policy)

    assert [(fetch.lines, fetch.alikes) for fetch in planned.fetch] == [(5, {})]
    assert planned.records == (record("a", State.SEEN, size=100),)
    assert (planned.cautions, planned.forget) == ((), ())


@pytest.mark.parametrize(("size", "expected"), [(100, True), (101, False)])
def test_what_is_larger_than_the_limit_is_left(size: int, expected: bool) -> None:
    planned = plan([Entry(1, "a", size)], policy=Policy(max_message_size=100))

    assert bool(planned.fetch) is expected
    assert expected or skipped(planned) == {1: SkipReason.TOO_LARGE}


def test_of_what_is_too_large_the_header_can_be_fetched_once() -> None:
    policy = Policy(max_message_size=99, oversize="preview", preview_lines=20)
    planned = plan(THREE[:1], policy=policy)
    assert [fetch.lines for fetch in planned.fetch] == [20]

    previewed = replace(planned.records[0], fingerprint="f")
    assert previewed.is_previewed
    assert skipped(plan(THREE[:1], ledger(previewed), policy)) == {1: SkipReason.TOO_LARGE}
    assert [fetch.lines for fetch in plan(THREE[:1], ledger(previewed)).fetch] == [None]
    assert deleted(THREE[:1], ledger(previewed), Policy(keep="until stored")) == []


# What the server has no longer


def test_what_is_absent_from_a_complete_listing_is_gone() -> None:
    records = ledger(record("a", **KNOWN), record("x", State.STORED, DAY), record("y", State.MARKED, DAY))
    planned = plan(THREE[:1], records)

    assert planned.records == (
        replace(records["x"], state=State.GONE, since=NOON),
        replace(records["y"], state=State.GONE, since=NOON),
    )
    assert planned.forget == ()


def test_nothing_is_gone_for_a_listing_that_is_not_complete() -> None:
    planned = plan(THREE[:1], ledger(record("a", **KNOWN), record("x"), record("y", State.SEEN)), is_complete=False)

    assert planned.records == ()
    assert planned.forget == ()


def test_what_was_never_stored_is_forgotten_when_it_is_gone() -> None:
    assert plan(THREE[:1], ledger(record("y", State.SEEN))).forget == ("y",)


def test_what_is_gone_is_remembered_for_its_time() -> None:
    gone = ledger(record("x", State.GONE, 90 * DAY), record("y", State.GONE, 91 * DAY))
    planned = plan([], gone)

    assert planned.forget == ("y",)
    assert planned.records == ()
    assert plan([], gone, Policy(remember=DAY)).forget == ("x", "y")


def test_what_is_back_is_compared_with_what_it_was_before_it_is_fetched_again() -> None:
    gone = record("a", State.GONE, fingerprint="f", **KNOWN)
    planned = plan(THREE[:1], ledger(gone))

    assert fetched(planned) == [1]
    assert planned.fetch[0].alikes == {"f": gone}
    assert planned.has_alikes
    assert [caution.kind for caution in planned.cautions] == [CautionKind.RETURNED]
    assert "1 messages are back" in str(planned.cautions[0])
    assert deleted(THREE[:1], ledger(gone), Policy(keep="until stored")) == []


@pytest.mark.parametrize("fingerprint", ["f", ""])
@pytest.mark.parametrize("state", [State.STORED, State.MARKED])
def test_another_size_under_the_same_uid_is_another_message_until_shown_otherwise(
    state: State, fingerprint: str
) -> None:
    stored = record("a", state, size=99, fingerprint=fingerprint)
    planned = plan(THREE[:1], ledger(stored))

    assert fetched(planned) == [1]
    assert planned.fetch[0].alikes == ({"f": stored} if fingerprint else {})
    assert [caution.kind for caution in planned.cautions] == [CautionKind.RESIZED]
    assert deleted(THREE[:1], ledger(stored), Policy(keep="until stored")) == []


def test_a_size_that_is_not_told_is_no_other_size() -> None:
    unsized = [Entry(1, "a", 0)]
    assert skipped(plan(unsized, ledger(record("a", **KNOWN)))) == {1: SkipReason.STORED}
    assert deleted(unsized, ledger(record("a", **KNOWN)), Policy(keep="until stored")) == []
    seen = record("a", State.SEEN, DAY, **KNOWN).failed("no")
    assert plan(unsized, ledger(seen)).records == plan(THREE[:1], ledger(replace(seen, size=0))).records == ()
    assert skipped(plan(unsized, ledger(seen), Policy(max_failures=1))) == {1: SkipReason.FAILED}


def test_a_size_that_is_told_for_the_first_time_is_compared_and_can_be_deleted_by_then() -> None:
    unsized = record("a", size=0, fingerprint="f")
    planned = plan(THREE[:1], ledger(unsized))
    assert [fetch.alikes for fetch in planned.fetch] == [{"f": unsized}]
    assert deleted(THREE[:1], ledger(unsized), Policy(keep="until stored")) == []


# All new

TEN = [record(f"old{number}", fingerprint=f"f{number}", **KNOWN) for number in range(10)]
FIVE = [Entry(number, f"new{number}") for number in range(1, 6)]


def test_a_maildrop_where_all_is_new_raises_a_question_and_changes_nothing() -> None:
    planned = plan(FIVE, ledger(*TEN))

    assert planned == Plan(question=Question(10, 5))
    assert "none of the 5 messages on the server is one of the 10" in str(planned.question)


@pytest.mark.parametrize(
    ("entries", "records"),
    [
        (FIVE[:4], TEN),  # there was more mail before: some of it may have been deleted, and the rest be new
        (FIVE, TEN[:9]),  # there was little before
        ([*FIVE, Entry(6, "old3")], TEN),
        (FIVE, [*TEN[1:], replace(TEN[0], state=State.GONE)]),
        (FIVE, [replace(each, state=State.MARKED) for each in TEN]),  # deleted by a run that was cut off behind QUIT
        ([], TEN),
        ([Entry(number, None) for number in range(1, 6)], TEN[:9]),
    ],
)
def test_there_is_no_question_where_it_may_well_be_so(entries: list[Entry], records: list[Record]) -> None:
    assert plan(entries, ledger(*records)).question is None


def without_uids(nameless: int, known: int) -> list[Entry]:
    """Return old0 and others behind it, so many, and so many messages without a unique id."""
    return [
        *(Entry(place, f"old{place}") for place in range(known)),
        *(Entry(99 + place, None) for place in range(nameless)),
    ]


@pytest.mark.parametrize("when_all_new", ["ask", "match"])
def test_where_unique_ids_were_told_and_most_are_not_any_more_there_is_a_question(
    when_all_new: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailwire.aio.portions.PORTION", 3)
    policy = Policy(when_all_new=when_all_new)
    for nameless, stored_count, missing in ((10, 10, 10), (10, 20, 20), (13, 26, 23), (30, 10, 10)):
        known = stored_count - missing
        planned = plan(without_uids(nameless, known), stored(stored_count), policy)
        assert planned == Plan(question=Question(missing, nameless + known, nameless=nameless))
    told = str(plan(without_uids(30, 0), stored(10), policy).question)
    assert told.startswith(
        "the server tells no unique id of 30 of its 30 messages, and 10 that are stored were known by theirs"
    )
    # Sizes that are others do not matter then, nor what headers say of them.
    entries = [*sized(10, 0), *without_uids(10, 0)]
    assert plan(entries, stored(20), policy).question == Question(10, 20, nameless=10)


@pytest.mark.parametrize(("nameless", "missing"), [(1, 10), (9, 10), (10, 21), (15, 31)])
def test_what_is_too_little_to_be_what_is_missing_is_fetched_though_it_has_no_unique_id(
    nameless: int, missing: int
) -> None:
    # What was stored was deleted from another place, or by another program.
    assert len(fetched(plan(without_uids(nameless, 0), stored(missing)))) == nameless


def test_where_no_more_are_missing_than_may_be_gone_what_has_no_unique_id_is_fetched() -> None:
    nine, many = without_uids(30, 0), without_uids(9, 10)
    assert len(fetched(plan(nine, stored(9)))) == 30
    assert len(fetched(plan(nine, stored(30, state=State.SEEN)))) == 30
    assert len(fetched(plan(without_uids(30, 10), stored(19)))) == 30
    assert len(fetched(plan(many, stored(30)))) == 9  # there are more that have one
    assert len(fetched(plan(nine, stored(30), Policy(when_all_new="fetch")))) == 30


def test_all_can_be_fetched_all_the_same() -> None:
    planned = plan(FIVE, ledger(*TEN), Policy(when_all_new="fetch"))

    assert fetched(planned) == [1, 2, 3, 4, 5]
    assert not any(fetch.alikes for fetch in planned.fetch)
    assert Counter(each.state for each in planned.records) == {State.SEEN: 5, State.GONE: 10}


def test_what_is_new_can_be_compared_with_what_is_gone() -> None:
    unknown = replace(TEN[9], fingerprint="")
    policy = Policy(when_all_new="match")
    planned = plan(FIVE, ledger(*TEN[:9], unknown), policy)

    alikes = {f"f{number}" for number in range(9)}
    assert all(set(fetch.alikes) == alikes for fetch in planned.fetch)
    assert planned.has_alikes
    assert not plan(FIVE, ledger(), policy).has_alikes
    # A run that was cut off goes on where it was.
    records = ledger(*TEN[:9], *planned.records)
    again = plan(FIVE, records, policy)
    assert all(set(fetch.alikes) == alikes for fetch in again.fetch)


def test_what_is_known_is_counted_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailwire.aio.portions.PORTION", 3)
    assert plan(FIVE, ledger(*TEN)).question == Question(10, 5)


# All others under the same unique ids

ELEVEN = [Entry(number, f"old{number}", 7) for number in range(11)]


def stored(count: int, **rest: Any) -> dict[str, Record]:
    """Return records of so many stored messages, old0 and those behind it, each with a fingerprint."""
    return ledger(*(replace(record(f"old{place}", fingerprint=f"f{place}", **KNOWN), **rest) for place in range(count)))


def sized(other: int, same: int) -> list[Entry]:
    """Return so many messages, old0 and those behind it, of another size than they had and of the same."""
    return [Entry(place, f"old{place}", 7 if place < other else 100) for place in range(other + same)]


@pytest.mark.parametrize(("other", "same", "asks"), [(10, 10, True), (10, 11, False), (10, 0, True), (9, 1, False)])
def test_unique_ids_that_half_of_the_stored_messages_have_lost_raise_a_doubt(other: int, same: int, asks: bool) -> None:
    planned = plan([*sized(other, same), Entry(99, "new")], stored(other + same))

    assert planned.doubt == (Question(other + same, other + same + 1, other) if asks else None)
    assert planned.question is None
    # Where headers show that they are what they were, it is a plan as any other.
    assert fetched(planned) == [*range(other), 99]
    assert [fetch.alikes.keys() for fetch in planned.fetch] == [*({f"f{place}"} for place in range(other)), set()]
    assert set(skipped(planned)) == set(range(other, other + same))


def test_unique_ids_that_others_have_raise_a_question_where_no_header_can_answer_it() -> None:
    planned = plan(sized(10, 3), stored(13, fingerprint=""))

    assert planned == Plan(question=Question(13, 13, 10))


def test_the_unique_id_alone_does_not_make_a_message_known() -> None:
    # They are too few to show by themselves that the ids are others; but nothing else is known either.
    assert plan(sized(5, 0), stored(10)).doubt == Question(10, 5, 5)
    assert plan(sized(5, 0), stored(10, fingerprint="")).question == Question(10, 5, 5)
    assert plan(sized(5, 1), stored(10)).doubt is None


@pytest.mark.parametrize(
    ("count", "settings", "drawn"),
    [
        (12, {}, []),
        (12, {"limit": 0}, [*range(12)]),
        (12, {"limit": 5}, [*range(5, 12)]),
        (12, {"limit": 5, "order": "newest first"}, [*range(7, -1, -1)]),
        (12, {"max_message_size": 6}, [*range(12)]),
        (12, {"max_message_size": 6, "oversize": "preview", "limit": 5}, [*range(5, 12)]),
        (20, {"limit": 0}, [*range(20)]),
        (21, {"limit": 0}, [*range(20)]),
        (60, {"limit": 0}, [*range(0, 60, 3)]),
    ],
)
def test_some_of_what_is_not_fetched_can_answer_a_doubt(count: int, settings: dict[str, Any], drawn: list[int]) -> None:
    records = stored(count)
    planned = plan([*sized(count, 0), Entry(99, "new", 7)], records, Policy(**settings))

    assert planned.doubt == Question(count, count + 1, count)
    assert [fetch.entry.number for fetch in planned.sample] == drawn
    assert [fetch.uid for fetch in planned.sample] == [f"old{number}" for number in drawn]
    assert [fetch.has_failed for fetch in planned.sample] == [False] * len(drawn)
    assert [fetch.alikes for fetch in planned.sample] == [{f"f{number}": records[f"old{number}"]} for number in drawn]


def test_what_failed_before_answers_no_doubt() -> None:
    records = stored(13)
    records |= ledger(records["old3"].failed("it ends the session"))
    records |= ledger(
        records["old4"].failed("no").failed("no").failed("never"), replace(records["old5"], fingerprint="")
    )
    planned = plan(sized(13, 0), records, Policy(limit=1))
    assert fetched(planned) == [0]
    assert [fetch.entry.number for fetch in planned.sample] == [1, 2, *range(6, 13)]


def test_without_a_doubt_nothing_answers_one() -> None:
    for records in (stored(9), stored(12, size=7), stored(12, state=State.GONE)):
        assert plan(sized(len(records), 0), records, Policy(limit=1)).sample == ()
    assert plan(sized(12, 0), stored(12), Policy(limit=1, when_all_new="fetch")).sample == ()


@pytest.mark.parametrize("changed", [{"size": 0}, {"state": State.MARKED}, {"state": State.GONE}])
def test_what_may_well_be_or_be_replaced_raises_no_doubt(changed: dict[str, Any]) -> None:
    records = stored(11, **changed) | ledger(record("new", State.SEEN, **KNOWN))
    planned = plan([*ELEVEN, Entry(99, "new")], records)
    assert (planned.doubt, planned.question) == (None, None)


def test_sizes_that_are_not_told_raise_no_doubt_and_dispel_none() -> None:
    entries = [Entry(number, uid, 0) for number, uid, _ in ELEVEN]
    assert plan(entries, stored(11)).doubt is None
    unsized = [Entry(number, f"old{number}", 0) for number in range(15, 22)]
    assert plan([*sized(10, 5), *unsized], stored(22)).doubt == Question(22, 22, 10)
    assert plan(sized(10, 12), stored(15) | ledger(*(record(entry.uid or "", size=0) for entry in unsized))).doubt


def test_what_was_only_seen_says_nothing_of_the_unique_ids() -> None:
    seen = [record(f"old{place}", State.SEEN, **KNOWN) for place in range(9, 40)]
    assert plan(sized(12, 9), stored(9) | ledger(*seen)).doubt is None
    assert plan(sized(10, 20), stored(10) | ledger(*seen[1:])).doubt == Question(40, 30, 10)


def test_in_a_listing_of_other_unique_ids_any_message_is_compared_with_all() -> None:
    records = stored(12)
    planned = plan(sized(10, 2), records, Policy(when_all_new="match"))

    assert fetched(planned) == list(range(12))
    assert all(fetch.alikes.keys() == {f"f{place}" for place in range(12)} for fetch in planned.fetch)
    # What is known of each is kept, before another has its uid.
    told = list(planned.records)
    assert told[:12] == [
        replace(records[f"old{place}"], uid=f"old{place} f{place} 0", state=State.GONE) for place in range(12)
    ]
    assert told[12:] == [record(f"old{place}", State.SEEN, size=7 if place < 10 else 100) for place in range(12)]
    assert [str(caution).split(":")[0] for caution in planned.cautions] == [
        "10 messages have another size than they had"
    ]
    # A run that was cut off goes on where it was.
    again = plan(sized(10, 2), records | ledger(*told), Policy(when_all_new="match"))
    assert [fetch.alikes.keys() for fetch in again.fetch] == [fetch.alikes.keys() for fetch in planned.fetch]
    assert (again.records, again.forget) == ((), ())


@pytest.mark.parametrize("state", [State.STORED, State.MARKED, State.GONE])
def test_what_is_to_be_matched_is_matched_though_its_unique_id_was_anothers(state: State) -> None:
    one = record("one", state, size=7, fingerprint="f")
    other, blank = record("other", fingerprint="g", **KNOWN), record("blank", size=7)
    planned = plan([Entry(1, "one"), Entry(2, "blank")], ledger(one, other, blank), Policy(when_all_new="match"))

    moved = replace(one, uid="one f 0", state=State.GONE)
    seen = [record(uid, State.SEEN, size=100) for uid in ("one", "blank")]
    assert planned.records == (moved, *seen, replace(other, state=State.GONE))
    assert [fetch.alikes for fetch in planned.fetch] == [{"f": moved, "g": replace(other, state=State.GONE)}] * 2


def test_in_a_listing_of_other_unique_ids_all_is_fetched_that_is_not_what_it_was() -> None:
    records = stored(12) | ledger(record("seen", State.SEEN, DAY, **KNOWN).failed("no"))
    planned = plan([*sized(10, 2), Entry(12, "seen")], records, Policy(when_all_new="fetch", max_failures=1))

    assert fetched(planned) == list(range(13))
    aside = [put_aside(records[f"old{place}"], NOON) for place in range(12)]
    assert [fetch.alikes for fetch in planned.fetch] == [*({each.fingerprint: each} for each in aside), {}]
    # Nothing that was known under these ids holds for what has them now.
    told = ledger(*planned.records)
    assert list(told.values())[:12] == aside
    assert {told[f"old{place}"].state for place in range(12)} == {State.SEEN}
    assert (told["seen"].first_seen, told["seen"].failures) == (NOON, 0)
    assert deleted(sized(10, 2), records | told, Policy(keep="until stored")) == []


@pytest.mark.parametrize("later", ["fetch", "ask"])
@pytest.mark.parametrize("settings", [{"limit": 5}, {"max_message_size": 6}])
def test_what_is_left_of_a_listing_of_other_unique_ids_is_compared_by_a_later_run(
    later: Any, settings: dict[str, Any]
) -> None:
    records = stored(12, size=6)
    planned = plan(sized(12, 0), records, Policy(when_all_new="fetch", **settings))
    assert len(planned.fetch) == settings.get("limit", 0)
    told = records | ledger(*planned.records)
    aside = [put_aside(each, NOON) for each in records.values()]
    again = plan(sized(12, 0), told, Policy(when_all_new=later))

    assert fetched(again) == list(range(12))
    assert [fetch.alikes for fetch in again.fetch] == [{each.fingerprint: each} for each in aside]
    assert again.has_alikes
    assert (again.records, again.forget, again.question, again.doubt) == ((), (), None, None)


def test_of_what_was_put_aside_that_is_compared_alone_which_had_the_unique_id() -> None:
    one, other = (put_aside(record("a", fingerprint=fingerprint), NOON) for fingerprint in "fg")
    back = record("b", State.GONE, fingerprint="h")
    planned = plan([*THREE, Entry(4, None)], ledger(one, other, back, put_aside(back, NOON)))
    assert [fetch.alikes for fetch in planned.fetch] == [{"f": one, "g": other}, {"h": back}, {}, {}]


def test_what_shares_a_unique_id_by_now_is_compared_with_what_had_it_before() -> None:
    single = record("a", fingerprint="f", **KNOWN)
    planned = plan([Entry(1, "a"), Entry(2, "a")], ledger(replace(single, fingerprint="")))
    assert [fetch.alikes for fetch in planned.fetch] == [{}] * 2
    assert not planned.has_alikes


def test_the_question_says_what_may_be() -> None:
    assert str(Question(30, 12, 10)) == (
        "10 of the 12 messages on the server have the unique ids of others, by their sizes, of 30 that were there "
        "before: has it given them other unique ids, moving to another machine, say?"
    )
    assert str(Question(10, 5)) == (
        "none of the 5 messages on the server is one of the 10 that were there before: has it given them other unique "
        "ids, moving to another machine, say?"
    )


# Names


def test_duplicates_are_told_apart_by_size_and_order_and_told() -> None:
    entries = [Entry(4, "a"), Entry(1, "a"), Entry(2, "a", 7), Entry(3, "b")]
    planned = plan(entries)

    assert {fetch.entry.number: fetch.uid for fetch in planned.fetch} == {
        1: "a 100 1",
        2: "a 7 1",
        3: "b",
        4: "a 100 2",
    }
    assert [caution.kind for caution in planned.cautions] == [CautionKind.DUPLICATE_UIDS]
    assert "3 of 4 messages share" in str(planned.cautions[0])
    stored = [each.stored(NOON, size=each.size, fingerprint="") for each in planned.records]
    assert fetched(plan(entries, ledger(*stored))) == []


def test_a_message_that_another_comes_to_share_its_uid_with_is_known_by_its_header() -> None:
    single = record("a", fingerprint="f", **KNOWN)
    planned = plan([Entry(1, "a"), Entry(2, "a")], ledger(single))

    assert [fetch.alikes for fetch in planned.fetch] == [{"f": single}] * 2
    assert {each.uid: each.state for each in planned.records} == {
        "a 100 1": State.SEEN,
        "a 100 2": State.SEEN,
        "a": State.GONE,
    }


def test_without_uids_all_is_fetched_and_nothing_deleted_unless_asked_for() -> None:
    entries = [Entry(1, None), Entry(2, None)]
    planned = plan(entries, is_complete=False)

    assert fetched(planned) == [1, 2]
    assert planned.records == ()
    assert [caution.kind for caution in planned.cautions] == [CautionKind.NO_UIDS]
    assert str(planned.cautions[0]).startswith("no message has a unique id")
    assert "never deleted" in str(planned.cautions[0])
    for policy in (Policy(keep="until stored"), Policy(keep=timedelta(0), delete_without_uid=True)):
        assert deleted(entries, {}, policy, stored_numbers=[1]) == []
    forced = Policy(keep="until stored", delete_without_uid=True)
    assert deleted(entries, {}, forced, stored_numbers=[1]) == [1]
    assert "deleted once it is stored" in str(plan(entries, policy=forced).cautions[0])


def test_some_without_a_uid_are_told_by_their_number() -> None:
    assert "1 of 2 messages have no unique id" in str(plan([Entry(1, None), Entry(2, "b")]).cautions[0])


# What the server does by itself


def test_a_server_that_forgets_what_it_gave_is_asked_for_one_message_at_a_time() -> None:
    planned = plan(THREE, expire=0)

    assert planned.one_at_a_time
    assert [caution.kind for caution in planned.cautions] == [CautionKind.EXPIRES_WHEN_RETRIEVED]


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (Policy(), True),
        (Policy(keep=31 * DAY), True),
        (Policy(keep=30 * DAY), False),
        (Policy(keep="until stored"), False),
    ],
)
def test_a_server_that_deletes_sooner_than_asked_for_is_told(policy: Policy, told: bool) -> None:
    planned = plan(THREE, policy=policy, expire=30)

    assert [caution.kind for caution in planned.cautions] == [CautionKind.EXPIRES_SOONER] * told

    assert not planned.one_at_a_time


def test_a_server_that_deletes_in_a_thousand_million_years_is_no_trouble() -> None:
    assert plan(THREE, policy=Policy(keep=DAY), expire=10**12).cautions == ()


USED_AGAIN = "the server may have used their unique ids again, and what does not have the same header is fetched again"
NO_IDS = "no message has a unique id: without one, it is fetched by every run that finds it, and"


@pytest.mark.parametrize(
    ("entries", "records", "policy", "expire", "told"),
    [
        ([Entry(1, None)], [], Policy(), None, f"{NO_IDS} never deleted"),
        ([Entry(1, None)], [], Policy(delete_without_uid=True), None, f"{NO_IDS} deleted once it is stored"),
        (
            THREE,
            [],
            Policy(keep="until stored"),
            0,
            "the server may delete, or hide, what is retrieved (EXPIRE 0): one message is asked for at a time",
        ),
        (
            THREE,
            [],
            Policy(),
            30,
            "the server deletes messages by itself after 30 days (EXPIRE), which is sooner than asked for",
        ),
        (
            THREE,
            [record(uid, size=7) for uid in "abc"],
            Policy(),
            None,
            f"3 messages have another size than they had: {USED_AGAIN}",
        ),
        (
            THREE,
            [record(uid, State.GONE, **KNOWN) for uid in "abc"],
            Policy(),
            None,
            f"3 messages are back after they were gone: {USED_AGAIN}",
        ),
    ],
)
def test_what_is_told_of_a_maildrop_is_told_in_words(
    entries: list[Entry], records: list[Record], policy: Policy, expire: int | None, told: str
) -> None:
    assert [str(caution) for caution in plan(entries, ledger(*records), policy, expire=expire).cautions] == [told]


# Properties

_UIDS = st.one_of(st.none(), st.sampled_from("abcdefghijkl"), st.text("xyz", min_size=1, max_size=2))
_ENTRIES = st.lists(st.tuples(_UIDS, st.integers(0, 3)), max_size=12).map(
    lambda drawn: [Entry(number, uid, size) for number, (uid, size) in enumerate(drawn, 1)]
)
_AGES = st.timedeltas(timedelta(days=-2), timedelta(days=200))
_LEDGERS = st.lists(
    st.builds(
        record,
        st.sampled_from("abcdefghijkl"),
        st.sampled_from(State),
        _AGES,
        size=st.integers(0, 3),
        failures=st.integers(0, 4),
        fingerprint=st.sampled_from(["", "f", "g"]),
    )
).map(lambda drawn: ledger(*drawn))
_SOME = st.one_of(st.none(), st.integers(0, 12))
_POLICIES = st.builds(
    Policy,
    keep=st.one_of(st.sampled_from(["for ever", "until stored"]), st.timedeltas(timedelta(0), timedelta(days=200))),
    keep_at_most=_SOME,
    keep_at_most_octets=_SOME,
    max_message_size=st.one_of(st.none(), st.integers(0, 3)),
    oversize=st.sampled_from(["leave", "preview"]),
    limit=_SOME,
    order=st.sampled_from(["oldest first", "newest first"]),
    max_failures=st.integers(1, 4),
    when_all_new=st.sampled_from(["ask", "match", "fetch"]),
    delete_without_uid=st.booleans(),
    remember=st.timedeltas(timedelta(0), timedelta(days=200)),
)


@property_settings(100)
@given(_ENTRIES, _LEDGERS, _POLICIES, st.booleans())
def test_each_message_is_fetched_or_skipped_once(
    entries: list[Entry], records: dict[str, Record], policy: Policy, is_complete: bool
) -> None:
    planned = plan(entries, records, policy, is_complete=is_complete)
    if planned.question is not None:
        assert planned == Plan(question=planned.question)
        assert policy.when_all_new == "ask"
        return
    assert sorted([*fetched(planned), *skipped(planned)]) == [entry.number for entry in entries]
    assert policy.limit is None or len(planned.fetch) <= policy.limit
    for fetch in planned.fetch:
        stored = records.get(fetch.uid or "")
        is_reassigned = sum(told.uid in records and records[told.uid].is_stored for told in planned.records) >= 10
        assert is_reassigned or stored is None or stored.state is not State.STORED or stored.size != fetch.entry.size
    # Of everything that has a name in the ledger, the ledger has heard.
    told = {**records, **ledger(*planned.records)}
    assert {uid for _, uid in identify(entries) if uid is not None} <= set(told)
    assert not set(planned.forget) & {uid for _, uid in identify(entries)}


@property_settings(100)
@given(_ENTRIES, _LEDGERS, _POLICIES, st.sets(st.integers(1, 12)))
def test_only_what_is_stored_is_deleted_and_no_more_than_the_policy_wants(
    entries: list[Entry], records: dict[str, Record], policy: Policy, stored: set[int]
) -> None:
    planned = plan(entries, records, policy)
    records |= ledger(*planned.records)
    numbers = deleted(entries, records, policy, stored)
    uids = Counter(entry.uid for entry in entries)
    for entry in entries:
        if entry.number not in numbers:
            continue
        if entry.uid is None:
            assert policy.delete_without_uid
            assert policy.keep == "until stored"
            assert entry.number in stored
        else:
            assert uids[entry.uid] == 1
            assert records[entry.uid].state in (State.STORED, State.MARKED)
            assert entry.number not in fetched(planned)
    assert policy.deletes or not numbers
    staying = [entry for entry in entries if entry.number not in numbers]
    if numbers and not isinstance(policy.keep, timedelta) and policy.keep == "for ever":
        # One less, and there would be too many or too much.
        last = max(
            (entry for entry in entries if entry.number in numbers),
            key=lambda entry: (records[entry.uid or ""].first_seen, entry.number),
        )
        assert (policy.keep_at_most is not None and len(staying) + 1 > policy.keep_at_most) or (
            policy.keep_at_most_octets is not None
            and sum(entry.size for entry in staying) + last.size > policy.keep_at_most_octets
        )


@given(_ENTRIES, _LEDGERS, _POLICIES)
def test_the_order_in_which_the_server_lists_is_no_matter(
    entries: list[Entry], records: dict[str, Record], policy: Policy
) -> None:
    assert plan(entries[::-1], records, policy) == plan(entries, records, policy)
    assert deleted(entries[::-1], records, policy) == deleted(entries, records, policy)


# Run after run


@dataclass
class Message:
    """A message as it is: what the server says of it, and who it is."""

    uid: str
    size: int
    identity: int


class Runs(RuleBasedStateMachine):
    """A maildrop to which others have access too, and runs on it that may be cut off anywhere.

    Nothing is deleted by a run that is not in the sink. Where the uids are as RFC 1939 wants them and nothing crashes
    between the sink and the ledger, nothing is in the sink twice.
    """

    @initialize(policy=_POLICIES, good=st.booleans())
    def begin(self, policy: Policy, good: bool) -> None:
        self.policy = replace(policy, when_all_new="fetch", max_message_size=None)
        self.good = good  # whether the server gives each message a uid of its own, for ever
        self.maildrop: list[Message] = []
        self.records: dict[str, Record] = {}
        self.sink: list[int] = []
        self.now = NOON
        self.count = 0
        self.crashes = 0

    @rule(size=st.integers(0, 3), uid=st.sampled_from("abc"))
    def mail_arrives(self, size: int, uid: str) -> None:
        self.count += 1
        # The same uid and the same size: of that nobody could tell the difference.
        self.maildrop.append(
            Message(f"u{self.count}", size, self.count) if self.good else Message(uid, 100 + self.count, self.count)
        )

    @rule(pick=st.integers(0, 10))
    def somebody_else_deletes(self, pick: int) -> None:
        if pick < len(self.maildrop):
            del self.maildrop[pick]

    @rule(days=st.integers(-1, 30))
    def time_passes(self, days: int) -> None:
        self.now += timedelta(days=days)

    @rule(fails=st.sets(st.integers(0, 5)), stop=st.one_of(st.none(), st.integers(0, 20)), fate=st.sampled_from("okl"))
    def a_run(self, fails: set[int], stop: int | None, fate: str) -> None:
        entries = [Entry(number, message.uid, message.size) for number, message in enumerate(self.maildrop, 1)]
        planned = plan_retrieval(entries, self.records, self.now, self.policy)
        self.records |= ledger(*planned.records)
        for uid in planned.forget:
            del self.records[uid]
        steps = 0
        for position, fetch in enumerate(planned.fetch):
            message = self.maildrop[fetch.entry.number - 1]
            assert fetch.uid is not None
            known = self.records[fetch.uid]
            if position in fails:
                self.records[fetch.uid] = known.failed("no")
                continue
            if not (alike := fetch.alikes.get(str(message.identity))):
                self.sink.append(message.identity)
            if (steps := steps + 1) == stop:
                self.crashes += 1
                return
            self.records[fetch.uid] = replace(alike or known, uid=fetch.uid).stored(
                self.now, size=message.size, fingerprint=str(message.identity)
            )
        deletions = plan_deletions(entries, self.records, self.now, self.policy)
        for deletion in deletions:
            assert deletion.uid is not None
            self.records[deletion.uid] = self.records[deletion.uid].reached(State.MARKED, self.now)
        if fate == "o" or (fate == "l" and steps % 2):  # +OK; or no answer, whatever was done
            numbers = {deletion.entry.number for deletion in deletions}
            lost = [self.maildrop[number - 1].identity for number in numbers]
            assert set(lost) <= set(self.sink)
            self.maildrop = [message for number, message in enumerate(self.maildrop, 1) if number not in numbers]
        if fate == "o":
            for deletion in deletions:
                assert deletion.uid is not None
                self.records[deletion.uid] = self.records[deletion.uid].reached(State.GONE, self.now)

    @invariant()
    def nothing_is_stored_twice(self) -> None:
        twice = sum(Counter(self.sink).values()) - len(set(self.sink)) if self.count else 0
        if getattr(self, "good", False):
            assert twice <= self.crashes

    @invariant()
    def the_ledger_knows_what_is_stored(self) -> None:
        if self.count and self.good:
            for message in self.maildrop:
                known = self.records.get(message.uid)
                assert known is None or known.state is State.SEEN or message.identity in self.sink


TestRuns = Runs.TestCase
TestRuns.settings = model_settings(examples=50, steps=30)


def test_the_times_of_a_record_are_those_of_its_state() -> None:
    later: datetime = NOON + DAY
    seen = record("a", State.SEEN, **KNOWN)
    stored = seen.failed("no").stored(later, size=7, fingerprint="f")

    assert (stored.state, stored.since, stored.first_seen, stored.size) == (State.STORED, later, NOON, 7)
    assert (stored.failures, stored.reason, stored.fingerprint) == (0, "", "f")
    marked = stored.reached(State.MARKED, later + DAY)
    assert (marked.state, marked.since) == (State.MARKED, later + DAY)
    assert marked.reached(State.MARKED, later + 2 * DAY) == marked
