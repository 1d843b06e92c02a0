import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import pytest

from mailwire import (
    ConnectionLost,
    DeadlineExceeded,
    MailwireError,
    POP3Client,
    RemoteProtocolError,
    ResponseError,
)
from mailwire.pop3 import Dele, Quit, Rset
from mailwire.testing import (
    FIN,
    RST,
    STALL,
    ScriptedPeer,
    Step,
)
from tests.aio.dialogues import (
    OPENED,
    POP3_QUIT,
)
from tests.aio.pop3_clients import client_for, connect
from tests.clock import Clock

# Taking leave


async def test_what_was_marked_is_deleted_when_quit_is_answered() -> None:
    async with ScriptedPeer(*OPENED, "C: DELE 1", "S: +OK", *POP3_QUIT) as peer:
        client = await connect(peer)
        await client.execute(Dele(1))
        await client.quit()
        assert not client.is_connected


@pytest.mark.parametrize(
    ("farewell", "error"),
    [
        (("S: -ERR some were not deleted",), ResponseError),
        ((FIN,), ConnectionLost),
        ((RST,), ConnectionLost),
        (("S: what",), RemoteProtocolError),
    ],
    ids=["-ERR", "FIN", "RST", "garbage"],
)
async def test_a_quit_that_fails_matters_only_where_something_was_marked(
    farewell: tuple[Step, ...], error: type[MailwireError]
) -> None:
    async with ScriptedPeer(*OPENED, "C: DELE 1", "S: +OK", "C: QUIT", *farewell) as peer:
        client = await connect(peer)
        await client.execute(Dele(1))
        with pytest.raises(error):
            await client.quit()
        assert not client.is_connected
    async with ScriptedPeer(*OPENED, "C: QUIT", *farewell) as peer:
        client = await connect(peer)
        await client.quit()
        assert not client.is_connected


@pytest.mark.parametrize(
    "script",
    [
        ((Dele(9), "-ERR no such message"),),
        ((Dele(1), "+OK"), (Rset(), "+OK")),
    ],
    ids=["DELE was refused", "RSET"],
)
async def test_where_nothing_is_marked_any_more_a_quit_that_fails_does_not_matter(
    script: Sequence[tuple[Dele | Rset, str]],
) -> None:
    steps = [step for command, answer in script for step in (f"C: {command}", f"S: {answer}")]
    async with ScriptedPeer(*OPENED, *steps, "C: QUIT", "S: -ERR no") as peer:
        client = await connect(peer)
        for command, _ in script:
            with contextlib.suppress(ResponseError):
                await client.execute(command)
        await client.quit()


async def test_what_was_marked_in_a_session_that_was_cut_is_not_marked_in_the_next() -> None:
    async with (
        ScriptedPeer(*OPENED, "C: DELE 1", "S: +OK", STALL) as first,
        ScriptedPeer(*OPENED, "C: QUIT", "S: -ERR no") as second,
    ):
        ways = iter((first, second))

        async def way() -> Any:
            return await next(ways).connect()

        client = POP3Client(client_for(first).endpoint.replace(connect=way))
        await client.connect()
        await client.execute(Dele(1))
        client.abort()
        await client.connect()
        await client.quit()


async def test_an_unanswered_quit_is_waited_for_longer_where_something_was_marked() -> None:
    clock = Clock()
    async with ScriptedPeer(*OPENED, "C: DELE 1", "S: +OK", "C: QUIT", STALL, guard=None) as peer:
        client = await connect(peer)
        await client.execute(Dele(1))
        quitting = asyncio.create_task(client.quit())
        await clock.advance(59)
        assert not quitting.done()
        await clock.advance(1)
        with pytest.raises(DeadlineExceeded, match="the answer to QUIT"):
            await quitting
    async with ScriptedPeer(*OPENED, "C: QUIT", STALL, guard=None) as peer:
        client = await connect(peer)
        quitting = asyncio.create_task(client.quit())
        await clock.advance(0.5)
        assert not quitting.done()
        await clock.advance(0.5)
        await quitting


async def test_leaving_by_an_error_deletes_nothing() -> None:
    async def fail(client: POP3Client) -> None:
        async with client:
            await client.execute(Dele(1))
            raise LookupError

    async with ScriptedPeer(*OPENED, "C: DELE 1", "S: +OK", STALL) as peer:
        with pytest.raises(LookupError):
            await fail(client_for(peer))


async def test_quitting_by_a_command_closes_the_client() -> None:
    async with ScriptedPeer(*OPENED, *POP3_QUIT) as peer:
        client = await connect(peer)
        await client.execute(Quit())
        assert not client.is_connected
        await client.quit()
