"""The long tier is one command, which says of each part whether it held, and leaves out none without a word."""

import re
import sys

import pytest

from tests.long_tier import PARTS, Part, main

HOLDS = Part("holds", ("compileall", "-q", "tests/long_tier.py"))
FAILS = Part("fails", ("py_compile", "tests/no_such_file.py"))
MISSING = Part("missing", ("compileall",), "a_module_that_nobody_has")


def test_it_is_all_that_is_told_of_and_each_part_has_a_name_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == len(PARTS) == len({part.name for part in PARTS})
    for part, line in zip(PARTS, shown, strict=True):
        assert line.startswith(f"{part.name}: {sys.executable} -m {part.arguments[0]}")


@pytest.mark.parametrize(
    ("parts", "status", "said"),
    [
        ([HOLDS], 0, r"holds: held, \d+ s"),
        ([FAILS, HOLDS], 1, r"fails: failed \(1\), \d+ s\n.*\nholds: held"),
        ([MISSING], 1, r"missing: not run, for a_module_that_nobody_has is not installed"),
    ],
)
def test_what_failed_and_what_was_not_run_is_told_and_is_no_success(
    parts: list[Part], status: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([], parts) == status
    assert re.search(said, capfd.readouterr().out)


def test_a_part_is_run_by_its_name_and_none_by_a_wrong_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--only", "fuzz"]) == 0
    assert capsys.readouterr().out.count("\n") == 5
    assert main(["--list", "--only", "sleeping"]) == 1
    assert capsys.readouterr().out == ""
