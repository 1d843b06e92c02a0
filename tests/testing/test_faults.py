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


@pytest.mark.parametrize(
    "make",
    [
        lambda: Latency(-1),
        lambda: Latency(1, jitter=-1),
        lambda: Latency(float("nan")),
        lambda: Bandwidth(0),
        lambda: Slices(0),
        lambda: Slices(1, pause=-1),
        lambda: Coalesced(-1),
        lambda: LateEnd(-1),
        lambda: ZeroWindow(-1),
        lambda: HalfClose(-1),
        lambda: Cut(-1),
        lambda: Cut(0, by=wrong),
        lambda: BitFlip(-1),
        lambda: BitFlip(0, 8),
        lambda: BitFlip(0, -1),
        lambda: Insertion(-1, b""),
        lambda: DroppedLine(0),
        lambda: DoubledLine(0),
        lambda: SwappedLines(0),
        lambda: Cut(0, of=wrong),
        lambda: Cut(wrong),
        lambda: Cut(1.5),  # type: ignore[arg-type]
        lambda: Latency(float("inf")),
        lambda: Latency(wrong),
        lambda: BitFlip(0, wrong),
        lambda: Insertion(0, wrong),
        lambda: DroppedLine(True),
    ],
)
def test_what_cannot_go_wrong_so_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        make()


def test_faults_are_values() -> None:
    assert Cut(3) == Cut(3, of="server", by="RST")
    assert len({Cut(3), Cut(3), Cut(4)}) == 2
