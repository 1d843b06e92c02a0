"""A transaction in chunks, eager, all or nothing, in LMTP, and behind another."""

from collections.abc import Sequence
from typing import Any

import pytest

from mailwire._wire.dots import MailText
from mailwire.errors import LocalProtocolError, MailwireError, NotSupported, SecurityError
from mailwire.smtp import (
    CHUNK_SIZE,
    LOCKSTEP,
    Connection,
    Delivery,
    Ehlo,
    Mail,
    MailOptions,
    Noop,
    RecipientOptions,
    Reply,
    ReplyReceived,
    Rset,
    State,
    Transaction,
    Window,
)
from tests.smtp.sessions import A, B, C, D, E, ask, at, hear, reply

FOUR = (B, C, D, E)
ENVELOPE = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\n"


def flush(connection: Connection) -> bytes:
    return b"".join(connection.data_to_send())


def began(connection: Connection, recipients: int = 1, **how: Any) -> Transaction:
    """A transaction to as many recipients, its commands on their way."""
    transaction = Transaction(connection, A, FOUR[:recipients], **how)
    connection.data_to_send()
    return transaction


def take(transactions: Transaction | Sequence[Transaction], connection: Connection, *lines: str) -> None:
    """Let the server say `lines` one after the other, and the transactions hear them."""
    those = [transactions] if isinstance(transactions, Transaction) else transactions
    for line in lines:
        for event in hear(connection, line):
            assert isinstance(event, ReplyReceived)
            assert sum(transaction.receive(event) for transaction in those) == 1
            connection.data_to_send()


def words(transaction: Transaction) -> list[Delivery]:
    return [entry.delivery for entry in transaction.receipt().recipients]


# What is refused at the beginning


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({"recipient_options": [None]}, ValueError),
        ({"on_refused": "abort", "chunking": "eager"}, ValueError),
        ({"parameters": {"BODY": "BINARYMIME"}}, ValueError),
        ({"options": MailOptions(parameters={"body": "BinaryMIME"})}, ValueError),
        ({"parameters": {"RET": "FULL"}, "options": MailOptions(ret="HDRS")}, ValueError),
        ({"options": MailOptions(priority=1)}, NotSupported),
        ({"options": MailOptions(require_tls=True)}, SecurityError),
        ({"recipient_options": [None, RecipientOptions(parameters={"X": "1"}, extensions=["X"])]}, NotSupported),
        ({"parameters": {"AUTH": "<>"}}, NotSupported),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_queued(how: Any, error: type[Exception]) -> None:
    for groups in (False, True):
        connection = at(State.READY, Connection(groups=groups))
        with pytest.raises(error):
            Transaction(connection, A, [B, C], **how)
        assert connection.queued == ()
        assert connection.ahead is State.READY


def test_chunks_need_a_server_that_takes_them() -> None:
    connection = at(State.READY, Connection(ignored_extensions=["CHUNKING"]))
    for chunking in (True, "eager"):
        with pytest.raises(NotSupported) as missing:
            Transaction(connection, A, [B], chunking=chunking)
        assert missing.value.extension == "CHUNKING"
        assert connection.queued == ()


def test_wishes_become_parameters_of_the_right_command() -> None:
    connection = at(State.READY)
    Transaction(
        connection,
        A,
        [B, C, D],
        parameters={"SIZE": "5", "SMTPUTF8": None},
        options=MailOptions(ret="HDRS"),
        recipient_options=[None, RecipientOptions(notify="NEVER"), RecipientOptions(original_recipient="é@d")],
    )
    assert connection.data_to_send()[:4] == [
        b"MAIL FROM:<a@example.org> SIZE=5 SMTPUTF8 RET=HDRS\r\n",
        b"RCPT TO:<b@example.org>\r\n",
        b"RCPT TO:<c@example.org> NOTIFY=NEVER\r\n",
        "RCPT TO:<d@example.org> ORCPT=utf-8;é@d\r\n".encode(),
    ]


def test_requiretls_goes_out_where_tls_is_in_force_and_verified() -> None:
    for is_verified in (False, True):
        connection = Connection()
        connection.tls_established(is_verified=is_verified)
        hear(connection, "220 hello")
        ask(connection, Ehlo("c"), "250-hello", "250 REQUIRETLS")
        if is_verified:
            Transaction(connection, A, [B], options=MailOptions(require_tls=True))
            assert connection.data_to_send() == [b"MAIL FROM:<a@example.org> REQUIRETLS\r\n"]
        else:
            with pytest.raises(SecurityError):
                Transaction(connection, A, [B], options=MailOptions(require_tls=True))


# Chunks


def test_chunks_wait_until_every_recipient_was_answered() -> None:
    connection = at(State.READY)
    transaction = Transaction(connection, A, [B, C], chunking=True)
    assert flush(connection) == ENVELOPE + b"RCPT TO:<c@example.org>\r\n"
    for line in ("250 ok", "250 ok"):
        take(transaction, connection, line)
        assert not transaction.wants_data
        assert not transaction.finished
        with pytest.raises(LocalProtocolError, match="the message cannot be written now"):
            transaction.send_data(b"text")
        with pytest.raises(LocalProtocolError, match="the message cannot be written now"):
            transaction.end_data()
    take(transaction, connection, "550 no")
    assert transaction.wants_data
    transaction.send_data(b"hello")
    assert transaction.is_ended is False
    transaction.end_data()
    assert transaction.is_ended
    assert not transaction.wants_data
    assert flush(connection) == b"BDAT 7 LAST\r\nhello\r\n"
    take(transaction, connection, "250 ok")
    assert transaction.finished
    assert words(transaction) == [Delivery.ACCEPTED, Delivery.REFUSED]
    assert transaction.receipt().octets == 7


def test_small_blocks_are_gathered_and_large_ones_are_not_copied() -> None:
    connection = at(State.READY)
    transaction = began(connection, chunking=True)
    take(transaction, connection, "250 ok", "250 ok")
    large = b"x" * (CHUNK_SIZE - 2) + b"\r\n"
    blocks = [b"a\r\n", b"b\r\n", large, large, large, b"c\r\n"]
    wire: list[bytes] = []
    for block in blocks:
        assert transaction.wants_data
        transaction.send_data(block)
        wire += connection.data_to_send()
    transaction.end_data()
    wire += connection.data_to_send()
    chunks = [piece for piece in wire if not piece.startswith(b"BDAT ")]
    assert b"".join(chunks) == b"".join(blocks)
    assert [len(chunk) for chunk in chunks] == [6 + len(large), len(large), len(large), 3]
    assert chunks[1] is chunks[2] is large
    assert transaction.receipt().octets == len(b"".join(blocks))


WAYS: list[Any] = [False, True]


def writing(*, chunking: Any) -> tuple[Connection, Transaction]:
    """A transaction of which the message may be written now."""
    connection = at(State.READY)
    transaction = began(connection, chunking=chunking)
    take(transaction, connection, "250 ok", "250 ok", *(() if chunking else ("354 go on",)))
    return connection, transaction


@pytest.mark.parametrize("chunking", WAYS)
def test_a_block_may_be_changed_once_it_was_given(chunking: bool) -> None:
    connection, transaction = writing(chunking=chunking)
    buffer = bytearray(5)
    for line in (b"one\r\n", b"two\r\n"):
        buffer[:] = line
        transaction.send_data(memoryview(buffer))
    transaction.end_data()
    assert b"one\r\ntwo\r\n" in flush(connection)
    for whole in (buffer, memoryview(buffer)):
        connection, transaction = writing(chunking=chunking)
        transaction.send_whole(whole)
        assert b"two\r\n" in flush(connection)


@pytest.mark.parametrize("chunking", WAYS)
@pytest.mark.parametrize("value", ["text\r\n", None, 5, [b"text\r\n"]])
def test_what_is_no_octets_is_refused_at_once_and_changes_nothing(value: Any, chunking: bool) -> None:
    connection, transaction = writing(chunking=chunking)
    for write in (transaction.send_data, transaction.send_whole):
        with pytest.raises(ValueError, match=f"to be bytes, got a value of the type {type(value).__name__}"):
            write(value)
    assert flush(connection) == b""
    transaction.send_data(b"hello\r\n")
    transaction.end_data()
    assert b"hello\r\n" in flush(connection)
    assert transaction.receipt().octets == 7


def test_what_was_mended_is_not_mended_again() -> None:
    blocks: list[bytes] = [MailText(b"a\r\n"), MailText(b"b\r\n"), MailText(b"c\r\n")]
    for mended, sizes in ((blocks, (100, 1)), ([*blocks[:2], b"c\r\n"], (100,))):
        for size in sizes:
            connection = at(State.READY)
            transaction = began(connection, chunking=True, chunk_size=size)
            take(transaction, connection, "250 ok", "250 ok")
            wire: list[bytes] = []
            for block in mended:
                transaction.send_data(block)
                wire += connection.data_to_send()
            transaction.end_data()
            chunks = [piece for piece in (*wire, *connection.data_to_send()) if not piece.startswith(b"BDAT ")]
            assert b"".join(chunks) == b"a\r\nb\r\nc\r\n"
            assert all(type(chunk) is MailText for chunk in chunks) == (mended is blocks)


def test_a_message_is_not_gathered_in_memory_while_the_window_is_full() -> None:
    connection = at(State.READY, Connection(window=Window(commands=2, octets=4096)))
    transaction = began(connection, chunking=True, chunk_size=1)
    take(transaction, connection, "250 ok", "250 ok")
    written = 0
    while transaction.wants_data:
        transaction.send_data(b"text\r\n")
        written += 1
        connection.data_to_send()
    assert written == 4  # two in flight, one queued, one at hand
    take(transaction, connection, "250 ok", "250 ok")
    assert transaction.wants_data


def test_a_line_end_cut_in_two_is_in_one_chunk() -> None:
    connection = at(State.READY)
    transaction = began(connection, chunking=True, chunk_size=1)
    take(transaction, connection, "250 ok", "250 ok")
    wire = b""
    for block in (b"\r", b"\na", b"b"):
        assert transaction.wants_data
        transaction.send_data(block)
        wire += flush(connection)
    transaction.end_data()
    assert wire + flush(connection) == b"BDAT 3\r\n\r\naBDAT 3 LAST\r\nb\r\n"


def test_without_a_message_the_last_chunk_is_empty() -> None:
    connection = at(State.READY)
    transaction = began(connection, chunking=True)
    take(transaction, connection, "250 ok", "250 ok")
    transaction.end_data()
    assert flush(connection) == b"BDAT 0 LAST\r\n"


def test_where_nobody_was_accepted_no_chunk_goes_out() -> None:
    connection = at(State.READY)
    transaction = began(connection, 2, chunking=True)
    take(transaction, connection, "250 ok", "550 no", "452 no")
    assert not transaction.wants_data
    assert [str(command) for command in connection.in_flight] == ["RSET"]
    take(transaction, connection, "250 ok")
    assert transaction.finished
    assert transaction.receipt().delivery is Delivery.REFUSED


@pytest.mark.parametrize("refused", range(1, 5))
@pytest.mark.parametrize("window", [LOCKSTEP, Window(commands=100, octets=4096)], ids=["lockstep", "wide"])
def test_a_refused_chunk_ends_the_message_and_never_leads_to_data(refused: int, window: Window) -> None:
    connection = at(State.READY, Connection(window=window))
    transaction = Transaction(connection, A, [B], chunking=True, chunk_size=1)
    wire = b""
    asked: list[bytes] = []
    number, chunks = 0, 0
    while not transaction.finished:
        while transaction.wants_data and number < 6:
            transaction.send_data(b"text\r\n")
            number += 1
            if number == 6:
                transaction.end_data()
        leaving = connection.data_to_send()
        wire += b"".join(leaving)
        asked += [line for line in leaving if line != b"text\r\n"]
        line = asked.pop(0)
        chunks += line.startswith(b"BDAT")
        said = "250 ok"
        if line.startswith(b"BDAT") and chunks >= refused:
            said = "552 big" if chunks == refused else "503 no"
        for event in hear(connection, said):
            assert isinstance(event, ReplyReceived)
            transaction.receive(event)
    assert wire.endswith(b"RSET\r\n")
    assert b"DATA\r\n" not in wire.replace(b"BDAT", b"")
    assert wire.count(b"BDAT") >= refused
    if window is LOCKSTEP:
        assert wire.count(b"BDAT") == refused
    assert transaction.data_refusal == reply(552, b"big")
    assert transaction.receipt().reply == reply(552, b"big")
    assert words(transaction) == [Delivery.REFUSED]
    assert not transaction.must_close
    assert connection.state is State.READY


@pytest.mark.parametrize("code", [500, 501, 502, 504])
@pytest.mark.parametrize("last", [False, True])
def test_a_server_that_does_not_know_bdat_after_all_is_left(code: int, last: bool) -> None:
    # It may take the chunk for commands: whatever it says next answers nothing that was asked.
    connection = at(State.READY)
    transaction = began(connection, chunking=True, chunk_size=1)
    take(transaction, connection, "250 ok", "250 ok")
    transaction.send_data(b"RSET\r\n")
    transaction.send_data(b"QUIT\r\n")
    if last:
        transaction.end_data()
        flush(connection)
        take(transaction, connection, "250 ok")
    flush(connection)
    take(transaction, connection, f"{code} what?")
    assert transaction.must_close
    assert transaction.finished
    assert connection.state is State.CLOSED
    assert words(transaction) == [Delivery.REFUSED]
    with pytest.raises(LocalProtocolError, match="the message cannot be written now"):
        transaction.send_data(b"more")


def test_a_message_taken_behind_a_refused_chunk_is_in_doubt() -> None:
    connection = at(State.READY)
    transaction = began(connection, 2, chunking=True, chunk_size=1)
    take(transaction, connection, "250 ok", "250 ok", "550 no")
    transaction.send_data(b"a")
    transaction.send_data(b"b")
    flush(connection)
    transaction.end_data()
    flush(connection)
    take(transaction, connection, "552 no")
    assert words(transaction) == [Delivery.REFUSED, Delivery.REFUSED]
    take(transaction, connection, "250 ok")
    assert words(transaction) == [Delivery.UNKNOWN, Delivery.REFUSED]
    assert transaction.receipt().delivery is Delivery.UNKNOWN
    assert transaction.must_close


def test_a_nul_ends_the_attempt_with_nothing_sent() -> None:
    connection = at(State.READY)
    transaction = began(connection, chunking=True)
    take(transaction, connection, "250 ok", "250 ok")
    transaction.send_data(b"a\0b")
    with pytest.raises(ValueError, match="NUL"):
        transaction.end_data()
    assert flush(connection) == b""
    assert words(transaction) == [Delivery.NOT_SENT]


# Eager


def test_an_eager_message_leaves_with_its_envelope() -> None:
    connection = at(State.READY)
    transaction = Transaction(connection, A, [B], chunking="eager")
    assert transaction.wants_data
    transaction.send_data(b"hello\r\n")
    transaction.end_data()
    assert transaction.receipt().delivery is Delivery.NOT_SENT
    assert flush(connection) == ENVELOPE + b"BDAT 7 LAST\r\nhello\r\n"
    assert words(transaction) == [Delivery.UNKNOWN]
    take(transaction, connection, "250 ok", "250 ok")
    assert not transaction.wants_data
    assert not transaction.finished
    take(transaction, connection, "250 ok")
    assert transaction.finished
    assert words(transaction) == [Delivery.ACCEPTED]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["550 no"], [Delivery.REFUSED, Delivery.REFUSED]),
        (["550 no", "503 no", "503 no", "503 no", "250 ok"], [Delivery.REFUSED, Delivery.REFUSED]),
        (["250 ok", "550 no"], [Delivery.REFUSED, Delivery.UNKNOWN]),
        (["250 ok", "550 no", "452 no", "554 no", "250 ok"], [Delivery.REFUSED, Delivery.REFUSED]),
        (["250 ok", "250 ok", "550 no", "250 ok"], [Delivery.ACCEPTED, Delivery.REFUSED]),
        (["250 ok", "250 ok", "250 ok", "552 no", "250 ok"], [Delivery.REFUSED, Delivery.REFUSED]),
        # It refused the sender and accepted a recipient: what it does with the message, nobody knows.
        (["550 no", "250 ok", "503 no"], [Delivery.UNKNOWN, Delivery.REFUSED]),
        (["550 no", "250 ok", "503 no", "250 ok"], [Delivery.UNKNOWN, Delivery.REFUSED]),
        (["550 no", "250 ok", "503 no", "503 no", "250 ok"], [Delivery.REFUSED, Delivery.REFUSED]),
    ],
)
def test_an_eager_message_may_have_been_sent_in_vain(answers: list[str], expected: list[Delivery]) -> None:
    connection = at(State.READY)
    transaction = Transaction(connection, A, [B, C], chunking="eager")
    transaction.send_data(b"hello\r\n")
    transaction.end_data()
    flush(connection)
    take(transaction, connection, *answers)
    assert words(transaction) == expected


def test_an_eager_message_is_not_written_on_when_the_sender_or_every_recipient_is_refused() -> None:
    for answers in (["550 no"], ["250 ok", "550 no"]):
        connection = at(State.READY, Connection(window=LOCKSTEP))
        transaction = Transaction(connection, A, [B], chunking="eager")
        transaction.send_data(b"hello\r\n")
        flush(connection)
        take(transaction, connection, *answers)
        assert not transaction.wants_data
        with pytest.raises(LocalProtocolError):
            transaction.end_data()
        assert words(transaction) == [Delivery.REFUSED]


def test_an_eager_message_that_has_not_left_is_called_back() -> None:
    connection = at(State.READY, Connection(window=LOCKSTEP))
    transaction = Transaction(connection, A, [B], chunking="eager")
    transaction.send_data(b"hello\r\n")
    transaction.end_data()
    wire = flush(connection)
    take(transaction, connection, "250 ok")
    for event in hear(connection, "550 no"):
        assert isinstance(event, ReplyReceived)
        transaction.receive(event)
        wire += flush(connection)
    assert b"BDAT" not in wire
    assert wire.endswith(b"RSET\r\n")
    take(transaction, connection, "250 ok")
    assert transaction.finished
    assert words(transaction) == [Delivery.REFUSED]


# All or nothing


@pytest.mark.parametrize("chunking", [False, True])
def test_all_or_nothing_waits_for_every_recipient(chunking: bool) -> None:
    connection = at(State.READY)
    transaction = Transaction(connection, A, [B, C], on_refused="abort", chunking=chunking)
    assert flush(connection) == ENVELOPE + b"RCPT TO:<c@example.org>\r\n"
    take(transaction, connection, "250 ok", "250 ok")
    assert connection.queued == ()
    for event in hear(connection, "250 ok"):
        assert isinstance(event, ReplyReceived)
        transaction.receive(event)
    assert flush(connection) == (b"" if chunking else b"DATA\r\n")
    if not chunking:
        take(transaction, connection, "354 go")
    transaction.send_data(b"hello")
    transaction.end_data()
    flush(connection)
    take(transaction, connection, "250 ok")
    assert words(transaction) == [Delivery.ACCEPTED, Delivery.ACCEPTED]


@pytest.mark.parametrize("chunking", [False, True])
@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["550 no", "250 ok"], [Delivery.REFUSED, Delivery.NOT_SENT]),
        (["250 ok", "450 no"], [Delivery.NOT_SENT, Delivery.REFUSED]),
        (["550 no", "450 no"], [Delivery.REFUSED, Delivery.REFUSED]),
    ],
)
def test_all_or_nothing_sends_nothing_if_one_is_refused(
    chunking: bool, answers: list[str], expected: list[Delivery]
) -> None:
    connection = at(State.READY)
    transaction = began(connection, 2, on_refused="abort", chunking=chunking)
    take(transaction, connection, "250 ok", *answers)
    assert [str(command) for command in connection.in_flight] == ["RSET"]
    assert not transaction.wants_data
    assert transaction.recipients_refusal is not None
    assert transaction.recipients_refusal.code == (450 if "450 no" in answers else 550)
    take(transaction, connection, "250 ok")
    assert transaction.finished
    assert transaction.receipt().delivery is Delivery.REFUSED
    assert transaction.receipt().reply is None
    assert words(transaction) == expected


def test_all_or_nothing_is_nothing_as_soon_as_one_is_refused() -> None:
    connection = at(State.READY)
    transaction = began(connection, 2, on_refused="abort")
    take(transaction, connection, "250 ok")
    assert transaction.receipt().delivery is Delivery.NOT_SENT
    take(transaction, connection, "550 no")
    assert transaction.receipt().delivery is Delivery.REFUSED
    assert transaction.recipients_refusal is None  # the other one may say more


# RSET


def test_a_recipient_accepted_behind_a_refused_mail_is_left_with_rset() -> None:
    connection = at(State.READY)
    transaction = began(connection, 2)
    take(transaction, connection, "550 no", "250 ok", "503 no", "503 no")
    assert [str(command) for command in connection.in_flight] == ["RSET"]
    take(transaction, connection, "250 ok")
    assert transaction.finished
    assert not transaction.must_close
    assert words(transaction) == [Delivery.REFUSED, Delivery.REFUSED]


# LMTP


def lmtp(recipients: int, **how: Any) -> tuple[Connection, Transaction]:
    connection = at(State.READY, Connection(lmtp=True))
    return connection, began(connection, recipients, **how)


def finals(transaction: Transaction) -> list[Reply | None]:
    return [entry.final_reply for entry in transaction.receipt().recipients]


@pytest.mark.parametrize("chunking", [False, True])
def test_in_lmtp_each_recipient_has_a_word_of_its_own(chunking: bool) -> None:
    connection = at(State.READY, Connection(lmtp=True))
    transaction = Transaction(connection, A, [B, C, B, D], chunking=chunking)
    flush(connection)
    take(transaction, connection, "250 ok", "250 ok", "550 no", "250 ok", "250 ok")
    if not chunking:
        take(transaction, connection, "354 go")
    transaction.send_data(b"hello")
    transaction.end_data()
    flush(connection)
    doubt = [Delivery.UNKNOWN, Delivery.REFUSED, Delivery.UNKNOWN, Delivery.UNKNOWN]
    assert words(transaction) == doubt
    take(transaction, connection, "250 first")
    assert words(transaction) == [Delivery.ACCEPTED, *doubt[1:]]
    assert not transaction.finished
    take(transaction, connection, "452 full")
    assert words(transaction) == [Delivery.ACCEPTED, Delivery.REFUSED, Delivery.REFUSED, Delivery.UNKNOWN]
    assert transaction.receipt().delivery is Delivery.UNKNOWN
    connection.receive_eof()
    with pytest.raises(MailwireError):
        connection.next_event()
    assert words(transaction) == [Delivery.ACCEPTED, Delivery.REFUSED, Delivery.REFUSED, Delivery.UNKNOWN]
    assert finals(transaction) == [reply(250, b"first"), None, reply(452, b"full"), None]


def test_in_lmtp_the_message_is_refused_if_all_who_were_left_are() -> None:
    connection, transaction = lmtp(3)
    take(transaction, connection, "250 ok", "250 ok", "550 no", "250 ok", "354 go")
    transaction.end_data()
    flush(connection)
    take(transaction, connection, "552 a")
    assert transaction.data_refusal is None
    take(transaction, connection, "452 b")
    assert transaction.finished
    assert transaction.data_refusal == reply(452, b"b")
    assert transaction.receipt().delivery is Delivery.REFUSED


def test_in_lmtp_the_only_recipient_s_refusal_is_that_of_the_message() -> None:
    connection, transaction = lmtp(1)
    take(transaction, connection, "250 ok", "250 ok", "354 go")
    transaction.end_data()
    flush(connection)
    take(transaction, connection, "552 no")
    assert transaction.data_refusal == reply(552, b"no")


FIRST, SECOND = reply(250, b"first"), reply(250, b"second")
FULL, LATER, BYE = reply(552, b"full"), reply(452, b"later"), reply(421, b"bye")


@pytest.mark.parametrize(
    ("verdicts", "word", "decisive"),
    [
        ([FIRST, FULL], Delivery.ACCEPTED, FIRST),
        ([FULL, SECOND], Delivery.ACCEPTED, SECOND),
        ([FIRST, SECOND], Delivery.ACCEPTED, SECOND),
        ([FULL, LATER], Delivery.REFUSED, LATER),
        ([], Delivery.UNKNOWN, None),
        ([FIRST], Delivery.UNKNOWN, None),
        ([FULL], Delivery.UNKNOWN, None),
        ([BYE], Delivery.UNKNOWN, BYE),
        ([FIRST, BYE], Delivery.UNKNOWN, BYE),
    ],
)
def test_in_lmtp_the_reply_of_the_whole_means_its_word(
    verdicts: list[Reply], word: Delivery, decisive: Reply | None
) -> None:
    connection, transaction = lmtp(3)
    take(transaction, connection, "250 ok", "250 ok", "550 no", "250 ok", "354 go")
    transaction.send_data(b"hello")
    transaction.end_data()
    flush(connection)
    take(transaction, connection, *map(str, verdicts))
    receipt = transaction.receipt()
    assert (receipt.delivery, receipt.reply) == (word, decisive)


def test_in_lmtp_no_lone_dot_is_sent_for_it_has_no_reply() -> None:
    connection, transaction = lmtp(1)
    take(transaction, connection, "250 ok", "550 no", "354 go")
    assert transaction.must_close
    assert flush(connection) == b""
    assert words(transaction) == [Delivery.REFUSED]


def test_in_lmtp_421_for_one_leaves_the_rest_in_doubt() -> None:
    connection, transaction = lmtp(3)
    take(transaction, connection, "250 ok", "250 ok", "250 ok", "250 ok", "354 go")
    transaction.end_data()
    flush(connection)
    take(transaction, connection, "250 ok", "421 bye")
    assert transaction.finished
    assert words(transaction) == [Delivery.ACCEPTED, Delivery.UNKNOWN, Delivery.UNKNOWN]


def test_in_lmtp_a_verdict_before_the_end_is_for_all() -> None:
    connection, transaction = lmtp(2)
    take(transaction, connection, "250 ok", "250 ok", "250 ok", "354 go")
    transaction.send_data(b"hello")
    flush(connection)
    take(transaction, connection, "552 big")
    assert words(transaction) == [Delivery.REFUSED, Delivery.REFUSED]
    assert transaction.data_refusal == reply(552, b"big")


@pytest.mark.parametrize("takes_groups", [False, True])
@pytest.mark.parametrize("chunking", [True, "eager"])
@pytest.mark.parametrize("refusals", [["550 no", "503 no", "503 no"], ["250 ok", "550 no", "550 no"]])
def test_in_lmtp_no_chunk_leaves_before_somebody_is_accepted(
    refusals: list[str], chunking: bool, takes_groups: bool
) -> None:
    connection = at(State.READY, Connection(lmtp=True, groups=takes_groups))
    transaction = began(connection, 2, chunking=chunking)
    for refusal in refusals:
        assert not transaction.wants_data
        with pytest.raises(LocalProtocolError):
            transaction.end_data()
        take(transaction, connection, refusal)
    assert not transaction.wants_data
    assert not transaction.must_close
    if connection.awaited is not None:
        assert isinstance(connection.awaited, Rset)
        take(transaction, connection, "250 reset")
    assert words(transaction) == [Delivery.REFUSED, Delivery.REFUSED]
    # The server's next words are to the next mail.
    behind = began(connection, 3, chunking=chunking)
    take(behind, connection, "250 ok", "250 ok", "550 no", "250 ok")
    assert behind.wants_data
    behind.send_whole(b"hello\r\n")
    assert flush(connection) == b"BDAT 7 LAST\r\nhello\r\n"
    take(behind, connection, "452 full", "250 taken")
    assert behind.finished
    assert words(behind) == [Delivery.REFUSED, Delivery.REFUSED, Delivery.ACCEPTED]


def test_in_lmtp_an_eager_transaction_waits_though_it_names_its_recipients_one_by_one() -> None:
    connection = at(State.READY, Connection(lmtp=True, window=LOCKSTEP))
    transaction = began(connection, 2, chunking="eager", recipient_options=[RecipientOptions(), None])
    for line in ("250 ok", "250 ok"):
        assert not transaction.wants_data
        take(transaction, connection, line)
    assert not transaction.wants_data
    take(transaction, connection, "550 no")
    assert transaction.wants_data


def test_in_lmtp_a_refused_chunk_with_the_last_on_its_way_ends_the_connection() -> None:
    for ended in (False, True):
        connection, transaction = lmtp(2, chunking=True, chunk_size=1)
        take(transaction, connection, "250 ok", "250 ok", "250 ok")
        transaction.send_data(b"a")
        transaction.send_data(b"b")
        flush(connection)
        if ended:
            transaction.end_data()
            flush(connection)
        take(transaction, connection, "552 no")
        assert transaction.must_close == ended
        assert words(transaction) == [Delivery.REFUSED, Delivery.REFUSED]


# One behind the other


def ended(connection: Connection, **how: Any) -> Transaction:
    """A transaction whose message is on its way to its end."""
    transaction = began(connection, **how)
    take(transaction, connection, "250 ok", "250 ok", *([] if how.get("chunking") else ["354 go"]))
    transaction.send_data(b"hello\r\n")
    transaction.end_data()
    return transaction


def test_a_transaction_begins_behind_the_last_dot_of_another() -> None:
    connection = at(State.READY)
    first = ended(connection)
    second = Transaction(connection, A, [C], behind=first)
    assert flush(connection) == b"hello\r\n.\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<c@example.org>\r\nDATA\r\n"
    take([first, second], connection, "250 taken", "250 ok", "250 ok")
    assert first.finished
    assert words(first) == [Delivery.ACCEPTED]
    assert words(second) == [Delivery.NOT_SENT]
    take([first, second], connection, "354 go")
    assert second.wants_data
    second.send_data(b"longer than the first\r\n")
    second.end_data()
    flush(connection)
    assert first.receipt().octets == 7
    take([first, second], connection, "554 no")
    assert words(first) == [Delivery.ACCEPTED]
    assert words(second) == [Delivery.REFUSED]


def test_behind_chunks_a_transaction_begins_with_rset() -> None:
    connection = at(State.READY)
    first = ended(connection, chunking=True)
    second = Transaction(connection, A, [C], behind=first)
    assert flush(connection).endswith(
        b"hello\r\nRSET\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<c@example.org>\r\nDATA\r\n"
    )
    take([first, second], connection, "552 no", "250 ok", "250 ok", "250 ok", "354 go")
    assert first.finished
    assert words(first) == [Delivery.REFUSED]
    assert second.wants_data


def test_eager_messages_go_out_several_deep_and_each_is_in_doubt() -> None:
    connection = at(State.READY)
    transactions: list[Transaction] = []
    for recipient in (B, C, D):
        behind = transactions[-1] if transactions else None
        transactions.append(Transaction(connection, A, [recipient], chunking="eager", behind=behind))
        transactions[-1].send_data(b"hello\r\n")
        transactions[-1].end_data()
    wire = flush(connection)
    assert wire.count(b"BDAT 7 LAST\r\nhello\r\n") == 3
    assert wire.count(b"RSET\r\n") == 2
    take(transactions, connection, "250 ok", "250 ok", "250 taken")
    take(transactions, connection, "250 reset", "550 no", "503 no", "503 no")
    take(transactions, connection, "250 reset", "250 ok")
    assert [words(transaction)[0] for transaction in transactions] == [
        Delivery.ACCEPTED,
        Delivery.REFUSED,
        Delivery.UNKNOWN,
    ]
    connection.receive_eof()
    with pytest.raises(MailwireError):
        connection.next_event()
    assert [words(transaction)[0] for transaction in transactions] == [
        Delivery.ACCEPTED,
        Delivery.REFUSED,
        Delivery.UNKNOWN,
    ]


def test_a_refused_rset_between_two_ends_the_connection() -> None:
    connection = at(State.READY)
    first = ended(connection, chunking=True)
    second = Transaction(connection, A, [C], behind=first)
    flush(connection)
    take([first, second], connection, "552 no", "451 no")
    assert second.must_close
    assert connection.state is State.CLOSED
    assert words(second) == [Delivery.NOT_SENT]
    assert words(first) == [Delivery.REFUSED]


def test_a_transaction_begins_behind_nothing_but_an_end() -> None:
    connection = at(State.READY)
    first = began(connection)
    take(first, connection, "250 ok", "250 ok", "354 go")
    told = "^no mail transaction can begin behind one that is not ended, or not the last$"
    with pytest.raises(LocalProtocolError, match=told):
        Transaction(connection, A, [C], behind=first)
    first.end_data()
    connection.send(Mail(A))
    with pytest.raises(LocalProtocolError, match=told):
        Transaction(connection, A, [C], behind=first)


def test_a_transaction_begins_behind_another_on_the_same_connection_only() -> None:
    first = ended(at(State.READY))
    with pytest.raises(LocalProtocolError, match=r"^no mail transaction can begin behind one of another connection$"):
        Transaction(at(State.READY), A, [C], behind=first)


def test_replies_to_others_are_left_to_them() -> None:
    connection = at(State.READY)
    first = ended(connection)
    second = Transaction(connection, A, [C], behind=first)
    flush(connection)
    [event] = hear(connection, "250 ok")
    assert isinstance(event, ReplyReceived)
    assert not second.receive(event)
    assert first.receive(event)
    assert not first.receive(event)
    assert not second.receive(ReplyReceived(Noop(), reply(250), is_early=True))
