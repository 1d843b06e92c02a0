"""Every fault of the proxy, at three places of every flow: it happens, nothing hangs, nothing is left behind, what
comes of it is an error for such a fault, which must come where the fault is fatal, and nobody lies."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from mailwire import MailwireError, RemoteProtocolError
from tests.faults.flows import FLOWS
from tests.faults.matrix import (
    ERRORS,
    FATAL,
    FATAL_TO_TLS,
    FAULTS,
    OF_TLS,
    POSITIONS,
    is_another,
    lead,
    lead_to_swapped_replies,
    may_be_missed,
    must_fail,
    way,
)
from tests.integration.conftest import demand_libraries
from tests.told import assert_page_says


def some() -> Iterator[tuple[str, str, int]]:
    # Three flows for each fault, in turn, each at another place: every flow has seven faults or more.
    flows = [*FLOWS]
    for row, fault in enumerate(FAULTS):
        for position in POSITIONS:
            yield fault, flows[(row * 5 + position * 4) % len(flows)], position


@pytest.mark.parametrize("fault", FAULTS)
def test_what_goes_wrong_on_the_way_is_told_as_it_is(fault: str, loop: str) -> None:
    for name, flow, position in some():
        if name == fault:
            lead(flow, fault, position, loop)


def some_under_uvloop(flow: str) -> Iterator[tuple[str, int]]:
    row = [*FLOWS].index(flow)
    for column, fault in enumerate(FATAL):
        if (row + column) % 4 == 0:
            yield fault, (row + column // 4) % 3


@pytest.mark.parametrize("flow", FLOWS)
def test_what_goes_wrong_on_the_way_is_told_as_it_is_under_uvloop(flow: str) -> None:
    demand_libraries("uvloop")
    for fault, position in some_under_uvloop(flow):
        lead(flow, fault, position, "uvloop")


def test_of_every_fault_it_is_said_what_may_come_of_it() -> None:
    assert [*ERRORS] == [*FAULTS]


def test_most_of_what_is_fatal_is_so_at_each_place_of_each_flow() -> None:
    assert {*FATAL, *FATAL_TO_TLS} <= {*FAULTS}
    demanded = [
        (fault, place) for flow in FLOWS for fault in FAULTS for place in POSITIONS if must_fail(flow, fault, place)
    ]
    assert len(demanded) == 11 * 12 * 3 + 3 * 3 * 3 - 2
    assert all(demanded.count((fault, place)) == len(FLOWS) for fault in FATAL for place in (0, 1))
    assert sum(must_fail(flow, fault, place) for fault, flow, place in some()) > 30


def trials() -> list[tuple[str, str, int]]:
    return [(flow, fault, place) for flow in FLOWS for fault in FAULTS for place in POSITIONS]


def test_no_trial_repeats_another() -> None:
    ways = Counter((flow, way(flow, fault, place)) for flow, fault, place in trials())
    assert [each for each, count in ways.items() if count > 1] == []


def test_as_few_as_the_page_on_reliability_says_are_not_what_they_are_called() -> None:
    others = Counter(flow for flow, fault, _ in trials() if is_another(flow, fault))
    clear = {flow for flow in FLOWS if not FLOWS[flow].is_encrypted}
    assert {*others} == {*clear, "implicit TLS"}
    assert {others[flow] for flow in clear} == {len(OF_TLS) * len(POSITIONS)}
    assert others["implicit TLS"] == len(POSITIONS)
    assert_page_says("but for {} that count lines where TLS hides them", sum(may_be_missed(*each) for each in trials()))
    assert_page_says("No two of these runs are the same, but {} are other faults under another name", others.total())
    assert_page_says("on the {} flows without TLS the {} faults of TLS,", len(clear), len(OF_TLS))


@pytest.mark.parametrize(
    ("by_chunks", "number", "error"),
    [
        # The replies to MAIL and RCPT, to two RCPT, and to a whole message and what was sent behind it.
        *((True, number, None) for number in (16, 17, 19)),
        # The same to a message and to MAIL; and those to RCPT and DATA, of the first mail of a connection, and of the
        # second: that one is not sent, and goes by another connection, of which it is the first.
        (False, 20, None),
        (False, 18, RemoteProtocolError),
        (False, 23, None),
    ],
)
def test_of_mails_in_a_row_nothing_wrong_is_said_where_two_replies_change_places(
    by_chunks: bool, number: int, error: type[MailwireError] | None, loop: str
) -> None:
    lead_to_swapped_replies(replace(FLOWS["send_all"], settings={"use_chunking": by_chunks}), number, error, loop)


def test_every_flow_is_among_those_that_are_tried() -> None:
    assert {flow for _, flow, _ in some()} == {*FLOWS}


@pytest.mark.exhaustive
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("flow", FLOWS)
def test_whatever_goes_wrong_on_the_way_is_told_as_it_is(flow: str, fault: str, loop: str) -> None:
    for position in POSITIONS:
        lead(flow, fault, position, loop)
