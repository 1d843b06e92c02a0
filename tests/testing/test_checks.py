import os
from pathlib import Path

import pytest

from mailwire.testing.checks import (
    check_flag,
    check_names,
    check_number,
    check_octets,
    check_path,
    check_text,
    check_texts,
    check_whole,
    describe,
)


def test_a_long_value_is_quoted_by_its_beginning_and_a_secret_by_its_type() -> None:
    assert describe("a" * 118) == f"'{'a' * 118}'"
    assert describe("a" * 119) == f"'{'a' * 119}... (str)"
    assert describe("covert", is_secret=True) == "a value of the type str"


def test_numbers_of_every_size_are_numbers_and_truth_is_none() -> None:
    check_whole("n", 10**400, 0)
    check_number("n", 10**400, 0)
    check_number("n", 0.5, 0)
    check_number("n", 0, 0)
    for value in (float("inf"), float("nan"), -0.1, True, "1", None):
        with pytest.raises(ValueError, match=f"^expected n to be a number, 0 at least, got {value!r}$"):
            check_number("n", value, 0)
    check_whole("n", 1, 1, 2)
    check_whole("n", 2, 1, 2)
    for number in (0, 3, 1.0, True, "1", None):
        with pytest.raises(ValueError, match=f"^expected n to be a whole number, from 1 to 2, got {number!r}$"):
            check_whole("n", number, 1, 2)
    with pytest.raises(ValueError, match=r"^expected n to be a whole number, 1 at least, got 0$"):
        check_whole("n", 0, 1)


def test_octets_are_bytes() -> None:
    check_octets("octets", b"")
    with pytest.raises(ValueError, match="expected octets to be bytes, got 'text'"):
        check_octets("octets", "text")


class OfOctets(os.PathLike[bytes]):
    def __fspath__(self) -> bytes:
        return b"/run/lmtp"


def test_a_path_is_text_or_stands_for_it() -> None:
    for path in ("a", "/run/lmtp", Path("a")):
        check_path("path", path)
    for wrong in ("", b"/run/lmtp", OfOctets(), 7, None):
        with pytest.raises(ValueError) as caught:
            check_path("path", wrong)
        assert str(caught.value) == f"expected path to be a path, got {wrong!r}"


def test_truth_is_said_by_its_names() -> None:
    check_flag("flag", False)
    with pytest.raises(ValueError, match="expected flag to be True or False, got 1"):
        check_flag("flag", 1)


def test_text_can_be_written_and_a_secret_is_not_shown() -> None:
    check_text("text", "\u7528")
    for text in ("covert\ud800", b"covert"):
        with pytest.raises(ValueError, match="expected text to be text") as told:
            check_text("text", text)
        assert "covert" in str(told.value)
        with pytest.raises(ValueError, match="got a value of the type") as told:
            check_text("text", text, is_secret=True)
        assert "covert" not in str(told.value)


def test_texts_are_a_collection_and_names_are_known() -> None:
    check_names("words", ["a", "b"], ("a", "b"))
    check_texts("words", {"a"})
    for words in ("a", b"a", iter("a"), None):
        with pytest.raises(ValueError) as caught:
            check_texts("words", words)
        expected = "expected words to be a collection of texts, in which one alone is [text]"
        assert str(caught.value) == f"{expected}, got {words!r}"
        with pytest.raises(ValueError, match=f"got a value of the type {type(words).__name__}$"):
            check_texts("words", words, is_secret=True)
    with pytest.raises(ValueError, match=r"^expected each of words to be text, got a value of the type bytes$"):
        check_texts("words", [b"covert"], is_secret=True)
    with pytest.raises(ValueError, match=r"^expected words to be a collection of texts"):
        check_names("words", "a", ("a", "b"))
    with pytest.raises(ValueError, match="expected each of words to be text, got None"):
        check_texts("words", [None])
    with pytest.raises(ValueError, match="expected words of a, b; got 'c'"):
        check_names("words", ["a", "c"], ("a", "b"))
