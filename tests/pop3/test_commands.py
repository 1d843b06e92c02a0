import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_type

import pytest

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
from mailwire.sasl import Login, Plain
from tests.pop3.sessions import CANARY, CREDENTIALS, EVERY_COMMAND, TIMESTAMP, Language

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


@pytest.mark.parametrize("language", [b"en", 7])
def test_what_is_no_text_is_no_language(language: Any) -> None:
    with pytest.raises(ValueError, match=r"^expected the language to be text or None, got "):
        Lang(language)


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


def test_languages_are_listed_and_one_is_chosen_on_a_line() -> None:
    assert Lang().multiline
    assert not Lang("en").multiline
