"""The POP3 client machine, sans-I/O (RFC 1939): commands and bytes in, bytes and events out.

`Connection` is the machine. It reads no socket and no clock: drive it from asyncio (as `mailwire.POP3Client` does),
threads, trio, or a list of bytes.
"""

from .._wire.pipeline import LOCKSTEP, Window
from ..errors import ResponseError
from .authorization import Apop, Auth, Pass, Stls, User, Utf8
from .capabilities import Capabilities, Expire, LoginDelay
from .commands import Capa, Command, Greeting, Lang, PlainCommand, Quit
from .connection import PIPELINING_WINDOW, Connection
from .events import ComputationDue, ConnectionClosed, Event, MessageData, MessageEnd, ResponseReceived, ServerClosing
from .findings import Finding, FindingKind
from .fingerprint import HEADER_LIMIT, Fingerprint
from .limits import DEFAULT_LIMITS, Limits
from .listing_reader import BodyReader
from .listings import DropListing, ScanListing, UniqueIdListing
from .quirks import STANDARD, Quirks
from .refusals import PHRASES, Phrase, RefusalCause, ResponseCode
from .response import Response
from .states import TRANSITIONS, State, Transition
from .survey import Entry, Listing, survey
from .transaction import Dele, Last, List, Noop, Retr, Rset, Stat, Top, Uidl

__all__ = [
    "DEFAULT_LIMITS",
    "HEADER_LIMIT",
    "LOCKSTEP",
    "PHRASES",
    "PIPELINING_WINDOW",
    "STANDARD",
    "TRANSITIONS",
    "Apop",
    "Auth",
    "BodyReader",
    "Capa",
    "Capabilities",
    "Command",
    "ComputationDue",
    "Connection",
    "ConnectionClosed",
    "Dele",
    "DropListing",
    "Entry",
    "Event",
    "Expire",
    "Finding",
    "FindingKind",
    "Fingerprint",
    "Greeting",
    "Lang",
    "Last",
    "Limits",
    "List",
    "Listing",
    "LoginDelay",
    "MessageData",
    "MessageEnd",
    "Noop",
    "Pass",
    "Phrase",
    "PlainCommand",
    "Quirks",
    "Quit",
    "RefusalCause",
    "Response",
    "ResponseCode",
    "ResponseError",
    "ResponseReceived",
    "Retr",
    "Rset",
    "ScanListing",
    "ServerClosing",
    "Stat",
    "State",
    "Stls",
    "Top",
    "Transition",
    "Uidl",
    "UniqueIdListing",
    "User",
    "Utf8",
    "Window",
    "survey",
]
