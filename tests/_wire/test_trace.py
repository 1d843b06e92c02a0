import pytest

from mailwire._wire.trace import MASK, Elided, Masked, Spoken


def test_a_message_is_shown_as_the_number_of_its_octets() -> None:
    assert Elided(392).shown() == ("(392 octets)",)


def test_what_is_no_secret_is_shown_as_it_is() -> None:
    assert Spoken("*").shown() == ("*",)


@pytest.mark.parametrize(("beginning", "shown"), [("", "****"), ("334", "334 ****"), ("PASS", "PASS ****")])
def test_a_secret_is_shown_as_a_mask_behind_what_may_be_seen(beginning: str, shown: str) -> None:
    assert Masked(beginning).shown() == (shown,)
    assert MASK == "****"
