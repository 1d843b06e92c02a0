"""The loopback server in a process of its own, so that its work is not counted as a client's.

Run as a program, it takes the maildrops that it is to hold, as JSON, prints its ports, and ends when its standard input
does.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mailwire.testing import Account, MailServer, Policy

__all__ = ["PASSWORD", "RECIPIENT", "SENDER", "USER", "make_message", "running"]

USER: Final = "reader"
PASSWORD: Final = "secret"
SENDER: Final = "sender@example.com"
RECIPIENT: Final = "rcpt@example.net"

_ROOT: Final = Path(__file__).parents[2]
_LARGEST: Final = 1024 * 1024 * 1024

_HEADER: Final = f"From: {SENDER}\r\nTo: {RECIPIENT}\r\nSubject: benchmark\r\n\r\n".encode()
_LINES: Final = b".a line that begins with a dot\r\n" + b"the quick mail of wire about a report and a meeting\r\n" * 15


def make_message(size: int) -> bytes:
    """Return a message of `size` octets, with a dot at the beginning of a line now and then."""
    text = _HEADER + _LINES * (size // len(_LINES) + 1)
    return text[: size - 2].rstrip(b"\r\n").ljust(size - 2, b"e") + b"\r\n"


@contextmanager
def running(maildrops: Mapping[str, tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Start the server with a maildrop for each user, of so many messages of so many octets; yield its ports, SMTP and
    POP3. Mail to whoever is at example.net is taken."""
    command = [sys.executable, "-m", __name__, json.dumps(maildrops)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=_ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both are pipes")
        smtp_port, pop3_port = process.stdout.readline().split()
        yield int(smtp_port), int(pop3_port)
        process.stdin.close()


async def _serve(maildrops: Mapping[str, tuple[int, int]]) -> None:
    # What is sent goes to nobody's maildrop that is read: the number of messages there is fixed.
    addresses = [RECIPIENT, *(f"rcpt{number}@example.net" for number in range(10_000))]
    accounts = [Account(user, PASSWORD) for user in maildrops]
    accounts.append(Account("sent", PASSWORD, tuple(addresses)))
    async with MailServer(accounts, policy=Policy(size_limit=_LARGEST)) as server:
        for user, (count, size) in maildrops.items():
            message = make_message(size)
            for _ in range(count):
                server.maildrop.put(user, message)
        print(server.smtp_port, server.pop3_port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(json.loads(sys.argv[1])))
