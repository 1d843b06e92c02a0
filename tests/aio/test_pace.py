import asyncio
from collections.abc import Sequence

import pytest

from mailwire import DeadlineExceeded, Timeouts
from mailwire.aio.pace import Pace, Throughput
from mailwire.testing.turns import drain_events
from tests.clock import Clock, StandingClock

# Such a server is given ten seconds, in each of which it must take a hundred octets.
TIMEOUTS = Timeouts(block=30, minimum_rate=100, rate_period=10)


class Receiver:
    """Somebody who takes in what the test says."""

    def __init__(self, timeouts: Timeouts = TIMEOUTS) -> None:
        self.left = 1_000_000
        self.pace = Pace(timeouts, lambda: self.left)
        self.clock = Clock()
        self.is_ready = asyncio.Event()

    async def begin(self) -> "asyncio.Task[bool]":
        self.is_ready.clear()
        waiting = asyncio.create_task(self.pace.wait(self.is_ready.wait))
        await drain_events()
        return waiting

    async def take(self, *octets: int) -> None:
        """Take in so many in each second."""
        for number in octets:
            self.left -= number
            await self.clock.advance(1)


async def test_who_keeps_up_may_take_any_time() -> None:
    receiver = Receiver()
    waiting = await receiver.begin()
    await receiver.take(*[120] * 1000)
    receiver.is_ready.set()
    assert await waiting


async def test_who_stands_still_is_given_the_time_for_a_block() -> None:
    receiver = Receiver()
    waiting = await receiver.begin()
    await receiver.take(*[0] * 29)
    assert not waiting.done()
    await receiver.take(0)
    with pytest.raises(
        DeadlineExceeded, match=r"the server did not do its part within 30 s: taking in the mes"
    ) as caught:
        await waiting
    assert caught.value.phase == "block"


async def test_an_octet_puts_the_end_of_standing_still_off_and_is_a_trickle() -> None:
    receiver = Receiver()
    waiting = await receiver.begin()
    await receiver.take(*[0] * 20, *[0] * 8, 1)
    assert not waiting.done()
    await receiver.take(0)
    with pytest.raises(DeadlineExceeded, match="the server took in 1 octets in 10 s, less than 100 a second"):
        await waiting


@pytest.mark.parametrize("octets", [[90] * 10, [900] + [0] * 9, [0] * 9 + [900]])
async def test_who_lets_it_trickle_is_given_a_period(octets: Sequence[int]) -> None:
    receiver = Receiver()
    waiting = await receiver.begin()
    await receiver.take(*octets[:-1])
    assert not waiting.done()
    await receiver.take(octets[-1])
    with pytest.raises(DeadlineExceeded, match="taking in the message"):
        await waiting


@pytest.mark.parametrize(
    ("named", "awaited"), [(("message", 7), "message 7"), (("taking in the message",), "taking in the message")]
)
def test_a_period_is_over_to_the_second_and_the_error_tells_of_what(named: tuple[str, int], awaited: str) -> None:
    rate = Throughput(TIMEOUTS, "gave")
    rate.count(9.9, 30)
    rate.check(*named)
    rate.count(0.1, 20)
    told = f"^the server gave 50 octets in 10 s, less than 100 a second: {awaited}$"
    with pytest.raises(DeadlineExceeded, match=told) as caught:
        rate.check(*named)
    assert caught.value.phase == "minimum_rate"


def test_who_comes_to_the_rate_keeps_up() -> None:
    rate = Throughput(TIMEOUTS, "gave")
    rate.count(10, 1000)
    rate.check("message", 7)


async def test_less_than_a_second_ends_at_its_end() -> None:
    clock = StandingClock()
    pace = Pace(Timeouts(block=0.5), lambda: 1_000_000)
    waiting = asyncio.create_task(pace.wait(asyncio.Event().wait))
    await clock.advance(0.5)
    assert waiting.done()
    with pytest.raises(DeadlineExceeded, match=r"within 0\.5 s"):
        await waiting


async def test_a_period_of_less_than_a_second_is_over_at_its_end() -> None:
    receiver = Receiver(Timeouts(block=30, minimum_rate=100, rate_period=0.5))
    waiting = await receiver.begin()
    receiver.left -= 1
    await receiver.clock.advance(0.5)
    assert waiting.done()
    with pytest.raises(DeadlineExceeded, match="took in 1 octets"):
        await waiting


async def test_the_rate_is_an_average() -> None:
    receiver = Receiver()
    waiting = await receiver.begin()
    await receiver.take(*([1100] + [0] * 9) * 5)
    receiver.is_ready.set()
    assert await waiting


async def test_only_the_time_counts_that_is_waited() -> None:
    receiver = Receiver()
    for _ in range(9):
        waiting = await receiver.begin()
        await receiver.take(60)
        receiver.is_ready.set()
        assert await waiting
        await receiver.clock.advance(1000)
    waiting = await receiver.begin()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_trickle_over_many_waits_is_one() -> None:
    receiver = Receiver()

    async def wait_often() -> None:
        for _ in range(11):
            waiting = await receiver.begin()
            await receiver.take(60)
            receiver.is_ready.set()
            await waiting
            receiver.left += 60

    with pytest.raises(DeadlineExceeded, match="in 10 s"):
        await wait_often()


async def test_who_wants_no_limits_has_none() -> None:
    receiver = Receiver(Timeouts(block=None, minimum_rate=None))
    waiting = await receiver.begin()
    await receiver.take(*[0] * 500, 1, *[0] * 500)
    assert not waiting.done()
    receiver.is_ready.set()
    assert await waiting
