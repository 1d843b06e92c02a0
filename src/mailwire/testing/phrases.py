"""Phrases: what a server says, by situation, as data that a quirk can replace.

A server looks up a situation ("sender accepted") and never words an answer itself. Another server's wording is then a
mapping from situations to lines, and nothing else.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Phrase", "Phrasebook", "check_situations"]


class Phrase(NamedTuple):
    """One line: a `status` (`250`, `+OK`), a `code` that refines it (`2.1.0`, `[IN-USE]`; "": none), and a text.

    Names in braces stand for what the situation knows: {hostname} and {peer} always, others as the table shows.
    """

    status: str
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Phrasebook:
    """The phrases of one server: a table of them all, and the lines that it says `instead`, whole, with their status.

    shows_codes: False leaves out the codes of the table, for a server that never heard of them.
    """

    phrases: Mapping[str, Phrase]
    instead: Mapping[str, str]
    shows_codes: bool

    def line(self, situation: str, **known: object) -> str:
        """Return the line for `situation`, without its end."""
        template = self.instead.get(situation)
        if template is None:
            status, code, text = self.phrases[situation]
            template = f"{status} {code} {text}" if code and self.shows_codes else f"{status} {text}"
        return template.format(**known)


def check_situations(named: Iterable[str], known: Collection[str]) -> None:
    """Raise ValueError if one of the situations that are `named` is none."""
    for situation in named:
        if situation not in known:
            raise ValueError(f"expected one of the situations {', '.join(known)}; got {situation!r}")
