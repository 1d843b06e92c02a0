"""Each quirk, with and without what forgives it."""

from collections.abc import Iterator
from dataclasses import fields
from itertools import combinations

import pytest

from mailwire.errors import (
    AuthenticationFailed,
    Desynchronised,
    MessageTruncated,
    RemoteProtocolError,
    ServerUnproven,
)
from mailwire.pop3 import (
    LOCKSTEP,
    STANDARD,
    Auth,
    Capa,
    Connection,
    Dele,
    List,
    MessageEnd,
    Noop,
    Pass,
    Quirks,
    Response,
    ResponseReceived,
    Retr,
    State,
    Top,
    Uidl,
    User,
    Window,
)
from mailwire.sasl import Login, Plain
from mailwire.sasl.scram import Scram
from tests.pop3.sessions import CANARY, CREDENTIALS, Account, account, ask, messages, octets, state_of, take, tell


def opened(quirks: Quirks = STANDARD, window: Window = LOCKSTEP) -> Connection:
    """A machine in TRANSACTION whose server announced PIPELINING."""
    connection = Connection(window=window, quirks=quirks)
    tell(connection, b"+OK\r\n")
    ask(connection, Capa())
    tell(connection, b"+OK\r\nPIPELINING\r\n.\r\n")
    ask(connection, Pass(CANARY))
    tell(connection, b"+OK\r\n")
    return connection


def retrieved(wire: bytes, quirks: Quirks, *pieces: bytes, command: Retr | Top | None = None) -> Account:
    connection = opened(quirks)
    ask(connection, command or Retr(1))
    return account(tell(connection, *(pieces or (wire,))))


def cut_in_two_and_three(wire: bytes) -> Iterator[list[bytes]]:
    for first, second in combinations(range(1, len(wire)), 2):
        yield [wire[:first], wire[first:second], wire[second:]]
    yield octets(wire)


def test_nothing_is_forgiven_unless_it_is_asked_for() -> None:
    assert Quirks() == STANDARD
    assert not any(getattr(STANDARD, each.name) for each in fields(Quirks))


@pytest.mark.parametrize("name", [each.name for each in fields(Quirks)])
def test_each_is_true_or_false(name: str) -> None:
    for value in ("no", 1, None):
        with pytest.raises(ValueError, match=f"^expected {name} to be True or False, got "):
            Quirks(**{name: value})  # type: ignore[arg-type]
    assert getattr(Quirks(**{name: True}), name)


# A second status line: pop.km.ru, FTGate


@pytest.mark.parametrize("second", [b"+OK", b"+OK ", b"+OK 522 octets", b"+OK\tfollows"])
@pytest.mark.parametrize("command", [Retr(1), Top(1, 0)])
def test_a_second_status_line_is_dropped(second: bytes, command: Retr | Top) -> None:
    wire = b"+OK\r\n" + second + b"\r\nSubject: x\r\n\r\n..\r\n.\r\n"
    forgiving = Quirks(second_status=True)
    expected = [
        ("said", str(command), Response(True)),
        ("data", str(command), b"Subject: x\r\n\r\n.\r\n"),
        ("end", str(command), 17),
    ]
    for pieces in cut_in_two_and_three(wire):
        assert retrieved(wire, forgiving, *pieces, command=command) == expected
    # Without, it may be the answer to another command.
    for pieces in cut_in_two_and_three(wire):
        with pytest.raises(Desynchronised, match=r"got a second answer, b'\+OK.*Quirks\.second_status"):
            retrieved(wire, STANDARD, *pieces, command=command)


@pytest.mark.parametrize("quirks", [STANDARD, Quirks(second_status=True)])
def test_a_refusal_is_no_message(quirks: Quirks) -> None:
    # Where an answer too many came before, this is the true one.
    for pieces in cut_in_two_and_three(b"+OK\r\n-ERR no such message\r\n+OK\r\nother\r\n.\r\n"):
        with pytest.raises(Desynchronised, match="got a second answer, b'-ERR no such message'"):
            retrieved(b"", quirks, *pieces)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\r\n",
        b"+\r\n",
        b"+O\r\n",
        b"+OKAY: x\r\n",
        b"+ok\r\n",
        b"-E\r\n",
        b"-ERROR: x\r\n",
        b" +OK\r\n",
        b"Subject: +OK\r\n+OK\r\n",
        b"+OK" + b"x" * 2000 + b"\r\n",
        b"+OK " + b"x" * 2000 + b"\r\nmore\r\n",
    ],
)
def test_a_first_line_that_is_no_status_stays(message: bytes) -> None:
    wire = b"+OK\r\n" + message + b".\r\n"
    data = [("data", "RETR 1", message)] if message else []
    expected = [("said", "RETR 1", Response(True)), *data, ("end", "RETR 1", len(message))]
    for pieces in ([wire], octets(wire)):
        for quirks in (STANDARD, Quirks(second_status=True)):
            assert retrieved(wire, quirks, *pieces) == expected


def test_of_two_status_lines_in_front_of_an_empty_message_one_is_dropped() -> None:
    for pieces in cut_in_two_and_three(b"+OK\r\n+OK\r\n.\r\n"):
        assert retrieved(b"", Quirks(second_status=True), *pieces)[1:] == [("end", "RETR 1", 0)]


def test_a_listing_is_left_alone() -> None:
    connection = opened(Quirks(second_status=True))
    ask(connection, List())
    [event] = tell(connection, b"+OK\r\n+OK\r\n1 5\r\n.\r\n")
    assert isinstance(event, ResponseReceived)
    assert dict(List().parse(event.response)) == {1: 5}


# A stray empty line: Office 365


@pytest.mark.parametrize("blank", [b"\r\n", b"\n", b"\r\n\r\n"])
def test_an_empty_line_in_place_of_an_answer_is_passed_over(blank: bytes) -> None:
    for pieces in cut_in_two_and_three(blank + b"+OK gone\r\n"):
        connection = opened(Quirks(blank_lines=True))
        ask(connection, Dele(1))
        assert account(tell(connection, *pieces)) == [("said", "DELE 1", Response(True, b"gone"))]
    connection = opened()
    ask(connection, Dele(1))
    with pytest.raises(Desynchronised, match=r"Quirks\.blank_lines"):
        tell(connection, blank + b"+OK gone\r\n")


def test_an_empty_line_behind_an_answer_is_passed_over() -> None:
    connection = opened(Quirks(blank_lines=True))
    ask(connection, Dele(1))
    assert len(tell(connection, b"+OK gone\r\n\r\n")) == 1
    ask(connection, Dele(2))
    assert account(tell(connection, b"+OK gone\r\n")) == [("said", "DELE 2", Response(True, b"gone"))]


def test_an_empty_line_that_is_passed_over_is_told() -> None:
    told: list[tuple[str, str]] = []
    connection = opened(Quirks(blank_lines=True))
    connection.trace = lambda who, what: told.extend((who, line) for line in what.shown())
    ask(connection, Dele(1))
    tell(connection, b"\r\n+OK gone\r\n")
    assert told == [("C", "DELE 1"), ("S", ""), ("S", "+OK gone")]


def test_an_empty_line_is_a_fault_where_it_may_stand_for_an_answer() -> None:
    # Which of the two was answered? To take the one for the other is to believe a message deleted that is not.
    connection = opened(Quirks(blank_lines=True), Window(10, 1000))
    ask(connection, Dele(1), Dele(2))
    with pytest.raises(Desynchronised, match="a stray empty line"):
        tell(connection, b"\r\n+OK gone\r\n")
    assert connection.in_flight == (Dele(1), Dele(2))


# +ERR: hMailServer


def test_err_with_a_plus_is_a_refusal_for_who_asks_for_it() -> None:
    for quirks in (STANDARD, Quirks(plus_err=True)):
        connection = Connection(quirks=quirks)
        tell(connection, b"+OK\r\n")
        ask(connection, User("tim"), Pass(CANARY))
        tell(connection, b"+OK\r\n")
        connection.data_to_send()
        connection.receive_data(b"+ERR Invalid user name or password\r\n")
        if quirks.plus_err:
            [event] = take(connection)
            refused = Response(False, b"Invalid user name or password")
            assert event == ResponseReceived(Pass(CANARY), refused)
            assert state_of(connection) is State.AUTHORIZATION
        else:
            with pytest.raises(RemoteProtocolError, match=r"\(Quirks\.plus_err\)"):
                take(connection)


# +OK where + is due: Exchange 2003


@pytest.mark.parametrize("prompt", [b"+OK", b"+OK ", b"+OK go ahead, please", b"+OK VXNlcm5hbWU6"])
def test_ok_is_a_challenge_as_long_as_the_mechanism_is_not_complete(prompt: bytes) -> None:
    connection = Connection(quirks=Quirks(ok_as_challenge=True))
    tell(connection, b"+OK\r\n")
    command = Auth(Login(CREDENTIALS))
    assert ask(connection, command) == b"AUTH LOGIN\r\n"
    assert tell(connection, prompt + b"\r\n") == []
    assert connection.data_to_send() == [b"dGlt\r\n"]
    assert tell(connection, b"+ UGFzc3dvcmQ6\r\n") == []
    assert connection.data_to_send() == [b"dGFuc3RhYWZ0YW5zdGFhZg==\r\n"]
    assert tell(connection, b"+OK welcome\r\n") == [ResponseReceived(command, Response(True, b"welcome"))]
    assert state_of(connection) is State.TRANSACTION


def test_ok_is_a_success_once_the_mechanism_is_complete() -> None:
    connection = Connection(quirks=Quirks(ok_as_challenge=True))
    tell(connection, b"+OK\r\n")
    ask(connection, Auth(Plain(CREDENTIALS)))
    tell(connection, b"+OK\r\n")
    assert state_of(connection) is State.TRANSACTION


def test_without_the_quirk_ok_before_the_end_is_no_success() -> None:
    connection = Connection()
    tell(connection, b"+OK\r\n")
    ask(connection, Auth(Login(CREDENTIALS)))
    with pytest.raises(AuthenticationFailed, match="success before the exchange is complete"):
        tell(connection, b"+OK\r\n")


def test_ok_in_disguise_proves_nothing() -> None:
    # A server that does not know the password gets no further by it.
    connection = Connection(quirks=Quirks(ok_as_challenge=True))
    tell(connection, b"+OK\r\n")
    command = Auth(Scram(CREDENTIALS, "SHA-256"))
    ask(connection, command)
    tell(connection, b"+OK\r\n")
    assert connection.data_to_send() == [b"*\r\n"]
    with pytest.raises((AuthenticationFailed, ServerUnproven)):
        tell(connection, b"+OK\r\n")


def test_a_refusal_and_noise_stay_what_they_are() -> None:
    for line in (b"-ERR no\r\n", b"+OKAY\r\n"):
        connection = Connection(quirks=Quirks(ok_as_challenge=True))
        tell(connection, b"+OK\r\n")
        ask(connection, Auth(Login(CREDENTIALS)))
        connection.receive_data(line)
        if line.startswith(b"-"):
            assert len(take(connection)) == 1
        else:
            with pytest.raises(RemoteProtocolError, match="expected"):
                take(connection)


# A terminator that lacks its LF: Cyrus 3.4


@pytest.mark.parametrize("body", [b"", b"x\r\n", b"x\n\r\n", b".\r\n"])
def test_a_terminator_without_its_lf_ends_the_message_if_nothing_follows(body: bytes) -> None:
    wire = b"+OK\r\n" + body.replace(b".", b"..") + b".\r"
    for pieces in ([wire], octets(wire)):
        connection = opened(Quirks(cut_terminator=True))
        ask(connection, Retr(1))
        assert messages(tell(connection, *pieces)) == {"RETR 1": body}
        ask(connection, Noop())
        assert account(tell(connection, b"+OK\r\n")) == [("said", "NOOP", Response(True))]


def test_the_lf_may_come_late_and_is_no_answer() -> None:
    for pieces in cut_in_two_and_three(b"+OK\r\nx\r\n.\r\n"):
        connection = opened(Quirks(cut_terminator=True))
        ask(connection, Retr(1))
        assert messages(tell(connection, *pieces)) == {"RETR 1": b"x\r\n"}
        ask(connection, Noop())
        assert account(tell(connection, *octets(b"+OK\r\n"))) == [("said", "NOOP", Response(True))]


def test_a_late_lf_may_come_with_the_next_answer() -> None:
    connection = opened(Quirks(cut_terminator=True))
    ask(connection, Retr(1))
    tell(connection, b"+OK\r\nx\r\n.\r")
    ask(connection, Noop())
    assert account(tell(connection, b"\n+OK\r\n")) == [("said", "NOOP", Response(True))]


def test_the_end_of_the_connection_behind_it_loses_nothing() -> None:
    for quirks, is_whole in ((Quirks(cut_terminator=True), True), (STANDARD, False)):
        connection = opened(quirks)
        ask(connection, Retr(1))
        connection.receive_data(b"+OK\r\nx\r\n.\r")
        connection.receive_eof()
        if is_whole:
            assert messages(take(connection)) == {"RETR 1": b"x\r\n"}
        else:
            with pytest.raises(MessageTruncated, match=r"after 3 octets, .*\(Quirks\.cut_terminator\)"):
                take(connection)


def test_a_dot_and_a_cr_in_the_middle_are_the_message() -> None:
    wire = b"+OK\r\n..\rx\r\nx.\r\r\n.\r\n"
    assert retrieved(wire, Quirks(cut_terminator=True))[1:] == [
        ("data", "RETR 1", b".\rx\r\nx.\r\r\n"),
        ("end", "RETR 1", 10),
    ]


# Lines that end in a bare LF behind a first line that does not


def test_a_body_of_bare_lf_ends_where_its_own_line_ends_say() -> None:
    wire = b"+OK\r\nSubject: x\n\n..\n.\n"
    for pieces in cut_in_two_and_three(wire):
        connection = opened(Quirks(bare_lf_bodies=True))
        ask(connection, Retr(1))
        assert messages(tell(connection, *pieces)) == {"RETR 1": b"Subject: x\n\n.\n"}
    assert not [each for each in retrieved(wire, STANDARD) if each[0] == "end"]
    connection = opened(Quirks(bare_lf_bodies=True))
    ask(connection, Uidl())
    [event] = tell(connection, b"+OK\r\n1 a\n2 b\n.\n")
    assert isinstance(event, ResponseReceived)
    assert dict(Uidl().parse(event.response)) == {1: "a", 2: "b"}


def test_what_begins_with_a_second_status_line_is_not_taken_whole() -> None:
    connection = opened()
    ask(connection, Retr(1))
    connection.receive_data(b"+OK\r\n+OK 5 octets\r\none\r\n.\r\n")
    assert isinstance(connection.next_event(), ResponseReceived)
    assert connection.take_message(100) is None
    with pytest.raises(Desynchronised):
        connection.next_event()
    connection = opened(Quirks(second_status=True))
    ask(connection, Retr(1))
    connection.receive_data(b"+OK\r\n+OK 5 octets\r\none\r\n.\r\n")
    assert isinstance(connection.next_event(), ResponseReceived)
    assert connection.take_message(100) is None
    assert messages(take(connection)) == {"RETR 1": b"one\r\n"}


def test_every_quirk_leaves_a_server_alone_that_keeps_to_the_standard() -> None:
    wire = b"+OK\r\nSubject: x\r\n\r\n..\r\n+OK\r\n.\r\n"
    everything = Quirks(**{each.name: True for each in fields(Quirks) if each.name != "bare_lf_bodies"})
    for pieces in ([wire], octets(wire)):
        assert retrieved(wire, everything, *pieces) == retrieved(wire, STANDARD)
    connection = opened(everything)
    ask(connection, Retr(1))
    assert isinstance(tell(connection, wire)[-1], MessageEnd)


def test_what_looks_at_what_has_not_come_needs_lockstep() -> None:
    needy = {field.name for field in fields(Quirks) if Quirks(**{field.name: True}).needs_lockstep}
    assert needy == {"blank_lines", "cut_terminator"}
    assert not STANDARD.needs_lockstep
