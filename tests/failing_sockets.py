"""Sockets that the system closes, and complains of it, or does not give."""

import errno
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

__all__ = ["ComplainingSocket", "descriptors_left", "let_closing_fail"]


class ComplainingSocket(socket.socket):
    """A socket whose closing fails as the system lets it: the descriptor is gone, and there is an error.

    complaints: how many errors there were.
    """

    complaints: int = 0

    def close(self) -> None:
        is_open = self.fileno() >= 0
        super().close()
        if is_open:
            self.complaints += 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def let_closing_fail(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[ComplainingSocket]:
    """Let the sockets that `module` makes be such. Returns the list of them, as they come."""
    made: list[ComplainingSocket] = []

    def make(*arguments: Any) -> ComplainingSocket:
        made.append(ComplainingSocket(*arguments))
        return made[-1]

    monkeypatch.setattr(module, "socket", SimpleNamespace(**{**vars(socket), "socket": make}))
    return made


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """The system has so many descriptors left, and no more."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [os.dup(0) for _ in range(count + 1)]
    for each in free:
        os.close(each)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[-1], limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
