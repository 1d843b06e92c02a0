from collections.abc import Callable
from enum import IntEnum
from typing import Any

import pytest

from mailwire.pop3 import (
    Command,
    Dele,
    Last,
    List,
    Response,
    Retr,
    Top,
    Uidl,
)
from tests.pop3.sessions import CONTROLS, with_control


class Number(IntEnum):
    ONE = 1


NUMBERED: list[Callable[[Any], Command[object]]] = [List, Uidl, Retr, Dele, lambda number: Top(number, 0)]
NO_NUMBERS: list[Any] = [
    0,
    -1,
    -(2**31),
    2**31,
    2**64,
    10**20,
    True,
    False,
    Number.ONE,
    1.0,
    float("nan"),
    "1",
    "",
    b"1",
    "1\r\nDELE 2",
    [1],
]
NO_COUNTS: list[Any] = [-1, -(2**31), True, False, Number.ONE, 0.0, -0.0, 5.5, 0j, "0", b"0", "", None]


@pytest.mark.parametrize("control", CONTROLS, ids=repr)
def test_a_control_character_is_no_part_of_a_number(control: str) -> None:
    for text in with_control(control):
        for wrong in (text, f"1{control}", f"{control}1"):
            for make in NUMBERED:
                with pytest.raises(ValueError, match="is a positive int"):
                    make(wrong)


@pytest.mark.parametrize("make", NUMBERED, ids=["LIST", "UIDL", "RETR", "DELE", "TOP"])
def test_a_message_number_is_a_positive_int(make: Callable[[Any], Command[object]]) -> None:
    for number in (1, 2, 2**31 - 1):
        assert b" %d" % number in make(number).encode()
    for wrong in NO_NUMBERS:
        with pytest.raises(ValueError, match="is a positive int"):
            make(wrong)
    with pytest.raises(ValueError, match=r"got -1$"):
        make(-1)
    with pytest.raises(ValueError, match=r"got '1\\r\\nDELE 2'$"):
        make("1\r\nDELE 2")


@pytest.mark.parametrize("make", NUMBERED[2:], ids=["RETR", "DELE", "TOP"])
def test_a_message_number_cannot_be_left_out(make: Callable[[Any], Command[object]]) -> None:
    with pytest.raises(ValueError, match="a positive int, got None"):
        make(None)


def test_the_lines_of_top_are_a_count() -> None:
    for count in (0, 1, 2**31 - 1):
        assert Top(1, count).encode() == b"TOP 1 %d\r\n" % count
    for wrong in [*NO_COUNTS, 2**31]:
        with pytest.raises(ValueError, match="the number of lines is an int of at least 0"):
            Top(1, wrong)


def test_the_size_of_a_message_is_a_count_of_octets() -> None:
    for count in (0, 1, 10**20):
        assert Retr(1, size=count).octets == count
    # A negative one would widen the window for all that are in flight.
    for wrong in NO_COUNTS:
        with pytest.raises(ValueError, match="the size is an int of at least 0"):
            Retr(1, size=wrong)


def test_a_number_of_any_length_is_refused_by_the_same_words() -> None:
    # str() refuses an int of more than 4,300 digits.
    with pytest.raises(ValueError, match="a message number is a positive int"):
        Retr(10**5000)
    with pytest.raises(ValueError, match="the size is an int"):
        Retr(1, size=-(10**5000))
    for size, shown in ((-(2**64) + 1, str(-(2**64) + 1)), (-(2**64), "one of 65 bits")):
        with pytest.raises(ValueError) as refusal:
            Retr(1, size=size)
        assert str(refusal.value) == f"the size is an int of at least 0, got {shown}"


def test_the_size_of_a_message_is_no_part_of_what_is_asked() -> None:
    assert Retr(1, size=5) == Retr(1, size=6) == Retr(1)
    assert hash(Retr(1, size=5)) == hash(Retr(1))


# LAST (RFC 1460 3)


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b"3", 3),
        (b"0", 0),
        (b"3 is the highest", 3),
        (b"2147483647", 2**31 - 1),
        (b"", None),
        (b"-1", None),
        (b"1_0", None),
        (b"2147483648", None),
        (b"9" * 5000, None),
        (b"none", None),
        ("٣".encode(), None),
    ],
)
def test_last_tells_a_number_if_it_can_be_read(line: bytes, number: int | None) -> None:
    assert Last().parse(Response(True, line)) == number


def test_what_reads_a_listing_keeps_nothing_that_must_not_be_shown() -> None:
    for command in (List(), Uidl()):
        reader = command.reader(masked=lambda said: said.replace(b"canary", b"****"))
        reader.feed(b"x canary\r\n")
        assert reader.findings.kept[0].said == b"x ****"
