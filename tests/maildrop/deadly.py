"""A POP3 server with messages that no session survives."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from mailwire import Endpoint, Password, Timeouts
from tests.clock import Clock
from tests.maildrop.runs import body

__all__ = ["DeadlyServer"]

# How many seconds are waited for an answer.
_LONG = 60

_CAPABILITIES = ("+OK", "USER", "UIDL", "TOP")


class DeadlyServer:
    """The server. What a message is, the last character of its unique id tells.

    deadly: what it says in place of the answer to a command about a message, such as "RETR u1", before it hangs up;
        None says nothing, and puts the clock forward until nobody waits for it.
    refused: such commands that it answers by -ERR.
    pipelining: whether it announces that. login_delay: how many seconds it wants between two logins, if it says so.
    resting: whether it refuses to log in behind a session that a message has ended, until `wake`.

    messages: the unique ids of what is there. commands: what each session was asked about a message, and for QUIT and
    NOOP, by unique ids.
    """

    def __init__(
        self,
        *uids: str,
        deadly: Mapping[str, bytes | None] | None = None,
        pipelining: bool = False,
        login_delay: int | None = None,
        resting: bool = False,
    ) -> None:
        self.messages = list(uids)
        self.commands: list[list[str]] = []
        self.deadly = dict(deadly or {})
        self.refused = set[str]()
        self._clock = Clock() if None in self.deadly.values() else None
        self._capabilities = [*_CAPABILITIES, *(["PIPELINING"] if pipelining else [])]
        self._capabilities += [] if login_delay is None else [f"LOGIN-DELAY {login_delay}"]
        self._resting = resting
        self._has_died = False
        self._serving: list[asyncio.Task[None]] = []

    def wake(self) -> None:
        """Have it let everybody in again."""
        self._has_died = False

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Endpoint]:
        """Serve; the value is where."""
        async with await asyncio.start_server(self._begin, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            yield Endpoint(
                "127.0.0.1",
                port,
                protocol="pop3",
                tls="none",
                auth=Password("b", "secret"),
                allow_cleartext_auth=True,
                timeouts=Timeouts(response=_LONG, block=_LONG),
            )
            await asyncio.gather(*self._serving)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.append(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listed, marked, said = list(self.messages), set[str](), list[str]()
        self.commands.append(said)
        writer.write(b"+OK\r\n")
        with suppress(ConnectionError):
            while line := (await reader.readline()).decode():
                verb, *arguments = line.split()
                uid = listed[int(arguments[0]) - 1] if verb in ("RETR", "TOP", "DELE") else ""
                command = f"{verb} {uid}".strip()
                said += [command] if uid or verb in ("NOOP", "QUIT") else []
                if command in self.deadly:
                    self._has_died = True
                    if (last := self.deadly[command]) is None:
                        assert self._clock is not None
                        reading = asyncio.create_task(reader.read())
                        while not reading.done():
                            await self._clock.advance(_LONG + 1)
                    else:
                        writer.write(last)
                        await writer.drain()
                    break
                if command in self.refused or (verb == "PASS" and self._resting and self._has_died):
                    writer.write(b"-ERR no\r\n")
                else:
                    marked |= {uid} if verb == "DELE" else set()
                    if verb == "QUIT":
                        self.messages = [each for each in self.messages if each not in marked]
                    writer.write(self._answer(verb, uid, listed))
                await writer.drain()
                if verb == "QUIT":
                    break
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    def _answer(self, verb: str, uid: str, listed: list[str]) -> bytes:
        lines = ["+OK"]
        match verb:
            case "CAPA":
                lines = [*self._capabilities, "."]
            case "STAT":
                lines = [f"+OK {len(listed)} {sum(len(_content(each)) for each in listed)}"]
            case "LIST":
                lines += [*(f"{number} {len(_content(each))}" for number, each in enumerate(listed, 1)), "."]
            case "UIDL":
                lines += [*(f"{number} {each}" for number, each in enumerate(listed, 1)), "."]
            case "RETR":
                return b"+OK\r\n" + _content(uid) + b".\r\n"
            case "TOP":
                return b"+OK\r\n" + _content(uid).partition(b"\r\n\r\n")[0] + b"\r\n\r\n.\r\n"
        return "".join(f"{line}\r\n" for line in lines).encode()


def _content(uid: str) -> bytes:
    return body(uid[-1])
