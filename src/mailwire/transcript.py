"""Transcript: a dialogue as it was spoken, with times and without secrets."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, starmap

from ._wire.trace import Direction, Traceable

__all__ = ["Transcript", "TranscriptEntry"]


@dataclass(frozen=True, slots=True)
class TranscriptEntry:
    """What one side said: `time` is in seconds since the epoch, `direction` is "C" (client) or "S" (server)."""

    time: float
    direction: Direction
    what: Traceable

    def lines(self) -> list[str]:
        """Return it as printable lines, `C: MAIL FROM:<a@example.org>`; messages elided, secrets masked."""
        return [f"{self.direction}: {line}".rstrip() for line in self.what.shown()]


class Transcript:
    """A dialogue, entry by entry; the last `limit` entries are kept (None: all).

    Hand one to a client to read what was said. Bodies are counted, not kept.
    """

    def __init__(self, limit: int | None = 100, *, clock: Callable[[], float] = time.time) -> None:
        # The fields of the entries: most are forgotten unread, and a tuple costs a sixth of what an entry does.
        self._entries: deque[tuple[float, Direction, Traceable]] = deque(maxlen=limit)
        self._clock = clock

    def record(self, direction: Direction, what: Traceable) -> None:
        """Add what was said now. This is what a machine takes as its `trace`."""
        self._entries.append((self._clock(), direction, what))

    def __iter__(self) -> Iterator[TranscriptEntry]:
        return starmap(TranscriptEntry, self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def tail(self, entries: int = 20) -> tuple[str, ...]:
        """Return the lines of the last `entries` entries."""
        first = max(0, len(self._entries) - entries)
        return tuple(line for entry in islice(self, first, None) for line in entry.lines())

    def render(self) -> str:
        """Return all of it as text, each line with its time of day (local time, milliseconds)."""
        return "\n".join(
            f"{datetime.fromtimestamp(entry.time):%H:%M:%S.%f}"[:-3] + f" {line}"
            for entry in self
            for line in entry.lines()
        )
