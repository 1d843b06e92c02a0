"""The server's words cut behind every octet, replaced by noise, and without end: what becomes of the call.

What must come of it is computed here from the script alone, by rules of its own (`word_for`, `messages_in`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

import mailwire
from mailwire import (
    CommandRefused,
    ConnectionFailed,
    ConnectionLost,
    DataRefused,
    Delivery,
    Desynchronised,
    LimitExceeded,
    MailwireError,
    MessageTruncated,
    RecipientsRefused,
    RemoteProtocolError,
    SenderRefused,
)
from mailwire.testing import FIN, LISTEN, MAIL_DATA, NO_READING, RST, ScriptedPeer, Step, Tls
from tests.aio.dialogues import (
    CREDENTIALS,
    LISTED,
    LOGIN,
    MAILED,
    MESSAGE,
    OPENED,
    POP3_QUIT,
    QUIT,
    READY,
    SENT,
    TWO_MESSAGES,
    announced,
    capabilities,
    extensions,
    once,
)


@dataclass(frozen=True)
class Session:
    """A dialogue that ends well, and the settings for it."""

    script: tuple[Step, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    refusal: type[MailwireError] | None = None

    @property
    def octets(self) -> int:
        return sum(map(spoken, self.script))

    @property
    def turns(self) -> Iterator[int]:
        """Where the server begins to speak."""
        for place, (before, step) in enumerate(pairwise((None, *self.script))):
            if step is not None and spoken(step) and not (before is not None and spoken(before)):
                yield place

    def cut(self, place: int, end: Step) -> tuple[Step, ...]:
        """Return the script, cut behind so many of the server's octets. What it hears before the next one, it hears."""
        kept: list[Step] = []
        for step in self.script:
            size = spoken(step)
            if size > place:
                kept.append(said(step)[:place])
                break
            kept.append(step)
            place -= size
        return (*kept, end, LISTEN)


def said(step: Step) -> bytes:
    if isinstance(step, bytes):
        return step
    return step[3:].encode() + b"\r\n" if isinstance(step, str) and step.startswith("S: ") else b""


def spoken(step: Step) -> int:
    return len(said(step))


def word_for(session: Session, place: int) -> Delivery:
    """What can be known of the mail when so many of the server's octets have come."""
    waiting = ["greeting"]
    refused = accepted = 0
    in_doubt = False
    for step in session.script:
        if isinstance(step, str) and step.startswith("C: "):
            waiting.append(step[3:7])
        elif step is MAIL_DATA:
            waiting.append(".")
            in_doubt = True
        elif line := said(step):
            place -= len(line)
            if place < 0:
                break
            if line[3:4] == b"-":
                continue
            command, positive = waiting.pop(0), line[0] in b"23"
            if command == ".":
                return Delivery.ACCEPTED if positive else Delivery.REFUSED
            if command == "RCPT":
                accepted += positive
                refused += not positive
            elif command in ("MAIL", "DATA") and not positive:
                return Delivery.REFUSED
            # Of the sessions here those with a refused recipient have one or two.
            if refused and not accepted and "RCPT" not in waiting and session.refusal is not None:
                return Delivery.REFUSED
    return Delivery.UNKNOWN if in_doubt else Delivery.NOT_SENT


AUTH: dict[str, Any] = {"auth": CREDENTIALS, "allow_cleartext_auth": True}
GROUP: tuple[Step, ...] = ("C: MAIL FROM:<a@example.org>", "C: RCPT TO:<b@example.org>", "C: DATA")
RSET: tuple[Step, ...] = ("C: RSET", "S: 250 reset")
NO = "S: 550 no"

SMTP: dict[str, Session] = {
    "lockstep": Session((*READY, *SENT, *QUIT)),
    "pipelined": Session(
        (
            *extensions("PIPELINING"),
            *GROUP,
            "S: 250 a",
            "S: 250 b",
            "S: 354 c",
            MAIL_DATA,
            "S: 250-d",
            "S: 250 e",
            *QUIT,
        )
    ),
    "helo": Session((*READY[:2], "S: 500 what", "C: HELO [127.0.0.1]", "S: 250 mx", *SENT, *QUIT)),
    "login": Session(
        (
            *extensions("AUTH LOGIN"),
            "C: AUTH LOGIN",
            "S: 334 ",
            "C: ...",
            "S: 334 ",
            "C: ...",
            "S: 235 ok",
            *SENT,
            *QUIT,
        ),
        AUTH,
    ),
    "starttls": Session(
        (*extensions("STARTTLS"), "C: STARTTLS", "S: 220 go", Tls(), "C: EHLO ...", "S: 250 mx", *SENT, *QUIT),
        {"tls": "starttls"},
    ),
    "message refused": Session((*READY, *MAILED, "S: 554-no", "S: 554 never"), refusal=DataRefused),
    "DATA refused": Session((*READY, *MAILED[:5], NO, *RSET), refusal=DataRefused),
    "sender refused": Session((*READY, *MAILED[:1], NO), refusal=SenderRefused),
    "recipient refused": Session((*READY, *MAILED[:3], NO, *RSET), refusal=RecipientsRefused),
    "group refused": Session(
        (*extensions("PIPELINING"), *GROUP, "S: 250 a", NO, "S: 354 go", MAIL_DATA, NO), refusal=RecipientsRefused
    ),
}

POP3: dict[str, Session] = {
    "lockstep": Session((*OPENED, *LISTED, *TWO_MESSAGES, *POP3_QUIT), AUTH),
    "pipelined": Session(
        (
            *capabilities("PIPELINING", "SASL PLAIN"),
            *("C: AUTH PLAIN ...", "S: +OK", *announced("PIPELINING", "UIDL"), "C: STAT", "C: LIST", "C: UIDL"),
            *("S: +OK 2 14", "S: +OK", "S: 1 7", "S: 2 7", "S: .", "S: -ERR"),
            *("C: RETR 1", "C: RETR 2", "S: +OK", "S: ..irst", "S: .", "S: +OK", "S: .", *POP3_QUIT),
        ),
        AUTH,
    ),
    "stls": Session(
        (
            *capabilities("STLS"),
            *("C: STLS", "S: +OK", Tls(), "C: CAPA", "S: -ERR", *LOGIN, *LISTED, *TWO_MESSAGES, *POP3_QUIT),
        ),
        {"auth": CREDENTIALS, "tls": "starttls"},
    ),
}


async def send(session: Session, script: tuple[Step, ...]) -> tuple[MailwireError | None, Delivery | None]:
    async with ScriptedPeer(*script) as peer:
        try:
            receipt = await mailwire.send(
                MESSAGE,
                peer.endpoint(connect=once(peer), **session.settings),
                sender="a@example.org",
                recipients="b@example.org",
            )
        except MailwireError as error:
            return error, error.delivery
        return None, receipt.delivery


async def retrieve(session: Session, script: tuple[Step, ...]) -> MailwireError | list[bytes]:
    async with ScriptedPeer(*script) as peer:
        endpoint = peer.endpoint(protocol="pop3", **session.settings)
        try:
            messages = await mailwire.retrieve(endpoint.replace(connect=once(peer)))
        except MailwireError as error:
            return error
        return [message.raw for message in messages]


def every(sessions: dict[str, Session]) -> list[Any]:
    # A reset under TLS tells little that a reset without it does not tell.
    return [
        pytest.param(
            session,
            end,
            id=f"{name}-{end.name}",
            marks=[pytest.mark.exhaustive] if end is RST and Tls() in session.script else [],
        )
        for name, session in sessions.items()
        for end in (FIN, RST)
    ]


@pytest.mark.parametrize(("session", "end"), every(SMTP))
async def test_a_server_that_goes_behind_any_octet_leaves_the_right_word(session: Session, end: Step) -> None:
    for place in range(session.octets + 1):
        error, delivery = await send(session, session.cut(place, end))
        word = word_for(session, place)
        assert delivery is word, f"cut behind {place} octets"
        if word is Delivery.ACCEPTED:
            assert error is None
        elif word is Delivery.REFUSED:
            assert isinstance(error, (session.refusal or MailwireError, ConnectionLost)), f"cut behind {place} octets"
        else:
            # Who hangs up on EHLO, or behind a refusal of it, is asked once more, with HELO, where that is safe.
            hellos = [number for number, step in enumerate(session.script) if str(step)[3:7] in ("EHLO", "HELO")]
            is_asked_again = not session.settings and place in [sum(map(spoken, session.script[:n])) for n in hellos]
            expected = ConnectionFailed if is_asked_again else ConnectionLost
            assert type(error) is expected, f"cut behind {place} octets"


@pytest.mark.parametrize("session", SMTP.values(), ids=SMTP)
@pytest.mark.parametrize(
    "noise", [b"\xff\xfe noise\r\n", b"\r\n", b"999 what\r\n", b"+OK\r\n", b"25 ok\r\n", b"250_ok\r\n"]
)
async def test_noise_in_place_of_any_reply_leaves_the_right_word(session: Session, noise: bytes) -> None:
    for place in session.turns:
        script = (*session.script[:place], noise, LISTEN)
        error, delivery = await send(session, script)
        word = word_for(session, sum(map(spoken, session.script[:place])))
        assert delivery is word, f"noise in place of {session.script[place]!r}"
        if word is Delivery.ACCEPTED:
            assert error is None
        else:
            # Where only the session was to be put in order, the refusal is what there is to be told.
            expected = CommandRefused if session.script[place] == RSET[1] else RemoteProtocolError
            assert isinstance(error, expected), f"noise in place of {session.script[place]!r}"


@pytest.mark.parametrize("session", SMTP.values(), ids=SMTP)
async def test_a_reply_without_end_leaves_the_right_word(session: Session) -> None:
    for place in session.turns:
        for endless in (b"250 " + b"x" * 20_000, b"250-x\r\n" * 1000):
            error, delivery = await send(session, (*session.script[:place], NO_READING, endless))
            word = word_for(session, sum(map(spoken, session.script[:place])))
            assert delivery is word, f"in place of {session.script[place]!r}"
            if word is not Delivery.ACCEPTED:
                expected = CommandRefused if session.script[place] == RSET[1] else LimitExceeded
                assert isinstance(error, expected), f"in place of {session.script[place]!r}"


def messages_in(session: Session, place: int) -> tuple[list[bytes], bool]:
    """The messages that are whole when so many of the server's octets have come, and whether one is in the middle."""
    whole: list[bytes] = []
    waiting: list[str] = ["greeting"]
    lines: list[bytes] | None = None  # of the answer that is being given...
    command = ""  # ...to this
    for step in session.script:
        if isinstance(step, str) and step.startswith("C: "):
            waiting.append(step[3:])
        elif line := said(step):
            place -= len(line)
            if place < 0:
                break
            if lines is None:
                command = waiting.pop(0)
                if line.startswith(b"+OK") and command.split()[0] in ("CAPA", "LIST", "UIDL", "RETR"):
                    lines = []
            elif line != b".\r\n":
                lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
            else:
                if command.startswith("RETR"):
                    whole.append(b"".join(lines))
                lines = None
    return whole, lines is not None and command.startswith("RETR")


@pytest.mark.parametrize(("session", "end"), every(POP3))
async def test_a_server_that_goes_behind_any_octet_leaves_whole_messages_or_an_error(
    session: Session, end: Step
) -> None:
    for place in range(session.octets + 1):
        outcome = await retrieve(session, session.cut(place, end))
        whole, inside = messages_in(session, place)
        if len(whole) == 2:
            assert outcome == whole, f"cut behind {place} octets"
        elif inside:
            assert isinstance(outcome, MessageTruncated), f"cut behind {place} octets"
        else:
            assert isinstance(outcome, ConnectionLost), f"cut behind {place} octets"


async def test_the_end_inside_a_listing_truncates_no_message() -> None:
    session = POP3["lockstep"]
    begin = sum(map(spoken, OPENED)) + len("+OK\r\n")
    for place in range(begin, begin + len("1 7\r\n2 7\r\n")):
        outcome = await retrieve(session, session.cut(place, FIN))
        assert isinstance(outcome, ConnectionLost)
        assert not isinstance(outcome, MessageTruncated), str(outcome)


@pytest.mark.parametrize("session", POP3.values(), ids=POP3)
@pytest.mark.parametrize(
    "noise", [b"\xff\xfe noise\r\n", b"\r\n", b"250 ok\r\n", b"+ok\r\n", b"-err\r\n", b"+OKAY\r\n"]
)
async def test_noise_in_place_of_any_answer_is_the_server_s_fault(session: Session, noise: bytes) -> None:
    for place in session.turns:
        outcome = await retrieve(session, (*session.script[:place], noise, LISTEN))
        whole, _ = messages_in(session, sum(map(spoken, session.script[:place])))
        assert isinstance(outcome, RemoteProtocolError), f"noise in place of {session.script[place]!r}"
        if len(whole) == 2:
            # It may be the rest of the last message.
            assert isinstance(outcome, Desynchronised)
            assert outcome.suspect == "RETR 2"


@pytest.mark.parametrize("session", POP3.values(), ids=POP3)
async def test_an_answer_without_end_is_the_server_s_fault(session: Session) -> None:
    for place in session.turns:
        outcome = await retrieve(session, (*session.script[:place], NO_READING, b"+OK " + b"x" * 20_000))
        whole, _ = messages_in(session, sum(map(spoken, session.script[:place])))
        if len(whole) == 2:
            assert outcome == whole
        else:
            assert isinstance(outcome, LimitExceeded), f"in place of {session.script[place]!r}"
