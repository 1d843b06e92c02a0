"""Account: whose mail it is, and what is to become of it."""

import os
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote

from .._wire.text import check_kind
from ..aio.pop3_settings import POP3Settings
from ..endpoint import Endpoint
from .policy import Policy
from .sink import Destination, as_sink

__all__ = ["Account", "as_account", "as_accounts", "name_account"]

# The ports that are registered for POP3: whichever of them is used, it is the same server.
_REGISTERED: Final = frozenset({110, 995})

_DEFAULT_POLICY: Final = Policy()
_DEFAULT_SETTINGS: Final = POP3Settings()


def name_account(endpoint: Endpoint) -> str:
    """Return the name by which a ledger knows the account that `endpoint` logs in to: `user@pop.example.org`.

    A port that is not one of POP3's stands behind it, or, of a server on this machine, the path of a Unix socket.
    Raises ValueError where the credentials tell no user: the account must be named then by who knows it.
    """
    credentials = endpoint.auth
    user = getattr(credentials, "authzid", "") or getattr(credentials, "user", "")
    if not user:
        raise ValueError(f"the credentials for {endpoint} tell no user: the account needs a name for the ledger")
    host = endpoint.host.lower().removesuffix(".")  # which says that the name is whole, and is no part of it
    if endpoint.unix_path is not None:
        # Where there is another host, the socket is but a way to it.
        place = f":{quote(os.fsencode(endpoint.unix_path))}" if host == "localhost" else ""
    else:
        place = "" if endpoint.port in _REGISTERED else f":{endpoint.port}"
    return f"{user}@{host}{place}"


class Account:
    """An account, for who collects the mail of many.

    endpoint: its POP3 server, or the URL of that.
    into: a sink, or a function that takes a message. Accounts can share one.
    policy: what to fetch and what to delete; settings: how the server is dealt with.
    name: what the ledger knows it by; that is user and host, if nothing else is said. Mail that is to go to two places
        needs two names, or two ledgers: what one has had does not come to the other, and may be deleted all the same.

    Raises ValueError for a URL that is none, for what is no sink and no function, and where there is no name, or one
    that UTF-8 cannot express.
    """

    def __init__(
        self,
        endpoint: Endpoint | str,
        into: Destination,
        *,
        policy: Policy = _DEFAULT_POLICY,
        settings: POP3Settings = _DEFAULT_SETTINGS,
        name: str = "",
    ) -> None:
        try:
            self.endpoint: Endpoint = Endpoint.of(endpoint)
        finally:
            del endpoint  # the password in a URL: a traceback may show locals
        check_kind("policy", policy, Policy, "a Policy")
        as_sink(into)  # to have it refused now, and not in the middle of a run over many
        self.into = into
        self.policy = policy
        self.settings = settings
        self.name: str = name or name_account(self.endpoint)
        if any("\ud800" <= character <= "\udfff" for character in self.name):
            raise ValueError(f"expected a name that UTF-8 can express, got {self.name!r}")

    def __repr__(self) -> str:
        # A traceback that shows locals asks one whose making was refused as well.
        return f"<Account {self.name!r} at {self.endpoint}>" if hasattr(self, "name") else "<Account that was refused>"


def as_account(given: object) -> Account:
    """Return the account that is `given`. Raises ValueError for anything else, and never shows it: there may be a
    password in it, as in a URL."""
    try:
        (account,) = as_accounts([given])
    finally:
        del given  # a traceback may show locals
    return account


def as_accounts(given: Iterable[object]) -> Sequence[Account]:
    """Return the accounts that are `given`. Raises ValueError for what is none, and never shows it."""
    try:
        if not isinstance(given, Iterable):
            raise ValueError(f"expected an iterable of Accounts, got a value of the type {type(given).__name__}")
        things = list(given)
    finally:
        del given  # a traceback may show locals
    accounts = [thing for thing in things if isinstance(thing, Account)]
    others = [type(thing).__name__ for thing in things if not isinstance(thing, Account)]
    del things
    if others:
        raise ValueError(f"expected an Account, got a value of the type {others[0]}")
    return accounts
