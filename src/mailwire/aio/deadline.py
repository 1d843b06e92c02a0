"""Deadlines: every wait has one, and says what it was for when it passes."""

import asyncio
from types import TracebackType
from typing import Self

from ..errors import DeadlineExceeded

__all__ = ["Deadline"]


class Deadline:
    """An async context that may take so many `seconds` (None: any time).

    Raises DeadlineExceeded, naming `phase`, when it takes longer; `fault` is what it then says.
    """

    def __init__(self, seconds: float | None, phase: str, fault: str = "the server did not do its part") -> None:
        self._seconds = seconds
        self._phase = phase
        self._fault = fault
        self._limit = asyncio.timeout(seconds)

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A TimeoutError from below (ETIMEDOUT), or the caller's own, passes: it is not ours.
        try:
            await self._limit.__aexit__(kind, error, traceback)
        except TimeoutError as passed:
            raise DeadlineExceeded(
                f"{self._fault} within {self._seconds:g} s: {self._phase}", phase=self._phase
            ) from passed
