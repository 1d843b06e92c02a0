"""Whoever uses a pool is cancelled, or the pool is ended, at every turn of the event loop: what is left is in order.

Each flow is run again and again, and interrupted one turn later each time, until it is faster than its interruption.
Afterwards nobody is left waiting, no connection is lost to the pool, and what is known of the mail agrees with what the
server has.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable

import pytest

from mailwire import Delivery, Mailing, MailwireError, SMTPPool
from mailwire.testing import MailServer
from mailwire.testing.turns import drain_events, turns
from tests.aio.pools import ACCOUNTS, ENVELOPE, Gate, endpoint_of, numbered, subjects

Flow = Callable[[SMTPPool, Mailing], Awaitable[object]]
Interrupt = Callable[[asyncio.Task[object], SMTPPool], Awaitable[None]]


# What is interrupted


async def over_a_new_connection(pool: SMTPPool, mailing: Mailing) -> object:
    return await pool.send(mailing)


async def over_an_idle_connection(pool: SMTPPool, mailing: Mailing) -> object:
    return await pool.send(mailing)


async def behind_others(pool: SMTPPool, mailing: Mailing) -> object:
    return await pool.send(mailing)


async def in_a_run(pool: SMTPPool, mailing: Mailing) -> object:
    results = pool.send_all([mailing])
    try:
        return (await anext(results)).raise_error()
    finally:
        for result in results.remaining:
            mailing.last_receipt = result.receipt


# How it is interrupted


async def cancel(task: asyncio.Task[object], _: SMTPPool) -> None:
    task.cancel()


async def cancel_twice(task: asyncio.Task[object], _: SMTPPool) -> None:
    task.cancel()
    await turns(1)
    task.cancel()


async def cancel_and_close(task: asyncio.Task[object], pool: SMTPPool) -> None:
    task.cancel()
    await pool.close()


async def abort(_: asyncio.Task[object], pool: SMTPPool) -> None:
    pool.abort()


async def close_and_cancel(task: asyncio.Task[object], pool: SMTPPool) -> None:
    closing = asyncio.ensure_future(pool.close())
    await turns(1)
    task.cancel()
    closing.cancel()
    await asyncio.wait([closing])


async def interrupted(flow: Flow, interrupt: Interrupt, count: int) -> bool:
    """Interrupt `flow` after so many turns; return whether it was finished before."""
    others: list[asyncio.Task[object]] = []
    async with MailServer(ACCOUNTS) as server:
        pool = SMTPPool(endpoint_of(server), max_connections=1)
        if flow is over_an_idle_connection:
            await pool.send(numbered(1), **ENVELOPE)
        elif flow is behind_others:
            others = [asyncio.ensure_future(pool.send(numbered(number), **ENVELOPE)) for number in (2, 3)]
            await turns(2)
        mailing = Mailing(numbered(0), **ENVELOPE)
        task = asyncio.ensure_future(flow(pool, mailing))
        behind: asyncio.Task[object] = asyncio.ensure_future(pool.send(numbered(4), **ENVELOPE))
        await turns(count)
        finished = task.done()
        if not finished:
            await interrupt(task, pool)
        await asyncio.wait([task, behind, *others])
        await drain_events()
        now = pool.statistics
        assert (now.in_use, now.waiting, now.leaving) == (0, 0, 0)
        assert now.idle <= 1
        if not finished and interrupt in (cancel, cancel_twice):
            assert task.cancelled()
            behind.result()  # what waited behind it has gone out
        check_word(task, mailing, subjects(server).count(0))
        if interrupt in (cancel, cancel_twice):
            await pool.send(numbered(5), **ENVELOPE)
        await pool.close()
        await server.wait_idle()
        check_word(task, mailing, subjects(server).count(0))
        if interrupt in (cancel, cancel_twice):
            assert set(subjects(server)) >= {4, 5}
        for other in (behind, *others):
            assert other.cancelled() or isinstance(other.exception(), (type(None), MailwireError))
    return finished


def check_word(task: asyncio.Task[object], mailing: Mailing, arrived: int) -> None:
    """Compare what is known of the mail with whether it has arrived."""
    assert arrived <= 1
    word = Delivery.NOT_SENT if mailing.last_receipt is None else mailing.last_receipt.delivery
    if task.cancelled():
        pass
    elif (error := task.exception()) is not None:
        assert isinstance(error, MailwireError)
        word = error.delivery or word  # a run that never began says nothing of its mails
    else:
        word = Delivery.ACCEPTED
    if arrived:
        assert word in (Delivery.ACCEPTED, Delivery.UNKNOWN)
    else:
        assert word is not Delivery.ACCEPTED


@pytest.mark.parametrize("interrupt", [cancel, cancel_twice, cancel_and_close, close_and_cancel, abort])
@pytest.mark.parametrize("flow", [over_a_new_connection, over_an_idle_connection, behind_others, in_a_run])
async def test_an_interruption_at_any_turn_leaves_the_pool_in_order(
    flow: Flow, interrupt: Interrupt, stride: int
) -> None:
    count = 0
    while not await interrupted(flow, interrupt, count):
        count += stride
        assert count < 500
    assert count > 3
    gc.collect()  # a transport or socket that was left open would complain now


@pytest.mark.parametrize("count", range(12))
async def test_a_closing_that_is_cancelled_cuts_what_is_there(count: int) -> None:
    gate = Gate()
    async with MailServer(ACCOUNTS) as server:
        pool = SMTPPool(endpoint_of(server), max_connections=2, max_messages_per_connection=1)
        await pool.send(numbered(1), **ENVELOPE)
        held = gate.send(pool)
        await turns(count)
        closing = asyncio.ensure_future(pool.close())
        await turns(count + 1)  # it has begun at least: a task that is cancelled before is never run
        closing.cancel()
        await asyncio.wait([closing, held])
        await drain_events()
        now = pool.statistics
        assert (now.in_use, now.idle, now.leaving, now.waiting) == (0, 0, 0, 0)
        assert isinstance(held.exception(), MailwireError)
    assert subjects(server) == [1]
