"""A run is killed at every step, against the real file system and a server that deletes at QUIT and at no other time.

Whatever the step: no mail is lost, at no moment; and when a later run has come to its end, a Maildir has each mail
once. A sink that knows nothing of what it has got before has one mail twice at most.
"""

import asyncio
import multiprocessing
import random
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path

import pytest

from mailwire.testing import MailServer
from tests.maildrop import crash_run
from tests.maildrop.runs import USER, body, fill

TEXTS = ("one", "two", "three")
SINKS = pytest.mark.parametrize("kind", ["maildir", "function"])


@pytest.fixture
async def server() -> AsyncGenerator[MailServer, None]:
    async with MailServer([USER]) as server:
        yield server


class Laboratory:
    """Runs in processes of their own, which share a folder and a server."""

    def __init__(self, server: MailServer, folder: Path, kind: str) -> None:
        self.server = server
        self.folder = folder
        self.kind = kind
        self.crashes = 0
        # A process that has all in memory makes the ones that are to die, which takes a fraction of the time.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([crash_run.__name__])

    async def run(self, step: int = 0, steps_file: Path | None = None) -> int:
        """Do a run that dies at `step` (0: at none); return what the process has ended by."""
        arguments = (step, self.server.pop3_port, str(self.folder), self.kind, str(steps_file or ""))
        process = self._context.Process(target=crash_run.run_and_die, args=arguments)
        process.start()
        await asyncio.to_thread(process.join, 60)
        code = process.exitcode
        assert code in (0, -9)
        self.crashes += code != 0
        # The server lets go of the maildrop when it sees that the client is gone.
        await self.server.wait_idle()
        return code or 0

    def stored(self) -> Counter[bytes]:
        """What is in the sink, by subject."""
        if self.kind == "maildir":
            mails = [file.read_bytes() for file in (self.folder / "Mail").glob("[nc]*/*")]
            assert set(mails) <= {body(text) for text in TEXTS}, "a mail that is not whole"
            return Counter(mail.partition(b"\r\n")[0] for mail in mails)
        log = self.folder / "log"
        return Counter(log.read_bytes().split(b"\n")[:-1] if log.exists() else ())

    def check(self) -> None:
        """No mail is lost, and none is there more often than it may be."""
        expected = {f"Subject: {text}".encode() for text in TEXTS}
        on_server = {message.content.partition(b"\r\n")[0] for message in self.server.messages(USER.user)}
        stored = self.stored()
        assert set(stored) | on_server == expected
        assert sum(stored.values()) - len(stored) <= (0 if self.kind == "maildir" else self.crashes)

    async def die_at(self, *steps: int) -> None:
        """Begin with the mail on the server, die at each of these steps in turn, and come to an end."""
        fill(self.server, *TEXTS)
        for step in steps:
            await self.run(step)
            self.check()
        assert await self.run() == 0
        self.check()
        assert self.server.messages(USER.user) == ()


async def steps_of_a_run(server: MailServer, folder: Path, kind: str) -> list[str]:
    """The names of the steps of a run that comes to its end."""
    folder.mkdir()
    fill(server, *TEXTS)
    await Laboratory(server, folder, kind).run(steps_file=folder / "steps")
    assert server.messages(USER.user) == ()
    return (folder / "steps").read_text().splitlines()


async def die_at_each(server: MailServer, tmp_path: Path, kind: str, numbers: Iterable[int]) -> None:
    for number in numbers:
        folder = tmp_path / f"step {number}"
        folder.mkdir()
        laboratory = Laboratory(server, folder, kind)
        await laboratory.die_at(number)
        assert laboratory.crashes == 1


@SINKS
async def test_a_run_killed_at_each_kind_of_step_loses_nothing(server: MailServer, tmp_path: Path, kind: str) -> None:
    names = await steps_of_a_run(server, tmp_path / "whole", kind)
    # For each kind, the last step of it: by then the most is at stake.
    last = {name: number for number, name in enumerate(names, 1)}
    assert {"C: RETR", "C: DELE", "C: QUIT", "sqlite COMMIT", "fsync"} <= set(last)

    await die_at_each(server, tmp_path, kind, sorted(last.values()))


@pytest.mark.exhaustive
@SINKS
async def test_a_run_killed_at_every_step_loses_nothing(server: MailServer, tmp_path: Path, kind: str) -> None:
    names = await steps_of_a_run(server, tmp_path / "whole", kind)

    await die_at_each(server, tmp_path, kind, range(1, len(names) + 1))


@pytest.mark.exhaustive
@SINKS
@pytest.mark.parametrize("seed", range(50))
async def test_runs_killed_again_and_again_lose_nothing(
    server: MailServer, tmp_path: Path, kind: str, seed: int
) -> None:
    steps = random.Random(seed).choices(range(1, 150), k=8)

    await Laboratory(server, tmp_path, kind).die_at(*steps)
