"""Deletion: which messages a session was asked to delete, and what is known of them in the end (RFC 1939 5 and 6).

1. DELE marks. What is marked is deleted when QUIT is answered with +OK, and known to be deleted by nothing else. If
   anything comes behind that answer, it may have been the answer to another command: then nothing is known.
2. A session that ends in any other way leaves what was marked UNKNOWN. By RFC 1939 6 nothing of it is deleted; there
   are servers that think otherwise. The next complete listing tells. A DELE that never left is not in doubt: KEPT.
3. -ERR to QUIT says that some of what was marked was deleted and some was not (RFC 1939 6): that is UNKNOWN, too.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..errors import MailwireError
from ..pop3 import Command, Dele, Entry, Listing, Response, ResponseReceived, Rset

__all__ = ["CommitReport", "DeletionReport", "Marks"]


@dataclass(frozen=True, slots=True)
class DeletionReport:
    """What came of the messages that were to be marked.

    marked: those that the server has marked; they are deleted by `commit`.
    refused: those that it has not, with its -ERR.
    missing: unique ids that no message in the maildrop has, or none of the size of the entry that was named: whatever
        they were of is gone already.
    """

    marked: tuple[Entry, ...] = ()
    refused: Mapping[Entry, Response] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CommitReport:
    """What is known of the messages that a session was asked to delete. Each is in one of these:

    committed: deleted.
    refused: not deleted, for the server has refused to mark them, with its -ERR.
    unknown: deleted or not. Messages with a uid are found out about by the next listing (`reconciled`).
    kept: not deleted: the connection was lost before they were marked, or a later listing has them still.

    response: the server's answer to QUIT; None if there was none.
    error: why there was none, or why that one tells nothing.
    """

    committed: tuple[Entry, ...] = ()
    refused: Mapping[Entry, Response] = field(default_factory=dict)
    unknown: tuple[Entry, ...] = ()
    kept: tuple[Entry, ...] = ()
    response: Response | None = None
    error: MailwireError | None = None

    @property
    def committed_uids(self) -> frozenset[str]:
        """The unique ids of what is deleted. A uid may be forgotten when it is here."""
        return _uids(self.committed)

    @property
    def unknown_uids(self) -> frozenset[str]:
        """The unique ids of what may or may not be deleted."""
        return _uids(self.unknown)

    @property
    def remaining_uids(self) -> frozenset[str]:
        """The unique ids of what is not deleted, refused or kept."""
        return _uids((*self.refused, *self.kept))

    def reconciled(self, listing: Listing, *, hides_retrieved: bool = False) -> "CommitReport":
        """Return what is known now that a later session has this `listing`.

        What is not listed any more is committed, if the listing has every uid; what is, is kept. A message without a
        uid, or with one that it shares, stays unknown.

        hides_retrieved: the server may leave out what was retrieved, deleted or not, as one does that announces
            EXPIRE 0 (RFC 2449 6.7; Gmail): what is not listed stays unknown then. `POP3Client.listing` goes by that. A
            server that hides messages and does not say so cannot be told from one that has deleted them.
        """
        wanted = self.unknown_uids
        if not wanted:
            return self
        shared: set[str] = set()
        present: set[str] = set()
        for entry in listing:
            if entry.uid in wanted:
                present.add(entry.uid)
                if entry.shares_uid:
                    shared.add(entry.uid)
        committed, kept, unknown = list(self.committed), list(self.kept), list[Entry]()
        gone = committed if listing.has_every_uid and not hides_retrieved else unknown
        for entry in self.unknown:
            if entry.uid is None or entry.shares_uid or entry.uid in shared:
                unknown.append(entry)
            elif entry.uid in present:
                kept.append(entry)
            else:
                gone.append(entry)
        return replace(self, committed=tuple(committed), kept=tuple(kept), unknown=tuple(unknown))


def _uids(entries: Iterable[Entry]) -> frozenset[str]:
    return frozenset(entry.uid for entry in entries if entry.uid is not None)


class Marks:
    """What the server was asked to delete in one session, as its answers come."""

    def __init__(self) -> None:
        # All by the number of the message.
        self._asked: dict[int, Entry] = {}  # not answered yet
        self._again = Counter[int]()  # how many more times they were asked for that is not answered either
        self._marked: dict[int, Entry] = {}
        self._refused: dict[int, tuple[Entry, Response]] = {}  # and neither asked for again nor marked
        self._unsaid: dict[int, Entry] = {}  # to be marked, and never were

    def __bool__(self) -> bool:
        """Whether there is anything that QUIT would decide about."""
        return bool(self._asked or self._marked)

    @property
    def undecided(self) -> tuple[Entry, ...]:
        """What QUIT would decide about."""
        return tuple({**self._marked, **self._asked}.values())

    def holds(self, entry: Entry) -> bool:
        """Whether `entry` is marked, or about to be."""
        return entry.number in self._marked or entry.number in self._asked

    def refusals_of(self, entries: Iterable[Entry]) -> dict[Entry, Response]:
        """Return the -ERR to the DELE of each of `entries` that has one, and was not asked for again behind it."""
        if not self._refused:
            return {}
        return {entry: self._refused[entry.number][1] for entry in entries if entry.number in self._refused}

    def ask(self, entry: Entry) -> None:
        """Take note that DELE is said of `entry`."""
        if entry.number in self._asked:
            self._again[entry.number] += 1
        self._asked[entry.number] = entry
        self._refused.pop(entry.number, None)

    def discard(self, commands: Iterable[Command[object]]) -> list[Entry]:
        """Take note that these `commands` were never said; return the entries that they would have marked, but for
        those of which `forget_unsaid` has taken note."""
        unsaid = (command.number for command in commands if isinstance(command, Dele))
        return [self._settle(number) for number in unsaid if number in self._asked]

    def leave_unsaid(self, entries: Iterable[Entry]) -> None:
        """Take note that `entries` were to be marked, and that DELE will not be said of them any more."""
        for entry in entries:
            if not self.holds(entry) and entry.number not in self._refused:
                self._unsaid[entry.number] = entry

    def forget_unsaid(self, in_flight: Iterable[Command[object]]) -> None:
        """Take note that the session is over, and that what is not among the commands `in_flight` has never left."""
        said = {command.number for command in in_flight if isinstance(command, Dele)}
        unsaid = [self._asked.pop(number) for number in list(self._asked) if number not in said]
        self.leave_unsaid(unsaid)

    def observe(self, received: ResponseReceived) -> None:
        """Take note of a response; if it is one to DELE, `ask` was told of that."""
        command, response = received.command, received.response
        if isinstance(command, Dele):
            entry = self._settle(command.number)
            if response.ok:
                self._marked[entry.number] = entry
            elif not self.holds(entry):
                self._refused[entry.number] = (entry, response)
        elif isinstance(command, Rset) and response.ok:
            self._marked.clear()
            self._refused.clear()

    def committed(self, response: Response) -> CommitReport:
        """Return the report for a QUIT that was answered by +OK."""
        return CommitReport(committed=self.undecided, refused=self._refusals(), response=response)

    def in_doubt(self, error: MailwireError | None, response: Response | None = None) -> CommitReport:
        """Return the report for a session that has ended otherwise."""
        return CommitReport(
            refused=self._refusals(),
            unknown=self.undecided,
            kept=tuple(self._unsaid.values()),
            response=response,
            error=error,
        )

    # Private

    def _settle(self, number: int) -> Entry:
        # One DELE of this number is not awaited any more: return the entry that it was of.
        if self._again[number]:
            self._again[number] -= 1
            return self._asked[number]
        return self._asked.pop(number)

    def _refusals(self) -> dict[Entry, Response]:
        return dict(self._refused.values())
