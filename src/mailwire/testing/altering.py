"""Altering: what becomes of the octets of one side on their way through a fault proxy, without I/O.

However the octets are cut into pieces, the same comes out of them.
"""

from collections.abc import Sequence

from .faults import Alteration, BitFlip, DoubledLine, DroppedLine, Insertion, SwappedLines

__all__ = ["Altered"]


class Altered:
    """The octets of one side with all of `alterations`, each counting what was sent: feed them in, and take out what
    arrives of them."""

    def __init__(self, alterations: Sequence[Alteration]) -> None:
        self._flips = {fault.at: fault.bit for fault in alterations if isinstance(fault, BitFlip)}
        insertions = [(fault.at, fault.octets) for fault in alterations if isinstance(fault, Insertion)]
        self._insertions = sorted(insertions, key=lambda pair: pair[0])
        self._dropped = {fault.number for fault in alterations if isinstance(fault, DroppedLine)}
        self._doubled = {fault.number for fault in alterations if isinstance(fault, DoubledLine)}
        self._swapped = {fault.number for fault in alterations if isinstance(fault, SwappedLines)}
        self._octets = 0  # that were fed
        self._line = 1  # the number of the present one
        self._begun = bytearray()  # of the present line, where it is needed whole
        self._held = b""  # the line before, which is to come behind the present one

    def begin(self) -> bytes:
        """Return what arrives before anything is sent."""
        return b"".join(self._due())

    def feed(self, data: bytes) -> bytes:
        """Take what was sent; return what arrives by now."""
        out: list[bytes] = []
        start = 0
        while start < len(data):
            end = start + self._stretch(data, start)
            octets = data[start:end]
            ends_line = octets.endswith(b"\n")
            if (bit := self._flips.get(self._octets)) is not None:
                octets = bytes([octets[0] ^ 1 << bit])
            self._octets += end - start
            start = end
            out += self._placed(octets, ends_line=ends_line)
            out += self._due()
        return b"".join(out)

    def end(self) -> bytes:
        """Return what was held back, once there is no more."""
        # What has no end is no line, and nothing is done to it.
        rest, self._begun, self._held = bytes(self._begun) + self._held, bytearray(), b""
        return rest

    def _stretch(self, data: bytes, start: int) -> int:
        # How many octets are treated alike: up to the end of the line, one that is flipped, or an insertion.
        octet = self._octets
        if octet in self._flips:
            return 1
        line_end = data.find(b"\n", start) + 1
        stops = [at - octet for at in self._flips if at > octet] + [at - octet for at, _ in self._insertions]
        return min([(line_end or len(data)) - start, *stops])

    def _due(self) -> list[bytes]:
        due: list[bytes] = []
        while self._insertions and self._insertions[0][0] <= self._octets:
            due.append(self._insertions.pop(0)[1])
        return due

    def _placed(self, octets: bytes, *, ends_line: bool) -> list[bytes]:
        number = self._line
        if number in self._dropped or number in self._doubled or number in self._swapped or self._held:
            self._begun += octets
            octets = b""
        if not ends_line:
            return [octets]
        self._line += 1
        line, self._begun = bytes(self._begun) or octets, bytearray()
        lines = [line] * (number not in self._dropped) * (1 + (number in self._doubled))
        held, self._held = self._held, b""
        if number in self._swapped:
            self._held = b"".join(lines)
            lines = []
        return [*lines, held]
