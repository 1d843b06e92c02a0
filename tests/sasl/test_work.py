from collections.abc import Callable

import pytest

from mailwire.sasl.work import ComputationDue, Work
from tests.sasl.secrecy import CANARY, assert_hidden


class Computation:
    """A function with a name that gives it away."""

    def __call__(self) -> bytes:
        raise AssertionError("nobody asked for it")

    def compute(self) -> None:
        raise AssertionError("nobody asked for it")

    def __repr__(self) -> str:
        return f"Computation({CANARY})"


def test_work_is_what_its_computation_returns() -> None:
    assert Work(lambda: b"response").compute() == b"response"


def test_a_due_computation_is_made_when_it_is_asked_for_and_its_result_is_nobodys_here() -> None:
    made: list[bytes] = []
    event = ComputationDue("SCRAM-SHA-256", lambda: made.append(b"response"))
    assert event.mechanism == "SCRAM-SHA-256"
    assert made == []
    event.compute()
    assert made == [b"response"]


def test_neither_ever_shows_what_it_computes_with() -> None:
    computation = Computation()
    work = Work(computation)
    event = ComputationDue("SCRAM-SHA-256", computation.compute)
    assert repr(work) == str(work) == "Work()"
    assert repr(event) == str(event) == "ComputationDue(mechanism='SCRAM-SHA-256')"
    assert_hidden(CANARY, work, event, [work, event])


def test_both_are_values() -> None:
    compute = Computation().compute
    assert ComputationDue("A", compute) == ComputationDue("A", compute) != ComputationDue("B", compute)
    computation = b"a".upper
    assert Work(computation) == Work(computation)
    changes: list[Callable[[], None]] = [
        lambda: Work(computation).__setattr__("compute", computation),
        lambda: ComputationDue("A", compute).__setattr__("mechanism", "B"),
    ]
    for change in changes:
        with pytest.raises(AttributeError):
            change()
