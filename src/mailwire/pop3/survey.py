"""survey: join what STAT, LIST and UIDL say into a list of messages, and of what is wrong with it.

The three may disagree, for mail arrives and expires between the questions, and servers miscount. No disagreement loses
a message: whatever either listing names is an entry.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import repeat
from typing import Final, NamedTuple, overload

from .columns import NumberColumn, UniqueIdColumn
from .findings import Finding, FindingKind, Findings
from .listings import DropListing, ScanListing, UniqueIdListing

__all__ = ["Entry", "Listing", "survey"]

# Where a server has said one of these, a message that it does not list may be there all the same.
_LOSSES: Final = frozenset({FindingKind.BAD_NUMBER, FindingKind.GLUED, FindingKind.GAP, FindingKind.UNLISTED})

# How many entries a repr shows.
_SHOWN_ENTRIES: Final = 20


class Entry(NamedTuple):
    """A message on the server.

    number: what it is called in this session, and in no other.
    uid: its unique id, by which it is known in later sessions; None where the server gives none that can be relied on.
    size: its octets, as a hint; 0 where the server gives no size.
    shares_uid: another message has the same uid, so it must never be deleted by it.
    """

    number: int
    uid: str | None
    size: int
    shares_uid: bool = False


class Listing(Sequence[Entry]):
    """The messages of a maildrop, in ascending order of their numbers.

    It takes some 32 octets for a message with a unique id of 20, and makes an `Entry` when it is asked for one.
    """

    def __init__(
        self,
        numbers: NumberColumn,
        sizes: "array[int]",
        uids: UniqueIdColumn,
        shared: bytearray | None,
        findings: Findings,
        last_accessed: int | None = None,
    ) -> None:
        self.last_accessed = last_accessed
        """The greatest number of a message that was accessed before, 0 if none was (LAST, RFC 1460 5): those behind it
        are new. None where the server does not tell, or was not asked."""
        self._numbers = numbers
        self._sizes = sizes
        self._uids = uids
        self._shared = shared  # an octet for each message, 1 if it shares its uid; None if none does
        self._findings = findings

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with what the server said: of a kind, at most 100 findings for each of its listings."""
        return self._findings.kept

    @property
    def finding_counts(self) -> Mapping[FindingKind, int]:
        """How many things of each kind are wrong, all counted."""
        return self._findings.counts

    @property
    def unidentified(self) -> Iterator[int]:
        """The numbers of the messages without a uid. `Uidl(number)` may tell it: see `UniqueIdListing.amended`."""
        return (number for number, uid in zip(self._numbers, self._uids, strict=True) if uid is None)

    @property
    def is_complete(self) -> bool:
        """Whether nothing tells that the maildrop may hold a message that is not here.

        False where a line could be told of no message, where two entries have run into one line or numbers are left
        out (as those of messages are that were marked in this session), and where STAT counts more than are here.
        """
        return not _LOSSES & self.finding_counts.keys()

    @property
    def has_every_uid(self) -> bool:
        """Whether a unique id that is not here is of no message in the maildrop, as far as the server can be believed:
        the listing is complete, and each of its messages has a uid."""
        return self.is_complete and not self._uids.unknown

    @property
    def octets(self) -> int:
        """The octets of all messages together, as far as sizes are known."""
        return sum(self._sizes)

    def numbered(self, number: int) -> Entry | None:
        """Return the message called `number`; None if there is none."""
        place = self._numbers.find(number)
        return None if place is None else self._at(place)

    def identified(self, uid: str) -> list[Entry]:
        """Return the messages that have this unique id: none, one, or several that share it."""
        return [self._at(place) for place in self._uids.places(uid.encode("ascii"))] if uid.isascii() else []

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> Entry: ...
    @overload
    def __getitem__(self, place: slice) -> list[Entry]: ...
    def __getitem__(self, place: int | slice) -> Entry | list[Entry]:
        """Return the entry at `place`, which is counted from 0 and is not its number; a list for a slice."""
        if isinstance(place, slice):
            return [self._at(each) for each in range(len(self))[place]]
        return self._at(range(len(self))[place])

    def __iter__(self) -> Iterator[Entry]:
        shared = repeat(False) if self._shared is None else map(bool, self._shared)
        # A million entries without a call into Python for each.
        return map(tuple.__new__, repeat(Entry), zip(self._numbers, self._uids, self._sizes, shared, strict=False))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Listing):
            return NotImplemented
        if (len(self), self.last_accessed, self.findings) != (len(other), other.last_accessed, other.findings):
            return False
        return all(map(Entry.__eq__, self, other))

    def __repr__(self) -> str:
        shown = list(self) if len(self) <= _SHOWN_ENTRIES else f"{len(self)} messages"
        return f"Listing({shown})"

    def _at(self, place: int) -> Entry:
        is_shared = self._shared is not None and bool(self._shared[place])
        return Entry(self._numbers[place], self._uids[place], self._sizes[place], is_shared)


def survey(
    scan: ScanListing | None,
    uids: UniqueIdListing | None = None,
    drop: DropListing | None = None,
    last_accessed: int | None = None,
    *,
    marked: Iterable[int] = (),
) -> Listing:
    """Join the answers to LIST, UIDL, STAT and LAST; None for one that was refused, or not asked for.

    marked: the numbers of messages that are marked in this session. They are there, and no answer has them.

    Every number that either listing names is an entry. Without UIDL no entry has a uid, without LIST none has a size.
    """
    findings = Findings()
    numbers, sizes, identities = _join(scan, uids, findings)
    expected = 1
    for run in numbers.runs:
        if run.start != expected:
            findings.add(FindingKind.GAP, run.start)
        expected = run.stop
    if (last := max(marked, default=0)) >= expected:
        findings.add(FindingKind.GAP, last + 1)
    shared = identities.shared()
    if shared is not None:
        place = shared.find(1)
        while place >= 0:
            findings.add(FindingKind.SHARED_UID, numbers[place], identities.octets(place))
            place = shared.find(1, place + 1)
    if drop is not None:
        for finding in drop.findings:
            findings.add(finding.kind, said=finding.said)
        if drop.count is not None and drop.count != len(numbers):
            kind = FindingKind.UNLISTED if drop.count > len(numbers) else FindingKind.UNCOUNTED
            findings.add(kind, said=b"%d" % drop.count)
    return Listing(numbers, sizes, identities, shared, findings, last_accessed)


def _join(
    scan: ScanListing | None, uids: UniqueIdListing | None, findings: Findings
) -> tuple[NumberColumn, "array[int]", UniqueIdColumn]:
    for listing in (scan, uids):
        if listing is not None:
            findings.take(listing.findings, listing.finding_counts)
    if uids is None:
        findings.add(FindingKind.NO_UIDL)
    if scan is None:
        findings.add(FindingKind.NO_LIST)
        uids = uids or UniqueIdListing(NumberColumn(), UniqueIdColumn(), Findings())
        return uids.numbers, array("q", bytes(8 * len(uids))), uids.uids
    if uids is None:
        return scan.numbers, scan.sizes, UniqueIdColumn(len(scan))
    if scan.numbers == uids.numbers:
        return scan.numbers, scan.sizes, uids.uids
    numbers, sizes, identities, last = NumberColumn(), array("q"), UniqueIdColumn(), 0
    for number in merge(scan.numbers, uids.numbers):
        if number == last:
            continue
        last = number
        place = scan.numbers.find(number)
        if place is None:
            findings.add(FindingKind.NOT_IN_LIST, number)
        sizes.append(0 if place is None else scan.sizes[place])
        place = uids.numbers.find(number)
        if place is None:
            findings.add(FindingKind.NOT_IN_UIDL, number)
        identities.append(None if place is None else uids.uids.octets(place))
        numbers.extend(number)
    return numbers, sizes, identities
