import pytest

from mailwire.smtp import Reply
from mailwire.smtp.chunking_defects import DEFECTS, is_bad_at_chunking


def said(text: str) -> Reply:
    return Reply(int(text[:3]), (text[4:].encode(),))


@pytest.mark.parametrize(
    ("greeting", "hello"),
    [
        ("220 mx.example.org Microsoft ESMTP MAIL Service ready at Thu, 1 Jan 2026 00:00:00 +0000", "250 whatever"),
        ("220 mx Microsoft ESMTP MAIL Service, Version: 6.0.3790.4675 ready", "250 mx Hello [192.0.2.1]"),
        ("220 mx ESMTP", "250 mx.example.org Hello [192.0.2.1]"),
        ("220 mx ESMTP", "250 mx.example.org Hello [2001:db8::1]"),
        ("220 gateway Symantec Mail Security Mon, 17 Sep 2007 12:00:00 -0000", "250 gateway"),
    ],
)
def test_a_server_is_known_by_what_it_says_of_itself(greeting: str, hello: str) -> None:
    assert is_bad_at_chunking(said(greeting), said(hello))


@pytest.mark.parametrize(
    ("greeting", "hello"),
    [
        ("220 mx.example.org ESMTP Postfix", "250 mx.example.org"),
        ("220 mx ESMTP Exim 4.96", "250 mx Hello client.example.org [192.0.2.1]"),
        ("220 mx ESMTP Exim 4.96", "250 mx Hello [192.0.2.1] [192.0.2.1]"),
        ("220 mx.google.com ESMTP x - gsmtp", "250 mx.google.com at your service, [192.0.2.1]"),
        ("220 ", "250 "),
    ],
)
def test_others_are_believed(greeting: str, hello: str) -> None:
    assert not is_bad_at_chunking(said(greeting), said(hello))


def test_every_defect_has_been_reported_somewhere() -> None:
    assert all(defect.report.startswith("https://") for defect in DEFECTS)
    assert all(defect.greeting or defect.hello for defect in DEFECTS)
