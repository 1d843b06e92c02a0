"""The tasks that send: `send_mail`, one attempt at one mail, and `hand_out_due`, which brings mails back in time."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from email.message import EmailMessage
from logging import getLogger
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis
from taskiq import AsyncTaskiqTask, Context, TaskiqDepends, TaskiqResult
from taskiq.exceptions import NoResultError

import mailwire
from taskiq_mail.broker import broker, forget_acknowledged
from taskiq_mail.credentials import endpoint_of
from taskiq_mail.job import Job, unsent
from taskiq_mail.leases import kept
from taskiq_mail.ledger import DEAD, Claim, enter, hand_out
from taskiq_mail.settings import SETTINGS
from taskiq_mail.slots import slot_of
from taskiq_mail.verdict import Step, decide, in_doubt, merged, remaining

logger = getLogger(__name__)

_CONTEXT: Any = TaskiqDepends()
# Where no connection is to be had, seconds until it is asked for again.
_POSTPONED = 5.0


async def submit(message: EmailMessage, server: str) -> AsyncTaskiqTask[dict[str, Any]]:
    """Queue a message, to be sent by `server`: the URL of an endpoint, with a user and without a password.

    The same mail is sent once, however often it is queued. Raises ValueError for another mail under its Message-ID.
    """
    job = await Job.of(message, server)
    async with Redis(connection_pool=broker.connection_pool) as redis:
        if not await enter(redis, job):
            raise ValueError(
                f"{job.id} is known as that of a mail with another sender, other recipients or other octets"
            )
    return await _queue(job)


async def _queue(job: Job) -> AsyncTaskiqTask[dict[str, Any]]:
    # By one id for every attempt: who waits for the result is given that of the last.
    return await send_mail.kicker().with_task_id(job.id).kiq(job.to_dict())


@broker.task("send_mail", ack_type="manual")
async def send_mail(job: dict[str, Any], context: Context = _CONTEXT) -> dict[str, Any]:
    """Try once to send a mail. The result is what is known of it in the end: its receipt, and how each attempt ended.

    Whatever goes wrong that is not known here (Redis is away, a password is not there) leaves the task unacknowledged,
    for the stream to give it to somebody again.
    """
    try:
        mail = Job.from_dict(job)
    except (KeyError, TypeError, ValueError, AttributeError):
        await context.state.redis.xadd(DEAD, {"task": context.message.task_id, "reason": "this is no mail"})
        await context.ack()
        raise
    claim = Claim(context.state.redis, mail, uuid4().hex, SETTINGS.lease)
    try:
        is_over = await _work(mail, claim, context)
    except Exception:
        logger.exception("the mail %s is left to another worker", mail.id)
        raise NoResultError from None
    if not is_over:
        raise NoResultError
    outcome = claim.progress.to_dict()
    # Before it is acknowledged: a worker may be lost in between.
    result: TaskiqResult[Any] = TaskiqResult(is_err=False, return_value=outcome, execution_time=0)
    await context.broker.result_backend.set_result(context.message.task_id, result)
    await context.ack()
    return outcome


async def _work(mail: Job, claim: Claim, context: Context) -> bool:
    # Whether nothing is left to do about the mail.
    state = await claim.make()
    if state == "later":  # it is among those that are due some time, and comes from there
        await context.ack()
    if state == "another":  # which `submit` does not queue; its result would be taken for that of the first
        letter = {"job": json.dumps(mail.to_dict()), "reason": "another mail has its Message-ID"}
        await context.state.redis.xadd(DEAD, letter)
        await context.ack()
    if state != "ours":
        return state == "over"
    try:
        step = await _attempt(mail, claim, context)
    except BaseException:
        await claim.let_go()
        raise
    if step.kind == "again":
        await context.ack()
    return step.kind != "again"


async def _attempt(mail: Job, claim: Claim, context: Context) -> Step:
    progress, rules = claim.progress, SETTINGS.rules
    if claim.tried_in_doubt:
        progress.receipt = in_doubt(progress.receipt, claim.tried_in_doubt)
        progress.attempts.append({"delivery": "unknown", "reason": "the worker was lost", "error": None})
        if decide(progress.receipt, len(progress.attempts), None, rules).kind == "dead":
            return await claim.settle(Step("dead"))
    endpoint = await asyncio.to_thread(endpoint_of, mail.server, SETTINGS.secrets)
    slot = slot_of(context.state.redis, endpoint.host, SETTINGS.connections_per_host, SETTINGS.lease)
    async with kept(claim):
        if not await slot.take():
            return await claim.settle(Step("again", _POSTPONED))
        try:
            async with kept(slot):
                return await _send(mail, endpoint, claim)
        finally:
            await slot.give_back()


async def _send(mail: Job, endpoint: mailwire.Endpoint, claim: Claim) -> Step:
    progress, rules = claim.progress, SETTINGS.rules
    recipients = remaining(progress.receipt, rules)
    policy = mailwire.MessagePolicy(eight_bit=not mail.octets.isascii(), smtputf8=mail.is_utf8)
    octets = _Octets(mail.octets, lambda: claim.begin_doubt(recipients))
    error, receipt = None, unsent(mail.sender, recipients)
    async with AsyncExitStack() as stack:
        client = mailwire.LMTPClient(endpoint) if endpoint.protocol == "lmtp" else mailwire.SMTPClient(endpoint)
        try:
            await stack.enter_async_context(client)
            receipt = await client.send(octets, sender=mail.sender, recipients=recipients, policy=policy)
        except mailwire.MailwireError as caught:
            if caught.delivery is None:  # it is about the connection, on which nothing was sent
                caught.delivery, caught.receipt = receipt.delivery, receipt
            error, receipt = caught, caught.receipt or receipt
        progress.receipt = merged(progress.receipt, receipt)
        record = None if error is None else mailwire.error_to_dict(error)
        progress.attempts.append({"delivery": receipt.delivery.value, "reason": str(error or receipt), "error": record})
        # Before it takes its leave of the server: the sooner it is known what came of the mail, the less is in doubt.
        return await claim.settle(decide(progress.receipt, len(progress.attempts), error, rules))


class _Octets:
    # The octets of a message, behind which the server is not told that they end before it is written down that it may
    # have them.

    def __init__(self, octets: bytes, begin_doubt: Callable[[], Awaitable[None]]) -> None:
        self._octets = octets
        self._begin_doubt = begin_doubt

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._octets
        await self._begin_doubt()


@broker.task("hand_out_due", schedule=[{"interval": 5}])
async def hand_out_due(context: Context = _CONTEXT) -> int:
    """Queue the mails whose time has come, and return how many.

    It comes at short intervals for another reason, too: the broker looks for tasks of lost workers behind new ones.
    """
    number = await hand_out(context.state.redis, _queue, visibility=SETTINGS.lease * 4)
    await forget_acknowledged(context.state.redis)
    return number
