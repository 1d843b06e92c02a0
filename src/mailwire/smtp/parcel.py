"""Parcel: a mail that goes as most do. Its message is at hand, nothing more is wished for it, and every reply is as is
to be expected.

1. It says what a `Transaction` says, to the octet, and knows far less: the group that is to be answered, and what was
   said to those before.
2. It takes the answers to whole groups alone. Where anything else is heard, or nothing more will be, it goes on as a
   Transaction (`as_transaction`): what is decided, is decided in one place.
3. Where the server does not pipeline, each of its commands is a group, a step, and is answered by itself.
"""

from collections.abc import Mapping

from .._wire.dots import MailText
from .commands import BdatLast, EndOfData
from .connection import Connection
from .delivery import ACCEPTED
from .events import GroupsAnswered
from .group import Group
from .group_kind import LAST_CHUNK
from .opening import Opening
from .outcome import receipt_of_taken
from .paths import Mailbox
from .receipt import Receipt
from .transaction import Transaction

__all__ = ["Parcel"]


class Parcel:
    """A mail from `sender` to `recipients`, begun as `opening` says, with the `message`, which is whole lines of text.

    is_first: it is made sure that nothing is to be answered that was said before; else the caller knows that, or it is
        behind a mail that has been ended.
    begins_anew: RSET goes before MAIL, for that mail went in chunks.

    For a connection that `takes_groups`, and is not one of LMTP. Hand every GroupsAnswered to `receive`, and call
    `write` where it `wants_message`; until it `is_taken`.

    Raises LocalProtocolError if no transaction can begin now; nothing was queued then.
    """

    __slots__ = (
        "answered",
        "begins_anew",
        "connection",
        "end",
        "group",
        "is_taken",
        "message",
        "octets",
        "opening",
        "recipients",
        "said",
        "sender",
        "steps",
        "wants_message",
    )

    def __init__(
        self,
        connection: Connection,
        opening: Opening,
        sender: Mailbox | None,
        recipients: tuple[Mailbox, ...],
        message: MailText,
        is_first: bool,  # these by their place, as for a Group: names in a call take time
        begins_anew: bool,
    ) -> None:
        if is_first:
            connection.check_at_rest()
        self.connection: Connection = connection
        self.opening: Opening = opening
        self.sender: Mailbox | None = sender
        self.recipients: tuple[Mailbox, ...] = recipients
        self.begins_anew: bool = begins_anew
        self.wants_message: bool = False
        """Whether the message is to be written now."""
        self.is_taken: bool = False
        """Whether the server has taken the mail, for all of its recipients."""
        self.message: MailText | None = None
        """The message, if it was not written yet."""
        self.octets: int = 0
        """How many octets were written of it, dots that were stuffed included."""
        self.end: BdatLast | EndOfData | None = None
        """What ends the message, once it was written."""
        self.group: Group | None
        """The one that is to be answered; None where all are that there were."""
        self.steps: list[Group] = []
        """Those behind it, where it is a step, the last one first."""
        self.answered: tuple[Group, ...] = ()
        """Those that are answered..."""
        self.said: bytes = b""
        """...and what was said to them."""
        octets = len(message)
        end: BdatLast | None = None
        if opening.is_eager:
            self.end = end = BdatLast(octets)
            self.octets = octets
        else:
            self.message = message
        announced = octets if opening.is_sized else None
        if connection.takes_envelopes:
            self.group = group = Group(opening, sender, recipients, announced, begins_anew)
            if end is not None:
                group.add_chunk(end, message)
            connection.send_group(group)
            return
        self.steps = steps = Group.in_steps(opening, sender, recipients, announced, begins_anew)
        if end is not None:
            steps.append(Group.ending(LAST_CHUNK, end, end.encode(), octets, message))
        connection.send_steps(steps)
        steps.reverse()
        self.group = steps.pop()

    @property
    def is_ended(self) -> bool:
        """Whether the message is written."""
        return self.end is not None

    def write(self) -> list[bytes]:
        """Write the message, and end it. Return what leaves for it at once: nothing, for it is queued."""
        connection, message = self.connection, self.message
        if message is None:
            raise AssertionError("a message is written once")
        if self.opening.chunking is False:
            group = connection._end_whole_text(message)
        else:
            group = connection._queue_whole_chunk(message)
        self.message, self.wants_message = None, False
        self.group, self.end, self.octets = group, group.end, group.message_octets
        return []

    def receive(self, event: GroupsAnswered) -> bool:
        """Take the answers to its group; return whether they are in `event`. It `wants_message` then, or `is_taken`."""
        group = self.group
        if group is None or group.answer is None or group not in event.groups:
            return False
        self._go_behind(group, group.answer)
        return True

    def hear(self, data: bytes) -> bool:
        """Do what `receive` does for `data` that the server has sent, if they are all that its group is to be answered,
        and no event tells of them. Return whether they are; else the connection is to be given them."""
        group = self.group
        if group is None or not self.connection.hear_group(group, data):
            return False
        self._go_behind(group, data)
        return True

    def as_transaction(self) -> Transaction:
        """Return the transaction that it is, which goes on from here; the parcel is over."""
        return Transaction._of_parcel(self)

    def _go_behind(self, group: Group, answer: bytes) -> None:
        # At once: where there is no memory for both, neither is taken down.
        answered = self.answered
        answered += (group,)
        self.answered, self.said = answered, self.said + answer
        if self.steps:
            self.group = self.steps.pop()
        else:
            self.group = None
            if self.end is None:
                self.wants_message = True
            else:
                self.is_taken = True

    def receipt(self, timings: Mapping[str, float]) -> Receipt:
        """Return the receipt of a mail that `is_taken`. `timings`: as `Transaction.receipt` takes them."""
        return Receipt.to_write(
            ACCEPTED,
            receipt_of_taken,
            self.sender,
            self.recipients,
            self.said,
            self.begins_anew,
            self.octets,
            self.opening.extensions,
            timings,
        )
