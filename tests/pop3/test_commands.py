import base64
import hashlib
import pickle
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, assert_type

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailwire.pop3 import (
    Apop,
    Auth,
    Capa,
    Capabilities,
    Command,
    Dele,
    DropListing,
    Greeting,
    Lang,
    Last,
    List,
    Noop,
    Pass,
    Quit,
    Response,
    Retr,
    Rset,
    ScanListing,
    Stat,
    Stls,
    Top,
    Uidl,
    UniqueIdListing,
    User,
    Utf8,
)
from mailwire.sasl import Login, Mechanism, Password, Plain
from mailwire.sasl.external import ExternalMechanism
from mailwire.sasl.identities import External
from mailwire.sasl.oauth import OAuthBearer, XOAuth2
from tests.pop3.sessions import CANARY, CREDENTIALS, EVERY_COMMAND, TIMESTAMP, Language
from tests.sasl import secrecy
from tests.sasl.secrecy import KEEPERS, Keeper, assert_hidden, said_back

CONTROLS = [chr(code) for code in (*range(0x20), 0x7F)]

# What a secret may look like once it has been through an encoding.
TRACES = [
    CANARY,
    base64.b64encode(CANARY.encode()).decode().rstrip("="),
    base64.b64encode(f"\0tim\0{CANARY}".encode()).decode().rstrip("="),
    CANARY.encode().hex(),
    f"{CANARY.encode()!r}",
]

WIRE: list[tuple[Command[object], bytes]] = [
    (Capa(), b"CAPA\r\n"),
    (Stls(), b"STLS\r\n"),
    (User("tim"), b"USER tim\r\n"),
    (User("tim@example.org"), b"USER tim@example.org\r\n"),
    (User("two words"), b"USER two words\r\n"),
    (User("jürgen"), "USER jürgen\r\n".encode()),
    (Pass(CANARY), b"PASS " + CANARY.encode() + b"\r\n"),
    (Pass("  a  secret "), b"PASS   a  secret \r\n"),
    (Pass("schön, 登录"), "PASS schön, 登录\r\n".encode()),
    # RFC 1939 7, the example.
    (
        Apop("mrose", "tanstaaf", b"<1896.697170952@dbc.mtview.ca.us>"),
        b"APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\n",
    ),
    (
        Apop("jürgen", "schön, 登录", b"<a@b>"),
        f"APOP jürgen {hashlib.md5('<a@b>schön, 登录'.encode()).hexdigest()}\r\n".encode(),
    ),
    (Auth(Plain(CREDENTIALS)), b"AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n"),
    (Auth(Login(CREDENTIALS)), b"AUTH LOGIN\r\n"),
    (Utf8(), b"UTF8\r\n"),
    (Lang(), b"LANG\r\n"),
    (Lang("pt-BR"), b"LANG pt-BR\r\n"),
    (Lang("*"), b"LANG *\r\n"),
    (Last(), b"LAST\r\n"),
    (Stat(), b"STAT\r\n"),
    (List(), b"LIST\r\n"),
    (List(2), b"LIST 2\r\n"),
    (Uidl(), b"UIDL\r\n"),
    (Uidl(2), b"UIDL 2\r\n"),
    (Retr(1), b"RETR 1\r\n"),
    (Retr(2**31 - 1, size=2**40), b"RETR 2147483647\r\n"),
    (Top(3, 0), b"TOP 3 0\r\n"),
    (Top(3, 10), b"TOP 3 10\r\n"),
    (Dele(1), b"DELE 1\r\n"),
    (Rset(), b"RSET\r\n"),
    (Noop(), b"NOOP\r\n"),
    (Quit(), b"QUIT\r\n"),
    (Language(), b"LANG\r\n"),
]
SHOWN = {
    b"PASS": "PASS ****",
    b"APOP mrose": "APOP mrose ****",
    "APOP jürgen".encode(): "APOP jürgen ****",
    b"AUTH PLAIN": "AUTH PLAIN ****",
}


@pytest.mark.parametrize(("command", "wire"), WIRE, ids=str)
def test_a_command_is_one_line(command: Command[object], wire: bytes) -> None:
    assert command.encode() == wire


@pytest.mark.parametrize(("command", "wire"), WIRE, ids=str)
def test_a_command_is_shown_as_it_is_on_the_wire_with_secrets_masked(command: Command[object], wire: bytes) -> None:
    expected = next((shown for begins, shown in SHOWN.items() if wire.startswith(begins)), wire.decode()[:-2])
    assert str(command) == expected
    assert tuple(command.shown()) == (expected,)


def test_the_greeting_answers_no_command_that_is_sent() -> None:
    assert str(Greeting()) == "(the connection)"
    with pytest.raises(AssertionError, match="Greeting does not say"):
        Greeting().encode()


APOP = Apop("tim", CANARY, TIMESTAMP)


# How the answer is read


@pytest.mark.parametrize(
    ("command", "multiline", "streamed"),
    [
        (Capa(), True, False),
        (List(), True, False),
        (List(1), False, False),
        (Uidl(), True, False),
        (Uidl(1), False, False),
        (Retr(1), True, True),
        (Top(1, 0), True, True),
        (Language(), True, False),
        *(
            (command, False, False)
            for command in (Greeting(), Stls(), User("tim"), Pass(CANARY), APOP, Auth(Login(CREDENTIALS)))
        ),
        *((command, False, False) for command in (Stat(), Dele(1), Rset(), Noop(), Quit())),
    ],
    ids=str,
)
def test_whether_an_answer_goes_on_depends_on_the_verb_and_its_argument(
    command: Command[object], multiline: bool, streamed: bool
) -> None:
    assert (command.multiline, command.streamed) == (multiline, streamed)


def test_the_answer_to_capa_has_a_limit_of_its_own() -> None:
    assert Capa().body_limit == 64 * 1024
    assert Uidl().body_limit == List().body_limit == 80 * 1024 * 1024
    assert Uidl().body_limit > 10**6 * len(b"1000000 \r\n" + b"u" * 70)
    assert Language().body_limit == 100


def test_what_a_response_means_has_a_type() -> None:
    body = b"1 120\r\n2 200\r\n"
    assert assert_type(Stat().parse(Response(True, b"2 320")), DropListing) == DropListing(2, 320)
    assert dict(assert_type(List().parse(Response(True, b"2 messages", body)), ScanListing)) == {1: 120, 2: 200}
    assert dict(List(2).parse(Response(True, b"2 200"))) == {2: 200}
    assert dict(assert_type(Uidl().parse(Response(True, b"", body)), UniqueIdListing)) == {1: "120", 2: "200"}
    assert dict(Uidl(2).parse(Response(True, b"2 uid"))) == {2: "uid"}
    assert dict(assert_type(Capa().parse(Response(True, b"", b"TOP\r\n")), Capabilities)) == {"TOP": ()}


@pytest.mark.parametrize(
    "command",
    [
        Greeting(),
        Stls(),
        User("tim"),
        Pass(CANARY),
        APOP,
        Auth(Login(CREDENTIALS)),
        Retr(1),
        Top(1, 0),
        Dele(1),
        Rset(),
        Noop(),
        Quit(),
    ],
    ids=str,
)
def test_other_responses_mean_what_they_say(command: Command[Response]) -> None:
    response = Response(True, b"fine")
    assert command.parse(response) is response


# How a command is pipelined


@pytest.mark.parametrize(
    ("kind", "ends_group", "stands_alone"),
    [
        # What may follow depends on the answer.
        *((kind, True, False) for kind in (Greeting, Capa, Pass, Apop, Auth, Utf8, Lang, Quit, Language)),
        (Stls, True, True),
        *((kind, False, False) for kind in (User, Stat, List, Uidl, Retr, Top, Dele, Rset, Noop, Last)),
    ],
)
def test_a_command_knows_what_may_follow_it_unanswered(
    kind: type[Command[object]], ends_group: bool, stands_alone: bool
) -> None:
    assert (kind.ends_group, kind.stands_alone) == (ends_group, stands_alone)


def test_the_octets_of_an_answer_are_expected_only_where_they_were_told() -> None:
    assert Retr(1, size=533).octets == 533
    assert Retr(1).octets == 0
    assert [command.octets for command, _ in WIRE if not isinstance(command, Retr)] == [0] * (len(WIRE) - 2)


# What is no argument


def with_control(control: str) -> list[str]:
    return [control + "secret", "sec" + control + "ret", "secret" + control, control]


@pytest.mark.parametrize("control", CONTROLS, ids=repr)
def test_a_control_character_in_an_argument_is_refused_wherever_it_stands(control: str) -> None:
    for text in with_control(control):
        with pytest.raises(ValueError, match="a user name must not hold control characters"):
            User(text)
        with pytest.raises(ValueError, match="a user name must not hold control characters"):
            Apop(text, CANARY, TIMESTAMP)
        with pytest.raises(ValueError, match="a password must not hold control characters"):
            Pass(text)
        with pytest.raises(ValueError, match="a password must not hold control characters"):
            Apop("tim", text, TIMESTAMP)
        for wrong in (text, f"1{control}", f"{control}1"):
            for make in NUMBERED:
                with pytest.raises(ValueError, match="is a positive int"):
                    make(wrong)


@pytest.mark.parametrize("control", CONTROLS, ids=repr)
def test_a_refused_password_is_not_quoted(control: str) -> None:
    for text in (control + CANARY, CANARY[:8] + control + CANARY[8:], CANARY + control):
        with pytest.raises(ValueError, match="a password must not hold control characters") as caught:
            Pass(text)
        told = f"{caught.value} {caught.value!r} {''.join(traceback.format_exception(caught.value))}"
        assert CANARY[:8] not in told
        assert CANARY[8:] not in told


def test_a_refused_password_is_not_in_the_chain_of_errors() -> None:
    # Whoever walks __context__, as collectors of errors do, must not find it there.
    with pytest.raises(ValueError, match="a password") as caught:
        Pass(CANARY + "\r\n")
    error: BaseException | None = caught.value
    while error is not None:
        assert CANARY not in repr(error)
        error = error.__cause__ or error.__context__


def test_a_password_that_is_no_unicode_text_is_refused_without_being_quoted() -> None:
    with pytest.raises(ValueError, match="a password") as caught:
        Pass(CANARY + "\udcff")
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(ValueError):
        User("tim\udcff")


def test_an_empty_argument_is_refused() -> None:
    with pytest.raises(ValueError, match="a user name must not be empty"):
        User("")
    with pytest.raises(ValueError, match="a password must not be empty"):
        Pass("")
    with pytest.raises(ValueError, match="a password must not be empty"):
        Apop("tim", "", TIMESTAMP)


@pytest.mark.parametrize("name", ["", " ", "two words", " tim", "tim "])
def test_the_user_name_of_apop_is_one_word(name: str) -> None:
    # Two arguments follow the verb (RFC 1939 7): a blank would make three of them.
    with pytest.raises(ValueError, match="a user name for APOP must not be empty, nor hold a blank"):
        Apop(name, CANARY, TIMESTAMP)


@pytest.mark.parametrize(
    "timestamp",
    [
        b"",
        b"<>",
        b"<a>",
        b"a@b",
        b"<a@b",
        b"<a@b>x",
        b"x<a@b>",
        b"<a@b><c@d>",
        b"<a@b@c>",
        b"<a b@c>",
        b"<a@b>\r\n",
        b"<a\0@b>",
        b"<\xff\xfe@\xff>",
        "<ä@b>".encode(),
    ],
)
def test_a_timestamp_that_is_no_message_identifier_is_not_answered(timestamp: bytes) -> None:
    # By answers to such ones a server learns the password (CVE-2007-1558).
    with pytest.raises(ValueError, match="expected a timestamp in the form of a message identifier, got b") as refusal:
        Apop("tim", CANARY, timestamp)
    assert repr(timestamp) in str(refusal.value)
    assert CANARY not in str(refusal.value)


class Number(IntEnum):
    ONE = 1


NUMBERED: list[Callable[[Any], Command[object]]] = [List, Uidl, Retr, Dele, lambda number: Top(number, 0)]
NO_NUMBERS: list[Any] = [
    0,
    -1,
    -(2**31),
    2**31,
    2**64,
    10**20,
    True,
    False,
    Number.ONE,
    1.0,
    float("nan"),
    "1",
    "",
    b"1",
    "1\r\nDELE 2",
    [1],
]
NO_COUNTS: list[Any] = [-1, -(2**31), True, False, Number.ONE, 0.0, -0.0, 5.5, 0j, "0", b"0", "", None]


@pytest.mark.parametrize("make", NUMBERED, ids=["LIST", "UIDL", "RETR", "DELE", "TOP"])
def test_a_message_number_is_a_positive_int(make: Callable[[Any], Command[object]]) -> None:
    for number in (1, 2, 2**31 - 1):
        assert b" %d" % number in make(number).encode()
    for wrong in NO_NUMBERS:
        with pytest.raises(ValueError, match="is a positive int"):
            make(wrong)
    with pytest.raises(ValueError, match=r"got -1$"):
        make(-1)
    with pytest.raises(ValueError, match=r"got '1\\r\\nDELE 2'$"):
        make("1\r\nDELE 2")


@pytest.mark.parametrize("make", NUMBERED[2:], ids=["RETR", "DELE", "TOP"])
def test_a_message_number_cannot_be_left_out(make: Callable[[Any], Command[object]]) -> None:
    with pytest.raises(ValueError, match="a positive int, got None"):
        make(None)


def test_the_lines_of_top_are_a_count() -> None:
    for count in (0, 1, 2**31 - 1):
        assert Top(1, count).encode() == b"TOP 1 %d\r\n" % count
    for wrong in [*NO_COUNTS, 2**31]:
        with pytest.raises(ValueError, match="the number of lines is an int of at least 0"):
            Top(1, wrong)


def test_the_size_of_a_message_is_a_count_of_octets() -> None:
    for count in (0, 1, 10**20):
        assert Retr(1, size=count).octets == count
    # A negative one would widen the window for all that are in flight.
    for wrong in NO_COUNTS:
        with pytest.raises(ValueError, match="the size is an int of at least 0"):
            Retr(1, size=wrong)


def test_a_number_of_any_length_is_refused_by_the_same_words() -> None:
    # str() refuses an int of more than 4,300 digits.
    with pytest.raises(ValueError, match="a message number is a positive int"):
        Retr(10**5000)
    with pytest.raises(ValueError, match="the size is an int"):
        Retr(1, size=-(10**5000))


@given(st.text(max_size=12))
@settings(deadline=None)
def test_an_argument_is_on_the_wire_as_it_is_or_refused(text: str) -> None:
    refused = not text or any(control in text for control in CONTROLS)
    commands: list[tuple[Callable[[str], Command[object]], str]] = [(User, "USER"), (Pass, "PASS")]
    for make, verb in commands:
        try:
            line = make(text).encode()
        except ValueError:
            assert refused
        else:
            assert not refused
            assert line == f"{verb} {text}\r\n".encode()


# Secrets


@pytest.mark.parametrize(
    "command",
    [Pass(CANARY), Pass(f" {CANARY} "), APOP, Auth(Plain(CREDENTIALS)), Auth(Login(CREDENTIALS))],
    ids=["PASS", "PASS with blanks", "APOP", "PLAIN", "LOGIN"],
)
def test_a_secret_cannot_be_printed(command: Command[object]) -> None:
    for printed in (repr(command), str(command), f"{command}", f"{command!r:>80}", *command.shown(), repr([command])):
        assert not any(trace in printed for trace in TRACES)


@pytest.mark.parametrize("keeper", KEEPERS.values(), ids=list(KEEPERS))
def test_auth_never_shows_its_secret(keeper: Keeper) -> None:
    command = Auth(keeper.make(), keeper.sends_initial_response)
    assert repr(command) == "Auth()"
    assert_hidden(secrecy.CANARY, command, [command], command.shown(), command.exchange, command.mechanism)


def test_the_digest_of_apop_is_a_secret_too() -> None:
    digest = APOP.encode().split()[-1].decode()
    for printed in (repr(APOP), str(APOP), *APOP.shown(), repr([APOP])):
        assert digest not in printed


@pytest.mark.parametrize(
    "command",
    [
        Pass(secrecy.CANARY),
        Apop("tim", secrecy.CANARY, TIMESTAMP),
        *(Auth(keeper.make(), keeper.sends_initial_response) for keeper in KEEPERS.values()),
    ],
    ids=["PASS", "APOP", *KEEPERS],
)
def test_a_command_that_tells_a_secret_masks_it_where_it_is_said_back(command: Command[object]) -> None:
    assert command.is_secret
    for spelling in said_back(secrecy.CANARY):
        masked = command.mask(b"no: " + spelling + b" is wrong")
        assert masked.startswith(b"no: ")
        assert masked.endswith(b" is wrong")
        assert_hidden(secrecy.CANARY, masked.decode())
    wire = command.encode().split()[-1]  # the name of the mechanism, where nothing is told but that
    tells = not isinstance(command, Auth) or command.exchange.has_spoken
    assert command.mask(b"no: " + wire) == b"no: " + (b"****" if tells else wire)
    assert command.mask(b"[AUTH] no") == b"[AUTH] no"


def test_other_commands_tell_no_secret() -> None:
    secret = {name for name, make in EVERY_COMMAND.items() if make().is_secret}
    assert secret == {"PASS", "APOP", "AUTH"}
    assert all(make().mask(b"tim") == b"tim" for make in EVERY_COMMAND.values())


def test_a_secret_is_not_printed_by_a_traceback_that_shows_the_command() -> None:
    command = Pass(CANARY)
    with pytest.raises(ZeroDivisionError) as caught:
        _ = (command, 1 // 0)
    stack = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "Pass()" in "".join(stack.format())
    assert CANARY not in "".join(stack.format())


# Values


def test_commands_are_values() -> None:
    assert User("tim") == User("tim") != User("tom")
    assert Pass("a") == Pass("a") != Pass("b")
    assert Apop("a", "b", TIMESTAMP) == Apop("a", "b", TIMESTAMP) != Apop("a", "c", TIMESTAMP)
    assert List() == List() != List(1)
    assert len({Retr(1), Retr(1), Retr(2), Dele(1), Top(1, 0), Noop(), Noop()}) == 5
    with pytest.raises(AttributeError):
        Retr(1).number = 2  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(Top(1, 0))) == Top(1, 0)


def test_every_command_can_be_a_key() -> None:
    assert len({make(): name for name, make in EVERY_COMMAND.items()}) == len(EVERY_COMMAND)


def test_the_size_of_a_message_is_no_part_of_what_is_asked() -> None:
    assert Retr(1, size=5) == Retr(1, size=6) == Retr(1)
    assert hash(Retr(1, size=5)) == hash(Retr(1))


def test_an_exchange_is_like_no_other() -> None:
    mechanism = Plain(CREDENTIALS)
    first = Auth(mechanism)
    assert first == first
    assert first != Auth(mechanism)


# AUTH


def test_an_initial_response_is_sent_along_only_if_the_line_stays_within_255_octets() -> None:
    longest = 0
    for size in range(1, 300):
        line = Auth(Plain(Password("tim", "x" * size))).encode()
        message = base64.b64encode(b"\0tim\0" + b"x" * size)
        whole = b"AUTH PLAIN " + message + b"\r\n"
        assert line == (whole if len(whole) <= 255 else b"AUTH PLAIN\r\n")
        longest = max(longest, len(line))
    assert Auth.line_limit == 255
    assert longest == 253  # the next larger message in base64 has four octets more


# Outlook hangs up on the whole of XOAUTH2 in one line.
@pytest.mark.parametrize(
    ("mechanism", "asked", "in_one_line"),
    [
        (Plain(CREDENTIALS), None, True),
        (Plain(CREDENTIALS), True, True),
        (Plain(CREDENTIALS), False, False),
        (ExternalMechanism(External()), None, True),
        (ExternalMechanism(External()), False, False),
        (OAuthBearer("tim", "token"), None, True),
        (XOAuth2("tim", "token"), None, False),
        (XOAuth2("tim", "token"), False, False),
        (XOAuth2("tim", "token"), True, True),
    ],
)
def test_an_initial_response_is_sent_along_unless_it_is_to_be_asked_for(
    mechanism: Mechanism, asked: bool | None, in_one_line: bool
) -> None:
    command = Auth(mechanism, asked)
    message = base64.b64encode(mechanism.initial_response() or b"")
    if in_one_line:
        assert command.encode() == f"AUTH {mechanism.name} ".encode() + (message or b"=") + b"\r\n"
    else:
        assert command.encode() == f"AUTH {mechanism.name}\r\n".encode()
        assert command.exchange.respond(b"") == message + b"\r\n"


def test_an_initial_response_that_is_sent_later_is_not_announced() -> None:
    assert str(Auth(Plain(Password("tim", "x" * 300)))) == "AUTH PLAIN"


# Commands of one's own


@dataclass(frozen=True, slots=True)
class Unfinished(Command[str]):
    pass


def test_a_command_of_ones_own_must_say_what_it_looks_like_and_what_its_response_means() -> None:
    with pytest.raises(AssertionError, match="Unfinished does not say what it looks like"):
        Unfinished().encode()
    with pytest.raises(AssertionError, match="Unfinished does not say what its response means"):
        Unfinished().parse(Response(True))


def test_a_command_of_ones_own_is_careful_unless_it_says_otherwise() -> None:
    command = Unfinished()
    assert (command.ends_group, command.stands_alone, command.multiline, command.streamed) == (
        True,
        False,
        False,
        False,
    )
    assert (command.octets, command.body_limit) == (0, List().body_limit)


# Languages (RFC 6856 3)


def test_languages_are_told_by_their_tags() -> None:
    # RFC 6856 3.2, the example, and what a server may make of it.
    body = (
        "en English\r\nes Espa\u00f1ol\r\nsv\r\n\r\n  de-CH-1996   Schweizer  Hochdeutsch \r\n?? no tag\r\n\x1b[2J\r\n"
    )
    languages = Lang().parse(Response(True, b"Language listing follows:", body.encode()))
    assert dict(languages) == {
        "en": "English",
        "es": "Español",
        "sv": "",
        "de-CH-1996": "Schweizer  Hochdeutsch",
    }
    assert_type(languages, Mapping[str, str])
    assert dict(Lang().parse(Response(True, b"", b""))) == {}
    assert dict(Lang().parse(Response(True, b"", b"en \x1b[2J\xff\r\n"))) == {"en": "\\x1b[2J\\xff"}


def test_a_change_of_language_tells_its_tag() -> None:
    assert dict(Lang("es").parse(Response(True, b"es Idioma cambiado"))) == {"es": "Idioma cambiado"}
    assert dict(Lang("*").parse(Response(True, b"en"))) == {"en": ""}
    assert dict(Lang("es").parse(Response(True, b""))) == {}
    assert dict(Lang("es").parse(Response(True, "¡sí!".encode()))) == {}


@pytest.mark.parametrize(
    "language",
    [
        "",
        " ",
        "e n",
        "en\r\nQUIT",
        "en\0",
        "-",
        "en-",
        "-en",
        "**",
        "en*",
        "ñ",
        "x" * 9,
        "en-" + "x" * 9,
        "a-" * 16 + "a",
        "\N{FULLWIDTH DIGIT ONE}",
    ],
)
def test_a_language_is_asked_for_by_a_tag(language: str) -> None:
    with pytest.raises(ValueError, match="expected a language tag"):
        Lang(language)


# LAST (RFC 1460 3)


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b"3", 3),
        (b"0", 0),
        (b"3 is the highest", 3),
        (b"2147483647", 2**31 - 1),
        (b"", None),
        (b"-1", None),
        (b"1_0", None),
        (b"2147483648", None),
        (b"9" * 5000, None),
        (b"none", None),
        ("٣".encode(), None),
    ],
)
def test_last_tells_a_number_if_it_can_be_read(line: bytes, number: int | None) -> None:
    assert Last().parse(Response(True, line)) == number


# What announces a command


def test_a_command_knows_the_capability_that_announces_it() -> None:
    announced = {name: make().capability for name, make in EVERY_COMMAND.items()}
    assert {name: capability for name, capability in announced.items() if capability} == {
        "STLS": "STLS",
        "USER": "USER",
        "PASS": "USER",
        "AUTH": "SASL",
        "UIDL": "UIDL",
        "UIDL 1": "UIDL",
        "TOP": "TOP",
        "LANG en": "LANG",
        "UTF8": "UTF8",
    }
