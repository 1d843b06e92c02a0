"""The window, kept to on the wire: a client never has more unanswered than it may.

It is seen from the octets of both sides, in the order in which they pass, by rules that share nothing with mailwire: a
command is a line that is none of a message, of a chunk or of an answer to a challenge; a reply answers the oldest
command. Where PIPELINING is not announced, the window is one command.
"""

import re
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from typing import Final

__all__ = ["POP3_WINDOW", "SMTP_WINDOW", "POP3Dialogue", "SMTPDialogue", "WatchedDialogue"]

SMTP_WINDOW: Final = 128, 8192
"""What clients may have unanswered if nothing else is said: so many commands, and so many octets of them..."""
POP3_WINDOW: Final = 100, 4 * 1024 * 1024
"""...and of the messages that are asked for."""


_HANDSHAKE: Final = b"\x16\x03"
# Octets of a line, or of a listing, that are looked at; whoever says more achieves nothing by it.
_LOOKED_AT: Final = 64 * 1024
_CODE: Final = re.compile(rb"[2-5][0-9][0-9](?:[ -]|\r?$)")
_BODY_END: Final = re.compile(rb"\n\.\r?\n")
_SIZE: Final = re.compile(rb"^([0-9]{1,9}) ([0-9]{1,9})\r?$", re.MULTILINE)
# RFC 2920 3.1: these may stand anywhere in a group; what may only be its last, or is not told of, is waited for.
_GROUPED: Final = frozenset({b"MAIL", b"RCPT", b"RSET", b"BDAT", b"."})
# A chunk's octets weigh as one of so many of commands: a refusal is all that the window spares them.
_CHUNK_WEIGHT: Final = 128


@dataclass
class _Said:
    verb: bytes
    argument: bytes = b""
    octets: int = 0
    answers: int = 0  # that have come, where there are several


class WatchedDialogue(ABC):
    """The dialogue of one connection, watched as its octets pass.

    commands, octets: how much may be unanswered where the server announces PIPELINING.
    most: how many commands were unanswered at a time, at most.
    fault: what was raised first. Who raises it may be a transport, which tells nobody.
    """

    def __init__(self, commands: int, octets: int) -> None:
        self.most = 0
        self.fault: AssertionError | None = None
        self._commands, self._octets = commands, octets
        self._is_wide = False
        self._in_flight = deque([_Said(b"greeting")])
        self._early: deque[bytes] = deque()  # answers to what was not heard yet
        self._is_over = False  # what passes now is no dialogue
        self._challenges = 0
        self._said = b""  # by the server, no whole line yet
        self._heard = bytearray()

    def say(self, octets: bytes) -> None:
        """Take what the server says."""
        while octets and not self._is_over:
            octets = self._take_said(octets)

    def hear(self, octets: bytes) -> None:
        """Take what the client says. Raises AssertionError where it must have waited."""
        self._heard += octets
        place = 0
        try:
            while not self._is_over and (end := self._take_heard(place)):
                place = end
        except AssertionError as fault:
            self.fault = self.fault or fault
            raise
        del self._heard[: len(self._heard) if self._is_over else place]

    def _take_line(self, octets: bytes) -> tuple[bytes | None, bytes]:
        # The next whole line of the server's, with its end, and the rest.
        line, end, rest = octets.partition(b"\n")
        self._said = (self._said + line + end)[:_LOOKED_AT]
        if not end:
            return None, b""
        line, self._said = self._said, b""
        return line, rest

    def _take_command(self, place: int) -> int:
        # The client's next line; behind it, or 0.
        if self._heard.startswith(_HANDSHAKE, place):
            self._is_over = True
            return 0
        end = self._heard.find(b"\r\n", place) + 2
        if end < 2:
            return 0
        line = bytes(self._heard[place:end])
        if self._in_flight and self._in_flight[-1].verb == b"AUTH" and self._challenges:
            self._challenges -= 1
            return end
        verb, _, argument = line[:-2].partition(b" ")
        self._add(_Said(verb.upper(), argument, len(line)))
        return end

    def _add(self, said: _Said) -> None:
        in_flight = self._in_flight
        self._weigh(said)
        if in_flight:
            behind = in_flight[-1].verb
            assert self._may_follow(behind), f"{said} was said before the reply to {behind!r}"
            counted = [*filter(self._counts, [*in_flight, said])]
            assert len(counted) <= (self._commands if self._is_wide else 1), f"{len(counted)} commands are unanswered"
            octets = sum(each.octets for each in counted)
            assert octets <= self._octets, f"{octets} octets are unanswered"
        in_flight.append(said)
        self.most = max(self.most, len(in_flight))
        while in_flight and self._early:
            self._answer(self._early.popleft())

    def _counts(self, _: _Said) -> bool:
        return True

    def _answer(self, reply: bytes) -> None:
        # A reply, or the first line of it, answers the oldest command.
        if not self._in_flight:
            self._early.append(reply)
        elif self._answered(self._in_flight[0], reply):
            self._in_flight.popleft()

    @abstractmethod
    def _take_said(self, octets: bytes) -> bytes:
        """Take one thing that the server says; return the rest."""

    @abstractmethod
    def _take_heard(self, place: int) -> int:
        """Take one thing that the client says, from `place` on; return the place behind it, 0 if it is not whole."""

    @abstractmethod
    def _weigh(self, said: _Said) -> None:
        """Set the octets that it takes of the window."""

    @abstractmethod
    def _may_follow(self, verb: bytes) -> bool:
        """Whether anything may be said before the reply to this."""

    @abstractmethod
    def _answered(self, said: _Said, reply: bytes) -> bool:
        """Take a reply to what was said; return whether it was the last one."""


class SMTPDialogue(WatchedDialogue):
    """The same in SMTP, or in LMTP. Of the octets, those of commands count."""

    def __init__(self, commands: int, octets: int, *, lmtp: bool = False) -> None:
        super().__init__(commands, octets)
        self._is_lmtp = lmtp
        self._reply: list[bytes] = []
        self._in_text = self._begins_text = False
        self._chunk = 0  # octets of it that are to come
        self._standing = 0  # recipients of the present mail
        self._is_spoiled = False

    def _take_said(self, octets: bytes) -> bytes:
        line, rest = self._take_line(octets)
        if line is not None:
            if not _CODE.match(line):
                self._is_over = True  # there is nothing more to answer
                return b""
            self._reply.append(line)
            if line[3:4] != b"-":
                reply, self._reply = b"".join(self._reply), []
                self._answer(reply)
            elif len(self._reply) > 1000:
                self._is_over = True
        return rest

    def _take_heard(self, place: int) -> int:
        heard = self._heard
        if self._chunk:
            skipped = min(self._chunk, len(heard) - place)
            self._chunk -= skipped
            return place + skipped if skipped else 0
        if not self._in_text:
            return self._take_command(place)
        if self._begins_text and b".\r\n".startswith(begin := heard[place : place + 3]):
            if len(begin) < 3:
                return 0
            end = place + 3
        else:
            self._begins_text = False
            end = heard.find(b"\r\n.\r\n", place) + 5
            if end < 5:
                return max(place, len(heard) - 4) if len(heard) > place + 4 else 0
        self._in_text = self._begins_text = False
        self._add(_Said(b"."))
        return end

    def _weigh(self, said: _Said) -> None:
        if said.verb == b"BDAT":
            self._chunk = int(said.argument.split(b" ")[0])
            said.octets += self._chunk // _CHUNK_WEIGHT

    def _may_follow(self, verb: bytes) -> bool:
        return verb in _GROUPED

    def _answered(self, said: _Said, reply: bytes) -> bool:
        code = reply[:3]
        if code == b"334" and said.verb == b"AUTH":
            self._challenges += 1
            return False
        is_success = code < b"300"
        match said.verb:
            case b"EHLO" | b"LHLO" if is_success:
                words = [line[4:].split() for line in reply.splitlines()[1:]]
                self._is_wide = b"PIPELINING" in [word[0].upper() for word in words if word]
            case b"HELO" | b"STARTTLS" if is_success:
                self._is_wide = False
            case b"MAIL":
                self._standing, self._is_spoiled = 0, False
            case b"RCPT":
                self._standing += is_success
            case b"DATA" if code == b"354":
                self._in_text = self._begins_text = True
            case b"BDAT" if not said.argument.upper().endswith(b" LAST"):
                self._is_spoiled |= not is_success
            case b"." | b"BDAT":
                said.answers += 1
                return not self._is_lmtp or self._is_spoiled or said.answers >= self._standing
        return True


class POP3Dialogue(WatchedDialogue):
    """The same in POP3. Of the octets, those count that LIST told of the messages that are asked for.

    What NOOP keeps alive may have a full window; so NOOP is not counted where there is one.
    """

    def __init__(self, commands: int, octets: int, sizes: dict[int, int] | None = None) -> None:
        super().__init__(commands, octets)
        self._sizes = {} if sizes is None else sizes
        self._body: bytearray | None = None  # as much of it as is looked at
        self._tail = b""

    def _take_said(self, octets: bytes) -> bytes:
        if self._body is not None:
            return self._take_body(octets)
        line, rest = self._take_line(octets)
        if line is not None:
            self._answer(line)
        return rest

    def _take_body(self, octets: bytes) -> bytes:
        assert self._body is not None
        passing = self._tail + octets
        end = _BODY_END.search(passing)
        if len(self._body) < _LOOKED_AT:
            self._body += octets
        if end is None:
            self._tail = passing[-3:]
            return b""
        self._read_body(self._in_flight.popleft().verb, bytes(self._body))
        self._body = None
        return passing[end.end() :]

    def _read_body(self, verb: bytes, body: bytes) -> None:
        if verb == b"CAPA":
            self._is_wide = b"PIPELINING" in [line.strip().upper() for line in body.split(b"\n")]
        elif verb == b"LIST":
            self._sizes.update((int(number), int(size)) for number, size in _SIZE.findall(body))

    def _take_heard(self, place: int) -> int:
        return self._take_command(place)

    def _weigh(self, said: _Said) -> None:
        said.octets = self._sizes.get(int(said.argument), 0) if said.verb == b"RETR" else 0

    def _counts(self, said: _Said) -> bool:
        return not (self._is_wide and said.verb == b"NOOP")

    def _may_follow(self, verb: bytes) -> bool:
        return verb not in (b"AUTH", b"STLS", b"QUIT")

    def _answered(self, said: _Said, reply: bytes) -> bool:
        is_success = reply.startswith(b"+OK")
        if reply.startswith(b"+ ") and said.verb == b"AUTH":
            self._challenges += 1
            return False
        if is_success and said.verb == b"STLS":
            self._is_wide = False
        lists = said.verb in (b"LIST", b"UIDL", b"AUTH", b"LANG") and not said.argument
        if is_success and (lists or said.verb in (b"CAPA", b"RETR", b"TOP")):
            self._body, self._tail = bytearray(), b"\n"
            return False
        return True
