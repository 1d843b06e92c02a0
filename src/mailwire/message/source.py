"""Where the octets of a message come from: memory, a file, an iterable. They are read in pieces, and not on the event
loop where reading may take its time.
"""

import asyncio
import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Collection,
    Generator,
    Iterable,
    Iterator,
)
from email.message import Message
from itertools import chain
from typing import Final, Protocol, Self

from ..errors import InvalidMessage, SourceFailed
from .file_source import BinaryFile
from .pieces import Piecewise, cut
from .source_octets import Look, failed, forget_begun, in_thread, octets_in, remember_begun, show_portion, was_begun

__all__ = ["IterableSource", "MemorySource", "MessageSource", "Source"]

# Smaller pieces of an iterable are gathered. Of an asynchronous one not as many: it may be slow, and the server waits.
_LEAST: Final = 64 * 1024
_LEAST_AWAITED: Final = 8 * 1024
# Up to so much is looked at on the event loop: some five milliseconds' work.
_ON_THE_LOOP: Final = 8 * 1024 * 1024

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
            show_portion(pieces, look)
        else:
            while await in_thread(show_portion, pieces, look):
                pass
        return True

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        for piece in self._cut():
            yield piece

    def _cut(self) -> Iterator[bytes]:
        for part in self.parts:
            yield from cut(part) if isinstance(part, bytes) else part


class IterableSource:
    """What yields octets, asynchronously or not. It is advanced on the event loop, which it must not hold up.

    A generator that was begun is closed; anything else is its owner's to close. A collection is read as often as need
    be. Whatever else is iterated over may go on where it was left, the response of an HTTP client say, or a file that
    is read asynchronously: it is read once.
    """

    def __init__(self, iterable: Iterable[bytes] | AsyncIterable[bytes]) -> None:
        self._iterable = iterable
        self.is_begun: bool = False
        self.is_repeatable: bool = isinstance(iterable, Collection)
        self._is_iterator = isinstance(iterable, (Iterator, AsyncIterator))
        self._check()

    async def look_ahead(self, look: Look) -> bool:
        return False

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        self._check()
        self.is_begun = True
        if self._is_iterator:
            remember_begun(self._iterable)
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
        if self._is_iterator:
            forget_begun(self._iterable)
        for piece in gathering.rest():
            yield piece

    def _check(self) -> None:
        if (self.is_begun and not self.is_repeatable) or (self._is_iterator and was_begun(self._iterable)):
            raise SourceFailed("the iterable cannot be read again: it is used up")


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
            return octets_in(await anext(self._iterator))
        except StopAsyncIteration:
            return None
        except InvalidMessage:
            raise
        except Exception as error:
            raise failed(error) from error


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
            raise failed(error) from error
        while True:
            try:
                given = next(self._iterator)
            except StopIteration:
                return
            except Exception as error:
                raise failed(error) from error
            yield octets_in(given)


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


def _tell(error: Exception, under_way: BaseException | None) -> None:
    # Of what a generator has raised when it was closed: what became of the mail goes before it, and must not be lost.
    if isinstance(under_way, Exception):
        under_way.add_note(f"Its source, which was closed for that, has raised {type(error).__name__}: {error}")
    else:
        context = {"message": "the source of a message has raised when it was closed", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)
