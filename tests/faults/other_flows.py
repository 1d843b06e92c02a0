"""More flows, beyond those that are led through a fault proxy: other ways to log in, to hand over and to retrieve."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import mailwire
from mailwire import (
    Batch,
    Maildir,
    MailwireError,
    OAuthToken,
    POP3Client,
    Preferences,
    RecipientsRefused,
    RetrievalReport,
    SMTPPool,
)
from mailwire.sasl.oauth import OAuthFailure
from mailwire.smtp import Noop, Rset
from mailwire.testing import Policy
from tests.faults.flows import (
    ENVELOPE,
    FLOWS,
    OF_THIS_MACHINE,
    RECIPIENTS,
    STORED,
    TOKEN,
    Flow,
    Run,
    client_of,
    mail,
    send_by,
    send_each,
    sending,
    sending_all,
    sending_by_a_pool,
    taking_down,
)

__all__ = ["ALL", "MORE"]


# Sending


async def _provide(failure: OAuthFailure | None) -> str:
    # The first token is refused, and a fresh one is not.
    await asyncio.sleep(0)
    return "stale" if failure is None else TOKEN


async def sending_a_stream(run: Run) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(message), 500):
            await asyncio.sleep(0)
            yield message[start : start + 500]

    message = mail(0)
    await send_each(run, [pieces()])


async def sending_to_all_or_nobody(run: Run) -> None:
    async with client_of(run) as client:
        for number in range(2):
            with suppress(RecipientsRefused), taking_down(run, number, client):
                await client.send(mail(number), on_refused="abort", **ENVELOPE)


async def sending_now_and_then(run: Run) -> None:
    async with client_of(run) as client:
        await send_by(client, 0, mail(0), run)
        await client.execute(Noop())
        await client.execute(Rset())
        await send_by(client, 1, mail(1), run)


async def sending_by_a_pool_one_by_one(run: Run) -> None:
    async with SMTPPool(run.endpoint, max_connections=2, max_messages_per_connection=2) as pool:
        for number in range(3):
            mailing = mailwire.Mailing(mail(number), **ENVELOPE)
            with taking_down(run, number, mailing):
                await pool.send(mailing)


async def sending_by_one_call(run: Run) -> None:
    mailing = mailwire.Mailing(mail(0), **ENVELOPE)
    with taking_down(run, 0, mailing):
        await mailwire.send(mailing, run.endpoint)


async def sending_to_the_second_address(run: Run) -> None:
    # At the first one nobody answers, so that both are tried.
    with _silent_address() as address:
        _put_before(asyncio.get_running_loop(), address)
        await sending(replace(run, endpoint=replace(run.endpoint, host="localhost")))


@contextmanager
def _silent_address() -> Iterator[Any]:
    # More clients than its queue has room for: the system lets whoever comes wait.
    with socket.socket() as silent, socket.socket() as first, socket.socket() as second:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(silent.getsockname())
        yield silent.getsockname()


def _put_before(loop: asyncio.AbstractEventLoop, address: Any) -> None:
    # "localhost" then has both.
    resolve = loop.getaddrinfo

    async def getaddrinfo(host: Any, port: Any, **settings: Any) -> Any:
        if host != "localhost":
            return await resolve(host, port, **settings)
        found = await resolve("127.0.0.1", port, **settings)
        return [(*found[0][:4], address), *found]

    vars(loop)["getaddrinfo"] = getaddrinfo


# Retrieving


async def retrieving_in_batches(run: Run) -> None:
    client = POP3Client(run.endpoint)
    try:
        async with client:
            async for item in client.retrieve(await client.listing(), batch=Batch(messages=2)):
                pieces = [piece async for piece in item]
                uid = item.entry.uid or ""
                run.got[uid] = b"".join(pieces)
                run.marked.add(uid)
                item.delete()
            report = await client.commit(reconnect=True)
            left = {entry.uid for entry in await client.listing()}
            assert not left & {*report.committed_uids}, "what is said to be deleted is there"
    finally:
        _take_down_commit(client, run)


async def looking(run: Run) -> None:
    async with POP3Client(run.endpoint) as client:
        listing = await client.listing()
        prints = await client.fingerprints(listing)
        assert len({*prints.values()}) == len(STORED)
        for uid, message in STORED.items():
            assert message.startswith(await client.preview(uid, 2))
            assert message.startswith(await client.top(uid))
        # Broken off in the middle of what was asked for.
        async for item in client.retrieve(listing):
            run.got[item.entry.uid or ""] = await item.read()
            break


async def deleting_by_uid(run: Run) -> None:
    client = POP3Client(run.endpoint)
    try:
        async with client:
            await client.delete("u2")
            await client.rollback()
            run.marked = {"u1", "u3"}
            await client.delete(run.marked)
    finally:
        _take_down_commit(client, run)


def _take_down_commit(client: POP3Client, run: Run) -> None:
    if (report := client.last_commit) is not None:
        run.committed |= {*report.committed_uids}
        run.remaining = {*report.remaining_uids}


async def retrieving_by_one_call(run: Run) -> None:
    run.got = {message.uid or "": message.raw for message in await mailwire.retrieve(run.endpoint)}


async def retrieving_into_a_maildir(run: Run) -> None:
    with TemporaryDirectory() as folder:
        into, ledger = Path(folder) / "mail", Path(folder) / "ledger"
        report: RetrievalReport | None = None
        try:
            report = await mailwire.retrieve(
                run.endpoint, into=Maildir(into, line_ends="crlf"), ledger=ledger, keep="until stored"
            )
        except MailwireError as error:
            report = getattr(error, "report", None)
            raise
        finally:
            stored = [path.read_bytes() for path in (into / "new").glob("*")]
            uids = {message: uid for uid, message in STORED.items()}
            run.got = {uids.get(message, "half a message"): message for message in stored}
            run.marked = {*run.got}
            assert len(run.got) == len(stored), "a message was stored twice"
            if report is not None:
                run.committed = {message.uid or "" for message in report.deleted}


def _only(*mechanisms: str) -> dict[str, Any]:
    return {"auth_preferences": Preferences(mechanisms=mechanisms)}


_OAUTH: Final = {"auth": OAuthToken("b", _provide), "allow_cleartext_auth": True}

MORE: Final[Mapping[str, Flow]] = {
    "pool by TLS": Flow(sending_by_a_pool, tls="implicit", mails=6),
    "pool, one by one": Flow(sending_by_a_pool_one_by_one, mails=3),
    "SCRAM": Flow(sending, mails=2, auth=True, policy=Policy(mechanisms=("SCRAM-SHA-256",))),
    "CRAM": Flow(sending, mails=2, auth=True, settings=_only("CRAM-MD5"), policy=Policy(mechanisms=("CRAM-MD5",))),
    "OAuth": Flow(sending, mails=2, settings=_OAUTH, policy=Policy(mechanisms=("OAUTHBEARER",))),
    "LMTP send_all": Flow(sending_all, protocol="lmtp", mails=5),
    "eager send_all": Flow(sending_all, mails=5, settings={"use_chunking": "eager"}),
    "a stream": Flow(sending_a_stream, mails=1),
    "a stream by DATA": Flow(sending_a_stream, mails=1, settings={"use_chunking": False}),
    "all or nobody": Flow(
        sending_to_all_or_nobody, mails=2, policy=Policy(recipient_replies={RECIPIENTS[1]: "550 5.1.1 no"})
    ),
    "one is refused": Flow(sending, mails=2, policy=Policy(recipient_replies={RECIPIENTS[1]: "450 4.2.1 later"})),
    "one is refused in the end": Flow(
        sending, protocol="lmtp", mails=2, policy=Policy(delivery_replies={RECIPIENTS[0]: "552 5.2.2 full"})
    ),
    "a recipient at a time": Flow(sending, mails=2, policy=Policy(recipient_limit=1)),
    "RSET and NOOP": Flow(sending_now_and_then, mails=2),
    "one call": Flow(sending_by_one_call, mails=1),
    "two addresses": Flow(sending_to_the_second_address, mails=2),
    "POP3 in batches": Flow(
        retrieving_in_batches, protocol="pop3", auth=True, settings=_only("APOP"), policy=Policy(apop=True)
    ),
    "POP3 previews": Flow(looking, protocol="pop3", auth=True),
    "POP3 by uid": Flow(deleting_by_uid, protocol="pop3", tls="implicit", auth=True),
    "POP3 one call": Flow(retrieving_by_one_call, protocol="pop3", auth=True),
    "POP3 into a Maildir": Flow(retrieving_into_a_maildir, protocol="pop3", auth=True),
}

ALL: Final[Mapping[str, Flow]] = {**FLOWS, **OF_THIS_MACHINE, **MORE}
"""All flows that are interrupted."""
