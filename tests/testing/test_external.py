import pytest

from mailwire.testing import Account, Channel, Maildrop, Policy
from mailwire.testing.external import external
from mailwire.testing.mechanism import Setting
from tests.testing.exchange import converse, denial, first_challenge

ALICE = Account("alice", "secret", certificate_name="alice@example.org")
BOB = Account("bob", "hidden", certificate_name="bob")
CAROL = Account("carol", "covert")


def setting(*names: str) -> Setting:
    return Setting(Maildrop([CAROL, ALICE, BOB]), Policy(), Channel(client_names=frozenset(names)))


def test_the_client_begins() -> None:
    assert first_challenge(external(setting("alice@example.org"))) == b""


@pytest.mark.parametrize("authzid", [b"", b"alice"])
def test_the_name_in_the_certificate_logs_in(authzid: bytes) -> None:
    assert converse(external(setting("Alice Liddell", "alice@example.org")), authzid) == ([], ALICE)


@pytest.mark.parametrize(
    ("names", "authzid", "reason"),
    [
        (["alice@example.org"], b"bob", "not-authorized"),
        (["alice"], b"", "unknown-user"),
        (["ALICE@example.org"], b"alice", "unknown-user"),
        (["carol"], b"", "unknown-user"),
        ([], b"alice", "unknown-user"),
    ],
)
def test_another_name_is_denied(names: list[str], authzid: bytes, reason: str) -> None:
    assert denial(external(setting(*names)), authzid) == reason


@pytest.mark.parametrize("authzid", [b"alice\0", b"\xff"])
def test_what_is_no_identity_cannot_be_read(authzid: bytes) -> None:
    with pytest.raises(ValueError):
        converse(external(setting("alice@example.org")), authzid)
