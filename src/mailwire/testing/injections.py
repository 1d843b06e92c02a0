"""Injections: the mishaps of the sessions to come, which wait for one of a protocol that has their steps."""

from collections.abc import Collection, Mapping

from ..endpoint import Protocol
from .mishandling import check_mishaps, steps_of
from .mishaps import Mishap

__all__ = ["Injections"]


class Injections:
    """Mishaps that were asked for and whose session has not begun, in the order in which they were.

    steps: those that each protocol has.

    It may be used from any thread; sessions begin in one.
    """

    def __init__(self, steps: Mapping[Protocol, Collection[str]]) -> None:
        self._steps = steps
        self._waiting: list[tuple[frozenset[Protocol], tuple[Mishap, ...]]] = []  # with the protocols that will do

    def add(self, mishaps: tuple[Mishap, ...], protocol: Protocol | None) -> None:
        """Let the mishaps wait for a session of `protocol`, None: of any that has their steps.

        Raises ValueError for what is no mishap and no protocol, and where no protocol that will do has all the steps.
        """
        if protocol is not None and protocol not in self._steps:
            raise ValueError(f"expected a protocol of {', '.join(self._steps)}; got {protocol!r}")
        steps = self._steps if protocol is None else {protocol: self._steps[protocol]}
        check_mishaps(mishaps, dict.fromkeys(step for those in steps.values() for step in those))
        needed = {step for mishap in mishaps for step in steps_of(mishap)}
        fitting = frozenset(name for name, those in steps.items() if needed.issubset(those))
        if not fitting:
            raise ValueError(f"expected the mishaps of one session, at steps of one protocol, got {mishaps!r}")
        self._waiting.append((fitting, mishaps))

    def take(self, protocol: Protocol) -> tuple[Mishap, ...]:
        """Return the mishaps of a session of `protocol` that begins now; they wait no more."""
        for each in self._waiting:
            if protocol in each[0]:
                self._waiting.remove(each)
                return each[1]
        return ()

    @property
    def outstanding(self) -> tuple[Mishap, ...]:
        """Those that wait."""
        return tuple(mishap for _, mishaps in tuple(self._waiting) for mishap in mishaps)
