import base64
import copy
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.sasl import Login, Mechanism, Password, Plain
from mailwire.sasl.external import ExternalMechanism
from mailwire.sasl.identities import External
from mailwire.sasl.oauth import XOAuth2
from mailwire.smtp import (
    Auth,
    Bdat,
    BdatLast,
    Command,
    Data,
    Ehlo,
    EndOfData,
    Expn,
    Extensions,
    Greeting,
    Helo,
    Help,
    Lhlo,
    Mail,
    Mailbox,
    Noop,
    Quit,
    Rcpt,
    Reply,
    Rset,
    StartTls,
    Vrfy,
)
from tests.sasl.secrecy import CANARY, KEEPERS, Keeper, assert_hidden

A, B = Mailbox("a", "example.org"), Mailbox("b", "example.net")
CREDENTIALS = Password("tim", "tanstaaftanstaaf")
CONTROLS = [chr(code) for code in (*range(0x20), 0x7F)]


WIRE: list[tuple[Command[object], bytes]] = [
    (Ehlo("mail.example.org"), b"EHLO mail.example.org\r\n"),
    (Ehlo("[192.0.2.1]"), b"EHLO [192.0.2.1]\r\n"),
    (Ehlo("[IPv6:2001:db8::1]"), b"EHLO [IPv6:2001:db8::1]\r\n"),
    (Helo("Z13"), b"HELO Z13\r\n"),
    (StartTls(), b"STARTTLS\r\n"),
    (Auth(Plain(CREDENTIALS)), b"AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n"),
    (Auth(Login(CREDENTIALS)), b"AUTH LOGIN\r\n"),
    (Mail(A), b"MAIL FROM:<a@example.org>\r\n"),
    (Mail(None), b"MAIL FROM:<>\r\n"),
    (Mail(A, {"SIZE": "392", "BODY": "8BITMIME"}), b"MAIL FROM:<a@example.org> SIZE=392 BODY=8BITMIME\r\n"),
    (Mail(A, {"SMTPUTF8": None}), b"MAIL FROM:<a@example.org> SMTPUTF8\r\n"),
    (Mail(None, {"RET": "HDRS"}), b"MAIL FROM:<> RET=HDRS\r\n"),
    (Mail(Mailbox("a b", "example.org")), b'MAIL FROM:<"a b"@example.org>\r\n'),
    (Rcpt(B), b"RCPT TO:<b@example.net>\r\n"),
    (Rcpt(B, {"NOTIFY": "NEVER"}), b"RCPT TO:<b@example.net> NOTIFY=NEVER\r\n"),
    (Rcpt(Mailbox("jürgen", "example.org")), "RCPT TO:<jürgen@example.org>\r\n".encode()),
    (Data(), b"DATA\r\n"),
    (Rset(), b"RSET\r\n"),
    (Noop(), b"NOOP\r\n"),
    (Quit(), b"QUIT\r\n"),
    (Vrfy("postmaster"), b"VRFY postmaster\r\n"),
    (Vrfy("jürgen"), "VRFY jürgen\r\n".encode()),
    (Expn("staff list"), b"EXPN staff list\r\n"),
    (Help(), b"HELP\r\n"),
    (Help("MAIL"), b"HELP MAIL\r\n"),
    (Vrfy("MAX"), b"VRFY MAX\r\n"),
    (Vrfy("MAX\u00a0"), "VRFY MAX\u00a0\r\n".encode()),
    (Bdat(5), b"BDAT 5\r\n"),
    (BdatLast(0), b"BDAT 0 LAST\r\n"),
]


@pytest.mark.parametrize(("command", "wire"), WIRE, ids=str)
def test_a_command_is_one_line(command: Command[object], wire: bytes) -> None:
    assert command.encode() == wire


@pytest.mark.parametrize(("command", "wire"), WIRE, ids=str)
def test_a_command_is_shown_as_it_is_on_the_wire_with_secrets_masked(command: Command[object], wire: bytes) -> None:
    expected = "AUTH PLAIN ****" if wire.startswith(b"AUTH PLAIN") else wire.decode().removesuffix("\r\n")
    assert str(command) == expected
    assert tuple(command.shown()) == (expected,)


# RFC 2920 3.1; for AUTH RFC 4954 4, for STARTTLS RFC 3207 4.
@pytest.mark.parametrize(
    ("kind", "ends_group", "stands_alone"),
    [
        (Mail, False, False),
        (Rcpt, False, False),
        (Rset, False, False),
        (EndOfData, False, False),
        (Greeting, True, False),
        (Ehlo, True, False),
        (Helo, True, False),
        (Data, True, False),
        (Vrfy, True, False),
        (Expn, True, False),
        (Help, True, False),
        (Noop, True, False),
        (Auth, True, False),
        (StartTls, True, True),
        (Quit, True, True),
        (Command, True, False),
    ],
)
def test_a_command_knows_how_it_may_stand_in_a_group(
    kind: type[Command[object]], ends_group: bool, stands_alone: bool
) -> None:
    assert (kind.ends_group, kind.stands_alone) == (ends_group, stands_alone)


def test_the_reply_to_ehlo_means_extensions_and_every_other_means_itself() -> None:
    reply = Reply(250, (b"example.org", b"SIZE 5"))
    for command, _ in WIRE:
        parsed = command.parse(reply)
        if isinstance(command, Ehlo):
            assert parsed == Extensions({"SIZE": ("5",)})
        else:
            assert parsed is reply


def test_the_greeting_and_the_end_of_data_are_never_on_the_wire_as_lines() -> None:
    for command, shown in ((Greeting(), "(the connection)"), (EndOfData(), ".")):
        assert str(command) == shown
        assert command.parse(Reply(250, (b"",))) == Reply(250, (b"",))
        with pytest.raises(AssertionError, match="does not say what it looks like on the wire"):
            command.encode()


# What no argument may hold


Making = Callable[[str], object]

DOMAINS: list[Making] = [Ehlo, Helo]
STRINGS: list[Making] = [Vrfy, Expn, Help]
PARAMETERS: list[Making] = [
    lambda text: Mail(A, {text: None}),
    lambda text: Mail(A, {text: "1"}),
    lambda text: Mail(A, {"SIZE": text}),
    lambda text: Mail(None, {"SIZE": "1", "BODY": text}),
    lambda text: Rcpt(B, {text: None}),
    lambda text: Rcpt(B, {text: "1"}),
    lambda text: Rcpt(B, {"NOTIFY": text}),
]
MAILBOXES: list[Making] = [
    lambda text: Mail(Mailbox(text, "example.org")),
    lambda text: Mail(Mailbox("a", text)),
    lambda text: Rcpt(Mailbox(text, "example.org")),
    lambda text: Rcpt(Mailbox("a", text)),
]


@pytest.mark.parametrize("make", [*DOMAINS, *STRINGS, *PARAMETERS, *MAILBOXES])
@pytest.mark.parametrize("form", ["{}ab", "a{}b", "ab{}", "{}", '"a{}b"', "a\\{}b"])
def test_no_control_character_passes_in_any_argument_of_any_command(make: Making, form: str) -> None:
    for control in CONTROLS:
        with pytest.raises(ValueError):
            make(form.format(control))


@pytest.mark.parametrize("make", [*DOMAINS, *STRINGS, *PARAMETERS, *MAILBOXES])
@pytest.mark.parametrize("text", ["a\r\nRSET", "a\nRSET", "a\rRSET", "a\r\n.\r\n", "\ud800", "a\udcffb"])
def test_no_argument_becomes_two_lines_or_what_cannot_be_encoded(make: Making, text: str) -> None:
    with pytest.raises(ValueError):
        make(text)


@pytest.mark.parametrize("make", DOMAINS)
@pytest.mark.parametrize(
    "name",
    ["", " ", "a b", " a", "a ", "a<b", "<a>", "a@b", "a.", ".a", "-a", "a" * 256, ".".join(["a"] * 200), "a/b", "[a]"],
)
def test_a_name_that_is_no_domain_is_refused(make: Making, name: str) -> None:
    with pytest.raises(ValueError):
        make(name)


@pytest.mark.parametrize("make", DOMAINS)
@pytest.mark.parametrize("name", ["exämple.org", "例子.广告", "a.\uff43om", "x\u00ad.org"])
def test_a_name_beyond_ascii_is_refused(make: Making, name: str) -> None:
    # RFC 6531 3.7.1: the client cannot know yet whether the server supports SMTPUTF8, so the name "MUST" be ASCII.
    with pytest.raises(ValueError) as refusal:
        make(name)
    assert str(refusal.value) == f"expected our name in ASCII (A-labels for other scripts), got {name!r}"


def test_a_refused_argument_is_named_by_its_command() -> None:
    with pytest.raises(ValueError, match=r"^the argument of VRFY must not hold control characters \(CR, LF, NUL"):
        Vrfy("a\nb")


@pytest.mark.parametrize("text", ["b@example.org> NOTIFY=NEVER", "b@example.org", "", b"b@example.org"])
def test_text_is_no_mailbox_before_it_was_read(text: Any) -> None:
    for make, expected in ((Mail, "the sender to be a Mailbox or None"), (Rcpt, "the recipient to be a Mailbox")):
        with pytest.raises(ValueError, match=f"^expected {expected}, got {re.escape(repr(text))} "):
            make(text)


def test_rcpt_has_a_recipient() -> None:
    with pytest.raises(ValueError, match=r"^expected the recipient to be a Mailbox, got None \(NoneType\)$"):
        Rcpt(cast(Any, None))


@pytest.mark.parametrize("argument", [b"mail.example.org", None, 5])
@pytest.mark.parametrize("make", [*DOMAINS, Lhlo, *STRINGS, Noop])
def test_what_is_no_text_is_no_argument(make: Callable[[Any], object], argument: object) -> None:
    with pytest.raises(ValueError, match=r"^expected (our name|the argument of [A-Z]{4}) to be text, got "):
        make(argument)


@pytest.mark.parametrize("keyword", ["", " ", "-X", "SIZE=1", "SIZE 1", "X Y", "X>", "X\t", "é", "X_Y", "X.Y", "X=1 Y"])
def test_a_parameter_name_is_letters_digits_and_hyphens(keyword: str) -> None:
    for value in (None, "1"):
        with pytest.raises(ValueError, match="expected a parameter name of letters, digits and hyphens, got"):
            Mail(A, {keyword: value})
        with pytest.raises(ValueError, match="expected a parameter name of letters, digits and hyphens, got"):
            Rcpt(B, {keyword: value})


@pytest.mark.parametrize("value", ["", " ", "1 ", " 1", "1 BODY=8BITMIME", "a=b", "=", "1\tX", "1\u0085", "rfc822;a b"])
def test_the_value_of_a_parameter_has_no_space_and_no_equals_sign(value: str) -> None:
    for command in (lambda: Mail(A, {"ENVID": value}), lambda: Rcpt(B, {"ORCPT": value})):
        with pytest.raises(ValueError, match=r"the value of (ENVID|ORCPT) must be printable, without spaces and '='"):
            command()


def test_of_all_octets_the_printable_ones_but_the_equals_sign_may_stand_in_a_value() -> None:
    for code in range(0x180):
        allowed = (0x21 <= code <= 0x7E and code != 0x3D) or code >= 0xA0
        try:
            line = Mail(A, {"X": f"a{chr(code)}b"}).encode()
        except ValueError:
            assert not allowed, hex(code)
        else:
            assert allowed, hex(code)
            assert line == f"MAIL FROM:<a@example.org> X=a{chr(code)}b\r\n".encode()


@pytest.mark.parametrize(
    "address",
    ['"foo@x> ORCPT=admin@admin.com"@test.com', '"a> SIZE=1"@b.org', '"a>\\" <b"@c.org', '"x@y>@z> BODY=7BIT"@w.org'],
)
def test_a_quoted_local_part_smuggles_no_parameter(address: str) -> None:
    mailbox = Mailbox.parse(address)
    for line in (Mail(mailbox, {"SIZE": "5"}).encode(), Rcpt(mailbox, {"SIZE": "5"}).encode()):
        assert read_line(line)[1:] == (mailbox.local, mailbox.domain, {"SIZE": "5"})


@pytest.mark.parametrize("kind", [Mail, Rcpt])
def test_a_command_with_parameters_is_a_value(kind: Callable[..., Command[object]]) -> None:
    command = kind(A, {"SIZE": "1", "SMTPUTF8": None})
    assert hash(command) == hash(kind(A, {"SMTPUTF8": None, "SIZE": "1"}))
    for twin in (pickle.loads(pickle.dumps(command)), copy.copy(command), copy.deepcopy(command)):
        assert twin == command
        assert twin.encode() == command.encode()
    assert kind(A) == kind(A, {}) != command
    assert repr(kind(A, {"SIZE": "1"})).endswith("parameters={'SIZE': '1'})")


@pytest.mark.parametrize("kind", [Mail, Rcpt])
def test_parameters_changed_afterwards_do_not_change_the_command(kind: Callable[..., Command[object]]) -> None:
    parameters: dict[str, str | None] = {"SIZE": "1"}
    command = kind(A, parameters)
    wire = command.encode()
    parameters["X"] = "2"
    assert command.encode() == wire


# The strict reader of a server: verb, path and parameters, by the grammar of RFC 5321 4.1.1.2, 4.1.2.


def read_line(line: bytes) -> tuple[str, str, str, dict[str, str | None]]:
    assert line.endswith(b"\r\n")
    text = line[:-2].decode()
    assert not any(character in text for character in CONTROLS)
    verb, _, rest = text.partition("<")
    local, place = "", 0
    if rest.startswith('"'):
        place = 1
        while rest[place] != '"':
            place += rest[place] == "\\"
            local += rest[place]
            place += 1
        place += 1
    else:
        while rest[place] not in '@>"\\ <(),:;[]':
            local += rest[place]
            place += 1
    assert rest[place] == "@"
    domain, _, words = rest[place + 1 :].partition(">")
    assert not set(domain) & set('<>@" ()\\,;')
    parameters: dict[str, str | None] = {}
    if words:
        assert words.startswith(" ")
        for word in words[1:].split(" "):
            keyword, equals, value = word.partition("=")
            assert keyword
            assert all(character.isalnum() or character == "-" for character in keyword)
            assert keyword not in parameters
            assert "=" not in value
            assert bool(value) == bool(equals)
            parameters[keyword] = value if equals else None
    return verb, local, domain, parameters


keywords = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,10}", fullmatch=True)
values = st.none() | st.text(st.sampled_from("".join(map(chr, range(0x21, 0x7F))).replace("=", "")), min_size=1)
locals_ = st.text(
    st.sampled_from('ab.@"\\ <>=é') | st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30
)


parameters_ = st.dictionaries(keywords, values, max_size=4).filter(
    lambda given: len({*map(str.upper, given)}) == len(given)
)


@given(locals_, parameters_, st.sampled_from([(Mail, "MAIL FROM:"), (Rcpt, "RCPT TO:")]))
def test_a_strict_server_reads_back_exactly_what_was_meant(
    local: str, parameters: Mapping[str, str | None], kind: tuple[Callable[..., Command[object]], str]
) -> None:
    make, verb = kind
    line = make(Mailbox(local, "example.org"), parameters).encode()
    assert read_line(line) == (verb, local, "example.org", parameters)


arguments = st.text(max_size=20) | st.text(st.sampled_from("a .\r\n\0\t<>@=é"), max_size=10)


@given(st.sampled_from([*DOMAINS, *STRINGS, *PARAMETERS, *MAILBOXES]), arguments)
def test_any_argument_is_one_line_or_a_value_error(make: Making, text: str) -> None:
    try:
        command = make(text)
    except ValueError:
        return
    assert isinstance(command, Command)
    line = command.encode()
    assert line.endswith(b"\r\n")
    assert not set(line[:-2]) & set(map(ord, CONTROLS))


# AUTH


def test_auth_is_at_most_512_octets_long() -> None:
    assert len(Auth(Plain(Password("tim", "p" * 367))).encode()) == 509
    assert Auth(Plain(Password("tim", "p" * 368))).encode() == b"AUTH PLAIN\r\n"
    for length in range(340, 400):
        line = Auth(Plain(Password("tim", "p" * length))).encode()
        whole = b"AUTH PLAIN " + base64.b64encode(b"\0tim\0" + b"p" * length) + b"\r\n"
        assert line == (whole if len(whole) <= 512 else b"AUTH PLAIN\r\n")


@pytest.mark.parametrize("mechanism", [Plain(CREDENTIALS), XOAuth2("tim", "token"), ExternalMechanism(External())])
def test_an_initial_response_may_be_left_to_be_asked_for(mechanism: Mechanism) -> None:
    command = Auth(mechanism, sends_initial_response=False)
    assert command.encode() == f"AUTH {mechanism.name}\r\n".encode()
    assert str(command) == f"AUTH {mechanism.name}"
    message = base64.b64encode(mechanism.initial_response() or b"")
    assert command.exchange.respond(b"") == message + b"\r\n"


def test_xoauth2_says_all_in_one_line_unless_it_is_told_otherwise() -> None:
    message = base64.b64encode(b"user=tim\1auth=Bearer token\1\1")
    assert Auth(XOAuth2("tim", "token")).encode() == b"AUTH XOAUTH2 " + message + b"\r\n"


@pytest.mark.parametrize("keeper", KEEPERS.values(), ids=list(KEEPERS))
def test_auth_never_shows_its_secret(keeper: Keeper) -> None:
    command = Auth(keeper.make(), keeper.sends_initial_response)
    assert repr(command) == "Auth()"
    assert_hidden(CANARY, command, [command], command.shown(), command.exchange, command.mechanism)


# Commands of one's own


@dataclass(frozen=True, slots=True)
class XClient(Command[str]):
    """XCLIENT, as somebody outside would write it."""

    name: str

    def encode(self) -> bytes:
        return f"XCLIENT NAME={self.name}\r\n".encode()

    def parse(self, reply: Reply) -> str:
        return reply.text


def test_a_command_of_ones_own_says_how_it_looks_and_what_its_reply_means() -> None:
    command = XClient("spike.example.org")
    assert str(command) == "XCLIENT NAME=spike.example.org"
    assert command.parse(Reply(220, (b"ready",))) == "ready"
    assert command.ends_group


def test_a_command_that_says_neither_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="Command does not say what it looks like on the wire"):
        Command[object]().encode()
    with pytest.raises(AssertionError, match="Command does not say what its reply means"):
        Command[object]().parse(Reply(250, (b"",)))


def test_commands_are_values_and_exchanges_are_not() -> None:
    assert Mail(A) == Mail(Mailbox.parse("a@example.org")) != Mail(B)
    assert Mail(A, {"SIZE": "1"}) != Mail(A)
    assert Noop() == Noop()
    assert hash(Rset()) == hash(Rset())
    assert EndOfData() != EndOfData()
    mechanism = Plain(CREDENTIALS)
    assert Auth(mechanism) != Auth(mechanism)
    with pytest.raises(AttributeError):
        Helo("a").domain = "b"  # type: ignore[misc]
