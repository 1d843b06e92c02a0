import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.sasl import Mechanism, MechanismFailed, Password
from mailwire.sasl.cram_md5 import CHALLENGE_LIMIT, CramMD5
from tests.sasl.secrecy import CANARY, assert_hidden

CHALLENGE = b"<1896.697170952@postoffice.reston.mci.net>"


def test_the_response_is_that_of_the_example() -> None:
    # RFC 2195 2
    mechanism = CramMD5(Password("tim", "tanstaaftanstaaf"))
    assert mechanism.respond(CHALLENGE) == b"tim b913a602c7eda7a495b4e6e7334d3890"


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("jürgen", "пароль🔑"),
        ("user with spaces", "p" * 64),
        ("a", "p" * 65),
        ("a", " "),
        ("a@example.org", "\r\n\x01"),
    ],
)
def test_the_response_is_the_user_and_a_keyed_digest(user: str, password: str) -> None:
    # RFC 2104, by hand.
    key = password.encode()
    if len(key) > 64:
        key = hashlib.md5(key).digest()
    key = key.ljust(64, b"\0")
    inner = hashlib.md5(bytes(octet ^ 0x36 for octet in key) + CHALLENGE).digest()
    digest = hashlib.md5(bytes(octet ^ 0x5C for octet in key) + inner).hexdigest()
    assert CramMD5(Password(user, password)).respond(CHALLENGE) == user.encode() + b" " + digest.encode()


def test_it_is_complete_when_the_challenge_was_answered() -> None:
    mechanism = CramMD5(Password("tim", "secret"))
    assert mechanism.is_complete is False
    mechanism.respond(CHALLENGE)
    assert mechanism.is_complete


def test_the_server_speaks_first_and_once() -> None:
    mechanism: Mechanism = CramMD5(Password("tim", "secret"))
    assert mechanism.initial_response() is None
    mechanism.respond(CHALLENGE)
    with pytest.raises(MechanismFailed, match=r"^CRAM-MD5 expects no second challenge$"):
        mechanism.respond(CHALLENGE)


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"<>",
        b"<@>",
        b"<a@>",
        b"<@a>",
        b"<a>",
        b"a@b",
        b"<a@b",
        b"a@b>",
        b"<<a@b>",
        b"<a@b>>",
        b"<a@b@c>",
        b" <a@b>",
        b"<a@b>\n",
        b"<a b@c>",
        b"<a\0@b>",
        b"<\xff\xfe@\xff>",
        "<ä@b>".encode(),
        b"<" + b"a" * CHALLENGE_LIMIT + b"@b>",
    ],
    ids=lambda challenge: repr(challenge[:20]),
)
def test_a_challenge_that_is_no_message_identifier_is_not_answered(challenge: bytes) -> None:
    mechanism = CramMD5(Password("tim", CANARY))
    with pytest.raises(
        MechanismFailed, match=r"^expected a challenge in the form of a message identifier, got b"
    ) as failure:
        mechanism.respond(challenge)
    assert not mechanism.is_complete
    assert_hidden(CANARY, failure.value)


def test_a_challenge_may_be_as_long_as_the_limit() -> None:
    longest = b"<" + b"a" * (CHALLENGE_LIMIT - 4) + b"@b>"
    assert len(longest) == CHALLENGE_LIMIT
    assert CramMD5(Password("tim", "secret")).respond(longest).startswith(b"tim ")


@given(st.lists(st.binary() | st.from_regex(rb"<[!-~]+@[!-~]+>", fullmatch=True), max_size=3))
def test_any_challenge_is_answered_or_fails(challenges: list[bytes]) -> None:
    mechanism = CramMD5(Password("tim", "secret"))
    for challenge in challenges:
        was_complete = mechanism.is_complete
        try:
            assert len(mechanism.respond(challenge)) == len("tim ") + 32
        except MechanismFailed:
            assert mechanism.is_complete == was_complete


@pytest.mark.parametrize(
    ("credentials", "problem"),
    [
        (Password("", CANARY), "^CRAM-MD5 needs a user and a password that are not empty$"),
        (Password("tim", ""), "^CRAM-MD5 needs a user and a password that are not empty$"),
        (Password("tim\0", CANARY), "^user must not hold a NUL"),
        (Password("tim", CANARY + "\0"), "^password must not hold a NUL"),
        (Password("tim", CANARY, authzid="kurt"), r"^CRAM-MD5 has no place for an authzid \(RFC 2195 2\)$"),
    ],
)
def test_credentials_that_cannot_be_sent_are_refused(credentials: Password, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refusal:
        CramMD5(credentials)
    assert_hidden(CANARY, refusal.value)


def test_its_name_is_registered_and_it_counts_as_exposing_the_password() -> None:
    assert CramMD5.name == "CRAM-MD5"
    assert CramMD5.exposes_password


def test_its_secrets_are_the_password_and_the_digest() -> None:
    mechanism = CramMD5(Password("tim", "tanstaaftanstaaf"))
    assert mechanism.secrets == (b"tanstaaftanstaaf", b"")
    mechanism.respond(CHALLENGE)
    assert mechanism.secrets == (b"tanstaaftanstaaf", b"b913a602c7eda7a495b4e6e7334d3890")


def test_it_never_shows_its_secret() -> None:
    assert_hidden(CANARY, CramMD5(Password("tim", CANARY)))
