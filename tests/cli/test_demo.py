"""The command line, run as a user runs it: as a process of its own."""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

from mailwire import Delivery, Receipt, RetrievedMessage, cli
from mailwire.cli import check, demo, fetch, send
from mailwire.testing import QUIRKS, Account, MailServer

SENT = (Path(__file__).parents[1] / "data" / "sylpheed-message.eml").read_bytes()


MODULE = [sys.executable, "-m", "mailwire"]


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*MODULE, *arguments], capture_output=True, text=True, timeout=60, check=False)


OPTIONS = [(), ("--tls",), ("--quirk", "argosoft"), ("--quirk", "argosoft", "--tls")]


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_the_demo_shows_both_dialogues_and_that_the_mail_is_the_same(options: tuple[str, ...]) -> None:
    result = run("demo", *options)

    assert result.returncode == 0
    assert result.stderr == ""
    assert "sent 392 octets (accepted), retrieved 1 message" in result.stdout
    assert "octet for octet" in result.stdout
    lines = result.stdout.splitlines()
    dialogue = [line for line in lines if re.match(r"\d\d:\d\d:\d\d\.\d\d\d [CS]: ", line)]
    said = [line[13:] for line in dialogue]
    for expected in ("C: MAIL FROM:<ann@example.org>", "C: (392 octets)", "C: .", "C: RETR 1", "S: (392 octets)"):
        assert any(line.startswith(expected) for line in said)
    assert ("smtps://" in result.stdout) == ("--tls" in options)


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_the_demo_masks_the_password(options: tuple[str, ...]) -> None:
    # User and password are the same word here, as they were when the session was captured.
    said = [line for line in run("demo", *options).stdout.splitlines() if re.search(r"C: (PASS|AUTH)", line)]

    assert said
    assert all(line.endswith(" ****") for line in said)


def test_the_argosoft_of_the_demo_speaks_as_the_captured_one() -> None:
    said = run("demo", "--quirk", "argosoft").stdout

    for line in (
        "S: 220 ArGoSoft Mail Server Freeware, Version 1.8 (1.8.8.8)",
        "C: HELO ",
        'S: 250 Sender "ann@example.org" OK...',
        'S: 354 Enter mail, end with "." on a line by itself',
        "S: +OK Password required for ann",
        "S: +OK 381 octets",
        "S: +OK Aba he",
    ):
        assert line in said


def test_the_console_script_is_the_same_as_the_module() -> None:
    script = Path(sysconfig.get_path("scripts")) / "mailwire"
    result = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=60, check=False)

    assert result.stdout == run("--version").stdout
    assert result.returncode == 0


def test_help_fits_a_screen_and_shows_an_example() -> None:
    for arguments in (("--help",), *((name, "--help") for name in ("demo", "send", "fetch", "check"))):
        result = run(*arguments)
        assert result.returncode == 0
        assert len(result.stdout.splitlines()) <= 24
        assert max(map(len, result.stdout.splitlines())) <= 80
        assert "example: mailwire " in result.stdout


@pytest.mark.parametrize("command", [send, fetch, check])
def test_help_names_every_option_but_the_rare_ones_of_fetch(command: ModuleType) -> None:
    parser = command.make_parser()
    rare = {"--newest-first", "--retry-failed", "--when-all-new"} if command is fetch else set()
    rare |= {"--no-pipelining", "--quirk", "--probe"} if command is fetch else set()
    options = {option for action in parser._actions for option in action.option_strings}
    assert {option for option in options if not re.search(rf"{option}\b", parser.format_help())} == rare
    page = Path(__file__).parents[2] / "docs/howto/command-line.md"
    assert rare <= set(re.findall(r"--[a-z-]+", page.read_text("utf-8")))


def test_a_word_that_is_no_command_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["dome"]) == 64
    assert "dome" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("delivery", "messages"),
    [
        (Delivery.UNKNOWN, [SENT]),
        (Delivery.ACCEPTED, []),
        (Delivery.ACCEPTED, [SENT + b"\r\n"]),
        (Delivery.ACCEPTED, [SENT, SENT]),
        (Delivery.UNKNOWN, [SENT.replace(b"\r\n", b"\n")]),
        (Delivery.ACCEPTED, [SENT.replace(b"\r\n", b"\n", 1)]),
    ],
)
def test_the_demo_fails_unless_the_one_mail_came_back_as_it_was(
    delivery: Delivery, messages: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    receipt = Receipt(delivery, "a@b", (), None, len(SENT))
    retrieved = [RetrievedMessage(number, None, raw) for number, raw in enumerate(messages, 1)]

    assert demo.judge(SENT, receipt, retrieved) == 76
    assert "not what was sent" in capsys.readouterr().err


@pytest.mark.parametrize("quirk", sorted(QUIRKS))
def test_the_demo_succeeds_with_every_server_of_the_kit(quirk: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--quirk", quirk]) == 0
    told = capsys.readouterr().out.splitlines()[-1]
    if quirk == "bare-lf":
        assert told.endswith("but for the ends of its lines: this server gives a line feed alone")
    else:
        assert told == "what came back is what was sent, octet for octet"


async def test_the_demo_fails_with_a_line_that_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    stranger = MailServer([Account("somebody", "else", ("somebody@example.org",))])

    assert await demo.demonstrate(stranger, tls=False, logs_in=True) == 77

    out, err = capsys.readouterr()
    assert "S: 535" in out
    assert err.startswith("mailwire: AUTH PLAIN ****: 535")


def test_a_reader_that_has_seen_enough_ends_the_demo_quietly() -> None:
    process = subprocess.Popen([*MODULE, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)

    assert err == b""
    assert process.returncode == 141
