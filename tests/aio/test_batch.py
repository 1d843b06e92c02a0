from typing import Any

import pytest

from mailwire import Batch
from mailwire.aio.batch import BatchCount
from tests.clock import StandingClock


@pytest.mark.parametrize(
    ("messages", "seconds", "told"),
    [
        (0, 1, "messages to be 1 at least, got 0"),
        (1, 0, "seconds to be more than 0, got 0"),
        (1, float("nan"), "seconds to be more than 0, got nan"),
        (None, 1, "messages to be a whole number, got None (NoneType)"),
        (1, None, "seconds to be a number, got None (NoneType)"),
    ],
)
def test_a_batch_is_a_batch(messages: Any, seconds: Any, told: str) -> None:
    with pytest.raises(ValueError) as caught:
        Batch(messages, seconds)
    assert str(caught.value) == f"expected {told}"


def test_a_batch_may_be_of_one_message_and_of_any_time() -> None:
    assert Batch(1, 0.001).messages == 1


async def test_a_batch_is_full_by_its_messages_or_by_its_time() -> None:
    clock = StandingClock()
    clock._real = lambda: 0.0  # so that its seconds are whole ones
    count = BatchCount(Batch(messages=2, seconds=60))
    await clock.advance(100)
    assert not count.is_full  # nothing was asked for
    count.count()
    await clock.advance(59)
    assert not count.is_full
    await clock.advance(1)
    assert count.is_full
    count.begin()
    assert not count.is_full
    count.count()
    assert not count.is_full
    count.count()
    assert count.is_full


async def test_without_a_batch_none_is_ever_full() -> None:
    count = BatchCount(None)
    for _ in range(1000):
        count.count()
    assert not count.is_full
