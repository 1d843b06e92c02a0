"""`mailwire fetch`: new mail into a Maildir or an mbox, and what is old enough off the server."""

import argparse
import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from datetime import timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

from ..aio.pop3_settings import POP3Settings
from ..aio.retrieval_progress import RetrievalProgress
from ..errors import LedgerError
from ..maildrop import (
    Account,
    CautionKind,
    Keep,
    Ledger,
    Maildir,
    MboxSink,
    MemoryLedger,
    MessageReport,
    Outcome,
    Page,
    Policy,
    RetrievalReport,
    Run,
    Sink,
    SQLiteLedger,
)
from ..maildrop.watch import next_pause
from ..pop3 import Quirks
from ..transcript import Transcript
from .command_parser import CommandParser
from .exits import Exit, status_of
from .progress import ProgressBar
from .quantities import parse_duration, parse_size
from .servers import UsageError, add_server_options, endpoint_of
from .signals import run
from .streams import is_read
from .wording import ADVICE_ON_NO_UIDS, ADVICE_ON_SKIPPED, in_our_words

__all__ = ["HELP", "make_parser", "perform"]

T = TypeVar("T")

HELP: Final = "retrieve new mail, and delete what is old enough"
"""What it does, in a line."""

# What a server is forgiven, by the names of the command line.
_QUIRKS: Final = {field.name.replace("_", "-"): field.name for field in fields(Quirks)}
# Optional commands that a run has a use for.
_PROBES: Final = ("UIDL", "TOP")

_INTERVAL: Final = "5min"
_JITTER: Final = 0.1  # of it

# Of these messages a line is printed; there may be thousands of the others.
_REMARKABLE: Final = frozenset({Outcome.FAILED, Outcome.SKIPPED, Outcome.TOO_LARGE, Outcome.PREVIEWED})


def make_parser() -> CommandParser:
    """Return the parser of the arguments."""
    parser = _Parser(
        "mailwire fetch",
        usage="mailwire fetch [OPTIONS] URL",
        description="Retrieve new mail. Nothing is deleted on the server unless --keep says so.",
        epilog="example: mailwire fetch pop3s://me@pop.example.org --maildir ~/Mail --keep 14d",
    )
    add_server_options(parser)
    parser.add_argument("--maildir", metavar="FOLDER", help="store mail in this Maildir")
    parser.add_argument("--mbox", metavar="FILE", help="or append it to this file")
    parser.add_argument("--ledger", metavar="FILE", help="what was retrieved; else ~/.local/state/mailwire")
    parser.add_argument("--keep", metavar="TIME", help="on the server: 14d, until-stored; else for ever", type=_keep)
    parser.add_argument("--limit", metavar="NUMBER", type=int, help="retrieve no more messages than this")
    parser.add_argument("--max-size", metavar="SIZE", type=_quantity(parse_size), help="leave larger messages: 10M")
    parser.add_argument(
        "--watch",
        metavar="TIME",
        nargs="?",
        const=_INTERVAL,
        type=_quantity(_parse_interval),
        help="go on, each 5min or so",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--no-pipelining", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--quirk", action="append", choices=_QUIRKS, default=[], help=argparse.SUPPRESS)
    parser.add_argument("--probe", action="append", choices=_PROBES, default=[], help=argparse.SUPPRESS)
    parser.add_argument("--newest-first", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--retry-failed", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--when-all-new", choices=("ask", "match", "fetch"), default="ask", help=argparse.SUPPRESS)
    return parser


class _Parser(CommandParser):
    # The time behind --watch may be missing, and argparse takes whatever stands there: the URL, too.

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        words = list(args)
        for number, (word, behind) in enumerate(pairwise(words)):
            if word == "--watch" and "://" in behind:
                words[number] = f"--watch={_INTERVAL}"
        return super().parse_known_args(words, namespace)


def perform(options: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    if (options.maildir is None) == (options.mbox is None):
        raise UsageError("expected a place for the mail: --maildir FOLDER or --mbox FILE")
    if "" in (options.maildir, options.mbox, options.ledger):
        # A variable that is not set: mail would come into the folder in which this happens to run.
        raise UsageError("expected the name of a file or folder behind --maildir, --mbox and --ledger, got none")
    policy = Policy(
        keep="for ever" if options.keep is None else options.keep,
        limit=options.limit,
        max_message_size=options.max_size,
        order="newest first" if options.newest_first else "oldest first",
        max_failures=sys.maxsize if options.retry_failed else Policy().max_failures,
        when_all_new=options.when_all_new,
    )
    sink: Sink = MboxSink(options.mbox) if options.maildir is None else Maildir(options.maildir, line_ends="lf")
    endpoint = endpoint_of(options, protocols=("pop3",), needs_user=True)
    settings = POP3Settings(
        probes=options.probe or None, quirks=Quirks(**{_QUIRKS[quirk]: True for quirk in options.quirk})
    )
    account = Account(endpoint.replace(pipelining=not options.no_pipelining), sink, policy=policy, settings=settings)
    ledger = Path(options.ledger) if options.ledger is not None else _own_ledger()
    command = _fetch if options.watch is None else _watch
    return run(command(options, account, ledger))


async def _fetch(options: argparse.Namespace, account: Account, ledger: Path) -> int:
    async with _opened(options, ledger) as opened:
        return _tell(options, await _perform(options, account, opened))


async def _watch(
    options: argparse.Namespace, account: Account, ledger: Path, chance: Callable[[], float] = random.random
) -> int:
    # As maildrop.watch does for many accounts. That tells nothing of a run that was interrupted.
    status: int = Exit.OK
    failures = 0
    fallback = MemoryLedger()
    async with _opened(options, ledger) as opened:
        while True:
            report = await _perform(options, account, opened, fallback)
            if report.messages or report.error is not None:
                status = _tell(options, report)
            failures = 0 if report.error is None else failures + 1
            pause = next_pause(report, failures, options.watch.total_seconds(), _JITTER, chance())
            if pause is None or not is_read():
                return status  # nothing is watched any more, or nobody looks
            await asyncio.sleep(pause)


async def _perform(
    options: argparse.Namespace, account: Account, ledger: Ledger, fallback: Ledger | None = None
) -> RetrievalReport:
    transcript = Transcript(limit=None if options.transcript else 100)
    bar = ProgressBar(sys.stderr, quiet=options.quiet)
    told = partial(_show, bar)
    this = Run(account, ledger=ledger, fallback=fallback, transcript=transcript, progress=told)
    try:
        with bar:
            return await this.perform()
    except asyncio.CancelledError:
        _tell(options, this.report())
        print("mailwire: interrupted; what is stored is stored", file=sys.stderr)
        raise
    except Exception:
        if options.watch is None:
            raise
        return this.report()  # it has the error; the next time, a command for tokens may go well
    finally:
        if options.transcript:
            print(transcript.render(), file=sys.stderr)


def _show(bar: ProgressBar, seen: RetrievalProgress) -> None:
    bar.show(seen.run_octets, seen.of_octets, f"{seen.messages} of {seen.of_messages} messages")


def _tell(options: argparse.Namespace, report: RetrievalReport) -> int:
    if options.json:
        print(json.dumps(report.to_dict()))
    elif not options.quiet:
        print(in_our_words(report.summary))
        for message in report.messages:
            if message.outcome in _REMARKABLE:
                print(_line(message))
    if options.quiet:  # which is to print errors only: these are some, and nothing else tells of them
        for message in report.failed:
            print(f"mailwire: message {_line(message).lstrip()}", file=sys.stderr)
    for caution in report.cautions:
        asks_for_uids = caution.kind is not CautionKind.NO_UIDS or "UIDL" in options.probe
        advice = "" if asks_for_uids else f"; {ADVICE_ON_NO_UIDS}"
        print(f"mailwire: caution: {caution}{advice}", file=sys.stderr)
    if report.error is not None:
        print(f"mailwire: {in_our_words(report.error)}", file=sys.stderr)
        return status_of(report.error)
    if any(caution.kind is CautionKind.LEDGER_UNREADABLE for caution in report.cautions):
        return Exit.IO
    return Exit.TEMPORARY if report.failed else Exit.OK


def _line(message: MessageReport) -> str:
    if message.outcome is Outcome.SKIPPED:
        message = replace(message, reason="; ".join(filter(None, (message.reason, ADVICE_ON_SKIPPED))))
    return in_our_words(message)


@asynccontextmanager
async def _opened(options: argparse.Namespace, path: Path) -> AsyncGenerator[Ledger, None]:
    async with SQLiteLedger(path) as ledger:
        place = Path(options.mbox if options.maildir is None else options.maildir)
        yield ledger if options.ledger is not None else _LedgerOfPlace(ledger, place)


class _LedgerOfPlace:
    # What has come to one place is new for another: it would be deleted on the server, and not be there.

    def __init__(self, ledger: SQLiteLedger, place: Path) -> None:
        self._ledger = ledger
        self._place = os.path.realpath(os.fsencode(place))

    @property
    def _is_there(self) -> bool:
        return os.path.exists(self._place)

    @asynccontextmanager
    async def claim(self, account: str, *, wait: float | None = 0) -> AsyncGenerator[Page, None]:
        name = f"{account} into {quote(self._place)}"
        if self._is_there:
            # What is known of an account and no place was written by a version that told none apart.
            await self._ledger.rename(account, name)
        async with self._ledger.claim(name, wait=wait) as page:
            yield page


def _own_ledger() -> Path:
    folder = _state() / "mailwire"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise LedgerError(f"there is no folder for the ledger: {error}; --ledger FILE names another") from error
    return folder / "ledger.db"


def _state() -> Path:
    if state := os.environ.get("XDG_STATE_HOME"):
        return Path(state)
    try:
        return Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise UsageError("expected --ledger FILE: there is no home for a ledger") from error


def _keep(text: str) -> Keep:
    words: dict[str, Keep] = {"for-ever": "for ever", "until-stored": "until stored"}
    return words[text] if text in words else _quantity(parse_duration)(text)


def _parse_interval(text: str) -> timedelta:
    interval = parse_duration(text)
    if not interval:
        raise ValueError(f"expected a time between two runs, which is none in {text!r}")
    return interval


def _quantity(parse: Callable[[str], T]) -> Callable[[str], T]:
    # Of a ValueError, argparse tells nothing.
    def parse_argument(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parse_argument
