"""Receipt: what is known about a mail after an attempt to send it, whatever became of the attempt."""

from dataclasses import dataclass

from .delivery import Delivery
from .reply import Reply

__all__ = ["Receipt", "RecipientReceipt"]


@dataclass(frozen=True, slots=True)
class RecipientReceipt:
    """What is known about one recipient.

    reply: the one to RCPT; None if there was none, or if it was refused because MAIL was.
    final_reply: the one to the message, if the recipient was accepted: in LMTP its own, in SMTP the same for all.
    """

    address: str
    reply: Reply | None
    delivery: Delivery
    final_reply: Reply | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is known about one mail.

    sender: the reverse-path, "" for the null one.
    recipients: one entry for each recipient given, in that order.
    reply: the reply that decided about the mail as a whole: the last one, to the end of data, or the refusal of MAIL or
        DATA. None if there was none, or if it was the refusal of every recipient that decided.
    octets: how long the message was on the wire, without the final dot; 0 if it did not go out.
    """

    delivery: Delivery
    sender: str
    recipients: tuple[RecipientReceipt, ...]
    reply: Reply | None
    octets: int

    @property
    def accepted(self) -> tuple[str, ...]:
        """The recipients for whom the server took the mail."""
        return tuple(entry.address for entry in self.recipients if entry.delivery is Delivery.ACCEPTED)

    @property
    def refused(self) -> tuple[RecipientReceipt, ...]:
        """The recipients that were refused."""
        return tuple(entry for entry in self.recipients if entry.delivery is Delivery.REFUSED)
