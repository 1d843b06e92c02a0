"""Deletion interrupted at every turn of the event loop, and cut behind every octet of either side: what the client then
says of each message is what is true on the server, or that it does not know.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, Literal

import pytest

from mailwire import Batch, ConnectionFailed, ConnectionLost, MailwireError, POP3Client
from mailwire.testing import POP3Quirk, Quirk
from tests.aio.interruptions import INTERRUPTIONS, Interrupt, end_interrupted, skip_without_clock
from tests.aio.true_maildrop import MAIL, Cut, Record, TrueServer, judge

Flow = Callable[[POP3Client, Record], Awaitable[None]]

# As few octets as can be, to be cut behind each.
TERSE = dict.fromkeys(("greeting", "user", "logged in", "capa", "list", "uidl", "retr", "dele", "rset", "quit"), "+OK")
NEEDLESS = frozenset({"TOP", "RESP-CODES", "AUTH-RESP-CODE", "SASL", "UTF8", "LANG", "IMPLEMENTATION"})
PIPELINED = Quirk("terse", pop3=POP3Quirk(TERSE, withheld_capabilities=NEEDLESS))
LOCKSTEP = Quirk("lockstep", pop3=POP3Quirk(TERSE, withheld_capabilities=NEEDLESS | {"PIPELINING"}))
# It hangs up on pipelined commands, and what is unanswered is asked again in another session.
HANGING_UP = Quirk("hanging up", pop3=POP3Quirk(TERSE, withheld_capabilities=NEEDLESS, pipelining_limit=3))


async def listing(client: POP3Client, record: Record) -> None:
    assert len(await client.listing()) == len(MAIL)


async def retrieving(client: POP3Client, record: Record) -> None:
    async for item in client.retrieve(MAIL):
        record.got[item.entry.uid or ""] = await item.read()


async def deleting(client: POP3Client, record: Record) -> None:
    assert len((await client.delete(["u1", "u3"])).marked) == 2


async def committing(client: POP3Client, record: Record) -> None:
    await retrieving(client, record)
    await client.delete([*record.got][:2])
    await client.commit()


async def unmarking(client: POP3Client, record: Record) -> None:
    await client.delete("u1")
    await client.rollback()
    await client.delete("u2")
    await client.commit()


async def coming_back(client: POP3Client, record: Record) -> None:
    await client.delete("u2")
    record.reports.append(await client.commit(reconnect=True))
    await client.delete("u3")
    await client.commit()


async def batches(client: POP3Client, record: Record) -> None:
    run = client.retrieve(MAIL, batch=Batch(messages=1))
    record.runs.append(run)
    async for item in run:
        if item.error is None:
            record.got[item.entry.uid or ""] = await item.read()
            item.delete()
    await client.commit()


FLOWS: dict[str, tuple[Quirk, Flow]] = {
    "listing": (PIPELINED, listing),
    "retrieving": (PIPELINED, retrieving),
    "retrieving in lockstep": (LOCKSTEP, retrieving),
    "deleting": (PIPELINED, deleting),
    "deleting in lockstep": (LOCKSTEP, deleting),
    "committing": (PIPELINED, committing),
    "committing in lockstep": (LOCKSTEP, committing),
    "unmarking": (PIPELINED, unmarking),
    "coming back": (PIPELINED, coming_back),
    "batches": (PIPELINED, batches),
    "batches in lockstep": (LOCKSTEP, batches),
    "replay": (HANGING_UP, committing),
    "replay of batches": (HANGING_UP, batches),
}

EVERY_FLOW = pytest.mark.parametrize(("quirk", "flow"), FLOWS.values(), ids=FLOWS)


@INTERRUPTIONS
@EVERY_FLOW
async def test_an_interruption_at_any_turn_leaves_what_is_true(
    quirk: Quirk, flow: Flow, interrupt: Interrupt, stride: int
) -> None:
    skip_without_clock(interrupt)
    count = 0
    while await interrupt_after(count, quirk, flow, interrupt) is not None:
        count += stride
        assert count < 2000
    assert count > 3


async def interrupt_after(count: int, quirk: Quirk, flow: Flow, interrupt: Interrupt) -> BaseException | None:
    server, record = TrueServer(quirk), Record()
    client = server.client()
    await client.connect()
    outcome = await end_interrupted(flow(client, record), client, count, interrupt)
    with suppress(MailwireError):  # what was marked is in doubt, if it has lost the server
        await client.quit()
    await judge(server, client, record)
    return outcome


# In which something is committed.
FLOWS_CUT = ("committing", "committing in lockstep", "unmarking", "coming back", "batches", "replay")


def cuts() -> Iterator[Any]:
    for name in (*FLOWS_CUT, "listing", "retrieving"):
        quirk, flow = FLOWS[name]
        # How the connection is made and how it ends does not matter to what is deleted; these show it.
        links = ("socket", "streams", "reset") if name == "committing" else ("socket",)
        for link in links:
            for speaker in ("server", "client"):
                yield pytest.param(quirk, flow, link, speaker, id=f"{name} by {link}, {speaker} cut")


@pytest.mark.parametrize(("quirk", "flow", "link", "speaker"), list(cuts()))
async def test_an_end_behind_any_octet_leaves_what_is_true(
    quirk: Quirk, flow: Flow, link: str, speaker: Literal["server", "client"], stride: int
) -> None:
    words: set[str] = set()
    octets = 0
    while True:
        server = TrueServer(quirk, Cut(octets, speaker, link == "reset"), streams=link == "streams")
        client, record = server.client(), Record()
        try:
            await client.connect()
            await flow(client, record)
        except (ConnectionLost, ConnectionFailed):
            assert server.was_cut, "nothing else ends it"
        was_cut = server.was_cut
        with suppress(MailwireError):
            await client.quit()
        words |= set((await judge(server, client, record)).values())
        if not was_cut:
            break
        octets += stride
    assert octets > 50
    if flow not in (listing, retrieving):
        assert words >= {"unknown", "committed"}
