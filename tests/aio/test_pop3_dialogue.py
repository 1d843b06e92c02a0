"""NOOP while nobody asks for anything."""

import asyncio

import pytest

from mailwire import ConnectionLost, DeadlineExceeded, POP3Settings, RemoteProtocolError, Timeouts
from mailwire.pop3 import Stat, Window
from mailwire.testing import FIN, LISTEN, STALL, WAIT, ScriptedPeer, Step
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import (
    LISTED,
    LISTED_TOGETHER,
    LOGIN,
    OPENED,
    PIPELINED,
    POP3_QUIT,
    TWO_MESSAGES,
    announced,
    capabilities,
)
from tests.aio.pop3_clients import ONE, THREE, TWO, client_for, connect
from tests.clock import Clock, StandingClock

NOOP: tuple[Step, ...] = ("C: NOOP", "S: +OK still here")


async def test_an_idle_session_is_kept_alive() -> None:
    clock = Clock()
    async with ScriptedPeer(*OPENED, *NOOP, *NOOP, "C: STAT", "S: +OK 1 2", *POP3_QUIT, guard=None) as peer:
        client = await connect(peer)
        await clock.advance(29)
        assert peer.commands[-1].startswith("PASS")
        await clock.advance(1)
        assert peer.commands[-1] == "NOOP"
        await clock.advance(30)
        assert peer.commands[-2:] == ["NOOP", "NOOP"]
        assert (await client.stat()).count == 1
        await clock.advance(10)
        await client.quit()
        await clock.advance(1000)


async def test_no_answer_is_taken_for_that_to_another_command() -> None:
    async with ScriptedPeer(*OPENED, "C: STAT", "S: +OK 1 2", LISTEN) as peer:
        client = await connect(peer)
        client._dialogue.send(Stat())
        with pytest.raises(AssertionError, match="NOOP is not asked before STAT is answered"):
            await client.noop()
        assert not client.is_connected


async def test_who_asks_something_needs_no_noop() -> None:
    clock = Clock()
    stat = ("C: STAT", "S: +OK 1 2")
    async with ScriptedPeer(*OPENED, *stat, *stat, *NOOP, *POP3_QUIT, guard=None) as peer:
        client = await connect(peer)
        for _ in range(2):
            await clock.advance(20)
            await client.stat()
        await clock.advance(29)
        assert peer.commands[-1] == "STAT"
        await clock.advance(1)
        await client.quit()


@pytest.mark.parametrize("seconds", [None, 100])
async def test_when_noop_is_said_can_be_set(seconds: float | None) -> None:
    clock = Clock()
    async with ScriptedPeer(*OPENED, *POP3_QUIT, guard=None) as peer:
        client = await connect(peer, settings=POP3Settings(keep_alive=seconds))
        await clock.advance(99)
        await client.quit()


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_time_for_noop_is_a_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="expected keep_alive to be more than 0, got"):
        POP3Settings(keep_alive=seconds)


async def test_the_answer_to_noop_is_taken_for_no_other() -> None:
    clock = Clock()
    async with ScriptedPeer(
        *OPENED, "C: NOOP", WAIT, "S: +OK still here", "C: STAT", "S: +OK 1 2", *POP3_QUIT, guard=None
    ) as peer:
        client = await connect(peer)
        await clock.advance(30)
        # There is one at a time.
        await clock.advance(30)
        asking = asyncio.create_task(client.stat())
        await drain_events()
        peer.go_on()
        assert (await asking).count == 1
        await client.quit()


async def test_noop_is_said_when_the_time_has_come_to_the_tick() -> None:
    clock = StandingClock()
    async with ScriptedPeer(*OPENED, *NOOP, *POP3_QUIT, guard=None) as peer:
        client = await connect(peer)
        await clock.advance(30)
        assert peer.commands[-1] == "NOOP"
        await client.quit()


async def test_behind_an_answer_that_was_late_noop_is_said_before_long() -> None:
    clock = Clock()
    async with ScriptedPeer(*OPENED, NOOP[0], WAIT, NOOP[1], *NOOP, *POP3_QUIT, guard=None) as peer:
        client = await connect(peer)
        await clock.advance(30)
        await clock.advance(30)
        assert peer.commands[-2:] != ["NOOP", "NOOP"]
        peer.go_on()
        await clock.advance(1)
        assert peer.commands[-2:] == ["NOOP", "NOOP"]
        await client.quit()


async def test_an_answer_to_noop_that_does_not_come_is_waited_for_as_long_as_any() -> None:
    clock = Clock()
    async with ScriptedPeer(*OPENED, "C: NOOP", STALL, guard=None) as peer:
        client = await connect(peer)
        await clock.advance(30)
        asking = asyncio.create_task(client.stat())
        await clock.advance(59)
        assert not asking.done()
        await clock.advance(1)
        assert asking.done()
        with pytest.raises(DeadlineExceeded, match="the answer to NOOP") as caught:
            await asking
        assert caught.value.phase == "response"
        assert not client.is_connected


async def test_a_slow_consumer_keeps_the_session_between_two_messages() -> None:
    clock = Clock()
    async with ScriptedPeer(
        *(*OPENED, *LISTED, *TWO_MESSAGES[:4], *NOOP, *TWO_MESSAGES[4:], *NOOP, *POP3_QUIT), guard=None
    ) as peer:
        client = await connect(peer)
        found = []
        async for item in client.retrieve([ONE, TWO]):
            found.append(await item.read())
            await clock.advance(40)
        assert found == [b"first\r\n", b"other\r\n"]
        await client.quit()


async def test_a_slow_consumer_keeps_the_session_while_it_reads_what_has_come_already() -> None:
    # All has come at once. What is read of it later does not tell how long the server has waited.
    clock = Clock()
    message: tuple[Step, ...] = ("S: +OK", "S: x", "S: .")
    async with ScriptedPeer(
        *(*PIPELINED, *LISTED_TOGETHER, "C: RETR 1", "C: RETR 2", "C: RETR 3", *message, *message, *message),
        *(*NOOP, *NOOP, *POP3_QUIT),
        guard=None,
    ) as peer:
        client = await connect(peer)
        async for item in client.retrieve([ONE, TWO, THREE]):
            await item.read()
            await clock.advance(10)
            await clock.advance(10)
        await client.quit()
    assert peer.commands[-3:] == ["NOOP", "NOOP", "QUIT"]


async def test_a_slow_consumer_that_deletes_what_has_come_already_keeps_the_session() -> None:
    # What is to be deleted is said when more is asked for: that it waits for that, is no word to the server.
    clock = Clock()
    message: tuple[Step, ...] = ("S: +OK", "S: x", "S: .")
    async with ScriptedPeer(
        *(*PIPELINED, *LISTED_TOGETHER, "C: RETR 1", "C: RETR 2", "C: RETR 3", *message, *message, *message),
        *(*NOOP, *NOOP, "C: DELE 1", "S: +OK", "C: DELE 2", "S: +OK", LISTEN),
        guard=None,
    ) as peer:
        client = await connect(peer)
        run = client.retrieve([ONE, TWO, THREE])
        for _ in range(3):
            item = await anext(run)
            await item.read()
            item.delete()
            await clock.advance(10)
            await clock.advance(10)
        assert peer.commands[-4:] == ["NOOP", "NOOP", "DELE 1", "DELE 2"]
        client.abort()


async def test_nothing_is_said_where_no_maildrop_is_open() -> None:
    # NOOP has its place in TRANSACTION alone (RFC 1939 5).
    clock = Clock()
    async with ScriptedPeer(*OPENED[:3], *POP3_QUIT, guard=None) as peer, client_for(peer, auth=None):
        await clock.advance(40)
        await clock.advance(40)
    assert "NOOP" not in peer.commands


@pytest.mark.parametrize(
    ("opened", "settings"),
    [
        (OPENED, POP3Settings()),
        (
            (*capabilities("PIPELINING", "UIDL"), *LOGIN, *announced("PIPELINING", "UIDL")),
            POP3Settings(window=Window(commands=1, octets=1000)),
        ),
    ],
    ids=["without PIPELINING", "in a window of one command"],
)
async def test_a_message_that_nobody_reads_holds_noop_back_no_longer_than_to_its_end(
    opened: tuple[Step, ...], settings: POP3Settings
) -> None:
    clock = Clock()
    async with ScriptedPeer(
        *opened, *LISTED, *TWO_MESSAGES[:4], *NOOP, *TWO_MESSAGES[4:], *POP3_QUIT, guard=None
    ) as peer:
        client = await connect(peer, settings=settings)
        async for item in client.retrieve([ONE, TWO]):
            if item.entry == ONE:
                await clock.advance(45)
                assert peer.commands[-1] == "RETR 1"
            await item.read()
            if item.entry == ONE:
                await clock.advance(1)
                assert peer.commands[-1] == "NOOP"
        await client.quit()


async def test_noop_leaves_before_what_is_queued_though_the_window_is_full() -> None:
    # The first message has come and is not read, the others cannot be asked for yet.
    clock = Clock()
    settings = POP3Settings(window=Window(commands=100, octets=1))
    message: tuple[Step, ...] = ("S: +OK", "S: x", "S: .")
    async with ScriptedPeer(
        *(*PIPELINED, *LISTED_TOGETHER, "C: RETR 1", *message, *NOOP, *NOOP, "C: RETR 2", *message),
        *("C: RETR 3", *message, *POP3_QUIT),
        guard=None,
    ) as peer:
        client = await connect(peer, settings=settings)
        found = []
        async for item in client.retrieve([ONE, TWO, THREE]):
            if item.entry == ONE:
                await clock.advance(30)
                await clock.advance(30)
                assert peer.commands[-2:] == ["NOOP", "NOOP"]
            found.append(await item.read())
        assert found == [b"x\r\n"] * 3
        await client.quit()


async def test_nothing_is_said_in_the_middle_of_a_message() -> None:
    clock = Clock()
    async with ScriptedPeer(
        *(*OPENED, *LISTED, "C: RETR 1", "S: +OK", "S: fi", WAIT, "S: rst", "S: .", *POP3_QUIT), guard=None
    ) as peer:
        client = await connect(peer)
        async for item in client.retrieve([ONE]):
            async for _ in item:
                await clock.advance(100)
                peer.go_on()
        await client.quit()
    assert "NOOP" not in peer.commands


@pytest.mark.parametrize("reads", [True, False])
async def test_where_the_server_pipelines_noop_goes_behind_what_is_unanswered(reads: bool) -> None:
    clock = Clock()
    message: tuple[Step, ...] = ("S: +OK", "S: x", "S: .")
    heard, answered = (NOOP[:1], NOOP[1:]) if reads else ((), NOOP)
    async with ScriptedPeer(
        *(*PIPELINED, *LISTED_TOGETHER, "C: RETR 1", "C: RETR 2", "C: RETR 3", *message, *heard, *message, *message),
        *(*answered, "C: STAT", "S: +OK 1 2", *POP3_QUIT),
        guard=None,
    ) as peer:
        client = await connect(peer)
        found = []
        async for item in client.retrieve([ONE, TWO, THREE]):
            if not reads:
                # In the middle of a message, of which the server has seen the end.
                await clock.advance(40)
                break
            found.append(await item.read())
            if item.entry == ONE:
                await clock.advance(40)
        assert found == ([b"x\r\n"] * 3 if reads else [])
        assert (await client.stat()).count == 1
        await client.quit()


async def test_the_answers_to_noops_do_not_go_on_with_a_message_that_has_no_end() -> None:
    # As Exchange 2000 ends one at times. Without a least rate, each answer would put the deadline off.
    clock = Clock()
    script = (*PIPELINED, *LISTED_TOGETHER, "C: RETR 1", "S: +OK", "S: first.", LISTEN)
    async with ScriptedPeer(*script, guard=None) as peer:
        client = await connect(peer, timeouts=Timeouts(minimum_rate=None))
        reading = asyncio.create_task((await anext(client.retrieve([ONE]))).read())
        for _ in range(6):
            await clock.advance(30)
        with pytest.raises(DeadlineExceeded, match="the dot may be the end"):
            await reading
        assert "NOOP" not in peer.commands


async def test_the_answer_to_a_noop_behind_what_was_left_is_nobody_elses() -> None:
    # All of the window is taken when the time for it has come, and then nobody reads on.
    clock = Clock()
    settings = POP3Settings(window=Window(commands=3, octets=1000))
    rest: tuple[Step, ...] = ("S: +OK", "S: x", "S: .")
    async with ScriptedPeer(
        *(*PIPELINED, *LISTED_TOGETHER, "C: RETR 1", "C: RETR 2", "C: RETR 3", "C: NOOP", WAIT, *rest, *rest, *rest),
        *("S: +OK", "C: STAT", "S: +OK 1 2", "C: STAT", "S: +OK 1 2", *POP3_QUIT),
        guard=None,
    ) as peer:
        client = await connect(peer, settings=settings)
        items = client.retrieve([ONE, TWO, THREE])
        waiting = asyncio.create_task(anext(items))
        await clock.advance(40)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await items.aclose()
        peer.go_on()
        for _ in range(2):
            assert (await client.stat()).count == 1
        await client.quit()


@pytest.mark.parametrize(
    ("said", "error", "text"),
    [
        (("S: -ERR idle for too long", FIN), ConnectionLost, "closed the idle connection: -ERR idle for too long"),
        ((FIN,), ConnectionLost, "closed the idle connection: without a word"),
        (("S: +OK what", STALL), RemoteProtocolError, "expected nothing from the server"),
    ],
)
async def test_a_server_that_has_left_is_found_out_by_the_next_call(
    said: tuple[Step, ...], error: type[Exception], text: str
) -> None:
    clock = Clock()
    async with ScriptedPeer(*OPENED, WAIT, *said, guard=None) as peer:
        client = await connect(peer)
        peer.go_on()
        await drain_events()
        await clock.advance(30)
        await clock.advance(30)
        with pytest.raises(error, match=text):
            await client.stat()
        assert not client.is_connected


async def test_a_server_that_leaves_a_slow_consumer_is_found_out_by_the_run() -> None:
    clock = Clock()
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], WAIT, "S: -ERR idle", FIN, guard=None) as peer:
        client = await connect(peer)
        items = client.retrieve([ONE, TWO])
        await (await anext(items)).read()
        peer.go_on()
        await drain_events()
        await clock.advance(30)
        with pytest.raises(ConnectionLost, match="closed the idle connection: -ERR idle"):
            await anext(items)
        assert not client.is_connected
