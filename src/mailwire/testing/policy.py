"""Policy: what the test server calls itself, demands and refuses."""

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from ..smtp.paths import Mailbox

__all__ = ["DEFAULTS", "MECHANISMS", "Policy"]

MECHANISMS: Final = (
    "SCRAM-SHA-512-PLUS",
    "SCRAM-SHA-512",
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-1",
    "OAUTHBEARER",
    "XOAUTH2",
    "EXTERNAL",
    "PLAIN",
    "LOGIN",
    "CRAM-MD5",
    "ANONYMOUS",
)
"""The SASL mechanisms that both servers know."""

# hashlib.pbkdf2_hmac() takes no more.
_ITERATION_LIMIT: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings of both servers.

    hostname: the name that the server gives itself.
    size_limit: the largest message that SMTP takes, in octets (RFC 1870).
    require_auth: whether MAIL is refused before AUTH has succeeded (RFC 4954 6).
    mechanisms: the SASL mechanisms offered, in this order, of `MECHANISMS`; none: no AUTH. Those that end in -PLUS are
        offered where the TLS session has something to bind to, EXTERNAL where the client has shown a certificate.
    apop: whether POP3 offers APOP, by a timestamp at the end of its greeting (RFC 1939 7).
    scram_iterations: how often SCRAM hashes a password; RFC 7677 4 wants 4096 at least, clients may refuse fewer.
    oauth_scope: the scope that OAUTHBEARER and XOAUTH2 name when they refuse a token.
    make_nonce: returns what SCRAM, CRAM-MD5 and APOP say but once: letters, digits and other printable ASCII, without a
        comma, a blank and any of <>@. make_salt: returns the salt of a user's keys for SCRAM. Both for tests that
        compare octets.
    refused_senders: addresses for which MAIL is answered 550; case does not count.

    Raises ValueError for a mechanism that is not one of `MECHANISMS`, and for a number of iterations that is none.
    """

    hostname: str = "localhost"
    size_limit: int = 10 * 1024 * 1024  # about what Postfix takes by default
    require_auth: bool = False
    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")
    apop: bool = False
    scram_iterations: int = 4096
    oauth_scope: str = "mail"
    make_nonce: Callable[[], str] = field(default=secrets.token_urlsafe, repr=False)
    make_salt: Callable[[], bytes] = field(default=secrets.token_bytes, repr=False)
    refused_senders: Collection[str] = ()

    def __post_init__(self) -> None:
        for name in self.mechanisms:
            if name not in MECHANISMS:
                raise ValueError(f"expected mechanisms of {', '.join(MECHANISMS)}; got {name!r}")
        if not 1 <= self.scram_iterations <= _ITERATION_LIMIT:
            raise ValueError(f"expected 1 to {_ITERATION_LIMIT} iterations, got {self.scram_iterations}")

    def refuses(self, sender: Mailbox) -> bool:
        """Whether mail from `sender` is refused."""
        return str(sender).casefold() in {address.casefold() for address in self.refused_senders}

    def new_timestamp(self) -> str:
        """Make what APOP and CRAM-MD5 call a timestamp, in the form of a message identifier (RFC 1939 7, RFC 2195 2).

        It need not tell the time, only never be said again.
        """
        return f"<{self.make_nonce()}@{self.hostname}>"


DEFAULTS: Final = Policy()
