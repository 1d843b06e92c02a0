"""The play of a hostile case, and the judgement on it.

Whatever the case, it holds that

- it ends by itself, at the latest with the deadline that the client was given;
- no secret is on the wire outside TLS, nor in any error, log, transcript or local variable of ours;
- nothing is left open or running: no descriptor, no task, no thread, and the event loop has nothing to complain of;
- what ends it is an error of our tree, of the class that is expected; it shows the end of the dialogue, every text in
  it can be printed, and a copy of it is as good as itself;
- a connection that went wrong is not used again.
"""

import asyncio
import copy
import os
import pickle
import re
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Final

import pytest

import mailwire
from mailwire import (
    CommandRefused,
    Endpoint,
    LocalProtocolError,
    MailwireError,
    NotSupported,
    POP3Client,
    Receipt,
    RetrievalIncomplete,
    RetrievedMessage,
    SMTPClient,
    Transcript,
    pop3,
    smtp,
)
from mailwire.testing import ScriptedPeer
from mailwire.testing.turns import drain_events
from tests.clock import Clock
from tests.hostile.case import PASSWORD, Case, Deed, Link, Outcome
from tests.sasl.secrecy import CANARY, assert_hidden, spellings

__all__ = ["play"]

# Seconds. A case that takes longer hangs.
_GUARD: Final = 20.0
# In how many steps the time passes in a case that is about time.
_TICKS: Final = 60
# How a record of a handshake begins (RFC 8446 5.1).
_HANDSHAKE: Final = b"\x16\x03"
# Where the system lists what a process has open.
_DESCRIPTORS: Final = "/dev/fd"


async def play(case: Case, deed: Deed, link: Link, read_log: Callable[[], str]) -> None:
    """Play `case` in the running event loop, and judge what came of it. `read_log` returns what was logged so far."""
    complaints: list[Mapping[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    await _warm_up()
    open_before, threads_before = _open_descriptors(), threading.active_count()
    transcript = Transcript(limit=None)
    peer = ScriptedPeer(
        *case.script,
        listen=link == "port",
        guard=None if case.seconds else _GUARD,
        buffer_size=case.buffer_size,
    )
    async with peer:
        settings = {"auth": PASSWORD, **case.settings}
        if link == "streams":
            settings["connect"] = peer.connect_streams
        endpoint = peer.endpoint(**settings)
        doing = asyncio.create_task(_do(case, deed, endpoint, transcript, peer))
        if case.seconds:
            await _let_pass(case.seconds, doing, peer)
        ending = await doing
    await drain_events()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert _open_descriptors() == open_before
    assert threading.active_count() == threads_before
    assert not complaints
    assert case.outcome.taken is None or link == "port" or peer.sent <= case.outcome.taken
    _judge(case.outcome, ending, transcript)
    _judge_wire(case.outcome, peer)
    for secret in (CANARY, *case.outcome.hidden):
        _judge_secrecy(secret, ending.error, transcript, repr(endpoint), read_log())


async def _warm_up() -> None:
    # What an event loop opens for itself when it first has a connection, or a file to read, it opens now.
    ours, theirs = socket.socketpair()
    with theirs:
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        transport.abort()
        await drain_events()
    await asyncio.to_thread(os.getpid)


async def _let_pass(seconds: float, doing: "asyncio.Task[_Ending]", peer: ScriptedPeer) -> None:
    await peer.rest()  # here the client is where it waits in vain
    clock = Clock()
    for _ in range(_TICKS + 1):
        if not doing.done():
            await clock.advance(seconds / _TICKS)
    assert doing.done(), "the deadline has passed, and it goes on"


# What the client does


@dataclass
class _Ending:
    error: MailwireError | None = None
    is_about_mail: bool = False  # the error is one of sending a mail
    receipt: Receipt | None = None
    messages: list[bytes] = field(default_factory=list)


async def _do(case: Case, deed: Deed, endpoint: Endpoint, transcript: Transcript, peer: ScriptedPeer) -> _Ending:
    ending = _Ending(is_about_mail=deed == "send")
    mail: dict[str, Any] = {"sender": "a@example.org", "recipients": case.recipients, **case.arguments}
    try:
        if deed == "send":
            ending.receipt = await mailwire.send(case.message, endpoint, transcript=transcript, **mail)
        elif deed == "retrieve":
            ending.messages = [message.raw for message in await mailwire.retrieve(endpoint, transcript=transcript)]
        else:
            client_class = SMTPClient if endpoint.protocol == "smtp" else POP3Client
            await _use(client_class(endpoint, transcript=transcript), deed, (case.message, mail), ending, peer)
    except MailwireError as error:
        ending.error = error
        ending.receipt = error.receipt
        if isinstance(error, RetrievalIncomplete):
            ending.messages = [message.raw for message in error.messages if isinstance(message, RetrievedMessage)]
    return ending


async def _use(
    client: SMTPClient | POP3Client, deed: Deed, mail: tuple[bytes, dict[str, Any]], ending: _Ending, peer: ScriptedPeer
) -> None:
    try:
        await client.connect()
        if deed != "connect":
            await drain_events()  # a while goes by
        if isinstance(client, POP3Client) and deed == "client.retrieve":
            async with aclosing(client.retrieve(await client.listing())) as items:
                async for item in items:
                    ending.messages.append(await item.read())
        if isinstance(client, SMTPClient) and deed == "client.send":
            ending.is_about_mail = True
            message, arguments = mail
            ending.receipt = await client.send(message, **arguments)
    except MailwireError as error:
        await _see_the_end(client, error, peer)
        raise
    assert CANARY not in repr(client)
    await client.quit()


async def _see_the_end(client: SMTPClient | POP3Client, error: MailwireError, peer: ScriptedPeer) -> None:
    assert CANARY not in repr(client)
    if client.is_connected:
        # Nobody leaves because the server has said no, in good order.
        assert isinstance(error, CommandRefused | NotSupported)
        client.abort()
        return
    await drain_events()
    said = bytes(peer.wire)
    with pytest.raises(LocalProtocolError, match="not connected"):
        await (client.execute(smtp.Noop()) if isinstance(client, SMTPClient) else client.execute(pop3.Noop()))
    await client.quit()
    await drain_events()
    assert peer.wire == said


# What came of it


def _judge(outcome: Outcome, ending: _Ending, transcript: Transcript) -> None:
    assert tuple(ending.messages) == outcome.messages
    if ending.receipt is not None:
        _judge_receipt(outcome, ending.receipt)
    error = ending.error
    if error is None:
        assert outcome.error is None
        return
    assert type(error) is outcome.error, repr(error)
    assert error.delivery is (outcome.delivery if ending.is_about_mail else None)
    for path, value in outcome.attributes.items():
        assert reduce(getattr, path.split("."), error) == value, path
    assert re.search(outcome.text, str(error))
    assert all(text.isprintable() for text in (str(error), repr(error), *error.transcript))
    assert error.transcript == transcript.tail()
    for copied in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(copied), str(copied), vars(copied)) == (type(error), str(error), vars(error))


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


def _judge_secrecy(secret: str, error: MailwireError | None, transcript: Transcript, *shown: str) -> None:
    shown += (transcript.render(), repr(list(transcript)))
    if error is not None:
        shown += error.transcript
        assert_hidden(secret, error)
    assert_hidden(secret, *shown)


def _open_descriptors() -> int | None:
    try:
        return len(os.listdir(_DESCRIPTORS))
    except FileNotFoundError:
        return None
