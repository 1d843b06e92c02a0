"""Leaving mail on the server: what was retrieved, what is to be kept, and where it goes.

A `Ledger` knows from one run to the next which messages were seen, stored and deleted: `SQLiteLedger` in a file,
`MemoryLedger` for as long as the program runs. A `Policy` says what is to be fetched and what may be deleted;
`plan_retrieval` and `plan_deletions` make of it, without any I/O, what is done.
"""

from .ledger import Ledger, MemoryLedger, Page, Record, State
from .plan import (
    Caution,
    CautionKind,
    Deletion,
    Fetch,
    Listed,
    Plan,
    Question,
    Skip,
    SkipReason,
    plan_deletions,
    plan_retrieval,
)
from .policy import Keep, Policy
from .sqlite_ledger import SQLiteLedger

__all__ = [
    "Caution",
    "CautionKind",
    "Deletion",
    "Fetch",
    "Keep",
    "Ledger",
    "Listed",
    "MemoryLedger",
    "Page",
    "Plan",
    "Policy",
    "Question",
    "Record",
    "SQLiteLedger",
    "Skip",
    "SkipReason",
    "State",
    "plan_deletions",
    "plan_retrieval",
]
