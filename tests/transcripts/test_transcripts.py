"""Every transcript on the machines: what must come of it, whole, split anywhere, and cut off anywhere.

A transcript is enough: what must come of it is read from its octets (`tests.transcripts.story`).
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

import pytest

from mailwire import errors, pop3, smtp
from mailwire.errors import ConnectionLost, MessageTruncated
from tests.pop3.sessions import account
from tests.replay import Transcript, Turn
from tests.smtp.oracle import accounts_of, word_for, words_for
from tests.transcripts import pop3_story, smtp_story
from tests.transcripts.pop3_story import POP3Story
from tests.transcripts.smtp_story import SMTPStory
from tests.transcripts.story import STORIES, Story

SMTP: Final = [SMTPStory(story) for story in STORIES if not story.is_pop3]
POP3: Final = [POP3Story(story) for story in STORIES if story.is_pop3]
# How many pairs of places there are in each.
PAIRS: Final = {story: sum(1 for _ in story.transcript.cuts(2)) for story in STORIES}
# Those of which every pair is tried each time, and those where it is exhaustive.
SHORT: Final = [story for story in STORIES if PAIRS[story] <= 300]
LONGER: Final = [story for story in STORIES if PAIRS[story] > 300]
# How often they are split by chance, each time and where it is exhaustive.
BY_CHANCE: Final = 1_000
BY_CHANCE_EXHAUSTIVE: Final = 20_000
# At how many places then, where there are as many.
PLACES_BY_CHANCE: Final = 8

every_smtp = pytest.mark.parametrize("story", SMTP, ids=lambda story: story.story.name)
every_pop3 = pytest.mark.parametrize("story", POP3, ids=lambda story: story.story.name)
every_story = pytest.mark.parametrize("story", STORIES, ids=str)


def test_there_are_enough() -> None:
    assert len(SMTP) >= 50
    assert len(POP3) >= 28
    assert len(STORIES) >= 80


@dataclass(frozen=True)
class Outcome:
    """All that came of a session, in a form that does not depend on how the octets were cut."""

    told: list[Any]
    written: bytes
    error: str
    words: list[Any]


def play(story: Story, cuts: Collection[int] = (), transcript: Transcript | None = None) -> Outcome:
    if story.is_pop3:
        result, _ = pop3_story.play(POP3_BY_NAME[story.name], transcript, cuts)
        return Outcome(account(result.events), result.written, repr(result.error), [])
    outcome, sender = smtp_story.play(SMTP_BY_NAME[story.name], transcript, cuts)
    words = [transaction.receipt() for transaction in sender.transactions]
    return Outcome(smtp_story.told(outcome), outcome.written, repr(outcome.error), words)


SMTP_BY_NAME: Final = {story.story.name: story for story in SMTP}
POP3_BY_NAME: Final = {story.story.name: story for story in POP3}


# Whole


def judge_error(story: Story, error: Exception | None, is_unanswered: bool) -> None:
    if story.error:
        assert type(error) is getattr(errors, story.error)
    elif story.transcript.turns[-1].closes and is_unanswered:
        assert isinstance(error, ConnectionLost)
    else:
        assert error is None


@every_smtp
def test_mails_come_to_what_they_should(story: SMTPStory) -> None:
    result, sender = smtp_story.play(story)
    told = smtp_story.told(result)
    expected = [(verb, answer.code, answer.lines) for verb, answer in zip(story.asked, story.answers, strict=False)]
    # What ends it, belongs to nothing.
    assert told == (expected[: len(told)] if story.story.error else expected)
    assert result.written == story.story.transcript.client
    judge_error(story.story, result.error, len(story.asked) > len(story.answers))
    judge_words(story, sender, result.written, heard_by(story, len(told)))


@every_pop3
def test_maildrops_come_to_what_they_should(story: POP3Story) -> None:
    result, connection = pop3_story.play(story)
    told = pop3_story.short(account(result.events))
    assert told == (story.account[: len(told)] if story.story.error else story.account)
    assert result.written == story.story.transcript.client
    judge_error(story.story, result.error, bool(connection.in_flight))


def heard_by(story: SMTPStory, answers: int) -> bytes:
    """What the server has said with so many of its answers, but for challenges."""
    return story.story.transcript.server[: story.answers[answers - 1].end if answers else 0]


def judge_words(story: SMTPStory, sender: Any, written: bytes, heard: bytes) -> None:
    accounts = accounts_of(written, heard, lmtp=story.is_lmtp)
    for number, transaction in enumerate(sender.transactions):
        receipt = transaction.receipt()
        words = [entry.delivery for entry in receipt.recipients]
        due = words_for(accounts[number], len(words), lmtp=story.is_lmtp) if number < len(accounts) else None
        assert words == (due or [smtp.Delivery.NOT_SENT] * len(words)), (written, heard)
        abort = story.mails[number].on_refused == "abort"
        assert receipt.delivery is word_for(words, all_or_nothing=abort), (written, heard)


# Split


@every_story
def test_nothing_changes_however_the_octets_are_split(story: Story) -> None:
    transcript = story.transcript
    whole = play(story)
    at_once = Transcript(tuple(replace(turn, server=(b"".join(turn.server),)) for turn in transcript.turns))
    assert play(story, transcript=at_once) == whole
    assert play(story, transcript.by_line) == whole
    assert play(story, transcript.by_octet) == whole
    for cuts in transcript.cuts(1):
        assert play(story, cuts) == whole, cuts


@pytest.mark.parametrize("story", SHORT, ids=str)
def test_nothing_changes_where_the_octets_of_a_turn_are_split_twice(story: Story) -> None:
    split_twice(story)


@pytest.mark.exhaustive
@pytest.mark.parametrize("story", LONGER, ids=str)
def test_nothing_changes_where_the_octets_of_a_longer_turn_are_split_twice(story: Story) -> None:
    split_twice(story)


def split_twice(story: Story) -> None:
    whole = play(story)
    for cuts in story.transcript.cuts(2):
        assert play(story, cuts) == whole, cuts


def split_at_random(count: int, seed: int) -> None:
    chance = Random(seed)
    wholes = {story.name: play(story) for story in STORIES}
    for _ in range(count):
        story = chance.choice(STORIES)
        places = story.transcript.by_octet
        cuts = chance.sample(places, min(PLACES_BY_CHANCE, len(places)))
        assert play(story, cuts) == wholes[story.name], (story.name, cuts)


def test_nothing_changes_where_the_octets_are_split_at_random() -> None:
    split_at_random(BY_CHANCE, seed=1)


@pytest.mark.exhaustive
def test_nothing_changes_where_the_octets_are_split_at_random_far_oftener() -> None:
    split_at_random(BY_CHANCE_EXHAUSTIVE, seed=2)


# Cut off

# By the server's closing, or by its silence.
ENDS: Final = [pytest.param(True, id="closed"), pytest.param(False, id="stalled")]


def places_of_cuts(transcript: Transcript) -> range:
    """How much the server has said: before each of its octets."""
    return range(len(transcript.server))


def stalling(transcript: Transcript, place: int) -> Transcript:
    """The same dialogue, if the server says so many octets and nothing more."""
    turns: list[Turn] = []
    for turn in transcript.turns:
        said = b"".join(turn.server)
        if place < len(said):
            return Transcript((*turns, Turn(turn.client, (said[:place],) if place else ())))
        turns.append(replace(turn, server=(said,), closes=False))
        place -= len(said)
    return Transcript(tuple(turns))


@every_smtp
@pytest.mark.parametrize("closes", ENDS)
def test_a_mail_that_is_cut_off_behind_any_octet_has_the_right_word(story: SMTPStory, closes: bool) -> None:
    transcript = story.story.transcript
    for place in places_of_cuts(transcript):
        answers = [answer for answer in story.answers if answer.end <= place]
        cut = transcript.ending(place) if closes else stalling(transcript, place)
        result, sender = smtp_story.play(story, cut)
        told = smtp_story.told(result)
        expected = [(verb, answer.code, answer.lines) for verb, answer in zip(story.asked, answers, strict=False)]
        is_broken = story.story.error != "" and type(result.error) is getattr(errors, story.story.error)
        assert told == (expected[: len(told)] if is_broken else expected), place
        # A challenge that was heard is no answer yet, and what breaks it off belongs to nothing.
        heard = heard_by(story, len(told)) if is_broken else transcript.server[:place]
        judge_words(story, sender, result.written, heard)
        judge_end(result.error, sender.connection, closes, is_broken, answers[-1].code if answers else 0)


def judge_end(error: Exception | None, connection: Any, closes: bool, is_broken: bool, last: int) -> None:
    if is_broken:
        assert connection.state is smtp.State.CLOSED
    elif closes:
        assert isinstance(error, ConnectionLost) or (error is None and not connection.in_flight)
        assert connection.state is smtp.State.CLOSED
    else:
        assert error is None
        # It waits for an answer, unless the server has taken its leave.
        assert connection.in_flight or connection.state is smtp.State.CLOSED or last in (334, 354, 454)
    assert connection.data_to_send() == []


@every_pop3
@pytest.mark.parametrize("closes", ENDS)
def test_a_session_that_is_cut_off_behind_any_octet_is_as_far_as_it_came(story: POP3Story, closes: bool) -> None:
    transcript = story.story.transcript
    for place in places_of_cuts(transcript):
        cut = transcript.ending(place) if closes else stalling(transcript, place)
        result, connection = pop3_story.play(story, cut)
        expected = POP3Story(story.story, cut).account
        told = pop3_story.short(account(result.events))
        is_broken = story.story.error != "" and type(result.error) is getattr(errors, story.story.error)
        assert told == (expected[: len(told)] if is_broken else expected), place
        if not closes and not is_broken:
            assert result.error is None, place
        elif not is_broken:
            in_message = any(expected[-1:] == [("said", verb, True, None)] for verb in ("RETR", "TOP"))
            if result.error is None:
                assert not connection.in_flight, place
            else:
                assert type(result.error) is (MessageTruncated if in_message else ConnectionLost), place
        assert closes is (connection.state is pop3.State.CLOSED) or is_broken, place
        assert connection.data_to_send() == []


def messages_of(story: POP3Story) -> Iterator[object]:
    return (what for kind, *what in story.account if kind == "message")


def test_messages_are_retrieved_in_the_transcripts() -> None:
    assert sum(1 for story in POP3 for _ in messages_of(story)) > 10
