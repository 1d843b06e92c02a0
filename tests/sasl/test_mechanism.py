from collections.abc import Callable
from typing import Any, cast

import pytest

from mailwire import pop3, smtp
from mailwire.sasl import Exchange, Mechanism, MechanismFailed, Plain
from tests.sasl.secrecy import CANARY, assert_hidden


class Anonymous(Mechanism):
    """ANONYMOUS (RFC 4505), as somebody outside would write it."""

    name = "ANONYMOUS"
    exposes_password = False

    def initial_response(self) -> bytes:
        return b"sirhc"

    def respond(self, challenge: bytes) -> bytes:
        raise MechanismFailed("ANONYMOUS expects no challenge")


class ServerFirst(Mechanism):
    """A mechanism without an initial response, that leaves out all it may leave out."""

    name = "SERVER-FIRST"

    def initial_response(self) -> None: ...

    def respond(self, challenge: bytes) -> bytes:
        return challenge


def test_a_mechanism_of_ones_own_needs_two_methods() -> None:
    mechanism = Anonymous()
    assert mechanism.initial_response() == b"sirhc"
    assert mechanism.is_complete


def test_a_mechanism_is_taken_to_expose_the_password_unless_it_says_otherwise() -> None:
    assert Mechanism.exposes_password
    assert not Anonymous.exposes_password


def test_a_mechanism_proves_no_server_and_has_no_secrets_unless_it_says_otherwise() -> None:
    assert not Mechanism.proves_server
    assert (Anonymous().proves_server, list(Anonymous().secrets)) == (False, [])


def test_the_server_speaks_first_where_there_is_no_initial_response() -> None:
    mechanism: Mechanism = ServerFirst()
    assert mechanism.initial_response() is None
    assert mechanism.respond(b"?") == b"?"
    assert mechanism.is_complete


def test_a_failed_mechanism_is_no_error_of_mailwire() -> None:
    assert MechanismFailed.__bases__ == (Exception,)


DOORS: list[Callable[[Any], object]] = [smtp.Auth, pop3.Auth, lambda given: Exchange(given, b"AUTH", 512)]


class Mute:
    """It has a name, and nothing to say."""

    name = "X-MUTE"


class Nameless(ServerFirst):
    """A mechanism without a name."""

    name = cast("str", None)


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ("PLAIN", "a value of the type str"),
        (None, "a value of the type NoneType"),
        (Plain, "the class Plain"),
        (Mute(), "a value of the type Mute"),
        (Nameless(), "a value of the type Nameless"),
    ],
)
@pytest.mark.parametrize("make", DOORS)
def test_what_is_no_mechanism_is_refused_where_one_is_given(
    make: Callable[[Any], object], given: Any, got: str
) -> None:
    with pytest.raises(ValueError, match=r"^expected a mechanism such as sasl\.Plain\(") as caught:
        make(given)
    assert str(caught.value).endswith(f", got {got}")


@pytest.mark.parametrize("make", DOORS[:2])
def test_a_password_that_is_given_for_a_mechanism_shows_nowhere(make: Callable[[Any], object]) -> None:
    with pytest.raises(ValueError) as caught:
        make(CANARY)
    assert_hidden(CANARY, caught.value)


@pytest.mark.parametrize("make", DOORS)
def test_whatever_has_the_two_methods_and_a_name_is_a_mechanism(make: Callable[[Any], object]) -> None:
    make(ServerFirst())
