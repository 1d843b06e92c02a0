"""Payloads: bodies kept out of the standard library's hands, those that may not leave as they are, and large ones.

What may not leave, for it has 8-bit octets where they cannot be sent, lines that are too long, or line ends that are
none, is encoded by its octets, whatever their charset: the standard library would decode them, and lose what it cannot.
And it copies a body several times over, as a whole, and while it does, nothing else runs, in any thread: for 100 MB,
some seconds. So a token stands for such a body while the message is generated, and afterwards the body is put where the
token was; a large one, to be made piece by piece as it goes out.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from email.message import Message
from functools import lru_cache
from secrets import token_hex
from typing import Final, NamedTuple

from .pieces import BLOCK_SIZE, Base64, EncodedText, Lines, Piecewise, QuotedPrintable, Rewrapped, SoftBroken
from .survey import LINE_LIMIT

__all__ = ["LARGE", "Allowed", "bodies", "payload_of", "put_in", "stays", "take_out"]

LARGE: Final = BLOCK_SIZE
"""A payload of so many characters, or more, is work for a thread: below, generating takes no longer than a millisecond
or two."""

# RFC 2045 6.2: these encode nothing.
_IDENTITIES: Final = frozenset({"", "7bit", "8bit", "binary"})
_CTE: Final = "Content-Transfer-Encoding"
# RFC 2045 6.4: what has parts of its own must not be encoded.
_COMPOSITE: Final = ("message/", "multipart/")
_DIGEST: Final = "multipart/digest"

_LONGEST: Final = LINE_LIMIT - len("\r\n")
_LONG_LINE: Final = re.compile(rf"(?:\A|[\r\n])[^\r\n]{{{_LONGEST + 1}}}")
_BARE: Final = re.compile(r"\r(?!\n)|(?<!\r)\n|\0")
_UTF8: Final = 'charset="utf-8"'  # as the standard library writes it
_CHARSET: Final = re.compile(r"""charset[ \t]*=[ \t]*["']?([a-z0-9._:+-]+)""")

# Quoted-printable makes three characters of an octet beyond ASCII, and one of most others; base64 four of three. Of so
# many octets with one beyond ASCII, both make as many.
_EVEN: Final = 6
_ASCII: Final = bytes(range(128))

# A token is a mark that nobody could have put into the message, one for all of its bodies, and a body's number; of so
# many characters.
_MARK: Final = 64
_DIGITS: Final = 8


class Allowed(NamedTuple):
    """What may be in a body that leaves as it is.

    eight_bit: octets beyond ASCII.
    long_lines: lines of more than 998 octets.
    binary: any octets, for nothing is mended.
    """

    eight_bit: bool
    long_lines: bool
    binary: bool


def payload_of(part: Message) -> object:
    """Return what `part` holds, as it holds it: `get_payload` copies all of a text to see whether octets are in it."""
    return vars(part).get("_payload")


def bodies(message: Message) -> Iterator[tuple[Message, str]]:
    """Return the parts of `message` that hold text, in their order, each with the type that it has if it names none:
    that goes by its place (RFC 2046 5.1.5), which a part that was not parsed knows nothing of."""
    waiting = [(message, "text/plain")]
    while waiting:
        part, default = waiting.pop()
        payload = payload_of(part)
        if isinstance(payload, str):
            yield part, default
        elif isinstance(payload, list):
            is_digest = _form(part, default)[0].partition(";")[0].rstrip() == _DIGEST
            default = "message/rfc822" if is_digest else "text/plain"
            waiting.extend((inner, default) for inner in reversed(payload) if isinstance(inner, Message))


def stays(part: Message, default: str, allowed: Allowed) -> bool:
    """Whether the body of `part`, which is of the type `default` if it names none, is left to the standard library:
    what may leave as it is, and is not large. Under `binary` that may be large as well, for it alone makes CRLF of the
    line ends then."""
    payload = str(payload_of(part))
    return (allowed.binary or len(payload) < LARGE) and _is_fit(_form(part, default), payload, allowed)


def take_out(parts: Iterable[tuple[Message, str]], allowed: Allowed, *, may_encode: bool) -> dict[str, Piecewise]:
    """Put a token in the place of each body that does not stay; return what goes out for them by their tokens, in their
    order. `parts`: as `bodies` gives them.

    A body with what is not `allowed` is encoded, if it `may_encode`, and its header says so. What cannot be encoded
    goes out as it is, for who looks at all octets to refuse it.
    """
    taken: dict[str, Piecewise] = {}
    mark = token_hex(_MARK // 2)
    for part, default in parts:
        if stays(part, default, allowed):
            continue
        form = _form(part, default)
        payload = str(payload_of(part))
        # Octets beyond ASCII that were parsed are lone surrogates in a text.
        octets = EncodedText(payload, "ascii", "surrogateescape")
        may_stay = allowed.binary or not may_encode or _is_fit(form, payload, allowed)
        token = f"{mark}{len(taken):0{_DIGITS}}"
        taken[token] = octets if may_stay else _encoded(part, form, octets)
        part.set_payload(token)
    return taken


def put_in(octets: bytes, taken: dict[str, Piecewise]) -> Sequence[bytes | Piecewise]:
    """Return `octets` with the bodies in the place of their tokens: a part may be there more than once. They are in
    pieces, unless they are few. Raises InvalidMessage for what cannot be encoded."""
    if not taken:
        return [octets]
    mark = next(iter(taken))[:_MARK]
    first, *others = octets.split(mark.encode())
    pieces: list[bytes | Piecewise] = [first]
    for other in others:
        number, behind = other[:_DIGITS].decode(), other[_DIGITS:]
        pieces += [taken[mark + number], behind]
    if sum(map(len, pieces)) < LARGE:
        return [b"".join(piece if isinstance(piece, bytes) else b"".join(piece) for piece in pieces)]
    return pieces


def _is_fit(form: tuple[str, str], text: str, allowed: Allowed) -> bool:
    kind, encoding = form
    # The standard library writes no octets beyond ASCII in the place of parts.
    if not text.isascii() and (not allowed.eight_bit or kind.startswith(_COMPOSITE)):
        return False
    if not allowed.long_lines and _has_long_line(text):
        return False
    return not (_is_exact(kind, encoding) and _BARE.search(text))


def _has_long_line(text: str) -> bool:
    # Leap from one LF to the last within reach: every line between them is short enough.
    begin, end = 0, len(text)
    while end - begin > _LONGEST:
        found = text.rfind("\n", begin, begin + _LONGEST + 1)
        if found < 0:
            return _LONG_LINE.search(text) is not None  # it may have other ends
        begin = found + 1
    return False


def _form(part: Message, default: str) -> tuple[str, str]:
    # Content-Type and the encoding; not parsed: that can take minutes, of a field that was written for it.
    kind = encoding = ""
    for name, value in part.raw_items():
        lower = name.lower()
        if lower == "content-type":
            kind = kind or str(value).strip().lower()
        elif lower == "content-transfer-encoding":
            encoding = encoding or str(value).strip().lower()
    return kind or default, encoding


def _is_exact(kind: str, encoding: str) -> bool:
    # Whether there are octets, and no lines of text (RFC 2045 5.2: what is no type at all is text).
    if encoding not in _IDENTITIES or kind.startswith(_COMPOSITE):
        return False
    if encoding == "binary" or not (kind.startswith("text/") or "/" not in kind):
        return True
    charset = None if _UTF8 in kind else _CHARSET.search(kind)
    return charset is not None and _is_wide(charset[1])


@lru_cache(64)
def _is_wide(charset: str) -> bool:
    # Whether CR and LF end no line in it, as in UTF-16.
    try:
        return b"\r\n".decode(charset) != "\r\n"
    except LookupError:
        return False
    except UnicodeError:
        return True


def _encoded(part: Message, form: tuple[str, str], octets: EncodedText) -> Piecewise:
    kind, encoding = form
    if encoding == "base64":
        return Rewrapped(octets)
    if encoding == "quoted-printable":
        return SoftBroken(Lines(octets))
    if encoding not in _IDENTITIES or kind.startswith(_COMPOSITE):
        return octets
    encoded: Piecewise
    if _is_exact(kind, encoding):
        encoding, encoded = "base64", Base64(octets)
    elif sum(len(piece.translate(None, _ASCII)) for piece in octets) * _EVEN > len(octets):
        encoding, encoded = "base64", Base64(Lines(octets))
    else:
        encoding, encoded = "quoted-printable", QuotedPrintable(Lines(octets))
    del part[_CTE]
    part[_CTE] = encoding
    if "MIME-Version" not in part:
        part["MIME-Version"] = "1.0"
    return encoded
