import base64
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailwire._wire.trace import Direction, Trace, Traceable
from mailwire.errors import (
    AuthenticationFailed,
    ConnectionLost,
    Desynchronised,
    InjectedData,
    LimitExceeded,
    LocalProtocolError,
    MailwireError,
    MessageTruncated,
    RemoteProtocolError,
    SecurityError,
    ServerUnproven,
)
from mailwire.pop3 import (
    DEFAULT_LIMITS,
    LOCKSTEP,
    PIPELINING_WINDOW,
    STANDARD,
    Apop,
    Auth,
    Capa,
    Capabilities,
    Command,
    ComputationDue,
    Connection,
    ConnectionClosed,
    Dele,
    Event,
    Greeting,
    List,
    MessageData,
    MessageEnd,
    Noop,
    Pass,
    Quit,
    Response,
    ResponseReceived,
    Retr,
    Rset,
    ScanListing,
    ServerClosing,
    Stat,
    State,
    Stls,
    Top,
    Uidl,
    UniqueIdListing,
    User,
    Window,
)
from mailwire.pop3.response import parse_status
from mailwire.sasl import Login, Mechanism, Password, Plain
from mailwire.sasl.oauth import OAuthBearer, XOAuth2
from mailwire.sasl.scram import WORK_ITERATIONS, ProofMissing, Scram
from tests.model_settings import property_settings
from tests.pop3.sessions import (
    CANARY,
    CREDENTIALS,
    EVERY_COMMAND,
    TIMESTAMP,
    Account,
    Language,
    Outcome,
    Server,
    account,
    ask,
    connection_in,
    greeted,
    ignore,
    legal,
    logged_in,
    messages,
    octets,
    run,
    snapshot,
    state_of,
    stuffed,
    take,
    tell,
    unanswered,
)
from tests.sasl import scram_server
from tests.sasl.laborious import Laborious
from tests.sasl.scram_server import ScramServer

TERMINATOR = b"\r\n.\r\n"


def retrieve(*pieces: bytes, command: Command[object] | None = None) -> Account:
    """What a machine that waits for the answer to RETR makes of `pieces`."""
    connection = logged_in()
    ask(connection, command or Retr(1))
    return account(tell(connection, *pieces))


def message(data: bytes, command: str = "RETR 1", line: bytes = b"") -> Account:
    """The account of a message that came whole."""
    blocks: Account = [("data", command, data)] if data else []
    return [("said", command, Response(True, line)), *blocks, ("end", command, len(data))]


def listed(body: bytes) -> ScanListing:
    """What LIST means by `body`."""
    return ScanListing.parse(Response(True, b"", body))


def identified(body: bytes) -> UniqueIdListing:
    """What UIDL means by `body`."""
    return UniqueIdListing.parse(Response(True, b"", body))


def dead(connection: Connection) -> bool:
    """Whether nothing can be done with `connection` any more, whatever is tried."""
    connection.receive_data(b"+OK\r\n")
    connection.receive_eof()
    return (
        connection.state is State.CLOSED
        and connection.next_event() is None
        and connection.data_to_send() == []
        and connection.queued == ()
        and legal(connection) == set()
    )


class Listener:
    """A trace that keeps what it is told, as it is shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, direction: Direction, what: Traceable) -> None:
        self.lines += [f"{direction}: {line}" for line in what.shown()]


# The greeting


def test_a_new_machine_waits_for_the_greeting() -> None:
    connection = Connection()
    assert (connection.state, connection.greeting, connection.capabilities) == (State.GREETING, None, None)
    assert connection.in_flight == (Greeting(),)
    assert ask(connection, Capa()) == b""
    assert connection.queued == (Capa(),)
    assert connection.next_event() is None


@pytest.mark.parametrize("line", [b"+OK", b"+OK ready <1896.697170952@dbc.mtview.ca.us>", b"+OK \xff\x1b"])
def test_the_greeting_opens_the_session(line: bytes) -> None:
    connection = Connection()
    connection.send(Capa())
    greeting = Response(True, line[4:])
    assert tell(connection, line + b"\r\n") == [ResponseReceived(Greeting(), greeting)]
    assert (connection.state, connection.greeting) == (State.AUTHORIZATION, greeting)
    assert connection.data_to_send() == [b"CAPA\r\n"]


def test_no_later_response_takes_the_place_of_the_greeting() -> None:
    connection = greeted()
    ask(connection, Capa())
    tell(connection, b"+OK not the greeting\r\n.\r\n")
    ask(connection, Pass(CANARY))
    tell(connection, b"+OK nor is this\r\n")
    assert connection.greeting == Response(True, b"ready")


@pytest.mark.parametrize("state", State)
def test_the_greeting_cannot_be_asked_for(state: State) -> None:
    connection = connection_in(state)
    with pytest.raises(LocalProtocolError, match=r"\(the connection\) cannot be sent now"):
        connection.send(Greeting())
    assert connection.queued == ()


def test_behind_a_greeting_that_refuses_nothing_but_quit_is_sent() -> None:
    connection = Connection()
    for command in (Capa(), User("tim"), Pass(CANARY), Stat(), Language(), Quit()):
        connection.send(command)
    events = tell(connection, b"-ERR [SYS/TEMP] too many connections\r\n")
    refused = Response(False, b"[SYS/TEMP] too many connections")
    discarded = (Capa(), User("tim"), Pass(CANARY), Stat(), Language())
    assert events == [ResponseReceived(Greeting(), refused, discarded)]
    assert (connection.state, connection.greeting) == (State.GREETING, None)
    assert connection.data_to_send() == [b"QUIT\r\n"]
    assert tell(connection, b"+OK\r\n") == [ResponseReceived(Quit(), Response(True))]
    assert dead(connection)


@pytest.mark.parametrize(
    "line", [b"220 smtp.example.org ESMTP", b"+ok ready", b"+ERR no", b"+ dGlt", b"", b"\0", b"* OK", b"+OKready"]
)
def test_anything_else_in_place_of_the_greeting_is_a_fault(line: bytes) -> None:
    connection = Connection()
    connection.send(Capa())
    with pytest.raises(RemoteProtocolError, match=r"expected \+OK or -ERR") as caught:
        tell(connection, line + b"\r\n")
    assert repr(line) in str(caught.value)
    assert "in answer to (the connection)" in str(caught.value)
    assert connection.in_flight == (Greeting(),)
    assert dead(connection)


# Responses answer commands in their order


def test_a_response_answers_the_oldest_command_in_flight() -> None:
    connection = logged_in()
    assert ask(connection, Stat(), Noop(), Dele(2)) == b"STAT\r\nNOOP\r\nDELE 2\r\n"
    assert unanswered(connection) == (Stat(), Noop(), Dele(2))
    connection.receive_data(b"+OK 2 320\r\n-ERR no\r\n+OK gone\r\n")
    assert connection.next_event() == ResponseReceived(Stat(), Response(True, b"2 320"))
    assert unanswered(connection) == (Noop(), Dele(2))
    assert connection.next_event() == ResponseReceived(Noop(), Response(False, b"no"))
    assert connection.next_event() == ResponseReceived(Dele(2), Response(True, b"gone"))
    assert connection.next_event() is None
    assert connection.in_flight == ()


def test_what_a_server_says_is_kept_octet_for_octet() -> None:
    text = bytes(code for code in range(1, 256) if code != 0x0A)
    connection = logged_in()
    ask(connection, Noop())
    assert tell(connection, b"-ERR " + text + b"\r\n") == [ResponseReceived(Noop(), Response(False, text))]


def test_a_refusal_has_no_body_whatever_was_asked() -> None:
    commands: list[Command[object]] = [Capa(), List(), Uidl(), Retr(1), Top(1, 0), Language()]
    for command in commands:
        connection = logged_in()
        ask(connection, command, Noop())
        assert tell(connection, b"-ERR no\r\n")[0] == ResponseReceived(command, Response(False, b"no"))
        assert connection.next_event() is None
        assert (*connection.in_flight, *connection.queued) == (Noop(),)


def test_a_listing_of_one_message_has_no_body() -> None:
    connection = logged_in()
    commands: list[Command[object]] = [List(2), Uidl(2), Noop()]
    ask(connection, *commands)
    events = tell(connection, b"+OK 2 200\r\n+OK 2 uid\r\n+OK\r\n")
    lines = (b"2 200", b"2 uid", b"")
    assert events == [
        ResponseReceived(command, Response(True, line)) for command, line in zip(commands, lines, strict=True)
    ]


def test_a_listing_comes_whole_with_its_response() -> None:
    connection = logged_in()
    ask(connection, List(), Uidl())
    assert tell(connection, b"+OK 2 messages\r\n1 120\r\n") == []
    assert connection.in_flight == (List(), Uidl())
    events = tell(connection, b"2 200\r\n..\r\n.\r", b"\n+OK\r\n.\r\n")
    assert events == [
        ResponseReceived(List(), Response(True, b"2 messages", reading=listed(b"1 120\r\n2 200\r\n.\r\n"))),
        ResponseReceived(Uidl(), Response(True, reading=identified(b""))),
    ]
    assert isinstance(events[0], ResponseReceived)
    assert dict(List().parse(events[0].response)) == {1: 120, 2: 200}


@pytest.mark.parametrize("line", [b"", b"OK", b"+", b"+ OK", b"250 OK", b"+OK\0", b"-ERRx", b"tim", b"\x1b[2J", b"."])
@pytest.mark.parametrize("command", [Dele(7), Retr(7)], ids=str)
def test_garbage_in_place_of_a_response_is_a_fault_and_the_end(line: bytes, command: Dele | Retr) -> None:
    connection = logged_in()
    ask(connection, command, Noop())
    with pytest.raises(RemoteProtocolError) as caught:
        tell(connection, line + b"\r\n+OK\r\n+OK\r\n")
    assert repr(line) in str(caught.value)
    assert f"in answer to {command}" in str(caught.value)
    assert str(caught.value).isprintable()
    assert connection.in_flight == (command, Noop())
    assert dead(connection)


# What was not asked for


@pytest.mark.parametrize("state", [State.GREETING, State.AUTHORIZATION, State.TRANSACTION])
def test_an_unasked_refusal_ends_an_idle_session(state: State) -> None:
    connection = connection_in(state)
    connection.send(Quit())
    assert tell(connection, b"-ERR [SYS/TEMP] idle too long\r\n") == [
        ServerClosing(Response(False, b"[SYS/TEMP] idle too long"))
    ]
    assert dead(connection)


@pytest.mark.parametrize("line", [b"+OK", b"+OK go on", b"+ ", b"", b"* BYE", b"\0", b"hello"])
@pytest.mark.parametrize("state", [State.GREETING, State.AUTHORIZATION, State.TRANSACTION])
def test_anything_else_that_was_not_asked_for_is_a_fault(state: State, line: bytes) -> None:
    connection = connection_in(state)
    with pytest.raises(RemoteProtocolError, match=r"expected (nothing|\+OK or -ERR)") as caught:
        tell(connection, line + b"\r\n")
    assert line.decode().strip("\0") in str(caught.value)
    assert str(caught.value).isprintable()
    assert dead(connection)


@pytest.mark.parametrize("said", [b"+OK\r\n", b"-ERR no\r\n", b"+OK\r\n+OK\r\n", b"+", b"\r", b"\n", b"\xff"])
def test_nothing_is_sent_while_what_the_server_said_unasked_was_not_taken(said: bytes) -> None:
    connection = greeted()
    connection.receive_data(said)
    assert connection.data_to_send() == []
    connection.send(Capa())
    with pytest.raises(RemoteProtocolError) as caught:
        connection.data_to_send()
    assert str(caught.value) == f"expected nothing from the server, got {said!r}"
    assert connection.in_flight == ()
    assert dead(connection)


def test_an_answer_that_comes_before_its_question_answers_nothing() -> None:
    # CVE-2026-42246: the go-ahead to STARTTLS was said before it was asked for, and taken for the answer.
    connection = Connection()
    connection.send(Stls())
    connection.receive_data(b"+OK ready\r\n+OK begin TLS\r\n")
    assert connection.next_event() == ResponseReceived(Greeting(), Response(True, b"ready"))
    with pytest.raises(RemoteProtocolError, match="expected nothing from the server"):
        connection.data_to_send()
    assert dead(connection)


def test_one_answer_too_many_is_a_fault() -> None:
    connection = logged_in()
    ask(connection, Retr(1))
    with pytest.raises(RemoteProtocolError, match=r"expected nothing from the server, got '\+OK twice'"):
        tell(connection, b"+OK\r\nhello\r\n.\r\n+OK twice\r\n")
    assert dead(connection)


def test_the_lines_behind_a_lone_dot_in_an_unstuffed_message_are_a_fault() -> None:
    # CVE-2001-0996: a server that does not stuff lets the author of a mail write the server's next answers.
    connection = logged_in()
    ask(connection, Retr(1))
    with pytest.raises(RemoteProtocolError):
        tell(connection, b"+OK\r\nhello\r\n.\r\nthe rest of the mail\r\n.\r\n")


# Messages


def test_a_message_follows_its_response_in_blocks_and_ends_when_the_terminator_was_seen() -> None:
    connection = logged_in()
    command = Retr(1)
    ask(connection, command)
    assert tell(connection, b"+OK 12 octets\r\n") == [ResponseReceived(command, Response(True, b"12 octets"))]
    assert tell(connection, b"hello\r\n") == [MessageData(command, b"hello\r\n")]
    assert unanswered(connection) == (command,)
    assert tell(connection, b"you\r\n.") == [MessageData(command, b"you\r\n")]
    assert tell(connection, b"\r\n") == [MessageEnd(command, 12)]
    assert connection.in_flight == ()


def test_messages_are_handed_out_one_event_at_a_time() -> None:
    connection = logged_in()
    ask(connection, Retr(1), Retr(2))
    connection.receive_data(b"+OK\r\none\r\n.\r\n+OK\r\ntwo\r\n.\r\n")
    assert connection.next_event() == ResponseReceived(Retr(1), Response(True))
    assert connection.next_event() == MessageData(Retr(1), b"one\r\n")
    assert unanswered(connection) == (Retr(1), Retr(2))
    assert connection.next_event() == MessageEnd(Retr(1), 5)
    assert connection.in_flight == (Retr(2),)
    assert account(take(connection)) == message(b"two\r\n", "RETR 2")


def test_a_message_that_lies_whole_in_a_piece_can_be_taken_in_the_place_of_its_events() -> None:
    connection = logged_in()
    ask(connection, Retr(1), Retr(2), Retr(3))
    connection.receive_data(b"+OK\r\none\r\n..\r\n.\r\n+OK\r\ntwo\r\n.\r\n+OK\r\nth")
    assert connection.take_message(100) is None  # its response comes first
    assert connection.next_event() == ResponseReceived(Retr(1), Response(True))
    assert connection.take_message(100) == b"one\r\n.\r\n"
    assert connection.in_flight == (Retr(2), Retr(3))
    assert connection.take_message(100) is None
    assert connection.next_event() == ResponseReceived(Retr(2), Response(True))
    assert connection.take_message(4) is None
    assert connection.take_message(5) == b"two\r\n"
    assert connection.next_event() == ResponseReceived(Retr(3), Response(True))
    assert connection.take_message(100) is None  # it is not whole
    assert take(connection) == [MessageData(Retr(3), b"th")]
    connection.receive_data(b"ree\r\n.\r\n")
    assert connection.take_message(100) is None  # it was begun
    assert take(connection) == [MessageData(Retr(3), b"ree\r\n"), MessageEnd(Retr(3), 7)]
    assert not unanswered(connection)


def any_message(_: bytes) -> bool:
    return True


def test_messages_that_lie_whole_in_a_piece_can_be_taken_together() -> None:
    told: list[tuple[Direction, Traceable]] = []
    connection = logged_in(trace=lambda *said: told.append(said))
    ask(connection, *(Retr(number) for number in range(1, 6)))
    told.clear()
    assert connection.take_messages(100, any_message) == []
    connection.receive_data(b"+OK\r\none\r\n..\r\n.\r\n+OK 5 octets\r\ntwo\r\n.\r\n+OK\r\nth")
    assert connection.take_messages(100, any_message) == [b"one\r\n.\r\n", b"two\r\n"]
    assert connection.in_flight == (Retr(3), Retr(4), Retr(5))
    (record,) = told
    assert (record[0], record[1].shown()) == ("S", ["+OK", "(8 octets)", "+OK 5 octets", "(5 octets)"])
    assert connection.take_messages(100, any_message) == []  # it is not whole
    assert take(connection) == [ResponseReceived(Retr(3), Response(True)), MessageData(Retr(3), b"th")]
    connection.receive_data(b"ree\r\n.\r\n")
    assert connection.take_messages(100, any_message) == []  # it was begun
    assert take(connection) == [MessageData(Retr(3), b"ree\r\n"), MessageEnd(Retr(3), 7)]
    connection.receive_data(b"+O")
    assert take(connection) == []
    connection.receive_data(b"K\r\nfour\r\n.\r\n+OK\r\nfive\r\n.\r\n")
    assert connection.take_messages(100, any_message) == []  # its first line was begun
    assert connection.next_event() == ResponseReceived(Retr(4), Response(True))
    assert connection.take_message(100) == b"four\r\n"
    assert connection.take_messages(100, any_message) == [b"five\r\n"]
    assert not unanswered(connection)


@pytest.mark.parametrize(
    "answer",
    [
        b"-ERR no\r\n",
        b"hello\r\n",
        b"\r\n",
        b"+OK\nthree\r\n.\r\n",
        b"+OK\r\n.\r\n",
        b"+OK\r\n..three\r\n.\r\n",
        b"+OK\r\n+OK three\r\n.\r\n",
        b"+OK\r\nwanted by nobody\r\n.\r\n",
        b"+OK\r\n" + b"0123456789" * 4 + b"\r\n.\r\n",
        b"+OK " + b"x" * DEFAULT_LIMITS.line + b"\r\nthree\r\n.\r\n",
    ],
)
def test_what_is_behind_a_message_that_is_not_as_most_comes_as_events(answer: bytes) -> None:
    connection = logged_in()
    ask(connection, *(Retr(number) for number in range(1, 5)))
    connection.receive_data(b"+OK\r\none\r\n.\r\n+OK\r\ntwo\r\n.\r\n" + answer + b"+OK\r\nfour\r\n.\r\n")
    assert connection.take_messages(50, lambda message: b"nobody" not in message) == [b"one\r\n", b"two\r\n"]
    assert connection.in_flight == (Retr(3), Retr(4))
    with suppress(MailwireError):
        assert connection.next_event() is not None


def test_of_messages_no_more_are_taken_together_than_all_may_have() -> None:
    connection = logged_in()
    ask(connection, *(Retr(number) for number in range(1, 5)))
    connection.receive_data(b"+OK\r\nhello\r\n.\r\n" * 4)
    assert connection.take_messages(13, any_message) == [b"hello\r\n"]
    assert connection.take_messages(14, any_message) == [b"hello\r\n"] * 2
    assert connection.take_messages(6, any_message) == []


@pytest.mark.parametrize("other", [Noop(), Top(2, 1), Dele(1)])
def test_what_is_no_retr_is_not_taken_for_one(other: Command[object]) -> None:
    connection = logged_in()
    ask(connection, Retr(1), other, Retr(2))
    connection.receive_data(b"+OK\r\none\r\n.\r\n+OK\r\ntwo\r\n.\r\n")
    assert connection.take_messages(100, any_message) == [b"one\r\n"]
    assert connection.in_flight == (other, Retr(2))


def test_of_a_server_that_ends_its_lines_in_a_bare_line_feed_none_are_taken_together() -> None:
    connection = Connection(quirks=replace(STANDARD, bare_lf_bodies=True))
    tell(connection, b"+OK\r\n")
    ask(connection, Pass(CANARY))
    tell(connection, b"+OK\r\n")
    ask(connection, Retr(1))
    connection.receive_data(b"+OK\r\none\r\n.\r\n")
    assert connection.take_messages(100, any_message) == []


def test_in_another_state_no_messages_are_taken() -> None:
    connection = greeted()
    assert connection.take_messages(100, any_message) == []


def by_all_ways(wire: Iterable[bytes], count: int, limit: int) -> tuple[list[bytes], list[str]]:
    """The messages that come, taken together where that is possible; and what was told."""
    told: list[str] = []

    def tell_of(direction: Direction, what: Traceable) -> None:
        told.extend(f"{direction}: {line}" for line in what.shown())

    connection = logged_in(trace=tell_of)
    ask(connection, *(Retr(number) for number in range(1, count + 1)))
    found: list[bytes] = []
    for piece in wire:
        connection.receive_data(piece)
        while True:
            found += connection.take_messages(limit, lambda message: b"a" not in message) if limit else []
            event = connection.next_event()
            if isinstance(event, ResponseReceived):
                found.append(b"")
            elif isinstance(event, MessageData):
                found[-1] += event.data
            elif event is None:
                break
    assert connection.in_flight == ()
    return found, told


def test_the_words_by_which_a_message_is_given_are_read_whether_they_repeat_or_not() -> None:
    connection = logged_in()
    said = [b"+OK", b"+OK message follows", *(b"+OK %d octets" % size for size in range(20)), b"+OK 3 octets", b"+OK"]
    for number, line in enumerate(said, start=1):
        connection.send(Retr(number))
        connection.data_to_send()
        connection.receive_data(line + b"\r\nx\r\n.\r\n")
        received = connection.next_event()
        assert isinstance(received, ResponseReceived)
        assert received == (Retr(number), Response(True, line[4:]), ())
        assert connection.take_message(100) == b"x\r\n"
    connection.send(Retr(1))
    connection.send(Stat())
    connection.data_to_send()
    connection.receive_data(b"-ERR message follows\r\n+OK\r\n")  # what was said of a message tells nothing of others
    assert connection.next_event() == (Retr(1), Response(False, b"message follows"), ())
    assert connection.next_event() == (Stat(), Response(True), ())


def test_a_message_that_was_taken_whole_is_told_like_any_other() -> None:
    told: list[list[str]] = [[], []]
    for transcript, is_whole in zip(told, (False, True), strict=True):
        connection = logged_in(trace=lambda who, what, to=transcript: to.extend(f"{who}: {x}" for x in what.shown()))  # type: ignore[misc]
        ask(connection, Retr(1))
        connection.receive_data(b"+OK\r\none\r\n..\r\n.\r\n+OK\r\n")
        assert connection.next_event() == ResponseReceived(Retr(1), Response(True))
        assert not is_whole or connection.take_message(100) is not None
        with pytest.raises(RemoteProtocolError, match="RETR 1"):
            take(connection)
        assert connection.take_message(100) is None
    assert told[0] == told[1]
    assert told[0][-2:] == ["S: (8 octets)", "S: +OK"]


def test_a_listing_is_not_taken_for_a_message() -> None:
    connection = logged_in()
    ask(connection, List())
    assert tell(connection, b"+OK\r\n1 5\r\n") == []
    connection.receive_data(b"2 5\r\n.\r\n")
    assert connection.take_message(100) is None
    assert [type(event) for event in take(connection)] == [ResponseReceived]


def test_a_listing_that_lies_whole_in_a_piece_is_not_taken_for_a_message() -> None:
    connection = logged_in()
    ask(connection, List())
    assert tell(connection, b"+OK\r\n") == []
    connection.receive_data(b"1 5\r\n.\r\n")
    assert connection.take_message(100) is None
    assert [type(event) for event in take(connection)] == [ResponseReceived]


def test_the_first_answer_of_many_lines_may_be_a_message() -> None:
    connection = greeted()
    ask(connection, Pass(CANARY))
    tell(connection, b"+OK\r\n")
    ask(connection, Retr(1))
    assert messages(tell(connection, b"+OK\r\none\r\n.\r\n")) == {"RETR 1": b"one\r\n"}


def test_what_waits_to_leave_is_known() -> None:
    connection = logged_in()
    assert connection.is_all_sent
    connection.send(Noop())
    assert not connection.is_all_sent
    connection.data_to_send()
    assert connection.is_all_sent


@pytest.mark.parametrize("place", range(1, 5))
@pytest.mark.parametrize("body", [b"", b"hello", b"hello\r\n", b".", b"..", b"\r\n.", b"\r", b"a\r\n\r"])
def test_the_terminator_may_come_in_two_pieces(body: bytes, place: int) -> None:
    wire = stuffed(body).removesuffix(b".\r\n")
    if wire:
        wire = wire.removesuffix(b"\r\n")
        pieces = [b"+OK\r\n" + wire + TERMINATOR[:place], TERMINATOR[place:]]
    else:
        pieces = [b"+OK\r\n" + TERMINATOR[2:place], TERMINATOR[max(2, place) :]]
    expected = body if body.endswith(b"\r\n") or not body else body + b"\r\n"
    assert retrieve(*pieces) == message(expected)


def test_the_terminator_may_come_octet_by_octet() -> None:
    connection = logged_in()
    ask(connection, Retr(1))
    tell(connection, b"+OK\r\nhello")
    told = [account(tell(connection, octet)) for octet in octets(TERMINATOR)]
    assert told == [[("data", "RETR 1", b"\r")], [("data", "RETR 1", b"\n")], [], [], [("end", "RETR 1", 7)]]


BODIES = {
    "empty": b"",
    "one line": b"hello\r\n",
    "two dots": b"..\r\n",
    "three dots": b"...\r\n",
    "dots and text": b"..x\r\n.x\r\n",
    "a lone dot": b".\r\n",
    "ends in a lone dot": b"hello\r\n.\r\n",
    "ends in two dots": b"hello\r\n..\r\n",
    "lone dots": b".\r\n.\r\n.\r\n",
    "empty lines": b"\r\n\r\n\r\n",
    "bare LF": b"a\nb\n\n.c\n..d\r\n",
    "bare CR": b"a\rb\r\r.c\r\r\n",
    "smuggling with LF": b"hello\n.\nQUIT\r\n",
    "smuggling with LF and CRLF": b"hello\n.\r\n-ERR no such message\r\n",
    "smuggling with CR": b"hello\r.\r\n-ERR no such message\r\n",
    "smuggling with CR, CR and LF": b"hello\r\n.\r\r\n-ERR no such message\r\n",
    "every octet": bytes(range(256)) + b"\r\n",
    "NUL": b"\0\r\n\0.\r\n.\0\r\n",
    "GBK": "登录成功\r\n".encode("gbk"),
    "looks like answers": b"+ OK\r\n+OK\r\n-ERR\r\n.\r\n+ \r\n",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_a_message_comes_octet_for_octet(body: bytes) -> None:
    wire = b"+OK\r\n" + stuffed(body)
    assert retrieve(wire) == message(body)
    assert retrieve(*wire.splitlines(keepends=True)) == message(body)
    assert retrieve(*octets(wire)) == message(body)
    for place in range(1, len(wire)):
        assert retrieve(wire[:place], wire[place:]) == message(body), place


def test_top_is_a_message_too() -> None:
    wire = b"+OK\r\nSubject: x\r\n\r\n.\r\n"
    assert retrieve(wire, command=Top(1, 0)) == message(b"Subject: x\r\n\r\n", "TOP 1 0")


def test_dots_that_a_server_did_not_stuff_stay() -> None:
    # hMailServer before 5.7 did not stuff the answer to TOP.
    assert retrieve(b"+OK\r\n.x\r\n...x\r\n.\r\n") == message(b".x\r\n..x\r\n")


def test_a_message_is_as_long_as_it_is_whatever_size_was_announced() -> None:
    megabyte = b"x" * 1022 + b"\r\n"
    connection = logged_in()
    ask(connection, Retr(1, size=5), Retr(2, size=10**20))
    events = tell(connection, b"+OK 5 octets\r\n", *[megabyte] * 1024, b".\r\n")
    assert events[-1] == MessageEnd(Retr(1), 1024 * 1024)
    assert sum(len(event.data) for event in events if isinstance(event, MessageData)) == 1024 * 1024
    ask(connection)
    assert account(tell(connection, b"+OK 99999999 octets\r\nhi\r\n.\r\n")) == message(
        b"hi\r\n", "RETR 2", b"99999999 octets"
    )


def test_a_line_of_a_message_may_have_any_length() -> None:
    line = b"x" * 3_000_000 + b"\r\n"
    wire = b"+OK\r\n" + line + b"." + line + line[:-2] + b".\r\n.\r\n"
    pieces = [wire[place : place + 65_536] for place in range(0, len(wire), 65_536)]
    assert retrieve(*pieces) == message(line + b"." + line + line[:-2] + b".\r\n")


def test_a_message_has_no_limit_while_it_is_taken_in_blocks() -> None:
    connection = logged_in()
    ask(connection, Retr(1))
    block = b"x" * 65_534 + b"\r\n"
    tell(connection, b"+OK\r\n")
    for _ in range(1600):
        connection.receive_data(block)
        event = connection.next_event()
        assert isinstance(event, MessageData)
        assert event.data == block
        assert connection.next_event() is None
    assert tell(connection, b".\r\n") == [MessageEnd(Retr(1), 1600 * 65_536)]


def test_a_refused_message_does_not_end_the_run() -> None:
    connection = logged_in()
    ask(connection, Retr(1), Retr(2), Retr(3))
    assert account(tell(connection, b"+OK\r\none\r\n.\r\n-ERR gone\r\n+OK\r\nthree\r\n.\r\n")) == [
        *message(b"one\r\n"),
        ("said", "RETR 2", Response(False, b"gone")),
        *message(b"three\r\n", "RETR 3"),
    ]


# Line ends


def test_a_server_that_ends_all_its_lines_in_a_bare_lf_is_understood() -> None:
    connection = Connection()
    for command in (Capa(), User("tim"), Pass(CANARY), List(), Retr(1), Retr(2), Quit()):
        connection.send(command)
    answers = [
        (b"", b"+OK ready\n"),
        (b"CAPA\r\n", b"+OK\nUSER\nPIPELINING\n.\n"),
        (b"USER tim\r\nPASS " + CANARY.encode() + b"\r\n", b"+OK\n+OK\n"),
        (b"LIST\r\nRETR 1\r\nRETR 2\r\nQUIT\r\n", b"+OK\n1 5\n2 0\n.\n+OK\n..\n..x\nhi\n.\n+OK\n.\n+OK bye\n"),
    ]
    events: list[Event] = []
    for written, answer in answers:
        assert b"".join(connection.data_to_send()) == written
        events += tell(connection, *octets(answer))
    assert messages(events) == {"RETR 1": b".\n.x\nhi\n", "RETR 2": b""}
    assert List().parse(events[4].response) == {1: 5, 2: 0} if isinstance(events[4], ResponseReceived) else False
    assert connection.capabilities is not None
    assert list(connection.capabilities) == ["USER", "PIPELINING"]
    assert connection.state is State.CLOSED


def test_a_message_of_a_bare_lf_server_may_end_as_it_should() -> None:
    assert retrieve(b"+OK\nhello\n.\r\n") == message(b"hello\n")
    assert retrieve(b"+OK\nhello\r\n.\r\n") == message(b"hello\r\n")
    assert retrieve(b"+OK\n.\r\n") == message(b"")


@pytest.mark.parametrize("wire", [b"hello\n.\n", b"\n.\n", b".\n", b"hello\n.\r\n", b"\n.\r\n", b"hello\r\n.\n"])
def test_behind_a_crlf_status_no_bare_lf_ends_a_message(wire: bytes) -> None:
    connection = logged_in()
    ask(connection, Retr(1))
    for octet in octets(b"+OK\r\n" + wire):
        assert not any(isinstance(event, MessageEnd) for event in tell(connection, octet))
    events = tell(connection, b"the rest\r\n.\r\n")
    assert events[-1] == MessageEnd(Retr(1), len(wire) + 10)


def test_each_answer_is_judged_by_its_own_line_ends() -> None:
    connection = logged_in()
    ask(connection, Retr(1), Retr(2), Retr(3))
    events = tell(connection, b"+OK\na\n.\n+OK\r\nb\n.\nc\r\n.\r\n+OK\nd\n.\n")
    assert messages(events) == {"RETR 1": b"a\n", "RETR 2": b"b\n.\nc\r\n", "RETR 3": b"d\n"}


# However the octets are cut

SHORT = (
    b"+OK 2 9\r\n+OK\r\n1 3\r\n2 6\r\n.\r\n+OK\r\n..\r\n.\r\n-ERR no\r\n"
    b"+OK\r\n.\r\n+OK\r\n1 a\r\n.\r\n+OK\r\na\n.\r\r\n..b\r\n.\r\n+OK\r\n"
)
SHORT_LF = b"+OK 2 9\n+OK\n1 3\n2 6\n.\n+OK\n..\n.\n-ERR no\n+OK\n.\n+OK\n1 a\n.\n+OK\na\r.\r\n\r\n..b\n.\n+OK\n"


def short(*pieces: bytes) -> Account:
    connection = logged_in()
    ask(connection, Stat(), List(), Retr(1), Dele(1), Retr(2), Uidl(), Top(2, 1), Noop())
    told = account(tell(connection, *pieces))
    assert (connection.in_flight, connection.state) == ((), State.TRANSACTION)
    return told


def test_answers_are_the_same_however_they_are_cut() -> None:
    whole = short(SHORT)
    assert whole == [
        ("said", "STAT", Response(True, b"2 9")),
        ("said", "LIST", Response(True, reading=listed(b"1 3\r\n2 6\r\n"))),
        *message(b".\r\n"),
        ("said", "DELE 1", Response(False, b"no")),
        *message(b"", "RETR 2"),
        ("said", "UIDL", Response(True, reading=identified(b"1 a\r\n"))),
        *message(b"a\n.\r\r\n.b\r\n", "TOP 2 1"),
        ("said", "NOOP", Response(True)),
    ]
    assert short(*SHORT.splitlines(keepends=True)) == whole
    assert short(*octets(SHORT)) == whole
    for first in range(1, len(SHORT)):
        assert short(SHORT[:first], SHORT[first:]) == whole, first


def test_answers_are_the_same_with_any_two_cuts() -> None:
    for wire in (SHORT, SHORT_LF):
        whole = short(wire)
        for first, second in combinations(range(1, len(wire)), 2):
            assert short(wire[:first], wire[first:second], wire[second:]) == whole, (wire, first, second)


PIECES = st.sampled_from([b".", b"..", b"\r\n", b"\r\n.", b"\n", b"\r", b"\n.", b"a", b"\0", b"\xff", b"\r\n.\r\n"])
MESSAGES = st.lists(PIECES | st.binary(max_size=4), max_size=25).map(b"".join)


def cut(data: bytes, places: Iterable[int]) -> Iterator[bytes]:
    begin = 0
    for place in sorted({place % (len(data) + 1) for place in places}):
        yield data[begin:place]
        begin = place
    yield data[begin:]


@given(st.lists(MESSAGES, max_size=6), st.lists(st.integers(0, 10_000), max_size=6), st.integers(1, 60))
@settings(deadline=None)
def test_taken_together_messages_are_the_same(bodies: list[bytes], places: list[int], limit: int) -> None:
    wire = b"".join(b"+OK %d\r\n" % (len(body) % 3) + stuffed(body) for body in bodies)
    pieces = list(cut(wire, places))
    assert by_all_ways(pieces, len(bodies), limit) == by_all_ways(pieces, len(bodies), 0)


@given(st.lists(MESSAGES, max_size=4), st.lists(st.integers(0, 10_000), max_size=12))
@settings(deadline=None)
def test_any_octets_survive_as_a_message(bodies: list[bytes], places: list[int]) -> None:
    connection = logged_in()
    ask(connection, *(Retr(number) for number in range(1, len(bodies) + 1)))
    wire = b"".join(b"+OK\r\n" + stuffed(body) for body in bodies)
    complete = [body if not body or body.endswith(b"\r\n") else body + b"\r\n" for body in bodies]
    assert account(tell(connection, *cut(wire, places))) == [
        entry for number, body in enumerate(complete, 1) for entry in message(body, f"RETR {number}")
    ]
    assert connection.in_flight == ()


@given(st.lists(PIECES.filter(lambda piece: b"\r" not in piece)).map(b"".join), st.lists(st.integers(0, 10_000)))
@settings(deadline=None)
def test_any_octets_survive_as_a_message_of_a_bare_lf_server(body: bytes, places: list[int]) -> None:
    complete = body if not body or body.endswith(b"\n") else body + b"\n"
    assert retrieve(*cut(b"+OK\n" + stuffed(body, b"\n"), places)) == message(complete)


NOISE = st.sampled_from(
    [
        *(b"+OK", b"-ERR", b"+", b"+ ", b"-", b" ", b"\r\n", b"\n", b"\r", b".", b"..", b".\r\n", b"\r\n.\r\n", b"\0"),
        *(b"+OK\r\n", b"+OK\n", b"-ERR no\r\n", b"+OK 1 2\r\n", b"1 5\r\n", b"1 uid\r\n", b"+ \r\n", b"+ dGlt\r\n"),
        *(b"a", b"PIPELINING\r\n", b"\xff", b"[IN-USE] ", b"x" * 9000),
    ]
)
SPEECH = st.lists(NOISE | st.binary(max_size=6), max_size=25).map(b"".join)
# All of these leave at once: what is written later, and when, would depend on how the answers are cut.
QUESTIONS: list[tuple[State, Sequence[str]]] = [
    *((State.AUTHORIZATION, (name,)) for name in ("AUTH", "APOP", "CAPA", "USER", "PASS", "LANG", "QUIT")),
    (State.AUTHORIZATION, ()),
    (State.TRANSACTION, ("STAT", "LIST", "RETR", "UIDL", "TOP", "NOOP")),
    (State.TRANSACTION, ("RETR", "QUIT")),
    (State.TRANSACTION, ("LANG",)),
    (State.TRANSACTION, ()),
]


def hear(state: State, questions: Sequence[str], pieces: Iterable[bytes]) -> tuple[Account, object, bytes, State]:
    """What comes of it when a machine that has asked `questions` hears `pieces`, and then the end of all."""
    connection = connection_in(state)
    ask(connection, *(EVERY_COMMAND[name]() for name in questions))
    assert connection.queued == ()
    events: list[Event] = []
    written = b""
    error: MailwireError | None = None
    try:
        for piece in pieces:
            connection.receive_data(piece)
            while (event := connection.next_event()) is not None:
                events.append(event)
            written += b"".join(connection.data_to_send())
        connection.receive_eof()
        events += take(connection)
    except MailwireError as caught:
        error = caught
        assert connection.state is State.CLOSED
        assert str(error).isprintable()
        assert CANARY not in repr(error)
        if not isinstance(error, ConnectionLost):
            written = b""  # what had not left by then never will
    assert connection.next_event() is None
    return account(events), type(error), written, connection.state


@given(st.sampled_from(QUESTIONS), SPEECH, st.lists(st.integers(0, 10_000)))
@example((State.AUTHORIZATION, ("QUIT",)), b"+OK\r\n+OK", [])
@example((State.TRANSACTION, ("RETR", "QUIT")), b"-ERR no\r\n-ERR no\r\n.", [])
@property_settings(70)
def test_whatever_a_server_says_is_an_event_or_a_documented_error_however_it_is_cut(
    asked: tuple[State, Sequence[str]], speech: bytes, places: list[int]
) -> None:
    whole = hear(*asked, [speech])
    for pieces in (octets(speech), cut(speech, places)):
        heard = hear(*asked, pieces)
        if heard != whole:
            # What is behind the answer to QUIT is looked at where it comes with it: nobody waits for it.
            *before, last = heard[0]
            assert last[:2] == ("said", "QUIT")
            assert heard[1:] == (type(None), b"", State.CLOSED)
            assert whole in [(before, error, b"", State.CLOSED) for error in (RemoteProtocolError, Desynchronised)]


@given(SPEECH, st.lists(st.integers(0, 10_000)))
@settings(deadline=None)
def test_whatever_a_server_says_to_stls_leads_to_tls_only_if_it_is_the_go_ahead_and_nothing_else(
    speech: bytes, places: list[int]
) -> None:
    _, error, _, state = hear(State.AUTHORIZATION, ["STLS"], [speech])
    assert hear(State.AUTHORIZATION, ["STLS"], cut(speech, places))[1:] == (error, b"", state)
    # The end of it all closes the machine, so look again without.
    connection = greeted()
    ask(connection, Stls())
    try:
        tell(connection, speech)
    except MailwireError:
        assert connection.state is State.CLOSED
    line, _, rest = speech.partition(b"\n")
    goes_ahead = line.removesuffix(b"\r").startswith(b"+OK") and b"\0" not in line and not rest and b"\n" in speech
    if connection.state is State.TLS:
        assert goes_ahead
        connection.tls_established()


# The window


def test_without_pipelining_one_command_is_in_flight_at_a_time() -> None:
    connection = greeted()
    assert ask(connection, User("tim"), Pass(CANARY), Stat(), Noop()) == b"USER tim\r\n"
    for line in (b"PASS " + CANARY.encode() + b"\r\n", b"STAT\r\n", b"NOOP\r\n", b""):
        assert connection.data_to_send() == []
        tell(connection, b"+OK 0 0\r\n")
        assert b"".join(connection.data_to_send()) == line


def test_where_pipelining_is_announced_many_commands_are_in_flight() -> None:
    connection = logged_in()
    assert ask(connection, *(Retr(number) for number in range(1, 251))).count(b"\r\n") == 100
    assert (len(connection.in_flight), len(connection.queued)) == (100, 150)
    assert Window(commands=100, octets=4 * 1024 * 1024) == PIPELINING_WINDOW
    tell(connection, b"-ERR no\r\n" * 49)
    assert connection.data_to_send() == []
    tell(connection, b"-ERR no\r\n")
    assert b"".join(connection.data_to_send()) == b"".join(b"RETR %d\r\n" % number for number in range(101, 151))


def test_a_machine_told_to_keep_lockstep_does_not_pipeline() -> None:
    connection = logged_in(window=LOCKSTEP)
    assert connection.capabilities is not None
    assert "PIPELINING" in connection.capabilities
    assert ask(connection, Stat(), Noop()) == b"STAT\r\n"


def test_the_octets_that_answers_are_expected_to_have_bound_what_is_in_flight() -> None:
    connection = logged_in(window=Window(commands=100, octets=1000))
    assert ask(connection, Retr(1, size=600), Retr(2, size=401), Retr(3, size=1)) == b"RETR 1\r\n"
    tell(connection, b"+OK\r\n", b"x" * 10_000)
    assert connection.data_to_send() == []  # the message is not over
    tell(connection, b"\r\n.\r\n")
    assert b"".join(connection.data_to_send()) == b"RETR 2\r\nRETR 3\r\n"


def test_the_octets_in_flight_may_fill_the_window_to_the_last() -> None:
    connection = logged_in(window=Window(commands=100, octets=1000))
    commands = [Retr(1, size=600), Retr(2, size=400), Retr(3), Stat(), Retr(4, size=1)]
    assert ask(connection, *commands) == b"RETR 1\r\nRETR 2\r\nRETR 3\r\nSTAT\r\n"
    tell(connection, b"-ERR no\r\n")
    assert b"".join(connection.data_to_send()) == b"RETR 4\r\n"


class Secretive(Retr):
    """RETR of the caller's own."""

    is_secret = True


def test_messages_can_be_asked_for_together() -> None:
    connection = logged_in(window=Window(commands=3, octets=1000))
    connection.send_each([Retr(1, size=600), Top(2, 1)])
    connection.send_each([Retr(3, size=500), Retr(4)])
    connection.send_each([])
    assert connection.queued == (Retr(1), Top(2, 1), Retr(3), Retr(4))
    assert b"".join(connection.data_to_send()) == b"RETR 1\r\nTOP 2 1\r\n"
    tell(connection, b"-ERR no\r\n-ERR no\r\n")
    assert b"".join(connection.data_to_send()) == b"RETR 3\r\nRETR 4\r\n"


@pytest.mark.parametrize("state", [state for state in State if state is not State.TRANSACTION])
def test_messages_are_asked_for_together_in_an_open_maildrop_alone(state: State) -> None:
    connection, alike = connection_in(state), connection_in(state)
    with pytest.raises(LocalProtocolError, match=r"no message can be asked for now: ") as caught:
        connection.send_each([Retr(1), Retr(2)])
    with pytest.raises(LocalProtocolError) as told:
        alike.send(Retr(1))
    assert str(caught.value).partition(": ")[2] == str(told.value).partition(": ")[2]
    assert connection.queued == alike.queued


def test_behind_quit_no_message_is_asked_for() -> None:
    connection = logged_in()
    connection.send(Quit())
    with pytest.raises(LocalProtocolError, match="no message can be asked for now"):
        connection.send_each([Retr(1)])
    assert connection.queued == (Quit(),)


@pytest.mark.parametrize("other", [Noop(), Quit(), Dele(1), Secretive(1), Retr, "RETR 1", None])
def test_what_asks_for_no_message_is_not_sent_among_those_that_do(other: Any) -> None:
    connection = logged_in()
    with pytest.raises(ValueError) as caught:
        connection.send_each([Retr(1), other])
    told = f"expected a command such as pop3.Retr(1), got a value of the type {type(other).__name__}"
    assert str(caught.value) == told
    assert connection.queued == ()


def test_noop_may_leave_before_what_is_queued_where_many_may_be_unanswered() -> None:
    connection = logged_in(window=Window(commands=2, octets=1000))
    assert connection.send_ahead(Noop())
    assert connection.data_to_send() == [b"NOOP\r\n"]
    tell(connection, b"+OK\r\n")
    assert ask(connection, Retr(1), Retr(2), Retr(3)) == b"RETR 1\r\nRETR 2\r\n"
    tell(connection, b"+OK\r\nx")
    for _ in range(2):
        assert connection.send_ahead(Noop())
        assert connection.data_to_send() == [b"NOOP\r\n"]
    assert connection.in_flight == (Retr(1), Retr(2), Noop(), Noop())
    assert connection.queued == (Retr(3),)
    tell(connection, b"\r\n.\r\n+OK\r\n.\r\n+OK\r\n+OK\r\n")
    assert connection.data_to_send() == [b"RETR 3\r\n"]


def test_noop_leaves_also_while_answers_that_have_come_were_not_taken() -> None:
    connection = logged_in(window=Window(commands=1, octets=1000))
    connection.window = Window(commands=2, octets=1)
    assert ask(connection, Retr(1, size=5), Retr(2, size=5)) == b"RETR 1\r\n"
    connection.receive_data(b"+OK\r\nx\r\n.\r\n")
    assert connection.data_to_send() == []
    assert connection.send_ahead(Noop())
    assert connection.data_to_send() == [b"NOOP\r\n"]


@pytest.mark.parametrize("state", State)
def test_noop_goes_ahead_in_an_open_maildrop_alone(state: State) -> None:
    connection = connection_in(state)
    assert connection.send_ahead(Noop()) is (state is State.TRANSACTION)
    assert connection.data_to_send() == ([b"NOOP\r\n"] if state is State.TRANSACTION else [])


def test_noop_has_no_place_behind_the_end_of_a_group_nor_where_one_thing_is_asked_at_a_time() -> None:
    connection = logged_in()
    ask(connection, Quit())
    assert not connection.send_ahead(Noop())
    connection = logged_in(window=LOCKSTEP)
    assert connection.send_ahead(Noop())
    assert not connection.send_ahead(Noop())
    assert connection.data_to_send() == [b"NOOP\r\n"]


def test_noop_that_was_answered_before_it_left_leaves_and_what_else_was_said_is_told_behind_it() -> None:
    connection = logged_in()
    assert connection.send_ahead(Noop())
    connection.receive_data(b"+OK\r\n+OK again\r\n")
    assert connection.next_event() == ResponseReceived(Noop(), Response(True))
    assert connection.data_to_send() == [b"NOOP\r\n"]
    with pytest.raises(Desynchronised, match="NOOP may have been answered twice"):
        take(connection)


def test_noop_does_not_go_ahead_of_what_the_server_said_unasked() -> None:
    connection = logged_in()
    connection.receive_data(b"+O")
    with pytest.raises(RemoteProtocolError, match="expected nothing from the server"):
        connection.send_ahead(Noop())
    assert dead(connection)


def test_a_message_larger_than_the_window_travels_alone() -> None:
    connection = logged_in(window=Window(commands=100, octets=1000))
    assert ask(connection, Stat(), Retr(1, size=10**20), Stat()) == b"STAT\r\n"
    tell(connection, b"+OK 1 1\r\n")
    assert b"".join(connection.data_to_send()) == b"RETR 1\r\n"
    tell(connection, b"+OK\r\n.\r\n")
    assert b"".join(connection.data_to_send()) == b"STAT\r\n"


def test_the_window_can_be_narrowed_and_widened_while_it_is_in_use() -> None:
    connection = logged_in(window=Window(3, 10_000))
    for number in range(1, 8):
        connection.send(Noop() if number == 7 else Dele(number))
    assert connection.is_pipelining
    assert len(connection.data_to_send()) == 3
    connection.window = LOCKSTEP
    assert connection.window == LOCKSTEP
    # What has left stays in flight.
    assert connection.in_flight == (Dele(1), Dele(2), Dele(3))
    for left in (2, 1):
        tell(connection, b"+OK\r\n")
        assert connection.data_to_send() == []
        assert len(connection.in_flight) == left
    tell(connection, b"+OK\r\n")
    assert connection.data_to_send() == [b"DELE 4\r\n"]
    connection.window = Window(10, 10_000)
    assert connection.data_to_send() == [b"DELE 5\r\n", b"DELE 6\r\n", b"NOOP\r\n"]


def test_a_window_is_of_no_use_before_pipelining_is_announced() -> None:
    connection = greeted(window=LOCKSTEP)
    connection.window = Window(10, 10_000)
    assert not connection.is_pipelining
    assert ask(connection, Capa(), Capa()) == b"CAPA\r\n"
    tell(connection, b"+OK\r\nPIPELINING\r\n.\r\n")
    assert connection.is_pipelining
    assert connection.window == Window(10, 10_000)


def test_what_is_unanswered_can_be_asked_again_elsewhere() -> None:
    connection = logged_in()
    ask(connection, Retr(1, size=7), Dele(1), Retr(2, size=9), Quit())
    connection.receive_data(b"+OK\r\nx\r\n.\r\n+OK\r\n+OK\r\nhal")
    connection.receive_eof()
    events = [connection.next_event() for _ in range(6)]
    assert events[-1] == MessageData(Retr(2), b"hal")
    with pytest.raises(MessageTruncated):
        connection.next_event()
    again = logged_in()
    assert ask(again, *connection.in_flight) == b"RETR 2\r\nQUIT\r\n"
    assert again.in_flight == connection.in_flight


def test_what_is_in_flight_decides_the_state_so_what_follows_it_waits() -> None:
    connection = greeted()
    ask(connection, Capa())
    tell(connection, b"+OK\r\nPIPELINING\r\n.\r\n")
    assert ask(connection, User("tim"), Pass(CANARY), Stat()) == b"USER tim\r\nPASS " + CANARY.encode() + b"\r\n"
    tell(connection, b"+OK\r\n")
    assert connection.data_to_send() == []
    tell(connection, b"+OK\r\n")
    assert b"".join(connection.data_to_send()) == b"STAT\r\n"


def test_stls_leaves_when_everything_before_it_is_answered() -> None:
    connection = greeted()
    ask(connection, Capa())
    tell(connection, b"+OK\r\nPIPELINING\r\n.\r\n")
    assert ask(connection, User("tim"), Stls()) == b"USER tim\r\n"
    tell(connection, b"+OK\r\n")
    assert b"".join(connection.data_to_send()) == b"STLS\r\n"


def test_quit_may_ride_behind_what_is_in_flight() -> None:
    connection = logged_in()
    assert ask(connection, Dele(1), Dele(2), Quit()) == b"DELE 1\r\nDELE 2\r\nQUIT\r\n"
    assert legal(connection) == set()


def test_the_last_word_on_pipelining_counts() -> None:
    connection = logged_in()
    for answer, pipelines in (
        (b"+OK\r\nTOP\r\n.\r\n", False),
        (b"+OK\r\npipelining\r\n.\r\n", True),
        (b"-ERR what?\r\n", False),
    ):
        ask(connection, Capa())
        tell(connection, answer)
        assert connection.capabilities is not None
        assert ("PIPELINING" in connection.capabilities) is pipelines
        assert ask(connection, Noop(), Noop()) == b"NOOP\r\n" * (2 if pipelines else 1)
        tell(connection, b"+OK\r\n")
        connection.data_to_send()
        tell(connection, b"+OK\r\n")


def test_a_server_that_refuses_capa_announces_nothing() -> None:
    connection = greeted()
    ask(connection, Capa())
    tell(connection, b"-ERR unknown command\r\n")
    assert connection.capabilities == Capabilities()
    assert connection.state is State.AUTHORIZATION


MAILDROP = {1: b"one\r\n", 2: b"", 3: b"..\r\n.\r\n", 5: b"x" * 500 + b"\r\n"}
LATER = ["CAPA", "STAT", "LIST", "UIDL", "RETR 1", "RETR 2", "RETR 3", "RETR 4", "RETR 5", "TOP 3 1", "DELE 1", "LANG"]
REFUSABLE = ["greeting", "CAPA", "USER", "PASS", "LANG", "RETR", "UIDL", "DELE", "RETR 3", "QUIT"]


def named(name: str) -> Command[object]:
    verb, *numbers = name.split()
    if verb == "RETR":
        number = int(numbers[0])
        return Retr(number, size=len(MAILDROP.get(number, b"")))
    return Top(3, 1) if verb == "TOP" else EVERY_COMMAND[verb]()


@given(
    st.lists(st.sampled_from(LATER), max_size=12),
    st.sets(st.sampled_from(REFUSABLE), max_size=3),
    st.builds(Window, st.integers(1, 8), st.integers(1, 800)),
    st.sampled_from([1, 7, 100_000]),
    st.sampled_from([b"\r\n", b"\n"]),
)
@settings(deadline=None)
def test_pipelining_changes_the_timing_and_never_the_outcome(
    later: list[str], refuses: set[str], window: Window, chunk: int, line_end: bytes
) -> None:
    def outcome(window: Window) -> Outcome:
        server = Server(MAILDROP, frozenset(refuses), line_end)
        commands = [Capa(), User("tim"), Pass(CANARY), *map(named, later), Quit()]
        return run(server, commands, Connection(window=window), chunk=chunk)

    step, wide, widest = outcome(LOCKSTEP), outcome(window), outcome(PIPELINING_WINDOW)
    assert account(step.events) == account(wide.events) == account(widest.events)
    assert step.server.heard == wide.server.heard == widest.server.heard
    assert step.error is wide.error is widest.error is None
    assert step.server.most_at_once <= 1
    assert wide.server.most_at_once <= window.commands


def test_pipelining_saves_round_trips() -> None:
    commands = [Capa(), User("tim"), Pass(CANARY), *map(Retr, MAILDROP), Quit()]
    assert run(Server(MAILDROP), commands, Connection()).server.most_at_once == 5
    assert run(Server(MAILDROP, pipelining=False), commands, Connection()).server.most_at_once == 1


def test_the_command_that_is_awaited_is_the_oldest_that_was_not_answered() -> None:
    connection = Connection()
    connection.send(Capa())
    awaited = [connection.awaited]
    tell(connection, b"+OK\r\n")
    awaited.append(connection.awaited)  # though it has not left yet
    connection.data_to_send()
    awaited.append(connection.awaited)
    tell(connection, b"+OK\r\n.\r\n")
    assert [*awaited, connection.awaited] == [Greeting(), Capa(), Capa(), None]


def test_no_command_leaves_while_an_answer_lies_unread_that_cannot_be_its_own() -> None:
    connection = logged_in(window=Window(commands=2, octets=1000))
    assert ask(connection, Stat(), Noop(), Rset()) == b"STAT\r\nNOOP\r\n"
    connection.receive_data(b"+OK 1 1\r\n+OK\r\n+OK too early\r\n")
    assert connection.next_event() == ResponseReceived(Stat(), Response(True, b"1 1"))
    assert connection.data_to_send() == []  # else the third line would answer RSET
    assert connection.next_event() == ResponseReceived(Noop(), Response(True))
    with pytest.raises(RemoteProtocolError, match="expected nothing from the server"):
        connection.data_to_send()
    assert connection.in_flight == ()


def test_commands_may_leave_while_an_answer_has_only_begun() -> None:
    connection = logged_in()
    ask(connection, Stat())
    connection.receive_data(b"+OK 1")
    assert connection.next_event() is None
    assert ask(connection, Noop()) == b"NOOP\r\n"
    assert len(tell(connection, b" 1\r\n+OK\r\n")) == 2


def test_commands_may_leave_while_a_message_arrives() -> None:
    connection = logged_in(window=Window(commands=2, octets=1000))
    assert ask(connection, Stat(), Retr(1), Retr(2)) == b"STAT\r\nRETR 1\r\n"
    connection.receive_data(b"+OK 1 1\r\n+OK\r\nhello\r\n")
    assert connection.next_event() == ResponseReceived(Stat(), Response(True, b"1 1"))
    assert connection.data_to_send() == []
    assert connection.next_event() == ResponseReceived(Retr(1), Response(True))
    assert b"".join(connection.data_to_send()) == b"RETR 2\r\n"
    assert account(tell(connection, b".\r\n-ERR\r\n"))[-1] == ("said", "RETR 2", Response(False))


# Refusals and what they discard


def test_a_refused_login_discards_what_needs_one() -> None:
    connection = greeted()
    ask(connection, Pass(CANARY), Stat(), Capa(), Retr(1), Language(), Dele(1), Quit())
    refused = Response(False, b"[IN-USE] locked")
    assert tell(connection, b"-ERR [IN-USE] locked\r\n") == [
        ResponseReceived(Pass(CANARY), refused, (Stat(), Retr(1), Dele(1)))
    ]
    assert connection.state is State.AUTHORIZATION
    assert connection.queued == (Capa(), Language(), Quit())
    assert b"".join(connection.data_to_send()) == b"CAPA\r\n"


def test_behind_a_refused_login_another_can_be_tried() -> None:
    connection = greeted()
    ask(connection, Pass("wrong"), Stat())
    tell(connection, b"-ERR [AUTH] no\r\n")
    assert legal(connection) == legal(connection_in(State.AUTHORIZATION))
    assert ask(connection, Pass(CANARY)) == b"PASS " + CANARY.encode() + b"\r\n"
    tell(connection, b"+OK\r\n")
    assert connection.state is State.TRANSACTION


@pytest.mark.parametrize("pipelining", [True, False])
def test_behind_a_refused_user_the_password_is_refused_too_and_nothing_else_leaves(pipelining: bool) -> None:
    server = Server(MAILDROP, frozenset({"USER", "PASS"}), pipelining=pipelining)
    outcome = run(server, [Capa(), User("tim"), Pass(CANARY), Stat(), Retr(1), Quit()], Connection())
    assert account(outcome.events)[2:] == [
        ("said", "USER tim", Response(False, b"[SYS/PERM] no USER")),
        ("said", "PASS ****", Response(False, b"[SYS/PERM] no PASS"), "STAT", "RETR 1"),
        ("said", "QUIT", Response(True, b"QUIT")),
    ]
    assert server.heard == ["CAPA", "USER tim", f"PASS {CANARY}", "QUIT"]


def test_a_refused_user_with_the_password_still_queued_can_be_called_back() -> None:
    connection = greeted()
    ask(connection, User("tim"), Pass(CANARY), Stat())
    assert tell(connection, b"-ERR no such user\r\n") == [
        ResponseReceived(User("tim"), Response(False, b"no such user"))
    ]
    assert connection.discard_queued() == (Pass(CANARY), Stat())
    assert connection.data_to_send() == []
    assert "STAT" not in legal(connection)


@dataclass(frozen=True, slots=True)
class HastyPass(Pass):
    """A PASS that lets what follows leave before it is answered."""

    ends_group = False


@pytest.mark.parametrize("ok", [True, False])
def test_what_left_in_vain_is_answered_and_changes_nothing(ok: bool) -> None:
    connection = greeted()
    ask(connection, Capa())
    tell(connection, b"+OK\r\nPIPELINING\r\n.\r\n")
    assert ask(connection, HastyPass("wrong"), Stat(), Quit()) == b"PASS wrong\r\nSTAT\r\nQUIT\r\n"
    connection.receive_data(b"-ERR no\r\n" + (b"+OK 1 1\r\n" if ok else b"-ERR log in first\r\n"))
    assert connection.next_event() == ResponseReceived(HastyPass("wrong"), Response(False, b"no"))
    assert connection.state is State.AUTHORIZATION
    assert isinstance(connection.next_event(), ResponseReceived)
    assert connection.state is State.AUTHORIZATION
    assert connection.in_flight == (Quit(),)
    assert legal(connection) == set()


def test_queued_commands_can_be_discarded_and_the_machine_looks_ahead_anew() -> None:
    connection = Connection()
    commands: list[Command[object]] = [Capa(), User("tim"), Pass(CANARY), Stat()]
    for command in commands:
        connection.send(command)
    assert "RETR" in legal(connection)
    assert connection.discard_queued() == tuple(commands)
    assert connection.queued == ()
    assert legal(connection) == legal(connection_in(State.AUTHORIZATION))
    tell(connection, b"+OK\r\n")
    assert connection.data_to_send() == []
    assert connection.discard_queued() == ()
    ask(connection, Pass(CANARY), Stat(), Quit())
    assert connection.discard_queued() == (Stat(), Quit())
    assert legal(connection) == legal(connection_in(State.TRANSACTION))


def test_what_has_left_cannot_be_discarded() -> None:
    connection = logged_in()
    ask(connection, Retr(1))
    connection.send(Quit())
    tell(connection, b"+OK\r\nhal")
    assert connection.discard_queued() == (Quit(),)
    assert connection.in_flight == (Retr(1),)
    assert account(tell(connection, b"f\r\n.\r\n")) == [("data", "RETR 1", b"f\r\n"), ("end", "RETR 1", 6)]


@dataclass(frozen=True, slots=True)
class Forged(Command[Response]):
    """A command of the caller's own that forgot to check its argument."""

    line: bytes

    def encode(self) -> bytes:
        return self.line

    def parse(self, response: Response) -> Response:
        return response


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"XTND",
        b"XTND\n",
        b"XTND\r\nDELE 1\r\n",
        b"XTND\nDELE 1\r\n",
        *(b"XT" + bytes([code]) + b"ND\r\n" for code in (*range(0x20), 0x7F)),
    ],
)
def test_a_line_that_is_not_one_command_is_refused_before_it_is_queued(line: bytes) -> None:
    connection = logged_in()
    ask(connection, Noop())
    before = snapshot(connection)
    with pytest.raises(ValueError, match="a command must"):
        connection.send(Forged(line))
    assert snapshot(connection) == before


@pytest.mark.parametrize("line", ["XTND secret\r\n", None, bytearray(b"X\r\n")], ids=repr)
def test_a_command_of_ones_own_that_makes_no_bytes_is_refused_and_not_shown(line: Any) -> None:
    connection = logged_in()
    before = snapshot(connection)
    with pytest.raises(ValueError) as caught:
        connection.send(Forged(line))
    kind = type(line).__name__
    assert str(caught.value) == f"expected a command's encode() to return bytes, got a value of the type {kind}"
    assert snapshot(connection) == before


@pytest.mark.parametrize("value", ["PASS secret", b"NOOP\r\n", None, 5, Noop, Command], ids=repr)
def test_what_is_no_command_is_refused_and_not_shown(value: Any) -> None:
    connection = logged_in()
    before = snapshot(connection)
    with pytest.raises(ValueError) as caught:
        connection.send(value)
    kind = type(value).__name__
    assert str(caught.value) == f"expected a command such as pop3.Noop(), got a value of the type {kind}"
    assert snapshot(connection) == before


@pytest.mark.parametrize("name", ["PLAIN\r\nDELE 1", "PLAIN\n", "PL\0AIN"])
def test_a_mechanism_of_ones_own_cannot_bring_a_second_line_to_the_wire(name: str) -> None:
    forger = type("Forger", (Chatty,), {"name": name})
    connection = greeted()
    before = snapshot(connection)
    with pytest.raises(ValueError, match="a command must not hold control characters"):
        connection.send(Auth(forger()))
    assert snapshot(connection) == before


def test_a_refused_call_does_not_show_a_secret() -> None:
    connection = logged_in()
    for command in (Pass(CANARY), Auth(Plain(CREDENTIALS))):
        with pytest.raises(LocalProtocolError, match=r"\*\*\*\* cannot be sent now") as caught:
            connection.send(command)
        assert CANARY not in repr(caught.value)
    connection = greeted()
    ask(connection, Pass(CANARY))
    with pytest.raises(LocalProtocolError, match=r"with PASS \*\*\*\* not answered yet") as caught:
        connection.send(User("tim"))
    assert CANARY not in repr(caught.value)


def test_quitting_ends_the_session_whatever_the_answer() -> None:
    for answer in (b"+OK bye\r\n", b"-ERR some deleted messages not removed\r\n"):
        connection = logged_in()
        ask(connection, Dele(1), Dele(2), Dele(3), Quit())
        events = tell(connection, b"+OK\r\n" * 3 + answer)
        assert account(events)[3:] == [("said", "QUIT", parse_status(answer.removesuffix(b"\r\n")))]
        assert dead(connection)


@pytest.mark.parametrize("more", [b"+OK bye\r\n", b"-ERR some deleted messages not removed\r\n", b"\r\n"])
def test_an_answer_to_quit_with_more_behind_it_answers_something_else(more: bytes) -> None:
    # An answer too many has come before, and the one to QUIT may be that to DELE.
    connection = logged_in()
    ask(connection, Dele(1), Quit())
    with pytest.raises(Desynchronised) as caught:
        tell(connection, b"+OK\r\n+OK\r\n" + more)
    assert str(caught.value) == f"expected nothing behind the answer to QUIT, got {more!r}"
    assert connection.in_flight == (Quit(),)
    assert dead(connection)


# TLS


@pytest.mark.parametrize(
    "injected", [b"+OK\r\nPLAIN\r\n.\r\n", b"+OK\r\n", b"-ERR no\r\n", b"\x16\x03\x01", b"x", b"\n"]
)
def test_anything_behind_the_go_ahead_to_stls_is_an_attack(injected: bytes) -> None:
    connection = greeted()
    ask(connection, Stls())
    with pytest.raises(InjectedData) as caught:
        tell(connection, b"+OK begin TLS\r\n" + injected)
    assert str(caught.value) == (
        f"expected nothing between the go-ahead to STLS and the handshake, got {injected!r}: somebody may be answering "
        "in the server's place"
    )
    assert isinstance(caught.value, RemoteProtocolError)
    assert isinstance(caught.value, SecurityError)
    with pytest.raises(LocalProtocolError):
        connection.tls_established()
    assert dead(connection)


def test_a_go_ahead_with_anything_behind_it_is_not_handed_out() -> None:
    connection = greeted()
    ask(connection, Stls())
    connection.receive_data(b"+OK begin TLS\r\n+OK")
    with pytest.raises(InjectedData):
        connection.next_event()
    assert dead(connection)


@pytest.mark.parametrize("injected", [b"+OK\r\nPLAIN\r\n.\r\n", b"x"])
def test_what_comes_in_the_clear_before_the_handshake_is_an_attack_whenever_it_comes(injected: bytes) -> None:
    for look in (Connection.next_event, Connection.tls_established):
        connection = connection_in(State.TLS)
        assert connection.next_event() is None
        connection.receive_data(injected)
        with pytest.raises(InjectedData):
            look(connection)
        assert dead(connection)


def test_a_refused_stls_is_an_answer_like_others() -> None:
    connection = greeted()
    ask(connection, Stls())
    assert tell(connection, b"-ERR no TLS here\r\n") == [ResponseReceived(Stls(), Response(False, b"no TLS here"))]
    assert connection.state is State.AUTHORIZATION
    with pytest.raises(LocalProtocolError, match="no TLS session can begin now"):
        connection.tls_established()
    assert ask(connection, Quit()) == b"QUIT\r\n"


def test_under_tls_everything_learnt_in_the_clear_is_forgotten() -> None:
    connection = greeted()
    ask(connection, Capa())
    tell(connection, b"+OK\r\nPIPELINING\r\nSASL PLAIN\r\nSTLS\r\n.\r\n")
    ask(connection, Stls())
    tell(connection, b"+OK\r\n")
    assert connection.state is State.TLS
    assert legal(connection) == set()
    assert connection.data_to_send() == []
    connection.tls_established()
    assert (connection.state, connection.greeting, connection.capabilities) == (State.AUTHORIZATION, None, None)
    assert legal(connection) == legal(greeted()) - {"STLS"}
    assert ask(connection, User("tim"), Pass(CANARY)) == b"USER tim\r\n"


def test_under_tls_the_timestamp_of_the_greeting_is_forgotten() -> None:
    connection = Connection()
    tell(connection, b"+OK ready " + TIMESTAMP + b"\r\n")
    assert connection.greeting is not None
    assert connection.greeting.timestamp == TIMESTAMP
    ask(connection, Stls())
    tell(connection, b"+OK go " + TIMESTAMP + b"\r\n")
    connection.tls_established()
    assert connection.greeting is None


@pytest.mark.parametrize("announced", [True, False])
def test_tls_does_not_begin_twice(announced: bool) -> None:
    # RFC 2595 4, the example: "-ERR Command not permitted when TLS active".
    connection = connection_in(State.TLS)
    connection.tls_established()
    ask(connection, Capa())
    tell(connection, b"+OK\r\nSTLS\r\n.\r\n" if announced else b"+OK\r\n.\r\n")
    before = snapshot(connection)
    with pytest.raises(LocalProtocolError, match=r"STLS cannot be sent: TLS is in force already \(RFC 2595 4\)"):
        connection.send(Stls())
    assert snapshot(connection) == before


def test_a_refused_stls_may_be_tried_again() -> None:
    connection = greeted()
    ask(connection, Stls())
    tell(connection, b"-ERR [SYS/TEMP] not now\r\n")
    assert ask(connection, Stls()) == b"STLS\r\n"


def test_under_tls_no_second_greeting_is_due() -> None:
    connection = connection_in(State.TLS)
    connection.tls_established()
    assert connection.in_flight == ()
    with pytest.raises(RemoteProtocolError, match="expected nothing"):
        tell(connection, b"+OK ready\r\n")


def test_a_server_that_hangs_up_instead_of_the_handshake_is_gone() -> None:
    connection = connection_in(State.TLS)
    connection.receive_eof()
    assert connection.next_event() == ConnectionClosed()
    assert dead(connection)


# AUTH


def authenticating(mechanism: Mechanism) -> tuple[Connection, Auth, bytes]:
    connection, command = greeted(), Auth(mechanism)
    return connection, command, ask(connection, command)


def challenge(connection: Connection, line: bytes) -> bytes:
    """What is answered to the challenge `line`."""
    assert tell(connection, line + b"\r\n") == []
    return b"".join(connection.data_to_send())


def b64(data: str) -> bytes:
    return base64.b64encode(data.encode()) + b"\r\n"


LONG = Password("tim", "x" * 300)


def test_plain_sends_its_message_along_where_it_fits() -> None:
    connection, command, written = authenticating(Plain(CREDENTIALS))
    assert written == b"AUTH PLAIN " + b64(f"\0tim\0{CANARY}")
    assert tell(connection, b"+OK welcome\r\n") == [ResponseReceived(command, Response(True, b"welcome"))]
    assert connection.state is State.TRANSACTION


@pytest.mark.parametrize("line", [b"+", b"+ "])
def test_plain_sends_its_message_when_asked_where_it_does_not_fit(line: bytes) -> None:
    connection, command, written = authenticating(Plain(LONG))
    assert written == b"AUTH PLAIN\r\n"
    assert challenge(connection, line) == b64("\0tim\0" + "x" * 300)
    assert connection.in_flight == (command,)
    assert tell(connection, b"+OK\r\n") == [ResponseReceived(command, Response(True))]
    assert connection.state is State.TRANSACTION


@pytest.mark.parametrize("prompts", [(b"+ VXNlcm5hbWU6", b"+ UGFzc3dvcmQ6"), (b"+ ", b"+"), (b"+ 55So5oi3", b"+ /w==")])
def test_login_answers_two_prompts_whatever_they_say(prompts: tuple[bytes, bytes]) -> None:
    connection, command, written = authenticating(Login(CREDENTIALS))
    assert written == b"AUTH LOGIN\r\n"
    assert challenge(connection, prompts[0]) == b64("tim")
    assert challenge(connection, prompts[1]) == b64(CANARY)
    assert state_of(connection) is State.AUTHORIZATION
    assert tell(connection, b"+OK\r\n") == [ResponseReceived(command, Response(True))]
    assert connection.state is State.TRANSACTION


def test_a_refused_exchange_is_an_answer_like_others() -> None:
    for said in (0, 1, 2):
        connection, command, _ = authenticating(Login(CREDENTIALS))
        connection.send(Stat())
        for _ in range(said):
            challenge(connection, b"+ ")
        refused = ResponseReceived(command, Response(False, b"[AUTH] no"), (Stat(),))
        assert tell(connection, b"-ERR [AUTH] no\r\n") == [refused]
        assert (connection.state, command.exchange.failure) == (State.AUTHORIZATION, None)


@pytest.mark.parametrize(
    "line", [b"+ !!!!", b"+ VXNlcm5hbWU", b"+ SGVs!!!bG8=", b"+ =", b"+  ", b"+ \xff\xff", b"+ \0", b"+ OK go on"]
)
def test_a_challenge_that_is_no_base64_is_answered_by_the_cancel(line: bytes) -> None:
    connection, command, _ = authenticating(Login(CREDENTIALS))
    assert challenge(connection, line) == b"*\r\n"
    assert tell(connection, b"-ERR cancelled\r\n") == [ResponseReceived(command, Response(False, b"cancelled"))]
    assert repr(line[2:]) in str(command.exchange.failure)
    assert connection.state is State.AUTHORIZATION


@pytest.mark.parametrize(
    ("make", "said", "line"),
    [
        (lambda: Plain(CREDENTIALS), 0, b"+ "),
        (lambda: Plain(CREDENTIALS), 0, b"+ bW9yZQ=="),
        (lambda: Plain(LONG), 0, b"+ bW9yZQ=="),
        (lambda: Plain(LONG), 1, b"+ "),
        (lambda: Login(CREDENTIALS), 2, b"+ "),
    ],
)
def test_a_challenge_that_the_mechanism_cannot_answer_is_answered_by_the_cancel(
    make: Callable[[], Mechanism], said: int, line: bytes
) -> None:
    connection, command, _ = authenticating(make())
    for _ in range(said):
        assert challenge(connection, b"+ ") not in (b"", b"*\r\n")
    assert challenge(connection, line) == b"*\r\n"
    assert tell(connection, b"-ERR\r\n") == [ResponseReceived(command, Response(False))]
    assert command.exchange.failure is not None


@pytest.mark.parametrize("line", [b"+OK", b"+OK welcome", b"+ ", b"+ !!!!"])
def test_behind_the_cancel_the_server_can_only_refuse(line: bytes) -> None:
    connection, command, _ = authenticating(Login(CREDENTIALS))
    challenge(connection, b"+ !!!!")
    with pytest.raises(AuthenticationFailed, match="AUTH LOGIN failed: expected a challenge in base64") as caught:
        tell(connection, line + b"\r\n")
    assert caught.value.command == "AUTH LOGIN"
    assert connection.in_flight == (command,)
    assert dead(connection)


class Chatty(Mechanism):
    """A mechanism that has an answer to everything."""

    name = "CHATTY"

    def initial_response(self) -> None:
        return None

    def respond(self, challenge: bytes) -> bytes:
        return b"and then?"


@pytest.mark.parametrize("at_once", [True, False])
def test_a_server_that_asks_for_ever_is_cut_off(at_once: bool) -> None:
    connection, _, _ = authenticating(Chatty())
    lines = [b"+ \r\n"] * 50
    with pytest.raises(AuthenticationFailed, match="the server went on asking after 8 challenges"):
        tell(connection, *([b"".join(lines)] if at_once else lines))
    assert dead(connection)


def test_a_server_that_asks_too_often_and_takes_the_cancel_has_refused() -> None:
    connection, command, _ = authenticating(Chatty())
    answers = [challenge(connection, b"+ ") for _ in range(9)]
    assert answers == [b64("and then?")] * 8 + [b"*\r\n"]
    assert tell(connection, b"-ERR\r\n") == [ResponseReceived(command, Response(False))]


@pytest.mark.parametrize(
    ("make", "challenges"),
    [(lambda: Plain(LONG), 0), (lambda: Login(CREDENTIALS), 0), (lambda: Login(CREDENTIALS), 1)],
    ids=["PLAIN unsaid", "LOGIN without user", "LOGIN without password"],
)
@pytest.mark.parametrize("line", [b"+OK", b"+OK welcome", b"+OK VXNlcm5hbWU6"])
def test_a_success_before_the_exchange_is_complete_is_no_success(
    make: Callable[[], Mechanism], challenges: int, line: bytes
) -> None:
    # Exchange 2000 says +OK where + is due; whatever it means, it is no login.
    connection, command, _ = authenticating(make())
    connection.send(Stat())
    for _ in range(challenges):
        challenge(connection, b"+ ")
    with pytest.raises(AuthenticationFailed, match="reports success before the exchange is complete") as caught:
        tell(connection, line + b"\r\n")
    assert caught.value.command == str(command)
    assert connection.in_flight == (command,)
    assert dead(connection)


@pytest.mark.parametrize("line", [b"+VXNlcm5hbWU6", b"+\tVXNlcm5hbWU6", b"VXNlcm5hbWU6", b"334 VXNlcm5hbWU6", b"-"])
def test_a_line_that_is_neither_challenge_nor_response_is_a_fault(line: bytes) -> None:
    connection, command, _ = authenticating(Login(CREDENTIALS))
    with pytest.raises(RemoteProtocolError, match="in answer to AUTH LOGIN"):
        tell(connection, line + b"\r\n")
    assert connection.in_flight == (command,)
    assert dead(connection)


def test_a_challenge_to_anything_but_auth_is_a_fault() -> None:
    connection = logged_in()
    ask(connection, Stat())
    with pytest.raises(RemoteProtocolError, match=r"expected \+OK or -ERR and a text, got b'\+ dGlt'"):
        tell(connection, b"+ dGlt\r\n")


# SCRAM, and what takes long to compute


def say(connection: Connection, message: bytes) -> None:
    """Let the server ask for an answer to `message`."""
    connection.receive_data(b"+ " + base64.b64encode(message) + b"\r\n")


def answered(connection: Connection) -> bytes:
    """What the client answers, decoded."""
    line = b"".join(connection.data_to_send())
    assert line.endswith(b"\r\n")
    return base64.b64decode(line[:-2], validate=True)


def scram(iterations: int = 4096) -> tuple[Connection, Auth, ScramServer, bytes]:
    """A connection that has said the first message of SCRAM, the server that heard it, and what that says to it."""
    connection, command, written = authenticating(Scram(CREDENTIALS, "SHA-256"))
    server = ScramServer({"tim": scram_server.Account.with_many_iterations("sha256", CANARY, iterations)})
    verb, mechanism, message = written.split()
    assert (verb, mechanism) == (b"AUTH", b"SCRAM-SHA-256")
    return connection, command, server, server.hear_first(base64.b64decode(message))


def test_scram_is_over_when_the_server_has_proved_itself() -> None:
    connection, command, server, first = scram()
    say(connection, first)
    assert connection.next_event() is None
    say(connection, server.hear_final(answered(connection)))
    assert connection.next_event() is None
    assert answered(connection) == b""
    assert state_of(connection) is State.AUTHORIZATION
    assert tell(connection, b"+OK\r\n") == [ResponseReceived(command, Response(True))]
    assert connection.state is State.TRANSACTION


@pytest.mark.parametrize("computes", ["in a thread", "at the next event", "when bytes are asked for"])
def test_scram_with_many_iterations_is_computed_by_whoever_drives_it_or_where_it_is_needed(computes: str) -> None:
    connection, command, server, first = scram(WORK_ITERATIONS + 1)
    say(connection, first)
    event = connection.next_event()
    assert isinstance(event, ComputationDue)
    assert event.mechanism == "SCRAM-SHA-256"
    assert unanswered(connection) == (command,)
    if computes == "in a thread":
        thread = threading.Thread(target=event.compute)
        thread.start()
        thread.join()
    elif computes == "at the next event":
        assert connection.next_event() is None
    say(connection, server.hear_final(answered(connection)))
    assert take(connection) == []
    assert answered(connection) == b""
    assert tell(connection, b"+OK\r\n") == [ResponseReceived(command, Response(True))]


def laborious(*, fails: bool = False, trace: Trace = ignore) -> tuple[Connection, Auth, Laborious, ComputationDue]:
    """A connection that has just told that a computation is due."""
    connection, mechanism = greeted(trace=trace), Laborious(fails=fails)
    command = Auth(mechanism)
    assert ask(connection, command) == b"AUTH X-LABORIOUS\r\n"
    say(connection, b"abc")
    event = connection.next_event()
    assert isinstance(event, ComputationDue)
    assert mechanism.computed == []
    return connection, command, mechanism, event


def test_what_was_computed_is_not_computed_again() -> None:
    connection, command, mechanism, event = laborious()
    event.compute()
    assert mechanism.computed == [b"abc"]
    assert connection.next_event() is None
    assert answered(connection) == b"cba"
    assert mechanism.computed == [b"abc"]
    assert tell(connection, b"+OK\r\n") == [ResponseReceived(command, Response(True))]


def test_a_due_computation_is_told_once() -> None:
    connection, _, mechanism, _ = laborious()
    assert connection.next_event() is None
    assert connection.next_event() is None
    assert mechanism.computed == [b"abc"]
    assert answered(connection) == b"cba"


def test_every_challenge_may_take_long_to_answer() -> None:
    connection, command, mechanism, _ = laborious()
    assert answered(connection) == b"cba"
    for text in (b"de", b""):
        say(connection, text)
        event = connection.next_event()
        assert isinstance(event, ComputationDue)
        event.compute()
        assert answered(connection) == text[::-1]
    assert mechanism.computed == [b"abc", b"de", b""]
    assert tell(connection, b"+OK\r\n") == [ResponseReceived(command, Response(True))]


def test_challenges_that_come_at_once_are_answered_one_by_one() -> None:
    connection, command, _, _ = laborious()
    connection.receive_data(b"+ ZGU=\r\n+OK\r\n")
    assert isinstance(connection.next_event(), ComputationDue)
    assert connection.next_event() == ResponseReceived(command, Response(True))
    assert b"".join(connection.data_to_send()) == b"Y2Jh\r\nZWQ=\r\n"


@pytest.mark.parametrize("computes", [True, False])
def test_a_computation_that_fails_is_cancelled(computes: bool) -> None:
    trace = Listener()
    connection, command, _, event = laborious(fails=True, trace=trace)
    if computes:
        event.compute()
    assert b"".join(connection.data_to_send()) == b"*\r\n"
    assert trace.lines[-2:] == ["S: + ****", "C: *"]
    assert tell(connection, b"-ERR\r\n") == [ResponseReceived(command, Response(False))]
    assert str(command.exchange.failure) == "there is no result"


def test_a_computation_that_fails_cancels_for_good() -> None:
    connection, _, _, _ = laborious(fails=True)
    connection.data_to_send()
    with pytest.raises(
        AuthenticationFailed, match="AUTH X-LABORIOUS failed: there is no result; and the server goes on"
    ):
        tell(connection, b"+ \r\n")
    assert dead(connection)


def test_the_end_while_a_computation_is_due_is_a_lost_connection() -> None:
    connection, command, _, _ = laborious()
    connection.receive_eof()
    with pytest.raises(ConnectionLost) as caught:
        connection.next_event()
    assert caught.value.in_flight == ("AUTH X-LABORIOUS",)
    assert connection.in_flight == (command,)
    assert dead(connection)


@pytest.mark.parametrize("heard", [0, 1], ids=["behind our first message", "behind our proof"])
def test_a_server_that_reports_success_before_it_has_proved_itself_is_unproven(heard: int) -> None:
    connection, command, _, first = scram()
    if heard:
        say(connection, first)
        assert connection.next_event() is None
        assert answered(connection).startswith(b"c=biws,")
    with pytest.raises(ServerUnproven, match="the server reports success before the exchange is complete") as caught:
        tell(connection, b"+OK\r\n")
    assert isinstance(caught.value, SecurityError)
    assert isinstance(caught.value, AuthenticationFailed)
    assert caught.value.command == "AUTH SCRAM-SHA-256 ****"
    assert connection.in_flight == (command,)
    assert dead(connection)


def test_a_server_that_reports_success_while_a_computation_is_due_is_unproven() -> None:
    connection, _, _, first = scram(WORK_ITERATIONS + 1)
    say(connection, first)
    assert isinstance(connection.next_event(), ComputationDue)
    with pytest.raises(ServerUnproven):
        tell(connection, b"+OK\r\n")
    assert dead(connection)


@pytest.mark.parametrize("line", [b"+OK", b"+ ", b"+ dj1hYmM=", b"-ERR"])
def test_a_server_whose_signature_is_wrong_is_unproven_unless_it_takes_the_cancel(line: bytes) -> None:
    connection, command, server, first = scram()
    say(connection, first)
    assert connection.next_event() is None
    say(connection, b"v=" + server.hear_final(answered(connection))[2:].swapcase())
    assert connection.next_event() is None
    assert b"".join(connection.data_to_send()) == b"*\r\n"
    assert isinstance(command.exchange.failure, ProofMissing)
    if line == b"-ERR":
        assert tell(connection, line + b"\r\n") == [ResponseReceived(command, Response(False))]
        assert isinstance(command.exchange.error(), ServerUnproven)
        assert connection.state is State.AUTHORIZATION
        return
    with pytest.raises(ServerUnproven, match="the server's signature is wrong"):
        tell(connection, line + b"\r\n")
    assert dead(connection)


# OAuth and APOP


def test_xoauth2_takes_two_steps_unless_it_is_told_otherwise() -> None:
    message = b64("user=tim\1auth=Bearer token\1\1")
    connection, command, written = authenticating(XOAuth2("tim", "token"))
    assert written == b"AUTH XOAUTH2\r\n"
    assert challenge(connection, b"+ ") == message
    assert tell(connection, b"+OK\r\n") == [ResponseReceived(command, Response(True))]
    connection = greeted()
    assert ask(connection, Auth(XOAuth2("tim", "token"), True)) == b"AUTH XOAUTH2 " + message


@pytest.mark.parametrize(("make", "answer"), [(XOAuth2, b"\r\n"), (OAuthBearer, b"AQ==\r\n")])
def test_the_challenge_that_tells_why_a_token_is_refused_is_answered_and_read(
    make: type[XOAuth2] | type[OAuthBearer], answer: bytes
) -> None:
    for final in (b"-ERR", b"+OK"):
        connection, mechanism = greeted(), make("tim", "token")
        command = Auth(mechanism, True)
        ask(connection, command)
        assert challenge(connection, b"+ " + b64('{"status":"401"}').strip()) == answer
        assert mechanism.failure is not None
        assert mechanism.failure.status == "401"
        if final == b"-ERR":
            assert tell(connection, final + b"\r\n") == [ResponseReceived(command, Response(False))]
        else:
            with pytest.raises(AuthenticationFailed, match="reports success before the exchange is complete"):
                tell(connection, final + b"\r\n")


def test_apop_opens_the_maildrop_by_the_timestamp_of_the_greeting() -> None:
    # RFC 1939 7, the example.
    connection = Connection()
    tell(connection, b"+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\r\n")
    assert connection.greeting is not None
    assert connection.greeting.timestamp is not None
    command = Apop("mrose", "tanstaaf", connection.greeting.timestamp)
    assert ask(connection, command, Stat()) == b"APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\n"
    assert tell(connection, b"+OK maildrop has 1 message (369 octets)\r\n") == [
        ResponseReceived(command, Response(True, b"maildrop has 1 message (369 octets)"))
    ]
    assert connection.state is State.TRANSACTION
    assert b"".join(connection.data_to_send()) == b"STAT\r\n"


def test_a_refused_apop_is_an_answer_like_others() -> None:
    connection, command = greeted(), Apop("tim", CANARY, TIMESTAMP)
    ask(connection, command, Stat())
    assert tell(connection, b"-ERR [AUTH] no\r\n") == [
        ResponseReceived(command, Response(False, b"[AUTH] no"), (Stat(),))
    ]
    assert legal(connection) == legal(connection_in(State.AUTHORIZATION))


def test_an_exchange_is_the_same_however_it_is_cut() -> None:
    def session(pieces: Iterable[bytes]) -> tuple[Account, bytes]:
        connection, _, _ = authenticating(Login(CREDENTIALS))
        events, written = [], b""
        for piece in pieces:
            events += tell(connection, piece)
            written += b"".join(connection.data_to_send())
        return account(events), written

    wire = b"+ VXNlcm5hbWU6\r\n+\r\n+OK\r\n"
    whole = session([wire])
    assert whole == ([("said", "AUTH LOGIN", Response(True))], b64("tim") + b64(CANARY))
    assert session(octets(wire)) == whole
    for first, second in combinations(range(1, len(wire)), 2):
        assert session([wire[:first], wire[first:second], wire[second:]]) == whole


# Limits


def until_it_fails(connection: Connection, piece: bytes) -> tuple[LimitExceeded, int]:
    """Let the server say `piece` for ever; return the error, and how many octets it took."""
    for times in range(1, 10_000):
        try:
            tell(connection, piece)
        except LimitExceeded as error:
            return error, times * len(piece)
    raise AssertionError("there is no limit")


@pytest.mark.parametrize("beginning", [b"+OK ", b"-ERR ", b"", b"+ ", b"\0"])
@pytest.mark.parametrize("asked", ["greeting", "LANG", "idle"])
def test_a_line_without_end_is_cut_off(beginning: bytes, asked: str) -> None:
    connection = Connection() if asked == "greeting" else greeted()
    if asked == "LANG":
        ask(connection, Language())
    tell(connection, beginning)
    error, fed = until_it_fails(connection, b"a" * 512)
    assert fed <= DEFAULT_LIMITS.line + 512
    assert f"a line is longer than {DEFAULT_LIMITS.line} octets" in str(error)
    assert repr(beginning + b"aaaa")[:-1] in str(error)
    assert {"greeting": "(the connection)", "LANG": "LANG", "idle": "nothing was asked"}[asked] in str(error)
    assert len(str(error)) < 400
    assert dead(connection)


def test_a_line_may_be_as_long_as_the_limit_and_no_longer() -> None:
    longest = b"+OK " + b"a" * (DEFAULT_LIMITS.line - 4)
    connection = logged_in()
    for pieces in ([longest + b"\r\n"], octets(longest + b"\r\n"), [longest + b"\n"]):
        ask(connection, Noop())
        assert tell(connection, *pieces) == [ResponseReceived(Noop(), Response(True, longest[4:]))]
    for too_long in ([longest + b"a\r\n"], octets(longest + b"a\r\n")):
        connection = logged_in()
        ask(connection, Noop())
        with pytest.raises(LimitExceeded):
            tell(connection, *too_long)


def stripped(data: bytes) -> bytes:
    """`data` without the dots that were added."""
    return (b"\r\n" + data).replace(b"\r\n..", b"\r\n.")[2:]


@pytest.mark.parametrize("piece", [b"X-CAPABILITY\r\n" * 10, b"a" * 1000, b"\r\n" * 100, b"...\r\n" * 100])
def test_a_capability_listing_without_end_is_cut_off(piece: bytes) -> None:
    connection = greeted()
    ask(connection, Capa())
    tell(connection, b"+OK\r\n")
    error, fed = until_it_fails(connection, piece)
    assert fed <= 2 * 65_536
    assert "the answer to CAPA is longer than 65536 octets, it begins with b'" in str(error)
    assert repr(stripped(piece)[:20])[:-1] in str(error)
    assert connection.capabilities is None
    assert dead(connection)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_a_listing_may_be_as_long_as_its_limit_and_no_longer(size: int) -> None:
    # Language allows 100 octets; an added dot is none of them.
    def listing(octets: int) -> list[Event]:
        connection = logged_in()
        ask(connection, Language())
        wire = b"+OK\r\n.." + b"a" * (octets - 3) + b"\r\n.\r\n"
        return tell(connection, *(wire[place : place + size] for place in range(0, len(wire), size)))

    assert listing(100) == [ResponseReceived(Language(), Response(True, b"", b"." + b"a" * 97 + b"\r\n"))]
    with pytest.raises(LimitExceeded, match="the answer to LANG is longer than 100 octets"):
        listing(101)


# The end of the connection


def test_a_server_that_closes_an_idle_connection_is_gone_without_a_word() -> None:
    for state in (State.GREETING, State.AUTHORIZATION, State.TRANSACTION):
        connection = connection_in(state)
        connection.send(Quit())
        connection.receive_eof()
        assert connection.next_event() == ConnectionClosed()
        assert connection.in_flight == ()
        assert dead(connection)


def test_what_came_before_the_end_is_told_before_the_end() -> None:
    connection = logged_in()
    ask(connection, Retr(1), Noop())
    connection.receive_data(b"+OK\r\nhello\r\n.\r\n+OK\r\n")
    connection.receive_eof()
    events = take(connection)
    assert account(events) == [*message(b"hello\r\n"), ("said", "NOOP", Response(True)), (ConnectionClosed(),)]
    assert dead(connection)


def test_behind_the_answer_to_quit_the_end_is_no_news() -> None:
    connection = logged_in()
    ask(connection, Quit())
    connection.receive_data(b"+OK\r\n")
    connection.receive_eof()
    assert take(connection) == [ResponseReceived(Quit(), Response(True))]


@pytest.mark.parametrize(
    ("commands", "told"),
    [
        ((Noop(),), "NOOP"),
        ((Dele(1), Dele(2), Dele(3), Quit()), "DELE 1 and 3 more"),
        ((List(), Retr(1)), "LIST and 1 more"),
    ],
)
def test_a_connection_lost_names_what_will_never_be_answered(commands: Sequence[Command[object]], told: str) -> None:
    connection = logged_in()
    ask(connection, *commands)
    connection.receive_eof()
    with pytest.raises(ConnectionLost, match=f"closed the connection instead of answering {told}$") as caught:
        take(connection)
    assert not isinstance(caught.value, MessageTruncated)
    assert isinstance(caught.value, ConnectionError)
    assert caught.value.in_flight == tuple(map(str, commands))
    assert connection.in_flight == tuple(commands)
    assert dead(connection)


def test_what_was_only_queued_when_the_connection_was_lost_is_not_in_flight() -> None:
    connection = greeted()
    ask(connection, Pass(CANARY), Stat())
    connection.receive_eof()
    with pytest.raises(ConnectionLost, match=r"PASS \*\*\*\*$") as caught:
        take(connection)
    assert caught.value.in_flight == ("PASS ****",)
    assert CANARY not in repr(vars(caught.value))


def test_an_exchange_that_is_cut_off_is_lost() -> None:
    connection, _, _ = authenticating(Login(CREDENTIALS))
    challenge(connection, b"+ ")
    connection.receive_eof()
    with pytest.raises(ConnectionLost) as caught:
        take(connection)
    assert caught.value.in_flight == ("AUTH LOGIN",)


def test_a_connection_lost_before_the_greeting_says_so() -> None:
    connection = Connection()
    connection.receive_eof()
    with pytest.raises(ConnectionLost, match=r"instead of answering \(the connection\)$"):
        take(connection)


@pytest.mark.parametrize("beginning", [b"+", b"+OK", b"+OK\r", b"-ERR no", b"\xff\x1b"])
def test_the_beginning_of_a_line_is_no_answer(beginning: bytes) -> None:
    # Where a secret was told, what is cut off is not shown: it may be the beginning of that.
    for connection, command, shown in (
        (greeted(), Language(), repr(beginning)),
        (logged_in(), Dele(1), f"({len(beginning)} octets)"),
    ):
        ask(connection, command)
        connection.receive_data(beginning)
        connection.receive_eof()
        with pytest.raises(ConnectionLost, match="in the middle of a line: ") as caught:
            take(connection)
        assert str(caught.value).endswith(shown)
        assert caught.value.in_flight == (str(command),)


def test_an_unasked_beginning_of_a_line_left_nothing_in_flight() -> None:
    connection = greeted()
    connection.receive_data(b"-ERR idle too lo")
    connection.receive_eof()
    with pytest.raises(ConnectionLost) as caught:
        take(connection)
    assert str(caught.value) == "the server closed the connection, in the middle of a line: b'-ERR idle too lo'"
    assert dead(connection)
    assert caught.value.in_flight == ()


def arrived(wire: bytes) -> bytes:
    """What can be known of a message from `wire`, its beginning."""
    *lines, rest = wire.split(b"\r\n")
    if rest in (b".", b".\r"):
        rest = b""  # it may yet prove to be the terminator
    elif rest.startswith(b".."):
        rest = rest[1:]
    return b"".join((line[1:] if line.startswith(b"..") else line) + b"\r\n" for line in lines) + rest


@pytest.mark.parametrize("command", [Retr(1), Top(1, 5)], ids=str)
@pytest.mark.parametrize("by_octet", [True, False])
def test_a_message_cut_off_anywhere_is_truncated_and_never_complete(command: Command[object], by_octet: bool) -> None:
    body = b"Subject: dots\r\n\r\n.\r\n..\r\n...x\r\na\rb\nc\n.\nd\r\n.\r\r\n\0\xff\r\n"
    wire = stuffed(body)
    for place in range(len(wire)):
        connection = logged_in()
        ask(connection, command, Noop())
        pieces = [b"+OK 52 octets\r\n", wire[:place]]
        events = tell(connection, *(octets(b"".join(pieces)) if by_octet else pieces))
        connection.receive_eof()
        with pytest.raises(MessageTruncated, match=f"in the middle of its answer to {command} and 1 more") as caught:
            take(connection)
        got = b"".join(event.data for event in events if isinstance(event, MessageData))
        assert got == arrived(wire[:place])
        assert body.startswith(got)
        assert caught.value.octets == len(got)
        assert caught.value.in_flight == (str(command), "NOOP")
        assert not any(isinstance(event, MessageEnd) for event in events)
        assert dead(connection)


def test_the_status_line_alone_is_no_message() -> None:
    wire = b"+OK 5 octets\r\n"
    for place in range(len(wire) + 1):
        connection = logged_in()
        ask(connection, Retr(1))
        connection.receive_data(wire[:place])
        connection.receive_eof()
        with pytest.raises(ConnectionLost) as caught:
            take(connection)
        assert isinstance(caught.value, MessageTruncated) is (place == len(wire))


def test_a_listing_that_is_cut_off_is_none() -> None:
    wire = b"+OK\r\n1 120\r\n2 200\r\n.\r\n"
    for command in (List(), Uidl(), Capa()):
        for place in range(len(wire)):
            connection = logged_in()
            ask(connection, command)
            connection.receive_data(wire[:place])
            connection.receive_eof()
            with pytest.raises(ConnectionLost) as caught:
                take(connection)
            assert caught.value.in_flight == (str(command),)
            assert dead(connection)


def test_an_error_is_raised_once() -> None:
    connection = logged_in()
    ask(connection, Noop())
    connection.receive_data(b"garbage\r\n")
    connection.receive_eof()
    with pytest.raises(RemoteProtocolError):
        connection.next_event()
    assert connection.next_event() is None
    assert connection.data_to_send() == []


# What is told to the trace


def test_everything_that_is_said_is_told_to_the_trace_in_its_order_without_secrets() -> None:
    trace = Listener()
    connection = Connection(trace=trace)
    tell(connection, b"+OK ready\r\n")
    ask(connection, Capa())
    tell(connection, b"+OK\r\nPIPELINING\r\n.\r\n")
    ask(connection, User("tim"), Pass(CANARY), List(), Retr(1), Retr(2), Quit())
    tell(connection, b"+OK\r\n+OK\r\n")
    connection.data_to_send()
    tell(connection, b"+OK\r\n1 7\r\n.\r\n+OK\r\n", b"..", b"hello\r\n.\r\n", b"-ERR \x1b[31m no\r\n+OK bye\r\n")
    assert trace.lines == [
        "S: +OK ready",
        "C: CAPA",
        "S: +OK",
        "S: PIPELINING",
        "S: .",
        "C: USER tim",
        "C: PASS ****",
        "S: +OK",
        "S: +OK",
        "C: LIST",
        "C: RETR 1",
        "C: RETR 2",
        "C: QUIT",
        "S: +OK",
        "S: 1 7",
        "S: .",
        "S: +OK",
        "S: (8 octets)",
        "S: -ERR \\x1b[31m no",
        "S: +OK bye",
    ]


def test_an_exchange_is_masked_in_the_trace_from_its_first_challenge_to_the_cancel() -> None:
    trace = Listener()
    connection = greeted(trace=trace)
    ask(connection, Auth(Plain(CREDENTIALS)))
    tell(connection, b"-ERR no\r\n")
    ask(connection, Auth(Login(CREDENTIALS)))
    for line in (b"+ VXNlcm5hbWU6", b"+", b"+ x"):
        tell(connection, line + b"\r\n")
        connection.data_to_send()
    tell(connection, b"-ERR\r\n")
    assert trace.lines[1:] == [
        *("C: AUTH PLAIN ****", "S: -ERR no"),
        *("C: AUTH LOGIN", "S: + ****", "C: ****", "S: + ****", "C: ****", "S: + ****", "C: *", "S: -ERR"),
    ]


def test_what_the_server_says_unasked_is_told_too() -> None:
    trace = Listener()
    connection = logged_in(trace=trace)
    tell(connection, b"-ERR idle\r\n")
    assert trace.lines[-1] == "S: -ERR idle"
    assert ignore("S", None) is None


def test_an_auth_is_sent_once() -> None:
    # A mechanism that goes on where it stopped would answer the question for the user with the password.
    connection, command, _ = authenticating(Login(CREDENTIALS))
    tell(connection, b"+ VXNlcm5hbWU6\r\n")
    tell(connection, b"-ERR no\r\n")
    with pytest.raises(LocalProtocolError, match="AUTH LOGIN was sent already"):
        connection.send(command)
    assert connection.queued == ()


def test_it_tells_how_much_of_a_message_was_given() -> None:
    connection = logged_in()
    for command in (Retr(1), Capa()):
        connection.send(command)
    assert connection.given == 0
    connection.data_to_send()
    connection.receive_data(b"+OK\r\nfirst\r\n")
    assert isinstance(connection.next_event(), ResponseReceived)
    assert connection.given == 0
    assert isinstance(connection.next_event(), MessageData)
    assert connection.given == 7
    connection.receive_data(b".\r\n")
    assert isinstance(connection.next_event(), MessageEnd)
    assert connection.given == 0
    # A listing is no message.
    connection.data_to_send()
    connection.receive_data(b"+OK\r\nUIDL\r\n")
    assert connection.next_event() is None
    assert (connection.given, connection.gathered) == (0, 6)


def test_what_is_received_may_be_changed_afterwards() -> None:
    connection = Connection()
    for piece in (b"+OK re", b"ady\r\n"):
        buffer = bytearray(piece)
        connection.receive_data(memoryview(buffer))
        buffer[:] = bytes(len(buffer))
    assert isinstance(connection.next_event(), ResponseReceived)


@pytest.mark.parametrize("value", ["250 ok\r\n", None, 5, [b"250 ok\r\n"]])
def test_what_is_no_octets_is_not_received(value: Any) -> None:
    connection = Connection()
    with pytest.raises(ValueError, match=f"expected what is received to be bytes, .* the type {type(value).__name__}"):
        connection.receive_data(value)
    assert connection.next_event() is None
    connection.receive_data(b"+OK hi\r\n")
    assert isinstance(connection.next_event(), ResponseReceived)


def test_what_was_received_is_held_until_something_is_made_of_it() -> None:
    connection = logged_in()
    ask(connection, Retr(1))
    assert connection.held == 0
    connection.receive_data(b"+O")
    assert connection.next_event() is None
    assert connection.held == 2
    connection.receive_data(b"K\r\nhello\r\n")
    assert isinstance(connection.next_event(), ResponseReceived)
    assert connection.held == 7
    assert isinstance(connection.next_event(), MessageData)
    assert connection.held == 0


def test_before_anything_has_come_nothing_is_gathered() -> None:
    assert Connection().gathered == 0


def test_a_message_is_given_and_not_gathered() -> None:
    connection = logged_in()
    ask(connection, Retr(1))
    tell(connection, b"+OK\r\nhello\r\n")
    assert (connection.given, connection.gathered) == (7, 0)


def test_a_window_is_for_servers_that_pipeline() -> None:
    connection = Connection()
    tell(connection, b"+OK\r\n")
    ask(connection, Pass(CANARY))
    tell(connection, b"+OK\r\n")
    connection.window = connection.window
    for _ in range(2):
        connection.send(Noop())
    assert b"".join(connection.data_to_send()) == b"NOOP\r\n"
