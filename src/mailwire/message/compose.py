"""compose: a message made of what one wants to say."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from secrets import token_hex
from typing import Final

from ..errors import InvalidMessage
from .addresses import addresses_of

__all__ = ["compose"]

_LINE_END: Final = re.compile(r"[\r\n\0]")


def compose(
    *,
    sender: str | Address,
    to: str | Address | Iterable[str | Address],
    subject: str = "",
    text: str = "",
    html: str | None = None,
    cc: str | Address | Iterable[str | Address] = (),
    bcc: str | Address | Iterable[str | Address] = (),
    reply_to: str | Address | Iterable[str | Address] = (),
) -> EmailMessage:
    """Make a message: a header with Date and Message-ID, a text, and the same in HTML if given.

    Addresses are `name@example.org`, `Some Name <name@example.org>` or email.headerregistry.Address. Keep the message
    for another attempt: its Message-ID is how a receiver knows a duplicate. Raises ValueError for an address that is
    none, and for a line end or NUL in what becomes a field of the header.
    """
    message = EmailMessage(policy=SMTP)
    given = {"From": sender, "To": to, "Cc": cc, "Bcc": bcc, "Reply-To": reply_to}
    fields = {name: _listed(addresses) for name, addresses in given.items()}
    for name, addresses in fields.items():
        if addresses:
            _set_addresses(message, name, _checked(name, ", ".join(str(address) for address in addresses)))
            if not addresses_of(message, name) and name == "From":
                raise InvalidMessage("expected an address as the sender, got none")
    message["Subject"] = _checked("subject", subject)
    message["Date"] = format_datetime(datetime.now(UTC))
    # The domain is the sender's: the name of this machine is nobody's business, and looking it up may take its time.
    message["Message-ID"] = make_msgid(domain=message["From"].addresses[0].domain)
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
        message.set_boundary(f"=_{token_hex(16)}")  # now, so that every attempt sends the same octets
    return message


def _listed(addresses: str | Address | Iterable[str | Address]) -> list[str | Address]:
    return [addresses] if isinstance(addresses, (str, Address)) else list(addresses)


def _set_addresses(message: EmailMessage, name: str, value: str) -> None:
    try:
        message[name] = value
    except Exception as error:
        # The standard library's parser fails in more ways than it says (IndexError for a lone quote).
        raise InvalidMessage(f"expected addresses in {name}, got {value!r}") from error


def _checked(name: str, value: str) -> str:
    if _LINE_END.search(value):
        raise InvalidMessage(f"{name} must not hold a line end or NUL, got {value!r}")
    return value
