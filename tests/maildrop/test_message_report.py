from dataclasses import replace

import pytest

from mailwire.maildrop import Deleted, MessageReport, Outcome
from mailwire.maildrop.message_report import MessageReports
from tests.maildrop.plans import THREE, Entry

STORED = MessageReport(7, "g", 100, Outcome.STORED, 120, 0.5)
FAILED = MessageReport(8, "h", 100, Outcome.FAILED, reason="no")
LEFT = [Entry(4, "d"), Entry(5, "e")]


def reports() -> MessageReports:
    return MessageReports([STORED, FAILED], [(Outcome.LEFT, LEFT), (Outcome.SKIPPED, THREE), (Outcome.LEFT, [])])


def test_what_is_told_stands_before_what_was_not_touched() -> None:
    assert (
        *(STORED, FAILED),
        *(MessageReport(entry.number, entry.uid, 100, Outcome.LEFT) for entry in LEFT),
        *(MessageReport(entry.number, entry.uid, 100, Outcome.SKIPPED) for entry in THREE),
    ) == reports()
    assert MessageReports(()) == ()


def test_outcomes_are_counted_without_a_report_of_each() -> None:
    assert reports().counts == {Outcome.STORED: 1, Outcome.FAILED: 1, Outcome.LEFT: 2, Outcome.SKIPPED: 3}
    many = MessageReports([STORED], [(Outcome.LEFT, range(10**9))])  # type: ignore[list-item]
    assert many.counts == {Outcome.STORED: 1, Outcome.LEFT: 10**9}
    assert many.having(Outcome.STORED) == (STORED,)


def test_a_report_is_written_in_values_and_read_again() -> None:
    report = MessageReport(1, "u", 100, Outcome.STORED, 120, 0.123456, "why", Deleted.REFUSED)
    values = {
        "number": 1,
        "uid": "u",
        "size": 100,
        "outcome": "stored",
        "octets": 120,
        "seconds": 0.123,
        "reason": "why",
        "deleted": "deletion refused",
    }
    assert report.to_dict() == values
    assert MessageReport.from_dict(values) == replace(report, seconds=0.123)
    bare = MessageReport(2, None, 100, Outcome.LEFT)
    assert MessageReport.from_dict(bare.to_dict()) == bare
    for wrong in ({"outcome": "sent"}, {"deleted": "lost"}, {"number": "x"}):
        with pytest.raises(ValueError, match=r"x|sent|lost"):
            MessageReport.from_dict({**values, **wrong})


def test_values_of_another_kind_become_those_of_a_report() -> None:
    values = {
        **STORED.to_dict(),
        "number": "7",
        "size": "100",
        "octets": "120",
        "seconds": "0.5",
        "uid": 5,
        "reason": 6,
    }
    assert MessageReport.from_dict(values) == replace(STORED, uid="5", reason="6")


def test_a_report_is_a_line() -> None:
    assert str(MessageReport(12, "u", 5_000, Outcome.KNOWN, deleted=Deleted.REFUSED)) == (
        "     12  known             5,000 octets  deletion refused  u"
    )
    assert str(MessageReport(3, "\x1b", 1, Outcome.FAILED, 1_200, 0.25, "why")) == (
        "      3  failed            1,200 octets  0.2 s  \\x1b  why"
    )


@pytest.mark.parametrize(
    ("outcomes", "numbers"),
    [((Outcome.STORED,), [7]), ((Outcome.FAILED, Outcome.SKIPPED), [8, 1, 2, 3]), ((Outcome.KNOWN,), [])],
)
def test_reports_are_found_by_their_outcomes(outcomes: tuple[Outcome, ...], numbers: list[int]) -> None:
    found = reports().having(*outcomes)
    assert [report.number for report in found] == numbers
    assert all(report.outcome in outcomes for report in found)
