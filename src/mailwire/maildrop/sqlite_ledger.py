"""SQLiteLedger: a ledger in a file, for any number of accounts, processes and crashes.

SQLite is used from one thread of its own, and the event loop waits for nothing. A write returns when it is on the
medium (`synchronous=FULL`). Besides the file at `path` there are SQLite's own `-wal` and `-shm`, and `-lock`, an empty
file in which the runs claim their accounts.
"""

import os
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from errno import EACCES, EDQUOT, EMFILE, ENFILE, ENOLCK, ENOMEM, ENOSPC, EPERM, EROFS
from pathlib import Path
from typing import Final, Self, TypeVar

from ..errors import LedgerError, LedgerUnreadable
from .claims import Claim
from .durability import sync_folder
from .ledger import Page, Record, wait_for_claim
from .loop_lock import LoopLock
from .record_columns import RecordColumns, to_microseconds
from .threads import in_thread

__all__ = ["SQLiteLedger"]

T = TypeVar("T")

# "mwld" in the header of the file, by which it is known for a ledger of ours, and the version of the tables in it.
_APPLICATION: Final = 0x6D776C64
_VERSION: Final = 1

_TABLES: Final = (
    "CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    # The times are in microseconds since 1970, UTC.
    """CREATE TABLE records (
        account INTEGER NOT NULL REFERENCES accounts (id),
        uid TEXT NOT NULL,
        state TEXT NOT NULL,
        first_seen INTEGER NOT NULL,
        since INTEGER NOT NULL,
        size INTEGER NOT NULL,
        failures INTEGER NOT NULL,
        reason TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        PRIMARY KEY (account, uid)
    ) WITHOUT ROWID""",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_VERSION}",
)

# What is in them: a file where it is otherwise is none that we have made, or was changed since.
_COLUMNS: Final = {
    "accounts": ["id", "name"],
    "records": ["account", "uid", "state", "first_seen", "since", "size", "failures", "reason", "fingerprint"],
}

_GREATEST_INTEGER: Final = 2**63 - 1

# How long one process waits for another that opens the file or writes to it: either is short.
_PATIENCE: Final = 30.0  # seconds

# The codes of SQLite by which the file is at fault, and not the moment.
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN})

# What the machine is short of at the moment: another time the same file may well be opened.
_SHORTAGES: Final = frozenset({EMFILE, ENFILE, ENOMEM, ENOSPC, EDQUOT, ENOLCK})

# That somebody else may open a file, and we may not, says nothing against what stands there.
_FORBIDDEN: Final = frozenset({EACCES, EPERM, EROFS})
_REMEDY: Final = "let this user, not root alone say, read and write that file and the ledger, or use another ledger"


class SQLiteLedger:
    """A ledger in the SQLite file at `path`, made if there is none; its folder must be there.

    ::

        async with SQLiteLedger("state.db") as ledger:
            report = await mailwire.retrieve(endpoint, into=sink, ledger=ledger)

    The first claim opens the file; `aclose`, or leaving `async with`, closes it, where runs are at work behind the last
    of them. A child that was forked opens it for itself. It is for local disks: the locks on a network's disks,
    SQLite's and ours, hold for some and for others not.

    path: as an attribute, where the file is in truth, from the root and behind all links.

    Raises ValueError for no path at all, and for SQLite's ":memory:".
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if os.fspath(path) in ("", ":memory:"):
            raise ValueError(f"expected the path of a file, got {path!r}: a ledger in memory is a MemoryLedger")
        # By whatever way a file is named, there is one lock file beside it, also when the process goes elsewhere.
        self.path: Path = Path(os.path.realpath(path))
        self._lock_file = self.path.with_name(f"{self.path.name}-lock")
        self._database: _Database | None = None
        self._opening = LoopLock()

    @asynccontextmanager
    async def claim(self, account: str, *, wait: float | None = 0) -> AsyncGenerator[Page, None]:
        """Hold the page of `account`; see `Ledger.claim`. Raises LedgerBusy, LedgerUnreadable, LedgerError; ValueError
        for a name that UTF-8 cannot express."""
        async with self._holding(f"account {account}", account, wait), self._opened() as database:
            yield _SQLitePage(database, await database.run(lambda connection: _enter(connection, account)))

    async def rename(self, account: str, name: str) -> None:
        """Have what is known of `account` under `name` from now on, unless something is known under that already.

        Raises LedgerBusy where a run is at work on `account`, and goes on for half a minute; LedgerUnreadable,
        LedgerError; ValueError for a name that UTF-8 cannot express.
        """
        async with self._holding(f"account {account}", account, _PATIENCE), self._opened() as database:
            await database.run(lambda connection: _rename(connection, account, name))

    async def aclose(self) -> None:
        """Close the file and end the thread. Who holds a page goes on with it, and the last of them closes the file.

        A later claim opens it again.
        """
        async with self._opening.held():
            self._leave_to_parent()
            database, self._database = self._database, None
            if database is not None and not database.users:
                await database.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @asynccontextmanager
    async def _opened(self) -> AsyncGenerator["_Database", None]:
        async with self._opening.held():
            self._leave_to_parent()
            if self._database is None:
                # One process at a time: where the journal's mode is being changed, SQLite does not wait.
                async with self._holding("opening", str(self.path), _PATIENCE):
                    self._database = await _Database.open(self.path)
            database = self._database
            database.users += 1
        try:
            yield database
        finally:
            database.users -= 1
            if database is not self._database and not database.users and database.process == os.getpid():
                await database.aclose()

    def _leave_to_parent(self) -> None:
        if self._database is not None and self._database.process != os.getpid():
            _OF_PARENTS.append(self._database)
            self._database = None

    @asynccontextmanager
    async def _holding(self, name: str, account: str, wait: float | None) -> AsyncGenerator[None, None]:
        claim = await wait_for_claim(lambda: self._attempt(name), account, wait)
        try:
            yield
        finally:
            claim.release()

    def _attempt(self, name: str) -> Claim | None:
        try:
            return Claim.attempt(self._lock_file, name)
        except FileNotFoundError as error:
            raise LedgerError(f"there is no folder for the ledger {self.path}") from error
        except OSError as error:
            if error.errno in _FORBIDDEN:
                raise LedgerError(f"the ledger {self.path} cannot be locked: {error}; {_REMEDY}") from error
            kind = LedgerError if error.errno in _SHORTAGES else LedgerUnreadable
            raise kind(f"the ledger {self.path} cannot be locked: {error}") from error


# What a child has of its parent's files. It has not the thread, nor the locks, and must not so much as close them
# (https://www.sqlite.org/howtocorrupt.html, 2.6).
_OF_PARENTS: Final[list["_Database"]] = []


class _Database:
    # The open file, and the thread that alone may use it.

    def __init__(self, path: Path) -> None:
        self.process = os.getpid()
        self.users: int = 0  # who hold a page
        self._path = path
        self._thread = ThreadPoolExecutor(1, f"mailwire ledger {path.name}")
        self._connection: sqlite3.Connection | None = None

    @classmethod
    async def open(cls, path: Path) -> Self:
        database = cls(path)
        try:
            await database._in_thread(database._open)
        except BaseException:
            await database.aclose()
            raise
        return database

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return await self._in_thread(lambda: self._call(function))

    async def aclose(self) -> None:
        try:
            if self._connection is not None:
                await self._in_thread(self._connection.close)
        finally:
            self._thread.shutdown()

    async def _in_thread(self, function: Callable[[], T]) -> T:
        try:
            return await in_thread(self._thread, function)
        except OSError as error:  # that there is no thread: others are not let out of it
            raise LedgerError(f"the ledger {self._path} cannot be used: {error}") from error

    # In the thread

    def _open(self) -> None:
        with self._translating():
            if _is_filled(self._path.with_name(f"{self._path.name}-wal")):
                # A connection that may write to the file writes what is there into it, at the latest as it closes, be
                # it damaged or not: first one looks that may not.
                with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", timeout=_PATIENCE, uri=True)) as looking:
                    _check(looking)
            self._connection = sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None)
            _prepare(self._connection)
            sync_folder(self._path.parent)

    def _call(self, function: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            raise AssertionError("it is opened first")
        with self._translating():
            return function(self._connection)

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except (_Unreadable, UnicodeDecodeError) as error:  # the latter, where SQLite names what is no text
            raise LedgerUnreadable(f"the ledger {self._path} cannot be read: {error}") from error
        except sqlite3.Error as error:
            # What has no code of SQLite's is Python's complaint of what it has read: text that is none in UTF-8.
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
            if code & 0xFF == sqlite3.SQLITE_CANTOPEN and (file := _find_forbidden(self._path)) is not None:
                raise LedgerError(f"the ledger {self._path} may not be read: {file}: {error}; {_REMEDY}") from error
            if code & 0xFF in _DAMAGE and not _is_short_of_files():  # the other bits say more than that
                raise LedgerUnreadable(f"the ledger {self._path} cannot be read: {error}") from error
            raise LedgerError(f"the ledger {self._path} cannot be used: {error}") from error
        except OSError as error:
            raise LedgerError(f"the folder of the ledger {self._path} cannot be synced: {error}") from error


def _find_forbidden(path: Path) -> Path | None:
    # Which of its files may not be read. None is opened: to close it would end the locks that others of this process
    # hold by SQLite (https://www.sqlite.org/howtocorrupt.html, 2.2).
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if file.exists() and not os.access(file, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
            return file
    return None


def _is_short_of_files() -> bool:
    # By SQLite's code, no file can be opened and this one cannot are the same.
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return True
    return False


class _Unreadable(Exception):
    # What stands in the file is no ledger of ours.
    pass


class _SQLitePage:
    def __init__(self, database: _Database, account: int) -> None:
        self._database = database
        self._account = account

    async def records(self) -> Mapping[str, Record]:
        return await self._database.run(lambda connection: _read(connection, self._account))

    async def write(self, records: Iterable[Record]) -> None:
        written = tuple(records)
        # The rows are made in the thread, for there may be a million, and before others are kept from the file.
        await self._database.run(
            lambda connection: _write(connection, [(self._account, *_row(record)) for record in written])
        )

    async def forget(self, uids: Iterable[str]) -> None:
        rows = [(self._account, uid) for uid in uids]
        await self._database.run(lambda connection: _forget(connection, rows))


def _is_filled(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS syncs no further than the drive's cache without it
    if _check(connection):
        with _transaction(connection):
            for statement in _TABLES:
                connection.execute(statement)
    connection.execute("PRAGMA journal_mode = WAL")  # where there can be none, the older journal is as safe


def _check(connection: sqlite3.Connection) -> bool:
    # Returns whether there is nothing in it.
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if (application, version, is_empty) == (0, 0, True):
        return True
    if application != _APPLICATION:
        raise _Unreadable("it is a database of some other program's")
    if version != _VERSION:
        raise _Unreadable(f"its version is {version}, of which this version of mailwire knows nothing")
    if (damage := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise _Unreadable(f"it is damaged: {damage}")
    for table, columns in _COLUMNS.items():
        found = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        if found != columns:
            got = f"one with {', '.join(found)}" if found else "none"
            raise _Unreadable(f"expected a table {table} with {', '.join(columns)}, got {got}")
    return False


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors have rolled it back already
            connection.execute("ROLLBACK")
        raise


def _enter(connection: sqlite3.Connection, account: str) -> int:
    while (row := connection.execute("SELECT id FROM accounts WHERE name = ?", (account,)).fetchone()) is None:
        connection.execute("INSERT INTO accounts (name) VALUES (?)", (account,))
    return int(row[0])


def _rename(connection: sqlite3.Connection, account: str, name: str) -> None:
    connection.execute("UPDATE OR IGNORE accounts SET name = ? WHERE name = ?", (name, account))


def _read(connection: sqlite3.Connection, account: int) -> Mapping[str, Record]:
    rows = connection.execute(
        "SELECT uid, state, first_seen, since, size, failures, reason, fingerprint FROM records WHERE account = ?",
        (account,),
    )
    records = RecordColumns()
    try:
        for row in rows:
            records.add(*row)
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        raise _Unreadable(f"it has a record that is none: {error}") from error
    records.ready()
    return records


def _write(connection: sqlite3.Connection, rows: Iterable[tuple[object, ...]]) -> None:
    with _transaction(connection):
        connection.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _forget(connection: sqlite3.Connection, rows: list[tuple[int, str]]) -> None:
    with _transaction(connection):
        connection.executemany("DELETE FROM records WHERE account = ? AND uid = ?", rows)


def _row(record: Record) -> tuple[object, ...]:
    return (
        record.uid,
        record.state.value,
        to_microseconds(record.first_seen),
        to_microseconds(record.since),
        min(record.size, _GREATEST_INTEGER),  # sizes are what a server says
        record.failures,
        record.reason,
        record.fingerprint,
    )
