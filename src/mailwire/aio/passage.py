"""Passage: one transaction of a mailing on its way over a dialogue, with what is needed to write its message."""

from collections.abc import Callable, Mapping, Sequence

from ..errors import DataRefused, RecipientsRefused, ReplyError, SenderRefused
from ..smtp import Receipt, ReplyReceived, Transaction
from .dialogue import Answer
from .writing import Writing

__all__ = ["Passage", "Watch"]


class Watch:
    """How long each phase took, or has taken so far. It begins with `phase`."""

    __slots__ = ("_clock", "_phase", "_since", "_timings")

    def __init__(self, phase: str, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._phase = phase
        self._since = clock()
        self._timings: dict[str, float] = {}

    def begin(self, phase: str, *, behind: str = "") -> None:
        """Begin `phase`, and end the one before, if it is another; `behind` is one that took no time, between them.

        To be called before it is stopped.
        """
        if phase != self._phase:
            now = self._clock()
            self._timings[self._phase] = now - self._since
            if behind and behind != self._phase:
                self._timings[behind] = 0.0
            self._phase, self._since = phase, now

    def stop(self) -> None:
        """End the phase that there is."""
        if self._phase:
            self._timings[self._phase] = self._clock() - self._since
            self._phase = ""

    def timings(self) -> Mapping[str, float]:
        """Return the seconds of each phase that has ended, by its name."""
        return self._timings


class Passage:
    """A `transaction` for those recipients who stand at `places` in the mailing, and the `writing` of its message.

    clock: tells the time, in seconds.
    """

    __slots__ = ("_last", "_receipt", "places", "transaction", "watch", "writing")

    def __init__(
        self, places: Sequence[int], transaction: Transaction, writing: Writing, clock: Callable[[], float]
    ) -> None:
        self.places: Sequence[int] = places
        self.transaction: Transaction = transaction
        self.writing: Writing = writing
        self.watch: Watch = Watch("envelope", clock)
        self._last: Answer | None = None
        self._receipt: Receipt | None = None  # once nothing more will come

    def write_whole(self) -> bool:
        """Write the message and end it, if it is wanted and all of it is at hand; return whether that was done."""
        if not self.writing.write_whole():
            self.watch.begin("message")
            return False
        self.watch.begin("verdict", behind="message")
        return True

    def receive(self, event: Answer) -> None:
        """Hand an answer to the transaction, which is the oldest that is not finished."""
        self.transaction.receive(event)
        self._last = event

    @property
    def has_heard_closing(self) -> bool:
        """Whether the last reply was 421: the server closes, which says nothing of what it answers (RFC 5321 3.8)."""
        return isinstance(self._last, ReplyReceived) and self._last.reply.code == 421

    def receipt(self) -> Receipt:
        """Return what is known now."""
        return self._receipt or self.transaction.receipt(self.watch.timings())

    def end(self) -> Receipt:
        """Return what is known, of which nothing more will come."""
        self.watch.stop()
        self._receipt = self.receipt()
        return self._receipt

    def refusal(self, receipt: Receipt) -> ReplyError | None:
        """Return the refusal that has ended the transaction, of which nobody has the mail by this `receipt`; None if it
        was not refused."""
        transaction = self.transaction
        if (reply := transaction.sender_refusal) is not None:
            return SenderRefused(f"MAIL was refused: {reply}", command=f"MAIL FROM:<{receipt.sender}>", reply=reply)
        if (reply := transaction.recipients_refusal) is not None:
            who = "every recipient" if len(receipt.refused) == len(receipt.recipients) else "a recipient"
            return RecipientsRefused(f"{who} was refused: {reply}", command="RCPT", reply=reply)
        if (reply := transaction.data_refusal) is not None:
            return DataRefused(f"the message was refused: {reply}", command="DATA", reply=reply)
        if not isinstance(self._last, ReplyReceived):
            raise AssertionError("what has ended by a reply has had one")
        # 421: the server took its leave in the middle of the mail.
        command, reply = str(self._last.command), self._last.reply
        return ReplyError(f"{command} was refused: {reply}", command=command, reply=reply)
