"""RetrievedMessage: a message as a server gave it."""

from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP

__all__ = ["RetrievedMessage"]


@dataclass(frozen=True, slots=True)
class RetrievedMessage:
    """A message as the server gave it: `raw` is it, octet for octet, `number` was its number in that session, `uid` is
    its unique id, None where the server has no UIDL."""

    number: int
    uid: str | None
    raw: bytes = field(repr=False)

    def parse(self) -> EmailMessage:
        """Parse the message. What a stranger wrote may take the standard library's parser long, or break it."""
        return message_from_bytes(self.raw, policy=SMTP)
