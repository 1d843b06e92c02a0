"""Many messages over the connections of a pool: results, failures in the middle, and what becomes of the rest."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from mailwire import (
    ConnectionFailed,
    ConnectionLost,
    Delivery,
    Endpoint,
    InvalidMessage,
    LocalProtocolError,
    Mailing,
    OAuthToken,
    RemoteProtocolError,
    SenderRefused,
    SendResult,
    ServiceNotAvailable,
    SMTPPool,
)
from mailwire.testing import FIN, STALL, WAIT, Account, Answers, Cut, FaultProxy, MailServer, Policy, ScriptedPeer
from mailwire.testing.turns import drain_events, turns
from tests.aio.dialogues import MAILED, MESSAGE, QUIT, READY, SENT, SMTP_ANSWERS, extensions
from tests.aio.pools import ACCOUNTS, ENVELOPE, Gate, Way, connected, endpoint_of, in_turn, mails_of, numbered, subjects
from tests.clock import Clock, StandingClock

WAYS = pytest.mark.parametrize("use_chunking", [False, True, "eager"])


def many(count: int) -> list[bytes]:
    return [numbered(number) for number in range(count)]


async def run(pool: SMTPPool, messages: Any, **settings: Any) -> list[SendResult]:
    async with pool.send_all(messages, **{**ENVELOPE, **settings}) as results:
        return [result async for result in results]


def accepted(results: list[SendResult]) -> list[int]:
    return [result.index for result in results if result.delivery is Delivery.ACCEPTED]


# Results


@WAYS
@pytest.mark.parametrize("limit", [None, 7])
async def test_each_message_has_its_result(use_chunking: Any, limit: int | None) -> None:
    async with MailServer(ACCOUNTS) as server:
        async with SMTPPool(endpoint_of(server), max_connections=4, max_messages_per_connection=limit) as pool:
            results = await run(pool, many(100), use_chunking=use_chunking)
            seen = pool.statistics
        assert sorted(accepted(results)) == list(range(100))
        assert all(result.message == numbered(result.index) for result in results)
    assert sorted(subjects(server)) == list(range(100))
    assert max(mails_of(server)) <= (limit or 100)
    assert (seen.in_use, seen.waiting) == (0, 0)
    assert seen.opened == len(server.smtp_sessions)
    assert seen.opened + seen.reused == 100
    assert all(session.commands[-1] == b"QUIT" for session in server.smtp_sessions)


async def test_mails_follow_each_other_on_each_connection() -> None:
    async with MailServer(ACCOUNTS, patient=True) as server, SMTPPool(endpoint_of(server), max_connections=2) as pool:
        await run(pool, many(20), use_chunking=False)
        await pool.close()
    # EHLO, then one flight for each mail and one for the first envelope, and QUIT.
    assert sum(session.flights for session in server.smtp_sessions) <= 20 + 2 * 3


async def test_results_in_the_order_of_the_messages() -> None:
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=5) as pool:
        results = await run(pool, many(60), order="input", look_ahead=9)
    assert accepted(results) == list(range(60))


async def test_no_more_messages_are_taken_than_are_looked_ahead_at() -> None:
    taken = 0

    def messages() -> Iterator[bytes]:
        nonlocal taken
        for number in range(50):
            taken += 1
            yield numbered(number)

    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=3) as pool:
        count = 0
        async with pool.send_all(messages(), look_ahead=5, **ENVELOPE) as results:
            async for _ in results:
                count += 1
                await drain_events()
                assert taken <= count + 5
                # What nobody goes on with, holds nothing.
                assert pool.statistics.in_use == 0
    assert count == taken == 50


async def test_no_more_connections_are_opened_than_there_are_messages() -> None:
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=9) as pool:
        assert accepted(await run(pool, [])) == []
        assert len(server.smtp_sessions) == 0
        await run(pool, many(2))
        assert len(server.smtp_sessions) == 2


async def test_messages_that_come_one_by_one() -> None:
    gates: list[asyncio.Future[None]] = []

    async def messages() -> AsyncIterator[bytes]:
        for number in range(6):
            gates.append(asyncio.get_running_loop().create_future())
            await gates[-1]
            yield numbered(number)

    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=2) as pool:
        running = asyncio.ensure_future(run(pool, messages()))
        for number in range(6):
            await drain_events()
            assert len(subjects(server)) == number
            gates[-1].set_result(None)
        assert sorted(accepted(await running)) == list(range(6))


async def test_what_the_iterable_raises_comes_behind_the_results() -> None:
    def messages() -> Iterator[bytes]:
        yield from many(3)
        raise ZeroDivisionError

    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server)) as pool:
        results = pool.send_all(messages(), **ENVELOPE)
        assert sorted(accepted([await anext(results) for _ in range(3)])) == [0, 1, 2]
        with pytest.raises(ZeroDivisionError):
            await anext(results)


async def test_one_failure_is_its_own() -> None:
    messages = [
        numbered(0),
        Mailing(MESSAGE, sender="a@example.org", recipients="nobody@example.org"),
        b"Subject: nul\r\n\r\n\0",
        Mailing(numbered(3), **ENVELOPE),
        numbered(4),
    ]
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=2) as pool:
        results = await run(pool, messages, order="input")
    words = [result.delivery for result in results]
    no, yes = Delivery.NOT_SENT, Delivery.ACCEPTED
    assert words == [yes, Delivery.REFUSED, no, yes, yes]
    assert isinstance(results[2].error, InvalidMessage)


async def test_limits_of_the_server_are_kept_to() -> None:
    policy = Policy(message_limit=4, recipient_limit=1)
    async with MailServer(ACCOUNTS, policy=policy) as server, SMTPPool(endpoint_of(server), max_connections=3) as pool:
        both = ["b@example.org", "c@example.org"]
        results = await run(pool, many(20), recipients=both)
    assert sorted(accepted(results)) == list(range(20))
    assert all(result.receipt is not None and len(result.receipt.accepted) == 2 for result in results)
    assert max(mails_of(server)) <= 4


async def test_an_old_connection_is_given_no_further_mail() -> None:
    clock = Clock()

    def messages() -> Iterator[bytes]:
        yield from many(3)
        clock.jump(21)
        yield from many(3)

    async with (
        MailServer(ACCOUNTS) as server,
        SMTPPool(endpoint_of(server), max_connections=1, max_lifetime=20, max_messages_per_connection=None) as pool,
    ):
        results = await run(pool, messages())
        assert pool.statistics.opened == 2
    assert sorted(accepted(results)) == list(range(6))
    assert mails_of(server) == [4, 2]  # the fourth was asked for in time


@pytest.mark.parametrize("how", ["send", "send_all"])
async def test_a_mail_in_parts_has_all_its_transactions_counted_and_is_one_mail(how: str) -> None:
    both = {**ENVELOPE, "recipients": ["b@example.org", "c@example.org"]}
    async with (
        MailServer(ACCOUNTS, policy=Policy(recipient_limit=1)) as server,
        SMTPPool(endpoint_of(server), max_connections=1, max_messages_per_connection=3) as pool,
    ):
        if how == "send_all":
            assert sorted(accepted(await run(pool, many(6), **both))) == list(range(6))
        else:
            for message in many(6):
                await pool.send(message, **both)
        seen = pool.statistics
    assert mails_of(server) == [4, 4, 4]
    assert (seen.opened, seen.reused, seen.retried) == (3, 3, 0)


async def test_a_connection_that_could_not_be_opened_holds_a_run_up_no_longer_than_that() -> None:
    async with MailServer(ACCOUNTS) as server:
        way = Way(server, refused=1)
        async with SMTPPool(Endpoint("localhost", tls="none", connect=way.connect), max_connections=3) as pool:
            gate = Gate()
            running = asyncio.ensure_future(run(pool, [gate.message(number) for number in range(9)]))
            async with asyncio.timeout(20):
                while pool.statistics.in_use < 3:
                    await turns(1)
            gate.open()
            assert sorted(accepted(await running)) == list(range(9))
        assert way.count == 4


async def test_after_a_while_a_run_tries_as_many_connections_as_ever() -> None:
    clock, others_stand = StandingClock(), asyncio.Event()
    async with MailServer(ACCOUNTS) as server:
        way = Way(server, refused=3, until=others_stand)
        endpoint = Endpoint("localhost", tls="none", connect=way.connect)
        async with SMTPPool(endpoint, max_connections=3, max_idle=None) as pool:
            gates, more = [Gate(), Gate(), Gate()], asyncio.Event()

            async def messages() -> AsyncIterator[AsyncIterator[bytes] | bytes]:
                yield gates[0].message(0)
                yield gates[1].message(1)
                yield numbered(2)
                await more.wait()
                for number in range(3, 9):
                    yield gates[2].message(number)

            running = asyncio.ensure_future(run(pool, messages()))
            await drain_events()
            others_stand.set()
            gates[0].open()
            await drain_events()
            assert (pool.statistics.in_use, way.count) == (1, 3)
            await clock.advance(60)
            more.set()
            await drain_events()
            assert (pool.statistics.in_use, way.count) == (3, 4)
            for gate in gates:
                gate.open()
            assert sorted(accepted(await running)) == list(range(9))


async def test_after_a_while_a_run_tries_another_connection_beside_those_that_are_held_up() -> None:
    clock, others_stand = Clock(), asyncio.Event()
    async with MailServer(ACCOUNTS) as server:
        way = Way(server, refused=3, until=others_stand)
        async with SMTPPool(Endpoint("localhost", tls="none", connect=way.connect), max_connections=3) as pool:
            first, second, rest = Gate(), Gate(), Gate()
            messages = [first.message(0), second.message(1), *(rest.message(number) for number in range(2, 9))]
            running = asyncio.ensure_future(run(pool, messages))
            await drain_events()
            others_stand.set()
            first.open()
            await drain_events()
            assert (pool.statistics.in_use, way.count) == (2, 3)
            await clock.advance(61)
            second.open()
            await drain_events()
            assert (pool.statistics.in_use, way.count) == (3, 4)
            rest.open()
            assert sorted(accepted(await running)) == list(range(9))


async def test_a_rate_is_kept_to() -> None:
    clock = Clock()
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), rate_limit=0.1, rate_burst=2) as pool:
        running = asyncio.ensure_future(run(pool, many(5)))
        seen = []
        for _ in range(4):
            await clock.advance(10.01)
            seen.append(len(subjects(server)))
        await running
    assert seen == [2 + 1, 4, 5, 5]


async def test_with_a_rate_mails_on_one_connection_are_begun_one_by_one() -> None:
    clock = StandingClock()
    async with (
        MailServer(ACCOUNTS) as server,
        SMTPPool(endpoint_of(server), rate_limit=0.1, max_connections=1, max_idle=None) as pool,
    ):
        running = asyncio.ensure_future(run(pool, many(3)))
        seen = []
        for _ in range(3):
            await drain_events()
            seen.append(len(subjects(server)))
            await clock.advance(10.01)
        await running
    assert seen == [1, 2, 3]


async def test_others_who_send_have_their_turn() -> None:
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=1) as pool:
        running = asyncio.ensure_future(run(pool, many(200)))
        await drain_events()
        await pool.send(numbered(999), **ENVELOPE)
        await running
    assert subjects(server).index(999) < 150


async def test_one_task_waits_for_a_result_at_a_time() -> None:
    gate = Gate()
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server)) as pool:
        results = pool.send_all([gate.message(0)], **ENVELOPE)
        first = asyncio.ensure_future(anext(results))
        await drain_events()
        with pytest.raises(LocalProtocolError, match=r"^another task waits for the next result of this run$"):
            await anext(results)
        gate.open()
        assert (await first).delivery is Delivery.ACCEPTED
        with pytest.raises(StopAsyncIteration):
            await anext(results)


@pytest.mark.parametrize(
    "settings",
    [
        {"order": "random"},
        {"look_ahead": 0},
        {"messages": b"one"},
        {"on_refused": "nonsense"},
        {"use_chunking": "later"},
    ],
)
async def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        SMTPPool("smtp://localhost").send_all(**{"messages": [], **settings})


# Connections that break


@WAYS
@pytest.mark.parametrize("seed", range(4))
async def test_every_word_is_true_where_connections_are_cut(use_chunking: Any, seed: int) -> None:
    def choose(number: int, chance: Any) -> list[Cut]:
        return [Cut(chance.randrange(900), of=chance.choice(["client", "server"]))] if chance.random() < 0.4 else []

    async with MailServer(ACCOUNTS) as server:
        async with FaultProxy(server.smtp_port, choose, seed=seed) as proxy:
            endpoint = Endpoint("127.0.0.1", proxy.port, tls="none")
            async with SMTPPool(endpoint, max_connections=3, max_messages_per_connection=5) as pool:
                results = await run(pool, many(60), use_chunking=use_chunking)
            await proxy.wait_idle()
        await server.wait_idle()
        delivered = subjects(server)
        assert any(connection.was_cut for connection in proxy.connections)
    words = {result.index: result.delivery for result in results}
    assert sorted(words) == list(range(60))
    assert len(delivered) == len(set(delivered))
    taken = {index for index, word in words.items() if word is Delivery.ACCEPTED}
    doubtful = {index for index, word in words.items() if word is Delivery.UNKNOWN}
    assert taken <= set(delivered) <= taken | doubtful


async def test_what_was_not_sent_goes_over_another_connection() -> None:
    async with MailServer(ACCOUNTS) as server:
        # Two connections are cut in the second mail's envelope.
        faults = [[Cut(215, of="client")], [Cut(215, of="client")]]
        async with FaultProxy(server.smtp_port, faults) as proxy:
            endpoint = Endpoint("127.0.0.1", proxy.port, tls="none")
            async with SMTPPool(endpoint, max_connections=2) as pool:
                results = await run(pool, many(10), use_chunking=False)
                assert pool.statistics.opened >= 3
        assert len(accepted(results)) >= 8
        assert all(result.delivery in (Delivery.ACCEPTED, Delivery.UNKNOWN) for result in results)


@pytest.mark.parametrize("most", [1, 2, 3])
@pytest.mark.parametrize("connections", [1, 2, 5])
async def test_a_server_that_takes_few_mails_over_a_connection_and_does_not_say_so_gets_all(
    most: int, connections: int
) -> None:
    async with MailServer(ACCOUNTS, policy=Policy(message_limit=most)) as server:
        endpoint = endpoint_of(server, ignored_extensions=["LIMITS"])
        async with SMTPPool(endpoint, max_connections=connections) as pool:
            results = await run(pool, many(60))
        assert sorted(accepted(results)) == list(range(60))
    assert sorted(subjects(server)) == list(range(60))


async def test_a_mail_that_is_tried_again_is_the_first_on_a_new_connection() -> None:
    async with MailServer(ACCOUNTS, policy=Policy(message_limit=1)) as server:
        endpoint = endpoint_of(server, ignored_extensions=["LIMITS"])
        async with SMTPPool(endpoint, max_connections=2) as pool:
            await asyncio.gather(*(pool.send(numbered(number), **ENVELOPE) for number in range(2)))
            assert pool.statistics.idle == 2  # on neither of which the server takes another mail
            (result,) = await run(pool, [numbered(2)])
            assert result.delivery is Delivery.ACCEPTED
            assert pool.statistics.opened == 3
    assert sorted(subjects(server)) == [0, 1, 2]
    assert [session.commands[-1] for session in server.smtp_sessions].count(b"QUIT") == 2


async def test_a_server_that_is_not_there_is_left_alone() -> None:
    async with SMTPPool(Endpoint("localhost", tls="none", connect=in_turn()), max_connections=3) as pool:
        results = await run(pool, many(20), order="input")
    assert [result.delivery for result in results] == [Delivery.NOT_SENT] * 20
    assert all(isinstance(result.error, ConnectionFailed) for result in results)
    assert all(result.receipt is not None for result in results)


async def test_a_message_that_is_none_has_its_own_error_though_nothing_is_sent() -> None:
    async with SMTPPool(Endpoint("localhost", tls="none", connect=in_turn()), max_connections=1) as pool:
        results = await run(pool, [MESSAGE, MESSAGE], order="input", sender="not an address")
    assert all(isinstance(result.error, (InvalidMessage, ConnectionFailed)) for result in results)
    assert isinstance(results[-1].error, InvalidMessage)


async def test_a_server_that_takes_nothing_is_left_alone() -> None:
    script = ("S: 220 mx", Answers({**SMTP_ANSWERS, "MAIL": "what"}))
    peers = [ScriptedPeer(*script, lenient=True, optional=number == 3) for number in range(4)]
    pool = SMTPPool(peers[0].endpoint(connect=in_turn(*peers)), max_connections=1)
    async with peers[0], peers[1], peers[2], peers[3], pool:
        results = await run(pool, many(20))
    assert all(isinstance(result.error, RemoteProtocolError) for result in results)
    assert not peers[3].heard


async def test_a_server_that_is_never_silent_is_left_alone() -> None:
    script = ("S: 220 mx", "C: EHLO [127.0.0.1]", "S: 250 mx", "S: 250 what", STALL)
    peers = [ScriptedPeer(*script, lenient=True, optional=number == 3) for number in range(4)]
    pool = SMTPPool(peers[0].endpoint(connect=in_turn(*peers)), max_connections=1)
    async with peers[0], peers[1], peers[2], peers[3], pool:
        results = await run(pool, many(5))
    assert {type(result.error) for result in results} == {RemoteProtocolError}
    assert not peers[3].heard


async def test_a_server_that_wants_fewer_connections_gets_fewer() -> None:
    async with (
        MailServer(ACCOUNTS) as server,
        ScriptedPeer("S: 421 too many", FIN) as first,
        ScriptedPeer("S: 421 too many", FIN) as second,
    ):
        refusing = iter([first, second])
        count = 0

        async def connect() -> socket.socket:
            nonlocal count
            count += 1
            if count in (2, 3):
                return await next(refusing).connect()
            return await connected(server)

        endpoint = Endpoint("localhost", tls="none", connect=connect)
        async with SMTPPool(endpoint, max_connections=3, max_messages_per_connection=None) as pool:
            gate = Gate()
            held = gate.send(pool)
            await drain_events()
            running = asyncio.ensure_future(run(pool, many(20)))
            await drain_events()
            assert (pool.statistics.in_use, pool.statistics.waiting) == (1, 1)
            gate.open()
            await held
            assert sorted(accepted(await running)) == list(range(20))
            assert count == 3


async def test_a_server_that_wants_no_connection_at_all_refuses_every_mail() -> None:
    peers = [ScriptedPeer("S: 421 too many", FIN, lenient=True) for _ in range(2)]
    async with peers[0], peers[1], SMTPPool(peers[0].endpoint(connect=in_turn(*peers)), max_connections=2) as pool:
        results = await run(pool, many(5))
    assert {type(result.error) for result in results} == {ServiceNotAvailable}


async def test_a_refusal_shows_the_end_of_the_dialogue() -> None:
    script = (*READY, MAILED[0], "S: 550 not you", *QUIT)
    async with ScriptedPeer(*script) as peer, SMTPPool(peer.endpoint(), max_connections=1) as pool:
        [result] = await run(pool, many(1))
    assert isinstance(result.error, SenderRefused)
    assert "S: 550 not you" in result.error.transcript


async def test_a_connection_that_became_stale_is_replaced() -> None:
    async with (
        ScriptedPeer(*READY, *SENT, FIN, lenient=True) as stale,
        ScriptedPeer(*READY, *SENT, *SENT, *QUIT) as good,
        SMTPPool(stale.endpoint(connect=in_turn(stale, good)), max_connections=1) as pool,
    ):
        await pool.send(MESSAGE, **ENVELOPE)
        results = await run(pool, [MESSAGE, MESSAGE])
        assert len(accepted(results)) == 2
        assert pool.statistics.opened == 2


# The end of a run


async def test_leaving_a_run_waits_for_what_is_on_its_way_and_sends_nothing_more() -> None:
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=2) as pool:
        async with pool.send_all(many(100), look_ahead=20, **ENVELOPE) as results:
            first = await anext(results)
        remaining = results.remaining
        assert len(remaining) <= 19
        words = {result.index: result.delivery for result in (first, *remaining)}
        assert {index for index, word in words.items() if word is Delivery.ACCEPTED} == set(subjects(server))
        assert Delivery.UNKNOWN not in words.values()
        await pool.send(numbered(999), **ENVELOPE)
        await results.aclose()
    assert subjects(server)[-1] == 999


async def test_leaving_a_run_cuts_what_was_begun_and_not_ended() -> None:
    gate = Gate()
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=2) as pool:
        async with pool.send_all([numbered(0), gate.message(1)], **ENVELOPE) as results:
            assert (await anext(results)).index == 0
        (left,) = results.remaining
        assert (left.index, left.delivery) == (1, Delivery.NOT_SENT)
        await drain_events()
        assert pool.statistics.in_use == 0
    assert subjects(server) == [0]


@pytest.mark.parametrize("count", range(0, 60, 2))
@WAYS
async def test_a_run_that_is_cancelled_leaves_nothing_and_knows_all(count: int, use_chunking: Any) -> None:
    async with MailServer(ACCOUNTS) as server:
        async with SMTPPool(endpoint_of(server), max_connections=2) as pool:
            results = pool.send_all(many(8), use_chunking=use_chunking, **ENVELOPE)
            seen: list[SendResult] = []

            async def consume() -> None:
                async for result in results:
                    seen.append(result)

            consuming = asyncio.ensure_future(consume())
            await turns(count)
            consuming.cancel()
            await asyncio.wait([consuming])
            await turns(3)
            assert pool.statistics.in_use == pool.statistics.waiting == 0
            seen += results.remaining
            assert (await pool.send(numbered(999), **ENVELOPE)).delivery is Delivery.ACCEPTED
        await server.wait_idle()
        delivered = set(subjects(server)) - {999}
    words = {result.index: result.delivery for result in seen}
    assert len(words) == len(seen)
    taken = {index for index, word in words.items() if word is Delivery.ACCEPTED}
    doubtful = {index for index, word in words.items() if word is Delivery.UNKNOWN}
    assert taken <= delivered <= taken | doubtful


@pytest.mark.parametrize("which", ["anext", "aclose"])
async def test_who_is_cancelled_does_not_wait_for_a_verdict_and_knows_all_at_once(which: str) -> None:
    async with ScriptedPeer(*READY, *SENT, *MAILED, STALL, lenient=True) as peer:
        pool = SMTPPool(peer.endpoint(connect=in_turn(peer)), max_connections=1)
        results = pool.send_all([MESSAGE, MESSAGE, MESSAGE], use_chunking=False, **ENVELOPE)
        assert (await anext(results)).delivery is Delivery.ACCEPTED
        await drain_events()
        known: list[object] = []

        async def wait() -> None:
            try:
                await (anext(results) if which == "anext" else results.aclose())
            finally:
                known.append([(result.index, result.delivery) for result in results.remaining])
                known.append(pool.statistics.in_use)

        waiting = asyncio.ensure_future(wait())
        await drain_events()
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert known == [[(1, Delivery.UNKNOWN), (2, Delivery.NOT_SENT)], 0]
        left = results.remaining
        assert [result async for result in results] == list(left[:1])
        await pool.close()


async def test_a_verdict_that_never_comes_leaves_a_mail_in_doubt_though_the_run_is_ended() -> None:
    async with (
        ScriptedPeer(*READY, *SENT, *MAILED, WAIT, FIN, lenient=True) as peer,
        SMTPPool(peer.endpoint(connect=in_turn(peer)), max_connections=1) as pool,
    ):
        results = pool.send_all([MESSAGE, MESSAGE], use_chunking=False, **ENVELOPE)
        await anext(results)
        await drain_events()
        ending = asyncio.ensure_future(results.aclose())
        await drain_events()
        assert not ending.done()
        peer.go_on()
        await ending
    (left,) = results.remaining
    assert left.delivery is Delivery.UNKNOWN
    assert isinstance(left.error, ConnectionLost)
    assert left.error.transcript


async def test_a_mail_in_parts_is_not_lost_where_the_run_is_ended_in_the_middle() -> None:
    async with (
        ScriptedPeer(*extensions("LIMITS RCPTMAX=1"), *SENT, "C: MAIL ...", STALL, lenient=True) as peer,
        SMTPPool(peer.endpoint(connect=in_turn(peer)), max_connections=1) as pool,
    ):
        results = pool.send_all(
            [MESSAGE], sender="a@example.org", recipients=["b@example.org", "c@example.org"], use_chunking=False
        )
        asking = asyncio.ensure_future(anext(results))
        await drain_events()
        asking.cancel()
        await asyncio.wait([asking])
    (left,) = results.remaining
    assert left.receipt is not None
    assert [entry.delivery for entry in left.receipt.recipients] == [Delivery.ACCEPTED, Delivery.NOT_SENT]


async def test_closing_the_pool_lets_a_run_that_is_gone_on_with_come_to_its_end() -> None:
    async with MailServer(ACCOUNTS) as server:
        pool = SMTPPool(endpoint_of(server), max_connections=2)
        running = asyncio.ensure_future(run(pool, many(30), look_ahead=10))
        await turns(12)
        await pool.close()
        results = await running
        with pytest.raises(LocalProtocolError, match="closed"):
            await run(pool, many(3))
    assert len(results) == 30
    assert set(accepted(results)) == set(subjects(server))
    for result in results:
        assert result.delivery is Delivery.ACCEPTED or isinstance(result.error, LocalProtocolError)


@pytest.mark.parametrize("count", range(0, 40, 2))
async def test_aborting_the_pool_ends_a_run(count: int) -> None:
    async with MailServer(ACCOUNTS) as server:
        pool = SMTPPool(endpoint_of(server), max_connections=2)
        held = Gate().send(pool, 999)
        running = asyncio.ensure_future(run(pool, many(30)))
        await turns(count)
        pool.abort()
        outcomes = await asyncio.gather(running, held, return_exceptions=True)
        await turns(3)
        await server.wait_idle()
    results = outcomes[0]
    if isinstance(results, LocalProtocolError):
        assert count == 0
        return
    assert not isinstance(results, BaseException)
    assert len(results) == 30
    assert {type(result.error) for result in results} <= {type(None), LocalProtocolError, ConnectionLost}
    delivered = set(subjects(server))
    doubtful = {result.index for result in results if result.delivery is Delivery.UNKNOWN}
    assert set(accepted(results)) <= delivered <= set(accepted(results)) | doubtful


async def test_what_a_message_of_its_own_raises_ends_the_run() -> None:
    def progress(written: int, size: int | None) -> None:
        raise ZeroDivisionError

    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=2) as pool:
        with pytest.raises(ZeroDivisionError):
            await run(pool, [*many(4), Mailing(MESSAGE, progress=progress, **ENVELOPE), *many(4)])
        await drain_events()
        assert pool.statistics.in_use == 0
        await pool.send(MESSAGE, **ENVELOPE)


async def test_a_provider_of_tokens_that_fails_once_ends_no_run() -> None:
    asked = 0

    async def provide(_: object) -> str:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise ConnectionError("the authorization server is not to be reached")
        return "token"

    account = Account("b", "", ("b@example.org",), access_tokens=["token"])
    async with MailServer([account], policy=Policy(mechanisms=("XOAUTH2",))) as server:
        endpoint = endpoint_of(server, auth=OAuthToken("b", provide), allow_cleartext_auth=True)
        async with (
            SMTPPool(endpoint, max_connections=1, max_messages_per_connection=2) as pool,
            pool.send_all([MESSAGE] * 6, **ENVELOPE) as results,
        ):
            ended = [result async for result in results]
    assert len(ended) == 6
    for result in ended:
        assert result.delivery is Delivery.ACCEPTED or isinstance(result.error, ConnectionFailed)
    assert asked >= 2
