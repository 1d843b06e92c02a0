"""A mail server in a box, for tests and demonstrations: SMTP, LMTP and POP3 over one maildrop in memory.

`MailServer` listens on the loopback interface. `SMTPServer`, `LMTPServer` and `POP3Server` are the same without any
I/O, one object for each session: bytes in, bytes out. A `Policy` says what they demand, which of the `EXTENSIONS` of
SMTP they offer, and by which `MECHANISMS` they let in. `QUIRKS` has profiles of servers that differ from the standards.
A `FaultProxy` stands before these or any other servers, and lets go wrong what can go wrong on the way to them.
For TLS there are certificates of test authorities whose keys are public: `server_context` and `client_context`.

It is made to be exact, and no server for anybody's mail: it relays nothing, keeps nothing, and limits nobody. Nothing
in mailwire but its tests and its demonstration uses this package, and pytest is not needed for it, only for the
fixtures in `mailwire.testing.pytest_plugin`. `InThread` serves programs that block.
"""

from .channel import Channel
from .fault_proxy import Choice, FaultProxy, ProxiedConnection
from .faults import (
    Alteration,
    Bandwidth,
    BitFlip,
    Coalesced,
    Cut,
    DoubledLine,
    DroppedLine,
    Fault,
    HalfClose,
    Insertion,
    LateEnd,
    Latency,
    Side,
    Slices,
    SwappedLines,
    ZeroWindow,
)
from .in_thread import InThread
from .lmtp_server import LMTPServer
from .maildrop import Account, Envelope, Maildrop, OpenMaildrop, StoredMessage
from .mishaps import Delayed, Doubled, Early, HeldBack, HungUp, Mishap, Replaced, Split, Unanswered
from .policy import MECHANISMS, Policy
from .pop3_server import POP3Server
from .profiles import (
    ARGOSOFT,
    BARE_LF,
    EXCHANGE,
    GMAIL,
    JPOP,
    KM_RU,
    MAILLENNIUM,
    NETEASE,
    NO_CAPA,
    NO_UIDL,
    O2,
    OFFICE365,
    QUIRKS,
    SPLIT_DOT,
    UNSTUFFED,
)
from .quirks import STANDARD, Defect, POP3Quirk, Quirk, SMTPQuirk
from .recording import Recording
from .recording_proxy import RecordingProxy
from .script import (
    ALERT,
    CLIENT_HELLO,
    CLOSE,
    FIN,
    LISTEN,
    MAIL_DATA,
    NO_READING,
    PACKET,
    RST,
    STALL,
    WAIT,
    WITHHOLD,
    Answers,
    Beneath,
    Endless,
    Hear,
    Slow,
    Step,
    Tls,
)
from .script_text import load_script, parse_script
from .scripted_peer import ScriptedPeer
from .scripted_session import ScriptedSession
from .server import MailServer
from .session import Session, TLSState
from .smtp_extensions import EXTENSIONS
from .smtp_server import SMTPServer
from .tls import authority_file, client_context, server_context

__all__ = [
    "ALERT",
    "ARGOSOFT",
    "BARE_LF",
    "CLIENT_HELLO",
    "CLOSE",
    "EXCHANGE",
    "EXTENSIONS",
    "FIN",
    "GMAIL",
    "JPOP",
    "KM_RU",
    "LISTEN",
    "MAILLENNIUM",
    "MAIL_DATA",
    "MECHANISMS",
    "NETEASE",
    "NO_CAPA",
    "NO_READING",
    "NO_UIDL",
    "O2",
    "OFFICE365",
    "PACKET",
    "QUIRKS",
    "RST",
    "SPLIT_DOT",
    "STALL",
    "STANDARD",
    "UNSTUFFED",
    "WAIT",
    "WITHHOLD",
    "Account",
    "Alteration",
    "Answers",
    "Bandwidth",
    "Beneath",
    "BitFlip",
    "Channel",
    "Choice",
    "Coalesced",
    "Cut",
    "Defect",
    "Delayed",
    "Doubled",
    "DoubledLine",
    "DroppedLine",
    "Early",
    "Endless",
    "Envelope",
    "Fault",
    "FaultProxy",
    "HalfClose",
    "Hear",
    "HeldBack",
    "HungUp",
    "InThread",
    "Insertion",
    "LMTPServer",
    "LateEnd",
    "Latency",
    "MailServer",
    "Maildrop",
    "Mishap",
    "OpenMaildrop",
    "POP3Quirk",
    "POP3Server",
    "Policy",
    "ProxiedConnection",
    "Quirk",
    "Recording",
    "RecordingProxy",
    "Replaced",
    "SMTPQuirk",
    "SMTPServer",
    "ScriptedPeer",
    "ScriptedSession",
    "Session",
    "Side",
    "Slices",
    "Slow",
    "Split",
    "Step",
    "StoredMessage",
    "SwappedLines",
    "TLSState",
    "Tls",
    "Unanswered",
    "ZeroWindow",
    "authority_file",
    "client_context",
    "load_script",
    "parse_script",
    "server_context",
]
