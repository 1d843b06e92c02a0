import asyncio
import gc
import gzip
import io
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from mailwire import InvalidMessage, SourceFailed
from mailwire.message.file_source import FileSource
from mailwire.message.pieces import BLOCK_SIZE, Buffer, EncodedText
from mailwire.message.source import IterableSource, MemorySource, Source
from mailwire.message.source_octets import remember_begun

OCTETS = bytes(range(256)) * 5000  # five blocks, nearly


async def read(source: Source) -> list[bytes]:
    async with aclosing(source.pieces()) as pieces:
        return [piece async for piece in pieces]


async def looked_at(source: Source) -> list[bytes] | None:
    seen: list[bytes] = []
    return seen if await source.look_ahead(seen.append) else None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "message"
    file.write_bytes(OCTETS)
    return file


# Memory


@pytest.mark.parametrize("octets", [b"", b"a", OCTETS, OCTETS * 8])
async def test_octets_in_memory_are_read_in_blocks(octets: bytes) -> None:
    source = MemorySource(octets)
    for pieces in (await read(source), await read(source), await looked_at(source)):
        assert pieces is not None
        assert b"".join(pieces) == octets
        assert all(0 < len(piece) <= BLOCK_SIZE for piece in pieces)
    assert source.is_repeatable


async def test_what_is_made_piece_by_piece_is_read_between_octets() -> None:
    source = MemorySource(b"a", EncodedText("ä" * BLOCK_SIZE), b"", Buffer(bytearray(OCTETS * 8)), b"z")
    for pieces in (await read(source), await looked_at(source)):
        assert pieces is not None
        assert b"".join(pieces) == b"a" + ("ä" * BLOCK_SIZE).encode() + OCTETS * 8 + b"z"
        assert all(0 < len(piece) <= BLOCK_SIZE for piece in pieces)
    assert source.octets is None


def test_octets_in_one_piece_can_be_had_as_they_are() -> None:
    assert MemorySource(OCTETS).octets is OCTETS
    assert MemorySource(b"a", b"b").octets is None


async def test_more_than_eight_mebioctets_are_looked_at_in_a_thread() -> None:
    threads = set[int]()
    octets = bytes(8 * 1024 * 1024)
    await MemorySource(octets).look_ahead(lambda _: threads.add(threading.get_ident()))
    assert threads == {threading.get_ident()}
    threads.clear()
    await MemorySource(octets, b"x").look_ahead(lambda _: threads.add(threading.get_ident()))
    assert threads
    assert threading.get_ident() not in threads


# Files


@pytest.mark.parametrize("start", [0, 1, 300_000])
async def test_a_file_is_read_from_where_it_stands(path: Path, start: int) -> None:
    with path.open("rb") as file:
        file.seek(start)
        source = FileSource(file)
        assert source.is_repeatable
        assert source.is_begun is False
        for pieces in (await looked_at(source), await read(source), await read(source)):
            assert pieces is not None
            assert b"".join(pieces) == OCTETS[start:]
            assert all(0 < len(piece) <= BLOCK_SIZE for piece in pieces)
        assert not file.closed


async def test_a_path_is_opened_for_each_reading(path: Path) -> None:
    source = FileSource(path)
    for pieces in (await looked_at(source), await read(source), await read(source)):
        assert b"".join(pieces or ()) == OCTETS
    assert source.is_repeatable
    assert not open_files(path)


def open_files(path: Path) -> list[str]:
    links = [os.path.join("/proc/self/fd", number) for number in os.listdir("/proc/self/fd")]
    return [link for link in links if os.path.islink(link) and os.readlink(link) == str(path)]


async def test_a_path_that_is_left_is_closed(path: Path) -> None:
    async with aclosing(FileSource(path).pieces()) as pieces:
        async for _ in pieces:
            assert len(open_files(path)) == 1
            break
    assert not open_files(path)


class Watched(io.BytesIO):
    """A file that notes the threads in which it is read."""

    def __init__(self, octets: bytes) -> None:
        super().__init__(octets)
        self.threads = set[int]()

    def read(self, size: int | None = -1, /) -> bytes:
        self.threads.add(threading.get_ident())
        return super().read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self.threads.add(threading.get_ident())
        return super().seek(offset, whence)


async def test_a_file_is_read_in_threads_alone() -> None:
    file = Watched(OCTETS)
    source = FileSource(file)
    await looked_at(source)
    await read(source)
    assert file.threads
    assert threading.get_ident() not in file.threads


class Plain:
    """A file that can do nothing but be read."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def read(self, size: int, /) -> Any:
        assert size == 4 * BLOCK_SIZE
        answer = self.answers.pop(0) if self.answers else b""
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_file_that_cannot_seek_is_read_once() -> None:
    source = FileSource(Plain(b"a", bytearray(b"b"), memoryview(b"c")))
    assert not source.is_repeatable
    assert await looked_at(source) is None
    assert await read(source) == [b"a", b"b", b"c"]
    with pytest.raises(SourceFailed, match=r"^the file cannot be read again: it does not seek, or was not put back$"):
        await read(source)


async def test_what_a_file_gives_is_one_message_whatever_it_is_given_in() -> None:
    octets = OCTETS[: 4 * BLOCK_SIZE]
    for data in (octets, bytearray(octets), memoryview(octets)):
        assert b"".join(await read(FileSource(Plain(data, b"\0")))) == octets + b"\0"


async def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    source = FileSource(pipe)
    assert await looked_at(source) is None
    assert not source.is_repeatable
    writing = asyncio.create_task(asyncio.to_thread(pipe.write_bytes, OCTETS))
    try:
        assert b"".join(await read(source)) == OCTETS
        await writing
    finally:
        os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))  # whoever waits for a reader yet, fails


async def test_the_end_of_a_pipe_is_read_once() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as file, os.fdopen(writer, "wb") as other:
        source = FileSource(file)
        assert not source.is_repeatable
        assert await looked_at(source) is None
        other.write(b"hello")
        other.close()
        assert await read(source) == [b"hello"]


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ("text", InvalidMessage, "expected the octets of a message in bytes, got str"),
        (None, InvalidMessage, "expected the octets of a message in bytes, got NoneType"),
        (OSError("disk"), SourceFailed, "the message cannot be read: OSError: disk"),
        (ValueError("closed"), SourceFailed, "the message cannot be read: ValueError: closed"),
        (StopIteration("end"), SourceFailed, "the message cannot be read: StopIteration: end"),  # no future holds one
    ],
)
async def test_a_file_that_fails_says_so(answer: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        await read(FileSource(Plain(b"a", answer)))
    if isinstance(answer, Exception):
        assert caught.value.__cause__ is answer


def test_a_closed_file_is_refused_at_once(path: Path) -> None:
    with path.open("rb") as file:
        pass
    with pytest.raises(SourceFailed, match="closed file"):
        FileSource(file)


async def test_a_path_that_leads_nowhere_is_found_out_before(tmp_path: Path) -> None:
    with pytest.raises(SourceFailed) as caught:
        await looked_at(FileSource(tmp_path))
    told = f"the message cannot be read: IsADirectoryError: {str(tmp_path)!r} is a directory"
    assert str(caught.value) == told
    for place, problem in ((tmp_path / "none", "FileNotFoundError"), (tmp_path, "IsADirectoryError")):
        with pytest.raises(SourceFailed, match=problem):
            await looked_at(FileSource(place))
        with pytest.raises(SourceFailed, match=problem):
            await read(FileSource(place))


class WithPath(io.BytesIO):
    """A file that knows its path, and is closed by now."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.close()
        self._path = path

    def __fspath__(self) -> str:
        return str(self._path)


async def test_a_file_that_is_a_path_as_well_is_read_as_a_path(path: Path) -> None:
    source = FileSource(WithPath(path))
    for pieces in (await looked_at(source), await read(source)):
        assert b"".join(pieces or ()) == OCTETS


async def test_a_file_that_vanishes_is_found_out(path: Path) -> None:
    source = FileSource(path)
    assert await looked_at(source)
    path.unlink()
    with pytest.raises(SourceFailed, match="FileNotFoundError"):
        await read(source)


class Slow(Plain):
    """A file of which a read lasts until it is let go on; `closed` tells whether it was closed before that."""

    def __init__(self) -> None:
        super().__init__()
        self.reading, self.go_on = threading.Event(), threading.Event()
        self.is_read = False

    def read(self, size: int, /) -> bytes:
        self.reading.set()
        assert self.go_on.wait(30)
        self.is_read = True
        raise OSError("nobody hears this")


async def test_a_reading_that_is_cancelled_is_left_alone_until_it_ends() -> None:
    file = Slow()
    reading = asyncio.create_task(read(FileSource(file)))
    await asyncio.to_thread(file.reading.wait)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert not file.is_read
    file.go_on.set()


async def test_a_reading_that_never_begins_is_left(path: Path) -> None:
    contexts = told()
    executor = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(executor)
    go_on = threading.Event()
    executor.submit(go_on.wait, 30)
    with path.open("rb") as file:
        for source in (FileSource(path), FileSource(file)):
            task = asyncio.create_task(read(source))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        executor.shutdown(wait=False, cancel_futures=True)
        go_on.set()
        for _ in range(5):
            await asyncio.sleep(0)
        assert FileSource(file).is_repeatable  # nobody reads it any more
    assert not open_files(path)
    assert contexts == []


async def test_a_file_for_which_there_is_no_thread_is_left() -> None:
    await asyncio.get_running_loop().shutdown_default_executor()
    file = io.BytesIO(OCTETS)
    expected = "the message cannot be read: OSError: there is no thread: Executor shutdown has been called"
    with pytest.raises(SourceFailed, match=f"^{expected}$"):
        await read(FileSource(file))
    assert FileSource(file).is_repeatable  # nobody reads it any more


@pytest.mark.parametrize("ends", ["read", "opened"])
async def test_a_path_is_closed_only_when_the_thread_that_reads_it_is_done(
    path: Path, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    opened: list[Any] = []
    reading, go_on, closed = threading.Event(), threading.Event(), asyncio.Event()

    class Hanging(io.FileIO):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            opened.append(self)
            if ends == "opened":
                self.hang()

        def hang(self) -> None:
            reading.set()
            assert go_on.wait(30)

        def read(self, size: int | None = -1, /) -> bytes:
            self.hang()
            assert not self.closed
            return b"x"

        def close(self) -> None:
            super().close()
            closed.set()

    monkeypatch.setattr("mailwire.message.file_source.io.FileIO", Hanging)
    task = asyncio.create_task(read(FileSource(path)))
    await asyncio.to_thread(reading.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not opened[0].closed
    go_on.set()
    await closed.wait()
    assert opened[0].closed


# Iterables


def pieces_of(octets: bytes, size: int) -> Iterator[bytes]:
    yield from (octets[start : start + size] for start in range(0, len(octets), size))


async def awaited(octets: bytes, size: int) -> AsyncGenerator[bytes, None]:
    for piece in pieces_of(octets, size):
        await asyncio.sleep(0)
        yield piece


@pytest.mark.parametrize("size", [1000, 8192, 70_000, 300_000, 10_000_000])
@pytest.mark.parametrize("make", [pieces_of, awaited])
async def test_pieces_are_gathered_and_cut(make: Callable[..., Any], size: int) -> None:
    source = IterableSource(make(OCTETS, size))
    assert await looked_at(source) is None
    assert not source.is_repeatable
    assert source.is_begun is False
    pieces = await read(source)
    assert source.is_begun is True
    assert b"".join(pieces) == OCTETS
    assert all(0 < len(piece) <= BLOCK_SIZE for piece in pieces)
    assert len(pieces) <= 200
    with pytest.raises(SourceFailed, match=r"^the iterable cannot be read again: it is used up$"):
        await read(source)


async def one_by_one(pieces: list[bytes]) -> AsyncGenerator[bytes, None]:
    for piece in pieces:
        yield piece


@pytest.mark.parametrize(("make", "least"), [(iter, 64 * 1024), (one_by_one, 8 * 1024)])
async def test_pieces_are_gathered_until_they_are_worth_the_while_and_no_longer(
    make: Callable[..., Any], least: int
) -> None:
    pieces = [b"x" * (least - 1), b"x"]
    read_from = await read(IterableSource(make([*pieces, *pieces, b"end"])))
    assert [len(piece) for piece in read_from] == [least, least, 3]


@pytest.mark.parametrize("iterable", [[b"a", b"b"], (b"a", bytearray(b"b")), {b"a": 1, b"b": 2}])
async def test_what_can_be_iterated_again_can_be_read_again(iterable: Any) -> None:
    source = IterableSource(iterable)
    assert source.is_repeatable
    assert await read(source) == await read(source) == [b"ab"]


class Again:
    """An asynchronous iterable that is no iterator, nor makes generators."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return Counting()


class Response:
    """An iterable that is no iterator and can be read but once, as a response to an HTTP request."""

    def __init__(self) -> None:
        self._left = iter([b"x", b"y"])

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: next(self._left, b""), b"")


class Counting:
    def __init__(self) -> None:
        self.left = 3

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return b"x"


@pytest.mark.parametrize(("make", "octets"), [(Again, b"xxx"), (Counting, b"xxx"), (Response, b"xy")])
async def test_what_is_not_known_to_begin_anew_is_read_once(make: Callable[[], Any], octets: bytes) -> None:
    source = IterableSource(make())
    assert not source.is_repeatable
    assert await read(source) == [octets]
    with pytest.raises(SourceFailed, match=r"^the iterable cannot be read again: it is used up$"):
        await read(source)


@pytest.mark.parametrize("iterable", [[], [b""], [b"", b""]])
async def test_nothing_is_read_from_nothing(iterable: list[bytes]) -> None:
    assert await read(IterableSource(iterable)) == []


class Broken:
    def __iter__(self) -> Iterator[bytes]:
        raise LookupError("no iterator")


class BrokenAsync:
    def __aiter__(self) -> AsyncIterator[bytes]:
        raise LookupError("no iterator")


def failing(error: BaseException) -> Iterator[bytes]:
    yield b"x" * 100_000
    raise error


async def failing_later(error: BaseException) -> AsyncGenerator[bytes, None]:
    yield b"x" * 100_000
    raise error


@pytest.mark.parametrize(
    "make",
    [
        *(Broken, BrokenAsync),
        *(lambda: failing(LookupError("no iterator")), lambda: failing_later(LookupError("no iterator"))),
    ],
    ids=["no iterator", "no asynchronous iterator", "within", "within an asynchronous one"],
)
async def test_what_an_iterable_raises_is_the_cause(make: Callable[[], Any]) -> None:
    with pytest.raises(SourceFailed, match="the message cannot be read: LookupError: no iterator") as caught:
        await read(IterableSource(make()))
    assert isinstance(caught.value.__cause__, LookupError)


@pytest.mark.parametrize("wrong", ["text", 7, None, [b"x"]])
async def test_an_iterable_yields_octets_or_is_invalid(wrong: Any) -> None:
    async def wrong_later() -> AsyncGenerator[Any, None]:
        yield wrong

    for iterable in ([b"x", wrong], wrong_later()):
        with pytest.raises(InvalidMessage, match="expected the octets of a message in bytes, got"):
            await read(IterableSource(iterable))


@pytest.mark.parametrize("make", [failing, failing_later])
async def test_a_cancellation_within_an_iterable_stays_one(make: Callable[[BaseException], Any]) -> None:
    with pytest.raises(asyncio.CancelledError):
        await read(IterableSource(make(asyncio.CancelledError())))


async def test_an_asynchronous_generator_that_is_left_is_closed() -> None:
    is_closed = False

    async def generate() -> AsyncGenerator[bytes, None]:
        nonlocal is_closed
        try:
            while True:
                yield b"x" * 100_000
        finally:
            is_closed = True

    async with aclosing(IterableSource(generate()).pieces()) as pieces:
        async for _ in pieces:
            break
    assert is_closed


# What is raised when a source is closed does not hide what became of the mail


def untidy(*pieces: Any) -> Iterator[Any]:
    try:
        yield from pieces
    finally:
        raise LookupError("untidy")


async def untidy_later(*pieces: Any) -> AsyncGenerator[Any, None]:
    try:
        for piece in pieces:
            yield piece
    finally:
        raise LookupError("untidy")


class Untidy(Counting):
    """What can be closed as an asynchronous generator can, even behind its end."""

    def asend(self, value: object) -> None:
        raise AssertionError("nobody does that")

    athrow = asend

    async def aclose(self) -> None:
        raise LookupError("untidy")


def told() -> list[dict[str, Any]]:
    contexts: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: contexts.append(context))
    return contexts


@pytest.mark.parametrize("make", [untidy, untidy_later])
async def test_what_a_source_raises_when_it_is_left_is_told_to_the_event_loop(make: Callable[..., Any]) -> None:
    contexts = told()
    async with aclosing(IterableSource(make(b"x" * 100_000, b"y")).pieces()) as pieces:
        assert await anext(pieces) == b"x" * 100_000
    assert [(context["message"], repr(context["exception"])) for context in contexts] == [
        ("the source of a message has raised when it was closed", "LookupError('untidy')")
    ]


@pytest.mark.parametrize("make", [untidy, untidy_later])
async def test_what_a_source_raises_when_it_is_closed_is_a_note_on_what_was_wrong_with_it(
    make: Callable[..., Any],
) -> None:
    contexts = told()
    with pytest.raises(InvalidMessage, match="in bytes, got str") as caught:
        await read(IterableSource(make("text", b"y")))
    assert caught.value.__notes__ == ["Its source, which was closed for that, has raised LookupError: untidy"]
    assert contexts == []


async def test_a_source_that_was_read_to_its_end_and_cannot_be_closed_was_read() -> None:
    contexts = told()
    assert await read(IterableSource(Untidy())) == [b"xxx"]
    assert len(contexts) == 1


@pytest.mark.parametrize("make", [untidy, untidy_later])
async def test_a_cancellation_that_comes_when_a_source_is_closed_stays_one(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.LookupError", asyncio.CancelledError)
    with pytest.raises(asyncio.CancelledError):
        async with aclosing(IterableSource(make(b"x" * 100_000, b"y")).pieces()) as pieces:
            await anext(pieces)


# One open file for several mails

SHARED = "^the file is read by somebody else at the same time: each mail under way needs one of its own, or a path$"


async def test_an_open_file_is_read_for_one_mail_at_a_time(path: Path) -> None:
    with path.open("rb") as file:
        source, other = FileSource(file), FileSource(file)
        async with aclosing(source.pieces()) as pieces:
            await anext(pieces)
            for another in (read(other), looked_at(other)):
                with pytest.raises(SourceFailed, match=SHARED):
                    await another
            with pytest.raises(SourceFailed, match=SHARED):
                FileSource(file)
            assert [piece async for piece in pieces][-1] == OCTETS[-(len(OCTETS) % BLOCK_SIZE) :]
        assert b"".join(await read(other)) == OCTETS


async def test_a_file_that_cannot_be_put_back_behind_a_look_ahead_is_a_failed_source() -> None:
    class Torn(io.BytesIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            if self.tell() == len(OCTETS):
                raise OSError("torn")
            return super().seek(offset, whence)

    with pytest.raises(SourceFailed, match="OSError: torn"):
        await looked_at(FileSource(Torn(OCTETS)))


async def test_a_file_that_does_not_seek_is_read_for_one_mail_at_a_time() -> None:
    file = Plain(b"a", b"b")
    async with aclosing(FileSource(file).pieces()) as pieces:
        assert await anext(pieces) == b"a"
        with pytest.raises(SourceFailed, match=SHARED):
            await read(FileSource(file))
        assert [piece async for piece in pieces] == [b"b"]


@pytest.mark.parametrize("move", [lambda file: file.read(1), lambda file: file.seek(0)])
async def test_a_file_that_somebody_moves_while_it_is_read_is_found_out(move: Callable[[Any], object]) -> None:
    file = io.BytesIO(OCTETS * 2)  # two readings
    async with aclosing(FileSource(file).pieces()) as pieces:
        for _ in range(4):  # blocks, of what was read at first
            await anext(pieces)
        move(file)
        with pytest.raises(SourceFailed, match=SHARED):
            await anext(pieces)


async def test_a_file_that_was_looked_at_stands_where_it_did(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(5)
        await looked_at(FileSource(file))
        assert file.tell() == 5
        assert b"".join(await read(FileSource(file))) == OCTETS[5:]


class Later(io.BytesIO):
    """A file that is read asynchronously."""

    async def read(self, size: int | None = -1, /) -> bytes:  # type: ignore[override]
        raise AssertionError("nobody awaits it")


async def test_a_file_that_is_read_asynchronously_is_refused_without_a_warning() -> None:
    # A coroutine that was never awaited is a warning, and warnings are errors.
    file: Any = Later(b"x")
    with pytest.raises(InvalidMessage, match="in bytes, got coroutine"):
        await looked_at(FileSource(file))
    gc.collect()


# What was read in part, and is given again


async def begin(source: Source) -> None:
    """Read one piece, and leave the rest."""
    async with aclosing(source.pieces()) as pieces:
        await anext(pieces)


async def test_a_file_of_which_the_reading_is_broken_off_stands_where_it_did(path: Path) -> None:
    def refuse(_: bytes) -> None:
        raise InvalidMessage("no")

    with path.open("rb") as file:
        file.seek(5)
        await begin(FileSource(file))
        assert file.tell() == 5
        with pytest.raises(InvalidMessage):
            await FileSource(file).look_ahead(refuse)
        assert file.tell() == 5
        assert b"".join(await read(FileSource(file))) == OCTETS[5:]
        assert file.tell() == len(OCTETS)


async def test_a_file_that_fails_in_the_middle_stands_where_it_did() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            super().read(7)
            raise OSError("disk")

    file = Failing(OCTETS)
    file.seek(5)
    with pytest.raises(SourceFailed, match="disk"):
        await read(FileSource(file))
    assert file.tell() == 5


async def test_a_file_stands_where_it_did_when_the_thread_that_reads_it_is_done() -> None:
    reading, go_on, moved_back = threading.Event(), threading.Event(), asyncio.Event()

    class Hanging(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            reading.set()
            assert go_on.wait(30)
            return super().read(size)

        def seek(self, offset: int, whence: int = 0, /) -> int:
            if reading.is_set():
                moved_back.set()
            return super().seek(offset, whence)

    file = Hanging(OCTETS)
    task = asyncio.create_task(read(FileSource(file)))
    await asyncio.to_thread(reading.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(SourceFailed, match=SHARED):
        FileSource(file)
    go_on.set()
    await moved_back.wait()
    assert file.tell() == 0
    assert b"".join(await read(FileSource(file))) == OCTETS


class Unpacked(gzip.GzipFile):
    """Notes in which threads it seeks, and lets a test hold it up while it reads."""

    def __init__(self, octets: bytes) -> None:
        super().__init__(fileobj=io.BytesIO(gzip.compress(octets, 1)))
        self.threads: list[int] = []
        self.reading, self.go_on = threading.Event(), threading.Event()
        self.is_torn = False
        self.go_on.set()

    def read(self, size: int | None = -1) -> bytes:
        self.reading.set()
        assert self.go_on.wait(30)
        return super().read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        self.threads.append(threading.get_ident())
        if self.is_torn:
            raise OSError("torn")
        return super().seek(offset, whence)


@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_file_that_reads_to_seek_is_put_back_in_a_thread(wrapped: bool) -> None:
    unpacked = Unpacked(OCTETS * 2)
    file: Any = io.BufferedReader(unpacked) if wrapped else unpacked
    file.seek(5)
    source = FileSource(file)
    unpacked.threads.clear()
    await begin(source)
    assert len(unpacked.threads) >= 2
    assert threading.get_ident() not in unpacked.threads
    assert file.tell() == 5
    assert b"".join(await read(source)) == (OCTETS * 2)[5:]


async def test_a_file_that_reads_to_seek_is_put_back_to_its_beginning_at_once() -> None:
    file = Unpacked(OCTETS * 2)
    await begin(FileSource(file))
    assert file.threads[-1] == threading.get_ident()
    assert file.tell() == 0


async def test_a_file_that_reads_to_seek_and_cannot_is_not_read_on() -> None:
    file = Unpacked(OCTETS * 2)
    file.seek(5)
    source = FileSource(file)
    async with aclosing(source.pieces()) as pieces:
        await anext(pieces)
        file.is_torn = True
    file.is_torn = False
    with pytest.raises(SourceFailed, match=r"^the file cannot be read again: it does not seek, or was not put back$"):
        await read(source)


async def test_a_file_that_reads_to_seek_is_not_read_on_after_a_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    remembered = asyncio.Event()

    def remember(given: object) -> None:
        remember_begun(given)
        remembered.set()

    monkeypatch.setattr("mailwire.message.file_source.remember_begun", remember)
    file = Unpacked(OCTETS * 2)
    file.seek(5)
    file.reading.clear()
    file.go_on.clear()
    source = FileSource(file)
    file.threads.clear()
    task = asyncio.create_task(read(source))
    await asyncio.to_thread(file.reading.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    file.go_on.set()
    await remembered.wait()
    assert threading.get_ident() not in file.threads
    with pytest.raises(SourceFailed, match=r"^the file cannot be read again: it does not seek, or was not put back$"):
        await read(source)


async def test_a_file_that_cannot_be_put_back_is_not_read_on() -> None:
    class Torn(io.BytesIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            if self.tell():
                raise OSError("torn")
            return super().seek(offset, whence)

    file = Torn(OCTETS * 2)
    await begin(FileSource(file))
    with pytest.raises(SourceFailed, match=r"^the file cannot be read again: it does not seek, or was not put back$"):
        FileSource(file)


async def test_a_file_that_cannot_seek_is_not_read_on() -> None:
    file = Plain(b"a", b"b", b"", b"c")
    source, other = FileSource(file), FileSource(file)
    await begin(source)
    with pytest.raises(SourceFailed, match=r"^the file cannot be read again: it does not seek, or was not put back$"):
        FileSource(file)
    with pytest.raises(SourceFailed, match=r"^the file cannot be read again: it does not seek, or was not put back$"):
        await read(other)
    whole = Plain(b"a", b"", b"c")
    assert await read(FileSource(whole)) == [b"a"]
    assert await read(FileSource(whole)) == [b"c"]  # a terminal, say


class Blocks(Counting):
    """An iterator of blocks, asynchronous or not, that is no generator."""

    async def __anext__(self) -> bytes:
        return await super().__anext__() * 100_000


USED_UP = r"^the iterable cannot be read again: it is used up$"


@pytest.mark.parametrize("make", [lambda: pieces_of(OCTETS, 90_000), lambda: awaited(OCTETS, 90_000), Blocks])
async def test_an_iterator_is_not_read_on(make: Callable[[], Any]) -> None:
    iterator = make()
    source, other = IterableSource(iterator), IterableSource(iterator)
    await begin(source)
    with pytest.raises(SourceFailed, match=USED_UP):
        IterableSource(iterator)
    with pytest.raises(SourceFailed, match=USED_UP):
        await read(other)


async def test_an_iterator_of_which_the_reading_fails_is_not_read_on() -> None:
    class Failing(Blocks):
        async def __anext__(self) -> bytes:
            if self.left == 1:
                raise OSError("torn")
            return await super().__anext__()

    iterator = Failing()
    with pytest.raises(SourceFailed, match="torn"):
        await read(IterableSource(iterator))
    with pytest.raises(SourceFailed, match=USED_UP):
        IterableSource(iterator)


async def test_what_was_read_to_its_end_may_be_given_again() -> None:
    iterator = Counting()
    assert await read(IterableSource(iterator)) == [b"xxx"]
    iterator.left = 1  # as one of a queue, which has the next message
    assert await read(IterableSource(iterator)) == [b"x"]


async def test_an_iterable_that_is_no_iterator_may_be_given_again() -> None:
    again = Again()
    async with aclosing(IterableSource(again).pieces()) as pieces:
        await anext(pieces)
    assert await read(IterableSource(again)) == [b"xxx"]


async def test_an_iterator_of_python_s_own_is_not_kept_in_memory() -> None:
    blocks = iter([OCTETS, OCTETS])
    await begin(IterableSource(blocks))
    assert await read(IterableSource(blocks)) == await read(MemorySource(OCTETS))  # nothing can remember it
