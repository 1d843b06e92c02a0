"""Each call of the file system and of SQLite fails, at every place of a run: the run says so or ends in an error of
ours, nothing is lost or left open, and the next run comes to its end.
"""

import asyncio
import gc
import mailbox
import os
import sqlite3
import sys
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mailwire import MailwireError
from mailwire.maildrop import Account, Maildir, MboxSink, Policy, Run, Sink, SQLiteLedger, durability
from mailwire.testing import MailServer
from tests.faults.remains import open_files
from tests.maildrop.runs import USER, body, endpoint_at, fill
from tests.told import assert_page_says

TEXTS = ("one", "two")
SYSTEM_CALLS = ("open", "write", "fsync", "link", "unlink", "mkdir", "rename", "ftruncate", "lseek", "scandir", "close")
SINKS: dict[str, Callable[[Path], Sink]] = {
    "maildir": lambda folder: Maildir(folder / "Mail"),
    "mbox": lambda folder: MboxSink(folder / "mbox"),
}


class Calls:
    """Counts the calls and lets one fail."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.names: list[str] = []
        self.has_failed = False

    def take(self, name: str, kind: type[Exception] = OSError) -> None:
        self.names.append(name)
        if len(self.names) == self.number:
            self.has_failed = True
            error = kind(5, f"{name} fails")
            if isinstance(error, sqlite3.Error):
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error


@contextmanager
def failing(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def made(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*arguments: Any, **settings: Any) -> Any:
            if name == "close":
                real(*arguments)  # a descriptor is gone, whatever the system says to it
                calls.take(name)
                return None
            calls.take(name)
            return real(*arguments, **settings)

        return call

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            # One that is not rolled back is no fault of the disk's, but SQLite's own.
            if not sql.startswith("ROLLBACK"):
                calls.take("execute", sqlite3.OperationalError)
            return super().execute(sql, *parameters)

        def executemany(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            calls.take("executemany", sqlite3.OperationalError)
            return super().executemany(sql, *parameters)

    class Spool:
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            calls.take("spool")
            self._file = real_spool(*arguments, **settings)

        def __getattr__(self, name: str) -> Any:
            calls.take(f"spool.{name}")
            return getattr(self._file, name)

        def __enter__(self) -> "Spool":
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

    real_spool = tempfile.TemporaryFile
    with monkeypatch.context() as patch:
        for name in SYSTEM_CALLS:
            patch.setattr(os, name, made(name))
        patch.setattr(durability, "_full_sync", os.fsync)
        patch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Connection))
        patch.setattr(tempfile, "TemporaryFile", Spool)
        yield


async def run_once(server: MailServer, folder: Path, kind: str) -> bool:
    account = Account(endpoint_at(server), SINKS[kind](folder), policy=Policy(keep="until stored"), name="b")
    async with SQLiteLedger(folder / "state.db") as ledger:
        report = await Run(account, ledger=ledger).perform()
    await server.wait_idle()
    str(report)
    return report.is_complete


def stored(folder: Path, kind: str) -> Counter[bytes]:
    expected = {body(text) for text in TEXTS}
    if kind == "maildir":
        mails = [file.read_bytes() for file in (folder / "Mail").glob("[nc]*/*")]
    else:
        with_names = mailbox.mbox(folder / "mbox", create=False) if (folder / "mbox").exists() else ()
        mails = [message.as_bytes().replace(b"\n", b"\r\n") for message in with_names]
        if isinstance(with_names, mailbox.mbox):
            with_names.close()
    assert set(mails) <= expected, "a mail that is not whole"
    return Counter(mails)


async def fail(folder: Path, kind: str, number: int, monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls(number)
    async with MailServer([USER]) as server:
        fill(server, *TEXTS)
        is_complete = False
        try:
            with failing(calls, monkeypatch):
                is_complete = await run_once(server, folder, kind)
        except MailwireError:
            assert calls.has_failed
        while True:
            on_server = {message.content for message in server.messages(USER.user)}
            mails = stored(folder, kind)
            assert {*mails} | on_server == {body(text) for text in TEXTS}, "a mail is lost"
            if is_complete:
                break
            assert await run_once(server, folder, kind)
            is_complete = True
        assert sum(mails.values()) - len(TEXTS) <= (0 if kind == "maildir" else 1)
    return calls


class Laboratory:
    """Runs over folders of their own, in each of which another call fails."""

    def __init__(self, kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kind = kind
        self.folder = folder
        self.monkeypatch = monkeypatch

    def fail(self, number: int) -> Calls:
        folder = self.folder / str(number)
        folder.mkdir()
        threads, files = threading.active_count(), open_files()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with asyncio.Runner() as runner:
                calls = runner.run(fail(folder, self.kind, number, self.monkeypatch))
            gc.collect()
        assert (threading.active_count(), open_files()) == (threads, files), f"left behind after {calls.names}"
        return calls


@pytest.mark.parametrize("kind", SINKS)
def test_a_call_that_fails_loses_nothing(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    laboratory = Laboratory(kind, tmp_path, monkeypatch)
    names = laboratory.fail(0).names
    assert {"open", "write", "fsync", "execute", "executemany", "close"} <= {*names}
    # Of each call the first and the last.
    numbers: set[int] = set()
    for name in {*names}:
        places = [number for number, other in enumerate(names, 1) if other == name]
        numbers |= {places[0], places[-1]}
    for number in sorted(numbers):
        assert laboratory.fail(number).has_failed


def test_as_many_calls_may_fail_as_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the page counts the calls of Python 3.11")
    calls = {}
    for kind in SINKS:
        folder = tmp_path / kind
        folder.mkdir()
        calls[kind] = len(Laboratory(kind, folder, monkeypatch).fail(0).names)
    assert_page_says("{} into a Maildir and {} into an mbox", calls["maildir"], calls["mbox"])


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", SINKS)
def test_any_call_that_fails_loses_nothing(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    laboratory = Laboratory(kind, tmp_path, monkeypatch)
    number = 1
    while laboratory.fail(number).has_failed:
        number += 1
        assert number < 500
    # Each of them has failed.
    assert number == len(laboratory.fail(0).names) + 1
