"""Capabilities: what a POP3 server announces in its response to CAPA (RFC 2449)."""

import re
from dataclasses import dataclass
from typing import Final, Self

from .._wire.keywords import Keywords
from .._wire.text import printable
from .response import Response

__all__ = ["Capabilities", "Expire", "LoginDelay"]

# Of seconds or of days, few enough that every clock can count to them.
_NUMBER: Final = re.compile(r"[0-9]{1,9}\Z")


@dataclass(frozen=True, slots=True)
class LoginDelay:
    """LOGIN-DELAY (RFC 2449 6.5): at least so many `seconds` must lie between two logins.

    is_per_user: before the login; for this user they may be others, and CAPA after the login tells.
    """

    seconds: int
    is_per_user: bool = False


@dataclass(frozen=True, slots=True)
class Expire:
    """EXPIRE (RFC 2449 6.7): the server keeps mail so many `days`; None for ever, 0 until it was retrieved.

    is_per_user: before the login; for this user they may be others, and CAPA after the login tells.
    """

    days: int | None
    is_per_user: bool = False


class Capabilities(Keywords):
    """The announced capabilities, in upper case, each with its parameters as they came.

    A line that cannot be read is an offer not made, and so is a misspelt capability.
    """

    @classmethod
    def parse(cls, response: Response) -> Self:
        """Read the response to CAPA: a capability and its parameters on each line."""
        return cls.parse_lines(response.lines)

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """The SASL mechanisms offered (RFC 5034 3), in upper case, in the server's order."""
        return tuple(word.upper() for word in self.get("SASL", ()))

    @property
    def user(self) -> bool:
        """Whether USER and PASS are offered (RFC 2449 6.2)."""
        return "USER" in self

    @property
    def stls(self) -> bool:
        """Whether STLS is offered (RFC 2595 4)."""
        return "STLS" in self

    @property
    def pipelining(self) -> bool:
        """Whether commands may be sent before the one in front of them is answered (RFC 2449 6.6)."""
        return "PIPELINING" in self

    @property
    def top(self) -> bool:
        """Whether TOP is offered (RFC 2449 6.1)."""
        return "TOP" in self

    @property
    def uidl(self) -> bool:
        """Whether UIDL is offered (RFC 2449 6.8). There are servers that have it without a word about it."""
        return "UIDL" in self

    @property
    def resp_codes(self) -> bool:
        """Whether brackets at the beginning of a response hold a code (RFC 2449 6.4)."""
        return "RESP-CODES" in self

    @property
    def auth_resp_code(self) -> bool:
        """Whether the server says if it is the credentials that are at fault (RFC 3206 6)."""
        return "AUTH-RESP-CODE" in self

    @property
    def utf8(self) -> bool:
        """Whether UTF8 is offered (RFC 6856 2)."""
        return "UTF8" in self

    @property
    def utf8_user(self) -> bool:
        """Whether user names and passwords may be UTF-8 (RFC 6856 2.2)."""
        return self._has_user("UTF8")

    @property
    def lang(self) -> bool:
        """Whether LANG is offered (RFC 6856 3)."""
        return "LANG" in self

    @property
    def login_delay(self) -> LoginDelay | None:
        """How much time must lie between logins; None if nothing is said of it."""
        seconds = self._numbers("LOGIN-DELAY")
        return LoginDelay(max(seconds), self._has_user("LOGIN-DELAY")) if seconds else None

    @property
    def expire(self) -> Expire | None:
        """How long mail is kept; None if nothing is said of it."""
        days = self._numbers("EXPIRE")
        if not days and "NEVER" not in map(str.upper, self.get("EXPIRE", ())):
            return None
        return Expire(min(days, default=None), self._has_user("EXPIRE"))

    @property
    def implementation(self) -> str | None:
        """What the server calls itself, made printable (RFC 2449 6.9); None if it does not say."""
        words = self.get("IMPLEMENTATION")
        return printable(" ".join(words).encode("latin-1")) if words else None

    def _numbers(self, keyword: str) -> list[int]:
        # There is one, unless the keyword is repeated: then the most careful of them is what is meant.
        return [int(word) for word in self.get(keyword, ()) if _NUMBER.match(word)]

    def _has_user(self, keyword: str) -> bool:
        return "USER" in map(str.upper, self.get(keyword, ()))
