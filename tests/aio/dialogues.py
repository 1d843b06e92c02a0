"""Pieces of dialogues, to be joined into the scripts of a peer."""

import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from mailwire import Password
from mailwire.testing import CLOSE, MAIL_DATA, ScriptedPeer, Step

__all__ = [
    "CANARY",
    "CREDENTIALS",
    "GREETED",
    "LISTED",
    "LISTED_TOGETHER",
    "LOGIN",
    "MAILED",
    "MESSAGE",
    "OPENED",
    "PIPELINED",
    "POP3_ANSWERS",
    "POP3_GREETED",
    "POP3_QUIT",
    "POP3_READY",
    "QUIT",
    "READY",
    "SENT",
    "SMTP_ANSWERS",
    "TWO_MESSAGES",
    "announced",
    "capabilities",
    "extensions",
    "once",
]

MESSAGE: Final = b"Subject: x\r\n\r\nhello\r\n"

# A password that nobody types by chance.
CANARY: Final = "kan4rienvogel-Zß"
CREDENTIALS: Final = Password("bob", CANARY)

# SMTP

GREETED: Final[tuple[Step, ...]] = ("S: 220 mx", "C: EHLO [127.0.0.1]")
READY: Final[tuple[Step, ...]] = (*GREETED, "S: 250 mx")
MAILED: Final[tuple[Step, ...]] = (
    "C: MAIL FROM:<a@example.org>",
    "S: 250 ok",
    "C: RCPT TO:<b@example.org>",
    "S: 250 ok",
    "C: DATA",
    "S: 354 go",
    MAIL_DATA,
)
SENT: Final[tuple[Step, ...]] = (*MAILED, "S: 250 taken")
QUIT: Final[tuple[Step, ...]] = ("C: QUIT", "S: 221 bye")

SMTP_ANSWERS: Final[Mapping[str, str]] = {
    "EHLO": "250 mx",
    "MAIL": "250 mail",
    "RCPT": "250 rcpt",
    "DATA": "354 data",
    ".": "250 taken",
    "RSET": "250 rset",
    "NOOP": "250 noop",
    "QUIT": "221 bye",
}


def extensions(*keywords: str) -> tuple[Step, ...]:
    """The beginning of a session with a server that announces these keywords."""
    lines = ("mx", *keywords)
    return (*GREETED, *(f"S: 250-{line}" for line in lines[:-1]), f"S: 250 {lines[-1]}")


def once(peer: ScriptedPeer) -> Callable[[], Awaitable[socket.socket]]:
    """Return a connector that leads to `peer` the first time and to nobody afterwards."""
    ways = iter([peer])

    async def connect() -> socket.socket:
        for way in ways:
            return await way.connect()
        raise ConnectionRefusedError("nobody is there any more")

    return connect


# POP3

POP3_GREETED: Final[tuple[Step, ...]] = ("S: +OK pop", "C: CAPA")
POP3_READY: Final[tuple[Step, ...]] = (*POP3_GREETED, "S: -ERR what")
LOGIN: Final[tuple[Step, ...]] = ("C: USER bob", "S: +OK", f"C: PASS {CANARY}", "S: +OK")
OPENED: Final[tuple[Step, ...]] = (*POP3_READY, *LOGIN)
POP3_QUIT: Final[tuple[Step, ...]] = ("C: QUIT", "S: +OK bye", CLOSE)
LISTED: Final[tuple[Step, ...]] = (
    "C: STAT",
    "S: +OK 2 14",
    *("C: LIST", "S: +OK", "S: 1 7", "S: 2 7", "S: ."),
    *("C: UIDL", "S: +OK", "S: 1 u1", "S: 2 u2", "S: ."),
)
TWO_MESSAGES: Final[tuple[Step, ...]] = (
    "C: RETR 1",
    "S: +OK",
    "S: first",
    "S: .",
    "C: RETR 2",
    "S: +OK",
    "S: other",
    "S: .",
)

POP3_ANSWERS: Final[Mapping[str, str]] = {
    "CAPA": "-ERR what",
    "USER": "+OK",
    "PASS": "+OK",
    "STAT": "+OK 2 14",
    "LIST": "+OK\n1 7\n2 7\n.",
    "UIDL": "+OK\n1 u1\n2 u2\n.",
    "RETR 1": "+OK\nfirst\n.",
    "RETR 2": "+OK\nother\n.",
    "TOP": "+OK\nfirst\n.",
    "DELE": "+OK",
    "NOOP": "+OK noop",
    "RSET": "+OK",
    "QUIT": "+OK bye",
}


def announced(*keywords: str) -> tuple[Step, ...]:
    """CAPA, answered with these."""
    return ("C: CAPA", "S: +OK", *(f"S: {keyword}" for keyword in keywords), "S: .")


def capabilities(*keywords: str) -> tuple[Step, ...]:
    """The beginning of a session with a server that has these capabilities."""
    return (POP3_GREETED[0], *announced(*keywords))


# A session with a server that pipelines, up to its open maildrop, and the listing of it.
PIPELINED: Final[tuple[Step, ...]] = (
    *capabilities("PIPELINING", "USER", "UIDL", "TOP"),
    "C: USER bob",
    f"C: PASS {CANARY}",
    "S: +OK",
    "S: +OK",
    *announced("PIPELINING", "USER", "UIDL", "TOP"),
)
LISTED_TOGETHER: Final[tuple[Step, ...]] = (
    *("C: STAT", "C: LIST", "C: UIDL", "S: +OK 3 21", "S: +OK", "S: 1 7", "S: 2 7", "S: 3 7", "S: ."),
    *("S: +OK", "S: 1 u1", "S: 2 u2", "S: 3 u3", "S: ."),
)
