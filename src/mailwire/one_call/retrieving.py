"""retrieve: a connection to a server, what is in the maildrop, and the end of the connection."""

from contextlib import aclosing
from os import PathLike
from typing import Final, overload

from .._wire.text import check_whole_number
from ..aio.pop3 import POP3Client
from ..aio.pop3_settings import POP3Settings
from ..endpoint import Endpoint
from ..errors import (
    BudgetExceeded,
    Desynchronised,
    MailwireError,
    ResponseError,
    RetrievalIncomplete,
    UnknownMessage,
)
from ..maildrop import Account, Destination, Keep, Ledger, Policy, RetrievalReport, retrieve_into
from ..message import RetrievedMessage
from ..pop3 import Entry
from ..transcript import Transcript

__all__ = ["retrieve"]

_BUDGET: Final = 64 * 1024 * 1024


@overload
async def retrieve(
    endpoint: Endpoint | str,
    *,
    max_octets: int | None = None,
    settings: POP3Settings | None = None,
    transcript: Transcript | None = None,
) -> list[RetrievedMessage]: ...
@overload
async def retrieve(
    endpoint: Endpoint | str,
    *,
    into: Destination,
    ledger: Ledger | str | PathLike[str] | None = None,
    keep: Keep | None = None,
    policy: Policy | None = None,
    wait: float | None = 0,
    settings: POP3Settings | None = None,
    transcript: Transcript | None = None,
) -> RetrievalReport: ...
async def retrieve(
    endpoint: Endpoint | str,
    *,
    into: Destination | None = None,
    ledger: Ledger | str | PathLike[str] | None = None,
    keep: Keep | None = None,
    policy: Policy | None = None,
    wait: float | None = 0,
    max_octets: int | None = None,
    settings: POP3Settings | None = None,
    transcript: Transcript | None = None,
) -> list[RetrievedMessage] | RetrievalReport:
    """Retrieve what is in a maildrop: every message, into memory; or what is new, `into` a place of its own.

    Into memory: the messages are returned, and stay on the server. What is returned is whole, always. A server that
    announces EXPIRE 0 (RFC 2449 6.7) may delete, or hide, what it was asked for, and many messages are asked for at a
    time: where this ends early, some may be lost that have not come. Give a place for the mail of such a server: into
    one, it is asked for a message at a time, and each is stored before the next.

    max_octets: how much may be retrieved in all; None is 64 MiB. More raises BudgetExceeded: before the first
        message if the sizes that the server announces add up to it, else as soon as it shows. A size that is more by
        itself does not count beforehand, for there are servers that announce an absurd one: the message will show how
        long it is.
    settings: how the server is dealt with.

    Raises RetrievalIncomplete if the server refuses some of the messages, once the others were retrieved; otherwise the
    errors of `POP3Client`, Desynchronised among them where what came behind the last message shows that it may be cut
    off. The `messages` of any of them are those retrieved whole by then; of Desynchronised, there are none, for
    whatever came may have been cut off, or be a part of another message.

    Into a place of its own: a message is stored before the ledger says so, and in the ledger before the server is asked
    to delete it. The report tells what happened to each.

    into: a `Maildir`, an `MboxSink`, a sink of your own (`maildrop.Sink`), or a function that takes a message.
    ledger: what was retrieved by earlier runs: the path of a file, or a ledger. None if nothing is to be remembered.
        What it knows does not come again, nor does it stay on the server, though it went to another place: each place
        has a ledger of its own. Of one that cannot be read `report.cautions` alone tell: everything comes again then.
    keep: how long messages stay on the server, from when they were first seen: a duration, "until stored", or, which is
        the default, "for ever".
    policy: all that may be said of that (`maildrop.Policy`), instead of `keep`.
    wait: for how many seconds to wait for another run on the same account; None waits for ever.

    Raises what has ended the run, with the report in `report`: the errors of `POP3Client`, SinkFailed, LedgerError,
    LedgerBusy, MaildropRenumbered; and, with the report as well, what a ledger of your own or a provider of tokens has
    raised. ValueError for arguments that are none, or go together ill. A cancellation has no report: a `maildrop.Run`
    tells how far it has come behind one, too.
    """
    try:
        endpoint = Endpoint.of(endpoint)
    except ValueError:
        del endpoint  # the password in a URL: a traceback may show locals
        raise
    check_whole_number("max_octets", max_octets, 0, or_none=True)
    settings = POP3Settings() if settings is None else settings
    if into is not None:
        if keep is not None and policy is not None:
            raise ValueError("expected keep or a policy, which says how long to keep mail, not both")
        if max_octets is not None:
            raise ValueError("expected no max_octets with a place for the mail: a policy limits what comes into one")
        policy = Policy(keep="for ever" if keep is None else keep) if policy is None else policy
        account = Account(endpoint, into, policy=policy, settings=settings)
        return await retrieve_into(account, ledger, wait=wait, transcript=transcript)
    if ledger is not None or keep is not None or policy is not None:
        raise ValueError("expected a place for the mail, `into`: what is kept in memory alone, is kept on the server")
    if wait != 0:
        raise ValueError("expected a place for the mail, `into`: without one, there is no other run to wait for")
    messages: list[RetrievedMessage] = []
    try:
        async with POP3Client(endpoint, settings=settings, transcript=transcript) as client:
            await _retrieve_all(client, messages, _BUDGET if max_octets is None else max_octets)
    except MailwireError as error:
        # The server may delete, or hide, what it gave: this may be all that there is of it. Where it is out of step, it
        # may have been for some messages: one of them may be cut off, and the next made of what was the rest of it.
        error.messages = () if isinstance(error, Desynchronised) else tuple(messages)
        raise
    return messages


async def _retrieve_all(client: POP3Client, messages: list[RetrievedMessage], max_octets: int) -> None:
    entries = await client.listing()
    sizes = [entry.size for entry in entries if entry.size <= max_octets] if entries.octets > max_octets else []
    if sum(sizes) > max_octets:
        raise BudgetExceeded(f"{len(sizes)} messages of {sum(sizes)} octets are more than {max_octets} octets")
    errors: dict[Entry, ResponseError | UnknownMessage] = {}
    async with aclosing(client.retrieve(entries, total_limit=max_octets)) as items:
        async for item in items:
            if item.error is not None:
                errors[item.entry] = item.error
                continue
            raw = await item.read(limit=None)
            messages.append(RetrievedMessage(item.entry.number, item.entry.uid, raw))
    if errors:
        refusals = {entry.number: error.response for entry, error in errors.items() if isinstance(error, ResponseError)}
        missing = [error.uid for error in errors.values() if isinstance(error, UnknownMessage)]
        told = [f"{number}: {response}" for number, response in refusals.items()] + [f"{uid}: gone" for uid in missing]
        raise RetrievalIncomplete(
            f"{len(errors)} of {len(entries)} messages were {'not to be had' if missing else 'refused'}: "
            f"{'; '.join(told[:5])}",
            refusals=refusals,
            missing=missing,
            messages=messages,
        )
