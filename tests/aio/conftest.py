"""What holds in every test of the asyncio side."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from mailwire.testing.turns import turns


@pytest.fixture(params=[pytest.param(5, id="sample"), pytest.param(1, id="whole", marks=pytest.mark.exhaustive)])
def stride(request: pytest.FixtureRequest) -> int:
    """How far the turns are apart at which something is interrupted."""
    assert isinstance(request.param, int)
    return request.param


@pytest.fixture(autouse=True)
async def nothing_is_left_running() -> AsyncIterator[None]:
    """No task outlives a test."""
    yield
    await turns(3)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"left running: {left}"
