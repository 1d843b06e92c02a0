"""What a message costs is what it costs as a message, whatever the number of its lines: counted in calls, by which
lines that are taken one by one would show."""

from collections.abc import Callable

import pytest

from mailwire.pop3 import Connection, MessageData, MessageEnd, Retr
from tests.counting import calls
from tests.pop3.sessions import logged_in

SIZE = 60_000


def message_of(lines: int) -> bytes:
    line = b"x" * (SIZE // lines - 2) + b"\r\n"
    return line * lines


def take_events(connection: Connection, message: bytes) -> None:
    connection.receive_data(b"+OK\r\n" + message + b".\r\n")
    assert connection.next_event() is not None
    data = connection.next_event()
    assert isinstance(data, MessageData)
    assert data.data == message
    assert isinstance(connection.next_event(), MessageEnd)


def take_whole(connection: Connection, message: bytes) -> None:
    connection.receive_data(b"+OK\r\n" + message + b".\r\n")
    assert connection.next_event() is not None
    assert connection.take_message(SIZE) == message


def take_pieces(connection: Connection, message: bytes) -> None:
    connection.receive_data(b"+OK\r\n")
    assert connection.next_event() is not None
    for piece in (message[:20_000], message[20_000:40_000], message[40_000:] + b".\r\n"):
        connection.receive_data(piece)
        assert isinstance(connection.next_event(), MessageData)
    assert isinstance(connection.next_event(), MessageEnd)


@pytest.mark.parametrize("take", [take_events, take_whole, take_pieces])
def test_a_message_of_ten_thousand_lines_costs_what_one_of_ten_does(
    take: Callable[[Connection, bytes], None],
) -> None:
    counts = []
    for lines in (10, 10, 100, 1000, 10_000):
        connection, message = logged_in(), message_of(lines)
        connection.send(Retr(1))
        connection.data_to_send()
        counts.append(calls(lambda: take(connection, message)))  # noqa: B023
    # What is imported or cached at the first time does not count.
    assert len(set(counts[1:])) == 1
    assert counts[1] < 200
