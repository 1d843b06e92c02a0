"""A command that succeeds only if no mutant lives."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import demand_libraries

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("more", "status", "told"),
    [
        ((), 0, "1 of 1: killed"),
        (("--slowest", "0"), 1, "\nunreached: mailwire._wire.trace.xǁMaskedǁshown__mutmut_1\n"),
    ],
)
def test_a_mutant_that_lives_is_shown_and_is_a_failure(
    tmp_path: Path, more: tuple[str, ...], status: int, told: str
) -> None:
    demand_libraries("mutmut")
    command = (sys.executable, "-m", "tests.mutation", "_wire/trace", "--jobs", "1", "--ground", str(tmp_path), *more)
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=120)
    assert told in ended.stdout
    assert ended.returncode == status
