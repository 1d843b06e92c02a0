"""Text of unknown intent: how it is quoted, how it is shown, and what never reaches the wire.

Bytes from a server, a mailbox or a caller are hostile until proven otherwise. They are decoded once, here, at the
edge where a person reads them, and what could move a terminal's cursor or forge a line of a log is escaped.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

__all__ = [
    "LINE_END",
    "TRUTH",
    "Kind",
    "check_argument",
    "check_choice",
    "check_function",
    "check_kind",
    "check_kinds",
    "check_line",
    "check_lines",
    "check_number",
    "check_seconds",
    "check_whole_number",
    "command_expected",
    "described",
    "octets_of",
    "printable",
    "quote",
    "secret_problem",
]

LINE_END: Final = b"\r\n"

Kind: TypeAlias = tuple[type | tuple[type, ...], str]
"""What a value may be of, and how that is said."""
TRUTH: Final[Kind] = (bool, "True or False")

# Characters of a value of another kind than it should be.
_QUOTED: Final = 100

# A whole number of so many bits is less than the greatest float, 2**1024 - 2**970.
_FLOAT_BITS: Final = 1023

# C0 and DEL: no argument of any command of either protocol may hold one (RFC 5321 4.1.2, RFC 1939 3).
_CONTROLS: Final = bytes(range(0x20)) + b"\x7f"

# What `printable` escapes: C0, DEL and C1 (8-bit terminals obey it), the separators at which str.splitlines() and log
# viewers break a line, and the marks that reorder what stands around them.
_REORDERING: Final = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_ESCAPES: Final = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *_REORDERING)
}


def printable(data: bytes) -> str:
    """Return `data` as one line of text that is safe to print.

    Valid UTF-8 is shown as such; every other byte, every control character and every character that reorders text or
    ends a line appears as a backslash escape.
    """
    return data.decode("utf-8", "backslashreplace").translate(_ESCAPES)


def quote(data: bytes | str, limit: int = 120) -> str:
    """Return `data` as a literal for an error message, cut after `limit` octets or characters."""
    if len(data) <= limit:
        return repr(data)
    return f"{data[:limit]!r}... ({len(data)} {'characters' if isinstance(data, str) else 'octets'})"


def check_kind(name: str, value: object, kinds: type | tuple[type, ...], expected: str) -> None:
    """Raise ValueError unless `value`, given as `name`, is of one of these `kinds`; says what was `expected`."""
    # True is a number to Python, and to nobody else.
    allows_truth = bool in (kinds if isinstance(kinds, tuple) else (kinds,))
    if not isinstance(value, kinds) or (isinstance(value, bool) and not allows_truth):
        raise ValueError(f"expected {name} to be {expected}, got {described(value)}")


def described(value: object) -> str:
    """Return the beginning of `value`, which is not of the kind that it should be, and of what kind it is."""
    return f"{repr(value)[:_QUOTED]} ({type(value).__name__})"


def octets_of(name: str, data: object) -> bytes:
    """Return `data`, given as `name`, as octets that nobody changes any more: a bytearray or a memoryview is copied.

    Raises ValueError for anything else. It is not quoted: there may be a secret in it.
    """
    if isinstance(data, bytes):
        return data
    if isinstance(data, (bytearray, memoryview)):
        return bytes(data)
    raise ValueError(f"expected {name} to be bytes, got a value of the type {type(data).__name__}")


def check_kinds(settings: object, kinds: Mapping[str, Kind]) -> None:
    """Raise ValueError unless each attribute of `settings` that `kinds` names is of its kind."""
    for name, (types, expected) in kinds.items():
        check_kind(name, getattr(settings, name), types, expected)


def check_choice(name: str, value: object, one: str, other: str) -> None:
    """Raise ValueError unless `value`, given as `name`, is `one` word or the `other`."""
    if value not in (one, other):
        raise ValueError(f'expected {name} to be "{one}" or "{other}", got {described(value)}')


def check_function(name: str, value: object) -> None:
    """Raise ValueError unless `value`, given as `name`, is a function or None."""
    if value is not None and not callable(value):
        raise ValueError(f"expected {name} to be a function or None, got {value!r}")


def check_number(name: str, value: Any, *, or_none: bool = False) -> None:
    """Raise ValueError unless `value`, given as `name`, is a number above 0, infinity included; or None, if it may."""
    if or_none and value is None:
        return
    check_kind(name, value, (int, float), "a number or None" if or_none else "a number")
    if not value > 0:  # nor is NaN
        raise ValueError(f"expected {name} to be more than 0, got {value}")
    if isinstance(value, int) and value.bit_length() > _FLOAT_BITS:
        raise ValueError(f"expected {name} to be a number that a float can hold, got one of {value.bit_length()} bits")


def check_seconds(name: str, value: Any) -> None:
    """Raise ValueError unless `value`, given as `name`, is a number of seconds to wait for, 0 at least; or None."""
    if value is None:
        return
    check_kind(name, value, (int, float), "a number of seconds or None")
    if not value >= 0:  # nor is NaN
        raise ValueError(f"expected {name} to be 0 at least, got {value}")


def check_whole_number(name: str, value: Any, least: int = 1, *, or_none: bool = False) -> None:
    """Raise ValueError unless `value`, given as `name`, is a whole number, `least` or above; or None, if it may be."""
    if or_none and value is None:
        return
    check_kind(name, value, int, "a whole number or None" if or_none else "a whole number")
    if value < least:
        raise ValueError(f"expected {name} to be {least} at least, got {value}")


def check_argument(name: str, data: bytes) -> bytes:
    """Return `data`, the argument called `name` of a command, if it holds no control character.

    Raises ValueError for C0 (CR, LF and NUL among them) and DEL, whatever quoting surrounds them.
    """
    # translate() drops the controls in one pass over the bytes: an equal length means that there were none.
    if len(data.translate(None, _CONTROLS)) != len(data):
        raise ValueError(f"{name} must not hold control characters (CR, LF, NUL, ...), got {quote(data)}")
    return data


def secret_problem(name: str, text: object) -> str | None:
    """Return what is wrong with `text`, the secret called `name`, without quoting it: it is no text that UTF-8 can
    express, empty, or holds a control character. None if nothing is.

    Whoever raises an error of that, first lets go of the secret: a traceback may show locals.
    """
    if not isinstance(text, str):
        return f"expected {name} to be text, got {type(text).__name__}"
    data = text.encode("utf-8", "replace")
    if data.translate(None, _CONTROLS) != data:
        return f"{name} must not hold control characters (CR, LF, NUL, ...)"
    if not data or data.decode("utf-8") != text:
        return f"{name} must not be empty, and must be text that UTF-8 can express"
    return None


def command_expected(example: str, value: object) -> ValueError:
    """Return the error for `value`, which is no command; `example` is one. It is not quoted: it may hold a password."""
    return ValueError(f"expected a command such as {example}, got a value of the type {type(value).__name__}")


def check_line(data: bytes) -> bytes:
    """Return `data` if it is exactly one command line: no control character before the CRLF that ends it.

    This is the one gate in front of the wire: whatever a command's `encode()` returns passes it before it is queued,
    and what is not bytes does not. Raises ValueError.
    """
    if type(data) is not bytes:  # nor is it quoted
        kind = type(data).__name__
        raise ValueError(f"expected a command's encode() to return bytes, got a value of the type {kind}")
    # One pass: of what is a command, two octets are controls, those at its end.
    if len(data.translate(None, _CONTROLS)) == len(data) - 2 and data.endswith(LINE_END):
        return data
    if not data.endswith(LINE_END):
        raise ValueError(f"a command must end in CRLF, got {quote(data)}")
    return check_argument("a command", data[:-2])


def check_lines(data: bytes, count: int) -> bytes:
    """Return `data` if it is `count` command lines, each as `check_line` wants it. Raises ValueError."""
    controls = len(data) - len(data.translate(None, _CONTROLS))
    if controls == 2 * count and data.count(LINE_END) == count and data.endswith(LINE_END):
        return data
    for line in data.split(LINE_END):
        check_argument("a command", line)
    raise ValueError(f"expected {count} commands that end in CRLF, got {quote(data)}")
