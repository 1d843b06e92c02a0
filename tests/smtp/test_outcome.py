"""What a receipt tells of a mail, whichever way its commands were answered."""

from dataclasses import replace
from typing import Any

import pytest

from mailwire.errors import LocalProtocolError
from mailwire.smtp import (
    CHUNK_SIZE,
    LOCKSTEP,
    Connection,
    Delivery,
    GroupsAnswered,
    Mailbox,
    Noop,
    Receipt,
    RecipientOptions,
    RecipientReceipt,
    Reply,
    ReplyReceived,
    Rset,
    State,
    Transaction,
    Window,
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
        assert isinstance(event, (GroupsAnswered, ReplyReceived))
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


@pytest.mark.parametrize("groups", [False, True])
def test_a_receipt_may_be_asked_for_at_any_time_and_changes_nothing(groups: bool) -> None:
    connection = ready(groups=groups)
    transaction = began(connection, B, chunking=True)
    assert transaction.receipt().delivery is Delivery.NOT_SENT
    take(transaction, "250 m", "250 b", connection=connection)
    assert transaction.receipt() == Receipt(
        Delivery.NOT_SENT,
        "a@example.org",
        (RecipientReceipt("b@example.org", reply(250, b"b"), Delivery.NOT_SENT),),
        None,
        0,
        ("CHUNKING", "PIPELINING"),
    )
    transaction.send_whole(MESSAGE)
    connection.data_to_send()
    assert transaction.receipt().delivery is Delivery.UNKNOWN
    take(transaction, "250 2.0.0 Ok: queued as 77", connection=connection)
    assert transaction.receipt() == Receipt(
        Delivery.ACCEPTED,
        "a@example.org",
        (RecipientReceipt("b@example.org", reply(250, b"b"), Delivery.ACCEPTED, QUEUED),),
        QUEUED,
        len(MESSAGE),
        ("CHUNKING", "PIPELINING"),
    )


@pytest.mark.parametrize("groups", [False, True])
@pytest.mark.parametrize("chunking", [False, True])
def test_however_late_a_receipt_is_read_it_tells_what_was_known_when_it_was_asked_for(
    groups: bool, chunking: bool
) -> None:
    connection = ready(groups=groups)
    transaction = began(connection, B, C, chunking=chunking)
    timings = {"envelope": 0.0}
    read: list[Receipt] = []
    unread: list[Receipt] = []

    def ask() -> None:
        read.append(replace(transaction.receipt(timings)))
        unread.append(transaction.receipt(timings))
        timings["envelope"] += 1

    ask()
    for answers in (["250 m", "250 b"], ["550 c"], [] if chunking else ["354 go"]):
        take(transaction, *answers, connection=connection)
        ask()
    transaction.send_data(MESSAGE)
    ask()
    transaction.end_data()
    ask()
    connection.data_to_send()
    ask()
    take(transaction, "250 2.0.0 Ok: queued as 77", connection=connection)
    ask()
    assert len(set(read)) >= 6
    assert unread == read
    assert [receipt.timings for receipt in unread] == [receipt.timings for receipt in read]


@pytest.mark.parametrize("groups", [False, True])
def test_a_receipt_that_is_asked_for_at_once_is_of_a_mail_that_is_not_sent(groups: bool) -> None:
    connection = ready(groups=groups)
    transaction = began(connection, B, chunking=True)
    take(transaction, "250 m", "250 b", connection=connection)
    assert transaction.receipt().delivery is Delivery.NOT_SENT


def test_it_is_known_who_a_mail_is_from_and_whether_anybody_was_accepted() -> None:
    connection = ready(groups=False)
    transaction = began(connection, B, C)
    assert transaction.reverse_path == "a@example.org"
    take(transaction, "250 m", "550 b", connection=connection)
    assert transaction.accepts_nobody
    take(transaction, "250 c", connection=connection)
    assert not transaction.accepts_nobody
    assert Transaction(ready(groups=True), None, [B]).reverse_path == ""


def test_a_refused_chunk_decided_whatever_is_said_of_the_last_one() -> None:
    connection = ready(groups=False)
    transaction = began(connection, B, chunking="eager")
    transaction.send_data(b"x" * CHUNK_SIZE)
    transaction.send_data(b"y")
    connection.data_to_send()
    transaction.end_data()
    connection.data_to_send()
    take(transaction, "250 m", "250 b", "552 too big", "400 what?", connection=connection)
    receipt = transaction.receipt()
    assert receipt.delivery is Delivery.REFUSED
    assert receipt.reply == reply(552, b"too big")


@pytest.mark.parametrize(
    ("octets", "answers"),
    [(1, ("550 m", "250 b", "250 taken")), (CHUNK_SIZE + 1, ("250 m", "250 b", "552 too big", "250 taken"))],
    ids=["sender", "chunk"],
)
def test_where_a_server_takes_what_it_has_refused_its_last_word_is_told_and_nothing_known(
    octets: int, answers: tuple[str, ...]
) -> None:
    connection = ready(groups=False)
    transaction = began(connection, B, chunking="eager")
    for size in (CHUNK_SIZE, octets - CHUNK_SIZE) if octets > CHUNK_SIZE else (octets,):
        transaction.send_data(b"x" * size)
    connection.data_to_send()
    transaction.end_data()
    connection.data_to_send()
    take(transaction, *answers, connection=connection)
    receipt = transaction.receipt()
    assert receipt.delivery is Delivery.UNKNOWN
    assert receipt.reply == reply(250, b"taken")


def test_where_the_recipients_decided_no_reply_decided_for_the_whole() -> None:
    connection = ready(groups=False)
    transaction = began(connection, B)
    take(transaction, "250 m", "550 b", "554 nobody", connection=connection)
    assert transaction.receipt().reply is None
    assert transaction.recipients_refusal == reply(550, b"b")


# What is written of the message


def chunks_of(sizes: list[int]) -> list[bytes]:
    """Write blocks of these sizes in chunks, and return what left for each chunk."""
    connection = ready(groups=False)
    transaction = began(connection, B, chunking=True)
    take(transaction, "250 m", "250 b", connection=connection)
    wires = []
    for size in [*sizes, None]:
        if size is None:
            transaction.end_data()
        else:
            transaction.send_data(b"x" * size)
        if wire := b"".join(connection.data_to_send()):
            wires.append(wire)
            take(transaction, "250 ok", connection=connection)
    assert transaction.receipt().octets == sum(sizes) + 2
    return wires


@pytest.mark.parametrize(
    ("sizes", "chunks"),
    [
        ([1, 1], [2]),
        ([CHUNK_SIZE // 2] * 3, [CHUNK_SIZE, CHUNK_SIZE // 2]),
        ([CHUNK_SIZE, CHUNK_SIZE - 1, 1, 1], [CHUNK_SIZE, CHUNK_SIZE, 1]),
        ([CHUNK_SIZE - 1, 2 * CHUNK_SIZE, 1], [3 * CHUNK_SIZE - 1, 1]),
    ],
)
def test_blocks_are_gathered_until_they_are_a_chunk(sizes: list[int], chunks: list[int]) -> None:
    wires = chunks_of(sizes)
    bodies = [wire.partition(b"\r\n") for wire in wires]
    assert [line for line, _, _ in bodies] == [
        *(b"BDAT %d" % size for size in chunks[:-1]),
        b"BDAT %d LAST" % (chunks[-1] + 2),
    ]
    assert b"".join(body for _, _, body in bodies) == b"x" * sum(sizes) + b"\r\n"


def test_an_eager_message_is_written_on_while_its_recipients_are_not_answered() -> None:
    connection = ready(groups=False)
    transaction = began(connection, B, chunking="eager")
    assert transaction.wants_data
    take(transaction, "250 m", connection=connection)
    assert transaction.wants_data
    transaction.end_data()
    assert b"".join(connection.data_to_send()) == b"BDAT 0 LAST\r\n"


@pytest.mark.parametrize("chunking", [False, True])
def test_a_message_ends_once(chunking: bool) -> None:
    connection = ready(groups=False)
    transaction = began(connection, B, chunking=chunking)
    take(transaction, "250 m", "250 b", *(() if chunking else ("354 go",)), connection=connection)
    transaction.end_data()
    connection.data_to_send()
    assert not transaction.wants_data
    for write in (transaction.end_data, lambda: transaction.send_data(b"x"), lambda: transaction.send_whole(b"x")):
        with pytest.raises(LocalProtocolError) as refusal:
            write()
        assert str(refusal.value) == "the message cannot be written now: `wants_data` says when"
    assert connection.data_to_send() == []


def test_what_others_have_queued_is_left_where_every_recipient_is_refused() -> None:
    connection = at(State.READY, Connection(window=LOCKSTEP))
    transaction = Transaction(connection, A, [B], on_refused="abort")
    connection.send(Noop("here"))
    for said, left in (("250 m", b"MAIL FROM:<a@example.org>\r\n"), ("550 b", b"RCPT TO:<b@example.org>\r\n")):
        assert b"".join(connection.data_to_send()) == left
        (event,) = hear(connection, said)
        assert isinstance(event, ReplyReceived)
        assert transaction.receive(event)
    assert transaction.receipt().delivery is Delivery.REFUSED
    assert b"".join(connection.data_to_send()) == b"NOOP here\r\n"


# Groups that unfold


def test_a_group_that_unfolds_leaves_what_is_behind_it_where_it_was() -> None:
    connection = ready(groups=True)
    transaction = began(connection, B)
    take(transaction, "250 m", "250 b", "354 go", connection=connection)
    transaction.send_whole(MESSAGE)
    connection.send(Noop("1"))
    connection.send(Noop("2"))
    wire = b"".join(connection.data_to_send())
    assert wire == MESSAGE + b".\r\nNOOP 1\r\n"  # NOOP ends what may leave together
    assert [str(command) for command in connection.in_flight] == [".", "NOOP 1"]
    first, second = hear(connection, "554 no", "250 one")
    assert isinstance(first, ReplyReceived)
    assert isinstance(second, ReplyReceived)
    assert transaction.receive(first)
    assert str(second.command) == "NOOP 1"
    assert transaction.receipt().delivery is Delivery.REFUSED
    assert b"".join(connection.data_to_send()) == b"NOOP 2\r\n"
    assert [str(event.command) for event in hear(connection, "250 two")] == ["NOOP 2"]  # type: ignore[union-attr]
    assert connection.in_flight == ()


def test_the_window_is_as_wide_behind_a_group_that_unfolded_as_before() -> None:
    connection = at(State.READY, Connection(groups=True, window=Window(commands=4, octets=4096)))
    transaction = began(connection, B)
    assert len(connection.in_flight) == 3  # whoever asks for commands, gets commands
    take(transaction, "250 m", "550 b", "503 nobody", connection=connection)
    take(transaction, "250 rset", connection=connection)
    assert transaction.finished
    for _ in range(6):
        connection.send(Rset())
    assert len(connection.data_to_send()) == 4


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
