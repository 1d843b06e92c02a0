"""Whichever way a mail goes, the server's words cut behind every octet, replaced by noise, or left out: what is known.

The right words are those of the oracle, which reads the octets of both sides by rules of its own.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest

import mailwire
from mailwire import ConnectionFailed, ConnectionLost, Delivery, MailwireError, Receipt, RemoteProtocolError
from mailwire.testing import FIN, LISTEN, MAIL_DATA, RST, Hear, ScriptedPeer, Step, Tls
from tests.aio.dialogues import MESSAGE, QUIT, READY, extensions, once
from tests.aio.test_cuts import Session, said, spoken
from tests.smtp.oracle import accounts_of, word_for, words_for

BOTH = ("b@example.org", "c@example.org")
LARGE = b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 50_000  # three chunks

MAIL, RCPT_B, RCPT_C = "C: MAIL FROM:<a@example.org>", "C: RCPT TO:<b@example.org>", "C: RCPT TO:<c@example.org>"
NAMED: tuple[Step, ...] = (MAIL, "S: 250 a", RCPT_B, "S: 250 b", RCPT_C, "S: 250 c")
SOME_NAMED: tuple[Step, ...] = (MAIL, "S: 250 a", RCPT_B, "S: 550 b", RCPT_C, "S: 250 c")
TEXT: tuple[Step, ...] = ("C: DATA", "S: 354 go", MAIL_DATA)
CHUNK: tuple[Step, ...] = (f"C: BDAT {len(MESSAGE)} LAST", Hear(len(MESSAGE)))
RSET: tuple[Step, ...] = ("C: RSET", "S: 250 reset")
LHLO: tuple[Step, ...] = ("S: 220 mx", "C: LHLO [127.0.0.1]", "S: 250-mx", "S: 250 CHUNKING")


@dataclass(frozen=True)
class Way:
    """A way for a mail to go, as a dialogue that ends well, and how the mail is sent that goes it."""

    session: Session
    message: bytes = MESSAGE
    recipients: tuple[str, ...] = BOTH
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def is_lmtp(self) -> bool:
        return self.session.settings.get("protocol") == "lmtp"

    @property
    def is_parted(self) -> bool:
        return any("LIMITS" in step for step in self.session.script if isinstance(step, str))

    @property
    def greeting(self) -> int:
        """How many octets the greeting has."""
        return next(size for step in self.session.script if (size := spoken(step)))

    @property
    def all_or_nothing(self) -> bool:
        return self.arguments.get("on_refused") == "abort"


def way(*script: Step, **options: Any) -> Way:
    settings = options.pop("settings", {})
    return Way(Session(script, settings), **options)


ABORT: dict[str, Any] = {"arguments": {"on_refused": "abort"}}
EAGER: dict[str, Any] = {"arguments": {"use_chunking": "eager"}}
LMTP: dict[str, Any] = {"settings": {"protocol": "lmtp"}}
DATA_LMTP: dict[str, Any] = {**LMTP, "arguments": {"use_chunking": False}}
LARGE_CHUNKS: tuple[Step, ...] = ("C: BDAT 393216", Hear(393216), "S: 250 first")
LAST_CHUNK: tuple[Step, ...] = (
    f"C: BDAT {len(LARGE) - 2 * 393216} LAST",
    Hear(len(LARGE) - 2 * 393216),
    "S: 250 taken",
)

WAYS = {
    "a recipient refused": way(*READY, *SOME_NAMED, *TEXT, "S: 250 taken", *QUIT),
    "in a chunk": way(*extensions("CHUNKING"), *NAMED, *CHUNK, "S: 250-taken", "S: 250 indeed", *QUIT),
    "in a chunk, under TLS": way(
        *(Tls(), *extensions("CHUNKING"), *NAMED, *CHUNK, "S: 250 taken", *QUIT), settings={"tls": "implicit"}
    ),
    "in a chunk, refused": way(*extensions("CHUNKING"), *SOME_NAMED, *CHUNK, "S: 554 no", *RSET),
    "in chunks": way(
        *(*extensions("CHUNKING"), *NAMED, *LARGE_CHUNKS, "C: BDAT 393216", Hear(393216), "S: 250 second"),
        *(*LAST_CHUNK, *QUIT),
        message=LARGE,
    ),
    "in chunks, the second refused": way(
        *(*extensions("CHUNKING"), *NAMED, *LARGE_CHUNKS, "C: BDAT 393216", Hear(393216), "S: 452 full", *RSET),
        message=LARGE,
    ),
    "eager": way(
        *(*extensions("CHUNKING", "PIPELINING"), MAIL, RCPT_B, RCPT_C, *CHUNK),
        *("S: 250 a", "S: 550 b", "S: 250 c", "S: 250 taken", *QUIT),
        **EAGER,
    ),
    "eager, in vain": way(
        *(*extensions("CHUNKING", "PIPELINING"), MAIL, RCPT_B, RCPT_C, *CHUNK),
        *("S: 250 a", "S: 550 b", "S: 450 c", "S: 554 nobody", *RSET),
        **EAGER,
    ),
    "all or nobody": way(*extensions("PIPELINING"), MAIL, RCPT_B, RCPT_C, *("S: 250 a", "S: 250 b", "S: 250 c"),
                         *TEXT, "S: 250 taken", *QUIT, **ABORT),
    "all or nobody, refused": way(
        *(*extensions("PIPELINING"), MAIL, RCPT_B, RCPT_C, "S: 250 a", "S: 250 b", "S: 550 c", *RSET), **ABORT
    ),
    "lmtp": way(*LHLO, *NAMED, *TEXT, "S: 250 for b", "S: 552 for c", *QUIT, **DATA_LMTP),
    "lmtp, a recipient refused": way(*LHLO, *SOME_NAMED, *TEXT, "S: 250 for c", *QUIT, **DATA_LMTP),
    "lmtp, in a chunk": way(*LHLO, *NAMED, *CHUNK, "S: 450 for b", "S: 250 for c", *QUIT, **LMTP),
    "lmtp, nobody": way(*LHLO, *NAMED, *CHUNK, "S: 450 for b", "S: 550 for c", *RSET, **LMTP),
    "in parts": way(
        *(*extensions("LIMITS RCPTMAX=1"), MAIL, "S: 250 a", RCPT_B, "S: 250 b", *TEXT, "S: 250 taken"),
        *(MAIL, "S: 250 a", RCPT_C, "S: 250 c", *TEXT, "S: 250 taken", *QUIT),
    ),
}  # fmt: skip


async def send(way: Way, script: tuple[Step, ...]) -> tuple[MailwireError | None, Receipt | None, bytes]:
    """Send the mail to a peer with this script; return the error, the receipt, and what the peer has heard."""
    async with ScriptedPeer(*script) as peer:
        endpoint = peer.endpoint(connect=once(peer), **way.session.settings)
        try:
            receipt: Receipt | None = await mailwire.send(
                way.message, endpoint, sender="a@example.org", recipients=way.recipients, **way.arguments
            )
            error = None
        except MailwireError as caught:
            error, receipt = caught, caught.receipt
    return error, receipt, bytes(peer.heard)


def expected(way: Way, sent: bytes, heard: bytes) -> tuple[Delivery, list[Delivery]]:
    """The words of the oracle, for the mail and for each recipient."""
    accounts = accounts_of(sent, heard, lmtp=way.is_lmtp)
    if not accounts:
        return Delivery.NOT_SENT, [Delivery.NOT_SENT] * 2
    if not way.is_parted:
        words = words_for(accounts[0], 2, lmtp=way.is_lmtp)
        return word_for(words, all_or_nothing=way.all_or_nothing), words
    words = [word for account in accounts for word in words_for(account, 1)]
    order = (Delivery.UNKNOWN, Delivery.ACCEPTED, Delivery.REFUSED, Delivery.NOT_SENT)
    return next(word for word in order if word in words), words + [Delivery.NOT_SENT] * (2 - len(words))


def check(way: Way, outcome: tuple[MailwireError | None, Receipt | None, bytes], heard: bytes, place: str) -> None:
    error, receipt, sent = outcome
    delivery, words = expected(way, sent, heard)
    assert receipt is not None
    assert receipt.delivery is delivery, place
    assert [entry.delivery for entry in receipt.recipients] == words, place
    if error is not None:
        assert error.delivery is delivery
        # Who has the whole truth, needs no error.
        assert delivery is not Delivery.ACCEPTED or Delivery.NOT_SENT in words, place


def every() -> list[Any]:
    return [pytest.param(way, end, id=f"{name}, {end.name}") for name, way in WAYS.items() for end in (FIN, RST)]


@pytest.mark.parametrize(("way", "end"), every())
async def test_a_server_that_goes_behind_any_octet_leaves_the_right_words(way: Way, end: Step, stride: int) -> None:
    octets = b"".join(map(said, way.session.script))
    for place in range(0, len(octets) + 1, stride):
        outcome = await send(way, way.session.cut(place, end))
        check(way, outcome, octets[:place], f"cut behind {place} octets")
        error = outcome[0]
        if error is not None and not isinstance(error, mailwire.CommandRefused):
            # Who hangs up on EHLO is asked once more, with HELO, where that is safe.
            is_asked_again = place == way.greeting and not way.is_lmtp
            assert type(error) is (ConnectionFailed if is_asked_again else ConnectionLost), f"cut behind {place} octets"


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("noise", [b"\xff\xfe noise\r\n", b"\r\n", b"999 what\r\n", b"+OK\r\n", b"25 ok\r\n"])
async def test_noise_in_place_of_any_reply_leaves_the_right_words(way: Way, noise: bytes) -> None:
    script = way.session.script
    for place in way.session.turns:
        outcome = await send(way, (*script[:place], noise, LISTEN))
        heard = b"".join(map(said, script[:place]))
        check(way, outcome, heard, f"noise in place of {script[place]!r}")
        assert outcome[0] is None or isinstance(outcome[0], (RemoteProtocolError, mailwire.CommandRefused))


SMALL = {name: way for name, way in WAYS.items() if way.message is MESSAGE}


@pytest.mark.parametrize("way", SMALL.values(), ids=SMALL)
@pytest.mark.parametrize("answer", ["421 closing", "450 later", "550 no", "250 ok", "354 go"])
async def test_any_answer_in_place_of_any_other_leaves_the_right_words(way: Way, answer: str) -> None:
    script = way.session.script
    for place in way.session.turns:
        line = answer.encode() + b"\r\n"
        outcome = await send(way, (*script[:place], line, FIN, LISTEN))
        heard = b"".join(map(said, script[:place])) + line
        if isinstance(outcome[0], RemoteProtocolError):
            # What is out of place is no answer to anything.
            heard = heard[: -len(line)]
        check(way, outcome, heard, f"{answer} in place of {script[place]!r}")
