"""A mail that goes as a parcel, and what it is made into where that does not do.

That both come to the same is held by test_alike.
"""

from collections.abc import Callable, Sequence

import pytest

from mailwire._wire.dots import MailText
from mailwire.errors import LocalProtocolError, MailwireError
from mailwire.smtp import (
    LOCKSTEP,
    Command,
    Connection,
    Data,
    Delivery,
    Ehlo,
    Event,
    GroupsAnswered,
    Mail,
    Noop,
    Parameters,
    Rcpt,
    Reply,
    ReplyReceived,
    Rset,
    State,
    Transaction,
    Window,
)
from mailwire.smtp.group import Group
from mailwire.smtp.opening import Wishes
from mailwire.smtp.parameters import NO_PARAMETERS
from mailwire.smtp.parcel import Parcel
from mailwire.smtp.paths import Mailbox
from mailwire.smtp.receipt import NO_TIMINGS
from tests.smtp.sessions import A, B, C, ask, hear
from tests.smtp.test_group import MESSAGE, Told, flush, ready

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


@pytest.mark.parametrize("wishes", [CHUNKED, TEXT])
def test_its_message_is_not_written_where_something_else_was_said(wishes: Wishes) -> None:
    connection = ready()
    mail = parcel(connection, wishes)
    flush(connection)
    assert take(mail, connection, "250 m", "250 b", "250 c", *(["354 go"] if wishes is TEXT else []))
    if wishes is TEXT:
        connection.end_data()
    else:
        connection.send(Rset())
    with pytest.raises(LocalProtocolError, match=r"^no (chunk can be sent|message can be written) now: "):
        mail.write()
    assert mail.octets == 0
    assert mail.end is None


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


# Step by step, where the server does not pipeline


def unpipelined(*, groups: bool = True, told: Told | None = None) -> Connection:
    """A machine with a server that takes one command at a time."""
    connection = Connection(groups=groups, trace=told or Told())
    hear(connection, "220 hello")
    ask(connection, Ehlo("c"), "250-mx", "250-SIZE", "250 CHUNKING")
    return connection


def test_each_command_leaves_when_the_one_before_it_is_answered() -> None:
    told = Told()
    connection = unpipelined(told=told)
    del told.lines[:]
    mail = parcel(connection, SIZED)
    assert connection.ahead is State.MAIL_DATA
    steps: Sequence[tuple[type, bytes, str, State]] = [
        (Mail, b"MAIL FROM:<a@example.org> SIZE=23\r\n", "250 m", State.TRANSACTION),
        (Rcpt, b"RCPT TO:<b@example.org>\r\n", "250 b", State.TRANSACTION),
        (Rcpt, b"RCPT TO:<c@example.org>\r\n", "251", State.TRANSACTION),
        (Data, b"DATA\r\n", "354 go", State.MAIL_DATA),
    ]
    for awaited, line, answer, state in steps:
        assert not mail.wants_message
        assert isinstance(connection.due, Group)
        assert connection.due.awaited is awaited
        assert flush(connection) == line
        assert flush(connection) == b""
        assert take(mail, connection, answer)
        assert (connection.state, mail.is_taken) == (state, False)
    assert mail.wants_message
    mail.write()
    assert connection.ahead is State.READY
    assert flush(connection) == b"Subject: x\r\n\r\n..hidden\r\n.\r\n"
    assert take(mail, connection, "250 taken")
    assert (mail.wants_message, mail.is_taken) == (False, True)
    receipt = mail.receipt(NO_TIMINGS)
    assert [entry.reply for entry in receipt.recipients] == [Reply(250, (b"b",)), Reply(251, (b"",))]
    assert (receipt.reply, receipt.extensions) == (Reply(250, (b"taken",)), ("SIZE",))
    assert told.lines == [
        "C: MAIL FROM:<a@example.org> SIZE=23",
        "S: 250 m",
        "C: RCPT TO:<b@example.org>",
        "S: 250 b",
        "C: RCPT TO:<c@example.org>",
        "S: 251",
        "C: DATA",
        "S: 354 go",
        "C: (24 octets)",
        "C: .",
        "S: 250 taken",
    ]


@pytest.mark.parametrize("wishes", [CHUNKED, EAGER])
def test_its_chunk_leaves_when_the_last_recipient_is_accepted(wishes: Wishes) -> None:
    connection = unpipelined()
    mail = parcel(connection, wishes, begins_anew=True)
    assert connection.queued_chunks == (wishes is EAGER)
    for line, answer in ((b"RSET", "250 r"), (b"MAIL", "250 m"), (b"RCPT", "250 b"), (b"RCPT", "250 c")):
        assert not mail.wants_message
        assert flush(connection).startswith(line)
        assert take(mail, connection, answer)
    assert mail.wants_message is (wishes is CHUNKED)
    if mail.wants_message:
        mail.write()
    assert flush(connection) == b"BDAT 23 LAST\r\n" + MESSAGE
    assert connection.queued_chunks == 0
    assert not mail.is_taken
    assert take(mail, connection, "250 taken")
    receipt = mail.receipt(NO_TIMINGS)
    assert (receipt.octets, receipt.sender, receipt.reply) == (23, "a@example.org", Reply(250, (b"taken",)))


def test_no_step_is_queued_where_no_mail_can_begin() -> None:
    connection = unpipelined()
    ask(connection, Mail(A), "250 m")
    with pytest.raises(LocalProtocolError, match="no mail transaction can begin now"):
        parcel(connection, TEXT, begins_anew=True)
    assert connection.queued == ()


def test_mails_of_which_the_same_is_said_have_commands_of_their_own() -> None:
    connection = unpipelined()
    opening = connection.opening_for(TEXT)
    recipients = (B, C)
    first, second = (Group.in_steps(opening, A, recipients, None, begins_anew=False) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert one.commands == other.commands
        assert one.commands is one.commands
        assert one.commands[0] is not other.commands[0]


@pytest.mark.parametrize("wishes", [TEXT, SIZED, CHUNKED, EAGER], ids=["text", "sized", "chunked", "eager"])
def test_its_steps_are_the_commands_of_its_group(wishes: Wishes) -> None:
    opening, together = (made.opening_for(wishes) for made in (unpipelined(), ready()))
    recipients = (B, C)
    size = 1_234 if wishes[4] else None
    for sender, named, begins_anew in (
        (A, recipients, False),
        (None, recipients, False),
        (A, (B,), True),
        (A, (B,), False),
    ):
        for _ in range(2):
            steps = Group.in_steps(opening, sender, named, size, begins_anew=begins_anew)
            group = Group(together, sender, named, size, begins_anew=begins_anew)
            assert [command for step in steps for command in step.commands] == list(group.commands)
            assert b"".join(step.text for step in steps) == group.text
            for step in steps:
                assert step.text == step.commands[0].encode()
                assert (step.size, step.cost, step.chunk) == (len(step.commands), len(step.text), b"")
                assert step.awaited is type(step.commands[0])
                assert step.kind.is_step
                assert step.ends_group
            assert steps[0].is_binary is False


def test_the_first_step_tells_whether_the_message_is_binary() -> None:
    connection = Connection(groups=True)
    hear(connection, "220 hello")
    ask(connection, Ehlo("c"), "250-mx", "250-CHUNKING", "250 BINARYMIME")
    opening = connection.opening_for((Parameters({"BODY": "BINARYMIME"}), None, "send", True, False))
    assert Group.in_steps(opening, A, (B,), None, begins_anew=False)[0].is_binary


def test_what_no_command_can_hold_is_refused_before_a_step_is_made() -> None:
    connection = unpipelined()
    opening = connection.opening_for((Parameters.vouch({"X": "1\nRSET"}), None, "send", False, False))
    with pytest.raises(ValueError, match="a command must not hold control characters"):
        Parcel(connection, opening, A, (B,), MESSAGE, is_first=True, begins_anew=False)
    assert (connection.queued, connection.ahead) == ((), State.READY)


Step = Callable[[Connection], object]

ACTS: dict[str, Step] = {
    "nothing": lambda _: None,
    "looked at": lambda connection: [*map(str, connection.in_flight), *map(str, connection.queued)],
    "discarded": lambda connection: [str(command) for command in connection.discard_queued()],
    "given up": lambda connection: [str(command) for command in connection.give_up()],
    "reset": lambda connection: connection.send(Rset()),
    "another command": lambda connection: connection.send(Noop()),
    "a message by hand": lambda connection: connection.end_data(b"by hand\r\n"),
    "a chunk by hand": lambda connection: connection.send_chunk(b"by hand\r\n", last=True),
    "a recipient by hand": lambda connection: connection.send(Rcpt(B)),
    "the end": lambda connection: connection.receive_eof(),
    "an unasked reply": lambda connection: connection.receive_data(b"250 what\r\n"),
    "its leave": lambda connection: connection.receive_data(b"421 bye\r\n"),
}
ANSWERS: dict[type[Command[object]], str] = {Data: "354 go", Rset: "250 reset", Noop: "250 here"}


def gone_through(act: Step, number: int, wishes: Wishes, *, has_left: bool, in_steps: bool) -> tuple[object, ...]:
    """All that can be seen of a mail in the middle of which, behind so many answers, something happens, when the next
    command `has_left`, or has not; and which goes on as a transaction from there."""
    told = Told()
    connection = unpipelined(groups=in_steps, told=told)
    sent: list[bytes] = []
    outcome: list[str] = []
    mail: Parcel | None = parcel(connection, wishes) if in_steps else None
    transaction: Transaction | None = None

    def write() -> None:
        if mail is not None and transaction is None:
            if mail.wants_message:
                mail.write()
        elif transaction is not None and transaction.wants_data:
            transaction.send_whole(MESSAGE)

    def receive(event: Event | None) -> None:
        if mail is not None and transaction is None:
            assert isinstance(event, GroupsAnswered)
            assert mail.receive(event)
        elif isinstance(event, (ReplyReceived, GroupsAnswered)):
            assert transaction is not None
            transaction.receive(event)
        else:
            outcome.append(repr(event))

    if mail is None:
        size = len(MESSAGE) if wishes[4] else None
        transaction = Transaction(connection, A, (B, C), chunking=wishes[3], size=size)
        write()
    for place in range(number):
        sent.append(flush(connection))
        for event in hear(connection, "354 go" if place == 3 and wishes[3] is False else f"250 {place}"):
            receive(event)
        write()
    if has_left:
        sent.append(flush(connection))
    if mail is not None:
        transaction = mail.as_transaction()
    assert transaction is not None
    try:
        outcome.append(str(act(connection)))
    except MailwireError as error:
        outcome.append(repr(error))
    receipts = [transaction.receipt()]
    try:
        while not (transaction.finished and not connection.is_awaited):
            while (heard := connection.next_event()) is not None:
                receive(heard)
            write()
            sent.append(flush(connection))
            if connection.state is State.CLOSED or not connection.awaits_answer:
                break
            kind = type(connection.in_flight[0])
            connection.receive_data(ANSWERS.get(kind, "250 ok").encode() + b"\r\n")
    except MailwireError as error:
        outcome.append(repr(error))
    receipts.append(transaction.receipt())
    lists = [[str(command) for command in each] for each in (connection.in_flight, connection.queued)]
    facts = (transaction.must_close, transaction.finished, transaction.is_ended, transaction.wants_data)
    return sent, outcome, receipts, lists, facts, told.lines, connection.state, len(connection.begun)


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("wishes", [TEXT, SIZED, CHUNKED, EAGER], ids=["text", "sized", "chunked", "eager"])
def test_what_happens_between_its_steps_comes_to_the_same(wishes: Wishes, act: str) -> None:
    for number in range(5 if wishes[3] is False else 4):
        for has_left in (False, True):
            how = ACTS[act], number, wishes
            alone = gone_through(*how, has_left=has_left, in_steps=False)
            assert gone_through(*how, has_left=has_left, in_steps=True) == alone, (number, has_left)


# What is heard in one step

ENVELOPED = b"250 m\r\n250 b\r\n250 c\r\n354 go\r\n"


def test_all_that_its_group_is_answered_is_heard_in_one_step() -> None:
    told = Told()
    connection = ready(told=told)
    mail = parcel(connection, TEXT)
    flush(connection)
    said = len(told.lines)
    group = mail.group
    assert mail.hear(ENVELOPED)
    assert (connection.state, mail.wants_message, connection.has_news) == (State.MAIL_DATA, True, False)
    assert group is not None
    assert (mail.answered, mail.said, group.answer) == ((group,), ENVELOPED, ENVELOPED)
    assert told.lines[said:] == ["S: 250 m", "S: 250 b", "S: 250 c", "S: 354 go"]
    assert connection.in_flight == ()
    mail.write()
    flush(connection)
    assert mail.hear(b"250 taken\r\n")
    assert (connection.state, mail.is_taken, connection.is_awaited) == (State.READY, True, False)
    assert mail.receipt(NO_TIMINGS).delivery is Delivery.ACCEPTED


@pytest.mark.parametrize(
    "data",
    [
        *(ENVELOPED[:-1], ENVELOPED + b"2", ENVELOPED + b"421 bye\r\n", b"", b"\r\n" + ENVELOPED, ENVELOPED * 2),
        *(
            ENVELOPED.replace(b"250 c", b"550 c"),
            ENVELOPED.replace(b"354", b"250"),
            ENVELOPED.replace(b"250 m", b"250-m"),
        ),
    ],
)
def test_anything_else_is_left_to_the_connection(data: bytes) -> None:
    connection = ready()
    mail = parcel(connection, TEXT)
    flush(connection)
    assert not mail.hear(data)
    assert (connection.state, mail.wants_message, mail.answered) == (State.READY, False, ())
    assert connection.in_flight == (Mail(A), Rcpt(B), Rcpt(C), Data())


def test_nothing_is_heard_before_what_was_received() -> None:
    connection = ready()
    mail = parcel(connection, TEXT)
    flush(connection)
    connection.receive_data(b"250 m\r\n")
    assert not mail.hear(ENVELOPED)
    assert connection.next_event() == ReplyReceived(Mail(A), Reply(250, (b"m",)))


def test_nothing_is_heard_behind_a_part_of_a_reply() -> None:
    connection = ready()
    mail = parcel(connection, TEXT)
    flush(connection)
    assert hear(connection, "250 m", "250-b") == [ReplyReceived(Mail(A), Reply(250, (b"m",)))]
    assert not mail.hear(ENVELOPED)


def test_nothing_is_heard_behind_a_part_of_the_first_reply() -> None:
    connection = ready()
    mail = parcel(connection, TEXT)
    flush(connection)
    connection.receive_data(b"250-so")
    assert connection.next_event() is None
    assert not mail.hear(ENVELOPED)
    assert connection.state is State.READY


def test_nothing_is_heard_for_a_group_that_has_not_left() -> None:
    connection = ready()
    mail = parcel(connection, TEXT)
    assert not mail.hear(ENVELOPED)
    assert connection.queued == (Mail(A), Rcpt(B), Rcpt(C), Data())


def test_nothing_is_heard_for_a_group_behind_another() -> None:
    connection = ready()
    mails = [parcel(connection, EAGER), *(parcel(connection, EAGER, begins_anew=True) for _ in range(2))]
    flush(connection)
    assert take(mails[0], connection, "250 m", "250 b", "250 c", "250 taken")
    answer = b"250 r\r\n250 m\r\n250 b\r\n250 c\r\n250 taken\r\n"
    assert not mails[2].hear(answer)
    connection.receive_data(answer)
    event = connection.next_event()
    assert isinstance(event, GroupsAnswered)
    assert [mail.receive(event) for mail in mails] == [False, True, False]
    assert mails[2].hear(answer)
    assert [mail.is_taken for mail in mails] == [True, True, True]


def test_what_is_taken_hears_no_more() -> None:
    connection = ready()
    mail = parcel(connection, EAGER)
    flush(connection)
    assert mail.hear(b"250 m\r\n250 b\r\n250 c\r\n250 taken\r\n")
    assert not mail.hear(b"250 taken\r\n")


def test_behind_an_envelope_that_was_heard_at_once_the_verdict_may_come_as_an_event() -> None:
    connection = ready()
    mail = parcel(connection, TEXT)
    flush(connection)
    assert mail.hear(ENVELOPED)
    mail.write()
    flush(connection)
    assert take(mail, connection, "250 taken")
    assert mail.is_taken


# The lines of an eager mail weigh so much, and its chunk nothing.
EAGER_COST = len(
    b"MAIL FROM:<a@example.org> SIZE=23\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<c@example.org>\r\nBDAT 23 LAST\r\n"
)


@pytest.mark.parametrize(
    "window",
    [Window(commands=9, octets=4096), Window(commands=100, octets=2 * EAGER_COST + len(b"RSET\r\n"))],
    ids=["commands", "octets"],
)
@pytest.mark.parametrize("at_once", [False, True])
def test_what_was_answered_takes_no_room_any_more(window: Window, at_once: bool) -> None:
    connection = ready(window=window)
    for _ in range(3):
        first, second = parcel(connection, EAGER), parcel(connection, EAGER, begins_anew=True)
        assert flush(connection).count(b"BDAT") == 2
        taken = take(first, connection, "250 m", "250 b", "250 c", "250 taken")
        answer = ("250 r", "250 m", "250 b", "250 c", "250 taken")
        assert taken
        if at_once:
            assert second.hear("".join(f"{line}\r\n" for line in answer).encode())
        else:
            assert take(second, connection, *answer)


def test_what_several_mails_are_answered_together_is_all_told() -> None:
    told = Told()
    connection = ready(told=told)
    mails = [parcel(connection, EAGER), parcel(connection, EAGER, begins_anew=True)]
    flush(connection)
    said = len(told.lines)
    lines = [f"250 {number}" for number in range(9)]
    (event,) = hear(connection, *lines)
    assert isinstance(event, GroupsAnswered)
    assert [mail.receive(event) for mail in mails] == [True, True]
    assert told.lines[said:] == [f"S: {line}" for line in lines]


# Step by step


def stepping() -> Connection:
    return ready(window=LOCKSTEP)


def to(connection: Connection, sender: Mailbox | None, recipients: tuple[Mailbox, ...], *, begins_anew: bool) -> Parcel:
    opening = connection.opening_for(CHUNKED)
    what = opening, sender, recipients, MailText(MESSAGE)
    return Parcel(connection, *what, is_first=not begins_anew, begins_anew=begins_anew)


def gone(mail: Parcel, connection: Connection) -> bytes:
    """Take all that is said of `mail`, and return it."""
    said = b""
    while not mail.is_taken:
        if mail.wants_message:
            mail.write()
        said += flush(connection)
        assert take(mail, connection, "250 ok")
    return said


def test_each_mail_names_its_own_sender_and_recipients_in_steps() -> None:
    connection = stepping()
    chunk = b"BDAT 23 LAST\r\n" + MESSAGE
    ways: list[tuple[Mailbox | None, tuple[Mailbox, ...]]] = [(A, (B, C)), (A, (C,)), (None, (C,)), (A, (B,))]
    for sender, recipients in ways:
        named = b"".join(b"RCPT TO:<%b>\r\n" % str(recipient).encode() for recipient in recipients)
        begin = b"MAIL FROM:<%b>\r\n" % str(sender or "").encode()
        assert gone(to(connection, sender, recipients, begins_anew=False), connection) == begin + named + chunk


def test_whether_a_mail_begins_anew_does_not_go_by_the_one_before_it() -> None:
    connection = stepping()
    recipients = (B,)
    first = to(connection, A, recipients, begins_anew=False)
    said = gone(first, connection)
    assert gone(to(connection, A, recipients, begins_anew=True), connection) == b"RSET\r\n" + said
    assert gone(to(connection, A, recipients, begins_anew=False), connection) == said
    others = (C,)
    anew = gone(to(connection, A, others, begins_anew=True), connection)
    assert anew == b"RSET\r\n" + gone(to(connection, A, others, begins_anew=False), connection)


def test_chunks_that_have_not_left_are_counted_in_steps_as_well() -> None:
    connection = stepping()
    parcel(connection, EAGER)
    parcel(connection, EAGER, begins_anew=True)
    assert connection.queued_chunks == 2


def test_an_opening_that_could_not_be_written_is_written_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    connection = ready()
    opening = connection.opening_for(CHUNKED)
    first = Parcel(connection, opening, A, (B,), MailText(MESSAGE), is_first=True, begins_anew=False)
    flush(connection)
    assert take(first, connection, "250 m", "250 b")
    first.write()
    flush(connection)
    assert take(first, connection, "250 taken")
    names = B, C
    with monkeypatch.context() as patch:
        patch.setattr("mailwire.smtp.opening.expected", fail)
        with pytest.raises(MemoryError):
            Parcel(connection, opening, A, names, MailText(MESSAGE), is_first=True, begins_anew=False)
    second = Parcel(connection, opening, A, names, MailText(MESSAGE), is_first=True, begins_anew=False)
    assert flush(connection).endswith(b"RCPT TO:<c@example.org>\r\n")
    assert take(second, connection, "250 m", "250 b", "250 c")
    assert second.wants_message
