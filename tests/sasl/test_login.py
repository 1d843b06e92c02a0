import pytest

from mailwire.sasl import Login, Mechanism, MechanismFailed, Password

CANARY = "canary-7f3a"


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
    with pytest.raises(MechanismFailed, match="LOGIN expects no third challenge"):
        mechanism.respond(b"Once more:")


def test_it_is_complete_when_both_were_given() -> None:
    mechanism = Login(Password("tim", "secret"))
    assert not mechanism.is_complete
    mechanism.respond(b"Username:")
    assert not mechanism.is_complete
    mechanism.respond(b"Password:")
    assert mechanism.is_complete


@pytest.mark.parametrize(("user", "password"), [("", CANARY), ("tim", ""), ("", "")])
def test_an_empty_user_or_password_is_refused(user: str, password: str) -> None:
    with pytest.raises(ValueError, match="not empty") as refusal:
        Login(Password(user, password))
    assert CANARY not in repr(refusal.value)


def test_a_password_that_is_no_utf_8_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError) as refusal:
        Login(Password("tim", CANARY + "\ud800"))
    for shown in (str(refusal.value), repr(refusal.value)):
        assert CANARY not in shown


def test_its_name_is_registered_and_it_exposes_the_password() -> None:
    assert Login.name == "LOGIN"
    assert Login.exposes_password


def test_it_never_shows_its_secret() -> None:
    mechanism = Login(Password("tim", CANARY))
    assert CANARY not in repr(mechanism)
    assert CANARY not in str(mechanism)
