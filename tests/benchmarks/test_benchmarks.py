import re

import pytest

from tests.benchmarks.__main__ import contenders, main
from tests.benchmarks.imports import measure


def test_every_client_handles_every_message(capsys: pytest.CaptureFixture[str]) -> None:
    # That none is missing, `measure` sees to.
    main(["--messages", "5", "--rounds", "2"])
    table = capsys.readouterr().out
    assert "5 messages sent, " in table
    names = [contender.name for contender in contenders()]
    assert {"smtplib", "poplib", "mailwire", "mailwire lockstep"} <= set(names)
    assert re.findall(r"^  (\S.*?) +\d+ us +\d+\.\d\d x$", table, re.MULTILINE) == names


def test_what_importing_takes_is_measured() -> None:
    times = measure(["import asyncio", "import mailwire"], rounds=1)
    assert list(times) == ["import asyncio", "import mailwire"]
    assert all(seconds > 0 for seconds in times.values())
