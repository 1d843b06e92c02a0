"""ProgressBar: how far long work has come, in the last line of a terminal."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TextIO

from .quantities import show_duration, show_size

__all__ = ["ProgressBar"]

_WIDTH: Final = 24

# Work that takes less shows nothing, and nobody reads faster.
_PATIENCE: Final = 0.5  # seconds
_PAUSE: Final = 0.1


class ProgressBar:
    """A bar with what is done, the rate and the time left; nothing where `stream` is no terminal.

    Leaving the context clears the line.
    """

    def __init__(self, stream: TextIO, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = None if quiet or not stream.isatty() else stream
        self._clock = clock
        self._began = clock()
        self._shown = self._began + _PATIENCE - _PAUSE  # when it was shown last
        self._is_shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.clear()

    def show(self, count: int, of_count: int, octets: int, of_octets: int) -> None:
        """Show that so many messages and octets have come, of so many."""
        now = self._clock()
        if self._stream is None or now - self._shown < _PAUSE:
            return
        self._shown = now
        self._is_shown = True
        # What servers announce are hints: there may come more than all.
        part = min(1.0, octets / of_octets) if of_octets else 1.0
        seconds = now - self._began
        rate = octets / seconds
        left = show_duration(max(0, of_octets - octets) / rate) if rate else "?"
        bar = "#" * int(part * _WIDTH)
        self._stream.write(
            f"\r\x1b[K[{bar:<{_WIDTH}}] {part:4.0%}  {count} of {of_count} messages  {show_size(octets)} of "
            f"{show_size(of_octets)}  {show_size(rate)}/s  {left} left"
        )
        self._stream.flush()

    def clear(self) -> None:
        """Clear the line."""
        if self._stream is not None and self._is_shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._is_shown = False
