"""Comparison: which messages are stored already, though their unique ids or their sizes are others. Headers tell."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ..aio.pop3 import POP3Client
from ..aio.portions import portions
from ..errors import MailwireError, NotSupported
from ..pop3 import Entry
from .blame import SESSION_ENDED, say_noop
from .delivery import Deliveries, as_reason
from .ledger import Record
from .naming import as_entry
from .plan import Fetch

__all__ = ["Comparison", "compare"]


@dataclass(slots=True)
class Comparison:
    """What came of a comparison.

    count: how many headers were compared.
    found: the messages that have that of a stored one, each with its unique id and the record: by the unique id that
        this one had.
    """

    count: int = 0
    found: defaultdict[str, list[tuple[Fetch, str, Record]]] = field(default_factory=lambda: defaultdict(list))

    def dispels_doubt(self, sample: "Comparison") -> bool:
        """Return whether most messages, those of the `sample` counted as well, are what they were."""
        found = [*self.found.values(), *sample.found.values()]
        return 2 * sum(map(len, found)) > self.count + sample.count

    @property
    def known(self) -> Iterator[tuple[Fetch, str, Record]]:
        """The messages that are stored: a record is of one, and where several have its header, of the one that has its
        size. All comparisons are needed before it is known of any."""
        for matches in self.found.values():
            if len(matches) > 1:
                matches = [match for match in matches if match[0].entry.size == match[2].size]
            if len(matches) == 1:
                yield matches[0]


async def compare(
    client: POP3Client, deliveries: Deliveries, fetches: Sequence[Fetch], *, is_noted: bool
) -> Comparison:
    """Find out by their headers which of the messages are stored; none without TOP.

    is_noted: whether it counts against a message that a session ends at it. Where unique ids may be those of others,
        nothing is written down of them.

    Raises what ends the session.
    """
    comparison = Comparison()
    for portion in portions(fetches):
        compared = [(fetch, fetch.uid) for fetch in portion if fetch.alikes and fetch.uid is not None]
        try:
            fingerprints = await _ask(client, deliveries, [fetch for fetch, _ in compared], is_noted=is_noted)
        except NotSupported:
            break
        comparison.count += len(fingerprints)
        for fetch, uid in compared:
            if (alike := fetch.alikes.get(fingerprints.get(as_entry(fetch.entry), ""))) is not None:
                comparison.found[alike.uid].append((fetch, uid, alike))
    return comparison


async def _ask(
    client: POP3Client, deliveries: Deliveries, fetches: Sequence[Fetch], *, is_noted: bool
) -> Mapping[Entry, str]:
    # Where many are asked for, it is not known which one has ended the session: all are under suspicion. What has
    # failed by itself is not asked for again, which would keep all others from being fetched: it comes behind them.
    fingerprints: dict[Entry, str] = {}
    together = [fetch for fetch in fetches if not fetch.has_failed]
    for asked in (together, *([fetch] for fetch in fetches if deliveries.is_suspected(fetch))):
        if asked is not together:
            await say_noop(client)
        try:
            fingerprints |= await client.fingerprints([as_entry(fetch.entry) for fetch in asked])
        except NotSupported:
            raise
        except MailwireError as error:  # also the refusal of a login behind the end of a session
            if is_noted:
                is_sure = isinstance(error, SESSION_ENDED)
                for fetch in asked:
                    deliveries.suspect(fetch, as_reason(error), counts=fetch.has_failed and is_sure)
                with suppress(Exception):  # what has ended the session is what there is to be told
                    await deliveries.settle()
            raise
    return fingerprints
