"""Every transcript on sockets, by mailwire's own clients, or by its machines where no client says the like: whole, and
cut behind any octet of either side.

What is asked of the client, and what must come of each call, is read from the transcript (`smtp_calls`, `pop3_calls`,
`machine_calls`).
The server is a `ScriptedPeer`, in the clear, behind TLS, or with STARTTLS or STLS in the middle. It goes by FIN, by RST
and, under TLS, in good order.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from random import Random
from typing import Final

import pytest

from mailwire.testing import CLOSE, FIN, LISTEN, RST, Step
from tests.transcripts.machine_calls import MachineCalls
from tests.transcripts.places import DIRECT, Place, Way, places_of_client, places_of_server, script_of
from tests.transcripts.pop3_calls import POP3Calls
from tests.transcripts.smtp_calls import SMTPCalls
from tests.transcripts.story import STORIES, Story

# What no client says, and why.
MACHINE_ALONE: Final = {
    "pop3-bare-lf": "LIST, RETR and QUIT leave in one flight: a client says those of a call (pop3-bare-lf-in-flights)",
    "pop3-not-stuffed": "RETR, DELE and NOOP leave in one flight: a client marks what was retrieved behind its end",
    "pop3-pipelined": "nine commands leave in one flight: a client says those of a call (pop3-flights)",
    "smtp-by-hand-argosoft": "HELO comes first: a client asks EHLO",
    "smtp-chunk-refused": "a chunk has three octets: a client's have 128 KiB (tests/aio/test_sending_cuts.py)",
    "smtp-chunks": "a chunk has two octets: a client's have 128 KiB (tests/aio/test_sending_cuts.py)",
    "smtp-early-verdict": "half a line leaves: a client writes a message in blocks (tests/aio/test_sending.py)",
    "smtp-empty-message": "a message has no octet: to a client that is an InvalidMessage",
}

Calls = SMTPCalls | POP3Calls | MachineCalls


def calls_of(story: Story) -> Calls:
    if story.name in MACHINE_ALONE:
        return MachineCalls(story)
    return POP3Calls(story) if story.is_pop3 else SMTPCalls(story)


CALLS: Final[list[Calls]] = [calls_of(story) for story in STORIES]

# Under TLS there is no STARTTLS.
LINKS: Final = [(calls, tls) for calls in CALLS for tls in ([False] if calls.is_starttls else [False, True])]

on_each_link = pytest.mark.parametrize(
    ("calls", "is_encrypted"),
    [pytest.param(calls, tls, id=f"{calls.story}-{'tls' if tls else 'clear'}") for calls, tls in LINKS],
)


def test_there_is_none_left_out_and_none_is_said_by_a_machine_alone_without_a_reason() -> None:
    names = [file.stem for file in Path(__file__).parent.glob("*.txt")]
    assert sorted(calls.story.name for calls in CALLS) == sorted(names)
    assert {*MACHINE_ALONE} <= {*names}
    assert len(MACHINE_ALONE) == 8
    assert len(CALLS) >= 95


@on_each_link
async def test_all_comes_to_what_it_should(calls: Calls, is_encrypted: bool) -> None:
    await play_whole(calls, is_encrypted)


async def play_whole(calls: Calls, is_encrypted: bool, way: Way = DIRECT) -> None:
    leaves_early = calls.end < len(calls.story.transcript.server)
    place = Place(calls.end, 0) if leaves_early else None
    script = script_of(calls.story, is_encrypted, place, ending=(LISTEN,))
    heard = await calls.attempt(script, is_encrypted, calls.end, "whole", way)
    assert heard == calls.said_before(calls.end)


def ends_of(calls: Calls, is_encrypted: bool) -> tuple[Step, ...]:
    return (FIN, RST, CLOSE) if is_encrypted or calls.is_starttls else (FIN, RST)


async def cut(calls: Calls, is_encrypted: bool, end: Step, places: Iterator[Place]) -> None:
    for place in places:
        where = f"{end!r} at {place}"
        script = script_of(calls.story, is_encrypted, place, ending=(end, LISTEN))
        heard = await calls.attempt(script, is_encrypted, place.said, where)
        said = calls.said_before(place.said)
        # What the client says to a connection that was reset, is lost.
        assert said.startswith(heard) if end is RST else said == heard, where


def places_of(calls: Calls) -> tuple[Iterator[Place], Iterator[Place]]:
    return places_of_server(calls.end), places_of_client(calls.story.transcript, calls.end)


@on_each_link
async def test_who_is_left_knows_what_can_be_known(calls: Calls, is_encrypted: bool) -> None:
    for end in ends_of(calls, is_encrypted):
        chance = Random(f"{calls.story} {is_encrypted} {end!r}")
        sample = [chance.choice(places) for each in places_of(calls) if (places := list(each))]
        await cut(calls, is_encrypted, end, iter(sample))


@pytest.mark.exhaustive
@on_each_link
async def test_who_is_left_behind_any_octet_knows_what_can_be_known(calls: Calls, is_encrypted: bool) -> None:
    for end in ends_of(calls, is_encrypted):
        await cut(calls, is_encrypted, end, chain(*places_of(calls)))
