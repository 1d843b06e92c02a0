"""CRAM-MD5, seen from the server (RFC 2195)."""

import hmac
import re
from typing import Final

from .mechanism import Exchange, Setting, account_with_password
from .refusal import Denied

__all__ = ["cram_md5"]

# RFC 2195 2: the user name, a space and the digest, "using lower-case ASCII characters". The name may hold spaces.
_RESPONSE: Final = re.compile(r"(.+) ([0-9a-f]{32})", re.DOTALL)


def cram_md5(setting: Setting) -> Exchange:
    """Say a timestamp, and take the user and the digest of it that the password makes."""
    challenge = setting.policy.new_timestamp().encode()
    response = _RESPONSE.fullmatch((yield challenge).decode("utf-8"))
    if response is None:
        raise ValueError("RFC 2195 2: expected a user name and a digest")
    user, digest = response.groups()
    account = account_with_password(setting.maildrop, user)
    if not hmac.compare_digest(hmac.digest(account.password.encode(), challenge, "md5").hex(), digest):
        raise Denied("invalid-proof")
    return account
