"""PoolSending: a run over many messages on the connections of a pool.

1. Connections are lent as to anybody else who sends by the pool: in turn, within the cap and the rate.
2. On each of them mails go in a row, as on the connection of a client. Where there is nothing to be taken, it is given
   back at once; so a run that nobody goes on with, holds nothing, once its look-ahead is used up.
3. A connection that breaks gives back what was certainly not sent, and other connections take it. If a mail is tried
   again, another connection is opened in its place, within the cap therefore, and has that mail first. No connection
   that stands is given up for one that may not come to be; where none can be opened, those that stand take that mail.
4. Where a connection cannot be opened, or is gone before a mail could begin, the run makes do with those that it has,
   and has one more whenever one could be opened, and as many as ever after a minute.
5. A server that cannot be reached, or takes nothing on several connections in a row, while there is no other connection
   on which it does, is left alone: the rest has not been sent.
"""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import ConnectionLost, LocalProtocolError, MailwireError, ServiceNotAvailable
from .chain import Chain
from .consignment import Item, Messages, Order, SendResult
from .pool_connections import CAUTION, PooledConnection
from .pool_opening import pool_closed
from .pool_share import PoolShare
from .send_results import FUTILE, SendResults
from .smtp import SMTPClient

if TYPE_CHECKING:
    from .pool import SMTPPool

__all__ = ["PoolSending"]


class PoolSending(SendResults):
    """A run over messages: an async iterator of one result for each. Made by `SMTPPool.send_all`.

    Mails that were begun go on while nobody asks for a result. `aclose`, or the end of `async with`, ends the run.
    """

    def __init__(self, pool: "SMTPPool", messages: Messages, order: Order, look_ahead: int, **settings: Any) -> None:
        super().__init__(messages, order, look_ahead, settings)
        self._pool = pool
        self._connections = pool._connections
        self._lanes: set[asyncio.Task[None]] = set()
        self._most = pool.max_connections  # lanes at once
        self._careful_until: float | None = None  # then there may be as many as ever
        self._working = 0  # lanes that have a connection on which mails go
        self._news: asyncio.Future[None] | None = None  # waited for
        self._reader: asyncio.Task[object] | None = None  # who waits for a result
        self._has_begun = False
        self._is_over = False
        self._settles = False  # a lane that is cancelled waits for the verdicts that are due
        self._is_single = False
        self._futile = 0  # connections in a row
        self._trouble: MailwireError | None = None  # why nothing more will be sent, if no lane does better
        self._hopeless: MailwireError | None = None  # why nothing more is sent
        self._failure: BaseException | None = None  # what broke a lane off, and is nobody's refusal

    # Going on

    async def __anext__(self) -> SendResult:
        """Return the next result.

        Raises LocalProtocolError if the pool is closed when the run begins, or another event loop has connections or
        mails of it, or had, and was closed in the middle of mails of the run; and what the iterable of messages raises,
        behind the results for those that it gave.
        """
        consignment = self._consignment
        if self._reader is not None:
            raise LocalProtocolError("another task waits for the next result of this run")
        goes_on = not (self._is_over or consignment.has_result)
        if goes_on:
            self._refuse_elsewhere()
            try:
                if not self._has_begun:
                    await self._begin()
                await self._go_on()
                while not (consignment.has_result or self._is_over):
                    await self._go_on()
            except BaseException:
                await self._end(settles=False)
                raise
        return consignment.next_result()

    async def aclose(self) -> None:
        """End the run. The verdicts on messages whose end has left are waited for, the rest is not sent.

        Connections on which a mail was begun and its message not ended, are cut.

        Raises LocalProtocolError where they are in another event loop, or were, and it is closed.
        """
        if self._lanes:
            self._refuse_elsewhere()
        await self._end(settles=True)

    # Private

    def _refuse_elsewhere(self) -> None:
        # Where mails are on their way in another event loop, which may yet run, or never will.
        connections = self._pool._connections_here()
        if self._lanes and connections is not self._connections:
            raise LocalProtocolError("the event loop was closed over mails of this run: nothing more is known of them")
        self._connections = connections

    async def _begin(self) -> None:
        self._pool._refuse_if_closed()
        self._has_begun = True
        self._reader = asyncio.current_task()
        try:
            await self._consignment.begin()
        finally:
            self._reader = None

    async def _go_on(self) -> None:
        consignment = self._consignment
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        self._employ()
        if not self._lanes and consignment.is_exhausted:
            self._is_over = True
            await consignment.closed()
        elif not consignment.has_result:
            self._news = asyncio.get_running_loop().create_future()
            self._reader = asyncio.current_task()
            consignment.tell(self, self._wake)
            try:
                await self._news
            finally:
                consignment.tell(self, None)
                self._news = self._reader = None

    def _employ(self) -> None:
        # Let there be a lane for each mail that can be taken, as far as there may be connections.
        pool, consignment = self._pool, self._consignment
        if self._careful_until is not None and asyncio.get_running_loop().time() >= self._careful_until:
            self._most, self._careful_until, self._trouble = pool.max_connections, None, None
        if self._is_held_back:
            if self._lanes:
                return  # they may yet do better
            self._hopeless = self._trouble or pool_closed()
        while len(self._lanes) < self._most and not (self._hopeless and consignment.has_result):
            item = consignment.take()
            if item is None:
                return
            if self._hopeless is not None:
                consignment.fail(item, self._hopeless)
                continue
            share = self._share_of(item)
            self._connections.sends += 1
            lane = asyncio.get_running_loop().create_task(self._send(share))
            self._lanes.add(lane)
            lane.add_done_callback(partial(self._end_lane, share))

    def _share_of(self, first: Item) -> PoolShare:
        return PoolShare(self._consignment, first, self._connections, self._wake)

    def _end_lane(self, share: PoolShare, lane: "asyncio.Task[None]") -> None:
        share.close()  # its first: where it was cancelled before it began, nobody else has
        self._lanes.discard(lane)
        self._connections.end_send()
        if not lane.cancelled():
            failure = lane.exception()  # asked of every one: else the event loop complains of it
            self._failure = self._failure or failure
        self._wake()

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _end(self, *, settles: bool) -> None:
        self._is_over = True
        self._settles = settles
        self._consignment.close()
        try:
            await self._end_lanes()
        except BaseException:
            self._settles = False
            await self._end_lanes()  # which wait for no verdict any more
            raise
        await self._consignment.closed()

    async def _end_lanes(self) -> None:
        for lane in self._lanes:
            lane.cancel()
        while self._lanes:
            await asyncio.wait(self._lanes)
            await asyncio.sleep(0)  # their callbacks come behind them

    @property
    def _is_held_back(self) -> bool:
        return self._pool._is_closed or self._trouble is not None

    # One lane: a connection, for as long as there are mails for it, and then another

    async def _send(self, share: PoolShare) -> None:
        # Who asks for results may have enough of them for long: a lane does not wait for that to take up another
        # connection.
        while True:
            try:
                await self._send_share(share)
            finally:
                share.close()
            if self._is_held_back or len(self._lanes) > self._most:
                return
            item = self._consignment.take()
            if item is None:
                return
            share = self._share_of(item)

    async def _send_share(self, share: PoolShare) -> None:
        connections = self._connections
        try:
            connection = await connections.take(held_up=lambda: self._reader)
        except LocalProtocolError as error:
            if not self._pool._is_closed:
                self._trouble = error  # who waits for our results is who holds the connections
            return
        try:
            while share.has_first:
                is_new = not connection.client.is_connected
                if is_new and not await self._open(connection):
                    break
                await self._send_over(connection, share, is_new=is_new)
                if self._trouble is not None:
                    break  # what was to be the first on another connection, is for those that there are
                if share.has_first:
                    await connections.wait_for_leave()
            if not connection.client.is_connected:
                await asyncio.sleep(0)  # its socket is closed by now: another may be opened
        finally:
            connections.give_back(connection)

    async def _open(self, connection: PooledConnection) -> bool:
        pool = self._pool
        try:
            await pool._opening.open(connection)
        except MailwireError as error:
            connection.client._note(error)
            # RFC 5321 3.8: 421 in place of a greeting, by a server that has enough of us.
            is_full = isinstance(error, ServiceNotAvailable) and self._connections.want_fewer()
            self._make_do()
            if not (is_full or self._connections.idle):
                self._trouble = error
            return False
        # That it could be opened says little where several in a row were opened, and nothing was taken on them.
        if self._futile < FUTILE and (self._trouble is not None or self._most < pool.max_connections):
            self._trouble = None
            self._most = min(self._most + 1, pool.max_connections)
            self._wake()  # there may be another lane
        return True

    def _make_do(self) -> None:
        # With the connections that there are.
        self._most = max(1, self._working + self._connections.idle)
        self._careful_until = asyncio.get_running_loop().time() + CAUTION

    async def _send_over(self, connection: PooledConnection, share: PoolShare, *, is_new: bool) -> None:
        client, pool = connection.client, self._pool
        before = client.transactions
        try:
            share.begin(connection, is_rated=self._connections.is_rated)
            async with client._call():
                chain = Chain(client._talk, share, is_single=self._is_single, note=client._note)
                self._working += 1
                try:
                    await self._go_on_with(chain, connection, is_new=is_new)
                finally:
                    self._working -= 1
                    share.tell(chain, None)
        except MailwireError as error:
            self._fail(error, is_new=is_new)  # the server has said something, or gone, before it was asked anything
            share.close()
            if is_new:
                self._make_do()  # it is as if it could not have been opened
        finally:
            mails = client.transactions - before - share.further_parts
            pool._count(reused=max(0, mails - is_new), retried=share.retried)

    async def _go_on_with(self, chain: Chain, connection: PooledConnection, *, is_new: bool) -> None:
        client = connection.client
        try:
            while True:
                await chain.go_on()
                if chain.has_concluded:
                    self._futile, self._trouble = 0, None
                if chain.is_over:
                    connection.max_transactions = 0  # what is to come needs another one
                    return
                if chain.is_idle:
                    return
        except MailwireError as error:
            client._note(error)
            self._is_single = self._is_single or chain.is_suspect
            self._fail(error, is_new=is_new and not chain.has_concluded)
            chain.break_off(error, may_try_again=not self._pool._opening.is_aborted)
            client.abort()
            await chain.close()
        except asyncio.CancelledError:
            await self._leave(chain, client)
            raise
        except BaseException as broken:
            self._settles = False
            cut = ConnectionLost(f"the connection was cut, as the run was broken off: {broken!r}")
            cut.__cause__ = broken
            await self._leave(chain, client, cut)
            raise

    def _fail(self, error: MailwireError, *, is_new: bool) -> None:
        # That an idle connection has become stale, says nothing of the next one.
        self._futile += is_new
        if self._futile >= FUTILE:
            self._trouble = error

    async def _leave(self, chain: Chain, client: SMTPClient, error: MailwireError | None = None) -> None:
        try:
            if self._settles:
                await chain.settle()
        except MailwireError as caught:
            error = caught
            client._note(error)
        finally:
            if not chain.is_idle:
                chain.break_off(error, may_try_again=False)
                client.abort()
                await chain.close()
