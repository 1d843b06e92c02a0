import pytest

from mailwire.sasl.work import Work


def test_work_is_what_its_computation_returns() -> None:
    assert Work(lambda: b"response").compute() == b"response"


def test_work_never_shows_what_it_computes_with() -> None:
    work = Work(b"canary-7f3a".upper)
    assert repr(work) == str(work) == "Work()"


def test_work_is_a_value() -> None:
    computation = b"a".upper
    assert Work(computation) == Work(computation)
    with pytest.raises(AttributeError):
        Work(computation).__setattr__("compute", computation)
