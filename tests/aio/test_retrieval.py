import asyncio
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from mailwire import (
    AmbiguousMessage,
    Batch,
    Budget,
    BudgetExceeded,
    ConnectionLost,
    DeadlineExceeded,
    Desynchronised,
    Endpoint,
    Entry,
    LocalProtocolError,
    MailwireError,
    MessageTruncated,
    POP3Client,
    POP3Settings,
    ResponseError,
    Retrieval,
    RetrievalProgress,
    Timeouts,
    UnknownMessage,
)
from mailwire.pop3 import Response, Window
from mailwire.testing import CLOSE, FIN, LISTEN, RST, STALL, WAIT, Answers, Endless, ScriptedPeer, Step, Tls
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import (
    CANARY,
    LISTED,
    LISTED_TOGETHER,
    LOGIN,
    OPENED,
    PIPELINED,
    POP3_ANSWERS,
    POP3_QUIT,
    TWO_MESSAGES,
    announced,
    capabilities,
)
from tests.aio.pop3_clients import ONE, THREE, TWO, assert_a_call_waits, client_for, connect, everything
from tests.aio.test_replay import client_of, listed_as, retrieved
from tests.clock import Clock

LISTED_OF_THREE: tuple[Step, ...] = (
    *("C: STAT", "S: +OK 3 21", "C: LIST", "S: +OK", "S: 1 7", "S: 2 7", "S: 3 7", "S: ."),
    *("C: UIDL", "S: +OK", "S: 1 u1", "S: 2 u2", "S: 3 u3", "S: ."),
)

IN_USE = "^another task is in the middle of this retrieval: one goes on with it at a time$"
ENDED_BY_A_CALL = "^another call of the client has ended this retrieval: finish it first$"
CANCELLED = "^this retrieval was ended by a cancellation: begin another for the rest$"

TOO_MUCH_LEFT = "^message 1 is longer than allowed, by more than 200000 octets: the connection was cut$"

# Six of them, from a server that pipelines.
LISTED_SIX: tuple[Step, ...] = (
    *(*PIPELINED, "C: STAT", "C: LIST", "C: UIDL", "S: +OK 6 42"),
    *("S: +OK", *(f"S: {number} 7" for number in range(1, 7)), "S: ."),
    *("S: +OK", *(f"S: {number} u{number}" for number in range(1, 7)), "S: ."),
)
ASKED_SIX: tuple[Step, ...] = tuple(f"C: RETR {number}" for number in range(1, 7))
SHORT: tuple[Step, ...] = ("S: +OK", "S: x", "S: .")


# Retrieving


async def test_messages_are_retrieved_one_at_a_time_without_pipelining() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES, *POP3_QUIT) as peer, client_for(peer) as client:
        assert await everything(client.retrieve(await client.listing())) == [b"first\r\n", b"other\r\n"]


async def test_messages_are_asked_for_together_with_pipelining() -> None:
    async with (
        ScriptedPeer(
            *PIPELINED,
            *(
                *LISTED_TOGETHER,
                "C: RETR 1",
                "C: RETR 2",
                "C: RETR 3",
                "S: +OK",
                "S: first",
                "S: .",
                "S: +OK",
                "S: .",
                "S: +OK",
                "S: third",
                "S: .",
            ),
            *POP3_QUIT,
        ) as peer,
        client_for(peer) as client,
    ):
        assert await everything(client.retrieve([ONE, TWO, THREE])) == [b"first\r\n", b"", b"third\r\n"]


async def test_the_message_whose_answer_is_due_is_known_and_was_when_the_run_was_ended() -> None:
    asked = ("C: RETR 1", "C: RETR 2", "C: RETR 3")
    script = (*PIPELINED, *LISTED_TOGETHER, *asked, "S: +OK", "S: first", "S: .", "S: -ERR no", "S: what")
    async with ScriptedPeer(*script, LISTEN) as peer, client_for(peer) as client:
        items = client.retrieve([ONE, "nobody", TWO, THREE])
        assert items.awaited is None
        first = await anext(items)
        assert items.awaited is None
        assert await first.read() == b"first\r\n"
        assert items.awaited is None
        assert isinstance((await anext(items)).error, UnknownMessage)
        assert items.awaited == TWO
        assert isinstance((await anext(items)).error, ResponseError)
        assert items.awaited == THREE
        with pytest.raises(Desynchronised):
            await anext(items)
        assert items.awaited == THREE


# Small messages, which come together


TOGETHER: tuple[Step, ...] = tuple(step for number in range(1, 7) for step in ("S: +OK", f"S: {number}", "S: ."))


async def test_messages_that_come_together_are_handed_out_one_by_one() -> None:
    async with ScriptedPeer(*LISTED_SIX, *ASKED_SIX, *TOGETHER, *POP3_QUIT) as peer, client_for(peer) as client:
        items = client.retrieve(await client.listing())
        got = [(item.entry.number, await item.read(), item.octets, item.is_complete) async for item in items]
        assert got == [(number, b"%d\r\n" % number, 3, True) for number in range(1, 7)]


async def test_of_those_that_have_come_none_is_awaited() -> None:
    script = (*LISTED_SIX, *ASKED_SIX, *TOGETHER[:12], "S: what")
    async with ScriptedPeer(*script, LISTEN) as peer, client_for(peer) as client:
        items = client.retrieve(entries := await client.listing())
        for _ in range(3):
            await (await anext(items)).read()
        assert items.awaited == entries[4]
        assert await (await anext(items)).read() == b"4\r\n"
        with pytest.raises(Desynchronised):
            await anext(items)
        assert items.awaited == entries[4]


async def test_what_has_come_is_handed_out_though_the_end_of_the_connection_was_met_meanwhile() -> None:
    # By a NOOP that was to keep the session alive, with nothing unanswered, and two messages yet to be asked for.
    clock = Clock()
    script = (*LISTED_SIX, *ASKED_SIX[:4], *TOGETHER[:12], FIN)
    settings = POP3Settings(window=Window(commands=4, octets=1000))
    async with ScriptedPeer(*script, guard=None) as peer:
        client = await connect(peer, settings=settings)
        items = client.retrieve(await client.listing())
        for number in range(1, 5):
            assert await (await anext(items)).read() == b"%d\r\n" % number
            if number == 2:
                await clock.advance(40)
        with pytest.raises(ConnectionLost, match="the server closed the idle connection"):
            await anext(items)
        assert not client.is_connected


async def test_of_those_that_have_come_nothing_is_kept_once_the_run_is_over() -> None:
    async with ScriptedPeer(*LISTED_SIX, *ASKED_SIX, *TOGETHER, *POP3_QUIT) as peer, client_for(peer) as client:
        items = client.retrieve(await client.listing())
        for _ in range(2):
            await anext(items)
        assert any(item._held for item in items._asked)
        await items.aclose()
        assert not any(item._held for item in items._asked)


@pytest.mark.parametrize(("limit", "longest"), [(5, 3), (3, 3), (2, 0)])
async def test_of_those_that_come_together_none_is_longer_than_one_may_be(limit: int, longest: int) -> None:
    async with ScriptedPeer(*LISTED_SIX, *ASKED_SIX, *TOGETHER, *POP3_QUIT) as peer, client_for(peer) as client:
        items = client.retrieve(await client.listing(), message_limit=limit)
        await anext(items)
        second = await anext(items)
        assert max(len(held._held) for held in (second, *items._asked)) == longest
        await items.aclose()


async def test_what_has_come_and_is_read_in_blocks_is_the_same() -> None:
    async with ScriptedPeer(*LISTED_SIX, *ASKED_SIX, *TOGETHER, *POP3_QUIT) as peer, client_for(peer) as client:
        items = client.retrieve(await client.listing())
        assert [[block async for block in item] async for item in items] == [[b"%d\r\n" % n] for n in range(1, 7)]


async def test_what_has_come_may_be_longer_than_is_wished() -> None:
    async with ScriptedPeer(*LISTED_SIX, *ASKED_SIX, *TOGETHER, *POP3_QUIT) as peer, client_for(peer) as client:
        items = client.retrieve(await client.listing())
        await anext(items)
        second = await anext(items)
        with pytest.raises(BudgetExceeded, match="message 2 is longer than 2 octets"):
            await second.read(limit=2)
        assert (second.octets, second.is_complete) == (3, False)
        assert await everything(items) == [b"%d\r\n" % number for number in range(3, 7)]


async def test_what_has_come_and_is_not_read_counts_and_comes_once() -> None:
    async with ScriptedPeer(*LISTED_SIX, *ASKED_SIX, *TOGETHER, *POP3_QUIT) as peer, client_for(peer) as client:
        items = client.retrieve(await client.listing(), total_limit=10)
        passed = [await anext(items) for _ in range(3)]
        fourth = await anext(items)
        assert [item.octets for item in passed] == [3, 3, 3]
        for item in passed:
            with pytest.raises(LocalProtocolError, match="it comes once"):
                await item.read()
        with pytest.raises(BudgetExceeded, match="the messages of this run are longer than 10 octets"):
            await fourth.read()


async def test_what_has_come_and_was_not_read_when_the_run_ended_is_not_given() -> None:
    script = (*LISTED_SIX, *ASKED_SIX, *TOGETHER, "C: NOOP", "S: +OK", *POP3_QUIT)
    async with ScriptedPeer(*script) as peer, client_for(peer) as client:
        items = client.retrieve(await client.listing())
        await anext(items)
        second = await anext(items)
        await items.aclose()
        with pytest.raises(LocalProtocolError, match="message 2 was passed over"):
            await second.read()
        await client.noop()


async def test_a_message_among_others_that_may_have_swallowed_an_answer_is_looked_at_alone() -> None:
    odd = ("S: +OK", "S: 2.", "S: +OK and more", "S: .")
    script = (*LISTED_SIX, *ASKED_SIX, *TOGETHER[:3], *odd, *TOGETHER[6:])
    again = tuple(
        step for number in range(3, 7) for step in (f"C: RETR {number}", *TOGETHER[3 * number - 3 : 3 * number])
    )
    async with ScriptedPeer(*script, *again, *POP3_QUIT) as peer, client_for(peer) as client:
        items = client.retrieve(await client.listing())
        others = [b"%d\r\n" % number for number in range(3, 7)]
        assert await everything(items) == [b"1\r\n", b"2.\r\n+OK and more\r\n", *others]


async def test_where_the_rest_of_a_message_has_ended_the_run_no_answer_was_due() -> None:
    script = (*PIPELINED, *LISTED_TOGETHER, "C: RETR 1", "C: RETR 2", "S: +OK", "S: +OK and more")
    async with ScriptedPeer(*script, LISTEN) as peer, client_for(peer) as client:
        items = client.retrieve([ONE, TWO])
        await anext(items)
        with pytest.raises(Desynchronised):
            await anext(items)
        assert items.awaited is None


async def test_more_are_asked_for_together_when_half_of_the_window_is_free() -> None:
    script = (*LISTED_SIX, *ASKED_SIX[:4], *SHORT, WAIT, *SHORT, *ASKED_SIX[4:], *SHORT * 4, *POP3_QUIT)
    settings = POP3Settings(window=Window(commands=4, octets=1000))
    async with ScriptedPeer(*script) as peer, client_for(peer, settings=settings) as client:
        items = client.retrieve(f"u{number}" for number in range(1, 7))
        assert await (await anext(items)).read() == b"x\r\n"
        waiting = asyncio.create_task(items.__anext__())
        await drain_events()
        assert "RETR 5" not in client.transcript.render()
        peer.go_on()
        assert await (await waiting).read() == b"x\r\n"
        assert await everything(items) == [b"x\r\n"] * 4


async def test_a_run_is_over_when_its_last_mark_is_answered() -> None:
    script = (*OPENED, *LISTED, *TWO_MESSAGES[:4], "C: DELE 1", WAIT, "S: +OK", *POP3_QUIT)
    async with ScriptedPeer(*script) as peer, client_for(peer) as client:
        items = client.retrieve([ONE])
        (await anext(items)).delete()
        waiting = asyncio.create_task(items.__anext__())
        await drain_events()
        assert not waiting.done()
        peer.go_on()
        with pytest.raises(StopAsyncIteration):
            await waiting
        assert (await client.commit()).committed == (ONE,)


async def test_what_comes_between_two_messages_answers_nothing() -> None:
    # Taken for the answer to RETR 2, it would make the true one the first line of the message.
    script = (*OPENED, *LISTED, *TWO_MESSAGES[:4], WAIT, "S: +OK", LISTEN)
    async with ScriptedPeer(*script) as peer:
        client = await connect(peer)
        items = client.retrieve([ONE, TWO])
        assert await (await anext(items)).read() == b"first\r\n"
        peer.go_on()
        await drain_events()
        with pytest.raises(Desynchronised, match="expected nothing from the server"):
            await anext(items)
        assert not client.is_connected
    assert peer.commands[-1] == "RETR 1"


@pytest.mark.parametrize("end", [("S: -ERR idle for too long", FIN), (FIN,)])
async def test_a_server_that_leaves_between_two_messages_is_lost(end: tuple[Step, ...]) -> None:
    script = (*OPENED, *LISTED, *TWO_MESSAGES[:4], WAIT, *end)
    async with ScriptedPeer(*script) as peer:
        client = await connect(peer)
        items = client.retrieve([ONE, TWO])
        assert await (await anext(items)).read() == b"first\r\n"
        peer.go_on()
        await drain_events()
        with pytest.raises(
            ConnectionLost, match=r"^the server left between two commands: (-ERR idle for too long|without a word)$"
        ):
            await anext(items)
        assert not client.is_connected


async def test_pipelining_can_be_switched_off() -> None:
    async with (
        ScriptedPeer(
            *(*capabilities("PIPELINING", "UIDL"), *LOGIN, *announced("PIPELINING", "UIDL")),
            *(*LISTED, *TWO_MESSAGES, *POP3_QUIT),
        ) as peer,
        client_for(peer, pipelining=False) as client,
    ):
        assert await everything(client.retrieve([ONE, TWO])) == [b"first\r\n", b"other\r\n"]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("keyword", ["PIPELINING", "TOP"])
async def test_the_packets_in_which_messages_come_do_not_matter(keyword: str, size: int) -> None:
    table = {
        **POP3_ANSWERS,
        "CAPA": f"+OK\n{keyword}\nUIDL\n.",
        "RETR 1": "+OK\n..\n...\n..x\n\n..\n.",
        "RETR 2": "+OK\n.",
    }
    async with ScriptedPeer("S: +OK", Answers(table), packet_size=size) as peer, client_for(peer) as client:
        found = await everything(client.retrieve(await client.listing()))
    assert found == [b".\r\n..\r\n.x\r\n\r\n.\r\n", b""]


@pytest.mark.parametrize("second", ["S: +OK", "S: +OK 6 octets", "S: -ERR no"])
async def test_a_second_answer_is_not_the_first_line_of_a_message(second: str) -> None:
    script = (*LISTED, "C: RETR 1", "S: +OK", second, "S: first", "S: .", LISTEN)
    async with ScriptedPeer(*OPENED, *script) as peer:
        client = await connect(peer)
        with pytest.raises(Desynchronised):
            await everything(client.retrieve(await client.listing()))
        assert not client.is_connected


async def test_a_server_that_ends_its_lines_in_lf_alone_is_understood() -> None:
    async with (
        ScriptedPeer(
            *(b"+OK\n", "C: CAPA", b"-ERR\n", "C: USER bob", b"+OK\n", f"C: PASS {CANARY}", b"+OK\n"),
            *("C: STAT", b"+OK 1 6\n", "C: LIST", b"+OK\n1 7\n.\n", "C: UIDL", b"+OK\n1 u1\n.\n"),
            *("C: RETR 1", b"+OK\n..x\ny\n.\n", "C: QUIT", b"+OK\n"),
        ) as peer,
        client_for(peer) as client,
    ):
        assert await everything(client.retrieve([ONE])) == [b".x\ny\n"]


async def test_a_message_is_as_long_as_it_is_whatever_was_announced() -> None:
    body = b"0123456789\r\n" * 100_000
    async with (
        ScriptedPeer(
            *(*OPENED, "C: STAT", "S: +OK 2 -1", "C: LIST", "S: +OK", "S: 1 5", f"S: 2 {2**40}", "S: ."),
            *("C: UIDL", "S: +OK", "S: 1 u1", "S: 2 u2", "S: ."),
            *("C: RETR 1", b"+OK 5 octets\r\n", body, b".\r\n", "C: RETR 2", "S: +OK 99999 octets", "S: ."),
            *POP3_QUIT,
        ) as peer,
        client_for(peer) as client,
    ):
        assert await everything(client.retrieve(await client.listing())) == [body, b""]


async def test_a_refused_message_does_not_end_the_run() -> None:
    async with (
        ScriptedPeer(
            *(*OPENED, *LISTED_OF_THREE, *TWO_MESSAGES[:4], "C: RETR 2", "S: -ERR gone"),
            *("C: RETR 3", "S: +OK", "S: third", "S: .", *POP3_QUIT),
        ) as peer,
        client_for(peer) as client,
    ):
        assert await everything(client.retrieve([ONE, TWO, THREE])) == [b"first\r\n", "-ERR gone", b"third\r\n"]


async def test_a_refused_message_cannot_be_read() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, "C: RETR 1", "S: -ERR gone", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        async for item in client.retrieve([ONE]):
            assert item.refusal == Response(False, b"gone")
            with pytest.raises(ResponseError, match="RETR 1 was refused: -ERR gone") as caught:
                await item.read()
            assert caught.value.command == "RETR 1"
            assert caught.value.transcript[-2:] == ("C: RETR 1", "S: -ERR gone")
            assert item.is_complete is False


async def test_a_message_can_be_read_in_blocks() -> None:
    body = b"0123456789abcdef" * 40_000 + b"\r\n"
    async with (
        ScriptedPeer(*OPENED, *LISTED, "C: RETR 1", b"+OK\r\n", body, b".\r\n", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        blocks = []
        async for item in client.retrieve([ONE]):
            assert item.entry == ONE
            async for block in item:
                blocks.append(block)
                assert item.octets == sum(map(len, blocks))
                assert not item.is_complete
            assert item.is_complete
    assert b"".join(blocks) == body
    assert len(blocks) > 1


async def test_what_is_left_of_a_message_is_passed_over() -> None:
    body = b"0123456789abcdef" * 40_000 + b"\r\n"
    async with (
        ScriptedPeer(
            *(
                *OPENED,
                *LISTED,
                "C: RETR 1",
                b"+OK\r\n",
                body,
                b".\r\n",
                "C: RETR 2",
                "S: +OK",
                "S: other",
                "S: .",
                *POP3_QUIT,
            )
        ) as peer,
        client_for(peer) as client,
    ):
        found = [(await anext(aiter(item)))[:5] async for item in client.retrieve([ONE, TWO])]
    assert found == [b"01234", b"other"]


async def test_a_message_that_is_not_read_at_all_is_passed_over() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES, *POP3_QUIT) as peer, client_for(peer) as client:
        assert [item.entry.number async for item in client.retrieve([ONE, TWO])] == [1, 2]


async def test_a_message_that_was_passed_over_is_not_empty() -> None:
    # Nothing truncated is given out as a message.
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES, *POP3_QUIT) as peer, client_for(peer) as client:
        items = [item async for item in client.retrieve([ONE, TWO])]
        for item in items:
            with pytest.raises(MailwireError):
                await item.read()
            assert not item.is_complete


@pytest.mark.parametrize("waits", [False, True])
async def test_of_a_message_that_is_passed_over_nothing_more_is_read(waits: bool) -> None:
    # Nor is what was read of it the whole.
    body = b"0123456789abcdef" * 40_000 + b"\r\n"
    rest: tuple[Step, ...] = (WAIT, b".\r\n") if waits else (b".\r\n",)
    script = (*OPENED, *LISTED, "C: RETR 1", b"+OK\r\n", body, *rest, *TWO_MESSAGES[4:], *POP3_QUIT)
    async with ScriptedPeer(*script, guard=None) as peer, client_for(peer) as client:
        items = client.retrieve([ONE, TWO])
        first = await anext(items)
        blocks = aiter(first)
        await anext(blocks)
        going_on = asyncio.create_task(items.__anext__())
        if waits:
            await drain_events()
            going_on.cancel()
            await asyncio.wait([going_on])
            peer.go_on()
            with pytest.raises(LocalProtocolError, match="message 1 was passed over"):
                await anext(blocks)
            second = await anext(items)
        else:
            second = await going_on
        with pytest.raises(LocalProtocolError, match="message 1 was passed over"):
            await anext(blocks)
        assert not first.is_complete
        assert await second.read() == b"other\r\n"


async def test_a_message_of_which_a_block_was_too_much_does_not_end_well() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], *POP3_QUIT) as peer, client_for(peer) as client:
        items = client.retrieve([ONE], message_limit=6)
        first = await anext(items)
        blocks = aiter(first)
        for _ in range(3):
            with pytest.raises(BudgetExceeded, match="message 1 is longer than 6 octets") as caught:
                await anext(blocks)
            assert caught.value.transcript[-2:] == ("C: RETR 1", "S: +OK")
        assert not first.is_complete


async def test_a_message_is_read_once() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES, *POP3_QUIT) as peer, client_for(peer) as client:
        items = client.retrieve([ONE, TWO])
        item = await anext(items)
        assert await item.read() == b"first\r\n"
        with pytest.raises(LocalProtocolError, match="message 1 was read already"):
            await item.read()
        await anext(items)
        with pytest.raises(LocalProtocolError, match="message 1 was read already"):
            await item.read()


async def test_a_message_of_which_blocks_were_taken_cannot_be_read_whole() -> None:
    body = b"0123456789abcdef" * 40_000 + b"\r\n"
    async with (
        ScriptedPeer(*OPENED, *LISTED, "C: RETR 1", b"+OK\r\n", body, b".\r\n", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        async for item in client.retrieve([ONE]):
            async for _ in item:
                break
            with pytest.raises(MailwireError):
                await item.read()


async def test_a_message_longer_than_allowed_is_not_read_on() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], LISTEN) as peer:
        client = await connect(peer)
        async for item in client.retrieve([ONE]):
            with pytest.raises(BudgetExceeded, match="message 1 is longer than 6 octets") as caught:
                await item.read(limit=6)
            assert caught.value.transcript[-2:] == ("C: RETR 1", "S: +OK")
        client.abort()


@pytest.mark.parametrize("progress", [None, lambda _: None], ids=["as one", "in blocks"])
@pytest.mark.parametrize("message_limit", [None, 7])
async def test_a_message_as_long_as_allowed_is_read(
    message_limit: int | None, progress: Callable[[RetrievalProgress], None] | None
) -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], *POP3_QUIT) as peer, client_for(peer) as client:
        async for item in client.retrieve([ONE], message_limit=message_limit, progress=progress):
            assert await item.read(limit=7) == b"first\r\n"
            assert (item.is_complete, item.octets) == (True, 7)


async def test_a_consumer_that_is_slow_holds_the_server_back() -> None:
    body = b"0123456789abcdef" * 500_000 + b"\r\n"
    async with (
        ScriptedPeer(*OPENED, *LISTED, "C: RETR 1", b"+OK\r\n", body, b".\r\n", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        octets = 0
        async for item in client.retrieve([ONE]):
            async for block in item:
                if octets == 0:
                    await peer.rest()
                    assert peer.sent < 2_000_000
                octets += len(block)
    assert octets == len(body)


async def test_pipelining_does_not_make_both_sides_wait_for_each_other() -> None:
    # A server that writes each answer before it reads on, with small buffers.
    body = "\n".join(["0123456789" * 7] * 50)
    numbers = range(1, 101)
    table = {**POP3_ANSWERS, "CAPA": "+OK\nPIPELINING\nUIDL\n."}
    table["LIST"] = "\n".join(["+OK", *(f"{number} 3600" for number in numbers), "."])
    table["UIDL"] = "\n".join(["+OK", *(f"{number} u{number}" for number in numbers), "."])
    table.update({f"RETR {number}": f"+OK\n{body}\n." for number in numbers})
    async with ScriptedPeer("S: +OK", Answers(table), buffer_size=4096) as peer, client_for(peer) as client:
        found = await everything(client.retrieve(f"u{number}" for number in numbers))
    assert found == [body.replace("\n", "\r\n").encode() + b"\r\n"] * 100


# Breaking off


async def test_breaking_off_behind_the_last_message_leaves_the_session_clean() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], "C: NOOP", "S: +OK", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        async for item in client.retrieve([ONE]):
            await item.read()
            break
        await client.noop()


@pytest.mark.parametrize("read", [True, False], ids=["read", "unread"])
async def test_what_is_left_unanswered_is_read_by_the_next_call(read: bool) -> None:
    async with (
        ScriptedPeer(
            *(*PIPELINED, *LISTED_TOGETHER, "C: RETR 1", "C: RETR 2", "C: RETR 3", "S: +OK", "S: first", "S: ."),
            *("S: +OK", "S: other", "S: .", "S: -ERR gone", "C: NOOP", "S: +OK", *POP3_QUIT),
        ) as peer,
        client_for(peer) as client,
    ):
        async for item in client.retrieve([ONE, TWO, THREE]):
            if read:
                assert await item.read() == b"first\r\n"
            break
        await client.noop()


async def test_what_was_not_asked_for_yet_is_not_asked_for_any_more() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], "C: NOOP", "S: +OK", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        async for _ in client.retrieve([ONE, TWO]):
            break
        await client.noop()


LONG = b"0123456789abcdef" * 10_000 + b"\r\n"
OUTLINE: tuple[Step, ...] = (*OPENED, *LISTED, "C: RETR 1", b"+OK\r\n", LONG, b".\r\n")


async def left_in_the_middle(peer: ScriptedPeer, drain: Budget, **settings: Any) -> POP3Client:
    client = await connect(peer, settings=POP3Settings(drain=drain), **settings)
    items = client.retrieve([ONE])
    await anext(aiter(await anext(items)))
    await items.aclose()
    return client


async def test_the_rest_of_a_message_is_read_within_the_budget() -> None:
    async with ScriptedPeer(*OUTLINE, "C: NOOP", "S: +OK", *POP3_QUIT) as peer:
        client = await left_in_the_middle(peer, Budget(len(LONG), 1))
        await client.noop()
        await client.quit()


async def test_a_rest_beyond_the_budget_ends_the_connection() -> None:
    async with ScriptedPeer(*OUTLINE, LISTEN) as peer:
        client = await left_in_the_middle(peer, Budget(10_000, 1))
        with pytest.raises(ConnectionLost, match="has left is more than 10000 octets: the connection was cut"):
            await client.noop()
        assert not client.is_connected


async def test_a_rest_that_was_announced_to_be_beyond_the_budget_is_not_even_begun() -> None:
    async with ScriptedPeer(
        *(*OPENED, "C: STAT", "S: +OK 1 99", "C: LIST", "S: +OK", "S: 1 99", "S: ."),
        *("C: UIDL", "S: +OK", "S: 1 u1", "S: .", "C: RETR 1", "S: +OK", "S: first", STALL),
    ) as peer:
        client = await connect(peer, settings=POP3Settings(drain=Budget(98, 1)))
        async for _ in client.retrieve(["u1"]):
            break
        with pytest.raises(ConnectionLost, match="has left is more than 98 octets"):
            await client.noop()
        assert not client.is_connected


async def test_what_was_read_of_a_message_is_not_left_of_it() -> None:
    listed = ("C: STAT", "S: +OK 1 99", "C: LIST", "S: +OK", "S: 1 99", "S: .", "C: UIDL", "S: +OK", "S: 1 u1", "S: .")
    message = ("C: RETR 1", "S: +OK", b"x" * 90, WAIT, b"y" * 7 + b"\r\n.\r\n")
    async with ScriptedPeer(*OPENED, *listed, *message, "C: NOOP", "S: +OK", *POP3_QUIT) as peer:
        client = await connect(peer, settings=POP3Settings(drain=Budget(9, 1)))
        async for item in client.retrieve(["u1"]):
            assert await anext(aiter(item)) == b"x" * 90
            break
        peer.go_on()
        await client.noop()
        await client.quit()


async def test_a_rest_that_does_not_come_in_time_ends_the_connection() -> None:
    clock = Clock()
    async with ScriptedPeer(*OPENED, *LISTED, "C: RETR 1", "S: +OK", "S: fir", STALL, guard=None) as peer:
        client = await left_in_the_middle(peer, Budget(1000, 2))
        asking = asyncio.create_task(client.noop())
        await clock.advance(1)
        assert not asking.done()
        await clock.advance(1)
        with pytest.raises(ConnectionLost, match="within 2 s: the rest of a retrieval that was broken off") as lost:
            await asking
        assert isinstance(lost.value.__cause__, DeadlineExceeded)
        assert lost.value.__cause__.phase == "drain"
        assert not client.is_connected


async def test_a_rest_that_stands_still_ends_the_connection() -> None:
    clock = Clock()
    async with ScriptedPeer(*OPENED, *LISTED, "C: RETR 1", "S: +OK", "S: fir", STALL, guard=None) as peer:
        client = await left_in_the_middle(peer, Budget(1000, 5), timeouts=Timeouts(block=2))
        asking = asyncio.create_task(client.noop())
        await clock.advance(2)
        with pytest.raises(ConnectionLost, match="within 2 s: the rest of a retrieval that was broken off: the conn"):
            await asking
        assert not client.is_connected


@pytest.mark.parametrize(
    ("sizes", "came", "budget", "is_read"), [((7, 7), 10, 6, False), ((7, 7), 10, 7, True), ((9, 3), 9, 5, True)]
)
async def test_what_has_come_of_a_message_is_none_of_what_is_left_of_another(
    sizes: tuple[int, int], came: int, budget: int, is_read: bool
) -> None:
    # It may be longer than was announced.
    listed = (
        *("C: STAT", "C: LIST", "C: UIDL", "S: +OK 2 14", "S: +OK", f"S: 1 {sizes[0]}", f"S: 2 {sizes[1]}", "S: ."),
        *("S: +OK", "S: 1 u1", "S: 2 u2", "S: ."),
    )
    first = (b"x" * came, WAIT, b"\r\n.\r\n")
    script = (*PIPELINED, *listed, "C: RETR 1", "C: RETR 2", "S: +OK", *first, "S: +OK", "S: y", "S: .")
    async with ScriptedPeer(*script, "C: NOOP", "S: +OK", *POP3_QUIT, lenient=not is_read) as peer:
        client = await connect(peer, settings=POP3Settings(drain=Budget(budget, 5)))
        items = client.retrieve(["u1", "u2"])
        assert await anext(aiter(await anext(items))) == b"x" * came
        await items.aclose()
        peer.go_on()
        if is_read:
            await client.noop()
            await client.quit()
        else:
            with pytest.raises(ConnectionLost, match=f"has left is more than {budget} octets"):
                await client.noop()


async def test_a_mark_among_what_is_left_is_told_of() -> None:
    settings = POP3Settings(window=Window(commands=4, octets=1000))
    answers = (*SHORT, "C: DELE 1", *SHORT, "C: RETR 5", *SHORT, *SHORT, "S: -ERR no", *SHORT)
    async with ScriptedPeer(*LISTED_SIX, *ASKED_SIX[:4], *answers, *POP3_QUIT) as peer:
        client = await connect(peer, settings=settings)
        items = client.retrieve(f"u{number}" for number in range(1, 7))
        (await anext(items)).delete()
        await anext(items)
        await anext(items)
        await items.aclose()
        report = await client.commit()
        assert report.committed == ()
        assert report.refused == {ONE: Response(False, b"no")}


async def test_what_is_to_be_said_leaves_whatever_has_come_and_is_answered() -> None:
    asked = ("C: RETR 1", "C: RETR 2", "C: RETR 3", *SHORT, WAIT, *SHORT, *SHORT)
    async with ScriptedPeer(*PIPELINED, *LISTED_TOGETHER, *asked, "C: DELE 1", "S: -ERR no", *POP3_QUIT) as peer:
        client = await connect(peer)
        items = client.retrieve([ONE, TWO, THREE])
        item = await anext(items)
        assert await item.read() == b"x\r\n"
        peer.go_on()
        await drain_events()
        item.delete()
        await anext(items)
        await drain_events()
        assert peer.commands[-1] == "DELE 1"
        assert await everything(items) == [b"x\r\n"]
        report = await client.commit()
        assert report.committed == ()
        assert report.refused == {ONE: Response(False, b"no")}


async def test_quitting_reads_what_is_left_too() -> None:
    async with ScriptedPeer(*OUTLINE, *POP3_QUIT) as peer:
        client = await left_in_the_middle(peer, Budget(len(LONG), 1))
        await client.quit()


async def test_a_farewell_is_left_out_where_too_much_is_left() -> None:
    async with ScriptedPeer(*OUTLINE, LISTEN) as peer:
        client = await left_in_the_middle(peer, Budget(0, 1))
        await client.quit()
        assert not client.is_connected
    assert b"QUIT" not in peer.wire


@pytest.mark.parametrize(
    ("octets", "seconds", "told"),
    [
        (-1, 1, "octets to be 0 at least, got -1"),
        (0, 0, "seconds to be more than 0, got 0"),
        (0, -1, "seconds to be more than 0, got -1"),
        (0, float("nan"), "seconds to be more than 0, got nan"),
        (1.0, 1, "octets to be a whole number, got 1.0 (float)"),
        (1, None, "seconds to be a number, got None (NoneType)"),
    ],
)
def test_a_budget_is_a_budget(octets: Any, seconds: Any, told: str) -> None:
    with pytest.raises(ValueError) as caught:
        Budget(octets, seconds)
    assert str(caught.value) == f"expected {told}"


async def test_closing_a_run_ends_it() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], "C: NOOP", "S: +OK", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        items = client.retrieve([ONE, TWO])
        item = await anext(items)
        await items.aclose()
        await items.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(items)
        with pytest.raises(LocalProtocolError, match="message 1 was passed over"):
            await item.read()
        await client.noop()


async def test_a_call_inside_a_retrieval_ends_it_and_is_made() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], "C: DELE 1", "S: +OK", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        made = 0
        with pytest.raises(LocalProtocolError, match=ENDED_BY_A_CALL):  # noqa: PT012
            async for item in client.retrieve([ONE, TWO]):
                await item.read()
                await client.delete(item.entry)
                made += 1
        assert made == 1


async def test_a_call_behind_a_retrieval_that_was_broken_off_is_made() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], *LISTED, *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        items = client.retrieve([ONE, TWO])
        async for item in items:
            assert await item.read() == b"first\r\n"
            break
        assert len(await client.listing()) == 2
        with pytest.raises(LocalProtocolError, match=ENDED_BY_A_CALL):
            await anext(items)


async def test_a_retrieval_that_another_task_makes_is_waited_for() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES, "C: NOOP", "S: +OK", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        retrieving = asyncio.create_task(everything(client.retrieve([ONE, TWO])))
        await asyncio.sleep(0)
        await client.noop()
        assert await retrieving == [b"first\r\n", b"other\r\n"]


async def test_two_tasks_do_not_go_on_with_a_retrieval_at_once() -> None:
    script = (*OPENED, *LISTED, "C: RETR 1", WAIT, *TWO_MESSAGES[1:], *POP3_QUIT)
    async with ScriptedPeer(*script) as peer, client_for(peer) as client:
        items = client.retrieve([ONE, TWO])
        waiting = asyncio.create_task(items.__anext__())
        await drain_events()
        for call in (items.__anext__, items.aclose):
            with pytest.raises(LocalProtocolError, match=IN_USE):
                await call()
        peer.go_on()
        assert await (await waiting).read() == b"first\r\n"
        assert await (await anext(items)).read() == b"other\r\n"


async def test_what_another_task_reads_is_not_gone_on_from() -> None:
    script = (*OPENED, *LISTED, *TWO_MESSAGES[:3], WAIT, *TWO_MESSAGES[3:], *POP3_QUIT)
    async with ScriptedPeer(*script) as peer, client_for(peer) as client:
        items = client.retrieve([ONE, TWO])
        blocks = aiter(await anext(items))
        assert await anext(blocks) == b"first\r\n"
        waiting = asyncio.ensure_future(anext(blocks))
        await drain_events()
        for call in (items.__anext__, items.aclose, blocks.__anext__):
            with pytest.raises(LocalProtocolError, match=IN_USE):
                await call()
        peer.go_on()
        with pytest.raises(StopAsyncIteration):
            await waiting
        assert await (await anext(items)).read() == b"other\r\n"


async def test_what_is_passed_over_meanwhile_is_not_read() -> None:
    script = (*OPENED, *LISTED, "C: RETR 1", "S: +OK", "S: first", WAIT, "S: .", *TWO_MESSAGES[4:], *POP3_QUIT)
    async with ScriptedPeer(*script) as peer, client_for(peer) as client:
        items = client.retrieve([ONE, TWO])
        item = await anext(items)
        going_on = asyncio.create_task(items.__anext__())
        await drain_events()
        with pytest.raises(LocalProtocolError, match=IN_USE):
            await item.read()
        peer.go_on()
        second = await going_on
        with pytest.raises(LocalProtocolError, match="passed over"):
            await item.read()
        assert await second.read() == b"other\r\n"


async def test_a_retrieval_of_which_the_task_ends_is_not_waited_for() -> None:
    async def consume(client: POP3Client) -> Retrieval:
        items = client.retrieve([ONE, TWO])
        await anext(items)
        await leave.wait()
        return items

    leave = asyncio.Event()
    async with (
        ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], "C: NOOP", "S: +OK", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        consuming = asyncio.create_task(consume(client))
        await drain_events()
        await assert_a_call_waits(client, leave)
        with pytest.raises(LocalProtocolError, match=ENDED_BY_A_CALL):
            await anext(await consuming)


async def test_a_retrieval_that_is_gone_on_with_by_short_tasks_is_waited_for() -> None:
    # As asyncio.wait_for() does it, before Python 3.12.
    async with (
        ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES, "C: NOOP", "S: +OK", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        items = client.retrieve([ONE, TWO])
        first = await asyncio.create_task(items.__anext__())
        asking = asyncio.create_task(client.noop())
        await drain_events()
        assert not asking.done()
        assert await asyncio.create_task(first.read()) == b"first\r\n"
        second = await asyncio.create_task(items.__anext__())
        assert await second.read() == b"other\r\n"
        with pytest.raises(StopAsyncIteration):
            await anext(items)
        await asking


async def test_who_made_a_retrieval_that_nobody_goes_on_with_is_not_kept_waiting() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], "C: NOOP", "S: +OK", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        items = client.retrieve([ONE, TWO])
        await asyncio.create_task(items.__anext__())
        await client.noop()


def test_a_retrieval_can_be_made_outside_of_an_event_loop() -> None:
    client = POP3Client(Endpoint("localhost", protocol="pop3"))
    assert isinstance(client.retrieve(["u1"]), Retrieval)


async def test_a_retrieval_that_is_never_begun_asks_for_nothing() -> None:
    async with ScriptedPeer(*OPENED, *POP3_QUIT) as peer, client_for(peer) as client:
        items = client.retrieve([ONE])
        await items.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(items)


async def test_a_client_that_is_not_connected_retrieves_nothing() -> None:
    client = POP3Client(Endpoint("localhost", protocol="pop3"))
    items = client.retrieve(["u1"])
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="not connected"):
            await anext(items)


async def test_a_run_over_a_listing_holds_the_messages_that_it_is_about_to_ask_for_and_no_others() -> None:
    count = 3000
    numbers = range(1, count + 1)
    listed: tuple[Step, ...] = (
        *("C: STAT", f"S: +OK {count} {7 * count}"),
        *("C: LIST", "S: +OK", *(f"S: {number} 7" for number in numbers), "S: ."),
        *("C: UIDL", "S: +OK", *(f"S: {number} u{number}" for number in numbers), "S: ."),
    )
    async with ScriptedPeer(*OPENED, *listed, *TWO_MESSAGES, *POP3_QUIT) as peer, client_for(peer) as client:
        listing = await client.listing()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            items = client.retrieve(listing)
            assert await (await anext(items)).read() == b"first\r\n"
            assert await (await anext(items)).read() == b"other\r\n"
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert after - before < 30 * count  # octets; an entry has some 200
        await items.aclose()


# Cancelled


@pytest.mark.parametrize("said", [3, 2, 1], ids=["body", "first line", "nothing"])
async def test_a_consumer_that_is_cancelled_leaves_a_session_that_can_be_used(said: int) -> None:
    async def consume(client: POP3Client) -> None:
        async for item in client.retrieve([ONE, TWO]):
            await item.read()

    first, rest = TWO_MESSAGES[:said], TWO_MESSAGES[said:4]
    async with ScriptedPeer(*OPENED, *LISTED, *first, WAIT, *rest, "C: NOOP", "S: +OK", *POP3_QUIT) as peer:
        client = await connect(peer)
        consuming = asyncio.create_task(consume(client))
        await drain_events()
        consuming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consuming
        assert client.is_connected
        peer.go_on()
        await client.noop()
        await client.quit()


@pytest.mark.parametrize("reads_on", [False, True])
async def test_a_consumer_that_gives_up_waiting_can_go_on(reads_on: bool) -> None:
    async with (
        ScriptedPeer(
            *(*OPENED, *LISTED, "C: RETR 1", "S: +OK", "S: first", WAIT, "S: .", *TWO_MESSAGES[4:], *POP3_QUIT),
            guard=None,
        ) as peer,
        client_for(peer) as client,
    ):
        items = client.retrieve([ONE, TWO])
        item = await anext(items)
        reading = asyncio.create_task(item.read())
        await drain_events()
        reading.cancel()
        await asyncio.wait([reading])
        with pytest.raises(LocalProtocolError, match="it comes once"):
            aiter(item)
        peer.go_on()
        if reads_on:
            assert await item.read() == b"first\r\n"
            with pytest.raises(LocalProtocolError, match="it comes once"):
                await item.read()
        assert await (await anext(items)).read() == b"other\r\n"
        with pytest.raises(LocalProtocolError, match="it comes once"):
            await item.read()


async def test_a_message_that_is_read_on_is_read_no_further_than_the_last_limit() -> None:
    async with ScriptedPeer(
        *OPENED, *LISTED, "C: RETR 1", "S: +OK", "S: first", WAIT, "S: x", LISTEN, guard=None
    ) as peer:
        client = await connect(peer)
        item = await anext(client.retrieve([ONE]))
        reading = asyncio.create_task(item.read())
        await drain_events()
        reading.cancel()
        await asyncio.wait([reading])
        peer.go_on()
        with pytest.raises(BudgetExceeded, match="message 1 is longer than 9 octets"):
            await item.read(limit=9)
        client.abort()


async def test_a_consumer_that_gives_up_waiting_for_the_first_message_can_go_on() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, "C: RETR 1", WAIT, *TWO_MESSAGES[1:], *POP3_QUIT, guard=None) as peer,
        client_for(peer) as client,
    ):
        items = client.retrieve([ONE, TWO])
        waiting = asyncio.create_task(anext(items))
        await drain_events()
        waiting.cancel()
        await asyncio.wait([waiting])
        peer.go_on()
        assert await everything(items) == [b"first\r\n", b"other\r\n"]


async def test_behind_its_end_a_message_has_no_more_blocks() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES, *POP3_QUIT) as peer, client_for(peer) as client:
        async for item in client.retrieve([ONE, TWO]):
            blocks = aiter(item)
            assert len([block async for block in blocks]) == 1
            with pytest.raises(StopAsyncIteration):
                await anext(blocks)


async def test_a_batch_is_ended_before_more_is_asked_for() -> None:
    script = (*PIPELINED, *LISTED_TOGETHER, *TWO_MESSAGES, *POP3_QUIT)
    async with ScriptedPeer(*script) as peer, client_for(peer) as client:
        items = client.retrieve([ONE, TWO], batch=Batch(messages=1))
        assert await everything(items) == [b"first\r\n", b"other\r\n"]


async def test_the_last_messages_of_a_batch_are_waited_for_before_more_is_asked_for() -> None:
    script = (*LISTED_SIX, *ASKED_SIX[:3], *SHORT * 2, ASKED_SIX[3], *SHORT, WAIT, *SHORT, *ASKED_SIX[4:], *SHORT * 2)
    settings = POP3Settings(window=Window(commands=3, octets=1000))
    async with ScriptedPeer(*script, *POP3_QUIT) as peer, client_for(peer, settings=settings) as client:
        items = client.retrieve((f"u{number}" for number in range(1, 7)), batch=Batch(messages=4))
        for _ in range(3):
            assert await (await anext(items)).read() == b"x\r\n"
        waiting = asyncio.create_task(items.__anext__())
        await drain_events()
        assert "RETR 5" not in client.transcript.render()
        peer.go_on()
        assert await (await waiting).read() == b"x\r\n"
        assert await everything(items) == [b"x\r\n"] * 2


async def test_a_run_that_is_cancelled_before_it_has_begun_cuts_the_connection() -> None:
    async with ScriptedPeer(*OPENED, *LISTED[:4], STALL) as peer:
        client = await connect(peer)
        items = client.retrieve([ONE])
        beginning = asyncio.create_task(items.__anext__())
        await drain_events()
        beginning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await beginning
        assert not client.is_connected
        # Nobody takes it for a run over no messages.
        for _ in range(2):
            with pytest.raises(LocalProtocolError, match=CANCELLED):
                await anext(items)


async def test_a_run_that_is_cancelled_between_two_sessions_is_not_over_without_a_word() -> None:
    # One that pipelines, and drops the connection when that is done; and then one that says nothing.
    asked = ("C: RETR 1", "C: RETR 2", "C: RETR 3", "S: +OK", "S: first", "S: .", FIN)
    async with (
        ScriptedPeer(*PIPELINED, *LISTED_TOGETHER, *asked) as first,
        ScriptedPeer(STALL, guard=None) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        items = client.retrieve([ONE, TWO, THREE])
        assert await (await anext(items)).read() == b"first\r\n"
        going_on = asyncio.create_task(items.__anext__())
        await drain_events()
        going_on.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going_on
        with pytest.raises(LocalProtocolError, match=CANCELLED):
            await anext(items)


async def test_a_run_that_is_cancelled_while_a_batch_is_committed_is_not_over_without_a_word() -> None:
    script = (*OPENED, *LISTED, *TWO_MESSAGES[:4], "C: DELE 1", "S: +OK", "C: QUIT", STALL)
    async with ScriptedPeer(*script, guard=None) as peer:
        client = await connect(peer)
        items = client.retrieve([ONE, TWO], batch=Batch(messages=1))
        (await anext(items)).delete()
        going_on = asyncio.create_task(items.__anext__())
        await drain_events()
        going_on.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going_on
        with pytest.raises(LocalProtocolError, match=CANCELLED):
            await anext(items)
        assert client.last_commit is not None
        assert client.last_commit.unknown == (ONE,)


# Numbers


@pytest.mark.parametrize("message", [ONE, "u1"])
async def test_one_message_may_be_named_alone(message: Entry | str) -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], *POP3_QUIT) as peer, client_for(peer) as client:
        assert await everything(client.retrieve(message)) == [b"first\r\n"]


@pytest.mark.parametrize("size", [7, 0], ids=["size", "no size"])
async def test_messages_are_found_by_their_unique_ids(size: int) -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[4:], *TWO_MESSAGES[:4], *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        # The numbers are those of another session.
        items = [item.entry async for item in client.retrieve([Entry(1, "u2", size), "u1"])]
    assert items == [TWO, ONE]


@pytest.mark.parametrize("number", [1, 2], ids=["of the message", "of another"])
async def test_a_message_of_another_size_is_not_the_one_of_an_earlier_session(number: int) -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[4:], *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        gone, found = [item async for item in client.retrieve([Entry(number, "u1", 99), "u2"])]
        assert (gone.entry, str(gone.error)) == (
            Entry(0, "u1", 0),
            "no message has the unique id 'u1', or none of its size",
        )
        assert found.entry == TWO


async def test_where_the_server_tells_no_size_an_entry_of_another_session_is_found_by_its_unique_id_alone() -> None:
    sizeless = (*LISTED[:4], "S: 1", "S: 2 7", *LISTED[6:])
    async with (
        ScriptedPeer(*OPENED, *sizeless, *TWO_MESSAGES[:4], *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        assert await everything(client.retrieve([Entry(5, "u1", 99)])) == [b"first\r\n"]


@pytest.mark.parametrize("shares_uid", [False, True])
@pytest.mark.parametrize("size", [7, 9])
async def test_an_entry_of_another_session_that_shares_its_unique_id_in_either_names_no_message(
    size: int, shares_uid: bool
) -> None:
    uids = ("C: UIDL", "S: +OK", "S: 1 u1", "S: 2 u2" if shares_uid else "S: 2 u1", "S: .")
    said = (
        "several messages had the unique id 'u1': one is left" if shares_uid else "2 messages have the unique id 'u1'"
    )
    async with (
        ScriptedPeer(*(*OPENED, *LISTED[:7], *uids, "C: NOOP", "S: +OK", *POP3_QUIT)) as peer,
        client_for(peer) as client,
    ):
        with pytest.raises(AmbiguousMessage, match=f"^{said}$") as caught:
            await everything(client.retrieve([Entry(3, "u1", size, shares_uid=shares_uid)]))
        assert caught.value.uid == "u1"
        # What is gone was no other.
        gone = [item.error async for item in client.retrieve([Entry(3, "u3", size, shares_uid=shares_uid)])]
        assert [type(error) for error in gone] == [UnknownMessage]
        await client.noop()


async def test_a_message_that_is_not_there_is_an_item_with_an_error() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES, *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        found: list[object] = []
        async for item in client.retrieve([ONE, "gone", Entry(2, "gone too", 7), TWO]):
            if item.was_asked:
                found.append(await item.read())
                continue
            found.append(item.error)
            assert isinstance(item.error, UnknownMessage)
            assert item.entry == Entry(0, item.error.uid, 0)
            assert item.refusal is None
            with pytest.raises(UnknownMessage, match="no message has the unique id 'gone") as caught:
                await item.read()
            assert caught.value.transcript
    assert [message.uid if isinstance(message, UnknownMessage) else message for message in found] == [
        b"first\r\n",
        "gone",
        "gone too",
        b"other\r\n",
    ]


async def test_a_unique_id_that_is_shared_names_no_message() -> None:
    shared = ("C: UIDL", "S: +OK", "S: 1 u1", "S: 2 u1", "S: .")
    async with (
        ScriptedPeer(*(*OPENED, *LISTED[:7], *shared, *TWO_MESSAGES[4:], "C: NOOP", "S: +OK", *POP3_QUIT)) as peer,
        client_for(peer) as client,
    ):
        with pytest.raises(AmbiguousMessage, match="2 messages have the unique id 'u1'") as caught:
            await everything(client.retrieve(["u1"]))
        assert caught.value.uid == "u1"
        # An entry of this session is one of them.
        assert await everything(client.retrieve([Entry(2, "u1", 7)])) == [b"other\r\n"]
        await client.noop()


@pytest.mark.parametrize("entry", [Entry(1, None, 7), Entry(3, None, 7)])
async def test_an_entry_without_a_uid_of_another_session_is_none(entry: Entry) -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, "C: NOOP", "S: +OK", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        with pytest.raises(LocalProtocolError, match="not in a listing that was asked for in this session"):
            await everything(client.retrieve([entry]))
        await client.noop()


async def test_an_entry_without_a_uid_is_good_for_its_session() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED[:7], "C: UIDL", "S: -ERR what", *TWO_MESSAGES, *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        assert await everything(client.retrieve(await client.listing())) == [b"first\r\n", b"other\r\n"]


async def test_a_session_that_has_listed_is_not_asked_again() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES, *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        (one, two) = await client.listing()
        assert await everything(client.retrieve([one])) == [b"first\r\n"]
        assert await everything(client.retrieve([two])) == [b"other\r\n"]


# Limits and progress


async def test_a_message_beyond_its_limit_does_not_end_the_run() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES, *POP3_QUIT) as peer, client_for(peer) as client:
        found: list[object] = []
        async for item in client.retrieve([ONE, TWO], message_limit=6):
            try:
                found.append(await item.read())
            except BudgetExceeded as error:
                found.append(str(error))
    assert found == ["message 1 is longer than 6 octets", "message 2 is longer than 6 octets"]


async def test_a_message_beyond_its_limit_without_end_ends_the_connection() -> None:
    # Without unique ids there is no going on elsewhere.
    no_uids: tuple[Step, ...] = (*LISTED[:7], "C: UIDL", "S: -ERR what")
    async with ScriptedPeer(*(*OPENED, *no_uids, "C: RETR 1", "S: +OK", Endless(b"0123456789abcdef\r\n"))) as peer:
        client = await connect(peer, settings=POP3Settings(drain=Budget(200_000, 5)))
        items = client.retrieve(await client.listing(), message_limit=100_000)
        item = await anext(items)
        with pytest.raises(BudgetExceeded):
            await item.read()
        with pytest.raises(ConnectionLost, match=TOO_MUCH_LEFT):
            await anext(items)
        assert not client.is_connected
        assert peer.sent < 3_000_000


@pytest.mark.parametrize("taken", [0, 1])
async def test_a_message_beyond_its_limit_need_not_be_read_to_end_the_connection(taken: int) -> None:
    no_uids: tuple[Step, ...] = (*LISTED[:7], "C: UIDL", "S: -ERR what")
    async with ScriptedPeer(*(*OPENED, *no_uids, "C: RETR 1", "S: +OK", Endless(b"0123456789abcdef\r\n"))) as peer:
        client = await connect(peer, settings=POP3Settings(drain=Budget(200_000, 5)))
        items = client.retrieve(await client.listing(), message_limit=1_000_000)
        blocks = aiter(await anext(items))
        for _ in range(taken):
            await anext(blocks)
        with pytest.raises(ConnectionLost, match=TOO_MUCH_LEFT):
            await anext(items)
        assert not client.is_connected
        assert peer.sent < 4_000_000


@pytest.mark.parametrize("taken", [0, 3])
async def test_a_message_without_end_that_nobody_reads_on_ends_the_connection(taken: int) -> None:
    # Also where nobody has set a limit: what was announced is one for what is read for nothing.
    no_uids: tuple[Step, ...] = (*LISTED[:7], "C: UIDL", "S: -ERR what")
    async with ScriptedPeer(*(*OPENED, *no_uids, "C: RETR 1", "S: +OK", Endless(b"0123456789abcdef\r\n"))) as peer:
        client = await connect(peer, settings=POP3Settings(drain=Budget(200_000, 5)))
        items = client.retrieve(await client.listing())
        item = await anext(items)
        blocks = aiter(item)
        for _ in range(taken):
            await anext(blocks)
        octets = item.octets
        with pytest.raises(ConnectionLost, match=TOO_MUCH_LEFT):
            await anext(items)
        assert octets + 200_000 < item.octets < octets + 1_000_000
        assert not client.is_connected


async def test_what_is_as_long_as_the_budget_allows_is_passed_over() -> None:
    # Two octets more than were announced.
    longer = ("C: RETR 1", "S: +OK", "S: firstly", "S: .", *TWO_MESSAGES[4:])
    async with ScriptedPeer(*OPENED, *LISTED, *longer, *POP3_QUIT) as peer:
        client = await connect(peer, settings=POP3Settings(drain=Budget(2, 5)))
        assert [item.octets async for item in client.retrieve([ONE, TWO])] == [0, 0]
        await client.quit()


async def test_a_message_that_stands_still_while_it_is_passed_over_is_told() -> None:
    clock = Clock()
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:3], STALL, guard=None) as peer:
        client = await connect(peer)
        items = client.retrieve([ONE, TWO])
        await anext(items)
        going_on = asyncio.create_task(items.__anext__())
        await clock.advance(180)
        with pytest.raises(DeadlineExceeded, match="message 1") as caught:
            await going_on
        assert caught.value.phase == "block"


async def test_a_message_that_is_cut_need_not_be_found_in_the_next_session() -> None:
    # It has no unique id by which it could be.
    some_uids = ("C: UIDL", "S: +OK", "S: 2 u2", "S: 3 u3", "S: .", "C: UIDL 1", "S: -ERR what", "C: NOOP", "S: +OK")
    endless = ("C: RETR 1", "S: +OK", Endless(b"0123456789abcdef\r\n"))
    rest = (*retrieved(1, "other"), *retrieved(2, "third"))
    async with (
        ScriptedPeer(*OPENED, *LISTED_OF_THREE[:8], *some_uids, *endless) as first,
        ScriptedPeer(*OPENED, *listed_as("u2", "u3"), *rest, *POP3_QUIT) as second,
    ):
        client = client_of(first, second, settings=POP3Settings(drain=Budget(200_000, 5)))
        await client.connect()
        items = client.retrieve(await client.listing())
        assert (await anext(items)).entry == Entry(1, None, 7)
        assert await everything(items) == [b"other\r\n", b"third\r\n"]
        await client.quit()


async def test_a_message_without_end_that_nobody_reads_ends_the_run() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, "C: RETR 1", "S: +OK", Endless(b"0123456789abcdef\r\n")) as peer:
        client = await connect(peer, settings=POP3Settings(drain=Budget(200_000, 5)))
        items = client.retrieve([ONE, TWO], total_limit=1_000_000)
        await anext(items)
        with pytest.raises(BudgetExceeded, match="the messages of this run are longer than 1000000 octets"):
            await anext(items)
        with pytest.raises(ConnectionLost, match="more than 200000 octets"):
            await client.noop()
        assert not client.is_connected
        assert peer.sent < 4_000_000


@pytest.mark.parametrize("is_read", [True, False])
async def test_more_than_all_may_be_together_ends_the_run(is_read: bool) -> None:
    # What nobody reads counts, too.
    async with (
        ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES, "C: NOOP", "S: +OK", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        items = client.retrieve([ONE, TWO], total_limit=13)
        item = await anext(items)
        if is_read:
            assert await item.read() == b"first\r\n"
        item = await anext(items)
        with pytest.raises(BudgetExceeded, match="the messages of this run are longer than 13 octets"):
            await item.read()
        for _ in range(2):
            with pytest.raises(BudgetExceeded):
                await anext(items)
        await client.noop()


async def test_all_that_was_read_counts_together() -> None:
    third = ("C: RETR 3", "S: +OK", "S: third", "S: .")
    async with (
        ScriptedPeer(*OPENED, *LISTED_OF_THREE, *TWO_MESSAGES, *third, *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        items = client.retrieve([ONE, TWO, THREE], total_limit=20)
        assert [await (await anext(items)).read() for _ in range(2)] == [b"first\r\n", b"other\r\n"]
        item = await anext(items)
        with pytest.raises(BudgetExceeded, match="the messages of this run are longer than 20 octets"):
            await item.read()


async def test_a_run_tells_how_far_it_has_come() -> None:
    told: list[RetrievalProgress] = []
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES, *POP3_QUIT) as peer, client_for(peer) as client:
        await everything(client.retrieve([ONE, TWO], progress=told.append))
    assert told == [RetrievalProgress(ONE, 7, 1, 2, 7, 14), RetrievalProgress(TWO, 7, 2, 2, 14, 14)]


async def test_what_hears_of_the_progress_can_end_the_run() -> None:
    def fail(_: RetrievalProgress) -> None:
        raise LookupError

    async with (
        ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], "C: NOOP", "S: +OK", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        items = client.retrieve([ONE, TWO], progress=fail)
        item = await anext(items)
        with pytest.raises(LookupError):
            await item.read()
        with pytest.raises(StopAsyncIteration):
            await anext(items)
        await client.noop()


async def test_a_message_is_read_into_memory_up_to_a_limit_by_itself() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, "C: RETR 1", "S: +OK", Endless(b"0123456789abcdef" * 4096)) as peer,
    ):
        client = await connect(peer)
        async for item in client.retrieve([ONE]):
            with pytest.raises(BudgetExceeded, match=f"longer than {64 * 1024 * 1024} octets"):
                await item.read()
            break
        client.abort()


# Quotas


async def test_a_quota_that_is_used_up_ends_the_asking() -> None:
    async with (
        ScriptedPeer(
            *(*OPENED, *LISTED_OF_THREE, *TWO_MESSAGES[:4], "C: RETR 2", "S: -ERR Download exceed", *POP3_QUIT)
        ) as peer,
        client_for(peer) as client,
    ):
        one, two, three, gone = [item async for item in client.retrieve([ONE, TWO, THREE, "gone"])]
    assert (one.was_asked, one.error) == (True, None)
    for item, was_asked, text in [(two, True, ""), (three, False, "not asked for, since ")]:
        assert item.was_asked is was_asked
        assert item.refusal == Response(False, b"Download exceed")
        assert isinstance(item.error, ResponseError)
        assert item.error.command == "RETR 2"
        assert str(item.error) == f"{text}RETR 2 was refused: -ERR Download exceed"
        assert item.error.transcript[-1] == "S: -ERR Download exceed"
    assert (gone.entry, gone.was_asked) == (Entry(0, "gone", 0), False)
    assert isinstance(gone.error, UnknownMessage)


async def test_what_is_not_asked_for_any_more_is_not_asked_for_in_another_session() -> None:
    # A server that does not stand that so much is asked for at once, on top of that.
    settings = POP3Settings(window=Window(commands=4, octets=1000))
    async with (
        ScriptedPeer(*LISTED_SIX, *ASKED_SIX[:4], "S: -ERR Download exceed", *SHORT, FIN) as first,
        ScriptedPeer(
            *OPENED, *listed_as(*(f"u{number}" for number in range(1, 7))), *retrieved(3, "x"), *retrieved(4, "x")
        ) as second,
    ):
        client = client_of(first, second, settings=settings)
        await client.connect()
        found = await everything(client.retrieve(f"u{number}" for number in range(1, 7)))
        refusal = "-ERR Download exceed"
        assert found == [refusal, b"x\r\n", b"x\r\n", b"x\r\n", refusal, refusal]
        client.abort()


# The end of the connection


@pytest.mark.parametrize("end", [FIN, RST, CLOSE])
async def test_a_message_that_is_cut_is_truncated(end: Step) -> None:
    async with ScriptedPeer(*OPENED, *LISTED, "C: RETR 1", "S: +OK", "S: first", end) as peer:
        client = await connect(peer)
        with pytest.raises(MessageTruncated, match="in the middle of its answer to RETR 1") as caught:
            await everything(client.retrieve([ONE, TWO]))
        assert caught.value.octets == 7
        assert caught.value.in_flight == ("RETR 1",)
        assert caught.value.transcript[-1] == "S: +OK"
        assert not client.is_connected


async def test_a_message_that_is_cut_under_tls_without_close_notify_is_truncated() -> None:
    async with ScriptedPeer(Tls(), *OPENED, *LISTED, "C: RETR 1", "S: +OK", "S: first", FIN) as peer:
        client = await connect(peer, tls="implicit")
        with pytest.raises(MessageTruncated):
            await everything(client.retrieve([ONE]))


async def test_a_message_that_is_cut_is_never_complete() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, "C: RETR 1", "S: +OK", "S: first", FIN) as peer:
        client = await connect(peer)
        with pytest.raises(MessageTruncated):  # noqa: PT012
            async for item in client.retrieve([ONE]):
                assert item.refusal is None
                async for block in item:
                    assert b"first\r\n".startswith(block)
                    assert not item.is_complete


async def test_the_end_instead_of_the_next_message_is_a_connection_lost() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], "C: RETR 2", FIN) as peer:
        client = await connect(peer)
        with pytest.raises(ConnectionLost, match="instead of answering RETR 2") as caught:
            await everything(client.retrieve([ONE, TWO]))
        assert not isinstance(caught.value, MessageTruncated)
