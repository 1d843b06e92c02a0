"""What is measured of memory is what is held at a time, whatever was done before; where nothing is, that is told."""

from typing import Final

import pytest

from tests.hostile.memory import Growth, is_memory_measured
from tests.hostile.play import can_count_descriptors

MEBIBYTE: Final = 1 << 20


def test_the_memory_of_plays_is_judged() -> None:
    if not is_memory_measured():
        pytest.skip("how much memory a hostile case takes is not judged: /proc/self/clear_refs cannot be written")


def test_what_plays_leave_open_is_judged() -> None:
    if not can_count_descriptors():
        pytest.skip("whether a hostile case leaves a file or socket open is not judged: /dev/fd lists none")


@pytest.fixture
def measured() -> None:
    if not is_memory_measured():
        pytest.skip("/proc/self/clear_refs cannot be written")


# Linux counts in lots of some pages.
LOTS: Final = MEBIBYTE // 2


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("mebibytes", [4, 2, 0])
def test_the_most_that_was_held_is_measured_whatever_was_held_before(mebibytes: int) -> None:
    with Growth() as growth:
        bytearray(mebibytes * MEBIBYTE)
        assert abs(growth.octets - mebibytes * MEBIBYTE) < LOTS


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("time", [1, 2])
def test_what_grows_side_by_side_counts_for_what_it_is(time: int) -> None:
    with Growth() as growth:
        both = bytearray(), bytearray()
        for each in both * 64:
            each += b"x" * 65536
        # Each has an eighth more than it needs, as bytearrays have, and may have been moved in the beginning.
        assert 8 * MEBIBYTE - LOTS < growth.octets < 11 * MEBIBYTE, time
