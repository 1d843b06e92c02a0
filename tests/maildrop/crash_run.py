"""A run that dies, of SIGKILL, at a step that is chosen beforehand.

Each step is something that the operating system, SQLite or the server is told, or that the server has said. The process
dies before a call is made, or when a line of the dialogue is recorded: then it may have left, and may not have.
"""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from mailwire import Endpoint, Password, Transcript
from mailwire.maildrop import Account, Maildir, Policy, Run, SQLiteLedger, durability
from mailwire.message import RetrievedMessage

__all__ = ["append_to", "run_and_die", "sink_for"]


def run_and_die(step: int, port: int, folder: str, kind: str, steps_file: str) -> None:
    """Do a run and die before the step of this number; a run that has not so many comes to its end.

    The names of the steps go into `steps_file`, if there is one.
    """
    names: list[str] = []

    def take(name: str) -> None:
        names.append(name)
        if len(names) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    _watch_system(take)
    _watch_sqlite(take)
    asyncio.run(_run(port, Path(folder), kind, _Watched(take)))
    if steps_file:
        Path(steps_file).write_text("\n".join(names))


def sink_for(kind: str, folder: Path) -> Any:
    """Return the sink of this kind."""
    return Maildir(folder / "Mail") if kind == "maildir" else append_to(folder / "log")


def append_to(path: Path) -> Callable[[RetrievedMessage], None]:
    """Return a function that appends a message's subject to a file, and knows nothing of what is there."""

    def append(message: RetrievedMessage) -> None:
        with open(path, "ab") as file:
            file.write(message.raw.partition(b"\r\n")[0] + b"\n")
            file.flush()
            os.fsync(file.fileno())

    return append


async def _run(port: int, folder: Path, kind: str, transcript: Transcript) -> None:
    endpoint = Endpoint("127.0.0.1", port, "pop3", "none", auth=Password("b", "secret"), allow_cleartext_auth=True)
    async with SQLiteLedger(folder / "state.db") as ledger:
        account = Account(endpoint, sink_for(kind, folder), policy=Policy(keep="until stored"), name="b")
        report = await Run(account, ledger=ledger, wait=10, transcript=transcript).perform()
    assert report.is_complete, str(report)


class _Watched(Transcript):
    def __init__(self, take: Callable[[str], None]) -> None:
        super().__init__()
        self._take = take

    def record(self, direction: Any, what: Any) -> None:
        self._take(f"{direction}: {str(what).split()[0]}")
        super().record(direction, what)


def _watch_system(take: Callable[[str], None]) -> None:
    for name in ("open", "write", "fsync", "link", "unlink", "mkdir", "close"):
        real = getattr(os, name)

        def call(*args: Any, name: str = name, real: Any = real, **kwargs: Any) -> Any:
            take(name)
            return real(*args, **kwargs)

        setattr(os, name, call)
    vars(durability)["_full_sync"] = os.fsync


def _watch_sqlite(take: Callable[[str], None]) -> None:
    class Watched(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            take(f"sqlite {' '.join(sql.split()[:2])}")
            return super().execute(sql, *parameters)

        def executemany(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            take(f"sqlite {' '.join(sql.split()[:2])} many")
            return super().executemany(sql, *parameters)

    real = sqlite3.connect

    vars(sqlite3)["connect"] = partial(real, factory=Watched)
