"""What a test can have of asyncio's own event loop alone (`--loop uvloop` runs the tests under another)."""

import asyncio

import pytest

__all__ = ["skip_unless_asyncio"]


def skip_unless_asyncio(reason: str) -> None:
    """Skip the test under another event loop than asyncio's own, for a `reason` that concerns the test alone."""
    if not isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
        pytest.skip(reason)
