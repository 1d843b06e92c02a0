"""Where the octets of a message come from: memory, a file, an iterable. They are read in pieces, and not on the event
loop where reading may take its time.
"""

import asyncio
import io
import os
import stat
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
)
from email.message import Message
from itertools import chain
from typing import Final, Protocol, Self, TypeVar, cast, runtime_checkable
from weakref import WeakValueDictionary

from ..errors import InvalidMessage, SourceFailed
from .pieces import BLOCK_SIZE, Buffer, Piecewise, cut

__all__ = [
    "BinaryFile",
    "FileSource",
    "IterableSource",
    "Look",
    "MemorySource",
    "MessageSource",
    "Source",
]

T = TypeVar("T")

# What is read of a file at a time: going to a thread and coming back costs about as much as mending a block.
_READ_SIZE: Final = 4 * BLOCK_SIZE
# Smaller pieces of an iterable are gathered. Of an asynchronous one not as many: it may be slow, and the server waits.
_LEAST: Final = 64 * 1024
_LEAST_AWAITED: Final = 8 * 1024
# Up to so much is looked at on the event loop: some five milliseconds' work.
_ON_THE_LOOP: Final = 8 * 1024 * 1024
# So much at a time is looked at in a thread, after which a cancellation is noticed.
_PORTION: Final = 16 * 1024 * 1024

Look = Callable[[bytes], object]
"""Is shown each piece as it is read."""


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


MessageSource = (
    Message
    | str
    | bytes
    | bytearray
    | memoryview
    | os.PathLike[str]
    | BinaryFile
    | Iterable[bytes]
    | AsyncIterable[bytes]
)
"""What a message may be given as; see `SMTPClient.send`."""


class Source(Protocol):
    """The octets of a message, to be read in pieces."""

    @property
    def is_repeatable(self) -> bool:
        """Whether they can be read more than once."""

    @property
    def is_begun(self) -> bool:
        """Whether `pieces` has begun to read them."""

    async def look_ahead(self, look: Look) -> bool:
        """Show `look` all the pieces; False if they cannot be read without being used up. Raises what `look` raises."""

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """Read them, in pieces of at most 256 KiB. Raises SourceFailed."""


class MemorySource:
    """Octets in memory, or several parts of them, some of which may be made piece by piece."""

    is_repeatable = True
    is_begun = False  # it makes no difference

    def __init__(self, *parts: bytes | Piecewise) -> None:
        self.parts = parts
        first = parts[0]
        self.octets: bytes | None = first if isinstance(first, bytes) and len(parts) == 1 else None
        """The octets, where they are in one piece."""

    async def look_ahead(self, look: Look) -> bool:
        pieces = self._cut()
        if sum(map(len, self.parts)) <= _ON_THE_LOOP:
            _show(pieces, look)
        else:
            while await asyncio.to_thread(_show, pieces, look):
                pass
        return True

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        for piece in self._cut():
            yield piece

    def _cut(self) -> Iterator[bytes]:
        for part in self.parts:
            yield from cut(part) if isinstance(part, bytes) else part


class FileSource:
    """A file: a path, or one that the caller has opened in binary mode, which is read from where it stands."""

    def __init__(self, file: BinaryFile | os.PathLike[str]) -> None:
        self._file = file
        self._start = None if isinstance(file, os.PathLike) else _position(file)
        self.is_begun: bool = False
        self.is_repeatable: bool = isinstance(file, os.PathLike) or self._start is not None

    async def look_ahead(self, look: Look) -> bool:
        if isinstance(self._file, os.PathLike):
            self.is_repeatable = await asyncio.to_thread(_is_regular, self._file)
        if not self.is_repeatable:
            return False
        async with _Opened(self._file, self._start) as opened:
            pieces = chain.from_iterable(map(cut, iter(opened.read, b"")))
            while await opened.in_thread(lambda: _show(pieces, look)):
                pass
            await opened.in_thread(opened.go_back)
        return True

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        if self.is_begun and not self.is_repeatable:
            raise SourceFailed("the file cannot be read again: it does not seek")
        self.is_begun = True
        async with _Opened(self._file, self._start) as opened:
            while octets := await opened.in_thread(opened.read):
                for piece in cut(octets):
                    yield piece


class IterableSource:
    """What yields octets, asynchronously or not. It is advanced on the event loop, which it must not hold up.

    A generator that was begun is closed; anything else is its owner's to close.
    """

    def __init__(self, iterable: Iterable[bytes] | AsyncIterable[bytes]) -> None:
        self._iterable = iterable
        self.is_begun: bool = False
        self.is_repeatable: bool = not isinstance(iterable, (Iterator, AsyncIterator))

    async def look_ahead(self, look: Look) -> bool:
        return False

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        if self.is_begun and not self.is_repeatable:
            raise SourceFailed("the iterator cannot be read again: it is used up")
        self.is_begun = True
        if isinstance(self._iterable, AsyncIterable):
            gathering = _Gathering(_LEAST_AWAITED)
            async with _Iterating(self._iterable) as iterating:
                while (given := await iterating.next()) is not None:
                    for octets in given:
                        for piece in gathering.add(octets):
                            yield piece
        else:
            gathering = _Gathering(_LEAST)
            with _Guarded(self._iterable) as guarded:
                for octets in chain.from_iterable(guarded):
                    for piece in gathering.add(octets):
                        yield piece
        for piece in gathering.rest():
            yield piece


class _Opened:
    # A file while it is read, in threads and by one task. Should that task be cancelled, the file stays open for as
    # long as a thread is reading it: another file might be given its number otherwise.
    #
    # A file that somebody else has opened stands in one place, whoever reads it, and two who do so at once have each a
    # part of it. So it is read for one mail at a time, and it must stand where it was left.

    def __init__(self, given: BinaryFile | os.PathLike[str], start: int | None) -> None:
        self._given = given
        self._start = start
        self._file: BinaryFile | None = None
        self._ours: io.RawIOBase | None = None  # to be closed
        self._working: asyncio.Future[object] | None = None
        self._seeking: _Seekable | None = None  # the file, where it can tell its place...
        self._place = 0  # ...which is this

    async def __aenter__(self) -> Self:
        if not isinstance(self._given, os.PathLike) and _readings.setdefault(id(self._given), self) is not self:
            raise _shared()
        try:
            await self.in_thread(self._open)
        except BaseException:
            self._leave()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    async def in_thread(self, call: Callable[[], T]) -> T:
        working = asyncio.get_running_loop().run_in_executor(None, call)
        self._working = cast("asyncio.Future[object]", working)
        return await asyncio.shield(working)

    def read(self) -> bytes:
        if self._file is None:
            raise AssertionError("a file is opened before it is read")
        try:
            data = self._file.read(_READ_SIZE)
            place = None if self._seeking is None else self._seeking.tell()
        except Exception as error:
            raise _failed(error) from error
        octets = b"".join(_octets(data))
        self._place += len(octets)
        if place is not None and place != self._place:
            raise _shared()
        return octets

    def go_back(self) -> None:
        if self._seeking is not None and self._start is not None:
            self._seeking.seek(self._start)

    def _open(self) -> None:
        try:
            if isinstance(self._given, os.PathLike):
                self._file = self._ours = io.FileIO(os.fspath(self._given))
            else:
                self._file = self._given
                if self._start is not None and isinstance(self._given, _Seekable):
                    self._seeking, self._place = self._given, self._start
                    self.go_back()
        except Exception as error:
            raise _failed(error) from error

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


_readings: Final[WeakValueDictionary[int, _Opened]] = WeakValueDictionary()  # of files that somebody else has opened


class _Iterating:
    # An asynchronous iterable while it is read; whatever it raises is a SourceFailed.

    def __init__(self, iterable: AsyncIterable[bytes]) -> None:
        self._iterable = iterable
        self._iterator: AsyncIterator[bytes] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, _: object, under_way: BaseException | None, __: object) -> None:
        if isinstance(self._iterator, AsyncGenerator):
            try:
                await self._iterator.aclose()
            except Exception as error:
                _tell(error, under_way)

    async def next(self) -> Iterable[bytes] | None:
        try:
            if self._iterator is None:
                self._iterator = aiter(self._iterable)
            return _octets(await anext(self._iterator))
        except StopAsyncIteration:
            return None
        except InvalidMessage:
            raise
        except Exception as error:
            raise _failed(error) from error


class _Guarded:
    # An iterable while it is read; whatever it raises is a SourceFailed.

    def __init__(self, iterable: Iterable[bytes]) -> None:
        self._iterable = iterable
        self._iterator: Iterator[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, under_way: BaseException | None, __: object) -> None:
        if isinstance(self._iterator, Generator):
            try:
                self._iterator.close()
            except Exception as error:
                _tell(error, under_way)

    def __iter__(self) -> Iterator[Iterable[bytes]]:
        try:
            self._iterator = iter(self._iterable)
        except Exception as error:
            raise _failed(error) from error
        while True:
            try:
                given = next(self._iterator)
            except StopIteration:
                return
            except Exception as error:
                raise _failed(error) from error
            yield _octets(given)


class _Gathering:
    # Makes pieces of a size that is worth the while.

    def __init__(self, least: int) -> None:
        self._least = least
        self._held: list[bytes] = []
        self._size = 0

    def add(self, octets: bytes) -> Iterator[bytes]:
        self._held.append(octets)
        self._size += len(octets)
        return self.rest() if self._size >= self._least else iter(())

    def rest(self) -> Iterator[bytes]:
        octets = b"".join(self._held)
        self._held.clear()
        self._size = 0
        return cut(octets)


def _show(pieces: Iterator[bytes], look: Look) -> bool:
    # Show a portion of the pieces; False if there are no more.
    left = _PORTION
    for piece in pieces:
        look(piece)
        left -= len(piece)
        if left <= 0:
            return True
    return False


def _octets(data: object) -> Iterable[bytes]:
    if isinstance(data, bytes):
        return (data,)
    if isinstance(data, (bytearray, memoryview)):
        buffer = Buffer.of(data)
        return (buffer,) if isinstance(buffer, bytes) else buffer
    if isinstance(data, Coroutine):
        data.close()  # nobody awaits it: a file is read in a thread
    raise InvalidMessage(f"expected the octets of a message in bytes, got {type(data).__name__}")


def _position(file: BinaryFile) -> int | None:
    # Where a file stands; None if it cannot be set back there.
    if id(file) in _readings:
        raise _shared()
    try:
        return file.tell() if isinstance(file, _Seekable) and file.seekable() else None
    except Exception as error:
        raise _failed(error) from error


def _is_regular(path: os.PathLike[str]) -> bool:
    # What is no regular file (a pipe) is read once. A directory fails here, before anything is sent.
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(f"{os.fspath(path)!r} is a directory")
    except Exception as error:
        raise _failed(error) from error
    return stat.S_ISREG(mode)


def _tell(error: Exception, under_way: BaseException | None) -> None:
    # Of what a generator has raised when it was closed: what became of the mail goes before it, and must not be lost.
    if isinstance(under_way, Exception):
        under_way.add_note(f"Its source, which was closed for that, has raised {type(error).__name__}: {error}")
    else:
        context = {"message": "the source of a message has raised when it was closed", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)


def _shared() -> SourceFailed:
    return SourceFailed(
        "the file is read by somebody else at the same time: each mail under way needs one of its own, or a path"
    )


def _failed(error: Exception) -> SourceFailed:
    return SourceFailed(f"the message cannot be read: {type(error).__name__}: {error}")
