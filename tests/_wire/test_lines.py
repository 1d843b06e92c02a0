from collections.abc import Callable, Iterable
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire._wire.lines import LineBuffer
from mailwire.errors import LimitExceeded

LIMIT = 8


def take(buffer: LineBuffer) -> list[tuple[bytes, bool]]:
    """Every line that is complete, each with whether it ended in LF alone."""
    lines = []
    while (line := buffer.next_line()) is not None:
        lines.append((line, buffer.bare_lf))
    return lines


def read(pieces: Iterable[bytes], limit: int = LIMIT) -> tuple[list[tuple[bytes, bool]], bytes]:
    """The lines in `pieces`, taken as they become complete, and what is left."""
    buffer = LineBuffer(limit)
    lines = []
    for piece in pieces:
        buffer.feed(piece)
        lines += take(buffer)
    buffer.line_limit = 1_000_000
    buffer.feed(b"\n")  # completes what is left
    [(rest, is_bare)] = take(buffer)
    return lines, rest if is_bare else rest + b"\r"


def expected(text: bytes) -> tuple[list[tuple[bytes, bool]], bytes]:
    *lines, rest = text.split(b"\n")
    return [(line.removesuffix(b"\r"), not line.endswith(b"\r")) for line in lines], rest


def octets(text: bytes) -> list[bytes]:
    return [text[place : place + 1] for place in range(len(text))]


def test_at_the_beginning_there_is_no_line() -> None:
    buffer = LineBuffer(LIMIT)
    assert buffer.line_limit == LIMIT
    assert buffer.bare_lf is False
    assert buffer.next_line() is None
    assert not buffer


def test_lines_are_the_same_however_they_arrive() -> None:
    for length in range(7):
        for letters in product((b"a", b"\r", b"\n"), repeat=length):
            text = b"".join(letters)
            assert read([text]) == read(octets(text)) == expected(text), text
            for first, second in combinations(range(length + 1), 2):
                assert read([text[:first], text[first:second], text[second:]]) == expected(text), (text, first, second)


def test_a_line_ends_in_crlf_or_lf_and_a_cr_elsewhere_is_text() -> None:
    assert read([b"one\r\ntwo\nthr\ree\n\r\n\nfour"]) == (
        [(b"one", False), (b"two", True), (b"thr\ree", True), (b"", False), (b"", True)],
        b"four",
    )


def test_a_cr_at_the_end_of_a_block_does_not_belong_to_the_empty_line_that_begins_it() -> None:
    buffer = LineBuffer(LIMIT)
    buffer.feed(b"\nfoo\r")
    assert buffer.next_line() == b""
    assert buffer.next_line() is None
    buffer.feed(b"\n")
    assert buffer.next_line() == b"foo"


def test_only_the_last_cr_belongs_to_the_line_end() -> None:
    assert read([b"a\r\r\n"]) == ([(b"a\r", False)], b"")


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_line_of_exactly_the_limit_passes(end: bytes) -> None:
    line = b"a" * LIMIT
    assert read([line + end])[0] == read(octets(line + end))[0] == [(line, end == b"\n")]
    assert read([line[:3], line[3:] + end[:1], end[1:]])[0] == [(line, end == b"\n")]


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_line_of_one_octet_more_than_the_limit_does_not_pass(end: bytes, whole: bool) -> None:
    line = b"a" * (LIMIT + 1) + end
    with pytest.raises(LimitExceeded, match=rf"^a line is longer than {LIMIT} octets, it begins with b'aaaa"):
        read([line] if whole else octets(line))


def test_an_unfinished_line_does_not_grow_beyond_the_limit() -> None:
    for last in (b"a", b"\r"):
        buffer = LineBuffer(LIMIT)
        for _ in range(LIMIT):
            buffer.feed(b"a")
            assert buffer.next_line() is None
        buffer.feed(last)
        if last == b"\r":  # the line's end may begin with it
            assert buffer.next_line() is None
            buffer.feed(b"a")
        with pytest.raises(LimitExceeded):
            buffer.next_line()


def test_a_line_beyond_the_limit_never_passes_afterwards() -> None:
    buffer = LineBuffer(LIMIT)
    buffer.feed(b"a" * 100)
    for data in (b"", b"\r\n", b"250 ok\r\n"):
        buffer.feed(data)
        with pytest.raises(LimitExceeded):
            buffer.next_line()


def test_the_limit_holds_for_each_line_and_not_for_all() -> None:
    text = (b"a" * LIMIT + b"\r\n") * 100
    assert len(read([text])[0]) == len(read(octets(text))[0]) == 100


def test_an_endless_line_is_quoted_only_at_its_beginning() -> None:
    with pytest.raises(LimitExceeded) as error:
        read([b"x" * 100_000], limit=1000)
    assert len(str(error.value)) < 300


def test_the_limit_can_be_changed_between_lines() -> None:
    buffer = LineBuffer(4)
    buffer.feed(b"1234\r\n12345678\r\n")
    assert buffer.next_line() == b"1234"
    buffer.line_limit = 8
    assert buffer.next_line() == b"12345678"


def test_the_buffer_is_true_while_anything_is_left() -> None:
    buffer = LineBuffer(LIMIT)
    assert not buffer
    buffer.feed(b"")
    assert not buffer
    buffer.feed(b"a\r\nb")
    assert buffer  # something arrived
    assert buffer.next_line() == b"a"
    assert buffer  # something is left of what arrived
    assert buffer.next_line() is None
    assert buffer  # the beginning of a line
    buffer.feed(b"\n")
    assert buffer.next_line() == b"b"
    assert not buffer


@pytest.mark.parametrize("pieces", [(b"a\r\nb\r\nc",), (b"a\r", b"\nb\r\n", b"c"), (b"a", b"", b"\n", b"b", b"\n")])
def test_the_buffer_tells_whether_a_whole_line_is_waiting(pieces: tuple[bytes, ...]) -> None:
    buffer = LineBuffer(LIMIT)
    assert not buffer.has_line
    for piece in pieces:
        buffer.feed(piece)
    for line in (b"a", b"b"):
        assert buffer.has_line
        assert buffer.next_line() == line
    assert not buffer.has_line
    assert buffer.next_line() is None
    assert not buffer.has_line


def test_the_buffer_tells_how_much_is_left() -> None:
    buffer = LineBuffer(100)
    assert buffer.size == 0
    buffer.feed(b"one\r\ntw")
    assert buffer.size == 7
    assert buffer.next_line() == b"one"
    assert buffer.size == 2
    assert buffer.next_line() is None
    assert buffer.size == 2  # the beginning of a line
    buffer.feed(b"o\r\n")
    buffer.feed(b"block")
    assert buffer.size == 10
    assert buffer.next_line() == b"two"
    assert buffer.size == 5
    block, start = buffer.peek_block()
    buffer.skip_to(start + 3)
    assert (block, buffer.size) == (b"block", 2)


def test_an_empty_line_at_the_beginning_of_a_block_is_a_whole_line() -> None:
    buffer = LineBuffer(LIMIT)
    buffer.feed(b"\n+OK")
    assert buffer.peek_block() == (b"\n+OK", 0)
    assert buffer.has_line
    assert buffer.next_line() == b""
    assert not buffer.has_line


def test_everything_left_can_be_quoted_without_being_taken() -> None:
    buffer = LineBuffer(100)
    assert buffer.quote_rest() == ""
    for piece in (b"one\r\ntwo\r\nthr", b"ee", b"\r\nfo", b"ur"):
        buffer.feed(piece)
    assert buffer.quote_rest() == repr(b"one\r\ntwo\r\nthree\r\nfour")
    assert [buffer.next_line() for _ in range(4)] == [b"one", b"two", b"three", None]
    assert buffer.quote_rest() == "b'four'"
    buffer.feed(b"five")
    assert buffer.quote_rest() == "b'fourfive'"


# What must not be shown


def masking(*secrets: bytes, limit: int = 100) -> LineBuffer:
    def without(secret: bytes) -> Callable[[bytes], bytes]:
        return lambda data: data.replace(secret, b"****")

    buffer = LineBuffer(limit)
    for secret in secrets:
        buffer.mask_with(without(secret))
    return buffer


def test_what_is_quoted_passes_through_every_mask() -> None:
    buffer = masking(b"canary", b"sparrow")
    assert buffer.masked(b"a canary and a sparrow") == b"a **** and a ****"
    assert buffer.quote(b"a canary and a sparrow\r") == repr(b"a **** and a ****\r")
    assert LineBuffer(100).masked(b"a canary") == b"a canary"
    assert LineBuffer(100).quote(b"a canary") == "b'a canary'"


def test_what_is_quoted_passes_through_the_masks_of_a_connection_before_it() -> None:
    first, second, third = masking(b"canary"), LineBuffer(100), LineBuffer(100)
    second.mask_as(first)
    third.mask_as(second)
    for buffer in (second, third):
        assert buffer.masked(b"a canary") == b"a ****"
        assert buffer.quote_beginning(b"a can") == "(5 octets)"
    third.mask_with(masking(b"sparrow").masked)
    assert third.masked(b"a canary and a sparrow") == b"a **** and a ****"
    fourth = LineBuffer(100)
    fourth.mask_as(third)
    assert fourth.masked(b"a canary and a sparrow") == b"a canary and a ****"  # they do not pile up


def test_lines_are_taken_as_they_came_whatever_is_masked() -> None:
    buffer = masking(b"canary")
    buffer.feed(b"a canary\r\n")
    assert buffer.next_line() == b"a canary"


def test_a_quotation_is_masked_before_it_is_cut() -> None:
    # 116 octets of a quotation of 120 would else be the beginning of the secret.
    buffer = masking(b"canary" * 100, limit=1000)
    assert buffer.quote(b"say " + b"canary" * 100) == "b'say ****'"


def test_of_what_is_left_whole_lines_are_quoted_and_the_rest_is_counted() -> None:
    # A line that is cut off may end in the beginning of the secret.
    buffer = masking(b"canary")
    assert buffer.quote_rest() == ""
    buffer.feed(b"one canary\r")
    assert buffer.quote_rest() == "(11 octets)"
    buffer.feed(b"\n")
    assert buffer.quote_rest() == repr(b"one ****\r\n")
    buffer.feed(b"two\r\nthree cana")
    assert buffer.quote_rest() == repr(b"one ****\r\ntwo\r\n") + " (10 octets)"
    assert [buffer.next_line() for _ in range(3)] == [b"one canary", b"two", None]
    assert buffer.quote_rest() == "(10 octets)"


@pytest.mark.parametrize("piece", [1, 3, 100])
def test_of_a_line_beyond_the_limit_nothing_is_shown_but_its_length_unless_it_is_whole(piece: int) -> None:
    buffer = masking(b"canary", limit=LIMIT)
    text = b"ok canary"
    for place in range(0, len(text), piece):
        buffer.feed(text[place : place + piece])
    with pytest.raises(LimitExceeded, match=r"^a line is longer than 8 octets, it begins with \(9 octets\)$"):
        buffer.next_line()
    buffer = masking(b"canary", limit=LIMIT)
    buffer.feed(text + b"\r\n")
    with pytest.raises(LimitExceeded, match=r"^a line is longer than 8 octets, it begins with b'ok \*\*\*\*\\r'$"):
        buffer.next_line()


def test_the_beginning_of_what_goes_on_is_quoted_as_far_as_its_lines_are_whole() -> None:
    assert LineBuffer(LIMIT).quote_beginning(b"one\r\ntwo cana") == repr(b"one\r\ntwo cana")
    buffer = masking(b"canary")
    assert buffer.quote_beginning(b"canary\ntwo cana") == repr(b"****\n") + " (8 octets)"
    assert buffer.quote_beginning(b"canary\n") == repr(b"****\n")
    assert buffer.quote_beginning(b"cana") == "(4 octets)"


def test_a_block_is_shown_behind_a_line_without_a_copy() -> None:
    data = b"+OK\r\nthe body"
    buffer = LineBuffer(100)
    buffer.feed(data)
    assert buffer.next_line() == b"+OK"
    block, start = buffer.peek_block()
    assert (block, start) == (data, 5)
    assert block is data


def test_a_block_is_taken_as_far_as_it_is_said_to_be() -> None:
    buffer = LineBuffer(100)
    buffer.feed(b"+OK\r\nbody")
    buffer.feed(b"more+OK next\r\n")
    assert buffer.next_line() == b"+OK"
    block, start = buffer.peek_block()
    assert block[start:] == b"body"
    buffer.skip_to(len(block))
    assert buffer.peek_block() == (b"more+OK next\r\n", 0)
    buffer.skip_to(4)
    assert buffer.next_line() == b"+OK next"
    assert not buffer


def test_an_empty_block_means_that_nothing_is_left() -> None:
    buffer = LineBuffer(100)
    assert buffer.peek_block() == (b"", 0)
    buffer.feed(b"a\r\n")
    assert buffer.next_line() == b"a"
    block, start = buffer.peek_block()
    assert block[start:] == b""
    buffer.feed(b"b")
    assert buffer.peek_block() == (b"b", 0)


def test_no_block_begins_inside_a_line() -> None:
    buffer = LineBuffer(100)
    buffer.feed(b"a")
    assert buffer.next_line() is None
    with pytest.raises(AssertionError, match="inside a line"):
        buffer.peek_block()


@given(st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b"b" * 300, b"250-x\r\n", b"\0\xff"])))
def test_nothing_is_lost_and_nothing_is_added(pieces: list[bytes]) -> None:
    assert read(pieces, limit=10_000) == expected(b"".join(pieces))


# What else may be taken


def test_an_lf_that_is_received_next_can_be_left_unheard_once() -> None:
    buffer = LineBuffer(LIMIT)
    buffer.drop_line_feed()
    buffer.feed(b"")
    buffer.feed(b"\na\n")
    buffer.feed(b"\nb\n")
    assert take(buffer) == [(b"a", True), (b"", True), (b"b", True)]
    buffer.drop_line_feed()
    buffer.feed(b"c\n")
    buffer.feed(b"\n")
    assert take(buffer) == [(b"c", True), (b"", True)]


@pytest.mark.parametrize("whole", [False, True])
def test_a_line_may_be_as_long_as_the_limit_wherever_it_stands(whole: bool) -> None:
    for end in (b"\n", b"\r\n"):
        lines = b"ab" + end + b"x" * LIMIT + end + end
        pieces = [lines] if whole else [lines[:5], lines[5:]]
        assert [line for line, _ in read(pieces)[0]] == [b"ab", b"x" * LIMIT, b""]


def test_a_line_too_long_is_quoted_without_what_must_not_be_shown() -> None:
    for text, quoted in ((b"secret secret\n", "b'**** ****'"), (b"secret secr", "(11 octets)")):
        buffer = LineBuffer(LIMIT)
        buffer.mask_with(lambda data: data.replace(b"secret", b"****"))
        buffer.feed(text)
        with pytest.raises(LimitExceeded) as refusal:
            buffer.next_line()
        assert str(refusal.value) == f"a line is longer than 8 octets, it begins with {quoted}"
