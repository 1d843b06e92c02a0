import base64
import threading
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.errors import AuthenticationFailed, SecurityError, ServerUnproven
from mailwire.sasl import Exchange, Login, Mechanism, MechanismFailed, Password, Plain
from mailwire.sasl.cram_md5 import CramMD5
from mailwire.sasl.exchange import CANCEL, ROUND_LIMIT
from mailwire.sasl.external import ExternalMechanism
from mailwire.sasl.identities import External
from mailwire.sasl.oauth import OAuthBearer, XOAuth2
from mailwire.sasl.redaction import Redaction
from mailwire.sasl.scram import WORK_ITERATIONS, ProofMissing, Scram
from mailwire.sasl.work import ComputationDue
from tests.sasl.laborious import Laborious
from tests.sasl.secrecy import CANARY, KEEPERS, Keeper, assert_hidden, said_back

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


def answer(made: Exchange, challenge: bytes) -> bytes:
    """What is answered to `challenge`, computed here if it takes long."""
    response = made.respond(challenge)
    return made.take_computed() if isinstance(response, ComputationDue) else response


def failure_of(made: Exchange) -> str:
    assert made.failure is not None
    return str(made.failure)


def b64(data: bytes) -> bytes:
    return base64.b64encode(data)


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
    assert failure_of(made) == "the server asked before it heard the initial response"


def test_an_initial_response_answers_the_first_challenge_if_it_is_not_to_stand_in_the_command() -> None:
    for mechanism, message in ((Plain(CREDENTIALS), PLAIN_MESSAGE), (ExternalMechanism(External()), b"")):
        made = Exchange(mechanism, b"AUTH", 512, sends_initial_response=False)
        assert made.command_line() == f"AUTH {mechanism.name}\r\n".encode()
        assert made.shown_command() == f"AUTH {mechanism.name}"
        assert not made.is_complete
        assert made.respond(b"") == message + b"\r\n"
        assert made.is_complete


def test_an_exchange_has_spoken_once_the_server_was_told_more_than_a_name() -> None:
    assert exchange(Plain(CREDENTIALS)).has_spoken
    assert exchange(Talkative(b"")).has_spoken
    for made in (exchange(Login(CREDENTIALS)), exchange(Plain(CREDENTIALS), 20)):
        assert not made.has_spoken
        made.respond(b"")
        assert made.has_spoken
    made = exchange(Login(CREDENTIALS))
    made.respond(b"!!!!")
    assert not made.has_spoken


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
    assert failure_of(made) == f"expected a challenge in base64, got {challenge!r}"
    assert not made.is_complete


def test_a_challenge_that_the_mechanism_cannot_answer_is_cancelled() -> None:
    made = exchange(Talkative())
    assert made.respond(b"Pw==") == CANCEL
    assert failure_of(made) == "there is no answer to a question mark"


def test_an_exchange_that_was_cancelled_stays_so() -> None:
    made = exchange(Login(CREDENTIALS))
    made.respond(b"!!!!")
    failure = made.failure
    assert made.respond(b"") == made.respond(b"VXNlcm5hbWU6") == CANCEL
    assert made.failure is failure
    assert not made.is_complete


def test_a_server_that_asks_for_ever_is_cut_off() -> None:
    made = exchange(Talkative())
    for _ in range(ROUND_LIMIT):
        assert made.respond(b"YWJj") == b"Y2Jh\r\n"
    assert made.respond(b"YWJj") == CANCEL
    assert failure_of(made) == f"the server went on asking after {ROUND_LIMIT} challenges"
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
        line = answer(made, challenge)
        assert line.endswith(b"\r\n")
        if line != CANCEL:
            assert base64.b64decode(line[:-2], validate=True)[::-1] == base64.b64decode(challenge, validate=True)


class Careless(Talkative):
    """A mechanism whose author thought that every challenge is text."""

    def respond(self, challenge: bytes) -> bytes:
        return challenge.decode().encode()

    @property
    def secrets(self) -> tuple[bytes, ...]:
        return (CANARY.encode(),)


def test_a_challenge_that_a_mechanism_did_not_foresee_cancels() -> None:
    made = exchange(Careless())
    assert made.respond(base64.b64encode(b"\xff")) == CANCEL
    assert failure_of(made) == "X-TALKATIVE cannot make sense of the challenge b'/w=='"
    assert type(made.failure) is MechanismFailed


class Chained(Talkative):
    """A mechanism whose failures tell where they come from."""

    def respond(self, challenge: bytes) -> bytes:
        try:
            return b"%d" % int(challenge)
        except ValueError as error:
            raise MechanismFailed("expected a number") from error


def test_a_failure_is_kept_for_what_it_says_and_brings_no_frames_along() -> None:
    for mechanism in (Chained(), Careless(), Login(CREDENTIALS)):
        for challenge in (b64(b"\xff"), b"!!!!", b"", b"", b""):
            made = exchange(mechanism)
            if made.respond(challenge) == CANCEL:
                failure = made.failure
                assert failure is not None
                assert (failure.__traceback__, failure.__context__, failure.__cause__) == (None, None, None)


# The error


def test_an_exchange_that_was_cancelled_ends_in_an_error_that_says_why() -> None:
    made = exchange(Login(CREDENTIALS))
    made.respond(b"!!!!")
    error = made.error()
    assert type(error) is AuthenticationFailed
    assert str(error) == "AUTH LOGIN failed: expected a challenge in base64, got b'!!!!'"
    assert (error.command, error.answer, error.oauth) == ("AUTH LOGIN", None, None)
    assert str(made.error("; and more")).endswith("got b'!!!!'; and more")


@pytest.mark.parametrize("mechanism", [Plain(CREDENTIALS), Login(CREDENTIALS), Talkative()])
def test_a_success_before_its_time_is_an_error(mechanism: Mechanism) -> None:
    made = exchange(mechanism, 20)
    error = made.error()
    assert type(error) is AuthenticationFailed
    assert str(error) == f"AUTH {mechanism.name} failed: the server reports success before the exchange is complete"
    assert made.failure is None


def scram(password: str = "pencil") -> Scram:
    return Scram(Password("user", password), "SHA-1", make_nonce=lambda: "fyko+d2lbbFgONRv9qkxdawL")


SERVER_FIRST = b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=%d"
SIGNATURE = b"rmF9pqV8S7suAoZWja4dJRkFsKQ="


def test_a_success_before_the_server_has_proved_itself_leaves_it_unproven() -> None:
    made = exchange(scram())
    for challenge in (b64(SERVER_FIRST % 4096), None):
        error = made.error()
        assert type(error) is ServerUnproven
        assert isinstance(error, SecurityError)
        assert not made.is_complete
        if challenge:
            assert made.respond(challenge) != CANCEL


def test_a_server_that_cannot_prove_itself_is_unproven() -> None:
    made = exchange(scram())
    made.respond(b64(SERVER_FIRST % 4096))
    assert not made.is_server_unproven
    assert made.respond(b64(b"v=" + SIGNATURE.lower())) == CANCEL
    assert isinstance(made.failure, ProofMissing)
    assert made.is_server_unproven
    error = made.error("; and so on")
    assert type(error) is ServerUnproven
    assert str(error) == (
        "AUTH SCRAM-SHA-1 **** failed: the server's signature is wrong: it does not know the password (RFC 5802 3); "
        "and so on"
    )


def test_another_failure_of_scram_says_nothing_about_the_server() -> None:
    made = exchange(scram())
    assert made.respond(b64(SERVER_FIRST % 1)) == CANCEL
    assert type(made.error()) is AuthenticationFailed
    assert not made.is_server_unproven


# What takes long to compute


def due(made: Exchange, challenge: bytes) -> ComputationDue:
    event = made.respond(challenge)
    assert isinstance(event, ComputationDue)
    return event


def test_what_takes_long_is_computed_by_whoever_drives_it_in_any_thread() -> None:
    mechanism = Laborious()
    made = exchange(mechanism)
    event = due(made, b"YWJj")
    assert event.mechanism == "X-LABORIOUS"
    assert mechanism.computed == []
    thread = threading.Thread(target=event.compute)
    thread.start()
    thread.join()
    assert mechanism.computed == [b"abc"]
    assert made.take_computed() == b"Y2Jh\r\n"
    assert mechanism.computed == [b"abc"]
    assert made.failure is None


def test_what_nobody_computed_is_computed_when_it_is_needed() -> None:
    mechanism = Laborious()
    made = exchange(mechanism)
    due(made, b"YWJj")
    assert made.take_computed() == b"Y2Jh\r\n"
    assert mechanism.computed == [b"abc"]


def test_a_computation_that_is_made_twice_has_one_result() -> None:
    made = exchange(Laborious())
    event = due(made, b"YWJj")
    event.compute()
    event.compute()
    assert made.take_computed() == b"Y2Jh\r\n"


def test_every_response_of_an_exchange_may_take_long() -> None:
    mechanism = Laborious()
    made = exchange(mechanism)
    for challenge, line in ((b"YWJj", b"Y2Jh\r\n"), (b"", b"\r\n"), (b"YWI=", b"YmE=\r\n")):
        due(made, challenge).compute()
        assert made.take_computed() == line
    assert mechanism.computed == [b"abc", b"", b"ab"]


@pytest.mark.parametrize("computes", [True, False])
def test_a_computation_that_fails_cancels(computes: bool) -> None:
    made = exchange(Laborious(fails=True))
    event = due(made, b"YWJj")
    if computes:
        event.compute()
    assert made.failure is None
    assert made.take_computed() == CANCEL
    assert failure_of(made) == "there is no result"
    assert made.failure is not None
    assert (made.failure.__traceback__, made.failure.__context__) == (None, None)
    assert made.respond(b"YWJj") == CANCEL


def test_nothing_is_computed_that_was_taken_or_was_never_due() -> None:
    made = exchange(Laborious())
    with pytest.raises(AssertionError, match="nothing is to be computed"):
        made.take_computed()
    event = due(made, b"YWJj")
    made.take_computed()
    with pytest.raises(AssertionError, match="nothing is to be computed"):
        event.compute()


@pytest.mark.parametrize(("iterations", "takes_long"), [(WORK_ITERATIONS, False), (WORK_ITERATIONS + 1, True)])
def test_the_keys_of_scram_take_long_above_fifty_thousand_iterations(iterations: int, takes_long: bool) -> None:
    made = exchange(scram())
    response = made.respond(b64(SERVER_FIRST % iterations))
    assert isinstance(response, ComputationDue) is takes_long
    line = made.take_computed() if takes_long else response
    assert isinstance(line, bytes)
    assert base64.b64decode(line).startswith(b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=")
    assert not made.is_complete


# Secrets

SECRET = CANARY.encode()
every_keeper = pytest.mark.parametrize("keeper", KEEPERS.values(), ids=list(KEEPERS))


def exchange_of(keeper: Keeper) -> Exchange:
    return Exchange(keeper.make(), b"AUTH", 512, sends_initial_response=keeper.sends_initial_response)


@every_keeper
def test_what_the_server_says_is_masked_in_every_spelling(keeper: Keeper) -> None:
    made = exchange_of(keeper)
    for spelling in said_back(CANARY):
        assert_hidden(CANARY, made.mask(b"no: " + spelling + b" is wrong").decode())
    assert made.mask(b"5.7.8 no") == b"5.7.8 no"


@every_keeper
def test_every_line_that_we_said_is_masked(keeper: Keeper) -> None:
    made = exchange_of(keeper)
    said = [made.command_line().split()[-1]] if made.has_spoken else []
    said += [answer(made, challenge).strip() for challenge in keeper.challenges]
    assert said
    assert made.failure is None
    for line in said:
        assert made.mask(b"no " + line) == b"no ****"
        assert made.mask(line.hex().encode()) == b"****"


def test_what_masks_is_made_once_and_again_when_there_are_more_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[bytes, ...]] = []

    def make(secrets: Iterable[bytes]) -> Redaction:
        made.append(tuple(secrets))
        return Redaction(made[-1])

    exchange = Exchange(Login(Password("tim", CANARY)), b"AUTH", 512)
    monkeypatch.setattr("mailwire.sasl.exchange.Redaction", make)
    for lines in range(3):
        for _ in range(500):
            assert exchange.mask(b"no " + CANARY.encode()) == b"no ****"
        assert len(made) == lines + 1
        assert len(made[-1]) == 1 + lines
        exchange.respond(b"")


def test_a_digest_and_a_proof_are_masked_as_they_are() -> None:
    made = exchange(CramMD5(CREDENTIALS))
    made.respond(b64(b"<1896.697170952@postoffice.reston.mci.net>"))
    assert made.mask(b"no b913a602c7eda7a495b4e6e7334d3890") == b"no ****"
    made = exchange(scram())
    made.respond(b64(SERVER_FIRST % 4096))
    assert made.mask(b"no p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=") == b"no p=****"


ECHOES: dict[str, Callable[[bytes], bytes]] = {
    "raw": lambda secret: secret,
    "hex": lambda secret: secret.hex().encode(),
    "no base64 at its end": lambda secret: b64(secret) + b"!",
    "base64": b64,
    "base64 behind an octet": lambda secret: b64(b"x" + secret),
    "base64 behind two octets": lambda secret: b64(b"xy" + secret),
    "base64 of hex": lambda secret: b64(secret.hex().encode()),
    "base64 of base64": lambda secret: b64(b64(b"x" + secret)),
    "base64 of no text": lambda secret: b64(b"\xff" + secret),
    "among attributes": lambda secret: b64(b"r=" + secret + b",s=QQ==,i=4096"),
    "as an error": lambda secret: b64(b"e=" + secret),
    "as a number": lambda secret: b64(SERVER_FIRST.replace(b"%d", secret)),
    "as a failure": lambda secret: b64(b'{"status":"401","scope":"' + b64(b"xy" + secret) + b'"}'),
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=list(ECHOES))
@pytest.mark.parametrize("keeper", [*KEEPERS.values(), Keeper(Careless)], ids=[*KEEPERS, "Careless"])
def test_no_challenge_that_holds_the_secret_shows_it(keeper: Keeper, echo: Callable[[bytes], bytes]) -> None:
    for count in range(len(keeper.challenges) + 1):
        made = exchange_of(keeper)
        for challenge in keeper.challenges[:count]:
            answer(made, challenge)
        answer(made, echo(SECRET))
        assert_hidden(CANARY, made, made.shown_command(), made.failure, made.error(), made.error("; and more"))
        if isinstance(made.mechanism, OAuthBearer | XOAuth2):
            assert_hidden(CANARY, made.mechanism.failure)


def test_a_failure_says_of_such_a_challenge_that_it_is_one() -> None:
    made = exchange(CramMD5(Password("tim", CANARY)))
    assert not made.is_begun
    assert made.respond(b64(SECRET)) == CANCEL
    assert failure_of(made) == "the challenge says what we said in confidence"
    assert not made.is_server_unproven
    made = exchange(Careless())
    assert made.respond(b64(b"\xff" + SECRET)) == CANCEL
    assert failure_of(made) == "the challenge says what we said in confidence"


def test_a_server_that_cannot_prove_itself_is_unproven_whatever_else_it_says() -> None:
    made = exchange(scram(CANARY))
    made.respond(b64(SERVER_FIRST % 4096))
    assert made.respond(b64(b"v=" + SECRET)) == CANCEL
    assert type(made.error()) is ServerUnproven


def test_nothing_of_the_secret_shows() -> None:
    for keeper in KEEPERS.values():
        made = exchange_of(keeper)
        for _ in range(ROUND_LIMIT + 2):
            answer(made, b"")
            assert_hidden(CANARY, made, made.shown_command(), made.failure, made.error(), made.command_line)
