"""RetrievalProgress: how far a run over messages has come, and the limit it has."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..errors import BudgetExceeded
from ..pop3 import Entry

__all__ = ["ProgressCount", "RetrievalProgress"]


@dataclass(frozen=True, slots=True)
class RetrievalProgress:
    """How far a run has come.

    entry: the message that is coming, and how many of its `octets` have come.
    messages: how many were handed out, with this one, `of_messages` in all.
    run_octets: how many octets of all messages have come; `of_octets` is what the server has announced for all.
    """

    entry: Entry
    octets: int
    messages: int
    of_messages: int
    run_octets: int
    of_octets: int


class ProgressCount:
    """What a run has handed out.

    limit: octets of all its messages together; None for no limit.
    tell: is told of every block.
    """

    def __init__(self, limit: int | None, tell: Callable[[RetrievalProgress], None] | None) -> None:
        self.messages = 0
        self.octets: int = 0
        self._limit = limit
        self._tell = tell
        self._of_messages = self._of_octets = 0

    def expect(self, messages: Iterable[Entry | str]) -> None:
        """Take note of what is to come; of what is not there there is a unique id."""
        if self._tell is None:
            return  # who else would want to know
        for message in messages:
            self._of_messages += 1
            self._of_octets += message.size if isinstance(message, Entry) else 0

    def count(self, entry: Entry, octets: int, more: int) -> None:
        """Count `more` octets of `entry`, of which `octets` have come with them. Raises BudgetExceeded."""
        self.pass_over(more)
        if self._tell is not None:
            of = self._of_messages, self.octets, self._of_octets
            self._tell(RetrievalProgress(entry, octets, self.messages, *of))

    def pass_over(self, more: int) -> None:
        """Count `more` octets that nobody reads. Raises BudgetExceeded."""
        self.octets += more
        if self._limit is not None and self.octets > self._limit:
            raise BudgetExceeded(f"the messages of this run are longer than {self._limit} octets")
