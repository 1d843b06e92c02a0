"""The loopback server in a process of its own, so that its work is not counted as a client's.

Run as a program, it takes the number of messages and the octets of each that the maildrop is to hold, prints its
ports, and ends when its standard input does.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mailwire.testing import Account, MailServer

__all__ = ["PASSWORD", "RECIPIENT", "SENDER", "USER", "make_message", "running"]

USER: Final = "reader"
PASSWORD: Final = "secret"
SENDER: Final = "sender@example.com"
RECIPIENT: Final = "rcpt@example.net"

_ROOT: Final = Path(__file__).parents[2]

_HEADER: Final = f"From: {SENDER}\r\nTo: {RECIPIENT}\r\nSubject: benchmark\r\n\r\n".encode()
_LINES: Final = b".a line that begins with a dot\r\n" + b"the quick mail of wire about a report and a meeting\r\n" * 15


def make_message(size: int) -> bytes:
    """Return a message of `size` octets, with a dot at the beginning of a line now and then."""
    text = _HEADER + _LINES * (size // len(_LINES) + 1)
    return text[: size - 2].rstrip(b"\r\n").ljust(size - 2, b"e") + b"\r\n"


@contextmanager
def running(messages: int, size: int) -> Iterator[tuple[int, int]]:
    """Start the server with so many messages of so many octets in its maildrop; yield its ports, SMTP and POP3."""
    command = [sys.executable, "-m", __name__, str(messages), str(size)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=_ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both are pipes")
        smtp_port, pop3_port = process.stdout.readline().split()
        yield int(smtp_port), int(pop3_port)
        process.stdin.close()


async def _serve(messages: int, size: int) -> None:
    # What is sent goes to nobody's maildrop that is read: the number of messages there is fixed.
    accounts = [Account(USER, PASSWORD, ("reader@example.net",)), Account("sent", PASSWORD, (RECIPIENT,))]
    async with MailServer(accounts) as server:
        message = make_message(size)
        for _ in range(messages):
            server.maildrop.put(USER, message)
        print(server.smtp_port, server.pop3_port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
