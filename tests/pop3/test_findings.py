from mailwire.pop3 import Finding, FindingKind
from mailwire.pop3.findings import Findings


def test_a_finding_says_what_is_wrong_in_one_printable_line() -> None:
    finding = Finding(FindingKind.NO_UID, 7, b"7 \x1b[2J\r\xe9")
    assert str(finding) == "message 7: no unique id is given: b'7 \\x1b[2J\\r\\xe9'"
    assert str(Finding(FindingKind.NO_UIDL)) == FindingKind.NO_UIDL.value
    assert repr(finding) == "Finding(kind=FindingKind.NO_UID, number=7, said=b'7 \\x1b[2J\\r\\xe9')"
    assert {finding, Finding(FindingKind.NO_UID, 7, b"7 \x1b[2J\r\xe9")} == {finding}


def test_every_kind_says_something_of_its_own() -> None:
    said = [kind.value for kind in FindingKind]
    assert len(set(said)) == len(said)
    assert all(text.isprintable() and not text.endswith(".") for text in said)


def test_findings_are_kept_up_to_a_measure_and_all_counted() -> None:
    findings = Findings(lambda said: said.replace(b"canary", b"****"))
    for number in range(1, 151):
        findings.add(FindingKind.BAD_SIZE, number, b"canary" + b"x" * 200)
    findings.add(FindingKind.NO_LIST)
    assert len(findings.kept) == 101
    assert findings.kept[99] == Finding(FindingKind.BAD_SIZE, 100, b"****" + b"x" * 116)
    assert findings.kept[100] == Finding(FindingKind.NO_LIST, None, b"")
    assert findings.counts == {FindingKind.BAD_SIZE: 150, FindingKind.NO_LIST: 1}


def test_findings_of_several_listings_are_put_together() -> None:
    findings, other = Findings(), Findings()
    for each in (findings, other):
        for number in range(1, 121):
            each.add(FindingKind.NO_UID, number)
    findings.take(other.kept, other.counts)
    assert len(findings.kept) == 200
    assert findings.counts == {FindingKind.NO_UID: 240}
