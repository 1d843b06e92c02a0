"""Quirks: how real servers differ from the standards, as data.

A profile changes what the server objects say and offer, never how they work: it is lines instead of lines, commands it
does not know, extensions it keeps to itself, and a few facts. Each is taken from a captured session or a documented
complaint, named where it is defined.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from .phrases import check_situations
from .pop3_responses import RESPONSES
from .smtp_replies import REPLIES

__all__ = ["ARGOSOFT", "CAPABILITIES", "EXTENSIONS", "QUIRKS", "STANDARD", "POP3Quirk", "Quirk", "SMTPQuirk"]

EXTENSIONS: Final = (
    "PIPELINING",
    "SIZE",
    "8BITMIME",
    "SMTPUTF8",
    "ENHANCEDSTATUSCODES",
    "STARTTLS",
    "AUTH",
)
"""What the SMTP server offers, in the order of its reply to EHLO."""

CAPABILITIES: Final = (
    "TOP",
    "UIDL",
    "RESP-CODES",
    "AUTH-RESP-CODE",
    "PIPELINING",
    "USER",
    "SASL",
    "STLS",
    "IMPLEMENTATION",
)
"""What the POP3 server offers, in the order of its response to CAPA."""


@dataclass(frozen=True, slots=True)
class SMTPQuirk:
    """How an SMTP server differs.

    replies: reply lines by the situations of `smtp_replies.REPLIES`, instead of those there.
    unknown_commands: verbs that it does not know.
    withheld_extensions: keywords of `EXTENSIONS` that it does not offer, nor honour. Without ENHANCEDSTATUSCODES the
        replies of the table go without their codes.
    takes_bare_hello: HELO and EHLO without a name are accepted (RFC 5321 4.1.1.1 wants one).
    takes_bare_paths: MAIL and RCPT accept a path without angle brackets (RFC 5321 4.1.2 wants them).
    """

    replies: Mapping[str, str] = field(default_factory=dict)
    unknown_commands: frozenset[str] = frozenset()
    withheld_extensions: frozenset[str] = frozenset()
    takes_bare_hello: bool = False
    takes_bare_paths: bool = False

    def __post_init__(self) -> None:
        check_situations(self.replies, REPLIES)


@dataclass(frozen=True, slots=True)
class POP3Quirk:
    """How a POP3 server differs.

    responses: status lines by the situations of `pop3_responses.RESPONSES`, instead of those there.
    unknown_commands: verbs that it does not know.
    withheld_capabilities: keywords of `CAPABILITIES` that it does not announce. STLS and AUTH are then not to be had;
        without RESP-CODES the responses of the table go without their codes.
    dot_apart: the dot that ends a multi-line response is a packet of its own.
    retr_shortfall: by how many octets the response to RETR announces less than will come.
    """

    responses: Mapping[str, str] = field(default_factory=dict)
    unknown_commands: frozenset[str] = frozenset()
    withheld_capabilities: frozenset[str] = frozenset()
    dot_apart: bool = False
    retr_shortfall: int = 0

    def __post_init__(self) -> None:
        check_situations(self.responses, RESPONSES)


@dataclass(frozen=True, slots=True)
class Quirk:
    """The profile of one server product, called `name`."""

    name: str
    smtp: SMTPQuirk = field(default=SMTPQuirk(), repr=False)
    pop3: POP3Quirk = field(default=POP3Quirk(), repr=False)


STANDARD: Final = Quirk("standard")
"""No quirk: what the standards say."""

# ArGoSoft Mail Server Freeware 1.8, from three sessions of September 2021 captured with Sylpheed 3.7.0, telnet and a C
# program. What no capture shows (VRFY, TOP, the wording of refusals) is ours, without the codes it never heard of.
_ARGOSOFT_GREETING: Final = "ArGoSoft Mail Server Freeware, Version 1.8 (1.8.8.8)"
_ARGOSOFT_FAREWELL: Final = "Aba he"

ARGOSOFT: Final = Quirk(
    "argosoft",
    SMTPQuirk(
        replies={
            "greeting": f"220 {_ARGOSOFT_GREETING}",
            "helo": "250 Welcome [{peer}], pleased to meet you",
            "sender accepted": '250 Sender "{path}" OK...',
            "recipient accepted": '250 Recipient "{path}" OK...',
            "data": '354 Enter mail, end with "." on a line by itself',
            "message accepted": "250 Message accepted for delivery. <{id}@{hostname}>",
            "quit": f"221 {_ARGOSOFT_FAREWELL}",
        },
        unknown_commands=frozenset({"EHLO", "STARTTLS", "AUTH"}),
        withheld_extensions=frozenset(EXTENSIONS),
        takes_bare_hello=True,
        takes_bare_paths=True,
    ),
    POP3Quirk(
        responses={
            "greeting": f"+OK {_ARGOSOFT_GREETING}",
            "user": "+OK Password required for {user}",
            "logged in": "+OK Mailbox locked and ready",
            "list": "+OK",
            "uidl": "+OK",
            "quit": f"+OK {_ARGOSOFT_FAREWELL}",
        },
        unknown_commands=frozenset({"CAPA", "STLS", "AUTH"}),
        withheld_capabilities=frozenset(CAPABILITIES),
        dot_apart=True,
        # The one capture of RETR announces 522 octets where LIST said 533 and 533 came. Which octets it leaves out is
        # not known, and needs not be: a client that frames by the announced number is wrong with any shortfall.
        retr_shortfall=11,
    ),
)

QUIRKS: Final[Mapping[str, Quirk]] = MappingProxyType({quirk.name: quirk for quirk in (ARGOSOFT,)})
"""The profiles by name."""
