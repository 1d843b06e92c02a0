"""The peers that Python programs use otherwise, at their cheapest: smtplib, aiosmtplib, poplib."""

import asyncio
import importlib
import poplib
import smtplib
from pathlib import Path
from types import SimpleNamespace

__all__ = ["retrieve_by_poplib", "send_by_aiosmtplib", "send_by_smtplib"]


def send_by_smtplib(job: SimpleNamespace) -> dict[str, int]:
    """Send `job.count` messages over one connection, blocking."""
    octets = Path(job.body_path).read_bytes()
    with smtplib.SMTP("127.0.0.1", job.port, local_hostname="bench.example") as client:
        refused = [client.sendmail(job.sender, job.rcpts, octets) for _ in range(job.count)]
    return {"messages": len(refused)}


async def send_by_aiosmtplib(job: SimpleNamespace) -> dict[str, int]:
    """Send `job.count` messages over one connection. Raises ImportError where aiosmtplib is not installed."""
    aiosmtplib = importlib.import_module("aiosmtplib")
    octets = await asyncio.to_thread(Path(job.body_path).read_bytes)
    client = aiosmtplib.SMTP("127.0.0.1", job.port, start_tls=False, local_hostname="bench.example")
    async with client:
        answers = [await client.sendmail(job.sender, job.rcpts, octets) for _ in range(job.count)]
    return {"messages": len(answers)}


def retrieve_by_poplib(job: SimpleNamespace) -> dict[str, int]:
    """Retrieve `job.count` messages over one connection, blocking, each as octets."""
    client = poplib.POP3("127.0.0.1", job.port)
    client.user(job.user)
    client.pass_(job.password)
    messages = [b"\r\n".join(client.retr(number)[1]) for number in range(1, job.count + 1)]
    client.quit()
    return {"messages": len(messages), "octets": sum(len(message) + 2 for message in messages)}
