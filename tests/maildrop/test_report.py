import copy
import json
import pickle
from dataclasses import replace

from mailwire.errors import ConnectionLost, MessageTruncated
from mailwire.maildrop import Caution, CautionKind, Deleted, MessageReport, Outcome, RetrievalReport
from mailwire.maildrop.message_report import MessageReports
from mailwire.pop3 import Finding, FindingKind
from tests.maildrop.records import NOON

MESSAGES = (
    MessageReport(1, "one", 1000, Outcome.STORED, 1234, 0.25, deleted=Deleted.COMMITTED),
    MessageReport(2, "tw\x1b[31mo", 100, Outcome.FAILED, reason="-ERR no"),
    MessageReport(3, None, 5_000_000, Outcome.TOO_LARGE),
    MessageReport(4, "four", 100, Outcome.KNOWN, deleted=Deleted.UNKNOWN),
    MessageReport(5, "five", 100, Outcome.SKIPPED),
)
REPORT = RetrievalReport(
    "b@pop.example.org",
    "pop3s://pop.example.org:995",
    NOON,
    1.25,
    8,
    3,
    MESSAGES,
    (Caution(CautionKind.DUPLICATE_UIDS, "two share one"),),
    (Finding(FindingKind.BAD_UID, 2, b"2 tw\x1b"),),
    ConnectionLost("gone"),
)


def test_a_report_is_readable_and_safe_to_print() -> None:
    assert str(REPORT).splitlines() == [
        "b@pop.example.org: 1 stored, 4 known, 1 too large, 1 failed, 1 skipped, 1 deleted, 1 deletion unknown; "
        "1,234 octets in 1.2 s; ended by ConnectionLost",
        "      1  stored            1,234 octets  0.2 s  deleted  one",
        "      2  failed              100 octets  tw\\x1b[31mo  -ERR no",
        "      3  too large     5,000,000 octets",
        "      4  known               100 octets  deletion unknown  four",
        "      5  skipped             100 octets  five",
        "caution: two share one",
        "finding: message 2: the unique id holds octets outside of RFC 1939 7's 0x21 to 0x7E: b'2 tw\\x1b'",
        "error: ConnectionLost: gone",
    ]


def test_a_report_can_be_written_as_json() -> None:
    values = json.loads(json.dumps(replace(REPORT, seconds=1.23456, login_delay=60).to_dict()))

    assert {name: value for name, value in values.items() if not isinstance(value, list | dict)} == {
        "account": "b@pop.example.org",
        "server": "pop3s://pop.example.org:995",
        "began": "2026-03-01T12:00:00+00:00",
        "seconds": 1.235,
        "listed": 8,
        "known": 3,
        "octets": 1234,
        "is_complete": False,
        "is_finished": True,
        "login_delay": 60,
    }
    assert values["error"]["kind"] == "ConnectionLost"
    assert values["error"]["text"] == "gone"
    assert values["cautions"] == [{"kind": "duplicate unique ids", "text": "two share one"}]
    assert values["findings"] == [{"kind": "BAD_UID", "number": 2, "said": "2 tw\x1b", "text": str(REPORT.findings[0])}]
    assert values["messages"][0] == {
        "number": 1,
        "uid": "one",
        "size": 1000,
        "outcome": "stored",
        "octets": 1234,
        "seconds": 0.25,
        "reason": "",
        "deleted": "deleted",
    }
    assert values["messages"][1]["deleted"] is None
    assert replace(REPORT, error=None).to_dict()["error"] is None


def again(report: RetrievalReport) -> RetrievalReport:
    return RetrievalReport.from_dict(json.loads(json.dumps(report.to_dict())))


def test_a_report_is_read_again_from_json() -> None:
    whole = replace(REPORT, error=None, login_delay=60, findings=(*REPORT.findings, Finding(FindingKind.NO_LIST)))
    assert again(whole) == whole


def test_the_error_of_a_report_is_read_again_from_json_and_holds_the_report() -> None:
    error = MessageTruncated("cut", in_flight=("RETR 2",), octets=100)
    read = again(replace(REPORT, error=error))
    assert isinstance(read.error, MessageTruncated)
    assert (str(read.error), vars(read.error) | {"report": None}) == ("cut", {**vars(error), "report": None})
    assert read.error.report is read
    assert replace(read, error=None) == replace(REPORT, error=None)


def test_an_error_of_another_kind_keeps_its_name() -> None:
    read = again(replace(REPORT, error=KeyError("x")))
    assert isinstance(read.error, RuntimeError)
    assert str(read.error) == "KeyError: 'x'"


def test_a_report_counts() -> None:
    assert REPORT.stored == MESSAGES[:1]
    assert REPORT.failed == (MESSAGES[1], MESSAGES[4])
    assert REPORT.deleted == MESSAGES[:1]
    assert REPORT.octets == 1234
    assert REPORT.counts[Outcome.KNOWN] == 4


def test_what_was_not_touched_is_counted_without_a_report_of_each() -> None:
    many = MessageReports(MESSAGES, [(Outcome.LEFT, range(10**9))])  # type: ignore[list-item]
    report = replace(REPORT, messages=many)
    assert report.counts[Outcome.LEFT] == 10**9
    assert (report.stored, report.deleted, report.octets) == (MESSAGES[:1], MESSAGES[:1], 1234)


def test_the_report_of_a_run_that_is_not_at_its_end_says_so() -> None:
    going_on = replace(REPORT, error=None, messages=MESSAGES[:1], is_finished=False)
    assert not going_on.is_complete
    assert going_on.summary == "b@pop.example.org: 1 stored, 3 known, 1 deleted; 1,234 octets in 1.2 s; not at its end"
    assert again(going_on) == going_on
    none = RetrievalReport("b", "pop3s://x:995", NOON, is_finished=False)
    assert none.summary == "b: nothing done; 0 octets in 0.0 s; not at its end"


def test_a_report_of_old_json_is_of_a_run_that_was_at_its_end() -> None:
    old = replace(REPORT, error=None).to_dict()
    del old["is_finished"]
    assert RetrievalReport.from_dict(old) == replace(REPORT, error=None)


def test_a_report_is_complete_if_the_run_was_and_no_message_failed() -> None:
    assert not REPORT.is_complete
    assert not replace(REPORT, error=None).is_complete
    assert not replace(REPORT, messages=MESSAGES[:1]).is_complete
    assert replace(REPORT, error=None, messages=(MESSAGES[0], *MESSAGES[2:4])).is_complete


def test_nothing_is_little_to_say() -> None:
    assert str(RetrievalReport("b", "pop3s://x:995", NOON)) == "b: no mail; 0 octets in 0.0 s"


def test_where_nobody_has_looked_it_is_not_said_that_there_is_no_mail() -> None:
    report = RetrievalReport("b", "pop3s://x:995", NOON, error=ConnectionLost("gone"))
    assert report.summary == "b: nothing done; 0 octets in 0.0 s; ended by ConnectionLost"


def test_an_error_carries_a_report_wherever_it_goes() -> None:
    error = MessageTruncated("cut")
    error.report = replace(REPORT, error=None)
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert again.report == error.report
