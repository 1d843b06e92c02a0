"""mailwire, sending by a pool: `send` from as many tasks as there are connections, and `send_all` from one.

A contender for a benchmark that runs clients of many kinds, in the form of `mailwire_smtp`.
"""

from __future__ import annotations

import asyncio
from email import message_from_bytes, policy
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import SimpleNamespace

    import mailwire

__all__ = ["KIND", "ROWS", "prepare", "run"]

KIND: Final = "smtp"
ROWS: Final[dict[str, dict[str, Any]]] = {
    f"mailwire pool{name}{suffix}": {**way, **options, "only": ["S4"]}
    for name, way in (
        (" DATA", {"use_chunking": False}),
        (" bdat", {"use_chunking": True}),
        (" send_all DATA", {"many": True, "use_chunking": False}),
        (" send_all bdat eager", {"many": True, "use_chunking": "eager"}),
    )
    for suffix, options in (("", {}), ("-uvloop", {"uvloop": True}))
}


def prepare(job: SimpleNamespace) -> None:
    """Make everything that a program has when it begins to send."""
    import mailwire

    job.imported = mailwire.SMTPPool, mailwire.PoolSending, mailwire.Delivery  # not by `import mailwire` alone
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
    import mailwire

    async with mailwire.SMTPPool(
        job.endpoint, max_connections=job.connections, max_messages_per_connection=None
    ) as pool:
        if job.options.get("many"):
            return {"messages": await _send_all(job, pool)}
        share = job.count // job.connections
        accepted = await asyncio.gather(*(_send(job, pool, share) for _ in range(job.connections)))
        return {"messages": sum(accepted)}


async def _send(job: SimpleNamespace, pool: mailwire.SMTPPool, count: int) -> int:
    import mailwire

    accepted = 0
    way = job.options["use_chunking"]
    for _ in range(count):
        receipt = await pool.send(job.message, sender=job.sender, recipients=job.rcpts, use_chunking=way)
        accepted += receipt.delivery is mailwire.Delivery.ACCEPTED
    return accepted


async def _send_all(job: SimpleNamespace, pool: mailwire.SMTPPool) -> int:
    import mailwire

    accepted = 0
    way = job.options["use_chunking"]
    messages = repeat(job.message, job.count)
    async with pool.send_all(messages, sender=job.sender, recipients=job.rcpts, use_chunking=way) as results:
        async for result in results:
            accepted += result.delivery is mailwire.Delivery.ACCEPTED
    return accepted
