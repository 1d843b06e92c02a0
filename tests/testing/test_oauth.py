import base64
import json

import pytest

from mailwire.sasl import OAuthFailure
from mailwire.testing import Account, Maildrop, Policy
from mailwire.testing.mechanism import Setting
from mailwire.testing.oauth import oauthbearer, xoauth2
from tests.testing.exchange import converse, denial, first_challenge

TOKEN = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
USER = Account("user@example.com", "", access_tokens=[TOKEN, "other"])
SOMEUSER = Account("someuser@example.com", "", access_tokens=["ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"])
ODD = Account("a,b=c", "", ("odd@localhost",), access_tokens=["odd"])

# RFC 7628 4.1; 4.3 has the same message with a token that is refused, and what the server says then.
MESSAGE = base64.b64decode(
    "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQz"
    "AWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
)
FAILURE = base64.b64decode(
    "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NvcGUiOiJleGFtcGxlX3Njb3BlIiwib3BlbmlkLWNvbmZpZ3VyYXRpb24iOiJo"
    "dHRwczovL2V4YW1wbGUuY29tLy53ZWxsLWtub3duL29wZW5pZC1jb25maWd1cmF0aW9uIn0="
)

# Google's page on XOAUTH2, "Initial Client Response".
XOAUTH2_MESSAGE = base64.b64decode(
    "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52"
    "YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ=="
)


def setting(*accounts: Account) -> Setting:
    policy = Policy(hostname="example.com", oauth_scope="example_scope")
    return Setting(Maildrop(accounts or (USER, SOMEUSER, ODD)), policy)


# OAUTHBEARER


def test_the_client_begins() -> None:
    assert first_challenge(oauthbearer(setting())) == b""
    assert first_challenge(xoauth2(setting())) == b""


def test_the_example_logs_in() -> None:
    assert converse(oauthbearer(setting()), MESSAGE) == ([], USER)


def test_the_example_of_a_failure_is_reproduced() -> None:
    other = setting(Account("user@example.com", "", access_tokens=["another"]))

    assert converse(oauthbearer(other), MESSAGE) == ([FAILURE], None)
    assert denial(oauthbearer(other), MESSAGE, b"\1") == "invalid-token"


@pytest.mark.parametrize(
    ("message", "account"),
    [
        (b"n,,\1auth=Bearer other\1\1", USER),
        (b"n,,\1auth=bearer  odd\1\1", ODD),
        (b"n,a=a=2Cb=3Dc,\1auth=BEARER odd\1\1", ODD),
        (b"n,,\1port=143\1auth=Bearer odd\1x=a=b\1y=\1\1", ODD),
    ],
)
def test_the_token_tells_whose_it_is_and_what_else_is_said_does_not_matter(message: bytes, account: Account) -> None:
    assert converse(oauthbearer(setting()), message) == ([], account)


@pytest.mark.parametrize(
    "message",
    [
        b"n,,\1auth=Bearer unknown\1\1",
        b"n,,\1auth=\1\1",
        b"n,,\1auth=Bearer\1\1",
        b"n,,\1auth=Bearer \1\1",
        b"n,,\1auth=Bearer odd odd\1\1",
        b"n,,\1auth=Basic odd\1\1",
        b"n,a=user@example.com,\1auth=Bearer odd\1\1",
        b"n,a=nobody,\1auth=Bearer odd\1\1",
    ],
)
def test_a_token_that_opens_nothing_is_refused_with_a_reason(message: bytes) -> None:
    challenges, account = converse(oauthbearer(setting()), message)

    assert account is None
    assert OAuthFailure.parse(challenges[0]).status == "invalid_token"
    assert denial(oauthbearer(setting()), message, b"\1") == "invalid-token"


@pytest.mark.parametrize("response", [b"", b"\1\1", b"n,,\1auth=Bearer odd\1\1"])
def test_the_reason_is_answered_by_control_a_and_nothing_else(response: bytes) -> None:
    with pytest.raises(ValueError):
        converse(oauthbearer(setting()), b"n,,\1auth=\1\1", response)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\1",
        b"n,,\1\1",
        b"n,,auth=Bearer odd\1\1",
        b"n,,\1auth=Bearer odd\1",
        b"n,,\1auth=Bearer odd\1\1\1",
        b"n,\1auth=Bearer odd\1\1",
        b"y,,\1auth=Bearer odd\1\1",
        b"p=tls-unique,,\1auth=Bearer odd\1\1",
        b"n,odd,\1auth=Bearer odd\1\1",
        b"n,a=,\1auth=Bearer odd\1\1",
        b"n,a=a=2cb,\1auth=Bearer odd\1\1",
        b"n,a=a\0b,\1auth=Bearer odd\1\1",
        b"n,a=\xff,\1auth=Bearer odd\1\1",
        b"n,,\1host=localhost\1\1",
        b"n,,\1auth=Bearer odd\1auth=Bearer odd\1\1",
        b"n,,\1port1=143\1auth=Bearer odd\1\1",
        b"n,,\1port\1auth=Bearer odd\1\1",
        "n,,\1auth=Bearer ödd\1\1".encode(),
        b"n,,\1auth=Bearer o\0dd\1\1",
        b"user=a,b=c\1auth=Bearer odd\1\1",
    ],
)
def test_what_is_no_message_of_oauthbearer_cannot_be_read(message: bytes) -> None:
    with pytest.raises(ValueError):
        converse(oauthbearer(setting()), message)


# XOAUTH2


def test_the_example_of_google_logs_in() -> None:
    assert converse(xoauth2(setting()), XOAUTH2_MESSAGE) == ([], SOMEUSER)


def test_a_name_stands_in_xoauth2_as_it_is() -> None:
    assert converse(xoauth2(setting()), b"user=a,b=c\1auth=Bearer odd\1\1") == ([], ODD)


@pytest.mark.parametrize(
    "message",
    [
        b"user=a,b=c\1auth=Bearer other\1\1",
        b"user=nobody\1auth=Bearer odd\1\1",
        b"user=a,b=c\1auth=Basic odd\1\1",
        b"user=a,b=c\1auth=\1\1",
    ],
)
def test_another_token_is_refused_in_the_form_of_google(message: bytes) -> None:
    challenges, account = converse(xoauth2(setting()), message)

    assert account is None
    assert json.loads(challenges[0]) == {"status": "401", "schemes": "bearer", "scope": "example_scope"}
    assert denial(xoauth2(setting()), message, b"") == "invalid-token"


@pytest.mark.parametrize("response", [b"\1", b"user=a,b=c\1auth=Bearer odd\1\1"])
def test_the_reason_is_answered_by_nothing_at_all(response: bytes) -> None:
    with pytest.raises(ValueError):
        converse(xoauth2(setting()), b"user=a,b=c\1auth=\1\1", response)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"user=\1auth=Bearer odd\1\1",
        b"auth=Bearer odd\1\1",
        b"user=a,b=c\1auth=Bearer odd\1",
        b"user=a,b=c\1auth=Bearer odd\1\1\1",
        b"user=a,b=c\1host=localhost\1auth=Bearer odd\1\1",
        b"user=\xff\1auth=Bearer odd\1\1",
        b"n,a=odd,\1auth=Bearer odd\1\1",
    ],
)
def test_what_is_no_message_of_xoauth2_cannot_be_read(message: bytes) -> None:
    with pytest.raises(ValueError):
        converse(xoauth2(setting()), message)


def test_an_account_without_tokens_is_opened_by_none() -> None:
    alice = setting(Account("alice", "secret"))

    assert denial(oauthbearer(alice), b"n,a=alice,\1auth=Bearer secret\1\1", b"\1") == "invalid-token"
    assert denial(xoauth2(alice), b"user=alice\1auth=Bearer secret\1\1", b"") == "invalid-token"
