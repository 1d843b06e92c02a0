from typing import Any

import pytest

from mailwire.errors import LimitExceeded
from mailwire.pop3 import DEFAULT_LIMITS, Connection, Limits, List, Noop, Pass, Uidl
from tests.pop3.sessions import CANARY, ask, logged_in, tell


def limited(limits: Limits) -> Connection:
    connection = Connection(limits=limits)
    tell(connection, b"+OK\r\n")
    ask(connection, Pass(CANARY))
    tell(connection, b"+OK\r\n")
    return connection


def test_a_million_messages_with_the_longest_unique_ids_are_within_the_limits() -> None:
    assert DEFAULT_LIMITS.listing_lines >= 10**6
    assert DEFAULT_LIMITS.listing_octets > 10**6 * len(b"1000000 \r\n" + b"u" * 70)
    assert DEFAULT_LIMITS.line == 8192


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("line", 511, "512 at least, got 511"),
        ("listing_lines", 0, "1 at least, got 0"),
        ("listing_octets", 0, "1 at least, got 0"),
        ("listing_octets", -1, "1 at least, got -1"),
        *((name, None, "a whole number, got None (NoneType)") for name in ("line", "listing_lines", "listing_octets")),
    ],
)
def test_a_limit_is_at_least_1(name: str, value: Any, told: str) -> None:
    with pytest.raises(ValueError) as caught:
        Limits(**{name: value})
    assert str(caught.value) == f"expected {name} to be {told}"


def test_the_least_limits_are_limits() -> None:
    least = Limits(line=512, listing_lines=1, listing_octets=1)
    assert (least.line, least.listing_lines, least.listing_octets) == (512, 1, 1)


def test_a_line_has_a_limit() -> None:
    connection = limited(Limits(line=512))
    ask(connection, Noop())
    with pytest.raises(LimitExceeded, match="a line is longer than 512 octets"):
        tell(connection, b"+OK" + b" " * 510 + b"\r\n")


@pytest.mark.parametrize(
    ("limits", "body", "told"),
    [
        (
            Limits(line=512),
            b"1 " + b"5" * 511 + b"\r\n",
            "the answer to {} is beyond measure: a line of a listing is longer than 512 octets",
        ),
        (
            Limits(line=512),
            b"1 " + b"5" * 600,
            "the answer to {} is beyond measure: a line of a listing is longer than 512 octets",
        ),
        (
            Limits(listing_lines=2),
            b"1 5\r\n2 5\r\n3 5\r\n",
            "the answer to {} is beyond measure: a listing has more than 2 lines",
        ),
        (Limits(listing_octets=14), b"1 5\r\n2 5\r\n3 5\r\n", "the answer to {} is longer than 14 octets"),
    ],
)
@pytest.mark.parametrize("command", [List(), Uidl()])
def test_a_listing_has_limits(limits: Limits, body: bytes, told: str, command: List | Uidl) -> None:
    connection = limited(limits)
    ask(connection, command)
    with pytest.raises(LimitExceeded) as caught:
        tell(connection, b"+OK\r\n", body, b".\r\n")
    assert str(caught.value) == told.format(command)
    assert caught.value.__context__ is None
    assert connection.next_event() is None


@pytest.mark.parametrize("command", [List(), Uidl()])
def test_a_hostile_line_without_end_is_not_read_for_long(command: List | Uidl) -> None:
    connection = logged_in()
    ask(connection, command)
    tell(connection, b"+OK\r\n")
    for piece in range(1, 100):
        try:
            tell(connection, b"1" * 4096)
        except LimitExceeded:
            assert piece <= 3
            return
    raise AssertionError("there is no limit")
