"""Listings: what STAT, LIST and UIDL say about a maildrop (RFC 1939 5 and 7)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self, TypeVar

from .._wire.text import quote
from ..errors import RemoteProtocolError
from .response import Response

__all__ = ["GREATEST_NUMBER", "DropListing", "ScanListing", "UniqueIdListing"]

V = TypeVar("V")

# Of a message: no maildrop has two thousand million.
GREATEST_NUMBER: Final = 2**31 - 1

# ASCII digits only, and few enough that int() neither refuses nor takes long.
_NUMBER: Final = re.compile(rb"[0-9]{1,20}\Z")
# RFC 1939 7: one to 70 characters in the range 0x21 to 0x7E.
_UNIQUE_ID: Final = re.compile(rb"[!-~]{1,70}\Z")


def _octets(word: bytes, line: bytes) -> int:
    if not _NUMBER.match(word):
        raise RemoteProtocolError(f"expected a number of at most 20 digits, got {quote(word)} in {quote(line)}")
    return int(word)


def _message_number(word: bytes, line: bytes, asked: int | None) -> int:
    number = _octets(word, line)
    if not 1 <= number <= GREATEST_NUMBER or asked not in (None, number):
        expected = "a message number" if asked is None else f"the message number {asked}"
        raise RemoteProtocolError(f"expected {expected}, got {quote(word)} in {quote(line)}")
    return number


def _words(line: bytes, what: str) -> list[bytes]:
    words = line.split()
    if len(words) < 2:
        raise RemoteProtocolError(f"expected {what}, got {quote(line)}")
    return words


@dataclass(frozen=True, slots=True)
class DropListing:
    """The answer to STAT: how many messages, how many octets in all."""

    count: int
    octets: int

    @classmethod
    def parse(cls, response: Response) -> Self:
        """Read the response to STAT. Raises RemoteProtocolError."""
        words = _words(response.line, "a number of messages and a number of octets")
        return cls(_octets(words[0], response.line), _octets(words[1], response.line))


class _Listing(Mapping[int, V]):
    # Message numbers in the server's order, each with what is told about it.

    def __init__(self, entries: Mapping[int, V]) -> None:
        self._entries = dict(entries)

    def __getitem__(self, number: int) -> V:
        return self._entries[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._entries!r})"


def _enter(entries: dict[int, V], number: int, value: V, line: bytes) -> None:
    if entries.setdefault(number, value) != value:
        raise RemoteProtocolError(f"expected one line for message {number}, got another: {quote(line)}")


class ScanListing(_Listing[int]):
    """The answer to LIST: message number -> size in octets. The sizes are hints; only a message's end ends it."""

    @classmethod
    def parse(cls, response: Response, number: int | None = None) -> Self:
        """Read the response to LIST, of one message `number` or of all.

        Raises RemoteProtocolError that quotes a line which is no scan listing, or that of another message.
        """
        entries: dict[int, int] = {}
        for line in response.lines if number is None else (response.line,):
            # RFC 1939 5: what follows the size is not for us.
            first, octets, *_ = _words(line, "a message number and its size")
            _enter(entries, _message_number(first, line, number), _octets(octets, line), line)
        return cls(entries)


class UniqueIdListing(_Listing[str]):
    """The answer to UIDL: message number -> unique id. The ids are the server's text: never use one as a file name."""

    @classmethod
    def parse(cls, response: Response, number: int | None = None) -> Self:
        """Read the response to UIDL, of one message `number` or of all.

        Raises RemoteProtocolError that quotes a line which is no unique-id listing, or that of another message.
        """
        entries: dict[int, str] = {}
        for line in response.lines if number is None else (response.line,):
            first, uid, *rest = _words(line, "a message number and its unique id")
            if rest or not _UNIQUE_ID.match(uid):
                raise RemoteProtocolError(
                    f"expected a message number and a unique id of 1 to 70 printable characters, got {quote(line)}"
                )
            _enter(entries, _message_number(first, line, number), uid.decode("ascii"), line)
        return cls(entries)
