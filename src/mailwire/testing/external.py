"""EXTERNAL, seen from the server (RFC 4422 appendix A): the TLS session has proved already who the client is."""

from .mechanism import Exchange, Setting, authorize
from .refusal import Denied

__all__ = ["external"]


def external(setting: Setting) -> Exchange:
    """Take the identity to act as, for the account that the client's certificate names."""
    message = yield b""
    authzid = message.decode("utf-8")
    if "\0" in authzid:
        raise ValueError("RFC 4422 A.1: no NUL")
    for account in setting.maildrop.accounts:
        if account.certificate_name in setting.channel.client_names:
            return authorize(account, authzid)
    raise Denied("unknown-user")
