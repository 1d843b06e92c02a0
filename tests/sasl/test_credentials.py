import copy
import pickle
import traceback
from dataclasses import replace
from typing import Any

import pytest

from mailwire.sasl import Password
from tests.sasl.secrecy import assert_hidden

SECRET = "correct horse"


def test_a_password_holds_what_it_was_given() -> None:
    credentials = Password("tim", SECRET, authzid="kurt")
    assert (credentials.user, credentials.password, credentials.authzid) == ("tim", SECRET, "kurt")
    assert Password("tim", SECRET).authzid == ""


def test_a_password_never_shows_its_secret() -> None:
    credentials = Password("tim", SECRET)
    for shown in (repr(credentials), str(credentials), f"{credentials}", repr([credentials])):
        assert SECRET not in shown
        assert "tim" in shown


@pytest.mark.parametrize("field", ["user", "password", "authzid"])
def test_text_that_is_none_in_utf_8_is_refused_and_not_shown(field: str) -> None:
    for surrogate in ("\ud800", "\udfff", "\udc80"):
        fields = {"user": "tim", "password": SECRET, "authzid": ""}
        fields[field] += SECRET + surrogate
        with pytest.raises(
            ValueError, match=r"^user, password and authzid must be text that UTF-8 can express$"
        ) as refusal:
            Password(**fields)
        assert_hidden(SECRET, refusal.value)


@pytest.mark.parametrize("field", ["user", "password", "authzid"])
@pytest.mark.parametrize("value", [None, SECRET.encode(), 7])
def test_what_is_no_text_is_refused_where_it_is_given_and_not_shown(field: str, value: object) -> None:
    # A variable of the environment that is not set, and octets from a file.
    fields: dict[str, Any] = {"user": "tim", "password": SECRET, "authzid": ""}
    with pytest.raises(ValueError, match=rf"^expected the {field} to be text, got {type(value).__name__}$") as refusal:
        Password(**fields | {field: value})
    assert_hidden(SECRET, refusal.value)


def test_a_traceback_with_locals_can_be_made_of_a_refused_password() -> None:
    # What is not made yet has no text, and on older Pythons no traceback can be made that would show it.
    with pytest.raises(ValueError) as refusal:
        Password("tim", f"{SECRET}\ud800")
    told = traceback.TracebackException.from_exception(refusal.value, capture_locals=True)
    assert [frame.locals for frame in told.stack][1:] == [{"problem": repr(str(refusal.value))}]


@pytest.mark.parametrize("text", ["\ud7ff", "\ue000", "\U0010ffff", "", "\0"])
def test_all_other_text_is_accepted(text: str) -> None:
    assert Password(text, text, text).password == text


def test_a_password_is_a_value() -> None:
    credentials = Password("tim", SECRET)
    assert credentials == Password("tim", SECRET) != Password("tim", "other")
    assert hash(credentials) == hash(Password("tim", SECRET))
    assert replace(credentials, user="tom") == Password(user="tom", password=SECRET, authzid="")
    assert copy.copy(credentials) == pickle.loads(pickle.dumps(credentials)) == credentials
    with pytest.raises(AttributeError):
        credentials.user = "tom"  # type: ignore[misc]
