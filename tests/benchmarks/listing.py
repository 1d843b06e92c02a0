"""Measures what the listing of a large maildrop takes: `python -m tests.benchmarks.listing`.

The client is a process of its own: its seconds are counted from before STAT until the listing is there, and its memory
is the most that it ever held (its resident set), less what the same process holds for a maildrop of one message. The
server writes as fast as it is read from. Each message has a unique id of 20 octets.
"""

import argparse
import asyncio
import json
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final

from mailwire import Endpoint, Password, POP3Client

__all__ = ["Cost", "main", "measure"]

_ANSWERS: Final = {b"CAPA": b"+OK\r\nUIDL\r\nPIPELINING\r\n.\r\n", b"QUIT": b"+OK bye\r\n"}
_LINES: Final = 1000  # in one write


@dataclass(frozen=True)
class Cost:
    """What the listing of so many `entries` has taken: seconds, and KiB at once."""

    entries: int
    seconds: float
    kib: int


async def measure(entries: int) -> Cost:
    """Return what it takes to list so many."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"+OK\r\n")
        while line := await reader.readline():
            command = line.split()[0]
            if command in (b"LIST", b"UIDL"):
                writer.write(b"+OK\r\n")
                for block in _lines(command, entries):
                    writer.write(block)
                    await writer.drain()
                writer.write(b".\r\n")
            elif command == b"STAT":
                writer.write(b"+OK %d %d\r\n" % (entries, entries * 2048))
            else:
                writer.write(_ANSWERS.get(command, b"+OK\r\n"))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        words = (sys.executable, "-m", __name__ if __name__ != "__main__" else "tests.benchmarks.listing")
        client = await asyncio.create_subprocess_exec(*words, "--client", str(port), stdout=asyncio.subprocess.PIPE)
        told, _ = await client.communicate()
    if client.returncode:
        raise RuntimeError(f"the client has ended with status {client.returncode}")
    return Cost(**json.loads(told))


def _lines(command: bytes, entries: int) -> Iterator[bytes]:
    form = b"%d 2048\r\n" if command == b"LIST" else b"%d %020d\r\n"
    for begin in range(1, entries + 1, _LINES):
        numbers = range(begin, min(begin + _LINES, entries + 1))
        yield b"".join(form % ((number,) if command == b"LIST" else (number, number)) for number in numbers)


async def _list(port: int) -> Cost:
    endpoint = Endpoint(
        "127.0.0.1", port, "pop3", tls="none", auth=Password("bench", "bench"), allow_cleartext_auth=True
    )
    async with POP3Client(endpoint) as client:
        began = time.perf_counter()
        listing = await client.listing()
        seconds = time.perf_counter() - began
    if listing.findings:
        raise RuntimeError(f"nothing is wrong with the listing, but there are findings: {listing.findings}")
    return Cost(len(listing), seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.listing", description=(__doc__ or "").strip())
    parser.add_argument("--entries", type=int, default=1_000_000, help="messages in the maildrop (1,000,000)")
    parser.add_argument("--client", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.client is not None:
        print(json.dumps(asdict(asyncio.run(_list(options.client)))))
        return
    least = asyncio.run(measure(1))
    cost = asyncio.run(measure(options.entries))
    print(f"{cost.entries:,} entries, {cost.seconds:.2f} s, {(cost.kib - least.kib) / 1024:.1f} MiB more than for one")


if __name__ == "__main__":
    main()
