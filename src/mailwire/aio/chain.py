"""Chain: mails in a row over one dialogue, each begun behind the end of the one before (RFC 2920 3.1).

1. Where the server pipelines, the commands of the next mail leave with the end of this one: one flight for each mail.
   In chunks that do not wait for a reply ("eager"), mails follow each other for as long as the window lets them.
2. Where it does not, or is not trusted to, a mail begins when the one before is finished.
3. A mail that the server's limits part (RFC 9422), goes part by part, when nothing else is on its way. A part that was
   certainly not sent may be tried again, whatever has become of those before it.
4. A message that cannot be read to its end lets those before it come to theirs; then the connection is cut.
5. A mail that is plain takes a shortcut where it can, else it goes as a parcel, as long as all is answered as is to be
   expected: how, is told in `row`. Where mails are single, and the next one is ready, a parcel goes through its own
   steps by itself, as one by `send` does.
6. Whatever ends the connection, what is known of each mail is exact: a mail behind one whose end was lost was not sent.
   It may be tried again elsewhere; a mail of which the server may have the end, never is.
"""

from collections import deque
from collections.abc import Callable, Coroutine

from ..errors import (
    ConnectionLost,
    InvalidMessage,
    MailwireError,
    NotSupported,
    ServiceNotAvailable,
    SourceFailed,
)
from ..smtp import Delivery, GroupsAnswered, Receipt, ReplyReceived
from ..smtp.delivery import ACCEPTED
from ..smtp.parcel import Parcel
from ..smtp.shortcut import Shortcut
from ..smtp.states import CLOSED, READY
from .consignment import Item, Supply
from .dialogue import Answer, Dialogue
from .links import Link, PlainLink, PlainLinks, Ready
from .passage import Passage
from .row import Row
from .sending import Sending

__all__ = ["Chain"]


class Chain(Row):
    """The mails of a `consignment` over `dialogue`, which is at rest. Call `go_on` until it `is_idle` or `is_over`.

    is_single: a mail begins only when the one before is finished.
    note: adds the end of the dialogue to the refusal of a mail.

    Another chain, over another connection, may take mails of the same consignment at the same time.
    """

    def __init__(
        self, dialogue: Dialogue, consignment: Supply, *, is_single: bool, note: Callable[[MailwireError], object]
    ) -> None:
        self.is_over: bool = False  # nothing more can be sent over this connection
        self.has_concluded: bool = False  # the server has answered for a mail to its end
        self._takes_leave = False  # the server, by 421
        self._dialogue = dialogue
        self._session = dialogue.session
        self._stream = dialogue.session.stream
        self._connection = dialogue.connection
        self._consignment = consignment
        self._note = note
        self._is_single = is_single or not dialogue.connection.is_pipelining
        self._links: deque[Link | PlainLink] = deque()  # begun, and not finished, the oldest first
        self._ready: Ready | PlainLink | None = None
        self._row = None
        self._plain_links = PlainLinks(dialogue, consignment)
        self._blocks: list[bytes] = []  # that the connection has handed out, to be written in one
        self._closing: list[Passage] = []  # the sources of whose messages are to be closed
        self._is_told = False  # the consignment, to wake who waits for the server
        self._failed: tuple[Link, MailwireError] | None = None  # the message that could not be read to its end

    @property
    def is_idle(self) -> bool:
        """Whether no mail is on its way, or ready to go."""
        return not self._links and self._ready is None

    @property
    def is_at_rest(self) -> bool:
        """Whether it `is_idle`, and another mail could begin."""
        return self.is_idle and not self.is_over

    @property
    def is_suspect(self) -> bool:
        """Whether a connection that breaks down at this moment may do so because mails were chained on it."""
        return len(self._links) > 1 and not self._takes_leave

    def go_on(self) -> Coroutine[object, object, None]:
        """Take mails as there is room for them, send what can be sent, and wait once for what the server says.

        To be awaited at once: how it goes is found out now. Returns as well when the consignment has something to give
        at last. Raises what breaks the connection off: call `break_off` then.
        """
        row = self._row
        return self._go_on() if row is None or self._stream.has_news else self._go_in_row(row)

    async def settle(self) -> None:
        """Take no more mails, and hear what becomes of those whose end has left. Raises what `go_on` raises.

        A mail whose message is not ended then can only be cut off.
        """
        self._leave_ready()
        self._unfold()
        try:
            while self._links and self._oldest.transaction.is_ended:
                if not self._dialogue.has_news:
                    await self._dialogue.wait()
                self._hear()
                self._leave_ready()  # of a mail in parts, there may be another one
                self._gather()
                self._flush()
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the sources of all messages that were left in the middle."""
        while self._closing:
            await self._closing.pop().close()

    def break_off(self, error: MailwireError | None, *, may_try_again: bool = True) -> None:
        """Give the connection up because of `error`, and find out what has become of the mails on their way.

        may_try_again: those that were certainly not sent go back to the consignment; else they are at their end.
        """
        self.is_over = True
        try:
            links = self._unfold()
        except MemoryError:
            links = self._unfold()  # from where it has come to: what may have left is never said not to have
        self._connection.give_up()
        self._blocks.clear()
        self._leave_ready()
        again: list[Item] = []
        for place, link in enumerate(links):
            item = link.item
            item.tries += place == 0
            if not self._is_decided(link, error, may_try_again=may_try_again):
                again.append(item)
        self._links.clear()
        for item in reversed(again):
            self._consignment.put_back(item)

    # Going on

    async def _go_on(self) -> None:
        self._row = None
        if self._ready is None or not self._links or self._links[-1].wants_message:
            await self._send()  # else it is the server's turn: behind what it said last, all was sent that could be
        if self._links:
            if self._ready is None or self._is_told:
                self._is_told = self._ready is None
                self._consignment.tell(self, self._stream.nudge if self._is_told else None)
            mail, consignment = self._links[0], self._consignment
            is_alone = self._is_single and self._ready is not None  # and all that is to follow it is there
            if is_alone and type(mail) is PlainLink and type(mail.way) is Parcel and not consignment.has_result:
                if await mail.lead():
                    self._finish_plain(mail)
                else:
                    self._hear()
            else:
                if not self._dialogue.has_news:
                    await (mail.arrival(self._is_told) if type(mail) is PlainLink else self._dialogue.wait())
                self._hear()
            await self._send()

    # Sending

    async def _send(self) -> None:
        links = self._links
        while not self.is_over and self._failed is None:
            if links:
                last = links[-1]
                if isinstance(last, PlainLink):
                    stream = self._stream
                    if last.wants_message and (stream.has_news or stream.is_readable):
                        last = self._unfold()[-1]  # what the server says meanwhile is heard first
                    else:
                        if last.wants_message:
                            self._blocks += last.write()
                        self._gather()
                if isinstance(last, Link) and (not await self._write(last) or last.is_part):
                    break
            has_room = not links or (links[-1].is_ended and self._has_room)
            if self._ready is None:
                if not has_room:
                    self._flush()  # the server is at work meanwhile
                item = self._consignment.take()
                if item is None:
                    break
                if self._make_plain(item) is None:
                    await self._prepare(item)
            ready = self._ready
            if ready is not None:
                if not has_room or (ready.goes_alone and links):
                    break
                if isinstance(ready, PlainLink):
                    if not links:
                        await self._session.listen()
                    self._begin_plain(ready)
                else:
                    await self._begin(ready)
        if self._blocks:
            self._flush()
        if self._failed is not None and links and links[0] is self._failed[0]:
            self._cut_short(*self._failed)
        if self._closing:
            await self.close()
        self._find_row()

    async def _write(self, link: Link) -> bool:
        # Write of the last mail's message what can be written; False if it is the server's turn. What the connection
        # hands out is gathered behind that, so that a message leaves in one with its envelope.
        passage, transaction = link.passage, link.transaction
        while not transaction.is_ended:
            is_wanted = transaction.wants_data
            if not is_wanted:
                self._gather()
                # Text waits for an answer, a chunk perhaps for room alone.
                is_wanted = transaction.chunking is not False and transaction.wants_data
            if not is_wanted:
                return True
            # What the server says meanwhile is heard first; behind an eager envelope, answers come at any time.
            is_free = transaction.chunking == "eager" or not self._stream.is_readable
            if not (is_free and passage.write_whole()):
                self._flush()
                try:
                    await passage.write()
                except (SourceFailed, InvalidMessage, NotSupported) as error:
                    self._failed = link, error
                    return False
                if transaction.wants_data:
                    return False
        self._gather()
        return True

    @property
    def _has_room(self) -> bool:
        # For another mail behind those that there are, the message of the last of which is ended.
        connection = self._connection
        return not self._is_single and connection.ahead is READY and not connection.has_queued

    async def _prepare(self, item: Item) -> None:
        try:
            if type(item.message) is not bytes and self._consignment.is_laborious(item):
                self._flush()
                await self._consignment.read(item)
            sending = self._consignment.make_sending(item)
            if not sending.prepare_at_once(self._dialogue):
                self._flush()
                await sending.prepare(self._dialogue)
            self._make_ready(item, sending)
        except MailwireError as error:
            self._consignment.finish(item, item.receipt(), error)
        except BaseException:
            self._consignment.put_back(item)
            raise

    def _make_ready(self, item: Item, sending: Sending) -> None:
        # Make ready what is left of the mail; if nothing is, it is at its end.
        batch = sending.next_batch(self._dialogue)
        if batch is None:
            receipt = sending.receipt()
            self._consignment.finish(item, receipt, self._failure_of(sending, receipt))
        else:
            is_part = len(batch.places) < len(sending.mailing.envelope.recipients)
            self._ready = Ready(item, sending, batch, is_part or batch.begins_session)

    async def _begin(self, ready: Ready) -> None:
        if ready.goes_alone:
            await self.close()  # the part before may have left its source open
        if ready.batch.begins_session:
            self.is_over = True
            self._leave_ready()
            return
        if not self._links:
            await self._session.listen()
        item, sending = ready.item, ready.sending
        behind = self._unfold()[-1].transaction if self._links else None
        try:
            passage = sending.begin(self._dialogue, ready.batch, behind)
        except MailwireError as error:
            self._ready = None
            self._consignment.finish(item, sending.receipt(), error)
        else:
            self._links.append(Link(item, sending, passage, passage.transaction, ready.goes_alone))
            self._ready = None

    def _cut_short(self, link: Link, error: MailwireError) -> None:
        # All mails before it are finished, and there are none behind it.
        self._leave_ready()
        self._links.clear()
        self._closing.append(link.passage)
        self.is_over = True
        self._connection.give_up()
        self._consignment.finish(link.item, link.sending.receipt(), error)

    def _gather(self) -> None:
        # What is handed out counts as sent: nothing is where nothing can leave any more.
        if not self._stream.is_at_end:
            self._blocks += self._connection.data_to_send()

    def _flush(self) -> None:
        if self._blocks:
            blocks, self._blocks = self._blocks, []
            self._stream.write(blocks)

    # Hearing

    def _hear(self) -> None:
        data = self._stream.sole
        if data is not None:
            self._hear_plainly(data)
        if self._dialogue.has_news:
            self._leave_shortcuts()
            self._hear_answers()

    def _hear_answers(self) -> None:
        dialogue = self._dialogue
        while (answer := dialogue.heard()) is not None:
            self._receive(answer)
            if self._connection.state is CLOSED:
                if isinstance(answer, GroupsAnswered):
                    raise AssertionError("a server that answers as expected does not close")
                command, reply = str(answer.command), answer.reply
                over = f"the connection is over: {command} was answered {reply}"
                self._takes_leave = reply.code == 421
                if self._takes_leave:
                    raise ServiceNotAvailable(over, command=command, reply=reply)
                raise ConnectionLost(over)

    def _receive(self, answer: Answer) -> None:
        # Replies come in order, and what is finished is gone; those to groups may be for several mails.
        links = self._links
        if not isinstance(answer, GroupsAnswered):
            self._unfold()
        while links:
            link = links[0]
            if isinstance(link, PlainLink):
                if type(link.way) is Shortcut or not isinstance(answer, GroupsAnswered) or not link.receive(answer):
                    return  # what it waits for has not come, or it wants its message
                self._finish_plain(link)
                continue
            if not link.transaction.receive(answer):
                return
            if not link.transaction.finished or self._connection.state is CLOSED:
                return
            self.has_concluded = True
            self._conclude(link)
            links.popleft()
            if isinstance(answer, ReplyReceived):
                return

    def _unfold(self) -> list[Link]:
        # Go on with the plain mails on their way as with any other; return all of these. One by one, so that it can be
        # gone on with where something goes wrong in the middle.
        self._leave_shortcuts()
        unfolded: list[Link] = []
        for place, link in enumerate(self._links):
            if isinstance(link, PlainLink):
                link = self._links[place] = link.unfolded(self._consignment.make_sending(link.item))
            unfolded.append(link)
        return unfolded

    @property
    def _oldest(self) -> Link:
        oldest = self._links[0]
        if isinstance(oldest, PlainLink):
            raise AssertionError("a chain is unfolded before it is settled")
        return oldest

    def _conclude(self, link: Link) -> None:
        item, sending, passage = link.item, link.sending, link.passage
        receipt = sending.end(passage)
        if passage.has_read:
            self._closing.append(passage)
        if sending.is_whole:
            failure = None if receipt.delivery is ACCEPTED else self._failure_of(sending, receipt)
            self._consignment.finish(item, receipt, failure)
        else:
            self._make_ready(item, sending)

    def _failure_of(self, sending: Sending, receipt: Receipt) -> MailwireError | None:
        failure = sending.take_failure(receipt)
        if failure is not None:
            self._note(failure)
        return failure

    # Breaking off

    def _leave_ready(self) -> None:
        self._row = None
        if self._ready is not None:
            item = self._ready.item
            self._consignment.make_sending(item)  # one that is plain has none, and its receipt is asked for
            self._consignment.put_back(item)
            self._ready = None

    def _is_decided(self, link: Link, error: MailwireError | None, *, may_try_again: bool) -> bool:
        # Whether the mail is at its end: then its result is handed back.
        item, sending, passage = link.item, link.sending, link.passage
        passage.stop()
        self._closing.append(passage)
        part, receipt = passage.receipt(), sending.receipt()
        if self._failed is not None and self._failed[0] is link:
            self._consignment.finish(item, receipt, self._failed[1])
            return True
        is_closing = passage.has_heard_closing
        if part.delivery is Delivery.NOT_SENT or (part.delivery is Delivery.REFUSED and _is_put_off(part)):
            source_is_there = sending.mailing.content.is_repeatable or not passage.has_read
            if may_try_again and source_is_there and item.may_be_tried_again:
                sending.take_back(passage)
                return False
        by_reply = is_closing or passage.transaction.must_close
        if by_reply or part.delivery in (Delivery.ACCEPTED, Delivery.REFUSED):
            sending.end(passage)
            self._consignment.finish(item, receipt, self._failure_of(sending, receipt))
        elif error is None:
            self._consignment.finish(item, receipt)
        else:
            self._consignment.fail(item, error)
        return True


def _is_put_off(receipt: Receipt) -> bool:
    # 421 to a command of the mail's says nothing of the mail, only that it cannot go over this connection. Behind a
    # refusal that has decided, to RSET say, it changes nothing.
    return any(entry.decisive_reply is not None and entry.decisive_reply.code == 421 for entry in receipt.recipients)
