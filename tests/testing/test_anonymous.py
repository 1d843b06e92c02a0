import pytest

from mailwire.testing import Account, Maildrop, Policy
from mailwire.testing.anonymous import USER, anonymous
from mailwire.testing.mechanism import Setting
from tests.testing.exchange import converse, denial, first_challenge

NOBODY = Account(USER, "")


def setting() -> Setting:
    return Setting(Maildrop([Account("alice", "secret"), NOBODY]), Policy())


def test_the_client_begins() -> None:
    assert first_challenge(anonymous(setting())) == b""


# RFC 4505 4 has "sirhc".
@pytest.mark.parametrize("trace", [b"", b"sirhc", b"sirhc@example.org", "jürgen wäre hier".encode(), b"a" * 255])
def test_whoever_comes_is_let_in(trace: bytes) -> None:
    assert converse(anonymous(setting()), trace) == ([], NOBODY)


def test_a_token_is_counted_in_characters() -> None:
    assert converse(anonymous(setting()), ("ü" * 255).encode()) == ([], NOBODY)


@pytest.mark.parametrize(
    "trace", [b"a" * 256, b"sirhc\r\n", b"\0", "\x85".encode(), b"\xff", b"@", b"sirhc@", b"a@b@c"]
)
def test_what_is_no_trace_cannot_be_read(trace: bytes) -> None:
    with pytest.raises(ValueError):
        converse(anonymous(setting()), trace)


def test_nobody_is_let_in_where_there_is_no_account_for_nobody() -> None:
    assert denial(anonymous(Setting(Maildrop([Account("alice", "secret")]), Policy())), b"sirhc") == "unknown-user"
