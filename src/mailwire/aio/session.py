"""Session: a machine driven over a stream, with deadlines. What both asyncio clients are built on.

The drive loop is `next_event`: write what may be written, take an event, else wait for bytes.
"""

from typing import Generic, Protocol, TypeVar

from ..endpoint import Endpoint
from ..errors import ConnectionLost, SecurityError
from .deadline import Deadline
from .stream import Stream

__all__ = ["Machine", "Session"]

E_co = TypeVar("E_co", covariant=True)
E = TypeVar("E")


class Machine(Protocol[E_co]):
    """What a session asks of a protocol machine."""

    @property
    def in_flight(self) -> tuple[object, ...]: ...
    def next_event(self) -> E_co | None: ...
    def receive_data(self, data: bytes) -> None: ...
    def receive_eof(self) -> None: ...
    def data_to_send(self) -> list[bytes]: ...
    def tls_established(self) -> None: ...


class Session(Generic[E]):
    """One connection of a client, open or over."""

    def __init__(self, endpoint: Endpoint, machine: Machine[E], stream: Stream) -> None:
        self.endpoint = endpoint
        self.stream = stream
        self._machine = machine

    @classmethod
    async def open(cls, endpoint: Endpoint, machine: Machine[E]) -> "Session[E]":
        """Connect to `endpoint`; TLS is in force afterwards if it is implicit there."""
        if endpoint.is_exposed:
            raise SecurityError(
                f"{endpoint} would carry the password in the clear: use implicit TLS or STARTTLS, or write "
                "allow_cleartext_auth=True if the link is safe all the same"
            )
        return cls(endpoint, machine, await Stream.open(endpoint))

    async def next_event(self, seconds: float | None, phase: str) -> E:
        """Return the next event, waiting for it at most `seconds`. Raises what the machine raises, DeadlineExceeded."""
        async with Deadline(seconds, phase):
            while True:
                self.flush()
                if (event := self.poll()) is not None:
                    return event
                self.flush()  # the machine answers a challenge by itself
                await self.stream.wait()

    def poll(self) -> E | None:
        """Return the next event if what has arrived makes one."""
        event = self._machine.next_event()
        if event is not None:
            return event
        for data in self.stream.take():
            self._machine.receive_data(data)
        if self.stream.is_at_end:
            self._machine.receive_eof()
        try:
            event = self._machine.next_event()
        except ConnectionLost as error:
            raise error from self.stream.error
        if event is None and self.stream.is_at_end:
            raise ConnectionLost("the connection is closed")
        return event

    def flush(self) -> None:
        """Write what the machine lets leave."""
        if blocks := self._machine.data_to_send():
            self.stream.write(blocks)

    async def wait_writable(self) -> bool:
        """Wait until more of a message may be written; False if the peer has said something, or gone, instead."""
        if self.stream.is_writable:
            return True
        async with Deadline(self.endpoint.timeouts.block, "taking in the message"):
            return await self.stream.wait_writable()

    async def start_tls(self) -> None:
        """Make the handshake for which the machine has paused."""
        if self.poll() is not None:
            raise ConnectionLost("the server agreed to begin TLS and closed the connection")
        await self.stream.start_tls(self.endpoint)
        self._machine.tls_established()

    async def close(self) -> None:
        """Close in good order, as far as the peer lets us."""
        await self.stream.close(self.endpoint.timeouts.close)

    def abort(self) -> None:
        """Cut the connection: nothing more can be read from it or written to it."""
        self.stream.abort()
