"""Job: a mail as a task carries it, as values that JSON has, fixed once for every attempt."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from hashlib import sha256
from typing import Any

from mailwire import Delivery, Endpoint, Mailing, Receipt, RecipientReceipt


@dataclass(frozen=True)
class Job:
    """id: the Message-ID, which the task and its result go by as well.
    server: the endpoint to send by, as a URL with a user and without a password.
    is_utf8: whether the mail has addresses that only SMTPUTF8 can express.
    """

    id: str
    server: str
    sender: str
    recipients: tuple[str, ...]
    octets: bytes
    is_utf8: bool = False

    @classmethod
    async def of(cls, message: EmailMessage, server: str) -> "Job":
        """Make a job of a message with a Message-ID. Raises ValueError for what is not to be queued."""
        if not message["Message-ID"]:
            raise ValueError("a message needs a Message-ID before it is queued: it is what tells a second copy")
        if getattr(Endpoint.parse(server).auth, "password", ""):
            raise ValueError("a password does not belong into a queue: the workers have it")
        mailing = Mailing(message)
        await mailing.check()
        is_utf8 = bool(mailing.content.needs_utf8) or not mailing.envelope.is_ascii
        text = await mailing.content.text(eight_bit=is_utf8, utf8=is_utf8)
        octets = b"".join([piece async for piece in text.source.pieces()])
        recipients = tuple(map(str, mailing.envelope.recipients))
        return cls(
            message["Message-ID"].strip(), server, str(mailing.envelope.sender or ""), recipients, octets, is_utf8
        )

    @property
    def digest(self) -> str:
        """What tells it from another mail with its Message-ID, by whatever server either is sent."""
        envelope = json.dumps([self.sender, self.recipients])
        return sha256(f"{envelope}\n".encode() + self.octets).hexdigest()

    @property
    def receipt(self) -> Receipt:
        """What is known before the first attempt."""
        return unsent(self.sender, self.recipients)

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "server": self.server,
            "sender": self.sender,
            "recipients": list(self.recipients),
            "octets": self.octets.decode("latin-1"),
            "is_utf8": self.is_utf8,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Job":
        return cls(
            str(data["id"]),
            str(data["server"]),
            str(data["sender"]),
            tuple(map(str, data["recipients"])),
            data["octets"].encode("latin-1"),
            bool(data["is_utf8"]),
        )


def unsent(sender: str, recipients: tuple[str, ...]) -> Receipt:
    """Return the receipt of a mail that was not sent to anybody."""
    entries = tuple(RecipientReceipt(address, None, Delivery.NOT_SENT) for address in recipients)
    return Receipt(Delivery.NOT_SENT, sender, entries, None, 0)
