import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.errors import ConnectionLost, LocalProtocolError, NotSupported, RemoteProtocolError
from mailwire.smtp import (
    LOCKSTEP,
    Command,
    Connection,
    Delivery,
    Mailbox,
    MailOptions,
    Noop,
    Quit,
    RecipientOptions,
    ReplyReceived,
    Rset,
    State,
    Transaction,
    Window,
)
from tests.model_settings import property_settings
from tests.smtp.model_server import Script
from tests.smtp.sessions import A, B, C, D, E, Mail, Outcome, ask, at, hear, reply, run

FOUR = (B, C, D, E)
BODY = (b"Subject: hello\r\n\r\n.", b"line\nend")
WIRE_BODY = b"Subject: hello\r\n\r\n..line\r\nend\r\n"
SENT_BODY = b"Subject: hello\r\n\r\n.line\r\nend\r\n"

WINDOWS = (LOCKSTEP, Window(commands=3, octets=4096), Window(commands=100, octets=4096))
windows = pytest.mark.parametrize("window", WINDOWS, ids=["lockstep", "narrow", "wide"])


def outcome(
    script: Script, window: Window = WINDOWS[-1], mails: Sequence[Mail] | None = None, *, chunk: int = 1_000_000
) -> Outcome:
    mails = mails or [Mail(BODY, FOUR[: len(script.recipients)])]
    return run(script, mails, Connection(window=window), chunk=chunk)


def began(connection: Connection, *recipients: int) -> Transaction:
    """A transaction to as many recipients, its commands on their way."""
    transaction = Transaction(connection, A, FOUR[: len(recipients)])
    connection.data_to_send()
    return transaction


def take(transaction: Transaction, connection: Connection, *lines: str) -> None:
    """Let the server say `lines` one after the other, and the transaction hear them."""
    for line in lines:
        for event in hear(connection, line):
            assert isinstance(event, ReplyReceived)
            transaction.receive(event)
            connection.data_to_send()


# The beginning


@pytest.mark.parametrize("state", [state for state in State if state is not State.READY], ids=lambda state: state.name)
def test_a_transaction_begins_in_no_other_state_than_ready(state: State) -> None:
    connection = at(state)
    with pytest.raises(
        LocalProtocolError, match=f"no mail transaction can begin now: the connection is in state {state.name}"
    ):
        Transaction(connection, A, [B])
    assert connection.queued == ()
    assert connection.data_to_send() == []


def test_a_transaction_begins_only_when_nothing_is_unanswered() -> None:
    connection = at(State.READY)
    connection.send(Noop())
    for _ in ("queued", "in flight"):
        with pytest.raises(LocalProtocolError):
            Transaction(connection, A, [B])
        connection.data_to_send()
    hear(connection, "250 ok")
    Transaction(connection, A, [B])
    with pytest.raises(LocalProtocolError):
        Transaction(connection, A, [B])


def test_a_transaction_needs_a_recipient() -> None:
    connection = at(State.READY)
    with pytest.raises(LocalProtocolError, match="at least one recipient"):
        Transaction(connection, A, [])
    assert connection.queued == ()


@pytest.mark.parametrize("parameters", [{"SIZE": "1\r\nRSET"}, {"SIZE": "1 BODY=8BITMIME"}, {"": None}])
def test_what_no_command_can_hold_is_refused_before_anything_is_queued(parameters: dict[str, str | None]) -> None:
    connection = at(State.READY)
    with pytest.raises(ValueError):
        Transaction(connection, A, [B], parameters=parameters)
    assert connection.queued == ()
    assert connection.data_to_send() == []


OF_ANOTHER_KIND: list[tuple[dict[str, Any], str]] = [
    ({"sender": "a@b.org> SIZE=1"}, "expected the sender to be a Mailbox or None, got 'a@b.org> SIZE=1' (str)"),
    ({"recipients": ["c@d.org> NOTIFY=NEVER"]}, "expected each recipient to be a Mailbox, got 'c@d.org> NOTIFY"),
    ({"recipients": "c@d.org"}, "expected each recipient to be a Mailbox, got 'c' (str)"),
    ({"recipients": [B, None]}, "expected each recipient to be a Mailbox, got None (NoneType)"),
    ({"recipients": B}, "expected a sequence, each recipient in it a Mailbox, got Mailbox("),
    ({"size": "5 BODY=8BITMIME"}, "expected size to be a whole number or None, got '5 BODY=8BITMIME' (str)"),
    ({"size": True}, "expected size to be a whole number or None, got True (bool)"),
    ({"size": -5}, "expected size to be 0 at least, got -5"),
    ({"options": 5}, "expected options to be MailOptions or None, got 5 (int)"),
    ({"recipient_options": [5]}, "expected each recipient's options to be RecipientOptions or None, got 5 (int)"),
    ({"recipient_options": 5}, "expected a sequence, each recipient's options in it RecipientOptions or None, got 5"),
    ({"on_refused": "all"}, """expected on_refused to be "send" or "abort", got 'all' (str)"""),
    ({"chunking": "x"}, """expected chunking to be True, False or "eager", got 'x' (str)"""),
    ({"chunking": 0}, """expected chunking to be True, False or "eager", got 0 (int)"""),
    ({"chunk_size": 0}, "expected chunk_size to be 1 at least, got 0"),
]


@pytest.mark.parametrize("groups", [False, True])
@pytest.mark.parametrize(("given", "message"), OF_ANOTHER_KIND, ids=[str(given) for given, _ in OF_ANOTHER_KIND])
def test_what_is_of_another_kind_is_refused_before_anything_is_queued(
    given: dict[str, Any], message: str, groups: bool
) -> None:
    connection = at(State.READY, Connection(groups=groups))
    arguments = {"sender": A, "recipients": [B], **given}
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        Transaction(connection, **arguments)
    assert connection.queued == ()
    assert connection.data_to_send() == []


@pytest.mark.parametrize("number", [0, 5])
def test_a_size_may_be_that_of_an_empty_message(number: int) -> None:
    connection = at(State.READY)
    Transaction(connection, A, (B,), size=number)
    assert connection.data_to_send()[0] == b"MAIL FROM:<a@example.org> SIZE=%d\r\n" % number


BEYOND_ASCII = Mailbox("\xfc", "example.org")


@pytest.mark.parametrize("groups", [False, True])
@pytest.mark.parametrize(
    ("sender", "recipients"), [(BEYOND_ASCII, [B]), (A, [B, BEYOND_ASCII]), (None, [B, BEYOND_ASCII])]
)
def test_an_address_beyond_ascii_needs_smtputf8_among_the_parameters(
    sender: Mailbox | None, recipients: Sequence[Mailbox], groups: bool
) -> None:
    connection = at(State.READY, Connection(groups=groups))
    with pytest.raises(NotSupported, match=r"^\xfc@example\.org is beyond ASCII, and SMTPUTF8 is not among") as caught:
        Transaction(connection, sender, recipients)
    assert caught.value.extension == "SMTPUTF8"
    assert connection.queued == ()
    assert connection.data_to_send() == []


@pytest.mark.parametrize("keyword", ["SMTPUTF8", "smtputf8"])
def test_an_address_beyond_ascii_is_named_under_smtputf8_in_any_case(keyword: str) -> None:
    connection = at(State.READY)
    options = [RecipientOptions(original_recipient="\xfc@example.org")]
    Transaction(connection, BEYOND_ASCII, [BEYOND_ASCII], parameters={keyword: None}, recipient_options=options)
    assert connection.data_to_send()[:2] == [
        f"MAIL FROM:<\xfc@example.org> {keyword}\r\n".encode(),
        "RCPT TO:<\xfc@example.org> ORCPT=utf-8;\xfc@example.org\r\n".encode(),
    ]


def test_mail_rcpt_and_data_are_queued_at_once() -> None:
    connection = at(State.READY)
    Transaction(connection, A, [B, C], parameters={"SIZE": "5", "SMTPUTF8": None})
    assert connection.data_to_send() == [
        b"MAIL FROM:<a@example.org> SIZE=5 SMTPUTF8\r\n",
        b"RCPT TO:<b@example.org>\r\n",
        b"RCPT TO:<c@example.org>\r\n",
        b"DATA\r\n",
    ]


def test_the_null_reverse_path_is_a_sender_too() -> None:
    connection = at(State.READY)
    transaction = Transaction(connection, None, [B])
    assert connection.data_to_send()[0] == b"MAIL FROM:<>\r\n"
    assert transaction.receipt().sender == ""


def test_a_receipt_names_the_extensions_that_were_used_and_the_times_that_were_taken() -> None:
    connection = at(State.READY)
    transaction = Transaction(
        connection,
        A,
        [B, C],
        parameters={"SIZE": "5", "BODY": "BINARYMIME"},
        options=MailOptions(ret="FULL"),
        recipient_options=[None, RecipientOptions(notify="NEVER")],
        chunking=True,
    )
    assert transaction.receipt().extensions == ("BINARYMIME", "CHUNKING", "SIZE", "DSN", "PIPELINING")
    assert transaction.receipt({"MAIL": 0.25}).timings == {"MAIL": 0.25}
    assert Transaction(at(State.READY, Connection(window=LOCKSTEP)), A, [B], chunking=True).receipt().extensions == (
        "CHUNKING",
    )


def test_a_refusal_of_the_whole_is_told_for_each_recipient() -> None:
    for script, code in ((Script(mail=450, recipients=(250,)), 450), (Script(data=451), 451), (Script(end=554), 554)):
        [entry] = outcome(script).sender.receipt.recipients
        assert entry.final_reply is not None
        assert entry.final_reply.code == code
        assert entry.is_transient == (code < 500)


def test_at_the_beginning_nothing_is_known() -> None:
    connection = at(State.READY)
    transaction = Transaction(connection, A, [B, C])
    assert not transaction.finished
    assert not transaction.wants_data
    assert not transaction.must_close
    assert transaction.sender_refusal is transaction.recipients_refusal is transaction.data_refusal is None
    receipt = transaction.receipt()
    assert (receipt.delivery, receipt.sender, receipt.reply, receipt.octets) == (
        Delivery.NOT_SENT,
        "a@example.org",
        None,
        0,
    )
    assert [(entry.address, entry.reply, entry.delivery) for entry in receipt.recipients] == [
        ("b@example.org", None, Delivery.NOT_SENT),
        ("c@example.org", None, Delivery.NOT_SENT),
    ]


# The end


@windows
def test_an_accepted_mail_reaches_the_server_as_it_was_meant(window: Window) -> None:
    result = outcome(Script(), window)
    assert result.server.accepted == [([b"RCPT TO:<b@example.org>"], SENT_BODY)]
    receipt = result.sender.receipt
    assert receipt.delivery is Delivery.ACCEPTED
    assert receipt.accepted == ("b@example.org",)
    assert receipt.refused == ()
    assert receipt.reply == reply(250, b"so")
    assert receipt.octets == len(WIRE_BODY)
    assert result.sender.transaction.finished
    assert result.error is None


@windows
def test_mails_follow_each_other(window: Window) -> None:
    script = Script(recipients=(250, 550))
    mails = [Mail((b"one",), (B, C)), Mail((b".",), (C, D)), Mail((), (B, C), None)]
    result = outcome(script, window, mails)
    assert [message for _, message in result.server.accepted] == [b"one\r\n", b".\r\n", b""]
    assert [transaction.receipt().octets for transaction in result.sender.transactions] == [5, 4, 0]


def test_a_recipient_given_twice_is_asked_for_twice_and_told_twice() -> None:
    result = outcome(Script(recipients=(250, 451)), mails=[Mail(BODY, (B, B))])
    receipt = result.sender.receipt
    assert [(entry.address, entry.delivery) for entry in receipt.recipients] == [
        ("b@example.org", Delivery.ACCEPTED),
        ("b@example.org", Delivery.REFUSED),
    ]


@pytest.mark.parametrize("code", [251, 252, 259])
def test_any_completion_accepts_a_recipient(code: int) -> None:
    assert outcome(Script(recipients=(code,))).sender.receipt.accepted == ("b@example.org",)


def test_too_many_recipients_are_told_as_such_and_the_rest_gets_the_mail() -> None:
    result = outcome(Script(recipients=(250, 250, 452)))
    receipt = result.sender.receipt
    assert receipt.delivery is Delivery.ACCEPTED
    assert receipt.accepted == ("b@example.org", "c@example.org")
    [deferred] = receipt.refused
    assert deferred.address == "d@example.org"
    assert deferred.reply is not None
    assert deferred.reply.is_transient


@windows
def test_a_refused_sender_is_the_reason_whatever_else_was_refused(window: Window) -> None:
    result = outcome(Script(mail=550, recipients=(250, 250)), window)
    transaction, receipt = result.sender.transaction, result.sender.receipt
    assert transaction.sender_refusal == reply(550, b"so")
    assert transaction.recipients_refusal is None
    assert receipt.delivery is Delivery.REFUSED
    assert [entry.delivery for entry in receipt.recipients] == [Delivery.REFUSED, Delivery.REFUSED]
    assert [entry.reply for entry in receipt.recipients] == [None, None]
    assert receipt.octets == 0
    assert receipt.reply == transaction.sender_refusal


@windows
@pytest.mark.parametrize("accepts_empty", [False, True])
def test_where_every_recipient_was_refused_the_last_refusal_is_named(window: Window, accepts_empty: bool) -> None:
    result = outcome(Script(recipients=(550, 451), accepts_empty=accepts_empty), window)
    transaction, receipt = result.sender.transaction, result.sender.receipt
    assert transaction.recipients_refusal == reply(451, b"so")
    assert transaction.sender_refusal is None
    assert receipt.delivery is Delivery.REFUSED
    assert [entry.reply and entry.reply.code for entry in receipt.recipients] == [550, 451]
    assert receipt.octets == 0
    assert result.server.accepted == []


@windows
def test_a_refused_data_refuses_those_who_were_accepted(window: Window) -> None:
    result = outcome(Script(recipients=(250, 550), data=451), window)
    receipt = result.sender.receipt
    assert result.sender.transaction.data_refusal == receipt.reply == reply(451, b"so")
    assert receipt.delivery is Delivery.REFUSED
    assert [(entry.reply and entry.reply.code, entry.delivery) for entry in receipt.recipients] == [
        (250, Delivery.REFUSED),
        (550, Delivery.REFUSED),
    ]
    assert receipt.octets == 0


@windows
def test_a_refused_message_refuses_those_who_were_accepted(window: Window) -> None:
    result = outcome(Script(recipients=(250, 550), end=554), window)
    receipt = result.sender.receipt
    assert result.sender.transaction.data_refusal == receipt.reply == reply(554, b"so")
    assert receipt.delivery is Delivery.REFUSED
    assert [entry.delivery for entry in receipt.recipients] == [Delivery.REFUSED, Delivery.REFUSED]
    assert receipt.octets == len(WIRE_BODY)


# RSET


@windows
@pytest.mark.parametrize("script", [Script(recipients=(550,)), Script(data=451)], ids=["recipients", "data"])
def test_what_was_refused_is_left_with_rset(script: Script, window: Window) -> None:
    result = outcome(script, window)
    assert result.server.commands[-2:] == [b"RSET", b"QUIT"]
    assert result.sender.transaction.finished
    assert not result.sender.transaction.must_close


@windows
@pytest.mark.parametrize("script", [Script(), Script(mail=550), Script(end=554)], ids=["accepted", "sender", "message"])
def test_no_rset_is_sent_where_nothing_is_left_over(script: Script, window: Window) -> None:
    assert b"RSET" not in outcome(script, window).server.commands


def test_a_transaction_is_not_finished_before_rset_is_answered() -> None:
    connection = at(State.READY)
    transaction = began(connection, 1)
    take(transaction, connection, "250 ok", "550 no", "503 no")
    (rset,) = connection.in_flight
    assert isinstance(rset, Rset)
    assert rset.is_afterwards is True
    assert not transaction.finished
    take(transaction, connection, "250 ok")
    assert transaction.finished
    assert connection.state is State.READY


@windows
@pytest.mark.parametrize("code", [421, 451, 500])
def test_a_refused_rset_means_that_the_connection_must_be_closed(code: int, window: Window) -> None:
    result = outcome(Script(recipients=(550,), rset=code), window)
    assert result.sender.transaction.must_close
    assert result.sender.transaction.finished
    assert result.sender.receipt.delivery is Delivery.REFUSED
    assert b"QUIT" not in result.server.commands


# The lone dot


def test_a_lone_dot_follows_354_where_no_recipient_stands() -> None:
    connection = at(State.READY)
    transaction = began(connection, 1, 1)
    take(transaction, connection, "250 ok", "550 no", "550 no")
    for event in hear(connection, "354 go"):
        assert isinstance(event, ReplyReceived)
        transaction.receive(event)
    assert not transaction.wants_data
    assert connection.data_to_send() == [b".\r\n"]
    assert not transaction.finished
    assert transaction.receipt().delivery is Delivery.REFUSED


@pytest.mark.parametrize("answer", ["554 no", "503 no", "250 ok", "451 later"])
def test_whatever_the_answer_to_the_lone_dot_the_mail_was_refused(answer: str) -> None:
    connection = at(State.READY)
    transaction = began(connection, 1, 1)
    take(transaction, connection, "250 ok", "550 no", "450 no", "354 go", answer)
    assert transaction.finished
    assert not transaction.must_close
    assert connection.state is State.READY
    receipt = transaction.receipt()
    assert receipt.delivery is Delivery.REFUSED
    assert [entry.delivery for entry in receipt.recipients] == [Delivery.REFUSED, Delivery.REFUSED]
    assert receipt.octets == 0


def test_a_lone_dot_that_is_never_answered_leaves_no_doubt() -> None:
    connection = at(State.READY)
    transaction = began(connection, 1)
    take(transaction, connection, "250 ok", "550 no", "354 go")
    connection.receive_eof()
    with pytest.raises(ConnectionLost):
        connection.next_event()
    assert transaction.receipt().delivery is Delivery.REFUSED


def test_a_lone_dot_follows_354_behind_a_refused_mail_where_no_recipient_stands() -> None:
    connection = at(State.READY)
    transaction = began(connection, 1)
    take(transaction, connection, "550 no", "503 no", "354 go")
    assert not transaction.must_close
    assert [str(command) for command in connection.in_flight] == [".", "RSET"]


def test_the_connection_is_given_up_where_a_recipient_stands_behind_a_refused_mail() -> None:
    connection = at(State.READY)
    transaction = began(connection, 1, 1)
    take(transaction, connection, "550 no", "250 ok", "550 no", "354 go")
    assert transaction.must_close
    assert transaction.finished
    assert not transaction.wants_data
    assert connection.data_to_send() == []
    assert transaction.receipt().delivery is Delivery.REFUSED


def test_never_a_lone_dot_while_a_recipient_stands_accepted() -> None:
    # Every answer to MAIL and to two RCPT, and 354 to DATA.
    for answers in product((250, 450, 550), (250, 450, 550, 503), (250, 450, 550, 503)):
        connection = at(State.READY)
        transaction = began(connection, 1, 1)
        wire = b""
        for event in hear(connection, *[f"{code} so" for code in answers], "354 go"):
            assert isinstance(event, ReplyReceived)
            transaction.receive(event)
            wire += b"".join(connection.data_to_send())
        stands = 250 in answers[1:]
        dot = b".\r\n" if answers[0] == 250 else b".\r\nRSET\r\n"
        assert wire == (b"" if stands else dot), answers
        assert transaction.wants_data == (stands and answers[0] == 250), answers
        assert transaction.must_close == (stands and answers[0] != 250), answers


def test_data_is_not_sent_where_it_can_still_be_held_back() -> None:
    result = outcome(Script(recipients=(550, 550)), LOCKSTEP)
    assert b"DATA" not in result.server.commands


# The end of the connection


def test_421_behind_the_last_dot_leaves_doubt() -> None:
    for window in WINDOWS:
        receipt = outcome(Script(recipients=(250, 550), end=421), window).sender.receipt
        assert receipt.delivery is Delivery.UNKNOWN
        assert [entry.delivery for entry in receipt.recipients] == [Delivery.UNKNOWN, Delivery.REFUSED]


@pytest.mark.parametrize("code", [421, 452, 552, 554])
def test_a_verdict_before_the_end_of_the_message_is_a_refusal(code: int) -> None:
    connection = at(State.READY)
    transaction = began(connection, 1)
    take(transaction, connection, "250 ok", "250 ok", "354 go")
    assert transaction.wants_data
    assert not transaction.finished
    transaction.send_data(b"the beginning")
    connection.data_to_send()
    take(transaction, connection, f"{code} big")
    assert transaction.finished
    assert not transaction.wants_data
    assert transaction.data_refusal == reply(code, b"big")
    assert transaction.receipt().delivery is Delivery.REFUSED


@windows
@pytest.mark.parametrize(
    "script",
    [
        Script(mail=421, recipients=(250, 250)),
        Script(recipients=(421, 250)),
        Script(recipients=(250, 421)),
        Script(recipients=(250, 250), data=421),
        Script(recipients=(250, 250), end=421),
    ],
    ids=["mail", "first-rcpt", "second-rcpt", "data", "end"],
)
def test_421_finishes_the_transaction(script: Script, window: Window) -> None:
    result = outcome(script, window)
    assert result.sender.connection.state is State.CLOSED
    assert result.sender.transaction.finished
    assert not result.sender.transaction.wants_data


def test_a_lost_connection_finishes_the_transaction() -> None:
    connection = at(State.READY)
    transaction = began(connection, 1)
    connection.receive_eof()
    with pytest.raises(ConnectionLost):
        connection.next_event()
    assert transaction.finished


@pytest.mark.parametrize("code", [220, 221])
def test_an_answer_that_belongs_to_something_else_leaves_doubt(code: int) -> None:
    result = outcome(Script(end=code))
    assert isinstance(result.error, RemoteProtocolError)
    assert result.sender.receipt.delivery is Delivery.UNKNOWN


def test_garbage_behind_the_last_dot_leaves_doubt() -> None:
    connection = at(State.READY)
    transaction = began(connection, 1)
    take(transaction, connection, "250 ok", "250 ok", "354 go")
    transaction.send_data(b"text")
    transaction.end_data()
    assert transaction.receipt().delivery is Delivery.NOT_SENT  # nothing was handed out yet
    connection.data_to_send()
    assert transaction.receipt().delivery is Delivery.UNKNOWN
    with pytest.raises(RemoteProtocolError):
        hear(connection, "garbage", "250 ok")
    assert transaction.receipt().delivery is Delivery.UNKNOWN


def test_a_last_dot_that_never_left_leaves_no_doubt() -> None:
    connection = at(State.READY)
    transaction = began(connection, 1)
    take(transaction, connection, "250 ok", "250 ok", "354 go")
    transaction.send_data(b"text")
    transaction.end_data()
    connection.receive_eof()
    with pytest.raises(ConnectionLost):
        connection.next_event()
    assert connection.data_to_send() == []
    assert transaction.receipt().delivery is Delivery.NOT_SENT


def test_what_follows_does_not_change_the_receipt() -> None:
    for ending in ("221 bye", "421 bye", "500 what?"):
        connection = at(State.READY)
        transaction = began(connection, 1)
        take(transaction, connection, "250 ok", "250 ok", "354 go")
        transaction.end_data()
        connection.data_to_send()
        take(transaction, connection, "250 ok")
        receipt = transaction.receipt()
        assert receipt.delivery is Delivery.ACCEPTED
        ask(connection, Quit(), ending)
        assert transaction.receipt() == receipt


def test_the_next_mail_does_not_change_the_receipt_of_the_last() -> None:
    connection = at(State.READY)
    first = began(connection, 1)
    take(first, connection, "250 ok", "250 ok", "354 go")
    first.send_data(b"text")
    first.end_data()
    connection.data_to_send()
    take(first, connection, "250 ok")
    receipt = first.receipt()
    second = began(connection, 1)
    take(second, connection, "250 ok", "250 ok", "354 go")
    second.send_data(b"something longer")
    second.end_data()
    assert first.receipt() == receipt
    connection.data_to_send()
    connection.receive_eof()
    with pytest.raises(ConnectionLost):
        connection.next_event()
    assert second.receipt().delivery is Delivery.UNKNOWN
    assert first.receipt() == receipt


def test_events_of_other_commands_are_passed_over() -> None:
    connection = at(State.READY)
    transaction = began(connection, 1)
    before = transaction.receipt()
    assert not transaction.receive(ReplyReceived(Noop(), reply(550)))
    assert transaction.receipt() == before
    assert not transaction.must_close


class CountingConnection(Connection):
    """Counts how many queued commands were ever looked at from outside."""

    looked_at = 0

    @property
    def queued(self) -> tuple[Command[object], ...]:
        queued = super().queued
        self.looked_at += len(queued)
        return queued


@windows
def test_the_queue_is_not_walked_for_every_reply(window: Window) -> None:
    connection = CountingConnection(window=window)
    at(State.READY, connection)
    transaction = Transaction(connection, A, [B] * 500)
    while not transaction.wants_data:
        for line in connection.data_to_send():
            for event in hear(connection, "354 go" if line == b"DATA\r\n" else "250 ok"):
                assert isinstance(event, ReplyReceived)
                transaction.receive(event)
    assert connection.looked_at <= 20 * 500


# The same with every window


def scripts() -> Iterator[Script]:
    """Every mask of four recipients, by MAIL, DATA and the message refused or not."""
    for mask in product((250, 550), repeat=4):
        for mail, data, end, accepts_empty in product((250, 550), (354, 451), (250, 554), (False, True)):
            yield Script(mail, mask, data, end, accepts_empty=accepts_empty)


def answered(result: Outcome) -> list[tuple[str, int]]:
    return [(str(event.command), event.reply.code) for event in result.events if isinstance(event, ReplyReceived)]


def test_pipelining_changes_neither_what_is_delivered_nor_what_is_told_about_it() -> None:
    for script in scripts():
        slow, *fast = (outcome(script, window) for window in WINDOWS)
        for result in (slow, *fast):
            assert result.error is None
            assert result.sender.connection.state is State.CLOSED
            assert result.server.accepted == slow.server.accepted, script
            receipt = result.sender.receipt
            assert receipt.delivery is slow.sender.receipt.delivery, script
            assert receipt.recipients == slow.sender.receipt.recipients, script
            assert receipt.octets == slow.sender.receipt.octets, script
            # The server's own account: who got the mail?
            accepted = [f"RCPT TO:<{address}>".encode() for address in receipt.accepted]
            assert [standing for standing, _ in result.server.accepted] == ([accepted] if accepted else [])


def test_pipelining_does_not_change_the_reply_that_is_named_as_the_reason() -> None:
    for script in scripts():
        slow, *fast = (outcome(script, window).sender.receipt for window in WINDOWS)
        for receipt in fast:
            assert replace(receipt, extensions=()) == replace(slow, extensions=()), script


def test_pipelining_changes_no_event_where_something_is_accepted() -> None:
    for script in scripts():
        if script.mail == 250 and 250 in script.recipients:
            slow, *fast = (outcome(script, window) for window in WINDOWS)
            for result in fast:
                assert answered(result) == answered(slow), script
                assert result.sent == slow.sent, script


def test_pipelining_adds_answers_only_to_what_could_not_be_called_back() -> None:
    for script in scripts():
        slow, *fast = (outcome(script, window) for window in WINDOWS)
        for result in fast:
            rest = iter(answered(result))
            assert all(entry in rest for entry in answered(slow) if entry[0] != "RSET"), script


@property_settings(150)
@given(
    st.builds(
        Script,
        mail=st.sampled_from([250, 250, 250, 451, 550]),
        recipients=st.lists(st.sampled_from([250, 250, 251, 450, 550]), min_size=1, max_size=4).map(tuple),
        data=st.sampled_from([354, 354, 354, 354, 451, 554]),
        end=st.sampled_from([250, 250, 250, 452, 554]),
        accepts_empty=st.booleans(),
        pipelining=st.booleans(),
    ),
    st.integers(1, 200),
    st.builds(Window, st.integers(1, 10), st.integers(1, 200)),
    st.lists(st.sampled_from([b".", b"\r", b"\n", b"\r\n.\r\n", b"text", b"\r\n"]), max_size=8),
)
def test_neither_chunks_nor_windows_change_the_outcome(
    script: Script, chunk: int, window: Window, body: list[bytes]
) -> None:
    mails = [Mail(body, FOUR[: len(script.recipients)])] * 2
    slow, result = outcome(script, LOCKSTEP, mails), outcome(script, window, mails, chunk=chunk)
    assert result.error is None
    assert result.server.accepted == slow.server.accepted
    assert len(result.sender.transactions) == len(slow.sender.transactions)
    for transaction, other in zip(result.sender.transactions, slow.sender.transactions, strict=True):
        receipt, expected = transaction.receipt(), other.receipt()
        assert receipt.delivery is expected.delivery
        assert receipt.recipients == expected.recipients
        assert receipt.octets == expected.octets
