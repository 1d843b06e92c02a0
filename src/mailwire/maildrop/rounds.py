"""retrieve_all: one run over each of many accounts, side by side, none of which is any other's business."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial

from .._wire.text import check_function, check_seconds, check_whole_number
from ..aio.retrieval_progress import RetrievalProgress
from ..transcript import Transcript
from .account import Account, as_accounts, name_account
from .ledger import Ledger, MemoryLedger, check_ledger
from .report import RetrievalReport
from .run import Run, utc_now

__all__ = ["Rounds", "retrieve_all"]


class Rounds:
    """What runs side by side: at most `concurrency` runs, of which at most `per_host` on one server, and one on an
    account and on a maildrop, which may have several accounts. Where there is no ledger, or it cannot be read, the
    `fallback` remembers what has come. Raises ValueError for arguments that are none."""

    def __init__(
        self,
        ledger: Ledger | None,
        fallback: Ledger | None,
        *,
        concurrency: int,
        per_host: int,
        wait: float | None,
        now: Callable[[], datetime],
        transcript: Callable[[Account], Transcript] | None = None,
        progress: Callable[[Account, RetrievalProgress], None] | None = None,
    ) -> None:
        check_whole_number("concurrency", concurrency)
        check_whole_number("per_host", per_host)
        check_ledger(ledger)
        check_seconds("wait", wait)
        check_function("transcript", transcript)
        check_function("progress", progress)
        self._ledger = ledger
        self._fallback = fallback
        self._wait = wait
        self._now = now
        self._transcript = transcript
        self._progress = progress
        self._runs = asyncio.Semaphore(concurrency)
        self._hosts: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(per_host))
        self._accounts: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._maildrops: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def run(self, account: Account) -> RetrievalReport:
        """Do a run over `account` when its turn has come. Whatever ends it is in the report."""
        async with self._turn(account):
            began, run = self._now(), None
            try:
                run = Run(
                    account,
                    ledger=self._ledger,
                    fallback=self._fallback,
                    wait=self._wait,
                    transcript=self._transcript and self._transcript(account),
                    progress=self._progress and partial(self._progress, account),
                    now=self._now,
                )
                return await run.perform()
            except Exception as error:
                # A file for TLS that is not there, a provider of tokens that fails: it is one account's misfortune.
                report = RetrievalReport(account.name, str(account.endpoint), began) if run is None else run.report()
                return replace(report, error=error)

    @asynccontextmanager
    async def _turn(self, account: Account) -> AsyncGenerator[None, None]:
        # Who waits for a host, an account or a maildrop, does not keep others from running meanwhile.
        async with (
            self._accounts[account.name],
            self._maildrops[_name_maildrop(account)],
            self._hosts[account.endpoint.host.lower()],
            self._runs,
        ):
            yield


def _name_maildrop(account: Account) -> str:
    # A server lets one session have a maildrop at a time (RFC 1939 4), whatever the account is called.
    try:
        return name_account(account.endpoint)
    except ValueError:  # the credentials tell no user
        return account.name


async def retrieve_all(
    accounts: Iterable[Account],
    *,
    ledger: Ledger | None = None,
    concurrency: int = 10,
    per_host: int = 4,
    wait: float | None = 0,
    transcript: Callable[[Account], Transcript] | None = None,
    progress: Callable[[Account, RetrievalProgress], None] | None = None,
    now: Callable[[], datetime] = utc_now,
) -> AsyncGenerator[RetrievalReport, None]:
    """Do one run over each account, and yield a report for each, as they come to their ends.

    ::

        from contextlib import aclosing

        async with aclosing(retrieve_all(accounts, ledger=ledger)) as reports:
            async for report in reports:
                print(report.summary)

    accounts: whose mail to collect. One that is named twice has two runs, one after the other, and so have two with
        names of their own for one user of one server, whose mail goes to two places.
    ledger: what is known from earlier runs, of all of them.
    concurrency: how many runs at once; per_host: how many of them on one server.
    wait: for how many seconds to wait for a run of another process that is at work on an account; None waits for ever.
    transcript: is asked before each run where its dialogue is to be recorded.
    progress: is told of every block that comes, and for whom.
    now: the clock.

    Whatever goes wrong with an account is in its report. To close the iteration, or to cancel it, ends the runs that
    are under way. Behind a `break`, or an error, they go on until it is closed: by `contextlib.aclosing` at once, by
    Python some time. Raises ValueError for numbers below one, and for what is no Account, no ledger or no function.
    """
    try:
        # All of them first: what raises in their middle leaves no run behind.
        asked = as_accounts(accounts)
    finally:
        del accounts  # a URL among them may hold a password, and a traceback may show locals
    rounds = Rounds(
        ledger,
        None if ledger is None else MemoryLedger(),
        concurrency=concurrency,
        per_host=per_host,
        wait=wait,
        now=now,
        transcript=transcript,
        progress=progress,
    )
    tasks = [asyncio.create_task(rounds.run(account)) for account in asked]
    try:
        for report in asyncio.as_completed(tasks):
            yield await report
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
