"""Send a mail over a blocking socket."""

import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress

from mailwire import MailwireError, sasl, smtp


class Session:
    """A machine and its socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.machine = smtp.Connection()

    def next_event(self) -> smtp.Event:
        """Write what may be written and read until something has happened."""
        while True:
            for block in self.machine.data_to_send():
                self.sock.sendall(block)
            if (event := self.machine.next_event()) is not None:
                return event
            data = self.sock.recv(65536)
            self.machine.receive_data(data) if data else self.machine.receive_eof()

    def ask(self, command: smtp.Command[object] | None = None) -> None:
        """Send a command, if not only the greeting is waited for, and wait for a success."""
        if command is not None:
            self.machine.send(command)
        event = self.next_event()
        if not isinstance(event, smtp.ReplyReceived) or not event.reply.is_completion:
            raise ConnectionError(f"{command}: {event}")


def send(host: str, port: int, login: sasl.Password, mail: Iterable[bytes], *path: str, tls: ssl.SSLContext) -> str:
    """Send `mail`, in blocks; `path` is the sender and the recipients. Return what became of it."""
    sender, *recipients = map(smtp.Mailbox.parse, path)
    with socket.create_connection((host, port), timeout=60) as plain:
        session = Session(plain)
        session.ask()
        session.ask(smtp.Ehlo("client.example.org"))
        session.ask(smtp.StartTls())
        with tls.wrap_socket(plain, server_hostname=host) as session.sock:
            session.machine.tls_established(is_verified=True)
            session.ask(smtp.Ehlo("client.example.org"))
            session.ask(smtp.Auth(sasl.Plain(login)))
            transaction, blocks = smtp.Transaction(session.machine, sender, recipients), iter(mail)
            with suppress(MailwireError, OSError):  # the receipt tells what is known all the same
                while not transaction.finished:
                    while transaction.wants_data:
                        block = next(blocks, None)
                        transaction.end_data() if block is None else transaction.send_data(block)
                    if isinstance(event := session.next_event(), smtp.ReplyReceived):
                        transaction.receive(event)
                session.ask(smtp.Quit())
    return transaction.receipt().delivery.value
