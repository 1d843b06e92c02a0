import pytest

from mailwire.sasl import MechanismFailed, Password, Plain
from tests.sasl.secrecy import CANARY, assert_hidden


@pytest.mark.parametrize(
    ("credentials", "message"),
    [
        # RFC 4616 4, the examples: without and with an authorization identity.
        (Password("tim", "tanstaaftanstaaf"), b"\0tim\0tanstaaftanstaaf"),
        (Password("Kurt", "xipj3plmq", authzid="Ursel"), b"Ursel\0Kurt\0xipj3plmq"),
        (Password("jürgen", "密码🔑"), "\0jürgen\0密码🔑".encode()),
        (Password("a", "b c=,\r\n\x01"), b"\0a\0b c=,\r\n\x01"),
        (Password("a@example.org", " "), b"\0a@example.org\0 "),
    ],
)
def test_the_message_is_authzid_user_and_password(credentials: Password, message: bytes) -> None:
    assert Plain(credentials).initial_response() == message


@pytest.mark.parametrize("field", ["user", "password", "authzid"])
@pytest.mark.parametrize("form", ["\0{}", "{}\0", "a\0{}"])
def test_a_nul_is_refused_in_every_field_and_not_quoted(field: str, form: str) -> None:
    fields = {"user": "tim", "password": CANARY, "authzid": "", field: form.format(CANARY)}
    credentials = Password(**fields)
    with pytest.raises(ValueError, match=r"^neither authzid .* may hold a NUL for PLAIN$") as refusal:
        Plain(credentials)
    assert_hidden(CANARY, refusal.value.args)
    if field == "password":
        assert_hidden(CANARY, refusal.value)


@pytest.mark.parametrize(("user", "password"), [("", CANARY), ("tim", ""), ("", "")])
def test_an_empty_user_or_password_is_refused(user: str, password: str) -> None:
    credentials = Password(user, password)
    with pytest.raises(ValueError, match=r"^PLAIN needs .* not empty \(RFC 4616 2\)$") as refusal:
        Plain(credentials)
    assert_hidden(CANARY, refusal.value)


def test_its_secret_is_the_password() -> None:
    assert Plain(Password("tim", "密码🔑", authzid="kurt")).secrets == ("密码🔑".encode(),)


def test_the_message_is_said_once_when_the_server_asks_for_it() -> None:
    mechanism = Plain(Password("tim", "secret"))
    assert mechanism.respond(b"") == b"\0tim\0secret"
    with pytest.raises(MechanismFailed):
        mechanism.respond(b"")


def test_no_challenge_is_answered() -> None:
    with pytest.raises(MechanismFailed, match=r"^PLAIN expects no challenge behind its one message$"):
        Plain(Password("tim", "secret")).respond(b"who are you?")
    mechanism = Plain(Password("tim", "secret"))
    mechanism.initial_response()
    with pytest.raises(MechanismFailed):
        mechanism.respond(b"")


def test_it_is_complete_when_the_message_was_said() -> None:
    mechanism = Plain(Password("tim", "secret"))
    assert mechanism.is_complete is False
    mechanism.initial_response()
    assert mechanism.is_complete


def test_its_name_is_registered_and_it_exposes_the_password() -> None:
    assert Plain.name == "PLAIN"
    assert Plain.exposes_password


def test_it_never_shows_its_secret() -> None:
    assert_hidden(CANARY, Plain(Password("tim", CANARY)))
