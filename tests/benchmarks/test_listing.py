import pytest

from tests.benchmarks.listing import main


def test_what_a_listing_takes_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--entries", "2001"])
    entries, seconds, memory = capsys.readouterr().out.rsplit(", ", 2)
    assert entries == "2,001 entries"
    assert float(seconds.removesuffix(" s")) > 0
    assert memory.endswith(" MiB more than for one\n")
