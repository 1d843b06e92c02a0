"""Sockets that the system closes, and complains of it."""

import errno
import os
import socket
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

__all__ = ["ComplainingSocket", "let_closing_fail"]


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
