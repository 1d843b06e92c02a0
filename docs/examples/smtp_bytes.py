"""Send a mail to a list of bytes: what a server says is known beforehand, in whatever pieces."""

from collections.abc import Iterable

from mailwire import smtp


def send(pieces: Iterable[bytes], mail: Iterable[bytes], sender: str, *recipients: str) -> tuple[bytes, smtp.Receipt]:
    """Return what a client says to a server that says `pieces`, and what became of the mail."""
    said = bytearray()
    machine = smtp.Connection()
    transaction: smtp.Transaction | None = None
    blocks = iter(mail)
    for piece in pieces:
        machine.receive_data(piece)
        while (event := machine.next_event()) is not None:
            if not isinstance(event, smtp.ReplyReceived):
                continue
            match event.command:
                case smtp.Greeting():
                    machine.send(smtp.Ehlo("client.example.org"))
                case smtp.Ehlo():
                    path = map(smtp.Mailbox.parse, recipients)
                    transaction = smtp.Transaction(machine, smtp.Mailbox.parse(sender), list(path))
                case _ if transaction is not None:
                    transaction.receive(event)
        while transaction is not None and transaction.wants_data:
            block = next(blocks, None)
            transaction.end_data() if block is None else transaction.send_data(block)
        said += b"".join(machine.data_to_send())
    if transaction is None:
        raise EOFError("the server has said too little")
    return bytes(said), transaction.receipt()
