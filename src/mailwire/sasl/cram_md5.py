"""CRAM-MD5 (RFC 2195): a digest of the password and the server's challenge.

It is kept for servers that know nothing better. It does not prove the server, and the server must keep the password
in the clear. Over TLS, PLAIN gives away less.
"""

import hmac
import re
from typing import Final

from .._wire.text import quote
from .credentials import Password
from .fields import encode_field
from .mechanism import Mechanism, MechanismFailed

__all__ = ["CHALLENGE_LIMIT", "CramMD5"]

CHALLENGE_LIMIT: Final = 512
"""The octets that a challenge may have. Process number, time and host name: 300 would be much."""

# RFC 2195 2: "The syntax of the unencoded form must correspond to that of an RFC 822 'msg-id'". Stricter than that by
# refusing quoted strings. In APOP, which is the same idea without HMAC, it is by challenges of no such form that the
# server learns the password (CVE-2007-1558).
_CHALLENGE: Final = re.compile(rb"<[!-;=?A-~]+@[!-;=?A-~]+>")


class CramMD5(Mechanism):
    """CRAM-MD5. Raises ValueError for a NUL, for an empty user name or password, and for an authzid, which it cannot
    carry.

    Counts as exposing the password: whoever saw one exchange tries thousands of millions of guesses a second against
    it. It is to be used over TLS only.
    """

    name = "CRAM-MD5"

    def __init__(self, credentials: Password) -> None:
        if credentials.authzid:
            raise ValueError("CRAM-MD5 has no place for an authzid (RFC 2195 2)")
        if not credentials.user or not credentials.password:
            raise ValueError("CRAM-MD5 needs a user and a password that are not empty")
        self._user = encode_field("user", credentials.user)
        self._password = encode_field("password", credentials.password)
        self._digest = b""
        self._said = False

    def initial_response(self) -> None:
        return None

    def respond(self, challenge: bytes) -> bytes:
        if self._said:
            raise MechanismFailed("CRAM-MD5 expects no second challenge")
        if len(challenge) > CHALLENGE_LIMIT or not _CHALLENGE.fullmatch(challenge):
            raise MechanismFailed(f"expected a challenge in the form of a message identifier, got {quote(challenge)}")
        self._said = True
        self._digest = hmac.digest(self._password, challenge, "md5").hex().encode("ascii")
        return self._user + b" " + self._digest

    @property
    def is_complete(self) -> bool:
        return self._said

    @property
    def secrets(self) -> tuple[bytes, ...]:
        return (self._password, self._digest)
