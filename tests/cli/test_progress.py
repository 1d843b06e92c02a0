import io
import os
import pty
import termios

import pytest

from mailwire.cli.progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture(autouse=True)
def _width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


def test_a_bar_shows_what_is_done_the_rate_and_the_time_left() -> None:
    terminal, clock = Terminal(), Clock()
    with ProgressBar(terminal, clock=clock) as bar:
        clock.time += 10
        bar.show(2_500_000, 10_000_000, "3 of 8 messages")
        shown = terminal.getvalue()

    assert shown == ("\r\x1b[K[######                  ]  25%  3 of 8 messages  2.5 MB of 10.0 MB  250 kB/s  0:30 left")
    assert len(shown) < 100
    assert terminal.getvalue() == f"{shown}\r\x1b[K"


def test_short_work_shows_nothing_and_long_work_not_too_often() -> None:
    terminal, clock = Terminal(), Clock()
    with ProgressBar(terminal, clock=clock) as bar:
        for _ in range(100):
            clock.time += 0.01
            bar.show(10, 20)
    # From half a second on, ten times a second.
    assert terminal.getvalue().count("[#") == 6

    silent = Terminal()
    with ProgressBar(silent, clock=clock) as bar:
        bar.show(10, 20)
    assert silent.getvalue() == ""


def test_more_than_was_announced_is_all_of_it() -> None:
    terminal, clock = Terminal(), Clock()
    bar = ProgressBar(terminal, clock=clock)
    clock.time += 1
    bar.show(30, 20)
    assert "100%" in terminal.getvalue()
    assert "0:00 left" in terminal.getvalue()


def test_nothing_is_announced_and_nothing_has_come() -> None:
    terminal, clock = Terminal(), Clock()
    bar = ProgressBar(terminal, clock=clock)
    clock.time += 1
    bar.show(0, 0)
    assert "? left" in terminal.getvalue()


def test_what_is_no_terminal_gets_nothing_and_quiet_is_quiet() -> None:
    clock = Clock()
    for stream, quiet in ((io.StringIO(), False), (Terminal(), True)):
        with ProgressBar(stream, quiet=quiet, clock=clock) as bar:
            clock.time += 10
            bar.show(10, 20)
        assert stream.getvalue() == ""


def test_without_an_end_there_is_no_bar() -> None:
    terminal, clock = Terminal(), Clock()
    bar = ProgressBar(terminal, clock=clock)
    clock.time += 2
    bar.show(5_000_000, None)
    assert terminal.getvalue() == "\r\x1b[K5.0 MB  2.5 MB/s"


WIDE = "[######                  ]  25%  3 of 8 messages  2.5 MB of 10.0 MB  250 kB/s  0:30 left"
LINES = {
    200: WIDE,
    89: WIDE,
    88: "[#####                  ]  25%  3 of 8 messages  2.5 MB of 10.0 MB  250 kB/s  0:30 left",
    80: "[###            ]  25%  3 of 8 messages  2.5 MB of 10.0 MB  250 kB/s  0:30 left",
    69: "[#   ]  25%  3 of 8 messages  2.5 MB of 10.0 MB  250 kB/s  0:30 left",
    68: " 25%  3 of 8 messages  2.5 MB of 10.0 MB  250 kB/s  0:30 left",
    60: " 25%  3 of 8 messages  2.5 MB of 10.0 MB  0:30 left",
    40: " 25%  3 of 8 messages  0:30 left",
    20: " 25%  0:30 left",
    10: " 25%",
    4: "",
}


def shown_on_a_terminal_of(columns: int, octets: int, of_octets: int | None, what: str) -> str:
    """What a bar writes to a terminal that is so wide, or does not say how wide it is: 0."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    clock = Clock()
    with os.fdopen(theirs, "w") as stream:
        bar = ProgressBar(stream, clock=clock)
        clock.time += 10
        bar.show(octets, of_octets, what)
        shown = os.read(ours, 1000).decode()
    os.close(ours)
    return shown.removeprefix("\r\x1b[K")


@pytest.mark.parametrize("columns", LINES)
def test_it_fits_the_terminal_that_it_is_shown_on(columns: int) -> None:
    line = shown_on_a_terminal_of(columns, 2_500_000, 10_000_000, "3 of 8 messages")
    assert line == LINES[columns]
    assert len(line) < columns


def test_without_an_end_it_fits_as_well() -> None:
    lines = [shown_on_a_terminal_of(columns, 5_000_000, None, "") for columns in (80, 16, 15, 6)]
    assert lines == ["5.0 MB  500 kB/s", "5.0 MB", "5.0 MB", ""]


def test_a_terminal_that_does_not_say_how_wide_it_is_is_as_wide_as_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for columns in (89, 40):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert shown_on_a_terminal_of(0, 2_500_000, 10_000_000, "3 of 8 messages") == LINES[columns]
