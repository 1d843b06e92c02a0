from collections.abc import Sequence

from mailwire.errors import AuthenticationFailed
from mailwire.sasl import Login, Password
from mailwire.smtp import Auth, ComputationDue, Reply
from mailwire.smtp.challenges import Challenges
from tests.sasl.laborious import Laborious


class Ear:
    """What was written, and what was told."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.told: list[str] = []
        self.challenges = Challenges(self.written.append, self.hear)

    def hear(self, direction: str, what: object) -> None:
        shown: Sequence[str] = what.shown()  # type: ignore[attr-defined]
        self.told += [f"{direction}: {line}" for line in shown]


def reply(text: bytes) -> Reply:
    return Reply(334, (text,))


def test_a_challenge_is_answered_and_both_are_masked() -> None:
    ear, command = Ear(), Auth(Login(Password("a", "secret")))
    assert ear.challenges.answer(command, reply(b"VXNlcm5hbWU6")) is None
    assert ear.challenges.answer(command, reply(b"UGFzc3dvcmQ6")) is None
    ear.challenges.go_on()
    assert ear.written == [b"YQ==\r\n", b"c2VjcmV0\r\n"]
    assert ear.told == ["S: 334 ****", "C: ****"] * 2


def test_a_bad_challenge_is_cancelled_and_one_behind_that_is_an_error() -> None:
    ear, command = Ear(), Auth(Login(Password("a", "secret")))
    assert ear.challenges.answer(command, reply(b"!!!")) is None
    assert ear.written == [b"*\r\n"]
    assert ear.told == ["S: 334 ****", "C: *"]
    assert isinstance(ear.challenges.answer(command, reply(b"")), AuthenticationFailed)
    assert ear.written == [b"*\r\n"]


def test_what_takes_long_is_answered_when_the_caller_goes_on() -> None:
    for computes in (False, True):
        ear, command = Ear(), Auth(Laborious())
        due = ear.challenges.answer(command, reply(b""))
        assert isinstance(due, ComputationDue)
        assert ear.written == []
        if computes:
            due.compute()
        ear.challenges.go_on()
        assert len(ear.written) == 1
        ear.challenges.go_on()
        assert len(ear.written) == 1
