"""Credentials: who we are, as values that never show their secret."""

from dataclasses import dataclass, field

__all__ = ["Password"]


@dataclass(frozen=True, slots=True)
class Password:
    """A user name and a password, both any text; sent as UTF-8.

    authzid: the identity to act as (RFC 4422 3.4.1), where it is not the user's own.
    """

    user: str
    password: str = field(repr=False)
    authzid: str = ""
