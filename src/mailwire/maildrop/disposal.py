"""dispose: the deletion of what may be deleted, in the order that makes a crash harmless."""

from collections.abc import Callable, Iterable
from datetime import datetime

from ..aio.deletion import CommitReport
from ..aio.pop3 import POP3Client
from ..errors import LocalProtocolError, MailwireError
from ..pop3 import Entry
from .deletion_plan import DeletionPlanning
from .delivery import Deliveries
from .ledger import Record, State
from .message_report import Deleted
from .naming import Named, as_entry
from .policy import Policy
from .portions import finish_in_turns

__all__ = ["dispose"]


async def dispose(
    client: POP3Client,
    named: Named,
    deliveries: Deliveries,
    policy: Policy,
    now: Callable[[], datetime],
    deleted: dict[Entry, Deleted],
) -> MailwireError | None:
    """Delete what may be deleted, and take leave of the server; `deleted` is told what is known of it at every step.

    Returns why it is not known of some messages whether they are gone; None if it is known of all. Raises the errors of
    `POP3Client`, and LedgerError; the connection is cut then, and `deleted` tells what became of each all the same.
    """
    planning = DeletionPlanning(named, deliveries.find, now(), policy, deliveries.stored_numbers)
    await finish_in_turns(planning.steps())
    planned = [as_entry(deletion.entry) for deletion in planning.deletions]
    by_uid = {entry.uid: entry for entry in planned if entry.uid is not None}
    nameless = [entry for entry in planned if entry.uid is None]
    if not planned:
        return None

    def tell(report: CommitReport) -> None:
        # What the client does not tell of was not marked.
        deleted.update(dict.fromkeys(deleted, Deleted.KEPT))
        deleted.update(dict.fromkeys(of_listing(report.unknown), Deleted.UNKNOWN))
        deleted.update(dict.fromkeys(of_listing(report.refused), Deleted.REFUSED))
        deleted.update(dict.fromkeys(of_listing(report.committed), Deleted.COMMITTED))

    def of_listing(entries: Iterable[Entry]) -> list[Entry]:
        return [entry if entry.uid is None else by_uid[entry.uid] for entry in entries]

    await _reach(State.MARKED, by_uid.values(), deliveries, now())
    deleted.update(dict.fromkeys(planned, Deleted.UNKNOWN))
    try:
        missing = [by_uid[uid] for uid in (await client.delete(list(by_uid.values()))).missing]
        for entry in missing:
            del deleted[entry]
        try:
            await client.delete(nameless)
        except LocalProtocolError:
            # The session is another by now: numbers of the first one say nothing in it.
            for entry in nameless:
                del deleted[entry]
        report = await client.commit()
    except BaseException:
        client.abort()  # so that it tells what is in doubt
        tell(client.last_commit or CommitReport())
        raise
    tell(report)
    await _reach(State.GONE, of_listing(report.committed), deliveries, now())
    await _reach(State.STORED, [*of_listing(report.refused), *missing], deliveries, now())
    return report.error if report.unknown else None


async def _reach(state: State, entries: Iterable[Entry], deliveries: Deliveries, now: datetime) -> None:
    records = [_stored(deliveries, entry.uid) for entry in entries if entry.uid is not None]
    await deliveries.write(*(record.reached(state, now) for record in records))


def _stored(deliveries: Deliveries, uid: str) -> Record:
    record = deliveries.find(uid)
    if record is None:
        raise AssertionError("what is deleted was stored")
    return record
