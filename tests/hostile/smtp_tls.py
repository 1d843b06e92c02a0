"""SMTP servers, and those in between, that want a client to go on without TLS, or with whom it must not go on."""

import hashlib
import ssl
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
    ServiceNotAvailable,
    TLSFailed,
)
from mailwire.testing import (
    CLIENT_HELLO,
    FIN,
    LISTEN,
    MAIL_DATA,
    PACKET,
    RST,
    STALL,
    Beneath,
    Endless,
    Slow,
    Step,
    Tls,
    authority_file,
)
from tests.hostile.case import Case, Deed, Outcome, lines

__all__ = ["A_TLS_PORT", "CASES", "IT_MAY_BE_TLS"]

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
A_TLS_PORT: Final = "a port that expects TLS from the first byte"
IT_MAY_BE_TLS: Final = f"it may be {A_TLS_PORT}"
SELF_SIGNED: Final = hashlib.sha256(
    ssl.PEM_cert_to_DER_cert((authority_file().parent / "self-signed.pem").read_text("ascii"))
).hexdigest()

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
    case("ehlo-421", (*GREETED, "S: 421 busy", FIN), ServiceNotAvailable, SAID_EHLO, attributes={"reply.code": 421}),
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
        text="agreed to begin TLS and goes on in the clear",
    ),
    # In a packet of its own it comes when the client is about to say hello, or has.
    case(
        "starttls-inject-next-packet",
        (*ASKED, "S: 220 ok", PACKET, "S: 250-x", "S: 250 AUTH PLAIN", LISTEN),
        TLSFailed,
        SAID_STARTTLS,
        hello=True,
    ),
    case(
        "starttls-inject-beneath-tls",
        (*UPGRADED, Beneath(b"250-mx\r\n250 AUTH PLAIN\r\n"), LISTEN),
        ConnectionLost,
        SAID_STARTTLS,
        hello=True,
        under_tls=lines(EHLO),
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

# What is wrong with a certificate, and its name.
CERTIFICATES: Final = (("wrong-name", "other-host"), ("self-signed", "self-signed"), ("expired", "expired"))

HANDSHAKES: Final = [
    *(
        case(
            f"cert-{fault}", (*ASKED, "S: 220 go", Tls(name)), TLSFailed, SAID_STARTTLS, hello=True, text="certificate"
        )
        for fault, name in CERTIFICATES
    ),
    *(
        case(f"implicit-cert-{fault}", (Tls(name),), TLSFailed, b"", settings=IMPLICIT, hello=True, text="certificate")
        for fault, name in CERTIFICATES
    ),
    case("hang-up-behind-go-ahead", (*ASKED, "S: 220 go", FIN, LISTEN), TLSFailed, SAID_STARTTLS, hello=None),
    # Where the context is ours, both names are told.
    case(
        "cert-wrong-name-and-our-context",
        (*ASKED, "S: 220 go", Tls("other-host")),
        TLSFailed,
        SAID_STARTTLS,
        settings={"tls": "starttls", "tls_context": None, "tls_ca_file": authority_file()},
        hello=True,
        text=r"it is for other\.invalid, and (localhost|127\.0\.0\.1) was asked for",
    ),
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
    *(
        case(name, (*said, LISTEN), TLSFailed, b"", settings=IMPLICIT, hello=None, text="plaintext SMTP, not TLS")
        for name, said in {
            "implicit-plaintext": ("S: 220 mx",),
            "implicit-stripped": ("S: 220 mx", "S: 250 STARTTLS"),
            "implicit-refused": ("S: 554 talk too early",),
            "implicit-noise": (b"hello\0\xff",),
        }.items()
    ),
    # A port for implicit TLS waits for us to say hello, while we wait for its greeting. In the end it goes, or tells us
    # by an alert of TLS that it has waited long enough (RFC 8446 6).
    case("tls-port-is-silent", (STALL,), DeadlineExceeded, b"", seconds=300, text=IT_MAY_BE_TLS),
    case("tls-port-hangs-up", (FIN, LISTEN), ConnectionLost, b"", text=IT_MAY_BE_TLS),
    case(
        "tls-port-says-so", (b"\x15\x03\x01\x00\x02\x02\x50", LISTEN), TLSFailed, b"", text="looks like " + A_TLS_PORT
    ),
    *(
        case(f"another-certificate-{name}", script, TLSFailed, said, settings={**mode, "tls_pin": "0" * 64}, hello=True)
        for name, script, said, mode in (
            ("behind-starttls", (*ASKED, "S: 220 go", Tls(), LISTEN), SAID_STARTTLS, STARTTLS),
            ("implicit", (Tls(), LISTEN), b"", IMPLICIT),
        )
    ),
    # Nor does the right one help that nobody trustworthy has signed.
    case(
        "pinned-and-self-signed",
        (*ASKED, "S: 220 go", Tls("self-signed")),
        TLSFailed,
        SAID_STARTTLS,
        settings={**STARTTLS, "tls_pin": SELF_SIGNED},
        hello=True,
    ),
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
        text="offers no mechanism",
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
    # What is said of a refusal is the last refusal alone.
    *(
        case(
            f"ehlo-{code}-under-tls",
            (*ASKED[:-2], "S: 250-AUTH PLAIN", *ASKED[-2:], "S: 220 go", Tls(), f"C: {EHLO}", f"S: {code} later", *end),
            error,
            SAID_STARTTLS,
            hello=True,
            under_tls=lines(EHLO),
            text=rf"^EHLO \[127\.0\.0\.1\] was refused: {code} later$",
        )
        for code, end, error in ((450, (STALL,), ReplyError), (421, (FIN,), ServiceNotAvailable))
    ),
    case(
        "helo-under-tls-for-anonymous",
        (
            *(*ASKED[:-2], "S: 250-PIPELINING", "S: 250-SIZE 1000", *ASKED[-2:], "S: 220 go", Tls()),
            *(f"C: {EHLO}", "S: 502 what", "C: HELO [127.0.0.1]", "S: 250 mx"),
            *(f"C: {SENT[0]}", "S: 250 ok", f"C: {SENT[1]}", "S: 250 ok", f"C: {SENT[2]}", "S: 354 go", MAIL_DATA),
            *("S: 250 taken", "C: QUIT", "S: 221 bye"),
        ),
        None,
        SAID_STARTTLS,
        settings=ANONYMOUS,
        deeds=("send", "client.send"),
        hello=True,
        under_tls=lines(EHLO, "HELO [127.0.0.1]", *SENT, "Subject: x", "", "hello", ".", "QUIT"),
        delivery=Delivery.ACCEPTED,
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
