"""Folding: a field of a header in lines (RFC 5322 2.2.3), broken at blanks and nowhere else.

The standard library makes encoded words (RFC 2047) of whatever is too long for one of its lines: of a URL in
List-Unsubscribe, which no mail program decodes there, and of the commas between long addresses.
"""

import re
from typing import Final

__all__ = ["fold", "is_foldable"]

_LINE: Final = 78  # RFC 5322 2.1.1: what a line should keep to, without its CRLF...
_LINE_LIMIT: Final = 998  # ...and what it must keep to

_TEXT: Final = re.compile(r"[ -~\t]*\Z")
_WORD: Final = re.compile(r"[ \t]*[^ \t]+")


def is_foldable(text: str) -> bool:
    """Return whether `text` is printable ASCII, with blanks."""
    return _TEXT.match(text) is not None


def fold(name: str, text: str) -> str | None:
    """Return `text`, the value of a field called `name`, in lines of 78 characters where its words let it.

    `text` must be foldable. Unfolded, the value is the same but for blanks at its ends. None if a word is longer than a
    line may be (RFC 5322 2.1.1).
    """
    lines: list[str] = []
    line = f"{name}:"
    for word in _WORD.findall(" " + text.strip(" \t")):
        if len(line) + len(word) > _LINE and (lines or line[-1] != ":"):
            lines.append(line)
            line = ""
        line += word
    lines.append(line)
    if max(map(len, lines)) > _LINE_LIMIT:
        return None
    return "\r\n".join(lines)[len(name) + 2 :]
