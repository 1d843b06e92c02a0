import asyncio
import errno

import pytest

from mailwire import DeadlineExceeded, MailwireError
from mailwire.aio.deadline import Deadline
from mailwire.testing.turns import turns


async def test_a_block_that_ends_in_time_is_left_alone() -> None:
    async with Deadline(30, "doing it"):
        await turns()


async def test_a_block_that_takes_too_long_is_told_by_its_phase() -> None:
    with pytest.raises(DeadlineExceeded, match=r"within 0\.01 s: doing it") as caught:
        async with Deadline(0.01, "doing it"):
            await asyncio.Event().wait()
    assert caught.value.phase == "doing it"
    assert isinstance(caught.value, (TimeoutError, MailwireError))
    assert not isinstance(caught.value.__cause__, MailwireError)


async def test_without_seconds_there_is_no_deadline() -> None:
    async with Deadline(None, "doing it"):
        await turns()


async def test_a_timeout_of_the_operating_system_is_no_deadline() -> None:
    with pytest.raises(TimeoutError) as caught:
        async with Deadline(30, "doing it"):
            raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")
    assert not isinstance(caught.value, MailwireError)
    assert caught.value.errno == errno.ETIMEDOUT


async def test_a_deadline_of_the_caller_stays_the_caller_s() -> None:
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.01), Deadline(30, "doing it"):
            await asyncio.Event().wait()
    assert not isinstance(caught.value, MailwireError)


async def test_a_deadline_inside_another_is_told_by_its_own_phase() -> None:
    with pytest.raises(DeadlineExceeded) as caught:
        async with Deadline(30, "all of it"), Deadline(0.01, "a part of it"):
            await asyncio.Event().wait()
    assert caught.value.phase == "a part of it"


async def test_a_cancellation_is_no_deadline() -> None:
    async def wait() -> None:
        async with Deadline(30, "doing it"):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
