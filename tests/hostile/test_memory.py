"""The most that was held at a time is measured; where nothing is, that is told."""

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


def test_the_most_that_was_held_is_measured() -> None:
    if not is_memory_measured():
        pytest.skip("/proc/self/clear_refs cannot be written")
    growth = Growth()
    bytearray(64 * MEBIBYTE)  # an allocator has it from the system, and gives it back
    assert abs(growth.octets - 64 * MEBIBYTE) < MEBIBYTE
    assert growth.octets < MEBIBYTE
