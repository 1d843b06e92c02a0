"""send: a connection to a server, one mail, and the end of the connection."""

from collections.abc import Iterable, Mapping
from email.headerregistry import Address

from ..aio.lmtp import LMTPClient
from ..aio.mailing import Mailing, OnRefused, Progress, are_many, read_many, tell_not_sent
from ..aio.smtp import SMTPClient
from ..endpoint import Chunking, Endpoint
from ..errors import MailwireError
from ..message import MessagePolicy, MessageSource
from ..message.policy import DEFAULT_POLICY
from ..smtp.options import MailOptions, RecipientOptions
from ..smtp.receipt import Receipt
from ..transcript import Transcript

__all__ = ["send"]


async def send(
    message: MessageSource | Mailing,
    endpoint: Endpoint | str,
    *,
    sender: str | Address | None = None,
    recipients: str | Address | Iterable[str | Address] | None = None,
    policy: MessagePolicy = DEFAULT_POLICY,
    options: MailOptions | None = None,
    recipient_options: RecipientOptions | Mapping[str, RecipientOptions] | None = None,
    on_refused: OnRefused = "send",
    use_chunking: Chunking = None,
    progress: Progress | None = None,
    transcript: Transcript | None = None,
) -> Receipt:
    """Connect to `endpoint` (or its URL), send one message and take leave.

    The arguments and errors are those of `SMTPClient.send`, and of `SMTPClient.connect`; with an endpoint for LMTP,
    those of `LMTPClient`. Every MailwireError says by its `delivery` what became of the mail; after NOT_SENT and
    REFUSED the server does not have it.
    """
    mailing: Mailing | None = None
    try:
        endpoint = Endpoint.of(endpoint)
    except ValueError:
        del endpoint  # the password in a URL: a traceback may show locals
        raise
    client_class = LMTPClient if endpoint.protocol == "lmtp" else SMTPClient
    client = client_class(endpoint, transcript=transcript)
    try:
        # Nobody is connected to with what cannot be sent.
        if are_many(recipients, message):
            message, recipients = await read_many(message, recipients, sender, policy)
        mailing = Mailing.of(
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
        mailing.last_receipt = None
        await mailing.check()
        async with client:
            return await client.send(mailing)
    except MailwireError as error:
        if error.delivery is None:
            tell_not_sent(error, None if mailing is None else mailing.envelope)
        raise
