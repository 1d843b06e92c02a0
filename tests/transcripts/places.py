"""Places in a transcript where the server goes, and the scripts for it: on sockets, in the clear or under TLS."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailwire.endpoint import Connector
from mailwire.testing import CLOSE, LISTEN, Hear, ScriptedPeer, Step, Tls, client_context, parse_script
from tests.aio.dialogues import once
from tests.replay import Transcript
from tests.transcripts.story import Story

__all__ = ["DIRECT", "Place", "Way", "places_of_client", "places_of_server", "said_before", "script_of"]

_DATA: Final = Path(__file__).parents[1] / "data"


@dataclass(frozen=True)
class Place:
    """Behind so many octets of the server, `said`, and so many of what the client says then, `heard`; None: all."""

    said: int
    heard: int | None = None


def places_of_server(end: int) -> Iterator[Place]:
    """Before every octet that the server says, up to the place `end`."""
    return map(Place, range(end))


def places_of_client(transcript: Transcript, end: int) -> Iterator[Place]:
    """Behind every octet that the client says, but for the last of each turn, as long as the server has said less than
    `end`."""
    said = 0
    for turn in transcript.turns:
        if said < end:
            yield from (Place(said, heard) for heard in range(1, len(turn.client)))
        said += sum(map(len, turn.server))


def said_before(transcript: Transcript, said: int) -> bytes:
    """What the client says when the server has said so many octets."""
    octets = b""
    for turn in transcript.turns:
        if said < 0:
            break
        octets += turn.client
        said -= sum(map(len, turn.server))
    return octets


class Way:
    """The way to a peer: straight to it, once.

    context: with which the client makes TLS. is_cut: it is the way that ends, and not the peer that goes.
    """

    is_cut: bool = False

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.context = context or client_context()

    def to(self, peer: ScriptedPeer) -> Connector:
        """How the client connects."""
        return once(peer)

    async def closed(self) -> None:
        """Wait until it is at its end on both sides."""


DIRECT: Final = Way()


def script_of(
    story: Story, is_encrypted: bool, place: Place | None = None, *, ending: tuple[Step, ...] = ()
) -> tuple[Step, ...]:
    """The transcript as a script, up to the `place`, and the `ending` there.

    What is heard before the next octet would be said, is heard. is_encrypted: TLS is in force from the first octet.
    """
    script = parse_script(story.text, folder=_DATA)
    # Where it closes, what the client then does is its own affair.
    steps = [*script, LISTEN] if CLOSE in script or story.error else list(script)
    if place is not None:
        steps = [*_up_to(script, place), *ending]
    return (Tls(), *steps) if is_encrypted else tuple(steps)


def _up_to(script: tuple[Step, ...], place: Place) -> Iterator[Step]:
    said, heard = place.said, place.heard
    for step in script:
        octets = _spoken(step)
        if len(octets) > said:
            yield octets[:said]
            return
        said -= len(octets)
        if heard is not None and not said and (words := _heard(step)):
            if heard < len(words):
                if heard:
                    yield Hear(words[:heard])
                return
            heard -= len(words)
        if step is not CLOSE:
            yield step


def _spoken(step: Step) -> bytes:
    if isinstance(step, str) and step.startswith("S: "):
        return step[3:].encode() + b"\r\n"
    return step if isinstance(step, bytes) else b""


def _heard(step: Step) -> bytes:
    if isinstance(step, Hear):
        assert isinstance(step.octets, bytes), "a transcript says every octet"
        return step.octets
    return step[3:].encode() + b"\r\n" if isinstance(step, str) and step.startswith("C: ") else b""
