import pytest

from mailwire import sasl
from mailwire.sasl import Password, Plain
from mailwire.smtp import Auth, ComputationDue, ConnectionClosed, Noop, Reply, ReplyReceived, ServerClosing

REPLY = Reply(250, (b"ok",))


def test_a_received_reply_is_in_time_and_discards_nothing_unless_said() -> None:
    event = ReplyReceived(Noop(), REPLY)
    assert (event.command, event.reply, event.is_early, event.discarded) == (Noop(), REPLY, False, ())


def test_events_are_values() -> None:
    assert ReplyReceived(Noop(), REPLY) == ReplyReceived(Noop(), REPLY) != ReplyReceived(Noop(), REPLY, is_early=True)
    assert ServerClosing(REPLY) == ServerClosing(REPLY)
    assert ConnectionClosed() == ConnectionClosed()
    with pytest.raises(AttributeError):
        ServerClosing(REPLY).reply = REPLY  # type: ignore[misc]


def test_the_last_words_of_a_connection_can_be_shown() -> None:
    assert str(ServerClosing(Reply(421, (b"too", b"idle")))) == "421 too idle"
    assert str(ConnectionClosed()) == "without a word"


def test_a_due_computation_is_an_event_that_sasl_makes() -> None:
    assert ComputationDue is sasl.ComputationDue


def test_events_do_not_show_a_secret() -> None:
    event = ReplyReceived(Auth(Plain(Password("tim", "canary"))), REPLY)
    assert "canary" not in repr(event)
    assert "Y2FuYX" not in repr(event)
