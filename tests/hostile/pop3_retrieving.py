"""POP3 servers that say too much, too little or the wrong thing while mail is listed and retrieved, and messages that
would like to be taken for something else."""

from collections.abc import Sequence
from typing import Any, Final

from mailwire import (
    ConnectionLost,
    DeadlineExceeded,
    Desynchronised,
    LimitExceeded,
    MailwireError,
    MessageTruncated,
    Password,
    ResponseError,
    RetrievalIncomplete,
)
from mailwire.pop3 import FindingKind
from mailwire.testing import CLOSE, FIN, LISTEN, PACKET, RST, STALL, WITHHOLD, Beneath, Endless, Slow, Step, Tls
from tests.hostile.case import (
    AT_PORTS,
    EVERYWHERE,
    ONCE,
    PASSWORD,
    TAKEN_OF_A_LINE,
    TAKEN_OF_MANY_LINES,
    TAKEN_WHILE_NOBODY_WAITS,
    Case,
    Deed,
    Outcome,
    Surroundings,
    lines,
)

__all__ = ["CASES"]

SECURE: Final = {"protocol": "pop3", "tls": "implicit"}
# What is said in the clear is no secret here.
IN_CLEAR: Final = {"protocol": "pop3", "tls": "none", "auth": Password("bob", "public"), "allow_cleartext_auth": True}


def opened(password: str) -> tuple[Step, ...]:
    return (
        *("S: +OK pop", "C: CAPA", "S: -ERR what", f"C: USER {PASSWORD.user}", "S: +OK"),
        *(f"C: PASS {password}", "S: +OK"),
    )


def listed(sizes: Sequence[object]) -> tuple[Step, ...]:
    numbered = [*enumerate(sizes, 1)]
    return (
        *("C: STAT", f"S: +OK {len(numbered)} 7", "C: LIST", "S: +OK"),
        *(f"S: {number} {size}" for number, size in numbered),
        "S: .",
        *("C: UIDL", "S: +OK", *(f"S: {number} u{number}" for number, _ in numbered), "S: ."),
    )


def said(*behind: str, password: str = PASSWORD.password) -> bytes:
    return lines("CAPA", f"USER {PASSWORD.user}", f"PASS {password}", *behind)


OPENED: Final = (Tls(), *opened(PASSWORD.password))
LISTED: Final[tuple[Step, ...]] = (*OPENED, *listed([7]))
BEGUN: Final[tuple[Step, ...]] = (*LISTED, "C: RETR 1", "S: +OK")
QUIT: Final[tuple[Step, ...]] = ("C: QUIT", "S: +OK bye", CLOSE)
SAID_LIST: Final = said("STAT", "LIST")
SAID_UIDL: Final = said("STAT", "LIST", "UIDL")
SAID_RETR: Final = said("STAT", "LIST", "UIDL", "RETR 1")
SAID_QUIT: Final = said("STAT", "LIST", "UIDL", "RETR 1", "QUIT")


def case(
    name: str,
    script: tuple[Step, ...],
    error: type[MailwireError] | None,
    spoken: bytes,
    *messages: bytes,
    deeds: tuple[Deed, ...] = ("retrieve", "client.retrieve"),
    seconds: float = 0,
    surroundings: tuple[Surroundings, ...] = EVERYWHERE,
    **outcome: Any,
) -> Case:
    """A case under TLS: `spoken` is what the client says, `messages` are what it retrieves."""
    told = Outcome(error, hello=True, under_tls=spoken, messages=messages, **outcome)
    buffer_size = None if told.taken is None else 4096
    return Case(name, script, told, SECURE, deeds, seconds, buffer_size=buffer_size, surroundings=surroundings)


def in_clear(name: str, script: tuple[Step, ...], error: type[MailwireError] | None, *messages: bytes) -> Case:
    """A case without TLS, in which a message is asked for."""
    opening = (*opened("public"), *listed([7]), "C: RETR 1", "S: +OK")
    told = Outcome(error, said("STAT", "LIST", "UIDL", "RETR 1", password="public"), messages=messages)
    return Case(f"{name}-in-the-clear", (*opening, *script), told, IN_CLEAR, ("retrieve", "client.retrieve"))


def whole(name: str, body: bytes, message: bytes, **how: Any) -> Case:
    """A message that comes as `body`, dots doubled and all, and is retrieved as `message`."""
    return case(name, (*BEGUN, body, "S: .", *QUIT), None, SAID_QUIT, message, **how)


ENDLESS: Final = [
    case(
        f"endless-{name}",
        (*before, Endless(octets)),
        LimitExceeded,
        spoken,
        taken=TAKEN_OF_MANY_LINES if name.startswith("capabilit") else TAKEN_OF_A_LINE,
        surroundings=AT_PORTS,
    )
    for name, before, octets, spoken in (
        ("greeting", (Tls(), b"+OK "), b"a", b""),
        ("capability", (Tls(), "S: +OK pop", "C: CAPA", "S: +OK"), b"a", lines("CAPA")),
        ("capabilities", (Tls(), "S: +OK pop", "C: CAPA", "S: +OK"), b"X\r\n", lines("CAPA")),
        ("status-line", (*OPENED, "C: STAT", "S: +OK 1 7", "C: LIST", b"+OK "), b"a", SAID_LIST),
        ("refusal", (*OPENED, "C: STAT", "S: +OK 1 7", "C: LIST", b"-ERR "), b"a", SAID_LIST),
        ("status-line-of-a-message", (*LISTED, "C: RETR 1", b"+OK "), b"a", SAID_RETR),
        ("size", (*OPENED, "C: STAT", "S: +OK 1 7", "C: LIST", "S: +OK", b"1 "), b"9", SAID_LIST),
    )
]

LISTING: Final[Deed] = "client.listing"

ENDLESS_LINES: Final = [
    Case(
        name,
        (*opened("public"), *before, b"+OK ", Endless(b"a")),
        Outcome(LimitExceeded, said(*spoken, password="public"), taken=taken),
        IN_CLEAR,
        (LISTING,),
        buffer_size=4096,
        surroundings=AT_PORTS,
    )
    for name, before, spoken, taken in (
        (
            *("endless-status-line-in-the-clear", ("C: STAT", "S: +OK 1 7", "C: LIST"), ("STAT", "LIST")),
            TAKEN_OF_A_LINE,
        ),
        ("endless-status-line-unasked", (PACKET,), (), TAKEN_WHILE_NOBODY_WAITS),
    )
]

GARBLED: Final = [
    case(
        "noise-for-a-listing",
        (*OPENED, "C: STAT", "S: +OK 1 7", "C: LIST", "S: what", LISTEN),
        Desynchronised,
        SAID_LIST,
    ),
    case(
        "nul-for-a-listing",
        (*OPENED, "C: STAT", "S: +OK 1 7", "C: LIST", b"+OK a\0b\r\n", LISTEN),
        Desynchronised,
        SAID_LIST,
    ),
    case(
        "challenge-for-a-listing",
        (*OPENED, "C: STAT", "S: +OK 1 7", "C: LIST", "S: + ", LISTEN),
        Desynchronised,
        SAID_LIST,
    ),
    case("smtp-for-a-message", (*LISTED, "C: RETR 1", "S: 250 ok", LISTEN), Desynchronised, SAID_RETR),
    case(
        "message-that-was-not-asked-for",
        (*OPENED, "C: STAT", "S: +OK 1 7", "C: LIST", "S: +OK", "S: 1 7", "S: .", "S: +OK", "S: 1 u1", "S: .", LISTEN),
        Desynchronised,
        SAID_LIST,
    ),
    case(
        "listing-refused",
        (*OPENED, "C: STAT", "S: +OK 1 7", "C: LIST", "S: -ERR \x1b[31mno\x07", "C: UIDL", "S: -ERR no", LISTEN),
        ResponseError,
        SAID_UIDL,
        text=r"-ERR \\x1b\[31mno\\x07",
    ),
    case(
        "uidl-numbers",
        (
            *(*OPENED, "C: STAT", "S: +OK 2 7", "C: LIST", "S: +OK", "S: 1 1", "S: 2 2", "S: ."),
            *("C: UIDL", "S: +OK", "S: 2 b", "S: 0 zero", "S: -1 less", "S: 1_0 ten", b"\xd9\xa1 arabic\r\n"),
            *(f"S: {'9' * 5000} many", "S: 1 a", "S: 1 a", "S: ", "S: ."),
            *("C: RETR 1", "S: +OK", "S: one", "S: .", "C: RETR 2", "S: +OK", "S: two", "S: .", *QUIT),
        ),
        None,
        said("STAT", "LIST", "UIDL", "RETR 1", "RETR 2", "QUIT"),
        *(b"one\r\n", b"two\r\n"),
        told=frozenset(
            {FindingKind.BAD_NUMBER, FindingKind.OUT_OF_ORDER, FindingKind.REPEATED, FindingKind.BLANK_LINE}
        ),
    ),
    case(
        "no-unique-ids",
        (
            *(*OPENED, "C: STAT", "S: +OK 1 7", "C: LIST", "S: +OK", "S: 1 1", "S: .", "C: UIDL", "S: -ERR what"),
            *("C: RETR 1", "S: +OK", "S: one", "S: .", *QUIT),
        ),
        None,
        SAID_QUIT,
        b"one\r\n",
    ),
    case(
        "lf-only-server",
        (
            *(Tls(), b"+OK pop\n", "C: CAPA", b"-ERR\n", f"C: USER {PASSWORD.user}", b"+OK\n"),
            *(f"C: PASS {PASSWORD.password}", b"+OK\n", "C: STAT", b"+OK 1 7\n"),
            *("C: LIST", b"+OK\n1 7\n.\n", "C: UIDL", b"+OK\n1 u1\n.\n"),
            *("C: RETR 1", b"+OK\na\n..b\n.\n", "C: QUIT", b"+OK\n"),
        ),
        None,
        SAID_QUIT,
        b"a\n.b\n",
    ),
]

MEGABYTE: Final = b"0123456789abcdef" * 4 + b"\r\n"
BOMBS: Final = {
    "content-type": b"Content-Type: text/plain" + b";" * 40_000 + b"\r\n\r\n",
    "address": b"To: " + b"." * 40_000 + b"@x\r\n\r\n",
    "comments": b"To: " + b"(" * 40_000 + b"\r\n\r\n",
    "multiparts": b"".join(
        b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (depth, depth) for depth in range(1_000)
    ),
    "header-fields": b"X: y\r\n" * 20_000 + b"\r\n",
    "octets": bytes(octet for octet in range(256) if octet not in b"\r\n") * 40 + b"\r\n",
}

MESSAGES: Final = [
    # What a listing says about sizes is a hint.
    case(
        "list-lies-small",
        (*OPENED, *listed([5]), "C: RETR 1", "S: +OK 5 octets", MEGABYTE * 16_000, "S: .", *QUIT),
        None,
        SAID_QUIT,
        MEGABYTE * 16_000,
        surroundings=ONCE,
    ),
    case(
        "list-lies-large",
        (*OPENED, *listed(["9" * 15]), "C: RETR 1", "S: +OK", "S: x", "S: .", *QUIT),
        None,
        SAID_QUIT,
        b"x\r\n",
        deeds=("client.retrieve",),
    ),
    # The end of a message in as many packets as it can come in.
    *(
        case(
            f"terminator-split-at-{place}",
            (*BEGUN, b"x\r\n.\r\n"[:place], PACKET, b"x\r\n.\r\n"[place:], *QUIT),
            None,
            SAID_QUIT,
            b"x\r\n",
        )
        for place in range(7)
    ),
    case(
        "terminator-in-pieces",
        (*BEGUN, b"x", PACKET, b"\r", PACKET, b"\n", PACKET, b".", PACKET, b"\r", PACKET, b"\n", *QUIT),
        None,
        SAID_QUIT,
        b"x\r\n",
    ),
    whole("dots", b"..\r\n...\r\n..x\r\nx.\r\n....\r\n", b".\r\n..\r\n.x\r\nx.\r\n...\r\n"),
    whole("no-octet", b"", b""),
    whole("ends-in-dots", b"x\r\n...\r\n", b"x\r\n..\r\n"),
    whole("dots-not-doubled", b".x\r\n.y\r\n", b".x\r\n.y\r\n"),
    # Only a dot behind CRLF and before it is the end: whoever wrote the mail has no say in it.
    whole("bare-line-feeds", b"a\n.\n.\r\nb\n.\r\nc\r\n", b"a\n.\n.\r\nb\n.\r\nc\r\n"),
    whole("bare-carriage-returns", b"a\r.\rb\r\r\n.\rc\r\n", b"a\r.\rb\r\r\n.\rc\r\n"),
    # As the first line of a message, where a header is due, they would be another command's answer.
    whole("answers", b"\r\n+OK\r\n-ERR no\r\n+ \r\n", b"\r\n+OK\r\n-ERR no\r\n+ \r\n"),
    *(whole(f"mime-bombs-{name}", bomb, bomb, surroundings=ONCE, work=0.05) for name, bomb in BOMBS.items()),
    case(
        "retr-err-2-of-3",
        (
            *(*OPENED, *listed([3, 3, 3]), "C: RETR 1", "S: +OK", "S: one", "S: ."),
            *("C: RETR 2", "S: -ERR \x1b[31mgone\x07", "C: RETR 3", "S: +OK", "S: three", "S: .", LISTEN),
        ),
        RetrievalIncomplete,
        said("STAT", "LIST", "UIDL", "RETR 1", "RETR 2", "RETR 3"),
        *(b"one\r\n", b"three\r\n"),
        deeds=("retrieve",),
        text=r"1 of 3 messages were refused: 2: -ERR \\x1b\[31mgone\\x07",
    ),
    case(
        "retr-err-2-of-3-to-one-who-stops-there",
        (
            *(*OPENED, *listed([3, 3, 3]), "C: RETR 1", "S: +OK", "S: one", "S: ."),
            *("C: RETR 2", "S: -ERR \x1b[31mgone\x07", LISTEN),
        ),
        ResponseError,
        said("STAT", "LIST", "UIDL", "RETR 1", "RETR 2"),
        b"one\r\n",
        deeds=("client.retrieve",),
        text=r"-ERR \\x1b\[31mgone\\x07",
    ),
    case(
        "retr-err",
        (*LISTED, "C: RETR 1", "S: -ERR [SYS/TEMP] later", LISTEN),
        RetrievalIncomplete,
        SAID_RETR,
        deeds=("retrieve",),
    ),
]

# A message whose end was not seen is none.
CUT: Final = [
    case(
        "cut-in-a-listing",
        (*OPENED, "C: STAT", "S: +OK 1 7", "C: LIST", "S: +OK", "S: 1 7", FIN),
        ConnectionLost,
        SAID_LIST,
    ),
    case("cut-before-a-message", (*LISTED, "C: RETR 1", FIN), ConnectionLost, SAID_RETR),
    case("cut-in-the-status-line", (*LISTED, "C: RETR 1", b"+OK", FIN), ConnectionLost, SAID_RETR),
    *(
        case(f"cut-{name}-{end!r}", (*BEGUN, body, end), MessageTruncated, SAID_RETR, attributes={"octets": octets})
        for end in (FIN, RST)
        for name, body, octets in (
            ("behind-the-status-line", b"", 0),
            ("in-a-line", b"hello", 5),
            ("behind-a-line", b"hello\r\n", 7),
            ("behind-the-dot", b"hello\r\n.", 7),
            ("behind-the-dot-s-cr", b"hello\r\n.\r", 7),
        )
        if end is FIN or name == "in-a-line"
    ),
    *(
        in_clear(f"cut-{name}", (body, FIN, LISTEN), MessageTruncated)
        for name, body in {"in-a-line": b"hello", "behind-the-dot": b"hello\r\n."}.items()
    ),
    in_clear("reset-in-a-message", (b"hello\r\n", RST), MessageTruncated),
    # A record that is none ends TLS.
    case(
        "broken-record-in-a-message",
        (*BEGUN, b"hello", PACKET, Beneath(b"x" * 100), LISTEN),
        MessageTruncated,
        SAID_RETR,
    ),
    case(
        "cut-behind-a-message",
        (*OPENED, *listed([3, 3]), "C: RETR 1", "S: +OK", "S: one", "S: .", "C: RETR 2", FIN),
        ConnectionLost,
        said("STAT", "LIST", "UIDL", "RETR 1", "RETR 2"),
        b"one\r\n",
        deeds=("client.retrieve",),
    ),
]

# RFC 1939 3: a server that closes an idle session need not say so.
LEAVING: Final = [
    case("idle-err", (*OPENED, PACKET, "S: -ERR idle", FIN), ConnectionLost, said(), deeds=("client.retrieve",)),
    case("idle-fin", (*OPENED, PACKET, FIN), ConnectionLost, said(), deeds=("client.retrieve",)),
    case(
        "idle-ok",
        (*OPENED, PACKET, "S: +OK still here", LISTEN),
        Desynchronised,
        said(),
        deeds=("client.retrieve",),
    ),
    case("quit-err", (*BEGUN, "S: x", "S: .", "C: QUIT", "S: -ERR no", LISTEN), None, SAID_QUIT, b"x\r\n"),
    case("quit-fin", (*BEGUN, "S: x", "S: .", "C: QUIT", FIN), None, SAID_QUIT, b"x\r\n"),
    case("quit-stall", (*BEGUN, "S: x", "S: .", "C: QUIT", STALL), None, SAID_QUIT, b"x\r\n", seconds=1),
    case("no-close-notify", (*BEGUN, "S: x", "S: .", *QUIT[:2], WITHHOLD), None, SAID_QUIT, b"x\r\n", seconds=1),
]

SLOW: Final = [
    case(
        "stall-at-list", (*OPENED, "C: STAT", "S: +OK 1 7", "C: LIST", STALL), DeadlineExceeded, SAID_LIST, seconds=60
    ),
    case(
        "1Bps-listing",
        (*OPENED, "C: STAT", "S: +OK 1 7", "C: LIST", "S: +OK", Slow(Endless(b"1 7\r\n"), 1)),
        DeadlineExceeded,
        SAID_LIST,
        seconds=60,
    ),
    case("stall-in-a-message", (*BEGUN, b"hello", STALL), DeadlineExceeded, SAID_RETR, seconds=180),
]

CASES: Final = [*ENDLESS, *ENDLESS_LINES, *GARBLED, *MESSAGES, *CUT, *LEAVING, *SLOW]
