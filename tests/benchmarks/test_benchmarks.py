import re

import pytest

from tests.benchmarks.__main__ import contenders, main


def test_every_client_handles_every_message(capsys: pytest.CaptureFixture[str]) -> None:
    # That none is missing, `measure` sees to.
    main(["--messages", "10", "--size", "1", "--rounds", "1"])
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
