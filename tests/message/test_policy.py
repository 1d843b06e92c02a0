"""How a message is taken: what can be said of that, and what cannot."""

import re
from typing import Any

import pytest

from mailwire.message import MessagePolicy

CHOICES = {"line_ends": ("normalise", "reject"), "long_lines": ("refuse", "allow")}
TRUTHS = ("binary", "smtputf8", "fold_duplicates")


def policy(**settings: Any) -> MessagePolicy:
    return MessagePolicy(**settings)


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("value", ["rejects", "", None, 1, ["reject"], b"reject"])
def test_a_choice_that_there_is_not_is_refused(name: str, value: Any) -> None:
    one, other = CHOICES[name]
    words = f'expected {name} to be "{one}" or "{other}", got {value!r} ({type(value).__name__})'
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        policy(**{name: value})
    for word in CHOICES[name]:
        assert getattr(policy(**{name: word}), name) == word


@pytest.mark.parametrize("name", [*TRUTHS, "eight_bit"])
@pytest.mark.parametrize("value", ["no", 0, 1, []])
def test_what_is_neither_true_nor_false_is_refused(name: str, value: Any) -> None:
    expected = "True, False or None" if name == "eight_bit" else "True or False"
    words = f"expected {name} to be {expected}, got {value!r} ({type(value).__name__})"
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        policy(**{name: value})
    for truth in (True, False):
        assert getattr(policy(**{name: truth}), name) is truth


@pytest.mark.parametrize("name", TRUTHS)
def test_none_is_neither_but_of_eight_bits_nothing_may_be_known(name: str) -> None:
    with pytest.raises(ValueError, match=f"^expected {name} to be True or False, got None "):
        policy(**{name: None})
    assert MessagePolicy(eight_bit=None).eight_bit is None


def test_domains_are_encoded_by_a_function() -> None:
    with pytest.raises(ValueError, match=r"^expected encode_domain to be a function or None, got 'idna'$"):
        policy(encode_domain="idna")
    assert MessagePolicy(encode_domain=str.lower).encode_domain is str.lower
