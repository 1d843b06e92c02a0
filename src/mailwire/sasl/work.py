"""Work: a response that takes long to compute.

A mechanism has no loop and no thread. Where an answer would hold up an event loop, it hands out the computation
instead, and whoever drives the machine decides where it runs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Work"]


@dataclass(frozen=True, slots=True)
class Work:
    """A computation too long for an event loop.

    Call `compute()` once, in whatever thread suits: it returns the client's response, and may raise MechanismFailed.
    Until it has returned, the mechanism must not be asked for anything else.
    """

    compute: Callable[[], bytes] = field(repr=False)
