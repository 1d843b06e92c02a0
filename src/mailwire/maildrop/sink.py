"""Sink: where retrieved mail goes.

A sink of your own has one method. What it returns from, is stored: from then on the message may be deleted on the
server, and will not come again. What it raises from, is not. An object store, or a database::

    class DatabaseSink:
        def __init__(self, database: sqlite3.Connection) -> None:
            self.database = database
            database.execute("CREATE TABLE IF NOT EXISTS mail (key TEXT PRIMARY KEY, content BLOB NOT NULL)")

        async def store(self, mail: Mail) -> None:
            content = await mail.read(limit=50_000_000)
            with self.database:  # commits, or rolls back
                self.database.execute("INSERT OR IGNORE INTO mail VALUES (?, ?)", (mail.key, content))

A crash behind the commit leaves a message that will come once more; by its key, which is the same then, it is known.
"""

import contextvars
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeAlias, runtime_checkable

from ..message import RetrievedMessage
from .mail import Mail
from .threads import in_thread

__all__ = ["CallableSink", "Destination", "GroupSink", "Receiver", "Sink", "as_sink"]

Receiver: TypeAlias = Callable[[RetrievedMessage], Awaitable[object]] | Callable[[RetrievedMessage], object]
"""A function, async or not, that takes a message. One that is not async is called in a thread."""

_BUDGET: Final = 64 * 1024 * 1024


@runtime_checkable
class Sink(Protocol):
    """Stores messages, one at a time or several at once, where several runs share it."""

    async def store(self, mail: Mail) -> None:
        """Read `mail` to its end, and return once it is safe, whatever crashes then.

        An OSError ends the run: the next message would do no better on a full disk. Any other error is a failure of
        this one message, and the run goes on. A mail that is not read to its end is not stored.
        """


@runtime_checkable
class GroupSink(Sink, Protocol):
    """A sink that makes several messages safe at once, which takes hardly longer than one."""

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
    max_octets: of a message, which is held in memory. A longer one fails.
    """

    def __init__(self, function: Receiver, *, max_octets: int = _BUDGET) -> None:
        self._function = function
        self._max_octets = max_octets

    async def store(self, mail: Mail) -> None:
        """Call the function. Raises BudgetExceeded, and whatever it raises."""
        message = RetrievedMessage(mail.number, mail.uid, await mail.read(self._max_octets))
        if inspect.iscoroutinefunction(self._function):
            await self._function(message)
            return
        returned = await in_thread(None, contextvars.copy_context().run, self._function, message)
        if inspect.isawaitable(returned):
            await returned


def as_sink(destination: Destination) -> Sink:
    """Return the sink that `destination` is, or one around the function that it is. Raises TypeError."""
    if isinstance(destination, Sink):
        return destination
    if callable(destination):
        return CallableSink(destination)
    raise TypeError(f"expected a sink or a function that takes a message, got {destination!r}")
