"""The bookkeeping of a pool against a model of it: who has a connection, who waits, in which order, and what is left.

The clients are fakes that are connected or not, as the rules say; time stands still, or is moved by a rule.
"""

import asyncio
from typing import Any, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mailwire import LocalProtocolError, SMTPClient
from mailwire.aio.pool_connections import PoolConnections, PooledConnection
from tests.clock import Clock
from tests.model_settings import model_settings

MAX_IDLE = 100.0


class FakeClient:
    """What the bookkeeping asks of a client."""

    def __init__(self) -> None:
        self.is_connected = False
        self.is_stale = False
        self.transactions = 0
        self.has_quit = False

    def stands(self) -> bool:
        if self.is_stale:
            self.abort()
        return self.is_connected

    def abort(self) -> None:
        self.is_connected = False

    def is_fed_by(self, task: object) -> bool:
        return False  # nobody who takes a connection here is the source of a message

    async def quit(self) -> None:
        assert self.is_connected
        self.has_quit = True
        await asyncio.sleep(0)
        self.is_connected = False


class PoolMachine(RuleBasedStateMachine):
    """Callers that take connections, use them well or badly, give them back, or give up."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.made: list[FakeClient] = []
        self.held: list[PooledConnection] = []  # in the order in which they were handed out
        self.waiting: list[asyncio.Task[PooledConnection]] = []  # in the order in which they came
        self.is_over = False

    def run(self, what: Any) -> Any:
        return self.runner.run(what)

    def make_client(self) -> SMTPClient:
        self.made.append(FakeClient())
        return cast(SMTPClient, self.made[-1])

    @initialize(cap=st.integers(1, 4))
    def begin(self, cap: int) -> None:
        async def begin() -> None:
            self.clock = Clock()
            self.pool = PoolConnections(self.make_client, max_connections=cap, max_idle=MAX_IDLE, rate=None)

        self.cap = cap
        self.run(begin())

    async def settle(self) -> None:
        """Let everything happen, and see that those who waited first were served first."""
        await self.clock.advance(0)
        served = 0
        while self.waiting and self.waiting[0].done():
            task = self.waiting.pop(0)
            served += 1
            if self.is_over and not task.cancelled() and task.exception() is not None:
                continue
            self.held.append(task.result())
        assert not any(task.done() for task in self.waiting), "somebody was overtaken"

    @rule()
    def take(self) -> None:
        async def take() -> None:
            if self.is_over:
                return
            connection = self.pool.take_at_once()
            if connection is not None:
                assert not self.waiting
                self.held.append(connection)
            else:
                self.waiting.append(asyncio.ensure_future(self.pool.take()))
            await self.settle()

        self.run(take())

    @precondition(lambda self: self.held)
    @rule(
        data=st.data(), outcome=st.sampled_from(["clean", "clean", "clean", "dead", "never opened", "spent", "stale"])
    )
    def give_back(self, data: st.DataObject, outcome: str) -> None:
        async def give_back() -> None:
            connection = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
            client = cast(FakeClient, connection.client)
            assert not client.has_quit
            client.is_connected = outcome not in ("dead", "never opened")
            client.transactions += 1
            client.is_stale = outcome == "stale"
            connection.max_transactions = client.transactions if outcome == "spent" else None
            self.pool.give_back(connection)
            await self.settle()

        self.run(give_back())

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), also_give_back=st.booleans())
    def give_up(self, data: st.DataObject, also_give_back: bool) -> None:
        async def give_up() -> None:
            place = data.draw(st.integers(0, len(self.waiting) - 1))
            task = self.waiting.pop(place)
            if also_give_back and self.held:
                # What is given to somebody at the very moment in which he gives up, goes to the next.
                self.pool.give_back(self.held.pop())
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            await self.settle()

        self.run(give_up())

    @rule(seconds=st.sampled_from([1.0, MAX_IDLE / 2, MAX_IDLE + 1]))
    def let_time_pass(self, seconds: float) -> None:
        async def pass_time() -> None:
            before = self.pool.idle
            await self.clock.advance(seconds)
            await self.settle()
            assert self.pool.idle <= before
            if seconds > MAX_IDLE:
                assert self.pool.idle == 0

        self.run(pass_time())

    @precondition(lambda self: not self.is_over)
    @rule()
    def abort(self) -> None:
        async def abort() -> None:
            self.is_over = True
            self.pool.abort(lambda: LocalProtocolError("over"))
            await self.settle()
            assert not self.waiting
            assert (self.pool.idle, self.pool.leaving) == (0, 0)

        # At the end, as a rule: most of what there is to see comes before.
        if len(self.made) > 6:
            self.run(abort())

    @invariant()
    def nothing_is_lost_or_too_many(self) -> None:
        if not hasattr(self, "pool"):
            return
        pool = self.pool
        assert pool.used == set(self.held)
        assert pool.waiting == len(self.waiting)
        assert len(pool.used) + pool.idle + pool.leaving <= self.cap
        assert pool.leaving == 0  # once all has happened
        if self.waiting:
            assert len(pool.used) == self.cap, "somebody waits though there is room"
        live = [client for client in self.made if client.is_connected]
        assert len(live) <= self.cap
        assert sum(client.is_connected for client in self.made) <= len(self.held) + pool.idle

    def teardown(self) -> None:
        async def end() -> None:
            for task in self.waiting:
                task.cancel()
            if self.waiting:
                await asyncio.wait(self.waiting)
            for connection in self.held:
                self.pool.give_back(connection)
            self.pool.wind_up()
            await self.pool.settled()
            assert not any(client.is_connected for client in self.made)
            assert not self.pool.used
            assert not asyncio.all_tasks() - {asyncio.current_task()}

        if hasattr(self, "pool"):
            self.run(end())
        self.runner.close()


PoolMachine.TestCase.settings = model_settings(examples=25, steps=40)
TestPoolAgainstItsModel = PoolMachine.TestCase
