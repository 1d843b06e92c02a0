"""Leaving mail on the server: what was retrieved, what is to be kept, and where it goes.

A `Ledger` knows from one run to the next which messages were seen, stored and deleted: `SQLiteLedger` in a file,
`MemoryLedger` for as long as the program runs.
"""

from .ledger import Ledger, MemoryLedger, Page, Record, State
from .sqlite_ledger import SQLiteLedger

__all__ = ["Ledger", "MemoryLedger", "Page", "Record", "SQLiteLedger", "State"]
