import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire._wire.keywords import Keywords


def parse(*lines: bytes) -> Keywords:
    return Keywords.parse_lines(lines)


def test_a_line_is_a_keyword_and_its_parameters() -> None:
    keywords = parse(b"PIPELINING", b"SIZE 10240000", b"AUTH PLAIN LOGIN")
    assert dict(keywords) == {"PIPELINING": (), "SIZE": ("10240000",), "AUTH": ("PLAIN", "LOGIN")}
    assert len(keywords) == 3
    assert list(keywords) == ["PIPELINING", "SIZE", "AUTH"]


@pytest.mark.parametrize("name", ["8BITMIME", "8bitmime", "8BitMime"])
def test_case_does_not_count(name: str) -> None:
    for keywords in (parse(b"8BitMIME a"), Keywords({"8bitmime": ("a",)})):
        assert name in keywords
        assert keywords[name] == keywords.get(name) == ("a",)
        assert list(keywords) == ["8BITMIME"]
        assert keywords.names == {"8BITMIME"}


def test_parameters_keep_their_case() -> None:
    assert parse(b"IMPLEMENTATION Shlemazle-Plotz-v302")["IMPLEMENTATION"] == ("Shlemazle-Plotz-v302",)


def test_a_keyword_that_was_not_announced_is_not_there() -> None:
    keywords = Keywords()
    assert "SIZE" not in keywords
    assert keywords.get("SIZE") is None
    with pytest.raises(KeyError):
        keywords["SIZE"]


def test_repeated_keywords_have_their_parameters_added_up() -> None:
    assert dict(parse(b"AUTH PLAIN LOGIN", b"auth LOGIN CRAM-MD5", b"AUTH")) == {"AUTH": ("PLAIN", "LOGIN", "CRAM-MD5")}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"AUTH=PLAIN LOGIN", {"AUTH": ("PLAIN", "LOGIN")}),
        (b"AUTH=", {"AUTH": ()}),
        (b"AUTH= PLAIN", {"AUTH": ("PLAIN",)}),
        (b"AUTH=A=B", {"AUTH": ("A=B",)}),
        (b"AUTH PLAIN=", {"AUTH": ("PLAIN=",)}),
        (b"  SIZE   1\t2  ", {"SIZE": ("1", "2")}),
        (b"XVERP", {"XVERP": ()}),
        (b"x.y_z a", {"X.Y_Z": ("a",)}),
        (b"KEY caf\xe9", {"KEY": ("caf\xe9",)}),
        (b"KEY \0", {"KEY": ("\0",)}),
    ],
)
def test_odd_lines_are_read_as_far_as_they_can_be(line: bytes, expected: dict[str, tuple[str, ...]]) -> None:
    assert dict(parse(line)) == expected


@pytest.mark.parametrize(
    "line",
    [b"", b" ", b"=", b"=PLAIN", b"-X", b".", b"[SIZE", b"\xff", b"caf\xe9 1", b"\0SIZE", b"SI\x1bZE 1", b"SIZE\x7f"],
)
def test_a_line_that_cannot_be_read_is_an_offer_not_made(line: bytes) -> None:
    assert dict(parse(b"A", line, b"B")) == {"A": (), "B": ()}


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b"SIZE 0", 0),
        (b"SIZE 10240000", 10_240_000),
        (b"SIZE 00000000000000000001", 1),
        (b"SIZE 99999999999999999999", 10**20 - 1),
        (b"SIZE abc 5", 5),
        (b"SIZE 5 6", 5),
        (b"SIZE=7", 7),
        (b"SIZE", None),
        (b"SIZE abc", None),
        (b"SIZE 999999999999999999999", None),
        (b"SIZE " + b"9" * 5000, None),
        (b"SIZE -1", None),
        (b"SIZE +1", None),
        (b"SIZE 1_000", None),
        (b"SIZE 1e3", None),
        (b"SIZE 0x10", None),
        (b"SIZE 1.5", None),
        ("SIZE ١٢٣".encode(), None),
        (b"SIZE \xb2", None),  # a superscript two in Latin-1, for which str.isdigit() is true
        (b"PIPELINING", None),
    ],
)
def test_a_number_has_at_most_twenty_ascii_digits(line: bytes, number: int | None) -> None:
    assert parse(line).number("size") == number


def test_ten_thousand_keywords_are_read() -> None:
    keywords = parse(*(b"X%d %d" % (number, number) for number in range(10_000)))
    assert len(keywords) == 10_000
    assert keywords["x9999"] == ("9999",)


def test_a_keyword_that_is_repeated_a_hundred_thousand_times_is_read() -> None:
    # In a time that grows with the square of that it would take minutes.
    keywords = Keywords.parse_lines(b"A %d" % (number // 2) for number in range(200_000))
    assert keywords["A"] == tuple(map(str, range(100_000)))


def test_keywords_are_equal_when_they_say_the_same() -> None:
    assert parse(b"size 1", b"A") == Keywords({"A": (), "SIZE": ("1",)})
    assert parse(b"SIZE 1") != parse(b"SIZE 2")


def test_keywords_show_what_they_hold() -> None:
    assert repr(parse(b"SIZE 1")) == "Keywords({'SIZE': ('1',)})"


@given(st.lists(st.binary()))
def test_no_announcement_is_an_error(lines: list[bytes]) -> None:
    keywords = parse(*lines)
    for name in keywords:
        assert name.isascii()
        assert name.isprintable()
        assert name == name.upper()
        keywords.number(name)
