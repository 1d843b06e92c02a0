from collections.abc import Sequence
from typing import Literal

import pytest

from mailwire.errors import LocalProtocolError
from mailwire.smtp import (
    LOCKSTEP,
    PIPELINING_WINDOW,
    Command,
    Connection,
    Data,
    Delivery,
    Ehlo,
    Event,
    GroupsAnswered,
    Mail,
    Mailbox,
    Noop,
    Quit,
    Rcpt,
    ReplyReceived,
    Rset,
    State,
    Transaction,
)
from tests.smtp.sessions import A, B, C, D, at, hear

RSET = b"RSET\r\n"
# In groups where the server pipelines; one command of many; one at a time.
WAYS = {"groups": (PIPELINING_WINDOW, True), "wide": (PIPELINING_WINDOW, False), "lockstep": (LOCKSTEP, False)}
ways = pytest.mark.parametrize("way", WAYS)
pipelining = pytest.mark.parametrize("way", ["groups", "wide"])


def ready(way: str) -> Connection:
    window, groups = WAYS[way]
    return at(State.READY, Connection(window=window, groups=groups))


def flush(connection: Connection) -> bytes:
    return b"".join(connection.data_to_send())


def take(connection: Connection, transactions: Transaction | Sequence[Transaction], *lines: str) -> bytes:
    """Let the server say `lines`, each when the one before was heard; return what left behind them."""
    left = b""
    given = [transactions] if isinstance(transactions, Transaction) else transactions
    for line in lines:
        for event in hear(connection, line):
            tell(given, event)
        left += flush(connection)
    return left


def tell(transactions: Sequence[Transaction], event: Event) -> None:
    assert isinstance(event, ReplyReceived | GroupsAnswered)
    for transaction in transactions:
        if transaction.receive(event) and isinstance(event, ReplyReceived):
            break


def is_over(transaction: Transaction, word: Delivery = Delivery.NOT_SENT) -> bool:
    return transaction.finished and not transaction.wants_data and transaction.receipt().delivery is word


def goes_on(connection: Connection) -> None:
    """Another mail goes out over the connection as if there had been none."""
    transaction = Transaction(connection, A, [D])
    flush(connection)
    take(connection, transaction, "250 mail", "250 d", "354 go")
    transaction.send_whole(b"hello\r\n")
    flush(connection)
    take(connection, transaction, "250 taken")
    assert is_over(transaction, Delivery.ACCEPTED)
    assert connection.state is State.READY


# Discarding


@ways
@pytest.mark.parametrize("chunking", [False, True, "eager"])
def test_what_is_discarded_before_anything_left_is_over(way: str, chunking: bool) -> None:
    connection = ready(way)
    transaction = Transaction(connection, A, [B, C], chunking=chunking)
    connection.discard_queued()
    assert is_over(transaction)
    assert flush(connection) == b""
    goes_on(connection)


def test_what_is_discarded_in_the_middle_of_an_envelope_says_rset_when_that_is_answered() -> None:
    connection = ready("lockstep")
    transaction = Transaction(connection, A, [B, C])
    flush(connection)
    assert connection.discard_queued() == (Rcpt(B), Rcpt(C), Data())
    assert not transaction.finished
    assert take(connection, transaction, "250 mail") == RSET
    take(connection, transaction, "250 reset")
    assert is_over(transaction)
    goes_on(connection)


def test_what_is_discarded_with_nothing_on_its_way_says_rset_at_once() -> None:
    connection = ready("lockstep")
    transaction = Transaction(connection, A, [B, C])
    flush(connection)
    for event in hear(connection, "250 mail"):
        tell([transaction], event)
    connection.discard_queued()
    assert flush(connection) == RSET
    take(connection, transaction, "250 reset")
    assert is_over(transaction)
    goes_on(connection)


def test_data_alone_that_is_discarded_leaves_nobody_waiting() -> None:
    connection = ready("lockstep")
    transaction = Transaction(connection, A, [B])
    flush(connection)
    assert connection.discard_queued([connection.queued[-1]]) == (Data(),)
    assert take(connection, transaction, "250 mail", "250 b") == b"RCPT TO:<b@example.org>\r\n" + RSET
    take(connection, transaction, "250 reset")
    assert is_over(transaction)


@pytest.mark.parametrize("chunking", [True, "eager"])
def test_no_chunk_follows_one_that_was_discarded(chunking: bool) -> None:
    connection = ready("wide")
    transaction = Transaction(connection, A, [B], chunking=chunking, chunk_size=1)
    flush(connection)
    take(connection, transaction, "250 mail", "250 b")
    for block in (b"one\r\n", b"two\r\n"):
        transaction.send_data(block)
    assert flush(connection) == b"BDAT 5\r\none\r\n"
    transaction.send_data(b"three\r\n")
    assert [str(command) for command in connection.discard_queued()] == ["BDAT 5"]
    assert not transaction.wants_data
    with pytest.raises(LocalProtocolError, match="cannot be written now"):
        transaction.end_data()
    assert take(connection, transaction, "250 one") == RSET
    take(connection, transaction, "250 reset")
    assert is_over(transaction)
    goes_on(connection)


@pipelining
def test_a_last_chunk_that_is_discarded_is_none(way: str) -> None:
    connection = ready(way)
    transaction = Transaction(connection, A, [B], chunking=True)
    flush(connection)
    take(connection, transaction, "250 mail", "250 b")
    transaction.send_whole(b"hello\r\n")
    connection.discard_queued()
    assert flush(connection) == RSET
    take(connection, transaction, "250 reset")
    assert is_over(transaction)
    goes_on(connection)


@pipelining
def test_mails_in_a_row_that_are_discarded_are_over(way: str) -> None:
    connection = ready(way)
    first = Transaction(connection, A, [B])
    flush(connection)
    take(connection, first, "250 mail", "250 b", "354 go")
    first.send_whole(b"hello\r\n")
    flush(connection)
    second = Transaction(connection, A, [C], behind=first, chunking="eager")
    second.send_whole(b"hello\r\n")
    third = Transaction(connection, A, [D], behind=second, chunking="eager")
    connection.discard_queued()
    assert is_over(second)
    assert is_over(third)
    assert not first.finished
    assert flush(connection) == b""
    take(connection, [first, second, third], "250 taken")
    assert is_over(first, Delivery.ACCEPTED)
    goes_on(connection)


@pipelining
def test_the_end_of_a_message_is_not_discarded(way: str) -> None:
    connection = ready(way)
    transaction = Transaction(connection, A, [B])
    flush(connection)
    take(connection, transaction, "250 mail", "250 b", "354 go")
    transaction.send_whole(b"hello\r\n")
    assert connection.discard_queued() == ()
    assert flush(connection) == b"hello\r\n.\r\n"
    take(connection, transaction, "250 taken")
    assert is_over(transaction, Delivery.ACCEPTED)


@ways
def test_what_is_discarded_of_somebody_elses_changes_nothing(way: str) -> None:
    connection = ready(way)
    transaction = Transaction(connection, A, [B], chunking=True)
    noop = Noop()
    connection.send(noop)
    assert connection.discard_queued([noop]) == (noop,)
    assert not transaction.finished
    flush(connection)
    take(connection, transaction, "250 mail", "250 b")
    assert transaction.wants_data
    transaction.send_whole(b"hello\r\n")
    flush(connection)
    take(connection, transaction, "250 taken")
    assert is_over(transaction, Delivery.ACCEPTED)


def test_a_reset_that_is_discarded_is_not_awaited() -> None:
    connection = ready("lockstep")
    transaction = Transaction(connection, A, [B])
    flush(connection)
    take(connection, transaction, "250 mail")
    for event in hear(connection, "550 b"):
        tell([transaction], event)
    assert not transaction.finished
    assert connection.discard_queued() == (Rset(is_afterwards=True),)
    assert is_over(transaction, Delivery.REFUSED)
    assert connection.state is State.TRANSACTION


def test_behind_what_was_discarded_recipients_are_named_by_hand() -> None:
    connection = ready("lockstep")
    transaction = Transaction(connection, A, [B, C])
    flush(connection)
    connection.discard_queued()
    connection.send(Rcpt(D))
    assert take(connection, transaction, "250 mail", "250 d") == b"RCPT TO:<d@example.org>\r\n"
    assert is_over(transaction)
    assert connection.state is State.TRANSACTION


def test_behind_a_reset_of_its_own_another_mail_is_begun_by_hand() -> None:
    connection = ready("wide")
    transaction = Transaction(connection, A, [B], on_refused="abort")
    flush(connection)
    assert take(connection, transaction, "250 mail", "550 b") == RSET
    assert not transaction.finished
    connection.send(Mail(A))
    connection.send(Rcpt(D))
    assert flush(connection) == b"MAIL FROM:<a@example.org>\r\nRCPT TO:<d@example.org>\r\n"
    take(connection, transaction, "250 reset")
    assert is_over(transaction, Delivery.REFUSED)


def test_whoever_was_told_of_no_answers_is_forgotten_when_the_next_mail_begins() -> None:
    connection = ready("lockstep")
    Transaction(connection, A, [B])
    flush(connection)
    for line in ("250 mail", "550 b", "554 no"):
        hear(connection, line)
        flush(connection)
    connection.send(Rset())
    flush(connection)
    hear(connection, "250 reset")
    Transaction(connection, A, [C])
    assert len(connection.begun) == 1


# In a row


@pytest.mark.parametrize("wish", ["abort", "chunks"])
def test_a_verdict_that_comes_together_with_the_next_envelope_says_no_rset(wish: str) -> None:
    connection = ready("groups")
    first = Transaction(connection, A, [B])
    flush(connection)
    take(connection, first, "250 mail", "250 b", "354 go")
    first.send_whole(b"hello\r\n")
    on_refused: Literal["send", "abort"] = "abort" if wish == "abort" else "send"
    second = Transaction(connection, A, [C], on_refused=on_refused, chunking=wish == "chunks", behind=first)
    flush(connection)
    [event] = hear(connection, "250 taken", "250 mail", "250 c")
    assert isinstance(event, GroupsAnswered)
    assert len(event.groups) == 2
    assert first.receive(event)
    assert second.receive(event)
    assert is_over(first, Delivery.ACCEPTED)
    assert flush(connection) == (b"DATA\r\n" if wish == "abort" else b"")
    assert len(connection.begun) == 1


# Ended by hand


ENDS: tuple[Command[object], ...] = (Rset(), Ehlo("client.example.org"), Quit())


@ways
@pytest.mark.parametrize("end", ENDS, ids=str)
@pytest.mark.parametrize(("wish", "when"), [("abort", 0), ("abort", 1), ("chunks", 0), ("chunks", 1), ("chunks", 2)])
def test_what_ends_a_mail_by_hand_ends_its_transaction(way: str, end: Command[object], when: int, wish: str) -> None:
    connection = ready(way)
    on_refused: Literal["send", "abort"] = "abort" if wish == "abort" else "send"
    transaction = Transaction(connection, A, [B], on_refused=on_refused, chunking=wish == "chunks")
    replies = ["250 mail", "250 b"]
    flush(connection)
    take(connection, transaction, *replies[:when])
    connection.send(end)
    assert not transaction.wants_data
    left = flush(connection)
    left += take(connection, transaction, *replies[when:])
    assert left.endswith(end.encode())
    assert b"DATA" not in left
    assert is_over(transaction)
    [event] = hear(connection, "221 bye" if isinstance(end, Quit) else "250 ok")
    assert isinstance(event, ReplyReceived)
    assert event.command is end
    assert not transaction.receive(event)
    assert flush(connection) == b""
    if not isinstance(end, Quit):
        goes_on(connection)


@pytest.mark.parametrize("wish", ["abort", "chunks"])
def test_an_envelope_that_is_answered_together_leads_nowhere_behind_the_end_by_hand(wish: str) -> None:
    connection = ready("groups")
    on_refused: Literal["send", "abort"] = "abort" if wish == "abort" else "send"
    transaction = Transaction(connection, A, [B], on_refused=on_refused, chunking=wish == "chunks")
    flush(connection)
    connection.send(Rset())
    assert flush(connection) == RSET
    events = hear(connection, "250 mail", "250 b")
    assert [type(event) for event in events] == [GroupsAnswered]
    tell([transaction], events[0])
    assert is_over(transaction)
    assert len(connection.begun) == 0
    hear(connection, "250 reset")
    goes_on(connection)


@pipelining
def test_thousands_are_not_named_behind_the_end_by_hand(way: str) -> None:
    connection = ready(way)
    transaction = Transaction(connection, A, [Mailbox(f"r{place}", "example.org") for place in range(2500)])
    flush(connection)
    take(connection, transaction, "250 mail")
    connection.send(Rset())
    left = b""
    for _ in range(1000):
        left += take(connection, transaction, "250 r")
    assert left.endswith(RSET)
    assert is_over(transaction)


def test_an_eager_message_is_over_behind_the_end_by_hand() -> None:
    connection = ready("wide")
    transaction = Transaction(connection, A, [B], chunking="eager")
    flush(connection)
    assert transaction.wants_data
    connection.send(Rset())
    assert not transaction.wants_data
    assert flush(connection) == RSET
    take(connection, transaction, "250 mail", "250 b")
    assert is_over(transaction)


@ways
def test_behind_the_end_of_a_message_anything_is_said_by_hand(way: str) -> None:
    connection = ready(way)
    transaction = Transaction(connection, A, [B])
    flush(connection)
    take(connection, transaction, "250 mail", "250 b", "354 go")
    transaction.send_whole(b"hello\r\n")
    connection.send(Rset())
    flush(connection)
    take(connection, transaction, "250 taken")
    assert is_over(transaction, Delivery.ACCEPTED)


def test_a_mail_by_hand_behind_a_refused_one_is_its_callers() -> None:
    connection = ready("wide")
    transaction = Transaction(connection, A, [B], on_refused="abort")
    flush(connection)
    take(connection, transaction, "550 no")
    assert not transaction.finished
    for command in (Rset(), Noop()):
        connection.send(command)
    assert flush(connection) == b"RSET\r\nNOOP\r\n"
    take(connection, transaction, "503 b")
    assert is_over(transaction, Delivery.REFUSED)


# What is the transaction's to say


@ways
def test_what_a_transaction_says_is_refused_by_hand(way: str) -> None:
    connection = ready(way)
    transaction = Transaction(connection, A, [B], on_refused="abort")
    for command in (Rcpt(C), Data()):
        with pytest.raises(LocalProtocolError, match=f"{command} cannot be sent by hand: a Transaction goes on"):
            connection.send(command)
    flush(connection)
    take(connection, transaction, "250 mail", "250 b", "354 go")
    with pytest.raises(
        LocalProtocolError,
        match=r"^a message cannot be sent by hand: a Transaction goes on, which says all of its mail itself\. Write "
        r"the message with its `send_data` and `end_data`; to send none, send RSET or call `discard_queued`, or "
        r"`give_up` where neither can be$",
    ):
        connection.send_data(b"other\r\n")
    with pytest.raises(LocalProtocolError, match="the end of a message cannot be sent by hand"):
        connection.end_data()
    transaction.send_whole(b"hello\r\n")
    assert flush(connection) == b"hello\r\n.\r\n"
    take(connection, transaction, "250 taken")
    assert is_over(transaction, Delivery.ACCEPTED)


@ways
def test_a_chunk_is_refused_by_hand(way: str) -> None:
    connection = ready(way)
    transaction = Transaction(connection, A, [B], chunking=True)
    flush(connection)
    take(connection, transaction, "250 mail", "250 b")
    for last in (False, True):
        with pytest.raises(LocalProtocolError, match=r"a chunk cannot be sent by hand: .* send RSET or call `discard"):
            connection.send_chunk(b"other\r\n", last=last)
    transaction.send_whole(b"hello\r\n")
    assert flush(connection) == b"BDAT 7 LAST\r\nhello\r\n"
    take(connection, transaction, "250 taken")
    assert is_over(transaction, Delivery.ACCEPTED)


@ways
def test_noop_is_said_by_hand_at_any_time(way: str) -> None:
    connection = ready(way)
    transaction = Transaction(connection, A, [B], chunking=True)
    connection.send(Noop())
    flush(connection)
    take(connection, transaction, "250 mail", "250 b", "250 noop")
    assert transaction.wants_data


@ways
def test_a_transaction_that_is_finished_is_in_nobodys_way(way: str) -> None:
    connection = ready(way)
    for verdict, word in (("250 ok", Delivery.ACCEPTED), ("550 no", Delivery.REFUSED)):
        transaction = Transaction(connection, A, [B])
        flush(connection)
        take(connection, transaction, "250 mail", "250 b", "354 go")
        transaction.send_whole(b"hello\r\n")
        flush(connection)
        take(connection, transaction, verdict)
        assert is_over(transaction, word)
        by_hand(connection)


def by_hand(connection: Connection) -> None:
    """A mail goes out by hand."""
    for command, answer in ((Mail(A), "250 ok"), (Rcpt(C), "250 ok"), (Data(), "354 go")):
        connection.send(command)
        flush(connection)
        assert len(hear(connection, answer)) == 1
    connection.send_data(b"hello\r\n")
    connection.end_data()
    assert flush(connection) == b"hello\r\n.\r\n"
    assert len(hear(connection, "250 ok")) == 1


def test_a_transaction_that_was_told_of_nothing_is_in_nobodys_way() -> None:
    connection = ready("wide")
    forgotten = Transaction(connection, A, [B], chunking=True)
    flush(connection)
    hear(connection, "250 mail", "250 b")
    connection.send(Rset())
    flush(connection)
    hear(connection, "250 reset")
    goes_on(connection)
    by_hand(connection)
    assert not forgotten.finished


@ways
def test_nothing_is_kept_of_transactions_that_are_finished(way: str) -> None:
    connection = ready(way)
    for ending in (["250 taken"], ["550 no"]):
        transaction = Transaction(connection, A, [B])
        flush(connection)
        take(connection, transaction, "250 mail", "250 b", "354 go")
        transaction.send_whole(b"hello\r\n")
        flush(connection)
        take(connection, transaction, *ending)
        assert len(connection.begun) == 0
    transaction = Transaction(connection, A, [B])
    assert len(connection.begun) == 1
    connection.give_up()
    assert len(connection.begun) == 0
    assert is_over(transaction)
