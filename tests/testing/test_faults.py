from collections.abc import Callable
from typing import Any

import pytest

from mailwire.testing import (
    Bandwidth,
    BitFlip,
    Coalesced,
    Cut,
    DoubledLine,
    DroppedLine,
    HalfClose,
    Insertion,
    LateEnd,
    Latency,
    Slices,
    SwappedLines,
    ZeroWindow,
)

wrong: Any = "wrong"


SIDE = 'the octets of the "client" or of the "server", got \'wrong\''
SECONDS = "seconds to be a number, 0 at least"
AT = "at to be a whole number, 0 at least"
NUMBER = "number to be a whole number, 1 at least"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Latency(-1), f"{SECONDS}, got -1"),
        (lambda: Latency(float("nan")), f"{SECONDS}, got nan"),
        (lambda: Latency(float("inf")), f"{SECONDS}, got inf"),
        (lambda: Latency(wrong), f"{SECONDS}, got 'wrong'"),
        (lambda: Latency(1, jitter=-1), "jitter to be a number, 0 at least, got -1"),
        (lambda: Latency(1, of=wrong), SIDE),
        (lambda: Bandwidth(0), "octets_per_second to be a number, 1 at least, got 0"),
        (lambda: Bandwidth(1, of=wrong), SIDE),
        (lambda: Slices(0), "size to be a whole number, 1 at least, got 0"),
        (lambda: Slices(1, pause=-1), "pause to be a number, 0 at least, got -1"),
        (lambda: Slices(of=wrong), SIDE),
        (lambda: Coalesced(-1), f"{SECONDS}, got -1"),
        (lambda: Coalesced(1, of=wrong), SIDE),
        (lambda: LateEnd(-1), f"{SECONDS}, got -1"),
        (lambda: LateEnd(1, of=wrong), SIDE),
        (lambda: ZeroWindow(-1), f"{AT}, got -1"),
        (lambda: HalfClose(-1), f"{AT}, got -1"),
        (lambda: Cut(-1), f"{AT}, got -1"),
        (lambda: Cut(wrong), f"{AT}, got 'wrong'"),
        (lambda: Cut(1.5), f"{AT}, got 1.5"),  # type: ignore[arg-type]
        (lambda: Cut(0, of=wrong), SIDE),
        (lambda: Cut(0, by=wrong), 'a cut by "FIN" or "RST", got \'wrong\''),
        (lambda: BitFlip(-1), f"{AT}, got -1"),
        (lambda: BitFlip(0, 8), "bit to be a whole number, from 0 to 7, got 8"),
        (lambda: BitFlip(0, -1), "bit to be a whole number, from 0 to 7, got -1"),
        (lambda: BitFlip(0, wrong), "bit to be a whole number, from 0 to 7, got 'wrong'"),
        (lambda: Insertion(-1, b""), f"{AT}, got -1"),
        (lambda: Insertion(0, wrong), "octets to be bytes, got 'wrong'"),
        (lambda: DroppedLine(0), f"{NUMBER}, got 0"),
        (lambda: DroppedLine(True), f"{NUMBER}, got True"),
        (lambda: DroppedLine(1, of=wrong), SIDE),
        (lambda: DoubledLine(0), f"{NUMBER}, got 0"),
        (lambda: SwappedLines(0), f"{NUMBER}, got 0"),
    ],
)
def test_what_cannot_go_wrong_so_is_refused(make: Callable[[], object], expected: str) -> None:
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value) == f"expected {expected}"


def test_the_least_that_can_go_wrong_is_taken() -> None:
    assert Latency(0, jitter=0, of="client") != Latency(0, jitter=0)
    assert (Bandwidth(1).octets_per_second, Slices(1, pause=0).size, Coalesced(0).seconds) == (1, 1, 0)
    assert (LateEnd(0).seconds, ZeroWindow(0).at, HalfClose(0).at, Insertion(0, b"").at) == (0, 0, 0, 0)
    assert [Cut(0, by="FIN").by, Cut(0, by="RST").by] == ["FIN", "RST"]
    assert [BitFlip(0, bit).bit for bit in (0, 7)] == [0, 7]
    assert DroppedLine(1).number == DoubledLine(1).number == SwappedLines(1).number == 1


def test_faults_are_values() -> None:
    assert Cut(3) == Cut(3, of="server", by="RST")
    assert len({Cut(3), Cut(3), Cut(4)}) == 2
