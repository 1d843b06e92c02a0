"""Standard output and error in the states in which a job may find them."""

import argparse
import io
import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

import pytest

from mailwire.cli import check, main, send
from mailwire.cli.streams import Stream, is_read, standard_streams


def full() -> TextIO:
    return open("/dev/full", "w", encoding="utf-8")


def abandoned() -> TextIO:
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "w", encoding="utf-8")


def closed() -> None:
    return None


def memory(encoding: str = "utf-8") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding)


def contents(stream: TextIO | None) -> bytes:
    """Return what was written, where that is in memory."""
    return stream.buffer.getvalue() if stream is not None and isinstance(stream.buffer, io.BytesIO) else b""


def run(
    command: str, status: int, out: TextIO | None, err: TextIO | None, monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str]:
    """Run a command that prints something and ends by `status`; return what the program ends by, and what it says."""

    def perform(_: argparse.Namespace) -> int:
        print("what it has found out")
        print("what it says of that", file=sys.stderr)
        return status

    monkeypatch.setattr(send if command == "send" else check, "perform", perform)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    try:
        ended = main([command, "smtp://localhost"])
        assert (sys.stdout, sys.stderr) == (out, err)
    finally:
        monkeypatch.undo()
    said = contents(err).decode()
    for stream in (out, err):
        if stream is not None:
            stream.close()  # nothing is left in it that would fail again
    return ended, said


SAID = "what it says of that\n"
NOT_ALL = f"{SAID}mailwire: not all could be written: No space left on device\n"


@pytest.mark.parametrize(("out", "ends_by", "said"), [(full, 74, NOT_ALL), (abandoned, 141, SAID), (closed, 0, SAID)])
def test_what_cannot_be_written_is_told_by_the_status_but_not_of_a_mail_that_was_accepted(
    out: Callable[[], TextIO | None], ends_by: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("check", 0, out(), memory(), monkeypatch) == (ends_by, said)
    assert run("send", 0, out(), memory(), monkeypatch) == (0, said)
    for command in ("check", "send"):
        # What is told of a failure stays.
        assert run(command, 75, out(), memory(), monkeypatch) == (75, said)
        assert run(command, 75, memory(), out(), monkeypatch) == (75, "")
    assert run("check", 0, memory(), out(), monkeypatch) == (ends_by, "")
    assert run("send", 0, out(), out(), monkeypatch) == (0, "")


def test_help_that_cannot_be_written_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with full() as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["--help"]) == 74


def test_what_the_encoding_does_not_have_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = memory("ascii"), memory("latin-1")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    out.write("before, ")
    with standard_streams():
        print("Grüße \N{SNOWMAN} caf\udce9")
        print("Grüße \N{SNOWMAN}", file=sys.stderr)
    assert contents(out) == b"before, Gr\\xfc\\xdfe \\u2603 caf\\udce9\n"
    assert contents(err) == b"Gr\xfc\xdfe \\u2603\n"


def test_what_is_no_file_stays_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    with standard_streams() as streams:
        assert sys.stdout is stream
        assert len(streams) == 1
        assert is_read()


def test_a_stream_is_a_terminal_where_the_one_beneath_it_is() -> None:
    reading, writing = os.openpty()
    with open(writing, "w", encoding="utf-8") as terminal:
        assert Stream(terminal).isatty()
        assert Stream(terminal).fileno() == writing
    os.close(reading)
    assert not Stream(None).isatty()
    with pytest.raises(OSError, match="closed"):
        Stream(None).fileno()


def test_the_numbers_of_closed_streams_go_to_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    free = [os.dup(0) for _ in range(3)]  # the lowest that are
    for number in free:
        os.close(number)
    with standard_streams():
        print("to nobody")
        assert [os.get_inheritable(number) for number in free] == [True] * 3
        assert all(os.path.samestat(os.fstat(number), os.stat(os.devnull)) for number in free)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(free[0])


def test_a_pipe_that_does_not_wait_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with open(reading, "rb") as source, open(writing, "w", encoding="utf-8") as pipe:
        size = 0
        with suppress(BlockingIOError):
            while True:
                size += os.write(writing, b"x" * 4096)
        read: list[bytes] = []

        def drain(*_: object) -> None:
            read.append(os.read(reading, size))

        monkeypatch.setattr(select, "select", drain)
        stream = Stream(pipe)
        print("behind it", file=stream)
        assert (b"".join(read), os.read(reading, size)) == (b"x" * size, b"behind it\n")
        assert stream.error is None
        assert source.readable()
