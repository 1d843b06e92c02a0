from base64 import b64encode

import pytest

from mailwire.testing import MECHANISMS, Account, Maildrop, Policy
from mailwire.testing.authentication import EXCHANGES, Authentication, Challenge
from mailwire.testing.mechanism import Setting
from mailwire.testing.refusal import Denied, Refusal

ALICE = Account("alice", "sécret")
PLAIN = b64encode("\0alice\0sécret".encode())
USER, PASSWORD = b64encode(b"alice"), b64encode("sécret".encode())


def authentication(mechanism: str) -> Authentication:
    return Authentication(mechanism, Setting(Maildrop([ALICE]), Policy(scram_iterations=1)))


def challenge(text: bytes) -> Challenge:
    return Challenge(b64encode(text).decode())


def test_every_mechanism_is_there() -> None:
    assert set(EXCHANGES) == set(MECHANISMS)


def test_an_initial_response_saves_a_turn() -> None:
    assert authentication("PLAIN").begin(PLAIN) == ALICE


def test_without_an_initial_response_an_empty_challenge_asks_for_it() -> None:
    exchange = authentication("PLAIN")

    assert exchange.begin(None) == Challenge("")
    assert exchange.receive(PLAIN) == ALICE


def test_login_takes_an_initial_response_for_the_user() -> None:
    exchange = authentication("LOGIN")

    assert exchange.begin(USER) == challenge(b"Password:")
    assert exchange.receive(PASSWORD) == ALICE


def test_login_asks_for_the_user_and_the_password() -> None:
    exchange = authentication("LOGIN")

    assert exchange.begin(None) == challenge(b"Username:")
    assert exchange.receive(USER) == challenge(b"Password:")
    assert exchange.receive(PASSWORD) == ALICE


@pytest.mark.parametrize("initial", [b"=", b"", b64encode(b"alice"), b"*"])
def test_where_the_server_begins_an_initial_response_is_refused(initial: bytes) -> None:
    # RFC 4954 4
    with pytest.raises(Refusal, match="initial response"):
        authentication("CRAM-MD5").begin(initial)


def test_an_equals_sign_is_an_empty_initial_response() -> None:
    assert authentication("LOGIN").begin(b"=") == challenge(b"Password:")


def test_an_equals_sign_is_no_later_response() -> None:
    exchange = authentication("LOGIN")
    exchange.begin(USER)

    with pytest.raises(Refusal, match="malformed"):
        exchange.receive(b"=")


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_an_asterisk_cancels(mechanism: str) -> None:
    exchange = authentication(mechanism)
    exchange.begin(None)

    with pytest.raises(Refusal, match="cancelled"):
        exchange.receive(b"*")


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("line", [b"!", b"YQ", b"YQ==YQ==", b" YQ==", b"YQ== ", b"=AAA", b"AAA=BBB", b"Y-_=", b"\xff"])
def test_what_is_no_base64_cannot_be_read(mechanism: str, line: bytes) -> None:
    # RFC 4954 4
    exchange = authentication(mechanism)
    exchange.begin(None)

    with pytest.raises(Refusal) as refusal:
        exchange.receive(line)
    assert refusal.value.situation == "malformed"


@pytest.mark.parametrize("mechanism", sorted(set(MECHANISMS) - {"LOGIN"}))
def test_what_is_no_text_cannot_be_read(mechanism: str) -> None:
    exchange = authentication(mechanism)
    exchange.begin(None)

    with pytest.raises(Refusal) as refusal:
        exchange.receive(b64encode(b"\xff"))
    assert refusal.value.situation == "malformed"


def test_a_client_that_proves_nothing_is_denied() -> None:
    with pytest.raises(Denied) as refusal:
        authentication("PLAIN").begin(b64encode(b"\0alice\0wrong"))
    assert refusal.value.reason == "invalid-proof"
