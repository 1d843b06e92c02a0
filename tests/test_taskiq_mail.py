"""What of docs/examples/taskiq_mail knows of no queue. The rest is in tests/integration/test_task_*.py."""

import asyncio
import importlib
import json
from dataclasses import replace
from email.message import EmailMessage
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from taskiq_mail.credentials import endpoint_of
from taskiq_mail.job import Job, unsent
from taskiq_mail.verdict import Rules, Step, decide, in_doubt, is_final, merged, remaining

import mailwire
from mailwire import Delivery, MailwireError, Password, RecipientReceipt
from mailwire.errors import AuthenticationFailed, ConnectionLost, InvalidMessage, NotSupported, TLSFailed
from mailwire.smtp import Receipt, Reply
from tests.clock import Clock, StandingClock
from tests.integration.conftest import demand_libraries

OK, LATER, NO = Reply(250, (b"ok",)), Reply(451, (b"later",)), Reply(550, (b"no",))
ENTRIES = {
    "accepted": RecipientReceipt("b@c", OK, Delivery.ACCEPTED, OK),
    "deferred": RecipientReceipt("b@c", LATER, Delivery.REFUSED),
    "refused": RecipientReceipt("b@c", NO, Delivery.REFUSED),
    "refused behind data": RecipientReceipt("b@c", OK, Delivery.REFUSED, NO),
    "not sent": RecipientReceipt("b@c", None, Delivery.NOT_SENT),
    "unknown": RecipientReceipt("b@c", OK, Delivery.UNKNOWN),
}
CAUTIOUS = Rules(resend_unknown=False)


def receipt(*words: str) -> Receipt:
    entries = [ENTRIES[word] for word in words]
    named = tuple(
        RecipientReceipt(f"{number}@c", entry.reply, entry.delivery, entry.final_reply)
        for number, entry in enumerate(entries)
    )
    return Receipt(Delivery.NOT_SENT, "a@b", named, None, 0)


@pytest.mark.parametrize(
    ("words", "kind", "kind_if_cautious"),
    [
        (("accepted",), "done", "done"),
        (("accepted", "accepted"), "done", "done"),
        (("deferred",), "again", "again"),
        (("not sent",), "again", "again"),
        (("accepted", "deferred"), "again", "again"),
        (("refused", "deferred"), "again", "again"),
        (("refused",), "dead", "dead"),
        (("refused behind data",), "dead", "dead"),
        (("accepted", "refused"), "dead", "dead"),
        (("unknown",), "again", "dead"),
        (("unknown", "accepted"), "again", "dead"),
        (("unknown", "deferred"), "again", "again"),
    ],
)
def test_the_words_decide(words: tuple[str, ...], kind: str, kind_if_cautious: str) -> None:
    assert decide(receipt(*words), 1, None, Rules()).kind == kind
    assert decide(receipt(*words), 1, None, CAUTIOUS).kind == kind_if_cautious
    assert decide(receipt(*words), Rules().attempts, None, Rules()).kind == ("done" if kind == "done" else "dead")


def test_each_pause_is_twice_as_long_up_to_the_longest() -> None:
    rules = Rules(attempts=20, first_delay=60, longest_delay=1000)
    longest = [decide(receipt("not sent"), number, None, rules, lambda: 0.0).delay for number in range(1, 7)]
    assert longest == [60, 120, 240, 480, 960, 1000]
    assert decide(receipt("not sent"), 1, None, rules, lambda: 1.0) == Step("again", 30)


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (AuthenticationFailed("a", command="AUTH", answer=Reply(535, (b"no",))), True),
        (AuthenticationFailed("a", command="AUTH", answer=Reply(454, (b"later",))), False),
        (InvalidMessage("a"), True),
        (NotSupported("a", extension="SMTPUTF8"), True),
        (TLSFailed("a"), False),
        (ConnectionLost("a"), False),
        (None, False),
    ],
)
def test_what_would_come_of_every_attempt_is_not_tried_again(error: MailwireError | None, final: bool) -> None:
    assert is_final(error) is final
    assert decide(receipt("not sent"), 1, error, Rules()).kind == ("dead" if final else "again")


def test_a_login_that_is_put_off_does_not_end_a_mail_that_some_have() -> None:
    error = AuthenticationFailed("a", command="AUTH", answer=Reply(454, (b"later",)))
    error.delivery = Delivery.ACCEPTED
    assert decide(receipt("accepted", "not sent"), 1, error, Rules()).kind == "again"


def test_another_attempt_is_for_those_alone_to_whom_it_can_bring_the_mail() -> None:
    known = receipt("accepted", "deferred", "refused", "not sent", "unknown")
    assert remaining(known, Rules()) == ("1@c", "3@c", "4@c")
    assert remaining(known, CAUTIOUS) == ("1@c", "3@c")


def test_what_may_have_come_by_one_attempt_is_not_made_certain_by_the_failure_of_the_next() -> None:
    for first, second in product(ENTRIES, ENTRIES):
        latest = Receipt(Delivery.NOT_SENT, "a@b", receipt("refused", second).recipients[1:], NO, 0)
        joined = merged(receipt("accepted", first), latest)
        kept, found = joined.recipients
        assert kept.delivery is Delivery.ACCEPTED
        stays = first == "unknown" and second != "accepted"
        assert found.delivery is (Delivery.UNKNOWN if stays else ENTRIES[second].delivery)
        if first == "unknown":
            # Behind a refusal for good, nobody goes on asking.
            assert bool(remaining(joined, Rules())) is (second not in ("accepted", "refused", "refused behind data"))


def test_the_mail_of_a_worker_that_was_lost_is_in_doubt_for_those_whom_it_went_to() -> None:
    known = in_doubt(receipt("accepted", "deferred", "not sent"), ("1@c",))
    assert [entry.delivery for entry in known.recipients] == [Delivery.ACCEPTED, Delivery.UNKNOWN, Delivery.NOT_SENT]
    assert known.delivery is Delivery.UNKNOWN


async def test_a_job_is_the_same_behind_json() -> None:
    message = mailwire.compose(
        sender="a@b.example", to=["b@c.example"], bcc=["d@c.example"], subject="ä", text="ä\n.\n"
    )
    job = await Job.of(message, "smtps://a@smtp.example.org")
    assert Job.from_dict(json.loads(json.dumps(job.to_dict()))) == job
    assert job.id == message["Message-ID"]
    assert (job.sender, job.recipients) == ("a@b.example", ("b@c.example", "d@c.example"))
    assert job.octets.isascii()
    assert b"d@c.example" not in job.octets
    assert f"Message-ID: {job.id}\r\n".encode() in job.octets
    assert job.receipt == unsent("a@b.example", job.recipients)


async def test_a_job_says_that_it_needs_smtputf8() -> None:
    message = mailwire.compose(sender="a@b.example", to=["bücher@c.example"], subject="x", text="x")
    job = await Job.of(message, "smtps://a@smtp.example.org")
    assert job.is_utf8
    assert "bücher@c.example".encode() in job.octets
    assert Job.from_dict(json.loads(json.dumps(job.to_dict()))) == job


async def test_a_password_or_a_mail_without_a_message_id_is_not_queued() -> None:
    message = mailwire.compose(sender="a@b.example", to=["b@c.example"], subject="x", text="x")
    with pytest.raises(ValueError, match="password does not belong"):
        await Job.of(message, "smtps://a:secret@smtp.example.org")
    bare = EmailMessage()
    with pytest.raises(ValueError, match="needs a Message-ID"):
        await Job.of(bare, "smtps://a@smtp.example.org")


async def test_a_job_has_the_digest_of_its_envelope_and_its_octets() -> None:
    job = Job("<1@b.example>", "smtps://smtp.example.org", "a@b.example", ("b@c.example",), b"Subject: x\r\n\r\n")
    assert job.digest == replace(job, server="smtps://another.example.org").digest
    assert job.digest == Job.from_dict(json.loads(json.dumps(job.to_dict()))).digest
    others = [
        replace(job, sender="b@c.example"),
        replace(job, recipients=("b@c.example", "d@c.example")),
        replace(job, octets=b"Subject: y\r\n\r\n"),
    ]
    assert len({job.digest, *(other.digest for other in others)}) == 4


def test_a_password_is_read_from_the_file_of_its_account(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "a@smtp.example.org").write_text("sécret \n")
    (tmp_path / "b@smtp.example.org").write_text("not for anybody")
    endpoint = endpoint_of("smtps://a@smtp.example.org:4650", secrets)
    assert endpoint.auth == Password("a", "sécret ")
    assert endpoint.port == 4650
    assert endpoint_of("smtp://smtp.example.org", secrets).auth is None
    for server in ("smtps://a@evil.example", "smtps://..%2Fb@smtp.example.org", "smtps://b@smtp.example.org"):
        with pytest.raises(LookupError):
            endpoint_of(server, secrets)


# Leases


class Held:
    """A lease of 30 seconds, which answers as it was told to."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.seconds = 30.0
        self.since = asyncio.get_running_loop().time()
        self.answers = list(answers)
        self.asked: list[int] = []  # at which second
        self._began = self.since

    async def keep(self) -> bool:
        now = asyncio.get_running_loop().time()
        self.asked.append(round(now - self._began))
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        if answer:
            self.since = now
        return answer


@pytest.fixture
def leases() -> Any:
    demand_libraries("redis")
    return importlib.import_module("taskiq_mail.leases")


async def work(leases: Any, lease: Held) -> str:
    try:
        async with leases.kept(lease):
            await asyncio.get_running_loop().create_future()
    except TimeoutError:
        return "over"
    return "done"


async def pass_time(clock: Clock, seconds: int) -> None:
    for _ in range(seconds):
        await clock.advance(1)


async def test_a_lease_is_kept_three_times_in_its_time(leases: Any) -> None:
    clock, lease = StandingClock(), Held()
    working = asyncio.create_task(work(leases, lease))
    await pass_time(clock, 95)
    assert lease.asked == [10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert not working.done()
    working.cancel()
    await asyncio.wait([working])
    assert working.cancelled()
    await pass_time(clock, 30)
    assert len(lease.asked) == 9


async def test_a_lease_that_cannot_be_kept_is_tried_again_and_goes_on(leases: Any) -> None:
    clock, lease = StandingClock(), Held(OSError("Redis is away"), leases.RedisError("and still"))
    working = asyncio.create_task(work(leases, lease))
    await pass_time(clock, 45)
    # A second apart while it fails; and what was held from the twelfth second on was held for thirty.
    assert lease.asked == [10, 11, 12, 22, 32, 42]
    assert not working.done()
    working.cancel()
    await asyncio.wait([working])


async def test_work_stops_when_its_lease_may_be_over(leases: Any) -> None:
    clock, lease = StandingClock(), Held(True, *[OSError("Redis is away")] * 100)
    working = asyncio.create_task(work(leases, lease))
    await pass_time(clock, 39)
    assert not working.done()
    await pass_time(clock, 1)
    assert await working == "over"
    assert lease.asked == [10, *range(20, 40)]


async def test_work_stops_at_once_when_its_lease_is_anothers(leases: Any) -> None:
    clock, lease = StandingClock(), Held(True, False)
    working = asyncio.create_task(work(leases, lease))
    await pass_time(clock, 20)
    assert await working == "over"
    assert lease.asked == [10, 20]
