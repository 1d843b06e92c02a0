"""LOGIN, seen from the server (draft-murchison-sasl-login)."""

from .mechanism import Exchange, Setting, check_password

__all__ = ["login"]


def login(setting: Setting) -> Exchange:
    """Ask for the user and for the password."""
    user = yield b"Username:"
    password = yield b"Password:"
    return check_password(setting.maildrop, user.decode("utf-8"), password.decode("utf-8"))
