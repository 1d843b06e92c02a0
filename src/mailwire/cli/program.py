"""main: the program `mailwire`."""

import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Final

from .. import __version__
from ..errors import MailwireError
from .command_parser import CommandParser
from .exits import Exit, status_of
from .streams import standard_streams
from .wording import in_our_words

__all__ = ["main"]


_COMMANDS: Final = ("send", "fetch", "check", "demo")

# The status of this one tells what became of the mail, whether or not the receipt could be printed: for any other than
# 0, somebody would send a mail again that was accepted.
_TOLD_BY_STATUS: Final = "send"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    with standard_streams() as streams:
        status = _perform(words)
        unwritten = [stream.error for stream in streams if stream.error is not None]
        is_abandoned = all(isinstance(error, BrokenPipeError) for error in unwritten)
        if not is_abandoned:
            print(f"mailwire: not all could be written: {unwritten[0].strerror}", file=sys.stderr)
        if status != Exit.OK or not unwritten or words[0] == _TOLD_BY_STATUS:
            return status
        return Exit.UNREAD if is_abandoned else Exit.IO


def _perform(words: Sequence[str]) -> int:
    try:
        return _run(words)
    except SystemExit as ended:  # of the parsers
        return int(ended.code or 0)
    except KeyboardInterrupt:
        print("mailwire: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except (MailwireError, OSError, ValueError) as error:
        print(f"mailwire: {in_our_words(error)}", file=sys.stderr)
        return status_of(error)


def _run(words: Sequence[str]) -> int:
    if not words or words[0] not in _COMMANDS:
        _parser().parse_args(words)
        raise AssertionError("--help and --version end the program, and so does an error")
    # Each command has a parser of its own: those of argparse for subcommands take no options before the last argument.
    command = _load(words[0])
    parser = command.make_parser()
    status: int = command.perform(parser.parse_intermixed_args(words[1:]))
    return status


def _parser() -> CommandParser:
    parser = CommandParser(
        "mailwire",
        usage="mailwire COMMAND [OPTIONS] ...",
        description="Send mail by SMTP and retrieve it by POP3.",
        epilog="example: mailwire check pop3s://me@pop.example.org",
    )
    parser.add_argument("--version", action="version", version=f"mailwire {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")
    for name in _COMMANDS:
        commands.add_parser(name, help=_load(name).HELP)
    return parser


def _load(command: str) -> ModuleType:
    # Sending need not wait until the servers of the demo are imported.
    return import_module(f".{command}", __package__)
