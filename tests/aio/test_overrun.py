"""A message that looks as if it had swallowed the answer behind it: no message is taken for another by it."""

import asyncio
from contextlib import suppress
from itertools import pairwise

import pytest

from mailwire import (
    Budget,
    BudgetExceeded,
    ConnectionLost,
    Desynchronised,
    Endpoint,
    Password,
    POP3Client,
    POP3Settings,
)
from mailwire.aio.overrun import OverrunWatch
from mailwire.testing import FIN, LISTEN, WAIT, Account, Endless, MailServer, ScriptedPeer, Step
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import LISTED_TOGETHER, OPENED, PIPELINED, POP3_QUIT
from tests.aio.pop3_clients import ONE, THREE, TWO, client_for, connect, everything
from tests.aio.test_replay import client_of, listed_as, retrieved
from tests.clock import Clock

# A mail that anybody may write.
STRANGE = b"Subject: x\r\n\r\nIt said this.\r\n+OK 7 octets\r\n"
ASKED: tuple[Step, ...] = (*PIPELINED, *LISTED_TOGETHER, "C: RETR 1", "C: RETR 2", "C: RETR 3")
FIRST: tuple[Step, ...] = ("S: +OK", "S: Well.", "S: +OK it is", "S: .")
BOTH: tuple[Step, ...] = ("S: +OK", "S: other", "S: .", "S: +OK", "S: third", "S: .")
AGAIN: tuple[Step, ...] = ("C: RETR 2", *BOTH[:3], "C: RETR 3", *BOTH[3:])
TEXTS = [b"Well.\r\n+OK it is\r\n", b"other\r\n", b"third\r\n"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a.\r\n+OK", True),
        (b"a.\r\n-ERR", True),
        (b".\r\n+OK", True),
        (b".\r\n-ERR", True),
        (b"a.\r\n+OK 7 octets\r\nb", True),
        (b"a\r\n+OK", False),
        (b"a. \r\n+OK", False),
        (b"a.\n+OK", False),
        (b"a.\r\n-OK", False),
        (b"", False),
    ],
)
def test_what_looks_like_an_answer_is_seen_however_it_comes(text: bytes, expected: bool) -> None:
    for first in range(len(text) + 1):
        for second in range(first, len(text) + 1):
            watch = OverrunWatch()
            pieces = [text[begin:end] for begin, end in pairwise((0, first, second, len(text)))]
            assert any(watch.sees_answer(piece) for piece in pieces) is expected
    watch = OverrunWatch()
    assert any(watch.sees_answer(text[place : place + 1]) for place in range(len(text))) is expected


def test_two_messages_are_not_one() -> None:
    watch = OverrunWatch()
    assert not watch.sees_answer(b"a.\r\n")
    watch.begin()
    assert not watch.sees_answer(b"+OK")


@pytest.mark.parametrize("packet_size", [None, 1, 7])
async def test_what_was_on_its_way_is_asked_for_again_one_by_one(packet_size: int | None) -> None:
    async with (
        ScriptedPeer(*ASKED, *FIRST, *BOTH, *AGAIN, *POP3_QUIT, packet_size=packet_size) as peer,
        client_for(peer) as client,
    ):
        assert await everything(client.retrieve(["u1", "u2", "u3"])) == TEXTS


async def test_behind_a_doubt_one_is_asked_for_when_the_one_before_was_answered() -> None:
    script = (*ASKED, *FIRST, *BOTH, AGAIN[0], WAIT, *AGAIN[1:], *POP3_QUIT)
    async with ScriptedPeer(*script) as peer, client_for(peer) as client:
        items = client.retrieve(["u1", "u2", "u3"])
        assert await (await anext(items)).read() == TEXTS[0]
        waiting = asyncio.create_task(items.__anext__())
        await drain_events()
        said = client.transcript.render()
        assert (said.count("C: RETR 2"), said.count("C: RETR 3")) == (2, 1)
        peer.go_on()
        assert await (await waiting).read() == TEXTS[1]
        assert await everything(items) == TEXTS[2:]


async def test_what_is_asked_for_in_another_session_behind_a_doubt_counts_as_well() -> None:
    # The second message, which nobody reads, is too long.
    async with (
        ScriptedPeer(*ASKED, *FIRST, *BOTH, "C: RETR 2", "S: +OK", b"x" * 40, LISTEN) as first,
        ScriptedPeer(*PIPELINED, *LISTED_TOGETHER, *retrieved(3, "third"), *POP3_QUIT) as second,
    ):
        client = client_of(first, second, settings=POP3Settings(drain=Budget(20, 5)))
        await client.connect()
        total = len(TEXTS[0]) + 40 + len(TEXTS[2])
        items = client.retrieve(["u1", "u2", "u3"], message_limit=18, total_limit=total - 1)
        assert await (await anext(items)).read() == TEXTS[0]
        await anext(items)
        item = await anext(items)
        with pytest.raises(BudgetExceeded, match=f"the messages of this run are longer than {total - 1} octets"):
            await item.read()
        await client.quit()


async def test_it_need_not_be_read() -> None:
    async with ScriptedPeer(*ASKED, *FIRST, *BOTH, *AGAIN, *POP3_QUIT) as peer, client_for(peer) as client:
        uids = [item.entry.uid async for item in client.retrieve(["u1", "u2", "u3"])]
        assert uids == ["u1", "u2", "u3"]


async def test_what_comes_twice_counts_once() -> None:
    async with ScriptedPeer(*ASKED, *FIRST, *BOTH, *AGAIN, *POP3_QUIT) as peer, client_for(peer) as client:
        items = client.retrieve(["u1", "u2", "u3"], total_limit=sum(map(len, TEXTS)))
        assert await everything(items) == TEXTS


async def test_what_is_longer_the_second_time_counts_as_it_is_then() -> None:
    again = ("C: RETR 2", *BOTH[:3], "C: RETR 3", "S: +OK", "S: third.", "S: .")
    async with ScriptedPeer(*ASKED, *FIRST, *BOTH, *again, *POP3_QUIT) as peer, client_for(peer) as client:
        items = client.retrieve(["u1", "u2", "u3"], total_limit=sum(map(len, TEXTS)))
        assert [await (await anext(items)).read() for _ in range(2)] == TEXTS[:2]
        item = await anext(items)
        with pytest.raises(BudgetExceeded):
            await item.read()


async def test_what_comes_twice_is_bounded_the_first_time() -> None:
    async with ScriptedPeer(*ASKED, *FIRST, "S: +OK", Endless(b"0123456789abcdef\r\n")) as peer:
        client = await connect(peer, settings=POP3Settings(drain=Budget(200_000, 5)))
        items = client.retrieve(["u1", "u2", "u3"], total_limit=1_000_000)
        item = await anext(items)
        with pytest.raises(BudgetExceeded, match="longer than 1000000 octets"):
            await item.read()
        client.abort()


async def test_in_lockstep_there_is_no_doubt() -> None:
    async with (
        ScriptedPeer(
            *(*OPENED, "C: STAT", "S: +OK 2 14", "C: LIST", "S: +OK", "S: 1 7", "S: 2 7", "S: ."),
            *(
                "C: UIDL",
                "S: +OK",
                "S: 1 u1",
                "S: 2 u2",
                "S: .",
                "C: RETR 1",
                *FIRST,
                "C: RETR 2",
                *BOTH[:3],
                *POP3_QUIT,
            ),
        ) as peer,
        client_for(peer) as client,
    ):
        assert await everything(client.retrieve(["u1", "u2"])) == TEXTS[:2]


async def test_marks_refusals_and_what_is_not_there_stay_what_they_are() -> None:
    async with (
        ScriptedPeer(
            *(*PIPELINED, *LISTED_TOGETHER, "C: RETR 1", "C: RETR 3", "C: RETR 2"),
            *("S: +OK", "S: a", "S: ."),
            # DELE is said when the run goes on, behind what was asked for already.
            *("C: DELE 1", "S: +OK", "S: Well.", "S: +OK it is", "S: .", "S: -ERR no", "S: +OK"),
            *("C: DELE 3", "S: +OK", "C: RETR 2", "S: -ERR no", *POP3_QUIT),
        ) as peer,
        client_for(peer) as client,
    ):
        found = []
        async for item in client.retrieve([ONE, THREE, "gone", TWO]):
            if item.error is None:
                found.append(await item.read())
                item.delete()
            else:
                found.append(str(item.error).encode())
        assert found == [
            *(
                b"a\r\n",
                TEXTS[0],
                b"no message has the unique id 'gone', or none of its size",
                b"RETR 2 was refused: -ERR no",
            ),
        ]
        assert (await client.commit()).committed == (ONE, THREE)


@pytest.mark.parametrize("moves_on", [False, True])
async def test_who_is_cancelled_meanwhile_can_go_on(moves_on: bool) -> None:
    async with ScriptedPeer(
        *(*ASKED, *FIRST, "S: +OK", b"oth", WAIT, b"er\r\n", *BOTH[2:], *AGAIN, *POP3_QUIT)
    ) as peer:
        client = await connect(peer)
        items = client.retrieve(["u1", "u2", "u3"])
        item = await anext(items)
        blocks = aiter(item)
        found = [await anext(blocks)]
        waiting = asyncio.ensure_future(anext(items if moves_on else blocks))
        await drain_events()
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        assert not item.is_complete
        peer.go_on()
        if not moves_on:
            with pytest.raises(StopAsyncIteration):
                await anext(blocks)
        found += [await item.read() async for item in items]
        assert found == TEXTS
        assert item.is_complete is not moves_on
        await client.quit()


@pytest.mark.parametrize("said", [(), ("S: +OK", b"oth")])
async def test_a_connection_that_is_lost_meanwhile_is_replaced(said: tuple[Step, ...]) -> None:
    async with (
        ScriptedPeer(*ASKED, *FIRST, *said, FIN) as first,
        ScriptedPeer(
            *(*OPENED, *listed_as("u1", "u2", "u3"), "C: RETR 1", *FIRST),
            *(*retrieved(2, "other"), *retrieved(3, "third"), *POP3_QUIT),
        ) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        assert await everything(client.retrieve(["u1", "u2", "u3"])) == TEXTS
        await client.quit()


async def test_what_was_handed_out_by_then_is_not_complete() -> None:
    async with (
        ScriptedPeer(*ASKED, *FIRST, WAIT, FIN) as first,
        ScriptedPeer(
            *(*OPENED, *listed_as("u1", "u2", "u3"), *retrieved(2, "other"), *retrieved(3, "third"), *POP3_QUIT)
        ) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        items = client.retrieve(["u1", "u2", "u3"])
        item = await anext(items)
        blocks = aiter(item)
        assert await anext(blocks) == TEXTS[0]
        first.go_on()
        with pytest.raises(ConnectionLost):
            await anext(blocks)
        assert not item.is_complete
        assert await everything(items) == TEXTS[1:]
        await client.quit()


@pytest.mark.parametrize("is_read", [False, True])
async def test_a_loss_that_ends_the_run_ends_it_here_too(is_read: bool) -> None:
    async with ScriptedPeer(*ASKED, *FIRST, *BOTH[:3], FIN) as peer:
        client = await connect(peer)
        items = client.retrieve(["u1", "u2", "u3"])
        item = await anext(items)
        with pytest.raises(ConnectionLost):
            await (item.read() if is_read else anext(items))
        assert not item.is_complete


@pytest.mark.parametrize("is_read", [False, True])
async def test_a_message_that_has_swallowed_an_answer_is_none(is_read: bool) -> None:
    # The answer to RETR 2 is in it; the one to RETR 3 is taken for that, and then one is missing.
    clock = Clock()
    script = (*ASKED, "S: +OK", "S: first.", *BOTH, LISTEN)
    async with ScriptedPeer(*script, guard=None) as peer:
        client = await connect(peer)
        items = client.retrieve(["u1", "u2", "u3"])
        item = await anext(items)
        going_on = asyncio.ensure_future(item.read() if is_read else anext(items))
        await clock.advance(59)
        assert not going_on.done()
        await clock.advance(1)
        with pytest.raises(Desynchronised, match="that to RETR 1 may have swallowed it") as caught:
            await going_on
        assert caught.value.suspect == "RETR 1"
        assert not item.is_complete
        assert not client.is_connected


async def test_a_second_answer_in_between_says_so_at_once() -> None:
    script = (*ASKED, *FIRST, "S: +OK", *BOTH, LISTEN)
    async with ScriptedPeer(*script) as peer:
        client = await connect(peer)
        items = client.retrieve(["u1", "u2", "u3"])
        item = await anext(items)
        with pytest.raises(Desynchronised, match="got a second answer"):
            await item.read()


async def test_a_strange_mail_among_many_does_no_harm() -> None:
    texts = [STRANGE if number in (90, 170) else b"Subject: %d\r\n\r\n" % number for number in range(300)]
    async with MailServer([Account("bob", "secret")]) as server:
        for text in texts:
            server.maildrop.put("bob", text)
        auth = Password("bob", "secret")
        endpoint = Endpoint("localhost", server.pop3_port, "pop3", "none", auth=auth, allow_cleartext_auth=True)
        async with POP3Client(endpoint) as client:
            found = []
            async for item in client.retrieve(await client.listing()):
                found.append(await item.read())
                item.delete()
            assert found == texts
            assert len((await client.commit()).committed) == 300
        # Nothing was asked for more than twice, the doubt over one of them notwithstanding.
        commands = server.pop3_sessions[0].commands
        assert max(commands.count(b"RETR %d" % number) for number in range(1, 301)) == 2
        assert server.messages("bob") == ()
