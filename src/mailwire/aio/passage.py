"""Passage: one transaction of a mailing on its way over a dialogue, with its message, and how long each phase takes.

The phases are "envelope", "message" and "verdict". A message that is in memory, and no more than one block, is written
and ended in one step, as soon as it is wanted, and takes no time; any other is written by the passage's `writing`.
"""

from collections.abc import Sequence

from ..errors import DataRefused, RecipientsRefused, ReplyError, SenderRefused
from ..message import Outgoing
from ..smtp import Delivery, Receipt, Reply, Transaction
from .dialogue import Dialogue, refusal_of
from .mailing import Progress
from .writing import Writing

__all__ = ["Passage"]


class Passage:
    """A `transaction` for those recipients who stand at `places` in the mailing; its message is `outgoing`.

    progress: is told how much of the message was written.
    """

    __slots__ = (
        "_dialogue",
        "_outgoing",
        "_phase",
        "_progress",
        "_receipt",
        "_since",
        "_timings",
        "_writing",
        "has_read",
        "places",
        "transaction",
    )

    def __init__(
        self,
        dialogue: Dialogue,
        places: Sequence[int],
        transaction: Transaction,
        outgoing: Outgoing,
        progress: Progress | None,
    ) -> None:
        self.places: Sequence[int] = places
        self.transaction: Transaction = transaction
        self.has_read: bool = False
        """Whether octets were asked of the message's source that may not be had again."""
        self._dialogue = dialogue
        self._outgoing = outgoing
        self._progress = progress
        self._writing: Writing | None = None  # where it takes more than one step
        self._phase = "envelope"
        self._since = dialogue.time()
        self._timings: dict[str, float] = {}
        self._receipt: Receipt | None = None  # once nothing more will come

    def set_back(self, since: float, envelope: float | None) -> None:
        """Take note that its phase began at the time `since`, by the dialogue's clock: that of the envelope; or that of
        the verdict, if the envelope took so many seconds."""
        self._since = since
        if envelope is not None:
            self._timings = {"envelope": envelope, "message": 0.0}
            self._phase = "verdict"

    # Writing the message

    def write_whole(self) -> bool:
        """Write the message and end it, if all of it is at hand, nobody is to be told of it, and `write` has not begun
        with it; return whether that was done. It must be wanted."""
        content = self._outgoing.content
        if content is None or self._progress is not None or self._writing is not None:
            return False
        self.transaction.send_whole(content)
        now = self._dialogue.time()
        self._timings[self._phase] = now - self._since
        self._timings.setdefault("message", 0.0)  # it took none, if it is not what has just ended
        self._phase, self._since = "verdict", now
        return True

    async def write(self) -> None:
        """Write of the message what can be written. Raises what `Writing.write` raises."""
        self._enter("message")
        if self._writing is None:
            self.has_read = True
            self._writing = Writing(self._dialogue, self.transaction, self._outgoing, self._progress)
        await self._writing.write()
        if self.transaction.is_ended:
            self._enter("verdict")

    async def close(self) -> None:
        """Close the source of the message."""
        if self._writing is not None:
            await self._writing.close()

    # What is known of it

    @property
    def has_heard_closing(self) -> bool:
        """Whether the last reply was 421: the server closes, which says nothing of what it answers (RFC 5321 3.8)."""
        last = self.transaction.last_answer
        return last is not None and last.reply.code == 421

    def receipt(self) -> Receipt:
        """Return what is known now."""
        return self._receipt or self.transaction.receipt(self._timings)

    def stop(self) -> None:
        """End the phase that there is: nothing more will come."""
        if self._phase:
            self._timings[self._phase] = self._dialogue.time() - self._since
            self._phase = ""

    def end(self) -> Receipt:
        """Return what is known, of which nothing more will come."""
        self.stop()
        self._receipt = receipt = self.transaction.receipt(self._timings)
        return receipt

    def refusal(self, receipt: Receipt) -> ReplyError | None:
        """Return the refusal that has ended the transaction, of which nobody has the mail by this `receipt`; None if it
        was not refused."""
        transaction = self.transaction
        if (reply := transaction.sender_refusal) is not None:
            command = f"MAIL FROM:<{transaction.reverse_path}>"
            return SenderRefused(f"MAIL was refused: {reply}", command=command, reply=reply)
        if (reply := transaction.recipients_refusal) is not None:
            who = "every recipient" if transaction.accepts_nobody else "a recipient"
            return RecipientsRefused(f"{who} was refused: {reply}", command="RCPT", reply=reply)
        if (reply := transaction.data_refusal) is not None:
            what = _doubt(receipt, reply) or f"the message was refused: {reply}"
            return DataRefused(what, command="DATA", reply=reply)
        if (last := transaction.last_answer) is None:
            raise AssertionError("what has ended by a reply has had one")
        # 421: the server took its leave in the middle of the mail, or in LMTP in the middle of its verdicts.
        return refusal_of(last, _doubt(receipt, last.reply))

    # Private

    def _enter(self, phase: str) -> None:
        # Begin `phase`, and end the one before, if it is another.
        if phase != self._phase:
            now = self._dialogue.time()
            self._timings[self._phase] = now - self._since
            self._phase, self._since = phase, now


def _doubt(receipt: Receipt, reply: Reply) -> str:
    # What a `reply` leaves behind that is 421, or that of a server which contradicts itself; "" where it is a refusal.
    if receipt.delivery is not Delivery.UNKNOWN:
        return ""
    return f"the server may or may not have the message, to which it has said {reply}"
