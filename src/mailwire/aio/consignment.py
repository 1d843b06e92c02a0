"""Consignment: the mails of one run, taken from whoever gives them and handed back as results.

1. No more messages are taken than may be without a result (`look_ahead`): whoever gives them is held back.
2. Each message that was taken has one result, whatever became of it; in the order of the messages, if that is wanted.
3. What the iterable itself raises ends the run, behind the results of all that it had given before. A CancelledError
   that it raises by itself, because somebody has cancelled what it waited for, does so as a SourceFailed: nobody has
   cancelled the run.
4. A message is sent as it was when it was given: whoever gives it may change it then, and give it again.
5. An iterator that was begun is closed with the run, if it is a generator or has an `aclose`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Mapping
from copy import copy
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, Protocol

from ..errors import MailwireError, SourceFailed
from ..message import MessagePolicy, MessageSource
from ..message.copies import kept
from ..message.envelope import names_many
from ..message.policy import DEFAULT_POLICY
from ..smtp import Delivery, Receipt
from .mailing import Mailing, are_many, read_recipients
from .sending import Sending

__all__ = ["Consignment", "Item", "Messages", "Order", "SendResult", "Supply"]

Order = Literal["completion", "input"]
"""Results as they come, or in the order of the messages."""

Messages = Iterable[MessageSource | Mailing] | AsyncIterable[MessageSource | Mailing]
"""What a run sends: messages, or mails that say all by themselves."""

# A mail that has twice been the one on which its connection broke is not tried again: it may be the reason.
_TRIES: Final = 2


@dataclass(frozen=True, slots=True)
class SendResult:
    """What became of one message of many.

    index: which one it is, counted from 0 in the order in which they were taken.
    message: the message as it was given.
    receipt: what is known about the mail; None where there was no envelope to send it with.
    error: what `SMTPClient.send` would have raised; None if the server took the mail for anyone.
    """

    index: int
    message: MessageSource | Mailing
    receipt: Receipt | None
    error: MailwireError | None = None

    @property
    def delivery(self) -> Delivery:
        """What became of the mail as a whole."""
        return Delivery.NOT_SENT if self.receipt is None else self.receipt.delivery

    def raise_error(self) -> Receipt:
        """Return the receipt, or raise the error, as `SMTPClient.send` does."""
        if self.error is not None:
            raise self.error
        if self.receipt is None:
            raise AssertionError("without an error there is a receipt")
        return self.receipt


class Item:
    """One message on its way through a run.

    given: the message, as whoever gave it has it.
    message: the same, as it was then.
    sending: what was made of it; None before.
    """

    __slots__ = ("given", "index", "message", "sending", "tries")

    def __init__(self, index: int, given: MessageSource | Mailing, message: MessageSource | Mailing) -> None:
        self.index: int = index
        self.given: MessageSource | Mailing = given
        self.message: MessageSource | Mailing = message
        self.sending: Sending | None = None
        self.tries: int = 0  # that ended with the connection, while this mail was the one to be answered

    @property
    def may_be_tried_again(self) -> bool:
        """Whether another attempt may do better."""
        return self.tries < _TRIES

    @property
    def parts(self) -> int:
        """How many transactions were begun for it."""
        return 0 if self.sending is None else self.sending.parts

    def receipt(self) -> Receipt | None:
        """Return what is known of the mail."""
        return None if self.sending is None else self.sending.receipt()


class Supply(Protocol):
    """What mails are taken from, to be sent over one connection, and handed back to; see Consignment.

    has_result: there is one that somebody waits for until a mail goes on.
    """

    @property
    def has_result(self) -> bool: ...
    def example(self) -> Mailing: ...
    def take(self) -> Item | None: ...
    def put_back(self, item: Item) -> None: ...
    def is_laborious(self, item: Item) -> bool: ...
    async def read(self, item: Item) -> None: ...
    def make_sending(self, item: Item) -> Sending: ...
    def finish(self, item: Item, receipt: Receipt | None, error: MailwireError | None = None) -> None: ...
    def fail(self, item: Item, error: MailwireError) -> None: ...
    def tell(self, who: object, wake: Callable[[], object] | None) -> None: ...


class Consignment:
    """The mails of a run over `messages`, each of which is made into a Mailing with `settings`, if it is none.

    look_ahead: at most so many messages are taken that have no result which was handed out.
    """

    def __init__(self, messages: Messages, settings: Mapping[str, Any], *, order: Order, look_ahead: int) -> None:
        self.failure: Exception | None = None  # what the iterable has raised
        self.has_result: bool = False  # that can be handed out
        recipients = settings.get("recipients")
        if isinstance(recipients, Iterable) and not isinstance(recipients, (str, bytes)):
            settings = {**settings, "recipients": tuple(recipients)}  # they are for every message
        self._settings = settings
        self._policy: MessagePolicy = settings.get("policy", DEFAULT_POLICY)
        self._has_envelope = settings.get("sender") is not None and recipients is not None
        self._example: Mailing | None = None  # with these settings
        self._look_ahead = look_ahead
        self._in_order = order == "input"
        self._messages = messages
        self._iterator = None if isinstance(messages, AsyncIterable) else iter(messages)
        self._feeder: asyncio.Task[None] | None = None
        # Taken from an asynchronous iterable, in advance: what was given, and the same as it was then.
        self._fed: deque[tuple[MessageSource | Mailing, MessageSource | Mailing]] = deque()
        self._room: asyncio.Future[None] | None = None  # the feeder waits for it
        self._waiting: asyncio.Future[None] | None = None  # somebody waits for the feeder
        self._wakes: dict[object, Callable[[], object]] = {}
        self._ends = False  # the iterable has nothing more
        self._taken = self._handed_out = 0
        self._returned: deque[Item] = deque()  # to be taken again, before all others
        self._results: dict[int, SendResult] = {}  # by their index, in the order in which they came

    async def begin(self) -> None:
        """Make ready what all mails have in common, before the first is taken: very many recipients are read in several
        turns of the event loop."""
        recipients = self._settings.get("recipients")
        if are_many(recipients, None):
            read = await read_recipients(recipients, None, None, self._policy)
            self._settings = {**self._settings, "recipients": read}

    # Taking mails

    def take(self) -> Item | None:
        """Return the next mail; None if there is none at the moment, or no result was handed out for too many."""
        if self._returned:
            return self._returned.popleft()
        if self._ends and not self._fed:
            return None
        if self._taken - self._handed_out >= self._look_ahead:
            return None
        if self._iterator is None:
            if self._feeder is None:
                self._feeder = asyncio.create_task(self._feed())
                self._feeder.add_done_callback(self._end_feed)
            if not self._fed:
                return None
            given, message = self._fed.popleft()
        else:
            try:
                given = next(self._iterator)
            except StopIteration:
                self._ends = True
                return None
            except asyncio.CancelledError as error:
                self.failure, self._ends = _cancelled(error), True
                return None
            except Exception as error:
                self.failure, self._ends = error, True
                return None
            message = given if type(given) is bytes else kept(given)
        item = Item(self._taken, given, message)
        self._taken += 1
        return item

    def put_back(self, item: Item) -> None:
        """Let `item` be taken again, before all others."""
        self._returned.appendleft(item)

    def is_laborious(self, item: Item) -> bool:
        """Whether the header of its message names so many recipients that it is to be `read` first."""
        return item.sending is None and self._settings.get("recipients") is None and names_many(item.message)

    async def read(self, item: Item) -> None:
        """Make the sending of `item`, of which the recipients are read in a thread. Raises InvalidMessage, and
        SourceFailed where there is none."""
        message, settings = item.message, self._settings
        read = await read_recipients(None, message, settings.get("sender"), self._policy)
        item.sending = Sending(Mailing.of(message, **{**settings, "recipients": read}))

    def example(self) -> Mailing:
        """Return a mailing with these settings, which those of octets are like but for the message. Raises
        InvalidMessage where the settings alone make no envelope."""
        if self._example is None:
            self._example = Mailing(b"", **self._settings)
        return self._example

    def make_sending(self, item: Item) -> Sending:
        """Return the sending of `item`, made if there is none. Raises InvalidMessage."""
        if item.sending is None:
            message = item.message
            item.sending = Sending(message if isinstance(message, Mailing) else self._mailing(message))
        return item.sending

    @property
    def is_exhausted(self) -> bool:
        """Whether there is nothing to be taken, and never will be."""
        return self._ends and not self._fed and not self._returned

    async def wait(self) -> None:
        """Wait until something may be taken that could not before, or nothing more will come."""
        if not self._fed and not self._ends and self._feeder is not None:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None

    def tell(self, who: object, wake: Callable[[], object] | None) -> None:
        """Call `wake` for `who` whenever an asynchronous iterable has given something, from now on; None: no more."""
        if wake is not None:
            self._wakes[who] = wake
        else:
            self._wakes.pop(who, None)

    # Handing back results

    def finish(self, item: Item, receipt: Receipt | None, error: MailwireError | None = None) -> None:
        """Take the result for `item`: it has come to its end."""
        if error is not None:
            error.receipt = receipt
            error.delivery = Delivery.NOT_SENT if receipt is None else receipt.delivery
        self._results[item.index] = _result_of(item, receipt, error)
        self.has_result = not self._in_order or self._handed_out in self._results

    def fail(self, item: Item, error: MailwireError) -> None:
        """Take the result for `item`, which shares its `error` with others, and gets a copy of its own; or, where no
        mail can be made of it, what is wrong with it."""
        try:
            sending = self.make_sending(item)
        except MailwireError as own:
            self.finish(item, None, own)
        else:
            self.finish(item, sending.receipt(), copy(error))

    def next_result(self) -> SendResult:
        """Hand out the next result. Where there is none, there will be none: raises what the iterable has raised, once,
        and StopAsyncIteration."""
        if not self.has_result:
            if self.failure is None:
                raise StopAsyncIteration
            failure, self.failure = self.failure, None
            raise failure
        results = self._results
        result = results.pop(self._handed_out if self._in_order else next(iter(results)))
        self._handed_out += 1
        self.has_result = self._handed_out in results if self._in_order else bool(results)
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        return result

    def is_fed_by(self, task: "asyncio.Task[object]") -> bool:
        """Whether `task` is the one in which an asynchronous iterable is asked for messages."""
        return self._feeder is task

    # Ending

    def close(self) -> None:
        """Take nothing more, and let the iterable be closed."""
        has_ended, self._ends = self._ends, True
        if self._feeder is not None and not has_ended:
            self._feeder.cancel()
        if isinstance(self._iterator, Generator):
            try:
                self._iterator.close()
            except Exception as error:
                _complain(error)

    async def closed(self) -> None:
        """Wait until nothing is done with the iterable any more."""
        if self._feeder is not None:
            await asyncio.wait([self._feeder])

    def remaining(self) -> tuple[SendResult, ...]:
        """Return what is known of every message that was taken and has no result which was handed out, in their order.

        None of them is on its way any more.
        """
        results = dict(self._results)
        for item in self._returned:
            results[item.index] = SendResult(item.index, item.given, item.receipt())
        for index, (given, _) in enumerate(self._fed, self._taken):
            results[index] = SendResult(index, given, None)
        return tuple(results[index] for index in sorted(results))

    # Private

    def _mailing(self, message: MessageSource) -> Mailing:
        # Where it is the settings that name sender and recipients, all that is wished is found out for the first mail.
        if type(message) is bytes or self._has_envelope:
            return self.example()._with_message(message)
        return Mailing(message, **self._settings)

    async def _feed(self) -> None:
        iterator: AsyncIterator[MessageSource | Mailing] | None = None
        loop = asyncio.get_running_loop()
        try:
            if not isinstance(self._messages, AsyncIterable):
                raise AssertionError("only what is asynchronous must be waited for")
            iterator = aiter(self._messages)
            while True:
                while self._taken + len(self._fed) - self._handed_out >= self._look_ahead:
                    self._room = loop.create_future()
                    await self._room
                given = await anext(iterator)
                self._fed.append((given, kept(given)))
                self._tell()
        except StopAsyncIteration:
            pass
        except asyncio.CancelledError as error:
            if not self._ends:
                self.failure = _cancelled(error)
        except Exception as error:
            self.failure = error
        finally:
            is_left, self._ends = self._ends, True
            self._tell()
            if (close := getattr(iterator, "aclose", None)) is not None:
                try:
                    await close()
                except Exception as error:
                    if is_left:
                        _complain(error)
                    else:
                        self.failure = self.failure or error

    def _end_feed(self, feeder: "asyncio.Task[None]") -> None:
        # One that was cancelled before it began has told nobody.
        if feeder.cancelled():
            if not self._ends:
                self.failure, self._ends = _cancelled(asyncio.CancelledError()), True
            self._tell()

    def _tell(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
        for wake in tuple(self._wakes.values()):
            wake()


# A result is frozen. Its fields are set by these in half the time that its `__init__` takes.
_new: Final = object.__new__
_set_index, _set_message, _set_receipt, _set_error = (vars(SendResult)[it.name].__set__ for it in fields(SendResult))


def _result_of(item: Item, receipt: Receipt | None, error: MailwireError | None) -> SendResult:
    result = _new(SendResult)
    _set_index(result, item.index)
    _set_message(result, item.given)
    _set_receipt(result, receipt)
    _set_error(result, error)
    return result


def _cancelled(error: asyncio.CancelledError) -> SourceFailed:
    failure = SourceFailed("the iterable of messages has not come to its end: what it waited for was cancelled")
    failure.__cause__ = error
    return failure


def _complain(error: Exception) -> None:
    # Of an iterable that is closed because nobody wants more of it: the run has its own end, and that must not be lost.
    context = {"message": "an iterable of messages has raised when it was closed", "exception": error}
    asyncio.get_running_loop().call_exception_handler(context)
