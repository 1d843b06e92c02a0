"""Generation: a message of the standard library's made into octets, checked octet by octet where a header is."""

import copy
import io
import re
from collections.abc import Iterator
from email.generator import BytesGenerator
from email.message import Message
from email.policy import EmailPolicy
from typing import Final

from ..errors import InvalidMessage

__all__ = ["check_header", "generate", "is_laborious"]

_FIELD_NAME: Final = re.compile(r"[!-9;-~]+\Z")  # RFC 5322 2.2
_LINE_END: Final = re.compile(r"[\r\n\0]")
_STRAY_LINE_END: Final = re.compile(r"\r\n(?![ \t])|\r(?!\n)|(?<!\r)\n(?![ \t])|\0")


# Octets of bodies, characters of one field, and parts: with more, other tasks would notice how long generating takes.
_BODIES: Final = 1024 * 1024
_FIELD: Final = 2000
_PARTS: Final = 100


def is_laborious(message: Message) -> bool:
    """Whether `message` is better checked and generated in a thread."""
    octets = 0
    for count, part in enumerate(_walk(message)):
        payload = part.get_payload()
        octets += len(payload) if isinstance(payload, str) else 0
        if octets > _BODIES or count > _PARTS or any(len(str(value)) > _FIELD for _, value in part.raw_items()):
            return True
    return False


def _walk(message: Message) -> Iterator[Message]:
    # Message.walk() goes as deep as the message does, and a stranger's may be deeper than Python can go.
    waiting = [message]
    while waiting:
        part = waiting.pop()
        yield part
        payload = part.get_payload()
        if isinstance(payload, list):
            waiting.extend(inner for inner in reversed(payload) if isinstance(inner, Message))


def check_header(message: Message) -> None:
    """Raise InvalidMessage for fields that no header may hold, in the message and its parts."""
    for part in _walk(message):
        for name, value in part.raw_items():
            _check_field(part, name, str(value))


def generate(message: Message, *, eight_bit: bool, utf8: bool) -> bytes:
    """Return the octets of `message`, but for Bcc and Resent-Bcc, for a server that takes 8-bit text, UTF-8 headers."""
    # The caller's message stays as it is; the generator gives boundaries to the parts that have none yet.
    visible = copy.deepcopy(message) if message.is_multipart() else copy.copy(message)
    # For the envelope alone (RFC 5322 3.6.3, 3.6.6).
    del visible["Bcc"]
    del visible["Resent-Bcc"]
    try:
        try:
            return _generate(visible, utf8=utf8, cte_type="8bit" if eight_bit else "7bit")
        except UnicodeError:
            # Octets of a charset that nobody knows cannot be written in seven bits: they are what they are.
            return _generate(visible, utf8=utf8, cte_type="8bit")
    except Exception as error:
        # What a broken message does to the generator is its own business, and anything.
        raise InvalidMessage(f"no octets can be made of the message: {type(error).__name__}: {error}") from error


def _generate(message: Message, *, utf8: bool, cte_type: str) -> bytes:
    policy = message.policy.clone(linesep="\r\n", cte_type=cte_type)
    if isinstance(policy, EmailPolicy):
        policy = policy.clone(utf8=utf8)  # a header in UTF-8 is for SMTPUTF8 alone (RFC 6532)
    flat = io.BytesIO()
    BytesGenerator(flat, mangle_from_=False, policy=policy).flatten(message)
    return flat.getvalue()


def _check_field(part: Message, name: str, value: str) -> None:
    # The standard library's generators write some line ends as they are, which would end the header or begin another
    # field; which ones, depends on the version (CVE-2024-6923 and kin). Only those of a folded field may stand.
    if not _FIELD_NAME.match(name):
        raise InvalidMessage(f"expected the name of a header field, got {name!r}")
    stray = _STRAY_LINE_END.search(value)
    if stray is None and "=?" in value and isinstance(part.policy, EmailPolicy):
        stray = _LINE_END.search(str(part.policy.header_fetch_parse(name, value)))
    if stray is not None:
        raise InvalidMessage(f"the header field {name} must not hold a line end or NUL, got {value!r}")
