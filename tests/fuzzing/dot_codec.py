"""A target: line ends, the stuffing of dots and its inverse, beside an oracle that works on whole texts."""

import re
from typing import Final

from mailwire._wire.dots import DotStuffer, DotUnstuffer, LineEndPolicy, LineEnds
from tests.fuzzing.pieces import Cutter, Pieces, octets, whole

__all__ = ["run"]

_BARE: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_END: Final = re.compile(rb"\r\n|\r|\n")
_FIRST_DOT: Final = re.compile(rb"(?m)^\.")
_CLEAN: Final = re.compile(rb"(?:[^\r\n\0]|\r\n)*")
_TERMINATOR: Final = re.compile(rb"(?:\A|\r\n)\.\r\n")
_BARE_TERMINATOR: Final = re.compile(rb"(?:\A|\n)\.\r?\n")


def run(data: bytes, cut: Cutter = octets) -> None:
    """Stuff `data` and take it apart again, and take it apart as it is."""
    text = None if b"\0" in data else _END.sub(b"\r\n", data)
    wire = None if text is None else _stuffed(text)
    pieces = cut(data)
    _stuff(data, "normalise", text, wire, pieces)
    if _BARE.search(data):
        _stuff(data, "reject", None, None, pieces)
    else:
        _stuff(data, "reject", text, wire, pieces)
    for bare_lf in (False, True):
        _unstuff(data, pieces, bare_lf=bare_lf)
    if text is not None and wire is not None:
        assert _CLEAN.fullmatch(wire), "what leaves holds no bare line end and no NUL"
        assert b"\r\n.\r\n" not in wire[:-1]
        assert _take(whole(wire), bare_lf=False) == (_ended(text), len(wire), True)


def _stuff(data: bytes, policy: LineEndPolicy, text: bytes | None, wire: bytes | None, pieces: Pieces) -> None:
    # What comes of it is `text` with its line ends mended, and `wire` with its dots stuffed; None if it is refused. A
    # DotStuffer mends by LineEnds, and two texts never look the same when stuffed: in pieces it speaks for both.
    assert _made(LineEnds(policy), whole(data)) == text
    for given in (whole(data), pieces):
        assert _made(DotStuffer(policy), given) == wire


def _made(codec: LineEnds | DotStuffer, pieces: Pieces) -> bytes | None:
    try:
        return b"".join([*map(codec.feed, pieces), codec.finish()])
    except ValueError:
        return None


def _stuffed(text: bytes) -> bytes:
    return _FIRST_DOT.sub(b"..", _ended(text)) + b".\r\n"


def _ended(text: bytes) -> bytes:
    return text if not text or text.endswith(b"\r\n") else text + b"\r\n"


def _unstuff(data: bytes, pieces: Pieces, *, bare_lf: bool) -> None:
    end = b"\n" if bare_lf else b"\r\n"
    found = (_BARE_TERMINATOR if bare_lf else _TERMINATOR).search(data)
    outcome = _take(whole(data), bare_lf=bare_lf)
    assert outcome == _take(pieces, bare_lf=bare_lf)
    message, taken, finished = outcome
    assert finished is (found is not None)
    if found is not None:
        assert taken == found.end()
        text = data[: found.start()] + (end if found.start() or data.startswith(end) else b"")
        text = text if found[0].startswith((b"\r", b"\n")) else b""
        assert message == end.join(line[1:] if line.startswith(b"..") else line for line in text.split(end))


def _take(pieces: Pieces, *, bare_lf: bool) -> tuple[bytes, int, bool]:
    unstuffer = DotUnstuffer(bare_lf=bare_lf)
    message, taken = b"", 0
    for piece in pieces:
        block, stop = unstuffer.feed(piece)
        message += block
        taken += stop
        if unstuffer.finished:
            break
        assert stop == len(piece)
    return message, taken, unstuffer.finished
