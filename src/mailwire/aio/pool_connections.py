"""PoolConnections: the connections of a pool, which of them may be used, and who waits for one.

1. There are never more than the cap: one that is being opened, used, idle or taking its leave counts.
2. Who comes first is served first. Whoever gives up waiting leaves no hole: what was meant for him goes to the next.
3. A connection is handed out that is not connected yet, or idle, with nothing heard since its last mail.
4. Nobody waits for himself: if every connection sends a message whose source waits for a connection, the last of them
   is told so.
5. What is due later is done by timers; taking leave, by tasks that are known here until they end.
6. They belong to one event loop. What is left in it when it is closed, or comes of it later, is nothing to the next.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from math import inf
from typing import Final

from ..errors import LocalProtocolError
from .rate import Rate
from .smtp import SMTPClient

__all__ = ["CAUTION", "PoolConnections", "PooledConnection"]

CAUTION: Final = 60.0
"""The seconds after which a server that wanted no more connections is tried again with more."""


_HeldUp = Callable[[], "asyncio.Task[object] | None"]


class PooledConnection:
    """One of a pool's connections: its client, and what the pool knows of it."""

    idle_until: float
    """When it is too old, or has been idle for too long; of one that is idle."""

    def __init__(self, client: SMTPClient) -> None:
        self.client = client
        self.max_transactions: int | None = None
        self.expires: float = inf  # by its age, at a time of the event loop
        self.sessions: int = 0  # of the client's, of which the pool knows

    @property
    def is_spent(self) -> bool:
        """Whether it has had all the mails that it may have."""
        return self.max_transactions is not None and self.client.transactions >= self.max_transactions


class PoolConnections:
    """At most `max_connections` of them, each made by `make_client`; by `rate`, as many are handed out."""

    def __init__(
        self,
        make_client: Callable[[], SMTPClient],
        *,
        max_connections: int,
        max_idle: float | None,
        rate: Rate | None,
    ) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None  # to which they belong; none yet
        self.used: set[PooledConnection] = set()
        self.sends: int = 0  # that were begun and have not ended
        self._is_quiet = asyncio.Event()  # there is none of them; for who waits for that
        self._make_client = make_client
        self._max_connections = max_connections
        self._max_idle = inf if max_idle is None else max_idle
        self._rate = rate
        self._idle: list[PooledConnection] = []  # the one that was used last is the last
        self._leaving: dict[PooledConnection, asyncio.Task[None]] = {}
        # Who waits, and which task cannot go on before that.
        self._queue: OrderedDict[asyncio.Future[PooledConnection], _HeldUp] = OrderedDict()
        self._keeps_idle = True
        self._ceiling: tuple[int, float] | None = None  # fewer than the cap, until then
        self._expiry = _Timer(self._dismiss_expired)
        self._next_token = _Timer(self._advance)

    def anew(self, loop: asyncio.AbstractEventLoop) -> "PoolConnections":
        """Return as many that may be in `loop`, where there is none yet; what the server has said of their number, and
        the rate, hold there as well. Raises LocalProtocolError where these are in use in a loop that may yet run."""
        before = self.loop
        if before is not None and not before.is_closed() and (self.sends or self._idle or self._leaving):
            raise LocalProtocolError("the pool is in use in another event loop: make another pool for this one")
        another = PoolConnections(
            self._make_client, max_connections=self._max_connections, max_idle=self._max_idle, rate=self._rate
        )
        another.loop, another._ceiling, another._keeps_idle = loop, self._ceiling, self._keeps_idle
        self._queue.clear()  # who waits in a loop that is closed, waits for nothing
        return another

    # How many there are

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def leaving(self) -> int:
        return len(self._leaving)

    @property
    def is_rated(self) -> bool:
        return self._rate is not None

    @property
    def waiting(self) -> int:
        return len(self._queue)

    # Taking one and giving it back

    def take_at_once(self, is_first: bool = False) -> PooledConnection | None:
        """Return a connection if there is one, and nobody waits for it, or it is for the one who `is_first` of those
        who wait."""
        if self._queue and not is_first:
            return None
        now = asyncio.get_running_loop().time()
        if self._rate is not None and (ready_at := self._rate.ready_at()) > now:
            self._next_token.set(ready_at)
            return None
        while True:
            if not self._idle:
                if self._count >= self._most(now):
                    return None
                connection = PooledConnection(self._make_client())
                break
            connection = self._idle.pop()
            if now >= connection.idle_until:
                self._dismiss(connection)
            elif connection.client.stands():
                break
        self.used.add(connection)
        if self._rate is not None:
            self._rate.take(now)
        return connection

    async def take(self, *, in_front: bool = False, held_up: _HeldUp | None = None) -> PooledConnection:
        """Return a connection, waiting for it behind those who wait already, or `in_front` of them.

        held_up: returns the task that cannot go on meanwhile; by default that is the current one.

        Raises LocalProtocolError for who would wait for ever: the source of a message that is being sent, if all others
        are held up like that.
        """
        connection = self.take_at_once()
        if connection is not None:
            return connection
        task = asyncio.current_task()
        held_up = held_up or (lambda: task)
        if self._is_held_up_by(held_up()):
            raise LocalProtocolError(
                "the sources of all messages that are being sent wait for a connection of this pool, which has no more"
            )
        waiter: asyncio.Future[PooledConnection] = asyncio.get_running_loop().create_future()
        self._queue[waiter] = held_up
        if in_front:
            self._queue.move_to_end(waiter, last=False)
        try:
            return await waiter
        except asyncio.CancelledError:
            self._queue.pop(waiter, None)
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._take_back(waiter.result())
            raise

    async def wait_for_leave(self) -> None:
        """Wait until another mail may be begun, by the rate, over a connection that was taken for one."""
        clock = asyncio.get_running_loop().time
        if self._rate is not None:
            # Somebody else may have it, once it is time.
            while self._rate.ready_at() > clock():
                pause = self._rate.ready_at() - clock()
                await asyncio.sleep(pause)
            self._rate.take(clock())

    def give_back(self, connection: PooledConnection) -> None:
        """Give back a connection that was taken: usable, spent, or dead."""
        self.used.remove(connection)
        if connection.client.is_connected:
            now = asyncio.get_running_loop().time()
            expires = connection.expires
            if now < expires and (self._keeps_idle or self._queue) and not connection.is_spent:
                connection.idle_until = min(expires, now + self._max_idle)
                self._idle.append(connection)
                if self._expiry.handle is None:
                    self._watch_expiry()
            else:
                self._dismiss(connection)
        if self._queue:
            self._advance()

    def want_fewer(self) -> bool:
        """Make do with the connections that there are besides the one that the server did not want; False if there are
        none."""
        others = len(self._idle) + sum(connection.client.is_connected for connection in self.used)
        if others:
            self._ceiling = others, asyncio.get_running_loop().time() + CAUTION
        return others > 0

    def end_send(self) -> None:
        """Count one of the `sends` less."""
        self.sends -= 1
        if not self.sends:
            self._is_quiet.set()

    # The end

    def wind_up(self) -> None:
        """Keep no connection that nobody waits for."""
        self._keeps_idle = False
        self._cancel_timers()
        while self._idle:
            self._dismiss(self._idle.pop())

    def abort(self, error: Callable[[], Exception]) -> None:
        """Cut every connection, and let those who wait have an `error`."""
        self._keeps_idle = False
        self._cancel_timers()
        for connection in (*self.used, *self._idle, *self._leaving):
            connection.client.abort()
        self._idle = []
        while self._queue:
            waiter, _ = self._queue.popitem(last=False)
            if not waiter.done():
                waiter.set_exception(error())

    async def sent(self) -> None:
        """Wait until every send has ended."""
        if self.sends:
            self._is_quiet.clear()
            await self._is_quiet.wait()

    async def settled(self) -> None:
        """Wait until those connections that were dismissed are closed."""
        while self._leaving:
            await asyncio.wait(self._leaving.values())

    # Private

    @property
    def _count(self) -> int:
        return len(self.used) + len(self._idle) + len(self._leaving)

    def _most(self, now: float) -> int:
        if self._ceiling is not None and now >= self._ceiling[1]:
            self._ceiling = None
        return self._max_connections if self._ceiling is None else min(self._max_connections, self._ceiling[0])

    def is_fed_by(self, task: "asyncio.Task[object] | None") -> bool:
        """Return whether `task` reads a message that is being sent: it cannot wait until that is sent."""
        return any(each.client.is_fed_by(task) for each in self.used)

    def _is_held_up_by(self, task: "asyncio.Task[object] | None") -> bool:
        # Whether no connection would ever be free again, if this task waited for one.
        if len(self.used) < self._max_connections or not self.is_fed_by(task):
            return False
        waiting = {task, *(held_up() for held_up in self._queue.values())}
        return all(any(map(each.client.is_fed_by, waiting)) for each in self.used)

    def _advance(self) -> None:
        while self._queue:
            waiter = next(iter(self._queue))
            if not waiter.done():
                connection = self.take_at_once(is_first=True)
                if connection is None:
                    return
                waiter.set_result(connection)
            del self._queue[waiter]

    def _take_back(self, connection: PooledConnection) -> None:
        # Whoever it was meant for is gone, and has done nothing with it.
        if self._rate is not None:
            self._rate.put_back()
        self.give_back(connection)

    # Being idle

    def _watch_expiry(self) -> None:
        # A timer that goes off too early, because the connection was used meanwhile, looks again.
        end = min([kept.idle_until for kept in self._idle], default=inf)
        if end < inf:
            self._expiry.set(end)

    def _dismiss_expired(self) -> None:
        now = asyncio.get_running_loop().time()
        expired = [connection for connection in self._idle if now >= connection.idle_until]
        self._idle = [connection for connection in self._idle if connection not in expired]
        for connection in expired:
            self._dismiss(connection)
        self._watch_expiry()

    def _cancel_timers(self) -> None:
        self._expiry.cancel()
        self._next_token.cancel()

    # Taking leave

    def _dismiss(self, connection: PooledConnection) -> None:
        self._leaving[connection] = asyncio.get_running_loop().create_task(self._quit(connection))

    async def _quit(self, connection: PooledConnection) -> None:
        try:
            await connection.client.quit()
        finally:
            connection.client.abort()
            del self._leaving[connection]
            self._advance()


class _Timer:
    # Calls `ring` once, when it is time.

    def __init__(self, ring: Callable[[], None]) -> None:
        self.handle: asyncio.TimerHandle | None = None  # as long as it is set
        self._ring = ring

    def set(self, time: float) -> None:
        # Where it is set already, it stays as it is.
        if self.handle is None:
            self.handle = asyncio.get_running_loop().call_at(time, self._go_off)

    def cancel(self) -> None:
        if self.handle is not None:
            self.handle.cancel()
            self.handle = None

    def _go_off(self) -> None:
        self.handle = None
        self._ring()
