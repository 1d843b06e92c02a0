"""A mail that goes as a parcel, and what it is made into where that does not do.

That both come to the same is held by test_group.
"""

import pytest

from mailwire._wire.dots import MailText
from mailwire.smtp import Connection, Delivery, GroupsAnswered, Reply
from mailwire.smtp.opening import Wishes
from mailwire.smtp.parameters import NO_PARAMETERS
from mailwire.smtp.parcel import Parcel
from mailwire.smtp.receipt import NO_TIMINGS
from tests.smtp.sessions import A, B, C, hear
from tests.smtp.test_group import MESSAGE, flush, ready

TEXT: Wishes = (NO_PARAMETERS, None, "send", False, False)
SIZED: Wishes = (NO_PARAMETERS, None, "send", False, True)
CHUNKED: Wishes = (NO_PARAMETERS, None, "send", True, False)
EAGER: Wishes = (NO_PARAMETERS, None, "send", "eager", True)


def parcel(connection: Connection, wishes: Wishes, message: bytes = MESSAGE, *, begins_anew: bool = False) -> Parcel:
    opening = connection.opening_for(wishes)
    return Parcel(connection, opening, A, (B, C), MailText(message), is_first=not begins_anew, begins_anew=begins_anew)


def take(mail: Parcel, connection: Connection, *lines: str) -> bool:
    """Let the server say `lines`, which answer a group; return whether it is the parcel's."""
    (event,) = hear(connection, *lines)
    assert isinstance(event, GroupsAnswered)
    return mail.receive(event)


def test_its_size_is_announced_where_that_is_wished() -> None:
    connection = ready()
    mail = parcel(connection, SIZED)
    assert flush(connection).startswith(b"MAIL FROM:<a@example.org> SIZE=23\r\n")
    assert (mail.wants_message, mail.is_taken, mail.octets) == (False, False, 0)


def test_none_is_announced_where_it_is_not() -> None:
    connection = ready()
    parcel(connection, TEXT)
    assert flush(connection).startswith(b"MAIL FROM:<a@example.org>\r\n")


def test_it_goes_behind_data_step_by_step() -> None:
    connection = ready()
    mail = parcel(connection, TEXT)
    flush(connection)
    assert take(mail, connection, "250 m", "250 b", "250 c", "354 go")
    assert (mail.wants_message, mail.is_taken, mail.end) == (True, False, None)
    mail.write()
    assert (mail.wants_message, mail.is_taken) == (False, False)
    assert flush(connection) == b"Subject: x\r\n\r\n..hidden\r\n.\r\n"
    assert mail.octets == 24
    assert take(mail, connection, "250 taken")
    assert (mail.wants_message, mail.is_taken) == (False, True)
    receipt = mail.receipt({"verdict": 1.5})
    assert (receipt.delivery, receipt.sender, receipt.octets) == (Delivery.ACCEPTED, "a@example.org", 24)
    assert [entry.reply for entry in receipt.recipients] == [Reply(250, (b"b",)), Reply(250, (b"c",))]
    assert receipt.reply == Reply(250, (b"taken",))
    assert (receipt.extensions, dict(receipt.timings)) == (("PIPELINING",), {"verdict": 1.5})


def test_it_goes_in_a_chunk_that_waits() -> None:
    connection = ready()
    mail = parcel(connection, CHUNKED, begins_anew=True)
    assert flush(connection).startswith(b"RSET\r\nMAIL")
    assert take(mail, connection, "250 reset", "250 m", "250 b", "250 c")
    mail.write()
    assert flush(connection) == b"BDAT 23 LAST\r\n" + MESSAGE
    assert mail.octets == 23
    assert take(mail, connection, "250 taken")
    assert mail.receipt(NO_TIMINGS).recipients[0].reply == Reply(250, (b"b",))


def test_it_goes_in_a_chunk_that_does_not_wait() -> None:
    connection = ready()
    mail = parcel(connection, EAGER)
    assert (connection.queued_chunks, mail.octets) == (1, 23)
    assert flush(connection).endswith(b"RCPT TO:<c@example.org>\r\nBDAT 23 LAST\r\n" + MESSAGE)
    assert connection.queued_chunks == 0
    assert mail.end is not None
    assert mail.end.has_left
    assert not mail.wants_message
    assert take(mail, connection, "250 m", "250 b", "250 c", "250 taken")
    assert (mail.wants_message, mail.is_taken) == (False, True)


def test_what_answers_another_is_not_taken() -> None:
    connection = ready()
    first, second = parcel(connection, EAGER), parcel(connection, EAGER, begins_anew=True)
    flush(connection)
    (event,) = hear(connection, "250 m", "250 b", "250 c", "250 taken")
    assert isinstance(event, GroupsAnswered)
    assert [first.receive(event), second.receive(event), first.receive(event)] == [True, False, False]
    # What is in an event is taken of that event alone.
    (later,) = hear(connection, "250 reset", "250 m", "250 b", "250 c", "250 taken")
    assert not second.receive(event)
    assert isinstance(later, GroupsAnswered)
    assert second.receive(later)


def test_a_message_is_written_once() -> None:
    connection = ready()
    mail = parcel(connection, EAGER)
    with pytest.raises(AssertionError, match="a message is written once"):
        mail.write()


def test_as_a_transaction_it_goes_on_where_it_stood() -> None:
    connection = ready()
    mail = parcel(connection, CHUNKED, begins_anew=True)
    flush(connection)
    assert take(mail, connection, "250 reset", "250 m", "250 b", "250 c")
    transaction = mail.as_transaction()
    assert transaction.wants_data
    transaction.send_data(MailText(b"Subject: x\r\n"))
    transaction.send_data(MailText(b"\r\n"))
    transaction.end_data()
    assert flush(connection) == b"BDAT 14 LAST\r\nSubject: x\r\n\r\n"
    (event,) = hear(connection, "250 taken")
    assert isinstance(event, GroupsAnswered)
    assert transaction.receive(event)
    assert transaction.finished
    assert transaction.receipt().octets == 14
    assert [entry.reply for entry in transaction.receipt().recipients] == [Reply(250, (b"b",)), Reply(250, (b"c",))]


def test_as_transactions_several_of_them_stand_behind_each_other() -> None:
    connection = ready()
    mails = [parcel(connection, EAGER), parcel(connection, EAGER, begins_anew=True)]
    flush(connection)
    transactions = [mail.as_transaction() for mail in mails]
    assert len(connection.begun) == 2
    assert [(each.is_ended, each.finished, each.wants_data) for each in transactions] == [(True, False, False)] * 2
    answers = ["250 m", "250 b", "250 c", "250 taken"]
    (event,) = hear(connection, *answers, "250 reset", *answers)
    assert isinstance(event, GroupsAnswered)
    assert [each.receive(event) for each in transactions] == [True, True]
    assert len(connection.begun) == 0
    assert [each.receipt().octets for each in transactions] == [23, 23]


def test_as_a_transaction_it_is_in_doubt_once_its_end_has_left() -> None:
    connection = ready()
    mail = parcel(connection, EAGER)
    assert mail.as_transaction().receipt().delivery is Delivery.NOT_SENT
    flush(connection)
    assert mail.as_transaction().receipt().delivery is Delivery.UNKNOWN
