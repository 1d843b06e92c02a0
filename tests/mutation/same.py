"""Mutants that change nothing that could be seen: the line that they write, and why it is as good as the one before."""

from typing import Final

__all__ = ["SAME"]

_SLOWER: Final = "a short cut is not taken, and the long way leads to the same"
_FALSE: Final = "None is as false as False, and is asked for no more than that"
_CASE: Final = "keywords are found in any case"

SAME: Final[dict[tuple[str, str], str]] = {
    ("smtp/rules", "if type(None) in _PLAIN:"): _SLOWER,
    ("smtp/rules", "if following is not None and type(None) in _PLAIN:"): _SLOWER,
    ("smtp/commands", "if parameters is NO_PARAMETERS and (not parameters):"): _SLOWER,
    ("smtp/options", "_check_limit('a mail held for', self.hold_for, longest, 'FUTURERELEASE', least=None)"): _FALSE,
    ("message/addresses", "in_group = behind_group = None"): _FALSE,
    ("message/addresses", "self.is_open = None"): _FALSE,
    ("aio/initiation", "session.has_heard = None"): _FALSE,
    ("aio/initiation", "self._dialogue.knows_ehlo = None"): _FALSE,
    ("aio/initiation", "if 'starttls' not in self._extensions:"): _CASE,
}
