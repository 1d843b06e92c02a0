"""Asking: which messages of a run are asked for, when, and in which session; and what becomes of answers that nobody
reads.

A `Retrieval` has all of this; it is no class by itself. The laws are its.
"""

import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from ..errors import (
    ConnectionFailed,
    ConnectionLost,
    DeadlineExceeded,
    Desynchronised,
    ResponseError,
    UnknownMessage,
)
from ..pop3 import Dele, Entry, RefusalCause, ResponseReceived, Retr, Top
from .batch import BatchCount
from .deletion import CommitReport
from .overrun import OverrunWatch, holds_answer
from .pop3_dialogue import Dialogue
from .retrieval_progress import ProgressCount
from .retrieved_item import RetrievedItem
from .run_options import RunOptions

if TYPE_CHECKING:
    from .pop3_sessions import POP3Sessions

__all__ = ["Asking"]


class Asking(ABC):
    """The part of a retrieval that asks for messages, and for some of them again."""

    def __init__(self, client: "POP3Sessions", options: RunOptions) -> None:
        self.commits: list[CommitReport] = []
        """What came of each batch that was committed so far."""
        self._client = client
        self._options = options
        self._pending: deque[Entry | RetrievedItem] = deque()  # not asked for yet, or never to be: the next ones
        self._rest: Iterator[Entry | str] = iter(())  # behind these; where there is any, these are not empty
        self._asked: deque[RetrievedItem] = deque()  # asked for, and not handed out yet
        self._few = client.settings.window.commands // 2  # where no more are asked for, there is room for others
        self._current: RetrievedItem | None = None
        self._to_delete: list[Entry] = []
        self._batch = BatchCount(options.batch)
        self._count = ProgressCount(options.total_limit, options.progress)
        self._is_between = False  # two sessions, or in a listing: whatever ends this ends the connection
        self._lost: ConnectionLost | None = None  # the connection, and the run can go on with another
        self._cut: ConnectionLost | None = None  # the same, by ourselves
        self._due: Entry | None = None  # the message whose answer was due then
        self._ends = OverrunWatch()
        self._doubtful: Entry | None = None  # may have swallowed the answer behind it
        self._is_one_by_one = False  # lest there be such a doubt again
        self._taken: RetrievedItem | None = None  # of these the one that is being read for nothing
        self._again: list[Entry | RetrievedItem] = []  # to be asked for again, before all that is asked for
        self._octets_again = 0  # that have come of these

    @abstractmethod
    def _make_item(
        self, entry: Entry, dialogue: Dialogue | None, error: ResponseError | UnknownMessage | None = None
    ) -> RetrievedItem:
        """Make the item of a message of this run."""

    @property
    def awaited(self) -> Entry | None:
        """The message whose answer is due, or was when the run was ended; None where the one before is not at its end,
        and where none is due."""
        before = self._current
        if not (before is None or before.error is not None or before._has_ended):
            return None
        head = next((item for item in self._asked if not item._is_here), None)
        return head.entry if head is not None and head.was_asked else None

    @property
    def suspected(self) -> Entry | None:
        """The message whose answer was due when the connection was lost, as long as there is no other in its place: the
        loss may be that message's doing, or that of pipelining. None if there is none."""
        return self._due

    # Asking and being answered

    def _expected(self, found: Entry | str) -> Entry | RetrievedItem:
        if isinstance(found, Entry):
            return found
        error = UnknownMessage(f"no message has the unique id {found!r}, or none of its size", uid=found)
        return self._make_item(Entry(0, found, 0), None, error)

    def _expect(self, most: int | None) -> None:
        # Hold no more of a million messages than are asked for before long; all of them where `most` is None.
        self._pending.extend(map(self._expected, islice(self._rest, most)))

    async def _next_item(self) -> RetrievedItem | None:
        while True:
            if self._lost is not None:
                await self._replay(self._lost)
            if self._doubtful is not None:
                try:
                    await self._take_back(self._doubtful)
                except ConnectionLost as lost:
                    self._lose(lost)
                continue
            asked = self._asked
            if asked and asked[0]._is_here:
                return asked.popleft()  # before anything is asked: that meets what has ended the session since it came
            self._ends.begin()
            is_full = self._options.batch is not None and self._batch.is_full
            if is_full and not asked:
                await self._end_batch()
                continue
            if self._to_delete:
                self._ask_to_delete()
            # Several commands go in one packet. Where one at a time is said, one that is unanswered is enough.
            if self._pending and len(asked) <= self._few:
                self._ask(is_full=is_full)
            dialogue = self._client._dialogue
            if asked and (not asked[0].was_asked or self._take_messages(dialogue)):
                return asked.popleft()
            if not asked and not dialogue.owes_answer:
                return None
            try:
                received = dialogue.poll_response() or await dialogue.next_response()
            except ConnectionLost as lost:
                self._lose(lost)
                continue
            command, response, _ = received
            if not isinstance(command, Dele):
                item = asked.popleft()
                if not response.ok:
                    self._take_refusal(item, received)
                return item

    def _take_messages(self, dialogue: Dialogue) -> bool:
        # Small messages, many to a block, that have come whole. The first of them is that of the item that is next, and
        # was asked for. None may have swallowed an answer, or is longer than allowed. Returns whether there are any.
        messages = dialogue.poll_messages(self._room_for_all, self._is_as_most)
        items = (item for item in self._asked if item.was_asked)
        for message, item in zip(messages, items, strict=False):
            item._held, item._is_here, item._has_ended = message, True, True
        return bool(messages)

    def _is_as_most(self, message: bytes) -> bool:
        limit = self._options.message_limit
        return not ((limit is not None and len(message) > limit) or holds_answer(message))

    @property
    def _room_for_all(self) -> int:
        # How many octets may come yet.
        limit = self._options.total_limit
        return sys.maxsize if limit is None else limit - self._count.octets

    def _ask(self, *, is_full: bool) -> None:
        client, dialogue = self._client, self._client._dialogue
        limit = 1 if self._is_one_by_one or not dialogue.pipelines else client.settings.window.commands
        pending, command, is_in_batches = self._pending, self._options.command, self._options.batch is not None
        items, commands = list[RetrievedItem](), list[Retr | Top]()
        room = limit - len(self._asked)
        while pending and len(items) < room:
            head = pending[0]
            if isinstance(head, Entry):
                if is_full:
                    break
                commands.append(command(head))
                head = self._make_item(head, dialogue)
                if is_in_batches:
                    self._batch.count()
                    is_full = self._batch.is_full
            pending.popleft()
            items.append(head)
            if not pending:
                self._expect(limit)
        if commands:
            dialogue.send_each(commands)
        self._asked.extend(items)

    def _ask_to_delete(self) -> None:
        client = self._client
        for entry in self._to_delete:
            client._transaction.mark(entry)
        self._to_delete.clear()

    def _take_refusal(self, item: RetrievedItem, received: ResponseReceived) -> None:
        command, response = str(received.command), received.response
        text = f"{command} was refused: {response}"
        item.error = ResponseError(text, command=command, response=response)
        self._client._note(item.error)
        if response.cause is RefusalCause.QUOTA:
            # To ask for more would do no good, and may do harm.
            error = ResponseError(f"not asked for, since {text}", command=command, response=response)
            self._client._note(error)
            self._expect(None)
            self._pending = deque(
                self._make_item(entry, None, error) if isinstance(entry, Entry) else entry for entry in self._pending
            )

    async def _read_block(self, item: RetrievedItem) -> bytes | None:
        # The end of a message that may have swallowed an answer is none before all that is on its way was answered.
        while True:
            if item._is_asked_again:
                await self._take_answer(item)
            if item._held:
                held, item._held = item._held, b""
                return held
            try:
                if not item._has_ended:
                    block = await self._client._dialogue.next_block(item.entry.number)
                    self._look_at(item, block)
                    if block is not None:
                        return block
                    item._has_ended = True
                if self._doubtful is not None:
                    await self._take_back(self._doubtful)
                return None
            except ConnectionLost as lost:
                item._has_ended = False
                self._lose(lost)
                if item._is_handed_out:
                    raise
                await self._replay(lost, item)

    async def _pass_over(self, item: RetrievedItem) -> None:
        item._is_taken = item._is_passed_over = True
        if item.error is not None or self._lost is not None:
            return
        try:
            if item._is_asked_again:
                await self._take_answer(item)
            await self._skip(item)
        except ResponseError:
            return
        except ConnectionLost as lost:
            self._lose(lost)

    def _drop(self, item: RetrievedItem) -> None:
        # As `_pass_over`, where it has come and is held.
        item._is_taken = item._is_passed_over = True
        held, item._held = item._held, b""
        self._count_unread(item, len(held))

    async def _skip(self, item: RetrievedItem) -> None:
        # Raises ConnectionLost, also where there is too much of it. Where no limit was set, what was announced is one.
        if self._options.is_preview:
            await self._skip_rest(item)
            return
        limit, budget = self._options.message_limit, self._client.settings.drain.octets
        if limit is None and self._options.total_limit is None:
            limit = max(item.entry.size, item.octets)
        while not item._has_ended:
            block = await self._client._dialogue.next_block(item.entry.number)
            self._look_at(item, block)
            item._has_ended = block is None
            self._count_unread(item, len(block or b""))
            if limit is not None and item.octets > limit + budget:
                item._has_ended = True
                self._cut = ConnectionLost(
                    f"message {item.entry.number} is longer than allowed, by more than {budget} octets: "
                    "the connection was cut"
                )
                raise self._cut

    async def _skip_rest(self, item: RetrievedItem) -> None:
        # Of a message of which the beginning was all that was wanted.
        try:
            await self._client._dialogue.drain()
        except ConnectionLost as lost:
            self._cut = lost
            item._has_ended = True
            raise
        item._has_ended = True

    def _count_unread(self, item: RetrievedItem, octets: int) -> None:
        # What nobody reads counts as what is read; but for what will come a second time.
        item.octets += octets
        if item._is_taken_back:
            self._octets_again += octets
        self._count.pass_over(octets)

    def _look_at(self, item: RetrievedItem, block: bytes | None) -> None:
        if block is not None and self._ends.sees_answer(block) and self._asked:
            self._doubtful = self._doubtful or item.entry

    async def _take_back(self, doubtful: Entry) -> None:
        # What is asked for is read and not handed out, and asked for again: if all of it was answered, it was in step.
        # Otherwise an answer is owed that never comes, and that ends the run before a message is taken for another.
        # Whoever is cancelled meanwhile goes on where he was.
        try:
            while self._taken is not None or self._asked:
                if self._taken is None:
                    await self._take_next()
                else:
                    await self._skip(self._taken)
                    self._taken = None
        except DeadlineExceeded as late:
            command = str(self._options.command(doubtful))
            text = f"an answer is missing, that to {command} may have swallowed it: {late}"
            raise Desynchronised(text, suspect=command) from late
        self._ask_again()
        self._doubtful, self._is_one_by_one = None, True

    async def _take_next(self) -> None:
        item = self._asked[0]
        if item.was_asked:
            received = await self._client._dialogue.next_response()
            if isinstance(received.command, Dele):
                return
            item._has_ended = not received.response.ok
            item._is_taken_back = True
            self._ends.begin()
            self._taken = item
        self._asked.popleft()
        self._again.append(item.entry if item.was_asked else item)

    def _ask_again(self) -> None:
        self._pending.extendleft(reversed(self._again))
        self._again.clear()
        self._count.octets -= self._octets_again
        self._octets_again = 0

    # Going on in another session

    async def _end_batch(self) -> None:
        client = self._client
        self._ask_to_delete()
        while client._dialogue.owes_answer:
            await client._dialogue.next_response()
        self._batch.begin()
        if client._transaction.marks and self._pending and client._may_reopen:
            self._is_between = True
            await client._commit_marks()
            try:
                # Some servers write into messages at the end of a session, which have another size in the next.
                await self._go_on(sized=False)
            finally:
                self.commits.append(client.last_commit or CommitReport())

    def _lose(self, lost: ConnectionLost) -> None:
        # Take note that the connection was lost, and raise what it was lost by if that is the end of the run. It is not
        # where it may be pipelining that the server does not stand.
        is_ours = lost is self._cut
        if not ((is_ours or self._client._is_pipelining_to_blame(lost)) and self._can_go_on_elsewhere):
            raise lost
        if not is_ours:
            self._client._stop_pipelining()
            self._due = self.awaited
        self._lost = lost

    @property
    def can_spare_connection(self) -> bool:
        """Whether another connection would do as well for what this run has left to do, and can be had before long."""
        return self._client._may_reopen and self._can_go_on_elsewhere

    @property
    def _can_go_on_elsewhere(self) -> bool:
        # Whether all that is left to do can be found by unique ids.
        self._expect(None)
        left = [
            each if isinstance(each, Entry) else each.entry for each in (*self._again, *self._asked, *self._pending)
        ]
        if self._current is not None and not self._current._has_ended:
            left.append(self._current.entry)
        left += (*self._client._transaction.marks.undecided, *self._to_delete)
        return all(entry.uid is not None and not entry.shares_uid for entry in left)

    async def _replay(self, lost: ConnectionLost, item: RetrievedItem | None = None) -> None:
        # Ask again for what is unanswered; for `item` first, of which nothing was handed out.
        self._lost = None
        self._pending.extendleft(each.entry if each.was_asked else each for each in reversed(self._asked))
        self._asked.clear()
        self._ask_again()
        self._taken = self._doubtful = None
        if item is not None:
            self._pending.appendleft(item.entry)
        # By the end of its session nothing is marked any more.
        self._to_delete[:0] = self._client._transaction.marks.undecided
        self._is_between = True
        try:
            await self._go_on(sized=True)
        except ConnectionFailed:
            raise lost from None
        if item is not None:
            self._begin_again(item, self._pending.popleft())

    async def _go_on(self, *, sized: bool) -> None:
        # What was meant by numbers of the last session is found by unique ids in the next, and sizes, if it is `sized`.
        client = self._client
        self._expect(None)
        await client._reopen()
        entries = [each for each in self._pending if isinstance(each, Entry)]
        found = iter(await client._find([*entries, *self._to_delete], sized=sized))
        self._pending = deque(
            self._expected(next(found)) if isinstance(each, Entry) else each for each in self._pending
        )
        self._to_delete = [entry for entry in found if isinstance(entry, Entry)]
        self._is_between, self._due = False, None

    def _begin_again(self, item: RetrievedItem, expected: Entry | RetrievedItem) -> None:
        self._count.octets -= item.octets
        item.octets = 0
        self._ends.begin()
        item._is_begun_again = True
        if isinstance(expected, RetrievedItem):
            item.error = expected.error
            raise item.error or AssertionError("what is not found has its error")
        item.entry, item._dialogue = expected, self._client._dialogue
        self._client._dialogue.send(self._options.command(expected))
        item._is_asked_again = True

    async def _take_answer(self, item: RetrievedItem) -> None:
        # Whoever is cancelled meanwhile finds the answer due when he goes on.
        received = await self._client._dialogue.next_response()
        item._is_asked_again = False
        if not received.response.ok:
            self._take_refusal(item, received)
        if item.error is not None:
            raise item.error
