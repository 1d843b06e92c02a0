"""The mails of a run, taken from whoever gives them and handed back as results."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from mailwire import ConnectionLost, Delivery, InvalidMessage, SourceFailed, compose
from mailwire.aio.consignment import Consignment, Item, Order
from mailwire.testing.turns import drain_events
from tests.aio.pools import ENVELOPE, numbered


def consignment_of(messages: Any, *, order: Order = "completion", look_ahead: int = 64, **settings: Any) -> Consignment:
    return Consignment(messages, {**ENVELOPE, **settings}, order=order, look_ahead=look_ahead)


def taken(consignment: Consignment) -> Item:
    item = consignment.take()
    assert item is not None
    return item


# Taking mails


@pytest.mark.parametrize(
    ("message", "sender"),
    [(bytearray(numbered(0)), "a@example.org"), (compose(sender="a@example.org", to="c@example.org"), None)],
)
def test_recipients_that_can_be_read_but_once_are_for_every_message(message: Any, sender: str | None) -> None:
    consignment = consignment_of([message, message], sender=sender, recipients=iter(["b@example.org"]))
    for _ in range(2):
        sending = consignment.make_sending(taken(consignment))
        assert list(map(str, sending.mailing.envelope.recipients)) == ["b@example.org"]


def test_a_sending_is_made_once() -> None:
    consignment = consignment_of([numbered(0)])
    item = taken(consignment)
    assert item.receipt() is None
    assert item.parts == 0
    sending = consignment.make_sending(item)
    assert consignment.make_sending(item) is sending
    assert item.receipt() == sending.receipt()


def test_a_message_that_says_by_itself_where_it_goes_is_asked() -> None:
    consignment = Consignment([compose(sender="a@example.org", to="b@example.org")], {}, order="input", look_ahead=1)
    assert len(consignment.make_sending(taken(consignment)).mailing.envelope.recipients) == 1


def test_what_was_put_back_is_taken_before_all_others_and_whatever_may_be_taken() -> None:
    consignment = consignment_of(map(numbered, range(3)), look_ahead=2)
    first, second = taken(consignment), taken(consignment)
    assert consignment.take() is None
    consignment.put_back(second)
    consignment.put_back(first)
    assert [taken(consignment), taken(consignment)] == [first, second]
    assert consignment.take() is None
    consignment.finish(second, None)
    assert consignment.take() is None
    consignment.next_result()
    assert taken(consignment).index == 2
    assert not consignment.is_exhausted
    consignment.finish(first, None)
    consignment.next_result()
    assert consignment.take() is None
    assert consignment.is_exhausted


class Failing:
    """An iterator that fails whenever it is asked."""

    def __init__(self, error: type[BaseException]) -> None:
        self.asked = 0
        self._error = error

    def __iter__(self) -> "Failing":
        return self

    def __next__(self) -> bytes:
        self.asked += 1
        raise self._error("no")


@pytest.mark.parametrize("error", [KeyError, asyncio.CancelledError])
def test_an_iterable_that_has_failed_is_not_asked_again(error: type[BaseException]) -> None:
    messages = Failing(error)
    consignment = consignment_of(messages)
    assert [consignment.take(), consignment.take()] == [None, None]
    assert messages.asked == 1
    assert consignment.is_exhausted
    assert isinstance(consignment.failure, KeyError if error is KeyError else SourceFailed)


def test_an_iterable_that_has_ended_is_not_asked_again() -> None:
    asked = 0

    class Ended:
        def __iter__(self) -> "Ended":
            return self

        def __next__(self) -> bytes:
            nonlocal asked
            asked += 1
            raise StopIteration

    consignment = consignment_of(Ended())
    assert [consignment.take(), consignment.take()] == [None, None]
    assert asked == 1
    assert consignment.failure is None


# Results


def test_in_the_order_of_the_messages_a_result_waits_for_those_before_it() -> None:
    consignment = consignment_of(map(numbered, range(3)), order="input")
    first, second, third = (taken(consignment) for _ in range(3))
    assert not consignment.has_result
    consignment.finish(third, None)
    assert not consignment.has_result
    consignment.finish(first, None)
    consignment.finish(second, None)
    assert consignment.has_result
    assert [consignment.next_result().index for _ in range(3)] == [0, 1, 2]
    assert not consignment.has_result


def test_a_result_that_is_handed_out_may_be_the_last_before_a_gap() -> None:
    consignment = consignment_of(map(numbered, range(3)), order="input")
    first, _, third = (taken(consignment) for _ in range(3))
    consignment.finish(first, None)
    consignment.finish(third, None)
    assert consignment.next_result().index == 0
    assert not consignment.has_result


def test_by_completion_a_result_waits_for_nothing() -> None:
    consignment = consignment_of(map(numbered, range(3)))
    first, second, third = (taken(consignment) for _ in range(3))
    consignment.finish(third, None)
    assert consignment.has_result
    consignment.finish(first, None)
    assert consignment.next_result().index == 2
    assert consignment.has_result
    assert consignment.next_result().index == 0
    assert not consignment.has_result
    consignment.finish(second, None)
    assert consignment.next_result().message == numbered(1)


def test_an_error_says_what_has_become_of_the_mail() -> None:
    consignment = consignment_of(map(numbered, range(2)))
    one, other = taken(consignment), taken(consignment)
    consignment.finish(one, None, InvalidMessage("no"))
    result = consignment.next_result()
    assert result.error is not None
    assert (result.error.receipt, result.error.delivery) == (None, Delivery.NOT_SENT)
    receipt = replace(consignment.make_sending(other).receipt(), delivery=Delivery.UNKNOWN)
    consignment.finish(other, receipt, InvalidMessage("no"))
    result = consignment.next_result()
    assert result.error is not None
    assert result.error.receipt is receipt is result.receipt
    assert result.error.delivery is Delivery.UNKNOWN


def test_an_error_that_is_shared_is_copied_with_its_cause() -> None:
    consignment = consignment_of(map(numbered, range(2)))
    error = ConnectionLost("gone")
    error.__cause__ = OSError("reset")
    items = [taken(consignment), taken(consignment)]
    consignment.make_sending(items[0])
    for item in items:
        consignment.fail(item, error)
    results = [consignment.next_result(), consignment.next_result()]
    for result, item in zip(results, items, strict=True):
        assert str(result.error) == "gone"
        assert result.error is not None
        assert result.error is not error
        assert result.error.__cause__ is error.__cause__
        assert (result.receipt is None) is (item.sending is None)
    assert results[0].error is not results[1].error
    assert error.receipt is None


def test_what_remains_is_told_of_in_the_order_of_the_messages() -> None:
    consignment = consignment_of(map(numbered, range(3)))
    first, second, third = (taken(consignment) for _ in range(3))
    consignment.finish(third, None)
    consignment.make_sending(second)
    consignment.put_back(second)
    consignment.put_back(first)
    remaining = consignment.remaining()
    assert [(result.index, result.message) for result in remaining] == [(n, numbered(n)) for n in range(3)]
    assert [result.receipt is None for result in remaining] == [True, False, True]
    assert consignment.has_result  # nothing is handed out by that


# An asynchronous iterable


class Feed:
    """An asynchronous iterator that gives what `give` was told, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_closed = False
        self._given: asyncio.Queue[bytes | None] = asyncio.Queue()

    def give(self, message: bytes | None) -> None:
        self._given.put_nowait(message)

    def __aiter__(self) -> "Feed":
        return self

    async def __anext__(self) -> bytes:
        self.asked += 1
        message = await self._given.get()
        if message is None:
            raise StopAsyncIteration
        return message

    async def aclose(self) -> None:
        self.is_closed = True


async def test_waiting_ends_when_something_may_be_taken_or_nothing_more_will_come() -> None:
    feed = Feed()
    consignment = consignment_of(feed)
    await consignment.wait()  # nobody has asked for anything
    assert consignment.take() is None
    for given in (numbered(0), numbered(1), None):
        waiting = asyncio.ensure_future(consignment.wait())
        await drain_events()
        assert not waiting.done()
        feed.give(given)
        await waiting
        await consignment.wait()  # it is there, or there will be none
        assert (consignment.take() is None) is (given is None)
    assert consignment.is_exhausted
    await consignment.closed()
    assert feed.is_closed


async def test_who_is_told_is_woken_as_often_as_something_comes_until_he_is_told_no_more() -> None:
    feed, woken = Feed(), list[str]()
    consignment = consignment_of(feed)
    consignment.take()
    consignment.tell("a", lambda: woken.append("a"))
    consignment.tell("b", lambda: woken.append("b"))
    feed.give(numbered(0))
    await drain_events()
    consignment.tell("a", None)
    consignment.tell("a", None)
    feed.give(numbered(1))
    await drain_events()
    feed.give(None)
    await drain_events()
    assert woken == ["a", "b", "b", "b"]


async def test_no_more_is_asked_for_in_advance_than_may_be_without_a_result() -> None:
    feed = Feed()
    for number in range(9):
        feed.give(numbered(number))
    consignment = consignment_of(feed, look_ahead=2)
    consignment.take()
    await drain_events()
    assert feed.asked == 2
    first, second = taken(consignment), taken(consignment)
    await drain_events()
    assert feed.asked == 2
    assert consignment.take() is None
    for item in (first, second):
        consignment.finish(item, None)
        await drain_events()
    assert feed.asked == 2
    consignment.next_result()
    await drain_events()
    assert feed.asked == 3
    assert [(result.index, result.message) for result in consignment.remaining()] == [
        (1, numbered(1)),
        (2, numbered(2)),
    ]
    consignment.close()
    await consignment.closed()
    assert feed.is_closed
    assert consignment.failure is None
    assert not consignment.is_exhausted  # what was given in advance is there
    assert taken(consignment).index == 2


async def test_what_an_iterable_raises_is_not_lost_where_it_cannot_be_closed_either() -> None:
    class Both(Feed):
        async def __anext__(self) -> bytes:
            raise KeyError("first")

        async def aclose(self) -> None:
            raise OSError("second")

    consignment = consignment_of(Both())
    consignment.take()
    await consignment.closed()
    assert isinstance(consignment.failure, KeyError)


async def test_an_iterable_that_was_left_and_cannot_be_closed_tells_the_event_loop() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    class Hard(Feed):
        async def aclose(self) -> None:
            raise OSError("it cannot be closed")

    consignment = consignment_of(Hard())
    consignment.take()
    await drain_events()
    consignment.close()
    consignment.close()
    await consignment.closed()
    assert consignment.failure is None
    [complaint] = complaints
    assert complaint["message"] == "an iterable of messages has raised when it was closed"
    assert isinstance(complaint["exception"], OSError)


async def test_an_iterable_that_cannot_be_closed_need_not_be() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    class Bare:
        def __aiter__(self) -> "Bare":
            return self

        async def __anext__(self) -> bytes:
            raise StopAsyncIteration

    consignment = consignment_of(Bare())
    consignment.take()
    await consignment.closed()
    assert consignment.is_exhausted
    del consignment
    gc.collect()
    assert complaints == []


def test_what_was_cancelled_by_itself_says_so() -> None:
    def messages() -> Iterator[bytes]:
        yield numbered(0)
        raise asyncio.CancelledError

    consignment = consignment_of(messages())
    taken(consignment)
    assert consignment.take() is None
    assert str(consignment.failure) == (
        "the iterable of messages has not come to its end: what it waited for was cancelled"
    )


async def test_a_feed_that_is_given_up_while_it_ends_has_not_failed() -> None:
    async def messages() -> AsyncIterator[bytes]:
        yield numbered(0)
        await asyncio.Event().wait()

    consignment = consignment_of(messages())
    consignment.take()
    await drain_events()
    taken(consignment)
    consignment.close()
    await consignment.closed()
    assert consignment.failure is None
    assert consignment.is_exhausted
