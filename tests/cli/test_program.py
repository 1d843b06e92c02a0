import argparse

import pytest

from mailwire import __version__
from mailwire.cli import check, main


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
