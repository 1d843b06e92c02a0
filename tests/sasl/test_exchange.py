import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.sasl import Exchange, Login, Mechanism, MechanismFailed, Password, Plain
from mailwire.sasl.exchange import CANCEL, ROUND_LIMIT

CREDENTIALS = Password("tim", "tanstaaftanstaaf")
PLAIN_MESSAGE = b"AHRpbQB0YW5zdGFhZnRhbnN0YWFm"  # RFC 4616 4, RFC 4954 4.1


class Talkative(Mechanism):
    """A mechanism that has something to say for ever, and may have an initial response."""

    name = "X-TALKATIVE"

    def __init__(self, initial: bytes | None = None) -> None:
        self.initial = initial
        self.heard: list[bytes] = []

    def initial_response(self) -> bytes | None:
        return self.initial

    def respond(self, challenge: bytes) -> bytes:
        self.heard.append(challenge)
        if challenge == b"?":
            raise MechanismFailed("there is no answer to a question mark")
        return challenge[::-1]


def exchange(mechanism: Mechanism, line_limit: int = 512) -> Exchange:
    return Exchange(mechanism, b"AUTH", line_limit)


# The command


def test_the_initial_response_stands_in_the_command() -> None:
    made = exchange(Plain(CREDENTIALS))
    assert made.command_line() == made.command_line() == b"AUTH PLAIN " + PLAIN_MESSAGE + b"\r\n"
    assert made.shown_command() == "AUTH PLAIN ****"
    assert made.is_complete


def test_without_an_initial_response_the_command_is_the_mechanism_alone() -> None:
    made = exchange(Login(CREDENTIALS))
    assert made.command_line() == b"AUTH LOGIN\r\n"
    assert made.shown_command() == "AUTH LOGIN"
    assert not made.is_complete


def test_an_initial_response_of_no_octets_is_an_equals_sign() -> None:
    made = exchange(Talkative(b""))
    assert made.command_line() == b"AUTH X-TALKATIVE =\r\n"
    assert made.is_complete


@pytest.mark.parametrize("spare", [0, 1])
def test_an_initial_response_that_fits_exactly_stands_in_the_command(spare: int) -> None:
    line = b"AUTH PLAIN " + PLAIN_MESSAGE + b"\r\n"
    assert exchange(Plain(CREDENTIALS), len(line) + spare).command_line() == line


def test_an_initial_response_that_does_not_fit_answers_the_first_challenge() -> None:
    made = exchange(Plain(CREDENTIALS), len(b"AUTH PLAIN " + PLAIN_MESSAGE + b"\r\n") - 1)
    assert made.command_line() == b"AUTH PLAIN\r\n"
    assert made.shown_command() == "AUTH PLAIN"
    assert not made.is_complete
    assert made.respond(b"") == PLAIN_MESSAGE + b"\r\n"
    assert made.is_complete
    assert made.respond(b"") == CANCEL


def test_an_initial_response_that_does_not_fit_is_not_given_to_a_server_that_asks_something() -> None:
    made = exchange(Plain(CREDENTIALS), 20)
    assert made.respond(b"aGVsbG8=") == CANCEL
    assert made.failure == "the server asked before it heard the initial response"


def test_a_long_response_stands_on_one_line() -> None:
    message = b"\0tim\0" + b"p" * 9000
    line = exchange(Plain(Password("tim", "p" * 9000))).respond(b"")
    assert line == base64.b64encode(message) + b"\r\n"


# Challenges and responses


def test_login_is_asked_twice() -> None:
    made = exchange(Login(Password("tim", "secret")))
    assert made.respond(base64.b64encode(b"Username:")) == base64.b64encode(b"tim") + b"\r\n"
    assert not made.is_complete
    assert made.respond(base64.b64encode(b"Password:")) == base64.b64encode(b"secret") + b"\r\n"
    assert made.is_complete
    assert made.failure is None


def test_challenges_and_responses_are_base64() -> None:
    mechanism = Talkative()
    made = exchange(mechanism)
    assert made.respond(b"YWJj") == b"Y2Jh\r\n"
    assert made.respond(b"") == b"\r\n"
    assert mechanism.heard == [b"abc", b""]


@pytest.mark.parametrize(
    "challenge",
    [
        b"!!!!",
        b"SGVs!!!bG8=",
        b"SGVsbG8",
        b"SGVsbG8==",
        b"SGVsbG8=SGVsbG8=",
        b"SGVs bG8=",
        b"SGVs\tbG8=",
        b" SGVsbG8=",
        b"SGVsbG8= ",
        b"=SGVsbG8=",
        b"=",
        b"==",
        b"A",
        b"SGVsbG8-",
        b"SGVsbG8_",
        b"\xff\xfe",
        "SGVsbG8\uff1d".encode(),
        b"\x1b[31m",
    ],
)
def test_a_challenge_that_is_no_base64_is_cancelled(challenge: bytes) -> None:
    mechanism = Talkative()
    made = exchange(mechanism)
    assert made.respond(challenge) == CANCEL == b"*\r\n"
    assert mechanism.heard == []
    assert made.failure == f"expected a challenge in base64, got {challenge!r}"
    assert not made.is_complete


def test_a_challenge_that_the_mechanism_cannot_answer_is_cancelled() -> None:
    made = exchange(Talkative())
    assert made.respond(b"Pw==") == CANCEL
    assert made.failure == "there is no answer to a question mark"


def test_an_exchange_that_was_cancelled_stays_so() -> None:
    made = exchange(Login(CREDENTIALS))
    made.respond(b"!!!!")
    failure = made.failure
    assert made.respond(b"") == made.respond(b"VXNlcm5hbWU6") == CANCEL
    assert made.failure == failure
    assert not made.is_complete


def test_a_server_that_asks_for_ever_is_cut_off() -> None:
    made = exchange(Talkative())
    for _ in range(ROUND_LIMIT):
        assert made.respond(b"YWJj") == b"Y2Jh\r\n"
    assert made.respond(b"YWJj") == CANCEL
    assert made.failure == f"the server went on asking after {ROUND_LIMIT} challenges"
    assert ROUND_LIMIT == 8


def test_success_before_the_mechanism_is_complete_cannot_be_believed() -> None:
    made = exchange(Login(CREDENTIALS))
    assert not made.is_complete
    made.respond(b"VXNlcm5hbWU6")
    assert not made.is_complete


@pytest.mark.parametrize("verb", [b"AUTH", b"X"])
def test_the_verb_is_the_protocols(verb: bytes) -> None:
    assert Exchange(Login(CREDENTIALS), verb, 255).command_line() == verb + b" LOGIN\r\n"


@given(st.lists(st.binary() | st.binary().map(base64.b64encode), max_size=ROUND_LIMIT + 3))
def test_whatever_the_server_asks_is_answered_with_one_line_of_base64_or_the_cancel(challenges: list[bytes]) -> None:
    made = exchange(Talkative())
    for challenge in challenges:
        line = made.respond(challenge)
        assert line.endswith(b"\r\n")
        if line != CANCEL:
            assert base64.b64decode(line[:-2], validate=True)[::-1] == base64.b64decode(challenge, validate=True)


def test_nothing_of_the_secret_shows() -> None:
    made = exchange(Plain(CREDENTIALS))
    made.respond(b"")
    for shown in (repr(made), str(made), made.shown_command(), str(made.failure)):
        for secret in ("tanstaaf", PLAIN_MESSAGE.decode(), b"tanstaaf".hex()):
            assert secret not in shown


class Careless(Talkative):
    """A mechanism whose author thought that every challenge is text."""

    def respond(self, challenge: bytes) -> bytes:
        return challenge.decode().encode()


def test_a_challenge_that_a_mechanism_did_not_foresee_cancels() -> None:
    made = exchange(Careless())
    assert made.respond(base64.b64encode(b"\xff")) == CANCEL
    assert made.failure == "X-TALKATIVE cannot make sense of the challenge b'/w=='"
