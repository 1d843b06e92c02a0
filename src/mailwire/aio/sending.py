"""Sending: one mailing on its way over a dialogue, in as many transactions as the server's limits want (RFC 9422).

1. The message goes out block by block, as fast as the server takes it in. What the server says meanwhile is heard: a
   refusal before the end of the message is the outcome, whatever becomes of the connection.
2. Whatever breaks a transaction off before its end, be it the source of the message or a cancellation, ends the
   connection as well: the server must not take half a message for a whole one.
3. What is known can be asked for at any time, for each recipient (`receipt`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Literal

from ..errors import (
    ConnectionLost,
    DeadlineExceeded,
    InvalidMessage,
    NotSupported,
    RecipientsRefused,
    RemoteProtocolError,
    ReplyError,
)
from ..message import Envelope, Outgoing
from ..message.outgoing import demands_utf8
from ..smtp import (
    Batch,
    Bdat,
    Delivery,
    Extensions,
    Mailbox,
    Receipt,
    Rset,
    State,
    Transaction,
)
from ..smtp.delivery import ACCEPTED, joined_word
from ..smtp.limits import each_batch
from .dialogue import Dialogue
from .mailing import Mailing
from .passage import Passage
from .plain_mail import PlainMail

__all__ = ["Sending"]


class Sending:
    """The sending of one `mailing`: take a batch of its recipients at a time, let it transact, until there is none.

    Or begin its transactions one by one, or take one over, and hear what comes of them elsewhere.
    """

    def __init__(self, mailing: Mailing) -> None:
        self.mailing = mailing
        # The places of those who are yet to be named, in their order. They are taken out one by one.
        self._left: range | dict[int, None] = range(len(mailing.envelope.recipients))
        # How they are to be parted in the session of a dialogue that has begun so many transactions, and the next part.
        self._batches: Iterator[Batch] = iter(())
        self._next_batch: Batch | None = None
        self._parted_for: tuple[Dialogue, int] | None = None
        self._passages: list[Passage] = []
        self._begun = 0
        self._prepared: tuple[Dialogue, Outgoing] | None = None
        self._failure: ReplyError | None = None

    def anew(self) -> "Sending":
        """Return the same, to be tried again."""
        return Sending(self.mailing)

    @property
    def envelope(self) -> Envelope:
        """Who the mail is from and for."""
        return self.mailing.envelope

    @property
    def has_begun(self) -> bool:
        """Whether a transaction was begun."""
        return bool(self._passages)

    @property
    def parts(self) -> int:
        """How many transactions were begun, those included of which nothing was sent."""
        return self._begun

    def prepare_at_once(self, dialogue: Dialogue) -> bool:
        """Do what `prepare` does if nothing has to be waited for; else return False."""
        if self._prepared is None or self._prepared[0] is not dialogue:
            mailing = self.mailing
            content = mailing.content
            if content.message is not None:
                return False
            try:
                terms = dialogue.terms_for(content.policy, demands_utf8(content, mailing.envelope))
                text = content.text_at_hand()
                if text is None:
                    return False
                self._prepared = dialogue, Outgoing(text, terms)
            except NotSupported as error:
                _explain(error, dialogue)
                raise
        return True

    async def prepare(self, dialogue: Dialogue) -> None:
        """Make the message ready for the server. Raises what `Outgoing.prepare` raises."""
        mailing = self.mailing
        try:
            prepared = await Outgoing.prepare(mailing.content, mailing.envelope, dialogue.connection.offered)
        except NotSupported as error:
            _explain(error, dialogue)
            raise
        self._prepared = dialogue, prepared

    def next_batch(self, dialogue: Dialogue) -> Batch | None:
        """Return those recipients who are to be named in the next transaction, None if there is to be none.

        Raises NotSupported for a mail that cannot be parted and must be.
        """
        left = self._left
        if not left or (self._passages and self._is_hopeless(dialogue)):
            return None
        offered = dialogue.connection.extensions
        if offered is None or "LIMITS" not in offered.names:
            return _everybody(len(left)) if type(left) is range else Batch(tuple(left))
        if self._parted_for != (dialogue, dialogue.transactions):
            self._batches = self._parted(dialogue, offered, tuple(left))
            self._look_ahead(dialogue)
        batch = self._next_batch
        if batch is not None and len(batch.places) < len(left) and not self._passages:
            self._refuse_parting(len(left))
        return batch

    def begin(self, dialogue: Dialogue, batch: Batch, behind: Transaction | None = None) -> Passage:
        """Begin the transaction with these recipients, for which the message is prepared; `behind` another one.

        Raises what `Transaction` raises, but InvalidMessage where that is a ValueError: what is wished for, and what
        the message says of itself, cannot be in one command.
        """
        mailing = self.mailing
        if self._prepared is None:
            raise AssertionError("a message is made ready before it is sent")
        outgoing = self._prepared[1]
        offered = outgoing.terms.extensions
        recipients: Sequence[Mailbox] = mailing.envelope.recipients
        wishes = mailing.recipient_options
        if len(batch.places) < len(recipients):
            recipients = [recipients[place] for place in batch.places]
            wishes = tuple(wishes[place] for place in batch.places)
        try:
            transaction = Transaction(
                dialogue.connection,
                mailing.envelope.sender,
                recipients,
                parameters=outgoing.declared,
                size=outgoing.announced,
                options=mailing.options,
                recipient_options=wishes,
                on_refused=mailing.on_refused,
                chunking=self._chunking(dialogue),
                behind=behind,
            )
        except NotSupported as error:
            _explain(error, dialogue)
            raise
        except ValueError as error:
            raise InvalidMessage(str(error)) from error
        passage = Passage(dialogue, batch.places, transaction, outgoing, mailing.progress)
        self._note(passage)
        self._take(batch)
        goes_on = batch is self._next_batch and self._parted_for == (dialogue, dialogue.transactions)
        dialogue.transactions += 1
        if goes_on:
            self._look_ahead(dialogue)
        if "LIMITS" in offered.names:
            dialogue.recipient_domains.update(recipient.domain.lower() for recipient in recipients)
        return passage

    def take_over(self, mail: PlainMail) -> Passage:
        """Go on with `mail`, which is a plain one and on its way, as with one that `begin` has begun.

        Where that was done, and something has gone wrong behind it, it is done.
        """
        if self._passages:
            return self._passages[0]
        dialogue = mail.form.dialogue
        self.prepare_at_once(dialogue)
        if self._prepared is None:
            raise AssertionError("a plain mail is at hand")
        batch = _everybody(len(self.mailing.envelope.recipients))
        passage = Passage(dialogue, batch.places, mail.parcel.as_transaction(), self._prepared[1], None)
        passage.set_back(mail.since, mail.envelope_time)
        self._take(batch)
        self._note(passage)
        return passage

    def take_back(self, passage: Passage) -> None:
        """Let those recipients be left again whom the last transaction, `passage`, was for: none of it was sent."""
        self._passages.remove(passage)
        every = range(len(self.mailing.envelope.recipients))
        self._left = dict.fromkeys(sorted((*passage.places, *self._left))) if self._passages else every
        self._parted_for = None

    @property
    def is_whole(self) -> bool:
        """Whether all recipients were named in the one transaction that was begun."""
        return not self._left and len(self._passages) == 1

    def end(self, passage: Passage) -> Receipt:
        """Take note of what has become of a transaction that nothing more will come of; return its receipt."""
        receipt = passage.end()
        if receipt.delivery is not ACCEPTED:
            self._failure = passage.refusal(receipt) or self._failure
        return receipt

    async def transact(self, dialogue: Dialogue, batch: Batch) -> None:
        """Make the transaction with these recipients. Raises what anything on the way raises, but for refusals."""
        if not self.prepare_at_once(dialogue):
            await self.prepare(dialogue)
            dialogue.session.expect_silence()  # the server may have gone meanwhile, and then knows nothing of the mail
        passage = self.begin(dialogue, batch)
        try:
            await self.lead(dialogue, passage)
        except BaseException as error:
            if not self.survives(dialogue, passage, error):
                raise
        self.end(passage)

    async def lead(self, dialogue: Dialogue, passage: Passage) -> None:
        """Lead a transaction that has begun to its end. Raises what anything on the way raises, but for refusals."""
        session, connection, transaction = dialogue.session, dialogue.connection, passage.transaction
        try:
            while True:
                if transaction.wants_data:
                    if not passage.write_whole():
                        await passage.write()
                elif transaction.finished:
                    return
                if not dialogue.has_news:
                    session.flush()
                    await dialogue.wait()
                if (answer := dialogue.heard()) is not None:
                    transaction.receive(answer)
                elif connection.queued_chunks:
                    session.flush()  # if the window lets the chunk leave, the next one is wanted
        finally:
            if passage.has_read:
                await passage.close()

    def survives(self, dialogue: Dialogue, passage: Passage, error: BaseException) -> bool:
        """Give the connection up because of `error`, which has broken a transaction off; return whether what has become
        of the mail is known all the same, where only the session was still to be put in order."""
        connection = dialogue.connection
        passage.stop()
        connection.give_up()
        awaited = connection.awaited
        if isinstance(error, RemoteProtocolError):
            # A wrong answer to a command of the mail's leaves open what it means; behind the last of them it does not.
            is_answered = awaited is None or (isinstance(awaited, Rset) and awaited.is_afterwards)
            return is_answered and passage.receipt().delivery is Delivery.REFUSED
        rest = (Rset, Bdat) if passage.transaction.data_refusal is not None else Rset
        return isinstance(error, (ConnectionLost, DeadlineExceeded)) and isinstance(awaited, rest)

    def take_failure(self, receipt: Receipt) -> ReplyError | None:
        """Return the refusal, if by the `receipt` nobody has the mail, or not everybody was asked for. It is not kept
        here: by its traceback it would keep the mail that it is about."""
        failure, self._failure = self._failure, None
        return failure if self._left or receipt.delivery is not ACCEPTED else None

    def receipt(self) -> Receipt:
        """Return what is known now. Its timings are those of "envelope", "message" and "verdict"."""
        if self.is_whole:
            return self._passages[0].receipt()
        receipts = [passage.receipt() for passage in self._passages]
        places = [passage.places for passage in self._passages]
        if left := tuple(self._left):
            before = self.mailing.envelope.receipt_before_sending()
            receipts.append(Receipt.to_write(before.delivery, _part_of, before, left))
            places.append(left)
        # As for a whole one, the rest is written when it is read.
        word = joined_word({receipt.delivery for receipt in receipts})
        return Receipt.to_write(word, Receipt.joined, receipts, places)

    # Private

    def _parted(self, dialogue: Dialogue, offered: Extensions, left: Sequence[int]) -> Iterator[Batch]:
        recipients = [self.mailing.envelope.recipients[place] for place in left]
        domains = tuple(dialogue.recipient_domains)
        for batch in each_batch(recipients, offered, mails=dialogue.transactions, domains=domains):
            yield Batch(tuple([left[place] for place in batch.places]), batch.begins_session)

    def _look_ahead(self, dialogue: Dialogue) -> None:
        # What comes next, unless something else is begun in the session before it.
        self._next_batch = next(self._batches, None)
        self._parted_for = dialogue, dialogue.transactions

    def _take(self, batch: Batch) -> None:
        if len(batch.places) == len(self._left):
            self._left = range(0)
            return
        left = self._left = dict.fromkeys(self._left) if isinstance(self._left, range) else self._left
        for place in batch.places:
            del left[place]

    def _chunking(self, dialogue: Dialogue) -> bool | Literal["eager"]:
        mailing = self.mailing
        chunking = dialogue.chunking_for(mailing.use_chunking, is_binary=mailing.content.policy.binary)
        return True if chunking == "eager" and mailing.on_refused == "abort" else chunking

    def _note(self, passage: Passage) -> None:
        self._passages.append(passage)
        self._begun += 1

    def _is_hopeless(self, dialogue: Dialogue) -> bool:
        # Whether those who are left need not be tried: the mail itself was refused, or there is nobody any more.
        if not isinstance(self._failure, (RecipientsRefused, type(None))):
            return True
        return dialogue.connection.state is State.CLOSED

    def _refuse_parting(self, count: int) -> None:
        reason = None
        if self.mailing.on_refused == "abort":
            reason = "and the mail is for all or nobody"
        elif not self.mailing.content.is_repeatable:
            reason = "and the message can be read but once"
        if reason is not None:
            raise NotSupported(
                f"the server does not take {count} recipients in one transaction (RFC 9422), {reason}",
                extension="LIMITS",
            )


def _part_of(receipt: Receipt, places: Sequence[int]) -> Receipt:
    return replace(receipt, recipients=tuple(receipt.recipients[place] for place in places))


@lru_cache(16)
def _everybody(count: int) -> Batch:
    # Most mails go to all of their recipients at once, and they are few.
    return Batch(tuple(range(count)))


def _explain(error: NotSupported, dialogue: Dialogue) -> None:
    # Raise the error with its reason, where there is more to be said of it.
    if not dialogue.knows_ehlo:
        reason = "it does not know EHLO, and behind HELO there are no extensions (RFC 5321 3.2)"
        raise NotSupported(f"{error}: {reason}", extension=error.extension) from error
