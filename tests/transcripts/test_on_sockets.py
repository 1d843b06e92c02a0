"""The transcripts on sockets, in the clear and under TLS, by mailwire's own clients: whole, and cut by FIN and by RST.

Those whose comments say "machine alone" are left to the machines: a client says something else there, or more. So are
mails in a row, which `tests/aio/test_chain_cuts.py` cuts, and POP3 sessions that no client leads by itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import pytest

from mailwire import (
    ConnectionFailed,
    ConnectionLost,
    MailwireError,
    MessageTruncated,
    Password,
    POP3Client,
    Receipt,
    RemoteProtocolError,
    SMTPClient,
    Timeouts,
)
from mailwire.testing import CLOSE, FIN, LISTEN, RST, ScriptedPeer, Step, Tls, parse_script
from tests.aio.dialogues import once
from tests.smtp.oracle import accounts_of, word_for, words_for
from tests.transcripts import smtp_story
from tests.transcripts.pop3_story import POP3Story
from tests.transcripts.smtp_story import Answer, SMTPStory
from tests.transcripts.story import STORIES, Story

DATA: Final = Path(__file__).parents[1] / "data"
# A server that reads no more does not answer a close_notify either.
PATIENCE: Final = Timeouts(close=0.01)
# How many places of a transcript are tried each time, and not only where it is exhaustive.
SAMPLES: Final = 2

MAILS: Final = [
    SMTPStory(story) for story in STORIES if not story.is_pop3 and not {"machine alone", "in-a-row"} & story.options
]
MAILDROPS: Final = [story for story in STORIES if "retrieve" in story.options]

every_mail = pytest.mark.parametrize("story", MAILS, ids=lambda story: story.story.name)
every_maildrop = pytest.mark.parametrize("story", MAILDROPS, ids=str)
tls_or_not = pytest.mark.parametrize("is_encrypted", [False, True], ids=["clear", "tls"])


def test_there_are_enough() -> None:
    assert len(MAILS) >= 35
    assert len(MAILDROPS) >= 4


# The scripts


def script_of(story: Story, is_encrypted: bool) -> tuple[Step, ...]:
    steps = parse_script(story.text, folder=DATA)
    # Where it closes, what the client then does is its own affair.
    steps = (*steps, LISTEN) if CLOSE in steps or story.error else steps
    return (Tls(), *steps) if is_encrypted else steps


def said_by(step: Step) -> bytes:
    if isinstance(step, str) and step.startswith("S: "):
        return step[3:].encode() + b"\r\n"
    return step if isinstance(step, bytes) else b""


def cut(script: tuple[Step, ...], place: int, end: Step) -> tuple[Step, ...]:
    """The script, if the server goes behind so many octets. What it hears before the next one, it hears."""
    kept: list[Step] = []
    for step in script:
        said = said_by(step)
        if len(said) > place:
            kept.append(said[:place])
            break
        place -= len(said)
        kept.append(step)
    return (*(step for step in kept if step is not LISTEN and step is not CLOSE), end, LISTEN)


def places_in(story: Story, is_exhaustive: bool) -> Iterator[int]:
    size = len(story.transcript.server)
    places = range(size)
    yield from places if is_exhaustive else Random(story.name).sample(places, min(SAMPLES, size))


# Mails


@dataclass
class Outcome:
    receipts: list[Receipt | None]
    error: MailwireError | None
    heard: bytes


async def send(story: SMTPStory, script: tuple[Step, ...], is_encrypted: bool) -> Outcome:
    async with ScriptedPeer(*script) as peer:
        endpoint = peer.endpoint(
            connect=once(peer),
            timeouts=PATIENCE,
            tls="implicit" if is_encrypted else "none",
            local_hostname=story.name or "c",
        )
        client = SMTPClient(endpoint)
        outcome = Outcome([], None, b"")
        try:
            await client.connect()
            for mail in story.mails:
                outcome.receipts.append(None)
                try:
                    outcome.receipts[-1] = await client.send(
                        b"".join(mail.body),
                        sender=str(mail.sender) if mail.sender else "",
                        recipients=[str(recipient) for recipient in mail.recipients],
                        on_refused=mail.on_refused,
                        use_chunking=mail.chunking,
                    )
                except MailwireError as error:
                    outcome.error, outcome.receipts[-1] = error, error.receipt
                    if not client.is_connected:
                        raise
            await client.quit()
        except MailwireError as error:
            outcome.error = error
        finally:
            client.abort()
    outcome.heard = bytes(peer.heard)
    return outcome


def answers_to(story: SMTPStory) -> list[Answer]:
    """The replies that answer something: what is out of place is no answer, nor what comes behind it."""
    return story.answers[: len(smtp_story.told(smtp_story.play(story)[0]))] if story.story.error else story.answers


def judge(story: SMTPStory, outcome: Outcome, heard: bytes, place: object) -> None:
    accounts = accounts_of(outcome.heard, heard)
    for number, receipt in enumerate(outcome.receipts):
        assert receipt is not None
        words = [entry.delivery for entry in receipt.recipients]
        due = words_for(accounts[number], len(words)) if number < len(accounts) else words
        assert words == due, place
        abort = story.mails[number].on_refused == "abort"
        assert receipt.delivery is word_for(words, all_or_nothing=abort), place


@tls_or_not
@every_mail
async def test_a_mail_comes_to_what_it_should(story: SMTPStory, is_encrypted: bool) -> None:
    outcome = await send(story, script_of(story.story, is_encrypted), is_encrypted)
    assert outcome.heard == story.story.transcript.client
    assert isinstance(outcome.error, RemoteProtocolError) is (story.story.error == "RemoteProtocolError")
    answers = answers_to(story)
    judge(story, outcome, story.story.transcript.server[: answers[-1].end if answers else 0], "whole")


async def cut_mail(story: SMTPStory, is_encrypted: bool, end: Step, is_exhaustive: bool) -> None:
    server = story.story.transcript.server
    for place in places_in(story.story, is_exhaustive):
        outcome = await send(story, cut(script_of(story.story, is_encrypted), place, end), is_encrypted)
        told = [answer for answer in answers_to(story) if answer.end <= place]
        if isinstance(outcome.error, RemoteProtocolError):
            assert story.story.error, place
        elif outcome.error is None or isinstance(outcome.error, ConnectionLost | ConnectionFailed):
            assert len(told) < len(story.asked), place
        judge(story, outcome, server[: told[-1].end if told else 0], place)


@tls_or_not
@pytest.mark.parametrize("end", [FIN, RST], ids=["FIN", "RST"])
@every_mail
async def test_a_mail_whose_server_goes_has_the_right_word(story: SMTPStory, end: Step, is_encrypted: bool) -> None:
    await cut_mail(story, is_encrypted, end, is_exhaustive=False)


@pytest.mark.exhaustive
@tls_or_not
@pytest.mark.parametrize("end", [FIN, RST], ids=["FIN", "RST"])
@every_mail
async def test_a_mail_whose_server_goes_behind_any_octet_has_the_right_word(
    story: SMTPStory, end: Step, is_encrypted: bool
) -> None:
    await cut_mail(story, is_encrypted, end, is_exhaustive=True)


# Maildrops


async def retrieve(script: tuple[Step, ...], is_encrypted: bool) -> tuple[list[bytes], MailwireError | None, bytes]:
    messages: list[bytes] = []
    failure: MailwireError | None = None
    async with ScriptedPeer(*script) as peer:
        client = POP3Client(
            peer.endpoint(
                protocol="pop3",
                connect=once(peer),
                timeouts=PATIENCE,
                tls="implicit" if is_encrypted else "none",
                auth=Password("tim", "tanstaaftanstaaf"),
                allow_cleartext_auth=True,
            )
        )
        try:
            await client.connect()
            items = client.retrieve(await client.listing())
            # One by one: those before it stay where one fails.
            while (item := await anext(items, None)) is not None:
                messages += [await item.read()] if item.error is None else []
            await client.quit()
        except MailwireError as error:
            failure = error
        finally:
            client.abort()
    return messages, failure, bytes(peer.heard)


@tls_or_not
@every_maildrop
async def test_a_maildrop_comes_to_what_it_should(story: Story, is_encrypted: bool) -> None:
    messages, error, heard = await retrieve(script_of(story, is_encrypted), is_encrypted)
    assert error is None
    assert heard == story.transcript.client
    assert messages == [
        b"".join(line + b"\r\n" for line in lines)
        for kind, *_, lines in POP3Story(story).account
        if kind == "message" and isinstance(lines, list)
    ]


async def cut_maildrop(story: Story, is_encrypted: bool, end: Step, is_exhaustive: bool) -> None:
    whole, _, _ = await retrieve(script_of(story, is_encrypted), is_encrypted)
    for place in places_in(story, is_exhaustive):
        messages, error, _ = await retrieve(cut(script_of(story, is_encrypted), place, end), is_encrypted)
        assert isinstance(error, ConnectionLost | MessageTruncated | ConnectionFailed) or messages == whole, place
        assert messages == whole[: len(messages)], place


@tls_or_not
@pytest.mark.parametrize("end", [FIN, RST], ids=["FIN", "RST"])
@every_maildrop
async def test_a_maildrop_whose_server_goes_is_as_far_as_it_came(story: Story, end: Step, is_encrypted: bool) -> None:
    await cut_maildrop(story, is_encrypted, end, is_exhaustive=False)


@pytest.mark.exhaustive
@tls_or_not
@pytest.mark.parametrize("end", [FIN, RST], ids=["FIN", "RST"])
@every_maildrop
async def test_a_maildrop_whose_server_goes_behind_any_octet_is_as_far_as_it_came(
    story: Story, end: Step, is_encrypted: bool
) -> None:
    await cut_maildrop(story, is_encrypted, end, is_exhaustive=True)
