import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailwire.errors import RemoteProtocolError
from mailwire.pop3 import Command, Dele, DropListing, List, Response, Retr, ScanListing, Top, Uidl, UniqueIdListing

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
    b"9" * 4301,
    b"1" * 5000,
]


def asked(line: bytes) -> int:
    """Return the number of the message that `line` may be an answer about."""
    first = line.partition(b" ")[0]
    return int(first) if re.fullmatch(rb"[1-9][0-9]{0,8}", first) else 1


def listed(body: bytes) -> ScanListing:
    return ScanListing.parse(Response(True, b"", body))


def listed_one(line: bytes) -> ScanListing:
    return ScanListing.parse(Response(True, line), asked(line))


def identified(body: bytes) -> UniqueIdListing:
    return UniqueIdListing.parse(Response(True, b"", body))


def identified_one(line: bytes) -> UniqueIdListing:
    return UniqueIdListing.parse(Response(True, line), asked(line))


def assert_fault(parse: Callable[[bytes], object], text: bytes, quoted: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse(text)
    assert "expected" in str(caught.value)
    assert repr(quoted[:60])[:-1] in str(caught.value)
    assert len(str(caught.value)) < 450


# STAT


@pytest.mark.parametrize(
    ("line", "count", "octets"),
    [
        (b"3 1621", 3, 1621),
        (b"0 0", 0, 0),
        (b"003  01621", 3, 1621),
        (b" 3\t1621 ", 3, 1621),
        (b"3 1621 (one of them large)", 3, 1621),
        (b"1 18446744073709551615", 1, 2**64 - 1),
    ],
)
def test_a_drop_listing_is_a_count_and_a_size(line: bytes, count: int, octets: int) -> None:
    assert DropListing.parse(Response(True, line)) == DropListing(count, octets)


@pytest.mark.parametrize("line", [b"", b" ", b"3", b"maildrop ready", b"3 octets", "有 3 封".encode("gbk")])
def test_a_drop_listing_without_two_numbers_is_a_fault(line: bytes) -> None:
    assert_fault(lambda line: DropListing.parse(Response(True, line)), line, line)


@pytest.mark.parametrize("word", NO_NUMBERS)
def test_a_drop_listing_with_a_number_that_is_none_is_a_fault(word: bytes) -> None:
    for line in (word + b" 5", b"5 " + word):
        assert_fault(lambda line: DropListing.parse(Response(True, line)), line, word)


# LIST


def test_a_scan_listing_gives_sizes_by_number_in_the_servers_order() -> None:
    listing = listed(b"1 555\r\n3 533\r\n2 0\r\n")
    assert list(listing.items()) == [(1, 555), (3, 533), (2, 0)]
    assert (len(listing), listing[3], 2 in listing, 4 in listing, listing.get(4)) == (3, 533, True, False, None)
    assert repr(listing) == "ScanListing({1: 555, 3: 533, 2: 0})"


def test_an_empty_maildrop_has_empty_listings() -> None:
    assert dict(listed(b"")) == {}
    assert dict(identified(b"")) == {}


def test_a_scan_listing_of_one_message_is_in_the_first_line() -> None:
    assert dict(listed_one(b"2 200")) == {2: 200}
    assert dict(ScanListing.parse(Response(True, b"2 200", b"7 700\r\n"), 2)) == {2: 200}


def test_in_a_scan_listing_several_blanks_and_what_follows_the_size_do_not_count() -> None:
    assert dict(listed(b" 1\t 555  octets\r\n2 533 seen, answered\n0003   7\r\n")) == {1: 555, 2: 533, 3: 7}
    assert dict(listed_one(b"2 200 octets")) == {2: 200}


@pytest.mark.parametrize("line", [b"", b" ", b"1", b"1 ", b" 1", b"octets", b"."])
def test_a_line_that_is_no_scan_listing_is_a_fault(line: bytes) -> None:
    assert_fault(listed_one, line, line)
    assert_fault(listed, b"1 555\r\n" + line + b"\r\n", line)


@pytest.mark.parametrize("word", [*NO_NUMBERS, b"0", b"00"])
def test_a_scan_listing_with_a_number_that_is_none_is_a_fault(word: bytes) -> None:
    lines = [word + b" 5"] if word.strip(b"0") == b"" else [word + b" 5", b"5 " + word]
    for line in lines:
        assert_fault(listed_one, line, word)
        assert_fault(listed, b"1 555\r\n" + line + b"\r\n", word)


# UIDL


def test_a_unique_id_listing_gives_ids_by_number_in_the_servers_order() -> None:
    listing = identified(b"1 scbxeka0676uu6vp\r\n3 ia4u1wk1f34bw4c\r\n2 zji8ub11exscjfp\r\n")
    assert list(listing.items()) == [(1, "scbxeka0676uu6vp"), (3, "ia4u1wk1f34bw4c"), (2, "zji8ub11exscjfp")]
    assert (len(listing), listing[3], 4 in listing) == (3, "ia4u1wk1f34bw4c", False)
    assert repr(identified(b"1 a'b\r\n")) == """UniqueIdListing({1: "a'b"})"""


def test_a_unique_id_of_one_message_is_in_the_first_line() -> None:
    assert dict(identified_one(b"2 QhdPYR:00WBw1Ph7x7")) == {2: "QhdPYR:00WBw1Ph7x7"}


def test_in_a_unique_id_listing_several_blanks_do_not_count() -> None:
    assert dict(identified(b" 1\t  a \r\n0002 b\n")) == {1: "a", 2: "b"}


def test_two_messages_with_one_unique_id_are_both_listed() -> None:
    assert dict(identified(b"1 same\r\n2 same\r\n")) == {1: "same", 2: "same"}


def test_a_unique_id_has_1_to_70_octets_from_0x21_to_0x7e() -> None:
    assert identified_one(b"1 " + b"u" * 70)[1] == "u" * 70
    assert_fault(identified_one, b"1 " + b"u" * 71, b"1 " + b"u" * 71)
    for code in range(256):
        octet = bytes([code])
        for line in (b"1 " + octet, b"1 a" + octet + b"b"):
            if 0x21 <= code <= 0x7E:
                assert identified_one(line)[1] == line[2:].decode("ascii")
                assert identified(line + b"\r\n")[1] == line[2:].decode("ascii")
            else:
                with pytest.raises(RemoteProtocolError):
                    identified_one(line)
                with pytest.raises(RemoteProtocolError):
                    identified(line + b"\r\n")


@pytest.mark.parametrize("uid", [b"../../etc/passwd", b"/", b".", b"CON", b"%00", b"<script>", b"0", b"1_0"])
def test_a_unique_id_is_any_such_text_and_never_a_file_name(uid: bytes) -> None:
    assert identified_one(b"1 " + uid)[1] == uid.decode("ascii")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" ",
        b"1",
        b"1 ",
        b"1  \t",
        b"uid",
        b"1 a b",
        b"1 unique id",
        b"1 a\0",
        b"1 \xe9",
        b"1 " + "登录".encode("gbk"),
        b"1 " + b"u" * 5000,
        b".",
    ],
)
def test_a_line_that_is_no_unique_id_listing_is_a_fault(line: bytes) -> None:
    assert_fault(identified_one, line, line)
    assert_fault(identified, b"9 fine\r\n" + line + b"\r\n", line)


@pytest.mark.parametrize("word", [*NO_NUMBERS, b"0", b"00"])
def test_a_unique_id_listing_with_a_number_that_is_none_is_a_fault(word: bytes) -> None:
    assert_fault(identified_one, word + b" uid", word)
    assert_fault(identified, b"9 fine\r\n" + word + b" uid\r\n", word)


# All of them


def test_a_message_number_has_no_more_than_31_bits() -> None:
    assert dict(listed(b"2147483647 5\r\n")) == {2**31 - 1: 5}
    assert dict(identified(b"2147483647 uid\r\n")) == {2**31 - 1: "uid"}
    assert_fault(listed, b"2147483648 5\r\n", b"2147483648")
    assert_fault(identified, b"2147483648 uid\r\n", b"2147483648")


def test_a_line_that_is_only_repeated_is_no_fault() -> None:
    assert dict(listed(b"1 555\r\n01 555\r\n")) == {1: 555}
    assert dict(identified(b"1 uid\r\n1 uid\r\n")) == {1: "uid"}


def test_a_drop_listing_is_a_value() -> None:
    assert DropListing(3, 1621) == DropListing(3, 1621) != DropListing(3, 1622)
    with pytest.raises(AttributeError):
        DropListing(3, 1621).count = 4  # type: ignore[misc]


@pytest.mark.parametrize("number", [1, 2**31 - 1, 2**31, 2**32, 10**19])
def test_every_number_that_a_listing_tells_can_be_asked_for(number: int) -> None:
    # What a server says must not come back as a ValueError from a command that was made of it.
    for parse, line in ((listed, b"%d 5\r\n"), (identified, b"%d uid\r\n")):
        try:
            told = list(parse(line % number))
        except RemoteProtocolError:
            continue
        for one in told:
            commands: list[Command[object]] = [Retr(one), Dele(one), List(one), Uidl(one), Top(one, 0)]
            assert all(b"%d" % number in command.encode() for command in commands)


@pytest.mark.parametrize(
    ("parse", "body"),
    [(listed, b"1 555\r\n2 533\r\n1 7\r\n"), (identified, b"1 first\r\n2 other\r\n1 second\r\n")],
    ids=["LIST", "UIDL"],
)
def test_a_number_that_is_told_twice_with_different_things_is_a_fault(
    parse: Callable[[bytes], object], body: bytes
) -> None:
    # Which of the two is message 1? To delete the wrong one is to lose a mail.
    with pytest.raises(RemoteProtocolError):
        parse(body)


@given(st.dictionaries(st.integers(1, 2**31 - 1), st.integers(0, 10**20 - 1)))
@settings(deadline=None)
def test_what_a_server_lists_is_what_is_read(entries: dict[int, int]) -> None:
    body = b"".join(b"%d %d\r\n" % entry for entry in entries.items())
    assert list(listed(body).items()) == list(entries.items())
    ids = {number: f"{octets:x}" for number, octets in entries.items()}
    body = b"".join(f"{number} {uid}\r\n".encode() for number, uid in ids.items())
    assert list(identified(body).items()) == list(ids.items())


WORDS = st.sampled_from([b"0", b"1", b"2", b"77", b"-1", b"1_0", ARABIC_INDIC, b"9" * 21, b"a", b"\0", b"\xff", b"."])
LINES = st.lists(WORDS | st.binary(max_size=5)).map(b" ".join)


@given(LINES, st.lists(LINES).map(lambda lines: b"".join(line + b"\r\n" for line in lines)))
@settings(deadline=None)
def test_a_listing_of_any_octets_is_read_or_a_fault_of_the_server(line: bytes, body: bytes) -> None:
    response = Response(True, line, body)
    commands: list[Command[object]] = [List(), List(1), Uidl(), Uidl(1)]
    for parse in (DropListing.parse, *(command.parse for command in commands)):
        told = ""
        try:
            told = repr(parse(response))
        except RemoteProtocolError as error:
            told = str(error)
        assert told.isascii()


def test_a_hundred_thousand_messages_can_be_listed() -> None:
    body = b"".join(b"%d uid-%d\r\n" % (number, number) for number in range(1, 100_001))
    listing = identified(body)
    assert (len(listing), listing[100_000]) == (100_000, "uid-100000")


@pytest.mark.parametrize("number", [1, 3])
def test_the_answer_about_one_message_is_about_no_other(number: int) -> None:
    for parse in (ScanListing.parse, UniqueIdListing.parse):
        with pytest.raises(RemoteProtocolError, match=f"expected the message number {number}, got b'2'"):
            parse(Response(True, b"2 200"), number)
