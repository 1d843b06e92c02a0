import pytest

from mailwire.testing.smtp_arguments import Arguments, parse_arguments


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        (b"FROM:<>", Arguments("", {})),
        (b"FROM:<a@example.org>", Arguments("a@example.org", {})),
        (b"from:<a@example.org>", Arguments("a@example.org", {})),
        (b"FROM:<a@example.org> SIZE=1 smtputf8", Arguments("a@example.org", {"SIZE": "1", "SMTPUTF8": None})),
        (
            b'FROM:<"a b> SIZE=1 <\\""@example.org> BODY=7BIT',
            Arguments('"a b> SIZE=1 <\\""@example.org', {"BODY": "7BIT"}),
        ),
        ("FROM:<é@example.org> AUTH=é".encode(), Arguments("é@example.org", {"AUTH": "é"})),
    ],
)
def test_a_path_and_parameters_are_taken_apart(argument: bytes, expected: Arguments) -> None:
    assert parse_arguments(argument, b"FROM:", takes_bare_path=False) == expected


@pytest.mark.parametrize(
    "argument",
    [
        b"",
        b"FROM",
        b"TO:<a@example.org>",
        b"FROM: <a@example.org>",
        b"FROM:a@example.org",
        b"FROM:<a@example.org",
        b"FROM:<a@example.org>SIZE=1",
        b"FROM:<a@example.org>  SIZE=1",
        b"FROM:<a@example.org> SIZE=",
        b"FROM:<a@example.org> SIZE=1=2",
        b"FROM:<a@example.org> -SIZE=1",
        b"FROM:<a@example.org> SIZE=1 size=2",
        b"FROM:<a@example.org> b@example.org",
        b"FROM:<<a@example.org>>",
        b'FROM:<"a@example.org>',
        b"FROM:<\xff@example.org>",
    ],
)
def test_anything_else_is_not_of_that_form(argument: bytes) -> None:
    assert parse_arguments(argument, b"FROM:", takes_bare_path=False) is None


def test_a_path_without_brackets_can_be_taken() -> None:
    parsed = parse_arguments(b"TO:a@example.org SIZE=1", b"TO:", takes_bare_path=True)

    assert parsed == Arguments("a@example.org", {"SIZE": "1"})
    assert parse_arguments(b"TO:<a@example.org>", b"TO:", takes_bare_path=True) == Arguments("a@example.org", {})
    assert parse_arguments(b"TO:<a@example.org", b"TO:", takes_bare_path=True) is None
    assert parse_arguments(b"TO:", b"TO:", takes_bare_path=True) is None
