"""dispose: the deletion of what may be deleted, in the order that makes a crash harmless."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime

from ..aio.pop3 import POP3Client
from ..errors import LocalProtocolError, MailwireError
from ..pop3 import Entry, Listing
from .delivery import Deliveries
from .ledger import State
from .plan import plan_deletions
from .policy import Policy
from .report import Deleted

__all__ = ["dispose"]


async def dispose(
    client: POP3Client,
    listing: Listing,
    deliveries: Deliveries,
    policy: Policy,
    now: Callable[[], datetime],
    deleted: dict[Entry, Deleted],
) -> MailwireError | None:
    """Delete what may be deleted, and take leave of the server; `deleted` is told what is known of it at every step.

    Returns why it is not known of some messages whether they are gone; None if it is known of all. Raises the errors of
    `POP3Client`, and LedgerError.
    """
    planned = plan_deletions(listing, deliveries.records, now(), policy, stored_numbers=deliveries.stored_numbers)
    numbers = {deletion.entry.number for deletion in planned}
    named = {entry.uid: entry for entry in listing if entry.number in numbers and entry.uid is not None}
    nameless = [entry for entry in listing if entry.number in numbers and entry.uid is None]
    if not planned:
        return None
    await _reach(State.MARKED, named.values(), deliveries, now())
    deleted.update(dict.fromkeys(named.values(), Deleted.UNKNOWN))
    await client.delete(list(named.values()))
    # If the session is another by now, numbers of the first one say nothing in it.
    with suppress(LocalProtocolError):
        await client.delete(nameless)
        deleted.update(dict.fromkeys(nameless, Deleted.UNKNOWN))
    report = await client.commit()

    def of_listing(entries: Iterable[Entry]) -> list[Entry]:
        return [entry if entry.uid is None else named[entry.uid] for entry in entries]

    committed, refused = of_listing(report.committed), of_listing(report.refused)
    deleted.update(dict.fromkeys(committed, Deleted.COMMITTED))
    deleted.update(dict.fromkeys(refused, Deleted.REFUSED))
    await _reach(State.GONE, committed, deliveries, now())
    await _reach(State.STORED, refused, deliveries, now())
    return report.error if report.unknown else None


async def _reach(state: State, entries: Iterable[Entry], deliveries: Deliveries, now: datetime) -> None:
    uids = [entry.uid for entry in entries if entry.uid is not None]
    await deliveries.write(*(deliveries.records[uid].reached(state, now) for uid in uids))
