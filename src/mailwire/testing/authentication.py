"""Authentication, seen from the server: AUTH with PLAIN (RFC 4616) or LOGIN, line by line (RFC 4954 4, RFC 5034 4).

Looser than RFC 4954 4, as servers are: an initial response to LOGIN is taken for the user name, for smtplib sends one.
"""

import binascii
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

__all__ = ["MECHANISMS", "Authentication", "Challenge", "Claim", "Failure"]


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the client is to answer next, in base64."""

    text: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Who the client says it is. `authzid` is the identity to act as, "" for the user's own."""

    user: str
    password: str = field(repr=False)
    authzid: str = ""


class Failure(Enum):
    """Why there is no claim; the values are situations of both protocols' tables."""

    CANCELLED = "cancelled"
    MALFORMED = "malformed"


# Challenges come out, responses go in. A response that cannot be read is a ValueError.
_Exchange = Generator[bytes, bytes, Claim]


def _plain() -> _Exchange:
    message = yield b""
    authzid, user, password = message.decode("utf-8").split("\0")
    return Claim(user, password, authzid)


def _login() -> _Exchange:
    user = yield b"Username:"
    password = yield b"Password:"
    return Claim(user.decode("utf-8"), password.decode("utf-8"))


MECHANISMS: Final[Mapping[str, Callable[[], _Exchange]]] = {"PLAIN": _plain, "LOGIN": _login}


class Authentication:
    """One exchange of AUTH with the `mechanism` of that name, one of `MECHANISMS`."""

    def __init__(self, mechanism: str) -> None:
        self._exchange = MECHANISMS[mechanism]()
        self._first_challenge = next(self._exchange)

    def begin(self, initial: bytes | None) -> Challenge | Claim | Failure:
        """Take the initial response, in base64 ("=" for an empty one), None if there was none."""
        if initial is None:
            return _challenge(self._first_challenge)
        return self._respond(b"" if initial == b"=" else initial)

    def receive(self, line: bytes) -> Challenge | Claim | Failure:
        """Take the client's next line, without its end."""
        return Failure.CANCELLED if line == b"*" else self._respond(line)

    def _respond(self, line: bytes) -> Challenge | Claim | Failure:
        try:
            challenge = self._exchange.send(binascii.a2b_base64(line, strict_mode=True))
        except StopIteration as stop:
            claim: Claim = stop.value
            return claim
        except ValueError:
            return Failure.MALFORMED
        return _challenge(challenge)


def _challenge(message: bytes) -> Challenge:
    return Challenge(binascii.b2a_base64(message, newline=False).decode("ascii"))
