"""OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's older form of it): an access token that the server may judge.

Both say all in one message. A server that refuses the token says why in JSON, as a challenge; the client owes it an
answer that means nothing, and only then comes the failure itself.
"""

import json
import re
from dataclasses import dataclass
from typing import ClassVar, Final

from .._wire.text import printable
from .._wire.trace import MASK
from .fields import encode_field, encode_saslname, gs2_header
from .mechanism import Mechanism, MechanismFailed
from .redaction import Redaction

__all__ = ["FAILURE_LIMIT", "OAuthBearer", "OAuthFailure", "XOAuth2"]

FAILURE_LIMIT: Final = 4_096
"""The octets of a server's reasons that are read. Google's take a hundred, and none has a use for a thousand."""

# A failure is one object of texts (RFC 7628 3.2.2). Nesting is bounded before it is parsed: json recurses.
_BRACKET_LIMIT: Final = 32

# RFC 6750 2.1 allows fewer characters. Others in use are let through, but no space: it is "Bearer " or a line end that
# came along with the token.
_VISIBLE: Final = re.compile(r"[!-~]+")

_SEPARATOR: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class OAuthFailure:
    """Why the server refused the token, as far as it said; all of it one line of printable text, and nothing verified.

    status: "invalid_token", "insufficient_scope" (RFC 6750 3.1), or an HTTP status from Google and Microsoft ("401").
    scope: the scopes that a token needs.
    schemes: the kinds of token that are accepted (XOAUTH2).
    openid_configuration: where the server's authorization server describes itself, a URL; it is nobody's promise.
    raw: what the server said, whole where it was not too long; a mask alone, where a member holds the token.
    """

    status: str = ""
    scope: str = ""
    schemes: str = ""
    openid_configuration: str = ""
    raw: str = ""

    @classmethod
    def parse(cls, challenge: bytes) -> "OAuthFailure":
        """Read a failure challenge. Never raises: what is no JSON object is in `raw` alone."""
        return _read_failure(challenge, Redaction(()))


class _Bearer(Mechanism):
    """What both have in common: one message, and at most one challenge, which is a failure."""

    _answer_to_failure: ClassVar[bytes]

    # A token is a local variable of the constructor, and a traceback may show locals: it is taken in and out of sight
    # before anything can raise.
    def __init__(self, token: str) -> None:
        self.failure: OAuthFailure | None = None  # what the server said against the token
        self._token = token.encode("ascii") if _VISIBLE.fullmatch(token) else b""
        self._message = b""
        self._said = False

    def _compose(self, beginning: bytes) -> None:
        if not self._token:
            raise ValueError('the token must be visible ASCII, without "Bearer " or a line end, and not empty')
        self._message = beginning + _SEPARATOR + b"auth=Bearer " + self._token + _SEPARATOR * 2

    def initial_response(self) -> bytes:
        self._said = True
        return self._message

    def respond(self, challenge: bytes) -> bytes:
        if self.failure is not None:
            raise MechanismFailed(f"{self.name} expects no challenge behind the failure")
        if self._said:
            # A server that sends back what it was sent would else have the token shown.
            self.failure = _read_failure(challenge, Redaction(self.secrets))
            return self._answer_to_failure
        # Where no initial response may be sent, the server asks for it with an empty challenge.
        if challenge:
            raise MechanismFailed(f"{self.name} expects an empty challenge before its message")
        return self.initial_response()

    @property
    def is_complete(self) -> bool:
        return self._said and self.failure is None

    @property
    def secrets(self) -> tuple[bytes, ...]:
        return (self._token,)


class OAuthBearer(_Bearer):
    """OAUTHBEARER (RFC 7628).

    user: whose token it is; may be empty, since the token tells the server (RFC 7628 3.1).
    token: the access token, without "Bearer ".
    host, port: what the client connected to, for the server to compare with itself (RFC 7628 3.1); may be left out.
    authzid: the identity to act as. The message has one place for an identity: it stands there instead of the user.

    Raises ValueError, which does not quote the token, for a token that is empty or not visible ASCII, for a control
    character anywhere, for a host that is not visible ASCII, and for a port out of range.
    """

    name = "OAUTHBEARER"
    # RFC 7628 3.2.3: a single %x01, so that the server can finish the exchange.
    _answer_to_failure = _SEPARATOR

    def __init__(self, user: str, token: str, *, host: str = "", port: int | None = None, authzid: str = "") -> None:
        super().__init__(token)
        del token
        if host and not _VISIBLE.fullmatch(host):
            raise ValueError("the host must be visible ASCII, an A-label or an address")
        if port is not None and not 1 <= port <= 65535:
            raise ValueError(f"expected a port between 1 and 65535, got {port}")
        identity = encode_saslname("user", user, allows_controls=False)
        if authzid:
            identity = encode_saslname("authzid", authzid, allows_controls=False)
        # RFC 7628 3.1: no channel binding is used, so the flag is "n".
        beginning = gs2_header(b"n", identity)
        if host:
            beginning += _SEPARATOR + b"host=" + host.encode("ascii")
        if port is not None:
            beginning += _SEPARATOR + b"port=%d" % port
        self._compose(beginning)


class XOAuth2(_Bearer):
    """XOAUTH2 (Google, "OAuth 2.0 Mechanism"), which Microsoft has too.

    Raises ValueError, which does not quote the token, for a token that is empty or not visible ASCII, and for a user
    that is empty or holds a control character.
    """

    name = "XOAUTH2"
    # Google's page on the mechanism, under "Error Response": nothing, for the same purpose.
    _answer_to_failure = b""

    def __init__(self, user: str, token: str) -> None:
        super().__init__(token)
        del token
        if not user:
            raise ValueError("XOAUTH2 needs a user that is not empty")
        self._compose(b"user=" + encode_field("user", user, allows_controls=False))


def _read_failure(challenge: bytes, redaction: Redaction) -> OAuthFailure:
    members = _read_object(challenge)
    # It may be quoted within what is quoted, as deep as a server likes: here it is less deep by one.
    has_secret = any(redaction.is_needed(_text_of(value)) for value in members.values())

    def shown(name: str) -> str:
        # What the challenge has quoted is plain here: it is masked by itself.
        return printable(redaction.mask(_text_of(members.get(name))))

    return OAuthFailure(
        status=shown("status"),
        scope=shown("scope"),
        schemes=shown("schemes"),
        openid_configuration=shown("openid-configuration"),
        raw=MASK if has_secret else printable(redaction.mask(challenge)[:FAILURE_LIMIT]),
    )


def _read_object(challenge: bytes) -> dict[object, object]:
    if len(challenge) > FAILURE_LIMIT or challenge.count(b"[") + challenge.count(b"{") > _BRACKET_LIMIT:
        return {}
    try:
        value = json.loads(challenge.decode())
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _text_of(value: object) -> bytes:
    """Return a member of the object: a text, or a number where a text was meant; nothing else says anything here."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return b""
    return str(value).encode("utf-8", "backslashreplace")
