"""Links: the mails of a chain, ready to begin or begun, as the chain asks them."""

from dataclasses import dataclass
from typing import ClassVar

from .._wire.dots import MailText
from ..errors import InvalidMessage, MailwireError
from ..message import Envelope
from ..message.mending import mend_text
from ..message.pieces import BLOCK_SIZE
from ..smtp import Batch, Transaction
from .consignment import Item, Supply
from .dialogue import Dialogue
from .passage import Passage
from .plain_mail import Form, PlainMail, form_of
from .sending import Sending

__all__ = ["Link", "PlainLink", "PlainLinks", "Ready"]


@dataclass(slots=True, eq=False)
class Ready:
    """A mail that can begin, with the recipients of this `batch`.

    goes_alone: as a part of a mail, or because it needs another session.
    """

    item: Item
    sending: Sending
    batch: Batch
    goes_alone: bool


@dataclass(slots=True, eq=False)
class Link:
    """A mail that was begun.

    is_part: there may be another part of it.
    """

    item: Item
    sending: Sending
    passage: Passage
    transaction: Transaction
    is_part: bool

    # As of a PlainMail

    @property
    def wants_message(self) -> bool:
        """Whether of its message is to be written now."""
        return self.transaction.wants_data

    @property
    def is_ended(self) -> bool:
        """Whether its message is written."""
        return self.transaction.is_ended

    @property
    def is_chunked(self) -> bool:
        """Whether its message goes in chunks."""
        return self.transaction.chunking is not False


class PlainLink(PlainMail):
    """A plain mail of a run, ready to begin or begun."""

    __slots__ = ("item",)

    goes_alone: ClassVar[bool] = False
    """Whether it cannot be chained to others."""

    def __init__(self, item: Item, form: Form, envelope: Envelope, message: MailText) -> None:
        self.form: Form = form
        self.envelope: Envelope = envelope
        self.envelope_time: float | None = None
        self.message: MailText = message
        self.item: Item = item

    def unfolded(self, sending: Sending) -> Link:
        """Return it as any other mail is, whose `sending` goes on with it."""
        passage = sending.take_over(self)
        return Link(self.item, sending, passage, passage.transaction, is_part=False)


class PlainLinks:
    """The plain mails of `consignment` that go over `dialogue`."""

    def __init__(self, dialogue: Dialogue, consignment: Supply) -> None:
        self._dialogue = dialogue
        self._consignment = consignment
        self._alike: tuple[Form, Envelope] | None = None  # how they go, and for whom, if it is known
        self._is_looked_for = True  # as long as it may be found

    def made_of(self, item: Item) -> PlainLink | None:
        """Return the plain mail that `item` is; None if it is none, or cannot be sent as it is."""
        octets = item.message
        if type(octets) is not bytes or item.sending is not None:
            return None
        if self._is_looked_for:
            self._is_looked_for = False
            try:
                example = self._consignment.example()
            except MailwireError:
                return None  # why, is found out for each mail
            if not example.has_wishes:
                wished = example.envelope, example.content.policy, example.use_chunking
                form = form_of(self._dialogue, *wished)
                self._alike = None if form is None else (form, example.envelope)
        if self._alike is None:
            return None
        form, envelope = self._alike
        # As `may_be_plain` and `Form.takes` have it.
        if len(octets) > BLOCK_SIZE or not octets.isascii():
            return None
        try:
            message = mend_text(octets, form.policy)
        except InvalidMessage:
            return None  # why, is found out for it alone
        return PlainLink(item, form, envelope, message) if len(message) <= form.most else None
