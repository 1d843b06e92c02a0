"""Row: how the plain mails of a chain go, one behind the other.

Each takes a shortcut where it can, else it is a parcel.

1. Two are on their way as long as all goes well: of the older one only the verdict is to come, the newer one has begun
   behind it. A step hears both in one, sends the message of the newer with the beginning of the next, and makes another
   one ready (`_go_in_row`).
2. Whatever is otherwise is the chain's: a step that does not find what it is for has changed nothing.

A `Chain` has it of this; it is no class by itself.
"""

from abc import abstractmethod
from collections import deque

from ..errors import MailwireError
from ..smtp import Connection
from ..smtp.shortcut import END_COST, Shortcut
from .consignment import Item, Supply
from .dialogue import Dialogue
from .links import Link, PlainLink, PlainLinks, Ready
from .stream import Stream

__all__ = ["Row"]

_Step = tuple[PlainLink, Shortcut, PlainLink, Shortcut, PlainLink]
"""The two mails on their way, each with how it goes, and the one that is ready."""


class Row:
    """The part of a chain that knows plain mails."""

    has_concluded: bool  # the server has answered for a mail to its end

    _blocks: list[bytes]  # to be written in one
    _connection: Connection
    _consignment: Supply
    _dialogue: Dialogue
    _is_told: bool  # the consignment, to wake who waits for the server
    _links: deque[Link | PlainLink]  # begun, and not finished, the oldest first
    _plain_links: PlainLinks
    _ready: Ready | PlainLink | None
    _row: _Step | None  # where the next thing to be done is a step
    _stream: Stream

    @abstractmethod
    async def _go_on(self) -> None:
        """Do what `Chain.go_on` does in any other way."""

    @abstractmethod
    async def _prepare(self, item: Item) -> None:
        """Make a mail ready that is not plain."""

    @abstractmethod
    def _hear_answers(self) -> None:
        """Take what the machine has to tell."""

    # In steps

    def _find_row(self) -> None:
        # Find out whether the next thing to be done is a step of `_go_in_row`.
        self._row = None
        links, ready = self._links, self._ready
        if len(links) != 2 or type(ready) is not PlainLink or self._is_told:
            return
        older, newer = links
        if type(older) is PlainLink and type(newer) is PlainLink:
            before, way = older.way, newer.way
            if type(before) is Shortcut and type(way) is Shortcut and before.is_ended and not way.wants_message:
                self._row = older, before, newer, way, ready

    async def _go_in_row(self, row: _Step) -> None:
        # Where nothing has come yet. What comes then and is not what is to be expected, is the chain's. It does what
        # `PlainMail.arrival` does, `_finish_plain`, `PlainMail.write` and `take_shortcut`, in one.
        older, before, newer, way, ready = row
        self._row = None  # until all is done
        stream, dialogue = self._stream, self._dialogue
        dialogue.past, patience = before, dialogue.verdict_patience
        await stream.arrival(None if patience is None else older.due_since + patience, dialogue.overdue)
        data = stream.sole
        if data is None or not before.hear_with(way, data):
            await self._go_on()
            return
        stream.take()
        now, links, consignment = dialogue.time(), self._links, self._consignment
        self.has_concluded, dialogue.past = True, None
        consignment.finish(older.item, older.end(now), None)
        links.popleft()
        if not way.wants_message:
            newer.due_since = now
            return
        leaving, another = way.end_with(ready.message)
        newer.envelope_time = now - newer.since
        newer.since = newer.due_since = ready.since = ready.due_since = now
        ready.way = another
        dialogue.transactions += 1
        links.append(ready)
        self._ready = None
        stream.write([leaving])
        item = consignment.take()
        if item is not None:
            following = self._make_plain(item)
            if following is None:
                await self._prepare(item)
            else:
                self._row = newer, way, ready, another, following

    # Beginning

    def _make_plain(self, item: Item) -> PlainLink | None:
        # Make the mail ready if it is plain; return it then.
        try:
            self._ready = mail = self._plain_links.made_of(item)
        except BaseException:
            self._consignment.put_back(item)
            raise
        return mail

    def _begin_plain(self, mail: PlainLink) -> None:
        # By a shortcut, if it can; eager ones, which go many in a row, take none.
        links = self._links
        is_behind = bool(links)
        begins_anew = is_behind and links[-1].is_chunked
        beginning: list[bytes] | None = None
        if not mail.form.is_eager:
            if self._may_take_shortcut():
                beginning = mail.take_shortcut(is_behind, begins_anew)
            if beginning is None:
                self._leave_shortcuts()
        try:
            if beginning is None:
                mail.begin(not is_behind, begins_anew)
        except MailwireError as error:
            receipt = self._consignment.make_sending(mail.item).receipt()
            self._ready = None
            self._consignment.finish(mail.item, receipt, error)
            return
        links.append(mail)
        self._ready = None
        if beginning is not None:
            self._blocks += beginning

    def _may_take_shortcut(self) -> bool:
        # Alone, or behind one that was ended. What was received is heard before anything leaves.
        links = self._links
        if self._stream.has_news:
            return False
        if not links:
            return True
        before = links[0]
        if type(before) is PlainLink and type(before.way) is Shortcut:
            return True
        return self._connection.awaits_verdict_alone(END_COST)

    def _leave_shortcuts(self) -> None:
        # One after the other, as they have begun. Where one took any, the newest did.
        links = self._links
        newest = links[-1] if links else None
        if type(newest) is PlainLink and type(newest.way) is Shortcut:
            for link in links:
                if isinstance(link, PlainLink):
                    link.leave_shortcut(is_awaited=link is links[0])

    # Hearing

    def _hear_plainly(self, data: bytes) -> None:
        # Take in one step what the one plain mail on its way is to be answered, or the two, if `data` are that.
        links = self._links
        mail, newest = links[0], links[-1]
        if type(newest) is not PlainLink:
            return
        way = newest.way
        if mail is newest:
            if way.hear(data):
                self._stream.take()
                if way.is_taken:
                    self._finish_plain(newest)
        elif type(way) is Shortcut:
            if type(mail) is not PlainLink or type(mail.way) is not Shortcut:
                self._hear_before(newest, way, data)
            elif mail.way.hear_with(way, data):
                self._stream.take()
                self._finish_plain(mail)
                if not way.wants_message:
                    newest.due_since = self._dialogue.time()

    def _hear_before(self, mail: PlainLink, way: Shortcut, data: bytes) -> None:
        # The same where the one before has taken no shortcut: its verdict is heard by the machine.
        parts = way.parted(data)
        if parts is None:
            return
        verdict, answers = parts
        self._stream.take()
        self._connection.receive_data(verdict)
        self._hear_answers()
        if self._links[0] is mail and mail.way is way:
            way.follow(answers)
            if not answers:
                mail.due_since = self._dialogue.time()
        else:
            self._connection.receive_data(answers)

    def _finish_plain(self, mail: PlainLink) -> None:
        # The oldest, which was taken.
        self.has_concluded, self._dialogue.past = True, None
        self._consignment.finish(mail.item, mail.end(self._dialogue.time()))
        self._links.popleft()
