"""What the tests of runs over many messages have in common: what a server says to a mail, and all the results."""

from collections.abc import AsyncIterator
from typing import Any, Final

from mailwire import SendResult, Timeouts
from mailwire.testing import FIN, LISTEN, MAIL_DATA, Hear, Step
from tests.aio.dialogues import MESSAGE, READY
from tests.aio.pools import ENVELOPE

__all__ = ["BEGUN", "CHUNK", "DROPS", "LOCKSTEP", "NAMED", "PATIENCE", "TAKES", "collect"]

PATIENCE: Final = Timeouts(close=0.01)
LOCKSTEP: Final[dict[str, Any]] = {**ENVELOPE, "use_chunking": False}
NAMED: Final[tuple[Step, ...]] = ("C: MAIL FROM:<a@example.org>", "C: RCPT TO:<b@example.org>")
BEGUN: Final[tuple[Step, ...]] = (*NAMED, "C: DATA")
TAKES: Final[tuple[Step, ...]] = ("S: 250 a", "S: 250 b", "S: 354 go", MAIL_DATA)
CHUNK: Final[tuple[Step, ...]] = (f"C: BDAT {len(MESSAGE)} LAST", Hear(len(MESSAGE)))
DROPS: Final[tuple[Step, ...]] = (*READY, NAMED[0], FIN, LISTEN)


async def collect(run: AsyncIterator[SendResult]) -> list[SendResult]:
    """Return all results that are left."""
    return [result async for result in run]
