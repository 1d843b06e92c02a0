import pytest

from mailwire.pop3 import Auth, Quirks
from mailwire.pop3.challenges import find_challenge
from mailwire.sasl import Login
from tests.pop3.sessions import CREDENTIALS

FORGIVING = Quirks(ok_as_challenge=True)


@pytest.mark.parametrize(
    ("line", "challenge", "forgiven"),
    [
        (b"+", b"", b""),
        (b"+ ", b"", b""),
        (b"+ VXNlcm5hbWU6", b"VXNlcm5hbWU6", b"VXNlcm5hbWU6"),
        (b"+OK", None, b""),
        (b"+OK VXNlcm5hbWU6", None, b"VXNlcm5hbWU6"),
        (b"+OK go ahead", None, b""),
        (b"-ERR no", None, None),
        (b"+OKAY", None, None),
        (b"", None, None),
    ],
)
def test_what_is_a_challenge(line: bytes, challenge: bytes | None, forgiven: bytes | None) -> None:
    command = Auth(Login(CREDENTIALS))
    assert find_challenge(command, line, Quirks()) == challenge
    assert find_challenge(command, line, FORGIVING) == forgiven


def test_ok_is_no_challenge_once_the_exchange_is_at_its_end() -> None:
    for answers in (2, 3):  # the third makes the mechanism fail
        command = Auth(Login(CREDENTIALS))
        for _ in range(answers):
            command.exchange.respond(b"")
        assert find_challenge(command, b"+OK", FORGIVING) is None
        assert find_challenge(command, b"+ ", FORGIVING) == b""
