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

# A field that nobody is to read (RFC 5322 3.6.3, 3.6.6), with the lines on which it goes on.
_HIDDEN: Final = re.compile(rb"^(?:Resent-)?Bcc[ \t]*:[^\n]*+\n?(?:[ \t][^\n]*+\n?)*+", re.IGNORECASE | re.MULTILINE)

# A blank before the colon, which the standard library takes for the end of the header (RFC 5322 4.5).
_OBSOLETE: Final = re.compile(rb"^([!-9;-~]+)[ \t]+:", re.MULTILINE)


class MessageFile:
    """The octets of a message in a binary `file`, from where it stands; a file itself, without Bcc and Resent-Bcc.

    Raises InvalidMessage where the header does not end within 4 MiB, OSError where the file cannot be read.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        whole = _read_header(file)
        self.header: Message = message_from_bytes(_OBSOLETE.sub(rb"\1:", whole), policy=SMTP)
        """The fields of the header, with Bcc and Resent-Bcc, and nothing behind them."""
        self._header = _HIDDEN.sub(b"", whole)
        self._body = file.tell() if file.seekable() else 0  # where it begins in the file
        self._position = 0  # in the header

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` octets, none at the end."""
        if self._position < len(self._header):
            end = len(self._header) if size < 0 else self._position + size
            block = self._header[self._position : end]
            self._position += len(block)
            return block
        return self._file.read(size)

    def seekable(self) -> bool:
        """Whether it can be read again."""
        return self._file.seekable()

    def tell(self) -> int:
        """Return how many octets were read."""
        return self._position + (self._file.tell() - self._body)

    def seek(self, offset: int, /) -> int:
        """Go to where `offset` octets were read."""
        self._position = min(offset, len(self._header))
        self._file.seek(self._body + offset - self._position)
        return offset


def _read_header(file: BinaryIO) -> bytes:
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
