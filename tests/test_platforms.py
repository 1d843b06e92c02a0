"""The suite is run on each Python that is supported, by each loop, with all that tests ask for."""

import os
import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.platforms import DEMANDS, LIBRARIES, LOOPS, MINORS, find_python, main

ROOT = Path(__file__).parents[1]
GATE = (ROOT / ".ci/run").read_text("utf-8")
HERE = "{}.{}".format(*sys.version_info)


def as_it_is(python: str, folder: Path) -> str:
    """Install nothing: this Python has it."""
    return sys.executable


def test_every_version_that_is_supported_is_tried() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert [kind.rpartition(" ")[2] for kind in project["classifiers"] if re.search(r"3\.\d", kind)] == [*MINORS]


def test_what_is_installed_is_what_the_gate_installs() -> None:
    besides = re.search(r"^besides=\((.*)\)$", GATE, re.MULTILINE)
    install = re.search(r'^install "\$work/dev" "\$\{besides\[@\]\}" (.*)$', GATE, re.MULTILINE)
    assert besides is not None
    assert install is not None
    of_the_gate = {word.strip("'") for word in f"{besides[1]} {install[1]}".split()}
    assert of_the_gate == {*LIBRARIES} - {"mutmut>=3"}  # which is of the environment of developers there


def test_a_python_is_the_one_of_its_version_or_none() -> None:
    if find_python(HERE) is None:
        pytest.skip(f"Python {HERE} is neither on the PATH nor one of pyenv's")
    assert find_python("3.1") is None


@pytest.mark.parametrize(("assertion", "status"), [("True", 0), ("False", 1)], ids=["holds", "fails"])
def test_the_suite_is_run_by_the_loop_and_holds_if_its_tests_do(
    assertion: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # There is such a Python, whatever else is on the PATH.
    (tmp_path / f"python{HERE}").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    test = tmp_path / "test_it.py"
    test.write_text(f"def test_it(pytestconfig): assert pytestconfig.getoption('loop') == 'asyncio' and {assertion}\n")
    assert main([HERE, "asyncio", "-q", "-p", "tests.conftest", str(test)], as_it_is) == status


@pytest.mark.parametrize(
    "demand",
    ["demand('a server is not installed')", "demand_libraries('a_module_nobody_has')"],
    ids=["server", "library"],
)
def test_a_test_that_lacks_a_server_or_a_library_fails(
    demand: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"python{HERE}").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for name in DEMANDS:
        monkeypatch.delenv(name, raising=False)
    test = tmp_path / "test_it.py"
    test.write_text(f"from tests.integration import conftest\ndef test_it(): conftest.{demand}\n")
    assert main([HERE, "asyncio", "-q", "-p", "tests.conftest", str(test)], as_it_is) == 1
    assert "1 failed" in capfd.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["3.11"], ["2.7", "asyncio"], ["3.11", "trio"]])
def test_what_is_not_known_is_not_run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments, as_it_is) == 2
    assert "expected a version and a loop" in capsys.readouterr().out


def test_a_python_that_is_not_there_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main([MINORS[0], LOOPS[0]], as_it_is) == 1
    assert capsys.readouterr().out == f"Python {MINORS[0]} was not found\n"
