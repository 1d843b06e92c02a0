"""Keywords: what a server announces that it can do, in its reply to EHLO (SMTP) or to CAPA (POP3).

Both have the same form, a keyword and its parameters on each line, and deserve the same reading: an announcement is an
offer, and a line of it that cannot be read is an offer not made, never an error.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Self

__all__ = ["Keywords"]

_KEYWORD: Final = re.compile(rb"[A-Za-z0-9][!-~]*\Z")
_NUMBER: Final = re.compile(r"[0-9]{1,20}\Z")


class Keywords(Mapping[str, tuple[str, ...]]):
    """The announced keywords, in upper case, each with its parameters as they came. Case does not count in look-ups."""

    def __init__(self, keywords: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self._keywords = {name.upper(): tuple(words) for name, words in (keywords or {}).items()}
        self.names: frozenset[str] = frozenset(self._keywords)
        """The keywords, in upper case; whoever has one in upper case looks it up here in no time."""

    @classmethod
    def parse_lines(cls, lines: Iterable[bytes]) -> Self:
        """Read the lines of an announcement. A keyword that is repeated has its parameters added up."""
        keywords: dict[str, dict[str, None]] = {}  # the parameters in their order, each once
        for line in lines:
            keyword, *parameters = line.split() or [b""]
            # "AUTH=PLAIN LOGIN" was written before RFC 2554, and is still, for clients of that time.
            keyword, _, first = keyword.partition(b"=")
            if not _KEYWORD.match(keyword):
                continue
            name = keyword.decode("ascii").upper()
            words = [word.decode("latin-1") for word in ([first, *parameters] if first else parameters)]
            keywords.setdefault(name, {}).update(dict.fromkeys(words))
        return cls({name: tuple(words) for name, words in keywords.items()})

    def number(self, keyword: str) -> int | None:
        """Return the first parameter of `keyword` that is a number of at most 20 digits; None if there is none."""
        for word in self.get(keyword, ()):
            if _NUMBER.match(word):
                return int(word)
        return None

    def __getitem__(self, keyword: str) -> tuple[str, ...]:
        return self._keywords[keyword.upper()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keywords)

    def __len__(self) -> int:
        return len(self._keywords)

    # What Mapping makes of the three above is right, and takes five times as long: each mail asks for it.

    def __contains__(self, keyword: object) -> bool:
        return isinstance(keyword, str) and keyword.upper() in self._keywords

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._keywords!r})"
