import re
import shutil
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import contenders, main
from tests.benchmarks.imports import measure
from tests.integration.conftest import demand_libraries

ROOT = Path(__file__).parents[2]


def test_every_client_handles_every_message(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    shutil.copy(ROOT / "README.md", readme)
    # That none is missing, `measure` sees to.
    main(["--messages", "10", "--size", "1", "--rounds", "1", "--readme", str(readme)])
    tables = [table.partition(", ") for table in capsys.readouterr().out.split("\n\n")]
    assert [title.strip() for title, _, _ in tables] == [
        "10 messages sent",
        "10 messages sent over some connections",
        "a file of 1 MB sent",
        "10 messages retrieved",
        "a message of 1 MB retrieved into a file",
    ]
    names = [re.findall(r"^  (\S.*?) +\d+ us +\d+\.\d\d x$", table, re.MULTILINE) for _, _, table in tables]
    tasks = [("smtp", "one"), ("smtp", "many"), ("smtp", "file"), ("pop3", "one"), ("pop3", "file")]
    for found, (kind, task) in zip(names, tasks, strict=True):
        assert found == [one.name for one in contenders() if one.kind == kind and task in one.tasks]
        assert {"smtplib", "poplib"} & set(found)
        assert {name for name in found if name.startswith("mailwire")}
    # The README's table was made again, and what stands around it is what it was.
    old, new = (path.read_text("utf-8").split("<!-- ") for path in (ROOT / "README.md", readme))
    assert len(old) == len(new)
    for before, after in zip(old, new, strict=True):
        if after.startswith("measured"):
            rows = re.findall(r"^\| .*\| (.+) \| [\d,]+ µs \| \d+\.\d\d \|$", after, re.MULTILINE)
            assert set(rows) - {"aiosmtplib"} == {
                *("smtplib", "mailwire", "mailwire send_all DATA", "mailwire send_all eager bdat"),
                *("mailwire pool DATA", "poplib"),
            }
        else:
            assert before == after


def test_aiosmtplib_takes_part() -> None:
    demand_libraries("aiosmtplib")
    assert "aiosmtplib" in {one.name for one in contenders()}


def test_what_importing_takes_is_measured() -> None:
    times = measure(["import asyncio", "import mailwire"], rounds=1)
    assert list(times) == ["import asyncio", "import mailwire"]
    assert all(seconds > 0 for seconds in times.values())
