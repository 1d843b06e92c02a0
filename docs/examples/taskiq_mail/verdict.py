"""What is to be done about a mail, by what is known of it. Nothing here knows of a queue."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from mailwire import (
    AuthenticationFailed,
    Delivery,
    InvalidMessage,
    MailwireError,
    NotSupported,
    Receipt,
    RecipientReceipt,
)

# What holds for a mail, if it holds for any of its recipients: the first of these.
_GRAVEST = (Delivery.UNKNOWN, Delivery.ACCEPTED, Delivery.REFUSED, Delivery.NOT_SENT)


@dataclass(frozen=True)
class Rules:
    """attempts: after how many a mail is given up.
    first_delay, longest_delay: seconds before another attempt; it is twice as long each time, less up to a half of it.
    resend_unknown: what to do where a server may or may not have the mail. True: it is sent again, and the recipient
        may have it twice, under one Message-ID. False: somebody has to look.
    """

    attempts: int = 12
    first_delay: float = 60
    longest_delay: float = 4 * 3600
    resend_unknown: bool = True


@dataclass(frozen=True)
class Step:
    """What is to be done: acknowledge the task, try again in `delay` seconds, or put the mail to the dead letters."""

    kind: Literal["done", "again", "dead"]
    delay: float = 0


def remaining(receipt: Receipt, rules: Rules) -> tuple[str, ...]:
    """Return the recipients that another attempt is for."""
    return tuple(
        entry.address
        for entry in receipt.recipients
        if entry.is_retryable or (rules.resend_unknown and _is_open(entry))
    )


def _is_open(entry: RecipientReceipt) -> bool:
    # Not for whom an attempt was refused for good, behind one of which nobody knows.
    is_refused = entry.reply is not None and entry.reply.is_permanent
    return entry.delivery is Delivery.UNKNOWN and not is_refused


def decide(
    receipt: Receipt,
    attempts: int,
    error: MailwireError | None,
    rules: Rules,
    draw: Callable[[], float] = random.random,
) -> Step:
    """Return the next step for a mail of which so much is known after so many attempts; `error` ended the last."""
    if all(entry.delivery is Delivery.ACCEPTED for entry in receipt.recipients):
        return Step("done")
    if attempts >= rules.attempts or not remaining(receipt, rules) or is_final(error):
        return Step("dead")
    delay = min(rules.first_delay * 2 ** (attempts - 1), rules.longest_delay)
    return Step("again", delay * (1 - draw() / 2))


def is_final(error: MailwireError | None) -> bool:
    """Whether the same would come of another attempt, though nothing was sent. Wrong passwords lock accounts."""
    if isinstance(error, AuthenticationFailed):
        return error.answer is None or not error.answer.is_transient
    return isinstance(error, InvalidMessage | NotSupported)


def merged(known: Receipt, latest: Receipt) -> Receipt:
    """Return what is known after an attempt of which `latest` is the receipt: of those that it was for, the latest."""
    found = {entry.address: entry for entry in latest.recipients}
    return _with(latest, [_later(each, found.get(each.address, each)) for each in known.recipients])


def _later(before: RecipientReceipt, after: RecipientReceipt) -> RecipientReceipt:
    # What the latest attempt did not bring, the one before may have brought.
    if before.delivery is Delivery.UNKNOWN and after.delivery is not Delivery.ACCEPTED:
        return RecipientReceipt(before.address, after.decisive_reply, Delivery.UNKNOWN)
    return after


def in_doubt(known: Receipt, tried: tuple[str, ...]) -> Receipt:
    """Return what is known of a mail whose worker was lost in the moment of doubt, while it went to those `tried`."""
    unknown = {address: RecipientReceipt(address, None, Delivery.UNKNOWN) for address in tried}
    return _with(known, [unknown.get(each.address, each) for each in known.recipients])


def _with(receipt: Receipt, entries: list[RecipientReceipt]) -> Receipt:
    words = {entry.delivery for entry in entries}
    word = next(word for word in _GRAVEST if word in words)
    return replace(receipt, delivery=word, recipients=tuple(entries))
