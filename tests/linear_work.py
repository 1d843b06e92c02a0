"""What is led through mailwire's readers and writers, to find out how much work it is: in sizes and in pieces."""

from collections.abc import Callable, Iterator, Mapping
from itertools import cycle
from typing import Any, Final, TypeAlias, cast

from mailwire import smtp
from mailwire._wire.dots import DotStuffer
from mailwire.aio.dialogue import Dialogue
from mailwire.aio.mailing import Mailing
from mailwire.aio.preview import Beginning
from mailwire.aio.sending import Sending
from mailwire.endpoint import Endpoint
from mailwire.pop3 import List, MessageData, MessageEnd, Retr, Uidl, Window
from mailwire.smtp.reply import ReplyReader
from tests.pop3.sessions import logged_in
from tests.smtp.sessions import A, ask, at, events_of

__all__ = ["WAYS", "Unheard", "Way"]

Way: TypeAlias = Callable[[int], Callable[[], object]]
"""Makes ready what is so large, and returns what is to be counted."""


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


# What is read


def retrieving(line: bytes, piece: int) -> Way:
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


def retrieving_many(piece: int) -> Way:
    # So many messages, all asked for before the first of them comes.
    def work(count: int) -> Callable[[], object]:
        connection = logged_in(window=Window(count, 2**40))
        answers = b"+OK\r\nhello\r\n.\r\n" * count

        def read() -> None:
            for number in range(1, count + 1):
                connection.send(Retr(number))
            connection.data_to_send()
            assert len(connection.in_flight) == count
            ends = 0
            for octets in pieces(answers, piece):
                connection.receive_data(octets)
                while (event := connection.next_event()) is not None:
                    ends += isinstance(event, MessageEnd)
            assert ends == count

        return read

    return work


def listing(name: str, line: bytes, piece: int) -> Way:
    def work(count: int) -> Callable[[], object]:
        answer = b"+OK\r\n" + b"".join(line % (number, number) for number in range(1, count + 1)) + b".\r\n"
        connection = logged_in()
        connection.send({"LIST": List, "UIDL": Uidl}[name]())
        connection.data_to_send()

        def read() -> None:
            events = 0
            for octets in pieces(answer, piece):
                connection.receive_data(octets)
                events += connection.next_event() is not None
            assert events == 1

        return read

    return work


def replying(line: bytes, piece: int) -> Way:
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


def replying_at_length(piece: int) -> Way:
    # One reply of so many lines.
    def work(count: int) -> Callable[[], object]:
        reader, answer = ReplyReader(), b"250-what is said\r\n" * (count - 1) + b"250 ok\r\n"

        def read() -> None:
            replies = []
            for octets in pieces(answer, piece):
                reader.feed(octets)
                if (reply := reader.next_reply()) is not None:
                    replies.append(reply)
            assert [len(reply.lines) for reply in replies] == [count]

        return read

    return work


# What is said


def mailing(*answers: bytes, groups: bool) -> Way:
    # A mail to so many, each of whom gets one of the `answers`, by turns.
    def work(count: int) -> Callable[[], object]:
        connection = at(smtp.State.READY, smtp.Connection(groups=groups))
        recipients = [smtp.Mailbox(f"user{number}", "example.org") for number in range(count)]
        replies = cycle(answers)

        def answer(line: bytes) -> bytes:
            return next(replies) if line.startswith(b"RCPT") else b"354 go" if line == b"DATA" else b"250 ok"

        def send() -> None:
            transaction = smtp.Transaction(connection, A, recipients)
            while not transaction.finished:
                if transaction.wants_data:
                    transaction.send_whole(b"hello\r\n")
                lines = b"".join(connection.data_to_send()).removeprefix(b"hello\r\n").splitlines()
                assert lines, "it waits for nothing"
                connection.receive_data(b"".join(answer(line) + b"\r\n" for line in lines))
                for event in events_of(connection):
                    assert isinstance(event, smtp.ReplyReceived | smtp.GroupsAnswered)
                    assert transaction.receive(event)
            words = [recipient.delivery for recipient in transaction.receipt().recipients]
            assert words.count(smtp.Delivery.ACCEPTED) == count // len(answers)

        return send

    return work


class Unheard:
    """A session in which nothing is waited for."""

    def __init__(self) -> None:
        self.endpoint = Endpoint("localhost", tls="none")
        self.loss: object = None

    def time(self) -> float:
        """It takes no time."""
        return 0.0


def parting(limit: str) -> Way:
    # A mail to so many, in as many transactions as the server's `limit` wants (RFC 9422), in one session.
    def work(count: int) -> Callable[[], object]:
        connection = at(smtp.State.INITIATION)
        ask(connection, smtp.Ehlo("c"), "250-hello", f"250-LIMITS {limit}", "250 PIPELINING")
        dialogue = Dialogue(cast(Any, Unheard()), connection)
        recipients = [f"user{number}@example.org" for number in range(count)]
        sending = Sending(Mailing(b"Subject: x\r\n\r\n", sender="a@example.org", recipients=recipients))
        assert sending.prepare_at_once(dialogue)

        def send() -> None:
            while (batch := sending.next_batch(dialogue)) is not None:
                assert not batch.begins_session
                passage = sending.begin(dialogue, batch)
                transaction = passage.transaction
                while not transaction.finished:
                    if transaction.wants_data:
                        assert passage.write_whole()
                        assert connection.data_to_send()
                        lines = [b""]
                    else:
                        lines = b"".join(connection.data_to_send()).splitlines()
                    replies = [b"354 go\r\n" if line == b"DATA" else b"250 ok\r\n" for line in lines]
                    connection.receive_data(b"".join(replies))
                    for event in events_of(connection):
                        assert isinstance(event, smtp.ReplyReceived | smtp.GroupsAnswered)
                        assert transaction.receive(event)
                sending.end(passage)
            assert sending.parts == count
            assert sending.receipt().delivery is smtp.Delivery.ACCEPTED

        return send

    return work


def stuffing(line: bytes, piece: int) -> Way:
    def work(size: int) -> Callable[[], object]:
        message, stuffer = line * (size // len(line)), DotStuffer()

        def write() -> None:
            for octets in pieces(message, piece):
                stuffer.feed(octets)
            stuffer.finish()

        return write

    return work


def previewing(line: bytes, piece: int) -> Way:
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


_PIECE: Final = 8 * 1024
_LINES: Final = {"text": b"what is said\r\n", "dots": b"...\r\n", "one line": b"x" * 64, "bare": b"a\n"}

WAYS: Final[Mapping[str, Way]] = {
    **{f"RETR of {name}": retrieving(line, _PIECE) for name, line in _LINES.items()},
    **{f"replies of {name}": replying(line.strip(), _PIECE) for name, line in _LINES.items()},
    **{f"stuffing of {name}": stuffing(line, _PIECE) for name, line in _LINES.items()},
    **{f"RETR of {name} octet by octet": retrieving(line, 1) for name, line in _LINES.items()},
    **{f"replies of {name} octet by octet": replying(line.strip(), 1) for name, line in _LINES.items()},
    **{f"stuffing of {name} octet by octet": stuffing(line, 1) for name, line in _LINES.items()},
    **{f"preview of {name} octet by octet": previewing(line, 1) for name, line in _LINES.items()},
    "UIDL": listing("UIDL", b"%d u%08x\r\n", _PIECE),
    "UIDL, blanks": listing("UIDL", b"%d  u%08x\r\n", _PIECE),
    "LIST": listing("LIST", b"%d %d\r\n", _PIECE),
    "RETR in flight": retrieving_many(16),
    "lines of a reply": replying_at_length(16),
    "RCPT in groups": mailing(b"250 ok", groups=True),
    "RCPT, half of them refused": mailing(b"250 ok", b"550 no", groups=False),
    "RCPTMAX": parting("RCPTMAX=1"),
    "RCPTMAX, RCPTDOMAINMAX": parting("RCPTMAX=1 RCPTDOMAINMAX=1"),
}
"""By their names; in pieces, if nothing else is said."""
