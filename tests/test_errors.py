import copy
import inspect
import pickle
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire import errors
from mailwire.errors import (
    AmbiguousMessage,
    AuthenticationFailed,
    BudgetExceeded,
    CommandRefused,
    ConnectionFailed,
    ConnectionLost,
    DataRefused,
    DeadlineExceeded,
    Desynchronised,
    InjectedData,
    InvalidMessage,
    LedgerBusy,
    LedgerError,
    LedgerUnreadable,
    LimitExceeded,
    LocalProtocolError,
    MaildropLocked,
    MaildropRenumbered,
    MailwireError,
    MessageEmpty,
    MessageTruncated,
    MessageUnreadable,
    NotSupported,
    ProtocolError,
    RecipientsRefused,
    RemoteProtocolError,
    ReplyError,
    ResponseError,
    RetrievalIncomplete,
    SecurityError,
    SenderRefused,
    ServerUnproven,
    ServiceNotAvailable,
    SinkFailed,
    SourceFailed,
    TLSFailed,
    UnknownMessage,
)
from mailwire.maildrop import RetrievalReport
from mailwire.message import RetrievedMessage
from mailwire.pop3 import Response
from mailwire.sasl import OAuthFailure
from mailwire.smtp import Delivery, Receipt, RecipientReceipt, Reply

NO = Reply(550, (b"5.1.1 no such user",))
YES = Reply(250, (b"ok",))
LATER = Reply(451, (b"later",))
LEAVE = Reply(421, (b"4.3.2 closing",))
ERR = Response(ok=False, line=b"[IN-USE] locked")

ONE, TWO = RetrievedMessage(1, "u1", b"one"), RetrievedMessage(2, "u2", b"two")
EXPIRED = OAuthFailure(status="invalid_token", raw='{"status":"invalid_token"}')
RECEIPT = Receipt(Delivery.REFUSED, "a@b", (RecipientReceipt("b@c", NO, Delivery.REFUSED),), NO, 0)

EXAMPLES: list[MailwireError] = [
    MailwireError("a"),
    ProtocolError("a"),
    LocalProtocolError("a"),
    RemoteProtocolError("a"),
    LimitExceeded("a"),
    InjectedData("a"),
    ConnectionFailed("a"),
    ConnectionLost("a", in_flight=["MAIL FROM:<a@b>", "DATA"]),
    MessageTruncated("a", in_flight=["RETR 1"], octets=512),
    DeadlineExceeded("a", phase="greeting"),
    Desynchronised("a", suspect="RETR 1"),
    SecurityError("a"),
    TLSFailed("a", answer=NO),
    NotSupported("a", extension="8BITMIME"),
    InvalidMessage("a"),
    MessageUnreadable("a"),
    MessageEmpty("a"),
    SourceFailed("a"),
    BudgetExceeded("a", messages=[ONE, TWO]),
    RetrievalIncomplete("a", refusals={2: ERR}, messages=[ONE], missing=["u3"]),
    AmbiguousMessage("a", uid="u1"),
    UnknownMessage("a", uid="u1"),
    LedgerError("a"),
    LedgerUnreadable("a"),
    LedgerBusy("a", account="b@pop.example.org"),
    MaildropRenumbered("a", known=10, listed=5),
    SinkFailed("a"),
    CommandRefused("a", command="NOOP"),
    AuthenticationFailed("a", command="AUTH XOAUTH2 ****", answer=NO, oauth=EXPIRED),
    ServerUnproven("a", command="AUTH SCRAM-SHA-256 ****", answer=ERR),
    ReplyError("a", command="NOOP", reply=NO),
    SenderRefused("a", command="MAIL FROM:<a@b>", reply=NO),
    RecipientsRefused("a", command="RCPT TO:<a@b>", reply=LATER),
    DataRefused("a", command="DATA", reply=NO),
    ServiceNotAvailable("a", command="", reply=LEAVE, in_flight=["NOOP"]),
    ResponseError("a", command="RETR 1", response=ERR),
    MaildropLocked("a", command="PASS ****", response=ERR),
]
examples = pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)


def test_there_is_an_example_of_every_error() -> None:
    assert sorted(type(error).__name__ for error in EXAMPLES) == errors.__all__


def drawn() -> set[tuple[str, str]]:
    """Each error and the one above it, from the drawing in the module's docstring."""
    pairs, above = set[tuple[str, str]](), list[str]()
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"    ([│├└─ ]*)(\w+)", line):
            depth = len(found[1]) // 4
            above[depth:] = [found[2]]
            if depth:
                pairs.add((above[depth - 1], found[2]))
    return pairs


def test_the_tree_is_as_it_is_drawn() -> None:
    actual = {
        (base.__name__, kind.__name__)
        for kind in map(type, EXAMPLES)
        for base in kind.__bases__
        if issubclass(base, MailwireError)
    }
    assert drawn() == actual


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (ConnectionFailed, ConnectionError),
        (ConnectionLost, ConnectionError),
        (MessageTruncated, ConnectionError),
        (ServiceNotAvailable, ConnectionError),
        (DeadlineExceeded, TimeoutError),
        (InvalidMessage, ValueError),
        (MessageUnreadable, ValueError),
        (UnknownMessage, LookupError),
    ],
)
def test_an_error_is_also_the_builtin_that_people_catch(kind: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(kind, builtin)
    assert issubclass(kind, MailwireError)


def test_no_other_error_is_a_builtin_of_that_kind() -> None:
    others = [error for error in EXAMPLES if isinstance(error, (OSError, ValueError, LookupError, RuntimeError))]
    assert {type(error).__name__ for error in others} == {
        "ConnectionFailed",
        "ConnectionLost",
        "MessageTruncated",
        "ServiceNotAvailable",
        "DeadlineExceeded",
        "InvalidMessage",
        "MessageUnreadable",
        "UnknownMessage",
    }


@examples
def test_an_error_says_what_it_was_told_to_say(error: MailwireError) -> None:
    assert str(error) == "a"
    assert error.args == ("a",)
    assert repr(error) == f"{type(error).__name__}('a')"
    assert (error.delivery, error.receipt, error.report, error.transcript) == (None, None, None, ())


@examples
def test_what_an_error_is_made_of_is_what_it_carries(error: MailwireError) -> None:
    made = type(error)("what happened", **vars(error))
    assert str(made) == "what happened"
    assert vars(made) == vars(error)


@examples
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_can_be_copied_and_pickled_with_all_it_carries(error: MailwireError, again: object) -> None:
    assert callable(again)
    error = copy.copy(error)
    error.delivery, error.receipt, error.transcript = Delivery.REFUSED, RECEIPT, ("C: NOOP", "S: 550 no")
    error.add_note("while sending")
    copied = again(error)
    assert copied is not error
    assert type(copied) is type(error)
    assert (str(copied), repr(copied), copied.args) == (str(error), repr(error), error.args)
    assert vars(copied) == vars(error)
    assert copied.receipt == RECEIPT
    assert copied.__notes__ == ["while sending"]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_whose_report_holds_it_can_be_copied_and_pickled(again: object) -> None:
    assert callable(again)
    error = ConnectionLost("a", in_flight=("QUIT",))
    error.transcript = ("C: QUIT",)
    error.report = RetrievalReport("me", "pop3s://localhost", datetime.now(UTC), error=error)
    copied = again(error)
    assert isinstance(copied, ConnectionLost)
    assert (str(copied), copied.in_flight, copied.transcript) == ("a", ("QUIT",), ("C: QUIT",))
    assert copied.report is not None
    assert copied.report.account == "me"
    # In the copy of the report there is the copy of the error; a shallow one has the report itself.
    assert copied.report.error is (error if again is copy.copy else copied)


TEXTS = st.lists(st.binary(max_size=30), min_size=1, max_size=3)
REPLIES = st.builds(Reply, st.integers(200, 599), TEXTS.map(lambda lines: tuple(lines)))
RESPONSES = st.builds(Response, st.booleans(), st.binary(max_size=30), st.binary(max_size=30))
MESSAGES = st.lists(st.builds(RetrievedMessage, st.integers(1, 9), st.none() | st.text(), st.binary()), max_size=3)
DELIVERIES = st.sampled_from(Delivery)
RECEIPTS = st.builds(
    Receipt,
    DELIVERIES,
    st.text(),
    st.lists(st.builds(RecipientReceipt, st.text(), st.none() | REPLIES, DELIVERIES), max_size=3).map(
        lambda entries: tuple(entries)
    ),
    st.none() | REPLIES,
    st.integers(0, 2**40),
    st.lists(st.text(), max_size=3).map(lambda keywords: tuple(keywords)),
    st.dictionaries(st.text(), st.floats(0, 600), max_size=3),
)

# By the type of an argument, as it is written, what is given for it.
ARGUMENTS: Mapping[str, st.SearchStrategy[object]] = {
    "Mapping[int, Response]": st.dictionaries(st.integers(1, 9), RESPONSES, max_size=3),
    "OAuthFailure | None": st.none() | st.builds(OAuthFailure, *[st.text()] * 5),
    "Reply": REPLIES,
    "Reply | Response | None": st.none() | REPLIES | RESPONSES,
    "Response": RESPONSES,
    "Sequence[RetrievedMessage]": MESSAGES,
    "Sequence[str]": st.lists(st.text(), max_size=3),
    "int": st.integers(0, 2**40),
    "str": st.text(),
    "str | None": st.none() | st.text(),
}


@st.composite
def errors_of_every_kind(draw: st.DrawFn) -> MailwireError:
    """Any error of the tree, with all that it may carry."""
    kind = type(draw(st.sampled_from(EXAMPLES)))
    arguments = {
        name: draw(ARGUMENTS[parameter.annotation])
        for name, parameter in inspect.signature(kind.__init__).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    error = kind(draw(st.text()), **arguments)
    if draw(st.booleans()):
        error.delivery, error.receipt = draw(DELIVERIES), draw(st.none() | RECEIPTS)
    if draw(st.booleans()):
        error.transcript = tuple(draw(st.lists(st.text(), max_size=3)))
    for note in draw(st.lists(st.text(), max_size=2)):
        error.add_note(note)
    return error


WAYS: Mapping[str, Callable[[MailwireError], MailwireError]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol))  # type: ignore[misc]
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


@given(error=errors_of_every_kind())
def test_whatever_an_error_carries_a_copy_carries_it_too(error: MailwireError) -> None:
    for copied in (way(error) for way in WAYS.values()):
        assert copied is not error
        assert type(copied) is type(error)
        assert (copied.args, str(copied), repr(copied)) == (error.args, str(error), repr(error))
        assert vars(copied) == vars(error)
        assert (copied.delivery, copied.receipt, copied.transcript) == (error.delivery, error.receipt, error.transcript)
        assert copied.is_transient == error.is_transient
        # What is done to the copy is not done to the error.
        copied.transcript = ("C: QUIT",)
        copied.add_note("again")
        assert error.transcript != copied.transcript
        assert getattr(error, "__notes__", []) != copied.__notes__


class Mine(ReplyError):
    """An error of the caller's own, made in another way."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"not that: {reply}", command="X-MINE", reply=reply)


@pytest.mark.parametrize("way", WAYS)
def test_an_error_of_the_callers_own_can_be_copied_and_pickled(way: str) -> None:
    copied = WAYS[way](Mine(NO))
    assert type(copied) is Mine
    assert (str(copied), copied.command, copied.reply) == ("not that: 550 5.1.1 no such user", "X-MINE", NO)


@pytest.mark.parametrize("kind", [ConnectionFailed, ConnectionLost, DeadlineExceeded])
def test_an_error_made_of_an_operating_systems_error_can_be_copied(kind: type[MailwireError]) -> None:
    details = {"phase": "connect"} if kind is DeadlineExceeded else {}
    error = kind("[Errno 111] Connection refused", **details)
    error.__cause__ = ConnectionRefusedError(111, "Connection refused")
    assert str(pickle.loads(pickle.dumps(error))) == "[Errno 111] Connection refused"


@pytest.mark.parametrize("way", WAYS)
def test_a_number_of_the_operating_system_is_copied_too(way: str) -> None:
    copied = WAYS[way](ConnectionFailed(111, "Connection refused"))
    assert isinstance(copied, ConnectionFailed)
    assert (copied.errno, copied.strerror, str(copied)) == (111, "Connection refused", "[Errno 111] Connection refused")


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize(("answer", "is_transient"), [(LATER, True), (NO, False), (ERR, True), (None, False)])
def test_a_refusal_of_tls_says_whether_it_is_one_for_now(again: Any, answer: Any, is_transient: bool) -> None:
    error = again(TLSFailed("a", answer=answer))
    assert (error.answer, error.is_transient) == (answer, is_transient)


def test_a_copy_has_the_cause() -> None:
    error = SourceFailed("a")
    error.__cause__ = OSError(5, "Input/output error")
    copied = copy.copy(error)
    assert copied.__cause__ is error.__cause__
    assert copy.copy(TLSFailed("a")).__cause__ is None


def test_what_an_error_carries_can_be_read() -> None:
    assert ConnectionLost("a").in_flight == ()
    assert ConnectionLost("a", in_flight=["DATA"]).in_flight == ("DATA",)
    assert MessageTruncated("a").octets == 0
    truncated = MessageTruncated("a", octets=5)
    assert (truncated.in_flight, truncated.octets) == ((), 5)
    assert DeadlineExceeded("a", phase="connect").phase == "connect"
    assert NotSupported("a", extension="SMTPUTF8").extension == "SMTPUTF8"
    assert BudgetExceeded("a").messages == ()
    assert BudgetExceeded("a", messages=[ONE]).messages == (ONE,)
    incomplete = RetrievalIncomplete("a", refusals={2: ERR}, messages=[ONE])
    assert (incomplete.refusals, incomplete.messages) == ({2: ERR}, (ONE,))
    assert CommandRefused("a", command="NOOP").command == "NOOP"
    assert AuthenticationFailed("a", command="AUTH PLAIN ****").answer is None
    assert AuthenticationFailed("a", command="AUTH PLAIN ****").oauth is None
    assert AuthenticationFailed("a", command="AUTH PLAIN ****", answer=ERR).answer is ERR
    assert AuthenticationFailed("a", command="AUTH XOAUTH2 ****", oauth=EXPIRED).oauth is EXPIRED
    assert ResponseError("a", command="STAT", response=ERR).response is ERR


def test_an_error_says_of_each_recipient_what_its_receipt_says() -> None:
    lost = ConnectionLost("a")
    assert (lost.recipients, lost.retryable, lost.last_reply) == ((), (), None)
    unsent = RecipientReceipt("b@c", None, Delivery.NOT_SENT)
    lost.receipt = Receipt(Delivery.NOT_SENT, "a@b", (unsent,), None, 0)
    assert (lost.recipients, lost.retryable, lost.last_reply) == ((unsent,), (unsent,), None)
    first = RecipientReceipt("b@c", NO, Delivery.REFUSED)
    second = RecipientReceipt("d@e", LATER, Delivery.REFUSED)
    third = RecipientReceipt("f@g", None, Delivery.NOT_SENT)
    lost.receipt = Receipt(Delivery.NOT_SENT, "a@b", (first, second, third), None, 0)
    assert lost.recipients == (first, second, third)
    assert lost.retryable == (second, third)
    assert lost.last_reply is LATER


def test_of_a_mail_in_doubt_nobody_is_to_be_tried_again() -> None:
    lost = ConnectionLost("a")
    lost.receipt = Receipt(
        Delivery.UNKNOWN,
        "a@b",
        (
            RecipientReceipt("b@c", YES, Delivery.ACCEPTED, final_reply=YES),
            RecipientReceipt("d@e", YES, Delivery.REFUSED, final_reply=NO),
            RecipientReceipt("f@g", LATER, Delivery.REFUSED),
            RecipientReceipt("h@i", YES, Delivery.UNKNOWN),
        ),
        None,
        0,
    )
    assert [entry.address for entry in lost.retryable] == ["f@g"]
    # To the message, in LMTP, rather than to a recipient that was named behind the one it is for.
    assert lost.last_reply is NO


def test_the_last_reply_is_the_one_that_decided_about_the_mail() -> None:
    refused = DataRefused("a", command="DATA", reply=NO)
    assert refused.last_reply is NO
    refused.receipt = Receipt(Delivery.REFUSED, "a@b", (RecipientReceipt("b@c", YES, Delivery.REFUSED, NO),), LATER, 0)
    assert refused.last_reply is NO
    late = DeadlineExceeded("a", phase="the reply to RSET")
    late.receipt = refused.receipt
    assert late.last_reply is LATER


def test_a_response_error_knows_when_it_may_be_tried_again() -> None:
    delayed = Response(False, b"[LOGIN-DELAY] wait", login_delay=300)
    error = ResponseError("a", command="PASS ****", response=delayed)
    assert (error.is_transient, error.retry_after) == (True, 300)
    assert ResponseError("a", command="STAT", response=ERR).retry_after is None


@pytest.mark.parametrize(("reply", "is_transient"), [(LATER, True), (NO, False)])
def test_a_refusal_is_transient_if_its_reply_is(reply: Reply, is_transient: bool) -> None:
    for kind in (ReplyError, SenderRefused, RecipientsRefused, DataRefused):
        error = kind("a", command="MAIL FROM:<a@b>", reply=reply)
        assert (error.reply, error.command, error.is_transient) == (reply, "MAIL FROM:<a@b>", is_transient)


@pytest.mark.parametrize("delivery", [None, *Delivery])
def test_a_refusal_is_transient_only_where_nobody_can_have_the_mail(delivery: Delivery | None) -> None:
    for kind in (ReplyError, SenderRefused, RecipientsRefused, DataRefused):
        for reply in (LATER, Reply(421, (b"closing",))):
            error = kind("a", command="DATA", reply=reply)
            error.delivery = delivery
            assert error.is_transient is (delivery in (None, Delivery.NOT_SENT, Delivery.REFUSED))
    full = RecipientsRefused("a", command="RCPT", reply=Reply(552, (b"too many recipients",)))
    full.delivery = delivery
    assert full.is_transient is (delivery in (None, Delivery.NOT_SENT, Delivery.REFUSED))


FOR_NOW = {"ConnectionFailed", "ConnectionLost", "MessageTruncated", "DeadlineExceeded", "LedgerBusy"}


def test_what_is_no_refusal_is_for_now_where_the_server_was_not_there_or_the_account_is_held() -> None:
    others = [error for error in EXAMPLES if not isinstance(error, CommandRefused)]
    assert {type(error).__name__ for error in others if error.is_transient} == FOR_NOW
    assert not CommandRefused("a", command="NOOP").is_transient


@pytest.mark.parametrize("delivery", Delivery)
def test_nothing_is_for_now_where_somebody_may_have_the_mail(delivery: Delivery) -> None:
    passing: list[MailwireError] = [
        ConnectionFailed("a"),
        ConnectionLost("a"),
        DeadlineExceeded("a", phase="verdict"),
        TLSFailed("a", answer=LATER),
        AuthenticationFailed("a", command="AUTH PLAIN ****", answer=LATER),
        ServiceNotAvailable("a", command="", reply=LEAVE),
    ]
    for error in passing:
        assert error.is_transient
        error.delivery = delivery
        assert error.is_transient is (delivery in (Delivery.NOT_SENT, Delivery.REFUSED))


def test_too_many_recipients_are_so_for_now() -> None:
    full = Reply(552, (b"too many recipients",))
    assert RecipientsRefused("a", command="RCPT", reply=full).is_transient
    assert not DataRefused("a", command="DATA", reply=full).is_transient


FULL = Reply(552, (b"too many recipients",))


@pytest.mark.parametrize(
    ("replies", "is_transient"),
    [
        ((LATER, NO), False),
        ((LATER, FULL), True),
        ((NO, NO), False),
        ((LATER, NO, None), False),
        ((LATER, None), True),
        ((None,), True),  # the error's own reply is all there is
    ],
)
def test_whether_all_recipients_are_refused_for_now_does_not_go_by_their_order(
    replies: tuple[Reply | None, ...], is_transient: bool
) -> None:
    entries = [
        RecipientReceipt(f"{place}@b", reply, Delivery.NOT_SENT if reply is None else Delivery.REFUSED)
        for place, reply in enumerate(replies)
    ]
    for ordered in permutations(entries):
        last = next((entry.reply for entry in reversed(ordered) if entry.reply is not None), LATER)
        error = RecipientsRefused("a", command="RCPT", reply=last)
        error.receipt = Receipt(Delivery.REFUSED, "a@b", ordered, None, 0)
        error.delivery = Delivery.REFUSED
        assert error.is_transient is is_transient


@pytest.mark.parametrize("kind", [AuthenticationFailed, ServerUnproven])
@pytest.mark.parametrize(
    ("answer", "is_transient"),
    [
        (None, False),
        (LATER, True),
        (NO, False),
        (Reply(454, (b"4.7.0 later",)), True),
        (ERR, True),
        (Response(ok=False, line=b"[SYS/TEMP] later"), True),
        (Response(ok=False, line=b"[AUTH] wrong"), False),
        (Response(ok=False, line=b"wrong"), False),
    ],
)
def test_a_failed_login_is_transient_if_the_server_says_that_it_is_not_the_credentials_fault(
    kind: type[AuthenticationFailed], answer: Reply | Response | None, is_transient: bool
) -> None:
    assert kind("a", command="AUTH PLAIN ****", answer=answer).is_transient is is_transient


@pytest.mark.parametrize("kind", [ResponseError, MaildropLocked])
@pytest.mark.parametrize(
    ("line", "is_transient"),
    [(b"[IN-USE] locked", True), (b"[login-delay]", True), (b"[SYS/PERM] never", False), (b"no", False)],
)
def test_a_refusal_of_pop3_is_transient_if_its_code_says_so(
    kind: type[ResponseError], line: bytes, is_transient: bool
) -> None:
    error = kind("a", command="PASS ****", response=Response(ok=False, line=line))
    assert (error.command, error.response.line, error.is_transient) == ("PASS ****", line, is_transient)


def test_a_server_that_is_unproven_fails_the_login_and_is_a_matter_of_security() -> None:
    assert issubclass(ServerUnproven, AuthenticationFailed)
    assert issubclass(ServerUnproven, SecurityError)
    assert not issubclass(AuthenticationFailed, SecurityError)


def test_a_locked_maildrop_is_no_fault_of_the_credentials() -> None:
    assert not issubclass(MaildropLocked, AuthenticationFailed)
