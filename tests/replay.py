"""Replay: a machine driven through a transcript, with the server's octets cut in any way.

A transcript is the text of a script (`mailwire.testing.parse_script`) that says every octet of both sides: what the
client (`C:`) and the server (`S:`) say, and that the server closes. Files that it names are those in tests/data. All
that the server says in one turn comes at once, unless an empty line parts it into packets.

`replay` knows no protocol. It is given the machine, a `Client` that decides what to ask of it, and the transcript, and
holds the client to its lines: before the server speaks, exactly what the transcript says must have been written.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from mailwire.testing import CLOSE, PACKET, Hear, Step, Tls, parse_script
from mailwire.testing.script import encode_line

__all__ = ["Client", "Machine", "Replay", "Transcript", "Turn", "load", "parse", "replay"]

_DATA: Final = Path(__file__).with_name("data")
_TRANSCRIPTS: Final = Path(__file__).with_name("transcripts")

E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)
E_contra = TypeVar("E_contra", contravariant=True)


class Machine(Protocol[E_co]):
    """What both machines have in common."""

    def data_to_send(self) -> list[bytes]: ...
    def receive_data(self, data: bytes, /) -> None: ...
    def receive_eof(self) -> None: ...
    def next_event(self) -> E_co | None: ...


class Client(Protocol[E_contra]):
    """A program that uses a machine."""

    def begin(self) -> None:
        """Ask for what is asked for before the server has said anything."""

    def take(self, event: E_contra, /) -> None:
        """Take an event and go on."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What the client says, and what the server says then, in packets."""

    client: bytes
    server: tuple[bytes, ...]
    closes: bool = False


@dataclass(frozen=True, slots=True)
class Transcript:
    """A dialogue."""

    turns: tuple[Turn, ...]

    @property
    def client(self) -> bytes:
        """All that the client says."""
        return b"".join(turn.client for turn in self.turns)

    @property
    def server(self) -> bytes:
        """All that the server says. Places where it is cut are counted in this."""
        return b"".join(b"".join(turn.server) for turn in self.turns)

    @property
    def by_line(self) -> list[int]:
        """The places behind every line of the server."""
        return [place for place, octet in enumerate(self.server, 1) if octet == 0x0A]

    @property
    def by_octet(self) -> range:
        """The places behind every octet of the server."""
        return range(1, len(self.server))

    def cuts(self, count: int) -> Iterator[tuple[int, ...]]:
        """All sets of `count` places within one and the same turn."""
        begin = 0
        for turn in self.turns:
            size = sum(map(len, turn.server))
            yield from combinations(range(begin + 1, begin + size), count)
            begin += size

    def ending(self, place: int) -> "Transcript":
        """The same dialogue, if the server closes the connection behind `place`."""
        turns: list[Turn] = []
        for turn in self.turns:
            said = b"".join(turn.server)
            if len(said) >= place:
                return Transcript((*turns, Turn(turn.client, (said[:place],), closes=True)))
            place -= len(said)
            turns.append(turn)
        raise ValueError("the server does not say that much")


@dataclass(frozen=True, slots=True)
class Replay(Generic[E]):
    """What came of it: the events in order, all that was written, and the error that ended it, if one did."""

    events: tuple[E, ...]
    written: bytes
    error: Exception | None


def load(name: str) -> Transcript:
    """Return the transcript in the file called `name`."""
    return parse((_TRANSCRIPTS / f"{name}.txt").read_text("utf-8"))


def parse(text: str) -> Transcript:
    """Return the transcript that `text` is."""
    turns: list[Turn] = []
    client, packets, closes = b"", [b""], False
    for step in parse_script(text, folder=_DATA):
        said = _said_by_client(step)
        if said is not None:
            assert not closes, "the client cannot speak when the server has closed"
            if any(packets):
                turns.append(Turn(client, tuple(filter(None, packets))))
                client, packets = b"", [b""]
            client += said
        elif step is PACKET:
            packets.append(b"")
        elif step is CLOSE:
            closes = True
        elif not isinstance(step, Tls):  # a handshake is between the lines
            packets[-1] += step if isinstance(step, bytes) else encode_line(str(step))
    return Transcript((*turns, Turn(client, tuple(filter(None, packets)), closes)))


def _said_by_client(step: Step) -> bytes | None:
    if isinstance(step, Hear):
        assert isinstance(step.octets, bytes), "a transcript says every octet"
        return step.octets
    if isinstance(step, str) and step.startswith("C: "):
        return step.removeprefix("C: ").encode() + b"\r\n"
    return None


def replay(transcript: Transcript, machine: Machine[E], client: Client[E], cuts: Collection[int] = ()) -> Replay[E]:
    """Drive `machine` and `client` through `transcript`; the server's octets are cut behind each of the places `cuts`.

    Ends when the transcript does, or when the machine raises. AssertionError: the client said something else.
    """
    play = _Play(machine, client)
    place, cuts = 0, frozenset(cuts)
    try:
        client.begin()
        play.write()
        for turn in transcript.turns:
            play.expect(turn.client)
            for packet in turn.server:
                end = place + len(packet)
                ends = sorted({end, *(cut for cut in cuts if place < cut < end)}) if cuts else [end]
                for cut in ends:
                    machine.receive_data(packet[: cut - place])
                    packet, place = packet[cut - place :], cut
                    play.take()
            if turn.closes:
                machine.receive_eof()
                play.take()
        play.expect(b"")
    except AssertionError:
        raise
    except Exception as error:
        return Replay(tuple(play.events), bytes(play.written), error)
    return Replay(tuple(play.events), bytes(play.written), None)


class _Play(Generic[E]):
    def __init__(self, machine: Machine[E], client: Client[E]) -> None:
        self.machine = machine
        self.client = client
        self.events: list[E] = []
        self.written = bytearray()
        self.expected = 0  # octets of what was written

    def write(self) -> None:
        self.written += b"".join(self.machine.data_to_send())

    def take(self) -> None:
        while (event := self.machine.next_event()) is not None:
            self.events.append(event)
            self.client.take(event)
        self.write()

    def expect(self, said: bytes) -> None:
        found = bytes(self.written[self.expected :])
        assert found == said, f"expected the client to say {said!r}, got {found!r}"
        self.expected = len(self.written)
