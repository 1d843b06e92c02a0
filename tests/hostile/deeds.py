"""What the client does in a play, and how it ends."""

from collections.abc import Iterable, Mapping, Set
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

import mailwire
from mailwire import (
    AmbiguousMessage,
    CommandRefused,
    CommitReport,
    Endpoint,
    LMTPClient,
    LocalProtocolError,
    MailwireError,
    NotSupported,
    POP3Client,
    Receipt,
    ReplyError,
    ResponseError,
    RetrievalIncomplete,
    SMTPClient,
    Transcript,
    pop3,
    smtp,
)
from mailwire.maildrop import (
    Account,
    CautionKind,
    Deleted,
    Mail,
    MemoryLedger,
    Outcome,
    Policy,
    RetrievalReport,
    Run,
    State,
)
from mailwire.pop3 import Entry, FindingKind, Listing
from mailwire.testing import ScriptedPeer
from mailwire.testing.turns import drain_events
from tests.hostile.case import Case, Deed, Fate
from tests.maildrop.runs import MemorySink
from tests.sasl.secrecy import CANARY, assert_hidden

__all__ = ["BY_ITSELF", "Ending", "do"]

BY_ITSELF: Final[Set[Deed]] = {"send", "retrieve", "run"}
"""What is done by a call that has a client of its own, which nobody else can use any more."""


@dataclass
class Ending:
    error: MailwireError | None = None
    is_about_mail: bool = False  # the error is one of sending a mail
    receipt: Receipt | None = None
    messages: list[bytes] = field(default_factory=list)
    listed: int | None = None
    last_uid: str | None = None
    told: frozenset[FindingKind | CautionKind] | None = None
    failed: dict[str, str] = field(default_factory=dict)
    broken_off: int = 0
    report: CommitReport | None = None
    fates: dict[str, Fate] = field(default_factory=dict)
    settled: dict[str, Fate] = field(default_factory=dict)


async def do(
    case: Case, deed: Deed, endpoint: Endpoint, later: Endpoint | None, transcript: Transcript, peer: ScriptedPeer
) -> Ending:
    ending = Ending(is_about_mail=deed == "send")
    mail: dict[str, Any] = {"sender": "a@example.org", "recipients": case.recipients, **case.arguments}
    try:
        if deed == "send":
            ending.receipt = await mailwire.send(case.message, endpoint, transcript=transcript, **mail)
        elif deed == "retrieve":
            ending.messages = [message.raw for message in await mailwire.retrieve(endpoint, transcript=transcript)]
        elif deed == "run":
            await _run(endpoint, later, transcript, ending)
        else:
            client = _CLIENTS[endpoint.protocol](endpoint, transcript=transcript)
            try:
                if isinstance(client, POP3Client) and deed == "client.delete":
                    await _delete(client, ending)
                else:
                    await _use(client, deed, (case.message, mail), ending)
            except MailwireError as error:
                await _see_the_end(client, error, peer)
                raise
            await _see_the_end(client, None, peer)
            if later is not None:
                await _settle(later, ending)
    except MailwireError as error:
        ending.error = error
        ending.receipt = error.receipt
        if isinstance(error, RetrievalIncomplete):
            ending.messages = [message.raw for message in error.messages]
    return ending


_CLIENTS: Final[Mapping[str, type[SMTPClient] | type[POP3Client]]] = {
    "smtp": SMTPClient,
    "lmtp": LMTPClient,
    "pop3": POP3Client,
}


async def _use(client: SMTPClient | POP3Client, deed: Deed, mail: tuple[bytes, dict[str, Any]], ending: Ending) -> None:
    await client.connect()
    if deed != "connect":
        await drain_events()  # a while goes by
    if isinstance(client, POP3Client) and deed == "client.listing":
        listing = await client.listing()
        ending.listed, ending.last_uid = len(listing), listing[-1].uid
    if isinstance(client, POP3Client) and deed == "client.top":
        with pytest.raises(ResponseError):
            await client.top((await client.listing())[0])
    if isinstance(client, POP3Client) and deed in ("client.retrieve", "client.top"):
        await _retrieve(client, await client.listing(), ending)
    if isinstance(client, SMTPClient) and deed == "client.send":
        ending.is_about_mail = True
        message, arguments = mail
        ending.receipt = await client.send(message, **arguments)
    assert CANARY not in repr(client)
    await client.quit()


async def _retrieve(client: POP3Client, listing: Listing, ending: Ending) -> None:
    ending.told = frozenset(finding.kind for finding in listing.findings)
    async with aclosing(client.retrieve(listing)) as items:
        async for item in items:
            ending.messages.append(await item.read())


class _Sink(MemorySink):
    broken_off = 0

    async def store(self, mail: Mail) -> None:
        try:
            await super().store(mail)
        except MailwireError:
            self.broken_off += 1
            raise


async def _run(endpoint: Endpoint, later: Endpoint | None, transcript: Transcript, ending: Ending) -> None:
    sink, ledger = _Sink(), MemoryLedger()

    def run_at(place: Endpoint, recorded: Transcript) -> Run:
        account = Account(place, sink, policy=Policy(keep="until stored"), name="mail")
        return Run(account, ledger=ledger, transcript=recorded)

    report = await run_at(endpoint, transcript).perform()
    ending.fates = _fates_of_run(report)
    ending.told = frozenset(each.kind for each in report.findings) | {each.kind for each in report.cautions}
    ending.failed = {each.uid or "": each.reason for each in report.messages if each.outcome is Outcome.FAILED}
    if later is not None:
        record = Transcript(limit=None)
        ending.settled = _fates_of_run(await run_at(later, record).perform())
        assert_hidden(CANARY, record.render())
        async with ledger.claim("mail") as page:
            gone = [uid for uid, known in (await page.records()).items() if known.state is State.GONE]
        ending.settled.update(dict.fromkeys(gone, "deleted"))
    ending.messages, ending.broken_off = sink.contents, sink.broken_off
    if report.error is not None:
        raise report.error


def _fates_of_run(report: RetrievalReport) -> dict[str, Fate]:
    of_deleted: dict[Deleted, Fate] = {
        Deleted.COMMITTED: "deleted",
        Deleted.REFUSED: "refused",
        Deleted.KEPT: "kept",
        Deleted.UNKNOWN: "unknown",
    }
    return {each.uid or "": of_deleted[each.deleted] for each in report.messages if each.deleted is not None}


async def _delete(client: POP3Client, ending: Ending) -> None:
    await client.connect()
    listing = await client.listing()
    await _retrieve(client, listing, ending)
    await client.delete(listing)
    ending.report = await client.commit()
    ending.fates = _fates_of(ending.report)


async def _settle(later: Endpoint, ending: Ending) -> None:
    assert ending.report is not None
    async with POP3Client(later) as other:
        report = ending.report.reconciled(await other.listing())
        await other.delete([*report.refused, *report.kept])
        last = await other.commit()
    ending.settled = {**_fates_of(report), **_fates_of(last)}


def _fates_of(report: CommitReport) -> dict[str, Fate]:
    fates: dict[str, Fate] = {}
    of_each: tuple[tuple[Iterable[Entry], Fate], ...] = (
        *((report.committed, "deleted"), (report.refused, "refused")),
        *((report.unknown, "unknown"), (report.kept, "kept")),
    )
    for entries, fate in of_each:
        fates.update({entry.uid or "": fate for entry in entries})
    return fates


async def _see_the_end(client: SMTPClient | POP3Client, error: MailwireError | None, peer: ScriptedPeer) -> None:
    # Whatever it was, a connection that has come to its end carries no other word.
    assert CANARY not in repr(client)
    if client.is_connected:
        # Nobody leaves because the server has said no, in good order.
        assert isinstance(error, CommandRefused | NotSupported | AmbiguousMessage)
        # But behind 421 it is the server who leaves (RFC 5321 3.8).
        assert not (isinstance(error, ReplyError) and error.reply.code == 421)
        client.abort()
    await drain_events()
    said = bytes(peer.wire)
    with pytest.raises(LocalProtocolError, match="not connected"):
        await (client.execute(smtp.Noop()) if isinstance(client, SMTPClient) else client.execute(pop3.Noop()))
    await client.quit()
    await drain_events()
    assert peer.wire == said
