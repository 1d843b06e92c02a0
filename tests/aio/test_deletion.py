import asyncio
import contextlib
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import pytest

from mailwire import (
    AmbiguousMessage,
    Batch,
    Budget,
    BudgetExceeded,
    CommitReport,
    ConnectionFailed,
    ConnectionLost,
    DeadlineExceeded,
    DeletionReport,
    Desynchronised,
    Endpoint,
    Entry,
    LocalProtocolError,
    MaildropLocked,
    MailwireError,
    Password,
    POP3Client,
    POP3Settings,
    RemoteProtocolError,
    ResponseError,
    Timeouts,
    UnknownMessage,
)
from mailwire.aio.deletion import Marks
from mailwire.pop3 import Dele, Quit, Response, ResponseReceived, Rset, ScanListing, UniqueIdListing, survey
from mailwire.testing import (
    FIN,
    LISTEN,
    QUIRKS,
    RST,
    STALL,
    WAIT,
    Account,
    Answers,
    Endless,
    MailServer,
    ScriptedPeer,
    Step,
)
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import (
    LISTED,
    LISTED_TOGETHER,
    LOGIN,
    OPENED,
    PIPELINED,
    POP3_ANSWERS,
    POP3_QUIT,
    POP3_READY,
    TWO_MESSAGES,
    announced,
    capabilities,
    once,
)
from tests.aio.pop3_clients import ONE, THREE, TWO, client_for, connect, everything
from tests.clock import Clock
from tests.counting import calls

T = TypeVar("T")

# What may come in place of the confirmation.
FAREWELLS = pytest.mark.parametrize(
    ("farewell", "error"),
    [
        (("S: -ERR some were not deleted",), ResponseError),
        ((FIN,), ConnectionLost),
        ((RST,), ConnectionLost),
        (("S: what",), RemoteProtocolError),
    ],
    ids=["-ERR", "FIN", "RST", "garbage"],
)

# Taking leave


async def test_what_was_marked_is_deleted_when_quit_is_answered() -> None:
    async with ScriptedPeer(*OPENED, "C: DELE 1", "S: +OK", *POP3_QUIT) as peer:
        client = await connect(peer)
        await client.execute(Dele(1))
        await client.quit()
        assert not client.is_connected


@FAREWELLS
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


async def test_a_message_that_was_given_last_and_cut_off_is_told_of_as_the_client_takes_leave() -> None:
    cut_off = ("C: RETR 1", "S: +OK", "S: hello", "S: .", b"the rest\r\n.\r\n", LISTEN)
    async with ScriptedPeer(*OPENED, *LISTED, *cut_off) as peer:
        client = await connect(peer)
        (entry, *_) = await client.listing()
        async for item in client.retrieve([entry]):
            assert await item.read() == b"hello\r\n"
        with pytest.raises(Desynchronised, match="the message is cut off there") as caught:
            await client.quit()
        assert caught.value.suspect == "RETR 1"
        assert not client.is_connected


async def test_the_refusal_of_quit_shows_the_end_of_the_dialogue() -> None:
    async with ScriptedPeer(*OPENED, "C: DELE 1", "S: +OK", "C: QUIT", "S: -ERR some were not deleted") as peer:
        client = await connect(peer)
        await client.execute(Dele(1))
        report = await client.commit()
        assert isinstance(report.error, ResponseError)
        assert report.error.transcript[-2:] == ("C: QUIT", "S: -ERR some were not deleted")


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


async def test_behind_a_session_that_was_cut_there_is_nothing_to_take_leave_of() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, "C: DELE 1", "S: +OK", LISTEN) as peer:
        client = await connect(peer)
        await client.delete("u1")
        client.abort()
        known = client.last_commit
        assert known is not None
        assert known.unknown == (ONE,)
        await client.quit()
        assert client.last_commit is known


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


# Deletion as a transaction


DELETED: tuple[Step, ...] = ("C: DELE 1", "S: +OK", "C: DELE 2", "S: +OK")


def ways(*peers: ScriptedPeer) -> Callable[[], Any]:
    """Lead a client to one peer after the other."""
    rest = iter(peers)

    async def way() -> Any:
        return await next(rest).connect()

    return way


def client_of(*peers: ScriptedPeer, settings: POP3Settings | None = None) -> POP3Client:
    endpoint = client_for(peers[0]).endpoint.replace(connect=ways(*peers))
    return POP3Client(endpoint, settings=settings or POP3Settings())


@pytest.mark.parametrize("messages", [[ONE, TWO], ["u1", "u2"], [Entry(7, "u1", 0), "u2"], [ONE, TWO, "u1", ONE]])
async def test_messages_are_marked_by_their_unique_ids_and_committed(messages: list[Entry | str]) -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *DELETED, *POP3_QUIT) as peer:
        client = await connect(peer)
        assert await client.delete(messages) == DeletionReport(marked=(ONE, TWO))
        report = await client.commit()
        assert report == CommitReport(committed=(ONE, TWO), response=Response(True, b"bye"))
        assert report.committed_uids == {"u1", "u2"}
        assert report.unknown_uids == report.remaining_uids == frozenset()
        assert client.last_commit is report
        assert not client.is_connected


# A maildrop of many messages

MANY = 5_000


def many(uid: Callable[[int], str]) -> Answers:
    numbers = range(1, MANY + 1)
    sizes, uids = (f"{number} 7" for number in numbers), (f"{number} {uid(number)}" for number in numbers)
    listings = {"LIST": "\n".join(("+OK", *sizes, ".")), "UIDL": "\n".join(("+OK", *uids, "."))}
    return Answers({**POP3_ANSWERS, "STAT": f"+OK {MANY} {7 * MANY}", **listings})


async def turns_of(work: Coroutine[Any, Any, T]) -> tuple[int, T]:
    """How many turns of the event loop `work`, which waits for nobody, lets others have, and what comes of it."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    await asyncio.sleep(0)
    found = await work
    counting.cancel()
    return turns, found


async def test_others_have_their_turns_while_many_messages_are_looked_up() -> None:
    async with ScriptedPeer("S: +OK pop", many(lambda number: f"u{number}")) as peer:
        client = await connect(peer)
        entries = list(await client.listing())
        uids = [f"u{entry.number}" for entry in entries]
        gone = [f"v{entry.number}" for entry in entries]
        transaction = client._transaction
        for messages, found in ((entries, entries), (uids, entries), (gone, gone)):
            turns, there = await turns_of(transaction.find(messages, forced=False, sized=True))
            assert list(there) == found
            assert turns >= 2 * (MANY // 1_000 - 1)
            turns, (marked, missing) = await turns_of(transaction.sorted_out(there))
            assert [*marked, *missing] == found
            assert turns >= MANY // 1_000 - 1
        await client.quit()


@pytest.mark.parametrize("uid", [lambda number: f"{number:08d}", lambda number: f"{number * 2654435761 % 2**32:08x}"])
async def test_to_look_up_one_unique_id_of_many_takes_few_steps(uid: Callable[[int], str]) -> None:
    async with ScriptedPeer("S: +OK pop", many(uid)) as peer:
        client = await connect(peer)
        listing = await client.listing()
        lookup = client._transaction.find([uid(MANY)], forced=False, sized=True)
        found: list[object] = []

        def look_up() -> None:
            with pytest.raises(StopIteration) as done:
                lookup.send(None)
            found.extend(done.value.value)

        assert calls(look_up) < 300
        assert found == [listing[-1]]
        await client.quit()


async def test_who_is_aborted_while_many_messages_are_looked_up_marks_none() -> None:
    async with ScriptedPeer("S: +OK pop", many(lambda number: f"u{number}"), lenient=True) as peer:
        client = await connect(peer)
        entries = list(await client.listing())
        asyncio.get_running_loop().call_soon(client.abort)
        with pytest.raises((ConnectionLost, LocalProtocolError)):
            await client.delete(entries)
        assert not client.is_connected
        assert client.last_commit is None
        assert not any(command.startswith("DELE") for command in peer.commands)


async def test_marks_go_together_where_the_server_pipelines() -> None:
    async with ScriptedPeer(
        *(*PIPELINED, *LISTED_TOGETHER, "C: DELE 1", "C: DELE 2", "C: DELE 3", "S: +OK", "S: -ERR no", "S: +OK"),
        *POP3_QUIT,
    ) as peer:
        client = await connect(peer)
        refusal = Response(False, b"no")
        assert await client.delete([ONE, TWO, THREE]) == DeletionReport((ONE, THREE), {TWO: refusal})
        report = await client.commit()
        assert (report.committed, report.refused) == ((ONE, THREE), {TWO: refusal})
        assert report.remaining_uids == {"u2"}


async def test_one_message_may_be_named_alone() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *DELETED, *POP3_QUIT) as peer:
        client = await connect(peer)
        assert (await client.delete(ONE)).marked == (ONE,)
        assert (await client.delete("u2")).marked == (TWO,)
        # What is marked is not marked again.
        assert (await client.delete([ONE, TWO])).marked == (ONE, TWO)
        await client.quit()


async def test_a_message_that_is_gone_is_missing_and_no_error() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *DELETED[:2], *POP3_QUIT) as peer:
        client = await connect(peer)
        assert await client.delete(["gone", ONE, Entry(2, "gone too", 7)]) == DeletionReport(
            (ONE,), missing=("gone", "gone too")
        )
        await client.quit()


async def test_a_refused_mark_ends_nothing_and_may_be_tried_again() -> None:
    async with ScriptedPeer(*(*OPENED, *LISTED, "C: DELE 1", "S: -ERR no", "C: DELE 1", "S: +OK", *POP3_QUIT)) as peer:
        client = await connect(peer)
        assert (await client.delete(ONE)).refused == {ONE: Response(False, b"no")}
        assert (await client.delete(ONE)).marked == (ONE,)
        assert (await client.commit()).committed == (ONE,)


SHARED: tuple[Step, ...] = (
    *("C: STAT", "S: +OK 2 14", "C: LIST", "S: +OK", "S: 1 7", "S: 2 7", "S: ."),
    *("C: UIDL", "S: +OK", "S: 1 u1", "S: 2 u1", "S: ."),
)


@pytest.mark.parametrize("message", ["u1", Entry(1, "u1", 7), Entry(2, "u1", 7), Entry(9, "u1", 7)])
async def test_a_message_that_shares_its_unique_id_is_not_deleted_by_itself(message: Entry | str) -> None:
    async with ScriptedPeer(*OPENED, *SHARED, "C: NOOP", "S: +OK", *POP3_QUIT) as peer:
        client = await connect(peer)
        with pytest.raises(AmbiguousMessage, match="have the unique id 'u1'") as caught:
            await client.delete(message)
        assert caught.value.uid == "u1"
        await client.noop()
        assert await client.commit() == CommitReport(response=Response(True, b"bye"))


@pytest.mark.parametrize(("message", "numbers"), [("u1", (1, 2)), (Entry(2, "u1", 7), (2,))])
async def test_a_message_that_shares_its_unique_id_is_deleted_if_that_is_forced(
    message: Entry | str, numbers: tuple[int, ...]
) -> None:
    steps = [step for number in numbers for step in (f"C: DELE {number}", "S: +OK")]
    async with ScriptedPeer(*OPENED, *SHARED, *steps, *POP3_QUIT) as peer:
        client = await connect(peer)
        report = await client.delete(message, force=True)
        assert tuple(entry.number for entry in report.marked) == numbers
        await client.quit()


@pytest.mark.parametrize(
    ("listed", "entry"),
    [(SHARED, Entry(9, "u1", 7)), (SHARED, Entry(2, "u1", 8)), (LISTED, Entry(9, "u1", 7, shares_uid=True))],
)
async def test_an_entry_of_another_session_that_shares_its_unique_id_is_not_deleted_though_that_is_forced(
    listed: tuple[Step, ...], entry: Entry
) -> None:
    async with ScriptedPeer(*OPENED, *listed, "C: NOOP", "S: +OK", *POP3_QUIT) as peer:
        client = await connect(peer)
        with pytest.raises(AmbiguousMessage, match="the unique id 'u1'"):
            await client.delete(entry, force=True)
        await client.noop()
        await client.quit()


async def test_an_entry_that_shared_its_unique_id_is_not_deleted_by_itself_though_none_shares_it_now() -> None:
    once_shared = ONE._replace(shares_uid=True)
    async with ScriptedPeer(*OPENED, *LISTED, *DELETED[:2], *POP3_QUIT) as peer:
        client = await connect(peer)
        with pytest.raises(AmbiguousMessage, match="several messages have the unique id 'u1'"):
            await client.delete(once_shared)
        assert (await client.delete(once_shared, force=True)).marked == (once_shared,)
        await client.quit()


async def test_a_message_of_another_size_is_not_deleted_for_the_one_of_an_earlier_session() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, "C: DELE 2", "S: +OK", *POP3_QUIT) as peer:
        client = await connect(peer)
        report = await client.delete([Entry(1, "u1", 99), Entry(9, "u2", 7)])
        assert report == DeletionReport(marked=(TWO,), missing=("u1",))
        await client.quit()


async def test_what_was_marked_can_be_unmarked() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *DELETED, "C: RSET", "S: +OK", *POP3_QUIT) as peer:
        client = await connect(peer)
        await client.delete([ONE, TWO])
        await client.rollback()
        assert await client.commit() == CommitReport(response=Response(True, b"bye"))
        assert client.last_commit is None


async def test_what_was_unmarked_is_found_again() -> None:
    """A listing made while a message is marked does not have it (RFC 1939 5)."""
    accounts = [Account("b", "secret", ("b@example.org",))]
    async with MailServer(accounts) as server:
        server.maildrop.put("b", b"one\r\n", uid="u1")
        server.maildrop.put("b", b"two\r\n", uid="u2")
        login: dict[str, Any] = {"auth": Password("b", "secret"), "allow_cleartext_auth": True}
        async with POP3Client(Endpoint("127.0.0.1", server.pop3_port, protocol="pop3", tls="none", **login)) as client:
            await client.delete("u1")
            assert [entry.uid for entry in await client.listing()] == ["u2"]
            # It is no more missing than it is gone.
            again = await client.delete(["u1", "u1", "u3", "u3"])
            assert ([entry.uid for entry in again.marked], again.missing) == (["u1"], ("u3",))
            await client.rollback()
            assert [await item.read() async for item in client.retrieve(["u1"])] == [b"one\r\n"]
            assert (await client.delete("u1")).missing == ()


async def test_what_was_unmarked_is_retrieved_and_marked_by_its_unique_id() -> None:
    marked = ("C: DELE 1", "S: +OK")
    only_two = ("C: STAT", "S: +OK 1 7", "C: LIST", "S: +OK", "S: 2 7", "S: .", "C: UIDL", "S: +OK", "S: 2 u2", "S: .")
    # It is listed once more, for the last listing does not have it.
    script = (*LISTED, *marked, *only_two, "C: RSET", "S: +OK", *LISTED, *TWO_MESSAGES[:4], *marked, *POP3_QUIT)
    async with ScriptedPeer(*OPENED, *script) as peer:
        client = await connect(peer)
        await client.delete("u1")
        assert [entry.uid for entry in await client.listing()] == ["u2"]
        await client.rollback()
        assert [await item.read() async for item in client.retrieve(["u1"])] == [b"first\r\n"]
        assert (await client.delete("u1")).marked == (ONE,)
        assert (await client.commit()).committed == (ONE,)


@pytest.mark.parametrize("is_rolled_back", [False, True])
async def test_what_a_listing_does_not_have_for_it_is_marked_is_known_by_its_unique_id(is_rolled_back: bool) -> None:
    only_two = (
        "C: STAT",
        "S: +OK 1 7",
        *("C: LIST", "S: +OK", "S: 2 7", "S: ."),
        "C: UIDL",
        "S: +OK",
        "S: 2 u2",
        "S: .",
    )
    rollback = ("C: RSET", "S: +OK") if is_rolled_back else ()
    script = (*LISTED, "C: DELE 1", "S: +OK", *only_two, *rollback, "C: DELE 1", FIN)
    async with ScriptedPeer(*OPENED, *script) as peer:
        client = await connect(peer)
        await client.delete("u1")
        await client.listing()
        if is_rolled_back:
            await client.rollback()
        with pytest.raises(ConnectionLost):
            await client.execute(Dele(1))
        assert client.last_commit is not None
        assert client.last_commit.unknown == (ONE,)


async def test_what_is_marked_and_has_no_unique_id_is_named_by_none() -> None:
    async with MailServer([Account("b", "secret", ("b@example.org",))], quirk=QUIRKS["no-uidl"]) as server:
        for _ in range(2):
            server.maildrop.put("b", b"text\r\n")
        login: dict[str, Any] = {"auth": Password("b", "secret"), "allow_cleartext_auth": True}
        async with POP3Client(Endpoint("127.0.0.1", server.pop3_port, protocol="pop3", tls="none", **login)) as client:
            await client.delete((await client.listing())[0])
            (left,) = await client.listing()
            report = await client.delete([left, "", "u1"])
            assert (report.marked, report.missing) == ((left,), ("", "u1"))


async def test_a_number_that_is_in_no_listing_is_for_the_server_to_refuse() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, "C: DELE 9", "S: -ERR no such message", *POP3_QUIT) as peer:
        client = await connect(peer)
        await client.listing()
        with pytest.raises(ResponseError):
            await client.execute(Dele(9))
        report = await client.commit()
        assert [*report.refused] == [Entry(9, None, 0)]


async def test_a_listing_without_a_marked_message_is_not_complete_whichever_that_is() -> None:
    async with MailServer([Account("b", "secret", ("b@example.org",))]) as server:
        for uid in ("u1", "u2"):
            server.maildrop.put("b", b"text\r\n", uid=uid)
        login: dict[str, Any] = {"auth": Password("b", "secret"), "allow_cleartext_auth": True}
        async with POP3Client(Endpoint("127.0.0.1", server.pop3_port, protocol="pop3", tls="none", **login)) as client:
            for uid in ("u2", "u1"):
                assert (await client.listing()).has_every_uid
                await client.delete(uid)
                listing = await client.listing()
                assert len(listing) == 1
                assert not listing.is_complete
                assert not listing.has_every_uid
                await client.rollback()


@FAREWELLS
async def test_a_commit_that_is_not_confirmed_is_in_doubt(
    farewell: tuple[Step, ...], error: type[MailwireError]
) -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *DELETED, "C: QUIT", *farewell) as peer:
        client = await connect(peer)
        await client.delete([ONE, TWO])
        report = await client.commit()
        assert report.unknown == (ONE, TWO)
        assert report.unknown_uids == {"u1", "u2"}
        assert report.committed == ()
        assert isinstance(report.error, error)
        assert not client.is_connected


@pytest.mark.parametrize(
    "end",
    [
        ("S: +OK bye", "S: -ERR some deleted messages not removed"),
        ("S: +OK bye", WAIT, "S: -ERR some deleted messages not removed"),
        ("S: +OK bye", WAIT, b"\r"),
    ],
)
async def test_a_commit_with_more_behind_its_confirmation_is_in_doubt(end: tuple[Step, ...]) -> None:
    # There was an answer too many before: what confirms the commit may be the answer to DELE.
    async with ScriptedPeer(*OPENED, *LISTED, "C: DELE 1", "S: +OK", "C: QUIT", *end) as peer:
        client = await connect(peer)
        await client.delete(["u1"])
        committing = asyncio.create_task(client.commit())
        await drain_events()
        peer.go_on()
        report = await committing
        assert (report.committed, report.unknown) == ((), (ONE,))
        assert isinstance(report.error, Desynchronised)
        if WAIT in end:
            assert re.match(r"^expected nothing behind the answer to QUIT, got \d+ octets$", str(report.error))
        assert not client.is_connected


async def test_an_answer_too_many_in_time_for_the_commit_leaves_it_in_doubt() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, "C: DELE 1", "S: +OK", WAIT, "S: +OK", LISTEN) as peer:
        client = await connect(peer)
        await client.delete(["u1"])
        peer.go_on()
        await drain_events()
        report = await client.commit()
        assert (report.committed, report.unknown) == ((), (ONE,))
        assert isinstance(report.error, Desynchronised)
    assert "QUIT" not in peer.commands


@pytest.mark.parametrize("seconds", [1, 5, None])
async def test_a_server_that_leaves_the_closing_to_us_has_confirmed_the_commit(seconds: float | None) -> None:
    # Closing may take any time: no reason to wait for each other for ever.
    clock = Clock()
    async with ScriptedPeer(*OPENED, *LISTED, "C: DELE 1", "S: +OK", *POP3_QUIT[:2], LISTEN, guard=None) as peer:
        client = await connect(peer, timeouts=Timeouts(close=seconds))
        await client.delete(["u1"])
        committing = asyncio.create_task(client.commit())
        await drain_events()
        await clock.advance((seconds or 1) - 0.5)
        assert not committing.done()
        await clock.advance(0.5)
        report = await committing
        assert (report.committed, report.unknown) == ((ONE,), ())


async def test_a_link_that_is_lost_before_quit_leaves_what_was_marked_in_doubt() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *DELETED, FIN) as peer:
        client = await connect(peer)
        await client.delete([ONE, TWO])
        await drain_events()
        report = await client.commit()
        assert report.unknown == (ONE, TWO)
        assert isinstance(report.error, ConnectionLost)


@FAREWELLS
async def test_what_was_refused_is_told_where_the_rest_is_in_doubt(
    farewell: tuple[Step, ...], error: type[MailwireError]
) -> None:
    marks = ("C: DELE 1", "S: +OK", "C: DELE 2", "S: -ERR [SYS/PERM] no")
    async with ScriptedPeer(*OPENED, *LISTED, *marks, "C: QUIT", *farewell) as peer:
        client = await connect(peer)
        await client.delete([ONE, TWO])
        report = await client.commit()
        assert (report.committed, report.unknown, report.kept) == ((), (ONE,), ())
        assert report.refused == {TWO: Response(False, b"[SYS/PERM] no")}
        assert report.remaining_uids == {"u2"}
        # The answer to QUIT, if there was one.
        assert report.response == (Response(False, b"some were not deleted") if error is ResponseError else None)


async def test_a_link_that_is_lost_between_marks_leaves_all_of_them_in_doubt() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *DELETED[:3], FIN) as peer:
        client = await connect(peer)
        with pytest.raises(ConnectionLost, match="instead of answering DELE 2"):
            await client.delete([ONE, TWO])
        assert client.last_commit is not None
        assert client.last_commit.unknown == (ONE, TWO)


async def test_a_mark_that_was_out_of_place_is_not_deleted() -> None:
    async with ScriptedPeer(*POP3_READY, *POP3_QUIT) as peer:
        client = POP3Client(peer.endpoint(protocol="pop3"))
        await client.connect()
        with pytest.raises(LocalProtocolError, match="DELE 1 cannot be sent now"):
            await client.execute(Dele(1))
        assert (await client.commit()).committed == ()


async def test_a_mark_that_was_never_asked_for_is_not_in_doubt() -> None:
    # Without PIPELINING the second waits for the answer to the first.
    async with ScriptedPeer(*OPENED, *LISTED, "C: DELE 1", FIN) as peer:
        client = await connect(peer)
        with pytest.raises(ConnectionLost, match=r"instead of answering DELE 1$"):
            await client.delete([ONE, TWO])
        assert client.last_commit is not None
        assert (client.last_commit.unknown, client.last_commit.kept) == ((ONE,), (TWO,))
    assert peer.commands[-1] == "DELE 1"


async def test_an_empty_line_for_an_answer_ends_the_session_and_what_was_marked_can_be_read() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *DELETED[:3], "S: ", STALL) as peer:
        client = await connect(peer)
        with pytest.raises(RemoteProtocolError):
            await client.delete([ONE, TWO])
        assert client.last_commit is not None
        assert client.last_commit.unknown_uids == {"u1", "u2"}


async def test_a_commit_that_is_cancelled_is_in_doubt() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *DELETED, "C: QUIT", STALL) as peer:
        client = await connect(peer)
        await client.delete([ONE, TWO])
        committing = asyncio.create_task(client.commit())
        await drain_events()
        committing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await committing
        assert client.last_commit is not None
        assert client.last_commit.unknown == (ONE, TWO)
        assert not client.is_connected


def listed_as(*uids: str) -> tuple[Step, ...]:
    sizes = [f"S: {number} 7" for number, _ in enumerate(uids, 1)]
    return (
        *("C: STAT", f"S: +OK {len(uids)} 7", "C: LIST", "S: +OK", *sizes, "S: .", "C: UIDL", "S: +OK"),
        *(f"S: {number} {uid}" for number, uid in enumerate(uids, 1)),
        "S: .",
    )


@pytest.mark.parametrize(
    ("listing", "committed", "kept", "unknown"),
    [
        (listed_as("u3"), (ONE, TWO), (), ()),
        (listed_as("u3", "u2"), (ONE,), (TWO,), ()),
        (listed_as("u2", "u1"), (), (ONE, TWO), ()),
        (listed_as("u2", "u2"), (ONE,), (), (TWO,)),
        # What may have been left out of a listing is not known to be gone.
        ((*LISTED[:7], "C: UIDL", "S: -ERR no"), (), (), (ONE, TWO)),
        (("C: STAT", "S: +OK 5 7", *listed_as("u3")[2:]), (), (), (ONE, TWO)),
        (("C: STAT", "S: +OK 1 7", "C: LIST", "S: +OK", "S: x", "S: .", *listed_as("u2")[-4:]), (), (TWO,), (ONE,)),
    ],
    ids=["gone", "one kept", "kept", "shared", "no UIDL", "miscounted", "bad line"],
)
async def test_the_next_listing_settles_what_it_may(
    listing: tuple[Step, ...], committed: tuple[Entry, ...], kept: tuple[Entry, ...], unknown: tuple[Entry, ...]
) -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, *DELETED, "C: QUIT", FIN) as first,
        ScriptedPeer(*OPENED, *listing, *POP3_QUIT) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        await client.delete([ONE, TWO])
        assert (await client.commit()).unknown == (ONE, TWO)
        await client.connect()
        await client.listing()
        report = client.last_commit
        assert report is not None
        assert (report.committed, report.kept, report.unknown) == (committed, kept, unknown)
        await client.quit()


@pytest.mark.parametrize("expire", ["EXPIRE 0", "EXPIRE 30"])
async def test_where_the_server_hides_what_was_retrieved_a_listing_does_not_tell_of_deletions(expire: str) -> None:
    opened = (*capabilities("UIDL", expire), *LOGIN, *announced("UIDL", expire))
    async with (
        ScriptedPeer(*opened, *LISTED, *DELETED, "C: QUIT", FIN) as first,
        ScriptedPeer(*opened, *listed_as("u2"), *POP3_QUIT) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        await client.delete([ONE, TWO])
        await client.commit()
        await client.connect()
        await client.listing()
        report = client.last_commit
        assert report is not None
        known, unknown = ((), (ONE,)) if expire == "EXPIRE 0" else ((ONE,), ())
        assert (report.committed, report.kept, report.unknown) == (known, (TWO,), unknown)
        await client.quit()


async def test_what_has_no_unique_id_stays_in_doubt() -> None:
    no_uids = (*LISTED[:7], "C: UIDL", "S: -ERR no")
    async with (
        ScriptedPeer(*OPENED, *no_uids, "C: DELE 1", "S: +OK", "C: QUIT", FIN) as first,
        ScriptedPeer(*OPENED, *listed_as("u3"), *POP3_QUIT) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        listing = await client.listing()
        await client.delete(listing[0])
        await client.commit()
        await client.connect()
        await client.listing()
        assert client.last_commit is not None
        assert client.last_commit.unknown == (Entry(1, None, 7),)
        await client.quit()


OK, ERR = Response(True), Response(False, b"no")


@pytest.mark.parametrize(
    ("answers", "marked", "refused"),
    [
        (((Dele(1), OK), (Dele(1), OK)), True, False),
        (((Dele(1), OK), (Dele(1), ERR)), True, False),
        (((Dele(1), ERR), (Dele(1), OK)), True, False),
        (((Dele(1), ERR), (Dele(1), ERR)), False, True),
        (((Dele(1), OK), (Rset(), OK), (Dele(1), OK)), True, False),
        (((Dele(1), OK), (Rset(), OK), (Dele(1), ERR)), False, True),
        (((Dele(1), ERR), (Rset(), OK), (Dele(1), OK)), True, False),
        (((Dele(1), OK), (Dele(1), OK), (Rset(), OK)), False, False),
        (((Dele(1), ERR), (Dele(1), ERR), (Rset(), OK)), False, False),
        (((Dele(1), OK), (Dele(1), OK), (Rset(), ERR)), True, False),
    ],
)
def test_of_what_was_asked_to_be_deleted_twice_at_a_time_as_much_is_known_as_of_any(
    answers: Sequence[tuple[Dele | Rset, Response]], marked: bool, refused: bool
) -> None:
    marks = Marks()
    marks.ask(ONE)
    marks.ask(ONE)
    asked = 2
    for command, response in answers:
        marks.observe(ResponseReceived(command, response))
        asked -= isinstance(command, Dele)
        if asked:
            assert marks.holds(ONE)
            assert marks.in_doubt(None) == CommitReport(unknown=(ONE,))
    report = marks.committed(OK)
    assert report.committed == ((ONE,) if marked else ())
    assert report.refused == ({ONE: ERR} if refused else {})
    assert marks.refusals_of([ONE, TWO]) == ({ONE: ERR} if refused else {})
    assert marks.holds(ONE) is bool(marks) is marked


def test_what_was_refused_and_asked_for_again_is_in_doubt_and_not_refused() -> None:
    marks = Marks()
    marks.ask(Entry(1, None, 0))  # before there was a listing
    marks.observe(ResponseReceived(Dele(1), ERR))
    assert marks.in_doubt(None) == CommitReport(refused={Entry(1, None, 0): ERR})
    marks.ask(ONE)
    assert marks.refusals_of([ONE]) == {}
    assert marks.in_doubt(None) == CommitReport(unknown=(ONE,))
    marks.observe(ResponseReceived(Dele(1), ERR))
    assert marks.in_doubt(None) == CommitReport(refused={ONE: ERR})
    marks.leave_unsaid([ONE, TWO])
    assert marks.in_doubt(None) == CommitReport(refused={ONE: ERR}, kept=(TWO,))


def test_of_several_requests_to_delete_a_message_some_may_be_taken_back() -> None:
    marks = Marks()
    for entry in (ONE, ONE, ONE, TWO):
        marks.ask(entry)
    assert marks.discard([Dele(1)]) == [ONE]
    assert marks.discard([Dele(1), Rset(), Dele(2)]) == [ONE, TWO]
    assert marks.undecided == (ONE,)
    assert marks.discard([Dele(1)]) == [ONE]
    assert not marks


def test_what_was_forgotten_as_unsaid_is_not_taken_back_again() -> None:
    marks = Marks()
    marks.ask(ONE)
    marks.ask(TWO)
    marks.forget_unsaid([Dele(2)])
    assert marks.discard([Dele(1), Dele(2)]) == [TWO]
    assert marks.in_doubt(None) == CommitReport(kept=(ONE,))


def test_of_several_in_doubt_a_listing_settles_those_alone_that_a_unique_id_tells_from_all_others() -> None:
    nameless, one_of_two = Entry(3, None, 7), Entry(4, "u4", 7, shares_uid=True)
    report = CommitReport(
        committed=(Entry(9, "u9", 7),), kept=(Entry(8, "u8", 7),), unknown=(ONE, nameless, one_of_two, TWO)
    )
    answers = (Response(True, b"", b"1 7\r\n"), Response(True, b"", b"1 u2\r\n"))
    listing = survey(ScanListing.parse(answers[0]), UniqueIdListing.parse(answers[1]))
    settled = report.reconciled(listing)
    assert [entry.uid for entry in settled.committed] == ["u9", "u1"]
    assert [entry.uid for entry in settled.kept] == ["u8", "u2"]
    assert settled.unknown == (nameless, one_of_two)
    # Where what was retrieved may be hidden, what is not there may be there.
    hidden = report.reconciled(listing, hides_retrieved=True)
    assert [entry.uid for entry in hidden.committed] == ["u9"]
    assert [entry.uid for entry in hidden.kept] == ["u8", "u2"]
    assert hidden.unknown == (ONE, nameless, one_of_two)


NO_UIDS: tuple[Step, ...] = (*LISTED[:7], "C: UIDL", "S: -ERR no")
ONE_LEFT: tuple[Step, ...] = ("C: STAT", "S: +OK 1 7", "C: LIST", "S: +OK", "S: 1 7", "S: .", *NO_UIDS[7:])


async def test_an_entry_without_a_unique_id_is_not_taken_for_another_message_of_its_size() -> None:
    # Message 1 of the second session was message 2 of the first.
    async with (
        ScriptedPeer(*OPENED, *NO_UIDS, "C: DELE 1", "S: +OK", *POP3_QUIT) as first,
        ScriptedPeer(*OPENED, *ONE_LEFT, *ONE_LEFT, "C: DELE 1", "S: +OK", *POP3_QUIT) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        one, _ = await client.listing()
        await client.delete(one)
        await client.commit(reconnect=True)
        with pytest.raises(LocalProtocolError, match="without a unique id it is in no other"):
            await client.delete(one)
        with pytest.raises(LocalProtocolError, match="without a unique id it is in no other"):
            await everything(client.retrieve([one]))
        # One of a listing of this session is what it says.
        assert len((await client.delete(await client.listing())).marked) == 1
        await client.quit()


async def test_a_batch_of_messages_without_unique_ids_does_not_go_on_by_their_numbers() -> None:
    async with (
        ScriptedPeer(*OPENED, *NO_UIDS, *TWO_MESSAGES[:4], "C: DELE 1", "S: +OK", *POP3_QUIT) as first,
        ScriptedPeer(*OPENED, *NO_UIDS, "C: QUIT", "S: +OK") as second,
    ):
        client = client_of(first, second)
        await client.connect()
        items = client.retrieve(await client.listing(), batch=Batch(messages=1))
        item = await anext(items)
        item.delete()
        with pytest.raises(LocalProtocolError, match="without a unique id it is in no other"):
            await anext(items)
        assert len(items.commits) == 1
        await client.quit()


async def test_a_commit_may_begin_another_session() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, *DELETED[:2], *POP3_QUIT) as first,
        ScriptedPeer(*OPENED, *listed_as("u2"), "C: DELE 1", "S: +OK", *POP3_QUIT) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        await client.delete("u1")
        assert (await client.commit(reconnect=True)).committed == (ONE,)
        # Message 2 is message 1 by now.
        assert (await client.delete(TWO)).marked == (Entry(1, "u2", 7),)
        await client.quit()


async def test_a_commit_in_doubt_is_settled_by_the_session_that_it_begins() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, *DELETED, "C: QUIT", FIN) as first,
        ScriptedPeer(*OPENED, *listed_as("u2"), *POP3_QUIT) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        await client.delete([ONE, TWO])
        report = await client.commit(reconnect=True)
        assert (report.committed, report.kept, report.unknown) == ((ONE,), (TWO,), ())
        assert isinstance(report.error, ConnectionLost)
        await client.quit()


async def test_another_session_waits_for_the_delay_between_logins() -> None:
    clock = Clock()
    delayed = (*capabilities("UIDL", "LOGIN-DELAY 300"), *LOGIN, *announced("UIDL", "LOGIN-DELAY 300"))
    async with (
        ScriptedPeer(*delayed, *LISTED, *DELETED[:2], *POP3_QUIT, guard=None) as first,
        ScriptedPeer(*OPENED, *listed_as("u2"), *POP3_QUIT, guard=None) as second,
    ):
        client = client_of(first, second, settings=POP3Settings(keep_alive=None))
        await client.connect()
        await client.delete("u1")
        await clock.advance(100)
        committing = asyncio.create_task(client.commit(reconnect=True))
        await clock.advance(199)
        assert not committing.done()
        assert not client.is_connected
        await clock.advance(2)
        assert (await committing).committed == (ONE,)
        await client.quit()


async def test_a_commit_of_nothing_does_not_tell_of_an_earlier_one() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, *DELETED[:2], *POP3_QUIT) as first,
        ScriptedPeer(*OPENED, *POP3_QUIT) as second,
        ScriptedPeer(*OPENED, *listed_as("u2"), *POP3_QUIT) as third,
    ):
        client = client_of(first, second, third)
        await client.connect()
        await client.delete("u1")
        assert (await client.commit()).committed == (ONE,)
        await client.connect()
        assert await client.commit(reconnect=True) == CommitReport(response=Response(True, b"bye"))
        assert client.last_commit is not None
        assert client.last_commit.committed == (ONE,)
        await client.quit()


FOREVER = (*capabilities("UIDL", "LOGIN-DELAY 999999999"), *LOGIN, *announced("UIDL", "LOGIN-DELAY 999999999"))


async def test_another_session_does_not_wait_for_ever_between_logins() -> None:
    async with ScriptedPeer(*FOREVER, *LISTED, *DELETED[:2], *POP3_QUIT) as peer:
        client = client_of(peer)
        await client.connect()
        await client.delete("u1")
        with pytest.raises(ConnectionFailed, match=r"9999999\d\d seconds more .* 900 are waited for at most"):
            await client.commit(reconnect=True)
        assert client.last_commit is not None
        assert client.last_commit.committed == (ONE,)
        assert not client.is_connected


async def test_where_the_pause_between_logins_is_too_long_there_is_one_batch() -> None:
    async with ScriptedPeer(
        *(*FOREVER, *LISTED, *TWO_MESSAGES[:4], "C: DELE 1", "S: +OK", *TWO_MESSAGES[4:], "C: DELE 2", "S: +OK"),
        *POP3_QUIT,
    ) as peer:
        client = client_of(peer)
        await client.connect()
        items = client.retrieve([ONE, TWO], batch=Batch(messages=1))
        async for item in items:
            await item.read()
            item.delete()
        assert items.commits == []
        assert (await client.commit()).committed == (ONE, TWO)


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_the_longest_pause_between_logins_is_a_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="expected login_pause_limit to be 0 at least, got"):
        POP3Settings(login_pause_limit=seconds)


async def test_a_batch_behind_which_nobody_can_log_in_was_committed() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], "C: DELE 1", "S: +OK", *POP3_QUIT) as peer:
        client = POP3Client(client_for(peer).endpoint.replace(connect=once(peer)))
        await client.connect()
        items = client.retrieve([ONE, TWO], batch=Batch(messages=1))
        (await anext(items)).delete()
        with pytest.raises(ConnectionFailed):
            await anext(items)
        assert [report.committed for report in items.commits] == [(ONE,)]


async def test_another_session_waits_for_a_lock_that_is_still_held() -> None:
    clock = Clock()
    locked = (*POP3_READY, *LOGIN[:3], "S: -ERR [IN-USE] locked")
    async with (
        ScriptedPeer(*OPENED, *LISTED, *DELETED[:2], *POP3_QUIT, guard=None) as first,
        ScriptedPeer(*locked, guard=None) as second,
        ScriptedPeer(*OPENED, *listed_as("u2"), *POP3_QUIT, guard=None) as third,
    ):
        client = client_of(first, second, third)
        await client.connect()
        await client.delete("u1")
        committing = asyncio.create_task(client.commit(reconnect=True))
        await clock.advance(0)
        assert not committing.done()
        await clock.advance(1)
        assert (await committing).committed == (ONE,)
        await client.quit()


TOO_SOON = "S: -ERR [LOGIN-DELAY] minimum time between logins"
TOO_MANY = "S: -ERR Exceeded the login limit for a 15 minute period."
DELAYED_BEFORE = capabilities("UIDL", "RESP-CODES", "LOGIN-DELAY 60 USER")


@pytest.mark.parametrize(
    ("first_login", "second_login", "seconds"),
    [
        # It announces the pause before the login, and no more behind it.
        ((*DELAYED_BEFORE, *LOGIN, *announced("UIDL")), (*DELAYED_BEFORE, *LOGIN[:3], TOO_SOON), 60),
        # It announces the pause behind the login, and that was not enough.
        ((*capabilities("UIDL"), *LOGIN, *announced("UIDL", "LOGIN-DELAY 0")), (*OPENED[:-1], TOO_MANY), 900),
    ],
)
async def test_another_session_waits_as_long_as_the_refusal_of_its_login_says(
    first_login: tuple[Step, ...], second_login: tuple[Step, ...], seconds: int
) -> None:
    clock = Clock()
    async with (
        ScriptedPeer(*first_login, *LISTED, *DELETED[:2], *POP3_QUIT, guard=None) as first,
        ScriptedPeer(*second_login, guard=None) as second,
        ScriptedPeer(*OPENED, *listed_as("u2"), *POP3_QUIT, guard=None) as third,
    ):
        client = client_of(first, second, third, settings=POP3Settings(keep_alive=None))
        await client.connect()
        await client.delete("u1")
        committing = asyncio.create_task(client.commit(reconnect=True))
        await clock.advance(seconds - 1)
        assert not committing.done()
        await clock.advance(1)
        assert (await committing).committed == (ONE,)
        await client.quit()


@pytest.mark.parametrize(
    ("refusal", "limit"),
    [(TOO_MANY, 899), ("S: -ERR [LOGIN-DELAY] so many seconds", 900), ("S: -ERR [SYS/TEMP] x", 900)],
)
async def test_another_session_waits_for_no_login_that_is_refused_otherwise(refusal: str, limit: float) -> None:
    clock = Clock()
    async with (
        ScriptedPeer(*OPENED, *LISTED, *DELETED[:2], *POP3_QUIT, guard=None) as first,
        ScriptedPeer(*capabilities("UIDL", "RESP-CODES"), *LOGIN[:3], refusal, guard=None) as second,
    ):
        client = client_of(first, second, settings=POP3Settings(login_pause_limit=limit, keep_alive=None))
        await client.connect()
        await client.delete("u1")
        committing = asyncio.create_task(client.commit(reconnect=True))
        await clock.advance(0)
        with pytest.raises(ResponseError):
            await committing


@pytest.mark.parametrize("limit", [60, 59])
async def test_between_two_tries_at_a_lock_the_delay_between_logins_passes(limit: float) -> None:
    clock = Clock()
    opened = (*capabilities("UIDL", "LOGIN-DELAY 60"), *LOGIN, *announced("UIDL", "LOGIN-DELAY 60"))
    locked = (*POP3_READY, *LOGIN[:3], "S: -ERR [IN-USE] locked")
    async with (
        ScriptedPeer(*opened, *LISTED, *DELETED[:2], *POP3_QUIT, guard=None) as first,
        ScriptedPeer(*locked, guard=None) as second,
        ScriptedPeer(*OPENED, *listed_as("u2"), *POP3_QUIT, guard=None, lenient=True) as third,
    ):
        client = client_of(first, second, third, settings=POP3Settings(login_pause_limit=limit, keep_alive=None))
        await client.connect()
        await client.delete("u1")
        await clock.advance(60)
        committing = asyncio.create_task(client.commit(reconnect=True))
        await clock.advance(59)
        if limit < 60:
            with pytest.raises(MaildropLocked):
                await committing
            (await third.connect()).close()
            return
        assert not committing.done()
        await clock.advance(1)
        assert (await committing).committed == (ONE,)
        await client.quit()


async def test_a_lock_that_stays_is_told() -> None:
    clock = Clock()
    locked = (*POP3_READY, *LOGIN[:3], "S: -ERR [IN-USE] locked")
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(ScriptedPeer(*OPENED, *LISTED, *DELETED[:2], *POP3_QUIT, guard=None))
        others = [await stack.enter_async_context(ScriptedPeer(*locked, guard=None)) for _ in range(4)]
        client = client_of(first, *others)
        await client.connect()
        await client.delete("u1")
        committing = asyncio.create_task(client.commit(reconnect=True))
        for seconds in (1, 5, 15):
            await clock.advance(seconds)
        with pytest.raises(MaildropLocked):
            await committing
        assert client.last_commit is not None
        assert client.last_commit.committed == (ONE,)


async def test_a_client_that_is_not_connected_commits_nothing() -> None:
    client = POP3Client(Endpoint("localhost", protocol="pop3"))
    with pytest.raises(LocalProtocolError, match="not connected"):
        await client.commit()
    with pytest.raises(LocalProtocolError, match="not connected"):
        await client.delete("u1")


async def test_a_command_by_hand_counts_as_well() -> None:
    async with ScriptedPeer(
        *(*OPENED, "C: DELE 1", "S: +OK", *LISTED, "C: DELE 2", "S: +OK", "C: DELE 2", "S: -ERR already", *POP3_QUIT)
    ) as peer:
        client = await connect(peer)
        await client.execute(Dele(1))
        await client.listing()
        await client.execute(Dele(2))
        with pytest.raises(ResponseError):
            await client.execute(Dele(2))
        assert (await client.commit()).committed == (Entry(1, None, 0), TWO)


# Deletion inside a run


async def test_an_item_is_marked_when_the_run_goes_on() -> None:
    async with ScriptedPeer(
        *(*OPENED, *LISTED, *TWO_MESSAGES[:4], "C: DELE 1", "S: +OK", *TWO_MESSAGES[4:], "C: DELE 2", "S: -ERR no"),
        *POP3_QUIT,
    ) as peer:
        client = await connect(peer)
        async for item in client.retrieve([ONE, TWO]):
            await item.read()
            item.delete()
            item.delete()
        report = await client.commit()
        assert (report.committed, report.refused) == ((ONE,), {TWO: Response(False, b"no")})


async def test_an_item_that_shares_its_unique_id_is_not_marked_by_itself() -> None:
    async with ScriptedPeer(
        *(*OPENED, *SHARED, *TWO_MESSAGES[:4], "C: DELE 1", "S: +OK", *TWO_MESSAGES[4:], *POP3_QUIT)
    ) as peer:
        client = await connect(peer)
        async for item in client.retrieve(await client.listing()):
            with pytest.raises(AmbiguousMessage, match=r"^several messages have the unique id 'u1'$") as caught:
                item.delete()
            assert caught.value.uid == "u1"
            if item.entry.number == 1:
                item.delete(force=True)
        assert [entry.number for entry in (await client.commit()).committed] == [1]


async def test_an_item_of_a_run_that_is_over_is_deleted_by_the_client() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], *POP3_QUIT) as peer:
        client = await connect(peer)
        items = [item async for item in client.retrieve([ONE])]
        with pytest.raises(LocalProtocolError, match=r"use POP3Client\.delete"):
            items[0].delete()
        await client.quit()


async def test_a_run_commits_in_batches() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], "C: DELE 1", "S: +OK", *POP3_QUIT) as first,
        ScriptedPeer(
            *OPENED, *listed_as("u2"), "C: RETR 1", *TWO_MESSAGES[5:], "C: DELE 1", "S: +OK", *POP3_QUIT
        ) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        found = []
        items = client.retrieve([ONE, TWO], batch=Batch(messages=1))
        async for item in items:
            found.append((item.entry, await item.read()))
            item.delete()
        assert found == [(ONE, b"first\r\n"), (Entry(1, "u2", 7), b"other\r\n")]
        assert [report.committed for report in items.commits] == [(ONE,)]
        # The last one is the caller's.
        assert (await client.commit()).committed == (Entry(1, "u2", 7),)


async def test_a_batch_of_which_nothing_is_marked_needs_no_commit() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES, *POP3_QUIT) as peer, client_for(peer) as client:
        assert len(await everything(client.retrieve([ONE, TWO], batch=Batch(messages=1)))) == 2


async def test_a_batch_ends_after_a_time() -> None:
    clock = Clock()
    async with (
        ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], "C: DELE 1", "S: +OK", *POP3_QUIT, guard=None) as first,
        ScriptedPeer(*OPENED, *listed_as("u2"), "C: RETR 1", *TWO_MESSAGES[5:], *POP3_QUIT, guard=None) as second,
    ):
        client = client_of(first, second, settings=POP3Settings(keep_alive=None))
        await client.connect()
        async for item in client.retrieve([ONE, TWO], batch=Batch(messages=50, seconds=60)):
            await item.read()
            if item.entry == ONE:
                item.delete()
                await clock.advance(60)
        await client.quit()


async def test_a_message_that_is_gone_when_a_batch_was_committed_is_missing() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], "C: DELE 1", "S: +OK", "C: QUIT", FIN) as first,
        ScriptedPeer(*OPENED, *listed_as("u1"), *POP3_QUIT) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        errors = []
        items = client.retrieve([ONE, TWO], batch=Batch(messages=1))
        async for item in items:
            errors.append(item.error)
            if item.error is None:
                item.delete()
        assert errors[0] is None
        assert isinstance(errors[1], UnknownMessage)
        # The link was lost at QUIT, and the next listing has told.
        assert [report.kept for report in items.commits] == [(ONE,)]
        await client.quit()


async def test_a_refused_quit_is_a_refusal() -> None:
    async with ScriptedPeer(*OPENED, "C: QUIT", "S: -ERR no") as peer:
        client = client_for(peer)
        await client.connect()
        with pytest.raises(ResponseError, match="no"):
            await client.execute(Quit())


async def test_what_was_not_marked_yet_is_when_a_run_that_was_cancelled_is_ended() -> None:
    script = (*OPENED, *LISTED, *TWO_MESSAGES, "C: DELE 1", WAIT, "S: +OK", "C: DELE 2", "S: -ERR no", *POP3_QUIT)
    async with ScriptedPeer(*script, guard=None) as peer:
        client = client_for(peer)
        await client.connect()
        items = client.retrieve(await client.listing())
        for item in [await anext(items), await anext(items)]:
            item.delete()
        waiting = asyncio.create_task(anext(items))
        await drain_events()
        waiting.cancel()
        await asyncio.wait([waiting])
        await items.aclose()
        peer.go_on()
        report = await client.commit()
        assert [entry.uid for entry in report.committed] == ["u1"]
        assert [entry.uid for entry in report.refused] == ["u2"]


@pytest.mark.parametrize("ends", [False, True])
async def test_what_was_to_be_deleted_is_marked_though_the_run_is_broken_off(ends: bool) -> None:
    script = (*OPENED, *LISTED, *TWO_MESSAGES[:4], "C: DELE 1", "S: +OK", *POP3_QUIT)
    async with ScriptedPeer(*script) as peer:
        client = await connect(peer)
        items = client.retrieve(await client.listing())
        async for item in items:
            await item.read()
            item.delete()
            break
        if ends:
            await items.aclose()
        assert [entry.uid for entry in (await client.commit()).committed] == ["u1"]


async def test_what_was_to_be_deleted_is_kept_where_the_rest_of_the_run_is_too_much() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, "C: RETR 1", "S: +OK", "S: fir", LISTEN) as peer:
        client = client_of(peer, settings=POP3Settings(drain=Budget(octets=0, seconds=5)))
        await client.connect()
        async for item in client.retrieve(await client.listing()):
            item.delete()
            break
        report = await client.commit()
        assert (report.unknown, report.kept, client.last_commit) == ((), (ONE,), report)
        assert isinstance(report.error, ConnectionLost)


@pytest.mark.parametrize("uids", [("S: 2 u2",), ("S: 1 u1", "S: 2 u2", "S: 3 u1")], ids=["nameless", "shared"])
async def test_what_was_to_be_deleted_and_is_too_long_to_be_passed_over_is_kept_where_it_could_not_be_named_again(
    uids: tuple[Step, ...],
) -> None:
    sizes: tuple[Step, ...] = ("C: STAT", "S: -ERR no", "C: LIST", "S: +OK", "S: 1 7", "S: 2 7", "S: 3 7", "S: .")
    again: tuple[Step, ...] = ("C: UIDL 1", "S: -ERR no", "C: UIDL 3", "S: -ERR no", "C: NOOP", "S: +OK")
    listed = (*sizes, "C: UIDL", "S: +OK", *uids, "S: .", *(again if len(uids) == 1 else ()))
    async with ScriptedPeer(*OPENED, *listed, "C: RETR 1", "S: +OK", Endless(b"0123456789abcdef\r\n")) as peer:
        client = client_of(peer, settings=POP3Settings(drain=Budget(octets=0, seconds=5)))  # there is no way to another
        await client.connect()
        one, two, _ = await client.listing()
        items = client.retrieve([one, two], message_limit=7)
        item = await anext(items)
        with pytest.raises(BudgetExceeded):
            await item.read()
        item.delete(force=True)
        with pytest.raises(ConnectionLost, match="longer than allowed"):
            await anext(items)
        assert client.last_commit is not None
        assert (client.last_commit.kept, client.last_commit.unknown) == ((one,), ())


async def test_what_was_to_be_deleted_stays_where_the_session_is_over() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4]) as peer:
        client = await connect(peer)
        items = client.retrieve(await client.listing())
        item = await anext(items)
        await item.read()
        item.delete()
        client.abort()
        await items.aclose()
        with pytest.raises(LocalProtocolError):
            await client.commit()
        assert client.last_commit is not None
        assert (client.last_commit.kept, client.last_commit.unknown) == ((ONE,), ())


async def test_what_was_not_asked_for_behind_a_mark_is_no_mark() -> None:
    script = (*OPENED, *LISTED, *TWO_MESSAGES[:4], "C: DELE 1", WAIT, "S: +OK", *POP3_QUIT)
    async with ScriptedPeer(*script, guard=None) as peer:
        client = client_for(peer)
        await client.connect()
        items = client.retrieve(await client.listing())
        (await anext(items)).delete()
        waiting = asyncio.create_task(anext(items))
        await drain_events()
        waiting.cancel()
        await asyncio.wait([waiting])
        await items.aclose()
        peer.go_on()
        assert [entry.uid for entry in (await client.commit()).committed] == ["u1"]


@pytest.mark.parametrize("named", [1, None, 1.5])
async def test_what_can_be_no_messages_is_told_at_once(named: Any) -> None:
    told = f"expected messages to be entries of a listing and unique ids, or a single one, got {named!r}"
    async with ScriptedPeer(*OPENED, "C: NOOP", "S: +OK", *POP3_QUIT) as peer, client_for(peer) as client:
        with pytest.raises(ValueError, match=told):
            client.retrieve(named)
        for asking in (client.delete, client.fingerprints):
            with pytest.raises(ValueError, match=told):
                await asking(named)
        for looking in (client.top, client.preview):
            with pytest.raises(ValueError, match=re.escape(f"expected an entry or a unique id, got {named!r}")):
                await looking(named)
        await client.noop()


async def test_several_messages_have_no_preview_together() -> None:
    async with ScriptedPeer(*OPENED, *POP3_QUIT) as peer, client_for(peer) as client:
        several: Any = ["u1", "u2"]
        for looking in (client.top, client.preview):
            with pytest.raises(ValueError, match="expected an entry or a unique id, got "):
                await looking(several)


@pytest.mark.parametrize("named", [Entry("1", "u1", 7), Entry(1, "u1", None), 1])  # type: ignore[arg-type]
async def test_what_is_no_entry_names_no_message(named: Any) -> None:
    async with ScriptedPeer(*OPENED, *POP3_QUIT) as peer, client_for(peer) as client:
        with pytest.raises(ValueError, match="expected an entry"):
            await client.delete([named])


async def test_what_can_be_marked_no_more_is_kept() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], LISTEN) as peer:
        client = await connect(peer)
        items = client.retrieve(await client.listing())
        (await anext(items)).delete()
        client._dialogue._end = ConnectionLost("found when a NOOP was due")
        await items.aclose()
        assert client._transaction.marks.in_doubt(None).kept == (ONE,)
        client.abort()
