import re

import pytest

from mailwire.testing.refusal import Refusal
from mailwire.testing.smtp_extensions import EXTENSIONS, HOLD_LIMIT, HOLD_UNTIL_LIMIT, check_parameters

AGAIN = "2030-06-30T12:00:00Z"


def refusal(verb: str, keyword: str, value: str | None, *, utf8: bool = False) -> str | None:
    try:
        check_parameters(verb, {keyword: value}, lambda _: True, utf8=utf8)
    except Refusal as refused:
        return refused.situation
    return None


@pytest.mark.parametrize(
    ("verb", "keyword", "values"),
    [
        ("MAIL", "SIZE", ["0", "1" * 20]),
        ("MAIL", "BODY", ["7BIT", "8bitmime", "BinaryMime"]),
        ("MAIL", "SMTPUTF8", [None]),
        ("MAIL", "REQUIRETLS", [None]),
        ("MAIL", "AUTH", ["<>", "a@example.org", "a+40b"]),
        ("MAIL", "RET", ["FULL", "hdrs"]),
        ("MAIL", "ENVID", ["x", "a+2Bb", "x" * 100, "+2B" * 100]),
        ("MAIL", "BY", ["120;R", "+120;RT", "-120;N", "0;N", "0;nt", "999999999;N"]),
        ("MAIL", "HOLDFOR", ["1", str(HOLD_LIMIT)]),
        ("MAIL", "HOLDUNTIL", [AGAIN, "2030-06-30T12:00:00.5+02:00", HOLD_UNTIL_LIMIT]),
        ("MAIL", "MT-PRIORITY", ["0", "9", "-9"]),
        ("RCPT", "NOTIFY", ["NEVER", "SUCCESS", "DELAY,failure,SUCCESS"]),
        ("RCPT", "ORCPT", ["rfc822;a@example.org", "x400;a+3Db", r"utf-8;a\x{E9}@example.org"]),
        ("RCPT", "RRVS", [AGAIN, f"{AGAIN};C", f"{AGAIN};r"]),
    ],
)
def test_what_the_standard_defines_is_taken(verb: str, keyword: str, values: list[str | None]) -> None:
    assert [value for value in values if refusal(verb, keyword, value)] == []


@pytest.mark.parametrize(
    ("verb", "keyword", "values"),
    [
        ("MAIL", "SIZE", [None, "x", "-1", "1" * 21, "\N{SUPERSCRIPT TWO}"]),
        ("MAIL", "BODY", [None, "9BIT", "7BIT,8BITMIME"]),
        ("MAIL", "SMTPUTF8", ["YES"]),
        ("MAIL", "REQUIRETLS", ["1"]),
        ("MAIL", "AUTH", [None, "a+b", "a+4", "é"]),
        ("MAIL", "RET", [None, "BODY"]),
        ("MAIL", "ENVID", [None, "x" * 101, "a+2b", "+", "é"]),
        ("MAIL", "BY", [None, "120", "0;R", "-1;R", "1;T", "1;TR", "1;RTT", "1000000000;N", "0000000001;R", "1 ;R"]),
        ("MAIL", "HOLDFOR", [None, "0", "-1", str(HOLD_LIMIT + 1)]),
        (
            "MAIL",
            "HOLDUNTIL",
            [None, "2030-02-31T00:00:00Z", "2030-06-30", "2030-06-30T12:00:00", "2100-01-01T00:00:01Z"],
        ),
        ("MAIL", "MT-PRIORITY", [None, "10", "+1", "-0", "00"]),
        (
            "RCPT",
            "NOTIFY",
            [None, "", "NEVER,SUCCESS", "SUCCESS,SUCCESS", "SUCCESS,", ",SUCCESS", "DELAY,FAILURE,DELAY"],
        ),
        ("RCPT", "ORCPT", [None, "a@example.org", "rfc822;", "rfc822;a=b", "rfc822;a+b", "utf-8;a+b", r"utf-8;a\b"]),
        ("RCPT", "RRVS", [None, "never", f"{AGAIN};X", f"{AGAIN};", "2030-13-01T00:00:00Z"]),
    ],
)
def test_what_it_does_not_define_is_refused(verb: str, keyword: str, values: list[str | None]) -> None:
    assert [value for value in values if refusal(verb, keyword, value) != "syntax"] == []


@pytest.mark.parametrize(
    ("verb", "keyword"), [("RCPT", "SIZE"), ("RCPT", "BY"), ("MAIL", "NOTIFY"), ("MAIL", "ORCPT"), ("MAIL", "X")]
)
def test_a_parameter_belongs_to_one_command(verb: str, keyword: str) -> None:
    assert refusal(verb, keyword, "1") == "parameter"


@pytest.mark.parametrize(
    ("verb", "keyword", "value", "extension"),
    [
        ("MAIL", "ENVID", "x", "DSN"),
        ("MAIL", "BODY", "8BITMIME", "8BITMIME"),
        ("RCPT", "RRVS", AGAIN, "RRVS"),
        ("MAIL", "BY", "1;R", "DELIVERBY"),
    ],
)
def test_a_parameter_wants_its_extension(verb: str, keyword: str, value: str, extension: str) -> None:
    with pytest.raises(Refusal, match="parameter"):
        check_parameters(verb, {keyword: value}, lambda offered: offered != extension)


def test_binarymime_wants_an_extension_besides() -> None:
    with pytest.raises(Refusal, match="syntax"):
        check_parameters("MAIL", {"BODY": "BINARYMIME"}, lambda offered: offered == "8BITMIME")


def test_binarymime_wants_no_8bitmime() -> None:
    def is_offered(extension: str) -> bool:
        return extension == "BINARYMIME"

    check_parameters("MAIL", {"BODY": "BinaryMIME"}, is_offered)
    for other in ("8BITMIME", "7BIT", "X", None):
        with pytest.raises(Refusal, match="parameter"):
            check_parameters("MAIL", {"BODY": other}, is_offered)


def test_addresses_beyond_ascii_want_smtputf8() -> None:
    assert refusal("RCPT", "ORCPT", "utf-8;é@example.org") == "syntax"
    assert refusal("RCPT", "ORCPT", "utf-8;é@example.org", utf8=True) is None
    assert refusal("RCPT", "ORCPT", "rfc822;é@example.org", utf8=True) == "syntax"


def test_a_message_is_held_in_one_way() -> None:
    with pytest.raises(Refusal) as caught:
        check_parameters("MAIL", {"HOLDFOR": "1", "HOLDUNTIL": AGAIN}, lambda _: True)
    assert caught.value.known == {"expected": "HOLDFOR or HOLDUNTIL, not both"}


def test_the_extensions_are_keywords_each_once() -> None:
    assert len(set(EXTENSIONS)) == len(EXTENSIONS)
    assert all(re.fullmatch(r"[A-Z0-9-]+", keyword) for keyword in EXTENSIONS)
