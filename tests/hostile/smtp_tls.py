"""SMTP servers, and those in between, that want a client to go on without TLS, or with whom it must not go on."""

from typing import Any, Final

from mailwire import (
    AuthenticationFailed,
    ConnectionLost,
    DeadlineExceeded,
    Delivery,
    InjectedData,
    MailwireError,
    NotSupported,
    RemoteProtocolError,
    ReplyError,
    SecurityError,
    TLSFailed,
)
from mailwire.testing import CLIENT_HELLO, FIN, LISTEN, MAIL_DATA, RST, STALL, Endless, Slow, Step, Tls
from tests.hostile.case import Case, Deed, Outcome, lines

__all__ = ["CASES"]

STARTTLS: Final = {"tls": "starttls"}
IMPLICIT: Final = {"tls": "implicit"}
ANONYMOUS: Final = {"tls": "starttls", "auth": None}
# Such leave is for links without TLS, and no reason to do without.
CARELESS: Final = {"tls": "starttls", "allow_cleartext_auth": True}

EHLO: Final = "EHLO [127.0.0.1]"
GREETED: Final[tuple[Step, ...]] = ("S: 220 mx", f"C: {EHLO}")
OFFERED: Final[tuple[Step, ...]] = (*GREETED, "S: 250-mx", "S: 250 STARTTLS")
ASKED: Final[tuple[Step, ...]] = (*OFFERED, "C: STARTTLS")
UPGRADED: Final[tuple[Step, ...]] = (*ASKED, "S: 220 go", Tls(), f"C: {EHLO}")

SAID_EHLO: Final = lines(EHLO)
SAID_STARTTLS: Final = lines(EHLO, "STARTTLS")
SENT: Final = ("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.org>", "DATA")


def case(
    name: str,
    script: tuple[Step, ...],
    error: type[MailwireError] | None,
    said: bytes,
    *,
    settings: dict[str, Any] = STARTTLS,
    deeds: tuple[Deed, ...] = ("connect", "send"),
    seconds: float = 0,
    **outcome: Any,
) -> Case:
    return Case(name, script, Outcome(error, said, **outcome), {"protocol": "smtp", **settings}, deeds, seconds)


STRIPPED: Final = [
    case("strip-capability", (*GREETED, "S: 250-mx", "S: 250 AUTH PLAIN", STALL), SecurityError, SAID_EHLO),
    case("strip-all-capabilities", (*GREETED, "S: 250 mx", STALL), SecurityError, SAID_EHLO),
    case("misspell-capability", (*GREETED, "S: 250-mx", "S: 250 STARTTLSX", STALL), SecurityError, SAID_EHLO),
    case("strip-for-anonymous", (*GREETED, "S: 250 mx", STALL), SecurityError, SAID_EHLO, settings=ANONYMOUS),
    case("strip-for-the-careless", (*GREETED, "S: 250 AUTH PLAIN", STALL), SecurityError, SAID_EHLO, settings=CARELESS),
    # Whoever is refused EHLO may say HELO (RFC 5321 3.2), and has lost STARTTLS by that.
    *(
        case(f"helo-fallback-{code}", (*GREETED, f"S: {code} what", STALL), SecurityError, SAID_EHLO)
        for code in (500, 501, 502, 550, 554)
    ),
    case("ehlo-not-now", (*GREETED, "S: 450 later", STALL), ReplyError, SAID_EHLO, attributes={"is_transient": True}),
    case("ehlo-421", (*GREETED, "S: 421 busy", FIN), ReplyError, SAID_EHLO, attributes={"reply.code": 421}),
]

# Only 220 opens the handshake (RFC 3207 4).
REFUSED: Final = [
    *(
        case(f"starttls-{code}", (*ASKED, f"S: {code} \x1b[31mno\x07", STALL), TLSFailed, SAID_STARTTLS)
        for code in (421, 454, 500, 501, 502, 503, 530, 534, 550, 554)
    ),
    *(
        case(f"starttls-{code}", (*ASKED, f"S: {code} do something else", STALL), TLSFailed, SAID_STARTTLS)
        for code in (211, 221, 235, 250, 251, 334, 354)
    ),
    case("starttls-mixed-codes", (*ASKED, "S: 220-go", "S: 250 ok", STALL), RemoteProtocolError, SAID_STARTTLS),
    case("starttls-no-code", (*ASKED, "S: go ahead", STALL), RemoteProtocolError, SAID_STARTTLS),
    case("starttls-hang-up", (*ASKED, FIN), ConnectionLost, SAID_STARTTLS),
    case("starttls-half-a-go-ahead", (*ASKED, b"220 go", FIN), ConnectionLost, SAID_STARTTLS),
]

# What is said in the clear behind the go-ahead would be taken for the first words under TLS (CVE-2011-0411).
INJECTED: Final = [
    case(
        "starttls-inject-lines",
        (*ASKED, "S: 220 ok", "S: 250-x", "S: 250 AUTH PLAIN", Tls()),
        InjectedData,
        SAID_STARTTLS,
    ),
    case("starttls-inject-fragment", (*ASKED, b"220 ok\r\n250", Tls()), InjectedData, SAID_STARTTLS),
    case("starttls-inject-line-end", (*ASKED, b"220 ok\r\n\n", Tls()), InjectedData, SAID_STARTTLS),
    case("starttls-inject-nul", (*ASKED, b"220 ok\r\n\0", Tls()), InjectedData, SAID_STARTTLS),
    case("starttls-inject-421", (*ASKED, "S: 220 ok", "S: 421 bye", FIN), InjectedData, SAID_STARTTLS),
    case("starttls-inject-record", (*ASKED, b"220 ok\r\n\x16\x03\x03\x00\x7a", Tls()), InjectedData, SAID_STARTTLS),
    case(
        "starttls-inject-behind-hello",
        (*ASKED, "S: 220 ok", CLIENT_HELLO, "S: 250-x", "S: 250 AUTH PLAIN", LISTEN),
        TLSFailed,
        SAID_STARTTLS,
        hello=True,
    ),
    case("starttls-answered-before", (*OFFERED, "S: 220 go", Tls()), RemoteProtocolError, SAID_EHLO),
    case(
        "starttls-answered-with-greeting",
        ("S: 220 mx", "S: 250 STARTTLS", "S: 220 go", Tls()),
        RemoteProtocolError,
        b"",
    ),
    case("ehlo-answered-before", ("S: 220 mx", "S: 250 mx", STALL), RemoteProtocolError, b""),
]

HANDSHAKES: Final = [
    *(
        case(f"cert-{name}", (*ASKED, "S: 220 go", Tls(name)), TLSFailed, SAID_STARTTLS, hello=True, text="certificate")
        for name in ("other-host", "self-signed", "expired")
    ),
    *(
        case(f"implicit-cert-{name}", (Tls(name),), TLSFailed, b"", settings=IMPLICIT, hello=True, text="certificate")
        for name in ("other-host", "self-signed", "expired")
    ),
    case("hang-up-behind-go-ahead", (*ASKED, "S: 220 go", FIN, LISTEN), TLSFailed, SAID_STARTTLS, hello=None),
    case("hang-up-behind-hello", (*ASKED, "S: 220 go", CLIENT_HELLO, FIN), TLSFailed, SAID_STARTTLS, hello=True),
    case("reset-behind-hello", (*ASKED, "S: 220 go", CLIENT_HELLO, RST), TLSFailed, SAID_STARTTLS, hello=True),
    case(
        "stall-behind-go-ahead",
        (*ASKED, "S: 220 go", CLIENT_HELLO, STALL),
        DeadlineExceeded,
        SAID_STARTTLS,
        hello=True,
        seconds=30,
    ),
    case(
        "slow-handshake",
        (*ASKED, "S: 220 go", CLIENT_HELLO, b"\x16\x03\x03\x40\x00", Slow(Endless(b"\0"), 2)),
        DeadlineExceeded,
        SAID_STARTTLS,
        hello=True,
        seconds=30,
    ),
    case("implicit-stall", (CLIENT_HELLO, STALL), DeadlineExceeded, b"", settings=IMPLICIT, hello=True, seconds=30),
    case("implicit-hang-up", (FIN, LISTEN), TLSFailed, b"", settings=IMPLICIT, hello=None),
    case("implicit-plaintext", ("S: 220 mx", LISTEN), TLSFailed, b"", settings=IMPLICIT, hello=None),
    case("implicit-stripped", ("S: 220 mx", "S: 250 STARTTLS", LISTEN), TLSFailed, b"", settings=IMPLICIT, hello=None),
    # A port for implicit TLS: it waits for us to say hello, and we for its greeting.
    case("tls-instead-of-greeting", (STALL,), DeadlineExceeded, b"", seconds=300),
]

# What was learnt in the clear is forgotten (RFC 3207 4.2).
CAPABILITIES: Final = [
    case(
        "capabilities-change",
        (
            *ASKED[:-2],
            "S: 250-SIZE 10",
            "S: 250-AUTH PLAIN",
            *ASKED[-2:],
            "S: 220 go",
            Tls(),
            f"C: {EHLO}",
            "S: 250 mx",
        ),
        AuthenticationFailed,
        SAID_STARTTLS,
        hello=True,
        under_tls=lines(EHLO),
    ),
    case(
        "size-changes",
        (
            *(*ASKED[:-2], "S: 250-SIZE 10", *ASKED[-2:], "S: 220 go", Tls(), f"C: {EHLO}", "S: 250 mx"),
            *(f"C: {SENT[0]}", "S: 250 ok", f"C: {SENT[1]}", "S: 250 ok", f"C: {SENT[2]}", "S: 354 go", MAIL_DATA),
            *("S: 250 taken", "C: QUIT", "S: 221 bye"),
        ),
        None,
        SAID_STARTTLS,
        settings=ANONYMOUS,
        deeds=("send",),
        hello=True,
        under_tls=lines(EHLO, *SENT, "Subject: x", "", "hello", ".", "QUIT"),
        delivery=Delivery.ACCEPTED,
    ),
    case(
        "starttls-offered-again",
        (*UPGRADED, "S: 250-mx", "S: 250 STARTTLS", "C: QUIT", "S: 221 bye"),
        None,
        SAID_STARTTLS,
        settings=ANONYMOUS,
        deeds=("connect",),
        hello=True,
        under_tls=lines(EHLO, "QUIT"),
    ),
    case(
        "helo-fallback-under-tls",
        (*UPGRADED, "S: 502 what", STALL),
        NotSupported,
        SAID_STARTTLS,
        hello=True,
        under_tls=lines(EHLO),
        attributes={"extension": "AUTH"},
    ),
]

CASES: Final = [*STRIPPED, *REFUSED, *INJECTED, *HANDSHAKES, *CAPABILITIES]
