"""Scripts as text: a transcript in a file, which a person can read, as the steps of a script.

A line each for what is said, and for what is done:

    # A comment: a line of its own.
    S: 220 ready                         the server says this line, with CRLF behind it
    C: DATA                              the client says exactly this line; "C: EHLO ..." is one that begins so, and
    C: AUTH PLAIN ****                   ... so is one of which the end is masked
    S; 354 g                             octets without CRLF
    S; o\\n                               ... and here with a bare LF
    C; hel                               the same of the client
    S: (message.eml, 392 octets)         that many octets of a file, as they are
    S closes                             the server closes in good order; CLOSE says the same

Backslash escapes (`\\x1b`, `\\0`, `\\\\`) stand for octets; the file is in UTF-8. An empty line between two of the
server's lines is PACKET: they come in packets of their own. The steps that are no more than a word are that word
(STALL, FIN, RST, LISTEN, MAIL_DATA, NO_READING, WITHHOLD, WAIT, CLIENT_HELLO, ALERT, CLOSE, PACKET). The others are

    TLS                                  Tls("localhost")
    TLS expired                          Tls("expired")
    HEAR 65536                           Hear(65536)
    BENEATH \\x15\\x03                     Beneath(b"\\x15\\x03")
    ENDLESS S: 250-x                     Endless(b"250-x\\r\\n")
    1 B/s S: 250 ok                      Slow("S: 250 ok", 1)
    1 B/s ENDLESS S; a                   Slow(Endless(b"a"), 1)

`Answers` are for scripts in Python alone.
"""

import re
from pathlib import Path
from typing import Final

from .script import Beneath, Endless, Hear, Mark, Slow, Step, Tls

__all__ = ["load_script", "parse_script"]

_FILE: Final = re.compile(r"\(([^/\\]+), (\d+) octets\)")
_SLOW: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) B/s (.+)")
_ESCAPE: Final = re.compile(rb"\\(x[0-9A-Fa-f]{2}|.|\Z)", re.DOTALL)
_ESCAPES: Final = {b"\\": b"\\", b"0": b"\0", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_MASK: Final = "****"


def load_script(path: Path | str, *, folder: Path | str | None = None) -> tuple[Step, ...]:
    """Return the steps of the transcript at `path`.

    folder: of the files that it names; by default the one that it is in.

    Raises ValueError for a line that is no step, and OSError for a file that cannot be read.
    """
    path = Path(path)
    try:
        # Some editors begin a file with a mark of the order of its octets.
        return parse_script(path.read_text("utf-8-sig"), folder=path.parent if folder is None else folder)
    except ValueError as error:
        error.add_note(f"the transcript is {path}")
        raise


def parse_script(text: str, *, folder: Path | str = ".") -> tuple[Step, ...]:
    """Return the steps of the transcript that `text` is; see `load_script`."""
    steps: list[Step] = []
    is_apart = False  # an empty line was read behind a step
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line:
            is_apart = bool(steps)
        elif not line.startswith("#"):
            try:
                step = _step(line, Path(folder))
            except ValueError as error:
                raise ValueError(f"line {number} of the transcript: {error}") from None
            except OSError as error:
                error.add_note(f"line {number} of the transcript: {line}")
                raise
            if is_apart and _is_said(steps[-1]) and _is_said(step):
                steps.append(Mark.PACKET)
            steps.append(step)
            is_apart = False
    return tuple(steps)


def _is_said(step: Step) -> bool:
    return isinstance(step, bytes) or (isinstance(step, str) and step.startswith("S: "))


def _step(line: str, folder: Path) -> Step:
    if line == "S closes":
        return Mark.CLOSE
    if line in Mark.__members__:
        return Mark[line]
    if found := _SLOW.fullmatch(line):
        said = _step(found[2], folder)
        if isinstance(said, str | bytes | Endless):
            return Slow(said, float(found[1]))
    speaker, rest = line[:2], line[2:].removeprefix(" ")
    if speaker in ("S:", "S;"):
        return f"S: {rest}" if speaker == "S:" and _is_plain(rest) else _octets(speaker, rest, folder)
    if speaker in ("C:", "C;"):
        if speaker == "C:" and _is_plain(rest):
            is_masked = rest == _MASK or rest.endswith(f" {_MASK}")
            return f"C: {rest.removesuffix(_MASK)}..." if is_masked else f"C: {rest}"
        return Hear(_octets(speaker, rest, folder))
    match line.split(" ", 1):
        case ["TLS"]:
            return Tls()
        case ["TLS", name]:
            return Tls(name)
        case ["HEAR", octets] if octets.isascii() and octets.isdigit():
            return Hear(int(octets))
        case ["BENEATH", octets]:
            return Beneath(_unescaped(octets))
        case ["ENDLESS", said] if said[:2] in ("S:", "S;"):
            return Endless(_octets(said[:2], said[2:].removeprefix(" "), folder))
    raise ValueError(f'expected "S: ...", "C: ..." or a word of a script, got {line!r}')


def _is_plain(text: str) -> bool:
    return "\\" not in text and not _FILE.fullmatch(text)


def _octets(speaker: str, text: str, folder: Path) -> bytes:
    if found := _FILE.fullmatch(text):
        octets = (folder / found[1]).read_bytes()
        if len(octets) != int(found[2]):
            raise ValueError(f"{found[1]} has {len(octets)} octets, the transcript says {found[2]}")
        return octets
    return _unescaped(text) + (b"\r\n" if speaker.endswith(":") else b"")


def _unescaped(text: str) -> bytes:
    return _ESCAPE.sub(_octet, text.encode())


def _octet(escape: re.Match[bytes]) -> bytes:
    if len(escape[1]) == 3:
        return bytes([int(escape[1][1:], 16)])
    if escape[1] not in _ESCAPES:
        raise ValueError(f"{escape[0].decode('utf-8', 'replace')!r} is no escape")
    return _ESCAPES[escape[1]]
