"""Retrieve mail from a list of bytes: what a server says is known beforehand, in whatever pieces."""

from collections.abc import Iterable

from mailwire import pop3


def retrieve(pieces: Iterable[bytes], user: str, password: str) -> tuple[bytes, list[bytes]]:
    """Return what a client says to a server that says `pieces`, and the messages that are whole."""
    said = bytearray()
    machine = pop3.Connection()
    messages: list[bytes] = []
    message = bytearray()
    for piece in pieces:
        machine.receive_data(piece)
        while (event := machine.next_event()) is not None:
            match event:
                case pop3.ResponseReceived(pop3.Greeting(), response) if response.ok:
                    machine.send(pop3.User(user))
                    machine.send(pop3.Pass(password))
                    machine.send(pop3.List())
                case pop3.ResponseReceived(pop3.List() as command, response) if response.ok:
                    for number in command.parse(response):
                        machine.send(pop3.Retr(number))
                case pop3.MessageData(_, data):
                    message += data
                case pop3.MessageEnd():
                    messages.append(bytes(message))
                    message.clear()
        said += b"".join(machine.data_to_send())
    return bytes(said), messages
