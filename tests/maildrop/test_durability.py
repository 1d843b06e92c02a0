import errno
import fcntl
import os
import stat
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mailwire.maildrop import Maildir, MboxSink, SQLiteLedger, durability
from mailwire.maildrop.durability import find_full_sync, make_folder, rooted, sync_file, sync_folder, write_all
from tests.maildrop.mails import deliver, mail
from tests.maildrop.records import record


def test_a_path_from_the_root_leads_to_the_same_place_and_through_the_same_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "deep")
    monkeypatch.chdir(tmp_path)
    assert rooted("link/box") == rooted(Path("link", "box")) == rooted(tmp_path / "link" / "box")
    assert rooted("link/../box").parent.samefile("real")
    with pytest.raises(ValueError, match=r"^expected the path of a file or folder, got ''$"):
        rooted("")


def test_a_file_and_its_folder_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, b"x")
    sync_file(descriptor)
    os.close(descriptor)
    sync_folder(tmp_path)

    with pytest.raises(OSError, match="Bad file descriptor"):
        sync_file(descriptor)
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "other")
    with pytest.raises(NotADirectoryError):
        sync_folder(tmp_path / "file")


@pytest.fixture
def refuse_folders(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], list[int]]:
    """Have the system refuse to open or to sync folders, with an error of this number; and note which were opened."""

    def refuse(call: str, number: int) -> list[int]:
        opened, system = list[int](), os.open

        def open_none(path: Any, flags: int, *rest: Any, **more: Any) -> int:
            if not flags & os.O_DIRECTORY:
                return system(path, flags, *rest, **more)
            if call == "open":
                raise OSError(number, os.strerror(number))
            opened.append(system(path, flags, *rest, **more))
            return opened[-1]

        def sync_none(descriptor: int) -> None:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise OSError(number, os.strerror(number))
            os.fsync(descriptor)

        monkeypatch.setattr(os, "open", open_none)
        monkeypatch.setattr(durability, "_full_sync", sync_none)
        return opened

    return refuse


NOT_SYNCED = [("open", errno.EACCES), ("sync", errno.EINVAL), ("sync", errno.ENOTSUP)]


@pytest.mark.parametrize(("call", "number"), NOT_SYNCED)
async def test_mail_is_stored_in_folders_that_are_not_synced(
    refuse_folders: Callable[[str, int], list[int]], tmp_path: Path, call: str, number: int
) -> None:
    opened = refuse_folders(call, number)
    await deliver(Maildir(tmp_path / "Mail"), mail(b"one"))
    for _ in range(2):
        await deliver(MboxSink(tmp_path / "mbox"), mail(b"two"))
    async with SQLiteLedger(tmp_path / "state.db") as ledger, ledger.claim("b") as page:
        await page.write([record("1")])
        assert list(await page.records()) == ["1"]

    (file,) = (tmp_path / "Mail" / "new").iterdir()
    assert file.read_bytes() == b"one"
    assert (tmp_path / "mbox").read_bytes().count(b"\ntwo\n") == 2
    for descriptor in opened:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


@pytest.mark.parametrize("call", ["open", "sync"])
async def test_a_folder_that_is_ill_is_told_before_there_is_a_message_in_an_mbox(
    refuse_folders: Callable[[str, int], list[int]], tmp_path: Path, call: str
) -> None:
    await deliver(MboxSink(tmp_path / "mbox"), mail(b"one"))
    before = (tmp_path / "mbox").read_bytes()
    refuse_folders(call, errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        await deliver(MboxSink(tmp_path / "mbox"), mail(b"two"))
    assert (tmp_path / "mbox").read_bytes() == before


def test_where_no_folder_can_be_opened_there_is_nothing_to_do(tmp_path: Path) -> None:
    sync_folder(tmp_path / "other", None)


def test_macos_is_asked_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    macos = types.ModuleType("macos_fcntl")
    vars(macos).update(F_FULLFSYNC=51, fcntl=lambda descriptor, command: asked.append((descriptor, command)))
    monkeypatch.setitem(sys.modules, "macos_fcntl", macos)
    monkeypatch.setitem(sys.modules, "linux_fcntl", types.ModuleType("linux_fcntl"))

    find_full_sync("macos_fcntl")(7)
    assert asked == [(7, 51)]
    assert find_full_sync("linux_fcntl") is os.fsync
    assert find_full_sync("no_fcntl") is os.fsync

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    assert find_full_sync() is not os.fsync


def test_all_is_written_however_little_the_system_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, octets: system(descriptor, octets[:3]))
    descriptor = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
    write_all(descriptor, b"0123456789")
    write_all(descriptor, b"")
    os.close(descriptor)

    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_folders_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "c"
    make_folder(deep)
    make_folder(deep)

    for folder in (deep, deep.parent, deep.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_another_makes_meanwhile_is_as_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, system = tmp_path / "a", Path.is_dir

    def ask(path: Path) -> bool:
        is_there = system(path)
        if path == folder and not is_there:
            folder.mkdir()
        return is_there

    monkeypatch.setattr(Path, "is_dir", ask)
    make_folder(folder)
    monkeypatch.undo()
    assert folder.is_dir()


def test_a_file_is_not_taken_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "a")
    with pytest.raises(OSError, match="a"):
        make_folder(tmp_path / "a" / "b")


@pytest.mark.parametrize("sink", [Maildir, MboxSink])
async def test_files_are_opened_so_that_windows_changes_no_line_end(
    sink: type[Maildir | MboxSink], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    binary, opened, system = 0x40000000, list[int](), os.open

    def note(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            opened.append(flags)
        return system(path, flags & ~binary, *rest, **more)

    monkeypatch.setattr(os, "O_BINARY", binary, raising=False)  # which only Windows has
    monkeypatch.setattr(os, "open", note)
    await deliver(sink(tmp_path / "mail"), mail(b"Subject: x\r\n\r\nhello\r\n"))
    messages = [flags for flags in opened if flags & os.O_CREAT]
    assert any(flags & binary for flags in messages)
