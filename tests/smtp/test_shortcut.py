"""A mail that takes a shortcut, past its connection; and where that is told of it, so that it goes on as any other."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import pytest

from mailwire._wire.dots import MailText
from mailwire._wire.pipeline import Window
from mailwire.errors import LocalProtocolError
from mailwire.smtp import Connection, Data, Delivery, GroupsAnswered, Mail, Noop, Rcpt, Rset, State, Transaction
from mailwire.smtp.opening import Wishes
from mailwire.smtp.paths import Mailbox
from mailwire.smtp.receipt import NO_TIMINGS
from mailwire.smtp.shortcut import END_COST, Shortcut, shortcut
from tests.aio.memory import fail_once
from tests.smtp import sessions
from tests.smtp.model_server import Script
from tests.smtp.sessions import A, B, C, hear
from tests.smtp.test_alike import seen
from tests.smtp.test_cuts import Case
from tests.smtp.test_group import MESSAGE, Told, flush, ready
from tests.smtp.test_parcel import CHUNKED, EAGER, SIZED, TEXT, parcel

ENVELOPED: Final = b"250 m\r\n250 b\r\n250 c\r\n354 go\r\n"
ACCEPTED: Final = ENVELOPED.removesuffix(b"354 go\r\n")


def taken(
    connection: Connection,
    wishes: Wishes,
    message: bytes = MESSAGE,
    recipients: tuple[Mailbox, ...] = (B, C),
    *,
    is_behind: bool = False,
    begins_anew: bool = False,
) -> Shortcut | None:
    opening = connection.opening_for(wishes)
    return shortcut(connection, opening, A, recipients, MailText(message), is_behind, begins_anew)


def begun(connection: Connection, wishes: Wishes, **how: Any) -> Shortcut:
    mail = taken(connection, wishes, **how)
    assert mail is not None
    return mail


def written(connection: Connection, wishes: Wishes) -> Shortcut:
    """One of which only the verdict is to come."""
    mail = begun(connection, wishes)
    assert mail.hear(ENVELOPED if wishes[3] is False else ACCEPTED)
    mail.write()
    return mail


# Runs of mails, as they go by shortcuts and in groups


def runs() -> Iterator[Case]:
    """Mails one behind the other, and one after the other, of which all but one go as is to be expected."""
    odd = (
        *(Script(recipients=(550,)), Script(recipients=(250, 550)), Script(mail=451), Script(data=451)),
        *(Script(end=552), Script(end=421), Script(data=421), Script(rset=421)),
    )
    for chunking in (False, True):
        for in_a_row in (False, True):
            yield Case((Script(),) * 4, chunking=chunking, in_a_row=in_a_row)
            for place in range(4):
                for script in odd:
                    scripts = [Script()] * 4
                    scripts[place] = script
                    yield Case(tuple(scripts), chunking=chunking, in_a_row=in_a_row)


def check_alike(case: Case, **how: Any) -> None:
    whole: Any = {"groups": True, "is_whole": True, **how}
    expected = seen(case, **whole)
    for shortcuts in (True, "row") if case.in_a_row else (True,):
        assert seen(case, shortcuts=shortcuts, **whole) == expected, (case, shortcuts, how)


def test_whatever_a_server_answers_comes_to_the_same() -> None:
    for case in runs():
        for chunk in (1, 8, 11, 16, 24, 1_000_000):
            check_alike(case, chunk=chunk)


@pytest.mark.parametrize("side", ["server_cut", "client_cut"])
def test_wherever_the_connection_is_cut_comes_to_the_same(side: str) -> None:
    case = Case((Script(), Script(recipients=(250, 550)), Script(), Script()), in_a_row=True)
    for chunking in (False, True):
        for chunk in (8, 1_000_000):
            for cut in range(600):
                check_alike(replace(case, chunking=chunking), chunk=chunk, **{side: cut})


@pytest.mark.parametrize("chunking", [False, True])
@pytest.mark.parametrize(("chunk", "expected"), [(1_000_000, 4), (8, 0)])  # all answers in one read, or each in one
def test_where_all_is_as_expected_they_take_shortcuts(chunking: bool, chunk: int, expected: int) -> None:
    mails = [sessions.Mail((MailText(MESSAGE),), chunking=chunking, is_whole=True) for _ in range(4)]
    connection = Connection(groups=True)
    how: Any = {"in_a_row": True, "shortcuts": "row", "chunk": chunk}
    outcome = sessions.run(Script(), mails, connection, **how)
    assert (outcome.error, outcome.sender.shortcuts, len(outcome.server.accepted)) == (None, expected, 4)
    assert outcome.sender.begun_in_row == max(0, expected - 2)  # the second began behind the first


def test_behind_one_that_took_none_the_next_do_again() -> None:
    scripts = [Script(), Script(recipients=(250, 550)), *[Script()] * 4]
    mails = [sessions.Mail((MailText(MESSAGE),), (B, C)[: len(each.recipients)], is_whole=True) for each in scripts]
    how: Any = {"in_a_row": True, "shortcuts": True}
    outcome = sessions.run(scripts, mails, Connection(groups=True), **how)
    assert (outcome.error, len(outcome.server.accepted)) == (None, 6)
    # The first was on its way when the second was refused in part; the third had begun behind that.
    assert outcome.sender.shortcuts >= 3


# What it says, and what is said of it


@pytest.mark.parametrize("wishes", [TEXT, SIZED, CHUNKED, EAGER])
@pytest.mark.parametrize("begins_anew", [False, True])
def test_it_says_what_a_parcel_says(wishes: Wishes, begins_anew: bool) -> None:
    said: list[bytes] = []
    for way in (taken, parcel):
        connection = ready()
        mail = way(connection, wishes, begins_anew=begins_anew)
        assert mail is not None
        said.append(b"".join([*getattr(mail, "beginning", []), *connection.data_to_send()]))
        if wishes is not EAGER:
            assert mail.hear(b"250 r\r\n" * begins_anew + (ENVELOPED if wishes[3] is False else ACCEPTED))
            assert mail.wants_message
            said.append(b"".join([*mail.write(), *connection.data_to_send()]))
    assert said[: len(said) // 2] == said[len(said) // 2 :]


def test_of_a_mail_that_was_taken_the_connection_knows_nothing() -> None:
    told = Told()
    connection = ready(told=told)
    said = len(told.lines)
    mail = begun(connection, TEXT)
    assert (mail.octets, mail.is_ended, mail.heard, mail.verdict) == (0, False, b"", b"")
    assert mail.is_ended is not None
    assert (connection.lent_to is not None, connection.is_awaited, connection.is_free) == (True, True, False)
    with pytest.raises(LocalProtocolError):
        connection.check_at_rest()
    assert mail.hear(ENVELOPED)
    assert mail.wants_message
    stuffed = MESSAGE.replace(b"\n.", b"\n..")
    assert b"".join(mail.write()) == stuffed + b".\r\n"
    assert (mail.is_ended, mail.wants_message, mail.octets) == (True, False, len(stuffed))
    assert mail.hear(b"250 taken\r\n")
    assert (mail.is_taken, connection.lent_to) == (True, None)
    assert (connection.is_awaited, connection.is_free) == (False, True)
    assert (connection.state, connection.in_flight, connection.last_group) == (State.READY, (), None)
    receipt = mail.receipt(NO_TIMINGS)
    assert (receipt.delivery, str(receipt.reply), receipt.octets) == (Delivery.ACCEPTED, "250 taken", len(stuffed))
    envelope = ["C: MAIL FROM:<a@example.org>", "C: RCPT TO:<b@example.org>", "C: RCPT TO:<c@example.org>", "C: DATA"]
    answers = ["S: 250 m", "S: 250 b", "S: 250 c", "S: 354 go"]
    end = [f"C: ({len(stuffed)} octets)", "C: .", "S: 250 taken"]
    assert told.lines[said:] == [*envelope, *answers, *end]


def test_what_an_eager_one_says_is_told() -> None:
    told = Told()
    connection = ready(told=told)
    said = len(told.lines)
    begun(connection, EAGER)
    envelope = ["C: MAIL FROM:<a@example.org> SIZE=23", "C: RCPT TO:<b@example.org>", "C: RCPT TO:<c@example.org>"]
    assert told.lines[said:] == [*envelope, "C: BDAT 23 LAST", "C: (23 octets)"]


@pytest.mark.parametrize("wishes", [TEXT, SIZED, CHUNKED, EAGER])
@pytest.mark.parametrize("begins_anew", [False, True])
def test_what_is_awaited_is_what_the_connection_would_say(wishes: Wishes, begins_anew: bool) -> None:
    for is_written in (False, True)[: 1 if wishes is EAGER else 2]:
        connection = ready()
        mail = begun(connection, wishes, begins_anew=begins_anew)
        if is_written:
            assert mail.hear(b"250 r\r\n" * begins_anew + (ENVELOPED if wishes[3] is False else ACCEPTED))
            mail.write()
        awaited = mail.awaited
        mail.as_parcel()
        assert str(awaited) == str(connection.awaited)
        assert type(awaited) is type(connection.awaited)


def test_each_names_its_own_sender_and_recipients() -> None:
    connection, names = ready(), (B, C)
    opening = connection.opening_for(TEXT)
    said: list[bytes] = []
    for sender, recipients in ((A, names), (A, (C,)), (B, (C,)), (A, names), (B, names), (B, names)):
        mail = shortcut(connection, opening, sender, recipients, MailText(MESSAGE), False, False)
        assert mail is not None
        said.append(mail.beginning[0])
        assert mail.hear(b"250 a\r\n" * (1 + len(recipients)) + b"354 go\r\n")
        mail.write()
        assert mail.hear(b"250 taken\r\n")
    senders = [line.split(b"<")[1][:1] for line in said]
    assert (senders, [line.count(b"RCPT") for line in said]) == (
        [b"a", b"a", b"b", b"a", b"b", b"b"],
        [2, 1, 1, 2, 2, 2],
    )


@pytest.mark.parametrize("wishes", [TEXT, SIZED, CHUNKED, EAGER])
def test_its_receipt_is_that_of_a_transaction(wishes: Wishes) -> None:
    connection = ready()
    mail = begun(connection, wishes)
    answers = [ENVELOPED if wishes[3] is False else ACCEPTED]
    if wishes is EAGER:
        answers[0] += b"250 taken\r\n"
    else:
        answers.append(b"250 taken\r\n")
    for answer in answers:
        assert mail.hear(answer)
        if mail.wants_message:
            mail.write()
    assert mail.is_taken
    # It may be looked at more closely even then.
    parcel = mail.as_parcel()
    assert parcel.is_taken
    assert mail.receipt(NO_TIMINGS) == parcel.receipt(NO_TIMINGS) == parcel.as_transaction().receipt(NO_TIMINGS)
    assert connection.state is State.READY


@pytest.mark.parametrize(
    "data",
    [b"", b"2", ENVELOPED[:-1], ENVELOPED + b"2", ENVELOPED + b"250 taken\r\n", ACCEPTED, b"421 bye\r\n"],
)
def test_anything_else_is_not_taken(data: bytes) -> None:
    connection = ready()
    mail = begun(connection, TEXT)
    assert not mail.hear(data)
    assert (mail.wants_message, mail.heard, connection.lent_to is not None) == (False, b"", True)
    assert connection.in_flight == ()
    assert mail.as_parcel() is mail.as_parcel()
    assert connection.in_flight == (Mail(A), Rcpt(B), Rcpt(C), Data())
    assert connection.lent_to is None


def test_two_in_a_row_are_heard_in_one_step() -> None:
    connection = ready()
    first = written(connection, CHUNKED)
    second = begun(connection, CHUNKED, is_behind=True, begins_anew=True)
    assert second.beginning[0].startswith(b"RSET\r\nMAIL")
    assert not second.hear(b"250 r\r\n" + ACCEPTED)  # not before the verdict on the other
    assert first.hear_with(second, b"250 taken\r\n250 r\r\n" + ACCEPTED)
    assert (first.is_taken, second.wants_message, connection.lent_to is not None) == (True, True, True)
    assert (first.verdict, second.heard) == (b"250 taken\r\n", b"250 r\r\n" + ACCEPTED)


@pytest.mark.parametrize("wishes", [TEXT, SIZED, CHUNKED])
@pytest.mark.parametrize("message", [MESSAGE, b"Subject: x\r\n\r\n.\r\n.a\r\n", b".\r\n"])
def test_one_ends_and_another_begins_as_by_themselves(wishes: Wishes, message: bytes) -> None:
    is_text = wishes[3] is False
    answers = b"250 taken\r\n" + (ENVELOPED if is_text else b"250 r\r\n" + ACCEPTED)
    seen: list[tuple[bytes, list[str], list[object]]] = []
    for in_one in (True, False):
        told = Told()
        connection = ready(told=told)
        first = written(connection, wishes)
        second = begun(connection, wishes, is_behind=True, begins_anew=not is_text, message=message)
        assert first.hear_with(second, answers)
        said = len(told.lines)
        if in_one:
            leaving, third = second.end_with(MailText(message))
        else:
            leaving = b"".join(second.write())
            third = begun(connection, wishes, is_behind=True, begins_anew=not is_text, message=message)
            leaving += b"".join(third.beginning)
        assert connection.lent_to is third
        assert (second.is_ended, second.wants_message, third.is_ended, third.wants_message) == (True, *[False] * 3)
        assert second.hear_with(third, answers)
        assert third.octets == 0
        leaving += b"".join(third.write())
        assert third.octets == second.octets
        assert third.hear(b"250 taken\r\n")
        receipts = [mail.receipt(NO_TIMINGS) for mail in (first, second, third)]
        seen.append((leaving, told.lines[said:], [*receipts, connection.lent_to]))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("name", ["Shortcut.__init__", "dot_stuffed", "_InRow.__new__", "Wording.text"])
def test_where_memory_runs_out_neither_has_one_ended_nor_another_begun(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    connection = ready(told=told)
    first = written(connection, TEXT)
    second = begun(connection, TEXT, is_behind=True)
    assert first.hear_with(second, b"250 taken\r\n" + ENVELOPED)
    said = len(told.lines)
    with monkeypatch.context() as patch:
        fail_once(patch, f"smtp.shortcut.{name}", 1)
        with pytest.raises(MemoryError):
            second.end_with(MailText(MESSAGE))
    assert (second.wants_message, second.is_ended, second.octets) == (True, False, 0)
    assert connection.lent_to is second
    assert told.lines[said:] == []


def test_a_verdict_may_come_alone() -> None:
    told = Told()
    connection = ready(told=told)
    first = written(connection, TEXT)
    second = begun(connection, TEXT, is_behind=True)
    said = len(told.lines)
    assert not first.hear_with(second, b"250 taken\r\n250 m\r\n")
    assert first.hear_with(second, b"250 taken\r\n")
    assert (first.is_taken, second.wants_message, connection.lent_to is not None) == (True, False, True)
    assert second.hear(ENVELOPED)
    assert second.wants_message
    assert told.lines[said:] == ["S: 250 taken", "S: 250 m", "S: 250 b", "S: 250 c", "S: 354 go"]


@pytest.mark.parametrize("data", [b"", b"450 later\r\n", b"250-two\r\n250 lines\r\n", b"250 taken", b"354 go\r\n"])
def test_a_verdict_that_was_not_to_be_expected_is_no_part_of_it(data: bytes) -> None:
    connection = ready()
    first = written(connection, TEXT)
    second = begun(connection, TEXT, is_behind=True)
    assert second.parted(data) is None
    assert not first.hear_with(second, data)
    assert not first.is_taken
    # The first stands before the second.
    for mail in (first, second):
        mail.as_parcel()
    assert connection.in_flight == (first.as_parcel().end, Mail(A), Rcpt(B), Rcpt(C), Data())


def test_behind_one_that_the_connection_knows_it_takes_its_own_answers() -> None:
    told = Told()
    connection = ready(told=told)
    first = written(connection, TEXT).as_parcel()
    assert connection.awaits_verdict_alone(END_COST)
    second = begun(connection, TEXT, is_behind=True)
    assert not connection.awaits_verdict_alone(END_COST)
    said = len(told.lines)
    assert second.parted(b"250 taken\r\n") == (b"250 taken\r\n", b"")
    found = second.parted(b"250 taken\r\n" + ENVELOPED)
    assert found == (b"250 taken\r\n", ENVELOPED)
    assert first.hear(found[0])
    second.follow(found[1])
    assert (first.is_taken, second.wants_message) == (True, True)
    assert told.lines[said:] == ["S: 250 taken", "S: 250 m", "S: 250 b", "S: 250 c", "S: 354 go"]


# Where it is not taken


def test_none_is_taken_where_the_connection_is_not_at_rest() -> None:
    connection = ready()
    connection.send(Noop())
    assert taken(connection, TEXT) is None
    flush(connection)
    assert taken(connection, TEXT) is None
    connection.receive_data(b"250 ok\r\n")
    assert taken(connection, TEXT) is None
    assert connection.next_event() is not None
    assert taken(connection, TEXT) is None  # there may be more
    assert connection.next_event() is None
    mail = begun(connection, TEXT)
    assert taken(connection, TEXT) is None
    mail.as_parcel()
    assert taken(connection, TEXT) is None


def test_none_is_taken_behind_a_part_of_a_reply() -> None:
    connection = ready()
    connection.receive_data(b"250-so")
    assert connection.next_event() is None
    assert taken(connection, TEXT) is None


def test_none_is_taken_in_the_middle_of_a_mail() -> None:
    connection = ready()
    transaction = Transaction(connection, A, [B])
    flush(connection)
    hear(connection, "250 m", "250 b", "354 go")
    assert taken(connection, TEXT) is None
    assert not connection.awaits_verdict_alone(END_COST)
    assert not transaction.finished


def test_none_is_taken_where_commands_go_one_by_one() -> None:
    assert taken(ready(groups=False), TEXT) is None


@pytest.mark.parametrize(
    ("window", "is_taken"),
    [
        (Window(commands=5, octets=8192), True),
        (Window(commands=4, octets=8192), False),
        (Window(commands=100, octets=END_COST + 83), True),
        (Window(commands=100, octets=END_COST + 82), False),
    ],
)
def test_none_is_taken_without_room_for_it_and_for_the_end_of_a_message(window: Window, is_taken: bool) -> None:
    text = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<c@example.org>\r\nDATA\r\n"
    assert len(text) == 83
    assert (taken(ready(window=window), TEXT) is not None) is is_taken


@pytest.mark.parametrize("wishes", [CHUNKED, EAGER])
def test_none_leaves_more_than_the_window_has_room_for(wishes: Wishes) -> None:
    # As long as a plain mail may be.
    message = b"x\r\n" * (64 * 1024 // 3)
    connection = ready(window=Window(commands=100, octets=END_COST + 120))
    first = begun(connection, wishes, message=message)
    if wishes is CHUNKED:
        assert first.hear(ACCEPTED)
        first.write()
        second = begun(connection, wishes, message=message, is_behind=True, begins_anew=True)
        second_parcel = (first.as_parcel(), second.as_parcel())[1]
        assert second_parcel.group is not None
    else:
        first.as_parcel()
    assert not connection.has_queued  # what has left, has left for the connection too


@pytest.mark.parametrize("octets", [100_000, 500_000])
def test_none_is_taken_behind_a_chunk_that_fills_the_window(octets: int) -> None:
    connection = ready()
    transaction = Transaction(connection, A, [B], chunking=True, chunk_size=octets)
    flush(connection)
    connection.receive_data(b"250 m\r\n250 b\r\n")
    for event in sessions.events_of(connection):
        assert isinstance(event, GroupsAnswered)
        transaction.receive(event)
    transaction.send_whole(MailText(b"x\r\n" * (octets // 3)))
    flush(connection)
    assert connection.awaits_verdict_alone(END_COST) is (octets < 128 * END_COST)


def test_two_that_are_to_be_answered_are_no_end_alone() -> None:
    connection = ready()
    written(connection, TEXT).as_parcel()
    connection.send(Noop())
    assert not connection.awaits_verdict_alone(END_COST)
    flush(connection)
    assert not connection.awaits_verdict_alone(END_COST)


@pytest.mark.parametrize("command", [Rset(), Noop()])
def test_another_command_is_no_end(command: Rset | Noop) -> None:
    connection = ready()
    connection.send(command)
    flush(connection)
    assert not connection.awaits_verdict_alone(END_COST)


# Where it is told, though there is no memory for it


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("smtp.parcel.Parcel.__init__", 1),
        ("smtp.group.Group.__init__", 1),
        ("smtp.connection.Connection.data_to_send", 1),
        ("smtp.connection.Connection.data_to_send", 2),
        ("smtp.connection.Connection.hear_group", 1),
        ("smtp.answers.Answers._follow_group", 1),
        ("smtp.parcel.Parcel._go_behind", 1),
        ("smtp.mail_data.Text.whole", 1),
        ("smtp.group.Group.ending", 1),
        ("smtp.parcel.Parcel.hear", 1),
        ("smtp.parcel.Parcel.write", 1),
    ],
)
def test_what_could_not_be_told_has_changed_nothing(name: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    connection = ready(told=told)
    mail = written(connection, TEXT)
    said = len(told.lines)
    before = {name: vars(connection)[name] for name in vars(connection) if name != "_pipeline"}
    fail_once(monkeypatch, name, number)
    with pytest.raises(MemoryError):
        mail.as_parcel()
    assert {name: vars(connection)[name] for name in before} == before
    assert (connection.in_flight, connection.queued, connection.lent_to) == ((), (), mail)
    assert connection.data_to_send() == []
    parcel = mail.as_parcel()
    assert (parcel.is_ended, parcel.is_taken, connection.in_flight) == (True, False, (parcel.end,))
    assert parcel.as_transaction().receipt(NO_TIMINGS).delivery is Delivery.UNKNOWN
    assert told.lines[said:] == []
    assert connection.trace is told


def test_news_are_still_news_behind_it() -> None:
    connection = ready()
    mail = written(connection, TEXT)
    connection.receive_data(b"250-two\r\n250 lines\r\n")
    mail.as_parcel()
    assert connection.has_news
    assert connection.next_event() is not None
    assert connection.state is State.READY
