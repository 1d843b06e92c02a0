import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.aio.rate import Rate


def taken(rate: Rate, now: float) -> int:
    """Take all that there are at that time, and return how many that was."""
    count = 0
    while rate.ready_at() <= now:
        rate.take(now)
        count += 1
    return count


def test_the_bucket_is_full_at_first_and_fills_at_its_rate() -> None:
    rate = Rate(2, 3)
    assert [taken(rate, now) for now in (100, 100.25, 100.5, 101.5, 200)] == [3, 0, 1, 2, 3]


def test_it_says_when_there_will_be_a_token() -> None:
    rate = Rate(4, 1)
    rate.take(10)
    assert rate.ready_at() == 10.25


def test_a_token_that_is_put_back_is_there_again() -> None:
    rate = Rate(1, 1)
    rate.take(10)
    rate.put_back()
    assert taken(rate, 10) == 1


@pytest.mark.parametrize("burst", [1, 2])
def test_the_rarest_rate_is_one(burst: int) -> None:
    rate = Rate(1e-320, burst)
    assert [taken(rate, now) for now in (100, 1e8, 9.9e8, 1.1e9)] == [burst, 0, 0, 1]


def test_no_other_token_is_put_back() -> None:
    rate = Rate(1, 3)
    assert taken(rate, 10) == 3
    rate.put_back()
    assert taken(rate, 10) == 1


@given(st.floats(0.01, 1000), st.integers(1, 20), st.lists(st.floats(0, 10), max_size=30))
def test_no_time_has_more_than_the_rate_and_the_burst(per_second: float, burst: int, pauses: list[float]) -> None:
    rate = Rate(per_second, burst)
    now, count = 0.0, taken(rate, 0.0)
    for pause in pauses:
        now += pause
        count += min(taken(rate, now), 1000)
        assert count <= burst + now * per_second * (1 + 1e-9) + 1e-6
