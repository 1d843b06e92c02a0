import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.message.folding import fold, is_foldable

WORDS = st.text(alphabet="ab \t,<>", max_size=400)


@pytest.mark.parametrize("text", ["ä", "a\r\nb", "a\n b", "\0", "\x7f", "\x1b[1m", "\udc80"])
def test_what_is_not_printable_ascii_is_not_foldable(text: str) -> None:
    assert not is_foldable(text)
    assert not is_foldable(f"a {text}")
    assert not is_foldable(f"{text} a")


@given(WORDS)
def test_what_is_unfolded_again_is_the_same(text: str) -> None:
    assert is_foldable(text)
    folded = fold("Name", text)
    assert folded is not None
    assert folded.replace("\r\n", "") == text.strip(" \t")
    first, *others = f"Name: {folded}".split("\r\n")
    assert not first.endswith(":") or not others
    for line in others:
        assert line[0] in " \t"
        assert line.strip(" \t")
    for line in (first, *others):
        assert len(line) <= 78 or len(re.findall(r"[^ \t]+", line)) <= (2 if line is first else 1)


def test_a_line_has_up_to_998_characters() -> None:
    assert fold("Name", "x" * 992) == "x" * 992
    assert fold("Name", "x" * 993) is None
    assert fold("Name", "a " + "x" * 997) == "a\r\n " + "x" * 997
    assert fold("Name", "a " + "x" * 998) is None


def test_a_line_has_78_characters_where_words_let_it() -> None:
    assert fold("Name", f"{'x' * 35} {'y' * 36}") == f"{'x' * 35} {'y' * 36}"
    assert fold("Name", f"{'x' * 35} {'y' * 37}") == f"{'x' * 35}\r\n {'y' * 37}"


def test_blanks_at_the_ends_are_left_out_and_nothing_else() -> None:
    assert fold("Name", " \tX Y\t ") == "X Y"
