"""compose: a message made of what one wants to say."""

import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.headerregistry import Address, Group
from email.message import EmailMessage, Message
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from secrets import token_hex
from types import NoneType
from typing import Any, Final

from .._wire.text import check_kind, described
from ..errors import InvalidMessage
from ..smtp.paths import Mailbox
from .addresses import ADDRESS_FIELDS, addresses_in, parse_addresses
from .attachment import Attachment
from .folding import fold, is_foldable
from .generation import check_header

__all__ = ["compose"]

# What is written folded stays as it is: the standard library's folding would encode long message identifiers.
_POLICY: Final = SMTP.clone(refold_source="none")

_LINE_END: Final = re.compile(r"[\r\n\0]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")  # no characters: UTF-8 has none of them
_SHORT: Final = 70  # characters of a field that fit in one line, with what stands between its name and value
_MESSAGE_ID: Final = re.compile(r"<[!-;=?-~]{1,900}>")  # RFC 5322 3.6.4, and room for the name in a line of 998 octets
_CONTENT_ID: Final = re.compile(r"[!-;=?-~]{1,900}\Z")
_REFERENCES_LIMIT: Final = 100  # of a thread that goes on for ever, the first and the last ones

_ADDRESS: Final = (str, Address, Group, Mailbox)
_FILE: Final = (Attachment, str, os.PathLike)
_PAIRS: Final = "a mapping of names to texts, or pairs of both"

# Fields that have an argument of their own, or that the message's structure decides.
_OWN: Final = frozenset({"from", "to", "cc", "bcc", "reply-to", "subject", "in-reply-to", "references", "mime-version"})


def compose(
    *,
    sender: str | Address | Mailbox,
    to: str | Address | Mailbox | Iterable[str | Address | Mailbox] = (),
    subject: str = "",
    text: str = "",
    html: str | None = None,
    cc: str | Address | Mailbox | Iterable[str | Address | Mailbox] = (),
    bcc: str | Address | Mailbox | Iterable[str | Address | Mailbox] = (),
    reply_to: str | Address | Mailbox | Iterable[str | Address | Mailbox] = (),
    attachments: Iterable[Attachment | os.PathLike[str]] = (),
    inline: Mapping[str, Attachment | os.PathLike[str]] | None = None,
    in_reply_to: str | Message | None = None,
    references: str | Iterable[str] = (),
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
) -> EmailMessage:
    """Make a message, with Date and Message-ID.

    sender, to, cc, bcc, reply_to: `name@example.org`, `Some Name <name@example.org>`, email.headerregistry.Address,
        smtp.Mailbox, or several of them, none of them blank. A text may hold several as well, with commas between, or
        be blank: then there is no such field.
    text: the text; with HTML alone, there is none.
    html: the same in HTML.
    attachments: files, as Attachment or as paths.
    inline: what the HTML shows, such as images, by the content id under which it refers to them: `logo@example.org`
        for `<img src="cid:logo@example.org">`.
    in_reply_to: the message that is answered, or its Message-ID in angle brackets.
    references: message ids of the thread; by default those of the message that is answered (RFC 5322 3.6.4).
    headers: further fields; Date and Message-ID among them replace those that are made here.

    Keep the message for another attempt: its Message-ID is how a receiver knows a duplicate. Paths are read here and
    now: with large files, `await asyncio.to_thread(compose, ...)` holds nothing up. Raises ValueError for an address or
    a date that is none, for a line end or NUL in what becomes a field of the header, for surrogates, and for arguments
    of another kind; OSError for a file.
    """
    check_kind("subject", subject, str, "text")
    check_kind("text", text, str, "text")
    check_kind("html", html, (str, NoneType), "text or None")
    check_kind("inline", inline, (Mapping, NoneType), "a mapping of content ids to attachments, or None")
    check_kind("in_reply_to", in_reply_to, (str, Message, NoneType), "a message, its Message-ID or None")
    message = EmailMessage(policy=_POLICY)
    for name, addresses in {"From": sender, "To": to, "Cc": cc, "Bcc": bcc, "Reply-To": reply_to}.items():
        _set_addresses(message, name, addresses)
    further = _further(headers)
    given = {name.lower() for name, _ in further}
    _assign(message, "Subject", _checked("subject", subject))
    if "date" not in given:
        message["Date"] = format_datetime(datetime.now(UTC))
    if "message-id" not in given:
        message["Message-ID"] = make_msgid(domain=_id_domain(message))
    _set_thread(message, in_reply_to, references)
    for name, value in further:
        if name.lower() in ADDRESS_FIELDS:
            _set_addresses(message, name, value)
        else:
            _set(message, name, value)
    _set_content(message, text, html, inline or {})
    for attachment in _several("attachments", attachments, _FILE, "a list of paths and Attachments", or_one=False):
        _attach(message, attachment)
    for part in message.walk():
        if part.is_multipart():
            part.set_boundary(f"=_{token_hex(16)}")  # now, so that every attempt sends the same octets
    check_header(message)
    return message


def _several(name: str, given: object, kinds: tuple[type, ...], expected: str, *, or_one: bool = True) -> list[Any]:
    # Texts, octets and paths are one, though some can be iterated.
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes, bytearray)):
        listed = list(given)
    elif or_one:
        listed = [given]
    else:
        raise ValueError(f"expected {name} to be {expected}, got {described(given)}")
    for each in listed:
        check_kind(name, each, kinds, expected)
    return listed


def _set_addresses(message: EmailMessage, name: str, given: object) -> None:
    listed = [str(address) for address in _several(name, given, _ADDRESS, "an address or several")]
    value = _checked(name, ", ".join(listed))
    if not isinstance(given, str) and not all(map(_says_something, listed)):
        raise InvalidMessage(f"expected addresses in {name}, got a blank text among them: {listed!r}")
    try:
        found = parse_addresses(value)
    except ValueError as error:
        raise InvalidMessage(f"expected addresses in {name}, got {value!r}: {error}") from error
    if not found and name == "From":
        raise InvalidMessage("expected an address as the sender, got none")
    if _says_something(value):
        _set(message, name, value)
        addresses_in(name, message[name], value)  # the standard library's parser may have read something else


def _says_something(value: str) -> bool:
    # A list may have empty elements, and must have others (RFC 5322 4.4).
    return bool(value.strip(" \t,"))


def _assign(message: EmailMessage, name: str, value: str) -> None:
    try:
        message[name] = value
    except Exception as error:
        # The standard library's parser fails in more ways than it says.
        raise InvalidMessage(f"the field {name} cannot hold {value!r}: {error}") from error


def _set(message: EmailMessage, name: str, value: str) -> None:
    _assign(message, name, value)
    if len(name) + len(value) > _SHORT and is_foldable(value):
        _fold_last(message, name, value)


def _fold_last(message: EmailMessage, name: str, value: str) -> None:
    # The standard library would encode a long URL.
    folded = fold(name, value)
    if folded is None:
        raise InvalidMessage(f"the field {name} has a word that is too long for a line: {value[:_SHORT]!r}...")
    *others, _ = [field for field in message.raw_items() if field[0].lower() == name.lower()]
    del message[name]
    for other in others:
        message.set_raw(*other)
    message.set_raw(name, folded)


def _checked(name: str, value: str) -> str:
    if _LINE_END.search(value):
        raise InvalidMessage(f"{name} must not hold a line end or NUL, got {value!r}")
    if _SURROGATE.search(value):
        raise InvalidMessage(f"{name} must not hold surrogates, got {value!r}")
    return value


def _further(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    given = headers.items() if isinstance(headers, Mapping) else headers
    fields = _several("headers", given, (tuple, list), _PAIRS)
    for field in fields:
        if len(field) != 2 or not all(isinstance(each, str) for each in field):
            raise ValueError(f"expected headers to be {_PAIRS}, got {described(field)}")
        name, value = field
        _checked(name, value)
        if name.lower() in _OWN or name.lower().startswith("content-"):
            raise InvalidMessage(f"the field {name} is not given in headers: it is made of the other arguments")
    return fields


def _id_domain(message: EmailMessage) -> str:
    # The domain is the sender's: the name of this machine is nobody's business, and looking it up may take its time.
    # It makes the identifier unique and need not exist, so that any spelling in ASCII does.
    domain = addresses_in("From", message["From"])[0].mailbox.domain
    labels = domain.split(".")
    return ".".join(label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels)


def _set_thread(message: EmailMessage, in_reply_to: str | Message | None, references: str | Iterable[str]) -> None:
    answered: list[str] = []
    thread = [
        found
        for given in _several("references", references, (str,), "message ids")
        for found in _message_ids("references", given)
    ]
    if isinstance(in_reply_to, Message):
        answered = _ids_in(in_reply_to, "Message-ID")[:1]
        thread = thread or [*(_ids_in(in_reply_to, "References") or _ids_in(in_reply_to, "In-Reply-To")[:1]), *answered]
    elif in_reply_to is not None:
        answered = _message_ids("in_reply_to", in_reply_to)
        thread = thread or answered
    if len(thread) > _REFERENCES_LIMIT:
        thread = [thread[0], *thread[1 - _REFERENCES_LIMIT :]]
    for name, found in (("In-Reply-To", answered), ("References", thread)):
        if found:
            message.set_raw(name, "\r\n ".join(found))


def _message_ids(name: str, given: str) -> list[str]:
    found = _MESSAGE_ID.findall(given)
    if not found or "".join(found) != "".join(given.split(" ")):
        raise InvalidMessage(f"expected message ids such as <id@example.org> in {name}, got {given!r}")
    return found


def _ids_in(message: Message, name: str) -> list[str]:
    # Of what a stranger has written, whatever is in order.
    values = [str(value) for field, value in message.raw_items() if field.lower() == name.lower()]
    return [found for value in values for found in _MESSAGE_ID.findall(value)]


def _set_content(
    message: EmailMessage, text: str, html: str | None, inline: Mapping[str, Attachment | os.PathLike[str]]
) -> None:
    if "\0" in text or "\0" in (html or ""):
        raise InvalidMessage("neither text nor HTML may hold a NUL")
    if _SURROGATE.search(text) or _SURROGATE.search(html or ""):
        raise InvalidMessage("neither text nor HTML may hold surrogates")
    if html is None:
        if inline:
            raise InvalidMessage("inline parts need HTML that shows them")
        message.set_content(text)
        return
    if text:
        message.set_content(text)
        message.add_alternative(html, subtype="html")
        *_, part = message.iter_parts()
    else:
        message.set_content(html, subtype="html")
        part = message
    for content_id, given in inline.items():
        check_kind("each content id", content_id, str, "text")
        if not _CONTENT_ID.match(content_id):
            raise InvalidMessage(f"expected a content id in printable ASCII without brackets, got {content_id!r}")
        check_kind(f"inline[{content_id!r}]", given, _FILE, "a path or an Attachment")
        attachment = _attachment(given)
        maintype, _, subtype = attachment.content_type.partition("/")
        part.add_related(
            attachment.data,
            maintype=maintype,
            subtype=subtype,
            disposition="inline",
            filename=attachment.name,
            cid=f"<{content_id}>",
        )
    if inline:
        part.set_param("type", "text/html")  # RFC 2387 3.1: of the part that shows the others


def _attach(message: EmailMessage, given: Attachment | os.PathLike[str]) -> None:
    attachment = _attachment(given)
    maintype, _, subtype = attachment.content_type.partition("/")
    # A text without a charset is ASCII (RFC 2046 4.1.2).
    charset = {"charset": "utf-8"} if maintype == "text" and _is_utf8(attachment.data) else {}
    message.add_attachment(
        attachment.data, maintype=maintype, subtype=subtype, filename=attachment.name, params=charset
    )


def _attachment(given: Attachment | os.PathLike[str]) -> Attachment:
    return given if isinstance(given, Attachment) else Attachment.read(given)


def _is_utf8(data: bytes) -> bool:
    # Whether it is, and not ASCII alone.
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not data.isascii()
