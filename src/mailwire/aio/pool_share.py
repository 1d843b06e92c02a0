"""PoolShare: what one connection of a pool takes of a run over many messages, and what has become of that.

1. The connection's first mail is there before the connection is. The mail on which it breaks is kept, to be the first
   on the one that is opened in its place: the server may take no more than so many over one connection.
2. It takes no more than the connection may still have, nothing once that is too old, and lets others have their turn
   who wait for a connection.
3. No mail gets lost in it: what was taken and neither finished nor given back when it is closed, is given back then.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Final

from ..errors import MailwireError
from ..smtp import Receipt
from .consignment import Consignment, Item
from .mailing import Mailing
from .pool_connections import PoolConnections, PooledConnection
from .sending import Sending

__all__ = ["PoolShare"]

# Mails in a row, while others wait for a connection.
_TURN: Final = 16


class PoolShare:
    """The share of one connection in `consignment`, beginning with the mail `first`; `wake` is called for a result, and
    for a mail that any connection may take."""

    has_result: ClassVar[bool] = False
    """Nobody waits for this connection until a mail goes on: who waits for a result is woken."""

    def __init__(
        self, consignment: Consignment, first: Item, connections: PoolConnections, wake: Callable[[], object]
    ) -> None:
        self.retried: int = 0  # mails on which the connection broke, and which are tried again
        self.further_parts: int = 0  # transactions over the connection that are of a mail which has had one there
        self.is_laborious: Callable[[Item], bool] = consignment.is_laborious
        self.read: Callable[[Item], Coroutine[Any, Any, None]] = consignment.read
        self.example: Callable[[], Mailing] = consignment.example
        self.make_sending: Callable[[Item], Sending] = consignment.make_sending
        self.tell: Callable[[object, Callable[[], object] | None], None] = consignment.tell
        self._consignment = consignment
        self._connections = connections
        self._wake = wake
        self._first: Item | None = first
        self._connection: PooledConnection | None = None
        self._room: int | None = 1
        self._taken = 0
        # What the connection has, with the parts and the tries that each had had when it was taken.
        self._out: dict[int, tuple[Item, int, int]] = {}

    @property
    def has_first(self) -> bool:
        """Whether there is a mail that is to be the first on a connection."""
        return self._first is not None

    def begin(self, connection: PooledConnection, *, is_rated: bool) -> None:
        """Begin to take, and to count, what may go over `connection`: one mail alone, if every mail must be given
        leave."""
        self.retried = self.further_parts = 0
        self._connection = connection
        most = connection.max_transactions
        self._room = 1 if is_rated else None if most is None else most - connection.client.transactions

    def close(self) -> None:
        """Give back what is left."""
        for item, _, _ in reversed(self._out.values()):
            self._consignment.put_back(item)
        self._out.clear()
        self._keep(None)

    # What a chain takes mails from

    def take(self) -> Item | None:
        """Return the next mail for this connection; None if there is none."""
        item, self._first = self._first, None
        if item is None and not self._is_at_end:
            item = self._consignment.take()
        if item is not None:
            self._taken += 1
            self._out[item.index] = item, item.parts, item.tries
            if self._room is not None:
                self._room -= 1
        return item

    def put_back(self, item: Item) -> None:
        """Let `item` be taken again, by any connection; if it is the one on which this one broke, by the next one
        here."""
        known = self._out.get(item.index)
        self._let_go(item)
        if known is not None and item.tries > known[2]:
            self.retried += 1
            self._keep(item)
        else:
            self._consignment.put_back(item)
            self._wake()

    def finish(self, item: Item, receipt: Receipt | None, error: MailwireError | None = None) -> None:
        """Take the result for `item`."""
        self._consignment.finish(item, receipt, error)
        self._let_go(item)
        self._wake()

    def fail(self, item: Item, error: MailwireError) -> None:
        """Take the result for `item`, which shares its `error` with others."""
        self._consignment.fail(item, error)
        self._let_go(item)
        self._wake()

    # Private

    @property
    def _is_at_end(self) -> bool:
        # Whether the connection is to have no further mail.
        if self._room == 0 or (self._taken >= _TURN and self._connections.waiting):
            return True
        connection = self._connection
        return connection is not None and (
            connection.is_spent or asyncio.get_running_loop().time() >= connection.expires
        )

    def _keep(self, item: Item | None) -> None:
        if self._first is not None:
            self._consignment.put_back(self._first)
        self._first = item

    def _let_go(self, item: Item) -> None:
        # It may be finished again where something has gone wrong behind the first time.
        known = self._out.pop(item.index, None)
        if known is not None:
            self.further_parts += max(0, item.parts - known[1] - 1)
