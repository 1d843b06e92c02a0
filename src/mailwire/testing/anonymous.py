"""ANONYMOUS, seen from the server (RFC 4505): whoever comes is let in, where there is an account for nobody."""

import stringprep
from typing import Final

from ..smtp.paths import Mailbox
from .mechanism import Exchange, Setting
from .refusal import Denied

__all__ = ["USER", "anonymous"]

USER: Final = "anonymous"
"""The account that ANONYMOUS opens. Where there is none, everybody is refused."""

# RFC 4505 2: "token = 1*255TCHAR".
_TOKEN_LIMIT: Final = 255


def anonymous(setting: Setting) -> Exchange:
    """Take a trace: a mail address, a word without an @, or nothing. It is not kept."""
    message = yield b""
    _check_trace(message.decode("utf-8"))
    account = setting.maildrop.find(USER)
    if account is None:
        raise Denied("unknown-user")
    return account


def _check_trace(trace: str) -> None:
    # Looser than RFC 4505 3, which prohibits more than control characters.
    if any(map(stringprep.in_table_c21_c22, trace)):
        raise ValueError("RFC 4505 3: no control characters")
    if "@" in trace:
        Mailbox.parse(trace)
    elif len(trace) > _TOKEN_LIMIT:
        raise ValueError("RFC 4505 2: a token of 255 characters at most")
