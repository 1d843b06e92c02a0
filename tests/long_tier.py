"""The long tier, all of it: `python -m tests.long_tier`. Each part says when it begins and how it ended.

The parts are commands that stand by themselves too: `--list` shows them, and `--only` runs those whose name it begins.
A part that needs what is not installed is not run, which is said, and counts as a failure: nothing was tried then.
"""

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

__all__ = ["PARTS", "Part", "main"]

_ROOT: Final = Path(__file__).parents[1]
_TARGETS: Final = ("reply", "smtp_session", "pop3_session", "sasl_challenges", "dot_codec")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the tier: `arguments` are those of `python -m`, `needs` is a module that may be missing."""

    name: str
    arguments: tuple[str, ...]
    needs: str | None = None


PARTS: Final = (
    Part("exhaustive", ("pytest", "-m", "exhaustive")),
    Part("uvloop", ("pytest", "--loop", "uvloop"), "uvloop"),
    Part(
        "uvloop, exhaustive",
        ("pytest", "-m", "exhaustive", "--loop", "uvloop", "--deselect", "tests/test_linearity.py"),
        "uvloop",
    ),
    Part("models and properties", ("pytest", "--hypothesis-profile", "thorough")),
    *(Part(f"fuzzing {name}", ("tests.fuzzing", name, "-runs=10000000"), "atheris") for name in _TARGETS),
    Part("mutants", ("tests.mutation",), "mutmut"),
)
"""In their order."""


def main(arguments: Sequence[str] | None = None, parts: Sequence[Part] = PARTS) -> int:
    """Run those `parts` that are asked for. Returns 0 if all of them held, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.long_tier")
    parser.add_argument("--only", default="", metavar="NAME", help="parts whose name begins so")
    parser.add_argument("--list", action="store_true", help="show the commands, and run none")
    options = parser.parse_args(arguments)
    chosen = [part for part in parts if part.name.startswith(options.only)]
    outcomes = [_run(part, is_shown_only=options.list) for part in chosen]
    return int(not chosen or not all(outcomes))


def _run(part: Part, *, is_shown_only: bool) -> bool:
    command = [sys.executable, "-m", *part.arguments]
    print(f"{part.name}: {shlex.join(command)}", flush=True)
    if is_shown_only:
        return True
    if part.needs is not None and find_spec(part.needs) is None:
        print(f"{part.name}: not run, for {part.needs} is not installed", flush=True)
        return False
    begun = time.monotonic()
    code = subprocess.run(command, cwd=_ROOT, check=False).returncode
    print(f"{part.name}: {'held' if code == 0 else f'failed ({code})'}, {time.monotonic() - begun:.0f} s", flush=True)
    return code == 0


if __name__ == "__main__":
    raise SystemExit(main())
