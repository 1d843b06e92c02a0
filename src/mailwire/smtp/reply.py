"""Reply: what an SMTP server answers (RFC 5321 4.2), and the reading of it.

We are stricter than the standard asks where leniency has lost mail, and looser where strictness only annoys:

* a code that is no code, lines of one reply with different codes, an empty line, a NUL: fatal. A reply that is not
  understood may be the answer to anything, and every later one would answer the wrong command.
* a missing text (`250`), a bare LF at the end, octets beyond ASCII: accepted.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .._wire.lines import LineBuffer
from .._wire.text import check_kind, printable
from ..errors import LimitExceeded, RemoteProtocolError

__all__ = ["LINE_LIMIT", "REPLY_LIMIT", "REPLY_LINE_LIMIT", "EnhancedCode", "Reply", "ReplyReader"]

# RFC 5321 4.5.3.1.5 allows a reply line 512 octets. Real servers exceed that (long EHLO lines, links in refusals), so
# the limits are where libcurl's (64 KiB a reply) and Postfix's (2,048 a line, generously) stand.
LINE_LIMIT: Final = 8192
"""The octets that a line of a reply may have."""
REPLY_LIMIT: Final = 65536
"""The octets that a reply may have, with all of its lines."""
REPLY_LINE_LIMIT: Final = 512
"""The lines that a reply may have."""

# RFC 5321 4.2.1: the first digit is 2 to 5 (1yz "does not exist in SMTP"). The ASCII digits only: bytes patterns know
# no others, unlike int() and str.isdigit().
_LINE: Final = re.compile(rb"([2-5][0-9][0-9])(?:([ -])([^\0]*))?\Z", re.DOTALL)
# RFC 2034 3: class "." subject "." detail, the latter two of 1 to 3 digits, at the beginning of the text.
_ENHANCED: Final = re.compile(rb"([245])\.([0-9]{1,3})\.([0-9]{1,3})(?: |\Z)")


# A server says the same to every MAIL, RCPT and DATA that goes well: such lines need not be parsed again, which spares
# 1 us of the 4 that a reply takes. What it says besides (queue ids) soon fills the few places there are, and is parsed.
_REPEATED: Final = frozenset({250, 354})
_REPEATED_LIMIT: Final = 8


@dataclass(frozen=True, slots=True)
class EnhancedCode:
    """An enhanced mail system status code (RFC 3463): class, subject and detail, as in 5.1.1."""

    class_: int
    subject: int
    detail: int

    def __str__(self) -> str:
        return f"{self.class_}.{self.subject}.{self.detail}"


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: `code` (200 to 599) and the text of each of its `lines`, without code and line end."""

    code: int
    lines: tuple[bytes, ...]

    @property
    def text(self) -> str:
        """The text as one printable line; what is not printable appears as escapes."""
        return " ".join(printable(line) for line in self.lines)

    @property
    def enhanced_code(self) -> EnhancedCode | None:
        """The enhanced status code (RFC 2034), None if there is none or its class contradicts the code."""
        found = _ENHANCED.match(self.lines[-1])
        if found is None or int(found[1]) != self.code // 100:
            return None
        return EnhancedCode(int(found[1]), int(found[2]), int(found[3]))

    # RFC 5321 4.3.2: a code that nobody listed is judged by its first digit.

    @property
    def is_completion(self) -> bool:
        """2yz: it was done."""
        return self.code < 300

    @property
    def is_intermediate(self) -> bool:
        """3yz: go on."""
        return 300 <= self.code < 400

    @property
    def is_transient(self) -> bool:
        """4yz: not done, may be done later."""
        return 400 <= self.code < 500

    @property
    def is_permanent(self) -> bool:
        """5yz: not done, do not repeat."""
        return self.code >= 500

    def __str__(self) -> str:
        return f"{self.code} {self.text}".rstrip()

    def masked(self, mask: Callable[[bytes], bytes]) -> "Reply":
        """Return the reply with each line passed through `mask`."""
        return Reply(self.code, tuple(map(mask, self.lines)))

    def shown(self) -> Sequence[str]:
        """Return the lines of a transcript: as they came, made printable."""
        last = len(self.lines) - 1
        return tuple(
            f"{self.code}{'-' if number < last else ' '}{printable(line)}".rstrip(" ")
            for number, line in enumerate(self.lines)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold, each octet as the character of its number; `text` is for people."""
        return {"code": self.code, "text": self.text, "lines": [line.decode("latin-1") for line in self.lines]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Reply":
        """Return what `to_dict` was called on. Raises KeyError, TypeError or ValueError for what it did not return."""
        code, lines = data["code"], data["lines"]
        check_kind("the code of a reply", code, int, "a whole number")
        check_kind("the lines of a reply", lines, (list, tuple), "a list of text")
        if not (200 <= code <= 599 and lines):
            raise ValueError(f"expected a code from 200 to 599 and a line at least, got {code} and {len(lines)} lines")
        for line in lines:
            check_kind("a line of a reply", line, str, "text")
        return cls(code, tuple([line.encode("latin-1") for line in lines]))


class ReplyReader(LineBuffer):
    """Puts replies together from the lines of what was received."""

    def __init__(self) -> None:
        super().__init__(LINE_LIMIT)
        self._lines: list[bytes] = []
        self._size = 0
        self._code = b""
        self.is_spent: bool = False
        """Whether nothing else had come behind the replies that `take_together` took last."""
        self._repeated: dict[bytes, Reply] = {}  # replies of one line that were read, by that line

    def __bool__(self) -> bool:
        """Whether anything was received that is not part of a reply handed out."""
        # As that of a LineBuffer, in one: it is asked before whatever is written.
        return bool(self._lines or self._arrived or self._beginning or self._start < len(self._data))

    def next_reply(self) -> Reply | None:
        """Take the next reply; None if it is not complete yet.

        Raises RemoteProtocolError for what is no reply, LimitExceeded for one that does not end.
        """
        while (line := self.next_line()) is not None:
            if not self._lines and (reply := self._repeated.get(line)) is not None:
                return reply
            found = _LINE.match(line)
            if found is None:
                raise RemoteProtocolError(
                    f"expected a reply line (three digits from 200 to 599, then a space or hyphen and text), "
                    f"got {self.quote(line)}"
                )
            code, separator, text = found[1], found[2], found[3] or b""
            if self._lines and code != self._code:
                raise RemoteProtocolError(
                    f"expected the next line of a reply {self._code.decode()}, got {self.quote(line)}: "
                    "all lines of a reply have the same code"
                )
            self._code = code
            self._lines.append(text)
            self._size += len(line) + 2
            if self._size > REPLY_LIMIT or len(self._lines) > REPLY_LINE_LIMIT:
                raise LimitExceeded(
                    f"a reply {code.decode()} is longer than {REPLY_LIMIT} octets or {REPLY_LINE_LIMIT} lines; "
                    f"its last line is {self.quote(line)}"
                )
            if separator != b"-":
                reply = Reply(int(code), tuple(self._lines))
                if reply.code in _REPEATED and len(self._lines) == 1 and len(self._repeated) < _REPEATED_LIMIT:
                    self._repeated[line] = reply
                self._lines.clear()
                self._size = 0
                return reply
        return None

    def take_together(self, pattern: re.Pattern[bytes]) -> bytes | None:
        """Take whole replies of one line each that `pattern` matches, as they came; None if what has come is other, or
        they are not in one piece."""
        if self._lines or self._beginning:
            return None
        data = self._data
        if self._start == len(data):
            self._data = data = self._arrived.popleft() if self._arrived else b""
            self._start = 0
        found = pattern.match(data, self._start)
        if found is None:
            return None
        self._start = end = found.end()
        self.is_spent = end == len(data) and not self._arrived
        return found[0]

    def put_back(self, taken: bytes) -> None:
        """Let what `take_together` took last be taken again: nothing has been done to the reader since."""
        self._start -= len(taken)

    @property
    def rest(self) -> bytes:
        """What was received behind a reply that was taken."""
        return b"".join((self._data[self._start :], *self._arrived))

    def quote_rest(self) -> str:
        """Return what was received and is not part of a reply, as it may stand in an error; "" if that is nothing."""
        lines = b"".join(self._code + b"-" + line + b"\r\n" for line in self._lines)
        quoted = self.quote(lines) if lines else ""
        return f"{quoted} {super().quote_rest()}".strip()
