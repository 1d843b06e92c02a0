"""Servers that announce CHUNKING (RFC 3030) and are bad at it, as far as that is known of them.

Each is known by what it says about itself: in its greeting, or in the first line of its reply to EHLO, which holds
under TLS as well. Who forges either, gets a message behind DATA, and nothing else.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from .reply import Reply

__all__ = ["DEFECTS", "Defect", "is_bad_at_chunking"]


class Defect(NamedTuple):
    """A server product, and where its fault is reported; what its greeting holds, and its reply to EHLO."""

    product: str
    report: str
    greeting: re.Pattern[bytes] | None
    hello: re.Pattern[bytes] | None


DEFECTS: Final[Sequence[Defect]] = (
    # Messages that were sent whole are waited for until a timeout.
    Defect(
        "Microsoft Exchange, Exchange Online and IIS",
        "https://github.com/jstedfast/MailKit/issues/921, 904",
        re.compile(rb"Microsoft E?SMTP MAIL Service", re.IGNORECASE),
        re.compile(rb"\S+ Hello \[[0-9A-Fa-f.:]+\]\Z"),
    ),
    # BDAT is announced as Exchange does, and closes the connection.
    Defect(
        "Symantec Mail Security",
        "https://joekiller.com/2007/09/19/bdat-causing-smtp-service-to-drop-email/",
        re.compile(rb"Symantec Mail Security", re.IGNORECASE),
        None,
    ),
)
"""Servers that announce CHUNKING and are known to be bad at it, by their greetings."""


def is_bad_at_chunking(greeting: Reply, hello: Reply) -> bool:
    """Whether a server that says this, to the connection and to EHLO, is known to be."""
    return any(
        (defect.greeting is not None and defect.greeting.search(greeting.lines[0]))
        or (defect.hello is not None and defect.hello.match(hello.lines[0]))
        for defect in DEFECTS
    )
