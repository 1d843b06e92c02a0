"""A run in a process of its own, which others may kill."""

import asyncio
from pathlib import Path

from mailwire import Endpoint, Password
from mailwire.maildrop import Account, Maildir, Policy, Run, SQLiteLedger

__all__ = ["collect", "endpoint_of"]


def endpoint_of(port: int, user: str, password: str) -> Endpoint:
    """Return the endpoint of an account on this machine."""
    return Endpoint("127.0.0.1", port, "pop3", "none", auth=Password(user, password), allow_cleartext_auth=True)


def collect(port: int, user: str, password: str, folder: str) -> None:
    """Do a run, which deletes what it has stored."""
    asyncio.run(_collect(endpoint_of(port, user, password), Path(folder)))


async def _collect(endpoint: Endpoint, folder: Path) -> None:
    async with SQLiteLedger(folder / "state.db") as ledger:
        account = Account(endpoint, Maildir(folder / "Mail"), policy=Policy(keep="until stored"))
        report = await Run(account, ledger=ledger, wait=60).perform()
    assert report.is_complete, str(report)
