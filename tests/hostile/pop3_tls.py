"""POP3 servers, and those in between, that want a client to go on without TLS, or with whom it must not go on."""

from typing import Any, Final

from mailwire import (
    ConnectionLost,
    DeadlineExceeded,
    InjectedData,
    MailwireError,
    RemoteProtocolError,
    ResponseError,
    SecurityError,
    TLSFailed,
)
from mailwire.testing import CLIENT_HELLO, FIN, LISTEN, RST, STALL, Endless, Slow, Step, Tls
from tests.hostile.case import PASSWORD, Case, Deed, Outcome, lines

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
    case("greeting-err", ("S: -ERR POP3 server ready", STALL), ResponseError, b""),
    case("capa-err-strip", (*GREETED, "S: -ERR what", "C: STLS", "S: -ERR what", STALL), TLSFailed, SAID_STLS),
    case(
        "capa-without-stls", (*GREETED, "S: +OK", "S: USER", "S: SASL PLAIN", "S: .", STALL), SecurityError, SAID_CAPA
    ),
    case("capa-empty", (*GREETED, "S: +OK", "S: .", STALL), SecurityError, SAID_CAPA),
    case("strip-for-anonymous", (*GREETED, "S: +OK", "S: .", STALL), SecurityError, SAID_CAPA, settings=ANONYMOUS),
    case("strip-for-the-careless", (*GREETED, "S: +OK", "S: .", STALL), SecurityError, SAID_CAPA, settings=CARELESS),
    case(
        "capa-slow",
        (*GREETED, "S: +OK", Slow(Endless(b"a"), 1)),
        DeadlineExceeded,
        SAID_CAPA,
        seconds=60,
    ),
    case(
        "capa-slow-lines",
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
    ),
    case("stls-answered-before", (*OFFERED, "S: +OK go", Tls()), RemoteProtocolError, SAID_CAPA),
    case("stls-answered-with-greeting", ("S: +OK pop", "S: +OK", "S: STLS", "S: .", Tls()), RemoteProtocolError, b""),
]

HANDSHAKES: Final = [
    *(
        case(f"cert-{name}", (*ASKED, "S: +OK go", Tls(name)), TLSFailed, SAID_STLS, hello=True, text="certificate")
        for name in ("other-host", "self-signed", "expired")
    ),
    *(
        case(f"implicit-cert-{name}", (Tls(name),), TLSFailed, b"", settings=IMPLICIT, hello=True, text="certificate")
        for name in ("other-host", "self-signed", "expired")
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
    case("implicit-plaintext", ("S: +OK pop", LISTEN), TLSFailed, b"", settings=IMPLICIT, hello=None),
    # A port for implicit TLS: it waits for us to say hello, and we for its greeting.
    case("tls-instead-of-greeting", (STALL,), DeadlineExceeded, b"", seconds=300),
]

# What was learnt in the clear is forgotten (RFC 2595 4).
CAPABILITIES: Final = [
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
            *("C: LIST", "S: +OK", "S: .", "C: UIDL", "S: -ERR what", "C: QUIT", "S: +OK bye"),
        ),
        None,
        SAID_STLS,
        deeds=("retrieve",),
        hello=True,
        under_tls=lines("CAPA", f"USER {PASSWORD.user}", f"PASS {PASSWORD.password}", "LIST", "UIDL", "QUIT"),
    ),
]

CASES: Final = [*STRIPPED, *REFUSED, *INJECTED, *HANDSHAKES, *CAPABILITIES]
