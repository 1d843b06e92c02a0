import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mailwire import ConnectionLost, DeadlineExceeded, NotSupported, ReplyError, ServiceNotAvailable, Timeouts
from mailwire.aio.dialogue import Dialogue, raise_refusal
from mailwire.aio.session import Session
from mailwire.message import MessagePolicy
from mailwire.smtp import Connection, Ehlo, Event, Noop, Reply, ReplyReceived
from mailwire.testing import FIN, LISTEN, STALL, ScriptedPeer, Step
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import GREETED, READY
from tests.clock import Clock

POLICY = MessagePolicy()


@asynccontextmanager
async def dialogue_with(*script: Step, timeouts: Timeouts | None = None) -> AsyncIterator[Dialogue]:
    """A dialogue behind EHLO; the peer goes on with `script` behind the greeting."""
    async with ScriptedPeer(*GREETED[:1], *script, guard=None) as peer:
        machine = Connection()
        session: Session[Event] = await Session.open(peer.endpoint(timeouts=timeouts or Timeouts()), machine)
        await session.next_event("greeting", "the greeting")
        dialogue = Dialogue(session, machine)
        await dialogue.ask(Ehlo("[127.0.0.1]"))
        yield dialogue
        session.stream.abort()


async def test_the_terms_for_mails_alike_are_looked_at_once() -> None:
    hello = GREETED[1]
    async with dialogue_with(hello, "S: 250-mx", "S: 250 SMTPUTF8", hello, "S: 250 mx", STALL) as dialogue:
        terms = dialogue.terms_for(POLICY, False)
        assert dialogue.terms_for(POLICY, False) is terms
        assert (terms.policy, terms.utf8) == (POLICY, False)
        other = MessagePolicy(long_lines="allow")
        assert dialogue.terms_for(other, False).policy is other
        assert dialogue.terms_for(other, True).utf8
        assert not dialogue.terms_for(other, False).utf8
        assert dialogue.terms_for(other, True).utf8
        await dialogue.ask(Ehlo("[127.0.0.1]"))
        with pytest.raises(NotSupported, match="SMTPUTF8"):
            dialogue.terms_for(other, True)


@pytest.mark.parametrize("seconds", [None, 10.0])
async def test_who_waits_for_an_answer_has_the_deadline_of_a_command_or_none(seconds: float | None) -> None:
    clock = Clock()
    async with dialogue_with(*READY[1:], LISTEN, timeouts=Timeouts(command=seconds)) as dialogue:
        dialogue.connection.send(Noop())
        dialogue.session.flush()
        waiting = asyncio.create_task(dialogue.wait())
        await drain_events()
        await clock.advance(9)
        assert not waiting.done()
        await clock.advance(1)
        assert waiting.done() is (seconds is not None)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_who_is_woken_without_an_answer_waits_no_longer_for_that() -> None:
    clock = Clock()
    async with dialogue_with(*READY[1:], LISTEN, timeouts=Timeouts(command=10)) as dialogue:
        dialogue.connection.send(Noop())
        dialogue.session.flush()
        for seconds in (6, 3):
            waiting = asyncio.create_task(dialogue.wait())
            await drain_events()
            await clock.advance(seconds)
            dialogue.session.stream.nudge()
            await waiting
        waiting = asyncio.create_task(dialogue.wait())
        await drain_events()
        await clock.advance(1)
        assert waiting.done()
        with pytest.raises(DeadlineExceeded, match=r"within 10 s: the reply to NOOP$") as caught:
            await waiting
        assert caught.value.phase == "command"


async def test_a_server_that_leaves_while_nothing_is_asked_is_told_as_that() -> None:
    async with dialogue_with(*READY[1:], FIN) as dialogue:
        with pytest.raises(ConnectionLost, match=r"^the server left in the middle of a dialogue: without a word"):
            await dialogue.next_answer()


async def test_a_server_that_takes_its_leave_while_nothing_is_asked_is_told_as_that() -> None:
    async with dialogue_with(*READY[1:], "S: 421 too idle", FIN) as dialogue:
        with pytest.raises(ServiceNotAvailable, match=r"^the server left in the middle of a dialogue: 421 too idle"):
            await dialogue.next_answer()


def test_every_code_from_400_on_is_a_refusal() -> None:
    raise_refusal(ReplyReceived(Noop(), Reply(354, (b"go",))))
    with pytest.raises(ReplyError, match=r"^NOOP was refused: 400 no"):
        raise_refusal(ReplyReceived(Noop(), Reply(400, (b"no",))))
