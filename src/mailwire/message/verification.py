"""Verification: whether the octets made of a message have the header that the message has, and its parts have theirs.

The standard library's generator is watched in two ways. Each field is looked at when it is written: by a policy that
does what the message's policy does, and checks the octets; and what they say, where they are addresses. And when all is
written, the fields are counted: whatever line end found its way into a header has made a field that should not be
there, or has hidden one that should.

A multipart whose delimiter stands in what it holds would arrive with other parts; such are found before.
"""

from collections.abc import Iterator
from email.headerregistry import AddressHeader
from email.message import Message
from email.policy import SMTP, Policy
from functools import lru_cache
from typing import Any, Final

from .._wire.text import quote
from ..errors import InvalidMessage
from .addresses import ADDRESS_FIELDS, said_in, text_of, write_addresses
from .folding import fold, is_foldable
from .payloads import payload_of

__all__ = ["PARSED_LIMIT", "checking", "holding_delimiters", "too_long", "verify"]

PARSED_LIMIT: Final = 10_000
"""Characters of a field that must be parsed to be written otherwise. The standard library's parser takes time in
proportion to the square of it: a second or so for this much."""

_PARAMETER_FIELDS: Final = frozenset({"content-type", "content-disposition"})
_UNKNOWN: Final = b"=?unknown-8bit?"
_IN_SEVEN_BITS: Final = SMTP.clone(cte_type="7bit")


def too_long(name: str) -> InvalidMessage:
    """Return what is raised for a field with more characters than that."""
    return InvalidMessage(f"the header field {name} has more than {PARSED_LIMIT} characters, and must be rewritten")


class _Checking(Policy):
    _as_read = False

    def fold_binary(self, name: str, value: Any) -> bytes:
        folded = self._written(name, value)
        # The standard library leaves LF between lines that have octets beyond ASCII.
        if self._as_read or not (folded.isascii() or _is_one_field(name, folded)):
            folded = _unchanged(name, value) or folded
        if not _is_one_field(name, folded):
            raise InvalidMessage(f"the header field {name} cannot be written as one field: {quote(folded)}")
        return folded

    def _written(self, name: str, value: Any) -> bytes:
        folded = super().fold_binary(name, value)
        if b"=?" in folded or not _is_one_field(name, folded):
            folded = _folded_at_blanks(name, value) or folded
        if _UNKNOWN in folded and name.lower() in _PARAMETER_FIELDS:
            folded = _folded_with_parameters(name, value) or folded
        if name.lower() in ADDRESS_FIELDS and type(value) is not str:
            folded = _with_the_same_addresses(name, value, folded, utf8=getattr(self, "utf8", False))
        return folded


def _unchanged(name: str, value: Any) -> bytes | None:
    # What was parsed is text, and has octets beyond ASCII as surrogates.
    if type(value) is not str:
        return None
    lines = value.replace("\r\n", "\n").replace("\n", "\r\n")
    try:
        return f"{name}: {lines}\r\n".encode("ascii", "surrogateescape")
    except UnicodeEncodeError:
        return None


def _folded_at_blanks(name: str, value: Any) -> bytes | None:
    # What was assigned and is ASCII needs no encoded words; what was parsed is written as it is.
    text = str(value)
    if type(value) is str or "=?" in text or not is_foldable(text) or (folded := fold(name, text)) is None:
        return None
    return f"{name}: {folded}\r\n".encode("ascii")


def _folded_with_parameters(name: str, value: Any) -> bytes | None:
    # Of octets that were parsed and are no text, the older kind makes encoded words, in which nobody looks for
    # parameters (RFC 2047 5): the parts of a message or the name of a file would be lost.
    if type(value) is not str or value.isascii():
        return None
    if len(value) > PARSED_LIMIT:
        if name.lower() == "content-type":
            raise too_long(name)
        return None  # a file without its name is no message without its parts
    return _IN_SEVEN_BITS.fold_binary(name, value)


def _with_the_same_addresses(name: str, value: Any, folded: bytes, *, utf8: bool) -> bytes:
    # What was assigned is written by the standard library, unless that says something else.
    text, written = text_of(value), text_of(folded[len(name) + 1 : -2].decode("utf-8"))
    if written.strip() == text:
        return folded
    said = said_in(text)
    if _is_read_alike(name, value, written) if said is None else said == said_in(written):
        return folded
    if not utf8 and not all(mailbox.is_ascii for _, mailbox in said or ()):
        return folded  # SMTPUTF8 alone can express it
    return f"{name}: {write_addresses(name, text, utf8=utf8)}\r\n".encode()


def _is_read_alike(name: str, value: Any, written: str) -> bool:
    # What only the standard library can read, is compared by it.
    if not isinstance(value, AddressHeader):
        return True
    try:
        again: Any = SMTP.header_factory(name, written)
    except Exception:
        return False  # its parser fails in more ways than it says
    return bool(again.groups == value.groups)


def _is_one_field(name: str, folded: bytes) -> bool:
    if not folded.startswith(name.encode("ascii") + b":") or not folded.endswith(b"\r\n") or b"\0" in folded:
        return False
    if folded.find(b"\r") == folded.find(b"\n") - 1 == len(folded) - 2:
        return True
    first, *others = folded[:-2].split(b"\r\n")
    if b"\r" in first or b"\n" in first:
        return False
    for line in others:
        if line[:1] not in (b" ", b"\t") or line.isspace() or b"\r" in line or b"\n" in line:
            return False
    return True


@lru_cache(16)
def _checking_kind(kind: type[Policy], as_read: bool) -> type[Policy]:
    return type("Checking", (_Checking, kind), {"_as_read": as_read})


def checking(policy: Policy, *, as_read: bool) -> Policy:
    """Return a policy that writes fields as `policy` does, or those that were parsed `as_read`, and raises
    InvalidMessage where that is not just one field.

    Nor may it have a line of spaces alone: some take that for the end of the header.
    """
    kind = _checking_kind(type(policy), as_read)
    checked = kind.__new__(kind)
    checked.__dict__.update(policy.__dict__)
    return checked


def holding_delimiters(message: Message, *, as_lines: bool = False) -> list[Message]:
    """Return the multiparts in `message` that hold what they must not: their own delimiter (RFC 2046 5.1.1); some more
    than once.

    as_lines: look for lines that are delimiters now, and not for what may be such a line, or the beginning of one, when
        it was encoded.
    """
    found: list[Message] = []
    waiting: list[tuple[object, tuple[tuple[str, Message], ...]]] = [(message, ())]
    while waiting:
        held, around = waiting.pop()
        if isinstance(held, str):
            found += [part for delimiter, part in around if _holds(held, delimiter, as_lines)]
        elif isinstance(held, Message):
            payload = payload_of(held)
            if not isinstance(payload, list):
                waiting.append((payload, around))
                continue
            within = around
            if boundary := held.get_boundary():
                delimiter = f"--{boundary}"
                within = (*around, (delimiter, held))
                waiting += [(delimiter, around), (held.preamble, within), (held.epilogue, around)]
            waiting += [(inner, within) for inner in payload]
    return found


def _holds(text: str, delimiter: str, as_lines: bool) -> bool:
    if delimiter not in text:
        return False
    return not as_lines or any(
        line.rstrip(" \t") in (delimiter, f"{delimiter}--") for line in text.replace("\r", "\n").split("\n")
    )


def verify(octets: bytes, message: Message) -> None:
    """Raise InvalidMessage unless `octets` have the fields of `message` and its parts, each header for itself."""
    place = 0
    for delimiter, part in _parts(message):
        if delimiter is not None:
            place = _behind(octets, delimiter, place)
        place = _verify_header(octets, place, part)


def _parts(message: Message) -> Iterator[tuple[bytes | None, Message]]:
    # Each part, in the order in which they are written, with the delimiter that is before it in a multipart.
    waiting: list[tuple[bytes | None, Message]] = [(None, message)]
    while waiting:
        delimiter, part = waiting.pop()
        yield delimiter, part
        payload = payload_of(part)
        if not isinstance(payload, list):
            continue
        inner = [each for each in payload if isinstance(each, Message)]
        before = None
        if part.get_content_maintype() == "multipart":
            before = b"--" + str(part.get_boundary()).encode("utf-8", "surrogateescape") + b"\r\n"
        elif part.get_content_type() != "message/delivery-status":
            inner = inner[:1]  # of a message, there is one
        waiting.extend((before, each) for each in reversed(inner))


def _behind(octets: bytes, delimiter: bytes, place: int) -> int:
    if octets.startswith(delimiter, place):
        return place + len(delimiter)
    found = octets.find(b"\r\n" + delimiter, place)
    if found < 0:
        raise InvalidMessage(f"the delimiter {quote(delimiter)} is not where it should be in the octets of the message")
    return found + 2 + len(delimiter)


def _verify_header(octets: bytes, place: int, part: Message) -> int:
    # Return where the body begins.
    if octets.startswith(b"\r\n", place):
        header, body = b"", place + 2
    elif (end := octets.find(b"\r\n\r\n", place)) >= 0:
        header, body = octets[place:end], end + 4
    else:
        header, body = octets[place:].removesuffix(b"\r\n"), len(octets)
    lines = header.split(b"\r\n") if header else []
    names = [line.partition(b":")[0] for line in lines if not line.startswith((b" ", b"\t"))]
    expected = [name.encode("utf-8", "surrogateescape") for name, _ in part.raw_items()]
    if names != expected:
        raise InvalidMessage(f"expected a header with the fields {expected}, and what was made of it has {names}")
    if any(b"\r" in line or b"\n" in line for line in lines):
        raise InvalidMessage(f"expected CRLF alone in the header that was made of the message, got {quote(header)}")
    return body
