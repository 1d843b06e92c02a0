"""What is twice as long takes twice as long: counted in steps and in octets that were looked at, never by a clock."""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from types import FrameType
from typing import Any

import pytest

from mailwire._wire.dots import DotStuffer
from mailwire.aio.preview import Beginning
from mailwire.pop3 import List, MessageData, MessageEnd, Retr, Uidl
from mailwire.smtp.reply import ReplyReader
from tests.counting import profiled
from tests.pop3.sessions import logged_in

# A doubling, and what begins to matter when there is more of it.
RATIO = 2.4
PIECE = 8 * 1024


def steps(work: Callable[[], object]) -> int:
    """How many calls `work` makes, and how many octets are looked at by those that are methods of octets."""
    count = 0

    def see(_: FrameType, event: str, what: Any) -> None:
        nonlocal count
        if event == "c_call":
            owner = getattr(what, "__self__", None)
            count += 1 + (len(owner) if isinstance(owner, bytes | bytearray) else 0)
        elif event == "call":
            count += 1

    with profiled(see):
        work()
    return count


def assert_linear(work: Callable[[int], Callable[[], object]], sizes: Iterable[int]) -> None:
    counts = [steps(work(size)) for size in sizes]
    for size, (less, more) in zip(sizes, pairwise(counts), strict=False):
        assert more <= RATIO * less, f"twice {size} takes {more / less:.2f} times the steps: {counts}"


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


# What is read


def retrieving(line: bytes, piece: int) -> Callable[[int], Callable[[], object]]:
    def work(size: int) -> Callable[[], object]:
        answer = b"+OK\r\n" + line * (size // len(line)) + b"\r\n.\r\n"
        connection = logged_in()
        connection.send(Retr(1))
        connection.data_to_send()

        def read() -> None:
            received, last = 0, None
            for octets in pieces(answer, piece):
                connection.receive_data(octets)
                while (event := connection.next_event()) is not None:
                    last = event
                    received += len(event.data) if isinstance(event, MessageData) else 0
            assert isinstance(last, MessageEnd)
            assert received == last.octets

        return read

    return work


def listing(command: Callable[[], List | Uidl], line: bytes, piece: int) -> Callable[[int], Callable[[], object]]:
    def work(count: int) -> Callable[[], object]:
        answer = b"+OK\r\n" + b"".join(line % (number, number) for number in range(1, count + 1)) + b".\r\n"
        connection = logged_in()
        connection.send(command())
        connection.data_to_send()

        def read() -> None:
            events = 0
            for octets in pieces(answer, piece):
                connection.receive_data(octets)
                events += connection.next_event() is not None
            assert events == 1

        return read

    return work


def replying(line: bytes, piece: int) -> Callable[[int], Callable[[], object]]:
    # One reply has a limit: more octets are more replies.
    def work(size: int) -> Callable[[], object]:
        reader, answer = ReplyReader(), (b"250-" + line + b"\r\n250 ok\r\n")
        answer = answer * (size // len(answer))

        def read() -> None:
            for octets in pieces(answer, piece):
                reader.feed(octets)
                while reader.next_reply() is not None:
                    pass

        return read

    return work


def stuffing(line: bytes, piece: int) -> Callable[[int], Callable[[], object]]:
    def work(size: int) -> Callable[[], object]:
        message, stuffer = line * (size // len(line)), DotStuffer()

        def write() -> None:
            for octets in pieces(message, piece):
                stuffer.feed(octets)
            stuffer.finish()

        return write

    return work


def previewing(line: bytes, piece: int) -> Callable[[int], Callable[[], object]]:
    # All lines of it are wanted, of a header or behind one.
    def work(size: int) -> Callable[[], object]:
        message = line * (size // len(line))

        def read() -> None:
            for begins in (b"", b"\r\n"):
                beginning = Beginning(size, 2 * size)
                for octets in pieces(begins + message, piece):
                    assert not beginning.add(octets)
                assert beginning.octets == begins + message

        return read

    return work


LINES = {"text": b"what is said\r\n", "dots": b"...\r\n", "one line": b"x" * 64, "bare": b"a\n"}
WAYS = {
    **{f"RETR of {name}": retrieving(line, PIECE) for name, line in LINES.items()},
    **{f"replies of {name}": replying(line.strip(), PIECE) for name, line in LINES.items()},
    **{f"stuffing of {name}": stuffing(line, PIECE) for name, line in LINES.items()},
}
BYTEWISE = {
    **{f"RETR of {name}": retrieving(line, 1) for name, line in LINES.items()},
    **{f"replies of {name}": replying(line.strip(), 1) for name, line in LINES.items()},
    **{f"stuffing of {name}": stuffing(line, 1) for name, line in LINES.items()},
    **{f"preview of {name}": previewing(line, 1) for name, line in LINES.items()},
}
LISTINGS = {
    "UIDL": listing(Uidl, b"%d u%08x\r\n", PIECE),
    "UIDL, blanks": listing(Uidl, b"%d  u%08x\r\n", PIECE),
    "LIST": listing(List, b"%d %d\r\n", PIECE),
}


@pytest.mark.parametrize("name", WAYS)
def test_twice_as_much_in_pieces_takes_twice_as_long(name: str) -> None:
    assert_linear(WAYS[name], [PIECE * 8, PIECE * 16, PIECE * 32])


@pytest.mark.parametrize("name", BYTEWISE)
def test_twice_as_much_octet_by_octet_takes_twice_as_long(name: str) -> None:
    assert_linear(BYTEWISE[name], [2048, 4096, 8192])


@pytest.mark.parametrize("name", LISTINGS)
def test_twice_as_many_messages_take_twice_as_long(name: str) -> None:
    assert_linear(LISTINGS[name], [3_000, 6_000])


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", WAYS)
def test_up_to_16_mebibytes_in_pieces_take_no_longer_than_that(name: str) -> None:
    assert_linear(WAYS[name], [2**power for power in range(20, 25)])


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", BYTEWISE)
def test_a_mebibyte_octet_by_octet_takes_no_longer_than_that(name: str) -> None:
    assert_linear(BYTEWISE[name], [2**power for power in range(16, 21)])


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", LISTINGS)
def test_a_million_messages_take_no_longer_than_that(name: str) -> None:
    assert_linear(LISTINGS[name], [62_500 * 2**power for power in range(5)])
