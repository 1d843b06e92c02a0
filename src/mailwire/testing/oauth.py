"""OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's older form of it), seen from the server.

A token that is refused is answered with the reason in JSON, as a challenge; the client owes it a response that means
nothing, and only then comes the refusal.
"""

import json
import re
from collections.abc import Generator, Mapping
from typing import Final, NoReturn

from .maildrop import Account, Maildrop
from .mechanism import Exchange, Setting
from .refusal import Denied

__all__ = ["oauthbearer", "xoauth2"]

# RFC 7628 3.1: the header of RFC 5801 4, and pairs that %x01 ends. The header's flag is "n", for there is no channel
# binding; the authzid is a saslname.
_OAUTHBEARER: Final = re.compile(r"n,(?:a=((?:[^\0\x01=,]|=2C|=3D)+))?,\x01((?:[A-Za-z]+=[\t\n\r -~]*\x01)*)\x01")
# Google's page on the mechanism, "Initial Client Response".
_XOAUTH2: Final = re.compile(r"user=([^\x01]+)\x01auth=([\t -~]*)\x01\x01")
# RFC 6750 2.1. RFC 7235 2.1: the scheme is case-insensitive.
_BEARER: Final = re.compile(r"bearer +([!-~]+)", re.IGNORECASE)


def oauthbearer(setting: Setting) -> Exchange:
    """Take a token, and perhaps the identity to act as: the user whose token it must be."""
    message = _OAUTHBEARER.fullmatch((yield b"").decode("utf-8"))
    if message is None:
        raise ValueError("RFC 7628 3.1: expected a header and pairs")
    user = (message[1] or "").replace("=2C", ",").replace("=3D", "=")
    texts = message[2].split("\x01")[:-1]
    pairs = dict(text.split("=", 1) for text in texts)
    if len(pairs) < len(texts) or "auth" not in pairs:
        raise ValueError("RFC 7628 3.1: expected every key once, auth among them")
    account = _find_owner(setting.maildrop, user, pairs["auth"])
    if account is not None:
        return account
    policy = setting.policy
    failure = {
        "status": "invalid_token",
        "scope": policy.oauth_scope,
        "openid-configuration": f"https://{policy.hostname}/.well-known/openid-configuration",
    }
    return (yield from _refuse(failure, b"\x01"))


def xoauth2(setting: Setting) -> Exchange:
    """Take a user and a token."""
    message = _XOAUTH2.fullmatch((yield b"").decode("utf-8"))
    if message is None:
        raise ValueError("expected user= and auth=")
    account = _find_owner(setting.maildrop, message[1], message[2])
    if account is not None:
        return account
    return (yield from _refuse({"status": "401", "schemes": "bearer", "scope": setting.policy.oauth_scope}, b""))


def _find_owner(maildrop: Maildrop, user: str, authorization: str) -> Account | None:
    # Without a user, the token tells (RFC 7628 3.1).
    bearer = _BEARER.fullmatch(authorization)
    for account in maildrop.accounts:
        if bearer is not None and bearer[1] in account.access_tokens and user in ("", account.user):
            return account
    return None


def _refuse(failure: Mapping[str, str], owed: bytes) -> Generator[bytes, bytes, NoReturn]:
    response = yield json.dumps(failure, separators=(",", ":")).encode()
    if response != owed:
        raise ValueError("expected the response that means nothing")
    raise Denied("invalid-token")
