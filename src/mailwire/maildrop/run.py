"""Run: one run over a maildrop, from the ledger's claim to the answer to QUIT.

The order is the promise. A message is

1. in the ledger as seen, before it is asked for;
2. safe in the sink, and then
3. in the ledger as stored, before the server is asked to delete it;
4. in the ledger as marked, before DELE is said;
5. in the ledger as gone, when QUIT was answered by +OK, or when a later complete listing does not have it.

Wherever a run is cut off, by a crash, a lost connection or a cancellation: what is not in the sink, nobody has asked to
delete. What was in the sink and not yet in the ledger comes once more; a sink that knows it by its key holds it once.

There may be messages that no session survives. So the one whose answer was due when a session ended has failed. What
failed before is fetched behind all others, each by itself and between two NOOPs, so that whatever goes wrong is its
own. What is only under suspicion, for something else may be to blame, does not count before that.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from .._wire.text import check_function, check_seconds
from ..aio.pop3 import POP3Client
from ..aio.portions import finish_in_turns, portions
from ..aio.retrieval_progress import RetrievalProgress
from ..errors import (
    Desynchronised,
    LedgerUnreadable,
    LocalProtocolError,
    MaildropRenumbered,
    MailwireError,
    NotSupported,
    ResponseError,
    UnknownMessage,
)
from ..pop3 import HEADER_LIMIT, Entry, Listing, RefusalCause, Retr
from ..pop3.columns import NumberColumn
from ..transcript import Transcript
from .account import Account, as_account
from .blame import SESSION_ENDED, is_unnamed, say_noop
from .comparison import Comparison, compare
from .delivery import Deliveries, as_reason
from .disposal import dispose
from .lazy_sequence import LazySequence
from .ledger import Ledger, NoLedger, Page, Record, check_ledger
from .message_report import Deleted, MessageReport, MessageReports, Outcome
from .naming import Listed, Named, as_entry
from .plan import Caution, CautionKind, Fetch, Plan, SkipReason
from .planning import Planning
from .report import RetrievalReport
from .run_progress import RunProgress
from .sink import as_sink

__all__ = ["Run", "utc_now"]

_SKIPPED: Final = {
    Outcome.TOO_LARGE: SkipReason.TOO_LARGE,
    Outcome.SKIPPED: SkipReason.FAILED,
    Outcome.LEFT: SkipReason.LEFT,
}


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class Run:
    """A run: retrieve what is new in a maildrop, store it, and delete what may be deleted.

    account: whose mail, where to, and by which policy.
    ledger: what is known from earlier runs; None if nothing is to be remembered.
    fallback: what remembers, where there is no ledger or it cannot be read, what has come, so that the next of several
        runs does not retrieve it again; None if nothing does.
    wait: for how many seconds to wait for another run that is at work on the account; None waits for ever.
    transcript: where the dialogue is recorded; progress: is told of every block that comes.
    now: the clock.

    ::

        report = await Run(Account("pop3s://b:secret@pop.example.org", Maildir("Mail")), ledger=ledger).perform()

    Raises ValueError for a policy that takes a ledger, without one, and for what is no account, no ledger, no function
    and no time.
    """

    def __init__(
        self,
        account: Account,
        *,
        ledger: Ledger | None = None,
        fallback: Ledger | None = None,
        wait: float | None = 0,
        transcript: Transcript | None = None,
        progress: Callable[[RetrievalProgress], None] | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        try:
            self._account = as_account(account)
        finally:
            del account  # a URL in its place may hold a password, and a traceback may show locals
        check_ledger(ledger)
        check_ledger(fallback, name="fallback")
        check_seconds("wait", wait)
        check_function("progress", progress)
        policy = self._account.policy
        if ledger is None and isinstance(policy.keep, timedelta) and policy.keep > timedelta(0):
            raise ValueError("to keep messages for a time takes a ledger, which remembers when they were first seen")
        self._sink = as_sink(self._account.into)
        self._fallback: Ledger = NoLedger() if fallback is None else fallback
        self._ledger = self._fallback if ledger is None else ledger
        self._wait = wait
        self._client = POP3Client(self._account.endpoint, settings=self._account.settings, transcript=transcript)
        self._progress = RunProgress(progress)
        self._now = now
        self._began = now()
        self._clock_began: float | None = None
        self._seconds: float | None = None  # that it has taken
        self._may_delete = policy.deletes
        self._listing: Listing | None = None
        self._plan = Plan()
        self._portion: Sequence[Fetch] = ()  # of what there is to fetch: what is being fetched
        self._reached = 0  # how many there are up to the end of it
        self._adopted = 0  # how many are known by their headers, and not fetched
        self._last: tuple[Fetch, str] | None = None  # that was delivered, and the command that it has answered
        self._is_over_quota = False
        self._is_behind_preview = False  # what is left of that may end the session
        self._cautions: list[Caution] = []
        self._deliveries: Deliveries | None = None
        self._deleted: dict[Entry, Deleted] = {}
        self._error: Exception | None = None
        self._is_finished = False

    async def perform(self) -> RetrievalReport:
        """Do it, once, and return what was done.

        What goes wrong with the mail, the server, the sink or the ledger is in the report: `error` has what ended the
        run. Where this is cancelled, `report` tells how far it has come.

        Raises LocalProtocolError the second time, ValueError for a clock that tells no zone; and, with the report in
        its `report`, what a ledger, a provider of tokens or another function that was handed over has raised, and is no
        MailwireError.
        """
        if self._clock_began is not None:
            raise LocalProtocolError("a run is performed once: make another one")
        self._began = self._now()
        if self._began.tzinfo is None:
            raise ValueError(f"expected now to return times that tell their zone, got {self._began!r}")
        self._clock_began = asyncio.get_running_loop().time()
        try:
            await self._perform()
        except Exception as error:
            self._error = error
        finally:
            self._seconds = asyncio.get_running_loop().time() - self._clock_began
        self._is_finished = True
        report = self.report()
        if self._error is not None:
            vars(self._error)["report"] = report
            if not isinstance(self._error, MailwireError):
                raise self._error
        return report

    async def _perform(self) -> None:
        client, policy = self._client, self._account.policy
        async with AsyncExitStack() as stack:
            page, records = await self._open_ledger(stack)
            await stack.enter_async_context(client)
            self._listing = listing = await client.listing()
            expire = client.capabilities.expire
            seen = self._now()
            named = Named(listing)
            planning = Planning(
                named,
                records,
                seen,
                policy,
                expire=None if expire is None else expire.days,
                is_complete=listing.has_every_uid,
            )
            await finish_in_turns(planning.steps())
            self._plan = plan = planning.plan
            deliveries = Deliveries(self._account.name, self._sink, page, records, self._now, seen)
            is_noted = plan.doubt is None
            compared = plan.fetch if plan.has_alikes else ()
            comparison = await compare(client, deliveries, compared, is_noted=is_noted)
            sample = await compare(client, deliveries, plan.sample, is_noted=is_noted)
            question = plan.doubt if plan.question is None and not comparison.dispels_doubt(sample) else plan.question
            if question is not None:
                self._plan = Plan()
                if question.nameless:  # it may tell them another time, and nobody need answer then
                    raise NotSupported(str(question), extension="UIDL")
                raise MaildropRenumbered(str(question), known=question.known, listed=question.listed)
            self._cautions += plan.cautions
            self._deliveries = deliveries
            await deliveries.note(plan.records, plan.forget)
            del records
            try:
                await self._fetch(deliveries, comparison)
                self._error = await self._dispose(named, deliveries)
                await self._take_leave()
            except MailwireError as error:
                await self._doubt_last(deliveries, error)
                raise
            if self._error is not None:
                await self._doubt_last(deliveries, self._error)

    async def _open_ledger(self, stack: AsyncExitStack) -> tuple[Page, Mapping[str, Record]]:
        try:
            page = await stack.enter_async_context(self._ledger.claim(self._account.name, wait=self._wait))
            return page, await page.records()
        except LedgerUnreadable as error:
            self._may_delete = False
            page = await stack.enter_async_context(self._fallback.claim(self._account.name, wait=self._wait))
            records = await page.records()
            what = (
                "what has come since is remembered" if records else "everything is retrieved, as if for the first time"
            )
            caution = Caution(CautionKind.LEDGER_UNREADABLE, f"{error}; {what}, and nothing is deleted")
            self._cautions.append(caution)
            return page, records

    async def _dispose(self, named: Named, deliveries: Deliveries) -> MailwireError | None:
        if not self._may_delete:
            return None
        return await dispose(self._client, named, deliveries, self._account.policy, self._now, self._deleted)

    async def _take_leave(self) -> None:
        # If nothing was deleted, there is still to be heard whether the last message was at its end.
        if self._client.is_connected:
            report = await self._client.commit()
            if isinstance(report.error, Desynchronised):
                self._error = report.error

    async def _doubt_last(self, deliveries: Deliveries, error: Exception) -> None:
        # What came behind the message that was delivered last may be the rest of it.
        last = self._last
        if last is not None and isinstance(error, Desynchronised) and error.suspect == last[1]:
            self._last = None
            await deliveries.take_back(last[0], error, counts=last[0].has_failed)

    # Fetching

    async def _fetch(self, deliveries: Deliveries, comparison: Comparison) -> None:
        try:
            await self._progress.expect(self._plan.fetch)
            if self._plan.has_alikes:
                await self._adopt(deliveries, comparison)
            for portion in portions(self._plan.fetch):
                if self._is_over_quota:
                    break
                self._portion = portion
                self._reached += len(portion)
                await self._fetch_portion(deliveries, portion)
            await deliveries.finish()
        except Exception as error:
            # What has come whole by then is safe all the same. Who cancels waits for none of it: it comes again.
            with suppress(Exception):
                await self._doubt_last(deliveries, error)
                await deliveries.finish()
            raise
        finally:
            await deliveries.abandon()

    async def _fetch_portion(self, deliveries: Deliveries, portion: Sequence[Fetch]) -> None:
        # Previews are behind the whole messages: what is left of one may end the session, and with it all numbers.
        whole, previews, failed = list[Fetch](), list[tuple[Fetch, int]](), list[Fetch]()
        for fetch in portion:
            if fetch.has_failed:
                failed.append(fetch)
            elif fetch.lines is None:
                whole.append(fetch)
            else:
                previews.append((fetch, fetch.lines))
        is_last = self._reached == len(self._plan.fetch) and not previews and not failed
        while whole and not self._is_over_quota:
            batch, whole = (whole[:1], whole[1:]) if self._plan.one_at_a_time else (whole, [])
            await self._retrieve(deliveries, batch, is_last=is_last and not whole)
            await deliveries.settle()
        for fetch, lines in previews if not self._is_over_quota else ():
            await self._preview(deliveries, fetch, lines)
        if failed and not self._is_over_quota:
            await self._fetch_failed(deliveries, failed)

    async def _fetch_failed(self, deliveries: Deliveries, failed: Iterable[Fetch]) -> None:
        await self._say_noop()
        for fetch in failed:
            if fetch.lines is None:
                await self._retrieve(deliveries, [fetch], is_last=False)
            else:
                await self._preview(deliveries, fetch, fetch.lines)
            if self._is_over_quota:
                return
            await self._say_noop()
            await deliveries.settle()

    async def _say_noop(self) -> None:
        await say_noop(self._client)
        self._is_behind_preview = False

    async def _adopt(self, deliveries: Deliveries, comparison: Comparison) -> None:
        now, numbers = self._now(), set[int]()
        for fetch, uid, alike in comparison.known:
            record = replace(alike, uid=uid)
            record = record.stored(now, size=fetch.entry.size, fingerprint=alike.fingerprint)
            deliveries.adopt(record, alike.uid)
            numbers.add(fetch.entry.number)
            self._progress.leave_out(fetch)
        await self._leave_out(numbers)
        await deliveries.settle()

    async def _leave_out(self, numbers: set[int]) -> None:
        # Plan to fetch what is left without the messages that have these numbers.
        fetches, left = self._plan.fetch, NumberColumn()
        for portion in portions(enumerate(fetches)):
            for place, fetch in portion:
                if fetch.entry.number not in numbers:
                    left.extend(place)
            await asyncio.sleep(0)
        self._plan = replace(self._plan, fetch=LazySequence(len(left), lambda place: fetches[left[place]]))
        self._adopted = len(numbers)

    async def _preview(self, deliveries: Deliveries, fetch: Fetch, lines: int) -> None:
        if self._is_behind_preview:
            await self._say_noop()
        self._is_behind_preview = True
        try:
            beginning = await self._client.top(as_entry(fetch.entry), lines, limit=HEADER_LIMIT)
        except (NotSupported, ResponseError, UnknownMessage) as error:
            deliveries.fail(fetch, str(error), counts=False)
        except LocalProtocolError as error:
            self._leave_unnamed(deliveries, [fetch], error)
        except SESSION_ENDED as error:
            self._blame(deliveries, fetch, error)
            raise
        else:
            await deliveries.deliver(fetch, _alone(beginning))

    def _blame(self, deliveries: Deliveries, fetch: Fetch, error: Exception) -> None:
        is_doubtful = isinstance(error, Desynchronised) and error.suspect is not None
        deliveries.fail(fetch, as_reason(error), counts=fetch.has_failed or not is_doubtful)

    def _leave_unnamed(
        self, deliveries: Deliveries, fetches: Sequence[Fetch], error: LocalProtocolError
    ) -> Sequence[Fetch]:
        # In another session than that which has listed them, some cannot be named: return those that can. Raises the
        # error where it is about none of them.
        left = [fetch for fetch in fetches if not is_unnamed(as_entry(fetch.entry), error)]
        if len(left) == len(fetches):
            raise error
        for fetch in fetches:
            if is_unnamed(as_entry(fetch.entry), error):
                deliveries.miss(fetch, as_reason(error))
        return left

    async def _retrieve(self, deliveries: Deliveries, batch: Sequence[Fetch], *, is_last: bool) -> None:
        while batch:
            left = await self._retrieve_named(deliveries, batch, is_last=is_last)
            self._progress.add_up(len(batch) - len(left))
            batch = left

    async def _retrieve_named(
        self, deliveries: Deliveries, batch: Sequence[Fetch], *, is_last: bool
    ) -> Sequence[Fetch]:
        # Returns what is left, where some could not be named.
        entries = [as_entry(fetch.entry) for fetch in batch]
        limit = self._account.policy.max_message_size
        retrieval = self._client.retrieve(entries, message_limit=limit, progress=self._progress.tell)
        async with aclosing(retrieval):
            for place, fetch in enumerate(batch):
                try:
                    item = await anext(retrieval)
                except LocalProtocolError as error:
                    return self._leave_unnamed(deliveries, batch[place:], error)
                except MailwireError as error:
                    if retrieval.suspected is not None:
                        deliveries.fail(fetch, as_reason(error), counts=False)
                    elif retrieval.awaited is not None:
                        self._blame(deliveries, fetch, error)
                    raise
                refusal = item.refusal
                self._is_over_quota |= refusal is not None and refusal.cause is RefusalCause.QUOTA
                if item.error is None:
                    await deliveries.deliver(fetch, aiter(item))
                    self._last = fetch, str(Retr(item.entry.number))
                elif item.was_asked or refusal is None:
                    # What is gone, or was refused for a while, may yet come.
                    counts = refusal is not None and not refusal.is_transient
                    deliveries.fail(fetch, str(item.error), counts=counts)
            if not is_last:
                # What is left of the last of them must not be in the way of the next retrieval.
                await anext(retrieval, None)
        return ()

    # Telling

    @property
    def _so_far(self) -> float:
        if self._seconds is not None:
            return self._seconds
        return 0 if self._clock_began is None else asyncio.get_running_loop().time() - self._clock_began

    def report(self) -> RetrievalReport:
        """Return what was done so far. Behind its end, it needs no event loop."""
        told = {} if self._deliveries is None else {each.number: each for each in self._deliveries.reports}
        known: dict[int, MessageReport] = {}
        for entry, deleted in self._deleted.items():
            if (report := told.get(entry.number)) is not None:
                told[entry.number] = replace(report, deleted=deleted)
            else:
                report = MessageReport(entry.number, entry.uid, entry.size, Outcome.KNOWN, deleted=deleted)
                known[entry.number] = report
        plan, reached = self._plan, self._reached
        begun = [fetch.entry for fetch in self._portion if fetch.entry.number not in told]

        def beyond(place: int) -> Listed:
            return plan.fetch[reached + place].entry

        messages = MessageReports(
            (*told.values(), *known.values()),
            (
                (Outcome.LEFT, begun),
                (Outcome.LEFT, LazySequence(len(plan.fetch) - reached, beyond)),
                *((outcome, plan.skip[reason]) for outcome, reason in _SKIPPED.items()),
            ),
        )
        listing = self._listing
        return RetrievalReport(
            self._account.name,
            str(self._account.endpoint),
            self._began,
            self._so_far,
            0 if listing is None else len(listing),
            len(plan.skip[SkipReason.STORED]) + self._adopted - len(known),
            messages,
            tuple(self._cautions),
            () if listing is None else listing.findings,
            self._error,
            self._client.login_delay,
            self._is_finished,
        )


async def _alone(block: bytes) -> AsyncIterator[bytes]:
    yield block
