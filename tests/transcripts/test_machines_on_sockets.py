"""The transcripts that no client of mailwire's says, on sockets all the same: the machine says them, over a stream.

What must come of it is what comes of it without a socket, which `test_transcripts` judges.
"""

from collections.abc import Iterator
from itertools import chain
from random import Random
from typing import Any, Final

import pytest

from mailwire import pop3, smtp
from mailwire.aio.stream import Stream
from mailwire.errors import MailwireError
from mailwire.testing import CLOSE, FIN, LISTEN, RST, ScriptedPeer, Step, client_context
from tests.pop3.sessions import account
from tests.transcripts import smtp_story
from tests.transcripts.places import Place, places_of_client, places_of_server, said_before, script_of
from tests.transcripts.pop3_story import POP3Story
from tests.transcripts.smtp_story import SMTPStory
from tests.transcripts.story import STORIES, Story
from tests.transcripts.test_on_sockets import MACHINE_ALONE
from tests.transcripts.test_transcripts import Outcome, play

ALONE: Final = [story for story in STORIES if story.name in MACHINE_ALONE]

on_each_link = pytest.mark.parametrize(
    ("story", "is_encrypted"),
    [
        pytest.param(story, is_encrypted, id=f"{story}-{'tls' if is_encrypted else 'clear'}")
        for story in ALONE
        for is_encrypted in (False, True)
    ],
)


async def drive(machine: Any, client: Any, stream: Stream) -> tuple[list[Any], bytes, MailwireError | None]:
    """Let both talk over the stream to its end; return the events, all that was said, and what ended it."""
    events: list[Any] = []
    written = b""
    try:
        client.begin()
        while machine.state.name != "CLOSED":
            said = machine.data_to_send()
            written += b"".join(said)
            stream.write(said)
            await stream.wait()
            for data in stream.take():
                machine.receive_data(data)
            if stream.is_at_end:
                machine.receive_eof()
            while (event := machine.next_event()) is not None:
                events.append(event)
                client.take(event)
    except MailwireError as error:
        return events, written, error
    return events, written, None


async def play_on_a_socket(story: Story, script: tuple[Step, ...], *, is_encrypted: bool) -> tuple[Outcome, bytes]:
    """Return what came of it, and what the peer has heard."""
    async with ScriptedPeer(*script) as peer:
        endpoint = peer.endpoint(tls="implicit" if is_encrypted else "none", tls_context=client_context())
        stream = await Stream.open(endpoint, client_context() if is_encrypted else None)
        try:
            if story.is_pop3:
                said = POP3Story(story)
                machine = pop3.Connection()
                events, written, error = await drive(machine, said.make_program(machine), stream)
                outcome = Outcome(account(events), written, repr(error), [])
            else:
                mails = SMTPStory(story)
                connection = smtp.Connection(lmtp=mails.is_lmtp)
                sender = mails.make_sender(connection)
                events, written, error = await drive(connection, sender, stream)
                words = [transaction.receipt() for transaction in sender.transactions]
                outcome = Outcome(smtp_story.told_of(events), written, repr(error), words)
        finally:
            stream.abort()
    return outcome, bytes(peer.heard)


def places_of(story: Story) -> tuple[Iterator[Place], Iterator[Place]]:
    end = len(story.transcript.server)
    return places_of_server(end), places_of_client(story.transcript, end)


async def cut(story: Story, end: Step, places: Iterator[Place], *, is_encrypted: bool) -> None:
    for place in places:
        where = f"{end!r} at {place}"
        script = script_of(story, is_encrypted, place, ending=(end, LISTEN))
        outcome, heard = await play_on_a_socket(story, script, is_encrypted=is_encrypted)
        assert outcome == play(story, transcript=story.transcript.ending(place.said)), where
        said = said_before(story.transcript, place.said)
        # What the client says to a connection that was reset, is lost.
        assert said.startswith(heard) if end is RST else said == heard, where


def ends_of(is_encrypted: bool) -> tuple[Step, ...]:
    return (FIN, RST, CLOSE) if is_encrypted else (FIN, RST)


@on_each_link
async def test_a_machine_is_as_far_on_a_socket_as_without_one(story: Story, is_encrypted: bool) -> None:
    for end in ends_of(is_encrypted):
        chance = Random(f"{story} {is_encrypted} {end!r}")
        sample = [chance.choice(places) for each in places_of(story) if (places := list(each))]
        await cut(story, end, iter(sample), is_encrypted=is_encrypted)


@pytest.mark.exhaustive
@on_each_link
async def test_a_machine_is_as_far_behind_any_octet_as_without_a_socket(story: Story, is_encrypted: bool) -> None:
    for end in ends_of(is_encrypted):
        await cut(story, end, chain(*places_of(story)), is_encrypted=is_encrypted)
