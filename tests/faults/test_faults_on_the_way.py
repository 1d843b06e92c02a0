"""Every fault of the proxy, at three places of every flow: it happens, nothing hangs, nothing is left behind, what
comes of it is an error for such a fault, and nobody lies."""

from collections.abc import Iterator

import pytest

from tests.faults.flows import FLOWS
from tests.faults.matrix import ERRORS, FAULTS, POSITIONS, lead


def some() -> Iterator[tuple[str, str, int]]:
    # Three flows for each fault, in turn, each at another place: every flow has seven faults or more.
    flows = [*FLOWS]
    for row, fault in enumerate(FAULTS):
        for position in POSITIONS:
            yield fault, flows[(row * 5 + position * 4) % len(flows)], position


@pytest.mark.parametrize("fault", FAULTS)
def test_what_goes_wrong_on_the_way_is_told_as_it_is(fault: str) -> None:
    for name, flow, position in some():
        if name == fault:
            lead(flow, fault, position)


def test_of_every_fault_it_is_said_what_may_come_of_it() -> None:
    assert [*ERRORS] == [*FAULTS]


def test_every_flow_is_among_those_that_are_tried() -> None:
    assert {flow for _, flow, _ in some()} == {*FLOWS}


@pytest.mark.exhaustive
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("flow", FLOWS)
def test_whatever_goes_wrong_on_the_way_is_told_as_it_is(flow: str, fault: str) -> None:
    for position in POSITIONS:
        lead(flow, fault, position)
