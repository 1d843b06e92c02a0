"""retrieve_into: a run for who wants one and no more, as `mailwire.retrieve` does it."""

from contextlib import AsyncExitStack
from os import PathLike

from ..transcript import Transcript
from .account import Account
from .ledger import Ledger, check_ledger
from .report import RetrievalReport
from .run import Run
from .sqlite_ledger import SQLiteLedger

__all__ = ["retrieve_into"]


async def retrieve_into(
    account: Account,
    ledger: Ledger | str | PathLike[str] | None,
    *,
    wait: float | None = 0,
    transcript: Transcript | None = None,
) -> RetrievalReport:
    """Do one run and return its report. Raises what has ended the run, with the report in `report`; ValueError.

    ledger: one, or the path of an SQLiteLedger, which is opened for this run.
    """
    async with AsyncExitStack() as stack:
        if isinstance(ledger, str | PathLike):
            ledger = await stack.enter_async_context(SQLiteLedger(ledger))
        else:
            check_ledger(ledger, "a Ledger, the path of one, or None")
        report = await Run(account, ledger=ledger, wait=wait, transcript=transcript).perform()
    if report.error is not None:
        raise report.error
    return report
