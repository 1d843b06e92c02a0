"""What goes wrong with answers, in sessions without I/O and over sockets."""

import asyncio
import re
import smtplib
from typing import Any

import pytest

import mailwire
from mailwire import Delivery, Endpoint, Timeouts
from mailwire.errors import LocalProtocolError
from mailwire.testing import (
    Account,
    Delayed,
    Doubled,
    Early,
    HeldBack,
    HungUp,
    LMTPServer,
    Maildrop,
    MailServer,
    Mishap,
    POP3Server,
    Quirk,
    Replaced,
    SMTPQuirk,
    SMTPServer,
    Split,
    Unanswered,
    client_context,
    server_context,
)
from tests.clock import Clock

ALICE = Account("alice", "secret", ("alice@example.org",))
MESSAGE = b"Subject: x\r\n\r\nhello\r\n"
GREETING = b"220 localhost ESMTP mailwire.testing\r\n"
NOOP = b"250 2.0.0 Still here\r\n"
RSET = b"250 2.0.0 Forgotten\r\n"


def begin(*mishaps: Mishap, kind: Any = SMTPServer, **settings: Any) -> Any:
    session = kind(Maildrop([ALICE]), **settings)
    session.inject(*mishaps)
    return session


def say(session: Any, *lines: str) -> list[bytes]:
    session.receive_data("".join(f"{line}\r\n" for line in lines).encode())
    return list(session.data_to_send())


def test_without_mishaps_all_goes_well() -> None:
    session = begin()
    assert session.data_to_send() == [GREETING]
    assert say(session, "NOOP", "NOOP") == [NOOP * 2]


def test_an_answer_is_left_out() -> None:
    session = begin(Unanswered("NOOP", 2), Unanswered("greeting"))
    assert session.data_to_send() == []
    assert say(session, "NOOP", "noop", "NOOP") == [NOOP * 2]


def test_an_answer_is_another_one() -> None:
    session = begin(Replaced("NOOP", b"451 later\r\n"), Replaced("greeting", b"\xff"))
    assert session.data_to_send() == [b"\xff"]
    assert say(session, "NOOP") == [b"451 later\r\n"]


def test_an_answer_is_said_twice() -> None:
    session = begin(Doubled("RSET"))
    session.data_to_send()
    assert say(session, "NOOP", "RSET", "NOOP")[1].startswith(b"250 2.0.0")
    session = begin(Doubled("greeting"))
    assert session.data_to_send() == [GREETING * 2]


def test_an_answer_leaves_in_packets() -> None:
    session = begin(Split("NOOP", 5))
    session.data_to_send()
    assert say(session, "NOOP", "NOOP") == [b"250 2", b".0.0 ", b"Still", b" here", b"\r\n", NOOP]


def test_an_answer_leaves_with_the_next_one() -> None:
    session = begin(HeldBack("NOOP"))
    session.data_to_send()
    assert say(session, "NOOP") == []
    assert say(session, "RSET") == [NOOP + RSET]


def test_an_answer_comes_before_it_is_asked_for() -> None:
    session = begin(Early("RSET", b"250 early\r\n", behind="NOOP", number=2))
    session.data_to_send()
    assert say(session, "NOOP") == [NOOP]
    assert say(session, "NOOP") == [NOOP, b"250 early\r\n"]
    assert say(session, "RSET") == []
    assert say(session, "RSET") == [RSET]


@pytest.mark.parametrize("by", ["FIN", "RST"])
def test_it_hangs_up(by: Any) -> None:
    session = begin(HungUp("NOOP", 2, by))
    session.data_to_send()
    assert say(session, "NOOP", "NOOP", "NOOP") == [NOOP]
    assert session.closing
    assert session.resets is (by == "RST")
    session = begin(HungUp("NOOP", by=by, behind=True))
    session.data_to_send()
    assert say(session, "NOOP", "NOOP") == [NOOP]


@pytest.mark.parametrize("is_turned_round", [False, True])
def test_several_mishaps_of_one_answer_happen_in_an_order_of_their_own(is_turned_round: bool) -> None:
    mishaps: list[Mishap] = [
        *(Replaced("NOOP", b"ab"), Doubled("NOOP"), HungUp("NOOP", behind=True), Split("NOOP", 3)),
        *(Delayed("NOOP", 2), Delayed("NOOP", 5)),
    ]
    session = begin(*(reversed(mishaps) if is_turned_round else mishaps))
    session.data_to_send()
    assert say(session, "NOOP") == []
    assert session.delay == 7
    session.end_delay()
    assert session.data_to_send() == [b"aba", b"b"]
    assert session.closing
    assert not session.outstanding


def test_an_answer_is_late_and_so_are_those_behind_it() -> None:
    session = begin(Delayed("NOOP", 2), Delayed("RSET", 3))
    session.data_to_send()
    with pytest.raises(LocalProtocolError, match="nothing waits for a time to pass"):
        session.end_delay()
    assert say(session, "NOOP", "HELP", "RSET", "NOOP") == []
    assert session.delay == 2
    session.end_delay()
    first = session.data_to_send()
    assert [packet[:4] for packet in first] == [b"250 ", b"214 "]
    assert session.delay == 3
    session.end_delay()
    assert session.data_to_send() == [RSET, NOOP]
    assert session.delay is None
    assert SMTPServer(Maildrop()).delay is None


def test_what_was_asked_for_is_done_all_the_same() -> None:
    session = begin(HungUp("."))
    session.data_to_send()
    say(session, "EHLO c", "MAIL FROM:<>", "RCPT TO:<alice@example.org>", "DATA")
    assert say(session, "hello", ".") == []
    assert session.closing
    assert [message.content for message in session._maildrop.messages("alice")] == [b"hello\r\n"]


def test_chunks_the_verdicts_of_lmtp_and_challenges_are_steps() -> None:
    session = begin(Replaced("BDAT", b"250 one\r\n"), Replaced(".", b"552 no\r\n"))
    session.data_to_send()
    said = say(session, "EHLO c", "MAIL FROM:<>", "RCPT TO:<alice@example.org>", "BDAT 2", "", "BDAT 2 LAST", "")
    assert said[-2:] == [b"250 one\r\n", b"552 no\r\n"]
    session = begin(Split(".", 3), kind=LMTPServer)
    session.data_to_send()
    say(session, "LHLO c", "MAIL FROM:<>", "RCPT TO:<alice@example.org>", "DATA")
    assert max(map(len, say(session, "hello", "."))) == 3
    session = begin(Replaced("AUTH", b"334 !!!\r\n", 2))
    session.data_to_send()
    say(session, "EHLO c", "AUTH LOGIN")
    assert say(session, "YWxpY2U=") == [b"334 !!!\r\n"]


def verdicts(*mishaps: Mishap, last: tuple[str, ...] = ("DATA", "hello", ".")) -> tuple[Any, list[bytes]]:
    """What is said to a message for two, who are the same."""
    session = begin(*mishaps, kind=LMTPServer)
    say(session, "LHLO c", "MAIL FROM:<>", "RCPT TO:<alice@example.org>", "RCPT TO:<alice@example.org>")
    *opening, end = last
    say(session, *opening)
    return session, say(session, end)


VERDICT = b"250 2.1.5 Recipient <alice@example.org> has it as 00000001\r\n"


@pytest.mark.parametrize(
    ("mishaps", "said"),
    [
        ([], [VERDICT * 2]),
        ([HungUp(".")], []),
        ([HungUp(".", behind=True)], [VERDICT]),
        ([HungUp(".", 2)], [VERDICT]),
        ([HungUp(".", 2, behind=True)], [VERDICT * 2]),
        ([Unanswered(".")], [VERDICT]),
        ([Replaced(".", b"25", 2)], [VERDICT, b"25"]),
        ([Replaced(".", b"451 4.3.0 later\r\n")], [b"451 4.3.0 later\r\n", VERDICT]),
        ([Split(".", 50, number=2)], [VERDICT, VERDICT[:50], VERDICT[50:]]),
        ([Doubled(".", 2)], [VERDICT, VERDICT * 2]),
        ([HeldBack(".")], [VERDICT * 2]),
        ([Early(".", b"250 early\r\n", behind=".")], [VERDICT, b"250 early\r\n"]),
    ],
)
def test_each_verdict_of_lmtp_is_a_step(mishaps: list[Mishap], said: list[bytes]) -> None:
    assert verdicts(*mishaps)[1] == said


def test_a_verdict_of_lmtp_is_late() -> None:
    session, said = verdicts(Delayed(".", 3, number=2))
    assert said == [VERDICT]
    assert session.delay == 3
    session.end_delay()
    assert session.data_to_send() == [VERDICT]


def test_the_verdicts_of_the_last_chunk_are_steps_and_counted_on() -> None:
    session, said = verdicts(HungUp(".", 3, by="RST"), Doubled(".", 4), last=("BDAT 2 LAST", ""))
    assert said == [VERDICT * 2]
    say(session, "MAIL FROM:<>", "RCPT TO:<alice@example.org>", "RCPT TO:<alice@example.org>", "DATA")
    assert say(session, "hello", ".") == []
    assert session.resets
    assert session.outstanding == (Doubled(".", 4),)  # behind the end nothing happens any more


def test_a_message_that_smtp_answers_once_is_a_step_once() -> None:
    session = begin(HungUp(".", 2))
    say(session, "EHLO c", "MAIL FROM:<>", "RCPT TO:<alice@example.org>", "RCPT TO:<alice@example.org>", "DATA")
    assert say(session, "hello", ".")[0].startswith(b"250")
    assert not session.closing


def test_pop3_has_mishaps_too() -> None:
    session = begin(Doubled("greeting"), Unanswered("USER"), HungUp("QUIT"), kind=POP3Server)
    assert session.data_to_send()[0].count(b"+OK") == 2
    assert say(session, "USER alice") == []
    assert say(session, "PASS secret")[0].startswith(b"+OK")
    assert say(session, "QUIT") == []
    assert session.closing


def test_tls_begins_behind_a_go_ahead_that_is_late() -> None:
    session = begin(Delayed("STARTTLS", 1), tls="available")
    session.data_to_send()
    say(session, "EHLO c")
    assert say(session, "STARTTLS") == []
    assert not session.wants_tls
    session.end_delay()
    assert session.data_to_send()[0].startswith(b"220")
    assert session.wants_tls


@pytest.mark.parametrize("behind", [True, False])
def test_who_hangs_up_on_the_wish_for_tls_begins_none(behind: bool) -> None:
    session = begin(HungUp("STARTTLS", behind=behind), tls="available")
    session.data_to_send()
    said = say(session, "EHLO c", "STARTTLS")
    assert (said[-1].endswith(b"Begin TLS now\r\n"), session.closing, session.wants_tls) == (behind, True, False)


@pytest.mark.parametrize("size", [1, 2000, 5000])
def test_a_line_too_long_is_no_step_and_its_answer_keeps_its_place(size: int) -> None:
    octets = b"NOOP\r\n" + b"x" * 4000 + b"\r\nRSET\r\n"
    session = begin(Delayed("NOOP", 1), Unanswered("NOOP", 2), Unanswered("RSET"))
    session.data_to_send()
    for start in range(0, len(octets), size):
        session.receive_data(octets[start : start + size])
    assert session.data_to_send() == []
    session.end_delay()
    assert b"".join(session.data_to_send()) == NOOP + b"500 5.5.6 Line too long\r\n"
    assert [mishap.number for mishap in session.outstanding] == [2]
    session = begin(Unanswered("AUTH", 2))
    say(session, "EHLO c", "AUTH LOGIN")
    assert say(session, "x" * 20_000) == []


def test_the_step_of_a_verb_with_a_tab_behind_it_is_the_verb() -> None:
    session = begin(Unanswered("RSET"))
    session.data_to_send()
    assert say(session, "RSET\t") == []


def test_mishaps_are_asked_for_once_and_in_time() -> None:
    session = begin()
    with pytest.raises(LocalProtocolError, match="before the session begins"):
        session.inject(Doubled("NOOP"))
    session = SMTPServer(Maildrop())
    session.receive_data(b"NOOP\r\n")
    with pytest.raises(LocalProtocolError, match="before the session begins"):
        session.inject(Doubled("NOOP"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Unanswered("noop"), 'expected "greeting", a verb in capitals or ".", got \'noop\''),
        (lambda: Unanswered(""), "a verb in capitals"),
        (lambda: HeldBack("NOOP", 0), "1 at least, got 0"),
        (lambda: Doubled("NOOP", -1), "1 at least, got -1"),
        (lambda: Replaced("x", b""), "a verb in capitals"),
        (lambda: Split("NOOP", 0), "1 at least, got 0"),
        (lambda: Delayed("NOOP", -1), "expected seconds to be a number, 0 at least, got -1"),
        (lambda: Delayed("NOOP", float("nan")), "a number"),
        (lambda: Delayed("NOOP", float("inf")), "a number"),
        (lambda: Unanswered("MAIL FROM"), "a verb in capitals or"),
        (lambda: Unanswered(1), "expected a step to be text, got 1"),  # type: ignore[arg-type]
        (lambda: HungUp("NOOP", "RST"), "got 'RST'"),  # type: ignore[arg-type]
        (lambda: HungUp("NOOP", behind=1), "True or False, got 1"),  # type: ignore[arg-type]
        (lambda: Replaced("MAIL", "451 no\r\n"), "octets to be bytes, got '451 no"),  # type: ignore[arg-type]
        (lambda: Early("MAIL", "250 ok\r\n", "EHLO"), "octets to be bytes, got '250 ok"),  # type: ignore[arg-type]
        (lambda: HungUp("NOOP", by="ACK"), "FIN"),  # type: ignore[arg-type]
        (lambda: Early("NOOP", b"", "noop"), "a verb in capitals"),
    ],
)
def test_what_can_be_no_mishap_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# Over sockets


async def send(server: MailServer, **settings: Any) -> mailwire.Receipt:
    # An address needs no thread to look it up, which would take its time outside the test's clock.
    host = "127.0.0.1" if settings.get("tls", "none") == "none" else "localhost"
    endpoint = Endpoint(host, server.smtp_port, **{"tls": "none", **settings})
    return await mailwire.send(MESSAGE, endpoint, sender="bob@example.org", recipients=["alice@example.org"])


@pytest.mark.parametrize(
    ("kind", "command", "refusal"),
    [(SMTPServer, "STARTTLS", b"454 not now\r\n"), (POP3Server, "STLS", b"-ERR not now\r\n")],
)
def test_where_another_answer_than_the_agreement_is_said_tls_does_not_begin(
    kind: Any, command: str, refusal: bytes
) -> None:
    session = begin(Replaced(command, refusal), kind=kind, tls="available")
    session.data_to_send()
    greeting = ("EHLO c",) if kind is SMTPServer else ("CAPA",)
    say(session, *greeting)
    assert say(session, command, "QUIT")[0] == refusal
    assert not session.wants_tls
    assert session.closing  # what came behind it was heard


def test_another_agreement_is_one() -> None:
    session = begin(Replaced("STARTTLS", b"220 do\r\n"), Replaced("EHLO", b"250 mx\r\n"), tls="available")
    session.data_to_send()
    assert say(session, "EHLO c", "STARTTLS", "QUIT")[-1] == b"220 do\r\n"
    assert session.wants_tls


def test_a_quirk_that_refuses_tls_does_not_begin_it() -> None:
    quirk = Quirk("never", smtp=SMTPQuirk(replies={"starttls": "454 4.7.0 Never"}))
    session = begin(tls="available", quirk=quirk)
    say(session, "EHLO c")
    assert say(session, "STARTTLS") == [b"454 4.7.0 Never\r\n"]
    assert not session.wants_tls


async def test_each_session_has_its_own_mishaps() -> None:
    async with MailServer([ALICE]) as server:
        server.inject(HungUp(".", by="RST"))
        server.inject()
        server.inject(Replaced(".", b"451 later\r\n"))
        with pytest.raises(mailwire.ConnectionLost) as lost:
            await send(server)
        assert lost.value.delivery is Delivery.UNKNOWN
        assert len(server.messages("alice")) == 1
        assert (await send(server)).delivery is Delivery.ACCEPTED
        with pytest.raises(mailwire.DataRefused):
            await send(server)
        await send(server)
        assert len(server.messages("alice")) == 4


async def test_a_late_answer_comes_when_its_time_has_passed() -> None:
    clock = Clock()
    async with MailServer([ALICE]) as server:
        server.inject(Delayed("MAIL", 20), Delayed("QUIT", 1))
        sending = asyncio.create_task(send(server, timeouts=Timeouts(command=30)))
        await clock.advance(19)
        assert not sending.done()
        await clock.advance(2)
        await clock.advance(2)
        assert (await sending).delivery is Delivery.ACCEPTED


async def test_who_does_not_wait_leaves_nothing_behind() -> None:
    clock = Clock()
    async with MailServer([ALICE]) as server:
        server.inject(Delayed("MAIL", 20))
        sending = asyncio.create_task(send(server, timeouts=Timeouts(command=10)))
        await clock.advance(11)
        with pytest.raises(mailwire.DeadlineExceeded):
            await sending
        await server.wait_idle()
        await clock.advance(30)


async def test_mishaps_happen_under_tls() -> None:
    async with MailServer([ALICE], tls_context=server_context()) as server:
        server.inject(HungUp("RCPT", by="RST", behind=True), Split("EHLO"))
        with pytest.raises(mailwire.ConnectionLost) as lost:
            await send(server, tls="starttls", tls_context=client_context(), use_chunking=False)
        assert lost.value.delivery is Delivery.NOT_SENT


def test_mishaps_happen_to_programs_that_block(mail_server: MailServer) -> None:
    mail_server.inject(Replaced("RCPT", b"450 later\r\n"))
    with smtplib.SMTP(mail_server.host, mail_server.smtp_port) as smtp, pytest.raises(smtplib.SMTPRecipientsRefused):
        smtp.sendmail("bob@example.org", ["alice@example.org"], MESSAGE)


async def test_lmtp_has_mishaps_too() -> None:
    async with MailServer([ALICE]) as server:
        server.inject(HungUp("."))
        endpoint = Endpoint("localhost", server.lmtp_port, protocol="lmtp", tls="none", use_chunking=False)
        with pytest.raises(mailwire.ConnectionLost) as lost:
            await mailwire.send(MESSAGE, endpoint, sender="bob@example.org", recipients=["alice@example.org"])
        assert lost.value.delivery is Delivery.UNKNOWN


async def test_a_client_of_lmtp_knows_the_verdicts_before_the_one_that_is_lost() -> None:
    async with MailServer([ALICE, Account("bob", "", ("bob@example.org",))]) as server:
        server.inject(HungUp(".", number=2))
        endpoint = Endpoint("localhost", server.lmtp_port, protocol="lmtp", tls="none")
        with pytest.raises(mailwire.ConnectionLost) as lost:
            await mailwire.send(
                MESSAGE, endpoint, sender="c@example.org", recipients=["alice@example.org", "bob@example.org"]
            )
        receipt = lost.value.receipt
        assert receipt is not None
        assert (receipt.accepted, [each.address for each in receipt.unknown]) == (
            ("alice@example.org",),
            ["bob@example.org"],
        )
        assert not server.outstanding


def test_what_is_no_mishap_is_refused_when_it_is_injected() -> None:
    wrong: Any = [HungUp(".")]
    for inject in (SMTPServer(Maildrop()).inject, MailServer().inject):
        with pytest.raises(ValueError, match="expected mishaps, such as HungUp"):
            inject(wrong)


@pytest.mark.parametrize(
    ("kind", "step", "steps"),
    [
        (SMTPServer, "DTA", "'greeting', 'EHLO', 'HELO', .*'AUTH', '.'"),
        (SMTPServer, "RETR", "'greeting', 'EHLO', 'HELO', .*'AUTH', '.'"),
        (LMTPServer, "EHLO", "'greeting', 'LHLO', 'MAIL', .*'AUTH', '.'"),
        (POP3Server, "RETRR", "'greeting', 'CAPA', .*'NOOP', 'QUIT'"),
        (POP3Server, ".", "'greeting', 'CAPA', .*'NOOP', 'QUIT'"),
    ],
)
def test_a_step_that_the_protocol_has_not_is_refused(kind: Any, step: str, steps: str) -> None:
    session = kind(Maildrop())
    for wrong in (HungUp(step), Early(step, b"", "QUIT"), Early("QUIT", b"", step)):
        with pytest.raises(
            ValueError, match=rf"expected a step of {steps}; got '{re.escape(step)}' in {re.escape(repr(wrong))}"
        ):
            session.inject(wrong)
    session.inject(*map(Unanswered, kind.steps))
    assert len(session.outstanding) == len(kind.steps) - 1


async def test_a_mishap_waits_for_a_session_of_its_protocol() -> None:
    pop3, smtp, retr = HungUp("QUIT", by="RST"), Doubled("QUIT"), Unanswered("RETR")
    async with MailServer([ALICE]) as server:
        server.inject(pop3, protocol="pop3")
        server.inject(smtp, protocol="smtp")
        server.inject(retr)
        await send(server)
        assert server.outstanding == (pop3, retr)
        endpoint = Endpoint("127.0.0.1", server.pop3_port, protocol="pop3", tls="none")
        async with mailwire.POP3Client(endpoint):
            pass
        await server.wait_idle()
        assert server.outstanding == (retr,)


def test_mishaps_that_have_not_happened_are_told() -> None:
    early, late, twice = Early("RSET", b"x", "NOOP"), Replaced("NOOP", b"y"), Doubled("NOOP", 2)
    session = begin(early, late, twice, Unanswered("VRFY"))
    assert session.outstanding == (early, late, twice, Unanswered("VRFY"))
    say(session, "NOOP")
    assert session.outstanding == (twice, Unanswered("VRFY"))
    say(session, "NOOP")
    assert session.outstanding == (Unanswered("VRFY"),)
    assert SMTPServer(Maildrop()).outstanding == ()


async def test_a_server_tells_of_mishaps_whose_session_or_step_has_not_come() -> None:
    async with MailServer([ALICE]) as server:
        server.inject(Split("EHLO"), Replaced("HELP", b"214 x\r\n"))
        server.inject(Unanswered("."))
        assert len(server.outstanding) == 3
        await send(server, use_chunking=False)
        assert server.outstanding == (Replaced("HELP", b"214 x\r\n"), Unanswered("."))
