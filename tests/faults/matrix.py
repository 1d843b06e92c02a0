"""Faults of a connection, twenty-nine of them, each at three places, and how a flow is led through one of them."""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Final

from mailwire import (
    AuthenticationFailed,
    ConnectionFailed,
    ConnectionLost,
    DataRefused,
    DeadlineExceeded,
    Delivery,
    Desynchronised,
    InjectedData,
    MailwireError,
    MessageTruncated,
    RecipientsRefused,
    RemoteProtocolError,
    SecurityError,
    ServiceNotAvailable,
    TLSFailed,
)
from mailwire.testing import (
    Bandwidth,
    BitFlip,
    Coalesced,
    Cut,
    DoubledLine,
    DroppedLine,
    Fault,
    FaultProxy,
    HalfClose,
    Insertion,
    LateEnd,
    Latency,
    MailServer,
    Slices,
    SwappedLines,
    ZeroWindow,
    server_context,
)
from tests.faults.flows import FLOWS, STORED, Flow, Run, committing, judge, make_server, sending_all, sending_by_a_pool
from tests.faults.remains import Remains, leaving_nothing
from tests.time_lapse import TimeLapse
from tests.waiting import loop_class

__all__ = [
    "ERRORS",
    "FATAL",
    "FATAL_TO_TLS",
    "FAULTS",
    "OF_TLS",
    "POSITIONS",
    "Way",
    "is_another",
    "lead",
    "lead_to_swapped_replies",
    "lead_unharmed",
    "may_be_missed",
    "must_fail",
    "way",
]

POSITIONS: Final = range(3)

# As long as this is a record of TLS 1.3 that says nothing but that it was the last.
_CLOSE_NOTIFY: Final = 24

# Longer than all deadlines of a flow together.
_EVER: Final = 50_000


@dataclass(frozen=True)
class Course:
    """How a flow goes where nothing goes wrong: what each side says on its first connection, line by line.

    Under TLS a record is a line.
    """

    client: Sequence[bytes]
    server: Sequence[bytes]
    decisive: int

    def octets(self, position: int, of: str = "server") -> int:
        """A place: in the beginning, in the middle, and inside the line that decides what becomes of it all."""
        lines = self.client if of == "client" else self.server
        size = sum(map(len, lines))
        # The client's last line is QUIT, and decides nothing but in POP3.
        end = size - sum(map(len, lines[-1:])) - 2 if of == "client" else self._line_start(self.decisive) + 2
        return (min(40, size - 1), size // 2, end)[position]

    def line(self, position: int) -> int:
        """The number of a line of the server's, counted by LF."""
        said = b"".join(self.server)
        count = said[: self._line_start(self.decisive)].count(b"\n")
        return (1, max(2, count // 2), max(3, count + 1))[position]

    def line_start(self, position: int) -> int:
        """A place between two lines of the server's."""
        return self._line_start((1, len(self.server) // 2, self.decisive)[position])

    def behind(self, words: bytes) -> int:
        """The place behind the line that begins with `words`; that behind the first line if there is none."""
        said = b"".join(self.server)
        return said.index(b"\n", max(said.find(words), 0)) + 1

    @property
    def end(self) -> int:
        """How many octets of the server's there are."""
        return sum(map(len, self.server))

    def _line_start(self, number: int) -> int:
        return sum(map(len, self.server[:number]))


Choice = Callable[[Course, int, Flow], list[Fault]]


def _yes(flow: Flow) -> bytes:
    return b"+OK\r\n" if flow.protocol == "pop3" else b"250 ok\r\n"


def _closing(flow: Flow) -> bytes:
    return b"-ERR [SYS/TEMP] closing\r\n" if flow.protocol == "pop3" else b"421 4.3.2 closing\r\n"


def _offer(flow: Flow) -> bytes:
    # An answer to EHLO, or to CAPA.
    return b"+OK\r\nSASL PLAIN\r\n.\r\n" if flow.protocol == "pop3" else b"250-localhost\r\n250 AUTH PLAIN\r\n"


def _go_ahead(flow: Flow) -> bytes:
    # What the agreement to TLS begins with.
    return b"+OK Begin" if flow.protocol == "pop3" else b"220 2.0.0"


# What goes wrong on every connection. Those of toxiproxy come first.
FAULTS: Final[Mapping[str, Choice]] = {
    "latency": lambda course, place, flow: [Latency((1, 20, 50)[place]), Latency(1, of="client")],
    "bandwidth": lambda course, place, flow: [Bandwidth((4000, 1500, 700)[place]), Bandwidth(3000, of="client")],
    "slicer": lambda course, place, flow: [Slices((1, 7, 100)[place]), Slices((100, 7, 3)[place], of="client")],
    "slow close": lambda course, place, flow: [LateEnd((2, 50, 1000)[place])],
    "black hole": lambda course, place, flow: [ZeroWindow(course.octets(place), of="server")],
    "reset by the server": lambda course, place, flow: [Cut(course.octets(place), of="server")],
    "limited octets": lambda course, place, flow: [Cut(course.octets(place), of="server", by="FIN")],
    # Nobody listens; or it goes down behind the greeting, and in the middle, and nobody is served any more.
    "down": lambda course, place, flow: [] if place == 0 else [Cut(course.line_start(place - 1))],
    "jitter": lambda course, place, flow: [Latency(0, jitter=(1, 10, 55)[place]), Latency(0, jitter=5, of="client")],
    "half-close of the server": lambda course, place, flow: [HalfClose(course.octets(place))],
    "half-close of the client": lambda course, place, flow: [HalfClose(course.octets(place, "client"), of="client")],
    "FIN": lambda course, place, flow: [Cut(course.octets(place, "client"), of="client", by="FIN")],
    "RST": lambda course, place, flow: [Cut(course.octets(place, "client"), of="client")],
    "zero window": lambda course, place, flow: [ZeroWindow(course.octets(place, "client"))],
    "1 octet/s of the server": lambda course, place, flow: [Bandwidth((1, 2, 5)[place])],
    "1 octet/s of the client": lambda course, place, flow: [Bandwidth((1, 2, 5)[place], of="client")],
    "coalesced": lambda course, place, flow: [Coalesced((0.1, 5, 50)[place]), Coalesced(1, of="client")],
    "insertion": lambda course, place, flow: [Insertion(course.octets(place), b"\0x\xff")],
    "bit flip": lambda course, place, flow: [BitFlip(course.octets(place), bit=(0, 3, 6)[place])],
    "bit flip of the client": lambda course, place, flow: [
        BitFlip(course.octets(place, "client"), bit=(0, 3, 6)[place], of="client")
    ],
    "dropped line": lambda course, place, flow: [DroppedLine(course.line(place))],
    "doubled line": lambda course, place, flow: [DoubledLine(course.line(place))],
    "swapped lines": lambda course, place, flow: [
        # Lines behind which another comes unasked: of the answer to EHLO or CAPA.
        SwappedLines((2, max(4, course.line(1)), 3)[place])
    ],
    "reply before the command": lambda course, place, flow: [Insertion(course.line_start(place), _yes(flow))],
    "stray 421": lambda course, place, flow: [Insertion(course.line_start(place), _closing(flow))],
    "plaintext behind the go-ahead": lambda course, place, flow: [
        Insertion(course.behind(_go_ahead(flow)), (_offer(flow), b"x", b"\x16\x03\x01\r\n")[place])
    ],
    "end without close_notify": lambda course, place, flow: [
        # Where the line that decides is but the end of a message, the line before it is cut.
        HalfClose(course.line_start(2) + (7 if len(course.server[course.decisive]) > 8 else -1, 1, 0)[place]),
    ],
    "withheld close_notify": lambda course, place, flow: [
        # What comes before is not of the same length each time.
        ZeroWindow(course.end - (5, 10, 24)[place], of="server"),
    ],
    "another certificate": lambda course, place, flow: [],
}

# By what errors, and no others, a flow may end through a fault, or a mail of it. Under TLS it may hit the handshake.
_LATE: Final = {DeadlineExceeded}
_BROKEN: Final = {ConnectionLost, MessageTruncated, TLSFailed}
# What is lost or spoilt may be the offer of TLS.
_GARBLED: Final = {RemoteProtocolError, InjectedData, SecurityError, *_LATE, *_BROKEN}
ERRORS: Final[Mapping[str, Set[type[MailwireError]]]] = {
    "latency": _LATE,
    "bandwidth": set(),
    "slicer": set(),
    "slow close": set(),
    "black hole": _LATE,
    "reset by the server": _BROKEN,
    "limited octets": _BROKEN,
    "down": {ConnectionFailed, *_BROKEN},
    "jitter": _LATE,
    "half-close of the server": _BROKEN,
    "half-close of the client": _BROKEN,
    "FIN": _BROKEN,
    "RST": _BROKEN,
    "zero window": _LATE,
    "1 octet/s of the server": _LATE,
    "1 octet/s of the client": _LATE,
    "coalesced": _LATE,
    "insertion": _GARBLED,
    "bit flip": _GARBLED,
    # The server refuses what it does not understand, or understands another name or password.
    "bit flip of the client": {DataRefused, AuthenticationFailed, *_LATE, *_BROKEN},
    "dropped line": {SecurityError, *_LATE, *_BROKEN},
    "doubled line": _GARBLED,
    "swapped lines": _GARBLED,
    "reply before the command": {RemoteProtocolError, InjectedData, AuthenticationFailed, *_BROKEN},
    # It is taken for the answer where one is due.
    "stray 421": {RemoteProtocolError, InjectedData, ServiceNotAvailable, DataRefused, *_BROKEN},
    "plaintext behind the go-ahead": {RemoteProtocolError, InjectedData, *_BROKEN},
    "end without close_notify": {ConnectionLost, MessageTruncated},
    "withheld close_notify": set(),
    "another certificate": {
        *(ConnectionLost, TLSFailed, RemoteProtocolError, RecipientsRefused, AuthenticationFailed),
    },
}
# And by which the answer to QUIT may be missed besides, where it decides: there is no call then that fails.
_DOUBTS: Final[Set[type[MailwireError]]] = {Desynchronised, *_LATE}

# What must end in an error: a connection that ends, or on which nothing comes any more, is missed wherever that is, for
# each place is before the end of what decides; and so is one that is opened to the wrong server, or to none.
FATAL: Final = (
    *("black hole", "reset by the server", "limited octets", "down", "half-close of the server"),
    *("half-close of the client", "FIN", "RST", "zero window", "end without close_notify", "another certificate"),
)
# And where TLS is, or was to be: not one octet can be altered.
FATAL_TO_TLS: Final = ("insertion", "bit flip", "bit flip of the client")
# But of a mail in a run nothing was sent yet, where the server says no word of what decides: it moves, and is taken.
MOVES: Final = {("send_all", "end without close_notify", 2), ("pool", "end without close_notify", 2)}
# Where there is no TLS, these hit what there is in its place, and are other faults; so is the first of them where no
# go-ahead is asked for. Another certificate is another server then, in one way or another.
OF_TLS: Final = (
    *("plaintext behind the go-ahead", "end without close_notify", "withheld close_notify", "another certificate"),
)


def is_another(flow_name: str, fault_name: str) -> bool:
    """Whether a fault of TLS is another under its name in this flow, which has nothing for it to hit."""
    has_go_ahead = FLOWS[flow_name].tls == "starttls"
    return fault_name in OF_TLS and not (has_go_ahead if fault_name == OF_TLS[0] else FLOWS[flow_name].is_encrypted)


def must_fail(flow_name: str, fault_name: str, position: int) -> bool:
    """Whether a fault at this place of a flow must come out as an error."""
    fatal = (*FATAL, *FATAL_TO_TLS) if FLOWS[flow_name].is_encrypted else FATAL
    return fault_name in fatal and (flow_name, fault_name, position) not in MOVES


# The servers that are not the right one: by the certificate; and where none is looked at, one that speaks TLS alone,
# one of another protocol, and one that knows nobody of whom it is told.
_CERTIFICATES: Final = ("other-host", "expired", "self-signed")
_OTHERS: Final = ("of TLS", "of another protocol", "of strangers")
_RIGHT: Final = "the right one"
_NONE: Final = "none"


@dataclass(frozen=True)
class Way:
    """What goes wrong: two ways that are the same are one trial.

    faults: of the first connection, and of the others as well, unless `ends_all`: then those are cut at once.
    server: the one that is led to, by its certificate, or by what else is wrong with it.
    """

    faults: tuple[Fault, ...]
    server: str = _RIGHT
    ends_all: bool = False


def way(flow_name: str, fault_name: str, position: int) -> Way:
    """Return what a fault is in this flow, at this place."""
    flow, course = FLOWS[flow_name], _course(flow_name)
    faults = tuple(FAULTS[fault_name](course, position, flow))
    if fault_name == "another certificate":
        return Way(faults, (_CERTIFICATES if flow.is_encrypted else _OTHERS)[position])
    if fault_name == "down":
        return Way(faults, _RIGHT if faults else _NONE, ends_all=True)
    return Way(faults)


def lead(flow_name: str, fault_name: str, position: int, loop: str = "asyncio") -> None:
    """Lead a flow through a fault, and hold it to what it may not do: hang, leave something behind, or lie.

    loop: in whose loop, "asyncio" or "uvloop".
    """
    wrong = way(flow_name, fault_name, position)
    errors = ERRORS[fault_name]
    if fault_name == "down":
        errors = {ConnectionFailed} if wrong.server == _NONE else _BROKEN
    _run(_Trial(FLOWS[flow_name], wrong, errors, must_fail(flow_name, fault_name, position)), loop)


def lead_unharmed(flow: Flow, loop: str) -> None:
    """Lead `flow` through a proxy that does nothing to it, and hold it to the same."""
    _run(_Trial(flow, Way(()), set(), False), loop)


def lead_to_swapped_replies(flow: Flow, number: int, error: type[MailwireError] | None, loop: str) -> None:
    """Lead `flow` to a server whose reply of this number, counted in lines, comes behind the next one.

    error: by which it must end; None where no mail may fail by it. What is said of the mails must be right
        either way, as if nothing had been altered.
    """
    errors = set() if error is None else {error}
    _run(_Trial(flow, Way((SwappedLines(number),)), errors, error is not None, is_intact=True), loop)


@dataclass(frozen=True)
class _Trial:
    """A flow, and what goes wrong with it.

    errors: by which it may end.
    must_fail: whether it must end by one.
    is_intact: whether what is said must be right, though it was altered on the way.
    """

    flow: Flow
    way: Way
    errors: Set[type[MailwireError]]
    must_fail: bool
    is_intact: bool = False

    @property
    def is_other(self) -> bool:
        """Whether it is another server that is led to."""
        return self.way.server in (*_CERTIFICATES, *_OTHERS)

    def server(self) -> MailServer:
        name = self.way.server if self.way.server in _CERTIFICATES else "localhost"
        speaks_tls = self.way.server == "of TLS"
        context = _context(name) if self.flow.is_encrypted or speaks_tls else None
        return make_server(self.flow, context, implicit=speaks_tls, knows=self.way.server != "of strangers")

    def port(self, server: MailServer) -> int:
        if self.way.server != "of another protocol":
            return self.flow.port(server)
        return server.smtp_port if self.flow.protocol == "pop3" else server.pop3_port

    def choose(self, number: int, _: Random) -> Sequence[Fault]:
        return [Cut(0)] if number and self.way.ends_all else self.way.faults


def _run(trial: _Trial, loop: str) -> None:
    kind, lapse = loop_class(loop), TimeLapse()
    with leaving_nothing(), asyncio.Runner(loop_factory=lambda: lapse.loop(kind)) as runner:
        runner.run(_play(trial))
    assert lapse.faults == []
    assert lapse.ahead < _EVER, "it takes for ever"


async def _play(trial: _Trial) -> None:
    flow, faults, server = trial.flow, trial.way.faults, trial.server()
    is_forged = any(isinstance(fault, _FORGING) for fault in faults)
    is_intact = flow.is_encrypted or trial.is_intact or not is_forged
    async with Remains() as remains, server, FaultProxy(trial.port(server), trial.choose) as proxy:
        if trial.way.server == _NONE:
            await proxy.close()
        run = Run(flow.endpoint(proxy.port))
        try:
            await flow.play(run)
        except MailwireError as error:
            str(error)
            run.errors.append(error)
            is_harmless = bool(faults) and all(isinstance(fault, _HARMLESS) for fault in faults)
            if is_harmless and not isinstance(error, DeadlineExceeded):
                raise AssertionError("nothing was lost or altered, and all came in time") from error
        for _ in range(5):
            await asyncio.sleep(0)
        remains.check()
        # What is on its way arrives, or is lost; the server decides about it. What comes by octets is cut off.
        await asyncio.sleep(60 if any(isinstance(fault, Bandwidth) for fault in faults) else 3000)
        judge(flow, run, server, is_intact=is_intact)
        for failure in run.errors:
            assert type(failure) in trial.errors, f"no error for such a fault: {failure!r}"
        for doubt in run.doubts:
            assert type(doubt) in trial.errors | _DOUBTS, f"no doubt by such a fault: {doubt!r}"
        assert run.errors or run.doubts or not trial.must_fail, "no error came of it"
        if trial.is_other:
            _judge_another_server(trial, run, server)
        # Nobody knows where what is encrypted has its line ends.
        outstanding = [fault for connection in proxy.connections[:1] for fault in connection.outstanding]
        assert flow.is_encrypted or not any(map(_counts_lines, outstanding)), "the fault has not happened"
        assert all(map(_counts_lines, outstanding)), "the fault has not happened"
        assert bool(proxy.connections) is (trial.way.server != _NONE)
        await proxy.close()
    judge(flow, run, server, is_intact=is_intact)


def _judge_another_server(trial: _Trial, run: Run, server: MailServer) -> None:
    # The client has seen it, or nothing at all; and the server has nothing of the client.
    flow, words = trial.flow, {Delivery.NOT_SENT}
    for error in run.errors:
        if flow.is_encrypted:
            assert isinstance(error, TLSFailed)
            assert isinstance(error.__cause__, ssl.SSLCertVerificationError), "the certificate was not looked at"
        elif trial.way.server == "of TLS":
            assert isinstance(error, ConnectionLost)
            assert "TLS from the first byte" in str(error)
        elif trial.way.server == "of another protocol":
            assert isinstance(error, RemoteProtocolError)
        else:
            assert isinstance(error, AuthenticationFailed if flow.auth else RecipientsRefused)
            words = {Delivery.NOT_SENT if flow.auth else Delivery.REFUSED}
    ends_each = flow.play is sending_by_a_pool or (flow.play is sending_all and trial.way.server == "of strangers")
    assert len(run.errors) == (flow.mails if ends_each else 1)
    assert {receipt.delivery for receipt in run.receipts.values()} <= words
    assert not run.got
    assert not run.marked
    there = [message.uid for user in ("b", "c") for message in server.messages(user)]
    assert there == ([*STORED] if flow.protocol == "pop3" else [])


def may_be_missed(flow_name: str, fault_name: str, position: int) -> bool:
    """Whether it is let pass that a fault does not happen: it counts lines, and where TLS hides them, nobody can."""
    flow = FLOWS[flow_name]
    return flow.is_encrypted and any(map(_counts_lines, way(flow_name, fault_name, position).faults))


def _counts_lines(fault: Fault) -> bool:
    return isinstance(fault, (DroppedLine, DoubledLine, SwappedLines))


_HARMLESS: Final = (Latency, Slices, Coalesced)
_FORGING: Final = (BitFlip, Insertion, DroppedLine, DoubledLine, SwappedLines)


@cache
def _context(name: str) -> ssl.SSLContext:
    return server_context(name)


@cache
def _course(flow_name: str) -> Course:
    # By a tap in the place of the proxy. Where TLS encrypts, it is the lengths that matter.
    flow, client, server = FLOWS[flow_name], bytearray(), bytearray()
    connections: list[asyncio.StreamWriter] = []

    async def play() -> None:
        async with make_server(flow, _context("localhost") if flow.is_encrypted else None) as far:

            async def tap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", flow.port(far))
                is_first = not connections
                connections.append(writer)
                await asyncio.gather(
                    _copy(reader, far_writer, client if is_first else bytearray()),
                    _copy(far_reader, writer, server if is_first else bytearray()),
                )

            async with await asyncio.start_server(tap, "127.0.0.1", 0) as listening:
                run = Run(flow.endpoint(listening.sockets[0].getsockname()[1]))
                await flow.play(run)
                await far.wait_idle()
            judge(flow, run, far, is_intact=True)

    with asyncio.Runner() as runner:
        runner.run(play())
    lines = _lines(bytes(server))
    # What is said to QUIT decides where something is deleted; else it is what is said before.
    decisive = max(number for number, line in enumerate(lines) if len(line) != _CLOSE_NOTIFY)
    said = [line for line in _lines(bytes(client)) if len(line) != _CLOSE_NOTIFY or not flow.is_encrypted]
    return Course(said, lines, decisive - (flow.play is not committing))


def _lines(said: bytes) -> list[bytes]:
    lines: list[bytes] = []
    while said:
        is_record = said[0] < 0x20 and said[1:2] == b"\3"
        size = 5 + int.from_bytes(said[3:5], "big") if is_record else said.index(b"\n") + 1
        lines.append(said[:size])
        said = said[size:]
    return lines


async def _copy(source: asyncio.StreamReader, goal: asyncio.StreamWriter, record: bytearray) -> None:
    while data := await source.read(65536):
        record += data
        goal.write(data)
    goal.close()
