"""Every transcript cut behind every octet of either side: the word for each recipient is the oracle's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import pytest

from mailwire.errors import ConnectionLost
from mailwire.smtp import LOCKSTEP, Connection, Delivery, Mailbox, State, Window
from tests.smtp.model_server import Script
from tests.smtp.oracle import accounts_of, word_for, words_for
from tests.smtp.sessions import Mail, Outcome, run

# Short names: every octet is a cut.
SENDER, *RECIPIENTS = (Mailbox(name, "x") for name in "abcde")
# A dot where a line begins, a line end cut in two, a line without an end.
BODY = (b"a\r", b"\n.b\n", b"c")
WHOLE = b"a\r\n.b\r\nc\r\n"

WINDOWS = {"lockstep": LOCKSTEP, "narrow": Window(commands=3, octets=90), "wide": Window(commands=100, octets=4096)}


@dataclass(frozen=True)
class Case:
    """A session: what the server answers, and how the mails are sent."""

    scripts: tuple[Script, ...]
    chunking: bool | Literal["eager"] = False
    on_refused: Literal["send", "abort"] = "send"
    lmtp: bool = False
    in_a_row: bool = False

    @property
    def mails(self) -> list[Mail]:
        return [
            Mail(BODY, RECIPIENTS[: len(script.recipients)], SENDER, chunking=self.chunking, on_refused=self.on_refused)
            for script in self.scripts
        ]

    def run(self, window: Window, *, chunk: int = 1_000_000, **cut: Any) -> Outcome:
        connection = Connection(window=window, lmtp=self.lmtp)
        # Every block is a chunk of its own.
        return run(self.scripts, self.mails, connection, in_a_row=self.in_a_row, chunk=chunk, chunk_size=1, **cut)


BOTH, ONE, NONE = (250, 250), (250, 550), (550, 450)

TEXT = [
    Script(),
    Script(recipients=ONE),
    Script(recipients=NONE),
    Script(recipients=NONE, accepts_empty=True),
    Script(mail=550, recipients=BOTH),
    Script(data=451, recipients=ONE),
    Script(end=554, recipients=ONE),
    Script(end=421, recipients=ONE),
    Script(mail=421),
    Script(recipients=(250, 421, 250)),
    Script(data=421),
    Script(recipients=NONE, rset=500),
]
CHUNKED = [
    Script(),
    Script(recipients=ONE),
    Script(recipients=NONE),
    Script(mail=550, recipients=BOTH),
    Script(chunks=(250, 552), recipients=ONE),
    Script(chunks=(552,), recipients=BOTH),
    Script(chunks=(500,)),
    Script(chunks=(421,), recipients=BOTH),
    Script(chunks=(452,), rset=421),
    Script(end=554, recipients=ONE),
    Script(end=502),
    Script(end=421),
    Script(recipients=(421, 250)),
]
LMTP = [
    Script(recipients=BOTH),
    Script(recipients=(250, 550, 250), ends=(250, 452)),
    Script(recipients=(250, 250, 250), ends=(552, 250, 250)),
    Script(recipients=BOTH, end=554),
    Script(recipients=(250, 250, 250), ends=(250, 421, 250)),
    Script(recipients=NONE),
    Script(recipients=NONE, accepts_empty=True),
    Script(mail=550, recipients=BOTH),
    Script(data=451),
]


def cases() -> Iterator[Case]:
    for script in TEXT:
        yield Case((script,))
    for script in (*TEXT, Script(recipients=BOTH), Script(recipients=(250, 550, 250))):
        yield Case((script,), on_refused="abort")
    modes: tuple[bool | Literal["eager"], ...] = (True, "eager")
    for chunking in modes:
        for script in CHUNKED:
            yield Case((script,), chunking=chunking)
    yield Case((Script(recipients=(250, 550, 250)),), chunking=True, on_refused="abort")
    for script in LMTP:
        yield Case((script,), lmtp=True)
        yield Case((script,), lmtp=True, chunking=True)
    for script in (*LMTP, Script(chunks=(552,), recipients=BOTH), Script(chunks=(250, 552), recipients=BOTH)):
        yield Case((script,), lmtp=True, chunking="eager")
    # Mails in a row: what becomes of the first, and what of the one behind it.
    plain = Script(recipients=ONE)
    for first in (Script(), Script(end=554), Script(end=421)):
        for second in (plain, Script(mail=550, recipients=BOTH), Script(recipients=NONE), Script(data=451)):
            yield Case((first, second, plain), in_a_row=True)
    for chunking in modes:
        for first in (Script(), Script(mail=550), Script(recipients=NONE), Script(chunks=(552,)), Script(end=554)):
            yield Case((first, plain, plain), chunking=chunking, in_a_row=True)
        yield Case((Script(chunks=(552,), rset=451), plain), chunking=chunking, in_a_row=True)
    mixed = Script(recipients=BOTH, ends=(250, 552))
    yield Case((mixed, plain), lmtp=True, in_a_row=True)
    for chunking in modes:
        yield Case((mixed, plain), lmtp=True, chunking=chunking, in_a_row=True)
        yield Case((Script(recipients=NONE), mixed), lmtp=True, chunking=chunking, in_a_row=True)


def name(case: Case) -> str:
    """Say how the mails are sent, and what the server answers other than by default."""
    how = [
        "lmtp" * case.lmtp,
        {False: "data", True: "chunks", "eager": "eager"}[case.chunking],
        "abort" * (case.on_refused == "abort"),
        "in-a-row" * case.in_a_row,
    ]
    odd = [
        f"{field.name}={getattr(script, field.name)}".replace(" ", "")
        for script in case.scripts
        for field in fields(script)
        if getattr(script, field.name) != field.default
    ]
    return "-".join(filter(None, (*how, *odd)))


CASES = list(cases())
every_case = pytest.mark.parametrize("case", CASES, ids=name)
extreme_windows = pytest.mark.parametrize("window", [WINDOWS["lockstep"], WINDOWS["wide"]], ids=["lockstep", "wide"])


def told(result: Outcome) -> list[tuple[Delivery, list[Delivery]]]:
    return [
        (receipt.delivery, [entry.delivery for entry in receipt.recipients])
        for receipt in (transaction.receipt() for transaction in result.sender.transactions)
    ]


def expected(case: Case, result: Outcome) -> list[tuple[Delivery, list[Delivery]]]:
    accounts = accounts_of(result.sent, result.heard, lmtp=case.lmtp)
    counts = [len(script.recipients) for script in case.scripts][: len(result.sender.transactions)]
    found = []
    for number, count in enumerate(counts):
        # A mail of which nothing was handed out.
        words = [Delivery.NOT_SENT] * count
        if number < len(accounts):
            words = words_for(accounts[number], count, lmtp=case.lmtp)
        found.append((word_for(words, all_or_nothing=case.on_refused == "abort"), words))
    return found


def check(case: Case, result: Outcome, context: object = "whole") -> None:
    assert told(result) == expected(case, result), (context, result.sent, result.heard)
    # What the server knows itself must not contradict it: for whom it has the mail, and for whom it does not.
    has = [set(standing) for standing, _ in result.server.accepted]
    for transaction in result.sender.transactions:
        receipt = transaction.receipt()
        for entry in receipt.recipients:
            line = f"RCPT TO:<{entry.address}>".encode()
            if entry.delivery is Delivery.ACCEPTED:
                assert any(line in standing for standing in has), context
    certain = sum(word is not Delivery.UNKNOWN for word, _ in told(result))
    if certain == len(result.sender.transactions):
        got = sum(word is Delivery.ACCEPTED for word, _ in told(result))
        assert len(result.server.accepted) == got, context
    # Nobody ever gets a blank mail, half a mail, or another's.
    for _, message in result.server.accepted:
        assert message == WHOLE, context


def beginning(case: Case, octets: bytes, *marks: bytes) -> int:
    """Where the mails begin: what is before that is cut in the first case alone."""
    if case is CASES[0]:
        return 0
    return next(octets.index(mark) + len(mark) for mark in marks if mark in octets)


@extreme_windows
@every_case
def test_the_word_is_right_wherever_the_servers_octets_are_cut(case: Case, window: Window) -> None:
    whole = case.run(window)
    check(case, whole)
    for cut in range(beginning(case, whole.heard, b"250 DSN\r\n", b"250 PIPELINING\r\n"), len(whole.heard)):
        result = case.run(window, server_cut=cut)
        assert len(result.heard) <= cut
        check(case, result, cut)
        assert result.sender.connection.state is State.CLOSED
        assert result.error is None or isinstance(result.error, ConnectionLost)


@extreme_windows
@every_case
def test_the_word_is_right_wherever_the_clients_octets_are_cut(case: Case, window: Window) -> None:
    whole = case.run(window)
    for cut in range(beginning(case, whole.sent, b"HLO client.example.org\r\n"), len(whole.sent)):
        check(case, case.run(window, client_cut=cut), cut)


@every_case
def test_windows_change_neither_the_words_nor_what_the_server_has(case: Case) -> None:
    slow, *fast = (case.run(window) for window in WINDOWS.values())
    for result in fast:
        assert told(result) == told(slow)
        assert result.server.accepted == slow.server.accepted
        assert result.server.senders == slow.server.senders


@every_case
def test_however_the_servers_octets_are_cut_the_words_are_the_same_and_so_is_what_it_has(case: Case) -> None:
    for window in WINDOWS.values():
        whole = case.run(window)
        for chunk in (1, 2, 3, 7, 19):
            result = case.run(window, chunk=chunk)
            assert told(result) == told(whole), chunk
            assert result.server.accepted == whole.server.accepted, chunk


@every_case
def test_a_server_that_cannot_be_pipelined_changes_neither(case: Case) -> None:
    result = case.run(WINDOWS["wide"])
    scripts: Sequence[Script] = [replace(script, pipelining=False) for script in case.scripts]
    slow = replace(case, scripts=tuple(scripts)).run(WINDOWS["wide"])
    assert told(result) == told(slow)
    assert result.server.accepted == slow.server.accepted


@every_case
def test_a_session_that_is_not_cut_ends_clean_or_is_given_up(case: Case) -> None:
    result = case.run(WINDOWS["wide"])
    assert result.error is None
    assert result.sender.connection.state is State.CLOSED
    transactions = result.sender.transactions
    assert all(transaction.finished for transaction in transactions)
    given_up = any(transaction.must_close for transaction in transactions)
    assert (result.server.commands[-1:] == [b"QUIT"]) == (not given_up and b"421 " not in result.heard)


def test_the_sender_of_every_mail_is_its_own() -> None:
    # Were MAIL refused because the mail before it was not left, its recipients would be given another's message.
    for case in CASES:
        for window in WINDOWS.values():
            result = case.run(window)
            assert all(sender.startswith(f"MAIL FROM:<{SENDER}>".encode()) for sender in result.server.senders)
