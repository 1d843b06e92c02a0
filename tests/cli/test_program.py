import argparse

import pytest

from mailwire import __version__
from mailwire.cli import check, main
from tests.sasl.secrecy import CANARY, assert_hidden


def test_an_interruption_before_anything_has_begun_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(options: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "perform", interrupt)
    assert main(["check", "smtps://localhost"]) == 130
    assert capsys.readouterr().err == "mailwire: interrupted\n"


def test_no_command_is_told_and_the_version_too(capsys: pytest.CaptureFixture[str]) -> None:
    for words, status in (([], 64), (["--version"], 0), (["--nonsense"], 64)):
        assert main(words) == status
    assert f"mailwire {__version__}\n" in capsys.readouterr().out


def test_options_may_stand_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send", "smtp//x", "--to", "a@b.org", "/no/such/file"]) == 66
    assert "No such file" in capsys.readouterr().err


URL = f"pop3://b:{CANARY}@localhost:1"


@pytest.mark.parametrize(
    "words",
    [
        (URL,),
        (f"--url={URL}",),
        ("fetch", URL, URL, "--maildir", "x"),
        ("fetch", URL, f"pop3://b:a {CANARY}@localhost", "--maildir", "x"),
        ("fetch", "pop3://localhost", f"b:{CANARY}@localhost", "--maildir", "x"),
        ("fetch", URL, "--maildir", "x", f"--password={CANARY}"),
        ("fetch", URL, "--maildir", "x", f"--secret={CANARY}"),
        ("fetch", URL, "--maildir", "x", f"--quiet={URL}"),
        ("fetch", URL, "--maildir", "x", f"-q{URL}"),
        *(("fetch", option, URL) for option in ("--limit", "--keep", "--max-size", "--when-all-new", "--watc")),
        ("check", URL, URL),
        ("send", URL, URL, "--to", "b@example.org"),
        ("send", URL, "message", URL, "--to", "b@example.org"),
        ("send", URL, "message", f"-p{CANARY}"),
        ("send", URL, "message", "-p", CANARY),
        ("send", URL, "message", CANARY),
        ("send", URL, "message", f"--password{CANARY}"),
        ("send", URL, "message", f"a {CANARY}"),
        ("send", URL, f"--json={CANARY}"),
        ("send", URL, f"-q{CANARY}"),
        (f"-p{CANARY}", "send"),
    ],
)
def test_a_mistake_in_the_arguments_is_told_without_the_password(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 64
    out, err = capsys.readouterr()
    assert_hidden(CANARY, out + err)
    assert err


def test_what_stands_behind_the_letter_of_help_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send", URL, f"-h{CANARY}"]) in (0, 64)  # by the Python: help, or a mistake
    out, err = capsys.readouterr()
    assert_hidden(CANARY, out + err)


def test_what_is_wrong_with_an_argument_is_quoted_up_to_where_a_secret_may_begin(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words, said in (
        ((URL,), "invalid choice: 'pop3:****\n"),
        (("check", URL, URL), "mailwire check: unrecognized arguments: pop3:****\n"),
        (("check", "pop3s://x", "--none", "--other=x"), "unrecognized arguments: --none --other=****\n"),
        (("check", "pop3s://x", "-phunter2", "-p", "hunter2"), "unrecognized arguments: -p**** -p ****\n"),
        (("check", "pop3s://x", "--passhunter2", "pass"), "unrecognized arguments: **** ****\n"),
        (("check", "pop3s://x", "--json=hunter2"), "argument --json: ignored explicit argument ****\n"),
        (("-phunter2", "send"), "mailwire: unrecognized arguments: -p****\n"),
        (("fetch", "pop3s://x", "--keep", "14"), "argument --keep: expected a duration such as 30s"),
    ):
        assert main(words) == 64
        assert said in capsys.readouterr().err
