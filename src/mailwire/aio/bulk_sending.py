"""BulkSending: a run over many messages on the one connection of a client.

1. One message's failure is its own: the run goes on.
2. The run works when it is asked for a result, and only then; what was asked of the server meanwhile, is on its way.
3. A connection that breaks is made again for what was certainly not sent. What the server may have is UNKNOWN, and not
   sent again. A server that does not stand mails in a row is sent one after the other from there on.
4. A server that cannot be reached again, or takes nothing on several connections in a row, is left alone: the rest has
   not been sent.
5. Whoever is cancelled, or ends the run, can read what has become of every message that was taken (`remaining`).
"""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..errors import ConnectionLost, LocalProtocolError, MailwireError
from .chain import Chain
from .consignment import Messages, Order, SendResult
from .holding import Holding
from .send_results import FUTILE, SendResults
from .turn import Turn

if TYPE_CHECKING:
    from .smtp import SMTPClient

__all__ = ["BulkSending"]


class BulkSending(SendResults):
    """A run over messages: an async iterator of one result for each. Made by `SMTPClient.send_all`.

    A run that is not gone on with holds the connection until another call of the same task ends it, or of any task once
    its own is done; `aclose`, or the end of `async with`, ends it at once.
    """

    def __init__(
        self, client: "SMTPClient", messages: Messages, order: Order, look_ahead: int, **settings: Any
    ) -> None:
        super().__init__(messages, order, look_ahead, settings)
        self._holding = Holding(client, self._break_off)
        self._client = client
        self._chain: Chain | None = None
        self._is_open = False  # it holds the connection
        self._is_over = False
        self._is_single = False
        self._futile = 0  # connections in a row
        self._aborts = 0  # of the client's, before it held the connection
        self._hopeless: MailwireError | None = None  # why nothing more is sent
        self._broken_off: LocalProtocolError | None = None
        self._turn = Turn()  # of who waits for a result
        self._ending = asyncio.Lock()  # of who closes it
        self._closing: asyncio.Task[None] | None = None  # the sources of what was left on a connection that is gone

    @property
    def maker(self) -> "asyncio.Task[object] | None":
        """The task that has made this run; None if it is done, or there was none."""
        return self._holding.maker

    def is_fed_by(self, task: "asyncio.Task[object]") -> bool:
        """Return whether `task` is the one in which an asynchronous iterable is asked for messages."""
        return self._consignment.is_fed_by(task)

    # Going on

    async def __anext__(self) -> SendResult:
        """Return the next result.

        Raises LocalProtocolError if the client is not connected when the run begins, another call has ended it, another
        task waits for the next result, or the run holds the connection in another event loop; and what the iterable of
        messages raises, behind the results for those that it gave.
        """
        consignment, turn = self._consignment, self._turn
        if turn.task is not None:
            raise LocalProtocolError("another task waits for the next result of this run")
        if self._broken_off is not None:
            raise self._broken_off
        if not self._is_over:
            task = self._holding.use() if self._is_open else asyncio.current_task()
            if not consignment.has_result:
                # All in one coroutine. What goes wrong cuts the connection while it is yet this task's turn.
                turn.begin(task)
                try:
                    try:
                        while not self._is_over:
                            chain = self._chain
                            if chain is None or chain.is_over or self._hopeless is not None:
                                await self._go_on_without()
                            else:
                                try:
                                    await chain.go_on()
                                except MailwireError as error:
                                    await self._lose(chain, error)
                                if not self._consignment.has_result and chain.is_at_rest:
                                    await self._wait()
                            if self._consignment.has_result:
                                break
                    except BaseException:
                        if not turn.is_ended:  # by `aclose`, which settles what there is
                            await self._cut()
                        raise
                except BaseException as error:
                    if turn.leave(error):
                        raise
                else:
                    turn.leave(None)
        return consignment.next_result()

    @property
    def is_unsettled(self) -> bool:
        """Whether it has left something unanswered on the connection."""
        return self._chain is not None and not self._chain.is_over and not self._chain.is_idle

    def abandon(self) -> None:
        """Take note that the connection was cut. If somebody is waiting for what comes over it, he is told by that."""
        if self._chain is not None and self._turn.task is None and not self._ending.locked():
            cut = ConnectionLost("the connection was cut")
            self._client._note(cut)
            self._chain.break_off(cut if self._is_open else None, may_try_again=self._is_open)
            with suppress(RuntimeError):  # where there is no event loop any more, nothing is read any more either
                self._closing = asyncio.get_running_loop().create_task(self._chain.close())

    async def aclose(self) -> None:
        """End the run. The verdicts on messages whose end has left are waited for, the rest is not sent.

        Where a mail was begun and its message not ended, the connection is cut, and the client no longer connected. A
        task that waits for the next result is told that there is none; what becomes known here, is in `remaining`.

        Raises LocalProtocolError where the run holds the connection in another event loop.
        """
        if self._is_open:
            self._client._refuse_elsewhere()
        self._is_over = True
        self._consignment.close()
        async with self._ending:
            if self._is_open:
                self._holding.use()
            try:
                await self._turn.end()
            except BaseException:
                await self._cut()
                raise
            if self._is_open:
                try:
                    await self._settle()
                finally:
                    self._end()
            if self._closing is not None:
                await asyncio.wait([self._closing])
        await self._consignment.closed()

    # Private

    @property
    def _opened_chain(self) -> Chain:
        if self._chain is None:
            raise AssertionError("a run that holds a connection has a chain of mails on it")
        return self._chain

    async def _go_on_without(self) -> None:
        # A chain that mails could go on with.
        if self._hopeless is not None:
            await self._fail_next(self._hopeless)
        else:
            await (self._renew() if self._is_open else self._take_hold())

    async def _wait(self) -> None:
        if self._consignment.is_exhausted:
            self._end()
            await self._consignment.closed()
        else:
            await self._consignment.wait()

    async def _renew(self) -> None:
        client = self._client
        try:
            client._refuse_if_aborted(self._aborts)
            if client.is_connected:
                await client._begin_again()
            else:
                await client._establish()
        except MailwireError as error:
            client._note(error)
            self._hopeless = error
        else:
            self._chain = self._new_chain()

    async def _lose(self, chain: Chain, error: MailwireError) -> None:
        self._client._note(error)
        self._is_single = self._is_single or chain.is_suspect
        self._futile = 0 if chain.has_concluded else self._futile + 1
        chain.break_off(error)
        self._client._cut()
        await chain.close()
        if self._futile == FUTILE:
            self._hopeless = error

    async def _fail_next(self, error: MailwireError) -> None:
        item = self._consignment.take()
        if item is None:
            await self._wait()
        else:
            self._consignment.fail(item, error)

    async def _settle(self) -> None:
        chain = self._opened_chain
        error: MailwireError | None = None
        try:
            await chain.settle()
        except MailwireError as caught:
            error = caught
            self._client._note(error)
        finally:
            if not chain.is_idle:
                chain.break_off(error, may_try_again=False)
                self._client._cut()
                await chain.close()

    async def _cut(self) -> None:
        # Whatever ends the run in the middle ends the connection.
        if not self._is_open:
            return
        chain = self._chain
        if chain is not None:  # else not even one could be made
            chain.break_off(None, may_try_again=False)
        self._client._cut()
        self._end()
        if chain is not None:
            await chain.close()

    def _new_chain(self) -> Chain:
        client = self._client
        return Chain(client._talk, self._consignment, is_single=self._is_single, note=client._note)

    # Holding the connection, and letting go of it

    async def _take_hold(self) -> None:
        client = self._client
        await self._consignment.begin()
        await client._begin_bulk(self)
        self._is_open = True
        self._holding.begin()
        self._holding.use()
        self._chain = self._new_chain()
        self._aborts = client._aborts

    def _break_off(self) -> None:
        self._broken_off = LocalProtocolError("another call of the client has ended this run: finish it first")
        self._end()

    def _end(self) -> None:
        self._is_over = True
        self._consignment.close()
        self._is_open = False
        self._holding.end()
        self._client._end_bulk(self)
