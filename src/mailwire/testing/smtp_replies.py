"""What the SMTP server replies, by situation (RFC 5321 4.2 and 4.3, enhanced codes by RFC 3463 and RFC 5248)."""

from collections.abc import Mapping
from typing import Final

from .phrases import Phrase

__all__ = ["REPLIES"]

REPLIES: Final[Mapping[str, Phrase]] = {
    "greeting": Phrase("220", "", "{hostname} ESMTP mailwire.testing"),
    # RFC 2034 4: the replies to EHLO and HELO carry no enhanced code, nor do 3yz.
    "ehlo": Phrase("250", "", "{hostname} greets {name}"),
    "helo": Phrase("250", "", "{hostname} greets {name}"),
    "sender accepted": Phrase("250", "2.1.0", "Sender <{path}> accepted"),
    "recipient accepted": Phrase("250", "2.1.5", "Recipient <{path}> accepted"),
    "data": Phrase("354", "", "Send the message, end with a dot on a line by itself"),
    "message accepted": Phrase("250", "2.0.0", "Message accepted as {id}"),
    "chunk accepted": Phrase("250", "2.0.0", "{octets} octets taken"),
    "delivered": Phrase("250", "2.1.5", "Recipient <{path}> has it as {id}"),
    "rset": Phrase("250", "2.0.0", "Forgotten"),
    "noop": Phrase("250", "2.0.0", "Still here"),
    "vrfy": Phrase("252", "2.0.0", "Cannot verify, but will take mail and try"),
    "help": Phrase("214", "2.0.0", "Commands: {commands}"),
    "quit": Phrase("221", "2.0.0", "{hostname} closes the connection"),
    "starttls": Phrase("220", "2.0.0", "Begin TLS now"),
    "challenge": Phrase("334", "", "{challenge}"),
    "authenticated": Phrase("235", "2.7.0", "Authenticated as {user}"),
    # Refusals
    "too many messages": Phrase("421", "4.7.0", "No more than {limit} messages in a session"),
    "too many recipients": Phrase("452", "4.5.3", "No more than {limit} recipients of a message"),
    "too many domains": Phrase("452", "4.5.3", "No more than {limit} domains among the recipients of a session"),
    "too long": Phrase("500", "5.5.6", "Line too long"),
    "unknown": Phrase("500", "5.5.1", "Unknown command"),
    "syntax": Phrase("501", "5.5.4", "Syntax error, expected {expected}"),
    "sender syntax": Phrase("501", "5.1.7", "Cannot read the sender's address"),
    "recipient syntax": Phrase("501", "5.1.3", "Cannot read the recipient's address"),
    "cancelled": Phrase("501", "5.7.0", "Authentication cancelled"),
    "initial response": Phrase("501", "5.7.0", "The server begins this mechanism"),
    "malformed": Phrase("501", "5.5.2", "Cannot decode the response"),
    "unavailable": Phrase("502", "5.5.1", "Command not available"),
    "sequence": Phrase("503", "5.5.1", "Bad sequence of commands: {reason}"),
    "mechanism": Phrase("504", "5.5.4", "Unknown mechanism"),
    "authentication required": Phrase("530", "5.7.0", "Authentication required"),
    "credentials": Phrase("535", "5.7.8", "Credentials invalid"),
    "sender refused": Phrase("550", "5.7.1", "Sender <{path}> refused"),
    "recipient unknown": Phrase("550", "5.1.1", "No such recipient <{path}>"),
    "message too big": Phrase("552", "5.3.4", "More than {limit} octets"),
    "non-ascii": Phrase("553", "5.6.7", "An address beyond ASCII needs SMTPUTF8"),
    "no recipients": Phrase("554", "5.5.1", "No valid recipients"),
    "line ends": Phrase("554", "5.6.0", "The message holds a bare CR, a bare LF or a NUL"),
    "parameter": Phrase("555", "5.5.4", "Parameter {parameter} not recognized"),
}
"""What the loopback server answers in SMTP and LMTP, by the occasion."""
