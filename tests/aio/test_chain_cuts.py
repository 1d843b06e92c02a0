"""Mails in a row, the server's words cut behind every octet, replaced by noise or other words: what is known of each.

The right words are those of the oracle, which reads the octets of both sides by rules of its own. The server cannot be
reached again, so that what was not sent stays so.
"""

from typing import Any

import pytest

from mailwire import Delivery, MailwireError, SendResult, SMTPClient
from mailwire.smtp import Receipt
from mailwire.testing import FIN, LISTEN, MAIL_DATA, PACKET, RST, Hear, ScriptedPeer, Step
from tests.aio.dialogues import MESSAGE, QUIT, extensions, once
from tests.aio.test_cuts import Session, said
from tests.smtp.oracle import accounts_of, word_for, words_for

MAIL = "C: MAIL FROM:<a@example.org>"
NAMED = (MAIL, "C: RCPT TO:<b@example.org>", "C: RCPT TO:<c@example.org>")
CHUNK: tuple[Step, ...] = (f"C: BDAT {len(MESSAGE)} LAST", Hear(len(MESSAGE)))
TAKES: tuple[Step, ...] = ("S: 250 a", "S: 250 b", "S: 250 c")
TAKES_ONE: tuple[Step, ...] = ("S: 250 a", "S: 550 b", "S: 250 c")
RECIPIENTS = ["b@example.org", "c@example.org"]

CHAINED: tuple[Step, ...] = (
    *extensions("PIPELINING"),
    *(*NAMED, "C: DATA", *TAKES, "S: 354 go", MAIL_DATA),
    *(*NAMED, "C: DATA", "S: 250 taken 1", *TAKES_ONE, "S: 354 go", MAIL_DATA),
    *(*NAMED, "C: DATA", "S: 554 refused 2", *TAKES, "S: 354 go", MAIL_DATA, "S: 250 taken 3", *QUIT),
)
CHUNKS: tuple[Step, ...] = (
    *extensions("PIPELINING", "CHUNKING"),
    *(*NAMED, *TAKES, *CHUNK),
    *("C: RSET", *NAMED, "S: 250 taken 1", "S: 250 reset", *TAKES_ONE, *CHUNK),
    *("C: RSET", *NAMED, "S: 554 refused 2", "S: 250 reset", *TAKES, *CHUNK, "S: 250 taken 3", *QUIT),
)
EAGER: tuple[Step, ...] = (
    *extensions("PIPELINING", "CHUNKING"),
    *(*NAMED, *CHUNK, "C: RSET", *NAMED, *CHUNK, "C: RSET", *NAMED, *CHUNK),
    *(*TAKES, "S: 250 taken 1", "S: 250 reset", *TAKES_ONE, "S: 554 refused 2"),
    *("S: 250 reset", *TAKES, "S: 250 taken 3", *QUIT),
)
# A server that takes one command at a time.
NAMED_ALONE: tuple[Step, ...] = (NAMED[0], "S: 250 a", NAMED[1], "S: 250 b", NAMED[2], "S: 250 c")
NAMED_ONE: tuple[Step, ...] = (NAMED[0], "S: 250 a", NAMED[1], "S: 550 b", NAMED[2], "S: 250-c", "S: 250 c")
DATA_ALONE: tuple[Step, ...] = ("C: DATA", "S: 354 go", MAIL_DATA)
ALONE: tuple[Step, ...] = (
    *extensions("HELP"),
    *(*NAMED_ALONE, *DATA_ALONE, "S: 250 taken 1", *NAMED_ONE, *DATA_ALONE, "S: 554 refused 2"),
    *(*NAMED_ALONE, *DATA_ALONE, "S: 250 taken 3", *QUIT),
)
CHUNKS_ALONE: tuple[Step, ...] = (
    *extensions("CHUNKING"),
    *(*NAMED_ALONE, *CHUNK, "S: 250 taken 1", *NAMED_ONE, *CHUNK, "S: 554 refused 2", "C: RSET", "S: 250 reset"),
    *(*NAMED_ALONE, *CHUNK, "S: 250 taken 3", *QUIT),
)
# The answers come one by one: between two of them the client has its turn.
SLOWLY: tuple[Step, ...] = tuple(
    part for step in EAGER for part in ((step, PACKET) if isinstance(step, str) and step.startswith("S: ") else (step,))
)

WAYS: dict[str, tuple[tuple[Step, ...], Any]] = {
    "behind DATA": (CHAINED, False),
    "in chunks": (CHUNKS, True),
    "eager": (EAGER, "eager"),
    "eager, answered slowly": (SLOWLY, "eager"),
    "behind DATA, one command at a time": (ALONE, False),
    "in chunks, one command at a time": (CHUNKS_ALONE, True),
    "eager, one command at a time": (CHUNKS_ALONE, "eager"),
}


async def send_three(script: tuple[Step, ...], use_chunking: Any) -> tuple[list[SendResult], bytes]:
    """Send three mails to a peer with this script; return the results, and what the peer has heard."""
    results: list[SendResult] = []
    async with ScriptedPeer(*script) as peer:
        client = SMTPClient(peer.endpoint(connect=once(peer)))
        try:
            async with client:
                run = client.send_all(
                    [MESSAGE] * 3, sender="a@example.org", recipients=RECIPIENTS, use_chunking=use_chunking
                )
                results = [result async for result in run]
        except MailwireError:
            assert not results  # it could not even connect
    return results, bytes(peer.heard)


def check(results: list[SendResult], sent: bytes, heard: bytes, place: str) -> None:
    accounts = accounts_of(sent, heard)
    if not results:
        assert not accounts
        return
    assert sorted(result.index for result in results) == [0, 1, 2], place
    for result in results:
        words = [Delivery.NOT_SENT] * 2
        if result.index < len(accounts):
            account = accounts[result.index]
            words = words_for(account, 2)
            # A server that closes has said nothing of the mail, which is tried again; and nobody is there.
            closing = 421 in (account.mail, account.data, *account.recipients)
            if word_for(words) is Delivery.NOT_SENT or (closing and Delivery.UNKNOWN not in words):
                words = [Delivery.NOT_SENT] * 2
        check_one(result, words, f"{place}, message {result.index}")


def check_one(result: SendResult, words: list[Delivery], place: str) -> None:
    receipt = result.receipt
    assert isinstance(receipt, Receipt)
    assert [entry.delivery for entry in receipt.recipients] == words, place
    assert result.delivery is word_for(words), place
    if result.delivery is Delivery.ACCEPTED:
        assert result.error is None, place
    else:
        assert result.error is not None, place
        assert result.error.receipt is receipt, place
        assert result.error.delivery is result.delivery, place


@pytest.mark.parametrize("end", [FIN, RST])
@pytest.mark.parametrize(("script", "use_chunking"), WAYS.values(), ids=WAYS)
async def test_a_server_that_goes_behind_any_octet_leaves_the_right_words(
    script: tuple[Step, ...], use_chunking: Any, end: Step, stride: int
) -> None:
    session = Session(script, {})
    octets = b"".join(map(said, script))
    for place in range(0, len(octets) + 1, stride):
        results, sent = await send_three(session.cut(place, end), use_chunking)
        check(results, sent, octets[:place], f"cut behind {place} octets")


@pytest.mark.parametrize(("script", "use_chunking"), WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("noise", [b"\xff\xfe noise\r\n", b"999 what\r\n", b"25 ok\r\n"])
async def test_noise_in_place_of_any_reply_leaves_the_right_words(
    script: tuple[Step, ...], use_chunking: Any, noise: bytes
) -> None:
    for place in Session(script, {}).turns:
        results, sent = await send_three((*script[:place], noise, LISTEN), use_chunking)
        check(results, sent, b"".join(map(said, script[:place])), f"noise in place of {script[place]!r}")


@pytest.mark.parametrize(("script", "use_chunking"), WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("answer", ["421 closing", "450 later", "550 no"])
async def test_a_refusal_in_place_of_any_reply_leaves_the_right_words(
    script: tuple[Step, ...], use_chunking: Any, answer: str
) -> None:
    for place in Session(script, {}).turns:
        line = answer.encode() + b"\r\n"
        results, sent = await send_three((*script[:place], line, FIN, LISTEN), use_chunking)
        heard = b"".join(map(said, script[:place])) + line
        check(results, sent, heard, f"{answer} in place of {script[place]!r}")
