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
from collections.abc import Callable, Collection, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final

from . import mailwire_pool, mailwire_pop3, mailwire_send_all, mailwire_smtp, peers
from .loopback import PASSWORD, RECIPIENT, SENDER, USER, make_message, running

__all__ = ["TASKS", "Contender", "contenders", "main", "measure"]

TASKS: Final = ("one", "many", "file")
"""Small messages over one connection, small messages over some, and one large message from a file or to one."""

_SIZE: Final = 2048
_CONNECTIONS: Final = 10
_LARGE: Final = "large"

# What the README shows: a row for each of these that takes part, and where it stands.
_SHOWN: Final = (
    *("smtplib", "aiosmtplib", "mailwire", "mailwire send_all DATA", "mailwire send_all eager bdat"),
    *("mailwire pool DATA", "poplib"),
)
_BEGIN, _END = "<!-- measured -->\n", "<!-- end of measured -->"

_TITLES: Final = (
    ("one", "smtp", "{messages} messages sent"),
    ("many", "smtp", "{messages} messages sent over some connections"),
    ("file", "smtp", "a file of {size} MB sent"),
    ("one", "pop3", "{messages} messages retrieved"),
    ("file", "pop3", "a message of {size} MB retrieved into a file"),
)


@dataclass(frozen=True, eq=False)
class Contender:
    """A client in one way of using it: `run` takes a job and returns the counts, `prepare` is not timed.

    tasks: those it takes part in, of TASKS.
    """

    kind: str
    name: str
    run: Callable[[SimpleNamespace], Any]
    tasks: Collection[str]
    prepare: Callable[[SimpleNamespace], None] = lambda _: None
    options: Mapping[str, Any] = field(default_factory=dict)


def contenders() -> Iterator[Contender]:
    """Yield who takes part, the standard library first in each kind: the others are measured by it."""
    yield Contender("smtp", "smtplib", peers.send_by_smtplib, TASKS)
    if find_spec("aiosmtplib"):
        yield Contender("smtp", "aiosmtplib", peers.send_by_aiosmtplib, TASKS)
    yield from _ways_of(mailwire_smtp, TASKS)
    yield from _ways_of(mailwire_send_all, ("one", "many"))
    yield from _ways_of(mailwire_pool, ("one", "many"))
    yield Contender("pop3", "poplib", peers.retrieve_by_poplib, ("one", "file"))
    yield from _ways_of(mailwire_pop3, ("one", "file"))


def _ways_of(module: ModuleType, tasks: Collection[str]) -> Iterator[Contender]:
    for name, options in module.ROWS.items():
        if "python" not in options and ("uvloop" not in options or find_spec("uvloop")):
            # Ways that differ in how small messages are asked for tell nothing by a large one.
            taken = [
                task for task in tasks if task != "file" or not options.keys() & {"listed", "at_once", "pipelining"}
            ]
            yield Contender(module.KIND, name, module.run, taken, module.prepare, options)


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
    parser.add_argument(
        "--size", type=int, default=20, help="MB of the message that comes from a file, or goes to one (20)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds, of which the median counts (5)")
    parser.add_argument("--readme", type=Path, help="a Markdown file, whose table between its marks is to be replaced")
    options = parser.parse_args(arguments)
    rows: list[str] = []
    large = options.size * 1_000_000
    with (
        tempfile.TemporaryDirectory() as folder,
        running({USER: (options.messages, _SIZE), _LARGE: (1, large)}) as (smtp_port, pop3_port),
    ):
        bodies = Path(folder, "small.eml"), Path(folder, "large.eml")
        for body, size in zip(bodies, (_SIZE, large), strict=True):
            body.write_bytes(make_message(size))
        for task, kind, title in _TITLES:
            port = smtp_port if kind == "smtp" else pop3_port
            is_file = task == "file"
            job = _job(
                kind=kind,
                port=port,
                user=_LARGE if is_file else USER,
                count=1 if is_file else options.messages,
                size=large if is_file else _SIZE,
                connections=_CONNECTIONS if task == "many" else 1,
                body_path=str(bodies[is_file]),
                stream=is_file,
                out=str(Path(folder, "out.eml")) if is_file and kind == "pop3" else "",
            )
            taking_part = [one for one in contenders() if one.kind == kind and task in one.tasks]
            name = title.format(messages=job.count, size=options.size)
            medians = _medians(taking_part, job, options.rounds)
            _print(name, job.count, medians)
            rows += _rows(name, job.count, medians)
    if options.readme is not None:
        _write(options.readme, rows)


def _medians(taking_part: list[Contender], job: SimpleNamespace, rounds: int) -> dict[str, float]:
    seconds: dict[str, list[float]] = {contender.name: [] for contender in taking_part}
    for place in range(rounds):
        # Nobody is always the first, or always behind the same one.
        turn = place % len(taking_part)
        for contender in taking_part[turn:] + taking_part[:turn]:
            seconds[contender.name].append(measure(contender, copy(job)))
    return {name: statistics.median(took) for name, took in seconds.items()}


def _print(title: str, count: int, medians: dict[str, float]) -> None:
    print(f"\n{title}, processor time of the client per message:", flush=True)
    standard = next(iter(medians.values()))
    for name, median in medians.items():
        print(f"  {name:32} {median / count * 1e6:8.0f} us {median / standard:8.2f} x")


def _rows(title: str, count: int, medians: dict[str, float]) -> Iterator[str]:
    standard = next(iter(medians.values()))
    for name, median in medians.items():
        if name in _SHOWN:
            yield f"| {title} | {name} | {median / count * 1e6:,.0f} µs | {median / standard:.2f} |"
            title = ""


def _write(readme: Path, rows: list[str]) -> None:
    before, _, rest = readme.read_text("utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    head = "| | by | of the processor, for each | standard library = 1 |\n|---|---|---:|---:|\n"
    readme.write_text(before + _BEGIN + head + "\n".join(rows) + f"\n{_END}{after}", "utf-8")


def _job(**settings: Any) -> SimpleNamespace:
    return SimpleNamespace(
        tls="", cafile="", auth=False, password=PASSWORD, sender=SENDER, rcpts=[RECIPIENT], email=False, listing=False,
        **settings,
    )  # fmt: skip


if __name__ == "__main__":
    main()
