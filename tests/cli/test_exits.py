import copy

import pytest

from mailwire import error_from_dict, error_to_dict, errors
from mailwire.cli.exits import Exit, status_of
from mailwire.errors import MailwireError
from mailwire.pop3 import Response
from mailwire.smtp import Delivery, Receipt, RecipientReceipt, Reply
from tests.test_errors import EXAMPLES

ERR = Response(ok=False, line=b"[AUTH] no")
LATER = Response(ok=False, line=b"[SYS/TEMP] later")

EXPECTED = {
    Exit.DATA: {"InvalidMessage"},
    Exit.NO_INPUT: {"SourceFailed"},
    Exit.CANNOT_CREATE: {"SinkFailed"},
    Exit.IO: {"LedgerError", "LedgerUnreadable"},
    Exit.TEMPORARY: {"LedgerBusy", "ConnectionFailed", "ConnectionLost", "MessageTruncated", "DeadlineExceeded"},
    Exit.CONFIGURATION: {"MaildropRenumbered"},
    Exit.PROTOCOL: {"TLSFailed", "InjectedData", "ProtocolError", "RemoteProtocolError", "LimitExceeded"},
}


@pytest.mark.parametrize(("status", "names"), EXPECTED.items(), ids=[status.name for status in EXPECTED])
def test_each_kind_of_error_has_its_status(status: Exit, names: set[str]) -> None:
    examples = [error for error in EXAMPLES if type(error).__name__ in names]
    assert {type(error).__name__ for error in examples} == names
    assert {status_of(error) for error in examples} == {status}


def test_a_refusal_is_for_good_or_for_now() -> None:
    def reply(code: int) -> Reply:
        return Reply(code, (b"x",))

    assert status_of(errors.RecipientsRefused("a", command="x", reply=reply(550))) == Exit.UNAVAILABLE
    assert status_of(errors.DataRefused("a", command="x", reply=reply(451))) == Exit.TEMPORARY
    assert status_of(errors.ResponseError("a", command="x", response=ERR)) == Exit.UNAVAILABLE
    assert status_of(errors.MaildropLocked("a", command="x", response=LATER)) == Exit.TEMPORARY
    assert status_of(errors.AuthenticationFailed("a", command="x", answer=ERR)) == Exit.NO_PERMISSION
    assert status_of(errors.AuthenticationFailed("a", command="x", answer=LATER)) == Exit.TEMPORARY
    assert status_of(errors.SecurityError("a")) == Exit.NO_PERMISSION
    assert status_of(errors.NotSupported("a", extension="SMTPUTF8")) == Exit.UNAVAILABLE


def test_unique_ids_that_are_not_told_are_for_somebody_to_decide_about() -> None:
    assert status_of(errors.NotSupported("a", extension="UIDL")) == Exit.CONFIGURATION


@pytest.mark.parametrize(("codes", "status"), [((452, 550), 69), ((550, 452), 69), ((452, 451), 75)])
def test_the_order_of_the_recipients_makes_no_other_status(codes: tuple[int, ...], status: int) -> None:
    replies = [Reply(code, (b"x",)) for code in codes]
    error = errors.RecipientsRefused("a", command="RCPT", reply=replies[-1])
    error.delivery = Delivery.REFUSED
    entries = tuple(RecipientReceipt("b@example.org", reply, Delivery.REFUSED) for reply in replies)
    error.receipt = Receipt(Delivery.REFUSED, "a@example.org", entries, None, 0)
    assert status_of(error) == status


def error_again(error: MailwireError) -> MailwireError:
    """Return it, kept as a record and read again."""
    return error_from_dict(error_to_dict(error))


def test_tls_that_is_refused_for_now_may_be_there_later() -> None:
    later, never = Reply(454, (b"x",)), Reply(554, (b"x",))
    for way in (copy.copy, error_again, lambda error: error):
        for answer, status in ((later, 75), (never, 76), (LATER, 75), (ERR, 76), (None, 76)):
            assert status_of(way(errors.TLSFailed("a", answer=answer))) == status


def test_a_mail_in_doubt_is_not_to_be_sent_again_blindly() -> None:
    error: MailwireError = errors.ConnectionLost("a")
    error.delivery = Delivery.NOT_SENT
    assert status_of(error) == Exit.TEMPORARY
    for word in (Delivery.UNKNOWN, Delivery.ACCEPTED):  # ACCEPTED: some of the recipients have it
        error.delivery = word
        assert status_of(error) == Exit.IO


def test_errors_of_others_have_theirs() -> None:
    assert status_of(FileNotFoundError()) == Exit.NO_INPUT
    assert status_of(ValueError()) == Exit.USAGE
    assert status_of(KeyError()) == Exit.CONFIGURATION


def test_the_status_for_what_may_go_well_later_is_that_of_such_errors_alone() -> None:
    for error in EXAMPLES:
        assert (status_of(error) == Exit.TEMPORARY) is error.is_transient


def test_every_error_has_a_status() -> None:
    assert {int(status_of(error)) for error in EXAMPLES} <= set(Exit)
