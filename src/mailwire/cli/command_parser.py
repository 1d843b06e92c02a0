"""CommandParser: how the arguments of a command are read."""

import argparse
import sys
from typing import Any, NoReturn

from .exits import Exit

__all__ = ["CommandParser"]


class CommandParser(argparse.ArgumentParser):
    """A parser whose help fits a screen, and which ends by the right status for what it does not understand."""

    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(prog, formatter_class=_make_formatter, **settings)

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong, and end."""
        self.print_usage(sys.stderr)
        self.exit(Exit.USAGE, f"{self.prog}: {message}\n")


def _make_formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.HelpFormatter(prog, max_help_position=28, width=80)
