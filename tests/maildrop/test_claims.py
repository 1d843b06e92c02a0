import fcntl
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from mailwire.maildrop import claims
from mailwire.maildrop.claims import Claim, PosixLocking, WindowsLocking, find_locking


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
        try:
            fcntl.lockf(
                descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if mode == self.LK_NBLCK else fcntl.LOCK_UN, octets, place
            )
        except BlockingIOError as error:
            raise PermissionError(13, "Permission denied") from error


HOLDER = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.lockf(descriptor, fcntl.LOCK_EX, 1, 7)
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("locking", [PosixLocking(fcntl), WindowsLocking(FakeMsvcrt())], ids=["posix", "windows"])
def test_an_octet_is_locked_between_processes(path: Path, locking: Any) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
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


def test_a_system_without_fcntl_has_msvcrt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "no_msvcrt", types.ModuleType("no_msvcrt"))

    assert isinstance(find_locking(), PosixLocking)
    assert isinstance(find_locking("no_fcntl", "no_msvcrt"), WindowsLocking)
