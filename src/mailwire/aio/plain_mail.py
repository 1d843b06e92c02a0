"""PlainMail: a mail of which nothing is wished but to be sent, and whose octets are in memory and need nothing of a
server.

Most mails are plain. How they go over a dialogue is found out once for all of them (`Form`), and each is a parcel. Its
passage and its transaction are made where something is heard that was not to be expected, or nothing more will be
(`Sending.take_over`): what becomes of the mail then, is found out as for any other.
"""

from typing import Final

from .._wire.dots import MailText
from ..endpoint import Chunking
from ..errors import InvalidMessage
from ..message import Envelope, MessagePolicy
from ..message.mending import mend_text
from ..message.pieces import BLOCK_SIZE
from ..smtp import GroupsAnswered, Receipt
from ..smtp.opening import Opening
from ..smtp.parameters import NO_PARAMETERS
from ..smtp.parcel import Parcel
from .dialogue import Dialogue

__all__ = ["Form", "PlainMail", "may_be_plain"]

# More recipients are named in several steps, which a parcel does not know of.
_MANY: Final = 1000


class Form:
    """How plain mails go over `dialogue` under this `policy`, in chunks or not as is wished. Have one by `of`."""

    def __init__(self, dialogue: Dialogue, policy: MessagePolicy, use_chunking: Chunking) -> None:
        connection = dialogue.connection
        self.dialogue: Dialogue = dialogue
        self.opening: Opening | None = None
        """How they begin; None if none can go as a parcel."""
        self._policy = policy
        self._use_chunking = use_chunking
        self._extensions = connection.extensions
        offered = connection.offered
        limit = offered.size
        self._most = BLOCK_SIZE if limit is None else min(limit, BLOCK_SIZE)  # octets
        demands = policy.binary or policy.smtputf8
        if not demands and connection.takes_groups and not connection.is_lmtp and "LIMITS" not in offered.names:
            chunking = dialogue.chunking_for(use_chunking)
            self.opening = connection.opening_for((NO_PARAMETERS, None, "send", chunking, "SIZE" in offered.names))

    @classmethod
    def of(cls, dialogue: Dialogue, envelope: Envelope, policy: MessagePolicy, use_chunking: Chunking) -> "Form | None":
        """Return the form of mails to such an `envelope`: the same as for the last one, if it is. None if they cannot
        go as parcels."""
        form = dialogue.form
        if (
            form is None
            or form._policy is not policy
            or form._use_chunking is not use_chunking  # one that is equal may have another; that is none the worse
            or form._extensions is not dialogue.connection.extensions
        ):
            form = dialogue.form = cls(dialogue, policy, use_chunking)
        if form.opening is None or not envelope.is_ascii or len(envelope.recipients) > _MANY:
            return None
        return form

    def takes(self, message: MailText) -> bool:
        """Whether `message` may leave in that form."""
        return len(message) <= self._most

    def mended(self, octets: bytes) -> MailText | None:
        """Return what leaves for these `octets`; None if that is to be looked at more closely."""
        if not may_be_plain(octets):
            return None
        try:
            message = mend_text(octets, self._policy)
        except InvalidMessage:
            return None
        return message if self.takes(message) else None


def may_be_plain(octets: bytes) -> bool:
    """Whether these are `octets` that a plain mail may have."""
    return len(octets) <= BLOCK_SIZE and octets.isascii()


class PlainMail:
    """A mail of this `form`, with the `message` that leaves: ready to `begin`, or on its way as a `parcel`."""

    __slots__ = ("_message", "envelope", "envelope_time", "form", "parcel", "since")

    parcel: Parcel
    """The mail, once it has begun."""
    since: float
    """When the phase began that it is in, by the dialogue's clock: that of the envelope, or..."""

    def __init__(self, form: Form, envelope: Envelope, message: MailText) -> None:
        self.form: Form = form
        self.envelope: Envelope = envelope
        self.envelope_time: float | None = None
        """...that of the verdict, if the envelope took so many seconds."""
        self._message = message

    def begin(self, is_first: bool, begins_anew: bool) -> None:
        """Let it go, as a parcel that `is_first` and `begins_anew`. Raises LocalProtocolError as that does."""
        form, envelope = self.form, self.envelope
        dialogue, opening = form.dialogue, form.opening
        if opening is None:
            raise AssertionError("a mail that goes as a parcel begins")
        self.since = dialogue.time()
        self.parcel = Parcel(
            dialogue.connection, opening, envelope.sender, envelope.recipients, self._message, is_first, begins_anew
        )
        if opening.is_eager:
            self.envelope_time = 0.0  # its message left with it
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
        return self.parcel.opening.chunking is not False

    def write(self) -> None:
        """Write its message, which is wanted."""
        self.parcel.write()
        now = self.form.dialogue.time()
        self.envelope_time, self.since = now - self.since, now

    async def lead(self) -> bool:
        """Lead it, which has begun and is alone on its way, as long as what arrives is all that it waits for, to its
        end; return whether the server has taken it. Raises DeadlineExceeded as `Dialogue.wait` does."""
        parcel, dialogue = self.parcel, self.form.dialogue
        connection, stream = dialogue.connection, dialogue.session.stream
        # When the group was said that is to be answered; None for one that leaves when it is waited for.
        since = None if parcel.answered else self.since
        while (group := parcel.group) is not None:
            is_fresh = not (connection.has_news or stream.has_news)
            if is_fresh:
                stream.write(connection.data_to_send())
                await dialogue.arrival_for(group, since)
                since = None
            if (data := stream.sole) is None or not parcel.hear(data):
                return False
            stream.take()
            if parcel.wants_message:
                if not is_fresh and stream.is_readable:
                    return False  # what the server has said meanwhile is heard first
                self.write()
                since = self.since
        return parcel.is_taken

    def receive(self, answer: GroupsAnswered) -> bool:
        """Take what the server has answered; return whether it has taken the mail."""
        return self.parcel.receive(answer) and self.parcel.is_taken

    def end(self) -> Receipt:
        """Return the receipt of what the server has taken."""
        verdict = self.form.dialogue.time() - self.since
        return self.parcel.receipt({"envelope": self.envelope_time or 0.0, "message": 0.0, "verdict": verdict})
