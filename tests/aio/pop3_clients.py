"""POP3 clients, as the tests make them."""

import asyncio
from typing import Any, Final

from mailwire import Entry, POP3Client, Retrieval
from mailwire.testing import ScriptedPeer
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import CREDENTIALS

__all__ = ["ONE", "THREE", "TWO", "assert_a_call_waits", "client_for", "connect", "everything"]

# What LISTED lists, and LISTED_TOGETHER.
ONE: Final = Entry(1, "u1", 7)
TWO: Final = Entry(2, "u2", 7)
THREE: Final = Entry(3, "u3", 7)


def client_for(peer: ScriptedPeer, **settings: Any) -> POP3Client:
    """Return a client for `peer`; `settings` are those of its endpoint."""
    own = {name: settings.pop(name) for name in ("settings", "transcript") if name in settings}
    settings = {"protocol": "pop3", "auth": CREDENTIALS, "allow_cleartext_auth": True, **settings}
    return POP3Client(peer.endpoint(**settings), **own)


async def connect(peer: ScriptedPeer, **settings: Any) -> POP3Client:
    """Return such a client, connected."""
    client = client_for(peer, **settings)
    await client.connect()
    return client


async def everything(items: Retrieval) -> list[bytes | str]:
    """Return the messages, and in place of a refused one the refusal."""
    return [await item.read() if item.error is None else str(item.refusal) async for item in items]


async def assert_a_call_waits(client: POP3Client, leave: asyncio.Event) -> None:
    """Assert that a call waits for whoever uses the connection until `leave` is set, and then goes on."""
    asking = asyncio.create_task(client.noop())
    await drain_events()
    assert not asking.done()
    leave.set()
    await asking
