"""A server that announces PIPELINING and drops the connection when that is done."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from mailwire import (
    Batch,
    Budget,
    BudgetExceeded,
    CommitReport,
    ConnectionLost,
    DeletionReport,
    Endpoint,
    Entry,
    LocalProtocolError,
    MessageTruncated,
    POP3Client,
    POP3Settings,
    ResponseError,
    Retrieval,
    UnknownMessage,
)
from mailwire.pop3 import Response
from mailwire.testing import FIN, O2, RST, WAIT, Account, Answers, Endless, MailServer, ScriptedPeer, Step
from mailwire.testing.turns import drain_events, turns
from tests.aio.dialogues import (
    CANARY,
    LISTED_TOGETHER,
    LOGIN,
    OPENED,
    PIPELINED,
    POP3_ANSWERS,
    POP3_QUIT,
    POP3_READY,
    announced,
    once,
)
from tests.aio.pop3_clients import ONE, THREE, TWO, client_for, everything

ASKED: tuple[Step, ...] = (*PIPELINED, *LISTED_TOGETHER, "C: RETR 1", "C: RETR 2", "C: RETR 3")
FIRST: tuple[Step, ...] = ("S: +OK", "S: first", "S: .")


def listed_as(*uids: str) -> tuple[Step, ...]:
    sizes = [f"S: {number} 7" for number, _ in enumerate(uids, 1)]
    return (
        *("C: STAT", f"S: +OK {len(uids)} 7", "C: LIST", "S: +OK", *sizes, "S: .", "C: UIDL", "S: +OK"),
        *(f"S: {number} {uid}" for number, uid in enumerate(uids, 1)),
        "S: .",
    )


def retrieved(number: int, text: str) -> tuple[Step, ...]:
    return (f"C: RETR {number}", "S: +OK", f"S: {text}", "S: .")


async def exhaust(blocks: AsyncIterator[bytes]) -> None:
    async for _ in blocks:
        pass


def client_of(*peers: ScriptedPeer, settings: POP3Settings | None = None) -> POP3Client:
    rest = iter(peers)

    async def way() -> Any:
        return await next(rest).connect()

    return POP3Client(client_for(peers[0]).endpoint.replace(connect=way), settings=settings or POP3Settings())


@pytest.mark.parametrize("end", [FIN, RST])
@pytest.mark.parametrize("said", [FIRST, (*FIRST, b"+O"), (*FIRST, "S: +OK"), (*FIRST, "S: +OK", "S: oth")])
async def test_what_is_unanswered_is_asked_again_by_unique_ids(said: tuple[Step, ...], end: Step) -> None:
    async with (
        ScriptedPeer(*ASKED, *said, end) as first,
        # The numbers are others by then.
        ScriptedPeer(
            *OPENED, *listed_as("u3", "u9", "u2"), *retrieved(3, "second"), *retrieved(1, "third"), *POP3_QUIT
        ) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        found = [(await item.read(), item.entry) async for item in client.retrieve([ONE, TWO, THREE])]
        assert found == [
            (b"first\r\n", ONE),
            (b"second\r\n", Entry(3, "u2", 7)),
            (b"third\r\n", Entry(1, "u3", 7)),
        ]
        await client.quit()


async def test_what_is_read_again_is_whole_in_however_many_blocks_it_comes() -> None:
    line, count = b"0123456789abcdef\r\n", 20_000  # several reads of the socket
    async with (
        ScriptedPeer(*ASKED, *FIRST, "S: +OK", "S: oth", FIN) as first,
        ScriptedPeer(
            *(*OPENED, *listed_as("u1", "u2", "u3"), "C: RETR 2", "S: +OK", line * count, "S: ."),
            *(*retrieved(3, "third"), *POP3_QUIT),
        ) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        read = [await item.read() async for item in client.retrieve([ONE, TWO, THREE])]
        assert read == [b"first\r\n", line * count, b"third\r\n"]
        await client.quit()


async def test_what_was_handed_out_in_part_is_truncated_and_the_run_goes_on() -> None:
    async with (
        ScriptedPeer(*ASKED, *FIRST, "S: +OK", "S: oth", FIN) as first,
        ScriptedPeer(*OPENED, *listed_as("u1", "u2", "u3"), *retrieved(3, "third"), *POP3_QUIT) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        found: list[object] = []
        async for item in client.retrieve([ONE, TWO, THREE]):
            blocks: list[bytes] = []
            try:
                async for block in item:
                    blocks.append(block)
                    await drain_events()
            except MessageTruncated as error:
                assert not item.is_complete
                found.append((b"".join(blocks), error.octets))
            else:
                found.append(b"".join(blocks))
        assert found == [b"first\r\n", (b"oth\r\n", 5), b"third\r\n"]
        await client.quit()


async def test_what_is_passed_over_is_not_asked_for_again() -> None:
    async with (
        ScriptedPeer(*ASKED, *FIRST, "S: +OK", "S: oth", FIN) as first,
        ScriptedPeer(*OPENED, *listed_as("u1", "u2", "u3"), *retrieved(3, "third"), *POP3_QUIT) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        items = client.retrieve([ONE, TWO, THREE])
        read = [await item.read() async for item in items if item.entry.uid != "u2"]
        assert read == [b"first\r\n", b"third\r\n"]
        await client.quit()


async def test_behind_a_message_longer_than_allowed_the_run_goes_on_on_another_connection() -> None:
    # That is no reason not to pipeline there; and what was marked is marked again.
    async with (
        ScriptedPeer(
            *(*ASKED, *FIRST, "C: DELE 1", "S: +OK", Endless(b"0123456789abcdef\r\n")),
        ) as first,
        ScriptedPeer(
            *(
                *PIPELINED,
                *LISTED_TOGETHER,
                "C: DELE 1",
                "C: RETR 3",
                "S: +OK",
                "S: +OK",
                "S: third",
                "S: .",
                *POP3_QUIT,
            ),
        ) as second,
    ):
        client = client_of(first, second, settings=POP3Settings(drain=Budget(200_000, 5)))
        await client.connect()
        found: list[object] = []
        async for item in client.retrieve([ONE, TWO, THREE], message_limit=100_000):
            try:
                found.append(await item.read())
            except BudgetExceeded as error:
                found.append(str(error))
            if item.entry == ONE:
                item.delete()
        assert found == [b"first\r\n", "message 2 is longer than 100000 octets", b"third\r\n"]
        assert (await client.commit()).committed == (ONE,)


async def test_what_is_read_on_by_whoever_was_cancelled_is_whole_where_it_is_read_again() -> None:
    async with (
        ScriptedPeer(*ASKED, *FIRST, "S: +OK", "S: oth", WAIT, FIN, guard=None) as first,
        ScriptedPeer(
            *(*OPENED, *listed_as("u1", "u2", "u3"), "C: RETR 2", "S: +OK", WAIT, "S: second", "S: ."),
            *(*retrieved(3, "third"), *POP3_QUIT),
            guard=None,
        ) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        items = client.retrieve([ONE, TWO, THREE])
        assert await (await anext(items)).read() == b"first\r\n"
        item = await anext(items)
        for peer in (first, second):
            reading = asyncio.create_task(item.read())
            await drain_events()
            reading.cancel()
            await asyncio.wait([reading])
            peer.go_on()
        assert await item.read() == b"second\r\n"
        assert await (await anext(items)).read() == b"third\r\n"
        await items.aclose()
        await client.quit()


async def test_what_is_gone_by_then_is_missing() -> None:
    async with (
        ScriptedPeer(*ASKED, *FIRST, FIN) as first,
        ScriptedPeer(*OPENED, *listed_as("u3"), *retrieved(1, "third"), *POP3_QUIT) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        errors = [item.error async for item in client.retrieve([ONE, TWO, THREE])]
        assert [type(error) for error in errors] == [type(None), UnknownMessage, type(None)]
        await client.quit()


async def test_what_is_gone_while_it_is_read_is_missing() -> None:
    async with (
        ScriptedPeer(*ASKED, *FIRST, "S: +OK", FIN) as first,
        ScriptedPeer(*OPENED, *listed_as("u3"), *retrieved(1, "third"), *POP3_QUIT) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        found: list[bytes] = []
        async for item in client.retrieve([ONE, TWO, THREE]):
            try:
                found.append(await item.read())
            except UnknownMessage as error:
                found.append(error.uid.encode())
        assert found == [b"first\r\n", b"u2", b"third\r\n"]
        await client.quit()


async def test_what_is_refused_when_it_is_asked_for_again_has_that_error() -> None:
    async with (
        ScriptedPeer(*ASKED, *FIRST, "S: +OK", "S: sec", FIN) as first,
        ScriptedPeer(
            *(*OPENED, *listed_as("u2", "u3"), "C: RETR 1", "S: -ERR it is damaged"), *retrieved(2, "third"), *POP3_QUIT
        ) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        found: list[object] = []
        async for item in client.retrieve([ONE, TWO, THREE]):
            try:
                found.append(await item.read())
            except ResponseError as error:
                found.append((error.response.text, error is item.error, item.octets))
        assert found == [b"first\r\n", ("it is damaged", True, 0), b"third\r\n"]
        await client.quit()


@pytest.mark.parametrize("is_refused", [False, True])
async def test_who_gives_up_waiting_for_what_is_asked_for_again_can_go_on(is_refused: bool) -> None:
    answer = ("S: -ERR gone",) if is_refused else ("S: +OK", "S: second", "S: .")
    script = (*OPENED, *listed_as("u1", "u2", "u3"), "C: RETR 2", WAIT, *answer, *retrieved(3, "third"), *POP3_QUIT)
    async with ScriptedPeer(*ASKED, *FIRST, "S: +OK", FIN) as first, ScriptedPeer(*script, guard=None) as second:
        client = client_of(first, second)
        await client.connect()
        items = client.retrieve([ONE, TWO, THREE])
        assert await (await anext(items)).read() == b"first\r\n"
        item = await anext(items)
        reading = asyncio.create_task(item.read())
        while "RETR 2" not in second.commands:
            await drain_events()
        reading.cancel()
        await asyncio.wait([reading])
        second.go_on()
        assert await everything(items) == [b"third\r\n"]
        assert not item.is_complete
        assert isinstance(item.error, ResponseError) is is_refused
        await client.quit()


@pytest.mark.parametrize("in_blocks", [False, True])
async def test_a_run_that_is_cancelled_at_any_turn_of_a_replay_goes_on_or_is_over(in_blocks: bool) -> None:
    # Whatever comes is what it should be, and nothing comes twice.
    texts = [b"first\r\n", b"second\r\n", b"third\r\n"]
    ends: set[int] = set()
    table = {
        **POP3_ANSWERS,
        "STAT": "+OK 3 21",
        "LIST": "+OK\n1 7\n2 7\n3 7\n.",
        "UIDL": "+OK\n1 u1\n2 u2\n3 u3\n.",
        "RETR 2": "+OK\nsecond\n.",
        "RETR 3": "+OK\nthird\n.",
    }
    was_done, count = False, 1
    while not was_done:
        async with (
            ScriptedPeer(*ASKED, *FIRST, "S: +OK", FIN, lenient=True) as first,
            ScriptedPeer("S: +OK", Answers(table), lenient=True) as second,
        ):
            client = client_of(first, second)
            await client.connect()
            items = client.retrieve([ONE, TWO, THREE])
            found: list[bytes] = []

            async def go_on(items: Retrieval = items, found: list[bytes] = found) -> None:
                async for item in items:
                    text = b"".join([block async for block in item]) if in_blocks else await item.read()
                    found.append(text)

            going_on = asyncio.create_task(go_on())
            await turns(count)
            was_done = going_on.done()
            going_on.cancel()
            await asyncio.wait([going_on])
            with suppress(LocalProtocolError, ConnectionLost):
                await go_on()
            assert found == [text for text in texts if text in found]
            ends.add(len(found))
            await client.quit()
            with suppress(AssertionError):  # the client has connected to it
                (await second.connect()).close()
        count += 3
    assert min(ends) < max(ends) == 3


async def test_blocks_that_are_asked_for_again_come_to_who_has_given_up_waiting() -> None:
    script = (*OPENED, *listed_as("u1", "u2", "u3"), "C: RETR 2", WAIT, "S: +OK", "S: second", "S: .")
    async with (
        ScriptedPeer(*ASKED, *FIRST, "S: +OK", FIN) as first,
        ScriptedPeer(*script, *retrieved(3, "third"), *POP3_QUIT, guard=None) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        items = client.retrieve([ONE, TWO, THREE])
        await anext(items)
        item = await anext(items)
        blocks = aiter(item)
        waiting = asyncio.ensure_future(blocks.__anext__())
        while "RETR 2" not in second.commands:
            await drain_events()
        waiting.cancel()
        await asyncio.wait([waiting])
        second.go_on()
        assert b"".join([block async for block in blocks]) == b"second\r\n"
        assert item.is_complete
        assert await everything(items) == [b"third\r\n"]
        await client.quit()


async def test_what_was_marked_is_marked_again() -> None:
    async with (
        ScriptedPeer(*(*ASKED, *FIRST, "C: DELE 1", "S: +OK", "S: second", "S: .", "S: +OK", FIN)) as first,
        ScriptedPeer(
            *(*OPENED, *listed_as("u2", "u3", "u1"), *retrieved(2, "third"), "C: DELE 3", "S: +OK", *POP3_QUIT)
        ) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        async for item in client.retrieve([ONE, TWO, THREE]):
            await item.read()
            if item.entry == ONE:
                item.delete()
        report = await client.commit()
        assert report.committed == (Entry(3, "u1", 7),)


async def test_what_has_another_size_by_then_is_another_message_and_neither_asked_for_nor_marked() -> None:
    sizes = ("S: 1 9", "S: 2 7", "S: 3 9")
    listed = listed_as("u1", "u2", "u3")
    async with (
        ScriptedPeer(*(*ASKED, *FIRST, "C: DELE 1", "S: +OK", FIN)) as first,
        ScriptedPeer(*OPENED, *listed[:4], *sizes, *listed[7:], *retrieved(2, "second"), *POP3_QUIT) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        items = client.retrieve([ONE, TWO, THREE])
        item = await anext(items)
        assert await item.read() == b"first\r\n"
        item.delete()
        assert await (await anext(items)).read() == b"second\r\n"
        assert isinstance((await anext(items)).error, UnknownMessage)
        assert await anext(items, None) is None
        assert await client.commit() == CommitReport(response=Response(True, b"bye"))


async def test_behind_a_commit_of_the_run_a_message_may_have_another_size() -> None:
    # As of mailutils, which writes into messages at the end of a session.
    listed = listed_as("u2", "u3")
    async with (
        ScriptedPeer(*ASKED[:-2], *FIRST, "C: DELE 1", "S: +OK", *POP3_QUIT) as first,
        ScriptedPeer(
            *(*OPENED, *listed[:4], "S: 1 57", "S: 2 57", *listed[6:], *retrieved(1, "second"), "C: DELE 1", "S: +OK"),
            *POP3_QUIT,
        ) as second,
        ScriptedPeer(*OPENED, *listed_as("u3"), *retrieved(1, "third"), *POP3_QUIT) as third,
    ):
        client = client_of(first, second, third)
        await client.connect()
        got = []
        async for item in client.retrieve([ONE, TWO, THREE], batch=Batch(messages=1)):
            got.append(await item.read())
            if item.entry.uid != "u3":
                item.delete()
        assert got == [b"first\r\n", b"second\r\n", b"third\r\n"]
        await client.quit()


async def test_what_was_to_be_marked_is_marked_behind_what_was_marked() -> None:
    async with (
        ScriptedPeer(*ASKED, *FIRST, "C: DELE 1", "S: +OK", "S: oth", FIN, lenient=True) as first,
        ScriptedPeer(
            *(*OPENED, *listed_as("u1", "u2", "u3"), *retrieved(2, "other")),
            *("C: DELE 1", "S: +OK", "C: DELE 2", "S: +OK", *retrieved(3, "third"), *POP3_QUIT),
        ) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        async for item in client.retrieve([ONE, TWO, THREE]):
            if item.entry != THREE:
                item.delete()
            await item.read()
        assert (await client.commit()).committed == (ONE, TWO)


@pytest.mark.parametrize("limit", [20, 21])
async def test_what_came_before_it_was_asked_for_again_does_not_count(limit: int) -> None:
    async with (
        ScriptedPeer(*ASKED, *FIRST, "S: +OK", "S: oth", FIN) as first,
        ScriptedPeer(
            *OPENED, *listed_as("u1", "u2", "u3"), *retrieved(2, "other"), *retrieved(3, "third"), *POP3_QUIT
        ) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        items = client.retrieve([ONE, TWO, THREE], total_limit=limit)
        assert [await (await anext(items)).read() for _ in range(2)] == [b"first\r\n", b"other\r\n"]
        item = await anext(items)
        if limit == 21:
            assert await item.read() == b"third\r\n"
        else:
            with pytest.raises(BudgetExceeded):
                await item.read()
        await client.quit()


async def test_what_could_not_be_marked_again_is_in_doubt_by_the_session_in_which_it_was_marked() -> None:
    # And not kept by the next one, in which nothing was said of it.
    async with (
        ScriptedPeer(*ASKED, *FIRST, "C: DELE 1", "S: +OK", "S: second", "S: .", "S: +OK", FIN) as first,
        ScriptedPeer(*OPENED, "C: STAT", FIN) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        items = client.retrieve([ONE, TWO, THREE])
        item = await anext(items)
        await item.read()
        item.delete()
        assert await (await anext(items)).read() == b"second\r\n"
        item = await anext(items)
        with pytest.raises(ConnectionLost):
            await item.read()
        assert client.last_commit is not None
        assert (client.last_commit.unknown, client.last_commit.kept) == ((ONE,), ())


async def test_a_server_that_drops_a_single_command_is_not_asked_again() -> None:
    async with ScriptedPeer(*ASKED, *FIRST, *FIRST, FIN) as peer:
        client = client_of(peer)
        await client.connect()
        with pytest.raises(ConnectionLost, match="instead of answering RETR 3"):
            await everything(client.retrieve([ONE, TWO, THREE]))
        assert not client.is_connected


async def test_a_server_that_drops_the_second_time_is_not_asked_a_third() -> None:
    async with (
        ScriptedPeer(*ASKED, *FIRST, FIN) as first,
        ScriptedPeer(*OPENED, *listed_as("u1", "u2", "u3"), "C: RETR 2", FIN) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        with pytest.raises(ConnectionLost, match="instead of answering RETR 2"):
            await everything(client.retrieve([ONE, TWO, THREE]))


async def test_what_has_no_unique_id_is_not_asked_again() -> None:
    no_uids = ("C: STAT", "C: LIST", "C: UIDL", "S: +OK", "S: +OK", "S: 1 7", "S: 2 7", "S: .", "S: -ERR no")
    async with ScriptedPeer(*PIPELINED, *no_uids, "C: RETR 1", "C: RETR 2", FIN) as peer:
        client = client_of(peer)
        await client.connect()
        with pytest.raises(ConnectionLost, match="instead of answering RETR 1 and 1 more"):
            await everything(client.retrieve(await client.listing()))


async def test_a_message_without_a_unique_id_that_is_cut_ends_the_run() -> None:
    # Those behind it could be asked for again.
    some_uids = (
        *("C: STAT", "C: LIST", "C: UIDL", "S: +OK 3 21", "S: +OK", "S: 1 7", "S: 2 7", "S: 3 7", "S: ."),
        *("S: +OK", "S: 2 u2", "S: 3 u3", "S: .", "C: UIDL 1", "C: NOOP", "S: -ERR no", "S: +OK"),
    )
    script = (*PIPELINED, *some_uids, "C: RETR 1", "C: RETR 2", "C: RETR 3", "S: +OK", "S: fir", FIN)
    async with ScriptedPeer(*script) as peer:
        client = client_of(peer)  # there is no way to another
        await client.connect()
        items = client.retrieve(await client.listing())
        item = await anext(items)
        with pytest.raises(MessageTruncated):
            await item.read()
        with pytest.raises(MessageTruncated):
            await anext(items)


async def test_a_client_that_was_aborted_does_not_come_back() -> None:
    async with ScriptedPeer(*ASKED, *FIRST) as peer:
        client = client_of(peer)
        await client.connect()
        items = client.retrieve([ONE, TWO, THREE])
        await (await anext(items)).read()
        client.abort()
        with pytest.raises(ConnectionLost):
            await anext(items)


async def test_all_mail_comes_from_a_server_that_does_not_stand_pipelining() -> None:
    async with MailServer([Account("bob", "secret")], quirk=O2) as server:
        texts = [b"message %d\r\n" % number for number in range(20)]
        for text in texts:
            server.maildrop.put("bob", text)
        url = f"pop3://bob:secret@127.0.0.1:{server.pop3_port}"
        async with POP3Client(Endpoint.parse(url, allow_cleartext_auth=True)) as client:
            assert await everything(client.retrieve(await client.listing())) == texts
            # It is not tried again.
            assert await everything(client.retrieve(await client.listing())) == texts
        assert len(server.pop3_sessions) == 2


async def test_who_reads_on_of_a_message_that_is_cut_is_told_again() -> None:
    async with ScriptedPeer(*ASKED, "S: +OK", "S: fir", FIN) as first, ScriptedPeer(*OPENED, optional=True) as second:
        client = client_of(first, second)
        await client.connect()
        items = client.retrieve([ONE, TWO, THREE])
        blocks = aiter(await anext(items))
        for _ in range(2):
            with pytest.raises(MessageTruncated):
                await exhaust(blocks)
        client.abort()


@pytest.mark.parametrize(
    ("said", "suspected"),
    [((), TWO), (("S: +OK", "S: oth"), None)],
    ids=["between two messages", "in the middle of one"],
)
async def test_where_nobody_is_connected_to_again_the_run_ends_by_the_loss(
    said: tuple[Step, ...], suspected: Entry | None
) -> None:
    async with ScriptedPeer(*ASKED, *FIRST, *said, FIN) as peer:
        client = POP3Client(client_for(peer).endpoint.replace(connect=once(peer)))
        await client.connect()
        items = client.retrieve([ONE, TWO, THREE])
        assert await (await anext(items)).read() == b"first\r\n"
        with pytest.raises(ConnectionLost, match=r"instead of|in the middle of"):
            await (await anext(items)).read()
        assert not client.is_connected
        assert items.suspected == suspected
        assert items.awaited is None


async def test_where_the_login_is_refused_the_message_whose_answer_was_due_is_under_suspicion() -> None:
    refusing = ("C: USER bob", "S: +OK", f"C: PASS {CANARY}", "S: -ERR [SYS/TEMP] later")
    async with ScriptedPeer(*ASKED, *FIRST, FIN) as first, ScriptedPeer(*POP3_READY, *refusing) as second:
        client = client_of(first, second)
        await client.connect()
        items = client.retrieve([ONE, TWO, THREE])
        assert await (await anext(items)).read() == b"first\r\n"
        assert items.suspected is None
        with pytest.raises(ResponseError, match="later"):
            await anext(items)
        assert items.suspected == TWO


async def test_who_comes_behind_a_message_that_is_too_long_is_under_no_suspicion_where_the_login_is_refused() -> None:
    refusing = ("C: USER bob", "S: +OK", f"C: PASS {CANARY}", "S: -ERR [SYS/TEMP] later")
    async with (
        ScriptedPeer(*ASKED, "S: +OK", Endless(b"0123456789abcdef\r\n")) as first,
        ScriptedPeer(*POP3_READY, *refusing) as second,
    ):
        client = client_of(first, second, settings=POP3Settings(drain=Budget(1000, 5)))
        await client.connect()
        items = client.retrieve([ONE, TWO, THREE], message_limit=7)
        with pytest.raises(BudgetExceeded):
            await (await anext(items)).read()
        with pytest.raises(ResponseError, match="later"):
            await anext(items)
        assert (items.suspected, items.awaited) == (None, None)


async def test_who_is_lost_for_pipelining_and_comes_when_asked_again_is_under_no_suspicion() -> None:
    async with (
        ScriptedPeer(*ASKED, *FIRST, FIN) as first,
        ScriptedPeer(*OPENED, *listed_as("u1", "u2", "u3"), *retrieved(2, "second"), "C: RETR 3", FIN) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        items = client.retrieve([ONE, TWO, THREE])
        for _ in range(2):
            await (await anext(items)).read()
        with pytest.raises(ConnectionLost):
            await anext(items)
        assert (items.suspected, items.awaited) == (None, THREE)


# Listings

FLIGHT: tuple[Step, ...] = (*PIPELINED, "C: STAT", "C: LIST", "C: UIDL")
# The same server, asked one question at a time.
CAREFUL: tuple[Step, ...] = (
    *PIPELINED[: PIPELINED.index("C: USER bob")],
    *LOGIN,
    *announced("PIPELINING", "UIDL", "TOP"),
)


@pytest.mark.parametrize("end", [FIN, RST])
@pytest.mark.parametrize("said", [(), ("S: +OK 2 14",), ("S: +OK 2 14", "S: +OK", "S: 1 7"), (b"+O",)])
async def test_a_listing_that_is_dropped_in_flight_is_asked_for_again(said: tuple[Step, ...], end: Step) -> None:
    async with (
        ScriptedPeer(*FLIGHT, *said, end) as first,
        ScriptedPeer(*CAREFUL, *listed_as("u1", "u2"), *POP3_QUIT) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        assert [entry.uid for entry in await client.listing()] == ["u1", "u2"]
        await client.quit()


async def test_what_is_retrieved_by_a_listing_that_was_dropped_comes_one_by_one() -> None:
    async with (
        ScriptedPeer(*FLIGHT, FIN) as first,
        ScriptedPeer(
            *CAREFUL, *listed_as("u1", "u2", "u3"), *retrieved(1, "first"), *retrieved(3, "third"), *POP3_QUIT
        ) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        assert await everything(client.retrieve(["u1", "u3"])) == [b"first\r\n", b"third\r\n"]
        await client.quit()


async def test_a_server_that_drops_a_single_question_is_not_asked_again() -> None:
    async with ScriptedPeer(*FLIGHT, FIN) as first, ScriptedPeer(*CAREFUL, "C: STAT", FIN) as second:
        client = client_of(first, second)
        await client.connect()
        with pytest.raises(ConnectionLost, match=r"instead of answering STAT$"):
            await client.listing()
        assert not client.is_connected


async def test_a_session_with_marks_is_not_begun_again_for_a_listing() -> None:
    async with ScriptedPeer(
        *(*PIPELINED, *LISTED_TOGETHER, "C: DELE 1", "S: +OK", "C: STAT", "C: LIST", "C: UIDL", FIN)
    ) as peer:
        client = client_of(peer)
        await client.connect()
        await client.delete(ONE)
        with pytest.raises(ConnectionLost, match="STAT and 2 more"):
            await client.listing()
        assert client.last_commit is not None
        assert client.last_commit.unknown == (ONE,)
        assert isinstance(client.last_commit.error, ConnectionLost)


async def test_where_nobody_is_connected_to_again_a_listing_ends_by_the_loss() -> None:
    async with ScriptedPeer(*FLIGHT, FIN) as peer:
        client = POP3Client(client_for(peer).endpoint.replace(connect=once(peer)))
        await client.connect()
        with pytest.raises(ConnectionLost, match="STAT and 2 more"):
            await client.listing()


# Marking


async def test_marks_that_are_dropped_in_flight_are_in_doubt_and_asked_for_one_by_one_the_next_time() -> None:
    async with (
        ScriptedPeer(*PIPELINED, *LISTED_TOGETHER, "C: DELE 1", "C: DELE 2", "C: DELE 3", "S: +OK", FIN) as first,
        ScriptedPeer(
            *(*CAREFUL, *listed_as("u1", "u2", "u3"), "C: DELE 1", "S: +OK", "C: DELE 2", "S: +OK", *POP3_QUIT)
        ) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        with pytest.raises(ConnectionLost, match="DELE 2 and 1 more"):
            await client.delete([ONE, TWO, THREE])
        assert client.last_commit is not None
        assert client.last_commit.unknown == (ONE, TWO, THREE)
        await client.connect()
        assert await client.delete([ONE, TWO]) == DeletionReport(marked=(ONE, TWO))
        assert client.last_commit.kept == (ONE, TWO, THREE)
        assert (await client.commit()).committed == (ONE, TWO)


async def test_a_single_mark_that_is_dropped_says_nothing_of_pipelining() -> None:
    async with (
        ScriptedPeer(*PIPELINED, *LISTED_TOGETHER, "C: DELE 1", RST) as first,
        ScriptedPeer(
            *(*PIPELINED, *LISTED_TOGETHER, "C: DELE 1", "C: DELE 2", "S: +OK", "S: +OK", *POP3_QUIT),
        ) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        with pytest.raises(ConnectionLost):
            await client.delete([ONE])
        await client.connect()
        assert (await client.delete([ONE, TWO])).marked == (ONE, TWO)
        await client.quit()
