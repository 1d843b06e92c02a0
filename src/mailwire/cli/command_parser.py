"""CommandParser: how the arguments of a command are read."""

import argparse
import re
import sys
from typing import Any, Final, NoReturn

from .exits import Exit

__all__ = ["CommandParser"]

# What is wrong with an argument quotes it, and it may be a URL, or an option that there is not, with a password in it.
_VALUE: Final = re.compile(r"([:=])\S.*", re.DOTALL)


class CommandParser(argparse.ArgumentParser):
    """A parser whose help fits a screen, and which ends by the right status for what it does not understand."""

    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(prog, formatter_class=_make_formatter, **settings)

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong, without what may be a password, and end."""
        self.print_usage(sys.stderr)
        told = _VALUE.sub(r"\1****", message)
        self.exit(Exit.USAGE, f"{self.prog}: {told}\n")


def _make_formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.HelpFormatter(prog, max_help_position=28, width=80)
