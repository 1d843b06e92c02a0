"""SMTP servers that break the exchange of AUTH, or would like to have the credentials another way."""

from typing import Any, Final

from mailwire import (
    AuthenticationFailed,
    DeadlineExceeded,
    LimitExceeded,
    MailwireError,
    Preferences,
    RemoteProtocolError,
    SecurityError,
    ServerUnproven,
)
from mailwire.testing import FIN, LISTEN, STALL, Step, Tls
from tests.hostile.case import EVERYWHERE, PASSWORD, Case, Deed, Outcome, Surroundings, lines
from tests.hostile.mechanisms import NONCE, PROVIDED, TOKEN, Endless, b64, scram, scram_dialogue
from tests.sasl.secrecy import CANARY

__all__ = ["CASES"]

EHLO: Final = "EHLO [127.0.0.1]"


def offering(*mechanisms: str) -> tuple[Step, ...]:
    return (Tls(), "S: 220 mx", f"C: {EHLO}", "S: 250-mx", f"S: 250 AUTH {' '.join(mechanisms)}")


USER, PASS = b64(PASSWORD.user), b64(CANARY)
PLAIN: Final = f"AUTH PLAIN {b64(f'{chr(0)}{PASSWORD.user}{chr(0)}{CANARY}')}"
CLIENT_FIRST: Final = f"AUTH SCRAM-SHA-256 {b64(f'n,,n={PASSWORD.user},r={NONCE}')}"
SCRAM: Final[tuple[Step, ...]] = (*offering("SCRAM-SHA-256", "PLAIN"), f"C: {CLIENT_FIRST}")
FINAL: Final = scram_dialogue()
PROOF: Final[tuple[Step, ...]] = (*SCRAM, f"S: 334 {FINAL[1]}", f"C: {FINAL[2]}")
# In OAUTHBEARER the server's host and port are told, which differ where the client is given a port.
BY_NAME: Final = tuple(each for each in EVERYWHERE if each[0] != "port")
SALT: Final = b64("salt of the test")
BEARER_REFUSED: Final = '{"status":"invalid_token","scope":"a\\u001b[31m","openid-configuration":"https://x/"}'
NO_TOKEN: Final = '{"status":"401","schemes":"bearer","scope":"https://mail/"}'
XOAUTH2: Final = b64(f"user={TOKEN.user}\x01auth=Bearer {TOKEN.token}\x01\x01")
PROVIDED_1, PROVIDED_2 = (b64(f"user={PROVIDED.user}\x01auth=Bearer {CANARY}-{number}\x01\x01") for number in (1, 2))
BEARER: Final = b64(f"n,a={TOKEN.user},\x01host=localhost\x01port=465\x01auth=Bearer {TOKEN.token}\x01\x01")


def case(
    name: str,
    script: tuple[Step, ...],
    error: type[MailwireError] | None,
    *said: str,
    deeds: tuple[Deed, ...] = ("connect", "send"),
    seconds: float = 0,
    settings: dict[str, Any] | None = None,
    surroundings: tuple[Surroundings, ...] = EVERYWHERE,
    **outcome: Any,
) -> Case:
    """A case under implicit TLS, where a client may say all: `said` are its lines behind EHLO."""
    told = Outcome(error, hello=True, under_tls=lines(EHLO, *said), **outcome)
    where = {"protocol": "smtp", "tls": "implicit", **(settings or {})}
    return Case(name, script, told, where, deeds, seconds, surroundings=surroundings)


def by_scram(name: str, server_first: str, error: type[MailwireError], **outcome: Any) -> Case:
    """The server's first message is one for which there is no proof."""
    script = (*SCRAM, f"S: 334 {b64(server_first)}", "C: *", "S: 501 cancelled", LISTEN)
    return case(name, script, error, CLIENT_FIRST, "*", settings={"auth": scram}, **outcome)


def by_scram_final(name: str, server_final: str, error: type[MailwireError], **outcome: Any) -> Case:
    """The server's last message proves nothing; the proof of the client is out by then."""
    script = (*PROOF, f"S: 334 {server_final}", "C: *", "S: 501 cancelled", LISTEN)
    return case(name, script, error, CLIENT_FIRST, FINAL[2], "*", settings={"auth": scram}, **outcome)


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
        "auth-334-for-ever-to-one-who-answers",
        (
            *(*offering("X-ENDLESS"), "C: AUTH X-ENDLESS", *(f"S: 334 {b64('what')}", f"C: {b64('more')}") * 8),
            *(f"S: 334 {b64('what')}", "C: *", "S: 501 cancelled", LISTEN),
        ),
        AuthenticationFailed,
        *("AUTH X-ENDLESS", *[b64("more")] * 8, "*"),
        settings={"auth": Endless},
        text="went on asking after 8 challenges",
    ),
    case(
        "auth-334-longer-than-a-line",
        (*offering("LOGIN"), "C: AUTH LOGIN", f"S: 334 {'A' * 12_288}", LISTEN),
        LimitExceeded,
        "AUTH LOGIN",
    ),
    case(
        "auth-334-in-lines-with-other-codes",
        (*offering("LOGIN"), "C: AUTH LOGIN", "S: 334-", "S: 235 welcome", LISTEN),
        RemoteProtocolError,
        "AUTH LOGIN",
    ),
    case(
        "auth-answered-before",
        (*offering("LOGIN")[:-1], "S: 250 AUTH LOGIN", "S: 334 ", LISTEN),
        RemoteProtocolError,
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
    # It is used only where the caller names it.
    case("auth-only-cram-md5-offered", (*offering("CRAM-MD5"), LISTEN), AuthenticationFailed),
    case(
        "auth-for-a-token-that-cannot-be-presented",
        (*offering("PLAIN", "LOGIN"), LISTEN),
        AuthenticationFailed,
        settings={"auth": TOKEN},
    ),
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
    by_scram(
        "scram-i-4294967295",
        f"r={NONCE}x,s={SALT},i=4294967295",
        AuthenticationFailed,
        text="more than 1000000",
        work=0.05,
    ),
    by_scram("scram-i-5000-digits", f"r={NONCE}x,s={SALT},i={'9' * 3000}", AuthenticationFailed),
    by_scram("scram-i-word", f"r={NONCE}x,s={SALT},i=many", AuthenticationFailed),
    by_scram("scram-other-nonce", f"r=another{NONCE},s={SALT},i=4096", AuthenticationFailed, text="nonce"),
    by_scram("scram-same-nonce", f"r={NONCE},s={SALT},i=4096", AuthenticationFailed, text="nonce"),
    by_scram("scram-extension", f"m=x,r={NONCE}x,s={SALT},i=4096", AuthenticationFailed, text="extension"),
    by_scram("scram-bad-salt", f"r={NONCE}x,s=!!!,i=4096", AuthenticationFailed),
    by_scram("scram-out-of-order", f"s={SALT},r={NONCE}x,i=4096", AuthenticationFailed),
    by_scram("scram-error", "e=unknown-user", AuthenticationFailed, text="unknown-user"),
    by_scram("scram-signature-first", f"v={SALT}", AuthenticationFailed),
    by_scram_final(
        "scram-signature-wrong", b64(f"v={b64('wrong')}"), ServerUnproven, text="does not know the password"
    ),
    by_scram_final("scram-signature-missing", b64("x=y"), ServerUnproven, text="without a signature"),
    by_scram_final("scram-final-empty", "", AuthenticationFailed),
    by_scram_final("scram-final-no-attribute", b64("welcome"), AuthenticationFailed),
    by_scram_final("scram-final-error", b64("e=other-error"), AuthenticationFailed, text="other-error"),
    by_scram_final("scram-final-says-the-proof-back", FINAL[2], ServerUnproven, hidden=(FINAL[2],)),
    case(
        "scram-final-skipped",
        (*PROOF, "S: 235 welcome", LISTEN),
        ServerUnproven,
        *(CLIENT_FIRST, FINAL[2]),
        settings={"auth": scram},
        text="reports success before the exchange is complete",
    ),
    case(
        "scram-goes-on-behind-the-final",
        (*PROOF, f"S: 334 {FINAL[3]}", "C: ", f"S: 334 {FINAL[3]}", "C: *", "S: 501 no", LISTEN),
        AuthenticationFailed,
        *(CLIENT_FIRST, FINAL[2], "", "*"),
        settings={"auth": scram},
    ),
    case(
        "scram-refused-behind-the-final",
        (*PROOF, f"S: 334 {FINAL[3]}", "C: ", "S: 535 no", LISTEN),
        AuthenticationFailed,
        *(CLIENT_FIRST, FINAL[2], ""),
        settings={"auth": scram},
        attributes={"answer.code": 535},
    ),
    case(
        "scram-proven",
        (*PROOF, f"S: 334 {FINAL[3]}", "C: ", "S: 235 welcome", "C: QUIT", "S: 221 bye"),
        None,
        *(CLIENT_FIRST, FINAL[2], "", "QUIT"),
        settings={"auth": scram},
        deeds=("connect",),
    ),
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

# A fresh token is asked for at most once, and of nobody who broke the exchange.
RENEWALS: Final = [
    case(
        "xoauth2-both-refused",
        (
            *(*offering("XOAUTH2"), f"C: AUTH XOAUTH2 {PROVIDED_1}", f"S: 334 {b64(NO_TOKEN)}", "C: ", "S: 535 no"),
            *(f"C: AUTH XOAUTH2 {PROVIDED_2}", f"S: 334 {b64(NO_TOKEN)}", "C: ", "S: 535 still no", LISTEN),
        ),
        AuthenticationFailed,
        *(f"AUTH XOAUTH2 {PROVIDED_1}", "", f"AUTH XOAUTH2 {PROVIDED_2}", ""),
        settings={"auth": PROVIDED},
        text="535 still no",
    ),
    case(
        "xoauth2-renewed",
        (
            *(*offering("XOAUTH2"), f"C: AUTH XOAUTH2 {PROVIDED_1}", f"S: 334 {b64(NO_TOKEN)}", "C: ", "S: 535 no"),
            *(f"C: AUTH XOAUTH2 {PROVIDED_2}", "S: 235 welcome", "C: QUIT", "S: 221 bye"),
        ),
        None,
        *(f"AUTH XOAUTH2 {PROVIDED_1}", "", f"AUTH XOAUTH2 {PROVIDED_2}", "QUIT"),
        settings={"auth": PROVIDED},
        deeds=("connect",),
    ),
    case(
        "xoauth2-for-ever-and-a-provider",
        (
            *(*offering("XOAUTH2"), f"C: AUTH XOAUTH2 {PROVIDED_1}", "S: 334 e30=", "C: ", "S: 334 e30=", "C: *"),
            *("S: 535 no", LISTEN),
        ),
        AuthenticationFailed,
        *(f"AUTH XOAUTH2 {PROVIDED_1}", "", "*"),
        settings={"auth": PROVIDED},
    ),
    case(
        "xoauth2-235-behind-the-error-and-a-provider",
        (*offering("XOAUTH2"), f"C: AUTH XOAUTH2 {PROVIDED_1}", "S: 334 e30=", "C: ", "S: 235 welcome", LISTEN),
        AuthenticationFailed,
        *(f"AUTH XOAUTH2 {PROVIDED_1}", ""),
        settings={"auth": PROVIDED},
    ),
    case(
        "xoauth2-not-now",
        (*offering("XOAUTH2"), f"C: AUTH XOAUTH2 {PROVIDED_1}", "S: 454 later", LISTEN),
        AuthenticationFailed,
        f"AUTH XOAUTH2 {PROVIDED_1}",
        settings={"auth": PROVIDED},
        attributes={"is_transient": True},
    ),
    case(
        "oauthbearer-error-then-535",
        (
            *(*offering("OAUTHBEARER", "XOAUTH2"), f"C: AUTH OAUTHBEARER {BEARER}"),
            f"S: 334 {b64(BEARER_REFUSED)}",
            *("C: AQ==", "S: 535 no", LISTEN),
        ),
        AuthenticationFailed,
        *(f"AUTH OAUTHBEARER {BEARER}", "AQ=="),
        settings={"auth": TOKEN},
        attributes={
            "oauth.status": "invalid_token",
            "oauth.scope": r"a\x1b[31m",
            "oauth.openid_configuration": "https://x/",
        },
        surroundings=BY_NAME,
    ),
    *(
        case(
            f"oauthbearer-error-{name}",
            (
                *(*offering("OAUTHBEARER"), f"C: AUTH OAUTHBEARER {BEARER}", f"S: 334 {b64(said)}"),
                *("C: AQ==", "S: 535 no", LISTEN),
            ),
            AuthenticationFailed,
            *(f"AUTH OAUTHBEARER {BEARER}", "AQ=="),
            settings={"auth": TOKEN},
            attributes={"oauth.status": ""},
            surroundings=BY_NAME,
        )
        for name, said in {
            "that-is-deep": "[" * 4000,
            "that-is-no-object": '"invalid_token"',
            "that-is-no-json": "invalid_token",
            "that-says-the-token-back": f'{{"scope":"{CANARY}"}}',
            "that-is-a-number": '{"status":' + "9" * 5000 + "}",
        }.items()
    ),
]

CASES: Final = [*EXCHANGES, *REFUSALS, *SCRAMS, *TOKENS, *RENEWALS]
