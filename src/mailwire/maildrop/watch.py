"""watch: run after run over many accounts, for as long as somebody listens.

A server is not to be asked too often: at its own word (LOGIN-DELAY, RFC 2449 6.5), at the caller's (the interval), and,
where something is wrong, less often each time. Pauses are drawn apart at random, or all accounts would come at once.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

from .._wire.text import check_kind
from ..aio.retrieval_progress import RetrievalProgress
from ..errors import AuthenticationFailed, MaildropRenumbered, ResponseError
from ..transcript import Transcript
from .account import Account, as_accounts
from .ledger import Ledger, MemoryLedger
from .report import RetrievalReport
from .rounds import Rounds
from .run import utc_now

__all__ = ["next_pause", "watch"]

# Where runs fail, the pause doubles up to this, or up to the interval if that is longer.
_LONGEST_PAUSE: Final = 3600.0  # seconds


def next_pause(report: RetrievalReport, failures: int, interval: float, jitter: float, chance: float) -> float | None:
    """Return how long to wait, in seconds, before the next run; None if there is to be none.

    report: the last run's; failures: how many have been ended by an error, on end, with this one.
    interval: seconds between two runs that go well; jitter: by which part of it the pause may be shorter or longer.
    chance: from 0 to 1, drawn at random.

    A login that was refused for its credentials is not repeated, and a question needs somebody to answer it. What the
    server says of the pause that it wants, by LOGIN-DELAY or in a refusal, is the least.
    """
    error = report.error
    if isinstance(error, MaildropRenumbered) or (isinstance(error, AuthenticationFailed) and not error.is_transient):
        return None
    pause = interval if error is None else min(interval * 2 ** min(failures, 20), max(interval, _LONGEST_PAUSE))
    refused_for = error.retry_after if isinstance(error, ResponseError) else None
    return max(pause * (1 + jitter * (2 * chance - 1)), float(report.login_delay), float(refused_for or 0))


async def watch(
    accounts: Iterable[Account],
    *,
    ledger: Ledger | None = None,
    interval: timedelta = timedelta(minutes=5),
    jitter: float = 0.1,
    concurrency: int = 10,
    per_host: int = 4,
    transcript: Callable[[Account], Transcript] | None = None,
    progress: Callable[[Account, RetrievalProgress], None] | None = None,
    now: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    chance: Callable[[], float] = random.random,
) -> AsyncGenerator[RetrievalReport, None]:
    """Do run after run over each account, and yield a report for each run, as they come to their ends.

    ::

        from contextlib import aclosing

        async with aclosing(watch(accounts, ledger=ledger)) as reports:
            async for report in reports:
                for message in report.stored:
                    print(report.account, message.uid)

    ledger: what is known from earlier runs. Where there is none, or it cannot be read, it is remembered as long as the
        iteration lasts what has come.
    interval: between two runs on an account that go well. jitter: by which part of it a pause may be shorter or longer.
    now: the clock.
    sleep: what waits for so many seconds.
    chance: what draws a number from 0 to 1.

    The other arguments are those of `retrieve_all`. After an error the pause doubles each time, up to an hour; a server
    that wants a longer one (LOGIN-DELAY, or what it says as it refuses) gets it. An account whose credentials are
    refused, or whose maildrop raises the question of `MaildropRenumbered`, is not asked again: its last report says so.
    The iteration ends when no account is left, and never of itself otherwise; behind a `break`, its runs go on until it
    is closed, as `contextlib.aclosing` does. Raises ValueError for numbers below one, for an interval that is none, and
    for what is no Account, no ledger or no function.
    """
    try:
        # All of them first: what raises in their middle leaves no run behind.
        watched = as_accounts(accounts)
    finally:
        del accounts  # a URL among them may hold a password, and a traceback may show locals
    check_kind("interval", interval, timedelta, "a timedelta")
    check_kind("jitter", jitter, (int, float), "a number")
    if interval <= timedelta(0) or not 0 <= jitter <= 1:
        raise ValueError(f"expected an interval and a jitter from 0 to 1, got {interval} and {jitter}")
    rounds = Rounds(
        ledger,
        MemoryLedger(),
        concurrency=concurrency,
        per_host=per_host,
        wait=0,
        now=now,
        transcript=transcript,
        progress=progress,
    )

    async def go_on(account: Account, pause: float) -> RetrievalReport:
        if pause:
            await sleep(pause)
        return await rounds.run(account)

    # Each account's next run, and how many have failed before it.
    tasks = {asyncio.create_task(go_on(account, 0)): (account, 0) for account in watched}
    try:
        while tasks:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                account, failures = tasks.pop(task)
                report = task.result()
                failures = 0 if report.error is None else failures + 1
                pause = next_pause(report, failures, interval.total_seconds(), jitter, chance())
                if pause is not None:
                    tasks[asyncio.create_task(go_on(account, pause))] = (account, failures)
                yield report
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
