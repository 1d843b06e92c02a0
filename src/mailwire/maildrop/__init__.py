"""Leaving mail on the server: what was retrieved, what is to be kept, and where it goes.

A `Ledger` knows from one run to the next which messages were seen, stored and deleted: `SQLiteLedger` in a file,
`MemoryLedger` for as long as the program runs. A `Policy` says what is to be fetched and what may be deleted;
`plan_retrieval` and `plan_deletions` make of it, without any I/O, what is done. A `Sink` stores what is fetched:
`Maildir`, `MboxSink`, a function, or one of your own.

A `Run` is one run over the maildrop of an `Account`, and `RetrievalReport` what it has done. `retrieve_all` does a run
over each of many accounts, `watch` does one after the other, and `probe` only asks whether there is anything new.
"""

from .account import Account, name_account
from .deletion_plan import Deletion, plan_deletions
from .front import retrieve_into
from .ledger import Ledger, MemoryLedger, Page, Record, State
from .line_feeds import LineEnds
from .mail import Mail
from .maildir import Maildir
from .mbox import MboxSink
from .message_report import Deleted, MessageReport, Outcome
from .naming import Listed
from .plan import Caution, CautionKind, Fetch, Plan, Question, SkipReason
from .planning import plan_retrieval
from .policy import Keep, Policy
from .probe import Probe, probe
from .report import RetrievalReport
from .rounds import retrieve_all
from .run import Run
from .sink import CallableSink, Destination, GroupSink, Receiver, Sink
from .sqlite_ledger import SQLiteLedger
from .watch import watch

__all__ = [
    "Account",
    "CallableSink",
    "Caution",
    "CautionKind",
    "Deleted",
    "Deletion",
    "Destination",
    "Fetch",
    "GroupSink",
    "Keep",
    "Ledger",
    "LineEnds",
    "Listed",
    "Mail",
    "Maildir",
    "MboxSink",
    "MemoryLedger",
    "MessageReport",
    "Outcome",
    "Page",
    "Plan",
    "Policy",
    "Probe",
    "Question",
    "Receiver",
    "Record",
    "RetrievalReport",
    "Run",
    "SQLiteLedger",
    "Sink",
    "SkipReason",
    "State",
    "name_account",
    "plan_deletions",
    "plan_retrieval",
    "probe",
    "retrieve_all",
    "retrieve_into",
    "watch",
]
