"""`mailwire check`: what a server is like, and what is weak about it."""

import argparse
import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from .._wire.trace import Direction, Traceable
from ..aio.lmtp import LMTPClient
from ..aio.pop3 import POP3Client
from ..aio.smtp import SMTPClient
from ..aio.tls import TLSInfo
from ..endpoint import Endpoint
from ..error_record import error_to_dict
from ..errors import MailwireError
from ..pop3 import Noop as Pop3Noop
from ..smtp import Noop
from ..transcript import Transcript
from .command_parser import CommandParser
from .exits import Exit
from .inspection import Inspection, read
from .servers import add_server_options, endpoint_of
from .signals import run
from .verdict import Judgement, judge

__all__ = ["HELP", "make_parser", "perform", "render"]

# How many times the way there and back is measured by itself.
_ROUND_TRIPS: Final = 3

_WIDTH: Final = 100

HELP: Final = "look at a server, and send no mail"
"""What it does, in a line."""


def make_parser() -> CommandParser:
    """Return the parser of the arguments."""
    parser = CommandParser(
        "mailwire check",
        usage="mailwire check [OPTIONS] URL",
        description="Tell what an SMTP, LMTP or POP3 server offers before and after TLS and login, its certificate, "
        "round trips, and what is weak about it. It logs in if there are credentials.",
        epilog="example: mailwire check pop3+starttls://me@pop.example.org",
    )
    add_server_options(parser)
    parser.add_argument("--json", action="store_true", help="print what was seen as JSON")
    return parser


def perform(options: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    return run(_check(options, endpoint_of(options)))


async def _check(options: argparse.Namespace, endpoint: Endpoint) -> int:
    transcript = _Dialogue(limit=None)
    client = transcript.client = _client_of(endpoint, transcript)
    failure: MailwireError | None = None
    try:
        async with client:
            await _measure(client, endpoint)
    except MailwireError as error:
        failure = error
    finally:
        if options.transcript:
            print(transcript.render(), file=sys.stderr)
    seen = read(
        transcript,
        server=str(endpoint),
        protocol=endpoint.protocol,
        is_implicit=endpoint.tls == "implicit",
        is_local=endpoint.unix_path is not None,
        tls=transcript.tls,
        mechanism=client.mechanism,
    )
    now = datetime.now(UTC)
    # What was not seen to its end is told, and not judged.
    judgements = tuple(judge(seen, now)) if failure is None else ()
    if options.json:
        print(json.dumps(_to_dict(seen, judgements, failure), indent=2))
    elif not options.quiet and failure is None:
        print(render(seen, judgements, now))
    elif not options.quiet and seen.greeting is not None:
        print("\n".join(_facts(seen, now)))
    if failure is not None:
        raise failure
    return Exit.OK


class _Dialogue(Transcript):
    # Knows as well what the connection of `client` was secured by: when a login has failed, there is none to be asked.

    client: SMTPClient | POP3Client
    tls: TLSInfo | None = None

    def record(self, direction: Direction, what: Traceable) -> None:
        super().record(direction, what)
        self.tls = self.tls or self.client.tls


def _client_of(endpoint: Endpoint, transcript: Transcript) -> SMTPClient | POP3Client:
    match endpoint.protocol:
        case "pop3":
            return POP3Client(endpoint, transcript=transcript)
        case "lmtp":
            return LMTPClient(endpoint, transcript=transcript)
        case _:
            return SMTPClient(endpoint, transcript=transcript)


async def _measure(client: SMTPClient | POP3Client, endpoint: Endpoint) -> None:
    for _ in range(_ROUND_TRIPS):
        if isinstance(client, SMTPClient):
            await client.execute(Noop())
        elif endpoint.auth is not None:  # NOOP is for those who have logged in (RFC 1939 5)
            await client.execute(Pop3Noop())


def render(seen: Inspection, judgements: Iterable[Judgement], now: datetime) -> str:
    """Return the report as text."""
    lines = [*_facts(seen, now), ""]
    for judgement in judgements:
        lines += _wrapped(judgement.kind, judgement.text)
    return "\n".join(lines)


def _facts(seen: Inspection, now: datetime) -> Iterator[str]:
    yield seen.server
    yield ""
    yield from _wrapped("greeting", seen.greeting or "none")
    for announcement in seen.announcements:
        yield from _wrapped(announcement.phase, ", ".join(announcement.keywords) or "nothing")
    if mechanisms := seen.mechanisms(seen.offer):
        yield from _wrapped("mechanisms", ", ".join(mechanisms))
    if seen.mechanism is not None:
        yield from _wrapped("login", f"by {seen.mechanism}")
    if seen.tls is not None:
        yield from _wrapped("TLS", f"{seen.tls.version}, {seen.tls.cipher}")
        days = seen.days_left(now)
        validity = "not checked" if days is None else f"valid for {days} days, to {seen.tls.not_after:%Y-%m-%d}"
        yield from _wrapped("certificate", f"{validity}; SHA-256 {seen.tls.fingerprint}")
    if seen.round_trips:
        each, count = _milliseconds(min(seen.round_trips)), len(seen.round_trips)
        total = _milliseconds(seen.seconds)
        yield from _wrapped("round trips", f"{count}, the shortest of {each}; {total} for all of the session")


def _wrapped(label: str, text: str) -> Sequence[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"{label:<13} ",
        subsequent_indent=" " * 14,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _to_dict(seen: Inspection, judgements: Sequence[Judgement], failure: MailwireError | None) -> dict[str, object]:
    return {
        "server": seen.server,
        "greeting": seen.greeting,
        "announcements": [{"phase": each.phase, "keywords": each.keywords} for each in seen.announcements],
        "mechanisms": seen.mechanisms(seen.offer),
        "mechanism": seen.mechanism,
        "tls": seen.tls
        and {
            "version": seen.tls.version,
            "cipher": seen.tls.cipher,
            "is_verified": seen.tls.is_verified,
            "not_after": seen.tls.not_after.isoformat() if seen.tls.not_after else None,
            "fingerprint": seen.tls.fingerprint,
        },
        "round_trips": [round(seconds, 6) for seconds in seen.round_trips],
        "seconds": round(seen.seconds, 6),
        "judgements": [{"kind": judgement.kind, "text": judgement.text} for judgement in judgements],
        "error": None if failure is None else error_to_dict(failure),
    }
