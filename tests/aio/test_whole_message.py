"""A message put together from its blocks: octet for octet, in no more room than it needs, whatever was announced."""

import sys
import tracemalloc
from io import BytesIO

import pytest

from mailwire.aio.whole_message import WholeMessage

BLOCK = bytes(range(256)) * 256
MIB = 1024 * 1024


@pytest.mark.parametrize("announced", [-1, 0, 1, 10 * len(BLOCK) - 1, 10 * len(BLOCK), 20 * len(BLOCK), 10**30])
def test_it_is_what_has_come_whatever_was_announced(announced: int) -> None:
    for sizes in ([], [1], [3, 1, 4], [len(BLOCK)] * 10, [1, len(BLOCK), 7] * 3):
        whole = WholeMessage(announced, sys.maxsize)
        blocks = [BLOCK[:size] for size in sizes]
        for block in blocks:
            whole.add(block)
        assert whole.octets() == b"".join(blocks)


def peak_of(announced: int, blocks: int, limit: int = sys.maxsize) -> int:
    whole = WholeMessage(announced, limit)
    tracemalloc.start()
    try:
        for _ in range(blocks):
            whole.add(BLOCK)
        assert len(whole.octets()) == blocks * len(BLOCK)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_it_is_held_once() -> None:
    size = 128 * len(BLOCK)
    # BytesIO itself takes an eighth more than it is asked for.
    assert size <= peak_of(size, 128) < size + size // 7


def test_no_announcement_has_more_room_made_than_twice_what_came() -> None:
    assert peak_of(1024 * MIB, 1) <= 3 * len(BLOCK)
    assert peak_of(1024 * MIB, 100) <= 300 * len(BLOCK)


def test_no_more_room_is_made_than_may_be_read() -> None:
    assert peak_of(1024 * MIB, 40, limit=40 * len(BLOCK)) <= 46 * len(BLOCK)
    assert peak_of(1024 * MIB, 1, limit=1) < 3 * len(BLOCK)


@pytest.mark.parametrize(
    ("announced", "limit", "rooms"),
    [
        (100, sys.maxsize, [2, 2, 6, 6, 6, 6, 14, 14]),
        (12, sys.maxsize, [2, 2, 6, 6, 6, 6, *[12] * 6]),
        (100, 5, [2, 2, 5, 5, 5]),
    ],
)
def test_room_is_made_where_what_comes_does_not_fit_and_to_the_octet(
    announced: int, limit: int, rooms: list[int]
) -> None:
    whole = WholeMessage(announced, limit)
    for room in rooms:
        whole.add(b"x")
        expected = BytesIO()
        expected.seek(room - 1)
        expected.write(b"x")
        assert sys.getsizeof(whole._buffer) == sys.getsizeof(expected)
    assert whole.octets() == b"x" * len(rooms)
