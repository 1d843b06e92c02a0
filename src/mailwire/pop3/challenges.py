"""What is a challenge: a line that begins with "+ ", and with some servers +OK (RFC 5034 4)."""

import re
from typing import Final

from .authorization import Auth
from .quirks import Quirks
from .response import parse_status

__all__ = ["find_challenge"]

_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]+={0,2}\Z")


def find_challenge(command: Auth, line: bytes, quirks: Quirks) -> bytes | None:
    """Return the challenge that `line` is to `command`; None if it is the final response, or nonsense."""
    if line == b"+" or line.startswith(b"+ "):
        return line[2:]
    exchange = command.exchange
    if not quirks.ok_as_challenge or exchange.is_complete or exchange.failure is not None:
        return None
    response = parse_status(line)
    if response is None or not response.ok:
        return None
    return response.line if _BASE64.match(response.line) else b""
