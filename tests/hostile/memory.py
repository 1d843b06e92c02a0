"""How much memory the work of a play takes: of this process, the most that it had.

The allocator of the C library asks the system for a large block, and gives it back. But to glibc, large is only what is
larger than all that it has given back before, up to 32 MiB. All else it cuts from what it keeps; what grows there is
moved again and again, and leaves holes. So what is measured would hang on what the process has done before: of two
plays of the same case the first would take twice what it holds, and the second nothing. Here, large is what it is in
the beginning, and nothing is kept from before.
"""

import ctypes
from functools import cache
from pathlib import Path
from typing import Final, Self

__all__ = ["Growth", "is_memory_measured"]

# Where Linux says how much memory this process has, and where it forgets how much it had at most.
_STATUS: Final = Path("/proc/self/status")
_PEAKS: Final = Path("/proc/self/clear_refs")
# The number of the parameter, its first value, and the largest that it comes to by itself (mallopt(3)).
_MMAP_THRESHOLD: Final = -3
_FIRST_THRESHOLD: Final = 128 * 1024
_LAST_THRESHOLD: Final = 32 * 1024 * 1024


class Growth:
    """By how much the most that this process had grows from when this is entered; 0 where no system says."""

    def __init__(self) -> None:
        self._before = 0

    def __enter__(self) -> Self:
        if (library := _glibc()) is not None:
            library.mallopt(_MMAP_THRESHOLD, _FIRST_THRESHOLD)
            library.malloc_trim(0)
        _peak()
        self._before = _peak()
        return self

    def __exit__(self, *_: object) -> None:
        if (library := _glibc()) is not None:
            library.mallopt(_MMAP_THRESHOLD, _LAST_THRESHOLD)

    @property
    def octets(self) -> int:
        """The growth until now, or of what came behind it when it was asked for before."""
        return _peak() - self._before


def is_memory_measured() -> bool:
    """Return whether the system says how much this process had at most, and forgets it when it is told to."""
    return _peak() > 0


def _peak() -> int:
    # The most that this process had since this was asked before, in octets.
    try:
        status = _STATUS.read_text()
        _PEAKS.write_text("5")
    except OSError:
        return 0
    return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) * 1024


@cache
def _glibc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return None  # the allocator of another library has rules of its own
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
