"""CommandParser: how the arguments of a command are read."""

import argparse
import re
import sys
from typing import Any, Final, NoReturn

from .exits import Exit

__all__ = ["CommandParser"]

# What is wrong with an argument quotes it, and it may be a URL, or an option that there is not, with a password in it.
_VALUE: Final = re.compile(r"([:=])\S.*|(ignored explicit argument ).*", re.DOTALL)

# What nobody understands may be a password as a whole, or behind an option's letter, as some programs take it.
_UNRECOGNIZED: Final = "unrecognized arguments: "
_NAME: Final = re.compile(r"--[a-z-]+(?:=|\Z)|-[A-Za-z]|[a-z0-9+]+:(?=//)")


class CommandParser(argparse.ArgumentParser):
    """A parser whose help fits a screen, and which ends by the right status for what it does not understand."""

    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(prog, formatter_class=_make_formatter, **settings)

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong, without what may be a password, and end."""
        self.print_usage(sys.stderr)
        if message.startswith(_UNRECOGNIZED):
            told = _UNRECOGNIZED + " ".join(map(_named, message.removeprefix(_UNRECOGNIZED).split()))
        else:
            told = _VALUE.sub(r"\1\2****", message)
        self.exit(Exit.USAGE, f"{self.prog}: {told}\n")


def _named(argument: str) -> str:
    found = _NAME.match(argument)
    name = found[0] if found else ""
    return name if name == argument else f"{name}****"


def _make_formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.HelpFormatter(prog, max_help_position=28, width=80)
