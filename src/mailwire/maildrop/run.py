"""Run: one run over a maildrop, from the ledger's claim to the answer to QUIT.

The order is the promise. A message is

1. in the ledger as seen, before it is asked for;
2. safe in the sink, and then
3. in the ledger as stored, before the server is asked to delete it;
4. in the ledger as marked, before DELE is said;
5. in the ledger as gone, when QUIT was answered by +OK, or when a later complete listing does not have it.

Wherever a run is cut off, by a crash, a lost connection or a cancellation: what is not in the sink, nobody has asked to
delete. What was in the sink and not yet in the ledger comes once more; a sink that knows it by its key holds it once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from ..aio.pop3 import POP3Client
from ..aio.retrieval_progress import RetrievalProgress
from ..errors import LedgerUnreadable, MaildropRenumbered, MailwireError, NotSupported, ResponseError, UnknownMessage
from ..pop3 import HEADER_LIMIT, Entry, Listing
from ..transcript import Transcript
from .account import Account
from .delivery import Deliveries
from .disposal import dispose
from .ledger import Ledger, MemoryLedger, Page, Record
from .plan import Caution, CautionKind, Fetch, Listed, Plan, SkipReason, plan_retrieval
from .report import Deleted, MessageReport, Outcome, RetrievalReport
from .sink import as_sink

__all__ = ["Run", "utc_now"]

_SKIPPED: Final = {
    SkipReason.TOO_LARGE: Outcome.TOO_LARGE,
    SkipReason.FAILED: Outcome.SKIPPED,
    SkipReason.LEFT: Outcome.LEFT,
}


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class Run:
    """A run: retrieve what is new in a maildrop, store it, and delete what may be deleted.

    account: whose mail, where to, and by which policy.
    ledger: what is known from earlier runs; None if nothing is to be remembered.
    wait: for how many seconds to wait for another run that is at work on the account; None waits for ever.
    transcript: where the dialogue is recorded; progress: is told of every block that comes.
    now: the clock.

    ::

        report = await Run(Account("pop3s://b:secret@pop.example.org", Maildir("Mail")), ledger=ledger).perform()

    Raises ValueError for a policy that takes a ledger, without one; TypeError for a sink that is none.
    """

    def __init__(
        self,
        account: Account,
        *,
        ledger: Ledger | None = None,
        wait: float | None = 0,
        transcript: Transcript | None = None,
        progress: Callable[[RetrievalProgress], None] | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        keep = account.policy.keep
        if ledger is None and isinstance(keep, timedelta) and keep > timedelta(0):
            raise ValueError("to keep messages for a time takes a ledger, which remembers when they were first seen")
        self._account = account
        self._sink = as_sink(account.into)
        self._ledger = MemoryLedger() if ledger is None else ledger
        self._wait = wait
        self._client = POP3Client(account.endpoint, settings=account.settings, transcript=transcript)
        self._progress = progress
        self._now = now
        self._began = now()
        self._clock_began: float | None = None
        self._may_delete = account.policy.deletes
        self._listing: Listing | None = None
        self._plan = Plan()
        self._known: set[int] = set()  # by their numbers
        self._cautions: list[Caution] = []
        self._deliveries: Deliveries | None = None
        self._deleted: dict[Entry, Deleted] = {}
        self._error: MailwireError | None = None

    async def perform(self) -> RetrievalReport:
        """Do it, once, and return what was done.

        What goes wrong with the mail, the server, the sink or the ledger is in the report: `error` has what ended the
        run. Where this is cancelled, `report` tells how far it has come.
        """
        self._began = self._now()
        self._clock_began = asyncio.get_running_loop().time()
        try:
            await self._perform()
        except MailwireError as error:
            self._error = error
        report = self.report()
        if self._error is not None:
            self._error.report = report
        return report

    async def _perform(self) -> None:
        client, policy = self._client, self._account.policy
        async with AsyncExitStack() as stack:
            page, records = await self._open_ledger(stack)
            await stack.enter_async_context(client)
            self._listing = listing = await client.listing()
            expire = client.capabilities.expire
            seen = self._now()
            plan = plan_retrieval(
                listing,
                records,
                seen,
                policy,
                expire=None if expire is None else expire.days,
                is_complete=listing.has_every_uid,
            )
            # What the ledger is told is held no longer than that takes.
            noted, self._plan = plan.records, replace(plan, records=())
            self._cautions += plan.cautions
            if plan.question is not None:
                question = plan.question
                raise MaildropRenumbered(str(question), known=question.known, listed=question.listed)
            self._known = {skip.entry.number for skip in plan.skip if skip.reason is SkipReason.STORED}
            deliveries = Deliveries(self._account.name, self._sink, page, records, self._now, seen)
            self._deliveries = deliveries
            await deliveries.note(noted, plan.forget)
            del plan, noted, records
            await self._fetch(deliveries)
            self._error = await self._dispose(listing, deliveries)

    async def _open_ledger(self, stack: AsyncExitStack) -> tuple[Page, dict[str, Record]]:
        try:
            page = await stack.enter_async_context(self._ledger.claim(self._account.name, wait=self._wait))
            return page, dict(await page.records())
        except LedgerUnreadable as error:
            self._may_delete = False
            self._cautions.append(
                Caution(
                    CautionKind.LEDGER_UNREADABLE,
                    f"{error}; everything is retrieved, as if for the first time, and nothing is deleted",
                )
            )
            return await stack.enter_async_context(MemoryLedger().claim(self._account.name)), {}

    async def _dispose(self, listing: Listing, deliveries: Deliveries) -> MailwireError | None:
        if not self._may_delete:
            return None
        return await dispose(self._client, listing, deliveries, self._account.policy, self._now, self._deleted)

    # Fetching

    async def _fetch(self, deliveries: Deliveries) -> None:
        try:
            whole: list[Fetch] = []
            for fetch in await self._compare(deliveries):
                if fetch.lines is None:
                    whole.append(fetch)
                else:
                    await self._preview(deliveries, fetch, fetch.lines)
            for batch in [[fetch] for fetch in whole] if self._plan.one_at_a_time else [whole]:
                await self._retrieve(deliveries, batch)
                await deliveries.settle()
            await deliveries.finish()
        except MailwireError:
            # What has come whole by then is safe all the same.
            with suppress(MailwireError):
                await deliveries.finish()
            raise
        finally:
            await deliveries.abandon()

    async def _compare(self, deliveries: Deliveries) -> list[Fetch]:
        # Return what is to be fetched, without the messages whose header tells that they are stored.
        rest: list[Fetch] = []
        fingerprints: Mapping[Entry, str] = {}
        if entries := [_entry(fetch.entry) for fetch in self._plan.fetch if _is_comparable(fetch)]:
            with suppress(NotSupported):
                fingerprints = await self._client.fingerprints(entries)
        for fetch in self._plan.fetch:
            fingerprint = fingerprints.get(_entry(fetch.entry), "") if _is_comparable(fetch) else ""
            if (alike := fetch.alikes.get(fingerprint)) is not None and fetch.uid is not None:
                record = replace(alike, uid=fetch.uid)
                deliveries.adopt(record.stored(self._now(), size=fetch.entry.size, fingerprint=alike.fingerprint))
                self._known.add(fetch.entry.number)
            else:
                rest.append(fetch)
        return rest

    async def _preview(self, deliveries: Deliveries, fetch: Fetch, lines: int) -> None:
        try:
            beginning = await self._client.top(_entry(fetch.entry), lines, limit=HEADER_LIMIT)
        except (NotSupported, ResponseError, UnknownMessage) as error:
            deliveries.fail(fetch, str(error), counts=False)
        else:
            await deliveries.deliver(fetch, _alone(beginning))

    async def _retrieve(self, deliveries: Deliveries, batch: list[Fetch]) -> None:
        entries = [_entry(fetch.entry) for fetch in batch]
        limit = self._account.policy.max_message_size
        retrieval = self._client.retrieve(entries, message_limit=limit, progress=self._progress)
        async with aclosing(retrieval):
            for fetch in batch:
                item = await anext(retrieval)
                if item.error is None:
                    await deliveries.deliver(fetch, aiter(item))
                else:
                    refusal = item.refusal
                    # What is gone, or was refused for a while, may yet come.
                    counts = item.was_asked and refusal is not None and not refusal.is_transient
                    deliveries.fail(fetch, str(item.error), counts=counts)

    # Telling

    def report(self) -> RetrievalReport:
        """Return what was done so far."""
        told = {} if self._deliveries is None else {each.number: each for each in self._deliveries.reports}
        known: dict[int, MessageReport] = {}
        for entry, deleted in self._deleted.items():
            if (report := told.get(entry.number)) is not None:
                told[entry.number] = replace(report, deleted=deleted)
            else:
                known[entry.number] = replace(_untouched(entry, Outcome.KNOWN), deleted=deleted)
        skipped = ((skip.entry, _SKIPPED.get(skip.reason)) for skip in self._plan.skip)
        left = (
            fetch.entry
            for fetch in self._plan.fetch
            if fetch.entry.number not in told and fetch.entry.number not in self._known
        )
        messages = (
            *told.values(),
            *(_untouched(entry, outcome) for entry, outcome in skipped if outcome is not None),
            *(_untouched(entry, Outcome.LEFT) for entry in left),
            *known.values(),
        )
        listing, login_delay = self._listing, self._client.capabilities.login_delay
        return RetrievalReport(
            self._account.name,
            str(self._account.endpoint),
            self._began,
            0 if self._clock_began is None else asyncio.get_running_loop().time() - self._clock_began,
            0 if listing is None else len(listing),
            len(self._known - known.keys()),
            messages,
            tuple(self._cautions),
            () if listing is None else listing.findings,
            self._error,
            0 if login_delay is None else login_delay.seconds,
        )


def _is_comparable(fetch: Fetch) -> bool:
    return bool(fetch.alikes) and fetch.uid is not None


def _entry(listed: Listed) -> Entry:
    if not isinstance(listed, Entry):
        raise AssertionError("what was planned comes of the listing")
    return listed


def _untouched(entry: Listed, outcome: Outcome) -> MessageReport:
    return MessageReport(entry.number, entry.uid, entry.size, outcome)


async def _alone(block: bytes) -> AsyncIterator[bytes]:
    yield block
