"""Stream: the bytes of one connection, TCP or TLS, between the event loop and a machine.

It is an asyncio protocol of our own and not a StreamReader: what arrived is in our hands at every moment. That is what
makes STARTTLS safe (a StreamReader keeps what came in the clear and serves it later as if it had been encrypted), what
lets a reply be seen while a message is being written, and what saves a copy and several turns for each read.

One task uses a stream at a time.
"""

import asyncio
import select
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Protocol, TypeVar, cast

from .deadline import Alarm
from .stream_opening import StreamOpening
from .waiter import Waiter

__all__ = ["Stream"]

T = TypeVar("T")

# Of a line whose end has not come, less than 64 KiB is held, here and by the machine that takes it together: one read
# from the kernel brings no more than there is room for.
_LINE_ROOM: Final = 64 * 1024 - 1
# For less than that no read is made, and the peer is held back: what a record of TLS may hold (RFC 8446 5.1).
_LEAST_READ: Final = 16 * 1024
# What may have arrived and not been taken before the peer is held back.
_ARRIVED_LIMIT: Final = 512 * 1024
# Blocks below this size are joined into one write.
_JOIN_LIMIT: Final = 64 * 1024


class _Space(threading.local):
    # What the connections of a thread read into, one after the other: what a read has brought is copied out of it
    # before another begins.

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_LINE_ROOM))


_SPACE: Final = _Space()


class _Hearer(Protocol):
    """What octets can be offered to."""

    def hear(self, data: bytes) -> bool:
        """Take `data`, if they are what it hears; return whether they are."""


class Stream(StreamOpening):
    """One connection. Make one with `open`."""

    def __init__(self) -> None:
        self.is_at_end: bool = False  # nothing more will arrive
        self.has_news: bool = False  # something arrived that was not taken, or nothing more will
        self.error: Exception | None = None  # why, where it was not in good order
        self._transport: asyncio.Transport | None = None
        # On Windows an event loop may have many reads under way, each with a buffer of its own.
        self._space = _SPACE.view if sys.platform != "win32" else memoryview(bytearray(_LINE_ROOM))
        self.kept: Callable[[], int] = int  # returns how many octets are kept yet of what was taken
        self._arrived: list[bytes] = []
        self._arrived_size = 0
        self._line_size = 0  # octets that have come behind the last LF
        self._reading_paused = False
        self._writing_paused = False
        self._loop = asyncio.get_running_loop()
        self._waiter = Waiter()
        self._is_nudged = False
        self._poll: select.poll | None = None  # asks for what can be read of it
        self._alarm = Alarm(self._time_out)
        self._late: Callable[[], Exception] | None = None  # what is raised when it rings, if somebody waits for that
        self._lost = self._loop.create_future()
        self._secured: asyncio.BaseTransport | None = None  # the transport, once TLS was begun over it
        self._keep_alive: object = None  # a StreamWriter would close the transport when collected

    # Reading

    async def wait(self, until: float | None = None, late: Callable[[], Exception] = TimeoutError) -> None:
        """Wait until something arrived or nothing more will, or until `nudge`, which may have come already.

        At the time `until` of the loop, raises what `late` returns.
        """
        self._late = None if until is None else late
        try:
            while not (self.has_news or self._is_nudged):
                if self._reading_paused:
                    self._read_on()
                if until is not None:
                    # Again in each round: it may have rung in the very turn in which the last one was woken.
                    self._alarm.set(until)
                await self._waiter
        finally:
            self._is_nudged = False
            self._late = None

    def arrival(self, until: float | None, late: Callable[[], Exception]) -> Awaitable[None]:
        """Return what is to be awaited until something arrives or nothing more will, where nothing has yet. It may end
        before that: for who looks again then, and is not nudged. Else it is as `wait`."""
        if self._reading_paused:
            self._read_on()
        if until is None:
            self._late = None
        else:
            self._late = late
            self._alarm.set(until)
        return self._waiter

    async def wait_beside(self, work: asyncio.Future[T]) -> bool:
        """Wait until `work` is done; False if something arrived, or nothing more will, before that."""
        self._late = None
        work.add_done_callback(self._work_done)
        try:
            while not (work.done() or self.has_news):
                self._read_on()
                await self._waiter
        finally:
            work.remove_done_callback(self._work_done)
        return work.done()

    def nudge(self) -> None:
        """Let the one who waits for something to arrive see to something else."""
        self._is_nudged = True
        self._waiter.wake()

    def peek(self) -> bytes:
        """Return the beginning of what has arrived and was not taken."""
        return self._arrived[0] if self._arrived else b""

    @property
    def sole(self) -> bytes | None:
        """What has arrived and was not taken, if it is in one piece, and more may arrive."""
        arrived = self._arrived
        return arrived[0] if len(arrived) == 1 and not self.is_at_end else None

    def take(self) -> list[bytes]:
        """Return what arrived since the last time, without waiting."""
        if self._reading_paused and self._room >= _LEAST_READ:
            self._read_on()
        arrived, self._arrived = self._arrived, []
        self._arrived_size = 0
        self.has_news = self.is_at_end
        return arrived

    def offer(self, hearer: _Hearer) -> bool:
        """Let `hearer` hear what is `sole`, if anything is; take that, if it could be heard. Return whether it was."""
        arrived = self._arrived
        if len(arrived) != 1 or self.is_at_end or not hearer.hear(arrived[0]):
            return False
        # Where reading was paused, it goes on with the next wait.
        self._arrived = []
        self._arrived_size = 0
        self.has_news = False
        return True

    # Writing

    def write(self, blocks: list[bytes]) -> None:
        """Hand `blocks` to the transport. It never blocks: where much is written, `wait_writable` holds back."""
        if self.is_at_end:
            return  # the loss is told by reading
        transport = self._transport or self._living_transport()
        if len(blocks) > 1:
            blocks = [b"".join(blocks)] if sum(map(len, blocks)) <= _JOIN_LIMIT else list(_joined(blocks))
        try:
            for block in blocks:
                transport.write(block)
        except (OSError, MemoryError) as error:
            self._give_up(error)

    @property
    def is_writable(self) -> bool:
        """Whether more may be written now: the peer keeps up, and has nothing to say."""
        return not (self._writing_paused or self.has_news)

    async def listen(self) -> None:
        """Let the event loop read what has come already.

        A server that refuses a message in the middle may cut the connection behind its reply. Whoever writes on then
        loses the reply with the connection, if it was not read before.
        """
        if self.is_readable:
            # The first turn finds out that there is something, the second one reads it.
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    @property
    def is_readable(self) -> bool:
        """Whether something has come to this machine that the event loop has not read yet, as far as can be told."""
        transport = self._transport or self._living_transport()
        if self.is_at_end or transport.is_closing():
            return False  # nor is the descriptor its own any more
        if self._poll is None:
            end = transport.get_extra_info("socket")
            if end is None or not hasattr(select, "poll"):
                return False
            self._poll = select.poll()
            self._poll.register(end.fileno(), select.POLLIN)
        return bool(self._poll.poll(0))

    @property
    def unwritten(self) -> int:
        """How many octets of what was written the system has not taken yet."""
        return self._living_transport().get_write_buffer_size()

    async def wait_writable(self) -> bool:
        """Wait until more may be written; False if something arrived, or nothing more will, instead."""
        self._late = None
        while self._writing_paused and not self.has_news:
            self._read_on()
            await self._waiter
        return self.is_writable

    # Closing

    async def close(self, seconds: float | None) -> None:
        """Close in good order; after `seconds` the connection is cut. Never raises for what the peer does."""
        if self._transport is None:
            return
        try:
            if not self._transport.is_closing():  # one by TLS that is told twice cannot be cut any more
                self._transport.close()
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._lost)
        except OSError:  # as TimeoutError is, too
            self._cut(self._transport)
            await self._lost
        except BaseException:
            self._cut(self._transport)
            raise

    def abort(self) -> None:
        """Cut the connection at once."""
        self.is_at_end = self.has_news = True
        self._alarm.close()
        # A transport of asyncio that is closed already does not stand being told so.
        if self._transport is not None and not self._lost.done():
            self._cut(self._transport)

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._space[: max(self._room, _LEAST_READ)] if self._line_size else self._space

    def buffer_updated(self, nbytes: int) -> None:
        data = self._space[:nbytes].tobytes()
        if data.endswith(b"\n"):
            self._line_size = 0
        else:
            line_end = data.rfind(b"\n")
            self._line_size = nbytes - line_end - 1 if line_end >= 0 else self._line_size + nbytes
        self._arrived.append(data)
        self._arrived_size += nbytes
        self.has_news = True
        self._waiter.wake_at_once()
        if self._arrived_size >= _ARRIVED_LIMIT or (self._line_size and self._room < _LEAST_READ):
            self._hold_back()

    def eof_received(self) -> None:
        self.is_at_end = self.has_news = True
        self._waiter.wake()

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._waiter.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_at_end = self.has_news = True
        # The frames of the event loop that it comes from hold what was being written: it may be a password.
        self.error = self.error or (exc and exc.with_traceback(None))
        self._alarm.close()
        if not self._lost.done():
            self._lost.set_result(None)
        self._waiter.wake()

    # Private

    @property
    def _room(self) -> int:
        # For more of a line, of which a machine keeps nothing that it has made something of, such as a part of a body.
        return _LINE_ROOM - min(self._line_size, self._arrived_size + self.kept())

    def _hold_back(self) -> None:
        transport = self._living_transport()
        if not (self.is_at_end or self._reading_paused or self._waiter.is_awaited or transport.is_closing()):
            self._reading_paused = True
            transport.pause_reading()

    def _read_on(self) -> None:
        # Whoever waits has room, or wants more of a line than usual.
        if self._reading_paused:
            self._reading_paused = False
            try:
                self._living_transport().resume_reading()
            except (OSError, MemoryError) as error:
                self._give_up(error)

    def _give_up(self, error: OSError | MemoryError) -> None:
        # The system refused the event loop what it needs to read or write on: a place among the descriptors that it
        # waits for. Reading tells of it, as of any loss.
        self.error = self.error or error.with_traceback(None)
        self.abort()

    def _cut(self, transport: asyncio.Transport) -> None:
        if self._loop.is_closed():
            return  # by which nothing can be closed: it is when it is collected
        # Where the system refuses it to wait for less, asyncio waits for nothing any more, and is not done with it.
        try:
            transport.abort()
        except (OSError, MemoryError):
            transport.abort()

    def _work_done(self, _: object) -> None:
        self._waiter.wake()

    def _time_out(self) -> None:
        late = self._late
        if late is not None and self._waiter.is_awaited:
            try:
                error = late()
            except MemoryError as failed:
                error = failed  # else nobody would ever be woken
            self._waiter.wake(error)


def _joined(blocks: list[bytes]) -> Iterator[bytes]:
    # There is one at least.
    # Each write is a call of the system, and a packet: small blocks are joined, large ones not copied for it.
    joined: list[bytes] = []
    size = 0
    for block in blocks:
        size += len(block)
        if size > _JOIN_LIMIT and joined:
            yield b"".join(joined)
            joined.clear()
            size = len(block)
        joined.append(block)
    yield b"".join(joined) if len(joined) > 1 else joined[0]
