"""Mails in parts (RFC 9422) in a run over many: each part on its way like a mail of its own, whatever becomes of it."""

import asyncio
from typing import Any, Final

import pytest

from mailwire import (
    BulkSending,
    ConnectionLost,
    DataRefused,
    InvalidMessage,
    Mailing,
    MailOptions,
    PoolSending,
    SendResult,
    SMTPClient,
    SMTPPool,
)
from mailwire.testing import FIN, LISTEN, MAIL_DATA, WAIT, Answers, ScriptedPeer, Step
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import MESSAGE, QUIT, READY, SMTP_ANSWERS, extensions
from tests.aio.pools import in_turn

Run = BulkSending | PoolSending

LIMITS: Final[tuple[Step, ...]] = extensions("LIMITS RCPTMAX=1")
TAKES: Final[tuple[Step, ...]] = (*LIMITS, Answers(SMTP_ANSWERS))
FRONTS = pytest.mark.parametrize("front", ["client", "pool"])


def named(name: str) -> tuple[Step, ...]:
    return "C: MAIL FROM:<a@example.org>", "S: 250 ok", f"C: RCPT TO:<{name}@example.org>", "S: 250 ok"


def ended(name: str) -> tuple[Step, ...]:
    """A part up to the end of its message."""
    return *named(name), "C: DATA", "S: 354 go", MAIL_DATA


def sent(name: str) -> tuple[Step, ...]:
    return *ended(name), "S: 250 taken"


def mail(*names: str, **settings: Any) -> Mailing:
    recipients = [f"{name}@example.org" for name in names]
    return Mailing(MESSAGE, sender="a@example.org", recipients=recipients, **{"use_chunking": False, **settings})


def front_of(front: str, *peers: ScriptedPeer) -> SMTPClient | SMTPPool:
    endpoint = peers[0].endpoint(connect=in_turn(*peers))
    if front == "pool":
        return SMTPPool(endpoint, max_connections=1)
    return SMTPClient(endpoint)


async def collect(results: Run, seen: list[SendResult]) -> None:
    async for result in results:
        seen.append(result)  # noqa: PERF401


def words(results: list[SendResult]) -> list[list[str]]:
    """For each message, what became of it for each recipient."""
    ordered = sorted(results, key=lambda result: result.index)
    return [[entry.delivery.name for entry in result.receipt.recipients] for result in ordered if result.receipt]


@FRONTS
@pytest.mark.parametrize("ending", ["S: 421 4.3.2 closing", FIN])
async def test_a_part_that_was_not_sent_goes_over_another_connection(front: str, ending: Step) -> None:
    script = (*LIMITS, *sent("b"), "C: MAIL FROM:<a@example.org>", ending, LISTEN)
    async with (
        ScriptedPeer(*script) as first,
        ScriptedPeer(*TAKES) as second,
        front_of(front, first, second) as fleet,
    ):
        results = [result async for result in fleet.send_all([mail("b", "c"), mail("d", "e"), mail("f")])]
    assert [result.error for result in results] == [None] * 3
    assert words(results) == [["ACCEPTED"] * 2, ["ACCEPTED"] * 2, ["ACCEPTED"]]
    assert b"RCPT TO:<b@" not in second.heard  # who has the mail already


@FRONTS
async def test_a_part_on_which_the_connection_broke_twice_is_not_tried_again(front: str) -> None:
    drops = (*named("b")[:3], FIN, LISTEN)
    async with (
        ScriptedPeer(*LIMITS, *drops) as first,
        ScriptedPeer(*LIMITS, *drops) as second,
        ScriptedPeer(*TAKES) as third,
        front_of(front, first, second, third) as fleet,
    ):
        results = [result async for result in fleet.send_all([mail("b", "c"), mail("f")])]
    assert [type(result.error) for result in results] == [ConnectionLost, type(None)]
    assert words(results) == [["NOT_SENT"] * 2, ["ACCEPTED"]]


@FRONTS
async def test_a_part_that_the_server_may_have_is_not_sent_again(front: str) -> None:
    script = (*LIMITS, *sent("b"), *ended("c"), FIN, LISTEN)
    async with (
        ScriptedPeer(*script) as first,
        ScriptedPeer(*TAKES) as second,
        front_of(front, first, second) as fleet,
    ):
        results = [result async for result in fleet.send_all([mail("b", "c", "d"), mail("f")])]
    assert isinstance(results[0].error, ConnectionLost)
    assert words(results) == [["ACCEPTED", "UNKNOWN", "NOT_SENT"], ["ACCEPTED"]]
    assert second.heard.count(b"RCPT") == 1


@FRONTS
async def test_a_message_that_is_refused_is_not_tried_for_others(front: str) -> None:
    script = (*LIMITS, *ended("b"), "S: 554 no", *sent("f"), *QUIT)
    async with ScriptedPeer(*script) as peer, front_of(front, peer) as fleet:
        results = [result async for result in fleet.send_all([mail("b", "c"), mail("f")])]
    assert [type(result.error) for result in results] == [DataRefused, type(None)]
    assert words(results) == [["REFUSED", "NOT_SENT"], ["ACCEPTED"]]


@FRONTS
async def test_a_command_that_cannot_be_built_fails_its_own_mail(front: str) -> None:
    twice = mail("b", "c", options=MailOptions(parameters={"SIZE": "1"}))
    async with (
        ScriptedPeer(*extensions("LIMITS RCPTMAX=1", "SIZE"), Answers(SMTP_ANSWERS)) as peer,
        front_of(front, peer) as fleet,
    ):
        results = [result async for result in fleet.send_all([mail("d", "e"), twice, mail("f")])]
    assert [type(result.error) for result in results] == [type(None), InvalidMessage, type(None)]
    assert words(results) == [["ACCEPTED"] * 2, ["NOT_SENT"] * 2, ["ACCEPTED"]]


async def test_leaving_a_run_waits_for_the_verdict_on_a_part() -> None:
    script = (*LIMITS, *sent("f"), *ended("b"), WAIT, "S: 250 taken", *QUIT)
    async with ScriptedPeer(*script) as peer, front_of("pool", peer) as fleet:
        results = fleet.send_all([mail("f"), mail("b", "c"), mail("g")])
        assert (await anext(results)).error is None
        await drain_events()
        leaving = asyncio.ensure_future(results.aclose())
        await drain_events()
        assert not leaving.done()
        peer.go_on()
        await leaving
    assert words(list(results.remaining))[0] == ["ACCEPTED", "NOT_SENT"]
    assert b"<c@" not in peer.heard


async def test_leaving_a_run_on_a_client_waits_for_the_verdict_on_a_part() -> None:
    # In chunks, all of a part is on its way when the result of the mail before it is there.
    async with (
        ScriptedPeer(*extensions("PIPELINING", "CHUNKING", "LIMITS RCPTMAX=1"), Answers(SMTP_ANSWERS)) as peer,
        front_of("client", peer) as fleet,
    ):
        mails = [mail(*names, use_chunking="eager") for names in ("f", "bc", "g")]
        async with fleet.send_all(mails) as results:
            assert (await anext(results)).error is None
    assert words(list(results.remaining))[0] == ["ACCEPTED", "NOT_SENT"]


@FRONTS
async def test_what_breaks_a_part_off_is_told_and_nothing_is_sent_twice(front: str) -> None:
    blocks = 0

    def progress(written: int, size: int | None) -> None:
        nonlocal blocks
        blocks += 1
        if blocks == 2:
            raise ZeroDivisionError

    async with (
        ScriptedPeer(*LIMITS, *sent("b"), *named("c"), "C: DATA", "S: 354 go", LISTEN) as peer,
        front_of(front, peer) as fleet,
    ):
        results: Run = fleet.send_all([mail("b", "c", "d", progress=progress), mail("f")])
        seen: list[SendResult] = []
        with pytest.raises(ZeroDivisionError):
            await collect(results, seen)
        seen += results.remaining
    assert words(seen)[0] == ["ACCEPTED", "NOT_SENT", "NOT_SENT"]
    assert len(seen) == len({result.index for result in seen})
    if front == "pool":  # whose results may be handed out before the run is known to be over
        assert isinstance(seen[0].error, ConnectionLost)
        assert isinstance(seen[0].error.__cause__, ZeroDivisionError)


async def test_what_breaks_off_several_connections_is_told_once_and_complained_of_by_nobody() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))

    def progress(written: int, size: int | None) -> None:
        raise ZeroDivisionError

    script = (*extensions(), *named("b"), "C: DATA", "S: 354 go", LISTEN)
    async with ScriptedPeer(*script) as first, ScriptedPeer(*script) as second:
        pool = SMTPPool(first.endpoint(connect=in_turn(first, second)), max_connections=2)
        results = pool.send_all([mail("b", progress=progress) for _ in range(2)])
        with pytest.raises(ZeroDivisionError):
            [result async for result in results]
        await pool.close()
    await drain_events()
    assert complaints == []


@FRONTS
async def test_a_mail_that_changes_sessions_when_the_connection_is_cut_makes_none_again(front: str) -> None:
    script = (*extensions("LIMITS RCPTMAX=1 MAILMAX=1"), *sent("b"), "C: QUIT", WAIT, LISTEN)
    async with ScriptedPeer(*script, lenient=True) as first, ScriptedPeer(*TAKES, optional=True) as second:
        fleet = front_of(front, first, second)
        if isinstance(fleet, SMTPClient):
            await fleet.connect()
        whole = mail("b", "c", "d")
        sending = asyncio.ensure_future(fleet.send(whole))
        await drain_events()
        fleet.abort()
        with pytest.raises(ConnectionLost, match=r"abort\(\)") as caught:
            await sending
        assert caught.value.receipt is not None
        assert [entry.delivery.name for entry in caught.value.receipt.recipients] == ["ACCEPTED", *["NOT_SENT"] * 2]
        assert second.heard == b""


@FRONTS
async def test_who_is_left_by_a_session_with_limits_is_named_in_one_without(front: str) -> None:
    rest = ("C: MAIL FROM:<a@example.org>", "S: 250 ok", "C: RCPT TO:<c@example.org>", "S: 250 ok", *sent("d")[2:])
    async with (
        ScriptedPeer(*extensions("LIMITS RCPTMAX=1 MAILMAX=1"), *sent("b"), *QUIT) as first,
        ScriptedPeer(*READY, *rest, *QUIT) as second,
        front_of(front, first, second) as client,
    ):
        seen: list[SendResult] = []
        await collect(client.send_all([mail("b", "c", "d")]), seen)
    assert words(seen) == [["ACCEPTED"] * 3]


async def test_the_receipt_of_a_mail_in_parts_has_the_recipients_in_the_order_of_the_envelope() -> None:
    limited = extensions("LIMITS RCPTDOMAINMAX=1")
    org: tuple[Step, ...] = (
        *("C: MAIL FROM:<a@example.org>", "S: 250 ok", "C: RCPT TO:<b@example.org>", "S: 550 b"),
        *("C: RCPT TO:<d@example.org>", "S: 250 d", *sent("")[4:]),
    )
    com: tuple[Step, ...] = ("C: MAIL FROM:<a@example.org>", "S: 250 ok", "C: RCPT TO:<c@example.com>", *sent("")[3:])
    async with (
        ScriptedPeer(*limited, *org, *QUIT) as first,
        ScriptedPeer(*limited, *com, *QUIT) as second,
        SMTPClient(first.endpoint(connect=in_turn(first, second))) as client,
    ):
        recipients = ["b@example.org", "c@example.com", "d@example.org"]
        receipt = await client.send(Mailing(MESSAGE, sender="a@example.org", recipients=recipients))
    assert [entry.address for entry in receipt.recipients] == recipients
    assert [entry.delivery.name for entry in receipt.recipients] == ["REFUSED", "ACCEPTED", "ACCEPTED"]


async def test_a_mail_for_all_or_nobody_goes_where_the_limits_need_not_part_it() -> None:
    both: tuple[Step, ...] = (*named("b"), *named("c")[2:], *sent("")[4:])
    async with (
        ScriptedPeer(*extensions("LIMITS RCPTMAX=2"), *both, *QUIT) as peer,
        SMTPClient(peer.endpoint()) as client,
    ):
        assert (await client.send(mail("b", "c", on_refused="abort"))).accepted == ("b@example.org", "c@example.org")


async def test_a_mail_that_goes_over_another_connection_is_announced_by_the_terms_of_that() -> None:
    sized = (*extensions("SIZE"), f"C: MAIL FROM:<a@example.org> SIZE={len(MESSAGE)}", FIN, LISTEN)
    async with (
        ScriptedPeer(*sized) as first,
        ScriptedPeer(*READY, *sent("b"), *QUIT) as second,
        front_of("client", first, second) as client,
    ):
        seen: list[SendResult] = []
        await collect(client.send_all([mail("b")]), seen)
    assert words(seen) == [["ACCEPTED"]]
