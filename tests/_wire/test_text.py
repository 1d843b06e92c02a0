import unicodedata
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire._wire.dots import MailText
from mailwire._wire.text import (
    LINE_END,
    TRUTH,
    Kind,
    check_argument,
    check_choice,
    check_function,
    check_kind,
    check_kinds,
    check_line,
    check_lines,
    check_number,
    check_whole_number,
    command_expected,
    octets_of,
    printable,
    quote,
    secret_problem,
)
from tests.sasl.secrecy import CANARY

CONTROLS = [bytes([code]) for code in (*range(0x20), 0x7F)]

# Unicode's Bidi_Control: the characters with which text is made to look like other text.
BIDI_CONTROLS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))


@pytest.mark.parametrize("value", ["c", "", "ab", None, 1, ["a"]])
def test_what_is_neither_of_two_words_is_refused(value: object) -> None:
    with pytest.raises(ValueError) as refused:
        check_choice("order", value, "a", "b")
    assert str(refused.value) == f'expected order to be "a" or "b", got {value!r} ({type(value).__name__})'
    for word in ("a", "b"):
        check_choice("order", word, "a", "b")


@pytest.mark.parametrize("given", [bytearray(b"abcd"), memoryview(bytearray(b"abcd")).cast("H")])
def test_octets_that_can_be_changed_are_copied(given: Any) -> None:
    octets = octets_of("a block", given)
    memoryview(given).cast("B")[0] = 0
    assert (type(octets), octets) == (bytes, b"abcd")


def test_octets_that_stay_as_they_are_stay_the_same() -> None:
    for octets in (b"abcd", MailText(b"abcd")):
        assert octets_of("a block", octets) is octets


@pytest.mark.parametrize("value", [CANARY, None, 5, [b"x"]])
def test_what_is_no_octets_is_refused_and_not_quoted(value: object) -> None:
    with pytest.raises(ValueError) as refused:
        octets_of("a block", value)
    assert str(refused.value) == f"expected a block to be bytes, got a value of the type {type(value).__name__}"


def test_printable_text_is_shown_as_it_is() -> None:
    assert printable(b"250 ok ~ !") == "250 ok ~ !"
    assert printable("Größe 任务 🐟".encode()) == "Größe 任务 🐟"


def test_octets_that_are_no_utf_8_are_escaped() -> None:
    assert printable(b"caf\xe9 \x85x \xff\xfe") == r"caf\xe9 \x85x \xff\xfe"
    assert printable("é".encode() + b"\xc3") == r"é\xc3"


@pytest.mark.parametrize("control", CONTROLS, ids=repr)
def test_control_characters_are_escaped(control: bytes) -> None:
    assert printable(b"a" + control + b"b") == f"a\\x{control[0]:02x}b"


@pytest.mark.parametrize("code", range(0x80, 0xA0), ids=hex)
def test_c1_control_characters_are_escaped(code: int) -> None:
    assert printable(chr(code).encode()) == f"\\x{code:02x}"


@pytest.mark.parametrize("code", [0x2028, 0x2029, *BIDI_CONTROLS], ids=hex)
def test_characters_that_end_a_line_or_reorder_text_are_escaped(code: int) -> None:
    assert printable(chr(code).encode()) == f"\\u{code:04x}"


@pytest.mark.parametrize("code", [0xA0, 0xAD, 0x2027, 0x202F, 0x206A, 0xFEFF, 0x10FFFF], ids=hex)
def test_their_neighbours_are_not_escaped(code: int) -> None:
    assert printable(chr(code).encode()) == chr(code)


@pytest.mark.parametrize("code", [0xD800, 0xDFFF])
def test_surrogates_in_utf_8_are_escaped(code: int) -> None:
    assert printable(chr(code).encode("utf-8", "surrogatepass")).isascii()


@given(st.binary() | st.text().map(str.encode))
def test_anything_is_shown_as_one_line_without_controls(data: bytes) -> None:
    shown = printable(data)
    assert len(shown.splitlines()) <= 1
    assert not any(unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") for character in shown)
    shown.encode()


def test_a_quotation_is_a_literal() -> None:
    assert quote(b"") == "b''"
    assert quote(b"\x1b[31m'\r\n\xff") == 'b"\\x1b[31m\'\\r\\n\\xff"'


def test_a_quotation_is_cut_behind_the_limit_and_says_how_long_the_original_is() -> None:
    assert quote(b"a" * 120) == repr(b"a" * 120)
    assert quote(b"a" * 121) == f"{b'a' * 120!r}... (121 octets)"
    assert quote(b"abcdef", limit=3) == "b'abc'... (6 octets)"


@given(st.binary())
def test_a_quotation_is_ascii_on_one_line(data: bytes) -> None:
    assert quote(data).isascii()
    assert quote(data).isprintable()


@pytest.mark.parametrize("control", CONTROLS, ids=repr)
@pytest.mark.parametrize("form", [b"%s", b"%sab", b"a%sb", b"ab%s", b'"a%sb"@example.org', b'"a\\%sb"@example.org'])
def test_no_control_character_passes_as_part_of_an_argument(control: bytes, form: bytes) -> None:
    with pytest.raises(ValueError, match=r"^the name must not hold control characters \(CR, LF, NUL, \.\.\.\), got b"):
        check_argument("the name", form % control)


def test_every_other_octet_passes_as_part_of_an_argument() -> None:
    others = bytes(code for code in range(0x100) if bytes([code]) not in CONTROLS)
    assert check_argument("the name", others) is others
    assert check_argument("the name", b"") == b""


@pytest.mark.parametrize("text", ["secret", " ", "p=,ß", "пароль🔑", "a\u0085", "?"])
def test_nothing_is_wrong_with_a_secret_that_is_text_without_controls(text: str) -> None:
    assert secret_problem("the password", text) is None


@pytest.mark.parametrize("control", CONTROLS, ids=repr)
@pytest.mark.parametrize("form", ["{}" + CANARY, CANARY + "{}" + CANARY, CANARY + "{}", "{}"])
def test_no_control_character_passes_in_a_secret_and_the_secret_is_not_quoted(control: bytes, form: str) -> None:
    problem = secret_problem("the password", form.format(control.decode()))
    assert problem == "the password must not hold control characters (CR, LF, NUL, ...)"


@pytest.mark.parametrize("text", ["", CANARY + "\ud800", "\udcff"])
def test_an_empty_secret_or_one_that_is_no_utf_8_is_refused_and_not_quoted(text: str) -> None:
    problem = secret_problem("the password", text)
    assert problem == "the password must not be empty, and must be text that UTF-8 can express"


@pytest.mark.parametrize("value", [None, CANARY.encode(), 7])
def test_what_is_no_text_is_no_secret_and_is_not_quoted(value: object) -> None:
    problem = secret_problem("the password", value)
    assert problem == f"expected the password to be text, got {type(value).__name__}"


@pytest.mark.parametrize("value", ["PASS secret", b"x", None, str])
def test_what_is_no_command_is_told_by_its_type_alone(value: object) -> None:
    error = command_expected("smtp.Noop()", value)
    assert str(error) == f"expected a command such as smtp.Noop(), got a value of the type {type(value).__name__}"


@pytest.mark.parametrize("line", ["NOOP\r\n", bytearray(b"NOOP\r\n"), None])
def test_a_line_that_is_not_bytes_does_not_pass(line: Any) -> None:
    with pytest.raises(ValueError, match=r"encode\(\) to return bytes, got a value of the type \w+$") as caught:
        check_line(line)
    assert "NOOP" not in str(caught.value)


def test_a_line_is_returned_as_it_is() -> None:
    line = b"NOOP\r\n"
    assert check_line(line) is line
    assert check_line(LINE_END) == b"\r\n"


@pytest.mark.parametrize("line", [b"", b"NOOP", b"NOOP\n", b"NOOP\r", b"NOOP\r\n ", b"NOOP\n\r"])
def test_a_line_without_crlf_at_its_end_does_not_pass(line: bytes) -> None:
    with pytest.raises(ValueError, match="a command must end in CRLF, got b"):
        check_line(line)


@pytest.mark.parametrize("control", CONTROLS, ids=repr)
@pytest.mark.parametrize("form", [b"%sNOOP\r\n", b"NO%sOP\r\n", b"NOOP%s\r\n"])
def test_no_control_character_passes_inside_a_line(control: bytes, form: bytes) -> None:
    with pytest.raises(ValueError, match="a command must not hold control characters"):
        check_line(form % control)


@pytest.mark.parametrize("line", [b"NOOP\r\nQUIT\r\n", b"NOOP\r\n\r\n", b"\r\nNOOP\r\n"])
def test_two_lines_are_not_one(line: bytes) -> None:
    with pytest.raises(ValueError, match="control characters"):
        check_line(line)


# Several lines


@pytest.mark.parametrize("lines", [(b"NOOP",), (b"MAIL FROM:<a@b>", b"RCPT TO:<c@d>", b"DATA"), (b"", b"")])
def test_so_many_lines_are_commands(lines: tuple[bytes, ...]) -> None:
    data = b"".join(line + LINE_END for line in lines)
    assert check_lines(data, len(lines)) is data


@pytest.mark.parametrize("data", [b"NOOP", b"NOOP\r\nRSET", b"NOOP\r\nRSET\r\n", b"NOOP\r\nRSET\r\nQUIT\r\nQ", b""])
def test_another_number_of_lines_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError) as caught:
        check_lines(data, 3)
    assert str(caught.value) == f"expected 3 commands that end in CRLF, got {data!r}"


@pytest.mark.parametrize("control", CONTROLS, ids=repr)
def test_no_line_among_others_holds_a_control(control: bytes) -> None:
    for line in (control + b"a", b"a" + control + b"b", b"a" + control):
        for data in (line + b"\r\nb\r\n", b"b\r\n" + line + b"\r\n"):
            with pytest.raises(ValueError, match=r"^a command must not hold control characters"):
                check_lines(data, 2)


@pytest.mark.parametrize("value", [1, 2.5])
def test_what_is_of_one_of_the_kinds_passes(value: object) -> None:
    check_kind("size", value, (int, float), "a number")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("1", "'1' (str)"),
        (None, "None (NoneType)"),
        (True, "True (bool)"),
        ("x" * 200, "'" + "x" * 99 + " (str)"),
    ],
)
def test_what_is_of_another_kind_is_told_with_what_was_expected(value: object, told: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_kind("size", value, (int, float), "a number")
    assert str(caught.value) == f"expected size to be a number, got {told}"


@pytest.mark.parametrize("value", [True, False])
def test_where_truth_is_asked_for_a_truth_is_taken(value: object) -> None:
    check_kind("utf8", value, bool, "True or False")
    check_kind("utf8", value, (bool, type(None)), "True, False or None")


@pytest.mark.parametrize("value", [0, 1, None, "no"])
def test_what_only_counts_as_a_truth_is_none(value: object) -> None:
    with pytest.raises(ValueError, match=r"^expected utf8 to be True or False, got "):
        check_kind("utf8", value, bool, "True or False")


def test_of_several_settings_the_first_that_is_of_another_kind_is_told() -> None:
    kinds: dict[str, Kind] = {"size": ((int, float), "a number"), "name": (str, "text"), "utf8": TRUTH}
    check_kinds(SimpleNamespace(size=1, name="a", utf8=False, other=None), kinds)
    with pytest.raises(ValueError, match=r"^expected name to be text, got 7 \(int\)$"):
        check_kinds(SimpleNamespace(size=2.5, name=7, utf8=1), kinds)
    with pytest.raises(ValueError, match=r"^expected utf8 to be True or False, got 1 \(int\)$"):
        check_kinds(SimpleNamespace(size=2.5, name="a", utf8=1), kinds)


@pytest.mark.parametrize("value", [None, print, str, lambda: None])
def test_a_function_passes_and_none(value: object) -> None:
    check_function("progress", value)


@pytest.mark.parametrize("value", [0, "print", ()])
def test_what_cannot_be_called_is_no_function(value: object) -> None:
    with pytest.raises(ValueError) as caught:
        check_function("progress", value)
    assert str(caught.value) == f"expected progress to be a function or None, got {value!r}"


@pytest.mark.parametrize("value", [0.001, 1, 2.5, pytest.param(2**1023 - 1, id="long"), float("inf")])
def test_a_number_above_0_passes(value: object) -> None:
    check_number("size", value)
    check_number("size", value, or_none=True)
    check_number("size", None, or_none=True)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "more than 0, got 0"),
        (-0.5, "more than 0, got -0.5"),
        (float("nan"), "more than 0, got nan"),
        (True, "a number, got True (bool)"),
        (None, "a number, got None (NoneType)"),
        ("1", "a number, got '1' (str)"),
        (2**1023, "a number that a float can hold, got one of 1024 bits"),
        (10**400, "a number that a float can hold, got one of 1329 bits"),
    ],
)
def test_no_other_number_passes(value: object, told: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_number("size", value)
    assert str(caught.value) == f"expected size to be {told}"


def test_where_none_may_be_given_that_is_told() -> None:
    with pytest.raises(ValueError, match=r"^expected size to be a number or None, got '1' \(str\)$"):
        check_number("size", "1", or_none=True)
    with pytest.raises(ValueError, match=r"^expected size to be a whole number or None, got 1.0 \(float\)$"):
        check_whole_number("size", 1.0, or_none=True)


@pytest.mark.parametrize(("value", "least"), [(1, 1), (2, 1), (0, 0), (512, 512)])
def test_a_whole_number_that_is_high_enough_passes(value: object, least: int) -> None:
    check_whole_number("size", value, least)
    check_whole_number("size", value, least, or_none=True)
    check_whole_number("size", None, least, or_none=True)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "1 at least, got 0"),
        (-1, "1 at least, got -1"),
        (1.0, "a whole number, got 1.0 (float)"),
        (True, "a whole number, got True (bool)"),
        (None, "a whole number, got None (NoneType)"),
    ],
)
def test_no_other_whole_number_passes(value: object, told: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_whole_number("size", value)
    assert str(caught.value) == f"expected size to be {told}"


def test_a_whole_number_is_as_high_as_it_has_to_be() -> None:
    with pytest.raises(ValueError, match=r"^expected size to be 0 at least, got -1$"):
        check_whole_number("size", -1, 0)
