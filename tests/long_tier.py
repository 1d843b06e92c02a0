"""The long tier, all of it: `python -m tests.long_tier`. Each part says when it begins and how it ended.

The parts are commands that stand by themselves too: `--list` shows them, and `--only` runs those whose name it begins.
A part that needs what is not installed is not run, which is said, and counts as a failure: nothing was tried then. So
does a test that lacks a library or a server, which is skipped otherwise.
With `--briefly` each does a little of its work, to see that it can be done here.
"""

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tests.fuzzing.corpus import TARGETS
from tests.platforms import DEMANDS, LOOPS, MINORS

__all__ = ["PARTS", "Part", "main"]

_ROOT: Final = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the tier: `arguments` are those of `python -m`, `needs` is a module that may be missing.

    whole: what stands behind them where all of it is run. brief: what stands there to have it done in seconds.
    """

    name: str
    arguments: tuple[str, ...]
    whole: tuple[str, ...] = ()
    brief: tuple[str, ...] = ()
    needs: str | None = None


# One fault of one flow, and one file of tests.
_ONE_FAULT: Final = ("tests/faults/test_faults_on_the_way.py", "-k", "DATA and latency")
_ONE_FILE: Final = ("tests/_wire/test_keywords.py",)

PARTS: Final = (
    Part("exhaustive", ("pytest", "-m", "exhaustive"), brief=_ONE_FAULT),
    *(
        Part(f"Python {minor}, {loop}", ("tests.platforms", minor, loop), brief=_ONE_FILE)
        for minor in MINORS
        for loop in LOOPS
    ),
    Part(
        "uvloop by a clock of ours",
        ("pytest", "--loop", "uvloop-by-clock"),
        ("tests/aio", "tests/maildrop", "tests/testing"),
        ("tests/aio/test_rate.py",),
        "uvloop",
    ),
    Part(
        "uvloop, exhaustive",
        ("pytest", "-m", "exhaustive", "--loop", "uvloop"),
        ("--deselect", "tests/test_linearity.py"),
        _ONE_FAULT,
        "uvloop",
    ),
    Part(
        "models and properties",
        ("pytest", "-m", "hypothesis"),
        ("--hypothesis-profile", "utmost"),
        ("tests/_wire/test_pipeline.py",),
    ),
    *(
        Part(f"fuzzing {name}", ("tests.fuzzing", name), ("-runs=10000000",), ("-runs=1000",), "atheris")
        for name in TARGETS
    ),
    Part("mutants", ("tests.mutation",), brief=("smtp/xtext",), needs="mutmut"),
)
"""In their order."""


def main(arguments: Sequence[str] | None = None, parts: Sequence[Part] = PARTS) -> int:
    """Run those `parts` that are asked for. Returns 0 if all of them held, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.long_tier")
    parser.add_argument("--only", default="", metavar="NAME", help="parts whose name begins so")
    parser.add_argument("--list", action="store_true", help="show the commands, and run none")
    parser.add_argument("--briefly", action="store_true", help="see whether each can be run here, with a little of it")
    options = parser.parse_args(arguments)
    chosen = [part for part in parts if part.name.startswith(options.only)]
    outcomes = [_run(part, is_brief=options.briefly, is_shown_only=options.list) for part in chosen]
    return int(not chosen or not all(outcomes))


def _run(part: Part, *, is_brief: bool, is_shown_only: bool) -> bool:
    command = [sys.executable, "-m", *part.arguments, *(part.brief if is_brief else part.whole)]
    print(f"{part.name}: {shlex.join(command)}", flush=True)
    if is_shown_only:
        return True
    if part.needs is not None and find_spec(part.needs) is None:
        print(f"{part.name}: not run, for {part.needs} is not installed", flush=True)
        return False
    begun = time.monotonic()
    code = subprocess.run(command, cwd=_ROOT, env={**os.environ, **DEMANDS}, check=False).returncode
    print(f"{part.name}: {'held' if code == 0 else f'failed ({code})'}, {time.monotonic() - begun:.0f} s", flush=True)
    return code == 0


if __name__ == "__main__":
    raise SystemExit(main())
