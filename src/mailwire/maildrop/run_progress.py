"""RunProgress: how far a run has come, put together of how far it has come with each of its retrievals."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..aio.portions import portions
from ..aio.retrieval_progress import RetrievalProgress
from .plan import Fetch

__all__ = ["RunProgress"]


class RunProgress:
    """Tells `told` of every block of a run, as if the run were one retrieval; None if nobody is to be told."""

    def __init__(self, told: Callable[[RetrievalProgress], None] | None) -> None:
        self._told = told
        self._of_messages = self._of_octets = 0
        self._messages = self._octets = 0  # of the retrievals before
        self._last_octets = 0  # of this one

    @property
    def tell(self) -> Callable[[RetrievalProgress], None] | None:
        """What a retrieval is to tell; None if there is nobody to be told."""
        return None if self._told is None else self._tell

    async def expect(self, fetches: Sequence[Fetch]) -> None:
        """Take note of what is to come; what is only previewed is not counted."""
        if self._told is None:
            return
        for portion in portions(fetches):
            whole = [fetch.entry.size for fetch in portion if fetch.lines is None]
            self._of_messages += len(whole)
            self._of_octets += sum(whole)
            await asyncio.sleep(0)

    def leave_out(self, fetch: Fetch) -> None:
        """Take note that a message will not come."""
        if fetch.lines is None:
            self._of_messages -= 1
            self._of_octets -= fetch.entry.size

    def add_up(self, messages: int) -> None:
        """Take note that a retrieval of so many messages is done."""
        self._messages += messages
        self._octets += self._last_octets
        self._last_octets = 0

    def _tell(self, progress: RetrievalProgress) -> None:
        if self._told is None:
            raise AssertionError("who tells has somebody to tell")
        self._last_octets = progress.run_octets
        self._told(
            replace(
                progress,
                messages=self._messages + progress.messages,
                of_messages=self._of_messages,
                run_octets=self._octets + progress.run_octets,
                of_octets=self._of_octets,
            )
        )
