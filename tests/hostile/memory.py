"""How much memory the work of a play takes: of this process, the most that it had.

What the allocator keeps of what was freed before is used again, and does not count. A play that is the first of its
process counts for most.
"""

from pathlib import Path
from typing import Final

__all__ = ["Growth", "is_memory_measured"]

# Where Linux says how much memory this process has, and where it forgets how much it had at most.
_STATUS: Final = Path("/proc/self/status")
_PEAKS: Final = Path("/proc/self/clear_refs")


class Growth:
    """By how much the most that this process had grows from when this is made; 0 where no system says."""

    def __init__(self) -> None:
        _peak()
        self._before = _peak()

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
