"""Extensions: what an SMTP server announces in its reply to EHLO (RFC 5321 4.1.1.1, 2.2)."""

from typing import Self

from .._wire.keywords import Keywords
from .reply import Reply

__all__ = ["Extensions"]


class Extensions(Keywords):
    """The announced keywords, in upper case, each with its parameters as they came."""

    @classmethod
    def parse(cls, reply: Reply) -> Self:
        """Read the reply to EHLO: a keyword and its parameters on each line but the first."""
        return cls.parse_lines(reply.lines[1:])

    @property
    def size(self) -> int | None:
        """The largest message taken, in octets (RFC 1870); None if there is no fixed limit ("0") or it is not said."""
        return self.number("SIZE") or None

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """The SASL mechanisms offered (RFC 4954 3), in upper case, in the server's order."""
        return tuple(word.upper() for word in self.get("AUTH", ()))
