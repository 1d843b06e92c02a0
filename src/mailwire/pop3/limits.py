"""Limits: how much a server may say before it is taken to be hostile, or out of its mind."""

from dataclasses import dataclass

__all__ = ["DEFAULT_LIMITS", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long what a server says may be. What is longer is LimitExceeded, and the end of the connection.

    line: octets of the first line of an answer, and of a line of a listing, without its end. RFC 2449 4 has 512 for a
        response; real ones are longer at times, and SMTP's customary limit serves.
    listing_lines: lines of a listing: one for each of a million messages.
    listing_octets: octets of a listing: a million lines of a number and a unique id of the greatest length.

    A message has no limit here: it is handed out as it comes.
    """

    line: int = 8192
    listing_lines: int = 2**20
    listing_octets: int = 80 * 2**20

    def __post_init__(self) -> None:
        if self.line < 512 or self.listing_lines < 1 or self.listing_octets < 1:
            raise ValueError(
                f"a line may have at least 512 octets, a listing at least 1 line and 1 octet, got {self!r}"
            )


DEFAULT_LIMITS = Limits()
"""How much a server may say if nothing else is said."""
