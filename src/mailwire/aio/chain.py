"""Chain: mails in a row over one dialogue, each begun behind the end of the one before (RFC 2920 3.1).

1. Where the server pipelines, the commands of the next mail leave with the end of this one: one flight for each mail.
   In chunks that do not wait for a reply ("eager"), mails follow each other for as long as the window lets them.
2. Where it does not, or is not trusted to, a mail begins when the one before is finished.
3. A mail that the server's limits part (RFC 9422), goes part by part, when nothing else is on its way. A part that was
   certainly not sent may be tried again, whatever has become of those before it.
4. A message that cannot be read to its end lets those before it come to theirs; then the connection is cut.
5. A mail that is plain takes a shortcut where it can, else it goes as a parcel, as long as all is answered as is to be
   expected. Where two of those that take shortcuts are on their way, or one plain mail, they are heard in one step, and
   in another the next is sent behind them. Where mails are single, and the next one is ready, it goes through its own
   steps by itself, as one by `send` does.
6. Whatever ends the connection, what is known of each mail is exact: a mail behind one whose end was lost was not sent.
   It may be tried again elsewhere; a mail of which the server may have the end, never is.
"""

from collections import deque
from collections.abc import Callable

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
from ..smtp.shortcut import END_COST, Shortcut
from ..smtp.states import CLOSED, READY
from .consignment import Item, Supply
from .dialogue import Answer, Dialogue
from .links import Link, PlainLink, PlainLinks, Ready
from .passage import Passage
from .sending import Sending

__all__ = ["Chain"]


class Chain:
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
        self._connection = dialogue.connection
        self._consignment = consignment
        self._note = note
        self._is_single = is_single or not dialogue.connection.is_pipelining
        self._links: deque[Link | PlainLink] = deque()  # begun, and not finished, the oldest first
        self._ready: Ready | PlainLink | None = None
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

    async def go_on(self) -> None:
        """Take mails as there is room for them, send what can be sent, and wait once for what the server says.

        Returns as well when the consignment has something to give at last. Raises what breaks the connection off: call
        `break_off` then.
        """
        if self._ready is None or not self._links or self._links[-1].wants_message:
            await self._send()  # else it is the server's turn: behind what it said last, all was sent that could be
        if self._links:
            if self._ready is None or self._is_told:
                self._is_told = self._ready is None
                self._consignment.tell(self, self._session.stream.nudge if self._is_told else None)
            mail, consignment = self._links[0], self._consignment
            is_alone = self._is_single and self._ready is not None  # and all that is to follow it is there
            if is_alone and isinstance(mail, PlainLink) and not consignment.has_result:
                is_plain, is_fresh = await self._lead(mail), False
            else:
                is_fresh = not self._dialogue.has_news
                if is_fresh:
                    await (mail.arrival(self._is_told) if type(mail) is PlainLink else self._dialogue.wait())
                is_plain = self._hear()
            if not (is_plain and self._send_plainly(is_fresh=is_fresh)):
                await self._send()
            elif (item := consignment.take()) is not None and not self._make_plain(item):
                await self._prepare(item)

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
        links = self._unfold()
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

    # Sending

    def _send_plainly(self, *, is_fresh: bool) -> bool:
        # Behind what was heard in one step, what `_send` does in most rounds: the message of the plain mail that is
        # alone on its way, and the beginning of the next behind, or of the next alone. False if there is more to do;
        # else the next is not ready any more. `is_fresh`: what was heard has come just now, and nothing behind it.
        links, ready = self._links, self._ready
        if type(ready) is not PlainLink or self._closing or self._session.stream.has_news:
            return False
        if links:
            mail = links[0]
            if self._is_single or type(mail) is not PlainLink or not mail.way.wants_message:
                return False
            if not is_fresh and self._session.stream.is_readable:
                return False
            self._blocks += mail.write()
        elif self._session.stream.is_readable:
            return False
        if not self._begin_plain(ready):
            self._gather()
        self._flush()
        return True

    async def _send(self) -> None:
        links = self._links
        while not self.is_over and self._failed is None:
            if links:
                last = links[-1]
                if isinstance(last, PlainLink):
                    stream = self._session.stream
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
                if not self._make_plain(item):
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
            is_free = transaction.chunking == "eager" or not self._session.stream.is_readable
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

    def _make_plain(self, item: Item) -> bool:
        # Make the mail ready if it is plain; return whether it is.
        try:
            self._ready = mail = self._plain_links.made_of(item)
        except BaseException:
            self._consignment.put_back(item)
            raise
        return mail is not None

    def _begin_plain(self, mail: PlainLink) -> bool:
        # Return whether it takes a shortcut. Eager ones, which go many in a row, take none.
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
            return False
        self._ready = None
        links.append(mail)
        if beginning is None:
            return False
        self._blocks += beginning
        return True

    def _may_take_shortcut(self) -> bool:
        # Alone, or behind one that was ended. What was received is heard before anything leaves.
        links = self._links
        if self._session.stream.has_news or len(links) > 1:
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
        self._ready = None
        item, sending = ready.item, ready.sending
        behind = self._unfold()[-1].transaction if self._links else None
        try:
            passage = sending.begin(self._dialogue, ready.batch, behind)
        except MailwireError as error:
            self._consignment.finish(item, sending.receipt(), error)
        else:
            self._links.append(Link(item, sending, passage, passage.transaction, ready.goes_alone))

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
        if not self._session.stream.is_at_end:
            self._blocks += self._connection.data_to_send()

    def _flush(self) -> None:
        if self._blocks:
            blocks, self._blocks = self._blocks, []
            self._session.stream.write(blocks)

    # Hearing

    async def _lead(self, mail: PlainLink) -> bool:
        # Lead the mail that is alone on its way, as long as it stays plain, to its end; return what `_hear` does.
        if await mail.lead([]):
            self._finish_plain(mail)
            return True
        return self._hear()

    def _hear(self) -> bool:
        # Return whether it was in one step: then nothing is left that is to be heard before anything leaves.
        data = self._session.stream.sole
        if data is not None and self._hear_plainly(data):
            return True
        if self._dialogue.has_news:
            self._leave_shortcuts()
            self._hear_answers()
        return False

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

    def _hear_plainly(self, data: bytes) -> bool:
        # In one step what the one plain mail on its way is to be answered, or the two; False if `data` are anything
        # else, or there are other mails.
        links = self._links
        mail, newest = links[0], links[-1]
        if type(newest) is not PlainLink or len(links) > 2:
            return False
        way = newest.way
        if mail is newest:
            if not way.hear(data):
                return False
            self._session.stream.take()
            if way.is_taken:
                self._finish_plain(newest)
            return True
        if type(way) is not Shortcut:
            return False
        if type(mail) is not PlainLink or type(mail.way) is not Shortcut:
            return self._hear_before(newest, way, data)
        if not mail.way.hear_with(way, data):
            return False
        self._session.stream.take()
        self._finish_plain(mail)
        if not way.wants_message:
            newest.due_since = self._dialogue.time()
        return True

    def _hear_before(self, mail: PlainLink, way: Shortcut, data: bytes) -> bool:
        # The same where the one before has taken no shortcut: its verdict is heard by the machine.
        parts = way.parted(data)
        if parts is None:
            return False
        verdict, answers = parts
        self._session.stream.take()
        self._connection.receive_data(verdict)
        self._hear_answers()
        if self._links[0] is mail and mail.way is way:
            way.follow(answers)
            if not answers:
                mail.due_since = self._dialogue.time()
            return True
        self._connection.receive_data(answers)
        return False

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

    def _finish_plain(self, mail: PlainLink) -> None:
        # The oldest, which was taken.
        self.has_concluded, self._dialogue.past = True, None
        self._consignment.finish(mail.item, mail.end())
        self._links.popleft()

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
