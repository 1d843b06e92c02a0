"""What a test can have of asyncio's own event loop alone (`--loop uvloop` runs the tests under another)."""

import asyncio

import pytest

from tests.waiting import Loop

__all__ = ["skip_unless_asyncio", "skip_unless_movable"]


def skip_unless_asyncio(reason: str) -> None:
    """Skip the test under another event loop than asyncio's own, for a `reason` that concerns the test alone."""
    if not isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
        pytest.skip(reason)


def skip_unless_movable() -> None:
    """Skip the test under an event loop of which the clock is not the test's to move."""
    if not isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop | Loop):
        pytest.skip("the clock of this loop is not ours to move")
