"""Tries whether the tests notice when the code is changed: `python -m tests.mutation smtp/paths smtp/rules`.

Without arguments it tries the whole table. What survives is shown as a change, and is a failure; so is an entry of
same.py that is of no use any more. `--jobs` says how many are tried at a time. It needs mutmut, which makes them.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.mutation.driver import DIED, KILLED, SURVIVED, TIMED_OUT, UNREACHED, Driver
from tests.mutation.mutants import Mutant, plant
from tests.mutation.same import SAME
from tests.mutation.table import TESTS
from tests.mutation.tried import note

EQUAL = "equal"  # it lives, and changes nothing that could be seen
_ALIVE = (SURVIVED, UNREACHED, DIED)
_ROOT = Path(__file__).parents[2]


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="smtp/paths; all of the table by default")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--slowest", type=float, default=1.5, help="seconds; tests that take longer are left out")
    parser.add_argument("--ground", type=Path, default=_ROOT / "mutants", help="where the changed code is put")
    parser.add_argument("--record", type=Path, help="a file for the verdicts, to go on from where a run was stopped")
    parser.add_argument("--note", action="store_true", help="write those modules down of which none lives (tried.py)")
    parser.add_argument("--check", action="store_true", help="only look whether same.py names changes that there are")
    options = parser.parse_args()
    modules = options.modules or list(TESTS)
    ground = options.ground.resolve()
    mutants = plant(_ROOT / "src", modules, ground)
    gone = [(module, part) for module, part in SAME if module in modules and not _written(mutants, module, part)]
    for module, part in gone:
        print(f"no mutant writes this: {module}: {part}")
    if gone or options.check:
        return int(bool(gone))
    sys.path.insert(0, str(ground))
    driver = Driver(mutants, options.jobs, options.slowest, options.record)
    tests = sorted({f"tests/{path}" for module in modules for path in TESTS[module]})
    code = pytest.main(
        ["-q", "-s", "-p", "no:cacheprovider", "--tb=native", "--hypothesis-profile=mutants", *tests], plugins=[driver]
    )
    verdicts = {mutant: _known(mutant, verdict) for mutant, verdict in driver.verdicts.items()}
    for mutant, verdict in verdicts.items():
        if verdict in _ALIVE:
            print(f"\n{verdict}: {mutant.name}\n{mutant.change}")
    stale = [told for module, part in SAME if module in modules and (told := _stale(verdicts, module, part))]
    print(*stale, sep="")
    for test in driver.unfit:
        print(f"left out, for it fails without any mutant: {test}")
    columns = (KILLED, TIMED_OUT, EQUAL, SURVIVED, UNREACHED, DIED)
    print(f"\n{'module':24} {'mutants':>9}", *(f"{column:>9}" for column in columns))
    for module in modules:
        counts = Counter(verdict for mutant, verdict in verdicts.items() if mutant.module == module)
        print(f"{module:24} {counts.total():9}", *(f"{counts[column]:9}" for column in columns))
    if options.note:
        note(module for module in modules if not _lives(verdicts, module))
    return int(bool(code) or bool(stale) or any(_lives(verdicts, module) for module in modules))


def _stale(verdicts: Mapping[Mutant, str], module: str, part: str) -> str:
    # Say why same.py should not name this, "" if it should.
    named = {mutant: verdict for mutant, verdict in verdicts.items() if mutant.module == module and mutant.writes(part)}
    if EQUAL not in named.values():
        return f"\nno mutant lives that writes this any more: {module}: {part}\n"
    if killed := [mutant.change for mutant, verdict in named.items() if verdict != EQUAL]:
        return "\n".join((f"\nthis names mutants that do not live as well: {module}: {part}", *killed, ""))
    return ""


def _lives(verdicts: Mapping[Mutant, str], module: str) -> bool:
    return any(verdict in _ALIVE for mutant, verdict in verdicts.items() if mutant.module == module)


def _written(mutants: list[Mutant], module: str, part: str) -> bool:
    return any(mutant.module == module and mutant.writes(part) for mutant in mutants)


def _known(mutant: Mutant, verdict: str) -> str:
    is_same = any(mutant.module == module and mutant.writes(part) for module, part in SAME)
    return EQUAL if verdict == SURVIVED and is_same else verdict


if __name__ == "__main__":
    raise SystemExit(main())
