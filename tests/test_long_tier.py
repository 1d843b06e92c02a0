"""The long tier is one command, which says of each part whether it held, and leaves out none without a word."""

import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.long_tier import PARTS, Part, main
from tests.platforms import DEMANDS

HOLDS = Part("holds", ("pytest", "-q", "tests/_wire/test_keywords.py"))
MISSING = Part("missing", ("compileall",), needs="a_module_that_nobody_has")
# Those that install what they need are tried where all is.
AT_HAND = [part for part in PARTS if part.arguments[0] != "tests.platforms"]
BY_INSTALLING = [part for part in PARTS if part not in AT_HAND]


def fails(folder: Path) -> Part:
    """A part of which a test fails."""
    test = folder / "test_it.py"
    test.write_text("def test_that_fails():\n    assert False\n")
    return Part("fails", ("pytest", "-q", "-p", "no:cacheprovider", str(test)))


def test_it_is_all_that_is_told_of_and_each_part_has_a_name_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == len(PARTS) == len({part.name for part in PARTS})
    for part, line in zip(PARTS, shown, strict=True):
        assert line.startswith(f"{part.name}: {sys.executable} -m {part.arguments[0]}")


def hold(part: Part, capfd: pytest.CaptureFixture[str]) -> None:
    status = main(["--briefly", "--only", part.name])
    said = capfd.readouterr()
    assert status == 0, said
    assert re.search(rf"^{part.name}: held, \d+ s$", said.out, re.MULTILINE)


@pytest.mark.parametrize("part", AT_HAND, ids=lambda part: part.name)
def test_each_part_can_be_run_and_holds(part: Part, capfd: pytest.CaptureFixture[str]) -> None:
    if part.needs is not None and find_spec(part.needs) is None:
        pytest.skip(f"{part.needs} is not installed")
    hold(part, capfd)


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", BY_INSTALLING, ids=lambda part: part.name)
def test_each_part_that_installs_what_it_needs_can_be_run_and_holds(
    part: Part, capfd: pytest.CaptureFixture[str]
) -> None:
    hold(part, capfd)


def test_what_failed_and_what_was_not_run_is_told_and_is_no_success(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([], [fails(tmp_path), MISSING, HOLDS]) == 1
    said = capfd.readouterr().out
    assert re.search(r"^fails: failed \(1\), \d+ s$", said, re.MULTILINE)
    assert "missing: not run, for a_module_that_nobody_has is not installed\n" in said
    assert re.search(r"^holds: held, \d+ s$", said, re.MULTILINE)
    assert main([], [HOLDS]) == 0


@pytest.mark.parametrize(
    "demand",
    ["demand('a server is not installed')", "demand_libraries('a_module_nobody_has')"],
    ids=["server", "library"],
)
def test_a_part_of_which_a_test_lacks_a_server_or_a_library_has_failed(
    demand: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in DEMANDS:
        monkeypatch.delenv(name, raising=False)
    test = tmp_path / "test_it.py"
    test.write_text(f"from tests.integration import conftest\ndef test_it(): conftest.{demand}\n")
    assert main([], [Part("lacks", ("pytest", "-q", "-p", "no:cacheprovider", str(test)))]) == 1
    said = capfd.readouterr().out
    assert "lacks: failed (1)" in said
    assert "1 failed" in said


@pytest.mark.parametrize("bad", ["fails", "missing"])
def test_one_part_that_does_not_hold_is_enough(bad: str, tmp_path: Path) -> None:
    assert main(["--only", bad], [HOLDS, fails(tmp_path), MISSING]) == 1


def test_a_part_is_run_by_its_name_and_none_by_a_wrong_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--only", "fuzz"]) == 0
    assert capsys.readouterr().out.count("\n") == 5
    assert main(["--list", "--only", "sleeping"]) == 1
    assert capsys.readouterr().out == ""
