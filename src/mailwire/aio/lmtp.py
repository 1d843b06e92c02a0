"""LMTPClient: delivers mail to where its recipients read it (RFC 2033)."""

from typing import ClassVar

from ..endpoint import Protocol
from .smtp import SMTPClient

__all__ = ["LMTPClient"]


class LMTPClient(SMTPClient):
    """A connection to an LMTP server: an SMTPClient to which each recipient's delivery is answered for itself.

    endpoint: an Endpoint or its URL, `lmtp+unix:///run/dovecot/lmtp` for one.

    ::

        async with LMTPClient("lmtp+unix:///run/dovecot/lmtp") as client:
            receipt = await client.send(message)
            for entry in receipt.recipients:
                print(entry.address, entry.delivery, entry.reply)

    `send` raises DataRefused where every delivery is refused; where some are, the receipt says which.
    """

    _protocol: ClassVar[Protocol] = "lmtp"
