import re
from email.header import Header
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire import InvalidMessage
from mailwire.message.addresses import addresses_in, parse_addresses, said_in, text_of, write_addresses
from tests.message.sending import parsed

# An independent reader, put together from the productions of RFC 5322 3.2 and 3.4 as regular expressions: what may go
# wrong in a parser that goes from token to token does not go wrong here. Comments are nested up to three deep.

ATEXT = r"[^\x00-\x20\x7f()<>@,;:\\\".\[\]]"
WSP = r"[ \t]"
COMMENT = r"\((?:[^()\\]|\\.)*\)"
for _ in range(3):
    COMMENT = rf"\((?:[^()\\]|\\.|{COMMENT})*\)"
CFWS = rf"(?:{WSP}|{COMMENT})*"
QUOTED = r'"(?:[^"\\]|\\.)*"'
LITERAL = r"\[[^\[\]\\]*\]"
WORD = rf"(?:{ATEXT}+|{QUOTED}|{LITERAL}|\.)"
PHRASE = rf"{CFWS}{WORD}(?:{CFWS}{WORD})*{CFWS}"
LOCAL = rf"(?:{QUOTED}|(?:{ATEXT}|\.)+)"
DOMAIN = rf"(?:{LITERAL}|(?:{ATEXT}|\.)+)"
NAME_ADDR = rf"(?:{PHRASE}|{CFWS})<{CFWS}(?P<inner_local>{LOCAL})@(?P<inner_domain>{DOMAIN}){CFWS}>{CFWS}"
MAILBOX = rf"(?:{CFWS}(?P<local>{LOCAL})@(?P<domain>{DOMAIN}){CFWS}|{NAME_ADDR})"
BEGINNING_OF_GROUP = rf"{PHRASE}:"
PATTERNS = {
    name: re.compile(pattern, re.DOTALL)
    for name, pattern in {"mailbox": MAILBOX, "group": BEGINNING_OF_GROUP, "cfws": CFWS}.items()
}


def read(text: str) -> list[tuple[str, str]] | None:
    """The addresses in `text`, None if it is no address-list."""
    found, place, in_group = list[tuple[str, str]](), 0, False
    while True:
        if match := PATTERNS["mailbox"].match(text, place):
            local, domain = match["local"] or match["inner_local"], match["domain"] or match["inner_domain"]
            found.append((re.sub(r"\\(.)", r"\1", local[1:-1]) if local[0] == '"' else local, domain))
        elif not in_group and (match := PATTERNS["group"].match(text, place)):
            place, in_group = match.end(), True
            continue
        else:
            match = PATTERNS["cfws"].match(text, place)
            assert match
        place = match.end()
        if text[place : place + 1] == ";" and in_group:
            match = PATTERNS["cfws"].match(text, place + 1)
            assert match
            place, in_group = match.end(), False
        if text[place : place + 1] != ",":
            return found if place == len(text) and not in_group else None
        place += 1


def ours(text: str) -> list[tuple[str, str]]:
    return [(address.mailbox.local, address.mailbox.domain) for address in parse_addresses(text)]


GOOD: list[tuple[str, list[str]]] = [
    ("", []),
    (" \t", []),
    ("a@x.y", ["a@x.y"]),
    (" a@x.y ", ["a@x.y"]),
    ("<a@x.y>", ["a@x.y"]),
    ("< a@x.y\t>", ["a@x.y"]),
    ("Ann <a@x.y>", ["a@x.y"]),
    ("Ann<a@x.y>", ["a@x.y"]),
    ("Ann B. Cole <a@x.y>", ["a@x.y"]),
    ("X <X@x.y>", ["X@x.y"]),
    ("[Team] Ann <a@x.y>", ["a@x.y"]),
    ('"Ann" <a@x.y>', ["a@x.y"]),
    ('"b@z.w" <a@x.y>', ["a@x.y"]),
    ('"b@z.w, c" <a@x.y>', ["a@x.y"]),
    ('"<b@z.w>" <a@x.y>', ["a@x.y"]),
    (r'"Ann \"B\" <b@z.w>" <a@x.y>', ["a@x.y"]),
    ("=?utf-8?q?x=40y=2Ez=2C?= <a@x.y>", ["a@x.y"]),
    ("Jürgen <a@x.y>", ["a@x.y"]),
    ("a@x.y, b@x.y", ["a@x.y", "b@x.y"]),
    ("a@x.y,b@x.y", ["a@x.y", "b@x.y"]),
    ("a@x.y,,b@x.y,", ["a@x.y", "b@x.y"]),
    (",", []),
    ("a@x.y, a@x.y", ["a@x.y", "a@x.y"]),
    ("Ann <a@x.y>, Bob <b@x.y>", ["a@x.y", "b@x.y"]),
    # Comments.
    ("a@x.y (Ann)", ["a@x.y"]),
    ("(Ann) a@x.y", ["a@x.y"]),
    ("a@x.y (Ann, b@z.w)", ["a@x.y"]),
    ("a@x.y (Ann (at (home)) <b@z.w>)", ["a@x.y"]),
    (r"a@x.y (\) b@z.w)", ["a@x.y"]),
    (r"a@x.y (\( b@z.w)", ["a@x.y"]),
    ("Ann (of) the <a@x.y> (sea)", ["a@x.y"]),
    ("(a@x.y)", []),
    ("Ann <a@x.y (Bob)>", ["a@x.y"]),
    ("Ann <(Bob) a@x.y>", ["a@x.y"]),
    ("(,) a@x.y (;), b@x.y", ["a@x.y", "b@x.y"]),
    # Groups.
    ("undisclosed-recipients:;", []),
    ("friends: a@x.y, Bob <b@x.y>;", ["a@x.y", "b@x.y"]),
    ("friends: a@x.y;, b@x.y", ["a@x.y", "b@x.y"]),
    ('"a, b": a@x.y;', ["a@x.y"]),
    ("g:,a@x.y,;", ["a@x.y"]),
    ("g: a@x.y; (gone), h: b@x.y;", ["a@x.y", "b@x.y"]),
    # Local parts.
    ('"a b"@x.y', ['"a b"@x.y']),
    ('"a@evil.example x"@good.example', ['"a@evil.example x"@good.example']),
    ('"foo@x> ORCPT=y"@d', ['"foo@x> ORCPT=y"@d']),
    ('<"foo@x> ORCPT=y"@d>', ['"foo@x> ORCPT=y"@d']),
    ('Ann <"a>b"@x.y>', ['"a>b"@x.y']),
    ('"a,b"@x.y, c@x.y', ['"a,b"@x.y', "c@x.y"]),
    (r'"a\"b"@x.y', [r'"a\"b"@x.y']),
    (r'"a\\"@x.y', [r'"a\\"@x.y']),
    ('"(a)"@x.y', ['"(a)"@x.y']),
    ("a..b@x.y", ['"a..b"@x.y']),
    ("a.@x.y", ['"a."@x.y']),
    ("o'brien+tag@x.y", ["o'brien+tag@x.y"]),
    ("jürgen@exämple.org", ["jürgen@exämple.org"]),
    # Domains.
    ("a@[192.0.2.1]", ["a@[192.0.2.1]"]),
    ("<a@[IPv6:::1]>", ["a@[IPv6:::1]"]),
    ("a@localhost", ["a@localhost"]),
]

BAD = [
    "a",
    "a@",
    "@x.y",
    "a b@x.y",
    "a@x.y b@x.y",
    "a@x.y b",
    "a@x.y; b@x.y",
    "a@x.y;",
    ";",
    "a@b@x.y",
    "<a@b>@x.y",
    "a@x.y <b@x.y>",
    "<a@x.y> b@x.y",
    "<a@x.y> Ann",
    "<a@x.y> <b@x.y>",
    "<a@x.y>>",
    "<<a@x.y>>",
    "<>",
    "Ann <>",
    "<a@x.y",
    "a@x.y>",
    "Ann <a@x.y, b@x.y>",
    "Ann <b@x.y;>",
    "Ann <a b@x.y>",
    "<@h1:a@x.y>",
    "<@h1,@h2:a@x.y>",
    "@h1:a@x.y",
    "a @x.y",
    "a@ x.y",
    "a(Ann)@x.y",
    "a@(Ann)x.y",
    "a@x.(Ann)y",
    "a@x .y",
    "a.b @ x.y",
    'a."b"@x.y',
    '"a".b@x.y',
    '"a""b"@x.y',
    '"a" "b"@x.y',
    '"a@x.y',
    "a@x.y (Ann",
    "a@x.y Ann)",
    ")",
    r"a@x.y (Ann\)",
    "g: h: a@x.y;;",
    "g: a@x.y",
    "g: a@x.y, b@x.y",
    ": a@x.y;",
    "g: a@x.y; b@x.y",
    "g: a@x.y;;",
    "b@x.y: a@x.y;",
    "<g>: a@x.y;",
    "a@x.y.",
    "a@.x.y",
    "a@-x.y",
    "a@x_.y_",
    "a@[x.y]",
    "a@[192.0.2.1",
    r"a\b@x.y",
    "a@x.y\\",
    "=?utf-8?q?a=40x=2Ey?=",
    "=?utf-8?q?a?=@x.y",
    "Ann <=?utf-8?q?a=0d=0aRSET?=@x.y>",
    '"=?utf-8?q?a?="@x.y',
    "a@=?utf-8?q?x?=.y",
    "a\x00@x.y",
    "a@x.y\r\nRCPT TO:<b@x.y>",
    "a@x.y\x0bb",
    "a@x.y\x7f",
    "a@x.y \x01",
]


def test_the_tables_have_more_than_sixty_addresses_each() -> None:
    assert len(GOOD) + len(BAD) > 120


@pytest.mark.parametrize(("text", "expected"), GOOD)
def test_a_list_of_addresses_is_read(text: str, expected: list[str]) -> None:
    addresses = parse_addresses(text)
    assert [str(address.mailbox) for address in addresses] == expected
    assert read(text) == ours(text)
    assert [text[address.start : address.end] for address in addresses] == [
        address.mailbox.domain for address in addresses
    ]


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_list_of_addresses_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_addresses(text)
    with pytest.raises(InvalidMessage, match="expected addresses in To, got ") as refusal:
        addresses_in("To", text)
    assert "\n" not in str(refusal.value)
    assert "\r" not in str(refusal.value)


REFUSALS = [
    ("g: a@x.y; b@x.y", "expected a comma behind a group, got 'b'"),
    ("g: h: a@x.y;;", "a colon where no group begins"),
    (": a@x.y;", "a colon where no group begins"),
    ("a@x.y;", "a semicolon where no group ends"),
    ("g: a@x.y", "a group without its end"),
    ("<a@x.y> Ann", "'Ann' where an address has ended"),
    ("a@x.y>", "'>' where an address has ended"),
    ("<a@x.y", "a < without its >"),
    ("a@x.y <b@x.y>", "an address before an address"),
    ("Ann <>", "nothing between < and >"),
    ("a b@x.y", "a space or a comment within 'a b@x.y'"),
    ("Ann <=?utf-8?q?a?=@x.y>", "an encoded word within '=?utf-8?q?a?=@x.y'"),
    ("a@x.y\x0bb", "'\\x0b' at character 5"),
    ("(" * 33 + ")" * 33, "comments are nested more than 32 deep"),
    ("a@x.y (Ann", "a comment without its end"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSALS)
def test_a_refusal_says_what_is_wrong_and_where(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as refusal:
        parse_addresses(text)
    assert str(refusal.value) == reason
    with pytest.raises(InvalidMessage) as invalid:
        addresses_in("Cc", text)
    assert str(invalid.value) == f"expected addresses in Cc, got {text!r}: {reason}"


def test_a_refusal_quotes_as_much_as_tells_what_it_is() -> None:
    with pytest.raises(InvalidMessage) as invalid:
        addresses_in("To", "a" * 300 + ";")
    assert str(invalid.value).startswith(f"expected addresses in To, got {'a' * 200!r}: a semicolon")


def assigned(text: str) -> Any:
    message = EmailMessage()
    message["To"] = text
    ((_, value),) = message.raw_items()
    return value


@pytest.mark.parametrize(
    ("text", "defect"),
    [
        ("a..b@x.y", "local-part is not dot-atom, quoted-string, or obs-local-part"),
        ("a.@x.y", "local-part is not dot-atom, quoted-string, or obs-local-part"),
        ("a . b@x.y", "local-part is not a dot-atom (contains CFWS)"),
        ("a@x . y", "domain is not a dot-atom (contains CFWS)"),
        ("<@z.w:a@x.y>", "obsolete route specification in angle-addr"),
        ("<b@z.w>@x.y", "invalid address in address-list"),
    ],
)
def test_what_the_other_parser_had_to_guess_at_goes_nowhere_though_both_read_the_same(text: str, defect: str) -> None:
    value = assigned(text)
    assert ours(str(value))
    with pytest.raises(InvalidMessage) as refusal:
        addresses_in("To", value)
    assert str(refusal.value) == (
        f"expected addresses in To, got {str(value)!r}: it can be read in more than one way: {defect}"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("John Q. Public <j@x.y>", ["j@x.y"]),
        ("Dr. Who <w@x.y>, John Jr. <j@x.y>", ["w@x.y", "j@x.y"]),
        ("a@x.y,,b@x.y", ["a@x.y", "b@x.y"]),
        (",a@x.y", ["a@x.y"]),
        ("a@x.y,(Ann),b@x.y", ["a@x.y", "b@x.y"]),
        ("g: a@x.y,,b@x.y;", ["a@x.y", "b@x.y"]),
        ("g:,;, a@x.y", ["a@x.y"]),
    ],
)
def test_a_dot_in_a_name_and_an_empty_element_are_obsolete_and_read_by_all_alike(
    text: str, expected: list[str]
) -> None:
    for written in (None, text):
        found = addresses_in("To", assigned(text), written)
        assert [str(address.mailbox) for address in found] == expected


def test_what_was_written_is_read_too_and_must_name_the_same_addresses() -> None:
    with pytest.raises(InvalidMessage) as refusal:
        addresses_in("To", assigned("a@x.y"), "b@x.y")
    assert str(refusal.value) == "expected addresses in To, got 'b@x.y': it can be read in more than one way"


ALPHABET = st.sampled_from(
    [*'ab.@,;:<>()[]"\\ \té', "a@b", "<a@b>", '"a b"', "(c)", "x.y", "g:", "=?utf-8?q?a?=", "[192.0.2.1]"]
)
TEXT = st.lists(ALPHABET, max_size=14).map("".join)


@given(TEXT)
def test_what_is_read_is_what_the_grammar_says(text: str) -> None:
    try:
        addresses = ours(text)
    except ValueError:
        return
    assert read(text) == addresses


@given(TEXT)
def test_two_parsers_read_the_same_or_the_address_goes_nowhere(text: str) -> None:
    message = EmailMessage()
    try:
        message["To"] = text
    except Exception:
        return  # the standard library's parser has failed
    ((_, value),) = message.raw_items()
    try:
        addresses = addresses_in("To", value)
    except InvalidMessage:
        return
    assert [(address.mailbox.local, address.mailbox.domain) for address in addresses] == [
        (address.username, address.domain) for address in message["To"].addresses
    ]


@pytest.mark.parametrize(("text", "expected"), [(text, found) for text, found in GOOD if text.isascii() and text])
def test_most_of_what_a_caller_assigns_is_read_as_it_was_written(text: str, expected: list[str]) -> None:
    try:
        addresses = addresses_in("To", assigned(text))
    except InvalidMessage:
        # These have defects that are no mere obsolete form.
        assert any(piece in text for piece in ("..", ".@", "["))
        return
    assert [str(address.mailbox) for address in addresses] == expected


@pytest.mark.parametrize(
    "bomb",
    [
        "(" * 100_000,
        "(" * 33 + ")" * 33 + "a@x.y",
        "." * 40_000,
        "a." * 40_000 + "@x.y",
        "<" * 100_000,
        '"' + "\\" * 100_001,
        '"' * 100_001,
        "[" * 100_000,
        "a:" * 50_000,
        ";" * 100_000,
        "(a)" * 30_000 + "@",
        " " * 100_000 + "@",
        "=?" * 50_000 + "@x.y",
        "=?a?" * 50_000 + "@x.y",
        "a@" * 50_000,
    ],
    ids=lambda bomb: f"{bomb[:6]!r}",
)
def test_a_bomb_is_refused_without_going_off(bomb: str) -> None:
    with pytest.raises(ValueError):
        parse_addresses(bomb)


@pytest.mark.parametrize(
    "many", ["a@x.y," * 20_000, "(" * 32 + ")" * 32 + "a@x.y", "," * 100_000, "a " * 50_000 + "<a@x.y>"]
)
def test_much_is_read_too(many: str) -> None:
    assert {str(address.mailbox) for address in parse_addresses(many)} <= {"a@x.y"}


def test_a_folded_value_is_unfolded() -> None:
    assert text_of("a@x.y,\r\n b@x.y,\n\tc@x.y") == "a@x.y, b@x.y,\tc@x.y"
    assert text_of(Header("a@x.y")) == "a@x.y"


def field_of(octets: bytes) -> Any:
    return dict(parsed(b"To: " + octets + b"\n\nx").raw_items())["To"]


def test_octets_of_utf_8_are_the_characters_they_are() -> None:
    assert text_of(field_of("bü@x.y".encode())) == "bü@x.y"
    assert [str(address.mailbox) for address in addresses_in("To", field_of("Ü <bü@x.y>".encode()))] == ["bü@x.y"]


@pytest.mark.parametrize("octets", [b"b\xff@x.y", b"b@x\xff.y", b"B\xfcb <b@x.y>"])
def test_octets_of_another_charset_go_nowhere(octets: bytes) -> None:
    with pytest.raises(InvalidMessage, match="expected addresses in To, got"):
        addresses_in("To", field_of(octets))


def test_what_an_encoded_word_says_is_no_encoded_word_again() -> None:
    value = assigned("=?utf-8?q?=3D=3Futf-8=3Fq=3Fx=3F=3D?= <a@x.y>, g: =?utf-8?q?=3D=3F=22=5C?= <b@x.y>, c@x.y;")
    assert text_of(value) == r""""=?utf-8?q?x?=" <a@x.y>, "g": "=?\"\\" <b@x.y>, c@x.y;"""
    assert [str(address.mailbox) for address in addresses_in("To", value)] == ["a@x.y", "b@x.y", "c@x.y"]


# What a field says, and how it is written


def said(text: str) -> list[tuple[str, str]] | None:
    found = said_in(text)
    return None if found is None else [(name, str(mailbox)) for name, mailbox in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a@x.y", [("", "a@x.y")]),
        ("<a@x.y> (Ann)", [("", "a@x.y")]),
        ("Ann B. Cole <a@x.y>", [("AnnB.Cole", "a@x.y")]),
        ('"Ann  B.\tCole" <a@x.y>', [("AnnB.Cole", "a@x.y")]),
        (r'"Ann \"B\"\\, Cole" <a@x.y>', [(r'Ann"B"\,Cole', "a@x.y")]),
        ("=?utf-8?q?Ann_=2C?= =?iso-8859-1?q?C=F6le?= <a@x.y>", [("Ann,Cöle", "a@x.y")]),
        ("=?utf-8?b?QW5uLA==?= B <a@x.y>", [("Ann,B", "a@x.y")]),
        ('"=?utf-8?q?Ann?=" <a@x.y>', [("=?utf-8?q?Ann?=", "a@x.y")]),
        ("=?x-none?q?Ann?= <a@x.y>", [("=?x-none?q?Ann?=", "a@x.y")]),
        ("=?utf-8?b?A?= <a@x.y>", [("=?utf-8?b?A?=", "a@x.y")]),
        ("=?utf-8?q?=FF?= <a@x.y>", [("=?utf-8?q?=FF?=", "a@x.y")]),
        ("x=?utf-8?q?Ann?= <a@x.y>", [("x=?utf-8?q?Ann?=", "a@x.y")]),
        (
            "g: Ann <a@x.y>, b@x.y;, Bob <b@x.y>, h: c@x.y;",
            [("gAnn", "a@x.y"), ("g", "b@x.y"), ("Bob", "b@x.y"), ("h", "c@x.y")],
        ),
        ("g:;", []),
        ("a@x.y b", None),
    ],
)
def test_a_list_says_names_and_mailboxes_however_they_are_spelled(
    text: str, expected: list[tuple[str, str]] | None
) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # What can be written as it is.
        ("a@x.y", "a@x.y"),
        (' "Smith, J" <a@x.y>,b@x.y,, (c) "c\\"d"@x.y ', '"Smith, J" <a@x.y>,b@x.y,, (c) "c\\"d"@x.y'),
        ("=?utf-8?q?Smith=2C_evil=40x=2Ey=2C?= <a@x.y>", "=?utf-8?q?Smith=2C_evil=40x=2Ey=2C?= <a@x.y>"),
        ("g: a@x.y;, h:;", "g: a@x.y;, h:;"),
        # Names.
        ("Jürgen <a@x.y>", "=?utf-8?q?J=C3=BCrgen?= <a@x.y>"),
        ("Jürgen<a@x.y>", "=?utf-8?q?J=C3=BCrgen?= <a@x.y>"),
        ('"Jürgen (x), \\"y\\"" <a@x.y>', "=?utf-8?b?SsO8cmdlbiAoeCksICJ5Ig==?= <a@x.y>"),
        ("Jürgen  Öz Smith <a@x.y>", "=?utf-8?q?J=C3=BCrgen_=C3=96z?= Smith <a@x.y>"),
        ("J. Öz. Smith <a@x.y>", "J. =?utf-8?q?=C3=96z=2E?= Smith <a@x.y>"),
        ('Ö"z" Smith <a@x.y>', "=?utf-8?q?=C3=96z?= Smith <a@x.y>"),
        ("X.Ö <a@x.y>", "=?utf-8?q?X=2E=C3=96?= <a@x.y>"),
        ("X Ö X Ö <a@x.y>", "X =?utf-8?q?=C3=96?= X =?utf-8?q?=C3=96?= <a@x.y>"),
        ("b@x.y, Ö <a@x.y>", "b@x.y, =?utf-8?q?=C3=96?= <a@x.y>"),
        ("Грета Гарбо <a@x.y>", "=?utf-8?b?0JPRgNC10YLQsCDQk9Cw0YDQsdC+?= <a@x.y>"),
        ("Ö\x85\u2028 <a@x.y>", "=?utf-8?b?w5bCheKAqA==?= <a@x.y>"),
        ("!*+-/=? Ö!*+-/=?_. <a@x.y>", "!*+-/=? =?utf-8?b?w5YhKistLz0/Xy4=?= <a@x.y>"),
        ("Öabcdefghijk!*+-/=?_. <a@x.y>", "=?utf-8?q?=C3=96abcdefghijk!*+-/=3D=3F=5F=2E?= <a@x.y>"),
        # Blanks between encoded words are not shown.
        ("=?utf-8?q?x?= Ö <a@x.y>", "=?utf-8?q?x?= =?utf-8?q?_=C3=96?= <a@x.y>"),
        ("Ö =?utf-8?q?x?= <a@x.y>", "=?utf-8?q?=C3=96_?= =?utf-8?q?x?= <a@x.y>"),
        ("Ö x =?utf-8?q?x?= Ö <a@x.y>", "=?utf-8?q?=C3=96?= x =?utf-8?q?x?= =?utf-8?q?_=C3=96?= <a@x.y>"),
        # Groups.
        ("Grüße: Ö <a@x.y>, b@x.y;", "=?utf-8?q?Gr=C3=BC=C3=9Fe?=: =?utf-8?q?=C3=96?= <a@x.y>, b@x.y;"),
        # Comments.
        ("a@x.y (Jürgen  Smith)", "a@x.y (=?utf-8?q?J=C3=BCrgen?= Smith)"),
        ("a@x.y (=?utf-8?q?x?= Ö)", "a@x.y (=?utf-8?q?x?= =?utf-8?q?_=C3=96?=)"),
        (
            "a@x.y (Öz (at home\\), \\(abcdefghijk) x)",
            "a@x.y (=?utf-8?q?=C3=96z_=28at_home=29=2C_=28abcdefghijk=29_x?=)",
        ),
        ("(Ö) a@x.y (ASCII (it) is)", "(=?utf-8?q?=C3=96?=) a@x.y (ASCII (it) is)"),
        ("Öz (Öz)Öz <a@x.y>", "=?utf-8?q?=C3=96z?= (=?utf-8?q?=C3=96z?=) =?utf-8?q?=C3=96z?= <a@x.y>"),
        # What looks like an encoded word between quotes.
        ('"=?utf-8?q?x?=" <"=?"@x.y>', '=?utf-8?b?PT91dGYtOD9xP3g/PQ==?= <"=?"@x.y>'),
        # What is no list of addresses.
        ("Jürgen Öz", "=?utf-8?q?J=C3=BCrgen_=C3=96z?="),
        ('foo, "Öz, b@x.y" <a@x.y>', "foo, =?utf-8?q?=C3=96z=2C_b=40x=2Ey?= <a@x.y>"),
        ('foo "Öz Öz <a@x.y>', 'foo "=?utf-8?q?=C3=96z?= =?utf-8?q?=C3=96z?= <a@x.y>'),
    ],
)
def test_addresses_are_written_as_they_are_and_names_and_comments_encoded(text: str, expected: str) -> None:
    assert write_addresses("To", text, utf8=False) == expected
    if '"=?' not in text:
        assert write_addresses("To", text, utf8=True) == text.strip()


def test_under_smtputf8_what_looks_like_an_encoded_word_between_quotes_is_encoded_too() -> None:
    assert write_addresses("To", '"=?Ö?=" <ö@x.y>', utf8=True) == "=?utf-8?b?PT/Dlj89?= <ö@x.y>"
    assert write_addresses("To", '"=?Ö?=" Ö <ö@x.y>', utf8=True) == "=?utf-8?b?PT/Dlj89?= Ö <ö@x.y>"


def test_lines_are_broken_between_words_and_encoded_words_are_not_longer_than_they_may_be() -> None:
    names = ["Гарбо" * 20, "Jürgen" + "smith" * 20, "word, " * 20]
    text = ", ".join(f'"{name}" <u@x.y>' for name in names)
    written = write_addresses("To", text, utf8=False)
    lines = f"To: {written}".split("\r\n")
    assert max(map(len, lines)) <= 78
    encoded = re.findall(r"=\?utf-8\?(.)\?([^?]*)\?=", written)
    lengths = {mark: [len(f"=?utf-8?{mark}?{word}?=") for of, word in encoded if of == mark] for mark in "bq"}
    assert (max(lengths["b"]), len(lengths["b"])) == (72, 5)
    assert (max(lengths["q"]), len(lengths["q"])) == (75, 2)
    assert said("".join(lines)[4:]) == [(name.replace(" ", ""), "u@x.y") for name in names]


def test_an_encoded_word_ends_with_a_word_that_is_encoded_where_there_is_one() -> None:
    assert write_addresses("To", f'"{"Jürgen Smith " * 8}" <a@x.y>', utf8=False).split() == [
        *["=?utf-8?q?J=C3=BCrgen_Smith_J=C3=BCrgen_Smith_J=C3=BCrgen_Smith_?="] * 2,
        *("=?utf-8?q?J=C3=BCrgen_Smith_J=C3=BCrgen_Smith_?=", "<a@x.y>"),
    ]


@pytest.mark.parametrize("utf8", [True, False])
def test_a_word_that_fits_in_no_line_is_encoded(utf8: bool) -> None:
    for quoted in ("x" * 900, '"' + "x" * 898 + '"'):
        assert write_addresses("To", f"{quoted} <a@x.y>", utf8=utf8) == f"{quoted} <a@x.y>".replace(" ", "\r\n ")
    for quoted in ("x" * 901, '"' + "x" * 899 + '"', "(" + "x" * 901 + ") " + "y" * 901):
        written = write_addresses("To", f"{quoted} <a@x.y>", utf8=utf8)
        assert "=?utf-8?q?xxx" in written or "=?utf-8?q?yyy" in written
        assert [mailbox for _, mailbox in said(text_of(written)) or ()] == ["a@x.y"]
    assert "=?" not in write_addresses("To", "ö" * 450 + " <ö@x.y>", utf8=True)
    assert "=?" in write_addresses("To", "ö" * 450 + "x <ö@x.y>", utf8=True)
    with pytest.raises(InvalidMessage) as refusal:
        write_addresses("To", f"{'x' * 1000}@x.y", utf8=utf8)
    assert str(refusal.value) == f"the header field To has a word that is too long for a line: {'x' * 200!r}"


NAMES = st.lists(
    st.sampled_from(
        [*'ab,;:"\\()<>@.=?_ é日\x85\u2028', "=?utf-8?q?x?=", "b@z.w", "<b@z.w>,", "word " * 5, "Grüße, " * 9]
    ),
    max_size=12,
).map("".join)


@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=4), st.booleans())
def test_whatever_the_names_and_comments_the_same_is_said(pairs: list[tuple[str, str]], utf8: bool) -> None:
    def quoted(text: str) -> str:
        return re.sub(r'(["\\()])', r"\\\1", text)

    text = ", ".join(
        f'"{quoted(name)}" <u{number}@x.y> ({quoted(comment)})' for number, (name, comment) in enumerate(pairs)
    )
    expected = [(name.replace(" ", ""), f"u{number}@x.y") for number, (name, _) in enumerate(pairs)]
    assert said(text) == expected
    written = write_addresses("To", text, utf8=utf8)
    assert said(text_of(written)) == expected
    assert utf8 or written.isascii()
    assert all(line[0] in " \t" for line in written.split("\r\n")[1:])


def test_the_reader_for_comparison_refuses_what_is_none() -> None:
    for text in ("a@x.y b@x.y", "a", "g: a@x.y", "<a@x.y", "a@x.y;"):
        assert read(text) is None
