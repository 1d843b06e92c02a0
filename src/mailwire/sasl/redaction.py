"""Redaction: what a server says back to us of our secrets, masked.

Servers put into a refusal what they were told: the whole AUTH line, the password that was wrong. Their words end up in
errors, logs and transcripts; the secret in them must not.
"""

import binascii
import json
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote_from_bytes

from .._wire.trace import MASK

__all__ = ["Redaction"]

# Octets. To mask every occurrence of a secret shorter than this would leave nothing of the text around it, and protect
# nobody.
_SHORTEST: Final = 4

_MASK: Final = MASK.encode("ascii")

# Any character may be quoted in JSON (RFC 8259 7), and writers differ in which are: "\/" of one is "/" of another.
_QUOTED: Final = re.compile(rb"((?:\\u[0-9A-Fa-f]{4})+)|\\x([0-9A-Fa-f]{2})|\\(.)", re.DOTALL)

# How many times that may have been done, one upon the other, as to JSON that is a text within JSON.
_LAYERS: Final = 4


class Redaction:
    """Masks `secrets` wherever they occur: as they are, in base64, in hexadecimals, quoted as in JSON, C or a URL.

    A text that has one quoted in another way than most, is masked whole.
    """

    def __init__(self, secrets: Iterable[bytes]) -> None:
        spellings = {spelling for secret in secrets if len(secret) >= _SHORTEST for spelling in _spellings(secret)}
        # The longest first: one may be part of another.
        self._spellings = sorted(spellings, key=len, reverse=True)

    def mask(self, data: bytes) -> bytes:
        """Return `data` without them."""
        for spelling in self._spellings:
            if spelling in data:
                data = data.replace(spelling, _MASK)
        return _MASK if self._is_quoted(data) else data

    def is_needed(self, data: bytes) -> bool:
        """Whether one of them is in `data`."""
        return any(spelling in data for spelling in self._spellings) or self._is_quoted(data)

    def _is_quoted(self, data: bytes) -> bool:
        for _ in range(_LAYERS):
            if b"\\" not in data:
                return False
            data = _QUOTED.sub(_unquoted, data)
            if any(spelling in data for spelling in self._spellings):
                return True
        return False


def _unquoted(found: re.Match[bytes]) -> bytes:
    units, octet, character = found.groups()
    if units is not None:
        return bytes.fromhex(units.replace(b"\\u", b"").decode("ascii")).decode("utf-16-be", "replace").encode()
    return character if octet is None else bytes.fromhex(octet.decode("ascii"))


def _spellings(secret: bytes) -> Iterable[bytes]:
    yield secret
    digits = secret.hex()
    yield from (digits.encode("ascii"), digits.upper().encode("ascii"))
    yield repr(secret)[2:-1].encode("ascii")
    # A path of a URL keeps its "/".
    yield from (quote_from_bytes(secret, safe=kept).encode("ascii") for kept in ("", "/"))
    text = secret.decode("utf-8", "ignore")
    if text.encode() == secret:
        yield from (json.dumps(text, ensure_ascii=only)[1:-1].encode() for only in (True, False))
    # In base64 a text looks different by the number of octets before it; what these have a part in is left out.
    for before in range(3):
        whole = binascii.b2a_base64(bytes(before) + secret, newline=False).rstrip(b"=")
        complete = len(whole) - (len(whole) % 4 != 0)
        yield whole[(0, 2, 3)[before] : complete]
