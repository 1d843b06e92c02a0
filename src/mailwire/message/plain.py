"""Plain messages: a header and one text in ASCII, written without the standard library's generator.

Nothing of such a message is encoded, so the generator would write the same octets; but line by line, and it parses
Content-Type three times over to find out that there is nothing to be done: two thirds of what a small mail costs.
"""

import re
from email.message import EmailMessage, Message
from email.mime.text import MIMEText
from email.policy import Policy
from typing import Final

from .payloads import payload_of

__all__ = ["is_plain", "write_plain"]

# Not what is derived from these: it may write itself in a way of its own.
_KINDS: Final = frozenset({Message, EmailMessage, MIMEText})
_TEXT: Final = re.compile(r"[ \t]*text/[A-Za-z0-9.+-]+[ \t]*(?:;|\Z)", re.IGNORECASE)


def is_plain(message: Message) -> bool:
    """Whether `message` is a header and a text in ASCII, and nothing else."""
    payload = payload_of(message)
    if type(message) not in _KINDS or not (payload is None or (isinstance(payload, str) and payload.isascii())):
        return False
    for name, value in message.raw_items():
        if name.lower() == "content-type":
            return _TEXT.match(str(value)) is not None  # the older kind may hold Header objects
    return message.get_default_type() == "text/plain"


def write_plain(message: Message, policy: Policy) -> bytes:
    """Return the octets of `message`, which `is_plain`, with its fields folded by `policy` and CRLF alone."""
    fields = [policy.fold_binary(name, value) for name, value in message.raw_items()]
    text = payload_of(message)
    body = text if isinstance(text, str) else ""
    if "\r" in body:
        body = body.replace("\r\n", "\n").replace("\r", "\n")
    return b"%b\r\n%b" % (b"".join(fields), body.replace("\n", "\r\n").encode("ascii"))
