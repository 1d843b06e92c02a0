"""What the tests of runs over many messages have in common: what a server says to a mail, all the results, and what
must come of a run whose end does not go by whether it is on a client or over a pool."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from mailwire import BulkSending, Delivery, PoolSending, SendResult
from mailwire.testing import FIN, LISTEN, MAIL_DATA, STALL, WAIT, Hear, ScriptedPeer, Step
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import MESSAGE, QUIT, READY, extensions
from tests.aio.pools import ENVELOPE

__all__ = [
    "BEGUN",
    "BREAKS_IN_A_ROW",
    "CHUNK",
    "DROPS",
    "LOCKSTEP",
    "NAMED",
    "NAMED_SECOND",
    "TAKES",
    "TAKES_TWO",
    "check_closed_at_once",
    "check_sent_one_by_one",
    "check_told_in_the_middle",
    "collect",
]

Run = BulkSending | PoolSending

LOCKSTEP: Final[dict[str, Any]] = {**ENVELOPE, "use_chunking": False}
NAMED: Final[tuple[Step, ...]] = ("C: MAIL FROM:<a@example.org>", "C: RCPT TO:<b@example.org>")
BEGUN: Final[tuple[Step, ...]] = (*NAMED, "C: DATA")
TAKES: Final[tuple[Step, ...]] = ("S: 250 a", "S: 250 b", "S: 354 go", MAIL_DATA)
CHUNK: Final[tuple[Step, ...]] = (f"C: BDAT {len(MESSAGE)} LAST", Hear(len(MESSAGE)))
DROPS: Final[tuple[Step, ...]] = (*READY, NAMED[0], FIN, LISTEN)

# The second mail is named, and waits for its 354.
NAMED_SECOND: Final[tuple[Step, ...]] = (
    *(*extensions("PIPELINING"), *BEGUN, *TAKES, *BEGUN, "S: 250 taken", "S: 250 a", "S: 250 b", STALL),
)
# A server that does not stand a mail behind another; and the same one behind that, which gives each its time.
BREAKS_IN_A_ROW: Final[tuple[Step, ...]] = (*extensions("PIPELINING"), *BEGUN, *TAKES, *BEGUN, FIN, LISTEN)
TAKES_TWO: Final[tuple[Step, ...]] = (
    *(*extensions("PIPELINING"), *BEGUN, *TAKES, WAIT, "S: 250 taken", *BEGUN, *TAKES, "S: 250 taken", *QUIT),
)


async def collect(run: AsyncIterator[SendResult]) -> list[SendResult]:
    """Return all results that are left."""
    return [result async for result in run]


async def check_told_in_the_middle(run: Run, *, cancelled: bool = False) -> SendResult:
    """Let a run of which the first result was taken end by `aclose`, or before that by a cancellation, where the second
    mail is named, and nothing more (NAMED_SECOND); return what is told of that one."""
    if cancelled:
        waiting = asyncio.ensure_future(anext(run))
        await drain_events()
        waiting.cancel()
        await asyncio.wait([waiting])
    await run.aclose()
    [result] = run.remaining
    assert (result.delivery, result.error) == (Delivery.NOT_SENT, None)
    assert result.receipt is not None
    assert str(result.receipt.recipients[0].reply) == "250 b"
    return result


async def check_sent_one_by_one(run: Run, second: ScriptedPeer) -> None:
    """Let a run over three mails meet a server that BREAKS_IN_A_ROW, and behind that the `second`, which TAKES_TWO."""
    assert (await anext(run)).delivery is Delivery.UNKNOWN
    waiting = asyncio.ensure_future(collect(run))
    await drain_events()
    assert second.heard.endswith(b"\r\n.\r\n")
    second.go_on()
    assert [result.delivery for result in await waiting] == [Delivery.ACCEPTED] * 2


async def check_closed_at_once(run: Run) -> None:
    """Let a run be closed that has not begun."""
    await run.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(run)
