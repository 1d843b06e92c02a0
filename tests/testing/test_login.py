import pytest

from mailwire.testing import Account, Maildrop, Policy
from mailwire.testing.login import login
from mailwire.testing.mechanism import Setting
from tests.testing.exchange import converse, denial, first_challenge

ALICE = Account("alice", "sécret")


def setting() -> Setting:
    return Setting(Maildrop([ALICE]), Policy())


def test_the_user_and_the_password_are_asked_for() -> None:
    assert first_challenge(login(setting())) == b"Username:"
    assert converse(login(setting()), b"alice", "sécret".encode()) == ([b"Password:"], ALICE)


@pytest.mark.parametrize(("user", "password"), [(b"alice", b"wrong"), (b"alice", b""), (b"bob", b"secret"), (b"", b"")])
def test_what_is_wrong_is_denied_when_both_are_known(user: bytes, password: bytes) -> None:
    assert denial(login(setting()), user, password) in ("invalid-proof", "unknown-user")


@pytest.mark.parametrize(("user", "password"), [(b"\xff", b"secret"), (b"alice", b"\xff")])
def test_what_is_no_text_cannot_be_read(user: bytes, password: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        converse(login(setting()), user, password)
