"""mailwire, sending many: one SMTPClient a connection, `send_all` with ready octets, behind DATA and in eager chunks.

A contender for a benchmark that runs clients of many kinds, in the form of `mailwire_smtp`.
"""

from __future__ import annotations

import asyncio
from email import message_from_bytes, policy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import SimpleNamespace

__all__ = ["KIND", "ROWS", "prepare", "run"]

KIND: Final = "smtp"
ROWS: Final[dict[str, dict[str, Any]]] = {
    f"mailwire send_all {name}{suffix}": {"use_chunking": use_chunking, "skip": ["S6", "S7"], **options}
    for name, use_chunking in (("DATA", False), ("eager bdat", "eager"))
    for suffix, options in (("", {}), ("-uvloop", {"uvloop": True}))
}


def prepare(job: SimpleNamespace) -> None:
    """Make everything that a program has when it begins to send."""
    import mailwire

    job.imported = mailwire.SMTPClient, mailwire.BulkSending, mailwire.Delivery  # not by `import mailwire` alone
    implicit = bool(job.tls)
    job.endpoint = mailwire.Endpoint(
        "localhost" if implicit else "127.0.0.1",
        job.port,
        tls="implicit" if implicit else "none",
        tls_ca_file=job.cafile if implicit else None,
        auth=mailwire.Password(job.user, job.password) if job.auth else None,
        allow_cleartext_auth=True,
        local_hostname="bench.example",
    )
    octets = Path(job.body_path).read_bytes()
    job.message = message_from_bytes(octets, policy=policy.SMTP) if job.email else octets


async def run(job: SimpleNamespace) -> dict[str, int]:
    """Send `job.count` messages over `job.connections` connections; return how many were accepted."""
    share = job.count // job.connections
    accepted = await asyncio.gather(*(_send(job, share) for _ in range(job.connections)))
    return {"messages": sum(accepted)}


async def _send(job: SimpleNamespace, count: int) -> int:
    import mailwire

    def messages() -> Iterator[Any]:
        for _ in range(count):
            yield job.message

    accepted = 0
    async with mailwire.SMTPClient(job.endpoint) as client:
        way = job.options["use_chunking"]
        async with client.send_all(messages(), sender=job.sender, recipients=job.rcpts, use_chunking=way) as results:
            async for result in results:
                accepted += result.delivery is mailwire.Delivery.ACCEPTED
    return accepted
