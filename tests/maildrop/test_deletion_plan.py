"""What is deleted, case by case; tests/maildrop/test_plan.py has the properties."""

from dataclasses import replace
from datetime import timedelta

from mailwire.maildrop import Policy, State, plan_deletions
from mailwire.maildrop.deletion_plan import Deletion, DeletionPlanning
from mailwire.maildrop.naming import Named, identify
from tests.maildrop.plans import DAY, KNOWN, THREE, Entry, deleted, ledger
from tests.maildrop.records import NOON, record


def test_nothing_is_deleted_that_is_to_be_kept_for_ever() -> None:
    assert deleted(THREE, ledger(*(record(uid, age=9999 * DAY, **KNOWN) for uid in "abc")), Policy()) == []


def test_what_is_stored_can_be_deleted_at_once() -> None:
    records = ledger(record("a", **KNOWN), record("b", State.SEEN, **KNOWN), record("c", State.MARKED, **KNOWN))

    assert deleted(THREE, records, Policy(keep="until stored")) == [1, 3]


def test_what_is_deleted_has_the_name_that_the_ledger_knows_it_by() -> None:
    entries = [Entry(1, "a"), Entry(2, None)]
    policy = Policy(keep="until stored", delete_without_uid=True)
    deletions = plan_deletions(entries, ledger(record("a", **KNOWN)), NOON, policy, stored_numbers=[2])

    assert deletions == (Deletion(entries[0], "a"), Deletion(entries[1], None))


def test_what_is_not_decided_yet_deletes_nothing() -> None:
    planning = DeletionPlanning(Named(THREE), ledger().get, NOON, Policy(keep="until stored"), ())
    assert planning.deletions == ()


def test_what_is_stored_can_be_deleted_after_its_time_from_when_it_was_first_seen() -> None:
    records = ledger(
        record("a", age=14 * DAY, **KNOWN),
        record("b", age=14 * DAY - timedelta(microseconds=1), **KNOWN),
        record("c", State.SEEN, 99 * DAY, **KNOWN),
    )
    assert deleted(THREE, records, Policy(keep=14 * DAY)) == [1]
    records["b"] = replace(records["b"], first_seen=NOON - 15 * DAY, since=NOON)
    assert deleted(THREE, records, Policy(keep=14 * DAY)) == [1, 2]


def test_a_clock_that_was_put_back_deletes_nothing() -> None:
    assert deleted(THREE[:1], ledger(record("a", age=-DAY, **KNOWN)), Policy(keep=timedelta(hours=1))) == []


def test_of_too_many_the_stored_ones_seen_longest_ago_go() -> None:
    records = ledger(
        record("a", age=DAY, **KNOWN), record("b", age=3 * DAY, **KNOWN), record("c", State.SEEN, 9 * DAY, **KNOWN)
    )
    assert deleted(THREE, records, Policy(keep_at_most=3)) == []
    assert deleted(THREE, records, Policy(keep_at_most=2)) == [2]
    assert deleted(THREE, records, Policy(keep_at_most=0)) == [1, 2]
    assert deleted(THREE, records, Policy(keep_at_most_octets=200)) == [2]
    assert deleted(THREE, records, Policy(keep_at_most_octets=199)) == [1, 2]
    assert deleted(THREE, records, Policy(keep_at_most=2, keep=2 * DAY)) == [2]


def test_what_were_seen_at_the_same_time_go_by_their_numbers() -> None:
    assert deleted(THREE, ledger(*(record(uid, **KNOWN) for uid in "cba")), Policy(keep_at_most=1)) == [1, 2]


def test_a_duplicate_uid_deletes_neither() -> None:
    entries = [Entry(1, "a"), Entry(2, "a"), Entry(3, "b")]
    records = ledger(*(record(uid, **KNOWN) for _, uid in identify(entries) if uid), record("a", **KNOWN))

    for policy in (Policy(keep="until stored", delete_without_uid=True), Policy(keep_at_most=0)):
        assert deleted(entries, records, policy, stored_numbers=[1, 2]) == [3]
