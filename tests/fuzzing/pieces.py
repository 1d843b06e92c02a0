"""What the targets have in common: how what they are given is cut."""

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias
from zlib import crc32

from mailwire import MailwireError

__all__ = ["TURN", "Cutter", "Pieces", "anyhow", "is_safe", "kind_of", "octets", "whole"]

TURN: Final = b"\x1e"
"""The octet between what a server says in one turn and in the next, before which the client has its say."""

Pieces: TypeAlias = Sequence[bytes]
Cutter: TypeAlias = Callable[[bytes], Pieces]

# Octets. What is no longer is cut into its octets in one case of four, and what is longer in one of sixteen.
_SHORT: Final = 24

# The categories Cc, Zl, Zp and Cs: controls, what ends a line or a paragraph, and halves of a surrogate pair.
_UNSAFE: Final = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def whole(data: bytes) -> Pieces:
    """In one piece."""
    return [data]


def octets(data: bytes) -> Pieces:
    """An octet at a time."""
    return [data[place : place + 1] for place in range(len(data))] or [b""]


def anyhow(data: bytes) -> Cutter:
    """How to cut what `data` says, the same each time: mostly into two or three pieces, for each piece costs its time.

    Into octets in one case of sixteen, and oftener where there are few; where a piece ends, is by chance in the others.
    """
    chance = crc32(data)
    if not chance & (3 if len(data) <= _SHORT else 15):
        return octets

    def few(turn: bytes) -> Pieces:
        places = (chance >> 4) % (len(turn) + 1), (chance >> 16) % (len(turn) + 1)
        first, second = min(places), max(places) if chance >> 31 else min(places)
        return [piece for piece in (turn[:first], turn[first:second], turn[second:]) if piece] or [b""]

    return few


def is_safe(text: str) -> bool:
    """Whether it is one line without anything that a terminal obeys."""
    return _UNSAFE.search(text) is None


def kind_of(error: MailwireError | None) -> str:
    """The class of an error, which can be shown: what it quotes depends on how much had arrived."""
    assert error is None or is_safe(str(error))
    return "" if error is None else type(error).__name__
