"""Outcome: what was heard of a mail, and what it means: for each recipient, as a receipt, and why it failed.

A `Transaction` has it of this; it is no class by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from .._wire.mapping import FrozenMapping
from .commands import BdatLast, Command, Data, EndOfData, Mail, Rcpt, Rset
from .connection import Connection
from .delivery import ACCEPTED, Delivery, Heard
from .events import ReplyReceived
from .group import Group, Replies
from .paths import Mailbox
from .receipt import NO_TIMINGS, Receipt, RecipientReceipt
from .reply import Reply

__all__ = ["Outcome", "receipt_of_taken", "refusal_in"]


class Outcome:
    """The part of a transaction that knows what was heard."""

    _connection: Connection
    _sender: Mailbox | None
    _recipients: tuple[Mailbox, ...]
    _extensions: Sequence[str]
    _aborts: bool
    _begins_anew: bool
    _accepted: int  # of the recipients
    _answered: tuple[Group, ...]  # groups, of whose replies nothing was made yet...
    _said: bytes  # ...and those replies
    _heard_so_far: Heard | None  # what was made of replies
    _end: EndOfData | BdatLast | None
    _octets: int  # of the message, as queued in chunks, or once it was ended

    last_answer: ReplyReceived | None = None
    """The last reply that was heard by itself, and not together with others."""

    # Why it failed

    @property
    def sender_refusal(self) -> Reply | None:
        """The reply that refused MAIL."""
        return refusal_in(self._heard.mail)

    @property
    def recipients_refusal(self) -> Reply | None:
        """The last refusal of a recipient, where that decided: all were refused, or one where it was all or none."""
        replies = self._heard.recipients
        if self.sender_refusal or len(replies) < len(self._recipients) or self._goes_on:
            return None
        return next(reply for reply in reversed(replies) if not reply.is_completion)

    @property
    def data_refusal(self) -> Reply | None:
        """The reply that refused DATA, a chunk, or the message for all who were left to receive it."""
        heard = self._heard
        if refusal := refusal_in(heard.data) or heard.chunk:
            return refusal
        due = max(1, self._accepted) if self._connection.is_lmtp and not heard.is_early else 1
        if len(heard.verdicts) < due or any(reply.is_completion for reply in heard.verdicts):
            return None
        return heard.verdicts[-1]

    @property
    def reverse_path(self) -> str:
        """Who it is from, "" for the null one."""
        return str(self._sender or "")

    @property
    def accepts_nobody(self) -> bool:
        """Whether no recipient was accepted as yet."""
        return not self._accepted

    # What is known of it

    def receipt(self, timings: Mapping[str, float] = NO_TIMINGS) -> Receipt:
        """Return what is known now. `timings`: the seconds that each phase took, which the caller has measured."""
        if self._heard_so_far is None and self._answered and self._answered[-1].end is not None:
            taken = self._sender, self._recipients, self._said, self._begins_anew, self._octets, self._extensions
            return Receipt.to_write(ACCEPTED, receipt_of_taken, *taken, timings)
        heard, connection = self._heard, self._connection
        end = self._end
        in_doubt = end is not None and end.has_left
        heard.is_miscounted = isinstance(end, BdatLast) and end.is_miscounted
        words = heard.words(len(self._recipients), in_doubt=in_doubt, lmtp=connection.is_lmtp)
        word = heard.word(words, all_or_nothing=self._aborts)
        reply = heard.verdict_for(word)
        if heard.is_miscounted:
            reply = None
        elif reply is None or reply.code >= 400 or self._accepted < len(self._recipients):
            reply = None if self.recipients_refusal else self.sender_refusal or self.data_refusal or reply
        # The rest is written when it is read: of thousands of recipients that takes a while. More may be heard before.
        heard = replace(heard, recipients=heard.recipients.copy(), verdicts=heard.verdicts.copy())
        octets = connection.data_octets if self._is_writing_text else self._octets
        timings = FrozenMapping(timings)
        known = self._sender, self._recipients, self._extensions, heard, words, word, reply, octets, timings
        return Receipt.to_write(word, _receipt_of, *known, connection.is_lmtp)

    # Private

    @property
    def _heard(self) -> Heard:
        heard = self._heard_so_far
        if heard is None:
            heard = self._heard_so_far = Heard()
        if self._answered:
            commands = [command for group in self._answered for command in group.commands]
            for command, reply in zip(commands, Replies(self._said).read(), strict=True):
                _take_down(heard, command, reply)
            self._answered, self._said = (), b""
        return heard

    @property
    def _goes_on(self) -> bool:
        # Behind the replies to RCPT.
        return self._accepted == len(self._recipients) if self._aborts else self._accepted > 0

    @property
    def _is_writing_text(self) -> bool:
        return self._end is None and self._heard.data is not None and self._heard.data.is_intermediate


def receipt_of_taken(
    sender: Mailbox | None,
    recipients: Sequence[Mailbox],
    said: bytes,
    begins_anew: bool,
    octets: int,
    extensions: Sequence[str],
    timings: Mapping[str, float],
) -> Receipt:
    """Return the receipt of a mail to which all was `said` that is to be expected."""
    replies = Replies(said).read()
    verdict = replies[-1]
    entries = [
        RecipientReceipt(str(recipient), reply, Delivery.ACCEPTED, verdict)
        for recipient, reply in zip(recipients, replies[2 if begins_anew else 1 :], strict=False)
    ]
    return Receipt(
        Delivery.ACCEPTED, str(sender or ""), tuple(entries), verdict, octets, tuple(dict.fromkeys(extensions)), timings
    )


def refusal_in(reply: Reply | None) -> Reply | None:
    """Return `reply` if it is a refusal."""
    return None if reply is None or reply.code < 400 else reply


def _take_down(heard: Heard, command: Command[object], reply: Reply) -> None:
    # A reply that was to be expected.
    kind = type(command)
    if kind is Rcpt:
        heard.recipients.append(reply)
    elif kind is Mail:
        heard.mail = reply
    elif kind is Data:
        heard.data = reply
    elif kind is not Rset:
        heard.verdicts.append(reply)


def _recipient_receipts(
    recipients: Sequence[Mailbox], heard: Heard, words: Sequence[Delivery], *, lmtp: bool
) -> tuple[RecipientReceipt, ...]:
    receipts: list[RecipientReceipt] = []
    sender_refusal = refusal_in(heard.mail)
    accepted = 0
    for recipient, reply, word in zip_longest(recipients, heard.recipients, words):
        verdict = None
        if reply is not None and reply.is_completion:
            verdict = heard.verdict(accepted, lmtp=lmtp)
            accepted += 1
            verdict = verdict or refusal_in(heard.data) or heard.chunk or sender_refusal
        elif sender_refusal:
            reply, verdict = None, sender_refusal  # a refusal behind it says nothing of the recipient
        receipts.append(RecipientReceipt(str(recipient), reply, word, verdict))
    return tuple(receipts)


def _receipt_of(
    sender: Mailbox | None,
    recipients: Sequence[Mailbox],
    extensions: Sequence[str],
    heard: Heard,
    words: Sequence[Delivery],
    word: Delivery,
    reply: Reply | None,
    octets: int,
    timings: Mapping[str, float],
    lmtp: bool,
) -> Receipt:
    entries = _recipient_receipts(recipients, heard, words, lmtp=lmtp)
    return Receipt(word, str(sender or ""), entries, reply, octets, tuple(dict.fromkeys(extensions)), timings)
