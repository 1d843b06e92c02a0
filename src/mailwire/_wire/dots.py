"""Line ends and transparency: what a message must look like between DATA or RETR and the final dot.

RFC 5321 2.3.8 (lines end in CRLF; "conforming implementations MUST NOT recognize or generate any other"), 4.5.2 (a
dot is added to a line that begins with one), 4.1.1.4 (the end of mail data); RFC 1939 3 (the same for POP3).

The codecs here work on blocks of any size and give the same octets however the input is cut. None looks at a
body byte by byte or line by line: `find`, `replace`, patterns and comparison run over whole blocks. A search for one
byte runs some twenty times faster than a search for two, hence the guards that look for a dot first; and of what begins
with a line end, which every line has, a pattern finds or replaces the next in half the time that `find` and `replace`
take. What has been mended is a `MailText` and is not searched for line ends again.
"""

import re
from collections.abc import Iterator
from typing import Final, Literal

from .text import quote

__all__ = [
    "MANY_OCTETS",
    "TERMINATOR",
    "DotStuffer",
    "DotUnstuffer",
    "LineEndPolicy",
    "LineEnds",
    "MailText",
    "dot_stuffed",
    "ends_in_a_row",
    "is_crlf_alone",
    "mended",
    "whole_message",
]

LineEndPolicy = Literal["normalise", "reject"]

TERMINATOR: Final = b".\r\n"

MANY_OCTETS: Final = 16 * 1024
"""In so many octets and more it is worth a look whether lines have one length, as those of base64 have."""

_new: Final = bytes.__new__

# Nobody looks further for the end of a line (RFC 5321 4.5.3.1.6).
_FAR: Final = 1000

# So many lines that begin with a dot, the last of which is the terminator, are found one by one.
_DOT_LINES: Final = 16

# So many are replaced by a pattern. Where there are few, as in nearly every block, that takes a fifth of the time that
# `replace` does. But it takes 0.1 us for each, and 9 ms for a block of lines that are a dot; `replace` takes one.
_FEW: Final = 8 * 1024

# A dot that begins a line, behind what LineEnds has let through; and in what a server has sent.
_DOT: Final = re.compile(rb"\n\.")
_SENT_DOT: Final = re.compile(rb"\r\n\.")
_SENT_END: Final = re.compile(rb"\r\n\.\r\n")
_TWO_DOTS: Final = {line_end: re.compile(line_end + rb"\.\.") for line_end in (b"\r\n", b"\n")}


def _replaced(pattern: re.Pattern[bytes], old: bytes, new: bytes, text: bytes) -> bytes:
    # `old` in `text` by `new`; it is what the pattern finds.
    if len(text) < _FEW:
        return pattern.sub(new, text)
    replaced, count = pattern.subn(new, text, _FEW)
    return replaced if count < _FEW else text.replace(old, new)


class MailText(bytes):
    """A piece of a message that LineEnds has let through: by itself, and between others of its kind, it holds no bare
    CR, no bare LF and no NUL. It need not end in CRLF.

    Making one mends `octets` as LineEnds does, and raises what that raises. Whatever is done to it gives bytes again,
    of which nothing is known.
    """

    __slots__ = ()

    def __new__(cls, octets: bytes, policy: LineEndPolicy = "normalise") -> "MailText":
        return mended(octets, policy)

    @classmethod
    def vouch(cls, octets: bytes | memoryview) -> "MailText":
        """Take `octets` as they are. The caller knows that LineEnds let them through, and that no CRLF was cut."""
        return bytes.__new__(cls, octets)

    @classmethod
    def cut(cls, octets: bytes, size: int) -> Iterator["MailText"]:
        """Cut `octets` into pieces of at most `size`, at least 2. The caller knows that LineEnds let them through."""
        view = memoryview(octets)
        start, end = 0, len(octets)
        while start < end:
            stop = min(start + size, end)
            if stop < end and octets[stop - 1] == 0x0D:
                stop -= 1
            yield cls.vouch(view[start:stop])
            start = stop


def mended(octets: bytes, policy: LineEndPolicy = "normalise") -> MailText:
    """Return the MailText that is made of `octets`. Raises what that raises."""
    if octets.find(b"\0") < 0 and _is_standard(octets):
        return _new(MailText, octets)  # as `vouch` does
    line_ends = LineEnds(policy)
    return MailText.vouch(line_ends.feed(octets) + line_ends.finish())


def _is_standard(octets: bytes) -> bool:
    if len(octets) >= MANY_OCTETS and is_crlf_alone(octets):
        return True
    # Take every LF away and put one behind every CR: equal only if no CR and no LF stood alone.
    return octets.replace(b"\n", b"").replace(b"\r", b"\r\n") == octets


def ends_in_a_row(text: bytes, reach: int = _FAR) -> tuple[int, int, int]:
    """Return where the first LF of `text` is, how far behind it the next one, and how many there are in a row at that
    distance, these two included. All is 0 if the first is not before `reach`, or no other within 1,000 octets.

    There may be other LFs between them.
    """
    first = text.find(b"\n", 0, max(0, reach))
    second = text.find(b"\n", first + 1, first + 1 + _FAR)
    if first < 0 or second < 0:
        return 0, 0, 0
    length = second - first
    ends = text[first::length]
    return first, length, len(ends) - len(ends.lstrip(b"\n"))


def is_crlf_alone(text: bytes) -> bool:
    """Whether each line of `text` ends in CRLF, and no CR and no LF is elsewhere. False as well where that cannot be
    told in this way, for its lines, but for the first and what is behind the last end, have not one length."""
    first, length, count = ends_in_a_row(text)
    if not first or count < len(range(first, len(text), length)) or text[first - 1 :: length] != b"\r" * count:
        return False
    # Blotted out where they are in order, none may be left.
    rest = bytearray(text)
    rest[first::length] = rest[first - 1 :: length] = bytes(count)
    return b"\n" not in rest and b"\r" not in rest


class LineEnds:
    """Makes CRLF of every line end: of CRLF, of a bare CR and of a bare LF ("normalise").

    Or refuses what would have to change ("reject"), for those who relay or sign. In either case no bare CR and no bare
    LF comes out, so no hop further on can read an end of mail data into a message (VU#302671, "SMTP smuggling").
    NUL is refused always (RFC 5321 4.5.2: relays may do with it what they like).
    """

    def __init__(self, policy: LineEndPolicy = "normalise") -> None:
        self._policy = policy
        self._carry = b""  # a CR at the end of a block: its LF may follow
        self._position = 0  # of the next octet in the message, for the error message

    def feed(self, block: bytes) -> bytes:
        """Return `block` with its line ends mended; the same object where nothing had to change.

        Raises ValueError for a NUL, and under "reject" for a bare CR or LF.
        """
        if type(block) is MailText:
            return self._pass(block)
        block = self._carry + block
        if b"\0" in block:
            self._refuse("a NUL", "it cannot be sent as mail data", block, block.index(b"\0"))
        carry = b"\r" if block.endswith(b"\r") else b""
        if carry:
            block = block[:-1]
        standard = _is_standard(block)
        if not standard and self._policy == "reject":
            self._refuse_bare(block)
        self._carry = carry
        self._position += len(block)
        if standard:
            return block
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return block.replace(b"\n", b"\r\n")

    def finish(self) -> bytes:
        """Return what was held back: the end of a last line that ended in a bare CR."""
        if not self._carry:
            return b""
        if self._policy == "reject":
            self._refuse_bare(self._carry)
        self._carry = b""
        return b"\r\n"

    def _pass(self, text: MailText) -> bytes:
        # It does not begin with the LF for which a CR may have been held back.
        held_back = self._carry
        before = self.finish()
        self._position += len(held_back) + len(text)
        return before + text if before else text

    def _refuse_bare(self, block: bytes) -> None:
        alone = block.replace(b"\r\n", b"\0\0")
        place = min(found for found in (alone.find(b"\r"), alone.find(b"\n")) if found >= 0)
        name = "CR" if alone[place] == 0x0D else "LF"
        self._refuse(f"a bare {name}", "every line must end in CRLF", block, place)

    def _refuse(self, found: str, expected: str, block: bytes, place: int) -> None:
        near = quote(block[max(0, place - 20) : place + 20])
        raise ValueError(f"the message holds {found} at octet {self._position + place}, near {near}: {expected}")


def dot_stuffed(message: MailText) -> bytes:
    """Return the mail data for a whole message, which ends in CRLF, but for the terminator: what a DotStuffer makes."""
    if message.find(b".") < 0:
        return message
    stuffed = _replaced(_DOT, b"\n.", b"\n..", message)
    return b"." + stuffed if message.startswith(b".") else stuffed


class DotStuffer:
    """Makes mail data of a message: CRLF line ends, a dot before each dot that begins a line, the terminator."""

    def __init__(self, policy: LineEndPolicy = "normalise") -> None:
        self._line_ends = LineEnds(policy)
        self._at_line_start = True

    def feed(self, block: bytes) -> bytes:
        """Return the mail data for `block`, the same object where nothing had to change.

        Blocks of 64 to 256 KiB serve best: the copies stay in the processor's cache, and one dot in the header does not
        make a whole body be searched. Raises ValueError as LineEnds does.
        """
        block = self._line_ends.feed(block)
        if not block:
            return block
        begins_line, self._at_line_start = self._at_line_start, block.endswith(b"\n")
        if block.find(b".") < 0:
            return block
        # Every LF here ends a line, for LineEnds lets no other through.
        stuffed = _replaced(_DOT, b"\n.", b"\n..", block)
        return b"." + stuffed if begins_line and block.startswith(b".") else stuffed

    @staticmethod
    def whole(message: MailText) -> bytes:
        """Return the mail data for a whole message, which ends in CRLF: what `feed` and `finish` return, in one."""
        return dot_stuffed(message) + TERMINATOR

    def finish(self) -> bytes:
        """Return what ends the mail data: an end for a last line that lacks it, and the dot on a line of its own."""
        end = self._line_ends.finish()
        if not end and not self._at_line_start:
            end = b"\r\n"
        return end + TERMINATOR


def whole_message(data: bytes, start: int, limit: int) -> tuple[bytes, int] | None:
    """Return the message that begins at `start`, if `data` hold all of it, and where its terminator ends; None if not.

    None as well where it is longer than `limit` octets before the unstuffing, and where more than some of its lines
    begin with a dot, or the first.
    """
    if data.startswith(b".", start):
        return None
    # In nearly every message the first line that begins with a dot is the terminator, or one of the first. From one
    # such line to the next there is one search over the octets, where to look for the terminator and then for dots
    # would be two.
    pieces: list[bytes] = []
    begin = start
    for _ in range(_DOT_LINES):
        found = _SENT_DOT.search(data, begin)
        if found is None or (end := found.end()) - 1 - start > limit:
            return None
        if data.startswith(b"\r\n", end):
            pieces.append(data[begin : end - 1])
            return b"".join(pieces), end + 2
        pieces.append(data[begin:end])
        begin = end + data.startswith(b".", end)
    return None


class DotUnstuffer:
    """Gives back the message from mail data: finds the terminator, takes the added dots away.

    Only a dot behind CRLF is looked at, never one behind a bare LF: a body may hold bare LF, and a server that stuffs
    by CRLF would otherwise let the author of a mail forge the end of it. For the server that ends its own lines in a
    bare LF there is `bare_lf=True`, which then holds for the whole body.

    `..` at the beginning of a line loses a dot. Any other dot stays: a standard server sends none, and from one that
    does not stuff the line then comes out as it was written.
    """

    def __init__(self, *, bare_lf: bool = False) -> None:
        self.begin(bare_lf=bare_lf)

    @property
    def held(self) -> bytes:
        """A dot at the beginning of a line, and its CR, of which the meaning is not known yet."""
        return self._held

    def begin(self, *, bare_lf: bool = False) -> None:
        """Begin with other mail data."""
        self.finished = False
        self._bare_lf = bare_lf
        self._line_end = b"\n" if bare_lf else b"\r\n"
        self._context = self._line_end  # the octets before the next block, as far as they matter; a body begins a line
        self._held = b""

    def finish(self) -> None:
        """Take what is held back for the terminator, though it is not whole."""
        self._held = b""
        self.finished = True

    def feed(self, data: bytes, start: int = 0) -> tuple[bytes, int]:
        """Take `data` from `start`; return the octets of the message, and where in `data` the taking stopped.

        It stops at the end of `data`, or behind the terminator; `finished` tells which.
        """
        if self.finished:
            raise AssertionError("the terminator was seen: what follows is not the message")
        if not self._held and data.find(b".", start) < 0:
            # Nothing can begin or end here. This is the path of a base64 body.
            block = data[start:] if start else data
            if block:
                self._context = (self._context + block[-2:])[-2:]
            return block, len(data)
        return self._search(data, start)

    def take_whole(self, data: bytes, start: int, limit: int) -> tuple[bytes, int] | None:
        """Take the message from `start` to its terminator, as `feed` does, if `data` hold all of it; None if not.

        None as well where it is longer than `limit` octets before the unstuffing, and where more than some of its lines
        begin with a dot, or the first: `feed` takes it then. To be called before anything of the mail data was fed.
        """
        taken = None if self._held or self._bare_lf else whole_message(data, start, limit)
        if taken is not None:
            self.finished = True
        return taken

    def _search(self, data: bytes, start: int) -> tuple[bytes, int]:
        end, length = self._find_terminator(data, start)
        if end < 0 or self._held or self._is_open_to(data, start):
            return self._search_seam(data, start, end + length if end >= 0 else len(data))
        # The rest of the message lies whole in this block. This is the path of small messages, many to a block.
        self.finished = True
        return self._unstuffed(data[start : end + len(self._line_end)]), end + length

    def _is_open_to(self, data: bytes, start: int) -> bool:
        # Whether a line end and what follows it may lie partly in an earlier block, partly in this one.
        return self._context.endswith(b"\r") or (
            data.startswith(b".", start) and self._context.endswith(self._line_end)
        )

    def _search_seam(self, data: bytes, start: int, stop: int) -> tuple[bytes, int]:
        # Look again from the line end and the dot held back. What begins there ends before `stop`, where this block's
        # own terminator ends.
        text = self._context + self._held + data[start:stop]
        given = len(self._context)  # handed out already, with an earlier block
        before = given + len(self._held)
        end, length = self._find_terminator(text, 0)
        if end >= 0:
            self.finished = True
            stop = start + end + length - before
            text = text[: end + len(self._line_end)]
        else:
            held = self._held_back(text)
            self._held = text[len(text) - held :]
            text = text[: len(text) - held]
            self._context = text[-2:]
        return self._unstuffed(text)[given:], stop

    def _unstuffed(self, text: bytes) -> bytes:
        # Where there is nothing to replace, this is one search and no copy.
        line_end = self._line_end
        return _replaced(_TWO_DOTS[line_end], line_end + b"..", line_end + b".", text)

    def _find_terminator(self, text: bytes, start: int) -> tuple[int, int]:
        # Where it is, -1 if nowhere, and how long it is, with the end of the line before the dot.
        if not self._bare_lf:
            found = _SENT_END.search(text, start)
            return (-1 if found is None else found.start()), 5
        # A server that ends its lines in LF may yet end the last one as it should.
        plain, full = text.find(b"\n.\n", start), text.find(b"\n.\r\n", start)
        return (full, 4) if plain < 0 or 0 <= full < plain else (plain, 3)

    def _held_back(self, text: bytes) -> int:
        for unclear in (b".", b".\r"):
            if text.endswith(self._line_end + unclear):
                return len(unclear)
        return 0
