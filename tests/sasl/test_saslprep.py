import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.sasl.saslprep import saslprep
from tests.sasl.secrecy import CANARY, assert_hidden


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        # RFC 4013 3, the examples.
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        # 2.1: spaces become SPACE, others are mapped to nothing.
        ("a\u00a0b\u1680c\u2003d\u3000e", "a b c d e"),
        ("a\u200bb", "a b"),
        ("a\u034f\u1806\u180b\u200c\u200d\u2060\ufe00\ufeffb", "ab"),
        ("\u00ad", ""),
        ("", ""),
        (" ", " "),
        # 2.2: normalization form KC.
        ("e\u0301", "é"),
        ("ﬁ", "fi"),
        ("\uff21\uff22", "AB"),
        ("①", "1"),
        # 2.4: right-to-left text that begins and ends so.
        ("\u0627\u0031\u0628", "\u0627\u0031\u0628"),
        ("\u05d0", "\u05d0"),
        ("שלום", "שלום"),
        # Printable ASCII is as it was.
        (bytes(range(0x20, 0x7F)).decode("ascii"), bytes(range(0x20, 0x7F)).decode("ascii")),
    ],
)
def test_text_is_prepared(text: str, prepared: str) -> None:
    assert saslprep(text) == saslprep(text, is_query=True) == prepared


@pytest.mark.parametrize(
    ("character", "described"),
    [
        ("\x07", "a control character"),  # RFC 4013 3
        ("\0", "a control character"),
        ("\r", "a control character"),
        ("\x7f", "a control character"),
        ("\x85", "a control character"),
        ("\u2028", "a control character"),
        ("\ue000", "a private use character"),
        ("\U0010fffd", "a private use character"),
        ("\ufdd0", "a non-character"),
        ("\U0001ffff", "a non-character"),
        ("\ud800", "a surrogate"),
        ("\ufff9", "a control character"),
        ("\ufffd", "inappropriate for plain text"),
        ("\u2ff0", "inappropriate for canonical representation"),
        ("\u200e", "changes how text is displayed"),
        ("\u202e", "changes how text is displayed"),
        ("\U000e0001", "a tagging character"),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("is_query", [False, True])
def test_prohibited_characters_are_refused(character: str, described: str, is_query: bool) -> None:
    for text in (character, CANARY + character, character + CANARY):
        with pytest.raises(
            ValueError, match=rf"the text cannot be prepared.*{described}.*\(RFC 4013 2\.3\)$"
        ) as refusal:
            saslprep(text, is_query=is_query)
        assert_hidden(CANARY, refusal.value)


@pytest.mark.parametrize(
    ("text", "described"),
    [
        ("\u06271", "does not both begin and end with one"),  # RFC 4013 3
        ("1\u0627", "does not both begin and end with one"),
        ("\u0627a\u0628", "both right-to-left and left-to-right"),
        ("a\u0627", "both right-to-left and left-to-right"),
    ],
    ids=ascii,
)
def test_text_that_mixes_directions_is_refused(text: str, described: str) -> None:
    with pytest.raises(ValueError, match=rf"{described}.*\(RFC 4013 2\.4\)$"):
        saslprep(text)


@pytest.mark.parametrize("character", ["🔑", "\u0221", "ꙮ"], ids=ascii)
def test_what_unicode_3_2_had_not_assigned_stands_in_queries_alone(character: str) -> None:
    assert saslprep(f"a{character}", is_query=True) == f"a{character}"
    with pytest.raises(ValueError, match=r"Unicode 3\.2 does not have \(RFC 4013 2\.5\)$") as refusal:
        saslprep(CANARY + character)
    assert_hidden(CANARY, refusal.value)


def test_the_normalization_is_that_of_unicode_3_2() -> None:
    # U+1F12F was assigned later, and has a compatibility form since.
    later = "\U0001f130"
    assert unicodedata.normalize("NFKC", later) == "A"
    assert saslprep(later, is_query=True) == later


def test_a_refusal_says_what_the_text_is() -> None:
    with pytest.raises(ValueError, match=r"^the password cannot be prepared by SASLprep: it holds a control character"):
        saslprep("a\0", name="the password")


@given(st.text())
def test_whatever_is_prepared_once_is_refused_or_stays_as_it_is(text: str) -> None:
    for is_query in (False, True):
        try:
            prepared = saslprep(text, is_query=is_query)
        except ValueError:
            continue
        assert saslprep(prepared, is_query=is_query) == prepared
        prepared.encode()


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_ascii_without_controls_is_never_changed(text: str) -> None:
    assert saslprep(text) == text
