import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailwire.pop3 import DEFAULT_LIMITS, Response
from mailwire.pop3.response import parse_status

GBK = "登录成功".encode("gbk")

GOOD = [
    (b"+OK", True, b""),
    (b"+OK ", True, b""),
    (b"+OK Aba he", True, b"Aba he"),
    (b"+OK\tready", True, b"ready"),
    (b"+OK  two blanks ", True, b" two blanks "),
    (b"+OK +OK", True, b"+OK"),
    (b"+OK -ERR", True, b"-ERR"),
    (b"+OK " + GBK, True, GBK),
    (b"+OK \xe9\xff\x80", True, b"\xe9\xff\x80"),
    (b"+OK \x1b[31m\x07", True, b"\x1b[31m\x07"),
    (b"+OK a\rb", True, b"a\rb"),
    (b"+OK " + b"a" * DEFAULT_LIMITS.line, True, b"a" * DEFAULT_LIMITS.line),
    (b"-ERR", False, b""),
    (b"-ERR ", False, b""),
    (b"-ERR\tno", False, b"no"),
    (b"-ERR [IN-USE] locked", False, b"[IN-USE] locked"),
    (b"-ERR " + GBK, False, GBK),
]

BAD = [
    b"",
    b" ",
    b"+",
    b"+ ",
    b"+ dGlt",
    b"-",
    b"OK",
    b"+ok",
    b"+Ok ready",
    b"+OKx",
    b"+OKAY",
    b"+OK, ready",
    b"+OK\xa0ready",
    b"+OK\x0bready",
    b"+OK\0",
    b"+OK o\0k",
    b"+ERR wrong password",
    b"-OK",
    b"-err",
    b"-ERRx",
    b"-ERROR",
    b"-ERR \0",
    b"\0-ERR",
    b" +OK",
    b"\t-ERR",
    b"\n+OK",
    b"\xef\xbb\xbf+OK",
    "+OK".encode("utf-16-le"),
    GBK,
    b"\x1b[2J",
    b"220 smtp.example.org ESMTP",
    b"* OK imap.example.org",
    b"HTTP/1.1 400 Bad Request",
]

CODES = [
    (b"[IN-USE] locked", "IN-USE"),
    (b"[in-use] locked", "IN-USE"),
    (b"[In-Use]", "IN-USE"),
    (b"[LOGIN-DELAY]wait", "LOGIN-DELAY"),
    (b"[SYS/TEMP] later", "SYS/TEMP"),
    (b"[sys/perm] never", "SYS/PERM"),
    (b"[AUTH] wrong", "AUTH"),
    (b"[X-ODD/Y] odd", "X-ODD/Y"),
    (b"[[]", "["),
    (b"[a]b]", "A"),
    (b"[" + b"x" * 64 + b"]", "X" * 64),
]

NO_CODES = [
    b"",
    b"locked",
    b"locked [IN-USE]",
    b" [IN-USE] locked",
    b"[",
    b"[]",
    b"[IN-USE",
    b"[IN USE] locked",
    b"[IN-USE\0]",
    b"[\xe9t\xe9]",
    b"[" + b"x" * 65 + b"]",
    b"]IN-USE[",
]


def is_safe(line: str) -> bool:
    """Whether `line` is one line, and moves no cursor."""
    return not any(
        unicodedata.category(letter) in ("Cc", "Zl", "Zp")
        or unicodedata.bidirectional(letter) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        for letter in line
    )


@pytest.mark.parametrize(("line", "ok", "text"), GOOD)
def test_a_status_line_is_ok_or_err_and_a_text_of_any_octets_but_nul(line: bytes, ok: bool, text: bytes) -> None:
    assert parse_status(line) == Response(ok, text)


@pytest.mark.parametrize("line", BAD)
def test_any_other_line_is_none(line: bytes) -> None:
    assert parse_status(line) is None


def test_only_a_blank_or_a_tab_separates_the_status_from_its_text() -> None:
    for status in (b"+OK", b"-ERR"):
        separators = []
        for code in range(256):
            response = parse_status(status + bytes([code]) + b"text")
            if response is not None:
                assert response == Response(status == b"+OK", b"text")
                separators.append(code)
        assert separators == [0x09, 0x20]


def test_no_other_octet_begins_a_status() -> None:
    for code in set(range(256)) - {0x2B, 0x2D}:
        for rest in (b"OK ready", b"ERR no"):
            assert parse_status(bytes([code]) + rest) is None
            assert parse_status(bytes([code]) + rest, plus_err=True) is None


@pytest.mark.parametrize(
    ("line", "text"), [(b"+ERR", b""), (b"+ERR wrong password", b"wrong password"), (b"+ERR\t[IN-USE]", b"[IN-USE]")]
)
def test_a_refusal_with_a_plus_is_one_for_who_asks_for_it_and_never_a_success(line: bytes, text: bytes) -> None:
    assert parse_status(line) is None
    assert parse_status(line, plus_err=True) == Response(False, text)
    for other in (b"+ERROR", b"+err no", b"+ERR\0", b"-OK", b"+-ERR"):
        assert parse_status(other, plus_err=True) is None
    assert parse_status(b"+OK", plus_err=True) == Response(True)


@given(st.binary(max_size=40) | st.builds(bytes.__add__, st.sampled_from([b"+OK", b"-ERR"]), st.binary(max_size=40)))
@settings(deadline=None)
def test_a_status_line_of_any_octets_is_a_response_or_none(line: bytes) -> None:
    response = parse_status(line)
    if response is not None:
        assert line.startswith(b"+OK" if response.ok else b"-ERR")
        assert line.endswith(response.line)
        assert is_safe(str(response))


@pytest.mark.parametrize(("text", "code"), CODES)
@pytest.mark.parametrize("ok", [True, False])
def test_a_response_code_is_read_in_any_case(text: bytes, code: str, ok: bool) -> None:
    assert Response(ok, text).code == code


@pytest.mark.parametrize("text", NO_CODES)
def test_a_text_without_a_response_code_has_none(text: bytes) -> None:
    assert Response(False, text).code is None


@pytest.mark.parametrize(
    ("text", "is_transient"),
    [
        # RFC 2449 8.1.1 and 8.1.2, RFC 3206 4.
        (b"[IN-USE] locked", True),
        (b"[in-use] locked", True),
        (b"[LOGIN-DELAY] wait", True),
        (b"[SYS/TEMP] later", True),
        (b"[Sys/Temp]", True),
        (b"[SYS/PERM] never", False),
        (b"[AUTH] wrong", False),
        (b"[X-ODD/Y] odd", False),
        (b"[SYS] odd", False),
        (b"locked [IN-USE]", False),
        (b"", False),
    ],
)
def test_a_refusal_is_transient_if_its_code_says_so(text: bytes, is_transient: bool) -> None:
    assert Response(False, text).is_transient is is_transient


@pytest.mark.parametrize(
    ("text", "timestamp"),
    [
        # RFC 1939 7, the example.
        (b"POP3 server ready <1896.697170952@dbc.mtview.ca.us>", b"<1896.697170952@dbc.mtview.ca.us>"),
        (b"<a@b>", b"<a@b>"),
        (b"<a@b> ready", b"<a@b>"),
        (b"ready<a@b>ready", b"<a@b>"),
        (b"<1> <2@> <@3> <a@b> <c@d>", b"<a@b>"),
        # A greedy reader takes all of it (CPython's poplib, once).
        (b"<evil> text <1.2@h>", b"<1.2@h>"),
        (b"<<a@b>>", b"<a@b>"),
        (b"<a<b@c>", b"<b@c>"),
        (b"<!#$%&'*+-/=?^_`{|}~@[127.0.0.1]>", b"<!#$%&'*+-/=?^_`{|}~@[127.0.0.1]>"),
        (b"caf\xe9 <a@b> \x1b", b"<a@b>"),
    ],
)
def test_a_greeting_may_hold_a_timestamp_in_the_form_of_a_message_identifier(text: bytes, timestamp: bytes) -> None:
    assert Response(True, text).timestamp == timestamp


NO_TIMESTAMPS = [
    b"",
    b"ready",
    b"<>",
    b"<@>",
    b"<a@>",
    b"<@b>",
    b"<ab>",
    b"a@b",
    b"<a@b",
    b"a@b>",
    b"<a@b@c>",
    b"<a b@c>",
    b"<a@b c>",
    b" <a@ b>",
    b"<a\t@b>",
    b"<a@b\r>",
    b"<a\x7f@b>",
    b'<"a@b"@c>',
    # CVE-2007-1558: the collisions of MD5 by which a server learns the password need octets like these.
    b"<\xff\xfe@\xff>",
    b"<a\x80@b>",
    "<ä@b>".encode(),
    b"<\0@b>",
]


@pytest.mark.parametrize("text", NO_TIMESTAMPS)
def test_anything_else_is_no_timestamp(text: bytes) -> None:
    assert Response(True, text).timestamp is None


def test_a_timestamp_is_looked_for_in_linear_time() -> None:
    # Many times the longest greeting that is read, of beginnings of timestamps: backtracking would take minutes.
    for beginning in (b"<", b"<a", b"<a@", b"<a@b", b"<@"):
        assert Response(True, beginning * (1_000_000 // len(beginning))).timestamp is None


def test_a_masked_response_says_the_same_without_the_secret() -> None:
    response = Response(False, b"[AUTH] canary is wrong", b"canary\r\n")
    masked = response.masked(lambda text: text.replace(b"canary", b"****"))
    assert masked == Response(False, b"[AUTH] **** is wrong", b"canary\r\n")
    assert (masked.code, response.line) == ("AUTH", b"[AUTH] canary is wrong")


def test_the_text_is_decoded_once_as_utf8_and_the_rest_is_escaped() -> None:
    assert Response(True, "schön, 登录".encode()).text == "schön, 登录"
    assert Response(True, GBK).text == "\\xb5\\xc7¼\\xb3ɹ\\xa6"
    assert Response(True, b"\x1b[31m\x07 caf\xe9 \x85x").text == "\\x1b[31m\\x07 caf\\xe9 \\x85x"
    assert Response(True, "a\u2028b\u202ec\u0085d".encode()).text == "a\\u2028b\\u202ec\\x85d"


def test_a_response_is_written_as_it_came() -> None:
    assert str(Response(True)) == "+OK"
    assert str(Response(False)) == "-ERR"
    assert str(Response(False, b"[IN-USE] locked ")) == "-ERR [IN-USE] locked"
    assert str(Response(True, b"a\r\nb")) == "+OK a\\x0d\\x0ab"


def test_the_lines_of_a_body_come_without_their_ends() -> None:
    assert Response(True).lines == ()
    assert Response(True, b"", b"1 120\r\n\r\n2 200\r\n").lines == (b"1 120", b"", b"2 200")
    assert Response(True, b"", b"1 120\n2 200\n").lines == (b"1 120", b"2 200")
    assert Response(True, b"", b"1 1\r20\r\r\n").lines == (b"1 1\r20\r",)


def test_a_response_is_shown_with_its_listing() -> None:
    assert Response(True, b"ready").shown() == ("+OK ready",)
    assert Response(True, b"", b"1 120\r\n2 200\r\n").shown() == ("+OK", "1 120", "2 200", ".")


def test_a_long_listing_is_shown_as_its_size() -> None:
    body = b"1000000000 120\r\n" * 256
    assert len(body) == 4096
    assert len(Response(True, b"", body).shown()) == 258
    assert Response(True, b"", body + b"\n").shown() == ("+OK", "(4097 octets)", ".")


@given(st.booleans(), st.binary(max_size=60) | st.text(max_size=60).map(str.encode), st.binary(max_size=60))
@settings(deadline=None)
def test_what_is_shown_is_safe_to_print_whatever_the_server_sent(ok: bool, text: bytes, body: bytes) -> None:
    response = Response(ok, text, body)
    shown = response.shown()
    assert len(shown) == (1 if not body else 2 + body.count(b"\n"))
    for line in (*shown, str(response), response.text, response.code or "", repr(response)):
        assert is_safe(line)


def test_responses_are_values() -> None:
    assert Response(True, b"a", b"b") == Response(True, b"a", b"b") != Response(False, b"a", b"b")
    assert len({Response(True), Response(True), Response(False)}) == 2
    with pytest.raises(AttributeError):
        Response(True).ok = False  # type: ignore[misc]


def test_a_response_is_written_as_json_octet_by_octet() -> None:
    for response in (Response(True, GBK, b"a\xff\r\n"), Response(False, b"[LOGIN-DELAY 60] no", login_delay=60)):
        data = response.to_dict()
        assert data == {
            "ok": response.ok,
            "text": response.text,
            "line": response.line.decode("latin-1"),
            "body": response.body.decode("latin-1"),
            "login_delay": response.login_delay,
        }
        assert Response.from_dict(json.loads(json.dumps(data))) == response
    assert Response.from_dict({**Response(False, b"no").to_dict(), "login_delay": "7"}).login_delay == 7
