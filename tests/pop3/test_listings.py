import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailwire.errors import LimitExceeded, RemoteProtocolError
from mailwire.pop3 import (
    Command,
    Dele,
    DropListing,
    Finding,
    FindingKind,
    Limits,
    List,
    Response,
    Retr,
    ScanListing,
    Top,
    Uidl,
    UniqueIdListing,
)
from mailwire.pop3.listings import ScanReader, UniqueIdReader

K = FindingKind
ARABIC_INDIC = "١٢٣".encode()

# What int() takes, or stumbles over, and no server may send for a number.
NO_NUMBERS = [
    b"-1",
    b"+1",
    b"1_0",
    b"1.0",
    b"1e3",
    b"0x10",
    b"one",
    b"\xb2",
    "²".encode(),
    "\N{FULLWIDTH DIGIT ONE}".encode(),
    ARABIC_INDIC,
    b"1\0",
    b"\xff\xfe",
    b"1,",
    b"9" * 21,
    b"0" * 20 + b"1",
    b"9" * 4301,
    b"1" * 5000,
]


def listed(body: bytes) -> ScanListing:
    return ScanListing.parse(Response(True, b"", body))


def identified(body: bytes) -> UniqueIdListing:
    return UniqueIdListing.parse(Response(True, b"", body))


def kinds(listing: ScanListing | UniqueIdListing | DropListing) -> list[tuple[FindingKind, int | None]]:
    return [(finding.kind, finding.number) for finding in listing.findings]


def feed(reader: ScanReader | UniqueIdReader, body: bytes, step: int) -> None:
    for place in range(0, len(body), step):
        reader.feed(body[place : place + step])


# STAT


@pytest.mark.parametrize(
    ("line", "count", "octets"),
    [
        (b"3 1621", 3, 1621),
        (b"0 0", 0, 0),
        (b"003  01621", 3, 1621),
        (b" 3\t1621 ", 3, 1621),
        (b"3 1621 (one of them large)", 3, 1621),
        (b"1 9223372036854775807", 1, 2**63 - 1),
        (b"2147483647 0", 2**31 - 1, 0),
    ],
)
def test_a_drop_listing_is_a_count_and_a_size(line: bytes, count: int, octets: int) -> None:
    listing = DropListing.parse(Response(True, line))
    assert listing == DropListing(count, octets)
    assert listing.findings == ()


@pytest.mark.parametrize(
    ("line", "count", "octets"),
    [
        # MailKit #872: twenty thousand messages, and a sum that no longer fits into 31 bits.
        (b"20437 -1931264829", 20437, None),
        (b"3", 3, None),
        (b"3 octets", 3, None),
        (b"1 18446744073709551615", 1, None),
        (b"-1 5", None, 5),
        (b"2147483648 5", None, 5),
        (b"", None, None),
        (b" ", None, None),
        (b"maildrop ready", None, None),
        ("有 3 封".encode("gbk"), None, 3),
    ],
)
def test_of_a_drop_listing_each_number_is_read_by_itself(line: bytes, count: int | None, octets: int | None) -> None:
    listing = DropListing.parse(Response(True, line))
    assert listing == DropListing(count, octets)
    wrong = [K.BAD_COUNT] * (count is None) + [K.BAD_OCTETS] * (octets is None)
    assert list(listing.findings) == [Finding(kind, None, line) for kind in wrong]


@pytest.mark.parametrize("word", NO_NUMBERS)
def test_what_is_no_number_is_no_number_in_a_drop_listing(word: bytes) -> None:
    assert DropListing.parse(Response(True, word + b" 5")) == DropListing(None, 5)
    assert DropListing.parse(Response(True, b"5 " + word)) == DropListing(5, None)


def test_a_drop_listing_is_a_value() -> None:
    assert DropListing(3, 1621) == DropListing(3, 1621) != DropListing(3, 1622)
    with pytest.raises(AttributeError):
        DropListing(3, 1621).count = 4  # type: ignore[misc]


# LIST


def test_a_scan_listing_gives_sizes_by_number() -> None:
    listing = listed(b"1 555\r\n2 0\r\n3 533\r\n")
    assert list(listing.items()) == [(1, 555), (2, 0), (3, 533)]
    assert (len(listing), listing[3], 2 in listing, 4 in listing, listing.get(4)) == (3, 533, True, False, None)
    with pytest.raises(KeyError, match=r"^0$"):
        listing[0]
    assert repr(listing) == "ScanListing({1: 555, 2: 0, 3: 533})"
    assert listing.findings == ()


def test_a_long_listing_is_not_shown() -> None:
    assert repr(listed(b"".join(b"%d 5\r\n" % number for number in range(1, 22)))) == "ScanListing(21 messages)"
    shown = dict.fromkeys(range(1, 21), 5)
    assert repr(listed(b"".join(b"%d 5\r\n" % number for number in shown))) == f"ScanListing({shown})"


def test_an_empty_maildrop_has_empty_listings() -> None:
    assert dict(listed(b"")) == {}
    assert dict(identified(b"")) == {}


def test_numbers_out_of_order_are_put_in_order() -> None:
    listing = listed(b"1 555\r\n3 533\r\n2 7\r\n5 1\r\n4 2\r\n")
    assert list(listing.items()) == [(1, 555), (2, 7), (3, 533), (4, 2), (5, 1)]
    assert kinds(listing) == [(K.OUT_OF_ORDER, 2), (K.OUT_OF_ORDER, 4)]


def test_in_a_scan_listing_several_blanks_are_noted_and_what_follows_the_size_does_not_count() -> None:
    listing = listed(b" 1\t 555  octets\r\n2 533 seen, answered\n0003   7\r\n4 5 \r\n5\t6\r\n")
    assert dict(listing) == {1: 555, 2: 533, 3: 7, 4: 5, 5: 6}
    assert kinds(listing) == [(K.SPACING, 1), (K.SPACING, 3), (K.SPACING, 4), (K.SPACING, 5)]
    assert listing.findings[0].said == b" 1\t 555  octets"


@pytest.mark.parametrize(
    ("line", "kind", "number"),
    [
        (b"", K.BLANK_LINE, None),
        (b" ", K.BLANK_LINE, None),
        (b"2", K.NO_SIZE, 2),
        (b"2 ", K.NO_SIZE, 2),
        (b" 2", K.NO_SIZE, 2),
        (b"octets", K.BAD_NUMBER, None),
        (b".", K.BAD_NUMBER, None),
        (b"2 -1", K.BAD_SIZE, 2),
        (b"2 9223372036854775808", K.BAD_SIZE, 2),
        (b"0 5", K.BAD_NUMBER, None),
        (b"00 5", K.BAD_NUMBER, None),
        (b"2147483648 5", K.BAD_NUMBER, None),
    ],
)
def test_a_line_that_is_no_scan_listing_spoils_what_it_is_about(
    line: bytes, kind: FindingKind, number: int | None
) -> None:
    listing = listed(b"1 555\r\n" + line + b"\r\n3 533\r\n")
    assert dict(listing) == {1: 555, 3: 533} | ({} if number is None else {number: 0})
    assert listing.findings == (Finding(kind, number, line if kind is not K.BLANK_LINE else b""),)
    assert listing.finding_counts == {kind: 1}


@pytest.mark.parametrize("word", NO_NUMBERS)
def test_what_is_no_number_is_no_number_in_a_scan_listing(word: bytes) -> None:
    listing = listed(b"1 555\r\n" + word + b" 5\r\n2 " + word + b"\r\n3 533\r\n")
    assert dict(listing) == {1: 555, 2: 0, 3: 533}
    assert kinds(listing) == [(K.BAD_NUMBER, None), (K.BAD_SIZE, 2)]
    assert listing.findings[0].said == (word + b" 5")[:120]


def test_of_a_number_that_is_told_twice_the_first_size_counts() -> None:
    listing = listed(b"1 555\r\n2 533\r\n1 7\r\n02 533\r\n")
    assert dict(listing) == {1: 555, 2: 533}
    assert kinds(listing) == [(K.OUT_OF_ORDER, 1), (K.REPEATED, 1), (K.REPEATED, 2)]


# LIST, of one message


@pytest.mark.parametrize(
    ("line", "size", "wrong"),
    [
        (b"2 200", 200, []),
        (b"02 200 octets", 200, []),
        (b"2", 0, [K.NO_SIZE]),
        (b"7", 0, [K.NO_SIZE]),
        (b"", 0, [K.NO_SIZE]),
        (b"2 -1", 0, [K.BAD_SIZE]),
        (b"message 200", 200, [K.BAD_NUMBER]),
        (b"-1 x", 0, [K.BAD_NUMBER, K.BAD_SIZE]),
    ],
)
def test_a_scan_listing_of_one_message_is_in_the_first_line(line: bytes, size: int, wrong: list[FindingKind]) -> None:
    listing = ScanListing.parse(Response(True, line, b"7 700\r\n"), 2)
    assert dict(listing) == {2: size}
    assert kinds(listing) == [(kind, 2) for kind in wrong]


@pytest.mark.parametrize("number", [1, 3])
def test_the_answer_about_one_message_is_about_no_other(number: int) -> None:
    for parse in (ScanListing.parse, UniqueIdListing.parse):
        for line in (b"2 200", b"02 a b"):
            with pytest.raises(RemoteProtocolError, match=rf"expected the message number {number}, got b'0?2'"):
                parse(Response(True, line), number)


# UIDL


def test_a_unique_id_listing_gives_ids_by_number() -> None:
    listing = identified(b"1 scbxeka0676uu6vp\r\n2 ia4u1wk1f34bw4c\r\n3 zji8ub11exscjfp\r\n")
    assert list(listing.items()) == [(1, "scbxeka0676uu6vp"), (2, "ia4u1wk1f34bw4c"), (3, "zji8ub11exscjfp")]
    assert (len(listing), listing[3], 4 in listing) == (3, "zji8ub11exscjfp", False)
    assert repr(identified(b"1 a'b\r\n")) == """UniqueIdListing({1: "a'b"})"""
    assert listing.findings == ()


def test_in_a_unique_id_listing_several_blanks_are_noted() -> None:
    # Maillennium, Comcast's.
    listing = identified(b" 1\t  a \r\n0002 b\n3  c\r\n4 d\r\r\n")
    assert dict(listing) == {1: "a", 2: "b", 3: "c", 4: "d"}
    assert kinds(listing) == [(K.SPACING, 1), (K.SPACING, 3), (K.SPACING, 4)]


def test_two_messages_with_one_unique_id_are_both_listed() -> None:
    assert dict(identified(b"1 same\r\n2 same\r\n")) == {1: "same", 2: "same"}


def test_a_unique_id_has_1_to_70_octets_from_0x21_to_0x7e() -> None:
    assert identified(b"1 " + b"u" * 70 + b"\r\n")[1] == "u" * 70
    assert identified(b"1 " + b"u" * 71 + b"\r\n")[1] is None
    for code in range(256):
        octet = bytes([code])
        for line in (b"1 " + octet, b"1 a" + octet + b"b"):
            uid = UniqueIdListing.parse(Response(True, line), 1)[1]
            assert uid == (line[2:].decode("ascii") if 0x21 <= code <= 0x7E else None)
            if code != 0x0A:
                told = identified(line + b"\r\n")[1]
                assert told == (line[2:].decode("ascii") if 0x21 <= code <= 0x7E else None), line


@pytest.mark.parametrize("uid", [b"../../etc/passwd", b"/", b".", b"CON", b"%00", b"<script>", b"0", b"1_0"])
def test_a_unique_id_is_any_such_text_and_never_a_file_name(uid: bytes) -> None:
    assert identified(b"1 " + uid + b"\r\n")[1] == uid.decode("ascii")


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        # getmail and MailKit #560: the unique id is the message identifier, and this mail has none.
        (b"2", K.NO_UID),
        (b"2 ", K.NO_UID),
        (b"2  \t", K.NO_UID),
        (b"2 " + b"u" * 71, K.LONG_UID),
        (b"2 " + b"u" * 5000, K.LONG_UID),
        (b"2 a\0", K.BAD_UID),
        (b"2 \xe9", K.BAD_UID),
        (b"2 " + "登录".encode("gbk"), K.BAD_UID),
        (b"2 \xff" + b"u" * 71, K.BAD_UID),
        (b"2 unique id", K.EXTRA_TEXT),
        (b"2 a b c", K.EXTRA_TEXT),
        (b"2 a 4 b", K.EXTRA_TEXT),
        # ruby/net-pop #27: every few hundred lines, a line end is lost.
        (b"2 a 3 b", K.GLUED),
        (b"2 a3 b", K.GLUED),
    ],
)
def test_a_line_that_is_no_unique_id_listing_spoils_its_entry(line: bytes, kind: FindingKind) -> None:
    listing = identified(b"1 fine\r\n" + line + b"\r\n4 well\r\n")
    assert dict(listing) == {1: "fine", 2: None, 4: "well"}
    assert listing.findings == (Finding(kind, 2, line[:120]),)


@pytest.mark.parametrize("line", [b"uid", b".", b"a b", *(word + b" uid" for word in (*NO_NUMBERS, b"0", b"00"))])
def test_a_line_of_no_message_is_noted(line: bytes) -> None:
    listing = identified(b"1 fine\r\n" + line + b"\r\n2 well\r\n")
    assert dict(listing) == {1: "fine", 2: "well"}
    assert listing.findings == (Finding(K.BAD_NUMBER, None, line[:120]),)


def test_a_number_that_is_told_twice_with_different_ids_has_none() -> None:
    # Which of the two is message 1? To delete the wrong one is to lose a mail.
    listing = identified(b"1 first\r\n2 other\r\n1 second\r\n02 other\r\n3\r\n3 late\r\n")
    assert dict(listing) == {1: None, 2: "other", 3: None}
    assert kinds(listing) == [
        (K.NO_UID, 3),
        (K.OUT_OF_ORDER, 1),
        (K.CONTRADICTED, 1),
        (K.REPEATED, 2),
        (K.CONTRADICTED, 3),
    ]


# UIDL, of one message


@pytest.mark.parametrize(
    ("line", "uid", "wrong"),
    [
        (b"2 QhdPYR:00WBw1Ph7x7", "QhdPYR:00WBw1Ph7x7", []),
        (b"2 2", "2", []),
        # twisted #9104: the id alone.
        (b"QhdPYR:00WBw1Ph7x7", "QhdPYR:00WBw1Ph7x7", [K.UID_ALONE]),
        (b"-2", "-2", [K.UID_ALONE]),
        (b"2", None, [K.NO_UID]),
        (b"7", None, [K.NO_UID]),
        (b"9" * 21, None, [K.BAD_NUMBER, K.NO_UID]),
        (b"", None, [K.NO_UID]),
        (b"\xe9", None, [K.UID_ALONE, K.BAD_UID]),
        (b"u" * 71, None, [K.UID_ALONE, K.LONG_UID]),
        (b"2 a b", None, [K.EXTRA_TEXT]),
        (b"uid for 2", None, [K.BAD_NUMBER, K.EXTRA_TEXT]),
    ],
)
def test_a_unique_id_of_one_message_is_in_the_first_line(
    line: bytes, uid: str | None, wrong: list[FindingKind]
) -> None:
    listing = UniqueIdListing.parse(Response(True, line, b"7 seven\r\n"), 2)
    assert dict(listing) == {2: uid}
    assert kinds(listing) == [(kind, 2) for kind in wrong]


def test_a_listing_is_amended_by_what_is_told_about_single_messages() -> None:
    listing = identified(b"1 one\r\n2\r\n3 three 4 four\r\n6 six\r\n")
    answers = [(2, b"2 two"), (3, b"three"), (4, b"4 four"), (5, b"5"), (6, b"6 6"), (7, b"7 seven")]
    asked = [UniqueIdListing.parse(Response(True, line), number) for number, line in answers]
    amended = listing.amended(asked)
    assert dict(amended) == {1: "one", 2: "two", 3: "three", 4: "four", 5: None, 6: "6", 7: "seven"}
    assert kinds(amended) == [(K.NO_UID, 2), (K.GLUED, 3), (K.UID_ALONE, 3), (K.NO_UID, 5)]
    assert amended.finding_counts == {K.NO_UID: 2, K.GLUED: 1, K.UID_ALONE: 1}
    assert [finding.said for finding in amended.findings] == [b"2", b"3 three 4 four", b"three", b"5"]
    assert dict(listing.amended([])) == dict(listing)


def test_numbers_out_of_order_are_not_told_twice_for_that() -> None:
    listing = identified(b"2 two\r\n1 one\r\n")
    assert list(listing.items()) == [(1, "one"), (2, "two")]
    assert kinds(listing) == [(K.OUT_OF_ORDER, 1)]


def test_a_unique_id_of_70_octets_is_one_on_any_line() -> None:
    assert dict(identified(b"1 %b\r\n2  %b\r\n" % (b"a" * 70, b"b" * 70))) == {1: "a" * 70, 2: "b" * 70}


# All of them


def test_a_line_that_begins_with_a_blank_tells_of_its_message_alone() -> None:
    for body in (b" 1\r\n", b"1 \r\n", b" 1\n"):
        assert kinds(listed(body)) == [(K.NO_SIZE, 1)]
        assert kinds(identified(body)) == [(K.NO_UID, 1)]


def test_of_blanks_those_before_the_second_word_are_noted() -> None:
    assert kinds(listed(b"1 555  octets\r\n")) == []
    assert kinds(listed(b"1  555 octets\r\n")) == [(K.SPACING, 1)]


def test_a_size_has_no_more_than_20_digits_though_they_be_zeros() -> None:
    assert dict(listed(b"1 %021d\r\n2 %020d\r\n" % (7, 7))) == {1: 0, 2: 7}
    assert dict(listed(b"1 %021d\r\n" % 7)) == {1: 0}


def test_what_an_answer_about_one_message_says_instead_is_kept() -> None:
    listing = ScanListing.parse(Response(True, b"x 5"), 1)
    assert listing.findings == (Finding(K.BAD_NUMBER, 1, b"x 5"),)


def test_lines_that_come_in_parts_are_put_together_again_and_again() -> None:
    limit = 512
    for reader in (ScanReader(Limits(line=limit)), UniqueIdReader(Limits(line=limit))):
        # The last line is as long as one may be, CR and all, before its LF has come.
        last = b"3 3" + b" " * (limit - 3)
        for piece in (b"1 1", b"\r\n2 ", b"2\r\n" + last + b"\r", b"\n"):
            reader.feed(piece)
        assert list(reader.finish()) == [1, 2, 3]


def test_long_lines_and_many_are_each_read_once() -> None:
    # A listing is taken apart in pieces, and such a line is longer than one.
    long = b"4 " + b"1" * 17_000
    body = b"".join(b"%d 5\r\n" % number for number in range(1, 3_000)).replace(b"4 5", long, 1)
    reader = ScanReader(Limits(line=20_000))
    reader.feed(body)
    listing = reader.finish()
    assert dict(listing) == {number: 0 if number == 4 else 5 for number in range(1, 3_000)}
    assert kinds(listing) == [(K.BAD_SIZE, 4)]


def test_a_message_number_has_no_more_than_31_bits() -> None:
    assert dict(listed(b"2147483647 5\r\n")) == {2**31 - 1: 5}
    assert dict(identified(b"2147483647 uid\r\n")) == {2**31 - 1: "uid"}
    assert dict(listed(b"2147483647 5\r\n2147483648 5\r\n")) == {2**31 - 1: 5}
    assert dict(identified(b"2147483647 a\r\n2147483648 b\r\n")) == {2**31 - 1: "a"}


@pytest.mark.parametrize("number", [1, 2**31 - 1, 2**31, 2**32, 10**19])
def test_every_number_that_a_listing_tells_can_be_asked_for(number: int) -> None:
    # What a server says must not come back as a ValueError from a command that was made of it.
    told = [
        *listed(b"%d 18446744073709551615\r\n" % number).items(),
        *dict.fromkeys(identified(b"%d u\r\n" % number), 5).items(),
    ]
    assert len(told) == (2 if number < 2**31 else 0)
    for one, size in told:
        commands: list[Command[object]] = [Retr(one, size=size), Dele(one), List(one), Uidl(one), Top(one, 0)]
        assert all(b"%d" % number in command.encode() for command in commands)


def test_of_one_kind_a_hundred_findings_are_kept_and_all_are_counted() -> None:
    listing = listed(b"x\r\n" * 250 + b"1\r\n" + b"\r\n" * 101)
    assert listing.finding_counts == {K.BAD_NUMBER: 250, K.NO_SIZE: 1, K.BLANK_LINE: 101}
    assert kinds(listing) == [(K.BAD_NUMBER, None)] * 100 + [(K.NO_SIZE, 1)] + [(K.BLANK_LINE, None)] * 100


def test_what_must_not_be_shown_is_taken_out_of_what_a_finding_keeps() -> None:
    for reader in (ScanReader, UniqueIdReader):
        made = reader(masked=lambda said: said.replace(b"canary", b"****"))
        made.feed(b"x " * 57 + b"canary\r\n")
        assert made.findings.kept[0].said == b"x " * 57 + b"****"


# Reading as it comes


@pytest.mark.parametrize("reader", [ScanReader, UniqueIdReader])
def test_a_listing_has_a_limit_of_lines(reader: type[ScanReader | UniqueIdReader]) -> None:
    for line in (b"\n", b"1 5\r\n"):
        made = reader(Limits(listing_lines=3))
        made.feed(line * 3)
        with pytest.raises(LimitExceeded, match="a listing has more than 3 lines"):
            made.feed(line)
        with pytest.raises(LimitExceeded):
            reader(Limits(listing_lines=3)).feed(line * 4)


@pytest.mark.parametrize("reader", [ScanReader, UniqueIdReader])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_line_of_a_listing_has_a_limit_of_octets(reader: type[ScanReader | UniqueIdReader], end: bytes) -> None:
    for step in (1, 7, 10_000):
        made = reader(Limits(line=512))
        wire = b"1 " + b"5" * 510 + end
        feed(made, wire, step)
        assert list(made.finish()) == [1]
        made = reader(Limits(line=512))
        wire = b"1 " + b"5" * 511 + end
        with pytest.raises(LimitExceeded, match="a line of a listing is longer than 512 octets"):
            feed(made, wire, step)


@pytest.mark.parametrize("reader", [ScanReader, UniqueIdReader])
def test_a_line_without_end_is_not_kept_for_ever(reader: type[ScanReader | UniqueIdReader]) -> None:
    made = reader(Limits(line=1000))
    with pytest.raises(LimitExceeded):
        feed(made, b"1" * 1002, 1)


class SlowScan(ScanReader):
    """No line is regular to it."""

    octets_of_words = b""


class SlowUniqueIds(UniqueIdReader):
    """No line is regular to it."""

    octets_of_words = b""


NUMBERS = st.one_of(
    st.integers(0, 12).map(lambda number: b"%d" % number), st.sampled_from([b"", b"01", *NO_NUMBERS[:5]])
)
WORDS = st.sampled_from(
    [b"5", b"0", b"00", b"uid", b"u" * 70, b"u" * 71, b"9" * 19, b"1" * 20, b"0" * 25, b"", b"a b", b"\xe9"]
)
ENDS = st.sampled_from([b"\r\n"] * 8 + [b"\n", b" \r\n", b"\r\r\n", b"\t\n"])
LINES = st.builds(
    lambda number, gap, word, end: number + gap + word + end,
    NUMBERS,
    st.sampled_from([b" "] * 8 + [b"  ", b"\t"]),
    WORDS,
    ENDS,
)
RUNS = st.builds(
    lambda first, count, word: b"".join(b"%d %b\r\n" % (first + step, word) for step in range(count)),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from([b"5", b"uid", b"007", b"9" * 18]),
)


@given(st.lists(LINES | RUNS, max_size=12).map(b"".join), st.lists(st.integers(0, 400), max_size=6))
@settings(deadline=None)
def test_a_listing_is_the_same_however_it_is_cut_and_whichever_way_it_is_read(body: bytes, places: list[int]) -> None:
    for fast, slow in ((ScanReader, SlowScan), (UniqueIdReader, SlowUniqueIds)):
        outcomes = []
        for reader, cuts in ((fast, []), (fast, sorted(places)), (fast, range(len(body))), (slow, [])):
            made = reader()
            for begin, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
                made.feed(body[begin:end])
            listing = made.finish()
            outcomes.append((list(listing.items()), listing.findings, listing.finding_counts))
        assert all(outcome == outcomes[0] for outcome in outcomes)
        numbers = [number for number, _ in outcomes[0][0]]
        assert numbers == sorted(set(numbers))


@given(st.dictionaries(st.integers(1, 2**31 - 1), st.integers(0, 2**63 - 1)))
@settings(deadline=None)
def test_what_a_server_lists_is_what_is_read(entries: dict[int, int]) -> None:
    body = b"".join(b"%d %d\r\n" % entry for entry in entries.items())
    assert dict(listed(body)) == entries
    ids = {number: f"{octets:x}" for number, octets in entries.items()}
    body = b"".join(f"{number} {uid}\r\n".encode() for number, uid in ids.items())
    assert dict(identified(body)) == ids


@given(st.binary(max_size=60), st.binary(max_size=200) | st.lists(st.binary(max_size=12)).map(b"\r\n".join))
@settings(deadline=None)
def test_any_octets_can_be_read_and_shown(line: bytes, body: bytes) -> None:
    response = Response(True, line, body)
    first = re.match(rb"\s*0*([1-9][0-9]{0,8})(?![^\s])", line)
    number = int(first[1]) if first else 1
    told = [
        DropListing.parse(response),
        *(command.parse(response) for command in (List(), List(number), Uidl(), Uidl(number))),
    ]
    for listing in told:
        assert repr(listing).isascii()
        assert all(str(finding).isprintable() for finding in listing.findings)


def test_a_size_is_not_taken_for_a_number_that_would_go_on_with_the_run() -> None:
    listing = listed(b"1 7\r\n5 2\r\n")
    assert dict(listing) == {1: 7, 5: 2}
