"""POP3 servers, and those in between, that want a client to go on without TLS, or with whom it must not go on."""

from typing import Any, Final

from mailwire import (
    AuthenticationFailed,
    ConnectionLost,
    DeadlineExceeded,
    InjectedData,
    MailwireError,
    Preferences,
    RemoteProtocolError,
    ResponseError,
    SecurityError,
    TLSFailed,
)
from mailwire.testing import (
    CLIENT_HELLO,
    FIN,
    LISTEN,
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
from tests.hostile.case import PASSWORD, Case, Deed, Outcome, lines
from tests.hostile.smtp_tls import A_TLS_PORT, IT_MAY_BE_TLS

__all__ = ["CASES"]

STLS: Final = {"tls": "starttls"}
IMPLICIT: Final = {"tls": "implicit"}
ANONYMOUS: Final = {"tls": "starttls", "auth": None}
# Such leave is for links without TLS, and no reason to do without.
CARELESS: Final = {"tls": "starttls", "allow_cleartext_auth": True}

GREETED: Final[tuple[Step, ...]] = ("S: +OK pop", "C: CAPA")
OFFERED: Final[tuple[Step, ...]] = (*GREETED, "S: +OK", "S: STLS", "S: .")
ASKED: Final[tuple[Step, ...]] = (*OFFERED, "C: STLS")
UPGRADED: Final[tuple[Step, ...]] = (*ASKED, "S: +OK go", Tls(), "C: CAPA")

SAID_CAPA: Final = lines("CAPA")
SAID_STLS: Final = lines("CAPA", "STLS")


def case(
    name: str,
    script: tuple[Step, ...],
    error: type[MailwireError] | None,
    said: bytes,
    *,
    settings: dict[str, Any] = STLS,
    deeds: tuple[Deed, ...] = ("connect", "retrieve"),
    seconds: float = 0,
    **outcome: Any,
) -> Case:
    return Case(name, script, Outcome(error, said, **outcome), {"protocol": "pop3", **settings}, deeds, seconds)


STRIPPED: Final = [
    case("greeting-err", ("S: -ERR POP3 server ready", STALL), ResponseError, b"", text="POP3 server ready"),
    case("capa-err-strip", (*GREETED, "S: -ERR what", "C: STLS", "S: -ERR what", STALL), TLSFailed, SAID_STLS),
    case(
        "capa-without-stls", (*GREETED, "S: +OK", "S: USER", "S: SASL PLAIN", "S: .", STALL), SecurityError, SAID_CAPA
    ),
    case("capa-empty", (*GREETED, "S: +OK", "S: .", STALL), SecurityError, SAID_CAPA),
    case("strip-for-anonymous", (*GREETED, "S: +OK", "S: .", STALL), SecurityError, SAID_CAPA, settings=ANONYMOUS),
    case("strip-for-the-careless", (*GREETED, "S: +OK", "S: .", STALL), SecurityError, SAID_CAPA, settings=CARELESS),
    case(
        "capa-1Bps",
        (*GREETED, "S: +OK", Slow(Endless(b"a"), 1)),
        DeadlineExceeded,
        SAID_CAPA,
        attributes={"phase": "response"},
        seconds=60,
    ),
    case(
        "capa-1Bps-lines",
        (*GREETED, "S: +OK", Slow(Endless(b"X\r\n"), 3)),
        DeadlineExceeded,
        SAID_CAPA,
        seconds=60,
    ),
]

REFUSED: Final = [
    case("stls-refused", (*ASKED, "S: -ERR \x1b[31mno\x07", STALL), TLSFailed, SAID_STLS),
    case("stls-refused-for-now", (*ASKED, "S: -ERR [SYS/TEMP] later", STALL), TLSFailed, SAID_STLS),
    case("stls-challenged", (*ASKED, "S: + go", STALL), RemoteProtocolError, SAID_STLS),
    case("stls-no-status", (*ASKED, "S: go ahead", STALL), RemoteProtocolError, SAID_STLS),
    case("stls-by-smtp", (*ASKED, "S: 220 go", STALL), RemoteProtocolError, SAID_STLS),
    case("stls-hang-up", (*ASKED, FIN), ConnectionLost, SAID_STLS),
    case("stls-half-a-go-ahead", (*ASKED, b"+OK go", FIN), ConnectionLost, SAID_STLS),
]

# What is said in the clear behind the go-ahead would be taken for the first words under TLS (CVE-2011-0411).
INJECTED: Final = [
    case("stls-inject-lines", (*ASKED, "S: +OK go", "S: +OK", "S: PLAIN", "S: .", Tls()), InjectedData, SAID_STLS),
    case("stls-inject-fragment", (*ASKED, b"+OK go\r\n+", Tls()), InjectedData, SAID_STLS),
    case("stls-inject-line-end", (*ASKED, b"+OK go\r\n\n", Tls()), InjectedData, SAID_STLS),
    case("stls-inject-err", (*ASKED, "S: +OK go", "S: -ERR bye", FIN), InjectedData, SAID_STLS),
    case("stls-inject-record", (*ASKED, b"+OK go\r\n\x16\x03\x03\x00\x7a", Tls()), InjectedData, SAID_STLS),
    case(
        "stls-inject-behind-hello",
        (*ASKED, "S: +OK go", CLIENT_HELLO, "S: +OK", "S: SASL PLAIN", "S: .", LISTEN),
        TLSFailed,
        SAID_STLS,
        hello=True,
        text="agreed to begin TLS and goes on in the clear",
    ),
    case(
        "stls-inject-next-packet",
        (*ASKED, "S: +OK go", PACKET, "S: +OK", "S: SASL PLAIN", "S: .", LISTEN),
        TLSFailed,
        SAID_STLS,
        hello=True,
    ),
    case(
        "stls-inject-beneath-tls",
        (*UPGRADED, Beneath(b"+OK\r\nSASL PLAIN\r\n.\r\n"), LISTEN),
        ConnectionLost,
        SAID_STLS,
        hello=True,
        under_tls=lines("CAPA"),
    ),
    case("stls-answered-before", (*OFFERED, "S: +OK go", Tls()), RemoteProtocolError, SAID_CAPA),
    case("stls-answered-with-greeting", ("S: +OK pop", "S: +OK", "S: STLS", "S: .", Tls()), RemoteProtocolError, b""),
]

# What is wrong with a certificate, and its name.
CERTIFICATES: Final = (("wrong-name", "other-host"), ("self-signed", "self-signed"), ("expired", "expired"))

HANDSHAKES: Final = [
    *(
        case(f"cert-{fault}", (*ASKED, "S: +OK go", Tls(name)), TLSFailed, SAID_STLS, hello=True, text="certificate")
        for fault, name in CERTIFICATES
    ),
    *(
        case(f"implicit-cert-{fault}", (Tls(name),), TLSFailed, b"", settings=IMPLICIT, hello=True, text="certificate")
        for fault, name in CERTIFICATES
    ),
    # Where the context is ours, both names are told.
    case(
        "cert-wrong-name-and-our-context",
        (*ASKED, "S: +OK go", Tls("other-host")),
        TLSFailed,
        SAID_STLS,
        settings={"tls": "starttls", "tls_context": None, "tls_ca_file": authority_file()},
        hello=True,
        text=r"it is for other\.invalid, and (localhost|127\.0\.0\.1) was asked for",
    ),
    case("hang-up-behind-hello", (*ASKED, "S: +OK go", CLIENT_HELLO, FIN), TLSFailed, SAID_STLS, hello=True),
    case("reset-behind-hello", (*ASKED, "S: +OK go", CLIENT_HELLO, RST), TLSFailed, SAID_STLS, hello=True),
    case(
        "stall-behind-go-ahead",
        (*ASKED, "S: +OK go", CLIENT_HELLO, STALL),
        DeadlineExceeded,
        SAID_STLS,
        hello=True,
        seconds=30,
    ),
    case("implicit-stall", (CLIENT_HELLO, STALL), DeadlineExceeded, b"", settings=IMPLICIT, hello=True, seconds=30),
    case("implicit-hang-up", (FIN, LISTEN), TLSFailed, b"", settings=IMPLICIT, hello=None),
    *(
        case(
            name, (f"S: {said}", LISTEN), TLSFailed, b"", settings=IMPLICIT, hello=None, text="plaintext POP3, not TLS"
        )
        for name, said in {"implicit-plaintext": "+OK pop", "implicit-refused": "-ERR wait"}.items()
    ),
    case("tls-port-is-silent", (STALL,), DeadlineExceeded, b"", seconds=300, text=IT_MAY_BE_TLS),
    case("tls-port-hangs-up", (FIN, LISTEN), ConnectionLost, b"", text=IT_MAY_BE_TLS),
    case(
        "tls-port-says-so", (b"\x15\x03\x01\x00\x02\x02\x50", LISTEN), TLSFailed, b"", text="looks like " + A_TLS_PORT
    ),
    *(
        case(f"another-certificate-{name}", script, TLSFailed, said, settings={**mode, "tls_pin": "0" * 64}, hello=True)
        for name, script, said, mode in (
            ("behind-stls", (*ASKED, "S: +OK go", Tls(), LISTEN), SAID_STLS, STLS),
            ("implicit", (Tls(), LISTEN), b"", IMPLICIT),
        )
    ),
]

# What was learnt in the clear is forgotten (RFC 2595 4).
CAPABILITIES: Final = [
    # Whoever refuses CAPA may have STLS all the same (RFC 2449 is the younger).
    case(
        "capa-err-and-stls",
        (*GREETED, "S: -ERR what", "C: STLS", "S: +OK go", Tls(), "C: CAPA", "S: -ERR what", "C: QUIT", "S: +OK bye"),
        None,
        SAID_STLS,
        settings=ANONYMOUS,
        deeds=("connect",),
        hello=True,
        under_tls=lines("CAPA", "QUIT"),
    ),
    # The timestamp for APOP is one that anybody may have put into the greeting.
    case(
        "timestamp-of-a-greeting-in-the-clear",
        (
            *("S: +OK <1896.697170952@dbc.mtview.ca.us>", "C: CAPA", "S: +OK", "S: STLS", "S: .", "C: STLS"),
            *("S: +OK go", Tls(), "C: CAPA", "S: +OK", "S: USER", "S: .", LISTEN),
        ),
        AuthenticationFailed,
        SAID_STLS,
        settings={**STLS, "auth_preferences": Preferences(mechanisms=["APOP"])},
        hello=True,
        under_tls=lines("CAPA"),
    ),
    case(
        "sasl-of-the-clear-is-forgotten",
        (
            *(*GREETED, "S: +OK", "S: SASL PLAIN", "S: STLS", "S: .", "C: STLS", "S: +OK go", Tls()),
            *("C: CAPA", "S: +OK", "S: SASL X-ODD", "S: .", LISTEN),
        ),
        AuthenticationFailed,
        SAID_STLS,
        hello=True,
        under_tls=lines("CAPA"),
    ),
    case(
        "stls-offered-again",
        (*UPGRADED, "S: +OK", "S: STLS", "S: .", "C: QUIT", "S: +OK bye"),
        None,
        SAID_STLS,
        settings=ANONYMOUS,
        deeds=("connect",),
        hello=True,
        under_tls=lines("CAPA", "QUIT"),
    ),
    case(
        "pipelining-forgotten",
        (
            *(*ASKED[:-2], "S: PIPELINING", *ASKED[-2:], "S: +OK go", Tls(), "C: CAPA", "S: -ERR what"),
            *(f"C: USER {PASSWORD.user}", "S: +OK", f"C: PASS {PASSWORD.password}", "S: +OK"),
            *("C: STAT", "S: +OK 0 0", "C: LIST", "S: +OK", "S: .", "C: UIDL", "S: -ERR what", "C: QUIT", "S: +OK"),
        ),
        None,
        SAID_STLS,
        deeds=("retrieve",),
        hello=True,
        under_tls=lines("CAPA", f"USER {PASSWORD.user}", f"PASS {PASSWORD.password}", "STAT", "LIST", "UIDL", "QUIT"),
    ),
]

CASES: Final = [*STRIPPED, *REFUSED, *INJECTED, *HANDSHAKES, *CAPABILITIES]
