"""The addresses in a field of a message's header (RFC 5322 3.4), read and written.

Where a mail goes must not be a matter of interpretation: what two parsers could read in two ways is refused, and so is
what the grammar calls obsolete, but for a dot in a phrase and an empty element of a list. The parser goes through a
field once, token by token, and never into itself; comments may be nested 32 deep.

    address-list = [address] *("," [address])
    address      = mailbox / phrase ":" [mailbox *("," mailbox)] ";"
    mailbox      = [phrase] "<" addr-spec ">" / addr-spec

An addr-spec is what `smtp.Mailbox.parse` takes: in one piece, without comments and folds. An encoded word (RFC 2047)
has no place in it.

What is written has the same addresses as what was read. The standard library's fields do not: it decodes the encoded
word of a name and writes the commas that were in it, drops quotes where it breaks a line, and makes encoded words of
comments with their parentheses.
"""

import re
from binascii import b2a_base64
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.errors import HeaderParseError, MessageDefect, NonASCIILocalPartDefect
from email.header import decode_header, make_header
from email.headerregistry import AddressHeader
from itertools import groupby, pairwise
from typing import Any, Final, NamedTuple

from ..errors import InvalidMessage
from ..smtp.paths import Mailbox
from .folding import fold

__all__ = ["ADDRESS_FIELDS", "Address", "addresses_in", "parse_addresses", "said_in", "text_of", "write_addresses"]

ADDRESS_FIELDS: Final = frozenset(
    {
        *(prefix + name for prefix in ("", "resent-") for name in ("from", "sender", "reply-to", "to", "cc", "bcc")),
        *("disposition-notification-to", "return-receipt-to", "errors-to"),
    }
)
"""The fields that hold addresses, in small letters."""

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
_WORD: Final = re.compile(r'[^\x00-\x20"(),:;<>@\\]++')
_SEPARATORS: Final = frozenset(",;:")
_COMMENT_DEPTH: Final = 32
_ANYTHING: Final = re.compile(r".*", re.DOTALL)
_QUOTED_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)
_SPECIAL: Final = re.compile(r'(["\\])')

_SHOWN: Final = 200  # characters of a field that an error says back

_ENCODED_WORD_LIMIT: Final = 75  # RFC 2047 2
_LEGIBLE: Final = 5  # so many characters base64 must save, for Q can be read
_WORD_LIMIT: Final = 900  # octets of a word; more might not fit in a line, and are encoded
# RFC 2047 5 (3): what stands for itself in an encoded word of a phrase. The rest is written as its octets.
_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_IN_Q: Final = {octet: f"={octet:02X}" for octet in range(256) if octet not in _PLAIN} | {0x20: "_"}

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
    """A mailbox in a text: it stands there from `place` to `end`, its domain from `start` on.

    names: the words of its display name, behind those of the group that it is in.
    """

    mailbox: Mailbox
    names: tuple[str, ...]
    place: int
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
        shown = repr((str(value) if text is None else text)[:_SHOWN])
        raise InvalidMessage(f"expected addresses in {name}, got {shown}: {error}") from error
    return addresses


def text_of(value: object) -> str:
    """Return a field's value as text, unfolded. Raises ValueError for octets that are not UTF-8 (RFC 6532 3.2)."""
    # What an encoded word says is text, and is none again.
    text = _FOLD.sub("", str(value))
    if isinstance(value, AddressHeader) and "=?" in text:
        text = _spelled(value)
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
    group: tuple[str, ...] = ()
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
            group = element.words
        else:
            if mark == ";" and not in_group:
                raise ValueError("a semicolon where no group ends")
            if (address := element.address(text, group)) is not None:
                yield address
            behind_group = mark == ";"
            in_group = in_group and mark == ","
            group = group if in_group else ()
        element = _Element()
    if in_group:
        raise ValueError("a group without its end")
    if (address := element.address(text, group)) is not None:
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

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(token[0] for token in self._outer)

    def address(self, text: str, group: tuple[str, ...]) -> Address | None:
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
        names = group if self._inner is None else (*group, *self.words)
        return Address(mailbox, names, start, end - len(mailbox.domain), end)


def _tokens(text: str) -> Iterator[re.Match[str]]:
    return (lexeme for lexeme in _lexemes(text) if lexeme[0][0] not in " \t(")


def _lexemes(text: str) -> Iterator[re.Match[str]]:
    # All that stands in it: tokens, blanks and comments.
    place = 0
    while place < len(text):
        if text[place] == "(":
            lexeme = _ANYTHING.match(text, place, _end_of_comment(text, place))
        else:
            lexeme = _SPACE.match(text, place) or _TOKEN.match(text, place)
        if lexeme is None:
            raise ValueError(f"{text[place]!r} at character {place}")
        yield lexeme
        place = lexeme.end()


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


# Writing


def said_in(text: str) -> list[tuple[str, Mailbox]] | None:
    """Return what the list of addresses `text` says: names, decoded and without blanks, and the mailboxes. None if it
    is no such list."""
    try:
        return [("".join(map(_decoded, address.names)), address.mailbox) for address in _parse(text)]
    except ValueError:
        return None


def write_addresses(name: str, text: str, *, utf8: bool) -> str:
    """Return the list of addresses `text` as the value of a field called `name`, in lines: its names and comments in
    ASCII (RFC 2047), unless `utf8`. The addresses must be in ASCII then.

    What is in ASCII stays as it is, encoded words too. What is no list of addresses is encoded where it must be, and
    otherwise is as it was. Raises InvalidMessage for an address that is too long for a line.
    """
    try:
        addresses = parse_addresses(text)
    except ValueError:
        addresses = []
    try:
        written, place = "", 0
        for address in addresses:
            written += _outside(text[place : address.place], utf8) + text[address.place : address.end]
            place = address.end
        written += _outside(text[place:], utf8)
    except ValueError:
        written = _WORD.sub(lambda word: _encoded_words(word[0]) if _needs_encoding(word[0], utf8) else word[0], text)
    # A line is measured in octets.
    folded = fold(name, written.encode().decode("latin-1"))
    if folded is None:
        raise InvalidMessage(f"the header field {name} has a word that is too long for a line: {text[:_SHOWN]!r}")
    return folded.encode("latin-1").decode()


def _spelled(value: Any) -> str:
    # What a field says that was assigned; of the comments that may stand in it nobody knows.
    return ", ".join(
        f"{_quoted(group.display_name)}: {_spelled_mailboxes(group)};"
        if group.display_name is not None
        else _spelled_mailboxes(group)
        for group in value.groups
    )


def _spelled_mailboxes(group: Any) -> str:
    return ", ".join(
        f"{_quoted(address.display_name)} <{address.addr_spec}>" if address.display_name else address.addr_spec
        for address in group.addresses
    )


def _quoted(text: str) -> str:
    return '"' + _SPECIAL.sub(r"\\\1", text) + '"'


def _unquoted(word: str) -> str:
    return _QUOTED_PAIR.sub(r"\1", word[1:-1]) if word[0] == '"' else word


def _decoded(word: str) -> str:
    text = _unquoted(word)
    if text is word and _ENCODED_WORD.fullmatch(word):
        # It may be of a charset or an encoding that nobody knows.
        with suppress(HeaderParseError, LookupError, ValueError):
            text = str(make_header(decode_header(word)))
    return _SPACE.sub("", text)


def _outside(text: str, utf8: bool) -> str:
    # What stands before, between and behind addresses: phrases, comments and marks.
    written, phrase = "", list[str]()
    for lexeme in _lexemes(text):
        piece = lexeme[0]
        if piece[0] == "(":
            written += _phrase(phrase, utf8) + _comment(piece, utf8)
            phrase = []
        elif piece in "<>,;:":
            written += _phrase(phrase, utf8).removesuffix(" " if piece == ":" else "") + piece
            phrase = []
        else:
            phrase.append(piece)
    return written + _phrase(phrase, utf8)


def _phrase(lexemes: Sequence[str], utf8: bool) -> str:
    if not any(_needs_encoding(lexeme, utf8) for lexeme in lexemes):
        return "".join(lexemes)
    # Dots and quoted strings may stick to a word.
    words = [list(lexemes) for is_blank, lexemes in groupby(lexemes, _is_blank) if not is_blank]
    return f" {_encoded_where_needed([_Word(''.join(word), ''.join(map(_unquoted, word))) for word in words], utf8)} "


def _is_blank(lexeme: str) -> bool:
    return lexeme[0] in " \t"


def _comment(comment: str, utf8: bool) -> str:
    if utf8 or comment.isascii():
        return comment
    inner = comment[1:-1]
    if _COMMENT_MARK.search(inner):
        words = [_Word(inner, _QUOTED_PAIR.sub(r"\1", inner))]
    else:
        words = [_Word(word, word) for word in _SPACE.split(inner) if word]
    return f"({_encoded_where_needed(words, utf8)})"


class _Word(NamedTuple):
    spelled: str
    said: str


def _encoded_where_needed(words: Iterable[_Word], utf8: bool) -> str:
    written = list[str]()
    runs = [(needed, list(run)) for needed, run in groupby(words, lambda word: _needs_encoding(word.spelled, utf8))]
    for place, (needed, run) in enumerate(runs, 1):
        if not needed:
            written += [word.spelled for word in run]
            continue
        # The blank between two encoded words is not shown (RFC 2047 6.2).
        text = " ".join(word.said for word in run)
        if written and _ENCODED_WORD.fullmatch(written[-1]):
            text = " " + text
        if runs[place:] and _ENCODED_WORD.fullmatch(runs[place][1][0].spelled):
            text += " "
        written.append(_encoded_words(text))
    return " ".join(written)


def _needs_encoding(word: str, utf8: bool) -> bool:
    # What looks like an encoded word between quotes is none, and is decoded by some.
    return not (utf8 or word.isascii()) or ('"' in word and "=?" in word) or len(word.encode()) > _WORD_LIMIT


def _encoded_words(text: str) -> str:
    # No character is in two of them (RFC 2047 5), nor is a word that fits in one: some show a blank between them.
    words, chunk = list[str](), ""
    for character in text:
        if len(_encoded_word(chunk + character)) > _ENCODED_WORD_LIMIT:
            end = chunk.rfind(" ") + 1 or len(chunk)
            words.append(_encoded_word(chunk[:end]))
            chunk = chunk[end:]
        chunk += character
    return " ".join([*words, _encoded_word(chunk)])


def _encoded_word(text: str) -> str:
    octets = text.encode()
    q = octets.decode("latin-1").translate(_IN_Q)
    b = b2a_base64(octets, newline=False).decode()
    return f"=?utf-8?q?{q}?=" if len(q) < len(b) + _LEGIBLE else f"=?utf-8?b?{b}?="
