"""How much work something is, in calls: exact, however fast the machine is."""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["calls", "profiled"]

See = Callable[[FrameType, str, Any], None]


@contextmanager
def profiled(see: See) -> Iterator[None]:
    """Let `see` be told of every call (`sys.setprofile`)."""
    before = sys.getprofile()
    sys.setprofile(see)
    try:
        yield
    finally:
        sys.setprofile(before)


def calls(work: Callable[[], object]) -> int:
    """How many calls `work` makes, of functions in Python and in C. What collecting garbage calls is not among them."""
    count = 0

    def see(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    collects = gc.isenabled()
    gc.disable()
    try:
        with profiled(see):
            work()
    finally:
        if collects:
            gc.enable()
    return count
