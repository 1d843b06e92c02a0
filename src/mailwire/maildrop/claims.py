"""Claims: names of which one process at a time has each, and one holder within it.

A claim is a lock on one octet of a lock file, at a place that the name leads to. The operating system drops it when the
process dies, of whatever it dies; a mark written into a file would have to be told from that of a dead process.

POSIX sets a trap: a process loses all its locks on a file when it closes any descriptor of that file. So a process
opens a lock file once, whoever claims in it, and closes it when nobody does. The lock file stays, and stays empty.
"""

import os
import threading
from contextlib import suppress
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

__all__ = ["LOCKING", "Claim", "Locking", "PosixLocking", "WindowsLocking", "find_locking"]

# Where the octets are that are locked: Windows seeks to them by 32 bits, sign included.
_PLACES: Final = 2**31 - 1


class Locking(Protocol):
    """How a system locks single octets of a file, between processes."""

    def lock(self, descriptor: int, place: int) -> bool:
        """Lock the octet at `place`, and return True, unless another process has: never wait. Raises OSError."""

    def unlock(self, descriptor: int, place: int) -> None:
        """Unlock it. Raises OSError."""

    def lock_whole(self, descriptor: int) -> bool:
        """Lock the file until it is closed, and return True, unless another process has any of it: never wait. Return
        True and do nothing where `locks_whole` is false. Raises OSError."""

    @property
    def locks_whole(self) -> bool:
        """Whether whole files can be locked without keeping everybody from reading them."""


class PosixLocking:
    """Locking by fcntl.lockf; `fcntl` is that module."""

    locks_whole = True

    def __init__(self, fcntl: Any) -> None:
        self._fcntl = fcntl

    def lock(self, descriptor: int, place: int) -> bool:
        """Lock an octet; see `Locking`."""
        return self._lock(descriptor, 1, place)

    def unlock(self, descriptor: int, place: int) -> None:
        """Unlock an octet; see `Locking`."""
        self._fcntl.lockf(descriptor, self._fcntl.LOCK_UN, 1, place)

    def lock_whole(self, descriptor: int) -> bool:
        """Lock a file; see `Locking`."""
        return self._lock(descriptor, 0, 0)

    def _lock(self, descriptor: int, octets: int, place: int) -> bool:
        try:
            self._fcntl.lockf(descriptor, self._fcntl.LOCK_EX | self._fcntl.LOCK_NB, octets, place)
        except (BlockingIOError, PermissionError):  # POSIX lets a system choose between EAGAIN and EACCES
            return False
        return True


class WindowsLocking:
    """Locking by msvcrt.locking; `msvcrt` is that module."""

    locks_whole = False

    def __init__(self, msvcrt: Any) -> None:
        self._msvcrt = msvcrt

    def lock(self, descriptor: int, place: int) -> bool:
        """Lock an octet; see `Locking`."""
        os.lseek(descriptor, place, os.SEEK_SET)
        try:
            self._msvcrt.locking(descriptor, self._msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def unlock(self, descriptor: int, place: int) -> None:
        """Unlock an octet; see `Locking`."""
        os.lseek(descriptor, place, os.SEEK_SET)
        self._msvcrt.locking(descriptor, self._msvcrt.LK_UNLCK, 1)

    def lock_whole(self, descriptor: int) -> bool:
        """Do nothing: the locks of Windows are for all who read, too."""
        return True


def find_locking(posix: str = "fcntl", windows: str = "msvcrt") -> Locking:
    """Return the way of this system, by the module that it has."""
    try:
        return PosixLocking(import_module(posix))
    except ImportError:
        return WindowsLocking(import_module(windows))


LOCKING: Final = find_locking()
"""The way of this system."""


class _LockFile:
    # One lock file as this process has it open, and the places in it that it has locked.

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        self.places: set[int] = set()


# By process: what a child finds here after a fork is its parent's, and its parent's locks are not its own.
_open_files: Final[dict[tuple[int, Path], _LockFile]] = {}
_guard: Final = threading.Lock()


class Claim:
    """The claim on a name, from `attempt` to `release`."""

    def __init__(self, key: tuple[int, Path], place: int) -> None:
        self._key = key
        self._place = place
        self._is_held = True

    @classmethod
    def attempt(cls, path: Path, name: str) -> "Claim | None":
        """Claim `name` in the lock file at `path`, unless somebody else has: then return None. Raises OSError.

        Two names lead to the same place once in 2**31 times: then one waits for the other without need.
        """
        place = int.from_bytes(sha256(name.encode("utf-8", "surrogatepass")).digest()[:8]) % _PLACES
        key = (os.getpid(), path.resolve())
        with _guard:
            file = _open_files.get(key)
            if file is None:
                file = _open_files[key] = _LockFile(path)
            try:
                if place in file.places or not LOCKING.lock(file.descriptor, place):
                    return None
                file.places.add(place)
            finally:
                _close_unused(key)
        return cls(key, place)

    def release(self) -> None:
        """Let others claim the name. Once is enough, and more do no harm."""
        with _guard:
            if not self._is_held:
                return
            self._is_held = False
            file = _open_files[self._key]
            file.places.discard(self._place)
            try:
                LOCKING.unlock(file.descriptor, self._place)
            finally:
                _close_unused(self._key)


def _close_unused(key: tuple[int, Path]) -> None:
    if not _open_files[key].places:
        with suppress(OSError):  # it is closed whatever the system says to it, and nothing was written
            os.close(_open_files.pop(key).descriptor)
