"""Capabilities: what a POP3 server announces in its response to CAPA (RFC 2449)."""

from typing import Self

from .._wire.keywords import Keywords
from .response import Response

__all__ = ["Capabilities"]


class Capabilities(Keywords):
    """The announced capabilities, in upper case, each with its parameters as they came."""

    @classmethod
    def parse(cls, response: Response) -> Self:
        """Read the response to CAPA: a capability and its parameters on each line."""
        return cls.parse_lines(response.lines)

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """The SASL mechanisms offered (RFC 5034 3), in upper case, in the server's order."""
        return tuple(word.upper() for word in self.get("SASL", ()))
