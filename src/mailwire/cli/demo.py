"""`mailwire demo`: both dialogues, with a server of our own."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Final

from ..endpoint import Endpoint
from ..errors import MailwireError
from ..message import RetrievedMessage
from ..one_call.retrieving import retrieve
from ..one_call.sending import send
from ..sasl.credentials import Password
from ..smtp.delivery import Delivery
from ..smtp.receipt import Receipt
from ..testing import QUIRKS, STANDARD, Account, MailServer, client_context, server_context
from ..transcript import Transcript
from .command_parser import CommandParser
from .exits import Exit, status_of
from .signals import run
from .wording import in_our_words

__all__ = ["HELP", "demonstrate", "judge", "make_parser", "perform"]

HELP: Final = "send a mail to a server of our own on the loopback interface, retrieve it, and print both dialogues"
"""What it does, in a line."""

_ADDRESS: Final = "ann@example.org"
_USER: Final = Password("ann", "secret")


def make_parser() -> CommandParser:
    """Return the parser of the arguments."""
    parser = CommandParser(
        "mailwire demo", description=f"{HELP.capitalize()}.", epilog="example: mailwire demo --quirk argosoft"
    )
    parser.add_argument("--tls", action="store_true", help="speak TLS from the first byte")
    parser.add_argument("--quirk", choices=sorted(QUIRKS), metavar="NAME", help="let the server behave as this one did")
    return parser


def perform(options: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    server = MailServer(
        [Account(_USER.user, _USER.password, (_ADDRESS,))],
        quirk=QUIRKS[options.quirk] if options.quirk else STANDARD,
        tls_context=server_context() if options.tls else None,
        implicit_tls=options.tls,
    )
    # A server of the days before EHLO has no AUTH either.
    logs_in = options.quirk is None or "EHLO" not in QUIRKS[options.quirk].smtp.unknown_commands
    return run(demonstrate(server, tls=options.tls, logs_in=logs_in))


async def demonstrate(server: MailServer, *, tls: bool, logs_in: bool) -> int:
    """Send the captured mail through `server` and retrieve it; print all of it; return the exit status."""
    sent = files("mailwire.testing").joinpath("data", "message.eml").read_bytes()
    try:
        async with server:
            pop3 = Endpoint(
                "localhost",
                server.pop3_port,
                protocol="pop3",
                tls="implicit" if tls else "none",
                tls_context=client_context() if tls else None,
                auth=_USER,
                allow_cleartext_auth=True,  # the link does not leave this machine
            )
            smtp = pop3.replace(
                port=server.smtp_port,
                protocol="smtp",
                auth=_USER if logs_in else None,
                use_chunking=False,  # DATA and a dot are what people look for
            )
            with _dialogue(f"SMTP, {smtp}") as dialogue:
                receipt = await send(sent, smtp, sender=_ADDRESS, recipients=_ADDRESS, transcript=dialogue)
            with _dialogue(f"POP3, {pop3}") as dialogue:
                messages = await retrieve(pop3, transcript=dialogue)
    except MailwireError as error:
        print(f"mailwire: {in_our_words(error)}", file=sys.stderr)
        return status_of(error)
    return judge(sent, receipt, messages)


def judge(sent: bytes, receipt: Receipt, messages: Sequence[RetrievedMessage]) -> int:
    """Say whether what came back is what was sent; return the exit status."""
    print(f"sent {receipt.octets} octets ({receipt.delivery.value}), retrieved {len(messages)} message")
    raw = [message.raw for message in messages]
    if receipt.delivery is Delivery.ACCEPTED and raw == [sent]:
        print("what came back is what was sent, octet for octet")
    elif receipt.delivery is Delivery.ACCEPTED and raw == [sent.replace(b"\r\n", b"\n")]:
        print("what came back is what was sent, but for the ends of its lines: this server gives a line feed alone")
    else:
        print("mailwire: what came back is not what was sent", file=sys.stderr)
        return Exit.PROTOCOL
    return Exit.OK


@contextmanager
def _dialogue(title: str) -> Iterator[Transcript]:
    # Printed also when it ends badly: that is when it is read.
    transcript = Transcript(limit=None)
    try:
        yield transcript
    finally:
        print(f"--- {title}\n{transcript.render()}\n")
