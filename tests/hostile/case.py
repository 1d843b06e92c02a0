"""A hostile case: what a server does, by a script, and what must come of it. All cases are played and judged here.

Whatever the case, it holds that

- it ends by itself, at the latest with the deadline that the client was given;
- no secret is on the wire outside TLS, nor in any error, log, transcript or local variable of ours;
- nothing is left open or running: no descriptor, no task, no thread, and the event loop has nothing to complain of;
- what ends it is an error of our tree, of the class that is expected, and every text in it can be printed;
- a connection that went wrong is not used again.
"""

import asyncio
import os
import re
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import quote

import pytest

import mailwire
from mailwire import (
    Delivery,
    Endpoint,
    LocalProtocolError,
    MailwireError,
    Password,
    POP3Client,
    Receipt,
    SMTPClient,
    Transcript,
    pop3,
    smtp,
)
from mailwire.testing import ScriptedPeer, Step
from mailwire.testing.turns import drain_events
from tests.clock import Clock
from tests.sasl.secrecy import CANARY, assert_hidden, spellings

__all__ = ["MESSAGE", "PASSWORD", "Case", "Deed", "Link", "Outcome", "lines", "play"]

Deed: TypeAlias = Literal["connect", "send", "send later", "retrieve"]
Link: TypeAlias = Literal["socket", "streams"]

PASSWORD: Final = Password("bob", CANARY)
MESSAGE: Final = b"Subject: x\r\n\r\nhello\r\n"

# Seconds. A case that takes longer hangs.
_GUARD: Final = 20.0
# In how many steps the time passes in a case that is about time.
_TICKS: Final = 60
# How a record of a handshake begins (RFC 8446 5.1).
_HANDSHAKE: Final = b"\x16\x03"
# Where the system lists what a process has open.
_DESCRIPTORS: Final = "/dev/fd"


def lines(*texts: str) -> bytes:
    """Return what is said by these lines."""
    return "".join(f"{text}\r\n" for text in texts).encode()


@dataclass(frozen=True)
class Outcome:
    """What must come of a case.

    error: the class of the error, exactly; None where all ends well.
    in_clear: every octet that the client says in the clear.
    message: ...and of this it says behind that, in the clear or under TLS, as much as it likes.
    hello: whether it begins a TLS handshake behind that; None where it may or may not.
    under_tls: every octet that it says under TLS.
    delivery: what became of the mail, if one was to be sent; and
    words: ...for each recipient. By default the same.
    attributes: of the error, by their names; a name may be a path ("reply.code").
    text: a regular expression for something that the error says.
    """

    error: type[MailwireError] | None
    in_clear: bytes = b""
    message: bytes = b""
    hello: bool | None = False
    under_tls: bytes = b""
    delivery: Delivery = Delivery.NOT_SENT
    words: tuple[Delivery, ...] = ()
    attributes: Mapping[str, object] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True)
class Case:
    """A server, a client, and what must come of it.

    name: what the server does.
    script: the same, step by step.
    settings: those of the endpoint; its password is a canary unless they say otherwise.
    deeds: what the client does, each in a play of its own: to connect, to send a mail, to send it when nothing more
        happens on the connection, to retrieve the maildrop.
    seconds: within which it must end, by the client's own deadline; 0 where it ends without one.
    message, recipients, arguments: what is sent, to whom, and how.
    buffer_size: of the sockets at both ends, in octets.
    """

    name: str
    script: tuple[Step, ...]
    outcome: Outcome
    settings: Mapping[str, Any]
    deeds: tuple[Deed, ...]
    seconds: float = 0
    message: bytes = MESSAGE
    recipients: tuple[str, ...] = ("b@example.org",)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    buffer_size: int | None = None


async def play(case: Case, deed: Deed, link: Link, read_log: Callable[[], str]) -> None:
    """Play `case` in the running event loop, and judge what came of it.

    link: as what the client is given its connection. read_log: returns what was logged so far.
    """
    complaints: list[Mapping[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    await _warm_up()
    open_before, threads_before = _open_descriptors(), threading.active_count()
    transcript = Transcript(limit=None)
    guard = None if case.seconds else _GUARD
    async with ScriptedPeer(*case.script, guard=guard, buffer_size=case.buffer_size) as peer:
        settings = {"auth": PASSWORD, **case.settings}
        if link == "streams":
            settings["connect"] = peer.connect_streams
        endpoint = peer.endpoint(**settings)
        doing = asyncio.create_task(_do(case, deed, endpoint, transcript, peer))
        if case.seconds:
            await _let_pass(case.seconds, doing, peer)
        error, receipt = await doing
    await drain_events()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert _open_descriptors() == open_before
    assert threading.active_count() == threads_before
    assert not complaints
    _judge(case.outcome, deed, error, receipt)
    _judge_wire(case.outcome, peer)
    _judge_secrecy(error, transcript, repr(endpoint), read_log())


async def _warm_up() -> None:
    # What an event loop opens for itself when it first has a connection, it opens now.
    ours, theirs = socket.socketpair()
    with theirs:
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        transport.abort()
        await drain_events()


async def _let_pass(seconds: float, doing: "asyncio.Task[Any]", peer: ScriptedPeer) -> None:
    await peer.rest()  # here the client is where it waits in vain
    clock = Clock()
    for _ in range(_TICKS + 1):
        if not doing.done():
            await clock.advance(seconds / _TICKS)
    assert doing.done(), "the deadline has passed, and it goes on"


async def _do(
    case: Case, deed: Deed, endpoint: Endpoint, transcript: Transcript, peer: ScriptedPeer
) -> tuple[MailwireError | None, Receipt | None]:
    mail: dict[str, Any] = {"sender": "a@example.org", "recipients": case.recipients, **case.arguments}
    try:
        if deed == "connect":
            await _connect(endpoint, transcript, peer)
        elif deed == "send":
            return None, await mailwire.send(case.message, endpoint, **mail, transcript=transcript)
        elif deed == "send later":
            async with SMTPClient(endpoint, transcript=transcript) as client:
                await drain_events()
                return None, await client.send(case.message, **mail)
        else:
            await mailwire.retrieve(endpoint, transcript=transcript)
    except MailwireError as error:
        return error, None
    return None, None


async def _connect(endpoint: Endpoint, transcript: Transcript, peer: ScriptedPeer) -> None:
    client_class = SMTPClient if endpoint.protocol == "smtp" else POP3Client
    client = client_class(endpoint, transcript=transcript)
    try:
        await client.connect()
    except MailwireError:
        await drain_events()
        said = bytes(peer.wire)
        assert not client.is_connected
        with pytest.raises(LocalProtocolError, match="not connected"):
            await (client.execute(smtp.Noop()) if isinstance(client, SMTPClient) else client.execute(pop3.Noop()))
        await client.quit()
        await drain_events()
        assert peer.wire == said
        raise
    finally:
        assert CANARY not in repr(client)
    await client.quit()


def _judge(outcome: Outcome, deed: Deed, error: MailwireError | None, receipt: Receipt | None) -> None:
    if receipt is not None:
        _judge_receipt(outcome, receipt)
    if error is None:
        assert outcome.error is None
        return
    assert type(error) is outcome.error, repr(error)
    assert error.delivery is (outcome.delivery if deed.startswith("send") else None)
    if error.receipt is not None:
        _judge_receipt(outcome, error.receipt)
    for path, value in outcome.attributes.items():
        assert reduce(getattr, path.split("."), error) == value, path
    assert re.search(outcome.text, str(error))
    assert all(text.isprintable() for text in (str(error), *error.transcript))


def _judge_receipt(outcome: Outcome, receipt: Receipt) -> None:
    words = tuple(entry.delivery for entry in receipt.recipients)
    assert receipt.delivery is outcome.delivery
    assert words == (outcome.words or (outcome.delivery,) * len(words))


def _judge_wire(outcome: Outcome, peer: ScriptedPeer) -> None:
    assert peer.wire.startswith(outcome.in_clear)
    assert peer.heard.startswith(outcome.in_clear)
    on_wire, heard = (bytes(octets[len(outcome.in_clear) :]) for octets in (peer.wire, peer.heard))
    if outcome.message and not on_wire.startswith(_HANDSHAKE):
        assert outcome.message.startswith(on_wire)
        return
    assert not on_wire or on_wire.startswith(_HANDSHAKE)
    if outcome.hello is not None:
        assert bool(on_wire) is outcome.hello
    # A server that makes no handshake hears the client's part of it as it is.
    if outcome.message:
        assert heard.startswith(outcome.under_tls)
        assert outcome.message.startswith(heard.removeprefix(outcome.under_tls))
    else:
        assert heard == (on_wire if heard.startswith(_HANDSHAKE) else outcome.under_tls)
    assert not [spelling for spelling in spellings(CANARY) if spelling.encode() in peer.wire]


def _judge_secrecy(error: MailwireError | None, transcript: Transcript, *shown: str) -> None:
    shown += (transcript.render(), repr(list(transcript)))
    if error is not None:
        shown += error.transcript
        assert_hidden(CANARY, error)
    assert_hidden(CANARY, *shown)
    assert not [text for text in shown if quote(CANARY) in text]


def _open_descriptors() -> int | None:
    try:
        return len(os.listdir(_DESCRIPTORS))
    except FileNotFoundError:
        return None
