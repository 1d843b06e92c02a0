import fcntl
import os
import stat
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from mailwire.maildrop import claims
from mailwire.maildrop.claims import Claim, Locking, PosixLocking, WindowsLocking, find_locking


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def claimed(path: Path, name: str) -> Claim:
    claim = Claim.attempt(path, name)
    assert claim is not None
    return claim


def test_a_name_is_claimed_once_until_it_is_released(path: Path) -> None:
    first = claimed(path, "a")
    assert Claim.attempt(path, "a") is None
    other = claimed(path, "b")
    first.release()
    again = claimed(path, "a")

    first.release()  # is of no effect on the one that holds it by then
    assert Claim.attempt(path, "a") is None
    again.release()
    other.release()
    assert claims._open_files == {}


def test_the_same_file_by_another_way_is_the_same_file(path: Path, tmp_path: Path) -> None:
    (tmp_path / "way").symlink_to(tmp_path)
    claim = claimed(path, "a")

    assert Claim.attempt(tmp_path / "way" / "lock", "a") is None
    claim.release()


def test_releasing_one_name_leaves_the_others_locked_for_other_processes(path: Path) -> None:
    one, two = claimed(path, "a"), claimed(path, "b")
    one.release()

    program = "import sys; from pathlib import Path; from mailwire.maildrop.claims import Claim\n"
    program += "print([Claim.attempt(Path(sys.argv[1]), name) is not None for name in 'ab'])"
    result = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert result.stdout == "[True, False]\n"
    two.release()


def test_a_child_does_not_have_its_parents_claims(path: Path) -> None:
    claim = claimed(path, "a")
    program = f"""
import os
from pathlib import Path
from mailwire.maildrop.claims import Claim
path = Path({str(path)!r})
held = Claim.attempt(path, "b")
child = os.fork()
if child == 0:
    held.release()  # of the copy: no matter
    os._exit(Claim.attempt(path, "b") is not None)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "0\n"
    claim.release()


def test_any_text_is_a_name(path: Path) -> None:
    for name in ("", "\ud800", "ä" * 10_000, "/../x\0"):
        claimed(path, name).release()


class FakeMsvcrt:
    """The locking of Windows' C library, over that of POSIX: from where the file stands, so many octets."""

    LK_NBLCK = 2
    LK_UNLCK = 0

    def locking(self, descriptor: int, mode: int, octets: int) -> None:
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        modes = {self.LK_NBLCK: fcntl.LOCK_EX | fcntl.LOCK_NB, self.LK_UNLCK: fcntl.LOCK_UN}
        try:
            fcntl.lockf(descriptor, modes[mode], octets, place)
        except BlockingIOError as error:
            raise PermissionError(13, "Permission denied") from error


HOLDER = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.lockf(descriptor, fcntl.LOCK_EX, 1, 7)
print("held", flush=True)
sys.stdin.readline()
"""


# Of these places, those that are free for another process.
ASKER = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR)
for place in map(int, sys.argv[2:]):
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except BlockingIOError:
        continue
    print(place)
"""


def free(path: Path, *places: int) -> list[int]:
    command = [sys.executable, "-c", ASKER, str(path), *map(str, places)]
    asked = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(map(int, asked.stdout.split()))


def posix() -> Locking:
    return PosixLocking(fcntl)


def windows() -> Locking:
    return WindowsLocking(FakeMsvcrt())


@pytest.mark.parametrize("make", [posix, windows])
def test_an_octet_is_locked_between_processes(path: Path, make: Callable[[], Locking]) -> None:
    locking, descriptor = make(), os.open(path, os.O_RDWR | os.O_CREAT)
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert not locking.lock(descriptor, 7)
        assert locking.lock(descriptor, 8)
        other.communicate("\n")
    assert locking.lock(descriptor, 7)
    locking.unlock(descriptor, 7)
    locking.unlock(descriptor, 8)
    os.close(descriptor)


@pytest.mark.parametrize("make", [posix, windows])
def test_no_more_than_an_octet_is_locked_and_unlocked(path: Path, make: Callable[[], Locking]) -> None:
    locking, descriptor = make(), os.open(path, os.O_RDWR | os.O_CREAT)
    assert locking.lock(descriptor, 7)
    assert free(path, 6, 7, 8) == [6, 8]
    assert locking.lock(descriptor, 8)
    locking.unlock(descriptor, 7)
    assert free(path, 6, 7, 8, 9) == [6, 7, 9]
    os.close(descriptor)


def test_a_whole_file_is_locked_where_that_keeps_nobody_from_reading_it(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    assert posix().locks_whole
    assert posix().lock_whole(descriptor)
    assert free(path, 0, 1, 2**31 - 2) == []
    os.close(descriptor)

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    assert not windows().locks_whole
    assert windows().lock_whole(descriptor)
    assert free(path, 0, 1, 2**31 - 2) == [0, 1, 2**31 - 2]
    os.close(descriptor)


def test_a_system_without_fcntl_has_msvcrt(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msvcrt", cast(types.ModuleType, FakeMsvcrt()))

    assert isinstance(find_locking(), PosixLocking)
    locking, descriptor = find_locking("no_fcntl"), os.open(path, os.O_RDWR | os.O_CREAT)
    assert isinstance(locking, WindowsLocking)
    assert locking.lock(descriptor, 7)
    assert free(path, 7) == []
    os.close(descriptor)
    monkeypatch.setitem(sys.modules, "no_msvcrt", types.ModuleType("no_msvcrt"))
    assert isinstance(find_locking("no_fcntl", "no_msvcrt"), WindowsLocking)


def test_a_lock_file_is_its_owners_alone_and_no_childs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "O_CLOEXEC", raising=False)  # Windows has none
    claim = claimed(path, "a")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (file,) = claims._open_files.values()
    assert not os.get_inheritable(file.descriptor)
    assert free(path, *file.places) == []
    claim.release()


def test_a_name_in_another_file_is_another_name(path: Path, tmp_path: Path) -> None:
    first, second = claimed(path, "a"), claimed(tmp_path / "other", "a")
    second.release()
    assert Claim.attempt(path, "a") is None
    first.release()


def test_what_the_system_says_to_closing_is_nobodys_business(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, system = claimed(path, "a"), os.close

    def close(descriptor: int) -> None:
        system(descriptor)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "close", close)
    claim.release()
    monkeypatch.undo()
    assert claims._open_files == {}
    claimed(path, "a").release()
