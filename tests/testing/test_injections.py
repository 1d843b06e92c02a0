"""Which session has the mishaps that were asked for."""

from typing import Any

import pytest

from mailwire.testing import Early, HungUp, LMTPServer, POP3Server, SMTPServer, Unanswered
from mailwire.testing.injections import Injections

QUIT, RETR, EHLO = Unanswered("QUIT"), Unanswered("RETR"), Unanswered("EHLO")


def new() -> Injections:
    return Injections({"smtp": SMTPServer.steps, "lmtp": LMTPServer.steps, "pop3": POP3Server.steps})


def test_without_a_protocol_they_are_for_whoever_has_their_steps_and_comes_first() -> None:
    injections = new()
    for mishap in (RETR, QUIT, EHLO):
        injections.add((mishap,), None)
    assert injections.outstanding == (RETR, QUIT, EHLO)
    assert injections.take("lmtp") == (QUIT,)
    assert injections.take("lmtp") == ()
    assert injections.take("smtp") == (EHLO,)
    assert injections.outstanding == (RETR,)
    assert injections.take("pop3") == (RETR,)
    assert injections.outstanding == ()


def test_with_a_protocol_they_are_for_it_alone() -> None:
    injections = new()
    injections.add((QUIT,), "pop3")
    injections.add((QUIT, EHLO), "smtp")
    injections.add((), "smtp")
    injections.add((EHLO,), "smtp")
    assert injections.take("lmtp") == ()
    assert [injections.take("smtp") for _ in range(4)] == [(QUIT, EHLO), (), (EHLO,), ()]
    assert injections.take("pop3") == (QUIT,)


@pytest.mark.parametrize(
    ("mishaps", "protocol", "message"),
    [
        ((HungUp("DTA"),), None, r"'EHLO', .*'\.', 'LHLO', .*'RETR', .*; got 'DTA' in HungUp\("),
        ((EHLO, HungUp("RETRR")), "pop3", "expected a step of 'greeting', 'CAPA', .*; got 'EHLO' in Unanswered"),
        ((HungUp("."),), "pop3", r"'QUIT'; got '\.'"),
        ((HungUp("RETR"),), "smtp", r"'AUTH', '\.'; got 'RETR'"),
        ((HungUp("HELO"),), "lmtp", r"'LHLO', 'MAIL', .*'\.'; got 'HELO'"),
        ((Early("MAIL", b"", "EHL0"),), None, "got 'EHL0' in Early"),
        ((RETR, EHLO), None, r"of one session, at steps of one protocol, got \(Unanswered\(step='RETR'"),
        ((QUIT,), "imap", "expected a protocol of smtp, lmtp, pop3; got 'imap'"),
        (("QUIT",), None, "expected mishaps, such as HungUp"),
    ],
)
def test_what_can_happen_in_no_session_is_refused(mishaps: Any, protocol: Any, message: str) -> None:
    injections = new()
    with pytest.raises(ValueError, match=message):
        injections.add(mishaps, protocol)
    assert injections.outstanding == ()
