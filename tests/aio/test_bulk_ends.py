"""A run on one connection: what is known of a mail where the run, or its connection, ends in the middle of it."""

import asyncio

import pytest

from mailwire import BulkSending, ConnectionLost, Delivery, LocalProtocolError, SMTPClient
from mailwire.testing import FIN, LISTEN, STALL, ScriptedPeer, Step
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import MESSAGE, QUIT, READY, SENT, extensions
from tests.aio.pools import ENVELOPE, in_turn
from tests.aio.runs import (
    BREAKS_IN_A_ROW,
    CHUNK,
    DROPS,
    LOCKSTEP,
    NAMED,
    NAMED_SECOND,
    TAKES_TWO,
    check_closed_at_once,
    check_sent_one_by_one,
    check_told_in_the_middle,
    collect,
)

# The end of the second mail has left.
ENDED_SECOND: tuple[Step, ...] = (
    *(*extensions("PIPELINING", "CHUNKING"), *NAMED, *CHUNK, "C: RSET", *NAMED, *CHUNK),
    *("S: 250 a", "S: 250 b", "S: 250 taken", STALL),
)


@pytest.mark.parametrize("end", ["cancelled", "closed", "another call", "cut"])
async def test_what_the_server_has_said_to_a_mail_is_known_where_the_run_ends_in_its_middle(end: str) -> None:
    async with ScriptedPeer(*NAMED_SECOND, lenient=True, guard=None) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        run = client.send_all([MESSAGE] * 2, **LOCKSTEP)
        assert (await anext(run)).delivery is Delivery.ACCEPTED
        if end == "another call":
            with pytest.raises(LocalProtocolError, match="not connected"):
                await client.send(MESSAGE, **LOCKSTEP)
        elif end == "cut":
            run._break_off()
            client.abort()
        await check_told_in_the_middle(run, cancelled=end == "cancelled")


async def test_what_was_cut_between_two_results_is_told_of_when_the_run_goes_on() -> None:
    async with ScriptedPeer(*ENDED_SECOND, lenient=True, guard=None) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        run = client.send_all([MESSAGE] * 3, **ENVELOPE, use_chunking="eager", look_ahead=2)
        assert (await anext(run)).delivery is Delivery.ACCEPTED
        client.abort()
        results = await collect(run)
    assert [(result.delivery, str(result.error)) for result in results] == [
        (Delivery.UNKNOWN, "the connection was cut"),
        (Delivery.NOT_SENT, "the connection was cut by abort()"),
    ]


async def test_a_mail_that_was_not_sent_when_the_connection_was_cut_is_taken_up_again_by_the_run() -> None:
    async with ScriptedPeer(*NAMED_SECOND, lenient=True, guard=None) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        run = client.send_all([MESSAGE] * 2, **LOCKSTEP)
        assert (await anext(run)).delivery is Delivery.ACCEPTED
        client.abort()
        results = await collect(run)
    assert [(result.delivery, str(result.error)) for result in results] == [
        (Delivery.NOT_SENT, "the connection was cut by abort()")
    ]


async def test_who_waits_for_a_result_is_told_of_a_cut_by_what_he_waits_for() -> None:
    async with ScriptedPeer(*ENDED_SECOND, lenient=True, guard=None) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        run = client.send_all([MESSAGE] * 2, **ENVELOPE, use_chunking="eager")
        assert (await anext(run)).delivery is Delivery.ACCEPTED
        waiting = asyncio.ensure_future(anext(run))
        await drain_events()
        client.abort()
        result = await waiting
    assert result.delivery is Delivery.UNKNOWN
    assert isinstance(result.error, ConnectionLost)
    assert result.error.in_flight
    await run.aclose()


def test_a_connection_can_be_cut_while_its_event_loop_stands_still() -> None:
    async def begin(peer: ScriptedPeer) -> tuple[SMTPClient, BulkSending]:
        await peer.__aenter__()
        client = SMTPClient(peer.endpoint())
        await client.connect()
        run = client.send_all([MESSAGE] * 2, **LOCKSTEP)
        assert (await anext(run)).delivery is Delivery.ACCEPTED
        return client, run

    async def end(peer: ScriptedPeer, run: BulkSending) -> None:
        await run.aclose()
        await peer.__aexit__(None, None, None)

    with asyncio.Runner() as runner:
        peer = ScriptedPeer(*NAMED_SECOND, lenient=True, guard=None)
        client, run = runner.run(begin(peer))
        client.abort()
        assert not client.is_connected
        runner.run(end(peer, run))
    assert [result.delivery for result in run.remaining] == [Delivery.NOT_SENT]


async def test_a_server_that_does_not_stand_mails_in_a_row_is_sent_one_after_the_other() -> None:
    async with (
        ScriptedPeer(*BREAKS_IN_A_ROW) as first,
        ScriptedPeer(*TAKES_TWO) as second,
        SMTPClient(first.endpoint(connect=in_turn(first, second))) as client,
    ):
        await check_sent_one_by_one(client.send_all([MESSAGE] * 3, **LOCKSTEP, order="input"), second)


async def test_a_connection_that_has_brought_a_mail_to_its_end_does_not_count_as_in_vain() -> None:
    takes_one: tuple[Step, ...] = (*READY, *SENT, NAMED[0], FIN, LISTEN)
    async with (
        ScriptedPeer(*takes_one) as first,
        ScriptedPeer(*DROPS) as second,
        ScriptedPeer(*DROPS) as third,
        ScriptedPeer(*READY, *SENT, *QUIT) as fourth,
    ):
        client = SMTPClient(first.endpoint(connect=in_turn(first, second, third, fourth)))
        async with client:
            results = await collect(client.send_all([MESSAGE] * 3, **LOCKSTEP, order="input"))
    assert [result.delivery for result in results] == [Delivery.ACCEPTED, Delivery.NOT_SENT, Delivery.ACCEPTED]


async def test_a_run_that_was_closed_before_it_began_has_nothing_to_give() -> None:
    await check_closed_at_once(SMTPClient("smtp://localhost").send_all([MESSAGE], **ENVELOPE))
