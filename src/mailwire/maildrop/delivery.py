"""Deliveries: mail on its way into the sink, and what the ledger is told of it, in that order.

A failure is the message's, the sink's or the connection's. That of a message counts against it in the ledger, and
the run goes on. That of the sink ends the run, and counts against nobody: a full disk must not make every message one
that has failed too often. But the message comes last in the next run, lest one that no sink stands keep others away.
Nor does it count what a function of the caller's raises as the message comes, one that is told of the progress say.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from secrets import token_hex
from typing import Final

from .._wire.text import printable
from ..aio.deadline import told_if_cancelled
from ..aio.portions import portions
from ..errors import BudgetExceeded, MailwireError, MessageEmpty, SinkFailed
from .ledger import Page, Record, State
from .mail import Mail, make_key
from .message_report import MessageReport, Outcome
from .plan import Fetch
from .recognition import was_another
from .sink import Sink, as_group

__all__ = ["Deliveries", "as_reason"]

# How many messages, and how much of them, are made safe at once: enough to share the cost of waiting for the medium,
# little enough for what a crash makes come again.
_GROUP: Final = 16
_GROUP_OCTETS: Final = 16 * 1024 * 1024

# A sink that fails for so many messages on end fails for all.
_STREAK: Final = 5


@dataclass(slots=True)
class _Waiting:
    fetch: Fetch
    mail: Mail
    seconds: float


class Deliveries:
    """What a run delivers.

    account: as the ledger names it; page: what the ledger has of it; records: what it had before the run, by uid.
    seen: when these were.
    reports: what became of each message so far.
    stored_numbers: the messages without a unique id that were stored, by their numbers.
    """

    def __init__(
        self,
        account: str,
        sink: Sink,
        page: Page,
        records: Mapping[str, Record],
        now: Callable[[], datetime],
        seen: datetime,
    ) -> None:
        self._records = records
        self._told: dict[str, Record] = {}  # since, but of what was only seen and is new: there may be a million
        self.reports: list[MessageReport] = []
        self.stored_numbers: set[int] = set()
        self._account = account
        self._sink = sink
        self._group = as_group(sink)
        self._page = page
        self._now = now
        self._seen = seen
        self._waiting: list[_Waiting] = []
        self._waiting_octets = 0
        self._untold: list[Record] = []  # what the ledger is to be told besides
        self._moved: list[str] = []  # the uids that what was adopted had before: nothing has them any more
        self._suspects: list[Record] = []  # the same, if it turns out that the sink is not to blame
        self._streak = 0

    def find(self, uid: str) -> Record | None:
        """Return what the ledger has of a message by now; None if that is no more than that it was seen in this run,
        and nothing had its uid before."""
        return self._told.get(uid) or self._records.get(uid)

    def is_suspected(self, fetch: Fetch) -> bool:
        """Return whether a message has failed in an earlier run, and not by its own doing, as far as is known."""
        known = None if fetch.uid is None else self.find(fetch.uid)
        return fetch.has_failed and not (known is not None and known.failures)

    async def write(self, *records: Record) -> None:
        """Tell the ledger. Raises LedgerError."""
        await self._tell(records, keeps_seen=True)

    async def note(self, records: Sequence[Record], forgotten: Sequence[str]) -> None:
        """Tell the ledger what a listing has told, and which uids to forget. Raises LedgerError."""
        await self._tell(records, keeps_seen=False)
        await self._forget(forgotten)

    async def deliver(self, fetch: Fetch, blocks: AsyncIterator[bytes]) -> None:
        """Give a message to the sink.

        Raises SinkFailed where the sink is at fault, and what has ended the message where that has ended the run.
        """
        entry, is_preview = fetch.entry, fetch.lines is not None
        key = token_hex(32) if fetch.uid is None else make_key(self._account, fetch.uid, is_preview=is_preview)
        mail = Mail(
            self._account,
            entry.number,
            entry.uid,
            entry.size,
            key,
            blocks,
            is_preview=is_preview,
            will_be_settled=self._group is not None,
        )
        began = asyncio.get_running_loop().time()
        try:
            await self._store(mail)
        except Exception as error:
            self._judge(fetch, mail, error, asyncio.get_running_loop().time() - began)
            return
        self._streak = 0
        self._waiting.append(_Waiting(fetch, mail, asyncio.get_running_loop().time() - began))
        self._waiting_octets += mail.octets
        group = 1 if self._group is None else _GROUP
        if len(self._waiting) >= group or self._waiting_octets >= _GROUP_OCTETS:
            await self.settle()

    async def settle(self) -> None:
        """Make safe what was given to the sink, and tell the ledger. Raises SinkFailed, LedgerError."""
        waiting, self._waiting, self._waiting_octets = self._waiting, [], 0
        if self._group is not None and waiting:
            try:
                with told_if_cancelled(RuntimeError, "the sink"):
                    await self._group.settle([each.mail for each in waiting])
            except Exception as error:
                raise SinkFailed(f"{len(waiting)} messages could not be stored: {as_reason(error)}") from error
        now, records = self._now(), list[Record]()
        for each in waiting:
            fetch, mail = each.fetch, each.mail
            outcome = Outcome.STORED if fetch.lines is None else Outcome.PREVIEWED
            self._report(fetch, outcome, octets=mail.octets, seconds=each.seconds)
            if fetch.uid is None:
                if fetch.lines is None:
                    self.stored_numbers.add(fetch.entry.number)
                continue
            fingerprint = mail.fingerprint
            record = self._record(fetch, fetch.uid, fingerprint)
            if fetch.lines is None:
                records.append(record.stored(now, size=fetch.entry.size, fingerprint=fingerprint))
            else:
                records.append(replace(record, fingerprint=fingerprint))
        if waiting:
            # It has stored others: what it has not stored was not for its own sake.
            self._untold += self._suspects
            self._suspects.clear()
        untold, self._untold = self._untold, []
        await self.write(*untold, *records)
        moved, self._moved = self._moved, []
        await self._forget(moved)

    async def finish(self) -> None:
        """Settle at the end of a run, whatever has ended it."""
        if self._streak < _STREAK:
            self._untold += self._suspects
            self._suspects.clear()
        await self.settle()

    async def abandon(self) -> None:
        """Drop what was not settled: it will come again."""
        waiting, self._waiting = self._waiting, []
        if self._group is not None and waiting:
            with suppress(Exception):  # whatever ends the run is what there is to be told
                await self._group.discard([each.mail for each in waiting])

    def adopt(self, record: Record, before: str) -> None:
        """Take note of what a message turned out to be, which had the uid `before`; `settle` tells the ledger."""
        self._told[record.uid] = record
        self._untold.append(record)
        if before != record.uid:
            self._moved.append(before)

    def fail(self, fetch: Fetch, reason: str, *, counts: bool = True) -> None:
        """Take note that a message did not come; whether that counts against it."""
        self._report(fetch, Outcome.FAILED, reason=reason)
        self.suspect(fetch, reason, counts=counts)

    def miss(self, fetch: Fetch, reason: str) -> None:
        """Take note that a message could not be asked for, which is nobody's fault."""
        self._report(fetch, Outcome.FAILED, reason=reason)

    def suspect(self, fetch: Fetch, reason: str, *, counts: bool) -> None:
        """Take note of why a message is not stored; whether that counts against it."""
        if fetch.uid is not None:
            known = self._known(fetch, fetch.uid)
            self._untold.append(known.failed(reason) if counts else replace(known, reason=reason))

    async def take_back(self, fetch: Fetch, error: Exception, *, counts: bool = True) -> None:
        """Take note that the message that was delivered last may have been cut off: it is not stored, whatever the sink
        and the ledger have of it; and whether that counts against it. Raises LedgerError."""
        number = fetch.entry.number
        if self._group is not None and self._waiting and self._waiting[-1].fetch is fetch:
            last = self._waiting.pop()
            octets, seconds = last.mail.octets, last.seconds
            with suppress(Exception):  # what has cut it off is what there is to be told
                await self._group.discard([last.mail])
        else:
            told = [report for report in self.reports if report.number == number]
            octets, seconds = sum(report.octets for report in told), sum(report.seconds for report in told)
            self.reports = [report for report in self.reports if report.number != number]
        self.stored_numbers.discard(number)
        reason = as_reason(error)
        self._report(fetch, Outcome.FAILED, octets=octets, seconds=seconds, reason=reason)
        if fetch.uid is not None:
            before = self._records.get(fetch.uid)
            is_it = before is not None and before.state is State.SEEN and not was_another(before, fetch.entry)
            record = before if before is not None and is_it else self._new(fetch, fetch.uid)
            await self.write(record.failed(reason) if counts else replace(record, reason=reason))

    # Private

    async def _tell(self, records: Sequence[Record], *, keeps_seen: bool) -> None:
        for portion in portions(records):
            await self._page.write(portion)
            for each in portion:
                # What is seen in place of another message is kept: nothing of that holds for it.
                if keeps_seen or each.state is not State.SEEN or each.uid in self._records:
                    self._told[each.uid] = each

    async def _forget(self, forgotten: Sequence[str]) -> None:
        for uids in portions(forgotten):
            await self._page.forget(uids)

    def _record(self, fetch: Fetch, uid: str, fingerprint: str) -> Record:
        # What was stored under this uid, or is gone, was another message, and so was what was previewed with another
        # header: nothing of it holds for one that came.
        known = self._known(fetch, uid)
        is_it = known.state is State.SEEN and known.fingerprint in ("", fingerprint)
        return known if is_it else self._new(fetch, uid)

    def _failed(self, fetch: Fetch, uid: str, reason: str) -> Record:
        # Of one that did not come it is not known which it is, but by its size.
        return self._known(fetch, uid).failed(reason)

    def _known(self, fetch: Fetch, uid: str) -> Record:
        known = self.find(uid)
        return self._new(fetch, uid) if known is None or was_another(known, fetch.entry) else known

    def _new(self, fetch: Fetch, uid: str) -> Record:
        return Record(uid, State.SEEN, self._seen, self._seen, fetch.entry.size)

    async def _store(self, mail: Mail) -> None:
        with told_if_cancelled(RuntimeError, "the sink") as is_cancelled:
            try:
                await self._sink.store(mail)
                await self._check(mail)
            except Exception:
                # It may have made another error of the run's cancellation.
                if is_cancelled() and isinstance(mail.failure, asyncio.CancelledError):
                    raise mail.failure from None
                raise

    async def _check(self, mail: Mail) -> None:
        if mail.is_complete:
            return
        if self._group is not None:
            await self._group.discard([mail])
        if mail.failure is not None:
            raise mail.failure
        raise TypeError("the sink has not read the message to its end")

    def _judge(self, fetch: Fetch, mail: Mail, error: Exception, seconds: float) -> None:
        # What was cancelled, though the run was not, the sink has cancelled, by a deadline of its own say.
        failure = None if isinstance(mail.failure, asyncio.CancelledError) else mail.failure
        told = failure or error
        reason = as_reason(told)
        is_of_message = isinstance(told, BudgetExceeded | MessageEmpty)
        outcome = Outcome.TOO_LARGE if isinstance(told, BudgetExceeded) else Outcome.FAILED
        self._report(fetch, outcome, octets=mail.octets, seconds=seconds, reason=reason)
        if failure is None and isinstance(error, OSError):
            # It may be this message's doing all the same: the next run comes to all others first.
            self.suspect(fetch, reason, counts=False)
            raise SinkFailed(f"message {mail.number} could not be stored: {reason}") from error
        if failure is not None and not isinstance(failure, MailwireError):
            raise failure
        record = None if fetch.uid is None else self._failed(fetch, fetch.uid, reason)
        if is_of_message or failure is not None:
            self._untold += [] if record is None else [record]
            if not is_of_message:
                raise told
            return
        self._suspects += [] if record is None else [record]
        self._streak += 1
        if self._streak == _STREAK:
            raise SinkFailed(f"{_STREAK} messages on end could not be stored, the last for this: {reason}") from error

    def _report(self, fetch: Fetch, outcome: Outcome, *, octets: int = 0, seconds: float = 0, reason: str = "") -> None:
        entry = fetch.entry
        self.reports.append(MessageReport(entry.number, entry.uid, entry.size, outcome, octets, seconds, reason))


def as_reason(error: BaseException) -> str:
    """Return why a message did not come, in words that can be printed."""
    return printable(f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace"))
