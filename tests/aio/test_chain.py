"""Mails in a row over one dialogue: when each begins, and what is known of it where the connection ends."""

import asyncio
from typing import Any

from mailwire import BulkSending, Delivery, SendResult, SMTPClient, Timeouts
from mailwire.testing import FIN, LISTEN, MAIL_DATA, WAIT, ScriptedPeer, Step
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import MESSAGE, QUIT, extensions
from tests.aio.pools import ENVELOPE, in_turn

PATIENCE = Timeouts(close=0.01)
LOCKSTEP: dict[str, Any] = {**ENVELOPE, "use_chunking": False}
NAMED: tuple[Step, ...] = ("C: MAIL FROM:<a@example.org>", "C: RCPT TO:<b@example.org>")
BEGUN: tuple[Step, ...] = (*NAMED, "C: DATA")
TAKES: tuple[Step, ...] = ("S: 250 a", "S: 250 b", "S: 354 go", MAIL_DATA)
COMMANDS = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"


async def collect(run: BulkSending) -> list[SendResult]:
    return [result async for result in run]


async def test_the_next_mail_leaves_behind_the_end_of_one_as_soon_as_a_result_has_made_room_for_it() -> None:
    script: tuple[Step, ...] = (
        *(*extensions("PIPELINING"), *BEGUN, *TAKES, *BEGUN, "S: 250 taken", *TAKES),
        *(*BEGUN, WAIT, "S: 250 taken", *TAKES, "S: 250 taken", *QUIT),
    )
    async with ScriptedPeer(*script) as peer, SMTPClient(peer.endpoint(timeouts=PATIENCE)) as client:
        run = client.send_all([MESSAGE] * 3, **LOCKSTEP, look_ahead=2)
        assert (await anext(run)).delivery is Delivery.ACCEPTED
        waiting = asyncio.ensure_future(collect(run))
        await drain_events()
        assert peer.heard.endswith(b"\r\n.\r\n" + COMMANDS)
        peer.go_on()
        assert [result.delivery for result in await waiting] == [Delivery.ACCEPTED] * 2


async def test_a_connection_that_breaks_under_one_mail_says_nothing_against_mails_in_a_row() -> None:
    breaks: tuple[Step, ...] = (*extensions("PIPELINING"), *BEGUN, FIN, LISTEN)
    takes: tuple[Step, ...] = (
        *(*extensions("PIPELINING"), *BEGUN, *TAKES, WAIT),
        *(*BEGUN, "S: 250 taken", *TAKES, "S: 250 taken", *QUIT),
    )
    async with ScriptedPeer(*breaks) as first, ScriptedPeer(*takes) as second:
        client = SMTPClient(first.endpoint(connect=in_turn(first, second), timeouts=PATIENCE))
        async with client:
            waiting = asyncio.ensure_future(collect(client.send_all([MESSAGE] * 2, **LOCKSTEP)))
            await drain_events()
            assert second.heard.endswith(b"\r\n.\r\n" + COMMANDS)
            second.go_on()
            assert [result.delivery for result in await waiting] == [Delivery.ACCEPTED] * 2
