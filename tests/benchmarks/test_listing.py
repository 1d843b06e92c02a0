import re

import pytest

from tests.benchmarks.listing import main


def test_what_a_listing_takes_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--entries", "2001"])
    told = capsys.readouterr().out
    assert re.fullmatch(r"2,001 entries, \d+\.\d\d s, -?\d+\.\d MiB more than for one\n", told), told
