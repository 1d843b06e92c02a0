"""One transaction with its message, and how long each of its phases takes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mailwire import ConnectionLost, Delivery, SMTPClient
from mailwire.smtp import Receipt
from mailwire.testing import FIN, LISTEN, MAIL_DATA, WAIT, ScriptedPeer, Step
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import MESSAGE, QUIT, READY
from tests.aio.pools import ENVELOPE
from tests.clock import StandingClock

LOCKSTEP: dict[str, Any] = {**ENVELOPE, "use_chunking": False}
NAMED: tuple[Step, ...] = ("C: MAIL FROM:<a@example.org>", "S: 250 a", "C: RCPT TO:<b@example.org>")
SLOW: tuple[Step, ...] = (*READY, *NAMED, WAIT, "S: 250 b", "C: DATA", "S: 354 go", MAIL_DATA, WAIT)


@pytest.mark.parametrize(("written", "message"), [("whole", 0.0), ("in blocks", 3.0)])
@pytest.mark.parametrize("end", ["taken", "gone"])
async def test_each_phase_takes_its_time(written: str, message: float, end: str) -> None:
    clock = StandingClock()

    async def blocks() -> AsyncIterator[bytes]:
        yield MESSAGE
        clock.jump(3)

    script = (*SLOW, *(("S: 250 taken", *QUIT) if end == "taken" else (FIN, LISTEN)))
    async with ScriptedPeer(*script, guard=None) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        sending = asyncio.ensure_future(client.send(MESSAGE if written == "whole" else blocks(), **LOCKSTEP))
        for seconds in (2, 5):
            await drain_events()
            clock.jump(seconds)
            peer.go_on()
        await asyncio.wait([sending])
        receipt = client.last_receipt
        assert isinstance(receipt, Receipt)
        timings = {"connection": 0.0, "envelope": 2.0, "message": message, "verdict": 5.0}
        assert receipt.timings == pytest.approx(timings)
        if end == "taken":
            assert receipt.delivery is Delivery.ACCEPTED
            await client.quit()
        else:
            with pytest.raises(ConnectionLost):
                sending.result()
            assert receipt.delivery is Delivery.UNKNOWN


async def test_a_phase_that_was_broken_off_has_taken_the_time_until_then() -> None:
    clock = StandingClock()
    async with ScriptedPeer(*READY, *NAMED, WAIT, FIN, LISTEN, guard=None) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        sending = asyncio.ensure_future(client.send(MESSAGE, **LOCKSTEP))
        await drain_events()
        clock.jump(2)
        peer.go_on()
        with pytest.raises(ConnectionLost) as caught:
            await sending
        clock.jump(7)
        assert caught.value.receipt is not None
        assert caught.value.receipt.timings == pytest.approx({"connection": 0.0, "envelope": 2.0})
