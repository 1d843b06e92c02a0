"""A Maildir: whole, durable, and the same mail once."""

import asyncio
import errno
import gc
import mailbox
import os
import re
import stat
import threading
import tracemalloc
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mailwire.errors import ConnectionLost
from mailwire.maildrop import Mail, Maildir, maildir
from tests.maildrop.mails import deliver, mail, split

MESSAGE = b"Subject: x\r\n\r\nHello\r\n"
OTHER = b"Subject: y\r\n\r\nHello\r\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "Mail"


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the folders that are looked through."""
    names: list[str] = []
    scandir = os.scandir

    def counting(folder: Path) -> Any:
        names.append(Path(folder).name)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", counting)
    return names


def files(path: Path, *folders: str) -> list[bytes]:
    """The contents of the files in these folders, of all three by default."""
    return sorted(
        file.read_bytes() for folder in folders or ("tmp", "new", "cur") for file in (path / folder).glob("*")
    )


async def test_messages_are_stored_octet_for_octet_in_new(path: Path) -> None:
    hostile = bytes(range(256)) * 4 + b"\r\n.\r\nFrom x\r\n\0"
    await deliver(Maildir(path), mail(split(MESSAGE, 5), "1"), mail(hostile, "2"), mail([], "3"))

    assert files(path, "new") == sorted([MESSAGE, hostile, b""])
    assert files(path) == files(path, "new")


async def test_it_stays_where_it_is_when_the_process_goes_elsewhere(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sink = Maildir("deep/Mail")
    await deliver(sink, mail(MESSAGE, "1"))
    (tmp_path / "other").mkdir()
    monkeypatch.chdir("other")
    await deliver(sink, mail(OTHER, "2"))

    assert sink.path == path
    assert files(path, "new") == [MESSAGE, OTHER]


def test_there_is_a_path() -> None:
    with pytest.raises(ValueError, match="expected the path of a file or folder, got ''"):
        Maildir("")


async def test_the_standard_library_reads_it(path: Path) -> None:
    await deliver(Maildir(str(path), line_ends="lf"), mail(MESSAGE, "1"), mail(OTHER, "2"))

    messages = list(mailbox.Maildir(path, create=False).itervalues())
    assert sorted(message["Subject"] for message in messages) == ["x", "y"]
    assert {message.get_subdir() for message in messages} == {"new"}


async def test_messages_are_for_their_owner_alone(path: Path) -> None:
    await deliver(Maildir(path), mail(MESSAGE))

    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    (file,) = (path / "new").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("uid", ["../../escape", "/etc/passwd", "a\0b", ".", "", "x" * 100_000, "a:2,S", "con", "ä\n"])
async def test_a_uid_is_no_part_of_a_file_name(path: Path, uid: str) -> None:
    await deliver(Maildir(path), mail(MESSAGE, uid, "../account\0/x"))

    (file,) = (path / "new").iterdir()
    assert re.fullmatch(r"\d+\.P\d+Q\d+R[0-9a-f]{16}K[0-9a-f]{32}\.mailwire", file.name)
    assert {each.name for each in path.parent.iterdir()} == {"Mail"}


async def test_a_process_of_the_same_number_elsewhere_is_in_nobodys_way(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maildir, "time", SimpleNamespace(time=lambda: 1.5))
    monkeypatch.setattr(os, "getpid", lambda: 1)
    for contents in ((MESSAGE, OTHER), (OTHER, MESSAGE)):
        monkeypatch.setattr(maildir, "_serial", count(1))  # as in a container of its own
        one = mail(contents[0], "1")
        await Maildir(path).store(one)
        monkeypatch.setattr(maildir, "_serial", count(1))
        await deliver(Maildir(path), mail(contents[1], "2"))

    assert files(path, "new") == [MESSAGE, OTHER]
    assert len(files(path, "tmp")) == 2


@pytest.mark.parametrize("folder", ["new", "cur"])
async def test_a_message_whose_name_has_no_part_of_chance_is_known(path: Path, folder: str) -> None:
    await deliver(Maildir(path), mail(OTHER, "2"))
    (path / folder / f"1700000000.P123Q000001K{mail(MESSAGE).key[:32]}.mailwire").write_bytes(MESSAGE)
    await deliver(Maildir(path), mail(MESSAGE))

    assert files(path) == [MESSAGE, OTHER]


async def test_names_are_in_the_order_of_delivery(path: Path) -> None:
    contents = [b"%d" % number for number in range(20)]
    await deliver(Maildir(path), *(mail(content, content.decode()) for content in contents))

    assert [file.read_bytes() for file in sorted((path / "new").iterdir())] == contents


# Once and no more


async def test_a_message_that_comes_again_is_not_stored_again(path: Path) -> None:
    await deliver(Maildir(path), mail(MESSAGE))
    for again in (Maildir(path), Maildir(path)):
        await deliver(again, mail(MESSAGE), mail(MESSAGE))
        await deliver(again, mail(MESSAGE))

    assert files(path) == [MESSAGE]


async def test_what_one_object_has_stored_it_knows(path: Path) -> None:
    sink = Maildir(path)
    for _ in range(3):
        await deliver(sink, mail(MESSAGE))
    assert files(path) == [MESSAGE]


@pytest.mark.parametrize("flags", [None, ":2,S"])
async def test_what_another_process_has_stored_meanwhile_is_known(path: Path, flags: str | None) -> None:
    sink = Maildir(path)
    await deliver(sink, mail(MESSAGE))
    await deliver(Maildir(path), mail(OTHER, "2"))
    if flags is not None:
        (file,) = (file for file in (path / "new").iterdir() if file.read_bytes() == OTHER)
        file.rename(path / "cur" / f"{file.name}{flags}")
    for folder in ("new", "cur"):
        os.utime(path / folder, (0, 0))  # the clock of the file system may not have ticked since
    await deliver(sink, mail(OTHER, "2"))

    assert files(path) == [MESSAGE, OTHER]


async def test_what_another_process_has_put_in_cur_alone_is_known(path: Path, tmp_path: Path) -> None:
    sink = Maildir(path)
    await deliver(sink, mail(MESSAGE))
    await deliver(Maildir(tmp_path / "other"), mail(OTHER, "2"))
    (file,) = (tmp_path / "other" / "new").iterdir()
    file.rename(path / "cur" / f"{file.name}:2,S")
    os.utime(path / "cur", (0, 0))  # the clock of the file system may not have ticked since
    await deliver(sink, mail(OTHER, "2"))

    assert files(path) == [MESSAGE, OTHER]


async def test_a_folder_is_looked_through_once_while_nobody_else_writes(path: Path, looked_at: list[str]) -> None:
    sink = Maildir(path)
    for uid in ("1", "2", "3"):
        await deliver(sink, mail(MESSAGE, uid))

    assert looked_at == ["tmp", "new", "cur"]


async def test_a_folder_is_looked_through_once_more_for_all_that_comes_again(path: Path, looked_at: list[str]) -> None:
    uids = [str(number) for number in range(8)]
    await deliver(Maildir(path), *(mail(MESSAGE, uid) for uid in uids))
    looked_at.clear()
    sink = Maildir(path)
    for uid in uids:
        await deliver(sink, mail(MESSAGE, uid))
        await deliver(sink, mail(MESSAGE, uid), mail(MESSAGE, f"{uid} is new"), mail(OTHER, f"{uid} is new"))
    assert looked_at == ["tmp", "new", "cur", "new", "cur"]
    assert len(files(path, "new")) == 24

    # What was moved or deleted within a tick of the clock is looked for.
    for file in (path / "new").iterdir():
        if file.read_bytes() == MESSAGE:
            file.rename(path / "cur" / f"{file.name}:2,S")
        else:
            file.unlink()
    looked_at.clear()
    sink._looked_at = {folder: maildir._version(path / folder) for folder in ("new", "cur")}
    for uid in uids:
        await deliver(sink, mail(MESSAGE, uid))
    assert looked_at == ["new", "cur"]
    assert (len(files(path, "new")), len(files(path, "cur"))) == (0, 16)

    # What is new comes between.
    looked_at.clear()
    await deliver(sink, mail(MESSAGE, "fresh"))
    await deliver(sink, mail(MESSAGE, "1"), mail(MESSAGE, "fresh"))
    assert looked_at == []
    assert (len(files(path, "new")), len(files(path, "cur"))) == (1, 16)


async def test_what_was_looked_through_is_held_no_longer_than_mail_comes(
    path: Path, looked_at: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Maildir(path)
    await deliver(sink, mail(MESSAGE))
    await deliver(sink, mail(MESSAGE))
    assert sink._files is not None

    monkeypatch.setattr(maildir, "_IDLE", 0)
    await deliver(sink, mail(MESSAGE))
    await asyncio.sleep(0.01)
    assert sink._files is None
    looked_at.clear()
    await deliver(sink, mail(MESSAGE))
    assert looked_at == ["new", "cur"]
    assert files(path) == [MESSAGE]


def test_what_was_looked_through_serves_another_event_loop(path: Path, looked_at: list[str]) -> None:
    sink = Maildir(path)
    for _ in range(4):
        asyncio.run(deliver(sink, mail(MESSAGE)))
    assert looked_at == ["tmp", "new", "cur", "new", "cur"]
    assert files(path) == [MESSAGE]


async def test_of_a_group_all_that_is_not_there_is_stored(path: Path) -> None:
    await deliver(Maildir(path), mail(MESSAGE))
    await deliver(Maildir(path), mail(MESSAGE), mail(OTHER, "2"))

    assert files(path) == [MESSAGE, OTHER]


async def test_a_large_message_that_comes_again_is_not_stored_again(path: Path) -> None:
    blocks = [b"x" * 65536] * 9
    await deliver(Maildir(path), mail(blocks))
    await deliver(Maildir(path), mail(blocks))

    assert files(path) == [b"".join(blocks)]


@pytest.mark.parametrize("flags", [":2,S", "!2,RS", ";2,", ":2,T,x=1"])
async def test_a_message_that_was_read_meanwhile_is_known(path: Path, flags: str) -> None:
    sink = Maildir(path)
    await deliver(sink, mail(MESSAGE))
    (file,) = (path / "new").iterdir()
    file.rename(path / "cur" / f"{file.name}{flags}")

    await deliver(Maildir(path), mail(MESSAGE))
    await deliver(sink, mail(MESSAGE))

    assert files(path) == [MESSAGE]


async def test_what_is_gone_when_it_is_looked_at_is_stored_again(path: Path) -> None:
    await deliver(Maildir(path), mail(OTHER, "2"))
    # A link to nothing is found as what another program moves is, and is not there.
    (path / "cur" / f"1.P1Q1K{mail(MESSAGE).key[:32]}.mailwire:2,S").symlink_to(path / "gone")
    await deliver(Maildir(path), mail(MESSAGE))

    assert files(path, "new") == [MESSAGE, OTHER]


async def test_what_was_deleted_and_comes_again_is_stored_again(path: Path) -> None:
    sink = Maildir(path)
    await deliver(sink, mail(MESSAGE))
    (file,) = (path / "new").iterdir()
    file.unlink()

    await deliver(sink, mail(MESSAGE))
    assert files(path) == [MESSAGE]


@pytest.mark.parametrize("other", [OTHER, MESSAGE + b"\r\n", b""])
async def test_another_message_under_the_same_uid_is_stored_beside(path: Path, other: bytes) -> None:
    for _ in range(3):
        await deliver(Maildir(path), mail(MESSAGE), mail(other))

    assert files(path) == sorted([MESSAGE, other])
    assert len(list((path / "new").glob("*-*.mailwire"))) == 1


async def test_the_uids_of_other_accounts_and_previews_are_other_messages(path: Path) -> None:
    await deliver(Maildir(path), mail(MESSAGE), mail(MESSAGE, account="other"), mail(MESSAGE, is_preview=True))

    assert files(path) == [MESSAGE] * 3


async def test_what_others_put_there_is_no_matter(path: Path) -> None:
    await deliver(Maildir(path), mail(MESSAGE))
    (file,) = (path / "new").iterdir()
    key = mail(MESSAGE).key[:32]
    for name in (f"1.P1Q1K{key}.mailwirework", f"x{file.name}", f"1.P1Q1K{key[:-1]}.mailwire", "1.2.host:2,S"):
        (path / "cur" / name).write_bytes(b"")

    await deliver(Maildir(path), mail(MESSAGE))
    assert files(path, "new") == [MESSAGE]


async def test_many_accounts_can_share_one_maildir_at_once(path: Path) -> None:
    sink = Maildir(path)

    async def run(account: str) -> None:
        for start in range(0, 20, 5):
            await deliver(sink, *(mail(MESSAGE, str(number), account) for number in range(start, start + 5)))

    await asyncio.gather(*(run(f"account {number}") for number in range(8)))
    assert files(path) == [MESSAGE] * 160


@pytest.mark.parametrize(("uid", "most"), [("new", 150), ("7", 700)])
async def test_of_what_is_in_a_maildir_little_is_kept_in_memory_and_nothing_once_it_is_gone(
    path: Path, uid: str, most: int
) -> None:
    count = 5_000
    await deliver(Maildir(path), mail(MESSAGE))
    for number in range(count):
        key = mail(MESSAGE, str(number)).key[:32]
        (path / "cur" / f"1700000000.P123Q{number:06}K{key}.mailwire:2,S").touch()
    sink = Maildir(path)
    tracemalloc.start()
    try:
        await deliver(sink, mail(MESSAGE, uid))
        held, _ = tracemalloc.get_traced_memory()
        for file in (path / "cur").iterdir():
            file.unlink()
        await deliver(sink, mail(MESSAGE, "newer"))
        gc.collect()  # what is garbage is not kept
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < most * count
    assert left < held - 50 * count


# Not whole, not stored


async def test_a_message_that_is_cut_off_leaves_nothing(path: Path) -> None:
    sink = Maildir(path)
    for blocks in ([], [b"x"], [b"x" * 1_000_000, b"y"]):
        with pytest.raises(ConnectionLost):
            await sink.store(mail(blocks, error=ConnectionLost("gone")))

    assert files(path) == []


async def test_what_is_not_settled_is_not_there(path: Path) -> None:
    sink = Maildir(path)
    one, other = mail(MESSAGE, "1"), mail(MESSAGE, "2")
    await sink.store(one)
    await sink.store(other)
    assert files(path, "new", "cur") == []

    await sink.discard([one])
    await sink.settle([other])
    assert files(path) == [MESSAGE]
    assert sink._written == {}


async def test_what_was_not_stored_here_is_neither_settled_nor_discarded(path: Path) -> None:
    sink = Maildir(path)
    one, other, unknown = mail(MESSAGE, "1"), mail(MESSAGE, "2"), mail(MESSAGE, "3")
    for each in (one, other):
        await sink.store(each)
    await sink.discard([unknown, one])
    assert len(files(path, "tmp")) == 1
    await sink.settle([unknown, other])
    assert files(path) == files(path, "new") == [MESSAGE]
    assert sink._written == {}


async def test_mail_that_is_stored_as_another_is_not_taken_for_settled(path: Path) -> None:
    sink = Maildir(path)
    told, stored, elsewhere = mail(MESSAGE, "1"), mail(OTHER, "1"), mail(OTHER, "1", "another account")
    await sink.store(elsewhere)
    await sink.settle([told])
    await sink.store(stored)
    with_it = mail(MESSAGE, "2")
    await sink.store(with_it)
    told_so = re.escape("there is mail of this account that was stored here and is not settled: is it this?")
    with pytest.raises(LookupError, match=f"^{told_so}$"):
        await sink.settle([with_it, told])
    assert list(sink._written) == [elsewhere, stored]
    assert (len(files(path, "tmp")), files(path, "new")) == (2, [])


async def test_some_of_what_was_stored_can_be_settled_before_the_rest(path: Path) -> None:
    sink = Maildir(path)
    first, second = mail(MESSAGE, "1"), mail(OTHER, "2")
    for each in (first, second):
        await sink.store(each)
    await sink.settle([first])
    assert files(path, "new") == [MESSAGE]
    await sink.settle([second])
    assert files(path) == files(path, "new") == [MESSAGE, OTHER]


async def test_what_nobody_will_settle_is_safe_when_it_is_stored(path: Path) -> None:
    alone = mail(MESSAGE)
    alone.will_be_settled = False
    sink = Maildir(path)
    await sink.store(alone)
    assert files(path, "new") == [MESSAGE]
    assert sink._written == {}


async def test_a_large_message_is_written_piece_by_piece(path: Path) -> None:
    sink = Maildir(path)
    blocks = [bytes([number]) * 65536 for number in range(40)]
    seen: list[int] = []

    class Watched(Mail):
        async def __aiter__(self) -> Any:
            async for block in super().__aiter__():
                seen.append(sum(file.stat().st_size for file in (path / "tmp").iterdir()))
                yield block

    plain = mail(blocks)
    await deliver(sink, Watched("a", 1, "u", 0, "0" * 64, plain._blocks))

    assert files(path, "new") == [b"".join(blocks)]
    # What is in the file falls behind what has come by less than a piece.
    assert all((number + 1) * 65536 - written <= 256 * 1024 for number, written in enumerate(seen))


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The named calls of the system fail from now on."""
    failing: list[str] = []
    for name in ("write", "fsync", "link", "open"):
        real = getattr(os, name)

        def call(*args: Any, name: str = name, real: Any = real, **kwargs: Any) -> Any:
            if name in failing:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, call)
    monkeypatch.setattr("mailwire.maildrop.durability._full_sync", os.fsync)
    yield failing
    failing.clear()


@pytest.mark.parametrize("call", ["write", "fsync", "link", "open"])
async def test_a_full_disk_stores_nothing_and_says_so(path: Path, full_disk: list[str], call: str) -> None:
    sink = Maildir(path)
    await deliver(sink, mail(OTHER, "before"))
    full_disk.append(call)
    with pytest.raises(OSError, match="No space left"):
        await deliver(sink, mail(MESSAGE, "1"), mail(MESSAGE, "2"))
    full_disk.clear()
    if (waiting := list(sink._written)) and call == "open":
        await sink.discard(waiting)

    assert files(path) == [OTHER]
    await deliver(sink, mail(MESSAGE, "1"), mail(MESSAGE, "2"))
    assert files(path) == [MESSAGE, MESSAGE, OTHER]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
async def test_without_links_files_are_renamed(path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def link(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    await deliver(Maildir(path), mail(MESSAGE), mail(OTHER, "2"), mail(MESSAGE))

    assert files(path) == [MESSAGE, OTHER]


async def test_every_step_is_durable_before_the_next(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    for name in ("sync_file", "sync_folder", "_move"):
        real = getattr(maildir, name)

        def call(*args: Any, name: str = name, real: Any = real) -> None:
            steps.append(f"{name} {args[0].name}" if name == "sync_folder" else name)
            real(*args)

        monkeypatch.setattr(maildir, name, call)
    await deliver(Maildir(path), mail(MESSAGE, "1"), mail(MESSAGE, "2"))

    assert steps == ["sync_file", "sync_file", "_move", "_move", "sync_folder new"]


@pytest.mark.parametrize("turns", range(0, 40, 3))
async def test_a_cancellation_leaves_whole_messages_or_none(path: Path, turns: int) -> None:
    sink = Maildir(path)
    task = asyncio.create_task(deliver(sink, mail(split(MESSAGE * 100, 50), "1"), mail(MESSAGE * 100, "2")))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await sink.discard(list(sink._written))

    assert set(files(path)) <= {MESSAGE * 100}
    assert files(path) == files(path, "new")


async def test_what_was_left_in_tmp_for_days_is_removed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await deliver(Maildir(path), mail(MESSAGE))
    now = 2_000_000_000
    for name, age in (("old", 37), ("of that age", 36), ("young", 35)):
        file = path / "tmp" / name
        file.write_bytes(name.encode())
        os.utime(file, (0, now - age * 3600))
    (path / "tmp" / "folder").mkdir()
    os.utime(path / "tmp" / "folder", (0, 0))
    (path / "old elsewhere").touch()
    os.utime(path / "old elsewhere", (0, 0))
    (path / "tmp" / "link").symlink_to(path / "old elsewhere")

    monkeypatch.setattr(maildir, "time", SimpleNamespace(time=lambda: now))
    await deliver(Maildir(path), mail(OTHER))
    assert {each.name for each in (path / "tmp").iterdir()} == {"of that age", "young", "folder", "link"}


async def test_what_another_program_removes_from_tmp_is_no_trouble(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await deliver(Maildir(path), mail(MESSAGE))
    (path / "tmp" / "old").touch()
    os.utime(path / "tmp" / "old", (0, 0))

    def unlink(name: object) -> None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)

    monkeypatch.setattr(os, "unlink", unlink)
    await deliver(Maildir(path), mail(OTHER))
    assert files(path, "new") == [MESSAGE, OTHER]


async def test_a_file_of_another_in_tmp_is_neither_written_to_nor_removed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await deliver(Maildir(path), mail(MESSAGE))
    monkeypatch.setattr(maildir, "time", SimpleNamespace(time=lambda: 1.5))
    monkeypatch.setattr(maildir, "_serial", count(7))
    monkeypatch.setattr(maildir, "token_hex", "0".__mul__)
    other = path / "tmp" / f"1.P{os.getpid()}Q000007R00000000.mailwire"
    other.write_bytes(b"other")
    os.utime(other, (0, 1))
    with pytest.raises(FileExistsError):
        await deliver(Maildir(path), mail(OTHER))

    assert other.read_bytes() == b"other"
    assert files(path, "new") == [MESSAGE]


async def test_what_is_synced_beside_one_that_fails_is_removed_when_it_has_ended(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Maildir(path)
    mails = mail(MESSAGE, "1"), mail(OTHER, "2")
    for each in mails:
        await sink.store(each)
    failed, goes_on, steps = threading.Event(), threading.Event(), list[str]()
    descriptors: list[int] = []

    def sync_file(descriptor: int) -> None:
        descriptors.append(descriptor)
        if len(descriptors) == 1:
            failed.set()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        goes_on.wait(10)
        os.fsync(descriptor)
        steps.append("synced")

    def discard(batch: Any) -> None:
        steps.append("removed")
        real(batch)

    real = maildir._discard
    monkeypatch.setattr(maildir, "sync_file", sync_file)
    monkeypatch.setattr(maildir, "_discard", discard)
    settling = asyncio.create_task(sink.settle(mails))
    await asyncio.to_thread(failed.wait, 10)
    for _ in range(50):
        await asyncio.to_thread(len, steps)
    goes_on.set()
    with pytest.raises(OSError, match="Input/output"):
        await settling

    assert steps == ["synced", "removed"]
    assert files(path) == []


def test_line_ends_are_named_by_their_words() -> None:
    with pytest.raises(ValueError, match="expected 'crlf' or 'lf' as line_ends, got 'cr'"):
        Maildir("x", line_ends="cr")  # type: ignore[arg-type]


async def test_lines_can_end_as_unix_has_it(path: Path) -> None:
    sink = Maildir(path, line_ends="lf")
    await deliver(sink, mail([b"a\r", b"\nb\rc\n\r"]), mail([b"a\r\nb\rc\n", b"\r"]))

    assert files(path) == [b"a\nb\rc\n\r"]
