"""Whether a message may be the one that a record is of, and what is put aside of those that are known."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mailwire.maildrop import State
from mailwire.maildrop.recognition import (
    aside_by_uid,
    by_fingerprint,
    is_the_stored,
    may_be_the_stored,
    may_have_size,
    put_aside,
    was_another,
)
from tests.maildrop.plans import DAY, Entry
from tests.maildrop.records import NOON, record


@pytest.mark.parametrize(
    ("known", "listed", "has", "may_have"),
    [(7, 7, True, True), (0, 0, True, True), (7, 0, False, True), (0, 7, False, True), (7, 8, False, False)],
)
@pytest.mark.parametrize("state", State)
def test_a_message_is_the_one_that_its_size_does_not_speak_against(
    state: State, known: int, listed: int, has: bool, may_have: bool
) -> None:
    of, entry = record("a", state, size=known), Entry(1, "a", listed)
    is_stored = state in (State.STORED, State.MARKED)
    assert is_the_stored(of, entry) is (is_stored and has)
    # A size that is told for the first time is another.
    assert may_be_the_stored(of, entry) is (is_stored and (has or listed == 0))
    assert may_have_size(of, entry) is may_have
    assert was_another(of, entry) is (state is State.SEEN and not may_have)


@pytest.mark.parametrize("state", [State.STORED, State.MARKED, State.GONE])
def test_what_is_put_aside_is_gone_and_found_by_its_uid(state: State) -> None:
    known = replace(record("a", state, DAY, size=7, fingerprint="f"), failures=2, reason="no")
    since = known.since if state is State.GONE else NOON
    aside = put_aside(known, NOON)

    assert aside == replace(known, uid="a f 0", state=State.GONE, since=since, failures=0, reason="")
    assert aside_by_uid([aside]) == {"a": {"f": aside}}


def test_what_was_put_aside_of_a_uid_at_several_times_is_found_together() -> None:
    asides = [
        put_aside(record(uid, fingerprint=fingerprint), NOON + timedelta(hours=1))
        for uid, fingerprint in (("a", "f"), ("a", "g"), ("a 7 1", "f"))
    ]
    others = [record("a", State.GONE, fingerprint="f"), record("a 7 1", State.GONE, fingerprint="f")]
    others += [record("a f 0 x", State.GONE, fingerprint="f"), record("a f 0", State.GONE, fingerprint="0")]
    first, second, third = asides

    assert aside_by_uid([*asides, *others]) == {"a": {"f": first, "g": second}, "a 7 1": {"f": third}}
    assert aside_by_uid([]) == {}


def test_what_is_compared_has_a_header_and_was_stored() -> None:
    kept = [record("a", State.STORED, fingerprint="f"), record("b", State.MARKED, fingerprint="g")]
    kept += [record("c", State.GONE, fingerprint="h")]
    others = [record("d", State.SEEN, fingerprint="i"), record("e", fingerprint="")]
    assert by_fingerprint(*kept, *others) == dict(zip("fgh", kept, strict=True))
