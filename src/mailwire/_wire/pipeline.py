"""Pipeline: which commands may leave now, and which of them the next reply answers.

1. Replies come in the order of the commands (RFC 5321 4.1, RFC 1939 3): the next reply answers the oldest command in
   flight, always.
2. Without pipelining the window is one command. With it (RFC 2920, RFC 2449 6.8) the window is wide, in the number of
   commands and in octets. It is the same code: pipelining changes when a command leaves, and nothing else.
3. A command that ends a group (RFC 2920 3.1) holds back all that follows until it is answered.
4. A command leaves when the bytes are asked for, not when it is queued: until then it can be discarded.
5. The window is bounded, so that both sides can never wait for each other to read (RFC 2920 3.1, 3.2): what is
   unanswered fits the buffers of the smallest peer.
6. A window that was full is refilled when half of it is answered. Refilled by each answer, it would make a write and a
   packet of each command: 10,000 RETR left in 9,642 writes, by halves they leave in 200.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Generic, Protocol, TypeVar

from .text import check_whole_number

__all__ = ["LOCKSTEP", "Pipeline", "PipelinedCommand", "Window"]


@dataclass(frozen=True, slots=True)
class Window:
    """How much may be unanswered at a time.

    commands: at most so many commands.
    octets: at most so many octets, of what the protocol finds scarce: in SMTP the commands' own, in POP3 those that
        the answers are expected to have. One command may always be in flight, whatever its octets.

    Raises ValueError for a window without room.
    """

    commands: int
    octets: int

    def __post_init__(self) -> None:
        check_whole_number("commands", self.commands)
        check_whole_number("octets", self.octets)


LOCKSTEP = Window(commands=1, octets=1)
"""One command at a time: for a server that does not pipeline."""


class PipelinedCommand(Protocol):
    """What the pipeline asks of a command."""

    @property
    def ends_group(self) -> bool:
        """Whether what follows must wait for the answer."""

    @property
    def stands_alone(self) -> bool:
        """Whether it must wait itself until everything before it is answered."""


C = TypeVar("C", bound=PipelinedCommand)
S = TypeVar("S")


class Pipeline(Generic[C]):
    """The way out: bytes to write and commands to be answered, in order."""

    def __init__(self, released: Callable[[C], None], window: Window = LOCKSTEP) -> None:
        self.window = window
        self._released = released  # is told of each command as it leaves
        self._blocks: list[bytes] = []  # data that is no command; leaves first
        # With what leaves for it, what that costs, and how many commands it is.
        self._queued: deque[tuple[C, bytes, int, bytes, int]] = deque()
        self._in_flight: deque[tuple[C, int, int]] = deque()
        self._commands = self._octets = 0  # in flight
        self._is_full = False  # the window has held a command back, and is not half empty yet

    @property
    def in_flight(self) -> tuple[C, ...]:
        """The commands that have left and are not answered yet, the oldest first."""
        return tuple([command for command, _, _ in self._in_flight])

    @property
    def queued(self) -> tuple[C, ...]:
        """The commands that have not left yet, in their order."""
        return tuple([command for command, _, _, _, _ in self._queued])

    @property
    def unanswered(self) -> int:
        """How many commands are not answered, whether they have left or not."""
        return len(self._in_flight) + len(self._queued)

    @property
    def oldest(self) -> C | None:
        """The command that the next reply answers; None if no reply is due."""
        return self._in_flight[0][0] if self._in_flight else None

    def each_due(self) -> Iterator[C]:
        """Yield the commands that the next replies answer, the oldest first, as long as none is answered meanwhile."""
        for command, _, _ in self._in_flight:
            yield command

    @property
    def next(self) -> C | None:
        """The command that leaves next; None if none is queued."""
        return self._queued[0][0] if self._queued else None

    @property
    def awaits_answer(self) -> bool:
        """Whether a reply is due."""
        return bool(self._in_flight)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to leave."""
        return not (self._queued or self._blocks)

    def queue(self, command: C, line: bytes, cost: int, block: bytes = b"", size: int = 1) -> None:
        """Put `command` behind all others. `line` leaves for it, `cost` is what it takes of the window's octets.

        block: data that belong to the command and leave with it.
        size: how many commands it is.
        """
        self._queued.append((command, line, cost, block, size))

    def queue_each(self, commands: Sequence[C], lines: Sequence[bytes], costs: Sequence[int]) -> None:
        """Put `commands` behind all others, each with the line that leaves for it and its cost."""
        self._queued.extend(zip(commands, lines, costs, repeat(b""), repeat(1)))

    def expect(self, command: C) -> None:
        """Put `command` in flight without a byte: a server's greeting answers the connection itself."""
        self._await(command)

    def write(self, block: bytes) -> None:
        """Write data that is no command: a piece of a message, the answer to a challenge."""
        if block:
            self._blocks.append(block)

    def send_ahead(self, command: C, line: bytes) -> None:
        """Put `command` in flight before all that is queued, whatever the window; `line` leaves first.

        What is in flight must not end its group.
        """
        self._await(command)
        self._released(command)
        self._blocks.append(line)

    def blocks_to_send(self) -> list[bytes]:
        """Return the bytes that leave before any command that is queued."""
        blocks, self._blocks = self._blocks, []
        return blocks

    def data_to_send(self) -> list[bytes]:
        """Return the bytes that may be written now; the commands among them are in flight from here on."""
        queued, in_flight = self._queued, self._in_flight
        if len(queued) == 1 and not (in_flight or self._blocks):  # as mostly, where one waits for each answer
            command, line, cost, block, size = queued.pop()
            in_flight.append((command, cost, size))
            self._commands, self._octets, self._is_full = size, cost, False
            self._released(command)
            return [line, block] if block else [line]
        blocks, self._blocks = self._blocks, []
        if in_flight and in_flight[-1][0].ends_group:
            return blocks
        released, window = self._released, self.window
        most_commands, most_octets = window.commands, window.octets
        while queued:
            command, line, cost, block, size = queued[0]
            commands, octets = self._commands + size, self._octets + cost
            if in_flight:
                if command.stands_alone:
                    break
                if self._is_full and (self._commands > most_commands // 2 or self._octets > most_octets // 2):
                    break
                if commands > most_commands or octets > most_octets:
                    self._is_full = True
                    break
                self._is_full = False
            queued.popleft()
            in_flight.append((command, cost, size))
            self._commands, self._octets = commands, octets
            released(command)
            blocks.append(line)
            if block:
                blocks.append(block)
            if command.ends_group:
                break
        return blocks

    def settle(self, count: int = 1) -> C:
        """Take the oldest command in flight, or so many; return the last of them: its last reply has come."""
        take = self._in_flight.popleft
        command, octets, commands = take()
        for _ in range(count - 1):
            command, cost, size = take()
            octets += cost
            commands += size
        self._commands -= commands
        self._octets -= octets
        return command

    def discard_queued(self, is_wanted: Callable[[C], bool] = lambda _: False) -> tuple[C, ...]:
        """Drop the commands that have not left yet, but for those that `is_wanted` lets stay; return the dropped."""
        discarded: list[C] = []
        kept: deque[tuple[C, bytes, int, bytes, int]] = deque()
        for entry in self._queued:
            if is_wanted(entry[0]):
                kept.append(entry)
            else:
                discarded.append(entry[0])
        self._queued = kept
        return tuple(discarded)

    def foresee(self, state: S, follow: Callable[[S, C], S | None]) -> tuple[S, tuple[C, ...]]:
        """Follow the commands from `state` on; return where they lead, and those dropped because they lead nowhere.

        `follow` tells to which state a command leads if it is accepted, None where it is illegal. A command that has
        left cannot be called back: the other side will refuse it. One that has not is dropped if it is illegal.
        """

        def is_legal(command: C) -> bool:
            nonlocal state
            following = follow(state, command)
            if following is not None:
                state = following
            return following is not None

        for command, _, _ in self._in_flight:
            is_legal(command)
        discarded = self.discard_queued(is_legal)
        return state, discarded

    def close(self) -> tuple[C, ...]:
        """Drop every byte that has not left yet; return the commands among them. What is in flight stays readable."""
        self._blocks.clear()
        return self.discard_queued()

    def _await(self, command: C) -> None:
        # It leaves whatever the window, and takes none of its octets.
        self._in_flight.append((command, 0, 1))
        self._commands += 1
