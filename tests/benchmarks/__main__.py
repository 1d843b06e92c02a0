"""Measures what mailwire costs beside smtplib, poplib and, if installed, aiosmtplib: `python -m tests.benchmarks`.

A server on the loopback interface, in a process of its own, takes and gives the messages. What is compared is the
processor time of the client alone, connecting and taking leave included: the median of some rounds in which the clients
take turns, as a ratio within one run. Absolute figures say more about the machine.
"""

import argparse
import asyncio
import importlib
import inspect
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from . import mailwire_pool, mailwire_pop3, mailwire_send_all, mailwire_smtp, peers
from .loopback import PASSWORD, RECIPIENT, SENDER, USER, make_message, running

__all__ = ["Contender", "contenders", "main", "measure"]

_SIZE: Final = 2048


@dataclass(frozen=True, eq=False)
class Contender:
    """A client in one way of using it: `run` takes a job and returns the counts, `prepare` is not timed."""

    kind: str
    name: str
    run: Callable[[SimpleNamespace], Any]
    prepare: Callable[[SimpleNamespace], None] = lambda _: None
    options: Mapping[str, Any] = field(default_factory=dict)


def contenders() -> Iterator[Contender]:
    """Yield who takes part, the standard library first in each kind: the others are measured by it."""
    yield Contender("smtp", "smtplib", peers.send_by_smtplib)
    if find_spec("aiosmtplib"):
        yield Contender("smtp", "aiosmtplib", peers.send_by_aiosmtplib)
    yield from _ways_of(mailwire_smtp.ROWS, mailwire_smtp.KIND, mailwire_smtp.run, mailwire_smtp.prepare)
    many = mailwire_send_all
    yield from _ways_of(many.ROWS, many.KIND, many.run, many.prepare)
    pool = mailwire_pool
    yield from _ways_of(pool.ROWS, pool.KIND, pool.run, pool.prepare)
    yield Contender("pop3", "poplib", peers.retrieve_by_poplib)
    yield from _ways_of(mailwire_pop3.ROWS, mailwire_pop3.KIND, mailwire_pop3.run, mailwire_pop3.prepare)


def _ways_of(
    rows: dict[str, dict[str, Any]],
    kind: str,
    run: Callable[[SimpleNamespace], Any],
    prepare: Callable[[SimpleNamespace], None],
) -> Iterator[Contender]:
    for name, options in rows.items():
        if "python" not in options and ("uvloop" not in options or find_spec("uvloop")):
            yield Contender(kind, name, run, prepare, options)


def measure(contender: Contender, job: SimpleNamespace) -> float:
    """Let `contender` do `job`; return its processor time in seconds. Raises RuntimeError if a message is missing."""
    job.options = contender.options
    contender.prepare(job)
    loop_factory = importlib.import_module("uvloop").new_event_loop if job.options.get("uvloop") else None
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.get_loop()
        start = time.process_time()
        result = contender.run(job)
        counts = runner.run(result) if inspect.iscoroutine(result) else result
        seconds = time.process_time() - start
    if counts["messages"] != job.count:
        raise RuntimeError(f"{contender.name}: expected {job.count} messages, got {counts['messages']}")
    return seconds


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=500, help="messages of 2 KB in each round (500)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, of which the median counts (5)")
    options = parser.parse_args(arguments)
    taking_part = list(contenders())
    seconds: dict[Contender, list[float]] = {contender: [] for contender in taking_part}
    with tempfile.TemporaryDirectory() as folder, running({USER: (options.messages, _SIZE)}) as (smtp_port, pop3_port):
        body = Path(folder, "message.eml")
        body.write_bytes(make_message(_SIZE))
        for place in range(options.rounds):
            # Nobody is always the first, or always behind the same one.
            turn = place % len(taking_part)
            for contender in taking_part[turn:] + taking_part[:turn]:
                port = smtp_port if contender.kind == "smtp" else pop3_port
                job = _job(options.messages, port, body)
                seconds[contender].append(measure(contender, job))
    for kind, verb in (("smtp", "sent"), ("pop3", "retrieved")):
        print(f"\n{options.messages} messages {verb}, processor time of the client per message:")
        medians = {one.name: statistics.median(took) for one, took in seconds.items() if one.kind == kind}
        standard = next(iter(medians.values()))
        for name, median in medians.items():
            print(f"  {name:32} {median / options.messages * 1e6:8.0f} us {median / standard:8.2f} x")


def _job(count: int, port: int, body: Path) -> SimpleNamespace:
    return SimpleNamespace(
        kind="", port=port, tls="", cafile="", auth=False, user=USER, password=PASSWORD, sender=SENDER,
        rcpts=[RECIPIENT], count=count, size=_SIZE, connections=1, body_path=str(body), email=False, stream=False,
        listing=False, out="",
    )  # fmt: skip


if __name__ == "__main__":
    main()
