from collections.abc import Sequence

import pytest

from mailwire.errors import AuthenticationFailed
from mailwire.sasl import ComputationDue, Exchange, Login, Mechanism, Password
from mailwire.sasl.challenges import Challenges
from tests.sasl.laborious import Laborious

# How POP3 marks a challenge, and SMTP.
SIGNS = pytest.mark.parametrize("sign", ["+", "334"])


class Ear:
    """What was written, and what was told."""

    def __init__(self, mechanism: Mechanism, sign: str) -> None:
        self.written: list[bytes] = []
        self.told: list[str] = []
        self.exchange = Exchange(mechanism, b"AUTH", 255)
        self.challenges = Challenges(self.written.append, self.hear)
        self._sign = sign

    def hear(self, direction: str, what: object) -> None:
        shown: Sequence[str] = what.shown()  # type: ignore[attr-defined]
        self.told += [f"{direction}: {line}" for line in shown]

    def answer(self, challenge: bytes) -> object:
        return self.challenges.answer(self.exchange, challenge, self._sign)


@SIGNS
def test_a_challenge_is_answered_and_both_are_masked(sign: str) -> None:
    ear = Ear(Login(Password("a", "secret")), sign)
    assert ear.answer(b"VXNlcm5hbWU6") is None
    assert ear.answer(b"UGFzc3dvcmQ6") is None
    ear.challenges.go_on()
    assert ear.written == [b"YQ==\r\n", b"c2VjcmV0\r\n"]
    assert ear.told == [f"S: {sign} ****", "C: ****"] * 2


@SIGNS
def test_a_bad_challenge_is_cancelled_and_one_behind_that_is_an_error(sign: str) -> None:
    ear = Ear(Login(Password("a", "secret")), sign)
    assert ear.answer(b"!!!") is None
    assert ear.written == [b"*\r\n"]
    assert ear.told == [f"S: {sign} ****", "C: *"]
    error = ear.answer(b"")
    assert isinstance(error, AuthenticationFailed)
    assert str(error).endswith("; and the server goes on after the cancel")
    assert ear.written == [b"*\r\n"]


@SIGNS
def test_what_takes_long_is_answered_when_the_caller_goes_on(sign: str) -> None:
    for computes in (False, True):
        ear = Ear(Laborious(), sign)
        due = ear.answer(b"ZGU=")
        assert isinstance(due, ComputationDue)
        assert ear.challenges.computing is ear.exchange
        assert ear.written == []
        if computes:
            due.compute()
        ear.challenges.go_on()
        assert ear.written == [b"ZWQ=\r\n"]
        assert ear.challenges.computing is None
        ear.challenges.go_on()
        assert len(ear.written) == 1
