"""Payloads: large bodies kept out of the standard library's hands.

Its generator copies a body several times over, as a whole, and while it does, nothing else runs, in any thread: for 100
MB, some seconds. But a body in ASCII is written as it is, except for its line ends. So a token stands for it while the
message is generated, and afterwards the body is put where the token was, unchanged, to be mended as it goes out.
"""

from collections.abc import Iterable, Sequence
from email.message import Message
from secrets import token_hex
from typing import Final

from .survey import Survey

__all__ = ["LARGE", "is_large", "payload_of", "put_in", "take_out"]

# Characters. Below, generating takes no longer than a millisecond or two.
LARGE: Final = 256 * 1024
_PIECE: Final = 256 * 1024


def payload_of(part: Message) -> object:
    """Return what `part` holds, as it holds it: `get_payload` copies all of a text to see whether octets are in it."""
    return vars(part).get("_payload")


def is_large(part: Message) -> bool:
    """Whether the body of `part` is one to be taken out."""
    payload = payload_of(part)
    return isinstance(payload, str) and len(payload) >= LARGE and payload.isascii()


def take_out(parts: Iterable[Message], *, unless_long_lines: bool) -> dict[str, str]:
    """Put a token in the place of each large body in ASCII; return the bodies by their tokens, in their order.

    A text with a line that is too long stays, if `unless_long_lines`: it is to be encoded.
    """
    taken: dict[str, str] = {}
    for part in parts:
        payload = payload_of(part)
        if isinstance(payload, str) and is_large(part) and not (unless_long_lines and _has_long_line(payload)):
            token = token_hex(32)
            taken[token] = payload
            part.set_payload(token)
    return taken


def put_in(octets: bytes, taken: dict[str, str]) -> Sequence[bytes | str]:
    """Return `octets` in pieces, with the bodies in the place of their tokens."""
    pieces: list[bytes | str] = []
    for token, payload in taken.items():
        before, _, octets = octets.partition(token.encode())
        pieces += [before, payload]
    return [*pieces, octets]


def _has_long_line(payload: str) -> bool:
    survey = Survey()
    for start in range(0, len(payload), _PIECE):
        survey.feed(payload[start : start + _PIECE].encode("ascii"))
    return survey.long_line is not None
