"""The task that collects a mailbox: a run of `mailwire.retrieve`, which its ledger lets begin again anywhere."""

import asyncio
from datetime import timedelta
from logging import getLogger
from typing import Any
from urllib.parse import quote

from taskiq import Context, TaskiqDepends, TaskiqResult
from taskiq.exceptions import NoResultError

import mailwire
from taskiq_mail.broker import broker
from taskiq_mail.credentials import endpoint_of
from taskiq_mail.leases import kept
from taskiq_mail.settings import SETTINGS
from taskiq_mail.slots import slot_of

logger = getLogger(__name__)

_CONTEXT: Any = TaskiqDepends()


@broker.task("collect_mailbox", ack_type="manual")
async def collect_mailbox(server: str, keep_days: float | None = None, context: Context = _CONTEXT) -> dict[str, Any]:
    """Store what is new on `server` in a Maildir; return the report, in which is what has ended the run if that failed.

    server: the URL of a POP3 endpoint, with a user and without a password.
    keep_days: for how many days mail stays there; None for ever.

    The task needs no care: it may be given to two workers, and either may be lost at any time. A run claims the account
    in the ledger, which is beside the mail; so workers that collect one mailbox share a file system, or are one. Where
    another is at work on the account, or no connection to the host is to be had, the task is left in the stream, which
    gives it to somebody again.
    """
    try:
        endpoint = await asyncio.to_thread(endpoint_of, server, SETTINGS.secrets)
    except (LookupError, ValueError):  # the result says so
        await context.ack()
        raise
    slot = slot_of(context.state.redis, endpoint.host, SETTINGS.connections_per_host, SETTINGS.lease)
    if not await slot.take():
        raise NoResultError
    try:
        async with kept(slot):
            report = await _collect(endpoint, keep_days)
    except TimeoutError:  # Redis could not be told in time that we are at work
        logger.exception("the mailbox of %s is left to another worker", server)
        raise NoResultError from None
    finally:
        await slot.give_back()
    if isinstance(report.error, mailwire.LedgerBusy):
        raise NoResultError
    outcome = report.to_dict()
    # Before it is acknowledged: a worker may be lost in between.
    result: TaskiqResult[Any] = TaskiqResult(is_err=False, return_value=outcome, execution_time=0)
    await context.broker.result_backend.set_result(context.message.task_id, result)
    await context.ack()
    return outcome


async def _collect(endpoint: mailwire.Endpoint, keep_days: float | None) -> mailwire.RetrievalReport:
    keep: Any = "for ever" if keep_days is None else timedelta(days=keep_days)
    user = getattr(endpoint.auth, "user", "nobody")
    into = mailwire.Maildir(SETTINGS.mail / quote(f"{user}@{endpoint.host}", safe="@"))
    await asyncio.to_thread(SETTINGS.mail.mkdir, parents=True, exist_ok=True)
    try:
        return await mailwire.retrieve(endpoint, into=into, ledger=SETTINGS.mail / "state.db", keep=keep)
    except mailwire.MailwireError as error:
        if error.report is None:
            raise
        return error.report
