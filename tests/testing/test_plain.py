import pytest

from mailwire.testing import Account, Maildrop, Policy
from mailwire.testing.mechanism import Setting
from mailwire.testing.plain import plain
from tests.testing.exchange import converse, denial, first_challenge

TIM, JUERGEN = Account("tim", "tanstaaftanstaaf"), Account("jürgen", "sécret")


def setting() -> Setting:
    return Setting(Maildrop([TIM, JUERGEN]), Policy())


def test_the_client_begins() -> None:
    assert first_challenge(plain(setting())) == b""


def test_the_examples_log_in() -> None:
    # RFC 4616 4. The second acts as Kurt, which is nobody's right here.
    assert converse(plain(setting()), b"\0tim\0tanstaaftanstaaf") == ([], TIM)
    assert denial(plain(setting()), b"Kurt\0tim\0tanstaaftanstaaf") == "not-authorized"


def test_text_is_in_utf_8() -> None:
    assert converse(plain(setting()), "\0jürgen\0sécret".encode()) == ([], JUERGEN)


@pytest.mark.parametrize(
    ("message", "reason"),
    [(b"\0tim\0wrong", "invalid-proof"), (b"\0tom\0tanstaaftanstaaf", "unknown-user")],
)
def test_what_is_wrong_is_denied(message: bytes, reason: str) -> None:
    assert denial(plain(setting()), message) == reason


@pytest.mark.parametrize(
    "message",
    [b"", b"tim\0tanstaaftanstaaf", b"\0tim\0tan\0staaf", b"\0\0tanstaaftanstaaf", b"\0tim\0", b"\0tim\0\xff"],
)
def test_what_has_other_fields_cannot_be_read(message: bytes) -> None:
    with pytest.raises(ValueError):
        converse(plain(setting()), message)
