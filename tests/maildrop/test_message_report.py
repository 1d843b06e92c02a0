import pytest

from mailwire.maildrop import MessageReport, Outcome
from mailwire.maildrop.message_report import MessageReports
from tests.maildrop.plans import THREE, Entry

STORED = MessageReport(7, "g", 100, Outcome.STORED, 120, 0.5)
FAILED = MessageReport(8, "h", 100, Outcome.FAILED, reason="no")
LEFT = [Entry(4, "d"), Entry(5, "e")]
REPORTS = MessageReports([STORED, FAILED], [(Outcome.LEFT, LEFT), (Outcome.SKIPPED, THREE), (Outcome.LEFT, [])])


def test_what_is_told_stands_before_what_was_not_touched() -> None:
    assert (
        *(STORED, FAILED),
        *(MessageReport(entry.number, entry.uid, 100, Outcome.LEFT) for entry in LEFT),
        *(MessageReport(entry.number, entry.uid, 100, Outcome.SKIPPED) for entry in THREE),
    ) == REPORTS
    assert MessageReports(()) == ()


def test_outcomes_are_counted_without_a_report_of_each() -> None:
    assert REPORTS.counts == {Outcome.STORED: 1, Outcome.FAILED: 1, Outcome.LEFT: 2, Outcome.SKIPPED: 3}
    many = MessageReports([STORED], [(Outcome.LEFT, range(10**9))])  # type: ignore[list-item]
    assert many.counts == {Outcome.STORED: 1, Outcome.LEFT: 10**9}
    assert many.having(Outcome.STORED) == (STORED,)


@pytest.mark.parametrize(
    ("outcomes", "numbers"),
    [((Outcome.STORED,), [7]), ((Outcome.FAILED, Outcome.SKIPPED), [8, 1, 2, 3]), ((Outcome.KNOWN,), [])],
)
def test_reports_are_found_by_their_outcomes(outcomes: tuple[Outcome, ...], numbers: list[int]) -> None:
    assert [report.number for report in REPORTS.having(*outcomes)] == numbers
