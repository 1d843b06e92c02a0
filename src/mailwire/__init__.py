"""mailwire sends mail by SMTP and retrieves it by POP3, for asyncio, with nothing but the standard library.

::

    import mailwire

    message = mailwire.compose(sender="a@example.org", to="b@example.org", subject="Hello", text="Hello world")
    receipt = await mailwire.send(message, "smtps://a:secret@smtp.example.org")

    messages = await mailwire.retrieve("pop3s://b:secret@pop.example.org")

For more than one mail at a time there are `SMTPClient`, `SMTPPool` and `POP3Client`. The protocols themselves, without
I/O, are in `mailwire.smtp` and `mailwire.pop3`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .aio.batch import Batch
    from .aio.bulk_sending import BulkSending
    from .aio.consignment import Order, SendResult
    from .aio.deletion import CommitReport, DeletionReport
    from .aio.lmtp import LMTPClient
    from .aio.mailing import Mailing, OnRefused, Progress
    from .aio.pool import PoolStatistics, SMTPPool
    from .aio.pool_sending import PoolSending
    from .aio.pop3 import POP3Client
    from .aio.pop3_dialogue import Budget
    from .aio.pop3_settings import POP3Settings
    from .aio.retrieval import Retrieval
    from .aio.retrieval_progress import RetrievalProgress
    from .aio.retrieved_item import RetrievedItem
    from .aio.smtp import SMTPClient
    from .aio.tls import TLSInfo
    from .endpoint import Chunking, Endpoint, Timeouts
    from .error_record import error_from_dict, error_to_dict
    from .errors import (
        AmbiguousMessage,
        AuthenticationFailed,
        BudgetExceeded,
        CommandRefused,
        ConnectionFailed,
        ConnectionLost,
        DataRefused,
        DeadlineExceeded,
        Desynchronised,
        InjectedData,
        InvalidMessage,
        LedgerBusy,
        LedgerError,
        LedgerUnreadable,
        LimitExceeded,
        LocalProtocolError,
        MaildropLocked,
        MaildropRenumbered,
        MailwireError,
        MessageEmpty,
        MessageTruncated,
        MessageUnreadable,
        NotSupported,
        ProtocolError,
        RecipientsRefused,
        RemoteProtocolError,
        ReplyError,
        ResponseError,
        RetrievalIncomplete,
        SecurityError,
        SenderRefused,
        ServerUnproven,
        ServiceNotAvailable,
        SinkFailed,
        SourceFailed,
        TLSFailed,
        UnknownMessage,
    )
    from .maildrop import Maildir, MboxSink, RetrievalReport, SQLiteLedger
    from .message import Attachment, MessagePolicy, MessageSource, RetrievedMessage
    from .message.compose import compose
    from .one_call.retrieving import retrieve
    from .one_call.sending import send
    from .pop3.findings import Finding, FindingKind
    from .pop3.survey import Entry, Listing
    from .sasl.choice import Preferences
    from .sasl.credentials import Password
    from .sasl.identities import Anonymous, External, OAuthToken
    from .smtp.delivery import Delivery
    from .smtp.options import DeliverBy, MailOptions, OriginalRecipient, RecipientOptions, ValidSince
    from .smtp.receipt import Receipt, RecipientReceipt
    from .transcript import Transcript

__all__ = [
    "AmbiguousMessage",
    "Anonymous",
    "Attachment",
    "AuthenticationFailed",
    "Batch",
    "Budget",
    "BudgetExceeded",
    "BulkSending",
    "Chunking",
    "CommandRefused",
    "CommitReport",
    "ConnectionFailed",
    "ConnectionLost",
    "DataRefused",
    "DeadlineExceeded",
    "DeletionReport",
    "DeliverBy",
    "Delivery",
    "Desynchronised",
    "Endpoint",
    "Entry",
    "External",
    "Finding",
    "FindingKind",
    "InjectedData",
    "InvalidMessage",
    "LMTPClient",
    "LedgerBusy",
    "LedgerError",
    "LedgerUnreadable",
    "LimitExceeded",
    "Listing",
    "LocalProtocolError",
    "MailOptions",
    "Maildir",
    "MaildropLocked",
    "MaildropRenumbered",
    "Mailing",
    "MailwireError",
    "MboxSink",
    "MessageEmpty",
    "MessagePolicy",
    "MessageSource",
    "MessageTruncated",
    "MessageUnreadable",
    "NotSupported",
    "OAuthToken",
    "OnRefused",
    "Order",
    "OriginalRecipient",
    "POP3Client",
    "POP3Settings",
    "Password",
    "PoolSending",
    "PoolStatistics",
    "Preferences",
    "Progress",
    "ProtocolError",
    "Receipt",
    "RecipientOptions",
    "RecipientReceipt",
    "RecipientsRefused",
    "RemoteProtocolError",
    "ReplyError",
    "ResponseError",
    "Retrieval",
    "RetrievalIncomplete",
    "RetrievalProgress",
    "RetrievalReport",
    "RetrievedItem",
    "RetrievedMessage",
    "SMTPClient",
    "SMTPPool",
    "SQLiteLedger",
    "SecurityError",
    "SendResult",
    "SenderRefused",
    "ServerUnproven",
    "ServiceNotAvailable",
    "SinkFailed",
    "SourceFailed",
    "TLSFailed",
    "TLSInfo",
    "Timeouts",
    "Transcript",
    "UnknownMessage",
    "ValidSince",
    "compose",
    "error_from_dict",
    "error_to_dict",
    "retrieve",
    "send",
]

__version__ = "0.1.0"

# Nothing is imported before it is asked for (PEP 562): who imports `mailwire.smtp` for its machine does not get asyncio
# along with it, and who sends does not get SQLite. What type checkers are told above, programs are told here: where a
# name was made. What is not in the table is an error (`errors`).
_MADE_IN: Final = {
    name: module
    for module, names in {
        "aio.batch": ("Batch",),
        "aio.bulk_sending": ("BulkSending",),
        "aio.consignment": ("Order", "SendResult"),
        "aio.deletion": ("CommitReport", "DeletionReport"),
        "aio.lmtp": ("LMTPClient",),
        "aio.mailing": ("Mailing", "OnRefused", "Progress"),
        "aio.pool": ("PoolStatistics", "SMTPPool"),
        "aio.pool_sending": ("PoolSending",),
        "aio.pop3": ("POP3Client",),
        "aio.pop3_dialogue": ("Budget",),
        "aio.pop3_settings": ("POP3Settings",),
        "aio.retrieval": ("Retrieval",),
        "aio.retrieval_progress": ("RetrievalProgress",),
        "aio.retrieved_item": ("RetrievedItem",),
        "aio.smtp": ("SMTPClient",),
        "aio.tls": ("TLSInfo",),
        "endpoint": ("Chunking", "Endpoint", "Timeouts"),
        "error_record": ("error_from_dict", "error_to_dict"),
        "maildrop": ("Maildir", "MboxSink", "RetrievalReport", "SQLiteLedger"),
        "message": ("Attachment", "MessagePolicy", "MessageSource", "RetrievedMessage"),
        "message.compose": ("compose",),
        "pop3.findings": ("Finding", "FindingKind"),
        "pop3.survey": ("Entry", "Listing"),
        "sasl.choice": ("Preferences",),
        "sasl.credentials": ("Password",),
        "sasl.identities": ("Anonymous", "External", "OAuthToken"),
        "smtp.delivery": ("Delivery",),
        "smtp.options": ("DeliverBy", "MailOptions", "OriginalRecipient", "RecipientOptions", "ValidSince"),
        "smtp.receipt": ("Receipt", "RecipientReceipt"),
        "transcript": ("Transcript",),
        "one_call.retrieving": ("retrieve",),
        "one_call.sending": ("send",),
    }.items()
    for name in names
}
_PACKAGES: Final = ("aio", "endpoint", "errors", "maildrop", "message", "pop3", "sasl", "smtp", "transcript")


def __getattr__(name: str) -> object:
    if name in _PACKAGES:
        return import_module(f"{__name__}.{name}")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_MADE_IN.get(name, 'errors')}"), name)
    globals()[name] = value  # it is found without asking here the next time
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES})
