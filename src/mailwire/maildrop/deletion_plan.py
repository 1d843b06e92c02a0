"""Deletions: what a run may delete, of what the server lists, what the ledger knows, the time and the policy.

1. What is deleted is stored: the ledger says so, of that very message, as far as its unique id and its size can tell.
2. A unique id that two messages have, deletes neither.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..aio.portions import finish
from .ledger import Record
from .naming import Listed, Named
from .policy import Policy
from .recognition import is_the_stored

__all__ = ["Deletion", "DeletionPlanning", "plan_deletions"]


@dataclass(frozen=True, slots=True)
class Deletion:
    """A message to delete; uid: what the ledger knows it by, None if that is nothing."""

    entry: Listed
    uid: str | None


def plan_deletions(
    entries: Sequence[Listed],
    records: Mapping[str, Record],
    now: datetime,
    policy: Policy,
    *,
    stored_numbers: Collection[int] = (),
) -> tuple[Deletion, ...]:
    """Decide what may be deleted, once what was fetched is durable in the sink and in the ledger.

    The arguments are those of `plan_retrieval`, with the ledger's records as they are by then.

    stored_numbers: the messages without a unique id that were stored in this same session, by their numbers.
    """
    named = Named(entries)
    finish(named.prepare())
    planning = DeletionPlanning(named, records.get, now, policy, stored_numbers)
    finish(planning.steps())
    return planning.deletions


class DeletionPlanning:
    """The making of it, in `steps`. The arguments are those of `plan_deletions`, with names that are prepared, and with
    `find`, which returns the record of a uid.

    deletions: what came of it, in the order of the numbers, when all steps are done.
    """

    def __init__(
        self,
        named: Named,
        find: Callable[[str], Record | None],
        now: datetime,
        policy: Policy,
        stored_numbers: Collection[int],
    ) -> None:
        self.deletions: tuple[Deletion, ...] = ()
        self._named = named
        self._find = find
        self._now = now
        self._policy = policy
        self._stored_numbers = stored_numbers
        self._chosen: list[Deletion] = []
        self._staying: list[tuple[datetime, int, Deletion]] = []  # what may be deleted, and is not yet
        self._count = self._octets = 0  # of all that would stay

    def steps(self) -> Iterator[None]:
        """Decide; between two steps there is time for others."""
        for portion in self._named.portions():
            for _, entry, uid in portion:
                if self._is_due(entry, uid):
                    self._chosen.append(Deletion(entry, uid))
                else:
                    self._count += 1
                    self._octets += entry.size
            yield
        self._chosen += self._surplus()
        self.deletions = tuple(sorted(self._chosen, key=lambda deletion: deletion.entry.number))

    def _is_due(self, entry: Listed, uid: str | None) -> bool:
        keep = self._policy.keep
        if uid is None:
            return self._policy.delete_without_uid and keep == "until stored" and entry.number in self._stored_numbers
        record = self._find(uid)
        # What stands for a duplicate is not the id on the server.
        if record is None or uid != entry.uid or not is_the_stored(record, entry):
            return False
        if keep == "until stored" or (isinstance(keep, timedelta) and self._now - record.first_seen >= keep):
            return True
        self._staying.append((record.first_seen, entry.number, Deletion(entry, uid)))
        return False

    def _surplus(self) -> Iterable[Deletion]:
        # What goes before its time, because too much would stay.
        policy = self._policy
        for _, _, deletion in sorted(self._staying):
            too_many = policy.keep_at_most is not None and self._count > policy.keep_at_most
            too_large = policy.keep_at_most_octets is not None and self._octets > policy.keep_at_most_octets
            if not (too_many or too_large):
                return
            yield deletion
            self._count -= 1
            self._octets -= deletion.entry.size
