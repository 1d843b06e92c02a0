import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailwire.pop3.columns import NumberColumn, UniqueIdColumn
from tests.counting import calls


def column(numbers: list[int]) -> NumberColumn:
    made = NumberColumn()
    for number in numbers:
        made.extend(number)
    return made


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 5)), max_size=8))
@settings(deadline=None)
def test_numbers_are_kept_in_their_order(runs: list[tuple[int, int]]) -> None:
    made = NumberColumn()
    numbers: list[int] = []
    for first, count in runs:
        made.extend(first, count)
        numbers += range(first, first + count)
    assert list(made) == numbers
    assert [made[place] for place in range(len(made))] == numbers
    assert [number for run in made.runs for number in run] == numbers
    assert made.is_ascending == (numbers == sorted(set(numbers)))
    assert made == column(numbers)
    assert made.next == (numbers[-1] + 1 if numbers else 1)
    if made.is_ascending:
        for number in range(50):
            assert made.find(number) == (numbers.index(number) if number in numbers else None)


def test_a_whole_maildrop_is_one_run() -> None:
    made = NumberColumn()
    made.extend(1, 500_000)
    made.extend(500_001, 500_000)
    assert list(made.runs) == [range(1, 1_000_001)]
    assert (made.find(1_000_000), made.find(1_000_001), made[999_999]) == (999_999, None, 1_000_000)


def test_columns_of_other_numbers_differ() -> None:
    assert column([1, 2, 3]) != column([1, 2])
    assert column([1, 2, 3]) != column([1, 2, 4])
    assert column([]) == column([])
    assert column([1]) != [1]


@given(st.lists(st.none() | st.text("ab%", min_size=1, max_size=3), max_size=12))
@settings(deadline=None)
def test_unique_ids_are_kept_as_they_are(uids: list[str | None]) -> None:
    made = UniqueIdColumn()
    for uid in uids:
        made.append(None if uid is None else uid.encode())
    assert list(made) == uids
    assert [made[place] for place in range(len(made))] == uids
    assert [made.octets(place).decode() or None for place in range(len(made))] == uids
    assert made.unknown == uids.count(None)
    shared = made.shared()
    twice = [uid is not None and uids.count(uid) > 1 for uid in uids]
    assert (shared is not None) == any(twice)
    assert shared is None or list(map(bool, shared)) == twice


def test_a_column_may_begin_with_unique_ids_that_are_unknown() -> None:
    made = UniqueIdColumn(3)
    made.append(b"")  # the octets of one that is unknown
    made.append(b"a")
    assert list(made) == [None, None, None, None, "a"]
    assert made.unknown == 4


def test_many_unique_ids_are_iterated_over() -> None:
    made = UniqueIdColumn(3)
    uids = [b"%d" % number for number in range(9000)]
    made.extend(uids, [len(uid) for uid in uids])
    assert list(made) == [None] * 3 + [uid.decode() for uid in uids]


@pytest.mark.parametrize("unknown", [0, 1, 5])
def test_unknown_ids_are_shared_by_nobody(unknown: int) -> None:
    made = UniqueIdColumn(unknown)
    assert list(made) == [None] * unknown
    made.append(b"b")
    made.append(b"a")
    assert made.shared() is None


def test_unique_ids_that_are_shared_are_found_in_many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailwire.pop3.columns._COMPARED", 2)
    made = UniqueIdColumn()
    for uid in (b"c", b"a", b"b", b"a", b"d", b"e", b"c"):
        made.append(uid)
    assert made.shared() == bytes([1, 1, 0, 1, 0, 0, 1])


def test_two_that_come_together_are_found_to_be_the_same() -> None:
    made = UniqueIdColumn()
    made.extend([b"a", b"a"], [1, 1])
    assert made.shared() == bytes([1, 1])


UIDS = st.lists(st.none() | st.text("ab", min_size=1, max_size=4), max_size=12)


@given(UIDS | UIDS.map(lambda uids: sorted(filter(None, uids))), st.text("ab", max_size=4))
def test_a_unique_id_is_found_wherever_it_stands(uids: list[str | None], wanted: str) -> None:
    column = UniqueIdColumn()
    for each in uids:
        column.append(None if each is None else each.encode())
    for uid in [*filter(None, uids), wanted]:
        assert column.places(uid.encode()) == ([place for place, each in enumerate(uids) if each == uid] if uid else [])


@pytest.mark.parametrize("uid", [b"%08d", b"%08x"], ids=["ascending", "in any order"])
def test_to_find_a_unique_id_takes_as_many_steps_among_many_as_among_few(uid: bytes) -> None:
    def steps(count: int) -> int:
        ids = [uid % (number if uid == b"%08d" else number * 2654435761 % 2**32) for number in range(count)]
        column = UniqueIdColumn()
        column.extend(ids, [8] * count)
        return calls(lambda: column.places(ids[count // 2]))

    assert steps(40_000) < steps(1_000) + 50
