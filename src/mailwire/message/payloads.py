"""Payloads: large bodies kept out of the standard library's hands.

Its generator copies a body several times over, as a whole, and while it does, nothing else runs, in any thread: for 100
MB, some seconds. But a body is written as it is, except for its line ends, where it need not be encoded. So a token
stands for it while the message is generated, and afterwards the body is put where the token was, to be made piece by
piece as it goes out. What must be encoded, for it has 8-bit octets where they cannot be sent, or lines that are too
long, is encoded in the same way.
"""

from collections.abc import Iterable, Sequence
from email.message import Message
from secrets import token_hex
from typing import Final

from ..errors import InvalidMessage
from .pieces import BLOCK_SIZE, Base64, EncodedText, Piecewise, Rewrapped
from .survey import Survey

__all__ = ["LARGE", "is_large", "payload_of", "put_in", "take_out"]

LARGE: Final = BLOCK_SIZE
"""A payload of so many characters, or more, is work for a thread: below, generating takes no longer than a millisecond
or two."""

# RFC 2045 6.2: these encode nothing.
_IDENTITIES: Final = frozenset({"", "7bit", "8bit", "binary"})
_CTE: Final = "Content-Transfer-Encoding"

# A token is a mark that nobody could have put into the message, one for all of its bodies, and a body's number; of so
# many characters.
_MARK: Final = 64
_DIGITS: Final = 8


def payload_of(part: Message) -> object:
    """Return what `part` holds, as it holds it: `get_payload` copies all of a text to see whether octets are in it."""
    return vars(part).get("_payload")


def is_large(part: Message) -> bool:
    """Whether the body of `part` is one to be taken out."""
    payload = payload_of(part)
    return isinstance(payload, str) and len(payload) >= LARGE


def take_out(
    parts: Iterable[Message], *, eight_bit: bool, long_lines: bool, may_encode: bool = True
) -> dict[str, Piecewise]:
    """Put a token in the place of each large body; return what goes out for them by their tokens, in their order.

    eight_bit, long_lines: whether octets beyond ASCII may go out, and lines of any length. A body with others is
    encoded in base64, if it `may_encode`, and its header says so. What the standard library alone can write, stays.
    """
    taken: dict[str, Piecewise] = {}
    mark = token_hex(_MARK // 2)
    for part in parts:
        payload = payload_of(part)
        if not (isinstance(payload, str) and is_large(part)):
            continue
        # Octets beyond ASCII that were parsed are lone surrogates in a text.
        octets = EncodedText(payload, "ascii", "surrogateescape")
        body: Piecewise | None = octets
        try:
            survey = _survey(octets)
        except InvalidMessage:
            continue
        is_fit = (survey.is_ascii or eight_bit) and (survey.long_line is None or long_lines)
        if not is_fit and may_encode:
            body = _encoded(part, octets)
        if body is not None:
            token = f"{mark}{len(taken):0{_DIGITS}}"
            taken[token] = body
            part.set_payload(token)
    return taken


def put_in(octets: bytes, taken: dict[str, Piecewise]) -> Sequence[bytes | Piecewise]:
    """Return `octets` in pieces, with the bodies in the place of their tokens: a part may be there more than once."""
    if not taken:
        return [octets]
    mark = next(iter(taken))[:_MARK]
    first, *others = octets.split(mark.encode())
    pieces: list[bytes | Piecewise] = [first]
    for other in others:
        number, behind = other[:_DIGITS].decode(), other[_DIGITS:]
        pieces += [taken[mark + number], behind]
    return pieces


def _survey(octets: Piecewise) -> Survey:
    survey = Survey()
    for piece in octets:
        survey.feed(piece)
    return survey


def _encoded(part: Message, octets: Piecewise) -> Piecewise | None:
    # None where that is a matter of more than octets.
    encoding = _field(part, _CTE)
    if encoding == "base64":
        return Rewrapped(octets)
    # RFC 2045 6.4: what has parts of its own must not be encoded.
    if encoding not in _IDENTITIES or _field(part, "Content-Type").startswith(("message/", "multipart/")):
        return None
    del part[_CTE]
    part[_CTE] = "base64"
    if "MIME-Version" not in part:
        part["MIME-Version"] = "1.0"
    return Base64(octets)


def _field(part: Message, name: str) -> str:
    # Not parsed: that can take minutes, of a field that was written for it.
    for other, value in part.raw_items():
        if other.lower() == name.lower():
            return str(value).strip().lower()
    return ""
