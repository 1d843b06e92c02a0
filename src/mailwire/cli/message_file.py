"""MessageFile: a message in a file or on standard input. Its header is read to know who it is from and for; the rest is
read while it is sent, however large it is.
"""

import re
from email import message_from_bytes
from email.message import Message
from email.policy import SMTP
from typing import BinaryIO, Final

from ..errors import InvalidMessage

__all__ = ["MessageFile"]

# Octets. No mail program writes a longer header; what has no end of one within this is no message.
_HEADER_LIMIT: Final = 4 * 1024 * 1024

# What follows holds for any line end, a bare CR too: all of them are CRLF when the message leaves, and the standard
# library's parser takes them for that.

# A field that nobody is to read (RFC 5322 3.6.3, 3.6.6), with the lines on which it goes on.
_HIDDEN: Final = re.compile(
    rb"(?<![^\r\n])(?:Resent-)?Bcc[ \t]*:[^\r\n]*+(?:\r\n?|\n)?+(?:[ \t][^\r\n]*+(?:\r\n?|\n)?+)*+", re.IGNORECASE
)

# A blank before the colon, which the standard library takes for the end of the header (RFC 5322 4.5).
_OBSOLETE: Final = re.compile(rb"(?<![^\r\n])([!-9;-~]+)[ \t]+:")

# The line by which mail is parted in an mbox (RFC 4155). Servers would take it for the end of the header.
_POSTMARK: Final = re.compile(rb"From [^\r\n]*+(?:\r\n?|\n)")

_HEADER_END: Final = re.compile(rb"(?>\A|\r\n|[\r\n])(?:\r\n?|\n)")


class MessageFile:
    """The octets of a message in a binary `file`, from where it stands; a file itself, without Bcc and Resent-Bcc, and
    without the line of an mbox before them.

    Raises InvalidMessage where the header does not end within 4 MiB, OSError where the file cannot be read.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        begun = _read_begin(file)
        start = found.end() if (found := _POSTMARK.match(begun)) else 0
        end = found.end() if (found := _HEADER_END.search(begun)) else len(begun)
        header = begun[start:end]
        self.header: Message = message_from_bytes(_OBSOLETE.sub(rb"\1:", header), policy=SMTP)
        """The fields of the header, with Bcc and Resent-Bcc, and nothing behind them."""
        self._begin = _HIDDEN.sub(b"", header) + begun[end:]
        self._rest = file.tell() if file.seekable() else 0  # where it begins in the file
        self._position = 0  # in the begin

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` octets, none at the end."""
        if self._position < len(self._begin):
            end = len(self._begin) if size < 0 else self._position + size
            block = self._begin[self._position : end]
            self._position += len(block)
            return block
        return self._file.read(size)

    def seekable(self) -> bool:
        """Whether it can be read again."""
        return self._file.seekable()

    def tell(self) -> int:
        """Return how many octets were read."""
        return self._position + (self._file.tell() - self._rest)

    def seek(self, offset: int, /) -> int:
        """Go to where `offset` octets were read."""
        self._position = min(offset, len(self._begin))
        self._file.seek(self._rest + offset - self._position)
        return offset


def _read_begin(file: BinaryIO) -> bytes:
    # The header, and what a line feed is far behind it.
    lines: list[bytes] = []
    size = 0
    while line := file.readline(_HEADER_LIMIT + 1):
        lines.append(line)
        size += len(line)
        if size > _HEADER_LIMIT:
            raise InvalidMessage(f"expected a message: its header has no end within {_HEADER_LIMIT} octets")
        if line in (b"\r\n", b"\n"):
            break
    return b"".join(lines)
