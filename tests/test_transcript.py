from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest

from mailwire import Transcript
from mailwire._wire.trace import Elided, Masked, Several, Spoken, Traceable
from mailwire.pop3 import Pass, Response
from mailwire.smtp import Ehlo, Reply
from mailwire.transcript import TranscriptEntry


class Words(Several):
    """What was said at a time, word by word."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def parts(self) -> Sequence[Traceable]:
        return [Spoken(word) for word in self.words]


def at(*times: float) -> Transcript:
    """A transcript whose clock shows these times, one after the other."""
    return Transcript(clock=iter(times).__next__)


def test_what_is_said_is_kept_with_its_time_and_its_speaker() -> None:
    transcript = at(1.5, 2.5)
    greeting, hello = Reply(220, (b"mx",)), Ehlo("example.org")
    transcript.record("S", greeting)
    transcript.record("C", hello)
    assert list(transcript) == [TranscriptEntry(1.5, "S", greeting), TranscriptEntry(2.5, "C", hello)]
    assert len(transcript) == 2


def test_an_entry_is_shown_as_lines() -> None:
    assert TranscriptEntry(0, "S", Reply(250, (b"mx", b"SIZE 100", b""))).lines() == [
        "S: 250-mx",
        "S: 250-SIZE 100",
        "S: 250",
    ]
    assert TranscriptEntry(0, "S", Response(True, b"", b"a\r\n\r\n")).lines() == ["S: +OK", "S: a", "S:", "S: ."]
    assert TranscriptEntry(0, "C", Elided(392)).lines() == ["C: (392 octets)"]
    assert TranscriptEntry(0, "C", Masked("AUTH PLAIN")).lines() == ["C: AUTH PLAIN ****"]


def test_secrets_are_masked_and_control_characters_escaped() -> None:
    transcript = at(0, 0, 0)
    transcript.record("C", Pass("secret"))
    transcript.record("S", Masked("334"))
    transcript.record("S", Response(True, b"two\tlines", b"a\r\nb\r\n"))
    assert transcript.tail() == ("C: PASS ****", "S: 334 ****", "S: +OK two\\x09lines", "S: a", "S: b", "S: .")


def test_nothing_is_kept_before_anything_was_said() -> None:
    transcript = Transcript()
    assert len(transcript) == 0
    assert transcript.render() == ""
    assert transcript.tail() == ()


@pytest.mark.parametrize(
    ("limit", "kept"),
    [(2, ["b", "c"]), (0, []), (None, ["a", "b", "c"]), (100, ["a", "b", "c"]), (2**70, ["a", "b", "c"])],
)
def test_the_last_entries_are_kept(limit: int | None, kept: list[str]) -> None:
    transcript = Transcript(limit)
    for word in ("a", "b", "c"):
        transcript.record("C", Spoken(word))
    assert transcript.tail() == tuple(f"C: {word}" for word in kept)


def test_what_is_said_at_a_time_is_an_entry_for_each_part() -> None:
    transcript = at(1.5, 2.5)
    transcript.record("S", Spoken("go ahead"))
    transcript.record("C", Words("a", "b"))
    assert [(entry.time, entry.lines()) for entry in transcript] == [
        (1.5, ["S: go ahead"]),
        (2.5, ["C: a"]),
        (2.5, ["C: b"]),
    ]


def test_of_what_is_said_at_a_time_no_more_is_kept_than_the_last_entries() -> None:
    transcript = Transcript(2)
    transcript.record("C", Words("a", "b", "c"))
    assert [entry.what for entry in transcript] == [Spoken("b"), Spoken("c")]
    assert len(transcript) == 2
    assert transcript.tail(3) == ("C: b", "C: c")


def test_a_tail_has_twenty_entries_if_nothing_is_said_of_it() -> None:
    transcript = Transcript()
    for number in range(30):
        transcript.record("C", Spoken(str(number)))
    assert transcript.tail() == tuple(f"C: {number}" for number in range(10, 30))


def test_a_hundred_entries_are_kept_if_nothing_is_said_of_it() -> None:
    transcript = Transcript()
    for number in range(200):
        transcript.record("C", Spoken(str(number)))
    assert len(transcript) == 100
    assert transcript.tail(1) == ("C: 199",)


@pytest.mark.parametrize(("entries", "lines"), [(0, 0), (1, 1), (2, 3), (3, 4), (9, 4)])
def test_a_tail_counts_entries_and_not_lines(entries: int, lines: int) -> None:
    transcript = Transcript()
    transcript.record("S", Reply(220, (b"mx",)))
    transcript.record("S", Reply(250, (b"mx", b"SIZE")))
    transcript.record("C", Spoken("NOOP"))
    assert transcript.tail(entries) == ("S: 220 mx", "S: 250-mx", "S: 250 SIZE", "C: NOOP")[4 - lines :]


def test_a_dialogue_is_rendered_with_the_time_of_day_to_the_millisecond() -> None:
    morning = datetime(2026, 3, 1, 9, 5, 7, 12_999).timestamp()
    transcript = at(morning, morning + 1)
    transcript.record("S", Reply(250, (b"mx", b"SIZE")))
    transcript.record("C", Spoken("NOOP"))
    assert transcript.render() == "09:05:07.012 S: 250-mx\n09:05:07.012 S: 250 SIZE\n09:05:08.012 C: NOOP"


def test_without_a_clock_the_time_is_now() -> None:
    before = datetime.now().timestamp()
    transcript = Transcript()
    transcript.record("C", Spoken("NOOP"))
    (entry,) = transcript
    assert before <= entry.time <= datetime.now().timestamp()


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (-1, "expected limit to be 0 at least, got -1"),
        ("100", r"expected limit to be a whole number or None, got '100' \(str\)"),
        (True, r"expected limit to be a whole number or None, got True \(bool\)"),
        (1.0, r"expected limit to be a whole number or None, got 1.0 \(float\)"),
    ],
)
def test_a_limit_is_a_number_of_entries(limit: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}$"):
        Transcript(limit=limit)


def test_a_clock_is_a_function() -> None:
    with pytest.raises(ValueError, match=r"^expected clock to be a function, got 5 \(int\)$"):
        Transcript(clock=5)  # type: ignore[arg-type]


def test_no_entry_may_be_kept() -> None:
    nothing = Transcript(limit=0)
    nothing.record("C", Spoken("x"))
    assert list(nothing) == []
