"""Pieces: octets made of what is in memory, piece by piece.

To encode or to copy 100 MB at once holds up everything else, in any thread, for some tenths of a second.
"""

import binascii
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, Literal, Protocol, TypeVar

from .._wire.dots import LineEnds
from ..errors import InvalidMessage

__all__ = [
    *("BLOCK_SIZE", "Base64", "Buffer", "EncodedText", "Lines", "Piecewise", "QuotedPrintable", "Rewrapped"),
    *("SoftBroken", "cut"),
]

B = TypeVar("B", bytes, str)

BLOCK_SIZE: Final = 256 * 1024
"""The octets of a block: large enough that it costs little, small enough to stay in the processor's cache while it is
mended."""

# RFC 2045 6.8: lines of at most 76 characters; so many octets are in one.
_LINE: Final = struct.Struct("76s")
_LINE_OCTETS: Final = 57

# A line that is too long for SMTP, and what of it makes a line in quoted-printable (RFC 2045 6.7): no octet that is
# written as three characters is cut in two.
_LONG_LINE: Final = re.compile(rb"(?m)^[^\r\n]{999,}")
_SHORT_LINE: Final = re.compile(rb".{70}(?:(?<==)..|(?<==.).)?+(?=..)")


def cut(octets: B) -> Iterator[B]:
    """Cut `octets` into blocks; the same object where it is not larger than one."""
    if len(octets) <= BLOCK_SIZE:
        return iter([octets] if octets else [])
    return (octets[start : start + BLOCK_SIZE] for start in range(0, len(octets), BLOCK_SIZE))


class Piecewise(Protocol):
    """Octets that are made as they are asked for."""

    def __len__(self) -> int:
        """Return about how many there are."""

    def __iter__(self) -> Iterator[bytes]:
        """Make them, in pieces."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """The octets that something holds which may be changed; it is to be left alone as long as this is used."""

    held: bytearray | memoryview

    @classmethod
    def of(cls, held: bytearray | memoryview) -> "bytes | Buffer":
        """Return the octets of `held`: at once where they are few, or do not lie side by side."""
        buffer = cls(held)
        return buffer if len(buffer) > BLOCK_SIZE and memoryview(held).c_contiguous else bytes(held)

    def __len__(self) -> int:
        return memoryview(self.held).nbytes

    def __iter__(self) -> Iterator[bytes]:
        # No view is kept: a bytearray that is being viewed cannot be resized, not even afterwards.
        for start in range(0, len(self), BLOCK_SIZE):
            yield bytes(memoryview(self.held).cast("B")[start : start + BLOCK_SIZE])


@dataclass(frozen=True, slots=True)
class EncodedText:
    """A text, encoded. Making the pieces raises InvalidMessage for what the encoding cannot express."""

    text: str
    encoding: Literal["utf-8", "ascii"] = "utf-8"
    errors: Literal["strict", "surrogateescape"] = "strict"

    def __len__(self) -> int:
        return len(self.text)

    def __iter__(self) -> Iterator[bytes]:
        for piece in cut(self.text):
            try:
                encoded = piece.encode(self.encoding, self.errors)
            except UnicodeEncodeError as error:
                name = self.encoding.upper()
                raise InvalidMessage(f"the text of the message cannot be written in {name}: {error}") from error
            yield from cut(encoded)


@dataclass(frozen=True, slots=True)
class Lines:
    """The `octets` of a text, with CRLF for every line end (RFC 2046 4.1.1); no CRLF is cut in two. Making the pieces
    raises InvalidMessage for a NUL."""

    octets: Piecewise

    def __len__(self) -> int:
        return len(self.octets)

    def __iter__(self) -> Iterator[bytes]:
        line_ends = LineEnds()
        for piece in self.octets:
            try:
                mended = line_ends.feed(piece)
            except ValueError as error:
                raise InvalidMessage(str(error)) from error
            yield mended
        yield line_ends.finish()


@dataclass(frozen=True, slots=True)
class QuotedPrintable:
    """The `lines` in quoted-printable, which end in CRLF (RFC 2045 6.7)."""

    lines: Lines

    def __len__(self) -> int:
        return len(self.lines)

    def __iter__(self) -> Iterator[bytes]:
        before = b""
        for piece in self.lines:
            if before and piece:
                # The "x" stands for what follows: a blank before it is not the last of its line, and there is room.
                encoded = _quoted(before + b"x")[:-1]
                yield from cut(encoded if encoded.endswith(b"\n") else encoded + b"=\r\n")
            before = piece or before
        yield from cut(_quoted(before))


@dataclass(frozen=True, slots=True)
class SoftBroken:
    """What is in quoted-printable already, with soft line breaks where a line is too long to be sent (RFC 2045 6.7)."""

    lines: Lines

    def __len__(self) -> int:
        return len(self.lines)

    def __iter__(self) -> Iterator[bytes]:
        rest = b""
        for piece in self.lines:
            text = _LONG_LINE.sub(_softly_broken, rest + piece)
            end = text.rfind(b"\n") + 1
            rest = text[end:]
            yield from cut(text[:end])
        yield from cut(rest)


@dataclass(frozen=True, slots=True)
class Base64:
    """The `octets` in base64, in lines that end in CRLF (RFC 2045 6.8)."""

    octets: Piecewise

    def __len__(self) -> int:
        return len(self.octets) * 78 // _LINE_OCTETS

    def __iter__(self) -> Iterator[bytes]:
        for piece in _in_multiples(self.octets, _LINE_OCTETS):
            yield from cut(_in_lines(binascii.b2a_base64(piece, newline=False)))


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """What is in base64 already, whatever its lines, in lines that end in CRLF (RFC 2045 6.8)."""

    encoded: Piecewise

    def __len__(self) -> int:
        return len(self.encoded)

    def __iter__(self) -> Iterator[bytes]:
        bare = (piece.translate(None, b"\r\n\t ") for piece in self.encoded)
        for piece in _in_multiples(bare, _LINE.size):
            yield from cut(_in_lines(piece))


def _quoted(text: bytes) -> bytes:
    return binascii.b2a_qp(text.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")


def _softly_broken(line: re.Match[bytes]) -> bytes:
    return _SHORT_LINE.sub(rb"\g<0>=\r\n", line[0])


def _in_multiples(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    # The same octets, in pieces of which all but the last are a multiple of `size` long.
    rest = b""
    for piece in pieces:
        octets = rest + piece
        whole = len(octets) - len(octets) % size
        rest = octets[whole:]
        if whole:
            yield octets[:whole]
    if rest:
        yield rest


def _in_lines(encoded: bytes) -> bytes:
    whole = len(encoded) - len(encoded) % _LINE.size
    lines = map(itemgetter(0), _LINE.iter_unpack(memoryview(encoded)[:whole]))
    return b"\r\n".join((*lines, encoded[whole:], b"") if whole < len(encoded) else (*lines, b""))
