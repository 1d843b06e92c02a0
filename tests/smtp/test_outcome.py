"""What a receipt tells of a mail, whichever way its commands were answered."""

from typing import Any

import pytest

from mailwire.errors import LocalProtocolError
from mailwire.smtp import (
    Connection,
    Delivery,
    GroupAnswered,
    Mailbox,
    Receipt,
    RecipientOptions,
    RecipientReceipt,
    Reply,
    ReplyReceived,
    State,
    Transaction,
)
from mailwire.smtp.outcome import refusal_in
from tests.smtp.sessions import A, B, C, at, hear, reply

MESSAGE = b"Subject: x\r\n\r\nhello\r\n"
QUEUED = Reply(250, (b"2.0.0 Ok: queued as 77",))


def ready(*, groups: bool) -> Connection:
    return at(State.READY, Connection(groups=groups))


def began(connection: Connection, *recipients: Mailbox, **how: Any) -> Transaction:
    """A transaction of which the commands are on their way."""
    transaction = Transaction(connection, A, recipients, **how)
    connection.data_to_send()
    return transaction


def take(transaction: Transaction, *lines: str, connection: Connection) -> None:
    """Let the server say `lines`, and the transaction hear them."""
    for event in hear(connection, *lines):
        assert isinstance(event, (GroupAnswered, ReplyReceived))
        assert transaction.receive(event)
    connection.data_to_send()


def test_a_refusal_is_a_reply_of_400_or_more() -> None:
    for code, is_refusal in ((250, False), (354, False), (399, False), (400, True), (450, True), (599, True)):
        assert (refusal_in(reply(code)) is not None) is is_refusal
    assert refusal_in(None) is None


@pytest.mark.parametrize("code", [400, 599])
def test_every_refusal_leaves_the_session_where_it_was(code: int) -> None:
    connection = ready(groups=False)
    transaction = began(connection, B)
    take(transaction, f"{code} no", connection=connection)
    assert connection.state is State.READY
    receipt = transaction.receipt()
    assert receipt.delivery is Delivery.REFUSED
    assert receipt.reply == reply(code, b"no")


@pytest.mark.parametrize("groups", [False, True])
def test_the_receipt_of_a_mail_that_was_taken_tells_all(groups: bool) -> None:
    connection = ready(groups=groups)
    transaction = began(connection, B, C, parameters={"SIZE": "23"})
    take(transaction, "250 m", "250 b", "251 c", "354 go", connection=connection)
    transaction.send_whole(MESSAGE)
    connection.data_to_send()
    take(transaction, "250 2.0.0 Ok: queued as 77", connection=connection)
    receipt = transaction.receipt({"DATA": 0.5})
    assert receipt == Receipt(
        Delivery.ACCEPTED,
        "a@example.org",
        (
            RecipientReceipt("b@example.org", reply(250, b"b"), Delivery.ACCEPTED, QUEUED),
            RecipientReceipt("c@example.org", reply(251, b"c"), Delivery.ACCEPTED, QUEUED),
        ),
        QUEUED,
        len(MESSAGE),
        ("SIZE", "PIPELINING"),
    )
    assert receipt.delivery is Delivery.ACCEPTED  # when the rest has been read as well
    assert receipt.timings == {"DATA": 0.5}


@pytest.mark.parametrize("groups", [False, True])
def test_the_receipt_of_a_message_half_written_tells_how_much_of_it_went_out(groups: bool) -> None:
    connection = ready(groups=groups)
    transaction = began(connection, B)
    take(transaction, "250 m", "250 b", "354 go", connection=connection)
    assert transaction.receipt().octets == 0
    transaction.send_data(MESSAGE)
    assert transaction.receipt().octets == len(MESSAGE)
    assert transaction.receipt().delivery is Delivery.NOT_SENT


def test_a_refused_chunk_is_the_reason_for_each_recipient_who_had_been_accepted() -> None:
    connection = ready(groups=False)
    transaction = began(connection, B, C, chunking=True)
    take(transaction, "250 m", "250 b", "550 c", connection=connection)
    for _ in range(2):
        transaction.send_data(b"x" * 200_000)
    connection.data_to_send()
    take(transaction, "552 too big", connection=connection)
    assert transaction.receipt().recipients == (
        RecipientReceipt("b@example.org", reply(250, b"b"), Delivery.REFUSED, reply(552, b"too big")),
        RecipientReceipt("c@example.org", reply(550, b"c"), Delivery.REFUSED),
    )


def test_a_refused_sender_is_the_reason_for_a_recipient_who_was_accepted_behind_it() -> None:
    connection = ready(groups=False)
    transaction = began(connection, B, C)
    take(transaction, "550 m", "250 b", "550 c", "503 no", connection=connection)
    assert [(entry.reply, entry.final_reply) for entry in transaction.receipt().recipients] == [
        (reply(250, b"b"), reply(503, b"no")),
        (None, reply(550, b"m")),
    ]


def test_a_receipt_names_what_any_recipient_s_wishes_made_use_of() -> None:
    connection = ready(groups=False)
    wishes = [RecipientOptions(notify="NEVER"), RecipientOptions(parameters={"X": "1"}, extensions=["8BITMIME"])]
    transaction = began(connection, B, C, recipient_options=wishes)
    assert transaction.receipt().extensions == ("DSN", "8BITMIME", "PIPELINING")


def test_behind_chunks_a_mail_with_parameters_begins_anew_with_all_of_them() -> None:
    connection = ready(groups=False)
    first = Transaction(connection, A, [B], chunking="eager")
    first.end_data()
    connection.data_to_send()
    Transaction(connection, A, [C], parameters={"SIZE": "5"}, chunking="eager", behind=first)
    assert b"".join(connection.data_to_send()) == (
        b"RSET\r\nMAIL FROM:<a@example.org> SIZE=5\r\nRCPT TO:<c@example.org>\r\n"
    )


@pytest.mark.parametrize(
    ("recipients", "how", "message"),
    [
        ((), {}, "a mail transaction needs at least one recipient"),
        ((B, C), {"recipient_options": [None]}, "expected options for 2 recipients, got 1"),
        (
            (B,),
            {"on_refused": "abort", "chunking": "eager"},
            "a mail that goes to all or none cannot go out before the replies are known",
        ),
        ((B,), {"parameters": {"BODY": "BINARYMIME"}}, "a binary message goes in chunks (RFC 3030 3)"),
    ],
)
def test_a_transaction_that_cannot_begin_says_why(recipients: tuple[Mailbox, ...], how: Any, message: str) -> None:
    connection = ready(groups=False)
    with pytest.raises((ValueError, LocalProtocolError)) as refusal:
        Transaction(connection, A, recipients, **how)
    assert str(refusal.value) == message
    assert connection.queued == ()
