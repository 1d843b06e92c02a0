"""What a POP3 server is given time for, and what is told when that has passed."""

import asyncio
import base64
import re
from typing import Any

import pytest

from mailwire import DeadlineExceeded, POP3Settings, Timeouts
from mailwire.pop3 import Dele
from mailwire.testing import LISTEN, STALL, WAIT, ScriptedPeer, Step
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import (
    CREDENTIALS,
    LISTED,
    LOGIN,
    OPENED,
    POP3_GREETED,
    POP3_QUIT,
    POP3_READY,
    TWO_MESSAGES,
    capabilities,
)
from tests.aio.pop3_clients import ONE, TWO, client_for, connect, everything
from tests.clock import Clock

PLAIN = base64.b64encode(f"\0{CREDENTIALS.user}\0{CREDENTIALS.password}".encode()).decode()
STLS: tuple[Step, ...] = (*capabilities("STLS"), "C: STLS", "S: +OK go")


@pytest.mark.parametrize(
    ("script", "settings", "seconds", "phase", "awaited"),
    [
        ((), {}, 300, "greeting", "the greeting"),
        ((b"+O",), {}, 300, "greeting", "the greeting"),
        (POP3_GREETED, {}, 60, "response", "the answer to CAPA"),
        ((*POP3_GREETED, "S: +OK", "S: TOP"), {}, 60, "response", "the answer to CAPA"),
        (STLS[:-1], {"tls": "starttls"}, 60, "response", "the answer to STLS"),
        ((*STLS, LISTEN), {"tls": "starttls"}, 30, "handshake", "the TLS handshake with pop3+starttls://localhost:110"),
        ((*POP3_READY, *LOGIN[:1]), {}, 60, "response", "the answer to USER bob"),
        ((*POP3_READY, *LOGIN[:3]), {}, 60, "response", "the answer to PASS ****"),
        ((*capabilities("SASL PLAIN"), f"C: AUTH PLAIN {PLAIN}"), {}, 60, "response", "the answer to AUTH PLAIN ****"),
        ((*OPENED, *LISTED[:1]), {}, 60, "response", "the answer to STAT"),
        ((*OPENED, *LISTED[:3]), {}, 60, "response", "the answer to LIST"),
        ((*OPENED, *LISTED[:8]), {}, 60, "response", "the answer to UIDL"),
        ((*OPENED, *LISTED, "C: RETR 1"), {}, 60, "response", "the answer to RETR 1"),
        ((*OPENED, *LISTED, "C: RETR 1", "S: +OK"), {}, 180, "block", "message 1"),
        ((*OPENED, *LISTED, "C: RETR 1", "S: +OK", "S: fir"), {}, 180, "block", "message 1"),
        ((*OPENED, *LISTED, *TWO_MESSAGES[:5]), {}, 60, "response", "the answer to RETR 2"),
    ],
    ids=[
        *(
            "greeting",
            "half a greeting",
            "CAPA",
            "half of CAPA",
            "STLS",
            "handshake",
            "USER",
            "PASS",
            "AUTH",
            "STAT",
            "LIST",
            "UIDL",
        ),
        *("RETR", "message", "half a message", "next RETR"),
    ],
)
async def test_a_server_that_does_not_answer_ends_at_the_deadline_of_the_phase(
    script: tuple[Step, ...], settings: dict[str, Any], seconds: float, phase: str, awaited: str
) -> None:
    clock = Clock()
    async with ScriptedPeer(*script, STALL, guard=None) as peer:
        client = client_for(peer, **settings)

        async def connect_and_retrieve() -> None:
            await client.connect()
            await everything(client.retrieve(await client.listing()))

        retrieving = asyncio.create_task(connect_and_retrieve())
        await clock.advance(seconds - 1)
        assert not retrieving.done()
        await clock.advance(1)
        assert retrieving.done()
        with pytest.raises(DeadlineExceeded) as caught:
            await retrieving
        assert caught.value.phase == phase
        assert f"within {seconds} s: {awaited}" in str(caught.value)
        if phase not in ("greeting", "handshake"):
            assert re.search("; of the answer to .* came ", str(caught.value))
        assert caught.value.transcript or not script or script == (b"+O",)
        assert not client.is_connected


async def test_an_answer_a_byte_a_second_ends_at_the_deadline_all_the_same() -> None:
    drops: list[Step] = [step for _ in range(41) for step in (b"X", WAIT)]
    clock = Clock()
    async with ScriptedPeer(*POP3_GREETED, "S: +OK", *drops, LISTEN, guard=None) as peer:
        connecting = asyncio.create_task(connect(peer))
        await drain_events()
        # The clock goes on by itself as well: there is time for what all these turns take.
        for _ in range(40):
            await clock.advance(1)
            peer.go_on()
        assert not connecting.done()
        await clock.advance(20)
        with pytest.raises(DeadlineExceeded, match="the answer to CAPA"):
            await connecting
        peer.go_on()


async def test_a_listing_may_take_any_time_while_it_keeps_the_pace() -> None:
    # 512 octets a second, that is 30,720 in each minute.
    lines = [b"".join(b"%d 123456\r\n" % number for number in range(begin, begin + 2500)) for begin in (1, 2501, 5001)]
    assert all(len(piece) > 30_720 for piece in lines)
    for pieces, comes in (
        (lines, True),
        ((lines[0], b"2501 1\r\n"), False),
        ((lines[0], lines[1][:20_000]), False),
        ((lines[0], b""), False),
    ):
        clock = Clock()
        drops: list[Step] = [step for piece in pieces for step in (piece, WAIT)]
        last = (b".\r\n", *POP3_QUIT) if comes else (LISTEN,)
        async with ScriptedPeer(*OPENED, "C: LIST", "S: +OK", *drops, *last, guard=None) as peer:
            client = await connect(peer, settings=POP3Settings(keep_alive=None))
            listing = asyncio.create_task(client.list())
            for _ in pieces:
                assert not listing.done()
                await clock.advance(60)
                peer.go_on()
            if comes:
                assert len(await listing) == 7500
                await client.quit()
            else:
                with pytest.raises(
                    DeadlineExceeded, match=r"the answer to LIST; of the answer to LIST came \d+ octets"
                ):
                    await listing


async def test_where_no_pace_is_asked_for_a_listing_must_not_stand_still() -> None:
    clock = Clock()
    drops: list[Step] = [step for number in range(1, 4) for step in (b"%d 7\r\n" % number, WAIT)]
    async with ScriptedPeer(*OPENED, "C: LIST", "S: +OK", *drops, b".\r\n", *POP3_QUIT, guard=None) as peer:
        client = await connect(peer, settings=POP3Settings(keep_alive=None), timeouts=Timeouts(minimum_rate=None))
        listing = asyncio.create_task(client.list())
        for _ in range(3):
            await clock.advance(60)
            assert not listing.done()
            peer.go_on()
        assert len(await listing) == 3
        await client.quit()


async def test_a_single_octet_of_a_listing_is_progress() -> None:
    clock = Clock()
    async with ScriptedPeer(*OPENED, "C: LIST", "S: +OK", b"1", WAIT, b" 7\r\n.\r\n", *POP3_QUIT, guard=None) as peer:
        client = await connect(peer, settings=POP3Settings(keep_alive=None), timeouts=Timeouts(minimum_rate=None))
        listing = asyncio.create_task(client.list())
        await clock.advance(60)
        assert not listing.done()
        peer.go_on()
        assert len(await listing) == 1
        await client.quit()


async def test_a_mark_by_hand_has_the_time_of_any_command() -> None:
    clock = Clock()
    async with ScriptedPeer(*OPENED, "C: DELE 1", STALL, guard=None) as peer:
        client = await connect(peer, settings=POP3Settings(keep_alive=None))
        marking = asyncio.create_task(client.execute(Dele(1)))
        await clock.advance(59)
        assert not marking.done()
        await clock.advance(1)
        with pytest.raises(DeadlineExceeded, match="DELE 1"):
            await marking


async def test_a_mark_that_a_run_has_left_has_the_time_of_any_command() -> None:
    clock = Clock()
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], "C: DELE 1", STALL, guard=None) as peer:
        client = await connect(peer, settings=POP3Settings(keep_alive=None))
        items = client.retrieve([ONE, TWO])
        item = await anext(items)
        await item.read()
        item.delete()
        await items.aclose()
        asking = asyncio.create_task(client.noop())
        await clock.advance(59)
        assert not asking.done()
        await clock.advance(1)
        assert asking.done()
        with pytest.raises(DeadlineExceeded, match="the answer to DELE 1") as caught:
            await asking
        assert caught.value.phase == "response"


async def test_what_was_waited_for_a_message_that_was_broken_off_is_none_of_the_next_one() -> None:
    clock = Clock()
    script = (
        *(*OPENED, *LISTED, "C: RETR 1", "S: +OK", b"x\r\n", WAIT, b"y\r\n.\r\n"),
        *("C: RETR 2", "S: +OK", WAIT, "S: other", "S: .", *POP3_QUIT),
    )
    async with ScriptedPeer(*script, guard=None) as peer:
        timeouts = Timeouts(minimum_rate=100, rate_period=50)
        client = await connect(peer, settings=POP3Settings(keep_alive=None), timeouts=timeouts)
        items = client.retrieve([ONE])
        blocks = aiter(await anext(items))
        await anext(blocks)
        waiting = asyncio.ensure_future(anext(blocks))
        await clock.advance(49)
        peer.go_on()
        assert await waiting == b"y\r\n"
        await items.aclose()
        reading = asyncio.create_task((await anext(client.retrieve([TWO]))).read())
        await clock.advance(2)
        peer.go_on()
        assert await reading == b"other\r\n"
        await client.quit()


async def test_a_message_may_take_any_time_while_it_makes_progress() -> None:
    drop = b"x" * 100_000 + b"\r\n"
    drops: list[Step] = [step for _ in range(5) for step in (drop, WAIT)]
    clock = Clock()
    async with (
        ScriptedPeer(*OPENED, *LISTED, "C: RETR 1", "S: +OK", *drops, "S: .", *POP3_QUIT, guard=None) as peer,
        client_for(peer) as client,
    ):
        retrieving = asyncio.create_task(everything(client.retrieve([ONE])))
        for _ in range(5):
            await clock.advance(179)
            peer.go_on()
            await drain_events()
        assert await retrieving == [drop * 5]


async def test_a_consumer_may_take_any_time() -> None:
    clock = Clock()
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES, *POP3_QUIT, guard=None) as peer:
        client = await connect(peer, settings=POP3Settings(keep_alive=None))
        found = []
        async for item in client.retrieve([ONE, TWO]):
            await clock.advance(100_000)
            found.append(await item.read())
            await clock.advance(100_000)
        await client.quit()
    assert found == [b"first\r\n", b"other\r\n"]


STOOD_STILL = [
    ((), "the answer to STAT; of the answer to STAT came nothing"),
    ((b"+OK 2",), r"of the answer to STAT came \(5 octets\)$"),
    ((*LISTED[1:], "C: RETR 1", "S: +OK"), "message 1; of the answer to RETR 1 came 0 octets$"),
    ((*LISTED[1:], "C: RETR 1", "S: +OK", "S: fir"), r"came 5 octets, the last of them like b'xxx\\r\\n'$"),
    ((*LISTED[1:], "C: RETR 1", "S: +OK", b"fir.\r\n"), "the dot may be the end, sent without the line end before it"),
    ((*LISTED[1:], "C: RETR 1", "S: +OK", b"fir\r\n.\r"), r"the end may lack its last octet \(Quirks.cut_terminator"),
]


@pytest.mark.parametrize(("said", "told"), STOOD_STILL)
async def test_what_stands_still_tells_how_much_came(said: tuple[Step, ...], told: str) -> None:
    clock = Clock()
    async with ScriptedPeer(*OPENED, LISTED[0], *said, STALL, guard=None) as peer:
        client = await connect(peer, settings=POP3Settings(keep_alive=None))
        retrieving = asyncio.create_task(everything(client.retrieve([ONE])))
        await clock.advance(200)
        with pytest.raises(DeadlineExceeded, match=told):
            await retrieving


async def test_a_message_that_trickles_ends_at_the_deadline_all_the_same() -> None:
    drops: list[Step] = [step for _ in range(6) for step in (b"x" * 1000, WAIT)]
    clock = Clock()
    async with ScriptedPeer(*OPENED, *LISTED, "C: RETR 1", "S: +OK", *drops, LISTEN, guard=None) as peer:
        client = await connect(peer, timeouts=Timeouts(minimum_rate=200, rate_period=50))
        items = client.retrieve([ONE])
        item = await anext(items)
        retrieving = asyncio.create_task(item.read())
        await drain_events()
        for _ in range(4):
            await clock.advance(11)
            peer.go_on()
            await drain_events()
        assert not retrieving.done()
        await clock.advance(11)
        peer.go_on()
        told = "the server gave 6000 octets in 55 s, less than 200 a second: message 1; .* came 6000 octets"
        with pytest.raises(DeadlineExceeded, match=told) as caught:
            await retrieving
        assert caught.value.phase == "minimum_rate"
        assert not item.is_complete
        assert not client.is_connected


async def test_a_reader_that_is_slow_makes_no_message_trickle() -> None:
    drops: list[Step] = [step for _ in range(5) for step in (b"x\r\n", WAIT)]
    clock = Clock()
    async with ScriptedPeer(*OPENED, *LISTED, "C: RETR 1", "S: +OK", *drops, "S: .", *POP3_QUIT, guard=None) as peer:
        client = await connect(peer, settings=POP3Settings(keep_alive=None))
        async for item in client.retrieve([ONE]):
            text = b""
            async for block in item:
                text += block
                await clock.advance(100)
                peer.go_on()
                await drain_events()
            assert text == b"x\r\n" * 5
        await client.quit()
