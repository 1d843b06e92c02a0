"""A worker of the example package in a process of its own, which can be told to die at a certain point of its work.

A point is each write of it to a connection, to Redis and to the mail server alike, before and after it; each reply of
the mail server, before it is read; and the beginning and the end of the task. What taskiq says to Redis in between,
to be given more tasks, is none.
"""

import asyncio
import importlib
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mailwire.aio.stream import Stream

__all__ = ["EXAMPLES", "work"]

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


# What the scripts of the example are known by, and how a command of Redis's protocol is told.
_SCRIPTS = {
    b"'NX', 'PX'": "claim",
    b"'doubt', ARGV[2]": "doubt",
    b"'HDEL', KEYS[1], 'doubt'": "settle",
    b"'DEL', KEYS[2]": "let go",
    b"'ZCARD'": "take slot",
}
_REDIS = re.compile(rb"\*\d+\r\n\$\d+\r\n([A-Z]+)\r\n")
_OF_THE_TASK = {b"EVAL", b"ZREM", b"SET", b"XACK", b"XADD"}
_SMTP = re.compile(rb"[A-Z]{4}(?= |\r\n)")


def _label(data: bytes) -> str | None:
    """Return what is written or read, in a word; None if it is no part of the task."""
    if redis := _REDIS.match(data):
        script = next((name for mark, name in _SCRIPTS.items() if mark in data), "")
        return f"{redis[1].decode()} {script}".strip() if redis[1] in _OF_THE_TASK else None
    smtp = _SMTP.match(data)
    return smtp[0].decode() if smtp else None


class Points:
    """The points that the work comes by, once it has begun: it ends at that of the name `fatal`.

    Their names are written to the file `record`, a line each.
    """

    def __init__(self, fatal: str | None, record: Path | None) -> None:
        self._fatal = fatal
        self._record = record.open("w", encoding="utf-8") if record else None
        self._counts = Counter[str]()
        self.are_counted = False

    def pass_by(self, what: str) -> None:
        if not self.are_counted:
            return
        self._counts[what] += 1
        name = what if self._counts[what] == 1 else f"{what} ({self._counts[what]})"
        if self._record:
            self._record.write(f"{name}\n")
            self._record.flush()
        if name == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)


def work(
    environment: Mapping[str, str],
    fatal: str | None = None,
    record: Path | None = None,
    tasks: int = 1,
    name: str = "send_mail",
) -> None:
    """Work on as many `tasks` of that name, and on whatever else there is meanwhile, and end.

    environment: that of the worker, with the settings of the example.
    fatal: the name of the point at which it dies.
    """
    os.environ.update(environment)
    sys.path.insert(0, str(EXAMPLES))
    asyncio.run(_work(Points(fatal, record), tasks, name))


async def _work(points: Points, tasks: int, name: str) -> None:
    receiver = importlib.import_module("taskiq.receiver")
    api = importlib.import_module("taskiq.api")
    importlib.import_module("taskiq_mail.sending")
    importlib.import_module("taskiq_mail.collecting")
    broker: Any = importlib.import_module("taskiq_mail.broker").broker
    done = asyncio.Event()
    left, active = tasks, 0

    class Counting(receiver.Receiver):  # type: ignore[misc, name-defined]
        async def callback(self, message: Any, raise_err: bool = False) -> None:
            nonlocal left, active
            if f'"{name}"'.encode() not in message.data:
                await super().callback(message, raise_err)
                return
            points.are_counted = True
            active += 1
            points.pass_by("begin")
            await super().callback(message, raise_err)
            points.pass_by("end")
            active -= 1
            points.are_counted = active > 0
            left -= 1
            if left <= 0 and not active:
                done.set()

    _watch(points)
    working = asyncio.create_task(api.run_receiver_task(broker, Counting, run_startup=True))
    await asyncio.wait([working, asyncio.create_task(done.wait())], return_when=asyncio.FIRST_COMPLETED)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await broker.shutdown()


def _watch(points: Points) -> None:
    # The client of Redis uses asyncio's streams, and mailwire its own.
    writelines, write, buffer_updated = asyncio.StreamWriter.writelines, Stream.write, Stream.buffer_updated

    def to_redis(self: asyncio.StreamWriter, data: Iterable[Any]) -> None:
        pieces = list(data)
        label = _label(b"".join(pieces))
        if label:
            points.pass_by(f"before {label}")
        writelines(self, pieces)
        if label:
            points.pass_by(f"after {label}")

    def to_mail_server(self: Stream, blocks: list[bytes]) -> None:
        octets = b"".join(blocks)
        label = "the dot" if octets in (b".\r\n", b"\r\n.\r\n") else _label(octets) or "message"
        points.pass_by(f"before {label}")
        write(self, blocks)
        points.pass_by(f"after {label}")

    def from_mail_server(self: Stream, nbytes: int) -> None:
        points.pass_by("before a reply")
        buffer_updated(self, nbytes)

    asyncio.StreamWriter.writelines = to_redis  # type: ignore[method-assign]
    Stream.write = to_mail_server  # type: ignore[method-assign]
    Stream.buffer_updated = from_mail_server  # type: ignore[method-assign]
