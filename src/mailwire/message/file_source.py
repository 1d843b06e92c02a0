"""FileSource: the octets of a message in a file, which is read in threads."""

import asyncio
import io
import os
import stat
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from itertools import chain
from typing import Final, Protocol, Self, TypeVar, cast, runtime_checkable
from weakref import WeakValueDictionary

from ..errors import SourceFailed
from .pieces import BLOCK_SIZE, cut
from .source_octets import Look, failed, in_thread, octets_in, remember_begun, show_portion, was_begun

__all__ = ["BinaryFile", "FileSource"]

T = TypeVar("T")

# What is read of a file at a time: going to a thread and coming back costs about as much as mending a block.
_READ_SIZE: Final = 4 * BLOCK_SIZE


@runtime_checkable
class BinaryFile(Protocol):
    """A file that was opened in binary mode, as far as a message is read from it."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` octets, none at the end."""


@runtime_checkable
class _Seekable(Protocol):
    def seekable(self) -> bool: ...
    def tell(self) -> int: ...
    def seek(self, offset: int, /) -> int: ...


class FileSource:
    """A file: a path, or one that the caller has opened in binary mode, which is read from where it stands."""

    def __init__(self, file: BinaryFile | os.PathLike[str]) -> None:
        self._file = file
        self._start = None if isinstance(file, os.PathLike) else _position(file)
        self.is_begun: bool = False
        self.is_repeatable: bool = isinstance(file, os.PathLike) or self._start is not None

    async def look_ahead(self, look: Look) -> bool:
        if isinstance(self._file, os.PathLike):
            self.is_repeatable = await in_thread(_is_regular, self._file)
        if not self.is_repeatable:
            return False
        async with _Opened(self._file, self._start) as opened:
            pieces = chain.from_iterable(map(cut, iter(opened.read, b"")))
            while await opened.in_thread(lambda: show_portion(pieces, look)):
                pass
            await opened.in_thread(opened.go_back)
            opened.is_done = True
        return True

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        if (self.is_begun and not self.is_repeatable) or was_begun(self._file):
            raise _used_up()
        self.is_begun = True
        async with _Opened(self._file, self._start) as opened:
            while octets := await opened.in_thread(opened.read):
                for piece in cut(octets):
                    yield piece
            opened.is_done = True


class _Opened:
    # A file while it is read, in threads and by one task. Should that task be cancelled, the file stays open for as
    # long as a thread is reading it: another file might be given its number otherwise.
    #
    # A file that somebody else has opened stands in one place, whoever reads it, and two who do so at once have each a
    # part of it. So it is read for one mail at a time, and it must stand where it was left. Unless it was read to its
    # end, it is put back to where it stood: the rest is no message for whoever is given the file again.

    is_done = False  # it may stay where it stands

    def __init__(self, given: BinaryFile | os.PathLike[str], start: int | None) -> None:
        self._given = given
        self._start = start
        self._file: BinaryFile | None = None
        self._ours: io.RawIOBase | None = None  # to be closed
        self._working: asyncio.Future[object] | None = None
        self._seeking: _Seekable | None = None  # the file, where it can tell its place...
        self._place = 0  # ...which is this
        self._reads_to_seek = False

    async def __aenter__(self) -> Self:
        if not isinstance(self._given, os.PathLike) and _readings.setdefault(id(self._given), self) is not self:
            raise _shared()
        try:
            await self.in_thread(self._open)
        except BaseException:
            self._leave()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        is_free = self._working is None or self._working.done()
        try:
            if self._reads_to_seek and not self.is_done and is_free and kind is not asyncio.CancelledError:
                with suppress(SourceFailed):
                    await self.in_thread(self.go_back)
                    self.is_done = True
        finally:
            self._leave()

    async def in_thread(self, call: Callable[[], T]) -> T:
        working = in_thread(call)
        self._working = cast("asyncio.Future[object]", working)
        return await asyncio.shield(working)

    def read(self) -> bytes:
        if self._file is None:
            raise AssertionError("a file is opened before it is read")
        try:
            data = self._file.read(_READ_SIZE)
            place = None if self._seeking is None else self._seeking.tell()
        except Exception as error:
            raise failed(error) from error
        octets = b"".join(octets_in(data))
        self._place += len(octets)
        if place is not None and place != self._place:
            raise _shared()
        return octets

    def go_back(self) -> None:
        if self._seeking is not None and self._start is not None:
            try:
                self._seeking.seek(self._start)
            except Exception as error:
                raise failed(error) from error

    def _open(self) -> None:
        try:
            if isinstance(self._given, os.PathLike):
                self._file = self._ours = io.FileIO(os.fspath(self._given))
            else:
                self._file = self._given
                if self._start is not None and isinstance(self._given, _Seekable):
                    self._seeking, self._place = self._given, self._start
                    self._reads_to_seek = self._start > 0 and _is_unpacked(self._given)
        except Exception as error:
            raise failed(error) from error
        self.go_back()

    def _leave(self) -> None:
        working = self._working
        if working is None or working.done():
            self._close()
        else:
            working.add_done_callback(self._abandoned)

    def _abandoned(self, working: asyncio.Future[object]) -> None:
        if not working.cancelled():
            working.exception()  # nobody waits for it any more
        self._close()

    def _close(self) -> None:
        if self._ours is not None:
            self._ours.close()
        elif _readings.get(id(self._given)) is self:
            del _readings[id(self._given)]
            self._put_back()

    def _put_back(self) -> None:
        # This is for the event loop: to seek is mostly not to read, and it may be the last thing that the loop does.
        if self._file is None or self.is_done:
            return
        if self._seeking is None or self._reads_to_seek:
            remember_begun(self._given)
            return
        try:
            self.go_back()
        except SourceFailed:
            remember_begun(self._given)


_readings: Final[WeakValueDictionary[int, _Opened]] = WeakValueDictionary()  # of files that somebody else has opened


def _position(file: BinaryFile) -> int | None:
    # Where a file stands; None if it cannot be set back there.
    if id(file) in _readings:
        raise _shared()
    if was_begun(file):
        raise _used_up()
    try:
        return file.tell() if isinstance(file, _Seekable) and file.seekable() else None
    except Exception as error:
        raise failed(error) from error


def _is_unpacked(file: object) -> bool:
    # As those of gzip, bz2, lzma and zipfile are, which read anew from the beginning to go back.
    while isinstance(file, (io.BufferedReader, io.BufferedRandom)):
        file = file.raw
    return isinstance(file, io.BufferedIOBase) and not isinstance(file, io.BytesIO)


def _is_regular(path: os.PathLike[str]) -> bool:
    # What is no regular file (a pipe) is read once. A directory fails here, before anything is sent.
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(f"{os.fspath(path)!r} is a directory")
    except Exception as error:
        raise failed(error) from error
    return stat.S_ISREG(mode)


def _used_up() -> SourceFailed:
    return SourceFailed("the file cannot be read again: it does not seek, or was not put back")


def _shared() -> SourceFailed:
    return SourceFailed(
        "the file is read by somebody else at the same time: each mail under way needs one of its own, or a path"
    )
