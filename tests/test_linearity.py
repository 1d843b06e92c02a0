"""What is twice as long takes twice as long: counted in steps and in octets that were copied, moved or looked at
(`tests/counted.py`), never by a clock."""

import importlib
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest

from tests.counted import Counted, Work, count, instrumented

# A doubling, and what begins to matter when there is more of it.
RATIO = 2.4
PIECE = 8 * 1024

OTHERS = ["tests.linear_work", "tests.pop3.sessions", "tests.smtp.sessions", "tests.smtp.model_server"]
COUNTED = Counted("mailwire", *OTHERS)


@pytest.fixture
def led() -> Iterator[ModuleType]:
    """What leads octets through mailwire, whose steps are counted meanwhile."""
    with COUNTED:
        yield importlib.import_module("tests.linear_work")


def ratios(counts: Iterable[int]) -> list[float]:
    return [more / less for less, more in pairwise(counts)]


def assert_linear(led: ModuleType, name: str, sizes: Iterable[int]) -> None:
    way = led.WAYS[name]
    counts = [count(way(size), COUNTED.work) for size in sizes]
    assert max(ratios(counts)) <= RATIO, counts


LINES = ["text", "dots", "one line", "bare"]
WAYS = [f"{what} of {line}" for what in ("RETR", "replies", "stuffing") for line in LINES]
BYTEWISE = [f"{what} of {line} octet by octet" for what in ("RETR", "replies", "stuffing", "preview") for line in LINES]
LISTINGS = ["UIDL", "UIDL, blanks", "LIST"]
# How many octets, where it is exhaustive: in pieces, and octet by octet.
PIECES = [2**power for power in range(20, 25)]
OCTETS = [2**power for power in range(16, 21)]
# What there are many of, and how many: each time, and where it is exhaustive.
MANY = {
    "RETR in flight": ([400, 800], [100, 200, 400, 800, 1600]),
    "lines of a reply": ([128, 256, 512], [64, 128, 256, 512]),
    "RCPT in groups": ([500, 1_000], [1_250, 2_500, 5_000, 10_000]),
    "RCPT, half of them refused": ([500, 1_000], [1_250, 2_500, 5_000, 10_000]),
    "RCPTMAX": ([250, 500], [500, 1_000, 2_000, 4_000]),
    "RCPTMAX, RCPTDOMAINMAX": ([250, 500], [500, 1_000, 2_000, 4_000]),
}


@pytest.mark.parametrize("name", WAYS)
def test_twice_as_much_in_pieces_takes_twice_as_long(led: ModuleType, name: str) -> None:
    least = PIECE if name.startswith("replies") else PIECE * 8
    assert_linear(led, name, [least, least * 2, least * 4])


@pytest.mark.parametrize("name", BYTEWISE)
def test_twice_as_much_octet_by_octet_takes_twice_as_long(led: ModuleType, name: str) -> None:
    assert_linear(led, name, [512, 1024, 2048])


@pytest.mark.parametrize("name", LISTINGS)
def test_twice_as_many_messages_take_twice_as_long(led: ModuleType, name: str) -> None:
    assert_linear(led, name, [2_000, 4_000])


@pytest.mark.parametrize("name", MANY)
def test_twice_as_many_commands_or_lines_take_twice_as_long(led: ModuleType, name: str) -> None:
    assert_linear(led, name, MANY[name][0])


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", WAYS)
def test_up_to_16_mebibytes_in_pieces_take_no_longer_than_that(led: ModuleType, name: str) -> None:
    assert_linear(led, name, PIECES)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", BYTEWISE)
def test_a_mebibyte_octet_by_octet_takes_no_longer_than_that(led: ModuleType, name: str) -> None:
    assert_linear(led, name, OCTETS)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", LISTINGS)
def test_a_million_messages_take_no_longer_than_that(led: ModuleType, name: str) -> None:
    assert_linear(led, name, [62_500 * 2**power for power in range(5)])


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", MANY)
def test_ten_thousand_commands_take_no_longer_than_that(led: ModuleType, name: str) -> None:
    assert_linear(led, name, MANY[name][1])


def test_every_way_is_tried(led: ModuleType) -> None:
    assert [*led.WAYS] == [*WAYS, *BYTEWISE, *LISTINGS, *MANY]


# What the counter finds

QUADRATIC = {
    "slices": "while data: data = data[1:]",
    "slices of a text": "text = data.decode()\n    while text: text = text[1:]",
    "adding": "seen = b''\n    for octet in data: seen = seen + bytes([octet])",
    "adding in place": "seen = b''\n    for octet in data: seen += b'x'",
    "adding in place to an attribute": "self = Self()\n    for octet in data: self.seen += b'x'",
    "formatting": "seen = b''\n    for octet in data: seen = b'%bx' % seen",
    "formatting a text": "seen = ''\n    for octet in data: seen = f'{seen}x'",
    "multiplying": "for size in range(len(data)): seen = b'x' * size",
    "joining": "seen = []\n    for octet in data:\n        seen.append(b'x')\n        b''.join(seen)",
    "joining with stars": "seen = []\n    for octet in data: seen = [*seen, octet]",
    "copying": "seen = bytearray()\n    for octet in data:\n        seen.append(octet)\n        bytes(seen)",
    "copying a view": "for place in range(len(data)): memoryview(data)[place:].tobytes()",
    "octets of a view": "for place in range(len(data)): bytes(memoryview(data)[place:])",
    "a method": "for octet in data: data.upper()",
    "a method of a class": "for octet in data: bytes.upper(data)",
    "a method of many": "for octet in data: list(map(len, [data.upper()]))",
    "splitting": "while data: _, _, data = data.partition(b'y') if b'y' in data else (b'', b'', data[1:])",
    "a search from the beginning": "for octet in data: data.find(b'y')",
    "a search from a place": "for place in range(len(data)): data.find(b'y', place)",
    "a search from the end": "for place in range(len(data)): data.rfind(b'y', 0, place)",
    "a search by in": "for octet in data: b'y' in data",
    "a search by not in": "for octet in data: assert b'y' not in data",
    "a comparison": "other = bytes(bytearray(data))\n    for octet in data: other == data",
    "a pattern": "for octet in data: PATTERN.search(data)",
    "a pattern from a place": "for place in range(len(data)): PATTERN.search(data, place)",
    "a pattern that matches": "for place in range(len(data)): ALL.match(data, place)",
    "replacing by a pattern": "for octet in data: PATTERN.sub(b'', data)",
    "a function of another's": "for octet in data: binascii.crc32(data)",
    "deleting in the middle": "seen = bytearray(data)\n    while len(seen) > 1: del seen[1:2]",
    "taking from a list's beginning": "seen = list(data)\n    while seen: seen.pop(0)",
    "putting at a list's beginning": "seen = []\n    for octet in data: seen.insert(0, octet)",
    "deleting from a list's beginning": "seen = list(data)\n    while seen: del seen[:1]",
    "deleting an item in the middle": "seen = list(data)\n    while len(seen) > 1: del seen[1]",
    "deleting an octet in the middle": "seen = bytearray(data)\n    while len(seen) > 1: del seen[1]",
    "deleting in the middle of a deque": "seen = deque(data)\n    while seen: del seen[len(seen) // 2]",
    "storing a slice": "seen = bytearray()\n    for octet in data: seen[:0] = b'x'",
    "storing a slice of a list": "seen = []\n    for octet in data: seen[0:0] = [octet]",
    "storing in the middle of a deque": "seen = deque(data)\n    for octet in data: seen[len(seen) // 2] = 0",
    "an item of a deque": "seen = deque(data)\n    for octet in data: seen[len(data) // 2]",
    "an item behind the middle of a deque": "seen = deque(data)\n    for octet in data: seen[-len(seen) // 3]",
    "a comparison by less": "other = bytes(bytearray(data))\n    for octet in data: other < data",
    "a comparison by more": "other = bytes(bytearray(data))\n    for octet in data: other >= data",
    "a chain of comparisons": "other = bytes(bytearray(data))\n    for octet in data: b'' < other == data",
    "a chain that looks for something": "for octet in data: b'' != b'y' not in data",
    "a look through values": "seen = dict(enumerate(data))\n    for octet in data: -1 in seen.values()",
    "a look through a list": "seen = list(data)\n    for octet in data: -1 in seen",
    "summing up": "seen = []\n    for octet in data:\n        seen.append(1)\n        sum(seen)",
    "a loop in a loop": "for octet in data:\n        for another in data: pass",
    "a comprehension in a loop": "for octet in data: [another for another in data]",
    "a generator in a loop": "for octet in data: all(another for another in data)",
}
LINEAR = {
    "a call": "len(data)",
    "slices of a view": "view = memoryview(data)\n    while view: view = view[1:]",
    "slices of pieces": "for place in range(0, len(data), 16): data[place : place + 16]",
    "adding in place to a bytearray": "seen = bytearray()\n    for octet in data: seen += b'x'",
    "adding in place to a number": "seen = 0\n    for octet in data: seen += octet",
    "joining once": "seen = []\n    for octet in data: seen.append(b'x')\n    b''.join(seen)",
    "deleting from a bytearray's beginning": "seen = bytearray(data)\n    while seen: del seen[:1]",
    "taking from a list's end": "seen = list(data)\n    while seen: seen.pop()",
    "a search that finds": "for place in range(len(data)): data.find(b'x', place)",
    "a pattern that finds": "for place in range(len(data)): ONE.match(data, place)",
    "deleting an octet at a bytearray's beginning": "seen = bytearray(data)\n    while seen: del seen[0]",
    "deleting a list's last item": "seen = list(data)\n    while seen: del seen[-1]",
    "deleting from a dict": "seen = dict(enumerate(data))\n    for place in range(len(data)): del seen[place]",
    "the ends of a deque": "seen = deque(data)\n    for octet in data: seen[0], seen[-1]",
    "storing at the end of a list": "seen = []\n    for octet in data: seen[len(seen) :] = [octet]",
    "storing items": "seen = list(data)\n    for place in range(len(data)): seen[place] = 0",
    "a chain that ends early": "for octet in data: b'y' == b'x' < data",
    "a chain of numbers": "for octet in data: 0 < octet < 256",
    "a comparison of sizes": "for octet in data: data == b'y'",
    "a name for what is long": "for octet in data: len(data), isinstance(data, bytes), memoryview(data)",
}

PREFACE = """
import binascii, re
from collections import deque
PATTERN, ALL, ONE = re.compile(b'y'), re.compile(b'x*'), re.compile(b'x')
class Self:
    seen = b''
def work(data):
    """


def ratio_of(body: str) -> float:
    work = Work()
    names: dict[str, Any] = {"__work__": work}
    exec(instrumented(PREFACE + body, "planted"), names)
    (ratio,) = ratios([count(partial(names["work"], b"x" * size), work) for size in (200, 400)])
    return ratio


@pytest.mark.parametrize("name", QUADRATIC)
def test_what_goes_with_the_square_is_found_out(name: str) -> None:
    assert ratio_of(QUADRATIC[name]) > RATIO


@pytest.mark.parametrize("name", LINEAR)
def test_what_does_not_is_not(name: str) -> None:
    assert ratio_of(LINEAR[name]) <= RATIO


def read_a_line(size: int) -> None:
    reader = importlib.import_module("mailwire.smtp.reply").ReplyReader()
    for octet in b"250 " + b"x" * size:
        reader.feed(bytes([octet]))
        assert reader.next_reply() is None


@pytest.mark.parametrize(
    ("behind", "is_linear"),
    [
        ("self._beginning.append(piece)", True),
        ("self._beginning = [b''.join((*self._beginning, piece))]", False),
        ("self._beginning.append(piece); b'x' in b''.join(self._beginning)", False),
    ],
)
def test_a_fault_in_mailwire_is_found_out(behind: str, is_linear: bool) -> None:
    changes = {"mailwire._wire.lines": ("self._beginning.append(piece)", behind)}
    with Counted("mailwire", changes=changes) as loaded:
        counts = [count(partial(read_a_line, size), loaded.work) for size in (300, 600, 1200)]
    assert (max(ratios(counts)) <= RATIO) is is_linear
    assert (min(ratios(counts)) <= RATIO) is is_linear
