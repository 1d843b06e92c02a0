"""Session: one client's session as a server sees it, sans-I/O; what SMTP and POP3 have in common.

1. Bytes go in, bytes come out, and however the input is cut, the same comes out. Every command that has come is
   answered, in order; the answers to one piece of input leave together (RFC 2920 3.2).
2. The answer that agrees to TLS is the last that is written in the clear. Whatever came behind the command is dropped
   unread: it may be anybody's. Where something else is said in its place, nothing was agreed.
3. Nothing that a client sends raises an error here. A line too long is read to its end, dropped and refused.
"""

import sys
from abc import ABC, abstractmethod
from typing import ClassVar, Final, Literal

from .._wire.lines import LineBuffer
from .._wire.text import LINE_END
from ..errors import LimitExceeded, LocalProtocolError
from .authentication import Authentication, Challenge
from .channel import NO_CHANNEL, Channel
from .maildrop import Account, Maildrop
from .mechanism import Setting
from .mishandling import Mishandling, check_mishaps
from .mishaps import Mishap
from .phrases import Phrasebook
from .policy import Policy
from .refusal import Denied, Refusal

__all__ = ["COMMAND_LIMIT", "RESPONSE_LIMIT", "Session", "TLSState"]

TLSState = Literal["unavailable", "available", "agreed", "established"]
"""Whether the client may ask for TLS, has been told to begin, or has it."""

COMMAND_LIMIT: Final = 2048
"""The octets that a command may have: Postfix's line_length_limit. RFC 5321 4.5.3.1.4 and RFC 2449 4 promise less."""
RESPONSE_LIMIT: Final = 12288
"""The octets of a line in an exchange of AUTH: "the maximum length of the authentication exchange line is 12288 octets"
(RFC 4954 4)."""

# Answers are joined into one piece up to this size; a message on its way out is not copied for it.
_JOIN_LIMIT: Final = 64 * 1024


class Session(ABC):
    """One session.

    user: who has authenticated, None before.
    denial: why the last attempt to authenticate was denied, though the client was not told; in the words of RFC 5802 7
        ("invalid-proof", "unknown-user", "channel-bindings-dont-match"), whatever the mechanism. None if none was.
    channel: what the TLS session gives to authenticate by; to be set when the handshake is done.
    commands: every line that the client sent, without its end, in order: commands and the responses of AUTH (passwords
        with them), no mail data, no line that was too long.
    flights: how many times something arrived when all that came before had been answered: the round trips that the
        client made it wait for. The greeting and a TLS handshake do not count.
    steps: at which mishaps can happen: "greeting", the commands of the protocol, and "." where messages are sent.
    closing: the session has ended; what `data_to_send` still returns is to be written, then the connection closed.
    resets: it is to be closed by a reset.
    """

    steps: ClassVar[tuple[str, ...]]

    def __init__(self, maildrop: Maildrop, policy: Policy, phrasebook: Phrasebook, tls: TLSState, peer: str) -> None:
        self.user: str | None = None
        self.denial: str | None = None
        self.channel: Channel = NO_CHANNEL
        self.commands: list[bytes] = []
        self.flights: int = 0
        self.closing: bool = False
        self.resets: bool = False
        self._maildrop = maildrop
        self._policy = policy
        self._phrasebook = phrasebook
        self._peer = peer
        self._tls = tls
        self._authentication: Authentication | None = None  # while an exchange of AUTH is under way
        self._lines = LineBuffer(COMMAND_LIMIT)
        self._skips_line = False  # until the end of a line that is too long
        self._has_skipped = False  # such a line, which is to be refused
        self._is_answered = True  # whether what comes next is a flight of its own
        self._answer: list[list[bytes]] = [[]]  # in packets, while it is put together
        self._packets: list[list[bytes]] = [[]]
        self._mishandling: Mishandling | None = None
        self._step = "greeting"  # what is answered now

    # Mishaps

    def inject(self, *mishaps: Mishap) -> None:
        """Let these mishaps happen to the answers, that to the connection included. To be called at the beginning.

        Raises LocalProtocolError behind it, ValueError for what is no mishap, and for a step that is none of `steps`.
        """
        check_mishaps(mishaps, self.steps)
        if self._mishandling is not None or self.commands:
            raise LocalProtocolError("mishaps are asked for once, before the session begins")
        self._mishandling = Mishandling(mishaps)
        self._end_answer()

    @property
    def outstanding(self) -> tuple[Mishap, ...]:
        """The mishaps that have not happened: their step has not come, or not as often."""
        return () if self._mishandling is None else self._mishandling.outstanding

    @property
    def delay(self) -> float | None:
        """The seconds, from when it is first there, until `end_delay` is to be called; None if nothing waits."""
        return None if self._mishandling is None else self._mishandling.delay

    def end_delay(self) -> None:
        """Let `data_to_send` have what has waited for its time. Raises LocalProtocolError if nothing waits."""
        if self._mishandling is None or self.delay is None:
            raise LocalProtocolError("nothing waits for a time to pass")
        self._write_apart(self._mishandling.end_delay())

    # Receiving

    def receive_data(self, data: bytes) -> None:
        """Take what the client sent. It is dropped where the session has ended or waits for TLS."""
        if self._is_deaf() or not data:
            return
        self.flights += self._is_answered
        self._is_answered = False
        self._feed(data)
        while not self._is_deaf() and self._take_step():
            pass
        if self._tls == "agreed":
            self._lines = LineBuffer(COMMAND_LIMIT)

    def receive_eof(self) -> None:
        """Take note that the client is gone."""
        self.closing = True

    # TLS

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is in force."""
        return self._tls == "established"

    @property
    def wants_tls(self) -> bool:
        """Whether the agreement to TLS was taken by `data_to_send`, so that the handshake is due."""
        return self._tls == "agreed" and not self.closing and not self._has_data

    def tls_established(self) -> None:
        """Go on under TLS; the client has to introduce itself again. Raises LocalProtocolError unless it was agreed."""
        if not self.wants_tls:
            raise LocalProtocolError("no TLS session can begin now: the client has not been told to begin one")
        self._tls = "established"
        self._forget()

    # Taking bytes

    def data_to_send(self) -> list[bytes]:
        """Return what is to be written now, in order. Each piece is to be a write of its own."""
        self._end_answer()  # the greeting
        packets, self._packets = self._packets, [[]]
        if not self._holds_unanswered:
            self._is_answered = True
        pieces: list[bytes] = []
        for blocks in packets:
            pieces += blocks if sum(map(len, blocks)) > _JOIN_LIMIT else [b"".join(blocks)]
        return [piece for piece in pieces if piece]

    # What a protocol does

    @abstractmethod
    def _receive_command(self, verb: str, argument: bytes) -> None:
        """Answer a command, or raise Refusal and change nothing."""

    @abstractmethod
    def _log_in(self, user: str) -> None:
        """Answer that `user` is authenticated, or raise Refusal."""

    def _forget(self) -> None:
        """Forget all that the client told in the clear (RFC 3207 4.2)."""
        self.user = None

    # What a protocol does it with

    def _say(self, situation: str, **known: object) -> None:
        self._write(self._encode(self._line(situation, **known)))

    def _encode(self, line: str) -> bytes:
        """Return `line` as it is put on the wire."""
        return line.encode() + LINE_END

    def _line(self, situation: str, **known: object) -> str:
        return self._phrasebook.line(situation, hostname=self._policy.hostname, peer=self._peer, **known)

    def _write(self, block: bytes) -> None:
        self._answer[-1].append(block)

    def _end_packet(self) -> None:
        self._answer.append([])

    def _end_answer(self) -> None:
        """Let what is written from here on be another answer, if to the same step."""
        answer, self._answer = self._answer, [[]]
        if self._mishandling is not None and any(map(any, answer)):
            self._mishandle(self._mishandling, self._step, answer)
        else:
            self._write_on(answer)

    def _agree_to_tls(self, situation: str) -> None:
        self._say(situation)
        if self._line(situation).startswith(self._phrasebook.phrases[situation].status):
            self._tls = "agreed"

    @property
    def _holds_unanswered(self) -> bool:
        return bool(self._lines) or self._skips_line

    def _take_next(self) -> bool:
        # Takes one line from what has arrived; False if there is none.
        if self._has_skipped:
            self._has_skipped = False
            self._refuse_line()
            return True
        try:
            line = self._lines.next_line()
        except LimitExceeded:
            self._drop_line()
            return True
        if line is None:
            return False
        self.commands.append(line)
        try:
            self._receive_line(line)
        except Refusal as refusal:
            if isinstance(refusal, Denied):
                self.denial = refusal.reason
            self._say(refusal.situation, **refusal.known)
        return True

    # AUTH, which both protocols have in the same form

    @property
    def _mechanisms(self) -> tuple[str, ...]:
        # Those that are offered, and can be had, now.
        return tuple(name for name in self._policy.mechanisms if self._has_means(name))

    @property
    def _offers_authentication(self) -> bool:
        return bool(self._maildrop.accounts and self._mechanisms)

    def _authenticate(self, argument: bytes) -> None:
        mechanism, *initial = argument.split(b" ")
        name = mechanism.decode("ascii", "replace").upper()
        if not name or len(initial) > 1:
            raise Refusal("syntax", expected="AUTH, a mechanism and perhaps an initial response")
        if name not in self._mechanisms:
            raise Refusal("mechanism")
        setting = Setting(self._maildrop, self._policy, self.channel, self._mechanisms)
        authentication = Authentication(name, setting)
        self._take_exchange(authentication, authentication.begin(initial[0] if initial else None))

    def _take_exchange(self, authentication: Authentication, step: Challenge | Account) -> None:
        if isinstance(step, Challenge):
            self._authentication = authentication
            self._lines.line_limit = RESPONSE_LIMIT
            self._say("challenge", challenge=step.text)
        else:
            self._log_in(step.user)

    def _end_authentication(self) -> None:
        self._authentication = None
        self._lines.line_limit = COMMAND_LIMIT

    def _has_means(self, mechanism: str) -> bool:
        if mechanism.endswith("-PLUS"):
            return self.is_encrypted and bool(self.channel.bindings)
        return mechanism != "EXTERNAL" or (self.is_encrypted and bool(self.channel.client_names))

    # Private

    def _take_step(self) -> bool:
        is_taken = self._take_next()
        self._end_answer()
        return is_taken

    def _mishandle(self, mishandling: Mishandling, step: str, answer: list[list[bytes]]) -> None:
        packets = [b"".join(blocks) for blocks in answer if blocks]
        altered = mishandling.take(step, packets)
        said = mishandling.replacement
        if self._tls == "agreed" and said is not None and said[:3] != b"".join(packets)[:3]:
            self._tls = "available"
        if altered == packets:
            self._write_on(answer)
        else:
            self._write_apart(altered)
        if mishandling.hangs_up is not None:
            self.closing = True
            self.resets = mishandling.hangs_up == "RST"

    def _write_on(self, answer: list[list[bytes]]) -> None:
        self._packets[-1] += answer[0]
        self._packets += answer[1:]

    def _write_apart(self, packets: list[bytes]) -> None:
        if packets:
            self._packets += [[packet] for packet in packets] + [[]]

    def _receive_line(self, line: bytes) -> None:
        authentication = self._authentication
        if authentication is not None:
            self._step = "AUTH"
            self._end_authentication()
            self._take_exchange(authentication, authentication.receive(line))
        else:
            verb, _, argument = line.partition(b" ")
            self._step = verb.decode("ascii", "replace").upper()
            self._receive_command(self._step, argument)

    def _is_deaf(self) -> bool:
        return self.closing or self._tls == "agreed"

    @property
    def _has_data(self) -> bool:
        return any(map(any, self._packets)) or self.delay is not None

    def _feed(self, data: bytes) -> None:
        if self._skips_line:
            end = data.find(b"\n")
            if end < 0:
                return
            self._skips_line, self._has_skipped = False, True
            data = data[end + 1 :]
        self._lines.feed(data)

    def _drop_line(self) -> None:
        self._lines.line_limit = sys.maxsize
        if self._lines.next_line() is None:
            # All that has arrived is of this one line.
            self._lines = LineBuffer(COMMAND_LIMIT)
            self._skips_line = True
        else:
            self._refuse_line()

    def _refuse_line(self) -> None:
        # Outside an exchange it is no step: nobody looks for a verb in it.
        self._step = "" if self._authentication is None else "AUTH"
        self._end_authentication()
        self._say("too long")
