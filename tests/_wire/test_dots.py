import copy
import pickle
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import combinations, product
from typing import Protocol

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailwire._wire import dots
from mailwire._wire.dots import (
    TERMINATOR,
    DotStuffer,
    DotUnstuffer,
    LineEndPolicy,
    LineEnds,
    MailText,
    ends_in_a_row,
    is_crlf_alone,
    mended,
)
from tests.extent import sampled

ALPHABET = (b"a", b".", b"\r", b"\n")
LENGTH = 6

# Every string over the four octets that matter, up to LENGTH of them: 5,461 of them.
STRINGS = [b"".join(letters) for length in range(LENGTH + 1) for letters in product(ALPHABET, repeat=length)]

# In every run those of up to five octets: the splits of longer ones are tried state by state, below.
SHORT_STRINGS = STRINGS[:1365]
STRINGS_TRIED = sampled("strings", SHORT_STRINGS, STRINGS)

POLICIES: tuple[LineEndPolicy, ...] = ("normalise", "reject")

# What may leave: no CR without its LF, no LF without its CR, no NUL.
SAFE = re.compile(rb"(?:[^\r\n\0]|\r\n)*\Z")

# The sequences that scanners for SMTP smuggling try (VU#302671 and its descendants): text for one hop, end of data for
# the next.
KNOWN_SMUGGLING = (
    b"\n.\n",
    b"\n.\r",
    b"\r.\n",
    b"\r.\r",
    b"\n.\r\n",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r\r\n",
    b"\r\n\0.\r\n",
)
# All that has the form end, dot, end: 25 of them, with the standard's own among them.
LINE_END_FORMS = (b"\n", b"\r", b"\r\n", b"\r\r\n", b"\r\n\r")
SMUGGLING_FORMS = tuple(before + b"." + after for before, after in product(LINE_END_FORMS, repeat=2))


class Codec(Protocol):
    def feed(self, block: bytes, /) -> bytes: ...
    def finish(self) -> bytes: ...


# The oracles: one-shot, by whole lines.


def normalised(text: bytes) -> bytes:
    return re.sub(rb"\r\n|\r|\n", b"\r\n", text)


def is_standard(text: bytes) -> bool:
    return not re.search(rb"\r(?!\n)|(?<!\r)\n", text)


def lines_of(text: bytes) -> list[bytes]:
    lines = normalised(text).split(b"\r\n")
    return lines if lines[-1] else lines[:-1]


def as_message(text: bytes) -> bytes:
    return b"".join(line + b"\r\n" for line in lines_of(text))


def stuffed(text: bytes) -> bytes:
    dotted = (b"." + line if line[:1] == b"." else line for line in lines_of(text))
    return b"".join(line + b"\r\n" for line in dotted) + b".\r\n"


def unstuffed(wire: bytes, *, bare_lf: bool = False) -> tuple[bytes, int]:
    """The message in `wire`, and where the terminator ends."""
    end = b"\n" if bare_lf else b"\r\n"
    last = (b".", b".\r") if bare_lf else (b".",)
    message, position = list[bytes](), 0
    for line in wire.split(end):
        position += len(line) + len(end)
        if line in last:
            return b"".join(message), position
        message.append((line[1:] if line[:2] == b".." else line) + end)
    raise AssertionError("there is no terminator")


# The ways to cut.


def two_cuts(text: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """All ways to cut `text` in three; the outer pieces may be empty, which makes them ways to cut it in two too."""
    for first, second in combinations(range(len(text) + 2), 2):
        yield text[:first], text[first : second - 1], text[second - 1 :]


def octets(text: bytes) -> list[bytes]:
    return [text[place : place + 1] for place in range(len(text))]


def run(codec: Codec, blocks: Iterable[bytes]) -> bytes:
    feed = codec.feed
    return b"".join([*[feed(block) for block in blocks], codec.finish()])


def unstuff(blocks: Iterable[bytes], *, bare_lf: bool = False) -> tuple[bytes, int]:
    """The message in `blocks`, and how many octets of them were taken until the terminator had been seen."""
    unstuffer = DotUnstuffer(bare_lf=bare_lf)
    message, taken = b"", 0
    for block in blocks:
        piece, stop = unstuffer.feed(block)
        message += piece
        taken += stop
        if unstuffer.finished:
            return message, taken
        assert stop == len(block)
    raise AssertionError(f"no terminator was found, only {message!r}")


# LineEnds


@STRINGS_TRIED
def test_every_line_end_becomes_crlf_however_the_text_is_cut(strings: list[bytes]) -> None:
    for text in strings:
        expected = normalised(text)
        assert run(LineEnds(), octets(text)) == expected, text
        for cut in two_cuts(text):
            assert run(LineEnds(), cut) == expected, (text, cut)


@STRINGS_TRIED
def test_reject_passes_the_standard_and_refuses_the_rest_however_the_text_is_cut(strings: list[bytes]) -> None:
    for text in strings:
        passes = is_standard(text)
        for cut in (octets(text), *two_cuts(text)):
            try:
                assert run(LineEnds("reject"), cut) == text, (text, cut)
            except ValueError:
                assert not passes, (text, cut)
            else:
                assert passes, (text, cut)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("block", [b"", b"a line\r\n", b"\r\n\r\n", b"no end", b"one\r\ntwo\r\nthree"])
def test_a_block_that_needs_no_change_is_not_copied(policy: LineEndPolicy, block: bytes) -> None:
    assert LineEnds(policy).feed(block) is block


MANY_LINES = b"first\r\n" + (b"b" * 76 + b"\r\n") * 300
"""More than are looked at one by one, where they have one length."""


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("block", [MANY_LINES, MANY_LINES + b"last", MANY_LINES + b"b" * 80 + b"\r\n"])
def test_many_lines_of_one_length_that_need_no_change_are_not_copied(policy: LineEndPolicy, block: bytes) -> None:
    assert LineEnds(policy).feed(block) is block
    assert mended(block, policy) == block


@pytest.mark.parametrize("alone", [b"\r", b"\n"])
@pytest.mark.parametrize("place", [0, 3, 5, 6, 7, 40, 83, 84, 85, 12_000, len(MANY_LINES) - 1])
def test_among_many_lines_of_one_length_a_bare_line_end_is_mended_or_refused(alone: bytes, place: int) -> None:
    text = MANY_LINES[:place] + alone + MANY_LINES[place + 1 :]
    assert run(LineEnds(), [text]) == normalised(text) == mended(text)
    if not is_standard(text):
        with pytest.raises(ValueError, match="holds a bare"):
            run(LineEnds("reject"), [text])


@pytest.mark.parametrize("text", [b"ab\rcd", b"ab\r"])
def test_a_bare_cr_is_refused_with_its_place(text: bytes) -> None:
    with pytest.raises(
        ValueError, match=r"^the message holds a bare CR at octet 2, near b'.*': every line must end in CRLF$"
    ):
        run(LineEnds("reject"), [text])


def test_a_bare_lf_is_refused_with_its_place() -> None:
    with pytest.raises(
        ValueError, match=r"^the message holds a bare LF at octet 2, near b'ab\\ncd': every line must end in"
    ):
        LineEnds("reject").feed(b"ab\ncd")


@pytest.mark.parametrize("policy", POLICIES)
def test_a_nul_is_refused_with_its_place(policy: LineEndPolicy) -> None:
    with pytest.raises(
        ValueError, match=r"^the message holds a NUL at octet 4, near b'ab\\r\\n\\x00cd': it cannot be sent"
    ):
        LineEnds(policy).feed(b"ab\r\n\0cd")
    with pytest.raises(ValueError, match=r"^the message holds a NUL at octet 0"):
        mended(b"\0ab\r\n", policy)


def test_the_place_counts_from_the_beginning_of_the_message_however_it_is_cut() -> None:
    for bad, what in ((b"\r", "bare CR"), (b"\n", "bare LF"), (b"\0", "NUL")):
        text = b"one\r\ntwo\r\nthr" + bad + b"ee\r\n"
        for cut in (octets(text), *two_cuts(text)):
            with pytest.raises(ValueError, match=f"holds a {what} at octet 13,"):
                run(LineEnds("reject"), cut)


def test_the_first_of_several_bare_line_ends_is_named() -> None:
    with pytest.raises(ValueError, match="bare LF at octet 1,"):
        LineEnds("reject").feed(b"a\nb\rc")
    with pytest.raises(ValueError, match="bare CR at octet 1,"):
        LineEnds("reject").feed(b"a\rb\nc")


def test_the_message_of_a_refusal_quotes_no_more_than_what_is_near() -> None:
    with pytest.raises(ValueError, match="octet 100000") as refusal:
        LineEnds("reject").feed(b"a" * 100_000 + b"\n" + b"b" * 100_000)
    assert f"near {b'a' * 20!r}"[:-1] + "\\n" + "b" * 19 + "'" in str(refusal.value)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_refused_block_changes_nothing(policy: LineEndPolicy) -> None:
    for bad in (b"\0", b"x\0", b"\r\n\0"):
        ends = LineEnds(policy)
        before = ends.feed(b"one\r")
        with pytest.raises(ValueError):
            ends.feed(bad)
        assert before + ends.feed(b"\ntwo") + ends.finish() == b"one\r\ntwo"


# DotStuffer


@STRINGS_TRIED
def test_mail_data_is_right_however_the_message_is_cut(strings: list[bytes]) -> None:
    for text in strings:
        expected = stuffed(text)
        assert run(DotStuffer(), octets(text)) == expected, text
        for cut in two_cuts(text):
            assert run(DotStuffer(), cut) == expected, (text, cut)


@STRINGS_TRIED
def test_mail_data_hold_one_terminator_at_their_end_and_no_bare_line_end(strings: list[bytes]) -> None:
    for text in strings:
        wire = run(DotStuffer(), [text])
        assert SAFE.match(wire), text
        assert (b"\r\n" + wire).index(b"\r\n.\r\n") == len(wire) - 3, text


def test_the_empty_message_is_the_terminator_alone() -> None:
    assert run(DotStuffer(), []) == run(DotStuffer(), [b"", b""]) == TERMINATOR == b".\r\n"


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("block", [b"", b"a line\r\n", b"a. b.\r\n", b"QUJD" * 1000])
def test_a_block_without_a_dot_to_double_is_not_changed(policy: LineEndPolicy, block: bytes) -> None:
    result = DotStuffer(policy).feed(block)
    assert result is block or (b"." in block and result == block)


def test_the_stuffer_refuses_what_its_line_ends_refuse_and_goes_on() -> None:
    stuffer = DotStuffer("reject")
    wire = stuffer.feed(b"one\r\n")
    for bad in (b".\0", b".\n", b".\rx"):
        with pytest.raises(ValueError, match="octet 6"):
            stuffer.feed(bad)
    assert wire + stuffer.feed(b".two") + stuffer.finish() == b"one\r\n..two\r\n.\r\n"


def test_the_end_of_a_bare_cr_is_refused_when_the_message_ends() -> None:
    stuffer = DotStuffer("reject")
    assert stuffer.feed(b"one\r") == b"one"
    with pytest.raises(ValueError, match="bare CR at octet 3"):
        stuffer.finish()


@pytest.mark.parametrize("form", [*SMUGGLING_FORMS, *KNOWN_SMUGGLING], ids=repr)
@pytest.mark.parametrize("policy", POLICIES)
def test_no_smuggled_end_of_data_leaves(form: bytes, policy: LineEndPolicy) -> None:
    text = b"Subject: a\r\n\r\nfirst" + form + b"MAIL FROM:<forged@example.org>\r\nRCPT TO:<b@example.org>\r\n"
    dot = text.index(b".")
    for cut in ([text], octets(text), [text[:dot], text[dot:]], [text[: dot + 1], text[dot + 1 :]]):
        try:
            wire = run(DotStuffer(policy), cut)
        except ValueError:
            assert b"\0" in text or (policy == "reject" and not is_standard(text))
            continue
        assert b"\0" not in text
        assert policy == "normalise" or is_standard(text)
        assert SAFE.match(wire)
        assert wire.find(b"\r\n.\r\n") == len(wire) - 5
        assert unstuffed(wire) == (as_message(text), len(wire))


# DotUnstuffer


@STRINGS_TRIED
def test_what_was_stuffed_is_given_back(strings: list[bytes]) -> None:
    for text in strings:
        wire = stuffed(text)
        assert unstuff([wire]) == unstuff(octets(wire)) == (as_message(text), len(wire)), text


@STRINGS_TRIED
@pytest.mark.parametrize("bare_lf", [False, True])
def test_any_mail_data_are_read_alike_however_they_are_cut(bare_lf: bool, strings: list[bytes]) -> None:
    # The trailing octets look like mail data themselves: they are the next answer, and must not be touched.
    ending = (b"\n" if bare_lf else b"\r\n") + b".\r\n"
    rest = b".\r\n"
    for text in strings:
        wire = text + ending
        expected = unstuffed(wire, bare_lf=bare_lf)
        data = wire + rest
        assert unstuff([data], bare_lf=bare_lf) == expected, text
        assert unstuff(octets(data), bare_lf=bare_lf) == expected, text
        for cut in two_cuts(wire + rest[:1]):
            assert unstuff(cut, bare_lf=bare_lf) == expected, (text, cut)


@pytest.mark.parametrize("bare_lf", [False, True])
def test_a_block_is_taken_from_where_it_is_said_to_start(bare_lf: bool) -> None:
    ending = (b"\n" if bare_lf else b"\r\n") + b".\r\n"
    for text in SHORT_STRINGS:
        wire = text + ending
        expected = unstuffed(wire, bare_lf=bare_lf)
        for before in (b"x", b".", b"\r\n", b"\n.\r\n", b"\r\n.\r\n"):
            for cut in range(len(wire) + 1):
                unstuffer = DotUnstuffer(bare_lf=bare_lf)
                first, stop = unstuffer.feed(before + wire[:cut], len(before))
                message, taken = first, stop - len(before)
                if not unstuffer.finished:
                    second, stop = unstuffer.feed(before + wire[cut:] + before, len(before))
                    message, taken = first + second, taken + stop - len(before)
                assert unstuffer.finished
                assert (message, taken) == expected, (text, before, cut)


@STRINGS_TRIED
def test_a_message_is_taken_whole_as_it_is_fed_or_not_at_all(strings: list[bytes]) -> None:
    whole = 0
    for text in strings:
        wire = text + b"\r\n.\r\n"
        expected, size = unstuffed(wire)
        for before in (b"", b"x", b"\r\n", b"\r\n.\r\n"):
            unstuffer = DotUnstuffer()
            taken = unstuffer.take_whole(before + wire + b".\r\n", len(before), size)
            assert unstuffer.finished == (taken is not None)
            assert taken in (None, (expected, len(before) + size)), (text, before)
            assert (taken is None) == text.startswith(b"."), (text, before)
            whole += taken is not None
            if taken is None:
                assert unstuffer.feed(before + wire, len(before)) == (expected, len(before) + size)
    assert whole == 4 * sum(not text.startswith(b".") for text in strings)


@pytest.mark.parametrize("line", [b"..a\r\n", b".a\r\n", b"..\r\n"])
def test_some_lines_that_begin_with_a_dot_are_taken_with_the_rest(line: bytes) -> None:
    whole = 0
    for count in range(40):
        wire = b"a\r\n" + line * count + b"b\r\n.\r\n"
        expected, size = unstuffed(wire)
        unstuffer = DotUnstuffer()
        taken = unstuffer.take_whole(wire + b"+OK\r\n", 0, 1000)
        assert taken in (None, (expected, size))
        whole += taken is not None
        if taken is None:
            assert unstuffer.feed(wire, 0) == (expected, size)
    assert 10 <= whole < 40


@pytest.mark.parametrize("wire", [b"", b"a", b"a\r\n", b"a\r\n.", b"a\r\n.\r", b"a\r\n..\r\n", b"a\r\n.b\r\n.\r"])
def test_what_is_not_whole_is_not_taken(wire: bytes) -> None:
    for before in (b"", b"\r\n", b"ab\r\n.\r\n"):
        unstuffer = DotUnstuffer()
        assert unstuffer.take_whole(before + wire, len(before), 100) is None
        assert not unstuffer.finished
        message, _ = unstuffer.feed(before + wire + b"\r\n.\r\n", len(before))
        assert message == unstuffed(wire + b"\r\n.\r\n")[0]


def test_no_more_is_taken_whole_than_is_allowed() -> None:
    for wire in (b"one\r\n.\r\n", b"o\r\n..\r\n.\r\n"):
        size = len(wire) - 3
        assert DotUnstuffer().take_whole(wire, 0, size - 1) is None
        assert DotUnstuffer().take_whole(wire, 0, size) is not None


def test_nothing_is_taken_whole_behind_what_is_held_or_where_lines_end_in_lf() -> None:
    unstuffer = DotUnstuffer()
    assert unstuffer.feed(b".") == (b"", 1)
    assert unstuffer.take_whole(b"\r\n.\r\n", 0, 100) is None
    assert DotUnstuffer(bare_lf=True).take_whole(b"a\r\n.\r\n", 0, 100) is None


def test_a_block_of_text_is_handed_on_without_a_copy() -> None:
    unstuffer = DotUnstuffer()
    block = b"QUJD\r\n" * 1000
    assert unstuffer.feed(block)[0] is block
    assert unstuffer.feed(block)[0] is block


def test_only_a_dot_behind_crlf_is_looked_at() -> None:
    wire = b"a\n..b\n.\nc\r..d\r.\re\n.\r\nf\r\n.\r\n"
    assert unstuff([wire]) == (wire[:-3], len(wire))


def test_behind_bare_lf_dots_are_looked_at_where_the_server_ends_its_lines_so() -> None:
    assert unstuff([b"a\n..b\r\n..\n.c\n.\nrest"], bare_lf=True) == (b"a\n.b\r\n.\n.c\n", 15)
    assert unstuff([b"a\n..b\r\n..\n.c\n.\r\nrest"], bare_lf=True) == (b"a\n.b\r\n.\n.c\n", 16)


def test_one_dot_of_three_is_taken_away_also_where_each_comes_by_itself() -> None:
    for bare_lf in (False, True):
        unstuffer = DotUnstuffer(bare_lf=bare_lf)
        assert b"".join(unstuffer.feed(b".")[0] for _ in range(3)) == b".."


def test_the_earlier_of_two_terminators_counts() -> None:
    assert unstuff([b"a\n.\nb\n.\r\n"], bare_lf=True) == (b"a\n", 4)
    assert unstuff([b"a\n.\r\nb\n.\n"], bare_lf=True) == (b"a\n", 5)
    assert unstuff([b"a\r\n.\r\n.\r\n"]) == (b"a\r\n", 6)


def test_a_single_dot_before_text_stays() -> None:
    assert unstuff([b".a\r\n..b\r\n...\r\n.. \r\n.\r\n"]) == (b".a\r\n.b\r\n..\r\n. \r\n", 22)


def test_nothing_is_finished_before_the_last_octet_of_the_terminator() -> None:
    wire = b"a\r\n.b\r\n..\r\n.\r\n"
    for length in range(len(wire)):
        unstuffer = DotUnstuffer()
        unstuffer.feed(wire[:length])
        assert not unstuffer.finished


def test_an_empty_block_changes_nothing() -> None:
    unstuffer = DotUnstuffer()
    message = b""
    for octet in octets(b"\r\n..\r\n.\r\n"):
        assert unstuffer.feed(b"") == (b"", 0)
        message += unstuffer.feed(octet)[0]
    assert (message, unstuffer.finished) == (b"\r\n.\r\n", True)


def test_nothing_is_fed_behind_the_terminator() -> None:
    unstuffer = DotUnstuffer()
    unstuffer.feed(b".\r\n")
    with pytest.raises(AssertionError, match="terminator was seen"):
        unstuffer.feed(b"+OK\r\n")


# All splits
#
# Feeding a string in pieces is feeding its first piece, and the rest in the state that this leaves. So it is enough to
# compare, in every state there is, every string as a whole with its two halves, for every way to halve it.

# In every run up to seven octets, otherwise eight.
LENGTH_TRIED = sampled("length", 7, 8)


@cache
def all_strings(length: int) -> list[bytes]:
    return [b"".join(letters) for size in range(length + 1) for letters in product(ALPHABET, repeat=size)]


State = tuple[bytes, bool] | None  # None: it has refused


def assert_every_split_is_the_same(make: Callable[[], DotStuffer], strings: list[bytes]) -> int:
    """Walk over all states that can be reached; return how many there are."""
    prefixes = {state_of(make()): b""}
    tables: dict[State, dict[bytes, tuple[bytes, State]]] = {}
    while missing := prefixes.keys() - tables.keys():
        for state in missing:
            table = tables[state] = {text: step(make, prefixes[state], text) for text in strings}
            for octet in ALPHABET:
                after = table[octet][1]
                if after is not None:
                    prefixes.setdefault(after, prefixes[state] + octet)
    for table in tables.values():
        for text in strings:
            whole, end = table[text]
            for cut in range(1, len(text)):
                first, between = table[text[:cut]]
                second, after = (b"", None) if between is None else tables[between][text[cut:]]
                assert after == end, (text, cut)
                assert end is None or whole == first + second, (text, cut)
    return len(tables)


def state_of(codec: DotStuffer) -> State:
    return codec._line_ends._carry, codec._at_line_start


def step(make: Callable[[], DotStuffer], prefix: bytes, text: bytes) -> tuple[bytes, State]:
    codec = make()
    codec.feed(prefix)
    try:
        return codec.feed(text), state_of(codec)
    except ValueError:
        return b"", None


@LENGTH_TRIED
@pytest.mark.parametrize("policy", POLICIES)
def test_all_long_strings_give_the_same_in_all_splits(policy: LineEndPolicy, length: int) -> None:
    assert assert_every_split_is_the_same(lambda: DotStuffer(policy), all_strings(length)) == 4


@LENGTH_TRIED
def test_all_long_strings_are_mail_data_by_the_oracle_and_back(length: int) -> None:
    strings = all_strings(length)
    assert len(strings) == (4 ** (length + 1) - 1) // 3
    for text in strings:
        wire = run(DotStuffer(), [text])
        assert wire == stuffed(text)
        assert SAFE.match(wire)
        assert unstuff([wire]) == (as_message(text), len(wire))


# MailText


def test_what_was_mended_passes_as_it_is() -> None:
    text = MailText(b"a\nb\rc\r\n.\n")
    assert text == b"a\r\nb\r\nc\r\n.\r\n"
    assert type(text) is MailText
    assert LineEnds().feed(text) is text
    assert run(DotStuffer(), [text]) == b"a\r\nb\r\nc\r\n..\r\n.\r\n"


@STRINGS_TRIED
def test_nothing_becomes_mail_text_without_being_mended(strings: list[bytes]) -> None:
    for text in strings:
        assert MailText(text) == run(LineEnds(), [text])
        assert LineEnds("reject").feed(MailText(text)) == normalised(text)
        try:
            assert MailText(text, "reject") == text
        except ValueError:
            assert not is_standard(text)
        else:
            assert is_standard(text)
    for policy in POLICIES:
        with pytest.raises(ValueError, match="holds a NUL at octet 1"):
            MailText(b"a\0", policy)


def test_what_is_made_of_mail_text_is_mended_again() -> None:
    text = MailText(b"a\r\nb")
    for piece in (text[:2], text + b"\n", b"".join([text]), text.replace(b"\r\n", b"\n"), bytes(text)):
        assert type(piece) is bytes
    for again in (copy.copy(text), copy.deepcopy(text), pickle.loads(pickle.dumps(text))):
        assert type(again) is MailText
        assert again == text


@pytest.mark.parametrize("policy", POLICIES)
def test_mail_text_between_other_blocks_ends_no_line_that_was_not_ended(policy: LineEndPolicy) -> None:
    for before in (b"", b"a", b"a\r\n"):
        for text in (b"", b"b", b".b\r\n", b"\r\n.", b"."):
            for after in (b"", b"c", b".c\r\n", b"\r\n"):
                wire = run(DotStuffer(policy), [before, MailText(text), after])
                assert wire == stuffed(before + text + after)


def test_a_cr_before_mail_text_ends_a_line() -> None:
    ends = LineEnds()
    assert ends.feed(b"a\r") == b"a"
    assert ends.feed(MailText(b"b")) == b"\r\nb"
    rejecting = LineEnds("reject")
    rejecting.feed(MailText(b"a\r\nb"))
    with pytest.raises(ValueError, match="bare LF at octet 4,"):
        rejecting.feed(b"\n")
    stuffer = DotStuffer()
    assert stuffer.feed(b"a\r") + stuffer.feed(MailText(b".\r\n")) + stuffer.finish() == b"a\r\n..\r\n.\r\n"
    rejecting = LineEnds("reject")
    rejecting.feed(b"a\r")
    with pytest.raises(ValueError, match="bare CR at octet 1,"):
        rejecting.feed(MailText(b"b"))


@STRINGS_TRIED
def test_mail_text_is_cut_where_no_line_end_is(strings: list[bytes]) -> None:
    for text in strings:
        mended = normalised(text)
        for size in (2, 3, 4, 5, 100):
            pieces = list(MailText.cut(mended, size))
            assert b"".join(pieces) == mended
            assert all(type(piece) is MailText and 0 < len(piece) <= size and is_standard(piece) for piece in pieces)


# Properties

message_text = st.lists(
    st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"..", b"\r\n.", b"\n.\r\n", b"a", b"\xff" * 70, b"QUJD" * 20])
).map(b"".join)
sizes = st.lists(st.integers(min_value=0, max_value=90), max_size=40)


def cut_by(text: bytes, lengths: Iterable[int]) -> list[bytes]:
    pieces, place = [], 0
    for length in lengths:
        pieces.append(text[place : place + length])
        place += length
    return [*pieces, text[place:]]


@given(message_text, sizes)
def test_cutting_a_message_changes_no_octet_of_its_mail_data(text: bytes, lengths: list[int]) -> None:
    assert run(DotStuffer(), cut_by(text, lengths)) == stuffed(text)


@given(message_text, sizes, st.binary(max_size=20), st.booleans())
def test_unstuffing_undoes_stuffing(text: bytes, lengths: list[int], rest: bytes, bare_lf: bool) -> None:
    wire = run(DotStuffer(), [text])
    ends: Callable[[bytes], bytes] = (lambda data: data.replace(b"\r\n", b"\n")) if bare_lf else (lambda data: data)
    wire, message = ends(wire), ends(as_message(text))
    assert unstuff(cut_by(wire + rest, lengths), bare_lf=bare_lf) == (message, len(wire))


@given(message_text.filter(is_standard), sizes)
def test_reject_changes_nothing_but_the_dots(text: bytes, lengths: list[int]) -> None:
    assert run(DotStuffer("reject"), cut_by(text, lengths)) == stuffed(text)


# Seams and starts, each by itself


@pytest.mark.parametrize(
    ("pieces", "text", "rest"),
    [
        # A terminator whose line end was cut, and one behind it that is another message's.
        ([b"a\r", b"\n.\r\nb\r\n.\r\n"], b"a\r\n", b"b\r\n.\r\n"),
        ([b"a\r\n", b".\r\nb\r\n.\r\n"], b"a\r\n", b"b\r\n.\r\n"),
        ([b"a\r\n.", b"\r\nb\r\n.\r\n"], b"a\r\n", b"b\r\n.\r\n"),
        ([b"a\r\n.\r", b"\nb\r\n.\r\n"], b"a\r\n", b"b\r\n.\r\n"),
        ([b"", b".\r\nb\r\n.\r\n"], b"", b"b\r\n.\r\n"),
    ],
)
def test_the_first_terminator_ends_the_message_also_where_it_was_cut(
    pieces: list[bytes], text: bytes, rest: bytes
) -> None:
    unstuffer = DotUnstuffer()
    *before, last = pieces
    given = b"".join(unstuffer.feed(piece)[0] for piece in before)
    block, stop = unstuffer.feed(last)
    assert unstuffer.finished
    assert given + block == text
    assert last[stop:] == rest


@pytest.mark.parametrize(
    ("data", "start", "text", "rest"),
    [
        (b"x\n.\nabc\n.\nd", 4, b"abc\n", b"d"),
        (b"x\n.\r\nabc\n.\r\nd", 5, b"abc\n", b"d"),
        (b"a\n.\nb\n.\n", 0, b"a\n", b"b\n.\n"),
        (b"a\n.\r\nb\n.\r\n", 0, b"a\n", b"b\n.\r\n"),
        (b"a\n.\nb\n.\r\n", 0, b"a\n", b"b\n.\r\n"),
        (b"a\n.\r\nb\n.\n", 0, b"a\n", b"b\n.\n"),
        (b"\n.\r\nb\n.\n", 0, b"\n", b"b\n.\n"),
    ],
)
def test_of_several_terminators_of_a_server_that_ends_lines_in_lf_the_first_one_counts(
    data: bytes, start: int, text: bytes, rest: bytes
) -> None:
    unstuffer = DotUnstuffer(bare_lf=True)
    block, stop = unstuffer.feed(data, start)
    assert unstuffer.finished
    assert (block, data[stop:]) == (text, rest)


def test_a_block_without_dots_is_taken_from_where_it_is_said_to_start() -> None:
    assert DotUnstuffer().feed(b"xxabc", 2) == (b"abc", 5)


def test_other_mail_data_begin_with_crlf_unless_it_is_said_otherwise() -> None:
    unstuffer = DotUnstuffer(bare_lf=True)
    unstuffer.begin()
    assert unstuffer.feed(b"a\n.\nb") == (b"a\n.\nb", 5)
    assert not unstuffer.finished


def test_a_refusal_names_the_first_octet_that_is_wrong() -> None:
    with pytest.raises(ValueError, match="a NUL at octet 1, "):
        LineEnds().feed(b"a\0b\0")
    for block, what in ((b"a\rb\rc", "a bare CR"), (b"a\nb\nc", "a bare LF"), (b"a\rb\nc", "a bare CR")):
        with pytest.raises(ValueError, match=f"{what} at octet 1, "):
            LineEnds("reject").feed(block)


def test_octets_that_are_vouched_for_are_counted_and_end_what_was_begun() -> None:
    line_ends = LineEnds()
    assert line_ends.feed(b"a\r") == b"a"
    assert line_ends.feed(MailText(b"b\r\n")) == b"\r\nb\r\n"
    assert line_ends.feed(MailText(b"c\r\n")) == b"c\r\n"
    assert line_ends.feed(b"d") == b"d"
    with pytest.raises(ValueError, match="a NUL at octet 9, "):
        line_ends.feed(b"\0")


def test_a_dot_that_was_held_back_may_be_taken_for_the_terminator() -> None:
    unstuffer = DotUnstuffer()
    assert unstuffer.feed(b"a\r\n.") == (b"a\r\n", 4)
    assert unstuffer.held == b"."
    unstuffer.finish()
    assert unstuffer.finished
    assert unstuffer.held == b""


def test_a_whole_message_is_stuffed_where_a_line_begins_with_a_dot_and_nowhere_else() -> None:
    for message, wire in (
        (b"a.b\r\n", b"a.b\r\n.\r\n"),
        (b".a\r\n.\r\n", b"..a\r\n..\r\n.\r\n"),
        (b"a\r\n.b.\r\n", b"a\r\n..b.\r\n.\r\n"),
    ):
        assert DotStuffer.whole(MailText(message)) == wire


class Counting:
    """A pattern that counts what it has replaced."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self.pattern = pattern
        self.replaced = 0

    def sub(self, new: bytes, text: bytes) -> bytes:
        return self.subn(new, text)[0]

    def subn(self, new: bytes, text: bytes, count: int = 0) -> tuple[bytes, int]:
        done, replaced = self.pattern.subn(new, text, count)
        self.replaced += replaced
        return done, replaced


@pytest.mark.parametrize("count", [8191, 8192, 8193, 50_000])
def test_where_dots_are_dense_no_more_than_some_are_replaced_one_by_one(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(re.compile(rb"\n\."))
    monkeypatch.setattr(dots, "_DOT", counting)
    text = b"\r\n" + b".\r\n" * count
    expected = b"\r\n" + b"..\r\n" * count
    assert DotStuffer().feed(text) == expected
    assert DotStuffer.whole(MailText(text)) == expected + b".\r\n"
    assert counting.replaced == 2 * min(count, 8192)


@pytest.mark.parametrize("bare_lf", [False, True])
@pytest.mark.parametrize("count", [8191, 8192, 8193, 50_000])
def test_where_dots_are_dense_no_more_than_some_are_taken_away_one_by_one(
    count: int, bare_lf: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = b"\n" if bare_lf else b"\r\n"
    counting = Counting(re.compile(end + rb"\.\."))
    monkeypatch.setattr(dots, "_TWO_DOTS", {end: counting})
    unstuffer = DotUnstuffer(bare_lf=bare_lf)
    wire = b"x" + end + (b"..." + end) * count
    assert unstuffer.feed(wire) == (b"x" + end + (b".." + end) * count, len(wire))
    assert counting.replaced == min(count, 8192)


def test_octets_are_cut_into_pieces_between_which_no_crlf_is_cut() -> None:
    pieces = list(MailText.cut(b"abc\r\nde\r\n\r\n", 4))
    assert pieces == [b"abc", b"\r\nde", b"\r\n\r\n"]
    assert {type(piece) for piece in pieces} == {MailText}
    assert list(MailText.cut(b"", 4)) == []


def test_a_message_is_taken_whole_from_where_it_starts_and_ends_the_mail_data() -> None:
    data = b".x\r\n.a\r\n.\r\n"
    assert DotUnstuffer().take_whole(data, 4, 100) is None  # it begins with a dot
    unstuffer = DotUnstuffer()
    data = b".x\r\nab\r\n.\r\nrest"
    assert unstuffer.take_whole(data, 4, 3) is None
    assert not unstuffer.finished
    assert unstuffer.take_whole(data, 4, 4) == (b"ab\r\n", 11)
    assert unstuffer.finished
    assert DotUnstuffer().take_whole(b"\r\n.\r\n", 0, 100) == (b"\r\n", 5)


# Lines of one length

# Lines of one length, and with what makes one of them another.
EQUAL_LINES = st.lists(
    st.sampled_from([b"xx\r\n", b"xx\r\n", b"xx\r\n", b"x\r\n", b"x\rx\n", b"x\nx\n", b"\r\n", b"\r", b"\n"])
)
MOSTLY_EQUAL = EQUAL_LINES.map(b"".join) | st.text("x\r\n", max_size=12).map(str.encode)


@given(MOSTLY_EQUAL)
@example(b"x\r\nxx\r\nxx\r\nx\r")
@example(b"\nx\r\nx\r\n")
def test_no_cr_and_no_lf_passes_that_stands_alone(text: bytes) -> None:
    assert is_standard(text) or not is_crlf_alone(text)


@given(st.integers(1, 4), st.integers(0, 80), st.integers(2, 40), st.integers(0, 200))
@example(1, 3, 5, 3)
@example(1, 3, 5, 4)
def test_lines_of_one_length_pass_whatever_the_first_and_last(first: int, length: int, lines: int, last: int) -> None:
    text = b"a" * first + b"\r\n" + (b"b" * length + b"\r\n") * (lines - 1)
    assert is_crlf_alone(text)
    assert ends_in_a_row(text) == (first + 1, length + 2, lines)
    # What is behind the last end passes as long as it has no octet where another could be.
    assert is_crlf_alone(text + b"c" * last) == (last <= length)


@given(st.integers(0, 2000), st.sampled_from(b"\r\n"))
def test_of_lines_of_one_length_none_may_have_another_end(place: int, octet: int) -> None:
    text = bytearray(b"a" * 20 + b"\r\n" + (b"b" * 76 + b"\r\n") * 25)
    before, text[place % len(text)] = text[place % len(text)], octet
    assert is_crlf_alone(bytes(text)) == (before == octet)


@pytest.mark.parametrize("text", [b"", b"x", b"\r\n", b"xx\r\n", b"\r\n\r\n", b"xx\n", b"\nxx\r\nxx\r\n"])
def test_nothing_is_told_of_what_has_no_two_lines_or_begins_with_lf(text: bytes) -> None:
    assert not is_crlf_alone(text) or text == b"\r\n\r\n"


@pytest.mark.parametrize(
    ("text", "reach", "found"),
    [
        (b"abc\nde\nfg\nhi\n", 1000, (3, 3, 4)),
        (b"abc\nde\nfg\nhijk\n", 1000, (3, 3, 3)),
        (b"abc\nde\nf\n\n", 1000, (3, 3, 3)),  # one that ends between them is looked over
        (b"abc\nde\n", 4, (3, 3, 2)),
        (b"abc\nde\n", 3, (0, 0, 0)),
        (b"abc\nde\n", -3, (0, 0, 0)),
        (b"abc\n", 1000, (0, 0, 0)),
        (b"\n\n\n", 1000, (0, 1, 3)),
        (b"\n\n\n", 0, (0, 0, 0)),
        (b"a\n" + b"b" * 999 + b"\n", 1000, (1, 1000, 2)),
        (b"a\n" + b"b" * 1000 + b"\n", 1000, (0, 0, 0)),
        (b"a" * 999 + b"\nb\n", 1000, (999, 2, 2)),
        (b"a" * 1000 + b"\nb\n", 1000, (0, 0, 0)),
    ],
)
def test_ends_are_counted_as_far_as_they_stand_in_a_row(text: bytes, reach: int, found: tuple[int, int, int]) -> None:
    assert ends_in_a_row(text, reach) == found
    if reach == 1000:
        assert ends_in_a_row(text) == found
