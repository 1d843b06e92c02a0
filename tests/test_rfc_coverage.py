"""Every row of docs/explanation/rfc-coverage.md names a module and tests that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "rfc-coverage.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text("utf-8").splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| Requirement |"))
]


def test_there_are_rows() -> None:
    assert len(ROWS) > 30


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_a_row_names_a_module_and_tests_that_are_there(row: list[str]) -> None:
    requirement, module, tests = row
    assert requirement
    assert (ROOT / "src" / "mailwire" / module.strip("`")).is_file()
    for test in tests.split("<br>"):
        path, _, function = test.strip("`").partition("::")
        assert re.search(rf"^(async )?def {function}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE), test
