import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailwire.pop3 import PHRASES, Capa, Connection, Pass, RefusalCause, Response, ResponseCode, ResponseReceived, User
from mailwire.pop3.refusals import cause_of_code, find_phrase
from tests.pop3.sessions import ask, greeted, tell

C = RefusalCause


@pytest.mark.parametrize(
    ("text", "code", "cause", "is_transient"),
    [
        (b"[IN-USE] locked", ResponseCode.IN_USE, C.IN_USE, True),
        (b"[in-use]", ResponseCode.IN_USE, C.IN_USE, True),
        (b"[LOGIN-DELAY] wait", ResponseCode.LOGIN_DELAY, C.LOGIN_DELAY, True),
        (b"[SYS/TEMP] later", ResponseCode.SYS_TEMP, C.TEMPORARY, True),
        (b"[sys/perm] no", ResponseCode.SYS_PERM, C.PERMANENT, False),
        (b"[AUTH] no", ResponseCode.AUTH, C.CREDENTIALS, False),
        (b"[UTF8] say so first", ResponseCode.UTF8, C.UTF8, False),
        # RFC 2449 8: what is known of a code counts where its last level is not.
        (b"[SYS/TEMP/DISK/FULL] later", "SYS/TEMP/DISK/FULL", C.TEMPORARY, True),
        (b"[IN-USE/IMAP] locked", "IN-USE/IMAP", C.IN_USE, True),
        (b"[SYS/ODD] no", "SYS/ODD", None, False),
        (b"[X-ODD/Y] try again later", "X-ODD/Y", None, False),
    ],
)
def test_a_code_tells_why(text: bytes, code: str, cause: RefusalCause | None, is_transient: bool) -> None:
    response = Response(False, text)
    assert (response.code, response.cause, response.is_transient) == (code, cause, is_transient)
    assert isinstance(response.code, ResponseCode) == (code in set(ResponseCode))


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (b"Exceeded the login limit for a 15 minute period. Reduce the frequency of requests.", C.LOGIN_DELAY),
        (b"Server Unavailable. 21", C.TEMPORARY),
        (b"Temporary system problem. Please try again later.", C.TEMPORARY),
        (b"Account exceeded command or bandwidth limits.", C.QUOTA),
        (b"temporary error", C.TEMPORARY),
        (b"Temporary authentication failure.", C.TEMPORARY),
        (b"Download exceed. msg=10", C.QUOTA),
        (b"Can't get the letter, try again later", C.TEMPORARY),
        (b"duplicate login!", C.IN_USE),
        (b"Too many bad login attempts", C.TEMPORARY),
        (b"Maximum reached: too many connections from your host", C.TEMPORARY),
        (b"tim lock busy!  Is another session active? (11)", C.IN_USE),
        (b"maildrop already locked", C.IN_USE),
        (b"unable to lock maildrop", C.IN_USE),
        (b"Mailbox Locked", C.IN_USE),
        (b"unable to lock mailbox", C.IN_USE),
        (b"Please try again later", C.TEMPORARY),
        (b"Service temporarily unavailable", C.TEMPORARY),
        # What may as well be a wrong password.
        (b"Logon failure: unknown user name or bad password.", None),
        (
            b"Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited, "
            b"or system is busy.",
            None,
        ),
        (b"Invalid password. Please try again later.", None),
        (b"authentication temporarily failed", None),
        # What only looks like it.
        (b"Your mailbox is blocked", None),
        (b"The account is locked", None),
        (b"too manyfold", None),
        (b"Message 31 expunged", None),
        (b"Protocol error. Connection is closed. 10", None),
        ("登录太频繁".encode("gbk"), None),
        (b"", None),
    ],
)
def test_words_tell_why_where_there_is_no_code(text: bytes, cause: RefusalCause | None) -> None:
    response = Response(False, text)
    assert (response.cause, response.is_transient) == (cause, cause is not None and cause.is_transient)
    assert response.line == text
    for other in (text.upper(), text.lower()):
        assert Response(False, other).cause is cause


def test_what_is_no_refusal_has_no_cause() -> None:
    for line in (b"[IN-USE] locked", b"temporary error", b""):
        assert Response(True, line).cause is None
        assert not Response(True, line).is_transient


def test_every_phrase_is_found_and_none_hides_another() -> None:
    for phrase in PHRASES:
        assert all(word == word.lower() for word in phrase.words)
        assert phrase.servers
        assert find_phrase(b" ... ".join(phrase.words)) is phrase


def test_the_time_to_wait_is_told_in_words_or_by_capa() -> None:
    told = Response(False, b"Exceeded the login limit for a 15 minute period.", login_delay=60)
    assert told.retry_after == 900
    assert Response(False, b"[LOGIN-DELAY] wait", login_delay=60).retry_after == 60
    assert Response(False, b"[LOGIN-DELAY] Exceeded the login limit for a 15 minute period").retry_after is None
    assert Response(False, b"[LOGIN-DELAY] wait").retry_after is None
    assert Response(False, b"[IN-USE] locked", login_delay=60).retry_after is None
    assert Response(False, b"temporary error").retry_after is None


def refused(connection: Connection, line: bytes) -> Response:
    ask(connection, User("tim"))
    tell(connection, b"+OK\r\n")
    ask(connection, Pass("secret"))
    event = tell(connection, line)[0]
    assert isinstance(event, ResponseReceived)
    return event.response


@pytest.mark.parametrize(
    ("announced", "line", "retry_after"),
    [
        (b"LOGIN-DELAY 300\r\n", b"-ERR [LOGIN-DELAY] wait\r\n", 300),
        (b"LOGIN-DELAY 300 USER\r\n", b"-ERR [login-delay] wait\r\n", 300),
        (b"LOGIN-DELAY 300\r\n", b"-ERR [AUTH] wrong\r\n", None),
        (b"LOGIN-DELAY 300\r\n", b"-ERR wait\r\n", None),
        (b"TOP\r\n", b"-ERR [LOGIN-DELAY] wait\r\n", None),
    ],
)
def test_the_machine_adds_what_capa_said(announced: bytes, line: bytes, retry_after: int | None) -> None:
    connection = greeted()
    ask(connection, Capa())
    tell(connection, b"+OK\r\n" + announced + b".\r\n")
    assert refused(connection, line).retry_after == retry_after
    assert refused(greeted(), line).retry_after is None


def test_a_code_that_is_not_registered_tells_nothing() -> None:
    for code in ("", "/", "SYS", "TEMP", "IN", "in-use", "X/SYS/TEMP"):
        assert cause_of_code(code) is None


def test_causes_and_codes_are_shown_by_name() -> None:
    assert repr(C.IN_USE) == "RefusalCause.IN_USE"
    assert {cause for cause in RefusalCause if cause.is_transient} == {
        *(C.IN_USE, C.LOGIN_DELAY, C.TEMPORARY, C.QUOTA),
    }


PIECES = [b"too many ", b"mailbox", b" lock", b"[", b"]", b"sys/temp", b"login", b"temporarily", b"15 minute"]


@given(st.binary(max_size=60) | st.lists(st.sampled_from(PIECES)).map(b"".join))
@settings(deadline=None)
def test_any_text_can_be_judged(text: bytes) -> None:
    response = Response(False, text)
    cause = response.cause
    assert response.is_transient == (cause is not None and cause.is_transient)
    assert response.retry_after in (None, 900)


def test_a_long_text_is_looked_at_in_part() -> None:
    assert Response(False, b"x" * 500 + b" lock busy").cause is C.IN_USE
    assert Response(False, b"x" * 512 + b" lock busy").cause is None
    assert Response(False, b"too many" * 100_000).cause is None
