"""`mailwire.retrieve` into a place of one's own."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import mailwire
from mailwire import POP3Settings, RetrievedMessage, Transcript
from mailwire.maildrop import Account, Deleted, MemoryLedger, Outcome, Policy, State, retrieve_into
from mailwire.testing import MailServer
from tests.maildrop.runs import USER, LostLedger, MemorySink, WaitingLedger, body, endpoint_at, fill


@pytest.fixture
async def server() -> AsyncGenerator[MailServer, None]:
    async with MailServer([USER]) as server:
        fill(server, "one", "two")
        yield server


async def test_what_is_new_is_stored_and_known_by_the_next_call(server: MailServer, tmp_path: Path) -> None:
    endpoint = endpoint_at(server)
    settings: dict[str, Any] = {"ledger": tmp_path / "state.db", "keep": timedelta(days=14)}
    first = await mailwire.retrieve(endpoint, into=mailwire.Maildir(tmp_path / "Mail"), **settings)
    second = await mailwire.retrieve(endpoint, into=mailwire.Maildir(tmp_path / "Mail"), **settings)

    assert first.counts == {Outcome.STORED: 2}
    assert second.counts == {Outcome.KNOWN: 2}
    assert len(list((tmp_path / "Mail" / "new").iterdir())) == 2


async def test_a_ledger_can_be_handed_over_and_a_policy_too(server: MailServer) -> None:
    ledger, sink = MemoryLedger(), MemorySink()
    policy = Policy(keep="until stored", limit=1)
    report = await mailwire.retrieve(endpoint_at(server), into=sink, ledger=ledger, policy=policy)

    assert report.counts == {Outcome.STORED: 1, Outcome.LEFT: 1}
    assert [message.uid for message in server.messages("b")] == ["two"]
    await mailwire.retrieve(endpoint_at(server), into=sink, ledger=ledger, keep="until stored")
    assert sink.contents == [body("one"), body("two")]


async def test_no_time_at_all_is_a_time_to_keep_mail_for(server: MailServer) -> None:
    report = await mailwire.retrieve(endpoint_at(server), into=MemorySink(), ledger=MemoryLedger(), keep=timedelta(0))

    assert [message.deleted for message in report.messages] == [Deleted.COMMITTED] * 2
    assert not server.messages("b")


async def test_a_function_is_a_place(server: MailServer) -> None:
    seen: list[RetrievedMessage] = []
    await mailwire.retrieve(endpoint_at(server), into=seen.append)

    assert [message.raw for message in seen] == [body("one"), body("two")]


async def test_what_ends_a_run_is_raised_with_its_report(server: MailServer) -> None:
    sink = MemorySink()
    sink.failing[b"two"] = OSError(28, "No space left on device")
    with pytest.raises(mailwire.SinkFailed) as caught:
        await mailwire.retrieve(endpoint_at(server), into=sink, keep="until stored")

    assert caught.value.report is not None
    assert caught.value.report.counts == {Outcome.STORED: 1, Outcome.FAILED: 1}
    assert len(server.messages("b")) == 2


async def test_an_error_that_is_none_of_ours_brings_the_report_along(server: MailServer) -> None:
    with pytest.raises(RuntimeError, match="went away") as caught:
        await mailwire.retrieve(
            endpoint_at(server), into=MemorySink(), ledger=LostLedger(State.GONE), keep="until stored"
        )

    report = vars(caught.value)["report"]
    assert report.counts == {Outcome.STORED: 2}
    assert len(report.deleted) == 2
    assert report.error is caught.value
    assert not server.messages("b")


async def test_arguments_that_go_together_ill_are_told(server: MailServer) -> None:
    endpoint = endpoint_at(server)
    wants_place = "expected a place for the mail, `into`: what is kept in memory alone, is kept on the server"
    for settings in ({"ledger": "x"}, {"keep": "until stored"}, {"policy": Policy()}):
        with pytest.raises(ValueError, match=f"^{wants_place}$"):
            await mailwire.retrieve(endpoint, **settings)
    not_both = "expected keep or a policy, which says how long to keep mail, not both"
    with pytest.raises(ValueError, match=f"^{not_both}$"):
        await mailwire.retrieve(endpoint, into=print, keep="until stored", policy=Policy())
    overloaded: Any = mailwire.retrieve
    with pytest.raises(ValueError, match="expected no max_octets with a place for the mail: a policy limits what"):
        await overloaded(endpoint, into=print, max_octets=100)
    for wait in (-5, 1, None, "x"):
        with pytest.raises(
            ValueError, match="expected a place for the mail, `into`: without one, there is no other run"
        ):
            await overloaded(endpoint, wait=wait)
    for nowhere in ("", ":memory:"):
        with pytest.raises(ValueError, match="expected the path of a file, got "):
            await mailwire.retrieve(endpoint, into=print, ledger=nowhere)
    with pytest.raises(ValueError, match="takes a ledger"):
        await mailwire.retrieve(endpoint, into=print, keep=timedelta(days=1))
    for octets in ("64M", True, 1.5):
        told = rf"^expected max_octets to be a whole number or None, got {octets!r} \({type(octets).__name__}\)$"
        with pytest.raises(ValueError, match=told):
            await overloaded(endpoint, max_octets=octets)
    assert server.pop3_sessions == []


async def test_nothing_is_waited_for_unless_it_is_said(server: MailServer) -> None:
    ledger = WaitingLedger()
    for settings in ({}, {"wait": 2.5}, {"wait": None}):
        await mailwire.retrieve(endpoint_at(server), into=MemorySink(), ledger=ledger, **settings)
    await retrieve_into(Account(endpoint_at(server), MemorySink()), ledger)
    assert ledger.waits == [0, 2.5, None, 0]


async def test_settings_and_a_transcript_are_handed_on_to_a_run(server: MailServer) -> None:
    transcript = Transcript(limit=None)
    settings = POP3Settings(asks_capabilities=False)
    await mailwire.retrieve(endpoint_at(server), into=MemorySink(), settings=settings, transcript=transcript)
    said = transcript.render()
    assert "C: RETR 1" in said
    assert "C: CAPA" not in said
