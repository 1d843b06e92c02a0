"""main: the program `mailwire`."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Final

from .. import __version__
from ..errors import MailwireError
from .command_parser import CommandParser
from .exits import status_of

__all__ = ["main"]


_COMMANDS: Final = ("send", "fetch", "check", "demo")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough. The interpreter must not try to write the rest of it on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("mailwire: interrupted", file=sys.stderr)
        return 130
    except (MailwireError, OSError, ValueError) as error:
        print(f"mailwire: {error}", file=sys.stderr)
        return status_of(error)
    return status


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
