"""The addresses in a field of a message's header (RFC 5322 3.4).

Where a mail goes must not be a matter of interpretation: what two parsers could read in two ways is refused, and so is
what the grammar calls obsolete, but for a dot in a phrase and an empty element of a list. The parser goes through a
field once, token by token, and never into itself; comments may be nested 32 deep.

    address-list = [address] *("," [address])
    address      = mailbox / phrase ":" [mailbox *("," mailbox)] ";"
    mailbox      = [phrase] "<" addr-spec ">" / addr-spec

An addr-spec is what `smtp.Mailbox.parse` takes: in one piece, without comments and folds. An encoded word (RFC 2047)
has no place in it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import MessageDefect, NonASCIILocalPartDefect
from email.headerregistry import AddressHeader
from itertools import pairwise
from typing import Any, Final

from ..errors import InvalidMessage
from ..smtp.paths import Mailbox

__all__ = ["Address", "addresses_in", "parse_addresses", "text_of"]

_FOLD: Final = re.compile(r"\r?\n(?=[ \t])")
# What stands between spaces and comments. Everything is taken possessively: nothing is tried twice.
_TOKEN: Final = re.compile(
    r'"(?>[^"\\]++|\\.)*+"'  # quoted-string
    r"|\[[^\[\]\\]*+\]"  # domain-literal
    r'|[^\x00-\x20\x7f()<>@,;:\\".\[\]]++'  # atom
    r"|[<>@,;:.]",
    re.DOTALL,
)
_SPACE: Final = re.compile(r"[ \t]++")
_COMMENT_MARK: Final = re.compile(r"\\.|[()]", re.DOTALL)
_ENCODED_WORD: Final = re.compile(r"=\?[^?]*+\?[^?]*+\?[^?]*+\?=")
_SEPARATORS: Final = frozenset(",;:")
_COMMENT_DEPTH: Final = 32

# What the standard library's parser says of "John Q. Public <j@x>" and "a@x,,b@x" (RFC 5322 4.1, 4.4): obsolete, and
# read by everybody in the same way.
_HARMLESS: Final = frozenset(
    {
        "period in 'phrase'",
        "comment found without atom",
        "empty element in address-list",
        "empty element in mailbox-list",
        "address-list entry with no content",
        "group-list with empty entries",
    }
)


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox in a text, and where its domain stands there: from `start` to `end`."""

    mailbox: Mailbox
    start: int
    end: int


def addresses_in(name: str, value: object, text: str | None = None) -> list[Address]:
    """Return the addresses in the `value` of a field called `name`, which was made of `text`, if that is known. Raises
    InvalidMessage where there are doubts."""
    try:
        addresses = parse_addresses(text_of(value) if text is None else text)
        if isinstance(value, AddressHeader):
            _compare(addresses, value)
    except ValueError as error:
        shown = repr((str(value) if text is None else text)[:200])
        raise InvalidMessage(f"expected addresses in {name}, got {shown}: {error}") from error
    return addresses


def text_of(value: object) -> str:
    """Return a field's value as text, unfolded. Raises ValueError for octets that are not UTF-8 (RFC 6532 3.2)."""
    text = _FOLD.sub("", str(value))
    if text.isascii():
        return text
    # What was parsed from octets has those beyond ASCII as lone surrogates.
    return text.encode("utf-8", "surrogateescape").decode("utf-8")


def parse_addresses(text: str) -> list[Address]:
    """Return the addresses in the list `text`, those in groups too. Raises ValueError."""
    return list(_parse(text))


def _compare(addresses: list[Address], value: Any) -> None:
    # What a caller has assigned has been read by the standard library's parser, too. What that had to guess at
    # ("<a@b>@c") may go anywhere, and goes nowhere; the rest it must have read as we do.
    guess = next((defect for defect in value.defects if not _is_harmless(defect)), None)
    theirs = [(address.username, address.domain) for address in value.addresses]
    if (theirs and guess) or theirs != [(address.mailbox.local, address.mailbox.domain) for address in addresses]:
        raise ValueError("it can be read in more than one way" + (f": {guess}" if guess else ""))


def _is_harmless(defect: MessageDefect) -> bool:
    return isinstance(defect, NonASCIILocalPartDefect) or str(defect) in _HARMLESS


def _parse(text: str) -> Iterator[Address]:
    element = _Element()
    in_group = behind_group = False
    for token in _tokens(text):
        mark = token[0]
        if behind_group and mark != ",":
            raise ValueError(f"expected a comma behind a group, got {mark!r}")
        if element.is_open or mark not in _SEPARATORS:
            element.add(token)
            continue
        if mark == ":":
            if in_group or not element.is_phrase:
                raise ValueError("a colon where no group begins")
            in_group = True
        else:
            if mark == ";" and not in_group:
                raise ValueError("a semicolon where no group ends")
            if (address := element.address(text)) is not None:
                yield address
            behind_group = mark == ";"
            in_group = in_group and mark == ","
        element = _Element()
    if in_group:
        raise ValueError("a group without its end")
    if (address := element.address(text)) is not None:
        yield address


class _Element:
    # What stands between two separators: an address, nothing, or the name of a group.

    __slots__ = ("_inner", "_outer", "is_open")

    def __init__(self) -> None:
        self.is_open = False  # there was a <, and not its >
        self._outer: list[re.Match[str]] = []
        self._inner: list[re.Match[str]] | None = None  # between < and >

    def add(self, token: re.Match[str]) -> None:
        mark = token[0]
        if self.is_open and mark == ">":
            self.is_open = False
        elif self.is_open and self._inner is not None:
            self._inner.append(token)
        elif self._inner is not None or mark == ">":
            raise ValueError(f"{mark!r} where an address has ended")
        elif mark == "<":
            self.is_open = True
            self._inner = []
        else:
            self._outer.append(token)

    @property
    def is_phrase(self) -> bool:
        return bool(self._outer) and self._inner is None and all(token[0] != "@" for token in self._outer)

    def address(self, text: str) -> Address | None:
        tokens = self._outer if self._inner is None else self._inner
        if self.is_open:
            raise ValueError("a < without its >")
        if self._inner is not None and any(token[0] == "@" for token in self._outer):
            raise ValueError("an address before an address")
        if not tokens:
            if self._inner is not None:
                raise ValueError("nothing between < and >")
            return None
        start, end = tokens[0].start(), tokens[-1].end()
        if any(former.end() != latter.start() for former, latter in pairwise(tokens)):
            raise ValueError(f"a space or a comment within {text[start:end]!r}")
        spelled = text[start:end]
        if _ENCODED_WORD.search(spelled):
            raise ValueError(f"an encoded word within {spelled!r}")
        mailbox = Mailbox.parse(spelled)
        return Address(mailbox, end - len(mailbox.domain), end)


def _tokens(text: str) -> Iterator[re.Match[str]]:
    place = 0
    while place < len(text):
        if space := _SPACE.match(text, place):
            place = space.end()
        elif text[place] == "(":
            place = _end_of_comment(text, place)
        elif token := _TOKEN.match(text, place):
            yield token
            place = token.end()
        else:
            raise ValueError(f"{text[place]!r} at character {place}")


def _end_of_comment(text: str, start: int) -> int:
    depth = 0
    for mark in _COMMENT_MARK.finditer(text, start):
        if mark[0] == "(":
            depth += 1
        elif mark[0] == ")":
            depth -= 1
        if depth == 0:
            return mark.end()
        if depth > _COMMENT_DEPTH:
            raise ValueError(f"comments are nested more than {_COMMENT_DEPTH} deep")
    raise ValueError("a comment without its end")
