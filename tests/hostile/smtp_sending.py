"""SMTP servers that say too much, too little or the wrong thing while a mail is sent."""

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
from mailwire.testing import (
    CLOSE,
    FIN,
    LISTEN,
    MAIL_DATA,
    NO_READING,
    PACKET,
    RST,
    STALL,
    WITHHOLD,
    Answers,
    Endless,
    Hear,
    Slow,
    Step,
    Tls,
)
from tests.hostile.case import (
    AT_PORTS,
    EVERYWHERE,
    MESSAGE,
    ONCE,
    TAKEN_OF_A_LINE,
    TAKEN_OF_MANY_LINES,
    TAKEN_WHILE_NOBODY_WAITS,
    Case,
    Deed,
    Octets,
    Outcome,
    Surroundings,
    lines,
)

__all__ = ["CASES"]

PLAIN: Final = {"tls": "none", "auth": None}
IMPLICIT: Final = {"tls": "implicit", "auth": None}

EHLO: Final = "EHLO [127.0.0.1]"
MAIL: Final = "MAIL FROM:<a@example.org>"
RCPT: Final = "RCPT TO:<b@example.org>"
RCPT_C: Final = "RCPT TO:<c@example.org>"
RCPT_D: Final = "RCPT TO:<d@example.org>"
THREE: Final = ("b@example.org", "c@example.org", "d@example.org")

GREETED: Final[tuple[Step, ...]] = ("S: 220 mx", f"C: {EHLO}")
READY: Final[tuple[Step, ...]] = (*GREETED, "S: 250 mx")
PIPELINED: Final[tuple[Step, ...]] = (*GREETED, "S: 250-mx", "S: 250 PIPELINING", f"C: {MAIL}", f"C: {RCPT}", "C: DATA")
MAILED: Final[tuple[Step, ...]] = (*READY, f"C: {MAIL}", "S: 250 ok", f"C: {RCPT}", "S: 250 ok", "C: DATA")
SENT: Final[tuple[Step, ...]] = (*MAILED, "S: 354 go", MAIL_DATA)
QUIT: Final[tuple[Step, ...]] = ("C: QUIT", "S: 221 bye")

LEAVE: Final = {"reply.code": 421, "is_transient": True, "in_flight": ()}

SAID_EHLO: Final = lines(EHLO)
SAID_MAIL: Final = lines(EHLO, MAIL)
SAID_RCPT: Final = lines(EHLO, MAIL, RCPT)
SAID_DATA: Final = lines(EHLO, MAIL, RCPT, "DATA")
SAID_ALL: Final = SAID_DATA + MESSAGE + b".\r\n"
SAID_QUIT: Final = SAID_ALL + lines("QUIT")

# Octets. A system may let those of a port grow until they hold all of a message.
BUFFERS: Final = 65_536
LARGE: Final = Octets(b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 250_000)
HUGE: Final = Octets(b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 1_800_000)


def case(
    name: str,
    script: tuple[Step, ...],
    error: type[MailwireError] | None,
    said: bytes,
    delivery: Delivery = Delivery.NOT_SENT,
    *,
    deeds: tuple[Deed, ...] = ("send", "client.send"),
    seconds: float = 0,
    settings: dict[str, Any] = PLAIN,
    message: bytes = MESSAGE,
    part: bytes = b"",
    farewell: bytes = b"",
    recipients: tuple[str, ...] = THREE[:1],
    buffer_size: int | None = None,
    surroundings: tuple[Surroundings, ...] = EVERYWHERE,
    logged: bool = True,
    **outcome: Any,
) -> Case:
    # part: the message, where not all of it need leave; farewell: what may be said in the end, or not.
    return Case(
        name,
        script,
        Outcome(error, said, part or farewell, delivery=delivery, **outcome),
        {"protocol": "smtp", **settings},
        deeds,
        seconds,
        part or message,
        recipients,
        buffer_size=buffer_size,
        surroundings=surroundings,
        logged=logged,
    )


ENDLESS: Final = [
    case(
        name,
        (*before, Endless(octets)),
        LimitExceeded,
        said,
        delivery,
        taken=taken,
        buffer_size=4096,
        surroundings=AT_PORTS,
    )
    for name, before, octets, said, delivery, taken in (
        ("endless-line", (*GREETED, b"250-"), b"a", SAID_EHLO, Delivery.NOT_SENT, TAKEN_OF_A_LINE),
        ("endless-multiline", GREETED, b"250-x\r\n", SAID_EHLO, Delivery.NOT_SENT, TAKEN_OF_A_LINE),
        ("endless-greeting", (), b"220-mx\r\n", b"", Delivery.NOT_SENT, TAKEN_OF_A_LINE),
        (
            *("endless-reply-to-mail", (*READY, f"C: {MAIL}"), b"250-x\r\n", SAID_MAIL),
            *(Delivery.NOT_SENT, TAKEN_OF_A_LINE),
        ),
        ("endless-verdict", SENT, b"250-x\r\n", SAID_ALL, Delivery.UNKNOWN, TAKEN_OF_A_LINE),
        (
            *("capability-flood", GREETED, b"250-" + b"X" * 8000 + b"\r\n", SAID_EHLO),
            *(Delivery.NOT_SENT, TAKEN_OF_MANY_LINES),
        ),
    )
]

ENDLESS_LINES: Final = [
    case(
        "endless-line-under-tls",
        (Tls(), *GREETED, b"250-", Endless(b"a")),
        LimitExceeded,
        b"",
        settings=IMPLICIT,
        hello=True,
        under_tls=SAID_EHLO,
        taken=TAKEN_OF_A_LINE,
        buffer_size=4096,
        surroundings=AT_PORTS,
    ),
    case(
        "endless-line-unasked",
        (*READY, PACKET, b"250-", Endless(b"a")),
        LimitExceeded,
        SAID_EHLO,
        deeds=("client.send",),
        taken=TAKEN_WHILE_NOBODY_WAITS,
        buffer_size=4096,
        surroundings=AT_PORTS,
    ),
]

GARBLED: Final = [
    case("nul-in-reply", (*READY, f"C: {MAIL}", b"250 o\0k\r\n", STALL), RemoteProtocolError, SAID_MAIL),
    case("mixed-multiline", (*GREETED, "S: 250-a", "S: 550 b", STALL), RemoteProtocolError, SAID_EHLO),
    case(
        "garbage-for-a-verdict",
        (*SENT, "S: what", "S: 250 ok", LISTEN),
        RemoteProtocolError,
        SAID_ALL,
        Delivery.UNKNOWN,
    ),
    case("354-for-a-verdict", (*SENT, "S: 354 go", LISTEN), RemoteProtocolError, SAID_ALL, Delivery.UNKNOWN),
    case("two-verdicts", (*SENT, "S: 250 ok", "S: 250 ok", LISTEN), None, SAID_ALL, Delivery.ACCEPTED),
    case("250-for-354", (*MAILED, "S: 250 go", LISTEN), RemoteProtocolError, SAID_DATA),
    case("354-for-mail", (*READY, f"C: {MAIL}", "S: 354 go", STALL), RemoteProtocolError, SAID_MAIL),
    case(
        "one-reply-too-many",
        (*READY, f"C: {MAIL}", "S: 250 ok", "S: 250 ok", LISTEN),
        RemoteProtocolError,
        SAID_MAIL,
    ),
    case(
        "lf-only-server",
        (
            b"220 mx\n",
            f"C: {EHLO}",
            b"250-mx\n250 SIZE\n",
            f"C: {MAIL} SIZE=21",
            b"250 ok\n",
            f"C: {RCPT}",
            b"250 ok\n",
            "C: DATA",
            b"354 go\n",
            MAIL_DATA,
            b"250 taken\n",
            "C: QUIT",
            b"221 bye\n",
        ),
        None,
        SAID_QUIT.replace(b"org>\r\nRCPT", b"org> SIZE=21\r\nRCPT"),
        Delivery.ACCEPTED,
    ),
    case(
        "esc-in-text",
        (
            *READY,
            f"C: {MAIL}",
            "S: 250 ok",
            f"C: {RCPT}",
            b"550 \x1b[31m\x07 caf\xe9 \x85x\r\n",
            "C: RSET",
            "S: 250 ok",
        ),
        RecipientsRefused,
        SAID_RCPT + lines("RSET"),
        Delivery.REFUSED,
        text=r"550 \\x1b\[31m\\x07 caf\\xe9 \\x85x",
        attributes={"reply.code": 550},
    ),
    case(
        "size-junk",
        (
            *GREETED,
            "S: 250-mx",
            "S: 250-SIZE abc",
            "S: 250 SIZE 99999999999999999999999",
            f"C: {MAIL} SIZE=21",
            "S: 250 ok",
            f"C: {RCPT}",
            "S: 250 ok",
            "C: DATA",
            "S: 354 go",
            MAIL_DATA,
            "S: 250 taken",
            *QUIT,
        ),
        None,
        SAID_QUIT.replace(b"org>\r\nRCPT", b"org> SIZE=21\r\nRCPT"),
        Delivery.ACCEPTED,
    ),
    case(
        "advertised-then-555",
        (*GREETED, "S: 250-mx", "S: 250 8BITMIME", f"C: {MAIL} BODY=8BITMIME", "S: 555 what", STALL),
        SenderRefused,
        lines(EHLO, f"{MAIL} BODY=8BITMIME"),
        Delivery.REFUSED,
        message=b"Subject: x\r\n\r\n\xe9\r\n",
        attributes={"reply.code": 555},
    ),
]

# RFC 5321 3.8: 421 may come at any time, and the server closes.
LEAVING: Final = [
    case(
        "idle-421",
        (*READY, PACKET, "S: 421 idle", FIN),
        ServiceNotAvailable,
        SAID_EHLO,
        deeds=("client.send",),
        attributes={**LEAVE, "command": ""},
        text="421 idle",
    ),
    case("idle-fin", (*READY, PACKET, FIN), ConnectionLost, SAID_EHLO, deeds=("client.send",)),
    case(
        "421-to-mail",
        (*READY, f"C: {MAIL}", "S: 421 busy", FIN),
        SenderRefused,
        SAID_MAIL,
        Delivery.REFUSED,
        deferred=THREE[:1],
    ),
    case(
        "421-to-rcpt",
        (*READY, f"C: {MAIL}", "S: 250 ok", f"C: {RCPT}", "S: 421 busy", FIN),
        RecipientsRefused,
        SAID_RCPT,
        Delivery.REFUSED,
        deferred=THREE[:1],
    ),
    case(
        "421-in-a-group",
        (*PIPELINED, "S: 250 ok", "S: 250 ok", "S: 421 busy", FIN),
        DataRefused,
        SAID_DATA,
        Delivery.REFUSED,
        deferred=THREE[:1],
    ),
    case("421-for-a-verdict", (*SENT, "S: 421 busy", FIN), DataRefused, SAID_ALL, Delivery.UNKNOWN),
    case("fin-instead-of-dot-reply", (*SENT, FIN), ConnectionLost, SAID_ALL, Delivery.UNKNOWN),
    case("rst-after-dot", (*SENT, RST), ConnectionLost, SAID_ALL, Delivery.UNKNOWN),
    case("half-a-verdict", (*SENT, b"250 tak", FIN), ConnectionLost, SAID_ALL, Delivery.UNKNOWN),
    case(
        "half-a-verdict-and-no-close-notify",
        (Tls(), *SENT, b"250 tak", FIN),
        ConnectionLost,
        b"",
        Delivery.UNKNOWN,
        settings=IMPLICIT,
        hello=True,
        under_tls=SAID_ALL,
    ),
    case("fin-in-a-group", (*PIPELINED, "S: 250 ok", FIN), ConnectionLost, SAID_DATA),
    case(
        "verdict-and-fin",
        (*SENT, "S: 250 taken", FIN, LISTEN),
        None,
        SAID_ALL,
        Delivery.ACCEPTED,
        farewell=b"QUIT\r\n",
    ),
]

PARTIAL: Final = [
    case(
        "354-none-valid",
        (*PIPELINED, "S: 250 ok", "S: 550 no", "S: 354 go", "C: .", "S: 554 nobody", STALL),
        RecipientsRefused,
        SAID_DATA + b".\r\n",
        Delivery.REFUSED,
    ),
    # Nor is a mail sent to none of several.
    case(
        "354-none-valid-of-three",
        (
            *(*PIPELINED[:-1], f"C: {RCPT_C}", f"C: {RCPT_D}", "C: DATA", "S: 250 ok"),
            *("S: 550 no", "S: 550 no", "S: 550 no", "S: 354 go", "C: .", "S: 554 nobody", STALL),
        ),
        RecipientsRefused,
        lines(EHLO, MAIL, RCPT, RCPT_C, RCPT_D, "DATA", "."),
        Delivery.REFUSED,
        recipients=THREE,
    ),
    case(
        "354-none-valid-and-250",
        (*PIPELINED, "S: 250 ok", "S: 550 no", "S: 354 go", "C: .", "S: 250 a blank mail for nobody", STALL),
        RecipientsRefused,
        SAID_DATA + b".\r\n",
        Delivery.REFUSED,
    ),
    case(
        "354-behind-a-refused-sender",
        (*PIPELINED, "S: 550 no", "S: 250 ok", "S: 354 go", LISTEN),
        SenderRefused,
        SAID_DATA,
        Delivery.REFUSED,
    ),
    case(
        "too-many-452",
        (
            *READY,
            f"C: {MAIL}",
            "S: 250 ok",
            f"C: {RCPT}",
            "S: 250 ok",
            f"C: {RCPT_C}",
            "S: 250 ok",
            f"C: {RCPT_D}",
            "S: 452 too many",
            "C: DATA",
            "S: 354 go",
            MAIL_DATA,
            "S: 250 taken",
            *QUIT,
        ),
        None,
        lines(EHLO, MAIL, RCPT, RCPT_C, RCPT_D, "DATA") + MESSAGE + lines(".", "QUIT"),
        Delivery.ACCEPTED,
        recipients=THREE,
        words=(Delivery.ACCEPTED, Delivery.ACCEPTED, Delivery.REFUSED),
        deferred=THREE[2:],
    ),
    case(
        "refused-at-the-end",
        (
            *READY,
            f"C: {MAIL}",
            "S: 250 ok",
            f"C: {RCPT}",
            "S: 550 no",
            f"C: {RCPT_C}",
            "S: 250 ok",
            "C: DATA",
            "S: 354 go",
            MAIL_DATA,
            "S: 554 spam",
            STALL,
        ),
        DataRefused,
        lines(EHLO, MAIL, RCPT, RCPT_C, "DATA") + MESSAGE + b".\r\n",
        Delivery.REFUSED,
        recipients=THREE[:2],
    ),
    case(
        "lost-at-the-end",
        (
            *READY,
            f"C: {MAIL}",
            "S: 250 ok",
            f"C: {RCPT}",
            "S: 550 no",
            f"C: {RCPT_C}",
            "S: 250 ok",
            "C: DATA",
            "S: 354 go",
            MAIL_DATA,
            FIN,
        ),
        ConnectionLost,
        lines(EHLO, MAIL, RCPT, RCPT_C, "DATA") + MESSAGE + b".\r\n",
        Delivery.UNKNOWN,
        recipients=THREE[:2],
        words=(Delivery.REFUSED, Delivery.UNKNOWN),
    ),
    case(
        "rset-refused",
        (*READY, f"C: {MAIL}", "S: 250 ok", f"C: {RCPT}", "S: 550 no", "C: RSET", "S: 502 no", STALL),
        RecipientsRefused,
        SAID_RCPT + lines("RSET"),
        Delivery.REFUSED,
    ),
]

# A server that has heard enough of a message need not hear the rest of it.
EARLY: Final = [
    case(
        f"reject-mid-data-{name}{'-under-tls' if opening else ''}",
        (*opening, *MAILED, "S: 354 go", Hear(65536), "S: 552 big", *end),
        DataRefused,
        b"" if opening else SAID_DATA,
        Delivery.REFUSED,
        settings=IMPLICIT if opening else PLAIN,
        hello=bool(opening),
        under_tls=SAID_DATA,
        part=HUGE,
        buffer_size=BUFFERS,
        attributes={"reply.code": 552, "is_transient": False},
        work=1,
    )
    for opening in ((), (Tls(),))
    for name, end in [("no-reading", (NO_READING,)), ("fin", (FIN, LISTEN)), ("listen", (LISTEN,))]
]

SLOW: Final = [
    case(
        *("stall-at-mail", (*READY, f"C: {MAIL}", STALL), DeadlineExceeded, SAID_MAIL),
        seconds=300,
        attributes={"phase": "command"},
    ),
    case(
        "1Bps-to-mail",
        (*READY, f"C: {MAIL}", Slow(Endless(b"250-x\r\n"), 1)),
        DeadlineExceeded,
        SAID_MAIL,
        seconds=300,
    ),
    case(
        "1Bps-verdict",
        (*SENT, Slow(Endless(b"250-x\r\n"), 1)),
        DeadlineExceeded,
        SAID_ALL,
        Delivery.UNKNOWN,
        seconds=600,
    ),
    case(
        "no-reading",
        (*MAILED, "S: 354 go", NO_READING),
        DeadlineExceeded,
        SAID_DATA,
        seconds=180,
        part=LARGE,
        buffer_size=BUFFERS,
    ),
    case("quit-stall", (*SENT, "S: 250 taken", "C: QUIT", STALL), None, SAID_QUIT, Delivery.ACCEPTED, seconds=1),
    case("quit-fin", (*SENT, "S: 250 taken", "C: QUIT", FIN), None, SAID_QUIT, Delivery.ACCEPTED),
    case(
        "quit-garbage", (*SENT, "S: 250 taken", "C: QUIT", "S: \x1b what", LISTEN), None, SAID_QUIT, Delivery.ACCEPTED
    ),
    case("quit-refused", (*SENT, "S: 250 taken", "C: QUIT", "S: 550 stay", STALL), None, SAID_QUIT, Delivery.ACCEPTED),
    case(
        "quit-stall-under-tls",
        (Tls(), *SENT, "S: 250 taken", "C: QUIT", STALL),
        None,
        b"",
        Delivery.ACCEPTED,
        settings=IMPLICIT,
        hello=True,
        under_tls=SAID_QUIT,
        seconds=1,
    ),
    case(
        "no-close-notify-at-quit",
        (Tls(), *SENT, "S: 250 taken", *QUIT, WITHHOLD),
        None,
        b"",
        Delivery.ACCEPTED,
        settings=IMPLICIT,
        hello=True,
        under_tls=SAID_QUIT,
        seconds=1,
    ),
    case(
        "close-at-quit",
        (Tls(), *SENT, "S: 250 taken", *QUIT, CLOSE),
        None,
        b"",
        Delivery.ACCEPTED,
        settings=IMPLICIT,
        hello=True,
        under_tls=SAID_QUIT,
    ),
]

MANY: Final = tuple(f"user{number}@example.org" for number in range(10_000))
TALKATIVE: Final = Answers(
    {
        "EHLO": "250-mx\n250 PIPELINING",
        "MAIL": "250 " + "m" * 400,
        "RCPT": "250 " + "r" * 400,
        "DATA": "354 go",
        ".": "250 taken",
        "QUIT": "221 bye",
    }
)

# A server that does not read on before its reply is gone, and a client that does not read before its commands are.
DEADLOCKED: Final = [
    case(
        "pipeline-deadlock",
        ("S: 220 mx", TALKATIVE),
        None,
        lines(EHLO, MAIL, *(f"RCPT TO:<{address}>" for address in MANY), "DATA") + MESSAGE + lines(".", "QUIT"),
        Delivery.ACCEPTED,
        recipients=MANY,
        buffer_size=4096,
        surroundings=ONCE,
        logged=False,
        work=20,
    ),
]

REFUSING: Final = [
    case("greeting-554", ("S: 554 no", STALL), ReplyError, b"", attributes={"reply.code": 554, "is_transient": False}),
    case("greeting-421", ("S: 421 busy", FIN), ServiceNotAvailable, b"", attributes=LEAVE),
    case("greeting-354", ("S: 354 go", STALL), RemoteProtocolError, b""),
]

CASES: Final[list[Case]] = [
    *REFUSING,
    *ENDLESS,
    *ENDLESS_LINES,
    *GARBLED,
    *LEAVING,
    *PARTIAL,
    *EARLY,
    *SLOW,
    *DEADLOCKED,
]
