import asyncio
import contextvars
import hashlib
import re
import sqlite3
import textwrap
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mailwire import RetrievedMessage
from mailwire.errors import BudgetExceeded
from mailwire.maildrop import CallableSink, GroupSink, Mail, Maildir, MboxSink, Sink
from mailwire.maildrop import sink as module
from mailwire.maildrop.sink import as_group, as_sink
from tests.maildrop.mails import deliver, mail

MESSAGE = b"Subject: x\r\n\r\nHello\r\n"
PATH = ": a path is given as Maildir(path) or MboxSink(path)"


async def test_a_function_is_called_in_a_thread_with_the_context_of_the_caller() -> None:
    asked_by = contextvars.ContextVar("asked_by", default="nobody")
    asked_by.set("me")
    seen: list[tuple[RetrievedMessage, bool, str]] = []

    def receive(message: RetrievedMessage) -> None:
        seen.append((message, threading.current_thread() is threading.main_thread(), asked_by.get()))

    await deliver(CallableSink(receive), mail(MESSAGE, "u"))

    assert seen == [(RetrievedMessage(1, "u", MESSAGE), False, "me")]


class Async:
    def __init__(self) -> None:
        self.seen: list[RetrievedMessage] = []

    async def __call__(self, message: RetrievedMessage) -> None:
        await asyncio.sleep(0)
        self.seen.append(message)

    async def method(self, message: RetrievedMessage) -> None:
        await self(message)


async def test_an_async_function_is_awaited_whatever_its_form() -> None:
    receiver = Async()

    async def two(_: int, message: RetrievedMessage) -> None:
        await receiver(message)

    for function in (receiver, receiver.method, partial(two, 2)):
        await deliver(CallableSink(function), mail(MESSAGE))

    assert receiver.seen == [RetrievedMessage(1, "1", MESSAGE)] * 3


async def test_what_a_function_raises_is_the_outcome() -> None:
    def full(message: RetrievedMessage) -> None:
        raise OSError(28, "No space left on device")

    async def wrong(message: RetrievedMessage) -> None:
        raise KeyError("x")

    with pytest.raises(OSError, match="No space"):
        await deliver(CallableSink(full), mail(MESSAGE))
    with pytest.raises(KeyError):
        await deliver(CallableSink(wrong), mail(MESSAGE))


async def test_a_function_gets_no_message_beyond_its_budget() -> None:
    seen: list[object] = []
    with pytest.raises(BudgetExceeded):
        await deliver(CallableSink(seen.append, max_octets=10), mail([MESSAGE, MESSAGE]))
    assert seen == []


async def test_a_function_becomes_a_sink_that_calls_it() -> None:
    seen: list[RetrievedMessage] = []
    await deliver(as_sink(seen.append), mail(MESSAGE))
    assert seen == [RetrievedMessage(1, "1", MESSAGE)]


def test_what_stores_is_a_sink_and_what_can_be_called_becomes_one() -> None:
    for sink in (Maildir("x"), MboxSink("x"), CallableSink(print)):
        assert as_sink(sink) is sink
        assert isinstance(sink, Sink)
    assert isinstance(as_sink(print), CallableSink)
    assert isinstance(Maildir("x"), GroupSink)
    assert not isinstance(MboxSink("x"), GroupSink)


@pytest.mark.parametrize(("wrong", "hint"), [("Mail", PATH), (b"Mail", PATH), (Path("Mail"), PATH), (5, "")])
def test_what_is_neither_a_sink_nor_a_function_is_refused(wrong: Any, hint: str) -> None:
    told = re.escape(f"expected a sink or a function that takes a message, got {wrong!r}{hint}")
    with pytest.raises(ValueError, match=f"^{told}$"):
        as_sink(wrong)


class Both:
    async def store(self, mail: Mail) -> None:
        pass

    async def settle(self, mails: Sequence[Mail]) -> None:
        pass

    async def discard(self, mails: Sequence[Mail]) -> None:
        pass


@pytest.mark.parametrize("missing", ["settle", "discard"])
def test_a_sink_has_both_methods_of_a_group_or_neither(missing: str) -> None:
    half = Both()
    setattr(half, missing, None)
    with pytest.raises(ValueError, match="both settle and discard or neither, got <"):
        as_sink(half)


def test_a_class_of_sinks_is_none() -> None:
    with pytest.raises(ValueError, match=r"got a class of sinks, .*: make one"):
        as_sink(MboxSink)


class StandIn:
    """Finds the methods of another when it is asked for them."""

    def __init__(self, other: object) -> None:
        self.other = other

    def __getattr__(self, name: str) -> object:
        return getattr(self.other, name)

    async def store(self, mail: Mail) -> None:
        await self.other.store(mail)  # type: ignore[attr-defined]


def test_a_group_is_known_by_what_is_there_when_it_is_asked_for() -> None:
    group = StandIn(Both())
    assert as_group(as_sink(group)) is group
    assert as_group(StandIn(MboxSink("x"))) is None


async def test_a_function_with_a_yield_has_not_done_its_work() -> None:
    seen: list[RetrievedMessage] = []

    def receive(message: RetrievedMessage) -> Iterator[None]:
        seen.append(message)
        yield

    async def receive_async(message: RetrievedMessage) -> AsyncIterator[None]:
        seen.append(message)
        yield

    for function in (receive, receive_async):
        with pytest.raises(TypeError, match="does its work when it is called, got a generator"):
            await CallableSink(function).store(mail(MESSAGE))
    assert seen == []


def documented_sink(database: sqlite3.Connection) -> Sink:
    """Return the sink of the module's docstring."""
    example = re.search(r"::\n\n(.*?)\n\n[A-Z]", module.__doc__ or "", re.DOTALL)
    assert example is not None
    namespace: dict[str, object] = {"hashlib": hashlib, "sqlite3": sqlite3, "Mail": Mail}
    exec(textwrap.dedent(example[1]), namespace)
    made = namespace["DatabaseSink"]
    assert isinstance(made, type)
    sink = made(database)
    assert isinstance(sink, Sink)
    return sink


async def test_the_documented_sink_stores_each_message_once() -> None:
    database = sqlite3.connect(":memory:")
    sink = documented_sink(database)

    await deliver(sink, mail(MESSAGE, "1"), mail(MESSAGE, "2"), mail(MESSAGE, "1"))

    rows = database.execute("SELECT key, content FROM mail").fetchall()
    assert sorted(rows) == sorted([(mail(b"", "1").key, MESSAGE), (mail(b"", "2").key, MESSAGE)])
    assert not database.in_transaction
    database.close()


async def test_the_documented_sink_stores_another_message_under_the_same_uid() -> None:
    database = sqlite3.connect(":memory:")
    sink = documented_sink(database)

    for content in (MESSAGE, b"another", MESSAGE):
        await deliver(sink, mail(content, "1"))

    assert sorted(database.execute("SELECT content FROM mail")) == sorted([(MESSAGE,), (b"another",)])
    database.close()


async def test_the_documented_sink_raises_what_it_could_not_store() -> None:
    database = sqlite3.connect(":memory:")
    sink = documented_sink(database)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(10_000_000)

    with pytest.raises(BudgetExceeded):
        await sink.store(Mail("a", 1, "u", 0, "k", endless()))
    assert database.execute("SELECT count(*) FROM mail").fetchone() == (0,)
    database.close()
