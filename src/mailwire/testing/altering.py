"""Altering: what becomes of the octets of one side on their way through a fault proxy, without I/O.

However the octets are cut into pieces, the same comes out of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .faults import Alteration, BitFlip, DoubledLine, DroppedLine, Insertion, SwappedLines

__all__ = ["Altered"]


@dataclass
class _Octets:
    # Octets on their way, and what was done to them.
    octets: bytearray = field(default_factory=bytearray)
    faults: list[Alteration] = field(default_factory=list)

    def add(self, octets: bytes | bytearray, faults: Iterable[Alteration]) -> None:
        self.octets += octets
        self.faults += faults


class Altered:
    """The octets of one side with all of `alterations`, each counting what was sent: feed them in, and take out what
    arrives of them.

    done: the alterations that were made, each behind the number of octets with which it has arrived.
    """

    def __init__(self, alterations: Sequence[Alteration]) -> None:
        self.done: list[tuple[int, Alteration]] = []
        self._flips = [fault for fault in alterations if isinstance(fault, BitFlip)]
        insertions = [fault for fault in alterations if isinstance(fault, Insertion)]
        self._insertions = sorted(insertions, key=lambda fault: fault.at)
        self._lines = [fault for fault in alterations if isinstance(fault, DroppedLine | DoubledLine | SwappedLines)]
        self._octets = 0  # that were fed
        self._line = 1  # the number of the present one
        self._begun = _Octets()  # of the present line, where it is needed whole
        self._held = _Octets()  # the line before, or several, which are to come behind the present one
        self._swaps: list[Alteration] = []  # by which the first of them is held
        self._out: list[bytes | bytearray] = []
        self._given = 0  # octets that have come out

    def begin(self) -> bytes:
        """Return what arrives before anything is sent."""
        self._insert()
        return self._taken()

    def feed(self, data: bytes) -> bytes:
        """Take what was sent; return what arrives by now."""
        start = 0
        while start < len(data):
            end = start + self._stretch(data, start)
            octets = data[start:end]
            ends_line = octets.endswith(b"\n")
            flips = [fault for fault in self._flips if fault.at == self._octets]
            for fault in flips:
                octets = bytes([octets[0] ^ 1 << fault.bit])
            self._octets += end - start
            start = end
            self._place(octets, flips, ends_line=ends_line)
            self._insert()
        return self._taken()

    def end(self) -> bytes:
        """Return what was held back, once there is no more."""
        # What has no end is no line, and nothing is done to it.
        swaps = self._swaps if self._begun.octets else []
        self._give(self._begun.octets, self._begun.faults)
        self._give(self._held.octets, self._held.faults + swaps)
        self._begun, self._held, self._swaps = _Octets(), _Octets(), []
        return self._taken()

    def _stretch(self, data: bytes, start: int) -> int:
        # How many octets are treated alike: up to the end of the line, one that is flipped, or an insertion.
        octet = self._octets
        flips = [fault.at for fault in self._flips]
        if octet in flips:
            return 1
        line_end = data.find(b"\n", start) + 1
        stops = [at - octet for at in flips if at > octet] + [fault.at - octet for fault in self._insertions]
        return min([(line_end or len(data)) - start, *stops])

    def _insert(self) -> None:
        while self._insertions and self._insertions[0].at <= self._octets:
            fault = self._insertions.pop(0)
            self._give(fault.octets, [fault])

    def _place(self, octets: bytes, flips: Sequence[Alteration], *, ends_line: bool) -> None:
        faults = [fault for fault in self._lines if fault.number == self._line]
        if faults or self._held.octets:
            self._begun.add(octets, flips)
            if ends_line:
                line, self._begun = self._begun, _Octets()
                self._place_line(line, faults)
        else:
            self._give(octets, flips)
        if ends_line:
            self._line += 1

    def _place_line(self, line: _Octets, faults: Sequence[Alteration]) -> None:
        dropped = [fault for fault in faults if isinstance(fault, DroppedLine)]
        doubled = [fault for fault in faults if isinstance(fault, DoubledLine)]
        swapped = [fault for fault in faults if isinstance(fault, SwappedLines)]
        if dropped:
            # Nothing else can be done to it.
            line, doubled, swapped = _Octets(), [], []
            line.faults += dropped
        if doubled:
            line.add(bytes(line.octets), doubled)
        if swapped:
            line.add(self._held.octets, self._held.faults + self._swaps)
            self._held = line
            self._swaps = [*swapped]
        else:
            self._give(line.octets, line.faults)
            self._give(self._held.octets, self._held.faults + self._swaps)
            self._held, self._swaps = _Octets(), []

    def _give(self, octets: bytes | bytearray, faults: Iterable[Alteration]) -> None:
        self._out.append(octets)
        self._given += len(octets)
        self.done += [(self._given, fault) for fault in faults]

    def _taken(self) -> bytes:
        out, self._out = self._out, []
        return b"".join(out)
