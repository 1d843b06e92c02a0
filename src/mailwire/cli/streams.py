"""Streams: standard output and error, in whatever state a command was given them.

A mail that was accepted stays accepted where the disk is full that takes the receipt. So what cannot be written is no
error where it is written: it is remembered, and the program tells of it at its end.
"""

import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

__all__ = ["Stream", "is_read", "standard_streams"]


class Stream(io.TextIOWrapper):
    """A text stream to where `stream` goes, past its buffers; None stands for one that was closed, and takes anything.

    What the encoding does not have is written as backslash escapes.
    """

    def __init__(self, stream: io.TextIOWrapper | None) -> None:
        self._octets = _Octets(stream)
        encoding = "utf-8" if stream is None else stream.encoding
        super().__init__(self._octets, encoding=encoding, errors="backslashreplace", write_through=True)

    @property
    def error(self) -> OSError | None:
        """What has failed first; None if nothing has."""
        return self._octets.error


@contextmanager
def standard_streams() -> Iterator[tuple[Stream, ...]]:
    """Put such streams in the places of standard output and error, for as long as the context lasts, and yield them.

    One that is no file, an io.StringIO say, is left where it is.
    """
    before = (sys.stdout, sys.stderr)
    with ExitStack() as taken:
        # The numbers of those that are closed must not go to a connection or to a file of ours: whatever is written to
        # standard error by a number would go there. The next file opened has the lowest number that is free.
        for stream in (sys.stdin, *before):
            if stream is None:
                number = os.open(os.devnull, os.O_RDWR)
                os.set_inheritable(number, True)  # as those three are
                taken.callback(os.close, number)
        streams = [_stream(stream) for stream in before]
        sys.stdout, sys.stderr = streams
        try:
            yield tuple(stream for stream in streams if isinstance(stream, Stream))
        finally:
            sys.stdout, sys.stderr = before


def is_read() -> bool:
    """Whether there is somebody still who reads what is written, as far as is known."""
    return not any(
        isinstance(stream, Stream) and isinstance(stream.error, BrokenPipeError) for stream in (sys.stdout, sys.stderr)
    )


def _stream(stream: Any) -> Any:
    if stream is None:
        return Stream(None)
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.flush()
    return Stream(stream)


class _Octets(io.RawIOBase):
    # Nothing waits in a buffer: what cannot be written would be tried again, and fail again, when the interpreter ends.

    name = "octets"

    def __init__(self, stream: io.TextIOWrapper | None) -> None:
        self.error: OSError | None = None
        self._stream = stream
        self._file: Any = None if stream is None else getattr(stream.buffer, "raw", stream.buffer)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        if self._stream is None:
            raise io.UnsupportedOperation("the stream was closed")
        return self._stream.fileno()

    def write(self, octets: Any) -> int:
        left = memoryview(octets)
        size = len(left)
        try:
            while left and self._file is not None:
                if written := self._file.write(left):
                    left = left[written:]
                else:
                    # Whoever shares it has made it one that does not wait.
                    select.select((), (self._file,), ())
        except OSError as error:
            self.error = self.error or error
        return size
