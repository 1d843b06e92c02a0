import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.sasl import MechanismFailed
from mailwire.sasl.external import ExternalMechanism
from mailwire.sasl.identities import External


@pytest.mark.parametrize(
    ("authzid", "message"),
    [("", b""), ("fred@example.com", b"fred@example.com"), ("jürgen,=", "jürgen,=".encode())],
)
def test_the_message_is_the_identity_to_act_as(authzid: str, message: bytes) -> None:
    # RFC 4422 A.4, the examples: with and without an authorization identity, with and without an initial response.
    assert ExternalMechanism(External(authzid)).initial_response() == message
    assert ExternalMechanism(External(authzid)).respond(b"") == message


def test_it_is_complete_when_the_message_was_said() -> None:
    mechanism = ExternalMechanism(External())
    assert mechanism.is_complete is False
    mechanism.initial_response()
    assert mechanism.is_complete


def test_the_message_is_said_once() -> None:
    mechanism = ExternalMechanism(External())
    mechanism.initial_response()
    with pytest.raises(MechanismFailed, match=r"^EXTERNAL expects no challenge behind its one message$"):
        mechanism.respond(b"")


@given(st.binary(min_size=1))
def test_no_challenge_is_answered(challenge: bytes) -> None:
    mechanism = ExternalMechanism(External())
    with pytest.raises(MechanismFailed, match=r"^EXTERNAL expects no challenge behind its one message$"):
        mechanism.respond(challenge)
    assert not mechanism.is_complete


@pytest.mark.parametrize("authzid", ["\0", "a\0b", "a\ud800"])
def test_an_identity_that_cannot_be_sent_is_refused(authzid: str) -> None:
    with pytest.raises(ValueError, match=r"^authzid must not hold"):
        ExternalMechanism(External(authzid))


def test_its_name_is_registered_and_there_is_no_password_to_expose() -> None:
    assert ExternalMechanism(External()).name == ExternalMechanism.name == "EXTERNAL"
    assert not ExternalMechanism.exposes_password
