"""ProgressBar: how far long work has come, in the last line of a terminal."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, Self, TextIO

from .quantities import show_duration, show_size

__all__ = ["ProgressBar"]

_WIDTH: Final = 24
_NARROWEST: Final = 4
_GAP: Final = "  "

# Work that takes less shows nothing, and nobody reads faster.
_PATIENCE: Final = 0.5  # seconds
_PAUSE: Final = 0.1


class ProgressBar:
    """A bar with what is done, the rate and the time left; nothing where `stream` is no terminal. In a narrow terminal
    the bar is shorter, and then there is less besides: a line that is too long would go on in the next, which nobody
    clears.

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

        what: is shown besides, where there is an end, such as how many messages that is.
        """
        now = self._clock()
        if self._stream is None or now - self._shown < _PAUSE:
            return
        self._shown = now
        self._is_shown = True
        seconds = now - self._began
        rate = octets / seconds
        speed = f"{show_size(rate)}/s"
        if of_octets is None:
            lines = iter((f"{show_size(octets)}{_GAP}{speed}", show_size(octets)))
        else:
            # What servers announce are hints: there may come more than all.
            part = min(1.0, octets / of_octets) if of_octets else 1.0
            left = f"{show_duration(max(0, of_octets - octets) / rate) if rate else '?'} left"
            lines = _lines(part, what, f"{show_size(octets)} of {show_size(of_octets)}", speed, left)
        room = _columns(self._stream) - 1  # some terminals go on in the next line when this one is full
        self._stream.write(f"\r\x1b[K{next((line for line in lines if len(line) <= room), '')}")
        self._stream.flush()

    def clear(self) -> None:
        """Clear the line."""
        if self._stream is not None and self._is_shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._is_shown = False


def _lines(part: float, what: str, sizes: str, speed: str, left: str) -> Iterator[str]:
    # The same in ever fewer characters.
    percent = f"{part:4.0%}"
    words = (percent, what, sizes, speed, left)
    for width in range(_WIDTH, _NARROWEST - 1, -1):
        bar = f"[{'#' * int(part * width):<{width}}]"
        yield f"{bar} {_GAP.join(filter(None, words))}"
    for fewer in (words, (percent, what, sizes, left), (percent, what, left), (percent, left), (percent,)):
        yield _GAP.join(filter(None, fewer))


def _columns(stream: TextIO) -> int:
    # shutil would look at standard output, which may be another terminal, or none. 0: it does not say.
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except OSError:
        columns = 0
    return columns or shutil.get_terminal_size().columns
