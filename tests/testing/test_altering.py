from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.testing import Alteration, BitFlip, DoubledLine, DroppedLine, Insertion, SwappedLines
from mailwire.testing.altering import Altered

SENT = b"one\r\ntwo\r\nthree\r\nfour"


def altered(alterations: Sequence[Alteration], *pieces: bytes) -> bytes:
    altering = Altered(alterations)
    return b"".join([altering.begin(), *map(altering.feed, pieces), altering.end()])


@pytest.mark.parametrize(
    ("alterations", "arrived"),
    [
        ([], SENT),
        ([BitFlip(0)], b"nne\r\ntwo\r\nthree\r\nfour"),
        ([BitFlip(5, 7)], b"one\r\n\xf4wo\r\nthree\r\nfour"),
        ([BitFlip(4)], b"one\r\x0btwo\r\nthree\r\nfour"),
        ([BitFlip(0), BitFlip(1, 1)], b"nle\r\ntwo\r\nthree\r\nfour"),
        ([BitFlip(100)], SENT),
        ([Insertion(0, b"421 no\r\n")], b"421 no\r\none\r\ntwo\r\nthree\r\nfour"),
        ([Insertion(5, b"!")], b"one\r\n!two\r\nthree\r\nfour"),
        ([Insertion(7, b"!"), Insertion(5, b"?")], b"one\r\n?tw!o\r\nthree\r\nfour"),
        ([Insertion(len(SENT), b"!")], SENT + b"!"),
        ([Insertion(len(SENT) + 1, b"!")], SENT),
        ([DroppedLine(1)], b"two\r\nthree\r\nfour"),
        ([DroppedLine(2), DroppedLine(3)], b"one\r\nfour"),
        ([DroppedLine(4)], SENT),
        ([DoubledLine(1)], b"one\r\none\r\ntwo\r\nthree\r\nfour"),
        ([DoubledLine(4)], SENT),
        ([DroppedLine(1), DoubledLine(1)], b"two\r\nthree\r\nfour"),
        ([SwappedLines(1)], b"two\r\none\r\nthree\r\nfour"),
        ([SwappedLines(3)], b"one\r\ntwo\r\nfourthree\r\n"),
        ([SwappedLines(4)], SENT),
        ([SwappedLines(1), DroppedLine(1)], b"two\r\nthree\r\nfour"),
        ([SwappedLines(1), DroppedLine(2)], b"one\r\nthree\r\nfour"),
        ([SwappedLines(1), DoubledLine(2)], b"two\r\ntwo\r\none\r\nthree\r\nfour"),
        ([SwappedLines(1), SwappedLines(2)], b"three\r\ntwo\r\none\r\nfour"),
        ([BitFlip(0), BitFlip(0, 1)], b"lne\r\ntwo\r\nthree\r\nfour"),
    ],
)
def test_each_alteration_does_what_it_says_however_the_octets_are_cut(
    alterations: list[Alteration], arrived: bytes
) -> None:
    assert altered(alterations, SENT) == arrived
    assert altered(alterations, *(SENT[place : place + 1] for place in range(len(SENT)))) == arrived
    for place in range(len(SENT)):
        assert altered(alterations, SENT[:place], SENT[place:]) == arrived


@pytest.mark.parametrize(
    ("alterations", "done"),
    [
        ([BitFlip(4), BitFlip(19), BitFlip(20), BitFlip(21)], [(5, BitFlip(4)), (20, BitFlip(19)), (21, BitFlip(20))]),
        ([Insertion(0, b"!!"), Insertion(21, b"!"), Insertion(22, b"!")], [(2, 0), (24, 1)]),
        ([DroppedLine(1), DoubledLine(1), SwappedLines(1), BitFlip(0)], [(0, 0)]),
        ([DroppedLine(3), DroppedLine(4)], [(10, 0)]),
        ([DoubledLine(1), BitFlip(0), DoubledLine(4)], [(10, 1), (10, 0)]),
        ([SwappedLines(1), BitFlip(0)], [(10, 1), (10, 0)]),
        ([SwappedLines(1), SwappedLines(2)], [(17, 0), (17, 1)]),
        ([SwappedLines(3)], [(21, 0)]),
        ([SwappedLines(4)], []),
    ],
)
def test_what_was_altered_is_told_with_the_octets_behind_which_it_has_arrived(
    alterations: list[Alteration], done: list[tuple[int, Alteration | int]]
) -> None:
    expected = [(at, alterations[which] if isinstance(which, int) else which) for at, which in done]
    for pieces in ([SENT], [SENT[place : place + 1] for place in range(len(SENT))]):
        altering = Altered(alterations)
        for piece in (altering.begin(), *map(altering.feed, pieces), altering.end()):
            assert piece is not None
        assert altering.done == expected


def test_a_swap_with_nothing_behind_it_is_none() -> None:
    altering = Altered([SwappedLines(1)])
    assert (altering.feed(b"one\r\n"), altering.end(), altering.done) == (b"", b"one\r\n", [])


def test_a_line_is_not_held_back_for_longer_than_it_must() -> None:
    altering = Altered([SwappedLines(1)])
    assert altering.feed(b"one\r\n") == b""
    assert altering.feed(b"two\r\n") == b"two\r\none\r\n"
    assert altering.feed(b"thr") == b"thr"
    assert altering.end() == b""


ALTERATIONS = st.one_of(
    st.builds(BitFlip, st.integers(0, 40), st.integers(0, 7)),
    st.builds(Insertion, st.integers(0, 40), st.sampled_from([b"x", b"\r\n", b"250 ok\r\n"])),
    st.builds(DroppedLine, st.integers(1, 5)),
    st.builds(DoubledLine, st.integers(1, 5)),
    st.builds(SwappedLines, st.integers(1, 5)),
)


@given(st.lists(ALTERATIONS, max_size=4), st.lists(st.sampled_from([b"a", b"bc", b"\n", b"d\r\ne", b"f\n\ng"])))
def test_how_octets_are_cut_changes_nothing(alterations: list[Alteration], pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    # What is inserted into a line that is held back has no place of its own.
    if any(isinstance(fault, Insertion) for fault in alterations):
        alterations = [fault for fault in alterations if isinstance(fault, (Insertion, BitFlip))]
    assert altered(alterations, *pieces) == altered(alterations, whole)
