"""An mbox: locked, quoted, and whole or as it was."""

import asyncio
import errno
import fcntl
import mailbox
import os
import re
import stat
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailwire.errors import ConnectionLost
from mailwire.maildrop import Mail, MboxSink, claims, mbox
from mailwire.maildrop.durability import sync_file
from mailwire.maildrop.mbox import FromQuoter
from tests.clock import Clock
from tests.maildrop.mails import deliver, mail, split

MESSAGE = b"Subject: x\r\n\r\nHello\r\n"
FROM = rb"From MAILER-DAEMON \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mbox"


async def test_messages_follow_each_other_with_the_line_ends_of_files(path: Path) -> None:
    await deliver(MboxSink(path), mail(split(MESSAGE, 5)), mail(b"Subject: y\r\n\r\nno end"))

    expected = FROM + rb"Subject: x\n\nHello\n\n" + FROM + rb"Subject: y\n\nno end\n\n"
    assert re.fullmatch(expected, path.read_bytes())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["mbox"]


async def test_it_stays_where_it_is_when_the_process_goes_elsewhere(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    sink = MboxSink("mbox")
    await deliver(sink, mail(MESSAGE, "1"))
    path.with_name("other").mkdir()
    monkeypatch.chdir("other")
    await deliver(sink, mail(MESSAGE, "2"))

    assert sink.path == path
    assert path.read_bytes().count(b"Hello\n\n") == 2


def test_there_is_a_path() -> None:
    with pytest.raises(ValueError, match="expected the path of a file or folder, got ''"):
        MboxSink("")


async def test_the_standard_library_reads_it(path: Path) -> None:
    body = b"From here to there\r\n>From a\r\nx From y\r\n"
    await deliver(MboxSink(path), mail(MESSAGE), mail(b"Subject: y\r\n\r\n" + body), mail(MESSAGE))

    box = mailbox.mbox(path, create=False)
    assert [message["Subject"] for message in box] == ["x", "y", "x"]
    assert list(box)[1].get_payload() == ">From here to there\n>>From a\nx From y\n"
    box.close()


@pytest.mark.parametrize(
    ("before", "between"),
    [(b"", b""), (b"\n", b"\n"), (b"x", b"\n\n"), (b"x\n", b"\n"), (b"x\n\n", b""), (b"\n\n", b"")],
)
async def test_a_blank_line_is_before_every_message(path: Path, before: bytes, between: bytes) -> None:
    path.write_bytes(before)
    await deliver(MboxSink(path), mail(MESSAGE))

    assert re.fullmatch(re.escape(before + between) + FROM + b"Subject: x\n\nHello\n\n", path.read_bytes())


async def test_an_empty_message_is_one(path: Path) -> None:
    await deliver(MboxSink(path), mail([]), mail(MESSAGE))

    assert re.fullmatch(FROM + b"\n\n" + FROM + b"Subject: x\n\nHello\n\n", path.read_bytes())


# Quoting


def quoted(blocks: list[bytes]) -> bytes:
    quoter = FromQuoter()
    return b"".join([*map(quoter.feed, blocks), quoter.finish()])


@given(
    st.lists(st.lists(st.sampled_from([b"From ", b"Fro", b"m ", b">", b"\n", b"x", b"F"]), max_size=5).map(b"".join))
)
@example([b"x", b"From \n"])
@example([b"x", b"y\n", b"From "])
@example([b"x", b"y\nFrom \n"])
@example([b"x\n" * 100_000 + b"Fro", b"m a\n"])
@example([b"x\n>", b">From a\n"])
def test_lines_are_quoted_however_they_are_cut(blocks: list[bytes]) -> None:
    text = b"".join(blocks)
    assert quoted(blocks) == re.sub(rb"(?m)^(>*From )", rb">\1", text)
    assert re.sub(rb"(?m)^>(>*From )", rb"\1", quoted(blocks)) == text


def test_a_line_of_nothing_but_quotes_is_not_kept_in_memory() -> None:
    quoter, held, most = FromQuoter(), 0, 0
    for _ in range(64):
        held += 65536 - len(quoter.feed(b">" * 65536))
        most = max(most, held)

    assert (held, most) == (0, 3 * 65536)


# Locked


HOLDER = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.lockf(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.readline()
"""


@contextmanager
def locked_elsewhere(path: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield other


async def test_a_file_that_another_program_has_locked_is_waited_for(path: Path) -> None:
    with locked_elsewhere(path) as other:
        with pytest.raises(BlockingIOError, match="another program has the file locked") as caught:
            await deliver(MboxSink(path, patience=0), mail(MESSAGE))
        assert caught.value.errno == errno.EAGAIN
        assert str(caught.value).endswith(f"] another program has the file locked: '{path}'")
        waiting = asyncio.create_task(deliver(MboxSink(path), mail(MESSAGE)))
        other.communicate("\n")
        await waiting

    assert path.read_bytes().endswith(b"Hello\n\n")


@pytest.mark.parametrize(("patience", "seconds"), [(None, 30), (0, 0), (1, 1), (0.5, 0.5)])
async def test_as_long_is_waited_as_there_is_patience(
    path: Path, monkeypatch: pytest.MonkeyPatch, patience: float | None, seconds: float
) -> None:
    pauses: list[float] = []

    async def sleep(pause: float) -> None:
        pauses.append(pause)

    path.with_name("mbox.lock").touch()
    monkeypatch.setattr(mbox, "asyncio", SimpleNamespace(sleep=sleep, Lock=asyncio.Lock))
    with pytest.raises(BlockingIOError):
        await deliver(MboxSink(path) if patience is None else MboxSink(path, patience=patience), mail(MESSAGE))
    assert seconds - 0.01 < sum(pauses) < seconds + 0.11
    assert bool(pauses) is bool(seconds)


async def test_without_an_end_to_the_patience_it_is_waited_for_as_long_as_it_takes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, pauses = path.with_name("mbox.lock"), list[float]()

    async def sleep(pause: float) -> None:
        pauses.append(pause)
        if len(pauses) == 1_000:
            lock.unlink()

    lock.touch()
    monkeypatch.setattr(mbox, "asyncio", SimpleNamespace(sleep=sleep, Lock=asyncio.Lock))
    await deliver(MboxSink(path, patience=None), mail(MESSAGE))
    assert len(pauses) == 1_000
    assert path.read_bytes().endswith(b"Hello\n\n")


@pytest.mark.parametrize(
    ("patience", "told"),
    [
        ("30", "expected patience to be a number of seconds or None, got '30' (str)"),
        (True, "expected patience to be a number of seconds or None, got True (bool)"),
        (-0.5, "expected patience to be 0 at least, got -0.5"),
        (float("nan"), "expected patience to be 0 at least, got nan"),
    ],
)
def test_a_patience_is_a_time(path: Path, patience: Any, told: str) -> None:
    with pytest.raises(ValueError, match=r"^expected patience") as caught:
        MboxSink(path, patience=patience)
    assert str(caught.value) == told


async def test_the_wait_has_an_end(path: Path) -> None:
    path.with_name("mbox.lock").touch()
    waiting, clock = asyncio.create_task(deliver(MboxSink(path, patience=1), mail(MESSAGE))), Clock()
    while not waiting.done():
        await clock.advance(0.05)
    with pytest.raises(BlockingIOError):
        await waiting
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    ("content", "age", "left_over"), [(b"0", 0, False), (b"0", 901, True), (b"mailwire\n", 0, True)]
)
async def test_a_lock_of_a_program_that_is_no_more_is_taken_over(
    path: Path, content: bytes, age: int, left_over: bool
) -> None:
    lock = path.with_name("mbox.lock")
    lock.write_bytes(content)
    os.utime(lock, (0, time.time() - age))
    sink = MboxSink(path, patience=0)
    if not left_over:
        with pytest.raises(BlockingIOError):
            await deliver(sink, mail(MESSAGE))
        lock.unlink()
    await deliver(sink, mail(MESSAGE))
    assert not lock.exists()


async def test_a_lock_that_cannot_be_read_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # mutt makes such a one. Who runs the tests may be allowed to read all.
    def refuse(lock: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(lock))

    lock = path.with_name("mbox.lock")
    lock.touch(0)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(BlockingIOError, match="another program has the file locked"):
        await deliver(MboxSink(path, patience=0), mail(MESSAGE))
    os.utime(lock, (0, time.time() - 16 * 60))
    await deliver(MboxSink(path, patience=0), mail(MESSAGE))
    assert not lock.exists()


async def test_where_files_cannot_be_locked_the_other_lock_is_trusted_longer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mbox, "LOCKING", claims.WindowsLocking(None))
    path.with_name("mbox.lock").write_bytes(b"mailwire\n")
    with pytest.raises(BlockingIOError):
        await deliver(MboxSink(path, patience=0), mail(MESSAGE))


async def test_the_file_is_locked_both_ways_while_it_is_written_to(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[object] = []

    def look(descriptor: int) -> None:
        lock = path.with_name("mbox.lock")
        found.extend([lock.read_bytes(), stat.S_IMODE(lock.stat().st_mode)])
        program = "import fcntl, sys\ntry: fcntl.lockf(open(sys.argv[1], 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        program += "except BlockingIOError: print('locked')"
        found.append(subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, check=True).stdout)
        sync_file(descriptor)

    monkeypatch.setattr(mbox, "sync_file", look)
    await deliver(MboxSink(path), mail(MESSAGE))

    assert found == [b"mailwire\n", 0o600, b"locked\n"]


@pytest.mark.parametrize("is_replaced", [True, False])
async def test_what_another_program_has_put_in_the_place_of_the_file_is_written_to(
    path: Path, monkeypatch: pytest.MonkeyPatch, is_replaced: bool
) -> None:
    path.write_bytes(b"before")
    other = path.with_name("other")
    other.write_bytes(b"")
    old = os.open(path, os.O_RDONLY)
    lock_whole = claims.LOCKING.lock_whole

    def lock(descriptor: int) -> bool:
        if other.exists():  # it is the first time, and behind the opening
            os.replace(other, path)
            if not is_replaced:
                path.unlink()
        return lock_whole(descriptor)

    monkeypatch.setattr(mbox, "LOCKING", SimpleNamespace(lock_whole=lock, locks_whole=True))
    await deliver(MboxSink(path), mail(MESSAGE))
    assert os.read(old, 100) == b"before"
    os.close(old)
    assert re.fullmatch(FROM + rb"Subject: x\n\nHello\n\n", path.read_bytes())


async def test_a_lock_that_another_removes_is_no_trouble(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def remove(descriptor: int) -> None:
        path.with_name("mbox.lock").unlink()
        sync_file(descriptor)

    monkeypatch.setattr(mbox, "_is_left_over", bool)  # it was, and another has removed it since
    monkeypatch.setattr(mbox, "sync_file", remove)
    await deliver(MboxSink(path), mail(MESSAGE))
    assert path.read_bytes().endswith(b"Hello\n\n")


@pytest.mark.parametrize(("age", "left_over"), [(15 * 60, False), (15 * 60 + 1, True)])
async def test_a_lock_is_that_of_a_program_at_work_for_a_quarter_of_an_hour(
    path: Path, monkeypatch: pytest.MonkeyPatch, age: int, left_over: bool
) -> None:
    lock = path.with_name("mbox.lock")
    lock.touch()
    os.utime(lock, (0, 2_000_000_000 - age))
    now = SimpleNamespace(time=lambda: 2_000_000_000, asctime=time.asctime, gmtime=time.gmtime)
    monkeypatch.setattr(mbox, "time", now)
    with nullcontext() if left_over else pytest.raises(BlockingIOError):
        await deliver(MboxSink(path, patience=0), mail(MESSAGE))
    assert lock.exists() is not left_over


async def test_sinks_of_one_process_keep_each_other_out_of_one_file_and_of_no_other(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes, goes_on = threading.Event(), threading.Event()

    def sync(descriptor: int) -> None:
        if not writes.is_set():
            writes.set()
            goes_on.wait(10)
        sync_file(descriptor)

    monkeypatch.setattr(mbox, "sync_file", sync)
    first = asyncio.create_task(deliver(MboxSink(path), mail(MESSAGE)))
    await asyncio.to_thread(writes.wait, 10)
    try:
        with pytest.raises(BlockingIOError):
            await deliver(MboxSink(path, patience=0), mail(MESSAGE))
        await deliver(MboxSink(path.with_name("other"), patience=0), mail(MESSAGE))
    finally:
        goes_on.set()
        await first
    assert path.read_bytes().count(b"Subject") == path.with_name("other").read_bytes().count(b"Subject") == 1


async def test_two_sinks_of_one_process_do_not_mix(path: Path) -> None:
    await asyncio.gather(*(deliver(MboxSink(path), *(mail(MESSAGE) for _ in range(5))) for _ in range(4)))

    assert re.fullmatch((FROM + b"Subject: x\n\nHello\n\n") * 20, path.read_bytes())


@pytest.mark.parametrize(("number", "goes_on"), [(errno.EACCES, True), (errno.EROFS, True), (errno.ENOSPC, False)])
async def test_where_no_lock_file_may_be_made_the_other_lock_must_do(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, goes_on: bool
) -> None:
    real = os.open

    def refuse(name: Any, *args: Any) -> int:
        if str(name).endswith(".lock"):
            raise OSError(number, os.strerror(number))
        return real(name, *args)

    monkeypatch.setattr(os, "open", refuse)
    if goes_on:
        await deliver(MboxSink(path), mail(MESSAGE))
    else:
        with pytest.raises(OSError, match="No space"):
            await deliver(MboxSink(path), mail(MESSAGE))
    assert path.read_bytes().count(b"Subject") == goes_on


# Whole or as it was


async def test_a_message_that_is_cut_off_leaves_no_trace(path: Path) -> None:
    with pytest.raises(ConnectionLost):
        await deliver(MboxSink(path), mail([MESSAGE], error=ConnectionLost("gone")))
    assert not path.exists()


@pytest.mark.parametrize("at", [1, 2, 3])
async def test_what_cannot_be_written_whole_is_cut_off_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    await deliver(MboxSink(path), mail(MESSAGE))
    before = path.read_bytes()
    calls = 0
    real = os.write

    def write(descriptor: int, octets: bytes) -> int:
        nonlocal calls
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            calls += 1
            if calls == at:
                real(descriptor, octets[:3])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, octets)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space"):
        await deliver(MboxSink(path), mail(MESSAGE))

    assert path.read_bytes() == before
    assert not path.with_name("mbox.lock").exists()


async def test_a_large_message_is_not_held_in_memory(path: Path) -> None:
    async def blocks() -> AsyncIterator[bytes]:
        for _ in range(150):
            yield b"x" * 65000 + b"\r\n"

    large = Mail("b", 1, "u", 0, "0" * 64, blocks())
    tracemalloc.start()
    try:
        await deliver(MboxSink(path), large)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000

    first, rest = path.read_bytes().split(b"\n", 1)
    assert re.fullmatch(FROM, first + b"\n")
    assert rest == (b"x" * 65000 + b"\n") * 150 + b"\n"


def test_the_lock_of_fcntl_is_there() -> None:
    assert isinstance(claims.LOCKING, claims.PosixLocking)
    assert claims.LOCKING.locks_whole
    assert fcntl is claims.LOCKING._fcntl
