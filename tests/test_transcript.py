"""A dialogue as it was spoken, with times and without secrets."""

import re

from mailwire import Transcript, pop3, smtp
from mailwire._wire.trace import Elided, Masked


def clock() -> float:
    return 86400.25


def test_what_was_said_is_kept_in_order_with_its_time() -> None:
    transcript = Transcript(clock=clock)
    transcript.record("C", smtp.Ehlo("client.example.org"))
    transcript.record("S", smtp.Reply(250, (b"server", b"SIZE 10")))

    assert [(entry.time, entry.direction, entry.lines()) for entry in transcript] == [
        (86400.25, "C", ["C: EHLO client.example.org"]),
        (86400.25, "S", ["S: 250-server", "S: 250 SIZE 10"]),
    ]
    assert len(transcript) == 2


def test_the_last_entries_are_kept() -> None:
    transcript = Transcript(limit=2)
    for number in range(1, 5):
        transcript.record("C", pop3.Dele(number))

    assert transcript.tail() == ("C: DELE 3", "C: DELE 4")
    assert transcript.tail(1) == ("C: DELE 4",)


def test_all_entries_are_kept_where_there_is_no_limit() -> None:
    transcript = Transcript(limit=None)
    for number in range(1, 1001):
        transcript.record("C", pop3.Dele(number))

    assert len(transcript) == 1000
    assert len(transcript.tail()) == 20


def test_secrets_are_masked_and_messages_elided() -> None:
    transcript = Transcript()
    transcript.record("C", pop3.Pass("secret"))
    transcript.record("S", Masked("334"))
    transcript.record("C", Masked())
    transcript.record("S", Elided(533))

    assert transcript.tail() == ("C: PASS ****", "S: 334 ****", "C: ****", "S: (533 octets)")


def test_it_is_rendered_with_the_time_of_day_in_milliseconds() -> None:
    transcript = Transcript(clock=clock)
    transcript.record("S", pop3.Response(True, b"two\tlines", b"a\r\nb\r\n"))

    lines = transcript.render().splitlines()

    assert [line[13:] for line in lines] == ["S: +OK two\\x09lines", "S: a", "S: b", "S: ."]
    assert all(re.match(r"\d\d:\d\d:\d\d\.250 ", line) for line in lines)


def test_an_empty_transcript_is_no_text() -> None:
    assert Transcript().render() == ""
