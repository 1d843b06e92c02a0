import base64
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire._wire.trace import Direction, Trace, Traceable
from mailwire.errors import (
    AuthenticationFailed,
    ConnectionLost,
    InjectedData,
    LimitExceeded,
    LocalProtocolError,
    MailwireError,
    NotSupported,
    RemoteProtocolError,
    SecurityError,
    ServerUnproven,
    TLSFailed,
)
from mailwire.sasl import Login, Mechanism, MechanismFailed, Password, Plain
from mailwire.sasl.oauth import OAuthBearer, XOAuth2
from mailwire.sasl.scram import WORK_ITERATIONS, ProofMissing, Scram
from mailwire.smtp import (
    LOCKSTEP,
    PIPELINING_WINDOW,
    Auth,
    Command,
    ComputationDue,
    Connection,
    ConnectionClosed,
    Data,
    Ehlo,
    EndOfData,
    Expn,
    Extensions,
    Greeting,
    Helo,
    Mail,
    Mailbox,
    Noop,
    Quit,
    Rcpt,
    Reply,
    ReplyReceived,
    Rset,
    ServerClosing,
    StartTls,
    State,
    Vrfy,
    Window,
)
from tests.sasl.laborious import Laborious
from tests.sasl.scram_server import Account, ScramServer
from tests.smtp.sessions import OFFERED, A, B, C, Talkative, ask, at, events_of, hear, reply

CANARY = "canary-7f3a"
CREDENTIALS = Password("tim", CANARY)

# The states in which nothing is unanswered.
IDLE = [State.GREETING, State.INITIATION, State.READY, State.TRANSACTION]


class Ear:
    """Listens to what a machine says and hears."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, direction: Direction, what: Traceable) -> None:
        self.lines += [f"{direction}: {line}" for line in what.shown()]


def flush(connection: Connection) -> bytes:
    return b"".join(connection.data_to_send())


def feed(connection: Connection, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        connection.receive_data(piece)
        assert connection.next_event() is None


def received(code: int, command: Command[object], text: bytes = b"ok") -> ReplyReceived:
    return ReplyReceived(command, reply(code, text))


# The beginning


def test_at_the_beginning_nothing_is_known_and_nothing_was_written() -> None:
    connection = Connection()
    assert connection.state is State.GREETING
    assert (connection.greeting, connection.extensions) == (None, None)
    assert connection.is_authenticated is False
    assert (connection.is_secured, connection.is_verified) == (False, False)
    assert (connection.is_pipelining, connection.takes_groups, connection.takes_envelopes) == (False, False, False)
    assert connection.opening is None
    assert connection.accepts_data is False
    assert connection.data_octets == 0
    assert connection.has_news is False
    assert connection.next_event() is None


def test_before_it_was_asked_a_server_offers_nothing() -> None:
    assert Connection().offered == Extensions()


def test_nothing_is_written_before_the_greeting() -> None:
    connection = Connection()
    connection.send(Ehlo("c"))
    assert connection.data_to_send() == []
    assert connection.in_flight == (Greeting(),)
    assert connection.queued == (Ehlo("c"),)
    assert hear(connection, "220 ok") == [received(220, Greeting())]
    assert flush(connection) == b"EHLO c\r\n"


def test_the_greeting_is_kept() -> None:
    connection = Connection()
    assert connection.greeting is None
    hear(connection, "220-mx.example.org", "220 ESMTP")
    assert connection.greeting == Reply(220, (b"mx.example.org", b"ESMTP"))
    assert connection.state is State.INITIATION


@pytest.mark.parametrize("code", [450, 554])
def test_a_refused_greeting_leaves_quit_and_discards_the_rest(code: int) -> None:
    connection = Connection()
    connection.send(Ehlo("c"))
    assert hear(connection, f"{code} no") == [ReplyReceived(Greeting(), reply(code, b"no"), discarded=(Ehlo("c"),))]
    assert (connection.state, connection.greeting, connection.queued) == (State.GREETING, None, ())
    assert ask(connection, Quit(), "221 ok") == [received(221, Quit())]


def test_421_for_a_greeting_closes() -> None:
    connection = Connection()
    assert hear(connection, "421 busy") == [received(421, Greeting(), b"busy")]
    assert connection.state is State.CLOSED
    with pytest.raises(LocalProtocolError):
        connection.send(Quit())


@pytest.mark.parametrize("line", ["354 go", "334 ", "+OK ready", "SSH-2.0-OpenSSH_9.2", "HTTP/1.1 400 Bad Request", ""])
def test_a_greeting_that_is_none_is_an_error(line: str) -> None:
    connection = Connection()
    with pytest.raises(RemoteProtocolError, match=r"^expected .*got .*"):
        hear(connection, line)
    assert connection.state is State.CLOSED
    assert flush(connection) == b""


def test_extensions_are_what_ehlo_announced() -> None:
    connection = at(State.INITIATION)
    assert connection.extensions is None
    [event] = ask(connection, Ehlo("c"), "250-hello", "250-SIZE 5", "250 AUTH PLAIN")
    assert connection.extensions == Extensions({"SIZE": ("5",), "AUTH": ("PLAIN",)})
    assert isinstance(event, ReplyReceived)
    assert event.command.parse(event.reply) == connection.extensions


def test_behind_helo_there_are_no_extensions() -> None:
    connection = at(State.INITIATION)
    ask(connection, Helo("c"), "250-hello", "250 PIPELINING")
    assert connection.extensions == Extensions()
    assert connection.state is State.READY


def test_helo_may_follow_a_refused_ehlo() -> None:
    connection = at(State.INITIATION)
    ask(connection, Ehlo("c"), "500 what?")
    assert (connection.state, connection.extensions) == (State.INITIATION, None)
    ask(connection, Helo("c"), "250 hello")
    assert connection.state is State.READY


def test_a_later_ehlo_replaces_the_extensions_and_a_refused_one_does_not() -> None:
    connection = at(State.READY)
    ask(connection, Ehlo("c"), "250-hello", "250 SIZE 5")
    ask(connection, Ehlo("c"), "502 no")
    assert connection.extensions == Extensions({"SIZE": ("5",)})
    ask(connection, Ehlo("c"), "250 hello")
    assert connection.extensions == Extensions()


@pytest.mark.parametrize("state", [State.READY, State.TRANSACTION])
def test_ehlo_ends_a_mail_transaction(state: State) -> None:
    connection = at(state)
    ask(connection, Ehlo("c"), "250 hello")
    assert connection.state is State.READY


# Pipelining


def envelope() -> list[Command[object]]:
    return [Mail(A), Rcpt(B), Rcpt(C), Data()]


def test_without_pipelining_each_command_waits_for_the_reply_before_it() -> None:
    connection = at(State.INITIATION)
    ask(connection, Ehlo("c"), "250 hello")
    for command in envelope():
        connection.send(command)
    for command in envelope()[:3]:
        assert connection.data_to_send() == [command.encode()]
        assert connection.data_to_send() == []
        hear(connection, "250 ok")
    assert connection.data_to_send() == [b"DATA\r\n"]


def test_with_pipelining_a_group_leaves_at_once() -> None:
    connection = at(State.READY)
    for command in envelope():
        connection.send(command)
    assert connection.data_to_send() == [command.encode() for command in envelope()]
    assert connection.in_flight == tuple(envelope())


def test_pipelining_can_be_switched_off() -> None:
    connection = at(State.READY, Connection(window=LOCKSTEP))
    for command in envelope():
        connection.send(command)
    assert connection.data_to_send() == [envelope()[0].encode()]


@pytest.mark.parametrize(("commands", "is_pipelining"), [(1, False), (2, True)])
def test_a_window_of_two_commands_is_pipelining(commands: int, is_pipelining: bool) -> None:
    window = Window(commands=commands, octets=4096)
    for groups in (False, True):
        connection = at(State.READY, Connection(window=window, groups=groups))
        assert (connection.is_pipelining, connection.takes_groups) == (is_pipelining, groups)
        assert connection.takes_envelopes is (is_pipelining and groups)


def test_pipelining_ends_with_the_announcement_of_it() -> None:
    connection = at(State.READY)
    ask(connection, Helo("c"), "250 hello")
    for command in envelope():
        connection.send(command)
    assert len(connection.data_to_send()) == 1


def test_the_window_is_128_commands_and_8_kib() -> None:
    assert PIPELINING_WINDOW.commands == 128
    assert PIPELINING_WINDOW.octets == 8192
    connection = at(State.TRANSACTION)
    for _ in range(1000):
        connection.send(Rcpt(B))
    sent = connection.data_to_send()
    assert len(sent) == 128
    hear(connection, *["250 ok"] * 64)
    assert len(connection.data_to_send()) == 64


def test_a_message_takes_nothing_of_the_windows_octets() -> None:
    window = Window(commands=100, octets=len(Mail(A).encode()))
    connection = at(State.MAIL_DATA, Connection(window=window))
    connection.end_data(b"x" * 1000 + b"\r\n")
    connection.send(Mail(A))
    assert flush(connection).endswith(b"\r\n.\r\n" + Mail(A).encode())


def test_the_window_counts_the_octets_of_the_commands() -> None:
    connection = at(State.TRANSACTION, Connection(window=Window(commands=100, octets=3 * len(Rcpt(B).encode()))))
    for _ in range(10):
        connection.send(Rcpt(B))
    assert len(connection.data_to_send()) == 3


def test_nothing_leaves_behind_the_end_of_a_group() -> None:
    connection = at(State.READY)
    for command in (Rset(), Noop(), Rset(), Vrfy("b"), Rset()):
        connection.send(command)
    assert flush(connection) == b"RSET\r\nNOOP\r\n"
    hear(connection, "250 ok", "250 ok")
    assert flush(connection) == b"RSET\r\nVRFY b\r\n"
    hear(connection, "250 ok", "252 ok")
    assert flush(connection) == b"RSET\r\n"


@pytest.mark.parametrize("command", [StartTls(), Quit()])
def test_a_command_that_stands_alone_waits_until_all_is_answered(command: Command[object]) -> None:
    connection = at(State.READY)
    connection.send(Rset())
    connection.send(command)
    assert flush(connection) == b"RSET\r\n"
    hear(connection, "250 ok")
    assert flush(connection) == command.encode()


def test_replies_answer_the_oldest_command() -> None:
    connection = at(State.READY)
    for command in envelope():
        connection.send(command)
    flush(connection)
    events = hear(connection, "250 a", "550 b", "251 c", "354 d")
    assert events == [
        received(250, Mail(A), b"a"),
        received(550, Rcpt(B), b"b"),
        received(251, Rcpt(C), b"c"),
        received(354, Data(), b"d"),
    ]


def test_events_are_taken_one_at_a_time_and_the_state_moves_with_them() -> None:
    connection = at(State.READY)
    for command in envelope():
        connection.send(command)
    flush(connection)
    connection.receive_data(b"250 a\r\n250 b\r\n250 c\r\n354 d\r\n")
    assert connection.state is State.READY
    for left, state in ((3, State.TRANSACTION), (2, State.TRANSACTION), (1, State.TRANSACTION), (0, State.MAIL_DATA)):
        connection.next_event()
        assert (len(connection.in_flight), connection.state) == (left, state)


def test_a_refused_mail_discards_queued_commands() -> None:
    connection = at(State.INITIATION)
    ask(connection, Ehlo("c"), "250 hello")
    for command in envelope():
        connection.send(command)
    flush(connection)
    [event] = hear(connection, "550 no")
    assert isinstance(event, ReplyReceived)
    assert event.discarded == (Rcpt(B), Rcpt(C), Data())
    assert connection.queued == ()
    assert connection.state is State.READY
    assert flush(connection) == b""


def test_a_refused_mail_discards_what_had_not_left_and_awaits_what_had() -> None:
    connection = at(State.READY, Connection(window=Window(commands=2, octets=4096)))
    for command in envelope():
        connection.send(command)
    assert len(connection.data_to_send()) == 2
    [event] = hear(connection, "550 no")
    assert isinstance(event, ReplyReceived)
    assert event.discarded == (Rcpt(C), Data())
    assert connection.in_flight == (Rcpt(B),)
    [event] = hear(connection, "503 no")
    assert event == received(503, Rcpt(B), b"no")
    assert connection.state is State.READY
    connection.send(Mail(A))


def test_what_stays_legal_is_not_discarded() -> None:
    connection = at(State.INITIATION)
    ask(connection, Ehlo("c"), "250 hello")
    for command in (Mail(A), Rcpt(B), Noop(), Rset(), Mail(A), Rcpt(C)):
        connection.send(command)
    flush(connection)
    [event] = hear(connection, "550 no")
    assert isinstance(event, ReplyReceived)
    assert event.discarded == (Rcpt(B),)
    assert connection.queued == (Noop(), Rset(), Mail(A), Rcpt(C))


def test_a_recipient_accepted_behind_a_refused_mail_moves_nothing() -> None:
    connection = at(State.READY)
    for command in envelope():
        connection.send(command)
    flush(connection)
    hear(connection, "550 no", "250 ok", "250 ok")
    assert connection.state is State.READY


def test_mail_data_are_awaited_even_behind_a_refused_mail_if_the_server_says_so() -> None:
    connection = at(State.READY)
    for command in envelope():
        connection.send(command)
    flush(connection)
    hear(connection, "550 no", "503 no", "503 no")
    connection.send(Mail(A))
    assert flush(connection) == b""
    [event] = hear(connection, "354 go")
    assert isinstance(event, ReplyReceived)
    assert event.discarded == (Mail(A),)
    assert (connection.state, connection.accepts_data, connection.queued) == (State.MAIL_DATA, True, ())
    assert flush(connection) == b""
    with pytest.raises(LocalProtocolError):
        connection.send(Rcpt(B))


def test_data_is_not_done_by_250_behind_a_refused_mail_either() -> None:
    connection = at(State.READY)
    for command in envelope():
        connection.send(command)
    flush(connection)
    with pytest.raises(RemoteProtocolError, match="expected 3yz or a refusal to DATA, got '250 ok'"):
        hear(connection, "550 no", "503 no", "503 no", "250 ok")


@pytest.mark.parametrize("code", [400, 599])
def test_a_refused_data_leaves_the_mail_transaction_open(code: int) -> None:
    connection = at(State.TRANSACTION)
    ask(connection, Rcpt(B), "250 ok")
    assert ask(connection, Data(), f"{code} ok") == [received(code, Data())]
    assert (connection.state, connection.accepts_data) == (State.TRANSACTION, False)
    connection.send(Rcpt(C))


def test_what_is_received_may_be_changed_afterwards() -> None:
    connection = Connection()
    for piece in (b"220 mail.exa", b"mple.org\r\n"):
        buffer = bytearray(piece)
        connection.receive_data(memoryview(buffer))
        buffer[:] = bytes(len(buffer))
    assert isinstance(connection.next_event(), ReplyReceived)


@pytest.mark.parametrize("value", ["250 ok\r\n", None, 5, [b"250 ok\r\n"]])
def test_what_is_no_octets_is_not_received(value: Any) -> None:
    connection = Connection()
    with pytest.raises(ValueError, match=f"expected what is received to be bytes, .* the type {type(value).__name__}"):
        connection.receive_data(value)
    assert connection.next_event() is None
    connection.receive_data(b"220 hi\r\n")
    assert isinstance(connection.next_event(), ReplyReceived)


def test_what_was_received_is_held_until_something_is_made_of_it() -> None:
    connection = at(State.READY)
    assert connection.held == 0
    connection.send(Noop())
    flush(connection)
    connection.receive_data(b"250-one\r\n25")
    assert connection.held == 11
    assert connection.next_event() is None
    assert connection.held == 2
    connection.receive_data(b"0 two\r\n")
    assert isinstance(connection.next_event(), ReplyReceived)
    assert connection.held == 0


def test_what_is_awaited_is_the_oldest_that_is_not_answered() -> None:
    connection = Connection()
    assert connection.awaited == Greeting()
    connection = at(State.INITIATION)
    assert connection.awaited is None
    connection.send(Ehlo("c"))
    assert connection.awaited == Ehlo("c")
    flush(connection)
    connection.send(Noop())
    assert connection.awaited == Ehlo("c")
    hear(connection, "250 ok")
    assert connection.awaited == Noop()
    connection = at(State.MAIL_DATA)
    for _ in ("writing", "ended"):
        assert isinstance(connection.awaited, EndOfData)
        connection.end_data() if connection.accepts_data else flush(connection)
    hear(connection, "250 ok")
    assert connection.awaited is None


def test_more_than_one_command_to_be_answered_are_several() -> None:
    connection = at(State.READY)
    assert not connection.awaits_several
    connection.send(Noop())
    assert not connection.awaits_several
    connection.send(Noop())
    assert connection.awaits_several
    flush(connection)
    assert connection.awaits_several
    assert hear(connection, "250 ok")
    assert not connection.awaits_several


def test_queued_commands_can_be_discarded_by_the_caller() -> None:
    connection = at(State.INITIATION)
    ask(connection, Ehlo("c"), "250 hello")
    for command in envelope():
        connection.send(command)
    flush(connection)
    assert connection.discard_queued() == (Rcpt(B), Rcpt(C), Data())
    assert connection.in_flight == (Mail(A),)
    connection.send(Rset())
    with pytest.raises(LocalProtocolError):
        connection.send(Rcpt(B))
    assert connection.discard_queued() == (Rset(),)
    assert connection.discard_queued() == ()


def test_an_end_of_data_is_not_discarded_by_the_caller() -> None:
    connection = at(State.MAIL_DATA)
    connection.send_data(b"text")
    connection.end_data()
    connection.send(Mail(A))
    assert connection.discard_queued() == (Mail(A),)
    assert flush(connection) == b"text\r\n.\r\n"
    connection.send(Mail(B))


# The message


def test_a_message_is_written_between_354_and_its_end() -> None:
    connection = at(State.MAIL_DATA)
    assert connection.accepts_data
    connection.send_data(b"one\n.two")
    connection.send_data(b"")
    connection.send_data(b"\r")
    assert flush(connection) == b"one\r\n..two"
    connection.end_data()
    assert not connection.accepts_data
    assert flush(connection) == b"\r\n.\r\n"
    [end] = connection.in_flight
    assert isinstance(end, EndOfData)
    assert hear(connection, "250 ok") == [received(250, end)]
    assert connection.state is State.READY


def test_a_message_is_not_copied_on_its_way() -> None:
    connection = at(State.MAIL_DATA)
    block = b"QUJD\r\n" * 10_000
    connection.send_data(block)
    assert connection.data_to_send()[0] is block


@pytest.mark.parametrize(
    ("blocks", "octets"),
    [((), 0), ((b"",), 0), ((b"abc\r\n",), 5), ((b"abc",), 5), ((b"a\nb\r", b"\n"), 6), ((b".\n",), 4), ((b"a\r",), 3)],
)
def test_the_octets_of_a_message_are_counted_as_sent(blocks: tuple[bytes, ...], octets: int) -> None:
    connection = at(State.MAIL_DATA)
    for block in blocks:
        connection.send_data(block)
    connection.end_data()
    assert connection.data_octets == octets == len(flush(connection)) - 3
    hear(connection, "250 ok")
    assert connection.data_octets == octets


def test_what_is_no_octets_is_no_block_of_a_message() -> None:
    connection = at(State.MAIL_DATA)
    given: Any = "text"
    for write in (connection.send_data, connection.end_data):
        with pytest.raises(ValueError, match="expected a block to be bytes, got a value of the type str"):
            write(given)
    assert flush(connection) == b""
    connection.send_data(memoryview(b"one\r\n"))
    connection.end_data(bytearray(b"two\r\n"))
    assert flush(connection) == b"one\r\ntwo\r\n.\r\n"


def test_each_message_is_counted_and_stuffed_from_its_beginning() -> None:
    connection = at(State.MAIL_DATA)
    connection.send_data(b"no end")
    connection.end_data()
    flush(connection)
    hear(connection, "250 ok")
    for command, answer in ((Mail(A), "250 ok"), (Rcpt(B), "250 ok"), (Data(), "354 go")):
        ask(connection, command, answer)
    assert connection.data_octets == 0
    connection.send_data(b".")
    connection.end_data()
    assert flush(connection) == b"..\r\n.\r\n"


def test_a_nul_in_a_message_is_refused_and_changes_nothing() -> None:
    connection = at(State.MAIL_DATA)
    connection.send_data(b"one\r\n")
    with pytest.raises(ValueError, match="the message holds a NUL at octet 8"):
        connection.send_data(b"two\0")
    assert connection.data_octets == 5
    connection.send_data(b"two")
    connection.end_data()
    assert flush(connection) == b"one\r\ntwo\r\n.\r\n"


def test_the_next_messages_commands_may_ride_behind_the_last_dot_but_not_quit() -> None:
    connection = at(State.MAIL_DATA)
    connection.send_data(b"one")
    connection.end_data()
    for command in (Mail(B), Rcpt(C), Data()):
        connection.send(command)
    assert flush(connection) == b"one\r\n.\r\nMAIL FROM:<b@example.org>\r\nRCPT TO:<c@example.org>\r\nDATA\r\n"
    events = hear(connection, "550 no", "250 ok", "250 ok", "354 go")
    assert [type(event.command) for event in events if isinstance(event, ReplyReceived)] == [
        EndOfData,
        Mail,
        Rcpt,
        Data,
    ]
    assert connection.accepts_data
    connection = at(State.MAIL_DATA)
    connection.end_data()
    connection.send(Quit())
    assert flush(connection) == b".\r\n"
    assert len(connection.queued) == 1


@pytest.mark.parametrize("code", [220, 221])
def test_a_greeting_or_a_farewell_is_no_verdict_on_a_message(code: int) -> None:
    connection = at(State.MAIL_DATA)
    connection.end_data()
    flush(connection)
    with pytest.raises(RemoteProtocolError, match=rf"expected a final reply to \., got '{code} ok'"):
        hear(connection, f"{code} ok")
    assert [str(command) for command in connection.in_flight] == ["."]


@pytest.mark.parametrize("code", [220, 221])
@pytest.mark.parametrize(
    ("state", "command"),
    [
        (State.INITIATION, Ehlo("client.example.org")),
        (State.READY, Mail(A)),
        (State.TRANSACTION, Rcpt(B)),
        (State.TRANSACTION, Rset()),
        (State.READY, Noop()),
    ],
    ids=str,
)
def test_a_greeting_or_a_farewell_is_no_success_of_what_asks_for_neither(
    state: State, command: Command[object], code: int
) -> None:
    connection = at(state)
    connection.send(command)
    flush(connection)
    with pytest.raises(RemoteProtocolError, match=rf"expected a final reply to {command}, got '{code} ok'"):
        hear(connection, f"{code} ok")
    assert connection.state is State.CLOSED
    assert connection.in_flight == (command,)


@pytest.mark.parametrize("code", [220, 221])
def test_a_greeting_or_a_farewell_is_no_login(code: int) -> None:
    connection = at(State.READY)
    connection.send(Auth(Plain(CREDENTIALS)))
    flush(connection)
    with pytest.raises(RemoteProtocolError, match=rf"expected a final reply to AUTH PLAIN \*\*\*\*, got '{code} ok'"):
        hear(connection, f"{code} ok")
    assert not connection.is_authenticated


@pytest.mark.parametrize("code", [200, 222, 250, 251, 299])
def test_any_other_completion_is_a_verdict_on_a_message(code: int) -> None:
    connection = at(State.MAIL_DATA)
    connection.end_data()
    flush(connection)
    assert len(hear(connection, f"{code} ok")) == 1
    assert connection.state is State.READY


@pytest.mark.parametrize("code", [421, 452, 550, 552])
@pytest.mark.parametrize("ended", [False, True], ids=["writing", "ended-but-not-left"])
def test_a_verdict_before_the_end_of_the_message_closes(code: int, ended: bool) -> None:
    connection = at(State.MAIL_DATA)
    connection.send_data(b"the beginning")
    flush(connection)
    connection.send_data(b"more")
    if ended:
        connection.end_data()
    connection.receive_data(b"%d big\r\n" % code)
    assert flush(connection) == b""  # nothing more is written, and above all no dot
    [event] = events_of(connection)
    assert isinstance(event, ReplyReceived)
    assert isinstance(event.command, EndOfData)
    assert (event.reply, event.is_early) == (reply(code, b"big"), True)
    assert connection.state is State.CLOSED
    assert not connection.accepts_data
    assert flush(connection) == b""
    with pytest.raises(LocalProtocolError):
        connection.send_data(b"more")


@pytest.mark.parametrize("code", [220, 250, 354])
def test_success_before_the_end_of_the_message_is_an_error(code: int) -> None:
    connection = at(State.MAIL_DATA)
    connection.send_data(b"text")
    with pytest.raises(RemoteProtocolError, match=rf"expected 4yz or 5yz to \., got '{code} ok'"):
        hear(connection, f"{code} ok")
    assert connection.state is State.CLOSED
    assert flush(connection) == b""


# The server's faults


@pytest.mark.parametrize("state", IDLE, ids=lambda state: state.name)
@pytest.mark.parametrize("line", ["250 ok", "354 go", "550 no", "220 hello again", "334 go", "garbage", ""])
def test_bytes_that_answer_nothing_poison_the_connection(state: State, line: str) -> None:
    connection = at(state)
    with pytest.raises(RemoteProtocolError, match=r"^expected (nothing from the server|a reply line)") as error:
        hear(connection, line)
    assert repr(line)[1:-1] in str(error.value)
    assert connection.state is State.CLOSED
    assert connection.next_event() is None
    assert flush(connection) == b""
    with pytest.raises(LocalProtocolError):
        connection.send(Noop())


def test_bytes_that_answer_nothing_poison_the_connection_behind_an_answer_too() -> None:
    connection = at(State.READY)
    connection.send(Noop())
    flush(connection)
    connection.receive_data(b"250 ok\r\n250 ok\r\n")
    assert connection.next_event() == received(250, Noop())
    with pytest.raises(RemoteProtocolError, match="expected nothing from the server, got the reply '250 ok'"):
        connection.next_event()


@pytest.mark.parametrize("state", IDLE, ids=lambda state: state.name)
def test_421_that_answers_nothing_is_named(state: State) -> None:
    connection = at(state)
    assert hear(connection, "421-idle", "421 for too long") == [ServerClosing(Reply(421, (b"idle", b"for too long")))]
    assert connection.state is State.CLOSED
    assert connection.next_event() is None
    with pytest.raises(LocalProtocolError):
        connection.send(Quit())


@pytest.mark.parametrize("unread", [b"2", b"\r", b"250-"])
def test_nothing_is_asked_behind_the_beginning_of_something_unasked(unread: bytes) -> None:
    connection = at(State.READY)
    connection.receive_data(unread)
    assert connection.next_event() is None
    assert not connection.has_news
    connection.send(Noop())
    with pytest.raises(RemoteProtocolError, match="expected nothing from the server, got ") as error:
        connection.data_to_send()
    assert repr(unread) in str(error.value)
    assert connection.in_flight == ()


@pytest.mark.parametrize("unread", [b"250 ok\r\n", b"2", b"\r", b"250-"])
def test_nothing_is_asked_while_something_unasked_was_not_read(unread: bytes) -> None:
    connection = at(State.READY)
    connection.receive_data(unread)
    connection.send(Noop())
    with pytest.raises(RemoteProtocolError, match="expected nothing from the server, got ") as error:
        connection.data_to_send()
    assert repr(unread) in str(error.value)
    assert connection.state is State.CLOSED
    assert flush(connection) == b""
    assert connection.in_flight == ()


def test_unread_bytes_do_not_matter_while_nothing_is_asked() -> None:
    connection = at(State.READY)
    connection.receive_data(b"421 by")
    assert flush(connection) == b""
    connection.receive_data(b"e\r\n")
    assert events_of(connection) == [ServerClosing(reply(421, b"bye"))]


@pytest.mark.parametrize("writes_first", [False, True], ids=["take, take, write", "take, write, take"])
def test_a_reply_does_not_answer_a_command_that_left_after_it_came(writes_first: bool) -> None:
    connection = at(State.TRANSACTION, Connection(window=Window(commands=2, octets=4096)))
    for _ in range(3):
        connection.send(Rcpt(B))
    assert len(connection.data_to_send()) == 2
    # Three answers to two questions: the third command has not been sent yet.
    connection.receive_data(b"250 a\r\n250 b\r\n250 c\r\n")
    for _ in range(2):
        assert connection.next_event()
        if writes_first and connection.in_flight:
            assert connection.data_to_send() == []
    with pytest.raises(RemoteProtocolError, match="expected nothing from the server"):
        connection.data_to_send() if writes_first else connection.next_event()


@pytest.mark.parametrize("queued", [0, 1])
def test_the_beginning_of_an_answer_that_is_due_holds_nothing_back(queued: int) -> None:
    connection = at(State.TRANSACTION)
    connection.send(Rcpt(B))
    flush(connection)
    connection.receive_data(b"250-a\r\n25")
    assert events_of(connection) == []
    for _ in range(queued):
        connection.send(Rcpt(C))
    assert len(connection.data_to_send()) == queued
    assert len(hear(connection, "0 b")) == 1


def test_in_flight_stays_readable_when_the_connection_is_poisoned() -> None:
    connection = at(State.READY)
    for command in envelope():
        connection.send(command)
    flush(connection)
    with pytest.raises(RemoteProtocolError, match=r"got b'what\?' \(in reply to RCPT TO:<b@example.org>\)"):
        hear(connection, "250 ok", "what?")
    assert connection.in_flight == (Rcpt(B), Rcpt(C), Data())
    assert connection.state is State.CLOSED
    assert connection.next_event() is None


def test_garbage_says_that_nothing_was_asked_if_so() -> None:
    connection = at(State.READY)
    with pytest.raises(RemoteProtocolError, match=r"\(though nothing was asked\)$"):
        hear(connection, "garbage")


@pytest.mark.parametrize(
    "wire",
    [
        b"250-" + b"a" * 100_000,
        b"250-x\r\n" * 1000,
        (b"250-" + b"a" * 8000 + b"\r\n") * 500,
    ],
    ids=["endless-line", "endless-multiline", "capability-flood"],
)
def test_a_reply_without_end_is_an_error(wire: bytes) -> None:
    connection = at(State.INITIATION)
    connection.send(Ehlo("c"))
    flush(connection)
    with pytest.raises(LimitExceeded, match=r"\(in reply to EHLO c\)$"):
        feed(connection, [wire[place : place + 1000] for place in range(0, 75_000, 1000)])
    assert connection.state is State.CLOSED


def test_garbage_behind_the_last_dot_leaves_the_end_of_data_in_flight() -> None:
    connection = at(State.MAIL_DATA)
    connection.end_data()
    connection.send(Mail(A))
    flush(connection)
    with pytest.raises(RemoteProtocolError):
        hear(connection, "garbage", "250 ok", "250 ok")
    assert [str(command) for command in connection.in_flight] == [".", "MAIL FROM:<a@example.org>"]


@pytest.mark.parametrize(
    "command", [Mail(A), Rcpt(B), Rset(), Noop(), Vrfy("b"), Ehlo("c"), Helo("c"), Quit()], ids=str
)
@pytest.mark.parametrize("code", [300, 354])
def test_3yz_answers_no_command_but_data_and_auth(command: Command[object], code: int) -> None:
    connection = at(State.TRANSACTION if isinstance(command, Rcpt) else State.READY)
    with pytest.raises(RemoteProtocolError, match=rf"expected a final reply to .*, got '{code} go'"):
        ask(connection, command, f"{code} go")


def test_a_refusal_is_an_event_and_no_error() -> None:
    connection = at(State.READY)
    assert ask(connection, Mail(A), "599 never seen before") == [received(599, Mail(A), b"never seen before")]
    assert connection.state is State.READY


# 421 and the end of the connection


# An Auth is good for one exchange, and so they are made where they are asked.
QUESTIONS: list[tuple[State, Callable[[], Command[object]]]] = [
    (State.INITIATION, lambda: Ehlo("c")),
    (State.INITIATION, lambda: Helo("c")),
    (State.READY, StartTls),
    (State.READY, lambda: Auth(Login(CREDENTIALS))),
    (State.READY, lambda: Mail(A)),
    (State.TRANSACTION, lambda: Rcpt(B)),
    (State.TRANSACTION, Data),
    (State.READY, Rset),
    (State.READY, Noop),
    (State.READY, lambda: Vrfy("b")),
    (State.READY, Quit),
]
questions = pytest.mark.parametrize(
    ("state", "make"), QUESTIONS, ids=[f"{state}-{make()}" for state, make in QUESTIONS]
)


@questions
def test_421_may_answer_anything_and_closes(state: State, make: Callable[[], Command[object]]) -> None:
    connection, command = at(state), make()
    assert ask(connection, command, "421 ok") == [received(421, command)]
    assert connection.state is State.CLOSED
    assert connection.in_flight == ()
    assert connection.next_event() is None


def test_421_in_a_group_answers_the_oldest_and_leaves_the_rest_unanswered() -> None:
    connection = at(State.READY)
    for command in envelope():
        connection.send(command)
    flush(connection)
    assert hear(connection, "250 ok", "421 ok", "250 ok") == [received(250, Mail(A)), received(421, Rcpt(B))]
    assert connection.in_flight == (Rcpt(C), Data())
    connection.receive_eof()
    assert connection.next_event() is None


def test_421_tells_of_the_commands_that_will_never_leave() -> None:
    connection = at(State.READY, Connection(window=Window(commands=2, octets=4096)))
    for command in envelope():
        connection.send(command)
    flush(connection)
    [event] = hear(connection, "421 bye")
    assert isinstance(event, ReplyReceived)
    assert connection.in_flight == (Rcpt(B),)
    assert connection.queued == ()
    assert event.discarded == (Rcpt(C), Data())


def test_421_for_a_greeting_tells_of_the_commands_that_will_never_leave() -> None:
    connection = Connection()
    connection.send(Ehlo("c"))
    [event] = hear(connection, "421 busy")
    assert isinstance(event, ReplyReceived)
    assert event.discarded == (Ehlo("c"),)


def test_an_early_verdict_tells_of_the_commands_that_will_never_leave() -> None:
    connection = at(State.MAIL_DATA)
    connection.end_data()
    connection.send(Mail(A))
    [event] = hear(connection, "552 big")
    assert isinstance(event, ReplyReceived)
    assert Mail(A) in event.discarded


@questions
def test_the_end_before_a_reply_is_a_lost_connection(state: State, make: Callable[[], Command[object]]) -> None:
    for partial in (b"", b"2", b"250", b"250 ok", b"250 ok\r", b"250-ok\r\n"):
        connection, command = at(state), make()
        ask(connection, command)
        connection.receive_data(partial)
        connection.receive_eof()
        with pytest.raises(ConnectionLost) as error:
            connection.next_event()
        message = f"the server closed the connection instead of replying to {command}"
        assert str(error.value).startswith(message)
        assert str(error.value).removeprefix(message)[:1] == ("," if partial else "")
        assert error.value.in_flight == (str(command),)
        # Where a secret was told, a line that is cut off is not shown.
        shown = (
            repr(partial) if not isinstance(command, Auth) or partial.endswith(b"\n") else f"({len(partial)} octets)"
        )
        assert (shown in str(error.value)) == bool(partial)
        assert connection.in_flight == (command,)
        assert connection.state is State.CLOSED
        assert connection.next_event() is None


def test_the_end_before_the_greeting_is_a_lost_connection() -> None:
    connection = Connection()
    connection.receive_eof()
    with pytest.raises(ConnectionLost) as error:
        connection.next_event()
    assert error.value.in_flight == ("(the connection)",)


def test_the_end_behind_a_group_names_all_that_was_not_answered() -> None:
    connection = at(State.READY)
    for command in envelope():
        connection.send(command)
    flush(connection)
    hear(connection, "250 ok")
    connection.receive_eof()
    with pytest.raises(ConnectionLost, match=r"replying to RCPT TO:<b@example.org> and 2 more$") as error:
        connection.next_event()
    assert error.value.in_flight == ("RCPT TO:<b@example.org>", "RCPT TO:<c@example.org>", "DATA")


def test_the_end_behind_two_commands_names_the_first_and_one_more() -> None:
    connection = at(State.TRANSACTION)
    connection.send(Rcpt(B))
    connection.send(Data())
    flush(connection)
    connection.receive_eof()
    with pytest.raises(ConnectionLost, match=r"instead of replying to RCPT TO:<b@example.org> and 1 more$"):
        connection.next_event()


def test_replies_that_came_before_the_end_are_handed_out_first() -> None:
    connection = at(State.READY)
    for command in envelope():
        connection.send(command)
    flush(connection)
    connection.receive_data(b"250 ok\r\n550 no\r\n")
    connection.receive_eof()
    assert connection.next_event() == received(250, Mail(A))
    assert connection.next_event() == received(550, Rcpt(B), b"no")
    with pytest.raises(ConnectionLost):
        connection.next_event()


@pytest.mark.parametrize("state", [*IDLE, State.TLS], ids=lambda state: state.name)
def test_the_end_while_nothing_is_unanswered_is_an_event(state: State) -> None:
    connection = at(state)
    connection.receive_eof()
    assert connection.next_event() == ConnectionClosed()
    assert connection.state is State.CLOSED
    assert connection.next_event() is None


@pytest.mark.parametrize("state", IDLE, ids=lambda state: state.name)
def test_the_end_inside_something_unasked_names_no_command_as_unanswered(state: State) -> None:
    connection = at(state)
    connection.receive_data(b"421 by")
    connection.receive_eof()
    with pytest.raises((ConnectionLost, RemoteProtocolError), match="421 by") as error:
        connection.next_event()
    assert getattr(error.value, "in_flight", ()) == ()
    assert connection.state is State.CLOSED


def test_the_end_before_the_end_of_the_message_is_a_lost_connection() -> None:
    connection = at(State.MAIL_DATA)
    connection.send_data(b"text")
    connection.receive_eof()
    with pytest.raises(ConnectionLost):
        connection.next_event()
    assert not any(isinstance(command, EndOfData) for command in connection.in_flight)


def test_the_end_behind_the_last_dot_is_a_lost_connection() -> None:
    connection = at(State.MAIL_DATA)
    connection.end_data()
    flush(connection)
    connection.receive_eof()
    with pytest.raises(ConnectionLost) as error:
        connection.next_event()
    assert error.value.in_flight == (".",)
    assert any(isinstance(command, EndOfData) for command in connection.in_flight)


def test_behind_the_reply_to_quit_nothing_matters_any_more() -> None:
    connection = at(State.READY)
    assert ask(connection, Quit(), "221 ok", "250 what?", "garbage") == [received(221, Quit())]
    connection.receive_eof()
    assert connection.next_event() is None
    assert flush(connection) == b""


@pytest.mark.parametrize("code", [200, 250, 421, 500])
def test_whatever_the_reply_to_quit_the_connection_is_closed(code: int) -> None:
    connection = at(State.READY)
    assert ask(connection, Quit(), f"{code} ok") == [received(code, Quit())]
    assert connection.state is State.CLOSED


# STARTTLS


def test_tls_begins_behind_220_and_everything_learnt_is_forgotten() -> None:
    connection = at(State.READY)
    assert connection.extensions
    assert ask(connection, StartTls(), "220 ok") == [received(220, StartTls())]
    assert connection.state is State.TLS
    assert flush(connection) == b""
    connection.tls_established()
    assert connection.state is State.INITIATION
    assert connection.extensions is None
    assert connection.greeting is None
    for command in (Mail(A), StartTls(), Auth(Login(CREDENTIALS))):
        with pytest.raises(LocalProtocolError):
            connection.send(command)


def test_pipelining_is_forgotten_with_the_rest() -> None:
    connection = at(State.TLS)
    connection.tls_established()
    for command in (Ehlo("c"), Mail(A), Rcpt(B)):
        connection.send(command)
    assert flush(connection) == b"EHLO c\r\n"
    hear(connection, "250-hello", "250 AUTH PLAIN")
    assert connection.extensions == Extensions({"AUTH": ("PLAIN",)})
    assert flush(connection) == b"MAIL FROM:<a@example.org>\r\n"


def test_nothing_is_pipelined_behind_the_handshake_before_it_is_announced_again() -> None:
    connection = at(State.TLS)
    connection.tls_established()
    for _ in range(2):
        connection.send(Rset())
    assert flush(connection) == b"RSET\r\n"


def test_a_login_in_the_clear_is_forgotten_with_the_rest() -> None:
    # RFC 3207 4.2: behind the handshake the session is what it was behind the greeting.
    connection = at(State.READY)
    ask(connection, Auth(Plain(CREDENTIALS)), "235 ok")
    ask(connection, StartTls(), "220 go")
    connection.tls_established()
    assert connection.is_authenticated is False
    ask(connection, Ehlo("c"), "250 hello")
    connection.send(Auth(Plain(CREDENTIALS)))


@pytest.mark.parametrize("announced", [True, False])
def test_tls_does_not_begin_twice(announced: bool) -> None:
    # RFC 3207 4.2: "A client MUST NOT attempt to start a TLS session if a TLS session is already active."
    connection = at(State.TLS)
    connection.tls_established()
    ask(connection, Ehlo("c"), "250-hello", "250 STARTTLS" if announced else "250 SIZE")
    with pytest.raises(LocalProtocolError, match=r"STARTTLS cannot be sent: TLS is in force already \(RFC 3207 4\.2\)"):
        connection.send(StartTls())
    assert connection.queued == ()
    assert ask(connection, Noop(), "250 ok") == [received(250, Noop())]


def test_a_refused_starttls_may_be_tried_again() -> None:
    connection = at(State.READY)
    ask(connection, StartTls(), "454 not now")
    assert ask(connection, StartTls(), "220 ok") == [received(220, StartTls())]


INJECTED = [b"250-x\r\n250 AUTH PLAIN\r\n", b"250 ok\r\n", b"421 bye\r\n", b"2", b"\r", b"\n", b"\0"]


def with_the_reply(connection: Connection, injected: bytes) -> None:
    connection.receive_data(b"220 go\r\n" + injected)
    connection.next_event()


def before_the_next_event(connection: Connection, injected: bytes) -> None:
    hear(connection, "220 go")
    connection.receive_data(injected)
    connection.next_event()


def before_the_handshake_is_done(connection: Connection, injected: bytes) -> None:
    hear(connection, "220 go")
    connection.receive_data(injected)
    connection.tls_established()


@pytest.mark.parametrize("injected", INJECTED)
@pytest.mark.parametrize("inject", [with_the_reply, before_the_next_event, before_the_handshake_is_done])
def test_bytes_behind_the_go_ahead_are_an_attack(injected: bytes, inject: Callable[[Connection, bytes], None]) -> None:
    connection = at(State.READY)
    connection.send(StartTls())
    flush(connection)
    with pytest.raises(InjectedData, match="expected nothing between the go-ahead to STARTTLS and the hands") as error:
        inject(connection, injected)
    assert repr(injected) in str(error.value)
    assert connection.state is State.CLOSED
    assert connection.next_event() is None
    assert flush(connection) == b""


def test_a_connection_that_was_given_up_before_its_greeting_goes_on_under_no_tls() -> None:
    connection = Connection()
    connection.give_up()
    with pytest.raises(LocalProtocolError, match="no TLS session can begin now"):
        connection.tls_established()
    assert not connection.is_secured


def test_what_came_before_a_greeting_under_tls_is_told_once() -> None:
    connection = Connection()
    connection.receive_data(b"220 hi\r\n")
    with pytest.raises(InjectedData):
        connection.tls_established()
    with pytest.raises(LocalProtocolError, match="no TLS session can begin now"):
        connection.tls_established()


@pytest.mark.parametrize("answer", ["221 bye", "250 ok", "200 ok", "222 ok", "299 ok", "354 do something else", "334 "])
def test_anything_but_220_or_a_refusal_to_starttls_is_a_failure(answer: str) -> None:
    connection = at(State.READY)
    with pytest.raises(TLSFailed, match=r"^expected 220 in reply to STARTTLS, got "):
        ask(connection, StartTls(), answer)
    assert connection.state is State.CLOSED
    assert flush(connection) == b""
    with pytest.raises(LocalProtocolError):
        connection.tls_established()


@pytest.mark.parametrize("answer", ["454 not now", "502 no", "500 what?"])
def test_a_refusal_of_starttls_is_an_event(answer: str) -> None:
    connection = at(State.READY)
    [event] = ask(connection, StartTls(), answer)
    assert isinstance(event, ReplyReceived)
    assert str(event.reply) == answer
    assert connection.state is State.READY


def test_an_answer_to_starttls_before_the_question_is_an_error() -> None:
    connection = at(State.READY)
    connection.receive_data(b"220 go\r\n")
    connection.send(StartTls())
    with pytest.raises(RemoteProtocolError):
        connection.data_to_send()
    assert connection.in_flight == ()


# AUTH


def test_plain_is_one_command() -> None:
    connection = at(State.READY)
    command = Auth(Plain(CREDENTIALS))
    connection.send(command)
    assert flush(connection) == b"AUTH PLAIN " + base64.b64encode(b"\0tim\0" + CANARY.encode()) + b"\r\n"
    assert hear(connection, "235 ok") == [received(235, command)]
    assert connection.is_authenticated
    assert connection.state is State.READY


def test_a_challenge_is_answered_though_more_has_come_behind_it() -> None:
    connection = at(State.READY)
    assert ask(connection, Auth(Login(CREDENTIALS)), "334 VXNlcm5hbWU6") == []
    connection.receive_data(b"33")
    assert flush(connection) == base64.b64encode(b"tim") + b"\r\n"


def test_login_is_answered_by_the_machine() -> None:
    connection = at(State.READY)
    command = Auth(Login(CREDENTIALS))
    assert ask(connection, command, "334 VXNlcm5hbWU6") == []
    assert connection.state is State.AUTHENTICATION
    assert connection.in_flight == (command,)
    assert flush(connection) == base64.b64encode(b"tim") + b"\r\n"
    assert hear(connection, "334 UGFzc3dvcmQ6") == []
    assert flush(connection) == base64.b64encode(CANARY.encode()) + b"\r\n"
    assert hear(connection, "235 ok") == [received(235, command)]
    assert connection.is_authenticated


def test_what_comes_at_once_with_a_challenge_is_heard_behind_it() -> None:
    connection = at(State.READY)
    command = Auth(Login(CREDENTIALS))
    ask(connection, command)
    connection.receive_data(b"334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n535 no\r\n")
    assert connection.next_event() == received(535, command, b"no")
    assert flush(connection) == b"".join(base64.b64encode(text) + b"\r\n" for text in (b"tim", CANARY.encode()))


@pytest.mark.parametrize("challenge", ["334 ", "334", "334-\r\n334 "])
def test_an_initial_response_too_long_for_the_command_follows_an_empty_challenge(challenge: str) -> None:
    connection = at(State.READY)
    connection.send(Auth(Plain(Password("tim", "p" * 600))))
    assert flush(connection) == b"AUTH PLAIN\r\n"
    hear(connection, challenge)
    assert flush(connection) == base64.b64encode(b"\0tim\0" + b"p" * 600) + b"\r\n"


@pytest.mark.parametrize("refusal", ["535 no", "504 no", "534 no", "454 later"])
def test_refused_credentials_are_an_event(refusal: str) -> None:
    connection = at(State.READY)
    [event] = ask(connection, Auth(Plain(CREDENTIALS)), refusal)
    assert isinstance(event, ReplyReceived)
    assert str(event.reply) == refusal
    assert not connection.is_authenticated
    assert connection.state is State.READY
    connection.send(Auth(Login(CREDENTIALS)))


@pytest.mark.parametrize("challenge", ["!!!!", "SGVs!!!bG8=", "=", "SGVsbG8", "SGVsbG8= "])
def test_a_challenge_that_is_no_base64_is_cancelled(challenge: str) -> None:
    connection = at(State.READY)
    command = Auth(Login(CREDENTIALS))
    assert ask(connection, command, f"334 {challenge}") == []
    assert flush(connection) == b"*\r\n"
    assert hear(connection, "501 cancelled") == [received(501, command, b"cancelled")]
    assert str(command.exchange.failure) == f"expected a challenge in base64, got {challenge.encode()!r}"
    assert not connection.is_authenticated
    assert connection.state is State.READY


@pytest.mark.parametrize("answer", ["334 ", "334 !!!!", "354 go", "235 ok"])
def test_a_server_that_does_not_hear_the_cancel_is_not_to_be_trusted(answer: str) -> None:
    connection = at(State.READY)
    ask(connection, Auth(Login(CREDENTIALS)), "334 !!!!")
    assert flush(connection) == b"*\r\n"
    with pytest.raises(
        AuthenticationFailed, match="AUTH LOGIN failed: expected a challenge in base64, got b'!!!!'"
    ) as error:
        hear(connection, answer)
    assert error.value.command == "AUTH LOGIN"
    assert connection.state is State.CLOSED
    assert not connection.is_authenticated
    assert flush(connection) == b""


def test_a_server_that_asks_for_ever_is_cancelled_behind_the_eighth_challenge() -> None:
    connection = at(State.READY)
    ask(connection, Auth(Talkative()))
    for _ in range(8):
        hear(connection, "334 aGVsbG8=")
        assert flush(connection) == base64.b64encode(b"answer to hello") + b"\r\n"
    hear(connection, "334 aGVsbG8=")
    assert flush(connection) == b"*\r\n"
    with pytest.raises(
        AuthenticationFailed, match="the server went on asking after 8 challenges; and the server goes on"
    ):
        hear(connection, "334 aGVsbG8=")


@pytest.mark.parametrize("challenges", [0, 1])
def test_success_before_the_exchange_is_complete_is_not_believed(challenges: int) -> None:
    connection = at(State.READY)
    ask(connection, Auth(Login(CREDENTIALS)), *["334 VXNlcm5hbWU6"] * challenges)
    with pytest.raises(AuthenticationFailed, match="the server reports success before the exchange is complete"):
        hear(connection, "235 ok")
    assert not connection.is_authenticated
    assert connection.state is State.CLOSED


def test_whoever_is_authenticated_cannot_authenticate_again() -> None:
    connection = at(State.READY)
    ask(connection, Auth(Plain(CREDENTIALS)), "235 ok")
    with pytest.raises(LocalProtocolError, match=r"AUTH LOGIN cannot be sent: the session is authenticated already"):
        connection.send(Auth(Login(CREDENTIALS)))
    assert connection.queued == ()
    ask(connection, Ehlo("c"), "250 hello")
    with pytest.raises(LocalProtocolError):
        connection.send(Auth(Login(CREDENTIALS)))


def test_a_second_auth_never_leaves_behind_a_successful_one() -> None:
    # RFC 4954 4: "After an AUTH command has been successfully completed, no more AUTH commands may be issued".
    connection = at(State.READY)
    connection.send(Auth(Plain(CREDENTIALS)))
    flush(connection)
    try:
        connection.send(Auth(Login(CREDENTIALS)))
    except LocalProtocolError:
        return
    hear(connection, "235 ok")
    assert flush(connection) == b""


def test_a_second_auth_leaves_behind_a_refused_one_if_it_was_accepted_at_all() -> None:
    connection = at(State.READY)
    connection.send(Auth(Plain(CREDENTIALS)))
    flush(connection)
    try:
        connection.send(Auth(Login(CREDENTIALS)))
    except LocalProtocolError:
        return
    hear(connection, "535 no")
    assert flush(connection) == b"AUTH LOGIN\r\n"


def test_an_auth_is_sent_once() -> None:
    # A mechanism that goes on where it stopped would answer the question for the user with the password.
    connection = at(State.READY)
    command = Auth(Login(CREDENTIALS))
    ask(connection, command, "334 VXNlcm5hbWU6", "535 no")
    with pytest.raises(LocalProtocolError, match="AUTH LOGIN was sent already"):
        connection.send(command)
    assert connection.queued == ()


def test_an_auth_that_was_refused_by_us_was_not_sent() -> None:
    command = Auth(Login(CREDENTIALS))
    with pytest.raises(LocalProtocolError):
        at(State.INITIATION).send(command)
    connection = at(State.READY)
    connection.send(command)
    assert flush(connection) == b"AUTH LOGIN\r\n"


def test_commands_behind_auth_wait_until_the_exchange_is_over() -> None:
    connection = at(State.READY)
    connection.send(Auth(Login(CREDENTIALS)))
    connection.send(Mail(A))
    assert flush(connection) == b"AUTH LOGIN\r\n"
    hear(connection, "334 VXNlcm5hbWU6")
    assert b"MAIL" not in flush(connection)
    hear(connection, "334 UGFzc3dvcmQ6")
    assert b"MAIL" not in flush(connection)
    hear(connection, "235 ok")
    assert flush(connection) == b"MAIL FROM:<a@example.org>\r\n"


@pytest.mark.parametrize("partial", [b"", b"33", b"334 !!"])
def test_the_end_inside_an_exchange_is_a_lost_connection(partial: bytes) -> None:
    connection = at(State.READY)
    ask(connection, Auth(Login(CREDENTIALS)), "334 VXNlcm5hbWU6")
    connection.receive_data(partial)
    connection.receive_eof()
    with pytest.raises(ConnectionLost) as error:
        connection.next_event()
    assert error.value.in_flight == ("AUTH LOGIN",)


# SCRAM, and what takes long to compute


def say(connection: Connection, message: bytes) -> None:
    """Let the server ask for an answer to `message`."""
    connection.receive_data(b"334 " + base64.b64encode(message) + b"\r\n")


def answered(connection: Connection) -> bytes:
    """What the client answers, decoded."""
    line = flush(connection)
    assert line.endswith(b"\r\n")
    return base64.b64decode(line[:-2], validate=True)


def scram(iterations: int = 4096) -> tuple[Connection, Auth, ScramServer, bytes]:
    """A connection that has said the first message of SCRAM, the server that heard it, and what that says to it."""
    connection = at(State.READY)
    command = Auth(Scram(CREDENTIALS, "SHA-256"))
    server = ScramServer({"tim": Account.with_many_iterations("sha256", CANARY, iterations)})
    connection.send(command)
    verb, mechanism, message = flush(connection).split()
    assert (verb, mechanism) == (b"AUTH", b"SCRAM-SHA-256")
    return connection, command, server, server.hear_first(base64.b64decode(message))


def test_scram_is_over_when_the_server_has_proved_itself() -> None:
    connection, command, server, first = scram()
    say(connection, first)
    assert connection.next_event() is None
    say(connection, server.hear_final(answered(connection)))
    assert connection.next_event() is None
    assert flush(connection) == b"\r\n"
    assert not connection.is_authenticated
    assert hear(connection, "235 ok") == [received(235, command)]
    assert connection.is_authenticated


@pytest.mark.parametrize("computes", ["in a thread", "at the next event", "when bytes are asked for"])
def test_scram_with_many_iterations_is_computed_by_whoever_drives_it_or_where_it_is_needed(computes: str) -> None:
    connection, command, server, first = scram(WORK_ITERATIONS + 1)
    say(connection, first)
    event = connection.next_event()
    assert isinstance(event, ComputationDue)
    assert event.mechanism == "SCRAM-SHA-256"
    assert (connection.state, connection.in_flight) == (State.AUTHENTICATION, (command,))
    if computes == "in a thread":
        thread = threading.Thread(target=event.compute)
        thread.start()
        thread.join()
    elif computes == "at the next event":
        assert connection.next_event() is None
    say(connection, server.hear_final(answered(connection)))
    assert events_of(connection) == []
    assert flush(connection) == b"\r\n"
    assert hear(connection, "235 ok") == [received(235, command)]
    assert connection.is_authenticated


def laborious(*, fails: bool = False, trace: Trace | None = None) -> tuple[Connection, Auth, Laborious, ComputationDue]:
    """A connection that has just told that a computation is due."""
    connection = at(State.READY, Connection() if trace is None else Connection(trace=trace))
    mechanism = Laborious(fails=fails)
    command = Auth(mechanism)
    connection.send(command)
    assert flush(connection) == b"AUTH X-LABORIOUS\r\n"
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
    assert hear(connection, "235 ok") == [received(235, command)]


def test_a_due_computation_is_told_once() -> None:
    connection, _, mechanism, _ = laborious()
    assert connection.next_event() is None
    assert connection.next_event() is None
    assert mechanism.computed == [b"abc"]
    assert answered(connection) == b"cba"


def test_every_challenge_may_take_long_to_answer() -> None:
    connection, command, mechanism, _ = laborious()
    assert answered(connection) == b"cba"
    for challenge in (b"de", b""):
        say(connection, challenge)
        event = connection.next_event()
        assert isinstance(event, ComputationDue)
        event.compute()
        assert answered(connection) == challenge[::-1]
    assert mechanism.computed == [b"abc", b"de", b""]
    assert hear(connection, "235 ok") == [received(235, command)]


def test_challenges_that_come_at_once_are_answered_one_by_one() -> None:
    connection, command, _, _ = laborious()
    connection.receive_data(b"334 ZGU=\r\n235 ok\r\n")
    assert isinstance(connection.next_event(), ComputationDue)
    assert connection.next_event() == received(235, command)
    assert flush(connection) == b"Y2Jh\r\nZWQ=\r\n"


@pytest.mark.parametrize("computes", [True, False])
def test_a_computation_that_fails_is_cancelled(computes: bool) -> None:
    ear = Ear()
    connection, command, _, event = laborious(fails=True, trace=ear)
    if computes:
        event.compute()
    assert flush(connection) == b"*\r\n"
    assert ear.lines[-2:] == ["S: 334 ****", "C: *"]
    assert hear(connection, "501 cancelled") == [received(501, command, b"cancelled")]
    assert str(command.exchange.failure) == "there is no result"
    assert connection.state is State.READY


def test_a_computation_that_fails_cancels_for_good() -> None:
    connection, _, _, _ = laborious(fails=True)
    flush(connection)
    with pytest.raises(
        AuthenticationFailed, match="AUTH X-LABORIOUS failed: there is no result; and the server goes on"
    ):
        hear(connection, "334 ")
    assert connection.state is State.CLOSED


def test_the_end_while_a_computation_is_due_is_a_lost_connection() -> None:
    connection, command, _, _ = laborious()
    connection.receive_eof()
    with pytest.raises(ConnectionLost) as error:
        connection.next_event()
    assert error.value.in_flight == ("AUTH X-LABORIOUS",)
    assert connection.in_flight == (command,)
    assert flush(connection) == b""


@pytest.mark.parametrize("heard", [0, 1], ids=["behind our first message", "behind our proof"])
def test_a_server_that_reports_success_before_it_has_proved_itself_is_unproven(heard: int) -> None:
    connection, command, _, first = scram()
    if heard:
        say(connection, first)
        assert connection.next_event() is None
        assert answered(connection).startswith(b"c=biws,")
    with pytest.raises(ServerUnproven, match="the server reports success before the exchange is complete") as error:
        hear(connection, "235 ok")
    assert isinstance(error.value, SecurityError)
    assert isinstance(error.value, AuthenticationFailed)
    assert error.value.command == "AUTH SCRAM-SHA-256 ****"
    assert not connection.is_authenticated
    assert connection.state is State.CLOSED
    assert connection.in_flight == (command,)


def test_a_server_that_reports_success_while_a_computation_is_due_is_unproven() -> None:
    connection, _, _, first = scram(WORK_ITERATIONS + 1)
    say(connection, first)
    assert isinstance(connection.next_event(), ComputationDue)
    with pytest.raises(ServerUnproven):
        hear(connection, "235 ok")
    assert connection.state is State.CLOSED


@pytest.mark.parametrize("answer", ["235 ok", "334 ", "334 dj1hYmM="])
def test_a_server_whose_signature_is_wrong_is_unproven_unless_it_takes_the_cancel(answer: str) -> None:
    for follows in (answer, "501 cancelled"):
        connection, command, server, first = scram()
        say(connection, first)
        assert connection.next_event() is None
        signature = server.hear_final(answered(connection))
        say(connection, b"v=" + signature[2:].swapcase())
        assert connection.next_event() is None
        assert flush(connection) == b"*\r\n"
        assert isinstance(command.exchange.failure, ProofMissing)
        if follows == answer:
            with pytest.raises(ServerUnproven, match="the server's signature is wrong"):
                hear(connection, follows)
            assert connection.state is State.CLOSED
        else:
            assert hear(connection, follows) == [received(501, command, b"cancelled")]
            assert isinstance(command.exchange.error(), ServerUnproven)
        assert not connection.is_authenticated


# OAuth


def test_xoauth2_is_one_command_unless_it_is_to_be_asked_for() -> None:
    message = base64.b64encode(b"user=tim\1auth=Bearer token\1\1")
    connection = at(State.READY)
    connection.send(Auth(XOAuth2("tim", "token")))
    assert flush(connection) == b"AUTH XOAUTH2 " + message + b"\r\n"
    connection = at(State.READY)
    command = Auth(XOAuth2("tim", "token"), sends_initial_response=False)
    connection.send(command)
    assert flush(connection) == b"AUTH XOAUTH2\r\n"
    assert hear(connection, "334 ") == []
    assert flush(connection) == message + b"\r\n"
    assert hear(connection, "235 ok") == [received(235, command)]


@pytest.mark.parametrize(("make", "answer"), [(XOAuth2, b"\r\n"), (OAuthBearer, b"AQ==\r\n")])
def test_the_challenge_that_tells_why_a_token_is_refused_is_answered_and_read(
    make: type[XOAuth2] | type[OAuthBearer], answer: bytes
) -> None:
    for final in ("535 no", "235 ok"):
        connection, mechanism = at(State.READY), make("tim", "token")
        command = Auth(mechanism)
        assert ask(connection, command, "334 " + base64.b64encode(b'{"status":"401"}').decode()) == []
        assert flush(connection) == answer
        assert mechanism.failure is not None
        assert mechanism.failure.status == "401"
        if final == "535 no":
            assert hear(connection, final) == [received(535, command, b"no")]
        else:
            with pytest.raises(AuthenticationFailed, match="reports success before the exchange is complete"):
                hear(connection, final)


class Forger(Mechanism):
    """A mechanism with a name that is none."""

    name = "PLAIN\r\nMAIL"

    def initial_response(self) -> bytes:
        return CANARY.encode()

    def respond(self, challenge: bytes) -> bytes:
        raise MechanismFailed


def test_no_mechanism_makes_two_lines_of_one() -> None:
    connection = at(State.READY)
    with pytest.raises(ValueError):
        connection.send(Auth(Forger()))
    assert connection.queued == ()
    assert flush(connection) == b""


# Commands of one's own


@dataclass(frozen=True, slots=True)
class XClient(Command[Reply]):
    """A command that somebody outside made, and did not check."""

    text: bytes = b"XCLIENT NAME=a\r\n"

    def encode(self) -> bytes:
        return self.text

    def parse(self, reply: Reply) -> Reply:
        return reply


def test_a_command_of_ones_own_is_sent_and_answered() -> None:
    connection = at(State.READY)
    assert ask(connection, XClient(), "220 ok") == [received(220, XClient())]
    assert connection.state is State.READY


@pytest.mark.parametrize("text", [b"", b"X", b"X\n", b"X\r\nY\r\n", b"X\0\r\n", b"X\rY\r\n", b"\r\n\r\n", b"X\x7f\r\n"])
def test_a_command_of_ones_own_does_not_pass_the_gate_if_it_is_not_one_line(text: bytes) -> None:
    connection = at(State.READY)
    with pytest.raises(ValueError):
        connection.send(XClient(text))
    assert connection.queued == ()
    assert flush(connection) == b""
    connection.send(StartTls())  # the state ahead was not moved either


NO_COMMANDS = ("NOOP secret", b"NOOP\r\n", None, 5, Noop, Command)


@pytest.mark.parametrize("value", NO_COMMANDS, ids=repr)
@pytest.mark.parametrize("state", [State.GREETING, State.READY, State.CLOSED], ids=lambda state: state.name)
def test_what_is_no_command_is_refused_and_not_shown(state: State, value: Any) -> None:
    connection = at(state)
    with pytest.raises(ValueError) as caught:
        connection.send(value)
    kind = type(value).__name__
    assert str(caught.value) == f"expected a command such as smtp.Noop(), got a value of the type {kind}"
    assert connection.queued == ()


@pytest.mark.parametrize("line", ["XCLIENT NAME=secret\r\n", None, bytearray(b"X\r\n"), 5], ids=repr)
def test_a_command_of_ones_own_that_makes_no_bytes_is_refused_and_not_shown(line: Any) -> None:
    connection = at(State.READY)
    with pytest.raises(ValueError) as caught:
        connection.send(XClient(line))
    kind = type(line).__name__
    assert str(caught.value) == f"expected a command's encode() to return bytes, got a value of the type {kind}"
    assert connection.queued == ()
    assert flush(connection) == b""


BEYOND_ASCII = Mailbox("\xfc", "example.org")
ADDRESSED = [(State.READY, Mail(BEYOND_ASCII)), (State.TRANSACTION, Rcpt(BEYOND_ASCII))]
ADDRESSED += [(State.READY, Vrfy("\xfc")), (State.READY, Expn("\xfc"))]
addressed = pytest.mark.parametrize(("state", "command"), ADDRESSED, ids=lambda value: type(value).__name__)


@addressed
def test_an_address_beyond_ascii_is_not_said_where_smtputf8_is_not_offered(
    state: State, command: Command[object]
) -> None:
    connection = at(state, Connection(ignored_extensions=["SMTPUTF8"]))
    with pytest.raises(
        NotSupported, match=r"\xfc.* is beyond ASCII, and the server does not offer SMTPUTF8$"
    ) as caught:
        connection.send(command)
    assert caught.value.extension == "SMTPUTF8"
    assert connection.queued == ()
    assert flush(connection) == b""


@addressed
def test_an_address_beyond_ascii_is_said_where_smtputf8_is_offered(state: State, command: Command[object]) -> None:
    connection = at(state)
    connection.send(command)
    assert flush(connection) == command.encode()


# The trace


def test_the_trace_is_told_everything_in_order_and_secrets_are_masked() -> None:
    ear = Ear()
    connection = at(State.READY, Connection(trace=ear))
    connection.send(Auth(Plain(CREDENTIALS)))
    connection.send(Mail(A))
    flush(connection)
    hear(connection, "535 no")
    flush(connection)
    hear(connection, "250 ok")
    ask(connection, Rcpt(B), "250 ok")
    ask(connection, Data(), "354 go")
    connection.send_data(b"secret plan")
    connection.end_data()
    flush(connection)
    hear(connection, "250-o", "250 k")
    ask(connection, Auth(Login(CREDENTIALS)), "334 VXNlcm5hbWU6")
    flush(connection)
    hear(connection, "334 UGFzc3dvcmQ6")
    flush(connection)
    hear(connection, "235 ok", "421 bye")
    assert ear.lines == [
        "S: 220 hello",
        "C: EHLO c",
        "S: 250-hello",
        *(f"S: 250-{keyword}" for keyword in OFFERED),
        "S: 250 PIPELINING",
        "C: AUTH PLAIN ****",
        "S: 535 no",
        "C: MAIL FROM:<a@example.org>",
        "S: 250 ok",
        "C: RCPT TO:<b@example.org>",
        "S: 250 ok",
        "C: DATA",
        "S: 354 go",
        "C: (13 octets)",
        "C: .",
        "S: 250-o",
        "S: 250 k",
        "C: AUTH LOGIN",
        "S: 334 ****",
        "C: ****",
        "S: 334 ****",
        "C: ****",
        "S: 235 ok",
        "S: 421 bye",
    ]


def test_another_trace_is_told_of_what_follows_also_within_an_exchange() -> None:
    first, second = Ear(), Ear()
    connection = at(State.READY, Connection(trace=first))
    ask(connection, Auth(Login(CREDENTIALS)), "334 VXNlcm5hbWU6")
    told = len(first.lines)
    connection.trace = second
    flush(connection)
    hear(connection, "334 UGFzc3dvcmQ6")
    flush(connection)
    hear(connection, "235 ok")
    assert len(first.lines) == told
    assert second.lines == ["S: 334 ****", "C: ****", "S: 235 ok"]


def test_the_trace_is_told_of_a_command_when_it_leaves() -> None:
    ear = Ear()
    connection = Connection(trace=ear)
    connection.send(Ehlo("c"))
    flush(connection)
    assert ear.lines == []
    hear(connection, "554 no")
    assert ear.lines == ["S: 554 no"]


def test_a_cancel_is_shown_as_it_is() -> None:
    ear = Ear()
    connection = at(State.READY, Connection(trace=ear))
    ask(connection, Auth(Login(CREDENTIALS)), "334 !!!!")
    assert ear.lines[-1] == "C: *"


# Any octets


STEPS = [
    *(b"220 hi\r\n", b"250 ok\r\n", b"250-x\r\n", b"250 PIPELINING\r\n", b"354 go\r\n", b"550 no\r\n", b"421 bye\r\n"),
    *(b"334 \r\n", b"235 ok\r\n", b"334 !\r\n", b"221 bye\r\n", b"2", b"\r\n", b"garbage\r\n"),
    *("write", "take", "write", "take", "write", "take", "data", "end", "discard", "tls", "eof"),
    *(Ehlo("c"), Helo("c"), StartTls(), Mail(A), Rcpt(B), Data(), Rset(), Noop(), Quit(), Greeting(), EndOfData()),
]
steps = st.lists(
    st.sampled_from(STEPS)
    | st.binary(max_size=4)
    | st.builds(lambda: Auth(Login(CREDENTIALS)))
    | st.builds(lambda fails: Auth(Laborious(fails=fails)), st.booleans()),
    max_size=40,
)


@given(st.sampled_from([None, *State]), steps)
def test_any_octets_and_any_calls_raise_only_what_is_documented(
    state: State | None, steps: list[bytes | str | Command[object]]
) -> None:
    connection = at(state) if state else Connection()
    for step in steps:
        was_closed = connection.state is State.CLOSED
        try:
            if isinstance(step, bytes):
                connection.receive_data(step)
            elif isinstance(step, Command):
                connection.send(step)
            elif step == "write":
                wire = flush(connection)
                assert not (was_closed and wire)
            elif step == "take":
                connection.next_event()
            elif step == "data":
                connection.send_data(b"text\n.")
            elif step == "end":
                connection.end_data()
            elif step == "discard":
                connection.discard_queued()
            elif step == "tls":
                connection.tls_established()
            else:
                connection.receive_eof()
        except LocalProtocolError:
            assert isinstance(step, Command) or step in ("data", "end", "tls")
            assert (connection.state is State.CLOSED) == was_closed
        except MailwireError:
            assert not was_closed
            assert connection.state is State.CLOSED
            assert connection.next_event() is None


@pytest.mark.parametrize("state", [State.READY, State.TRANSACTION, State.MAIL_DATA], ids=lambda state: state.name)
def test_a_connection_that_was_cut_on_this_side_has_not_been_left_by_the_server(state: State) -> None:
    connection = at(state)
    connection.receive_eof(is_ours=True)
    with pytest.raises(ConnectionLost, match="the connection was cut on this side"):
        connection.next_event()
    assert connection.state is State.CLOSED
    assert connection.next_event() is None
