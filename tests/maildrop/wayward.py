"""A POP3 server by chance: its unique ids, sizes, refusals, hang-ups and the worth of its QUIT are drawn."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Final

__all__ = ["HOW_UIDS_ARE_GIVEN", "Kept", "WaywardServer"]

# By a number of its own; by the message's number in the session; the lowest that is free; another in each session; one
# for two; not for each third message; none at all; one of five, by turns.
HOW_UIDS_ARE_GIVEN: Final = ("own", "number", "reused", "session", "shared", "some", "none", "turns")

_QUITS: Final = ("+OK", "+OK", "-ERR", "+OK and nothing", "silence", "silence and nothing")


@dataclass
class Kept:
    """A message on the server: which one it is, its octets, and its unique id where that is its own."""

    index: int
    content: bytes
    uid: str


class WaywardServer:
    """The server. `stored` says what its client has by now.

    messages: what is there; lost: the indexes of what was deleted and the client has not.
    """

    def __init__(self, chance: Random, stored: Callable[[], Collection[bytes]]) -> None:
        self.messages: list[Kept] = []
        self.lost: list[int] = []
        self._chance = chance
        self._stored = stored
        self._how = chance.choice(HOW_UIDS_ARE_GIVEN)
        self._sizes = chance.choice(["right", "wrong", "another each time"])
        self._has_top = chance.random() < 0.6
        announced = ("PIPELINING", "UIDL", "TOP", "EXPIRE 0", "EXPIRE 5 USER")
        self._capabilities = [each for each in announced if chance.random() < 0.5]
        self._hangs_up = chance.choice([0, 0, 0.03])
        self._refuses = chance.choice([0, 0, 0.05])
        self._sessions = 0
        self._serving: list[asyncio.Task[None]] = []
        self._put = 0

    def __repr__(self) -> str:
        return f"<uids: {self._how}, sizes: {self._sizes}, TOP: {self._has_top}, {self._capabilities}>"

    def put(self) -> None:
        """Put a message there: no two have the same size."""
        index = self._put
        self._put += 1
        header = b"Subject: %d\r\nMessage-Id: <%d@example.org>\r\n\r\n" % (index, index)
        content = header + b"z" * 50 * index + b"\r\n" + b".\r\n" * (index % 3)
        taken = {message.uid for message in self.messages}
        free = next(number for number in range(index + 1) if f"r{number}" not in taken)
        uid = {"reused": f"r{free}", "shared": f"s{index // 2}", "turns": f"t{index % 5}"}.get(self._how, f"u{index}")
        self.messages.append(Kept(index, content, uid))

    def happen(self) -> None:
        """Let happen what does between two runs: new mail, another client, another order."""
        for _ in range(self._chance.choice([0, 0, 1, 3])):
            self.put()
        if self.messages and self._chance.random() < 0.1:
            self.messages.remove(self._chance.choice(self.messages))
        if self._chance.random() < 0.1:
            self._chance.shuffle(self.messages)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Serve; the value is the port."""
        async with await asyncio.start_server(self._begin, "127.0.0.1", 0) as server:
            yield server.sockets[0].getsockname()[1]
            await asyncio.gather(*self._serving)

    # Private

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.append(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sessions += 1
        writer.write(b"+OK\r\n")
        listed, marked = list(self.messages), set[int]()
        with suppress(ConnectionError):
            while line := await reader.readline():
                command, *arguments = line.decode().split()
                is_login = command in ("CAPA", "USER", "PASS")
                if command == "QUIT":
                    self._quit(writer, [listed[number - 1] for number in marked])
                    break
                if not is_login and self._chance.random() < self._hangs_up:
                    break
                for piece in self._answer(command, [int(each) for each in arguments if each.isdigit()], listed, marked):
                    writer.write(piece)
                    await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    def _answer(self, command: str, numbers: list[int], listed: list[Kept], marked: set[int]) -> Iterator[bytes]:
        there = [number for number in range(1, len(listed) + 1) if number not in marked]
        match command:
            case "CAPA":
                yield "".join(f"{line}\r\n" for line in ("+OK", *self._capabilities, "USER", ".")).encode()
            case "STAT":
                yield b"+OK %d %d\r\n" % (len(there), sum(self._size(listed[number - 1]) for number in there))
            case "LIST" | "UIDL":
                if command == "UIDL" and self._how == "none":
                    yield b"-ERR what?\r\n"
                    return
                tell = self._size if command == "LIST" else self._uid
                lines = [f"{number} {tell(listed[number - 1])}\r\n" for number in numbers or there]
                yield (f"+OK {lines[0]}" if numbers else "+OK\r\n" + "".join(lines) + ".\r\n").encode()
            case "RETR" | "TOP" | "DELE":
                if self._chance.random() < self._refuses or (command == "TOP" and not self._has_top):
                    yield b"-ERR no\r\n"
                    return
                yield b"+OK\r\n"
                if command == "DELE":
                    marked.add(numbers[0])
                    return
                content = listed[numbers[0] - 1].content.replace(b"\r\n.", b"\r\n..")
                if self._chance.random() < self._hangs_up:
                    yield content[: len(content) // 2]
                    raise ConnectionAbortedError("hung up in the middle")
                yield content if command == "RETR" else content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
                yield b".\r\n"
            case _:
                yield b"+OK\r\n"

    def _size(self, message: Kept) -> int:
        size = len(message.content)
        if self._sizes == "wrong":
            return 3 * size
        return size if self._sizes == "right" else size + self._sessions

    def _uid(self, message: Kept) -> str:
        if self._how == "number":
            return str(self.messages.index(message))
        if self._how == "session":
            return f"x{self._sessions}-{message.index}"
        return "" if self._how == "some" and message.index % 3 == 0 else message.uid

    def _quit(self, writer: asyncio.StreamWriter, marked: list[Kept]) -> None:
        how = self._chance.choice(_QUITS)
        if "nothing" not in how:
            stored = self._stored()
            for message in marked:
                if message in self.messages:
                    self.messages.remove(message)
                    self.lost += [] if message.content in stored else [message.index]
        if "silence" not in how:
            writer.write(how[:4].strip().encode() + b"\r\n")
