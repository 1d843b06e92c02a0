"""Sink: where retrieved mail goes.

A sink of your own has one method. What it returns from, is stored: from then on the message may be deleted on the
server, and will not come again. What it raises from, is not. An object store, or a database::

    class DatabaseSink:
        def __init__(self, database: sqlite3.Connection) -> None:
            self.database = database
            database.execute(
                "CREATE TABLE IF NOT EXISTS mail (key TEXT, digest TEXT, content BLOB, PRIMARY KEY (key, digest))"
            )

        async def store(self, mail: Mail) -> None:
            content = await mail.read(limit=50_000_000)
            digest = hashlib.sha256(content).hexdigest()
            with self.database:  # commits, or rolls back
                self.database.execute("INSERT OR IGNORE INTO mail VALUES (?, ?, ?)", (mail.key, digest, content))

A crash behind the commit leaves a message that will come once more; by its key, which is the same then, it is known.
The digest tells it from another message, to which the server has given its unique id once more: that has its key, too.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from os import PathLike
from typing import Final, Protocol, TypeAlias, cast, runtime_checkable

from ..message import RetrievedMessage
from .mail import Mail
from .threads import in_thread

__all__ = ["CallableSink", "Destination", "GroupSink", "Receiver", "Sink", "as_group", "as_sink"]

Receiver: TypeAlias = Callable[[RetrievedMessage], Awaitable[object]] | Callable[[RetrievedMessage], object]
"""A function, async or not, that takes a message. One that is not async is called in a thread."""

_BUDGET: Final = 64 * 1024 * 1024


@runtime_checkable
class Sink(Protocol):
    """Stores messages, one at a time or several at once, where several runs share it."""

    async def store(self, mail: Mail) -> None:
        """Read `mail` to its end, and return once it is safe, whatever crashes then.

        An OSError ends the run: the next message would do no better on a full disk. This one comes last in the next
        run. Any other error is a failure of this one message, and the run goes on. A mail that is not read to its end
        is not stored.
        """


@runtime_checkable
class GroupSink(Sink, Protocol):
    """A sink that makes several messages safe at once, which takes hardly longer than one. It has both methods."""

    async def settle(self, mails: Sequence[Mail]) -> None:
        """Return once all of `mails`, for which `store` has returned, are safe. An error ends the run: none of them is
        taken for stored then."""

    async def discard(self, mails: Sequence[Mail]) -> None:
        """Drop `mails`, for which `store` has returned, and which will not be settled."""


Destination: TypeAlias = Sink | Receiver
"""Where messages go: a Sink, or a coroutine function that takes one at a time."""


class CallableSink:
    """A sink that gives each message to a function, which returns once it is safe.

    function: async, or else called in a thread, one message at a time in each run.
    max_octets: of a message, which is held in memory; by default 64 MiB. A longer one fails.
    """

    def __init__(self, function: Receiver, *, max_octets: int = _BUDGET) -> None:
        self._function = function
        self._max_octets = max_octets

    async def store(self, mail: Mail) -> None:
        """Call the function. Raises BudgetExceeded, and whatever it raises; TypeError for one that has a `yield`, of
        which nothing was done."""
        message = RetrievedMessage(mail.number, mail.uid, await mail.read(self._max_octets))
        if inspect.iscoroutinefunction(self._function):
            await self._function(message)
            return
        returned = await in_thread(None, self._function, message)
        if inspect.isgenerator(returned) or inspect.isasyncgen(returned):
            raise TypeError(f"expected a function that does its work when it is called, got a generator, {returned!r}")
        if inspect.isawaitable(returned):
            await returned


def as_sink(destination: object) -> Sink:
    """Return the sink that `destination` is, or one around the function that it is. Raises ValueError, also for a class
    of sinks, and for a sink that has one of `settle` and `discard`."""
    if isinstance(destination, Sink):
        if isinstance(destination, type):
            raise ValueError(f"expected a sink, got a class of sinks, {destination!r}: make one")
        if _has(destination, "settle") is not _has(destination, "discard"):
            # With one alone, what it has not settled would be taken for stored.
            raise ValueError(f"expected a sink to have both settle and discard or neither, got {destination!r}")
        return destination
    if callable(destination):
        return CallableSink(destination)
    hint = ""
    if isinstance(destination, str | bytes | PathLike):
        hint = ": a path is given as Maildir(path) or MboxSink(path)"
    raise ValueError(f"expected a sink or a function that takes a message, got {destination!r}{hint}")


def as_group(sink: Sink) -> GroupSink | None:
    """Return `sink` if it makes several messages safe at once; else None."""
    # Asked for as they will be called: a sink that stands for another may find its methods when they are asked for.
    return cast(GroupSink, sink) if _has(sink, "settle") else None


def _has(sink: Sink, method: str) -> bool:
    return callable(getattr(sink, method, None))
