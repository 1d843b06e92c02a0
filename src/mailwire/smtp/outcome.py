"""Outcome: what was heard of a mail, recipient by recipient, as a receipt tells it."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from .commands import Command, Data, Mail, Rcpt, Rset
from .delivery import Delivery, Heard
from .group import Replies
from .paths import Mailbox
from .receipt import Receipt, RecipientReceipt
from .reply import Reply

__all__ = ["receipt_of_taken", "recipient_receipts", "refusal_in", "take_down"]


def refusal_in(reply: Reply | None) -> Reply | None:
    """Return `reply` if it is a refusal."""
    return None if reply is None or reply.code < 400 else reply


def take_down(heard: Heard, command: Command[object], reply: Reply) -> None:
    """Add to what was `heard` a `reply` to `command` that was to be expected."""
    kind = type(command)
    if kind is Rcpt:
        heard.recipients.append(reply)
    elif kind is Mail:
        heard.mail = reply
    elif kind is Data:
        heard.data = reply
    elif kind is not Rset:
        heard.verdicts.append(reply)


def recipient_receipts(
    recipients: Sequence[Mailbox], heard: Heard, words: Sequence[Delivery], *, lmtp: bool
) -> tuple[RecipientReceipt, ...]:
    """Return what is known about each of the `recipients`, whose words are known."""
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


def receipt_of_taken(
    sender: Mailbox | None,
    recipients: Sequence[Mailbox],
    answered: Sequence[Replies],
    begins_anew: bool,
    octets: int,
    extensions: Sequence[str],
    timings: Mapping[str, float],
) -> Receipt:
    """Return the receipt of a mail for which all was `answered` as is to be expected."""
    replies = [reply for each in answered for reply in each.read()]
    verdict = replies[-1]
    entries = [
        RecipientReceipt(str(recipient), reply, Delivery.ACCEPTED, verdict)
        for recipient, reply in zip(recipients, replies[2 if begins_anew else 1 :], strict=False)
    ]
    return Receipt(
        Delivery.ACCEPTED, str(sender or ""), tuple(entries), verdict, octets, tuple(dict.fromkeys(extensions)), timings
    )
