import pickle

import pytest

from mailwire.errors import NotSupported
from mailwire.smtp import Extensions
from mailwire.smtp.parameters import (
    MAIL_EXTENSIONS,
    NO_PARAMETERS,
    RCPT_EXTENSIONS,
    Parameters,
    check_offered,
    mail_extensions,
    needed_extensions,
)


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
    with pytest.raises(ValueError) as refusal:
        Parameters(dict.fromkeys(keywords))
    assert str(refusal.value) == f"expected each parameter once, got {', '.join(keywords)}"


@pytest.mark.parametrize(
    "parameters",
    [{"": None}, {"A B": None}, {"-A": None}, {"A=": "1"}, {"A": ""}, {"A": "1 B=2"}, {"A": "1\r\nRSET"}, {"A": "="}],
)
def test_what_no_parameter_can_hold_is_refused(parameters: dict[str, str | None]) -> None:
    with pytest.raises(ValueError):
        Parameters(parameters)


@pytest.mark.parametrize("body", [{"BODY": "BINARYMIME"}, {"SIZE": "5", "body": "binarymime"}, {"Body": "BinaryMIME"}])
def test_a_binary_message_is_announced_as_one_whatever_the_case(body: dict[str, str | None]) -> None:
    parameters = Parameters(body)
    assert parameters.is_binary
    needed = mail_extensions(parameters.keywords, parameters.is_binary, True)
    assert {"BINARYMIME", "CHUNKING"} <= set(needed)
    assert "8BITMIME" not in needed


@pytest.mark.parametrize("other", [{}, {"BODY": "8BITMIME"}, {"BODY": None}, {"X-BODY": "BINARYMIME"}, {"SIZE": "5"}])
def test_any_other_message_is_text(other: dict[str, str | None]) -> None:
    assert not Parameters(other).is_binary
    assert not Parameters.vouch(other).is_binary


def test_what_is_vouched_for_is_what_was_given() -> None:
    given = {"BODY": "BINARYMIME", "SMTPUTF8": None}
    vouched = Parameters.vouch(given)
    assert vouched == Parameters(given)
    assert vouched.is_binary
    given["SIZE"] = "5"
    assert "SIZE" not in vouched


def test_parts_are_joined_in_their_order_and_share_no_keyword() -> None:
    joined = Parameters.joined({"A": "1"}, {"B": None}, Parameters({"C": "2"}))
    assert isinstance(joined, Parameters)
    assert list(joined.items()) == [("A", "1"), ("B", None), ("C", "2")]
    assert Parameters.joined() == NO_PARAMETERS
    for other in ({"A": "1"}, {"a": "1"}):
        with pytest.raises(ValueError, match=r"^expected each parameter once, got A, [Aa]$"):
            Parameters.joined({"A": "1"}, other)


def test_each_parameter_needs_its_extension_and_others_need_none() -> None:
    assert needed_extensions(("size", "X", "ret"), MAIL_EXTENSIONS) == ("SIZE", "DSN")
    assert needed_extensions(("NOTIFY", "SIZE"), RCPT_EXTENSIONS) == ("DSN",)
    assert mail_extensions(("SIZE", "BODY"), False, False) == ("SIZE", "8BITMIME")
    assert mail_extensions(("SIZE", "BODY"), False, True) == ("SIZE", "8BITMIME", "CHUNKING")


def test_the_first_extension_that_is_missing_is_named() -> None:
    offered = Extensions({"size": (), "dsn": ()})
    check_offered(["SIZE", "DSN"], offered)
    with pytest.raises(NotSupported) as missing:
        check_offered(["SIZE", "SMTPUTF8", "BINARYMIME"], offered)
    assert str(missing.value) == "the server does not offer SMTPUTF8, and the mail needs it"
    assert missing.value.extension == "SMTPUTF8"
