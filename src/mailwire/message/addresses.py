"""The addresses in a field of a message's header (RFC 5322 3.4)."""

import re
from email.errors import NonASCIILocalPartDefect
from email.message import Message
from email.policy import default
from typing import Any, Final

from ..errors import InvalidMessage
from ..smtp.paths import Mailbox

__all__ = ["addresses_of"]

_FOLD: Final = re.compile(r"\r?\n(?=[ \t])")


def addresses_of(message: Message, name: str) -> list[Mailbox]:
    """Return the addresses in the fields called `name`. Raises InvalidMessage where there are doubts."""
    mailboxes: list[Mailbox] = []
    try:
        fields = [_parsed(name, value) for value in message.get_all(name, ())]
    except Exception as error:
        raise InvalidMessage(f"expected addresses in {name}, and it cannot be read: {error}") from error
    for field_ in fields:
        # What the parser had to guess at ("<a@b>@c") may go anywhere, and goes nowhere.
        guessed = [defect for defect in field_.defects if not isinstance(defect, NonASCIILocalPartDefect)]
        whole = all(address.username and address.domain for address in field_.addresses)
        if guessed or not whole:
            raise InvalidMessage(f"expected addresses in {name}, got {str(field_)!r}")
        # What it made of a quoted local part is put into quotes again by our own rules.
        mailboxes.extend(Mailbox(address.username, address.domain) for address in field_.addresses)
    return mailboxes


def _parsed(name: str, value: Any) -> Any:
    # The newer policies have parsed it; the older one gives text, or a Header where there were octets of no charset.
    if hasattr(value, "addresses"):
        return value
    text = str(value)
    if not isinstance(value, str) and not text.isascii():
        raise ValueError(f"octets beyond ASCII in {text!r}")
    return default.header_factory(name, _FOLD.sub("", text))
