"""SMTP servers that break the exchange of AUTH, or would like to have the credentials another way."""

import base64
from typing import Any, Final

from mailwire import (
    AuthenticationFailed,
    DeadlineExceeded,
    MailwireError,
    OAuthToken,
    Preferences,
    RemoteProtocolError,
    SecurityError,
    ServerUnproven,
    sasl,
)
from mailwire.testing import FIN, LISTEN, STALL, Step, Tls
from tests.hostile.case import PASSWORD, Case, Deed, Outcome, lines
from tests.sasl.secrecy import CANARY

__all__ = ["CASES", "NONCE", "b64", "scram"]

EHLO: Final = "EHLO [127.0.0.1]"
NONCE: Final = "rOprNGfwEbeRWgbNEkqO"


def b64(text: str | bytes) -> str:
    """Return `text` in base64."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode("ascii")


def scram() -> sasl.Scram:
    """Return SCRAM-SHA-256 with a nonce that is known."""
    return sasl.Scram(PASSWORD, "SHA-256", make_nonce=lambda: NONCE)


def offering(*mechanisms: str) -> tuple[Step, ...]:
    return (Tls(), "S: 220 mx", f"C: {EHLO}", "S: 250-mx", f"S: 250 AUTH {' '.join(mechanisms)}")


USER, PASS = b64(PASSWORD.user), b64(CANARY)
PLAIN: Final = f"AUTH PLAIN {b64(f'{chr(0)}{PASSWORD.user}{chr(0)}{CANARY}')}"
CLIENT_FIRST: Final = f"AUTH SCRAM-SHA-256 {b64(f'n,,n={PASSWORD.user},r={NONCE}')}"
SCRAM: Final[tuple[Step, ...]] = (*offering("SCRAM-SHA-256", "PLAIN"), f"C: {CLIENT_FIRST}")
SALT: Final = b64("salt of the test")
TOKEN: Final = OAuthToken(PASSWORD.user, "kan4rienvogel")
NO_TOKEN: Final = '{"status":"401","schemes":"bearer","scope":"https://mail/"}'
XOAUTH2: Final = b64(f"user={TOKEN.user}\x01auth=Bearer {TOKEN.token}\x01\x01")


def case(
    name: str,
    script: tuple[Step, ...],
    error: type[MailwireError] | None,
    *said: str,
    deeds: tuple[Deed, ...] = ("connect", "send"),
    seconds: float = 0,
    settings: dict[str, Any] | None = None,
    **outcome: Any,
) -> Case:
    """A case under implicit TLS, where a client may say all: `said` are its lines behind EHLO."""
    told = Outcome(error, hello=True, under_tls=lines(EHLO, *said), **outcome)
    return Case(name, script, told, {"protocol": "smtp", "tls": "implicit", **(settings or {})}, deeds, seconds)


def by_scram(name: str, server_first: str, error: type[MailwireError], **outcome: Any) -> Case:
    """The server's first message is one for which there is no proof."""
    script = (*SCRAM, f"S: 334 {b64(server_first)}", "C: *", "S: 501 cancelled", LISTEN)
    return case(name, script, error, CLIENT_FIRST, "*", settings={"auth": scram}, **outcome)


EXCHANGES: Final = [
    case(
        "auth-334-bad-base64",
        (*offering("LOGIN"), "C: AUTH LOGIN", "S: 334 !!!!", "C: *", "S: 501 cancelled", LISTEN),
        AuthenticationFailed,
        *("AUTH LOGIN", "*"),
        text="expected a challenge in base64, got b'!!!!'",
    ),
    case(
        "auth-334-bad-base64-and-silence",
        (*offering("LOGIN"), "C: AUTH LOGIN", "S: 334 !!!!", "C: *", STALL),
        DeadlineExceeded,
        *("AUTH LOGIN", "*"),
        seconds=300,
    ),
    case(
        "auth-334-behind-the-cancel",
        (*offering("LOGIN"), "C: AUTH LOGIN", "S: 334 !!!!", "C: *", "S: 334 ", LISTEN),
        AuthenticationFailed,
        *("AUTH LOGIN", "*"),
        text="goes on after the cancel",
    ),
    case(
        "auth-235-behind-the-cancel",
        (*offering("LOGIN"), "C: AUTH LOGIN", "S: 334 !!!!", "C: *", "S: 235 welcome", LISTEN),
        AuthenticationFailed,
        *("AUTH LOGIN", "*"),
    ),
    case(
        "auth-334-for-ever",
        (*offering("LOGIN"), "C: AUTH LOGIN", *("S: 334 ", "C: ...") * 2, "S: 334 ", "C: *", "S: 334 ", LISTEN),
        AuthenticationFailed,
        *("AUTH LOGIN", USER, PASS, "*"),
    ),
    case(
        "auth-334-behind-plain",
        (*offering("PLAIN"), f"C: {PLAIN}", f"S: 334 {b64('more')}", "C: *", "S: 501 no", LISTEN),
        AuthenticationFailed,
        *(PLAIN, "*"),
    ),
    case(
        "auth-early-235",
        (*offering("LOGIN"), "C: AUTH LOGIN", "S: 334 ", "C: ...", "S: 235 welcome", LISTEN),
        AuthenticationFailed,
        *("AUTH LOGIN", USER),
        text="reports success before the exchange is complete",
    ),
    case(
        "auth-354",
        (*offering("PLAIN"), f"C: {PLAIN}", "S: 354 go", "C: *", "S: 501 no", LISTEN),
        AuthenticationFailed,
        *(PLAIN, "*"),
    ),
    case("auth-noise", (*offering("PLAIN"), f"C: {PLAIN}", "S: welcome", LISTEN), RemoteProtocolError, PLAIN),
    case(
        "auth-said-back",
        (*offering("PLAIN"), f"C: {PLAIN}", f"S: 535-{PLAIN}", f"S: 535 {CANARY} is wrong", LISTEN),
        AuthenticationFailed,
        PLAIN,
        text=r"535 AUTH PLAIN \*\*\*\* \*\*\*\* is wrong",
    ),
    case(
        "auth-421",
        (*offering("PLAIN", "LOGIN"), f"C: {PLAIN}", "S: 421 later", FIN),
        AuthenticationFailed,
        PLAIN,
        attributes={"is_transient": True, "answer.code": 421},
    ),
]

# One attempt: a refusal of the credentials leads to no other mechanism.
REFUSALS: Final = [
    *(
        case(
            f"auth-{code}",
            (*offering("PLAIN", "LOGIN", "CRAM-MD5"), f"C: {PLAIN}", f"S: {code} \x1b[31mno\x07", LISTEN),
            AuthenticationFailed,
            PLAIN,
            attributes={"answer.code": code},
        )
        for code in (432, 454, 500, 501, 503, 530, 535, 550, 554)
    ),
    *(
        case(
            f"auth-{code}-not-that-one",
            (*offering("PLAIN", "LOGIN"), f"C: {PLAIN}", f"S: {code} no", "C: AUTH LOGIN", "S: 535 no", LISTEN),
            AuthenticationFailed,
            *(PLAIN, "AUTH LOGIN"),
            attributes={"answer.code": 535},
        )
        for code in (504, 534, 538)
    ),
    case("auth-nothing-offered", (*offering("X-ODD"), LISTEN), AuthenticationFailed),
    case(
        "auth-scram-has-disappeared",
        (*offering("PLAIN", "LOGIN"), LISTEN),
        SecurityError,
        settings={"auth_preferences": Preferences(remembered="SCRAM-SHA-256")},
    ),
]

SCRAMS: Final = [
    by_scram("scram-i-1", f"r={NONCE}x,s={SALT},i=1", AuthenticationFailed, text="asks for 1 iterations"),
    by_scram("scram-i-0", f"r={NONCE}x,s={SALT},i=0", AuthenticationFailed),
    by_scram("scram-i-4294967295", f"r={NONCE}x,s={SALT},i=4294967295", AuthenticationFailed, text="more than 1000000"),
    by_scram("scram-i-5000-digits", f"r={NONCE}x,s={SALT},i={'9' * 3000}", AuthenticationFailed),
    by_scram("scram-i-word", f"r={NONCE}x,s={SALT},i=many", AuthenticationFailed),
    by_scram("scram-other-nonce", f"r=another{NONCE},s={SALT},i=4096", AuthenticationFailed, text="nonce"),
    by_scram("scram-same-nonce", f"r={NONCE},s={SALT},i=4096", AuthenticationFailed, text="nonce"),
    by_scram("scram-extension", f"m=x,r={NONCE}x,s={SALT},i=4096", AuthenticationFailed, text="extension"),
    by_scram("scram-bad-salt", f"r={NONCE}x,s=!!!,i=4096", AuthenticationFailed),
    by_scram("scram-out-of-order", f"s={SALT},r={NONCE}x,i=4096", AuthenticationFailed),
    by_scram("scram-error", "e=unknown-user", AuthenticationFailed, text="unknown-user"),
    by_scram("scram-signature-first", f"v={SALT}", AuthenticationFailed),
    case(
        "scram-success-at-once",
        (*SCRAM, "S: 235 welcome", LISTEN),
        ServerUnproven,
        CLIENT_FIRST,
        settings={"auth": scram},
    ),
]

TOKENS: Final = [
    case(
        "xoauth2-error-334-then-535",
        (
            *(*offering("XOAUTH2", "PLAIN"), f"C: AUTH XOAUTH2 {XOAUTH2}"),
            *(f"S: 334 {b64(NO_TOKEN)}", "C: ", "S: 535 no"),
            LISTEN,
        ),
        AuthenticationFailed,
        *(f"AUTH XOAUTH2 {XOAUTH2}", ""),
        settings={"auth": TOKEN},
        attributes={"oauth.status": "401", "oauth.schemes": "bearer", "oauth.scope": "https://mail/"},
    ),
    case(
        "xoauth2-error-334-for-ever",
        (
            *(*offering("XOAUTH2"), f"C: AUTH XOAUTH2 {XOAUTH2}", "S: 334 e30=", "C: ", "S: 334 e30=", "C: *"),
            *("S: 535 no", LISTEN),
        ),
        AuthenticationFailed,
        *(f"AUTH XOAUTH2 {XOAUTH2}", "", "*"),
        settings={"auth": TOKEN},
    ),
    case(
        "xoauth2-235-behind-the-error",
        (*offering("XOAUTH2"), f"C: AUTH XOAUTH2 {XOAUTH2}", "S: 334 e30=", "C: ", "S: 235 welcome", LISTEN),
        AuthenticationFailed,
        *(f"AUTH XOAUTH2 {XOAUTH2}", ""),
        settings={"auth": TOKEN},
    ),
]

CASES: Final = [*EXCHANGES, *REFUSALS, *SCRAMS, *TOKENS]
