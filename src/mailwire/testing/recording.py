"""Recording: a dialogue written down as the text of a script, secrets masked, without I/O.

What it writes, `parse_script` reads, and a `ScriptedPeer` plays to the same client once more. So it keeps what a server
said as it was, and of the client what a later run says again: of a message only that there was one (MAIL_DATA), of a
chunk its size. A secret is known by where it stands: behind PASS and APOP, in an exchange of AUTH. It is not written,
there nor where it is said again. Once a client has said AUTH, a line of it that begins with no command is taken for a
part of an exchange, whatever the server thinks of it.
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from .._wire.text import LINE_END
from ..sasl.redaction import Redaction
from .checks import check_text, describe
from .script import Step
from .script_text import parse_script

__all__ = ["Recording", "check_replacing"]

_MASK: Final = b"****"
# So many octets of a secret at the end of a line that breaks off are masked: fewer may be anything.
_BEGUN: Final = 4
_MAIL_END: Final = b"\r\n.\r\n"  # RFC 5321 4.1.1.4
# Mechanisms whose challenges tell nothing of the password. That of SCRAM and its kin can be used to guess it.
_OPEN: Final = (b"PLAIN", b"LOGIN", b"CRAM-MD5")
# Mechanisms without a secret: their responses are names, which are said again.
_NAMES: Final = (b"EXTERNAL", b"ANONYMOUS")
_COMMANDS: Final = frozenset(
    b"EHLO HELO LHLO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY EXPN HELP STARTTLS AUTH ETRN BURL XCLIENT XFORWARD "
    b"CAPA STLS USER PASS APOP STAT LIST RETR DELE TOP UIDL LAST LANG UTF8 XTND".split()
)
# Blanks as no standard has them, which servers forgive.
_SECRET: Final = re.compile(rb"[ \t]*(PASS|APOP[ \t]+[^ \t]+|AUTH[ \t]+[^ \t]+)[ \t]+(.*)", re.IGNORECASE | re.DOTALL)
_EXCHANGE: Final = re.compile(rb"[ \t]*AUTH[ \t]+([^ \t]+)", re.IGNORECASE)
_CHALLENGE: Final = re.compile(rb"334(?: (.*))?|\+(?: (.*))?", re.DOTALL)
_TOKEN: Final = re.compile(rb"Bearer +([^\x01]+)", re.IGNORECASE)
_CHUNK: Final = re.compile(rb"BDAT ([0-9]+)( LAST)?", re.IGNORECASE)


class Recording:
    """The dialogue of one connection.

    replacing: words and what is written in their place, for names and addresses that nobody else is to read. Raises
        ValueError for what is no mapping of texts, and for a word that is empty.
    """

    def __init__(self, replacing: Mapping[str, str] | None = None) -> None:
        if replacing is not None:
            check_replacing(replacing)
        self._replacing = {old.encode(): new.encode() for old, new in (replacing or {}).items()}
        self._lines: list[str] = []
        self._client = bytearray()  # of a line or a message that has no end yet
        self._server = bytearray()
        self._broken_off: int | None = None  # the place of the server's line during which the client spoke
        self._secrets: list[bytes] = []
        self._redaction = Redaction(())  # of these
        self._mechanism = b""  # of the exchange that is under way
        self._is_begun = False  # whether there was one at all
        self._responses = 0  # to its challenges
        self._answered = b""  # the last line of the server
        self._asked = b""  # the last line of the client, but for its argument
        self._chunk = 0  # octets that are still to come of one
        self._message = bytearray()  # the last octets of one that comes in

    # What is said

    def hear_client(self, data: bytes) -> None:
        """Take what the client says."""
        if self._server and self._broken_off is None:
            self._broken_off = len(self._lines)
        self._client += data
        while self._take_of_client():
            pass

    def hear_server(self, data: bytes) -> None:
        """Take what the server says."""
        self._server += data
        while b"\n" in self._server:
            end = self._server.index(b"\n") + 1
            self._write_server(bytes(self._server[:end]))
            del self._server[:end]

    def begin_tls(self) -> None:
        """Note that a handshake was made."""
        self._lines.append("TLS")

    def end(self) -> None:
        """Note that the server has closed."""
        self._end_server_line()
        self._lines.append("S closes")

    # What came of it

    @property
    def text(self) -> str:
        """The script, as `parse_script` reads it."""
        lines = [*self._lines]
        if self._server:
            lines.insert(self._place, self._server_line(bytes(self._server)))
        return "".join(f"{line}\n" for line in lines)

    def script(self) -> tuple[Step, ...]:
        """Return the script, to be played."""
        return parse_script(self.text)

    def save(self, path: Path | str, comment: str = "") -> None:
        """Write the script to a file, with a comment in its first lines. Raises OSError."""
        comments = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
        Path(path).write_text(comments + self.text, "utf-8")

    # Private

    def _take_of_client(self) -> bool:
        if self._chunk:
            taken = min(self._chunk, len(self._client))
            del self._client[:taken]
            self._chunk -= taken
            return not self._chunk and bool(self._client)
        if self._asked == b"DATA" and self._answered.startswith(b"354"):
            # Of a message nothing is kept but its last octets, in which its end may begin.
            self._message += self._client
            self._client.clear()
            end = self._message.find(_MAIL_END)
            if end < 0:
                del self._message[: 1 - len(_MAIL_END)]
                return False
            self._client += self._message[end + len(_MAIL_END) :]
            self._asked = b"."
            self._lines.append("MAIL_DATA")
            return True
        end = self._client.find(b"\n") + 1
        if not end:
            return False
        line = bytes(self._client[:end])
        del self._client[:end]
        self._write_client(line)
        return True

    def _write_client(self, line: bytes) -> None:
        text = _without_end(line)
        verb = (text.split() or [b""])[0].upper()
        is_challenged = self._mechanism and _CHALLENGE.fullmatch(self._answered)
        if text != b"*" and (is_challenged or (self._is_begun and verb not in _COMMANDS)):
            self._remember_response(text)
            self._lines.append("C: ****")
            return
        self._mechanism, self._responses = b"", 0
        self._asked = verb
        self._message = bytearray(LINE_END)  # which is what a dot alone stands behind
        if found := _EXCHANGE.match(text):
            self._mechanism, self._is_begun = found[1].upper(), True
        if found := _SECRET.fullmatch(text):
            self._remember(found[2])
            self._lines.append(f"C: {_escaped(self._public(found[1]))} ****")
        else:
            self._lines.append(self._client_line(text, line[len(text) :]))
        if found := _CHUNK.fullmatch(text):
            self._chunk = int(found[1])
            if self._chunk:
                self._lines.append(f"HEAR {self._chunk}")

    def _client_line(self, text: bytes, end: bytes) -> str:
        # A secret within what the client says again: the line begins as it does before that.
        before, mask, _ = self._redaction.mask(text).partition(_MASK)
        if not mask or _MASK in text or end != b"\r\n":
            return _line("C", self._public(text), end)
        shown = _escaped(self._replaced(before.rstrip(b" ")))
        if not shown or "\\" in shown:
            return "C: ****"
        return f"C: {shown} ****" if before.endswith(b" ") else f"C: {shown}..."

    def _remember(self, secret: bytes) -> None:
        if self._mechanism:
            self._remember_response(secret)
        else:
            self._keep(secret)

    def _keep(self, *secrets: bytes) -> None:
        self._secrets += secrets
        self._redaction = Redaction(self._secrets)

    def _remember_response(self, response: bytes) -> None:
        self._responses += 1
        try:
            decoded = b64decode(response, validate=True)
        except Base64Error:
            decoded = response
        if (self._mechanism == b"LOGIN" and self._responses == 1) or self._mechanism in _NAMES:
            return  # a name, and no secret
        token = _TOKEN.search(decoded)
        # PLAIN has the password behind a NUL, with blanks, and CRAM-MD5 has a digest behind a blank.
        parting = b" " if self._mechanism == b"CRAM-MD5" else b"\0"
        self._keep(response, token[1] if token else decoded.split(parting)[-1])

    def _write_server(self, line: bytes) -> None:
        self._lines.insert(self._place, self._server_line(line))
        self._broken_off = None
        self._answered = _without_end(line)

    def _end_server_line(self) -> None:
        if self._server:
            self._write_server(bytes(self._server))
            self._server.clear()

    @property
    def _place(self) -> int:
        # A line is written where it began, and whole: of two parts, each might have a part of a secret.
        return len(self._lines) if self._broken_off is None else self._broken_off

    def _server_line(self, line: bytes) -> str:
        text = _without_end(line)
        found = _CHALLENGE.fullmatch(text)
        if self._mechanism and found and self._mechanism not in _OPEN and (found[1] or found[2]):
            shown = text.split(b" ")[0] + b" " + _MASK
        else:
            shown = self._public(text if line.endswith(b"\n") else self._without_begun(text))
        return _line("S", shown, line[len(text) :])

    def _without_begun(self, text: bytes) -> bytes:
        # Where a line breaks off, it may do so in the middle of a secret: the one of which there is the most.
        begun = max((_begun_in(text, secret) for secret in self._secrets), default=0)
        return text[:-begun] + _MASK if begun else text

    def _public(self, text: bytes) -> bytes:
        return self._replaced(self._redaction.mask(text))

    def _replaced(self, text: bytes) -> bytes:
        for old, new in self._replacing.items():
            text = text.replace(old, new)
        return text


def check_replacing(replacing: object) -> None:
    """Raise ValueError unless it is a mapping of words to texts, none of the words being empty."""
    if not isinstance(replacing, Mapping):
        raise ValueError(f"expected replacing to be a mapping of words to texts, got {describe(replacing)}")
    for old, new in replacing.items():
        check_text("a word of replacing", old)
        check_text(f"what replaces {old!r}", new)
        if not old:
            raise ValueError("expected words of replacing, got an empty one")


def _begun_in(text: bytes, secret: bytes) -> int:
    # How many octets of `secret` are at the end of `text`.
    sizes = range(len(secret) - 1, _BEGUN - 1, -1)
    return next((size for size in sizes if text.endswith(secret[:size])), 0)


def _without_end(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r")


def _line(speaker: str, text: bytes, end: bytes) -> str:
    if end == b"\r\n":
        return f"{speaker}: {_escaped(text)}".rstrip()
    return f"{speaker}; {_escaped(text + end)}"


def _escaped(text: bytes) -> str:
    # What stands at the ends of a line, would be taken for something else there: blanks, a file, a beginning of a line.
    shown = "".join(chr(octet) if 0x20 <= octet < 0x7F and octet != 0x5C else f"\\x{octet:02x}" for octet in text)
    if shown.startswith((" ", "(")):
        shown = f"\\x{ord(shown[0]):02x}{shown[1:]}"
    if shown.endswith((" ", "...")):
        shown = f"{shown[:-1]}\\x{ord(shown[-1]):02x}"
    return shown
