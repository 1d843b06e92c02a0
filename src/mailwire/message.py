"""Messages: what a caller hands over, turned into an envelope and the octets for the wire; and `compose`, to make one.

mailwire is no MIME library: it takes the standard library's messages and gives back octets, or the other way round.
"""

import copy
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.errors import NonASCIILocalPartDefect
from email.generator import BytesGenerator
from email.headerregistry import Address
from email.message import EmailMessage, Message
from email.policy import SMTP, EmailPolicy, default
from email.utils import format_datetime, make_msgid
from secrets import token_hex
from typing import Any, Final, Self

from ._wire.dots import LineEnds
from .errors import InvalidMessage, NotSupported
from .smtp.extensions import Extensions
from .smtp.paths import Mailbox
from .smtp.receipt import Delivery, Receipt, RecipientReceipt

__all__ = ["Envelope", "Outgoing", "RetrievedMessage", "check", "compose"]

_FIELD_NAME: Final = re.compile(r"[!-9;-~]+\Z")  # RFC 5322 2.2
_FOLD: Final = re.compile(r"\r?\n(?=[ \t])")
_LINE_END: Final = re.compile(r"[\r\n\0]")
_STRAY_LINE_END: Final = re.compile(r"\r\n(?![ \t])|\r(?!\n)|(?<!\r)\n(?![ \t])|\0")

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
    """A message on its way out: its content, made to fit a server with these `extensions`, and the parameters of MAIL.

    Raises NotSupported where the server cannot take what cannot be changed, InvalidMessage for content that no server
    may be given. Nothing was sent then.
    """

    def __init__(self, message: Message | bytes, envelope: Envelope, extensions: Extensions) -> None:
        parameters: dict[str, str | None] = {}
        utf8 = not envelope.is_ascii
        if utf8 and "SMTPUTF8" not in extensions:
            raise NotSupported(
                "an address has characters beyond ASCII, and the server does not offer SMTPUTF8 (RFC 6531)",
                extension="SMTPUTF8",
            )
        check(message)
        if isinstance(message, Message):
            message = _flatten(message, eight_bit="8BITMIME" in extensions, utf8=utf8)
        self._content = _mend(message)
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
        self.mail_parameters: Mapping[str, str | None] = parameters

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
    for another attempt: its Message-ID is how a receiver knows a duplicate. Raises ValueError for an address that is
    none, and for a line end or NUL in what becomes a field of the header.
    """
    message = EmailMessage(policy=SMTP)
    given = {"From": sender, "To": to, "Cc": cc, "Bcc": bcc, "Reply-To": reply_to}
    fields = {name: _listed(addresses) for name, addresses in given.items()}
    for name, addresses in fields.items():
        if addresses:
            _set_addresses(message, name, _checked(name, ", ".join(str(address) for address in addresses)))
            if not _addresses(message, name) and name == "From":
                raise InvalidMessage("expected an address as the sender, got none")
    message["Subject"] = _checked("subject", subject)
    message["Date"] = format_datetime(datetime.now(UTC))
    # The domain is the sender's: the name of this machine is nobody's business, and looking it up may take its time.
    message["Message-ID"] = make_msgid(domain=message["From"].addresses[0].domain)
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
        message.set_boundary(f"=_{token_hex(16)}")  # now, so that every attempt sends the same octets
    return message


def _listed(addresses: str | Address | Iterable[str | Address]) -> list[str | Address]:
    return [addresses] if isinstance(addresses, (str, Address)) else list(addresses)


def _set_addresses(message: EmailMessage, name: str, value: str) -> None:
    try:
        message[name] = value
    except Exception as error:
        # The standard library's parser fails in more ways than it says (IndexError for a lone quote).
        raise InvalidMessage(f"expected addresses in {name}, got {value!r}") from error


def _checked(name: str, value: str) -> str:
    if _LINE_END.search(value):
        raise InvalidMessage(f"{name} must not hold a line end or NUL, got {value!r}")
    return value


def _addresses(message: Message, name: str) -> list[Mailbox]:
    mailboxes: list[Mailbox] = []
    try:
        fields = [_parsed(name, value) for value in message.get_all(name, ())]
    except Exception as error:
        raise InvalidMessage(f"expected addresses in {name}, and it cannot be read: {error}") from error
    for field_ in fields:
        # What the parser had to guess at ("<a@b>@c") may go anywhere, and goes nowhere.
        guessed = [defect for defect in field_.defects if not isinstance(defect, NonASCIILocalPartDefect)]
        whole = all(address.username and address.domain for address in field_.addresses)
        if guessed or not whole:
            raise InvalidMessage(f"expected addresses in {name}, got {str(field_)!r}")
        # What it made of a quoted local part is put into quotes again by our own rules.
        mailboxes.extend(Mailbox(address.username, address.domain) for address in field_.addresses)
    return mailboxes


def _parsed(name: str, value: Any) -> Any:
    # The newer policies have parsed it; the older one gives text, or a Header where there were octets of no charset.
    if hasattr(value, "addresses"):
        return value
    text = str(value)
    if not isinstance(value, str) and not text.isascii():
        raise ValueError(f"octets beyond ASCII in {text!r}")
    return default.header_factory(name, _FOLD.sub("", text))


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


def check(message: Message | bytes) -> None:
    """Raise InvalidMessage for what no server may be given, as far as that shows before one is asked."""
    if not isinstance(message, Message):
        _check_octets(message)
        return
    for part in message.walk():
        for name, value in part.raw_items():
            _check_field(part, name, str(value))


def _check_octets(content: bytes) -> None:
    if not content:
        raise InvalidMessage("the message is empty: it has not even a header")
    if b"\0" in content:
        raise InvalidMessage(f"the message holds a NUL at octet {content.index(0)}: it cannot be sent as mail data")


def _flatten(message: Message, *, eight_bit: bool, utf8: bool) -> bytes:
    # The caller's message stays as it is; the generator gives boundaries to the parts that have none yet.
    visible = copy.deepcopy(message) if message.is_multipart() else copy.copy(message)
    # For the envelope alone (RFC 5322 3.6.3, 3.6.6).
    del visible["Bcc"]
    del visible["Resent-Bcc"]
    try:
        try:
            return _generate(visible, utf8=utf8, cte_type="8bit" if eight_bit else "7bit")
        except UnicodeError:
            # Octets of a charset that nobody knows cannot be written in seven bits: they are what they are.
            return _generate(visible, utf8=utf8, cte_type="8bit")
    except Exception as error:
        # What a broken message does to the generator is its own business, and anything.
        raise InvalidMessage(f"no octets can be made of the message: {type(error).__name__}: {error}") from error


def _generate(message: Message, *, utf8: bool, cte_type: str) -> bytes:
    policy = message.policy.clone(linesep="\r\n", cte_type=cte_type)
    if isinstance(policy, EmailPolicy):
        policy = policy.clone(utf8=utf8)  # a header in UTF-8 is for SMTPUTF8 alone (RFC 6532)
    flat = io.BytesIO()
    BytesGenerator(flat, mangle_from_=False, policy=policy).flatten(message)
    return flat.getvalue()


def _check_field(part: Message, name: str, value: str) -> None:
    # The standard library's generators write some line ends as they are, which would end the header or begin another
    # field; which ones, depends on the version (CVE-2024-6923 and kin). Only those of a folded field may stand.
    if not _FIELD_NAME.match(name):
        raise InvalidMessage(f"expected the name of a header field, got {name!r}")
    stray = _STRAY_LINE_END.search(value)
    if stray is None and "=?" in value and isinstance(part.policy, EmailPolicy):
        stray = _LINE_END.search(str(part.policy.header_fetch_parse(name, value)))
    if stray is not None:
        raise InvalidMessage(f"the header field {name} must not hold a line end or NUL, got {value!r}")


def _mend(content: bytes) -> bytes:
    _check_octets(content)
    line_ends = LineEnds()
    mended = line_ends.feed(content) + line_ends.finish()
    # SIZE (RFC 1870 3) counts the octets of the message as it will be sent, with the end of its last line.
    return mended if mended.endswith(b"\r\n") else mended + b"\r\n"
