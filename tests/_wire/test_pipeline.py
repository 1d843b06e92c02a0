from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire._wire.pipeline import LOCKSTEP, Pipeline, Window


@dataclass(frozen=True)
class Word:
    """A command for the pipeline: its name is all it is."""

    name: str
    ends_group: bool = False
    stands_alone: bool = False

    @property
    def line(self) -> bytes:
        return self.name.encode()


WIDE = Window(commands=100, octets=4096)


class Dialogue:
    """A pipeline, and all that it released."""

    def __init__(self, window: Window) -> None:
        self.released: list[Word] = []
        self.pipeline: Pipeline[Word] = Pipeline(self.released.append, window)

    def queue(self, *words: Word, cost: int = 1) -> None:
        for word in words:
            self.pipeline.queue(word, word.line, cost)

    def leave(self) -> list[bytes]:
        return self.pipeline.data_to_send()


def words(names: str) -> list[Word]:
    return [Word(name) for name in names]


def names(commands: Sequence[Word]) -> str:
    return "".join(command.name for command in commands)


@pytest.mark.parametrize(
    ("commands", "octets", "told"),
    [
        (0, 1, "commands to be 1 at least, got 0"),
        (1, 0, "octets to be 1 at least, got 0"),
        (-1, 1, "commands to be 1 at least, got -1"),
        (1, -1, "octets to be 1 at least, got -1"),
        ("1", 1, "commands to be a whole number, got '1' (str)"),
        (1, 1.0, "octets to be a whole number, got 1.0 (float)"),
    ],
)
def test_a_window_holds_at_least_one_command_and_one_octet(commands: Any, octets: Any, told: str) -> None:
    with pytest.raises(ValueError) as caught:
        Window(commands, octets)
    assert str(caught.value) == f"expected {told}"


def test_a_window_is_a_value() -> None:
    assert Window(3, 100) == Window(commands=3, octets=100)
    assert len({Window(3, 100), Window(3, 100), Window(3, 101)}) == 2
    with pytest.raises(AttributeError):
        LOCKSTEP.commands = 2  # type: ignore[misc]


def test_the_window_is_one_command_unless_said_otherwise() -> None:
    assert Pipeline[Word](lambda _: None).window == LOCKSTEP == Window(1, 1)


def test_in_lockstep_each_command_waits_for_the_answer_to_the_one_before() -> None:
    dialogue = Dialogue(LOCKSTEP)
    dialogue.queue(*words("abc"), cost=10)
    for name in "abc":
        assert dialogue.leave() == [name.encode()]
        assert dialogue.leave() == []
        assert names(dialogue.pipeline.in_flight) == name
        assert dialogue.pipeline.settle() == Word(name)
    assert dialogue.leave() == []


def test_a_wide_window_lets_all_leave_at_once_in_order() -> None:
    dialogue = Dialogue(WIDE)
    dialogue.queue(*words("abc"))
    assert dialogue.pipeline.queued == (*words("abc"),)
    assert dialogue.leave() == [b"a", b"b", b"c"]
    assert dialogue.pipeline.in_flight == (*words("abc"),)
    assert dialogue.pipeline.queued == ()


def test_what_is_queued_together_is_as_if_it_were_one_by_one() -> None:
    dialogue = Dialogue(Window(commands=3, octets=10))
    dialogue.queue(Word("a"), cost=4)
    dialogue.pipeline.queue_each(words("bcd"), [b"B", b"C", b"D"], [6, 1, 1])
    assert dialogue.pipeline.queued == (*words("abcd"),)
    assert dialogue.leave() == [b"a", b"B"]
    dialogue.pipeline.settle()
    assert dialogue.leave() == []  # the window is not half empty
    dialogue.pipeline.settle()
    assert dialogue.leave() == [b"C", b"D"]


def test_replies_settle_the_oldest_command() -> None:
    dialogue = Dialogue(WIDE)
    dialogue.queue(*words("abc"))
    dialogue.leave()
    for name in "abc":
        assert dialogue.pipeline.oldest == Word(name)
        assert dialogue.pipeline.settle() == Word(name)
    assert dialogue.pipeline.oldest is None


def test_the_oldest_queued_command_leaves_next() -> None:
    dialogue = Dialogue(LOCKSTEP)
    assert dialogue.pipeline.next is None
    dialogue.queue(*words("ab"))
    for name in "ab":
        assert dialogue.pipeline.next == Word(name)
        dialogue.leave()
        dialogue.pipeline.settle()
    assert dialogue.pipeline.next is None


def test_a_command_leaves_when_bytes_are_asked_for_and_not_when_it_is_queued() -> None:
    dialogue = Dialogue(WIDE)
    dialogue.queue(Word("a"))
    assert dialogue.released == []
    assert dialogue.pipeline.in_flight == ()
    dialogue.leave()
    assert dialogue.released == [Word("a")]


def test_the_window_counts_commands() -> None:
    dialogue = Dialogue(Window(commands=3, octets=1000))
    dialogue.queue(*words("abcde"))
    assert dialogue.leave() == [b"a", b"b", b"c"]


def test_a_full_window_is_refilled_when_half_of_its_commands_are_answered() -> None:
    dialogue = Dialogue(Window(commands=4, octets=1000))
    dialogue.queue(*words("abcdefgh"))
    assert dialogue.leave() == [b"a", b"b", b"c", b"d"]
    dialogue.pipeline.settle()
    assert dialogue.leave() == []
    dialogue.pipeline.settle()
    assert dialogue.leave() == [b"e", b"f"]


def test_a_full_window_is_refilled_when_half_of_its_octets_are_answered() -> None:
    dialogue = Dialogue(Window(commands=100, octets=40))
    dialogue.queue(*words("abcdefgh"), cost=10)
    assert dialogue.leave() == [b"a", b"b", b"c", b"d"]
    dialogue.pipeline.settle()
    assert dialogue.leave() == []
    dialogue.pipeline.settle()
    assert dialogue.leave() == [b"e", b"f"]


def test_a_window_that_held_nothing_back_takes_more_at_once() -> None:
    dialogue = Dialogue(Window(commands=4, octets=1000))
    dialogue.queue(*words("abc"))
    assert dialogue.leave() == [b"a", b"b", b"c"]
    dialogue.queue(*words("de"))
    assert dialogue.leave() == [b"d"]


def test_the_window_counts_octets_up_to_exactly_its_limit() -> None:
    dialogue = Dialogue(Window(commands=100, octets=30))
    dialogue.queue(*words("abcd"), cost=10)
    assert dialogue.leave() == [b"a", b"b", b"c"]
    dialogue = Dialogue(Window(commands=100, octets=29))
    dialogue.queue(*words("abcd"), cost=10)
    assert dialogue.leave() == [b"a", b"b"]


def test_a_window_that_was_never_full_is_open_though_more_than_half_is_taken() -> None:
    dialogue = Dialogue(Window(commands=100, octets=30))
    dialogue.queue(Word("a"), cost=20)
    dialogue.queue(Word("b"), cost=10)
    assert dialogue.leave() == [b"a", b"b"]


def test_one_command_may_always_be_in_flight_whatever_its_octets() -> None:
    dialogue = Dialogue(Window(commands=100, octets=30))
    dialogue.queue(Word("a"), Word("b"), cost=1_000_000)
    assert dialogue.leave() == [b"a"]
    assert dialogue.leave() == []
    dialogue.pipeline.settle()
    assert dialogue.leave() == [b"b"]


def test_a_command_that_costs_nothing_still_counts_as_one() -> None:
    dialogue = Dialogue(Window(commands=2, octets=1))
    dialogue.queue(*words("abc"), cost=0)
    assert dialogue.leave() == [b"a", b"b"]


def test_a_small_command_does_not_overtake_a_large_one() -> None:
    dialogue = Dialogue(Window(commands=100, octets=30))
    dialogue.queue(Word("a"), cost=20)
    dialogue.queue(Word("b"), cost=20)
    dialogue.queue(Word("c"), cost=1)
    assert dialogue.leave() == [b"a"]


def test_the_end_of_a_group_holds_back_what_follows() -> None:
    dialogue = Dialogue(WIDE)
    dialogue.queue(Word("a"), Word("b", ends_group=True), Word("c"))
    assert dialogue.leave() == [b"a", b"b"]
    dialogue.pipeline.settle()
    assert dialogue.leave() == []
    dialogue.pipeline.settle()
    assert dialogue.leave() == [b"c"]


def test_either_a_command_or_data_alone_waits_to_leave() -> None:
    dialogue = Dialogue(WIDE)
    assert dialogue.pipeline.is_idle
    dialogue.queue(*words("a"))
    assert not dialogue.pipeline.is_idle
    dialogue.leave()
    assert dialogue.pipeline.is_idle
    dialogue.pipeline.write(b"data")
    assert not dialogue.pipeline.is_idle
    dialogue.leave()
    assert dialogue.pipeline.is_idle


def test_what_is_sent_ahead_leaves_before_what_is_queued_though_the_window_is_full() -> None:
    dialogue = Dialogue(Window(commands=1, octets=1))
    dialogue.queue(*words("ab"), cost=10)
    assert dialogue.leave() == [b"a"]
    dialogue.pipeline.send_ahead(Word("c"), b"c")
    assert names(dialogue.released) == "ac"
    assert not dialogue.pipeline.is_idle
    assert dialogue.pipeline.blocks_to_send() == [b"c"]
    assert dialogue.pipeline.blocks_to_send() == []
    assert names(dialogue.pipeline.in_flight) == "ac"
    # It takes a place in the order of answers, and nothing of the octets.
    assert names([dialogue.pipeline.settle() for _ in range(2)]) == "ac"
    assert dialogue.leave() == [b"b"]


def test_a_command_that_stands_alone_waits_for_everything_before_it() -> None:
    dialogue = Dialogue(WIDE)
    dialogue.queue(Word("a"), Word("b"), Word("c", stands_alone=True))
    assert dialogue.leave() == [b"a", b"b"]
    dialogue.pipeline.settle()
    assert dialogue.leave() == []
    dialogue.pipeline.settle()
    assert dialogue.leave() == [b"c"]


def test_the_window_may_change_on_the_way() -> None:
    dialogue = Dialogue(LOCKSTEP)
    dialogue.queue(*words("abcd"))
    assert dialogue.leave() == [b"a"]
    dialogue.pipeline.window = Window(commands=3, octets=100)
    assert dialogue.leave() == [b"b", b"c"]
    dialogue.pipeline.window = LOCKSTEP
    dialogue.pipeline.settle()
    assert dialogue.leave() == []


def test_what_is_expected_is_in_flight_without_a_byte() -> None:
    dialogue = Dialogue(WIDE)
    dialogue.pipeline.expect(Word("greeting", ends_group=True))
    dialogue.queue(Word("a"))
    assert dialogue.leave() == []
    assert dialogue.pipeline.in_flight == (Word("greeting", ends_group=True),)
    dialogue.pipeline.settle()
    assert dialogue.leave() == [b"a"]
    assert dialogue.released == [Word("a")]


def test_what_is_expected_takes_none_of_the_windows_octets() -> None:
    dialogue = Dialogue(Window(commands=2, octets=1))
    dialogue.pipeline.expect(Word("greeting"))
    dialogue.queue(*words("ab"), cost=1)
    assert dialogue.leave() == [b"a"]
    # Nor does it give any back.
    dialogue.pipeline.settle()
    assert dialogue.leave() == []


def test_data_leave_before_the_commands_that_wait() -> None:
    dialogue = Dialogue(WIDE)
    dialogue.queue(Word("a"))
    dialogue.pipeline.write(b"one")
    dialogue.pipeline.write(b"")
    dialogue.pipeline.write(b"two")
    assert dialogue.leave() == [b"one", b"two", b"a"]
    assert dialogue.leave() == []


def test_data_leave_whatever_the_window() -> None:
    dialogue = Dialogue(LOCKSTEP)
    dialogue.queue(*words("ab"))
    dialogue.leave()
    dialogue.pipeline.write(b"one")
    assert dialogue.leave() == [b"one"]


def test_data_are_handed_out_without_a_copy() -> None:
    dialogue = Dialogue(WIDE)
    block = b"x" * 100_000
    dialogue.pipeline.write(block)
    assert dialogue.leave()[0] is block


def test_what_is_queued_can_be_dropped_and_what_has_left_cannot() -> None:
    dialogue = Dialogue(Window(commands=1, octets=100))
    dialogue.queue(*words("abc"))
    dialogue.leave()
    assert dialogue.pipeline.discard_queued() == (Word("b"), Word("c"))
    assert names(dialogue.pipeline.in_flight) == "a"
    assert dialogue.pipeline.queued == ()
    dialogue.pipeline.settle()
    assert dialogue.leave() == []


def test_what_is_wanted_is_not_dropped_and_keeps_its_order_and_its_bytes() -> None:
    dialogue = Dialogue(WIDE)
    dialogue.queue(*words("abcd"))
    assert dialogue.pipeline.discard_queued(lambda word: word.name in "bd") == (Word("a"), Word("c"))
    assert dialogue.leave() == [b"b", b"d"]


def test_dropping_gives_no_room_in_the_window_for_what_had_not_left() -> None:
    dialogue = Dialogue(Window(commands=100, octets=30))
    dialogue.queue(*words("abcd"), cost=10)
    dialogue.leave()
    dialogue.pipeline.discard_queued()
    dialogue.queue(Word("e"), cost=10)
    assert dialogue.leave() == []


def countdown(state: int, word: Word) -> int | None:
    """A protocol in which a command leads one down, and none is legal at zero; `?` never is."""
    return None if state == 0 or word.name == "?" else state - 1


def test_where_the_commands_lead_is_foreseen_and_what_leads_nowhere_is_dropped() -> None:
    dialogue = Dialogue(Window(commands=2, octets=100))
    dialogue.queue(*words("abc?def"))
    dialogue.leave()
    assert dialogue.pipeline.foresee(5, countdown) == (0, (Word("?"), Word("f")))
    assert names(dialogue.pipeline.in_flight) == "ab"
    assert names(dialogue.pipeline.queued) == "cde"


def test_what_has_left_and_leads_nowhere_is_passed_over() -> None:
    dialogue = Dialogue(WIDE)
    dialogue.queue(*words("a?b"))
    dialogue.leave()
    assert dialogue.pipeline.foresee(5, countdown) == (3, ())
    assert names(dialogue.pipeline.in_flight) == "a?b"


def test_closing_drops_every_byte_that_has_not_left_and_keeps_what_is_in_flight() -> None:
    dialogue = Dialogue(LOCKSTEP)
    dialogue.queue(*words("abc"))
    dialogue.leave()
    dialogue.pipeline.write(b"data")
    assert dialogue.pipeline.close() == (Word("b"), Word("c"))
    assert dialogue.leave() == []
    assert dialogue.pipeline.queued == ()
    assert names(dialogue.pipeline.in_flight) == "a"


command_lists = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.integers(min_value=0, max_value=40)), min_size=1, max_size=30
)


@given(command_lists, st.integers(1, 8), st.integers(1, 100), st.data())
def test_any_window_keeps_the_order_and_its_bounds(
    entries: list[tuple[bool, bool, int]], commands: int, octets: int, data: st.DataObject
) -> None:
    window = Window(commands, octets)
    dialogue = Dialogue(window)
    pipeline = dialogue.pipeline
    costs = {}
    for number, (ends_group, stands_alone, cost) in enumerate(entries):
        word = Word(f"{number};", ends_group, stands_alone)
        costs[word] = cost
        pipeline.queue(word, word.line, cost)
    wire, settled = b"", list[Word]()
    while pipeline.queued or pipeline.in_flight:
        wire += b"".join(pipeline.data_to_send())
        in_flight = pipeline.in_flight
        assert in_flight
        assert len(in_flight) <= commands
        assert len(in_flight) == 1 or sum(costs[word] for word in in_flight) <= octets
        assert not any(word.ends_group for word in in_flight[:-1])
        assert not any(word.stands_alone for word in in_flight[1:])
        settled += [pipeline.settle() for _ in range(data.draw(st.integers(1, len(in_flight))))]
    assert settled == dialogue.released == list(costs)
    assert wire == b"".join(word.line for word in costs)


def test_what_is_in_flight_without_a_byte_of_its_own_counts_as_a_command_and_no_octet() -> None:
    for put in (Pipeline.expect, lambda pipeline, word: pipeline.send_ahead(word, b"")):
        dialogue = Dialogue(Window(commands=4, octets=8))
        for word in words("ab"):
            put(dialogue.pipeline, word)
        dialogue.queue(*words("cd"), cost=4)
        dialogue.queue(*words("e"), cost=1)
        assert b"".join(dialogue.leave()) == b"cd"
        assert names(dialogue.pipeline.in_flight) == "abcd"
        for _ in "abcd":
            dialogue.pipeline.settle()
        dialogue.queue(*words("fghi"), cost=1)
        assert b"".join(dialogue.leave()) == b"efgh"


def test_a_block_leaves_behind_its_command() -> None:
    dialogue = Dialogue(WIDE)
    dialogue.pipeline.queue(Word("a"), b"a", 1, b"block")
    dialogue.queue(Word("b"))
    assert dialogue.leave() == [b"a", b"block", b"b"]


def test_a_window_that_was_never_full_holds_nothing_back() -> None:
    dialogue = Dialogue(Window(commands=4, octets=8))
    for word in words("abcd"):
        dialogue.queue(word)
        assert dialogue.leave() == [word.line]


def test_what_has_left_and_what_has_not_is_unanswered() -> None:
    dialogue = Dialogue(LOCKSTEP)
    dialogue.queue(Word("a"), Word("b"), Word("c"))
    dialogue.leave()
    assert dialogue.pipeline.unanswered == 3


def test_an_answer_is_awaited_from_when_a_command_leaves_until_it_is_answered() -> None:
    dialogue = Dialogue(WIDE)
    dialogue.queue(Word("a"))
    assert not dialogue.pipeline.awaits_answer
    dialogue.leave()
    assert dialogue.pipeline.awaits_answer
    dialogue.pipeline.settle()
    assert not dialogue.pipeline.awaits_answer
