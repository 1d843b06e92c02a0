"""How much of a line whose end has not come is held by the clients that are at work meanwhile.

What counts is what the event loop has handed to a stream, from then on until something was made of it: while it lies
there, and while the machine keeps it that has taken it. What lies in the buffers of the system, and of the event loop's
TLS before it is deciphered, does not.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from mailwire.aio.stream import Stream

__all__ = ["Held"]


class Held:
    """most: the most octets of such a line that were held at a time while it was `watched`."""

    def __init__(self) -> None:
        self.most = 0
        self._of_line: Counter[Stream] = Counter()  # what has come behind the last line end
        self._not_taken: Counter[Stream] = Counter()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch every stream meanwhile."""
        get_buffer, buffer_updated, take = Stream.get_buffer, Stream.buffer_updated, Stream.take
        watching = self

        def read(stream: Stream, nbytes: int) -> None:
            watching._read(stream, bytes(get_buffer(stream, -1)[:nbytes]))
            buffer_updated(stream, nbytes)

        def taken(stream: Stream) -> list[bytes]:
            data = take(stream)
            # Streams may have read ahead before a client had them.
            watching._not_taken[stream] = max(watching._not_taken[stream] - sum(map(len, data)), 0)
            return data

        Stream.buffer_updated, Stream.take = read, taken  # type: ignore[assignment, method-assign]
        try:
            yield
        finally:
            Stream.buffer_updated, Stream.take = buffer_updated, take  # type: ignore[method-assign]

    def _read(self, stream: Stream, data: bytes) -> None:
        _, line_end, line = data.rpartition(b"\n")
        self._of_line[stream] = len(line) if line_end else self._of_line[stream] + len(data)
        self._not_taken[stream] += len(data)
        self.most = max(self.most, min(self._of_line[stream], self._not_taken[stream] + stream.kept()))
