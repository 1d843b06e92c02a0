"""Mailing: one mail as its sender wants it sent, the message, its envelope and how; checked before anybody is asked."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from email.headerregistry import Address
from functools import cache
from inspect import signature
from typing import Any, Final, Literal

from .._wire.text import check_kind
from ..endpoint import Chunking, check_chunking
from ..errors import InvalidMessage, MailwireError
from ..message import Content, Envelope, MessagePolicy, MessageSource
from ..message.copies import kept
from ..message.envelope import names_many
from ..message.policy import DEFAULT_POLICY
from ..message.source_octets import in_thread
from ..smtp import Delivery, Mailbox, MailOptions, Receipt, RecipientOptions

__all__ = [
    "Mailing",
    "OnRefused",
    "Progress",
    "are_many",
    "check_settings",
    "check_wishes",
    "maker_of",
    "read_many",
    "read_recipients",
    "tell_not_sent",
]

# So many addresses are read in one turn of the event loop: some ten milliseconds' work.
_IN_A_TURN: Final = 1000

OnRefused = Literal["send", "abort"]
"""Where some recipients are refused: send the mail to the others, or to nobody."""

Progress = Callable[[int, int | None], object]
"""Is told, behind each block, how many octets of the message were handed to the connection, and how many there are in
all, None if that is not known. What it raises breaks the sending off."""


class Mailing:
    """One mail to be sent, as `SMTPClient.send` describes it; made once, it serves for every attempt.

    Each attempt is for all of its recipients: sent again as it is, it comes twice to those who have it. `to` makes the
    one for those that are left.

    last_receipt: what is known about the last attempt of a `send` to send it, also where that was cancelled; None if
        there was none, or it never got as far as to begin.

    Raises InvalidMessage for an envelope that is none, ValueError for wishes that make no sense.
    """

    def __init__(
        self,
        message: MessageSource,
        *,
        sender: str | Address | None = None,
        recipients: str | Address | Iterable[str | Address] | None = None,
        policy: MessagePolicy = DEFAULT_POLICY,
        options: MailOptions | None = None,
        recipient_options: RecipientOptions | Mapping[str, RecipientOptions] | None = None,
        on_refused: OnRefused = "send",
        use_chunking: Chunking = None,
        progress: Progress | None = None,
    ) -> None:
        if policy is not DEFAULT_POLICY or on_refused != "send" or use_chunking not in (None, "eager"):
            check_settings(policy, on_refused, use_chunking)
        self.has_wishes: bool = progress is not None or on_refused != "send"
        """Whether anything is wished for but that the message is sent, in chunks or not."""
        if options is not None or recipient_options is not None:
            check_wishes(options, recipient_options)
            self.has_wishes = True
        if progress is not None and not callable(progress):
            raise ValueError(f"expected progress to be a function, got {progress!r}")
        self.content: Content = Content(message, policy)
        self.envelope: Envelope = Envelope.of(self.content, sender, recipients)
        self.options = options
        named = self.envelope.recipients
        self.recipient_options: tuple[RecipientOptions | None, ...] = (
            (None,) * len(named) if recipient_options is None else _in_order(recipient_options, named, policy)
        )
        self.on_refused: OnRefused = on_refused
        self.use_chunking = use_chunking
        self.progress = progress
        self.last_receipt: Receipt | None = None

    @classmethod
    def of(cls, message: "MessageSource | Mailing", **settings: Any) -> "Mailing":
        """Return `message` if it is a Mailing, else make one. Raises ValueError where it is, and there are `settings`
        besides."""
        if not isinstance(message, Mailing):
            return cls(message, **settings)
        defaults = _defaults()
        if settings != defaults and (others := [name for name, value in settings.items() if value != defaults[name]]):
            raise ValueError(f"a Mailing says by itself what it is to have as {' and '.join(others)}")
        return message

    @classmethod
    def _plain(cls, octets: bytes, envelope: Envelope, use_chunking: Chunking) -> "Mailing":
        """Return the mail of which no more is wished than that `octets` go to this `envelope`, in chunks or not."""
        mailing = cls.__new__(cls)
        mailing.content = Content(octets)
        mailing.envelope = envelope
        mailing.options = mailing.progress = mailing.last_receipt = None
        mailing.recipient_options = (None,) * len(envelope.recipients)
        mailing.on_refused = "send"
        mailing.use_chunking = use_chunking
        mailing.has_wishes = False
        return mailing

    def _with_message(self, message: MessageSource) -> "Mailing":
        """Return the like of it with another message. Not for one whose envelope comes from its own message."""
        return self._like(Content(message, self.content.policy), self.envelope, self.recipient_options)

    def to(self, recipients: str | Address | Iterable[str | Address]) -> "Mailing":
        """Return the like of it for these `recipients` alone, with the options that are for them: to try again for
        those of a receipt or an error who are `retryable`.

        Its message is the same, looked at once for both. Who is named twice gets it once. Raises InvalidMessage for
        somebody who is no recipient of this one, for an address that is none, and for nobody.
        """
        own = dict(zip(self.envelope.recipients, self.recipient_options, strict=True))
        alike = {(recipient.local, recipient.domain.lower()): recipient for recipient in own}
        named = Envelope.of(b"", self.envelope.sender or "", recipients, self.content.policy)
        left: dict[Mailbox, RecipientOptions | None] = {}
        for recipient in named.recipients:
            found = recipient if recipient in own else alike.get((recipient.local, recipient.domain.lower()))
            if found is None:
                raise InvalidMessage(f"{recipient} is no recipient of the mail")
            left[found] = own[found]
        return self._like(self.content, Envelope(named.sender, tuple(left)), tuple(left.values()))

    def _like(
        self, content: Content, envelope: Envelope, recipient_options: tuple[RecipientOptions | None, ...]
    ) -> "Mailing":
        another = Mailing.__new__(Mailing)
        another.content = content
        another.envelope = envelope
        another.options = self.options
        another.recipient_options = recipient_options
        another.on_refused = self.on_refused
        another.use_chunking = self.use_chunking
        another.progress = self.progress
        another.has_wishes = self.has_wishes
        another.last_receipt = None
        return another

    async def check(self) -> None:
        """Raise InvalidMessage for what no server may be given and SourceFailed for what cannot be read, as far as that
        shows before a server is asked."""
        await self.content.check()


def maker_of(message: "MessageSource | Mailing") -> Callable[..., Mailing]:
    """Return what makes a Mailing of `message` and settings: `Mailing.of`, or for most messages `Mailing` itself, as to
    gather the settings on the way takes longer than to look at them."""
    return Mailing.of if isinstance(message, Mailing) else Mailing


def are_many(recipients: object, message: object) -> bool:
    """Whether to read so many addresses would hold up the event loop: the `recipients`, or where there are none, those
    in the header of `message`."""
    if recipients is None:
        return names_many(message)
    return isinstance(recipients, (list, tuple)) and len(recipients) > _IN_A_TURN


async def read_recipients(recipients: Any, message: Any, sender: str | Address | None, policy: MessagePolicy) -> Any:
    """Return the addresses that `are_many`, read, while the event loop has had its turns: in several of them, or in a
    thread where they are in the header of `message`.

    What is no address among the `recipients` stays what it is, for a Mailing to refuse. Raises InvalidMessage for a
    header that makes no envelope with this `sender`, and SourceFailed where there is no thread.
    """
    if recipients is None:
        return (await in_thread(Envelope.of, message, sender, None, policy)).recipients
    given, read = tuple(recipients), list[Any]()  # whoever has given them may change them meanwhile
    for start in range(0, len(given), _IN_A_TURN):
        read += map(_read, given[start : start + _IN_A_TURN])
        await asyncio.sleep(0)
    return read


async def read_many(
    message: "MessageSource | Mailing", recipients: Any, sender: str | Address | None, policy: MessagePolicy
) -> "tuple[MessageSource | Mailing, Any]":
    """Return both, the recipients, who `are_many`, read, and the message as it was before that: it may be changed
    meanwhile. Raises what `read_recipients` raises."""
    message = kept(message)
    try:
        return message, await read_recipients(recipients, message, sender, policy)
    except MailwireError as error:
        tell_not_sent(error, None)
        raise


def tell_not_sent(error: MailwireError, envelope: Envelope | None) -> None:
    """Let `error` say that a mail with this `envelope`, if it has one by then, was not sent."""
    error.delivery = Delivery.NOT_SENT
    error.receipt = None if envelope is None else envelope.receipt_before_sending()


def _read(given: str | Address) -> Any:
    try:
        return Mailbox.parse(given) if isinstance(given, str) else given
    except ValueError:
        return given


@cache
def _defaults() -> Mapping[str, object]:
    # To read a signature takes longer than to send a mail.
    parameters = signature(Mailing).parameters.items()
    return {name: parameter.default for name, parameter in parameters if name != "message"}


def check_settings(policy: MessagePolicy, on_refused: OnRefused, use_chunking: Chunking) -> None:
    """Raise ValueError for settings that make no sense, whatever the message."""
    check_kind("policy", policy, MessagePolicy, "a MessagePolicy")
    if on_refused not in ("send", "abort"):
        raise ValueError(f'expected on_refused to be "send" or "abort", got {on_refused!r}')
    check_chunking(use_chunking)
    if policy.binary and use_chunking is False:
        raise ValueError("what is sent as it is must go in chunks (RFC 3030 3)")


def check_wishes(
    options: MailOptions | None, recipient_options: RecipientOptions | Mapping[str, RecipientOptions] | None
) -> None:
    """Raise ValueError for wishes that are none, whatever the message."""
    if options is not None:
        check_kind("options", options, MailOptions, "MailOptions")
    if recipient_options is not None and not isinstance(recipient_options, RecipientOptions):
        what = "RecipientOptions, or a mapping of addresses to them"
        check_kind("recipient_options", recipient_options, Mapping, what)
        for address, wished in recipient_options.items():
            check_kind("an address in recipient_options", address, str, "text")
            check_kind(f"recipient_options[{address!r}]", wished, RecipientOptions, "RecipientOptions")


def _in_order(
    options: RecipientOptions | Mapping[str, RecipientOptions], recipients: Sequence[Mailbox], policy: MessagePolicy
) -> tuple[RecipientOptions | None, ...]:
    if isinstance(options, RecipientOptions):
        return (options,) * len(recipients)
    named = {str(recipient): recipient for recipient in recipients}  # to look for a text is faster than to read it
    others = options.keys() - named.keys()
    if others:
        named |= _spelt_otherwise(others, recipients, policy)
    given: dict[Mailbox, RecipientOptions] = {}
    for address, wished in options.items():
        recipient = named[address]
        if recipient in given:
            raise InvalidMessage(f"there are options for {recipient} twice, by two spellings")
        given[recipient] = wished
    return tuple(given.get(recipient) for recipient in recipients)


def _spelt_otherwise(
    addresses: Iterable[str], recipients: Sequence[Mailbox], policy: MessagePolicy
) -> dict[str, Mailbox]:
    # Find the recipients that are named otherwise than the envelope names them; local parts are compared as they are,
    # domains in any case (RFC 5321 2.4), and in A-labels where the policy makes some.
    exact, alike, found = {*recipients}, dict[tuple[str, str], set[Mailbox]](), dict[str, Mailbox]()
    for recipient in exact:
        alike.setdefault((recipient.local, recipient.domain.lower()), set()).add(recipient)
    for address in addresses:
        try:
            mailbox = Mailbox.parse(address)
            if policy.encode_domain is not None and mailbox not in exact:
                mailbox = mailbox.with_a_labels(policy.encode_domain)
        except ValueError as error:
            raise InvalidMessage(str(error)) from error
        meant = {mailbox} if mailbox in exact else alike.get((mailbox.local, mailbox.domain.lower()), set())
        if len(meant) != 1:
            raise InvalidMessage(f"there are options for {mailbox}, who is no recipient of the mail")
        (found[address],) = meant
    return found
