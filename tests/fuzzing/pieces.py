"""What the targets have in common: how what they are given is cut."""

import unicodedata
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias
from zlib import crc32

from mailwire import MailwireError

__all__ = ["TURN", "Cutter", "Pieces", "anyhow", "is_safe", "kind_of", "octets", "whole"]

TURN: Final = b"\x1e"
"""The octet between what a server says in one turn and in the next, before which the client has its say."""

Pieces: TypeAlias = Sequence[bytes]
Cutter: TypeAlias = Callable[[bytes], Pieces]

# Octets. What is no longer is always cut into its octets.
_SHORT: Final = 24


def whole(data: bytes) -> Pieces:
    """In one piece."""
    return [data]


def octets(data: bytes) -> Pieces:
    """An octet at a time."""
    return [data[place : place + 1] for place in range(len(data))] or [b""]


def anyhow(data: bytes) -> Cutter:
    """How to cut what `data` says, the same each time: mostly into three pieces, for each piece costs its time.

    Into octets where there are few, and in one case of sixteen; where a piece ends, is by chance in the others.
    """
    chance = crc32(data)
    if len(data) <= _SHORT or not chance & 15:
        return octets

    def three(turn: bytes) -> Pieces:
        first, second = (chance >> 4) % (len(turn) + 1), (chance >> 16) % (len(turn) + 1)
        if first > second:
            first, second = second, first
        return [turn[:first], turn[first:second], turn[second:]]

    return three


def is_safe(text: str) -> bool:
    """Whether it is one line without anything that a terminal obeys."""
    return text.isprintable() if text.isascii() else not any(map(_is_control, text))


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs")


def kind_of(error: MailwireError | None) -> str:
    """The class of an error, which can be shown: what it quotes depends on how much had arrived."""
    assert error is None or is_safe(str(error))
    return "" if error is None else type(error).__name__
