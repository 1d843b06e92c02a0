import re

import pytest

from tests.benchmarks.__main__ import contenders, main


def test_every_client_handles_every_message(capsys: pytest.CaptureFixture[str]) -> None:
    # That none is missing, `measure` sees to.
    main(["--messages", "5", "--rounds", "2"])
    table = capsys.readouterr().out
    assert "5 messages sent, " in table
    names = [contender.name for contender in contenders()]
    assert {"smtplib", "poplib", "mailwire", "mailwire lockstep"} <= set(names)
    assert re.findall(r"^  (\S.*?) +\d+ us +\d+\.\d\d x$", table, re.MULTILINE) == names
