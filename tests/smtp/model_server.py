"""A server, octets in and octets out, that keeps what it accepted. It is the other side, and no part of mailwire."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Script:
    """How a server answers a mail.

    recipients: the answers to the RCPT commands, in their order.
    end: the answer to the end of the message, be it a dot or the last chunk. LMTP has one for each recipient accepted:
        `ends`, and those that are lacking there are `end`.
    chunks: the answers to the chunks before the last, in their order; those that are lacking are 250.
    accepts_empty: DATA is answered 354 although no recipient stands, as RFC 2920 3.1 allows.
    """

    mail: int = 250
    recipients: tuple[int, ...] = (250,)
    data: int = 354
    end: int = 250
    ends: tuple[int, ...] = ()
    chunks: tuple[int, ...] = ()
    rset: int = 250
    pipelining: bool = True
    accepts_empty: bool = False


class Server:
    """Answers in order, and reads on only when it has answered, so pipelining makes no difference to it.

    scripts: for one mail after the other; the last one is for all that come then.

    It is strict where a client's mistake could hide: RCPT outside a transaction, MAIL inside one, DATA behind chunks,
    and anything but RSET behind a refused chunk are answered 503.
    """

    def __init__(self, *scripts: Script, lmtp: bool = False) -> None:
        self.script = scripts[0]
        self.lmtp = lmtp
        self.accepted: list[tuple[list[bytes], bytes]] = []  # recipients and message
        self.senders: list[bytes] = []  # of the messages accepted
        self.commands: list[bytes] = []
        self.closed = False
        self.begun = 0  # how many mails
        self._scripts = list(scripts)
        self._input = b""
        self._reading_mail = False
        self._chunk: tuple[int, bool] | None = None  # octets and whether it is the last, of the one that comes in
        self._reset()

    def follow(self, scripts: Sequence[Script]) -> None:
        """Take the rest of `scripts` for the mails that have not begun; there is one more than mails."""
        self._scripts = list(scripts[self.begun :])

    def greet(self) -> bytes:
        """The greeting."""
        return b"220 server ready\r\n"

    def receive(self, data: bytes) -> bytes:
        """Take octets, return the answers."""
        self._input += data
        answers = b""
        while not self.closed:
            if self._reading_mail:
                mail, dot, rest = (b"\r\n" + self._input).partition(b"\r\n.\r\n")
                if not dot:
                    break
                self._input = rest
                self._reading_mail = False
                answers += self._end_of_mail(unstuffed((mail + b"\r\n")[2:]))
            elif self._chunk is not None:
                size, last = self._chunk
                if len(self._input) < size:
                    break
                chunk, self._input, self._chunk = self._input[:size], self._input[size:], None
                answers += self._chunk_read(chunk, last=last)
            else:
                line, end, rest = self._input.partition(b"\r\n")
                if not end:
                    break
                self._input = rest
                self.commands.append(line)
                answers += self._answer(line)
        return answers

    def _reset(self) -> None:
        self._sender: bytes | None = None
        self._standing: list[bytes] = []
        self._recipients = 0
        self._chunks: list[bytes] = []
        self._spoiled = False

    def _say(self, code: int) -> bytes:
        if code == 421:
            self.closed = True
        return b"%d so\r\n" % code

    def _answer(self, line: bytes) -> bytes:
        verb = line[:4]
        if verb == (b"LHLO" if self.lmtp else b"EHLO"):
            self._reset()
            lines = [b"server", b"8BITMIME", b"CHUNKING", b"BINARYMIME", b"SMTPUTF8", b"SIZE", b"DSN"]
            if self.script.pipelining:
                lines.append(b"PIPELINING")
            return b"".join(b"250-%b\r\n" % word for word in lines[:-1]) + b"250 %b\r\n" % lines[-1]
        if verb == b"RSET":
            code = self.script.rset
            if code < 300:
                self._reset()
            return self._say(code)
        if verb == b"QUIT":
            self.closed = True
            return b"221 bye\r\n"
        if verb == b"BDAT":
            words = line.split(b" ")
            self._chunk = int(words[1]), words[2:] == [b"LAST"]
            return b""
        if self._spoiled:
            return self._say(503)
        return {b"MAIL": self._mail, b"RCPT": self._rcpt, b"DATA": self._data}[verb](line)

    def _mail(self, line: bytes) -> bytes:
        if self._sender is not None:
            return self._say(503)
        self.begun += 1
        self.script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        self._reset()
        if self.script.mail < 300:
            self._sender = line
        return self._say(self.script.mail)

    def _rcpt(self, line: bytes) -> bytes:
        if self._sender is None or self._chunks:
            return self._say(503)
        code = self.script.recipients[self._recipients]
        self._recipients += 1
        if code < 300:
            self._standing.append(line)
        return self._say(code)

    def _data(self, _line: bytes) -> bytes:
        if self._sender is None or self._chunks or not (self._standing or self.script.accepts_empty):
            return self._say(503)
        self._reading_mail = self.script.data == 354
        return self._say(self.script.data)

    def _chunk_read(self, chunk: bytes, *, last: bool) -> bytes:
        if self._spoiled or self._sender is None or not self._standing:
            self._spoiled = True
            return self._say(503)
        self._chunks.append(chunk)
        if last:
            answer = self._end_of_mail(b"".join(self._chunks))
            self._spoiled = b"\r\n2" not in b"\r\n" + answer
            return answer
        number = len(self._chunks) - 1
        code = self.script.chunks[number] if number < len(self.script.chunks) else 250
        self._spoiled = code >= 300
        return self._say(code)

    def _end_of_mail(self, message: bytes) -> bytes:
        standing, sender = self._standing, self._sender
        self._reset()
        if not standing or sender is None:
            return self._say(554)
        codes: Sequence[int] = [self.script.end]
        if self.lmtp:
            codes = [*self.script.ends, *[self.script.end] * len(standing)][: len(standing)]
        taken = standing if not self.lmtp else [line for line, code in zip(standing, codes, strict=True) if code < 300]
        if taken and any(code < 300 for code in codes):
            self.accepted.append((taken, message))
            self.senders.append(sender)
        answers = b""
        for code in codes:
            answers += self._say(code)
            if self.closed:
                break
        return answers


def unstuffed(text: bytes) -> bytes:
    """Take the dots away that were added (RFC 5321 4.5.2)."""
    return text[1:].replace(b"\r\n.", b"\r\n") if text.startswith(b".") else text.replace(b"\r\n.", b"\r\n")
