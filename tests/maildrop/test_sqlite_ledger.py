"""What a ledger in a file does besides: for processes, crashes and damage."""

import asyncio
import errno
import os
import re
import sqlite3
import subprocess
import sys
import threading
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from mailwire.errors import LedgerBusy, LedgerError, LedgerUnreadable
from mailwire.maildrop import Record, SQLiteLedger, State, sqlite_ledger
from mailwire.maildrop.claims import Claim
from tests.maildrop.records import NOON, record

A = "a@pop.example.org"

# A run of another process: claims the account, writes a record, says so, and goes on as it is told.
RUN = """
import asyncio, sys
from datetime import UTC, datetime
from mailwire.errors import LedgerBusy
from mailwire.maildrop import Record, SQLiteLedger, State

async def run(path, account, uid):
    async with SQLiteLedger(path) as ledger:
        try:
            async with ledger.claim(account, wait=30) as page:
                now = datetime.now(UTC)
                await page.write([Record(uid, State.STORED, now, now)])
                print("held", flush=True)
                sys.stdin.readline()
        except LedgerBusy:
            print("busy", flush=True)

asyncio.run(run(*sys.argv[1:]))
"""


async def start(path: Path, account: str, uid: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN, str(path), account, uid, stdin=PIPE, stdout=PIPE
    )


async def line(process: Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()


async def end(process: Process) -> None:
    await process.communicate(b"go\n")
    assert process.returncode == 0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


async def fill(path: Path, *records: Record) -> None:
    async with SQLiteLedger(path) as ledger, ledger.claim(A) as page:
        await page.write(records)


async def test_a_ledger_outlives_its_object(path: Path) -> None:
    await fill(path, record("1", State.MARKED, size=5))

    async with SQLiteLedger(str(path)) as ledger, ledger.claim(A) as page:
        assert await page.records() == {"1": record("1", State.MARKED, size=5)}


async def test_an_account_goes_on_under_another_name(path: Path) -> None:
    await fill(path, record("1"))
    async with SQLiteLedger(path) as ledger:
        async with ledger.claim("c") as page:
            await page.write([record("2")])
        for account, name in (("nobody", "a"), (A, "b"), ("b", "c")):
            await ledger.rename(account, name)
        found = {}
        for name in ("a", A, "b", "c"):
            async with ledger.claim(name) as page:
                found[name] = list(await page.records())
    assert found == {"a": [], A: [], "b": ["1"], "c": ["2"]}


async def test_an_account_is_not_renamed_while_a_run_is_at_work_on_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_ledger, "_PATIENCE", 0.2)
    async with SQLiteLedger(path) as ledger, ledger.claim(A) as page:
        with pytest.raises(LedgerBusy, match=re.escape(f"another run is at work on {A}")):
            await ledger.rename(A, "b")
        await page.write([record("1")])
        assert list(await page.records()) == ["1"]


async def test_a_run_is_waited_for_before_its_account_is_renamed(path: Path) -> None:
    async with SQLiteLedger(path) as ledger:
        async with ledger.claim(A) as page:
            await page.write([record("1")])
            renaming = asyncio.create_task(ledger.rename(A, "b"))
            for _ in range(50):
                await asyncio.sleep(0)
        await renaming
        async with ledger.claim("b") as page:
            assert list(await page.records()) == ["1"]


async def test_a_closed_ledger_opens_again_and_can_be_closed_twice(path: Path) -> None:
    ledger = SQLiteLedger(path)
    await ledger.aclose()
    for _ in range(2):
        async with ledger.claim(A) as page:
            await page.write([record("1")])
        await ledger.aclose()
        await ledger.aclose()


async def test_who_holds_a_page_goes_on_where_the_ledger_is_closed(path: Path) -> None:
    threads = threading.active_count()
    ledger = SQLiteLedger(path)
    async with ledger.claim(A) as first, ledger.claim("another") as second:
        await ledger.aclose()
        await first.write([record("1")])
        assert await first.records() == {"1": record("1")}
        await second.write([record("2")])
        async with ledger.claim("a third") as third:
            await third.write([record("3")])
            assert threading.active_count() == threads + 2
        await ledger.aclose()
        assert threading.active_count() == threads + 1
        assert set(await second.records()) == {"2"}
    assert threading.active_count() == threads


async def test_whose_run_ends_first_does_not_close_the_ledger_for_another(path: Path) -> None:
    ledger = SQLiteLedger(path)
    is_over = asyncio.Event()

    async def short() -> None:
        async with ledger, ledger.claim(A) as page:
            await page.write([record("1")])
        is_over.set()

    async def long() -> None:
        async with ledger, ledger.claim("another") as page:
            await is_over.wait()
            await page.write([record("2")])

    await asyncio.gather(short(), long())
    async with ledger, ledger.claim("another") as page:
        assert set(await page.records()) == {"2"}


async def test_nothing_is_made_before_the_first_claim_and_no_thread_stays(path: Path) -> None:
    threads = threading.active_count()
    async with SQLiteLedger(path) as ledger:
        assert list(path.parent.iterdir()) == []
        async with ledger.claim(A):
            pass

    assert {file.name for file in path.parent.iterdir()} == {"state.db", "state.db-lock"}
    assert (path.parent / "state.db-lock").read_bytes() == b""
    assert threading.active_count() == threads


async def test_every_write_is_on_the_medium(path: Path) -> None:
    await fill(path)
    ledger = SQLiteLedger(path)
    async with ledger.claim(A):
        database = ledger._database
        assert database is not None
        pragmas = await database.run(
            lambda connection: [
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("synchronous", "fullfsync", "journal_mode")
            ]
        )
    await ledger.aclose()
    assert pragmas == [2, 1, "wal"]


async def test_sizes_that_no_mail_has_are_cut_down(path: Path) -> None:
    await fill(path, record("1", size=10**20))

    async with SQLiteLedger(path) as ledger, ledger.claim(A) as page:
        assert (await page.records())["1"].size == 2**63 - 1


# Processes


async def test_another_process_on_the_account_is_told_or_waits(path: Path) -> None:
    other = await start(path, A, "theirs")
    assert await line(other) == "held"
    async with SQLiteLedger(path) as ledger:
        with pytest.raises(LedgerBusy):
            async with ledger.claim(A):
                pytest.fail("it is held")
        async with ledger.claim("b@pop.example.org") as page:
            await page.write([record("1")])
        await end(other)
        async with ledger.claim(A, wait=30) as page:
            assert list(await page.records()) == ["theirs"]
            waiting = await start(path, A, "later")
            await page.write([record("ours")])
        assert await line(waiting) == "held"
        await end(waiting)
        async with ledger.claim(A) as page:
            assert set(await page.records()) == {"theirs", "ours", "later"}


async def test_a_killed_process_holds_nothing_and_what_it_wrote_is_there(path: Path) -> None:
    other = await start(path, A, "theirs")
    assert await line(other) == "held"
    other.kill()
    await other.communicate()

    async with SQLiteLedger(path) as ledger, ledger.claim(A) as page:
        assert list(await page.records()) == ["theirs"]


async def test_many_processes_can_make_the_ledger_at_once(path: Path) -> None:
    processes = [await start(path, f"{number}@pop", "1") for number in range(6)]
    for process in processes:
        assert await line(process) == "held"
    for process in processes:
        await end(process)

    async with SQLiteLedger(path) as ledger:
        for number in range(6):
            async with ledger.claim(f"{number}@pop") as page:
                assert list(await page.records()) == ["1"]


FORKING = """
import asyncio, os, sys
from mailwire.maildrop import SQLiteLedger
from tests.maildrop.test_sqlite_ledger import record

ledger = SQLiteLedger(sys.argv[1])

async def write(account, uid):
    async with ledger.claim(account) as page:
        await page.write([record(uid)])
        return sorted(await page.records())

async def close():
    await ledger.aclose()

print(asyncio.run(write("a", "of the parent")), flush=True)
child = os.fork()
if child == 0:
    if sys.argv[2] == "writes":
        print(asyncio.run(write("a", "of the child")), flush=True)
    asyncio.run(close())
    sys.exit()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
print(asyncio.run(write("a", "of the parent, behind it")))
asyncio.run(close())
"""


@pytest.mark.parametrize("child", ["writes", "closes"])
def test_a_child_has_the_file_for_itself(path: Path, child: str) -> None:
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING, str(path), child],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    uids = ["of the parent"]
    expected = [str(uids)]
    if child == "writes":
        uids.append("of the child")
        expected.append(str(sorted(uids)))
    uids.append("of the parent, behind it")
    assert told.stdout.splitlines() == [*expected, "0", str(sorted(uids))]


async def test_a_child_that_leaves_the_page_of_its_parent_does_not_close_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = threading.active_count()
    ledger = SQLiteLedger(path)
    parent = os.getpid()
    async with ledger.claim(A) as page:
        monkeypatch.setattr(os, "getpid", lambda: parent + 1)
        await ledger.aclose()
    assert threading.active_count() == threads + 1
    assert await page.records() == {}
    await sqlite_ledger._OF_PARENTS.pop().aclose()


async def test_two_ledgers_of_one_process_share_the_claims(path: Path) -> None:
    async with SQLiteLedger(path) as one, SQLiteLedger(path) as other:
        async with one.claim(A), one.claim("b"), other.claim("c"):
            for account in (A, "b"):
                with pytest.raises(LedgerBusy):
                    async with other.claim(account):
                        pytest.fail("it is held")
        async with other.claim(A):
            pass


async def test_a_ledger_is_the_same_by_whatever_way_it_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, link = path.parent / "real", path.parent / "link.db"
    real.mkdir()
    link.symlink_to(real / "state.db")
    monkeypatch.chdir(real)
    relative = SQLiteLedger("state.db")
    monkeypatch.chdir(path.parent)
    async with relative, SQLiteLedger(link) as linked, SQLiteLedger(real / "state.db") as direct:
        async with relative.claim(A) as page:
            await page.write([record("1")])
            for other in (linked, direct):
                with pytest.raises(LedgerBusy):
                    async with other.claim(A):
                        raise AssertionError("it is not entered")
        async with linked.claim(A) as page:
            assert list(await page.records()) == ["1"]
    assert relative.path == linked.path == direct.path == real / "state.db"
    assert sorted(each.name for each in path.parent.iterdir()) == ["link.db", "real"]


@pytest.mark.parametrize("path", ["", ":memory:"])
def test_a_ledger_in_a_file_needs_one(path: str) -> None:
    told = f"^expected the path of a file, got {path!r}: a ledger in memory is a MemoryLedger$"
    with pytest.raises(ValueError, match=told):
        SQLiteLedger(path)


async def test_a_write_that_is_cancelled_is_over_before_the_claim_is(path: Path) -> None:
    async with SQLiteLedger(path) as ledger:
        for turns in range(8):

            async def write() -> None:
                async with ledger.claim(A) as page:
                    await page.write([record("1", size=turns)])  # noqa: B023

            task = asyncio.create_task(write())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            async with ledger.claim(A):
                pass


# Damage


def damaged(path: Path, how: str) -> bytes:
    """Damage a good ledger, and return its octets after it."""
    connection = sqlite3.connect(path)
    match how:
        case "other":
            path.unlink()
            other = sqlite3.connect(path)
            other.execute("CREATE TABLE music (title)")
            other.close()
        case "application":
            connection.execute("PRAGMA application_id = 7")
        case "version":
            connection.execute("PRAGMA user_version = 2")
        case "state":
            connection.execute("UPDATE records SET state = 'lost'")
        case "time":
            connection.execute("UPDATE records SET since = 'yesterday'")
        case "far":
            connection.execute("UPDATE records SET since = 9223372036854775807")
        case "text":
            connection.execute("UPDATE records SET reason = CAST(x'ff' AS TEXT)")
        case "octets":
            connection.execute("UPDATE records SET uid = CAST(uid AS BLOB) WHERE uid = '7'")
        case "failures":
            connection.execute("UPDATE records SET failures = 'many' WHERE uid = '7'")
        case "reason":
            connection.execute("UPDATE records SET reason = x'00' WHERE uid = '7'")
        case "index":
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute("UPDATE sqlite_master SET rootpage = 2 WHERE name = 'records'")
        case "accounts":
            connection.execute("DROP TABLE accounts")
        case "records":
            connection.execute("DROP TABLE records")
        case "column":
            connection.execute("ALTER TABLE accounts RENAME COLUMN name TO who")
        case "more":
            connection.execute("ALTER TABLE records ADD COLUMN folder TEXT")
    connection.commit()
    connection.close()
    content = path.read_bytes()
    match how:
        case "noise":
            content = os.urandom(len(content))
        case "words":
            content = b"uid,state\n" * 1000
        case "schema":
            content = content.replace(b"since INTEGER NOT NULL", b"since INTEGER NOT \xff\xff\xff\xff")
        case "cut":
            content = content[:5000]
        case "page":
            content = content[:4096] + b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    return content


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("other", "it is a database of some other program's"),
        ("application", "it is a database of some other program's"),
        ("version", "its version is 2, of which this version of mailwire knows nothing"),
        ("state", "it has a record that is none: expected a uid and a state, got '0' and 'lost'"),
        ("time", "it has a record that is none: "),
        ("far", "it has a record that is none: expected times from the year 1 to 9999, got "),
        ("text", "Could not decode to UTF-8 column 'reason' "),
        ("octets", "it has a record that is none: "),
        ("failures", "it has a record that is none: expected failures to be a number, got 'many' (str)"),
        ("reason", "it has a record that is none: expected reason to be a string, got b'\\x00' (bytes)"),
        ("accounts", "expected a table accounts with id, name, got none"),
        ("records", "expected a table records with account, uid, state, "),
        ("column", "expected a table accounts with id, name, got one with id, who"),
        ("more", "expected a table records with account, uid, state, "),
        ("schema", "'utf-8' codec can't decode"),
        ("index", "it is damaged: *** in database main ***"),
        ("noise", "file is not a database"),
        ("words", "file is not a database"),
        ("cut", "database disk image is malformed"),
        ("page", "it is damaged: *** in database main ***"),
    ],
)
async def test_what_cannot_be_read_is_told_and_left_as_it_is(path: Path, how: str, told: str) -> None:
    await fill(path, *(record(str(number)) for number in range(200)))
    content = damaged(path, how)

    async with SQLiteLedger(path) as ledger:
        for _ in range(2):
            with pytest.raises(LedgerUnreadable) as caught:
                async with ledger.claim(A) as page:
                    await page.records()
            assert str(caught.value).startswith(f"the ledger {path} cannot be read: {told}")

    assert path.read_bytes()[100:] == content[100:]  # the header counts who opened the file


@pytest.mark.parametrize("name", ["state.db", "100%, a # of it"])
async def test_what_cannot_be_read_has_nothing_written_to_it_that_a_killed_process_left(path: Path, name: str) -> None:
    path = path.with_name(name)
    wal = path.with_name(f"{name}-wal")
    await fill(path, *(record(str(number)) for number in range(200)))
    other = await start(path, A, "theirs")
    assert await line(other) == "held"
    other.kill()
    await other.communicate()
    content = path.read_bytes()
    path.write_bytes(content[:-8192] + b"\xff" * 8192)
    left = path.read_bytes(), wal.read_bytes()

    async with SQLiteLedger(path) as ledger:
        with pytest.raises(LedgerUnreadable, match="it is damaged"):
            async with ledger.claim(A):
                pytest.fail("it is damaged")
    assert (path.read_bytes(), wal.read_bytes()) == left

    path.write_bytes(content)
    async with SQLiteLedger(path) as ledger, ledger.claim(A) as page:
        assert len(await page.records()) == 201
    assert not wal.exists()


@pytest.mark.parametrize("name", ["\udcff", "b@\ud800"])
async def test_a_name_that_is_no_text_is_the_callers_mistake(path: Path, name: str) -> None:
    await fill(path, record("1"))
    async with SQLiteLedger(path) as ledger:
        with pytest.raises(ValueError, match="surrogates not allowed"):
            async with ledger.claim(name):
                raise AssertionError("it is not entered")
        with pytest.raises(ValueError, match="surrogates not allowed"):
            await ledger.rename(A, name)
        async with ledger.claim(A) as page:
            assert list(await page.records()) == ["1"]


async def error_of_claim(
    ledger: SQLiteLedger, kind: type[LedgerError] = LedgerError, match: str = "^the ledger "
) -> str:
    """Claim a page that is not to be had; return what is told, by such an error. None is of a ledger that cannot be
    read, unless that is said."""
    with pytest.raises(kind, match=match) as caught:
        async with ledger.claim(A):
            pytest.fail("there is none")
    assert isinstance(caught.value, LedgerUnreadable) is (kind is LedgerUnreadable)
    return str(caught.value)


async def test_a_folder_is_no_ledger(path: Path) -> None:
    path.mkdir()

    async with SQLiteLedger(path) as ledger:
        await error_of_claim(ledger, LedgerUnreadable, "cannot be read: unable to open")


async def test_a_ledger_needs_its_folder(path: Path) -> None:
    async with SQLiteLedger(path / "deeper") as ledger:
        await error_of_claim(ledger, match="no folder")


@pytest.mark.parametrize("short", [errno.EMFILE, errno.ENOSPC])
async def test_a_shortage_of_the_machines_does_not_make_a_ledger_unreadable(
    path: Path, monkeypatch: pytest.MonkeyPatch, short: int
) -> None:
    def refuse(path: Path, name: str) -> None:
        raise OSError(short, os.strerror(short))

    async with SQLiteLedger(path) as ledger:
        monkeypatch.setattr("mailwire.maildrop.claims.Claim.attempt", refuse)
        await error_of_claim(ledger, match="cannot be locked")


@pytest.mark.parametrize("forbidden", [errno.EACCES, errno.EPERM, errno.EROFS])
async def test_a_ledger_that_may_not_be_locked_is_not_unreadable(
    path: Path, monkeypatch: pytest.MonkeyPatch, forbidden: int
) -> None:
    def refuse(file: Path, *_: object) -> int:
        raise OSError(forbidden, os.strerror(forbidden), str(file))

    async with SQLiteLedger(path) as ledger:
        monkeypatch.setattr("mailwire.maildrop.claims.os.open", refuse)
        told = await error_of_claim(ledger)
    assert told.startswith(f"the ledger {path} cannot be locked: [Errno {forbidden}] {os.strerror(forbidden)}: ")
    assert "state.db-lock'; let this user, not root alone say, read and write that file and the ledger, or " in told


@pytest.mark.parametrize("name", ["state.db", "state.db-wal", "state.db-shm"])
async def test_a_ledger_that_may_not_be_read_is_not_unreadable(
    path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # SQLite says of both that it is unable to open them. Root may read any file, and tries this by a folder.
    path.mkdir()
    forbidden = path.with_name(name)
    forbidden.touch()
    monkeypatch.setattr("mailwire.maildrop.sqlite_ledger.os.access", lambda file, *_, **__: file != forbidden)
    async with SQLiteLedger(path) as ledger:
        told = await error_of_claim(ledger)
    assert told.startswith(f"the ledger {path} may not be read: {forbidden}: unable to open database file; let this ")


async def test_where_no_file_can_be_opened_a_ledger_is_not_unreadable(path: Path) -> None:
    async with SQLiteLedger(path) as ledger, ledger.claim(A):
        pass
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with SQLiteLedger(path) as ledger:
        # There is room for the file of the locks, and for no other.
        free = os.open(os.devnull, os.O_RDONLY)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
        try:
            await error_of_claim(ledger, match="unable to open database file")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        async with ledger.claim(A) as page:
            assert await page.records() == {}


async def test_a_ledger_that_cannot_be_locked_is_told(path: Path) -> None:
    (path.parent / "state.db-lock").mkdir()

    # Windows says of a folder that it may not be opened.
    kind = LedgerError if os.name == "nt" else LedgerUnreadable
    async with SQLiteLedger(path) as ledger:
        await error_of_claim(ledger, kind, "cannot be locked")


async def test_a_folder_that_cannot_be_synced_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> None:
        raise OSError(errno.EIO, "Input/output error", str(folder))

    async with SQLiteLedger(path) as ledger:
        monkeypatch.setattr("mailwire.maildrop.sqlite_ledger.sync_folder", refuse)
        with pytest.raises(LedgerError) as caught:
            async with ledger.claim(A):
                pytest.fail("it cannot be relied on")
        assert str(caught.value) == f"the folder of the ledger {path} cannot be synced: {caught.value.__cause__}"
        assert not isinstance(caught.value, LedgerUnreadable)


async def test_while_another_opens_the_file_it_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Claim.attempt(path.with_name("state.db-lock"), "opening")
    assert other is not None
    monkeypatch.setattr("mailwire.maildrop.sqlite_ledger._PATIENCE", 0)
    async with SQLiteLedger(path) as ledger:
        with pytest.raises(LedgerBusy, match=re.escape(f"another run is at work on {path}")):
            async with ledger.claim(A):
                pytest.fail("it is being opened")
        other.release()
        async with ledger.claim(A) as page:
            assert await page.records() == {}


async def test_another_process_that_writes_is_waited_for_half_a_minute(path: Path) -> None:
    async with SQLiteLedger(path) as ledger, ledger.claim(A):
        database = ledger._database
        assert database is not None
        milliseconds = await database.run(lambda connection: connection.execute("PRAGMA busy_timeout").fetchone()[0])
    assert milliseconds == 30_000


async def test_the_thread_of_a_ledger_is_called_by_its_file_and_ends_with_the_last_page(path: Path) -> None:
    def threads() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("mailwire ledger")]

    ledger = SQLiteLedger(path)
    async with ledger.claim(A):
        async with ledger.claim("another"):
            assert threads() == ["mailwire ledger state.db_0"]
            await ledger.aclose()
        assert threads() == ["mailwire ledger state.db_0"]
    assert threads() == []


async def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    path.touch()
    await fill(path, record("1"))

    async with SQLiteLedger(path) as ledger, ledger.claim(A) as page:
        assert await page.records() == {"1": record("1")}


async def test_a_write_that_fails_changes_nothing(path: Path) -> None:
    await fill(path, record("1"))
    with sqlite3.connect(path) as other:
        other.execute(
            "CREATE TRIGGER full BEFORE INSERT ON records WHEN NEW.uid = '3' BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
        other.execute(
            "CREATE TRIGGER gone BEFORE INSERT ON records WHEN NEW.uid = '4' BEGIN SELECT RAISE(ROLLBACK, 'out'); END"
        )
    other.close()

    async with SQLiteLedger(path) as ledger, ledger.claim(A) as page:
        for uid, said in (("3", "full"), ("4", "out")):
            with pytest.raises(LedgerError, match=f"cannot be used: {said}"):
                await page.write([record("2"), record(uid)])
        assert await page.records() == {"1": record("1")}
        await page.write([record("2")])
        assert set(await page.records()) == {"1", "2"}


def test_the_epoch_is_that_of_everybody() -> None:
    from mailwire.maildrop.sqlite_ledger import _row

    assert _row(record("1"))[2] == NOON.timestamp() * 1_000_000
