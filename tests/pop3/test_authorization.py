import base64
import copy
import pickle
import re
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailwire.pop3 import (
    Apop,
    Auth,
    Command,
    Pass,
    User,
)
from mailwire.sasl import Login, Mechanism, Password, Plain
from mailwire.sasl.external import ExternalMechanism
from mailwire.sasl.identities import External
from mailwire.sasl.oauth import OAuthBearer, XOAuth2
from tests.pop3.sessions import CANARY, CONTROLS, CREDENTIALS, EVERY_COMMAND, TIMESTAMP, with_control
from tests.sasl import secrecy
from tests.sasl.secrecy import KEEPERS, Keeper, assert_hidden, said_back

# What a secret may look like once it has been through an encoding.
TRACES = [
    CANARY,
    base64.b64encode(CANARY.encode()).decode().rstrip("="),
    base64.b64encode(f"\0tim\0{CANARY}".encode()).decode().rstrip("="),
    CANARY.encode().hex(),
    f"{CANARY.encode()!r}",
]


APOP = Apop("tim", CANARY, TIMESTAMP)


# What is no argument


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


@pytest.mark.parametrize("control", CONTROLS, ids=repr)
def test_a_refused_password_is_not_quoted(control: str) -> None:
    for text in (control + CANARY, CANARY[:8] + control + CANARY[8:], CANARY + control):
        with pytest.raises(ValueError, match="a password must not hold control characters") as caught:
            Pass(text)
        assert_hidden(CANARY[:8], caught.value)
        assert_hidden(CANARY[8:], caught.value)


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


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Apop("a b", CANARY, TIMESTAMP), "a user name for APOP must not be empty, nor hold a blank"),
        (lambda: Apop("a\n", CANARY, TIMESTAMP), "a user name must not hold control characters"),
        (lambda: Apop("a\udcff", CANARY, TIMESTAMP), "surrogates not allowed"),
        (lambda: Apop(cast(Any, None), CANARY, TIMESTAMP), "expected the name to be text, got NoneType"),
        (lambda: Apop("tim", CANARY + "\n", TIMESTAMP), "a password must not hold control characters"),
        (lambda: Apop("tim", cast(Any, CANARY.encode()), TIMESTAMP), "expected a password to be text, got bytes"),
        (lambda: Apop("tim", CANARY, b"<a@b"), "expected a timestamp in the form of a message identifier, got b'<a@b'"),
        (lambda: Apop("tim", CANARY, cast(Any, "<a@b>")), "expected the timestamp to be octets, got str"),
        (lambda: Pass(cast(Any, CANARY.encode())), "expected a password to be text, got bytes"),
    ],
)
def test_what_is_refused_with_a_password_does_not_show_it_in_a_traceback_with_locals(
    make: Callable[[], Command[object]], told: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(told)) as caught:
        make()
    assert_hidden(CANARY, caught.value)


def test_commands_that_hold_a_password_are_values() -> None:
    for command, same, other in (
        (Pass(CANARY), Pass(password=CANARY), Pass("other")),
        (APOP, Apop(name="tim", password=CANARY, timestamp=TIMESTAMP), replace(APOP, name="tom")),
    ):
        assert command == same != other
        assert hash(command) == hash(same)
        assert pickle.loads(pickle.dumps(command)) == copy.copy(command) == command


def test_an_empty_argument_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a user name must not be empty$"):
        User("")
    with pytest.raises(ValueError, match="a password must not be empty"):
        Pass("")
    with pytest.raises(ValueError, match="a password must not be empty"):
        Apop("tim", "", TIMESTAMP)


@pytest.mark.parametrize("value", [None, CANARY.encode(), 7])
def test_what_is_no_text_is_no_user_name_and_is_not_shown(value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^expected the name to be text, got {type(value).__name__}$"):
        User(value)


@pytest.mark.parametrize("name", ["", " ", "two words", " tim", "tim "])
def test_the_user_name_of_apop_is_one_word(name: str) -> None:
    # Two arguments follow the verb (RFC 1939 7): a blank would make three of them.
    with pytest.raises(ValueError, match=r"^a user name for APOP must not be empty, nor hold a blank$"):
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
