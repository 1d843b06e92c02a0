"""Transcript: a dialogue as it was spoken, with times and without secrets."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from ._wire.text import check_whole_number, described
from ._wire.trace import Direction, Several, Traceable

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

    Raises ValueError for a limit that is none, and a clock that is no function.
    """

    def __init__(self, limit: int | None = 100, *, clock: Callable[[], float] = time.time) -> None:
        check_whole_number("limit", limit, 0, or_none=True)
        if not callable(clock):
            raise ValueError(f"expected clock to be a function, got {described(clock)}")
        # The fields of the entries: most are forgotten unread, and a tuple costs a sixth of what an entry does. What
        # was said at a time is parted into entries when somebody reads them; so this may hold more than the limit.
        limit = limit and min(limit, sys.maxsize)
        self._records: deque[tuple[float, Direction, Traceable]] = deque(maxlen=limit)
        self._clock = clock

    def record(self, direction: Direction, what: Traceable) -> None:
        """Add what was said now. This is what a machine takes as its `trace`."""
        self._records.append((self._clock(), direction, what))

    def __iter__(self) -> Iterator[TranscriptEntry]:
        return iter(self._last(self._records.maxlen))

    def __len__(self) -> int:
        return len(self._last(self._records.maxlen))

    def tail(self, entries: int = 20) -> tuple[str, ...]:
        """Return the lines of the last `entries` entries."""
        limit = self._records.maxlen
        last = self._last(entries if limit is None else min(entries, limit))
        return tuple(line for entry in last for line in entry.lines())

    def render(self) -> str:
        """Return all of it as text, each line with its time of day (local time, milliseconds)."""
        return "\n".join(
            f"{datetime.fromtimestamp(entry.time):%H:%M:%S.%f}"[:-3] + f" {line}"
            for entry in self
            for line in entry.lines()
        )

    def _last(self, count: int | None) -> list[TranscriptEntry]:
        # So many entries, None: all; from the last one backwards.
        entries: list[TranscriptEntry] = []
        for said_at, direction, what in reversed(self._records):
            parts = what.parts() if isinstance(what, Several) else (what,)
            entries += [TranscriptEntry(said_at, direction, part) for part in reversed(parts)]
            if count is not None and len(entries) >= count:
                del entries[count:]
                break
        entries.reverse()
        return entries
