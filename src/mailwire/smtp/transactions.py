"""Transactions: mails in a row on one connection, each begun behind the end of the one before (RFC 2920 3.1).

What a lost connection means for each of them, the transactions say themselves: the one whose end was handed out and not
answered is in doubt, one behind it whose message was not handed out whole was not sent.
"""

from collections import deque
from collections.abc import Iterator

from .events import GroupsAnswered, ReplyReceived
from .transaction import Transaction

__all__ = ["Transactions"]


class Transactions:
    """The transactions of a connection that are not finished, the oldest first.

    Add each as it is begun, hand every ReplyReceived to `receive`, and every GroupsAnswered; the finished ones leave by
    `take_finished`.
    """

    def __init__(self) -> None:
        self._unfinished: deque[Transaction] = deque()

    def __len__(self) -> int:
        return len(self._unfinished)

    def __iter__(self) -> Iterator[Transaction]:
        return iter(self._unfinished)

    @property
    def last(self) -> Transaction | None:
        """The one begun last; the next may begin behind it once its message `is_ended`."""
        return self._unfinished[-1] if self._unfinished else None

    def add(self, transaction: Transaction) -> None:
        """Add a transaction, which was begun behind the `last` one."""
        self._unfinished.append(transaction)

    def receive(self, event: ReplyReceived | GroupsAnswered) -> Transaction | None:
        """Hand a reply to the transaction that asked for it, or those to groups to all that did; return the first of
        these, None if there is none.

        Replies come in order, so it is the oldest that is not answered yet: nothing is searched.
        """
        first: Transaction | None = None
        for transaction in self._unfinished:
            if transaction.receive(event):
                first = first or transaction
                if isinstance(event, ReplyReceived):
                    break
            elif not transaction.finished:
                break
        return first

    def take_finished(self) -> Iterator[Transaction]:
        """Take the transactions of which nothing more will come, in their order, up to the first that goes on."""
        while self._unfinished and self._unfinished[0].finished:
            yield self._unfinished.popleft()
