"""What the targets have in common: how what they are given is cut."""

import unicodedata
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from mailwire import MailwireError

__all__ = ["TURN", "Cutter", "Pieces", "is_safe", "kind_of", "octets", "whole"]

TURN: Final = b"\x1e"
"""The octet between what a server says in one turn and in the next, before which the client has its say."""

Pieces: TypeAlias = Iterable[bytes]
Cutter: TypeAlias = Callable[[bytes], Pieces]


def whole(data: bytes) -> Pieces:
    """In one piece."""
    return [data] if data else []


def octets(data: bytes) -> Pieces:
    """An octet at a time."""
    return [data[place : place + 1] for place in range(len(data))]


def is_safe(text: str) -> bool:
    """Whether it is one line without anything that a terminal obeys."""
    return text.isprintable() if text.isascii() else not any(map(_is_control, text))


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs")


def kind_of(error: MailwireError | None) -> str:
    """The class of an error, which can be shown: what it quotes depends on how much had arrived."""
    assert error is None or is_safe(str(error))
    return "" if error is None else type(error).__name__
