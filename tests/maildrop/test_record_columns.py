import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.maildrop import Record, State
from mailwire.maildrop.record_columns import RecordColumns, from_microseconds, to_microseconds
from tests.maildrop.records import NOON, RECORDS, record

_NOON = to_microseconds(NOON)


def columns(*records: Record) -> RecordColumns:
    made = RecordColumns()
    for each in records:
        times = to_microseconds(each.first_seen), to_microseconds(each.since)
        made.add(each.uid, each.state.value, *times, each.size, each.failures, each.reason, each.fingerprint)
    made.ready()
    return made


@given(st.lists(RECORDS, max_size=12, unique_by=lambda each: each.uid))
def test_records_come_as_they_were(records: list[Record]) -> None:
    made = columns(*records)

    assert made == {each.uid: each for each in records}
    assert list(made) == [each.uid for each in records]
    assert list(made.values()) == records
    assert len(made) == len(records)
    for each in records:
        assert each.uid in made
        assert made.get(each.uid) == made[each.uid] == each


@pytest.mark.parametrize("fingerprint", ["", "ab" * 16, "AB" * 16, "ab" * 32, "ab" * 16 + "\n", "x"])
@pytest.mark.parametrize("more", [{}, {"failures": 2**63 - 1}, {"reason": "-ERR no"}])
def test_a_fingerprint_comes_as_it_was(fingerprint: str, more: dict[str, Any]) -> None:
    before, each, behind = record("a"), record("b", fingerprint=fingerprint, **more), record("c")

    assert list(columns(before, each, behind).values()) == [before, each, behind]


def test_what_is_not_there_is_not_found() -> None:
    made = columns(*(record(str(number)) for number in range(100)))

    assert [uid for uid in map(str, range(-100, 200)) if uid in made] == [str(number) for number in range(100)]
    assert made.get("x") is None
    assert made.get("x", 5) == 5
    assert "\ud800" not in made
    assert 7 not in made
    with pytest.raises(KeyError, match=r"^'x'$"):
        made["x"]
    assert columns().get("x") is None
    assert "x" not in RecordColumns()


@pytest.mark.parametrize(
    ("error", "row"),
    [
        (ValueError, ("", "seen", 0, 0, 0)),
        (ValueError, ("\ud800", "seen", 0, 0, 0)),
        (ValueError, ("a", "sent", 0, 0, 0)),
        (OverflowError, ("a", "seen", -(2**62), 0, 0)),
        (OverflowError, ("a", "seen", 0, 2**62, 0)),
        (OverflowError, ("a", "seen", 0, 0, 2**63)),
        (TypeError, ("a", "seen", "x", 0, 0)),
        (TypeError, ("a", "seen", 0, 0, "x")),
        (ValueError, ("a", "seen", 0, 0, 0, "1")),
        (ValueError, ("a", "seen", 0, 0, 0, 1, b"no")),
        (ValueError, ("a", "seen", 0, 0, 0, 0, b"no")),
        (TypeError, ("a", "seen", 0, 0, 0, 0, "", b"0")),
    ],
)
def test_what_is_no_record_is_refused(error: type[Exception], row: Any) -> None:
    with pytest.raises(error):
        RecordColumns().add(*row)


def test_the_first_and_the_last_time_are_times() -> None:
    for time in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        assert from_microseconds(to_microseconds(time)) == time
        made = RecordColumns()
        made.add("a", "gone", to_microseconds(time), _NOON, 1)
        made.add("b", "seen", _NOON, to_microseconds(time), 1)
        made.ready()
        assert made["a"] == Record("a", State.GONE, time, NOON, 1)
        assert made["b"] == Record("b", State.SEEN, NOON, time, 1)


def test_a_refusal_says_what_was_expected() -> None:
    with pytest.raises(ValueError, match=r"^expected a uid and a state, got 'a' and 'sent'$"):
        RecordColumns().add("a", "sent", 0, 0, 0)
    with pytest.raises(OverflowError, match=rf"^expected times from the year 1 to 9999, got 7 and {2**62}$"):
        RecordColumns().add("a", "seen", 7, 2**62, 0)
    with pytest.raises(ValueError, match=r"^expected failures to be a number, got 'one' \(str\)$"):
        RecordColumns().add("a", "seen", 0, 0, 0, "one", "no")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^expected reason to be a string, got b'no' \(bytes\)$"):
        RecordColumns().add("a", "seen", 0, 0, 0, 1, b"no")  # type: ignore[arg-type]


def test_a_record_takes_some_sixty_octets() -> None:
    made = RecordColumns()
    for number in range(1_000):
        made.add(str(1_000 + number), "stored", _NOON, _NOON, 5, 0, "", f"{number:032x}")
    made.ready()
    assert sum(map(sys.getsizeof, vars(made).values())) / len(made) < 65
