"""Envelope: who a mail is from and who it is for (RFC 5321 2.3.1), as the caller or the message's header says."""

from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message
from typing import Self

from ..errors import InvalidMessage
from ..smtp.delivery import Delivery
from ..smtp.paths import Mailbox
from ..smtp.receipt import Receipt, RecipientReceipt
from .addresses import addresses_of
from .content import Content
from .source import MessageSource

__all__ = ["Envelope"]


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who a mail is from and who it is for, on the wire; nobody reads the header for that."""

    sender: Mailbox | None
    recipients: tuple[Mailbox, ...]

    @classmethod
    def of(cls, message: MessageSource | Content, sender: str | None, recipients: str | Iterable[str] | None) -> Self:
        """Return the envelope for `message`: what is given explicitly, the rest from its header.

        The header's part is that of RFC 5322 3.6.2 and 3.6.3: Sender or else From; To, Cc and Bcc. Raises
        InvalidMessage if that leaves no sender or no recipient, or an address is none.
        """
        given = [recipients] if isinstance(recipients, str) else recipients
        try:
            if sender is None:
                reverse_path: Mailbox | None = _sender(_header(message))
            else:
                reverse_path = Mailbox.parse(sender) if sender else None
            if given is None:
                forward_paths = _recipients(_header(message))
            else:
                forward_paths = tuple(Mailbox.parse(address) for address in given)
        except ValueError as error:
            raise InvalidMessage(str(error)) from error
        if not forward_paths:
            raise InvalidMessage("the message has no recipient")
        return cls(reverse_path, forward_paths)

    @property
    def is_ascii(self) -> bool:
        """Whether it can be sent without SMTPUTF8."""
        return all(mailbox.is_ascii for mailbox in (self.sender, *self.recipients) if mailbox is not None)

    def receipt_before_sending(self) -> Receipt:
        """Return the receipt of a mail of which nothing was sent yet."""
        recipients = tuple(RecipientReceipt(str(to), None, Delivery.NOT_SENT) for to in self.recipients)
        return Receipt(Delivery.NOT_SENT, str(self.sender or ""), recipients, None, 0)


def _header(message: MessageSource | Content) -> Message:
    if isinstance(message, Content) and message.message is not None:
        message = message.message
    if not isinstance(message, Message):
        raise InvalidMessage("a message given as octets needs a sender and recipients: its header is not read")
    # Which block of Resent- fields is the newest is not decided here (RFC 5322 3.6.6).
    if resent := sorted({name for name in message if name.lower().startswith("resent-")}):
        raise InvalidMessage(f"a message with {', '.join(resent)} needs a sender and recipients given explicitly")
    return message


def _sender(message: Message) -> Mailbox:
    # RFC 5322 3.6.2: Sender is the one who sent it, and must be there if From has several authors.
    for name in ("Sender", "From"):
        if (mailboxes := addresses_of(message, name)) and (len(mailboxes) == 1):
            return mailboxes[0]
        if mailboxes:
            raise InvalidMessage(f"{name} has {len(mailboxes)} addresses: give the sender explicitly, or in Sender")
    raise InvalidMessage("the message has neither From nor Sender: give the sender explicitly")


def _recipients(message: Message) -> tuple[Mailbox, ...]:
    return tuple(mailbox for name in ("To", "Cc", "Bcc") for mailbox in addresses_of(message, name))
