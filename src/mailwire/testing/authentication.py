"""Authentication, seen from the server: AUTH with a mechanism of SASL, line by line (RFC 4954 4, RFC 5034 4).

Looser than RFC 4954 4, as servers are: an initial response to LOGIN is taken for the user name, for smtplib sends one.
"""

import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from .anonymous import anonymous
from .cram_md5 import cram_md5
from .external import external
from .login import login
from .maildrop import Account
from .mechanism import Exchange, Setting
from .oauth import oauthbearer, xoauth2
from .plain import plain
from .refusal import Refusal
from .scram import scram

__all__ = ["EXCHANGES", "Authentication", "Challenge"]

EXCHANGES: Final[Mapping[str, Callable[[Setting], Exchange]]] = {
    "SCRAM-SHA-512-PLUS": partial(scram, "SHA-512", is_plus=True),
    "SCRAM-SHA-512": partial(scram, "SHA-512", is_plus=False),
    "SCRAM-SHA-256-PLUS": partial(scram, "SHA-256", is_plus=True),
    "SCRAM-SHA-256": partial(scram, "SHA-256", is_plus=False),
    "SCRAM-SHA-1-PLUS": partial(scram, "SHA-1", is_plus=True),
    "SCRAM-SHA-1": partial(scram, "SHA-1", is_plus=False),
    "OAUTHBEARER": oauthbearer,
    "XOAUTH2": xoauth2,
    "EXTERNAL": external,
    "PLAIN": plain,
    "LOGIN": login,
    "CRAM-MD5": cram_md5,
    "ANONYMOUS": anonymous,
}
"""How each of `policy.MECHANISMS` is led."""

# Those in which the server begins, and no initial response is taken.
_SERVER_FIRST: Final = frozenset({"CRAM-MD5"})


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the client is to answer next, in base64."""

    text: str


class Authentication:
    """One exchange of AUTH with the `mechanism` of that name, one of `EXCHANGES`."""

    def __init__(self, mechanism: str, setting: Setting) -> None:
        self._exchange = EXCHANGES[mechanism](setting)
        self._takes_initial_response = mechanism not in _SERVER_FIRST
        self._first_challenge = next(self._exchange)

    def begin(self, initial: bytes | None) -> Challenge | Account:
        """Take the initial response, in base64 ("=" for an empty one), None if there was none.

        Returns what is to be said next, or in the end the account. Raises Refusal for what cannot be read and for an
        initial response that has no place, and Denied.
        """
        if initial is None:
            return _challenge(self._first_challenge)
        if not self._takes_initial_response:
            raise Refusal("initial response")
        return self._respond(b"" if initial == b"=" else initial)

    def receive(self, line: bytes) -> Challenge | Account:
        """Take the client's next line, without its end. Returns and raises as `begin` does."""
        if line == b"*":
            raise Refusal("cancelled")
        return self._respond(line)

    def _respond(self, line: bytes) -> Challenge | Account:
        try:
            challenge = self._exchange.send(binascii.a2b_base64(line, strict_mode=True))
        except StopIteration as stop:
            account: Account = stop.value
            return account
        except ValueError:
            raise Refusal("malformed") from None
        return _challenge(challenge)


def _challenge(message: bytes) -> Challenge:
    return Challenge(binascii.b2a_base64(message, newline=False).decode("ascii"))
