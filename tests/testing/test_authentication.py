from base64 import b64encode

import pytest

from mailwire.testing.authentication import Authentication, Challenge, Claim, Failure

ALICE = Claim("alice", "sécret")
PLAIN = b64encode("\0alice\0sécret".encode())
USER, PASSWORD = b64encode(b"alice"), b64encode("sécret".encode())


def test_plain_takes_an_initial_response() -> None:
    assert Authentication("PLAIN").begin(PLAIN) == ALICE


def test_plain_asks_with_an_empty_challenge() -> None:
    exchange = Authentication("PLAIN")

    assert exchange.begin(None) == Challenge("")
    assert exchange.receive(PLAIN) == ALICE


def test_plain_knows_whom_to_act_as() -> None:
    assert Authentication("PLAIN").begin(b64encode(b"bob\0alice\0secret")) == Claim("alice", "secret", "bob")


def test_login_asks_for_the_user_and_the_password() -> None:
    exchange = Authentication("LOGIN")

    assert exchange.begin(None) == Challenge(b64encode(b"Username:").decode())
    assert exchange.receive(USER) == Challenge(b64encode(b"Password:").decode())
    assert exchange.receive(PASSWORD) == ALICE


def test_login_takes_an_initial_response_for_the_user() -> None:
    exchange = Authentication("LOGIN")

    assert exchange.begin(USER) == Challenge(b64encode(b"Password:").decode())
    assert exchange.receive(PASSWORD) == ALICE


def test_an_equals_sign_is_an_empty_initial_response() -> None:
    exchange = Authentication("LOGIN")

    assert exchange.begin(b"=") == Challenge(b64encode(b"Password:").decode())
    assert exchange.receive(PASSWORD) == Claim("", "sécret")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_an_asterisk_cancels(mechanism: str) -> None:
    exchange = Authentication(mechanism)
    exchange.begin(None)

    assert exchange.receive(b"*") is Failure.CANCELLED


@pytest.mark.parametrize(
    "response",
    [
        b"!",
        b"YQ",
        b"YQ==YQ==",
        b" YQ==",
        b64encode(b"alice\0secret"),
        b64encode(b"a\0b\0c\0d"),
        b64encode(b"\0a\0\xff"),
    ],
)
def test_plain_cannot_read_what_is_no_base64_or_has_other_fields(response: bytes) -> None:
    assert Authentication("PLAIN").begin(response) is Failure.MALFORMED


def test_login_cannot_read_what_is_no_text() -> None:
    exchange = Authentication("LOGIN")
    exchange.begin(USER)

    assert exchange.receive(b64encode(b"\xff")) is Failure.MALFORMED


def test_a_claim_does_not_show_its_password() -> None:
    assert "sécret" not in repr(ALICE)
