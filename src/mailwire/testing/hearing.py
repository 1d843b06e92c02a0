"""Hearing: what the client says, cut into what a script expects of it."""

import ssl

from .link import Link
from .script import check_line, decode_line, find_mail_end, hello_size, shorten

__all__ = ["ClientGone", "Hearing"]


class ClientGone(AssertionError):
    """The client closed the connection while the script wanted something of it."""


class Hearing:
    """All that is said over `link`, recorded in `heard`, and taken from there piece by piece.

    Nothing is read before it is asked for. Whatever is asked for, raises AssertionError where the client says something
    else, and ClientGone where it closes before it has said it.
    """

    def __init__(self, link: Link, heard: bytearray) -> None:
        self.link = link
        self.is_at_end: bool = False
        """Whether the client says nothing more: it has closed, or something else made an end of it."""
        self.unread: bytearray = bytearray()
        """What the client said and nobody has asked for yet."""
        self._heard = heard

    async def hear_more(self) -> bool:
        """Wait until the client says something; False if it closes instead."""
        try:
            data = b"" if self.is_at_end else await self.link.receive()
        except ssl.SSLError as error:
            raise AssertionError(f"the client said what is no part of the TLS session: {error}") from error
        self._heard += data
        self.unread += data
        self.is_at_end = not data
        return bool(data)

    async def hear_out(self, *, keep: bool = True) -> None:
        """Hear whatever is said until the client closes. `keep`: whether that, or what came before, is kept."""
        is_there = True
        while is_there:
            if not keep:
                self.unread.clear()
            is_there = await self.hear_more()

    async def hear(self, octets: int) -> bytes:
        """Take so many octets, and return them."""
        await self.fill(octets)
        return self._take(octets)

    async def fill(self, octets: int) -> None:
        """Wait until at least so many octets are there to be taken."""
        while len(self.unread) < octets:
            if not await self.hear_more():
                raise ClientGone(f"expected {octets} octets from the client, got {len(self.unread)} and its end")

    async def next_line(self) -> str | None:
        """Take a line, and return it without its CRLF; None if the client closes before its end."""
        known = 0
        while (end := self.unread.find(b"\n", known)) < 0:
            known = len(self.unread)
            if not await self.hear_more():
                return None
        return decode_line(self._take(end + 1))

    async def hear_line(self, expected: str) -> None:
        """Take the line that is expected; with "..." at the end, one that begins as it does."""
        line = await self.next_line()
        if line is None:
            raise ClientGone(
                f"expected the client to say {shorten(expected)}, it closed ({shorten(self.unread)} is left)"
            )
        check_line(line, expected)

    async def hear_mail_data(self) -> None:
        """Take a message, with the dot that ends it (RFC 5321 4.1.1.4)."""
        known = 0
        while (end := find_mail_end(self.unread, known)) is None:
            known = len(self.unread)
            if not await self.hear_more():
                raise ClientGone(f"expected a message, the client closed after {shorten(self.unread)}")
        self._take(end)

    async def hear_hello(self) -> None:
        """Take the first record of a TLS handshake (RFC 8446 5.1)."""
        while len(self.unread) < hello_size(self.unread):
            if not await self.hear_more():
                raise ClientGone(f"expected a handshake, the client closed after {shorten(self.unread)}")
        self._take(hello_size(self.unread))

    def _take(self, octets: int) -> bytes:
        taken = bytes(self.unread[:octets])
        del self.unread[:octets]
        return taken
