"""SMTP servers that are bad at chunks, and LMTP servers that miscount their replies."""

from typing import Any, Final

from mailwire import (
    ConnectionLost,
    DataRefused,
    DeadlineExceeded,
    Delivery,
    LimitExceeded,
    MailwireError,
    RecipientsRefused,
    RemoteProtocolError,
    ReplyError,
    SenderRefused,
    ServiceNotAvailable,
)
from mailwire.testing import FIN, LISTEN, MAIL_DATA, NO_READING, RST, STALL, Endless, Hear, Slow, Step, Tls
from tests.hostile.case import MESSAGE, TAKEN_OF_A_LINE, Case, Outcome, lines

__all__ = ["CASES"]

PLAIN: Final = {"tls": "none", "auth": None}
IMPLICIT: Final = {"tls": "implicit", "auth": None}

EHLO: Final = "EHLO [127.0.0.1]"
LHLO: Final = "LHLO [127.0.0.1]"
MAIL: Final = "MAIL FROM:<a@example.org>"
RCPT: Final = "RCPT TO:<b@example.org>"
RCPT_C: Final = "RCPT TO:<c@example.org>"
BOTH: Final = ("b@example.org", "c@example.org")
LAST: Final = f"BDAT {len(MESSAGE)} LAST"

# The last line of the message is not ended, so it is mended on its way out, by as many octets.
CHUNK: Final = 262_144
UNENDED: Final = b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 99_999 + b"0123456789abcdef"
LARGE: Final = UNENDED + b"\r\n"
MANY: Final = f"BDAT {CHUNK}\r\n".encode() + LARGE

OFFERED: Final[tuple[Step, ...]] = ("S: 220 mx", f"C: {EHLO}", "S: 250-mx", "S: 250 CHUNKING")
NAMED: Final[tuple[Step, ...]] = (*OFFERED, f"C: {MAIL}", "S: 250 ok", f"C: {RCPT}", "S: 250 ok")
SENT: Final[tuple[Step, ...]] = (*NAMED, f"C: {LAST}", Hear(len(MESSAGE)))
FIRST: Final[tuple[Step, ...]] = (*NAMED, f"C: BDAT {CHUNK}", Hear(CHUNK))
GROUP: Final[tuple[Step, ...]] = (*OFFERED[:-1], "S: 250-PIPELINING", OFFERED[-1], f"C: {MAIL}", f"C: {RCPT}")
EAGER: Final[tuple[Step, ...]] = (*GROUP, f"C: {LAST}", Hear(len(MESSAGE)))

SAID_RCPT: Final = lines(EHLO, MAIL, RCPT)
SAID_ALL: Final = SAID_RCPT + lines(LAST) + MESSAGE
SAID_FIRST: Final = SAID_RCPT + lines(f"BDAT {CHUNK}") + LARGE[:CHUNK]


def case(
    name: str,
    script: tuple[Step, ...],
    error: type[MailwireError] | None,
    said: bytes,
    delivery: Delivery = Delivery.NOT_SENT,
    *,
    seconds: float = 0,
    settings: dict[str, Any] = PLAIN,
    message: bytes = MESSAGE,
    recipients: tuple[str, ...] = BOTH[:1],
    arguments: dict[str, Any] | None = None,
    rest: bytes = b"",
    buffer_size: int | None = None,
    **outcome: Any,
) -> Case:
    # rest: what may be said besides, or not.
    return Case(
        name,
        script,
        Outcome(error, said, rest, delivery=delivery, **outcome),
        {"protocol": "smtp", **settings},
        ("send", "client.send"),
        seconds,
        message,
        recipients,
        arguments or {},
        buffer_size,
    )


CHUNKS: Final = [
    case(
        "bdat-second-chunk-552",
        (*FIRST, "S: 250 ok", f"C: BDAT {CHUNK}", Hear(CHUNK), "S: 552 big", "C: RSET", "S: 250 ok", STALL),
        DataRefused,
        SAID_FIRST + lines(f"BDAT {CHUNK}") + LARGE[CHUNK : 2 * CHUNK] + lines("RSET"),
        Delivery.REFUSED,
        message=LARGE[: 2 * CHUNK + 100],
        attributes={"reply.code": 552},
    ),
    case(
        "chunk-refused",
        (*FIRST, "S: 552 big", "C: RSET", "S: 250 ok", STALL),
        DataRefused,
        SAID_FIRST + lines("RSET"),
        Delivery.REFUSED,
        message=UNENDED,
        attributes={"reply.code": 552},
    ),
    case(
        "chunk-refused-in-flight",
        (
            *GROUP[:-2],
            f"C: {MAIL}",
            f"C: {RCPT}",
            "S: 250 ok",
            "S: 250 ok",
            f"C: BDAT {CHUNK}",
            Hear(CHUNK),
            "S: 250 ok",
            f"C: BDAT {CHUNK}",
            Hear(CHUNK),
            "S: 552 big",
            LISTEN,
        ),
        DataRefused,
        SAID_FIRST + lines(f"BDAT {CHUNK}") + LARGE[CHUNK : 2 * CHUNK],
        Delivery.REFUSED,
        message=UNENDED,
        rest=lines(f"BDAT {CHUNK}")
        + LARGE[2 * CHUNK : 3 * CHUNK]
        + lines(f"BDAT {CHUNK}")
        + LARGE[3 * CHUNK : 4 * CHUNK],
        seconds=20,
    ),
    case(
        "chunk-refused-and-stall",
        (*FIRST, "S: 552 big", "C: RSET", STALL),
        DataRefused,
        SAID_FIRST + lines("RSET"),
        Delivery.REFUSED,
        message=UNENDED,
        seconds=20,
    ),
    case("chunk-unknown", (*FIRST, "S: 500 what", LISTEN), DataRefused, SAID_FIRST, Delivery.REFUSED, message=UNENDED),
    case("last-chunk-unknown", (*SENT, "S: 502 what", LISTEN), DataRefused, SAID_ALL, Delivery.REFUSED),
    case(
        "chunk-421",
        (*FIRST, "S: 421 closing", FIN),
        DataRefused,
        SAID_FIRST,
        Delivery.REFUSED,
        message=UNENDED,
        deferred=BOTH[:1],
    ),
    case("chunk-fin", (*FIRST, FIN), ConnectionLost, SAID_FIRST, message=UNENDED),
    case("chunk-rst", (*FIRST, RST), ConnectionLost, SAID_FIRST, message=UNENDED),
    case("chunk-garbage", (*FIRST, "S: what", LISTEN), RemoteProtocolError, SAID_FIRST, message=UNENDED),
    case("chunk-354", (*FIRST, "S: 354 go", LISTEN), RemoteProtocolError, SAID_FIRST, message=UNENDED),
    case(
        "chunk-endless",
        (*FIRST, Endless(b"250-x\r\n")),
        LimitExceeded,
        SAID_FIRST,
        message=UNENDED,
        taken=TAKEN_OF_A_LINE,
        buffer_size=4096,
    ),
    case("chunk-stall", (*FIRST, STALL), DeadlineExceeded, SAID_FIRST, message=UNENDED, seconds=300),
    case(
        "chunk-1Bps",
        (*FIRST, Slow(Endless(b"250-x\r\n"), 1)),
        DeadlineExceeded,
        SAID_FIRST,
        message=UNENDED,
        seconds=300,
    ),
    case("last-chunk-fin", (*SENT, FIN), ConnectionLost, SAID_ALL, Delivery.UNKNOWN),
    case("last-chunk-rst", (*SENT, RST), ConnectionLost, SAID_ALL, Delivery.UNKNOWN),
    case("last-chunk-421", (*SENT, "S: 421 closing", FIN), DataRefused, SAID_ALL, Delivery.UNKNOWN),
    case("last-chunk-220", (*SENT, "S: 220 mx", LISTEN), RemoteProtocolError, SAID_ALL, Delivery.UNKNOWN),
    case("last-chunk-stall", (*SENT, STALL), DeadlineExceeded, SAID_ALL, Delivery.UNKNOWN, seconds=600),
    case(
        "last-chunk-half-a-verdict-under-tls",
        (Tls(), *SENT, b"250 tak", FIN),
        ConnectionLost,
        b"",
        Delivery.UNKNOWN,
        settings=IMPLICIT,
        hello=True,
        under_tls=SAID_ALL,
    ),
    case(
        "chunk-no-reading",
        (*NAMED, f"C: BDAT {CHUNK}", Hear(65536), NO_READING),
        DeadlineExceeded,
        SAID_RCPT,
        message=UNENDED,
        rest=MANY,
        seconds=300,
    ),
    case(
        "chunk-refused-while-it-comes",
        (*NAMED, f"C: BDAT {CHUNK}", Hear(65536), "S: 552 big", NO_READING),
        DataRefused,
        SAID_RCPT,
        Delivery.REFUSED,
        message=UNENDED,
        rest=MANY[: MANY.index(LARGE) + CHUNK] + lines("RSET"),
        attributes={"reply.code": 552},
        seconds=20,
    ),
]

# An eager client has sent the message before anything is known.
EAGERLY: Final = [
    case(
        "eager-nobody-accepted",
        (*EAGER, "S: 250 ok", "S: 550 no", "S: 554 nobody", "C: RSET", "S: 250 ok", STALL),
        RecipientsRefused,
        SAID_ALL + lines("RSET"),
        Delivery.REFUSED,
        arguments={"use_chunking": "eager"},
    ),
    case(
        "eager-sender-refused-and-message-taken",
        (*EAGER, "S: 550 no", "S: 250 ok", "S: 250 taken", LISTEN),
        SenderRefused,
        SAID_ALL,
        Delivery.UNKNOWN,
        arguments={"use_chunking": "eager"},
    ),
    case(
        "eager-fin",
        (*EAGER, "S: 250 ok", FIN),
        ConnectionLost,
        SAID_ALL,
        Delivery.UNKNOWN,
        arguments={"use_chunking": "eager"},
    ),
]

LMTP: Final = {**PLAIN, "protocol": "lmtp", "use_chunking": False}
DELIVERED: Final[tuple[Step, ...]] = (
    *("S: 220 mx", f"C: {LHLO}", "S: 250 mx", f"C: {MAIL}", "S: 250 ok", f"C: {RCPT}", "S: 250 ok"),
    *(f"C: {RCPT_C}", "S: 250 ok", "C: DATA", "S: 354 go", MAIL_DATA),
)
SAID_BOTH: Final = lines(LHLO, MAIL, RCPT, RCPT_C, "DATA") + MESSAGE + b".\r\n"
ACCEPTED, REFUSED, UNKNOWN = Delivery.ACCEPTED, Delivery.REFUSED, Delivery.UNKNOWN


def lmtp(
    name: str, *replies: Step, error: type[MailwireError] | None, words: tuple[Delivery, ...], **more: Any
) -> Case:
    delivery = next(word for word in (UNKNOWN, ACCEPTED, REFUSED) if word in words)
    more = {"said": SAID_BOTH, **more}
    return case(
        f"lmtp-{name}",
        (*DELIVERED, *replies),
        error,
        more.pop("said"),
        delivery,
        settings=LMTP,
        recipients=BOTH,
        words=words,
        **more,
    )


COUNTED: Final = [
    lmtp(
        "one-full",
        *("S: 250 for b", "S: 552 full", "C: QUIT", "S: 221 bye"),
        error=None,
        words=(ACCEPTED, REFUSED),
        said=SAID_BOTH + lines("QUIT"),
    ),
    lmtp(
        "all-full", "S: 452 full", "S: 552 full", STALL, error=DataRefused, words=(REFUSED, REFUSED), deferred=BOTH[:1]
    ),
    lmtp("one-reply-too-few", "S: 250 for b", FIN, error=ConnectionLost, words=(ACCEPTED, UNKNOWN)),
    lmtp("one-reply-and-stall", "S: 250 for b", STALL, error=DeadlineExceeded, words=(ACCEPTED, UNKNOWN), seconds=600),
    lmtp(
        "one-reply-too-many",
        *("S: 250 for b", "S: 250 for c", "S: 250 for whom", LISTEN),
        error=None,
        words=(ACCEPTED, ACCEPTED),
    ),
    lmtp("garbage", "S: 250 for b", "S: what", LISTEN, error=RemoteProtocolError, words=(ACCEPTED, UNKNOWN)),
    lmtp("421-in-the-middle", "S: 250 for b", "S: 421 bye", FIN, error=ServiceNotAvailable, words=(ACCEPTED, UNKNOWN)),
    lmtp("354", "S: 354 go", LISTEN, error=RemoteProtocolError, words=(UNKNOWN, UNKNOWN)),
    case(
        "lmtp-ehlo-alone",
        ("S: 220 mx", f"C: {LHLO}", "S: 500 what", STALL),
        ReplyError,
        lines(LHLO),
        settings=LMTP,
        recipients=BOTH,
    ),
]

CASES: Final[list[Case]] = [*CHUNKS, *EAGERLY, *COUNTED]
