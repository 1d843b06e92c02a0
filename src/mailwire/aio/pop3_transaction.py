"""Transaction: one session's view of the maildrop, from the login to QUIT (RFC 1939 5).

Message numbers hold for one session. What a caller names, be it an entry of this session or of another or a unique id,
is found in this session's own listing before its number is used.

An entry is of this session if its number, its unique id and its size are. One of another session is found by its unique
id, and means the message that has it if the size is the same as well: there are servers that give a unique id to one
message after the other.

A line of UIDL that makes no sense spoils its entry, and its message is asked about by itself. Not every server takes
that question well, and a session that is lost by it is not worth an answer: it is asked where the session can be
spared, and a NOOP behind it shows whether what was answered was the answer.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Final, NamedTuple

from .._wire.text import check_kind
from ..errors import AmbiguousMessage, LocalProtocolError, MailwireError
from ..pop3 import Dele, Entry, FindingKind, Last, List, Listing, Noop, Stat, Uidl, UniqueIdListing, survey
from .deletion import Marks
from .pop3_dialogue import Dialogue, raise_refusal
from .portions import portions

__all__ = ["Message", "Transaction", "check_message", "each_message"]

Message = Entry | str
"""What names a message to a client: an entry of a listing, or a unique id."""

# How many unique ids are searched for one by one; more are looked for in one pass over the listing.
_SEARCHED: Final = 32

# For so many messages without a unique id UIDL is asked again, one by one. Where there are more, it is no accident, or
# takes too long. (A server is known that glues two lines into one every few hundred.)
_ASKED_AGAIN: Final = 100
_ASKED_AGAIN_AT_ONCE: Final = 1000

# What has one of these was told, and cannot be told in another way. (Of a kind 100 are known by their numbers: as many
# as are asked about one at a time.)
_TOLD_BADLY: Final = frozenset({FindingKind.LONG_UID, FindingKind.BAD_UID})


class Transaction:
    """The maildrop as one session has it.

    marks: what it was asked to delete.
    allows: tells whether a command that not every server knows may be said.
    listed: is told of every listing.
    """

    def __init__(
        self,
        dialogue: Dialogue,
        marks: Marks,
        allows: Callable[[str], bool],
        listed: Callable[[Listing], None],
    ) -> None:
        self.dialogue = dialogue
        self.marks = marks
        self.listing: Listing | None = None  # the last one of this session
        self.is_shown: bool = False  # the caller has had one: what has no unique id may be an entry of it
        self.is_asking_again: bool = False  # about single messages: what ends the session meanwhile is ended by that
        self._left_out: Sequence[Entry] = ()  # of that, for they were marked then
        self._told: dict[int, UniqueIdListing] = {}  # about single messages, by their numbers
        self._allows = allows
        self._listed = listed

    @property
    def needs_listing(self) -> bool:
        """Whether there is no listing of all that is there: none was asked for, or what was marked then is not now."""
        return self.listing is None or not all(map(self.marks.holds, self._left_out))

    async def ask_listing(self, *, asks_again: bool) -> Listing:
        """Ask STAT, LIST and UIDL in one flight and return what they say together; without UIDL ask LAST, if it may be.

        asks_again: whether such messages as UIDL tells badly are asked about by themselves, at the risk of the session.

        Raises ResponseError if LIST is refused and there is no UIDL either, and if one of them is refused for now only.
        """
        stat, scan, identities = Stat(), List(), Uidl()
        left_out = self.marks.undecided
        commands = (stat, scan, identities) if self._allows("UIDL") else (stat, scan)
        for command in commands:
            self.dialogue.send(command)
        dropped, scanned, *identified = [await self.dialogue.next_response() for _ in commands]
        for received in (scanned, *identified):
            # What is not to be had for now is not what the server does not have: without unique ids all mail is new.
            if received.response.is_transient:
                raise_refusal(received)
        uids = next((identities.parse(received.response) for received in identified if received.response.ok), None)
        if uids is None:
            raise_refusal(scanned)
        drop = stat.parse(dropped.response) if dropped.response.ok else None
        sizes = scan.parse(scanned.response) if scanned.response.ok else None
        last = await self._ask_last() if uids is None and self._allows("LAST") else None
        marked = [entry.number for entry in left_out]
        listing = survey(sizes, uids, drop, last, marked=marked)
        if uids is not None and listing.finding_counts:
            answers = await self._answers_about_each(listing, asks_again=asks_again)
            listing = survey(sizes, uids.amended(answers), drop, marked=marked) if answers else listing
        self.listing, self._left_out = listing, left_out
        self._listed(listing)
        return listing

    async def check(self, messages: Iterable[Message] | Message) -> Sequence[Message]:
        """Return `messages`, or raise ValueError for what can name none. One alone may stand for itself."""
        if isinstance(messages, Listing):
            return messages
        checked: list[Message] = []
        for portion in portions(each_message(messages)):
            await _give_way(checked)
            checked += map(check_message, portion)
        return checked

    async def find(self, messages: Sequence[Message], *, forced: bool, sized: bool) -> Sequence[Entry | str]:
        """Return the entries of this session that `messages` name, in their order; the uid of what is not there.

        The session must have its listing. forced: a uid that several messages share names all of them, where it does
        not come in an entry. sized: what an entry of another session names must have its size as well.

        Raises AmbiguousMessage for such a one otherwise, and for an entry of another session that shares its uid, there
        or here; LocalProtocolError for an entry without a uid that is not of this session.
        """
        listing = self.listing
        if listing is None or messages is listing:
            return messages
        places: list[Entry | _Sought] = []
        for portion in portions(messages):
            await _give_way(places)
            places += [self._of_this_session(listing, message) for message in portion]
        wanted = {place.uid for place in places if isinstance(place, _Sought)}
        by_uid = await _identified(listing, wanted)
        found: list[Entry | str] = []
        for part in portions(places):
            await _give_way(found)
            for place in part:
                if isinstance(place, Entry):
                    found.append(place)
                else:
                    found += place.among(by_uid.get(place.uid, ()), forced=forced, sized=sized)
        return found

    def mark(self, entry: Entry) -> None:
        """Say DELE of `entry`, unless it was said."""
        if not self.marks.holds(entry):
            self.dialogue.send(Dele(entry.number))
            self.marks.ask(entry)

    async def mark_all(self, entries: Sequence[Entry], at_once: int) -> None:
        """Say DELE of all `entries`, so many at once, and take in the answers."""
        for place in range(0, len(entries), at_once):
            for entry in entries[place : place + at_once]:
                self.mark(entry)
            if not self.dialogue.owes_answer:
                await asyncio.sleep(0)  # all were marked before
            while self.dialogue.owes_answer:
                await self.dialogue.next_response()

    def say_mark(self, command: Dele) -> None:
        """Say `command`, and take note of it. Raises LocalProtocolError if it is out of place."""
        self.dialogue.send(command)
        left_out = (entry for entry in self._left_out if entry.number == command.number)
        entry = None if self.listing is None else self.listing.numbered(command.number) or next(left_out, None)
        self.marks.ask(entry or Entry(command.number, None, 0))

    async def sorted_out(self, found: Iterable[Entry | str]) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
        """Return the entries of what was `found`, and the unique ids of what was not, each once.

        A unique id that the listing of this session has not, for its messages were marked, gives their entries.
        """
        marked: dict[Entry | str, list[Entry | str]] = {}
        for entry in self._left_out:
            if entry.uid is not None:
                marked.setdefault(entry.uid, []).append(entry)
        entries: dict[Entry, None] = {}
        missing: dict[str, None] = {}
        for portion in portions(found):
            await _give_way(entries or missing)
            for place in chain.from_iterable(marked.get(each, (each,)) for each in portion) if marked else portion:
                if isinstance(place, Entry):
                    entries[place] = None
                else:
                    missing[place] = None
        return tuple(entries), tuple(missing)

    def leave(self, wanted: Iterable[Entry]) -> None:
        """Say nothing more of what is waiting to be said, but DELE of it and of what is `wanted` to be marked; leave to
        others what is unanswered."""
        unsaid = [*self.marks.discard(self.dialogue.discard_queued()), *wanted]
        try:
            for entry in unsaid:
                self.mark(entry)
        except MailwireError:  # the session is over, as whoever wants it next is told
            self.marks.leave_unsaid(unsaid)
        self.dialogue.is_left = self.dialogue.owes_answer

    # Private

    def _of_this_session(self, listing: Listing, message: Message) -> "Entry | _Sought":
        if isinstance(message, str):
            return _Sought(message)
        here = listing.numbered(message.number)
        # Without a unique id, number and size may be another message's: it must be of a listing that was asked for.
        is_told = message.uid is not None or self.is_shown
        if here is not None and (here.uid, here.size) == (message.uid, message.size) and is_told:
            # Of a million, none is to be held twice. What has shared its uid is not deleted as if it had not.
            return here if here.shares_uid and not message.shares_uid else message
        if message.uid is None:
            raise LocalProtocolError(
                f"{message} is not in a listing that was asked for in this session, and without a unique id it is in "
                "no other"
            )
        return _Sought(message.uid, message)

    async def _ask_last(self) -> int | None:
        command = Last()
        self.dialogue.send(command)
        response = (await self.dialogue.next_response()).response
        return command.parse(response) if response.ok else None

    async def _answers_about_each(self, listing: Listing, *, asks_again: bool) -> Sequence[UniqueIdListing]:
        # What the server says by itself of each message that the listing has no unique id of, now or before.
        limit = _ASKED_AGAIN_AT_ONCE if self.dialogue.pipelines else _ASKED_AGAIN
        numbers = list(islice(listing.unidentified, limit + 1))
        if len(numbers) > limit:
            return ()
        if asks_again:
            known = {finding.number for finding in listing.findings if finding.kind in _TOLD_BADLY} | self._told.keys()
            await self._ask_about([number for number in numbers if number not in known])
        return [self._told[number] for number in numbers if number in self._told]

    async def _ask_about(self, numbers: Sequence[int]) -> None:
        if not numbers:
            return
        self.is_asking_again = True
        commands = {number: Uidl(number) for number in numbers}
        for command in (*commands.values(), Noop()):
            self.dialogue.send(command)
        responses = [(await self.dialogue.next_response()).response for _ in commands]
        # A server that knows no argument answers with the whole listing: its lines would be taken for this answer.
        await self.dialogue.next_response()
        for (number, asked), response in zip(commands.items(), responses, strict=True):
            if response.ok:
                self._told[number] = asked.parse(response)
        self.is_asking_again = False


class _Sought(NamedTuple):
    # What is to be found by its uid, and what is known of it, if it is an entry of another session.

    uid: str
    entry: Entry | None = None

    def among(self, entries: Sequence[Entry], *, forced: bool, sized: bool) -> Sequence[Entry | str]:
        """Return what it is of `entries`, all that have the uid in this session; the uid if it is none."""
        known = self.entry
        if len(entries) > 1 and (known is not None or not forced):
            raise AmbiguousMessage(f"{len(entries)} messages have the unique id {self.uid!r}", uid=self.uid)
        if entries and known is not None and known.shares_uid:
            raise AmbiguousMessage(f"several messages had the unique id {self.uid!r}: one is left", uid=self.uid)
        if known is not None and sized:
            # A size of 0 is none.
            entries = [each for each in entries if known.size == each.size or 0 in (known.size, each.size)]
        return entries or [self.uid]


async def _identified(listing: Listing, uids: Collection[str]) -> Mapping[str, Sequence[Entry]]:
    # The messages that have these unique ids, by them.
    if len(uids) <= _SEARCHED:
        return {uid: listing.identified(uid) for uid in uids}
    found: dict[str, list[Entry]] = {}
    for portion in portions(listing):
        await asyncio.sleep(0)
        for entry in portion:
            if entry.uid in uids:
                found.setdefault(entry.uid or "", []).append(entry)
    return found


async def _give_way(done: Collection[object]) -> None:
    # Let the event loop have a turn between two portions.
    if done:
        await asyncio.sleep(0)


def each_message(messages: Iterable[Message] | Message) -> Iterable[Message]:
    """Return `messages`, of which one alone may stand for itself, or raise ValueError for what can be none."""
    if isinstance(messages, Entry | str):
        return (messages,)
    check_kind("messages", messages, Iterable, "entries of a listing and unique ids, or a single one")
    return messages


def check_message(message: Message) -> Message:
    """Return `message`, or raise ValueError for what can name none."""
    if isinstance(message, Entry):
        if type(message.number) is not int or type(message.size) is not int:
            raise ValueError(f"expected an entry with a number and a size, got {message!r}")
    elif not isinstance(message, str):
        raise ValueError(f"expected an entry or a unique id, got {message!r}")
    return message
