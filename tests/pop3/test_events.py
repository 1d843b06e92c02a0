import pytest

from mailwire import sasl
from mailwire.pop3 import (
    Auth,
    ComputationDue,
    ConnectionClosed,
    MessageData,
    MessageEnd,
    Noop,
    Pass,
    Response,
    ResponseReceived,
    Retr,
    ServerClosing,
    Stat,
)
from mailwire.sasl import Plain
from tests.pop3.sessions import CANARY, CREDENTIALS

RESPONSE = Response(True, b"done")


def test_a_response_discards_nothing_unless_said() -> None:
    event = ResponseReceived(Noop(), RESPONSE)
    assert (event.command, event.response, event.discarded) == (Noop(), RESPONSE, ())


def test_events_are_values() -> None:
    assert ResponseReceived(Noop(), RESPONSE) == ResponseReceived(Noop(), RESPONSE)
    assert ResponseReceived(Noop(), RESPONSE) != ResponseReceived(Noop(), RESPONSE, (Stat(),))
    assert MessageData(Retr(1), b"a") == MessageData(Retr(1), b"a") != MessageData(Retr(1), b"b")
    assert MessageEnd(Retr(1), 5) == MessageEnd(Retr(1), 5) != MessageEnd(Retr(2), 5)
    assert ServerClosing(RESPONSE) == ServerClosing(RESPONSE)
    assert ConnectionClosed() == ConnectionClosed()
    with pytest.raises(AttributeError):
        MessageEnd(Retr(1), 5).octets = 6  # type: ignore[misc]


def test_a_block_of_a_message_is_not_shown() -> None:
    assert repr(MessageData(Retr(1), b"a love letter")) == "MessageData(command=Retr(number=1, size=0))"


def test_a_due_computation_is_an_event_that_sasl_makes() -> None:
    assert ComputationDue is sasl.ComputationDue


def test_events_do_not_show_a_secret() -> None:
    for command in (Pass(CANARY), Auth(Plain(CREDENTIALS))):
        shown = repr(ResponseReceived(command, RESPONSE, (command,)))
        assert CANARY not in shown
        assert "dGFuc3Rh" not in shown


def test_the_end_of_a_session_is_told_in_one_printable_line() -> None:
    assert (
        str(ServerClosing(Response(False, b"\x1b[31m idle\r\n too long"))) == "-ERR \\x1b[31m idle\\x0d\\x0a too long"
    )
    assert str(ConnectionClosed()) == "without a word"
