import re
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.message.survey import LINE_LIMIT, Survey, has_long_line


def fed(blocks: Iterable[bytes]) -> Survey:
    survey = Survey()
    for block in blocks:
        survey.feed(block)
    return survey


def facts(survey: Survey) -> tuple[object, ...]:
    return (
        survey.octets,
        survey.is_ascii,
        survey.header_is_ascii,
        survey.header_is_utf8,
        survey.long_line,
        survey.ends_line,
        survey.needs_utf8,
    )


def long_line(text: bytes) -> int | None:
    """Where the first line begins that is too long."""
    place = 0
    for line in text.splitlines(keepends=True):
        if len(line) > LINE_LIMIT:
            return place
        place += len(line)
    return None


LENGTHS = (1, 76, 996, 997, 998, 999, 3000)
LINES = st.lists(
    st.sampled_from([b"", b"a: b", b"\xe4", *(b"x" * length for length in LENGTHS)])
    | st.binary(max_size=5).map(lambda octets: octets.translate(None, b"\r\n\0"))
    | st.text(max_size=5).map(lambda text: re.sub("[\r\n\0]", "", text).encode()),
    max_size=12,
)
SIZES = st.lists(st.sampled_from([0, 1, 2, 3, 5, 60, 997, 1000, 1001]), max_size=12)


def cut(text: bytes, sizes: list[int]) -> list[bytes]:
    blocks, place = [], 0
    for size in sizes:
        blocks.append(text[place : place + size])
        place += size
    return [*blocks, text[place:]]


@given(LINES, st.booleans(), SIZES)
def test_the_facts_are_those_that_are_found_line_by_line(lines: list[bytes], ended: bool, sizes: list[int]) -> None:
    text = b"\r\n".join(lines) + (b"\r\n" if ended and lines else b"")
    header = b"" if text.startswith(b"\r\n") else text.partition(b"\r\n\r\n")[0]
    try:
        header.decode()
        is_utf8 = True
    except UnicodeDecodeError:
        is_utf8 = False
    whole = Survey.whole(text)
    assert whole.octets == len(text)
    assert whole.is_ascii == text.isascii()
    assert whole.header_is_ascii == header.isascii()
    assert whole.header_is_utf8 == is_utf8
    assert whole.ends_line == (not text or text.endswith(b"\r\n"))
    # Of a last line that is not ended, the CRLF that is added does not count yet.
    assert whole.long_line == long_line(text)
    # However it is cut; but what is no UTF-8 at the end of a header that has not ended, may still become some.
    pieces = fed(cut(text, sizes))
    if b"\r\n\r\n" in b"\r\n" + text or is_utf8:
        assert facts(pieces) == facts(whole)


@given(
    st.sampled_from([1, 2, 3, 78, 999, 1000]),
    st.lists(st.tuples(st.sampled_from([0, 1, 200, 8000]), st.sampled_from(LENGTHS)), max_size=3),
    SIZES,
)
def test_lines_of_one_length_are_measured_as_any_others_are(
    length: int, others: list[tuple[int, int]], sizes: list[int]
) -> None:
    # The equal ones come in front of, between and behind the others; of these some are too long.
    equal = b"x" * (length - 1) + b"\n"
    text = b"".join(equal * count + b"y" * other + b"\n" for count, other in others) + equal * (20_000 // length)
    assert Survey.whole(text).long_line == long_line(text)
    assert facts(fed(cut(text, sizes))) == facts(Survey.whole(text))
    assert facts(fed(cut(text, [part * 17 for part in sizes]))) == facts(Survey.whole(text))


class Searched(bytes):
    """Octets that count how often they are searched."""

    searches = 0

    def rfind(self, *args: Any) -> int:
        self.searches += 1
        return super().rfind(*args)


def test_many_lines_of_one_length_are_measured_in_one_step() -> None:
    lines = Searched(b"a: b\r\n" + (b"x" * 76 + b"\r\n") * 3000 + b"y" * 10 + b"\r\n" + b"z" * 500)
    survey = fed([lines[10:], b"z" * 497 + b"\r\n"])
    assert survey.long_line is None
    survey = Survey()
    survey.feed(lines)
    assert lines.searches <= 3
    survey.feed(b"z" * 501)
    assert survey.long_line == len(lines) - 500


def test_a_line_that_has_begun_in_the_block_before_is_measured_with_that() -> None:
    many = (b"z" * 76 + b"\r\n") * 300
    assert fed([b"x" * 500, b"y" * 498 + b"\r\n" + many]).long_line is None
    assert fed([b"x" * 500, b"y" * 499 + b"\r\n" + many]).long_line == 0
    assert fed([b"a\r\n" + b"x" * 500, b"y" * 700 + b"\r\n" + many]).long_line == 3


def test_a_line_that_begins_behind_the_first_octet_of_a_block_is_measured_from_there() -> None:
    assert fed([b"a\r", b"\n" + b"x" * 998 + b"\r\n"]).long_line is None
    assert fed([b"a\r", b"\n" + b"x" * 999 + b"\r\n"]).long_line == 3
    assert fed([b"a\r", b"\n" + b"x" * 500, b"y" * 498 + b"\r\n"]).long_line is None
    assert fed([b"a\r", b"\n" + b"x" * 500, b"y" * 499 + b"\r\n"]).long_line == 3


def test_a_line_that_is_not_ended_is_too_long_once_it_has_more_than_1000_octets() -> None:
    for size, place in ((1000, None), (1001, 3)):
        text = b"a\r\n" + b"x" * size
        assert Survey.whole(text).long_line == fed([text]).long_line == place


def test_of_a_whole_text_each_fact_is_yes_or_no() -> None:
    for text, ends_line in ((b"", True), (b"a", False), (b"a\r\n", True)):
        assert Survey.whole(text).ends_line is ends_line
    for text, is_ascii in ((b"a", True), (b"\xe4", False)):
        survey = Survey.whole(text)
        assert (survey.is_ascii, survey.header_is_ascii, survey.header_is_utf8) == (is_ascii, is_ascii, is_ascii)
        assert {type(fact) for fact in facts(survey)} == {int, bool, type(None)}


@pytest.mark.parametrize("length", [1, 997, 998])
def test_a_line_may_have_998_octets(length: int) -> None:
    line = b"x" * length + b"\r\n"
    assert Survey.whole(line).long_line is None
    assert fed([line * 5]).long_line is None
    assert fed([line[:500], line[500:]] * 5).long_line is None


@pytest.mark.parametrize("length", [999, 1000, 10_000, 300_000])
def test_a_line_of_more_is_found_where_it_begins(length: int) -> None:
    text = b"a\r\n" * 3 + b"x" * length + b"\r\n" + b"y" * 2000 + b"\r\n"
    assert Survey.whole(text[9:]).long_line == 0
    assert Survey.whole(text).long_line == 9
    assert fed([text]).long_line == 9
    assert fed([text[:200], text[200:]]).long_line == 9
    assert fed([text[place : place + 7] for place in range(0, len(text), 7)]).long_line == 9


def test_a_header_that_is_not_ended_may_go_on() -> None:
    survey = fed([b"a: \xc3"])
    assert survey.needs_utf8
    survey.feed(b"\xbc\r\n\r\n")
    assert survey.needs_utf8
    survey.feed(b"\xff")
    assert survey.needs_utf8
    assert not fed([b"a: \xc3", b"\r\n\r\n"]).needs_utf8
    assert not fed([b"a: \xc3", b"\n\n"]).needs_utf8
    assert not Survey.whole(b"a: \xc3").needs_utf8


@pytest.mark.parametrize("place", range(7))
def test_the_end_of_a_header_is_found_across_blocks(place: int) -> None:
    text = b"a\r\n\r\n\xc3\xbc"
    survey = fed([text[:place], text[place:]])
    assert not survey.is_ascii
    assert survey.header_is_ascii


@pytest.mark.parametrize("text", [b"a\n\n\xc3\xbc", b"a\n\r\n\xc3\xbc", b"a\r\n\n\xc3\xbc", b"\n\xc3\xbc"])
def test_the_header_of_what_is_binary_may_have_lines_that_end_in_lf(text: bytes) -> None:
    for survey in (Survey.whole(text), *(fed([text[:place], text[place:]]) for place in range(len(text)))):
        assert not survey.is_ascii
        assert survey.header_is_ascii
    assert facts(fed([text[place : place + 1] for place in range(len(text))])) == facts(Survey.whole(text))


def test_an_empty_line_may_be_all_the_header_there_is() -> None:
    for blocks in ([b"\r\n\xc3\xbc: x\r\n\r\n"], [b"\r", b"\n", b"\xc3\xbc: x"], [b"\r\n", b"\xc3\xbc"]):
        assert fed(blocks).header_is_ascii
        assert Survey.whole(b"".join(blocks)).header_is_ascii


@pytest.mark.parametrize("before", [b"", b"a\r\n", b"y" * 998 + b"\r\n", (b"z" * 76 + b"\r\n") * 300])
@pytest.mark.parametrize("line", [b"", b"x" * 998 + b"\r\n", b"x" * 999 + b"\r\n", b"x" * 1000, b"x" * 1001])
@pytest.mark.parametrize("behind", [b"", b"\r\nb\r\n", (b"z" * 76 + b"\r\n") * 300])
def test_whether_a_line_is_too_long_is_what_a_survey_says(before: bytes, line: bytes, behind: bytes) -> None:
    text = before + line + behind
    assert has_long_line(text) is (Survey.whole(text).long_line is not None) is (long_line(text) is not None)
