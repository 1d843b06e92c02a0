"""The SMTP client machine, sans-I/O (RFC 5321): commands and bytes in, bytes and events out.

`Connection` is the machine, `Transaction` makes the decisions of one mail on top of it. Neither reads a socket or a
clock: drive them from asyncio (as `mailwire.SMTPClient` does), threads, trio, or a list of bytes.
"""

from .._wire.pipeline import LOCKSTEP, Window
from ..errors import ReplyError
from .commands import (
    Auth,
    Bdat,
    BdatLast,
    Command,
    Data,
    Ehlo,
    EndOfData,
    Expn,
    Greeting,
    Helo,
    Help,
    Lhlo,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
)
from .connection import PIPELINING_WINDOW, Connection
from .delivery import Delivery
from .events import ComputationDue, ConnectionClosed, Event, GroupsAnswered, ReplyReceived, ServerClosing
from .extensions import Extensions
from .group import Group, Replies
from .limits import Batch, split_recipients
from .options import DeliverBy, MailOptions, OriginalRecipient, RecipientOptions, ValidSince
from .parameters import Parameters
from .paths import Mailbox
from .receipt import Receipt, RecipientReceipt
from .reply import EnhancedCode, Reply
from .states import TRANSITIONS, State, Transition
from .transaction import CHUNK_SIZE, Transaction
from .transactions import Transactions

__all__ = [
    "CHUNK_SIZE",
    "LOCKSTEP",
    "PIPELINING_WINDOW",
    "TRANSITIONS",
    "Auth",
    "Batch",
    "Bdat",
    "BdatLast",
    "Command",
    "ComputationDue",
    "Connection",
    "ConnectionClosed",
    "Data",
    "DeliverBy",
    "Delivery",
    "Ehlo",
    "EndOfData",
    "EnhancedCode",
    "Event",
    "Expn",
    "Extensions",
    "Greeting",
    "Group",
    "GroupsAnswered",
    "Helo",
    "Help",
    "Lhlo",
    "Mail",
    "MailOptions",
    "Mailbox",
    "Noop",
    "OriginalRecipient",
    "Parameters",
    "Quit",
    "Rcpt",
    "Receipt",
    "RecipientOptions",
    "RecipientReceipt",
    "Replies",
    "Reply",
    "ReplyError",
    "ReplyReceived",
    "Rset",
    "ServerClosing",
    "StartTls",
    "State",
    "Transaction",
    "Transactions",
    "Transition",
    "ValidSince",
    "Vrfy",
    "Window",
    "split_recipients",
]
