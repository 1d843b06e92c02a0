"""Dialogues with a server object: transcripts of `C:` and `S:` lines, heard whole, by line, by byte and cut in two."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from mailwire.testing import Session

# Stands in a transcript, in a line of its own, where the handshake is.
TLS = "(TLS)"
# Stands for a blank at the end of a line, where nobody sees one.
BLANK = "\N{SYMBOL FOR SPACE}"

S = TypeVar("S", bound=Session)


def say(session: Session, *pieces: bytes) -> bytes:
    """Feed the pieces and take the answers behind each; return all of them."""
    answers = b"".join(session.data_to_send())
    for piece in pieces:
        session.receive_data(piece)
        answers += b"".join(session.data_to_send())
    return answers


def greeted(session: S) -> S:
    """Return the session, its greeting taken."""
    assert session.data_to_send()
    return session


def play(open_session: Callable[[], S], transcript: str) -> S:
    """Speak the client's lines, cut in every way, each to a new session; the answers are the server's lines always.

    Returns the session that heard all at once.
    """
    phases = [_sides(phase) for phase in transcript.split(TLS)]
    for cut in _cuts([client for client, _ in phases]):
        session = open_session()
        for number, (pieces, (_, server)) in enumerate(zip(cut, phases, strict=True)):
            if number > 0:
                session.tls_established()
            assert say(session, *pieces) == server, pieces
    session = open_session()
    for number, (client, _) in enumerate(phases):
        if number > 0:
            session.tls_established()
        say(session, client)
    return session


def _sides(phase: str) -> tuple[bytes, bytes]:
    sides = {"C": b"", "S": b""}
    for line in phase.strip().splitlines():
        side, _, text = line.strip().partition(":")
        sides[side] += text.removeprefix(" ").replace(BLANK, " ").encode() + b"\r\n"
    return sides["C"], sides["S"]


def _cuts(clients: list[bytes]) -> Iterator[list[list[bytes]]]:
    for number, client in enumerate(clients):
        for pieces in _ways_to_cut(client):
            yield [pieces if place == number else [other] for place, other in enumerate(clients)]


def _ways_to_cut(data: bytes) -> Iterator[list[bytes]]:
    yield [data]
    yield data.splitlines(keepends=True)
    yield [data[place : place + 1] for place in range(len(data))]
    for place in range(1, len(data)):
        yield [data[:place], data[place:]]
