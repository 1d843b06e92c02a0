"""Work: a response that takes long to compute, and the event that tells of it.

A mechanism has no loop and no thread. Where an answer would hold up an event loop, it hands out the computation
instead, and whoever drives the machine decides where it runs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["ComputationDue", "Work"]


@dataclass(frozen=True, slots=True)
class Work:
    """A computation too long for an event loop, as a mechanism returns it.

    `compute()` is called once, in whatever thread suits: it returns the client's response, and may raise
    MechanismFailed. Until it has returned, the mechanism is not asked for anything else.
    """

    compute: Callable[[], bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ComputationDue:
    """An event of both machines: the response to a challenge takes long to compute (SCRAM's keys, RFC 5802 3).

    Call `compute()`, in another thread if a loop must not be held up, and go on when it has returned; it never raises
    for what a server sent. Whoever ignores this event has it computed where the machine is asked for the next one.
    """

    mechanism: str
    compute: Callable[[], None] = field(repr=False)
