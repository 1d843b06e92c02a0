"""Deadlines: every wait has one, and says what it was for when it passes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..errors import DeadlineExceeded

__all__ = ["deadline"]


@asynccontextmanager
async def deadline(seconds: float | None, phase: str) -> AsyncIterator[None]:
    """Raise DeadlineExceeded, naming `phase`, if the block takes longer than `seconds` (None: any time)."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        # One may also come from below (ETIMEDOUT), or be the caller's own.
        if not limit.expired():
            raise
        raise DeadlineExceeded(f"the server did not do its part within {seconds:g} s: {phase}", phase=phase) from error
