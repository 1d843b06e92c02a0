"""Sending: one mailing on its way over a dialogue, in as many transactions as the server's limits want (RFC 9422).

1. The message goes out block by block, as fast as the server takes it in. What the server says meanwhile is heard,
   also while the source lets us wait: a refusal before the end of the message is the outcome, whatever becomes of the
   connection.
2. Whatever breaks a transaction off before its end, be it the source of the message or a cancellation, ends the
   connection as well: the server must not take half a message for a whole one.
3. What is known can be asked for at any time, for each recipient (`receipt`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from ..errors import (
    ConnectionLost,
    DataRefused,
    DeadlineExceeded,
    NotSupported,
    RecipientsRefused,
    ReplyError,
    SenderRefused,
)
from ..message import Outgoing
from ..smtp import (
    Batch,
    Bdat,
    Delivery,
    Extensions,
    Mailbox,
    Receipt,
    ReplyReceived,
    Rset,
    State,
    Transaction,
    split_recipients,
)
from .dialogue import Dialogue
from .mailing import Mailing
from .reading import Reading

__all__ = ["Sending"]


class Sending:
    """The sending of one `mailing`: take a batch of its recipients at a time, let it transact, until there is none."""

    def __init__(self, mailing: Mailing) -> None:
        self._mailing = mailing
        self._left: Sequence[int] = range(len(mailing.envelope.recipients))  # places of those who are yet to be named
        self._transactions: list[tuple[Sequence[int], Transaction, _Watch]] = []
        self._prepared: tuple[Dialogue, Outgoing] | None = None
        self._failure: ReplyError | None = None
        self._last: ReplyReceived | None = None

    @property
    def has_begun(self) -> bool:
        """Whether a transaction was begun."""
        return bool(self._transactions)

    def next_batch(self, dialogue: Dialogue) -> Batch | None:
        """Return those recipients who are to be named in the next transaction, None if there is to be none."""
        if not self._left or self._is_hopeless(dialogue):
            return None
        recipients = [self._mailing.envelope.recipients[place] for place in self._left]
        batches = split_recipients(
            recipients, _offered(dialogue), mails=dialogue.transactions, domains=dialogue.recipient_domains
        )
        if len(batches) > 1 and not self._transactions:
            self._refuse_parting(len(recipients))
        batch = batches[0]
        return Batch(tuple(self._left[place] for place in batch.places), batch.begins_session)

    async def transact(self, dialogue: Dialogue, batch: Batch) -> None:
        """Make the transaction with these recipients. Raises what anything on the way raises, but for refusals."""
        connection = dialogue.connection
        recipients = [self._mailing.envelope.recipients[place] for place in batch.places]
        try:
            outgoing = await self._prepare(dialogue)
            transaction = self._begin(dialogue, outgoing, batch, recipients)
        except NotSupported as error:
            if dialogue.knows_ehlo:
                raise
            reason = "it does not know EHLO, and behind HELO there are no extensions (RFC 5321 3.2)"
            raise NotSupported(f"{error}: {reason}", extension=error.extension) from error
        watch = _Watch()
        self._transactions.append((batch.places, transaction, watch))
        named = set(batch.places)
        self._left = [place for place in self._left if place not in named]
        dialogue.transactions += 1
        dialogue.recipient_domains.update(recipient.domain.lower() for recipient in recipients)
        reading = Reading(outgoing, dialogue.session)
        try:
            try:
                await self._drive(dialogue, transaction, reading, outgoing.size, watch)
            finally:
                await reading.close()
        except BaseException as error:
            connection.give_up()
            # What has become of the mail is known, where only the session was still to be put in order.
            rest = (Rset, Bdat) if transaction.data_refusal is not None else Rset
            if not (isinstance(error, (ConnectionLost, DeadlineExceeded)) and isinstance(connection.awaited, rest)):
                raise
        finally:
            watch.stop()
        self._failure = self._failure_of(transaction) or self._failure

    def raise_failure(self, receipt: Receipt) -> None:
        """Raise the refusal, if by the `receipt` nobody has the mail, or not everybody was asked for."""
        if self._failure is not None and (self._left or receipt.delivery is not Delivery.ACCEPTED):
            raise self._failure

    def receipt(self) -> Receipt:
        """Return what is known now. Its timings are those of "envelope", "message" and "verdict"."""
        receipts = [transaction.receipt(watch.timings()) for _, transaction, watch in self._transactions]
        if len(receipts) == 1 and not self._left:
            return receipts[0]
        places = [places for places, _, _ in self._transactions]
        before = self._mailing.envelope.receipt_before_sending()
        if self._left:
            entries = tuple(before.recipients[place] for place in self._left)
            receipts.append(replace(before, recipients=entries))
            places.append(self._left)
        return Receipt.joined(receipts, places)

    # Private

    def _is_hopeless(self, dialogue: Dialogue) -> bool:
        # Whether those who are left need not be tried: the mail itself was refused, or there is nobody any more.
        if not isinstance(self._failure, (RecipientsRefused, type(None))):
            return True
        return dialogue.connection.state is State.CLOSED

    def _refuse_parting(self, count: int) -> None:
        reason = None
        if self._mailing.on_refused == "abort":
            reason = "and the mail is for all or nobody"
        elif not self._mailing.content.is_repeatable:
            reason = "and the message can be read but once"
        if reason is not None:
            raise NotSupported(
                f"the server does not take {count} recipients in one transaction (RFC 9422), {reason}",
                extension="LIMITS",
            )

    def _begin(
        self, dialogue: Dialogue, outgoing: Outgoing, batch: Batch, recipients: Sequence[Mailbox]
    ) -> Transaction:
        mailing = self._mailing
        return Transaction(
            dialogue.connection,
            mailing.envelope.sender,
            recipients,
            parameters=outgoing.mail_parameters,
            options=mailing.options,
            recipient_options=[mailing.recipient_options[place] for place in batch.places],
            on_refused=mailing.on_refused,
            chunking=self._chunking(dialogue, outgoing),
        )

    async def _prepare(self, dialogue: Dialogue) -> Outgoing:
        if self._prepared is None or self._prepared[0] is not dialogue:
            mailing = self._mailing
            prepared = await Outgoing.prepare(mailing.content, mailing.envelope, _offered(dialogue))
            self._prepared = dialogue, prepared
        return self._prepared[1]

    def _chunking(self, dialogue: Dialogue, outgoing: Outgoing) -> bool | Literal["eager"]:
        choice = self._mailing.use_chunking
        if choice is None:
            choice = dialogue.session.endpoint.use_chunking
        if outgoing.is_binary and choice is False:
            raise NotSupported("what is sent as it is must go in chunks, which are switched off", extension="CHUNKING")
        if "CHUNKING" not in _offered(dialogue):
            return False
        if choice is None:
            return outgoing.is_binary or not dialogue.distrusts_chunking
        return True if choice == "eager" and self._mailing.on_refused == "abort" else choice

    async def _drive(
        self,
        dialogue: Dialogue,
        transaction: Transaction,
        reading: Reading,
        size: int | None,
        watch: "_Watch",
    ) -> None:
        session, connection, progress = dialogue.session, dialogue.connection, self._mailing.progress
        watch.begin("envelope")
        written = 0
        while True:
            if connection.queued_chunks:
                session.flush()  # if the window lets the chunk leave, the next one is wanted
            if transaction.wants_data:
                watch.begin("message")
                if await reading.fetch():
                    if reading.block is None:
                        if not await session.has_heard_more():
                            transaction.end_data()  # leaves in one write with the last block
                            watch.begin("verdict")
                            continue
                    elif await session.wait_writable():
                        block = reading.take()
                        transaction.send_data(block)
                        written += len(block)
                        if progress is not None:
                            progress(written, size)
                        continue
            self._last = await dialogue.next_reply()
            transaction.receive(self._last)
            if transaction.finished:
                return

    def _failure_of(self, transaction: Transaction) -> ReplyError | None:
        receipt = transaction.receipt()
        if (reply := transaction.sender_refusal) is not None:
            return SenderRefused(f"MAIL was refused: {reply}", command=f"MAIL FROM:<{receipt.sender}>", reply=reply)
        if (reply := transaction.recipients_refusal) is not None:
            who = "every recipient" if len(receipt.refused) == len(receipt.recipients) else "a recipient"
            return RecipientsRefused(f"{who} was refused: {reply}", command="RCPT", reply=reply)
        if (reply := transaction.data_refusal) is not None:
            return DataRefused(f"the message was refused: {reply}", command="DATA", reply=reply)
        if receipt.delivery is Delivery.ACCEPTED or self._last is None:
            return None
        # 421: the server took its leave in the middle of the mail.
        command, reply = str(self._last.command), self._last.reply
        return ReplyError(f"{command} was refused: {reply}", command=command, reply=reply)


class _Watch:
    # How long each phase took, or has taken so far.

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._phase = ""
        self._since = 0.0
        self._timings: dict[str, float] = {}

    def begin(self, phase: str) -> None:
        if phase != self._phase:
            self.stop()
            self._phase, self._since = phase, self._clock()

    def stop(self) -> None:
        if self._phase:
            self._timings[self._phase] = self._clock() - self._since
            self._phase = ""

    def timings(self) -> Mapping[str, float]:
        return self._timings


def _offered(dialogue: Dialogue) -> Extensions:
    return dialogue.connection.extensions or Extensions()
