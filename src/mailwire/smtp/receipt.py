"""Receipt: what is known about a mail after an attempt to send it, whatever became of the attempt.

A receipt is a value: it can be compared, hashed, pickled, printed, and written as JSON (`to_dict`, `from_dict`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Self, TypeVarTuple

from .._wire.mapping import FrozenMapping
from .._wire.text import check_kind
from .delivery import Delivery, joined_word
from .reply import EnhancedCode, Reply

__all__ = ["NO_TIMINGS", "Receipt", "RecipientReceipt"]

_Ts = TypeVarTuple("_Ts")

NO_TIMINGS: Final[Mapping[str, float]] = FrozenMapping({})
"""Nobody has measured."""

# Of a class they would be looked up anew each time: a receipt is made for every mail.
_new: Final = object.__new__
_set: Final = object.__setattr__


@dataclass(frozen=True, slots=True)
class RecipientReceipt:
    """What is known about one recipient.

    reply: the one to RCPT; None if there was none, or if it was refused because MAIL was.
    final_reply: the one that decided about the mail, for a recipient that was not refused itself: to the message (in
        LMTP this recipient's own, in SMTP the same for all), or the refusal of MAIL, DATA or a chunk.
    """

    address: str
    reply: Reply | None
    delivery: Delivery
    final_reply: Reply | None = None

    @property
    def decisive_reply(self) -> Reply | None:
        """The reply that decided; None if nothing is decided."""
        if self.final_reply is not None:
            return self.final_reply
        return self.reply if self.delivery is Delivery.REFUSED else None

    @property
    def enhanced_code(self) -> EnhancedCode | None:
        """The enhanced status code (RFC 2034, 3463) of the reply that decided."""
        return None if self.decisive_reply is None else self.decisive_reply.enhanced_code

    @property
    def is_transient(self) -> bool:
        """Whether the refusal is one for now: 4yz. So is 552 to RCPT, which says "too many" (RFC 5321 4.5.3.1.10)."""
        reply = self.decisive_reply
        if self.delivery is not Delivery.REFUSED or reply is None:
            return False
        return reply.is_transient or (self.final_reply is None and reply.code == 552)

    @property
    def is_retryable(self) -> bool:
        """Whether another attempt may succeed and cannot make a second copy: it was not sent, or refused for now.

        Where the delivery is UNKNOWN it never is: the server may have the mail.
        """
        return self.delivery is Delivery.NOT_SENT or self.is_transient

    @property
    def queue_id(self) -> str | None:
        """The name under which the server keeps the mail, if it is one of those known to tell it (see `queue_id`)."""
        accepted = self.delivery is Delivery.ACCEPTED
        if not accepted or self.final_reply is None:
            return None
        from .queue_id import queue_id  # for who asks

        return queue_id(self.final_reply)

    def __str__(self) -> str:
        text = f"{self.address}: {self.delivery.value}"
        return text if self.decisive_reply is None else f"{text} ({self.decisive_reply})"

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return {
            "address": self.address,
            "delivery": self.delivery.value,
            "reply": _reply_to_dict(self.reply),
            "final_reply": _reply_to_dict(self.final_reply),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_dict` was called on. Raises KeyError, TypeError or ValueError for what it did not return."""
        return cls(
            address=str(data["address"]),
            reply=_reply_from_dict(data["reply"]),
            delivery=Delivery(data["delivery"]),
            final_reply=_reply_from_dict(data["final_reply"]),
        )


class _Unwritten:
    # A receipt of which the rest is written when somebody reads it: most are asked for no more than a word.

    __slots__ = ("_known",)

    if TYPE_CHECKING:
        _known: tuple[object, ...]  # who writes it, and of what
    else:  # to a type checker this would say that a receipt has any attribute

        def __getattr__(self, name: str) -> object:
            # Only what has no value yet comes here.
            if name not in _FIELDS:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            write, *known = self._known
            written = write(*known)
            for field_name in _FIELDS:
                object.__setattr__(self, field_name, getattr(written, field_name))
            return getattr(self, name)


@dataclass(frozen=True, slots=True)
class Receipt(_Unwritten):
    """What is known about one mail.

    sender: the reverse-path, "" for the null one.
    recipients: one entry for each recipient given, in that order; one that was given twice is there twice.
    reply: the reply that decided about the mail as a whole: the last one, to the end of data, or the refusal of MAIL,
        DATA or a chunk. None if there was none, or if it was the refusal of recipients that decided. In LMTP, where
        each recipient has a reply, it is the last of those that mean the word of the whole: a mail that one has and
        another was refused is ACCEPTED by the reply to the one, and UNKNOWN by none where a reply is missing.
    octets: how long the message was on the wire, without the final dot; 0 if it did not go out.
    extensions: those of the server's that this mail made use of.
    timings: how long each phase took, in seconds, by its name. Whoever has a clock fills them in; they do not count
        where receipts are compared.
    """

    delivery: Delivery
    sender: str
    recipients: tuple[RecipientReceipt, ...]
    reply: Reply | None
    octets: int
    extensions: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default=NO_TIMINGS, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.timings, FrozenMapping):
            object.__setattr__(self, "timings", FrozenMapping(self.timings))

    @classmethod
    def to_write(cls, delivery: Delivery, *known: *tuple[Callable[[*_Ts], "Receipt"], *_Ts]) -> Self:
        """Return the receipt that the first of what is `known` makes of the rest; no more of it than the `delivery` is
        made now."""
        receipt = _new(cls)
        _set(receipt, "delivery", delivery)
        _set(receipt, "_known", known)
        return receipt

    @classmethod
    def joined(cls, receipts: Sequence[Self], places: Sequence[Sequence[int]] | None = None) -> Self:
        """Return one receipt for a mail that went out in several transactions, of which these are the `receipts`.

        places: for each of them, where its recipients stand in the whole (`Batch.places`); by default one behind the
            other.

        `delivery` is UNKNOWN if it is so for any of them, else ACCEPTED, REFUSED or NOT_SENT, whichever comes first in
        this order for any; `reply` is that of the first one with this word. Octets and timings are added up. Raises
        ValueError if there are no receipts, or the places are not those of all recipients.
        """
        if not receipts:
            raise ValueError("expected receipts to join, got none")
        entries = [entry for receipt in receipts for entry in receipt.recipients]
        order = range(len(entries)) if places is None else [place for group in places for place in group]
        if sorted(order) != list(range(len(entries))):
            raise ValueError(f"expected a place for each of {len(entries)} recipients, got {len(order)}")
        word = joined_word({receipt.delivery for receipt in receipts})
        timings: dict[str, float] = {}
        for receipt in receipts:
            for phase, seconds in receipt.timings.items():
                timings[phase] = timings.get(phase, 0) + seconds
        return cls(
            delivery=word,
            sender=receipts[0].sender,
            recipients=tuple(entry for _, entry in sorted(zip(order, entries, strict=True), key=lambda pair: pair[0])),
            reply=next(receipt.reply for receipt in receipts if receipt.delivery is word),
            octets=sum(receipt.octets for receipt in receipts),
            extensions=tuple(dict.fromkeys(name for receipt in receipts for name in receipt.extensions)),
            timings=timings,
        )

    @property
    def accepted(self) -> tuple[str, ...]:
        """The recipients for whom the server took the mail."""
        return tuple(entry.address for entry in self.recipients if entry.delivery is Delivery.ACCEPTED)

    @property
    def refused(self) -> tuple[RecipientReceipt, ...]:
        """The recipients that were refused, for now or for good."""
        return tuple(entry for entry in self.recipients if entry.delivery is Delivery.REFUSED)

    @property
    def deferred(self) -> tuple[RecipientReceipt, ...]:
        """The recipients that were refused for now."""
        return tuple(entry for entry in self.recipients if entry.is_transient)

    @property
    def unknown(self) -> tuple[RecipientReceipt, ...]:
        """The recipients for whom the server may or may not have the mail."""
        return tuple(entry for entry in self.recipients if entry.delivery is Delivery.UNKNOWN)

    @property
    def retryable(self) -> tuple[RecipientReceipt, ...]:
        """The recipients to whom another attempt may bring the mail, and cannot bring it twice."""
        return tuple(entry for entry in self.recipients if entry.is_retryable)

    @property
    def queue_id(self) -> str | None:
        """The name under which the server keeps the mail, if it is known; the first, where there are several."""
        return next((found for entry in self.recipients if (found := entry.queue_id) is not None), None)

    def __str__(self) -> str:
        """One line: the word, the reply, and every recipient that has another word."""
        others = [str(entry) for entry in self.recipients if entry.delivery is not self.delivery]
        same, reply = len(self.recipients) - len(others), "" if self.reply is None else f" ({self.reply})"
        return "; ".join((f"{self.delivery.value} for {same} of {len(self.recipients)} recipients{reply}", *others))

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold. Besides what `from_dict` needs, `queue_id` is told."""
        return {
            "delivery": self.delivery.value,
            "sender": self.sender,
            "recipients": [entry.to_dict() for entry in self.recipients],
            "reply": _reply_to_dict(self.reply),
            "queue_id": self.queue_id,
            "octets": self.octets,
            "extensions": list(self.extensions),
            "timings": dict(self.timings),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_dict` was called on. Raises KeyError, TypeError or ValueError for what it did not return."""
        check_kind("timings", data["timings"], Mapping, "a mapping of phases to seconds")
        return cls(
            delivery=Delivery(data["delivery"]),
            sender=str(data["sender"]),
            recipients=tuple(map(RecipientReceipt.from_dict, data["recipients"])),
            reply=_reply_from_dict(data["reply"]),
            octets=int(data["octets"]),
            extensions=tuple(map(str, data["extensions"])),
            timings={str(phase): float(seconds) for phase, seconds in data["timings"].items()},
        )


_FIELDS: Final = frozenset(each.name for each in fields(Receipt))


def _reply_to_dict(reply: Reply | None) -> dict[str, Any] | None:
    return None if reply is None else reply.to_dict()


def _reply_from_dict(data: Mapping[str, Any] | None) -> Reply | None:
    return None if data is None else Reply.from_dict(data)
