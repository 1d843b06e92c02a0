"""Plain mails: they go another way than others, and come to the same."""

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from email.message import EmailMessage
from itertools import chain, permutations
from typing import Any

import pytest

from mailwire import (
    ConnectionLost,
    Delivery,
    InvalidMessage,
    LMTPClient,
    LocalProtocolError,
    Mailing,
    MailOptions,
    MessagePolicy,
    NotSupported,
    RecipientOptions,
    SendResult,
    SMTPClient,
    SMTPPool,
)
from mailwire.smtp import Mail, Receipt, Rset
from mailwire.testing import FIN, LISTEN, MAIL_DATA, STALL, WAIT, MailServer, Policy, ScriptedPeer, Step
from mailwire.testing.policy import DEFAULTS
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import MESSAGE, QUIT, SENT, extensions, once
from tests.aio.memory import fail_once
from tests.aio.pools import ACCOUNTS, ENVELOPE, endpoint_of, in_turn, numbered
from tests.aio.runs import BEGUN, CHUNK, DROPS, NAMED, TAKES, collect
from tests.clock import StandingClock

WAYS = pytest.mark.parametrize("use_chunking", [False, True, "eager"])


def unpipelined(policy: Policy) -> Policy:
    """The same without PIPELINING."""
    return replace(policy, extensions=tuple(name for name in policy.extensions if name != "PIPELINING"))


PIPELINING_IDS = ["pipelining", "one command at a time"]
POLICIES = pytest.mark.parametrize("policy", [DEFAULTS, unpipelined(DEFAULTS)], ids=PIPELINING_IDS)
BOTH: dict[str, Any] = {"sender": "a@example.org", "recipients": ["b@example.org", "c@example.org"]}


async def run_of(server: MailServer, messages: list[Any], **settings: Any) -> list[SendResult]:
    """Send all `messages` in a row; return their results."""
    async with SMTPClient(endpoint_of(server)) as client:
        return await collect(client.send_all(messages, **{**ENVELOPE, "order": "input", **settings}))


def taken(server: MailServer) -> list[bytes]:
    """What has arrived, in its order."""
    return [message.content for message in server.messages("b")]


# Among others


def generated() -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "generated"
    message.set_content("hello\n")
    return message


OTHERS: Mapping[str, Any] = {
    "beyond ASCII": "Subject: x\r\n\r\nGrüße\r\n".encode(),
    "generated": generated(),
    "a file": io.BytesIO(MESSAGE),
    "a mailing": Mailing(MESSAGE, sender="a@example.org", recipients=["c@example.org", "b@example.org"]),
    "large": MESSAGE + b"x" * 70 * 4000 + b"\r\n",
    "to be mended": b"Subject: x\n\n.\n..\nno end",
}
ARRIVES: Mapping[str, bytes] = {
    "generated": bytes(generated()).replace(b"\n", b"\r\n"),
    "a file": MESSAGE,
    "a mailing": MESSAGE,
    "to be mended": b"Subject: x\r\n\r\n.\r\n..\r\nno end\r\n",
}


@WAYS
@POLICIES
@pytest.mark.parametrize("name", OTHERS)
async def test_whatever_goes_between_plain_mails_arrives_as_it_was_given(
    name: str, policy: Policy, use_chunking: Any
) -> None:
    lines = MessagePolicy(long_lines="allow") if name == "large" else MessagePolicy()
    other = OTHERS[name]
    arrives = ARRIVES.get(name, other)
    messages = [numbered(0), other, numbered(2), numbered(3)]
    async with MailServer(ACCOUNTS, policy=policy) as server:
        if isinstance(other, io.BytesIO):
            other.seek(0)
        results = await run_of(server, messages, use_chunking=use_chunking, policy=lines)
        assert taken(server) == [numbered(0), arrives, numbered(2), numbered(3)]
    assert [result.message for result in results] == messages
    assert {result.delivery for result in results} == {Delivery.ACCEPTED}


@WAYS
@POLICIES
async def test_plain_mails_arrive_once_and_in_their_order_whatever_goes_between_them(
    policy: Policy, use_chunking: Any
) -> None:
    kinds: list[Any] = [numbered(0), generated(), Mailing(MESSAGE, **ENVELOPE), "Subject: x\r\n\r\nä\r\n".encode()]
    given = [kind for order in permutations(kinds) for kind in order]
    texts = {id(kinds[1]): ARRIVES["generated"], id(kinds[2]): MESSAGE}
    async with MailServer(ACCOUNTS, policy=policy) as server:
        results = await run_of(server, given, use_chunking=use_chunking)
        assert taken(server) == [texts.get(id(kind), kind) for kind in given]
    assert {result.delivery for result in results} == {Delivery.ACCEPTED}


@WAYS
@POLICIES
async def test_what_cannot_be_sent_is_told_of_that_mail_alone(policy: Policy, use_chunking: Any) -> None:
    limit = 200
    messages = [numbered(0), b"", b"Subject: \0\r\n\r\n", MESSAGE + b"x" * limit, numbered(4)]
    line_ends = MESSAGE.replace(b"\r\n", b"\n")
    async with MailServer(ACCOUNTS, policy=replace(policy, size_limit=limit)) as server:
        strict = MessagePolicy(line_ends="reject")
        results = await run_of(server, [*messages, line_ends, numbered(6)], use_chunking=use_chunking, policy=strict)
        assert taken(server) == [numbered(0), numbered(4), numbered(6)]
    assert {result.index: type(result.error) for result in results if result.error is not None} == {
        **dict.fromkeys((1, 2, 5), InvalidMessage),
        3: NotSupported,
    }


@pytest.mark.parametrize("octets", [-1, 0, 1, 2])
async def test_what_the_server_takes_is_counted_as_it_leaves(octets: int) -> None:
    # The end of the last line is put there.
    message = MESSAGE + b"x" * (98 - len(MESSAGE) + octets)
    async with MailServer(ACCOUNTS, policy=replace(DEFAULTS, size_limit=100)) as server:
        (result,) = await run_of(server, [message])
    assert result.delivery is (Delivery.ACCEPTED if octets <= 0 else Delivery.NOT_SENT)
    assert isinstance(result.error, NotSupported) is (octets > 0)


async def test_what_makes_no_envelope_is_told_of_each_mail() -> None:
    async with MailServer(ACCOUNTS) as server:
        results = await run_of(server, [MESSAGE] * 3, recipients="nobody")
    assert [type(result.error) for result in results] == [InvalidMessage] * 3
    assert [result.receipt for result in results] == [None] * 3


async def test_where_memory_runs_out_no_mail_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    async with MailServer(ACCOUNTS) as server, SMTPClient(endpoint_of(server)) as client:
        run = client.send_all([numbered(0), numbered(1)], **ENVELOPE)
        monkeypatch.setattr("mailwire.aio.links.mend_text", fail)
        with pytest.raises(MemoryError):
            await anext(run)
        await run.aclose()
        assert [(result.index, result.delivery) for result in run.remaining] == [(0, Delivery.NOT_SENT)]
        assert taken(server) == []


@POLICIES
async def test_nothing_is_made_of_a_plain_mail_that_is_taken(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("it is of no use")

    monkeypatch.setattr("mailwire.aio.consignment.Sending", fail)
    for use_chunking in (False, True, "eager"):
        async with MailServer(ACCOUNTS, policy=policy) as server:
            results = await run_of(server, [numbered(number) for number in range(9)], use_chunking=use_chunking)
            assert taken(server) == [numbered(number) for number in range(9)]
        assert {result.delivery for result in results} == {Delivery.ACCEPTED}


async def test_octets_beyond_ascii_are_announced_between_plain_mails() -> None:
    text = "Subject: x\r\n\r\nGrüße\r\n".encode()
    async with MailServer(ACCOUNTS) as server:
        await run_of(server, [numbered(0), text, numbered(2)])
        bodies = [b"BODY=8BITMIME" in line for line in said(server) if line.startswith(b"MAIL")]
    assert bodies == [False, True, False]
    bare = replace(DEFAULTS, extensions=("PIPELINING", "SIZE"))
    async with MailServer(ACCOUNTS, policy=bare) as server:
        results = await run_of(server, [numbered(0), text, numbered(2)])
        assert taken(server) == [numbered(0), numbered(2)]
    assert [type(result.error) for result in results] == [type(None), NotSupported, type(None)]


async def test_where_no_mail_can_begin_each_is_told_so_and_nothing_is_cut() -> None:
    async with MailServer(ACCOUNTS) as server, SMTPClient(endpoint_of(server)) as client:
        await client.execute(Mail(None))
        results = await collect(client.send_all([numbered(0), numbered(1)], **ENVELOPE))
        assert client.is_connected
        await client.execute(Rset())
        assert (await client.send(numbered(2), **ENVELOPE)).delivery is Delivery.ACCEPTED
        assert taken(server) == [numbered(2)]
    for result in results:
        assert isinstance(result.error, LocalProtocolError)
        assert str(result.error).startswith("no mail transaction can begin now: the connection is in state TRANSACTION")
        assert result.receipt is not None
        assert (result.delivery, len(result.receipt.recipients)) == (Delivery.NOT_SENT, 1)


@pytest.mark.parametrize(
    "name",
    [
        "message.content.mend",
        "aio.passage.Passage.set_back",
        "smtp.parcel.Parcel.as_transaction",
        "aio.links.Link.__init__",
    ],
)
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_what_goes_wrong_while_plain_mails_become_others_loses_none(
    name: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    way: tuple[Step, ...] = (*NAMED, *CHUNK)
    script: tuple[Step, ...] = (*extensions("PIPELINING", "CHUNKING"), *way, "C: RSET", *way, "C: RSET", *way)
    async with ScriptedPeer(*script, "S: 250-a", "S: 250 a", STALL, lenient=True, guard=None) as peer:
        client = SMTPClient(peer.endpoint(connect=once(peer)))
        await client.connect()
        run = client.send_all([MESSAGE] * 3, **ENVELOPE, use_chunking="eager")
        calls = fail_once(monkeypatch, name, number)
        with pytest.raises(MemoryError):
            await collect(run)
        await run.aclose()
        known = {result.index: result for result in run.remaining}
    assert len(calls) >= number
    assert {index: result.delivery for index, result in known.items()} == dict.fromkeys(range(3), Delivery.UNKNOWN)
    for result in known.values():
        assert result.receipt is not None
        assert [entry.delivery for entry in result.receipt.recipients] == [Delivery.UNKNOWN]
        assert result.receipt.octets == len(MESSAGE)


# One command at a time

ALONE: tuple[tuple[Step, str], ...] = (
    *((NAMED[0], "250 a"), (NAMED[1], "250 b"), ("C: RCPT TO:<c@example.org>", "250 c"), ("C: DATA", "354 go")),
    (MAIL_DATA, "250 taken"),
)
CHUNK_ALONE: tuple[tuple[Step, str], ...] = (*ALONE[:3], (CHUNK[0], ""), (CHUNK[1], "250 taken"))
ENDS: Mapping[str, tuple[Step, ...]] = {
    "cancelled": (LISTEN,),
    "closed": (LISTEN,),
    "late": (LISTEN,),
    "gone": (FIN, LISTEN),
    "gone in the middle": (b"25", FIN, LISTEN),
    "taking its leave": ("S: 421 bye", FIN, LISTEN),
    "refusing for now": ("S: 451 later", LISTEN),
    "refusing": ("S: 554 no", LISTEN),
    "two answers": ("S: 250 one", "S: 250 two", LISTEN),
    "two lines": ("S: 250-one", "S: 250 two", LISTEN),
    "noise": (b"\xff\r\n", LISTEN),
}


async def seen_of(message: Any, script: tuple[Step, ...], use_chunking: Any, end: str) -> tuple[object, ...]:
    """All that can be seen of a run over two such messages, whose first comes to an `end`."""
    clock = StandingClock()
    async with ScriptedPeer(*script, lenient=True, guard=None) as peer:
        client = SMTPClient(peer.endpoint(connect=once(peer)))
        await client.connect()
        run = client.send_all([message] * 2, **BOTH, use_chunking=use_chunking)
        waiting = asyncio.ensure_future(collect(run))
        await drain_events()
        clock.jump(2)
        if end == "cancelled":
            waiting.cancel()
            await asyncio.wait([waiting])
        elif end == "closed":
            await asyncio.wait([asyncio.ensure_future(run.aclose()), asyncio.ensure_future(clock.advance(10_000))])
        else:
            await clock.advance(10_000)
        await asyncio.wait([waiting])
        results = () if waiting.cancelled() or waiting.exception() else tuple(waiting.result())
        await run.aclose()
        results += run.remaining
        said = client.transcript.tail(100)
        client.abort()
        heard = bytes(peer.heard)
    known = []
    for result in results:
        timings = {} if result.receipt is None else result.receipt.timings
        whole = {phase: round(seconds) for phase, seconds in timings.items()}
        known.append((result.index, result.delivery, repr(result.error), result.receipt, whole))
    return known, said, heard


@WAYS
@pytest.mark.parametrize("end", ENDS)
async def test_of_a_plain_mail_that_goes_step_by_step_the_same_is_known_as_of_any_other(
    end: str, use_chunking: Any
) -> None:
    steps = ALONE if use_chunking is False else CHUNK_ALONE
    for place in range(len(steps)):
        said = [part for step, answer in steps[:place] for part in (step, f"S: {answer}")[: 1 + bool(answer)]]
        script = (*extensions("CHUNKING"), *said, steps[place][0], *ENDS[end])
        other = await seen_of(Mailing(MESSAGE, **BOTH, use_chunking=use_chunking), script, use_chunking, end)
        assert await seen_of(MESSAGE, script, use_chunking, end) == other, place


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("message.content.mend", 1),
        ("aio.passage.Passage.set_back", 1),
        ("smtp.parcel.Parcel.as_transaction", 1),
        ("smtp.grouped_pipeline.GroupedPipeline.unfold", 1),
        *(("smtp.transaction.Transaction._await", number) for number in (1, 2)),
        ("aio.links.Link.__init__", 1),
    ],
)
async def test_what_goes_wrong_while_a_mail_of_which_a_step_was_answered_becomes_another_does_not_lose_it(
    name: str, number: int, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [part for step, answer in ALONE[:place] for part in (step, f"S: {answer}")]
    script: tuple[Step, ...] = (*extensions("HELP"), *said, ALONE[place][0], "S: 250-two", "S: 250 lines", STALL)
    async with ScriptedPeer(*script, lenient=True, guard=None) as peer:
        client = SMTPClient(peer.endpoint(connect=once(peer)))
        await client.connect()
        run = client.send_all([MESSAGE], **BOTH, use_chunking=False)
        calls = fail_once(monkeypatch, name, number)
        with pytest.raises(MemoryError):
            await collect(run)
        await run.aclose()
        [result] = run.remaining
    assert len(calls) >= number
    assert result.delivery is Delivery.NOT_SENT
    assert result.receipt is not None
    replies = [entry.reply and str(entry.reply) for entry in result.receipt.recipients]
    assert replies == [*[f"250 {name}" for name in ("b", "c")[: max(0, place - 1)]], *[None] * (3 - max(1, place))]


async def test_a_result_is_not_held_back_by_a_mail_that_is_on_its_way() -> None:
    mailed: list[Step] = [each for step, answer in ALONE[:4] for each in (step, f"S: {answer}")]
    script = (*mailed, MAIL_DATA, WAIT, "S: 250 taken", *mailed, MAIL_DATA, "S: 250 taken", *QUIT)
    async with ScriptedPeer(*extensions("HELP"), *script) as peer, SMTPClient(peer.endpoint()) as client:
        run = client.send_all([MESSAGE, b"a\0b", MESSAGE], **BOTH)
        refused = await anext(run)
        assert (refused.index, type(refused.error)) == (1, InvalidMessage)
        peer.go_on()
        assert [(result.index, result.delivery) async for result in run] == [
            (0, Delivery.ACCEPTED),
            (2, Delivery.ACCEPTED),
        ]


async def collect_into(known: list[SendResult], run: AsyncIterator[SendResult]) -> None:
    """Add all results that are left to those that are known, each as it comes."""
    async for result in run:
        known += [result]


@pytest.mark.parametrize("message", [MESSAGE, bytearray(MESSAGE)], ids=["plain", "another"])
@pytest.mark.parametrize(
    "name", ["consignment._result_of", "pool_share.PoolShare._let_go", "pool_sending.PoolSending._wake"]
)
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_what_a_pool_has_delivered_is_known_where_memory_runs_out(
    message: Any, name: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=1) as pool:
        run = pool.send_all([message] * 3, **ENVELOPE, use_chunking=False)
        calls = fail_once(monkeypatch, f"aio.{name}", number)
        known: list[SendResult] = []
        with pytest.raises(MemoryError):
            await collect_into(known, run)
        await run.aclose()
        known += run.remaining
        assert len(calls) >= number
        there = len(taken(server))
    assert len({result.index for result in known}) == len(known) == 3
    assert sum(result.delivery is Delivery.ACCEPTED for result in known) == there


async def test_a_mail_for_whose_beginning_there_is_no_memory_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async with MailServer(ACCOUNTS) as server, SMTPClient(endpoint_of(server)) as client:
        run = client.send_all([MESSAGE + "é\r\n".encode()], **ENVELOPE)  # no plain one
        fail_once(monkeypatch, "aio.sending.Sending.begin", 1)
        with pytest.raises(MemoryError):
            await anext(run)
        await run.aclose()
        assert [(result.index, result.delivery) for result in run.remaining] == [(0, Delivery.NOT_SENT)]
        assert taken(server) == []


async def test_a_run_for_which_there_is_no_memory_lets_go_of_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    async with MailServer(ACCOUNTS) as server:
        client = SMTPClient(endpoint_of(server))
        await client.connect()
        run = client.send_all([MESSAGE], **ENVELOPE)
        fail_once(monkeypatch, "aio.bulk_sending.Chain", 1)
        with pytest.raises(MemoryError):
            await anext(run)
        await run.aclose()
        assert not client.is_connected
        await client.connect()
        assert (await client.send(MESSAGE, **ENVELOPE)).delivery is Delivery.ACCEPTED
        await client.quit()


# What is wished for them


LIMITED = replace(DEFAULTS, recipient_limit=1)
SETTINGS: Mapping[str, tuple[dict[str, Any], Policy]] = {
    "nothing": ({}, DEFAULTS),
    "options": ({"options": MailOptions(auth="")}, DEFAULTS),
    "recipient options": ({"recipient_options": RecipientOptions(parameters={"X-A": "1"})}, DEFAULTS),
    "all or nobody": ({"on_refused": "abort"}, replace(DEFAULTS, recipient_replies={"c@example.org": "550 no"})),
    "octets as they are": ({"policy": MessagePolicy(binary=True), "use_chunking": True}, DEFAULTS),
    "SMTPUTF8": ({"policy": MessagePolicy(smtputf8=True)}, DEFAULTS),
    "beyond ASCII": ({"recipients": ["dörte@example.org", "b@example.org"]}, DEFAULTS),
    "few recipients at a time": ({}, LIMITED),
    "no size": ({}, replace(DEFAULTS, extensions=("CHUNKING", "PIPELINING"))),
    "no extension": ({}, replace(DEFAULTS, extensions=())),
    "1,000 recipients": ({"recipients": ["b@example.org"] * 1000}, DEFAULTS),
    "1,001 recipients": ({"recipients": ["b@example.org"] * 1001}, DEFAULTS),
}


def said(server: MailServer) -> list[bytes]:
    """What was said to it, but for what a mail that follows another in chunks begins with."""
    return [line for session in server.smtp_sessions for line in session.commands if line != b"RSET"]


@pytest.mark.parametrize("use_chunking", [None, False, "eager"])
@pytest.mark.parametrize("pipelines", [True, False], ids=PIPELINING_IDS)
@pytest.mark.parametrize("name", SETTINGS)
async def test_what_is_wished_is_said_for_mails_in_a_row_as_for_each_alone(
    name: str, pipelines: bool, use_chunking: Any
) -> None:
    settings, policy = SETTINGS[name]
    if not pipelines:
        policy = unpipelined(policy)
    settings = {"use_chunking": use_chunking, **BOTH, **settings}
    async with MailServer(ACCOUNTS, policy=policy) as alone, MailServer(ACCOUNTS, policy=policy) as server:
        expected: list[tuple[Delivery, Receipt | None]] = []
        async with SMTPClient(endpoint_of(alone)) as client:
            for number in range(3):
                try:
                    receipt: Receipt | None = await client.send(numbered(number), **settings)
                except Exception as error:
                    receipt = getattr(error, "receipt", None)
                expected.append((Delivery.NOT_SENT if receipt is None else receipt.delivery, receipt))
        results = await run_of(server, [numbered(number) for number in range(3)], **settings)
        assert said(server) == said(alone)
        assert taken(server) == taken(alone)
    assert [(result.delivery, result.receipt) for result in results] == expected


@pytest.mark.parametrize("use_chunking", [False, True, "eager"])
async def test_each_recipient_of_lmtp_has_its_own_reply(use_chunking: Any) -> None:
    policy = replace(DEFAULTS, delivery_replies={"c@example.org": "452 4.2.2 full"})
    async with MailServer(ACCOUNTS, policy=policy) as server:
        async with LMTPClient(f"lmtp://{server.host}:{server.lmtp_port}") as client:
            results = await collect(client.send_all(map(numbered, range(3)), **BOTH, use_chunking=use_chunking))
        assert taken(server) == list(map(numbered, range(3)))
    for result in results:
        assert result.receipt is not None
        words = [entry.delivery for entry in result.receipt.recipients]
        assert words == [Delivery.ACCEPTED, Delivery.REFUSED]


# What is known of them


@pytest.mark.parametrize("end", ["taken", "refused", "gone"])
async def test_each_phase_of_a_mail_in_a_row_takes_its_time(end: str) -> None:
    clock = StandingClock()
    last: tuple[Step, ...] = {"taken": ("S: 250 taken", *QUIT), "refused": ("S: 554 no", *QUIT), "gone": (FIN, LISTEN)}[
        end
    ]
    script: tuple[Step, ...] = (
        *(*extensions("PIPELINING"), *BEGUN, WAIT, *TAKES, *BEGUN, WAIT, "S: 250 taken", "S: 250 a", "S: 250 b"),
        *("S: 354 go", MAIL_DATA, WAIT, *last),
    )
    async with ScriptedPeer(*script, guard=None) as peer:
        client = SMTPClient(peer.endpoint(connect=once(peer)))
        await client.connect()
        run = client.send_all([MESSAGE] * 2, **ENVELOPE, use_chunking=False)
        waiting = asyncio.ensure_future(collect(run))
        for seconds in (2, 3, 5):
            await drain_events()
            clock.jump(seconds)
            peer.go_on()
        first, second = await waiting
        await client.quit()
    assert first.receipt is not None
    assert second.receipt is not None
    assert list(first.receipt.timings) == ["envelope", "message", "verdict"]
    assert first.receipt.timings == pytest.approx({"envelope": 2.0, "message": 0.0, "verdict": 3.0})
    assert second.receipt.timings == pytest.approx({"envelope": 3.0, "message": 0.0, "verdict": 5.0})
    words = {"taken": Delivery.ACCEPTED, "refused": Delivery.REFUSED, "gone": Delivery.UNKNOWN}
    assert second.delivery is words[end]


async def test_of_a_mail_whose_envelope_waits_that_is_the_time() -> None:
    clock = StandingClock()
    async with ScriptedPeer(*extensions("PIPELINING"), *BEGUN, STALL, lenient=True, guard=None) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        run = client.send_all([MESSAGE], **ENVELOPE, use_chunking=False)
        waiting = asyncio.ensure_future(anext(run))
        await drain_events()
        clock.jump(2)
        waiting.cancel()
        await asyncio.wait([waiting])
        (result,) = run.remaining
    assert result.delivery is Delivery.NOT_SENT
    assert result.receipt is not None
    assert result.receipt.timings == pytest.approx({"envelope": 2.0})


@pytest.mark.parametrize("end", [("S: 250 taken",), ("S: 554 no", "C: RSET", "S: 250 reset")])
async def test_an_eager_mail_waits_for_its_verdict_alone(end: tuple[str, ...]) -> None:
    clock = StandingClock()
    script = (*extensions("PIPELINING", "CHUNKING"), *NAMED, *CHUNK, WAIT, "S: 250 a", "S: 250 b", *end)
    async with ScriptedPeer(*script, *QUIT, guard=None) as peer, SMTPClient(peer.endpoint()) as client:
        waiting = asyncio.ensure_future(collect(client.send_all([MESSAGE], **ENVELOPE, use_chunking="eager")))
        await drain_events()
        clock.jump(2)
        peer.go_on()
        (result,) = await waiting
    assert result.receipt is not None
    assert result.receipt.timings == pytest.approx({"envelope": 0.0, "message": 0.0, "verdict": 2.0})
    assert result.receipt.octets == len(MESSAGE)


async def test_a_mail_that_was_ready_and_has_not_begun_is_known_by_its_recipients() -> None:
    script = (*extensions("PIPELINING"), *BEGUN, *TAKES, *BEGUN, WAIT, FIN, LISTEN)
    async with ScriptedPeer(*script, guard=None) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        run = client.send_all([MESSAGE] * 3, **ENVELOPE, use_chunking=False)
        waiting = asyncio.ensure_future(anext(run))
        await drain_events()
        waiting.cancel()
        await asyncio.wait([waiting])
        await run.aclose()
        left = run.remaining
        client.abort()
    assert [result.delivery for result in left] == [Delivery.UNKNOWN, Delivery.NOT_SENT, Delivery.NOT_SENT]
    for result in left:
        assert result.receipt is not None
        assert [entry.address for entry in result.receipt.recipients] == ["b@example.org"]


@WAYS
async def test_what_the_server_says_before_a_message_is_heard_before_it_leaves(use_chunking: Any) -> None:
    # It takes its leave: nothing is in doubt but where the message had left by then.
    ahead: dict[Any, tuple[Step, ...]] = {
        False: (*BEGUN, "S: 250 a", "S: 250 b", "S: 354 go", "S: 421 bye", FIN, LISTEN),
        True: (*NAMED, "S: 250 a", "S: 250 b", "S: 421 bye", FIN, LISTEN),
        "eager": (*NAMED, *CHUNK, "S: 250 a", "S: 250 b", "S: 421 bye", FIN, LISTEN),
    }
    async with ScriptedPeer(*extensions("PIPELINING", "CHUNKING"), *ahead[use_chunking], guard=None) as peer:
        client = SMTPClient(peer.endpoint(connect=once(peer)))
        await client.connect()
        (result,) = await collect(client.send_all([MESSAGE], **ENVELOPE, use_chunking=use_chunking))
        assert MESSAGE.rstrip() not in peer.heard or use_chunking == "eager"
    words = {False: Delivery.NOT_SENT, True: Delivery.NOT_SENT, "eager": Delivery.UNKNOWN}
    assert result.delivery is words[use_chunking]


@pytest.mark.parametrize("follows", [False, True], ids=["alone", "another behind it"])
async def test_without_pipelining_too_what_is_said_before_a_message_is_heard_before_it_leaves(follows: bool) -> None:
    begun = zip(BEGUN, ("S: 250 a", "S: 250 b", "S: 354 go"), strict=True)
    said: tuple[Step, ...] = (*chain.from_iterable(begun), "S: 421 bye", FIN, LISTEN)
    async with ScriptedPeer(*extensions("HELP"), *said, guard=None) as peer:
        client = SMTPClient(peer.endpoint(connect=once(peer)))
        await client.connect()
        results = await collect(client.send_all([MESSAGE] * (1 + follows), **ENVELOPE))
        assert MESSAGE.rstrip() not in peer.heard
    assert {result.delivery for result in results} == {Delivery.NOT_SENT}


@POLICIES
async def test_a_server_that_seems_to_say_something_and_does_not_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, policy: Policy
) -> None:
    # As one that sends a ticket by TLS: the system has octets, of which nothing comes.
    monkeypatch.setattr("mailwire.aio.stream.Stream.is_readable", True)
    async with MailServer(ACCOUNTS, policy=policy) as server:
        results = await run_of(server, [numbered(number) for number in range(3)], use_chunking=False)
        assert taken(server) == [numbered(number) for number in range(3)]
    assert [result.delivery for result in results] == [Delivery.ACCEPTED] * 3


async def test_a_connection_on_which_a_plain_mail_was_taken_was_not_in_vain() -> None:
    takes: tuple[Step, ...] = (*BEGUN, *TAKES, "S: 250 taken")
    async with (
        ScriptedPeer(*extensions("PIPELINING"), *takes, FIN, LISTEN, lenient=True, guard=None) as first,
        # Three in a row would be enough.
        ScriptedPeer(*DROPS, guard=None) as second,
        ScriptedPeer(*DROPS, guard=None) as third,
        ScriptedPeer(*extensions("HELP"), *SENT, *SENT, *QUIT) as fourth,
        SMTPClient(first.endpoint(connect=in_turn(first, second, third, fourth))) as client,
    ):
        results = await collect(client.send_all([MESSAGE] * 4, **ENVELOPE, use_chunking=False))
        await client.quit()
    taken, not_sent = Delivery.ACCEPTED, Delivery.NOT_SENT
    assert [result.delivery for result in results] == [taken, not_sent, taken, taken]


async def test_a_pool_sends_plain_mails_in_a_row() -> None:
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=2) as pool:
        results = await collect(pool.send_all(map(numbered, range(60)), **ENVELOPE))
        assert sorted(taken(server)) == sorted(map(numbered, range(60)))
        assert sum(len(session.commands) for session in server.smtp_sessions) > 0
        statistics = pool.statistics
    assert {result.delivery for result in results} == {Delivery.ACCEPTED}
    assert statistics.opened + statistics.reused == 60
    assert not any(isinstance(result.error, ConnectionLost) for result in results)
