"""Mishandling: what becomes of a session's answers when mishaps are to happen to them, without I/O."""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Final, Literal, TypeAlias

from .mishaps import Delayed, Doubled, Early, HeldBack, HungUp, Mishap, Replaced, Split, Unanswered

__all__ = ["Mishandling", "Packets", "check_mishaps", "steps_of"]

Packets: TypeAlias = list[bytes]
"""What leaves, and what of it together."""

_Altering: TypeAlias = Unanswered | HungUp | Replaced | Split | HeldBack | Doubled
_Due: TypeAlias = _Altering | Delayed

# Those of one answer happen in this order, so that each is seen: what is said, how often, whether at all, and in which
# packets.
_ORDER: Final = (Replaced, Doubled, Unanswered, HungUp, Split, HeldBack, Delayed)


class Mishandling:
    """Takes the answers, step by step, and gives out what is to be written.

    hangs_up: how the connection is to end now, if it is.
    replacement: what is said in the place of the answer taken last, if something is.
    """

    def __init__(self, mishaps: Iterable[Mishap]) -> None:
        self.hangs_up: Literal["FIN", "RST"] | None = None
        self.replacement: bytes | None = None
        self._mishaps = list(mishaps)
        self._happened: list[Mishap] = []
        self._counts: Counter[str] = Counter()
        self._early: list[str] = []  # the steps that were answered before they came
        self._held = b""  # to leave with the next answer
        self._waiting: list[tuple[float, Packets]] = []  # answers that come later, each behind the one before

    def take(self, step: str, packets: Packets) -> Packets:
        """Take the answer to a step; return what is to be written now: nothing, where the connection has ended."""
        if self.hangs_up is not None:
            return []
        self._counts[step] += 1
        if step in self._early:
            self._early.remove(step)
            packets = []
        self.replacement = None
        seconds: float | None = None
        for mishap in self._due(step):
            self._happened.append(mishap)
            if isinstance(mishap, Delayed):
                seconds = mishap.seconds + (seconds or 0)
            else:
                packets = self._altered(mishap, packets)
        if packets and self._held:
            packets = [self._held + packets[0], *packets[1:]]
            self._held = b""
        packets = packets + self._early_behind(step)
        if seconds is not None:
            self._waiting.append((seconds, packets))
            return []
        if self._waiting:
            self._waiting[-1][1].extend(packets)
            return []
        return packets

    @property
    def outstanding(self) -> tuple[Mishap, ...]:
        """The mishaps whose step has not come."""
        return tuple(mishap for mishap in self._mishaps if not any(mishap is other for other in self._happened))

    @property
    def delay(self) -> float | None:
        """The seconds until there is more; None if nothing waits."""
        return self._waiting[0][0] if self._waiting else None

    def end_delay(self) -> Packets:
        """Return what has waited for the time that is over now."""
        return self._waiting.pop(0)[1]

    # Private

    def _due(self, step: str) -> list[_Due]:
        number = self._counts[step]
        found = [mishap for mishap in self._mishaps if not isinstance(mishap, Early)]
        due = [mishap for mishap in found if (mishap.step, mishap.number) == (step, number)]
        return sorted(due, key=lambda mishap: _ORDER.index(type(mishap)))

    def _altered(self, mishap: _Altering, packets: Packets) -> Packets:
        octets = b"".join(packets)
        match mishap:
            case Unanswered():
                return []
            case Replaced():
                self.replacement = mishap.octets
                return [mishap.octets]
            case Doubled():
                return [octets * 2]
            case Split():
                return [octets[start : start + mishap.size] for start in range(0, len(octets), mishap.size)]
            case HeldBack():
                self._held += octets
                return []
        self.hangs_up = mishap.by
        return packets if mishap.behind else []

    def _early_behind(self, step: str) -> Packets:
        found = [
            mishap
            for mishap in self._mishaps
            if isinstance(mishap, Early) and (mishap.behind, mishap.number) == (step, self._counts[step])
        ]
        self._happened += found
        self._early += [mishap.step for mishap in found]
        return [mishap.octets for mishap in found]


def steps_of(mishap: Mishap) -> tuple[str, ...]:
    """Return the steps that `mishap` is about."""
    return (mishap.step, mishap.behind) if isinstance(mishap, Early) else (mishap.step,)


def check_mishaps(mishaps: Iterable[object], steps: Collection[str]) -> None:
    """Raise ValueError if something in `mishaps` is none, or is about a step that is not among `steps`."""
    for mishap in mishaps:
        if not isinstance(mishap, Mishap):
            raise ValueError(f"expected mishaps, such as HungUp('.'), got {mishap!r}")
        for step in steps_of(mishap):
            if step not in steps:
                raise ValueError(f"expected a step of {', '.join(map(repr, steps))}; got {step!r} in {mishap!r}")
