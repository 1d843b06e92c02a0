"""Exchange: a mechanism's messages as lines of a protocol (RFC 4954 4, RFC 5034 4).

Both protocols speak the same form: `AUTH`, the mechanism, the initial response if it fits, then challenges and
responses in base64, a line each, until the server's verdict; `*` cancels.
"""

import binascii
from typing import Final

from .._wire.text import LINE_END, quote
from .._wire.trace import MASK
from .mechanism import Mechanism, MechanismFailed
from .work import Work

__all__ = ["CANCEL", "ROUND_LIMIT", "Exchange"]

CANCEL: Final = b"*\r\n"

# The longest honest exchange of a registered mechanism takes three challenges; a server that asks for ever is cut off.
ROUND_LIMIT: Final = 8


class Exchange:
    """One use of `mechanism` under the protocol's `verb` (AUTH); a command line is at most `line_limit` octets."""

    def __init__(self, mechanism: Mechanism, verb: bytes, line_limit: int) -> None:
        self.mechanism = mechanism
        self.failure: str | None = None  # why the exchange was cancelled by us
        self.is_begun = False  # one exchange is one use: what was said is not said again
        self._rounds = 0
        self._pending: bytes | None = None  # an initial response too long for the command line
        self._line = self._make_line(verb, line_limit)

    @property
    def is_complete(self) -> bool:
        """Whether a success reported now can be believed."""
        return self.failure is None and self._pending is None and self.mechanism.is_complete

    def command_line(self) -> bytes:
        """Return the command that begins the exchange, with its CRLF."""
        return self._line

    def shown_command(self) -> str:
        """Return the command as a transcript shows it."""
        begins = self._line.count(b" ") > 1
        return f"AUTH {self.mechanism.name}" + (f" {MASK}" if begins else "")

    def respond(self, challenge: bytes) -> bytes:
        """Return the line that answers a `challenge`, given in base64 as it came; it may be the one that cancels.

        Never raises for what a server sends: `failure` then says what was wrong with it.
        """
        self._rounds += 1
        if self.failure is not None:
            return CANCEL
        if self._rounds > ROUND_LIMIT:
            return self._cancel(f"the server went on asking after {ROUND_LIMIT} challenges")
        try:
            decoded = binascii.a2b_base64(challenge, strict_mode=True)
        except binascii.Error:
            return self._cancel(f"expected a challenge in base64, got {quote(challenge)}")
        if self._pending is not None:
            if decoded:
                return self._cancel("the server asked before it heard the initial response")
            response, self._pending = self._pending, None
        else:
            try:
                answer = self.mechanism.respond(decoded)
                response = answer.compute() if isinstance(answer, Work) else answer
            except MechanismFailed as error:
                return self._cancel(str(error))
            except ValueError:
                # A mechanism that did not foresee this challenge (UnicodeDecodeError is one). What it says may quote
                # a secret.
                return self._cancel(f"{self.mechanism.name} cannot make sense of the challenge {quote(challenge)}")
        return _encode(response) + LINE_END

    def _make_line(self, verb: bytes, line_limit: int) -> bytes:
        line = verb + b" " + self.mechanism.name.encode("ascii")
        initial = self.mechanism.initial_response()
        if initial is None:
            return line + LINE_END
        # RFC 4954 4: an initial response of no octets is written "=".
        whole = line + b" " + (_encode(initial) or b"=") + LINE_END
        if len(whole) <= line_limit:
            return whole
        self._pending = initial
        return line + LINE_END

    def _cancel(self, reason: str) -> bytes:
        self.failure = reason
        return CANCEL


def _encode(message: bytes) -> bytes:
    return binascii.b2a_base64(message, newline=False)
