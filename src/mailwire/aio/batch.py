"""Batch: how often a run over messages commits what was marked."""

import asyncio
from dataclasses import dataclass

from .._wire.text import check_number, check_whole_number

__all__ = ["Batch", "BatchCount"]


@dataclass(frozen=True, slots=True)
class Batch:
    """How often a run commits what was marked: behind so many `messages`, or when so many `seconds` have passed since
    the first of them was asked for, whatever comes first. Raises ValueError for no message and for no time."""

    messages: int = 50
    seconds: float = 300

    def __post_init__(self) -> None:
        check_whole_number("messages", self.messages)
        check_number("seconds", self.seconds)


class BatchCount:
    """The batch that a run is in. `batch` is None where there is only one, without an end."""

    def __init__(self, batch: Batch | None) -> None:
        self._batch = batch
        self._messages = 0  # that were asked for
        self._began = 0.0

    def count(self) -> None:
        """Take note that one more message is asked for."""
        if self._messages == 0:
            self._began = asyncio.get_running_loop().time()
        self._messages += 1

    @property
    def is_full(self) -> bool:
        """Whether it is time to commit."""
        batch = self._batch
        if batch is None or self._messages == 0:
            return False
        elapsed = asyncio.get_running_loop().time() - self._began
        return self._messages >= batch.messages or elapsed >= batch.seconds

    def begin(self) -> None:
        """Begin the next one."""
        self._messages = 0
