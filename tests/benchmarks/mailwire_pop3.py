"""mailwire, retrieving: one POP3Client a connection.

A contender like `mailwire_smtp`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import SimpleNamespace

__all__ = ["KIND", "ROWS", "prepare", "run"]

KIND: Final = "pop3"
ROWS: Final[dict[str, dict[str, Any]]] = {
    "mailwire": {},
    "mailwire-uvloop": {"uvloop": True},
    "mailwire listing": {"listed": True, "only": ["P1", "P3"]},  # asks what there is before it retrieves it
    "mailwire retrieve()": {"at_once": True, "only": ["P1"]},
    "mailwire lockstep": {"pipelining": False, "only": ["P1", "P3"]},
    "mailwire@3.11": {"python": "py311", "only": ["P1", "P2"]},
}


def prepare(job: SimpleNamespace) -> None:
    """Make everything that a program has when it begins to retrieve."""
    import mailwire

    job.imported = mailwire.POP3Client, mailwire.retrieve  # which `import mailwire` alone leaves for later
    implicit = bool(job.tls)
    job.file = Path(job.out).open("wb", buffering=0) if job.out else None  # noqa: SIM115
    job.endpoint = mailwire.Endpoint(
        "localhost" if implicit else "127.0.0.1",
        job.port,
        "pop3",
        tls="implicit" if implicit else "none",
        tls_ca_file=job.cafile if implicit else None,
        auth=mailwire.Password(job.user, job.password),
        allow_cleartext_auth=True,
        pipelining=job.options.get("pipelining", True),
    )


async def run(job: SimpleNamespace) -> dict[str, int]:
    """Retrieve every message of `job.connections` maildrops; return how many messages and octets there were."""
    counts = await asyncio.gather(*(_retrieve(job) for _ in range(job.connections)))
    if job.file is not None:
        job.file.close()
    return {"messages": sum(count for count, _ in counts), "octets": sum(octets for _, octets in counts)}


async def _retrieve(job: SimpleNamespace) -> tuple[int, int]:
    import mailwire

    if job.options.get("at_once"):
        messages = await mailwire.retrieve(job.endpoint, max_octets=2**40)
        return len(messages), sum(len(message.raw) for message in messages)
    async with mailwire.POP3Client(job.endpoint) as client:
        if job.listing:
            return len(await client.listing()), 0
        entries = await client.listing()
        count = octets = 0
        async for item in client.retrieve(entries):
            count += 1
            if job.file is None:
                octets += len(await item.read())
                continue
            async for block in item:
                job.file.write(block)
                octets += len(block)
        return count, octets
