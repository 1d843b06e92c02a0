"""Mutants that change nothing that could be seen: the line that they write, and why it is as good as the one before."""

from typing import Final

__all__ = ["SAME"]

_SLOWER: Final = "a short cut is not taken, and the long way leads to the same"

SAME: Final[dict[tuple[str, str], str]] = {
    ("smtp/rules", "if type(None) in _PLAIN:"): _SLOWER,
    ("smtp/rules", "if following is not None and type(None) in _PLAIN:"): _SLOWER,
}
