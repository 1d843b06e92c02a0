"""The task that collects a mailbox: a run of `mailwire.retrieve`, which its ledger lets begin again anywhere."""

import asyncio
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import mailwire
from taskiq_mail.broker import broker
from taskiq_mail.credentials import endpoint_of
from taskiq_mail.settings import SETTINGS


@broker.task("collect_mailbox")
async def collect_mailbox(server: str, keep_days: float | None = None) -> dict[str, Any]:
    """Store what is new on `server` in a Maildir; return the report, in which is what has ended the run if that failed.

    server: the URL of a POP3 endpoint, with a user and without a password.
    keep_days: for how many days mail stays there; None for ever.

    The task needs no care: it may be given to two workers, and either may be lost at any time. A run claims the account
    in the ledger, which is beside the mail; so workers that collect one mailbox share a file system, or are one.
    """
    endpoint = await asyncio.to_thread(endpoint_of, server, SETTINGS.secrets)
    keep: Any = "for ever" if keep_days is None else timedelta(days=keep_days)
    user = getattr(endpoint.auth, "user", "nobody")
    into = mailwire.Maildir(SETTINGS.mail / quote(f"{user}@{endpoint.host}", safe="@"))
    await asyncio.to_thread(SETTINGS.mail.mkdir, parents=True, exist_ok=True)
    try:
        report = await mailwire.retrieve(endpoint, into=into, ledger=SETTINGS.mail / "state.db", keep=keep)
    except mailwire.MailwireError as error:
        if error.report is None:
            raise
        report = error.report
    return report.to_dict()
