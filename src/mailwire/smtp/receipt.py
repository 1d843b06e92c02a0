"""Receipt: what is known about a mail after an attempt to send it, whatever became of the attempt."""

from dataclasses import dataclass
from enum import Enum

from .reply import Reply

__all__ = ["Delivery", "Receipt", "RecipientReceipt"]


class Delivery(Enum):
    """What became of a mail, for one recipient or as a whole.

    Let the moment of doubt begin when the last octet of the message, the final dot's line end, is handed to the
    transport, and end when the last octet of a well-formed reply to it was read.
    """

    NOT_SENT = "not sent"
    """The attempt ended before the moment of doubt, and not by a refusal. The server does not have the mail."""

    REFUSED = "refused"
    """The server refused, in a complete reply. It does not have the mail."""

    ACCEPTED = "accepted"
    """The server took responsibility for the mail (RFC 5321 4.2.5, 6.1)."""

    UNKNOWN = "unknown"
    """The attempt ended within the moment of doubt. The server may or may not have the mail (RFC 1047)."""

    def __repr__(self) -> str:
        return f"Delivery.{self.name}"


@dataclass(frozen=True, slots=True)
class RecipientReceipt:
    """What is known about one recipient: `reply` is the one to RCPT, None if there was none."""

    address: str
    reply: Reply | None
    delivery: Delivery


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
