import pytest

from mailwire.sasl import MECHANISMS, Login, Mechanism, Password, Plain, choose

CREDENTIALS = Password("tim", "secret")


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["PLAIN"], Plain),
        (["LOGIN"], Login),
        (["LOGIN", "PLAIN"], Plain),
        (["plain", "login"], Plain),
        (["Login"], Login),
        (["CRAM-MD5", "X-ODD", "LOGIN", "LOGIN"], Login),
    ],
)
def test_the_best_that_both_sides_know_is_chosen(offered: list[str], chosen: type[Mechanism]) -> None:
    assert type(choose(CREDENTIALS, offered)) is chosen
    assert type(choose(CREDENTIALS, iter(offered))) is chosen


@pytest.mark.parametrize("offered", [[], ["CRAM-MD5"], ["PLAIN-CLIENTTOKEN", ""], ["PLAIN LOGIN"]])
def test_nothing_is_chosen_where_nothing_is_shared(offered: list[str]) -> None:
    assert choose(CREDENTIALS, offered) is None


def test_the_chosen_mechanism_has_the_credentials() -> None:
    mechanism = choose(CREDENTIALS, ["PLAIN"])
    assert mechanism is not None
    assert mechanism.initial_response() == b"\0tim\0secret"


def test_every_choice_is_new() -> None:
    assert choose(CREDENTIALS, ["PLAIN"]) is not choose(CREDENTIALS, ["PLAIN"])


def test_every_mechanism_stands_under_its_name() -> None:
    assert list(MECHANISMS) == ["PLAIN", "LOGIN"]
    for name, make in MECHANISMS.items():
        assert make(CREDENTIALS).name == name
