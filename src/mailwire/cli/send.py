"""`mailwire send`: one mail, and what became of it for each recipient."""

import argparse
import asyncio
import json
import sys
from contextlib import AbstractContextManager, nullcontext
from email.message import EmailMessage
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from .._wire.text import printable
from ..aio.lmtp import LMTPClient
from ..aio.mailing import Mailing
from ..aio.smtp import SMTPClient
from ..endpoint import Endpoint
from ..errors import InvalidMessage, MailwireError, SourceFailed
from ..message import Envelope, compose
from ..smtp.delivery import Delivery
from ..smtp.receipt import Receipt
from ..transcript import Transcript
from .command_parser import CommandParser
from .exits import Exit, status_of
from .message_file import MessageFile
from .progress import ProgressBar
from .servers import UsageError, add_server_options, endpoint_of
from .signals import run
from .wording import in_our_words

__all__ = ["HELP", "make_parser", "perform"]

HELP: Final = "send a mail"
"""What it does, in a line."""


def make_parser() -> CommandParser:
    """Return the parser of the arguments."""
    parser = CommandParser(
        "mailwire send",
        usage="mailwire send [OPTIONS] URL [FILE]",
        description="Send the message in FILE, or on standard input, or one made of the options.",
        epilog="example: mailwire send smtps://me@example.org --to you@example.org < message",
    )
    add_server_options(parser)
    parser.add_argument("file", metavar="FILE", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--from", dest="sender", metavar="ADDRESS", help="the sender; else what the header says")
    parser.add_argument("--to", metavar="ADDRESS", action="append", help="a recipient, and others; else the header's")
    parser.add_argument(
        "--cc", metavar="ADDRESS", action="append", default=[], help="another recipient, in a message made here"
    )
    parser.add_argument(
        "--bcc", metavar="ADDRESS", action="append", default=[], help="and one whom the others do not see"
    )
    parser.add_argument("--subject", metavar="TEXT", help="make a message, with this subject")
    parser.add_argument("--text", metavar="TEXT", help="make a message of this; else of standard input")
    parser.add_argument("--attach", metavar="FILE", action="append", default=[], help="attach a file, and others")
    parser.add_argument("--json", action="store_true", help="print the receipt as JSON")
    return parser


def perform(options: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    # What is read, and who may be asked for a password, is waited for before there is anything to be interrupted.
    with _opened(options) as file:
        mailing = _read(options, file)
        return run(_send(options, endpoint_of(options, protocols=("smtp", "lmtp")), mailing))


async def _send(options: argparse.Namespace, endpoint: Endpoint, mailing: Mailing) -> int:
    await mailing.check()
    transcript = Transcript(limit=None if options.transcript else 100)
    client = (LMTPClient if endpoint.protocol == "lmtp" else SMTPClient)(endpoint, transcript=transcript)
    before = mailing.envelope.receipt_before_sending()
    sent: Receipt | None = None
    try:
        with ProgressBar(sys.stderr, quiet=options.quiet) as bar:
            mailing.progress = bar.show
            async with client:
                sent = await client.send(mailing)
        return _tell_sent(options, sent)
    except (MailwireError, OSError, ValueError) as error:  # the latter of what is to bring a token
        receipt = (error.receipt if isinstance(error, MailwireError) else client.last_receipt) or before
        _tell(options, receipt)
        print(f"mailwire: {in_our_words(error)}", file=sys.stderr)
        # Whoever has it may get it twice, whatever has ended it.
        return Exit.IO if receipt.delivery.may_be_there else status_of(error)
    except asyncio.CancelledError:
        if sent is not None:
            return _tell_sent(options, sent)  # all that was cut short is taking leave
        _tell(options, client.last_receipt or before)
        print("mailwire: interrupted", file=sys.stderr)
        raise
    finally:
        if options.transcript:
            print(transcript.render(), file=sys.stderr)


def _opened(options: argparse.Namespace) -> AbstractContextManager[BinaryIO]:
    if options.file is not None and "://" in options.file:
        raise UsageError("expected one URL and a FILE, got two URLs")  # it is not quoted: there may be a password in it
    if options.file not in (None, "-") and not _is_made(options):
        return Path(options.file).open("rb")
    if options.text is not None:
        return nullcontext(BytesIO())  # nothing is read
    if sys.stdin is None:
        raise SourceFailed("expected a message on standard input, which is closed")
    return nullcontext(sys.stdin.buffer)


def _is_made(options: argparse.Namespace) -> bool:
    return bool(options.subject is not None or options.text is not None or options.attach)


def _read(options: argparse.Namespace, file: BinaryIO) -> Mailing:
    if _is_made(options):
        return Mailing(_made_of(options, file))
    if options.cc or options.bcc:
        raise UsageError("--cc and --bcc are for a message made of options: for another, --to says who gets it")
    message = MessageFile(file)
    envelope = Envelope.of(message.header, options.sender, options.to)
    recipients = [str(recipient) for recipient in envelope.recipients]
    return Mailing(message, sender=str(envelope.sender or ""), recipients=recipients)


def _made_of(options: argparse.Namespace, file: BinaryIO) -> EmailMessage:
    if options.file is not None:
        raise UsageError("expected a FILE or a message made of options, not both")
    if options.sender is None or not (options.to or options.cc or options.bcc):
        raise UsageError("a message made of options takes --from, and --to, --cc or --bcc")
    return compose(
        sender=options.sender,
        to=options.to or (),
        cc=options.cc,
        bcc=options.bcc,
        subject=_text("--subject", options.subject or ""),
        text=_text("--text", options.text) if options.text is not None else _decoded(file.read()),
        attachments=map(Path, options.attach),
    )


def _text(option: str, value: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in value):  # how Python keeps octets that are no text
        raise InvalidMessage(f"expected text in {sys.getfilesystemencoding()} behind {option}, got {value!r}")
    return value


def _decoded(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise InvalidMessage(f"expected text in utf-8 on standard input: {error}") from error


def _tell_sent(options: argparse.Namespace, receipt: Receipt) -> int:
    if options.quiet:  # which is to print errors only: these are some, and nothing else tells of them
        for entry in receipt.refused:
            print(f"mailwire: {printable(entry.address.encode())} was refused: {entry.decisive_reply}", file=sys.stderr)
    return _tell(options, receipt)


def _tell(options: argparse.Namespace, receipt: Receipt) -> int:
    if options.json:
        print(json.dumps(receipt.to_dict(), indent=2))
    elif not options.quiet:
        addresses = [printable(entry.address.encode()) for entry in receipt.recipients]
        width = max(map(len, addresses))
        for entry, address in zip(receipt.recipients, addresses, strict=True):
            is_decided = entry.delivery in (Delivery.ACCEPTED, Delivery.REFUSED)
            reply = (entry.decisive_reply or receipt.reply) if is_decided else None
            print(f"{entry.delivery.value:<9} {address:<{width}}  {reply or ''}".rstrip())
    if receipt.delivery is not Delivery.ACCEPTED:
        return Exit.UNAVAILABLE
    if not receipt.refused:
        return Exit.OK
    # Some have it. For TEMPORARY it would be sent again as it is, to them as well.
    return Exit.IO if all(entry.is_transient for entry in receipt.refused) else Exit.UNAVAILABLE
