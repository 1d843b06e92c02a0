"""The peers that Python programs use otherwise, at their cheapest: smtplib, aiosmtplib, poplib."""

import asyncio
import importlib
import poplib
import smtplib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

__all__ = ["retrieve_by_poplib", "send_by_aiosmtplib", "send_by_smtplib"]


def send_by_smtplib(job: SimpleNamespace) -> dict[str, int]:
    """Send `job.count` messages, blocking, with a thread for each connection."""
    octets = Path(job.body_path).read_bytes()

    def send(count: int) -> int:
        with smtplib.SMTP("127.0.0.1", job.port, local_hostname="bench.example") as client:
            return len([client.sendmail(job.sender, job.rcpts, octets) for _ in range(count)])

    if job.connections == 1:
        return {"messages": send(job.count)}
    with ThreadPoolExecutor(job.connections) as threads:
        return {"messages": sum(threads.map(send, [job.count // job.connections] * job.connections))}


async def send_by_aiosmtplib(job: SimpleNamespace) -> dict[str, int]:
    """Send `job.count` messages, with a task for each connection. Raises ImportError where aiosmtplib is not there."""
    aiosmtplib = importlib.import_module("aiosmtplib")
    octets = await asyncio.to_thread(Path(job.body_path).read_bytes)

    async def send(count: int) -> int:
        async with aiosmtplib.SMTP(
            hostname="127.0.0.1", port=job.port, start_tls=False, local_hostname="bench.example", timeout=600
        ) as client:
            return len([await client.sendmail(job.sender, job.rcpts, octets) for _ in range(count)])

    share = job.count // job.connections
    return {"messages": sum(await asyncio.gather(*(send(share) for _ in range(job.connections))))}


def retrieve_by_poplib(job: SimpleNamespace) -> dict[str, int]:
    """Retrieve `job.count` messages over one connection, blocking, each as octets, or into a file."""
    client = poplib.POP3("127.0.0.1", job.port)
    client.user(job.user)
    client.pass_(job.password)
    octets = 0
    for number in range(1, job.count + 1):
        message = b"\r\n".join([*client.retr(number)[1], b""])
        octets += Path(job.out).write_bytes(message) if job.out else len(message)
    client.quit()
    return {"messages": job.count, "octets": octets}
