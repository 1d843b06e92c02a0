"""PlainMail: a mail of a run of which nothing is wished but what is wished for all, and whose octets are in memory and
need nothing of a server.

Most mails of most runs are plain. How they go is found out once for all of them (`Form`), and each is a parcel. Its
sending, its passage and its transaction are made where something is heard that was not to be expected, or nothing more
will be: what becomes of the mail then, is found out as for any other.
"""

from typing import ClassVar, Final

from .._wire.dots import MailText
from ..errors import InvalidMessage, MailwireError
from ..message.mending import mend_text
from ..message.outgoing import demands_utf8
from ..message.pieces import BLOCK_SIZE
from ..smtp import GroupsAnswered, Receipt
from ..smtp.opening import Opening
from ..smtp.parameters import NO_PARAMETERS
from ..smtp.parcel import Parcel
from .consignment import Item, Supply
from .dialogue import Dialogue
from .mailing import Mailing
from .passage import Passage
from .sending import Sending, chunking_for

__all__ = ["Form", "PlainMail", "PlainMails"]

# More recipients are named in several steps, which a parcel does not know of.
_MANY: Final = 1000


class PlainMails:
    """The plain mails of `consignment` that go over `dialogue`."""

    def __init__(self, dialogue: Dialogue, consignment: Supply) -> None:
        self._dialogue = dialogue
        self._consignment = consignment
        self._form: Form | None = None  # if it is known
        self._is_looked_for = True  # as long as it may be found

    def made_of(self, item: Item) -> "PlainMail | None":
        """Return the plain mail that `item` is; None if it is none, or cannot be sent as it is."""
        octets = item.message
        if type(octets) is not bytes or item.sending is not None:
            return None
        if self._is_looked_for:
            self._is_looked_for = False
            try:
                self._form = Form.of(self._dialogue, self._consignment.example())
            except MailwireError:
                return None  # why, is found out for each mail
        return None if self._form is None else self._form.fill(item, octets)


class Form:
    """How plain mails go over `dialogue`, each like `example` but for its octets. Make one with `of`."""

    def __init__(self, dialogue: Dialogue, example: Mailing, opening: Opening, limit: int | None) -> None:
        self.dialogue: Dialogue = dialogue
        self.example: Mailing = example
        self.opening: Opening = opening
        self._policy = example.content.policy
        self._most = BLOCK_SIZE if limit is None else min(limit, BLOCK_SIZE)  # octets

    @classmethod
    def of(cls, dialogue: Dialogue, example: Mailing) -> "Form | None":
        """Return the form of mails that are like `example`; None if they are not plain, or cannot go as parcels."""
        connection, content = dialogue.connection, example.content
        offered = connection.offered
        if example.options is not None or any(example.recipient_options) or example.on_refused != "send":
            return None
        if content.policy.binary or example.progress is not None:
            return None
        if demands_utf8(content, example.envelope) or len(example.envelope.recipients) > _MANY:
            return None
        if connection.is_lmtp or not connection.takes_groups or "LIMITS" in offered.names:
            return None
        chunking = chunking_for(example, dialogue, offered)
        opening = connection.opening_for((NO_PARAMETERS, None, "send", chunking, "SIZE" in offered.names))
        return cls(dialogue, example, opening, offered.size)

    def fill(self, item: Item, octets: bytes) -> "PlainMail | None":
        """Return the plain mail that `item` is, which has these `octets`; None if it is none."""
        if len(octets) > self._most or not octets.isascii():
            return None
        try:
            message, survey = mend_text(octets, self._policy)
        except InvalidMessage:
            return None  # as above
        return None if survey.octets > self._most else PlainMail(self, item, message)


class PlainMail:
    """A mail of this `form`: ready to `begin`, or on its way as a `parcel`."""

    __slots__ = ("_envelope", "_form", "_message", "_since", "item", "parcel")

    goes_alone: ClassVar[bool] = False
    """Whether it cannot be chained to others."""
    parcel: Parcel
    """The mail, once it has begun."""
    _since: float  # when the phase began that it is in: that of the envelope, or...

    def __init__(self, form: Form, item: Item, message: MailText) -> None:
        self.item: Item = item
        self._form = form
        self._message = message
        self._envelope: float | None = None  # ...that of the verdict, if the envelope took so many seconds

    def begin(self, *, is_first: bool, begins_anew: bool) -> None:
        """Let it go, as a parcel that `is_first` and `begins_anew`. Raises LocalProtocolError as that does."""
        form = self._form
        dialogue, opening, envelope = form.dialogue, form.opening, form.example.envelope
        self._since = dialogue.time()
        what = envelope.sender, envelope.recipients, self._message
        self.parcel = Parcel(dialogue.connection, opening, *what, is_first=is_first, begins_anew=begins_anew)
        if opening.is_eager:
            self._envelope = 0.0  # its message left with it
        dialogue.transactions += 1

    @property
    def wants_message(self) -> bool:
        """Whether its message is to be written now."""
        return self.parcel.wants_message

    @property
    def is_ended(self) -> bool:
        """Whether its message is written."""
        return self.parcel.end is not None

    @property
    def is_chunked(self) -> bool:
        """Whether its message goes in a chunk."""
        return self._form.opening.chunking is not False

    def write(self) -> None:
        """Write its message, which is wanted."""
        self.parcel.write()
        now = self._form.dialogue.time()
        self._envelope, self._since = now - self._since, now

    def receive(self, answer: GroupsAnswered) -> bool:
        """Take what the server has answered; return whether it has taken the mail."""
        return self.parcel.receive(answer) and self.parcel.is_taken

    def end(self) -> Receipt:
        """Return the receipt of what the server has taken."""
        verdict = self._form.dialogue.time() - self._since
        return self.parcel.receipt({"envelope": self._envelope or 0.0, "message": 0.0, "verdict": verdict})

    def go_on_as(self, sending: Sending) -> Passage:
        """Let `sending`, which is the mail's, go on from here; return its passage."""
        return sending.take_over(self._form.dialogue, self.parcel.as_transaction(), self._since, self._envelope)
