from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mailwire._wire.trace import Direction, Traceable
from mailwire.errors import ConnectionLost, Desynchronised, MailwireError, MessageTruncated
from mailwire.pop3 import (
    Auth,
    Capa,
    Command,
    Connection,
    Dele,
    DropListing,
    Event,
    List,
    Noop,
    Pass,
    Quit,
    Response,
    ResponseReceived,
    Retr,
    Rset,
    ServerClosing,
    Stat,
    Stls,
    Top,
    Uidl,
    User,
)
from mailwire.sasl import Login, Plain
from tests.pop3.sessions import CANARY, CREDENTIALS, Account, Program, account, messages
from tests.replay import Replay, Transcript, Turn, load, replay

TESTS = Path(__file__).parents[1]
SYLPHEED = (TESTS / "data" / "sylpheed-message.eml").read_bytes()
TRACE_HEADER = (
    b"Received: from [192.168.0.33] by DESKTOP-HJE64BM\r\n"
    b"  (ArGoSoft Mail Server Freeware, Version 1.8 (1.8.8.8)); Thu, 30 Sep 2021 08:26:27 +0200\r\n"
)


def login(*commands: Command[object]) -> list[Command[object]]:
    """USER, PASS and `commands`."""
    return [User("tim"), Pass(CANARY), *commands]


@dataclass(frozen=True)
class Session:
    """What a client wants to say in a transcript, and what comes of it."""

    commands: Callable[[], Sequence[Command[object]]]
    messages: dict[str, bytes] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    discarded: tuple[str, ...] = ()
    error: type[MailwireError] | None = None


SESSIONS = {
    "pop3-sylpheed-argosoft": Session(
        lambda: [Capa(), User("theogus"), Pass("fireball"), Stat(), List(), Uidl(), Retr(3, size=533), Quit()],
        messages={"RETR 3": TRACE_HEADER + SYLPHEED},
        refused=("CAPA",),
    ),
    "pop3-rfc1939": Session(
        lambda: [
            *(User("mrose"), Pass("tanstaaf"), Stat(), List()),
            *(Retr(1, size=120), Dele(1), Retr(2, size=200), Dele(2), Quit()),
        ],
        messages={"RETR 1": b"Subject: one\r\n\r\n.\r\n", "RETR 2": b"Subject: two\r\n\r\n.and so on\r\n"},
    ),
    "pop3-pipelined": Session(
        lambda: [
            *(Capa(), Auth(Plain(CREDENTIALS)), Uidl(), List(), Retr(1), Retr(2), Retr(3)),
            *(Dele(1), Rset(), Top(3, 0), Quit()),
        ],
        messages={"RETR 1": b"hello\r\n", "RETR 3": b""},
        refused=("RETR 2", "TOP 3 0"),
    ),
    "pop3-stls": Session(lambda: [Capa(), Stls(), Capa(), Auth(Plain(CREDENTIALS)), Capa(), Stat(), Quit()]),
    "pop3-stls-refused": Session(lambda: [Capa(), Stls(), Quit()], refused=("CAPA", "STLS")),
    "pop3-bare-lf": Session(lambda: [Capa(), *login(List(), Retr(1), Quit())], messages={"RETR 1": b".\n..x\ncr\r\n"}),
    "pop3-auth-login": Session(lambda: [Auth(Login(CREDENTIALS)), Noop(), Quit()]),
    "pop3-auth-cancelled": Session(
        lambda: [Auth(Login(CREDENTIALS)), Stat(), Retr(1), Quit()],
        refused=("AUTH LOGIN",),
        discarded=("STAT", "RETR 1"),
    ),
    "pop3-in-use": Session(
        lambda: login(Stat(), Uidl(), Dele(1), Quit()), refused=("PASS ****",), discarded=("STAT", "UIDL", "DELE 1")
    ),
    "pop3-greeting-refused": Session(
        lambda: [Capa(), *login(Stat(), Quit())],
        refused=("(the connection)", "QUIT"),
        discarded=("CAPA", "USER tim", "PASS ****", "STAT"),
    ),
    "pop3-idle": Session(login),
    "pop3-retr-cut": Session(lambda: login(Stat(), List(), Retr(1, size=9), Dele(1), Quit()), error=MessageTruncated),
    "pop3-not-stuffed": Session(
        lambda: [Capa(), *login(Retr(1), Dele(1), Noop())],
        messages={"RETR 1": b"Subject: forged\r\n\r\n"},
        error=Desynchronised,
    ),
}
NAMES = sorted(SESSIONS)
# Those that came to a good end, and those short enough to be cut twice everywhere.
GOOD = [name for name in NAMES if SESSIONS[name].error is None and Quit() in SESSIONS[name].commands()]
SHORT = [name for name in NAMES if len(load(name).server) <= 150]


@dataclass(frozen=True)
class Outcome:
    """All that came of a session, in a form that does not depend on how the octets were cut."""

    account: Account
    written: bytes
    error: str
    told: list[str]


def play(name: str, transcript: Transcript, cuts: Collection[int] = ()) -> tuple[Replay[Event], Outcome]:
    told: list[str] = []

    def trace(direction: Direction, what: Traceable) -> None:
        told.extend(f"{direction}: {line}" for line in what.shown())

    connection = Connection(trace=trace)
    result: Replay[Event] = replay(transcript, connection, Program(connection, SESSIONS[name].commands()), cuts)
    return result, Outcome(account(result.events), result.written, repr(result.error), told)


def test_most_of_them_come_to_a_good_end() -> None:
    assert len(GOOD) > len(NAMES) // 2


@pytest.mark.parametrize("name", NAMES)
def test_a_session_comes_to_what_it_should(name: str) -> None:
    session, transcript = SESSIONS[name], load(name)
    result, outcome = play(name, transcript)
    assert messages(result.events) == session.messages
    received = [event for event in result.events if isinstance(event, ResponseReceived)]
    assert tuple(str(event.command) for event in received if not event.response.ok) == session.refused
    assert tuple(str(command) for event in received for command in event.discarded) == session.discarded
    assert type(result.error) is (type(None) if session.error is None else session.error)
    assert result.written == transcript.client
    assert all(line.isprintable() and CANARY not in line and "fireball" not in line for line in outcome.told)


def cut_short(transcript: Transcript, place: int) -> Transcript:
    """`transcript` with a server that closes behind `place` of its octets."""
    turns: list[Turn] = []
    for turn in transcript.turns:
        said = b"".join(turn.server)
        if place <= len(said):
            return Transcript((*turns, Turn(turn.client, (said[:place],) if place else (), closes=True)))
        turns.append(turn)
        place -= len(said)
    raise AssertionError("the place lies behind the end")


@pytest.mark.parametrize(
    ("name", "by_octet"), [*((name, False) for name in GOOD), *((name, True) for name in GOOD if name in SHORT)]
)
def test_a_session_that_is_cut_off_anywhere_is_as_far_as_it_came_and_lost(name: str, by_octet: bool) -> None:
    transcript = load(name)
    _, whole = play(name, transcript)
    for place in range(len(transcript.server)):
        result, cut = play(name, cut_short(transcript, place), range(1, place) if by_octet else ())
        came, error = cut.account, result.error
        # A message of which only a part came is told as far as it came.
        part = came.pop() if came[-1:] != whole.account[len(came) - 1 : len(came)] else None
        assert came == whole.account[: len(came)], place
        due = whole.account[len(came)]
        assert isinstance(error, ConnectionLost), place
        assert error.in_flight[0] == due[1], place
        if part is not None:
            assert part[:2] == due[:2] == ("data", due[1])
            assert isinstance(part[2], bytes)
            assert isinstance(due[2], bytes)
            assert due[2].startswith(part[2])
            assert isinstance(error, MessageTruncated)
            assert error.octets == len(part[2])


# What is special about some of them


def responses(name: str) -> dict[str, Response]:
    """The responses in a session, by command."""
    result, _ = play(name, load(name))
    return {str(event.command): event.response for event in result.events if isinstance(event, ResponseReceived)}


def test_argosoft_says_one_size_lists_another_and_sends_what_it_sends() -> None:
    said = responses("pop3-sylpheed-argosoft")
    result, _ = play("pop3-sylpheed-argosoft", load("pop3-sylpheed-argosoft"))
    message = messages(result.events)["RETR 3"]
    assert said["RETR 3"] == Response(True, b"522 octets")
    assert dict(List().parse(said["LIST"])) == {1: 555, 2: 533, 3: 533}
    assert len(message) == 533
    assert message.endswith(SYLPHEED)
    assert Stat().parse(said["STAT"]) == DropListing(3, 555 + 533 + 533)
    assert Uidl().parse(said["UIDL"])[3] == "ia4u1wk1f34bw4c"


def test_argosoft_sends_the_dot_that_ends_a_listing_in_a_packet_of_its_own() -> None:
    packets = [turn.server for turn in load("pop3-sylpheed-argosoft").turns if len(turn.server) > 1]
    assert [packet[-1] for packet in packets] == [b".\r\n", b".\r\n"]
    assert [len(packet) for packet in packets] == [2, 2]


def test_the_dialogue_with_argosoft_is_told_as_it_was_spoken() -> None:
    _, outcome = play("pop3-sylpheed-argosoft", load("pop3-sylpheed-argosoft"))
    assert outcome.told[:6] == [
        "S: +OK ArGoSoft Mail Server Freeware, Version 1.8 (1.8.8.8)",
        "C: CAPA",
        "S: -ERR Unknown command",
        "C: USER theogus",
        "S: +OK Password required for theogus",
        "C: PASS ****",
    ]
    assert outcome.told[-5:] == ["C: RETR 3", "S: +OK 522 octets", "S: (533 octets)", "C: QUIT", "S: +OK Aba he"]


def test_what_was_announced_in_the_clear_does_not_hold_under_tls() -> None:
    connection = Connection()
    name = "pop3-stls"
    result: Replay[Event] = replay(load(name), connection, Program(connection, SESSIONS[name].commands()))
    assert result.error is None
    assert connection.greeting is None
    assert connection.capabilities is not None
    assert connection.capabilities.mechanisms == ("PLAIN",)
    assert "PIPELINING" not in connection.capabilities


def test_a_maildrop_in_use_says_so_in_any_case() -> None:
    assert responses("pop3-in-use")["PASS ****"].code == "IN-USE"


def test_a_message_cut_off_is_as_long_as_what_came_of_it() -> None:
    result, _ = play("pop3-retr-cut", load("pop3-retr-cut"))
    assert isinstance(result.error, MessageTruncated)
    assert result.error.octets == 7
    assert result.error.in_flight == ("RETR 1",)


def test_the_last_word_of_an_idle_session_is_an_event() -> None:
    result, _ = play("pop3-idle", load("pop3-idle"))
    assert result.events[-1] == ServerClosing(Response(False, b"[SYS/TEMP] idle for 10 minutes"))
