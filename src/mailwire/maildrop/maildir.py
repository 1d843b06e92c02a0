"""Maildir: a folder in which each message is a file (https://cr.yp.to/proto/maildir.html).

1. A message is written in `tmp`, synced, linked into `new`, and `new` is synced. A crash leaves all of it or nothing.
2. The name of a file ends in the key of its message, which is made of account and unique id and holds no octet of
   either. A message that comes again is not stored again, though it be read, flagged, or in `cur` by then, or another
   process have stored it; unless that was while we stored others here, or within a tick of the file system's clock:
   that is not seen, and the message is there twice.
3. Another message under the same key, of a server that has used a unique id twice, is stored beside the first.
4. What a file is named never holds a colon, which Windows does not allow: it is only in `cur` that names have flags
   behind one, and we move nothing there. (Python's `mailbox.Maildir` can be told of another sign; all are understood.)
   Windows syncs no folders, and has NTFS's journal instead.
"""

import asyncio
import hashlib
import os
import re
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from errno import EMLINK, ENOSYS, ENOTSUP, EOPNOTSUPP, EPERM
from itertools import count
from os import PathLike
from pathlib import Path
from secrets import token_hex
from typing import Final

from .durability import make_folder, rooted, sync_file, sync_folder, write_all
from .line_feeds import LineEnds, LineFeeds
from .loop_lock import LoopLock
from .mail import Mail
from .threads import in_thread

__all__ = ["Maildir"]

# What is written at a time, in octets. Most mail is smaller, and takes one turn in a thread.
_PIECE: Final = 256 * 1024

# What has been in tmp for 36 hours, says the specification, is nobody's any more.
_ABANDONED: Final = 36 * 60 * 60  # seconds

# How long no mail has come when none is under way any more, as far as can be told from here.
_IDLE: Final = 60.0  # seconds

# The names that we give: time, process and order, and chance, for there may be others elsewhere that have the same; the
# key; and the digest, where the key is taken by another message. There may be some without the chance.
_NAME: Final = re.compile(
    r"[0-9]+\.P[0-9]+Q[0-9]+(?:R[0-9a-f]+)?K([0-9a-f]{32})(?:-[0-9a-f]{16})?\.mailwire(?![0-9A-Za-z])"
)
_KEY_LENGTH: Final = 32

# How file systems say that they have no links.
_NO_LINKS: Final = frozenset({EPERM, ENOTSUP, EOPNOTSUPP, ENOSYS, EMLINK})

_serial: Final = count(1)


class Maildir:
    """A sink that stores messages in the Maildir at `path`, which is made if there is none.

    path: as an attribute, from the root: it stays the same wherever the process goes.
    line_ends: "crlf" stores messages octet for octet, "lf" with the line ends that local mail has on Unix.

    Messages are readable for their owner alone. One object can serve many accounts and runs at once. Of each message
    that is in the Maildir, it keeps some hundred octets in memory; and some hundreds more from when messages come again
    that are there, until a minute has gone by in which none has come, if the event loop goes on for as long.

    Raises ValueError for no path at all, and for line ends of another name.
    """

    def __init__(self, path: str | PathLike[str], *, line_ends: LineEnds = "crlf") -> None:
        if line_ends not in ("crlf", "lf"):
            raise ValueError(f"expected 'crlf' or 'lf' as line_ends, got {line_ends!r}")
        self.path: Path = rooted(path)
        self._line_ends = line_ends
        self._written: dict[Mail, _Written] = {}
        # The hashes of the keys in new and cur, of which there may be a million. Two keys may have the same: whether a
        # message is there, its name tells.
        self._marks: dict[str, set[int]] = {}
        self._looked_at: dict[str, tuple[int, int]] = {}  # new and cur, as they were then
        self._files: defaultdict[str, list[str]] | None = None  # in both, by their keys, once mail comes again
        self._forgetting: asyncio.TimerHandle | None = None
        self._is_prepared: bool = False
        self._preparing = LoopLock()
        self._linking = LoopLock()

    async def store(self, mail: Mail) -> None:
        """Write `mail` in `tmp`, and settle it if nobody else will (`Mail.will_be_settled`). Raises OSError."""
        await self._prepared()
        written = _Written(self.path / "tmp" / f"{_unique()}.mailwire")
        feeds = LineFeeds() if self._line_ends == "lf" else None
        pieces: list[bytes] = []
        waiting = 0
        try:
            async for block in mail:
                pieces.append(block if feeds is None else feeds.feed(block))
                if (waiting := waiting + len(block)) >= _PIECE:
                    await in_thread(None, written.write, b"".join(pieces))
                    pieces, waiting = [], 0
            if feeds is not None:
                pieces.append(feeds.finish())
            await in_thread(None, written.write, b"".join(pieces))
        except BaseException:
            await in_thread(None, written.discard)
            raise
        self._written[mail] = written
        if not mail.will_be_settled:
            await self.settle([mail])

    async def settle(self, mails: Sequence[Mail]) -> None:
        """Sync them, link them into `new`, and sync that. What was not stored here is left alone.

        Raises OSError; LookupError where what was not stored here may have been stored as another Mail.
        """
        batch = self._take(mails)
        try:
            if len(batch) < len(mails) and {mail.account for mail in mails} & {mail.account for mail in self._written}:
                # Else it would be taken for stored, and be deleted on the server.
                raise LookupError("there is mail of this account that was stored here and is not settled: is it this?")
            # Side by side: a file system's journal takes together what waits for it.
            syncs = [in_thread(None, written.sync) for _, written in batch]
            for outcome in await asyncio.gather(*syncs, return_exceptions=True):
                if outcome is not None:
                    raise outcome
            async with self._linking.held(), self._remembering():
                await in_thread(None, self._link, batch)
        finally:
            await in_thread(None, _discard, [written for _, written in batch])

    async def discard(self, mails: Sequence[Mail]) -> None:
        """Remove them from `tmp`."""
        await in_thread(None, _discard, [written for _, written in self._take(mails)])

    def _take(self, mails: Sequence[Mail]) -> list[tuple[str, "_Written"]]:
        # A sink in front of this one may have let go of some.
        taken = ((mail.key[:_KEY_LENGTH], self._written.pop(mail, None)) for mail in mails)
        return [(key, written) for key, written in taken if written is not None]

    @asynccontextmanager
    async def _remembering(self) -> AsyncGenerator[None, None]:
        # What was found is not forgotten meanwhile, nor before it is seen whether more mail comes.
        if self._forgetting is not None:
            self._forgetting.cancel()
        try:
            yield
        finally:
            self._forgetting = asyncio.get_running_loop().call_later(_IDLE, self._forget)

    def _forget(self) -> None:
        self._files = self._forgetting = None

    async def _prepared(self) -> None:
        async with self._preparing.held():
            if self._is_prepared:
                return
            await in_thread(None, self._prepare)
            self._is_prepared = True

    # In a thread

    def _prepare(self) -> None:
        for folder in ("tmp", "new", "cur"):
            make_folder(self.path / folder)
        with os.scandir(self.path / "tmp") as entries:
            for entry in entries:
                _remove_abandoned(entry)

    def _look(self) -> None:
        # Another process may have stored mail since, and have died before its ledger was told: it will come again.
        for folder in ("new", "cur"):
            version = _version(self.path / folder)
            if self._looked_at.get(folder) == version:
                continue
            self._files = None
            with os.scandir(self.path / folder) as entries:
                self._marks[folder] = {hash(found[1]) for entry in entries if (found := _NAME.match(entry.name))}
            self._looked_at[folder] = version

    def _link(self, batch: Sequence[tuple[str, "_Written"]]) -> None:
        self._look()
        if self._files is None and any(hash(key) in marks for key, _ in batch for marks in self._marks.values()):
            self._files = self._find()
        there = defaultdict[str, list[str]](list) if self._files is None else self._files
        for key, written in batch:
            if not all(map(os.path.exists, there[key])):
                there = self._files = self._find()  # it has been moved, or deleted, within a tick of the clock
            files = there[key]
            if any(map(written.is_same, files)):
                continue
            suffix = f"-{_digest(written.path).hex()[:16]}" if files else ""
            path = self.path / "new" / f"{_unique()}K{key}{suffix}.mailwire"
            _move(written.path, path)
            files.append(str(path))
            self._marks["new"].add(hash(key))
        self._looked_at["new"] = _version(self.path / "new")
        sync_folder(self.path / "new")

    def _find(self) -> defaultdict[str, list[str]]:
        # The messages by their keys. What goes from new to cur meanwhile is found in both.
        found = defaultdict[str, list[str]](list)
        for folder in ("new", "cur"):
            with os.scandir(self.path / folder) as entries:
                for entry in entries:
                    if name := _NAME.match(entry.name):
                        found[name[1]].append(entry.path)
        return found


def _unique() -> str:
    # Two containers that share a Maildir may well have the same process number.
    return f"{int(time.time())}.P{os.getpid()}Q{next(_serial):06}R{token_hex(8)}"


class _Written:
    # A message in tmp.

    def __init__(self, path: Path) -> None:
        self.path = path
        self._octets = 0
        self._descriptor: int | None = None
        self._is_there = False

    def write(self, piece: bytes) -> None:
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            self._descriptor = os.open(self.path, flags, 0o600)
            self._is_there = True
        write_all(self._descriptor, piece)
        self._octets += len(piece)

    def sync(self) -> None:
        if self._descriptor is None:
            raise AssertionError("what is synced was written before")
        sync_file(self._descriptor)
        self._close()  # Windows moves no open file

    def is_same(self, path: str) -> bool:
        try:
            return os.stat(path).st_size == self._octets and _digest(path) == _digest(self.path)
        except FileNotFoundError:
            return False  # who looks at it has moved it at this very moment: better twice than never

    def discard(self) -> None:
        self._close()
        if self._is_there:
            self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _discard(batch: Sequence[_Written]) -> None:
    for written in batch:
        written.discard()


def _version(folder: Path) -> tuple[int, int]:
    # Another one whenever a name has come or gone, unless that was within a tick of the file system's clock.
    status = folder.stat()
    return status.st_ino, status.st_mtime_ns


def _digest(path: str | Path) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _move(source: Path, target: Path) -> None:
    # A link takes no other file's place; the first name is removed by whoever discards what was written.
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        source.rename(target)


def _remove_abandoned(entry: "os.DirEntry[str]") -> None:
    with suppress(OSError):  # another program may do the same
        if entry.is_file(follow_symlinks=False) and time.time() - entry.stat().st_mtime > _ABANDONED:
            os.unlink(entry)
