"""Play: one connection, played by its script to the client at the other end."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Final

from .hearing import ClientGone, Hearing
from .saying import Saying
from .script import (
    Answers,
    Beneath,
    Endless,
    Hear,
    Mark,
    Slow,
    Step,
    Tls,
    check_hello,
    encode_line,
    place_in,
    shorten,
)
from .tls import server_context
from .turns import turns

__all__ = ["Play"]

# Steps at which something is heard, besides lines and octets.
_HEARD: Final = (Mark.MAIL_DATA, Mark.CLIENT_HELLO, Mark.LISTEN)

_server_context: Final = cache(server_context)


class Play:
    """What a `ScriptedPeer` does with its connection, step by step.

    script: the steps.
    hearing: what the client says.
    saying: what it is told.
    over: set where the test is over.
    going_on: set where a WAIT is to end.
    is_lenient: a client that has gone need not be told anything.

    handshake_error: why a handshake failed that the script wanted.
    """

    def __init__(
        self,
        script: tuple[Step, ...],
        hearing: Hearing,
        saying: Saying,
        *,
        over: asyncio.Event,
        going_on: asyncio.Event,
        is_lenient: bool,
    ) -> None:
        self.handshake_error: ssl.SSLError | None = None
        self._script = script
        self._hearing = hearing
        self._saying = saying
        self._link = hearing.link
        self._over = over
        self._going_on = going_on
        self._is_lenient = is_lenient
        self._number: int | None = None  # of the step, from 1; None behind the last
        self._to_say = bytearray()
        self._first_said: int | None = None  # the number of the step by which that begins
        self._reads = True
        self._is_strict = True
        self._withholds = False

    @property
    def place(self) -> str:
        """Where it is, as a failure tells it."""
        return place_in(self._script, self._number)

    @property
    def sent(self) -> int:
        """How many octets were said."""
        return self._saying.sent

    async def perform(self) -> None:
        """Take all steps, and hear the client out. Raises AssertionError where it leaves the script."""
        for number, step in enumerate(self._script, 1):
            self._number = number
            await self._take(step)
            if self.handshake_error is not None:
                break
        self._number = None
        await self._say_now()
        await self._hear_out()

    async def close(self) -> None:
        """Close the connection. May be done twice."""
        await self._link.close()

    # The steps

    async def _take(self, step: Step) -> None:
        if isinstance(step, bytes):
            self._gather(step)
            return
        if isinstance(step, str) and step.startswith("S: "):
            self._gather(encode_line(step))
            return
        await self._say_now()
        if not self._reads and (isinstance(step, str | Hear | Answers) or step in _HEARD):
            await self._over.wait()
            return
        match step:
            case str():
                await self._hearing.hear_line(step.removeprefix("C: "))
            case Hear():
                step.check(await self._hearing.hear(step.size))
            case Beneath():
                await self._tell(step.octets, self._link.send_raw)
            case Tls():
                await self._shake_hands(step.name)
            case Answers():
                await self._answer(step)
            case Endless() | Slow():
                await self._say_until_gone(step)
            case _:
                await self._mark(step)

    async def _mark(self, mark: Mark) -> None:
        match mark:
            case Mark.PACKET:
                await turns()
            case Mark.MAIL_DATA:
                await self._hearing.hear_mail_data()
            case Mark.CLIENT_HELLO:
                await self._hearing.hear_hello()
            case Mark.CLOSE | Mark.FIN:
                if mark is Mark.CLOSE:
                    await self._link.notify_close()
                await turns()
                self._link.shut_down()
            case Mark.RST | Mark.ALERT:
                await turns()
                if mark is Mark.RST:
                    await self._link.reset()
                else:
                    await self._link.alert()
                self._hearing.is_at_end = True
                self._is_strict = False
            case Mark.LISTEN:
                self._is_strict = False
                await self._hearing.hear_out(keep=False)
            case Mark.NO_READING:
                self._reads = False
            case Mark.WAIT:
                await self._going_on.wait()
                if not self._over.is_set():
                    self._going_on.clear()
            case Mark.WITHHOLD:
                self._withholds = True

    async def _answer(self, step: Answers) -> None:
        while (line := await self._hearing.next_line()) is not None:
            for each in step.steps(line):
                await self._take(each)
            await self._say_now()
            if step.ends_with(line):
                return

    async def _shake_hands(self, name: str) -> None:
        if self._hearing.unread:
            raise AssertionError(f"expected a handshake, the client said {shorten(self._hearing.unread)}")
        check_hello(await self._link.hear_hello())
        try:
            await self._link.shake_hands(_server_context(name))
        except ssl.SSLError as error:
            # The client does not want to. Whatever comes now is an alert at most.
            self.handshake_error = error
            await self._link.wait_closed()

    async def _hear_out(self) -> None:
        if not self._reads:
            await self._over.wait()
            self._is_strict = False
        if not self._is_strict:
            await self._hearing.hear_out(keep=False)
        elif self._hearing.unread or await self._hearing.hear_more():
            raise AssertionError(f"beyond the end of the script the client said {shorten(self._hearing.unread)}")
        if self._withholds:
            await self._over.wait()
            return
        await self._link.notify_close()
        self._link.shut_down()
        # A client that was told goodbye under TLS still has to close the connection below it.
        await self._link.wait_closed()

    # Saying

    def _gather(self, said: bytes) -> None:
        if not self._to_say:
            self._first_said = self._number
        self._to_say += said

    async def _say_now(self) -> None:
        said, self._to_say = bytes(self._to_say), bytearray()
        if said:
            number, self._number = self._number, self._first_said
            await self._tell(said, self._saying.say)
            self._number = number

    async def _tell(self, said: bytes, say: Callable[[bytes], Awaitable[None]]) -> None:
        try:
            await say(said)
        except OSError as error:
            if self._is_strict and self._reads and not self._is_lenient:
                raise ClientGone(f"the client was gone when it was told {shorten(said)}: {error}") from error

    async def _say_until_gone(self, step: Endless | Slow) -> None:
        # Between two octets, or while the client takes nothing in, nobody would notice that it goes: so it is listened
        # to all the while.
        gone = self._hearing.hear_out() if self._reads else self._over.wait()
        tasks = [asyncio.ensure_future(self._saying.say_pieces(step)), asyncio.ensure_future(gone)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()
