"""Retrieval: a run over messages, each handed out as it comes.

1. A message is whole when its end was seen. Whatever else ends it, the end of the connection, a stall or words out of
   place, is an error with the octets counted that came; it is never a short message. Where it may have swallowed an
   answer (`overrun`), its end counts when all that is on its way behind it was answered.
2. What the server says of one message, and what becomes of it, is no other's business: the run goes on.
3. The server is held back by who reads: a block is taken when it is asked for, and commands leave as the window allows.
4. Whoever is cancelled in the middle loses nothing: the run stands where it stood, until it is gone on with, or until
   somebody else wants the connection and nobody is left to go on.
5. A server that says it pipelines, and drops the connection when that is done, is asked again, one message at a time on
   a new connection, for what it has not answered. What is asked again is found by its unique id and its size, never by
   its number; behind a commit of the run's own, by its unique id.
6. A message longer than allowed does not end the run: where too much is left of it to be read for nothing, the run goes
   on on another connection, in the same way.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING

from ..errors import (
    AmbiguousMessage,
    BudgetExceeded,
    LocalProtocolError,
    MailwireError,
    ResponseError,
    UnknownMessage,
)
from ..pop3 import Entry
from .asking import Asking
from .holding import Holding
from .overrun import holds_answer
from .pop3_dialogue import Dialogue
from .pop3_transaction import Message, each_message
from .retrieved_item import RetrievedItem
from .run_options import RunOptions

if TYPE_CHECKING:
    from .pop3_sessions import POP3Sessions

__all__ = ["Retrieval"]


class Retrieval(Asking, AsyncIterator[RetrievedItem]):
    """A run over messages: an async iterator of one item for each, in order. Made by `POP3Client.retrieve`.

    commits: what came of each batch that was committed so far.
    awaited: the message whose answer is due, or was when the run was ended; None if that is none's.
    suspected: the one whose answer was due when a connection was lost that there is no other in place of; it may have
        been pipelining that the server does not stand. None if there is none.

    A run that is not gone on with holds the connection until another call of the same task ends it, or of any task once
    its own is done; `aclose` ends it at once. What it has left unanswered is read by the next call, or ends the
    connection (`POP3Settings.drain`).
    """

    def __init__(self, client: "POP3Sessions", messages: Iterable[Message] | Message, options: RunOptions) -> None:
        super().__init__(client, options)
        self._holding = Holding(client, self._break_off)
        self._messages = each_message(messages)
        self._is_used = False  # somebody waits in it
        self._is_open = False  # it holds the connection
        self._is_over = False
        self._failure: MailwireError | None = None  # what ended it

    @property
    def maker(self) -> "asyncio.Task[object] | None":
        """The task that has made this run; None if it is done, or there was none."""
        return self._holding.maker

    @property
    def unmarked(self) -> Sequence[Entry]:
        """What the session that it stands in is still to mark; nothing between two sessions."""
        return () if self._is_between else self._to_delete

    # Going on

    async def __anext__(self) -> RetrievedItem:
        """Return the next item, when what is left of the one before has passed.

        Raises what `POP3Client.retrieve` says.
        """
        if self._is_over and self._failure is None:
            raise StopAsyncIteration
        self._check_unused()
        self._take_hold()
        self._is_used = True
        try:
            if not self._is_open:
                await self._open()
            elif (current := self._current) is not None:
                if not current._has_ended:
                    await self._pass_over(current)
                elif current._held:
                    self._drop(current)
                else:
                    current._is_taken = True
            self._current = await self._next_item()
        except BaseException as error:
            self._react(error)
            raise
        finally:
            self._is_used = False
        if self._current is None:
            self._end()
            raise StopAsyncIteration
        self._count.messages += 1
        return self._current

    async def aclose(self) -> None:
        """End the run. What was asked for and not read is read by the next call, or ends the connection.

        Raises LocalProtocolError where another task is in the middle of it: cancel that one; and where another event
        loop has the connection.
        """
        self._check_unused()
        self._client._refuse_elsewhere()
        self._end()

    # What the items ask for

    async def _next_block(self, item: RetrievedItem) -> bytes | None:
        if item.is_complete:
            return None
        if item._is_too_long:
            raise self._too_long(item, self._options.message_limit)
        if item is not self._current or item._is_passed_over or self._is_over:
            raise self._failure or LocalProtocolError(f"message {item.entry.number} was passed over: it comes once")
        if self._lost is not None:
            raise self._lost
        self._check_unused()
        self._take_hold()
        self._is_used = True
        try:
            block = await self._read_block(item)
            if block is None:
                item.is_complete = True
                return None
            item.octets += len(block)
            self._count.count(item.entry, item.octets, len(block))
        except BaseException as error:
            self._react(error)
            raise
        finally:
            self._is_used = False
        limit = self._options.message_limit
        if limit is not None and item.octets > limit:
            item._is_too_long = True
            raise self._too_long(item, limit)
        return block

    def _poll_whole(self, item: RetrievedItem, limit: int | None) -> bytes | None:
        # The whole message, where nothing of it must be waited for and no limit is in reach; else None: it is read in
        # blocks. This is the path of small messages, many to a block.
        dialogue = item._dialogue
        if item is not self._current or self._is_over or self._options.progress is not None or dialogue is None:
            return None
        if item._is_here:
            message = item._held
            if len(message) > self._room(limit):
                return None
            self._holding.use()
            item._held = b""
        else:
            self._holding.use()
            polled = dialogue.poll_message(self._room(limit))
            if polled is None:
                return None
            message = polled
            item._has_ended = True
            if self._asked and holds_answer(message):
                self._doubtful = item.entry
                item._held = message
                return None
        item.is_complete = True
        item.octets = len(message)
        self._count.octets += len(message)
        return message

    def _room(self, limit: int | None) -> int:
        # How long a message that is about to be read may be.
        options = self._options
        room = sys.maxsize if limit is None else limit
        if options.message_limit is not None:
            room = min(room, options.message_limit)
        return min(room, self._room_for_all)

    def _too_long(self, item: RetrievedItem, limit: int | None) -> BudgetExceeded:
        error = BudgetExceeded(f"message {item.entry.number} is longer than {limit} octets")
        self._client._note(error)
        return error

    def _delete(self, item: RetrievedItem, *, force: bool) -> None:
        entry = item.entry
        client = self._client
        if not (self._is_open and client._has_session and item._dialogue is client._dialogue):
            raise LocalProtocolError(f"the session that {entry} came from is over, or the run: use POP3Client.delete")
        if entry.shares_uid and not force:
            raise AmbiguousMessage(f"several messages have the unique id {entry.uid!r}", uid=entry.uid or "")
        self._to_delete.append(entry)

    # Holding the connection, and letting go of it

    async def _finish(self) -> None:
        """Go on behind the last item, whatever is left of it. Where the session ends by that and there is no other, the
        next call is told so; or this one, where anything was marked."""
        is_anything_marked = bool(self._client._transaction.marks)
        try:
            await anext(self, None)
        except MailwireError as error:
            if is_anything_marked:
                raise
            self._client._untold = error

    async def _open(self) -> None:
        client = self._client
        await client._begin_retrieval(self)
        self._is_open = True
        self._take_hold()
        self._holding.begin()
        self._is_between = True
        found = await client._find(self._messages)
        self._is_between = False
        self._count.expect(found)
        self._rest = iter(found)
        self._expect(1)

    def _make_item(
        self, entry: Entry, dialogue: Dialogue | None, error: ResponseError | UnknownMessage | None = None
    ) -> RetrievedItem:
        return RetrievedItem(self, entry, dialogue, error)

    def _check_unused(self) -> None:
        # Two that wait for the same connection would take each other's answers.
        if self._is_used:
            raise LocalProtocolError("another task is in the middle of this retrieval: one goes on with it at a time")

    def _take_hold(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._is_open:
            self._holding.use()

    def _break_off(self) -> None:
        self._failure = LocalProtocolError("another call of the client has ended this retrieval: finish it first")
        self._end()

    def _react(self, error: BaseException) -> None:
        # What of an error ends the run, and what only an item.
        if not self._is_open:
            return
        if not self._is_between:
            if isinstance(error, asyncio.CancelledError) or error is self._lost:
                return
            if self._current is not None and error is self._current.error:
                return
        if isinstance(error, MailwireError):
            self._failure = error
        elif isinstance(error, asyncio.CancelledError):
            # Who goes on must not take it for the end of the messages.
            self._failure = LocalProtocolError("this retrieval was ended by a cancellation: begin another for the rest")
        # Words of ours leave the connection as it is: what is unanswered can still be read.
        is_ours = isinstance(error, BudgetExceeded | LocalProtocolError) or not isinstance(error, MailwireError)
        self._end(error, cut=not is_ours)

    def _end(self, error: BaseException | None = None, *, cut: bool = False) -> None:
        self._is_over = True
        for item in self._asked:
            item._held = b""  # nobody gets it any more
        if self._is_open:
            self._is_open = False
            self._holding.end()
            self._client._end_retrieval(error, cut=cut, leaves=not self._is_between)
