"""Retrieve mail with trio."""

import ssl

import trio

from mailwire import pop3


class Session:
    """A machine and its stream. No wait for the server takes longer than a minute."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream, self.machine = stream, pop3.Connection()

    async def next_event(self) -> pop3.Event:
        """Write what may be written and read until something has happened."""
        while True:
            with trio.fail_after(60):
                for block in self.machine.data_to_send():
                    await self.stream.send_all(block)
                if (event := self.machine.next_event()) is not None:
                    return event
                data = await self.stream.receive_some(65536)
            self.machine.receive_data(bytes(data)) if data else self.machine.receive_eof()

    async def ask(self, command: pop3.Command[object] | None = None) -> pop3.Response:
        """Send a command, if not only the greeting is waited for, and wait for +OK."""
        if command is not None:
            self.machine.send(command)
        if not isinstance(event := await self.next_event(), pop3.ResponseReceived) or not event.response.ok:
            raise ConnectionError(f"{command}: {event}")
        return event.response


async def retrieve(host: str, port: int, user: str, password: str, *, tls: ssl.SSLContext) -> list[bytes]:
    """Return the messages of a maildrop, pipelined where the server announces it."""
    async with await trio.open_tcp_stream(host, port) as plain:
        session = Session(plain)
        await session.ask()
        await session.ask(pop3.Stls())
        session.stream = trio.SSLStream(plain, tls, server_hostname=host, https_compatible=True)
        with trio.fail_after(60):
            await session.stream.do_handshake()
        session.machine.tls_established()
        await session.ask(pop3.User(user))
        await session.ask(pop3.Pass(password))
        session.machine.send(pop3.Capa())
        await session.next_event()  # -ERR is as good: a server without CAPA announces nothing
        sizes = pop3.List().parse(await session.ask(pop3.List()))
        for number, size in sizes.items():
            session.machine.send(pop3.Retr(number, size))
        messages = [bytearray() for _ in sizes]
        for message in messages:
            await session.ask()  # +OK; the message follows
            while isinstance(event := await session.next_event(), pop3.MessageData):
                message += event.data
        await session.ask(pop3.Quit())  # every message was ended by MessageEnd: anything less is raised as an error
    return [bytes(message) for message in messages]
