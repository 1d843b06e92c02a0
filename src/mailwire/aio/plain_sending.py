"""PlainSending: the sending of a plain mail that is alone on its way.

Of octets nothing is made but an envelope and what leaves. Where it cannot go as a plain one, or something is heard that
was not to be expected, or nothing more will be, a `Sending` goes on with it.
"""

from collections.abc import Iterable, Mapping
from email.headerregistry import Address

from .._wire.dots import MailText
from ..endpoint import Chunking, check_chunking
from ..errors import MailwireError, ReplyError
from ..message import Envelope, MessagePolicy, MessageSource
from ..message.envelope import remembered_envelope
from ..message.mending import mend_text
from ..message.policy import DEFAULT_POLICY
from ..smtp import GroupsAnswered, MailOptions, Receipt, RecipientOptions
from ..smtp.shortcut import Shortcut
from .dialogue import Answer, Dialogue
from .mailing import Mailing, OnRefused, Progress, maker_of, tell_not_sent
from .passage import Passage
from .plain_mail import PlainMail, form_of, may_be_plain
from .sending import Sending

__all__ = ["AnySending", "PlainSending", "sending_of"]


def sending_of(
    message: MessageSource | Mailing,
    sender: str | Address | None,
    recipients: str | Address | Iterable[str | Address] | None,
    policy: MessagePolicy,
    options: MailOptions | None,
    recipient_options: RecipientOptions | Mapping[str, RecipientOptions] | None,
    on_refused: OnRefused,
    use_chunking: Chunking,
    progress: Progress | None,
) -> "AnySending":
    """Return the sending of `message`, as `SMTPClient.send` describes it. Raises what a Mailing raises, and
    InvalidMessage for octets at hand that no server may be given; each says that the mail was not sent."""
    envelope: Envelope | None = None
    try:
        if (
            type(message) is bytes
            and options is None
            and recipient_options is None
            and progress is None
            and policy is DEFAULT_POLICY
            and on_refused == "send"
            and may_be_plain(message)
        ):
            if use_chunking is not None:
                check_chunking(use_chunking)
            envelope = remembered_envelope(sender, recipients) or Envelope.of(message, sender, recipients)
            return PlainSending(message, envelope, mend_text(message, policy), policy, use_chunking)
        mailing = maker_of(message)(
            message,
            sender=sender,
            recipients=recipients,
            policy=policy,
            options=options,
            recipient_options=recipient_options,
            on_refused=on_refused,
            use_chunking=use_chunking,
            progress=progress,
        )
        envelope, content = mailing.envelope, mailing.content
        text = content.text_at_hand()
    except MailwireError as error:
        tell_not_sent(error, envelope)
        raise
    if text is None or mailing.has_wishes or type(text.whole) is not MailText or not text.whole.isascii():
        return Sending(mailing)
    return PlainSending(mailing, envelope, text.whole, content.policy, mailing.use_chunking)


class PlainSending(PlainMail):
    """The sending of what was `given`, a Mailing or octets, to this `envelope`, in chunks or not as is wished; what
    leaves for it is `message`."""

    __slots__ = ("_given", "_policy", "_sending", "_use_chunking", "has_begun", "mailing", "taken")

    def __init__(
        self,
        given: bytes | Mailing,
        envelope: Envelope,
        message: MailText,
        policy: MessagePolicy,
        use_chunking: Chunking,
    ) -> None:
        # Its form is found out where it goes.
        self.envelope: Envelope = envelope
        self.envelope_time: float | None = None
        self.has_begun: bool = False
        """Whether it has begun as a plain mail."""
        self.mailing: Mailing | None = None if isinstance(given, bytes) else given
        """The Mailing that was given."""
        self.taken: Receipt | None = None
        """The receipt, once the server has taken it, and nothing else was said."""
        self.message: MailText = message
        self._given = given
        self._policy = policy
        self._use_chunking = use_chunking
        self._sending: Sending | None = None  # that goes on with it

    def anew(self) -> "PlainSending":
        """Return the same, to be tried again."""
        return PlainSending(self._given, self.envelope, self.message, self._policy, self._use_chunking)

    async def go(self, dialogue: Dialogue) -> bool:
        """Send it, if it can go as a plain mail over `dialogue`; return whether it was. Raises what
        `Sending.transact` raises."""
        form = form_of(dialogue, self.envelope, self._policy, self._use_chunking)
        if form is None or not form.takes(self.message):
            return False
        self.form = form
        stream = dialogue.session.stream
        # The call has found the connection at rest.
        leaving = None if stream.has_news else self.take_shortcut(False, False)
        if leaving is None:
            self.begin(False, False)
        self.has_begun = True
        try:
            way, patience = self.way, dialogue.patience
            if leaving is not None and isinstance(way, Shortcut):
                dialogue.past = way
                while True:
                    stream.write(leaving)
                    until = None if patience is None else self.due_since + patience
                    await stream.arrival(until, dialogue.overdue)
                    if not stream.offer(way):
                        break
                    if way.is_taken:
                        dialogue.past = None
                        self.taken = self.end(dialogue.time())
                        return True
                    leaving, patience = self.write(), dialogue.verdict_patience
                self.leave_shortcut(is_awaited=True)
            while not await self.lead():
                answer = dialogue.heard()
                if answer is not None and (type(answer) is not GroupsAnswered or not self.parcel.receive(answer)):
                    await self._lead_on(answer)
                    break
                if self.wants_message:
                    self.write()
            else:
                self.taken = self.end(dialogue.time())
                return True
        except BaseException as error:
            sending, passage = self._taken_over()
            if not sending.survives(dialogue, passage, error):
                raise
        sending, passage = self._taken_over()
        sending.end(passage)
        return True

    def as_sending(self) -> Sending:
        """Return what goes on with it, or sends it; each time the same."""
        sending = self._sending
        if sending is None:
            mailing = self._given
            if isinstance(mailing, bytes):
                mailing = Mailing._plain(mailing, self.envelope, self._use_chunking)
            sending = self._sending = Sending(mailing)
        if self.has_begun:
            sending.take_over(self)
        return sending

    def receipt(self) -> Receipt:
        """Return what is known now, if it was not `taken`. Its timings are those of "envelope", "message" and
        "verdict"."""
        return self.as_sending().receipt()

    def take_failure(self, receipt: Receipt) -> ReplyError | None:
        """Return the refusal, if it was not `taken`, and by the `receipt` nobody has the mail, as
        `Sending.take_failure` does."""
        return self.as_sending().take_failure(receipt)

    # Private

    async def _lead_on(self, answer: Answer) -> None:
        # To its end, behind an answer that was not to be expected.
        sending, passage = self._taken_over()
        passage.transaction.receive(answer)
        await sending.lead(self.form.dialogue, passage)

    def _taken_over(self) -> tuple[Sending, Passage]:
        sending = self.as_sending()
        return sending, sending.take_over(self)


AnySending = PlainSending | Sending
"""The sending of any mail."""
