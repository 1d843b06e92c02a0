from mailwire.testing.refusal import Denied, Refusal


def test_a_refusal_names_a_situation_and_what_is_known_of_it() -> None:
    refusal = Refusal("syntax", expected="a name")

    assert refusal.situation == "syntax"
    assert refusal.known == {"expected": "a name"}


def test_the_client_is_told_the_same_whatever_the_reason() -> None:
    denials = [Denied("unknown-user"), Denied("invalid-proof")]

    assert {(denied.situation, len(denied.known)) for denied in denials} == {("credentials", 0)}
    assert [denied.reason for denied in denials] == ["unknown-user", "invalid-proof"]
