"""PLAIN, seen from the server (RFC 4616)."""

from .mechanism import Exchange, Setting, authorize, check_password

__all__ = ["plain"]


def plain(setting: Setting) -> Exchange:
    """Take the identity to act as, the user and the password, with a NUL between them."""
    message = yield b""
    authzid, user, password = message.decode("utf-8").split("\0")
    if not user or not password:
        raise ValueError("RFC 4616 2: neither authcid nor passwd is empty")
    return authorize(check_password(setting.maildrop, user, password), authzid)
