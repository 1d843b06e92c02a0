"""GroupedPipeline: a pipeline in which a group of commands is one entry, until somebody asks for a command in it."""

from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import Any, TypeVar

from .._wire.pipeline import Pipeline
from .commands import BdatLast, Command, EndOfData
from .group import Group
from .group_kind import ENVELOPE, LAST_CHUNK, VERDICT

__all__ = ["GroupedPipeline"]

S = TypeVar("S")


class GroupedPipeline(Pipeline[Any]):
    """The way out of commands and of groups. Whoever asks for commands gets commands: the groups unfold then."""

    def __init__(self, released: Callable[[Any], None]) -> None:
        super().__init__(released)
        self._groups = 0  # that are queued or in flight

    # Groups

    def queue_group(self, group: Group) -> None:
        """Put `group` behind all others. One for which no window has room unfolds at once; but one command may always
        be in flight."""
        if group.size > 1 and (group.size > self.window.commands or group.cost > self.window.octets):
            self._queued.extend(group.unfolded())
        else:
            self._queued.append((group, group.text, group.cost, group.chunk, group.size))
            self._groups += 1

    def queue_steps(self, steps: Sequence[Group]) -> None:
        """Put `steps` behind all others: groups of one command each."""
        self._queued.extend([(step, step.text, step.cost, step.chunk, 1) for step in steps])
        self._groups += len(steps)

    def add_chunk(self, command: BdatLast, chunk: bytes) -> Group | None:
        """Let the one chunk of a message leave with its envelope, and return that; None if it has left, or is no
        group."""
        group = self._queued[-1][0] if self._groups and self._queued else None
        if not isinstance(group, Group) or group.kind is not ENVELOPE:
            return None
        self._queued.pop()
        self._groups -= 1
        group.add_chunk(command, chunk)
        self.queue_group(group)
        return group

    @property
    def oldest_group(self) -> Group | None:
        """The group that the next replies answer; None if it is a command that they answer, or none is due."""
        oldest = self._in_flight[0][0] if self._groups and self._in_flight else None
        return oldest if isinstance(oldest, Group) else None

    def settle_sole(self, group: Group) -> bool:
        """Take `group`, whose replies have all come, if it is in flight and nothing else is; return whether it is."""
        in_flight = self._in_flight
        if len(in_flight) != 1 or in_flight[0][0] is not group:
            return False
        in_flight.clear()
        self._commands = self._octets = 0
        self._groups -= 1
        return True

    @property
    def due(self) -> Command[object] | Group | None:
        """What the server's next words answer, or will answer once it has left; None if nothing is to be answered."""
        due: Command[object] | Group | None = None
        if self._in_flight:
            due = self._in_flight[0][0]
        elif self._queued:
            due = self._queued[0][0]
        return due

    @property
    def awaits_several(self) -> bool:
        """Whether more has left and is not answered than one command, or one group."""
        return len(self._in_flight) > 1

    @property
    def is_awaited(self) -> bool:
        """Whether an answer is due, or will be once something has left."""
        return bool(self._in_flight or self._queued)

    @property
    def has_queued(self) -> bool:
        """Whether a command has not left yet."""
        return bool(self._queued)

    @property
    def octets_of_sole_end(self) -> float:
        """How many of the window's octets the end of a message takes, if it is in flight, and nothing else, nor queued;
        else more than there are."""
        if len(self._in_flight) != 1 or self._queued or self._is_full:
            return inf
        end = self._in_flight[0][0]
        is_end = end.kind in (VERDICT, LAST_CHUNK) if isinstance(end, Group) else isinstance(end, (EndOfData, BdatLast))
        return self._octets if is_end else inf

    def settle_group(self) -> Group | None:
        """Take the group that is the oldest in flight: its last reply has come. Return the one behind it, if that is
        the oldest then."""
        in_flight = self._in_flight
        _, octets, size = in_flight.popleft()
        self._commands -= size
        self._octets -= octets
        self._groups -= 1
        oldest = in_flight[0][0] if self._groups and in_flight else None
        return oldest if isinstance(oldest, Group) else None

    def undoing(self) -> Callable[[], None]:
        """Return what puts all back to where it stands; for that no memory is needed."""
        blocks, queued, in_flight = list(self._blocks), self._queued.copy(), self._in_flight.copy()
        commands, octets, is_full, groups = self._commands, self._octets, self._is_full, self._groups

        def undo() -> None:
            self._blocks, self._queued, self._in_flight = blocks, queued, in_flight
            self._commands, self._octets, self._is_full, self._groups = commands, octets, is_full, groups

        return undo

    def unfold(self) -> None:
        """Let each group be its commands, where it stands."""
        if self._groups:
            self._queued = deque(each for entry in self._queued for each in _unfolded(*entry))
            self._in_flight = deque(
                (command, cost, 1)
                for entry, octets, size in self._in_flight
                for command, _, cost, _, _ in _unfolded(entry, b"", octets, b"", size)
            )
            self._groups = 0

    # Commands

    @property
    def in_flight(self) -> tuple[Command[object], ...]:
        self.unfold()
        return super().in_flight

    @property
    def queued(self) -> tuple[Command[object], ...]:
        self.unfold()
        return super().queued

    @property
    def oldest(self) -> Command[object] | None:
        if (group := self.oldest_group) is not None:
            self.settle_group()
            for command, _, cost, _, size in reversed(tuple(group.unfolded())):
                self._in_flight.appendleft((command, cost, size))
                self._commands += size
                self._octets += cost
        return super().oldest

    def discard_queued(self, is_wanted: Callable[[Any], bool] = lambda _: False) -> tuple[Command[object], ...]:
        self.unfold()
        return super().discard_queued(is_wanted)

    def foresee(self, state: S, follow: Callable[[S, Any], S | None]) -> tuple[S, tuple[Command[object], ...]]:
        self.unfold()
        return super().foresee(state, follow)


def _unfolded(command: Any, line: bytes, cost: int, block: bytes, size: int) -> Any:
    return command.unfolded() if isinstance(command, Group) else ((command, line, cost, block, size),)
