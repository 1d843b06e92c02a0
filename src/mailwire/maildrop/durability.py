"""Durability: what a file system must be told before a crash can take nothing back.

1. A file's octets are safe once the file was synced; its name is safe once its folder was. Both are needed.
2. macOS leaves them in the drive's own cache at that, unless F_FULLFSYNC asks for more.
3. Windows opens no folder as a file: there, NTFS keeps a journal of names by itself. Some file systems of other
   machines sync none (EINVAL), and a folder that we may pass through may be closed to reading (EACCES): the names in it
   are as safe then as that machine makes them. PostgreSQL and SQLite take it so, too.
"""

import os
from errno import EACCES, EINVAL, ENOTSUP, EOPNOTSUPP
from importlib import import_module
from pathlib import Path
from typing import Any, Final

__all__ = ["find_full_sync", "make_folder", "rooted", "sync_file", "sync_folder", "write_all"]


def find_full_sync(module: str = "fcntl") -> Any:
    """Return the function of a descriptor by which the system syncs a file down to the medium."""
    try:
        fcntl: Any = import_module(module)
    except ImportError:
        return os.fsync
    if not hasattr(fcntl, "F_FULLFSYNC"):
        return os.fsync
    return lambda descriptor: fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)


_full_sync: Final = find_full_sync()

# Where a folder can be opened like a file.
_FOLDER_FLAG: Final[int | None] = getattr(os, "O_DIRECTORY", None)


# How a system says that this folder is not synced by whoever asks.
_NOT_SYNCED: Final = frozenset({EACCES, EINVAL, ENOTSUP, EOPNOTSUPP})


def rooted(path: str | os.PathLike[str]) -> Path:
    """Return `path` from the root, so that it leads to the same place wherever the process goes. Raises ValueError for
    none, which would be the folder in which the process happens to be."""
    if not os.fspath(path):
        raise ValueError(f"expected the path of a file or folder, got {path!r}")
    return Path(path).absolute()  # and no more: what ".." leads to behind a link, the system knows


def write_all(descriptor: int, octets: bytes) -> None:
    """Write all of it, however little the system takes at a time. Raises OSError."""
    left = memoryview(octets)
    while left:
        left = left[os.write(descriptor, left) :]


def sync_file(descriptor: int) -> None:
    """Return once what was written to the file is safe. Raises OSError."""
    _full_sync(descriptor)


def sync_folder(path: Path, flag: int | None = _FOLDER_FLAG) -> None:
    """Return once the names in a folder are safe; at once where the system has no way to ask. Raises OSError."""
    if flag is None:
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | flag)
        try:
            _full_sync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SYNCED:
            raise


def make_folder(path: Path) -> None:
    """Make a folder, for its owner alone, and those above it; what is there stays as it is. Raises OSError."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    sync_folder(path.parent)
