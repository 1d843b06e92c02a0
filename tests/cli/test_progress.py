import io

from mailwire.cli.progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_a_bar_shows_what_is_done_the_rate_and_the_time_left() -> None:
    terminal, clock = Terminal(), Clock()
    with ProgressBar(terminal, clock=clock) as bar:
        clock.time += 10
        bar.show(2_500_000, 10_000_000, "3 of 8 messages  ")
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
