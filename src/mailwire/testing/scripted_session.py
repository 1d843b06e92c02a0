"""ScriptedSession: a server that says what a script says, without any I/O: for machines, simulators and other loops."""

from collections.abc import Generator, Iterator
from typing import TypeAlias

from ..errors import LocalProtocolError
from .script import (
    Answers,
    Beneath,
    Endless,
    Hear,
    Mark,
    Slow,
    Step,
    Tls,
    check_line,
    check_script,
    decode_line,
    encode_line,
    find_mail_end,
    hello_size,
    place_in,
    shorten,
    spoken,
)

__all__ = ["ScriptedSession"]

# A step under way: it yields where it needs more from the client.
_Going: TypeAlias = Generator[None, None, None]


class ScriptedSession:
    """The server's side of one connection, played from a script as a `ScriptedPeer` plays it, but bytes in, bytes out.

    ::

        session = ScriptedSession("S: 220 hi", "C: QUIT", "S: 221 bye", FIN)
        assert session.data_to_send() == [b"220 hi\\r\\n"]
        session.receive_data(b"QUIT\\r\\n")
        assert session.data_to_send() == [b"221 bye\\r\\n"]
        assert session.ending is FIN

    In the beginning, and behind each piece that arrives, write what `data_to_send` returns: each piece is a packet.
    Where `wants_tls` then, make a handshake with the certificate of that name, and call `tls_established`; what the
    client says here in between is no handshake, and fails. Where there is an `ending` then, close as it says. Time is
    the caller's: a `Slow` step comes as a packet for each octet, and STALL and WITHHOLD do nothing. What the client
    says and no step foresees raises AssertionError, as it fails a test with a `ScriptedPeer`.

    heard: what the client said.
    ending: how the server ends the connection, by CLOSE, FIN, RST or ALERT; None while it does not.
    wants_tls: the name of the certificate for the handshake that is due; None where none is.
    step: the one that waits for the client, for TLS, or for `go_on`; None behind the last.

    Raises ValueError for what is no step.
    """

    def __init__(self, *script: Step) -> None:
        check_script(script)
        self.heard: bytearray = bytearray()
        self.ending: Mark | None = None
        self.wants_tls: str | None = None
        self.step: Step | None = None
        self._script = script
        self._number: int | None = None  # of the step
        self._unread = bytearray()
        self._packets: list[bytes] = []
        self._spoken: Iterator[bytes] = iter(())  # what is said without end
        self._reads = True
        self._waits = False
        self._is_at_end = False
        self._playing = self._play()
        self._go_on()

    # Receiving

    def receive_data(self, data: bytes) -> None:
        """Take what the client says. Raises AssertionError for what no step foresees."""
        self.heard += data
        if self._reads:
            self._unread += data
            self._go_on()

    def receive_eof(self) -> None:
        """Take note that the client has closed. Raises AssertionError if a step still wants something of it."""
        self._spoken = iter(())
        if self._reads:
            self._is_at_end = True
            self._go_on()

    def tls_established(self) -> None:
        """Go on under TLS. Raises LocalProtocolError unless a handshake is due."""
        if self.wants_tls is None:
            raise LocalProtocolError("no step of the script wants a handshake now")
        self.wants_tls = None
        self._go_on()

    def go_on(self) -> None:
        """Let a session go on that does WAIT; another one does not care."""
        self._waits = False
        self._go_on()

    # Taking bytes

    def data_to_send(self) -> list[bytes]:
        """Return what is to be written now, packet by packet; of what is said without end, a piece with each call."""
        packets, self._packets = self._packets, []
        return [packet for packet in (*packets, next(self._spoken, b"")) if packet]

    # Private

    def _go_on(self) -> None:
        next(self._playing, None)

    def _play(self) -> _Going:
        is_apart = True
        for number, step in enumerate(self._script, 1):
            self._number, self.step = number, step
            said = _said(step)
            if said is None:
                yield from self._take(step)
            elif is_apart:
                self._packets.append(said)
            else:
                self._packets[-1] += said
            is_apart = said is None
        self._number = self.step = None
        while self.ending not in (Mark.RST, Mark.ALERT):
            if self._unread:
                raise AssertionError(f"beyond the end of the script the client said {shorten(self._unread)}")
            yield

    def _take(self, step: Step) -> _Going:
        match step:
            case str():
                while (line := (yield from self._next_line())) is None:
                    yield from self._wait()
                check_line(line, step.removeprefix("C: "))
            case Hear():
                step.check((yield from self._hear(step.size)))
            case Beneath():
                self._packets.append(step.octets)
            case Tls():
                self.wants_tls = step.name
                while self.wants_tls is not None:
                    if self._unread:
                        raise AssertionError(f"expected a handshake, the client said {shorten(self._unread)}")
                    yield from self._wait()
            case Answers():
                yield from self._answer(step)
            case Slow(said=str() | bytes()):
                self._packets += spoken(step, 1)
            case Slow() | Endless():
                self._spoken = spoken(step, 1)
                while not self._is_at_end:
                    yield
            case bytes():
                raise AssertionError("what is said takes nothing of the client")
            case _:
                yield from self._mark(step)

    def _mark(self, mark: Mark) -> _Going:
        match mark:
            case Mark.MAIL_DATA:
                known = 0
                while (end := find_mail_end(self._unread, known)) is None:
                    known = len(self._unread)
                    yield from self._wait()
                self._taken(end)
            case Mark.CLIENT_HELLO:
                while len(self._unread) < hello_size(self._unread):
                    yield from self._wait()
                self._taken(hello_size(self._unread))
            case Mark.LISTEN:
                self._unread.clear()
                while not self._is_at_end:
                    yield
                    self._unread.clear()
            case Mark.WAIT:
                self._waits = True
                while self._waits:
                    yield
            case Mark.CLOSE | Mark.FIN | Mark.RST | Mark.ALERT:
                self.ending = mark
            case Mark.NO_READING:
                self._reads = False
                self._unread.clear()  # what came along with what was heard before, is not heard either

    def _answer(self, step: Answers) -> _Going:
        line = ""
        while not step.ends_with(line):
            said = yield from self._next_line()
            if said is None:
                return
            line = said
            for each in step.steps(line):
                if isinstance(each, bytes):
                    self._packets.append(each)
                else:
                    yield from self._take(each)

    def _next_line(self) -> Generator[None, None, str | None]:
        # None where the client closes before its end.
        known = 0
        while (end := self._unread.find(b"\n", known)) < 0:
            if self._is_at_end:
                return None
            known = len(self._unread)
            yield
        return decode_line(self._taken(end + 1))

    def _hear(self, size: int) -> Generator[None, None, bytes]:
        while len(self._unread) < size:
            yield from self._wait()
        return self._taken(size)

    def _wait(self) -> _Going:
        # For something that the client owes.
        if self._is_at_end and self._reads:
            place = place_in(self._script, self._number)
            raise AssertionError(f"the client closed {place}, having said {shorten(self._unread)}")
        yield

    def _taken(self, size: int) -> bytes:
        taken = bytes(self._unread[:size])
        del self._unread[:size]
        return taken


def _said(step: Step) -> bytes | None:
    if isinstance(step, bytes):
        return step
    return encode_line(step) if isinstance(step, str) and step.startswith("S: ") else None
