"""Policy: what the test server calls itself, demands and refuses."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from ..smtp.paths import Mailbox

__all__ = ["DEFAULTS", "Policy"]


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings of both servers.

    hostname: the name that the server gives itself.
    size_limit: the largest message that SMTP takes, in octets (RFC 1870).
    require_auth: whether MAIL is refused before AUTH has succeeded (RFC 4954 6).
    mechanisms: the SASL mechanisms offered, in this order, of PLAIN and LOGIN; none: no AUTH.
    refused_senders: addresses for which MAIL is answered 550; case does not count.
    """

    hostname: str = "localhost"
    size_limit: int = 10 * 1024 * 1024  # about what Postfix takes by default
    require_auth: bool = False
    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")
    refused_senders: Collection[str] = ()

    def refuses(self, sender: Mailbox) -> bool:
        """Whether mail from `sender` is refused."""
        return str(sender).casefold() in {address.casefold() for address in self.refused_senders}


DEFAULTS: Final = Policy()
