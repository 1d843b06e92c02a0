"""PlainMail: a mail of which nothing is wished but to be sent, and whose octets are in memory and need nothing of a
server.

Most mails are plain. How they go over a dialogue is found out once for all of them (`Form`). Each takes a shortcut, if
it can; else, and where something is heard that was not to be expected, it is a parcel. Its passage and its transaction
are made where more of that is heard, or nothing more will be (`Sending.take_over`): what becomes of the mail then, is
found out as for any other.
"""

from collections.abc import Awaitable
from typing import Final, cast

from .._wire.dots import MailText
from ..endpoint import Chunking
from ..message import Envelope, MessagePolicy
from ..message.pieces import BLOCK_SIZE
from ..smtp import GroupsAnswered, Receipt
from ..smtp.opening import Opening
from ..smtp.parameters import NO_PARAMETERS
from ..smtp.parcel import Parcel
from ..smtp.shortcut import Shortcut, shortcut
from .dialogue import Dialogue

__all__ = ["Form", "PlainMail", "form_of", "may_be_plain"]

# More recipients are named in several steps, which a parcel does not know of.
_MANY: Final = 1000


class Form:
    """How plain mails go over `dialogue` under this `policy`, in chunks or not as is wished. Have one by `form_of`."""

    def __init__(self, dialogue: Dialogue, policy: MessagePolicy, use_chunking: Chunking) -> None:
        connection = dialogue.connection
        self.dialogue: Dialogue = dialogue
        self.is_chunked: bool = False
        """Whether they go in a chunk..."""
        self.is_eager: bool = False
        """...that waits for no reply."""
        self.opening: Opening | None = None
        """How they begin; None if none can go as a parcel."""
        self.policy: MessagePolicy = policy
        self._use_chunking = use_chunking
        self._extensions = connection.extensions
        offered = connection.offered
        limit = offered.size
        self.most: int = BLOCK_SIZE if limit is None else min(limit, BLOCK_SIZE)
        """So many octets at most may leave for one."""
        demands = policy.binary or policy.smtputf8
        if not demands and connection.takes_groups and not connection.is_lmtp and "LIMITS" not in offered.names:
            chunking = dialogue.chunking_for(use_chunking)
            self.opening = connection.opening_for((NO_PARAMETERS, None, "send", chunking, "SIZE" in offered.names))
            self.is_chunked, self.is_eager = chunking is not False, self.opening.is_eager

    def takes(self, message: MailText) -> bool:
        """Whether `message` may leave in that form."""
        return len(message) <= self.most


def form_of(dialogue: Dialogue, envelope: Envelope, policy: MessagePolicy, use_chunking: Chunking) -> Form | None:
    """Return the form of mails to such an `envelope`: the same as for the last one, if it is. None if they cannot go as
    parcels."""
    form = dialogue.form
    if (
        form is None
        or form.policy is not policy
        or form._use_chunking is not use_chunking  # one that is equal may have another; that is none the worse
        or form._extensions is not dialogue.connection.extensions
    ):
        form = dialogue.form = Form(dialogue, policy, use_chunking)
    if form.opening is None or not envelope.is_ascii or len(envelope.recipients) > _MANY:
        return None
    return form


def may_be_plain(octets: bytes) -> bool:
    """Whether these are `octets` that a plain mail may have."""
    return len(octets) <= BLOCK_SIZE and octets.isascii()


class PlainMail:
    """A mail of this `form`, with the `message` that leaves: ready to `begin`, or on its way.

    Whoever makes one sets what is known before it begins; its `envelope_time` is None then.
    """

    __slots__ = ("due_since", "envelope", "envelope_time", "form", "message", "since", "way")

    form: Form
    envelope: Envelope
    message: MailText
    """What leaves for it."""
    way: Shortcut | Parcel
    """How it goes, once it has begun."""
    due_since: float
    """Since when it is to be answered, where it takes a shortcut, and nobody before it."""
    since: float
    """When the phase began that it is in, by the dialogue's clock: that of the envelope, or..."""
    envelope_time: float | None
    """...that of the verdict, if the envelope took so many seconds."""

    @property
    def parcel(self) -> Parcel:
        """It, which has begun, as a parcel: from here on, if it took a shortcut."""
        way = self.way
        if type(way) is Shortcut:
            way = self.way = way.as_parcel()
            self.form.dialogue.past = None
        return cast(Parcel, way)

    def take_shortcut(self, is_behind: bool, begins_anew: bool) -> list[bytes] | None:
        """Let it go by a `shortcut` with these properties, if it can; return what is to be written then, else None."""
        form, envelope = self.form, self.envelope
        dialogue, opening = form.dialogue, form.opening
        if opening is None:
            raise AssertionError("a mail that goes as a parcel begins")
        taken = shortcut(
            dialogue.connection,
            opening,
            envelope.sender,
            envelope.recipients,
            self.message,
            is_behind,
            begins_anew,
        )
        if taken is None:
            return None
        self.way = taken
        self.since = self.due_since = dialogue.time()
        if opening.is_eager:
            self.envelope_time = 0.0  # its message left with it
        dialogue.transactions += 1
        return taken.beginning

    def begin(self, is_first: bool, begins_anew: bool) -> None:
        """Let it go, as a parcel that `is_first` and `begins_anew`. Raises LocalProtocolError as that does."""
        form, envelope = self.form, self.envelope
        dialogue, opening = form.dialogue, form.opening
        if opening is None:
            raise AssertionError("a mail that goes as a parcel begins")
        self.since = dialogue.time()
        self.way = Parcel(
            dialogue.connection, opening, envelope.sender, envelope.recipients, self.message, is_first, begins_anew
        )
        if opening.is_eager:
            self.envelope_time = 0.0  # its message left with it
        dialogue.transactions += 1

    @property
    def wants_message(self) -> bool:
        """Whether its message is to be written now."""
        return self.way.wants_message

    @property
    def is_ended(self) -> bool:
        """Whether its message is written."""
        return self.way.is_ended

    @property
    def is_chunked(self) -> bool:
        """Whether its message goes in a chunk."""
        return self.form.is_chunked

    def write(self) -> list[bytes]:
        """Write its message, which is wanted. Return what leaves for it now, past its connection."""
        leaving = self.way.write()
        now = self.form.dialogue.time()
        self.envelope_time = now - self.since
        self.since = self.due_since = now
        return leaving

    def arrival(self, may_be_nudged: bool) -> Awaitable[None]:
        """Return what is to be awaited until something comes that it may be answered, where nothing has yet; it may end
        before that. `may_be_nudged`: a nudge ends it as well."""
        dialogue, way = self.form.dialogue, self.way
        if type(way) is not Shortcut:
            group = self.parcel.group
            return dialogue.wait() if group is None else dialogue.wait_for(group)
        patience = dialogue.verdict_patience if way.is_ended else dialogue.patience
        until = None if patience is None else self.due_since + patience
        dialogue.past, stream = way, dialogue.session.stream
        return stream.wait(until, dialogue.overdue) if may_be_nudged else stream.arrival(until, dialogue.overdue)

    async def lead(self) -> bool:
        """Lead it, which has begun and is alone on its way, as a parcel, as long as what arrives is all that it waits
        for, to its end; return whether the server has taken it. Raises DeadlineExceeded as `Dialogue.wait` does."""
        dialogue = self.form.dialogue
        stream = dialogue.session.stream
        parcel, connection = self.parcel, dialogue.connection
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

    def end(self, now: float) -> Receipt:
        """Return the receipt of what the server has taken, which was heard at that time."""
        timings = {"envelope": self.envelope_time or 0.0, "message": 0.0, "verdict": now - self.since}
        return self.way.receipt(timings)

    def leave_shortcut(self, *, is_awaited: bool) -> None:
        """Take none any more. `is_awaited`: an answer to it is, and the time that this may take goes on."""
        if isinstance(self.way, Shortcut) and (group := self.parcel.group) is not None and is_awaited:
            self.form.dialogue.count_for(group, self.due_since)
