"""Limits: how much a server may say before it is taken to be hostile, or out of its mind."""

from dataclasses import dataclass

from .._wire.text import check_whole_number

__all__ = ["DEFAULT_LIMITS", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long what a server says may be. What is longer is LimitExceeded, and the end of the connection.

    line: octets of the first line of an answer, and of a line of a listing, without its end. RFC 2449 4 has 512 for a
        response; real ones are longer at times, and SMTP's customary limit serves.
    listing_lines: lines of a listing: one for each of a million messages.
    listing_octets: octets of a listing: a million lines of a number and a unique id of the greatest length.

    A message has no limit here: it is handed out as it comes. Raises ValueError for a line of less than 512 octets and
    for a listing that has none.
    """

    line: int = 8192
    listing_lines: int = 2**20
    listing_octets: int = 80 * 2**20

    def __post_init__(self) -> None:
        check_whole_number("line", self.line, 512)
        check_whole_number("listing_lines", self.listing_lines)
        check_whole_number("listing_octets", self.listing_octets)


DEFAULT_LIMITS = Limits()
"""How much a server may say if nothing else is said."""
