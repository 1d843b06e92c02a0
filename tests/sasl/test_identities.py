import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from mailwire.sasl.identities import Anonymous, External, OAuthToken
from mailwire.sasl.oauth import OAuthFailure
from tests.sasl.secrecy import CANARY, assert_hidden


class Provider:
    """A coroutine function with a name that gives it away."""

    def __init__(self) -> None:
        self.told: list[OAuthFailure | None] = []

    async def __call__(self, failure: OAuthFailure | None) -> str:
        self.told.append(failure)
        return CANARY

    def __repr__(self) -> str:
        return f"Provider({CANARY})"


def test_a_token_never_shows_itself_nor_who_provides_it() -> None:
    for identity in (OAuthToken("tim", CANARY), OAuthToken("tim", Provider(), authzid="kurt")):
        assert_hidden(CANARY, identity, [identity])
        assert "tim" in repr(identity)


async def test_a_token_may_be_provided_later_and_again_when_it_was_refused() -> None:
    provider = Provider()
    identity = OAuthToken("tim", provider)
    assert not isinstance(identity.token, str)
    for failure in (None, OAuthFailure(status="invalid_token")):
        assert await identity.token(failure) == CANARY
    assert provider.told == [None, OAuthFailure(status="invalid_token")]


def test_a_token_can_be_referred_to_without_being_kept() -> None:
    identity = OAuthToken("tim", Provider())
    reference = weakref.ref(identity)
    assert reference() is identity
    del identity
    gc.collect()
    assert reference() is None


def test_identities_are_values() -> None:
    for identity, same, other in (
        (OAuthToken("tim", "a"), OAuthToken("tim", "a", authzid=""), OAuthToken("tim", "b")),
        (External(), External(authzid=""), External("kurt")),
        (Anonymous(), Anonymous(trace=""), Anonymous("sirhc")),
    ):
        assert identity == same != other
        assert hash(identity) == hash(same)
        assert pickle.loads(pickle.dumps(identity)) == copy.copy(identity) == identity
    assert replace(OAuthToken("tim", "a"), authzid="kurt") == OAuthToken(user="tim", token="a", authzid="kurt")


@pytest.mark.parametrize("value", [None, b"tim", 7])
def test_what_is_no_text_is_refused_where_it_is_given(value: Any) -> None:
    got = f"got {type(value).__name__}$"
    for make, name in (
        (lambda: OAuthToken(value, "a"), "user"),
        (lambda: OAuthToken("tim", "a", value), "authzid"),
        (lambda: External(value), "authzid"),
        (lambda: Anonymous(value), "trace"),
    ):
        with pytest.raises(ValueError, match=f"^expected the {name} to be text, {got}"):
            make()
    told = f"^expected the token to be text, or an async function that returns it, {got}"
    with pytest.raises(ValueError, match=told):
        OAuthToken("tim", value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: OAuthToken(cast(Any, None), CANARY),
        lambda: OAuthToken("tim", CANARY, cast(Any, 7)),
        lambda: OAuthToken("tim", cast(Any, CANARY.encode())),
    ],
)
def test_a_token_that_is_refused_is_not_shown_by_a_traceback_with_locals(make: Callable[[], OAuthToken]) -> None:
    with pytest.raises(ValueError, match=r"^expected the ") as caught:
        make()
    assert_hidden(CANARY, caught.value)


def test_identities_cannot_be_changed() -> None:
    token, external, anonymous = OAuthToken("tim", "a"), External(), Anonymous()
    with pytest.raises(AttributeError):
        token.__setattr__("user", "tom")
    with pytest.raises(AttributeError):
        external.__setattr__("authzid", "tom")
    with pytest.raises(AttributeError):
        anonymous.__setattr__("trace", "tom")
