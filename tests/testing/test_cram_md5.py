import hashlib

import pytest

from mailwire.testing import Account, Maildrop, Policy
from mailwire.testing.cram_md5 import cram_md5
from mailwire.testing.mechanism import Setting
from tests.testing.exchange import converse, denial, first_challenge

TIM, SPACED, TOKEN_ONLY = (
    Account("tim", "tanstaaftanstaaf"),
    Account("jür gen", "sécret", ("j@localhost",)),
    Account("carol", ""),
)

# RFC 2195 2
CHALLENGE = b"<1896.697170952@postoffice.reston.mci.net>"
RESPONSE = b"tim b913a602c7eda7a495b4e6e7334d3890"


def setting(nonce: str = "1896.697170952") -> Setting:
    policy = Policy(hostname="postoffice.reston.mci.net", make_nonce=lambda: nonce)
    return Setting(Maildrop([TIM, SPACED, TOKEN_ONLY]), policy)


def digest(password: str, challenge: bytes = CHALLENGE) -> bytes:
    """HMAC-MD5 as RFC 2195 2 spells it out, for a password of at most 64 octets."""
    key = password.encode().ljust(64, b"\0")
    inner = hashlib.md5(bytes(octet ^ 0x36 for octet in key) + challenge).digest()
    return hashlib.md5(bytes(octet ^ 0x5C for octet in key) + inner).hexdigest().encode()


def test_the_example_logs_in() -> None:
    assert first_challenge(cram_md5(setting())) == CHALLENGE
    assert converse(cram_md5(setting()), RESPONSE) == ([], TIM)


def test_a_name_may_hold_spaces_and_more() -> None:
    assert converse(cram_md5(setting()), "jür gen ".encode() + digest("sécret")) == ([], SPACED)


def test_no_challenge_is_said_twice() -> None:
    policy = Policy()
    challenges = {first_challenge(cram_md5(Setting(Maildrop(), policy))) for _ in range(10)}

    assert len(challenges) == 10


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (b"tim " + digest("wrong"), "invalid-proof"),
        (b"tim " + digest("tanstaaftanstaaf", b"<1.2@other.example.org>"), "invalid-proof"),
        (b"tom " + digest("tanstaaftanstaaf"), "unknown-user"),
        (b"carol " + digest(""), "no-password"),
    ],
)
def test_what_is_wrong_is_denied(response: bytes, reason: str) -> None:
    assert denial(cram_md5(setting()), response) == reason


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"tim",
        b"tim ",
        RESPONSE[4:],
        b" " + RESPONSE[4:],
        RESPONSE.upper(),
        RESPONSE[:-1],
        RESPONSE + b"0",
        RESPONSE + b"\n",
        b"\xff " + RESPONSE[4:],
    ],
)
def test_what_is_no_name_and_digest_cannot_be_read(response: bytes) -> None:
    with pytest.raises(ValueError):
        converse(cram_md5(setting()), response)
