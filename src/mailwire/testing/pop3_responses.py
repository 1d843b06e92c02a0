"""What the POP3 server responds, by situation (RFC 1939 5 to 7; response codes by RFC 2449 8 and RFC 3206)."""

from collections.abc import Mapping
from typing import Final

from .phrases import Phrase

__all__ = ["RESPONSES"]

RESPONSES: Final[Mapping[str, Phrase]] = {
    "greeting": Phrase("+OK", "", "{hostname} POP3 mailwire.testing"),
    "user": Phrase("+OK", "", "Password, please", further=("user",)),
    "logged in": Phrase("+OK", "", "Maildrop locked, {count} messages ({octets} octets)"),
    "challenge": Phrase("+", "", "{challenge}"),
    "capa": Phrase("+OK", "", "Capabilities follow"),
    "stls": Phrase("+OK", "", "Begin TLS now"),
    "utf8": Phrase("+OK", "", "UTF8 enabled"),
    "languages": Phrase("+OK", "", "Languages follow"),
    "language": Phrase("+OK", "", "{language} is spoken"),
    # RFC 1939 5: the text of STAT is defined, and so is that of LIST and UIDL with an argument.
    "stat": Phrase("+OK", "", "{count} {octets}"),
    "list": Phrase("+OK", "", "{count} messages ({octets} octets)"),
    "list one": Phrase("+OK", "", "{number} {octets}"),
    "uidl": Phrase("+OK", "", "Unique ids follow", further=("count", "octets")),
    "uidl one": Phrase("+OK", "", "{number} {uid}"),
    "retr": Phrase("+OK", "", "{octets} octets"),
    "top": Phrase("+OK", "", "Top of message follows"),
    "dele": Phrase("+OK", "", "Message {number} marked as deleted"),
    "rset": Phrase("+OK", "", "Maildrop has {count} messages ({octets} octets)"),
    "noop": Phrase("+OK", "", "Still here"),
    "quit": Phrase("+OK", "", "{hostname} closes the connection"),
    # Refusals
    "too long": Phrase("-ERR", "", "Line too long"),
    "unknown": Phrase("-ERR", "", "Unknown command"),
    "syntax": Phrase("-ERR", "", "Syntax error, expected {expected}"),
    "cancelled": Phrase("-ERR", "", "Authentication cancelled"),
    "initial response": Phrase("-ERR", "", "The server begins this mechanism"),
    "malformed": Phrase("-ERR", "", "Cannot decode the response"),
    "unavailable": Phrase("-ERR", "", "Command not available"),
    "sequence": Phrase("-ERR", "", "Not now: {reason}"),
    "mechanism": Phrase("-ERR", "", "Unknown mechanism"),
    "credentials": Phrase("-ERR", "[AUTH]", "Credentials invalid"),
    "in use": Phrase("-ERR", "[IN-USE]", "Another session has the maildrop"),
    "language unknown": Phrase("-ERR", "", "Language not spoken"),
    "message in utf-8": Phrase("-ERR", "[UTF8]", "The message has a header in UTF-8"),
    "no message": Phrase("-ERR", "", "No such message"),
    "message unavailable": Phrase("-ERR", "", "Cannot read the message"),
    "too many": Phrase("-ERR", "", "No more messages in this session"),
}
"""What the loopback server answers in POP3, by the occasion."""
