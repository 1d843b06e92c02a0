"""Mechanism: an exchange of SASL as the server leads it (RFC 4422 3)."""

from collections.abc import Collection, Generator
from dataclasses import dataclass
from typing import TypeAlias

from .channel import NO_CHANNEL, Channel
from .maildrop import Account, Maildrop
from .policy import Policy
from .refusal import Denied

__all__ = ["Exchange", "Setting", "account_with_password", "authorize", "check_password"]

Exchange: TypeAlias = Generator[bytes, bytes, Account]
"""Challenges come out, responses go in; in the end it returns the account that the client has proved to be.

The first challenge is empty where the client is to begin. A response that cannot be read is a ValueError, a client that
proves nothing is Denied.
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """What an exchange takes place in: the accounts, the server's policy, the TLS session, and what is `offered`."""

    maildrop: Maildrop
    policy: Policy
    channel: Channel = NO_CHANNEL
    offered: Collection[str] = ()


def authorize(account: Account, authzid: str) -> Account:
    """Return `account` if who has proved to be it may act as `authzid`; "" is the user's own. Nobody may as another."""
    if authzid not in ("", account.user):
        raise Denied("not-authorized")
    return account


def account_with_password(maildrop: Maildrop, user: str) -> Account:
    """Return the account of `user`, who can log in by a password. Raises Denied."""
    account = maildrop.find(user)
    if account is None:
        raise Denied("unknown-user")
    if not account.password:
        raise Denied("no-password")
    return account


def check_password(maildrop: Maildrop, user: str, password: str) -> Account:
    """Return the account of `user` if that is the password.

    Compared octet for octet: RFC 4616 2 recommends to prepare both by SASLprep, but a test wants to see what was sent.
    """
    account = account_with_password(maildrop, user)
    if account.password != password:
        raise Denied("invalid-proof")
    return account
