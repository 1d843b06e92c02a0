import pickle

import pytest

from mailwire.smtp.parameters import NO_PARAMETERS, Parameters


def test_parameters_keep_their_order_and_are_values() -> None:
    parameters = Parameters({"SIZE": "5", "SMTPUTF8": None})
    assert list(parameters.items()) == [("SIZE", "5"), ("SMTPUTF8", None)]
    assert parameters == pickle.loads(pickle.dumps(parameters)) == {"SMTPUTF8": None, "SIZE": "5"}
    assert hash(parameters) == hash(Parameters({"SMTPUTF8": None, "SIZE": "5"}))
    assert isinstance(pickle.loads(pickle.dumps(parameters)), Parameters)


def test_what_was_checked_is_not_checked_again() -> None:
    parameters = Parameters({"SIZE": "5"})
    assert Parameters.of(parameters) is parameters
    assert Parameters.of({"SIZE": "5"}) == parameters
    assert Parameters.of({}) == NO_PARAMETERS == {}


@pytest.mark.parametrize("keywords", [("SIZE", "size"), ("x-a", "X-A", "b")])
def test_a_keyword_stands_once_whatever_its_case(keywords: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="expected each parameter once, got"):
        Parameters(dict.fromkeys(keywords))


@pytest.mark.parametrize(
    "parameters",
    [{"": None}, {"A B": None}, {"-A": None}, {"A=": "1"}, {"A": ""}, {"A": "1 B=2"}, {"A": "1\r\nRSET"}, {"A": "="}],
)
def test_what_no_parameter_can_hold_is_refused(parameters: dict[str, str | None]) -> None:
    with pytest.raises(ValueError):
        Parameters(parameters)
