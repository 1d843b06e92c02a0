"""Envelope: who a mail is from and who it is for (RFC 5321 2.3.1), as the caller or the message's header says."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import Message
from functools import lru_cache
from operator import attrgetter
from typing import Final

from ..errors import InvalidMessage
from ..smtp.delivery import Delivery
from ..smtp.paths import Mailbox
from ..smtp.receipt import Receipt, RecipientReceipt
from .addresses import addresses_in
from .content import Content
from .policy import DEFAULT_POLICY, EncodeDomain, MessagePolicy
from .resent import newest_resent_block
from .source import MessageSource

__all__ = ["Envelope", "names_many", "remembered_envelope"]


# So many envelopes are remembered, of those with so few recipients.
_REMEMBERED: Final = 256
_FEW: Final = 100
# What is one address, if it is any: octets are not, yet they can be iterated.
_ONE: Final = (str, Mailbox, Address, bytes, bytearray)
# The fields that name recipients, and so many characters of them: with more, other tasks would notice how long it takes
# to read them.
_NAMING: Final = frozenset({"to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc"})
_CHARACTERS: Final = 5000
# An error says back so many characters of what is no address.
_QUOTED: Final = 200


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who a mail is from and who it is for, on the wire; no server reads the header for that."""

    sender: Mailbox | None
    recipients: tuple[Mailbox, ...]
    is_ascii: bool = field(init=False, repr=False, compare=False)
    """Whether it can be sent without SMTPUTF8."""

    def __post_init__(self) -> None:
        is_ascii = (self.sender is None or self.sender.is_ascii) and all(map(attrgetter("is_ascii"), self.recipients))
        object.__setattr__(self, "is_ascii", is_ascii)

    @classmethod
    def of(
        cls,
        message: MessageSource | Content,
        sender: str | Mailbox | Address | None = None,
        recipients: str | Mailbox | Address | Iterable[str | Mailbox | Address] | None = None,
        policy: MessagePolicy | None = None,
    ) -> "Envelope":
        """Return the envelope for `message`: what is given explicitly, the rest from its header.

        sender: the reverse-path; "" is the null one. By default Sender, or else From (RFC 5322 3.6.2).
        recipients: by default To, Cc and Bcc (RFC 5322 3.6.3).
        policy: by default that of a Content, or MessagePolicy().

        A message that was resent goes from and to whom its newest block of Resent- fields says (RFC 5322 3.6.6), and to
        nobody else. Of an email.headerregistry.Address the display name is left out. Raises InvalidMessage if there is
        no sender or no recipient, if an address is none, and for a header that leaves doubts.
        """
        if isinstance(message, Content):
            policy = policy or message.policy
            message = message.message or b""
        policy = policy or DEFAULT_POLICY
        given: tuple[object, ...] | None
        if recipients is None:
            given = None
        elif isinstance(recipients, (list, tuple)):  # as most are
            given = tuple(recipients)
        elif isinstance(recipients, _ONE) or not hasattr(recipients, "__iter__"):
            given = (recipients,)
        else:
            given = tuple(recipients)
        try:
            if sender is None or given is None:
                header = _Header(message)
                reverse_path = header.sender() if sender is None else _reverse_path(sender)
                forward_paths = header.recipients() if given is None else [_mailbox(recipient) for recipient in given]
                return cls._under(policy, reverse_path, forward_paths)
            if policy is DEFAULT_POLICY and len(given) <= _FEW and not isinstance(sender, Address):
                try:
                    return _remembered(sender, given)
                except TypeError:
                    pass  # one of them cannot be remembered
            return _explicit(sender, given, policy)
        except InvalidMessage:
            raise
        except ValueError as error:
            raise InvalidMessage(str(error)) from error

    @classmethod
    def _under(cls, policy: MessagePolicy, sender: Mailbox | None, recipients: list[Mailbox]) -> "Envelope":
        if (encode := policy.encode_domain) is not None:
            sender = sender and _in_ascii(sender, encode)
            recipients = [_in_ascii(recipient, encode) for recipient in recipients]
        if policy.fold_duplicates:
            folded: dict[tuple[str, str], Mailbox] = {}
            for recipient in recipients:
                folded.setdefault((recipient.local, recipient.domain.lower()), recipient)
            recipients = list(folded.values())
        if not recipients:
            raise InvalidMessage("the message has no recipient")
        return cls(sender, tuple(recipients))

    def receipt_before_sending(self) -> Receipt:
        """Return the receipt of a mail of which nothing was sent yet."""
        return Receipt.to_write(Delivery.NOT_SENT, self._receipt)

    def _receipt(self) -> Receipt:
        recipients = tuple(RecipientReceipt(str(to), None, Delivery.NOT_SENT) for to in self.recipients)
        return Receipt(Delivery.NOT_SENT, str(self.sender or ""), recipients, None, 0)


def remembered_envelope(sender: object, recipients: object) -> Envelope | None:
    """Return the envelope that `Envelope.of` makes of these texts, where many mails may have the same; None for others,
    and for what makes none: why, that says."""
    if type(sender) is not str:
        return None
    if type(recipients) is list:
        given = tuple(recipients)
    elif type(recipients) is str:
        given = (recipients,)
    else:
        return None
    if len(given) > _FEW:
        return None
    try:
        return _remembered(sender, given)
    except (ValueError, TypeError):
        return None


def names_many(message: object) -> bool:
    """Whether `message` has a header that names so many recipients that they are better read in a thread."""
    if not isinstance(message, Message):
        return False
    named = [len(str(value)) for name, value in message.raw_items() if name.lower() in _NAMING]
    return sum(named) > _CHARACTERS


class _Header:
    # What a message's header says about who it is from and for.

    def __init__(self, message: MessageSource) -> None:
        if not isinstance(message, Message):
            raise InvalidMessage("a message given as octets needs a sender and recipients: its header is not read")
        fields = list(message.raw_items())
        block = newest_resent_block(fields)
        self._prefix = "" if block is None else "Resent-"
        self._fields = fields if block is None else block

    def sender(self) -> Mailbox:
        # RFC 5322 3.6.2: Sender is the one who sent it, and must be there if From has several authors.
        for name in ("Sender", "From"):
            name, mailboxes = self._mailboxes(name)
            if len(mailboxes) == 1:
                return mailboxes[0]
            if mailboxes:
                raise InvalidMessage(f"{name} has {len(mailboxes)} addresses: give the sender explicitly, or in Sender")
        raise InvalidMessage(
            f"the message has neither {self._prefix}From nor {self._prefix}Sender: give the sender explicitly"
        )

    def recipients(self) -> list[Mailbox]:
        return [mailbox for name in ("To", "Cc", "Bcc") for mailbox in self._mailboxes(name)[1]]

    def _mailboxes(self, name: str) -> tuple[str, list[Mailbox]]:
        name = self._prefix + name
        values = [value for field_name, value in self._fields if field_name.lower() == name.lower()]
        return name, [address.mailbox for value in values for address in addresses_in(name, value)]


def _explicit(sender: object, recipients: tuple[object, ...], policy: MessagePolicy) -> Envelope:
    return Envelope._under(policy, _reverse_path(sender), [_mailbox(recipient) for recipient in recipients])


@lru_cache(_REMEMBERED)
def _remembered(sender: object, recipients: tuple[object, ...]) -> Envelope:
    # Many mails have the same envelope, and what was given says all of it.
    return _explicit(sender, recipients, DEFAULT_POLICY)


def _reverse_path(given: object) -> Mailbox | None:
    return None if isinstance(given, str) and not given else _mailbox(given)


def _mailbox(given: object) -> Mailbox:
    if isinstance(given, Mailbox):
        return given
    if isinstance(given, str):
        return Mailbox.parse(given)
    if isinstance(given, Address):
        return Mailbox(given.username, given.domain)
    raise InvalidMessage(
        "expected an address as text, smtp.Mailbox or email.headerregistry.Address, "
        f"got {repr(given)[:_QUOTED]} ({type(given).__name__})"
    )


def _in_ascii(mailbox: Mailbox, encode: EncodeDomain) -> Mailbox:
    # Under SMTPUTF8, which the local part demands, the domain can stay what it is.
    return mailbox.with_a_labels(encode) if mailbox.local.isascii() else mailbox
