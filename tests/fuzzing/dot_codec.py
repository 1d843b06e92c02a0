"""A target: line ends, the stuffing of dots and its inverse, beside an oracle that works on whole texts."""

import re

from mailwire._wire.dots import DotStuffer, DotUnstuffer, LineEndPolicy, LineEnds
from tests.fuzzing.pieces import Pieces, octets, whole

__all__ = ["run"]


def run(data: bytes) -> None:
    """Stuff `data` and take it apart again, and take it apart as it is."""
    for policy in ("normalise", "reject"):
        _stuff(data, policy)
    for bare_lf in (False, True):
        _unstuff(data, bare_lf=bare_lf)


def _stuff(data: bytes, policy: LineEndPolicy) -> None:
    expected = _stuffed(data, policy)
    for pieces in (whole(data), octets(data), [data[: len(data) // 2], data[len(data) // 2 :]]):
        stuffer, ends = DotStuffer(policy), LineEnds(policy)
        try:
            wire = b"".join([*map(stuffer.feed, pieces), stuffer.finish()])
            mended = b"".join([*map(ends.feed, pieces), ends.finish()])
        except ValueError:
            assert expected is None
            continue
        assert wire == expected
        assert re.fullmatch(rb"(?:[^\r\n\0]|\r\n)*", wire), "what leaves holds no bare line end and no NUL"
        assert wire.endswith(b".\r\n")
        assert b"\r\n.\r\n" not in wire[:-1]
        message, taken, finished = _take(whole(wire), bare_lf=False)
        assert (taken, finished) == (len(wire), True)
        assert message == mended + (b"\r\n" if mended and not mended.endswith(b"\r\n") else b"")


def _stuffed(data: bytes, policy: LineEndPolicy) -> bytes | None:
    if b"\0" in data or (policy == "reject" and re.search(rb"\r(?!\n)|(?<!\r)\n", data)):
        return None
    text = re.sub(rb"\r\n|\r|\n", b"\r\n", data)
    if text and not text.endswith(b"\r\n"):
        text += b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", text) + b".\r\n"


def _unstuff(data: bytes, *, bare_lf: bool) -> None:
    end = b"\n" if bare_lf else b"\r\n"
    found = re.search(rb"(?:\A|\n)\.\r?\n" if bare_lf else rb"(?:\A|\r\n)\.\r\n", data)
    outcome = _take(whole(data), bare_lf=bare_lf)
    assert outcome == _take(octets(data), bare_lf=bare_lf)
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
