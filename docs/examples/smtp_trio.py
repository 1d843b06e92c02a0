"""Send a mail with trio."""

from collections.abc import AsyncIterator
from contextlib import suppress
from ssl import SSLContext

import trio

from mailwire import MailwireError, Password, sasl, smtp


class Session:
    """A machine and its stream. No wait for the server takes longer than a minute."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream, self.machine = stream, smtp.Connection()

    async def next_event(self) -> smtp.Event:
        """Write what may be written and read until something has happened."""
        while True:
            for block in self.machine.data_to_send():
                with trio.fail_after(60):
                    await self.stream.send_all(block)
            if (event := self.machine.next_event()) is not None:
                return event
            with trio.fail_after(60):
                data = await self.stream.receive_some(65536)
            self.machine.receive_data(bytes(data)) if data else self.machine.receive_eof()

    async def ask(self, *commands: smtp.Command[object] | None) -> None:
        """Send commands one by one and wait for a success of each; None is for the greeting, which nobody asks for."""
        for command in commands:
            if command is not None:
                self.machine.send(command)
            if not isinstance(event := await self.next_event(), smtp.ReplyReceived) or not event.reply.is_completion:
                raise ConnectionError(f"{command}: {event}")


async def send(host: str, port: int, login: Password, mail: AsyncIterator[bytes], *path: str, tls: SSLContext) -> str:
    """Send `mail`, in blocks, from the first address in `path` to the others. Return what became of it."""
    sender, *recipients = map(smtp.Mailbox.parse, path)
    async with await trio.open_tcp_stream(host, port) as plain:
        session = Session(plain)
        await session.ask(None, smtp.Ehlo("client.example.org"), smtp.StartTls())
        session.stream = trio.SSLStream(plain, tls, server_hostname=host, https_compatible=True)
        with trio.fail_after(60):
            await session.stream.do_handshake()
        session.machine.tls_established(is_verified=True)
        await session.ask(smtp.Ehlo("client.example.org"), smtp.Auth(sasl.Plain(login)))
        transaction = smtp.Transaction(session.machine, sender, recipients)
        with suppress(MailwireError, OSError, trio.BrokenResourceError, trio.TooSlowError):  # the receipt tells
            while not transaction.finished:
                while transaction.wants_data:
                    block = await anext(mail, None)
                    transaction.end_data() if block is None else transaction.send_data(block)
                if isinstance(event := await session.next_event(), smtp.ReplyReceived):
                    transaction.receive(event)
            await session.ask(smtp.Quit())
    return transaction.receipt().delivery.value
