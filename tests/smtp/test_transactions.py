import pytest

from mailwire.errors import ConnectionLost
from mailwire.smtp import (
    Connection,
    Delivery,
    GroupsAnswered,
    Noop,
    ReplyReceived,
    State,
    Transaction,
    Transactions,
)
from tests.smtp.sessions import A, B, C, D, ask, at, events_of, hear


def flush(connection: Connection) -> bytes:
    return b"".join(connection.data_to_send())


def eager(connection: Connection, transactions: Transactions, *recipients: object) -> list[Transaction]:
    """Eager transactions, all of them on their way."""
    begun = []
    for recipient in (B, C, D):
        transaction = Transaction(connection, A, [recipient], chunking="eager", behind=transactions.last)
        transactions.add(transaction)
        transaction.send_data(b"hello\r\n")
        transaction.end_data()
        begun.append(transaction)
    flush(connection)
    return begun


def receive(connection: Connection, transactions: Transactions, *lines: str) -> list[Transaction | None]:
    connection.receive_data("".join(f"{line}\r\n" for line in lines).encode())
    return [transactions.receive(event) for event in events_of(connection) if isinstance(event, ReplyReceived)]


def test_each_reply_goes_to_the_transaction_that_asked_for_it() -> None:
    connection, transactions = at(State.READY), Transactions()
    assert transactions.last is None
    first, second, third = eager(connection, transactions)
    assert list(transactions) == [first, second, third]
    assert transactions.last is third
    assert receive(connection, transactions, "250 ok", "250 ok", "250 taken", "250 reset") == [first] * 3 + [second]
    assert list(transactions.take_finished()) == [first]
    assert len(transactions) == 2
    assert receive(connection, transactions, "250 ok", "550 no", "503 no", "250 reset") == [second] * 3 + [third]
    assert list(transactions.take_finished()) == [second]
    assert receive(connection, transactions, "250 ok", "250 ok", "250 taken") == [third] * 3
    assert list(transactions.take_finished()) == [third]
    assert len(transactions) == 0
    assert [each.receipt().delivery for each in (first, second, third)] == [
        Delivery.ACCEPTED,
        Delivery.REFUSED,
        Delivery.ACCEPTED,
    ]


def test_the_finished_need_not_be_taken_at_once() -> None:
    connection, transactions = at(State.READY), Transactions()
    first, second, third = eager(connection, transactions)
    lines = ["250 ok", "250 ok", "250 taken", *["250 reset", "250 ok", "250 ok", "250 taken"] * 2]
    assert receive(connection, transactions, *lines) == [first] * 3 + [second] * 4 + [third] * 4
    assert list(transactions.take_finished()) == [first, second, third]


def test_replies_that_come_together_go_to_all_that_asked() -> None:
    connection, transactions = at(State.READY, Connection(groups=True)), Transactions()
    begun = []
    for recipient in (B, C, D):
        begun.append(Transaction(connection, A, [recipient], chunking="eager", behind=transactions.last))
        transactions.add(begun[-1])
        begun[-1].send_whole(b"hello\r\n")
    flush(connection)
    first, second, third = begun
    lines = ["250 ok", "250 ok", "250 taken", *["250 reset", "250 ok", "250 ok", "250 taken"]]
    [event] = hear(connection, *lines)
    assert isinstance(event, GroupsAnswered)
    assert transactions.receive(event) is first
    assert list(transactions.take_finished()) == [first, second]
    [event] = hear(connection, *lines[3:])
    assert isinstance(event, GroupsAnswered)
    assert transactions.receive(event) is third
    assert transactions.receive(event) is None
    assert list(transactions.take_finished()) == [third]


def test_a_lost_connection_finishes_all() -> None:
    connection, transactions = at(State.READY), Transactions()
    begun = eager(connection, transactions)
    receive(connection, transactions, "250 ok", "250 ok")
    connection.receive_eof()
    with pytest.raises(ConnectionLost):
        connection.next_event()
    assert list(transactions.take_finished()) == begun
    assert [transaction.receipt().delivery for transaction in begun] == [Delivery.UNKNOWN] * 3


def test_behind_a_lost_dot_nothing_was_sent() -> None:
    connection, transactions = at(State.READY), Transactions()
    first = Transaction(connection, A, [B])
    transactions.add(first)
    flush(connection)
    receive(connection, transactions, "250 ok", "250 ok", "354 go")
    first.end_data()
    second = Transaction(connection, A, [C], behind=transactions.last)
    transactions.add(second)
    flush(connection)
    # The reply was taken from the connection, and got lost on its way to the transaction: that makes nothing certain.
    assert len(hear(connection, "250 ok")) == 1
    connection.give_up()
    assert list(transactions.take_finished()) == [first, second]
    assert [each.receipt().delivery for each in (first, second)] == [Delivery.UNKNOWN, Delivery.NOT_SENT]


def test_the_reply_to_something_else_is_nobodys() -> None:
    connection, transactions = at(State.READY), Transactions()
    [event] = ask(connection, Noop(), "250 ok")
    assert isinstance(event, ReplyReceived)
    assert transactions.receive(event) is None
    eager(connection, transactions)
    assert transactions.receive(event) is None
    connection.give_up()
    assert transactions.receive(event) is None
