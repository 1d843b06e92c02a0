from collections.abc import Sequence

import pytest

from mailwire.errors import AuthenticationFailed
from mailwire.pop3 import Auth, ComputationDue, Quirks
from mailwire.pop3.challenges import Challenges
from mailwire.sasl import Login
from tests.pop3.sessions import CREDENTIALS
from tests.sasl.laborious import Laborious


class Ear:
    """What was written, and what was told."""

    def __init__(self, quirks: Quirks) -> None:
        self.written: list[bytes] = []
        self.told: list[str] = []
        self.challenges = Challenges(self.written.append, self.hear, quirks)

    def hear(self, direction: str, what: object) -> None:
        shown: Sequence[str] = what.shown()  # type: ignore[attr-defined]
        self.told += [f"{direction}: {line}" for line in shown]


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
    assert Ear(Quirks()).challenges.find(command, line) == challenge
    assert Ear(Quirks(ok_as_challenge=True)).challenges.find(command, line) == forgiven


def test_ok_is_no_challenge_once_the_exchange_is_at_its_end() -> None:
    for answers in (2, 3):  # the third makes the mechanism fail
        ear, command = Ear(Quirks(ok_as_challenge=True)), Auth(Login(CREDENTIALS))
        for _ in range(answers):
            assert ear.challenges.answer(command, b"") is None
        assert ear.challenges.find(command, b"+OK") is None
        assert ear.challenges.find(command, b"+ ") == b""


def test_a_challenge_is_answered_and_both_are_masked() -> None:
    ear, command = Ear(Quirks()), Auth(Login(CREDENTIALS))
    assert ear.challenges.answer(command, b"VXNlcm5hbWU6") is None
    assert ear.challenges.answer(command, b"UGFzc3dvcmQ6") is None
    ear.challenges.go_on()
    assert ear.written == [b"dGlt\r\n", b"dGFuc3RhYWZ0YW5zdGFhZg==\r\n"]
    assert ear.told == ["S: + ****", "C: ****"] * 2


def test_a_bad_challenge_is_cancelled_and_one_behind_that_is_an_error() -> None:
    ear, command = Ear(Quirks()), Auth(Login(CREDENTIALS))
    assert ear.challenges.answer(command, b"!!!") is None
    assert ear.written == [b"*\r\n"]
    assert ear.told == ["S: + ****", "C: *"]
    assert isinstance(ear.challenges.answer(command, b""), AuthenticationFailed)
    assert ear.written == [b"*\r\n"]


def test_what_takes_long_is_answered_when_the_caller_goes_on() -> None:
    for computes in (False, True):
        ear, command = Ear(Quirks()), Auth(Laborious())
        due = ear.challenges.answer(command, b"")
        assert isinstance(due, ComputationDue)
        assert ear.challenges.computing is command
        assert ear.written == []
        if computes:
            due.compute()
        ear.challenges.go_on()
        assert len(ear.written) == 1
        ear.challenges.go_on()
        assert len(ear.written) == 1
