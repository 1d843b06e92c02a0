import pytest

from mailwire.testing import Account, Maildrop
from mailwire.testing.mechanism import account_with_password, authorize, check_password
from mailwire.testing.refusal import Denied

ALICE, BOB, TOKEN_ONLY = Account("alice", "secret"), Account("bob", "hidden"), Account("carol", "")


def maildrop() -> Maildrop:
    return Maildrop([ALICE, BOB, TOKEN_ONLY])


@pytest.mark.parametrize("authzid", ["", "alice"])
def test_one_may_act_as_oneself(authzid: str) -> None:
    assert authorize(ALICE, authzid) == ALICE


@pytest.mark.parametrize("authzid", ["bob", "Alice", "alice ", "\0"])
def test_nobody_may_act_as_another(authzid: str) -> None:
    with pytest.raises(Denied) as refusal:
        authorize(ALICE, authzid)
    assert refusal.value.reason == "not-authorized"


def test_the_password_opens_its_own_account_only() -> None:
    assert check_password(maildrop(), "alice", "secret") == ALICE
    for user, password, reason in (
        ("alice", "hidden", "invalid-proof"),
        ("alice", "", "invalid-proof"),
        ("alice", "secret ", "invalid-proof"),
        ("dave", "secret", "unknown-user"),
        ("", "", "unknown-user"),
        ("carol", "", "no-password"),
    ):
        with pytest.raises(Denied) as refusal:
            check_password(maildrop(), user, password)
        assert refusal.value.reason == reason


def test_an_account_without_a_password_has_none_to_prove() -> None:
    assert account_with_password(maildrop(), "bob") == BOB
    with pytest.raises(Denied) as refusal:
        account_with_password(maildrop(), "carol")
    assert refusal.value.reason == "no-password"
