"""What is done ten times costs ten times as much, and no more: counted in calls and octets, not measured in seconds."""

from pathlib import Path

import pytest

from tests.benchmarks.growth import Dimension, Place, dimensions, maildrops_of, main, measure
from tests.benchmarks.loopback import running

# A cost that grows with the square would be a hundred times as much. What a connection costs by itself makes it less
# than ten; how what is heard falls into reads may add a little.
TEN_TIMES = 12


def assert_linear(wanted: list[Dimension], folder: Path, times: int) -> None:
    amounts = {each.name: (each.few * times, each.few * times * 10) for each in wanted}
    with running(maildrops_of((each, amounts[each.name]) for each in wanted)) as (smtp_port, pop3_port):
        place = Place(smtp_port, pop3_port, folder)
        for each in wanted:
            less, more = (measure(each, place, amount, is_timed=False) for amount in amounts[each.name])
            assert less.calls > 1000, each.name
            assert more.calls <= TEN_TIMES * less.calls, each.name
            assert more.octets <= TEN_TIMES * less.octets, each.name


def test_cost_is_linear(tmp_path: Path) -> None:
    assert_linear(list(dimensions()), tmp_path, 1)


@pytest.mark.exhaustive
def test_cost_is_linear_on_a_larger_scale(tmp_path: Path) -> None:
    assert_linear(list(dimensions()), tmp_path, 10)


def test_the_table_has_a_row_for_each_amount(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--few", "--only", "messages listed"])
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.split()[:3] == ["messages", "listed", "100"]
    assert second.split()[:3] == ["messages", "listed", "1000"]
    assert second.count(" x ") == 3
