"""A transport that leads nowhere, and tells what it was given."""

import asyncio

__all__ = ["WrittenTransport"]


class WrittenTransport(asyncio.Transport):
    """A transport that keeps what is written, write by write, and each turn of being read or not."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.turns: list[str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.turns.append("paused")

    def resume_reading(self) -> None:
        self.turns.append("resumed")
