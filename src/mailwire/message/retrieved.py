"""RetrievedMessage: a message as a server gave it, and its parsing, on request and within limits.

What a stranger wrote is handed to the standard library's parser only when the caller says so. That parser takes time in
proportion to the square of a field's length (for 40 kB of semicolons in Content-Type, the better part of a minute), and
goes into itself for every part within a part and for every comment within a comment.
"""

import re
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import EmailPolicy
from typing import Any, Final, cast

from ..errors import MessageUnreadable

__all__ = ["RetrievedMessage"]

# Far more than any honest message has: Gmail takes 500 kB of header, Exchange 256 kB, and few pass 100 fields.
_HEADER_LIMIT: Final = 512 * 1024  # octets
_FIELDS_LIMIT: Final = 2000
# Of a field that is asked for; parsing this much of the worst kind takes some seconds.
_FIELD_LIMIT: Final = 16 * 1024  # characters
# Content-Type is parsed with the message, in each of its parts. The squares of their lengths, added up: two thousand of
# the usual ones, or one of 4,000 octets.
_LABOUR_LIMIT: Final = 16_000_000
# Each may be within the one before, and each line of a message then goes through all of them: so many times, in a
# second. Three multiparts, which are what a letter with pictures and attachments has, leave room for 250 MB.
_MULTIPARTS_LIMIT: Final = 300
_PASSES_LIMIT: Final = 10_000_000

_HEADER_END: Final = re.compile(rb"\r?\n\r?\n|\r\r|\A\r?\n")
_FIELD: Final = re.compile(rb"(?m)^[!-9;-~]++[ \t]*+:")
_STRUCTURE: Final = re.compile(rb"(?mi)^content-(?:type|transfer-encoding)[ \t]*+:[^\r\n]*+(?>\r?\n?[ \t][^\r\n]*+)*+")


class _Bounded(EmailPolicy):
    # Parses a field when it is asked for, if it is no longer than it may be.

    def header_fetch_parse(self, name: str, value: Any) -> Any:
        if len(value) > _FIELD_LIMIT:
            raise MessageUnreadable(
                f"the header field {name} has {len(value)} characters, and at most {_FIELD_LIMIT} are parsed"
            )
        try:
            return super().header_fetch_parse(name, value)
        except Exception as error:
            # The parser fails in more ways than it says.
            raise MessageUnreadable(
                f"the header field {name} cannot be parsed: {type(error).__name__}: {error}"
            ) from error


_POLICY: Final = cast("EmailPolicy[EmailMessage]", _Bounded(linesep="\r\n"))


@dataclass(frozen=True, slots=True)
class RetrievedMessage:
    """A message as the server gave it: `raw` is it, octet for octet, `number` was its number in that session, `uid` is
    its unique id, None where the server has no UIDL."""

    number: int
    uid: str | None
    raw: bytes = field(repr=False)

    def parse(self) -> EmailMessage:
        """Parse the message.

        It may take a second or two: in a coroutine, `await asyncio.to_thread(message.parse)`. Raises MessageUnreadable
        for a header of more than 512 KiB or 2,000 fields, for more than 300 multiparts, or so many lines that they and
        the multiparts, multiplied, are more than 10,000,000, for Content-Type fields that would take too long, and for
        what breaks the parser. A field of more than 16,384 characters raises it when it is asked for, as does one that
        breaks the parser. Whatever it raises, `raw` is the message.
        """
        _check(self.raw)
        return message_from_bytes(self.raw, policy=_POLICY)


def _check(raw: bytes) -> None:
    # To the parser a bare CR ends a line as well.
    raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if _has_bare_cr(raw) else raw
    found = _HEADER_END.search(raw, 0, _HEADER_LIMIT)
    if found is None and len(raw) > _HEADER_LIMIT:
        raise MessageUnreadable(f"the header of the message has more than {_HEADER_LIMIT} octets")
    header = raw[: found.start() if found else len(raw)]
    if sum(1 for _ in _FIELD.finditer(header)) > _FIELDS_LIMIT:
        raise MessageUnreadable(f"the header of the message has more than {_FIELDS_LIMIT} fields")
    structure = [found[0] for found in _STRUCTURE.finditer(raw)]
    multiparts = sum(b"multipart/" in text.lower() for text in structure)
    if multiparts > _MULTIPARTS_LIMIT:
        raise MessageUnreadable(f"the message has more than {_MULTIPARTS_LIMIT} multiparts")
    if multiparts * raw.count(b"\n") > _PASSES_LIMIT:
        raise MessageUnreadable(f"the message has {multiparts} multiparts, and too many lines for them to be parsed")
    if sum(len(text) ** 2 for text in structure) > _LABOUR_LIMIT:
        raise MessageUnreadable("the Content-Type fields of the message would take too long to be parsed")


def _has_bare_cr(raw: bytes) -> bool:
    return raw.count(b"\r") != raw.count(b"\r\n")
