import pytest

from mailwire import RetrievalProgress
from mailwire.aio.retrieval_progress import ProgressCount
from mailwire.errors import BudgetExceeded
from mailwire.pop3 import Entry

ONE, TWO = Entry(1, "u1", 5), Entry(2, "u2", 7)


def test_progress_is_told_of_what_came_and_of_what_is_to_come() -> None:
    told: list[RetrievalProgress] = []
    count = ProgressCount(None, told.append)
    count.expect([ONE, "gone", TWO])
    count.messages += 1
    count.count(ONE, 3, 3)
    count.count(ONE, 6, 3)
    count.messages += 1
    count.count(TWO, 7, 7)
    assert told == [
        RetrievalProgress(ONE, 3, 1, 3, 3, 12),
        RetrievalProgress(ONE, 6, 1, 3, 6, 12),
        RetrievalProgress(TWO, 7, 2, 3, 13, 12),
    ]


def test_more_than_the_limit_is_an_error() -> None:
    told: list[RetrievalProgress] = []
    count = ProgressCount(6, told.append)
    count.count(ONE, 6, 6)
    with pytest.raises(BudgetExceeded, match="longer than 6 octets"):
        count.count(TWO, 1, 1)
    assert len(told) == 1


def test_what_nobody_wants_to_know_is_counted_all_the_same() -> None:
    count = ProgressCount(None, None)
    count.count(ONE, 6, 6)
    assert count.octets == 6
