import copy
import pickle
from operator import neg

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.maildrop.lazy_sequence import LazySequence

FOUR = LazySequence(4, neg)


@given(st.integers(0, 5), st.slices(5))
def test_it_has_what_a_tuple_of_the_same_has(count: int, part: slice) -> None:
    lazy, items = LazySequence(count, neg), tuple(map(neg, range(count)))

    assert lazy == items
    assert items == lazy
    assert lazy == LazySequence(count, neg)
    assert hash(lazy) == hash(items)
    assert len(lazy) == count
    assert bool(lazy) == bool(items)
    assert [lazy[place] for place in range(-count, count)] == [*items, *items]
    assert lazy[part] == items[part]
    assert repr(lazy) == repr(items)


def test_an_item_that_is_not_there_is_an_index_error() -> None:
    for place in (4, -5):
        with pytest.raises(IndexError):
            FOUR[place]


def test_items_are_made_when_they_are_asked_for() -> None:
    made: list[int] = []
    lazy = LazySequence(10**9, made.append)

    assert (lazy[7], lazy[-1], lazy[3:5]) == (None, None, (None, None))
    assert made == [7, 10**9 - 1, 3, 4]
    assert repr(lazy) == "<1000000000 items>"
    assert repr(LazySequence(20, neg)) == repr(tuple(map(neg, range(20))))
    assert repr(LazySequence(21, neg)) == "<21 items>"


def test_others_differ() -> None:
    assert FOUR != (0, -1, -2)
    assert FOUR != (0, -1, -2, 3)
    assert FOUR != [0, -1, -2, -3]
    assert LazySequence(4, abs) != FOUR


def test_a_copy_is_a_tuple() -> None:
    for copied in (copy.copy(FOUR), copy.deepcopy(FOUR), *(pickle.loads(pickle.dumps(FOUR, way)) for way in range(6))):
        assert copied == (0, -1, -2, -3)
        assert type(copied) is tuple
