from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire import pop3
from mailwire.aio.portions import finish
from mailwire.maildrop.lazy_sequence import LazySequence
from mailwire.maildrop.naming import Named, as_entry, identify
from tests.maildrop.plans import Entry


def named(entries: list[Entry]) -> Named:
    made = Named(iter(entries))
    for _ in made.prepare():
        pass
    return made


def test_the_name_of_a_message_is_its_unique_id() -> None:
    made = named([Entry(1, "a"), Entry(2, None), Entry(3, "b")])

    assert [name for portion in made.portions() for _, _, name in portion] == ["a", None, "b"]
    assert (len(made), made.nameless, made.shared) == (3, 1, 0)


def test_messages_that_share_a_unique_id_are_told_apart_by_size_and_order() -> None:
    entries = [Entry(4, "a"), Entry(1, "a"), Entry(2, "a", 7), Entry(3, "b"), Entry(5, None)]

    assert [(entry.number, name) for entry, name in identify(entries)] == [
        *((1, "a 100 1"), (2, "a 7 1"), (3, "b"), (4, "a 100 2"), (5, None)),
    ]
    assert (named(entries).shared, named(entries).nameless) == (3, 1)


def test_what_a_listing_says_to_share_no_unique_id_is_believed() -> None:
    shared = [pop3.Entry(1, "a", 1, shares_uid=True), pop3.Entry(2, "a", 1, shares_uid=True)]
    of_one_hash = [pop3.Entry(3, "b", 1, shares_uid=True), pop3.Entry(4, "c", 1)]

    assert [name for _, name in identify([*shared, *of_one_hash])] == ["a 1 1", "a 1 2", "b", "c"]
    believed = Named([pop3.Entry(1, "a", 1), pop3.Entry(2, "a", 1)])
    finish(believed.prepare())
    assert (believed.shared, believed.name(1, believed.entry(1))) == (0, "a")


def test_entries_of_a_listing_are_put_in_the_order_of_their_numbers() -> None:
    entries = [SimpleNamespace(number=2, uid="a", size=1), SimpleNamespace(number=1, uid="b", size=1)]
    assert [(entry.number, name) for entry, name in identify(entries)] == [(1, "b"), (2, "a")]


def test_messages_that_are_in_order_are_asked_for_and_not_kept() -> None:
    listing = LazySequence(3, lambda place: pop3.Entry(place + 1, str(place), 1))
    made = Named(listing)
    finish(made.prepare())

    assert made.entry(1) == made.entry(1)
    assert made.entry(1) is not made.entry(1)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.integers(1, 2)), max_size=7), st.integers(1, 3))
def test_portions_have_all_messages_in_either_order(drawn: list[tuple[str | None, int]], portion: int) -> None:
    made = named([Entry(number, uid, size) for number, (uid, size) in enumerate(drawn, 1)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mailwire.maildrop.naming.PORTION", portion)
        patch.setattr("mailwire.aio.portions.PORTION", portion)
        forwards = list(made.portions())
        backwards = list(made.portions(backwards=True))
    assert all(0 < len(each) <= portion for each in (*forwards, *backwards))
    messages = [each for portion in forwards for each in portion]
    assert [place for place, _, _ in messages] == list(range(len(drawn)))
    assert [each for portion in backwards for each in portion] == messages[::-1]
    for place, entry, name in messages:
        assert made.entry(place) == entry
        assert made.name(place, entry) == name


def test_an_entry_is_one_of_a_listing() -> None:
    entry = pop3.Entry(1, "a", 1)
    assert as_entry(entry) is entry
    with pytest.raises(AssertionError, match="comes of the listing"):
        as_entry(Entry(1, "a", 1))
