"""dispose: the deletion of what may be deleted, in the order that makes a crash harmless.

There may be a message at whose DELE every session ends, and with it the deletion of all that was marked in it. So what
no session has confirmed, though it was marked and the message is still there, is kept apart:

1. What was never asked for is deleted first, in one session.
2. What was, in vain, is deleted behind it, one DELE at a time. If such a session ends at a DELE, it is that message's
   doing. The first one has a few hundred, and each that is confirmed lets the next have twice as many.
3. A message that has done this is tried again after a day, behind all others, in a session of such.

A run waits no longer for all these logins together than it may for one. What it does not come to, the next one deletes.
Where it may have no second session at all, some of what was asked for in vain is deleted behind the rest of the first.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from ..aio.deletion import CommitReport
from ..aio.pop3 import POP3Client
from ..aio.portions import finish_in_turns
from ..errors import Desynchronised, LocalProtocolError, MailwireError
from ..pop3 import Entry
from .deletion_plan import DeletionPlanning
from .delivery import Deliveries, as_reason
from .ledger import Record, State
from .message_report import Deleted
from .naming import Named, as_entry
from .policy import Policy

__all__ = ["dispose"]

# How much of what was asked for in vain is asked for again in the first session: little enough to be done before a
# connection is lost that does not last, and to lose; enough for few logins, each of which lists all that is there.
_AT_FIRST: Final = 200

# When to try again what has ended a session: each time ends in an error, which makes `watch` come less often.
_PATIENCE: Final = timedelta(days=1)


async def dispose(
    client: POP3Client,
    named: Named,
    deliveries: Deliveries,
    policy: Policy,
    now: Callable[[], datetime],
    deleted: dict[Entry, Deleted],
) -> MailwireError | None:
    """Delete what may be deleted, and take leave of the server; `deleted` is told what is known of it at every step.

    Returns why some messages are not known to be gone that were marked; None if all of them are. Raises the errors of
    `POP3Client`, and LedgerError; the connection is cut then, and `deleted` tells what became of each all the same.
    """
    planning = DeletionPlanning(named, deliveries.find, now(), policy, deliveries.stored_numbers)
    await finish_in_turns(planning.steps())
    planned = [as_entry(deletion.entry) for deletion in planning.deletions]
    deleted.update(dict.fromkeys(planned, Deleted.KEPT))
    disposal = _Disposal(client, deliveries, now, deleted)
    patience = client.settings.login_pause_limit
    sessions = _plan_sessions(planned, deliveries, now(), is_one=client.login_delay > patience)
    error: MailwireError | None = None
    for number, session in enumerate(sessions, 1):
        patience -= client.login_delay
        goes_on = number < len(sessions) and patience >= 0
        error = await disposal.delete(session, goes_on=goes_on)
        if error is not None or not goes_on:
            break
    return error


@dataclass(frozen=True, slots=True)
class _Session:
    together: Sequence[Entry] = ()
    one_by_one: Sequence[Entry] = ()

    @property
    def entries(self) -> Sequence[Entry]:
        return (*self.together, *self.one_by_one)


def _plan_sessions(
    planned: Iterable[Entry], deliveries: Deliveries, now: datetime, *, is_one: bool
) -> Sequence[_Session]:
    # What has no unique id is known in the session alone that has listed it: the first.
    fresh, doubtful, deadly = list[Entry](), list[Entry](), list[tuple[datetime, Entry]]()
    for entry in planned:
        record = None if entry.uid is None else _stored(deliveries, entry.uid)
        if record is None or record.state is State.STORED:
            fresh.append(entry)
        elif not record.reason:
            doubtful.append(entry)
        elif now - record.since >= _PATIENCE:
            deadly.append((record.since, entry))
    sessions = [_Session(fresh), *(_Session(one_by_one=part) for part in _doubling(doubtful))]
    if is_one:
        sessions = [_Session(fresh, doubtful[:_AT_FIRST])]
    sessions.append(_Session(one_by_one=[entry for _, entry in sorted(deadly)]))
    return [session for session in sessions if session.entries]


def _doubling(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    size = _AT_FIRST
    while entries:
        yield entries[:size]
        entries, size = entries[size:], 2 * size


class _Disposal:
    def __init__(
        self,
        client: POP3Client,
        deliveries: Deliveries,
        now: Callable[[], datetime],
        deleted: dict[Entry, Deleted],
    ) -> None:
        self._client = client
        self._deliveries = deliveries
        self._now = now
        self._deleted = deleted
        self._asked: str | None = None  # the uid of what was asked for by itself, and is not answered yet

    async def delete(self, session: _Session, *, goes_on: bool) -> MailwireError | None:
        """Delete what is of this session, and log in again if it `goes_on` with another."""
        client, deleted = self._client, self._deleted
        by_uid = {entry.uid: entry for entry in session.entries if entry.uid is not None}
        await self._reach(State.MARKED, by_uid.values())
        deleted.update(dict.fromkeys(session.entries, Deleted.UNKNOWN))
        try:
            missing = await self._mark(session, by_uid)
            report = await client.commit(reconnect=goes_on)
        except BaseException as error:
            client.abort()  # so that it tells what is in doubt
            self._tell(session, by_uid, client.last_commit or CommitReport())
            if isinstance(error, MailwireError):
                await self._blame(by_uid, error)
            raise
        self._tell(session, by_uid, report)
        await self._reach(State.GONE, _of_listing(report.committed, by_uid))
        await self._reach(State.STORED, [*_of_listing(report.refused, by_uid), *missing])
        return report.error if report.unknown or report.kept else None

    async def _mark(self, session: _Session, by_uid: Mapping[str, Entry]) -> Sequence[Entry]:
        # Returns what is not there any more.
        missing = [*await self._ask_for([entry for entry in session.together if entry.uid is not None], by_uid)]
        nameless = [entry for entry in session.together if entry.uid is None]
        try:
            await self._client.delete(nameless)
        except LocalProtocolError:
            # The session is another by now: numbers of the first one say nothing in it.
            for entry in nameless:
                del self._deleted[entry]
        for entry in session.one_by_one:
            self._asked = entry.uid
            missing += await self._ask_for([entry], by_uid)
        self._asked = None
        return missing

    async def _ask_for(self, entries: Sequence[Entry], by_uid: Mapping[str, Entry]) -> Sequence[Entry]:
        missing = [by_uid[uid] for uid in (await self._client.delete(entries)).missing]
        for entry in missing:
            del self._deleted[entry]
        return missing

    def _tell(self, session: _Session, by_uid: Mapping[str, Entry], report: CommitReport) -> None:
        # What the client does not tell of was not marked.
        deleted = self._deleted
        deleted.update((entry, Deleted.KEPT) for entry in session.entries if entry in deleted)
        deleted.update(dict.fromkeys(_of_listing(report.unknown, by_uid), Deleted.UNKNOWN))
        deleted.update(dict.fromkeys(_of_listing(report.refused, by_uid), Deleted.REFUSED))
        deleted.update(dict.fromkeys(_of_listing(report.committed, by_uid), Deleted.COMMITTED))

    async def _blame(self, by_uid: Mapping[str, Entry], error: MailwireError) -> None:
        # What has ended the session is that DELE's doing, unless it may be a message's that was given before.
        uid = self._asked
        if uid is None or (isinstance(error, Desynchronised) and error.suspect is not None):
            return
        if self._deleted.get(by_uid[uid]) is Deleted.UNKNOWN:
            record = _stored(self._deliveries, uid)
            await self._deliveries.write(replace(record, since=self._now(), reason=as_reason(error)))

    async def _reach(self, state: State, entries: Iterable[Entry]) -> None:
        now = self._now()
        records = [
            _stored(self._deliveries, entry.uid).reached(state, now) for entry in entries if entry.uid is not None
        ]
        if state is not State.MARKED:
            records = [replace(record, reason="") if record.reason else record for record in records]
        await self._deliveries.write(*records)


def _of_listing(entries: Collection[Entry], by_uid: Mapping[str, Entry]) -> Sequence[Entry]:
    # They may have other numbers in the session that was reported on. Where nothing was asked for in the last one, that
    # is the session before, and of nothing here.
    named = [by_uid[entry.uid] for entry in entries if entry.uid is not None and entry.uid in by_uid]
    return [*named, *(entry for entry in entries if entry.uid is None)]


def _stored(deliveries: Deliveries, uid: str) -> Record:
    record = deliveries.find(uid)
    if record is None:
        raise AssertionError("what is deleted was stored")
    return record
