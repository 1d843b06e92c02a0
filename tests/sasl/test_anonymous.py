import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.sasl import MechanismFailed
from mailwire.sasl.anonymous import TRACE_LIMIT, AnonymousMechanism
from mailwire.sasl.identities import Anonymous


@pytest.mark.parametrize(
    ("trace", "message"),
    [("", b""), ("sirhc", b"sirhc"), ("sirhc@example.org", b"sirhc@example.org"), ("Größe 🐟", "Größe 🐟".encode())],
)
def test_the_message_is_the_trace(trace: str, message: bytes) -> None:
    # RFC 4505 4, the example, begins with "c2lyaGM=".
    assert AnonymousMechanism(Anonymous(trace)).initial_response() == message
    assert AnonymousMechanism(Anonymous(trace)).respond(b"") == message


def test_it_is_complete_when_the_message_was_said() -> None:
    mechanism = AnonymousMechanism(Anonymous("sirhc"))
    assert mechanism.is_complete is False
    mechanism.initial_response()
    assert mechanism.is_complete


def test_the_message_is_said_once() -> None:
    mechanism = AnonymousMechanism(Anonymous("sirhc"))
    mechanism.initial_response()
    with pytest.raises(MechanismFailed, match=r"^ANONYMOUS expects no challenge behind its one message$"):
        mechanism.respond(b"")


@given(st.binary(min_size=1))
def test_no_challenge_is_answered(challenge: bytes) -> None:
    mechanism = AnonymousMechanism(Anonymous("sirhc"))
    with pytest.raises(MechanismFailed, match=r"^ANONYMOUS expects no challenge behind its one message$"):
        mechanism.respond(challenge)
    assert not mechanism.is_complete


@pytest.mark.parametrize("character", ["a", "ü", "🐟"])
def test_the_limit_of_a_trace_is_in_characters(character: str) -> None:
    assert AnonymousMechanism(Anonymous(character * TRACE_LIMIT)).initial_response() == (character * 255).encode()
    with pytest.raises(ValueError, match=r"^a trace is at most 255 characters long \(RFC 4505 2\), this one 256$"):
        AnonymousMechanism(Anonymous(character * (TRACE_LIMIT + 1)))


@pytest.mark.parametrize("code", [0, 0x0A, 0x7F, 0x85, 0xE000, 0xFDD0, 0xD800, 0xFFFD, 0x202E, 0xE0001], ids=hex)
def test_a_trace_is_plain_text(code: int) -> None:
    with pytest.raises(ValueError, match=r"^a trace is plain text without control characters \(RFC 4505 3\)$"):
        AnonymousMechanism(Anonymous(f"a{chr(code)}b"))


def test_its_name_is_registered_and_there_is_no_password_to_expose() -> None:
    assert AnonymousMechanism(Anonymous()).name == AnonymousMechanism.name == "ANONYMOUS"
    assert not AnonymousMechanism.exposes_password
