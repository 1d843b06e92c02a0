"""A transaction to very many recipients, who are named a thousand at a time: what comes of it is what always does."""

from collections.abc import Sequence
from typing import Any

import pytest

from mailwire.errors import NotSupported
from mailwire.smtp import LOCKSTEP, Connection, Delivery, Mailbox, RecipientOptions, ReplyReceived, State, Transaction
from tests.smtp.model_server import Script
from tests.smtp.sessions import A, Mail, Outcome, at, hear, run

MANY = tuple(Mailbox(f"b{number}", "example.org") for number in range(1100))
NAMING = [b"RCPT TO:<%b>" % recipient.encode() for recipient in MANY]
EVERY_THIRD = tuple(550 if number % 3 else 250 for number in range(len(MANY)))
WAYS: dict[str, dict[str, Any]] = {
    "text": {},
    "chunks": {"chunking": True},
    "eager": {"chunking": "eager"},
    "abort": {"on_refused": "abort"},
    "abort in chunks": {"on_refused": "abort", "chunking": True},
}
ways = pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)


def sent(script: Script, recipients: Sequence[Mailbox] = MANY, *, lmtp: bool = False, **how: Any) -> Outcome:
    mails = [Mail(recipients=recipients, **how), Mail()]  # the second one finds the session in order
    outcome = run([script, Script()], mails, Connection(groups=True, lmtp=lmtp))
    assert outcome.error is None
    return outcome


def words(outcome: Outcome) -> list[Delivery]:
    return [entry.delivery for entry in outcome.sender.transactions[0].receipt().recipients]


def said(transaction: Transaction, connection: Connection) -> list[bytes]:
    """The commands that leave, each of which is accepted, until the message is wanted."""
    commands: list[bytes] = []
    while not transaction.wants_data:
        lines = connection.data_to_send()
        commands += lines
        for event in hear(connection, *("354 go" if line == b"DATA\r\n" else "250 ok" for line in lines)):
            assert isinstance(event, ReplyReceived)
            transaction.receive(event)
    return [line.rstrip() for line in commands]


@pytest.mark.parametrize("settings", [{"window": LOCKSTEP}, {}, {"groups": True}])
def test_very_many_are_queued_a_thousand_at_a_time(settings: dict[str, Any]) -> None:
    connection = at(State.READY, Connection(**settings))
    transaction = Transaction(connection, A, MANY)
    assert len(connection.queued) == 1001
    assert said(transaction, connection) == [b"MAIL FROM:<a@example.org>", *NAMING, b"DATA"]


@pytest.mark.parametrize("how", [WAYS["text"], WAYS["eager"]])
@pytest.mark.parametrize("count", [1000, 1001])
def test_all_are_named_once_and_have_the_mail(count: int, how: dict[str, Any]) -> None:
    outcome = sent(Script(recipients=(250,) * count), MANY[:count], **how)
    assert [line for line in outcome.server.commands if line.startswith(b"RCPT")][:-1] == NAMING[:count]
    assert [len(recipients) for recipients, _ in outcome.server.accepted] == [count, 1]
    assert words(outcome) == [Delivery.ACCEPTED] * count


@ways
def test_each_refusal_is_that_of_its_recipient(how: dict[str, Any]) -> None:
    outcome = sent(Script(recipients=EVERY_THIRD), **how)
    word = Delivery.NOT_SENT if how.get("on_refused") else Delivery.ACCEPTED
    assert words(outcome) == [Delivery.REFUSED if number % 3 else word for number in range(len(MANY))]
    accepted = [len(recipients) for recipients, _ in outcome.server.accepted]
    assert accepted == ([1] if how.get("on_refused") else [367, 1])


@ways
def test_behind_a_refused_sender_no_more_are_named_than_were_on_their_way(how: dict[str, Any]) -> None:
    outcome = sent(Script(mail=550, recipients=(503,) * len(MANY)), **how)
    assert words(outcome) == [Delivery.REFUSED] * len(MANY)
    assert len(outcome.server.commands) < 140
    assert len(outcome.server.accepted) == 1


def test_a_server_that_leaves_in_the_middle_has_refused_those_it_refused() -> None:
    answers = (*EVERY_THIRD[:1050], 421)
    outcome = run(Script(recipients=answers), [Mail(recipients=MANY)], Connection(groups=True))
    expected = [Delivery.REFUSED if number < 1050 and number % 3 else Delivery.NOT_SENT for number in range(len(MANY))]
    expected[1050] = Delivery.REFUSED
    assert words(outcome) == expected


def test_in_lmtp_each_has_a_word_of_its_own() -> None:
    ends = tuple(250 if number % 2 else 452 for number in range(len(MANY)))
    outcome = sent(Script(recipients=(250,) * len(MANY), ends=ends), lmtp=True)
    assert words(outcome) == [Delivery.ACCEPTED if end == 250 else Delivery.REFUSED for end in ends]


def test_what_is_wished_for_a_recipient_is_said_of_this_one() -> None:
    connection = at(State.READY)
    wishes = [RecipientOptions(notify=word) for word in ("NEVER", "FAILURE")]
    given = [None if number % 3 == 2 else wishes[number % 3] for number in range(len(MANY))]
    transaction = Transaction(connection, A, MANY, recipient_options=given)
    named = said(transaction, connection)
    parameters = b" NOTIFY=NEVER", b" NOTIFY=FAILURE", b""
    assert named[1:-1] == [b"%b%b" % (line, parameters[number % 3]) for number, line in enumerate(NAMING)]
    assert "DSN" in transaction.receipt().extensions


def test_what_is_wished_for_the_last_must_be_offered_before_the_first_is_named() -> None:
    connection = at(State.READY)
    wishes = [None] * (len(MANY) - 1) + [RecipientOptions(parameters={"X": "1"}, extensions=["X"])]
    with pytest.raises(NotSupported):
        Transaction(connection, A, MANY, recipient_options=wishes)
    assert connection.queued == ()
