import pytest

from mailwire.sasl import Login, Mechanism, MechanismFailed, Password
from tests.sasl.secrecy import CANARY, assert_hidden


@pytest.mark.parametrize(
    "prompts",
    [
        (b"Username:", b"Password:"),
        (b"User Name\0", b"Password\0"),
        (b"", b""),
        (b"Password:", b"Username:"),
        (b"\xff", b"?"),
    ],
)
def test_user_and_password_are_given_in_this_order_whatever_the_prompts(prompts: tuple[bytes, bytes]) -> None:
    mechanism = Login(Password("jürgen", "пароль"))
    assert [mechanism.respond(prompt) for prompt in prompts] == ["jürgen".encode(), "пароль".encode()]


def test_the_server_speaks_first() -> None:
    mechanism: Mechanism = Login(Password("tim", "secret"))
    assert mechanism.initial_response() is None


def test_a_third_challenge_is_not_answered() -> None:
    mechanism = Login(Password("tim", "secret"))
    mechanism.respond(b"Username:")
    mechanism.respond(b"Password:")
    with pytest.raises(MechanismFailed, match=r"^LOGIN expects no third challenge$"):
        mechanism.respond(b"Once more:")


def test_it_is_complete_when_both_were_given() -> None:
    mechanism = Login(Password("tim", "secret"))
    assert not mechanism.is_complete
    mechanism.respond(b"Username:")
    assert not mechanism.is_complete
    mechanism.respond(b"Password:")
    assert mechanism.is_complete


@pytest.mark.parametrize(
    ("credentials", "problem"),
    [
        (Password("", CANARY), "^LOGIN needs a user and a password that are not empty$"),
        (Password("tim", ""), "^LOGIN needs a user and a password that are not empty$"),
        (Password("", ""), "^LOGIN needs a user and a password that are not empty$"),
        (Password("tim", CANARY, authzid="kurt"), "^LOGIN has no place for an authzid$"),
    ],
)
def test_credentials_that_cannot_be_sent_are_refused_and_not_quoted(credentials: Password, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refusal:
        Login(credentials)
    assert_hidden(CANARY, refusal.value)


def test_its_secret_is_the_password() -> None:
    assert Login(Password("tim", "пароль")).secrets == ("пароль".encode(),)


def test_its_name_is_registered_and_it_exposes_the_password() -> None:
    assert Login.name == "LOGIN"
    assert Login.exposes_password


def test_it_never_shows_its_secret() -> None:
    assert_hidden(CANARY, Login(Password("tim", CANARY)))
