"""Mails in a row that take shortcuts: whatever a server says, and when, they come to the same as if they took none."""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, Final

import pytest

from mailwire import (
    ConnectionFailed,
    DeadlineExceeded,
    Delivery,
    MailwireError,
    SendResult,
    SMTPClient,
    SMTPPool,
    Timeouts,
    Transcript,
)
from mailwire._wire.dots import MailText
from mailwire.aio.bulk_sending import BulkSending
from mailwire.aio.plain_mail import PlainMail
from mailwire.smtp import Rset
from mailwire.smtp.shortcut import Shortcut
from mailwire.testing import MAIL_DATA, STALL, WAIT, ScriptedPeer, Step
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import MESSAGE, QUIT, extensions, once
from tests.aio.memory import fail_once
from tests.aio.runs import collect
from tests.aio.test_plain_alone import ENVELOPE, FIN, OFFERED, WORDS, Server, facts
from tests.aio.test_plain_mail import collect_into
from tests.clock import StandingClock

MAILS: Final = 4


@dataclass
class Outcome:
    """What became of some mails that were sent in a row."""

    heard: bytes
    known: list[object]
    told: list[str]
    shortcuts: int  # mails that took one...
    in_row: int  # ...and began in one with the end of the one before


async def outcome(
    said: Mapping[tuple[str, int], bytes],
    use_chunking: Any,
    piece: int,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_past: bool,
) -> Outcome:
    peer = Server(said, OFFERED, piece)
    known: list[object] = []
    transcript, count, begun_in_row = Transcript(limit=None), 0, 0
    real, real_in_row = PlainMail.take_shortcut, Shortcut.end_with

    def counted(mail: PlainMail, *how: bool) -> list[bytes] | None:
        nonlocal count
        beginning = real(mail, *how) if is_past else None
        count += beginning is not None
        return beginning

    def in_row(way: Shortcut, message: MailText) -> tuple[bytes, Shortcut]:
        nonlocal begun_in_row
        begun_in_row += 1
        return real_in_row(way, message)

    with monkeypatch.context() as patch:
        patch.setattr(PlainMail, "take_shortcut", counted)
        patch.setattr(Shortcut, "end_with", in_row)
        async with peer.listening(use_chunking=use_chunking) as endpoint:
            client = SMTPClient(endpoint, transcript=transcript)
            await client.connect()
            async with client.send_all([MESSAGE + b"%d\r\n" % number for number in range(MAILS)], **ENVELOPE) as run:
                async for result in run:
                    error = result.error
                    told = None if error is None else (type(error), str(error), error.delivery, error.transcript)
                    known.append((result.index, result.delivery, facts(result.receipt), told))
            known.append(client.is_connected)
            try:
                known.append(await client.execute(Rset()))
            except MailwireError as error:
                known.append((type(error), str(error)))
            await client.quit()
    told_of = [line for entry in transcript for line in entry.lines()]
    return Outcome(peer.heard, known, told_of, count + begun_in_row, begun_in_row)


PLACES: Final = [
    pytest.param(chunking, (verb, number), id=f"{verb}-{number}-{chunking}")
    for chunking in (False, True)
    for verb in (("MAIL", "RCPT", "BDAT", "RSET") if chunking else ("MAIL", "RCPT", "DATA", "."))
    for number in (1, 2, 3, 4)
]


async def check_alike(
    said: Mapping[tuple[str, int], bytes], use_chunking: Any, piece: int, monkeypatch: pytest.MonkeyPatch
) -> Outcome:
    past = await outcome(said, use_chunking, piece, monkeypatch, is_past=True)
    other = await outcome(said, use_chunking, piece, monkeypatch, is_past=False)
    assert (past.shortcuts > 0, other.shortcuts) == (True, 0)
    assert past.known == other.known
    assert past.heard == other.heard
    assert past.told == other.told
    return past


@pytest.mark.parametrize("use_chunking", [False, True])
async def test_all_mails_in_a_row_take_one(use_chunking: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    past = await check_alike({}, use_chunking, 0, monkeypatch)
    assert (past.shortcuts, past.in_row) == (MAILS, MAILS - 2)  # the second begins behind the first


@pytest.mark.parametrize(("use_chunking", "place"), PLACES)
@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("piece", [0, 8])
async def test_what_is_said_in_the_place_of_what_is_to_be_expected(
    name: str, place: tuple[str, int], use_chunking: Any, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await check_alike({place: WORDS[name]}, use_chunking, piece, monkeypatch)


# Whether they take shortcuts or not

WAYS = pytest.mark.parametrize("use_chunking", [False, True])


@pytest.fixture(params=[True, False], ids=["past the machine", "by it"])
def _either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(PlainMail, "take_shortcut", lambda *_: None)


EITHER_WAY = pytest.mark.usefixtures("_either_way")


@asynccontextmanager
async def running(peer: Server, use_chunking: Any) -> AsyncIterator[tuple[SMTPClient, BulkSending]]:
    """A client of `peer`, and a run over numbered messages that has not begun; the client is cut off in the end."""
    async with peer.listening(use_chunking=use_chunking) as endpoint:
        client = SMTPClient(endpoint)
        await client.connect()
        yield client, client.send_all([MESSAGE + b"%d\r\n" % number for number in range(MAILS)], **ENVELOPE)
        client.abort()


def check(known: list[SendResult], heard: bytes, end: bytes) -> None:
    """Check that there is one result for each message that was taken, and it by what the server has heard."""
    assert [result.index for result in known] == list(range(len(known)))
    for result in known:
        ended = MESSAGE + b"%d\r\n" % result.index + end
        if result.delivery is Delivery.NOT_SENT:
            assert ended not in heard
        if result.delivery is Delivery.ACCEPTED:
            assert ended in heard


@EITHER_WAY
@WAYS
@pytest.mark.parametrize("turns", range(0, 40, 2))
async def test_a_run_that_is_cancelled_tells_no_lie(use_chunking: Any, turns: int) -> None:
    peer = Server({}, OFFERED, 0)
    known: list[SendResult] = []
    async with running(peer, use_chunking) as (_, run):
        collecting = asyncio.ensure_future(collect_into(known, run))
        for _ in range(turns):
            await asyncio.sleep(0)
        collecting.cancel()
        await asyncio.wait([collecting])
        known += run.remaining
    check(known, peer.heard, b"" if use_chunking else b".\r\n")


BEGUN: Final[tuple[Step, ...]] = (
    *("C: MAIL FROM:<a@example.org>", "C: RCPT TO:<b@example.org>", "C: RCPT TO:<c@example.org>", "C: DATA"),
)
NAMED: Final[tuple[Step, ...]] = ("S: 250 a", "S: 250 b", "S: 250 c", "S: 354 go")


async def run_of_two(script: tuple[Step, ...], *jumps: float) -> tuple[list[SendResult], BaseException | None]:
    """The results of a run with two mails, whose server goes on when the clock has jumped by each of these seconds."""
    return await run_of(2, script, *jumps)


async def run_of(
    count: int,
    script: tuple[Step, ...],
    *jumps: float,
    verdict: float | None = 100,
    first: tuple[Step, ...] = NAMED,
) -> tuple[list[SendResult], BaseException | None]:
    """The same of so many mails. `verdict`: the seconds that one may take; `first`: what the first is answered."""
    clock = StandingClock()
    script = (*extensions("PIPELINING"), *BEGUN, *first, MAIL_DATA, *BEGUN, *script)
    async with ScriptedPeer(*script, lenient=True, guard=None) as peer:
        client = SMTPClient(peer.endpoint(connect=once(peer), timeouts=Timeouts(command=10, verdict=verdict)))
        await client.connect()
        run = client.send_all([MESSAGE] * count, **ENVELOPE, use_chunking=False)
        waiting = asyncio.ensure_future(collect(run))
        for seconds in jumps:
            await drain_events()
            clock.jump(seconds)
            peer.go_on()
        results = await waiting
        client.abort()
    return results, results[-1].error


REST: Final[tuple[Step, ...]] = (MAIL_DATA, "S: 250 taken", *QUIT)


@EITHER_WAY
async def test_the_time_for_an_envelope_is_counted_from_when_it_is_its_turn() -> None:
    script: tuple[Step, ...] = (WAIT, "S: 250 taken", WAIT, *NAMED, *REST)
    results, error = await run_of_two(script, 50, 6)
    assert error is None
    assert [result.delivery for result in results] == [Delivery.ACCEPTED, Delivery.ACCEPTED]
    assert results[1].receipt is not None
    assert results[1].receipt.timings["envelope"] == pytest.approx(56)


@EITHER_WAY
async def test_so_it_is_behind_a_mail_that_was_refused_in_part() -> None:
    script: tuple[Step, ...] = (WAIT, "S: 250 taken", WAIT, *NAMED, *REST)
    results, _ = await run_of(2, script, 50, 6, first=("S: 250 a", "S: 550 b", "S: 250 c", "S: 354 go"))
    assert [result.delivery for result in results] == [Delivery.ACCEPTED, Delivery.ACCEPTED]


@EITHER_WAY
@pytest.mark.parametrize("heard", [(), (b"25",), ("S: 250 a",)])
async def test_that_time_has_its_end(heard: tuple[Step, ...]) -> None:
    script: tuple[Step, ...] = (WAIT, "S: 250 taken", WAIT, *heard, WAIT, STALL)
    results, error = await run_of_two(script, 50, 6, 6 if heard != ("S: 250 a",) else 12)
    assert [result.delivery for result in results] == [Delivery.ACCEPTED, Delivery.NOT_SENT]
    # That connection was given up, and the mail was to go over another one.
    assert isinstance(error, ConnectionFailed)


@EITHER_WAY
async def test_the_time_for_a_verdict_has_its_end_whatever_is_heard_of_it() -> None:
    results, error = await run_of_two((WAIT, b"25", WAIT, STALL), 60, 60)
    assert [result.delivery for result in results] == [Delivery.UNKNOWN, Delivery.NOT_SENT]
    assert isinstance(error, MailwireError)
    assert isinstance(results[0].error, DeadlineExceeded)
    assert results[0].error.phase == "verdict"


ANOTHER: Final[tuple[Step, ...]] = ("S: 250 taken", *NAMED, MAIL_DATA, *BEGUN)


@EITHER_WAY
async def test_in_a_row_each_phase_is_counted_from_when_it_began() -> None:
    script: tuple[Step, ...] = (WAIT, *ANOTHER, WAIT, *ANOTHER, WAIT, "S: 250 taken", *NAMED, MAIL_DATA, WAIT)
    results, error = await run_of(4, (*script, "S: 250 taken", *QUIT), 50, 7, 3, 9)
    assert error is None
    known = [result.receipt.timings for result in results if result.receipt is not None]
    assert [timings["envelope"] for timings in known] == pytest.approx([0, 50, 7, 3])
    assert [timings["verdict"] for timings in known] == pytest.approx([50, 7, 3, 9])


@EITHER_WAY
@pytest.mark.parametrize("before", [0, 1, 2])
async def test_in_a_row_each_verdict_has_its_time(before: int) -> None:
    answered: tuple[Step, ...] = (WAIT, *ANOTHER) * before
    script: tuple[Step, ...] = (*answered, WAIT, STALL)
    results, _ = await run_of(5, script, *[60.0] * before, 99, 2)
    rest = [Delivery.UNKNOWN, *[Delivery.NOT_SENT] * (4 - before)]
    assert [result.delivery for result in results] == [Delivery.ACCEPTED] * before + rest
    late = results[before].error
    assert isinstance(late, DeadlineExceeded)
    assert (late.phase, str(late)) == (
        "verdict",
        "the server did not do its part within 100 s: the reply to .",
    )


@EITHER_WAY
async def test_in_a_row_a_verdict_may_have_any_time() -> None:
    script: tuple[Step, ...] = (WAIT, *ANOTHER, WAIT, "S: 250 taken", *NAMED, MAIL_DATA, WAIT, "S: 250 taken", *QUIT)
    results, error = await run_of(3, script, 1000, 1000, 1000, verdict=None)
    assert error is None
    assert [result.delivery for result in results] == [Delivery.ACCEPTED] * 3


# Where there is no memory


@WAYS
@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "name",
    [
        *("smtp.shortcut.Shortcut.__init__", "smtp.shortcut.Shortcut.write", "smtp.shortcut.Shortcut.hear"),
        *("smtp.shortcut.Shortcut.hear_with", "smtp.shortcut.Shortcut.receipt", "smtp.shortcut.Replies.__new__"),
        *("aio.plain_mail.PlainMail.write", "aio.plain_mail.PlainMail.take_shortcut", "aio.plain_mail.PlainMail.end"),
        *("smtp.shortcut.Shortcut.end_with", "smtp.shortcut._InRow.__new__", "smtp.opening.Wording.text"),
        *("aio.stream.Stream.take", "aio.stream.Stream.write", "aio.stream.Stream.arrival"),
        *("aio.consignment.Consignment.take", "aio.consignment.Consignment.finish", "aio.links.PlainLink.__init__"),
    ],
)
async def test_where_memory_runs_out_each_mail_is_known(
    name: str, number: int, use_chunking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = Server({}, OFFERED, 0)
    known: list[SendResult] = []
    async with running(peer, use_chunking) as (_, run):
        fail_once(monkeypatch, name, number)
        with suppress(MemoryError):
            await collect_into(known, run)
        await run.aclose()
        known += run.remaining
        await drain_events()
    check(known, peer.heard, b"" if use_chunking else b".\r\n")


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize(
    "name",
    [
        *("smtp.shortcut.Shortcut.as_parcel", "smtp.parcel.Parcel.__init__", "smtp.parcel.Parcel.hear"),
        *("smtp.parcel.Parcel.write", "smtp.connection.Connection.data_to_send", "smtp.parcel.Parcel.as_transaction"),
        "aio.consignment.Consignment.finish",
    ],
)
async def test_where_memory_runs_out_as_the_connection_is_told_nothing_is_a_lie(
    name: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = Server({(".", 2): b"250-a\r\n250 b\r\n"}, OFFERED, 0)
    known: list[SendResult] = []
    async with running(peer, False) as (client, run):
        fail_once(monkeypatch, name, number)
        try:
            await collect_into(known, run)
        except MemoryError:
            assert not client.is_connected
        await run.aclose()
        known += run.remaining
    check(known, peer.heard, b".\r\n")


@EITHER_WAY
@WAYS
async def test_where_memory_runs_out_as_a_pool_loses_a_connection_each_mail_is_known(
    use_chunking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = Server({("BDAT" if use_chunking else ".", 3): FIN}, OFFERED, 0)
    known: list[SendResult] = []
    async with peer.listening(use_chunking=use_chunking) as endpoint, SMTPPool(endpoint, max_connections=1) as pool:
        run = pool.send_all([MESSAGE + b"%d\r\n" % number for number in range(MAILS)], **ENVELOPE)
        calls = fail_once(monkeypatch, "aio.chain.Chain._unfold", 1)
        with suppress(MemoryError):
            await collect_into(known, run)
        await run.aclose()
        known += run.remaining
    assert calls
    check(known, peer.heard, b"" if use_chunking else b".\r\n")


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(
    "name",
    [
        *("smtp.shortcut.Shortcut.as_parcel", "smtp.parcel.Parcel.__init__", "smtp.parcel.Parcel._go_behind"),
        *("smtp.answers.Answers._follow_group", "smtp.group.Group.ending", "smtp.mail_data.Text.whole"),
        *("smtp.grouped_pipeline.GroupedPipeline.queue_group", "aio.dialogue.Dialogue.count_for"),
    ],
)
@pytest.mark.parametrize("verdict", [b"250-a\r\n250 b\r\n", b"550 no\r\n", FIN])
async def test_a_mail_whose_end_has_left_is_never_one_that_was_not_sent(
    verdict: bytes, name: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = Server({(".", 1): verdict}, OFFERED, 0)
    async with peer.listening(use_chunking=False) as endpoint:
        client = SMTPClient(endpoint)
        await client.connect()
        fail_once(monkeypatch, name, number)
        words: list[Delivery | None] = []
        try:
            words.append((await client.send(MESSAGE, **ENVELOPE)).delivery)
        except MemoryError:
            assert not client.is_connected
        except MailwireError as error:
            words.append(error.delivery)
        assert client.last_receipt is not None
        words.append(client.last_receipt.delivery)
        client.abort()
    assert MESSAGE + b".\r\n" in peer.heard
    assert Delivery.NOT_SENT not in words


@EITHER_WAY
async def test_a_deadline_for_which_there_is_no_memory_passes_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = StandingClock()
    async with ScriptedPeer(*extensions("PIPELINING"), *BEGUN, STALL, lenient=True, guard=None) as peer:
        client = SMTPClient(peer.endpoint(timeouts=Timeouts(command=10)))
        await client.connect()
        fail_once(monkeypatch, "aio.dialogue.Dialogue._phase", 1)
        sending = asyncio.ensure_future(client.send(MESSAGE, **ENVELOPE, use_chunking=False))
        await clock.advance(11)
        with pytest.raises(MemoryError):
            await sending
    assert client.last_receipt is not None
    assert client.last_receipt.delivery is Delivery.NOT_SENT


# Where the run is gone on with otherwise


@EITHER_WAY
@pytest.mark.parametrize("seems_to_say_more", [False, True])
async def test_what_has_come_while_a_run_was_not_gone_on_with_is_heard(
    seems_to_say_more: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seems_to_say_more:  # as one that sends a ticket by TLS
        monkeypatch.setattr("mailwire.aio.stream.Stream.is_readable", True)
    # The first connection breaks with two mails on their way: from there on they go one by one.
    peer = Server({(".", 1): FIN}, OFFERED, 0)
    async with peer.listening(use_chunking=False) as endpoint:
        client = SMTPClient(endpoint)
        await client.connect()
        words: list[Delivery] = []
        async with asyncio.timeout(20), client.send_all([MESSAGE] * 8, **ENVELOPE) as run:
            async for result in run:
                words.append(result.delivery)
                for _ in range(20):
                    await asyncio.sleep(0.001)
        await client.quit()
    assert words == [Delivery.UNKNOWN, *[Delivery.ACCEPTED] * 7]
    assert peer.heard.count(b"EHLO") == 2


@EITHER_WAY
async def test_closing_a_run_does_not_put_off_what_is_waited_for() -> None:
    clock = StandingClock()
    script = (*extensions("PIPELINING"), *BEGUN, *NAMED, MAIL_DATA, *BEGUN, STALL)
    async with ScriptedPeer(*script, lenient=True, guard=None) as peer:
        client = SMTPClient(peer.endpoint(timeouts=Timeouts(verdict=100)))
        await client.connect()
        run = client.send_all([MESSAGE] * 2, **ENVELOPE, use_chunking=False)
        waiting = asyncio.ensure_future(anext(run, None))
        await clock.advance(60)
        closing = asyncio.ensure_future(run.aclose())
        await clock.advance(60)
        async with asyncio.timeout(60):
            await asyncio.wait([waiting, closing])
    assert [result.delivery for result in run.remaining] == [Delivery.UNKNOWN, Delivery.NOT_SENT]
    assert not client.is_connected


@EITHER_WAY
async def test_a_message_that_is_not_plain_does_not_put_off_what_is_waited_for_before_it() -> None:
    clock, given = StandingClock(), asyncio.Event()
    other = EmailMessage()
    other.set_content("hello")

    async def messages() -> AsyncIterator[Any]:
        yield MESSAGE
        await given.wait()
        yield other

    script = (*extensions("PIPELINING"), *BEGUN, *NAMED, MAIL_DATA, *BEGUN, STALL)
    async with ScriptedPeer(*script, lenient=True, guard=None) as peer:
        client = SMTPClient(peer.endpoint(connect=once(peer), timeouts=Timeouts(verdict=100)))
        await client.connect()
        run = client.send_all(messages(), **ENVELOPE, use_chunking=False)
        waiting = asyncio.ensure_future(anext(run))
        await clock.advance(60)
        given.set()
        await clock.advance(60)
        async with asyncio.timeout(60):
            result = await waiting
        await run.aclose()
        client.abort()
    assert (result.delivery, type(result.error)) == (Delivery.UNKNOWN, DeadlineExceeded)


@EITHER_WAY
@pytest.mark.parametrize("use_chunking", [False, True, "eager"])
async def test_a_client_does_not_keep_what_it_has_sent(use_chunking: Any) -> None:
    message = MESSAGE + b"once\r\n"
    async with Server({}, OFFERED, 0).listening(use_chunking=use_chunking) as endpoint, SMTPClient(endpoint) as client:
        before = sys.getrefcount(message)
        await client.send(message, **ENVELOPE)
        assert sys.getrefcount(message) == before
        async with client.send_all([message], **ENVELOPE) as run:
            async for result in run:
                assert result.delivery is Delivery.ACCEPTED
        del run, result
        gc.collect()
        assert sys.getrefcount(message) == before


@EITHER_WAY
@pytest.mark.parametrize("use_chunking", [False, True, "eager"])
async def test_a_run_that_has_ended_keeps_nothing_that_was_on_its_way(use_chunking: Any) -> None:
    before = {id(each) for each in gc.get_objects()}
    async with Server({}, OFFERED, 0).listening(use_chunking=use_chunking) as endpoint, SMTPClient(endpoint) as client:
        async with client.send_all([MESSAGE] * 8, **ENVELOPE) as run:
            for _ in range(3):
                assert (await anext(run)).delivery is Delivery.ACCEPTED
        gc.collect()
        mails = [each for each in gc.get_objects() if isinstance(each, PlainMail | Shortcut)]
        assert [mail for mail in mails if id(mail) not in before] == []
        assert len(run.remaining) > 0


@EITHER_WAY
@WAYS
async def test_a_mail_that_is_given_when_the_one_before_it_is_answered_already_goes_behind_it(
    use_chunking: Any,
) -> None:
    given = asyncio.Event()

    async def messages() -> AsyncIterator[bytes]:
        yield MESSAGE
        yield MESSAGE
        await given.wait()
        yield MESSAGE

    peer, words = Server({}, OFFERED, 0), []
    async with (
        peer.listening(use_chunking=use_chunking) as endpoint,
        SMTPClient(endpoint) as client,
        client.send_all(messages(), **ENVELOPE) as run,
    ):
        async for result in run:
            words.append(result.delivery)
            for _ in range(20):
                await asyncio.sleep(0.001)
            given.set()
            await drain_events()
    assert words == [Delivery.ACCEPTED] * 3


@EITHER_WAY
@pytest.mark.parametrize("piece", [0, 8])
@pytest.mark.parametrize("is_slow", [False, True])
async def test_plain_mails_behind_one_in_several_chunks_take_their_own_answers(is_slow: bool, piece: int) -> None:
    # Of a slow one the chunks before the last are answered when that leaves.
    lines = (b"x" * 70 + b"\r\n") * 10_000

    async def message() -> AsyncIterator[bytes]:
        yield MESSAGE + lines
        for _ in range(40 if is_slow else 0):
            await asyncio.sleep(0.001)
        yield b"end\r\n"

    peer = Server({}, OFFERED[:-1], piece)
    async with peer.listening(use_chunking=True) as endpoint, SMTPClient(endpoint) as client:
        results = await collect(client.send_all([MESSAGE, message(), MESSAGE, MESSAGE], **ENVELOPE))
    assert [result.delivery for result in results] == [Delivery.ACCEPTED] * 4
    assert peer.heard.count(b"MAIL FROM") == 4
