"""mailwire, sending: one SMTPClient a connection, `send` with ready octets, or from a file where one is to be streamed.

A contender for a benchmark that runs clients of many kinds. `ROWS` has a name and the options of each way of sending;
`prepare` is not timed; `run` is, from connecting to the leave-taking. Who only reads `ROWS` need not have mailwire
installed, hence the imports inside the functions.
"""

from __future__ import annotations

import asyncio
from email import message_from_bytes, policy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import SimpleNamespace

__all__ = ["KIND", "ROWS", "prepare", "run"]

KIND: Final = "smtp"
ROWS: Final[dict[str, dict[str, Any]]] = {
    "mailwire": {"use_chunking": False},
    "mailwire-uvloop": {"use_chunking": False, "uvloop": True},
    "mailwire bdat": {"use_chunking": True},
    "mailwire eager bdat": {"use_chunking": "eager"},
    "mailwire lockstep": {"use_chunking": False, "pipelining": False, "only": ["S1", "S5", "S6"]},
    "mailwire@3.11": {"use_chunking": False, "python": "py311", "only": ["S1", "S3"]},
}


def prepare(job: SimpleNamespace) -> None:
    """Make everything that a program has when it begins to send."""
    import mailwire

    job.imported = mailwire.SMTPClient, mailwire.Delivery  # which `import mailwire` alone leaves for later
    implicit = bool(job.tls)
    job.endpoint = mailwire.Endpoint(
        "localhost" if implicit else "127.0.0.1",
        job.port,
        tls="implicit" if implicit else "none",
        tls_ca_file=job.cafile if implicit else None,
        auth=mailwire.Password(job.user, job.password) if job.auth else None,
        allow_cleartext_auth=True,
        local_hostname="bench.example",
        pipelining=job.options.get("pipelining", True),
        use_chunking=job.options["use_chunking"],
    )
    path = Path(job.body_path)
    if job.stream:
        job.message = path  # read as it is sent
    else:
        job.message = message_from_bytes(path.read_bytes(), policy=policy.SMTP) if job.email else path.read_bytes()


async def run(job: SimpleNamespace) -> dict[str, int]:
    """Send `job.count` messages over `job.connections` connections; return how many were accepted."""
    share = job.count // job.connections
    accepted = await asyncio.gather(*(_send(job, share) for _ in range(job.connections)))
    return {"messages": sum(accepted)}


async def _send(job: SimpleNamespace, count: int) -> int:
    import mailwire

    accepted = 0
    async with mailwire.SMTPClient(job.endpoint) as client:
        for _ in range(count):
            receipt = await client.send(job.message, sender=job.sender, recipients=job.rcpts)
            accepted += receipt.delivery is mailwire.Delivery.ACCEPTED
    return accepted
