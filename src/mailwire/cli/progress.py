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
        self._is_shown = False
        self._began = clock()
        self._shown = self._began + _PATIENCE - _PAUSE  # when it was shown last

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.clear()

    def show(self, octets: int, of_octets: int | None, what: str = "") -> None:
        """Show that so many octets have gone or come, of so many; None: nobody knows of how many.

        what: is shown besides, such as how many messages that is.
        """
        now = self._clock()
        if self._stream is None or now - self._shown < _PAUSE:
            return
        self._shown = now
        self._is_shown = True
        seconds = now - self._began
        rate = octets / seconds
        if of_octets is None:
            shown = f"{show_size(octets)}  {show_size(rate)}/s"
        else:
            # What servers announce are hints: there may come more than all.
            part = min(1.0, octets / of_octets) if of_octets else 1.0
            left = show_duration(max(0, of_octets - octets) / rate) if rate else "?"
            bar = f"[{'#' * int(part * _WIDTH):<{_WIDTH}}] {part:4.0%}  "
            shown = f"{show_size(octets)} of {show_size(of_octets)}  {show_size(rate)}/s  {left} left"
            what = bar + what
        self._stream.write(f"\r\x1b[K{what}{shown}")
        self._stream.flush()

    def clear(self) -> None:
        """Clear the line."""
        if self._stream is not None and self._is_shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._is_shown = False
