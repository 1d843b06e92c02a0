"""Extensions: what an SMTP server announces in its reply to EHLO (RFC 5321 4.1.1.1, 2.2)."""

import re
from collections.abc import Collection
from datetime import datetime
from functools import cached_property
from typing import Final, Self

from .._wire.keywords import Keywords
from .reply import Reply

__all__ = ["Extensions"]

_DATE_TIME_LIMIT: Final = 40  # characters; RFC 3339 5.6 needs 20, and some for fractions
_NINE_DIGITS: Final = re.compile(r"([0-9]{1,9})(?:,|\Z)")
_LIMIT: Final = re.compile(r"[1-9][0-9]{0,5}\Z")  # RFC 9422 4


class Extensions(Keywords):
    """The announced keywords, in upper case, each with its parameters as they came."""

    @classmethod
    def parse(cls, reply: Reply) -> Self:
        """Read the reply to EHLO: a keyword and its parameters on each line but the first."""
        return cls.parse_lines(reply.lines[1:])

    @cached_property
    def size(self) -> int | None:
        """The largest message taken, in octets (RFC 1870); None if there is no fixed limit ("0") or it is not said."""
        return self.number("SIZE") or None

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """The SASL mechanisms offered (RFC 4954 3), in upper case, in the server's order."""
        return tuple(word.upper() for word in self.get("AUTH", ()))

    @property
    def least_deliver_by(self) -> int | None:
        """The shortest time, in seconds, in which delivery may be asked for or else the mail back (RFC 2852 2).

        None if it is not said, or said to be 0.
        """
        words = self.get("DELIVERBY", ())
        # RFC 2852 2: the number, at most nine digits, and behind commas what is to be invented yet.
        found = _NINE_DIGITS.match(words[0]) if words else None
        return (int(found[1]) or None) if found else None

    @property
    def longest_hold(self) -> int | None:
        """The longest time, in seconds, that a mail is held back (RFC 4865 3)."""
        return self.number("FUTURERELEASE")

    @property
    def latest_hold(self) -> datetime | None:
        """The latest moment until which a mail is held back (RFC 4865 3)."""
        words = self.get("FUTURERELEASE", ())
        if len(words) < 2 or len(words[1]) > _DATE_TIME_LIMIT:
            return None
        try:
            moment = datetime.fromisoformat(words[1])
        except ValueError:
            return None
        return moment if moment.tzinfo is not None else None

    @property
    def rcptmax(self) -> int | None:
        """How many RCPT commands a transaction may have (RFC 9422 4.2); None if that is not said."""
        return self._limit("RCPTMAX")

    @property
    def mailmax(self) -> int | None:
        """How many MAIL commands a session may have (RFC 9422 4.1); None if that is not said."""
        return self._limit("MAILMAX")

    @property
    def rcptdomainmax(self) -> int | None:
        """How many domains the recipients of a session may have (RFC 9422 4.3); None if that is not said."""
        return self._limit("RCPTDOMAINMAX")

    def without(self, ignored: Collection[str]) -> Self:
        """Return these without the keywords that are `ignored`."""
        names = {name.upper() for name in ignored}
        return type(self)({name: words for name, words in self.items() if name not in names})

    def _limit(self, name: str) -> int | None:
        # RFC 9422 3: what cannot be read is no limit.
        for word in self.get("LIMITS", ()):
            key, _, value = word.partition("=")
            if key.upper() == name and _LIMIT.match(value):
                return int(value)
        return None
