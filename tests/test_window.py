"""Who says more than he may is found out, and nobody else."""

from collections.abc import Callable
from copy import deepcopy
from typing import TypeAlias

import pytest

from tests.window import POP3Dialogue, SMTPDialogue, WatchedDialogue

GREETED = [b"S: 220 hi", b"C: EHLO c", b"S: 250-hi", b"S: 250 PIPELINING"]
LOCKSTEP = [b"S: 220 hi", b"C: EHLO c", b"S: 250-hi PIPELINING", b"S: 250 SIZE"]
MAIL, RCPT = b"C: MAIL FROM:<a@b.c>", b"C: RCPT TO:<b@b.c>"
TEXT = [b"C: DATA", b"S: 354 go", b"C: MAIL", b"C: ..", b"C: RCPT"]
ENTERED = [b"S: +OK", b"C: CAPA", b"S: +OK", b"S: PIPELINING", b"S: .", b"C: LIST", b"S: +OK", b"S: 1 60", b"S: 2 50"]
LISTED = [*ENTERED, b"S: ."]
OK, NO = b"S: 250 ok", b"S: 550 no"

Take: TypeAlias = Callable[[WatchedDialogue, list[bytes]], None]


def watch(dialogue: WatchedDialogue, lines: list[bytes]) -> None:
    for line in lines:
        (dialogue.say if line.startswith(b"S: ") else dialogue.hear)(line[3:] + b"\r\n")


def in_octets(dialogue: WatchedDialogue, lines: list[bytes]) -> None:
    for line in lines:
        take = dialogue.say if line.startswith(b"S: ") else dialogue.hear
        for octet in line[3:] + b"\r\n":
            take(bytes([octet]))


def smtp(commands: int = 3, octets: int = 1000, *, lmtp: bool = False) -> SMTPDialogue:
    return SMTPDialogue(commands, octets, lmtp=lmtp)


def pop3(commands: int = 3, octets: int = 100) -> POP3Dialogue:
    return POP3Dialogue(commands, octets)


ALLOWED = [
    (smtp(), [*LOCKSTEP, MAIL, OK, RCPT, OK, *TEXT, b"C: .", OK, b"C: QUIT"], 1),
    (smtp(), [*LOCKSTEP, MAIL, OK, RCPT, OK, b"C: DATA", b"S: 354 go", b"C: .", NO, b"C: QUIT"], 1),
    (smtp(), [*GREETED, MAIL, RCPT, b"C: DATA", OK, OK, b"S: 354 go", b"C: .", MAIL, RCPT, OK, OK, OK], 3),
    (smtp(), [*GREETED, MAIL, RCPT, b"C: BDAT 6 LAST", b"C: QUIT", OK, OK, OK, b"C: QUIT"], 3),
    (smtp(), [*LOCKSTEP, b"C: AUTH LOGIN", b"S: 334 x", b"C: QUIT", b"S: 334 y", b"C: *", NO, b"C: QUIT"], 1),
    (smtp(lmtp=True), [*GREETED, MAIL, RCPT, RCPT, OK, OK, NO, *TEXT, b"C: .", MAIL, RCPT, OK], 3),
    (smtp(1), [*GREETED, MAIL, OK, OK, b"S: 354 go", RCPT, b"C: DATA", b"C: text", b"C: .", OK], 1),
    (smtp(), [*LOCKSTEP, b"C: \x16\x03\x01", MAIL, RCPT], 1),
    (smtp(), [*LOCKSTEP, MAIL, b"S: what", RCPT, RCPT], 1),
    (pop3(), [*LISTED, b"C: RETR 1", b"C: DELE 2", b"C: RETR 3", b"C: NOOP"], 4),
    (
        pop3(1),
        [*LISTED, b"C: RETR 1", b"S: +OK", b"S: -ERR", b"S: ..", b"S: .", b"C: RETR 2", b"S: -ERR", b"C: QUIT"],
        1,
    ),
    (pop3(), [b"S: +OK", b"C: AUTH X", b"S: + ", b"C: USER", b"S: +OK", b"C: AUTH", b"S: -ERR", b"C: CAPA"], 1),
]
FORBIDDEN = [
    (smtp(), [b"C: EHLO c"]),
    (smtp(), [*LOCKSTEP, MAIL, RCPT]),
    (smtp(), [*GREETED, MAIL, RCPT, RCPT, RCPT]),
    (smtp(9, 50), [*GREETED, MAIL, RCPT, RCPT]),
    (smtp(9, 60), [*GREETED, MAIL, RCPT, OK, OK, b"C: BDAT 5000", b"C: " + b"x" * 4998, b"C: BDAT 5000 LAST"]),
    (smtp(), [*GREETED, b"C: NOOP", MAIL]),
    (smtp(), [*GREETED, b"C: DATA", b"C: text"]),
    (smtp(), [*GREETED, b"C: AUTH LOGIN", b"C: MAIL"]),
    (smtp(), [*LOCKSTEP, *TEXT, b"C: .", MAIL]),
    (smtp(), [*GREETED, b"C: STARTTLS", b"S: 220 go", b"C: EHLO", OK, MAIL, RCPT]),
    (smtp(3, lmtp=True), [*GREETED, MAIL, RCPT, RCPT, OK, OK, OK, *TEXT, b"C: .", OK, MAIL, RCPT, RCPT]),
    (pop3(), [b"S: +OK", b"C: CAPA", b"S: +OK", b"S: .", b"C: RETR 1", b"C: RETR 2"]),
    (pop3(), [*LISTED, b"C: RETR 1", b"C: RETR 2"]),
    (pop3(), [*LISTED, b"C: DELE 1", b"C: DELE 2", b"C: DELE 3", b"C: DELE 4"]),
    (pop3(1), [*LISTED, b"C: RETR 1", b"S: +OK", b"S: -ERR", b"C: STAT"]),
    (pop3(), [*LISTED, b"C: QUIT", b"C: NOOP"]),
    (pop3(), [*LISTED, b"C: STLS", b"S: +OK", b"C: USER", b"C: PASS"]),
]


@pytest.mark.parametrize("take", [watch, in_octets])
@pytest.mark.parametrize(("dialogue", "lines", "most"), ALLOWED)
def test_what_may_be_said_is_let_pass(dialogue: WatchedDialogue, lines: list[bytes], most: int, take: Take) -> None:
    dialogue = deepcopy(dialogue)
    take(dialogue, lines)
    assert (dialogue.most, dialogue.fault) == (most, None)


@pytest.mark.parametrize("take", [watch, in_octets])
@pytest.mark.parametrize(("dialogue", "lines"), FORBIDDEN)
def test_what_must_have_waited_is_found_out(dialogue: WatchedDialogue, lines: list[bytes], take: Take) -> None:
    dialogue = deepcopy(dialogue)
    take(dialogue, lines[:-1])
    assert dialogue.fault is None
    with pytest.raises(AssertionError):
        take(dialogue, lines[-1:])
    assert dialogue.fault is not None
