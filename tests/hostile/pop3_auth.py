"""POP3 servers that break a login, or would like to have the credentials another way."""

from typing import Any, Final

from mailwire import (
    AuthenticationFailed,
    ConnectionLost,
    DeadlineExceeded,
    LimitExceeded,
    MaildropLocked,
    MailwireError,
    Preferences,
    RemoteProtocolError,
    ResponseError,
    SecurityError,
    ServerUnproven,
)
from mailwire.testing import FIN, LISTEN, STALL, Step, Tls
from tests.hostile.case import PASSWORD, Case, Deed, Outcome, lines
from tests.hostile.mechanisms import NONCE, PROVIDED, TIMESTAMP, Endless, b64, scram, scram_dialogue
from tests.sasl.secrecy import CANARY

__all__ = ["CASES"]


def offering(*capabilities: str, greeting: str = "+OK pop") -> tuple[Step, ...]:
    return (Tls(), f"S: {greeting}", "C: CAPA", "S: +OK", *(f"S: {each}" for each in capabilities), "S: .")


USER: Final = f"USER {PASSWORD.user}"
PASS: Final = f"PASS {CANARY}"
LOGIN: Final[tuple[Step, ...]] = (*offering("USER"), f"C: {USER}", "S: +OK", f"C: {PASS}")
APOP: Final = {"auth_preferences": Preferences(mechanisms=["APOP"])}
CLIENT_FIRST: Final = f"AUTH SCRAM-SHA-256 {b64(f'n,,n={PASSWORD.user},r={NONCE}')}"
FINAL: Final = scram_dialogue()
XOAUTH2_1, XOAUTH2_2 = (b64(f"user={PROVIDED.user}\x01auth=Bearer {CANARY}-{number}\x01\x01") for number in (1, 2))
NO_TOKEN: Final = '{"status":"401","schemes":"bearer","scope":"mail"}'
SERVER_FIRST: Final = f"r={NONCE}x,s={b64('salt')},i=1"
SCRAM: Final[tuple[Step, ...]] = (*offering("SASL SCRAM-SHA-256", "USER"), f"C: {CLIENT_FIRST}")
PROOF: Final[tuple[Step, ...]] = (*SCRAM, f"S: + {FINAL[1]}", f"C: {FINAL[2]}")


def case(
    name: str,
    script: tuple[Step, ...],
    error: type[MailwireError] | None,
    *said: str,
    deeds: tuple[Deed, ...] = ("connect", "retrieve"),
    seconds: float = 0,
    settings: dict[str, Any] | None = None,
    **outcome: Any,
) -> Case:
    """A case under implicit TLS, where a client may say all: `said` are its lines behind CAPA."""
    told = Outcome(error, hello=True, under_tls=lines("CAPA", *said), **outcome)
    return Case(name, script, told, {"protocol": "pop3", "tls": "implicit", **(settings or {})}, deeds, seconds)


def refused(
    name: str, text: str, error: type[MailwireError], *, code: str | None = None, is_transient: bool = False
) -> Case:
    answer = "answer" if error is AuthenticationFailed else "response"
    attributes = {"is_transient": is_transient, f"{answer}.code": code}
    return case(name, (*LOGIN, f"S: -ERR {text}", LISTEN), error, USER, PASS, attributes=attributes)


TIMESTAMPS: Final = [
    *(
        case(f"apop-{name}", (*offering("USER", greeting=greeting), LISTEN), AuthenticationFailed, settings=APOP)
        for name, greeting in {
            "no-challenge": "+OK pop",
            "half-a-challenge": "+OK <1896.697170952@dbc",
            "no-at": "+OK <1896.697170952>",
            "empty": "+OK <@>",
            "quoted": '+OK <"1896 697"@dbc>',
            "brackets": "+OK <<@>>",
            "many-brackets": "+OK " + "<" * 4000,
        }.items()
    ),
    case(
        "apop-bad-challenge",
        (Tls(), b"+OK <\xff\xfe@\xff>\r\n", "C: CAPA", "S: -ERR", LISTEN),
        AuthenticationFailed,
        settings=APOP,
    ),
]

# RFC 2449 8.1, RFC 3206: what a refusal is about, in brackets.
CODES: Final = [
    refused("in-use", "[IN-USE] locked", MaildropLocked, code="IN-USE", is_transient=True),
    refused("response-codes-login-delay", "[LOGIN-DELAY] wait", ResponseError, code="LOGIN-DELAY", is_transient=True),
    refused("response-codes-sys-temp", "[SYS/TEMP] later", ResponseError, code="SYS/TEMP", is_transient=True),
    refused("response-codes-sys-perm-in-small-letters", "[sys/perm] broken", ResponseError, code="SYS/PERM"),
    refused("response-codes-auth", "[AUTH] no", AuthenticationFailed, code="AUTH"),
    refused("response-codes-odd-code", "[X-ODD/Y] no", AuthenticationFailed, code="X-ODD/Y"),
    refused("response-codes-no-code", "\x1b[31mno\x07", AuthenticationFailed),
    refused("response-codes-half-a-code", "[IN-USE locked", AuthenticationFailed),
    case(
        "user-refused",
        (*offering("USER"), f"C: {USER}", "S: -ERR nobody", LISTEN),
        AuthenticationFailed,
        USER,
    ),
    refused("said-back", f"{PASS} is wrong", AuthenticationFailed),
]

EXCHANGES: Final = [
    case("pass-noise", (*LOGIN, "S: welcome", LISTEN), RemoteProtocolError, USER, PASS),
    case("pass-said-back", (*LOGIN, f"S: {PASS}", LISTEN), RemoteProtocolError, USER, PASS),
    case("pass-challenged", (*LOGIN, "S: + go", LISTEN), RemoteProtocolError, USER, PASS),
    case("pass-hang-up", (*LOGIN, FIN), ConnectionLost, USER, PASS),
    # It would be taken for the answer to PASS.
    case("pass-answered-before", (*LOGIN[:-1], "S: +OK welcome", LISTEN), RemoteProtocolError, USER),
    case("user-answered-before", (*offering("USER"), "S: +OK", LISTEN), RemoteProtocolError),
    case(
        "only-cram-md5-offered", (*offering("SASL CRAM-MD5", greeting=f"+OK {TIMESTAMP}"), LISTEN), AuthenticationFailed
    ),
    case(
        "auth-for-ever-to-one-who-answers",
        (
            *(*offering("SASL X-ENDLESS"), "C: AUTH X-ENDLESS", *("S: + ", f"C: {b64('more')}") * 8),
            *("S: + ", "C: *", "S: -ERR cancelled", LISTEN),
        ),
        AuthenticationFailed,
        *("AUTH X-ENDLESS", *[b64("more")] * 8, "*"),
        settings={"auth": Endless},
        text="went on asking after 8 challenges",
    ),
    case(
        "auth-longer-than-a-line",
        (*offering("SASL LOGIN"), "C: AUTH LOGIN", f"S: + {'A' * 12_288}", LISTEN),
        LimitExceeded,
        "AUTH LOGIN",
    ),
    case(
        "auth-goes-on-behind-the-cancel",
        (*offering("SASL LOGIN"), "C: AUTH LOGIN", "S: + !!!!", "C: *", "S: +OK welcome", LISTEN),
        AuthenticationFailed,
        *("AUTH LOGIN", "*"),
    ),
    case("pass-silence", (*LOGIN, STALL), DeadlineExceeded, USER, PASS, seconds=60),
    case(
        "auth-bad-base64",
        (*offering("SASL LOGIN", "USER"), "C: AUTH LOGIN", "S: + !!!!", "C: *", "S: -ERR cancelled", LISTEN),
        AuthenticationFailed,
        *("AUTH LOGIN", "*"),
    ),
    case(
        "auth-for-ever",
        (*offering("SASL LOGIN"), "C: AUTH LOGIN", *("S: + ", "C: ...") * 2, "S: + ", "C: *", "S: + ", LISTEN),
        AuthenticationFailed,
        *("AUTH LOGIN", b64(PASSWORD.user), b64(CANARY), "*"),
    ),
    case(
        "auth-early-ok",
        (*offering("SASL LOGIN"), "C: AUTH LOGIN", "S: +OK welcome", LISTEN),
        AuthenticationFailed,
        "AUTH LOGIN",
    ),
    case(
        "auth-not-that-one",
        (
            *(*offering("SASL LOGIN", "USER"), "C: AUTH LOGIN", "S: -ERR unknown"),
            *(f"C: {USER}", "S: +OK", f"C: {PASS}", "S: -ERR [AUTH] no", LISTEN),
        ),
        AuthenticationFailed,
        *("AUTH LOGIN", USER, PASS),
    ),
    case(
        "auth-refused-with-a-code",
        (*offering("SASL LOGIN", "USER"), "C: AUTH LOGIN", "S: -ERR [AUTH] no", LISTEN),
        AuthenticationFailed,
        "AUTH LOGIN",
    ),
    case(
        "scram-i-1",
        (*SCRAM, f"S: + {b64(SERVER_FIRST)}", "C: *", "S: -ERR cancelled", LISTEN),
        AuthenticationFailed,
        *(CLIENT_FIRST, "*"),
        settings={"auth": scram},
    ),
    *(
        case(
            f"scram-{name}",
            (*PROOF, f"S: + {final}", "C: *", "S: -ERR cancelled", LISTEN),
            error,
            *(CLIENT_FIRST, FINAL[2], "*"),
            settings={"auth": scram},
        )
        for name, final, error in (
            ("signature-wrong", b64(f"v={b64('wrong')}"), ServerUnproven),
            ("signature-missing", b64("x=y"), ServerUnproven),
            ("final-error", b64("e=other-error"), AuthenticationFailed),
        )
    ),
    case(
        "scram-final-skipped",
        (*PROOF, "S: +OK welcome", LISTEN),
        ServerUnproven,
        *(CLIENT_FIRST, FINAL[2]),
        settings={"auth": scram},
    ),
    case(
        "scram-proven",
        (
            *(*PROOF, f"S: + {FINAL[3]}", "C: ", "S: +OK welcome", "C: CAPA", "S: -ERR"),
            *("C: QUIT", "S: +OK bye"),
        ),
        None,
        *(CLIENT_FIRST, FINAL[2], "", "CAPA", "QUIT"),
        settings={"auth": scram},
        deeds=("connect",),
    ),
    case(
        "xoauth2-both-refused",
        (
            *(*offering("SASL XOAUTH2"), "C: AUTH XOAUTH2", "S: + ", f"C: {XOAUTH2_1}", f"S: + {b64(NO_TOKEN)}", "C: "),
            *("S: -ERR [AUTH] no", "C: AUTH XOAUTH2", "S: + ", f"C: {XOAUTH2_2}", f"S: + {b64(NO_TOKEN)}", "C: "),
            *("S: -ERR [AUTH] still no", LISTEN),
        ),
        AuthenticationFailed,
        *("AUTH XOAUTH2", XOAUTH2_1, "", "AUTH XOAUTH2", XOAUTH2_2, ""),
        settings={"auth": PROVIDED},
        text="still no",
        attributes={"oauth.status": "401", "oauth.scope": "mail"},
    ),
    # Outlook's way to refuse a token, where it takes one in one line.
    case(
        "xoauth2-hang-up",
        (*offering("SASL XOAUTH2"), "C: AUTH XOAUTH2", "S: + ", f"C: {XOAUTH2_1}", FIN),
        ConnectionLost,
        *("AUTH XOAUTH2", XOAUTH2_1),
        settings={"auth": PROVIDED},
    ),
    case(
        "scram-success-at-once",
        (*SCRAM, "S: +OK welcome", LISTEN),
        ServerUnproven,
        CLIENT_FIRST,
        settings={"auth": scram},
    ),
    case(
        "scram-has-disappeared",
        (*offering("SASL PLAIN", "USER"), LISTEN),
        SecurityError,
        settings={"auth_preferences": Preferences(remembered="SCRAM-SHA-256")},
    ),
]

CASES: Final = [*TIMESTAMPS, *CODES, *EXCHANGES]
