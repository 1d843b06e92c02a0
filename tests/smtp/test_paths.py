import copy
import pickle
import string
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.smtp import Mailbox
from mailwire.smtp.paths import NULL_PATH, check_domain

ATEXT = frozenset((string.ascii_letters + string.digits + "!#$%&'*+-/=?^_`{|}~").encode())
CONTROLS = [chr(code) for code in (*range(0x20), 0x7F)]


# A strict reader of what stands between < and >, as a server would have it (RFC 5321 4.1.2, RFC 6531 3.3), written
# from the grammar, octet by octet.


def read_path(path: bytes) -> tuple[str, str]:
    local = bytearray()
    place = 0
    if path[:1] == b'"':
        place = 1
        while path[place] != 0x22:
            if path[place] == 0x5C:
                place += 1
            assert path[place] >= 0x20, "a control in a quoted string"
            assert path[place] != 0x7F, "a control in a quoted string"
            local.append(path[place])
            place += 1
        place += 1
    else:
        while path[place] != 0x40:
            octet = path[place]
            if octet == 0x2E:
                assert local, "a dot first"
                assert path[place - 1] != 0x2E, "two dots"
                assert path[place + 1] != 0x40, "a dot last"
            else:
                assert octet in ATEXT or octet >= 0x80, "no atext"
            local.append(octet)
            place += 1
    assert path[place] == 0x40, "no @ behind the local part"
    domain = path[place + 1 :]
    assert local
    assert domain
    if domain[:1] == b"[":
        assert domain[-1:] == b"]"
        assert not set(domain[1:-1]) & set(b"[]\\ <>@\x7f")
    else:
        for label in domain.split(b"."):
            assert 1 <= len(label) <= 63
            for octet in label:
                assert octet >= 0x80 or chr(octet).isalnum() or chr(octet) in "-_", "no domain"
            assert not label.startswith(b"-")
            assert not label.endswith(b"-")
    return local.decode(), domain.decode()


LONG_LABEL = "a" * 63
LONGEST_DOMAIN = ".".join([LONG_LABEL, LONG_LABEL, LONG_LABEL, "a" * 61])

GOOD = [
    ("a@b", "a", "b"),
    ("theogus@geii.fr", "theogus", "geii.fr"),
    ("A.B@Example.ORG", "A.B", "Example.ORG"),
    ("a+tag@example.org", "a+tag", "example.org"),
    ("!#$%&'*+-/=?^_`{|}~@example.org", "!#$%&'*+-/=?^_`{|}~", "example.org"),
    ("user%host@example.org", "user%host", "example.org"),
    ("host!user@example.org", "host!user", "example.org"),
    ("1@1", "1", "1"),
    ("a@1.2.3.4", "a", "1.2.3.4"),
    ("a@a-b.c-d", "a", "a-b.c-d"),
    ("a@my_host.example", "a", "my_host.example"),
    ("a@xn--exmple-cua.org", "a", "xn--exmple-cua.org"),
    ("a@" + LONGEST_DOMAIN, "a", LONGEST_DOMAIN),
    ("x" * 100 + "@example.org", "x" * 100, "example.org"),
    # Dots where the grammar has none: such mailboxes exist.
    (".a@example.org", ".a", "example.org"),
    ("a.@example.org", "a.", "example.org"),
    ("a..b@example.org", "a..b", "example.org"),
    # Quoted strings. What they hold is a local part and nothing else.
    ('"a"@example.org', "a", "example.org"),
    ('"a b"@example.org', "a b", "example.org"),
    ('" "@example.org', " ", "example.org"),
    ('"a@b"@example.org', "a@b", "example.org"),
    ('"xclow3n@gmail.com x"@internal.domain', "xclow3n@gmail.com x", "internal.domain"),
    ('"foo@x> ORCPT=admin@admin.com"@test.com', "foo@x> ORCPT=admin@admin.com", "test.com"),
    (r'"a\"b"@example.org', 'a"b', "example.org"),
    (r'"a\\b"@example.org', "a\\b", "example.org"),
    (r'"a\\"@example.org', "a\\", "example.org"),
    (r'"\a\b"@example.org', "ab", "example.org"),
    (r'"\"a"@example.org', '"a', "example.org"),
    (r'"\\"@example.org', "\\", "example.org"),
    (r'"a\"@b"@example.org', 'a"@b', "example.org"),
    ('"@"@example.org', "@", "example.org"),
    ('"<>()[],;:"@example.org', "<>()[],;:", "example.org"),
    ('"a..b"@example.org', "a..b", "example.org"),
    # Address literals.
    ("a@[192.0.2.1]", "a", "[192.0.2.1]"),
    ("a@[IPv6:2001:db8::1]", "a", "[IPv6:2001:db8::1]"),
    ("a@[ipv6:::1]", "a", "[ipv6:::1]"),
    ("a@[IPv6:::ffff:192.0.2.1]", "a", "[IPv6:::ffff:192.0.2.1]"),
    ("a@[x-tag:content]", "a", "[x-tag:content]"),
    # Beyond ASCII: byte-exact, never folded.
    ("jürgen@example.org", "jürgen", "example.org"),
    ("a@faß.de", "a", "faß.de"),
    ("用户@例子.广告", "用户", "例子.广告"),
    ("a@\uff45xample.org", "a", "\uff45xample.org"),
    ("a@ex\u00adample.org", "a", "ex\u00adample.org"),
    ("ü@ü", "ü", "ü"),
]

BAD = [
    "",
    "@",
    "a",
    "a@",
    "@b",
    "a@b@c",
    "a@b@",
    "a@@b",
    "a b@example.org",
    " a@example.org",
    "a@example.org ",
    "a@ example.org",
    "a @example.org",
    "<a@example.org>",
    "Name <a@example.org>",
    "a@example.org, b@example.org",
    "a(comment)@example.org",
    "a@example.org(comment)",
    "a@(comment)example.org",
    "@relay.example:a@example.org",
    "@one,@two:a@example.org",
    "a:b@example.org",
    "a;b@example.org",
    "a,b@example.org",
    "a\\b@example.org",
    'a"b@example.org',
    'a"b"@example.org',
    'a."b"@example.org',
    '"a".b@example.org',
    '"a"b@example.org',
    '"a"xexample.org',
    '"a" @example.org',
    '"a@example.org',
    '"a"',
    '"a"@',
    '"',
    '"a\\',
    '"a\\"@example.org',
    '""@example.org',
    '"a"@b@c',
    '"a"@"b"',
    ".@example.org",
    "..@example.org",
    "a@.example.org",
    "a@example.org.",
    "a@example..org",
    "a@-example.org",
    "a@example-.org",
    "a@_example.org",
    "a@exa mple.org",
    "a@example.org>",
    "a@example.org> ORCPT=b@c",
    "a@exam<ple.org",
    "a@example.org:25",
    "a@example,org",
    "a@" + "a" * 64 + ".org",
    "a@" + LONGEST_DOMAIN + "a",
    "a@" + "é" * 32 + ".org",
    "a@[192.0.2.1",
    "a@[192.0.2.11",
    "a@192.0.2.1]",
    "a@[192.0.2]",
    "a@[192.0.2.256]",
    "a@[192.0.2.01]",
    "a@[١٩٢.0.2.1]",
    "a@[]",
    "a@[example.org]",
    "a@[IPv6:]",
    "a@[IPv6:fe80::1%eth0]",
    "a@[IPv6:::g]",
    "a@[IPv6:1.2.3.4]",
    "a@[2001:db8::1]x",
    "a@[tag:a]b]",
    "a@[tag:a\\b]",
    "a@[tag:a b]",
    "a@[tag:]",
    "a@[-:a]",
    "a@[:a]",
    "a@[tag-:a]",
    "\ud800@example.org",
    "a@\ud800.org",
    '"\ud800"@example.org',
    "a" * 2048 + "@example.org",
    "a\u2028\n@example.org",
]


def test_the_table_has_at_least_sixty_addresses() -> None:
    assert len(GOOD) + len(BAD) > 60


@pytest.mark.parametrize(("address", "local", "domain"), GOOD)
def test_an_address_is_a_local_part_and_a_domain(address: str, local: str, domain: str) -> None:
    mailbox = Mailbox.parse(address)
    assert (mailbox.local, mailbox.domain) == (local, domain)
    assert read_path(mailbox.encode()) == (local, domain)
    assert Mailbox.parse(str(mailbox)) == mailbox


@pytest.mark.parametrize("address", BAD)
def test_what_is_no_address_is_refused_with_a_quotation(address: str) -> None:
    with pytest.raises(ValueError, match=r"^expected an address like name@example\.org, got ") as refusal:
        Mailbox.parse(address)
    assert repr(address[:320]) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("address", ["a" * 100_000, "a@" + "b" * 100_000, '"' + "\0" * 100_000, "é" * 100_000 + "@b"])
def test_an_address_that_goes_on_and_on_is_quoted_from_its_beginning(address: str) -> None:
    with pytest.raises(ValueError) as refusal:
        Mailbox.parse(address)
    assert repr(address[:320]) in str(refusal.value)
    assert f"({len(address)} characters)" in str(refusal.value)
    assert len(str(refusal.value)) < 2500


@pytest.mark.parametrize("address", [None, b"a@example.org", ["a@example.org"], 5], ids=repr)
def test_what_is_no_text_is_no_address(address: Any) -> None:
    with pytest.raises(ValueError) as refusal:
        Mailbox.parse(address)
    got = f"{address!r} ({type(address).__name__})"
    assert str(refusal.value) == f"expected an address as text, like name@example.org, got {got}"


@pytest.mark.parametrize(("local", "domain", "got"), [(b"a", "b", "b'a' (bytes)"), ("a", None, "None (NoneType)")])
def test_a_mailbox_is_made_of_text(local: Any, domain: Any, got: str) -> None:
    with pytest.raises(ValueError) as refusal:
        Mailbox(local, domain)
    assert str(refusal.value) == f"expected a local part and a domain as text, got {got}"


def test_an_address_of_common_length_is_quoted_whole() -> None:
    for length, shown in ((320, repr("a" * 320)), (321, f"{'a' * 320!r}... (321 characters)")):
        with pytest.raises(ValueError) as refusal:
            Mailbox.parse("a" * length)
        assert str(refusal.value) == (
            f"expected an address like name@example.org, got {shown}: "
            "a local part with other characters must stand in double quotes"
        )


def test_the_first_sign_behind_a_plain_local_part_begins_the_domain() -> None:
    with pytest.raises(ValueError, match=r"expected a domain name .*, got 'b@example\.org'$"):
        Mailbox.parse("a@b@example.org")


def test_a_refusal_says_what_is_wrong() -> None:
    with pytest.raises(
        ValueError, match=r": an address must not hold control characters \(CR, LF, NUL, \.\.\.\), got b"
    ):
        Mailbox.parse('"a\nb"@example.org')
    with pytest.raises(ValueError, match=r": the quoted local part does not end in a double quote followed by @$"):
        Mailbox.parse('"a"b@example.org')


@pytest.mark.parametrize(
    ("local", "written"),
    [
        ("a", "a@example.org"),
        ("a.b", "a.b@example.org"),
        ("a..b", '"a..b"@example.org'),
        (".a", '".a"@example.org'),
        ("a.", '"a."@example.org'),
        ("a b", '"a b"@example.org'),
        ('a"b', r'"a\"b"@example.org'),
        ("a\\b", r'"a\\b"@example.org'),
        ('"a"', r'"\"a\""@example.org'),
        ("a@b", '"a@b"@example.org'),
        ("a>b", '"a>b"@example.org'),
        ("é", "é@example.org"),
        ("é é", '"é é"@example.org'),
    ],
)
def test_a_local_part_is_quoted_by_our_own_rules(local: str, written: str) -> None:
    mailbox = Mailbox(local, "example.org")
    assert str(mailbox) == written
    assert mailbox.encode() == written.encode()
    assert read_path(mailbox.encode()) == (local, "example.org")


@pytest.mark.parametrize("control", CONTROLS, ids=repr)
@pytest.mark.parametrize("local", ["{}ab", "a{}b", "ab{}", "{}"])
def test_no_control_character_passes_in_a_local_part(control: str, local: str) -> None:
    text = local.format(control)
    for make in (
        lambda: Mailbox(text, "example.org"),
        lambda: Mailbox.parse(f"{text}@example.org"),
        lambda: Mailbox.parse(f'"{text}"@example.org'),
        lambda: Mailbox.parse(f'"\\{text}"@example.org'),
    ):
        with pytest.raises(ValueError):
            make()


@pytest.mark.parametrize("control", CONTROLS, ids=repr)
@pytest.mark.parametrize(
    "domain", ["{}example.org", "exa{}mple.org", "example.org{}", "{}", "[{}192.0.2.1]", "[192.0.2.1{}]", "[tag:a{}b]"]
)
def test_no_control_character_passes_in_a_domain(control: str, domain: str) -> None:
    text = domain.format(control)
    for make in (
        lambda: check_domain(text),
        lambda: Mailbox("a", text),
        lambda: Mailbox.parse(f"a@{text}"),
        lambda: Mailbox.parse(f'"a"@{text}'),
    ):
        with pytest.raises(ValueError):
            make()


@pytest.mark.parametrize(("local", "domain"), [("", "example.org"), ("a", ""), ("", ""), ("a", "b@c"), ("a", "b c")])
def test_a_mailbox_that_is_none_in_any_spelling_is_refused(local: str, domain: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a (local part|domain name)"):
        Mailbox(local, domain)


def test_an_address_may_be_as_long_as_the_limit_and_no_longer() -> None:
    longest = "a" * (2048 - len("@example.org"))
    assert len(Mailbox(longest, "example.org").encode()) == 2048
    with pytest.raises(ValueError, match="an address has at most 2048 octets, got 2049"):
        Mailbox(longest + "a", "example.org")
    # It is the octets on the wire that count: quotes, backslashes and UTF-8 among them.
    with pytest.raises(ValueError, match="at most 2048 octets"):
        Mailbox('"' * 1024, "example.org")
    with pytest.raises(ValueError, match="at most 2048 octets"):
        Mailbox("é" * 1024, "example.org")


@pytest.mark.parametrize("address", ["a@b", '"a b"@b', "a@[192.0.2.1]"])
def test_an_ascii_mailbox_needs_no_smtputf8(address: str) -> None:
    assert Mailbox.parse(address).is_ascii


@pytest.mark.parametrize("address", ["é@b", "a@é", '"é b"@b', "é@é"])
def test_a_mailbox_beyond_ascii_needs_smtputf8(address: str) -> None:
    assert not Mailbox.parse(address).is_ascii


def test_a_mailbox_is_a_value() -> None:
    assert Mailbox.parse('"a"@b') == Mailbox.parse("a@b") == Mailbox("a", "b")
    assert hash(Mailbox("a", "b")) == hash(Mailbox.parse("a@b"))
    assert Mailbox("a", "B") != Mailbox("a", "b")


@pytest.mark.parametrize("address", ["a@example.org", '"a b"@example.org', "jörg@bücher.example"])
def test_a_mailbox_can_be_pickled_and_copied(address: str) -> None:
    mailbox = Mailbox.parse(address)
    for other in (pickle.loads(pickle.dumps(mailbox)), copy.deepcopy(mailbox), replace(mailbox)):
        assert other == mailbox
        assert (str(other), other.encode(), other.is_ascii) == (str(mailbox), mailbox.encode(), mailbox.is_ascii)


def test_the_null_path_is_empty() -> None:
    assert NULL_PATH == b"<>"


@pytest.mark.parametrize("domain", ["localhost", "Z13", "a.b-c.d", "[127.0.0.1]", "[IPv6:::1]", LONGEST_DOMAIN])
def test_a_domain_or_an_address_literal_is_returned_as_it_is(domain: str) -> None:
    assert check_domain(domain) is domain


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        ("a" * 64, "labels of letters, digits and hyphens, at most 63 octets each"),
        ("a" * 300, "a domain has at most 253 octets, got 300: 'aaaa"),
        ("a" * 80 + "é" * 100, f"got 180: '{'a' * 80}'\\.\\.\\.$"),
        ("", "expected a domain name"),
        ("a b", "got 'a b'"),
        ("[1.2.3]", r"expected an address literal such as \[192\.0\.2\.1\] or \[IPv6:2001:db8::1\], got '\[1\.2\.3\]'"),
    ],
)
def test_what_is_no_domain_is_refused_and_quoted(domain: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_domain(domain)


def test_an_address_literal_has_at_most_as_many_octets_as_a_domain() -> None:
    with pytest.raises(ValueError):
        check_domain("[tag:" + "a" * 100_000 + "]")


# A-labels


@pytest.mark.parametrize(
    ("domain", "encoded"),
    [
        ("exämple.org", "xn--exmple-cua.org"),
        ("Exämple.ORG", "XN--exmple-cua.org"),
        ("ü.ü", "xn--tda.xn--tda"),
        ("ü", "xn--tda"),
    ],
)
def test_a_domain_beyond_ascii_becomes_what_the_encoder_makes_of_it(domain: str, encoded: str) -> None:
    mailbox = Mailbox("Ä b", domain).with_a_labels({domain: encoded}.__getitem__)
    assert mailbox == Mailbox("Ä b", encoded)
    assert read_path(mailbox.encode()) == ("Ä b", encoded)


@pytest.mark.parametrize("domain", ["example.org", "[192.0.2.1]", "xn--tda"])
def test_a_domain_in_ascii_is_shown_to_no_encoder(domain: str) -> None:
    mailbox = Mailbox("ä", domain)
    unused: dict[str, str] = {}
    assert mailbox.with_a_labels(unused.__getitem__) is mailbox


@pytest.mark.parametrize(
    "encoded",
    [
        *("", "fass.de", "faß.de", "xn--fa-hia", "xn--fa-hia.de.", "xn--fa-hia.evil.de", "xn--fa-hia.com", "de"),
        *("xn--fa-hia.de\r\n", "xn-fa.de", "xn--.de", f"xn--{'a' * 60}.de", "xn--a b.de", "xn--fa-hia>.de", "xn--ß.de"),
    ],
)
def test_what_the_encoder_gives_must_be_a_labels_of_the_same_labels(encoded: str) -> None:
    with pytest.raises(ValueError) as caught:
        Mailbox("a", "faß.de").with_a_labels(lambda _: encoded)
    # What is made of A-labels and is no domain all the same, is told as such.
    assert str(caught.value) == f"expected A-labels for 'faß.de', got {encoded!r}" or "a domain name" in str(
        caught.value
    )


def test_an_encoder_that_fails_is_a_value_error() -> None:
    def encode(domain: str) -> str:
        raise LookupError("no such script")

    with pytest.raises(ValueError, match="'ü' cannot be written in A-labels: no such script"):
        Mailbox("a", "ü").with_a_labels(encode)


local_parts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=CONTROLS), min_size=1, max_size=60)
labels = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,20}[A-Za-z0-9])?", fullmatch=True)
domains = st.lists(labels, min_size=1, max_size=4).map(".".join) | st.ip_addresses(v=4).map("[{}]".format)


@given(local_parts, domains)
def test_a_strict_server_reads_back_exactly_the_mailbox(local: str, domain: str) -> None:
    mailbox = Mailbox(local, domain)
    assert read_path(mailbox.encode()) == (local, domain)
    assert Mailbox.parse(str(mailbox)) == mailbox


@given(st.text(st.sampled_from('a.@"\\ <>é[]:') | st.characters(), max_size=30))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        mailbox = Mailbox.parse(text)
    except ValueError:
        return
    assert read_path(mailbox.encode()) == (mailbox.local, mailbox.domain)
