"""A server for any client: it does its best, but for what a case has it say and do instead.

It runs in threads of its own, over loopback sockets, and lets every client be as it likes: a script that expects
certain words, as `ScriptedPeer` plays it, would be fair to one client alone.
"""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from mailwire.testing import server_context

__all__ = ["END", "Endless", "Numbered", "Pause", "Plan", "Record", "Steps", "Trickle", "serving"]

# Octets of what has no end. A client that holds on to it is told by then.
END = 64 * 1024 * 1024
_PAUSE = 0.25
# Octets of a message behind which a server answers that does not wait for its end.
_MIDDLE = 64 * 1024
# Octets of a segment where buffers are to be small: what a system gives a connection depends on it.
_SEGMENT = 536


@dataclass(frozen=True)
class Endless:
    """Octets that are said again and again, as fast as they are taken."""

    octets: bytes


@dataclass(frozen=True)
class Trickle:
    """Octets that are said again and again, one each quarter of a second."""

    octets: bytes


@dataclass(frozen=True)
class Numbered:
    """So many lines, each with its number in the place of the %d, or %020d."""

    line: bytes
    count: int


@dataclass(frozen=True)
class Pause:
    """So many seconds without an octet; what is said before them leaves by itself."""

    seconds: float = 0.05


Step: TypeAlias = str | bytes | Endless | Trickle | Numbered | Pause | Literal["FIN", "RST", "STALL"]
"""A line, octets, or what is done. FIN and RST close the connection; STALL hears, and says no more."""
Steps: TypeAlias = tuple[Step, ...]


@dataclass(frozen=True)
class Plan:
    """What a server does otherwise, by the command that it answers with that: "EHLO", "RETR 2", "QUIT".

    "GREETING" is for the connection, "DOT" for the end of a message and "MIDDLE" for 64 KiB of one, "BDAT 2" for the
    second chunk, "OTHER" for what is no command.

    tls: the certificate to show behind STARTTLS or STLS; "" to offer neither.
    offers: what EHLO or CAPA offers besides; offers_in_clear: what EHLO offers before TLS alone, with SIZE behind it in
        no case.
    mechanisms: those of SASL that SMTP offers.
    bare_lf: every line ends in LF alone.
    verbosity: octets of text in the replies to MAIL and RCPT.
    buffer_size: of the sockets, in octets; 0 for what the system gives.
    messages: what is in the maildrop; uids: their unique ids.
    """

    protocol: Literal["smtp", "pop3"]
    on: Mapping[str, Steps | Callable[[str], Steps]] = field(default_factory=dict)
    tls: str = ""
    offers: tuple[str, ...] = ()
    offers_in_clear: tuple[str, ...] = ()
    mechanisms: tuple[str, ...] = ()
    bare_lf: bool = False
    verbosity: int = 0
    buffer_size: int = 0
    messages: tuple[bytes, ...] = ()
    uids: tuple[str, ...] = ()


@dataclass
class Record:
    """What happened: the commands that were said, and their lines; each message that was taken, and for whom; what was
    deleted."""

    said: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    stored: list[tuple[tuple[str, ...], bytes]] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)


class _Over(Exception):
    pass


class _Talk:
    # One connection.

    def __init__(self, link: socket.socket, plan: Plan, record: Record) -> None:
        self.link = link
        self.plan = plan
        self.record = record
        self._arrived = b""
        self.is_tls = False

    def line(self) -> bytes:
        while b"\n" not in self._arrived:
            data = self.link.recv(65536)
            if not data:
                raise _Over
            self._arrived += data
        line, _, self._arrived = self._arrived.partition(b"\n")
        return line.removesuffix(b"\r")

    def command(self) -> tuple[str, str]:
        """Hear a line, and return its verb in capitals and what follows."""
        line = self.line().decode("latin-1")
        verb, _, argument = line.partition(" ")
        self.record.said.append(verb.upper())
        self.record.lines.append(line)
        return verb.upper(), argument

    def octets(self, count: int) -> bytes:
        while len(self._arrived) < count:
            data = self.link.recv(65536)
            if not data:
                raise _Over
            self._arrived += data
        octets, self._arrived = self._arrived[:count], self._arrived[count:]
        return octets

    def say(self, text: str | bytes) -> None:
        octets = text if isinstance(text, bytes) else f"{text}\r\n".encode()
        self.link.sendall(octets.replace(b"\r\n", b"\n") if self.plan.bare_lf else octets)

    def play(self, steps: Steps) -> None:
        for step in steps:
            match step:
                case "FIN":
                    raise _Over
                case "RST":
                    self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    raise _Over
                case "STALL":
                    while self.link.recv(65536):
                        pass
                    raise _Over
                case Endless(octets):
                    block = octets * (65536 // len(octets))
                    for _ in range(END // len(block)):
                        self.link.sendall(block)
                    self.play(("STALL",))
                case Trickle(octets):
                    for octet in iter(lambda: octets, b""):
                        for place in range(len(octet)):
                            self.link.sendall(octet[place : place + 1])
                            threading.Event().wait(_PAUSE)
                case Numbered(line, count):
                    for begin in range(1, count + 1, 1000):
                        numbers = range(begin, min(begin + 1000, count + 1))
                        self.link.sendall(b"".join(line % ((number,) * line.count(b"%")) for number in numbers))
                case Pause(seconds):
                    threading.Event().wait(seconds)
                case _:
                    self.say(step)

    def answer(self, command: str, default: Steps, argument: str = "") -> bool:
        """Say what the plan has for this command, or else `default`, and return whether it was that."""
        steps = self.plan.on.get(f"{command} {argument}", self.plan.on.get(command))
        self.play(default if steps is None else steps(argument) if callable(steps) else steps)
        return steps is None

    def begin_tls(self) -> None:
        self.link = server_context(self.plan.tls).wrap_socket(self.link, server_side=True)
        self.is_tls = True

    def leave(self, command: str, reply: str) -> None:
        self.answer(command, (reply,))
        if isinstance(self.link, ssl.SSLSocket):
            self.link.unwrap()
        raise _Over


def _serve_smtp(talk: _Talk) -> None:
    plan, recipients, chunks = talk.plan, list[str](), list[bytes]()
    talk.answer("GREETING", ("220 mx",))
    while True:
        verb, argument = talk.command()
        match verb:
            case "EHLO":
                talk.answer("EHLO", _offers(talk))
            case "STARTTLS":
                if talk.answer("STARTTLS", ("220 go",)):
                    talk.begin_tls()
            case "AUTH":
                talk.answer("AUTH", ("235 ok",))
            case "MAIL":
                recipients.clear()
                chunks.clear()
                talk.answer("MAIL", (f"250 ok{'!' * plan.verbosity}",), argument)
            case "RCPT":
                address = argument.partition("<")[2].partition(">")[0]
                if talk.answer("RCPT", (f"250 ok{'!' * plan.verbosity}",), address):
                    recipients.append(address)
            case "DATA":
                if talk.answer("DATA", ("354 go",)):
                    message = _read_message(talk)
                    talk.record.stored.append((tuple(recipients), message))
                    talk.answer("DOT", ("250 ok",))
            case "BDAT":
                size, _, last = argument.partition(" ")
                chunks.append(talk.octets(int(size)))
                if talk.answer("BDAT", ("250 ok",), str(len(chunks))) and last:
                    talk.record.stored.append((tuple(recipients), b"".join(chunks)))
            case "QUIT":
                talk.leave("QUIT", "221 bye")
            case "HELO" | "RSET" | "NOOP":
                talk.answer(verb, ("250 ok",))
            case _:
                talk.answer("OTHER", ("502 no",))


def _offers(talk: _Talk) -> Steps:
    plan = talk.plan
    offers = ["mx", "8BITMIME", *plan.offers]
    offers += ["STARTTLS"] if plan.tls and not talk.is_tls else []
    offers += [f"AUTH {' '.join(plan.mechanisms)}"] if plan.mechanisms else []
    if not talk.is_tls:
        offers += plan.offers_in_clear
    if not plan.offers_in_clear:
        offers.append("SIZE 100000000")
    return (*(f"250-{offer}" for offer in offers[:-1]), f"250 {offers[-1]}")


def _read_message(talk: _Talk) -> bytes:
    lines, size = list[bytes](), 0
    while (line := talk.line()) != b".":
        lines.append(line.removeprefix(b".") if line.startswith(b".") else line)
        size += len(line) + 2
        if size >= _MIDDLE and "MIDDLE" in talk.plan.on:
            talk.answer("MIDDLE", ())
    return b"".join(line + b"\r\n" for line in lines)


def _serve_pop3(talk: _Talk) -> None:
    plan, marked = talk.plan, list[int]()
    sizes = [f"{number} {len(message)}" for number, message in enumerate(plan.messages, 1)]
    names = plan.uids or tuple(f"uid{number}" for number, _ in enumerate(plan.messages, 1))
    uids = [f"{number} {name}" for number, name in enumerate(names, 1)]
    talk.answer("GREETING", ("+OK pop",))
    while True:
        verb, argument = talk.command()
        first, _, _ = argument.partition(" ")
        number = int(first) if first.isdecimal() and len(first) < 10 else 0
        known = 0 < number <= len(plan.messages)
        match verb:
            case "CAPA":
                offers = ("STLS",) if plan.tls and not talk.is_tls else ()
                talk.answer("CAPA", ("+OK", "USER", "UIDL", "TOP", *plan.offers, *offers, "."))
            case "STLS":
                if talk.answer("STLS", ("+OK go",)):
                    talk.begin_tls()
            case "STAT":
                talk.answer("STAT", (f"+OK {len(plan.messages)} {sum(map(len, plan.messages))}",))
            case "LIST" | "UIDL":
                listing = sizes if verb == "LIST" else uids
                one = (f"+OK {listing[number - 1]}",) if known else ("-ERR no",)
                talk.answer(verb, one if argument else ("+OK", *listing, "."), argument)
            case "RETR" | "TOP":
                talk.answer(verb, ("+OK", _stuffed(plan.messages[number - 1])) if known else ("-ERR no",), str(number))
            case "DELE":
                if talk.answer("DELE", ("+OK",) if known else ("-ERR no",), argument) and known:
                    marked.append(number)
            case "QUIT":
                if "QUIT" not in plan.on:
                    talk.record.deleted += marked
                talk.leave("QUIT", "+OK bye")
            case _:
                talk.answer(verb, ("+OK",) if verb in ("USER", "PASS", "NOOP", "RSET") else ("-ERR no",), argument)


def _stuffed(message: bytes) -> bytes:
    lines = message.split(b"\r\n")[:-1]
    return b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines) + b".\r\n"


@contextmanager
def serving(plan: Plan, port: int = 0) -> Iterator[tuple[int, Record]]:
    """Serve as many connections as come, on a port of the loopback interface, and take down what happens."""
    record, links = Record(), list[socket.socket]()
    with socket.create_server(("127.0.0.1", port)) as listener:
        if plan.buffer_size:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                listener.setsockopt(socket.SOL_SOCKET, option, plan.buffer_size)
        accepting = threading.Thread(target=_accept, args=(listener, plan, record, links))
        accepting.start()
        try:
            yield listener.getsockname()[1], record
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for link in links:
                with suppress(OSError):
                    link.shutdown(socket.SHUT_RDWR)
            accepting.join()


def _accept(listener: socket.socket, plan: Plan, record: Record, links: list[socket.socket]) -> None:
    threads = list[threading.Thread]()
    while True:
        try:
            link, _ = listener.accept()
        except OSError:
            break
        links.append(link)
        threads.append(threading.Thread(target=_serve, args=(link, plan, record)))
        threads[-1].start()
    for thread in threads:
        thread.join()


def _serve(link: socket.socket, plan: Plan, record: Record) -> None:
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    talk = _Talk(link, plan, record)
    with suppress(_Over, OSError):
        (_serve_smtp if plan.protocol == "smtp" else _serve_pop3)(talk)
    with suppress(OSError):
        talk.link.close()
