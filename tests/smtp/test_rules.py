from itertools import product
from typing import Any

import pytest

from mailwire.errors import (
    AuthenticationFailed,
    LocalProtocolError,
    MailwireError,
    NotSupported,
    RemoteProtocolError,
    TLSFailed,
)
from mailwire.sasl import Password, Plain
from mailwire.smtp import (
    Auth,
    Bdat,
    BdatLast,
    Command,
    Data,
    Ehlo,
    EndOfData,
    Expn,
    Extensions,
    Greeting,
    Helo,
    Help,
    Lhlo,
    Mail,
    Mailbox,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    State,
    Vrfy,
)
from mailwire.smtp.rules import Begun, check_spelling, fault, injection, loss, miscount, objection
from mailwire.smtp.states import transition
from tests.smtp.sessions import A, B, reply

SITUATIONS = ("is_authenticated", "is_secured", "is_lmtp", "is_binary")


def login() -> Auth:
    return Auth(Plain(Password("a", "secret")))


# What each is refused in, but for HELO in its three forms.
REFUSED_IN: list[tuple[Command[object], str]] = [
    (login(), "is_authenticated"),
    (StartTls(), "is_secured"),
    (Data(), "is_binary"),
    *((command, "") for command in (Mail(A), Rcpt(B), Rset(), Noop(), Quit())),
]


@pytest.mark.parametrize(("command", "situation"), REFUSED_IN, ids=str)
def test_a_command_has_its_own_reason_to_be_refused(command: Command[object], situation: str) -> None:
    for values in product((False, True), repeat=4):
        given: dict[str, Any] = dict(zip(SITUATIONS, values, strict=True))
        assert (objection(command, **given) is not None) == given.get(situation, False)


@pytest.mark.parametrize("command", [Ehlo("c"), Helo("c"), Lhlo("c")], ids=str)
def test_lmtp_has_a_hello_of_its_own(command: Command[object]) -> None:
    for values in product((False, True), repeat=4):
        given: dict[str, Any] = dict(zip(SITUATIONS, values, strict=True))
        assert (objection(command, **given) is not None) == (given["is_lmtp"] is not isinstance(command, Lhlo))


def test_an_exchange_that_is_begun_is_not_sent_again() -> None:
    command = login()
    command.exchange.is_begun = True
    problem = objection(command, is_authenticated=False, is_secured=False, is_lmtp=False, is_binary=False)
    assert problem == "AUTH PLAIN **** was sent already: each exchange needs an Auth of its own"


BEYOND_ASCII = Mailbox("\xfc", "example.org")


@pytest.mark.parametrize("command", [Mail(BEYOND_ASCII), Rcpt(BEYOND_ASCII), Vrfy("\xfc"), Expn("\xfc")], ids=str)
def test_an_address_beyond_ascii_is_for_servers_that_offer_smtputf8(command: Command[object]) -> None:
    with pytest.raises(NotSupported) as caught:
        check_spelling(command, Extensions({"8BITMIME": ()}))
    assert str(caught.value) == f"{command} is beyond ASCII, and the server does not offer SMTPUTF8"
    assert caught.value.extension == "SMTPUTF8"
    check_spelling(command, Extensions({"SMTPUTF8": ()}))


@pytest.mark.parametrize("command", [Mail(None), Mail(A), Rcpt(B), Vrfy("b"), Noop("\xfc")], ids=str)
def test_what_names_no_address_beyond_ascii_is_for_all_servers(command: Command[object]) -> None:
    check_spelling(command, Extensions())


def found(command: Command[object], code: int, state: State, *, is_early: bool = False) -> MailwireError | None:
    row = transition(state, type(command))
    assert row is not None
    return fault(command, reply(code), row, is_early=is_early, quote=lambda said: f"<{said.code}>")


def check(command: Command[object], code: int, state: State, *, is_early: bool = False) -> object:
    return type(found(command, code, state, is_early=is_early))


def test_a_reply_that_leads_nowhere_is_a_fault() -> None:
    assert check(Rcpt(B), 354, State.TRANSACTION) is RemoteProtocolError
    assert check(Rcpt(B), 250, State.TRANSACTION) is type(None)
    assert check(Rcpt(B), 550, State.TRANSACTION) is type(None)
    assert check(Data(), 250, State.TRANSACTION) is RemoteProtocolError
    assert check(Data(), 354, State.TRANSACTION) is type(None)
    assert check(Noop(), 354, State.READY) is RemoteProtocolError


def test_the_first_digit_tells_whether_it_leads_anywhere() -> None:
    for code, kind in ((299, type(None)), (300, RemoteProtocolError), (399, RemoteProtocolError), (400, type(None))):
        assert check(Rcpt(B), code, State.TRANSACTION) is kind
    for code, kind in ((299, RemoteProtocolError), (300, type(None)), (399, type(None)), (400, type(None))):
        assert check(Data(), code, State.TRANSACTION) is kind


def test_a_fault_says_what_was_expected_and_what_came() -> None:
    assert str(found(Data(), 250, State.TRANSACTION)) == "expected 3yz or a refusal to DATA, got <250>"
    assert str(found(Noop(), 354, State.READY)) == "expected a final reply to NOOP, got <354>"
    assert str(found(BdatLast(1), 250, State.CHUNKS, is_early=True)) == "expected 4yz or 5yz to BDAT 1 LAST, got <250>"
    assert str(found(StartTls(), 250, State.READY)) == "expected 220 in reply to STARTTLS, got <250>"


def test_before_the_end_of_a_message_only_a_refusal_is_no_fault() -> None:
    for code, kind in ((250, RemoteProtocolError), (354, RemoteProtocolError), (552, type(None)), (421, type(None))):
        assert check(EndOfData(), code, State.MAIL_DATA, is_early=True) is kind


def test_a_greeting_and_a_farewell_are_no_success_but_where_they_are_due() -> None:
    ready, transaction = State.READY, State.TRANSACTION
    commands: list[tuple[Command[object], State]] = [
        *((Ehlo("a.example.org"), ready), (Lhlo("a.example.org"), ready), (Helo("a.example.org"), ready)),
        *((login(), ready), (Mail(A), ready), (Rcpt(B), transaction), (Rset(), State.CHUNKS)),
        *((EndOfData(), State.MAIL_DATA), (Bdat(1), State.CHUNKS), (BdatLast(1), State.CHUNKS)),
        *((Noop(), ready), (Vrfy("b"), ready), (Expn("b"), ready), (Help(), ready)),
    ]
    for command, state in commands:
        for code in (220, 221):
            wrong = found(command, code, state)
            assert type(wrong) is RemoteProtocolError
            assert str(wrong) == f"expected a final reply to {command}, got <{code}>"
    assert found(Greeting(), 220, State.GREETING) is None
    assert found(Quit(), 221, ready) is None
    assert found(Command(), 220, ready) is None  # of the caller's own


def test_only_220_begins_tls_and_no_success_comes_before_its_time() -> None:
    assert check(StartTls(), 220, State.READY) is type(None)
    for code in (221, 250, 354):
        assert check(StartTls(), code, State.READY) is TLSFailed
    assert check(StartTls(), 454, State.READY) is type(None)
    assert check(login(), 235, State.READY) is type(None)
    scram = Auth(Plain(Password("a", "secret")), sends_initial_response=False)
    assert check(scram, 300, State.READY) is type(None)
    assert check(scram, 535, State.READY) is type(None)
    scram.exchange.respond(b"!")
    assert check(scram, 235, State.READY) is AuthenticationFailed


def test_what_breaks_a_session_says_what_was_waited_for() -> None:
    assert str(injection("b'x'")) == (
        "expected nothing between the go-ahead to STARTTLS and the handshake, got b'x': somebody may be answering "
        "in the server's place"
    )
    assert str(loss(None, (), "")) == "the server closed the connection"
    assert str(loss(Noop(), (Noop(),), "")) == "the server closed the connection instead of replying to NOOP"
    assert str(loss(Noop(), (Noop(), Rset()), "")).endswith("instead of replying to NOOP and 1 more")
    assert str(loss(None, (), "", is_ours=True)) == "the connection was cut on this side"
    assert str(loss(Noop(), (Noop(),), "", is_ours=True)) == (
        "the connection was cut on this side before the reply to NOOP"
    )
    error = loss(Noop(), (Noop(), Rset(), Quit()), "b'25'")
    assert str(error) == (
        "the server closed the connection instead of replying to NOOP and 2 more, in the middle of a reply: b'25'"
    )
    assert error.in_flight == ("NOOP", "RSET", "QUIT")


class Told:
    """A transaction that only takes down what it is told."""

    def __init__(self) -> None:
        self.says_more = True
        self.finished = False
        self.gone: list[frozenset[int]] = []

    def leave(self) -> None:
        self.says_more = False

    def withdraw(self, discarded: frozenset[int]) -> None:
        self.gone.append(discarded)


def test_what_is_finished_leaves_in_its_order() -> None:
    begun, first, second = Begun(), Told(), Told()
    begun.add(first, is_first=True)
    begun.add(second, is_first=False)
    second.finished = True
    begun.take_finished()
    assert len(begun) == 2
    first.finished = True
    begun.take_finished()
    assert len(begun) == 0
    begun.take_finished()


def test_the_last_one_begun_is_left_once() -> None:
    begun, first, second = Begun(), Told(), Told()
    begun.leave()
    begun.refuse("anything")
    begun.add(first, is_first=True)
    begun.add(second, is_first=False)
    with pytest.raises(LocalProtocolError, match="RCPT"):
        begun.refuse("RCPT")
    begun.leave()
    begun.leave()
    assert (first.says_more, second.says_more) == (True, False)
    begun.refuse("RCPT")


def test_nobody_is_told_that_nothing_was_discarded() -> None:
    begun, transaction, noop = Begun(), Told(), Noop()
    begun.withdraw([noop])
    begun.add(transaction, is_first=True)
    begun.withdraw([])
    assert transaction.gone == []
    begun.withdraw([noop])
    assert transaction.gone == [frozenset({id(noop)})]
    assert len(begun) == 1


@pytest.mark.parametrize(
    ("rest", "may_be_taken", "is_doubtful"),
    [
        (b"", True, False),
        (b"4", True, False),
        (b"42", True, False),
        (b"421 bye\r\n", True, False),
        (b"5", True, True),
        (b"45", True, True),
        (b"420 no\r\n", True, True),
        (b"250 yes\r\n", True, True),
        (b"", False, False),
        (b"421 bye\r\n", False, False),
        (b"552 no\r\n", False, False),
        (b"552 2 many\r\n500", False, False),
        (b"2", False, True),
        (b"250 yes\r\n", False, True),
        (b"552 no\r\n250 yes\r\n", False, True),
    ],
)
def test_any_reply_may_be_the_verdict_where_there_is_one_too_many(
    rest: bytes, may_be_taken: bool, is_doubtful: bool
) -> None:
    error = miscount(rest, may_be_taken=may_be_taken, quote=lambda: "REST")
    assert (error is not None) is is_doubtful
    if error is not None:
        assert str(error) == "expected as many replies as commands, got one more, REST: none can be relied on"
