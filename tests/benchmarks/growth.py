"""Shows how what mailwire costs grows with messages, recipients, octets and connections, in steps of ten:
`python -m tests.benchmarks.growth`.

Three figures for each amount: how many functions the client calls, the most memory that it holds at once, and its
processor time. The first needs no clock and no quiet machine, the second next to none. The server is the loopback
server, in a process of its own.
"""

import argparse
import asyncio
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, Final

from mailwire import Endpoint, Password, POP3Client, SMTPClient, SMTPPool, send
from tests.counting import calls

from .loopback import PASSWORD, RECIPIENT, SENDER, make_message, running

__all__ = ["Cost", "Dimension", "Place", "dimensions", "maildrops_of", "main", "measure"]

_SMALL: Final = 2048
_MIB: Final = 1024 * 1024
# Messages or mails for each connection, where it is connections that grow.
_EACH: Final = 3


@dataclass(frozen=True)
class Place:
    """Where the server is, and a folder for files."""

    smtp_port: int
    pop3_port: int
    folder: Path

    def smtp(self, **settings: Any) -> Endpoint:
        """Return the endpoint to send to."""
        return Endpoint("127.0.0.1", self.smtp_port, tls="none", local_hostname="bench.example", **settings)

    def pop3(self, user: str) -> Endpoint:
        """Return the endpoint of a maildrop."""
        login = Password(user, PASSWORD)
        return Endpoint("127.0.0.1", self.pop3_port, "pop3", tls="none", auth=login, allow_cleartext_auth=True)


@dataclass(frozen=True)
class Dimension:
    """Something of which there may be ten times as much.

    run: does it with so many; prepare: is called before, and not measured.
    amounts: those of a table; few: the least that make sense. drops: the maildrops that are needed for an amount.
    """

    name: str
    run: Callable[[Place, int], Awaitable[None]]
    amounts: Sequence[int]
    few: int
    prepare: Callable[[Place, int], object] = lambda *_: None
    drops: Callable[[int], dict[str, tuple[int, int]]] = lambda _: {}


@dataclass(frozen=True)
class Cost:
    """What an amount has cost: function calls of Python and of C, octets at once, seconds of the processor."""

    amount: int
    calls: int
    octets: int
    seconds: float


# Sending


async def _send(place: Place, count: int) -> None:
    async with SMTPClient(place.smtp()) as client:
        for _ in range(count):
            await client.send(make_message(_SMALL), sender=SENDER, recipients=RECIPIENT)


async def _send_all(place: Place, count: int) -> None:
    async with SMTPClient(place.smtp()) as client:
        await _have_all_sent(client, count, use_chunking=False)


async def _send_all_eagerly(place: Place, count: int) -> None:
    async with SMTPClient(place.smtp()) as client:
        await _have_all_sent(client, count, use_chunking="eager")


async def _send_by_pool(place: Place, count: int) -> None:
    async with SMTPPool(place.smtp()) as pool:
        await asyncio.gather(*(_send_by(pool) for _ in range(count)))


async def _send_all_by_pool(place: Place, count: int) -> None:
    async with SMTPPool(place.smtp()) as pool:
        await _have_all_sent(pool, count, use_chunking=False)


async def _send_over_connections(place: Place, count: int) -> None:
    async with SMTPPool(place.smtp(), max_connections=count) as pool:
        await asyncio.gather(*(_send_by(pool) for _ in range(count * _EACH)))


async def _send_all_over_connections(place: Place, count: int) -> None:
    async with SMTPPool(place.smtp(), max_connections=count) as pool:
        await _have_all_sent(pool, count * _EACH, use_chunking=False)


async def _send_to_many(place: Place, count: int) -> None:
    recipients = [f"rcpt{number}@example.net" for number in range(count)]
    await send(make_message(_SMALL), place.smtp(), sender=SENDER, recipients=recipients)


async def _send_file(place: Place, count: int) -> None:
    await _send_large(place, count, use_chunking=False)


async def _send_file_in_chunks(place: Place, count: int) -> None:
    await _send_large(place, count, use_chunking=True)


async def _send_large(place: Place, count: int, *, use_chunking: bool) -> None:
    endpoint = place.smtp(use_chunking=use_chunking)
    await send(place.folder / f"{count}.eml", endpoint, sender=SENDER, recipients=RECIPIENT)


async def _send_by(pool: SMTPPool) -> None:
    await pool.send(make_message(_SMALL), sender=SENDER, recipients=RECIPIENT)


async def _have_all_sent(sender: SMTPClient | SMTPPool, count: int, **settings: Any) -> None:
    messages = repeat(make_message(_SMALL), count)
    async with sender.send_all(messages, sender=SENDER, recipients=RECIPIENT, **settings) as results:
        async for result in results:
            result.raise_error()


def _write_file(place: Place, count: int) -> None:
    (place.folder / f"{count}.eml").write_bytes(make_message(count * _MIB))


# Retrieving


async def _retrieve(place: Place, count: int) -> None:
    async with POP3Client(place.pop3(f"small{count}")) as client:
        async for item in client.retrieve(await client.listing()):
            await item.read()


async def _retrieve_large(place: Place, count: int) -> None:
    async with POP3Client(place.pop3(f"large{count}")) as client:
        async for item in client.retrieve(await client.listing()):
            async for _ in item:
                pass


async def _list(place: Place, count: int) -> None:
    async with POP3Client(place.pop3(f"small{count}")) as client:
        await client.listing()


async def _retrieve_from_many(place: Place, count: int) -> None:
    await asyncio.gather(*(_retrieve_user(place, f"user{number}") for number in range(count)))


async def _retrieve_user(place: Place, user: str) -> None:
    async with POP3Client(place.pop3(user)) as client:
        async for item in client.retrieve(await client.listing()):
            await item.read()


def _small_drop(count: int) -> dict[str, tuple[int, int]]:
    return {f"small{count}": (count, _SMALL)}


def _large_drop(count: int) -> dict[str, tuple[int, int]]:
    return {f"large{count}": (1, count * _MIB)}


def _many_drops(count: int) -> dict[str, tuple[int, int]]:
    return {f"user{number}": (_EACH, _SMALL) for number in range(count)}


def dimensions() -> Iterator[Dimension]:
    """Yield what may grow."""
    many, some = (30, 300, 3000), (2, 20, 200)
    yield Dimension("mails, send", _send, many, 10)
    yield Dimension("mails, send_all over DATA", _send_all, many, 10)
    yield Dimension("mails, send_all in eager chunks", _send_all_eagerly, many, 10)
    yield Dimension("mails, pool.send from as many tasks", _send_by_pool, many, 10)
    yield Dimension("mails, pool.send_all", _send_all_by_pool, many, 10)
    yield Dimension("connections, pool.send", _send_over_connections, some, 2)
    yield Dimension("connections, pool.send_all", _send_all_over_connections, some, 2)
    # The commands to a hundred or so are one group, of which each costs less than where it takes several windows.
    yield Dimension("recipients of a mail", _send_to_many, (100, 1000, 10_000), 200)
    yield Dimension("MiB of a file, over DATA", _send_file, (1, 10, 100), 1, prepare=_write_file)
    yield Dimension("MiB of a file, in chunks", _send_file_in_chunks, (1, 10, 100), 1, prepare=_write_file)
    yield Dimension("messages retrieved", _retrieve, many, 10, drops=_small_drop)
    yield Dimension("messages listed", _list, many, 100, drops=_small_drop)
    yield Dimension("MiB of a message, in blocks", _retrieve_large, (1, 10, 100), 1, drops=_large_drop)
    yield Dimension("maildrops at once", _retrieve_from_many, some, 2, drops=_many_drops)


def maildrops_of(wanted: Iterator[tuple[Dimension, Sequence[int]]]) -> dict[str, tuple[int, int]]:
    """Return the maildrops that are needed to measure dimensions by these amounts."""
    drops: dict[str, tuple[int, int]] = {}
    for dimension, amounts in wanted:
        for amount in amounts:
            drops |= dimension.drops(amount)
    return drops


def measure(dimension: Dimension, place: Place, amount: int, *, is_timed: bool = True) -> Cost:
    """Do it twice, to count the calls and see the memory, and to look at the clock, if it is timed."""
    dimension.prepare(place, amount)
    tracemalloc.start()
    try:
        counted = calls(lambda: asyncio.run(_awaited(dimension.run(place, amount))))
        octets = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    seconds = 0.0
    if is_timed:
        begun = time.process_time()
        asyncio.run(_awaited(dimension.run(place, amount)))
        seconds = time.process_time() - begun
    return Cost(amount, counted, octets, seconds)


async def _awaited(work: Awaitable[None]) -> None:
    await work


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.growth", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="no more than what has this in its name")
    parser.add_argument("--few", action="store_true", help="amounts as small as make sense, and ten times that")
    options = parser.parse_args(arguments)
    wanted = [each for each in dimensions() if options.only in each.name]
    amounts = {each.name: (each.few, each.few * 10) if options.few else each.amounts for each in wanted}
    drops = maildrops_of((each, amounts[each.name]) for each in wanted)
    head = f"{'':38}{'amount':>8}{'calls':>12}{'KiB at once':>13}{'ms':>10}   by ten times as much: calls, memory, time"
    print(head)
    with tempfile.TemporaryDirectory() as folder, running(drops) as (smtp_port, pop3_port):
        place = Place(smtp_port, pop3_port, Path(folder))
        for dimension in wanted:
            before: Cost | None = None
            for amount in amounts[dimension.name]:
                cost = measure(dimension, place, amount)
                print(_row(dimension.name, cost, before), flush=True)
                before = cost


def _row(name: str, cost: Cost, before: Cost | None) -> str:
    row = f"{name:38}{cost.amount:8}{cost.calls:12}{cost.octets / 1024:13.0f}{cost.seconds * 1000:10.1f}"
    if before is None:
        return row
    times = (cost.calls / before.calls, cost.octets / before.octets, cost.seconds / before.seconds)
    return row + "   " + ", ".join(f"x {each:.1f}" for each in times)


if __name__ == "__main__":
    main()
