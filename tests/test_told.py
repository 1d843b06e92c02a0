"""A figure of the page about reliability is held to by the words around it."""

import pytest

from tests.told import Words, assert_page_says, words_in_tests

PAGE = "| cuts | 97 transcripts, 33,262 times in the clear; within 2.4 times | all |"


def test_what_the_page_says_is_told() -> None:
    assert_page_says("{} transcripts, {} times in the clear", 97, 33262, page=PAGE)
    assert_page_says("within {} times", 2.4, page=PAGE)


def test_the_failure_has_the_words_as_they_should_be() -> None:
    with pytest.raises(AssertionError, match=r"has to say '1,098 transcripts', and says \['97 transcripts'\]"):
        assert_page_says("{} transcripts", 1098, page=PAGE)
    with pytest.raises(AssertionError, match=r"has to say '97 plays', and says \[\]"):
        assert_page_says("{} plays", 97, page=PAGE)
    with pytest.raises(AssertionError, match="do not fill"):
        assert_page_says("{} transcripts, {} times", 97, page=PAGE)


def test_words_that_stand_there_twice_are_no_words() -> None:
    with pytest.raises(AssertionError, match="and says"):
        assert_page_says("{} transcripts", 97, page=PAGE * 2)


def test_words_are_found_whatever_the_figures() -> None:
    assert [PAGE[place] for place in Words("{} times in").places(PAGE)] == ["33,262 times in"]
    assert "cases, by sockets" in " ".join(words.text for words in words_in_tests())
