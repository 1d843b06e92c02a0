"""Retrieve mail over a blocking socket."""

import socket
import ssl
from collections.abc import Iterator

from mailwire import pop3


class Session:
    """A machine and its socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.machine = pop3.Connection()

    def next_event(self) -> pop3.Event:
        """Write what may be written and read until something has happened."""
        while True:
            for block in self.machine.data_to_send():
                self.sock.sendall(block)
            if (event := self.machine.next_event()) is not None:
                return event
            data = self.sock.recv(65536)
            self.machine.receive_data(data) if data else self.machine.receive_eof()

    def ask(self, command: pop3.Command[object] | None = None) -> pop3.Response:
        """Send a command, if not only the greeting is waited for, and wait for +OK."""
        if command is not None:
            self.machine.send(command)
        event = self.next_event()
        if not isinstance(event, pop3.ResponseReceived) or not event.response.ok:
            raise ConnectionError(f"{command}: {event}")
        return event.response


def retrieve(host: str, port: int, user: str, password: str, *, tls: ssl.SSLContext) -> Iterator[bytes]:
    """Yield each message of a maildrop, pipelined where the server announces it."""
    with socket.create_connection((host, port), timeout=60) as plain:
        session = Session(plain)
        session.ask()
        session.ask(pop3.Stls())
        with tls.wrap_socket(plain, server_hostname=host) as session.sock:
            session.machine.tls_established()
            session.ask(pop3.User(user))
            session.ask(pop3.Pass(password))
            session.machine.send(pop3.Capa())
            session.next_event()  # -ERR is as good: a server without CAPA announces nothing
            sizes = pop3.List().parse(session.ask(pop3.List()))
            for number, size in sizes.items():
                session.machine.send(pop3.Retr(number, size))
            for _ in sizes:
                session.ask()  # +OK; the message follows
                message = bytearray()
                while isinstance(event := session.next_event(), pop3.MessageData):
                    message += event.data
                yield bytes(message)  # the event was MessageEnd: anything less is raised as an error
            session.ask(pop3.Quit())
