from typing import Any

import pytest

from mailwire.testing.phrases import Phrase, Phrasebook, check_lines

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


LINES = {"greeting": "220 {peer} {{}}", "accepted": "250 {path}"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], r"expected lines to be a mapping of situations to lines, got \[\]"),
        ({"greting": "220 hello"}, "expected the situations of greeting, accepted; got 'greting'"),
        ({1: "220 hello"}, "expected each of the situations to be text, got 1"),
        ({"greeting": b"220 hello"}, "expected the line for 'greeting' to be text, got b'220 hello'"),
        ({"greeting": "220 {path}"}, "to name what it knows, {hostname}, {peer}, got '220 {path}'"),
        ({"accepted": "250 {}"}, "to name what it knows, {hostname}, {path}, {peer}, got '250 {}'"),
        ({"accepted": "250 {path.local}"}, "to name what it knows"),
        ({"accepted": "250 {path!r}"}, "to name what it knows"),
        ({"accepted": "250 {path:>99}"}, "to name what it knows"),
        ({"accepted": "250 {path"}, "expected names in braces, or braces twice, got '250 {path'"),
        ({"accepted": "250 \xe9"}, "expected the line for 'accepted' in ascii, got"),
    ],
)
def test_a_line_that_cannot_be_said_is_an_error(lines: Any, message: str) -> None:
    check_lines("lines", LINES, PHRASES, "ascii")
    with pytest.raises(ValueError, match=message):
        check_lines("lines", lines, PHRASES, "ascii")


def test_a_line_may_name_what_the_standard_one_does_not_say() -> None:
    phrases = {"user": Phrase("+OK", "", "Go on", further=("user",))}
    check_lines("lines", {"user": "+OK {user}"}, phrases)
    assert Phrasebook(phrases, {}, shows_codes=True).line("user", user="alice") == "+OK Go on"
