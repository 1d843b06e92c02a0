import pytest

from mailwire.testing.phrases import Phrase, Phrasebook, check_situations

PHRASES = {
    "greeting": Phrase("220", "", "{hostname} here"),
    "accepted": Phrase("250", "2.1.0", "Sender <{path}> accepted"),
}


def test_a_situation_is_looked_up_and_filled_in() -> None:
    book = Phrasebook(PHRASES, {}, shows_codes=True)

    assert book.line("greeting", hostname="mail.example.org") == "220 mail.example.org here"
    assert book.line("accepted", path="a@example.org") == "250 2.1.0 Sender <a@example.org> accepted"


def test_codes_can_be_left_out() -> None:
    book = Phrasebook(PHRASES, {}, shows_codes=False)

    assert book.line("accepted", path="a@example.org") == "250 Sender <a@example.org> accepted"


def test_a_line_can_be_said_instead() -> None:
    book = Phrasebook(PHRASES, {"accepted": '250 Sender "{path}" OK...'}, shows_codes=True)

    assert book.line("accepted", path="a@example.org") == '250 Sender "a@example.org" OK...'


def test_what_is_filled_in_is_not_filled_in_again() -> None:
    book = Phrasebook(PHRASES, {}, shows_codes=True)

    assert book.line("accepted", path="{hostname}@x") == "250 2.1.0 Sender <{hostname}@x> accepted"


def test_a_line_for_a_situation_that_is_none_is_an_error() -> None:
    check_situations({"greeting": "220 hello"}, PHRASES)
    with pytest.raises(ValueError, match="expected one of the situations greeting, accepted; got 'greting'"):
        check_situations({"greting": "220 hello"}, PHRASES)
