"""Mail on its way into the sink, and what the ledger is told of it; tests/maildrop/test_run.py has whole runs."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from mailwire.errors import BudgetExceeded, ConnectionLost, Desynchronised, SinkFailed
from mailwire.maildrop import Fetch, Mail, Outcome, Page, Record, State, delivery
from mailwire.maildrop.delivery import Deliveries
from mailwire.maildrop.mail import make_key
from mailwire.maildrop.message_report import MessageReport
from tests.maildrop.plans import DAY, Entry, ledger
from tests.maildrop.records import NOON, record
from tests.maildrop.runs import MemorySink

ACCOUNT = "b@pop.example.org"
LATER = NOON + DAY
CONTENT = b"Subject: x\r\n\r\nHello\r\n"


class Group(MemorySink):
    """A sink that makes several messages safe at once; `steps` says what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[str, list[int]]] = []
        self.error: BaseException | None = None

    async def settle(self, mails: Sequence[Mail]) -> None:
        self.steps.append(("settle", [mail.number for mail in mails]))
        if self.error is not None:
            raise self.error

    async def discard(self, mails: Sequence[Mail]) -> None:
        self.steps.append(("discard", [mail.number for mail in mails]))


class Idle:
    """A sink that reads nothing."""

    async def store(self, mail: Mail) -> None:
        pass


class Told:
    """A page that takes down what it is told."""

    def __init__(self) -> None:
        self.written: list[list[Record]] = []
        self.forgotten: list[list[str]] = []

    async def records(self) -> dict[str, Record]:
        return {}

    async def write(self, records: Any) -> None:
        self.written.append(list(records))

    async def forget(self, uids: Any) -> None:
        self.forgotten.append(list(uids))


def deliveries(sink: Any, page: Page, *records: Record) -> Deliveries:
    """Return deliveries of a run that has seen the listing at noon, a day before."""
    return Deliveries(ACCOUNT, sink, page, ledger(*records), lambda: LATER, NOON)


async def blocks(content: bytes = CONTENT, error: BaseException | None = None) -> AsyncIterator[bytes]:
    yield content
    if error is not None:
        raise error


def fetch(number: int = 1, uid: str | None = "u", size: int = 100, lines: int | None = None) -> Fetch:
    """Return what is fetched, by the name that is its unique id."""
    return Fetch(Entry(number, uid, size), uid, lines)


@pytest.fixture
def page() -> Told:
    return Told()


# What the sink gets


async def test_the_sink_is_told_all_that_is_known_of_a_message(page: Told) -> None:
    sink = MemorySink()
    run = deliveries(sink, page)
    await run.deliver(fetch(7, "u", 100), blocks())
    await run.deliver(Fetch(Entry(8, "u", 5), "u 5 1", 3), blocks())

    whole, preview = sink.mails
    assert (whole.account, whole.number, whole.uid, whole.size, whole.is_preview) == (ACCOUNT, 7, "u", 100, False)
    assert (preview.account, preview.number, preview.uid, preview.size, preview.is_preview) == (
        ACCOUNT,
        8,
        "u",
        5,
        True,
    )
    assert whole.key == make_key(ACCOUNT, "u")
    assert preview.key == make_key(ACCOUNT, "u 5 1", is_preview=True)


async def test_a_message_without_a_name_has_a_key_that_no_other_has(page: Told) -> None:
    sink = MemorySink()
    run = deliveries(sink, page)
    for number in (1, 2):
        await run.deliver(fetch(number, None), blocks())

    keys = {mail.key for mail in sink.mails}
    assert len(keys) == 2
    assert {len(bytes.fromhex(key)) for key in keys} == {32}
    assert run.stored_numbers == {1, 2}
    assert page.written == []


async def test_a_preview_without_a_name_is_not_stored(page: Told) -> None:
    run = deliveries(MemorySink(), page)
    await run.deliver(Fetch(Entry(1, None, 5), None, 3), blocks())
    await run.settle()

    assert [report.outcome for report in run.reports] == [Outcome.PREVIEWED]
    assert run.stored_numbers == set()
    assert page.written == []


# What the ledger is told


async def test_what_is_stored_is_written_as_it_is_now(page: Told) -> None:
    run = deliveries(MemorySink(), page)
    await run.deliver(fetch(), blocks())

    ((stored,),) = page.written
    assert stored == Record("u", State.STORED, NOON, LATER, 100, fingerprint=await fingerprint_of(CONTENT))
    assert run.find("u") == stored
    assert run.find("v") is None


async def test_what_was_seen_before_keeps_its_age_and_what_was_another_gives_none(page: Told) -> None:
    seen = record("u", State.SEEN, 9 * DAY, size=100)
    header = await fingerprint_of(CONTENT)
    for before, age in (
        (seen, 9 * DAY),
        (replace(seen, fingerprint=header), 9 * DAY),
        (replace(seen, fingerprint="of another"), 0 * DAY),
        (replace(seen, size=99), 0 * DAY),
        (replace(seen, state=State.STORED, fingerprint=header), 0 * DAY),
        (replace(seen, state=State.GONE, fingerprint=header), 0 * DAY),
    ):
        for lines in (None, 5):
            run = deliveries(MemorySink(), page, before)
            await run.deliver(fetch(lines=lines), blocks())
            known = run.find("u")
            assert known is not None
            assert (known.first_seen, known.fingerprint, known.size) == (NOON - age, header, 100)
            assert known.state is (State.STORED if lines is None else State.SEEN)


async def fingerprint_of(content: bytes) -> str:
    mail = Mail(ACCOUNT, 1, "u", 0, "", blocks(content))
    await mail.read()
    return mail.fingerprint


async def test_what_was_only_seen_is_not_kept_in_mind_and_what_it_has_come_to_is(page: Told) -> None:
    run = deliveries(MemorySink(), page)
    seen, stored = record("u", State.SEEN), record("v")
    await run.note([seen, stored], ["w"])

    assert (run.find("u"), run.find("v")) == (None, stored)
    assert (page.written, page.forgotten) == ([[seen, stored]], [["w"]])
    await run.write(seen.failed("no"))
    assert run.find("u") == seen.failed("no")


async def test_the_ledger_is_told_a_portion_at_a_time(page: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailwire.aio.portions.PORTION", 2)
    run = deliveries(MemorySink(), page)
    records = [record(uid) for uid in "abc"]
    await run.note(records, ["d", "e", "f"])

    assert page.written == [records[:2], records[2:]]
    assert page.forgotten == [["d", "e"], ["f"]]
    assert [run.find(uid) for uid in "abc"] == records


async def test_what_is_adopted_is_known_at_once_and_written_with_the_next(page: Told) -> None:
    run = deliveries(MemorySink(), page)
    known = record("v")
    run.adopt(known, "v")
    assert (run.find("v"), page.written) == (known, [])
    await run.settle()
    assert page.written == [[known]]
    await run.settle()
    assert page.written == [[known]]
    assert page.forgotten == []


async def test_of_what_is_adopted_the_uid_that_it_had_before_is_forgotten(page: Told) -> None:
    run = deliveries(MemorySink(), page)
    run.adopt(record("v"), "u")
    assert page.forgotten == []
    await run.settle()
    assert (page.written, page.forgotten) == ([[record("v")]], [["u"]])
    await run.settle()
    assert page.forgotten == [["u"]]


# Cut off, as shows later

LOST = Desynchronised("out of step")


async def test_what_is_taken_back_was_seen_and_has_failed(page: Told) -> None:
    run = deliveries(MemorySink(), page)
    one = fetch(1, "u")
    await run.deliver(one, blocks())
    await run.deliver(fetch(2, "v"), blocks())
    await run.take_back(one, LOST)

    expected = Record("u", State.SEEN, NOON, NOON, 100, 1, "Desynchronised: out of step")
    assert run.find("u") == expected
    assert page.written[-1] == [expected]
    assert [(each.number, each.outcome, each.octets, each.reason) for each in run.reports] == [
        (2, Outcome.STORED, len(CONTENT), ""),
        (1, Outcome.FAILED, len(CONTENT), "Desynchronised: out of step"),
    ]


@pytest.mark.parametrize(
    ("before", "failures"),
    [
        (record("u", State.SEEN, failures=1, size=100), 2),
        (record("u", State.SEEN, failures=1, size=99), 1),
        (record("u", State.STORED, size=99), 1),
    ],
)
async def test_what_is_taken_back_has_the_failures_that_it_had(page: Told, before: Record, failures: int) -> None:
    run = deliveries(MemorySink(), page, before)
    one = fetch(1, "u")
    await run.deliver(one, blocks())
    await run.take_back(one, LOST)
    after = run.find("u")
    assert after is not None
    assert (after.state, after.failures) == (State.SEEN, failures)


async def test_what_is_taken_back_for_a_suspicion_has_a_reason_and_has_not_failed(page: Told) -> None:
    run, one = deliveries(MemorySink(), page), fetch()
    await run.deliver(one, blocks())
    await run.take_back(one, LOST, counts=False)
    ((taken,),) = page.written[1:]
    assert (taken.state, taken.failures, taken.reason) == (State.SEEN, 0, "Desynchronised: out of step")


async def test_what_is_taken_back_before_it_is_settled_is_discarded(page: Told) -> None:
    sink = Group()
    run = deliveries(sink, page)
    one, two = fetch(1, "u"), fetch(2, "v")
    await run.deliver(one, blocks())
    await run.deliver(two, blocks())
    await run.take_back(two, LOST)
    await run.finish()

    assert sink.steps == [("discard", [2]), ("settle", [1])]
    assert [(each.number, each.outcome, each.octets) for each in run.reports] == [
        (2, Outcome.FAILED, len(CONTENT)),
        (1, Outcome.STORED, len(CONTENT)),
    ]


async def test_what_is_taken_back_alone_is_discarded_whatever_the_sink_says(page: Told) -> None:
    class Stubborn(Group):
        async def discard(self, mails: Sequence[Mail]) -> None:
            await super().discard(mails)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    sink = Stubborn()
    run = deliveries(sink, page)
    one = fetch(1, "u")
    await run.deliver(one, blocks())
    await run.take_back(one, LOST)
    await run.finish()
    assert sink.steps == [("discard", [1])]
    assert [each.outcome for each in run.reports] == [Outcome.FAILED]


async def test_what_is_taken_back_behind_its_group_was_made_safe(page: Told) -> None:
    sink = Group()
    run = deliveries(sink, page)
    fetches = [fetch(number, f"u{number}") for number in range(1, 17)]
    for each in fetches:
        await run.deliver(each, blocks())
    await run.take_back(fetches[-1], LOST)
    assert sink.steps == [("settle", list(range(1, 17)))]
    assert [each.outcome for each in run.reports] == [Outcome.STORED] * 15 + [Outcome.FAILED]
    assert page.written[-1] == [Record("u16", State.SEEN, NOON, NOON, 100, 1, "Desynchronised: out of step")]


@pytest.mark.parametrize("sink", [Group, MemorySink])
async def test_what_is_taken_back_came_in_the_time_that_it_took(page: Told, sink: type[MemorySink]) -> None:
    async def come_slowly() -> AsyncIterator[bytes]:
        await asyncio.sleep(0.01)
        yield CONTENT

    run, one = deliveries(sink(), page), fetch()
    await run.deliver(one, come_slowly())
    await run.take_back(one, LOST)
    [report] = run.reports
    assert report.seconds > 0.009


async def test_what_is_taken_back_without_a_uid_is_not_deleted(page: Told) -> None:
    run = deliveries(MemorySink(), page)
    one = fetch(1, None)
    await run.deliver(one, blocks())
    assert run.stored_numbers == {1}
    await run.take_back(one, LOST)
    assert run.stored_numbers == set()


# Several at once


async def test_as_many_are_made_safe_at_once_as_are_a_group(page: Told) -> None:
    sink = Group()
    run = deliveries(sink, page)
    for number in range(1, 18):
        await run.deliver(fetch(number, f"u{number}"), blocks())
    assert sink.steps == [("settle", list(range(1, 17)))]
    assert [len(records) for records in page.written] == [16]
    await run.finish()
    assert sink.steps[1:] == [("settle", [17])]
    await run.finish()
    await run.abandon()
    assert len(sink.steps) == 2


async def test_a_group_may_have_messages_without_a_name(page: Told) -> None:
    run = deliveries(Group(), page)
    for number, uid in enumerate(("a", None, "b"), 1):
        await run.deliver(fetch(number, uid), blocks())
    await run.finish()
    assert [[each.uid for each in records] for records in page.written] == [["a", "b"]]
    assert run.stored_numbers == {2}


async def test_a_mail_says_whether_it_will_be_settled(page: Told) -> None:
    for sink, is_so in ((Group(), True), (MemorySink(), False)):
        await deliveries(sink, page).deliver(fetch(), blocks())
        assert [mail.will_be_settled for mail in sink.mails] == [is_so]


async def test_what_is_much_is_made_safe_before_it_is_many(page: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_GROUP_OCTETS", 100)
    sink = Group()
    run = deliveries(sink, page)
    for number, octets in enumerate((99, 1, 60, 39, 1), 1):
        await run.deliver(fetch(number), blocks(b"x" * octets))
    assert sink.steps == [("settle", [1, 2]), ("settle", [3, 4, 5])]


async def test_one_after_the_other_is_stored_by_a_sink_that_knows_no_groups(page: Told) -> None:
    run = deliveries(MemorySink(), page)
    for number in (1, 2):
        await run.deliver(fetch(number, f"u{number}"), blocks())
    assert [[each.uid for each in records] for records in page.written] == [["u1"], ["u2"]]


async def test_a_group_that_cannot_be_made_safe_is_not_stored(page: Told) -> None:
    sink = Group()
    run = deliveries(sink, page)
    for number in (1, 2):
        await run.deliver(fetch(number, f"u{number}"), blocks())
    sink.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(SinkFailed) as caught:
        await run.settle()

    assert str(caught.value) == "2 messages could not be stored: OSError: [Errno 28] No space left on device"
    assert caught.value.__cause__ is sink.error
    assert (page.written, run.reports) == ([], [])
    await run.abandon()  # they are the sink's
    assert sink.steps == [("settle", [1, 2])]


async def test_what_waits_when_a_run_ends_is_dropped_whatever_the_sink_says(page: Told) -> None:
    class Failing(Group):
        async def discard(self, mails: Sequence[Mail]) -> None:
            await super().discard(mails)
            raise KeyError("no")

    sink = Failing()
    run = deliveries(sink, page)
    for number in (1, 2):
        await run.deliver(fetch(number, f"u{number}"), blocks())
    await run.abandon()
    await run.abandon()
    await run.finish()

    assert sink.steps == [("discard", [1, 2])]
    assert page.written == []


# What does not come


async def test_a_failure_is_told_and_counted(page: Told) -> None:
    run = deliveries(MemorySink(), page, record("v", State.SEEN, 2 * DAY, size=100).failed("x"), record("w", size=1))
    run.fail(fetch(1, "u"), "-ERR no")
    run.fail(fetch(2, "v"), "-ERR no")
    run.fail(fetch(3, "w"), "-ERR no")
    run.fail(fetch(4, "x"), "-ERR busy", counts=False)
    run.fail(fetch(5, None), "-ERR no")
    await run.settle()

    assert page.written == [
        [
            record("u", State.SEEN, size=100).failed("-ERR no"),
            record("v", State.SEEN, 2 * DAY, size=100).failed("x").failed("-ERR no"),
            record("w", size=1).failed("-ERR no"),
            replace(record("x", State.SEEN, size=100), reason="-ERR busy"),
        ]
    ]
    assert run.reports == [
        MessageReport(number, uid, 100, Outcome.FAILED, reason=reason)
        for number, uid, reason in (
            *((1, "u", "-ERR no"), (2, "v", "-ERR no"), (3, "w", "-ERR no")),
            *((4, "x", "-ERR busy"), (5, None, "-ERR no")),
        )
    ]


async def test_what_was_only_seen_under_another_size_has_not_failed(page: Told) -> None:
    run = deliveries(MemorySink(), page, record("u", State.SEEN, 9 * DAY, size=99).failed("x").failed("x"))
    run.fail(fetch(), "-ERR no")
    await run.settle()
    assert page.written == [[record("u", State.SEEN, size=100).failed("-ERR no")]]


async def test_a_report_says_how_much_came_and_in_what_time(page: Told) -> None:
    class Slow(MemorySink):
        async def store(self, mail: Mail) -> None:
            await asyncio.sleep(0.01)
            await super().store(mail)

    loop = asyncio.get_running_loop()
    sink = Slow()
    run, began = deliveries(sink, page), loop.time()
    await run.deliver(fetch(1), blocks())
    await run.deliver(fetch(2, "v", lines=3), blocks())
    sink.failing[b"Hello"] = KeyError("no")
    await run.deliver(fetch(3, "w"), blocks())
    took = loop.time() - began

    stored, previewed, failed = run.reports
    assert [each.octets for each in run.reports] == [len(CONTENT)] * 3
    assert [each.outcome for each in run.reports] == [Outcome.STORED, Outcome.PREVIEWED, Outcome.FAILED]
    assert 0 < stored.seconds + previewed.seconds + failed.seconds <= took
    assert min(stored.seconds, previewed.seconds, failed.seconds) > 0.009
    assert (stored.reason, previewed.reason, failed.reason) == ("", "", "KeyError: 'no'")
    assert (failed.number, failed.uid, failed.size) == (3, "w", 100)


async def test_a_sink_that_fails_for_five_on_end_is_at_fault_and_no_message_is(page: Told) -> None:
    sink = MemorySink()
    run = deliveries(sink, page)
    await run.deliver(fetch(9, "stored"), blocks())
    sink.failing[b"Hello"] = error = KeyError("no")
    for number in range(4):
        await run.deliver(fetch(number, f"u{number}"), blocks())
    with pytest.raises(SinkFailed) as caught:
        await run.deliver(fetch(5, "u5"), blocks())
    assert str(caught.value) == "5 messages on end could not be stored, the last for this: KeyError: 'no'"
    assert caught.value.__cause__ is error
    await run.finish()
    assert [[each.uid for each in records] for records in page.written] == [["stored"]]


async def test_what_fails_between_those_that_do_not_is_to_blame_itself(page: Told) -> None:
    sink = MemorySink()
    run = deliveries(sink, page)
    for turn in range(2):
        sink.failing[b"Hello"] = KeyError("no")
        for number in range(4):
            await run.deliver(fetch(number, f"u{turn}{number}"), blocks())
        sink.failing.clear()
        await run.deliver(fetch(8, f"s{turn}"), blocks())
    assert [len(records) for records in page.written] == [5, 5]
    sink.failing[b"Hello"] = KeyError("no")
    await run.deliver(fetch(5, None), blocks())
    await run.deliver(fetch(6, "last"), blocks())
    await run.finish()
    assert page.written[2:] == [[record("last", State.SEEN, size=100).failed("KeyError: 'no'")]]


async def test_a_full_disk_ends_the_run_and_counts_against_nobody(page: Told) -> None:
    sink = MemorySink()
    sink.failing[b"Hello"] = error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    run = deliveries(sink, page)
    with pytest.raises(SinkFailed) as caught:
        await run.deliver(fetch(7), blocks())
    assert str(caught.value) == "message 7 could not be stored: OSError: [Errno 28] No space left on device"
    assert caught.value.__cause__ is error
    await run.finish()
    reason = "OSError: [Errno 28] No space left on device"
    assert page.written == [[replace(record("u", State.SEEN, size=100), reason=reason)]]
    (report,) = run.reports
    assert (report.number, report.outcome, report.octets, report.reason) == (7, Outcome.FAILED, len(CONTENT), reason)


@pytest.mark.parametrize("uid", ["u", None])
async def test_what_breaks_off_is_the_connections_fault_and_what_is_too_long_its_own(
    page: Told, uid: str | None
) -> None:
    run = deliveries(MemorySink(), page)
    await run.deliver(fetch(1, uid), blocks(error=BudgetExceeded("too long")))
    with pytest.raises(ConnectionLost, match="gone"):
        await run.deliver(fetch(2, uid and "v"), blocks(error=ConnectionLost("gone")))
    await run.finish()

    assert [(each.outcome, each.octets, each.reason) for each in run.reports] == [
        (Outcome.TOO_LARGE, len(CONTENT), "BudgetExceeded: too long"),
        (Outcome.FAILED, len(CONTENT), "ConnectionLost: gone"),
    ]
    told = [(each.uid, each.failures, each.reason) for records in page.written for each in records]
    assert told == ([("u", 1, "BudgetExceeded: too long"), ("v", 1, "ConnectionLost: gone")] if uid else [])


async def test_a_message_that_is_not_read_to_its_end_is_not_stored(page: Told) -> None:
    class IdleGroup(Idle):
        async def settle(self, mails: Sequence[Mail]) -> None:
            pytest.fail("there is none")

        async def discard(self, mails: Sequence[Mail]) -> None:
            dropped.extend(mail.number for mail in mails)

    dropped: list[int] = []
    for sink in (Idle(), IdleGroup()):
        run = deliveries(sink, page)
        await run.deliver(fetch(3), blocks())
        assert [each.reason for each in run.reports] == ["TypeError: the sink has not read the message to its end"]
        await run.finish()
    assert dropped == [3]


async def test_a_sink_that_is_cancelled_by_nobody_has_failed(page: Told) -> None:
    sink = Group()
    sink.failing[b"Hello"] = asyncio.CancelledError()
    run = deliveries(sink, page)
    await run.deliver(fetch(), blocks())
    assert [each.reason for each in run.reports] == ["RuntimeError: what the sink waited for was cancelled"]
    sink.failing.clear()
    await run.deliver(fetch(), blocks())
    sink.error = asyncio.CancelledError()
    with pytest.raises(
        SinkFailed, match="1 messages could not be stored: RuntimeError: what the sink waited for was c"
    ):
        await run.settle()


async def test_a_sink_that_makes_an_error_of_a_cancellation_of_its_own_is_told_by_that(page: Told) -> None:
    class Late(MemorySink):
        async def store(self, mail: Mail) -> None:
            try:
                await super().store(mail)
            except asyncio.CancelledError:
                raise KeyError("late") from None

    run = deliveries(Late(), page)
    for number in range(4):
        await run.deliver(fetch(number), blocks(error=asyncio.CancelledError()))
    assert [each.reason for each in run.reports] == ["KeyError: 'late'"] * 4
    with pytest.raises(SinkFailed, match="5 messages on end could not be stored, the last for this: KeyError: 'late'"):
        await run.deliver(fetch(5), blocks(error=asyncio.CancelledError()))


async def test_what_is_said_of_a_failure_is_printable(page: Told) -> None:
    sink = MemorySink()
    sink.failing[b"Hello"] = ValueError("a\nb\udcff")
    run = deliveries(sink, page)
    await run.deliver(fetch(), blocks())
    (report,) = run.reports
    assert report.reason.startswith("ValueError: a")
    assert report.reason.isascii()
    assert report.reason.isprintable()
