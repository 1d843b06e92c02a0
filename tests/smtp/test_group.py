"""Commands that go, and are answered, as one group. That a mail comes to the same as with one at a time is held by
test_alike."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from mailwire._wire.dots import MailText
from mailwire._wire.trace import Traceable
from mailwire.errors import LocalProtocolError, NotSupported, RemoteProtocolError
from mailwire.smtp import (
    LOCKSTEP,
    BdatLast,
    Connection,
    Data,
    Delivery,
    Ehlo,
    EndOfData,
    Event,
    Extensions,
    GroupsAnswered,
    Lhlo,
    Mail,
    Mailbox,
    MailOptions,
    Noop,
    Parameters,
    Rcpt,
    Reply,
    ReplyReceived,
    Rset,
    ServerClosing,
    State,
    Transaction,
    Window,
)
from mailwire.smtp.group import Group, weight
from mailwire.smtp.group_kind import GroupKind
from mailwire.smtp.opening import Opening, Wishes
from mailwire.smtp.parameters import NO_PARAMETERS
from tests.smtp.sessions import A, B, C, D, ask, events_of, hear

WIDE = Window(commands=100, octets=4096)
GREETING = ("220 hello",)
EHLO = ("250-mx", "250-PIPELINING", "250-CHUNKING", "250-SIZE", "250-BINARYMIME", "250 8BITMIME")


@dataclass
class Told:
    """A machine's trace, as lines."""

    lines: list[str] = field(default_factory=list)

    def __call__(self, direction: str, what: Traceable) -> None:
        self.lines += [f"{direction}: {line}" for line in what.shown()]


# One group


def opened(
    parameters: Parameters = NO_PARAMETERS,
    options: MailOptions | None = None,
    chunking: bool = False,
    *,
    is_sized: bool = False,
) -> Opening:
    """How a mail begins for which this is wished, with a server that offers all."""
    offered = Extensions(dict.fromkeys(("CHUNKING", "SIZE", "8BITMIME", "SMTPUTF8", "DSN", "MT-PRIORITY"), ()))
    wishes: Wishes = (parameters, options, "send", chunking, is_sized)
    return Opening(wishes, offered, is_verified=False, is_pipelining=True, is_lmtp=False)


def group(*, begins_anew: bool = False) -> Group:
    """An envelope to which a chunk can be added."""
    return Group(opened(chunking=True), A, (B,), begins_anew=begins_anew)


def ready(*, window: Window = WIDE, lmtp: bool = False, told: Told | None = None, groups: bool = True) -> Connection:
    """A machine that takes groups, with a server that takes all."""
    connection = Connection(groups=groups, window=window, lmtp=lmtp, trace=told or Told())
    hear(connection, *GREETING)
    ask(connection, Lhlo("c") if lmtp else Ehlo("c"), *EHLO)
    return connection


def flush(connection: Connection) -> bytes:
    return b"".join(connection.data_to_send())


def chunk_behind_envelope(connection: Connection) -> Transaction:
    """A mail whose one chunk has left behind its envelope, when that was on its way."""
    transaction = Transaction(connection, A, [B], chunking="eager")
    flush(connection)
    transaction.send_whole(MESSAGE)
    flush(connection)
    return transaction


def two_chunks(connection: Connection, *recipients: Mailbox) -> Transaction:
    """A mail to `recipients`, who are accepted, of which the last chunk has left behind another."""
    transaction = Transaction(connection, A, recipients, chunking=True, chunk_size=1)
    flush(connection)
    take(transaction, connection, "250 m", *(f"250 {recipient.local}" for recipient in recipients))
    transaction.send_data(b"one\r\n")
    transaction.send_data(b"two\r\n")
    transaction.end_data()
    flush(connection)
    return transaction


def take(transaction: Transaction, connection: Connection, *lines: str) -> list[type[Event]]:
    """Let the server say `lines` at once; return what kind of events came of them."""
    connection.receive_data("".join(f"{line}\r\n" for line in lines).encode())
    kinds: list[type[Event]] = []
    while (event := connection.next_event()) is not None:
        assert isinstance(event, (ReplyReceived, GroupsAnswered))
        assert transaction.receive(event)
        kinds.append(type(event))
    return kinds


ENVELOPE = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<c@example.org>\r\n"
MESSAGE = MailText(b"Subject: x\r\n\r\n.hidden\r\n")


def test_mail_rcpt_and_data_are_answered_as_one_and_so_is_the_end() -> None:
    told = Told()
    connection = ready(told=told)
    del told.lines[:]
    transaction = Transaction(connection, A, [B, C])
    assert flush(connection) == ENVELOPE + b"DATA\r\n"
    assert take(transaction, connection, "250 1", "250 2", "251", "354 go") == [GroupsAnswered]
    assert connection.state is State.MAIL_DATA
    assert transaction.wants_data
    transaction.send_whole(MESSAGE)
    assert flush(connection) == b"Subject: x\r\n\r\n..hidden\r\n.\r\n"
    assert take(transaction, connection, "250 2.0.0 queued as 77") == [GroupsAnswered]
    assert transaction.finished
    receipt = transaction.receipt({"envelope": 1.5})
    assert receipt.delivery is Delivery.ACCEPTED
    assert [entry.reply for entry in receipt.recipients] == [Reply(250, (b"2",)), Reply(251, (b"",))]
    assert receipt.reply == Reply(250, (b"2.0.0 queued as 77",))
    assert (receipt.sender, receipt.octets, dict(receipt.timings)) == ("a@example.org", 24, {"envelope": 1.5})
    assert (transaction.sender_refusal, transaction.recipients_refusal, transaction.data_refusal) == (None, None, None)
    assert told.lines == [
        "C: MAIL FROM:<a@example.org>",
        "C: RCPT TO:<b@example.org>",
        "C: RCPT TO:<c@example.org>",
        "C: DATA",
        "S: 250 1",
        "S: 250 2",
        "S: 251",
        "S: 354 go",
        "C: (24 octets)",
        "C: .",
        "S: 250 2.0.0 queued as 77",
    ]


def with_a_lone_dot(connection: Connection) -> Transaction:
    """A transaction whose sender and recipient were refused and whose DATA was not: its lone dot is on its way."""
    transaction = Transaction(connection, A, [B])
    flush(connection)
    take(transaction, connection, "550 no", "503 no", "354 go")
    assert flush(connection) == b".\r\nRSET\r\n"
    return transaction


def test_a_yes_to_a_lone_dot_does_not_hide_that_the_recipient_was_refused() -> None:
    connection = ready()
    transaction = Transaction(connection, A, [B])
    flush(connection)
    take(transaction, connection, "250 ok", "550 no", "354 go")
    assert flush(connection) == b".\r\n"
    assert take(transaction, connection, "250 ok") == [GroupsAnswered]
    assert transaction.recipients_refusal == Reply(550, (b"no",))
    receipt = transaction.receipt()
    assert (receipt.delivery, receipt.reply) == (Delivery.REFUSED, None)


@pytest.mark.parametrize("verdict", ["250 ok", "554 no"])
def test_behind_a_refused_sender_rset_leaves_with_the_lone_dot(verdict: str) -> None:
    connection = ready()
    transaction = with_a_lone_dot(connection)
    assert len(take(transaction, connection, verdict)) == 1
    assert not transaction.finished
    assert flush(connection) == b""
    assert take(transaction, connection, "250 ok") == [ReplyReceived]
    assert transaction.finished
    assert transaction.receipt().delivery is Delivery.REFUSED


def test_the_mail_behind_a_lone_dot_begins_behind_its_rset() -> None:
    connection = ready()
    first = with_a_lone_dot(connection)
    second = Transaction(connection, A, [C], on_refused="abort", behind=first)
    assert flush(connection) == b"MAIL FROM:<a@example.org>\r\nRCPT TO:<c@example.org>\r\n"
    assert take(first, connection, "250 ok", "250 ok") == [GroupsAnswered, ReplyReceived]
    assert first.finished
    assert take(second, connection, "250 ok", "250 ok") == [GroupsAnswered]
    assert flush(connection) == b"DATA\r\n"


def test_a_chunk_that_is_taken_behind_a_refused_sender_is_left_with_rset() -> None:
    connection = ready()
    transaction = chunk_behind_envelope(connection)
    assert take(transaction, connection, "550 no", "503 no", "250 ok") == [ReplyReceived] * 3
    assert flush(connection) == b"RSET\r\n"
    assert take(transaction, connection, "250 ok") == [ReplyReceived]
    assert transaction.finished


def test_an_eager_message_is_one_group_with_its_envelope_and_the_next_begins_anew() -> None:
    connection = ready()
    first = Transaction(connection, A, [B, C], parameters={"SIZE": "23"}, chunking="eager")
    first.send_whole(MESSAGE)
    second = Transaction(connection, None, [D], chunking="eager", behind=first)
    second.send_whole(MESSAGE)
    assert connection.queued_chunks == 2
    chunk = b"BDAT 23 LAST\r\n" + MESSAGE
    sized = ENVELOPE.replace(b"a@example.org>", b"a@example.org> SIZE=23")
    assert flush(connection) == sized + chunk + b"RSET\r\nMAIL FROM:<>\r\nRCPT TO:<d@example.org>\r\n" + chunk
    assert connection.queued_chunks == 0
    events = hear(connection, "250 m", "250 r", "250 r", "250 q1", "250 rset", "250 m", "250 r", "250 q2")
    (event,) = events
    assert isinstance(event, GroupsAnswered)
    assert [group.answer for group in event.groups] == [
        b"250 m\r\n250 r\r\n250 r\r\n250 q1\r\n",
        b"250 rset\r\n250 m\r\n250 r\r\n250 q2\r\n",
    ]
    assert [first.receive(event), second.receive(event)] == [True, True]
    assert [first.receive(event), second.receive(event)] == [False, False]
    assert [entry.final_reply for entry in first.receipt().recipients] == [Reply(250, (b"q1",))] * 2
    assert second.receipt().recipients[0].reply == Reply(250, (b"r",))
    assert second.receipt().sender == ""
    assert second.sender_refusal is None
    assert second.receipt().recipients[0].final_reply == Reply(250, (b"q2",))


def test_the_mail_that_was_answered_is_told_while_the_one_behind_it_waits() -> None:
    connection = ready()
    first = Transaction(connection, A, [B], chunking="eager")
    first.send_whole(MESSAGE)
    second = Transaction(connection, A, [C], chunking="eager", behind=first)
    second.send_whole(MESSAGE)
    flush(connection)
    assert take(first, connection, "250 m", "250 r", "250 q1") == [GroupsAnswered]
    assert first.receipt().recipients[0].final_reply == Reply(250, (b"q1",))
    assert not second.finished
    assert take(second, connection, "250 rset", "250 m", "250 r", "250 q2") == [GroupsAnswered]
    assert second.receipt().recipients[0].final_reply == Reply(250, (b"q2",))


def test_a_chunk_that_waits_for_its_envelope_is_a_group_by_itself() -> None:
    connection = ready()
    transaction = Transaction(connection, A, [B, C], chunking=True)
    assert flush(connection) == ENVELOPE
    assert take(transaction, connection, "250 m", "250 b", "250 c") == [GroupsAnswered]
    transaction.send_whole(MESSAGE)
    assert connection.awaited == transaction._end
    assert type(connection.awaited) is BdatLast
    assert flush(connection) == b"BDAT 23 LAST\r\n" + MESSAGE
    assert take(transaction, connection, "250 q") == [GroupsAnswered]
    assert transaction.receipt().extensions == ("CHUNKING", "PIPELINING")


def test_a_chunk_for_which_the_window_has_no_room_is_a_group_by_itself_for_one_may_always_leave() -> None:
    for window in (WIDE, LOCKSTEP):
        connection = ready(window=window)
        transaction = Transaction(connection, A, [B], chunking=True)
        while not transaction.wants_data:
            flush(connection)
            take(transaction, connection, *["250 ok"] * (2 if window is WIDE else 1))
        transaction.send_whole(MailText(b"x" * 998 + b"\r\n") * 1_000)
        assert len(flush(connection)) > 1_000_000
        assert take(transaction, connection, "250 q") == [GroupsAnswered]
        assert transaction.finished


@pytest.mark.parametrize("verdict", ["250 q", "554 no"])
def test_where_the_server_does_not_pipeline_the_end_of_a_message_is_a_group(verdict: str) -> None:
    connection = ready(window=LOCKSTEP)
    transaction = Transaction(connection, A, [B])
    for answer in ("250 m", "250 b", "354 go"):
        flush(connection)
        assert take(transaction, connection, answer) == [ReplyReceived]
    transaction.send_whole(MESSAGE)
    assert isinstance(connection.due, Group)
    flush(connection)
    assert take(transaction, connection, verdict) == [GroupsAnswered if verdict == "250 q" else ReplyReceived]
    assert transaction.receipt().delivery is (Delivery.ACCEPTED if verdict == "250 q" else Delivery.REFUSED)
    assert [str(entry.reply) for entry in transaction.receipt().recipients] == ["250 b"]


def test_all_or_nothing_goes_on_with_data_behind_its_group() -> None:
    connection = ready()
    transaction = Transaction(connection, A, [B, C], on_refused="abort")
    flush(connection)
    assert take(transaction, connection, "250 m", "250 b", "250 c") == [GroupsAnswered]
    assert flush(connection) == b"DATA\r\n"
    assert take(transaction, connection, "354 go") == [ReplyReceived]
    transaction.send_whole(MESSAGE)
    flush(connection)
    assert take(transaction, connection, "250 q") == [GroupsAnswered]
    assert transaction.receipt().delivery is Delivery.ACCEPTED


@pytest.mark.parametrize(
    "answers",
    [
        ["250 m", "250 b", "550 no", "354 go"],
        ["250-m", "250 m", "250 b", "250 c", "354 go"],
        ["250 m", "250 b", "250 c", "354 " + "x" * 507],
        ["250 m", "250 b\rb", "250 c", "354 go"],
        ["250 m", "250 b", "250 c", "554 no"],
    ],
)
def test_what_is_not_as_expected_is_heard_one_by_one(answers: list[str]) -> None:
    connection = ready()
    transaction = Transaction(connection, A, [B, C])
    flush(connection)
    assert take(transaction, connection, *answers) == [ReplyReceived] * 4
    assert transaction.receipt().recipients[0].reply == Reply(250, (answers[-3][4:].encode(),))


def test_a_group_of_which_a_part_was_answered_is_heard_one_by_one() -> None:
    connection = ready()
    transaction = Transaction(connection, A, [B, C])
    flush(connection)
    connection.receive_data(b"250 m\r\n250 ")
    (event,) = events_of(connection)
    assert isinstance(event, ReplyReceived)
    assert transaction.receive(event)
    assert [str(command) for command in connection.in_flight] == [
        "RCPT TO:<b@example.org>",
        "RCPT TO:<c@example.org>",
        "DATA",
    ]
    assert take(transaction, connection, "b", "250 c", "354 go") == [ReplyReceived] * 3
    assert transaction.wants_data


@pytest.mark.parametrize("code", [220, 221])
def test_a_greeting_and_a_leave_accept_no_recipient(code: int) -> None:
    connection = ready()
    transaction = Transaction(connection, A, [B])
    flush(connection)
    connection.receive_data(b"250 a\r\n%d b\r\n354 go\r\n" % code)
    accepted = connection.next_event()
    assert isinstance(accepted, ReplyReceived)
    assert isinstance(accepted.command, Mail)
    with pytest.raises(
        RemoteProtocolError, match=r"^expected a final reply to RCPT TO:<b@example\.org>, got '22[01] b'$"
    ):
        connection.next_event()
    assert transaction.receipt().delivery is Delivery.NOT_SENT


@pytest.mark.parametrize("code", [220, 221])
def test_a_greeting_and_a_leave_are_no_verdict(code: int) -> None:
    connection = ready()
    transaction = Transaction(connection, A, [B], chunking="eager")
    transaction.send_whole(MESSAGE)
    flush(connection)
    connection.receive_data(b"250 m\r\n250 b\r\n%d q\r\n" % code)
    for _ in range(2):
        event = connection.next_event()
        assert isinstance(event, ReplyReceived)
        transaction.receive(event)
    with pytest.raises(RemoteProtocolError, match="expected a final reply to BDAT 23 LAST"):
        connection.next_event()
    assert transaction.receipt().delivery is Delivery.UNKNOWN


def test_what_a_server_says_behind_its_replies_is_poison_before_the_next_mail() -> None:
    connection = ready()
    transaction = Transaction(connection, A, [B])
    flush(connection)
    take(transaction, connection, "250 m", "250 b", "354 go")
    transaction.send_whole(MESSAGE)
    flush(connection)
    connection.receive_data(b"250 q\r\n250 more\r\n")
    assert isinstance(connection.next_event(), GroupsAnswered)
    with pytest.raises(RemoteProtocolError, match="expected nothing from the server"):
        connection.next_event()


@pytest.mark.parametrize("mail", [b"250 m\r\n", b"250-m\r\n250 m\r\n"])
@pytest.mark.parametrize("surplus", [b"552 too big\r\n", b"250 q\r\n", b"2", b"45", b"422 later\r\n"])
@pytest.mark.parametrize("groups", [False, True])
def test_a_reply_too_many_leaves_an_eager_message_in_doubt(groups: bool, surplus: bytes, mail: bytes) -> None:
    connection = ready(groups=groups)
    transaction = Transaction(connection, A, [B], chunking="eager")
    transaction.send_whole(MESSAGE)
    flush(connection)
    connection.receive_data(mail + b"250 b\r\n250 again\r\n" + surplus)
    with pytest.raises(RemoteProtocolError, match="expected as many replies as commands, got one more") as caught:
        take(transaction, connection)
    assert repr(surplus)[2:-1] in str(caught.value) or not surplus.endswith(b"\n")
    assert connection.state is State.CLOSED
    assert connection.in_flight == (transaction._end,)
    receipt = transaction.receipt()
    assert receipt.delivery is Delivery.UNKNOWN
    assert receipt.reply is None


def test_a_reply_too_many_makes_even_a_refusal_of_a_recipient_doubtful() -> None:
    connection = ready()
    transaction = Transaction(connection, A, [B, C], chunking="eager")
    transaction.send_whole(MESSAGE)
    flush(connection)
    with pytest.raises(RemoteProtocolError, match="got one more, b'250 queued"):  # for B: C was refused, not he
        take(transaction, connection, "250 m", "250 m again", "250 b", "451 c", "250 queued")
    receipt = transaction.receipt()
    assert [entry.delivery for entry in receipt.recipients] == [Delivery.UNKNOWN] * 2
    assert receipt.retryable == ()


@pytest.mark.parametrize("groups", [False, True])
def test_where_all_that_may_be_the_verdict_is_a_refusal_it_is_one(groups: bool) -> None:
    connection = ready(groups=groups)
    transaction = Transaction(connection, A, [B], chunking="eager")
    transaction.send_whole(MESSAGE)
    flush(connection)
    # It takes the chunk for commands.
    connection.receive_data(b"250 m\r\n250 b\r\n502 no BDAT\r\n500 Subject?\r\n500 .hidden?\r\n")
    take(transaction, connection)
    assert transaction.must_close
    assert transaction.data_refusal == Reply(502, (b"no BDAT",))
    assert transaction.receipt().delivery is Delivery.REFUSED


@pytest.mark.parametrize("groups", [False, True])
def test_what_left_alone_is_answered_by_what_is_said_first(groups: bool) -> None:
    connection = ready(groups=groups)
    transaction = Transaction(connection, A, [B], chunking=True)
    flush(connection)
    take(transaction, connection, "250 m", "250 b")
    transaction.send_whole(MESSAGE)
    flush(connection)
    with pytest.raises(RemoteProtocolError, match="expected nothing from the server"):
        take(transaction, connection, "250 q", "552 more")
    assert transaction.receipt().delivery is Delivery.ACCEPTED


@pytest.mark.parametrize("groups", [False, True])
def test_a_last_chunk_that_left_behind_another_is_told_from_that_by_count(groups: bool) -> None:
    connection = ready(groups=groups)
    transaction = two_chunks(connection, B)
    with pytest.raises(RemoteProtocolError, match="got one more, b'552 too big"):
        take(transaction, connection, "250 one", "250 one", "552 too big")
    assert transaction.receipt().delivery is Delivery.UNKNOWN


def test_in_lmtp_none_of_the_verdicts_counts_behind_which_there_is_one_too_many() -> None:
    connection = ready(lmtp=True)
    transaction = two_chunks(connection, B, C)
    with pytest.raises(RemoteProtocolError, match="got one more, b'552 c"):
        take(transaction, connection, "250 one", "250 one", "552 b", "552 c")
    receipt = transaction.receipt()
    assert [entry.delivery for entry in receipt.recipients] == [Delivery.UNKNOWN] * 2


@pytest.mark.parametrize("last", ["250 d", "451 d"])
def test_in_lmtp_a_verdict_that_is_due_behind_421_is_none_too_many(last: str) -> None:
    connection = ready(lmtp=True)
    transaction = two_chunks(connection, B, C, D)
    take(transaction, connection, "250 one", "250 b", "421 c shutting down", last)
    assert connection.state is State.CLOSED
    receipt = transaction.receipt()
    expected = [Delivery.ACCEPTED, Delivery.UNKNOWN, Delivery.UNKNOWN]
    assert [entry.delivery for entry in receipt.recipients] == expected


def test_in_lmtp_421_for_the_last_recipient_may_have_one_too_many_behind_it() -> None:
    connection = ready(lmtp=True)
    transaction = two_chunks(connection, B, C)
    with pytest.raises(RemoteProtocolError, match="got one more, b'250 c"):
        take(transaction, connection, "250 one", "250 one", "421 b", "250 c")
    receipt = transaction.receipt()
    assert [entry.delivery for entry in receipt.recipients] == [Delivery.UNKNOWN] * 2


@pytest.mark.parametrize("pieces", [(b"4", b"21 bye\r\n"), (b"42", b"1 bye\r\n"), (b"421", b" bye\r\n")])
@pytest.mark.parametrize("groups", [False, True])
def test_a_leave_of_which_a_part_has_come_is_no_reply_too_many(groups: bool, pieces: tuple[bytes, bytes]) -> None:
    connection = ready(groups=groups)
    transaction = Transaction(connection, A, [B], chunking="eager")
    transaction.send_whole(MESSAGE)
    flush(connection)
    first, second = pieces
    connection.receive_data(b"250 m\r\n250 b\r\n250 q\r\n" + first)
    take(transaction, connection)
    assert transaction.receipt().delivery is Delivery.ACCEPTED
    connection.receive_data(second)
    assert isinstance(connection.next_event(), ServerClosing)


def test_a_server_that_takes_its_leave_behind_the_verdict_has_given_it() -> None:
    connection = ready()
    transaction = Transaction(connection, A, [B], chunking="eager")
    transaction.send_whole(MESSAGE)
    flush(connection)
    connection.receive_data(b"250 m\r\n250 b\r\n250 q\r\n421 bye\r\n")
    event = connection.next_event()
    assert isinstance(event, GroupsAnswered)
    transaction.receive(event)
    assert isinstance(connection.next_event(), ServerClosing)
    assert transaction.receipt().delivery is Delivery.ACCEPTED


def test_what_comes_behind_an_eager_message_while_another_is_on_its_way_answers_that() -> None:
    connection = ready()
    first, second, third = three_eager(connection)
    flush(connection)
    connection.receive_data(b"250 m\r\n250 b\r\n250 q\r\n550 r\r\n")
    event = connection.next_event()
    assert isinstance(event, GroupsAnswered)
    assert first.receive(event)
    assert first.receipt().delivery is Delivery.ACCEPTED
    assert (second.finished, third.finished) == (False, False)


# In the window


def test_the_end_of_a_message_takes_the_room_of_one_command() -> None:
    connection = ready(window=Window(commands=4, octets=8192))
    first = Transaction(connection, A, [B, C])
    flush(connection)
    take(first, connection, "250 m", "250 b", "250 c", "354 go")
    first.send_whole(MESSAGE)
    Transaction(connection, A, [D], behind=first)
    assert flush(connection).endswith(b"\r\n.\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<d@example.org>\r\nDATA\r\n")


def test_a_group_waits_until_there_is_room_for_all_of_it() -> None:
    connection = ready(window=Window(commands=5, octets=4096))
    first = Transaction(connection, A, [B], chunking="eager")
    first.send_whole(MESSAGE)
    flush(connection)
    second = Transaction(connection, A, [C], chunking="eager", behind=first)
    second.send_whole(MESSAGE)
    assert flush(connection) == b""
    assert connection.has_queued
    assert take(first, connection, "250 m", "250 b", "250 q") == [GroupsAnswered]
    assert flush(connection).startswith(b"RSET\r\nMAIL")


def test_a_group_that_is_larger_than_the_window_leaves_bit_by_bit() -> None:
    connection = ready(window=Window(commands=3, octets=4096))
    transaction = Transaction(connection, A, [B, C])
    assert flush(connection) == ENVELOPE
    assert take(transaction, connection, "250 m", "250 b") == [ReplyReceived] * 2
    assert flush(connection) == b"DATA\r\n"
    assert take(transaction, connection, "250 c", "354 go") == [ReplyReceived] * 2
    assert transaction.wants_data


@pytest.mark.parametrize("window", [Window(commands=4, octets=4096), Window(commands=100, octets=len(ENVELOPE) + 6)])
def test_a_group_that_fills_the_window_stays_a_group(window: Window) -> None:
    connection = ready(window=window)
    transaction = Transaction(connection, A, [B, C])
    assert flush(connection) == ENVELOPE + b"DATA\r\n"
    assert take(transaction, connection, "250 m", "250 b", "250 c", "354 go") == [GroupsAnswered]


def test_a_group_of_two_commands_that_is_larger_than_the_window_leaves_bit_by_bit() -> None:
    connection = ready(window=Window(commands=100, octets=30))
    Transaction(connection, A, [B], chunking=True)
    assert flush(connection) == b"MAIL FROM:<a@example.org>\r\n"
    assert connection.in_flight == (Mail(A),)


def test_behind_a_group_that_unfolded_the_next_is_a_group_again() -> None:
    connection = ready()
    first = Transaction(connection, A, [B])
    flush(connection)
    assert len(connection.in_flight) == 3
    assert take(first, connection, "250 m", "250 b", "354 go") == [ReplyReceived] * 3
    first.send_whole(MESSAGE)
    flush(connection)
    assert take(first, connection, "250 q") == [GroupsAnswered]
    second = Transaction(connection, A, [C])
    flush(connection)
    assert take(second, connection, "250 m", "250 c", "354 go") == [GroupsAnswered]


def three_eager(connection: Connection) -> list[Transaction]:
    """Return three transactions in eager chunks, each behind the other, whose messages are ended."""
    transactions: list[Transaction] = []
    for _ in range(3):
        behind = transactions[-1] if transactions else None
        transactions.append(Transaction(connection, A, [B], chunking="eager", behind=behind))
        transactions[-1].send_whole(MESSAGE)
    return transactions


def test_three_eager_messages_in_a_row_are_answered_as_groups_one_at_a_time() -> None:
    connection = ready()
    transactions = three_eager(connection)
    assert flush(connection).count(b"BDAT") == 3
    assert take(transactions[0], connection, "250 m", "250 b", "250 q") == [GroupsAnswered]
    for transaction in transactions[1:]:
        assert take(transaction, connection, "250 r", "250 m", "250 b", "250 q") == [GroupsAnswered]


def test_a_group_that_unfolds_for_its_chunk_leaves_the_one_before_it_a_group() -> None:
    connection = ready(window=Window(commands=7, octets=4096))
    first = Transaction(connection, A, [B], chunking="eager")
    first.send_whole(MESSAGE)
    second = Transaction(connection, A, [B], chunking="eager", behind=first)
    second.send_whole(MESSAGE)
    third = Transaction(connection, A, [B, C, D, B, C], chunking="eager", behind=second)
    assert flush(connection).count(b"BDAT") == 2
    assert take(first, connection, "250 m", "250 b", "250 q") == [GroupsAnswered]
    third.send_whole(MESSAGE)
    assert take(second, connection, "250 r", "250 m", "250 b", "250 q") == [GroupsAnswered]
    assert flush(connection).startswith(b"RSET\r\nMAIL")
    assert take(third, connection, "250 r", "250 m") == [ReplyReceived] * 2


@pytest.mark.parametrize("window", [Window(commands=7, octets=4096), Window(commands=100, octets=170)])
def test_a_group_that_unfolds_on_its_way_takes_the_room_that_it_took(window: Window) -> None:
    connection = ready(window=window)
    transactions = three_eager(connection)
    assert flush(connection).count(b"BDAT") == 2
    assert take(transactions[0], connection, "550 no") == [ReplyReceived]
    assert flush(connection) == b""


def test_an_envelope_that_has_no_room_for_its_chunk_leaves_bit_by_bit() -> None:
    connection = ready(window=Window(commands=2, octets=4096))
    transaction = Transaction(connection, A, [B], chunking="eager")
    transaction.send_whole(MESSAGE)
    assert flush(connection).endswith(b"RCPT TO:<b@example.org>\r\n")
    assert take(transaction, connection, "250 m", "250 b") == [ReplyReceived] * 2
    assert flush(connection) == b"BDAT 23 LAST\r\n" + MESSAGE
    assert take(transaction, connection, "250 q") == [ReplyReceived]
    assert transaction.receipt().delivery is Delivery.ACCEPTED


def test_a_chunk_behind_an_envelope_that_is_on_its_way_is_answered_alone() -> None:
    connection = ready()
    transaction = chunk_behind_envelope(connection)
    assert take(transaction, connection, "250 m", "250 b", "250 q") == [GroupsAnswered, ReplyReceived]
    assert transaction.receipt().delivery is Delivery.ACCEPTED


def test_groups_that_have_not_left_can_be_called_back() -> None:
    connection = ready()
    transaction = Transaction(connection, A, [B])
    assert [str(command) for command in connection.queued][:1] == ["MAIL FROM:<a@example.org>"]
    assert [type(command) for command in connection.discard_queued()] == [Mail, Rcpt, Data]
    assert connection.ahead is State.READY
    assert transaction.receipt().delivery is Delivery.NOT_SENT


def test_a_new_hello_that_takes_pipelining_away_unfolds_what_waits() -> None:
    connection = ready()
    first = Transaction(connection, A, [B])
    flush(connection)
    take(first, connection, "250 m", "250 b", "354 go")
    first.send_whole(MESSAGE)
    connection.send(Ehlo("c"))
    Transaction(connection, A, [C], behind=first)
    flush(connection)
    take(first, connection, "250 q")
    hear(connection, "250 mx")
    assert flush(connection) == b"MAIL FROM:<a@example.org>\r\n"


def test_what_was_heard_one_by_one_is_told_with_an_end_that_is_answered_as_a_group() -> None:
    connection = ready()
    transaction = Transaction(connection, A, [B, C])
    flush(connection)
    assert take(transaction, connection, "250 m", "550 no", "250 c", "354 go") == [ReplyReceived] * 4
    transaction.send_whole(MESSAGE)
    behind = Transaction(connection, A, [D], behind=transaction)
    flush(connection)
    (event,) = hear(connection, "250 q", "250 m", "250 d", "354 go")
    assert isinstance(event, GroupsAnswered)
    assert [transaction.receive(event), behind.receive(event)] == [True, True]
    assert [entry.delivery for entry in transaction.receipt().recipients] == [Delivery.REFUSED, Delivery.ACCEPTED]


def test_the_group_that_was_queued_last_is_known() -> None:
    connection = ready()
    flush(connection)
    assert connection.last_group is None
    queued = group()
    connection.send_group(queued)
    assert connection.last_group is queued


def test_no_group_begins_where_no_transaction_can() -> None:
    connection = ready()
    flush(connection)
    connection.send(Mail(A))
    with pytest.raises(LocalProtocolError, match="no mail transaction can begin now"):
        connection.send_group(group())


def test_lmtp_answers_the_end_of_a_message_for_each_recipient() -> None:
    connection = ready(lmtp=True)
    transaction = Transaction(connection, A, [B, C])
    flush(connection)
    assert take(transaction, connection, "250 m", "250 b", "250 c", "354 go") == [GroupsAnswered]
    transaction.send_whole(MESSAGE)
    flush(connection)
    assert take(transaction, connection, "250 q", "452 full") == [ReplyReceived] * 2
    receipt = transaction.receipt()
    assert [entry.delivery for entry in receipt.recipients] == [Delivery.ACCEPTED, Delivery.REFUSED]


def test_an_answer_to_something_else_is_not_a_transactions() -> None:
    connection = ready()
    transaction = Transaction(connection, A, [B])
    assert not transaction.receive(ReplyReceived(Noop(), Reply(250, (b"",))))
    flush(connection)
    assert take(transaction, connection, "250 m", "250 b", "354 go") == [GroupsAnswered]


# The group itself


def test_a_group_is_its_commands() -> None:
    options = MailOptions(ret="HDRS", priority=-2)
    for parameters in (NO_PARAMETERS, Parameters({"SMTPUTF8": None, "BODY": "8BITMIME"})):
        for wished in (None, options):
            for announced in (None, 7, 1_234_567):
                for begins_anew in (False, True):
                    opening = opened(parameters, wished, is_sized=announced is not None)
                    for sender, recipients in ((None, (B, C)), (A, (D,))):
                        one = Group(opening, sender, recipients, announced, begins_anew=begins_anew)
                        assert one.ends_group
                        assert one.awaited is (Rset if begins_anew else Mail)
                        assert one.size == len(one.commands) == 2 + len(recipients) + begins_anew
                        assert one.text == b"".join(command.encode() for command in one.commands)
                        assert [line for _, line, _, _, _ in one.unfolded()] == [
                            command.encode() for command in one.commands
                        ]
                        assert one.cost == sum(cost for _, _, cost, _, _ in one.unfolded()) == len(one.text)
                        assert one.commands is one.commands
                        mail = one.commands[begins_anew]
                        assert isinstance(mail, Mail)
                        said = {} if announced is None else {"SIZE": str(announced)}
                        wishes = {} if wished is None else {"RET": "HDRS", "MT-PRIORITY": "-2"}
                        assert list(mail.parameters.items()) == list({**parameters, **said, **wishes}.items())


def test_a_group_keeps_its_own_envelope_when_the_next_one_has_another() -> None:
    opening = opened(is_sized=True)
    first, second = Group(opening, A, (B,), 1), Group(opening, C, (D,), 2)
    assert b"".join(command.encode() for command in first.commands) == first.text
    assert b"".join(command.encode() for command in second.commands) == second.text
    assert first.text == b"MAIL FROM:<a@example.org> SIZE=1\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"


def test_the_same_recipients_of_another_sender_or_behind_chunks_have_an_envelope_of_their_own() -> None:
    opening = opened()
    recipients = (B,)
    for sender, begins_anew in ((A, False), (C, False), (C, True), (None, True)):
        for _ in range(2):
            one = Group(opening, sender, recipients, begins_anew=begins_anew)
            assert one.text == b"".join(command.encode() for command in one.commands)


@pytest.mark.parametrize("groups", [False, True])
def test_the_size_of_a_message_is_announced_and_asks_for_the_extension(groups: bool) -> None:
    connection = Connection(groups=groups, window=WIDE)
    hear(connection, *GREETING)
    ask(connection, Ehlo("c"), *EHLO)
    for size in (24, 25):
        transaction = Transaction(connection, A, [B], size=size)
        assert flush(connection).startswith(b"MAIL FROM:<a@example.org> SIZE=%d\r\n" % size)
        take(transaction, connection, "250 m", "250 b")
        flush(connection)  # DATA, where it did not go with the rest
        take(transaction, connection, "354 go")
        transaction.send_whole(MESSAGE)
        flush(connection)
        take(transaction, connection, "250 queued")
        assert "SIZE" in transaction.receipt().extensions
        assert (transaction.sender_refusal, transaction.data_refusal) == (None, None)
    connection = Connection(groups=groups, window=WIDE)
    hear(connection, *GREETING)
    ask(connection, Ehlo("c"), "250-mx", "250 PIPELINING")
    with pytest.raises(NotSupported, match="SIZE"):
        Transaction(connection, A, [B], size=24)


def test_the_last_answer_that_stood_alone_is_told() -> None:
    connection = ready()
    transaction = Transaction(connection, A, [B])
    flush(connection)
    take(transaction, connection, "250 m")
    take(transaction, connection, "550 nobody", "503 nobody")
    assert transaction.last_answer is not None
    assert transaction.last_answer.reply == Reply(503, (b"nobody",))


def test_a_group_is_refused_where_a_parameter_would_make_a_command_of_its_own() -> None:
    with pytest.raises(ValueError, match="a command must not hold control characters"):
        Group(opened(Parameters.vouch({"X": "1\nRSET"})), A, (B,))
    with pytest.raises(ValueError, match="expected 3 commands"):
        Group(opened(Parameters.vouch({"X": "1\r\nRSET"})), A, (B,))


def test_a_group_weighs_what_its_lines_and_a_128th_of_its_chunk_weigh() -> None:
    assert weight(b"x" * 10, 127) == 10
    assert repr(weight(b"x" * 10, 128)) == "11"
    envelope = group()
    line, chunk = b"BDAT 1280 LAST\r\n", b"c" * 1280
    whole = group()
    whole.add_chunk(BdatLast(1280), chunk)
    assert whole.text == envelope.text + line
    assert whole.cost == len(envelope.text + line) + 10
    assert sum(cost for _, _, cost, _, _ in whole.unfolded()) == whole.cost
    assert [(size, block) for _, _, _, block, size in whole.unfolded()] == [(1, b""), (1, b""), (1, chunk)]
    alone = Group.ending(GroupKind.LAST_CHUNK, BdatLast(1280), line, 1280, chunk)
    assert alone.cost == len(line) + 10
    end = EndOfData()
    verdict = Group.ending(GroupKind.VERDICT, end, b"text\r\n.\r\n", 6)
    assert verdict.cost == 0
    assert list(verdict.unfolded()) == [(end, b"text\r\n.\r\n", 0, b"", 1)]


def test_a_chunk_is_shown_behind_its_command() -> None:
    told = Told()
    connection = ready(told=told)
    del told.lines[:]
    transaction = Transaction(connection, A, [B], chunking="eager")
    transaction.send_whole(MESSAGE)
    flush(connection)
    assert told.lines == [
        "C: MAIL FROM:<a@example.org>",
        "C: RCPT TO:<b@example.org>",
        "C: BDAT 23 LAST",
        "C: (23 octets)",
    ]


def test_a_binary_message_is_sent_as_it_is_by_a_group_too() -> None:
    connection = ready()
    transaction = Transaction(connection, A, [B], parameters={"BODY": "BINARYMIME"}, chunking=True)
    flush(connection)
    assert take(transaction, connection, "250 m", "250 b") == [GroupsAnswered]
    transaction.send_data(b"a\rb\0\n")
    transaction.end_data()
    assert flush(connection) == b"BDAT 5 LAST\r\na\rb\0\n"


@pytest.mark.parametrize("chunking", [True, "eager"])
def test_line_ends_that_nobody_vouches_for_are_mended_in_a_message_of_one_chunk(chunking: Any) -> None:
    connection = ready()
    transaction = Transaction(connection, A, [B], chunking=chunking)
    envelope = flush(connection)
    if chunking is True:
        take(transaction, connection, "250 m", "250 b")
    transaction.send_whole(b"a\nb\n")
    assert (envelope + flush(connection)).endswith(b"BDAT 6 LAST\r\na\r\nb\r\n")


def test_a_line_end_that_a_chunk_began_is_ended_by_the_last_one() -> None:
    connection = ready()
    transaction = Transaction(connection, A, [B], chunking="eager", chunk_size=1)
    flush(connection)
    transaction.send_data(b"a\r")
    transaction.send_data(MailText(b"b\r\n"))
    transaction.end_data()
    assert flush(connection) == b"BDAT 1\r\naBDAT 5 LAST\r\n\r\nb\r\n"
    assert not transaction.finished


def test_lmtp_answers_the_last_chunk_for_each_recipient() -> None:
    connection = ready(lmtp=True)
    transaction = Transaction(connection, A, [B, C], chunking=True)
    flush(connection)
    assert take(transaction, connection, "250 m", "250 b", "250 c") == [GroupsAnswered]
    transaction.send_whole(MESSAGE)
    flush(connection)
    assert take(transaction, connection, "250 q", "452 full") == [ReplyReceived] * 2
    receipt = transaction.receipt()
    assert [entry.delivery for entry in receipt.recipients] == [Delivery.ACCEPTED, Delivery.REFUSED]


def test_a_chunk_alone_is_shown_with_its_octets() -> None:
    told = Told()
    connection = ready(told=told)
    transaction = Transaction(connection, A, [B], chunking=True)
    flush(connection)
    take(transaction, connection, "250 m", "250 b")
    del told.lines[:]
    transaction.send_whole(MESSAGE)
    flush(connection)
    assert told.lines == ["C: BDAT 23 LAST", "C: (23 octets)"]


def test_a_chunk_for_a_server_that_takes_none_says_so() -> None:
    bare = Connection(groups=True, ignored_extensions=["CHUNKING"])
    hear(bare, *GREETING)
    ask(bare, Ehlo("c"), *EHLO)
    ask(bare, Mail(A), "250 m")
    ask(bare, Rcpt(B), "250 b")
    with pytest.raises(NotSupported) as missing:
        bare.send_chunk(b"a", last=True)
    assert str(missing.value) == "the server does not offer CHUNKING"
    assert missing.value.extension == "CHUNKING"


def test_what_is_awaited_is_told_by_its_kind() -> None:
    connection = ready()
    assert connection.awaited is None
    connection.send(Noop())
    assert type(connection.awaited) is Noop
    flush(connection)
    hear(connection, "250 here")
    transaction = Transaction(connection, A, [B])
    assert type(connection.awaited) is Mail
    assert str(connection.awaited) == "MAIL FROM:<a@example.org>"
    flush(connection)
    take(transaction, connection, "250 m", "250 b", "354 go")
    assert type(connection.awaited) is EndOfData
    behind = group(begins_anew=True)
    behind.add_chunk(BdatLast(1), b"c")
    assert behind.awaited is Rset
    assert Group.ending(GroupKind.LAST_CHUNK, BdatLast(1), b"BDAT 1 LAST\r\n", 1, b"c").awaited is BdatLast
