"""Messages: what a caller hands over, turned into an envelope and the octets for the wire; and `compose`, to make one.

mailwire is no MIME library: it takes the standard library's messages and gives back octets, or the other way round.
"""

import copy
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.generator import BytesGenerator
from email.headerregistry import Address
from email.message import EmailMessage, Message
from email.policy import SMTP, EmailPolicy, default
from email.utils import format_datetime, make_msgid
from typing import Final, Self

from ._wire.dots import LineEnds
from .errors import InvalidMessage, NotSupported
from .smtp.extensions import Extensions
from .smtp.paths import Mailbox
from .smtp.receipt import Delivery, Receipt, RecipientReceipt

__all__ = ["Envelope", "Outgoing", "RetrievedMessage", "compose"]

# Large enough that a block costs little, small enough that it stays in the processor's cache while it is mended.
_BLOCK_SIZE: Final = 128 * 1024


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who a mail is from and who it is for, on the wire; nobody reads the header for that."""

    sender: Mailbox | None
    recipients: tuple[Mailbox, ...]

    @classmethod
    def of(cls, message: Message | bytes, sender: str | None, recipients: str | Iterable[str] | None) -> Self:
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


@dataclass(frozen=True, slots=True)
class RetrievedMessage:
    """A message as the server gave it: `raw` is it, octet for octet, `number` was its number in that session, `uid` is
    its unique id, None where the server has no UIDL."""

    number: int
    uid: str | None
    raw: bytes = field(repr=False)

    def parse(self) -> EmailMessage:
        """Parse the message. What a stranger wrote may take the standard library's parser long, or break it."""
        return message_from_bytes(self.raw, policy=SMTP)


class Outgoing:
    """A message on its way out: an envelope, and content that is made to fit what the server can take."""

    def __init__(self, message: Message | bytes, envelope: Envelope) -> None:
        self.envelope = envelope
        self.mail_parameters: Mapping[str, str | None] = {}
        self._message = message
        self._content = b""

    def fit(self, extensions: Extensions) -> None:
        """Make the content and the parameters of MAIL for a server with these `extensions`.

        Raises NotSupported where the server cannot take what cannot be changed, InvalidMessage for content that no
        server may be given. Nothing was sent then.
        """
        parameters: dict[str, str | None] = {}
        utf8 = not self.envelope.is_ascii
        if utf8 and "SMTPUTF8" not in extensions:
            raise NotSupported(
                "an address has characters beyond ASCII, and the server does not offer SMTPUTF8 (RFC 6531)",
                extension="SMTPUTF8",
            )
        self._content = _mend(_flatten(self._message, eight_bit="8BITMIME" in extensions, utf8=utf8))
        if not self._content.isascii():
            if "8BITMIME" not in extensions:
                raise NotSupported(
                    "the message has octets beyond ASCII, and the server does not offer 8BITMIME (RFC 6152)",
                    extension="8BITMIME",
                )
            parameters["BODY"] = "8BITMIME"
        if utf8:
            parameters["SMTPUTF8"] = None
        if "SIZE" in extensions:
            limit = extensions.size
            if limit is not None and len(self._content) > limit:
                raise NotSupported(
                    f"the message has {len(self._content)} octets, and the server takes {limit} (RFC 1870)",
                    extension="SIZE",
                )
            parameters["SIZE"] = str(len(self._content))
        self.mail_parameters = parameters

    def blocks(self) -> Iterator[bytes]:
        """Yield the content in blocks."""
        for start in range(0, len(self._content), _BLOCK_SIZE):
            yield self._content[start : start + _BLOCK_SIZE]


def compose(
    *,
    sender: str | Address,
    to: str | Address | Iterable[str | Address],
    subject: str = "",
    text: str = "",
    html: str | None = None,
    cc: str | Address | Iterable[str | Address] = (),
    bcc: str | Address | Iterable[str | Address] = (),
    reply_to: str | Address | Iterable[str | Address] = (),
) -> EmailMessage:
    """Make a message: a header with Date and Message-ID, a text, and the same in HTML if given.

    Addresses are `name@example.org`, `Some Name <name@example.org>` or email.headerregistry.Address. Keep the message
    for another attempt: its Message-ID is how a receiver knows a duplicate. Raises ValueError for a CR or LF in a field
    of the header.
    """
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    for name, addresses in (("To", to), ("Cc", cc), ("Bcc", bcc), ("Reply-To", reply_to)):
        listed = [addresses] if isinstance(addresses, (str, Address)) else list(addresses)
        if listed:
            message[name] = ", ".join(str(address) for address in listed)
    message["Subject"] = subject
    message["Date"] = format_datetime(datetime.now(UTC))
    # The domain is the sender's: the name of this machine is nobody's business, and looking it up may take its time.
    message["Message-ID"] = make_msgid(domain=message["From"].addresses[0].domain or "localhost")
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    return message


def _addresses(message: Message, name: str) -> list[Mailbox]:
    mailboxes: list[Mailbox] = []
    for value in message.get_all(name, ()):
        # Older policies give text; the newer one parses it. What its parser made of a quoted local part is put into
        # quotes again by our own rules.
        parsed = value if hasattr(value, "addresses") else default.header_factory(name, str(value))
        if not all(address.username and address.domain for address in parsed.addresses):
            raise InvalidMessage(f"expected addresses in {name}, got {str(value)!r}")
        mailboxes.extend(Mailbox(address.username, address.domain) for address in parsed.addresses)
    return mailboxes


def _header(message: Message | bytes) -> Message:
    if not isinstance(message, Message):
        raise InvalidMessage("a message given as octets needs a sender and recipients: its header is not read")
    # Which block of Resent- fields is the newest is not decided here (RFC 5322 3.6.6).
    if resent := sorted({name for name in message if name.lower().startswith("resent-")}):
        raise InvalidMessage(f"a message with {', '.join(resent)} needs a sender and recipients given explicitly")
    return message


def _sender(message: Message) -> Mailbox:
    # RFC 5322 3.6.2: Sender is the one who sent it, and must be there if From has several authors.
    for name in ("Sender", "From"):
        if (mailboxes := _addresses(message, name)) and (len(mailboxes) == 1):
            return mailboxes[0]
        if mailboxes:
            raise InvalidMessage(f"{name} has {len(mailboxes)} addresses: give the sender explicitly, or in Sender")
    raise InvalidMessage("the message has neither From nor Sender: give the sender explicitly")


def _recipients(message: Message) -> tuple[Mailbox, ...]:
    return tuple(mailbox for name in ("To", "Cc", "Bcc") for mailbox in _addresses(message, name))


def _flatten(message: Message | bytes, *, eight_bit: bool, utf8: bool) -> bytes:
    if not isinstance(message, Message):
        return message
    # Bcc is for the envelope alone (RFC 5322 3.6.3). The caller's message stays as it is.
    visible = copy.copy(message)
    del visible["Bcc"]
    policy = message.policy.clone(linesep="\r\n", cte_type="8bit" if eight_bit else "7bit")
    if utf8 and isinstance(policy, EmailPolicy):
        policy = policy.clone(utf8=True)
    flat = io.BytesIO()
    BytesGenerator(flat, mangle_from_=False, policy=policy).flatten(visible)
    return flat.getvalue()


def _mend(content: bytes) -> bytes:
    line_ends = LineEnds()
    try:
        mended = line_ends.feed(content)
    except ValueError as error:
        raise InvalidMessage(str(error)) from None
    mended += line_ends.finish()
    if not mended:
        raise InvalidMessage("the message is empty: it has not even a header")
    # SIZE (RFC 1870 3) counts the octets of the message as it will be sent, with the end of its last line.
    return mended if mended.endswith(b"\r\n") else mended + b"\r\n"
