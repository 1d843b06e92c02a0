"""Phrases: what a server says, by situation, as data that a quirk can replace.

A server looks up a situation ("sender accepted") and never words an answer itself. Another server's wording is then a
mapping from situations to lines, and nothing else.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import NamedTuple

from .checks import check_names, check_text, describe

__all__ = ["Phrase", "Phrasebook", "check_lines"]

# What every situation knows.
_ALWAYS = frozenset({"hostname", "peer"})


class Phrase(NamedTuple):
    """One line: a `status` (`250`, `+OK`), a `code` that refines it (`2.1.0`, `[IN-USE]`; "": none), and a text.

    Names in braces stand for what the situation knows: {hostname} and {peer} always, others as the table shows.

    further: what the situation knows as well, and the text does not say.
    """

    status: str
    code: str
    text: str
    further: tuple[str, ...] = ()


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
            phrase = self.phrases[situation]
            code = f" {phrase.code}" if phrase.code and self.shows_codes else ""
            template = f"{phrase.status}{code} {phrase.text}"
        return template.format(**known)


def check_lines(name: str, lines: object, phrases: Mapping[str, Phrase], encoding: str = "utf-8") -> None:
    """Raise ValueError unless `lines`, the value of the field `name`, has lines for situations among `phrases`.

    What a line names in braces must be what the situation knows, and its text must be of the `encoding`.
    """
    if not isinstance(lines, Mapping):
        raise ValueError(f"expected {name} to be a mapping of situations to lines, got {describe(lines)}")
    check_names("the situations", lines.keys(), phrases)
    for situation, line in lines.items():
        check_text(f"the line for {situation!r}", line)
        known = _ALWAYS | _named(phrases[situation].text) | set(phrases[situation].further)
        try:
            unknown = _named(line) - known
        except ValueError as error:
            raise ValueError(f"expected names in braces, or braces twice, got {describe(line)}: {error}") from None
        if unknown:
            raise ValueError(f"expected {situation!r} to name what it knows, {_in_braces(known)}, got {describe(line)}")
        try:
            line.encode(encoding)
        except UnicodeEncodeError:
            raise ValueError(f"expected the line for {situation!r} in {encoding}, got {describe(line)}") from None


def _named(text: str) -> frozenset[str]:
    # With whatever stands beside a name in its braces, so that none but plain names are found again.
    fields = [parts[1:] for parts in Formatter().parse(text) if parts[1] is not None]
    return frozenset(f"{name}{'!' if conversion else ''}{form}" for name, form, conversion in fields)


def _in_braces(names: Collection[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names))
