"""What the tests of messages have in common: messages, and what leaves for them."""

import asyncio
import email
from collections.abc import Coroutine
from contextlib import aclosing
from email import policy
from email.message import EmailMessage, Message
from email.policy import Policy
from typing import Any, TypeVar

from mailwire.message import Content, Envelope, MessagePolicy, MessageSource, Outgoing
from mailwire.message.generation import is_laborious
from mailwire.smtp import Extensions, Mailbox

T = TypeVar("T")

A, B, C = Mailbox("a", "example.org"), Mailbox("b", "example.org"), Mailbox("c", "example.org")
ENVELOPE = Envelope(A, (B,))
EIGHT_BIT = ("8BITMIME",)
UTF8 = ("8BITMIME", "SMTPUTF8")

POLICIES: list[Policy] = [policy.compat32, policy.default, policy.SMTP]


def parsed(text: str | bytes, of: Policy = policy.default) -> Message:
    """A message as a program has it that has read it."""
    octets = text.encode() if isinstance(text, str) else text
    return email.message_from_bytes(octets, policy=of)


def text_message(text: str = "hello\n", **fields: str) -> EmailMessage:
    message = EmailMessage()
    for name, value in {"From": "a@example.org", "To": "b@example.org", **fields}.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message


def addresses(message: Message) -> tuple[str, list[str]]:
    envelope = Envelope.of(message, None, None)
    return str(envelope.sender), [str(mailbox) for mailbox in envelope.recipients]


def offered(*extensions: str) -> Extensions:
    """What a server offers that lists these lines."""
    words = [extension.split() for extension in extensions]
    return Extensions({word[0]: tuple(word[1:]) for word in words})


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run what is not expected to wait for anything."""
    try:
        coroutine.send(None)
    except StopIteration as returned:
        result: T = returned.value
        return result
    coroutine.close()
    raise AssertionError("it waits for something")


def prepared(
    message: MessageSource | Content,
    *extensions: str,
    envelope: Envelope = ENVELOPE,
    under: MessagePolicy | None = None,
) -> Outgoing:
    """The message made ready for a server, which for what is small and in memory takes no waiting."""
    content = message if isinstance(message, Content) else Content(message, under or MessagePolicy())
    preparing = Outgoing.prepare(content, envelope, offered(*extensions))
    if content.message is not None and is_laborious(content.message):
        return asyncio.run(preparing)
    return at_once(preparing)


def wire(
    message: MessageSource | Content,
    *extensions: str,
    envelope: Envelope = ENVELOPE,
    under: MessagePolicy | None = None,
) -> bytes:
    """The octets that leave, before dots are stuffed."""
    outgoing = prepared(message, *extensions, envelope=envelope, under=under)
    if outgoing.content is not None:
        return outgoing.content
    return asyncio.run(all_of(outgoing))


def parameters(
    message: MessageSource | Content,
    *extensions: str,
    envelope: Envelope = ENVELOPE,
    under: MessagePolicy | None = None,
) -> dict[str, str | None]:
    """The parameters of MAIL."""
    return dict(prepared(message, *extensions, envelope=envelope, under=under).mail_parameters)


async def all_of(outgoing: Outgoing) -> bytes:
    return b"".join(await blocks_of(outgoing))


async def blocks_of(outgoing: Outgoing) -> list[bytes]:
    async with aclosing(outgoing.blocks()) as blocks:
        return [block async for block in blocks]
