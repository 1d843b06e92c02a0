import pytest

from mailwire.testing.checks import check_number, check_octets, check_whole, describe


def test_a_long_value_is_quoted_by_its_beginning_and_a_secret_by_its_type() -> None:
    assert describe("a" * 118) == f"'{'a' * 118}'"
    assert describe("a" * 119) == f"'{'a' * 119}... (str)"
    assert describe("covert", is_secret=True) == "a value of the type str"


def test_numbers_of_every_size_are_numbers_and_truth_is_none() -> None:
    check_whole("n", 10**400, 0)
    check_number("n", 10**400, 0)
    check_number("n", 0.5, 0)
    for value in (float("inf"), float("nan"), -0.1, True, "1", None):
        with pytest.raises(ValueError, match="expected n to be a number, 0 at least, got "):
            check_number("n", value, 0)
    for number in (0, 3, 1.0, True, "1", None):
        with pytest.raises(ValueError, match="expected n to be a whole number, from 1 to 2, got "):
            check_whole("n", number, 1, 2)


def test_octets_are_bytes() -> None:
    check_octets("octets", b"")
    with pytest.raises(ValueError, match="expected octets to be bytes, got 'text'"):
        check_octets("octets", "text")
