"""Generation: octets made of a message of the standard library's.

Its generator is trusted with the form of a message, not with the safety of it: which line ends it writes into a header
as they are, depends on the version (CVE-2024-6923 and its kin). So the header is looked at before, and the octets after
(`verification`), of the message and of every part of it. Fields that were parsed are written as they were read, as far
as the server takes that. The older kind of message does not tell what was parsed: unless it is signed, what is long may
be folded. In what is signed, nothing is changed.
"""

import io
import re
from collections.abc import Iterator, Sequence
from email.generator import BytesGenerator
from email.header import Header
from email.headerregistry import DateHeader
from email.message import Message
from email.policy import SMTP, EmailPolicy, Policy
from functools import lru_cache
from secrets import token_hex
from typing import Any, Final

from ..errors import InvalidMessage
from .addresses import ADDRESS_FIELDS, Address, parse_addresses, text_of, write_addresses
from .copies import copied
from .mending import empty
from .payloads import Allowed, bodies, payload_of, put_in, stays, take_out
from .pieces import Piecewise
from .plain import is_plain, write_plain
from .policy import EncodeDomain, MessagePolicy
from .survey import LINE_LIMIT, has_long_line
from .verification import PARSED_LIMIT, checking, holding_delimiters, too_long, verify

__all__ = ["check_header", "generate", "is_laborious", "needs_utf8"]

_FIELD_NAME: Final = re.compile(r"[!-9;-~]+\Z")  # RFC 5322 2.2
_STRAY_LINE_END: Final = re.compile(r"\r\n(?![ \t])|\r(?!\n)|(?<!\r)\n(?![ \t])|\0")

# Octets of bodies, characters of one field, and parts: with more, other tasks would notice how long generating takes.
_BODIES: Final = 1024 * 1024
_FIELD: Final = 2000
_PARTS: Final = 100

# Characters of one field that is encoded in one line, as in what is signed.
_FIELD_IN_A_LINE: Final = 200

# Parts within parts. The standard library goes into itself for each of them.
_DEPTH_LIMIT: Final = 64
_NOWHERE: Final = _DEPTH_LIMIT + 1

_ID_FIELDS: Final = frozenset({"message-id", "in-reply-to", "references", "resent-message-id", "content-id"})
_HIDDEN: Final = frozenset({"bcc", "resent-bcc"})  # for the envelope alone (RFC 5322 3.6.3, 3.6.6)


def is_laborious(message: Message) -> bool:
    """Whether `message` is better checked and generated in a thread."""
    octets, longest = 0, _FIELD
    for count, (part, _) in enumerate(_walk(message)):
        payload = payload_of(part)
        octets += len(payload) if isinstance(payload, str) else 0
        if octets > _BODIES or count > _PARTS:
            return True
        for _, value in part.raw_items():
            text = _as_text(value)
            if len(text) > longest and (len(text) > _FIELD or not text.isascii()):
                return True
        if part.is_multipart() and _is_multipart_signed(part):
            longest = _FIELD_IN_A_LINE
    return False


def check_header(message: Message) -> None:
    """Raise InvalidMessage for fields that no header may hold, in `message` and its parts, and for parts too deep."""
    for part, depth in _walk(message):
        if depth > _DEPTH_LIMIT:
            raise InvalidMessage(f"the message has parts that are nested more than {_DEPTH_LIMIT} deep")
        for name, value in part.raw_items():
            if not _FIELD_NAME.match(name):
                raise InvalidMessage(f"expected the name of a header field, got {name!r}")
            # Only the line ends of a folded field may stand.
            text = _as_text(value)
            if ("\n" in text or "\r" in text or "\0" in text) and _STRAY_LINE_END.search(text):
                raise InvalidMessage(f"the header field {name} must not hold a line end or NUL, got {text!r}")
            # A date that is none would be written as nothing.
            if isinstance(value, DateHeader) and value.datetime is None:
                raise InvalidMessage(f"expected a date in the field {name}, got {text!r}")


def needs_utf8(message: Message, encode_domain: EncodeDomain | None) -> bool:
    """Whether the header has an address that ASCII cannot express, even with `encode_domain`, or a message id (RFC 6532
    3.1, 3.3): no encoded word may stand there."""
    for name, value in message.raw_items():
        if name.lower() in _HIDDEN:
            continue
        if name.lower() in _ID_FIELDS and not _as_text(value).isascii() and _is_text(value):
            return True
        for address in _addresses_beyond_ascii(name, value):
            mailbox = address.mailbox
            if not mailbox.is_ascii and (encode_domain is None or not mailbox.local.isascii()):
                return True
    return False


def generate(message: Message, policy: MessagePolicy, *, eight_bit: bool, utf8: bool) -> Sequence[bytes | Piecewise]:
    """Return the octets of `message`, for a server that takes 8-bit text, a header in UTF-8; in pieces, where it has
    large bodies, with whatever line ends they were given.

    Bcc and Resent-Bcc are left out. A body that may not leave as it is, is encoded, and a boundary that is found in
    what it bounds is replaced, unless that would break a signature. The caller's message stays as it is. Raises
    InvalidMessage.
    """
    allowed = Allowed(eight_bit, policy.binary or policy.long_lines == "allow", policy.binary)
    try:
        is_signed = _is_signed(message)
        as_read = (utf8 and eight_bit) or (is_signed and _has_signed_header(message))
        visible = _visible(message, policy.encode_domain, utf8=utf8, as_read=as_read, is_signed=is_signed)
        if visible.is_multipart():
            _set_apart(visible, is_signed=is_signed)
        taken: dict[str, Piecewise] = {}
        if not all(stays(part, default, allowed) for part, default in bodies(visible)):
            visible = copied(visible) if visible is message else visible
            taken = take_out(bodies(visible), allowed, may_encode=not is_signed)
        cte_type = "8bit" if eight_bit or is_signed else "7bit"
        octets = _written(visible, utf8=utf8, cte_type=cte_type, as_read=is_signed)
    except InvalidMessage:
        raise
    except Exception as error:
        # What a broken message does to the generator is its own business, and anything.
        raise InvalidMessage(f"no octets can be made of the message: {type(error).__name__}: {error}") from error
    if octets == b"\r\n":  # which is the end of a header
        raise empty()
    verify(octets, visible)
    return put_in(octets, taken)


def _as_text(value: object) -> str:
    # The older kind of message may hold Header objects.
    return value if isinstance(value, str) else str(value)


def _is_text(value: object) -> bool:
    try:
        text_of(value)
    except ValueError:
        return False
    return True


def _walk(message: Message) -> Iterator[tuple[Message, int]]:
    # Message.walk() goes into itself, and a stranger's message may be deeper than Python can go.
    waiting = [(message, 0)]
    while waiting:
        part, depth = waiting.pop()
        yield part, depth
        payload = payload_of(part)
        if isinstance(payload, list):
            waiting.extend((inner, depth + 1) for inner in reversed(payload) if isinstance(inner, Message))


def _written(message: Message, *, utf8: bool, cte_type: str, as_read: bool) -> bytes:
    policy = _writing_policy(message.policy, utf8, cte_type, as_read)
    if is_plain(message):
        return write_plain(message, policy)
    flat = io.BytesIO()
    BytesGenerator(flat, mangle_from_=False, policy=policy).flatten(message)
    return flat.getvalue()


@lru_cache(16)
def _writing_policy(policy: Policy, utf8: bool, cte_type: str, as_read: bool) -> Policy:
    written: Policy = policy.clone(linesep="\r\n", cte_type=cte_type)
    if isinstance(written, EmailPolicy):
        # A header in UTF-8 is for SMTPUTF8 alone (RFC 6532).
        written = written.clone(utf8=utf8, refold_source="none")
    return checking(written, as_read=as_read)


# The header


def _visible(
    message: Message, encode_domain: EncodeDomain | None, *, utf8: bool, as_read: bool, is_signed: bool
) -> Message:
    # The message as its receivers see it: a copy, where it is not the same.
    fields = list(message.raw_items())
    rewritten = [
        (name, _rewritten(message, name, value, None if utf8 else encode_domain, utf8=utf8, as_read=as_read))
        for name, value in fields
        if name.lower() not in _HIDDEN
    ]
    is_multipart = message.is_multipart()
    if len(fields) == len(rewritten) and all(map(_is_same, fields, rewritten)) and not is_multipart:
        return message
    # The generator gives boundaries to the parts that have none yet.
    visible = copied(message)
    vars(visible)["_headers"] = rewritten  # to delete them by their names takes time in proportion to the square of it
    if not (as_read or is_signed):
        for part, depth in _walk(visible):
            if depth and not _has_signed_header(part):
                fields = [(name, _rewritten_in_part(part, name, value)) for name, value in part.raw_items()]
                vars(part)["_headers"] = fields
    if is_signed or not isinstance(visible.policy, EmailPolicy):
        _write_beforehand(visible, utf8=utf8)
    return visible


def _write_beforehand(message: Message, *, utf8: bool) -> None:
    # What parts were assigned, by their own policies, where that of the whole would write it otherwise. The older kind
    # would make encoded words of all of a field, and leave a file without its name. And what is signed leaves as it was
    # signed, whoever gets it: under SMTPUTF8, too.
    is_older = not isinstance(message.policy, EmailPolicy)
    outermost = _NOWHERE  # how deep the multipart/signed is that the part is in
    for part, depth in _walk(message):
        is_within = depth > outermost
        if not is_within:
            outermost = depth if _is_multipart_signed(part) else _NOWHERE
        if depth and (is_within or is_older):
            as_signed = utf8 and is_within and getattr(part.policy, "utf8", False)
            policy = _writing_policy(part.policy, as_signed, "8bit", as_read=False)
            if is_within:
                policy = policy.clone(max_line_length=0)  # as the standard library has it there
            vars(part)["_headers"] = [(name, _written_value(name, value, policy)) for name, value in part.raw_items()]


def _written_value(name: str, value: Any, policy: Policy) -> Any:
    if _as_text(value).isascii() or (type(value) is str and _is_octets(value)):
        return value
    if policy.max_line_length == 0 and isinstance(policy, EmailPolicy) and _exceeds_a_line(name, _as_text(value)):
        raise InvalidMessage(
            f"the header field {name} of a part that is signed is a line of more than {LINE_LIMIT - 2} octets"
        )
    return policy.fold_binary(name, value).decode("ascii", "surrogateescape")[len(name) + 1 :].strip()


def _exceeds_a_line(name: str, text: str) -> bool:
    # Even as it is, and encoded it has more octets. To encode it takes time in proportion to the square of them.
    return len(name) + 2 + len(text.encode("utf-8", "replace")) > LINE_LIMIT - 2


def _is_octets(text: str) -> bool:
    # As what was parsed is.
    try:
        text.encode("ascii", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _rewritten_in_part(part: Message, name: str, value: Any) -> Any:
    # What takes too long, or is too long, stays what it is: it may be in a stranger's message.
    if type(value) is not str or value.isascii() or len(value) > PARSED_LIMIT:
        return value
    return _rewritten(part, name, value, None, utf8=False, as_read=False)


def _is_same(field: tuple[str, Any], rewritten: tuple[str, Any]) -> bool:
    return field[1] is rewritten[1]


def _rewritten(
    message: Message, name: str, value: Any, encode_domain: EncodeDomain | None, *, utf8: bool, as_read: bool
) -> Any:
    # What an EmailMessage was assigned it writes well itself. What was parsed, it writes as it is: octets beyond ASCII
    # too, and lines of any length. The older kind makes one encoded word of all of a field, addresses included.
    is_source = type(value) is str
    text = _as_text(value)
    try:
        octets = text.encode("utf-8", "surrogateescape")
        has_long = is_source and has_long_line(octets)
        if text.isascii() and not has_long:
            return value
        if as_read and not has_long and octets.decode() != text:
            return value  # it was parsed
        text = text_of(value)
    except ValueError:
        return value  # octets that are not UTF-8 stay what they are
    encoded = text if encode_domain is None else _with_a_labels(name, text, encode_domain)
    holds_addresses = name.lower() in ADDRESS_FIELDS
    if not utf8 and not all(address.mailbox.is_ascii for address in _addresses_beyond_ascii(name, encoded)):
        return value  # SMTPUTF8 alone can express it
    if encoded == text and not is_source and not (holds_addresses and isinstance(value, Header)):
        return value
    folded = write_addresses(name, encoded, utf8=utf8) if holds_addresses else _folded(name, encoded, utf8)
    if isinstance(message.policy, EmailPolicy):
        return folded
    return folded.encode().decode("ascii", "surrogateescape")  # this is how the older kind holds octets


def _folded(name: str, text: str, utf8: bool) -> str:
    if len(text) > PARSED_LIMIT:
        raise too_long(name)
    policy = SMTP.clone(utf8=utf8)
    folded: str = policy.header_factory(name, text).fold(policy=policy)
    return folded[len(name) + 1 :].strip()


def _with_a_labels(name: str, text: str, encode_domain: EncodeDomain) -> str:
    # From the last one to the first, for the places of those behind a change are not those they were.
    for address in reversed(_addresses_beyond_ascii(name, text)):
        domain = address.mailbox.with_a_labels(encode_domain).domain
        text = text[: address.start] + domain + text[address.end :]
    return text


def _addresses_beyond_ascii(name: str, value: object) -> list[Address]:
    # The addresses in a field that is not in ASCII; none where it holds no addresses, whatever else it holds.
    if name.lower() not in ADDRESS_FIELDS or str(value).isascii():
        return []
    try:
        return parse_addresses(text_of(value))
    except ValueError:
        return []


# Bodies


def _is_signed(message: Message) -> bool:
    # Nothing may be changed in what is signed (RFC 1847 2.1, RFC 6376 5.3).
    return _has_signed_header(message) or any(_is_multipart_signed(part) for part, _ in _walk(message))


def _is_multipart_signed(part: Message) -> bool:
    return any(
        name.lower() == "content-type" and str(value).strip().lower().startswith("multipart/signed")
        for name, value in part.raw_items()
    )


def _has_signed_header(message: Message) -> bool:
    # By DKIM, or by who has passed it on (RFC 8617 4.1.2).
    return "DKIM-Signature" in message or "ARC-Message-Signature" in message


def _set_apart(message: Message, *, is_signed: bool) -> None:
    # By delimiters that are not in what they delimit.
    holding = holding_delimiters(message)
    if holding and is_signed:
        if holding_delimiters(message, as_lines=True):
            raise InvalidMessage("a part of the message, which is signed, holds the delimiter of what it is a part of")
        return
    for part in holding:
        part.set_boundary(f"=_{token_hex(16)}")  # no encoding makes that (RFC 2045 6.7)
