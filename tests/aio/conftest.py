"""What holds in every test of the asyncio side."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from mailwire.testing.turns import turns


@pytest.fixture(autouse=True)
async def nothing_is_left_running() -> AsyncIterator[None]:
    """No task outlives a test."""
    yield
    await turns(3)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"left running: {left}"
