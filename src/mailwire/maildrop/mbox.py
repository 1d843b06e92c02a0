"""MboxSink: a file in which one message follows the other, each behind a line that begins with "From ".

1. A message is received whole before the file is touched: nobody waits at the lock for a slow server.
2. Lines that begin with "From ", behind any number of ">", get a ">" before them, which can be taken off again
   (mboxrd). Lines end in LF, as they do in all files of this kind.
3. While it is written to, the file is locked: by fcntl, where there is it, and by a file with ".lock" behind its name.
4. What cannot be written whole is cut off again. A crash in the middle of writing leaves a part of a message at the end
   of the file; the message comes again then, and stands whole behind it. The form allows no better: where that matters,
   use `Maildir`.
"""

import asyncio
import math
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EAGAIN, EROFS
from os import PathLike
from pathlib import Path
from typing import IO, Final

from .._wire.text import check_seconds
from .claims import LOCKING
from .durability import rooted, sync_file, sync_folder, write_all
from .line_feeds import LineFeeds
from .loop_lock import LoopLock
from .mail import Mail
from .threads import in_thread

__all__ = ["FromQuoter", "MboxSink"]

# What is read and written at a time; and what of a message is kept in memory until it is whole.
_PIECE: Final = 256 * 1024
_IN_MEMORY: Final = 1024 * 1024

# How old a ".lock" must be to be that of a program which is no more: far more than any writes for.
_ABANDONED: Final = 15 * 60  # seconds
_MARK: Final = b"mailwire\n"  # in a ".lock" of ours
_PAUSE: Final = 0.1  # seconds between two looks at a lock

# The files that this process writes to: the lock of fcntl keeps out other processes only.
_busy: Final[set[tuple[int, Path]]] = set()
_guard: Final = threading.Lock()

_FROM: Final = re.compile(rb"^(>*From )", re.MULTILINE)
_BEGINNING: Final = re.compile(rb">*(?:F(?:r(?:o(?:m)?)?)?)?")


class MboxSink:
    """A sink that appends messages to the file at `path`, which is made if there is none, for its owner alone.

    path: as an attribute, from the root: it stays the same wherever the process goes.
    patience: for how many seconds to wait for a program that has the file locked; None waits for ever. After that,
        `store` raises BlockingIOError, which ends the run.

    Raises ValueError for no path at all, and for a patience that is no number, or below 0.
    """

    def __init__(self, path: str | PathLike[str], *, patience: float | None = 30) -> None:
        check_seconds("patience", patience)
        self.path: Path = rooted(path)
        self._patience = math.inf if patience is None else patience
        self._appending = LoopLock()

    async def store(self, mail: Mail) -> None:
        """Receive `mail` and append it. Raises OSError; the file is as it was then."""
        spool = tempfile.SpooledTemporaryFile[bytes](_IN_MEMORY)
        try:
            await _receive(mail, spool)
            async with self._appending.held():
                await self._append(spool)
        finally:
            await in_thread(None, spool.close)

    async def _append(self, spool: IO[bytes]) -> None:
        left = self._patience
        while not await in_thread(None, self._attempt, spool):
            if left <= 0:
                raise BlockingIOError(EAGAIN, "another program has the file locked", str(self.path))
            await asyncio.sleep(_PAUSE)
            left -= _PAUSE

    # In a thread

    def _attempt(self, spool: IO[bytes]) -> bool:
        key = (os.getpid(), self.path.resolve())
        with _guard:
            if key in _busy:
                return False
            _busy.add(key)
        try:
            return self._locked_append(spool)
        finally:
            with _guard:
                _busy.discard(key)

    def _locked_append(self, spool: IO[bytes]) -> bool:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        try:
            if not LOCKING.lock_whole(descriptor):
                return False
            with _dot_lock(self.path.with_name(f"{self.path.name}.lock")) as has_dot_lock:
                if not has_dot_lock or not self._is_still(descriptor):
                    return False
                # First, for nothing may fail behind a message that is in the file: it would come once more.
                sync_folder(self.path.parent)
                _append(descriptor, spool)
                return True
        finally:
            os.close(descriptor)

    def _is_still(self, descriptor: int) -> bool:
        # Another program may have put a file in the place of this one, or taken it away, before it was locked: nobody
        # would ever read what is written to it.
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except FileNotFoundError:
            return False


class FromQuoter:
    """Lines that would be taken for the beginning of a message, quoted, block by block. Their ends are LF."""

    def __init__(self) -> None:
        self._held = b""  # the beginning of a line, of which it is not clear yet what it is
        self._is_in_line = False

    def feed(self, block: bytes) -> bytes:
        """Return what follows from the next block."""
        octets, self._held, rest_of_line = self._held + block, b"", b""
        if self._is_in_line:
            end = octets.find(b"\n") + 1 or len(octets)
            self._is_in_line = not octets.endswith(b"\n", 0, end)
            rest_of_line, octets = octets[:end], octets[end:]
            if self._is_in_line:
                return rest_of_line
        start = octets.rfind(b"\n") + 1
        # A line of a piece's length that is all ">" is let go: quoted or not, it begins no message.
        if len(octets) - start < _PIECE and _BEGINNING.fullmatch(octets, start):
            octets, self._held = octets[:start], octets[start:]
        else:
            self._is_in_line = True
        return rest_of_line + (_FROM.sub(rb">\1", octets) if b"From " in octets else octets)

    def finish(self) -> bytes:
        """Return what is left at the end."""
        return self._held


async def _receive(mail: Mail, spool: IO[bytes]) -> None:
    feeds, pieces, waiting = LineFeeds(), list[bytes](), 0
    async for block in mail:
        pieces.append(feeds.feed(block))
        if (waiting := waiting + len(block)) >= _PIECE:
            await in_thread(None, spool.write, b"".join(pieces))
            pieces, waiting = [], 0
    await in_thread(None, spool.write, b"".join((*pieces, feeds.finish())))


@contextmanager
def _dot_lock(lock: Path) -> Iterator[bool]:
    # Made while the lock of fcntl is held, as Debian's policy wants it: so one of ours that is there by then is that of
    # a process which is no more.
    if _is_left_over(lock):
        lock.unlink(missing_ok=True)
    try:
        descriptor = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        yield False
        return
    except OSError as error:
        # In a folder that belongs to the system, that of fcntl must do.
        if error.errno not in (EACCES, EROFS):
            raise
        yield True
        return
    try:
        try:
            os.write(descriptor, _MARK)
        finally:
            os.close(descriptor)
        yield True
    finally:
        lock.unlink(missing_ok=True)


def _is_left_over(lock: Path) -> bool:
    try:
        is_ours = _content(lock) == _MARK
        return (is_ours and LOCKING.locks_whole) or time.time() - lock.stat().st_mtime > _ABANDONED
    except FileNotFoundError:
        return False


def _content(lock: Path) -> bytes:
    try:
        return lock.read_bytes()
    except PermissionError:
        return b""  # another's: mutt makes one that nobody can read


def _append(descriptor: int, spool: IO[bytes]) -> None:
    size = os.lseek(descriptor, 0, os.SEEK_END)
    try:
        _write(descriptor, size, spool)
        sync_file(descriptor)
    except BaseException:
        os.ftruncate(descriptor, size)
        sync_file(descriptor)
        raise


def _write(descriptor: int, size: int, spool: IO[bytes]) -> None:
    # The blank line before it is that of the message before, unless whoever wrote that has left it out.
    os.lseek(descriptor, max(0, size - 2), os.SEEK_SET)
    before = os.read(descriptor, 2)
    missing = b"" if before in (b"", b"\n\n") else b"\n" if before.endswith(b"\n") else b"\n\n"
    write_all(descriptor, missing + b"From MAILER-DAEMON " + time.asctime(time.gmtime()).encode("ascii") + b"\n")
    quoter, last = FromQuoter(), b""
    spool.seek(0)
    while piece := spool.read(_PIECE):
        last = piece
        write_all(descriptor, quoter.feed(piece))
    write_all(descriptor, quoter.finish() + (b"\n" if last.endswith(b"\n") else b"\n\n"))
