"""probe: whether there is anything new, for the price of a login."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from .._wire.text import check_seconds
from ..aio.pop3 import POP3Client
from ..aio.pop3_settings import POP3Settings
from ..aio.portions import finish_in_turns
from ..endpoint import Endpoint
from ..errors import ResponseError
from ..transcript import Transcript
from .account import name_account
from .ledger import Ledger, Record, check_ledger
from .naming import Named
from .recognition import may_be_the_stored

__all__ = ["Probe", "probe"]

_DEFAULT_SETTINGS = POP3Settings()


@dataclass(frozen=True, slots=True)
class Probe:
    """What there is in a maildrop: how many messages, of how many octets, and how many of them are not stored yet.

    Numbers that the server does not tell are None.
    """

    messages: int | None
    octets: int | None
    new: int | None


async def probe(
    endpoint: Endpoint | str,
    *,
    ledger: Ledger | None = None,
    account: str = "",
    wait: float | None = 0,
    settings: POP3Settings = _DEFAULT_SETTINGS,
    transcript: Transcript | None = None,
) -> Probe:
    """Ask how many messages there are (STAT) and, if there are any and a ledger, how many are new (LIST, UIDL): those
    that a run would fetch, whatever its policy leaves. That is not told where no message has a unique id.

    Nothing is retrieved, deleted or written down. `account` is what the ledger knows the account by, if not by user
    and host; the others are those of `Run` and `Account`. Raises the errors of
    `POP3Client`, LedgerBusy, LedgerUnreadable, LedgerError; ValueError for arguments that are none.
    """
    try:
        endpoint = Endpoint.of(endpoint)
    except ValueError:
        del endpoint  # the password in a URL: a traceback may show locals
        raise
    check_ledger(ledger)
    check_seconds("wait", wait)
    records: Mapping[str, Record] = {}
    if ledger is not None:
        async with ledger.claim(account or name_account(endpoint), wait=wait) as page:
            records = await page.records()
    async with POP3Client(endpoint, settings=settings, transcript=transcript) as client:
        total = await client.stat()
        if ledger is None or total.count == 0:
            return Probe(total.count, total.octets, total.count)
        try:
            listing = await client.listing()
        except ResponseError:
            return Probe(total.count, total.octets, None)
        named, new = Named(listing), 0
        await finish_in_turns(named.prepare())
        if named.nameless == len(named):
            return Probe(total.count, total.octets, None)
        for portion in named.portions():
            known = ((entry, None if uid is None else records.get(uid)) for _, entry, uid in portion)
            new += sum(record is None or not may_be_the_stored(record, entry) for entry, record in known)
            await asyncio.sleep(0)
        return Probe(total.count, total.octets, new)
