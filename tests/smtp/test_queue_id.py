import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.smtp.queue_id import PATTERNS, queue_id
from mailwire.smtp.reply import Reply

# As servers say it, and who says it.
SAID = [
    ("Postfix", "2.0.0 Ok: queued as 4XrTq21rYkz9vNG", "4XrTq21rYkz9vNG"),
    ("Postfix", "2.0.0 Ok: queued as 7F94E1C0299", "7F94E1C0299"),
    ("Postfix", "2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as B8D5B40A4F", "B8D5B40A4F"),
    ("Exim", "OK id=1sMrpq-0001Ah-UT", "1sMrpq-0001Ah-UT"),
    ("Exim", "OK id=1wLWNN-00000002g1x-0ye6", "1wLWNN-00000002g1x-0ye6"),
    ("Exchange", "2.6.0 <a@b> [InternalId=274498] Queued mail for delivery", "274498"),
    (
        "Exchange",
        "2.6.0 <a@b.prod.outlook.com> [InternalId=7395864186880, Hostname=X.eurprd01.prod.exchangelabs.com] 8234 bytes "
        "in 0.101, 79.355 KB/sec Queued mail for delivery",
        "7395864186880",
    ),
    (
        "Gmail",
        "2.0.0 OK  1690517236 x6-20020a05610223c600b004451f8ccf1csm418782vsr.11 - gsmtp",
        "x6-20020a05610223c600b004451f8ccf1csm418782vsr.11",
    ),
    ("Gmail", "2.0.0 OK 1433333948 fa5si855896wjc.199 - gsmtp", "fa5si855896wjc.199"),
    ("OpenSMTPD", "2.0.0 48b2e7b3 Message accepted for delivery", "48b2e7b3"),
    ("OpenSMTPD", "2.0.0: 48b2e7b3 Message accepted for delivery", "48b2e7b3"),
    ("Sendmail", "2.0.0 i9DKq5tr004210 Message accepted for delivery", "i9DKq5tr004210"),
    ("qmail", "ok 1792073422 qp 12345", "12345"),
    (
        "Amazon SES",
        "Ok 010201819ab3682a-8a9a6442-6822-4e64-a65d-54561c87b79f-000000",
        "010201819ab3682a-8a9a6442-6822-4e64-a65d-54561c87b79f-000000",
    ),
    (
        "Haraka",
        "Message Queued (86FD81C6-5A2B-4A2B-9E0B-1C5B0C8C2D11.1)",
        "86FD81C6-5A2B-4A2B-9E0B-1C5B0C8C2D11.1",
    ),
    ("Dovecot", "2.0.0 <b@example.org> oMAAKz0zUl/hJwAAjPgYsA Saved", "oMAAKz0zUl/hJwAAjPgYsA"),
]


@pytest.mark.parametrize(("server", "text", "expected"), SAID)
def test_a_queue_id_is_read_where_a_known_server_says_it(server: str, text: str, expected: str) -> None:
    assert queue_id(Reply(250, (text.encode(),))) == expected
    assert queue_id(Reply(250, (b"2.0.0 thank you", text.encode()))) == expected


@pytest.mark.parametrize(("server", "text", "expected"), SAID)
def test_the_first_pattern_that_fits_is_that_servers(server: str, text: str, expected: str) -> None:
    bare = text.partition(" ")[2] if text.startswith("2.") else text
    assert next(name for name, pattern in PATTERNS if pattern.search(bare.encode())) == server


def test_every_pattern_has_an_example() -> None:
    assert {name for name, _ in PATTERNS} == {server for server, _, _ in SAID}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ok",
        "2.0.0 Ok",
        "ok dirdel",
        "2.5.0 Message accepted for delivery",
        "OK Message accepted for delivery",
        "Requested Message accepted for delivery",
        "queued as requested",
        "queued as soon as possible",
        "2.6.0 <GUID> Queued mail for delivery",
        "OK id=...",
        "OK id=1sMrpq-0001Ah-UT-",
        "2.0.0 OK 1727 - gsmtp",
        "[InternalId=x]",
        "[InternalId=" + "9" * 25 + "]",
        "ok 1792073422 qp x",
        "Message Queued (soon)",
        "<b@example.org> Saved",
    ],
)
def test_what_is_in_no_known_form_is_no_queue_id(text: str) -> None:
    assert queue_id(Reply(250, (text.encode(),))) is None


def test_a_refusal_has_no_queue_id() -> None:
    assert queue_id(Reply(450, (b"4.0.0 queued as 7F94E1C0299",))) is None
    assert queue_id(Reply(354, (b"queued as 7F94E1C0299",))) is None


def test_only_the_beginning_of_a_line_is_looked_at() -> None:
    assert queue_id(Reply(250, (b" " * 2000 + b"queued as 7F94E1C0299",))) is None
    # What would keep a pattern that backtracks busy for ever.
    for text in (b"OK 1234567890 " + b"a-" * 4000, b"> " + b"a" * 8000, b"a" * 8000, b"[InternalId=" + b"9" * 8000):
        assert queue_id(Reply(250, (text,) * 100)) is None


@given(st.lists(st.binary(max_size=200).filter(lambda line: b"\n" not in line), min_size=1, max_size=3))
def test_any_text_has_a_printable_queue_id_or_none(lines: list[bytes]) -> None:
    found = queue_id(Reply(250, tuple(lines)))
    assert found is None or (found.isprintable() and " " not in found)
